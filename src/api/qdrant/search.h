/* What searches and groups share about lowered queries. */
#ifndef VEX_API_QDRANT_SEARCH_H
#define VEX_API_QDRANT_SEARCH_H

#include "api/qdrant/strict.h"

/* Estimated nanoseconds. */
uint64_t vex_search_cost(struct vex_call *call, struct vex_collection *collection,
                         const struct vex_stage *list, uint32_t count);
/* Tokens of the read rate: of each stage that has no prefetches one for each vector compared with (a multivector counts its rows) and
 * for each condition, and one for each id that is looked up. */
int vex_search_tokens(struct vex_call *call, struct vex_collection *collection, const struct vex_stage *stage,
                      uint64_t *ret);
/* VEX_ENOT_FOUND when a point that a stage of the query refers to is not there. */
int vex_search_find_ids(struct vex_call *call, struct vex_collection *collection,
                        const struct vex_stage *stage, struct vex_read_context *context);
/* Strict mode of a query: its prefetches, from the innermost, and itself. `own`: its own question. */
int vex_search_strict(struct vex_call *call, const struct vex_strict *strict,
                      const Qdrant__QueryPoints *query, struct vex_strict_read *own);

#endif
