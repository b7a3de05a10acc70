/* Background work of a graph set: beginning graphs, linking the tail, upkeep.
 *
 * Owner     The worker: whoever has set `running`, a task of the pool or a thread that waits. It holds the collection's lock shared
 *           about a millisecond at a time and forgets everything it has looked up in between; exclusive only to put a graph in place.
 * Order     BEGIN (train on a sample; again when vectors have drifted away from it), or VERIFY a loaded one and settle its pages ->
 *           LINK until the tail is empty -> REFINE what was linked since, when it is much -> SAVE -> a graph built beside another
 *           takes its place. DROP when many linked slots are dead, before LINK even when they are fewer: new nodes shall not be
 *           linked to dead ones. MEND when many were dropped. */
#include <sched.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/graph_set_private.h"
#include "engine/index/huge.h"
#include "engine/index/ivf.h"

#define PIECE_NS          1000000u /* under the shared lock */
#define PIECE_LOOK        8u       /* slots refined or mended between two looks at the clock */
#define LINK_PIECES       4u       /* linked at once */
#define LINK_EACH         4u       /* slots */
#define LINK_ALONE        1024u    /* linked slots from which on that is done, */
#define LINK_MANY         8192u    /* while so many wait */
#define DROP_LOOK         4096u    /* slots looked at */
#define SAMPLE_MAX        2048u    /* vectors a graph learns to code from */
#define SAMPLE_MAX_FLOATS (4u << 20)
#define FRESH_SHARE       8u    /* refined when more than one in so many has been linked since */
#define TORN_SHARE        7u    /* mended when more than one in so many has been dropped since */
#define DEAD_SHARE        64u   /* dropped before others are linked when more than one in so many is dead */
#define SWAP_TAIL         1024u /* slots that may wait when a new graph takes over */
#define HEADROOM          1.25f /* of codes that learn anew: what has grown may go on to grow */

static void empty_garbage(struct vex_graph_set *set)
{
    struct vex_graph_trash *garbage;
    uint32_t count;

    pthread_mutex_lock(&set->work.lock);
    garbage = set->garbage;
    count = set->garbage_count;
    set->garbage = NULL;
    set->garbage_count = 0;
    pthread_mutex_unlock(&set->work.lock);
    for (uint32_t i = 0; i < count; i++) {
        vex_graph_free(garbage[i].graph);
        vex_io_close(set->collection->engine->io, garbage[i].file);
    }
    vex_mem_free(garbage);
}

/* ---- a piece of work on one graph, under the shared lock ---- */

struct piece {
    struct vex_graph_set *set;
    struct vex_graph_entry *entry;
    struct vex_graph_part *part;
    uint64_t begin_ns;
    uint32_t done;
};

/* Whoever waits for this core goes first: answers shall not be late because of work that has time. */
static bool goes_on(struct piece *piece, uint32_t look)
{
    if (++piece->done % look != 0)
        return true;
    sched_yield();
    return vex_io_monotonic_ns(piece->set->collection->engine->io) - piece->begin_ns < PIECE_NS;
}

static float *room(struct vex_graph_set *set, uint32_t size)
{
    if (set->vector_size < size) {
        set->vector = vex_mem_realloc(set->vector, (size_t)size * sizeof *set->vector);
        set->vector_size = size;
    }
    return set->vector;
}

static bool is_present(const struct vex_collection_data *data, uint8_t ordinal, uint32_t slot)
{
    const uint64_t *present = vex_rows_present(data->rows, ordinal);

    return present != NULL && slot < vex_rows_slots(data->rows) &&
           (present[slot / 64] >> (slot % 64) & 1) != 0;
}

static void fail(struct piece *piece, int rc)
{
    vex_error("engine", "no graph is built of vector %u of collection %llu: its vectors can't be read: %s",
              piece->entry->ordinal, (unsigned long long)piece->set->collection->id, vex_err_class(rc)->name);
    piece->entry->failed = true;
}

