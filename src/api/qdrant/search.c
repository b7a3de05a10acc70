/* Lowered queries: what they cost, which points they refer to, and the answer of those that compare no vectors. */
#include "api/qdrant/search.h"

#include "api/qdrant/strict.h"

uint64_t vex_search_cost(struct vex_call *call, struct vex_collection *collection,
                         const struct vex_lowered_query *list, uint32_t count)
{
    struct vex_nearest *requests = VEX_ARENA_ARRAY(&call->arena, struct vex_nearest, count + 1);
    uint64_t cost = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (list[i].kind == VEX_QUERY_NEAREST)
            requests[n++] = list[i].nearest;
        else if (list[i].kind != VEX_QUERY_LIST || list[i].nearest.filter != NULL)
            cost += vex_read_cost_scan(collection, true);
    }
    return cost + (n != 0 ? vex_read_cost_nearest(collection, requests, n) : 0);
}

/* Ids that the query looks up in its own collection. */
static uint32_t ids_of(struct vex_call *call, const struct vex_lowered_query *query, struct vex_id **ret)
{
    const struct vex_nearest *n = &query->nearest;
    uint32_t count = 0;

    *ret = VEX_ARENA_ARRAY(&call->arena, struct vex_id, (size_t)n->positive_count + n->negative_count + 1);
    if (query->kind != VEX_QUERY_NEAREST)
        return 0;
    if (n->id != NULL)
        (*ret)[count++] = *n->id;
    for (uint32_t i = 0; i < n->positive_count; i++)
        if (n->positive[i].id != NULL)
            (*ret)[count++] = *n->positive[i].id;
    for (uint32_t i = 0; i < n->negative_count; i++)
        if (n->negative[i].id != NULL)
            (*ret)[count++] = *n->negative[i].id;
    return count;
}

static uint64_t rows_of(const struct vex_vector_value *v)
{
    return v->kind == VEX_VECTOR_MULTI && v->rows != 0 ? v->rows : 1;
}

int vex_search_tokens(struct vex_call *call, struct vex_collection *collection,
                      const struct vex_lowered_query *query, const Qdrant__Filter *filter, uint64_t *ret)
{
    struct vex_read_context context = {.arena = &call->arena, .cancelled = &call->cancelled};
    struct vex_str using = query->nearest.using;
    struct vex_retrieve request = {.vectors = {.kind = VEX_VECTORS_NAMED, .names = &using, .count = 1}};
    struct vex_hits hits = {0};
    struct vex_id *ids;
    int code = 0;

    *ret = 1 + vex_strict_conditions(filter);
    if (query->kind != VEX_QUERY_NEAREST)
        return 0;
    request.count = ids_of(call, query, &ids);
    request.ids = ids;
    if (request.count != 0) {
        code = vex_read_retrieve(collection, &request, &context, &hits, &call->err);
        *ret += request.count; /* and one condition leaves the points out */
        for (size_t i = 0; query->nearest.id != NULL && i < hits.count && hits.hits[i].vector_count != 0; i++)
            *ret += rows_of(&hits.hits[i].vectors[0]);
    } else {
        *ret += rows_of(&query->nearest.query) - 1;
    }
    return code;
}

int vex_search_find_ids(struct vex_call *call, struct vex_collection *collection,
                        const struct vex_lowered_query *query, struct vex_read_context *context)
{
    struct vex_retrieve request = {0};
    struct vex_hits hits = {0};
    struct vex_id *ids;
    int code;

    request.count = ids_of(call, query, &ids);
    request.ids = ids;
    if (request.count == 0)
        return 0;
    code = vex_read_retrieve(collection, &request, context, &hits, &call->err);
    for (uint32_t i = 0; code == 0 && i < request.count; i++) {
        size_t at = 0;

        while (at < hits.count && !vex_id_eq(&hits.hits[at].id, &ids[i]))
            at++;
        if (at == hits.count) {
            struct vex_str text = vex_id_text(&call->arena, &ids[i]);

            code = vex_err_set(&call->err, VEX_ENOT_FOUND, "No point with id " VEX_STR_FMT " found",
                               VEX_STR_ARG(text));
        }
    }
    return code;
}

/* Points of a list have the score that the peer gives them, and no version. */
int vex_search_list(struct vex_call *call, struct vex_collection *collection,
                    const struct vex_lowered_query *query, struct vex_read_context *context,
                    struct vex_hits *ret)
{
    struct vex_scroll scroll = vex_lowered_scroll(query);
    struct vex_id next;
    bool has_next;
    int code;

    if (query->kind == VEX_QUERY_TEXT)
        return vex_read_text(collection, &query->text, context, ret, &call->err);
    code = vex_read_scroll(collection, &scroll, context, ret, &has_next, &next, &call->err);

    for (size_t i = 0; code == 0 && i < ret->count; i++) {
        ret->hits[i].score = 1;
        ret->hits[i].version = 0;
    }
    return code;
}
