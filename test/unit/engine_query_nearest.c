/* Nearest neighbours against a brute-force model: every kind of vector, filters, lists of ids, ties, offsets,
 * thresholds. */
#include "engine_query_fixture.h"

static struct fixture f;

/* ---- the model's answer ---- */

static bool larger_better(enum model_name name)
{
    return model_kinds[name].distance == VEX_DISTANCE_DOT ||
           model_kinds[name].distance == VEX_DISTANCE_COSINE;
}

static bool is_exact(enum model_name name)
{
    return model_kinds[name].distance != VEX_DISTANCE_COSINE && !model_kinds[name].idf;
}

/* Similarity of two rows before roots: larger is better. */
static double row_similarity(enum vex_distance distance, const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0, l2 = 0, l1 = 0;
    for (int i = 0; i < MODEL_DIM; i++) {
        dot += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
        l2 += (a[i] - b[i]) * (double)(a[i] - b[i]);
        l1 += fabs((double)a[i] - b[i]);
    }
    if (distance == VEX_DISTANCE_COSINE)
        return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
    return distance == VEX_DISTANCE_DOT ? dot : distance == VEX_DISTANCE_L2 ? -l2 : -l1;
}

static double idf_of(uint32_t index)
{
    double n = 0, df = 0;
    for (uint32_t p = 0; p < MODEL_POINTS; p++) {
        n += f.points[p].live && (f.points[p].has & 1u << M_IDF) != 0; /* points that have the vector */
        const struct model_vector *v = &f.points[p].vectors[M_IDF];
        for (uint32_t i = 0; f.points[p].live && (f.points[p].has & 1u << M_IDF) != 0 && i < v->count; i++)
            df += v->indices[i] == index;
    }
    return log(1 + (n - df + 0.5) / (df + 0.5));
}

static bool sparse_score(const struct model_vector *q, const double *weights, const struct model_vector *v,
                         double *ret)
{
    bool common = false;
    *ret = 0;
    for (uint32_t i = 0; i < q->count; i++)
        for (uint32_t j = 0; j < v->count; j++)
            if (q->indices[i] == v->indices[j]) {
                common = true;
                *ret += weights[i] * v->values[j];
            }
    return common;
}

struct expected {
    const struct model_point *point;
    double score;
};

static bool expected_larger;

static int by_score(const void *pa, const void *pb)
{
    const struct expected *a = pa, *b = pb;
    if (a->score != b->score)
        return (a->score > b->score) == expected_larger ? -1 : 1;
    return vex_id_cmp(&a->point->id, &b->point->id);
}

/* All that match, best first. */
static uint32_t expect(enum model_name name, const struct model_vector *q, const struct model_filter *filter,
                       const struct model_filter *ids, const struct model_point *own, struct expected *ret)
{
    const struct model_kind *kind = &model_kinds[name];
    double weights[MODEL_TERMS] = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; kind->kind == VEX_VECTOR_SPARSE && i < q->count; i++)
        weights[i] = q->values[i] * (kind->idf ? idf_of(q->indices[i]) : 1);
    for (uint32_t i = 0; i < MODEL_POINTS; i++) {
        const struct model_point *p = &f.points[i];
        const struct model_vector *v = &p->vectors[name];
        double score = 0;
        if (!p->live || p == own || (p->has & 1u << name) == 0 || !model_matches(&f, filter, p) ||
            (ids != NULL && !in_ids(&f, ids, p)))
            continue;
        if (kind->kind == VEX_VECTOR_SPARSE) {
            if (!sparse_score(q, weights, v, &score))
                continue;
        } else {
            for (uint32_t r = 0; r < q->rows; r++) {
                double best = -INFINITY;
                for (uint32_t s = 0; s < v->rows; s++)
                    best = fmax(best, row_similarity(kind->distance, q->values + r * MODEL_DIM,
                                                     v->values + s * MODEL_DIM));
                score += best;
            }
            if (kind->distance == VEX_DISTANCE_L2)
                score = sqrtf((float)-score);
            if (kind->distance == VEX_DISTANCE_L1)
                score = -score;
        }
        ret[count++] = (struct expected){p, score};
    }
    expected_larger = larger_better(name);
    qsort(ret, count, sizeof *ret, by_score);
    return count;
}

/* ---- comparing ---- */

