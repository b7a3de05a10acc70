/* Reads of the Chroma dialect: get, query, count, indexing status. */
#include "api/chroma/internal.h"

#include <math.h>
#include <stdlib.h>

#define QUERY_RESULTS 10
#define POINT_NS      1500 /* a point with its document and metadata, from memory */
#define POINTS_MAX    1000000u

static const unsigned get_includes = VEX_INCLUDE_DOCUMENTS | VEX_INCLUDE_METADATAS;

/* What both kinds of reads share. */
struct selection {
    struct vex_collection *collection;
    struct vex_config *config;
    const struct vex_vector_params *params;
    struct vex_filter *filter;
    struct vex_id *ids;
    struct vex_payload_selector payload;
    struct vex_vector_selector vectors;
    struct vex_chroma_answer *answer;
};

static void select_done(struct selection *s)
{
    vex_config_unref(s->config);
    vex_collection_unref(s->collection);
}

static void select_parts(struct vex_arena *arena, unsigned include, struct selection *s)
{
    unsigned texts = VEX_INCLUDE_DOCUMENTS | VEX_INCLUDE_URIS;

    if ((include & VEX_INCLUDE_METADATAS) != 0) {
        s->payload.kind = VEX_PAYLOAD_ALL;
    } else if ((include & texts) != 0) {
        struct vex_path *paths = VEX_ARENA_ARRAY(arena, struct vex_path, 2);
        paths[0] = vex_path_key(arena, VEX_STR(VEX_CHROMA_DOCUMENT));
        paths[1] = vex_path_key(arena, VEX_STR(VEX_CHROMA_URI));
        s->payload = (struct vex_payload_selector){.kind = VEX_PAYLOAD_INCLUDE, .paths = paths, .count = 2};
    } else {
        s->payload.kind = VEX_PAYLOAD_NONE;
    }
    if ((include & VEX_INCLUDE_EMBEDDINGS) != 0 && s->params != NULL) {
        s->vectors.kind = VEX_VECTORS_NAMED;
        s->vectors.names = VEX_ARENA_NEW(arena, struct vex_str);
        s->vectors.names[0] = VEX_STR("");
        s->vectors.count = 1;
    }
}

static int select_init(struct vex_service *service, struct vex_call *call, unsigned includes,
                       struct selection *s)
{
    const struct vex_chroma_select *request = call->request;
    struct vex_arena *arena = &call->arena;
    struct vex_chroma_config chroma;
    int rc;

    *s = (struct selection){0};
    if ((rc = vex_chroma_find(service, &request->path, &s->collection, &call->err)) < 0)
        return rc;
    s->config = vex_collection_config(s->collection);
    s->params = vex_config_vector(s->config, VEX_STR(""));
    if (s->params != NULL && s->params->kind != VEX_VECTOR_DENSE)
        s->params = NULL;
    vex_chroma_config_read(s->config, &chroma);
    if ((rc = vex_chroma_filter(arena, &chroma, request->where, request->where_document, &s->filter,
                                &call->err)) < 0) {
        select_done(s);
        return rc;
    }
    s->ids = VEX_ARENA_ARRAY(arena, struct vex_id, request->ids.count + 1);
    for (uint32_t i = 0; i < request->ids.count; i++)
        s->ids[i] = vex_id_from_text(request->ids.items[i]);
    s->answer = VEX_ARENA_NEW(arena, struct vex_chroma_answer);
    s->answer->include = request->include;
    if (!request->include.given) {
        static const uint8_t order[] = {VEX_INCLUDE_DOCUMENTS, VEX_INCLUDE_METADATAS, VEX_INCLUDE_DISTANCES};
        s->answer->include.mask = includes;
        for (size_t i = 0; i < sizeof order; i++)
            if ((includes & order[i]) != 0)
                s->answer->include.items[s->answer->include.count++] = order[i];
    }
    select_parts(arena, s->answer->include.mask, s);
    call->response = s->answer;
    return 0;
}

static struct vex_read_context context_of(struct vex_call *call)
{
    return (struct vex_read_context){
        .arena = &call->arena, .cancelled = &call->cancelled, .deadline_ns = call->deadline_ns};
}

/* ---- get ---- */

