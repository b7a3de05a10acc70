/* Exact search: one pass over the vectors for up to eight queries at a time.
 *
 * Role      The vectors are taken in blocks that stay in the cache while each query of the group is measured
 *           against them and the next block is on its way: a batch costs one pass over memory for eight.
 * Memory    None of its own but the stack: the row of hits of a query serves as its bounded heap (farthest on
 *           top) and is sorted in place at the end.
 * Order     Distance, then slot: the answer does not depend on how the work is cut. */
#include "uapi/exact.h"

#include "uapi/dist.h"

#define GROUP        8
#define BLOCK_SLOTS  256
#define BLOCK_BYTES  16384u
#define LONG_BYTES   400u   /* a stride from which a vector is long */
#define CANCEL_EVERY 65536u /* distances between two looks at `cancelled` */
#define QUERIES_MAX  1024u

/* ---- Bounded heap in a row of hits ---- */

struct heap {
    struct vex_dev_hit *hits;
    uint32_t count, limit;
};

static inline bool nearer(struct vex_dev_hit a, struct vex_dev_hit b)
{
    return a.distance < b.distance || (a.distance == b.distance && a.slot < b.slot);
}

static void sift_down(struct vex_dev_hit *hits, size_t count, struct vex_dev_hit hit)
{
    size_t at = 0, child;
    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && nearer(hits[child], hits[child + 1]))
            child++;
        if (!nearer(hit, hits[child]))
            break;
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = hit;
}

