/* Every kind of operation against a plain model, across restarts with and without checkpoints; texts of refused ones. */
#include <CUnit/Basic.h>

#include "engine/mutation_record.h"
#include "engine_kit.h"

static struct kit kit;
static char dir[] = "/tmp/vex_engine_mutations_XXXXXX";

static struct vex_collection *make(const char *name)
{
    struct vex_config *config = kit_config();
    struct vex_collection *collection = NULL;
    struct vex_err err;
    bool created;

    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), vex_str_c(name), config, false,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
    return collection;
}

static struct vex_collection *get(const char *name)
{
    struct vex_collection *collection = NULL;
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, vex_str_c(name), false, &collection, &err), 0);
    return collection;
}

static bool same(struct vex_collection *collection, const struct kit_model *model)
{
    char why[256];
    bool ok = kit_same(collection, model, why, sizeof why);

    if (!ok)
        fprintf(stderr, "differs: %s\n", why);
    return ok;
}

/* A copy of the folder while the engine runs: what a killed process leaves. */
static void reopen_copy(const struct kit_model *model)
{
    char command[256], copy[64];
    struct vex_collection *collection = NULL;
    struct vex_err err;
    struct kit other;

    snprintf(copy, sizeof copy, "%s_copy", dir);
    snprintf(command, sizeof command, "rm -rf %s && cp -r %s %s", copy, dir, copy);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    kit_init(&other, vex_io_posix(), copy, kit.options.dev, kit.options.pool);
    CU_ASSERT_EQUAL_FATAL(kit_open(&other), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(other.engine, VEX_STR("model"), false, &collection, &err), 0);
    CU_ASSERT_TRUE(same(collection, model));
    vex_collection_unref(collection);
    kit_close(&other);
    snprintf(command, sizeof command, "rm -rf %s", copy);
    CU_ASSERT_EQUAL(system(command), 0);
}

static void test_model(void)
{
    struct vex_collection *collection = make("model");
    struct kit_model model = {.next_op = 1};
    struct kit_random random = {42};
    struct vex_arena arena;
    struct vex_err err;

    vex_arena_init(&arena, 0);
    for (int i = 0; i < 3000; i++) {
        struct vex_op ops[4];
        struct kit_call call;
        uint64_t first = model.next_op;
        int code, rc;
        uint32_t count = kit_random_mutation(&model, &random, &arena, ops, &code);

        rc = kit_submit(&call, collection, ops, count, true);
        CU_ASSERT_EQUAL_FATAL(rc, code);
        for (uint32_t o = 0; o < count; o++)
            CU_ASSERT_EQUAL(call.results[o].op, first + o);
        if (i % 7 == 0)
            CU_ASSERT_TRUE_FATAL(same(collection, &model));
        if (i % 97 == 0)
            CU_ASSERT_EQUAL_FATAL(vex_collection_checkpoint(collection, &err), 0);
        if (i % 211 == 0)
            reopen_copy(&model);
        if (i % 503 == 0) {
            vex_collection_unref(collection);
            kit_close(&kit);
            CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
            collection = get("model");
            CU_ASSERT_TRUE_FATAL(same(collection, &model));
        }
        vex_arena_reset(&arena);
    }
    CU_ASSERT_TRUE(same(collection, &model));
    vex_arena_done(&arena);
    vex_collection_unref(collection);
}

/* The model's affected counts, for single operations. */
static void test_affected(void)
{
    struct vex_collection *collection = make("affected");
    struct kit_model model = {.next_op = 1};
    struct kit_random random = {7};
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (int i = 0; i < 500; i++) {
        struct kit_play play = {.model = &model, .arena = &arena, .random = &random, .op = model.next_op++};
        struct vex_op op;
        struct kit_call call;
        bool fine = kit_random_op(&play, &op);

        CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), fine ? 0 : VEX_ENOT_FOUND);
        if (fine)
            CU_ASSERT_EQUAL(call.results[0].affected, play.affected);
        vex_arena_reset(&arena);
    }
    CU_ASSERT_TRUE(same(collection, &model));
    vex_arena_done(&arena);
    vex_collection_unref(collection);
}

/* ---- refused mutations ---- */

static void expect(struct vex_collection *collection, struct vex_op *op, int code, const char *text)
{
    struct kit_call call;
    int rc = kit_submit(&call, collection, op, 1, true);

    CU_ASSERT_EQUAL(rc, code);
    CU_ASSERT_STRING_EQUAL(call.err.text, text);
    if (rc != code || strcmp(call.err.text, text) != 0)
        fprintf(stderr, "got %d %s\n", rc, call.err.text);
}

