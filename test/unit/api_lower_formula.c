/* Lowering formulas: every kind of expression, defaults, and what is refused in which words. */
#include <stdio.h>

#include "api_kit.h"
#include "api/qdrant/lower_stage.h"

static int lower(struct vex_call *call, const Qdrant__Expression *e, struct vex_expression *ret)
{
    Qdrant__Formula in = QDRANT__FORMULA__INIT;
    struct vex_formula out;
    int code;

    memset(&call->err, 0, sizeof call->err);
    in.expression = (Qdrant__Expression *)e;
    code = vex_lower_formula(call, &in, &out);
    *ret = out.root;
    return code;
}

static Qdrant__Expression constant(float value)
{
    Qdrant__Expression e = QDRANT__EXPRESSION__INIT;

    e.variant_case = QDRANT__EXPRESSION__VARIANT_CONSTANT;
    e.constant = value;
    return e;
}

static Qdrant__Expression variable(char *name)
{
    Qdrant__Expression e = QDRANT__EXPRESSION__INIT;

    e.variant_case = QDRANT__EXPRESSION__VARIANT_VARIABLE;
    e.variable = name;
    return e;
}

static bool refused(struct vex_call *call, const Qdrant__Expression *e, int code, const char *text)
{
    struct vex_expression out;

    if (lower(call, e, &out) == code && strcmp(call->err.text, text) == 0)
        return true;
    fprintf(stderr, "%d: %s\n", call->err.code, call->err.text);
    return false;
}

static void variables(void)
{
    static const struct {
        char *name;
        int index; /* -1: of the payload */
        const char *error;
    } cases[] = {
        {"$score", 0, NULL},
        {"$score[3]", 3, NULL},
        {"price", -1, NULL},
        {"a.b[].c", -1, NULL},
        {"$scores", 0, "$scores: Invalid reserved word: $scores"},
        {"$score[]", 0, "$score[]: Invalid reserved variable: $score[]"},
        {"$score.a", 0, "$score.a: Invalid reserved variable: $score.a"},
        {"$score[1][2]", 0, "$score[1][2]: Invalid reserved variable: $score[1][2]"},
        {"$score[-1]", 0, "$score[-1]: Invalid reserved variable: $score[-1]"},
        {"$", 0, "$: Invalid reserved variable: $"},
        {"a[", 0, "a[: Invalid payload variable: a["},
    };
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Qdrant__Expression e = variable(cases[i].name);
        struct vex_expression out;
        char text[200];

        if (cases[i].error != NULL) {
            snprintf(text, sizeof text, "Validation failed: failed to parse variable ID %s", cases[i].error);
            CU_ASSERT(refused(call, &e, VEX_EBAD_INPUT, text));
            continue;
        }
        CU_ASSERT_EQUAL(lower(call, &e, &out), 0);
        CU_ASSERT_EQUAL(out.kind, cases[i].index < 0 ? VEX_EXPR_VARIABLE : VEX_EXPR_SCORE);
        CU_ASSERT(cases[i].index < 0 ? vex_str_eq(out.path.text, vex_str_c(cases[i].name))
                                     : out.index == (uint32_t)cases[i].index);
    }
    kit_close(&kit);
}

static void operations(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Expression a = constant(0.1f), b = variable("x"), e = QDRANT__EXPRESSION__INIT,
                       *both[] = {&a, &b};
    Qdrant__MultExpression mult = QDRANT__MULT_EXPRESSION__INIT;
    Qdrant__DivExpression div = QDRANT__DIV_EXPRESSION__INIT;
    Qdrant__PowExpression pow = QDRANT__POW_EXPRESSION__INIT;
    Qdrant__MaxExpression max = QDRANT__MAX_EXPRESSION__INIT;
    Qdrant__MinExpression min = QDRANT__MIN_EXPRESSION__INIT;
    struct vex_expression out;

    mult.n_mult = 2;
    mult.mult = both;
    e.variant_case = QDRANT__EXPRESSION__VARIANT_MULT;
    e.mult = &mult;
    CU_ASSERT_EQUAL(lower(call, &e, &out), 0);
    CU_ASSERT_FATAL(out.kind == VEX_EXPR_MULT && out.operand_count == 2);
    CU_ASSERT(out.operands[0].kind == VEX_EXPR_CONSTANT && out.operands[0].constant == (double)0.1f);
    CU_ASSERT_EQUAL(out.operands[1].kind, VEX_EXPR_VARIABLE);
    e.variant_case = QDRANT__EXPRESSION__VARIANT_DIV;
    e.div = &div;
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: left"));
    div.left = &a;
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: right"));
    div.right = &b;
    CU_ASSERT(lower(call, &e, &out) == 0 && out.kind == VEX_EXPR_DIV && !out.has_constant);
    div.has_by_zero_default = true;
    div.by_zero_default = 3;
    CU_ASSERT(lower(call, &e, &out) == 0 && out.has_constant && out.constant == 3);
    e.variant_case = QDRANT__EXPRESSION__VARIANT_POW;
    e.pow = &pow;
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: base"));
    pow.base = &b;
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: exponent"));
    pow.exponent = &a;
    CU_ASSERT(lower(call, &e, &out) == 0 && out.kind == VEX_EXPR_POW &&
              out.operands[1].kind == VEX_EXPR_CONSTANT);
    e.variant_case = QDRANT__EXPRESSION__VARIANT_MAX;
    e.max = &max;
    CU_ASSERT(refused(call, &e, VEX_EBAD_INPUT, "Validation failed: `max` needs at least one operand"));
    max.n_max = 2;
    max.max = both;
    CU_ASSERT(lower(call, &e, &out) == 0 && out.kind == VEX_EXPR_MAX && out.operand_count == 2);
    e.variant_case = QDRANT__EXPRESSION__VARIANT_MIN;
    e.min = &min;
    CU_ASSERT(refused(call, &e, VEX_EBAD_INPUT, "Validation failed: `min` needs at least one operand"));
    min.n_min = 1;
    min.min = both;
    CU_ASSERT(lower(call, &e, &out) == 0 && out.kind == VEX_EXPR_MIN && out.operand_count == 1);
    kit_close(&kit);
}

