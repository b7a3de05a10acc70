/* Formulas over payloads and scores: every kind of expression by hand, defaults, and what the peer refuses. */
#include "engine_query_fixture.h"

#include "engine/point/value_json.h"
#include "engine/query/formula.h"

static struct fixture f;
static struct vex_collection *collection;

/* ---- points ---- */

static const char *const payloads[] = {
    "{\"n\": 3, \"x\": -2.5, \"one\": [7], \"two\": [1, 2], \"none\": [], \"text\": \"seven\", \"nil\": null,"
    " \"yes\": true, \"big\": 18446744073709551615, \"deep\": {\"a\": [{\"b\": 4}, {\"c\": 5}]}, \"nested\": "
    "[[6]],"
    " \"place\": {\"lon\": 13.405, \"lat\": 52.52}, \"off\": {\"lon\": 181, \"lat\": 0}, \"half\": {\"lon\": "
    "1},"
    " \"when\": \"2024-01-02T03:04:05.5Z\", \"huge\": 1e300, \"mixed\": [null, 2, 0.5]}",
    NULL, /* no payload */
};

static struct vex_str cbor(struct vex_arena *arena, const char *text)
{
    struct vex_json_parser *parser = vex_json_parser_new();
    struct vex_json json;
    struct vex_buf out;
    struct vex_err err;
    vex_buf_init(&out, arena);
    if (vex_json_parse(parser, text, strlen(text), &json, &err) != 0 ||
        vex_value_from_json(&out, json, &err) != 0)
        abort();
    vex_json_parser_free(parser);
    return vex_buf_str(&out);
}

static bool fill(void)
{
    struct vex_config *config = vex_config_new();
    struct vex_vector_params params = {.name = VEX_STR(""), .size = 1};
    struct vex_point points[2] = {{.id = vex_id_num(0)}, {.id = vex_id_num(1)}};
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = 2}};
    struct vex_err err;
    points[0].payload = cbor(&f.arena, payloads[0]);
    return vex_config_add_vector(config, &params, &err) == 0 &&
           create_collection(&f, "formula", config, &collection) && submit(collection, &op) == 0;
}

/* ---- expressions ---- */

static struct vex_expression number(double value)
{
    return (struct vex_expression){.kind = VEX_EXPR_CONSTANT, .constant = value};
}

static struct vex_expression at(enum vex_expression_kind kind, const char *path)
{
    struct vex_expression e = {.kind = kind, .geo = {13.405, 52.52}};
    struct vex_err err;
    CU_ASSERT_EQUAL_FATAL(vex_path_parse(&f.arena, vex_str_c(path), &e.path, &err), 0);
    return e;
}

static struct vex_expression variable(const char *path)
{
    return at(VEX_EXPR_VARIABLE, path);
}

static struct vex_expression score(uint32_t index)
{
    return (struct vex_expression){.kind = VEX_EXPR_SCORE, .index = index};
}

static struct vex_expression with(enum vex_expression_kind kind, uint32_t count,
                                  const struct vex_expression *operands)
{
    struct vex_expression e = {.kind = kind, .operand_count = count, .scale = 1, .midpoint = 0.5};
    e.operands = VEX_ARENA_ARRAY(&f.arena, struct vex_expression, count + 1);
    if (count != 0)
        memcpy(e.operands, operands, count * sizeof *operands);
    return e;
}

static struct vex_expression of(enum vex_expression_kind kind, struct vex_expression operand)
{
    return with(kind, 1, &operand);
}

static struct vex_expression of_two(enum vex_expression_kind kind, struct vex_expression a,
                                    struct vex_expression b)
{
    return with(kind, 2, (struct vex_expression[]){a, b});
}

/* ---- evaluation ---- */

static const float scores[] = {0.25f, NAN, 2};

static int run(const struct vex_formula *formula, uint64_t point, float *ret, struct vex_err *err)
{
    struct vex_read_context context = {.arena = &f.arena};
    struct vex_formula_run *run;
    struct vex_id id = vex_id_num(point);
    struct vex_read read;
    int code = vex_read_open(&read, collection, &context, "Query", err);
    CU_ASSERT_EQUAL_FATAL(code, 0);
    code = vex_formula_open(&read, formula, &run);
    if (code == 0)
        code = vex_formula_score(run, vex_rows_find(read.data.rows, &id), scores, 3, ret);
    vex_formula_close(run);
    vex_read_close(&read);
    return code;
}

