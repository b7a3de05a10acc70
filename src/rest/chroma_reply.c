/* Replies of the Chroma dialect. Keys that were not asked for are null, never absent. */
#include "rest/chroma_route.h"

#include "base/log.h"
#include "base/text.h"
#include "engine/point/value_json.h"

static void put_key(struct vex_jw *w, const char *key)
{
    vex_jw_key(w, vex_str_c(key));
}

static void put_text_or_null(struct vex_jw *w, struct vex_str text)
{
    if (text.ptr == NULL)
        vex_jw_null(w);
    else
        vex_jw_str(w, text);
}

static void put_value_or_null(struct vex_jw *w, struct vex_value v)
{
    if (v.at == NULL)
        vex_jw_null(w);
    else
        vex_value_to_json(w, v);
}

static void put_uuid(struct vex_jw *w, const uint8_t uuid[16])
{
    char text[VEX_UUID_TEXT];

    vex_uuid_text(uuid, text);
    vex_jw_str(w, vex_str(text, sizeof text));
}

/* ---- the server ---- */

void vex_chroma_put_nothing(struct vex_rest_request *request, struct vex_jw *w)
{
    (void)request;
    vex_jw_object(w);
    vex_jw_object_end(w);
}

void vex_chroma_put_yes(struct vex_rest_request *request, struct vex_jw *w)
{
    (void)request;
    vex_jw_bool(w, true);
}

void vex_chroma_put_heartbeat(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_number *number = request->call.response;

    vex_jw_object(w);
    put_key(w, "nanosecond heartbeat");
    vex_jw_u64(w, number->value);
    vex_jw_object_end(w);
}

void vex_chroma_put_version(struct vex_rest_request *request, struct vex_jw *w)
{
    (void)request;
    vex_jw_str(w, VEX_STR(VEX_CHROMA_VERSION));
}

void vex_chroma_put_health(struct vex_rest_request *request, struct vex_jw *w)
{
    bool ready = atomic_load(&request->service->draining) == 0;

    vex_jw_object(w);
    put_key(w, "is_executor_ready");
    vex_jw_bool(w, ready);
    put_key(w, "is_log_client_ready");
    vex_jw_bool(w, ready);
    vex_jw_object_end(w);
}

void vex_chroma_put_preflight(struct vex_rest_request *request, struct vex_jw *w)
{
    vex_jw_object(w);
    put_key(w, "max_batch_size");
    vex_jw_u64(w, vex_conf_u64(request->service->options.conf, VEX_CONF_CHROMA_BATCH));
    put_key(w, "supports_base64_encoding");
    vex_jw_bool(w, true);
    vex_jw_object_end(w);
}

void vex_chroma_put_identity(struct vex_rest_request *request, struct vex_jw *w)
{
    (void)request;
    vex_jw_object(w);
    put_key(w, "user_id");
    vex_jw_str(w, VEX_STR(""));
    put_key(w, "tenant");
    vex_jw_str(w, VEX_STR(VEX_DEFAULT_TENANT));
    put_key(w, "databases");
    vex_jw_array(w);
    vex_jw_str(w, VEX_STR(VEX_DEFAULT_DATABASE));
    vex_jw_array_end(w);
    vex_jw_object_end(w);
}

void vex_chroma_put_tenant(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_tenant *tenant = request->call.response;

    vex_jw_object(w);
    put_key(w, "name");
    vex_jw_str(w, tenant->name);
    put_key(w, "resource_name");
    put_text_or_null(w, tenant->resource.len > 0 ? tenant->resource : vex_str(NULL, 0));
    vex_jw_object_end(w);
}

void vex_chroma_put_databases(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_databases *databases = request->call.response;

    if (!databases->one)
        vex_jw_array(w);
    for (uint32_t i = 0; i < databases->count; i++) {
        vex_jw_object(w);
        put_key(w, "id");
        put_uuid(w, databases->items[i].uuid);
        put_key(w, "name");
        vex_jw_str(w, databases->items[i].name);
        put_key(w, "tenant");
        vex_jw_str(w, databases->items[i].tenant);
        vex_jw_object_end(w);
    }
    if (!databases->one)
        vex_jw_array_end(w);
}

void vex_chroma_put_number(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_number *number = request->call.response;

    vex_jw_u64(w, number->value);
}

