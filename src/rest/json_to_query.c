/* JSON -> message: filters, queries, formulas, order. */
#include <stdio.h>

#include "base/time.h"
#include "rest/json_reader.h"

#include "google_timestamp.pb-c.h"

#define AS(type, name) type *name = (type *)message

/* ---- filters ---- */

int vex_read_filter(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const char *const known[] = {"should", "min_should", "must", "must_not"};
    struct vex_json_iter it = vex_json_iter(json);
    while (vex_json_kind(json) == VEX_JSON_OBJECT && vex_json_next(&it)) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || vex_str_eq_c(it.key, known[i]);
        if (!found)
            return vex_reader_fail(r, "unknown field `" VEX_STR_FMT "`, expected one of `should`, `min_should`, `must`, `must_not`",
                                   VEX_STR_ARG(it.key));
    }
    return vex_reader_object(r, message, json);
}

int vex_read_min_should(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__MinShould, min_should);
    int code = vex_reader_object(r, message, json);
    if (code != 0 || min_should->has_min_count)
        return code;
    return vex_reader_fail(r, "missing field `min_count`");
}

int vex_read_condition(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    /* Conditions whose value is read from the whole object, or from its one key. */
    static const struct {
        const char *key, *field;
        bool whole;
    } kinds[] = {
        {"key", "field", true},         {"is_empty", "is_empty", false}, {"is_null", "is_null", false},
        {"has_id", "has_id", true},     {"nested", "nested", false},     {"has_vector", "has_vector", true},
        {"slice", "slice", false},      {"must", "filter", true},        {"should", "filter", true},
        {"must_not", "filter", true},   {"min_should", "filter", true},
    };
    struct vex_json value;
    if (vex_json_kind(json) == VEX_JSON_OBJECT) {
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (vex_json_get(json, kinds[i].key, &value))
                return vex_reader_field(r, message, kinds[i].field, kinds[i].whole ? json : value);
        if (vex_json_count(json) == 0)
            return vex_reader_field(r, message, "filter", json);
    }
    return vex_reader_fail(r, "Expected some form of condition, which can be a field condition (like {\"key\": ..., \"match\": ... }), "
                              "or some other mentioned in the documentation: "
                              "https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions");
}

static bool has_text(struct vex_json range)
{
    struct vex_json_iter it = vex_json_iter(range);
    while (vex_json_next(&it))
        if (vex_json_kind(it.value) == VEX_JSON_STRING)
            return true;
    return false;
}

int vex_read_field_condition(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    struct vex_json_iter it = vex_json_iter(json);
    while (vex_json_next(&it)) {
        char name[32];
        if (it.key.len >= sizeof name || vex_json_kind(it.value) == VEX_JSON_NULL)
            continue;
        memcpy(name, it.key.ptr, it.key.len);
        name[it.key.len] = '\0';
        const char *field = strcmp(name, "range") == 0 && has_text(it.value) ? "datetime_range" : name;
        if (protobuf_c_message_descriptor_get_field_by_name(message->descriptor, field) == NULL)
            continue;
        int code = vex_reader_field(r, message, field, it.value);
        if (code != 0)
            return code;
    }
    return 0;
}

/* A list of strings or of whole numbers into the fitting field of the oneof. */
static int match_list(struct reader *r, ProtobufCMessage *message, struct vex_json list, bool except)
{
    AS(Qdrant__Match, match);
    struct vex_json_iter it = vex_json_iter(list);
    bool numbers = vex_json_next(&it) && vex_json_kind(it.value) == VEX_JSON_INT;
    if (vex_json_kind(list) != VEX_JSON_ARRAY)
        return vex_reader_no_variant(r, "MatchInterface");
    for (it = vex_json_iter(list); vex_json_next(&it);)
        if (vex_json_kind(it.value) != (numbers ? VEX_JSON_INT : VEX_JSON_STRING))
            return vex_reader_no_variant(r, "MatchInterface");
    if (numbers) {
        ProtobufCMessage *integers = vex_reader_new(r, &qdrant__repeated_integers__descriptor);
        match->match_value_case =
            except ? QDRANT__MATCH__MATCH_VALUE_EXCEPT_INTEGERS : QDRANT__MATCH__MATCH_VALUE_INTEGERS;
        *(except ? &match->except_integers : &match->integers) = (Qdrant__RepeatedIntegers *)integers;
        return vex_reader_field(r, integers, "integers", list);
    }
    ProtobufCMessage *strings = vex_reader_new(r, &qdrant__repeated_strings__descriptor);
    match->match_value_case = except ? QDRANT__MATCH__MATCH_VALUE_EXCEPT_KEYWORDS : QDRANT__MATCH__MATCH_VALUE_KEYWORDS;
    *(except ? &match->except_keywords : &match->keywords) = (Qdrant__RepeatedStrings *)strings;
    return vex_reader_field(r, strings, "strings", list);
}

