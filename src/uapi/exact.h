/* Exact k nearest of a batch of queries over slots in memory, and the walk over an allow bitmap.
 * Private to uapi. */
#ifndef VEX_UAPI_EXACT_H
#define VEX_UAPI_EXACT_H

#include "uapi/dev.h"

struct vex_exact {
    const char *base; /* slot 0 */
    uint32_t dimensions, stride;
    enum vex_element element;
    uint32_t slots; /* slots that exist; a search's range ends there */
};

/* The allowed slots of a range, in order. */
struct vex_exact_walk {
    const uint64_t *allow; /* NULL: all */
    uint64_t at, end;
};

/* The next at most `max` slots; 0: done. Words of the bitmap without a bit are passed over whole; none beyond
 * the one that holds bit end-1 is read. */
uint32_t vex_exact_next(struct vex_exact_walk *walk, uint32_t max, uint32_t *ret_slots);

/* VEX_EBAD_INPUT for a request that no file could answer. */
int vex_exact_check(const struct vex_dev_search *search);
/* Answers a checked request. *ret_read: vectors read from memory. */
int vex_exact_search(const struct vex_exact *set, const struct vex_dev_search *search, uint64_t *ret_read);

#endif
