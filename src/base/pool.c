/* Worker pool: one FIFO list, one lock, one condition.
 *
 * Owner: the creator. Lock: `lock` guards the list, `queued` and `stopping`. Invariant: `stopping` threads
 * leave only when the list is empty and no task runs that could submit more. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "base/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define NAME_MAX_LEN 16 /* the kernel's, with NUL */

struct vex_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct vex_task *first, **last;
    size_t queued, limit;
    unsigned running; /* tasks being run */
    bool stopping;
    unsigned count;
    char name[NAME_MAX_LEN];
    pthread_t threads[];
};

/* Next task, waiting for one; NULL when the pool stops. The lock is held. */
static struct vex_task *take(struct vex_pool *pool)
{
    struct vex_task *task;

    while (pool->first == NULL) {
        if (pool->stopping && pool->running == 0)
            return NULL;
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    task = pool->first;
    pool->first = task->next;
    if (pool->first == NULL)
        pool->last = &pool->first;
    pool->queued--;
    return task;
}

static void *work(void *arg)
{
    struct vex_pool *pool = arg;
    struct vex_task *task;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    while ((task = take(pool)) != NULL) {
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        task->run(task); /* the task may be gone afterwards */
        pthread_mutex_lock(&pool->lock);
        pool->running--;
    }
    /* The others wait for the last running task too. */
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct vex_pool *vex_pool_new(unsigned threads, size_t limit, const char *name)
{
    unsigned count = threads > 0 ? threads : 1;
    struct vex_pool *pool = vex_mem_zalloc(sizeof *pool + count * sizeof pool->threads[0]);

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->last = &pool->first;
    pool->limit = limit;
    pool->count = count;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    for (unsigned i = 0; i < count; i++)
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
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    vex_mem_free(pool);
}

static bool submit(struct vex_pool *pool, struct vex_task *task, size_t limit)
{
    bool room;

    pthread_mutex_lock(&pool->lock);
    room = pool->queued < limit;
    if (room) {
        task->next = NULL;
        *pool->last = task;
        pool->last = &task->next;
        pool->queued++;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

bool vex_pool_try(struct vex_pool *pool, struct vex_task *task)
{
    return submit(pool, task, pool->limit);
}

void vex_pool_submit(struct vex_pool *pool, struct vex_task *task)
{
    submit(pool, task, (size_t)-1);
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
