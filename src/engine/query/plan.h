/* Plan: how the slots that match a filter are found, by payload indexes as far as they serve.
 *
 * Role      From a bound filter and the slots to choose from to the slots that match. Also for the apply path, which needs no
 *           lock since it is the only one to change anything.
 * Method    Every part of a filter is either told by an index (sure), left open by it, or not indexed at all: two bitmaps a part,
 *           the slots that match surely and those that may. What stays open in the end is decided by reading payloads, as are
 *           slots whose index entries are not up to date. The cheapest of three ways is taken by estimated cost: the bitmaps; one
 *           condition with few matches whose slots are read one by one; all payloads.
 * Invariant The answer is that of vex_filter_match on each slot.
 * Lock      The collection's, shared, while the plan is in use. Nothing to undo after it. */
#ifndef VEX_ENGINE_QUERY_PLAN_H
#define VEX_ENGINE_QUERY_PLAN_H

#include "engine/collection.h"
#include "engine/filter/match.h"

/* Estimates, nanoseconds. */
#define VEX_PLAN_READ_NS 250u /* a payload read and tested */
#define VEX_PLAN_ID_NS   100u /* an id looked up */

/* What is known of a part of a filter beforehand. */
struct vex_plan_bounds {
    uint64_t min, max; /* slots that match */
    uint64_t work;     /* ns for its bitmaps */
    uint64_t cheap;    /* of that, for a screen */
    double likely;     /* share of the slots that match, as if conditions knew nothing of one another */
    double kept;       /* share that a screen leaves */
    bool open;         /* payloads have to be read to know */
    bool narrows;      /* indexes, ids or names leave something out */
};

#define VEX_PLAN_ESTIMATES                                                                                   \
    8u /* conditions whose estimates are kept: a rim of places or many words are dear to judge twice */

struct vex_plan {
    const struct vex_collection_data *data;
    const struct vex_filter *filter; /* bound; NULL: all of base */
    const uint64_t *base;            /* live slots to choose from */
    uint32_t slots;                  /* bits of base */
    uint64_t base_count;             /* most that are set in it */
    int (*step)(void *arg);          /* called now and then; not 0: stop. May be NULL */
    void *arg;

    const uint64_t *pending; /* slots that indexes don't know rightly; NULL: none */
    uint32_t pending_slots;
    uint64_t pending_count;
    struct vex_plan_bounds bounds;
    struct {
        const struct vex_cond *cond;
        struct vex_index_estimate estimate;
    } estimates[VEX_PLAN_ESTIMATES];
    uint32_t estimate_count;
    const struct vex_cond *lead;        /* every match matches it, and it lists its slots; NULL: none */
    const struct vex_index *lead_index; /* NULL: the lead is a list of ids */
    uint64_t lead_count;
    bool sparing;     /* bitmaps are made for a screen */
    bool lead_whole;  /* the filter says nothing else */
    bool noted;       /* vex_plan_note was called */
    uint64_t find_ns; /* cost of vex_plan_find */
    enum { VEX_PLAN_ALL, VEX_PLAN_READ, VEX_PLAN_LEAD, VEX_PLAN_BITS } way;
};

/* Estimates everything; data, filter and base stay the caller's. step and arg may be set afterwards. */
void vex_plan_init(struct vex_plan *plan, const struct vex_collection_data *data,
                   const struct vex_filter *filter, const uint64_t *base, uint64_t base_count);
/* ORs the slots that match into bits (plan->slots bits, whole words, zeroed). VEX_ENO_MEMORY, or what step gave. */
int vex_plan_find(struct vex_plan *plan, uint64_t *bits, uint64_t *ret_count);
/* Slots that may match, judged by the conditions whose bitmaps are soon made; into words of plan->slots bits. Of use when few matches
 * are wanted: the rest is read. */
int vex_plan_screen(struct vex_plan *plan, uint64_t *screen);
/* An index knows the number of matches. base holds all live slots. */
bool vex_plan_is_counted(const struct vex_plan *plan);
/* Only how many. base holds all live slots. */
int vex_plan_count(struct vex_plan *plan, uint64_t *ret_count);
/* Payloads will be read: fields without an index are made known to the index set, once a plan. vex_plan_find does so itself. */
void vex_plan_note(struct vex_plan *plan);
/* One slot, by its payload. slot is live. */
bool vex_plan_match(const struct vex_collection_data *data, const struct vex_filter *filter, uint32_t slot);

static inline size_t vex_plan_words(uint32_t slots)
{
    return ((size_t)slots + 63) / 64;
}

static inline bool vex_plan_bit(const uint64_t *bits, uint32_t slots, uint32_t slot)
{
    return slot < slots && (bits[slot / 64] >> slot % 64 & 1) != 0;
}

/* ---- between plan.c and plan_bits.c ---- */

/* An index that answers this condition, or NULL. */
const struct vex_index *vex_plan_index(const struct vex_plan *plan, const struct vex_cond *cond);
/* What the index of the condition's own path knows of it; asked once for the first few conditions. */
struct vex_index_estimate vex_plan_estimate(struct vex_plan *plan, const struct vex_index *index,
                                            const struct vex_cond *cond);
/* Its bitmap takes long to make. */
bool vex_plan_is_dear(struct vex_plan *plan, const struct vex_index *index, const struct vex_cond *cond);
/* For NESTED: the index that holds what one of its conditions on elements looks at, the one with the fewest matches; what it
 * answers are slots that may match. NULL: none, and *ret_inner stays. */
const struct vex_index *vex_plan_nested_index(const struct vex_plan *plan, const struct vex_cond *nested,
                                              const struct vex_cond **ret_inner);
/* Slots that surely match and slots that may, out of base. Both of plan->slots bits. */
int vex_plan_bitmaps(struct vex_plan *plan, uint64_t *sure, uint64_t *maybe);

#endif
