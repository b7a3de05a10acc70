/* Handlers of reads: get, scroll, count, search, query. Each is lowered once, by its cost function when it
 * has run, and then answered on whatever thread the service chose. */
#include "api/qdrant/qdrant.h"

/* A read between lowering and answering; lives in the call's arena as call->state. */
struct read {
    int code; /* of the lowering */
    struct vex_collection *collection;
    uint64_t deadline_ns;
    union {
        struct vex_retrieve retrieve;
        struct vex_scroll scroll;
        struct vex_filter *filter;
        struct {
            struct vex_lowered_query *list;
            uint32_t count;
        } queries;
    };
};

#define SCROLL_LIMIT_DEFAULT 10

static struct vex_read_context context_of(struct vex_call *call, const struct read *read)
{
    return (struct vex_read_context){
        .arena = &call->arena, .cancelled = &call->cancelled, .deadline_ns = read->deadline_ns};
}

/* The earlier of the client's deadline and the request's own bound. */
static uint64_t deadline_of(const struct vex_call *call, bool has_timeout, uint64_t seconds)
{
    uint64_t own = has_timeout && seconds < UINT32_MAX ? call->started_ns + seconds * 1000000000u : 0;

    if (own == 0 || (call->deadline_ns != 0 && call->deadline_ns < own))
        return call->deadline_ns;
    return own;
}

static void release(struct vex_call *call)
{
    struct read *read = call->state;

    vex_collection_unref(read->collection);
}

/* Lowers unless the cost function has done so. */
static struct read *lowered(struct vex_call *call, int (*lower)(struct vex_call *call, struct read *read))
{
    struct read *read = call->state;

    if (read != NULL)
        return read;
    call->state = read = VEX_ARENA_NEW(&call->arena, struct read);
    call->cleanup = release;
    read->code = lower(call, read);
    return read;
}

static int begin(struct vex_call *call, struct read *read, const char *collection_name, bool has_timeout,
                 uint64_t timeout, bool has_limit, uint64_t limit)
{
    struct vex_strict_question question = {
        .has_limit = has_limit, .limit = limit, .has_timeout = has_timeout, .timeout = timeout};
    int code = vex_qdrant_find(call, collection_name, &read->collection);

    if (code < 0) {
        read->collection = NULL;
        return code;
    }
    read->deadline_ns = deadline_of(call, has_timeout, timeout);
    return vex_strict_check(call, read->collection, &question);
}

/* ---- get ---- */

static int lower_get(struct vex_call *call, struct read *read)
{
    const Qdrant__GetPoints *in = call->request;
    struct vex_id *ids;
    int code;

    if ((code = vex_lower_ids(call, in->ids, in->n_ids, &ids)) < 0 ||
        (code = vex_lower_with_payload(call, in->with_payload, true, &read->retrieve.payload)) < 0 ||
        (code = vex_lower_with_vectors(call, in->with_vectors, &read->retrieve.vectors)) < 0)
        return code;
    read->retrieve.ids = ids;
    read->retrieve.count = (uint32_t)in->n_ids;
    return begin(call, read, in->collection_name, in->has_timeout, in->timeout, false, 0);
}

#define GET_POINT_NS 1500 /* a point with its payload, from memory */

uint64_t vex_qdrant_cost_get_points(struct vex_service *service, struct vex_call *call)
{
    const Qdrant__GetPoints *in = call->request;

    (void)service;
    return in->n_ids * GET_POINT_NS;
}

int vex_qdrant_get_points(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_get);
    struct vex_read_context context = context_of(call, read);
    Qdrant__GetResponse *out = call->response;
    struct vex_hits hits = {0};
    int code = read->code;

    (void)service;
    if (code == 0)
        code = vex_read_retrieve(read->collection, &read->retrieve, &context, &hits, &call->err);
    if (code < 0)
        return code;
    out->n_result = hits.count;
    out->result = vex_lift_retrieved(call, &hits, read->retrieve.vectors.kind != VEX_VECTORS_NONE);
    return 0;
}

/* ---- scroll ---- */

