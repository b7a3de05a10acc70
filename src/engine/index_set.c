/* The index set: which payload indexes a collection has, and how they follow its points. See index_set.h.
 *
 * Owner     The open collection. Lock: index_set_private.h.
 * Invariant A slot that is not pending is in a complete index with exactly the payload it has; a pending one is there as its
 *           note says. */
#include "engine/index_set_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/index_set.h"

#define PIECE_NS     100000u /* an exclusive piece of following */
#define PIECE_LOOK   8u      /* slots between two looks at the clock */
#define MERGE_EVERY  8192u   /* slots after which indexes may merge their runs */
#define NOTES_KEEP   8192u
#define SAVING_SPARE 16384u /* slots that may be pending while an index is saved */
#define NOTES_MIN    64u

/* ---- entries ---- */

static struct vex_index_entry *entry_new(const struct vex_index_params *params)
{
    struct vex_index_entry *entry = VEX_NEW(struct vex_index_entry);
    struct vex_buf key;
    struct vex_cursor c;
    struct vex_err err;

    atomic_init(&entry->refs, 1);
    vex_buf_init(&key, NULL);
    vex_index_params_encode(&key, params);
    entry->key = vex_str(vex_mem_strndup(key.ptr, key.len), key.len);
    vex_buf_done(&key);
    c = vex_cursor(entry->key.ptr, entry->key.len);
    entry->field = vex_cursor_str32(&c);
    if (vex_index_new(params, &entry->index, &err) != 0) {
        vex_error("engine", "payload index on " VEX_STR_FMT " can't be made: %s", VEX_STR_ARG(params->field),
                  err.text);
        entry->index = NULL;
    }
    return entry;
}

void vex_index_entry_unref(struct vex_index_entry *entry)
{
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) != 1)
        return;
    vex_index_free(entry->index);
    vex_mem_free(entry->redo);
    vex_mem_free((void *)(uintptr_t)entry->key.ptr);
    vex_mem_free(entry);
}

bool vex_index_entry_add(struct vex_index_entry *entry, const struct vex_collection_data *data, uint32_t slot)
{
    bool live = slot < vex_rows_slots(data->rows) && vex_rows_at(data->rows, slot)->state == VEX_ROW_LIVE;

    if (live)
        vex_index_add(entry->index, slot, vex_collection_payload(data, slot));
    return live;
}

/* ---- paths ---- */

bool vex_index_same_path(const struct vex_path *a, const struct vex_path *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct vex_step *x = &a->steps[i], *y = &b->steps[i];

        if (x->kind != y->kind || (x->kind == VEX_STEP_INDEX && x->index != y->index) ||
            (x->kind == VEX_STEP_KEY && !vex_str_eq(x->key, y->key)))
            return false;
    }
    return true;
}

bool vex_index_set_has(const struct vex_index_set *set, const struct vex_path *path)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->entries[i]->index != NULL &&
            vex_index_same_path(vex_index_path(set->entries[i]->index), path))
            return true;
    return false;
}

/* ---- which indexes ---- */

struct vex_index_change {
    struct vex_index_set *set;
    struct vex_index_entry **entries;
    uint32_t count;
    bool applied;
};

static struct vex_index_entry *find_key(const struct vex_index_set *set,
                                        const struct vex_index_params *params)
{
    struct vex_index_entry *found = NULL;
    struct vex_buf key;

    vex_buf_init(&key, NULL);
    vex_index_params_encode(&key, params);
    for (uint32_t i = 0; i < set->count && found == NULL; i++)
        if (vex_str_eq(set->entries[i]->key, vex_buf_str(&key)))
            found = set->entries[i];
    vex_buf_done(&key);
    return found;
}

struct vex_index_change *vex_index_change_new(struct vex_index_set *set, const struct vex_config *config)
{
    struct vex_index_change *change = VEX_NEW(struct vex_index_change);

