/* Queries of stages over a collection of six points whose answers are computed by hand: fusions, MMR, rankings over what prefetches
 * found, thresholds, empty lists. */
#include "engine_query_fixture.h"

#include "engine/collection.h"

#define POINTS 6

/* Point i: x (6 - i, i + 1), compared by dot products; e, compared by Euclid; payload n = i * i, k, t. */
static const float vectors_x[POINTS][2] = {{6, 1}, {5, 2}, {4, 3}, {3, 4}, {2, 5}, {1, 6}};
static const float vectors_e[4][1] = {{0}, {1}, {2}, {10}};
static const char *const keys[POINTS] = {"a", "b", "a", "b", "a", "c"};
static const char *const texts[POINTS] = {"blue", "red", "red red", "blue", "green", "red"};

static struct fixture f;
static struct vex_collection *points;
static struct vex_arena arena;

/* ---- the collection ---- */

static struct vex_str payload_of(int i)
{
    struct vex_buf buf;

    vex_buf_init(&buf, &arena);
    vex_value_put_map(&buf, 3);
    vex_value_put_text(&buf, VEX_STR("n"));
    vex_value_put_int(&buf, i * i);
    vex_value_put_text(&buf, VEX_STR("k"));
    vex_value_put_text(&buf, vex_str_c(keys[i]));
    vex_value_put_text(&buf, VEX_STR("t"));
    vex_value_put_text(&buf, vex_str_c(texts[i]));
    return vex_buf_str(&buf);
}

static bool fill(void)
{
    struct vex_point *list = VEX_ARENA_ARRAY(&arena, struct vex_point, POINTS);
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = list, .count = POINTS}};

    for (int i = 0; i < POINTS; i++) {
        struct vex_vector_value *v = VEX_ARENA_ARRAY(&arena, struct vex_vector_value, 2);

        v[0] = (struct vex_vector_value){.name = VEX_STR("x"), .values = vectors_x[i], .count = 2, .rows = 1};
        if (i < 4)
            v[1] = (struct vex_vector_value){
                .name = VEX_STR("e"), .values = vectors_e[i], .count = 1, .rows = 1};
        list[i] = (struct vex_point){.id = vex_id_num((uint64_t)i),
                                     .payload = payload_of(i),
                                     .vectors = v,
                                     .vector_count = i < 4 ? 2 : 1};
    }
    return submit(points, &op) == 0;
}

static bool open_points(void)
{
    struct vex_config *config = vex_config_new();
    struct vex_vector_params x = {.name = VEX_STR("x"), .size = 2, .distance = VEX_DISTANCE_DOT};
    struct vex_vector_params e = {.name = VEX_STR("e"), .size = 1, .distance = VEX_DISTANCE_L2};
    struct vex_text_params scoring = {.lowercase = true, .scoring = true};
    struct vex_index_params n = {
        .field = VEX_STR("n"), .type = VEX_INDEX_INTEGER, .range = true, .lookup = true};
    struct vex_index_params t = {.field = VEX_STR("t"), .type = VEX_INDEX_TEXT, .text = &scoring};
    struct vex_err err;

    if (vex_config_add_vector(config, &x, &err) != 0 || vex_config_add_vector(config, &e, &err) != 0)
        return false;
    vex_config_set_index(config, &n);
    vex_config_set_index(config, &t);
    return create_collection(&f, "stages", config, &points) &&
           vex_collection_wait_indexes(points, 0, &err) == 0 && fill();
}

/* ---- stages ---- */

static struct vex_path path(const char *text)
{
    struct vex_path ret;
    struct vex_err err;

    if (vex_path_parse(&arena, vex_str_c(text), &ret, &err) != 0)
        abort();
    return ret;
}

static struct vex_stage *stages(uint32_t count)
{
    return VEX_ARENA_ARRAY(&arena, struct vex_stage, count);
}

/* The points in the order of a * x[0] + b * x[1]. */
static struct vex_stage nearest(float a, float b, uint64_t limit)
{
    float *values = vex_arena_alloc(&arena, 2 * sizeof *values);
    struct vex_stage stage = {.kind = VEX_STAGE_NEAREST};

    values[0] = a;
    values[1] = b;
    stage.nearest.using = VEX_STR("x");
    stage.nearest.query = (struct vex_vector_value){.values = values, .count = 2, .rows = 1};
    stage.nearest.limit = limit;
    return stage;
}

static struct vex_stage over(struct vex_stage stage, struct vex_stage *prefetch, uint32_t count)
{
    stage.prefetch = prefetch;
    stage.prefetch_count = count;
    return stage;
}

