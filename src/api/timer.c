/* Timers: a list sorted by moment, and one thread that sleeps until the first.
 *
 * Lock      `lock` guards the list; fire runs without it.
 * Invariant Bounds are mostly alike, so a new timer nearly always belongs at the end: insertion
 *           searches from there. */
#include "api/timer.h"

#include <pthread.h>
#include <time.h>

#include "base/mem.h"

struct vex_timers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stopping;
    struct vex_timer *first, *last;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void detach(struct vex_timers *timers, struct vex_timer *timer)
{
    if (timer->prev != NULL)
        timer->prev->next = timer->next;
    else
        timers->first = timer->next;
    if (timer->next != NULL)
        timer->next->prev = timer->prev;
    else
        timers->last = timer->prev;
    timer->armed = false;
}

static void attach(struct vex_timers *timers, struct vex_timer *timer)
{
    struct vex_timer *before = timers->last;

    while (before != NULL && before->at_ns > timer->at_ns)
        before = before->prev;
    timer->prev = before;
    timer->next = before != NULL ? before->next : timers->first;
    if (timer->next != NULL)
        timer->next->prev = timer;
    else
        timers->last = timer;
    if (before != NULL)
        before->next = timer;
    else
        timers->first = timer;
    timer->armed = true;
}

static void *run(void *arg)
{
    struct vex_timers *timers = arg;

    pthread_mutex_lock(&timers->lock);
    while (!timers->stopping) {
        struct vex_timer *timer = timers->first;

        if (timer == NULL) {
            pthread_cond_wait(&timers->wake, &timers->lock);
        } else if (timer->at_ns > now_ns()) {
            struct timespec at = {.tv_sec = (time_t)(timer->at_ns / 1000000000u),
                                  .tv_nsec = (long)(timer->at_ns % 1000000000u)};
            pthread_cond_timedwait(&timers->wake, &timers->lock, &at);
        } else {
            detach(timers, timer);
            pthread_mutex_unlock(&timers->lock);
            timer->fire(timer);
            pthread_mutex_lock(&timers->lock);
        }
    }
    pthread_mutex_unlock(&timers->lock);
    return NULL;
}

struct vex_timers *vex_timers_new(void)
{
    struct vex_timers *timers = VEX_NEW(struct vex_timers);
    pthread_condattr_t attr;

    pthread_mutex_init(&timers->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&timers->wake, &attr);
    pthread_condattr_destroy(&attr);
    return timers;
}

void vex_timers_free(struct vex_timers *timers)
{
    if (timers == NULL)
        return;
    pthread_mutex_lock(&timers->lock);
    timers->stopping = true;
    pthread_cond_signal(&timers->wake);
    pthread_mutex_unlock(&timers->lock);
    if (timers->started)
        pthread_join(timers->thread, NULL);
    pthread_cond_destroy(&timers->wake);
    pthread_mutex_destroy(&timers->lock);
    vex_mem_free(timers);
}

void vex_timer_start(struct vex_timers *timers, struct vex_timer *timer)
{
    pthread_mutex_lock(&timers->lock);
    if (!timers->started)
        timers->started = pthread_create(&timers->thread, NULL, run, timers) == 0;
    attach(timers, timer);
    if (timers->first == timer)
        pthread_cond_signal(&timers->wake);
    pthread_mutex_unlock(&timers->lock);
}

bool vex_timer_cancel(struct vex_timers *timers, struct vex_timer *timer)
{
    bool armed;

    pthread_mutex_lock(&timers->lock);
    armed = timer->armed;
    if (armed)
        detach(timers, timer);
    pthread_mutex_unlock(&timers->lock);
    return armed;
}
