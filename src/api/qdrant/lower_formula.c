/* Lowering formulas: expressions over scores and the payload. See lower_stage.h.
 *
 * What the message lacks is the request's fault (VEX_EFORMAT), what it says wrongly fails validation, in the peer's words. */
#include "api/qdrant/lower_stage.h"

#include "base/json_write.h"
#include "base/time.h"

#define MIDPOINT_DEFAULT 0.5
#define SCALE_DEFAULT    1.0

static int lower_expression(struct vex_call *call, const Qdrant__Expression *in, struct vex_expression *ret);

static int missing(struct vex_call *call, const char *field)
{
    return vex_qdrant_malformed(call, "missing field: %s", field);
}

/* ---- variables ---- */

static int bad_variable(struct vex_call *call, const char *text, const char *what)
{
    return vex_err_set(&call->err, VEX_EBAD_INPUT,
                       "Validation failed: failed to parse variable ID %.500s: %s: %.500s", text, what, text);
}

/* "$score", "$score[2]", or a path of the payload. */
static int lower_variable(struct vex_call *call, struct vex_str name, bool *ret_score, uint32_t *ret_index,
                          struct vex_path *ret_path)
{
    const char *text = vex_arena_printf(&call->arena, VEX_STR_FMT, VEX_STR_ARG(name));
    bool reserved = name.len != 0 && name.ptr[0] == '$';
    struct vex_str path = reserved ? vex_str(name.ptr + 1, name.len - 1) : name;
    struct vex_err err = {0};

    *ret_score = reserved;
    *ret_index = 0;
    if (vex_path_parse(&call->arena, path, ret_path, &err) != 0)
        return bad_variable(call, text, reserved ? "Invalid reserved variable" : "Invalid payload variable");
    if (!reserved)
        return 0;
    if (!vex_str_eq(ret_path->steps[0].key, VEX_STR("score")))
        return bad_variable(call, text, "Invalid reserved word");
    if (ret_path->count == 1)
        return 0;
    if (ret_path->count > 2 || ret_path->steps[1].kind != VEX_STEP_INDEX)
        return bad_variable(call, text, "Invalid reserved variable");
    *ret_index = ret_path->steps[1].index < UINT32_MAX ? (uint32_t)ret_path->steps[1].index : UINT32_MAX;
    return 0;
}

static int lower_key(struct vex_call *call, const char *text, struct vex_path *ret)
{
    struct vex_err err = {0};

    if (vex_path_parse(&call->arena, vex_str_c(text != NULL ? text : ""), ret, &err) == 0)
        return 0;
    return vex_qdrant_malformed(call, "invalid payload key");
}

/* ---- operands ---- */

