/* Graphs behind a collection: recall of walks against the exact search while points come, move and go, for every metric and element;
 * the tail; filters; changed settings; data that drift away from what codes have learnt; closing and dropping in the middle. Thresholds are set so that small collections walk. */
#include <CUnit/Basic.h>

#include "engine/internal.h"
#include "engine/query/nearest.h"
#include "unit/engine_graph_kit.h"

const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:vex_table_release\n"; /* see engine_threads.c */
}

#define POINTS   3000u
#define DIM      24u
#define CLUSTERS 40u
#define K        10u
#define QUERIES  60u
#define FLOOR    0.95
#define GROWING  8u /* elements */
#define NEWEST   6u /* points of an element that are looked at */

static struct kit kit;
static char dir[] = "/tmp/vex_engine_graphs_XXXXXX";
static struct kit_random random_state = {42};
static struct vex_collection *collection;
static float centres[CLUSTERS][DIM], vectors[POINTS][DIM];
static bool alive[POINTS];

/* ---- data ---- */

static void draw_vector(uint32_t cluster, float *ret)
{
    kit_draw_near(&random_state, centres[cluster], DIM, ret);
}

static void draw_all(void)
{
    kit_draw_clusters(&random_state, 128, DIM, CLUSTERS, centres[0], POINTS,
                      vectors[0]); /* bytes hold them too */
}

/* ---- one collection ---- */

static bool make(const char *name, enum vex_distance distance, enum vex_element element)
{
    struct vex_vector_params params = {.size = DIM,
                                       .distance = distance,
                                       .element = element,
                                       .graph = {.threshold_kb = 1, .full_scan_kb = 1}};
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;
    int rc;

    params.name = VEX_STR("");
    rc = vex_config_add_vector(config, &params, &err);
    if (rc == 0)
        rc = vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                               vex_str_c(name), config, false, &collection, &created, &err);
    vex_config_unref(config);
    memset(alive, 0, sizeof alive);
    return rc == 0;
}

static void drop(const char *name)
{
    kit_drop(&kit, name, &collection);
}

static int upsert(struct vex_collection *to, uint32_t first, uint32_t count, uint32_t step)
{
    struct vex_vector_value *values = vex_mem_alloc(count * sizeof *values);
    struct vex_point *points = vex_mem_zalloc(count * sizeof *points);
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    struct kit_call call;
    int rc;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = first + i * step;

        values[i] = (struct vex_vector_value){.name = VEX_STR(""), .values = vectors[which], .count = DIM};
        points[i] = (struct vex_point){.id = vex_id_num(which), .vectors = &values[i], .vector_count = 1};
    }
    rc = kit_submit(&call, to, &op, 1, true);
    vex_mem_free(values);
    vex_mem_free(points);
    return rc;
}

static void put(uint32_t first, uint32_t count, uint32_t step)
{
    CU_ASSERT_EQUAL(upsert(collection, first, count, step), 0);
    for (uint32_t i = 0; i < count; i++)
        alive[first + i * step] = true;
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

static void settle(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
}

/* ---- searching ---- */

static struct vex_nearest request_of(const float *query)
{
    return (struct vex_nearest){
        .using = VEX_STR(""), .query = {.kind = VEX_VECTOR_DENSE, .values = query, .count = DIM}, .limit = K};
}

static size_t search(struct vex_collection *in, const struct vex_nearest *request, uint64_t ids[K])
{
    size_t count;

    (void)kit_search(in, request, ids, &count);
    return count;
}

/* A request like this one is answered by a walk. */
static bool walks(const struct vex_nearest *request, uint64_t count)
{
    struct vex_collection_data data;
    struct vex_walk walk;
    struct vex_err err;
    bool yes;

    if (vex_collection_read_begin(collection, &data, &err) != 0)
        return false;
    yes = vex_nearest_walk_plan(&data, vex_config_vector(data.config, VEX_STR("")), request, K, count, &walk);
    vex_collection_read_end(collection);
    return yes && walk.way != VEX_WALK_SCAN;
}

static uint32_t common(const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count)
{
    uint32_t found = 0;

    for (size_t i = 0; i < a_count; i++)
        for (size_t j = 0; j < b_count; j++)
            found += a[i] == b[j];
    return found;
}

/* Share of the exact answers that walks give; nothing dead and nothing outside of `ids` is answered. */
static double recall(const struct vex_id *ids, uint32_t id_count)
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
        request.has_ids = ids != NULL;
        got_count = search(collection, &request, got);
        request.exact = true;
        truth_count = search(collection, &request, truth);
        CU_ASSERT_EQUAL(got_count, truth_count);
        for (size_t i = 0; i < got_count; i++)
            CU_ASSERT(got[i] < POINTS && alive[got[i]]);
        found += common(got, got_count, truth, truth_count);
        wanted += (uint32_t)truth_count;
    }
    return wanted > 0 ? (double)found / wanted : 0;
}

