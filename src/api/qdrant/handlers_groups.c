/* Handlers of grouped searches and queries. Their messages hold a plain search or query with a few fields more, so that part is
 * rewritten as one and lowered as such. */
#include "api/qdrant/read.h"
#include "api/qdrant/search.h"

#define GROUPS_DEFAULT 10
#define SIZE_DEFAULT   3

struct groups_read {
    struct vex_qread base;
    struct vex_lowered_query query;
    struct vex_scroll scroll;
    struct vex_groups groups;
};

/* What both messages say about groups. */
struct source {
    const char *collection_name, *group_by;
    const Qdrant__WithLookup *lookup;
    bool has_timeout, older; /* older: a search */
    uint64_t timeout, limit, size;
    const Qdrant__Filter *filter;
    const Qdrant__SearchParams *params;
};

static int lower_search(struct vex_call *call, struct source *ret, struct vex_lowered_query *query)
{
    const Qdrant__SearchPointGroups *in = call->request;
    Qdrant__SearchPoints plain = QDRANT__SEARCH_POINTS__INIT;

    *ret = (struct source){.collection_name = in->collection_name,
                           .group_by = in->group_by,
                           .lookup = in->with_lookup,
                           .has_timeout = in->has_timeout,
                           .older = true,
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
    return vex_lower_search(call, &plain, query);
}

static int lower_query(struct vex_call *call, struct source *ret, struct vex_lowered_query *query)
{
    const Qdrant__QueryPointGroups *in = call->request;
    Qdrant__QueryPoints plain = QDRANT__QUERY_POINTS__INIT;

    *ret = (struct source){.collection_name = in->collection_name,
                           .group_by = in->group_by,
                           .lookup = in->with_lookup,
                           .has_timeout = in->has_timeout,
                           .timeout = in->timeout,
                           .limit = in->has_limit ? in->limit : GROUPS_DEFAULT,
                           .size = in->has_group_size ? in->group_size : SIZE_DEFAULT,
                           .filter = in->filter,
                           .params = in->params};
    plain.n_prefetch = in->n_prefetch;
    plain.prefetch = in->prefetch;
    plain.query = in->query;
    plain.using_ = in->using_;
    plain.filter = in->filter;
    plain.params = in->params;
    plain.has_score_threshold = in->has_score_threshold;
    plain.score_threshold = in->score_threshold;
    plain.with_payload = in->with_payload;
    plain.with_vectors = in->with_vectors;
    plain.lookup_from = in->lookup_from;
    return vex_lower_query(call, &plain, query);
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
                                       .vectors = !in->older && read->query.kind == VEX_QUERY_NEAREST,
                                       .using = read->query.nearest.using};
    struct vex_strict strict;
    uint64_t tokens = 0;
    int code = vex_strict_open(call, read->base.collection, &strict);

    if (strict.limits == NULL)
        return code;
    if (__builtin_mul_overflow(in->limit, in->size, &question.limit))
        question.limit = UINT64_MAX;
    if ((code = vex_strict_timeout(call, &strict, in->has_timeout, in->timeout)) == 0 &&
        (code = vex_strict_read(call, &strict, &question)) == 0 && strict.limits->has_read_rate_limit &&
        (code = vex_search_tokens(call, read->base.collection, &read->query, in->filter, &tokens)) == 0)
        code = vex_strict_consume(call, &strict, VEX_RATE_READ, tokens);
    vex_strict_done(&strict);
    return code;
}

static int lower_groups(struct vex_call *call, void *state)
{
    const ProtobufCMessage *request = call->request;
    struct groups_read *read = state;
    struct vex_groups *g = &read->groups;
    struct source in;
    int code;

    code = request->descriptor == &qdrant__search_point_groups__descriptor
               ? lower_search(call, &in, &read->query)
               : lower_query(call, &in, &read->query);
    if (code < 0 || (code = vex_lower_path(call, in.group_by, &g->by)) < 0 ||
        (code = vex_qread_begin(call, &read->base, in.collection_name, in.has_timeout, in.timeout)) < 0 ||
        (code = check_strict(call, read, &in)) < 0 || (code = lower_lookup(call, in.lookup, read)) < 0)
        return code;
    if (read->query.kind == VEX_QUERY_TEXT)
        return vex_qdrant_unbuilt_part(call, "text query in groups");
    g->nearest = read->query.nearest;
    g->limit = in.limit;
    g->size = in.size;
    if (read->query.kind != VEX_QUERY_NEAREST) {
        read->scroll = vex_lowered_scroll(&read->query);
        g->scroll = &read->scroll;
    }
    return 0;
}

uint64_t vex_qdrant_cost_groups(struct vex_service *service, struct vex_call *call)
{
    struct groups_read *read = vex_qread_lowered(call, sizeof *read, lower_groups);

    (void)service;
    return read->base.code < 0 ? 0 : 2 * vex_search_cost(call, read->base.collection, &read->query, 1);
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

    for (size_t i = 0; read->groups.scroll != NULL && i < group->hits.count; i++) {
        group->hits.hits[i].score = 1;
        group->hits.hits[i].version = 0;
    }
    out->id = lift_group_id(call, group->id);
    out->n_hits = group->hits.count;
    out->hits = vex_lift_scored(call, &group->hits, read->query.nearest.vectors.kind != VEX_VECTORS_NONE);
    if (group->has_lookup) {
        struct vex_hits one = {.hits = &group->lookup, .count = 1};

        out->lookup = *vex_lift_retrieved(call, &one, read->groups.lookup_vectors.kind != VEX_VECTORS_NONE);
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
