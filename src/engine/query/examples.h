/* Scores by several examples: recommendation, discovery, context, relevance feedback. Private to the query folder. */
#ifndef VEX_ENGINE_QUERY_EXAMPLES_H
#define VEX_ENGINE_QUERY_EXAMPLES_H

#include "engine/query/nearest.h"

/* The best `want` candidates, best first: larger scores are better, whatever the distance. Ids among the examples are looked up in the
 * read's collection: VEX_ENOT_FOUND as the peer says it. Dense, multi and sparse names. ret->entries is the caller's to free, on
 * failure too. */
int vex_examples_find(struct vex_read *read, const struct vex_vector_params *params,
                      const struct vex_examples *examples, const struct vex_candidates *candidates,
                      uint64_t want, struct vex_scored_list *ret);

#endif
