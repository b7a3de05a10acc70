/* The best k of a stream of scored slots, in the order of answers: better score first, then id. Private to
 * the query folder.
 *
 * A bounded heap whose root is the worst kept; it grows with what was offered up to k. NaN counts as the
 * worst score. */
#ifndef VEX_ENGINE_QUERY_TOP_H
#define VEX_ENGINE_QUERY_TOP_H

#include "engine/point/rows.h"

struct vex_scored {
    float score;
    uint32_t slot;
};

struct vex_top {
    const struct vex_rows *rows;
    bool larger; /* larger scores are better */
    uint64_t limit, count, cap;
    struct vex_scored *entries; /* heap; sorted after vex_top_sort */
};

void vex_top_init(struct vex_top *top, const struct vex_rows *rows, bool larger, uint64_t limit);
void vex_top_done(struct vex_top *top);
/* VEX_ENO_MEMORY or 0. */
int vex_top_offer(struct vex_top *top, float score, uint32_t slot);
void vex_top_sort(struct vex_top *top);

/* a comes before b in an answer. */
bool vex_scored_before(const struct vex_rows *rows, bool larger, const struct vex_scored *a,
                       const struct vex_scored *b);
/* Sorts any run. */
void vex_scored_sort(const struct vex_rows *rows, bool larger, struct vex_scored *entries, uint64_t count);

#endif
