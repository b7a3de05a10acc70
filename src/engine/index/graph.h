/* Navigable graph over the codes of one dense vector name: one flat layer, fixed degree, changed in place.
 *
 * Sources    Links are chosen as in HNSW (Malkov, Yashunin 2016, algorithm 4) with the slack of Vamana (DiskANN, 2019); one
 *            layer is enough in more than about 32 dimensions (Munyampirwa et al. 2024, "Down with the Hierarchy"): walks
 *            begin at the best of a sample of codes. Filtered walks through matches only: ACORN-1 (Patel et al. 2024).
 *            Deleted nodes: their neighbours stand in for them (FreshDiskANN, Singh et al. 2021).
 * Nodes      are slots. A slot has a code from vex_graph_put on and is found from vex_graph_link on. Links are hints: a
 *            reader tolerates an old, odd or half-written list; whatever bytes are there, no walk leaves the memory.
 * Threads    Any number of searches beside any number of vex_graph_put, link, drop, mend, refine and of one save, as long as
 *            nobody else puts, links or drops the same slot. vex_graph_train, reserve and check are exclusive;
 *            vex_graph_settle goes on beside searches only.
 * Distances  of codes: order only. Callers score the hits with the originals. */
#ifndef VEX_ENGINE_INDEX_GRAPH_H
#define VEX_ENGINE_INDEX_GRAPH_H

#include "base/err.h"
#include "engine/index/codes.h"

struct vex_graph;

struct vex_graph_params {
    uint32_t dimensions; /* 1 .. VEX_DIM_MAX */
    enum vex_distance distance;
    uint32_t m; /* a new node gets at most m links; there is room for 2 m, as in HNSW's lowest layer */
    uint32_t ef_construct; /* beam width of insertion */
    struct vex_code_params codes;
    bool normalise; /* COSINE: vectors come as they are, and are made unit ones before they are coded */
};

#define VEX_GRAPH_M_MAX  256
#define VEX_GRAPH_EF_MAX 16384

/* Values of m and ef_construct out of range are brought into it. */
struct vex_graph *vex_graph_new(const struct vex_graph_params *params);
void vex_graph_free(struct vex_graph *graph); /* NULL is fine */
const struct vex_graph_params *vex_graph_params(const struct vex_graph *graph);
uint32_t vex_graph_count(const struct vex_graph *graph); /* linked slots */
uint64_t vex_graph_bytes(const struct vex_graph *graph); /* memory, whether it was touched yet or not */
bool vex_graph_has(const struct vex_graph *graph, uint32_t slot); /* whether it is linked; any slot */
uint32_t vex_graph_slots(const struct vex_graph *graph); /* slots there is room for, a multiple of 64 */

/* ---- changing ---- */

/* Learns how to code from a sample of vectors; before the first put. */
void vex_graph_train(struct vex_graph *graph, const float *sample, size_t count);
bool vex_graph_trained(const struct vex_graph *graph);
/* False: its code would say too little of the vector; better not put it (vex_codes_fit). */
bool vex_graph_fits(const struct vex_graph *graph, const float *vector);
/* Exclusive: room for slots below `slots`; frees what searches may have been in still. VEX_ENO_MEMORY: nothing has changed. */
int vex_graph_reserve(struct vex_graph *graph, uint32_t slots);
/* Gives a slot below vex_graph_slots its code. It must not be linked. */
void vex_graph_put(struct vex_graph *graph, uint32_t slot, const float *vector);
/* Makes a slot with a code, not linked yet, part of the graph. */
void vex_graph_link(struct vex_graph *graph, uint32_t slot);
/* Takes a linked slot out: it is never found from now on, but walked over as long as others link to it. */
void vex_graph_drop(struct vex_graph *graph, uint32_t slot);

/* Upkeep, for a background builder: each looks at the slots in [from, to) and returns how many needed something.
 *
 * Mending: links to dropped slots give way to the best of what those led to. When a whole round began after a slot was dropped,
 * nothing leads to it any more. Linking mends what it touches, and takes away most links that lead to a slot's older vector.
 * Refining: whatever a narrow walk for its own code doesn't find (pruning may cut nodes off, or islands of them) gets new links
 * from what the walk did find, in free places or those of links with a way round. Once after building, and now and then. */