static void check_recall(const char *what)
{
    struct vex_nearest request = request_of(vectors[0]);
    double share;

    settle();
    CU_ASSERT(walks(&request, 1000));
    share = recall(NULL, 0);
    if (share < FLOOR)
        fprintf(stderr, "recall %.3f %s\n", share, what);
    CU_ASSERT(share >= FLOOR);
}

static struct vex_graph_info info(void)
{
    struct vex_graph_info *infos, ret = {0};
    struct vex_arena arena;
    struct vex_err err;
    uint32_t count;

    vex_arena_init(&arena, 0);
    if (vex_collection_graphs(collection, &arena, &infos, &count, &err) == 0 && count == 1)
        ret = infos[0];
    vex_arena_done(&arena);
    return ret;
}

/* ---- tests ---- */

/* A life of a collection: filled, a third deleted, some moved, deleted ones put again into slots used before. */
static void live_through(enum vex_distance distance, enum vex_element element)
{
    char name[32];
    struct vex_err err;

    snprintf(name, sizeof name, "m%d-%d", distance, element);
    CU_ASSERT_FATAL(make(name, distance, element));
    put(0, POINTS, 1);
    check_recall(name);
    CU_ASSERT_EQUAL(info().linked, POINTS);
    take_out(0, POINTS / 3, 3);
    check_recall("after deletes");
    CU_ASSERT_EQUAL(info().linked, POINTS - POINTS / 3);
    CU_ASSERT_EQUAL(vex_collection_checkpoint(collection, &err), 0);
    for (uint32_t i = 1; i < POINTS; i += 10)
        if (alive[i])
            draw_vector(kit_draw(&random_state, CLUSTERS), vectors[i]);
    put(1, POINTS / 10 - 1, 10);
    check_recall("after moves");
    put(0, POINTS / 3, 3);
    check_recall("after coming back");
    settle();
    CU_ASSERT_EQUAL(info().linked, POINTS);
    CU_ASSERT_EQUAL(info().waiting, 0);
    CU_ASSERT(!info().building && info().stands);
    drop(name);
}

static void test_metrics(void)
{
    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++)
        for (int element = 0; element < VEX_ELEMENT_COUNT; element++)
            live_through((enum vex_distance)distance, (enum vex_element)element);
}

static void test_tail(void)
{
    CU_ASSERT_FATAL(make("tail", VEX_DISTANCE_L2, VEX_ELEMENT_F32));
    put(0, 2000, 1);
    settle();
    vex_graph_set_stop(collection->data.graphs); /* nothing is linked from now on */
    put(2000, 500, 1);
    CU_ASSERT_EQUAL(info().waiting, 500);
    CU_ASSERT(info().building);
    for (uint32_t i = 2000; i < 2500; i += 7) {
        struct vex_nearest request = request_of(vectors[i]);
        uint64_t got[K];

        CU_ASSERT(walks(&request, 2500));
        CU_ASSERT(search(collection, &request, got) == K && got[0] == i);
        request.indexed_only = true;
        CU_ASSERT_EQUAL(search(collection, &request, got), K);
        for (uint32_t j = 0; j < K; j++)
            CU_ASSERT(got[j] < 2000);
    }
    CU_ASSERT(recall(NULL, 0) >= FLOOR);
    take_out(2000, 250, 2);
    CU_ASSERT(recall(NULL, 0) >= FLOOR);
    put(0, 100, 1); /* linked ones move to the tail */
    CU_ASSERT(recall(NULL, 0) >= FLOOR);
    drop("tail");
}

