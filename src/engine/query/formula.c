/* Formulas, evaluated point by point in f64 as the peer does: a product ends at its first zero, a division at a numerator of zero, and
 * every operation that may leave the finite numbers says so itself. Of a field with an index only values of the index's type are seen.
 * See formula.h. */
#include "engine/query/formula.h"

#include <math.h>
#include <string.h>

#include "base/json_write.h"
#include "base/time.h"
#include "engine/filter/match_parts.h"
#include "engine/query/plan.h"

/* An expression with what is the same for all points. */
struct node {
    const struct vex_expression *expression;
    struct node *operands;
    struct vex_value fallback; /* of a payload's value; at NULL: none */
    unsigned type;             /* enum vex_index_type of the payload field; 0: not indexed */
    double constant;           /* score: its default; decays: lambda */
    struct bound *condition;
};

struct bound {
    struct vex_read_filter filter;
    struct bound *next;
};

struct vex_formula_run {
    struct vex_read *read;
    const struct vex_formula *formula;
    struct node root;
    struct bound *bound;

    /* the point */
    uint32_t slot, count;
    const float *scores;
    struct vex_value payload;
};

/* ---- opening ---- */

static bool same_path(const struct vex_path *a, const struct vex_path *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; i < a->count && same; i++) {
        const struct vex_step *x = &a->steps[i], *y = &b->steps[i];
        same = x->kind == y->kind && (x->kind != VEX_STEP_INDEX || x->index == y->index) &&
               (x->kind != VEX_STEP_KEY || vex_str_eq(x->key, y->key));
    }
    return same;
}

/* A list of one stands for its element, an empty one for nothing. */
static struct vex_value unwrapped(struct vex_value value)
{
    if (value.at == NULL || vex_value_kind(value) != VEX_VALUE_ARRAY || vex_value_count(value) > 1)
        return value;
    struct vex_value_iter it = vex_value_iter(value);
    return vex_value_next(&it) ? it.value : (struct vex_value){0};
}

static struct vex_value default_of(const struct vex_formula *formula, const struct vex_expression *e)
{
    struct vex_value value = {0};
    for (uint32_t i = 0; i < formula->default_count; i++) {
        const struct vex_formula_default *d = &formula->defaults[i];
        if (d->is_score == (e->kind == VEX_EXPR_SCORE) &&
            (d->is_score ? d->index == e->index : same_path(&d->path, &e->path)))
            value = d->value;
    }
    return e->kind == VEX_EXPR_SCORE ? value : unwrapped(value);
}

static unsigned type_of(const struct vex_formula_run *run, const struct vex_path *path)
{
    const struct vex_index_params *params = vex_config_index(run->read->data.config, path->text);
    return params != NULL ? params->type : 0;
}

static double lambda_of(const struct vex_expression *e)
{
    switch (e->kind) {
    case VEX_EXPR_LIN_DECAY:
        return (1 - e->midpoint) / e->scale;
    case VEX_EXPR_EXP_DECAY:
        return log(e->midpoint) / e->scale;
    default:
        return log(e->midpoint) / (e->scale * e->scale);
    }
}

static int bind(struct vex_formula_run *run, const struct vex_expression *e, struct node *node)
{
    struct bound *bound = vex_arena_try(run->read->arena, sizeof *bound);
    if (bound == NULL)
        return vex_read_no_memory(run->read);
    int code = vex_read_filter_bind(run->read, e->condition, &bound->filter);
    if (code != 0)
        return code;
    bound->next = run->bound;
    run->bound = bound;
    node->condition = bound;
    return 0;
}

static int prepare(struct vex_formula_run *run, const struct vex_expression *e, struct node *node)
{
    *node = (struct node){.expression = e};
    switch (e->kind) {
    case VEX_EXPR_SCORE:
        node->fallback = default_of(run->formula, e);
        if (node->fallback.at != NULL && vex_value_is_number(node->fallback))
            node->constant = vex_value_double(node->fallback);
        break;
    case VEX_EXPR_VARIABLE:
    case VEX_EXPR_GEO_DISTANCE:
    case VEX_EXPR_DATETIME_KEY:
        node->fallback = default_of(run->formula, e);
        node->type = type_of(run, &e->path);
        break;
    case VEX_EXPR_EXP_DECAY:
    case VEX_EXPR_GAUSS_DECAY:
    case VEX_EXPR_LIN_DECAY:
        node->constant = lambda_of(e);
        break;
    case VEX_EXPR_CONDITION:
        return bind(run, e, node);
    default:
        break;
    }
    if (e->operand_count == 0)
        return 0;
    node->operands = vex_arena_try(run->read->arena, e->operand_count * sizeof *node->operands);
    if (node->operands == NULL)
        return vex_read_no_memory(run->read);
    int code = 0;
    for (uint32_t i = 0; i < e->operand_count && code == 0; i++)
        code = prepare(run, &e->operands[i], &node->operands[i]);
    return code;
}