static struct vex_stage combine(enum vex_stage_kind kind, struct vex_stage *prefetch, uint32_t count)
{
    struct vex_stage stage = {.kind = kind, .rrf_k = 2};

    stage.nearest.limit = 10;
    return over(stage, prefetch, count);
}

/* Of the first `a` by x[0] and the first `b` by x[1]. */
static struct vex_stage both(enum vex_stage_kind kind, uint64_t a, uint64_t b)
{
    struct vex_stage *prefetch = stages(2);

    prefetch[0] = nearest(1, 0, a);
    prefetch[1] = nearest(0, 1, b);
    return combine(kind, prefetch, 2);
}

static struct vex_stage *first(uint64_t limit)
{
    struct vex_stage *prefetch = stages(1);

    *prefetch = nearest(1, 0, limit);
    return prefetch;
}

static struct vex_filter *only(const uint64_t *ids, uint32_t count)
{
    struct vex_filter *filter = VEX_ARENA_NEW(&arena, struct vex_filter);

    filter->must.conds = VEX_ARENA_NEW(&arena, struct vex_cond);
    filter->must.count = 1;
    filter->must.conds->kind = VEX_COND_HAS_ID;
    filter->must.conds->ids.ids = VEX_ARENA_ARRAY(&arena, struct vex_id, count + 1);
    for (uint32_t i = 0; i < count; i++)
        filter->must.conds->ids.ids[filter->must.conds->ids.count++] = vex_id_num(ids[i]);
    return filter;
}

/* ---- comparing ---- */

static struct vex_hits run(const struct vex_stage *stage)
{
    struct vex_read_context context = {.arena = &arena};
    struct vex_hits hits = {0};
    struct vex_err err;

    if (vex_read_query(points, stage, 1, &context, &hits, &err) != 0) {
        fprintf(stderr, "query: %s\n", err.text);
        CU_FAIL("the query failed");
    }
    return hits;
}

struct wanted {
    uint64_t id;
    double score;
};

static void compare(const struct vex_hits *hits, const struct wanted *wanted, size_t count)
{
    CU_ASSERT_EQUAL(hits->count, count);
    for (size_t i = 0; i < hits->count && i < count; i++) {
        struct vex_id id = vex_id_num(wanted[i].id);

        CU_ASSERT(vex_id_eq(&hits->hits[i].id, &id));
        CU_ASSERT(fabs((double)hits->hits[i].score - wanted[i].score) < 1e-6);
    }
}

#define SAME(stage, ...)                                                                                     \
    do {                                                                                                     \
        const struct wanted wanted_[] = {__VA_ARGS__};                                                       \
        struct vex_hits hits_ = run(stage);                                                                  \
        compare(&hits_, wanted_, sizeof wanted_ / sizeof *wanted_);                                          \
    } while (0)

static int refusal(const struct vex_stage *stage)
{
    struct vex_read_context context = {.arena = &arena};
    struct vex_hits hits = {0};
    struct vex_err err;
    int code = vex_read_query(points, stage, 1, &context, &hits, &err);

    CU_ASSERT_EQUAL(hits.count, 0);
    return code;
}

/* ---- fusions ---- */

static void test_rrf(void)
{
    static const float weights[] = {3, 1}, nothing[] = {1, 0};
    struct vex_stage stage = both(VEX_STAGE_RRF, 3, 3);

    /* Of equal scores the one that was named first. */
    SAME(&stage, {0, 1 / 2.}, {5, 1 / 2.}, {1, 1 / 3.}, {4, 1 / 3.}, {2, 1 / 4.}, {3, 1 / 4.});
    stage = both(VEX_STAGE_RRF, 4, 4);
    SAME(&stage, {0, 1 / 2.}, {5, 1 / 2.}, {2, 1 / 4. + 1 / 5.}, {3, 1 / 5. + 1 / 4.}, {1, 1 / 3.},
         {4, 1 / 3.});
    stage.rrf_k = 1;
    stage.nearest.limit = 1;
    SAME(&stage, {0, 1});
    stage = both(VEX_STAGE_RRF, 3, 3);
    stage.weights = weights;
    SAME(&stage, {0, .75}, {1, .6}, {2, .5}, {5, .5}, {4, 1 / 3.}, {3, .25});
    stage.weights = nothing;
    SAME(&stage, {0, 1 / 2.}, {1, 1 / 3.}, {2, 1 / 4.}, {5, 0}, {4, 0}, {3, 0});
}

