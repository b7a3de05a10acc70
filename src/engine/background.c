/* Background work of a collection. See background.h. */
#include "engine/background.h"

#include <time.h>

#include "base/mem.h"
#include "engine/internal.h"

#define QUANTUM_NS 5000000u /* work before others get the pool's thread */

void vex_background_init(struct vex_background *work, struct vex_collection *collection,
                         bool (*piece)(struct vex_background *work))
{
    pthread_condattr_t attr;

    *work = (struct vex_background){.collection = collection, .piece = piece, .idle = true};
    pthread_mutex_init(&work->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&work->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void vex_background_done(struct vex_background *work)
{
    pthread_mutex_destroy(&work->lock);
    pthread_cond_destroy(&work->changed);
}

bool vex_background_must_stop(struct vex_background *work)
{
    const struct vex_collection *collection = work->collection;
    bool stopped;

    pthread_mutex_lock(&work->lock);
    stopped = work->stopped;
    pthread_mutex_unlock(&work->lock);
    return stopped || atomic_load(&collection->dropped) || atomic_load(&collection->refused) != 0 ||
           atomic_load(&collection->engine->closing);
}

static void run_task(struct vex_task *task);

/* Under the lock. */
static void schedule(struct vex_background *work)
{
    if (!work->started || work->stopped || work->scheduled || work->running)
        return;
    work->scheduled = true;
    vex_collection_ref(work->collection);
    work->task.run = run_task;
    vex_pool_submit(work->collection->engine->pool, &work->task);
}

/* A turn as the worker; under the lock, which it lets go meanwhile. */
static void turn(struct vex_background *work)
{
    struct vex_io *io = work->collection->engine->io;
    bool more = true;

    work->running = true;
    work->wanted = false;
    pthread_mutex_unlock(&work->lock);
    for (uint64_t begin = vex_io_monotonic_ns(io); more && vex_io_monotonic_ns(io) - begin < QUANTUM_NS;)
        more = work->piece(work);
    pthread_mutex_lock(&work->lock);
    work->running = false;
    if (more || work->wanted)
        schedule(work);
    else
        work->idle = true;
    pthread_cond_broadcast(&work->changed);
}

static void run_task(struct vex_task *task)
{
    struct vex_background *work = VEX_CONTAINER_OF(task, struct vex_background, task);
    struct vex_collection *collection = work->collection;

    pthread_mutex_lock(&work->lock);
    work->scheduled = false;
    if (!work->running && !work->stopped)
        turn(work);
    pthread_mutex_unlock(&work->lock);
    vex_collection_unref(collection);
}

void vex_background_schedule(struct vex_background *work)
{
    pthread_mutex_lock(&work->lock);
    work->wanted = true;
    work->idle = false;
    schedule(work);
    pthread_mutex_unlock(&work->lock);
}

void vex_background_start(struct vex_background *work)
{
    pthread_mutex_lock(&work->lock);
    work->started = true;
    pthread_mutex_unlock(&work->lock);
}

void vex_background_stop(struct vex_background *work)
{
    pthread_mutex_lock(&work->lock);
    work->stopped = true;
    pthread_cond_broadcast(&work->changed);
    while (work->running)
        pthread_cond_wait(&work->changed, &work->lock);
    pthread_mutex_unlock(&work->lock);
}

/* Nobody works: a turn. Else waits for a change, a while. Under the lock. */
static void help_or_wait(struct vex_background *work, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                             .tv_nsec = (long)(deadline_ns % 1000000000)};

    if (!work->running && work->started)
        turn(work);
    else if (deadline_ns == 0)
        pthread_cond_wait(&work->changed, &work->lock);
    else
        pthread_cond_timedwait(&work->changed, &work->lock, &until);
}

int vex_background_wait(struct vex_background *work, bool (*done)(const struct vex_background *work),
                        uint64_t deadline_ns, const char *late, struct vex_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&work->lock);
    while (rc == 0 && !done(work)) {
        rc = vex_collection_usable(work->collection, err);
        if (rc == 0 && work->stopped)
            rc = vex_err_set(err, VEX_EUNAVAILABLE, "The server is closing");
        if (rc == 0 && deadline_ns != 0 && vex_io_monotonic_ns(vex_io_posix()) >= deadline_ns)
            rc = vex_err_set(err, VEX_ETIMEOUT, "%s", late);
        if (rc == 0)
            help_or_wait(work, deadline_ns);
    }
    pthread_mutex_unlock(&work->lock);
    return rc;
}