static float value(struct vex_expression e)
{
    struct vex_formula formula = {.root = e};
    struct vex_err err;
    float ret = NAN;
    int code = run(&formula, 0, &ret, &err);
    if (code != 0)
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_EQUAL(code, 0);
    return ret;
}

static bool is(struct vex_expression e, double want)
{
    float got = value(e);
    if (fabs((double)got - want) <= 1e-6 * fmax(fabs(want), 1))
        return true;
    fprintf(stderr, "%.9g, not %.9g\n", (double)got, want);
    return false;
}

static bool refused_with(const struct vex_formula *formula, uint64_t point, const char *text)
{
    struct vex_err err;
    float ret;
    if (run(formula, point, &ret, &err) == VEX_EBAD_INPUT && strcmp(err.text, text) == 0)
        return true;
    fprintf(stderr, "%s\n", err.text);
    return false;
}

static bool refused(struct vex_expression e, const char *text)
{
    struct vex_formula formula = {.root = e};
    return refused_with(&formula, 0, text);
}

/* ---- tests ---- */

static void arithmetic(void)
{
    struct vex_expression three[] = {number(2), number(-5), number(0.5)};
    CU_ASSERT(is(number(1.5), 1.5));
    CU_ASSERT(is(with(VEX_EXPR_SUM, 3, three), -2.5));
    CU_ASSERT(is(with(VEX_EXPR_MULT, 3, three), -5));
    CU_ASSERT(is(with(VEX_EXPR_MAX, 3, three), 2));
    CU_ASSERT(is(with(VEX_EXPR_MIN, 3, three), -5));
    CU_ASSERT(is(with(VEX_EXPR_SUM, 0, NULL), 0));
    CU_ASSERT(is(with(VEX_EXPR_MULT, 0, NULL), 1));
    CU_ASSERT(is(of_two(VEX_EXPR_DIV, number(3), number(-4)), -0.75));
    CU_ASSERT(is(of_two(VEX_EXPR_POW, number(2), number(-3)), 0.125));
    CU_ASSERT(is(of(VEX_EXPR_NEG, number(2)), -2));
    CU_ASSERT(is(of(VEX_EXPR_ABS, number(-2)), 2));
    CU_ASSERT(is(of(VEX_EXPR_SQRT, number(2.25)), 1.5));
    CU_ASSERT(is(of(VEX_EXPR_EXP, number(1)), 2.718281828));
    CU_ASSERT(is(of(VEX_EXPR_LOG10, number(0.01)), -2));
    CU_ASSERT(is(of(VEX_EXPR_LN, number(2)), 0.693147181));
    CU_ASSERT(is(of(VEX_EXPR_ACOSH, number(2)), 1.316957897));
    CU_ASSERT(!signbit(value(of(VEX_EXPR_NEG, number(0)))));
    /* what comes after a zero isn't looked at */
    CU_ASSERT(is(of_two(VEX_EXPR_MULT, number(0), variable("missing")), 0));
    CU_ASSERT(is(of_two(VEX_EXPR_DIV, number(0), variable("missing")), 0));
    CU_ASSERT(is(of_two(VEX_EXPR_DIV, number(0), number(0)), 0));
    struct vex_expression by_zero = of_two(VEX_EXPR_DIV, number(1), number(0));
    by_zero.has_constant = true;
    by_zero.constant = 9;
    CU_ASSERT(is(by_zero, 9));
    CU_ASSERT(is(of_two(VEX_EXPR_DIV, number(1), by_zero), 1.0 / 9));
}

