/* Self-check of a graph, and of its posting lists. See graph.h and ivf.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/ivf_private.h"

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

/* ---- posting lists ---- */

/* What stands in the lists so far. */
struct standing {
    const struct vex_graph *graph;
    const struct vex_ivf *ivf;
    uint64_t *seen; /* a bit a slot of the lists */
    uint32_t slots, chunks;
};

/* A linked slot that knows that it stands there, and stands nowhere else. */
static int check_standing(struct standing *s, uint32_t list, uint32_t slot, struct vex_err *err)
{
    uint32_t own;

    if (slot >= s->ivf->slots || !vex_graph_has(s->graph, slot))
        return vex_err_set(err, VEX_ECORRUPT, "graph: slot %u of posting list %u is not linked", slot, list);
    own = atomic_load_explicit(&s->ivf->list_of[slot], memory_order_relaxed);
    if (own != list + 1)
        return vex_err_set(err, VEX_ECORRUPT, "graph: slot %u is said to be in posting list %d, not in %u",
                           slot, (int)own - 1, list);
    if (graph_bit(s->seen, slot))
        return vex_err_set(err, VEX_ECORRUPT, "graph: slot %u is twice in posting list %u", slot, list);
    s->seen[slot / 64] |= UINT64_C(1) << (slot % 64);
    s->slots++;
    return 0;
}

/* All chunks but the last one are full. *holes: counted. */
static int check_chunk(struct standing *s, uint32_t list, uint32_t at, uint32_t *holes, struct vex_err *err)
{
    const struct ivf_chunk *chunk;
    uint32_t used, next;
    int ret = 0;

    if (at >= s->ivf->chunk_count || at >= atomic_load_explicit(&s->ivf->chunks_used, memory_order_relaxed) ||
        ++s->chunks >= s->ivf->chunk_count)
        return vex_err_set(err, VEX_ECORRUPT, "graph: posting list %u leads to chunk %u", list, at);
    chunk = ivf_chunk(s->ivf, at);
    used = atomic_load_explicit(&chunk->used, memory_order_relaxed);
    next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
    if (used > IVF_CHUNK_SLOTS || (used < IVF_CHUNK_SLOTS && next != IVF_NO_CHUNK))
        return vex_err_set(err, VEX_ECORRUPT, "graph: %u slots in chunk %u of posting list %u", used, at,
                           list);
    for (uint32_t i = 0; i < used && ret == 0; i++) {
        uint32_t slot = atomic_load_explicit(&chunk->slots[i], memory_order_relaxed);
        if (slot == NO_SLOT)
            ++*holes;
        else
            ret = check_standing(s, list, slot, err);
    }
    return ret;
}

static int check_list(struct standing *s, uint32_t list, struct vex_err *err)
{
    const struct ivf_list *head = &s->ivf->heads[list];
    uint32_t at = atomic_load_explicit(&head->first, memory_order_relaxed), last = IVF_NO_CHUNK, holes = 0;

    while (at != IVF_NO_CHUNK) {
        int ret = check_chunk(s, list, at, &holes, err);
        if (ret != 0)
            return ret;
        last = at;
        at = atomic_load_explicit(&ivf_chunk(s->ivf, at)->next, memory_order_relaxed);
    }
    if (last != atomic_load_explicit(&head->last, memory_order_relaxed) ||
        atomic_load_explicit(&head->lock, memory_order_relaxed) != 0)
        return vex_err_set(err, VEX_ECORRUPT, "graph: the head of posting list %u is wrong", list);
    if (holes != atomic_load_explicit(&head->holes, memory_order_relaxed))
        return vex_err_set(err, VEX_ECORRUPT,
                           "graph: posting list %u has %u holes, not as many as are counted", list, holes);
    return 0;
}

/* Nothing but linked slots stands in the lists, and each once; `complete`: all of them do. */
static int check_lists(const struct vex_graph *graph, const struct vex_ivf *ivf, bool complete,
                       struct vex_err *err)
{
    struct standing s = {.graph = graph, .ivf = ivf};
    int ret = 0;

    if (ivf == NULL)
        return 0;
    s.seen = vex_mem_zalloc(((size_t)ivf->slots / 64 + 1) * sizeof *s.seen);
    for (uint32_t list = 0; list < ivf->lists && ret == 0; list++)
        ret = check_list(&s, list, err);
    for (uint32_t slot = 0; slot < ivf->slots && ret == 0; slot++) /* whoever stands in one was seen */
        if (!graph_bit(s.seen, slot) && atomic_load_explicit(&ivf->list_of[slot], memory_order_relaxed) != 0)
            ret = vex_err_set(err, VEX_ECORRUPT, "graph: slot %u is in no posting list", slot);
    if (ret == 0 && complete && s.slots != vex_graph_count(graph))
        ret = vex_err_set(err, VEX_ECORRUPT, "graph: %u slots in posting lists, of %u", s.slots,
                          vex_graph_count(graph));
    vex_mem_free(s.seen);
    return ret;
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
    if (ret == 0)
        ret = check_lists(graph, vex_graph_lists(graph), true, err);
    if (ret == 0)
        ret = check_lists(graph, atomic_load_explicit(&graph->ivf_next, memory_order_acquire), false, err);
    if (ret != 0)
        return ret;
    reached = count_reached(graph);
    if (linked - reached > lost_max)
        return vex_err_set(err, VEX_ECORRUPT, "graph: %u of %u slots can't be reached", linked - reached,
                           linked);
    return 0;
}
