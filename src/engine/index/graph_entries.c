/* Where walks begin: tables of sampled slots, made anew as the graph grows or shrinks by a quarter, or when half of the entries
 * are gone.
 *
 * Sample     One slot of every run of linked ones, at a place drawn in it: even over the slots, and so over time of arrival.
 * Groups     Every entry belongs to the nearest pivot. Looking at the pivots and at the best groups compares a few hundred codes
 *            instead of thousands and loses next to nothing: the walk goes on from there anyway. */
#include "base/mem.h"
#include "engine/index/graph_private.h"

#define ENTRY_STEP 48u  /* one entry for so many slots, until there are GRAPH_ENTRIES_MAX */
#define GROUPED    128u /* entries from which groups pay */
#define PROBES     6u   /* groups looked at */

struct graph_entries *graph_entries_new(uint32_t count, uint32_t groups, size_t stride)
{
    struct graph_entries *entries = VEX_NEW(struct graph_entries);

    entries->count = count;
    entries->groups = groups;
    entries->begins = vex_mem_zalloc((groups + 1) * sizeof *entries->begins);
    entries->slots = vex_mem_alloc(count * sizeof *entries->slots);
    entries->codes = vex_mem_alloc(count * stride);
    return entries;
}

void graph_entries_free(struct graph_entries *entries)
{
    while (entries != NULL) {
        struct graph_entries *older = entries->older;
        vex_mem_free(entries->begins);
        vex_mem_free((void *)entries->slots);
        vex_mem_free(entries->codes);
        vex_mem_free(entries);
        entries = older;
    }
}

uint32_t graph_draw_sample(const struct vex_graph *graph, uint32_t count, uint32_t most, uint32_t *ret)
{
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15) ^ count, seen = 0, next;
    uint32_t found = 0;
    double run = (double)count / most;

    next = (uint64_t)((double)(random >> 40) * 0x1p-24 * run);
    for (uint32_t w = 0; w < graph->slots / 64 && found < most; w++) {
        uint64_t bits = atomic_load_explicit(&graph->linked[w], memory_order_acquire);
        for (; bits != 0 && found < most; bits &= bits - 1) {
            if (seen++ != next)
                continue;
            ret[found++] = w * 64 + (uint32_t)__builtin_ctzll(bits);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            next = (uint64_t)(run * (found + (double)(random >> 40) * 0x1p-24));
            next = next < seen ? seen : next;
        }
    }
    return found;
}

/* The sampled slot that leads a group: they are spread over the sample. */
static uint32_t pivot(uint32_t g, uint32_t count, uint32_t groups)
{
    return (uint32_t)((uint64_t)g * count / groups);
}

/* The group of each of the sampled slots: by squared differences whatever the metric, so that no pivot draws all. Bits have none for
 * DOT: what is estimated has to do. */
static void assign(const struct vex_graph *graph, const uint32_t *sample, uint32_t count, uint32_t groups,
                   uint8_t *ret)
{
    vex_code_dist_fn *dist = vex_code_kernels(VEX_DISTANCE_L2, graph->codes.params.kind).one;
    uint8_t *buffer = vex_mem_alloc(graph->codes.query_size);

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *code = graph_as_query(graph, sample[i], buffer);
        uint32_t best = UINT32_MAX;
        for (uint32_t g = 0; g < groups; g++) {
            uint32_t distance =
                dist(code, graph_code(graph, sample[pivot(g, count, groups)]), graph->codes.stride);
            if (distance < best) {
                best = distance;
                ret[i] = (uint8_t)g;
            }
        }
    }
    vex_mem_free(buffer);
    for (uint32_t g = 0; g < groups; g++) /* even if it is a copy of another one: no group is empty */
        ret[pivot(g, count, groups)] = (uint8_t)g;
}

static void fill(const struct vex_graph *graph, struct graph_entries *entries, uint32_t place, uint32_t slot)
{
    atomic_init(&entries->slots[place], slot);
    memcpy(entries->codes + (size_t)place * graph->codes.stride, graph_code(graph, slot),
           graph->codes.stride);
}

/* In the order of groups, the pivot first in each. */
static void arrange(const struct vex_graph *graph, struct graph_entries *entries, const uint32_t *sample,
                    const uint8_t *group)
{
    uint32_t at[GRAPH_GROUPS_MAX] = {0}, count = entries->count, groups = entries->groups;

    for (uint32_t i = 0; i < count; i++)
        entries->begins[group[i] + 1]++;
    for (uint32_t g = 0; g < groups; g++) {
        entries->begins[g + 1] += entries->begins[g];
        at[g] = entries->begins[g];
        fill(graph, entries, at[g]++, sample[pivot(g, count, groups)]);
    }
    for (uint32_t i = 0; i < count; i++)
        if (i != pivot(group[i], count, groups))
            fill(graph, entries, at[group[i]]++, sample[i]);
}

/* With the lock. */
static void bound(struct vex_graph *graph, uint32_t count)
{
    atomic_store_explicit(&graph->entries_low, count - count / 4, memory_order_relaxed);
    atomic_store_explicit(&graph->entries_high, count + count / 4 + 1, memory_order_relaxed);
}