void vex_chroma_put_deleted(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_number *number = request->call.response;

    vex_jw_object(w);
    put_key(w, "deleted");
    vex_jw_u64(w, number->value);
    vex_jw_object_end(w);
}

void vex_chroma_put_status(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_status *status = request->call.response;
    uint64_t total = status->indexed + status->unindexed;

    vex_jw_object(w);
    put_key(w, "op_indexing_progress");
    vex_jw_f64(w, total == 0 ? 1.0 : (double)status->indexed / (double)total);
    put_key(w, "num_unindexed_ops");
    vex_jw_u64(w, status->unindexed);
    put_key(w, "num_indexed_ops");
    vex_jw_u64(w, status->indexed);
    put_key(w, "total_ops");
    vex_jw_u64(w, total);
    vex_jw_object_end(w);
}

/* ---- collections ---- */

static void put_configuration(struct vex_jw *w, const struct vex_chroma_collection *c)
{
    vex_jw_object(w);
    put_key(w, "hnsw");
    vex_jw_object(w);
    put_key(w, "space");
    vex_jw_str(w, vex_str_c(vex_chroma_spaces[c->space]));
    for (int i = 0; i < VEX_HNSW_COUNT; i++) {
        if (i == VEX_HNSW_NUM_THREADS || i == VEX_HNSW_BATCH_SIZE)
            continue;
        put_key(w, vex_hnsw_params[i].key);
        if (vex_hnsw_params[i].whole)
            vex_jw_i64(w, (int64_t)c->hnsw[i]);
        else
            vex_jw_f64(w, c->hnsw[i]);
    }
    vex_jw_object_end(w);
    put_key(w, "spann");
    vex_jw_null(w);
    put_key(w, "embedding_function");
    put_value_or_null(w, c->embedding_function);
    vex_jw_object_end(w);
}

static void put_one(struct vex_jw *w, const struct vex_chroma_collection *c)
{
    vex_jw_object(w);
    put_key(w, "id");
    put_uuid(w, c->uuid);
    put_key(w, "name");
    vex_jw_str(w, c->name);
    put_key(w, "configuration_json");
    put_configuration(w, c);
    put_key(w, "schema");
    put_value_or_null(w, c->schema);
    put_key(w, "metadata");
    put_value_or_null(w, c->metadata);
    put_key(w, "dimension");
    if (c->dimension == 0)
        vex_jw_null(w);
    else
        vex_jw_u64(w, c->dimension);
    put_key(w, "tenant");
    vex_jw_str(w, c->tenant);
    put_key(w, "database");
    vex_jw_str(w, c->database);
    put_key(w, "log_position");
    vex_jw_u64(w, 0);
    put_key(w, "version");
    vex_jw_u64(w, 0);
    vex_jw_object_end(w);
}

void vex_chroma_put_collection(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_collections *collections = request->call.response;

    put_one(w, collections->items);
}

void vex_chroma_put_collections(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_collections *collections = request->call.response;

    vex_jw_array(w);
    for (uint32_t i = 0; i < collections->count; i++)
        put_one(w, &collections->items[i]);
    vex_jw_array_end(w);
}

/* ---- records ---- */

void vex_chroma_put_metadata(struct vex_jw *w, struct vex_value metadata)
{
    if (metadata.at == NULL) {
        vex_jw_null(w);
        return;
    }
    vex_jw_object(w);
    for (struct vex_value_iter it = vex_value_iter(metadata); vex_value_next(&it);)
        if (vex_chroma_shown(it.key, it.value)) {
            vex_jw_key(w, it.key);
            vex_value_to_json(w, it.value);
        }
    vex_jw_object_end(w);
}

static void put_id(struct vex_jw *w, const struct vex_chroma_hit *hit)
{
    vex_jw_str(w, hit->id);
}

static void put_embedding(struct vex_jw *w, const struct vex_chroma_hit *hit)
{
    if (hit->vector == NULL)
        vex_jw_null(w);
    else
        vex_jw_floats(w, hit->vector, hit->dimension);
}

static void put_document(struct vex_jw *w, const struct vex_chroma_hit *hit)
{
    put_text_or_null(w, hit->document);
}

static void put_uri(struct vex_jw *w, const struct vex_chroma_hit *hit)
{
    put_text_or_null(w, hit->uri);
}

