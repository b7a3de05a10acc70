/* Changes of a configuration: an update names differences, which are laid over the stored document field by
 * field. */
#include "api/qdrant/qdrant.h"

static int merge_quantization(struct vex_call *call, const Qdrant__QuantizationConfigDiff *in,
                              Qdrant__QuantizationConfig **ret)
{
    Qdrant__QuantizationConfig *out;

    if (in == NULL)
        return 0;
    out = VEX_MESSAGE(call, Qdrant__QuantizationConfig, qdrant__quantization_config__descriptor);
    switch (in->quantization_case) {
    case QDRANT__QUANTIZATION_CONFIG_DIFF__QUANTIZATION_DISABLED:
        *ret = NULL;
        return 0;
    case QDRANT__QUANTIZATION_CONFIG_DIFF__QUANTIZATION_SCALAR:
        out->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_SCALAR;
        out->scalar = in->scalar;
        break;
    case QDRANT__QUANTIZATION_CONFIG_DIFF__QUANTIZATION_PRODUCT:
        out->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_PRODUCT;
        out->product = in->product;
        break;
    case QDRANT__QUANTIZATION_CONFIG_DIFF__QUANTIZATION_BINARY:
        out->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_BINARY;
        out->binary = in->binary;
        break;
    case QDRANT__QUANTIZATION_CONFIG_DIFF__QUANTIZATION_TURBOQUANT:
        out->quantization_case = QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_TURBOQUANT;
        out->turboquant = in->turboquant;
        break;
    default:
        return vex_qdrant_malformed(call, "Malformed quantization config");
    }
    *ret = out;
    return 0;
}

static bool is_empty(const ProtobufCMessage *message)
{
    return protobuf_c_message_get_packed_size(message) == 0;
}

/* *dst is set to src, or src is laid over it. */
static void merge_part(ProtobufCMessage **dst, ProtobufCMessage *src)
{
    if (src == NULL)
        return;
    if (*dst == NULL)
        *dst = src;
    else
        vex_message_merge(*dst, src);
}

#define MERGE(dst, src) merge_part((ProtobufCMessage **)(void *)&(dst), (ProtobufCMessage *)(void *)(src))

static int merge_vector(struct vex_call *call, const Qdrant__VectorParamsDiff *in, Qdrant__VectorParams *out)
{
    if (in->hnsw_config != NULL && is_empty(&in->hnsw_config->base))
        out->hnsw_config = NULL;
    else
        MERGE(out->hnsw_config, in->hnsw_config);
    if (in->has_on_disk) {
        out->has_on_disk = true;
        out->on_disk = in->on_disk;
    }
    if (in->has_memory) {
        out->has_memory = true;
        out->memory = in->memory;
    }
    return merge_quantization(call, in->quantization_config, &out->quantization_config);
}

/* The document's parameters of a dense vector, made when there are none. */
Qdrant__VectorParams *vex_doc_vector(struct vex_call *call, Qdrant__CollectionConfig *doc,
                                     struct vex_str name)
{
    Qdrant__VectorsConfig **config = &doc->params->vectors_config;
    Qdrant__VectorParamsMap *map;

    if (*config == NULL)
        *config = VEX_MESSAGE(call, Qdrant__VectorsConfig, qdrant__vectors_config__descriptor);
    if ((*config)->config_case == QDRANT__VECTORS_CONFIG__CONFIG_PARAMS && name.len == 0)
        return (*config)->params;
    if ((*config)->config_case != QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP) {
        map = VEX_MESSAGE(call, Qdrant__VectorParamsMap, qdrant__vector_params_map__descriptor);
        if ((*config)->config_case == QDRANT__VECTORS_CONFIG__CONFIG_PARAMS)
            vex_doc_add_vector(call, map, VEX_STR(""), (*config)->params);
        (*config)->config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP;
        (*config)->params_map = map;
    }
    map = (*config)->params_map;
    for (size_t i = 0; i < map->n_map; i++)
        if (vex_str_eq_c(name, map->map[i]->key))
            return map->map[i]->value;
    return vex_doc_add_vector(call, map, name,
                              VEX_MESSAGE(call, Qdrant__VectorParams, qdrant__vector_params__descriptor));
}

