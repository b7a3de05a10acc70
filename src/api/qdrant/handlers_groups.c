/* Handlers of grouped searches and queries. Their messages hold a plain search or query with a few fields more, so that part is
 * rewritten as one and lowered as such. */
#include "api/qdrant/legacy.h"
#include "api/qdrant/read.h"
#include "api/qdrant/search.h"

#define GROUPS_DEFAULT 10
#define SIZE_DEFAULT   3

struct groups_read {
    struct vex_qread base;
    struct vex_stage stage;
    struct vex_groups groups;
};

/* What both messages say about groups. */
struct source {
    const char *collection_name, *group_by;
    const Qdrant__WithLookup *lookup;
    bool has_timeout, is_query;
    uint64_t timeout, limit, size;
    const Qdrant__Filter *filter;
    const Qdrant__SearchParams *params;
    Qdrant__QueryPoints plain; /* is_query */
};

static int lower_search(struct vex_call *call, struct source *ret, struct vex_stage *stage)
{
    const Qdrant__SearchPointGroups *in = call->request;
    Qdrant__SearchPoints plain = QDRANT__SEARCH_POINTS__INIT;

    *ret = (struct source){.collection_name = in->collection_name,
                           .group_by = in->group_by,
                           .lookup = in->with_lookup,
                           .has_timeout = in->has_timeout,
                           .timeout = in->timeout,
                           .limit = in->limit,
                           .size = in->group_size,
                           .filter = in->filter,
                           .params = in->params};
    plain.n_vector = in->n_vector;
    plain.vector = in->vector;
    plain.filter = in->filter;
    plain.limit = in->limit;
    plain.with_payload = in->with_payload;
    plain.params = in->params;
    plain.has_score_threshold = in->has_score_threshold;
    plain.score_threshold = in->score_threshold;
    plain.vector_name = in->vector_name;
    plain.with_vectors = in->with_vectors;
    plain.sparse_indices = in->sparse_indices;
    return vex_lower_search(call, &plain, stage);
}

static bool has_candidates(const Qdrant__Query *query)
{
    return query->nearest_with_mmr->mmr != NULL && query->nearest_with_mmr->mmr->has_candidates_limit;
}

/* A limit that nobody gave is that of the answer, which groups have not. */
static void widen_mmr(const Qdrant__Query *query, struct vex_stage *stage)
{
    if (stage->kind == VEX_STAGE_MMR && !has_candidates(query))
        stage->candidates = VEX_MMR_CANDIDATES_MAX;
}

/* Prefetches have to find all that might belong to a group. */
static void widen(Qdrant__PrefetchQuery *const *prefetch, struct vex_stage *stage)
{
    for (uint32_t i = 0; i < stage->prefetch_count; i++) {
        stage->prefetch[i].nearest.limit = UINT64_MAX;
        widen_mmr(prefetch[i]->query, &stage->prefetch[i]);
        widen(prefetch[i]->prefetch, &stage->prefetch[i]);
    }
}

static int lower_query(struct vex_call *call, const Qdrant__QueryPointGroups *in, struct source *ret,
                       struct vex_stage *stage)
{
    Qdrant__QueryPoints *plain = &ret->plain;
    int code;

    *ret = (struct source){.collection_name = in->collection_name,
                           .group_by = in->group_by,
                           .lookup = in->with_lookup,
                           .has_timeout = in->has_timeout,
                           .is_query = true,
                           .timeout = in->timeout,
                           .limit = in->has_limit ? in->limit : GROUPS_DEFAULT,
                           .size = in->has_group_size ? in->group_size : SIZE_DEFAULT,
                           .filter = in->filter,
                           .params = in->params};
    qdrant__query_points__init(plain);
    plain->n_prefetch = in->n_prefetch;
    plain->prefetch = in->prefetch;
    plain->query = in->query;
    plain->using_ = in->using_;
    plain->filter = in->filter;
    plain->params = in->params;
    plain->has_score_threshold = in->has_score_threshold;
    plain->score_threshold = in->score_threshold;
    plain->with_payload = in->with_payload;
    plain->with_vectors = in->with_vectors;
    plain->lookup_from = in->lookup_from;
    code = vex_lower_query(call, plain, stage);
    if (code < 0)
        return code;
    widen_mmr(in->query, stage);
    widen(in->prefetch, stage);
    return 0;
}

static int lower_any(struct vex_call *call, struct source *ret, struct vex_stage *stage)
{
    const ProtobufCMessage *request = call->request;
    const Qdrant__QueryPointGroups *query = call->request;

    if (request->descriptor == &qdrant__search_point_groups__descriptor)
        return lower_search(call, ret, stage);
    if (request->descriptor == &qdrant__recommend_point_groups__descriptor)
        query = vex_legacy_recommend_groups(call, call->request);
    return query == NULL ? call->err.code : lower_query(call, query, ret, stage);
}

static int lower_lookup(struct vex_call *call, const Qdrant__WithLookup *in, struct groups_read *read)
{
    struct vex_groups *g = &read->groups;
    int code;

    if (in == NULL)
        return 0;
    if ((code = vex_lower_with_payload(call, in->with_payload, true, &g->lookup_payload)) < 0 ||
        (code = vex_lower_with_vectors(call, in->with_vectors, &g->lookup_vectors)) < 0)
        return code;
    code = vex_qdrant_find(call, in->collection, &read->base.lookup);
    if (code < 0)
        read->base.lookup = NULL;
    if (code == VEX_ENOT_FOUND)
        return vex_err_set(&call->err, VEX_ENOT_FOUND, "Collection %.900s not found",
                           in->collection != NULL ? in->collection : "");
    g->lookup = read->base.lookup;
    return code;
}

