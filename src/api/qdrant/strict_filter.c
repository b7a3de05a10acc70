/* Strict mode of filters: how many conditions, how large, and whether an index serves each.
 *
 * Bound     Filters are at most as deep as messages are (guard, jsonpb), so recursion is. */
#include <inttypes.h>

#include "api/qdrant/strict.h"

/* What an index can be asked for; a condition needs one of several. */
enum need {
    INT_MATCH = 1 << 0,
    INT_RANGE = 1 << 1,
    KEYWORD_MATCH = 1 << 2,
    KEYWORD_PREFIX = 1 << 3,
    FLOAT_RANGE = 1 << 4,
    TEXT = 1 << 5,
    TEXT_PHRASE = 1 << 6,
    BOOL_MATCH = 1 << 7,
    UUID_MATCH = 1 << 8,
    DATETIME_RANGE = 1 << 9,
    GEO = 1 << 10,
    ANY_INDEX = (1 << 11) - 1,
};

/* In the order of their names, as they are listed to the user; two needs may share a name. */
static const struct {
    unsigned need;
    const char *name;
} names[] = {
    {BOOL_MATCH, "bool"},
    {DATETIME_RANGE, "datetime"},
    {FLOAT_RANGE, "float"},
    {GEO, "geo"},
    {INT_MATCH | INT_RANGE, "integer"},
    {KEYWORD_MATCH, "keyword"},
    {KEYWORD_PREFIX, "keyword (with prefix: true)"},
    {TEXT, "text"},
    {TEXT_PHRASE, "text (with phrase_matching: true)"},
    {UUID_MATCH, "uuid"},
};

typedef int visit_fn(void *arg, const Qdrant__Condition *condition);

/* Calls fn for each condition of one level, in the peer's order; stops when it returns non-zero. */
static int each(const Qdrant__Filter *f, visit_fn *fn, void *arg)
{
    const Qdrant__MinShould *least = f->min_should;
    int code = 0;

    for (size_t i = 0; code == 0 && i < f->n_must; i++)
        code = fn(arg, f->must[i]);
    for (size_t i = 0; code == 0 && i < f->n_must_not; i++)
        code = fn(arg, f->must_not[i]);
    for (size_t i = 0; code == 0 && i < f->n_should; i++)
        code = fn(arg, f->should[i]);
    for (size_t i = 0; code == 0 && least != NULL && i < least->n_conditions; i++)
        code = fn(arg, least->conditions[i]);
    return code;
}

/* The filter below a condition; NULL: none. */
static const Qdrant__Filter *inner(const Qdrant__Condition *c)
{
    if (c->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF_FILTER)
        return c->filter;
    if (c->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF_NESTED)
        return c->nested->filter;
    return NULL;
}

static bool has_inner(const Qdrant__Condition *c)
{
    return c->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF_FILTER ||
           c->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF_NESTED;
}

/* ---- number and size ---- */

static int add_count(void *arg, const Qdrant__Condition *c)
{
    uint64_t *count = arg;

    *count += has_inner(c) ? vex_strict_conditions(inner(c)) : 1;
    return 0;
}

uint64_t vex_strict_conditions(const Qdrant__Filter *filter)
{
    uint64_t count = 0;

    if (filter != NULL)
        each(filter, add_count, &count);
    return count;
}

static size_t match_size(const Qdrant__Match *m)
{
    switch (m->match_value_case) {
    case QDRANT__MATCH__MATCH_VALUE_KEYWORDS:
        return m->keywords->n_strings;
    case QDRANT__MATCH__MATCH_VALUE_INTEGERS:
        return m->integers->n_integers;
    case QDRANT__MATCH__MATCH_VALUE_EXCEPT_KEYWORDS:
        return m->except_keywords->n_strings;
    case QDRANT__MATCH__MATCH_VALUE_EXCEPT_INTEGERS:
        return m->except_integers->n_integers;
    default:
        return 0;
    }
}

static int largest(void *arg, const Qdrant__Condition *c)
{
    uint64_t *most = arg, size = 0;

    if (c->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF_FIELD && c->field->match != NULL)
        size = match_size(c->field->match);
    else if (c->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF_HAS_ID)
        size = c->has_id->n_has_id;
    else if (inner(c) != NULL)
        each(inner(c), largest, &size);
    if (size > *most)
        *most = size;
    return 0;
}

/* ---- indexes ---- */

struct search {
    struct vex_call *call;
    const struct vex_config *config;
    const char *prefix; /* of nested filters, with its dot; "" at the top */
    struct vex_str key; /* found: has no index for */
    unsigned needs;
};

