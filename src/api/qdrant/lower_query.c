/* Lowering selectors of answers, searches, and queries with all their prefetches.
 *
 * Filters   The filter of each level holds for the levels below it too: clauses of one kind become one list, as with the peer, so
 *           alternatives of two levels are alternatives of each other. Points whose ids stand for vectors anywhere in a query are
 *           left out everywhere in it.
 * Bound     Prefetches are nested at most DEPTH_MAX deep, so recursion is. */
#include <inttypes.h>
#include <math.h>

#include "api/qdrant/lower_params.h"
#include "api/qdrant/lower_stage.h"

#define LIMIT_DEFAULT 10
#define BM25_K        1.2
#define BM25_B        0.75
#define RRF_K         2
#define DIVERSITY     0.5f
#define DEPTH_MAX     64

static int lower_paths(struct vex_call *call, char *const *texts, size_t count,
                       struct vex_payload_selector *ret)
{
    struct vex_path *paths = VEX_ARENA_ARRAY(&call->arena, struct vex_path, count + 1);

    ret->paths = paths;
    ret->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        int code = vex_lower_path(call, texts[i], &paths[i]);

        if (code < 0)
            return code;
    }
    return 0;
}

int vex_lower_with_payload(struct vex_call *call, const Qdrant__WithPayloadSelector *in, bool otherwise,
                           struct vex_payload_selector *ret)
{
    *ret = (struct vex_payload_selector){.kind = otherwise ? VEX_PAYLOAD_ALL : VEX_PAYLOAD_NONE};
    if (in == NULL)
        return 0;
    switch (in->selector_options_case) {
    case QDRANT__WITH_PAYLOAD_SELECTOR__SELECTOR_OPTIONS_ENABLE:
        ret->kind = in->enable ? VEX_PAYLOAD_ALL : VEX_PAYLOAD_NONE;
        return 0;
    case QDRANT__WITH_PAYLOAD_SELECTOR__SELECTOR_OPTIONS_INCLUDE:
        ret->kind = VEX_PAYLOAD_INCLUDE;
        return lower_paths(call, in->include->fields, in->include->n_fields, ret);
    case QDRANT__WITH_PAYLOAD_SELECTOR__SELECTOR_OPTIONS_EXCLUDE:
        ret->kind = VEX_PAYLOAD_EXCLUDE;
        return lower_paths(call, in->exclude->fields, in->exclude->n_fields, ret);
    default:
        return vex_qdrant_malformed(call, "No PayloadSelector");
    }
}

int vex_lower_with_vectors(struct vex_call *call, const Qdrant__WithVectorsSelector *in,
                           struct vex_vector_selector *ret)
{
    *ret = (struct vex_vector_selector){.kind = VEX_VECTORS_NONE};
    if (in == NULL)
        return 0;
    switch (in->selector_options_case) {
    case QDRANT__WITH_VECTORS_SELECTOR__SELECTOR_OPTIONS_ENABLE:
        ret->kind = in->enable ? VEX_VECTORS_ALL : VEX_VECTORS_NONE;
        return 0;
    case QDRANT__WITH_VECTORS_SELECTOR__SELECTOR_OPTIONS_INCLUDE:
        ret->kind = VEX_VECTORS_NAMED;
        ret->count = (uint32_t)in->include->n_names;
        ret->names = VEX_ARENA_ARRAY(&call->arena, struct vex_str, in->include->n_names + 1);
        for (size_t i = 0; i < in->include->n_names; i++)
            ret->names[i] = vex_str_c(in->include->names[i]);
        return 0;
    default:
        return vex_qdrant_malformed(call, "No VectorsSelector");
    }
}

static int lower_params(struct vex_call *call, const Qdrant__SearchParams *in, struct vex_nearest *ret)
{
    if (in == NULL)
        return 0;
    ret->ef = in->has_hnsw_ef ? in->hnsw_ef : 0;
    ret->exact = in->has_exact && in->exact;
    ret->indexed_only = in->has_indexed_only && in->indexed_only;
    vex_lower_code_use(in->quantization, ret);
    ret->has_idf = in->idf != NULL;
    return ret->has_idf ? vex_lower_filter(call, in->idf->corpus, &ret->corpus) : 0;
}