static int check_strict(struct vex_call *call, const struct groups_read *read, const struct source *in)
{
    struct vex_strict_read question = {.has_limit = true,
                                       .filter = in->filter,
                                       .params = in->params,
                                       .group_by = in->group_by,
                                       .using = read->stage.nearest.using};
    struct vex_strict strict;
    uint64_t tokens = 0;
    int code = vex_strict_open(call, read->base.collection, &strict);

    if (strict.limits == NULL)
        return code;
    if (__builtin_mul_overflow(in->limit, in->size, &question.limit))
        question.limit = UINT64_MAX;
    if ((code = vex_strict_timeout(call, &strict, in->has_timeout, in->timeout)) == 0 &&
        (code = in->is_query ? vex_search_strict(call, &strict, &in->plain, &question)
                             : vex_strict_read(call, &strict, &question)) == 0 &&
        strict.limits->has_read_rate_limit &&
        (code = vex_search_tokens(call, read->base.collection, &read->stage, &tokens)) == 0)
        code = vex_strict_consume(call, &strict, VEX_RATE_READ, tokens);
    vex_strict_done(&strict);
    return code;
}

static int lower_groups(struct vex_call *call, void *state)
{
    struct groups_read *read = state;
    struct vex_groups *g = &read->groups;
    struct source in;
    int code;

    if ((code = lower_any(call, &in, &read->stage)) < 0 ||
        (code = vex_lower_path(call, in.group_by, &g->by)) < 0 ||
        (code = vex_qread_begin(call, &read->base, in.collection_name, in.has_timeout, in.timeout)) < 0 ||
        (code = check_strict(call, read, &in)) < 0 || (code = lower_lookup(call, in.lookup, read)) < 0)
        return code;
    g->stage = &read->stage;
    g->limit = in.limit;
    g->size = in.size;
    return 0;
}

uint64_t vex_qdrant_cost_groups(struct vex_service *service, struct vex_call *call)
{
    struct groups_read *read = vex_qread_lowered(call, sizeof *read, lower_groups);

    (void)service;
    return read->base.code < 0 ? 0 : 2 * vex_search_cost(call, read->base.collection, &read->stage, 1);
}

static Qdrant__GroupId *lift_group_id(struct vex_call *call, struct vex_value id)
{
    Qdrant__GroupId *out = VEX_MESSAGE(call, Qdrant__GroupId, qdrant__group_id__descriptor);
    struct vex_str text;

    switch (vex_value_kind(id)) {
    case VEX_VALUE_TEXT:
        text = vex_value_text(id);
        out->kind_case = QDRANT__GROUP_ID__KIND_STRING_VALUE;
        out->string_value = vex_arena_strndup(&call->arena, text.ptr, text.len);
        return out;
    case VEX_VALUE_UINT:
        out->kind_case = QDRANT__GROUP_ID__KIND_UNSIGNED_VALUE;
        out->unsigned_value = vex_value_uint(id);
        return out;
    default:
        if (vex_value_int(id) >= 0) {
            out->kind_case = QDRANT__GROUP_ID__KIND_UNSIGNED_VALUE;
            out->unsigned_value = (uint64_t)vex_value_int(id);
        } else {
            out->kind_case = QDRANT__GROUP_ID__KIND_INTEGER_VALUE;
            out->integer_value = vex_value_int(id);
        }
        return out;
    }
}

static Qdrant__PointGroup *lift_group(struct vex_call *call, const struct groups_read *read,
                                      struct vex_group *group)
{
    Qdrant__PointGroup *out = VEX_MESSAGE(call, Qdrant__PointGroup, qdrant__point_group__descriptor);

    out->id = lift_group_id(call, group->id);
    vex_lift_scored(call, &group->hits, read->stage.nearest.vectors.kind != VEX_VECTORS_NONE, &out->base, 2);
    if (group->has_lookup) {
        struct vex_hits one = {.hits = &group->lookup, .count = 1};

        vex_lift_retrieved(call, &one, read->groups.lookup_vectors.kind != VEX_VECTORS_NONE, &out->base, 3);
    }
    return out;
}

int vex_qdrant_groups(struct vex_service *service, struct vex_call *call)
{
    struct groups_read *read = vex_qread_lowered(call, sizeof *read, lower_groups);
    struct vex_read_context context = vex_qread_context(call, &read->base);
    /* Both responses begin alike. */
    Qdrant__QueryGroupsResponse *out = call->response;
    struct vex_group *groups = NULL;
    size_t count = 0;
    int code = read->base.code;

    (void)service;
    if (code == 0)
        code = vex_read_groups(read->base.collection, &read->groups, &context, &groups, &count, &call->err);
    if (code < 0)
        return code;
    out->result = VEX_MESSAGE(call, Qdrant__GroupsResult, qdrant__groups_result__descriptor);
    out->result->n_groups = count;
    out->result->groups = VEX_ARENA_ARRAY(&call->arena, Qdrant__PointGroup *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->result->groups[i] = lift_group(call, read, &groups[i]);
    return 0;
}

_Static_assert(sizeof(Qdrant__QueryGroupsResponse) == sizeof(Qdrant__SearchGroupsResponse) &&
                   offsetof(Qdrant__QueryGroupsResponse, result) ==
                       offsetof(Qdrant__SearchGroupsResponse, result),
               "responses of groups are alike");
