/* Strict mode that new collections begin with, out of the configuration (storage.collection.strict_mode). */
#include "api/qdrant/strict.h"

static const struct {
    enum vex_conf_key key;
    const char *field; /* of StrictModeConfig */
} settings[] = {
    {VEX_CONF_STRICT_ENABLED, "enabled"},
    {VEX_CONF_STRICT_MAX_QUERY_LIMIT, "max_query_limit"},
    {VEX_CONF_STRICT_MAX_TIMEOUT, "max_timeout"},
    {VEX_CONF_STRICT_UNINDEXED_FILTERING_RETRIEVE, "unindexed_filtering_retrieve"},
    {VEX_CONF_STRICT_UNINDEXED_FILTERING_UPDATE, "unindexed_filtering_update"},
    {VEX_CONF_STRICT_SEARCH_MAX_HNSW_EF, "search_max_hnsw_ef"},
    {VEX_CONF_STRICT_SEARCH_ALLOW_EXACT, "search_allow_exact"},
    {VEX_CONF_STRICT_SEARCH_MAX_OVERSAMPLING, "search_max_oversampling"},
    {VEX_CONF_STRICT_UPSERT_MAX_BATCHSIZE, "upsert_max_batchsize"},
    {VEX_CONF_STRICT_SEARCH_MAX_BATCHSIZE, "search_max_batchsize"},
    {VEX_CONF_STRICT_MAX_COLLECTION_VECTOR_SIZE_BYTES, "max_collection_vector_size_bytes"},
    {VEX_CONF_STRICT_READ_RATE_LIMIT, "read_rate_limit"},
    {VEX_CONF_STRICT_WRITE_RATE_LIMIT, "write_rate_limit"},
    {VEX_CONF_STRICT_MAX_COLLECTION_PAYLOAD_SIZE_BYTES, "max_collection_payload_size_bytes"},
    {VEX_CONF_STRICT_FILTER_MAX_CONDITIONS, "filter_max_conditions"},
    {VEX_CONF_STRICT_CONDITION_MAX_SIZE, "condition_max_size"},
    {VEX_CONF_STRICT_MAX_POINTS_COUNT, "max_points_count"},
    {VEX_CONF_STRICT_MAX_PAYLOAD_INDEX_COUNT, "max_payload_index_count"},
    {VEX_CONF_STRICT_MAX_RESIDENT_MEMORY_PERCENT, "max_resident_memory_percent"},
};

static void put(Qdrant__StrictModeConfig *message, const char *name, const struct vex_conf *conf,
                enum vex_conf_key key)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->base.descriptor, name);
    void *at = (char *)message + field->offset;
    uint64_t whole = vex_conf_u64(conf, key);

    *(protobuf_c_boolean *)(void *)((char *)message + field->quantifier_offset) = true;
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        *(protobuf_c_boolean *)at = vex_conf_bool(conf, key);
    else if (field->type == PROTOBUF_C_TYPE_FLOAT)
        *(float *)at = (float)vex_conf_f64(conf, key);
    else if (field->type == PROTOBUF_C_TYPE_UINT32)
        *(uint32_t *)at = whole < UINT32_MAX ? (uint32_t)whole : UINT32_MAX;
    else
        *(uint64_t *)at = whole;
}

Qdrant__StrictModeConfig *vex_strict_of_new(struct vex_call *call, Qdrant__StrictModeConfig *asked)
{
    const struct vex_conf *conf = call->service->options.conf;
    Qdrant__StrictModeConfig *out =
        VEX_MESSAGE(call, Qdrant__StrictModeConfig, qdrant__strict_mode_config__descriptor);
    bool any = false;

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (vex_conf_str(conf, settings[i].key)[0] == '\0')
            continue;
        put(out, settings[i].field, conf, settings[i].key);
        any = true;
    }
    if (!any)
        return asked;
    if (asked != NULL)
        vex_message_merge(&out->base, &asked->base);
    return out;
}
