/* The beam of a search: a sorted array of what is nearest so far. Private to the graph's files.
 *
 * Entry      distance << 33 | slot << 1 | expanded: entries compare by distance.
 * Branches   that can't be foreseen are few: near ones, and places in the beam, are found by conditional moves. */
#ifndef VEX_ENGINE_INDEX_GRAPH_BEAM_H
#define VEX_ENGINE_INDEX_GRAPH_BEAM_H

#include <string.h>

#include "engine/index/graph_private.h"

#define GRAPH_CHUNK 16u    /* codes compared before any is offered to the beam */
#define GRAPH_AHEAD 32768u /* bytes of codes on their way, of one node */

static inline uint64_t beam_entry(uint32_t distance, uint32_t slot)
{
    return (uint64_t)distance << 33 | (uint64_t)slot << 1;
}

/* Puts an entry into the beam; its place, or ef when it is too far away. */
static inline uint32_t beam_offer(struct graph_scratch *s, uint32_t ef, uint64_t entry)
{
    uint64_t *low = s->beam;
    uint32_t count = s->beam_count, place;

    if (count == ef) {
        if (entry >= s->beam[ef - 1])
            return ef;
        count--;
    }
    for (uint32_t rest = count; rest > 0;) {
        uint32_t half = (rest + 1) / 2; /* a conditional move, no branch: the outcome can't be predicted */
        low += low[half - 1] < entry ? half : 0;
        rest -= half;
    }
    place = (uint32_t)(low - s->beam);
    memmove(low + 1, low, (count - place) * sizeof *low);
    *low = entry;
    s->beam_count = count + 1;
    return place;
}

/* Beam entries of those of `count` slots that are nearer than `worst`. */
static inline uint32_t beam_find_near(const struct vex_graph *graph, const uint8_t *query,
                                      const uint32_t *slots, uint32_t count, uint64_t worst,
                                      uint64_t ret[GRAPH_CHUNK])
{
    uint32_t near = 0;

    for (uint32_t i = 0; i < count; i += 4) {
        uint32_t distances[4];
        const uint8_t *codes[4];
        for (uint32_t j = 0; j < 4; j++)
            codes[j] = graph_code(graph, slots[i + j < count ? i + j : count - 1]);
        graph->codes.kernels.four(query, codes, graph->codes.stride, distances);
        for (uint32_t j = 0; j < 4 && i + j < count; j++) {
            ret[near] = beam_entry(distances[j], slots[i + j]);
            near += ret[near] < worst;
        }
    }
    return near;
}

static inline uint32_t graph_codes_ahead(const struct vex_graph *graph)
{
    return GRAPH_AHEAD / graph->codes.stride + 4;
}

#endif
