/* Lowering configurations: the vectors become the engine's typed ones, all the rest is kept as the document
 * the client wrote, a packed CollectionConfig. Defaults are not stored: they are filled in where the
 * configuration is shown. */
#include "api/qdrant/lower_params.h"
#include "api/qdrant/strict.h"

int vex_lower_distance(struct vex_call *call, int in, enum vex_distance *ret)
{
    switch (in) {
    case QDRANT__DISTANCE__Cosine:
        *ret = VEX_DISTANCE_COSINE;
        return 0;
    case QDRANT__DISTANCE__Euclid:
        *ret = VEX_DISTANCE_L2;
        return 0;
    case QDRANT__DISTANCE__Dot:
        *ret = VEX_DISTANCE_DOT;
        return 0;
    case QDRANT__DISTANCE__Manhattan:
        *ret = VEX_DISTANCE_L1;
        return 0;
    default:
        return vex_qdrant_malformed(call, "Malformed distance parameter: UnknownDistance");
    }
}

/* The turbo types ask for less memory than float32, at a loss; they are served as float32. */
int vex_lower_datatype(struct vex_call *call, bool has, int in, enum vex_element *ret)
{
    *ret = VEX_ELEMENT_F32;
    switch (has ? in : QDRANT__DATATYPE__Default) {
    case QDRANT__DATATYPE__Default:
    case QDRANT__DATATYPE__Float32:
    case QDRANT__DATATYPE__Turbo4:
    case QDRANT__DATATYPE__Turbo8:
    case QDRANT__DATATYPE__Turbo16:
        return 0;
    case QDRANT__DATATYPE__Float16:
        *ret = VEX_ELEMENT_F16;
        return 0;
    case QDRANT__DATATYPE__Uint8:
        *ret = VEX_ELEMENT_U8;
        return 0;
    default:
        return vex_qdrant_malformed(call, "Cannot convert datatype: %d", in);
    }
}

static int add_dense(struct vex_call *call, const char *name, const Qdrant__VectorParams *in,
                     struct vex_config *config)
{
    struct vex_vector_params params = {.name = vex_str_c(name),
                                       .kind = in->multivector_config != NULL ? VEX_VECTOR_MULTI
                                                                              : VEX_VECTOR_DENSE,
                                       .size = (uint32_t)in->size};
    int code;

    if ((code = vex_lower_distance(call, in->has_distance ? (int)in->distance : 0, &params.distance)) < 0 ||
        (code = vex_lower_datatype(call, in->has_datatype, (int)in->datatype, &params.element)) < 0)
        return code;
    return vex_config_add_vector(config, &params, &call->err);
}

static int add_vectors(struct vex_call *call, const Qdrant__VectorsConfig *in, struct vex_config *config)
{
    int code = 0;

    if (in == NULL)
        return 0;
    if (in->config_case == QDRANT__VECTORS_CONFIG__CONFIG_PARAMS)
        return add_dense(call, "", in->params, config);
    if (in->config_case != QDRANT__VECTORS_CONFIG__CONFIG_PARAMS_MAP)
        return 0;
    for (size_t i = 0; code == 0 && i < in->params_map->n_map; i++) {
        const Qdrant__VectorParamsMap__MapEntry *entry = in->params_map->map[i];

        if (entry->value == NULL)
            return vex_qdrant_malformed(call, "vector parameters are missing");
        code = add_dense(call, entry->key != NULL ? entry->key : "", entry->value, config);
    }
    return code;
}

