/* Posting lists: memory, adding and taking out. See ivf.h.
 *
 * Chunks     A list is a chain of chunks. They are taken from one array as slots come while the lists are filled, and brought
 *            together before the lists serve; later ones follow behind. A slot that is taken out leaves a hole for the list's next one:
 *            nothing is moved while anybody reads, so that none is missed that was there.
 * Room       for twice the slots there were when it was begun and some holes; when it is used up the lists are incomplete, answer no
 *            more and are built anew. */
#include "engine/index/ivf.h"

#include "base/mem.h"
#include "engine/index/ivf_private.h"

#define SLOTS_PER_LIST 128u
#define LISTS_MIN      32u
#define GROUPED        256u /* lists from which groups pay */
#define PROBES         6u   /* groups looked at for a nearest centroid */
#define GROWTH         2u   /* times so many slots there is room for */
#define PACK_LISTS     256u /* brought together at once */

static _Atomic uint64_t made; /* files so far */

static uint32_t groups_of(uint32_t lists)
{
    uint32_t groups = 1;

    while (lists >= GROUPED && groups < IVF_GROUPS_MAX && 2 * groups * groups <= lists)
        groups *= 2;
    return groups;
}

struct vex_ivf *ivf_new(const struct vex_graph *graph, uint32_t count)
{
    struct vex_ivf *ivf = VEX_NEW(struct vex_ivf);
    uint32_t lists = count / SLOTS_PER_LIST;

    lists = lists < LISTS_MIN ? LISTS_MIN : lists < IVF_LISTS_MAX ? lists : IVF_LISTS_MAX;
    ivf->id = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
    ivf->stride = graph->codes.stride;
    ivf->lists = lists;
    ivf->groups = groups_of(lists);
    ivf->learnt_of = count;
    ivf->slots = graph->slots < UINT32_MAX / GROWTH ? graph->slots * GROWTH : UINT32_MAX;
    ivf->four = vex_code_kernels(VEX_DISTANCE_L2, VEX_CODES_7_BITS).four;
    ivf->split = (GROWTH + 1) * (count / IVF_CHUNK_SLOTS) + 2 * lists + 1;
    ivf->chunk_count = ivf->split;
    atomic_init(&ivf->chunks_used, 1);
    ivf->begins = vex_mem_zalloc((ivf->groups + 1) * sizeof *ivf->begins);
    ivf->begins[ivf->groups] = lists;
    ivf->heads = vex_mem_zalloc(lists * sizeof *ivf->heads);
    ivf->pivots = vex_mem_zalloc(ivf->groups * (size_t)ivf->stride);
    ivf->centroids = vex_mem_try_zeroed((lists + IVF_BEHIND) * (size_t)ivf->stride);
    ivf->list_of = vex_mem_try_zeroed(ivf->slots * sizeof *ivf->list_of);
    if (ivf->centroids != NULL && ivf->list_of != NULL &&
        vex_huge_grow(&ivf->filling, ivf->split * sizeof(struct ivf_chunk)))
        return ivf;
    ivf_free(ivf);
    return NULL;
}

void ivf_training_free(struct ivf_training *training)
{
    if (training == NULL)
        return;
    vex_mem_free(training->sample);
    vex_mem_free(training->sums);
    vex_mem_free(training->sizes);
    vex_mem_free(training);
}

void ivf_free(struct vex_ivf *ivf)
{
    while (ivf != NULL) {
        struct vex_ivf *older = atomic_load_explicit(&ivf->older, memory_order_relaxed);
        ivf_training_free(ivf->training);
        vex_mem_free(ivf->measuring);
        vex_mem_free(ivf->begins);
        vex_mem_free(ivf->heads);
        vex_mem_free(ivf->pivots);
        vex_mem_free(ivf->centroids);
        vex_mem_free((void *)ivf->list_of);
        vex_huge_free(&ivf->filling);
        vex_huge_free(&ivf->packed);
        vex_mem_free(ivf);
        ivf = older;
    }
}