static bool all_uuids(char *const *texts, size_t count)
{
    struct vex_id id;

    for (size_t i = 0; i < count; i++)
        if (!vex_id_from_uuid_text(vex_str_c(texts[i]), &id))
            return false;
    return true;
}

static unsigned texts_need(char *const *texts, size_t count)
{
    if (count == 0) /* matches nothing or everything, whatever the field holds */
        return 0;
    return KEYWORD_MATCH | (all_uuids(texts, count) ? UUID_MATCH : 0);
}

static unsigned match_needs(const Qdrant__Match *m)
{
    switch (m->match_value_case) {
    case QDRANT__MATCH__MATCH_VALUE_KEYWORD:
        return texts_need(&((Qdrant__Match *)(uintptr_t)m)->keyword, 1);
    case QDRANT__MATCH__MATCH_VALUE_KEYWORDS:
        return texts_need(m->keywords->strings, m->keywords->n_strings);
    case QDRANT__MATCH__MATCH_VALUE_EXCEPT_KEYWORDS:
        return texts_need(m->except_keywords->strings, m->except_keywords->n_strings);
    case QDRANT__MATCH__MATCH_VALUE_INTEGERS:
        return m->integers->n_integers != 0 ? INT_MATCH : 0;
    case QDRANT__MATCH__MATCH_VALUE_EXCEPT_INTEGERS:
        return m->except_integers->n_integers != 0 ? INT_MATCH : 0;
    case QDRANT__MATCH__MATCH_VALUE_INTEGER:
        return INT_MATCH;
    case QDRANT__MATCH__MATCH_VALUE_BOOLEAN:
        return BOOL_MATCH;
    case QDRANT__MATCH__MATCH_VALUE_PHRASE:
        return TEXT_PHRASE;
    case QDRANT__MATCH__MATCH_VALUE_PREFIX:
    case QDRANT__MATCH__MATCH_VALUE_SUBSTRING:
        return KEYWORD_PREFIX;
    default:
        return TEXT;
    }
}

static unsigned field_needs(const Qdrant__FieldCondition *c)
{
    unsigned needs = c->match != NULL ? match_needs(c->match) : 0;

    if (c->datetime_range != NULL)
        needs |= DATETIME_RANGE;
    if (c->range != NULL)
        needs |= FLOAT_RANGE | INT_RANGE;
    if (c->geo_bounding_box != NULL || c->geo_radius != NULL || c->geo_polygon != NULL)
        needs |= GEO;
    if (c->values_count != NULL || c->has_is_empty || c->has_is_null)
        needs |= ANY_INDEX;
    return needs;
}

static unsigned offered(const struct vex_index_params *index)
{
    switch (index->type) {
    case VEX_INDEX_KEYWORD:
        return KEYWORD_MATCH | (index->prefix ? KEYWORD_PREFIX : 0);
    case VEX_INDEX_INTEGER:
        return (index->lookup ? INT_MATCH : 0) | (index->range ? INT_RANGE : 0);
    case VEX_INDEX_FLOAT:
        return FLOAT_RANGE;
    case VEX_INDEX_GEO:
        return GEO;
    case VEX_INDEX_TEXT:
        return TEXT | (index->text != NULL && index->text->phrase_matching ? TEXT_PHRASE : 0);
    case VEX_INDEX_BOOL:
        return BOOL_MATCH;
    case VEX_INDEX_DATETIME:
        return DATETIME_RANGE;
    default:
        return UUID_MATCH;
    }
}

static int find_unindexed(void *arg, const Qdrant__Condition *c);

static int find_below(struct search *s, const Qdrant__Condition *c)
{
    struct search below = *s;
    int found;

    if (inner(c) == NULL)
        return 0;
    if (c->condition_one_of_case == QDRANT__CONDITION__CONDITION_ONE_OF_NESTED) {
        struct vex_str key = vex_str_c(c->nested->key != NULL ? c->nested->key : "");
        bool list = key.len >= 2 && memcmp(key.ptr + key.len - 2, "[]", 2) == 0;

        below.prefix = vex_arena_printf(&s->call->arena, "%s%s%s.", s->prefix, key.ptr, list ? "" : "[]");
    }
    found = each(inner(c), find_unindexed, &below);
    s->key = below.key;
    s->needs = below.needs;
    return found;
}

