/* Queries of a batch at once: groups beside groups, and the walks of one group beside each other. Private to the query folder. */
#ifndef VEX_ENGINE_QUERY_NEAREST_PARALLEL_H
#define VEX_ENGINE_QUERY_NEAREST_PARALLEL_H

#include "engine/query/nearest.h"

/* Groups of queries, one after the other in `queries`: the first begins at 0, the nth ends before ends[nth]. */
int vex_nearest_groups(struct vex_read *read, struct vex_query *queries, const uint32_t *ends,
                       uint32_t count);
/* What the graph serves: as vex_nearest_graph does. `walk` is the plan of one of them. */
int vex_nearest_walks(struct vex_read *read, const struct vex_query_group *group,
                      const struct vex_walk *walk);

#endif
