/* Scores by several examples: worked by hand in two dimensions, and against a brute-force model for every kind of vector. Averages of
 * examples too. */
#include "engine_query_fixture.h"

#include <float.h>

#include "engine/query/examples.h"

#define EXAMPLES 4

static struct fixture f;

/* ---- reading ---- */

struct reading {
    struct vex_arena arena;
    struct vex_err err;
    _Atomic int cancelled;
    struct vex_read_context context;
    struct vex_read read;
    struct vex_candidates candidates;
    const struct vex_vector_params *params;
};

static void reading_open(struct reading *r, struct vex_collection *collection, const char *name)
{
    struct vex_read_filter none = {0};
    memset(r, 0, sizeof *r);
    vex_arena_init(&r->arena, 0);
    r->context = (struct vex_read_context){.arena = &r->arena, .cancelled = &r->cancelled};
    CU_ASSERT_EQUAL_FATAL(vex_read_open(&r->read, collection, &r->context, "Search", &r->err), 0);
    r->params = vex_config_vector(r->read.data.config, vex_str_c(name));
    CU_ASSERT_EQUAL_FATAL(
        vex_candidates_find(&r->read, &none, (struct vex_id_list){0}, r->params->ordinal, &r->candidates), 0);
}

static int reading_find(struct reading *r, const struct vex_examples *examples, uint64_t want,
                        struct vex_scored_list *list)
{
    return vex_examples_find(&r->read, r->params, examples, &r->candidates, want, list);
}

static void reading_close(struct reading *r)
{
    vex_candidates_done(&r->candidates);
    vex_read_close(&r->read);
    vex_arena_done(&r->arena);
}

/* ---- by hand ---- */

static const float hand[4][2] = {{1, 0}, {0, 2}, {-1, 1}, {3, -1}};
static const struct vex_id hand_ids[4] = {{.kind = VEX_ID_NUM, .num = 0},
                                          {.kind = VEX_ID_NUM, .num = 1},
                                          {.kind = VEX_ID_NUM, .num = 2},
                                          {.kind = VEX_ID_NUM, .num = 3}};

static void hand_open(struct vex_collection **ret)
{
    static const enum vex_distance distances[] = {VEX_DISTANCE_DOT, VEX_DISTANCE_L2, VEX_DISTANCE_L1};
    static const char *const names[] = {"dot", "l2", "l1"};
    struct vex_config *config = vex_config_new();
    struct vex_point points[4];
    struct vex_vector_value vectors[4][3];
    struct vex_err err;
    for (int n = 0; n < 3; n++) {
        struct vex_vector_params params = {.name = vex_str_c(names[n]), .size = 2, .distance = distances[n]};
        CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &params, &err), 0);
    }
    CU_ASSERT_FATAL(create_collection(&f, "hand", config, ret));
    for (int i = 0; i < 4; i++) {
        for (int n = 0; n < 3; n++)
            vectors[i][n] =
                (struct vex_vector_value){.name = vex_str_c(names[n]), .values = hand[i], .count = 2};
        points[i] = (struct vex_point){.id = hand_ids[i], .vectors = vectors[i], .vector_count = 3};
    }
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = 4}};
    CU_ASSERT_EQUAL_FATAL(submit(*ret, &op), 0);
}

/* The scores of points 0 to 3. */
static void check_hand(struct vex_collection *collection, const char *name,
                       const struct vex_examples *examples, const float *want)
{
    struct vex_scored_list list;
    struct reading r;
    reading_open(&r, collection, name);
    CU_ASSERT_EQUAL(reading_find(&r, examples, 10, &list), 0);
    CU_ASSERT_EQUAL_FATAL(list.count, 4);
    for (int i = 0; i < 4; i++) {
        struct vex_id id = vex_rows_id(r.read.data.rows, list.entries[i].slot);
        if (!(fabsf(list.entries[i].score - want[id.num]) <= 1e-6f))
            fprintf(stderr, "%s kind %d point %d: %.9g, not %.9g\n", name, (int)examples->kind, (int)id.num,
                    (double)list.entries[i].score, (double)want[id.num]);
        CU_ASSERT(fabsf(list.entries[i].score - want[id.num]) <= 1e-6f);
        CU_ASSERT(i == 0 || list.entries[i].score <= list.entries[i - 1].score);
    }
    vex_mem_free(list.entries);
    reading_close(&r);
}