static uint32_t next_tail(const struct vex_graph_part *part)
{
    for (size_t w = part->at / 64; w < part->tail_words; w++) {
        uint64_t word = __atomic_load_n(&part->tail[w], __ATOMIC_RELAXED) & ~part->held[w];

        if (w == part->at / 64)
            word = word >> (part->at % 64) << (part->at % 64);
        if (word != 0)
            return (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(word);
    }
    return VEX_SLOT_NONE;
}

/* The worker's: slots in [from, end) are about to be linked. */
static void note_fresh(struct vex_graph_part *part, uint32_t from, uint32_t end)
{
    if (part->fresh == 0 || from < part->fresh_from)
        part->fresh_from = from;
    if (part->fresh == 0 || end > part->fresh_end)
        part->fresh_end = end;
}

/* A slot that is linked already is so by a file: its code may be that of an older vector. False: the vector doesn't fit. */
static bool link_vector(struct vex_graph_part *part, uint32_t slot, const float *vector)
{
    bool linked = vex_graph_has(part->graph, slot);

    if (linked)
        atomic_fetch_sub_explicit(&part->doubtful, 1, memory_order_relaxed);
    if (linked && vex_graph_holds(part->graph, slot, vector))
        return true;
    if (linked)
        vex_graph_drop(part->graph, slot);
    atomic_fetch_add_explicit(&part->come, 1, memory_order_relaxed);
    if (!vex_graph_fits(part->graph, vector))
        return false;
    vex_graph_put(part->graph, slot, vector);
    vex_graph_link(part->graph, slot);
    atomic_fetch_add_explicit(&part->fresh, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&part->changed, 1, memory_order_relaxed);
    return true;
}

static void hold(struct vex_graph_part *part, uint32_t slot)
{
    __atomic_fetch_or(&part->held[slot / 64], UINT64_C(1) << (slot % 64), __ATOMIC_RELAXED);
    atomic_fetch_add_explicit(&part->held_count, 1, memory_order_release);
}

static void leave_tail(struct vex_graph_part *part, uint32_t slot)
{
    size_t word = slot / 64;
    uint64_t bit = UINT64_C(1) << (slot % 64), some = UINT64_C(1) << (word % 64);

    if ((__atomic_fetch_and(&part->tail[word], ~bit, __ATOMIC_RELEASE) & ~bit) == 0)
        __atomic_fetch_and(&part->tail_some[word / 64], ~some, __ATOMIC_RELEASE);
    atomic_fetch_sub_explicit(&part->tail_count, 1, memory_order_release);
}

/* A slot is linked before it leaves the tail: who reads the tail first and walks afterwards misses none. */
static int link_slot(const struct piece *piece, uint32_t slot, float *vector)
{
    const struct vex_collection_data *data = &piece->set->collection->data;
    struct vex_graph_part *part = piece->part;

    if (is_present(data, piece->entry->ordinal, slot)) {
        int rc = vex_vectors_read(data->vectors, piece->entry->ordinal, slot, vector);
        if (rc != 0)
            return rc;
        vex_collection_worked(piece->set->collection,
                              piece->entry->size * vex_element_size(piece->entry->element));
        if (!link_vector(part, slot, vector)) {
            hold(part, slot);
            return 0;
        }
    }
    leave_tail(part, slot);
    return 0;
}

/* Slots of the tail that are linked at once: on the worker's thread, and on those of the pool that are idle. */
struct linking {
    struct vex_share share;
    struct piece *piece;
    uint32_t slots[LINK_PIECES * LINK_EACH];
    uint32_t count;
    float *vectors; /* one a piece */
    _Atomic int code;
};

static void link_some(struct vex_share *share, uint32_t nth)
{
    struct linking *linking = VEX_CONTAINER_OF(share, struct linking, share);
    uint32_t at = nth * LINK_EACH, end = at + LINK_EACH < linking->count ? at + LINK_EACH : linking->count;
    float *vector = linking->vectors + (size_t)nth * linking->piece->entry->size;

    for (; at < end; at++) {
        int rc = link_slot(linking->piece, linking->slots[at], vector);
        if (rc != 0) {
            atomic_store(&linking->code, rc);
            return;
        }
    }
}

/* The first nodes of a graph come one after the other, so that they find each other; and those of few writes, which leave the other cores
 * to searches. */
static uint32_t link_at_once(const struct piece *piece)
{
    bool many = piece->entry->settings.threads != 1 && vex_graph_count(piece->part->graph) >= LINK_ALONE &&
                vex_graph_part_waiting(piece->part) >= LINK_MANY;

    return many ? LINK_PIECES * LINK_EACH : LINK_EACH;
}

static void link_piece(struct piece *piece)
{
    struct vex_graph_part *part = piece->part;
    struct linking linking = {.piece = piece};
    uint32_t most = link_at_once(piece);

    linking.vectors = room(piece->set, piece->entry->size * LINK_PIECES);
    do {
        uint32_t slot;
        linking.count = 0;
        while (linking.count < most && (slot = next_tail(part)) != VEX_SLOT_NONE) {
            linking.slots[linking.count++] = slot;
            part->at = slot + 1;
        }
        if (linking.count == 0)
            return;
        note_fresh(part, linking.slots[0], part->at);
        linking.share =
            (struct vex_share){.piece = link_some, .count = (linking.count + LINK_EACH - 1) / LINK_EACH};
        vex_pool_share(piece->set->collection->engine->pool, &linking.share);
        if (linking.code != 0) {
            fail(piece, linking.code);
            return;
        }
    } while (goes_on(piece, 1));
}

static void refine_piece(struct piece *piece)
{
    struct vex_graph_part *part = piece->part;

    while (part->upkeep_at < part->upkeep_end) {
        vex_graph_refine(part->graph, part->upkeep_at, part->upkeep_at + 1);
        part->upkeep_at++;
        if (!goes_on(piece, PIECE_LOOK))
            return;
    }
    part->upkeep = VEX_UPKEEP_NONE;
}

static void drop_piece(struct piece *piece)
{
    const struct vex_collection_data *data = &piece->set->collection->data;
    struct vex_graph_part *part = piece->part;

    while (part->drop_at < vex_graph_slots(part->graph)) {
        uint32_t slot = part->drop_at++;

        if (vex_graph_has(part->graph, slot) && !is_present(data, piece->entry->ordinal, slot)) {
            vex_graph_drop(part->graph, slot);
            atomic_fetch_sub_explicit(&part->dead, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&part->torn, 1, memory_order_relaxed);
        }
        if (!goes_on(piece, DROP_LOOK))
            return;
    }
    part->dropping = false;
}

static void mend_piece(struct piece *piece)
{
    struct vex_graph_part *part = piece->part;

    while (part->upkeep_at < part->upkeep_end) {
        vex_graph_mend(part->graph, part->upkeep_at, part->upkeep_at + 1);
        part->upkeep_at++;
        if (!goes_on(piece, PIECE_LOOK))
            return;
    }
    /* Links that were given up may have been the last ways to somewhere, above all with inner products. */
    part->upkeep = VEX_UPKEEP_REFINE;
    part->upkeep_at = 0;
    part->upkeep_end = vex_graph_slots(part->graph);
    part->fresh = 0;
    part->mending = 0;
}

/* ---- what comes next ---- */

static bool is_fresh(const struct vex_graph_part *part)
{
    return part->fresh > vex_graph_count(part->graph) / FRESH_SHARE;
}

static bool is_torn(const struct vex_graph_part *part)
{
    return part->torn > vex_graph_count(part->graph) / TORN_SHARE;
}

bool vex_graph_part_is_tended(const struct vex_graph_part *part)
{
    return part->upkeep != VEX_UPKEEP_NONE || part->dropping || vex_graph_part_is_worn(part) ||
           is_torn(part) || is_fresh(part);
}

/* Whether the dead are to be dropped now. */
static bool must_drop(struct vex_graph_part *part)
{
    uint64_t dead = atomic_load_explicit(&part->dead, memory_order_relaxed);

    if (!part->dropping &&
        (vex_graph_part_is_worn(part) || (dead > DEAD_SHARE + vex_graph_count(part->graph) / DEAD_SHARE &&
                                          vex_graph_part_waiting(part) > 0))) {
        part->dropping = true;
        part->drop_at = 0;
    }
    return part->dropping;
}

static bool begin_upkeep(struct vex_graph_part *part)
{
    if (is_torn(part)) {
        part->upkeep = VEX_UPKEEP_MEND;
        part->upkeep_at = 0;
        part->upkeep_end = vex_graph_slots(part->graph);
        part->mending = atomic_exchange(&part->torn, 0);
    } else if (is_fresh(part)) {
        part->upkeep = VEX_UPKEEP_REFINE;
        part->upkeep_at = part->fresh_from;
        part->upkeep_end = part->fresh_end;
        part->fresh = 0;
    }
    return part->upkeep != VEX_UPKEEP_NONE;
}

/* False: the part lacks nothing. Dropping takes moments; then the tail goes first: it costs every search. */
static bool work_on(struct piece *piece)
{
    struct vex_graph_part *part = piece->part;

    if (part->graph == NULL || piece->entry->failed)
        return false;
    if (must_drop(part)) {
        drop_piece(piece);
        return true;
    }
    if (vex_graph_part_waiting(part) > 0) {
        link_piece(piece);
        return true;
    }
    if (part->upkeep == VEX_UPKEEP_NONE && !begin_upkeep(part))
        return false;
    if (part->upkeep == VEX_UPKEEP_REFINE)
        refine_piece(piece);
    else
        mend_piece(piece);
    return true;
}

/* ---- beginning ---- */

struct beginning {
    struct vex_graph_params params;
    uint8_t ordinal;
    enum vex_element element;
    uint64_t present; /* vectors there are */
    float *sample;
    uint32_t count;
};

/* Of `step` vectors in a row, which is taken: in no rhythm that they might have too. */
static uint64_t pick(uint64_t run, uint64_t step)
{
    uint64_t x = (run + 1) * UINT64_C(0x9e3779b97f4a7c15);

    return (x ^ x >> 32) % step;
}

/* Vectors spread over the slots. */
static int read_sample(struct vex_graph_set *set, const struct vex_graph_entry *entry, uint64_t present,
                       struct beginning *ret)
{
    const struct vex_collection_data *data = &set->collection->data;
    uint32_t most = SAMPLE_MAX_FLOATS / entry->size;
    uint64_t step, seen = 0;
    uint32_t slots = vex_rows_slots(data->rows);
    int rc = 0;

    most = most > SAMPLE_MAX ? SAMPLE_MAX : most < 64 ? 64 : most;
    step = (present + most - 1) / most;
    *ret = (struct beginning){
        .params = {.dimensions = entry->size,
                   .distance = entry->distance,
                   .m = entry->settings.m,
                   .ef_construct = entry->settings.ef_construct,
                   .codes = entry->settings.codes,
                   .normalise = vex_graph_entry_normalises(entry)},
        .ordinal = entry->ordinal,
        .element = entry->element,
        .present = present,
        .sample = vex_mem_alloc((size_t)most * entry->size * sizeof(float)),
    };
    if (entry->now.graph != NULL && vex_graph_part_has_drifted(&entry->now))
        ret->params.codes.headroom = HEADROOM;
    for (uint32_t slot = 0; slot < slots && rc == 0 && ret->count < most; slot++) {
        if (!is_present(data, entry->ordinal, slot))
            continue;
        if (seen % step == pick(seen / step, step)) {
            rc = vex_vectors_read(data->vectors, entry->ordinal, slot,
                                  ret->sample + (size_t)ret->count * entry->size);
            ret->count += rc == 0;
        }
        seen++;
    }
    return rc;
}

/* All live slots are its tail. Exclusive. */
static bool fill_tail(const struct vex_collection_data *data, uint8_t ordinal, struct vex_graph_part *part)
{
    const uint64_t *present = vex_rows_present(data->rows, ordinal);
    uint32_t slots = vex_rows_slots(data->rows);
    size_t words = ((size_t)slots + 63) / 64;

    if (vex_graph_part_reserve(part, slots) != 0)
        return false;
    for (size_t w = 0; present != NULL && w < words; w++)
        vex_graph_part_set_tail(part, w, present[w]);
    atomic_store(&part->tail_count, vex_rows_present_count(data->rows, ordinal));
    return true;
}

/* The entry may have changed since it was looked at: then the graph is not used. */
static void put_in_place(struct vex_graph_set *set, const struct beginning *beginning,
                         struct vex_graph *graph)
{
    struct vex_graph_part part = {.graph = graph,
                                  .m = beginning->params.m,
                                  .ef_construct = beginning->params.ef_construct,
                                  .learnt_of = beginning->present,
                                  .saved_ns = vex_io_monotonic_ns(set->collection->engine->io)};
    struct vex_graph_entry *entry;

    vex_collection_write_begin(set->collection);
    entry = vex_graph_set_find(set, beginning->ordinal);
    if (entry == NULL || entry->size != beginning->params.dimensions || entry->settings.never ||
        !vex_graph_entry_settled(entry, &part) || entry->next.graph != NULL) {
        vex_graph_part_clear(set, &part);
    } else if (!fill_tail(&set->collection->data, entry->ordinal, &part)) {
        vex_warn("engine", "no memory for the graph of vector %u of collection %llu: searches stay exact",
                 entry->ordinal, (unsigned long long)set->collection->id);
        vex_graph_part_clear(set, &part);
        entry->failed = true;
    } else if (entry->now.graph == NULL) {
        entry->now = part;
        atomic_store(&set->collection->engine->has_graphs, true);
    } else {
        entry->next = part;
    }
    vex_collection_write_end(set->collection);
}

static void begin_graph(struct vex_graph_set *set, struct beginning *beginning)
{
    struct vex_graph *graph = vex_graph_new(&beginning->params);

    vex_graph_train(graph, beginning->sample, beginning->count);
    put_in_place(set, beginning, graph);
}

/* The graph that serves wants another in its place. */
static bool is_outdated(const struct vex_graph_entry *entry)
{
    return !vex_graph_entry_settled(entry, &entry->now) || vex_graph_part_has_drifted(&entry->now);
}

/* Whether an entry needs a graph that is not begun yet. Shared lock; reads the sample. */
static bool must_begin(struct vex_graph_set *set, struct vex_graph_entry *entry, struct beginning *ret)
{
    uint64_t present;
    int rc;

    if (entry->settings.never || entry->failed ||
        (entry->now.graph != NULL && (entry->next.graph != NULL || !is_outdated(entry))))
        return false;
    present = vex_rows_present_count(set->collection->data.rows, entry->ordinal);
    if (entry->now.graph == NULL && !vex_graph_entry_wants(entry, present))
        return false;
    rc = read_sample(set, entry, present, ret);
    if (rc == 0)
        return true;
    vex_mem_free(ret->sample);
    fail(&(struct piece){.set = set, .entry = entry}, rc);
    return false;
}

/* ---- replacing ---- */

/* A graph that is built beside another is ready to serve, or not wanted any more. */
static bool must_swap(const struct vex_graph_entry *entry)
{
    const struct vex_graph_part *next = &entry->next;

    if (next->graph == NULL)
        return false;
    return !vex_graph_entry_settled(entry, next) ||
           (vex_graph_part_waiting(next) <= SWAP_TAIL && next->upkeep == VEX_UPKEEP_NONE && !is_fresh(next));
}

static void swap(struct vex_graph_set *set, uint8_t ordinal)
{
    struct vex_graph_entry *entry;

    vex_collection_write_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL && must_swap(entry)) {
        if (vex_graph_entry_settled(entry, &entry->next)) {
            struct vex_graph_part old = entry->now;
            entry->now = entry->next;
            entry->next = old;
        }
        vex_graph_part_clear(set, &entry->next);
    }
    vex_collection_write_end(set->collection);
}