static void test_dbsf(void)
{
    struct vex_stage stage = both(VEX_STAGE_DBSF, 3, 1), *lists = stages(2);

    SAME(&stage, {0, 2 / 3.}, {1, .5}, {5, .5}, {2, 1 / 3.});
    stage = both(VEX_STAGE_DBSF, 6, 6); /* mirrored: each point's two add up to 1 */
    SAME(&stage, {0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1});
    lists[0] = (struct vex_stage){.kind = VEX_STAGE_LIST, .nearest = {.limit = 2}}; /* all scores alike */
    lists[1] = nearest(0, 1, 2);
    stage = combine(VEX_STAGE_DBSF, lists, 2);
    /* 6 and 5: mean 5.5, s the root of 0.5 */
    SAME(&stage, {5, .5 + .5 / (6 * sqrt(.5))}, {0, .5}, {1, .5}, {4, .5 - .5 / (6 * sqrt(.5))});
}

/* $score[0] + n */
static void test_formula(void)
{
    struct vex_expression *sum = VEX_ARENA_ARRAY(&arena, struct vex_expression, 2);
    struct vex_stage stage = combine(VEX_STAGE_FORMULA, first(3), 1);

    sum[0] = (struct vex_expression){.kind = VEX_EXPR_SCORE};
    sum[1] = (struct vex_expression){.kind = VEX_EXPR_VARIABLE, .path = path("n")};
    stage.formula.root = (struct vex_expression){.kind = VEX_EXPR_SUM, .operands = sum, .operand_count = 2};
    SAME(&stage, {2, 8}, {0, 6}, {1, 6});
    stage.nearest.has_threshold = true;
    stage.nearest.threshold = 6; /* fused scores may be equal to it */
    SAME(&stage, {2, 8}, {0, 6}, {1, 6});
    stage.nearest.threshold = 6.5;
    SAME(&stage, {2, 8});
    sum[1].path = path("missing");
    CU_ASSERT_EQUAL(refusal(&stage), VEX_EBAD_INPUT);
}

static void test_cuts(void)
{
    struct vex_stage stage = both(VEX_STAGE_RRF, 3, 3);

    stage.nearest.has_threshold = true;
    stage.nearest.threshold = .5;
    SAME(&stage, {0, .5}, {5, .5});
    stage.nearest.offset = 1;
    SAME(&stage, {5, .5});
    stage.nearest.has_threshold = false;
    stage.nearest.limit = 2;
    SAME(&stage, {5, .5}, {1, 1 / 3.});
    stage.nearest.offset = UINT64_MAX;
    CU_ASSERT_EQUAL(run(&stage).count, 0);
    /* A search's threshold is strict, in prefetches too. */
    stage = both(VEX_STAGE_RRF, 6, 6);
    stage.prefetch[0].nearest.has_threshold = stage.prefetch[1].nearest.has_threshold = true;
    stage.prefetch[0].nearest.threshold = 5;
    stage.prefetch[1].nearest.threshold = 4;
    SAME(&stage, {0, .5}, {5, .5}, {4, 1 / 3.});
}

/* ---- rankings over prefetches ---- */

static void test_nested(void)
{
    static const uint64_t some[] = {1, 2, 5};
    struct vex_stage *inner = stages(1), *fused = stages(1), root;

    root = over(nearest(0, 1, 10), first(3), 1);
    SAME(&root, {2, 3}, {1, 2}, {0, 1});
    root.nearest.filter = only(some, 3);
    SAME(&root, {2, 3}, {1, 2});
    root.nearest.offset = 1;
    SAME(&root, {1, 2});
    /* The five first by x[0], of these the three first by x[1], fused with nothing else, and at last by their sum with x[0] twice. */
    *inner = over(nearest(0, 1, 3), first(5), 1);
    *fused = combine(VEX_STAGE_RRF, inner, 1);
    root = over(nearest(2, 1, 2), fused, 1);
    SAME(&root, {2, 11}, {3, 10});
    /* The union of two, each point once. */
    root = over(nearest(1, 1, 10), both(VEX_STAGE_RRF, 2, 2).prefetch, 2);
    SAME(&root, {0, 7}, {1, 7}, {4, 7}, {5, 7});
    /* Points without the vector that is compared are not ranked. */
    root = over(nearest(0, 0, 10), first(6), 1);
    root.nearest.using = VEX_STR("e");
    root.nearest.query.count = 1;
    CU_ASSERT_EQUAL(run(&root).count, 4);
}