static int room(struct vex_call *call, size_t count, struct vex_expression *ret)
{
    if (count >= UINT32_MAX ||
        (ret->operands = vex_arena_try(&call->arena, (count + 1) * sizeof *ret->operands)) == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many expressions in a formula");
    return 0;
}

static int lower_all(struct vex_call *call, Qdrant__Expression *const *in, size_t count,
                     enum vex_expression_kind kind, struct vex_expression *ret)
{
    int code = room(call, count, ret);

    ret->kind = kind;
    for (size_t i = 0; i < count && code == 0; i++)
        code = lower_expression(call, in[i], &ret->operands[i]);
    ret->operand_count = (uint32_t)count;
    return code;
}

static int lower_extreme(struct vex_call *call, Qdrant__Expression *const *in, size_t count,
                         enum vex_expression_kind kind, struct vex_expression *ret)
{
    if (count == 0)
        return vex_err_set(&call->err, VEX_EBAD_INPUT, "Validation failed: `%s` needs at least one operand",
                           kind == VEX_EXPR_MAX ? "max" : "min");
    return lower_all(call, in, count, kind, ret);
}

static int lower_one(struct vex_call *call, Qdrant__Expression *in, enum vex_expression_kind kind,
                     struct vex_expression *ret)
{
    return lower_all(call, &in, 1, kind, ret);
}

static int lower_two(struct vex_call *call, Qdrant__Expression *first, const char *first_name,
                     Qdrant__Expression *second, const char *second_name, enum vex_expression_kind kind,
                     struct vex_expression *ret)
{
    Qdrant__Expression *both[] = {first, second};

    if (first == NULL || second == NULL)
        return missing(call, first == NULL ? first_name : second_name);
    return lower_all(call, both, 2, kind, ret);
}

static int lower_div(struct vex_call *call, const Qdrant__DivExpression *in, struct vex_expression *ret)
{
    ret->has_constant = in->has_by_zero_default;
    ret->constant = (double)in->by_zero_default;
    return lower_two(call, in->left, "left", in->right, "right", VEX_EXPR_DIV, ret);
}

/* ---- decays ---- */

static int out_of_range(struct vex_call *call, const char *what, double value)
{
    char text[40];
    size_t len = vex_f64_text(text, value);

    if (len > 2 && memcmp(text + len - 2, ".0", 2) == 0)
        len -= 2;
    return vex_err_set(&call->err, VEX_EBAD_INPUT, "Validation failed: %s, got %.*s.", what, (int)len, text);
}

static int lower_decay(struct vex_call *call, const Qdrant__DecayParamsExpression *in,
                       enum vex_expression_kind kind, struct vex_expression *ret)
{
    Qdrant__Expression *both[] = {in->x, in->target};
    double midpoint = in->has_midpoint ? (double)in->midpoint : MIDPOINT_DEFAULT;
    double scale = in->has_scale ? (double)in->scale : SCALE_DEFAULT;

    if (in->x == NULL)
        return missing(call, "x");
    if (kind == VEX_EXPR_LIN_DECAY && !(midpoint >= 0 && midpoint <= 1))
        return out_of_range(call, "Linear decay midpoint should be in the range [0.0, 1.0]", midpoint);
    if (kind != VEX_EXPR_LIN_DECAY && !(midpoint > 0 && midpoint < 1))
        return out_of_range(call, "Decay midpoint should be in the range (0.0, 1.0)", midpoint);
    if (!(scale > 0))
        return out_of_range(call, "Decay scale should be non-zero positive", scale);
    ret->midpoint = midpoint;
    ret->scale = scale;
    return lower_all(call, both, in->target != NULL ? 2 : 1, kind, ret);
}

/* ---- leaves ---- */

static int lower_condition(struct vex_call *call, Qdrant__Condition *in, struct vex_expression *ret)
{
    Qdrant__Filter filter = QDRANT__FILTER__INIT;

    if (in->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF__NOT_SET)
        return missing(call, "condition");
    filter.n_must = 1;
    filter.must = &in;
    ret->kind = VEX_EXPR_CONDITION;
    return vex_lower_filter(call, &filter, &ret->condition);
}

static int lower_geo(struct vex_call *call, const Qdrant__GeoDistance *in, struct vex_expression *ret)
{
    if (in->origin == NULL)
        return missing(call, "origin");
    ret->kind = VEX_EXPR_GEO_DISTANCE;
    ret->geo[0] = in->origin->lon;
    ret->geo[1] = in->origin->lat;
    return lower_key(call, in->to, &ret->path);
}

static int lower_datetime(struct vex_call *call, const char *text, struct vex_expression *ret)
{
    struct vex_str s = vex_str_c(text != NULL ? text : "");
    int64_t time;

    if (!vex_time_parse(s, &time))
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation failed: failed to parse date-time %.200s: it is not a date-time",
                           s.ptr);
    ret->kind = VEX_EXPR_DATETIME;
    ret->constant = (double)time / 1e6;
    return 0;
}

static int lower_name(struct vex_call *call, const char *text, struct vex_expression *ret)
{
    bool is_score;
    int code = lower_variable(call, vex_str_c(text != NULL ? text : ""), &is_score, &ret->index, &ret->path);

    ret->kind = is_score ? VEX_EXPR_SCORE : VEX_EXPR_VARIABLE;
    return code;
}

static int lower_leaf(struct vex_call *call, const Qdrant__Expression *in, struct vex_expression *ret)
{
    switch (in->variant_case) {
    case QDRANT__EXPRESSION__VARIANT_CONSTANT:
        ret->kind = VEX_EXPR_CONSTANT;
        ret->constant = (double)in->constant;
        return 0;
    case QDRANT__EXPRESSION__VARIANT_VARIABLE:
        return lower_name(call, in->variable, ret);
    case QDRANT__EXPRESSION__VARIANT_CONDITION:
        return lower_condition(call, in->condition, ret);
    case QDRANT__EXPRESSION__VARIANT_GEO_DISTANCE:
        return lower_geo(call, in->geo_distance, ret);
    case QDRANT__EXPRESSION__VARIANT_DATETIME:
        return lower_datetime(call, in->datetime, ret);
    case QDRANT__EXPRESSION__VARIANT_DATETIME_KEY:
        ret->kind = VEX_EXPR_DATETIME_KEY;
        return lower_key(call, in->datetime_key, &ret->path);
    default:
        return missing(call, "variant");
    }
}