/* ---- turns ---- */

enum step { STEP_NONE, STEP_DONE, STEP_BEGIN, STEP_SWAP, STEP_VERIFY, STEP_SAVE, STEP_REMAP };

/* What a loaded graph needs, shared lock: true for as long as there is more. */
static bool settle_piece(struct vex_graph_set *set, struct vex_graph_entry *entry)
{
    if (!vex_graph_entry_must_settle(entry))
        return false;
    entry->now.remapped = false;
    entry->now.settling = vex_graph_settle(entry->now.graph, &set->spare);
    set->settling = entry->now.settling;
    return entry->now.settling;
}

/* Posting lists that searches miss, shared lock: true for as long as there is more. */
static bool lists_piece(struct vex_graph_part *part)
{
    bool more = part->graph != NULL && part->lists_wanted && vex_graph_lists_piece(part->graph);

    part->lists_wanted = part->lists_wanted && more;
    return more;
}

/* Shared lock. */
static enum step step_of(struct vex_graph_set *set, struct vex_graph_entry *entry,
                         struct beginning *beginning)
{
    struct piece piece = {.set = set, .entry = entry, .part = &entry->now};

    piece.begin_ns = vex_io_monotonic_ns(set->collection->engine->io);
    if (must_swap(entry))
        return STEP_SWAP;
    if (must_begin(set, entry, beginning))
        return STEP_BEGIN;
    if (entry->now.file != NULL)
        return STEP_VERIFY;
    if (settle_piece(set, entry))
        return STEP_DONE;
    if (vex_graph_part_is_due(&entry->now, piece.begin_ns, true))
        return STEP_SAVE;
    if (work_on(&piece))
        return STEP_DONE;
    if (vex_graph_part_is_due(&entry->now, piece.begin_ns, false))
        return STEP_SAVE;
    if (lists_piece(&entry->now))
        return STEP_DONE;
    if (vex_graph_entry_must_remap(entry))
        return STEP_REMAP;
    piece.part = &entry->next;
    return work_on(&piece) ? STEP_DONE : STEP_NONE;
}

