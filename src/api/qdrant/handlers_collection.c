/* Handlers of collections: create, look at, change, drop. */
#include "api/qdrant/strict.h"
#include "engine/graph_set.h"

/* Plain names are those of the default tenant and database. */
static struct vex_str name_of(const char *name)
{
    return vex_str_c(name);
}

static int operated(struct vex_call *call, bool result)
{
    Qdrant__CollectionOperationResponse *out = call->response;

    out->has_result = true;
    out->result = result;
    return 0;
}

int vex_qdrant_create_collection(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__CreateCollection *in = call->request;
    struct vex_config *config = vex_config_new();
    int code = vex_lower_create(call, in, config);
    bool created;

    if (code == 0)
        code = vex_engine_create(service->engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                 name_of(in->collection_name), config, false, NULL, &created, &call->err);
    vex_config_unref(config);
    return code < 0 ? code : operated(call, true);
}

int vex_qdrant_delete_collection(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__DeleteCollection *in = call->request;
    struct vex_collection_info info = {.tenant = VEX_STR(VEX_DEFAULT_TENANT),
                                       .database = VEX_STR(VEX_DEFAULT_DATABASE),
                                       .name = name_of(in->collection_name)};
    struct vex_collection *collection;
    bool found = false;
    int code = vex_engine_find(service->engine, info.name, false, &collection, &call->err);

    if (code == 0) { /* a qualified name belongs to another tenant */
        vex_collection_info(collection, &call->arena, &info);
        vex_config_unref(info.config);
        vex_collection_unref(collection);
    } else if (code != VEX_ENOT_FOUND) {
        return code;
    }
    code = vex_engine_drop(service->engine, info.tenant, info.database, info.name, &found, &call->err);
    return code < 0 ? code : operated(call, found);
}

struct update {
    struct vex_call *call;
    const Qdrant__UpdateCollection *in;
};

static int change_config(void *arg, struct vex_config *config, struct vex_err *err)
{
    struct update *update = arg;
    Qdrant__CollectionConfig *doc;
    int code = vex_qdrant_doc(update->call, config, &doc);

    if (code == 0)
        code = vex_merge_update(update->call, update->in, config, doc);
    if (code == 0)
        vex_qdrant_set_doc(update->call, config, doc);
    else if (err != &update->call->err)
        *err = update->call->err;
    return code;
}

int vex_qdrant_update_collection(struct vex_service *service, struct vex_call *call)
{
    struct update update = {.call = call, .in = call->request};
    struct vex_collection *collection;
    int code = vex_qdrant_find(call, update.in->collection_name, &collection);

    if (code < 0)
        return code;
    code = vex_engine_alter(service->engine, collection, VEX_STR(""), change_config, &update, &call->err);
    if (code == 0 && update.in->strict_mode_config != NULL)
        vex_strict_forget(collection);
    vex_collection_unref(collection);
    return code < 0 ? code : operated(call, true);
}

int vex_qdrant_collection_exists(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__CollectionExistsRequest *in = call->request;
    Qdrant__CollectionExistsResponse *out = call->response;
    struct vex_collection *collection = NULL;
    int code = vex_qdrant_find(call, in->collection_name, &collection);

    (void)service;
    if (code < 0 && code != VEX_ENOT_FOUND && code != VEX_ECORRUPT)
        return code;
    if (code == 0)
        vex_collection_unref(collection);
    out->result = VEX_MESSAGE(call, Qdrant__CollectionExists, qdrant__collection_exists__descriptor);
    out->result->has_exists = true;
    out->result->exists = code != VEX_ENOT_FOUND;
    return 0;
}

int vex_qdrant_list_collections(struct vex_service *service, struct vex_call *call)
{
    Qdrant__ListCollectionsResponse *out = call->response;
    struct vex_collection_info *infos;
    uint32_t count =
        vex_engine_list(service->engine, vex_str(NULL, 0), vex_str(NULL, 0), &call->arena, &infos);

    out->collections = VEX_ARENA_ARRAY(&call->arena, Qdrant__CollectionDescription *, count + 1);
    out->n_collections = count;
    for (uint32_t i = 0; i < count; i++) {
        struct vex_str name = vex_qualified_name(&call->arena, &infos[i]);

        vex_config_unref(infos[i].config);
        out->collections[i] =
            VEX_MESSAGE(call, Qdrant__CollectionDescription, qdrant__collection_description__descriptor);
        out->collections[i]->name = vex_arena_strndup(&call->arena, name.ptr, name.len);
    }
    return 0;
}

/* ---- get ---- */

static Qdrant__PayloadSchemaInfo *lift_index(struct vex_call *call, const struct vex_index_params *index,
                                             uint64_t points)
{
    Qdrant__PayloadSchemaInfo *out =
        VEX_MESSAGE(call, Qdrant__PayloadSchemaInfo, qdrant__payload_schema_info__descriptor);

    out->has_data_type = out->has_points = true;
    out->data_type = (Qdrant__PayloadSchemaType)index->type;
    out->points = points;
    if (index->doc.len != 0)
        out->params = (Qdrant__PayloadIndexParams *)(void *)vex_rpc_unpack(
            &call->arena, &qdrant__payload_index_params__descriptor, index->doc);
    return out;
}