Qdrant__VectorParams *vex_doc_add_vector(struct vex_call *call, Qdrant__VectorParamsMap *map,
                                         struct vex_str name, Qdrant__VectorParams *params)
{
    Qdrant__VectorParamsMap__MapEntry **list =
        VEX_ARENA_ARRAY(&call->arena, Qdrant__VectorParamsMap__MapEntry *, map->n_map + 1);
    Qdrant__VectorParamsMap__MapEntry *entry = VEX_MESSAGE(call, Qdrant__VectorParamsMap__MapEntry,
                                                           qdrant__vector_params_map__map_entry__descriptor);

    if (map->n_map != 0)
        memcpy(list, map->map, map->n_map * sizeof *list);
    entry->key = vex_arena_strndup(&call->arena, name.ptr, name.len);
    entry->value = params;
    list[map->n_map++] = entry;
    map->map = list;
    return params;
}

void vex_doc_remove_vector(Qdrant__CollectionConfig *doc, struct vex_str name)
{
    Qdrant__VectorsConfig *dense = doc->params != NULL ? doc->params->vectors_config : NULL;
    Qdrant__SparseVectorConfig *sparse = doc->params != NULL ? doc->params->sparse_vectors_config : NULL;
    size_t kept = 0;

    if (dense != NULL && dense->config_case == QDRANT__VECTORS_CONFIG__CONFIG_PARAMS && name.len == 0)
        doc->params->vectors_config = NULL;
    if (dense != NULL && dense->config_case == QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP) {
        for (size_t i = 0; i < dense->params_map->n_map; i++)
            if (!vex_str_eq_c(name, dense->params_map->map[i]->key))
                dense->params_map->map[kept++] = dense->params_map->map[i];
        dense->params_map->n_map = kept;
    }
    kept = 0;
    for (size_t i = 0; sparse != NULL && i < sparse->n_map; i++)
        if (!vex_str_eq_c(name, sparse->map[i]->key))
            sparse->map[kept++] = sparse->map[i];
    if (sparse != NULL)
        sparse->n_map = kept;
}

static int merge_named(struct vex_call *call, const char *name, const Qdrant__VectorParamsDiff *in,
                       const struct vex_config *config, Qdrant__CollectionConfig *doc)
{
    struct vex_str text = vex_str_c(name != NULL ? name : "");
    const struct vex_vector_params *params = vex_config_vector(config, text);

    if (params == NULL || params->kind == VEX_VECTOR_SPARSE)
        return vex_err_set(&call->err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                           VEX_STR_ARG(text));
    return in != NULL ? merge_vector(call, in, vex_doc_vector(call, doc, text)) : 0;
}

static int merge_vectors(struct vex_call *call, const Qdrant__VectorsConfigDiff *in,
                         const struct vex_config *config, Qdrant__CollectionConfig *doc)
{
    int code = 0;

    if (in == NULL)
        return 0;
    if (in->config_case == QDRANT__VECTORS_CONFIG_DIFF__CONFIG_PARAMS)
        return merge_named(call, "", in->params, config, doc);
    if (in->config_case == QDRANT__VECTORS_CONFIG_DIFF__CONFIG_PARAMS_MAP)
        for (size_t i = 0; code == 0 && i < in->params_map->n_map; i++)
            code = merge_named(call, in->params_map->map[i]->key, in->params_map->map[i]->value, config, doc);
    return code;
}

/* Where the document has the parameters of a sparse vector; made when there are none. */
static Qdrant__SparseVectorParams **doc_sparse(struct vex_call *call, Qdrant__CollectionConfig *doc,
                                               struct vex_str name)
{
    Qdrant__SparseVectorConfig *map = doc->params->sparse_vectors_config;
    Qdrant__SparseVectorConfig__MapEntry *entry, **list;

    for (size_t i = 0; map != NULL && i < map->n_map; i++)
        if (vex_str_eq_c(name, map->map[i]->key))
            return &map->map[i]->value;
    if (map == NULL)
        map = doc->params->sparse_vectors_config =
            VEX_MESSAGE(call, Qdrant__SparseVectorConfig, qdrant__sparse_vector_config__descriptor);
    entry = VEX_MESSAGE(call, Qdrant__SparseVectorConfig__MapEntry,
                        qdrant__sparse_vector_config__map_entry__descriptor);
    entry->key = vex_arena_strndup(&call->arena, name.ptr, name.len);
    list = VEX_ARENA_ARRAY(&call->arena, Qdrant__SparseVectorConfig__MapEntry *, map->n_map + 1);
    if (map->n_map != 0)
        memcpy(list, map->map, map->n_map * sizeof *list);
    list[map->n_map++] = entry;
    map->map = list;
    return &entry->value;
}