int vex_read_match(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const char *const texts[] = {"text", "text_any", "phrase", "prefix", "substring"};
    struct vex_json value;
    if (vex_json_get(json, "value", &value)) {
        enum vex_json_kind kind = vex_json_kind(value);
        if (kind == VEX_JSON_STRING)
            return vex_reader_field(r, message, "keyword", value);
        if (kind == VEX_JSON_INT)
            return vex_reader_field(r, message, "integer", value);
        if (kind == VEX_JSON_BOOL)
            return vex_reader_field(r, message, "boolean", value);
        return vex_reader_no_variant(r, "MatchInterface");
    }
    if (vex_json_get(json, "any", &value))
        return match_list(r, message, value, false);
    if (vex_json_get(json, "except", &value))
        return match_list(r, message, value, true);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (vex_json_get(json, texts[i], &value) && vex_json_kind(value) == VEX_JSON_STRING)
            return vex_reader_field(r, message, texts[i], value);
    return vex_reader_no_variant(r, "MatchInterface");
}

static int timestamp(struct reader *r, struct vex_json json, Google__Protobuf__Timestamp **ret)
{
    int64_t us;
    if (vex_json_kind(json) != VEX_JSON_STRING)
        return vex_reader_expected(r, json, "a datetime string");
    if (!vex_time_parse(vex_json_str(json), &us))
        return vex_reader_fail(r, "'" VEX_STR_FMT "' does not match accepted datetime format (RFC3339). Example: 2014-01-01T00:00:00Z",
                               VEX_STR_ARG(vex_json_str(json)));
    int64_t seconds = us / 1000000 - (us % 1000000 < 0);
    *ret = (Google__Protobuf__Timestamp *)vex_reader_new(r, &google__protobuf__timestamp__descriptor);
    (*ret)->has_seconds = (*ret)->has_nanos = 1;
    (*ret)->seconds = seconds;
    (*ret)->nanos = (int32_t)((us - seconds * 1000000) * 1000);
    return 0;
}

int vex_read_datetime_range(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__DatetimeRange, range);
    struct {
        const char *key;
        Google__Protobuf__Timestamp **to;
    } bounds[] = {{"lt", &range->lt}, {"gt", &range->gt}, {"gte", &range->gte}, {"lte", &range->lte}};
    struct vex_json value;
    for (size_t i = 0; i < 4; i++)
        if (vex_json_has(json, bounds[i].key) && vex_json_get(json, bounds[i].key, &value)) {
            int code = timestamp(r, value, bounds[i].to);
            if (code != 0)
                return code;
        }
    return 0;
}

int vex_read_geo_point(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__GeoPoint, point);
    char lat[32], lon[32];
    int code = vex_reader_object(r, message, json);
    if (code != 0)
        return code;
    if (!point->has_lat || !point->has_lon)
        return vex_reader_fail(r, "missing field `%s`", point->has_lon ? "lat" : "lon");
    if (point->lat >= -90 && point->lat <= 90 && point->lon >= -180 && point->lon <= 180)
        return 0;
    snprintf(lat, sizeof lat, "%g", point->lat);
    snprintf(lon, sizeof lon, "%g", point->lon);
    return vex_reader_fail(r, "Wrong format of GeoPoint payload: expected `lat` = %s within [-90;90] and `lon` = %s within [-180;180]",
                           lat, lon);
}

/* ---- queries ---- */

