/* where and where_document: from the clause as a CBOR value to the filter tree.
 *
 * Keys are taken literally, scalar operators never match an array, $contains matches elements of arrays only.
 * The negative operators are must_not, so they match records that lack the key. */
#include "api/chroma/internal.h"

#include "base/text.h"

struct lowering {
    struct vex_arena *arena;
    const struct vex_chroma_config *chroma; /* NULL: no schema */
    struct vex_err *err;
    bool document; /* inside where_document */
};

static int bad(struct lowering *l)
{
    return vex_err_set(l->err, VEX_EBAD_INPUT, "%s",
                       l->document ? "Invalid where document clause" : "Invalid where clause");
}

static int lower(struct lowering *l, struct vex_value clause, struct vex_cond *ret);

static struct vex_cond group(struct vex_filter *filter)
{
    return (struct vex_cond){.kind = VEX_COND_FILTER, .sub = filter};
}

static struct vex_cond negated(struct lowering *l, struct vex_cond cond)
{
    struct vex_filter *filter = VEX_ARENA_NEW(l->arena, struct vex_filter);

    filter->must_not.conds = VEX_ARENA_NEW(l->arena, struct vex_cond);
    filter->must_not.conds[0] = cond;
    filter->must_not.count = 1;
    return group(filter);
}

/* The only member of a map. */
static bool single(struct vex_value v, struct vex_str *ret_key, struct vex_value *ret_value)
{
    if (vex_value_kind(v) != VEX_VALUE_MAP || vex_value_count(v) != 1)
        return false;
    struct vex_value_iter it = vex_value_iter(v);
    vex_value_next(&it);
    *ret_key = it.key;
    *ret_value = it.value;
    return true;
}

static int lower_list(struct lowering *l, struct vex_value list, bool all, struct vex_cond *ret)
{
    struct vex_filter *filter = VEX_ARENA_NEW(l->arena, struct vex_filter);
    size_t count, at = 0;
    int rc;

    if (vex_value_kind(list) != VEX_VALUE_ARRAY)
        return bad(l);
    count = vex_value_count(list);
    if (count > UINT32_MAX / 2)
        return bad(l);
    /* An empty $or matches nothing: a condition that no value meets. */
    struct vex_cond *conds = VEX_ARENA_ARRAY(l->arena, struct vex_cond, count + 1);
    struct vex_value_iter it = vex_value_iter(list);
    while (vex_value_next(&it))
        if ((rc = lower(l, it.value, &conds[at++])) < 0)
            return rc;
    if (!all && count == 0)
        conds[at++] = (struct vex_cond){.kind = VEX_COND_HAS_ID};
    *(all ? &filter->must : &filter->should) = (struct vex_cond_list){conds, (uint32_t)at};
    *ret = group(filter);
    return 0;
}

/* ---- texts ---- */

static int check_regex(struct lowering *l, struct vex_str pattern)
{
    struct vex_regex *regex;
    struct vex_err err = {0};
    int rc = vex_regex_new(pattern, &regex, &err);

    if (rc < 0)
        return vex_err_set(l->err, rc,
                           "Regex syntax errror: regex parse error:\n    " VEX_STR_FMT "\nerror: %s",
                           VEX_STR_ARG(pattern), err.text);
    vex_regex_free(regex);
    return 0;
}

static int lower_text(struct lowering *l, struct vex_str op, struct vex_value operand, struct vex_cond *ret)
{
    bool regex = vex_str_eq_c(op, "$regex") || vex_str_eq_c(op, "$not_regex");
    bool contains = vex_str_eq_c(op, "$contains") || vex_str_eq_c(op, "$not_contains");
    int rc;

    if ((!regex && !contains) || vex_value_kind(operand) != VEX_VALUE_TEXT)
        return bad(l);
    if (l->chroma != NULL && !vex_chroma_schema_fts(l->chroma))
        return vex_err_set(l->err, VEX_EBAD_INPUT,
                           "Cannot filter using document content because full text search (fts) is disabled");
    struct vex_cond cond = {.kind = regex ? VEX_COND_REGEX : VEX_COND_SUBSTRING,
                            .arrays = VEX_ARRAYS_NEVER,
                            .path = vex_path_key(l->arena, VEX_STR(VEX_CHROMA_DOCUMENT)),
                            .text = vex_value_text(operand)};
    if (regex && (rc = check_regex(l, cond.text)) < 0)
        return rc;
    *ret = vex_str_starts(op, VEX_STR("$not_")) ? negated(l, cond) : cond;
    return 0;
}

/* ---- values ---- */

static bool add_value(struct vex_cond_values *values, struct vex_value v)
{
    switch (vex_value_kind(v)) {
    case VEX_VALUE_TEXT:
        values->texts[values->text_count++] = vex_value_text(v);
        return true;
    case VEX_VALUE_INT:
        values->ints[values->int_count++] = vex_value_int(v);
        return true;
    case VEX_VALUE_UINT:
    case VEX_VALUE_DOUBLE:
        values->doubles[values->double_count++] = vex_value_double(v);
        return true;
    case VEX_VALUE_BOOL:
        if (vex_value_bool(v))
            values->has_true = true;
        else
            values->has_false = true;
        return true;
    default:
        return false;
    }
}

