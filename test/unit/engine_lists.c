/* Posting lists behind filtered searches: made in the background when they are missed; recall against the exact search for filters asked
 * often and once, at random and lying together; what comes, goes and changes after their marks were kept; other settings; restart. */
#include <CUnit/Basic.h>

#include "engine/index/ivf_private.h"
#include "engine/internal.h"
#include "engine/query/nearest.h"
#include "unit/engine_graph_kit.h"

const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:vex_table_release\n"; /* see engine_threads.c */
}

#define POINTS   12000u
#define MORE     600u
#define MOST     (POINTS + MORE)
#define DIM      24u
#define CLUSTERS 60u
#define K        10u
#define QUERIES  20u
#define FLOOR    0.97
#define THIRD    (POINTS * 3 / 10) /* n below it: three in ten */

static struct kit kit;
static char dir[] = "/tmp/vex_engine_lists_XXXXXX";
static struct kit_random random_state = {11};
static struct vex_collection *collection;
static float centres[CLUSTERS][DIM], vectors[MOST][DIM];

/* ---- data ---- */

static void draw_vector(uint32_t cluster, float *ret)
{
    kit_draw_near(&random_state, centres[cluster], DIM, ret);
}

static void draw_all(void)
{
    kit_draw_clusters(&random_state, 20, DIM, CLUSTERS, centres[0], MOST, vectors[0]);
}

/* Two integers: `n`, which says nothing of where a point lies, and `c`, its cluster. */
static int64_t n_of(uint32_t which)
{
    return (int64_t)((uint64_t)which * 7919 % POINTS);
}

static int64_t c_of(uint32_t which)
{
    return which % CLUSTERS;
}

static int create(const char *name, const struct vex_graph_settings *settings)
{
    struct vex_vector_params params = {
        .name = VEX_STR(""), .size = DIM, .distance = VEX_DISTANCE_L2, .graph = *settings};
    struct vex_index_params index = {.type = VEX_INDEX_INTEGER, .range = true, .lookup = true};
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;
    int rc = vex_config_add_vector(config, &params, &err);

    index.field = VEX_STR("n");
    vex_config_set_index(config, &index);
    index.field = VEX_STR("c");
    vex_config_set_index(config, &index);
    if (rc == 0)
        rc = vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                               vex_str_c(name), config, false, &collection, &created, &err);
    vex_config_unref(config);
    return rc;
}

static void put_payload(struct vex_buf *buf, int64_t n, int64_t c)
{
    vex_buf_init(buf, NULL);
    vex_value_put_map(buf, 2);
    vex_value_put_text(buf, VEX_STR("n"));
    vex_value_put_int(buf, n);
    vex_value_put_text(buf, VEX_STR("c"));
    vex_value_put_int(buf, c);
}

/* Points [first, first + count) with their vectors; n and c: theirs, or the same for all when not negative. */
static void put(uint32_t first, uint32_t count, int64_t n, int64_t c)
{
    struct vex_vector_value *values = vex_mem_alloc(count * sizeof *values);
    struct vex_point *points = vex_mem_zalloc(count * sizeof *points);
    struct vex_buf *payloads = vex_mem_alloc(count * sizeof *payloads);
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = first + i;

        put_payload(&payloads[i], n >= 0 ? n : n_of(which), c >= 0 ? c : c_of(which));
        values[i] = (struct vex_vector_value){.name = VEX_STR(""), .values = vectors[which], .count = DIM};
        points[i] = (struct vex_point){.id = vex_id_num(which),
                                       .payload = vex_buf_str(&payloads[i]),
                                       .vectors = &values[i],
                                       .vector_count = 1};
    }
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    for (uint32_t i = 0; i < count; i++)
        vex_buf_done(&payloads[i]);
    vex_mem_free(payloads);
    vex_mem_free(values);
    vex_mem_free(points);
}

static void take_out(uint32_t first, uint32_t count)
{
    struct vex_id *ids = vex_mem_alloc(count * sizeof *ids);
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++)
        ids[i] = vex_id_num(first + i);
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    vex_mem_free(ids);
}

