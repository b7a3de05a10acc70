/* A tenant's points lie together: however they arrive, when they change, go, or were there before the index; and a server that comes back
 * from the log has every point in the slot where it was, which indexes and graphs on the disk rely on. */
#include <CUnit/Basic.h>

#include "engine/internal.h"
#include "unit/engine_kit.h"

#define TENANTS 200u
#define EACH    20u
#define POINTS  (TENANTS * EACH)
#define BATCH   50u
#define DIM     4u

static struct kit kit;
static char dir[] = "/tmp/vex_engine_tenants_XXXXXX";
static struct kit_random random_state = {5};
static struct vex_collection *collection;
static uint32_t order[POINTS];

/* ---- the collection ---- */

static void make(void)
{
    struct vex_vector_params params = {.name = VEX_STR(""), .size = DIM, .distance = VEX_DISTANCE_L2};
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;

    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &params, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("many"), config, false,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
    for (uint32_t i = 0; i < POINTS; i++)
        order[i] = i;
    for (uint32_t i = POINTS; i > 1; i--) {
        uint32_t other = kit_draw(&random_state, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static void drop(void)
{
    struct vex_err err;
    bool found;

    CU_ASSERT_EQUAL(vex_engine_drop(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                    VEX_STR("many"), &found, &err),
                    0);
    vex_collection_unref(collection);
    collection = NULL;
}

static int set_index(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)err;
    vex_config_set_index(config, arg);
    return 0;
}

static void index_by(const char *field, bool tenant)
{
    struct vex_index_params params = {.field = vex_str_c(field), .type = VEX_INDEX_KEYWORD, .tenant = tenant};
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, vex_str("", 0), set_index, &params, &err), 0);
}

/* The tenant of point i stands where `field` says: deep, or in an array. */
static struct vex_str payload_of(struct vex_arena *arena, uint32_t tenant, bool deep)
{
    struct vex_buf buf;

    vex_buf_init(&buf, arena);
    vex_value_put_map(&buf, 1);
    vex_value_put_text(&buf, deep ? VEX_STR("who") : VEX_STR("tenant"));
    if (deep) {
        vex_value_put_map(&buf, 1);
        vex_value_put_text(&buf, VEX_STR("id"));
        vex_value_put_array(&buf, 2);
        vex_value_put_null(&buf);
    }
    vex_value_put_text(&buf, vex_str_c(vex_arena_printf(arena, "tenant %u", tenant)));
    return vex_buf_str(&buf);
}

/* Points order[first], order[first + 1], ...; bare: vectors alone, by an update. */
static void put(uint32_t first, uint32_t count, bool deep, bool bare)
{
    struct vex_vector_value values[BATCH];
    struct vex_point points[BATCH];
    float vector[DIM] = {1, 2, 3, 4};
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    struct vex_arena arena;
    struct kit_call call;

    vex_arena_init(&arena, 0);
    memset(points, 0, sizeof points);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = order[first + i];

        values[i] = (struct vex_vector_value){.name = VEX_STR(""), .values = vector, .count = DIM};
        points[i] = (struct vex_point){.id = vex_id_num(which), .vectors = &values[i], .vector_count = 1};
        if (!bare)
            points[i].payload = payload_of(&arena, which / EACH, deep);
    }
    if (bare)
        op = (struct vex_op){.kind = VEX_OP_UPDATE_VECTORS, .vectors = {.points = points, .count = count}};
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    vex_arena_done(&arena);
}

static void put_all(uint32_t first, uint32_t end, bool deep, bool bare)
{
    for (; first < end; first += BATCH)
        put(first, BATCH, deep, bare);
}

static void take_out(uint32_t which)
{
    struct vex_id id = vex_id_num(which);
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = &id, .count = 1}};
    struct kit_call call;

    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
}

static void checkpoint(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_checkpoint(collection, &err), 0);
}

static struct vex_collection *find(struct kit *in)
{
    struct vex_collection *ret = NULL;
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_engine_find(in->engine, VEX_STR("many"), false, &ret, &err), 0);
    return ret;
}

/* ---- looking ---- */

/* Slots by point, sound rows; returns the runs of a tenant. */
static double look(struct vex_collection *in, uint32_t slots[POINTS])
{
    struct vex_collection_data data;
    struct vex_err err = {0};
    uint32_t runs = 0, before = UINT32_MAX;

    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(in, &data, &err), 0);
    CU_ASSERT_EQUAL(vex_rows_check(data.rows, &err), 0);
    for (uint32_t i = 0; i < POINTS; i++) {
        struct vex_id id = vex_id_num(i);
        slots[i] = vex_rows_find(data.rows, &id);
    }
    for (uint32_t slot = 0; slot < vex_rows_slots(data.rows); slot++) {
        bool live = vex_rows_at(data.rows, slot)->state == VEX_ROW_LIVE;
        uint32_t tenant = live ? (uint32_t)vex_rows_id(data.rows, slot).num / EACH : UINT32_MAX;

        runs += live && tenant != before;
        before = tenant;
    }
    vex_collection_read_end(in);
    return (double)runs / TENANTS;
}

