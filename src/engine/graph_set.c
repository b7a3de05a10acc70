/* The graph set: which dense names of a collection have a graph, and how graphs follow its points. See graph_set.h.
 *
 * Owner     The open collection. Lock: graph_set_private.h.
 * Invariant A live slot that has the name's vector is linked or in the tail; in both, if it is in doubt. A linked slot is live, or
 *           counted as dead. A held slot is live, not linked, and in the tail. */
#include "engine/graph_set.h"

#include "base/mem.h"
#include "engine/graph_set_private.h"
#include "engine/index/huge.h"
#include "engine/index/ivf.h"

#define DEAD_PERCENT 15u /* of the linked slots: beyond that links are mended */
#define DEAD_MIN     64u
#define HELD_SHARE   64u /* of the linked slots: beyond one in so many, and some, the codes learn anew */
#define HELD_MIN     64u
#define COME_SHARE   16u   /* when so many have come since they did: what was there then is as it was */
#define FEW          1000u /* whoever has learnt of less knows little */
#define FEW_TIMES    4u
#define FEW_SHARE    256u
#define FEW_HELD_MIN 16u

/* ---- which graphs ---- */

static bool can_have(const struct vex_vector_params *params)
{
    return params->kind == VEX_VECTOR_DENSE && params->size != 0;
}

struct vex_graph_entry *vex_graph_set_find(const struct vex_graph_set *set, uint8_t ordinal)
{
    for (uint32_t i = 0; set != NULL && i < set->count; i++)
        if (set->entries[i]->ordinal == ordinal)
            return set->entries[i];
    return NULL;
}

void vex_graph_part_clear(struct vex_graph_set *set, struct vex_graph_part *part)
{
    if (part->graph != NULL || part->file != NULL) {
        vex_graph_saving_graph_gone(set, part->graph);
        pthread_mutex_lock(&set->work.lock);
        set->garbage = vex_mem_realloc(set->garbage, (set->garbage_count + (size_t)1) * sizeof *set->garbage);
        set->garbage[set->garbage_count++] = (struct vex_graph_trash){part->graph, part->file};
        pthread_mutex_unlock(&set->work.lock);
    }
    vex_mem_free(part->tail);
    vex_mem_free(part->tail_some);
    vex_mem_free(part->held);
    memset(part, 0, sizeof *part);
}

static uint64_t first_set(uint64_t own, uint64_t node, uint64_t otherwise)
{
    return own != 0 ? own : node != 0 ? node : otherwise;
}

/* The name's own settings, then the node's. */
static struct vex_graph_settings with_defaults(const struct vex_graph_set *set,
                                               const struct vex_graph_settings *own)
{
    const struct vex_graph_settings *node = &set->collection->engine->options.graphs;
    struct vex_graph_settings settings = *own;

    settings.m = (uint32_t)first_set(own->m, node->m, VEX_GRAPH_M);
    settings.ef_construct =
        (uint32_t)first_set(own->ef_construct, node->ef_construct, VEX_GRAPH_EF_CONSTRUCT);
    settings.ef = (uint32_t)first_set(own->ef, node->ef, 0);
    settings.full_scan_kb = (uint32_t)first_set(own->full_scan_kb, node->full_scan_kb, 0);
    settings.threshold_kb = first_set(own->threshold_kb, node->threshold_kb, VEX_GRAPH_THRESHOLD_KB);
    return settings;
}

static struct vex_graph_entry *entry_for(struct vex_graph_set *set, const struct vex_vector_params *params)
{
    struct vex_graph_entry *entry = vex_graph_set_find(set, params->ordinal);

    if (entry == NULL) {
        entry = VEX_NEW(struct vex_graph_entry);
        entry->ordinal = params->ordinal;
        entry->size = params->size;
        entry->distance = params->distance;
        entry->element = params->element;
    }
    if (params->graph.on_disk && !entry->settings.on_disk)
        atomic_store(&entry->now.shed, true);
    entry->settings = with_defaults(set, &params->graph);
    if (entry->settings.never) {
        atomic_store(&set->sweep, true);
        vex_graph_part_clear(set, &entry->now);
        vex_graph_part_clear(set, &entry->next);
    }
    if (!entry->settings.filter_lists && entry->now.graph != NULL)
        vex_graph_lists_drop(entry->now.graph);
    return entry;
}

static void drop_entry(struct vex_graph_set *set, struct vex_graph_entry *entry)
{
    atomic_store(&set->sweep, true);
    vex_graph_part_clear(set, &entry->now);
    vex_graph_part_clear(set, &entry->next);
    vex_mem_free(entry);
}