int vex_read_text_query(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    struct vex_json scoring;
    if (vex_json_kind(json) == VEX_JSON_STRING)
        return vex_reader_field(r, message, "query", json);
    int code = vex_reader_object(r, message, json);
    if (code == 0 && vex_json_has(json, "scoring") && vex_json_get(json, "scoring", &scoring) && vex_json_has(scoring, "bm25")) {
        vex_json_get(scoring, "bm25", &scoring);
        code = vex_reader_field(r, message, "bm25", scoring);
    }
    return code;
}

static int formula(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__Query, query);
    struct vex_json value;
    query->formula = (Qdrant__Formula *)vex_reader_new(r, &qdrant__formula__descriptor);
    query->variant_case = QDRANT__QUERY__VARIANT_FORMULA;
    vex_json_get(json, "formula", &value);
    int code = vex_reader_field(r, &query->formula->base, "expression", value);
    if (code == 0 && vex_json_has(json, "defaults") && vex_json_get(json, "defaults", &value))
        code = vex_reader_field(r, &query->formula->base, "defaults", value);
    return code;
}

int vex_read_query(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const char *const kinds[] = {"recommend", "discover", "context",           "order_by", "fusion",
                                        "rrf",       "sample",   "relevance_feedback"};
    struct vex_json value;
    if (vex_json_kind(json) != VEX_JSON_OBJECT)
        return vex_json_kind(json) == VEX_JSON_BOOL
                   ? vex_reader_fail(r, "Expected some form of vector, id, or a type of query")
                   : vex_reader_field(r, message, "nearest", json);
    if (vex_json_get(json, "nearest", &value))
        return vex_json_has(json, "mmr") ? vex_reader_field(r, message, "nearest_with_mmr", json)
                                         : vex_reader_field(r, message, "nearest", value);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (vex_json_get(json, kinds[i], &value))
            return vex_reader_field(r, message, kinds[i], value);
    if (vex_json_has(json, "formula"))
        return formula(r, message, json);
    if (vex_json_get(json, "text", &value) && !vex_json_has(json, "model"))
        return vex_reader_field(r, message, "text", value);
    if (vex_json_has(json, "indices") || vex_json_has(json, "model"))
        return vex_reader_field(r, message, "nearest", json);
    return vex_reader_fail(r, "Expected some form of vector, id, or a type of query");
}

int vex_read_order_by(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    if (vex_json_kind(json) == VEX_JSON_STRING)
        return vex_reader_field(r, message, "key", json);
    return vex_reader_object(r, message, json);
}

int vex_read_start_from(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    switch (vex_json_kind(json)) {
    case VEX_JSON_INT:
        return vex_reader_field(r, message, "integer", json);
    case VEX_JSON_STRING:
        return vex_reader_field(r, message, "datetime", json);
    default:
        return vex_reader_field(r, message, "float", json);
    }
}

int vex_read_context_input(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_reader_field(r, message, "pairs", json);
}

int vex_read_with_lookup(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    if (vex_json_kind(json) == VEX_JSON_STRING)
        return vex_reader_field(r, message, "collection", json);
    return vex_reader_object(r, message, json);
}

int vex_read_list_expression(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_reader_field(r, message, message->descriptor->fields[0].name, json);
}

int vex_read_expression(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    if (vex_json_is_number(json))
        return vex_reader_field(r, message, "constant", json);
    if (vex_json_kind(json) == VEX_JSON_STRING)
        return vex_reader_field(r, message, "variable", json);
    struct vex_json_iter it = vex_json_iter(json);
    while (vex_json_next(&it)) {
        char name[32];
        if (it.key.len >= sizeof name)
            continue;
        memcpy(name, it.key.ptr, it.key.len);
        name[it.key.len] = '\0';
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
        if (field != NULL && strcmp(name, "condition") != 0)
            return vex_reader_field(r, message, name, it.value);
    }
    return vex_reader_field(r, message, "condition", json);
}

/* ---- the older search calls ---- */