int vex_lower_search(struct vex_call *call, const Qdrant__SearchPoints *in, struct vex_stage *ret)
{
    struct vex_nearest *n = &ret->nearest;
    Qdrant__Vector flat = QDRANT__VECTOR__INIT;
    int code;

    *ret = (struct vex_stage){.kind = VEX_STAGE_NEAREST};
    n->using = vex_str_c(in->vector_name != NULL ? in->vector_name : "");
    n->limit = in->limit;
    n->offset = in->has_offset ? in->offset : 0;
    n->has_threshold = in->has_score_threshold;
    n->threshold = in->score_threshold;
    flat.n_data = in->n_vector;
    flat.data = in->vector;
    flat.indices = in->sparse_indices;
    if ((code = lower_params(call, in->params, n)) < 0 ||
        (code = vex_lower_vector(call, &flat, &n->query)) < 0 ||
        (code = vex_lower_filter(call, in->filter, &n->filter)) < 0 ||
        (code = vex_lower_with_payload(call, in->with_payload, false, &n->payload)) < 0)
        return code;
    return vex_lower_with_vectors(call, in->with_vectors, &n->vectors);
}

/* ---- points that stand for vectors ---- */

struct mentioned {
    struct vex_call *call;
    struct vex_id *ids;
    uint32_t count, cap;
};

static int mention(struct mentioned *m, const Qdrant__VectorInput *in)
{
    if (in == NULL || in->variant_case != QDRANT__VECTOR_INPUT__VARIANT_ID)
        return 0;
    if (m->count == m->cap) {
        uint32_t cap = m->cap != 0 ? m->cap * 2 : 8;
        struct vex_id *ids = vex_arena_try(&m->call->arena, (size_t)cap * sizeof *ids);

        if (ids == NULL)
            return vex_err_set(&m->call->err, VEX_ETOO_LARGE, "too many ids in one request");
        if (m->count != 0)
            memcpy(ids, m->ids, m->count * sizeof *ids);
        m->ids = ids;
        m->cap = cap;
    }
    return vex_lower_id(m->call, in->id, &m->ids[m->count++]);
}

static int mention_all(struct mentioned *m, Qdrant__VectorInput *const *list, size_t count)
{
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++)
        code = mention(m, list[i]);
    return code;
}

static int mention_pairs(struct mentioned *m, const Qdrant__ContextInput *in)
{
    int code = 0;

    for (size_t i = 0; in != NULL && i < in->n_pairs && code == 0; i++)
        if ((code = mention(m, in->pairs[i]->positive)) == 0)
            code = mention(m, in->pairs[i]->negative);
    return code;
}

static int mention_feedback(struct mentioned *m, const Qdrant__RelevanceFeedbackInput *in)
{
    int code = mention(m, in->target);

    for (size_t i = 0; i < in->n_feedback && code == 0; i++)
        code = mention(m, in->feedback[i]->example);
    return code;
}

static int mention_query(struct mentioned *m, const Qdrant__Query *q)
{
    int code;

    switch (q->variant_case) {
    case QDRANT__QUERY__VARIANT_NEAREST:
        return mention(m, q->nearest);
    case QDRANT__QUERY__VARIANT_NEAREST_WITH_MMR:
        return mention(m, q->nearest_with_mmr->nearest);
    case QDRANT__QUERY__VARIANT_RECOMMEND:
        code = mention_all(m, q->recommend->positive, q->recommend->n_positive);
        return code != 0 ? code : mention_all(m, q->recommend->negative, q->recommend->n_negative);
    case QDRANT__QUERY__VARIANT_DISCOVER:
        code = mention(m, q->discover->target);
        return code != 0 ? code : mention_pairs(m, q->discover->context);
    case QDRANT__QUERY__VARIANT_CONTEXT:
        return mention_pairs(m, q->context);
    case QDRANT__QUERY__VARIANT_RELEVANCE_FEEDBACK:
        return mention_feedback(m, q->relevance_feedback);
    default:
        return 0;
    }
}

