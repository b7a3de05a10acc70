/* Hooks of reading: configurations and payload indexes. */
#include <stdio.h>

#include "base/time.h"
#include "rest/quirks_hooks.h"

#include "qdrant_collections.pb-c.h"
#include "qdrant_points.pb-c.h"

int vex_jp_read_timestamp(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                          ProtobufCMessage *message)
{
    Google__Protobuf__Timestamp *out = (Google__Protobuf__Timestamp *)(void *)message;
    int64_t us;
    (void)plan;
    if (vex_json_kind(v) != VEX_JSON_STRING)
        return vex_jp_unexpected(jp, v, "a datetime");
    struct vex_str text = vex_json_str(v);
    if (!vex_time_parse(text, &us))
        return vex_jp_format(
            jp,
            "'" VEX_STR_FMT
            "' does not match accepted datetime format (RFC3339). Example: 2014-01-01T00:00:00Z",
            VEX_STR_ARG(text));
    int64_t seconds = us / 1000000, rest = us % 1000000;
    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    out->has_seconds = out->has_nanos = 1;
    out->seconds = seconds;
    out->nanos = (int32_t)(rest * 1000);
    return 0;
}

/* ---- vectors ---- */

/* One unnamed vector, or names. A name may be "size", so what counts is whether the members are objects. */
int vex_jp_read_vectors_config(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                               ProtobufCMessage *message)
{
    struct vex_json member;
    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_jp_no_variant(jp, "VectorsConfig");
    bool one = (vex_json_get(v, "size", &member) && vex_json_kind(member) != VEX_JSON_OBJECT) ||
               (vex_json_get(v, "distance", &member) && vex_json_kind(member) != VEX_JSON_OBJECT);
    return vex_jp_read_field(jp, vex_jp_field_named(plan, one ? "params" : "params_map"), v, message);
}

int vex_jp_read_vectors_config_diff(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                                    ProtobufCMessage *message)
{
    return vex_jp_read_field(jp, vex_jp_field_named(plan, "params_map"), v, message);
}

int vex_jp_read_quantization_diff(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                                  ProtobufCMessage *message)
{
    Qdrant__QuantizationConfigDiff *out = (Qdrant__QuantizationConfigDiff *)(void *)message;
    if (vex_json_kind(v) != VEX_JSON_STRING || !vex_str_eq_c(vex_json_str(v), "Disabled"))
        return vex_jp_read_object(jp, plan, v, message);
    out->disabled = vex_jp_new(jp, &qdrant__disabled__descriptor);
    out->quantization_case = QDRANT__QUANTIZATION_CONFIG_DIFF__QUANTIZATION_DISABLED;
    return out->disabled != NULL ? 0 : jp->err->code;
}

int vex_jp_read_max_threads(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                            ProtobufCMessage *message)
{
    bool text = vex_json_kind(v) == VEX_JSON_STRING;
    return vex_jp_read_field(jp, vex_jp_field_named(plan, text ? "setting" : "value"), v, message);
}

/* ---- payload indexes ---- */

/* Names of the index types in the order of FieldType. */
static const char *const index_types[] = {"keyword", "integer", "float",    "geo",
                                          "text",    "bool",    "datetime", "uuid"};

static int read_index_params(struct vex_jp *jp, struct vex_json v, struct vex_str type,
                             Qdrant__CreateFieldIndexCollection *out)
{
    const struct vex_jp_message *plan = vex_jp_plan(&qdrant__payload_index_params__descriptor);
    char name[64];
    int len = snprintf(name, sizeof name, VEX_STR_FMT "_index_params", VEX_STR_ARG(type));
    out->field_index_params = vex_jp_new(jp, &qdrant__payload_index_params__descriptor);
    if (out->field_index_params == NULL)
        return jp->err->code;
    for (uint32_t i = 0; len < (int)sizeof name && i < plan->count; i++)
        if (vex_str_eq_c(plan->fields[i].key, name))
            return vex_jp_read_field(jp, &plan->fields[i], v, &out->field_index_params->base);
    return vex_jp_no_variant(jp, "PayloadFieldSchema");
}

