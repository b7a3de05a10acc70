/* The service: where calls run, that each ends once, keys, draining; and timers. */
#include <pthread.h>
#include <semaphore.h>

#include "api_kit.h"
#include "api/request_metrics.h"
#include "api/timer.h"

struct rig {
    struct vex_service *service;
    struct vex_pool *pool;
    struct vex_conf *conf;
};

static void rig_open(struct rig *rig, size_t queue)
{
    struct vex_service_options options = {.io = vex_io_posix(), .inline_ns = 1000};

    rig->conf = vex_conf_new();
    rig->pool = vex_pool_new(1, queue, "test");
    options.conf = rig->conf;
    options.pool = rig->pool;
    rig->service = vex_service_new(&options);
}

static void rig_close(struct rig *rig)
{
    CU_ASSERT(vex_service_drain(rig->service, 5000000000u));
    vex_pool_free(rig->pool);
    vex_service_free(rig->service);
    vex_conf_free(rig->conf);
}

struct probe {
    struct vex_call call;
    struct vex_operation operation;
    uint64_t cost;
    pthread_t ran_on;
    int ran, ended, cleaned;
    sem_t done, *hold;
};

static struct probe *probe_of(struct vex_call *call)
{
    return VEX_CONTAINER_OF(call, struct probe, call);
}

static void cleanup(struct vex_call *call)
{
    probe_of(call)->cleaned++;
}

static int run(struct vex_service *service, struct vex_call *call)
{
    struct probe *p = probe_of(call);

    (void)service;
    p->ran++;
    p->ran_on = pthread_self();
    call->cleanup = cleanup;
    if (p->hold != NULL)
        sem_wait(p->hold);
    return 0;
}

static int run_later(struct vex_service *service, struct vex_call *call)
{
    run(service, call);
    return VEX_CALL_PENDING;
}

static uint64_t cost(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    call->cleanup = cleanup; /* a cost function may hold things, too */
    return probe_of(call)->cost;
}

static void done(struct vex_call *call)
{
    struct probe *p = probe_of(call);

    p->ended++;
    sem_post(&p->done);
}

static void probe_init(struct probe *p, enum vex_run_mode mode, uint64_t estimate)
{
    memset(p, 0, sizeof *p);
    p->operation = (struct vex_operation){.name = "probe", .mode = mode, .run = run};
    if (mode == VEX_RUN_READ)
        p->operation.cost = cost;
    p->cost = estimate;
    p->call.operation = &p->operation;
    p->call.done = done;
    sem_init(&p->done, 0, 0);
}

static void where_calls_run(void)
{
    static const struct {
        enum vex_run_mode mode;
        uint64_t cost;
        bool here;
    } cases[] = {{VEX_RUN_INLINE, 0, true},
                 {VEX_RUN_SUBMIT, 0, true},
                 {VEX_RUN_READ, 1000, true},
                 {VEX_RUN_READ, 1001, false},
                 {VEX_RUN_BLOCKING, 0, false}};
    struct rig rig;

    rig_open(&rig, 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe p;

        probe_init(&p, cases[i].mode, cases[i].cost);
        vex_service_run(rig.service, &p.call);
        sem_wait(&p.done);
        CU_ASSERT_EQUAL(p.ended, 1);
        CU_ASSERT_EQUAL(p.cleaned, 1);
        CU_ASSERT_EQUAL(p.call.code, 0);
        CU_ASSERT_EQUAL(pthread_equal(p.ran_on, pthread_self()) != 0, cases[i].here);
    }
    rig_close(&rig);
}

static void full_pool_refuses(void)
{
    struct rig rig;
    struct probe first, second, third;
    sem_t hold;

    sem_init(&hold, 0, 0);
    rig_open(&rig, 1);
    probe_init(&first, VEX_RUN_BLOCKING, 0);
    probe_init(&second, VEX_RUN_BLOCKING, 0);
    probe_init(&third, VEX_RUN_READ, UINT64_MAX);
    first.hold = second.hold = &hold;
    vex_service_run(rig.service, &first.call);
    while (vex_pool_queued(rig.pool) != 0)
        sched_yield();
    vex_service_run(rig.service, &second.call);
    vex_service_run(rig.service, &third.call);
    CU_ASSERT_EQUAL(third.ended, 1);
    CU_ASSERT_EQUAL(third.ran, 0);
    CU_ASSERT_EQUAL(third.cleaned, 1); /* what its cost function held is given back */
    CU_ASSERT_EQUAL(third.call.code, VEX_EUNAVAILABLE);
    sem_post(&hold);
    sem_post(&hold);
    sem_wait(&first.done);
    sem_wait(&second.done);
    rig_close(&rig);
}

static void cancelled_calls_do_not_run(void)
{
    struct rig rig;
    struct probe p;

    rig_open(&rig, 4);
    probe_init(&p, VEX_RUN_INLINE, 0);
    atomic_store(&p.call.cancelled, 1);
    vex_service_run(rig.service, &p.call);
    CU_ASSERT(p.ran == 0 && p.ended == 1 && p.call.code == VEX_ECANCELLED);
    rig_close(&rig);
}

