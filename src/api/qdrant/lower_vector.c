/* Lowering vectors and points of writes, and vectors of queries. Values stay where the message has them. */
#include "api/qdrant/bm25.h"

static int lower_dense(const float *values, size_t count, struct vex_vector_value *ret)
{
    ret->kind = VEX_VECTOR_DENSE;
    ret->values = values;
    ret->count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    return 0;
}

static int lower_sparse(struct vex_call *call, const float *values, size_t value_count,
                        const uint32_t *indices, size_t index_count, struct vex_vector_value *ret)
{
    if (value_count != index_count)
        return vex_err_set(&call->err, VEX_EBAD_INPUT,
                           "Sparse indices does not match sparse vector conditions");
    ret->kind = VEX_VECTOR_SPARSE;
    ret->values = values;
    ret->indices = indices;
    ret->count = (uint32_t)value_count;
    return 0;
}

static int lower_multi(struct vex_call *call, const Qdrant__MultiDenseVector *in,
                       struct vex_vector_value *ret)
{
    size_t rows = in->n_vectors, size = rows != 0 ? in->vectors[0]->n_data : 0;
    float *all;

    /* The rules have seen that rows are alike and their product is bounded. */
    all = vex_arena_try(&call->arena, (rows * size + 1) * sizeof *all);
    if (all == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "multi vector is too large");
    for (size_t i = 0; i < rows; i++)
        memcpy(all + i * size, in->vectors[i]->data, size * sizeof *all);
    ret->kind = VEX_VECTOR_MULTI;
    ret->values = all;
    ret->count = (uint32_t)size;
    ret->rows = (uint32_t)rows;
    return 0;
}

/* There is one model of our own; others are somebody else's service. */
static int infer(struct vex_call *call, const Qdrant__Document *in, bool query, struct vex_vector_value *ret)
{
    if (in != NULL && vex_bm25_is_model(in->model))
        return vex_bm25_embed(call, in, query, ret);
    return vex_err_set(&call->err, VEX_EINTERNAL,
                       "InferenceService URL not configured - please provide valid address in config");
}

/* The flat fields of older clients. */
static int lower_flat(struct vex_call *call, const Qdrant__Vector *in, struct vex_vector_value *ret)
{
    if (in->indices != NULL)
        return lower_sparse(call, in->data, in->n_data, in->indices->data, in->indices->n_data, ret);
    if (!in->has_vectors_count || in->vectors_count == 0)
        return lower_dense(in->data, in->n_data, ret);
    if (in->n_data == 0 || in->n_data % in->vectors_count != 0)
        return vex_qdrant_malformed(call, "vectors_count %u does not divide the vector's length %zu",
                                    in->vectors_count, in->n_data);
    ret->kind = VEX_VECTOR_MULTI;
    ret->values = in->data;
    ret->rows = in->vectors_count;
    ret->count = (uint32_t)(in->n_data / in->vectors_count);
    return 0;
}

int vex_lower_vector(struct vex_call *call, const Qdrant__Vector *in, struct vex_vector_value *ret)
{
    if (in == NULL)
        return vex_qdrant_malformed(call, "Expected some vectors");
    switch (in->vector_case) {
    case QDRANT__VECTOR__VECTOR_DENSE:
        return lower_dense(in->dense->data, in->dense->n_data, ret);
    case QDRANT__VECTOR__VECTOR_SPARSE:
        return lower_sparse(call, in->sparse->values, in->sparse->n_values, in->sparse->indices,
                            in->sparse->n_indices, ret);
    case QDRANT__VECTOR__VECTOR_MULTI_DENSE:
        return lower_multi(call, in->multi_dense, ret);
    case QDRANT__VECTOR__VECTOR__NOT_SET:
        return lower_flat(call, in, ret);
    case QDRANT__VECTOR__VECTOR_DOCUMENT:
        return infer(call, in->document, false, ret);
    default:
        return infer(call, NULL, false, ret);
    }
}