static int lower_scroll(struct vex_call *call, struct read *read)
{
    const Qdrant__ScrollPoints *in = call->request;
    uint64_t limit = in->has_limit ? in->limit : SCROLL_LIMIT_DEFAULT;
    struct vex_scroll *s = &read->scroll;
    int code;

    if (in->order_by != NULL)
        return vex_qdrant_unbuilt_part(call, "order_by");
    if ((code = vex_lower_filter(call, in->filter, &s->filter)) < 0 ||
        (code = vex_lower_with_payload(call, in->with_payload, true, &s->payload)) < 0 ||
        (code = vex_lower_with_vectors(call, in->with_vectors, &s->vectors)) < 0)
        return code;
    s->order = VEX_ORDER_ID;
    s->limit = limit;
    if (in->offset != NULL) {
        struct vex_id *offset = VEX_ARENA_NEW(&call->arena, struct vex_id);

        /* An offset may be an id of another dialect: it came from the page before. */
        if (in->offset->point_id_options_case == QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID)
            *offset = vex_id_from_text(vex_str_c(in->offset->uuid));
        else if ((code = vex_lower_id(call, in->offset, offset)) < 0)
            return code;
        if (offset->kind != VEX_ID_UUID &&
            in->offset->point_id_options_case == QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID)
            vex_id_from_uuid_text(vex_str_c(in->offset->uuid), offset);
        s->offset = offset;
    }
    return begin(call, read, in->collection_name, in->has_timeout, in->timeout, true, limit);
}

uint64_t vex_qdrant_cost_scroll(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_scroll);
    uint64_t points;

    (void)service;
    if (read->code < 0)
        return 0;
    points = read->scroll.limit < 1000000 ? read->scroll.limit * GET_POINT_NS : UINT32_MAX;
    return read->scroll.filter != NULL ? vex_read_cost_scan(read->collection, true) : points;
}

int vex_qdrant_scroll(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_scroll);
    struct vex_read_context context = context_of(call, read);
    Qdrant__ScrollResponse *out = call->response;
    struct vex_hits hits = {0};
    struct vex_id next;
    bool has_next = false;
    int code = read->code;

    (void)service;
    if (code == 0)
        code =
            vex_read_scroll(read->collection, &read->scroll, &context, &hits, &has_next, &next, &call->err);
    if (code < 0)
        return code;
    out->n_result = hits.count;
    out->result = vex_lift_retrieved(call, &hits, read->scroll.vectors.kind != VEX_VECTORS_NONE);
    if (has_next)
        out->next_page_offset = vex_lift_id(call, &next);
    return 0;
}

/* ---- count ---- */

static int lower_count(struct vex_call *call, struct read *read)
{
    const Qdrant__CountPoints *in = call->request;
    int code = vex_lower_filter(call, in->filter, &read->filter);

    return code < 0 ? code : begin(call, read, in->collection_name, in->has_timeout, in->timeout, false, 0);
}

uint64_t vex_qdrant_cost_count(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_count);

    (void)service;
    return read->code < 0 || read->filter == NULL ? 0 : vex_read_cost_scan(read->collection, true);
}

int vex_qdrant_count(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_count);
    struct vex_read_context context = context_of(call, read);
    Qdrant__CountResponse *out = call->response;
    uint64_t count = 0;
    int code = read->code;

    (void)service;
    if (code == 0)
        code = vex_read_count(read->collection, read->filter, &context, &count, &call->err);
    if (code < 0)
        return code;
    out->result = VEX_MESSAGE(call, Qdrant__CountResult, qdrant__count_result__descriptor);
    out->result->has_count = true;
    out->result->count = count;
    return 0;
}

/* ---- search and query ---- */

static int strict_params(struct vex_call *call, struct vex_collection *collection,
                         const struct vex_lowered_query *query)
{
    const struct vex_nearest *n = &query->nearest;
    struct vex_strict_question question = {.has_limit = true,
                                           .limit = n->limit,
                                           .has_ef = n->ef != 0,
                                           .ef = n->ef,
                                           .has_exact = n->exact,
                                           .exact = n->exact};

    return vex_strict_check(call, collection, &question);
}

static int strict_batch(struct vex_call *call, struct vex_collection *collection, size_t count)
{
    struct vex_strict_question question = {.has_batch = true, .batch = count};

    return vex_strict_check(call, collection, &question);
}

