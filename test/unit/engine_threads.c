/* Writers, readers, changes of the catalog, alterations and checkpoints at once: for the thread sanitizer, and for the counts
 * at the end. A reader must see each batch wholly or not at all. */
#include <CUnit/Basic.h>

#include "unit/engine_graph_kit.h"

#include "engine/query/nearest.h"

/* A checkpoint maps the file over private pages of the same content while readers read them: one system call, atomic for page
 * faults, which the thread sanitizer takes for a write. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:vex_table_release\n";
}

#define BATCH   8
#define ROUNDS  150
#define WRITERS 2

static struct kit kit;
static char dir[] = "/tmp/vex_engine_threads_XXXXXX";
static struct vex_collection *shared;
static _Atomic bool stop;
static _Atomic int wrong;

/* Batches of the same ids: all points of a writer always carry the same version. */
static void *writer(void *arg)
{
    uint64_t base = (uint64_t)(uintptr_t)arg * 1000;
    static const float values[KIT_DIM] = {1, 2, 3, 4};

    for (int r = 0; r < ROUNDS; r++) {
        struct vex_vector_value vectors[BATCH];
        struct vex_point points[BATCH];
        struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = BATCH}};
        struct kit_call call;

        for (int i = 0; i < BATCH; i++) {
            vectors[i] =
                (struct vex_vector_value){.name = vex_str("", 0), .values = values, .count = KIT_DIM};
            points[i] = (struct vex_point){
                .id = vex_id_num(base + (uint64_t)i), .vectors = &vectors[i], .vector_count = 1};
        }
        wrong += kit_submit(&call, shared, &op, 1, r % 4 == 0) != 0;
    }
    return NULL;
}

static void *reader(void *arg)
{
    (void)arg;
    while (!stop) {
        struct vex_collection_data data;
        struct vex_err err;

        if (vex_collection_read_begin(shared, &data, &err) != 0) {
            wrong++;
            return NULL;
        }
        for (uint64_t w = 0; w < WRITERS; w++) {
            uint64_t version = 0, found = 0;
            for (uint64_t i = 0; i < BATCH; i++) {
                struct vex_id id = vex_id_num(w * 1000 + i);
                uint32_t slot = vex_rows_find(data.rows, &id);
                float values[KIT_DIM];

                if (slot == VEX_SLOT_NONE)
                    continue;
                found++;
                if (i == 0)
                    version = vex_rows_at(data.rows, slot)->version;
                wrong += vex_rows_at(data.rows, slot)->version != version;
                wrong += vex_vectors_read(data.vectors, 0, slot, values) != 0 || values[3] < values[0];
            }
            wrong += found != 0 && found != BATCH;
        }
        vex_collection_read_end(shared);
    }
    return NULL;
}

static int add_name(void *arg, struct vex_config *config, struct vex_err *err)
{
    struct vex_vector_params params = {.name = vex_str_c(arg), .size = 3, .distance = VEX_DISTANCE_DOT};

    return vex_config_add_vector(config, &params, err);
}

static void *changer(void *arg)
{
    (void)arg;
    for (int r = 0; r < 12; r++) {
        struct vex_config *config = kit_config();
        struct vex_collection *collection = NULL;
        struct vex_str tenant = VEX_STR(VEX_DEFAULT_TENANT), database = VEX_STR(VEX_DEFAULT_DATABASE);
        char name[16];
        struct vex_err err;
        struct kit_call call;
        struct vex_point point = {.id = vex_id_num(1)};
        struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = &point, .count = 1}};
        bool found;

        snprintf(name, sizeof name, "n%d", r);
        wrong += vex_engine_create(kit.engine, tenant, database, vex_str_c(name), config, false, &collection,
                                   &found, &err) != 0;
        vex_config_unref(config);
        wrong += kit_submit(&call, collection, &op, 1, r % 2 == 0) != 0;
        wrong += vex_engine_alter(kit.engine, shared, vex_str("", 0), add_name, name, &err) != 0;
        wrong += vex_collection_checkpoint(shared, &err) != 0;
        wrong += vex_engine_drop(kit.engine, tenant, database, vex_str_c(name), &found, &err) != 0;
        vex_collection_unref(collection);
    }
    return NULL;
}

