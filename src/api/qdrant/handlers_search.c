/* Handlers of searches and queries, single and batched: four requests and one way. They differ in the type of their messages
 * only, and in what a batch may hold. */
#include "api/qdrant/read.h"
#include "api/qdrant/search.h"

struct scored_read {
    struct vex_qread base;
    struct vex_lowered_query *list;
    uint32_t count;
};

/* A request's queries: of the older or the newer type, one or a list. */
struct source {
    const char *collection_name;
    bool has_timeout, batch;
    uint64_t timeout;
    size_t count;
    const Qdrant__SearchPoints *search;
    const Qdrant__QueryPoints *query;
    Qdrant__SearchPoints *const *searches;
    Qdrant__QueryPoints *const *queries;
};

#define COMMON(in, is_batch, n)                                                                              \
    .collection_name = (in)->collection_name, .has_timeout = (in)->has_timeout, .timeout = (in)->timeout,    \
    .batch = is_batch, .count = (n)

static struct source source_of(const struct vex_call *call)
{
    const ProtobufCMessage *request = call->request;
    const Qdrant__SearchPoints *search = call->request;
    const Qdrant__QueryPoints *query = call->request;
    const Qdrant__SearchBatchPoints *searches = call->request;
    const Qdrant__QueryBatchPoints *queries = call->request;

    if (request->descriptor == &qdrant__search_points__descriptor)
        return (struct source){COMMON(search, false, 1), .search = search};
    if (request->descriptor == &qdrant__query_points__descriptor)
        return (struct source){COMMON(query, false, 1), .query = query};
    if (request->descriptor == &qdrant__search_batch_points__descriptor)
        return (struct source){COMMON(searches, true, searches->n_search_points),
                               .searches = searches->search_points};
    return (struct source){COMMON(queries, true, queries->n_query_points), .queries = queries->query_points};
}

/* The i-th, when it is of the older type; else NULL. */
static const Qdrant__SearchPoints *search_at(const struct source *in, size_t i)
{
    return in->searches != NULL ? in->searches[i] : in->search;
}

static const Qdrant__QueryPoints *query_at(const struct source *in, size_t i)
{
    return in->queries != NULL ? in->queries[i] : in->query;
}

/* ---- lowering ---- */

static int lower_at(struct vex_call *call, const struct source *in, size_t i, struct vex_lowered_query *ret)
{
    const Qdrant__SearchPoints *search = search_at(in, i);

    return search != NULL ? vex_lower_search(call, search, ret) : vex_lower_query(call, query_at(in, i), ret);
}

static struct vex_strict_read question_at(const struct source *in, size_t i,
                                          const struct vex_lowered_query *q)
{
    const Qdrant__SearchPoints *search = search_at(in, i);
    const Qdrant__QueryPoints *query = query_at(in, i);

    return (struct vex_strict_read){.has_limit = true,
                                    .limit = q->nearest.limit,
                                    .filter = search != NULL ? search->filter : query->filter,
                                    .params = search != NULL ? search->params : query->params,
                                    .vectors = query != NULL && q->kind == VEX_QUERY_NEAREST,
                                    .using = q->nearest.using};
}

static int check_strict(struct vex_call *call, const struct scored_read *read, const struct source *in)
{
    struct vex_strict strict;
    uint64_t tokens = 0, more;
    int code = vex_strict_open(call, read->base.collection, &strict);

    if (strict.limits == NULL)
        return code;
    code = vex_strict_timeout(call, &strict, in->has_timeout, in->timeout);
    if (code == 0 && in->batch)
        code = vex_strict_batch(call, &strict, in->count);
    for (size_t i = 0; code == 0 && i < in->count; i++) {
        struct vex_strict_read question = question_at(in, i, &read->list[i]);

        code = vex_strict_read(call, &strict, &question);
        if (code == 0 && strict.limits->has_read_rate_limit) {
            code = vex_search_tokens(call, read->base.collection, &read->list[i], question.filter, &more);
            tokens += more;
        }
    }
    if (code == 0 && in->count != 0)
        code = vex_strict_consume(call, &strict, VEX_RATE_READ, tokens);
    vex_strict_done(&strict);
    return code;
}