uint64_t ivf_bytes(const struct vex_ivf *ivf)
{
    uint64_t bytes = 0;

    for (; ivf != NULL; ivf = atomic_load_explicit(&ivf->older, memory_order_acquire))
        bytes += sizeof *ivf + ivf->lists * (sizeof *ivf->heads + (uint64_t)ivf->stride) +
                 ivf->slots * sizeof *ivf->list_of + ivf->split * (uint64_t)sizeof(struct ivf_chunk);
    return bytes;
}

/* False: there is no room. */
static bool pack(struct vex_ivf *ivf, struct ivf_list *head)
{
    uint32_t from = atomic_load_explicit(&head->first, memory_order_relaxed);
    uint32_t to = atomic_load_explicit(&ivf->chunks_used, memory_order_relaxed), first = to;

    for (; from != IVF_NO_CHUNK; to++) {
        if (to == ivf->chunk_count)
            return false;
        memcpy(ivf_chunk(ivf, to), ivf_chunk(ivf, from), sizeof(struct ivf_chunk));
        from = ivf_chunk(ivf, to)->next;
        if (from != IVF_NO_CHUNK)
            ivf_chunk(ivf, to)->next = to + 1;
    }
    if (to == first)
        return true;
    atomic_store_explicit(&head->first, first, memory_order_relaxed);
    atomic_store_explicit(&head->last, to - 1, memory_order_relaxed);
    atomic_store_explicit(&ivf->chunks_used, to, memory_order_relaxed);
    return true;
}

bool ivf_pack_piece(struct vex_ivf *ivf)
{
    uint32_t end = ivf->packing + PACK_LISTS;

    if (ivf->packed.base == NULL) {
        if (!vex_huge_grow(&ivf->packed, ivf->split * sizeof(struct ivf_chunk))) {
            atomic_store_explicit(&ivf->spent, true, memory_order_relaxed);
            return true;
        }
        atomic_store_explicit(&ivf->chunks_used, ivf->split, memory_order_relaxed);
        ivf->chunk_count = 2 * ivf->split;
    }
    for (; ivf->packing < end && ivf->packing < ivf->lists; ivf->packing++)
        if (!pack(ivf, &ivf->heads[ivf->packing])) {
            atomic_store_explicit(&ivf->spent, true, memory_order_relaxed);
            return true;
        }
    if (ivf->packing < ivf->lists)
        return false;
    vex_huge_free(&ivf->filling);
    return true;
}

/* ---- which list ---- */

struct best {
    uint32_t distance, list;
};

/* Four in a row; what they belong to doesn't matter. */
static inline void look_at_four(const struct vex_ivf *ivf, const uint8_t *code, uint32_t from,
                                struct best *best)
{
    uint32_t distances[4];

    ivf_compare_row(ivf, ivf->four, code, ivf_centroid(ivf, from), distances);
    for (uint32_t i = 0; i < 4; i++)
        if (distances[i] < best->distance && from + i < ivf->lists)
            *best = (struct best){distances[i], from + i};
}

/* Sorted in; the farthest falls out. */
static uint32_t keep_nearest(uint64_t *keys, uint32_t count, uint64_t key)
{
    uint32_t at = count < PROBES ? count : PROBES - 1;

    if (count == PROBES && key >= keys[at])
        return count;
    for (; at > 0 && keys[at - 1] > key; at--)
        keys[at] = keys[at - 1];
    keys[at] = key;
    return count < PROBES ? count + 1 : count;
}

uint32_t ivf_nearest(const struct vex_ivf *ivf, const uint8_t *code)
{
    struct best best = {UINT32_MAX, 0};
    uint64_t groups[PROBES] = {0};
    uint32_t probes = ivf->groups == 1;

    for (uint32_t g = 0; g + 4 <= ivf->groups; g += 4) { /* a power of two */
        uint32_t distances[4];
        ivf_compare_row(ivf, ivf->four, code, ivf_pivot(ivf, g), distances);
        for (uint32_t i = 0; i < 4; i++)
            probes = keep_nearest(groups, probes, (uint64_t)distances[i] << 32 | (g + i));
    }
    for (uint32_t i = 0; i < probes; i++) {
        uint32_t g = (uint32_t)groups[i], end = ivf->begins[g + 1];
        for (uint32_t at = ivf->begins[g]; at < end; at += 4)
            look_at_four(ivf, code, at, &best);
    }
    return best.list;
}