static void do_step(struct vex_graph_set *set, enum step step, uint8_t ordinal, struct beginning *beginning)
{
    switch (step) {
    case STEP_SWAP:
        swap(set, ordinal);
        break;
    case STEP_BEGIN:
        begin_graph(set, beginning);
        vex_mem_free(beginning->sample);
        break;
    case STEP_VERIFY:
        vex_graph_file_verify(set, ordinal);
        break;
    case STEP_SAVE:
        vex_graph_saving_begin(set, ordinal);
        break;
    case STEP_REMAP:
        vex_graph_file_remap(set, ordinal);
        break;
    case STEP_NONE:
    case STEP_DONE:
        break;
    }
}

/* Work that is of the set; false: there is none. */
static bool work_on_files(struct vex_graph_set *set)
{
    if (set->saving != NULL) {
        vex_graph_saving_piece(set);
        return true;
    }
    if (!atomic_load(&set->sweep))
        return false;
    vex_graph_file_sweep(set);
    return true;
}

bool vex_graph_set_piece(struct vex_background *work)
{
    struct vex_graph_set *set = VEX_CONTAINER_OF(work, struct vex_graph_set, work);
    struct beginning beginning;
    enum step step = STEP_NONE;
    uint8_t ordinal = 0;

    empty_garbage(set);
    if (vex_background_must_stop(work))
        return false;
    if (work_on_files(set))
        return true;
    if (set->settling && set->spare == NULL)
        set->spare = vex_huge_spare();
    set->settling = false;
    vex_collection_work_begin(set->collection);
    for (uint32_t i = 0; i < set->count && step == STEP_NONE; i++) {
        ordinal = set->entries[i]->ordinal;
        step = step_of(set, set->entries[i], &beginning);
    }
    vex_collection_work_end(set->collection);
    do_step(set, step, ordinal, &beginning);
    if (!set->settling) {
        vex_huge_spare_free(set->spare);
        set->spare = NULL;
    }
    if (step == STEP_NONE)
        vex_collection_work_ended(set->collection);
    return step != STEP_NONE;
}

void vex_graph_set_start(struct vex_graph_set *set)
{
    vex_background_start(&set->work);
    vex_background_schedule(&set->work);
}

void vex_graph_set_stop(struct vex_graph_set *set)
{
    if (set != NULL)
        vex_background_stop(&set->work);
}

static bool is_idle(const struct vex_background *work)
{
    return work->idle;
}

int vex_collection_wait_graphs(struct vex_collection *collection, uint64_t deadline_ns, struct vex_err *err)
{
    int rc = vex_collection_open(collection, err);

    if (rc != 0)
        return rc;
    atomic_store(&collection->data.graphs->naps, 0);
    return vex_background_wait(&collection->data.graphs->work, is_idle, deadline_ns,
                               "The graph is still being built", err);
}
