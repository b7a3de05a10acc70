/* Files of graphs: kept over a restart, caught up however old they are, refused and built anew when they are damaged, truncated, of other
 * vectors or newer than the collection; removed when nobody needs them. An old file is an earlier one put back while the engine
 * is closed: as a crash would leave it. */
#include <CUnit/Basic.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/text.h"
#include "unit/engine_graph_kit.h"

#include "engine/query/nearest.h"

#define POINTS 1500u
#define DIM    20u
#define K      5u

/* Of the head, see graph_file.c. */
#define FORMAT      3u
#define HEAD_LEN_AT 16u
#define MARK_AT     56u

static struct kit kit;
static char dir[] = "/tmp/vex_engine_graph_files_XXXXXX";
static struct kit_random random_state = {17};
static struct vex_collection *collection;
static char folder[VEX_PATH_MAX];
static float vectors[POINTS][DIM];
static bool alive[POINTS];

/* ---- the collection ---- */

static void draw_vector(uint32_t which)
{
    for (uint32_t d = 0; d < DIM; d++)
        vectors[which][d] = (float)kit_draw(&random_state, 2000) / 1000 - 1;
}

static struct vex_vector_params params_of(const char *name)
{
    return (struct vex_vector_params){.name = vex_str_c(name),
                                      .size = DIM,
                                      .distance = VEX_DISTANCE_L2,
                                      .graph = {.threshold_kb = 1, .full_scan_kb = 1}};
}

static void make(bool two)
{
    struct vex_vector_params first = params_of(""), second = params_of("second");
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;

    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &first, &err), 0);
    if (two)
        CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &second, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("files"), config, false,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
    vex_collection_path(collection, folder);
    memset(alive, 0, sizeof alive);
    for (uint32_t i = 0; i < POINTS; i++)
        draw_vector(i);
}

static void drop(void)
{
    struct vex_err err;
    bool found;

    CU_ASSERT_EQUAL(vex_engine_drop(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                    VEX_STR("files"), &found, &err),
                    0);
    vex_collection_unref(collection);
    collection = NULL;
}

static void put(uint32_t first, uint32_t count, uint32_t step, bool two)
{
    struct vex_vector_value *values = vex_mem_alloc(2 * count * sizeof *values);
    struct vex_point *points = vex_mem_zalloc(count * sizeof *points);
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = first + i * step;

        values[2 * i] =
            (struct vex_vector_value){.name = VEX_STR(""), .values = vectors[which], .count = DIM};
        values[2 * i + 1] = values[2 * i];
        values[2 * i + 1].name = VEX_STR("second");
        points[i] = (struct vex_point){
            .id = vex_id_num(which), .vectors = &values[2 * i], .vector_count = two ? 2 : 1};
        alive[which] = true;
    }
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    vex_mem_free(values);
    vex_mem_free(points);
}

static void take_out(uint32_t first, uint32_t count, uint32_t step)
{
    struct vex_id *ids = vex_mem_alloc(count * sizeof *ids);
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++) {
        ids[i] = vex_id_num(first + i * step);
        alive[first + i * step] = false;
    }
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    vex_mem_free(ids);
}

/* Payload alone: the points stay in their slots, with later versions. */
static void touch(uint32_t first, uint32_t count)
{
    struct vex_id *ids = vex_mem_alloc(count * sizeof *ids);
    struct vex_op op = {.kind = VEX_OP_CLEAR_PAYLOAD, .remove = {.ids = ids, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++)
        ids[i] = vex_id_num(first + i);
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    vex_mem_free(ids);
}

static void checkpoint(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_checkpoint(collection, &err), 0);
}

static void settle(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
}

static void close_all(void)
{
    vex_collection_unref(collection);
    collection = NULL;
    kit_close(&kit);
}

static void open_all(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, VEX_STR("files"), false, &collection, &err), 0);
}

/* ---- what is right ---- */

static struct vex_graph_info info(void)
{
    struct vex_graph_info *infos, ret = {0};
    struct vex_arena arena;
    struct vex_err err;
    uint32_t count;

    vex_arena_init(&arena, 0);
    if (vex_collection_graphs(collection, &arena, &infos, &count, &err) == 0 && count >= 1)
        ret = infos[0];
    vex_arena_done(&arena);
    return ret;
}