int vex_formula_open(struct vex_read *read, const struct vex_formula *formula, struct vex_formula_run **ret)
{
    struct vex_formula_run *run = vex_arena_try(read->arena, sizeof *run);
    *ret = NULL;
    if (run == NULL)
        return vex_read_no_memory(read);
    *run = (struct vex_formula_run){.read = read, .formula = formula};
    int code = prepare(run, &formula->root, &run->root);
    if (code == 0)
        *ret = run;
    else
        vex_formula_close(run);
    return code;
}

void vex_formula_close(struct vex_formula_run *run)
{
    for (struct bound *b = run != NULL ? run->bound : NULL; b != NULL; b = b->next)
        vex_read_filter_unbind(&b->filter);
}

/* ---- results that are no numbers ---- */

struct number {
    char text[40];
};

/* As the peer prints it: the shortest that reads back, whole numbers without a fraction. */
static struct number printed(double v)
{
    struct number n = {{0}};
    if (isnan(v))
        return (struct number){"NaN"};
    if (isinf(v))
        return v < 0 ? (struct number){"-inf"} : (struct number){"inf"};
    size_t len = vex_f64_text(n.text, v);
    if (len > 2 && memcmp(n.text + len - 2, ".0", 2) == 0)
        n.text[len - 2] = 0;
    return n;
}

/* "before a between b after = result", where there is no b: `between` is NULL. */
static int not_finite(struct vex_formula_run *run, const char *before, double a, const char *between,
                      double b, const char *after, double result)
{
    struct number second = printed(b);
    return vex_err_set(run->read->err, VEX_EBAD_INPUT,
                       "The expression %s%s%s%s%s = %s produced a non-finite number", before, printed(a).text,
                       between != NULL ? between : "", between != NULL ? second.text : "", after,
                       printed(result).text);
}

/* ---- values of the payload ---- */

struct found {
    bool flat; /* the elements of an array count instead of it */
    unsigned type;
    uint64_t count;
    struct vex_value first;
};

static bool coordinate(struct vex_value map, struct vex_str key, double most, double *ret)
{
    struct vex_value v = vex_value_get(map, key);
    if (v.at == NULL || !vex_value_is_number(v))
        return false;
    *ret = vex_value_double(v);
    return *ret >= -most && *ret <= most;
}

static bool geo_point(struct vex_value v, struct vex_geo *ret)
{
    return v.at != NULL && vex_value_kind(v) == VEX_VALUE_MAP &&
           coordinate(v, VEX_STR("lon"), 180, &ret->lon) && coordinate(v, VEX_STR("lat"), 90, &ret->lat);
}

/* An index of the type holds such values. */
static bool is_indexed(unsigned type, struct vex_value v)
{
    enum vex_value_kind kind = vex_value_kind(v);
    struct vex_geo geo;
    struct vex_id id;
    int64_t time;
    switch (type) {
    case VEX_INDEX_INTEGER:
        return kind == VEX_VALUE_INT;
    case VEX_INDEX_FLOAT:
        return vex_value_is_number(v);
    case VEX_INDEX_BOOL:
        return kind == VEX_VALUE_BOOL;
    case VEX_INDEX_GEO:
        return geo_point(v, &geo);
    case VEX_INDEX_KEYWORD:
        return kind == VEX_VALUE_TEXT;
    case VEX_INDEX_DATETIME:
        return kind == VEX_VALUE_TEXT && vex_time_parse(vex_value_text(v), &time);
    case VEX_INDEX_UUID:
        return kind == VEX_VALUE_TEXT && vex_id_from_uuid_text(vex_value_text(v), &id);
    default:
        return true;
    }
}

static void add(struct found *found, struct vex_value value)
{
    if (is_indexed(found->type, value) && found->count++ == 0)
        found->first = value;
}