static int find_unindexed(void *arg, const Qdrant__Condition *c)
{
    struct search *s = arg;
    const struct vex_index_params *index;
    const char *key = NULL;
    unsigned needs = ANY_INDEX;

    if (has_inner(c))
        return find_below(s, c);
    switch (c->condition_one_of_case) {
    case QDRANT__CONDITION__CONDITION_ONE_OF_FIELD:
        key = c->field->key;
        needs = field_needs(c->field);
        break;
    case QDRANT__CONDITION__CONDITION_ONE_OF_IS_EMPTY:
        key = c->is_empty->key;
        break;
    case QDRANT__CONDITION__CONDITION_ONE_OF_IS_NULL:
        key = c->is_null->key;
        break;
    default:
        return 0;
    }
    if (needs == 0 || key == NULL)
        return 0;
    if (*s->prefix != '\0')
        key = vex_arena_printf(&s->call->arena, "%s%s", s->prefix, key);
    index = vex_config_index(s->config, vex_str_c(key));
    if (index != NULL && (offered(index) & needs) != 0)
        return 0;
    s->key = vex_str_c(key);
    s->needs = needs;
    return 1;
}

static bool unindexed(struct vex_call *call, const struct vex_strict *strict, const Qdrant__Filter *filter,
                      struct search *ret)
{
    *ret = (struct search){.call = call, .config = strict->config, .prefix = ""};
    return filter != NULL && each(filter, find_unindexed, ret) != 0;
}

bool vex_strict_unindexed(struct vex_call *call, const struct vex_strict *strict,
                          const Qdrant__Filter *filter)
{
    struct search search;

    return unindexed(call, strict, filter, &search);
}

static int require_index(struct vex_call *call, const struct search *missing, const char *instead)
{
    struct vex_buf list;
    const char *comma = "";

    vex_buf_init(&list, &call->arena);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((missing->needs & names[i].need) != 0) {
            vex_buf_printf(&list, "%s%s", comma, names[i].name);
            comma = ", ";
        }
    return vex_err_set(
        &call->err, VEX_EBAD_REQUEST,
        "Index required but not found for \"" VEX_STR_FMT
        "\" of one of the following types: [%.*s]. Help: Create an index for this key or use a "
        "different %s.",
        VEX_STR_ARG(missing->key), (int)list.len, list.ptr, instead);
}

/* ---- formulas ---- */

static int require_key(struct search *s, const char *key, unsigned needs)
{
    const struct vex_index_params *index = vex_config_index(s->config, vex_str_c(key));

    if (index != NULL && (offered(index) & needs) != 0)
        return 0;
    s->key = vex_str_c(key);
    s->needs = needs;
    return 1;
}

static int find_in_expression(struct search *s, const Qdrant__Expression *e);

static int find_in_list(struct search *s, Qdrant__Expression *const *list, size_t count)
{
    int found = 0;

    for (size_t i = 0; i < count && found == 0; i++)
        found = find_in_expression(s, list[i]);
    return found;
}

static int find_in_decay(struct search *s, const Qdrant__DecayParamsExpression *decay)
{
    int found = find_in_expression(s, decay->x);

    return found != 0 ? found : find_in_expression(s, decay->target);
}

/* Expressions of two parts and more. */
static int find_in_parts(struct search *s, const Qdrant__Expression *e)
{
    Qdrant__Expression *parts[2] = {NULL, NULL};

    switch (e->variant_case) {
    case QDRANT__EXPRESSION__VARIANT_MULT:
        return find_in_list(s, e->mult->mult, e->mult->n_mult);
    case QDRANT__EXPRESSION__VARIANT_SUM:
        return find_in_list(s, e->sum->sum, e->sum->n_sum);
    case QDRANT__EXPRESSION__VARIANT_MAX:
        return find_in_list(s, e->max->max, e->max->n_max);
    case QDRANT__EXPRESSION__VARIANT_MIN:
        return find_in_list(s, e->min->min, e->min->n_min);
    case QDRANT__EXPRESSION__VARIANT_DIV:
        parts[0] = e->div->left;
        parts[1] = e->div->right;
        break;
    case QDRANT__EXPRESSION__VARIANT_POW:
        parts[0] = e->pow->base;
        parts[1] = e->pow->exponent;
        break;
    case QDRANT__EXPRESSION__VARIANT_EXP_DECAY:
        return find_in_decay(s, e->exp_decay);
    case QDRANT__EXPRESSION__VARIANT_GAUSS_DECAY:
        return find_in_decay(s, e->gauss_decay);
    case QDRANT__EXPRESSION__VARIANT_LIN_DECAY:
        return find_in_decay(s, e->lin_decay);
    default:
        break;
    }
    return find_in_list(s, parts, 2);
}