static void decays(void)
{
    struct vex_expression e = of(VEX_EXPR_EXP_DECAY, number(2));
    CU_ASSERT(is(e, 0.25));
    e.kind = VEX_EXPR_GAUSS_DECAY;
    CU_ASSERT(is(e, 0.0625));
    e.kind = VEX_EXPR_LIN_DECAY;
    CU_ASSERT(is(e, 0));
    e = of(VEX_EXPR_LIN_DECAY, number(-5)); /* never below 0 */
    CU_ASSERT(is(e, 0));
    e = of_two(VEX_EXPR_EXP_DECAY, number(1), number(5)); /* one scale away it is the midpoint */
    e.scale = 4;
    e.midpoint = 0.3;
    CU_ASSERT(is(e, 0.3));
    e.kind = VEX_EXPR_GAUSS_DECAY;
    CU_ASSERT(is(e, 0.3));
    e.kind = VEX_EXPR_LIN_DECAY;
    CU_ASSERT(is(e, 0.3));
    e.scale = 8;
    CU_ASSERT(is(e, 0.65));
    e.kind = VEX_EXPR_GAUSS_DECAY;
    CU_ASSERT(is(e, pow(0.3, 0.25)));
    e.kind = VEX_EXPR_EXP_DECAY;
    CU_ASSERT(is(e, sqrt(0.3)));
}

static void payload(void)
{
    CU_ASSERT(is(variable("n"), 3));
    CU_ASSERT(is(variable("\"n\""), 3));
    CU_ASSERT(is(variable("x"), -2.5));
    CU_ASSERT(is(variable("one"), 7));
    CU_ASSERT(is(variable("two[1]"), 2));
    CU_ASSERT(is(variable("nested[0]"), 6));
    CU_ASSERT(is(variable("deep.a[].b"), 4));
    CU_ASSERT(is(variable("deep.a[1].c"), 5));
    CU_ASSERT(is(variable("big"), 18446744073709551615.0));
    CU_ASSERT(is(at(VEX_EXPR_DATETIME_KEY, "when"), 1704164645.5));
    CU_ASSERT(is((struct vex_expression){.kind = VEX_EXPR_DATETIME, .constant = 12}, 12));
    CU_ASSERT(is(at(VEX_EXPR_GEO_DISTANCE, "place"), 0));
    struct vex_expression paris = at(VEX_EXPR_GEO_DISTANCE, "place");
    paris.geo[0] = 2.3522;
    paris.geo[1] = 48.8566;
    CU_ASSERT(fabsf(value(paris) - 877463.3f) < 50);
}

static void conditions(void)
{
    struct vex_filter *filter = VEX_ARENA_NEW(&f.arena, struct vex_filter);
    struct vex_cond cond = {.kind = VEX_COND_RANGE,
                            .path = vex_path_key(&f.arena, VEX_STR("n")),
                            .range = {.has_gt = true, .gt = 2}};
    struct vex_expression e = {.kind = VEX_EXPR_CONDITION, .condition = filter};
    struct vex_formula formula = {.root = e};
    struct vex_err err;
    float ret;
    add_cond(&f.arena, &filter->must, cond);
    CU_ASSERT(is(of_two(VEX_EXPR_MULT, number(4), e), 4));
    CU_ASSERT(run(&formula, 1, &ret, &err) == 0 && ret == 0);
    filter->must.conds[0].kind = VEX_COND_REGEX;
    filter->must.conds[0].text = VEX_STR("(");
    CU_ASSERT_EQUAL(run(&formula, 0, &ret, &err), VEX_EBAD_INPUT);
}