static void test_examples(void)
{
    static const float direction[] = {0, 1};
    struct vex_example example = {.vector = {.values = direction, .count = 2, .rows = 1}};
    struct vex_stage root = {
        .kind = VEX_STAGE_EXAMPLES,
        .nearest = {.using = VEX_STR("x"), .limit = 10},
        .examples = {.kind = VEX_EXAMPLES_SUM, .positive = &example, .positive_count = 1}};

    root = over(root, first(3), 1);
    SAME(&root, {2, 3}, {1, 2}, {0, 1});
    root.nearest.has_threshold = true;
    root.nearest.threshold = 1; /* strict */
    SAME(&root, {2, 3}, {1, 2});
}

static void test_lists(void)
{
    struct vex_stage root = {
        .kind = VEX_STAGE_ORDER, .nearest = {.limit = 2}, .order_by = {.key = path("n"), .descending = true}};
    struct vex_hits hits;
    uint64_t seen = 0;

    root = over(root, first(3), 1);
    SAME(&root, {2, 1}, {1, 1});
    hits = run(&root);
    CU_ASSERT(hits.count == 2 && hits.hits[0].has_order_value && hits.hits[0].order_value.integer == 4);
    CU_ASSERT_EQUAL(hits.hits[0].version, 0);
    root.nearest.offset = 2;
    SAME(&root, {0, 1});
    root.kind = VEX_STAGE_SAMPLE;
    root.nearest.offset = 0;
    root.nearest.limit = 10;
    hits = run(&root);
    CU_ASSERT_EQUAL(hits.count, 3);
    for (size_t i = 0; i < hits.count; i++)
        seen |= UINT64_C(1) << hits.hits[i].id.num;
    CU_ASSERT_EQUAL(seen, 7);
}

static void test_text(void)
{
    struct vex_stage root = {.kind = VEX_STAGE_TEXT,
                             .nearest = {.limit = 10},
                             .text = {.field = path("t"), .text = VEX_STR("red"), .k = 1.2, .b = .75}};
    struct vex_stage *prefetch = stages(1);
    struct vex_hits all = run(&root), hits;

    CU_ASSERT_EQUAL_FATAL(all.count, 3);
    *prefetch = root;
    root = over(root, first(3), 1);
    hits = run(&root); /* counted over all points, so the scores are the same */
    CU_ASSERT_EQUAL_FATAL(hits.count, 2);
    for (size_t i = 0, j = 0; i < all.count; i++)
        if (all.hits[i].id.num != 5) {
            CU_ASSERT(vex_id_eq(&all.hits[i].id, &hits.hits[j].id));
            CU_ASSERT_EQUAL(all.hits[i].score, hits.hits[j].score);
            j++;
        }
    root = over(nearest(1, 0, 10), prefetch, 1);
    SAME(&root, {1, 5}, {2, 4}, {5, 1});
    root.prefetch[0].text.field = path("k");
    CU_ASSERT_EQUAL(refusal(&root), VEX_EBAD_INPUT);
}

/* ---- MMR ---- */

static void test_mmr(void)
{
    struct vex_stage root = nearest(1, 0, 3);
    float *origin = vex_arena_zalloc(&arena, sizeof *origin);

    root.kind = VEX_STAGE_MMR;
    root.diversity = .5f;
    root.candidates = 6;
    /* Beside 0 the likeness of 5 costs least; then that of 2, to 0. The answer has the scores of the search. */
    SAME(&root, {0, 6}, {5, 1}, {2, 4});
    root.candidates = 3;
    SAME(&root, {0, 6}, {2, 4}, {1, 5});
    root.nearest.offset = 1;
    root.nearest.limit = 1;
    SAME(&root, {2, 4});
    root.diversity = 0;
    root.nearest.offset = 0;
    root.nearest.limit = 10;
    SAME(&root, {0, 6}, {1, 5}, {2, 4});
    root.candidates = 0;
    CU_ASSERT_EQUAL(run(&root).count, 0);
    /* Distances enter squared: beside 0 all are worth as much, and the last one left is taken. */
    root.candidates = 6;
    root.diversity = .5f;
    root.nearest.using = VEX_STR("e");
    root.nearest.query = (struct vex_vector_value){.values = origin, .count = 1, .rows = 1};
    SAME(&root, {0, 0}, {2, 2}, {1, 1}, {3, 10});
    root = over(nearest(0, 1, 2), first(3), 1);
    root.kind = VEX_STAGE_MMR;
    root.diversity = .5f;
    root.candidates = 10;
    SAME(&root, {2, 3}, {1, 2});
}