void vex_graph_set_configure(struct vex_graph_set *set, const struct vex_config *config)
{
    struct vex_graph_entry **entries =
        vex_mem_alloc((config->vector_count + (size_t)1) * sizeof(struct vex_graph_entry *));
    uint32_t count = 0;

    for (uint32_t i = 0; i < config->vector_count; i++)
        if (can_have(&config->vectors[i]))
            entries[count++] = entry_for(set, &config->vectors[i]);
    for (uint32_t i = 0; i < set->count; i++) {
        bool kept = false;

        for (uint32_t j = 0; j < count; j++)
            kept = kept || entries[j] == set->entries[i];
        if (!kept)
            drop_entry(set, set->entries[i]);
    }
    vex_mem_free(set->entries);
    set->entries = entries;
    set->count = count;
}

/* ---- life ---- */

struct vex_graph_set *vex_graph_set_new(struct vex_collection *collection, const struct vex_config *config)
{
    struct vex_graph_set *set = VEX_NEW(struct vex_graph_set);

    set->collection = collection;
    vex_background_init(&set->work, collection, vex_graph_set_piece);
    vex_graph_set_configure(set, config);
    return set;
}

void vex_graph_set_free(struct vex_graph_set *set)
{
    if (set == NULL)
        return;
    vex_graph_saving_end(set);
    for (uint32_t i = 0; i < set->count; i++)
        drop_entry(set, set->entries[i]);
    for (uint32_t i = 0; i < set->garbage_count; i++) {
        vex_graph_free(set->garbage[i].graph);
        vex_io_close(set->collection->engine->io, set->garbage[i].file);
    }
    vex_mem_free(set->garbage);
    vex_mem_free(set->entries);
    vex_mem_free(set->vector);
    vex_huge_spare_free(set->spare);
    vex_background_done(&set->work);
    vex_mem_free(set);
}

/* ---- reading ---- */

bool vex_graph_set_view(const struct vex_graph_set *set, uint8_t ordinal, struct vex_graph_view *ret)
{
    const struct vex_graph_entry *entry = vex_graph_set_find(set, ordinal);

    if (entry == NULL || entry->now.graph == NULL)
        return false;
    *ret = (struct vex_graph_view){
        .graph = entry->now.graph,
        .tail = entry->now.tail,
        .tail_some = entry->now.tail_some,
        .held = entry->now.held,
        .tail_words = entry->now.tail_words,
        .tail_count = atomic_load_explicit(&entry->now.tail_count, memory_order_acquire),
        .held_count = atomic_load_explicit(&entry->now.held_count, memory_order_relaxed),
        .dead = atomic_load_explicit(&entry->now.dead, memory_order_relaxed),
        .ef = entry->settings.ef != 0 ? entry->settings.ef : entry->now.ef_construct,
        .full_scan_kb = entry->settings.full_scan_kb,
    };
    return true;
}

/* ---- what there is to do ---- */

static uint64_t threshold_bytes(const struct vex_graph_entry *entry)
{
    uint64_t kb = entry->settings.threshold_kb;

    return kb > UINT64_MAX / 1024 ? UINT64_MAX : kb * 1024;
}

bool vex_graph_entry_wants(const struct vex_graph_entry *entry, uint64_t vectors)
{
    uint64_t each = (uint64_t)entry->size * vex_element_size(entry->element);

    return entry->now.graph == NULL && !entry->settings.never && !entry->failed && vectors > 0 &&
           vectors > threshold_bytes(entry) / each;
}

/* A part is as the settings say. */
bool vex_graph_entry_settled(const struct vex_graph_entry *entry, const struct vex_graph_part *part)
{
    const struct vex_code_params *have = &vex_graph_params(part->graph)->codes,
                                 *want = &entry->settings.codes;

    return part->m == entry->settings.m && part->ef_construct == entry->settings.ef_construct &&
           vex_code_params_same(have, want) && have->query == want->query;
}

/* The tail first: who is held later is in it. */
uint64_t vex_graph_part_waiting(const struct vex_graph_part *part)
{
    uint64_t tail = atomic_load_explicit(&part->tail_count, memory_order_acquire);
    uint64_t held = atomic_load_explicit(&part->held_count, memory_order_relaxed);

    return tail > held ? tail - held : 0; /* who has no lock may see them out of step */
}

