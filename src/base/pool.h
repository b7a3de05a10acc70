/* Worker pool: a fixed number of threads and one bounded FIFO queue.
 *
 * A task is a struct owned by the caller that starts with struct vex_task; it must live until its function
 * has been called. Tasks may submit tasks. */
#ifndef VEX_BASE_POOL_H
#define VEX_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct vex_pool;

struct vex_task {
    void (*run)(struct vex_task *task);
    struct vex_task *next; /* the pool's */
};

/* `limit`: most queued tasks accepted by vex_pool_try. */
struct vex_pool *vex_pool_new(unsigned threads, size_t limit, const char *name);
/* Runs all that is queued, joins the threads, frees. Nothing may be submitted any more by others. */
void vex_pool_free(struct vex_pool *pool);
/* false when the queue is full: the caller must answer "busy" (VEX_EUNAVAILABLE). */
bool vex_pool_try(struct vex_pool *pool, struct vex_task *task);
/* For work that must not be refused (applying what is logged); bounded by its owner. */
void vex_pool_submit(struct vex_pool *pool, struct vex_task *task);
size_t vex_pool_queued(struct vex_pool *pool);
unsigned vex_pool_threads(const struct vex_pool *pool);

#endif