static struct vex_example vector_example(const float *values)
{
    return (struct vex_example){.vector = {.kind = VEX_VECTOR_DENSE, .values = values, .count = 2}};
}

static void by_hand(void)
{
    static const float x[] = {1, 0}, y[] = {0, 1}, judgements[] = {0.5f, 1, 0.5f};
    struct vex_example positive[] = {vector_example(x), vector_example(y)}, negative[] = {vector_example(y)};
    struct vex_example judged[] = {vector_example(y), vector_example(x), {.id = &hand_ids[2]}};
    struct vex_examples e = {
        .positive = positive, .positive_count = 1, .negative = negative, .negative_count = 1};
    struct vex_collection *collection;
    hand_open(&collection);
    /* dot: similarities to x are 1 0 -1 3, to y 0 2 1 -1 */
    e.kind = VEX_EXAMPLES_BEST;
    check_hand(collection, "dot", &e, (float[]){0.75f, -0.8333333f, -0.75f, 0.875f});
    e.kind = VEX_EXAMPLES_SUM;
    check_hand(collection, "dot", &e, (float[]){1, -2, -2, 4});
    e.kind = VEX_EXAMPLES_CONTEXT; /* sigmoid of -2 is -2/3 */
    check_hand(collection, "dot", &e, (float[]){0, -0.6666667f, -0.6666667f, 0});
    e.kind = VEX_EXAMPLES_DISCOVER;
    e.target = vector_example(y); /* scaled sigmoids of 0 2 1 -1: 1/2 5/6 3/4 1/4 */
    check_hand(collection, "dot", &e, (float[]){1.5f, -1 + 0.8333333f, -0.25f, 1.25f});
    /* squared distances to x are 0 5 5 5, to y 2 1 1 13 */
    check_hand(collection, "l2", &e, (float[]){1 + 0.1666667f, -1 + 0.25f, -1 + 0.25f, 1 + 0.0357143f});
    e.kind = VEX_EXAMPLES_SUM;
    check_hand(collection, "l2", &e, (float[]){2, -4, -4, 8});
    /* sums of differences to x are 0 3 3 3, to y 2 1 1 5 */
    check_hand(collection, "l1", &e, (float[]){2, -2, -2, 2});
    e.kind = VEX_EXAMPLES_BEST;
    e.positive_count = 2;
    e.negative_count = 0; /* the better of 1 0 -1 3 and 0 2 1 -1 */
    check_hand(collection, "dot", &e, (float[]){0.75f, 0.8333333f, 0.75f, 0.875f});
    e.positive_count = 0; /* nothing but the better of the negative ones */
    e.negative_count = 1;
    check_hand(collection, "dot", &e, (float[]){-0.5f, -0.8333333f, -0.75f, -0.25f});
    /* judged: y 0.5, x 1, point 2 = (-1, 1) 0.5; two pairs of confidence 0.5, squared times 8: 2 each. Similarities to point 2:
     * -1 2 2 -4. 3 * target y + 2 (x - y) + 2 (x - point 2) */
    e = (struct vex_examples){.kind = VEX_EXAMPLES_FEEDBACK,
                              .target = vector_example(y),
                              .positive = judged,
                              .positive_count = 3,
                              .judgements = judgements,
                              .a = 3,
                              .b = 2,
                              .c = 8};
    check_hand(collection, "dot", &e, (float[]){0 + 2 + 4, 6 - 4 - 4, 3 - 4 - 6, -3 + 8 + 14});
    e.positive_count = 1; /* no pair */
    check_hand(collection, "dot", &e, (float[]){0, 6, 3, -3});
    vex_collection_unref(collection);
}

/* ---- the model ---- */

static double row_similarity(enum vex_distance distance, const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0, l2 = 0, l1 = 0;
    for (int i = 0; i < MODEL_DIM; i++) {
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
        l2 += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
        l1 += fabs((double)a[i] - (double)b[i]);
    }
    if (distance == VEX_DISTANCE_COSINE)
        return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
    return distance == VEX_DISTANCE_DOT ? dot : distance == VEX_DISTANCE_L2 ? -l2 : -l1;
}

