/* What searches and groups share about lowered queries. */
#ifndef VEX_API_QDRANT_SEARCH_H
#define VEX_API_QDRANT_SEARCH_H

#include "api/qdrant/qdrant.h"

/* Estimated nanoseconds. */
uint64_t vex_search_cost(struct vex_call *call, struct vex_collection *collection,
                         const struct vex_lowered_query *list, uint32_t count);
/* Tokens of the read rate: one for each vector compared with (a multivector counts its rows), for each id that is looked up, and
 * for each condition. */
int vex_search_tokens(struct vex_call *call, struct vex_collection *collection,
                      const struct vex_lowered_query *query, const Qdrant__Filter *filter, uint64_t *ret);
/* VEX_ENOT_FOUND when a point that the query refers to is not there. */
int vex_search_find_ids(struct vex_call *call, struct vex_collection *collection,
                        const struct vex_lowered_query *query, struct vex_read_context *context);
/* Answers a query that compares no vectors. */
int vex_search_list(struct vex_call *call, struct vex_collection *collection,
                    const struct vex_lowered_query *query, struct vex_read_context *context,
                    struct vex_hits *ret);

#endif
