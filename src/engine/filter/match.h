/* Filter matching: one point against a bound tree, on CBOR, without building anything. */
#ifndef VEX_ENGINE_FILTER_MATCH_H
#define VEX_ENGINE_FILTER_MATCH_H

#include "engine/filter/tree.h"

/* What a filter can see of a point. */
struct vex_match_point {
    struct vex_id id;
    struct vex_value payload; /* may be absent */
    uint64_t vectors;         /* mask of the vectors it has */
};

/* Thread-safe; allocates nothing. A wrong type in a payload never fails, it just does not match. */
bool vex_filter_match(const struct vex_filter *filter, const struct vex_match_point *point);

#endif
