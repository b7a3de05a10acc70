/* Candidates: the slots a read may look at, as a bitmap over all slots. Private to the query folder.
 *
 * Cost      Without a filter and ids it is the collection's own bitmap; else the plan's (plan.h), kept for the next read with the same
 *           filter as long as no row changes (bits_cache.h). */
#ifndef VEX_ENGINE_QUERY_CANDIDATES_H
#define VEX_ENGINE_QUERY_CANDIDATES_H

#include "engine/query/bits_cache.h"
#include "engine/query/plan.h"
#include "engine/query/read.h"

struct vex_candidates {
    const uint64_t *allow;            /* bit a slot; NULL only when count is 0 */
    uint32_t slots;                   /* bits */
    uint64_t count;                   /* set bits */
    bool all;                         /* every live slot that has the vector */
    uint64_t *owned;                  /* freed by _done */
    const struct vex_kept_bits *kept; /* likewise let go */
};

struct vex_id_list {
    const struct vex_id *ids;
    uint32_t count;
    bool given; /* false: no restriction */
};

#define VEX_NO_ORDINAL 255u /* points need not have any vector */

/* Live slots that have the vector, are among the ids and match the filter. */
int vex_candidates_find(struct vex_read *read, const struct vex_read_filter *filter, struct vex_id_list ids,
                        uint32_t ordinal, struct vex_candidates *ret);
void vex_candidates_done(struct vex_candidates *candidates);
/* A plan whose steps are the read's. */
void vex_candidates_plan(struct vex_read *read, const struct vex_read_filter *filter, const uint64_t *base,
                         uint64_t base_count, struct vex_plan *ret);
/* The plan's matches. */
int vex_candidates_of(struct vex_read *read, struct vex_plan *plan, struct vex_candidates *ret);

/* Walks: *at = 0 first; VEX_SLOT_NONE at the end. */
static inline uint32_t vex_candidates_next(const struct vex_candidates *candidates, uint32_t *at)
{
    uint32_t slot = *at;
    while (slot < candidates->slots && candidates->count != 0) {
        uint64_t bits = candidates->allow[slot / 64] >> (slot % 64);
        if (bits != 0) {
            slot += (uint32_t)__builtin_ctzll(bits);
            *at = slot + 1;
            return slot;
        }
        slot = (slot / 64 + 1) * 64;
    }
    return VEX_SLOT_NONE;
}

#endif
