/* Filtered searches by a graph: recall against the exact search for every metric, for a thousandth to nine tenths of the points, drawn at
 * random or lying together; the number of hits when matches are few or wait for being linked; kept bitmaps of conditions. */
#include <CUnit/Basic.h>

#include "engine/internal.h"
#include "engine/query/nearest.h"
#include "unit/engine_kit.h"

#define POINTS   6000u
#define MOST     (POINTS + 500u)
#define DIM      24u
#define CLUSTERS 60u
#define K        10u
#define QUERIES  40u
#define FLOOR    0.97

static struct kit kit;
static char dir[] = "/tmp/vex_engine_filtered_XXXXXX";
static struct kit_random random_state = {7};
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

static bool make(const char *name, enum vex_distance distance, uint32_t full_scan_kb)
{
    struct vex_vector_params params = {.name = VEX_STR(""),
                                       .size = DIM,
                                       .distance = distance,
                                       .graph = {.threshold_kb = 1, .full_scan_kb = full_scan_kb}};
    struct vex_index_params index = {
        .field = VEX_STR("n"), .type = VEX_INDEX_INTEGER, .range = true, .lookup = true};
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;
    int rc = vex_config_add_vector(config, &params, &err);

    vex_config_set_index(config, &index);
    if (rc == 0)
        rc = vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                               vex_str_c(name), config, false, &collection, &created, &err);
    vex_config_unref(config);
    return rc == 0;
}

static void drop(const char *name)
{
    kit_drop(&kit, name, &collection);
}

/* Points with their own numbers as `n`, moved by `shift`. */
static void put(uint32_t first, uint32_t count, int64_t shift)
{
    struct vex_vector_value *values = vex_mem_alloc(count * sizeof *values);
    struct vex_point *points = vex_mem_zalloc(count * sizeof *points);
    struct vex_buf *payloads = vex_mem_alloc(count * sizeof *payloads);
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = first + i;

        vex_buf_init(&payloads[i], NULL);
        vex_value_put_map(&payloads[i], 1);
        vex_value_put_text(&payloads[i], VEX_STR("n"));
        vex_value_put_int(&payloads[i], (int64_t)which + shift);
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

static void settle(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
    CU_ASSERT_EQUAL(vex_collection_wait_indexes(collection, 0, &err), 0);
}

/* ---- searching ---- */

static struct vex_nearest request_of(const float *query)
{
    return (struct vex_nearest){
        .using = VEX_STR(""), .query = {.kind = VEX_VECTOR_DENSE, .values = query, .count = DIM}, .limit = K};
}

static size_t search(const struct vex_nearest *request, uint64_t ids[K])
{
    size_t count;

    CU_ASSERT_EQUAL_FATAL(kit_search(collection, request, ids, &count), 0);
    return count;
}

static enum vex_walk_way way_of(const struct vex_nearest *request, uint64_t count, bool *ret_served)
{
    struct vex_collection_data data;
    struct vex_walk walk = {.way = VEX_WALK_ALL};
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    *ret_served =
        vex_nearest_walk_plan(&data, vex_config_vector(data.config, VEX_STR("")), request, K, count, &walk);
    vex_collection_read_end(collection);
    return walk.way;
}

/* Part of the exact answers that are given; and as many of them. */
static double recall(const struct vex_id *ids, uint32_t id_count, uint32_t ef)
{
    uint32_t found = 0, wanted = 0;

    for (uint32_t q = 0; q < QUERIES; q++) {
        uint64_t truth[K], got[K];
        size_t truth_count, got_count;
        float query[DIM];

        draw_vector(q % CLUSTERS, query);
        struct vex_nearest request = request_of(query);
        request.ids = ids;
        request.id_count = id_count;
        request.has_ids = true;
        request.ef = ef;
        got_count = search(&request, got);
        request.exact = true;
        truth_count = search(&request, truth);
        CU_ASSERT_EQUAL(truth_count, id_count < K ? id_count : K);
        CU_ASSERT_EQUAL(got_count, truth_count);
        for (size_t i = 0; i < got_count; i++)
            for (size_t j = 0; j < truth_count; j++)
                found += got[i] == truth[j];
        wanted += (uint32_t)truth_count;
    }
    return (double)found / wanted;
}

static void expect_recall(const struct vex_id *ids, uint32_t count, uint32_t ef, double floor,
                          const char *what)
{
    double share = recall(ids, count, ef);

    if (share < floor)
        fprintf(stderr, "%s, %u of %u: recall %.4f\n", what, count, POINTS, share);
    CU_ASSERT(share >= floor);
}

static const uint32_t per_mille[] = {1, 5, 10, 50, 100, 200, 400, 500, 700, 900};

/* Those at random and those of the first clusters, the latter far from most queries. */
static void try_shares(uint32_t ef, double floor, const char *what)
{
    struct vex_id *ids = vex_mem_alloc(POINTS * sizeof *ids);

    for (size_t s = 0; s < sizeof per_mille / sizeof *per_mille; s++) {
        uint32_t count = 0;

        for (uint32_t i = 0; i < POINTS; i++)
            if ((i * 2654435761u >> 8) % 1000 < per_mille[s])
                ids[count++] = vex_id_num(i);
        expect_recall(ids, count, ef, floor, what);
        count = 0;
        for (uint32_t i = 0; i < POINTS; i++)
            if (i % CLUSTERS * 1000 < per_mille[s] * CLUSTERS && i / CLUSTERS <= per_mille[s])
                ids[count++] = vex_id_num(i);
        expect_recall(ids, count, ef, floor, what);
    }
    vex_mem_free(ids);
}

/* ---- tests ---- */

static void test_walks(void)
{
    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++) {
        struct vex_nearest request = request_of(vectors[0]);
        bool served;

        CU_ASSERT_FATAL(make("walks", (enum vex_distance)distance, 1));
        put(0, POINTS, 0);
        settle();
        CU_ASSERT(way_of(&request, POINTS / 2, &served) != VEX_WALK_SCAN && served);
        try_shares(0, FLOOR, "walks");
        drop("walks");
    }
}

