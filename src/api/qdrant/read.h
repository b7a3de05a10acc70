/* What handlers of reads share: a request is lowered once, by its cost function when that has run, and then answered on whatever
 * thread the service chose. */
#ifndef VEX_API_QDRANT_READ_H
#define VEX_API_QDRANT_READ_H

#include "api/qdrant/strict.h"

/* The beginning of every read's state; the state is call->state, in the call's arena. */
struct vex_qread {
    struct vex_qdrant_state state;
    int code;                                   /* of the lowering */
    struct vex_collection *collection, *lookup; /* references; lookup NULL: none */
    uint64_t deadline_ns;
};

typedef int vex_qread_lower_fn(struct vex_call *call, void *read);

/* The state of `size` bytes, lowered by `lower` the first time. */
void *vex_qread_lowered(struct vex_call *call, size_t size, vex_qread_lower_fn *lower);
/* Finds the collection and sets the deadline. */
int vex_qread_begin(struct vex_call *call, struct vex_qread *read, const char *collection_name,
                    bool has_timeout, uint64_t timeout);
/* All of strict mode for a read that costs `tokens`. */
int vex_qread_strict(struct vex_call *call, const struct vex_qread *read, bool has_timeout, uint64_t timeout,
                     const struct vex_strict_read *question, uint64_t tokens);
struct vex_read_context vex_qread_context(struct vex_call *call, const struct vex_qread *read);

#define VEX_POINT_NS 1500 /* estimate for a point with its payload, from memory */

#endif