/* Other numbers for points that stay in their slots. */
static void renumber(uint32_t first, uint32_t count, int64_t n, int64_t c)
{
    struct vex_id *ids = vex_mem_alloc(count * sizeof *ids);
    struct vex_op op = {.kind = VEX_OP_SET_PAYLOAD, .payload.selector = {.ids = ids, .count = count}};
    struct vex_buf payload;
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++)
        ids[i] = vex_id_num(first + i);
    put_payload(&payload, n, c);
    op.payload.payload = vex_buf_str(&payload);
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    vex_buf_done(&payload);
    vex_mem_free(ids);
}

static void settle(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
    CU_ASSERT_EQUAL(vex_collection_wait_indexes(collection, 0, &err), 0);
}

static void checkpoint(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_checkpoint(collection, &err), 0);
}

/* ---- searching ---- */

struct below {
    const char *field;
    double limit;
};

/* Points whose number is below the limit. */
static size_t search(const float *query, struct below below, uint64_t limit, bool exact, uint64_t *ids)
{
    struct vex_filter filter = {0};
    struct vex_cond cond = {.kind = VEX_COND_RANGE};
    struct vex_nearest request = {.using = VEX_STR(""),
                                  .query = {.kind = VEX_VECTOR_DENSE, .values = query, .count = DIM},
                                  .limit = limit,
                                  .ef = VEX_GRAPH_EF_CONSTRUCT, /* graphs are built in haste */
                                  .exact = exact};
    struct vex_arena arena;
    struct vex_err err;
    size_t count;

    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL_FATAL(vex_path_parse(&arena, vex_str_c(below.field), &cond.path, &err), 0);
    cond.range = (struct vex_cond_range){.has_lt = true, .lt = below.limit};
    filter.must = (struct vex_cond_list){&cond, 1};
    request.filter = &filter;
    CU_ASSERT_EQUAL_FATAL(kit_search(collection, &request, ids, &count), 0);
    vex_arena_done(&arena);
    return count;
}

/* Whether it is the nearest that is found. */
static bool finds(uint32_t which, struct below below)
{
    uint64_t ids[K];

    return search(vectors[which], below, K, false, ids) == K && ids[0] == which;
}

/* A filter that is asked for often is the same for all queries; one that is asked for once differs a little. */
static double recall(struct below below, bool often)
{
    uint32_t found = 0, wanted = 0;

    for (uint32_t q = 0; q < QUERIES; q++) {
        uint64_t truth[K], got[K];
        float query[DIM];
        size_t count;

        draw_vector(q * 7 % CLUSTERS, query);
        below.limit -= often ? 0 : 1e-4;
        count = search(query, below, K, false, got);
        CU_ASSERT_EQUAL_FATAL(search(query, (struct below){below.field, below.limit - 1e-5}, K, true, truth),
                              K);
        CU_ASSERT_EQUAL(count, K);
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < K; j++)
                found += got[i] == truth[j];
        wanted += K;
    }
    return (double)found / wanted;
}

static void expect_recall(const char *when)
{
    static const uint32_t per_mille[] = {200, 300, 600, 900};

    printf(" %s", when);
    for (size_t i = 0; i < sizeof per_mille / sizeof *per_mille; i++)
        for (int often = 0; often < 2; often++) {
            double c = recall((struct below){"c", CLUSTERS * per_mille[i] / 1000}, often != 0);
            double n = recall((struct below){"n", POINTS * per_mille[i] / 1000}, often != 0);
            printf(" %.3f %.3f", n, c);
            CU_ASSERT(n >= FLOOR);
            CU_ASSERT(c >= FLOOR);
        }
}

/* ---- inside ---- */

static enum vex_walk_way planned(uint64_t count)
{
    struct vex_nearest request = {.using = VEX_STR(""),
                                  .query = {.kind = VEX_VECTOR_DENSE, .values = vectors[0], .count = DIM},
                                  .limit = K};
    struct vex_walk walk = {.way = VEX_WALK_SCAN};
    struct vex_collection_data data;
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    CU_ASSERT(
        vex_nearest_walk_plan(&data, vex_config_vector(data.config, VEX_STR("")), &request, K, count, &walk));
    vex_collection_read_end(collection);
    return walk.way;
}

