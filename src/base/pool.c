/* Worker pool: a list a kind and one of shared work, one lock, one condition. See pool.h.
 *
 * Owner     The creator. Lock: `lock` guards everything but the count of pieces taken.
 * Invariant `stopping` threads leave only when nothing is queued and no task runs that could submit more. Each thread that takes
 *           something wakes the next one when there is more to take: no wish is forgotten when a wake-up meets a thread that may not
 *           serve it. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "base/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define NAME_MAX_LEN 16 /* the kernel's, with NUL */
#define SPARE        2u /* threads: for short calls and for the owner */

struct list {
    struct vex_task *first, **last;
};

struct vex_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake, helped;
    struct list lists[VEX_TASK_KINDS];
    struct vex_share *shares; /* first come first */
    uint64_t ticket;
    size_t queued, limit;
    unsigned running[VEX_TASK_KINDS]; /* tasks being run */
    unsigned helping;                 /* threads at shared work */
    bool stopping;
    unsigned count, thread_count;
    char name[NAME_MAX_LEN];
    pthread_t threads[];
};

static _Thread_local bool in_long_task;

/* ---- choosing: the lock is held ---- */

static unsigned running_tasks(const struct vex_pool *pool)
{
    return pool->running[VEX_TASK_OWN] + pool->running[VEX_TASK_SHORT] + pool->running[VEX_TASK_LONG];
}

static bool may_start(const struct vex_pool *pool, enum vex_task_kind kind)
{
    unsigned calls = pool->running[VEX_TASK_SHORT] + pool->running[VEX_TASK_LONG];

    if (kind != VEX_TASK_OWN && calls > pool->count)
        return false;
    return kind == VEX_TASK_SHORT || pool->running[kind] < pool->count;
}

/* The list of the oldest task that may start; NULL: there is none. */
static struct list *next_list(struct vex_pool *pool)
{
    struct list *oldest = NULL;

    for (int kind = 0; kind < VEX_TASK_KINDS; kind++) {
        struct list *list = &pool->lists[kind];

        if (list->first != NULL && may_start(pool, (enum vex_task_kind)kind) &&
            (oldest == NULL || list->first->ticket < oldest->first->ticket))
            oldest = list;
    }
    return oldest;
}

/* Shared work that another thread may join: no core has more than one thread at it. */
static struct vex_share *next_share(struct vex_pool *pool)
{
    struct vex_share *share = pool->shares;

    if (running_tasks(pool) + pool->helping >= pool->count)
        return NULL;
    while (share != NULL && (share->helpers + 1 >= pool->count ||
                             atomic_load_explicit(&share->taken, memory_order_relaxed) >= share->count))
        share = share->next;
    return share;
}

static void wake_next(struct vex_pool *pool)
{
    if (next_list(pool) != NULL || next_share(pool) != NULL)
        pthread_cond_signal(&pool->wake);
}

/* ---- threads ---- */

static void run_first(struct vex_pool *pool, struct list *list)
{
    struct vex_task *task = list->first;
    enum vex_task_kind kind = task->kind;

    list->first = task->next;
    if (list->first == NULL)
        list->last = &list->first;
    pool->queued--;
    pool->running[kind]++;
    wake_next(pool);
    pthread_mutex_unlock(&pool->lock);
    in_long_task = kind == VEX_TASK_LONG;
    task->run(task); /* the task may be gone afterwards */
    in_long_task = false;
    pthread_mutex_lock(&pool->lock);
    pool->running[kind]--;
}