static void defaults(void)
{
    struct vex_formula_default list[] = {
        {.is_score = true, .index = 1, .value = {(const uint8_t *)cbor(&f.arena, "1").ptr}},
        {.path = variable("missing").path, .value = {(const uint8_t *)cbor(&f.arena, "4").ptr}},
        {.path = variable("n").path, .value = {(const uint8_t *)cbor(&f.arena, "5").ptr}},
        {.is_score = true, .index = 1, .value = {(const uint8_t *)cbor(&f.arena, "8.5").ptr}},
        {.path = variable("list").path, .value = {(const uint8_t *)cbor(&f.arena, "[6]").ptr}},
        {.path = variable("empty").path, .value = {(const uint8_t *)cbor(&f.arena, "[]").ptr}},
        {.is_score = true, .index = 7, .value = {(const uint8_t *)cbor(&f.arena, "\"x\"").ptr}},
        {.path = variable("i[0]").path, .value = {(const uint8_t *)cbor(&f.arena, "3").ptr}},
        {.path = variable("d").path, .value = {(const uint8_t *)cbor(&f.arena, "\"1970-01-02\"").ptr}},
        {.path = variable("g[0].h").path,
         .value = {(const uint8_t *)cbor(&f.arena, "{\"lon\": 13.405, \"lat\": 52.52}").ptr}},
    };
    struct vex_formula formula = {.defaults = list, .default_count = sizeof list / sizeof *list};
    const struct {
        struct vex_expression e;
        float want;
    } cases[] = {
        {score(0), 0.25f},
        {score(1), 8.5f},
        {score(2), 2},
        {score(3), 0},
        {score(7), 0},
        {variable("missing"), 4},
        {variable("n"), 3},
        {variable("list"), 6},
        {at(VEX_EXPR_DATETIME_KEY, "d"), 86400},
        {at(VEX_EXPR_GEO_DISTANCE, "g[0].h"), 0},
        {variable("i[0]"), 3},
        {variable("i[1]"), NAN},
        {variable("none"), NAN},
        {variable("empty"), NAN},
        {variable("g[1].h"), NAN},
    };
    struct vex_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float ret = NAN;
        formula.root = cases[i].e;
        CU_ASSERT_EQUAL(run(&formula, 0, &ret, &err), isnan(cases[i].want) ? VEX_EBAD_INPUT : 0);
        CU_ASSERT(isnan(cases[i].want) || ret == cases[i].want);
    }
    formula.root = variable("n");
    float ret;
    CU_ASSERT(run(&formula, 1, &ret, &err) == 0 && ret == 5); /* no payload at all */
}

/* Values that an index of the field does not hold are not there. */
static void indexed(void)
{
    static const struct {
        const char *field;
        enum vex_index_type type;
        float want;
    } cases[] = {
        {"nil", VEX_INDEX_FLOAT, 9},  {"text", VEX_INDEX_FLOAT, 9},    {"x", VEX_INDEX_INTEGER, 9},
        {"x", VEX_INDEX_FLOAT, -2.5}, {"mixed", VEX_INDEX_INTEGER, 2}, {"mixed", VEX_INDEX_FLOAT, NAN},
        {"n", VEX_INDEX_KEYWORD, 9},  {"n", VEX_INDEX_BOOL, 9},        {"n", VEX_INDEX_GEO, 9},
        {"n", VEX_INDEX_UUID, 9},     {"n", VEX_INDEX_DATETIME, 9},    {"n", VEX_INDEX_TEXT, 3},
        {"nil", VEX_INDEX_TEXT, NAN}, {"big", VEX_INDEX_INTEGER, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_config *config;
        struct vex_collection *other;
        struct vex_err err;
        char name[20];
        snprintf(name, sizeof name, "indexed %zu", i);
        struct vex_index_params params = {
            .field = vex_str_c(cases[i].field), .type = cases[i].type, .range = true, .lookup = true};
        config = vex_config_new();
        vex_config_set_index(config, &params);
        CU_ASSERT_FATAL(create_collection(&f, name, config, &other));
        struct vex_point point = {.id = vex_id_num(0), .payload = cbor(&f.arena, payloads[0])};
        struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = &point, .count = 1}};
        CU_ASSERT_EQUAL_FATAL(submit(other, &op), 0);
        struct vex_formula_default nine = {.path = variable(cases[i].field).path,
                                           .value = {(const uint8_t *)cbor(&f.arena, "9").ptr}};
        struct vex_formula formula = {
            .root = variable(cases[i].field), .defaults = &nine, .default_count = 1};
        struct vex_collection *kept = collection;
        float ret = NAN;
        collection = other;
        CU_ASSERT_EQUAL(run(&formula, 0, &ret, &err), isnan(cases[i].want) ? VEX_EBAD_INPUT : 0);
        CU_ASSERT(isnan(cases[i].want) || ret == cases[i].want);
        collection = kept;
        vex_collection_unref(other);
    }
}