static double similarity(enum model_name name, const struct model_vector *example,
                         const struct model_vector *stored)
{
    double sum = 0;
    if (model_kinds[name].kind == VEX_VECTOR_SPARSE) {
        for (uint32_t i = 0; i < example->count; i++)
            for (uint32_t j = 0; j < stored->count; j++)
                if (example->indices[i] == stored->indices[j])
                    sum += (double)example->values[i] * (double)stored->values[j];
        return sum;
    }
    for (uint32_t i = 0; i < example->rows; i++) {
        double best = -INFINITY;
        for (uint32_t j = 0; j < stored->rows; j++)
            best = fmax(best, row_similarity(model_kinds[name].distance, example->values + i * MODEL_DIM,
                                             stored->values + j * MODEL_DIM));
        sum += best;
    }
    return sum;
}

struct model_examples {
    enum vex_examples_kind kind;
    struct model_vector target, positive[EXAMPLES], negative[EXAMPLES];
    uint32_t positive_count, negative_count;
    float judgements[EXAMPLES];
    double a, b, c;
};

static double sigmoid(double x)
{
    return isinf(x) ? x : x / (1 + fabs(x));
}

/* *ret_slack: what near ties may change. */
static double model_score(enum model_name name, const struct model_examples *m,
                          const struct model_vector *stored, double *ret_slack)
{
    double p[EXAMPLES], n[EXAMPLES], best_p = -INFINITY, best_n = -INFINITY, sum = 0;
    *ret_slack = 1e-5;
    for (uint32_t i = 0; i < m->positive_count; i++) {
        p[i] = similarity(name, &m->positive[i], stored);
        best_p = fmax(best_p, p[i]);
    }
    for (uint32_t i = 0; i < m->negative_count; i++) {
        n[i] = similarity(name, &m->negative[i], stored);
        best_n = fmax(best_n, n[i]);
    }
    switch (m->kind) {
    case VEX_EXAMPLES_BEST:
        *ret_slack += fabs(best_p - best_n) < 1e-5 ? 2 : 0;
        return best_p > best_n ? 0.5 * (sigmoid(best_p) + 1) : -0.5 * (sigmoid(best_n) + 1);
    case VEX_EXAMPLES_SUM:
        for (uint32_t i = 0; i < EXAMPLES; i++)
            sum += (i < m->positive_count ? p[i] : 0) - (i < m->negative_count ? n[i] : 0);
        *ret_slack += 1e-5 * fabs(sum);
        return sum;
    case VEX_EXAMPLES_DISCOVER:
        for (uint32_t i = 0; i < m->positive_count; i++) {
            bool tie = fabs(p[i] - n[i]) < 1e-5;
            *ret_slack += tie && model_kinds[name].distance == VEX_DISTANCE_COSINE ? 1 : 0;
            sum += tie ? 0 : p[i] > n[i] ? 1 : -1;
        }
        return sum + 0.5 * (sigmoid(similarity(name, &m->target, stored)) + 1);
    case VEX_EXAMPLES_CONTEXT:
        for (uint32_t i = 0; i < m->positive_count; i++)
            sum += sigmoid(fmin(p[i] - n[i] - (double)FLT_EPSILON, 0));
        return sum;
    default:
        sum = m->a * similarity(name, &m->target, stored);
        for (uint32_t i = 0; i < m->positive_count; i++)
            for (uint32_t j = 0; j < m->positive_count; j++)
                if (m->judgements[i] > m->judgements[j])
                    sum += pow((double)(m->judgements[i] - m->judgements[j]), m->b) * m->c * (p[i] - p[j]);
        *ret_slack += 1e-5 * fabs(sum) + 1e-4;
        return sum;
    }
}

/* An example, in half of the cases a stored point. */
static struct vex_example draw_example(enum model_name name, struct model_vector *m)
{
    struct vex_example example = {0};
    uint32_t at = draw(&f, MODEL_POINTS);
    draw_vector(&f, name, m);
    if (draw(&f, 2) == 0) {
        example.vector = value_of(name, m);
        return example;
    }
    while (!f.points[at].live || (f.points[at].has & 1u << name) == 0)
        at = (at + 1) % MODEL_POINTS;
    *m = f.points[at].vectors[name];
    example.id = &f.points[at].id;
    return example;
}