struct question {
    enum model_name name;
    struct model_vector query;
    const struct model_point *own;
    struct model_filter filter, ids;
    bool has_ids;
    uint64_t limit, offset;
    bool has_threshold;
    float threshold;
};

static struct question draw_question(enum model_name name)
{
    struct question q = {.name = name, .filter = draw_filter(&f)};
    draw_vector(&f, name, &q.query);
    if (draw(&f, 3) == 0)
        q.filter.shape = 0;
    if (draw(&f, 4) == 0) {
        const struct model_point *p = &f.points[draw(&f, MODEL_POINTS)];
        if (p->live && (p->has & 1u << name) != 0) {
            q.own = p;
            q.query = p->vectors[name];
        }
    }
    if (draw(&f, 4) == 0) {
        q.has_ids = true;
        q.ids = draw_filter(&f);
    }
    static const uint64_t limits[] = {1, 3, 10, 40, 300, 5000, UINT64_MAX};
    q.limit = limits[draw(&f, sizeof limits / sizeof *limits)];
    q.offset = draw(&f, 3) == 0 ? draw(&f, 30) : 0;
    if (is_exact(name) && draw(&f, 3) == 0) {
        q.has_threshold = true;
        q.threshold = (float)draw(&f, 12);
    }
    return q;
}

/* Clients give the entries of a sparse vector in any order. */
static void turn_round(struct vex_vector_value *v, struct vex_arena *arena)
{
    uint32_t *indices = VEX_ARENA_ARRAY(arena, uint32_t, v->count);
    float *values = VEX_ARENA_ARRAY(arena, float, v->count);
    for (uint32_t i = 0; i < v->count; i++) {
        indices[i] = v->indices[v->count - 1 - i];
        values[i] = v->values[v->count - 1 - i];
    }
    v->indices = indices;
    v->values = values;
}

static struct vex_nearest request_of(const struct question *q, struct vex_arena *arena)
{
    struct vex_nearest r = {.using = vex_str_c(model_kinds[q->name].name),
                            .filter = model_filter(&f, arena, &q->filter),
                            .limit = q->limit,
                            .offset = q->offset,
                            .has_threshold = q->has_threshold,
                            .threshold = q->threshold};
    if (q->own != NULL)
        r.id = &q->own->id;
    else
        r.query = value_of(q->name, &q->query);
    if (r.query.kind == VEX_VECTOR_SPARSE && q->own == NULL)
        turn_round(&r.query, arena);
    if (q->has_ids) {
        r.has_ids = true;
        r.ids = model_ids(&f, arena, &q->ids);
        r.id_count = model_id_count(&q->ids);
    }
    return r;
}

/* Empty text: as the model says. */
static const char *compare(const struct question *q, const struct vex_hits *hits)
{
    static struct expected all[MODEL_POINTS];
    uint32_t count = expect(q->name, &q->query, &q->filter, q->has_ids ? &q->ids : NULL, q->own, all),
             passed = 0;
    while (passed < count &&
           (!q->has_threshold ||
            (larger_better(q->name) ? all[passed].score > q->threshold : all[passed].score < q->threshold)))
        passed++;
    uint64_t want = passed > q->offset ? passed - q->offset : 0;
    if (want > q->limit)
        want = q->limit;
    if (hits->count != want)
        return "another number of hits";
    for (uint64_t i = 0; i < want; i++) {
        const struct expected *e = &all[q->offset + i];
        const struct vex_hit *hit = &hits->hits[i];
        if (is_exact(q->name) && (hit->score != (float)e->score || !vex_id_eq(&hit->id, &e->point->id)))
            return "another hit";
        if (fabs(hit->score - e->score) > 1e-4)
            return "another score";
        if (i > 0 && hit->score == hits->hits[i - 1].score &&
            vex_id_cmp(&hits->hits[i - 1].id, &hit->id) >= 0)
            return "equal scores not in the order of ids";
        bool known = false;
        for (uint32_t j = 0; j < count && !known; j++)
            known = vex_id_eq(&hit->id, &all[j].point->id) && fabs(all[j].score - hit->score) <= 1e-4;
        if (!known)
            return "a hit that should not be there, or with another point's score";
    }
    return "";
}

