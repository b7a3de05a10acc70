/* Sorted runs of (key, slot): what numbers and geo points are kept in.
 *
 * Shape      Three levels, each sorted by key and then slot: `main`, exact and packed; `mid`, about an eighth of it at most; and
 *            a short tail that takes what comes. A full tail is merged into mid at once, mid into main by prepare and publish, or
 *            at once when nobody calls them. What is removed from main and mid is marked stale until the next merge.
 *            A pair that was added twice is there twice.
 * Keys       Of 8 bytes: the key itself. Of 16 bytes: two doubles, longitude and latitude; their key is the Morton code.
 * Owner      A value store. Lock: as the index; prepare beside readers.
 * Memory     4 bytes a slot and 8 or 16 a key; 1, 2 or 4 for numbers that lie so near to one another. Aborts when out of it, except in load. */
#ifndef VEX_ENGINE_INDEX_RUNS_H
#define VEX_ENGINE_INDEX_RUNS_H

#include "base/err.h"
#include "base/str.h"

#define VEX_RUNS_LEVELS 3
#define VEX_RUN_STEP    32u
#define VEX_RUNS_TAIL   1023u /* most pairs in the last level */

struct vex_run {
    void *keys; /* width bytes each */
    uint32_t *slots;
    uint64_t *stale; /* bitmap over positions; NULL: none */
    uint64_t *marks; /* width 16: key of every VEX_RUN_STEP-th pair, for searches; NULL: none */
    uint64_t base;   /* width below 8: added to each key */
    uint32_t count, stale_count;
    uint8_t width;
};

struct vex_runs {
    struct vex_run level[VEX_RUNS_LEVELS];
    struct vex_run pending; /* of prepare */
    uint32_t tail_room;
    uint8_t width; /* 8 or 16 */
    bool has_pending;
};

/* A key as it is kept; 8 bytes: only `a`. */
struct vex_run_key {
    uint64_t a, b;
};

void vex_runs_init(struct vex_runs *runs, uint8_t width);
void vex_runs_done(struct vex_runs *runs);
void vex_runs_add(struct vex_runs *runs, struct vex_run_key key, uint32_t slot);
bool vex_runs_remove(struct vex_runs *runs, struct vex_run_key key, uint32_t slot); /* one of the pairs */
void vex_runs_forget(struct vex_runs *runs, const uint64_t *bits, uint32_t slots);
bool vex_runs_prepare(struct vex_runs *runs);
void vex_runs_publish(struct vex_runs *runs);
uint64_t vex_runs_count(const struct vex_runs *runs); /* pairs that are not stale */
uint64_t vex_runs_bytes(const struct vex_runs *runs);
/* u64 count, the keys, the slots: all levels as one. load: into a fresh one; order and slots are checked. */
void vex_runs_save(const struct vex_runs *runs, struct vex_buf *out);
int vex_runs_load(struct vex_runs *runs, struct vex_cursor *c, struct vex_err *err);

/* ---- one level ---- */

uint64_t vex_geo_morton(double lon, double lat); /* 32 bits of each; outside of the globe: at its edge */

static inline uint64_t vex_run_key(const struct vex_run *run, uint32_t at)
{
    if (run->width == 8)
        return ((const uint64_t *)run->keys)[at];
    if (run->width == 4)
        return run->base + ((const uint32_t *)run->keys)[at];
    if (run->width == 2)
        return run->base + ((const uint16_t *)run->keys)[at];
    if (run->width == 1)
        return run->base + ((const uint8_t *)run->keys)[at];
    return vex_geo_morton(((const double *)run->keys)[2 * (size_t)at],
                          ((const double *)run->keys)[2 * (size_t)at + 1]);
}

static inline bool vex_run_stale(const struct vex_run *run, uint32_t at)
{
    return run->stale != NULL && (run->stale[at / 64] >> at % 64 & 1) != 0;
}

/* First position at or behind `from` whose key is not below; gallops, so that near ones are found fast. */
uint32_t vex_run_seek(const struct vex_run *run, uint32_t from, uint64_t key);
/* First position of [lo, hi) whose key is not below, or hi. */
uint32_t vex_run_seek_between(const struct vex_run *run, uint32_t lo, uint32_t hi, uint64_t key);
/* First position behind `from` whose key is above. */
uint32_t vex_run_pass(const struct vex_run *run, uint32_t from, uint64_t key);
uint64_t vex_run_live(const struct vex_run *run, uint32_t lo, uint32_t hi); /* not stale */
/* Sets or clears the bits of the slots of [lo, hi). */
void vex_run_set(const struct vex_run *run, uint32_t lo, uint32_t hi, uint64_t *bits, uint32_t slots);
void vex_run_clear(const struct vex_run *run, uint32_t lo, uint32_t hi, uint64_t *bits, uint32_t slots);
int vex_run_each(const struct vex_run *run, uint32_t lo, uint32_t hi, int (*fn)(void *arg, uint32_t slot),
                 void *arg);

#endif
