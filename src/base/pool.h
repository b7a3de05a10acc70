/* Worker pool: threads that run tasks of three kinds, each in the order in which they came, and help with work that is shared out in
 * pieces.
 *
 * Kinds     Long calls never take all threads: there is one more for short calls, and yet another for the pool's owner. So a short call
 *           waits for no long one, and what was logged is applied whatever is being asked.
 * Tasks     A task is a struct owned by the caller that starts with struct vex_task; it must live until its function has been called.
 *           Tasks may submit tasks. */
#ifndef VEX_BASE_POOL_H
#define VEX_BASE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vex_pool;

enum vex_task_kind {
    VEX_TASK_OWN,   /* of the pool's owner: as many at once as `threads` */
    VEX_TASK_SHORT, /* calls: with the long ones, one more than that */
    VEX_TASK_LONG,  /* calls that may take long: as many as `threads` */
    VEX_TASK_KINDS
};

struct vex_task {
    void (*run)(struct vex_task *task);
    struct vex_task *next; /* these are the pool's */
    uint64_t ticket;
    enum vex_task_kind kind;
};

/* `threads`: cores to be used. `limit`: most queued tasks accepted by vex_pool_try. */
struct vex_pool *vex_pool_new(unsigned threads, size_t limit, const char *name);
/* Runs all that is queued, joins the threads, frees. Nothing may be submitted any more by others. */
void vex_pool_free(struct vex_pool *pool);
/* false when the queue is full: the caller must answer "busy" (VEX_EUNAVAILABLE). */
bool vex_pool_try(struct vex_pool *pool, struct vex_task *task, enum vex_task_kind kind);
/* For work that must not be refused (applying what is logged); bounded by its owner. VEX_TASK_OWN. */
void vex_pool_submit(struct vex_pool *pool, struct vex_task *task);
size_t vex_pool_queued(struct vex_pool *pool);
unsigned vex_pool_threads(const struct vex_pool *pool); /* as asked for */
/* Whether this thread runs a task of the kind VEX_TASK_LONG, of any pool. */
bool vex_pool_in_long_task(void);

/* Work in pieces that may go on at once. Owned by the caller, on the stack as a rule. */
struct vex_share {
    void (*piece)(struct vex_share *share, uint32_t nth);
    uint32_t count;
    struct vex_share *next; /* these are the pool's */
    unsigned helpers;
    _Atomic uint32_t taken;
};
/* Does all pieces: on this thread, and on others of the pool that have nothing else to do, which go back to tasks between two pieces.
 * Waits for no thread but for pieces under way, so it may be called anywhere, in a task and in a piece too. */
void vex_pool_share(struct vex_pool *pool, struct vex_share *share);

#endif