static void test_filters(void)
{
    static const uint32_t per_mille[] = {1, 5, 20, 50, 100, 250, 400, 600, 900};
    struct vex_id *ids = vex_mem_alloc(POINTS * sizeof *ids);

    CU_ASSERT_FATAL(make("filters", VEX_DISTANCE_L2, VEX_ELEMENT_F32));
    put(0, POINTS, 1);
    settle();
    for (size_t f = 0; f < sizeof per_mille / sizeof *per_mille; f++) {
        struct vex_nearest request = request_of(vectors[0]);
        uint32_t count = 0;
        double share;

        for (uint32_t i = 0; i < POINTS; i++)
            if ((i * 2654435761u >> 8) % 1000 < per_mille[f])
                ids[count++] = vex_id_num(i);
        if (per_mille[f] >= 250) /* many times what the beam holds */
            CU_ASSERT(walks(&request, count));
        share = recall(ids, count);
        if (share < FLOOR)
            fprintf(stderr, "recall %.3f at %u per mille\n", share, per_mille[f]);
        CU_ASSERT(share >= FLOOR);
    }
    for (uint32_t clusters = 2; clusters <= CLUSTERS;
         clusters *= 3) { /* matches that lie together, far from most queries */
        uint32_t count = 0;
        double share;

        for (uint32_t i = 0; i < POINTS; i++)
            if (i % CLUSTERS < clusters)
                ids[count++] = vex_id_num(i);
        share = recall(ids, count);
        if (share < FLOOR)
            fprintf(stderr, "recall %.3f in %u clusters\n", share, clusters);
        CU_ASSERT(share >= FLOOR);
    }
    vex_mem_free(ids);
    drop("filters");
}

static void test_batch(void)
{
    struct vex_nearest requests[20];
    struct vex_hits hits[20];
    struct vex_arena arena;
    struct vex_err err;

    CU_ASSERT_FATAL(make("batch", VEX_DISTANCE_COSINE, VEX_ELEMENT_F32));
    put(0, 2000, 1);
    settle();
    for (uint32_t i = 0; i < 20; i++) {
        requests[i] = request_of(vectors[i * 50]);
        requests[i].exact = i % 5 == 3;
        requests[i].ef = i % 7 == 2 ? 300 : 0;
    }
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    CU_ASSERT_EQUAL_FATAL(vex_read_nearest(collection, requests, 20, &context, hits, &err), 0);
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t single[K];

        CU_ASSERT_EQUAL_FATAL(hits[i].count, K);
        CU_ASSERT_EQUAL(search(collection, &requests[i], single), K);
        for (uint32_t j = 0; j < K; j++)
            CU_ASSERT_EQUAL(hits[i].hits[j].id.num, single[j]);
    }
    vex_arena_done(&arena);
    drop("batch");
}

/* Equal distances are answered in the order of ids, and the query's own point is left out, as by the exact search. */
static void test_ties(void)
{
    uint64_t got[K];

    for (uint32_t i = 0; i < 1000; i++)
        memcpy(vectors[i], vectors[i / 4 * 4], sizeof vectors[i]);
    CU_ASSERT_FATAL(make("ties", VEX_DISTANCE_L2, VEX_ELEMENT_F32));
    put(0, 2000, 1);
    settle();
    for (uint32_t i = 0; i < 1000; i += 40) {
        struct vex_nearest request = request_of(vectors[i]);
        struct vex_id id = vex_id_num(i + 1);

        CU_ASSERT(search(collection, &request, got) == K);
        for (uint32_t j = 0; j < 4; j++)
            CU_ASSERT_EQUAL(got[j], i + j);
        request.id = &id;
        CU_ASSERT(search(collection, &request, got) == K);
        CU_ASSERT(got[0] == i && got[1] == i + 2 && got[2] == i + 3);
    }
    drop("ties");
    draw_all();
}

static int set_graph(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)err;
    config->vectors[0].graph = *(const struct vex_graph_settings *)arg;
    return 0;
}

static struct vex_graph_view view_now(void)
{
    struct vex_graph_view view = {0};
    struct vex_collection_data data;
    struct vex_err err;

    if (vex_collection_read_begin(collection, &data, &err) != 0)
        return view;
    vex_graph_set_view(data.graphs, 0, &view);
    vex_collection_read_end(collection);
    return view;
}

/* ---- drift ---- */

