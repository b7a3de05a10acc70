/* A field's values through its index, exact at any time: the complete index, and beside it a small one made on the spot of the slots
 * that the complete one doesn't know rightly. While the index is still being built, the one made on the spot holds all points.
 * Private to the query folder. */
#ifndef VEX_ENGINE_QUERY_FIELD_H
#define VEX_ENGINE_QUERY_FIELD_H

#include "engine/query/candidates.h"

struct vex_field {
    const struct vex_index *index; /* NULL: not complete */
    const uint64_t *pending;       /* slots whose entries in `index` don't count; NULL: none */
    uint32_t pending_slots;
    struct vex_index *extra; /* NULL: nothing to add */
};

/* An index on the path that is `capable`, complete or not. VEX_ENOT_FOUND, err not set: there is none. Otherwise _close. */
int vex_field_open(struct vex_read *read, const struct vex_path *path,
                   bool (*capable)(const struct vex_index *index), struct vex_field *ret);
/* Few slots matter: only their values, from payloads, whatever the index holds. */
int vex_field_narrow(struct vex_read *read, const struct vex_candidates *among, struct vex_field *field);
void vex_field_close(struct vex_field *field);

static inline bool vex_field_counts(const struct vex_field *field, uint32_t slot)
{
    return field->pending == NULL || !vex_plan_bit(field->pending, field->pending_slots, slot);
}

#endif
