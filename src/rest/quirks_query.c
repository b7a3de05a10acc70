/* Hooks of reading: filters, queries, formulas, what a result shall hold. */
#include <stdio.h>

#include "api/qdrant/qdrant.h"
#include "base/time.h"
#include "rest/quirks_hooks.h"

#include "qdrant_points.pb-c.h"

/* ---- what a result shall hold ---- */

/* true, a list of paths, {include} or {exclude}. */
int vex_jp_read_with_payload(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                             ProtobufCMessage *message)
{
    struct vex_json member;
    if (vex_json_kind(v) == VEX_JSON_BOOL)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "enable"), v, message);
    if (vex_json_kind(v) == VEX_JSON_ARRAY)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "include"), v, message);
    if (vex_json_kind(v) == VEX_JSON_OBJECT && vex_json_count(v) == 1) {
        if (vex_jp_get(v, "include", &member))
            return vex_jp_read_field(jp, vex_jp_field_named(plan, "include"), member, message);
        if (vex_jp_get(v, "exclude", &member))
            return vex_jp_read_field(jp, vex_jp_field_named(plan, "exclude"), member, message);
    }
    return vex_jp_no_variant(jp, "WithPayloadInterface");
}

int vex_jp_read_with_vectors(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                             ProtobufCMessage *message)
{
    if (vex_json_kind(v) == VEX_JSON_BOOL)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "enable"), v, message);
    if (vex_json_kind(v) == VEX_JSON_ARRAY)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "include"), v, message);
    return vex_jp_no_variant(jp, "WithVector");
}

int vex_jp_read_with_lookup(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                            ProtobufCMessage *message)
{
    if (vex_json_kind(v) == VEX_JSON_STRING)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "collection"), v, message);
    return vex_jp_read_object(jp, plan, v, message);
}

int vex_jp_read_order_by(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                         ProtobufCMessage *message)
{
    if (vex_json_kind(v) == VEX_JSON_STRING)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "key"), v, message);
    return vex_jp_read_object(jp, plan, v, message);
}

int vex_jp_read_start_from(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                           ProtobufCMessage *message)
{
    int64_t us;
    switch (vex_json_kind(v)) {
    case VEX_JSON_INT:
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "integer"), v, message);
    case VEX_JSON_UINT:
    case VEX_JSON_DOUBLE:
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "float"), v, message);
    case VEX_JSON_STRING:
        if (vex_time_parse(vex_json_str(v), &us))
            return vex_jp_read_field(jp, vex_jp_field_named(plan, "datetime"), v, message);
        return vex_jp_no_variant(jp, "StartFrom");
    default:
        return vex_jp_no_variant(jp, "StartFrom");
    }
}

/* "global" or {corpus}. */
int vex_jp_read_idf(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                    ProtobufCMessage *message)
{
    if (vex_json_kind(v) == VEX_JSON_STRING && vex_str_eq_c(vex_json_str(v), "global"))
        return 0;
    return vex_jp_read_object(jp, plan, v, message);
}

/* ---- filters ---- */

static bool has_key(struct vex_json v, const char *key)
{
    struct vex_json member;
    return vex_json_get(v, key, &member);
}

static bool is_filter(struct vex_json v)
{
    return vex_json_count(v) == 0 || has_key(v, "must") || has_key(v, "should") || has_key(v, "must_not") ||
           has_key(v, "min_should");
}

/* Conditions are told apart by a key; those but field and filter carry their content under it. */
int vex_jp_read_condition(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                          ProtobufCMessage *message)
{
    static const char *const keyed[] = {"is_empty", "is_null", "has_id", "has_vector", "slice", "nested"};
    struct vex_json member;
    if (++jp->conditions > VEX_CONDITIONS_MAX)
        return vex_jp_format(jp, "the request has more than %d conditions", VEX_CONDITIONS_MAX);
    if (vex_json_kind(v) == VEX_JSON_OBJECT) {
        if (has_key(v, "key"))
            return vex_jp_read_field(jp, vex_jp_field_named(plan, "field"), v, message);
        for (size_t i = 0; i < sizeof keyed / sizeof *keyed; i++)
            if (vex_jp_get(v, keyed[i], &member))
                return vex_jp_read_field(jp, vex_jp_field_named(plan, keyed[i]), member, message);
        if (is_filter(v))
            return vex_jp_read_field(jp, vex_jp_field_named(plan, "filter"), v, message);
    }
    return vex_jp_format(
        jp, "Expected some form of condition, which can be a field condition (like {\"key\": ..., "
            "\"match\": ... }), or some other mentioned in the documentation: "
            "https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions");
}

/* Numbers or dates. */
int vex_jp_read_range(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                      ProtobufCMessage *message)
{
    bool dates = false;
    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_jp_no_variant(jp, "RangeInterface");
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);)
        dates |= vex_json_kind(it.value) == VEX_JSON_STRING;
    return vex_jp_read_field(jp, vex_jp_field_named(plan, dates ? "datetime_range" : "range"), v, message);
}