static void ask(const struct question *questions, uint32_t count)
{
    struct vex_arena arena;
    struct vex_err err;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_nearest *requests = VEX_ARENA_ARRAY(&arena, struct vex_nearest, count);
    struct vex_hits *hits = VEX_ARENA_ARRAY(&arena, struct vex_hits, count);
    for (uint32_t i = 0; i < count; i++)
        requests[i] = request_of(&questions[i], &arena);
    int code = vex_read_nearest(f.collection, requests, count, &context, hits, &err);
    CU_ASSERT_EQUAL(code, 0);
    if (code != 0)
        fprintf(stderr, "nearest: %s\n", err.text);
    for (uint32_t i = 0; i < count && code == 0; i++) {
        const char *difference = compare(&questions[i], &hits[i]);
        CU_ASSERT_STRING_EQUAL(difference, "");
        if (*difference != 0)
            fprintf(stderr, "name %d filter %u own %d ids %d limit %llu offset %llu: %s\n", questions[i].name,
                    questions[i].filter.shape, questions[i].own != NULL, questions[i].has_ids,
                    (unsigned long long)questions[i].limit, (unsigned long long)questions[i].offset,
                    difference);
    }
    vex_arena_done(&arena);
}

static void ask_all(uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++)
        for (enum model_name name = 0; name < M_NAMES; name++) {
            struct question q = draw_question(name);
            ask(&q, 1);
        }
}

/* ---- tests ---- */

static void test_empty(void)
{
    for (enum model_name name = 0; name < M_NAMES; name++) {
        struct question q = {.name = name, .limit = 10};
        draw_vector(&f, name, &q.query);
        ask(&q, 1);
    }
}

static void test_model(void)
{
    CU_ASSERT_FATAL(fixture_fill(&f, 60));
    CU_ASSERT(live_count(&f) > 400);
    ask_all(40);
    CU_ASSERT_FATAL(fixture_fill(&f, 9));
    ask_all(20);
}

/* Queries of one batch, some of which can share a pass. */
static void test_batches(void)
{
    struct question questions[40];
    for (int round = 0; round < 20; round++) {
        struct question head = draw_question((enum model_name)draw(&f, M_NAMES));
        for (uint32_t i = 0; i < 40; i++) {
            if (draw(&f, 6) == 0)
                head = draw_question((enum model_name)draw(&f, M_NAMES));
            questions[i] = head;
            questions[i].has_threshold = false;
            questions[i].own = NULL;
            if (draw(&f, 4) == 0)
                questions[i].limit = 1 + draw(&f, 50);
            if (draw(&f, 3) == 0)
                questions[i].ids = draw_filter(&f);
            draw_vector(&f, head.name, &questions[i].query);
        }
        ask(questions, 40);
    }
}

/* More equal scores than fit into any margin: the lowest ids must win. */
static void test_ties(void)
{
    for (enum model_name name = M_L2; name <= M_BYTES; name++) {
        struct question q = {.name = name, .limit = 7, .query = {.rows = 1, .count = MODEL_DIM}};
        if (name == M_DOT16) /* all scores are 0 */
            ask(&q, 1);
        for (int i = 0; i < 20; i++) {
            draw_vector(&f, name, &q.query);
            q.limit = 1 + draw(&f, 60);
            ask(&q, 1);
        }
    }
}

static int ask_code(const struct vex_nearest *request, struct vex_read_context *context, struct vex_err *err)
{
    struct vex_hits hits;
    err->text[0] = '\0';
    return vex_read_nearest(f.collection, request, 1, context, &hits, err);
}

static void test_refusals(void)
{
    struct vex_arena arena;
    struct vex_err err;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    float values[MODEL_DIM] = {1, 2, 3};
    struct vex_nearest r = {
        .using = VEX_STR("nope"), .limit = 1, .query = {.values = values, .count = MODEL_DIM}};
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Not existing vector name error: nope");
    r.using = VEX_STR("l2");
    r.query.count = 3;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Vector dimension error: expected dim: 6, got 3");
    r.query.count = MODEL_DIM;
    values[4] = NAN;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_EBAD_INPUT);
    values[4] = 0;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), 0);
    r.query.kind = VEX_VECTOR_MULTI;
    r.query.rows = 1;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Conversion between multi and regular vectors failed");
    r.using = VEX_STR("sparse");
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Conversion between sparse and regular vectors failed");
    struct vex_id unknown = vex_id_num(777777777), without = {0};
    r.using = VEX_STR("l2");
    r.id = &unknown;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_ENOT_FOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "No point with id 777777777 found");
    for (uint32_t i = 0; i < MODEL_POINTS; i++)
        if (f.points[i].live && (f.points[i].has & 1u << M_L2) == 0)
            without = f.points[i].id;
    r.id = &without;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_ENOT_FOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "Vector with name \"l2\" for point not found");
    vex_arena_done(&arena);
}