/* The answer holds the best, with their scores. */
static void compare_all(struct reading *r, enum model_name name, const struct model_examples *m,
                        uint64_t want, const struct vex_scored_list *list)
{
    bool *found = calloc(MODEL_POINTS, sizeof *found);
    double worst = INFINITY, slack;
    uint64_t has = 0, wrong = 0;
    for (uint64_t i = 0; i < list->count; i++) {
        struct vex_id id = vex_rows_id(r->read.data.rows, list->entries[i].slot);
        const struct model_point *p = model_find(&f, &id);
        double score = model_score(name, m, &p->vectors[name], &slack);
        found[p - f.points] = true;
        wrong += !p->live || !(fabs(score - (double)list->entries[i].score) <= slack) ||
                 (double)list->entries[i].score > worst;
        worst = (double)list->entries[i].score;
    }
    for (uint32_t i = 0; i < MODEL_POINTS; i++) {
        const struct model_point *p = &f.points[i];
        if (!p->live || (p->has & 1u << name) == 0)
            continue;
        has++;
        wrong += !found[i] && list->count > 0 &&
                 model_score(name, m, &p->vectors[name], &slack) > worst + 2 * slack + 1e-5;
    }
    CU_ASSERT_EQUAL(list->count, want < has ? want : has);
    if (wrong != 0)
        fprintf(stderr, "name %d kind %d: %llu wrong\n", (int)name, (int)m->kind, (unsigned long long)wrong);
    CU_ASSERT_EQUAL(wrong, 0);
    free(found);
}

static void one_against_model(struct reading *r, enum model_name name, enum vex_examples_kind kind)
{
    struct model_examples m = {.kind = kind, .a = 0.5, .b = 1.5, .c = 0.25};
    struct vex_example positive[EXAMPLES], negative[EXAMPLES];
    bool pairs = kind == VEX_EXAMPLES_DISCOVER || kind == VEX_EXAMPLES_CONTEXT;
    struct vex_examples e = {.kind = kind,
                             .positive = positive,
                             .negative = negative,
                             .judgements = m.judgements,
                             .a = 0.5f,
                             .b = 1.5f,
                             .c = 0.25f,
                             .target = draw_example(name, &m.target)};
    struct vex_scored_list list;
    uint64_t want = draw(&f, 3) == 0 ? 100000 : 1 + draw(&f, 40);
    e.positive_count = m.positive_count = 1 + draw(&f, EXAMPLES);
    e.negative_count = m.negative_count = pairs                           ? e.positive_count
                                          : kind == VEX_EXAMPLES_FEEDBACK ? 0
                                                                          : draw(&f, EXAMPLES);
    for (uint32_t i = 0; i < m.positive_count; i++) {
        positive[i] = draw_example(name, &m.positive[i]);
        m.judgements[i] = (float)draw(&f, 4) / 4;
    }
    for (uint32_t i = 0; i < m.negative_count; i++)
        negative[i] = draw_example(name, &m.negative[i]);
    CU_ASSERT_EQUAL(reading_find(r, &e, want, &list), 0);
    compare_all(r, name, &m, want, &list);
    vex_mem_free(list.entries);
}

/* Candidates that lack the vector are passed over. */
static void without_the_vector(void)
{
    struct vex_read_filter none = {0};
    struct model_examples m = {.kind = VEX_EXAMPLES_SUM, .positive_count = 1};
    static const enum model_name names[] = {M_L2, M_MULTI_DOT, M_SPARSE};
    for (int i = 0; i < 3; i++) {
        struct vex_example example = draw_example(names[i], &m.positive[0]);
        struct vex_examples e = {.kind = VEX_EXAMPLES_SUM, .positive = &example, .positive_count = 1};
        struct vex_scored_list list;
        struct reading r;
        reading_open(&r, f.collection, model_kinds[names[i]].name);
        vex_candidates_done(&r.candidates);
        CU_ASSERT_EQUAL_FATAL(
            vex_candidates_find(&r.read, &none, (struct vex_id_list){0}, VEX_NO_ORDINAL, &r.candidates), 0);
        CU_ASSERT_EQUAL(r.candidates.count, live_count(&f));
        CU_ASSERT_EQUAL(reading_find(&r, &e, 100000, &list), 0);
        compare_all(&r, names[i], &m, 100000, &list);
        vex_mem_free(list.entries);
        reading_close(&r);
    }
}