    change->set = set;
    change->count = config->index_count;
    change->entries = vex_mem_alloc((change->count + (size_t)1) * sizeof(struct vex_index_entry *));
    for (uint32_t i = 0; i < config->index_count; i++) {
        struct vex_index_entry *entry = find_key(set, &config->indexes[i]);

        if (entry != NULL)
            atomic_fetch_add(&entry->refs, 1);
        else
            entry = entry_new(&config->indexes[i]);
        change->entries[i] = entry;
    }
    return change;
}

static bool has_entry(struct vex_index_entry *const *entries, uint32_t count,
                      const struct vex_index_entry *entry)
{
    for (uint32_t i = 0; i < count; i++)
        if (entries[i] == entry)
            return true;
    return false;
}

static void count_unready(struct vex_index_set *set)
{
    pthread_mutex_lock(&set->work.lock);
    set->unready = 0;
    for (uint32_t i = 0; i < set->count; i++)
        set->unready += set->entries[i]->index != NULL && !set->entries[i]->ready;
    pthread_cond_broadcast(&set->work.changed);
    pthread_mutex_unlock(&set->work.lock);
}

/* Leaves the old entries in the change. */
void vex_index_change_apply(struct vex_index_change *change)
{
    struct vex_index_set *set = change->set;
    struct vex_index_entry **old = set->entries;
    uint32_t old_count = set->count;

    for (uint32_t i = 0; i < old_count; i++) {
        struct vex_index_entry *entry = old[i];

        if (has_entry(change->entries, change->count, entry))
            continue;
        entry->gone = true;
        if (entry->ready)
            atomic_fetch_sub(&set->ready, 1);
        if (entry->filling)
            atomic_fetch_sub(&set->filling, 1);
        entry->filling = false;
    }
    set->entries = change->entries;
    set->count = change->count;
    change->entries = old;
    change->count = old_count;
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i]->gone && old[i]->index != NULL && !vex_index_set_has(set, vex_index_path(old[i]->index)))
            vex_index_auto_gone(set, vex_index_path(old[i]->index));
    change->applied = true;
    count_unready(set);
}

void vex_index_change_free(struct vex_index_change *change)
{
    for (uint32_t i = 0; i < change->count; i++) {
        struct vex_index_entry *entry = change->entries[i];

        if (change->applied && entry->gone)
            vex_index_file_remove(change->set, entry);
        vex_index_entry_unref(entry);
    }
    if (change->applied)
        vex_background_schedule(&change->set->work);
    vex_mem_free(change->entries);
    vex_mem_free(change);
}

static bool is_new(const struct vex_config *old, const struct vex_index_params *params)
{
    const struct vex_index_params *same = old != NULL ? vex_config_index(old, params->field) : NULL;

    return same == NULL || !vex_index_params_same(same, params);
}

int vex_index_set_check(const struct vex_config *old, const struct vex_config *config, struct vex_err *err)
{
    for (uint32_t i = 0; i < config->index_count; i++) {
        struct vex_index *index;
        int rc;

        if (!is_new(old, &config->indexes[i]))
            continue;
        rc = vex_index_new(&config->indexes[i], &index, err);
        if (rc != 0)
            return rc;
        vex_index_free(index);
    }
    return 0;
}

static bool has_texts_of(const struct vex_config *a, const struct vex_config *b)
{
    for (uint32_t i = 0; i < b->index_count; i++)
        if ((b->indexes[i].type == VEX_INDEX_TEXT || b->indexes[i].nested.len > 0) &&
            is_new(a, &b->indexes[i]))
            return false;
    return true;
}

bool vex_index_set_same_texts(const struct vex_config *a, const struct vex_config *b)
{
    return has_texts_of(a, b) && has_texts_of(b, a);
}

/* ---- life ---- */

struct vex_index_set *vex_index_set_new(struct vex_collection *collection, const struct vex_config *config)
{
    struct vex_index_set *set = VEX_NEW(struct vex_index_set);
    struct vex_index_change *change;

