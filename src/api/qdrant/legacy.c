/* The older requests as queries. See legacy.h. */
#include "api/qdrant/legacy.h"

#define NEW(call, Type, type) ((Type *)(void *)vex_rpc_message(&(call)->arena, &qdrant__##type##__descriptor))

/* What all of these requests and the queries that stand for them call alike. */
#define TAKE_COMMON(out, in)                                                                                 \
    ((out)->collection_name = (in)->collection_name, (out)->using_ = (in)->using_,                           \
     (out)->filter = (in)->filter, (out)->params = (in)->params, (out)->has_limit = true,                    \
     (out)->limit = (in)->limit, (out)->with_payload = (in)->with_payload,                                   \
     (out)->with_vectors = (in)->with_vectors, (out)->read_consistency = (in)->read_consistency,             \
     (out)->shard_key_selector = (in)->shard_key_selector, (out)->lookup_from = (in)->lookup_from,           \
     (out)->has_timeout = (in)->has_timeout, (out)->timeout = (in)->timeout)

static void *none(struct vex_call *call, const char *text)
{
    vex_err_set(&call->err, VEX_EBAD_REQUEST, "%s", text);
    return NULL;
}

/* ---- examples ---- */

static Qdrant__VectorInput *of_id(struct vex_call *call, Qdrant__PointId *id)
{
    Qdrant__VectorInput *input = NEW(call, Qdrant__VectorInput, vector_input);

    input->variant_case = QDRANT__VECTOR_INPUT__VARIANT_ID;
    input->id = id;
    return input;
}

/* The older form: values, and with them indices or a number of rows. */
static void of_flat(struct vex_call *call, const Qdrant__Vector *in, Qdrant__VectorInput *out)
{
    if (in->indices != NULL) {
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_SPARSE;
        out->sparse = NEW(call, Qdrant__SparseVector, sparse_vector);
        out->sparse->n_values = in->n_data;
        out->sparse->values = in->data;
        out->sparse->n_indices = in->indices->n_data;
        out->sparse->indices = in->indices->data;
        return;
    }
    Qdrant__DenseVector *dense = NEW(call, Qdrant__DenseVector, dense_vector);

    dense->n_data = in->n_data;
    dense->data = in->data;
    out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_DENSE;
    out->dense = dense;
}

/* Rows of a flat multivector. NULL: they are not of one length. */
static Qdrant__MultiDenseVector *rows_of(struct vex_call *call, const Qdrant__Vector *in)
{
    Qdrant__MultiDenseVector *multi = NEW(call, Qdrant__MultiDenseVector, multi_dense_vector);
    size_t count = in->vectors_count, size = count != 0 ? in->n_data / count : 0;

    if (count == 0 || size == 0 || in->n_data % count != 0)
        return NULL;
    multi->vectors = VEX_ARENA_ARRAY(&call->arena, Qdrant__DenseVector *, count);
    for (multi->n_vectors = 0; multi->n_vectors < count; multi->n_vectors++) {
        Qdrant__DenseVector *row = NEW(call, Qdrant__DenseVector, dense_vector);

        row->n_data = size;
        row->data = in->data + multi->n_vectors * size;
        multi->vectors[multi->n_vectors] = row;
    }
    return multi;
}

static Qdrant__VectorInput *of_vector(struct vex_call *call, const Qdrant__Vector *in)
{
    Qdrant__VectorInput *out = NEW(call, Qdrant__VectorInput, vector_input);

    switch (in->vector_case) {
    case QDRANT__VECTOR__VECTOR_DENSE:
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_DENSE;
        out->dense = in->dense;
        return out;
    case QDRANT__VECTOR__VECTOR_SPARSE:
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_SPARSE;
        out->sparse = in->sparse;
        return out;
    case QDRANT__VECTOR__VECTOR_MULTI_DENSE:
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_MULTI_DENSE;
        out->multi_dense = in->multi_dense;
        return out;
    case QDRANT__VECTOR__VECTOR_DOCUMENT:
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_DOCUMENT;
        out->document = in->document;
        return out;
    case QDRANT__VECTOR__VECTOR_IMAGE:
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_IMAGE;
        out->image = in->image;
        return out;
    case QDRANT__VECTOR__VECTOR_OBJECT:
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_OBJECT;
        out->object = in->object;
        return out;
    default:
        break;
    }
    if (!in->has_vectors_count || in->indices != NULL) {
        of_flat(call, in, out);
        return out;
    }
    out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_MULTI_DENSE;
    out->multi_dense = rows_of(call, in);
    if (out->multi_dense != NULL)
        return out;
    vex_qdrant_malformed(call, "the values of a multivector can't be cut into %u rows of one length",
                         in->vectors_count);
    return NULL;
}

/* Ids, then vectors. */
static Qdrant__VectorInput **inputs(struct vex_call *call, Qdrant__PointId *const *ids, size_t id_count,
                                    Qdrant__Vector *const *vectors, size_t vector_count)
{
    Qdrant__VectorInput **out =
        VEX_ARENA_ARRAY(&call->arena, Qdrant__VectorInput *, id_count + vector_count + 1);

    for (size_t i = 0; i < id_count; i++)
        out[i] = of_id(call, ids[i]);
    for (size_t i = 0; i < vector_count; i++)
        if ((out[id_count + i] = of_vector(call, vectors[i])) == NULL)
            return NULL;
    return out;
}

/* NULL with the error set also when it is missing. */
static Qdrant__VectorInput *of_example(struct vex_call *call, const Qdrant__VectorExample *in,
                                       const char *what)
{
    if (in != NULL && in->example_case == QDRANT__VECTOR_EXAMPLE__EXAMPLE_ID)
        return of_id(call, in->id);
    if (in != NULL && in->example_case == QDRANT__VECTOR_EXAMPLE__EXAMPLE_VECTOR)
        return of_vector(call, in->vector);
    vex_qdrant_malformed(call, "%s is malformed", what);
    return NULL;
}

