/* Lowered queries: what they cost, which points they refer to, and what strict mode says to them. */
#include "api/qdrant/search.h"

#define PREFETCH_LIMIT_DEFAULT 10
#define COST_MAX               UINT64_C(1000000000000000000)
#define COMPARE_NS             200 /* two vectors */

/* ---- cost ---- */

static uint32_t example_count(const struct vex_stage *stage)
{
    const struct vex_examples *e = &stage->examples;
    bool target = e->kind == VEX_EXAMPLES_DISCOVER || e->kind == VEX_EXAMPLES_FEEDBACK;

    return e->positive_count + e->negative_count + target;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return b > COST_MAX || a > COST_MAX - b ? COST_MAX : a + b;
}

static uint64_t times(uint64_t cost, uint64_t n)
{
    return n != 0 && cost > COST_MAX / n ? COST_MAX : cost * n;
}

static uint64_t own_cost(struct vex_collection *collection, const struct vex_stage *stage)
{
    const struct vex_nearest *n = &stage->nearest;

    switch (stage->kind) {
    case VEX_STAGE_NEAREST:
        return vex_read_cost_nearest(collection, n, 1);
    case VEX_STAGE_MMR:
        return add(vex_read_cost_nearest(collection, n, 1),
                   times(times(stage->candidates, COMPARE_NS), n->limit < COST_MAX ? n->limit : COST_MAX));
    case VEX_STAGE_EXAMPLES: /* each is compared as if it were a query */
        return times(vex_read_cost_nearest(collection, n, 1), example_count(stage));
    case VEX_STAGE_LIST:
        return vex_read_cost_scan(collection, n->filter != NULL);
    case VEX_STAGE_RRF:
    case VEX_STAGE_DBSF:
    case VEX_STAGE_FORMULA:
        return 0;
    default:
        return vex_read_cost_scan(collection, true);
    }
}

static uint64_t cost_of(struct vex_collection *collection, const struct vex_stage *stage)
{
    uint64_t cost = add(own_cost(collection, stage), 0);

    for (uint32_t i = 0; i < stage->prefetch_count && cost < COST_MAX; i++)
        cost = add(cost, cost_of(collection, &stage->prefetch[i]));
    return cost;
}

static bool is_plain(const struct vex_stage *stage)
{
    return stage->kind == VEX_STAGE_NEAREST && stage->prefetch_count == 0;
}

uint64_t vex_search_cost(struct vex_call *call, struct vex_collection *collection,
                         const struct vex_stage *list, uint32_t count)
{
    struct vex_nearest *requests;
    uint64_t cost = 0;
    uint32_t n = 0;

    if (count == 1)
        return cost_of(collection, list);
    requests = VEX_ARENA_ARRAY(&call->arena, struct vex_nearest, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        if (is_plain(&list[i]))
            requests[n++] = list[i].nearest;
        else
            cost = add(cost, cost_of(collection, &list[i]));
    }
    return add(cost, n != 0 ? vex_read_cost_nearest(collection, requests, n) : 0);
}

/* ---- ids ---- */

static uint32_t add_id(const struct vex_example *example, struct vex_id *ids)
{
    if (example->id == NULL)
        return 0;
    *ids = *example->id;
    return 1;
}

/* Ids that a stage itself looks up in its own collection. */
static uint32_t ids_of(struct vex_call *call, const struct vex_stage *stage, struct vex_id **ret)
{
    const struct vex_nearest *n = &stage->nearest;
    const struct vex_examples *e = &stage->examples;
    bool examples = stage->kind == VEX_STAGE_EXAMPLES;
    const struct vex_example *positive = examples ? e->positive : n->positive;
    const struct vex_example *negative = examples ? e->negative : n->negative;
    uint32_t positive_count = examples ? e->positive_count : n->positive_count;
    uint32_t negative_count = examples ? e->negative_count : n->negative_count, count = 0;

    *ret = VEX_ARENA_ARRAY(&call->arena, struct vex_id, (size_t)positive_count + negative_count + 2);
    if (n->id != NULL)
        (*ret)[count++] = *n->id;
    if (examples)
        count += add_id(&e->target, *ret + count);
    for (uint32_t i = 0; i < positive_count; i++)
        count += add_id(&positive[i], *ret + count);
    for (uint32_t i = 0; i < negative_count; i++)
        count += add_id(&negative[i], *ret + count);
    return count;
}

int vex_search_find_ids(struct vex_call *call, struct vex_collection *collection,
                        const struct vex_stage *stage, struct vex_read_context *context)
{
    struct vex_retrieve request = {0};
    struct vex_hits hits = {0};
    struct vex_id *ids;
    int code = 0;

    request.count = ids_of(call, stage, &ids);
    request.ids = ids;
    if (request.count != 0)
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
    for (uint32_t i = 0; code == 0 && i < stage->prefetch_count; i++)
        code = vex_search_find_ids(call, collection, &stage->prefetch[i], context);
    return code;
}

/* ---- tokens ---- */

