/* Nearest-neighbour search: queries as resolved against one version. Private to the query folder.
 *
 * nearest.c resolves, groups and answers; nearest_parallel.c shares the groups out; nearest_plan.c chooses the way; nearest_graph.c,
 * nearest_dense.c and nearest_scan.c find the best slots of a group.
 */
#ifndef VEX_ENGINE_QUERY_NEAREST_H
#define VEX_ENGINE_QUERY_NEAREST_H

#include "engine/query/candidates.h"
#include "engine/query/result.h"
#include "engine/query/top.h"

/* Slots in the order of an answer; on the heap. */
struct vex_scored_list {
    struct vex_scored *entries;
    uint64_t count;
    struct vex_order_value *values; /* beside entries, in the order of a field; else NULL */
};
void vex_scored_list_done(struct vex_scored_list *list);

struct vex_query {
    const struct vex_nearest *request;
    const struct vex_vector_params *params;
    struct vex_result_plan plan;
    struct vex_vector_value
        vector;       /* as scored: cosine ones normalised, sparse ones sorted by index; in the arena */
    uint32_t exclude; /* slot of the point that is the query, or VEX_SLOT_NONE */
    struct vex_hits *ret;
    struct vex_scored_list *list; /* instead of ret, when not NULL: the caller frees its entries */
};

/* Queries of one vector name, filter and limit. */
struct vex_query_group {
    struct vex_query *queries;
    uint32_t count;
    const struct vex_vector_params *params;
    const struct vex_candidates *candidates; /* not empty */
    uint64_t want; /* hits a query, 1 .. candidates->count; one more than asked for when a query may be a hit
                      of its own */
};

/* The vector of a name: VEX_EBAD_INPUT as the peer says it. */
int vex_nearest_params(struct vex_read *read, struct vex_str name, const struct vex_vector_params **ret);
/* `count` requests, each `apart` bytes after the one before; those that can share a pass do. */
int vex_nearest_run(struct vex_read *read, const struct vex_nearest *requests, size_t apart, uint32_t count,
                    struct vex_hits *ret);
/* One request against this version. ret may be NULL when a list is asked for. */
int vex_nearest_resolve(struct vex_read *read, const struct vex_nearest *request, struct vex_hits *ret,
                        struct vex_query *query);
/* Queries of one vector name, filter and limit: finds their candidates, and answers them. */
int vex_nearest_group(struct vex_read *read, struct vex_query *queries, uint32_t count);
/* Answers queries of one vector name and limit out of the candidates. */
int vex_nearest_among(struct vex_read *read, struct vex_query *queries, uint32_t count,
                      const struct vex_candidates *candidates);
/* Live slots that a query may find. */
int vex_nearest_candidates(struct vex_read *read, const struct vex_query *query, struct vex_candidates *ret);
/* The stored vector of a point under the query's name; *ret_slot may be NULL. VEX_ENOT_FOUND as the peer says it. */
int vex_nearest_stored(struct vex_read *read, const struct vex_vector_params *params, const struct vex_id *id,
                       struct vex_vector_value *ret, uint32_t *ret_slot);
/* recommend.c: the average of the examples into *ret. */
int vex_nearest_average(struct vex_read *read, const struct vex_vector_params *params,
                        const struct vex_nearest *request, struct vex_vector_value *ret);

/* How a graph serves a query; each way but lists gives place to the next when it finds too little. */
enum vex_walk_way {
    VEX_WALK_LISTS,   /* no walk: candidates in the posting lists nearest to the query, then in others */
    VEX_WALK_ALL,     /* through all nodes */
    VEX_WALK_THROUGH, /* through candidates only */
    VEX_WALK_SCAN     /* no walk: the codes of all candidates, one by one; as good as exact */
};
struct vex_walk {
    struct vex_graph_view view;
    const struct vex_ivf *ivf; /* posting lists, when there are any and a filter asks for them */
    enum vex_walk_way way;
    uint32_t ef;  /* beam of what may be answered; widened by vex_nearest_width */
    double share; /* of the linked ones that are candidates */
    double ns;    /* estimated cost, the tail's too */
};
/* Whether the graph serves a query with so many candidates better than the exact search, and how (nearest_plan.c). The collection's
 * lock is held. */
bool vex_nearest_walk_plan(const struct vex_collection_data *data, const struct vex_vector_params *params,
                           const struct vex_nearest *request, uint64_t want, uint64_t count,
                           struct vex_walk *ret);
/* The share of candidates that a walk through all nodes has to reckon with, where they are `near` of what lies near its query. */
double vex_nearest_share_near(const struct vex_walk *walk, double near);
/* What becomes of a walk through all nodes where `near` is the part of what lies near the query that are candidates: lists when it is
 * little; without lists and with none near, a walk through candidates or a scan. */
enum vex_walk_way vex_nearest_way_beyond(const struct vex_walk *walk, const struct vex_vector_params *params,
                                         uint64_t want, uint64_t count, double near);
/* Posting lists in a row that a search looks through in vain before it ends. */
uint32_t vex_nearest_patience(const struct vex_walk *walk);
/* The beam of a walk where so great a share of the nodes are candidates, at most VEX_GRAPH_EF_MAX. */
uint32_t vex_nearest_width(const struct vex_walk *walk, enum vex_walk_way way, enum vex_distance distance,
                           double share);
/* The graph goes by codes of few bits, which a search may refuse. */
static inline bool vex_nearest_of_bits(const struct vex_graph *graph)
{
    return vex_graph_params(graph)->codes.kind != VEX_CODES_7_BITS;
}
#define VEX_WALK_SCAN_WANT 1024u /* hits that a scan of codes is good for */
/* Walks for one query. *ret_served false: too little was found, nothing is answered yet. */
int vex_nearest_walk(struct vex_read *read, const struct vex_query_group *group, struct vex_query *query,
                     const struct vex_walk *plan, bool *ret_served);
/* Each query by a walk, or by the exact search when it serves better. */
int vex_nearest_graph(struct vex_read *read, const struct vex_query_group *group);
/* Bytes are stored as they are, not normalised, and the device knows cosine only of normalised vectors. */
bool vex_nearest_by_device(const struct vex_vector_params *params);
int vex_nearest_dense(struct vex_read *read, const struct vex_query_group *group);
int vex_nearest_scan(struct vex_read *read, const struct vex_query_group *group);
/* Turns the best slots of one query, in order, into its hits. */
int vex_nearest_answer(struct vex_read *read, const struct vex_query *query, const struct vex_scored *found,
                       uint64_t count);
/* Those slots, `most` of them without the query's own, as its hits. */
int vex_nearest_fill(struct vex_read *read, const struct vex_query *query, const struct vex_scored *found,
                     uint64_t count, uint64_t most);

#endif