/* "keyword" or {"type": "keyword", ...}. */
int vex_jp_read_field_schema(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                             ProtobufCMessage *message)
{
    Qdrant__CreateFieldIndexCollection *out = (Qdrant__CreateFieldIndexCollection *)(void *)message;
    struct vex_json type = v;
    (void)plan;
    if (vex_json_kind(v) == VEX_JSON_OBJECT && !vex_jp_get(v, "type", &type))
        return vex_jp_no_variant(jp, "PayloadFieldSchema");
    if (vex_json_kind(type) != VEX_JSON_STRING)
        return vex_jp_no_variant(jp, "PayloadFieldSchema");
    if (vex_json_kind(v) == VEX_JSON_OBJECT)
        return read_index_params(jp, v, vex_json_str(type), out);
    for (size_t i = 0; i < sizeof index_types / sizeof *index_types; i++)
        if (vex_str_eq_c(vex_json_str(v), index_types[i])) {
            out->has_field_type = 1;
            out->field_type = (Qdrant__FieldType)i;
            return 0;
        }
    return vex_jp_no_variant(jp, "PayloadFieldSchema");
}

int vex_jp_read_keyword_prefix(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                               ProtobufCMessage *message)
{
    Qdrant__KeywordIndexParams *out = (Qdrant__KeywordIndexParams *)(void *)message;
    (void)plan;
    if (vex_json_kind(v) != VEX_JSON_BOOL)
        return vex_jp_unexpected(jp, v, "a boolean");
    if (!vex_json_bool(v))
        return 0;
    out->prefix = vex_jp_new(jp, &qdrant__keyword_prefix_params__descriptor);
    return out->prefix != NULL ? 0 : jp->err->code;
}

/* true, false or {type}. */
int vex_jp_read_text_scoring(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                             ProtobufCMessage *message)
{
    Qdrant__TextIndexParams *out = (Qdrant__TextIndexParams *)(void *)message;
    (void)plan;
    if (vex_json_kind(v) != VEX_JSON_BOOL) {
        out->scoring = vex_jp_child(jp, &qdrant__text_scoring_params__descriptor, v);
        return out->scoring != NULL ? 0 : jp->err->code;
    }
    if (!vex_json_bool(v))
        return 0;
    out->scoring = vex_jp_new(jp, &qdrant__text_scoring_params__descriptor);
    if (out->scoring == NULL)
        return jp->err->code;
    out->scoring->has_type = 1;
    out->scoring->type = QDRANT__TEXT_SCORING_TYPE__Bm25;
    return 0;
}

/* A language, or {languages, custom}. */
int vex_jp_read_stopwords(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                          ProtobufCMessage *message)
{
    Qdrant__StopwordsSet *out = (Qdrant__StopwordsSet *)(void *)message;
    if (vex_json_kind(v) != VEX_JSON_STRING)
        return vex_jp_read_object(jp, plan, v, message);
    out->languages = vex_jp_alloc(jp, 1, sizeof *out->languages);
    if (out->languages == NULL)
        return jp->err->code;
    out->n_languages = 1;
    return vex_jp_string(jp, v, &out->languages[0]);
}

int vex_jp_read_stemmer(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                        ProtobufCMessage *message)
{
    struct vex_json type;
    if (!vex_jp_get(v, "type", &type) || vex_json_kind(type) != VEX_JSON_STRING)
        return vex_jp_no_variant(jp, "StemmingAlgorithm");
    if (vex_str_eq_c(vex_json_str(type), "snowball"))
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "snowball"), v, message);
    if (vex_str_eq_c(vex_json_str(type), "none"))
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "disabled"), v, message);
    return vex_jp_no_variant(jp, "StemmingAlgorithm");
}
