/* Handlers of searches, recommendations, discoveries and queries, single and batched: eight requests and one way. They differ in the
 * type of their messages only, and in what a batch may hold; recommendations and discoveries are rewritten as queries. */
#include "api/qdrant/legacy.h"
#include "api/qdrant/read.h"
#include "api/qdrant/search.h"

struct scored_read {
    struct vex_qread base;
    struct vex_stage *list;
    const Qdrant__QueryPoints **queries; /* beside list; NULL: a search */
    uint32_t count;
};

/* A request's queries: of one of four types, one or a list. */
struct source {
    const char *collection_name;
    bool has_timeout, batch;
    uint64_t timeout;
    size_t count;
    const ProtobufCMessageDescriptor *type; /* of each */
    void *const *list;                      /* NULL: the request itself is it */
};

#define COMMON(in)                                                                                           \
    .collection_name = (in)->collection_name, .has_timeout = (in)->has_timeout, .timeout = (in)->timeout
#define BATCH(in, member, of)                                                                                \
    COMMON(in), .batch = true, .count = (in)->n_##member, .list = (void *const *)(in)->member,               \
                .type = &qdrant__##of##__descriptor

static struct source batch_of(const struct vex_call *call)
{
    const ProtobufCMessage *request = call->request;
    const Qdrant__SearchBatchPoints *searches = call->request;
    const Qdrant__RecommendBatchPoints *recommends = call->request;
    const Qdrant__DiscoverBatchPoints *discovers = call->request;
    const Qdrant__QueryBatchPoints *queries = call->request;

    if (request->descriptor == &qdrant__search_batch_points__descriptor)
        return (struct source){BATCH(searches, search_points, search_points)};
    if (request->descriptor == &qdrant__recommend_batch_points__descriptor)
        return (struct source){BATCH(recommends, recommend_points, recommend_points)};
    if (request->descriptor == &qdrant__discover_batch_points__descriptor)
        return (struct source){BATCH(discovers, discover_points, discover_points)};
    return (struct source){BATCH(queries, query_points, query_points)};
}

static struct source source_of(const struct vex_call *call)
{
    const ProtobufCMessage *request = call->request;
    const Qdrant__SearchPoints *search = call->request;
    const Qdrant__RecommendPoints *recommend = call->request;
    const Qdrant__DiscoverPoints *discover = call->request;
    const Qdrant__QueryPoints *query = call->request;

    if (request->descriptor == &qdrant__search_points__descriptor)
        return (struct source){COMMON(search), .count = 1, .type = request->descriptor};
    if (request->descriptor == &qdrant__recommend_points__descriptor)
        return (struct source){COMMON(recommend), .count = 1, .type = request->descriptor};
    if (request->descriptor == &qdrant__discover_points__descriptor)
        return (struct source){COMMON(discover), .count = 1, .type = request->descriptor};
    if (request->descriptor == &qdrant__query_points__descriptor)
        return (struct source){COMMON(query), .count = 1, .type = request->descriptor};
    return batch_of(call);
}

static const void *message_at(const struct vex_call *call, const struct source *in, size_t i)
{
    return in->list != NULL ? in->list[i] : call->request;
}

/* ---- lowering ---- */

/* A message as a query; NULL: err says what is wrong with it. */
static const Qdrant__QueryPoints *query_of(struct vex_call *call, const struct source *in,
                                           const void *message)
{
    if (in->type == &qdrant__recommend_points__descriptor)
        return vex_legacy_recommend(call, message);
    if (in->type == &qdrant__discover_points__descriptor)
        return vex_legacy_discover(call, message);
    return message;
}

static int lower_at(struct vex_call *call, const struct source *in, size_t i, struct scored_read *read)
{
    const void *message = message_at(call, in, i);

    if (in->type == &qdrant__search_points__descriptor)
        return vex_lower_search(call, message, &read->list[i]);
    read->queries[i] = query_of(call, in, message);
    return read->queries[i] == NULL ? call->err.code
                                    : vex_lower_query(call, read->queries[i], &read->list[i]);
}

static int check_one(struct vex_call *call, const struct vex_strict *strict, const struct scored_read *read,
                     const struct source *in, size_t i)
{
    const Qdrant__QueryPoints *query = read->queries[i];
    const Qdrant__SearchPoints *search = message_at(call, in, i);
    struct vex_strict_read question = {.has_limit = true,
                                       .limit = read->list[i].nearest.limit,
                                       .filter = query != NULL ? query->filter : search->filter,
                                       .params = query != NULL ? query->params : search->params,
                                       .using = read->list[i].nearest.using};

    return query != NULL ? vex_search_strict(call, strict, query, &question)
                         : vex_strict_read(call, strict, &question);
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
        code = check_one(call, &strict, read, in, i);
        if (code == 0 && strict.limits->has_read_rate_limit) {
            code = vex_search_tokens(call, read->base.collection, &read->list[i], &more);
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
    read->queries = vex_arena_try(&call->arena, (in.count + 1) * sizeof *read->queries);
    read->count = (uint32_t)in.count;
    if (read->list == NULL || read->queries == NULL || in.count > UINT32_MAX)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many queries in one request");
    memset(read->queries, 0, in.count * sizeof *read->queries);
    for (size_t i = 0; i < in.count; i++)
        if ((code = lower_at(call, &in, i, read)) < 0)
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

static int answer_queries(struct vex_call *call, const struct scored_read *read, struct vex_hits *ret)
{
    struct vex_read_context context = vex_qread_context(call, &read->base);
    int code = find_ids(call, read);

    return code < 0
               ? code
               : vex_read_query(read->base.collection, read->list, read->count, &context, ret, &call->err);
}

/* The list has the same number in all messages that hold one. */
static void lift_at(struct vex_call *call, const struct scored_read *read, const struct vex_hits *hits,
                    uint32_t at, ProtobufCMessage *message)
{
    vex_lift_scored(call, &hits[at], read->list[at].nearest.vectors.kind != VEX_VECTORS_NONE, message, 1);
}

/* The responses of batches are alike. */
static void lift_batch(struct vex_call *call, const struct scored_read *read, const struct vex_hits *hits)
{
    Qdrant__QueryBatchResponse *out = call->response;

    out->n_result = read->count;
    out->result = VEX_ARENA_ARRAY(&call->arena, Qdrant__BatchResult *, read->count + 1);
    for (uint32_t i = 0; i < read->count; i++) {
        out->result[i] = VEX_MESSAGE(call, Qdrant__BatchResult, qdrant__batch_result__descriptor);
        lift_at(call, read, hits, i, &out->result[i]->base);
    }
}

#define ALIKE(response)                                                                                      \
    _Static_assert(offsetof(response, result) == offsetof(Qdrant__QueryBatchResponse, result) &&             \
                       offsetof(response, n_result) == offsetof(Qdrant__QueryBatchResponse, n_result),       \
                   "responses of batches are alike")

ALIKE(Qdrant__SearchBatchResponse);
ALIKE(Qdrant__RecommendBatchResponse);
ALIKE(Qdrant__DiscoverBatchResponse);

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
        lift_at(call, read, hits, 0, call->response);
    return 0;
}
