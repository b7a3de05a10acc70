/* A full disk and a failing one, on the simulated disk: growing writes refused, reads and deletes go on, what is logged is
 * applied once there is space, without a restart; after a failed sync nothing is acknowledged any more. */
#include <CUnit/Basic.h>
#include <errno.h>

#include "engine_kit.h"
#include "lib/sim_io.h"

static struct vex_pool *pool;
static struct vex_dev *dev;
static struct vex_err err;

static struct vex_collection *make(struct kit *kit, const char *name)
{
    struct vex_config *config = kit_config();
    struct vex_collection *collection = NULL;
    bool created;

    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit->engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), vex_str_c(name), config, true,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
    return collection;
}

/* Upsert of one point with a payload of `size` bytes. */
static int put(struct kit_call *call, struct vex_collection *collection, uint64_t id, size_t size)
{
    struct vex_arena arena;
    struct vex_buf payload;
    char *text = vex_mem_zalloc(size);
    struct vex_point point = {.id = vex_id_num(id)};
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = &point, .count = 1}};
    int rc;

    memset(text, 'x', size);
    vex_arena_init(&arena, 0);
    vex_buf_init(&payload, &arena);
    vex_value_put_map(&payload, 1);
    vex_value_put_text(&payload, VEX_STR("t"));
    vex_value_put_text(&payload, vex_str(text, size));
    point.payload = vex_buf_str(&payload);
    rc = kit_start(call, collection, &op, 1, true);
    vex_arena_done(&arena);
    vex_mem_free(text);
    return rc;
}

static int put_and_wait(struct vex_collection *collection, uint64_t id, size_t size)
{
    struct kit_call call;
    int rc = put(&call, collection, id, size);

    return rc != 0 ? rc : kit_wait(&call);
}

static uint64_t points(struct vex_collection *collection)
{
    struct vex_collection_stats stats;

    return vex_collection_stats(collection, &stats, &err) == 0 ? stats.points : UINT64_MAX;
}

static int delete_point(struct vex_collection *collection, uint64_t id)
{
    struct vex_id which = vex_id_num(id);
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = &which, .count = 1}};
    struct kit_call call;

    return kit_submit(&call, collection, &op, 1, true);
}

