/* Worker pool: all runs once, the bound holds, the end waits. */
#define _GNU_SOURCE /* pthread_getname_np */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base_suite.h"

struct counted {
    struct vex_task task;
    struct vex_pool *pool;
    atomic_int *runs;
    int again; /* times to submit itself once more */
};

static void count(struct vex_task *task)
{
    struct counted *counted = VEX_CONTAINER_OF(task, struct counted, task);

    atomic_fetch_add(counted->runs, 1);
    if (counted->again-- > 0)
        vex_pool_submit(counted->pool, task);
}

static void test_all_run(void)
{
    static struct counted tasks[1000];
    atomic_int runs = 0;
    struct vex_pool *pool = vex_pool_new(3, 10, "test");

    CU_ASSERT_EQUAL(vex_pool_threads(pool), 3);
    for (int i = 0; i < 1000; i++) {
        tasks[i] = (struct counted){.task = {.run = count}, .pool = pool, .runs = &runs, .again = i % 3};
        vex_pool_submit(pool, &tasks[i].task);
    }
    /* Freed at once: what is queued, and what that submits, runs still. */
    vex_pool_free(pool);
    CU_ASSERT_EQUAL(atomic_load(&runs), 1000 + 333 + 2 * 333);
}

struct gate {
    struct vex_task task;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool entered, open;
    char name[32];
};

static void pass(struct vex_task *task)
{
    struct gate *gate = VEX_CONTAINER_OF(task, struct gate, task);

    pthread_getname_np(pthread_self(), gate->name, sizeof gate->name);
    pthread_mutex_lock(&gate->lock);
    gate->entered = true;
    pthread_cond_broadcast(&gate->cond);
    while (!gate->open)
        pthread_cond_wait(&gate->cond, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static int order[8], order_len;

struct numbered {
    struct vex_task task;
    int number;
};

static void note(struct vex_task *task)
{
    order[order_len++] = VEX_CONTAINER_OF(task, struct numbered, task)->number;
}

static void test_bound_and_order(void)
{
    struct gate gate = {
        .task = {.run = pass}, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct vex_pool *pool = vex_pool_new(1, 2, "a-rather-long-name");
    struct numbered tasks[4];

    for (int i = 0; i < 4; i++)
        tasks[i] = (struct numbered){{.run = note}, i};
    CU_ASSERT(vex_pool_try(pool, &gate.task));
    pthread_mutex_lock(&gate.lock);
    while (!gate.entered)
        pthread_cond_wait(&gate.cond, &gate.lock);
    pthread_mutex_unlock(&gate.lock);

    CU_ASSERT(vex_pool_try(pool, &tasks[0].task));
    CU_ASSERT(vex_pool_try(pool, &tasks[1].task));
    CU_ASSERT(!vex_pool_try(pool, &tasks[2].task)); /* full */
    vex_pool_submit(pool, &tasks[3].task);          /* not refused */
    CU_ASSERT_EQUAL(vex_pool_queued(pool), 3);

    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.cond);
    pthread_mutex_unlock(&gate.lock);
    vex_pool_free(pool);
    CU_ASSERT_EQUAL(order_len, 3);
    CU_ASSERT(order[0] == 0 && order[1] == 1 && order[2] == 3);
    CU_ASSERT_STRING_EQUAL(gate.name, "a-rather-long-n");
    vex_pool_free(NULL);
}

struct parent {
    struct vex_task task;
    struct vex_pool *pool;
    struct gate child;
    atomic_bool freeing;
    bool served;
};

static void wait_for_child(struct vex_task *task)
{
    struct parent *parent = VEX_CONTAINER_OF(task, struct parent, task);
    struct timespec deadline;
    int rc = 0;

    while (!atomic_load(&parent->freeing))
        sched_yield();
    for (int i = 0; i < 20000; i++) /* the other thread may leave now, if it ever does */
        sched_yield();
    vex_pool_submit(parent->pool, &parent->child.task);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    pthread_mutex_lock(&parent->child.lock);
    while (!parent->child.entered && rc == 0)
        rc = pthread_cond_timedwait(&parent->child.cond, &parent->child.lock, &deadline);
    parent->served = parent->child.entered;
    pthread_mutex_unlock(&parent->child.lock);
}

/* While the pool is being freed a running task can still have others run beside it. */
static void test_free_keeps_threads(void)
{
    static struct parent parent;

    parent.task.run = wait_for_child;
    parent.child = (struct gate){.task = {.run = pass}, .open = true};
    pthread_mutex_init(&parent.child.lock, NULL);
    pthread_cond_init(&parent.child.cond, NULL);
    parent.pool = vex_pool_new(2, 4, "free");
    vex_pool_submit(parent.pool, &parent.task);
    atomic_store(&parent.freeing, true);
    vex_pool_free(parent.pool);
    CU_ASSERT(parent.served);
}

int main(void)
{
    CU_TestInfo tests[] = {{"all run", test_all_run},
                           {"bound and order", test_bound_and_order},
                           {"free keeps its threads", test_free_keeps_threads},
                           CU_TEST_INFO_NULL};
    return run_suite("pool", tests);
}