/* The lists that serve now, and what they say of themselves. Nothing works on the graph. */
struct seen {
    const struct vex_graph *graph;
    bool serve;
    struct vex_ivf_state state;
    uint32_t older; /* kept for readers */
    bool right;     /* graph and lists */
};

static struct seen look(void)
{
    struct vex_graph_view view = {0};
    struct vex_collection_data data;
    struct vex_err err = {0};
    struct seen seen = {.right = true};

    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    CU_ASSERT_FATAL(vex_graph_set_view(data.graphs, 0, &view));
    const struct vex_ivf *ivf = vex_graph_lists(view.graph);
    seen.graph = view.graph;
    seen.serve = ivf != NULL;
    if (ivf != NULL)
        seen.state = vex_ivf_state(ivf);
    for (const struct vex_ivf *at = view.graph->ivf_old; at != NULL; at = at->older)
        seen.older++;
    seen.right = vex_graph_check(view.graph, MOST, &err) == 0;
    vex_collection_read_end(collection);
    if (!seen.right)
        fprintf(stderr, "%s\n", err.text);
    return seen;
}

static void expect_right(void)
{
    char why[128];

    CU_ASSERT(kit_graphs_right(collection, true, why, sizeof why));
    CU_ASSERT(look().right);
}

/* Nothing is linked from now on, until it goes on. */
static void pause_work(void)
{
    vex_graph_set_stop(collection->data.graphs);
}

static void resume_work(void)
{
    struct vex_background *work = &collection->data.graphs->work;

    pthread_mutex_lock(&work->lock);
    work->stopped = false;
    pthread_mutex_unlock(&work->lock);
    vex_background_schedule(work);
}

/* Asked for, lists are made in the background. */
static void miss_lists(void)
{
    uint64_t ids[K];

    CU_ASSERT_EQUAL(search(vectors[1], (struct below){"n", THIRD}, K, false, ids), K);
    settle();
    CU_ASSERT(look().serve);
    CU_ASSERT_EQUAL(planned(THIRD), VEX_WALK_LISTS);
}

/* ---- tests, one after the other on one collection ---- */

static void test_missed(void)
{
    static const struct vex_graph_settings settings = {
        .m = 10, .ef_construct = 48, .threshold_kb = 1, .full_scan_kb = 1};
    uint64_t ids[K];

    CU_ASSERT_EQUAL_FATAL(create("lists", &settings), 0);
    put(0, POINTS, -1, -1);
    settle();
    CU_ASSERT(!look().serve); /* nobody has asked */
    CU_ASSERT_EQUAL(search(vectors[1], (struct below){"n", POINTS + 1}, K, false, ids), K);
    CU_ASSERT_EQUAL(search(vectors[1], (struct below){"n", 500}, K, false, ids), K);
    settle();
    CU_ASSERT(!look().serve); /* neither for all, nor for few */
    CU_ASSERT(planned(THIRD) != VEX_WALK_LISTS);
    CU_ASSERT(finds(1, (struct below){"c", 30}));
    miss_lists();
    CU_ASSERT(planned(POINTS) == VEX_WALK_ALL);
    expect_right();
}

static void test_recall(void)
{
    expect_recall("recall");
}

/* What was linked after the marks of a filter were kept stands in a list that is marked from now on. */
static void test_linked_later(void)
{
    const struct below near = {"c", CLUSTERS * 3 / 10};
    struct vex_ivf_state before = look().state;

    pause_work();
    put(POINTS, 200, THIRD, 0);                  /* many in clusters where nothing else is of this number */
    for (uint32_t round = 0; round < 3; round++) /* kept while they wait */
        for (uint32_t i = 0; i < 200; i += 23)
            CU_ASSERT(finds(POINTS + i, near));
    CU_ASSERT_EQUAL(look().state.adds, before.adds);
    resume_work();
    settle();
    CU_ASSERT_EQUAL(look().state.id, before.id);
    CU_ASSERT(look().state.adds > before.adds);
    for (uint32_t i = 0; i < 200; i++)
        CU_ASSERT(finds(POINTS + i, near));
    expect_right();
}

