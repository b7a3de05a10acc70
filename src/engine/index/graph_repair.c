/* Upkeep: links to nodes that are gone, and nodes that no walk finds. See graph.h. */
#include <stdlib.h>

#include "engine/index/graph_private.h"

#define FIND_EF 16u /* beam of the walk that has to find a node */
#define WAYS_IN 2u  /* links that one which wasn't found gets */

/* ---- mending ---- */

static int by_distance(const void *a, const void *b)
{
    uint32_t x = ((const struct vex_graph_hit *)a)->distance, y = ((const struct vex_graph_hit *)b)->distance;

    return x < y ? -1 : x > y;
}

/* Linked slots that a dropped one leads to. */
static uint32_t stand_ins(const struct vex_graph *graph, struct graph_scratch *s, uint32_t gone,
                          struct vex_graph_hit *ret, uint32_t count)
{
    const _Atomic uint32_t *links = graph_links(graph, gone);

    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t to = graph_link_at(graph, links, i);
        if (to == NO_SLOT)
            break;
        if (graph_is_linked(graph, to) && graph_visit(s, to))
            ret[count++].slot = to;
    }
    return count;
}

/* Candidates out of a node's links, its lock held: the living ones first (*ret_living of them), then stand-ins. */
static uint32_t candidates(const struct vex_graph *graph, struct graph_scratch *s, uint32_t slot,
                           struct vex_graph_hit *ret, uint32_t *ret_living, uint32_t *ret_gone)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);
    uint32_t gone[2 * VEX_GRAPH_M_MAX], count = 0;

    *ret_gone = 0;
    graph_visit(s, slot);
    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t to = graph_link_at(graph, links, i);
        if (to == NO_SLOT)
            break;
        if (!graph_is_linked(graph, to))
            gone[(*ret_gone)++] = to;
        else if (graph_visit(s, to))
            ret[count++].slot = to;
    }
    *ret_living = count;
    for (uint32_t i = 0; i < *ret_gone; i++)
        count = stand_ins(graph, s, gone[i], ret, count);
    graph_forget_visited(s);
    return count;
}

static bool leads_to_gone(const struct vex_graph *graph, uint32_t slot)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);

    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t to = graph_link_at(graph, links, i);
        if (to == NO_SLOT)
            return false;
        if (!graph_is_linked(graph, to))
            return true;
    }
    return false;
}

/* Living links stay as they are: choosing anew among all of them would thin out a node a little each time that one of its neighbours
 * goes. No more links than before, unless they are few. */
bool graph_mend_node(struct vex_graph *graph, struct graph_scratch *s, uint32_t slot)
{
    struct vex_graph_hit *hits;
    const uint8_t *code;
    uint32_t count, living, gone, most = graph->degree * 3 / 4;

    if (!leads_to_gone(graph, slot))
        return false;
    hits = graph_scratch_found(s, graph->degree * (graph->degree + 1));
    graph_lock(graph, slot);
    count = candidates(graph, s, slot, hits, &living, &gone);
    code = graph_as_query(graph, slot, s->node);
    for (uint32_t i = living; i < count; i++) {
        if (i + 4 < count)
            graph_prefetch(graph_code(graph, hits[i + 4].slot), graph->codes.stride);
        hits[i].distance = graph_dist(graph, code, hits[i].slot);
    }
    qsort(hits + living, count - living, sizeof *hits, by_distance);
    most = living + gone > most ? living + gone : most;
    graph_write_links(graph, slot, hits, graph_choose(graph, s, hits, living, count, most));
    graph_unlock(graph, slot);
    return true;
}

static bool leads_to(const struct vex_graph *graph, uint32_t from, uint32_t to)
{
    const _Atomic uint32_t *links = graph_links(graph, from);

    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t slot = graph_link_at(graph, links, i);
        if (slot == to || slot == NO_SLOT)
            return slot == to;
    }
    return false;
}

void graph_detach(struct vex_graph *graph, struct graph_scratch *s, uint32_t slot)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);

    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t near = graph_link_at(graph, links, i);
        if (near == NO_SLOT)
            break;
        if (graph_is_linked(graph, near) && leads_to(graph, near, slot))
            graph_mend_node(graph, s, near);
    }
}

uint32_t vex_graph_mend(struct vex_graph *graph, uint32_t from, uint32_t to)
{
    uint32_t mended = 0;

    to = to < graph->slots ? to : graph->slots;
    for (; from < to; from++)
        mended += graph_is_linked(graph, from) && graph_mend_node(graph, graph_scratch(graph, 1), from);
    return mended;
}

/* ---- refining ---- */

/* Whether one of the others that a node leads to leads to `to` as well. */
static bool has_way_round(const struct vex_graph *graph, uint32_t from, uint32_t to)
{
    const _Atomic uint32_t *links = graph_links(graph, from);

    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t over = graph_link_at(graph, links, i);
        const _Atomic uint32_t *next;
        if (over == NO_SLOT)
            break;
        if (over == to)
            continue;
        next = graph_links(graph, over);
        for (uint32_t j = 0; j < graph->degree; j++)
            if (atomic_load_explicit(&next[j], memory_order_relaxed) == to)
                return true;
    }
    return false;
}

/* A place in the links of a node: a free one, or that of the last link with a way round. False: there is none. */
static bool lead_to(struct vex_graph *graph, uint32_t from, uint32_t to)
{
    _Atomic uint32_t *links = graph_links(graph, from);
    uint32_t at = 0;

    graph_lock(graph, from);
    while (at < graph->degree && graph_link_at(graph, links, at) != NO_SLOT &&
           graph_link_at(graph, links, at) != to)
        at++;
    if (at == graph->degree)
        while (at > 0 && !has_way_round(graph, from, graph_link_at(graph, links, at - 1)))
            at--;
    else
        at++;
    if (at > 0)
        atomic_store_explicit(&links[at - 1], to, memory_order_relaxed);
    graph_unlock(graph, from);
    return at > 0;
}

static bool refine(struct vex_graph *graph, struct graph_scratch *s, uint32_t slot)
{
    uint32_t ways = 0;

    graph_walk(graph, s, graph_as_query(graph, slot, s->query), FIND_EF, NULL);
    for (uint32_t i = 0; i < s->beam_count; i++)
        if (graph_beam_slot(s->beam[i]) == slot)
            return false;
    for (uint32_t i = 0; i < s->beam_count && ways < WAYS_IN; i++)
        ways += graph_is_linked(graph, graph_beam_slot(s->beam[i])) &&
                lead_to(graph, graph_beam_slot(s->beam[i]), slot);
    return true;
}

uint32_t vex_graph_refine(struct vex_graph *graph, uint32_t from, uint32_t to)
{
    uint32_t lost = 0;

    to = to < graph->slots ? to : graph->slots;
    for (; from < to; from++)
        lost += graph_is_linked(graph, from) && refine(graph, graph_scratch(graph, FIND_EF), from);
    return lost;
}