static void against_model(void)
{
    for (enum model_name name = 0; name < M_NAMES; name++) {
        struct reading r;
        reading_open(&r, f.collection, model_kinds[name].name);
        for (int i = 0; i < 40; i++)
            one_against_model(&r, name, (enum vex_examples_kind)(i % 5));
        reading_close(&r);
    }
}

/* ---- errors ---- */

static void check_error(const char *name, struct vex_example example, int code, const char *text)
{
    struct vex_examples e = {.kind = VEX_EXAMPLES_SUM, .positive = &example, .positive_count = 1};
    struct vex_scored_list list;
    struct reading r;
    reading_open(&r, f.collection, name);
    CU_ASSERT_EQUAL(reading_find(&r, &e, 10, &list), code);
    CU_ASSERT_STRING_EQUAL(r.err.text, text);
    vex_mem_free(list.entries);
    reading_close(&r);
}

static void errors(void)
{
    static const float values[] = {1, 2, 3, 4, 5, NAN};
    static const uint32_t indices[] = {1, 2};
    struct vex_id nobody = vex_id_num(999999999);
    struct vex_example dense = {.vector = {.kind = VEX_VECTOR_DENSE, .values = values, .count = 5}};
    struct vex_example sparse = {
        .vector = {.kind = VEX_VECTOR_SPARSE, .values = values, .indices = indices, .count = 2}};
    const char *finite = "The query vector holds a value that is not a finite number";
    check_error("l2", (struct vex_example){.id = &nobody}, VEX_ENOT_FOUND,
                "No point with id 999999999 found");
    check_error("l2", dense, VEX_EBAD_INPUT, "Vector dimension error: expected dim: 6, got 5");
    check_error("sparse", dense, VEX_EBAD_INPUT, "Conversion between sparse and regular vectors failed");
    check_error("multi", sparse, VEX_EBAD_INPUT, "Conversion between sparse and regular vectors failed");
    dense.vector.count = 6;
    check_error("l2", dense, VEX_EBAD_INPUT, finite);
    dense.vector.kind = VEX_VECTOR_MULTI;
    dense.vector.rows = 1;
    check_error("l2", dense, VEX_EBAD_INPUT, "Conversion between multi and regular vectors failed");
    for (uint32_t i = 0; i < MODEL_POINTS; i++)
        if (f.points[i].live && (f.points[i].has & 1u << M_L2) == 0) {
            check_error("l2", (struct vex_example){.id = &f.points[i].id}, VEX_ENOT_FOUND,
                        "Vector with name \"l2\" for point not found");
            break;
        }
}

static void nothing_wanted_and_cancelled(void)
{
    static const float values[MODEL_DIM] = {1, 2, 3, 4, 5, 6};
    struct vex_example example = {.vector = {.kind = VEX_VECTOR_DENSE, .values = values, .count = MODEL_DIM}};
    struct vex_examples e = {.kind = VEX_EXAMPLES_BEST, .positive = &example, .positive_count = 1};
    struct vex_scored_list list;
    struct reading r;
    reading_open(&r, f.collection, "l2");
    CU_ASSERT_EQUAL(reading_find(&r, &e, 0, &list), 0);
    CU_ASSERT_EQUAL(list.count, 0);
    vex_mem_free(list.entries);
    r.cancelled = 1;
    CU_ASSERT_EQUAL(reading_find(&r, &e, 5, &list), VEX_ECANCELLED);
    CU_ASSERT_EQUAL(list.count, 0);
    vex_mem_free(list.entries);
    r.cancelled = 0;
    r.candidates.allow = NULL;
    r.candidates.count = 0;
    CU_ASSERT_EQUAL(reading_find(&r, &e, 5, &list), 0);
    CU_ASSERT_EQUAL(list.count, 0);
    vex_mem_free(list.entries);
    reading_close(&r);
}

/* ---- averages ---- */

static int average(struct reading *r, const struct vex_example *positive, uint32_t positive_count,
                   const struct vex_example *negative, uint32_t negative_count, struct vex_vector_value *ret)
{
    struct vex_nearest request = {.positive = positive,
                                  .positive_count = positive_count,
                                  .negative = negative,
                                  .negative_count = negative_count};
    return vex_nearest_average(&r->read, r->params, &request, ret);
}

