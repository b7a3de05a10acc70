/* Background work of a collection: one worker at a time does pieces of it, on the pool or on a thread that waits for the result.
 *
 * Owner     The set of derived structures (indexes, graphs) that it stands in; whoever has set `running` is the worker.
 * Lock      `lock` comes after the collection's lock and is held for moments; it guards the flags here, and what the owner says.
 * Turns     A turn does pieces for some milliseconds, then gives the pool's thread back. While turns are due the collection is held by
 *           a reference. */
#ifndef VEX_ENGINE_BACKGROUND_H
#define VEX_ENGINE_BACKGROUND_H

#include <pthread.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"

struct vex_collection;

struct vex_background {
    struct vex_collection *collection;
    /* One piece of work, without the lock; false: nothing is left to be done. */
    bool (*piece)(struct vex_background *work);
    pthread_mutex_t lock;
    pthread_cond_t changed;                                  /* of the monotonic clock */
    bool started, stopped, scheduled, running, wanted, idle; /* lock */
    struct vex_task task;
};

void vex_background_init(struct vex_background *work, struct vex_collection *collection,
                         bool (*piece)(struct vex_background *work));
void vex_background_done(struct vex_background *work);
void vex_background_start(struct vex_background *work); /* from here on it may be scheduled */
/* Ends the work for good: waits for the piece under way. */
void vex_background_stop(struct vex_background *work);
/* There may be work. */
void vex_background_schedule(struct vex_background *work);
/* Stopped, or the collection is dropped, refused or closing: looked at between pieces. */
bool vex_background_must_stop(struct vex_background *work);
/* [blocks] Helps until `done` (called under the lock) says so. deadline_ns: of the monotonic clock, 0: none. VEX_ETIMEOUT with the text
 * `late`, VEX_ENOT_FOUND, VEX_ECORRUPT, VEX_EUNAVAILABLE (closing). */
int vex_background_wait(struct vex_background *work, bool (*done)(const struct vex_background *work),
                        uint64_t deadline_ns, const char *late, struct vex_err *err);

#endif
