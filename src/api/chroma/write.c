/* Writes of the Chroma dialect: add, upsert, update, delete. Each is one mutation, so it is all or nothing.
 *
 * The first write of a collection fixes its dimension, and metadata keys of a new kind join its schema: such
 * a write changes the configuration first and therefore waits on a worker. */
#include "api/chroma/internal.h"

#include <math.h>

#include "engine/point/value_keys.h"

/* ---- checks ---- */

static int check_counts(const struct vex_chroma_write *w, struct vex_err *err)
{
    uint32_t n = w->ids.count;

    if ((w->vectors.given && w->vectors.count != n) || (w->documents.given && w->documents.count != n) ||
        (w->uris.given && w->uris.count != n) || (w->metadatas.given && w->metadatas.count != n))
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "Inconsistent number of IDs, embeddings, documents, URIs and metadatas");
    for (uint32_t i = 0; i < n; i++) {
        if (w->ids.items[i].len == 0)
            return vex_err_set(err, VEX_EBAD_INPUT, "Empty ID, ID must have at least one character");
        if (w->ids.items[i].len > VEX_ID_TEXT_MAX)
            return vex_err_set(err, VEX_EBAD_INPUT, "An ID may have at most %d bytes", VEX_ID_TEXT_MAX);
    }
    return 0;
}

/* Without a branch per value: this runs over every vector that comes in. */
static bool all_finite(const struct vex_chroma_vector *v)
{
    int bad = 0;

    for (uint32_t i = 0; i < v->count; i++)
        bad |= !isfinite(v->values[i]);
    return bad == 0;
}

static int check_vectors(const struct vex_chroma_vectors *vectors, struct vex_err *err)
{
    uint32_t dimension = 0;

    for (uint32_t i = 0; i < vectors->count; i++) {
        const struct vex_chroma_vector *v = &vectors->items[i];
        if (v->values == NULL)
            continue;
        if (v->count == 0)
            return vex_err_set(err, VEX_EBAD_INPUT,
                               "Validation error: embeddings: Each embedding must have at least 1 dimension");
        if (v->count > VEX_DIM_MAX)
            return vex_err_set(err, VEX_EBAD_INPUT,
                               "Validation error: embeddings: An embedding may have at most %d dimensions",
                               VEX_DIM_MAX);
        if (!all_finite(v))
            return vex_err_set(
                err, VEX_EBAD_INPUT,
                "Validation error: embeddings: Embeddings must not contain NaN or Infinity values");
        if (dimension == 0)
            dimension = v->count;
        if (v->count != dimension)
            return vex_err_set(err, VEX_EBAD_INPUT, "Inconsistent dimensions in provided embeddings");
    }
    return 0;
}

static int check_metadatas(const struct vex_chroma_values *metadatas, struct vex_err *err)
{
    for (uint32_t i = 0; i < metadatas->count; i++) {
        if (metadatas->items[i].at == NULL)
            continue;
        struct vex_value_iter it = vex_value_iter(metadatas->items[i]);
        while (vex_value_next(&it))
            if (it.key.len == 0 || it.key.ptr[0] == '#' || it.key.ptr[0] == '$' ||
                vex_str_starts(it.key, VEX_STR("chroma:")))
                return vex_err_set(err, VEX_EBAD_INPUT,
                                   "Validation error: metadatas: Invalid metadata at index %u", i);
    }
    return 0;
}

/* ---- what the configuration does not know yet ---- */

static uint32_t dimension_of(const struct vex_chroma_write *w)
{
    for (uint32_t i = 0; i < w->vectors.count; i++)
        if (w->vectors.items[i].values != NULL)
            return w->vectors.items[i].count;
    return 0;
}

static unsigned known_bits(const struct vex_value_keys *keys, struct vex_str key)
{
    struct vex_value v = vex_value_keys_get(keys, key);

    return v.at != NULL ? (unsigned)vex_value_int(v) : 0;
}

static bool is_full(struct vex_value keys)
{
    return keys.at != NULL && vex_value_count(keys) >= VEX_SCHEMA_KEYS_MAX;
}

/* Next metadata value, from record *at on, whose key or type the keys of the schema lack. */
static bool next_new_key(const struct vex_chroma_write *w, const struct vex_value_keys *keys, uint32_t *at,
                         struct vex_str *ret_key, unsigned *ret_bits)
{
    for (; *at < w->metadatas.count; ++*at) {
        if (w->metadatas.items[*at].at == NULL)
            continue;
        struct vex_value_iter it = vex_value_iter(w->metadatas.items[*at]);
        while (vex_value_next(&it)) {
            unsigned known = known_bits(keys, it.key), bits = vex_chroma_schema_type(it.value);
            if ((bits & ~known) != 0) {
                *ret_key = it.key;
                *ret_bits = bits | known;
                return true;
            }
        }
    }
    return false;
}