    set->collection = collection;
    vex_background_init(&set->work, collection, vex_index_set_piece);
    change = vex_index_change_new(set, config);
    vex_index_change_apply(change);
    vex_index_change_free(change);
    return set;
}

void vex_index_set_free(struct vex_index_set *set)
{
    if (set == NULL)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        vex_index_entry_unref(set->entries[i]);
    for (uint32_t i = 0; i < set->pass.count; i++)
        vex_index_entry_unref(set->pass.entries[i]);
    vex_mem_free(set->pass.entries);
    vex_mem_free(set->entries);
    vex_mem_free(set->pending);
    vex_mem_free(set->notes);
    vex_index_auto_free(set);
    vex_background_done(&set->work);
    vex_mem_free(set);
}

void vex_index_set_start(struct vex_index_set *set)
{
    vex_index_file_sweep(set);
    vex_background_start(&set->work);
    if (set->count > 0)
        vex_background_schedule(&set->work);
}

/* ---- reading ---- */

const struct vex_index *vex_index_set_find(const struct vex_index_set *set, const struct vex_path *path)
{
    if (set == NULL || atomic_load_explicit(&set->ready, memory_order_relaxed) == 0)
        return NULL;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->entries[i]->ready && vex_index_same_path(vex_index_path(set->entries[i]->index), path))
            return set->entries[i]->index;
    return NULL;
}

uint32_t vex_index_set_elements(const struct vex_index_set *set, const struct vex_path *path)
{
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        const struct vex_index *index = set->entries[i]->index;

        if (index != NULL && vex_index_elements(index) != 0 &&
            vex_index_same_path(vex_index_path(index), path))
            return vex_index_elements(index);
    }
    return 0;
}

const struct vex_analyzer *vex_index_set_analyzer(const struct vex_index_set *set,
                                                  const struct vex_path *path)
{
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        const struct vex_index *index = set->entries[i]->index;

        if (index != NULL && vex_index_type(index) == VEX_INDEX_TEXT &&
            vex_index_same_path(vex_index_path(index), path))
            return vex_index_analyzer(index);
    }
    return NULL;
}

const uint64_t *vex_index_set_pending(const struct vex_index_set *set, uint32_t *ret_slots,
                                      uint64_t *ret_count)
{
    bool any = set != NULL && set->note_count > 0;

    *ret_slots = any ? (uint32_t)(set->pending_words * 64) : 0;
    *ret_count = any ? set->note_count : 0;
    return any ? set->pending : NULL;
}

/* ---- noting ---- */

static bool grow_bits(uint64_t **bits, size_t *words, uint32_t slots)
{
    size_t need = ((size_t)slots + 63) / 64, more = *words + *words / 2;
    uint64_t *grown;

    if (need <= *words)
        return true;
    need = need > more ? need : more;
    if (need > UINT32_MAX / 64) /* as many as there can be slots */
        need = UINT32_MAX / 64 + 1;
    grown = vex_mem_try(need * sizeof *grown);
    if (grown == NULL)
        return false;
    if (*words > 0)
        memcpy(grown, *bits, *words * sizeof *grown);
    memset(grown + *words, 0, (need - *words) * sizeof *grown);
    vex_mem_free(*bits);
    *bits = grown;
    *words = need;
    return true;
}

static bool grow_notes(struct vex_index_set *set, size_t more)
{
    size_t need = set->note_count + more, cap = set->note_cap + set->note_cap / 2;
    struct vex_index_note *notes;

    if (need <= set->note_cap)
        return true;
    cap = cap > need ? cap : need;
    cap = cap > NOTES_MIN ? cap : NOTES_MIN;
    notes = vex_mem_try(cap * sizeof *notes);
    if (notes == NULL)
        return false;
    if (set->note_count > 0)
        memcpy(notes, set->notes, set->note_count * sizeof *notes);
    vex_mem_free(set->notes);
    set->notes = notes;
    set->note_cap = cap;
    return true;
}