static int take(void *arg, struct vex_value value)
{
    struct found *found = arg;
    if (!found->flat || vex_value_kind(value) != VEX_VALUE_ARRAY) {
        add(found, value);
        return 0;
    }
    struct vex_value_iter it = vex_value_iter(value);
    while (vex_value_next(&it))
        add(found, it.value);
    return 0;
}

static int wrong_type(struct vex_formula_run *run, const struct vex_expression *e, const char *what)
{
    const char *type = e->kind == VEX_EXPR_VARIABLE       ? "number"
                       : e->kind == VEX_EXPR_GEO_DISTANCE ? "geo point"
                                                          : "datetime";
    return vex_err_set(run->read->err, VEX_EBAD_INPUT,
                       "Expected %s value for " VEX_STR_FMT
                       " in the payload and/or in the formula defaults. Error: %s",
                       type, VEX_STR_ARG(e->path.text), what);
}

/* The one value of a path, or its default. Several values are none of the kinds wanted: ret->at is NULL. */
static int find_value(struct vex_formula_run *run, const struct node *node, struct vex_value *ret)
{
    const struct vex_path *path = &node->expression->path;
    struct found found = {.flat = path->count == 0 || path->steps[path->count - 1].kind != VEX_STEP_ALL,
                          .type = node->type};
    if (run->payload.at != NULL)
        vex_path_each(path, run->payload, take, &found);
    *ret = found.count == 0 ? node->fallback : found.count == 1 ? found.first : (struct vex_value){0};
    if (found.count == 0 && ret->at == NULL)
        return wrong_type(run, node->expression, "No value found in a payload nor defaults");
    return 0;
}

static int eval_payload(struct vex_formula_run *run, const struct node *node, double *ret)
{
    const struct vex_expression *e = node->expression;
    struct vex_value v;
    struct vex_geo to, from = {.lon = e->geo[0], .lat = e->geo[1]};
    int64_t time;
    int code = find_value(run, node, &v);
    if (code != 0)
        return code;
    if (e->kind == VEX_EXPR_VARIABLE) {
        if (v.at == NULL || !vex_value_is_number(v))
            return wrong_type(run, e, "Value is not a number");
        *ret = vex_value_double(v);
    } else if (e->kind == VEX_EXPR_GEO_DISTANCE) {
        if (!geo_point(v, &to))
            return wrong_type(run, e, "Value is not a geo point");
        *ret = vex_geo_distance(from, to);
    } else {
        if (v.at == NULL || vex_value_kind(v) != VEX_VALUE_TEXT)
            return wrong_type(run, e, "Value is not a string");
        if (!vex_time_parse(vex_value_text(v), &time))
            return wrong_type(run, e, "Value is not a datetime");
        *ret = (double)time / 1e6;
    }
    return 0;
}

/* ---- evaluation ---- */

static int eval(struct vex_formula_run *run, const struct node *node, double *ret);

static int eval_list(struct vex_formula_run *run, const struct node *node, double *ret)
{
    enum vex_expression_kind kind = node->expression->kind;
    double all = kind == VEX_EXPR_SUM    ? 0
                 : kind == VEX_EXPR_MULT ? 1
                 : kind == VEX_EXPR_MAX  ? -INFINITY
                                         : INFINITY;
    for (uint32_t i = 0; i < node->expression->operand_count; i++) {
        double value;
        int code = eval(run, &node->operands[i], &value);
        if (code != 0)
            return code;
        if (kind == VEX_EXPR_MULT && value == 0) {
            all = 0;
            break;
        }
        all = kind == VEX_EXPR_SUM    ? all + value
              : kind == VEX_EXPR_MULT ? all * value
              : kind == VEX_EXPR_MAX  ? fmax(all, value)
                                      : fmin(all, value);
    }
    *ret = all;
    return 0;
}

static int eval_div(struct vex_formula_run *run, const struct node *node, double *ret)
{
    double left, right;
    int code = eval(run, &node->operands[0], &left);
    *ret = 0;
    if (code != 0 || left == 0)
        return code;
    code = eval(run, &node->operands[1], &right);
    if (code != 0)
        return code;
    if (right == 0 && node->expression->has_constant) {
        *ret = node->expression->constant;
        return 0;
    }
    *ret = left / right;
    return isfinite(*ret) ? 0 : not_finite(run, "", left, "/", right, "", *ret);
}

static int eval_pow(struct vex_formula_run *run, const struct node *node, double *ret)
{
    double base, exponent;
    int code = eval(run, &node->operands[0], &base);
    if (code == 0)
        code = eval(run, &node->operands[1], &exponent);
    if (code != 0)
        return code;
    *ret = pow(base, exponent);
    return isfinite(*ret) ? 0 : not_finite(run, "", base, "^", exponent, "", *ret);
}