static bool finds(uint32_t which)
{
    struct vex_nearest request = {.using = VEX_STR(""),
                                  .query = {.kind = VEX_VECTOR_DENSE, .values = vectors[which], .count = DIM},
                                  .limit = K};
    struct vex_arena arena;
    struct vex_hits hits = {0};
    struct vex_err err;
    bool found;

    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    found = vex_read_nearest(collection, &request, 1, &context, &hits, &err) == 0 && hits.count == K &&
            hits.hits[0].id.num == which;
    for (size_t i = 0; i < hits.count; i++)
        found = found && alive[hits.hits[i].id.num];
    vex_arena_done(&arena);
    return found;
}

/* Walks find points by their own vectors, and nothing that is gone. */
static void check(const char *what, bool idle)
{
    char why[200] = "";
    uint32_t missed = 0, asked = 0;

    CU_ASSERT(info().stands);
    for (uint32_t i = 0; i < POINTS; i += 7) {
        asked += alive[i];
        missed += alive[i] && !finds(i);
    }
    if (missed * 100 > asked)
        fprintf(stderr, "%s: %u of %u not found\n", what, missed, asked);
    CU_ASSERT(missed * 100 <= asked);
    if (!kit_graphs_right(collection, idle, why, sizeof why)) {
        fprintf(stderr, "%s: %s\n", what, why);
        CU_FAIL("the graph is wrong");
    }
}

/* ---- files ---- */

static const char *path_of(const char *name)
{
    static char path[VEX_PATH_MAX];

    return vex_file_join(path, folder, name);
}

static bool there(const char *name)
{
    struct stat st;

    return stat(path_of(name), &st) == 0;
}

static void read_file(const char *name, struct vex_buf *ret)
{
    struct vex_err err;

    vex_buf_init(ret, NULL);
    CU_ASSERT_EQUAL_FATAL(vex_file_read(vex_io_posix(), path_of(name), (size_t)1 << 30, ret, &err), 0);
}

static void write_file(const char *name, const struct vex_buf *bytes, size_t len)
{
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_file_replace(vex_io_posix(), path_of(name), bytes->ptr, len, &err), 0);
}

static struct vex_graph_label label_of(const char *name)
{
    struct vex_graph_label label = {0};
    struct vex_file *file;
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_io_open(vex_io_posix(), path_of(name), VEX_IO_READ, &file), 0);
    CU_ASSERT_EQUAL(vex_graph_peek(vex_io_posix(), file, &label, &err), 0);
    CU_ASSERT_EQUAL(vex_graph_verify(vex_io_posix(), file, &err), 0);
    vex_io_close(vex_io_posix(), file);
    return label;
}

static struct vex_graph_part *part(void)
{
    return &collection->data.graphs->entries[0]->now;
}

/* Opens it here, to be looked at before the background has done anything. */
static void open_still(void)
{
    struct vex_err err;

    open_all();
    CU_ASSERT_EQUAL_FATAL(vex_collection_open(collection, &err), 0);
}

/* ---- tests ---- */

static void test_kept(void)
{
    uint64_t mark;

    make(false);
    put(0, POINTS, 1, false);
    settle();
    CU_ASSERT(there("graph.0"));
    CU_ASSERT(!there("graph.0.tmp"));
    mark = label_of("graph.0").mark;
    CU_ASSERT_EQUAL(mark, 1);
    close_all();
    open_still();
    CU_ASSERT(part()->saved);
    CU_ASSERT_EQUAL(part()->changed, 0);
    CU_ASSERT_EQUAL(info().linked, POINTS);
    CU_ASSERT_EQUAL(info().waiting, 0);
    check("loaded", false);
    settle();
    CU_ASSERT_PTR_NULL(part()->file);
    CU_ASSERT(!part()->settling);
    CU_ASSERT_EQUAL(part()->changed, 0); /* nothing was built */
    check("verified and settled", true);
    drop();
}

/* Points come, move, go and come back into slots used before; payloads change alone. */
static void live_on(void)
{
    take_out(0, POINTS / 8, 4);
    checkpoint();
    for (uint32_t i = 1; i < POINTS / 2; i += 4) {
        draw_vector(i);
        put(i, 1, 1, false);
    }
    touch(POINTS / 2, POINTS / 4);
    checkpoint();
    for (uint32_t i = 0; i < POINTS / 5; i += 8)
        draw_vector(i);
    put(0, POINTS / 40, 8, false);
}