static int lower_scored(struct vex_call *call, void *state)
{
    struct scored_read *read = state;
    struct source in = source_of(call);
    int code;

    read->list = vex_arena_try(&call->arena, (in.count + 1) * sizeof *read->list);
    read->count = (uint32_t)in.count;
    if (read->list == NULL || in.count > UINT32_MAX)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many queries in one request");
    for (size_t i = 0; i < in.count; i++)
        if ((code = lower_at(call, &in, i, &read->list[i])) < 0)
            return code;
    code = vex_qread_begin(call, &read->base, in.collection_name, in.has_timeout, in.timeout);
    return code < 0 ? code : check_strict(call, read, &in);
}

uint64_t vex_qdrant_cost_scored(struct vex_service *service, struct vex_call *call)
{
    struct scored_read *read = vex_qread_lowered(call, sizeof *read, lower_scored);

    (void)service;
    return read->base.code < 0 ? 0 : vex_search_cost(call, read->base.collection, read->list, read->count);
}

/* ---- answering ---- */

/* The peer looks all ids of a batch up before it runs any query, so an unknown id is told before other faults. */
static int find_ids(struct vex_call *call, const struct scored_read *read)
{
    struct vex_read_context context = vex_qread_context(call, &read->base);

    for (uint32_t i = 0; read->count > 1 && i < read->count; i++) {
        int code = vex_search_find_ids(call, read->base.collection, &read->list[i], &context);

        if (code < 0)
            return code;
    }
    return 0;
}

/* Runs of nearest queries go to the engine together, so that they see one version. */
static int answer_queries(struct vex_call *call, const struct scored_read *read, struct vex_hits *ret)
{
    struct vex_read_context context = vex_qread_context(call, &read->base);
    struct vex_nearest *requests = VEX_ARENA_ARRAY(&call->arena, struct vex_nearest, read->count + 1);
    const struct vex_lowered_query *list = read->list;
    int code = find_ids(call, read);

    for (uint32_t i = 0, n; code == 0 && i < read->count; i += n) {
        n = 1;
        if (list[i].kind != VEX_QUERY_NEAREST) {
            code = vex_search_list(call, read->base.collection, &list[i], &context, &ret[i]);
            continue;
        }
        requests[0] = list[i].nearest;
        for (; i + n < read->count && list[i + n].kind == VEX_QUERY_NEAREST; n++)
            requests[n] = list[i + n].nearest;
        code = vex_read_nearest(read->base.collection, requests, n, &context, &ret[i], &call->err);
    }
    return code;
}

static Qdrant__ScoredPoint **lift_at(struct vex_call *call, const struct scored_read *read,
                                     const struct vex_hits *hits, uint32_t at)
{
    return vex_lift_scored(call, &hits[at], read->list[at].nearest.vectors.kind != VEX_VECTORS_NONE);
}

/* Puts a list into the field `result`, which all of these responses have. */
static void put_result(struct vex_call *call, size_t count, void *list)
{
    ProtobufCMessage *response = call->response;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(response->descriptor, "result");

    *(size_t *)(void *)((char *)response + field->quantifier_offset) = count;
    *(void **)(void *)((char *)response + field->offset) = list;
}

static void lift_batch(struct vex_call *call, const struct scored_read *read, const struct vex_hits *hits)
{
    Qdrant__BatchResult **list = VEX_ARENA_ARRAY(&call->arena, Qdrant__BatchResult *, read->count + 1);

    for (uint32_t i = 0; i < read->count; i++) {
        list[i] = VEX_MESSAGE(call, Qdrant__BatchResult, qdrant__batch_result__descriptor);
        list[i]->n_result = hits[i].count;
        list[i]->result = lift_at(call, read, hits, i);
    }
    put_result(call, read->count, list);
}

int vex_qdrant_scored(struct vex_service *service, struct vex_call *call)
{
    struct scored_read *read = vex_qread_lowered(call, sizeof *read, lower_scored);
    struct vex_hits *hits;
    int code = read->base.code;

    (void)service;
    if (code < 0)
        return code;
    hits = VEX_ARENA_ARRAY(&call->arena, struct vex_hits, read->count + 1);
    code = answer_queries(call, read, hits);
    if (code < 0)
        return code;
    if (source_of(call).batch)
        lift_batch(call, read, hits);
    else
        put_result(call, hits[0].count, lift_at(call, read, hits, 0));
    return 0;
}
