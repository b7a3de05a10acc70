/* JSON -> message: configuration of collections, payload indexes, aliases. */
#include "rest/json_reader.h"

#define AS(type, name) type *name = (type *)message

int vex_read_only_map(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_reader_field(r, message, message->descriptor->fields[0].name, json);
}

/* One unnamed configuration, or a map of them. */
int vex_read_vectors_config(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__VectorsConfig, config);
    struct vex_json size, distance;
    int code;
    if (vex_json_kind(json) != VEX_JSON_OBJECT)
        return vex_reader_no_variant(r, "VectorsConfig");
    bool single = vex_json_get(json, "size", &size) && vex_json_is_number(size);
    if (single) {
        code = vex_json_get(json, "distance", &distance) ? vex_reader_field(r, message, "params", json) : VEX_EFORMAT;
    } else {
        config->params_map = (Qdrant__VectorParamsMap *)vex_reader_new(r, &qdrant__vector_params_map__descriptor);
        config->config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP;
        code = vex_reader_field(r, &config->params_map->base, "map", json);
    }
    /* The peer's own type refuses a size of zero before any rule is looked at. */
    for (size_t i = 0; code == 0 && !single && i < config->params_map->n_map; i++) {
        const Qdrant__VectorParams *params = config->params_map->map[i]->value;
        if (params == NULL || !params->has_size || params->size == 0 || !params->has_distance)
            code = VEX_EFORMAT;
    }
    if (code == 0 && single && config->params->size == 0)
        code = VEX_EFORMAT;
    return code == 0 ? 0 : vex_reader_no_variant(r, "VectorsConfig");
}

int vex_read_vectors_config_diff(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__VectorsConfigDiff, config);
    config->params_map = (Qdrant__VectorParamsDiffMap *)vex_reader_new(r, &qdrant__vector_params_diff_map__descriptor);
    config->config_case = QDRANT__VECTORS_CONFIG_DIFF__CONFIG_PARAMS_MAP;
    return vex_reader_field(r, &config->params_map->base, "map", json);
}

int vex_read_quantization(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const struct {
        const char *key, *field;
    } kinds[] = {{"scalar", "scalar"}, {"product", "product"}, {"binary", "binary"}, {"turbo", "turboquant"}};
    struct vex_json value;
    bool diff = message->descriptor == &qdrant__quantization_config_diff__descriptor;
    if (diff && vex_json_kind(json) == VEX_JSON_STRING && vex_str_eq_c(vex_json_str(json), "Disabled")) {
        AS(Qdrant__QuantizationConfigDiff, config);
        config->disabled = (Qdrant__Disabled *)vex_reader_new(r, &qdrant__disabled__descriptor);
        config->quantization_case = QDRANT__QUANTIZATION_CONFIG_DIFF__QUANTIZATION_DISABLED;
        return 0;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (vex_json_has(json, kinds[i].key) && vex_json_get(json, kinds[i].key, &value))
            return vex_reader_field(r, message, kinds[i].field, value);
    return diff ? vex_reader_no_variant(r, "QuantizationConfigDiff") : vex_reader_no_variant(r, "QuantizationConfig");
}

int vex_read_max_threads(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_reader_field(r, message, vex_json_kind(json) == VEX_JSON_STRING ? "setting" : "value", json);
}

int vex_read_query_encoding(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_reader_field(r, message, "setting", json);
}

/* ---- payload indexes ---- */

static const struct {
    const char *name, *params;
    Qdrant__FieldType type;
} field_types[] = {
    {"keyword", "keyword_index_params", QDRANT__FIELD_TYPE__FieldTypeKeyword},
    {"integer", "integer_index_params", QDRANT__FIELD_TYPE__FieldTypeInteger},
    {"float", "float_index_params", QDRANT__FIELD_TYPE__FieldTypeFloat},
    {"geo", "geo_index_params", QDRANT__FIELD_TYPE__FieldTypeGeo},
    {"text", "text_index_params", QDRANT__FIELD_TYPE__FieldTypeText},
    {"bool", "bool_index_params", QDRANT__FIELD_TYPE__FieldTypeBool},
    {"datetime", "datetime_index_params", QDRANT__FIELD_TYPE__FieldTypeDatetime},
    {"uuid", "uuid_index_params", QDRANT__FIELD_TYPE__FieldTypeUuid},
};

/* field_schema: the bare type, or an object with its parameters. */
int vex_read_field_index(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__CreateFieldIndexCollection, request);
    struct vex_json schema, type;
    int code = vex_reader_object(r, message, json);
    if (code != 0)
        return code;
    if (request->field_name == NULL)
        return vex_reader_fail(r, "missing field `field_name`");
    if (!vex_json_has(json, "field_schema") && !vex_json_has(json, "field_type"))
        return 0;
    vex_json_get(json, vex_json_has(json, "field_schema") ? "field_schema" : "field_type", &schema);
    bool bare = vex_json_kind(schema) == VEX_JSON_STRING;
    type = schema;
    if (!bare && (!vex_json_get(schema, "type", &type) || vex_json_kind(type) != VEX_JSON_STRING))
        return vex_reader_no_variant(r, "PayloadFieldSchema");
    for (size_t i = 0; i < sizeof field_types / sizeof *field_types; i++) {
        if (!vex_str_eq_c(vex_json_str(type), field_types[i].name))
            continue;
        request->has_field_type = 1;
        request->field_type = field_types[i].type;
        if (bare)
            return 0;
        request->field_index_params = (Qdrant__PayloadIndexParams *)vex_reader_new(r, &qdrant__payload_index_params__descriptor);
        return vex_reader_field(r, &request->field_index_params->base, field_types[i].params, schema);
    }
    return vex_reader_no_variant(r, "PayloadFieldSchema");
}