/* The same at once, without a rest in between; then they are deleted. */
static void test_come_and_go(void)
{
    const struct below near = {"c", CLUSTERS * 3 / 10}, odd = {"n", THIRD};
    uint64_t ids[K];

    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 200; i < MORE; i += 40) {
            put(POINTS + i, 40, 0, 0);
            for (uint32_t j = 0; j < 40; j += 13)
                CU_ASSERT(finds(POINTS + i + j, near) && finds(POINTS + i + j, odd));
        }
        for (uint32_t i = 200; i < MORE; i += 40) {
            take_out(POINTS + i, 40);
            for (uint32_t j = 0; j < 40; j += 13) {
                CU_ASSERT_EQUAL(search(vectors[POINTS + i + j], j % 2 == 0 ? near : odd, K, false, ids), K);
                for (uint32_t h = 0; h < K; h++)
                    CU_ASSERT(ids[h] < POINTS + 200 || ids[h] >= POINTS + i + 40);
            }
        }
        settle();
        expect_right();
    }
}

static void test_other_numbers(void)
{
    const struct below near = {"c", CLUSTERS * 3 / 10};
    uint64_t ids[K];

    for (uint32_t i = 0; i < 3; i++)
        CU_ASSERT(finds(5, near) && !finds(CLUSTERS - 1, near));
    renumber(CLUSTERS - 1, 1, 1, 1);
    CU_ASSERT(finds(CLUSTERS - 1, near));
    renumber(CLUSTERS - 1, 1, n_of(CLUSTERS - 1), CLUSTERS - 1);
    CU_ASSERT(!finds(CLUSTERS - 1, near));
    renumber(0, 600, 100000, 100);
    for (uint32_t i = 0; i < 600; i += 37) {
        CU_ASSERT_EQUAL(search(vectors[i], near, K, false, ids), K);
        for (uint32_t h = 0; h < K; h++)
            CU_ASSERT(ids[h] >= 600);
    }
    put(0, 600, -1, -1);
    for (uint32_t i = 0; i < 600; i += 37)
        CU_ASSERT_EQUAL(finds(i, near), i % CLUSTERS < CLUSTERS * 3 / 10);
    settle();
    for (uint32_t i = 0; i < 600; i += 37)
        CU_ASSERT_EQUAL(finds(i, near), i % CLUSTERS < CLUSTERS * 3 / 10);
    expect_right();
}

/* All that match, each once, when more are asked for. */
static void test_all_matches(void)
{
    uint64_t *ids = vex_mem_alloc(MOST * sizeof *ids);
    bool *seen = vex_mem_zalloc(MOST * sizeof *seen);
    uint32_t twice = 0, wrong = 0;

    CU_ASSERT_EQUAL(planned(THIRD), VEX_WALK_LISTS);
    CU_ASSERT_EQUAL(search(vectors[3], (struct below){"n", THIRD}, MOST, false, ids), THIRD);
    for (uint32_t i = 0; i < THIRD; i++) {
        wrong += ids[i] >= POINTS || n_of((uint32_t)ids[i]) >= THIRD;
        twice += seen[ids[i] % MOST];
        seen[ids[i] % MOST] = true;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(twice, 0);
    vex_mem_free(ids);
    vex_mem_free(seen);
}

static int set_m(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)err;
    config->vectors[0].graph.m = *(const uint32_t *)arg;
    return 0;
}

/* Another graph comes without lists; they are missed again. */
static void test_other_settings(void)
{
    uint32_t m = 16;
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_m, &m, &err), 0);
    CU_ASSERT(finds(5, (struct below){"n", POINTS}));
    settle();
    CU_ASSERT_EQUAL(vex_graph_params(look().graph)->m, 16);
    miss_lists();
    expect_recall("other settings");
    expect_right();
}

/* Lists aren't saved. */
static void test_restart(void)
{
    struct vex_err err;

    take_out(POINTS, 200);
    vex_collection_unref(collection);
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, VEX_STR("lists"), false, &collection, &err), 0);
    CU_ASSERT(finds(5, (struct below){"n", POINTS}));
    settle();
    miss_lists();
    expect_recall("restart");
    expect_right();
    kit_drop(&kit, "lists", &collection);
}

/* ---- many changes, on a smaller one ---- */

#define FEW 4500u