/* ---- slots ---- */

static void list_lock(struct ivf_list *list)
{
    while (atomic_exchange_explicit(&list->lock, 1, memory_order_acquire) != 0)
        sched_yield();
}

static void list_unlock(struct ivf_list *list)
{
    atomic_store_explicit(&list->lock, 0, memory_order_release);
}

/* The place of `slot` (NO_SLOT: of a hole) in a list, with its lock. NULL: it isn't there. */
static _Atomic uint32_t *find_slot(const struct vex_ivf *ivf, const struct ivf_list *list, uint32_t slot)
{
    uint32_t at = atomic_load_explicit(&list->first, memory_order_relaxed);

    while (at != IVF_NO_CHUNK) {
        struct ivf_chunk *chunk = ivf_chunk(ivf, at);
        uint32_t used = atomic_load_explicit(&chunk->used, memory_order_relaxed);
        for (uint32_t i = 0; i < used; i++)
            if (atomic_load_explicit(&chunk->slots[i], memory_order_relaxed) == slot)
                return &chunk->slots[i];
        at = atomic_load_explicit(&chunk->next, memory_order_relaxed);
    }
    return NULL;
}

/* With the list's lock; NULL: no chunk is left. */
static struct ivf_chunk *open_chunk(struct vex_ivf *ivf, struct ivf_list *list)
{
    uint32_t last = atomic_load_explicit(&list->last, memory_order_relaxed), at;

    if (last != IVF_NO_CHUNK &&
        atomic_load_explicit(&ivf_chunk(ivf, last)->used, memory_order_relaxed) < IVF_CHUNK_SLOTS)
        return ivf_chunk(ivf, last);
    at = atomic_fetch_add_explicit(&ivf->chunks_used, 1, memory_order_relaxed);
    if (at >= ivf->chunk_count) {
        atomic_store_explicit(&ivf->chunks_used, ivf->chunk_count, memory_order_relaxed);
        return NULL;
    }
    if (last == IVF_NO_CHUNK)
        atomic_store_explicit(&list->first, at, memory_order_release);
    else
        atomic_store_explicit(&ivf_chunk(ivf, last)->next, at, memory_order_release);
    atomic_store_explicit(&list->last, at, memory_order_relaxed);
    return ivf_chunk(ivf, at);
}

/* With the list's lock. */
static bool append(struct vex_ivf *ivf, struct ivf_list *list, uint32_t slot)
{
    struct ivf_chunk *chunk;
    uint32_t used;

    if (atomic_load_explicit(&list->holes, memory_order_relaxed) > 0) {
        _Atomic uint32_t *hole = find_slot(ivf, list, NO_SLOT);
        atomic_fetch_sub_explicit(&list->holes, 1, memory_order_relaxed);
        if (hole != NULL) {
            atomic_store_explicit(hole, slot, memory_order_relaxed);
            return true;
        }
    }
    chunk = open_chunk(ivf, list);
    if (chunk == NULL)
        return false;
    used = atomic_load_explicit(&chunk->used, memory_order_relaxed);
    atomic_store_explicit(&chunk->slots[used], slot, memory_order_relaxed);
    atomic_store_explicit(&chunk->used, used + 1, memory_order_release);
    return true;
}

