/* Background work of an index set: loading and filling indexes that are not complete, saving those that are.
 *
 * Owner     The worker: whoever has set `running`, a task of the pool or a thread that waits for the indexes. Lock: see
 *           index_set_private.h; while points are read the collection's, shared, about a millisecond at a time.
 * Order     LOAD each index's file -> SCAN all slots once: fresh indexes take them in, loaded ones note those changed since ->
 *           REDO what was touched meanwhile, in rounds while it is much -> the rest in the writer slot, then the index is ready.
 * Invariant A slot touched since its index began to be filled is in the index's redo bits. */
#include "base/log.h"
#include "base/mem.h"
#include "engine/index_set_private.h"

#define PIECE_NS   1000000u /* under the shared lock */
#define PIECE_LOOK 32u      /* slots between two looks at the clock */
#define REDO_MAX   2048u    /* slots that the writer slot is held for */
#define ROUNDS_MAX 6u

/* ---- the pass: what is filled together ---- */

/* A piece of reading begins; indexes dropped meanwhile leave. */
static void piece_begin(struct vex_index_set *set)
{
    struct vex_index_pass *pass = &set->pass;
    uint32_t kept = 0;

    vex_collection_work_begin(set->collection);
    for (uint32_t i = 0; i < pass->count; i++)
        if (!pass->entries[i]->gone)
            pass->entries[kept++] = pass->entries[i];
        else
            vex_index_entry_unref(pass->entries[i]);
    pass->count = kept;
}

static void piece_end(struct vex_index_set *set)
{
    vex_collection_work_end(set->collection);
}

static void pass_end(struct vex_index_set *set)
{
    for (uint32_t i = 0; i < set->pass.count; i++)
        vex_index_entry_unref(set->pass.entries[i]);
    vex_mem_free(set->pass.entries);
    set->pass = (struct vex_index_pass){0};
}

/* From here on touched slots are noted for the entry. */
static void begin_entry(struct vex_index_set *set, struct vex_index_entry *entry, uint32_t slots,
                        uint64_t now)
{
    entry->redo_words = (size_t)slots / 64 + 1;
    entry->redo = vex_mem_zalloc(entry->redo_words * sizeof *entry->redo);
    entry->filling = true;
    atomic_fetch_add(&set->filling, 1);
    atomic_fetch_add(&entry->refs, 1);
    pthread_mutex_lock(&set->work.lock);
    entry->began_ns = now;
    entry->total = slots;
    pthread_mutex_unlock(&set->work.lock);
}

/* False: all indexes are complete. */
static bool begin_pass(struct vex_index_set *set)
{
    struct vex_index_pass *pass = &set->pass;
    uint64_t now = vex_io_monotonic_ns(set->collection->engine->io);

    piece_begin(set);
    pass->end = vex_rows_slots(set->collection->data.rows);
    pass->entries = vex_mem_alloc((set->count + (size_t)1) * sizeof(struct vex_index_entry *));
    for (uint32_t i = 0; i < set->count; i++) {
        struct vex_index_entry *entry = set->entries[i];

        if (entry->ready || entry->index == NULL)
            continue;
        begin_entry(set, entry, pass->end, now);
        pass->entries[pass->count++] = entry;
    }
    piece_end(set);
    pass->stage = VEX_PASS_LOAD;
    if (pass->count == 0)
        pass_end(set);
    return pass->stage != VEX_PASS_NONE;
}

static void load_next(struct vex_index_set *set)
{
    struct vex_index_pass *pass = &set->pass;

    if (pass->at < pass->count) {
        struct vex_index_entry *entry = pass->entries[pass->at++];
        entry->loaded = vex_index_file_load(set, entry);
        return;
    }
    pass->stage = VEX_PASS_SCAN;
    pass->at = 0;
}

/* ---- scanning ---- */

/* Returns the bytes that were read. */
static uint64_t scan_slot(struct vex_index_set *set, uint32_t slot)
{
    const struct vex_collection_data *data = &set->collection->data;
    const struct vex_row *row = vex_rows_at(data->rows, slot);
    bool live = row->state == VEX_ROW_LIVE, read = false;
    struct vex_value payload = {NULL};

    for (uint32_t i = 0; i < set->pass.count; i++) {
        struct vex_index_entry *entry = set->pass.entries[i];

        if (vex_index_bit(entry->redo, entry->redo_words, slot))
            continue;
        if (entry->loaded) {
            if (!live || row->version > entry->complete_to)
                vex_index_bit_set(entry->redo, slot);
            continue;
        }
        if (!live)
            continue;
        if (!read)
            payload = vex_collection_payload(data, slot);
        read = true;
        vex_index_add(entry->index, slot, payload);
    }
    return sizeof *row + (read ? row->blob_len : 0);
}

