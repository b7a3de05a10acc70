/* Collections of the Chroma dialect: create, list, get, change, delete. */
#include "api/chroma/internal.h"

#define DATABASE_MIN 3

static struct vex_value own(struct vex_arena *arena, struct vex_value v)
{
    return v.at == NULL ? v : (struct vex_value){vex_arena_dup(arena, v.at, vex_value_size(v))};
}

void vex_chroma_lift(struct vex_arena *arena, const struct vex_collection_info *info,
                     struct vex_chroma_collection *ret)
{
    const struct vex_vector_params *params = vex_config_vector(info->config, VEX_STR(""));
    struct vex_chroma_config chroma;

    vex_chroma_config_read(info->config, &chroma);
    *ret = (struct vex_chroma_collection){.tenant = info->tenant,
                                          .database = info->database,
                                          .name = info->name,
                                          .dimension = params != NULL ? params->size : 0,
                                          .space = chroma.space};
    memcpy(ret->uuid, info->uuid, sizeof ret->uuid);
    memcpy(ret->hnsw, chroma.hnsw, sizeof ret->hnsw);
    ret->embedding_function = own(arena, chroma.embedding_function);
    ret->metadata = own(arena, chroma.metadata);
    ret->schema = vex_chroma_schema_full(arena, &chroma);
}

/* Answers with one collection; takes the reference. */
static int answer_one(struct vex_call *call, struct vex_collection *collection)
{
    struct vex_chroma_collections *ret = VEX_ARENA_NEW(&call->arena, struct vex_chroma_collections);
    struct vex_collection_info info;

    vex_collection_info(collection, &call->arena, &info);
    ret->items = VEX_ARENA_NEW(&call->arena, struct vex_chroma_collection);
    ret->count = 1;
    vex_chroma_lift(&call->arena, &info, ret->items);
    vex_config_unref(info.config);
    vex_collection_unref(collection);
    call->response = ret;
    return 0;
}

static int check_database(const struct vex_chroma_path *path, struct vex_err *err)
{
    if (path->database.len < DATABASE_MIN)
        return vex_err_set(err, VEX_EBAD_INPUT, "database name must be at least 3 characters");
    return 0;
}

static int create(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_create *request = call->request;
    const struct vex_chroma_path *path = &request->path;
    struct vex_collection *collection;
    struct vex_config *config;
    bool created;
    int rc = check_database(path, &call->err);

    if (rc < 0)
        return rc;
    if ((rc = vex_chroma_check_name(request->name, &call->err)) < 0) {
        vex_err_wrap(&call->err, "Validation error: name");
        return rc;
    }
    if (request->metadata.at != NULL && vex_value_count(request->metadata) == 0)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation error: metadata: Metadata cannot be empty");
    if ((rc = vex_chroma_config_new(&call->arena, request, &config, &call->err)) < 0)
        return rc;
    rc = vex_engine_create(service->engine, path->tenant, path->database, request->name, config,
                           request->get_or_create, &collection, &created, &call->err);
    vex_config_unref(config);
    if (rc == VEX_EEXISTS)
        return vex_err_set(&call->err, rc, "Collection [" VEX_STR_FMT "] already exists",
                           VEX_STR_ARG(request->name));
    if (rc == VEX_ENOT_FOUND)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Database [" VEX_STR_FMT "] not found. Are you sure it exists?",
                           VEX_STR_ARG(path->database));
    return rc < 0 ? rc : answer_one(call, collection);
}

static int list(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_page *request = call->request;
    struct vex_chroma_collections *ret = VEX_ARENA_NEW(&call->arena, struct vex_chroma_collections);
    struct vex_collection_info *all;
    int rc = check_database(&request->path, &call->err);

    if (rc < 0)
        return rc;
    uint32_t count =
        vex_engine_list(service->engine, request->path.tenant, request->path.database, &call->arena, &all);
    uint64_t first = request->offset < count ? request->offset : count;
    uint64_t shown = count - first;
    if (request->has_limit && request->limit < shown)
        shown = request->limit;
    ret->items = VEX_ARENA_ARRAY(&call->arena, struct vex_chroma_collection, shown + 1);
    ret->count = (uint32_t)shown;
    for (uint32_t i = 0; i < count; i++) {
        if (i >= first && i < first + shown)
            vex_chroma_lift(&call->arena, &all[i], &ret->items[i - first]);
        vex_config_unref(all[i].config);
    }
    call->response = ret;
    return 0;
}

