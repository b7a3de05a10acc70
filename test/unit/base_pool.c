/* Worker pool: all runs once, bounds hold, kinds leave room to each other, shared work is done, the end waits. */
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

static void pass(struct vex_task *task);

static void gate_init(struct gate *gate)
{
    *gate = (struct gate){.task = {.run = pass}};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->cond, NULL);
}

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

/* Within ten seconds. */
static bool is_entered(struct gate *gate)
{
    struct timespec deadline;
    bool entered;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    pthread_mutex_lock(&gate->lock);
    while (!gate->entered && rc == 0)
        rc = pthread_cond_timedwait(&gate->cond, &gate->lock, &deadline);
    entered = gate->entered;
    pthread_mutex_unlock(&gate->lock);
    return entered;
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->cond);
    pthread_mutex_unlock(&gate->lock);
}

static int order[8];
static atomic_int order_len;

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
    struct gate gate;
    struct vex_pool *pool = vex_pool_new(1, 2, "a-rather-long-name");
    struct numbered tasks[4];

    gate_init(&gate);
    for (int i = 0; i < 4; i++)
        tasks[i] = (struct numbered){{.run = note}, i};
    vex_pool_submit(pool, &gate.task);
    CU_ASSERT_FATAL(is_entered(&gate));

    for (int i = 0; i < 3; i++) /* refused by none, bounded by their owner */
        vex_pool_submit(pool, &tasks[i].task);
    CU_ASSERT(!vex_pool_try(pool, &tasks[3].task, VEX_TASK_SHORT)); /* full */
    CU_ASSERT(!vex_pool_try(pool, &tasks[3].task, VEX_TASK_LONG));
    CU_ASSERT_EQUAL(vex_pool_queued(pool), 3);

    gate_open(&gate);
    vex_pool_free(pool);
    CU_ASSERT_EQUAL(order_len, 3);
    CU_ASSERT(order[0] == 0 && order[1] == 1 && order[2] == 2);
    CU_ASSERT_STRING_EQUAL(gate.name, "a-rather-long-n");
    vex_pool_free(NULL);
}

/* While long calls take all they may, short ones run; while calls take all they may, the owner's work does; and the other way round. */
static void test_kinds(void)
{
    static const enum vex_task_kind kinds[] = {VEX_TASK_LONG, VEX_TASK_LONG, VEX_TASK_SHORT, VEX_TASK_SHORT,
                                               VEX_TASK_OWN,  VEX_TASK_OWN,  VEX_TASK_LONG};
    enum { GATES = sizeof kinds / sizeof *kinds };
    static const bool runs[GATES] = {true, false, true, false, true, false, false};

    struct vex_pool *pool = vex_pool_new(1, 100, "kinds");
    struct gate gates[GATES];
    size_t waiting = 0;

    for (int i = 0; i < GATES; i++) {
        gate_init(&gates[i]);
        if (kinds[i] == VEX_TASK_OWN) {
            vex_pool_submit(pool, &gates[i].task);
        } else {
            CU_ASSERT(vex_pool_try(pool, &gates[i].task, kinds[i]));
        }
    }
    for (int i = 0; i < GATES; i++) {
        CU_ASSERT(!runs[i] || is_entered(&gates[i]));
        waiting += !runs[i];
    }
    CU_ASSERT_EQUAL(vex_pool_queued(pool), waiting);
    for (int i = GATES - 1; i >= 0; i--)
        gate_open(&gates[i]);
    vex_pool_free(pool);
    for (int i = 0; i < GATES; i++)
        CU_ASSERT(gates[i].entered);
}

/* ---- shared work ---- */

#define PIECES 500

struct crowd {
    struct vex_share share;
    struct vex_task task;
    struct vex_pool *pool;
    atomic_int done[PIECES];
    int depth;
    pthread_t owner;
};

static void work_piece(struct vex_share *share, uint32_t nth)
{
    struct crowd *crowd = VEX_CONTAINER_OF(share, struct crowd, share);
    struct crowd inner = {.share = {.piece = work_piece, .count = 5}, .depth = crowd->depth - 1};

    atomic_fetch_add(&crowd->done[nth], 1);
    if (crowd->depth == 0)
        return;
    inner.pool = crowd->pool;
    vex_pool_share(inner.pool, &inner.share);
    for (int i = 0; i < 5; i++)
        if (atomic_load(&inner.done[i]) != 1)
            atomic_fetch_add(&crowd->done[nth], 100);
}