static const struct vex_index_info *find_index(const struct vex_index_info *infos, uint32_t count,
                                               struct vex_str field)
{
    for (uint32_t i = 0; i < count; i++)
        if (vex_str_eq(infos[i].field, field))
            return &infos[i];
    return NULL; /* made or dropped in between */
}

static void lift_schema(struct vex_call *call, const struct vex_config *config,
                        const struct vex_index_info *infos, uint32_t count, Qdrant__CollectionInfo *out)
{
    out->payload_schema =
        VEX_ARENA_ARRAY(&call->arena, Qdrant__CollectionInfo__PayloadSchemaEntry *, config->index_count + 1);
    for (uint32_t i = 0; i < config->index_count; i++) {
        const struct vex_index_params *index = &config->indexes[i];
        const struct vex_index_info *info = find_index(infos, count, index->field);
        Qdrant__CollectionInfo__PayloadSchemaEntry *entry =
            VEX_MESSAGE(call, Qdrant__CollectionInfo__PayloadSchemaEntry,
                        qdrant__collection_info__payload_schema_entry__descriptor);

        entry->key = vex_arena_strndup(&call->arena, index->field.ptr, index->field.len);
        entry->value = lift_index(call, index, info != NULL ? info->points : 0);
        out->payload_schema[out->n_payload_schema++] = entry;
    }
}

/* "about 12 s left", when it is known. */
static const char *time_left(struct vex_call *call, const struct vex_index_info *info)
{
    if (info->left_ns == 0)
        return "";
    return vex_arena_printf(&call->arena, ", about %.0f s left", (double)info->left_ns / 1e9);
}

static void warn(struct vex_call *call, Qdrant__CollectionInfo *out, const char *text)
{
    Qdrant__CollectionWarning *warning =
        VEX_MESSAGE(call, Qdrant__CollectionWarning, qdrant__collection_warning__descriptor);

    warning->message = vex_arena_strndup(&call->arena, text, strlen(text));
    out->warnings[out->n_warnings++] = warning;
}

static bool stores_inline(const Qdrant__HnswConfigDiff *all, const Qdrant__HnswConfigDiff *own)
{
    if (own != NULL && own->has_inline_storage)
        return own->inline_storage;
    return all != NULL && all->has_inline_storage && all->inline_storage;
}

/* Settings that have no effect with one another, in the peer's words. */
static void lift_conflicts(struct vex_call *call, const struct vex_config *config,
                           const Qdrant__CollectionConfig *doc, Qdrant__CollectionInfo *out)
{
    for (uint32_t i = 0; i < config->vector_count; i++) {
        const struct vex_vector_params *v = &config->vectors[i];
        const Qdrant__VectorParams *own = vex_doc_find_vector(doc, v->name);
        bool quantized =
            doc->quantization_config != NULL || (own != NULL && own->quantization_config != NULL);

        if (v->kind == VEX_VECTOR_SPARSE ||
            !stores_inline(doc->hnsw_config, own != NULL ? own->hnsw_config : NULL) ||
            (v->kind == VEX_VECTOR_DENSE && quantized))
            continue;
        warn(call, out,
             vex_arena_printf(&call->arena,
                              "The `hnsw_config.inline_storage` option for vector '" VEX_STR_FMT
                              "' %s. This option will be ignored.",
                              VEX_STR_ARG(v->name),
                              v->kind == VEX_VECTOR_MULTI ? "is not compatible with multivectors"
                                                          : "requires quantization to be enabled"));
    }
}

/* What goes on in the background is told in words: the schema has no field for it. */
static void lift_progress(struct vex_call *call, const struct vex_index_info *infos, uint32_t count,
                          bool automatic, Qdrant__CollectionInfo *out)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct vex_index_info *info = &infos[i];
        double done = info->total != 0 ? 100.0 * (double)info->done / (double)info->total : 0;

        if (info->ready)
            continue;
        out->status = QDRANT__COLLECTION_STATUS__Yellow;
        warn(call, out,
             vex_arena_printf(&call->arena,
                              "the payload index of \"" VEX_STR_FMT "\" is being built: %.0f %% done%s",
                              VEX_STR_ARG(info->field), done < 100 ? done : 100, time_left(call, info)));
    }
    if (automatic)
        warn(call, out,
             "fields that are often filtered on without a payload index get one automatically "
             "(engine.auto_index)");
}

static int lift_graphs(struct vex_call *call, struct vex_collection *collection, Qdrant__CollectionInfo *out)
{
    struct vex_graph_info *graphs;
    uint32_t count;
    int code = vex_collection_graphs(collection, &call->arena, &graphs, &count, &call->err);

    for (uint32_t i = 0; code == 0 && i < count; i++) {
        out->indexed_vectors_count += graphs[i].linked;
        if (graphs[i].building)
            out->status = QDRANT__COLLECTION_STATUS__Yellow;
    }
    return code;
}