static void draining(void)
{
    struct rig rig;
    struct probe p, late;

    rig_open(&rig, 4);
    probe_init(&p, VEX_RUN_SUBMIT, 0);
    p.operation.run = run_later;
    vex_service_run(rig.service, &p.call);
    CU_ASSERT_EQUAL(p.ended, 0);
    CU_ASSERT(!vex_service_drain(rig.service, 1000000)); /* one is still under way */
    probe_init(&late, VEX_RUN_INLINE, 0);
    vex_service_run(rig.service, &late.call);
    CU_ASSERT(late.ran == 0 && late.call.code == VEX_EUNAVAILABLE);
    vex_call_finish(&p.call, 0);
    CU_ASSERT(p.ended == 1 && p.cleaned == 1);
    rig_close(&rig);
}

static int authorise(struct rig *rig, enum vex_access access, const char *key, struct vex_err *err)
{
    struct vex_identity identity;

    return vex_service_authorise(rig->service, access, vex_str_c(key), &identity, err);
}

static void keys(void)
{
    struct vex_err err;
    struct rig rig;

    rig_open(&rig, 4);
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_MANAGE, NULL, &err), 0); /* no keys are set */
    CU_ASSERT(!vex_service_needs_key(rig.service));
    CU_ASSERT_EQUAL(vex_conf_set(rig.conf, "service.api_key", "full", &err), 0);
    CU_ASSERT_EQUAL(vex_conf_set(rig.conf, "service.read_only_api_key", "reader", &err), 0);
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_OPEN, NULL, &err), 0);
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_READ, NULL, &err), VEX_EUNAUTHENTIC);
    CU_ASSERT_STRING_EQUAL(err.text, "Must provide an API key or an Authorization bearer token");
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_READ, "", &err), VEX_EUNAUTHENTIC);
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_READ, "ful", &err), VEX_EUNAUTHENTIC);
    CU_ASSERT_STRING_EQUAL(err.text, "Invalid API key or JWT");
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_MANAGE, "full", &err), 0);
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_READ, "reader", &err), 0);
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_WRITE, "reader", &err), VEX_EFORBIDDEN);
    CU_ASSERT_EQUAL(authorise(&rig, VEX_ACCESS_MANAGE, "reader", &err), VEX_EFORBIDDEN);
    rig_close(&rig);
}

static void metrics(void)
{
    struct vex_buf text;
    struct probe p;
    struct rig rig;

    rig_open(&rig, 4);
    for (int i = 0; i < 3; i++) {
        probe_init(&p, VEX_RUN_INLINE, 0);
        p.call.dialect = i < 2 ? VEX_DIALECT_QDRANT_GRPC : VEX_DIALECT_QDRANT_REST;
        vex_service_run(rig.service, &p.call);
    }
    atomic_store(&p.call.cancelled, 1);
    p.call.dialect = VEX_DIALECT_QDRANT_GRPC;
    vex_service_run(rig.service, &p.call);
    vex_buf_init(&text, NULL);
    vex_request_metrics_print(&text, rig.service->metrics, "p_");
    vex_buf_add_char(&text, '\0');
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text.ptr, "\np_grpc_responses_total{endpoint=\"/probe\",status=\"0\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text.ptr, "\np_grpc_responses_total{endpoint=\"/probe\",status=\"1\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text.ptr, "p_grpc_responses_duration_seconds_count{endpoint=\"/probe\",status=\"0\"} 2\n"));
    vex_buf_done(&text);
    rig_close(&rig);
}

struct ring {
    struct vex_timer timer;
    int number;
};

static int rung[3];
static _Atomic int rung_count;
static sem_t rang;

static void ring(struct vex_timer *timer)
{
    rung[atomic_fetch_add(&rung_count, 1)] = VEX_CONTAINER_OF(timer, struct ring, timer)->number;
    sem_post(&rang);
}

static void timers_fire_in_order(void)
{
    struct vex_timers *timers = vex_timers_new();
    uint64_t now = vex_io_monotonic_ns(vex_io_posix());
    struct ring rings[4];

    sem_init(&rang, 0, 0);
    for (int i = 0; i < 4; i++)
        rings[i] = (struct ring){.timer = {.fire = ring}, .number = i};
    rings[0].timer.at_ns = now + 30000000;
    rings[1].timer.at_ns = now + 20000000;
    rings[2].timer.at_ns = now + 3600000000000u;
    rings[3].timer.at_ns = now;
    for (int i = 0; i < 4; i++)
        vex_timer_start(timers, &rings[i].timer);
    CU_ASSERT(vex_timer_cancel(timers, &rings[2].timer));
    CU_ASSERT(!vex_timer_cancel(timers, &rings[2].timer));
    for (int i = 0; i < 3; i++)
        sem_wait(&rang);
    CU_ASSERT(rung[0] == 3 && rung[1] == 1 && rung[2] == 0);
    CU_ASSERT(!vex_timer_cancel(timers, &rings[0].timer));
    vex_timers_free(timers);
}

int main(void)
{
    CU_TestInfo tests[] = {{"where calls run", where_calls_run},
                           {"a full pool refuses", full_pool_refuses},
                           {"cancelled calls do not run", cancelled_calls_do_not_run},
                           {"draining", draining},
                           {"keys", keys},
                           {"metrics", metrics},
                           {"timers", timers_fire_in_order},
                           CU_TEST_INFO_NULL};

    return run_suite("api service", tests);
}
