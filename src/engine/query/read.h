/* A read under way: the pinned version, the time it may take, bound filters. Private to the query folder.
 *
 * Owner     The call that opened it, on its stack. Lock: holds the collection's lock shared from open to
 * close. Steps     Long loops call vex_read_step once a point; every few thousand steps it looks at the clock
 * and the client. */
#ifndef VEX_ENGINE_QUERY_READ_H
#define VEX_ENGINE_QUERY_READ_H

#include "engine/collection.h"
#include "engine/filter/match.h"
#include "engine/query/query.h"

#define VEX_READ_STEPS 4096u /* points between two looks at the clock */

struct vex_read {
    struct vex_collection *collection;
    struct vex_collection_data data;
    const struct vex_read_context *context;
    struct vex_arena *arena;
    struct vex_err *err;
    const char *what; /* for the text of a time-out */
    uint32_t steps;
};

/* On failure nothing is held and err is set. */
int vex_read_open(struct vex_read *read, struct vex_collection *collection,
                  const struct vex_read_context *context, const char *what, struct vex_err *err);
void vex_read_close(struct vex_read *read);
/* VEX_ECANCELLED, VEX_ETIMEOUT (err set) or 0. */
int vex_read_check(struct vex_read *read);

static inline int vex_read_step(struct vex_read *read)
{
    return ++read->steps % VEX_READ_STEPS != 0 ? 0 : vex_read_check(read);
}

/* An answer too big for the call's memory, or for the machine's. */
int vex_read_no_memory(struct vex_read *read);

/* A filter bound for this read; `filter` NULL: everything matches. */
struct vex_read_filter {
    const struct vex_filter *filter;
    struct vex_filter_binding binding; /* of `read`, which must not move */
};
/* On failure nothing is left to be undone. */
int vex_read_filter_bind(struct vex_read *read, struct vex_filter *filter, struct vex_read_filter *ret);
void vex_read_filter_unbind(struct vex_read_filter *filter);

/* Blob of a live slot; empty when it has none. VEX_ECORRUPT when it can't be read. */
int vex_read_blob(struct vex_read *read, uint32_t slot, struct vex_str *ret);

#endif