bool vex_graph_part_has_drifted(const struct vex_graph_part *part)
{
    uint64_t held = atomic_load_explicit(&part->held_count, memory_order_relaxed), count;
    uint64_t come = atomic_load_explicit(&part->come, memory_order_relaxed);

    if (part->graph == NULL || held == 0)
        return false;
    count = vex_graph_count(part->graph);
    if (part->learnt_of > 0 && part->learnt_of < FEW && come >= part->learnt_of * FEW_TIMES &&
        held > FEW_HELD_MIN + count / FEW_SHARE)
        return true;
    return held > HELD_MIN + count / HELD_SHARE && come >= part->learnt_of + part->learnt_of / COME_SHARE;
}

bool vex_graph_part_is_worn(const struct vex_graph_part *part)
{
    uint64_t dead = atomic_load_explicit(&part->dead, memory_order_relaxed);

    return part->graph != NULL && dead >= DEAD_MIN &&
           dead * 100 > (uint64_t)vex_graph_count(part->graph) * DEAD_PERCENT;
}

static bool has_work(const struct vex_graph_set *set, const struct vex_graph_entry *entry, uint64_t live)
{
    const struct vex_graph_part *now = &entry->now;

    if (entry->failed)
        return false;
    if (now->graph == NULL)
        return vex_graph_entry_wants(entry, live);
    return entry->next.graph != NULL || !vex_graph_entry_settled(entry, now) ||
           vex_graph_part_waiting(now) > 0 || vex_graph_part_has_drifted(now) ||
           vex_graph_part_is_tended(now) || now->file != NULL || vex_graph_entry_must_settle(entry) ||
           vex_graph_entry_must_remap(entry) ||
           vex_graph_part_is_due(now, vex_io_monotonic_ns(set->collection->engine->io), false);
}

void vex_graph_set_look(struct vex_graph_set *set, uint64_t live)
{
    bool work = set != NULL && atomic_load_explicit(&set->sweep, memory_order_relaxed);

    for (uint32_t i = 0; set != NULL && !work && i < set->count; i++)
        work = has_work(set, set->entries[i], live);
    if (work)
        vex_background_schedule(&set->work);
}

void vex_graph_set_want_lists(struct vex_graph_set *set, uint8_t ordinal)
{
    struct vex_graph_entry *entry = vex_graph_set_find(set, ordinal);

    if (entry != NULL && entry->settings.filter_lists &&
        !atomic_exchange_explicit(&entry->now.lists_wanted, true, memory_order_relaxed))
        vex_background_schedule(&set->work);
}

/* ---- following ---- */

/* A longer bitmap with the same bits; NULL: no memory. */
static uint64_t *longer(const uint64_t *bits, size_t have, size_t words)
{
    return vex_mem_longer(bits, have * sizeof *bits, words * sizeof *bits);
}

static size_t summary_words(size_t words)
{
    return (words + 63) / 64;
}

void vex_graph_part_set_tail(struct vex_graph_part *part, size_t word, uint64_t bits)
{
    part->tail[word] = bits;
    if (bits != 0)
        part->tail_some[word / 64] |= UINT64_C(1) << (word % 64);
}

int vex_graph_part_reserve(struct vex_graph_part *part, uint32_t slots)
{
    size_t words;
    uint64_t *tail, *some, *held;
    int rc;

    if (part->graph == NULL)
        return 0;
    rc = vex_graph_reserve(part->graph, slots); /* which also frees what readers may have been in */
    if (rc != 0)
        return rc;
    words = vex_graph_slots(part->graph) / 64;
    if (words <= part->tail_words)
        return 0;
    tail = longer(part->tail, part->tail_words, words);
    some = longer(part->tail_some, summary_words(part->tail_words), summary_words(words));
    held = longer(part->held, part->tail_words, words);
    if (tail == NULL || some == NULL || held == NULL) {
        vex_mem_free(tail);
        vex_mem_free(some);
        vex_mem_free(held);
        return VEX_ENO_MEMORY;
    }
    vex_mem_free(part->tail);
    vex_mem_free(part->tail_some);
    vex_mem_free(part->held);
    part->tail = tail;
    part->tail_some = some;
    part->held = held;
    part->tail_words = words;
    return 0;
}

int vex_graph_set_reserve(struct vex_graph_set *set, uint32_t slots)
{
    int rc = 0;

    for (uint32_t i = 0; set != NULL && rc == 0 && i < set->count; i++) {
        rc = vex_graph_part_reserve(&set->entries[i]->now, slots);
        if (rc == 0)
            rc = vex_graph_part_reserve(&set->entries[i]->next, slots);
    }
    return rc;
}

static bool unhold(struct vex_graph_part *part, uint32_t slot)
{
    uint64_t bit = UINT64_C(1) << (slot % 64);

    if ((part->held[slot / 64] & bit) == 0)
        return false;
    part->held[slot / 64] &= ~bit;
    atomic_fetch_sub_explicit(&part->held_count, 1, memory_order_relaxed);
    return true;
}