static int merge_sparse(struct vex_call *call, const Qdrant__SparseVectorConfig *in,
                        const struct vex_config *config, Qdrant__CollectionConfig *doc)
{
    for (size_t i = 0; in != NULL && i < in->n_map; i++) {
        struct vex_str name = vex_str_c(in->map[i]->key != NULL ? in->map[i]->key : "");
        const struct vex_vector_params *params = vex_config_vector(config, name);

        if (params == NULL || params->kind != VEX_VECTOR_SPARSE)
            return vex_err_set(&call->err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                               VEX_STR_ARG(name));
        MERGE(*doc_sparse(call, doc, name), in->map[i]->value);
    }
    return 0;
}

/* Key by key; keys not named stay, a null takes its key away. */
static int merge_metadata(struct vex_call *call, const Qdrant__UpdateCollection *in,
                          Qdrant__CollectionConfig *doc)
{
    size_t count = in->n_metadata;
    void **entries = (void **)(void *)in->metadata;
    int code = vex_qdrant_plain_metadata(call, &count, &entries);
    Qdrant__CollectionConfig__MetadataEntry **list =
        VEX_ARENA_ARRAY(&call->arena, Qdrant__CollectionConfig__MetadataEntry *, doc->n_metadata + count + 1);
    size_t n = doc->n_metadata;

    if (n != 0)
        memcpy(list, doc->metadata, n * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const Qdrant__UpdateCollection__MetadataEntry *entry = entries[i];
        size_t at = 0;

        while (at < n && !vex_str_eq_c(vex_str_c(list[at]->key), entry->key))
            at++;
        if (entry->value == NULL || entry->value->kind_case == QDRANT__VALUE__KIND_NULL_VALUE) {
            if (at < n)
                memmove(&list[at], &list[at + 1], (--n - at) * sizeof *list);
            continue;
        }
        if (at == n)
            list[n++] = VEX_MESSAGE(call, Qdrant__CollectionConfig__MetadataEntry,
                                    qdrant__collection_config__metadata_entry__descriptor);
        list[at]->key = entry->key;
        list[at]->value = entry->value;
    }
    doc->n_metadata = n;
    doc->metadata = list;
    return code;
}

static void merge_params(const Qdrant__CollectionParamsDiff *in, Qdrant__CollectionParams *out)
{
    if (in->has_replication_factor) {
        out->has_replication_factor = true;
        out->replication_factor = in->replication_factor;
    }
    if (in->has_write_consistency_factor) {
        out->has_write_consistency_factor = true;
        out->write_consistency_factor = in->write_consistency_factor;
    }
    if (in->has_on_disk_payload) {
        out->has_on_disk_payload = true;
        out->on_disk_payload = in->on_disk_payload;
    }
    if (in->has_read_fan_out_factor) {
        out->has_read_fan_out_factor = true;
        out->read_fan_out_factor = in->read_fan_out_factor;
    }
    if (in->has_read_fan_out_delay_ms) {
        out->has_read_fan_out_delay_ms = true;
        out->read_fan_out_delay_ms = in->read_fan_out_delay_ms;
    }
    MERGE(out->payload, in->payload);
    MERGE(out->id_tracker, in->id_tracker);
}

int vex_merge_update(struct vex_call *call, const Qdrant__UpdateCollection *in,
                     const struct vex_config *config, Qdrant__CollectionConfig *doc)
{
    int code;

    if (doc->params == NULL)
        doc->params = VEX_MESSAGE(call, Qdrant__CollectionParams, qdrant__collection_params__descriptor);
    if (in->params != NULL)
        merge_params(in->params, doc->params);
    MERGE(doc->hnsw_config, in->hnsw_config);
    MERGE(doc->optimizer_config, in->optimizers_config);
    MERGE(doc->strict_mode_config, in->strict_mode_config);
    if ((code = merge_vectors(call, in->vectors_config, config, doc)) < 0 ||
        (code = merge_quantization(call, in->quantization_config, &doc->quantization_config)) < 0 ||
        (code = merge_sparse(call, in->sparse_vectors_config, config, doc)) < 0)
        return code;
    return merge_metadata(call, in, doc);
}