static void of_one(void)
{
    static const struct {
        Qdrant__Expression__VariantCase variant;
        enum vex_expression_kind kind;
    } cases[] = {
        {QDRANT__EXPRESSION__VARIANT_NEG, VEX_EXPR_NEG},     {QDRANT__EXPRESSION__VARIANT_ABS, VEX_EXPR_ABS},
        {QDRANT__EXPRESSION__VARIANT_SQRT, VEX_EXPR_SQRT},   {QDRANT__EXPRESSION__VARIANT_EXP, VEX_EXPR_EXP},
        {QDRANT__EXPRESSION__VARIANT_LOG10, VEX_EXPR_LOG10}, {QDRANT__EXPRESSION__VARIANT_LN, VEX_EXPR_LN},
        {QDRANT__EXPRESSION__VARIANT_ACOSH, VEX_EXPR_ACOSH},
    };
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Expression a = constant(2), nothing = QDRANT__EXPRESSION__INIT;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Qdrant__Expression e = QDRANT__EXPRESSION__INIT;
        struct vex_expression out;

        e.variant_case = cases[i].variant;
        e.neg = &a;
        CU_ASSERT_EQUAL(lower(call, &e, &out), 0);
        CU_ASSERT_EQUAL(out.kind, cases[i].kind);
        CU_ASSERT_FATAL(out.operand_count == 1);
        CU_ASSERT_EQUAL(out.operands[0].constant, 2);
        e.neg = &nothing;
        CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: variant"));
    }
    kit_close(&kit);
}

static void decays(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Expression x = constant(2), e = QDRANT__EXPRESSION__INIT;
    Qdrant__DecayParamsExpression params = QDRANT__DECAY_PARAMS_EXPRESSION__INIT;
    struct vex_expression out;

    e.variant_case = QDRANT__EXPRESSION__VARIANT_GAUSS_DECAY;
    e.gauss_decay = &params;
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: x"));
    params.x = &x;
    CU_ASSERT_EQUAL(lower(call, &e, &out), 0);
    CU_ASSERT(out.kind == VEX_EXPR_GAUSS_DECAY && out.operand_count == 1 && out.scale == 1 &&
              out.midpoint == 0.5);
    params.target = &x;
    params.has_scale = params.has_midpoint = true;
    params.scale = 4;
    params.midpoint = 0.25f;
    e.variant_case = QDRANT__EXPRESSION__VARIANT_EXP_DECAY;
    CU_ASSERT_EQUAL(lower(call, &e, &out), 0);
    CU_ASSERT(out.kind == VEX_EXPR_EXP_DECAY && out.operand_count == 2 && out.scale == 4 &&
              out.midpoint == 0.25);
    params.midpoint = 1;
    CU_ASSERT(refused(call, &e, VEX_EBAD_INPUT,
                      "Validation failed: Decay midpoint should be in the range (0.0, 1.0), got 1."));
    e.variant_case = QDRANT__EXPRESSION__VARIANT_LIN_DECAY;
    CU_ASSERT(lower(call, &e, &out) == 0 && out.kind == VEX_EXPR_LIN_DECAY && out.midpoint == 1);
    params.midpoint = 1.5f;
    CU_ASSERT(
        refused(call, &e, VEX_EBAD_INPUT,
                "Validation failed: Linear decay midpoint should be in the range [0.0, 1.0], got 1.5."));
    params.midpoint = 0;
    params.scale = 0;
    CU_ASSERT(refused(call, &e, VEX_EBAD_INPUT,
                      "Validation failed: Decay scale should be non-zero positive, got 0."));
    kit_close(&kit);
}