static struct vex_op one_point(struct vex_point *point, struct vex_vector_value *vector, const char *name,
                               enum vex_vector_kind kind, const float *values, uint32_t count)
{
    static const uint32_t indices[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    *vector = (struct vex_vector_value){.name = vex_str_c(name),
                                        .kind = kind,
                                        .values = values,
                                        .count = count,
                                        .rows = 1,
                                        .indices = indices};
    *point = (struct vex_point){.id = vex_id_num(1), .vectors = vector, .vector_count = 1};
    return (struct vex_op){.kind = VEX_OP_UPSERT, .upsert = {.points = point, .count = 1}};
}

static void test_refused(void)
{
    static const float values[] = {1, 2, 3, 4}, odd[] = {1, INFINITY, 3, 4};
    struct vex_collection *collection = make("refused");
    struct vex_vector_value vector;
    struct vex_point point;
    struct vex_op op;
    struct vex_id missing = vex_id_num(777);
    struct vex_str bad_name = VEX_STR("zz");
    struct kit_call call;

    op = one_point(&point, &vector, "", VEX_VECTOR_DENSE, values, 3);
    expect(collection, &op, VEX_EBAD_INPUT, "Vector dimension error: expected dim: 4, got 3");
    op = one_point(&point, &vector, "x", VEX_VECTOR_DENSE, values, 4);
    expect(collection, &op, VEX_EBAD_INPUT, "Not existing vector name error: x"); /* takes number 1 */
    op = one_point(&point, &vector, "", VEX_VECTOR_DENSE, odd, 4);
    expect(collection, &op, VEX_EBAD_INPUT, "Vector values must be finite numbers"); /* 2 */
    op = one_point(&point, &vector, "", VEX_VECTOR_DENSE, values, 4);
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    CU_ASSERT_EQUAL(call.results[0].op, 3);
    op = one_point(&point, &vector, "sparse", VEX_VECTOR_DENSE, values, 4);
    expect(collection, &op, VEX_EBAD_INPUT, "Conversion between sparse and regular vectors failed"); /* 4 */
    op = one_point(&point, &vector, "multi", VEX_VECTOR_DENSE, values, 4);
    expect(collection, &op, VEX_EBAD_INPUT, "Conversion between multi and regular vectors failed"); /* 5 */
    op = (struct vex_op){
        .kind = VEX_OP_SET_PAYLOAD,
        .payload = {.selector = {.ids = &missing, .count = 1}, .payload = VEX_STR("\xa1\x61x\x01")}};
    expect(collection, &op, VEX_ENOT_FOUND, "No point with id 777 found"); /* 6 */
    op = one_point(&point, &vector, "", VEX_VECTOR_DENSE, values, 4);
    point.id = missing;
    op.kind = VEX_OP_UPDATE_VECTORS;
    op.vectors.points = &point;
    op.vectors.count = 1;
    op.vectors.update_filter = NULL;
    expect(collection, &op, VEX_ENOT_FOUND, "No point with id 777 found"); /* 7 */
    op = (struct vex_op){
        .kind = VEX_OP_DELETE_VECTORS,
        .vector_names = {.selector = {.ids = &missing, .count = 1}, .names = &bad_name, .count = 1}};
    expect(collection, &op, VEX_EBAD_INPUT, "Not existing vector name error: zz"); /* 8 */
    op = (struct vex_op){.kind = VEX_OP_DELETE, .remove = {.ids = &missing, .count = 1}};
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    CU_ASSERT_EQUAL(call.results[0].op, 9);
    CU_ASSERT_EQUAL(call.results[0].affected, 0);
    vex_collection_unref(collection);
}

/* Filters with a limit take the oldest matches; a key path merges below it. */
static void test_limit_and_path(void)
{
    struct vex_collection *collection = make("limit");
    struct vex_arena arena;
    struct vex_point points[6] = {0};
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = 6}};
    int keys[KIT_KEYS] = {3, 0, 0, 0};
    struct kit_call call;
    struct vex_collection_data data;
    struct vex_err err;
    struct vex_id id;
    uint32_t slot;

    vex_arena_init(&arena, 0);
    for (uint32_t i = 0; i < 6; i++) {
        points[i].id = vex_id_num(60 - i);
        points[i].payload = kit_payload(&arena, 1, keys);
    }
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    op = (struct vex_op){.kind = VEX_OP_DELETE, .remove = {.filter = kit_filter(&arena, 3), .limit = 2}};
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    CU_ASSERT_EQUAL(call.results[0].affected, 2);
    id = vex_id_num(58);
    op = (struct vex_op){
        .kind = VEX_OP_SET_PAYLOAD,
        .payload = {.selector = {.ids = &id, .count = 1}, .payload = kit_payload(&arena, 2, keys)}};
    CU_ASSERT_EQUAL(vex_path_parse(&arena, VEX_STR("sub.deep"), &op.payload.key, &err), 0);
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    for (uint32_t i = 0; i < 6; i++) {
        id = vex_id_num(60 - i);
        CU_ASSERT_EQUAL(vex_rows_find(data.rows, &id) == VEX_SLOT_NONE, i < 2);
    }
    id = vex_id_num(58);
    slot = vex_rows_find(data.rows, &id);
    struct vex_value deep =
        vex_value_get(vex_value_get(vex_collection_payload(&data, slot), VEX_STR("sub")), VEX_STR("deep"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(deep.at);
    CU_ASSERT_PTR_NOT_NULL(vex_value_get(deep, VEX_STR("b")).at);
    vex_collection_read_end(collection);
    vex_arena_done(&arena);
    vex_collection_unref(collection);
}

/* wait = false: order and numbers hold, results carry numbers only; a full queue parks and loses nothing. */
static void test_parked(void)
{
    enum { N = 400 };
    static struct kit_call calls[N];
    static char bytes[20000];
    struct vex_collection *collection;
    struct vex_arena arena;
    struct vex_err err;
    struct vex_collection_stats stats;
    struct vex_buf payload;

    kit_close(&kit);
    kit.options.queue_bytes = 50000;
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    collection = make("parked");
    vex_arena_init(&arena, 0);
    vex_buf_init(&payload, &arena);
    memset(bytes, 'x', sizeof bytes);
    vex_value_put_map(&payload, 1);
    vex_value_put_text(&payload, VEX_STR("t"));
    vex_value_put_text(&payload, vex_str(bytes, sizeof bytes));
    for (int i = 0; i < N; i++) {
        struct vex_point point = {.id = vex_id_num((uint64_t)i), .payload = vex_buf_str(&payload)};
        struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = &point, .count = 1}};
        CU_ASSERT_EQUAL_FATAL(kit_start(&calls[i], collection, &op, 1, i % 2 == 0), 0);
    }
    for (int i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(kit_wait(&calls[i]), 0);
        CU_ASSERT_EQUAL(calls[i].results[0].op, (uint64_t)i + 1);
    }
    CU_ASSERT_EQUAL(vex_collection_drain(collection, &err), 0);
    CU_ASSERT_EQUAL(vex_collection_stats(collection, &stats, &err), 0);
    CU_ASSERT_EQUAL(stats.points, N);
    CU_ASSERT_EQUAL(stats.last_op, N);
    vex_arena_done(&arena);
    vex_collection_unref(collection);
    kit_close(&kit);
    kit.options.queue_bytes = 8 << 20;
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
}