static bool has_new_key(const struct vex_chroma_write *w, struct vex_value known)
{
    struct vex_value_keys keys;
    struct vex_str key;
    unsigned bits;
    uint32_t at = 0;

    if (is_full(known))
        return false;
    vex_value_keys_init(&keys, known);
    bool found = next_new_key(w, &keys, &at, &key, &bits);
    vex_value_keys_done(&keys);
    return found;
}

/* A configuration without our document belongs to another dialect: only its dimension may be completed. */
static bool wants_change(const struct vex_chroma_write *w, const struct vex_config *config,
                         const struct vex_vector_params *params)
{
    struct vex_chroma_config chroma;

    if (params->size == 0 && dimension_of(w) != 0)
        return true;
    if (config->docs[VEX_DOC_CHROMA].len == 0)
        return false;
    vex_chroma_config_read(config, &chroma);
    return has_new_key(w, chroma.keys);
}

/* One more key or type: a new map. */
static struct vex_value with_key(struct vex_arena *arena, struct vex_value keys, struct vex_str key,
                                 unsigned bits)
{
    struct vex_buf patch, out;

    vex_buf_init(&patch, arena);
    vex_buf_init(&out, arena);
    vex_value_put_map(&patch, 1);
    vex_value_put_text(&patch, key);
    vex_value_put_int(&patch, (int64_t)bits);
    vex_payload_merge(&out, keys, (struct vex_value){(const uint8_t *)patch.ptr}, false);
    return (struct vex_value){(const uint8_t *)out.ptr};
}

static struct vex_value with_new_keys(struct vex_arena *arena, const struct vex_chroma_write *w,
                                      struct vex_value known)
{
    struct vex_value_keys keys;
    struct vex_str key;
    unsigned bits;
    uint32_t at = 0;

    while (!is_full(known)) {
        vex_value_keys_init(&keys, known);
        bool found = next_new_key(w, &keys, &at, &key, &bits);
        vex_value_keys_done(&keys);
        if (!found)
            break;
        known = with_key(arena, known, key, bits);
    }
    return known;
}

static int check_dimension(const struct vex_chroma_write *w, const struct vex_vector_params *params,
                           struct vex_err *err)
{
    uint32_t dimension = dimension_of(w);

    if (dimension == 0 || params->size == 0 || dimension == params->size)
        return 0;
    return vex_err_set(err, VEX_EBAD_INPUT, "Collection expecting embedding with dimension of %u, got %u",
                       params->size, dimension);
}

struct completion {
    const struct vex_chroma_write *write;
    struct vex_arena *arena;
};

static int complete(void *arg, struct vex_config *config, struct vex_err *err)
{
    const struct completion *c = arg;
    struct vex_chroma_config chroma;
    uint32_t dimension = dimension_of(c->write);

    for (uint32_t i = 0; i < config->vector_count; i++) {
        if (config->vectors[i].name.len != 0)
            continue;
        if (config->vectors[i].size == 0)
            config->vectors[i].size = dimension;
        /* Another first write may have come before: then nothing of this one stays. */
        if (check_dimension(c->write, &config->vectors[i], err) != 0)
            return err->code;
    }
    if (config->docs[VEX_DOC_CHROMA].len == 0)
        return 0;
    vex_chroma_config_read(config, &chroma);
    chroma.keys = with_new_keys(c->arena, c->write, chroma.keys);
    vex_chroma_config_write(c->arena, config, &chroma);
    return 0;
}

/* ---- the mutation ---- */

static void put_member(struct vex_buf *out, const char *key, struct vex_str text)
{
    vex_value_put_text(out, vex_str_c(key));
    vex_value_put_text(out, text);
}

/* Metadata, document and uri of one record as a payload; ptr NULL when it says nothing. */
static struct vex_str payload_of(struct vex_arena *arena, const struct vex_chroma_write *w, uint32_t i)
{
    struct vex_value metadata = w->metadatas.given ? w->metadatas.items[i] : (struct vex_value){NULL};
    struct vex_str document = w->documents.given ? w->documents.items[i] : vex_str(NULL, 0);
    struct vex_str uri = w->uris.given ? w->uris.items[i] : vex_str(NULL, 0);
    size_t count = metadata.at != NULL ? vex_value_count(metadata) : 0;
    struct vex_buf out;