static int find_in_expression(struct search *s, const Qdrant__Expression *e)
{
    if (e == NULL)
        return 0;
    switch (e->variant_case) {
    case QDRANT__EXPRESSION__VARIANT_VARIABLE:
        return e->variable[0] == '$' ? 0 : require_key(s, e->variable, INT_MATCH | INT_RANGE | FLOAT_RANGE);
    case QDRANT__EXPRESSION__VARIANT_CONDITION:
        return find_unindexed(s, e->condition);
    case QDRANT__EXPRESSION__VARIANT_GEO_DISTANCE:
        return e->geo_distance->to != NULL ? require_key(s, e->geo_distance->to, GEO) : 0;
    case QDRANT__EXPRESSION__VARIANT_DATETIME_KEY:
        return require_key(s, e->datetime_key, DATETIME_RANGE);
    case QDRANT__EXPRESSION__VARIANT_NEG:
        return find_in_expression(s, e->neg);
    case QDRANT__EXPRESSION__VARIANT_ABS:
        return find_in_expression(s, e->abs);
    case QDRANT__EXPRESSION__VARIANT_SQRT:
        return find_in_expression(s, e->sqrt);
    case QDRANT__EXPRESSION__VARIANT_EXP:
        return find_in_expression(s, e->exp);
    case QDRANT__EXPRESSION__VARIANT_LOG10:
        return find_in_expression(s, e->log10);
    case QDRANT__EXPRESSION__VARIANT_LN:
        return find_in_expression(s, e->ln);
    case QDRANT__EXPRESSION__VARIANT_ACOSH:
        return find_in_expression(s, e->acosh);
    default:
        return find_in_parts(s, e);
    }
}

/* ---- what callers ask ---- */

int vex_strict_formula(struct vex_call *call, const struct vex_strict *strict, const Qdrant__Formula *formula)
{
    struct search missing = {.call = call, .config = strict->config, .prefix = ""};

    return find_in_expression(&missing, formula->expression) != 0
               ? require_index(call, &missing, "formula expression")
               : 0;
}

int vex_strict_filter(struct vex_call *call, const struct vex_strict *strict, const Qdrant__Filter *filter,
                      bool allow_unindexed)
{
    const Qdrant__StrictModeConfig *l = strict->limits;
    struct search missing;
    uint64_t count, size = 0;

    if (l == NULL || filter == NULL)
        return 0;
    if (!allow_unindexed && unindexed(call, strict, filter, &missing))
        return require_index(call, &missing, "filter");
    count = vex_strict_conditions(filter);
    if (l->has_filter_max_conditions && count > l->filter_max_conditions)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Filter condition limit reached (%" PRIu64 " > %" PRIu64
                           "). Help: Reduce the amount of conditions of your filter.",
                           count, l->filter_max_conditions);
    each(filter, largest, &size);
    if (l->has_condition_max_size && size > l->condition_max_size)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Condition size limit reached (%" PRIu64 " > %" PRIu64
                           "). Help: Reduce the size of your condition.",
                           size, l->condition_max_size);
    return 0;
}

/* ---- tenants ---- */

static bool marks_tenants(struct vex_call *call, const struct vex_index_params *index)
{
    const Qdrant__PayloadIndexParams *params;

    if (index == NULL || index->doc.len == 0)
        return false;
    params = (const Qdrant__PayloadIndexParams *)(const void *)vex_rpc_unpack(
        &call->arena, &qdrant__payload_index_params__descriptor, index->doc);
    if (params == NULL)
        return false;
    switch (params->index_params_case) {
    case QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_KEYWORD_INDEX_PARAMS:
        return params->keyword_index_params->has_is_tenant && params->keyword_index_params->is_tenant;
    case QDRANT__PAYLOAD_INDEX_PARAMS__INDEX_PARAMS_UUID_INDEX_PARAMS:
        return params->uuid_index_params->has_is_tenant && params->uuid_index_params->is_tenant;
    default:
        return false;
    }
}

static int is_tenant(void *arg, const Qdrant__Condition *c)
{
    struct search *s = arg;

    if (c->condition_one_of_case != QDRANT__CONDITION__CONDITION_ONE_OF_FIELD || c->field->key == NULL)
        return 0;
    return marks_tenants(s->call, vex_config_index(s->config, vex_str_c(c->field->key)));
}

bool vex_strict_tenant_filter(struct vex_call *call, const struct vex_strict *strict,
                              const Qdrant__Filter *filter)
{
    struct search search = {.call = call, .config = strict->config, .prefix = ""};

    return filter != NULL && each(filter, is_tenant, &search) != 0;
}