static double runs_now(void)
{
    static uint32_t slots[POINTS];

    return look(collection, slots);
}

/* A server that was killed now: a copy of the folder is opened, and every point is where it is here. */
static void compare_recovered(const char *what)
{
    static uint32_t slots[POINTS], others[POINTS];
    char path[48], command[160];
    struct vex_collection *other;
    struct kit copy;

    snprintf(path, sizeof path, "%.40s.copy", kit.dir);
    snprintf(command, sizeof command, "rm -rf %s && cp -r %.40s %s", path, kit.dir, path);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    kit_init(&copy, kit.options.io, path, kit.options.dev, kit.options.pool);
    CU_ASSERT_EQUAL_FATAL(kit_open(&copy), 0);
    other = find(&copy);
    (void)look(collection, slots);
    (void)look(other, others);
    bool same = memcmp(slots, others, sizeof slots) == 0;
    if (!same)
        fprintf(stderr, "slots differ: %s\n", what);
    CU_ASSERT(same);
    vex_collection_unref(other);
    kit_close(&copy);
    snprintf(command, sizeof command, "rm -rf %s", path);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* ---- cases ---- */

static void test_placed(void)
{
    make();
    index_by("tenant", false);
    put_all(0, POINTS, false, false);
    CU_ASSERT(runs_now() > EACH * 0.9);
    drop();
    for (int deep = 0; deep < 2; deep++) {
        make();
        index_by(deep != 0 ? "who.id" : "tenant", true);
        put_all(0, POINTS, deep != 0, false);
        CU_ASSERT(runs_now() < EACH * 0.3);
        drop();
    }
}

/* Each point again, with or without its payload: new versions find their way. */
static void test_moved(void)
{
    for (int bare = 0; bare < 2; bare++) {
        make();
        put_all(0, POINTS, false, false);
        CU_ASSERT(runs_now() > EACH * 0.9);
        index_by("tenant", true);
        put_all(0, POINTS, false, bare != 0);
        CU_ASSERT(runs_now() < EACH * 0.3);
        for (int round = 0; round < 3; round++) {
            checkpoint();
            put_all(0, POINTS, false, bare != 0);
        }
        CU_ASSERT(runs_now() < EACH * 0.5);
        drop();
    }
}

static void restart(void)
{
    vex_collection_unref(collection);
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = find(&kit);
}

static void test_restarted(void)
{
    make();
    index_by("tenant", true);
    for (uint32_t first = 0; first < POINTS; first += POINTS / 10) {
        put_all(first, first + POINTS / 10, false, false);
        restart();
    }
    CU_ASSERT(runs_now() < EACH * 0.35);
    drop();
}

static void save_catalog(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_engine_save_catalog(kit.engine, &err), 0);
}

static void test_recovered(void)
{
    make();
    put_all(0, 500, false, false);
    index_by("tenant", true);
    save_catalog(); /* it knows the index before the log's records are applied again */
    compare_recovered("points from before the index");
    put_all(500, 1500, false, false);
    compare_recovered("never a checkpoint since the index");
    checkpoint();
    compare_recovered("a checkpoint");
    put_all(1500, 2500, false, false);
    for (uint32_t i = 0; i < 600; i += 7)
        take_out(order[i]);
    put_all(2000, 3000, false, false);
    compare_recovered("changes and deletions");
    checkpoint();
    put_all(0, 1000, false, false);
    compare_recovered("slots of the dead");
    index_by("tenant", false);
    save_catalog();
    put_all(3000, 3500, false, false);
    compare_recovered("no tenant index any more");
    index_by("tenant", true);
    put_all(1500, 3500, false, true);
    compare_recovered("vectors alone");
    drop();
}

int main(void)
{
    static CU_TestInfo tests[] = {{"placed", test_placed},
                                  {"moved", test_moved},
                                  {"restarted", test_restarted},
                                  {"recovered", test_recovered},
                                  CU_TEST_INFO_NULL};

    if (!kit_prepare(&kit, dir) || kit_open(&kit) != 0)
        return 1;
    return kit_run(&kit, "tenants", tests);
}
