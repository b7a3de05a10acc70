/* Nearest-neighbour search: queries as resolved against one version. Private to the query folder.
 *
 * nearest.c resolves, groups and answers; nearest_dense.c and nearest_scan.c find the best slots of a group.
 */
#ifndef VEX_ENGINE_QUERY_NEAREST_H
#define VEX_ENGINE_QUERY_NEAREST_H

#include "engine/query/candidates.h"
#include "engine/query/result.h"
#include "engine/query/top.h"

struct vex_query {
    const struct vex_nearest *request;
    const struct vex_vector_params *params;
    struct vex_result_plan plan;
    struct vex_vector_value
        vector;       /* as scored: cosine ones normalised, sparse ones sorted by index; in the arena */
    uint32_t exclude; /* slot of the point that is the query, or VEX_SLOT_NONE */
    struct vex_hits *ret;
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

/* The stored vector of a point under the query's name; *ret_slot may be NULL. VEX_ENOT_FOUND as the peer says it. */
int vex_nearest_stored(struct vex_read *read, const struct vex_vector_params *params, const struct vex_id *id,
                       struct vex_vector_value *ret, uint32_t *ret_slot);
/* recommend.c: the average of the examples into *ret. */
int vex_nearest_average(struct vex_read *read, const struct vex_vector_params *params,
                        const struct vex_nearest *request, struct vex_vector_value *ret);
int vex_nearest_dense(struct vex_read *read, const struct vex_query_group *group);
int vex_nearest_scan(struct vex_read *read, const struct vex_query_group *group);
/* Turns the best slots of one query, in order, into its hits. */
int vex_nearest_answer(struct vex_read *read, const struct vex_query *query, const struct vex_scored *found,
                       uint64_t count);

#endif