static void test_reserve(void)
{
    struct vex_sim *sim = vex_sim_new(1);
    struct kit kit;
    struct vex_collection *collection;

    kit_init(&kit, vex_sim_io(sim), "/data", dev, pool);
    kit.options.reserve_bytes = 1 << 20;
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = make(&kit, "c");
    CU_ASSERT_EQUAL(put_and_wait(collection, 1, 1000), 0);
    vex_sim_capacity(sim, vex_sim_used(sim) + (1 << 19));
    vex_sim_advance(sim, UINT64_C(200000000)); /* free space is looked at again */
    CU_ASSERT_EQUAL(put_and_wait(collection, 2, 1000), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(points(collection), 1);
    CU_ASSERT_EQUAL(delete_point(collection, 1), 0);
    CU_ASSERT_EQUAL(points(collection), 0);
    vex_sim_capacity(sim, 0);
    vex_sim_advance(sim, UINT64_C(200000000));
    CU_ASSERT_EQUAL(put_and_wait(collection, 2, 1000), 0);
    vex_collection_unref(collection);
    kit_close(&kit);
    vex_sim_free(sim);
}

/* The log had room, the payload file has none: the write waits, nothing else is lost or stuck. */
static void test_waits_for_space(void)
{
    struct vex_sim *sim = vex_sim_new(2);
    struct kit kit;
    struct vex_collection *collection;
    struct kit_call call, third;
    int rc;

    kit_init(&kit, vex_sim_io(sim), "/data", dev, pool);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = make(&kit, "c");
    CU_ASSERT_EQUAL(put_and_wait(collection, 1, 1000), 0);
    vex_sim_capacity(sim, vex_sim_used(sim) + 300000);
    vex_sim_advance(sim, UINT64_C(200000000));
    CU_ASSERT_EQUAL(vex_engine_read_only(kit.engine), false);
    CU_ASSERT_EQUAL_FATAL(put(&call, collection, 2, 250000), 0);
    vex_sim_capacity(sim, vex_sim_used(sim) + 1000);
    /* Refused when the applier has found already that there is no space; else it is taken and waits too. */
    rc = put(&third, collection, 3, 200000);
    CU_ASSERT_TRUE(rc == VEX_ENO_SPACE || rc == 0);
    CU_ASSERT_NOT_EQUAL(points(collection), UINT64_MAX);
    vex_sim_capacity(sim, 0);
    vex_sim_advance(sim, UINT64_C(200000000));
    CU_ASSERT_EQUAL(kit_wait(&call), 0);
    if (rc == 0)
        CU_ASSERT_EQUAL(kit_wait(&third), 0);
    CU_ASSERT_EQUAL(points(collection), rc == 0 ? 3 : 2);
    CU_ASSERT_EQUAL(put_and_wait(collection, 4, 1000), 0);
    vex_collection_unref(collection);
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = make(&kit, "c");
    CU_ASSERT_EQUAL(points(collection), rc == 0 ? 4 : 3);
    vex_collection_unref(collection);
    kit_close(&kit);
    vex_sim_free(sim);
}

/* A small record that grows much: payload for all points. It stalls for sure, and is applied once there is space. */
static void test_stalls(void)
{
    enum { POINTS = 200, MORE = 2000 };
    static struct kit_call more[MORE];
    struct vex_sim *sim = vex_sim_new(3);
    struct kit kit;
    struct vex_collection *collection;
    struct vex_filter all = {0};
    struct vex_op op = {.kind = VEX_OP_SET_PAYLOAD, .payload = {.selector = {.filter = &all}}};
    struct vex_arena arena;
    struct vex_buf payload;
    struct kit_call call;
    uint32_t count = 0;

    vex_arena_init(&arena, 0);
    kit_init(&kit, vex_sim_io(sim), "/data", dev, pool);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = make(&kit, "c");
    for (uint64_t i = 0; i < POINTS; i++)
        CU_ASSERT_EQUAL_FATAL(put_and_wait(collection, i, 10), 0);
    vex_buf_init(&payload, &arena);
    vex_value_put_map(&payload, 1);
    vex_value_put_text(&payload, VEX_STR("more"));
    vex_value_put_text(&payload, vex_str(vex_arena_zalloc(&arena, 2000), 2000));
    op.payload.payload = vex_buf_str(&payload);
    vex_sim_capacity(sim, vex_sim_used(sim) + 5000);
    vex_sim_advance(sim, UINT64_C(200000000));
    CU_ASSERT_EQUAL_FATAL(kit_start(&call, collection, &op, 1, true), 0);
    /* Small writes are taken until the applier has found that there is no space. */
    while (count < MORE && put(&more[count], collection, POINTS + count, 10) == 0) {
        count++;
        usleep(1000);
    }
    CU_ASSERT_TRUE(count < MORE);
    CU_ASSERT_STRING_EQUAL(more[count].err.text,
                           "The disk is full: writes are refused, reads and deletes go on");
    CU_ASSERT_FALSE(call.done);
    CU_ASSERT_FALSE(vex_engine_read_only(kit.engine));
    CU_ASSERT_EQUAL(points(collection), POINTS);
    vex_sim_capacity(sim, 0);
    vex_sim_advance(sim, UINT64_C(200000000));
    CU_ASSERT_EQUAL(kit_wait(&call), 0);
    CU_ASSERT_EQUAL(call.results[0].affected, POINTS);
    for (uint32_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(kit_wait(&more[i]), 0);
    CU_ASSERT_EQUAL(points(collection), POINTS + count);
    CU_ASSERT_EQUAL(put_and_wait(collection, 0, 10), 0);
    vex_collection_unref(collection);
    kit_close(&kit);
    vex_arena_done(&arena);
    vex_sim_free(sim);
}

static void test_failed_sync(void)
{
    struct vex_sim *sim = vex_sim_new(4);
    struct kit kit;
    struct vex_collection *collection;
    bool found;

    kit_init(&kit, vex_sim_io(sim), "/data", dev, pool);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = make(&kit, "c");
    CU_ASSERT_EQUAL(put_and_wait(collection, 1, 100), 0);
    vex_sim_fail(sim, VEX_SIM_DATASYNC, 1, -EIO, true);
    CU_ASSERT_EQUAL(put_and_wait(collection, 2, 100), VEX_EREAD_ONLY);
    CU_ASSERT_TRUE(vex_engine_read_only(kit.engine));
    vex_sim_fail_clear(sim);
    CU_ASSERT_EQUAL(put_and_wait(collection, 3, 100), VEX_EREAD_ONLY);
    CU_ASSERT_EQUAL(vex_engine_drop(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                    VEX_STR("c"), &found, &err),
                    VEX_EREAD_ONLY);
    CU_ASSERT_TRUE(points(collection) >= 1 && points(collection) <= 2);
    vex_collection_unref(collection);
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = make(&kit, "c");
    CU_ASSERT_TRUE(points(collection) >= 1 && points(collection) <= 2);
    CU_ASSERT_EQUAL(put_and_wait(collection, 3, 100), 0);
    vex_collection_unref(collection);
    kit_close(&kit);
    vex_sim_free(sim);
}

int main(void)
{
    CU_pSuite suite;
    unsigned failures;

    dev = vex_dev_embed_new();
    pool = vex_pool_new(2, 64, "test");
    CU_initialize_registry();
    suite = CU_add_suite("engine_full", NULL, NULL);
    CU_add_test(suite, "reserve", test_reserve);
    CU_add_test(suite, "waits_for_space", test_waits_for_space);
    CU_add_test(suite, "stalls", test_stalls);
    CU_add_test(suite, "failed_sync", test_failed_sync);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_pool_free(pool);
    vex_dev_free(dev);
    return failures > 0;
}