static void test_abandoned(void)
{
    struct vex_arena arena;
    struct vex_err err;
    vex_arena_init(&arena, 0);
    _Atomic int cancelled = 1;
    struct vex_read_context context = {.arena = &arena, .cancelled = &cancelled};
    float values[MODEL_DIM] = {1};
    struct vex_nearest r = {
        .using = VEX_STR("l2"), .limit = 1, .query = {.values = values, .count = MODEL_DIM}};
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_ECANCELLED);
    cancelled = 0;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), 0);
    context.deadline_ns = 1;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_ETIMEOUT);
    context.deadline_ns = UINT64_MAX;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), 0);
    vex_arena_done(&arena);
}

/* A limit as big as numbers go takes no memory for itself; an answer beyond the call's memory is refused. */
static void test_memory(void)
{
    struct vex_arena arena;
    struct vex_err err;
    vex_arena_init(&arena, 1 << 20);
    struct vex_read_context context = {.arena = &arena};
    float values[MODEL_DIM] = {1};
    struct vex_nearest r = {.using = VEX_STR("l2"),
                            .limit = UINT64_MAX,
                            .offset = UINT64_MAX,
                            .query = {.values = values, .count = MODEL_DIM}};
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), 0);
    r.offset = 0;
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), 0);
    vex_arena_done(&arena);
    vex_arena_init(&arena, 8 << 10);
    CU_ASSERT_EQUAL(ask_code(&r, &context, &err), VEX_ENO_MEMORY);
    vex_arena_done(&arena);
}

/* A vector whose size is not known yet has no neighbours. */
static void test_unsized(void)
{
    struct vex_config *config = vex_config_new();
    struct vex_vector_params params = {.name = VEX_STR(""), .distance = VEX_DISTANCE_L2};
    struct vex_collection *collection = NULL;
    struct vex_arena arena;
    struct vex_err err;
    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &params, &err), 0);
    CU_ASSERT_FATAL(create_collection(&f, "unsized", config, &collection));
    struct vex_read_context context = {.arena = &arena};
    float values[3] = {1, 2, 3};
    struct vex_nearest r = {.limit = 5, .using = VEX_STR(""), .query = {.values = values, .count = 3}};
    struct vex_hits hits;
    CU_ASSERT_EQUAL(vex_read_nearest(collection, &r, 1, &context, &hits, &err), 0);
    CU_ASSERT_EQUAL(hits.count, 0);
    vex_collection_unref(collection);
    vex_arena_done(&arena);
}

static void test_cost(void)
{
    float values[MODEL_DIM] = {1};
    struct vex_nearest r = {
        .using = VEX_STR("l2"), .limit = 10, .query = {.values = values, .count = MODEL_DIM}};
    struct vex_filter filter = {0};
    uint64_t plain = vex_read_cost_nearest(f.collection, &r, 1);
    CU_ASSERT(plain > 0 && plain < UINT64_C(1000000000));
    r.filter = &filter;
    CU_ASSERT(vex_read_cost_nearest(f.collection, &r, 1) > plain);
    CU_ASSERT(vex_read_cost_scan(f.collection, true) > vex_read_cost_scan(f.collection, false));
}

int main(void)
{
    static CU_TestInfo tests[] = {{"empty collection", test_empty},
                                  {"model", test_model},
                                  {"batches", test_batches},
                                  {"ties", test_ties},
                                  {"refusals", test_refusals},
                                  {"cancelled and timed out", test_abandoned},
                                  {"memory", test_memory},
                                  {"size not known", test_unsized},
                                  {"cost", test_cost},
                                  CU_TEST_INFO_NULL};
    if (!fixture_open(&f))
        return 1;
    int failed = run_suite("nearest", tests);
    fixture_close(&f);
    return failed;
}