static void push(struct heap *heap, struct vex_dev_hit hit)
{
    size_t at = heap->count++;
    while (at > 0 && nearer(heap->hits[(at - 1) / 2], hit)) {
        heap->hits[at] = heap->hits[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->hits[at] = hit;
}

static inline void offer(struct heap *heap, struct vex_dev_hit hit)
{
    if (heap->count < heap->limit)
        push(heap, hit);
    else if (nearer(hit, heap->hits[0]))
        sift_down(heap->hits, heap->count, hit);
}

static void sort(struct heap *heap)
{
    for (size_t count = heap->count; count > 1; count--) {
        struct vex_dev_hit last = heap->hits[count - 1];
        heap->hits[count - 1] = heap->hits[0];
        sift_down(heap->hits, count - 1, last);
    }
}

/* ---- Walk ---- */

uint32_t vex_exact_next(struct vex_exact_walk *walk, uint32_t max, uint32_t *ret_slots)
{
    uint32_t count = 0;
    if (walk->allow == NULL) {
        while (count < max && walk->at < walk->end)
            ret_slots[count++] = (uint32_t)walk->at++;
        return count;
    }
    while (count < max && walk->at < walk->end) {
        uint64_t word = walk->allow[walk->at / 64] >> (walk->at % 64);
        if (word == 0) {
            walk->at = (walk->at / 64 + 1) * 64;
            continue;
        }
        walk->at += (unsigned)__builtin_ctzll(word);
        if (walk->at < walk->end)
            ret_slots[count++] = (uint32_t)walk->at++;
    }
    return count;
}

/* ---- Search ---- */

struct block {
    uint32_t slots[BLOCK_SLOTS];
    uint32_t count;
};

struct pass {
    vex_dist_fn *one;
    vex_dist4_fn *four;
    uint32_t bytes; /* of a vector, without the padding */
};

/* The nth of so many queries. */
struct share {
    uint32_t nth, of;
};

static inline const char *vector_at(const struct vex_exact *set, uint64_t slot)
{
    return (const char *)((uintptr_t)set->base + slot * set->stride);
}

/* Fetches this query's share of a vector: the queries of a pass take turns at its cache lines, so that memory
 * is busy during all of their work. */
static inline void fetch(const char *vector, uint32_t bytes, struct share share)
{
    for (uint32_t line = share.nth * 64; line < bytes; line += share.of * 64)
        __builtin_prefetch(vector + line);
}

static bool has_gaps(const struct block *block)
{
    return block->count > 0 && block->slots[block->count - 1] - block->slots[0] != block->count - 1;
}

/* Measures a block against one query while the next block is fetched. Vectors are taken four at once, but for
 * long ones on their way from memory: those go one by one, the order in which the hardware reads ahead best,
 * and then fetching by hand would only disturb it, unless there are gaps (measured: bench/uapi_search.c). */
static void measure(const struct vex_exact *set, const struct pass *pass, const float *query,
                    const struct block *block, const struct block *next, struct share share,
                    struct heap *heap)
{
    uint32_t i = 0, n = block->count, each = share.nth == 0 && set->stride >= LONG_BYTES ? 1 : 4;
    bool by_hand = each == 4 || share.of > 1 || has_gaps(next);
    for (; i + each <= n; i += each) {
        const void *vectors[4];
        float distances[4];
        for (uint32_t j = 0; j < each; j++) {
            vectors[j] = vector_at(set, block->slots[i + j]);
            if (by_hand && i + j < next->count)
                fetch(vector_at(set, next->slots[i + j]), pass->bytes, share);
        }
        if (each == 4)
            pass->four(query, vectors, set->dimensions, distances);
        else
            distances[0] = pass->one(query, vectors[0], set->dimensions);
        for (uint32_t j = 0; j < each; j++)
            offer(heap, (struct vex_dev_hit){distances[j], block->slots[i + j]});
    }
    for (; i < n; i++) {
        float distance = pass->one(query, vector_at(set, block->slots[i]), set->dimensions);
        offer(heap, (struct vex_dev_hit){distance, block->slots[i]});
    }
}

static bool is_cancelled(const struct vex_dev_search *search)
{
    return search->cancelled != NULL && *search->cancelled != 0;
}

int vex_exact_check(const struct vex_dev_search *search)
{
    bool sound = search->count >= 1 && search->count <= QUERIES_MAX && search->k >= 1 &&
                 (unsigned)search->distance < VEX_DISTANCE_COUNT && search->queries != NULL &&
                 search->hits != NULL && search->found != NULL;
    return sound ? 0 : VEX_EBAD_INPUT;
}

/* One pass for queries [from, from + count). */
static int run(const struct vex_exact *set, const struct vex_dev_search *search, uint32_t from,
               uint32_t count, uint64_t *read)
{
    struct pass pass = {vex_dist(search->distance, set->element), vex_dist4(search->distance, set->element),
                        set->dimensions * vex_element_size(set->element)};
    uint64_t end = (uint64_t)search->first + search->slots;
    struct vex_exact_walk walk = {search->allow, search->first, end < set->slots ? end : set->slots};
    uint32_t block_slots = BLOCK_BYTES / set->stride;
    block_slots = block_slots < 4 ? 4 : block_slots > BLOCK_SLOTS ? BLOCK_SLOTS : block_slots;
    struct heap heaps[GROUP];
    for (uint32_t q = 0; q < count; q++)
        heaps[q] = (struct heap){search->hits + (size_t)(from + q) * search->k, 0, search->k};

    struct block blocks[2], *block = &blocks[0], *next = &blocks[1];
    uint64_t measured = CANCEL_EVERY;
    next->count = vex_exact_next(&walk, block_slots, next->slots);
    while (next->count > 0) {
        struct block *free_block = block;
        block = next;
        next = free_block;
        next->count = vex_exact_next(&walk, block_slots, next->slots);
        if (measured >= CANCEL_EVERY) {
            if (is_cancelled(search))
                return VEX_ECANCELLED;
            measured = 0;
        }
        for (uint32_t q = 0; q < count; q++)
            measure(set, &pass, search->queries + (size_t)(from + q) * set->dimensions, block, next,
                    (struct share){q, count}, &heaps[q]);
        measured += (uint64_t)block->count * count;
        *read += block->count;
    }
    for (uint32_t q = 0; q < count; q++) {
        sort(&heaps[q]);
        search->found[from + q] = heaps[q].count;
    }
    return 0;
}

int vex_exact_search(const struct vex_exact *set, const struct vex_dev_search *search, uint64_t *ret_read)
{
    *ret_read = 0;
    for (uint32_t from = 0; from < search->count; from += GROUP) {
        uint32_t left = search->count - from;
        int rc = run(set, search, from, left < GROUP ? left : GROUP, ret_read);
        if (rc < 0)
            return rc;
    }
    return 0;
}