static void test_storm(void)
{
    pthread_t writers[WRITERS], readers[2], changes;
    struct vex_config *config = kit_config();
    struct vex_collection_stats stats;
    struct vex_err err;
    bool created;

    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("shared"), config, false,
                                            &shared, &created, &err),
                          0);
    vex_config_unref(config);
    for (uintptr_t i = 0; i < WRITERS; i++)
        pthread_create(&writers[i], NULL, writer, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, reader, NULL);
    pthread_create(&changes, NULL, changer, NULL);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    pthread_join(changes, NULL);
    stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    CU_ASSERT_EQUAL(vex_collection_drain(shared, &err), 0);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(vex_collection_stats(shared, &stats, &err), 0);
    CU_ASSERT_EQUAL(stats.points, WRITERS * BATCH);
    CU_ASSERT_EQUAL(stats.last_op, WRITERS * ROUNDS);
    CU_ASSERT_EQUAL(stats.queued, 0);
    vex_collection_unref(shared);
}

/* ---- tiny collections with graphs ---- */

#define GRAPH_DIM     8
#define GRAPH_IDS     300
#define GRAPH_STEPS   60
#define GRAPH_WRITERS 3

static struct vex_collection *walked;

static void graph_vector(uint64_t id, uint64_t round, float *ret)
{
    struct kit_random random = {id * 1000 + round + 1};

    for (int d = 0; d < GRAPH_DIM; d++)
        ret[d] = (float)kit_draw(&random, 2000) / 1000 - 1;
}

static struct vex_collection *graph_collection(const char *name)
{
    struct vex_vector_params params = {.name = vex_str("", 0),
                                       .size = GRAPH_DIM,
                                       .distance = VEX_DISTANCE_L2,
                                       .graph = {.threshold_kb = 1, .full_scan_kb = 1, .m = 8}};
    struct vex_config *config = vex_config_new();
    struct vex_collection *collection = NULL;
    struct vex_err err;
    bool created;

    wrong += vex_config_add_vector(config, &params, &err) != 0;
    wrong += vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                               vex_str_c(name), config, false, &collection, &created, &err) != 0;
    vex_config_unref(config);
    return collection;
}

static int graph_upsert(struct vex_collection *collection, uint64_t first, uint32_t count, uint64_t round,
                        bool wait)
{
    float values[GRAPH_IDS][GRAPH_DIM];
    struct vex_vector_value vectors[GRAPH_IDS];
    struct vex_point points[GRAPH_IDS];
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++) {
        graph_vector(first + i, round, values[i]);
        vectors[i] =
            (struct vex_vector_value){.name = vex_str("", 0), .values = values[i], .count = GRAPH_DIM};
        points[i] =
            (struct vex_point){.id = vex_id_num(first + i), .vectors = &vectors[i], .vector_count = 1};
    }
    return kit_submit(&call, collection, &op, 1, wait);
}

static void *graph_writer(void *arg)
{
    struct kit_random random = {(uint64_t)(uintptr_t)arg + 5};

    for (uint32_t r = 0; r < GRAPH_STEPS; r++)
        wrong += graph_upsert(walked, 1 + kit_draw(&random, GRAPH_IDS - 20), 1 + kit_draw(&random, 20), r,
                              r % 3 == 0) != 0;
    return NULL;
}

static void *graph_remover(void *arg)
{
    struct kit_random random = {99};

    (void)arg;
    for (uint32_t r = 0; r < GRAPH_STEPS; r++) {
        struct vex_id ids[20];
        struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = 20}};
        struct kit_call call;

        for (uint32_t i = 0; i < 20; i++)
            ids[i] = vex_id_num(1 + kit_draw(&random, GRAPH_IDS));
        wrong += kit_submit(&call, walked, &op, 1, r % 3 == 0) != 0;
    }
    return NULL;
}

/* Point 1000 never moves: it is always found first. */
static void *graph_searcher(void *arg)
{
    float query[GRAPH_DIM];

    (void)arg;
    graph_vector(1000, 0, query);
    while (!stop) {
        struct vex_nearest request = {
            .using = vex_str("", 0),
            .query = {.kind = VEX_VECTOR_DENSE, .values = query, .count = GRAPH_DIM},
            .limit = 3};
        struct vex_hits hits = {0};
        struct vex_arena arena;
        struct vex_err err;

        vex_arena_init(&arena, 0);
        struct vex_read_context context = {.arena = &arena};
        wrong += vex_read_nearest(walked, &request, 1, &context, &hits, &err) != 0;
        wrong += hits.count > 0 && hits.hits[0].id.num != 1000;
        vex_arena_done(&arena);
    }
    return NULL;
}