static const struct vex_graph_settings hasty = {
    .m = 4, .ef_construct = 16, .threshold_kb = 1, .full_scan_kb = 1};

/* All points move, again and again: lists are made anew, and what they take the place of is given back. */
static void test_moving(void)
{
    struct vex_ivf_state first;
    uint32_t older = 0;

    CU_ASSERT_EQUAL_FATAL(create("moving", &hasty), 0);
    put(0, FEW, -1, -1);
    settle();
    CU_ASSERT(finds(5, (struct below){"n", POINTS * 3 / 4}));
    settle();
    first = look().state;
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < FEW; i++)
            draw_vector((i + round) % CLUSTERS, vectors[i]);
        for (uint32_t i = 0; i < FEW; i += 500)
            put(i, 500, -1, -1);
        settle();
        for (uint32_t i = 5; i < FEW; i += 300)
            CU_ASSERT_EQUAL(finds(i, (struct below){"n", POINTS * 3 / 4}), n_of(i) < POINTS * 3 / 4);
        settle();
        expect_right();
        checkpoint(); /* slots are used again: the graph doesn't grow */
        older = look().older;
    }
    CU_ASSERT(look().serve);
    CU_ASSERT(look().state.id != first.id);
    printf(" %u older ones are kept", older);
    CU_ASSERT(older <= 1);
    kit_drop(&kit, "moving", &collection);
}

#define HALF ((struct below){"n", POINTS / 2})

static _Atomic bool over;
static _Atomic uint32_t lost, searches;

/* Points that stay are found by their own vectors; those that were taken out never are. */
static void *look_on(void *arg)
{
    uint32_t which = *(const uint32_t *)arg;
    struct below below = HALF;

    for (; !atomic_load(&over); which = (which + 7) % 1000) {
        if (n_of(which) >= POINTS / 2)
            continue;
        below.limit = POINTS / 2 - (which % 3 == 0 ? which * 1e-5 : 0);
        atomic_fetch_add(&lost, !finds(which, below));
        atomic_fetch_add(&searches, 1);
    }
    return NULL;
}

static void test_threads(void)
{
    static const struct vex_graph_settings settings = {
        .m = 12, .ef_construct = 64, .threshold_kb = 1, .full_scan_kb = 1};
    uint32_t begin[2] = {0, 500}, right = 0;
    pthread_t threads[2];

    draw_all();
    CU_ASSERT_EQUAL_FATAL(create("threads", &settings), 0);
    put(0, FEW, -1, -1);
    settle();
    CU_ASSERT(finds(5, HALF));
    settle();
    CU_ASSERT_FATAL(look().serve);
    for (uint32_t i = 0; i < 1000; i++)
        right += n_of(i) >= POINTS / 2 || finds(i, HALF);
    CU_ASSERT_EQUAL_FATAL(right, 1000);
    atomic_store(&over, false);
    atomic_store(&lost, 0);
    atomic_store(&searches, 0);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, look_on, &begin[i]);
    for (uint32_t round = 0; round < 20 || atomic_load(&searches) < 200; round++) {
        uint32_t at = 1000 + round * 250 % 3500;
        if (round % 3 == 2)
            take_out(at, 250);
        put(at, 250, -1, -1);
        put(FEW + round * 100, 100, 1, 1);
        CU_ASSERT(finds(FEW + round * 100, HALF));
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf(" %u searches", atomic_load(&searches));
    CU_ASSERT_EQUAL(atomic_load(&lost), 0);
    settle();
    expect_right();
    kit_drop(&kit, "threads", &collection);
}

int main(void)
{
    CU_TestInfo tests[] = {{"missed", test_missed},
                           {"recall", test_recall},
                           {"linked later", test_linked_later},
                           {"come and go", test_come_and_go},
                           {"other numbers", test_other_numbers},
                           {"all matches", test_all_matches},
                           {"other settings", test_other_settings},
                           {"restart", test_restart},
                           {"moving", test_moving},
                           {"threads", test_threads},
                           CU_TEST_INFO_NULL};

    if (!kit_prepare(&kit, dir) || kit_open(&kit) != 0)
        return 1;
    draw_all();
    return kit_run(&kit, "engine lists", tests);
}