/* With the lock. */
static void renew(struct vex_graph *graph, uint32_t count)
{
    uint32_t sample[GRAPH_ENTRIES_MAX], want = count / ENTRY_STEP + 1, groups = 1;
    uint8_t group[GRAPH_ENTRIES_MAX] = {0};
    struct graph_entries *entries;

    bound(graph, count);
    want = graph_draw_sample(graph, count, want < GRAPH_ENTRIES_MAX ? want : GRAPH_ENTRIES_MAX, sample);
    if (want == 0)
        return;
    while (want >= GROUPED && groups * groups < 2 * want && groups < GRAPH_GROUPS_MAX)
        groups *= 2;
    if (groups > 1)
        assign(graph, sample, want, groups, group);
    entries = graph_entries_new(want, groups, graph->codes.stride);
    arrange(graph, entries, sample, group);
    entries->older = atomic_load_explicit(&graph->entries, memory_order_relaxed);
    atomic_store_explicit(&graph->entries, entries, memory_order_release);
}

void graph_entries_follow(struct vex_graph *graph, uint32_t count)
{
    if (count >= atomic_load_explicit(&graph->entries_low, memory_order_relaxed) &&
        count < atomic_load_explicit(&graph->entries_high, memory_order_relaxed))
        return;
    if (pthread_mutex_trylock(&graph->entry_lock) != 0)
        return; /* somebody is at it; the next change comes by again */
    count = vex_graph_count(graph);
    if (count < atomic_load_explicit(&graph->entries_low, memory_order_relaxed) ||
        count >= atomic_load_explicit(&graph->entries_high, memory_order_relaxed))
        renew(graph, count);
    pthread_mutex_unlock(&graph->entry_lock);
}

void graph_entries_remove(struct vex_graph *graph, uint32_t slot)
{
    struct graph_entries *entries;
    uint32_t living = 0;
    bool was = false;

    pthread_mutex_lock(&graph->entry_lock); /* a table under way is waited for: it may hold the slot */
    entries = atomic_load_explicit(&graph->entries, memory_order_relaxed);
    for (uint32_t i = 0; entries != NULL && i < entries->count; i++) {
        uint32_t at = atomic_load_explicit(&entries->slots[i], memory_order_relaxed);
        living += at != NO_SLOT && at != slot;
        if (at != slot)
            continue;
        was = true;
        atomic_store_explicit(&entries->slots[i], NO_SLOT, memory_order_relaxed);
    }
    if (was && living <= entries->count / 2)
        renew(graph, vex_graph_count(graph));
    pthread_mutex_unlock(&graph->entry_lock);
}

/* Sorted in; the farthest falls out. */
static inline uint32_t keep_nearest(struct vex_graph_hit *hits, uint32_t count, uint32_t most,
                                    uint32_t distance, uint32_t slot)
{
    uint32_t at = count;

    if (count == most) {
        if (distance >= hits[count - 1].distance)
            return count;
        at--;
    }
    for (; at > 0 && hits[at - 1].distance > distance; at--)
        hits[at] = hits[at - 1];
    hits[at] = (struct vex_graph_hit){distance, slot};
    return count < most ? count + 1 : count;
}

/* The entries in [from, to). */
static uint32_t look_at(const struct vex_graph *graph, const struct graph_entries *entries,
                        const uint8_t *query, const uint64_t *allow, uint32_t from, uint32_t to,
                        struct vex_graph_hit *ret, uint32_t count, uint32_t most)
{
    size_t stride = graph->codes.stride;

    for (; from < to; from += 4) {
        uint32_t distances[4], last = to - 1;
        const uint8_t *codes[4];
        for (uint32_t i = 0; i < 4; i++)
            codes[i] = entries->codes + (size_t)(from + i < last ? from + i : last) * stride;
        graph->codes.kernels.four(query, codes, stride, distances);
        for (uint32_t i = 0; i < 4 && from + i < to; i++) {
            uint32_t slot;
            if (count == most && distances[i] >= ret[count - 1].distance)
                continue;
            slot = atomic_load_explicit(&entries->slots[from + i], memory_order_relaxed);
            if (slot < graph->slots && (allow == NULL || graph_bit(allow, slot)))
                count = keep_nearest(ret, count, most, distances[i], slot);
        }
    }
    return count;
}

uint32_t graph_entries_nearest(const struct vex_graph *graph, const uint8_t *query, const uint64_t *allow,
                               uint32_t most, struct vex_graph_hit *ret, uint64_t *ret_scored)
{
    const struct graph_entries *entries = atomic_load_explicit(&graph->entries, memory_order_acquire);
    struct vex_graph_hit groups[PROBES];
    uint32_t probes = 0, count = 0;

    *ret_scored = 0;
    if (entries == NULL)
        return 0;
    if (entries->groups == 1) {
        *ret_scored = entries->count;
        return look_at(graph, entries, query, allow, 0, entries->count, ret, 0, most);
    }
    for (uint32_t g = 0; g < entries->groups; g += 4) {
        uint32_t distances[4];
        const uint8_t *codes[4];
        for (uint32_t i = 0; i < 4; i++) /* groups are a power of two */
            codes[i] = entries->codes + (size_t)entries->begins[g + i] * graph->codes.stride;
        graph->codes.kernels.four(query, codes, graph->codes.stride, distances);
        for (uint32_t i = 0; i < 4; i++)
            probes = keep_nearest(groups, probes, PROBES, distances[i], g + i);
    }
    *ret_scored = entries->groups;
    for (uint32_t i = 0; i < probes; i++) {
        uint32_t g = groups[i].slot;
        count = look_at(graph, entries, query, allow, entries->begins[g], entries->begins[g + 1], ret, count,
                        most);
        *ret_scored += entries->begins[g + 1] - entries->begins[g];
    }
    if (allow == NULL || count == most)
        return count;
    *ret_scored = entries->count; /* what is allowed lies elsewhere */
    return look_at(graph, entries, query, allow, 0, entries->count, ret, 0, most);
}