/* ---- the edges ---- */

static void test_empty(void)
{
    static const enum vex_stage_kind kinds[] = {VEX_STAGE_NEAREST, VEX_STAGE_MMR,   VEX_STAGE_RRF,
                                                VEX_STAGE_DBSF,    VEX_STAGE_ORDER, VEX_STAGE_SAMPLE,
                                                VEX_STAGE_FORMULA};
    struct vex_stage none = nearest(1, 0, 10);

    none.nearest.filter = only(NULL, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct vex_stage root = over(nearest(1, 0, 10), &none, 1);

        root.kind = kinds[i];
        root.candidates = 10;
        root.rrf_k = 2;
        root.order_by.key = path("n");
        CU_ASSERT_EQUAL(run(&root).count, 0);
    }
    /* One list of two is empty. */
    struct vex_stage root = both(VEX_STAGE_DBSF, 3, 3);

    root.prefetch[0].nearest.filter = none.nearest.filter;
    SAME(&root, {5, 2 / 3.}, {4, .5}, {3, 1 / 3.});
    root.prefetch[0].nearest.using = VEX_STR("nobody");
    CU_ASSERT_EQUAL(refusal(&root), VEX_EBAD_INPUT);
}

/* Runs of plain searches between other stages: each gets its own answer. */
static void test_batch(void)
{
    struct vex_read_context context = {.arena = &arena};
    struct vex_stage list[5] = {nearest(1, 0, 2), both(VEX_STAGE_RRF, 3, 3), nearest(0, 1, 2),
                                nearest(1, 1, 2), both(VEX_STAGE_DBSF, 3, 1)};
    struct vex_hits hits[5];
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_read_query(points, list, 5, &context, hits, &err), 0);
    for (int i = 0; i < 5; i++) {
        struct vex_hits alone = run(&list[i]);

        CU_ASSERT_EQUAL(alone.count, hits[i].count);
        for (size_t j = 0; j < alone.count && j < hits[i].count; j++)
            CU_ASSERT(vex_id_eq(&alone.hits[j].id, &hits[i].hits[j].id) &&
                      alone.hits[j].score == hits[i].hits[j].score);
    }
    list[3].nearest.using = VEX_STR("nobody");
    CU_ASSERT_EQUAL(vex_read_query(points, list, 5, &context, hits, &err), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(hits[0].count, 0);
}

static void test_groups(void)
{
    struct vex_read_context context = {.arena = &arena};
    struct vex_stage stage = both(VEX_STAGE_RRF, 4, 4);
    struct vex_groups request = {.stage = &stage, .by = path("k"), .limit = 2, .size = 2};
    struct vex_group *groups = NULL;
    struct vex_err err;
    size_t count = 0;

    /* 0 a, 5 c, 2 a, 3 b, 1 b, 4 a */
    CU_ASSERT_EQUAL_FATAL(vex_read_groups(points, &request, &context, &groups, &count, &err), 0);
    CU_ASSERT_EQUAL_FATAL(count, 2);
    compare(&groups[0].hits, (const struct wanted[]){{0, .5}, {2, .45}}, 2);
    compare(&groups[1].hits, (const struct wanted[]){{5, .5}}, 1);
    stage = (struct vex_stage){.kind = VEX_STAGE_TEXT,
                               .text = {.field = path("t"), .text = VEX_STR("red"), .k = 1.2, .b = .75}};
    CU_ASSERT_EQUAL_FATAL(vex_read_groups(points, &request, &context, &groups, &count, &err), 0);
    CU_ASSERT_EQUAL(count, 2);
    CU_ASSERT(count == 2 && groups[0].hits.count == 1 && groups[0].hits.hits[0].id.num == 2);
}

int main(void)
{
    static CU_TestInfo tests[] = {{"rank fusion", test_rrf},
                                  {"score fusion", test_dbsf},
                                  {"formula", test_formula},
                                  {"thresholds and offsets", test_cuts},
                                  {"nested", test_nested},
                                  {"examples", test_examples},
                                  {"order and sample", test_lists},
                                  {"text", test_text},
                                  {"mmr", test_mmr},
                                  {"empty lists", test_empty},
                                  {"batch", test_batch},
                                  {"groups", test_groups},
                                  CU_TEST_INFO_NULL};
    int failed = 1;

    vex_arena_init(&arena, 0);
    if (fixture_open(&f) && open_points())
        failed = run_suite("stages", tests);
    vex_collection_unref(points);
    fixture_close(&f);
    vex_arena_done(&arena);
    return failed;
}