int vex_index_set_reserve(struct vex_index_set *set, uint32_t slots, uint32_t more)
{
    if (set == NULL || set->count == 0)
        return 0;
    if (atomic_load(&set->ready) > 0 &&
        (!grow_bits(&set->pending, &set->pending_words, slots) || !grow_notes(set, more)))
        return VEX_ENO_MEMORY;
    for (uint32_t i = 0; atomic_load(&set->filling) > 0 && i < set->count; i++) {
        struct vex_index_entry *entry = set->entries[i];

        if (entry->filling && !grow_bits(&entry->redo, &entry->redo_words, slots))
            return VEX_ENO_MEMORY;
    }
    return 0;
}

void vex_index_set_touch(struct vex_index_set *set, uint32_t slot, uint64_t blob, uint32_t blob_len,
                         bool live)
{
    if (set == NULL || set->count == 0)
        return;
    for (uint32_t i = 0; atomic_load_explicit(&set->filling, memory_order_relaxed) > 0 && i < set->count; i++)
        if (set->entries[i]->filling)
            vex_index_bit_set(set->entries[i]->redo, slot);
    /* The first note is what the indexes hold. */
    if (atomic_load_explicit(&set->ready, memory_order_relaxed) == 0 ||
        vex_index_bit(set->pending, set->pending_words, slot))
        return;
    vex_index_bit_set(set->pending, slot);
    set->notes[set->note_count++] =
        (struct vex_index_note){.blob = blob, .blob_len = blob_len, .slot = slot, .live = live};
}

/* ---- following ---- */

struct follow {
    struct vex_index_set *set;
    const struct vex_collection_data *data;
};

/* Without looking deeper: a plain key whose value is byte for byte the same. */
static bool unchanged(const struct vex_index *index, struct vex_value before, struct vex_value after)
{
    const struct vex_path *path = vex_index_path(index);
    struct vex_value a, b;
    size_t size;

    if (path->count != 1 || path->steps[0].kind != VEX_STEP_KEY || before.at == NULL || after.at == NULL)
        return false;
    a = vex_value_get(before, path->steps[0].key);
    b = vex_value_get(after, path->steps[0].key);
    if (a.at == NULL || b.at == NULL)
        return a.at == b.at;
    size = vex_value_size(a);
    return size == vex_value_size(b) && memcmp(a.at, b.at, size) == 0;
}

/* Its old bytes can't be read: every trace of the slot goes. */
static void forget_slot(struct vex_index *index, uint32_t slot)
{
    uint64_t *bits = vex_mem_zalloc(((size_t)slot / 64 + 1) * sizeof *bits);

    vex_index_bit_set(bits, slot);
    vex_index_forget(index, bits, slot + 1);
    vex_mem_free(bits);
}

static void follow_slot(const struct follow *f, const struct vex_index_note *note)
{
    const struct vex_row *row = vex_rows_at(f->data->rows, note->slot);
    bool live = row->state == VEX_ROW_LIVE, lost = false;
    struct vex_value before = {NULL}, after = {NULL};

    if (note->live && note->blob != 0) {
        struct vex_str blob = vex_heap_get(f->data->heap, note->blob, note->blob_len);
        lost = blob.ptr == NULL;
        before = vex_blob_payload(blob);
    }
    if (live)
        after = vex_collection_payload(f->data, note->slot);
    for (uint32_t i = 0; i < f->set->count; i++) {
        struct vex_index_entry *entry = f->set->entries[i];

        if (!entry->ready)
            continue;
        if (note->live && live && !lost && unchanged(entry->index, before, after))
            continue;
        if (lost)
            forget_slot(entry->index, note->slot);
        else if (note->live)
            vex_index_remove(entry->index, note->slot, before);
        if (live)
            vex_index_add(entry->index, note->slot, after);
    }
    f->set->pending[note->slot / 64] &= ~(UINT64_C(1) << (note->slot % 64));
}

