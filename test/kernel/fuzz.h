/* Random requests to the vector device: what the parts of the program share. One translation unit (fuzz.c).
 *
 * Memory    Requests that may go wrong use an arena at an address of its own, with a guard after it, so that no
 *           answer to a wrong address can land in the program. Counters lie in memory shared with the children.
 * Threads   Every worker draws from a generator of its own: what it asks depends on seed and thread alone. */
#ifndef VEX_TEST_KERNEL_FUZZ_H
#define VEX_TEST_KERNEL_FUZZ_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "uapi/vexfs.h"

#define THREADS_MAX 32
#define FOLDERS_MAX 4u
#define ARENA_BASE  UINT64_C(0x180000000000)
#define ARENA_STEP  (UINT64_C(64) << 30)
#define ARENA_BYTES ((size_t)2 << 20)
#define FILE_BYTES  ((uint64_t)1 << 20) /* no backing file gets longer */
#define USUAL_BYTES                                                                                          \
    (48u << 10) /* nor, most of the time, as long as this: large files take much time and find little */
/* Descriptors by number, so that none of a request that comes late can be that of a file whose content matters. */
#define FD_SHARED  400 /* files that anything may happen to */
#define FD_TARGET  500 /* the device's, used by all */
#define FD_GUARDED 700 /* files of the invariants: no request names one by chance */
#define ERRNO_MAX  600 /* those that only kernels know are seen too */

/* The device, or a double of it. */
struct fuzz_sys {
    int (*open)(int at); /* descriptor, or -errno; at >= 0: this number, whatever it was before */
    void (*close)(int fd);
    int (*ioctl)(int fd, unsigned long request, void *param); /* 0 or -errno */
};

struct fuzz_options {
    uint64_t requests, seed;
    unsigned threads, seconds;
    bool calm; /* no bad addresses, no files changed from outside, no children, no signals */
    const char *folders[FOLDERS_MAX]; /* files take turns: each on a file system of its own */
    unsigned folder_count;
};

/* Every request, and one row for numbers that are none. */
#define FUZZ_KINDS(X)                                                                                        \
    X(SET_META, VEXFS_IOC_SET_VECTOR_META, vexfs_vector_file_info)                                           \
    X(GET_META, VEXFS_IOC_GET_VECTOR_META, vexfs_vector_file_info)                                           \
    X(VECTOR_SEARCH, VEXFS_IOC_VECTOR_SEARCH, vexfs_vector_search_request)                                   \
    X(BATCH_INSERT, VEXFS_IOC_BATCH_INSERT, vexfs_batch_insert_request)                                      \
    X(ATTACH, VEXFS_IOC_ATTACH, vexfs_attach)                                                                \
    X(WRITE, VEXFS_IOC_WRITE, vexfs_write)                                                                   \
    X(READ, VEXFS_IOC_READ, vexfs_slots)                                                                     \
    X(SCAN, VEXFS_IOC_SCAN, vexfs_scan)                                                                      \
    X(SEARCH, VEXFS_IOC_SEARCH, vexfs_search)                                                                \
    X(CLEAR, VEXFS_IOC_CLEAR, vexfs_slots)                                                                   \
    X(SYNC, VEXFS_IOC_SYNC, vexfs_length)                                                                    \
    X(TRUNCATE, VEXFS_IOC_TRUNCATE, vexfs_length)                                                            \
    X(STATS, VEXFS_IOC_STATS, vexfs_stats)                                                                   \
    X(CAPS, VEXFS_IOC_CAPS, vexfs_caps)

enum fuzz_kind {
#define X(name, number, type) KIND_##name,
    FUZZ_KINDS(X)
#undef X
        KIND_OTHER,
    KIND_COUNT
};

static const struct {
    const char *name;
    unsigned long number;
    uint32_t size;
} kinds[KIND_COUNT] = {
#define X(name, number, type) {#name, number, sizeof(struct type)},
    FUZZ_KINDS(X)
#undef X
        {"(other)", 0, 64},
};

/* Shared with the children. */
struct fuzz_shared {
    _Atomic uint64_t answers[KIND_COUNT][ERRNO_MAX];         /* 0: success */
    _Atomic uint64_t spent[KIND_COUNT], longest[KIND_COUNT]; /* nanoseconds */
    _Atomic uint64_t total, checked, wrong, children, child_asked;
    _Atomic int stop;
};

static struct fuzz_options options = {.requests = 100000, .seed = 1, .threads = 4};
static struct fuzz_shared *shared;
static const struct fuzz_sys *sys;

struct fuzz_worker {
    unsigned number;
    uint64_t state; /* of the generator */
    char *arena;
    _Atomic int doing; /* a kind, or -1: what it is in, for whoever finds it stuck */
    pthread_t thread;
};

/* ---- Chance ---- */

static inline uint64_t draw64(struct fuzz_worker *w)
{
    uint64_t x = w->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint32_t draw(struct fuzz_worker *w, uint32_t below)
{
    return (uint32_t)((draw64(w) >> 32) * below >> 32);
}

static inline bool chance(struct fuzz_worker *w, uint32_t one_in)
{
    return draw(w, one_in) == 0;
}

/* How far into a file something reaches. */
static inline uint32_t reach(struct fuzz_worker *w)
{
    return chance(w, 64) ? (uint32_t)FILE_BYTES : USUAL_BYTES;
}

/* Moves a descriptor to a number of the guarded ones. */
static inline int guarded(int fd)
{
    int moved = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, FD_GUARDED);
    if (fd >= 0)
        close(fd);
    return moved;
}

/* ---- Requests ---- */

static inline uint64_t address(const void *ptr)
{
    return (uint64_t)(uintptr_t)ptr;
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline int submit(struct fuzz_worker *w, int fd, enum fuzz_kind kind, unsigned long number,
                         void *param)
{
    atomic_store_explicit(&w->doing, (int)kind, memory_order_relaxed);
    uint64_t start = now_ns();
    int rc = sys->ioctl(fd, number, param);
    uint64_t took = now_ns() - start, longest = atomic_load(&shared->longest[kind]);
    atomic_store_explicit(&w->doing, -1, memory_order_relaxed);
    int slot = -rc >= 0 && -rc < ERRNO_MAX ? -rc : ERRNO_MAX - 1;
    atomic_fetch_add_explicit(&shared->answers[kind][slot], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->total, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->spent[kind], took, memory_order_relaxed);
    while (took > longest && !atomic_compare_exchange_weak(&shared->longest[kind], &longest, took)) {
    }
    return rc;
}

/* A request that is right and whose answer matters: a signal does not end it. */
static inline int ask(struct fuzz_worker *w, int fd, enum fuzz_kind kind, void *param)
{
    unsigned char before[128];
    memcpy(before, param, kinds[kind].size);
    for (;;) {
        int rc = submit(w, fd, kind, kinds[kind].number, param);
        if (rc != -EINTR)
            return rc;
        memcpy(param, before, kinds[kind].size);
    }
}

static inline bool is_stopped(void)
{
    return atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0 ||
           atomic_load_explicit(&shared->total, memory_order_relaxed) >= options.requests;
}

/* Notes what was checked; says what is wrong, a few times. */
static inline void expect(bool right, struct fuzz_worker *w, const char *what, int64_t got, int64_t wanted)
{
    atomic_fetch_add_explicit(&shared->checked, 1, memory_order_relaxed);
    if (right)
        return;
    if (atomic_fetch_add(&shared->wrong, 1) < 20)
        fprintf(stderr, "wrong: thread %u: %s: %lld, not %lld\n", w->number, what, (long long)got,
                (long long)wanted);
}

#endif
