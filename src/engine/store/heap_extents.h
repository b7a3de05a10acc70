/* Free extents of a heap: settled ones by size class, those freed since the last checkpoint, and their form
 * on disk.
 *
 * Owner     One heap, whose writer alone touches them. Offsets and lengths are multiples of 16.
 * Invariant No extent is kept twice; at most VEX_EXTENTS_MAX are settled, the smallest beyond are given up
 *           (`lost`). */
#ifndef VEX_ENGINE_STORE_HEAP_EXTENTS_H
#define VEX_ENGINE_STORE_HEAP_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define VEX_EXTENTS_MAX     65536u
#define VEX_EXTENTS_CLASSES 32u

struct vex_extent {
    uint64_t offset, len;
};

struct vex_extent_list {
    struct vex_extent *at;
    size_t count, cap;
};

struct vex_extents {
    struct vex_extent_list class[VEX_EXTENTS_CLASSES]; /* settled, by the highest bit of len / 16 */
    struct vex_extent_list pending;                    /* freed since the last checkpoint */
    uint64_t bytes;                                    /* of settled extents */
    uint64_t pending_bytes;
    uint64_t lost;
};

void vex_extents_done(struct vex_extents *extents);
/* First fit among settled extents; false when none is found quickly. */
bool vex_extents_take(struct vex_extents *extents, uint64_t len, uint64_t *ret_offset);
void vex_extents_free(struct vex_extents *extents, uint64_t offset, uint64_t len);
/* Pending extents become settled; neighbours are joined. */
void vex_extents_settle(struct vex_extents *extents);
/* All extents as a checkpoint may reuse them: {u64 lost, u32 count, count x {u64 offset, u64 len}},
 * ascending. */
void vex_extents_encode(const struct vex_extents *extents, struct vex_buf *out);
/* Reads them back; false when they are not ascending, overlap or do not lie in [start, end). */
bool vex_extents_decode(struct vex_extents *extents, struct vex_cursor *c, uint64_t start, uint64_t end);

#endif