static const char *match_value_field(struct vex_json v)
{
    switch (vex_json_kind(v)) {
    case VEX_JSON_STRING:
        return "keyword";
    case VEX_JSON_INT:
        return "integer";
    case VEX_JSON_BOOL:
        return "boolean";
    default:
        return NULL;
    }
}

/* A list of texts or of integers, into a wrapper's list. An empty one counts as texts. */
static int read_any(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v, bool except,
                    ProtobufCMessage *message)
{
    const struct vex_jp_field *arm;
    struct vex_json_iter it = vex_json_iter(v);
    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return vex_jp_no_variant(jp, "MatchInterface");
    bool texts = !vex_json_next(&it) || vex_json_kind(it.value) == VEX_JSON_STRING;
    if (texts)
        arm = vex_jp_field_named(plan, except ? "except_keywords" : "keywords");
    else
        arm = vex_jp_field_named(plan, except ? "except_integers" : "integers");
    ProtobufCMessage *list = vex_jp_new(jp, arm->child->type);
    if (list == NULL)
        return jp->err->code;
    if (vex_jp_read_field(jp, &arm->child->fields[0], v, list) < 0)
        return jp->err->code == VEX_EFORMAT ? vex_jp_no_variant(jp, "MatchInterface") : jp->err->code;
    *(ProtobufCMessage **)(void *)((char *)message + arm->field->offset) = list;
    *(uint32_t *)(void *)((char *)message + arm->field->quantifier_offset) = arm->field->id;
    return 0;
}

int vex_jp_read_match(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                      ProtobufCMessage *message)
{
    static const char *const texts[] = {"text", "text_any", "phrase", "prefix", "substring"};
    struct vex_json member;
    if (vex_jp_get(v, "value", &member)) {
        const char *field = match_value_field(member);
        if (field == NULL)
            return vex_jp_no_variant(jp, "MatchInterface");
        return vex_jp_read_field(jp, vex_jp_field_named(plan, field), member, message);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (vex_jp_get(v, texts[i], &member))
            return vex_jp_read_field(jp, vex_jp_field_named(plan, texts[i]), member, message);
    if (vex_jp_get(v, "any", &member))
        return read_any(jp, plan, member, false, message);
    if (vex_jp_get(v, "except", &member))
        return read_any(jp, plan, member, true, message);
    return vex_jp_no_variant(jp, "MatchInterface");
}

/* ---- queries ---- */

/* {nearest} alone, or with mmr another arm of the message. */
static int read_nearest(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                        struct vex_json nearest, Qdrant__Query *out)
{
    struct vex_json mmr;
    if (!vex_jp_get(v, "mmr", &mmr))
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "nearest"), nearest, &out->base);
    Qdrant__NearestInputWithMmr *both = vex_jp_new(jp, &qdrant__nearest_input_with_mmr__descriptor);
    if (both == NULL)
        return jp->err->code;
    both->nearest = vex_jp_child(jp, &qdrant__vector_input__descriptor, nearest);
    both->mmr = both->nearest != NULL ? vex_jp_child(jp, &qdrant__mmr__descriptor, mmr) : NULL;
    if (both->mmr == NULL)
        return jp->err->code;
    out->nearest_with_mmr = both;
    out->variant_case = QDRANT__QUERY__VARIANT_NEAREST_WITH_MMR;
    return 0;
}

static int read_formula(struct vex_jp *jp, struct vex_json v, struct vex_json formula, Qdrant__Query *out)
{
    struct vex_json defaults;
    Qdrant__Formula *message = vex_jp_new(jp, &qdrant__formula__descriptor);
    if (message == NULL)
        return jp->err->code;
    message->expression = vex_jp_child(jp, &qdrant__expression__descriptor, formula);
    if (message->expression == NULL)
        return jp->err->code;
    out->formula = message;
    out->variant_case = QDRANT__QUERY__VARIANT_FORMULA;
    if (!vex_jp_get(v, "defaults", &defaults))
        return 0;
    return vex_jp_read_field(jp, vex_jp_field_named(vex_jp_plan(&qdrant__formula__descriptor), "defaults"),
                             defaults, &message->base);
}

/* "words", or {query, scoring: {bm25}}. */
static int read_text(struct vex_jp *jp, struct vex_json v, Qdrant__Query *out)
{
    struct vex_json query = v, scoring, bm25;
    Qdrant__TextQuery *message = vex_jp_new(jp, &qdrant__text_query__descriptor);
    if (message == NULL)
        return jp->err->code;
    if (vex_json_kind(v) == VEX_JSON_OBJECT && !vex_jp_get(v, "query", &query))
        return vex_jp_format(jp, "missing field `query`");
    if (vex_jp_string(jp, query, &message->query) < 0)
        return jp->err->code;
    if (vex_jp_get(v, "scoring", &scoring)) {
        if (!vex_jp_get(scoring, "bm25", &bm25))
            return vex_jp_format(jp, "missing field `bm25`");
        message->bm25 = vex_jp_child(jp, &qdrant__bm25_params__descriptor, bm25);
        message->scoring_case = QDRANT__TEXT_QUERY__SCORING_BM25;
        if (message->bm25 == NULL)
            return jp->err->code;
    }
    out->text = message;
    out->variant_case = QDRANT__QUERY__VARIANT_TEXT;
    return 0;
}