static int count_all(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_path *path = call->request;
    struct vex_chroma_number *ret = VEX_ARENA_NEW(&call->arena, struct vex_chroma_number);
    struct vex_collection_info *all;
    int rc = check_database(path, &call->err);

    if (rc < 0)
        return rc;
    uint32_t count = vex_engine_list(service->engine, path->tenant, path->database, &call->arena, &all);
    for (uint32_t i = 0; i < count; i++)
        vex_config_unref(all[i].config);
    ret->value = count;
    call->response = ret;
    return 0;
}

static int get_by_name(struct vex_service *service, struct vex_call *call)
{
    struct vex_collection *collection;
    int rc = vex_chroma_find_name(service, call->request, &collection, &call->err);

    return rc < 0 ? rc : answer_one(call, collection);
}

static int get_by_id(struct vex_service *service, struct vex_call *call)
{
    struct vex_collection *collection;
    int rc = vex_chroma_find(service, call->request, &collection, &call->err);

    return rc < 0 ? rc : answer_one(call, collection);
}

struct change {
    const struct vex_chroma_modify *request;
    struct vex_arena *arena;
};

static int change(void *arg, struct vex_config *config, struct vex_err *err)
{
    const struct change *c = arg;
    struct vex_chroma_config chroma;

    (void)err;
    vex_chroma_config_read(config, &chroma);
    if (c->request->metadata.at != NULL)
        chroma.metadata = c->request->metadata;
    vex_chroma_config_change(&chroma, &c->request->settings);
    vex_chroma_config_graph(config, &c->request->settings);
    vex_chroma_config_write(c->arena, config, &chroma);
    return 0;
}

static int modify(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_modify *request = call->request;
    struct change c = {request, &call->arena};
    struct vex_collection *collection;
    int rc;

    if (request->name.ptr != NULL && (rc = vex_chroma_check_name(request->name, &call->err)) < 0) {
        vex_err_wrap(&call->err, "Validation error: new_name");
        return rc;
    }
    if (request->metadata.at != NULL && vex_value_count(request->metadata) == 0)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation error: new_metadata: Metadata cannot be empty");
    if ((rc = vex_chroma_find(service, &request->path, &collection, &call->err)) < 0)
        return rc;
    rc = vex_engine_alter(service->engine, collection, request->name, change, &c, &call->err);
    if (rc == VEX_EEXISTS)
        vex_err_set(&call->err, rc, "Collection [" VEX_STR_FMT "] already exists",
                    VEX_STR_ARG(request->name));
    if (rc == VEX_ENOT_FOUND)
        vex_err_set(&call->err, rc, "Collection [" VEX_STR_FMT "] does not exist.",
                    VEX_STR_ARG(request->path.collection));
    vex_collection_unref(collection);
    return rc;
}

static int drop(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_path *path = call->request;
    bool found = false;
    int rc =
        vex_engine_drop(service->engine, path->tenant, path->database, path->collection, &found, &call->err);

    if (rc == VEX_ENOT_FOUND || (rc == 0 && !found))
        return vex_err_set(&call->err, VEX_ENOT_FOUND, "Collection [" VEX_STR_FMT "] does not exist",
                           VEX_STR_ARG(path->collection));
    return rc;
}

#define OPERATION(id, text, mode, access, run)                                                               \
    const struct vex_operation vex_chroma_##id = {"chroma/" text, VEX_RUN_##mode, VEX_ACCESS_##access, run,  \
                                                  NULL}

OPERATION(create_collection, "create_collection", BLOCKING, MANAGE, create);
OPERATION(list_collections, "list_collections", INLINE, READ, list);
OPERATION(count_collections, "count_collections", INLINE, READ, count_all);
OPERATION(get_collection, "get_collection", INLINE, READ, get_by_name);
OPERATION(get_by_id, "get_collection_by_id", INLINE, READ, get_by_id);
OPERATION(modify_collection, "update_collection", BLOCKING, MANAGE, modify);
OPERATION(delete_collection, "delete_collection", BLOCKING, MANAGE, drop);
