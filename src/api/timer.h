/* Timers: one thread that calls back at moments of the monotonic clock, for waits that a client bounds.
 *
 * Owner  A struct vex_timer belongs to its starter and stays put until it fired or was cancelled.
 * Thread The thread starts with the first timer; idle it sleeps without waking. `fire` runs on it and
 *        must be short. */
#ifndef VEX_API_TIMER_H
#define VEX_API_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct vex_timers;

struct vex_timer {
    uint64_t at_ns; /* CLOCK_MONOTONIC */
    void (*fire)(struct vex_timer *timer);
    struct vex_timer *prev, *next; /* the timers' */
    bool armed;
};

struct vex_timers *vex_timers_new(void);
void vex_timers_free(struct vex_timers *timers); /* no timer may be armed; NULL is fine */
void vex_timer_start(struct vex_timers *timers, struct vex_timer *timer);
/* true: it will not fire. false: it fired, or is firing on its thread. */
bool vex_timer_cancel(struct vex_timers *timers, struct vex_timer *timer);

#endif