int vex_read_stopwords(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__StopwordsSet, set);
    if (vex_json_kind(json) != VEX_JSON_STRING)
        return vex_reader_object(r, message, json);
    set->languages = VEX_ARENA_ARRAY(r->arena, char *, 1);
    set->n_languages = 1;
    return vex_reader_string(r, json, &set->languages[0]);
}

int vex_read_stemmer(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__StemmingAlgorithm, stemmer);
    struct vex_json type;
    if (!vex_json_get(json, "type", &type) || vex_json_kind(type) != VEX_JSON_STRING)
        return vex_reader_fail(r, "missing field `type`");
    if (vex_str_eq_c(vex_json_str(type), "none")) {
        stemmer->disabled = (Qdrant__DisabledStemmer *)vex_reader_new(r, &qdrant__disabled_stemmer__descriptor);
        stemmer->stemming_params_case = QDRANT__STEMMING_ALGORITHM__STEMMING_PARAMS_DISABLED;
        return 0;
    }
    if (!vex_str_eq_c(vex_json_str(type), "snowball"))
        return vex_reader_no_variant(r, "StemmingAlgorithm");
    return vex_reader_field(r, message, "snowball", json);
}

int vex_read_text_scoring(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__TextScoringParams, scoring);
    if (vex_json_kind(json) != VEX_JSON_BOOL)
        return vex_reader_object(r, message, json);
    scoring->has_type = vex_json_bool(json);
    return 0;
}

int vex_read_keyword_prefix(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_json_kind(json) == VEX_JSON_BOOL ? 0 : vex_reader_object(r, message, json);
}

/* ---- the rest ---- */

/* An object with exactly one of a oneof's keys. */
static int one_of(struct reader *r, ProtobufCMessage *message, struct vex_json json, const char *name)
{
    if (vex_json_kind(json) == VEX_JSON_OBJECT) {
        struct vex_json_iter it = vex_json_iter(json);
        while (vex_json_next(&it))
            for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
                const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
                if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && vex_str_eq_c(it.key, field->name))
                    return vex_reader_object(r, message, json);
            }
    }
    return vex_reader_fail(r, "data did not match any variant of untagged enum %s", name);
}

int vex_read_alias_operation(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return one_of(r, message, json, "AliasOperations");
}

int vex_read_cluster_operation(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const struct {
        const char *key, *field;
    } kinds[] = {
        {"move_shard", "move_shard"},
        {"replicate_shard", "replicate_shard"},
        {"abort_transfer", "abort_transfer"},
        {"drop_replica", "drop_replica"},
        {"create_sharding_key", "create_shard_key"},
        {"drop_sharding_key", "delete_shard_key"},
        {"restart_transfer", "restart_transfer"},
        {"replicate_points", "replicate_points"},
    };
    struct vex_json value;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (vex_json_has(json, kinds[i].key) && vex_json_get(json, kinds[i].key, &value))
            return vex_reader_field(r, message, kinds[i].field, value);
    return vex_reader_no_variant(r, "ClusterOperations");
}

int vex_read_vector_name_config(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    struct vex_json value;
    if (vex_json_has(json, "dense") && vex_json_get(json, "dense", &value))
        return vex_reader_field(r, message, "dense_config", value);
    if (vex_json_has(json, "sparse") && vex_json_get(json, "sparse", &value))
        return vex_reader_field(r, message, "sparse_config", value);
    return vex_reader_no_variant(r, "VectorNameConfig");
}