static int mention_level(struct mentioned *m, const Qdrant__Query *query,
                         const Qdrant__LookupLocation *lookup, Qdrant__PrefetchQuery *const *prefetch,
                         size_t count, unsigned depth)
{
    int code = 0;

    if (depth > DEPTH_MAX)
        return vex_err_set(&m->call->err, VEX_EBAD_INPUT,
                           "Validation failed: prefetches depth %u exceeds max depth %d", depth, DEPTH_MAX);
    if (query != NULL && !vex_lower_is_elsewhere(m->call, lookup))
        code = mention_query(m, query);
    for (size_t i = 0; i < count && code == 0; i++)
        code = mention_level(m, prefetch[i]->query, prefetch[i]->lookup_from, prefetch[i]->prefetch,
                             prefetch[i]->n_prefetch, depth + 1);
    return code;
}

/* ---- kinds of queries ---- */

/* An id of this collection that stands for its own vector is left out by the search itself. */
static int lower_nearest(struct vex_call *call, const Qdrant__VectorInput *input,
                         const Qdrant__LookupLocation *lookup, struct vex_nearest *ret)
{
    struct vex_example example;
    int code;

    if (input == NULL)
        return vex_qdrant_malformed(call, "VectorInput variant is missing");
    code = vex_lower_example(call, input, lookup, ret->using, &example);
    if (code < 0)
        return code;
    ret->query = example.vector;
    ret->id = example.id;
    if (lookup != NULL && input->variant_case == QDRANT__VECTOR_INPUT__VARIANT_ID &&
        !vex_lower_is_elsewhere(call, lookup)) {
        struct vex_id *own = VEX_ARENA_NEW(&call->arena, struct vex_id);

        code = vex_lower_id(call, input->id, own);
        if (code == 0)
            vex_lower_leave_out(call, own, 1, &ret->filter);
    }
    return code;
}

static int lower_mmr(struct vex_call *call, const Qdrant__NearestInputWithMmr *in,
                     const Qdrant__LookupLocation *lookup, struct vex_stage *ret)
{
    const Qdrant__Mmr *mmr = in->mmr;

    ret->kind = VEX_STAGE_MMR;
    ret->diversity = mmr != NULL && mmr->has_diversity ? mmr->diversity : DIVERSITY;
    ret->candidates = mmr != NULL && mmr->has_candidates_limit ? mmr->candidates_limit : ret->nearest.limit;
    if (ret->candidates > VEX_MMR_CANDIDATES_MAX)
        ret->candidates = VEX_MMR_CANDIDATES_MAX;
    return lower_nearest(call, in->nearest, lookup, &ret->nearest);
}

/* The rules of requests have seen to k and b, but for numbers that are none. */
static int check_bm25(struct vex_call *call, const struct vex_text_query *text)
{
    if (!(text->k >= 0 && isfinite(text->k)))
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation failed: BM25 k1 must be finite and non-negative, got %g", text->k);
    if (!(text->b >= 0 && text->b <= 1))
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation failed: BM25 b must be finite and within [0, 1], got %g", text->b);
    return 0;
}

/* `using` is the payload field here. */
static int lower_text(struct vex_call *call, const Qdrant__QueryPoints *in, struct vex_text_query *ret)
{
    const Qdrant__TextQuery *query = in->query->text;
    const Qdrant__Bm25Params *bm25 =
        query->scoring_case == QDRANT__TEXT_QUERY__SCORING_BM25 ? query->bm25 : NULL;
    int code;

    if (in->using_ == NULL)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "A text query needs `using` to name the payload field to search");
    ret->text = vex_str_c(query->query != NULL ? query->query : "");
    ret->k = bm25 != NULL && bm25->has_k ? (double)bm25->k : BM25_K;
    ret->b = bm25 != NULL && bm25->has_b ? (double)bm25->b : BM25_B;
    if ((code = check_bm25(call, ret)) < 0 || (code = vex_lower_path(call, in->using_, &ret->field)) < 0 ||
        in->params == NULL || in->params->idf == NULL)
        return code;
    return vex_lower_filter(call, in->params->idf->corpus, &ret->corpus);
}