static void put_hit_metadata(struct vex_jw *w, const struct vex_chroma_hit *hit)
{
    vex_chroma_put_metadata(w, hit->metadata);
}

static void put_distance(struct vex_jw *w, const struct vex_chroma_hit *hit)
{
    vex_jw_f32(w, hit->distance);
}

/* One key of the reply: a list, or a list per query. */
static void put_column(struct vex_jw *w, const char *key, const struct vex_chroma_answer *answer, bool asked,
                       void (*put)(struct vex_jw *w, const struct vex_chroma_hit *hit))
{
    put_key(w, key);
    if (!asked) {
        vex_jw_null(w);
        return;
    }
    if (answer->nested)
        vex_jw_array(w);
    for (uint32_t i = 0; i < answer->list_count; i++) {
        vex_jw_array(w);
        for (size_t j = 0; j < answer->lists[i].count; j++)
            put(w, &answer->lists[i].items[j]);
        vex_jw_array_end(w);
    }
    if (answer->nested)
        vex_jw_array_end(w);
}

void vex_chroma_put_answer(struct vex_rest_request *request, struct vex_jw *w)
{
    static const char *const names[] = {"distances", "documents", "embeddings", "metadatas", "uris"};
    const struct vex_chroma_answer *answer = request->call.response;
    unsigned mask = answer->include.mask;

    vex_jw_object(w);
    put_column(w, "ids", answer, true, put_id);
    put_column(w, "embeddings", answer, (mask & VEX_INCLUDE_EMBEDDINGS) != 0, put_embedding);
    put_column(w, "documents", answer, (mask & VEX_INCLUDE_DOCUMENTS) != 0, put_document);
    put_column(w, "uris", answer, (mask & VEX_INCLUDE_URIS) != 0, put_uri);
    put_column(w, "metadatas", answer, (mask & VEX_INCLUDE_METADATAS) != 0, put_hit_metadata);
    if (answer->nested)
        put_column(w, "distances", answer, (mask & VEX_INCLUDE_DISTANCES) != 0, put_distance);
    put_key(w, "include");
    vex_jw_array(w);
    for (uint32_t i = 0; i < answer->include.count; i++)
        vex_jw_str(w, vex_str_c(names[__builtin_ctz(answer->include.items[i])]));
    vex_jw_array_end(w);
    vex_jw_object_end(w);
}

/* ---- errors ---- */

/* Clients show this id with an error; at level debug the log has it too. */
static void put_trace(struct vex_rest_request *request)
{
    struct vex_io *io = request->service->options.io;
    uint64_t id[2];

    io->ops->random(io, id, sizeof id);
    request->header_name = "chroma-trace-id";
    request->header_value = vex_arena_printf(&request->call.arena, "%016llx%016llx",
                                             (unsigned long long)id[0], (unsigned long long)id[1]);
    vex_debug("chroma", "trace %s: %s", request->header_value, request->call.err.text);
}

void vex_chroma_put_error(struct vex_rest_request *request)
{
    const struct vex_err *err = &request->call.err;
    const struct vex_err_class *class = vex_err_class(request->call.code);
    struct vex_jw w = vex_jw(&request->reply);

    /* What posts to v1 meets the one method that the peer's routes there lack. */
    bool v1_post =
        vex_str_eq_c(request->method, "POST") && vex_str_starts(request->path, VEX_STR("/api/v1/"));
    if (request->found == VEX_ROUTE_NONE || request->found == VEX_ROUTE_NO_METHOD) {
        request->status = request->found == VEX_ROUTE_NONE && !v1_post ? 404 : 405;
        return;
    }
    if (request->found == VEX_ROUTE_BAD_ESCAPE)
        class = vex_err_class(VEX_EBAD_INPUT);
    put_trace(request);
    request->status = class->http_status;
    request->content_type_reply = "application/json";
    vex_jw_object(&w);
    put_key(&w, "error");
    vex_jw_str(&w, vex_str_c(class->chroma));
    put_key(&w, "message");
    vex_jw_str(&w, request->found == VEX_ROUTE_BAD_ESCAPE ? VEX_STR("Invalid percent-encoding in the path")
                                                          : vex_str_c(err->text));
    vex_jw_object_end(&w);
}