void ivf_add(const struct vex_graph *graph, struct vex_ivf *ivf, uint32_t slot)
{
    uint32_t number;
    bool added;

    if (slot >= ivf->slots) {
        atomic_store_explicit(&ivf->spent, true, memory_order_relaxed);
        return;
    }
    if (atomic_load_explicit(&ivf->list_of[slot], memory_order_relaxed) != 0)
        return;
    number = ivf_nearest(ivf, graph_code(graph, slot));
    list_lock(&ivf->heads[number]);
    added = append(ivf, &ivf->heads[number], slot);
    list_unlock(&ivf->heads[number]);
    if (added)
        atomic_store_explicit(&ivf->list_of[slot], (uint16_t)(number + 1), memory_order_relaxed);
    else
        atomic_store_explicit(&ivf->spent, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&ivf->adds, 1, memory_order_release);
}

void ivf_remove(struct vex_ivf *ivf, uint32_t slot)
{
    uint32_t number = slot < ivf->slots ? atomic_load_explicit(&ivf->list_of[slot], memory_order_relaxed) : 0;
    struct ivf_list *list;
    _Atomic uint32_t *place;

    if (number == 0)
        return;
    list = &ivf->heads[number - 1];
    list_lock(list);
    place = find_slot(ivf, list, slot);
    if (place != NULL) {
        atomic_store_explicit(place, NO_SLOT, memory_order_relaxed);
        atomic_fetch_add_explicit(&list->holes, 1, memory_order_relaxed);
    }
    list_unlock(list);
    atomic_store_explicit(&ivf->list_of[slot], 0, memory_order_relaxed);
}

void graph_lists_add(struct vex_graph *graph, uint32_t slot)
{
    struct vex_ivf *ivf = atomic_load_explicit(&graph->ivf, memory_order_acquire);
    struct vex_ivf *next = atomic_load_explicit(&graph->ivf_next, memory_order_acquire);

    if (ivf != NULL)
        ivf_add(graph, ivf, slot);
    if (next != NULL && atomic_load_explicit(&next->learnt, memory_order_acquire))
        ivf_add(graph, next, slot);
}

void graph_lists_remove(struct vex_graph *graph, uint32_t slot)
{
    struct vex_ivf *ivf = atomic_load_explicit(&graph->ivf, memory_order_acquire);
    struct vex_ivf *next = atomic_load_explicit(&graph->ivf_next, memory_order_acquire);

    if (ivf != NULL)
        ivf_remove(ivf, slot);
    if (next != NULL)
        ivf_remove(next, slot);
}

/* ---- what searches ask ---- */

const struct vex_ivf *vex_graph_lists(const struct vex_graph *graph)
{
    const struct vex_ivf *ivf = atomic_load_explicit(&graph->ivf, memory_order_acquire);

    return ivf != NULL && !atomic_load_explicit(&ivf->spent, memory_order_relaxed) ? ivf : NULL;
}

uint32_t vex_ivf_lists(const struct vex_ivf *ivf)
{
    return ivf->lists;
}

uint32_t vex_ivf_reach(const struct vex_ivf *ivf)
{
    return ivf->reach;
}

struct vex_ivf_state vex_ivf_state(const struct vex_ivf *ivf)
{
    return (struct vex_ivf_state){ivf->id, atomic_load_explicit(&ivf->adds, memory_order_acquire)};
}

uint32_t vex_ivf_mark(const struct vex_ivf *ivf, const uint64_t *allow, size_t words, uint64_t *ret)
{
    uint32_t marked = 0;

    memset(ret, 0, (ivf->lists / 64 + 1) * sizeof *ret);
    for (size_t w = 0; w < words && w < ivf->slots / 64; w++)
        for (uint64_t bits = allow[w]; bits != 0; bits &= bits - 1) {
            uint32_t list = atomic_load_explicit(&ivf->list_of[w * 64 + (size_t)__builtin_ctzll(bits)],
                                                 memory_order_relaxed);
            ret[list / 64] |= UINT64_C(1) << (list % 64); /* bit 0: in none */
        }
    for (uint32_t w = 0; w <= ivf->lists / 64; w++) { /* without that bit */
        ret[w] = ret[w] >> 1 | (w < ivf->lists / 64 ? ret[w + 1] << 63 : 0);
        marked += (uint32_t)__builtin_popcountll(ret[w]);
    }
    return marked;
}