int vex_lower_vector_input(struct vex_call *call, const Qdrant__VectorInput *in, struct vex_vector_value *ret)
{
    switch (in->variant_case) {
    case QDRANT__VECTOR_INPUT__VARIANT_DENSE:
        return lower_dense(in->dense->data, in->dense->n_data, ret);
    case QDRANT__VECTOR_INPUT__VARIANT_SPARSE:
        return lower_sparse(call, in->sparse->values, in->sparse->n_values, in->sparse->indices,
                            in->sparse->n_indices, ret);
    case QDRANT__VECTOR_INPUT__VARIANT_MULTI_DENSE:
        return lower_multi(call, in->multi_dense, ret);
    case QDRANT__VECTOR_INPUT__VARIANT__NOT_SET:
        return vex_qdrant_malformed(call, "VectorInput variant is missing");
    case QDRANT__VECTOR_INPUT__VARIANT_DOCUMENT:
        return infer(call, in->document, true, ret);
    default:
        return infer(call, NULL, true, ret);
    }
}

static int lower_named(struct vex_call *call, const Qdrant__NamedVectors *in, struct vex_point *ret)
{
    struct vex_vector_value *vectors =
        VEX_ARENA_ARRAY(&call->arena, struct vex_vector_value, in->n_vectors + 1);
    uint32_t n = 0;

    if (in->n_vectors > VEX_VECTORS_MAX)
        return vex_err_set(&call->err, VEX_EBAD_INPUT, "a point has at most %d vectors", VEX_VECTORS_MAX);
    for (size_t i = 0; i < in->n_vectors; i++) {
        struct vex_vector_value v = {.name = vex_str_c(in->vectors[i]->key)};
        int code = vex_lower_vector(call, in->vectors[i]->value, &v);
        uint32_t at = 0;

        if (code < 0)
            return code;
        while (at < n && !vex_str_eq(vectors[at].name, v.name)) /* a map: the last of a name counts */
            at++;
        vectors[at] = v;
        n += at == n;
    }
    ret->vectors = vectors;
    ret->vector_count = n;
    return 0;
}

static int lower_vectors(struct vex_call *call, const Qdrant__Vectors *in, struct vex_point *ret)
{
    if (in != NULL && in->vectors_options_case == QDRANT__VECTORS__VECTORS_OPTIONS_VECTOR) {
        ret->vectors = VEX_ARENA_NEW(&call->arena, struct vex_vector_value);
        ret->vector_count = 1;
        return vex_lower_vector(call, in->vector, ret->vectors);
    }
    if (in != NULL && in->vectors_options_case == QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS)
        return lower_named(call, in->vectors, ret);
    return vex_qdrant_malformed(call, "Expected some vectors");
}

/* Room for the points of a request; NULL with the error set. */
static struct vex_point *room_for(struct vex_call *call, size_t count)
{
    struct vex_point *points = vex_arena_try(&call->arena, (count + 1) * sizeof *points);

    if (points != NULL && count <= UINT32_MAX)
        return points;
    vex_err_set(&call->err, VEX_ETOO_LARGE, "too many points in one request");
    return NULL;
}

static int lower_point(struct vex_call *call, const Qdrant__PointId *id, const Qdrant__Vectors *vectors,
                       struct vex_point *ret)
{
    int code;

    *ret = (struct vex_point){0};
    code = vex_lower_id(call, id, &ret->id);
    return code < 0 ? code : lower_vectors(call, vectors, ret);
}

int vex_lower_points(struct vex_call *call, Qdrant__PointStruct *const *in, size_t count,
                     struct vex_point **ret)
{
    int code = 0;

    *ret = room_for(call, count);
    if (*ret == NULL)
        return call->err.code;
    for (size_t i = 0; code == 0 && i < count; i++) {
        struct vex_point *point = &(*ret)[i];

        code = lower_point(call, in[i]->id, in[i]->vectors, point);
        if (code == 0 && in[i]->n_payload != 0)
            code = vex_lower_payload(call, (void *const *)in[i]->payload, in[i]->n_payload, &point->payload);
    }
    return code;
}

int vex_lower_point_vectors(struct vex_call *call, Qdrant__PointVectors *const *in, size_t count,
                            struct vex_point **ret)
{
    int code = 0;

    *ret = room_for(call, count);
    if (*ret == NULL)
        return call->err.code;
    for (size_t i = 0; code == 0 && i < count; i++)
        code = lower_point(call, in[i]->id, in[i]->vectors, &(*ret)[i]);
    return code;
}