/* The context has to be named, but may be null: no pairs. */
static int read_discover(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                         Qdrant__Query *out)
{
    struct vex_json context;
    int code = vex_jp_read_field(jp, vex_jp_field_named(plan, "discover"), v, &out->base);
    if (code == 0 && out->discover->context == NULL && vex_json_get(v, "context", &context)) {
        out->discover->context = vex_jp_new(jp, &qdrant__context_input__descriptor);
        code = out->discover->context == NULL ? jp->err->code : 0;
    }
    return code;
}

int vex_jp_read_query(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                      ProtobufCMessage *message)
{
    static const char *const keyed[] = {"recommend", "order_by",           "fusion", "rrf",
                                        "sample",    "relevance_feedback", NULL};
    Qdrant__Query *out = (Qdrant__Query *)(void *)message;
    struct vex_json member;
    if (vex_json_kind(v) == VEX_JSON_OBJECT) {
        if (vex_jp_get(v, "nearest", &member))
            return read_nearest(jp, plan, v, member, out);
        if (vex_jp_get(v, "formula", &member))
            return read_formula(jp, v, member, out);
        if (vex_jp_get(v, "text", &member) && !has_key(v, "model"))
            return read_text(jp, member, out);
        if (vex_jp_get(v, "discover", &member))
            return read_discover(jp, plan, member, out);
        if (vex_json_get(v, "context", &member)) /* null is an empty context */
            return vex_jp_read_field(jp, vex_jp_field_named(plan, "context"), member, message);
        for (size_t i = 0; keyed[i] != NULL; i++)
            if (vex_jp_get(v, keyed[i], &member))
                return vex_jp_read_field(jp, vex_jp_field_named(plan, keyed[i]), member, message);
    }
    return vex_jp_read_field(jp, vex_jp_field_named(plan, "nearest"), v, message);
}

/* ---- formulas ---- */

/* A number, a variable, an operation under its name, or a condition that counts as 0 or 1. */
int vex_jp_read_expression(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                           ProtobufCMessage *message)
{
    struct vex_json member;
    if (vex_json_is_number(v))
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "constant"), v, message);
    if (vex_json_kind(v) == VEX_JSON_STRING)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "variable"), v, message);
    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_jp_no_variant(jp, "Expression");
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct vex_jp_field *arm = &plan->fields[i];
        bool operation = strcmp(arm->field->name, "constant") != 0 &&
                         strcmp(arm->field->name, "variable") != 0 &&
                         strcmp(arm->field->name, "condition") != 0;
        if (operation && vex_jp_get(v, arm->field->name, &member))
            return vex_jp_read_field(jp, arm, member, message);
    }
    return vex_jp_read_field(jp, vex_jp_field_named(plan, "condition"), v, message);
}

/* ---- the older searches ---- */

static int set_search(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json vector,
                      ProtobufCMessage *message)
{
    const struct vex_jp_field *values = vex_jp_field_named(plan, "vector");
    struct vex_json member;
    if (vex_json_kind(vector) == VEX_JSON_ARRAY)
        return vex_jp_read_field(jp, values, vector, message);
    Qdrant__SparseVector *sparse = vex_jp_child(jp, &qdrant__sparse_vector__descriptor, vector);
    if (sparse == NULL)
        return jp->err->code;
    vex_jp_get(vector, "values", &member);
    Qdrant__SparseIndices *indices = vex_jp_new(jp, &qdrant__sparse_indices__descriptor);
    if (indices == NULL)
        return jp->err->code;
    indices->n_data = sparse->n_indices;
    indices->data = sparse->indices;
    *(void **)(void *)((char *)message + vex_jp_field_named(plan, "sparse_indices")->field->offset) = indices;
    return vex_jp_read_field(jp, values, member, message);
}

/* A vector, or {name, vector} whose vector is dense or sparse. */
int vex_jp_read_search_vector(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                              ProtobufCMessage *message)
{
    struct vex_json name, vector;
    if (vex_json_kind(v) == VEX_JSON_ARRAY)
        return set_search(jp, plan, v, message);
    if (!vex_jp_get(v, "name", &name) || !vex_jp_get(v, "vector", &vector))
        return vex_jp_no_variant(jp, "NamedVectorStruct");
    int code = vex_jp_read_field(jp, vex_jp_field_named(plan, "vector_name"), name, message);
    return code < 0 ? code : set_search(jp, plan, vector, message);
}

int vex_jp_read_search(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                       ProtobufCMessage *message)
{
    struct vex_json member;
    if (vex_json_kind(v) == VEX_JSON_OBJECT && !vex_jp_get(v, "vector", &member))
        return vex_jp_format(jp, "missing field `vector`");
    return vex_jp_read_object(jp, plan, v, message);
}
