/* Hits: what of a point goes into an answer, copied into the caller's arena. Private to the query folder. */
#ifndef VEX_ENGINE_QUERY_RESULT_H
#define VEX_ENGINE_QUERY_RESULT_H

#include "engine/query/read.h"

/* A request's selectors, resolved once. Lives in the arena. */
struct vex_result_plan {
    const struct vex_payload_selector *payload;
    const struct vex_vector_params **vectors; /* wanted, in ordinal order */
    struct vex_str *names;                    /* their names, copied */
    uint32_t count;
    uint64_t mask; /* their bits */
};

int vex_result_plan(struct vex_read *read, const struct vex_payload_selector *payload,
                    const struct vex_vector_selector *vectors, struct vex_result_plan *ret);
/* Hits of these slots, which are live, in order: all of them but their scores. */
int vex_result_slots(struct vex_read *read, const struct vex_result_plan *plan, const uint32_t *slots,
                     uint64_t count, struct vex_hits *ret);
/* One stored vector, copied; the point has it. `name` is not copied. */
int vex_result_vector(struct vex_read *read, const struct vex_vector_params *params, struct vex_str name,
                      uint32_t slot, struct vex_vector_value *ret);

#endif
