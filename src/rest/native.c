/* Native REST dialect (/vexfs/v1): routes, bodies, replies. Errors look like Chroma's. */
#include "api/native/native.h"

#include "base/text.h"
#include "engine/point/value_json.h"
#include "rest/chroma.h"

#define FIELD(type, member, name, reader, ...)                                                               \
    {                                                                                                        \
        name, offsetof(struct type, member), reader, __VA_ARGS__                                             \
    }
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define REQUIRED     true, false
#define OPTIONAL     false, false
#define SEARCH_LIMIT 10

struct native_route {
    int (*decode)(struct vex_rest_request *request);
    const struct vex_operation *operation;
    void (*reply)(struct vex_rest_request *request, struct vex_jw *w);
    int status;
};

/* ---- requests ---- */

static int decode_none(struct vex_rest_request *request)
{
    (void)request;
    return 0;
}

static int decode_names(struct vex_rest_request *request)
{
    struct vex_native_document *document = VEX_ARENA_NEW(&request->call.arena, struct vex_native_document);

    document->collection = request->params[0];
    document->id = request->params[1];
    request->call.request = document;
    return 0;
}

static int read_distance(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    struct vex_str text;
    int rc = vex_chroma_read_text(reader, v, &text);

    if (rc < 0)
        return rc;
    for (int i = 0; i < VEX_DISTANCE_COUNT; i++)
        if (vex_str_eq_c(text, vex_native_distances[i])) {
            *(enum vex_distance *)ret = (enum vex_distance)i;
            return 0;
        }
    return vex_chroma_misfit(reader,
                             "unknown variant `" VEX_STR_FMT "`, expected one of `l2`, `cosine`, `dot`, `l1`",
                             VEX_STR_ARG(text));
}

static int read_dimension(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    uint64_t dimension;
    int rc = vex_chroma_read_u32(reader, v, &dimension);

    if (rc == 0)
        *(uint32_t *)ret = (uint32_t)dimension;
    return rc;
}

static int decode_create(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        FIELD(vex_native_create, name, "name", vex_chroma_read_text, REQUIRED),
        FIELD(vex_native_create, dimension, "dimension", read_dimension, OPTIONAL),
        FIELD(vex_native_create, distance, "distance", read_distance, OPTIONAL),
    };
    struct vex_native_create *create = VEX_ARENA_NEW(&request->call.arena, struct vex_native_create);

    create->distance = VEX_DISTANCE_COSINE;
    request->call.request = create;
    return vex_chroma_read_body(request, fields, COUNT(fields), create);
}

/* ---- documents ---- */

struct document {
    struct vex_str id, text;
    struct vex_chroma_vector vector;
    struct vex_value metadata;
};

/* A text, or a whole number that is told back as its digits. */
static int read_id(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    struct vex_str *id = ret;
    enum vex_json_kind kind = vex_json_kind(v);

    if (kind != VEX_JSON_UINT && (kind != VEX_JSON_INT || vex_json_int(v) < 0))
        return vex_chroma_read_text(reader, v, ret);
    char *text = vex_arena_printf(reader->arena, "%llu", (unsigned long long)vex_json_uint(v));
    *id = vex_str_c(text);
    return 0;
}

static int read_vector(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    struct vex_chroma_vector *vector = ret;
    size_t count = vex_json_count(v);

    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return vex_chroma_misfit(reader, "invalid type: %s, expected a list of numbers",
                                 vex_json_kind_name(v));
    float *values = count < UINT32_MAX ? vex_arena_try(reader->arena, (count + 1) * sizeof *values) : NULL;
    if (values == NULL)
        return vex_err_set(reader->err, VEX_ENO_MEMORY, "not enough memory for the request");
    if (vex_json_floats(v, values, count) < 0)
        return vex_chroma_misfit(reader, "expected a list of numbers");
    *vector = (struct vex_chroma_vector){values, (uint32_t)count};
    return 0;
}