static int lower_rrf(const Qdrant__Rrf *in, struct vex_stage *ret)
{
    ret->kind = VEX_STAGE_RRF;
    ret->rrf_k = in != NULL && in->has_k ? in->k : RRF_K;
    ret->weights = in != NULL && in->n_weights != 0 ? in->weights : NULL;
    return 0;
}

static int lower_fusion(struct vex_call *call, const Qdrant__Query *in, struct vex_stage *ret)
{
    if (in->variant_case == QDRANT__QUERY__VARIANT_RRF)
        return lower_rrf(in->rrf, ret);
    if (in->fusion == QDRANT__FUSION__RRF)
        return lower_rrf(NULL, ret);
    if (in->fusion != QDRANT__FUSION__DBSF)
        return vex_qdrant_malformed(call, "Unknown fusion");
    ret->kind = VEX_STAGE_DBSF;
    return 0;
}

static int lower_kind(struct vex_call *call, const Qdrant__QueryPoints *in, struct vex_stage *ret)
{
    const Qdrant__Query *query = in->query;
    const Qdrant__LookupLocation *lookup = in->lookup_from;

    if (query == NULL)
        return 0;
    switch (query->variant_case) {
    case QDRANT__QUERY__VARIANT_NEAREST:
        ret->kind = VEX_STAGE_NEAREST;
        return lower_nearest(call, query->nearest, lookup, &ret->nearest);
    case QDRANT__QUERY__VARIANT_NEAREST_WITH_MMR:
        return lower_mmr(call, query->nearest_with_mmr, lookup, ret);
    case QDRANT__QUERY__VARIANT_RECOMMEND:
        return vex_lower_recommend(call, query->recommend, lookup, ret);
    case QDRANT__QUERY__VARIANT_DISCOVER:
        return vex_lower_discover(call, query->discover, lookup, ret);
    case QDRANT__QUERY__VARIANT_CONTEXT:
        return vex_lower_context(call, query->context, lookup, ret);
    case QDRANT__QUERY__VARIANT_RELEVANCE_FEEDBACK:
        return vex_lower_feedback(call, query->relevance_feedback, lookup, ret);
    case QDRANT__QUERY__VARIANT_TEXT:
        ret->kind = VEX_STAGE_TEXT;
        return lower_text(call, in, &ret->text);
    case QDRANT__QUERY__VARIANT_ORDER_BY:
        ret->kind = VEX_STAGE_ORDER;
        return vex_lower_order_by(call, query->order_by, &ret->order_by);
    case QDRANT__QUERY__VARIANT_SAMPLE:
        ret->kind = VEX_STAGE_SAMPLE;
        if (in->n_prefetch == 0)
            ret->nearest.offset = 0; /* there is no second page of a random answer */
        return 0;
    case QDRANT__QUERY__VARIANT_FUSION:
    case QDRANT__QUERY__VARIANT_RRF:
        return lower_fusion(call, query, ret);
    case QDRANT__QUERY__VARIANT_FORMULA:
        ret->kind = VEX_STAGE_FORMULA;
        return vex_lower_formula(call, query->formula, &ret->formula);
    default:
        return vex_qdrant_malformed(call, "Query variant is missing");
    }
}

/* ---- parts that go together ---- */

/* A level of a query, as far as it is checked. */
struct level {
    const Qdrant__Query *query;
    const char *using;
    bool has_threshold;
    Qdrant__PrefetchQuery *const *prefetch;
    size_t count;
};