static void missing_and_wrong(void)
{
    struct vex_formula formula = {.root = variable("n")};
#define EXPECTED(type, name, why)                                                                            \
    "Expected " type " value for " name " in the payload and/or in the formula defaults. Error: " why
    CU_ASSERT(refused(variable("missing"),
                      EXPECTED("number", "missing", "No value found in a payload nor defaults")));
    CU_ASSERT(refused_with(&formula, 1, EXPECTED("number", "n", "No value found in a payload nor defaults")));
    CU_ASSERT(
        refused(variable("none"), EXPECTED("number", "none", "No value found in a payload nor defaults")));
    CU_ASSERT(refused(variable("text"), EXPECTED("number", "text", "Value is not a number")));
    CU_ASSERT(refused(variable("yes"), EXPECTED("number", "yes", "Value is not a number")));
    CU_ASSERT(refused(variable("nil"), EXPECTED("number", "nil", "Value is not a number")));
    CU_ASSERT(refused(variable("two"), EXPECTED("number", "two", "Value is not a number")));
    CU_ASSERT(refused(variable("nested[]"), EXPECTED("number", "nested[]", "Value is not a number")));
    CU_ASSERT(
        refused(at(VEX_EXPR_GEO_DISTANCE, "off"), EXPECTED("geo point", "off", "Value is not a geo point")));
    CU_ASSERT(refused(at(VEX_EXPR_GEO_DISTANCE, "half"),
                      EXPECTED("geo point", "half", "Value is not a geo point")));
    CU_ASSERT(
        refused(at(VEX_EXPR_GEO_DISTANCE, "n"), EXPECTED("geo point", "n", "Value is not a geo point")));
    CU_ASSERT(refused(at(VEX_EXPR_DATETIME_KEY, "n"), EXPECTED("datetime", "n", "Value is not a string")));
    CU_ASSERT(
        refused(at(VEX_EXPR_DATETIME_KEY, "text"), EXPECTED("datetime", "text", "Value is not a datetime")));
#undef EXPECTED
}

static void not_finite(void)
{
#define PRODUCED(what) "The expression " what " produced a non-finite number"
    CU_ASSERT(refused(of_two(VEX_EXPR_DIV, number(1), number(0)), PRODUCED("1/0 = inf")));
    CU_ASSERT(refused(of_two(VEX_EXPR_DIV, number(-2.5), number(0)), PRODUCED("-2.5/0 = -inf")));
    CU_ASSERT(refused(of_two(VEX_EXPR_POW, number(-1), number(0.5)), PRODUCED("-1^0.5 = NaN")));
    CU_ASSERT(refused(of(VEX_EXPR_SQRT, number(-4)), PRODUCED("√-4 = NaN")));
    CU_ASSERT(refused(of(VEX_EXPR_EXP, number(1000)), PRODUCED("exp(1000) = inf")));
    CU_ASSERT(refused(of(VEX_EXPR_LOG10, number(0)), PRODUCED("log10(0) = -inf")));
    CU_ASSERT(refused(of(VEX_EXPR_LN, number(-1)), PRODUCED("ln(-1) = NaN")));
    CU_ASSERT(refused(of(VEX_EXPR_ACOSH, number(0.5)), PRODUCED("acosh(0.5) = NaN")));
    CU_ASSERT(refused(with(VEX_EXPR_MAX, 0, NULL), PRODUCED("-inf as f32 = -inf")));
    /* finite on the way, but not as the score */
    CU_ASSERT(refused(variable("huge"), PRODUCED("1e300 as f32 = inf")));
    CU_ASSERT(is(of_two(VEX_EXPR_DIV, variable("huge"), variable("huge")), 1));
#undef PRODUCED
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"arithmetic", arithmetic},
        {"decays", decays},
        {"the payload", payload},
        {"conditions", conditions},
        {"defaults", defaults},
        {"fields with an index", indexed},
        {"missing and wrong values", missing_and_wrong},
        {"results that are no numbers", not_finite},
        CU_TEST_INFO_NULL,
    };
    bool open = fixture_open(&f) && fill();
    int failed = open ? run_suite("formulas", tests) : 1;
    vex_collection_unref(collection);
    fixture_close(&f);
    return failed;
}