/* `vector` is a list, {name, vector} with a dense or a sparse vector. */
static int legacy_vector(struct reader *r, ProtobufCMessage *message, struct vex_json vector)
{
    struct vex_json name, inner = vector, part;
    if (vex_json_kind(vector) == VEX_JSON_OBJECT) {
        if (!vex_json_get(vector, "name", &name) || !vex_json_get(vector, "vector", &inner))
            return vex_reader_no_variant(r, "NamedVectorStruct");
        int code = vex_reader_field(r, message, "vector_name", name);
        if (code != 0)
            return code;
    }
    if (vex_json_kind(inner) == VEX_JSON_OBJECT && vex_json_get(inner, "indices", &part)) {
        ProtobufCMessage *indices = vex_reader_new(r, &qdrant__sparse_indices__descriptor);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "sparse_indices");
        *(ProtobufCMessage **)((char *)message + field->offset) = indices;
        int code = vex_reader_field(r, indices, "data", part);
        if (code != 0 || !vex_json_get(inner, "values", &inner))
            return code != 0 ? code : vex_reader_fail(r, "missing field `values`");
    }
    if (vex_json_kind(inner) != VEX_JSON_ARRAY)
        return vex_reader_no_variant(r, "NamedVectorStruct");
    return vex_reader_field(r, message, "vector", inner);
}

/* Keeps `vector` (or positive and negative) out of the walk: reads everything else. */
static int without(struct reader *r, ProtobufCMessage *message, struct vex_json json, const char *const *skip, size_t count)
{
    struct vex_json_iter it = vex_json_iter(json);
    if (vex_json_kind(json) != VEX_JSON_OBJECT)
        return vex_reader_object(r, message, json); /* says what was expected */
    while (vex_json_next(&it)) {
        bool skipped = vex_json_kind(it.value) == VEX_JSON_NULL;
        for (size_t i = 0; i < count; i++)
            skipped = skipped || vex_str_eq_c(it.key, skip[i]);
        if (skipped)
            continue;
        int code = vex_reader_key(r, message, it.key, it.value);
        if (code != 0)
            return code;
    }
    return 0;
}

int vex_read_legacy_search(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const char *const skip[] = {"vector"};
    struct vex_json vector;
    int code = without(r, message, json, skip, 1);
    if (code != 0)
        return code;
    if (!vex_json_get(json, "vector", &vector))
        return vex_reader_fail(r, "missing field `vector`");
    if (!vex_json_has(json, "limit") && !vex_json_has(json, "top"))
        return vex_reader_fail(r, "missing field `limit`");
    return legacy_vector(r, message, vector);
}

/* Examples are ids or vectors, mixed. */
static int examples(struct reader *r, ProtobufCMessage *message, struct vex_json json, const char *key, const char *vectors)
{
    struct vex_json list;
    if (!vex_json_has(json, key) || !vex_json_get(json, key, &list))
        return 0;
    if (vex_json_kind(list) != VEX_JSON_ARRAY)
        return vex_reader_expected(r, list, "a sequence");
    const ProtobufCFieldDescriptor *id_field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, key);
    const ProtobufCFieldDescriptor *vector_field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, vectors);
    char *base = (char *)message;
    ProtobufCMessage **ids = VEX_ARENA_ARRAY(r->arena, ProtobufCMessage *, vex_json_count(list));
    ProtobufCMessage **others = VEX_ARENA_ARRAY(r->arena, ProtobufCMessage *, vex_json_count(list));
    size_t id_count = 0, other_count = 0;
    for (struct vex_json_iter it = vex_json_iter(list); vex_json_next(&it);) {
        bool id = vex_json_kind(it.value) == VEX_JSON_STRING || vex_json_is_number(it.value);
        ProtobufCMessage *item = vex_reader_new(r, id ? &qdrant__point_id__descriptor : &qdrant__vector__descriptor);
        int code = vex_reader_message(r, item, it.value);
        if (code != 0)
            return code;
        if (id)
            ids[id_count++] = item;
        else
            others[other_count++] = item;
    }
    *(size_t *)(base + id_field->quantifier_offset) = id_count;
    *(ProtobufCMessage ***)(base + id_field->offset) = ids;
    *(size_t *)(base + vector_field->quantifier_offset) = other_count;
    *(ProtobufCMessage ***)(base + vector_field->offset) = others;
    return 0;
}

int vex_read_legacy_recommend(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const char *const skip[] = {"positive", "negative"};
    int code = without(r, message, json, skip, 2);
    if (code == 0)
        code = examples(r, message, json, "positive", "positive_vectors");
    if (code == 0)
        code = examples(r, message, json, "negative", "negative_vectors");
    return code;
}