static void test_catch_up(void)
{
    struct vex_buf old;

    make(false);
    put(0, POINTS * 3 / 4, 1, false);
    settle();
    read_file("graph.0", &old);
    live_on();
    put(POINTS * 3 / 4, POINTS / 8, 1, false);
    settle();
    check("before closing", true);
    close_all();
    CU_ASSERT(label_of("graph.0").mark > 100);
    write_file("graph.0", &old, old.len);
    open_still();
    CU_ASSERT(part()->saved);
    check("an old file", false);
    settle();
    check("an old file caught up", true);
    CU_ASSERT_EQUAL(info().waiting, 0);
    CU_ASSERT(part()->saved && label_of("graph.0").mark > 100);
    vex_buf_done(&old);
    drop();
}

/* Without a tenth of changes nothing is linked anew for payloads. */
static void test_payloads(void)
{
    struct vex_buf old;

    make(false);
    put(0, POINTS, 1, false);
    settle();
    read_file("graph.0", &old);
    touch(0, POINTS / 2);
    close_all();
    write_file("graph.0", &old, old.len);
    open_still();
    settle();
    CU_ASSERT_EQUAL(part()->fresh, 0); /* nothing was linked */
    check("after payloads", true);
    vex_buf_done(&old);
    drop();
}

static void test_when(void)
{
    uint64_t mark;

    make(false);
    put(0, POINTS / 2, 1, false);
    settle();
    mark = label_of("graph.0").mark;
    put(POINTS / 2, POINTS / 40, 1, false);
    settle();
    CU_ASSERT_EQUAL(label_of("graph.0").mark, mark);
    close_all(); /* more than one in a hundred */
    CU_ASSERT(label_of("graph.0").mark > mark);
    open_all();
    settle();
    mark = label_of("graph.0").mark;
    put(POINTS * 3 / 4, POINTS / 5, 1, false);
    settle();
    CU_ASSERT(label_of("graph.0").mark > mark);
    mark = label_of("graph.0").mark;
    put(0, 1, 1, false);
    close_all(); /* catching up costs less */
    CU_ASSERT_EQUAL(label_of("graph.0").mark, mark);
    open_still();
    check("one behind", false);
    settle();
    check("one behind, caught up", true);
    drop();
}

static void test_half_built(void)
{
    struct vex_err err;

    make(false);
    put(0, POINTS, 1, false);
    while (info().linked == 0)
        sched_yield();
    vex_graph_set_stop(collection->data.graphs); /* somewhere in the middle, or at the end */
    CU_ASSERT_EQUAL(vex_collection_drain(collection, &err), 0);
    close_all();
    CU_ASSERT(there("graph.0"));
    open_still();
    CU_ASSERT(info().stands);
    check("half built", false);
    settle();
    check("built", true);
    CU_ASSERT_EQUAL(info().linked, POINTS);
    drop();
}

static int set_m(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)err;
    config->vectors[0].graph.m = *(const uint32_t *)arg;
    config->vectors[0].graph.never = *(const uint32_t *)arg == 0;
    return 0;
}

static void alter(uint32_t m)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_m, &m, &err), 0);
}

static void test_settings(void)
{
    struct vex_buf old;

    make(false);
    put(0, POINTS, 1, false);
    settle();
    CU_ASSERT_EQUAL(label_of("graph.0").params.m, VEX_GRAPH_M);
    read_file("graph.0", &old);
    alter(8);
    settle();
    CU_ASSERT_EQUAL(label_of("graph.0").params.m, 8);
    close_all();
    write_file("graph.0", &old, old.len); /* as if it had ended before the other graph was ready */
    open_still();
    CU_ASSERT(info().stands && info().building);
    check("of the settings before", false);
    settle();
    CU_ASSERT_EQUAL(label_of("graph.0").params.m, 8);
    check("of other settings", true);
    alter(1); /* graphs have at least two */
    settle();
    close_all();
    open_still();
    CU_ASSERT(info().stands && !info().building);
    alter(0);
    settle();
    CU_ASSERT(!info().stands && !there("graph.0"));
    close_all();
    write_file("graph.0", &old, old.len);
    open_all();
    settle();
    CU_ASSERT(!info().stands && !there("graph.0"));
    vex_buf_done(&old);
    drop();
}