static int room_for(struct vex_call *call, struct read *read, size_t count)
{
    read->queries.list = vex_arena_try(&call->arena, (count + 1) * sizeof *read->queries.list);
    read->queries.count = (uint32_t)count;
    if (read->queries.list == NULL || count > UINT32_MAX)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many queries in one request");
    return 0;
}

static int lower_search(struct vex_call *call, struct read *read)
{
    const Qdrant__SearchPoints *in = call->request;
    int code;

    if ((code = room_for(call, read, 1)) < 0 || (code = vex_lower_search(call, in, read->queries.list)) < 0 ||
        (code = begin(call, read, in->collection_name, in->has_timeout, in->timeout, false, 0)) < 0)
        return code;
    return strict_params(call, read->collection, read->queries.list);
}

static int lower_search_batch(struct vex_call *call, struct read *read)
{
    const Qdrant__SearchBatchPoints *in = call->request;
    int code;

    if ((code = room_for(call, read, in->n_search_points)) < 0 ||
        (code = begin(call, read, in->collection_name, in->has_timeout, in->timeout, false, 0)) < 0 ||
        (code = strict_batch(call, read->collection, in->n_search_points)) < 0)
        return code;
    for (size_t i = 0; i < in->n_search_points; i++)
        if ((code = vex_lower_search(call, in->search_points[i], &read->queries.list[i])) < 0 ||
            (code = strict_params(call, read->collection, &read->queries.list[i])) < 0)
            return code;
    return 0;
}

static int lower_query(struct vex_call *call, struct read *read)
{
    const Qdrant__QueryPoints *in = call->request;
    int code;

    if ((code = room_for(call, read, 1)) < 0 || (code = vex_lower_query(call, in, read->queries.list)) < 0 ||
        (code = begin(call, read, in->collection_name, in->has_timeout, in->timeout, false, 0)) < 0)
        return code;
    return strict_params(call, read->collection, read->queries.list);
}

static int lower_query_batch(struct vex_call *call, struct read *read)
{
    const Qdrant__QueryBatchPoints *in = call->request;
    int code;

    if ((code = room_for(call, read, in->n_query_points)) < 0 ||
        (code = begin(call, read, in->collection_name, in->has_timeout, in->timeout, false, 0)) < 0 ||
        (code = strict_batch(call, read->collection, in->n_query_points)) < 0)
        return code;
    for (size_t i = 0; i < in->n_query_points; i++)
        if ((code = vex_lower_query(call, in->query_points[i], &read->queries.list[i])) < 0 ||
            (code = strict_params(call, read->collection, &read->queries.list[i])) < 0)
            return code;
    return 0;
}

static uint64_t cost_of_queries(struct vex_call *call, struct read *read)
{
    struct vex_nearest *requests;
    uint64_t cost = 0;
    uint32_t n = 0;

    if (read->code < 0)
        return 0;
    requests = VEX_ARENA_ARRAY(&call->arena, struct vex_nearest, read->queries.count + 1);
    for (uint32_t i = 0; i < read->queries.count; i++) {
        if (!read->queries.list[i].scroll)
            requests[n++] = read->queries.list[i].nearest;
        else
            cost +=
                read->queries.list[i].nearest.filter != NULL ? vex_read_cost_scan(read->collection, true) : 0;
    }
    return cost + (n != 0 ? vex_read_cost_nearest(read->collection, requests, n) : 0);
}

uint64_t vex_qdrant_cost_search(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return cost_of_queries(call, lowered(call, lower_search));
}

uint64_t vex_qdrant_cost_search_batch(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return cost_of_queries(call, lowered(call, lower_search_batch));
}

uint64_t vex_qdrant_cost_query(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return cost_of_queries(call, lowered(call, lower_query));
}

uint64_t vex_qdrant_cost_query_batch(struct vex_service *service, struct vex_call *call)
{
    (void)service;
    return cost_of_queries(call, lowered(call, lower_query_batch));
}