static int add_sparse(struct vex_call *call, const Qdrant__SparseVectorConfig *in, struct vex_config *config)
{
    int code = 0;

    for (size_t i = 0; code == 0 && in != NULL && i < in->n_map; i++) {
        const char *name = in->map[i]->key != NULL ? in->map[i]->key : "";
        const Qdrant__SparseVectorParams *p = in->map[i]->value;
        struct vex_vector_params params = {
            .name = vex_str_c(name),
            .kind = VEX_VECTOR_SPARSE,
            .distance = VEX_DISTANCE_DOT,
            .idf = p != NULL && p->has_modifier && p->modifier == QDRANT__MODIFIER__Idf,
        };

        if (params.name.len == 0)
            return vex_err_set(&call->err, VEX_EBAD_INPUT, "Sparse vector name cannot be empty");
        if (vex_config_vector(config, params.name) != NULL)
            return vex_err_set(&call->err, VEX_EBAD_INPUT,
                               "Dense and sparse vector names must be unique - duplicate found with '%.200s'",
                               name);
        code = vex_config_add_vector(config, &params, &call->err);
    }
    return code;
}

int vex_qdrant_doc(struct vex_call *call, const struct vex_config *config, Qdrant__CollectionConfig **ret)
{
    struct vex_str bytes = config->docs[VEX_DOC_QDRANT];

    if (bytes.len == 0) {
        *ret = VEX_MESSAGE(call, Qdrant__CollectionConfig, qdrant__collection_config__descriptor);
        return 0;
    }
    *ret = (Qdrant__CollectionConfig *)(void *)vex_rpc_unpack(&call->arena,
                                                              &qdrant__collection_config__descriptor, bytes);
    return *ret != NULL ? 0 : vex_err_set(&call->err, VEX_ECORRUPT, "the stored configuration can't be read");
}