static int eval_one(struct vex_formula_run *run, const struct node *node, double *ret)
{
    const char *before = NULL;
    double x;
    int code = eval(run, &node->operands[0], &x);
    if (code != 0)
        return code;
    switch (node->expression->kind) {
    case VEX_EXPR_NEG:
        *ret = -x;
        return 0;
    case VEX_EXPR_ABS:
        *ret = fabs(x);
        return 0;
    case VEX_EXPR_SQRT:
        *ret = sqrt(x);
        return isfinite(*ret) ? 0 : not_finite(run, "√", x, NULL, 0, "", *ret);
    case VEX_EXPR_EXP:
        before = "exp(";
        *ret = exp(x);
        break;
    case VEX_EXPR_LOG10:
        before = "log10(";
        *ret = log10(x);
        break;
    case VEX_EXPR_LN:
        before = "ln(";
        *ret = log(x);
        break;
    default:
        before = "acosh(";
        *ret = acosh(x);
        break;
    }
    return isfinite(*ret) ? 0 : not_finite(run, before, x, NULL, 0, ")", *ret);
}

static int eval_decay(struct vex_formula_run *run, const struct node *node, double *ret)
{
    double x, target = 0, lambda = node->constant;
    int code = eval(run, &node->operands[0], &x);
    if (code == 0 && node->expression->operand_count > 1)
        code = eval(run, &node->operands[1], &target);
    if (code != 0)
        return code;
    double difference = fabs(x - target);
    switch (node->expression->kind) {
    case VEX_EXPR_EXP_DECAY:
        *ret = exp(lambda * difference);
        return 0;
    case VEX_EXPR_GAUSS_DECAY:
        *ret = exp(lambda * difference * difference);
        return 0;
    default:
        *ret = fmax(1 - lambda * difference, 0);
        return 0;
    }
}

static double score_of(const struct vex_formula_run *run, const struct node *node)
{
    uint32_t index = node->expression->index;
    return index < run->count && !isnan(run->scores[index]) ? (double)run->scores[index] : node->constant;
}

static int eval(struct vex_formula_run *run, const struct node *node, double *ret)
{
    int code = vex_read_step(run->read);
    *ret = 0;
    if (code != 0)
        return code;
    switch (node->expression->kind) {
    case VEX_EXPR_CONSTANT:
    case VEX_EXPR_DATETIME:
        *ret = node->expression->constant;
        return 0;
    case VEX_EXPR_SCORE:
        *ret = score_of(run, node);
        return 0;
    case VEX_EXPR_CONDITION:
        *ret = vex_plan_match(&run->read->data, node->condition->filter.filter, run->slot) ? 1 : 0;
        return 0;
    case VEX_EXPR_VARIABLE:
    case VEX_EXPR_GEO_DISTANCE:
    case VEX_EXPR_DATETIME_KEY:
        return eval_payload(run, node, ret);
    case VEX_EXPR_SUM:
    case VEX_EXPR_MULT:
    case VEX_EXPR_MAX:
    case VEX_EXPR_MIN:
        return eval_list(run, node, ret);
    case VEX_EXPR_DIV:
        return eval_div(run, node, ret);
    case VEX_EXPR_POW:
        return eval_pow(run, node, ret);
    case VEX_EXPR_EXP_DECAY:
    case VEX_EXPR_GAUSS_DECAY:
    case VEX_EXPR_LIN_DECAY:
        return eval_decay(run, node, ret);
    default:
        return eval_one(run, node, ret);
    }
}

int vex_formula_score(struct vex_formula_run *run, uint32_t slot, const float *scores, uint32_t count,
                      float *ret)
{
    struct vex_str blob;
    double score;
    int code = vex_read_blob(run->read, slot, &blob);
    if (code != 0)
        return code;
    run->slot = slot;
    run->scores = scores;
    run->count = count;
    run->payload = vex_blob_payload(blob);
    code = eval(run, &run->root, &score);
    if (code != 0)
        return code;
    *ret = (float)score + 0.0f; /* no -0 */
    if (isfinite(*ret))
        return 0;
    return vex_err_set(run->read->err, VEX_EBAD_INPUT,
                       "The expression %s as f32 = %s produced a non-finite number", printed(score).text,
                       printed((double)*ret).text);
}
