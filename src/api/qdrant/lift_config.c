/* What a configuration looks like to a client: the stored document over the peer's defaults, with the vectors
 * that the engine really has, so that collections of other dialects and vectors added later show as well. */
#include "api/qdrant/qdrant.h"

static int distance_of(enum vex_distance distance)
{
    static const int out[] = {[VEX_DISTANCE_L2] = QDRANT__DISTANCE__Euclid,
                              [VEX_DISTANCE_COSINE] = QDRANT__DISTANCE__Cosine,
                              [VEX_DISTANCE_DOT] = QDRANT__DISTANCE__Dot,
                              [VEX_DISTANCE_L1] = QDRANT__DISTANCE__Manhattan};

    return out[distance];
}

Qdrant__VectorParams *vex_doc_find_vector(const Qdrant__CollectionConfig *doc, struct vex_str name)
{
    const Qdrant__VectorsConfig *in = doc->params != NULL ? doc->params->vectors_config : NULL;

    if (in != NULL && in->config_case == QDRANT__VECTORS_CONFIG__CONFIG_PARAMS && name.len == 0)
        return in->params;
    if (in != NULL && in->config_case == QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP)
        for (size_t i = 0; i < in->params_map->n_map; i++)
            if (vex_str_eq_c(name, in->params_map->map[i]->key))
                return in->params_map->map[i]->value;
    return NULL;
}

static Qdrant__SparseVectorParams *find_sparse(const Qdrant__CollectionConfig *doc, struct vex_str name)
{
    const Qdrant__SparseVectorConfig *in = doc->params != NULL ? doc->params->sparse_vectors_config : NULL;

    for (size_t i = 0; in != NULL && i < in->n_map; i++)
        if (vex_str_eq_c(name, in->map[i]->key))
            return in->map[i]->value;
    return NULL;
}

static Qdrant__VectorParams *lift_dense(struct vex_call *call, const struct vex_vector_params *params,
                                        const Qdrant__CollectionConfig *doc)
{
    const Qdrant__VectorParams *stored = vex_doc_find_vector(doc, params->name);
    Qdrant__VectorParams *out = VEX_MESSAGE(call, Qdrant__VectorParams, qdrant__vector_params__descriptor);

    if (stored != NULL)
        *out = *stored;
    else if (params->element != VEX_ELEMENT_F32) {
        out->has_datatype = true;
        out->datatype =
            params->element == VEX_ELEMENT_F16 ? QDRANT__DATATYPE__Float16 : QDRANT__DATATYPE__Uint8;
    }
    out->has_size = out->has_distance = true;
    out->size = params->size;
    out->distance = (Qdrant__Distance)distance_of(params->distance);
    if (params->kind == VEX_VECTOR_MULTI && out->multivector_config == NULL)
        out->multivector_config =
            VEX_MESSAGE(call, Qdrant__MultiVectorConfig, qdrant__multi_vector_config__descriptor);
    if (out->multivector_config != NULL)
        out->multivector_config->has_comparator = true;
    return out;
}

static void lift_sparse(struct vex_call *call, const struct vex_vector_params *params,
                        const Qdrant__CollectionConfig *doc, Qdrant__SparseVectorConfig *map)
{
    Qdrant__SparseVectorParams *value = find_sparse(doc, params->name);
    Qdrant__SparseVectorConfig__MapEntry *entry = VEX_MESSAGE(
        call, Qdrant__SparseVectorConfig__MapEntry, qdrant__sparse_vector_config__map_entry__descriptor);

    if (value == NULL)
        value = VEX_MESSAGE(call, Qdrant__SparseVectorParams, qdrant__sparse_vector_params__descriptor);
    if (params->idf) {
        value->has_modifier = true;
        value->modifier = QDRANT__MODIFIER__Idf;
    }
    entry->key = vex_arena_strndup(&call->arena, params->name.ptr, params->name.len);
    entry->value = value;
    map->map[map->n_map++] = entry;
}

static void lift_vectors(struct vex_call *call, const struct vex_config *config,
                         const Qdrant__CollectionConfig *doc, Qdrant__CollectionParams *out)
{
    Qdrant__VectorParamsMap *map =
        VEX_MESSAGE(call, Qdrant__VectorParamsMap, qdrant__vector_params_map__descriptor);
    Qdrant__SparseVectorConfig *sparse =
        VEX_MESSAGE(call, Qdrant__SparseVectorConfig, qdrant__sparse_vector_config__descriptor);
    Qdrant__VectorsConfig *vectors =
        VEX_MESSAGE(call, Qdrant__VectorsConfig, qdrant__vectors_config__descriptor);

    sparse->map =
        VEX_ARENA_ARRAY(&call->arena, Qdrant__SparseVectorConfig__MapEntry *, config->vector_count + 1);
    for (uint32_t i = 0; i < config->vector_count; i++) {
        const struct vex_vector_params *params = &config->vectors[i];

        if (params->kind == VEX_VECTOR_SPARSE)
            lift_sparse(call, params, doc, sparse);
        else if (params->size != 0) /* not known before the first write */
            vex_doc_add_vector(call, map, params->name, lift_dense(call, params, doc));
    }
    vectors->config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP;
    vectors->params_map = map;
    if (map->n_map == 1 && *map->map[0]->key == '\0') {
        vectors->config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS;
        vectors->params = map->map[0]->value;
    }
    out->vectors_config = vectors;
    out->sparse_vectors_config = sparse->n_map != 0 ? sparse : NULL;
}