uint32_t vex_graph_mend(struct vex_graph *graph, uint32_t from, uint32_t to);
uint32_t vex_graph_refine(struct vex_graph *graph, uint32_t from, uint32_t to);

/* ---- searching ---- */

struct vex_graph_search {
    const float *query;
    uint32_t ef;           /* beam, 1 .. VEX_GRAPH_EF_MAX */
    const uint64_t *allow; /* bitmap over vex_graph_slots of what may be found; NULL: everything */
    bool through; /* through allowed slots only (ACORN-1); else through all, and the beam holds them too */
    const uint32_t *seeds; /* more slots to begin at */
    uint32_t seed_count;
};

struct vex_graph_hit {
    uint32_t distance; /* of codes */
    uint32_t slot;
};

/* Linked and allowed slots of the final beam, nearest first, at most ef; returns their number. *ret_scored: codes compared (may be
 * NULL). */
uint32_t vex_graph_search(const struct vex_graph *graph, const struct vex_graph_search *search,
                          struct vex_graph_hit *ret, uint64_t *ret_scored);
#define VEX_GRAPH_NEAR 32u
/* Of the VEX_GRAPH_NEAR entries nearest to a query, the part that is in `allow` (`words` words of bits): how much a filter leaves of its neighbourhood. */
double vex_graph_allowed_near(const struct vex_graph *graph, const float *query, const uint64_t *allow,
                              size_t words);
/* Whether a scan can tell the nearest of a query: codes are fine enough, and the query's own cuts little off. */
bool vex_graph_scans(const struct vex_graph *graph, const float *query);
/* Compares the codes of all linked slots in `allow` (`words` words of bits) instead of walking. *ret, valid until the thread's next
 * call of any graph: those that may be among the `want` nearest, in no order; returns their number. What was left out is surely
 * farther away, by the originals, than *ret_surely (a distance as the device gives it). `want` bounds the memory. */
uint32_t vex_graph_scan(const struct vex_graph *graph, const float *query, const uint64_t *allow,
                        size_t words, uint32_t want, const struct vex_graph_hit **ret, float *ret_surely);
/* A distance of codes as the device would give it, about (vex_codes_distance). */
float vex_graph_distance(const struct vex_graph *graph, uint32_t distance);
/* Distances of a query to the codes of slots that have one. */
void vex_graph_score(const struct vex_graph *graph, const float *query, const uint32_t *slots, uint32_t count,
                     struct vex_graph_hit *ret);

/* Self-check, exclusive: links in range and without repeats, the count right, entries linked, posting lists whole, everything reachable from them but at
 * most `lost_max` slots. VEX_ECORRUPT. */
int vex_graph_check(const struct vex_graph *graph, uint32_t lost_max, struct vex_err *err);

/* ---- keeping ---- */

/* Writes an image into an empty file and syncs it (docs/disk-format.md, "graph file"). Slots that are linked when it begins
 * are in it; what goes on beside it may be or not. VEX_EIO, VEX_ENO_SPACE. */
int vex_graph_save(const struct vex_graph *graph, struct vex_io *io, struct vex_file *file,
                   struct vex_err *err);
/* A graph out of an image: its head is read and checked, codes and links are mapped privately (the file may be closed and
 * unlinked, never written). VEX_ECORRUPT: damaged, or not of these parameters; ef_construct and codes.query are taken from `params`. */
int vex_graph_load(const struct vex_graph_params *params, struct vex_io *io, struct vex_file *file,
                   struct vex_graph **ret, struct vex_err *err);
/* Reads a whole image and checks its sum: what load leaves out. */
int vex_graph_verify(struct vex_io *io, struct vex_file *file, struct vex_err *err);
/* Brings the next piece of a loaded graph from the pages of the file to huge pages; false: nothing is left to do. */
bool vex_graph_settle(struct vex_graph *graph, char **spare); /* vex_huge_spare */

#endif