static uint32_t at_most_u32(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* What a dense name asks of its graph before it is known as a whole: tenants have as many links as all, unless they are given their own. */
struct hnsw {
    struct vex_graph_settings graph;
    bool has_m, has_payload_m;
    uint32_t payload_m;
};

/* What is set in `in` is laid over what is there. */
static void lower_hnsw(const Qdrant__HnswConfigDiff *in, struct hnsw *hnsw)
{
    struct vex_graph_settings *ret = &hnsw->graph;

    if (in == NULL)
        return;
    if (in->has_m) {
        hnsw->has_m = true;
        ret->m = at_most_u32(in->m);
    }
    if (in->has_payload_m) {
        hnsw->has_payload_m = true;
        hnsw->payload_m = at_most_u32(in->payload_m);
    }
    if (in->has_on_disk)
        ret->on_disk = in->on_disk;
    if (in->has_memory) /* it is the newer one */
        ret->on_disk = in->memory == QDRANT__MEMORY__Cold;
    if (in->has_ef_construct)
        ret->ef_construct = at_most_u32(in->ef_construct);
    if (in->has_max_indexing_threads)
        ret->threads = at_most_u32(in->max_indexing_threads);
    if (in->has_full_scan_threshold)
        ret->full_scan_kb = in->full_scan_threshold != 0 ? at_most_u32(in->full_scan_threshold) : 1;
}

/* Without links for all (m 0) there may be graphs of tenants: one graph serves them all, with the links they ask for. */
static struct vex_graph_settings graph_of(const struct hnsw *hnsw)
{
    struct vex_graph_settings settings = hnsw->graph;

    settings.filter_lists = !hnsw->has_payload_m || hnsw->payload_m != 0;
    if (hnsw->has_m && settings.m == 0) {
        settings.never = hnsw->payload_m == 0;
        settings.m = hnsw->payload_m;
    }
    return settings;
}

/* The document says how dense names get their graphs: the collection's settings, and the name's own over them. */
static void lower_graphs(struct vex_config *config, const Qdrant__CollectionConfig *doc)
{
    const Qdrant__OptimizersConfigDiff *optimizer = doc->optimizer_config;

    for (uint32_t i = 0; i < config->vector_count; i++) {
        struct hnsw hnsw = {0};
        const Qdrant__VectorParams *own = vex_doc_find_vector(doc, config->vectors[i].name);

        if (config->vectors[i].kind != VEX_VECTOR_DENSE)
            continue;
        if (optimizer != NULL && optimizer->has_indexing_threshold)
            hnsw.graph.threshold_kb =
                optimizer->indexing_threshold != 0 ? optimizer->indexing_threshold : VEX_GRAPH_THRESHOLD_OFF;
        lower_hnsw(doc->hnsw_config, &hnsw);
        lower_hnsw(own != NULL ? own->hnsw_config : NULL, &hnsw);
        hnsw.graph.codes =
            vex_lower_codes(own != NULL ? own->quantization_config : NULL, doc->quantization_config);
        config->vectors[i].graph = graph_of(&hnsw);
    }
}

/* And how sparse names are scored. */
static void lower_modifiers(struct vex_config *config, const Qdrant__CollectionConfig *doc)
{
    const Qdrant__SparseVectorConfig *in = doc->params != NULL ? doc->params->sparse_vectors_config : NULL;

    for (size_t i = 0; in != NULL && i < in->n_map; i++) {
        const struct vex_vector_params *params = vex_config_vector(config, vex_str_c(in->map[i]->key));
        const Qdrant__SparseVectorParams *own = in->map[i]->value;

        if (params != NULL && params->kind == VEX_VECTOR_SPARSE && own != NULL && own->has_modifier)
            config->vectors[params - config->vectors].idf = own->modifier == QDRANT__MODIFIER__Idf;
    }
}

void vex_qdrant_set_doc(struct vex_call *call, struct vex_config *config, const Qdrant__CollectionConfig *doc)
{
    size_t len = protobuf_c_message_get_packed_size(&doc->base);
    uint8_t *bytes = vex_arena_alloc(&call->arena, len + 1);

    protobuf_c_message_pack(&doc->base, bytes);
    vex_config_set_doc(config, VEX_DOC_QDRANT, vex_str((const char *)bytes, len));
    lower_graphs(config, doc);
    lower_modifiers(config, doc);
}

int vex_lower_create(struct vex_call *call, const Qdrant__CreateCollection *in, struct vex_config *config)
{
    Qdrant__CollectionConfig doc = QDRANT__COLLECTION_CONFIG__INIT;
    Qdrant__CollectionParams params = QDRANT__COLLECTION_PARAMS__INIT;
    int code;

    if ((code = add_vectors(call, in->vectors_config, config)) < 0 ||
        (code = add_sparse(call, in->sparse_vectors_config, config)) < 0)
        return code;
    if (in->has_sharding_method && in->sharding_method == QDRANT__SHARDING_METHOD__Custom)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Custom sharding method needs the distributed mode, which is not enabled");
    params.has_shard_number = in->has_shard_number;
    params.shard_number = in->shard_number;
    params.has_on_disk_payload = true;
    params.on_disk_payload = in->has_on_disk_payload
                                 ? in->on_disk_payload
                                 : vex_conf_bool(call->service->options.conf, VEX_CONF_ON_DISK_PAYLOAD);
    params.vectors_config = in->vectors_config;
    params.sparse_vectors_config = in->sparse_vectors_config;
    params.has_replication_factor = in->has_replication_factor;
    params.replication_factor = in->replication_factor;
    params.has_write_consistency_factor = in->has_write_consistency_factor;
    params.write_consistency_factor = in->write_consistency_factor;
    params.has_sharding_method = in->has_sharding_method;
    params.sharding_method = in->sharding_method;
    params.payload = in->payload;
    params.id_tracker = in->id_tracker;
    doc.params = &params;
    doc.hnsw_config = in->hnsw_config;
    doc.optimizer_config = in->optimizers_config;
    doc.wal_config = in->wal_config;
    doc.quantization_config = in->quantization_config;
    doc.strict_mode_config = vex_strict_of_new(call, in->strict_mode_config);
    doc.n_metadata = in->n_metadata;
    doc.metadata = (Qdrant__CollectionConfig__MetadataEntry **)(void *)in->metadata;
    vex_qdrant_plain_metadata(call, &doc.n_metadata, (void ***)(void *)&doc.metadata);
    vex_qdrant_set_doc(call, config, &doc);
    return 0;
}
