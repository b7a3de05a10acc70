/* Handlers of collections: create, look at, change, drop. */
#include "api/qdrant/qdrant.h"

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

/* Points that have a value under the field. */
static int count_indexed(struct vex_call *call, struct vex_collection *collection, struct vex_str field,
                         uint64_t *ret)
{
    struct vex_read_context context = {
        .arena = &call->arena, .cancelled = &call->cancelled, .deadline_ns = call->deadline_ns};
    struct vex_filter *filter = VEX_ARENA_NEW(&call->arena, struct vex_filter);
    struct vex_cond *cond = VEX_ARENA_NEW(&call->arena, struct vex_cond);
    int code = vex_path_parse(&call->arena, field, &cond->path, &call->err);

    if (code < 0)
        return code;
    cond->kind = VEX_COND_IS_EMPTY;
    filter->must_not.conds = cond;
    filter->must_not.count = 1;
    return vex_read_count(collection, filter, &context, ret, &call->err);
}

static int lift_index(struct vex_call *call, struct vex_collection *collection,
                      const struct vex_index_params *index, Qdrant__PayloadSchemaInfo **ret)
{
    Qdrant__PayloadSchemaInfo *out =
        VEX_MESSAGE(call, Qdrant__PayloadSchemaInfo, qdrant__payload_schema_info__descriptor);

    out->has_data_type = out->has_points = true;
    out->data_type = (Qdrant__PayloadSchemaType)index->type;
    if (index->doc.len != 0)
        out->params = (Qdrant__PayloadIndexParams *)(void *)vex_rpc_unpack(
            &call->arena, &qdrant__payload_index_params__descriptor, index->doc);
    *ret = out;
    return count_indexed(call, collection, index->field, &out->points);
}

static int lift_schema(struct vex_call *call, struct vex_collection *collection,
                       const struct vex_config *config, Qdrant__CollectionInfo *out)
{
    int code = 0;

    out->payload_schema =
        VEX_ARENA_ARRAY(&call->arena, Qdrant__CollectionInfo__PayloadSchemaEntry *, config->index_count + 1);
    for (uint32_t i = 0; code == 0 && i < config->index_count; i++) {
        const struct vex_index_params *index = &config->indexes[i];
        Qdrant__CollectionInfo__PayloadSchemaEntry *entry =
            VEX_MESSAGE(call, Qdrant__CollectionInfo__PayloadSchemaEntry,
                        qdrant__collection_info__payload_schema_entry__descriptor);

        entry->key = vex_arena_strndup(&call->arena, index->field.ptr, index->field.len);
        code = lift_index(call, collection, index, &entry->value);
        out->payload_schema[out->n_payload_schema++] = entry;
    }
    return code;
}

static int lift_info(struct vex_call *call, struct vex_collection *collection,
                     const struct vex_collection_info *info, Qdrant__CollectionInfo *out)
{
    struct vex_collection_stats stats;
    Qdrant__CollectionConfig *doc;
    int code;

    if ((code = vex_collection_stats(collection, &stats, &call->err)) < 0 ||
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
    return lift_schema(call, collection, info->config, out);
}

static uint64_t cost_of(struct vex_call *call, const char *name)
{
    struct vex_collection *collection;
    struct vex_config *config;
    uint64_t cost = 0;

    if (vex_qdrant_find(call, name, &collection) < 0)
        return 0;
    config = vex_collection_config(collection);
    if (config->index_count != 0)
        cost = vex_read_cost_scan(collection, true) * config->index_count;
    vex_config_unref(config);
    vex_collection_unref(collection);
    return cost;
}

uint64_t vex_qdrant_cost_get_collection(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return cost_of(call, ((const Qdrant__GetCollectionInfoRequest *)call->request)->collection_name);
}

int vex_qdrant_get_collection(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__GetCollectionInfoRequest *in = call->request;
    Qdrant__GetCollectionInfoResponse *out = call->response;
    struct vex_collection *collection;
    struct vex_collection_info info;
    int code = vex_qdrant_find(call, in->collection_name, &collection);

    (void)service;
    if (code < 0)
        return code;
    vex_collection_info(collection, &call->arena, &info);
    out->result = VEX_MESSAGE(call, Qdrant__CollectionInfo, qdrant__collection_info__descriptor);
    code = lift_info(call, collection, &info, out->result);
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