static int set_graph(void *arg, struct vex_config *config, struct vex_err *err)
{
    uint32_t r = *(const uint32_t *)arg;

    (void)err;
    config->vectors[0].graph.m = 4 + r % 3 * 4;
    config->vectors[0].graph.never = r % 5 == 4;
    return 0;
}

static void *graph_changer(void *arg)
{
    (void)arg;
    for (uint32_t r = 0; r < 16; r++) { /* the last leaves it with a graph */
        struct vex_graph_info *infos;
        struct vex_arena arena;
        uint32_t count;
        struct vex_err err;
        char why[200] = "";

        wrong += vex_engine_alter(kit.engine, walked, vex_str("", 0), set_graph, &r, &err) != 0;
        wrong += vex_collection_checkpoint(walked, &err) != 0;
        vex_arena_init(&arena, 0);
        wrong += vex_collection_graphs(walked, &arena, &infos, &count, &err) != 0;
        vex_arena_done(&arena);
        if (!kit_graphs_right(walked, false, why, sizeof why)) {
            fprintf(stderr, "%s\n", why);
            wrong++;
        }
        if (r % 3 == 0)
            wrong += vex_collection_wait_graphs(walked, 0, &err) != 0;
    }
    return NULL;
}

/* Collections dropped while their graphs are begun, built or saved. */
static void *graph_dropper(void *arg)
{
    (void)arg;
    for (uint32_t r = 0; r < 12; r++) {
        struct vex_collection *collection = graph_collection("passing");
        struct vex_err err;
        bool found;

        if (collection == NULL)
            return NULL;
        wrong += graph_upsert(collection, 1, 40 + 20 * r, r, true) != 0;
        if (r % 3 == 1)
            wrong += vex_collection_wait_graphs(collection, 0, &err) != 0;
        wrong += vex_engine_drop(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                 VEX_STR("passing"), &found, &err) != 0;
        vex_collection_unref(collection);
    }
    return NULL;
}

static void check_graphs(const char *what)
{
    char why[200] = "";
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_drain(walked, &err), 0);
    CU_ASSERT_EQUAL(vex_collection_wait_graphs(walked, 0, &err), 0);
    if (!kit_graphs_right(walked, true, why, sizeof why)) {
        fprintf(stderr, "%s: %s\n", what, why);
        CU_FAIL("a graph is wrong");
    }
}

static void test_graphs(void)
{
    pthread_t threads[GRAPH_WRITERS + 5];
    size_t count = 0;
    struct vex_err err;

    wrong = 0;
    stop = false;
    walked = graph_collection("walked");
    CU_ASSERT_PTR_NOT_NULL_FATAL(walked);
    CU_ASSERT_EQUAL(graph_upsert(walked, 1000, 1, 0, true), 0);
    CU_ASSERT_EQUAL(graph_upsert(walked, 1, 200, 0, true), 0);
    for (uintptr_t i = 0; i < 2; i++)
        pthread_create(&threads[count++], NULL, graph_searcher, NULL);
    for (uintptr_t i = 0; i < GRAPH_WRITERS; i++)
        pthread_create(&threads[count++], NULL, graph_writer, (void *)i);
    pthread_create(&threads[count++], NULL, graph_remover, NULL);
    pthread_create(&threads[count++], NULL, graph_changer, NULL);
    pthread_create(&threads[count++], NULL, graph_dropper, NULL);
    while (count > 2)
        pthread_join(threads[--count], NULL);
    stop = true;
    while (count > 0)
        pthread_join(threads[--count], NULL);
    CU_ASSERT_EQUAL(wrong, 0);
    check_graphs("after a storm");
    vex_collection_unref(walked);
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, VEX_STR("walked"), false, &walked, &err), 0);
    CU_ASSERT_EQUAL(vex_collection_open(walked, &err), 0);
    CU_ASSERT(walked->data.graphs->entries[0]->now.graph != NULL); /* it came from its file */
    check_graphs("after opening");
    vex_collection_unref(walked);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"storm", test_storm},
        {"graphs", test_graphs},
        CU_TEST_INFO_NULL,
    };

    if (!kit_prepare(&kit, dir))
        return 1;
    kit.options.checkpoint_bytes = 20000;
    kit.options.checkpoint_ns = 50000000;
    kit.options.queue_bytes = 4000;
    kit.options.segment_bytes = 64 << 10;
    if (kit_open(&kit) != 0)
        return 1;
    return kit_run(&kit, "engine_threads", tests);
}