/* As many as fit in a piece, from the end: the notes shrink with the pending slots. */
static size_t follow_piece(const struct follow *f)
{
    struct vex_index_set *set = f->set;
    struct vex_io *io = set->collection->engine->io;
    uint64_t begin = vex_io_monotonic_ns(io);
    size_t done = 0;

    while (set->note_count > 0) {
        follow_slot(f, &set->notes[--set->note_count]);
        if (++done % PIECE_LOOK == 0 && vex_io_monotonic_ns(io) - begin >= PIECE_NS)
            break;
    }
    return done;
}

static void merge_runs(struct vex_index_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (!set->entries[i]->ready || !vex_index_prepare(set->entries[i]->index))
            continue;
        vex_collection_write_begin(set->collection);
        vex_index_publish(set->entries[i]->index);
        vex_collection_write_end(set->collection);
    }
}

static void wait_saved(struct vex_index_set *set)
{
    pthread_mutex_lock(&set->work.lock);
    while (set->saving)
        pthread_cond_wait(&set->work.changed, &set->work.lock);
    pthread_mutex_unlock(&set->work.lock);
}

void vex_index_set_follow_soon(struct vex_index_set *set, size_t spare)
{
    bool saving;

    if (set == NULL || set->note_count <= spare)
        return;
    pthread_mutex_lock(&set->work.lock);
    saving = set->saving;
    pthread_mutex_unlock(&set->work.lock);
    if (!saving || set->note_count > SAVING_SPARE)
        vex_index_set_follow(set, spare);
}

void vex_index_set_follow(struct vex_index_set *set, size_t spare)
{
    struct follow f = {.set = set};
    size_t since = 0;

    if (set == NULL || set->note_count <= spare)
        return;
    wait_saved(set);
    f.data = &set->collection->data;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->entries[i]->ready)
            set->entries[i]->changed += set->note_count;
    while (set->note_count > 0) {
        vex_collection_write_begin(set->collection);
        since += follow_piece(&f);
        vex_collection_write_end(set->collection);
        if (since >= MERGE_EVERY || set->note_count == 0) {
            merge_runs(set);
            since = 0;
        }
    }
    if (set->note_cap > NOTES_KEEP) {
        vex_mem_free(set->notes);
        set->notes = NULL;
        set->note_cap = 0;
    }
}

/* ---- telling ---- */

static struct vex_index_info describe(struct vex_index_set *set, const struct vex_index_entry *entry,
                                      uint64_t now)
{
    struct vex_index_info info = {.ready = entry->ready};

    if (entry->ready) {
        info.points = vex_index_points(entry->index);
        info.bytes = vex_index_bytes(entry->index);
        return info;
    }
    pthread_mutex_lock(&set->work.lock);
    info.points = entry->points;
    info.done = entry->done;
    info.total = entry->total;
    if (entry->done > 0 && now > entry->began_ns)
        info.left_ns = (uint64_t)((double)(now - entry->began_ns) * (double)(entry->total - entry->done) /
                                  (double)entry->done);
    pthread_mutex_unlock(&set->work.lock);
    return info;
}

int vex_collection_indexes(struct vex_collection *collection, struct vex_arena *arena,
                           struct vex_index_info **ret, uint32_t *ret_count, struct vex_err *err)
{
    struct vex_collection_data data;
    int rc = vex_collection_read_begin(collection, &data, err);
    uint64_t now;

    if (rc != 0)
        return rc;
    now = vex_io_monotonic_ns(collection->engine->io);
    *ret_count = data.indexes->count;
    *ret = VEX_ARENA_ARRAY(arena, struct vex_index_info, data.indexes->count + (size_t)1);
    for (uint32_t i = 0; i < data.indexes->count; i++) {
        const struct vex_index_entry *entry = data.indexes->entries[i];

        (*ret)[i] = describe(data.indexes, entry, now);
        (*ret)[i].field = vex_str(vex_arena_dup(arena, entry->field.ptr, entry->field.len), entry->field.len);
    }
    vex_collection_read_end(collection);
    return 0;
}
