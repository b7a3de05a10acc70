/* Lowering selectors of answers, searches and queries. */
#include <math.h>

#include "api/qdrant/qdrant.h"

#define LIMIT_DEFAULT 10
#define BM25_K        1.2
#define BM25_B        0.75

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

static void lower_params(const Qdrant__SearchParams *in, struct vex_nearest *ret)
{
    if (in == NULL)
        return;
    ret->ef = in->has_hnsw_ef ? in->hnsw_ef : 0;
    ret->exact = in->has_exact && in->exact;
    ret->indexed_only = in->has_indexed_only && in->indexed_only;
}

int vex_lower_search(struct vex_call *call, const Qdrant__SearchPoints *in, struct vex_lowered_query *ret)
{
    struct vex_nearest *n = &ret->nearest;
    Qdrant__Vector flat = QDRANT__VECTOR__INIT;
    int code;

    *ret = (struct vex_lowered_query){0};
    n->using = vex_str_c(in->vector_name != NULL ? in->vector_name : "");
    n->limit = in->limit;
    n->offset = in->has_offset ? in->offset : 0;
    n->has_threshold = in->has_score_threshold;
    n->threshold = in->score_threshold;
    lower_params(in->params, n);
    flat.n_data = in->n_vector;
    flat.data = in->vector;
    flat.indices = in->sparse_indices;
    if ((code = vex_lower_vector(call, &flat, &n->query)) < 0 ||
        (code = vex_lower_filter(call, in->filter, &n->filter)) < 0 ||
        (code = vex_lower_with_payload(call, in->with_payload, false, &n->payload)) < 0)
        return code;
    return vex_lower_with_vectors(call, in->with_vectors, &n->vectors);
}

static int find_lookup(struct vex_call *call, const Qdrant__LookupLocation *in, struct vex_collection **ret)
{
    const char *name = in->collection_name != NULL ? in->collection_name : "";
    int code = vex_qdrant_find(call, name, ret);

    if (code != VEX_ENOT_FOUND)
        return code;
    return vex_err_set(&call->err, VEX_ENOT_FOUND, "Collection %.1000s not found", name);
}

/* The vector of a point of another collection stands for the query; that point is not left out of the answer.
 */
static int lower_lookup(struct vex_call *call, const Qdrant__LookupLocation *in, const struct vex_id *id,
                        struct vex_nearest *ret)
{
    struct vex_str name = in->vector_name != NULL ? vex_str_c(in->vector_name) : ret->using;
    struct vex_retrieve request = {
        .ids = id, .count = 1, .vectors = {.kind = VEX_VECTORS_NAMED, .names = &name, .count = 1}};
    struct vex_read_context context = {.arena = &call->arena, .cancelled = &call->cancelled};
    struct vex_collection *collection;
    struct vex_str text;
    struct vex_hits hits;
    int code;

    code = find_lookup(call, in, &collection);
    if (code < 0)
        return code;
    code = vex_read_retrieve(collection, &request, &context, &hits, &call->err);
    vex_collection_unref(collection);
    if (code < 0)
        return code;
    text = vex_id_text(&call->arena, id);
    if (hits.count == 0)
        return vex_err_set(&call->err, VEX_ENOT_FOUND, "No point with id " VEX_STR_FMT " found",
                           VEX_STR_ARG(text));
    if (hits.hits[0].vector_count == 0)
        return vex_err_set(&call->err, VEX_ENOT_FOUND,
                           "Vector with name \"" VEX_STR_FMT "\" for point not found", VEX_STR_ARG(name));
    ret->query = hits.hits[0].vectors[0];
    return 0;
}

static int lower_nearest(struct vex_call *call, const Qdrant__QueryPoints *in,
                         const Qdrant__VectorInput *input, struct vex_lowered_query *ret)
{
    struct vex_id *id;
    int code;

    if (input->variant_case != QDRANT__VECTOR_INPUT__VARIANT_ID)
        return vex_lower_vector_input(call, input, &ret->nearest.query);
    id = VEX_ARENA_NEW(&call->arena, struct vex_id);
    code = vex_lower_id(call, input->id, id);
    if (code < 0)
        return code;
    ret->elsewhere = in->lookup_from != NULL;
    if (ret->elsewhere)
        return lower_lookup(call, in->lookup_from, id, &ret->nearest);
    ret->nearest.id = id;
    return 0;
}