/* Where nothing else is asked for, few matches are compared by their codes; that is as good as exact. */
static void test_scans(void)
{
    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++) {
        struct vex_nearest request = request_of(vectors[0]);
        float far[DIM];
        bool served;

        CU_ASSERT_FATAL(make("scans", (enum vex_distance)distance, 0));
        put(0, POINTS, 0);
        settle();
        CU_ASSERT(way_of(&request, POINTS / 10, &served) == VEX_WALK_SCAN && served);
        request.exact = true;
        way_of(&request, POINTS / 10, &served);
        CU_ASSERT(!served);
        try_shares(2000, 0.9999, "scans");
        for (uint32_t d = 0; d < DIM; d++) /* beyond all that codes tell */
            far[d] = d % 2 == 0 ? 5000 : -5000;
        request = request_of(far);
        uint64_t got[K], truth[K];
        CU_ASSERT_EQUAL(search(&request, got), K);
        request.exact = true;
        CU_ASSERT_EQUAL(search(&request, truth), K);
        if (distance != VEX_DISTANCE_L1 || memcmp(got, truth, sizeof got) != 0)
            CU_ASSERT(got[0] == truth[0] || distance == VEX_DISTANCE_COSINE);
        drop("scans");
    }
}

/* Matches in the tail only, and in both; fewer than are wanted. */
static void test_counts(void)
{
    static const struct {
        uint32_t first, count;
    } parts[] = {{POINTS, 500},   {POINTS, 7}, {POINTS - 300, 800},
                 {POINTS - 4, 7}, {10, 3},     {0, POINTS + 500}};

    for (uint32_t kb = 0; kb < 2; kb++) {
        struct vex_id *ids = vex_mem_alloc(MOST * sizeof *ids);

        CU_ASSERT_FATAL(make("counts", VEX_DISTANCE_L2, kb));
        put(0, POINTS, 0);
        settle();
        vex_graph_set_stop(collection->data.graphs); /* nothing is linked from now on */
        put(POINTS, 500, 0);
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            uint64_t got[K];
            struct vex_nearest request = request_of(vectors[p]);
            for (uint32_t i = 0; i < parts[p].count; i++)
                ids[i] = vex_id_num(parts[p].first + i);
            expect_recall(ids, parts[p].count, 0, FLOOR, "counts");
            request.ids = ids;
            request.id_count = parts[p].count;
            request.has_ids = true;
            request.limit = K;
            CU_ASSERT_EQUAL(search(&request, got), parts[p].count < K ? parts[p].count : K);
        }
        vex_mem_free(ids);
        drop("counts");
    }
}