/* ---- recommend ---- */

static Qdrant__Query *recommendation(struct vex_call *call, Qdrant__VectorInput **positive, size_t n_positive,
                                     Qdrant__VectorInput **negative, size_t n_negative, bool has_strategy,
                                     Qdrant__RecommendStrategy strategy)
{
    Qdrant__Query *query = NEW(call, Qdrant__Query, query);
    bool average = !has_strategy || strategy == QDRANT__RECOMMEND_STRATEGY__AverageVector;

    if (positive == NULL || negative == NULL)
        return NULL;
    if (average && n_positive == 0)
        return none(call, "At least one positive vector ID required with this strategy");
    if (n_positive + n_negative == 0)
        return none(call, "At least one positive or negative vector ID required with this strategy");
    query->variant_case = QDRANT__QUERY__VARIANT_RECOMMEND;
    query->recommend = NEW(call, Qdrant__RecommendInput, recommend_input);
    query->recommend->n_positive = n_positive;
    query->recommend->positive = positive;
    query->recommend->n_negative = n_negative;
    query->recommend->negative = negative;
    query->recommend->has_strategy = has_strategy;
    query->recommend->strategy = strategy;
    return query;
}

/* The query of a request for points or for groups, which give their examples alike. */
#define RECOMMENDATION(call, in)                                                                             \
    recommendation(                                                                                          \
        call,                                                                                                \
        inputs(call, (in)->positive, (in)->n_positive, (in)->positive_vectors, (in)->n_positive_vectors),    \
        (in)->n_positive + (in)->n_positive_vectors,                                                         \
        inputs(call, (in)->negative, (in)->n_negative, (in)->negative_vectors, (in)->n_negative_vectors),    \
        (in)->n_negative + (in)->n_negative_vectors, (in)->has_strategy, (in)->strategy)

const Qdrant__QueryPoints *vex_legacy_recommend(struct vex_call *call, const Qdrant__RecommendPoints *in)
{
    Qdrant__QueryPoints *out = NEW(call, Qdrant__QueryPoints, query_points);

    out->query = RECOMMENDATION(call, in);
    if (out->query == NULL)
        return NULL;
    TAKE_COMMON(out, in);
    out->has_score_threshold = in->has_score_threshold;
    out->score_threshold = in->score_threshold;
    out->has_offset = in->has_offset;
    out->offset = in->offset;
    return out;
}

const Qdrant__QueryPointGroups *vex_legacy_recommend_groups(struct vex_call *call,
                                                            const Qdrant__RecommendPointGroups *in)
{
    Qdrant__QueryPointGroups *out = NEW(call, Qdrant__QueryPointGroups, query_point_groups);

    out->query = RECOMMENDATION(call, in);
    if (out->query == NULL)
        return NULL;
    TAKE_COMMON(out, in);
    out->has_score_threshold = in->has_score_threshold;
    out->score_threshold = in->score_threshold;
    out->has_group_size = true;
    out->group_size = in->group_size;
    out->group_by = in->group_by;
    out->with_lookup = in->with_lookup;
    return out;
}

/* ---- discover ---- */

static Qdrant__ContextInput *pairs_of(struct vex_call *call, const Qdrant__DiscoverPoints *in)
{
    Qdrant__ContextInput *context = NEW(call, Qdrant__ContextInput, context_input);

    context->n_pairs = in->n_context;
    context->pairs = VEX_ARENA_ARRAY(&call->arena, Qdrant__ContextInputPair *, in->n_context + 1);
    for (size_t i = 0; i < in->n_context; i++) {
        Qdrant__ContextInputPair *pair = NEW(call, Qdrant__ContextInputPair, context_input_pair);

        pair->positive = of_example(call, in->context[i]->positive, "Context pair's positive example");
        if (pair->positive == NULL)
            return NULL;
        pair->negative = of_example(call, in->context[i]->negative, "Context pair's negative example");
        if (pair->negative == NULL)
            return NULL;
        context->pairs[i] = pair;
    }
    return context;
}

/* With a target it is a discovery, with pairs alone a context search. */
static Qdrant__Query *discovery(struct vex_call *call, const Qdrant__DiscoverPoints *in)
{
    Qdrant__Query *query = NEW(call, Qdrant__Query, query);
    Qdrant__ContextInput *context = pairs_of(call, in);

    if (context == NULL)
        return NULL;
    if (in->target == NULL) {
        if (in->n_context == 0)
            return none(call, "target and/or context_pairs must be specified");
        query->variant_case = QDRANT__QUERY__VARIANT_CONTEXT;
        query->context = context;
        return query;
    }
    query->variant_case = QDRANT__QUERY__VARIANT_DISCOVER;
    query->discover = NEW(call, Qdrant__DiscoverInput, discover_input);
    query->discover->context = context;
    query->discover->target = of_example(
        call, in->target->target_case == QDRANT__TARGET_VECTOR__TARGET_SINGLE ? in->target->single : NULL,
        "Target vector");
    return query->discover->target != NULL ? query : NULL;
}

const Qdrant__QueryPoints *vex_legacy_discover(struct vex_call *call, const Qdrant__DiscoverPoints *in)
{
    Qdrant__QueryPoints *out = NEW(call, Qdrant__QueryPoints, query_points);

    out->query = discovery(call, in);
    if (out->query == NULL)
        return NULL;
    TAKE_COMMON(out, in);
    out->has_offset = in->has_offset;
    out->offset = in->offset;
    return out;
}