static int write_room(struct vex_chroma_reader *reader, size_t count, struct vex_chroma_write *w)
{
    if (count >= UINT32_MAX)
        return vex_chroma_misfit(reader, "too many documents");
    w->ids.items = vex_arena_try(reader->arena, (count + 1) * sizeof *w->ids.items);
    w->documents.items = vex_arena_try(reader->arena, (count + 1) * sizeof *w->documents.items);
    w->vectors.items = vex_arena_try(reader->arena, (count + 1) * sizeof *w->vectors.items);
    w->metadatas.items = vex_arena_try(reader->arena, (count + 1) * sizeof *w->metadatas.items);
    if (w->ids.items == NULL || w->documents.items == NULL || w->vectors.items == NULL ||
        w->metadatas.items == NULL)
        return vex_err_set(reader->err, VEX_ENO_MEMORY, "not enough memory for the request");
    w->ids.count = w->documents.count = w->vectors.count = w->metadatas.count = (uint32_t)count;
    w->ids.given = w->documents.given = w->vectors.given = w->metadatas.given = true;
    return 0;
}

static int read_documents(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    static const struct vex_chroma_field fields[] = {
        FIELD(document, id, "id", read_id, REQUIRED),
        FIELD(document, vector, "vector", read_vector, REQUIRED),
        FIELD(document, metadata, "metadata", vex_chroma_read_metadata, OPTIONAL),
        FIELD(document, text, "text", vex_chroma_read_text, OPTIONAL),
    };
    struct vex_chroma_write *w = ret;
    size_t i = 0;
    int rc;

    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return vex_chroma_misfit(reader, "invalid type: %s, expected a list of documents",
                                 vex_json_kind_name(v));
    if ((rc = write_room(reader, vex_json_count(v), w)) < 0)
        return rc;
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it); i++) {
        struct document document = {0};
        reader->at = vex_arena_printf(reader->arena, "documents[%zu]", i);
        if ((rc = vex_chroma_read_fields(reader, it.value, fields, COUNT(fields), &document)) < 0)
            return rc;
        w->ids.items[i] = document.id;
        w->documents.items[i] = document.text;
        w->vectors.items[i] = document.vector;
        w->metadatas.items[i] = document.metadata;
    }
    return 0;
}

static int decode_documents(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        FIELD(vex_native_write, write, "documents", read_documents, REQUIRED)};
    struct vex_native_write *write = VEX_ARENA_NEW(&request->call.arena, struct vex_native_write);

    write->collection = request->params[0];
    write->write.mode = VEX_UPSERT;
    write->write.replace = true;
    request->call.request = write;
    int rc = vex_chroma_read_body(request, fields, COUNT(fields), write);
    if (rc == 0)
        request->call.operation = vex_native_write_operation(request->service, write);
    return rc;
}

/* ---- search ---- */

static int read_include(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    static const struct {
        const char *name;
        unsigned bit;
    } parts[] = {{"metadata", VEX_INCLUDE_METADATAS},
                 {"text", VEX_INCLUDE_DOCUMENTS},
                 {"vector", VEX_INCLUDE_EMBEDDINGS}};
    unsigned *include = ret;
    struct vex_chroma_texts names = {0};
    int rc = vex_chroma_read_ids(reader, v, &names);

    if (rc < 0)
        return rc;
    *include = 0;
    for (uint32_t i = 0; i < names.count; i++) {
        size_t part = 0;
        while (part < COUNT(parts) && !vex_str_eq_c(names.items[i], parts[part].name))
            part++;
        if (part == COUNT(parts))
            return vex_chroma_misfit(
                reader, "unknown variant `" VEX_STR_FMT "`, expected one of `metadata`, `text`, `vector`",
                VEX_STR_ARG(names.items[i]));
        *include |= parts[part].bit;
    }
    return 0;
}

static int read_finite(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    struct vex_chroma_vector *vector = ret;
    int rc = read_vector(reader, v, ret);

    for (uint32_t i = 0; rc == 0 && i < vector->count; i++)
        if (!__builtin_isfinite(vector->values[i]))
            return vex_chroma_misfit(reader, "a number is out of range");
    return rc == 0 && vector->count == 0 ? vex_chroma_misfit(reader, "expected at least one number") : rc;
}