/* A list of values of one type, numbers being one. */
static int lower_values(struct lowering *l, struct vex_path path, struct vex_value list, struct vex_cond *ret)
{
    struct vex_value one = list;
    bool many = vex_value_kind(list) == VEX_VALUE_ARRAY;
    size_t count = many ? vex_value_count(list) : 1;

    if (count == 0 || count > UINT32_MAX / 2)
        return bad(l);
    *ret = (struct vex_cond){.kind = VEX_COND_ANY, .arrays = VEX_ARRAYS_NEVER, .path = path};
    struct vex_cond_values *values = &ret->values;
    values->texts = VEX_ARENA_ARRAY(l->arena, struct vex_str, count);
    values->ints = VEX_ARENA_ARRAY(l->arena, int64_t, count);
    values->doubles = VEX_ARENA_ARRAY(l->arena, double, count);
    struct vex_value_iter it = vex_value_iter(list);
    for (size_t i = 0; i < count; i++) {
        if (many) {
            vex_value_next(&it);
            one = it.value;
        }
        if (!add_value(values, one))
            return bad(l);
    }
    bool texts = values->text_count > 0, bools = values->has_true || values->has_false;
    bool numbers = values->int_count + values->double_count > 0;
    if (texts + bools + numbers != 1)
        return bad(l);
    if (numbers)
        ret->kind = VEX_COND_NUMBERS;
    return 0;
}

static int lower_range(struct lowering *l, struct vex_path path, struct vex_str op, struct vex_value bound,
                       struct vex_cond *ret)
{
    static const char *const ops[] = {"$lt", "$lte", "$gt", "$gte"};
    size_t i = 0;

    while (i < 4 && !vex_str_eq_c(op, ops[i]))
        i++;
    if (i == 4 || !vex_value_is_number(bound))
        return bad(l);
    *ret = (struct vex_cond){.kind = VEX_COND_RANGE, .arrays = VEX_ARRAYS_NEVER, .path = path};
    struct vex_cond_range *range = &ret->range;
    bool *has[] = {&range->has_lt, &range->has_lte, &range->has_gt, &range->has_gte};
    double *at[] = {&range->lt, &range->lte, &range->gt, &range->gte};
    *has[i] = true;
    *at[i] = vex_value_double(bound);
    return 0;
}

static int lower_operator(struct lowering *l, struct vex_path path, struct vex_str op,
                          struct vex_value operand, struct vex_cond *ret)
{
    bool array = vex_value_kind(operand) == VEX_VALUE_ARRAY;
    bool in = vex_str_eq_c(op, "$in") || vex_str_eq_c(op, "$nin");
    bool equal = vex_str_eq_c(op, "$eq") || vex_str_eq_c(op, "$ne");
    bool contains = vex_str_eq_c(op, "$contains") || vex_str_eq_c(op, "$not_contains");
    int rc;

    if (!in && !equal && !contains)
        return lower_range(l, path, op, operand, ret);
    if (in != array)
        return bad(l);
    if ((rc = lower_values(l, path, operand, ret)) < 0)
        return rc;
    if (contains) {
        ret->kind = VEX_COND_ANY; /* by type and value: 2 is not 2.0 */
        ret->arrays = VEX_ARRAYS_ONLY;
    }
    if (vex_str_eq_c(op, "$ne") || vex_str_eq_c(op, "$nin") || vex_str_eq_c(op, "$not_contains"))
        *ret = negated(l, *ret);
    return 0;
}

static int check_indexed(struct lowering *l, struct vex_str key, struct vex_value operand)
{
    static const char *const names[] = {"string", "float_list", "sparse_vector", "int", "float", "bool"};
    unsigned type = vex_chroma_schema_type(operand);

    if (l->chroma == NULL || type == 0 || vex_chroma_schema_filterable(l->chroma, key, type))
        return 0;
    return vex_err_set(l->err, VEX_EBAD_INPUT,
                       "Cannot filter using metadata key '" VEX_STR_FMT
                       "' with type '%s' because indexing is disabled",
                       VEX_STR_ARG(key), names[__builtin_ctz(type)]);
}

static int lower_key(struct lowering *l, struct vex_str key, struct vex_value v, struct vex_cond *ret)
{
    struct vex_str op = VEX_STR("$eq");
    struct vex_value operand = v;
    int rc;

    if (vex_value_kind(v) == VEX_VALUE_MAP && !single(v, &op, &operand))
        return bad(l);
    if (vex_str_eq_c(key, "#document") && vex_value_kind(v) == VEX_VALUE_MAP)
        return lower_text(l, op, operand, ret);
    if (key.len == 0 || key.ptr[0] == '#' || key.ptr[0] == '$')
        return bad(l);
    if ((rc = lower_operator(l, vex_path_key(l->arena, key), op, operand, ret)) < 0)
        return rc;
    return check_indexed(l, key, operand);
}

static int lower(struct lowering *l, struct vex_value clause, struct vex_cond *ret)
{
    struct vex_str key;
    struct vex_value v;

    if (!single(clause, &key, &v))
        return bad(l);
    if (vex_str_eq_c(key, "$and") || vex_str_eq_c(key, "$or"))
        return lower_list(l, v, vex_str_eq_c(key, "$and"), ret);
    return l->document ? lower_text(l, key, v, ret) : lower_key(l, key, v, ret);
}

int vex_chroma_filter(struct vex_arena *arena, const struct vex_chroma_config *chroma, struct vex_value where,
                      struct vex_value where_document, struct vex_filter **ret, struct vex_err *err)
{
    struct lowering l = {arena, chroma, err, false};
    struct vex_filter *filter = VEX_ARENA_NEW(arena, struct vex_filter);
    int rc;

    filter->must.conds = VEX_ARENA_ARRAY(arena, struct vex_cond, 3); /* one more for the caller */
    if (where.at != NULL && (rc = lower(&l, where, &filter->must.conds[filter->must.count++])) < 0)
        return rc;
    l.document = true;
    if (where_document.at != NULL &&
        (rc = lower(&l, where_document, &filter->must.conds[filter->must.count++])) < 0)
        return rc;
    *ret = filter->must.count > 0 ? filter : NULL;
    return 0;
}
