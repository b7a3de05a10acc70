/* What bulk work leaves in memory goes back to the system when it ends, not before it was much, and nothing of the data changes. */
#include <CUnit/Basic.h>
#include <time.h>

#include "lib/resident.h"
#include "unit/engine_kit.h"

#include "engine/internal.h"

#define DIM    512u
#define POINTS 3000u /* 6 MiB of vectors */
#define BATCH  100u
#define LITTLE 300 /* KiB */
#define LONG   60  /* seconds: it has failed */

static struct kit kit;
static char dir[] = "/tmp/vex_engine_memory_XXXXXX";
static struct vex_collection *collection;

static void fill(uint32_t which, float *ret)
{
    for (uint32_t d = 0; d < DIM; d++)
        ret[d] = (float)((which * 2654435761u + d * 40503u) >> 8 & 0xffff) / 65536;
}

static void put(uint32_t from, uint32_t to)
{
    static float values[BATCH][DIM];

    for (uint32_t first = from; first < to; first += BATCH) {
        struct vex_vector_value vectors[BATCH];
        struct vex_point points[BATCH];
        struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = BATCH}};
        struct kit_call call;

        memset(points, 0, sizeof points);
        for (uint32_t i = 0; i < BATCH; i++) {
            fill(first + i, values[i]);
            vectors[i] = (struct vex_vector_value){.name = VEX_STR(""), .values = values[i], .count = DIM};
            points[i] =
                (struct vex_point){.id = vex_id_num(first + i), .vectors = &vectors[i], .vector_count = 1};
        }
        CU_ASSERT_EQUAL_FATAL(kit_submit(&call, collection, &op, 1, true), 0);
    }
}

/* Reads all vectors by their ids. */
static uint32_t wrong(uint32_t count)
{
    struct vex_collection_data data;
    float expected[DIM], found[DIM];
    uint32_t bad = 0;
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct vex_id id = vex_id_num(i);
        uint32_t slot = vex_rows_find(data.rows, &id);

        fill(i, expected);
        bad += slot == VEX_SLOT_NONE || vex_vectors_read(data.vectors, 0, slot, found) != 0 ||
               memcmp(expected, found, sizeof found) != 0;
    }
    vex_collection_read_end(collection);
    return bad;
}

static void make(void)
{
    struct vex_vector_params params = {.name = VEX_STR(""),
                                       .size = DIM,
                                       .distance = VEX_DISTANCE_L2,
                                       .graph = {.m = 4, .ef_construct = 8, .threshold_kb = 1}};
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;

    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &params, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("memory"), config, false,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
}

/* Waits until the file's map holds less. */
static bool falls(const char *name, long kib)
{
    time_t end = time(NULL) + LONG;

    while (resident_kib(name) >= kib)
        if (time(NULL) > end)
            return false;
    return true;
}

static bool was_worked_on(uint64_t least)
{
    return atomic_load(&collection->worked) >= least;
}

static void test_after_building(void)
{
    struct vex_err err;

    make();
    put(0, POINTS);
    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
    CU_ASSERT(falls("/v0.vex", LITTLE));
    CU_ASSERT_EQUAL(wrong(POINTS), 0);
    CU_ASSERT(resident_kib("/v0.vex") > (long)(POINTS * DIM * 4 / 1024 - 64));
}

/* All has been read just now; a few more points are no reason to give that back. */
static void test_not_for_a_little(void)
{
    struct vex_err err;

    put(POINTS, POINTS + BATCH);
    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
    CU_ASSERT(was_worked_on(BATCH * DIM * 4));
    CU_ASSERT_FALSE(atomic_load(&collection->memory_due));
    CU_ASSERT_FALSE(atomic_load(&kit.engine->memory_due));
    CU_ASSERT_EQUAL(wrong(POINTS + BATCH), 0);
}

/* A checkpoint after many changes: the pages of the tables go too. */
static void test_after_checkpoint(void)
{
    struct vex_err err;

    put(0, POINTS);
    vex_collection_acquire(collection);
    CU_ASSERT_EQUAL(vex_checkpoint_collection(collection, &err), 0);
    vex_collection_release(collection);
    CU_ASSERT_EQUAL(wrong(POINTS + BATCH), 0);
    CU_ASSERT(falls("/v0.vex", LITTLE));
    CU_ASSERT(falls("/ids.tbl", LITTLE) && falls("/rows.tbl", LITTLE));
    CU_ASSERT_EQUAL(wrong(POINTS + BATCH), 0);
}

/* Files that are read stay in memory; of those that nobody reads any more the pages leave, whatever is counted meanwhile. */
static void test_idle(void)
{
    struct vex_collection_stats stats;
    time_t end = time(NULL) + LONG;
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
    while ((atomic_load(&collection->memory_due) || atomic_load(&collection->memory_queued)) &&
           time(NULL) <= end)
        ;
    atomic_store(&collection->worked, 0); /* that is not why */
    CU_ASSERT_EQUAL(wrong(POINTS), 0);
    CU_ASSERT(resident_kib("/v0.vex") > (long)(POINTS * DIM * 4 / 1024 - 64));
    CU_ASSERT_TRUE(atomic_load(&collection->used));
    while (atomic_load(&collection->used) && time(NULL) <= end)
        ;
    CU_ASSERT(resident_kib("/v0.vex") > (long)(POINTS * DIM * 4 / 1024 - 64));
    while (resident_kib("/v0.vex") >= LITTLE && time(NULL) <= end)
        CU_ASSERT_EQUAL(vex_collection_stats(collection, &stats, &err), 0);
    CU_ASSERT(resident_kib("/v0.vex") < LITTLE && falls("/rows.tbl", LITTLE));
    CU_ASSERT_EQUAL(wrong(POINTS), 0);
    vex_collection_unref(collection);
}

static CU_TestInfo tests[] = {
    {"after a graph was built", test_after_building},
    {"not for a little", test_not_for_a_little},
    {"after a checkpoint", test_after_checkpoint},
    {"nobody reads", test_idle},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    if (!kit_prepare(&kit, dir) || kit_open(&kit) != 0)
        return 2;
    return kit_run(&kit, "memory", tests);
}
