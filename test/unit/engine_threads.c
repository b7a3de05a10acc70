/* Writers, readers, changes of the catalog, alterations and checkpoints at once: for the thread sanitizer, and for the counts
 * at the end. A reader must see each batch wholly or not at all. */
#include <CUnit/Basic.h>

#include "engine_kit.h"

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

int main(void)
{
    CU_TestInfo tests[] = {
        {"storm", test_storm},
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
