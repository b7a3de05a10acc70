/* Writes through the service over a real engine: when they are answered, with what, and that a bounded wait
 * ends. */
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

#include "api_kit.h"
#include "base/file.h"

struct rig {
    char dir[64];
    struct vex_dev *dev;
    struct vex_pool *apply, *workers; /* of the engine; of the service */
    struct vex_engine *engine;
    struct vex_service *service;
    struct vex_conf *conf;
};

static void rig_open(struct rig *rig)
{
    struct vex_engine_options engine = {.io = vex_io_posix(),
                                        .segment_bytes = 1 << 20,
                                        .checkpoint_bytes = 64 << 20,
                                        .checkpoint_ns = 3600000000000u,
                                        .queue_bytes = 1 << 20};
    struct vex_service_options service = {.io = vex_io_posix(), .inline_ns = 1000000};
    struct vex_err err;

    strcpy(rig->dir, "/tmp/vex-api-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(rig->dir));
    engine.dir = rig->dir;
    engine.dev = rig->dev = vex_dev_embed_new();
    engine.pool = rig->apply = vex_pool_new(1, 64, "apply");
    CU_ASSERT_EQUAL_FATAL(vex_engine_open(&engine, &rig->engine, &err), 0);
    rig->conf = vex_conf_new();
    service.engine = rig->engine;
    service.conf = rig->conf;
    service.pool = rig->workers = vex_pool_new(1, 64, "service");
    rig->service = vex_service_new(&service);
}

static void rig_close(struct rig *rig)
{
    struct vex_err err;

    CU_ASSERT(vex_service_drain(rig->service, 10000000000u));
    vex_engine_close(rig->engine);
    vex_service_free(rig->service);
    vex_pool_free(rig->workers);
    vex_pool_free(rig->apply);
    vex_dev_free(rig->dev);
    vex_conf_free(rig->conf);
    CU_ASSERT_EQUAL(vex_file_remove_tree(vex_io_posix(), rig->dir, &err), 0);
}

struct ask {
    struct vex_call call;
    sem_t done;
};

static void done(struct vex_call *call)
{
    sem_post(&VEX_CONTAINER_OF(call, struct ask, call)->done);
}

static void ask_begin(struct rig *rig, struct ask *ask, const char *service, const char *method,
                      void *request)
{
    memset(ask, 0, sizeof *ask);
    sem_init(&ask->done, 0, 0);
    vex_arena_init(&ask->call.arena, 0);
    ask->call.dialect = VEX_DIALECT_QDRANT_GRPC;
    ask->call.done = done;
    CU_ASSERT_EQUAL_FATAL(kit_decode(&ask->call, vex_rpc_find(service, method), request), 0);
    vex_service_run(rig->service, &ask->call);
}

static void *ask_wait(struct ask *ask)
{
    sem_wait(&ask->done);
    return ask->call.response;
}

static void ask_end(struct ask *ask)
{
    vex_arena_done(&ask->call.arena);
    sem_destroy(&ask->done);
}

static void create(struct rig *rig)
{
    Qdrant__CreateCollection request = QDRANT__CREATE_COLLECTION__INIT;
    Qdrant__VectorsConfig vectors = QDRANT__VECTORS_CONFIG__INIT;
    Qdrant__VectorParams params = QDRANT__VECTOR_PARAMS__INIT;
    struct ask ask;

    request.collection_name = "c";
    request.vectors_config = &vectors;
    vectors.config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS;
    vectors.params = &params;
    params.has_size = params.has_distance = true;
    params.size = 2;
    params.distance = QDRANT__DISTANCE__Dot;
    ask_begin(rig, &ask, "qdrant.Collections", "Create", &request);
    CU_ASSERT(((Qdrant__CollectionOperationResponse *)ask_wait(&ask))->result);
    CU_ASSERT_EQUAL(ask.call.code, 0);
    ask_end(&ask);
}

/* A request that upserts one point. */
struct upsert {
    Qdrant__UpsertPoints request;
    Qdrant__PointStruct point, *points[1];
    Qdrant__PointId id;
    Qdrant__Vectors vectors;
    Qdrant__Vector vector;
    float values[2];
};

static void *upsert_of(struct upsert *u, uint64_t id, bool wait, unsigned timeout)
{
    qdrant__upsert_points__init(&u->request);
    qdrant__point_struct__init(&u->point);
    qdrant__point_id__init(&u->id);
    qdrant__vectors__init(&u->vectors);
    qdrant__vector__init(&u->vector);
    u->request.collection_name = "c";
    u->request.has_wait = u->request.wait = wait;
    u->request.has_timeout = timeout != 0;
    u->request.timeout = timeout;
    u->request.n_points = 1;
    u->request.points = u->points;
    u->points[0] = &u->point;
    u->point.id = &u->id;
    u->point.vectors = &u->vectors;
    u->id.point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
    u->id.num = id;
    u->vectors.vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTOR;
    u->vectors.vector = &u->vector;
    u->vector.n_data = 2;
    u->vector.data = u->values;
    u->values[0] = u->values[1] = (float)id;
    return &u->request;
}

static uint64_t count_points(struct rig *rig)
{
    Qdrant__CountPoints request = QDRANT__COUNT_POINTS__INIT;
    struct ask ask;
    uint64_t count;

    request.collection_name = "c";
    ask_begin(rig, &ask, "qdrant.Points", "Count", &request);
    count = ((Qdrant__CountResponse *)ask_wait(&ask))->result->count;
    ask_end(&ask);
    return count;
}

static void statuses(void)
{
    struct rig rig;

    rig_open(&rig);
    create(&rig);
    for (unsigned i = 1; i <= 3; i++) {
        static const int want[] = {0, QDRANT__UPDATE_STATUS__Completed, QDRANT__UPDATE_STATUS__Acknowledged,
                                   QDRANT__UPDATE_STATUS__Completed};
        Qdrant__PointsOperationResponse *out;
        struct upsert upsert;
        struct ask ask;

        ask_begin(&rig, &ask, "qdrant.Points", "Upsert", upsert_of(&upsert, i, i != 2, i == 3 ? 60 : 0));
        out = ask_wait(&ask);
        CU_ASSERT_EQUAL_FATAL(ask.call.code, 0);
        CU_ASSERT_EQUAL(out->result->status, want[i]);
        CU_ASSERT_EQUAL(out->result->operation_id, i);
        CU_ASSERT(out->has_time && out->time > 0);
        ask_end(&ask);
    }
    CU_ASSERT_EQUAL(count_points(&rig), 3);
    rig_close(&rig);
}

struct block {
    struct vex_task task;
    sem_t entered, leave;
};

static void block(struct vex_task *task)
{
    struct block *b = VEX_CONTAINER_OF(task, struct block, task);

    sem_post(&b->entered);
    sem_wait(&b->leave);
}

/* Nothing is applied while the only thread that applies is held; the answer comes all the same, and the write
 * is done later, when its call is long gone. */
static void bounded_wait_ends(void)
{
    struct block hold = {.task = {.run = block}};
    Qdrant__PointsOperationResponse *out;
    struct upsert upsert;
    struct rig rig;
    struct ask ask;

    rig_open(&rig);
    create(&rig);
    sem_init(&hold.entered, 0, 0);
    sem_init(&hold.leave, 0, 0);
    vex_pool_submit(rig.apply, &hold.task);
    sem_wait(&hold.entered);
    ask_begin(&rig, &ask, "qdrant.Points", "Upsert", upsert_of(&upsert, 1, true, 1));
    out = ask_wait(&ask);
    CU_ASSERT_EQUAL(ask.call.code, 0);
    CU_ASSERT_EQUAL(out->result->status, QDRANT__UPDATE_STATUS__WaitTimeout);
    CU_ASSERT_EQUAL(count_points(&rig), 0);
    ask_end(&ask);
    memset(&ask, 0x5a, sizeof ask); /* nobody may look at the call any more */
    sem_post(&hold.leave);
    for (int i = 0; i < 10000 && count_points(&rig) == 0; i++)
        usleep(1000);
    CU_ASSERT_EQUAL(count_points(&rig), 1);
    rig_close(&rig);
}

/* Refused and dropped writes give back what they hold, bounded or not. */
static void refused_writes(void)
{
    struct upsert upsert;
    struct rig rig;
    struct ask ask;

    rig_open(&rig);
    create(&rig);
    for (unsigned timeout = 0; timeout <= 60; timeout += 60) {
        upsert_of(&upsert, 1, true, timeout);
        upsert.vector.n_data = 1;
        ask_begin(&rig, &ask, "qdrant.Points", "Upsert", &upsert.request);
        ask_wait(&ask);
        CU_ASSERT_EQUAL(ask.call.code, VEX_EBAD_INPUT);
        CU_ASSERT_STRING_EQUAL(ask.call.err.text, "Vector dimension error: expected dim: 2, got 1");
        ask_end(&ask);
    }
    CU_ASSERT_EQUAL(count_points(&rig), 0);
    rig_close(&rig);
}

/* Many bounded writes that are done in time: every timer is taken back, or the service could not be freed. */
static void many_bounded_writes(void)
{
    enum { WRITES = 300 };
    static struct upsert upserts[WRITES];
    static struct ask asks[WRITES];
    struct rig rig;

    rig_open(&rig);
    create(&rig);
    for (unsigned i = 0; i < WRITES; i++)
        ask_begin(&rig, &asks[i], "qdrant.Points", "Upsert", upsert_of(&upserts[i], i + 1, true, 60));
    for (unsigned i = 0; i < WRITES; i++) {
        Qdrant__PointsOperationResponse *out = ask_wait(&asks[i]);

        CU_ASSERT_EQUAL(out->result->status, QDRANT__UPDATE_STATUS__Completed);
        ask_end(&asks[i]);
    }
    CU_ASSERT_EQUAL(count_points(&rig), WRITES);
    rig_close(&rig);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"statuses", statuses},
        {"a bounded wait ends", bounded_wait_ends},
        {"refused writes", refused_writes},
        {"many bounded writes", many_bounded_writes},
        CU_TEST_INFO_NULL,
    };

    return run_suite("api writes", tests);
}