/* Damaged bytes of a record are refused or read as something harmless, never beyond the end (the sanitizer looks on). */
static void test_hostile_records(void)
{
    struct vex_config *config = kit_config();
    struct kit_model model = {.next_op = 1};
    struct kit_random random = {99};
    struct vex_arena arena, decoded;
    uint32_t refused = 0, sound = 0;

    vex_arena_init(&arena, 0);
    vex_arena_init(&decoded, 0);
    for (int i = 0; i < 4000; i++) {
        struct vex_op ops[4];
        struct vex_mutation mutation = {.ops = ops};
        struct vex_record_op op;
        struct vex_record record;
        bool urgent, counted;
        char *body, *copy;
        struct vex_err err;
        size_t len, cut;
        int code, rc;

        mutation.count = kit_random_mutation(&model, &random, &arena, ops, &code);
        CU_ASSERT_EQUAL_FATAL(vex_record_encode(config, &mutation, &body, &len, &urgent, &counted, &err), 0);
        cut = i % 3 == 0 ? kit_draw(&random, (uint32_t)len) : len;
        copy = vex_mem_alloc(cut); /* of its own, so that a read past the end is seen */
        memcpy(copy, body, cut);
        for (uint32_t flips = i % 3 == 1 ? 1 + kit_draw(&random, 4) : 0; flips > 0; flips--)
            copy[kit_draw(&random, (uint32_t)cut)] ^= (char)(1u << kit_draw(&random, 8));
        rc = vex_record_open(&record, copy, cut);
        for (uint32_t o = 0; rc == 0 && o < record.count; o++)
            rc = vex_record_next(&record, &decoded, true, &op);
        refused += rc != 0;
        sound += rc == 0 && i % 3 == 2;
        vex_mem_free(copy);
        vex_mem_free(body);
        vex_arena_reset(&arena);
        vex_arena_reset(&decoded);
    }
    CU_ASSERT_EQUAL(sound, 4000 / 3);
    CU_ASSERT_TRUE(refused > 1000);
    vex_arena_done(&arena);
    vex_arena_done(&decoded);
    vex_config_unref(config);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"model", test_model},     {"affected", test_affected},
        {"refused", test_refused}, {"limit_and_path", test_limit_and_path},
        {"parked", test_parked},   {"hostile_records", test_hostile_records},
        CU_TEST_INFO_NULL,
    };

    if (!kit_prepare(&kit, dir))
        return 1;
    if (kit_open(&kit) != 0)
        return 1;
    return kit_run(&kit, "engine_mutations", tests);
}