static int decode_search(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        FIELD(vex_native_search, vector, "vector", read_finite, REQUIRED),
        FIELD(vex_native_search, limit, "limit", vex_chroma_read_u32, OPTIONAL),
        FIELD(vex_native_search, filters, "filters", vex_chroma_read_where, OPTIONAL),
        FIELD(vex_native_search, include, "include", read_include, OPTIONAL),
    };
    struct vex_native_search *search = VEX_ARENA_NEW(&request->call.arena, struct vex_native_search);

    search->collection = request->params[0];
    search->limit = SEARCH_LIMIT;
    search->include = VEX_INCLUDE_METADATAS | VEX_INCLUDE_DOCUMENTS;
    request->call.request = search;
    return vex_chroma_read_body(request, fields, COUNT(fields), search);
}

/* ---- replies ---- */

static void put_key(struct vex_jw *w, const char *key)
{
    vex_jw_key(w, vex_str_c(key));
}

static void reply_health(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_native_health *health = request->call.response;

    vex_jw_object(w);
    put_key(w, "status");
    vex_jw_str(w, health->read_only ? VEX_STR("read-only") : VEX_STR("ok"));
    put_key(w, "version");
    vex_jw_str(w, VEX_STR(VEX_SERVER_VERSION));
    put_key(w, "device");
    vex_jw_str(w, vex_str_c(health->device));
    put_key(w, "uptime_seconds");
    vex_jw_u64(w, health->uptime_seconds);
    put_key(w, "collections");
    vex_jw_u64(w, health->collections);
    vex_jw_object_end(w);
}

static void reply_metrics(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_buf *text = request->call.response;

    (void)w;
    vex_buf_add_str(&request->reply, vex_buf_str(text));
}

static void put_collection(struct vex_jw *w, const struct vex_native_collection *c)
{
    char uuid[VEX_UUID_TEXT];

    vex_uuid_text(c->uuid, uuid);
    vex_jw_object(w);
    put_key(w, "id");
    vex_jw_str(w, vex_str(uuid, sizeof uuid));
    put_key(w, "name");
    vex_jw_str(w, c->name);
    put_key(w, "dimension");
    if (c->dimension == 0)
        vex_jw_null(w);
    else
        vex_jw_u64(w, c->dimension);
    put_key(w, "distance");
    if (c->vector)
        vex_jw_str(w, vex_str_c(vex_native_distances[c->distance]));
    else
        vex_jw_null(w);
    put_key(w, "documents");
    vex_jw_u64(w, c->documents);
    vex_jw_object_end(w);
}

static void reply_collections(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_native_collections *collections = request->call.response;

    vex_jw_object(w);
    put_key(w, "collections");
    vex_jw_array(w);
    for (uint32_t i = 0; i < collections->count; i++)
        put_collection(w, &collections->items[i]);
    vex_jw_array_end(w);
    vex_jw_object_end(w);
}

static void reply_collection(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_native_collections *collections = request->call.response;

    put_collection(w, collections->items);
}

static void put_count(struct vex_rest_request *request, struct vex_jw *w, const char *key)
{
    const struct vex_chroma_number *number = request->call.response;

    vex_jw_object(w);
    put_key(w, key);
    vex_jw_u64(w, number->value);
    vex_jw_object_end(w);
}

static void reply_upserted(struct vex_rest_request *request, struct vex_jw *w)
{
    put_count(request, w, "upserted");
}

static void reply_deleted(struct vex_rest_request *request, struct vex_jw *w)
{
    put_count(request, w, "deleted");
}

