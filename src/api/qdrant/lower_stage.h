/* Lowering of the queries that compare with examples or compute a formula, and of what they share with a plain nearest query: ids that
 * stand for vectors, here or in another collection. Between the lower_* files of queries.
 *
 * lower_examples.c, lower_formula.c. What a stage already says is read: `using` and `filter` of stage->nearest have to be lowered. The
 * points among the examples are left out of the answer by that filter, unless they were looked up elsewhere. */
#ifndef VEX_API_QDRANT_LOWER_STAGE_H
#define VEX_API_QDRANT_LOWER_STAGE_H

#include "api/qdrant/qdrant.h"

/* ---- ids that stand for vectors ---- */

/* The collection of a lookup; unref it. VEX_ENOT_FOUND "Collection x not found". */
int vex_lower_find_lookup(struct vex_call *call, const Qdrant__LookupLocation *in,
                          struct vex_collection **ret);
/* A collection to look ids up in has to be there, even when there is no id. NULL in: fine. */
int vex_lower_check_lookup(struct vex_call *call, const Qdrant__LookupLocation *in);
/* The vector of a point of another collection: under the lookup's vector name, else under `using`. */
int vex_lower_lookup(struct vex_call *call, const Qdrant__LookupLocation *in, const struct vex_id *id,
                     struct vex_str using, struct vex_vector_value *ret);
/* One example: a vector, or an id of this collection; ids are looked up right now when there is a lookup. */
int vex_lower_example(struct vex_call *call, const Qdrant__VectorInput *in,
                      const Qdrant__LookupLocation *lookup, struct vex_str using, struct vex_example *ret);
/* The lookup is in another collection than the request's own: its points are none of the answer's. NULL: false. */
bool vex_lower_is_elsewhere(const struct vex_call *call, const Qdrant__LookupLocation *lookup);
/* Leaves these points out of the answer. */
void vex_lower_leave_out(struct vex_call *call, struct vex_id *ids, uint32_t count,
                         struct vex_filter **filter);

/* ---- queries ---- */

/* Set ret->kind (recommend by the average: VEX_STAGE_NEAREST, else VEX_STAGE_EXAMPLES) and what belongs to it. */
int vex_lower_recommend(struct vex_call *call, const Qdrant__RecommendInput *in,
                        const Qdrant__LookupLocation *lookup, struct vex_stage *ret);
int vex_lower_discover(struct vex_call *call, const Qdrant__DiscoverInput *in,
                       const Qdrant__LookupLocation *lookup, struct vex_stage *ret);
int vex_lower_context(struct vex_call *call, const Qdrant__ContextInput *in,
                      const Qdrant__LookupLocation *lookup, struct vex_stage *ret);
int vex_lower_feedback(struct vex_call *call, const Qdrant__RelevanceFeedbackInput *in,
                       const Qdrant__LookupLocation *lookup, struct vex_stage *ret);
int vex_lower_formula(struct vex_call *call, const Qdrant__Formula *in, struct vex_formula *ret);

#endif
