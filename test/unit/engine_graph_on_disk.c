/* Graphs on disk: codes and links are pages of the graph's file and no memory of their own, after building, after changes and after a
 * start; answers are the same wherever they are, and go on while they move. */
#include <CUnit/Basic.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/text.h"
#include "lib/resident.h"
#include "unit/engine_graph_kit.h"

#include "engine/index/graph_private.h"
#include "engine/query/nearest.h"

#define POINTS  4000u
#define DIM     512u
#define QUERIES 50u
#define K       10u
#define BATCH   200u
#define TURNS   150u
#define LONG    60 /* seconds: it has failed */

static struct kit kit;
static char dir[] = "/tmp/vex_engine_on_disk_XXXXXX";
static struct kit_random random_state = {23};
static struct vex_collection *collection;
static float vectors[POINTS][DIM];

/* ---- the collection ---- */

static void draw_vector(uint32_t which)
{
    for (uint32_t d = 0; d < DIM; d++)
        vectors[which][d] = (float)kit_draw(&random_state, 2000) / 1000 - 1;
}

static void make(bool on_disk)
{
    struct vex_vector_params params = {
        .size = DIM,
        .distance = VEX_DISTANCE_L2,
        .graph = {.on_disk = on_disk, .m = 16, .ef_construct = 48, .threshold_kb = 1, .full_scan_kb = 1}};
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;

    params.name = VEX_STR("");
    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &params, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("disk"), config, false,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
    atomic_store(&collection->memory_queued, true); /* what follows bulk work comes when the tests say so */
    for (uint32_t i = 0; i < POINTS; i++)
        draw_vector(i);
}

static void put(uint32_t from, uint32_t to)
{
    for (uint32_t first = from; first < to; first += BATCH) {
        struct vex_vector_value values[BATCH];
        struct vex_point points[BATCH] = {0};
        struct vex_op op = {.kind = VEX_OP_UPSERT,
                            .upsert = {.points = points, .count = to - first < BATCH ? to - first : BATCH}};
        struct kit_call call;

        for (uint32_t i = 0; i < op.upsert.count; i++) {
            values[i] =
                (struct vex_vector_value){.name = VEX_STR(""), .values = vectors[first + i], .count = DIM};
            points[i] =
                (struct vex_point){.id = vex_id_num(first + i), .vectors = &values[i], .vector_count = 1};
        }
        CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    }
}

static void take_out(uint32_t first, uint32_t count)
{
    struct vex_id ids[BATCH];
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++)
        ids[i] = vex_id_num(first + i);
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
}

static void settle(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
}

static int set_on_disk(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)err;
    config->vectors[0].graph.on_disk = *(const bool *)arg;
    return 0;
}

static void alter(bool on_disk)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_on_disk, &on_disk, &err), 0);
}

static void reopen(void)
{
    struct vex_err err;

    vex_collection_unref(collection);
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, VEX_STR("disk"), false, &collection, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_collection_open(collection, &err), 0);
}

/* ---- what is right ---- */

static const struct vex_graph_part *part(void)
{
    return &collection->data.graphs->entries[0]->now;
}

static long of_range(long (*kib)(const void *from, const void *to), const struct vex_huge *huge)
{
    long value = kib(huge->base, huge->base + huge->reserved);

    return value > 0 ? value : 0;
}

/* KiB of the graph's codes and links that need memory of their own. */
static long anonymous(void)
{
    const struct vex_graph *graph = part()->graph;

    return of_range(anonymous_of, &graph->code_memory) + of_range(anonymous_of, &graph->link_memory);
}

static long whole(void)
{
    const struct vex_graph *graph = part()->graph;

    return (long)((size_t)graph->slots * (graph->codes.stride + graph->degree * sizeof(uint32_t)) / 1024);
}

static bool is_on_disk(void)
{
    long kib = anonymous();

    if (kib >= whole() / 8)
        fprintf(stderr, "%ld of %ld KiB in memory\n", kib, whole());
    return kib < whole() / 8;
}

static bool is_in_memory(void)
{
    return anonymous() > whole() * 3 / 4; /* slots that were never used aren't there */
}

/* Ids of the nearest of all queries: with and without beam enough. */
struct answers {
    uint64_t ids[QUERIES][K];
};

static void ask(struct answers *ret)
{
    memset(ret, 0, sizeof *ret);
    for (uint32_t q = 0; q < QUERIES; q++) {
        struct vex_nearest request = {
            .using = VEX_STR(""),
            .query = {.kind = VEX_VECTOR_DENSE, .values = vectors[q * 31 % POINTS], .count = DIM},
            .limit = K};
        size_t count;

        CU_ASSERT_EQUAL(kit_search(collection, &request, ret->ids[q], &count), 0);
        CU_ASSERT_EQUAL(count, K);
    }
}