static uint64_t conditions(const struct vex_filter *filter)
{
    const struct vex_cond_list *lists[] = {&filter->must, &filter->should, &filter->must_not,
                                           &filter->min_should};
    uint64_t count = 0;

    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (uint32_t i = 0; i < lists[l]->count; i++) {
            const struct vex_cond *c = &lists[l]->conds[i];
            /* One condition on a field that says several things has a path. */
            bool inner = c->kind == VEX_COND_NESTED || (c->kind == VEX_COND_FILTER && c->path.text.len == 0);

            count += inner ? conditions(c->sub) : 1;
        }
    return count;
}

static uint64_t rows_of(const struct vex_vector_value *v)
{
    return v->kind == VEX_VECTOR_MULTI && v->rows != 0 ? v->rows : 1;
}

static uint64_t rows_of_examples(const struct vex_example *examples, uint32_t count)
{
    uint64_t rows = 0;

    for (uint32_t i = 0; i < count; i++)
        rows += examples[i].id == NULL ? rows_of(&examples[i].vector) : 0;
    return rows;
}

/* Rows of the vectors that came with the request. */
static uint64_t given_rows(const struct vex_stage *stage)
{
    const struct vex_nearest *n = &stage->nearest;
    const struct vex_examples *e = &stage->examples;
    bool target = e->kind == VEX_EXAMPLES_DISCOVER || e->kind == VEX_EXAMPLES_FEEDBACK;

    if (stage->kind == VEX_STAGE_EXAMPLES)
        return rows_of_examples(e->positive, e->positive_count) +
               rows_of_examples(e->negative, e->negative_count) + rows_of_examples(&e->target, target);
    if (stage->kind != VEX_STAGE_NEAREST && stage->kind != VEX_STAGE_MMR)
        return 1;
    if (n->positive_count + n->negative_count != 0)
        return 1; /* their average is one vector */
    return n->id == NULL ? rows_of(&n->query) : 0;
}

int vex_search_tokens(struct vex_call *call, struct vex_collection *collection, const struct vex_stage *stage,
                      uint64_t *ret)
{
    struct vex_read_context context = {.arena = &call->arena, .cancelled = &call->cancelled};
    const struct vex_nearest *n = &stage->nearest;
    struct vex_str using = n->using;
    struct vex_retrieve request = {.vectors = {.kind = VEX_VECTORS_NAMED, .names = &using, .count = 1}};
    struct vex_hits hits = {0};
    struct vex_id *ids;
    uint64_t more;
    int code = 0;

    request.count = ids_of(call, stage, &ids);
    request.ids = ids;
    *ret = request.count;
    if (stage->prefetch_count == 0) {
        *ret += given_rows(stage) + (n->filter != NULL ? conditions(n->filter) : 0);
        *ret += n->id != NULL; /* a condition leaves it out */
        if (request.count != 0 && n->positive_count + n->negative_count == 0)
            code = vex_read_retrieve(collection, &request, &context, &hits, &call->err);
        for (size_t i = 0; code == 0 && i < hits.count; i++)
            *ret += hits.hits[i].vector_count != 0 ? rows_of(&hits.hits[i].vectors[0]) : 0;
    }
    for (uint32_t i = 0; i < stage->prefetch_count && code == 0; i++) {
        code = vex_search_tokens(call, collection, &stage->prefetch[i], &more);
        *ret += more;
    }
    return code;
}

/* ---- strict mode ---- */

static bool compares_vectors(const Qdrant__Query *query)
{
    if (query == NULL)
        return false;
    switch (query->variant_case) {
    case QDRANT__QUERY__VARIANT_NEAREST:
    case QDRANT__QUERY__VARIANT_NEAREST_WITH_MMR:
    case QDRANT__QUERY__VARIANT_RECOMMEND:
    case QDRANT__QUERY__VARIANT_DISCOVER:
    case QDRANT__QUERY__VARIANT_CONTEXT:
    case QDRANT__QUERY__VARIANT_RELEVANCE_FEEDBACK:
        return true;
    default:
        return false;
    }
}

static const Qdrant__Formula *formula_of(const Qdrant__Query *query)
{
    return query != NULL && query->variant_case == QDRANT__QUERY__VARIANT_FORMULA ? query->formula : NULL;
}

static int check_prefetches(struct vex_call *call, const struct vex_strict *strict,
                            Qdrant__PrefetchQuery *const *list, size_t count)
{
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++) {
        const Qdrant__PrefetchQuery *p = list[i];
        struct vex_strict_read question = {
            .has_limit = true,
            .limit = p->has_limit ? p->limit : PREFETCH_LIMIT_DEFAULT,
            .filter = p->filter,
            .params = p->params,
            .formula = formula_of(p->query),
            .vectors = compares_vectors(p->query),
            .using = vex_str_c(p->using_ != NULL ? p->using_ : ""),
        };

        code = check_prefetches(call, strict, p->prefetch, p->n_prefetch);
        if (code == 0)
            code = vex_strict_read(call, strict, &question);
    }
    return code;
}

int vex_search_strict(struct vex_call *call, const struct vex_strict *strict,
                      const Qdrant__QueryPoints *query, struct vex_strict_read *own)
{
    int code = check_prefetches(call, strict, query->prefetch, query->n_prefetch);

    own->formula = formula_of(query->query);
    own->vectors = query->n_prefetch == 0 && compares_vectors(query->query);
    return code < 0 ? code : vex_strict_read(call, strict, own);
}
