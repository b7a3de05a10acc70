/* Operations of the native dialect. */
#include "api/native/native.h"

#include <time.h>

#include "api/chroma/internal.h"
#include "base/metrics.h"

const char *const vex_native_distances[VEX_DISTANCE_COUNT] = {"l2", "cosine", "dot", "l1"};

/* Of the process, by the clock that uptime is told from. */
static uint64_t started_ns;

__attribute__((constructor)) static void note_start(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    started_ns = (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static int health(struct vex_service *service, struct vex_call *call)
{
    struct vex_native_health *ret = VEX_ARENA_NEW(&call->arena, struct vex_native_health);
    struct vex_collection_info *all;
    uint32_t count = vex_engine_list(service->engine, vex_str(NULL, 0), vex_str(NULL, 0), &call->arena, &all);

    for (uint32_t i = 0; i < count; i++)
        vex_config_unref(all[i].config);
    uint64_t now = vex_io_monotonic_ns(service->options.io);
    ret->device = vex_engine_device(service->engine);
    ret->read_only = vex_engine_read_only(service->engine);
    ret->collections = count;
    ret->uptime_seconds = (now - started_ns) / UINT64_C(1000000000);
    call->response = ret;
    return 0;
}

static int metrics(struct vex_service *service, struct vex_call *call)
{
    struct vex_buf *ret = VEX_ARENA_NEW(&call->arena, struct vex_buf);

    const char *prefix = vex_conf_str(service->options.conf, VEX_CONF_METRICS_PREFIX);
    vex_buf_init(ret, &call->arena);
    vex_buf_printf(ret, "# HELP %svexfs_info this server\n# TYPE %svexfs_info gauge\n", prefix, prefix);
    vex_buf_printf(ret, "%svexfs_info{version=\"%s\",device=\"%s\"} 1\n", prefix, VEX_SERVER_VERSION,
                   vex_engine_device(service->engine));
    vex_metrics_print(ret, prefix);
    call->response = ret;
    return 0;
}

/* ---- collections ---- */

static int find(struct vex_service *service, struct vex_str name, struct vex_collection **ret,
                struct vex_err *err)
{
    int rc = vex_engine_find(service->engine, name, true, ret, err);

    if (rc == VEX_ENOT_FOUND)
        return vex_err_set(err, rc, "Collection '" VEX_STR_FMT "' does not exist", VEX_STR_ARG(name));
    return rc;
}

static int lift(struct vex_arena *arena, struct vex_collection *collection, struct vex_native_collection *ret,
                struct vex_err *err)
{
    struct vex_collection_stats stats;
    struct vex_collection_info info;
    int rc = vex_collection_stats(collection, &stats, err);

    if (rc < 0)
        return rc;
    vex_collection_info(collection, arena, &info);
    const struct vex_vector_params *params = vex_config_vector(info.config, VEX_STR(""));
    *ret =
        (struct vex_native_collection){.name = vex_qualified_name(arena, &info), .documents = stats.points};
    memcpy(ret->uuid, info.uuid, sizeof ret->uuid);
    if (params != NULL && params->kind == VEX_VECTOR_DENSE) {
        ret->vector = true;
        ret->dimension = params->size;
        ret->distance = params->distance;
    }
    vex_config_unref(info.config);
    return 0;
}

/* Answers with one collection; takes the reference. */
static int answer_one(struct vex_call *call, struct vex_collection *collection)
{
    struct vex_native_collections *ret = VEX_ARENA_NEW(&call->arena, struct vex_native_collections);

    ret->items = VEX_ARENA_NEW(&call->arena, struct vex_native_collection);
    ret->count = 1;
    call->response = ret;
    int rc = lift(&call->arena, collection, ret->items, &call->err);
    vex_collection_unref(collection);
    return rc;
}

static int list(struct vex_service *service, struct vex_call *call)
{
    struct vex_native_collections *ret = VEX_ARENA_NEW(&call->arena, struct vex_native_collections);
    struct vex_collection_info *all;
    uint32_t count = vex_engine_list(service->engine, vex_str(NULL, 0), vex_str(NULL, 0), &call->arena, &all);

    ret->items = VEX_ARENA_ARRAY(&call->arena, struct vex_native_collection, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct vex_collection *collection;
        struct vex_err err;
        vex_config_unref(all[i].config);
        /* One that was dropped meanwhile, or is damaged, is left out. */
        if (vex_engine_find_uuid(service->engine, all[i].uuid, &collection, &err) < 0)
            continue;
        ret->count += lift(&call->arena, collection, &ret->items[ret->count], &err) == 0;
        vex_collection_unref(collection);
    }
    call->response = ret;
    return 0;
}

static int create(struct vex_service *service, struct vex_call *call)
{
    const struct vex_native_create *request = call->request;
    struct vex_vector_params params = {.name = VEX_STR(""),
                                       .kind = VEX_VECTOR_DENSE,
                                       .size = request->dimension,
                                       .distance = request->distance,
                                       .element = VEX_ELEMENT_F32};
    struct vex_collection *collection;
    bool created;
    int rc = vex_chroma_check_name(request->name, &call->err);

    if (rc < 0)
        return rc;
    if (request->dimension > VEX_DIM_MAX)
        return vex_err_set(&call->err, VEX_EBAD_INPUT, "dimension may be at most %d", VEX_DIM_MAX);
    struct vex_config *config = vex_config_new();
    rc = vex_config_add_vector(config, &params, &call->err);
    if (rc == 0)
        rc = vex_engine_create(service->engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                               request->name, config, false, &collection, &created, &call->err);
    vex_config_unref(config);
    if (rc == VEX_EEXISTS)
        vex_err_set(&call->err, rc, "Collection '" VEX_STR_FMT "' already exists",
                    VEX_STR_ARG(request->name));
    return rc < 0 ? rc : answer_one(call, collection);
}

static int get(struct vex_service *service, struct vex_call *call)
{
    const struct vex_native_document *request = call->request;
    struct vex_collection *collection;
    int rc = find(service, request->collection, &collection, &call->err);

    return rc < 0 ? rc : answer_one(call, collection);
}

static int drop(struct vex_service *service, struct vex_call *call)
{
    const struct vex_native_document *request = call->request;
    struct vex_chroma_number *number = VEX_ARENA_NEW(&call->arena, struct vex_chroma_number);
    struct vex_collection_info info;
    struct vex_collection *collection;
    bool found = false;
    int rc = find(service, request->collection, &collection, &call->err);

    if (rc < 0)
        return rc;
    vex_collection_info(collection, &call->arena, &info);
    vex_config_unref(info.config);
    rc = vex_engine_drop(service->engine, info.tenant, info.database, info.name, &found, &call->err);
    vex_collection_unref(collection);
    number->value = found;
    call->response = number;
    return rc;
}

/* ---- documents ---- */

static int write_documents(struct vex_service *service, struct vex_call *call)
{
    const struct vex_native_write *request = call->request;
    struct vex_chroma_number *number = VEX_ARENA_NEW(&call->arena, struct vex_chroma_number);
    struct vex_collection *collection;
    int rc = vex_chroma_write_check(&request->write, &call->err);

    number->value = request->write.ids.count;
    call->response = number;
    if (rc < 0 || (rc = find(service, request->collection, &collection, &call->err)) < 0)
        return rc;
    rc = vex_chroma_write_into(service, call, collection, &request->write);
    vex_collection_unref(collection);
    return rc;
}

const struct vex_operation *vex_native_write_operation(struct vex_service *service,
                                                       const struct vex_native_write *request)
{
    static const struct vex_operation operations[] = {
        {"native/documents", VEX_RUN_SUBMIT, VEX_ACCESS_WRITE, write_documents, NULL},
        {"native/documents", VEX_RUN_BLOCKING, VEX_ACCESS_WRITE, write_documents, NULL},
    };
    struct vex_collection *collection;
    struct vex_err err;
    bool waits = false;

    if (find(service, request->collection, &collection, &err) == 0) {
        waits = vex_chroma_write_waits(collection, &request->write);
        vex_collection_unref(collection);
    }
    return &operations[waits];
}

static void lift_deleted(struct vex_call *call, const struct vex_op_result *results)
{
    ((struct vex_chroma_number *)call->response)->value = results[0].affected;
}

static int delete_document(struct vex_service *service, struct vex_call *call)
{
    const struct vex_native_document *request = call->request;
    struct vex_op *op = VEX_ARENA_NEW(&call->arena, struct vex_op);
    struct vex_collection *collection;
    int rc = find(service, request->collection, &collection, &call->err);

    if (rc < 0)
        return rc;
    call->response = VEX_ARENA_NEW(&call->arena, struct vex_chroma_number);
    op->kind = VEX_OP_DELETE;
    op->remove.ids = VEX_ARENA_NEW(&call->arena, struct vex_id);
    op->remove.ids[0] = vex_id_from_text(request->id);
    op->remove.count = 1;
    rc = vex_chroma_submit(call, collection, op, lift_deleted);
    vex_collection_unref(collection);
    return rc;
}

static struct vex_vector_selector default_vector(struct vex_arena *arena, bool wanted)
{
    struct vex_vector_selector ret = {.kind = VEX_VECTORS_NONE};

    if (wanted) {
        ret.kind = VEX_VECTORS_NAMED;
        ret.names = VEX_ARENA_NEW(arena, struct vex_str);
        ret.names[0] = VEX_STR("");
        ret.count = 1;
    }
    return ret;
}

static struct vex_read_context context_of(struct vex_call *call)
{
    return (struct vex_read_context){
        .arena = &call->arena, .cancelled = &call->cancelled, .deadline_ns = call->deadline_ns};
}

static int get_document(struct vex_service *service, struct vex_call *call)
{
    static const struct vex_vector_params no_vector = {.distance = VEX_DISTANCE_L2};
    const struct vex_native_document *request = call->request;
    struct vex_chroma_hits *ret = VEX_ARENA_NEW(&call->arena, struct vex_chroma_hits);
    struct vex_read_context context = context_of(call);
    struct vex_id id = vex_id_from_text(request->id);
    struct vex_collection *collection;
    struct vex_hits hits;
    int rc = find(service, request->collection, &collection, &call->err);

    if (rc < 0)
        return rc;
    struct vex_config *config = vex_collection_config(collection);
    const struct vex_vector_params *params = vex_config_vector(config, VEX_STR(""));
    bool dense = params != NULL && params->kind == VEX_VECTOR_DENSE;
    struct vex_retrieve retrieve = {.ids = &id,
                                    .count = 1,
                                    .payload = {.kind = VEX_PAYLOAD_ALL},
                                    .vectors = default_vector(&call->arena, dense)};
    rc = vex_read_retrieve(collection, &retrieve, &context, &hits, &call->err);
    if (rc == 0 && hits.count == 0)
        rc = vex_err_set(&call->err, VEX_ENOT_FOUND, "Document '" VEX_STR_FMT "' does not exist",
                         VEX_STR_ARG(request->id));
    if (rc == 0)
        vex_chroma_lift_hits(&call->arena, dense ? params : &no_vector, &hits, ret);
    call->response = ret;
    vex_config_unref(config);
    vex_collection_unref(collection);
    return rc;
}

/* ---- search ---- */

static int run_search(struct vex_call *call, struct vex_collection *collection,
                      const struct vex_vector_params *params)
{
    const struct vex_native_search *request = call->request;
    struct vex_chroma_hits *ret = VEX_ARENA_NEW(&call->arena, struct vex_chroma_hits);
    struct vex_read_context context = context_of(call);
    struct vex_hits hits = {0};
    struct vex_nearest nearest = {.using = VEX_STR(""), .limit = request->limit};
    int rc = vex_chroma_filter(&call->arena, NULL, request->filters, (struct vex_value){NULL},
                               &nearest.filter, &call->err);

    call->response = ret;
    if (rc < 0)
        return rc;
    if (params->size != 0 && request->vector.count != params->size)
        return vex_err_set(&call->err, VEX_EBAD_INPUT, "The collection has vectors of %u dimensions, got %u",
                           params->size, request->vector.count);
    nearest.query = (struct vex_vector_value){.name = VEX_STR(""),
                                              .kind = VEX_VECTOR_DENSE,
                                              .values = request->vector.values,
                                              .count = request->vector.count};
    if ((request->include & (VEX_INCLUDE_METADATAS | VEX_INCLUDE_DOCUMENTS)) != 0)
        nearest.payload.kind = VEX_PAYLOAD_ALL;
    nearest.vectors = default_vector(&call->arena, (request->include & VEX_INCLUDE_EMBEDDINGS) != 0);
    if (params->size != 0 && request->limit > 0)
        rc = vex_read_nearest(collection, &nearest, 1, &context, &hits, &call->err);
    if (rc == 0)
        vex_chroma_lift_hits(&call->arena, params, &hits, ret);
    return rc;
}

static int search(struct vex_service *service, struct vex_call *call)
{
    const struct vex_native_search *request = call->request;
    const struct vex_vector_params *params;
    struct vex_collection *collection;
    int rc = find(service, request->collection, &collection, &call->err);

    if (rc < 0)
        return rc;
    struct vex_config *config = vex_collection_config(collection);
    rc = vex_chroma_embedding(config, &params, &call->err);
    if (rc == 0)
        rc = run_search(call, collection, params);
    vex_config_unref(config);
    vex_collection_unref(collection);
    return rc;
}

static uint64_t cost_of_search(struct vex_service *service, struct vex_call *call)
{
    const struct vex_native_search *request = call->request;
    struct vex_filter filter = {0};
    struct vex_nearest nearest = {.using = VEX_STR(""),
                                  .limit = request->limit,
                                  .filter = request->filters.at != NULL ? &filter : NULL};
    struct vex_collection *collection;
    struct vex_err err;

    if (find(service, request->collection, &collection, &err) < 0)
        return 0;
    nearest.query = (struct vex_vector_value){
        .kind = VEX_VECTOR_DENSE, .values = request->vector.values, .count = request->vector.count};
    uint64_t cost = vex_read_cost_nearest(collection, &nearest, 1);
    vex_collection_unref(collection);
    return cost;
}

const struct vex_operation vex_native_health = {"native/health", VEX_RUN_INLINE, VEX_ACCESS_OPEN, health,
                                                NULL};
const struct vex_operation vex_native_metrics = {"native/metrics", VEX_RUN_INLINE, VEX_ACCESS_READ, metrics,
                                                 NULL};
const struct vex_operation vex_native_list = {"native/list", VEX_RUN_BLOCKING, VEX_ACCESS_READ, list, NULL};
const struct vex_operation vex_native_create = {"native/create", VEX_RUN_BLOCKING, VEX_ACCESS_MANAGE, create,
                                                NULL};
const struct vex_operation vex_native_get = {"native/get", VEX_RUN_BLOCKING, VEX_ACCESS_READ, get, NULL};
const struct vex_operation vex_native_drop = {"native/drop", VEX_RUN_BLOCKING, VEX_ACCESS_MANAGE, drop, NULL};
const struct vex_operation vex_native_get_document = {"native/get_document", VEX_RUN_READ, VEX_ACCESS_READ,
                                                      get_document, NULL};
const struct vex_operation vex_native_delete_document = {"native/delete_document", VEX_RUN_SUBMIT,
                                                         VEX_ACCESS_WRITE, delete_document, NULL};
const struct vex_operation vex_native_search = {"native/search", VEX_RUN_READ, VEX_ACCESS_READ, search,
                                                cost_of_search};