static int lower_expression(struct vex_call *call, const Qdrant__Expression *in, struct vex_expression *ret)
{
    *ret = (struct vex_expression){0};
    switch (in->variant_case) {
    case QDRANT__EXPRESSION__VARIANT_MULT:
        return lower_all(call, in->mult->mult, in->mult->n_mult, VEX_EXPR_MULT, ret);
    case QDRANT__EXPRESSION__VARIANT_SUM:
        return lower_all(call, in->sum->sum, in->sum->n_sum, VEX_EXPR_SUM, ret);
    case QDRANT__EXPRESSION__VARIANT_MAX:
        return lower_extreme(call, in->max->max, in->max->n_max, VEX_EXPR_MAX, ret);
    case QDRANT__EXPRESSION__VARIANT_MIN:
        return lower_extreme(call, in->min->min, in->min->n_min, VEX_EXPR_MIN, ret);
    case QDRANT__EXPRESSION__VARIANT_DIV:
        return lower_div(call, in->div, ret);
    case QDRANT__EXPRESSION__VARIANT_POW:
        return lower_two(call, in->pow->base, "base", in->pow->exponent, "exponent", VEX_EXPR_POW, ret);
    case QDRANT__EXPRESSION__VARIANT_NEG:
        return lower_one(call, in->neg, VEX_EXPR_NEG, ret);
    case QDRANT__EXPRESSION__VARIANT_ABS:
        return lower_one(call, in->abs, VEX_EXPR_ABS, ret);
    case QDRANT__EXPRESSION__VARIANT_SQRT:
        return lower_one(call, in->sqrt, VEX_EXPR_SQRT, ret);
    case QDRANT__EXPRESSION__VARIANT_EXP:
        return lower_one(call, in->exp, VEX_EXPR_EXP, ret);
    case QDRANT__EXPRESSION__VARIANT_LOG10:
        return lower_one(call, in->log10, VEX_EXPR_LOG10, ret);
    case QDRANT__EXPRESSION__VARIANT_LN:
        return lower_one(call, in->ln, VEX_EXPR_LN, ret);
    case QDRANT__EXPRESSION__VARIANT_ACOSH:
        return lower_one(call, in->acosh, VEX_EXPR_ACOSH, ret);
    case QDRANT__EXPRESSION__VARIANT_EXP_DECAY:
        return lower_decay(call, in->exp_decay, VEX_EXPR_EXP_DECAY, ret);
    case QDRANT__EXPRESSION__VARIANT_GAUSS_DECAY:
        return lower_decay(call, in->gauss_decay, VEX_EXPR_GAUSS_DECAY, ret);
    case QDRANT__EXPRESSION__VARIANT_LIN_DECAY:
        return lower_decay(call, in->lin_decay, VEX_EXPR_LIN_DECAY, ret);
    default:
        return lower_leaf(call, in, ret);
    }
}

/* ---- defaults ---- */

static int lower_defaults(struct vex_call *call, const Qdrant__Formula *in, struct vex_formula *ret)
{
    struct vex_str bytes;
    int code = vex_lower_payload(call, (void *const *)in->defaults, in->n_defaults, &bytes);

    if (code != 0)
        return code;
    struct vex_value map = {(const uint8_t *)bytes.ptr};
    ret->defaults = vex_arena_try(&call->arena, (vex_value_count(map) + 1) * sizeof *ret->defaults);
    if (ret->defaults == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many defaults in a formula");
    for (struct vex_value_iter it = vex_value_iter(map); vex_value_next(&it) && code == 0;) {
        struct vex_formula_default *d = &ret->defaults[ret->default_count++];

        *d = (struct vex_formula_default){.value = it.value};
        code = lower_variable(call, it.key, &d->is_score, &d->index, &d->path);
    }
    return code;
}

int vex_lower_formula(struct vex_call *call, const Qdrant__Formula *in, struct vex_formula *ret)
{
    int code;

    *ret = (struct vex_formula){0};
    if (in->expression == NULL)
        return missing(call, "expression");
    code = lower_expression(call, in->expression, &ret->root);
    return code == 0 && in->n_defaults != 0 ? lower_defaults(call, in, ret) : code;
}