static int lower_examples(struct vex_call *call, Qdrant__VectorInput *const *in, size_t count,
                          struct vex_example **ret, struct vex_id *ids, uint32_t *id_count)
{
    struct vex_example *examples = VEX_ARENA_ARRAY(&call->arena, struct vex_example, count + 1);

    *ret = examples;
    for (size_t i = 0; i < count; i++) {
        int code;

        if (in[i]->variant_case != QDRANT__VECTOR_INPUT__VARIANT_ID) {
            code = vex_lower_vector_input(call, in[i], &examples[i].vector);
        } else {
            code = vex_lower_id(call, in[i]->id, &ids[*id_count]);
            examples[i].id = &ids[(*id_count)++];
        }
        if (code < 0)
            return code;
    }
    return 0;
}

/* The examples' own points are left out of the answer. */
static void leave_out(struct vex_call *call, struct vex_id *ids, uint32_t count, struct vex_filter **filter)
{
    struct vex_filter *wrapped = VEX_ARENA_NEW(&call->arena, struct vex_filter);

    if (*filter != NULL) {
        wrapped->must.conds = VEX_ARENA_NEW(&call->arena, struct vex_cond);
        wrapped->must.count = 1;
        wrapped->must.conds->kind = VEX_COND_FILTER;
        wrapped->must.conds->sub = *filter;
    }
    wrapped->must_not.conds = VEX_ARENA_NEW(&call->arena, struct vex_cond);
    wrapped->must_not.count = 1;
    wrapped->must_not.conds->kind = VEX_COND_HAS_ID;
    wrapped->must_not.conds->ids.ids = ids;
    wrapped->must_not.conds->ids.count = count;
    *filter = wrapped;
}

static int lower_recommend(struct vex_call *call, const Qdrant__QueryPoints *in, struct vex_nearest *ret)
{
    const Qdrant__RecommendInput *input = in->query->recommend;
    struct vex_id *ids =
        VEX_ARENA_ARRAY(&call->arena, struct vex_id, input->n_positive + input->n_negative + 1);
    struct vex_example *positive, *negative;
    uint32_t id_count = 0;
    int code;

    if (input->has_strategy && input->strategy != QDRANT__RECOMMEND_STRATEGY__AverageVector)
        return vex_qdrant_unbuilt_part(call, "recommend strategy");
    if (in->lookup_from != NULL)
        return vex_qdrant_unbuilt_part(call, "recommend with lookup_from");
    if ((code = lower_examples(call, input->positive, input->n_positive, &positive, ids, &id_count)) < 0 ||
        (code = lower_examples(call, input->negative, input->n_negative, &negative, ids, &id_count)) < 0)
        return code;
    ret->positive = positive;
    ret->positive_count = (uint32_t)input->n_positive;
    ret->negative = negative;
    ret->negative_count = (uint32_t)input->n_negative;
    if (id_count != 0)
        leave_out(call, ids, id_count, &ret->filter);
    return 0;
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

/* `using` is the payload field here. What queries have in common is filled in when all of it is lowered. */
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

/* Kinds of queries that are not answered, after the peer's own objections to them. */
static int refuse_kind(struct vex_call *call, const Qdrant__QueryPoints *in)
{
    switch (in->query->variant_case) {
    case QDRANT__QUERY__VARIANT_FUSION:
    case QDRANT__QUERY__VARIANT_RRF:
        if (in->using_ != NULL && *in->using_ != '\0')
            return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                               "Fusion queries cannot be combined with the 'using' field.");
        if (in->n_prefetch == 0)
            return vex_err_set(&call->err, VEX_EBAD_INPUT,
                               "Validation failed: cannot apply Fusion without prefetches");
        return vex_qdrant_unbuilt_part(call, "fusion query");
    case QDRANT__QUERY__VARIANT_DISCOVER:
        return vex_qdrant_unbuilt_part(call, "discover query");
    case QDRANT__QUERY__VARIANT_CONTEXT:
        return vex_qdrant_unbuilt_part(call, "context query");
    case QDRANT__QUERY__VARIANT_FORMULA:
        return vex_qdrant_unbuilt_part(call, "formula query");
    case QDRANT__QUERY__VARIANT_NEAREST_WITH_MMR:
        return vex_qdrant_unbuilt_part(call, "mmr query");
    case QDRANT__QUERY__VARIANT_RELEVANCE_FEEDBACK:
        return vex_qdrant_unbuilt_part(call, "relevance feedback query");
    default:
        return vex_qdrant_malformed(call, "Query variant is missing");
    }
}