static void leaves(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Expression e = QDRANT__EXPRESSION__INIT;
    Qdrant__GeoDistance geo = QDRANT__GEO_DISTANCE__INIT;
    Qdrant__GeoPoint origin = QDRANT__GEO_POINT__INIT;
    Qdrant__Condition condition = QDRANT__CONDITION__INIT;
    Qdrant__IsEmptyCondition empty = QDRANT__IS_EMPTY_CONDITION__INIT;
    struct vex_expression out;

    e.variant_case = QDRANT__EXPRESSION__VARIANT_GEO_DISTANCE;
    e.geo_distance = &geo;
    geo.to = "place[";
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: origin"));
    geo.origin = &origin;
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "invalid payload key"));
    geo.to = "place";
    origin.lon = 3;
    origin.lat = 4;
    CU_ASSERT_EQUAL(lower(call, &e, &out), 0);
    CU_ASSERT(out.kind == VEX_EXPR_GEO_DISTANCE && out.geo[0] == 3 && out.geo[1] == 4 && out.path.count == 1);
    e.variant_case = QDRANT__EXPRESSION__VARIANT_DATETIME;
    e.datetime = "1970-01-01T00:01:00.25Z";
    CU_ASSERT(lower(call, &e, &out) == 0 && out.kind == VEX_EXPR_DATETIME && out.constant == 60.25);
    e.datetime = "soon";
    CU_ASSERT(refused(call, &e, VEX_EBAD_INPUT,
                      "Validation failed: failed to parse date-time soon: it is not a date-time"));
    e.variant_case = QDRANT__EXPRESSION__VARIANT_DATETIME_KEY;
    CU_ASSERT(lower(call, &e, &out) == 0 && out.kind == VEX_EXPR_DATETIME_KEY && out.path.count == 1);
    e.datetime_key = "";
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "invalid payload key"));
    e.variant_case = QDRANT__EXPRESSION__VARIANT_CONDITION;
    e.condition = &condition;
    CU_ASSERT(refused(call, &e, VEX_EFORMAT, "missing field: condition"));
    condition.condition_one_of_case = QDRANT__CONDITION__CONDITION_ONE_OF_IS_EMPTY;
    condition.is_empty = &empty;
    empty.key = "k";
    CU_ASSERT_EQUAL(lower(call, &e, &out), 0);
    CU_ASSERT_FATAL(out.kind == VEX_EXPR_CONDITION && out.condition != NULL &&
                    out.condition->must.count == 1);
    CU_ASSERT_EQUAL(out.condition->must.conds[0].kind, VEX_COND_IS_EMPTY);
    CU_ASSERT(refused(call, NULL, VEX_EFORMAT, "missing field: expression"));
    kit_close(&kit);
}

static void defaults(void)
{
    struct kit kit;
    struct vex_call *call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    Qdrant__Expression e = variable("$score");
    Qdrant__Formula in = QDRANT__FORMULA__INIT;
    Qdrant__Formula__DefaultsEntry entries[2], *list[] = {&entries[0], &entries[1]};
    Qdrant__Value values[2];
    struct vex_formula out;

    for (int i = 0; i < 2; i++) {
        qdrant__formula__defaults_entry__init(&entries[i]);
        qdrant__value__init(&values[i]);
        entries[i].value = &values[i];
    }
    in.expression = &e;
    in.n_defaults = 2;
    in.defaults = list;
    entries[0].key = "$score[2]";
    values[0].kind_case = QDRANT__VALUE__KIND_DOUBLE_VALUE;
    values[0].double_value = 0.5;
    entries[1].key = "a.b";
    values[1].kind_case = QDRANT__VALUE__KIND_STRING_VALUE;
    values[1].string_value = "text";
    CU_ASSERT_EQUAL(vex_lower_formula(call, &in, &out), 0);
    CU_ASSERT_FATAL(out.default_count == 2);
    CU_ASSERT(out.defaults[0].is_score && out.defaults[0].index == 2);
    CU_ASSERT_EQUAL(vex_value_double(out.defaults[0].value), 0.5);
    CU_ASSERT(!out.defaults[1].is_score && out.defaults[1].path.count == 2);
    CU_ASSERT(vex_str_eq(vex_value_text(out.defaults[1].value), VEX_STR("text")));
    entries[1].key = "$other";
    CU_ASSERT_EQUAL(vex_lower_formula(call, &in, &out), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(call->err.text, "Validation failed: failed to parse variable ID $other: Invalid "
                                           "reserved word: $other");
    kit_close(&kit);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"variables", variables}, {"operations", operations}, {"operations of one", of_one},
        {"decays", decays},       {"leaves", leaves},         {"defaults", defaults},
        CU_TEST_INFO_NULL,
    };

    return run_suite("lowering formulas", tests);
}