    count += (document.ptr != NULL) + (uri.ptr != NULL);
    if (count == 0)
        return vex_str(NULL, 0);
    vex_buf_init(&out, arena);
    vex_value_put_map(&out, count);
    if (metadata.at != NULL) {
        struct vex_value_iter it = vex_value_iter(metadata);
        while (vex_value_next(&it)) {
            vex_value_put_text(&out, it.key);
            vex_value_put(&out, it.value);
        }
    }
    if (document.ptr != NULL)
        put_member(&out, VEX_CHROMA_DOCUMENT, document);
    if (uri.ptr != NULL)
        put_member(&out, VEX_CHROMA_URI, uri);
    return vex_buf_str(&out);
}

static struct vex_op *lower(struct vex_arena *arena, const struct vex_chroma_write *w)
{
    struct vex_op *op = VEX_ARENA_NEW(arena, struct vex_op);
    uint32_t n = w->ids.count;
    struct vex_vector_value *vectors = VEX_ARENA_ARRAY(arena, struct vex_vector_value, n);

    op->kind = VEX_OP_UPSERT;
    op->upsert.points = VEX_ARENA_ARRAY(arena, struct vex_point, n);
    op->upsert.count = n;
    op->upsert.mode = w->mode;
    op->upsert.merge = w->mode != VEX_INSERT_ONLY && !w->replace;
    for (uint32_t i = 0; i < n; i++) {
        struct vex_point *point = &op->upsert.points[i];
        point->id = vex_id_from_text(w->ids.items[i]);
        point->payload = payload_of(arena, w, i);
        if (!w->vectors.given || w->vectors.items[i].values == NULL)
            continue;
        vectors[i] = (struct vex_vector_value){.name = VEX_STR(""),
                                               .kind = VEX_VECTOR_DENSE,
                                               .values = w->vectors.items[i].values,
                                               .count = w->vectors.items[i].count};
        point->vectors = &vectors[i];
        point->vector_count = 1;
    }
    return op;
}

static void on_done(struct vex_mutation *mutation, int code, const struct vex_err *err,
                    const struct vex_op_result *results)
{
    struct vex_chroma_pending *pending = (struct vex_chroma_pending *)mutation;
    struct vex_call *call = pending->call;

    if (code < 0)
        call->err = *err;
    else if (pending->lift != NULL)
        pending->lift(call, results);
    vex_call_finish(call, code);
}

int vex_chroma_submit(struct vex_call *call, struct vex_collection *collection, struct vex_op *op,
                      void (*lift)(struct vex_call *call, const struct vex_op_result *results))
{
    struct vex_chroma_pending *pending = VEX_ARENA_NEW(&call->arena, struct vex_chroma_pending);

    pending->mutation = (struct vex_mutation){.ops = op, .count = 1, .wait = true, .done = on_done};
    pending->call = call;
    pending->lift = lift;
    int rc = vex_collection_submit(collection, &pending->mutation, &call->err);
    return rc < 0 ? rc : VEX_CALL_PENDING;
}

/* Completes the configuration when need be; the vector's parameters afterwards are checked against the write.
 */
static int prepare(struct vex_service *service, struct vex_call *call, struct vex_collection *collection,
                   const struct vex_chroma_write *w)
{
    struct completion c = {w, &call->arena};
    const struct vex_vector_params *params;
    struct vex_config *config = vex_collection_config(collection);
    int rc = vex_chroma_embedding(config, &params, &call->err);

    if (rc == 0)
        rc = check_dimension(w, params, &call->err);
    if (rc == 0 && wants_change(w, config, params)) {
        vex_config_unref(config);
        if ((rc = vex_engine_alter(service->engine, collection, vex_str(NULL, 0), complete, &c, &call->err)) <
            0)
            return rc;
        config = vex_collection_config(collection);
        rc = vex_chroma_embedding(config, &params, &call->err);
        if (rc == 0)
            rc = check_dimension(w, params, &call->err);
    }
    vex_config_unref(config);
    return rc;
}

int vex_chroma_write_check(const struct vex_chroma_write *write, struct vex_err *err)
{
    int rc = check_counts(write, err);

    if (rc == 0)
        rc = check_vectors(&write->vectors, err);
    return rc < 0 ? rc : check_metadatas(&write->metadatas, err);
}

int vex_chroma_write_into(struct vex_service *service, struct vex_call *call,
                          struct vex_collection *collection, const struct vex_chroma_write *write)
{
    int rc = prepare(service, call, collection, write);

    if (rc < 0 || write->ids.count == 0)
        return rc;
    return vex_chroma_submit(call, collection, lower(&call->arena, write), NULL);
}

