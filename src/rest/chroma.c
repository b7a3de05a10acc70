/* Chroma's REST dialect, v2: routes, and how each call's body becomes a request. Replies are written in
 * chroma_reply.c. */
#include "rest/chroma.h"

#include "rest/chroma_route.h"

#define FIELD(type, member, name, reader, ...)                                                               \
    {                                                                                                        \
        name, offsetof(struct type, member), vex_chroma_read_##reader, __VA_ARGS__                           \
    }
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define REQUIRED     true, false
#define OPTIONAL     false, false

/* ---- parameters ---- */

/* Parameters stand in the path in the order tenant, database, collection. */
static void *new_request(struct vex_rest_request *request, size_t size)
{
    struct vex_chroma_path *path = vex_arena_zalloc(&request->call.arena, size);

    path->tenant = request->params[0];
    path->database = request->params[1];
    path->collection = request->params[2];
    request->call.request = path;
    return path;
}

#define NEW(request, type) ((struct type *)new_request(request, sizeof(struct type)))

static int bad_query(struct vex_rest_request *request, const char *name, struct vex_str value,
                     const char *why)
{
    return vex_err_set(&request->call.err, VEX_EBAD_INPUT,
                       "Failed to deserialize query string: %s: %s: `" VEX_STR_FMT "`", name, why,
                       VEX_STR_ARG(value));
}

static int query_u32(struct vex_rest_request *request, const char *name, bool *ret_has, uint64_t *ret)
{
    struct vex_str value = vex_rest_query_get(request, name);

    *ret_has = value.ptr != NULL;
    if (value.ptr == NULL)
        return 0;
    if (!vex_str_to_u64(value, ret) || *ret > UINT32_MAX)
        return bad_query(request, name, value, "expected u32");
    return 0;
}

static int decode_path(struct vex_rest_request *request)
{
    NEW(request, vex_chroma_path);
    return 0;
}

static int decode_page(struct vex_rest_request *request)
{
    struct vex_chroma_page *page = NEW(request, vex_chroma_page);
    bool has_offset;
    int rc = query_u32(request, "limit", &page->has_limit, &page->limit);

    return rc < 0 ? rc : query_u32(request, "offset", &has_offset, &page->offset);
}

/* How fresh an answer must be; ours always are the freshest. */
static int decode_count(struct vex_rest_request *request)
{
    static const char *const levels[] = {"index_and_wal", "index_only", "index_and_bounded_wal"};
    struct vex_str level = vex_rest_query_get(request, "read_level");

    NEW(request, vex_chroma_path);
    if (level.ptr == NULL)
        return 0;
    for (size_t i = 0; i < COUNT(levels); i++)
        if (vex_str_eq_c(level, levels[i]))
            return 0;
    return vex_err_set(&request->call.err, VEX_EBAD_INPUT,
                       "Failed to deserialize query string: read_level: unknown variant `" VEX_STR_FMT
                       "`, expected one of `index_and_wal`, `index_only`, `index_and_bounded_wal`",
                       VEX_STR_ARG(level));
}

/* ---- tenants, databases, collections ---- */

static int decode_name(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {FIELD(vex_chroma_name, name, "name", text, REQUIRED)};

    return vex_chroma_read_body(request, fields, COUNT(fields), NEW(request, vex_chroma_name));
}

static int decode_resource(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        FIELD(vex_chroma_name, name, "resource_name", text, REQUIRED)};

    return vex_chroma_read_body(request, fields, COUNT(fields), NEW(request, vex_chroma_name));
}

static int decode_create(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        FIELD(vex_chroma_create, name, "name", text, REQUIRED),
        FIELD(vex_chroma_create, metadata, "metadata", metadata, OPTIONAL),
        FIELD(vex_chroma_create, settings, "configuration", settings, OPTIONAL),
        FIELD(vex_chroma_create, schema, "schema", value, OPTIONAL),
        FIELD(vex_chroma_create, get_or_create, "get_or_create", bool, OPTIONAL),
    };

    return vex_chroma_read_body(request, fields, COUNT(fields), NEW(request, vex_chroma_create));
}

static int decode_modify(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        FIELD(vex_chroma_modify, name, "new_name", text, OPTIONAL),
        FIELD(vex_chroma_modify, metadata, "new_metadata", metadata, OPTIONAL),
        FIELD(vex_chroma_modify, settings, "new_configuration", settings_change, OPTIONAL),
    };

    return vex_chroma_read_body(request, fields, COUNT(fields), NEW(request, vex_chroma_modify));
}

/* ---- records ---- */

#define WRITE_FIELDS(vectors_row, metadatas_reader)                                                          \
    FIELD(vex_chroma_write, ids, "ids", ids, REQUIRED), vectors_row,                                         \
        FIELD(vex_chroma_write, documents, "documents", texts, OPTIONAL),                                    \
        FIELD(vex_chroma_write, uris, "uris", texts, OPTIONAL),                                              \
        FIELD(vex_chroma_write, metadatas, "metadatas", metadatas_reader, OPTIONAL)