static int lift_info(struct vex_call *call, struct vex_collection *collection,
                     const struct vex_collection_info *info, bool automatic, Qdrant__CollectionInfo *out)
{
    struct vex_collection_stats stats;
    struct vex_index_info *indexes;
    Qdrant__CollectionConfig *doc;
    uint32_t index_count;
    int code;

    if ((code = vex_collection_stats(collection, &stats, &call->err)) < 0 ||
        (code = vex_collection_indexes(collection, &call->arena, &indexes, &index_count, &call->err)) < 0 ||
        (code = vex_qdrant_doc(call, info->config, &doc)) < 0)
        return code;
    out->has_status = out->has_segments_count = out->has_points_count = out->has_indexed_vectors_count = true;
    out->status = QDRANT__COLLECTION_STATUS__Green;
    out->optimizer_status = VEX_MESSAGE(call, Qdrant__OptimizerStatus, qdrant__optimizer_status__descriptor);
    out->optimizer_status->has_ok = out->optimizer_status->ok = true;
    out->segments_count = 1;
    out->points_count = stats.points;
    out->config = vex_lift_config(call, info->config, doc);
    out->update_queue = VEX_MESSAGE(call, Qdrant__UpdateQueueInfo, qdrant__update_queue_info__descriptor);
    out->update_queue->has_length = true;
    out->update_queue->length = stats.queued;
    out->created_at = VEX_MESSAGE(call, Google__Protobuf__Timestamp, google__protobuf__timestamp__descriptor);
    out->created_at->has_seconds = out->created_at->has_nanos = true;
    out->created_at->seconds = (int64_t)(info->created_us / 1000000);
    out->created_at->nanos = (int32_t)(info->created_us % 1000000 * 1000);
    lift_schema(call, info->config, indexes, index_count, out);
    out->warnings = VEX_ARENA_ARRAY(&call->arena, Qdrant__CollectionWarning *,
                                    index_count + info->config->vector_count + 1);
    lift_conflicts(call, info->config, doc, out);
    lift_progress(call, indexes, index_count, automatic, out);
    return lift_graphs(call, collection, out);
}

uint64_t vex_qdrant_cost_get_collection(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    (void)call;
    return 0;
}

int vex_qdrant_get_collection(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__GetCollectionInfoRequest *in = call->request;
    Qdrant__GetCollectionInfoResponse *out = call->response;
    struct vex_collection *collection;
    struct vex_collection_info info;
    int code = vex_qdrant_find(call, in->collection_name, &collection);

    if (code < 0)
        return code;
    vex_collection_info(collection, &call->arena, &info);
    out->result = VEX_MESSAGE(call, Qdrant__CollectionInfo, qdrant__collection_info__descriptor);
    code = lift_info(call, collection, &info, vex_engine_auto_index(service->engine), out->result);
    vex_config_unref(info.config);
    vex_collection_unref(collection);
    return code;
}

/* ---- the face of a cluster of one ---- */

uint64_t vex_qdrant_cost_cluster_info(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    (void)call;
    return 0;
}

int vex_qdrant_cluster_info(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__CollectionClusterInfoRequest *in = call->request;
    Qdrant__CollectionClusterInfoResponse *out = call->response;
    struct vex_collection *collection;
    struct vex_collection_stats stats;
    Qdrant__LocalShardInfo *shard;
    int code = vex_qdrant_find(call, in->collection_name, &collection);

    if (code < 0)
        return code;
    code = vex_collection_stats(collection, &stats, &call->err);
    vex_collection_unref(collection);
    if (code < 0)
        return code;
    shard = VEX_MESSAGE(call, Qdrant__LocalShardInfo, qdrant__local_shard_info__descriptor);
    shard->has_shard_id = shard->has_points_count = shard->has_state = true;
    shard->points_count = stats.points;
    shard->state = QDRANT__REPLICA_STATE__Active;
    out->has_peer_id = out->has_shard_count = true;
    out->peer_id = service->peer_id;
    out->shard_count = 1;
    out->n_local_shards = 1;
    out->local_shards = VEX_ARENA_ARRAY(&call->arena, Qdrant__LocalShardInfo *, 1);
    out->local_shards[0] = shard;
    return 0;
}

int vex_qdrant_standalone(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return vex_err_set(&call->err, VEX_ESTANDALONE, "Qdrant is running in standalone mode");
}

int vex_qdrant_list_shard_keys(struct vex_service *service, struct vex_call *call)
{
    struct vex_collection *collection;
    int code = vex_qdrant_find(call, ((const Qdrant__ListShardKeysRequest *)call->request)->collection_name,
                               &collection);

    (void)service;
    if (code == 0)
        vex_collection_unref(collection);
    return code;
}