static void merge_runs(struct vex_index_set *set)
{
    for (uint32_t i = 0; i < set->pass.count; i++)
        if (vex_index_prepare(set->pass.entries[i]->index))
            vex_index_publish(set->pass.entries[i]->index); /* nobody else sees it yet */
}

static void note_progress(struct vex_index_set *set)
{
    pthread_mutex_lock(&set->work.lock);
    for (uint32_t i = 0; i < set->pass.count; i++) {
        struct vex_index_entry *entry = set->pass.entries[i];

        entry->done = set->pass.at;
        entry->total = set->pass.end;
        entry->points = vex_index_points(entry->index);
    }
    pthread_mutex_unlock(&set->work.lock);
}

static void scan_piece(struct vex_index_set *set)
{
    struct vex_io *io = set->collection->engine->io;
    struct vex_index_pass *pass = &set->pass;
    uint64_t begin = vex_io_monotonic_ns(io), bytes = 0;

    piece_begin(set);
    while (pass->at < pass->end) {
        bytes += scan_slot(set, pass->at++);
        if (pass->at % PIECE_LOOK == 0 && vex_io_monotonic_ns(io) - begin >= PIECE_NS)
            break;
    }
    piece_end(set);
    vex_collection_worked(set->collection, bytes);
    merge_runs(set);
    note_progress(set);
    if (pass->at == pass->end)
        pass->stage = VEX_PASS_REDO;
    if (pass->count == 0)
        pass_end(set);
}

/* ---- what was touched meanwhile ---- */

static uint64_t count_redo(const struct vex_index_pass *pass)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < pass->count; i++) {
        const struct vex_index_entry *entry = pass->entries[i];
        uint64_t count = 0;

        for (size_t w = 0; w < entry->redo_words; w++)
            count += (uint64_t)__builtin_popcountll(entry->redo[w]);
        most = count > most ? count : most;
    }
    return most;
}

static uint32_t next_bit(const uint64_t *bits, size_t words, uint32_t from)
{
    for (size_t w = from / 64; w < words; w++) {
        uint64_t rest = w == from / 64 ? bits[w] >> (from % 64) << (from % 64) : bits[w];
        if (rest != 0)
            return (uint32_t)(w * 64 + (size_t)__builtin_ctzll(rest));
    }
    return VEX_SLOT_NONE;
}

static void forget(struct vex_index *index, const uint64_t *bits, size_t words)
{
    uint64_t slots = (uint64_t)words * 64;

    vex_index_forget(index, bits, slots > VEX_SLOT_NONE ? VEX_SLOT_NONE : (uint32_t)slots);
}

/* Adds the slots of taken bits again, a piece at a time. False: the work must stop. */
static bool add_again(struct vex_index_set *set, struct vex_index_entry *entry, const uint64_t *bits,
                      size_t words)
{
    struct vex_io *io = set->collection->engine->io;
    uint32_t slot = next_bit(bits, words, 0), done = 0;

    while (slot != VEX_SLOT_NONE && !vex_background_must_stop(&set->work)) {
        uint64_t begin = vex_io_monotonic_ns(io);

        vex_collection_work_begin(set->collection);
        while (slot != VEX_SLOT_NONE) {
            entry->changed += vex_index_entry_add(entry, &set->collection->data, slot);
            slot = next_bit(bits, words, slot + 1);
            if (++done % PIECE_LOOK == 0 && vex_io_monotonic_ns(io) - begin >= PIECE_NS)
                break;
        }
        vex_collection_work_end(set->collection);
    }
    return slot == VEX_SLOT_NONE;
}