static int drop_second(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)arg;
    (void)err;
    config->vector_count = 1;
    return 0;
}

static void test_names(void)
{
    struct vex_buf second;
    struct vex_err err;

    make(true);
    put(0, POINTS / 3, 1, true);
    settle();
    CU_ASSERT(there("graph.0") && there("graph.1"));
    read_file("graph.1", &second);
    write_file("graph.7", &second, second.len);
    write_file("graph.00", &second, second.len);
    write_file("graph.1.tmp", &second, second.len);
    write_file("graphs", &second, second.len); /* none of ours */
    close_all();
    open_all();
    settle();
    CU_ASSERT(there("graph.0") && there("graph.1") && there("graphs"));
    CU_ASSERT(!there("graph.7") && !there("graph.00") && !there("graph.1.tmp"));
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), drop_second, NULL, &err), 0);
    settle();
    CU_ASSERT(there("graph.0") && !there("graph.1"));
    vex_buf_done(&second);
    drop();
    while (there("graph.0")) /* its folder goes with the last reference */
        sched_yield();
}

/* Opens over a file and sees that the collection answers, and has a sound one in the end. */
static void survive(const char *what, uint32_t m)
{
    open_still();
    if (info().stands) {
        char why[100];
        (void)finds(0); /* whatever its bytes are, until they are verified */
        (void)kit_graphs_right(collection, false, why, sizeof why);
    }
    settle();
    check(what, true);
    CU_ASSERT_EQUAL(label_of("graph.0").params.m, m);
    CU_ASSERT_EQUAL(label_of("graph.0").params.dimensions, DIM);
    CU_ASSERT_EQUAL(info().linked, 400);
    close_all();
}

static void flip(const struct vex_buf *sound, size_t at, uint32_t m)
{
    struct vex_buf bad;
    char what[64];

    vex_buf_init(&bad, NULL);
    vex_buf_add(&bad, sound->ptr, sound->len);
    bad.ptr[at] = (char)(bad.ptr[at] ^ (1 << kit_draw(&random_state, 8)));
    write_file("graph.0", &bad, bad.len);
    vex_buf_done(&bad);
    snprintf(what, sizeof what, "flipped byte %zu", at);
    survive(what, m);
}

static void test_damage(void)
{
    struct vex_buf sound;
    uint32_t head;

    make(false);
    put(0, 400, 1, false);
    settle();
    close_all();
    read_file("graph.0", &sound);
    memcpy(&head, sound.ptr + HEAD_LEN_AT, sizeof head);
    CU_ASSERT_FATAL(head > 0 && head < sound.len);
    for (size_t at = 0; at < 100; at += 1 + kit_draw(&random_state, 8)) /* each field of the head */
        flip(&sound, at, VEX_GRAPH_M);
    for (size_t at = 100; at < head; at += 1 + head / 8) /* codec, bitmap, padding */
        flip(&sound, at, VEX_GRAPH_M);
    for (size_t at = head; at < sound.len; at += 1 + sound.len / 12) /* codes, links */
        flip(&sound, at, VEX_GRAPH_M);
    flip(&sound, sound.len - 1, VEX_GRAPH_M);
    for (size_t len = 0; len < sound.len; len += len < head ? head / 3 : 1 + sound.len / 7) {
        write_file("graph.0", &sound, len);
        survive("truncated", VEX_GRAPH_M);
    }
    write_file("graph.0", &sound, sound.len - 1);
    survive("truncated by one", VEX_GRAPH_M);
    unlink(path_of("graph.0"));
    survive("missing", VEX_GRAPH_M);
    vex_buf_done(&sound);
    open_all();
    drop();
}