/* What the peer says of parts that do not go together. */
static int check_parts(struct vex_call *call, const Qdrant__QueryPoints *in)
{
    if (in->query == NULL && in->n_prefetch != 0)
        return vex_err_set(
            &call->err, VEX_EBAD_REQUEST,
            "A query is needed to merge the prefetches. Can't have prefetches without defining a query.");
    if (!in->has_score_threshold)
        return 0;
    if (in->query == NULL)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "A query is needed to use the score_threshold. Can't have score_threshold without "
                           "defining a query.");
    if (in->query->variant_case == QDRANT__QUERY__VARIANT_ORDER_BY)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Can't use score_threshold with an order_by query.");
    return 0;
}

/* A collection to look ids up in has to be there, even when there is no id. */
static int check_lookup(struct vex_call *call, const Qdrant__LookupLocation *in)
{
    struct vex_collection *collection;
    int code = in != NULL ? find_lookup(call, in, &collection) : 0;

    if (in != NULL && code == 0)
        vex_collection_unref(collection);
    return code;
}

static int lower_kind(struct vex_call *call, const Qdrant__QueryPoints *in, struct vex_lowered_query *ret)
{
    ret->kind = VEX_QUERY_LIST;
    if (in->query == NULL)
        return 0;
    ret->kind = VEX_QUERY_NEAREST;
    switch (in->query->variant_case) {
    case QDRANT__QUERY__VARIANT_NEAREST:
        return lower_nearest(call, in, in->query->nearest, ret);
    case QDRANT__QUERY__VARIANT_RECOMMEND:
        return lower_recommend(call, in, &ret->nearest);
    case QDRANT__QUERY__VARIANT_TEXT:
        ret->kind = VEX_QUERY_TEXT;
        return lower_text(call, in, &ret->text);
    case QDRANT__QUERY__VARIANT_ORDER_BY:
        ret->kind = VEX_QUERY_ORDER;
        return vex_lower_order_by(call, in->query->order_by, &ret->order_by);
    case QDRANT__QUERY__VARIANT_SAMPLE:
        ret->kind = VEX_QUERY_SAMPLE;
        ret->nearest.offset = 0; /* there is no second page of a random answer */
        return 0;
    default:
        return refuse_kind(call, in);
    }
}

static void finish_text(struct vex_lowered_query *query)
{
    const struct vex_nearest *n = &query->nearest;
    struct vex_text_query *text = &query->text;

    text->filter = n->filter;
    text->limit = n->limit;
    text->offset = n->offset;
    text->has_threshold = n->has_threshold;
    text->threshold = n->threshold;
    text->payload = n->payload;
    text->vectors = n->vectors;
}

int vex_lower_query(struct vex_call *call, const Qdrant__QueryPoints *in, struct vex_lowered_query *ret)
{
    struct vex_nearest *n = &ret->nearest;
    int code;

    *ret = (struct vex_lowered_query){0};
    n->using = vex_str_c(in->using_ != NULL ? in->using_ : "");
    n->limit = in->has_limit ? in->limit : LIMIT_DEFAULT;
    n->offset = in->has_offset ? in->offset : 0;
    n->has_threshold = in->has_score_threshold;
    n->threshold = in->score_threshold;
    lower_params(in->params, n);
    if ((code = check_parts(call, in)) < 0 || (code = check_lookup(call, in->lookup_from)) < 0 ||
        (code = vex_lower_filter(call, in->filter, &n->filter)) < 0 || (code = lower_kind(call, in, ret)) < 0)
        return code;
    if (in->n_prefetch != 0)
        return vex_qdrant_unbuilt_part(call, "prefetch");
    if ((code = vex_lower_with_payload(call, in->with_payload, false, &n->payload)) < 0 ||
        (code = vex_lower_with_vectors(call, in->with_vectors, &n->vectors)) < 0)
        return code;
    finish_text(ret);
    return 0;
}

struct vex_scroll vex_lowered_scroll(const struct vex_lowered_query *query)
{
    const struct vex_nearest *n = &query->nearest;

    return (struct vex_scroll){.filter = n->filter,
                               .order = VEX_ORDER_ID,
                               .order_by = query->kind == VEX_QUERY_ORDER ? &query->order_by : NULL,
                               .sample = query->kind == VEX_QUERY_SAMPLE,
                               .skip = n->offset,
                               .limit = n->limit,
                               .payload = n->payload,
                               .vectors = n->vectors};
}