static bool redo_entry(struct vex_index_set *set, struct vex_index_entry *entry)
{
    uint64_t *bits = NULL;
    size_t words;
    bool done;

    /* Taken under the shared lock: what is touched from then on is noted anew. */
    vex_collection_work_begin(set->collection);
    bits = entry->redo;
    words = entry->redo_words;
    entry->redo = vex_mem_zalloc(words * sizeof *bits);
    vex_collection_work_end(set->collection);
    forget(entry->index, bits, words);
    done = add_again(set, entry, bits, words);
    vex_mem_free(bits);
    return done;
}

/* Writer slot: nothing is touched meanwhile. */
static void finish_entry(struct vex_index_set *set, struct vex_index_entry *entry)
{
    uint32_t slot = next_bit(entry->redo, entry->redo_words, 0);

    if (slot == VEX_SLOT_NONE)
        return;
    forget(entry->index, entry->redo, entry->redo_words);
    for (; slot != VEX_SLOT_NONE; slot = next_bit(entry->redo, entry->redo_words, slot + 1))
        entry->changed += vex_index_entry_add(entry, &set->collection->data, slot);
}

static void publish(struct vex_index_set *set)
{
    vex_collection_write_begin(set->collection);
    for (uint32_t i = 0; i < set->pass.count; i++) {
        struct vex_index_entry *entry = set->pass.entries[i];

        entry->ready = true;
        entry->filling = false;
        vex_mem_free(entry->redo);
        entry->redo = NULL;
        entry->redo_words = 0;
        atomic_fetch_sub(&set->filling, 1);
        atomic_fetch_add(&set->ready, 1);
    }
    vex_collection_write_end(set->collection);
    pthread_mutex_lock(&set->work.lock);
    for (uint32_t i = 0; i < set->pass.count; i++) {
        struct vex_index_entry *entry = set->pass.entries[i];

        entry->saved = entry->loaded;
        entry->want_save = !entry->loaded; /* a crash should not cost the building again */
        set->unready--;
    }
    pthread_cond_broadcast(&set->work.changed);
    pthread_mutex_unlock(&set->work.lock);
}

static void finish(struct vex_index_set *set)
{
    vex_collection_acquire(set->collection);
    /* Notes are about complete indexes: there must be none when another one joins them. */
    vex_index_set_follow(set, 0);
    piece_begin(set);
    piece_end(set);
    for (uint32_t i = 0; i < set->pass.count; i++)
        finish_entry(set, set->pass.entries[i]);
    merge_runs(set);
    publish(set);
    vex_collection_release(set->collection);
    pass_end(set);
    vex_collection_work_ended(set->collection);
}

static void redo(struct vex_index_set *set)
{
    uint64_t left;

    piece_begin(set);
    left = count_redo(&set->pass);
    piece_end(set);
    if (left <= REDO_MAX || set->pass.rounds++ >= ROUNDS_MAX) {
        finish(set);
        return;
    }
    for (uint32_t i = 0; i < set->pass.count; i++)
        if (!redo_entry(set, set->pass.entries[i]))
            return;
    merge_runs(set);
}

/* ---- turns ---- */

bool vex_index_set_piece(struct vex_background *work)
{
    struct vex_index_set *set = VEX_CONTAINER_OF(work, struct vex_index_set, work);

    if (vex_background_must_stop(work))
        return false;
    switch (set->pass.stage) {
    case VEX_PASS_NONE:
        return begin_pass(set) || vex_index_file_save_next(set, false);
    case VEX_PASS_LOAD:
        load_next(set);
        return true;
    case VEX_PASS_SCAN:
        scan_piece(set);
        return true;
    case VEX_PASS_REDO:
        redo(set);
        return true;
    }
    return false;
}

void vex_index_set_stop(struct vex_index_set *set)
{
    if (set == NULL)
        return;
    vex_background_stop(&set->work);
    pthread_mutex_lock(&set->work.lock);
    while (vex_index_auto_runs(set))
        pthread_cond_wait(&set->work.changed, &set->work.lock);
    pthread_mutex_unlock(&set->work.lock);
}

static bool all_ready(const struct vex_background *work)
{
    return VEX_CONTAINER_OF(work, const struct vex_index_set, work)->unready == 0;
}

int vex_collection_wait_indexes(struct vex_collection *collection, uint64_t deadline_ns, struct vex_err *err)
{
    int rc = vex_collection_open(collection, err);

    return rc != 0 ? rc
                   : vex_background_wait(&collection->data.indexes->work, all_ready, deadline_ns,
                                         "The payload index is still being built", err);
}
