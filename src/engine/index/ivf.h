/* Inverted file of a graph: every linked slot stands in the posting list of the centroid that its code is nearest to. Searches with a
 * filter look through the lists nearest to their query, and compare only what the filter allows: what that costs hardly depends on
 * how many match, nor on whether they lie near the query.
 *
 * Sources    Posting lists of a vector quantizer: Sivic, Zisserman 2003, "Video Google"; Jégou, Douze, Schmid 2011 (IVF). Centroids by
 *            k-means (Lloyd 1982), in groups around pivots, so that a nearest one is found without looking at all.
 * Where      Of graphs with 7-bit codes only; means of them are codes as well. Centroids are nearest by squared differences whatever the
 *            metric; a query goes to lists by its own metric.
 * Life       Built in pieces, in the background, beside a graph that serves; kept up by its link and drop from then on. Built anew
 *            beside the old one when the graph has doubled or changed as much. Not saved: it is made again when it is missed.
 * Threads    Searches go on beside all of it. Whoever builds does so neither beside links nor beside drops: the graph set's worker does
 *            all three, and writers drop under the exclusive lock. */
#ifndef VEX_ENGINE_INDEX_IVF_H
#define VEX_ENGINE_INDEX_IVF_H

#include "engine/index/graph.h"

struct vex_ivf;

/* Linked slots from which on lists can be had. */
#define VEX_IVF_LEAST 4096u

/* ---- building; for the background builder, under what keeps vex_graph_reserve away ---- */

/* Whether it should have lists and has none, or outgrown ones. */
bool vex_graph_lists_due(const struct vex_graph *graph);
/* The next piece of building, about a millisecond at most. False: there is nothing (more) to do. */
bool vex_graph_lists_piece(struct vex_graph *graph);
/* Exclusive: it goes without lists from now on. */
void vex_graph_lists_drop(struct vex_graph *graph);

/* ---- searching ---- */

/* Complete lists of all linked slots, NULL: none. Valid as long as vex_graph_reserve is kept away. */
const struct vex_ivf *vex_graph_lists(const struct vex_graph *graph);
uint32_t vex_ivf_lists(const struct vex_ivf *ivf);
/* How well the lists suit the vectors: so many of the nearest hold 19 in 20 of the ten nearest of a slot. Measured with a sample. */
uint32_t vex_ivf_reach(const struct vex_ivf *ivf);
/* No two lists, nor the same ones after slots have been added, have the same. */
struct vex_ivf_state {
    uint64_t id, adds;
};
struct vex_ivf_state vex_ivf_state(const struct vex_ivf *ivf);
/* Marks the lists that hold allowed slots, a bit a list in vex_ivf_lists / 64 + 1 words; returns their number. */
uint32_t vex_ivf_mark(const struct vex_ivf *ivf, const uint64_t *allow, size_t words, uint64_t *ret);

struct vex_ivf_search {
    const float *query;
    const uint64_t *allow; /* what may be found, `words` words of bits */
    size_t words;
    const uint64_t *marks; /* lists worth looking at; NULL: all */
    uint32_t want;         /* 1 .. ef */
    uint32_t ef;           /* slots kept, 1 .. VEX_GRAPH_EF_MAX */
    uint32_t
        patience; /* from 1; ends after so many lists that had nothing nearer than the `want` nearest so far */
};
/* Allowed slots, nearest codes first, at most ef; returns their number. Fewer than `want` only when there are no more. */
uint32_t vex_graph_search_lists(const struct vex_graph *graph, const struct vex_ivf *ivf,
                                const struct vex_ivf_search *search, struct vex_graph_hit *ret);

#endif