static void share_crowd(struct vex_task *task)
{
    struct crowd *crowd = VEX_CONTAINER_OF(task, struct crowd, task);

    vex_pool_share(crowd->pool, &crowd->share);
}

static void test_share(void)
{
    static struct crowd crowds[12];

    for (unsigned threads = 1; threads <= 4; threads++) {
        struct vex_pool *pool = vex_pool_new(threads, 100, "share");
        int wrong = 0;

        memset(crowds, 0, sizeof crowds);
        for (int i = 0; i < 12; i++) {
            struct crowd *crowd = &crowds[i];

            crowd->share = (struct vex_share){.piece = work_piece, .count = i == 11 ? 0 : PIECES};
            crowd->task.run = share_crowd;
            crowd->pool = pool;
            crowd->depth = i % 3;
            if (i < 8) {
                CU_ASSERT(vex_pool_try(pool, &crowd->task, i % 2 == 0 ? VEX_TASK_SHORT : VEX_TASK_LONG));
            } else {
                share_crowd(&crowd->task);
            }
        }
        vex_pool_free(pool);
        for (int i = 0; i < 11; i++)
            for (int j = 0; j < PIECES; j++)
                wrong += atomic_load(&crowds[i].done[j]) != 1;
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

struct meeting {
    struct vex_share share;
    struct gate gate;
    bool met, ended;
};

/* The first piece waits for the second, which another thread must do. */
static void meet(struct vex_share *share, uint32_t nth)
{
    struct meeting *meeting = VEX_CONTAINER_OF(share, struct meeting, share);

    if (nth == 0) {
        meeting->met = is_entered(&meeting->gate);
        return;
    }
    pass(&meeting->gate.task);
    for (int i = 0; i < 20000; i++) /* long enough for the caller to go, if it doesn't wait */
        sched_yield();
    meeting->ended = true;
}

static void count_piece(struct vex_share *share, uint32_t nth)
{
    struct crowd *crowd = VEX_CONTAINER_OF(share, struct crowd, share);

    for (int i = 0; i < 20; i++) /* others could come */
        sched_yield();
    atomic_fetch_add(&crowd->done[nth], pthread_equal(pthread_self(), crowd->owner) ? 1 : 100);
}

static void test_helpers(void)
{
    struct vex_pool *pool = vex_pool_new(2, 100, "help");
    struct meeting meeting = {.share = {.piece = meet, .count = 2}};
    static struct crowd crowd;
    struct gate busy[2];
    int alone = 0;

    gate_init(&meeting.gate);
    meeting.gate.open = true;
    vex_pool_share(pool, &meeting.share);
    CU_ASSERT(meeting.met && meeting.ended);

    /* All cores have something to do: nobody helps, nobody is waited for. */
    for (int i = 0; i < 2; i++) {
        gate_init(&busy[i]);
        CU_ASSERT(vex_pool_try(pool, &busy[i].task, VEX_TASK_LONG));
        CU_ASSERT_FATAL(is_entered(&busy[i]));
    }
    crowd.share = (struct vex_share){.piece = count_piece, .count = PIECES};
    crowd.owner = pthread_self();
    vex_pool_share(pool, &crowd.share);
    for (int j = 0; j < PIECES; j++)
        alone += atomic_load(&crowd.done[j]) == 1;
    CU_ASSERT_EQUAL(alone, PIECES);
    gate_open(&busy[0]);
    gate_open(&busy[1]);
    vex_pool_free(pool);
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
    while (!atomic_load(&parent->freeing))
        sched_yield();
    for (int i = 0; i < 20000; i++) /* the other thread may leave now, if it ever does */
        sched_yield();
    vex_pool_submit(parent->pool, &parent->child.task);
    parent->served = is_entered(&parent->child);
}

/* While the pool is being freed a running task can still have others run beside it. */
static void test_free_keeps_threads(void)
{
    static struct parent parent;

    parent.task.run = wait_for_child;
    gate_init(&parent.child);
    parent.child.open = true;
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
                           {"kinds leave room", test_kinds},
                           {"shared work", test_share},
                           {"helpers", test_helpers},
                           {"free keeps its threads", test_free_keeps_threads},
                           CU_TEST_INFO_NULL};
    return run_suite("pool", tests);
}