static bool same(const struct answers *expected)
{
    struct answers now;

    ask(&now);
    return memcmp(expected, &now, sizeof now) == 0;
}

static void check(const char *what, bool idle)
{
    char why[200] = "";

    if (kit_graphs_right(collection, idle, why, sizeof why))
        return;
    fprintf(stderr, "%s: %s\n", what, why);
    CU_FAIL("the graph is wrong");
}

static uint64_t mark(void)
{
    char path[VEX_PATH_MAX], folder[VEX_PATH_MAX];
    struct vex_graph_label label = {0};
    struct vex_file *file;
    struct vex_err err;

    vex_collection_path(collection, folder);
    vex_file_join(path, folder, "graph.0");
    CU_ASSERT_EQUAL_FATAL(vex_io_open(vex_io_posix(), path, VEX_IO_READ, &file), 0);
    CU_ASSERT_EQUAL(vex_graph_peek(vex_io_posix(), file, &label, &err), 0);
    CU_ASSERT_EQUAL(vex_graph_verify(vex_io_posix(), file, &err), 0);
    vex_io_close(vex_io_posix(), file);
    return label.mark;
}

/* ---- tests ---- */

static void test_to_and_fro(void)
{
    struct answers answers;

    make(false);
    put(0, POINTS);
    settle();
    CU_ASSERT(is_in_memory());
    ask(&answers);
    for (int i = 0; i < 3; i++) {
        alter(true);
        settle();
        CU_ASSERT(is_on_disk());
        CU_ASSERT(same(&answers));
        alter(false);
        settle();
        CU_ASSERT(is_in_memory());
        CU_ASSERT(same(&answers));
    }
    check("to and fro", true);
    kit_drop(&kit, "disk", &collection);
}

static void test_after_building(void)
{
    make(true);
    put(0, POINTS);
    settle();
    CU_ASSERT(is_on_disk());
    check("built", true);
    kit_drop(&kit, "disk", &collection);
}

static void test_after_a_start(void)
{
    struct answers answers;

    make(true);
    put(0, POINTS);
    settle();
    ask(&answers);
    reopen();
    CU_ASSERT(is_on_disk());
    CU_ASSERT(same(&answers));
    settle();
    CU_ASSERT(is_on_disk());
    CU_ASSERT_PTR_NULL(part()->file); /* verified */
    CU_ASSERT(same(&answers));
    alter(false);
    settle();
    CU_ASSERT(is_in_memory());
    CU_ASSERT(same(&answers));
    reopen();
    alter(true); /* before it has come to memory, or amid that */
    settle();
    CU_ASSERT(is_on_disk());
    CU_ASSERT(same(&answers));
    check("after starts", true);
    kit_drop(&kit, "disk", &collection);
}

/* What changes is memory until the graph is saved again: by itself when it is much, when bulk work ends else. */
static void test_changes(void)
{
    struct answers answers;
    uint64_t before;
    long kib;

    make(true);
    put(0, POINTS * 8 / 10);
    settle();
    CU_ASSERT(is_on_disk());
    before = mark();
    kib = anonymous();
    put(POINTS * 8 / 10, POINTS * 84 / 100);
    settle();
    CU_ASSERT_EQUAL(mark(), before);
    CU_ASSERT(anonymous() > kib + 50);
    vex_graph_set_shed(collection->data.graphs);
    settle();
    CU_ASSERT(mark() > before);
    CU_ASSERT(is_on_disk());
    before = mark();
    vex_graph_set_shed(collection->data.graphs); /* there is nothing to save */
    settle();
    CU_ASSERT_EQUAL(mark(), before);
    put(POINTS * 84 / 100, POINTS);
    settle();
    CU_ASSERT(mark() > before);
    CU_ASSERT(is_on_disk());
    check("changed", true);
    ask(&answers);
    reopen();
    CU_ASSERT(same(&answers));
    kit_drop(&kit, "disk", &collection);
}

/* By itself, some seconds after much was linked. */
static void test_bulk_work(void)
{
    time_t end = time(NULL) + LONG;
    uint64_t before;

    make(true);
    put(0, POINTS * 94 / 100);
    settle();
    before = mark();
    put(POINTS * 94 / 100, POINTS);
    settle();
    CU_ASSERT_EQUAL(mark(), before);
    atomic_store(&collection->memory_queued, false);
    while (mark() == before && time(NULL) < end)
        sched_yield();
    settle();
    CU_ASSERT(mark() > before);
    CU_ASSERT(is_on_disk());
    kit_drop(&kit, "disk", &collection);
}