static struct level level_of(const Qdrant__PrefetchQuery *in)
{
    return (struct level){in->query, in->using_, in->has_score_threshold, in->prefetch, in->n_prefetch};
}

static bool is_fusion(const Qdrant__Query *query)
{
    return query->variant_case == QDRANT__QUERY__VARIANT_FUSION ||
           query->variant_case == QDRANT__QUERY__VARIANT_RRF;
}

/* What the peer says once all ids are looked up. */
static int check_parts(struct vex_call *call, const struct level *in)
{
    int code = 0;

    if (in->query == NULL && in->count != 0)
        return vex_err_set(
            &call->err, VEX_EBAD_REQUEST,
            "A query is needed to merge the prefetches. Can't have prefetches without defining a query.");
    if (in->has_threshold && in->query == NULL)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "A query is needed to use the score_threshold. Can't have score_threshold without "
                           "defining a query.");
    if (in->has_threshold && in->query->variant_case == QDRANT__QUERY__VARIANT_ORDER_BY)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Can't use score_threshold with an order_by query.");
    if (in->query != NULL && is_fusion(in->query) && in->using != NULL && *in->using != '\0')
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Fusion queries cannot be combined with the 'using' field.");
    for (size_t i = 0; i < in->count && code == 0; i++) {
        struct level below = level_of(in->prefetch[i]);

        code = check_parts(call, &below);
    }
    return code;
}

/* And then, of each level before those below it. */
static int check_plan(struct vex_call *call, const struct level *in)
{
    const Qdrant__Query *query = in->query;
    int code = 0;

    if (query != NULL && in->count == 0 && is_fusion(query))
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation failed: cannot apply Fusion without prefetches");
    if (query != NULL && in->count == 0 && query->variant_case == QDRANT__QUERY__VARIANT_FORMULA)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Validation failed: cannot apply Formula without prefetches");
    if (query != NULL && query->variant_case == QDRANT__QUERY__VARIANT_RRF && query->rrf->n_weights != 0 &&
        query->rrf->n_weights != in->count)
        return vex_err_set(
            &call->err, VEX_EBAD_INPUT,
            "Validation failed: Number of weights in RRF should match number of pre-fetches: got %zu, "
            "expected %zu",
            query->rrf->n_weights, in->count);
    for (size_t i = 0; i < in->count && code == 0; i++) {
        struct level below = level_of(in->prefetch[i]);

        code = check_plan(call, &below);
    }
    return code;
}

/* ---- levels ---- */

/* Outer filters come again with every prefetch, so the room is the call's to give. */
static int join(struct vex_call *call, const struct vex_cond_list *a, const struct vex_cond_list *b,
                struct vex_cond_list *ret)
{
    *ret = a->count != 0 ? *a : *b;
    if (a->count == 0 || b->count == 0)
        return 0;
    ret->conds = vex_arena_try(&call->arena, ((size_t)a->count + b->count) * sizeof *ret->conds);
    if (ret->conds == NULL || a->count > UINT32_MAX - b->count)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many conditions in one request");
    ret->count = a->count + b->count;
    memcpy(ret->conds, a->conds, a->count * sizeof *a->conds);
    memcpy(ret->conds + a->count, b->conds, b->count * sizeof *b->conds);
    return 0;
}

static int merge(struct vex_call *call, struct vex_filter *outer, struct vex_filter *inner,
                 struct vex_filter **ret)
{
    struct vex_filter *merged;
    int code;

    *ret = outer != NULL ? outer : inner;
    if (outer == NULL || inner == NULL)
        return 0;
    *ret = merged = VEX_ARENA_NEW(&call->arena, struct vex_filter);
    merged->has_min_should = outer->has_min_should || inner->has_min_should;
    merged->min_count = outer->min_count > inner->min_count ? outer->min_count : inner->min_count;
    if ((code = join(call, &outer->must, &inner->must, &merged->must)) < 0 ||
        (code = join(call, &outer->should, &inner->should, &merged->should)) < 0 ||
        (code = join(call, &outer->must_not, &inner->must_not, &merged->must_not)) < 0)
        return code;
    return join(call, &outer->min_should, &inner->min_should, &merged->min_should);
}