/* A sound image that doesn't belong here. */
static void test_foreign(void)
{
    struct vex_buf own, newer;
    uint32_t head, sum;
    uint64_t mark = 1000;

    make(false);
    put(0, 400, 1, false);
    settle();
    close_all();
    read_file("graph.0", &own);
    read_file("graph.0", &newer);
    memcpy(&head, newer.ptr + HEAD_LEN_AT, sizeof head);
    memcpy(newer.ptr + MARK_AT, &mark, sizeof mark);
    sum = vex_crc32c(FORMAT, newer.ptr + 16, head - 16);
    memcpy(newer.ptr + 12, &sum, sizeof sum);
    write_file("graph.0", &newer, newer.len);
    open_still();
    settle();
    CU_ASSERT_EQUAL(label_of("graph.0").mark, 1);
    check("newer than the collection", true);
    close_all();
    newer.len = 0; /* of other dimensions */
    vex_buf_add(&newer, own.ptr, own.len);
    newer.ptr[20]--;
    sum = vex_crc32c(FORMAT, newer.ptr + 16, head - 16);
    memcpy(newer.ptr + 12, &sum, sizeof sum);
    write_file("graph.0", &newer, newer.len);
    survive("of other vectors", VEX_GRAPH_M);
    vex_buf_done(&own);
    vex_buf_done(&newer);
    open_all();
    drop();
}

/* What is born in a slot that was linked for another vector is not found by that one's code, and is found by its own. */
static void test_slot_reuse(void)
{
    struct vex_id id = vex_id_num(3);
    struct vex_collection_data data;
    struct vex_err err;
    char why[200] = "";
    uint32_t slot;

    make(false);
    put(0, 600, 1, false);
    settle();
    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    slot = vex_rows_find(data.rows, &id);
    vex_collection_read_end(collection);
    take_out(3, 1, 1);
    checkpoint();
    vex_graph_set_stop(collection->data.graphs); /* nothing is linked from now on */
    CU_ASSERT(vex_graph_has(part()->graph, slot));
    CU_ASSERT_EQUAL(part()->dead, 1);
    id = vex_id_num(700);
    put(700, 1, 1, false);
    CU_ASSERT_EQUAL_FATAL(vex_rows_find(collection->data.rows, &id), slot);
    CU_ASSERT(!vex_graph_has(part()->graph, slot));
    CU_ASSERT_EQUAL(part()->dead, 0);
    CU_ASSERT_EQUAL(info().waiting, 1);
    CU_ASSERT_EQUAL(info().linked, 599);
    CU_ASSERT(kit_graphs_right(collection, true, why, sizeof why));
    CU_ASSERT(finds(700));
    drop();
}

/* Links to dropped nodes are to be mended after a start as they were before it: those that were dropped are counted on. */
static void test_torn(void)
{
    uint32_t torn;

    make(false);
    put(0, POINTS - 100, 1, false);
    settle();
    take_out(0, POINTS / 16, 1);
    put(POINTS - 100, 100, 1, false); /* the dead are dropped before others are linked */
    settle();
    torn = part()->torn;
    CU_ASSERT(torn > POINTS / 20);
    CU_ASSERT(torn < POINTS / 7); /* few enough to wait */
    close_all();
    CU_ASSERT_EQUAL(label_of("graph.0").torn, torn);
    open_still();
    CU_ASSERT_EQUAL(part()->torn, torn);
    settle();
    vex_graph_set_stop(collection->data.graphs);
    part()->upkeep = VEX_UPKEEP_MEND; /* what is being mended isn't yet */
    part()->upkeep_at = part()->upkeep_end = 1;
    part()->mending = part()->torn;
    part()->torn = 3;
    part()->saved = false;
    close_all();
    CU_ASSERT_EQUAL(label_of("graph.0").torn, torn + 3);
    open_still();
    CU_ASSERT_EQUAL(part()->torn, torn + 3);
    take_out(POINTS / 16, POINTS / 6, 1);
    settle();
    CU_ASSERT_EQUAL(part()->torn, 0);
    CU_ASSERT_EQUAL(part()->mending, 0);
    check("mended", true);
    drop();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"kept", test_kept},
        {"catch up", test_catch_up},
        {"payloads", test_payloads},
        {"when", test_when},
        {"half built", test_half_built},
        {"settings", test_settings},
        {"names", test_names},
        {"damage", test_damage},
        {"foreign", test_foreign},
        {"slot reuse", test_slot_reuse},
        {"torn", test_torn},
        CU_TEST_INFO_NULL,
    };

    vex_log_set(VEX_LOG_ERROR, false);
    if (!kit_prepare(&kit, dir))
        return 1;
    if (kit_open(&kit) != 0)
        return 1;
    return kit_run(&kit, "engine_graph_files", tests);
}