/* What isn't saved yet stays in memory, and is saved when the settings say so. */
static void test_unsaved(void)
{
    struct answers answers;
    uint64_t before;

    make(false);
    put(0, POINTS * 94 / 100);
    settle();
    before = mark();
    put(POINTS * 94 / 100, POINTS);
    settle();
    CU_ASSERT_EQUAL(mark(), before);
    ask(&answers);
    alter(true);
    settle();
    CU_ASSERT(mark() > before);
    CU_ASSERT(is_on_disk());
    CU_ASSERT(same(&answers));
    check("saved for it", true);
    kit_drop(&kit, "disk", &collection);
}

/* Without a file nothing moves, until there is one again. */
static void test_no_file(void)
{
    char path[VEX_PATH_MAX], folder[VEX_PATH_MAX];
    struct answers answers;

    make(false);
    put(0, POINTS * 8 / 10);
    settle();
    ask(&answers);
    vex_collection_path(collection, folder);
    CU_ASSERT_EQUAL(unlink(vex_file_join(path, folder, "graph.0")), 0);
    alter(true);
    settle();
    CU_ASSERT(is_in_memory());
    CU_ASSERT(same(&answers));
    put(POINTS * 8 / 10, POINTS);
    settle();
    CU_ASSERT(is_on_disk());
    check("a new file", true);
    kit_drop(&kit, "disk", &collection);
}

/* ---- while others write and search ---- */

struct busy {
    pthread_t thread;
    _Atomic bool stop;
    uint32_t failed;
};

static void *write_on(void *arg)
{
    struct busy *busy = arg;

    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t first = turn * 37 % (POINTS - BATCH);

        take_out(first, 20);
        put(first, first + 30);
    }
    atomic_store(&busy->stop, true);
    return NULL;
}

static void *search_on(void *arg)
{
    struct busy *busy = arg;

    for (uint32_t turn = 0; !atomic_load(&busy->stop); turn++) {
        struct vex_nearest request = {
            .using = VEX_STR(""),
            .query = {.kind = VEX_VECTOR_DENSE, .values = vectors[turn * 31 % POINTS], .count = DIM},
            .limit = K};
        uint64_t ids[K];
        size_t count;

        busy->failed += kit_search(collection, &request, ids, &count) != 0 || count != K;
    }
    return NULL;
}

/* Whether its pages have gone over, while the worker may be at it. */
static bool on_disk_now(void)
{
    struct vex_collection_data data;
    struct vex_err err;
    bool there;

    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    there = part()->remapped && data.graphs->entries[0]->settings.on_disk;
    vex_collection_read_end(collection);
    return there;
}

static void test_meanwhile(void)
{
    struct busy writer = {0}, searcher = {0};
    uint32_t missed = 0, moved = 0;
    struct answers answers;

    make(true);
    put(0, POINTS);
    settle();
    pthread_create(&writer.thread, NULL, write_on, &writer);
    pthread_create(&searcher.thread, NULL, search_on, &searcher);
    for (uint32_t i = 0; !atomic_load(&writer.stop) || moved < 2; i++) {
        if (i % 4 == 0)
            alter(i % 8 != 0);
        vex_graph_set_shed(collection->data.graphs); /* entries don't come or go here */
        moved += on_disk_now();
        sched_yield();
    }
    pthread_join(writer.thread, NULL);
    alter(true);
    settle();
    atomic_store(&searcher.stop, true);
    pthread_join(searcher.thread, NULL);
    CU_ASSERT_EQUAL(searcher.failed, 0);
    check("meanwhile", true);
    ask(&answers);
    for (uint32_t q = 0; q < QUERIES; q++)
        missed += answers.ids[q][0] != q * 31 % POINTS;
    CU_ASSERT(missed <= QUERIES / 50);
    kit_drop(&kit, "disk", &collection);
}

/* ---- killed ---- */

/* In a process of its own, which dies amid changes that no file knows yet. */
static void live_and_die(void)
{
    make(true);
    put(0, POINTS * 8 / 10);
    settle();
    CU_ASSERT_FATAL(is_on_disk());
    put(0, POINTS / 20);
    take_out(POINTS / 2, 100);
    put(POINTS * 8 / 10, POINTS);
    kill(getpid(), SIGKILL);
}

static int killed_status;

