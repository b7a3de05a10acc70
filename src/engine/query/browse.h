/* Browsing: slots in an order, without scores. Private to the query folder.
 *
 * browse.c keeps the list; browse_page.c lists by id and by birth, browse_order.c by a field's values, browse_sample.c at random. */
#ifndef VEX_ENGINE_QUERY_BROWSE_H
#define VEX_ENGINE_QUERY_BROWSE_H

#include "engine/query/read.h"

/* What was found; grows with that, never with what was asked. */
struct vex_browse {
    uint64_t skip, limit;
    uint32_t *slots;
    struct vex_order_value *values; /* beside slots, when the order is a field's; else NULL */
    uint64_t count, cap;
    uint32_t next; /* slot that begins the next page, or VEX_SLOT_NONE */
};

/* The request's order, skip, filter and ids; `limit` instead of its limit. _done in any case. */
int vex_browse_run(struct vex_read *read, const struct vex_scroll *request, uint64_t limit,
                   struct vex_browse *ret);
void vex_browse_done(struct vex_browse *browse);

/* Takes the next match. 1: the page is complete; 0: go on; negative: error. value: NULL, or the value that puts it here. */
int vex_browse_take(struct vex_read *read, struct vex_browse *browse, uint32_t slot,
                    const struct vex_order_value *value);
/* How many matches complete the page. */
uint64_t vex_browse_want(const struct vex_browse *browse);

int vex_browse_page(struct vex_read *read, const struct vex_scroll *request, struct vex_browse *browse);
int vex_browse_order(struct vex_read *read, const struct vex_scroll *request, struct vex_browse *browse);
int vex_browse_sample(struct vex_read *read, const struct vex_scroll *request, struct vex_browse *browse);

#endif