#define SET(message, field, value)                                                                           \
    do {                                                                                                     \
        (message)->has_##field = true;                                                                       \
        (message)->field = (value);                                                                          \
    } while (0)

static Qdrant__CollectionParams *default_params(struct vex_call *call)
{
    Qdrant__CollectionParams *out =
        VEX_MESSAGE(call, Qdrant__CollectionParams, qdrant__collection_params__descriptor);

    SET(out, shard_number, 1);
    SET(out, on_disk_payload, true);
    SET(out, replication_factor, 1);
    SET(out, write_consistency_factor, 1);
    return out;
}

static Qdrant__HnswConfigDiff *default_hnsw(struct vex_call *call)
{
    Qdrant__HnswConfigDiff *out =
        VEX_MESSAGE(call, Qdrant__HnswConfigDiff, qdrant__hnsw_config_diff__descriptor);

    SET(out, m, 16);
    SET(out, ef_construct, 100);
    SET(out, full_scan_threshold, 10000);
    SET(out, max_indexing_threads, 0);
    SET(out, on_disk, false);
    return out;
}

static Qdrant__OptimizersConfigDiff *default_optimizer(struct vex_call *call)
{
    Qdrant__OptimizersConfigDiff *out =
        VEX_MESSAGE(call, Qdrant__OptimizersConfigDiff, qdrant__optimizers_config_diff__descriptor);

    SET(out, deleted_threshold, 0.2);
    SET(out, vacuum_min_vector_number, 1000);
    SET(out, default_segment_number, 0);
    SET(out, indexing_threshold, 10000);
    SET(out, flush_interval_sec, 5);
    if (call->dialect == VEX_DIALECT_QDRANT_GRPC) { /* JSON has null for it */
        out->max_optimization_threads =
            VEX_MESSAGE(call, Qdrant__MaxOptimizationThreads, qdrant__max_optimization_threads__descriptor);
        out->max_optimization_threads->variant_case = QDRANT__MAX_OPTIMIZATION_THREADS__VARIANT_SETTING;
        out->max_optimization_threads->setting = QDRANT__MAX_OPTIMIZATION_THREADS__SETTING__Auto;
    }
    return out;
}

static Qdrant__WalConfigDiff *default_wal(struct vex_call *call)
{
    Qdrant__WalConfigDiff *out =
        VEX_MESSAGE(call, Qdrant__WalConfigDiff, qdrant__wal_config_diff__descriptor);

    SET(out, wal_capacity_mb, 32);
    SET(out, wal_segments_ahead, 0);
    SET(out, wal_retain_closed, 1);
    return out;
}

/* REST prints metadata from CBOR, like payloads. */
static void lift_metadata(struct vex_call *call, const Qdrant__CollectionConfig *doc,
                          Qdrant__CollectionConfig *out)
{
    struct vex_str bytes;

    out->n_metadata = doc->n_metadata;
    out->metadata = doc->metadata;
    if (doc->n_metadata == 0 || call->dialect != VEX_DIALECT_QDRANT_REST)
        return;
    if (vex_lower_payload(call, (void *const *)doc->metadata, doc->n_metadata, &bytes) < 0)
        return;
    vex_lift_payload(call, (struct vex_value){(const uint8_t *)bytes.ptr}, &out->base, 7,
                     &qdrant__collection_config__metadata_entry__descriptor, &out->n_metadata,
                     (void ***)(void *)&out->metadata);
}

Qdrant__CollectionConfig *vex_lift_config(struct vex_call *call, const struct vex_config *config,
                                          Qdrant__CollectionConfig *doc)
{
    Qdrant__CollectionConfig *out =
        VEX_MESSAGE(call, Qdrant__CollectionConfig, qdrant__collection_config__descriptor);

    out->params = default_params(call);
    if (doc->params != NULL)
        vex_message_merge(&out->params->base, &doc->params->base);
    lift_vectors(call, config, doc, out->params);
    out->hnsw_config = default_hnsw(call);
    if (doc->hnsw_config != NULL)
        vex_message_merge(&out->hnsw_config->base, &doc->hnsw_config->base);
    out->optimizer_config = default_optimizer(call);
    if (doc->optimizer_config != NULL)
        vex_message_merge(&out->optimizer_config->base, &doc->optimizer_config->base);
    out->wal_config = default_wal(call);
    if (doc->wal_config != NULL)
        vex_message_merge(&out->wal_config->base, &doc->wal_config->base);
    out->quantization_config = doc->quantization_config;
    out->strict_mode_config = doc->strict_mode_config;
    lift_metadata(call, doc, out);
    return out;
}