static void test_killed(void)
{
    struct answers answers;
    uint32_t missed = 0, wrong = 0;
    struct vex_err err;

    CU_ASSERT(WIFSIGNALED(killed_status) && WTERMSIG(killed_status) == SIGKILL);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, VEX_STR("disk"), false, &collection, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_collection_open(collection, &err), 0);
    random_state = (struct kit_random){23};
    for (uint32_t i = 0; i < POINTS; i++)
        draw_vector(i);
    for (int i = 0; i < 2; i++) {
        check("after a kill", i == 1);
        ask(&answers);
        for (uint32_t q = 0; q < QUERIES; q++) {
            uint32_t which = q * 31 % POINTS;
            bool gone = which >= POINTS / 2 && which < POINTS / 2 + 100;

            missed += !gone && answers.ids[q][0] != which;
            for (uint32_t k = 0; k < K; k++)
                wrong += answers.ids[q][k] >= POINTS / 2 && answers.ids[q][k] < POINTS / 2 + 100;
        }
        settle();
    }
    CU_ASSERT(missed <= QUERIES / 5); /* of both rounds: walks are narrow */
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT(is_on_disk());
    kit_drop(&kit, "disk", &collection);
}

/* ---- the settings' bytes ---- */

#define VERSION_NOW 7u
#define FLAGS_AT    57u /* of the only vector, which has no name */

static struct vex_graph_settings again(const struct vex_buf *bytes)
{
    struct vex_graph_settings settings = {.m = 12345};
    struct vex_cursor c = vex_cursor(bytes->ptr, bytes->len);
    struct vex_config *config;
    struct vex_err err;

    if (vex_config_decode(&c, &config, &err) != 0)
        return settings;
    settings = config->vectors[0].graph;
    vex_config_unref(config);
    return settings;
}

static void test_settings(void)
{
    struct vex_vector_params params = {
        .name = VEX_STR(""), .size = 4, .distance = VEX_DISTANCE_L2, .graph = {.m = 7, .on_disk = true}};
    struct vex_config *config = vex_config_new();
    struct vex_graph_settings settings;
    struct vex_buf bytes;
    struct vex_err err;
    uint32_t version;

    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &params, &err), 0);
    CU_ASSERT(config->vectors[0].graph.filter_lists);
    vex_buf_init(&bytes, NULL);
    vex_config_encode(&bytes, config);
    settings = again(&bytes);
    CU_ASSERT(settings.m == 7 && settings.on_disk && settings.filter_lists);
    memcpy(&version, bytes.ptr, sizeof version);
    CU_ASSERT_EQUAL_FATAL(version, VERSION_NOW);
    CU_ASSERT_EQUAL_FATAL(bytes.ptr[FLAGS_AT], 3);
    bytes.ptr[FLAGS_AT] = 0;
    settings = again(&bytes);
    CU_ASSERT(settings.m == 7 && !settings.on_disk && !settings.filter_lists);
    version--; /* which had no flags */
    memcpy(bytes.ptr, &version, sizeof version);
    memmove(bytes.ptr + FLAGS_AT, bytes.ptr + FLAGS_AT + 1, bytes.len - FLAGS_AT - 1);
    bytes.len--;
    settings = again(&bytes);
    CU_ASSERT(settings.m == 7 && !settings.on_disk && settings.filter_lists);
    vex_buf_done(&bytes);
    vex_config_unref(config);
}

/* Before there are threads here. */
static bool have_one_killed(void)
{
    CU_TestInfo tests[] = {{"live and die", live_and_die}, CU_TEST_INFO_NULL};
    pid_t child = fork();

    if (child == 0) {
        kit_init(&kit, vex_io_posix(), dir, vex_dev_embed_new(), vex_pool_new(2, 64, "test"));
        _exit(kit_open(&kit) != 0 || run_suite("engine_graph_on_disk: to be killed", tests) != 0);
    }
    return child > 0 && waitpid(child, &killed_status, 0) == child;
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"killed", test_killed},
        {"to and fro", test_to_and_fro},
        {"after building", test_after_building},
        {"after a start", test_after_a_start},
        {"changes", test_changes},
        {"bulk work", test_bulk_work},
        {"unsaved", test_unsaved},
        {"no file", test_no_file},
        {"meanwhile", test_meanwhile},
        {"settings", test_settings},
        CU_TEST_INFO_NULL,
    };

    vex_log_set(VEX_LOG_ERROR, false);
    if (mkdtemp(dir) == NULL || !have_one_killed())
        return 1;
    kit_init(&kit, vex_io_posix(), dir, vex_dev_embed_new(), vex_pool_new(2, 64, "test"));
    if (kit_open(&kit) != 0)
        return 1;
    return kit_run(&kit, "engine_graph_on_disk", tests);
}