static bool take_piece(struct vex_share *share, uint32_t *ret)
{
    *ret = atomic_load_explicit(&share->taken, memory_order_relaxed);
    while (*ret < share->count)
        if (atomic_compare_exchange_weak_explicit(&share->taken, ret, *ret + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static void help(struct vex_pool *pool, struct vex_share *share)
{
    uint32_t nth;

    share->helpers++;
    pool->helping++;
    wake_next(pool);
    while (next_list(pool) == NULL && take_piece(share, &nth)) {
        pthread_mutex_unlock(&pool->lock);
        share->piece(share, nth);
        pthread_mutex_lock(&pool->lock);
    }
    pool->helping--;
    if (--share->helpers == 0) /* from here on it may be gone */
        pthread_cond_broadcast(&pool->helped);
}

static void *work(void *arg)
{
    struct vex_pool *pool = arg;
    struct vex_share *share;
    struct list *list;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        if ((list = next_list(pool)) != NULL)
            run_first(pool, list);
        else if ((share = next_share(pool)) != NULL)
            help(pool, share);
        else if (pool->stopping && pool->queued == 0 && running_tasks(pool) == 0)
            break;
        else
            pthread_cond_wait(&pool->wake, &pool->lock);
    }
    /* The others wait for the last running task too. */
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct vex_pool *vex_pool_new(unsigned threads, size_t limit, const char *name)
{
    unsigned count = threads > 0 ? threads : 1, all = count + SPARE;
    struct vex_pool *pool = vex_mem_zalloc(sizeof *pool + all * sizeof pool->threads[0]);

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->helped, NULL);
    for (int kind = 0; kind < VEX_TASK_KINDS; kind++)
        pool->lists[kind].last = &pool->lists[kind].first;
    pool->limit = limit;
    pool->count = count;
    pool->thread_count = all;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    for (unsigned i = 0; i < all; i++)
        if (pthread_create(&pool->threads[i], NULL, work, pool) != 0)
            abort(); /* out of memory at the start */
    return pool;
}

void vex_pool_free(struct vex_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->helped);
    pthread_mutex_destroy(&pool->lock);
    vex_mem_free(pool);
}

/* ---- tasks ---- */

static bool submit(struct vex_pool *pool, struct vex_task *task, enum vex_task_kind kind, size_t limit)
{
    struct list *list = &pool->lists[kind];
    bool room;

    pthread_mutex_lock(&pool->lock);
    room = pool->queued < limit;
    if (room) {
        task->next = NULL;
        task->kind = kind;
        task->ticket = pool->ticket++;
        *list->last = task;
        list->last = &task->next;
        pool->queued++;
        wake_next(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

bool vex_pool_try(struct vex_pool *pool, struct vex_task *task, enum vex_task_kind kind)
{
    return submit(pool, task, kind, pool->limit);
}

void vex_pool_submit(struct vex_pool *pool, struct vex_task *task)
{
    submit(pool, task, VEX_TASK_OWN, (size_t)-1);
}

size_t vex_pool_queued(struct vex_pool *pool)
{
    size_t queued;

    pthread_mutex_lock(&pool->lock);
    queued = pool->queued;
    pthread_mutex_unlock(&pool->lock);
    return queued;
}

unsigned vex_pool_threads(const struct vex_pool *pool)
{
    return pool->count;
}

bool vex_pool_in_long_task(void)
{
    return in_long_task;
}

/* ---- shared work ---- */

static void add_share(struct vex_pool *pool, struct vex_share *share)
{
    struct vex_share **last = &pool->shares;

    pthread_mutex_lock(&pool->lock);
    while (*last != NULL)
        last = &(*last)->next;
    *last = share;
    wake_next(pool);
    pthread_mutex_unlock(&pool->lock);
}

/* All pieces are taken: nobody joins any more. */
static void end_share(struct vex_pool *pool, struct vex_share *share)
{
    struct vex_share **at = &pool->shares;

    pthread_mutex_lock(&pool->lock);
    while (*at != share)
        at = &(*at)->next;
    *at = share->next;
    while (share->helpers > 0)
        pthread_cond_wait(&pool->helped, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void vex_pool_share(struct vex_pool *pool, struct vex_share *share)
{
    bool alone = pool->count < 2 || share->count < 2;
    uint32_t nth;

    share->next = NULL;
    share->helpers = 0;
    atomic_init(&share->taken, 0);
    if (!alone)
        add_share(pool, share);
    while (take_piece(share, &nth))
        share->piece(share, nth);
    if (!alone)
        end_share(pool, share);
}