bool vex_chroma_write_waits(struct vex_collection *collection, const struct vex_chroma_write *write)
{
    struct vex_config *config = vex_collection_config(collection);
    const struct vex_vector_params *params;
    struct vex_err err;
    bool waits = vex_chroma_embedding(config, &params, &err) == 0 && wants_change(write, config, params);

    vex_config_unref(config);
    return waits;
}

static int write_records(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_write *w = call->request;
    struct vex_collection *collection;
    int rc = vex_chroma_write_check(w, &call->err);

    if (rc < 0 || (rc = vex_chroma_find(service, &w->path, &collection, &call->err)) < 0)
        return rc;
    rc = vex_chroma_write_into(service, call, collection, w);
    vex_collection_unref(collection);
    return rc;
}

#define WRITE(text, mode)                                                                                    \
    {                                                                                                        \
        "chroma/" text, VEX_RUN_##mode, VEX_ACCESS_WRITE, write_records, NULL                                \
    }

const struct vex_operation *vex_chroma_write_operation(struct vex_service *service,
                                                       const struct vex_chroma_write *request)
{
    static const struct vex_operation operations[3][2] = {
        [VEX_UPSERT] = {WRITE("upsert", SUBMIT), WRITE("upsert", BLOCKING)},
        [VEX_INSERT_ONLY] = {WRITE("add", SUBMIT), WRITE("add", BLOCKING)},
        [VEX_UPDATE_ONLY] = {WRITE("update", SUBMIT), WRITE("update", BLOCKING)},
    };
    struct vex_collection *collection;
    struct vex_err err;
    bool waits = false;

    if (vex_chroma_find(service, &request->path, &collection, &err) == 0) {
        waits = vex_chroma_write_waits(collection, request);
        vex_collection_unref(collection);
    }
    return &operations[request->mode][waits];
}

/* ---- delete ---- */

static void lift_deleted(struct vex_call *call, const struct vex_op_result *results)
{
    struct vex_chroma_number *number = call->response;

    /* By ids alone the count is that of the ids sent, set before. */
    if (number->value == UINT64_MAX)
        number->value = results[0].affected;
}

static int lower_selector(struct vex_call *call, struct vex_collection *collection, struct vex_selector *ret)
{
    const struct vex_chroma_select *request = call->request;
    struct vex_config *config = vex_collection_config(collection);
    struct vex_chroma_config chroma;
    int rc;

    vex_chroma_config_read(config, &chroma);
    rc = vex_chroma_filter(&call->arena, &chroma, request->where, request->where_document, &ret->filter,
                           &call->err);
    vex_config_unref(config);
    if (rc < 0)
        return rc;
    ret->count = request->ids.count;
    ret->ids = VEX_ARENA_ARRAY(&call->arena, struct vex_id, ret->count + 1);
    for (uint32_t i = 0; i < ret->count; i++)
        ret->ids[i] = vex_id_from_text(request->ids.items[i]);
    ret->limit = request->has_limit ? request->limit : 0;
    if (ret->filter == NULL || !request->ids.given)
        return 0;
    /* Ids and a filter: both must hold. */
    struct vex_cond_list *must = &ret->filter->must;
    must->conds[must->count++] = (struct vex_cond){.kind = VEX_COND_HAS_ID, .ids = {ret->ids, ret->count}};
    return 0;
}

static int delete_records(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_select *request = call->request;
    struct vex_chroma_number *number = VEX_ARENA_NEW(&call->arena, struct vex_chroma_number);
    struct vex_op *op = VEX_ARENA_NEW(&call->arena, struct vex_op);
    bool filtered = request->where.at != NULL || request->where_document.at != NULL;
    struct vex_collection *collection;
    int rc;

    call->response = number;
    if (request->ids.given && request->ids.count == 0 && !filtered)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation error: ids, where: Either ids or where must be specified");
    if (request->has_limit && !filtered)
        return vex_err_set(
            &call->err, VEX_EBAD_INPUT,
            "Validation error: limit, where: limit can only be specified when a where clause is provided");
    if ((rc = vex_chroma_find(service, &request->path, &collection, &call->err)) < 0)
        return rc;
    op->kind = VEX_OP_DELETE;
    rc = lower_selector(call, collection, &op->remove);
    bool nothing = (!filtered && !request->ids.given) || (request->has_limit && request->limit == 0);
    if (rc == 0 && !nothing) {
        number->value = filtered ? UINT64_MAX : request->ids.count;
        rc = vex_chroma_submit(call, collection, op, lift_deleted);
    }
    vex_collection_unref(collection);
    return rc;
}

const struct vex_operation vex_chroma_delete = {"chroma/delete", VEX_RUN_SUBMIT, VEX_ACCESS_WRITE,
                                                delete_records, NULL};
