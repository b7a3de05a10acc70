/* Self-check of a graph. See graph.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/graph_private.h"

static int by_slot(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* In range, no repeats, not to itself, nothing behind the end. */
static int check_links(const struct vex_graph *graph, uint32_t slot, struct vex_err *err)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);
    uint32_t seen[2 * VEX_GRAPH_M_MAX], count = 0;

    for (; count < graph->degree; count++) {
        seen[count] = atomic_load_explicit(&links[count], memory_order_relaxed);
        if (seen[count] == NO_SLOT)
            break;
        if (seen[count] >= graph->slots || seen[count] == slot)
            return vex_err_set(err, VEX_ECORRUPT, "graph: slot %u leads to %u", slot, seen[count]);
    }
    for (uint32_t i = count; i < graph->degree; i++)
        if (atomic_load_explicit(&links[i], memory_order_relaxed) != NO_SLOT)
            return vex_err_set(err, VEX_ECORRUPT, "graph: slot %u has a link behind its last one", slot);
    qsort(seen, count, sizeof *seen, by_slot);
    for (uint32_t i = 1; i < count; i++)
        if (seen[i] == seen[i - 1])
            return vex_err_set(err, VEX_ECORRUPT, "graph: slot %u leads to %u twice", slot, seen[i]);
    return 0;
}

static int check_entries(const struct vex_graph *graph, struct vex_err *err)
{
    const struct graph_entries *entries = atomic_load_explicit(&graph->entries, memory_order_acquire);
    uint32_t living = 0;

    for (uint32_t i = 0; entries != NULL && i < entries->count; i++) {
        uint32_t slot = atomic_load_explicit(&entries->slots[i], memory_order_relaxed);
        if (slot == NO_SLOT)
            continue;
        if (slot >= graph->slots || !graph_is_linked(graph, slot))
            return vex_err_set(err, VEX_ECORRUPT, "graph: entry %u is not linked", slot);
        living++;
    }
    if (living == 0 && vex_graph_count(graph) > 0)
        return vex_err_set(err, VEX_ECORRUPT, "graph: no walk can begin");
    return 0;
}

struct reach {
    uint64_t *seen;
    uint32_t *queue;
    uint32_t head, tail, linked; /* linked slots seen */
};

static void reach_slot(const struct vex_graph *graph, struct reach *r, uint32_t slot)
{
    if (slot >= graph->slots || graph_bit(r->seen, slot))
        return;
    r->seen[slot / 64] |= UINT64_C(1) << (slot % 64);
    r->queue[r->tail++] = slot;
    r->linked += graph_is_linked(graph, slot);
}

/* Linked slots that can be reached from the entries over all links, as walks go. */
static uint32_t count_reached(const struct vex_graph *graph)
{
    const struct graph_entries *entries = atomic_load_explicit(&graph->entries, memory_order_acquire);
    struct reach r = {.seen = vex_mem_zalloc(graph->slots / 8),
                      .queue = vex_mem_alloc((size_t)graph->slots * 4)};

    for (uint32_t i = 0; entries != NULL && i < entries->count; i++)
        reach_slot(graph, &r, atomic_load_explicit(&entries->slots[i], memory_order_relaxed));
    while (r.head < r.tail) {
        const _Atomic uint32_t *links = graph_links(graph, r.queue[r.head++]);
        for (uint32_t i = 0; i < graph->degree; i++)
            reach_slot(graph, &r, atomic_load_explicit(&links[i], memory_order_relaxed));
    }
    vex_mem_free(r.seen);
    vex_mem_free(r.queue);
    return r.linked;
}

int vex_graph_check(const struct vex_graph *graph, uint32_t lost_max, struct vex_err *err)
{
    uint32_t linked = 0, reached;
    int ret = 0;

    for (uint32_t slot = 0; slot < graph->slots && ret == 0; slot++)
        if (graph_is_linked(graph, slot)) {
            linked++;
            ret = check_links(graph, slot, err);
        }
    if (ret == 0 && linked != vex_graph_count(graph))
        ret = vex_err_set(err, VEX_ECORRUPT, "graph: %u slots are linked, %u are counted", linked,
                          vex_graph_count(graph));
    if (ret == 0)
        ret = check_entries(graph, err);
    if (ret != 0)
        return ret;
    reached = count_reached(graph);
    if (linked - reached > lost_max)
        return vex_err_set(err, VEX_ECORRUPT, "graph: %u of %u slots can't be reached", linked - reached,
                           linked);
    return 0;
}