/* Along one of a few elements, each point lies further out than the one before: what is learnt early says nothing of later ones. */
static void draw_growing(void)
{
    for (uint32_t i = 0; i < POINTS; i++) {
        for (uint32_t d = 0; d < DIM; d++)
            vectors[i][d] = (float)(d % 4);
        vectors[i][i % GROWING] = (float)i;
    }
}

/* Those of the last point's element, the last one first. */
static void check_newest(enum vex_distance distance, uint32_t count, bool indexed_only)
{
    float query[DIM];
    uint64_t got[K];

    memcpy(query, vectors[count - 1], sizeof query);
    if (distance == VEX_DISTANCE_DOT) {
        memset(query, 0, sizeof query);
        query[(count - 1) % GROWING] = 0.1f;
    }
    struct vex_nearest request = request_of(query);
    request.indexed_only = indexed_only;
    CU_ASSERT_EQUAL(search(collection, &request, got), K);
    for (uint32_t i = 0; i < NEWEST; i++)
        CU_ASSERT_EQUAL(got[i], count - 1 - i * GROWING);
}

static void check_kept(uint32_t live)
{
    struct vex_nearest request = request_of(vectors[0]);
    char why[128] = "";

    settle();
    CU_ASSERT(walks(&request, live));
    CU_ASSERT(kit_graphs_right(collection, true, why, sizeof why));
    CU_ASSERT_STRING_EQUAL(why, "");
    CU_ASSERT_EQUAL(info().linked, live);
    CU_ASSERT(info().waiting == 0 && !info().building);
}

static void drift(enum vex_distance distance, enum vex_code_kind kind)
{
    struct vex_graph_settings settings = {.threshold_kb = 1, .full_scan_kb = 1, .codes = {.kind = kind}};
    const struct vex_graph *first;
    struct vex_err err;

    CU_ASSERT_FATAL(make("drift", distance, VEX_ELEMENT_F32));
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_graph, &settings, &err), 0);
    put(0, 400, 1);
    settle();
    first = view_now().graph;
    CU_ASSERT_EQUAL(view_now().held_count, 0);
    put(POINTS - 50, 50, 1); /* far away: compared one by one, which is not too much */
    check_kept(450);
    CU_ASSERT(view_now().graph == first && view_now().held_count == 50);
    check_newest(distance, POINTS, false);
    check_newest(distance, POINTS, true);
    take_out(POINTS - 50, 50, 1);
    check_kept(400);
    CU_ASSERT(view_now().held_count == 0 && view_now().tail_count == 0);
    for (uint32_t i = 400; i < POINTS; i += 650) {
        put(i, 650, 1);
        check_newest(distance, i + 650, false); /* at any time, while others are in the making */
        check_kept(i + 650);
        check_newest(distance, i + 650, false);
        check_newest(distance, i + 650, true);
    }
    /* So few may be held, and what came after the last training. */
    CU_ASSERT(view_now().graph != first && view_now().held_count <= 64 + POINTS / 64 + POINTS / 16);
    drop("drift");
}

static void test_drift(void)
{
    draw_growing();
    drift(VEX_DISTANCE_DOT, VEX_CODES_7_BITS);
    drift(VEX_DISTANCE_L2, VEX_CODES_7_BITS);
    drift(VEX_DISTANCE_L1, VEX_CODES_7_BITS);
    drift(VEX_DISTANCE_L2, VEX_CODES_2_BITS);
    draw_all();
}

/* What is held is held again after opening. */
static void test_drift_reopened(void)
{
    struct vex_err err;

    draw_growing();
    CU_ASSERT_FATAL(make("drifted", VEX_DISTANCE_DOT, VEX_ELEMENT_F32));
    put(0, 400, 1);
    settle();
    put(POINTS - 50, 50, 1);
    check_kept(450);
    vex_collection_unref(collection);
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, VEX_STR("drifted"), false, &collection, &err), 0);
    check_newest(VEX_DISTANCE_DOT, POINTS, false);
    check_kept(450);
    CU_ASSERT_EQUAL(view_now().held_count, 50);
    check_newest(VEX_DISTANCE_DOT, POINTS, false);
    drop("drifted");
    draw_all();
}