static void averages(void)
{
    static const float values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint32_t a[] = {7, 2}, b[] = {2, 9}, c[] = {1, 7};
    struct vex_example sparse[] = {
        {.vector = {.kind = VEX_VECTOR_SPARSE, .values = values, .indices = a, .count = 2}},
        {.vector = {.kind = VEX_VECTOR_SPARSE, .values = values + 2, .indices = b, .count = 2}},
        {.vector = {.kind = VEX_VECTOR_SPARSE, .values = values, .indices = c, .count = 2}}};
    struct vex_example rows[] = {
        {.vector = {.kind = VEX_VECTOR_MULTI, .values = values, .count = 6, .rows = 2}},
        {.vector = {.kind = VEX_VECTOR_DENSE, .values = values + 6, .count = 6}},
        {.vector = {.kind = VEX_VECTOR_DENSE, .values = values, .count = 5}}};
    struct vex_vector_value out;
    struct reading r;
    /* {7: 1, 2: 2} and {2: 3, 9: 4} average to {2: 2.5, 7: 0.5, 9: 2}; twice that less {1: 1, 7: 2} */
    reading_open(&r, f.collection, "sparse");
    CU_ASSERT_EQUAL(average(&r, sparse, 2, NULL, 0, &out), 0);
    CU_ASSERT_FATAL(out.kind == VEX_VECTOR_SPARSE && out.count == 3);
    CU_ASSERT(memcmp(out.indices, (uint32_t[]){2, 7, 9}, 12) == 0);
    CU_ASSERT(memcmp(out.values, (float[]){2.5f, 0.5f, 2}, 12) == 0);
    CU_ASSERT_EQUAL(average(&r, sparse, 2, sparse + 2, 1, &out), 0);
    CU_ASSERT_EQUAL_FATAL(out.count, 4);
    CU_ASSERT(memcmp(out.indices, (uint32_t[]){1, 2, 7, 9}, 16) == 0);
    CU_ASSERT(memcmp(out.values, (float[]){-1, 5, -1, 4}, 16) == 0);
    CU_ASSERT_EQUAL(average(&r, NULL, 0, sparse, 1, &out), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(r.err.text, "Positive vectors should not be empty with `average` strategy");
    CU_ASSERT_EQUAL(average(&r, rows, 1, NULL, 0, &out), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(r.err.text, "Conversion between sparse and regular vectors failed");
    reading_close(&r);
    /* of multivectors: all rows, the negative ones negated */
    reading_open(&r, f.collection, "multi");
    CU_ASSERT_EQUAL(average(&r, rows, 2, rows, 1, &out), 0);
    CU_ASSERT_FATAL(out.kind == VEX_VECTOR_MULTI && out.rows == 5 && out.count == 6);
    CU_ASSERT(memcmp(out.values, values, sizeof values) == 0);
    CU_ASSERT(out.values[12] == 7 && out.values[17] == 12 && out.values[18] == -1 && out.values[29] == -12);
    CU_ASSERT_EQUAL(average(&r, rows + 2, 1, NULL, 0, &out), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(r.err.text, "Vector dimension error: expected dim: 6, got 5");
    reading_close(&r);
    reading_open(&r, f.collection, "l1");
    CU_ASSERT_EQUAL(average(&r, rows + 1, 1, rows, 1, &out), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(r.err.text, "Conversion between multi and regular vectors failed");
    CU_ASSERT_EQUAL(average(&r, rows + 1, 1, rows + 1, 1, &out), 0);
    CU_ASSERT(out.count == 6 && out.values[0] == 7 && out.values[5] == 12);
    reading_close(&r);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"worked by hand", by_hand},
        {"against a model", against_model},
        {"candidates without the vector", without_the_vector},
        {"what examples may not be", errors},
        {"nothing wanted, nothing to choose from, cancelled", nothing_wanted_and_cancelled},
        {"averages", averages},
        CU_TEST_INFO_NULL,
    };
    bool open = fixture_open(&f) && fixture_fill(&f, 40);
    int failed = open ? run_suite("scores by examples", tests) : 1;
    fixture_close(&f);
    return failed;
}