static int get(struct vex_service *service, struct vex_call *call)
{
    static const struct vex_vector_params no_vector = {.distance = VEX_DISTANCE_L2};
    const struct vex_chroma_select *request = call->request;
    struct vex_read_context context = context_of(call);
    struct vex_hits hits = {0};
    struct vex_id next;
    struct selection s;
    bool more;
    int rc = select_init(service, call, get_includes, &s);

    if (rc < 0)
        return rc;
    struct vex_scroll scroll = {.filter = s.filter,
                                .ids = s.ids,
                                .id_count = request->ids.count,
                                .has_ids = request->ids.given,
                                .order = VEX_ORDER_BIRTH,
                                .skip = request->offset,
                                .limit = request->has_limit ? request->limit : UINT64_MAX,
                                .payload = s.payload,
                                .vectors = s.vectors};
    if (scroll.limit > 0)
        rc = vex_read_scroll(s.collection, &scroll, &context, &hits, &more, &next, &call->err);
    if (rc == 0) {
        s.answer->lists = VEX_ARENA_NEW(&call->arena, struct vex_chroma_hits);
        s.answer->list_count = 1;
        vex_chroma_lift_hits(&call->arena, s.params != NULL ? s.params : &no_vector, &hits, s.answer->lists);
    }
    select_done(&s);
    return rc;
}

static uint64_t cost_of_get(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_select *request = call->request;
    struct vex_collection *collection;
    struct vex_err err;
    uint64_t cost = 0;
    bool filtered = request->where.at != NULL || request->where_document.at != NULL;
    uint64_t points = request->ids.given ? request->ids.count : request->has_limit ? request->limit : 0;

    if (vex_chroma_find(service, &request->path, &collection, &err) == 0) {
        cost = vex_read_cost_scan(collection, filtered || (!request->has_limit && !request->ids.given));
        cost += (points < POINTS_MAX ? points : POINTS_MAX) * POINT_NS;
        vex_collection_unref(collection);
    }
    return cost;
}

/* ---- query ---- */

static int check_queries(const struct vex_chroma_vectors *queries, const struct vex_vector_params *params,
                         struct vex_err *err)
{
    for (uint32_t i = 0; i < queries->count; i++) {
        const struct vex_chroma_vector *q = &queries->items[i];
        if (q->count == 0)
            return vex_err_set(
                err, VEX_EBAD_INPUT,
                "Validation error: query_embeddings: Each embedding must have at least 1 dimension");
        for (uint32_t j = 0; j < q->count; j++)
            if (!isfinite(q->values[j]))
                return vex_err_set(err, VEX_EBAD_INPUT,
                                   "Validation error: query_embeddings: Embeddings must not contain "
                                   "NaN or Infinity values");
        if (params->size != 0 && q->count != params->size)
            return vex_err_set(err, VEX_EBAD_INPUT,
                               "Collection expecting embedding with dimension of %u, got %u", params->size,
                               q->count);
    }
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return vex_id_cmp(a, b);
}

/* Every id that a query is restricted to must exist. */
static int check_ids(struct vex_call *call, const struct selection *s, uint32_t count)
{
    struct vex_read_context context = context_of(call);
    struct vex_retrieve retrieve = {.ids = s->ids, .count = count};
    struct vex_hits hits;
    int rc;

    if (count == 0)
        return 0;
    if ((rc = vex_read_retrieve(s->collection, &retrieve, &context, &hits, &call->err)) < 0 ||
        hits.count == count)
        return rc;
    /* Some were repeated or are missing. */
    struct vex_id *found = VEX_ARENA_ARRAY(&call->arena, struct vex_id, hits.count + 1);
    for (size_t i = 0; i < hits.count; i++)
        found[i] = hits.hits[i].id;
    qsort(found, hits.count, sizeof *found, by_id);
    for (uint32_t i = 0; i < count; i++)
        if (bsearch(&s->ids[i], found, hits.count, sizeof *found, by_id) == NULL) {
            struct vex_str text = vex_id_text(&call->arena, &s->ids[i]);
            return vex_err_set(&call->err, VEX_EINTERNAL, "Error finding id: " VEX_STR_FMT,
                               VEX_STR_ARG(text));
        }
    return 0;
}