static int lower_level(const struct mentioned *m, const Qdrant__QueryPoints *in, struct vex_filter *outer,
                       struct vex_stage *ret);

static int lower_prefetches(const struct mentioned *m, const Qdrant__QueryPoints *in,
                            struct vex_filter *outer, struct vex_stage *ret)
{
    struct vex_call *call = m->call;
    int code = 0;

    if (in->n_prefetch == 0)
        return 0;
    ret->prefetch = in->n_prefetch < UINT32_MAX
                        ? vex_arena_try(&call->arena, in->n_prefetch * sizeof *ret->prefetch)
                        : NULL;
    if (ret->prefetch == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many prefetches in one request");
    ret->prefetch_count = (uint32_t)in->n_prefetch;
    for (size_t i = 0; i < in->n_prefetch && code == 0; i++) {
        const Qdrant__PrefetchQuery *prefetch = in->prefetch[i];
        Qdrant__QueryPoints plain = QDRANT__QUERY_POINTS__INIT;

        plain.n_prefetch = prefetch->n_prefetch;
        plain.prefetch = prefetch->prefetch;
        plain.query = prefetch->query;
        plain.using_ = prefetch->using_;
        plain.filter = prefetch->filter;
        plain.params = prefetch->params;
        plain.has_score_threshold = prefetch->has_score_threshold;
        plain.score_threshold = prefetch->score_threshold;
        plain.has_limit = prefetch->has_limit;
        plain.limit = prefetch->limit;
        plain.lookup_from = prefetch->lookup_from;
        code = lower_level(m, &plain, outer, &ret->prefetch[i]);
    }
    return code;
}

static int lower_level(const struct mentioned *m, const Qdrant__QueryPoints *in, struct vex_filter *outer,
                       struct vex_stage *ret)
{
    struct vex_call *call = m->call;
    struct vex_nearest *n = &ret->nearest;
    struct vex_filter *filter;
    int code;

    *ret = (struct vex_stage){.kind = VEX_STAGE_LIST};
    n->using = vex_str_c(in->using_ != NULL ? in->using_ : "");
    n->limit = in->has_limit ? in->limit : LIMIT_DEFAULT;
    n->offset = in->has_offset ? in->offset : 0;
    n->has_threshold = in->has_score_threshold;
    n->threshold = in->score_threshold;
    if ((code = lower_params(call, in->params, n)) < 0 ||
        (code = vex_lower_check_lookup(call, in->lookup_from)) < 0 ||
        (code = vex_lower_filter(call, in->filter, &filter)) < 0 ||
        (code = merge(call, outer, filter, &filter)) < 0)
        return code;
    n->filter = filter;
    code = lower_kind(call, in, ret);
    if (code == 0 && m->count != 0)
        vex_lower_leave_out(call, m->ids, m->count, &n->filter);
    return code < 0 ? code : lower_prefetches(m, in, filter, ret);
}

int vex_lower_query(struct vex_call *call, const Qdrant__QueryPoints *in, struct vex_stage *ret)
{
    const struct level level = {in->query, in->using_, in->has_score_threshold, in->prefetch, in->n_prefetch};
    struct mentioned m = {.call = call};
    struct vex_nearest *n = &ret->nearest;
    int code = 0;

    /* A lone level leaves its own points out by itself. */
    if (in->n_prefetch != 0)
        code = mention_level(&m, in->query, in->lookup_from, in->prefetch, in->n_prefetch, 0);
    if (code < 0 || (code = lower_level(&m, in, NULL, ret)) < 0 || (code = check_parts(call, &level)) < 0 ||
        (code = check_plan(call, &level)) < 0 ||
        (code = vex_lower_with_payload(call, in->with_payload, false, &n->payload)) < 0)
        return code;
    return vex_lower_with_vectors(call, in->with_vectors, &n->vectors);
}