/* Inner products are ordered by a query's direction: its length, small or large beside the data's, changes nothing. */
static void test_lengths(void)
{
    static const float lengths[] = {1e-6f, 0.001f, 1, 50, 1e6f};

    CU_ASSERT_FATAL(make("lengths", VEX_DISTANCE_DOT, VEX_ELEMENT_F32));
    for (uint32_t i = 0; i < POINTS; i++)
        for (uint32_t d = 0; d < DIM; d++)
            vectors[i][d] = 12 * kit_noise(&random_state);
    put(0, POINTS, 1);
    settle();
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        uint32_t found = 0;

        for (uint32_t q = 0; q < QUERIES; q++) {
            uint64_t got[K], truth[K];
            float query[DIM];

            for (uint32_t d = 0; d < DIM; d++)
                query[d] = kit_noise(&random_state) * lengths[l];
            struct vex_nearest request = request_of(query);
            size_t count = search(collection, &request, got);
            request.exact = true;
            found += common(got, count, truth, search(collection, &request, truth));
        }
        CU_ASSERT((double)found / (QUERIES * K) >= FLOOR);
    }
    drop("lengths");
    draw_all();
}

/* Counts are right while the worker is between two of its own. */
static void test_counts(void)
{
    struct vex_collection_data data;
    struct vex_graph_part *part;
    struct vex_err err;
    uint32_t slot = 0;

    CU_ASSERT_FATAL(make("counts", VEX_DISTANCE_L2, VEX_ELEMENT_F32));
    put(0, 1000, 1);
    settle();
    vex_graph_set_stop(collection->data.graphs);
    take_out(0, 200, 1);
    CU_ASSERT_EQUAL(info().linked, 800);
    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    part = &vex_graph_set_find(data.graphs, 0)->now;
    while ((vex_rows_present(data.rows, 0)[slot / 64] >> (slot % 64) & 1) != 0)
        slot++;
    CU_ASSERT_FATAL(vex_graph_has(part->graph, slot) && part->dead == 200);
    vex_graph_drop(part->graph, slot); /* not told to `dead` yet */
    vex_collection_read_end(collection);
    CU_ASSERT(info().linked == 800 && info().waiting == 0);
    drop("counts");
}

static void test_settings(void)
{
    struct vex_graph_settings settings = {.m = 8, .ef_construct = 60, .threshold_kb = 1, .full_scan_kb = 1};
    struct vex_err err;

    CU_ASSERT_FATAL(make("settings", VEX_DISTANCE_L2, VEX_ELEMENT_F32));
    put(0, 2000, 1);
    settle();
    CU_ASSERT_EQUAL(view_now().ef, VEX_GRAPH_EF_CONSTRUCT);
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_graph, &settings, &err), 0);
    CU_ASSERT(info().stands);
    CU_ASSERT(recall(NULL, 0) >= FLOOR); /* by the old one, or the new */
    put(2000, 1000, 1);
    check_recall("after other settings");
    CU_ASSERT_EQUAL(view_now().ef, 60);
    CU_ASSERT_EQUAL(info().linked, 3000);
    settings.never = true;
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_graph, &settings, &err), 0);
    settle();
    CU_ASSERT(!info().stands);
    CU_ASSERT_EQUAL(recall(NULL, 0), 1);
    settings.never = false;
    settings.threshold_kb = VEX_GRAPH_THRESHOLD_OFF;
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_graph, &settings, &err), 0);
    settle();
    CU_ASSERT(!info().stands && !info().building);
    settings.threshold_kb = 1;
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_graph, &settings, &err), 0);
    check_recall("after being switched on again");
    drop("settings");
}

/* Below the threshold, and with few candidates where nothing else is said, searches are exact. */
static void test_threshold(void)
{
    struct vex_graph_settings settings = {.threshold_kb = 100}; /* 1,066 vectors */
    struct vex_nearest request = request_of(vectors[0]);
    struct vex_err err;

    CU_ASSERT_FATAL(make("threshold", VEX_DISTANCE_L2, VEX_ELEMENT_F32));
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR(""), set_graph, &settings, &err), 0);
    put(0, 1000, 1);
    settle();
    CU_ASSERT(!info().stands);
    put(1000, 200, 1);
    settle();
    CU_ASSERT(info().stands && info().linked == 1200);
    CU_ASSERT(!walks(&request, 1200));
    CU_ASSERT(walks(&request, 1000000));
    drop("threshold");
}

