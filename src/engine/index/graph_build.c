/* Insertion: a walk finds candidates, the diverse ones become links, and each of them gets a link back.
 *
 * Lock       A node's byte while its links are changed, one at a time. Readers take none: every link is one aligned store.
 * Diversity  A candidate is kept when it is nearer to the node than to any candidate kept before it, with some slack (ALPHA of
 *            Vamana). Inner products have no slack, since ratios of them mean nothing: what is left over of the places goes to
 *            the nearest of the others (ip-NSW, Morozov, Babenko 2018, with HNSW's kept pruned connections). */
#include <string.h>

#include "engine/index/graph_private.h"

#define ALPHA_NUM 115u /* slack of the diversity rule, in 1/100 of a code distance (squares for L2) */
#define ALPHA_DEN 100u

static bool diverse(const struct vex_graph *graph, struct graph_scratch *s,
                    const struct vex_graph_hit *candidate, const struct vex_graph_hit *kept, uint32_t count)
{
    const uint8_t *code = graph_as_query(graph, candidate->slot, s->candidate);
    uint64_t slack = graph->params.distance == VEX_DISTANCE_DOT ? ALPHA_DEN : ALPHA_NUM;
    uint64_t least = (uint64_t)candidate->distance * ALPHA_DEN;
    uint32_t i = 0;

    for (; i + 4 <= count; i += 4) {
        const uint8_t *codes[4] = {graph_code(graph, kept[i].slot), graph_code(graph, kept[i + 1].slot),
                                   graph_code(graph, kept[i + 2].slot), graph_code(graph, kept[i + 3].slot)};
        uint32_t between[4];
        graph->codes.kernels.four(code, codes, graph->codes.stride, between);
        for (uint32_t j = 0; j < 4; j++)
            if ((uint64_t)between[j] * slack < least)
                return false;
    }
    for (; i < count; i++)
        if ((uint64_t)graph_dist(graph, code, kept[i].slot) * slack < least)
            return false;
    return true;
}

void graph_sort_hits(struct vex_graph_hit *hits, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct vex_graph_hit hit = hits[i];
        uint32_t at = i;
        for (; at > 0 && hits[at - 1].distance > hit.distance; at--)
            hits[at] = hits[at - 1];
        hits[at] = hit;
    }
}

uint32_t graph_choose(const struct vex_graph *graph, struct graph_scratch *s,
                      struct vex_graph_hit *candidates, uint32_t kept, uint32_t count, uint32_t most)
{
    for (uint32_t i = kept; i < count && kept < most; i++) {
        struct vex_graph_hit hit = candidates[i];
        if (!diverse(graph, s, &hit, candidates, kept))
            continue;
        candidates[i] = candidates[kept];
        candidates[kept++] = hit;
    }
    if (graph->params.distance != VEX_DISTANCE_DOT || kept == most)
        return kept;
    graph_sort_hits(candidates + kept, count - kept);
    return count < most ? count : most;
}

void graph_write_links(struct vex_graph *graph, uint32_t slot, const struct vex_graph_hit *hits,
                       uint32_t count)
{
    _Atomic uint32_t *links = graph_links(graph, slot);

    for (uint32_t i = 0; i < graph->degree; i++)
        atomic_store_explicit(&links[i], i < count ? hits[i].slot : NO_SLOT, memory_order_relaxed);
}

/* A link from `from` to `to`, pruning when there is no room. */
static void link_back(struct vex_graph *graph, struct graph_scratch *s, uint32_t from, uint32_t to,
                      uint32_t distance)
{
    _Atomic uint32_t *links = graph_links(graph, from);
    struct vex_graph_hit hits[2 * VEX_GRAPH_M_MAX + 1];
    const uint8_t *code;
    uint32_t count = 0;

    graph_lock(graph, from);
    for (; count < graph->degree; count++) {
        uint32_t slot = graph_link_at(graph, links, count);
        if (slot == NO_SLOT || slot == to)
            break;
        hits[count].slot = slot;
    }
    if (count < graph->degree) {
        atomic_store_explicit(&links[count], to, memory_order_relaxed);
        graph_unlock(graph, from);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        graph_prefetch(graph_code(graph, hits[i].slot), 64);
    code = graph_as_query(graph, from, s->node);
    for (uint32_t i = 0; i < count; i++)
        hits[i].distance = graph_dist(graph, code, hits[i].slot);
    hits[count++] = (struct vex_graph_hit){distance, to};
    graph_sort_hits(hits, count);
    graph_write_links(graph, from, hits, graph_choose(graph, s, hits, 0, count, graph->degree));
    graph_unlock(graph, from);
}

/* Its places are not to be taken by links to dropped nodes when it is chosen among them and the new one. */
static void lead_back(struct vex_graph *graph, struct graph_scratch *s, uint32_t from, uint32_t to,
                      uint32_t distance)
{
    graph_mend_node(graph, s, from);
    link_back(graph, s, from, to, distance);
}

void vex_graph_link(struct vex_graph *graph, uint32_t slot)
{
    uint32_t ef = graph->params.ef_construct, count = 0, kept;
    struct graph_scratch *s = graph_scratch(graph, ef);
    struct vex_graph_hit *found, links[VEX_GRAPH_M_MAX];
    const uint8_t *query = graph_scratch_put(graph, s, slot);

    graph_detach(graph, s, slot);
    graph_walk(graph, s, query != NULL ? query : graph_as_query(graph, slot, s->query), ef, NULL);
    found = graph_scratch_found(s, ef);
    for (uint32_t i = 0; i < s->beam_count; i++) {
        uint32_t near = graph_beam_slot(s->beam[i]);
        if (near != slot && graph_is_linked(graph, near))
            found[count++] = (struct vex_graph_hit){graph_beam_distance(s->beam[i]), near};
    }
    kept = graph_choose(graph, s, found, 0, count, graph->params.m);
    memcpy(links, found, kept * sizeof *links); /* mending needs the memory */
    graph_lock(graph, slot);
    graph_write_links(graph, slot, links, kept);
    graph_unlock(graph, slot);
    /* Before anything leads to it: whoever mends meanwhile takes it for a living one. */
    atomic_fetch_or_explicit(&graph->linked[slot / 64], UINT64_C(1) << (slot % 64), memory_order_release);
    for (uint32_t i = 0; i < kept; i++)
        lead_back(graph, s, links[i].slot, slot, links[i].distance);
    graph_lists_add(graph, slot);
    graph_entries_follow(graph, atomic_fetch_add_explicit(&graph->count, 1, memory_order_relaxed) + 1);
}