/* What the slot was linked for is gone; its vector is to be linked anew. */
static void born(struct vex_graph_part *part, uint32_t slot)
{
    uint64_t bit = UINT64_C(1) << (slot % 64), *word;

    if (part->graph == NULL)
        return;
    if (vex_graph_has(part->graph, slot)) {
        vex_graph_drop(part->graph, slot);
        atomic_fetch_sub_explicit(&part->dead, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&part->changed, 1, memory_order_relaxed);
    }
    (void)unhold(part, slot);
    word = &part->tail[slot / 64];
    if ((__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit) == 0)
        atomic_fetch_add_explicit(&part->tail_count, 1, memory_order_relaxed);
    part->tail_some[slot / 64 / 64] |= UINT64_C(1) << (slot / 64 % 64);
    if (slot < part->at)
        part->at = slot;
}

/* One of the tail leaves it when its turn comes. */
static void gone(struct vex_graph_part *part, uint32_t slot)
{
    if (part->graph == NULL)
        return;
    if (unhold(part, slot) && slot < part->at)
        part->at = slot;
    if (!vex_graph_has(part->graph, slot))
        return;
    atomic_fetch_add_explicit(&part->dead, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&part->changed, 1, memory_order_relaxed);
    if ((part->tail[slot / 64] >> (slot % 64) & 1) != 0)
        atomic_fetch_sub_explicit(&part->doubtful, 1, memory_order_relaxed);
}

void vex_graph_set_born(struct vex_graph_set *set, uint32_t slot, uint64_t vectors)
{
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        struct vex_graph_entry *entry = set->entries[i];

        if ((vectors >> entry->ordinal & 1) == 0)
            continue;
        born(&entry->now, slot);
        born(&entry->next, slot);
    }
}

void vex_graph_set_gone(struct vex_graph_set *set, uint32_t slot, uint64_t vectors)
{
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        struct vex_graph_entry *entry = set->entries[i];

        if ((vectors >> entry->ordinal & 1) == 0)
            continue;
        gone(&entry->now, slot);
        gone(&entry->next, slot);
    }
}

/* ---- telling ---- */

/* Counted slot by slot: sums of what the worker counts would be wrong while it moves a slot from one to another. */
static uint64_t count_settled(const struct vex_graph_part *part, const uint64_t *present, size_t words)
{
    uint64_t count = 0;

    for (size_t w = 0; present != NULL && w < words; w++) {
        uint64_t waits = w < part->tail_words ? __atomic_load_n(&part->tail[w], __ATOMIC_ACQUIRE) : 0;

        if (waits != 0)
            waits &= ~__atomic_load_n(&part->held[w], __ATOMIC_RELAXED);
        count += (uint64_t)__builtin_popcountll(present[w] & ~waits);
    }
    return count;
}

/* Shared lock. */
static struct vex_graph_info describe(const struct vex_graph_entry *entry, const struct vex_rows *rows)
{
    const uint64_t *present = vex_rows_present(rows, entry->ordinal);
    size_t words = ((size_t)vex_rows_slots(rows) + 63) / 64;
    const struct vex_graph_part *now = &entry->now;
    struct vex_graph_info info = {.ordinal = entry->ordinal, .stands = now->graph != NULL};

    info.building =
        !entry->failed && (entry->next.graph != NULL ||
                           vex_graph_entry_wants(entry, vex_rows_present_count(rows, entry->ordinal)));
    if (now->graph == NULL)
        return info;
    info.waiting = vex_graph_part_waiting(now); /* first: nothing waits, all is settled */
    info.linked = count_settled(now, present, words);
    info.bytes = vex_graph_bytes(now->graph);
    if (!entry->failed)
        info.building = info.building || info.waiting > 0 || !vex_graph_entry_settled(entry, now) ||
                        vex_graph_part_has_drifted(now) || vex_graph_part_is_tended(now);
    return info;
}

int vex_collection_graphs(struct vex_collection *collection, struct vex_arena *arena,
                          struct vex_graph_info **ret, uint32_t *ret_count, struct vex_err *err)
{
    struct vex_collection_data data;
    int rc = vex_collection_read_begin(collection, &data, err);

    if (rc != 0)
        return rc;
    *ret_count = data.graphs->count;
    *ret = VEX_ARENA_ARRAY(arena, struct vex_graph_info, data.graphs->count + (size_t)1);
    for (uint32_t i = 0; i < data.graphs->count; i++)
        (*ret)[i] = describe(data.graphs->entries[i], data.rows);
    vex_collection_read_end(collection);
    return 0;
}