static void test_reopening(void)
{
    struct vex_err err;

    CU_ASSERT_FATAL(make("kept", VEX_DISTANCE_COSINE, VEX_ELEMENT_F16));
    put(0, POINTS, 1);
    vex_collection_unref(collection); /* closes in the middle of building */
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_find(kit.engine, VEX_STR("kept"), false, &collection, &err), 0);
    CU_ASSERT(recall(NULL, 0) >= FLOOR); /* opens it, and begins to build */
    check_recall("after opening");
    CU_ASSERT_EQUAL(info().linked, POINTS);
    put(0, POINTS, 1);
    drop("kept"); /* in the middle of linking */
}

/* ---- threads ---- */

static _Atomic bool stop;
static _Atomic int wrong;

static void *write_on(void *arg)
{
    uint32_t base = (uint32_t)(uintptr_t)arg;

    for (int r = 0; !stop && r < 60; r++) {
        struct vex_id ids[50];
        struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = 50}};
        struct kit_call call;
        uint32_t first = 1000 + base + 2 * ((uint32_t)r * 50 % 800);

        (void)upsert(collection, first, 50, 2); /* refused once the collection is dropped */
        for (uint32_t i = 0; i < 50; i++)
            ids[i] = vex_id_num(first + 2 * i);
        if (r % 3 == 0)
            (void)kit_submit(&call, collection, &op, 1, true);
    }
    return NULL;
}

static void *search_on(void *arg)
{
    struct kit_random own = {(uint64_t)(uintptr_t)arg};

    while (!stop) {
        uint32_t which = kit_draw(&own, 1000); /* never moves */
        struct vex_nearest request = request_of(vectors[which]);
        uint64_t got[K] = {0};
        size_t count = search(collection, &request, got);

        wrong += count > 0 && got[0] != which;
    }
    return NULL;
}

static void *change_on(void *arg)
{
    (void)arg;
    for (uint32_t r = 0; !stop && r < 6; r++) {
        struct vex_graph_settings settings = {
            .m = 8 + r % 2 * 8, .ef_construct = 50, .threshold_kb = 1, .full_scan_kb = 1};
        struct vex_arena arena;
        struct vex_graph_info *infos;
        struct vex_err err;
        uint32_t count;

        (void)vex_engine_alter(kit.engine, collection, VEX_STR(""), set_graph, &settings, &err);
        (void)vex_collection_checkpoint(collection, &err);
        vex_arena_init(&arena, 0);
        (void)vex_collection_graphs(collection, &arena, &infos, &count, &err);
        vex_arena_done(&arena);
    }
    return NULL;
}

static void storm(bool dropped)
{
    pthread_t writers[2], readers[2], changer;
    struct vex_err err;
    bool found;

    stop = false;
    CU_ASSERT_FATAL(make("storm", VEX_DISTANCE_L2, VEX_ELEMENT_F32));
    put(0, 1000, 1);
    settle();
    for (uintptr_t i = 0; i < 2; i++) {
        pthread_create(&writers[i], NULL, write_on, (void *)i);
        pthread_create(&readers[i], NULL, search_on, (void *)(i + 7));
    }
    pthread_create(&changer, NULL, change_on, NULL);
    if (dropped) { /* as soon as there is something to be linked */
        while (info().waiting == 0 && info().stands && wrong == 0)
            sched_yield();
        CU_ASSERT_EQUAL(vex_engine_drop(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                        VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("storm"), &found, &err),
                        0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    pthread_join(changer, NULL);
    stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_storm(void)
{
    storm(false);
    for (uint32_t i = 0; i < POINTS; i++)
        alive[i] = true; /* or not: what the exact search says counts */
    check_recall("after a storm");
    drop("storm");
    storm(true);
    vex_collection_unref(collection);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"metrics and elements", test_metrics},
        {"tail", test_tail},
        {"filters", test_filters},
        {"batch", test_batch},
        {"ties", test_ties},
        {"drift", test_drift},
        {"drift, reopened", test_drift_reopened},
        {"lengths of queries", test_lengths},
        {"counts", test_counts},
        {"settings", test_settings},
        {"threshold", test_threshold},
        {"reopening", test_reopening},
        {"storm", test_storm},
        CU_TEST_INFO_NULL,
    };

    if (!kit_prepare(&kit, dir))
        return 1;
    if (kit_open(&kit) != 0)
        return 1;
    draw_all();
    return kit_run(&kit, "engine_graphs", tests);
}