static size_t search_below(double limit, const float *query, uint64_t ids[K])
{
    struct vex_arena arena;
    struct vex_filter filter = {0};
    struct vex_cond cond = {.kind = VEX_COND_RANGE};
    struct vex_nearest request = request_of(query);
    struct vex_err err;
    size_t count;

    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL_FATAL(vex_path_parse(&arena, VEX_STR("n"), &cond.path, &err), 0);
    cond.range = (struct vex_cond_range){.has_lt = true, .lt = limit};
    filter.must = (struct vex_cond_list){&cond, 1};
    request.filter = &filter;
    count = search(&request, ids);
    vex_arena_done(&arena);
    return count;
}

/* Gives the first points of the collection another number; they keep their slots. */
static void renumber(uint32_t count, int64_t number)
{
    struct vex_id *ids = vex_mem_alloc(count * sizeof *ids);
    struct vex_op op = {.kind = VEX_OP_SET_PAYLOAD, .payload.selector = {.ids = ids, .count = count}};
    struct vex_buf payload;
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++)
        ids[i] = vex_id_num(i);
    vex_buf_init(&payload, NULL);
    vex_value_put_map(&payload, 1);
    vex_value_put_text(&payload, VEX_STR("n"));
    vex_value_put_int(&payload, number);
    op.payload.payload = vex_buf_str(&payload);
    CU_ASSERT_EQUAL(kit_submit(&call, collection, &op, 1, true), 0);
    vex_buf_done(&payload);
    vex_mem_free(ids);
}

/* Bitmaps of conditions with thousands of matches are kept until their index changes. */
static void test_kept_bitmaps(void)
{
    uint64_t got[K];

    CU_ASSERT_FATAL(make("kept", VEX_DISTANCE_L2, 0));
    put(0, POINTS, 0);
    settle();
    for (uint32_t round = 0; round < 3; round++) {
        CU_ASSERT_EQUAL(search_below(POINTS, vectors[5], got), K);
        CU_ASSERT_EQUAL(got[0], 5);
    }
    renumber(100, POINTS);
    settle();
    for (uint32_t round = 0; round < 3; round++) {
        CU_ASSERT_EQUAL(search_below(POINTS, vectors[5], got), K);
        for (uint32_t i = 0; i < K; i++)
            CU_ASSERT(got[i] >= 100);
    }
    renumber(100, 1);
    settle();
    CU_ASSERT_EQUAL(search_below(POINTS, vectors[5], got), K);
    CU_ASSERT_EQUAL(got[0], 5);
    drop("kept");
}

int main(void)
{
    CU_TestInfo tests[] = {{"walks", test_walks},
                           {"scans", test_scans},
                           {"counts", test_counts},
                           {"kept bitmaps", test_kept_bitmaps},
                           CU_TEST_INFO_NULL};

    if (!kit_prepare(&kit, dir) || kit_open(&kit) != 0)
        return 1;
    draw_all();
    return kit_run(&kit, "engine filtered walks", tests);
}