static void put_parts(struct vex_jw *w, const struct vex_chroma_hit *hit, unsigned include)
{
    if ((include & VEX_INCLUDE_METADATAS) != 0) {
        put_key(w, "metadata");
        vex_chroma_put_metadata(w, hit->metadata);
    }
    if ((include & VEX_INCLUDE_DOCUMENTS) != 0) {
        put_key(w, "text");
        if (hit->document.ptr != NULL)
            vex_jw_str(w, hit->document);
        else
            vex_jw_null(w);
    }
    if ((include & VEX_INCLUDE_EMBEDDINGS) != 0) {
        put_key(w, "vector");
        if (hit->vector != NULL)
            vex_jw_floats(w, hit->vector, hit->dimension);
        else
            vex_jw_null(w);
    }
}

static void reply_document(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_chroma_hits *hits = request->call.response;

    vex_jw_object(w);
    put_key(w, "id");
    vex_jw_str(w, hits->items->id);
    put_parts(w, hits->items, VEX_INCLUDE_METADATAS | VEX_INCLUDE_DOCUMENTS | VEX_INCLUDE_EMBEDDINGS);
    vex_jw_object_end(w);
}

static void reply_results(struct vex_rest_request *request, struct vex_jw *w)
{
    const struct vex_native_search *search = request->call.request;
    const struct vex_chroma_hits *hits = request->call.response;

    vex_jw_object(w);
    put_key(w, "results");
    vex_jw_array(w);
    for (size_t i = 0; i < hits->count; i++) {
        vex_jw_object(w);
        put_key(w, "id");
        vex_jw_str(w, hits->items[i].id);
        put_key(w, "score");
        vex_jw_f32(w, 1.0f - hits->items[i].distance);
        put_parts(w, &hits->items[i], search->include);
        vex_jw_object_end(w);
    }
    vex_jw_array_end(w);
    vex_jw_object_end(w);
}

/* ---- routes ---- */

#define ROUTE(method, path, open, decode, op, reply, status)                                                 \
    {                                                                                                        \
#method, path, open, &(const struct native_route)                                                    \
        {                                                                                                    \
            decode_##decode, op, reply_##reply, status                                                       \
        }                                                                                                    \
    }
#define BASE "/vexfs/v1"
#define C    BASE "/collections/{collection}"

static const struct vex_route routes[] = {
    ROUTE(GET, "/health", true, none, &vex_native_health, health, 200),
    ROUTE(GET, "/metrics", false, none, &vex_native_metrics, metrics, 200),
    ROUTE(GET, BASE "/health", true, none, &vex_native_health, health, 200),
    ROUTE(GET, BASE "/collections", false, none, &vex_native_list, collections, 200),
    ROUTE(POST, BASE "/collections", false, create, &vex_native_create, collection, 201),
    ROUTE(GET, C, false, names, &vex_native_get, collection, 200),
    ROUTE(DELETE, C, false, names, &vex_native_drop, deleted, 200),
    ROUTE(POST, C "/documents", false, documents, NULL, upserted, 200),
    ROUTE(GET, C "/documents/{id}", false, names, &vex_native_get_document, document, 200),
    ROUTE(DELETE, C "/documents/{id}", false, names, &vex_native_delete_document, deleted, 200),
    ROUTE(POST, C "/search", false, search, &vex_native_search, results, 200),
};

static int decode(struct vex_rest_request *request)
{
    const struct native_route *route = request->route->detail;

    request->call.operation = route->operation;
    return route->decode(request);
}

static void encode(struct vex_rest_request *request)
{
    if (request->call.code < 0 || request->route == NULL) {
        vex_chroma_put_error(request);
        return;
    }
    const struct native_route *route = request->route->detail;
    struct vex_jw w = vex_jw(&request->reply);
    route->reply(request, &w);
    request->status = route->status;
    request->content_type_reply =
        route->reply == reply_metrics ? "text/plain; version=0.0.4" : "application/json";
}

const struct vex_rest_dialect vex_rest_native = {
    .name = "native",
    .dialect = VEX_DIALECT_NATIVE,
    .routes = routes,
    .route_count = sizeof routes / sizeof *routes,
    .decode = decode,
    .encode = encode,
};