/* A query of nothing lists points in id order, with the score that the peer gives them. */
static int list_points(struct vex_call *call, struct read *read, const struct vex_nearest *n,
                       struct vex_hits *ret)
{
    struct vex_read_context context = context_of(call, read);
    struct vex_scroll scroll = {.filter = n->filter,
                                .order = VEX_ORDER_ID,
                                .skip = n->offset,
                                .limit = n->limit,
                                .payload = n->payload,
                                .vectors = n->vectors};
    struct vex_id next;
    bool has_next;
    int code = vex_read_scroll(read->collection, &scroll, &context, ret, &has_next, &next, &call->err);

    for (size_t i = 0; code == 0 && i < ret->count; i++) {
        ret->hits[i].score = 1;
        ret->hits[i].version = 0;
    }
    return code;
}

/* Runs of nearest queries go to the engine together, so that they see one version. */
static int answer_queries(struct vex_call *call, struct read *read, struct vex_hits *ret)
{
    struct vex_read_context context = context_of(call, read);
    struct vex_lowered_query *list = read->queries.list;
    uint32_t count = read->queries.count, i = 0;
    struct vex_nearest *requests = VEX_ARENA_ARRAY(&call->arena, struct vex_nearest, count + 1);

    while (i < count) {
        uint32_t n = 0;
        int code;

        if (list[i].scroll) {
            code = list_points(call, read, &list[i].nearest, &ret[i]);
            n = 1;
        } else {
            for (; i + n < count && !list[i + n].scroll; n++)
                requests[n] = list[i + n].nearest;
            code = vex_read_nearest(read->collection, requests, n, &context, &ret[i], &call->err);
        }
        if (code < 0)
            return code;
        i += n;
    }
    return 0;
}

static int run_queries(struct vex_call *call, struct read *read, struct vex_hits **ret)
{
    if (read->code < 0)
        return read->code;
    *ret = VEX_ARENA_ARRAY(&call->arena, struct vex_hits, read->queries.count + 1);
    return answer_queries(call, read, *ret);
}

static Qdrant__ScoredPoint **lift_one(struct vex_call *call, const struct read *read,
                                      const struct vex_hits *hits, uint32_t at)
{
    return vex_lift_scored(call, &hits[at], read->queries.list[at].nearest.vectors.kind != VEX_VECTORS_NONE);
}

static Qdrant__BatchResult **lift_batch(struct vex_call *call, const struct read *read,
                                        const struct vex_hits *hits)
{
    uint32_t count = read->queries.count;
    Qdrant__BatchResult **list = VEX_ARENA_ARRAY(&call->arena, Qdrant__BatchResult *, count + 1);

    for (uint32_t i = 0; i < count; i++) {
        list[i] = VEX_MESSAGE(call, Qdrant__BatchResult, qdrant__batch_result__descriptor);
        list[i]->n_result = hits[i].count;
        list[i]->result = lift_one(call, read, hits, i);
    }
    return list;
}

int vex_qdrant_search(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_search);
    Qdrant__SearchResponse *out = call->response;
    struct vex_hits *hits;
    int code = run_queries(call, read, &hits);

    (void)service;
    if (code < 0)
        return code;
    out->n_result = hits[0].count;
    out->result = lift_one(call, read, hits, 0);
    return 0;
}

int vex_qdrant_query(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_query);
    Qdrant__QueryResponse *out = call->response;
    struct vex_hits *hits;
    int code = run_queries(call, read, &hits);

    (void)service;
    if (code < 0)
        return code;
    out->n_result = hits[0].count;
    out->result = lift_one(call, read, hits, 0);
    return 0;
}

int vex_qdrant_search_batch(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_search_batch);
    Qdrant__SearchBatchResponse *out = call->response;
    struct vex_hits *hits;
    int code = run_queries(call, read, &hits);

    (void)service;
    if (code < 0)
        return code;
    out->n_result = read->queries.count;
    out->result = lift_batch(call, read, hits);
    return 0;
}

int vex_qdrant_query_batch(struct vex_service *service, struct vex_call *call)
{
    struct read *read = lowered(call, lower_query_batch);
    Qdrant__QueryBatchResponse *out = call->response;
    struct vex_hits *hits;
    int code = run_queries(call, read, &hits);

    (void)service;
    if (code < 0)
        return code;
    out->n_result = read->queries.count;
    out->result = lift_batch(call, read, hits);
    return 0;
}