static int decode_write(struct vex_rest_request *request, enum vex_upsert_mode mode,
                        const struct vex_chroma_field *fields, size_t count)
{
    struct vex_chroma_write *write = NEW(request, vex_chroma_write);
    int rc = vex_chroma_read_body(request, fields, count, write);

    write->mode = mode;
    if (rc == 0)
        request->call.operation = vex_chroma_write_operation(request->service, write);
    return rc;
}

static int decode_add(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        WRITE_FIELDS(FIELD(vex_chroma_write, vectors, "embeddings", vectors, REQUIRED), metadatas)};

    return decode_write(request, VEX_INSERT_ONLY, fields, COUNT(fields));
}

static int decode_upsert(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        WRITE_FIELDS(FIELD(vex_chroma_write, vectors, "embeddings", vectors, REQUIRED), changes)};

    return decode_write(request, VEX_UPSERT, fields, COUNT(fields));
}

static int decode_update(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        WRITE_FIELDS(FIELD(vex_chroma_write, vectors, "embeddings", vectors_or_null, OPTIONAL), changes)};

    return decode_write(request, VEX_UPDATE_ONLY, fields, COUNT(fields));
}

static int vex_chroma_read_limit(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    struct vex_chroma_select *select = ret;

    select->has_limit = true;
    return vex_chroma_read_u32(reader, v, &select->limit);
}

static int vex_chroma_read_n_results(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    struct vex_chroma_select *select = ret;

    select->has_n_results = true;
    return vex_chroma_read_u32(reader, v, &select->n_results);
}

#define SELECT_FIELDS                                                                                        \
    FIELD(vex_chroma_select, ids, "ids", ids, OPTIONAL),                                                     \
        FIELD(vex_chroma_select, where, "where", where, OPTIONAL),                                           \
        FIELD(vex_chroma_select, where_document, "where_document", where_document, OPTIONAL)
#define LIMIT_FIELD                                                                                          \
    {                                                                                                        \
        "limit", 0, vex_chroma_read_limit, OPTIONAL                                                          \
    }
#define INCLUDE_FIELD FIELD(vex_chroma_select, include, "include", include, OPTIONAL)

static int decode_get(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        SELECT_FIELDS, LIMIT_FIELD, INCLUDE_FIELD, FIELD(vex_chroma_select, offset, "offset", u32, OPTIONAL)};

    return vex_chroma_read_body(request, fields, COUNT(fields), NEW(request, vex_chroma_select));
}

static int decode_query(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {
        SELECT_FIELDS,
        INCLUDE_FIELD,
        FIELD(vex_chroma_select, queries, "query_embeddings", queries, REQUIRED),
        {"n_results", 0, vex_chroma_read_n_results, OPTIONAL},
    };

    return vex_chroma_read_body(request, fields, COUNT(fields), NEW(request, vex_chroma_select));
}

static int decode_delete(struct vex_rest_request *request)
{
    static const struct vex_chroma_field fields[] = {SELECT_FIELDS, LIMIT_FIELD};

    return vex_chroma_read_body(request, fields, COUNT(fields), NEW(request, vex_chroma_select));
}

/* ---- routes ---- */

#define vex_chroma_none vex_chroma_heartbeat /* the decoder chooses */

#define T "/tenants/{tenant}"
#define D T "/databases/{database}"
#define C D "/collections/{collection}"

#define DECODE(name) decode_##name
#define ROUTE(method, path, open, decoder, op, reply, status)                                                \
    {#method, "/api/v2" path, open,                                                                          \
     &(const struct vex_chroma_route){decoder, &vex_chroma_##op, vex_chroma_put_##reply, status}},
static const struct vex_route routes[] = {
#include "rest/chroma_routes.def"
};
#undef ROUTE

static int decode(struct vex_rest_request *request)
{
    const struct vex_chroma_route *route = request->route->detail;

    request->call.operation = route->operation;
    return route->decode(request);
}

static void encode(struct vex_rest_request *request)
{
    if (request->call.code < 0 || request->route == NULL) {
        vex_chroma_put_error(request);
        return;
    }
    const struct vex_chroma_route *route = request->route->detail;
    struct vex_jw w = vex_jw(&request->reply);
    route->reply(request, &w);
    request->status = route->status;
    request->content_type_reply = "application/json";
}

const struct vex_rest_dialect vex_rest_chroma = {
    .name = "chroma",
    .dialect = VEX_DIALECT_CHROMA,
    .routes = routes,
    .route_count = sizeof routes / sizeof *routes,
    .decode = decode,
    .encode = encode,
};