static int search(struct vex_call *call, struct selection *s)
{
    const struct vex_chroma_select *request = call->request;
    struct vex_read_context context = context_of(call);
    uint32_t n = request->queries.count;
    uint64_t limit = request->has_n_results ? request->n_results : QUERY_RESULTS;
    struct vex_nearest *nearest = VEX_ARENA_ARRAY(&call->arena, struct vex_nearest, n);
    struct vex_hits *hits = VEX_ARENA_ARRAY(&call->arena, struct vex_hits, n);
    int rc;

    for (uint32_t i = 0; i < n; i++)
        nearest[i] = (struct vex_nearest){.using = VEX_STR(""),
                                          .query = {.name = VEX_STR(""),
                                                    .kind = VEX_VECTOR_DENSE,
                                                    .values = request->queries.items[i].values,
                                                    .count = request->queries.items[i].count},
                                          .filter = s->filter,
                                          .ids = s->ids,
                                          .id_count = request->ids.count,
                                          .has_ids = request->ids.given,
                                          .limit = limit,
                                          .payload = s->payload,
                                          .vectors = s->vectors};
    if (n > 0 && limit > 0 && s->params->size != 0 &&
        (rc = vex_read_nearest(s->collection, nearest, n, &context, hits, &call->err)) < 0)
        return rc;
    s->answer->lists = VEX_ARENA_ARRAY(&call->arena, struct vex_chroma_hits, n);
    s->answer->list_count = n;
    for (uint32_t i = 0; i < n; i++)
        vex_chroma_lift_hits(&call->arena, s->params, &hits[i], &s->answer->lists[i]);
    return 0;
}

static int query(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_select *request = call->request;
    struct selection s;
    int rc = select_init(service, call, get_includes | VEX_INCLUDE_DISTANCES, &s);

    if (rc < 0)
        return rc;
    s.answer->nested = true;
    rc = vex_chroma_embedding(s.config, &s.params, &call->err);
    if (rc == 0 && s.params->distance == VEX_DISTANCE_L1)
        rc = vex_err_set(&call->err, VEX_EBAD_INPUT,
                         "The collection measures Manhattan distance, which Chroma has no space for");
    if (rc == 0)
        rc = check_queries(&request->queries, s.params, &call->err);
    if (rc == 0)
        rc = check_ids(call, &s, request->ids.count);
    if (rc == 0)
        rc = search(call, &s);
    select_done(&s);
    return rc;
}

static uint64_t cost_of_query(struct vex_service *service, struct vex_call *call)
{
    const struct vex_chroma_select *request = call->request;
    struct vex_nearest nearest = {.using = VEX_STR(""),
                                  .has_ids = request->ids.given,
                                  .id_count = request->ids.count,
                                  .limit = request->has_n_results ? request->n_results : QUERY_RESULTS};
    struct vex_filter filter = {0};
    struct vex_collection *collection;
    struct vex_err err;
    uint64_t cost = 0;

    if (request->queries.count == 0 || vex_chroma_find(service, &request->path, &collection, &err) < 0)
        return 0;
    if (request->where.at != NULL || request->where_document.at != NULL)
        nearest.filter = &filter;
    nearest.query = (struct vex_vector_value){.kind = VEX_VECTOR_DENSE,
                                              .values = request->queries.items[0].values,
                                              .count = request->queries.items[0].count};
    cost = vex_read_cost_nearest(collection, &nearest, 1);
    vex_collection_unref(collection);
    return cost > UINT64_MAX / request->queries.count ? UINT64_MAX : cost * request->queries.count;
}

/* ---- counts ---- */

static int count(struct vex_service *service, struct vex_call *call)
{
    struct vex_chroma_number *number = VEX_ARENA_NEW(&call->arena, struct vex_chroma_number);
    struct vex_read_context context = context_of(call);
    struct vex_collection *collection;
    int rc = vex_chroma_find(service, call->request, &collection, &call->err);

    if (rc < 0)
        return rc;
    call->response = number;
    rc = vex_read_count(collection, NULL, &context, &number->value, &call->err);
    vex_collection_unref(collection);
    return rc;
}

static int indexing_status(struct vex_service *service, struct vex_call *call)
{
    struct vex_chroma_status *status = VEX_ARENA_NEW(&call->arena, struct vex_chroma_status);
    struct vex_collection_stats stats;
    struct vex_collection *collection;
    int rc = vex_chroma_find(service, call->request, &collection, &call->err);

    if (rc < 0)
        return rc;
    call->response = status;
    rc = vex_collection_stats(collection, &stats, &call->err);
    if (rc == 0)
        *status = (struct vex_chroma_status){.indexed = stats.points, .unindexed = stats.queued};
    vex_collection_unref(collection);
    return rc;
}

const struct vex_operation vex_chroma_get = {"chroma/get", VEX_RUN_READ, VEX_ACCESS_READ, get, cost_of_get};
const struct vex_operation vex_chroma_query = {"chroma/query", VEX_RUN_READ, VEX_ACCESS_READ, query,
                                               cost_of_query};
const struct vex_operation vex_chroma_count = {"chroma/count", VEX_RUN_READ, VEX_ACCESS_READ, count, NULL};
const struct vex_operation vex_chroma_indexing_status = {"chroma/indexing_status", VEX_RUN_READ,
                                                         VEX_ACCESS_READ, indexing_status, NULL};
