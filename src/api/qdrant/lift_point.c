/* Lifting parts of points: ids, vectors and values of orders to response messages. */
#include "api/qdrant/qdrant.h"

Qdrant__PointId *vex_lift_id(struct vex_call *call, const struct vex_id *id)
{
    Qdrant__PointId *out = VEX_MESSAGE(call, Qdrant__PointId, qdrant__point_id__descriptor);
    struct vex_str text;

    if (id->kind == VEX_ID_NUM) {
        out->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
        out->num = id->num;
        return out;
    }
    /* Ids that only other dialects can give are shown as they are. */
    text = vex_id_text(&call->arena, id);
    out->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID;
    out->uuid = vex_arena_strndup(&call->arena, text.ptr, text.len);
    return out;
}

static Qdrant__DenseVector *lift_dense(struct vex_call *call, const float *values, size_t count)
{
    Qdrant__DenseVector *out = VEX_MESSAGE(call, Qdrant__DenseVector, qdrant__dense_vector__descriptor);

    out->n_data = count;
    out->data = (float *)(uintptr_t)values; /* only read when the answer is packed */
    return out;
}

static Qdrant__VectorOutput *lift_vector(struct vex_call *call, const struct vex_vector_value *v)
{
    Qdrant__VectorOutput *out = VEX_MESSAGE(call, Qdrant__VectorOutput, qdrant__vector_output__descriptor);

    if (v->kind == VEX_VECTOR_DENSE) {
        out->vector_case = QDRANT__VECTOR_OUTPUT__VECTOR_DENSE;
        out->dense = lift_dense(call, v->values, v->count);
    } else if (v->kind == VEX_VECTOR_SPARSE) {
        out->vector_case = QDRANT__VECTOR_OUTPUT__VECTOR_SPARSE;
        out->sparse = VEX_MESSAGE(call, Qdrant__SparseVector, qdrant__sparse_vector__descriptor);
        out->sparse->n_values = out->sparse->n_indices = v->count;
        out->sparse->values = (float *)(uintptr_t)v->values;
        out->sparse->indices = (uint32_t *)(uintptr_t)v->indices;
    } else {
        out->vector_case = QDRANT__VECTOR_OUTPUT__VECTOR_MULTI_DENSE;
        out->multi_dense =
            VEX_MESSAGE(call, Qdrant__MultiDenseVector, qdrant__multi_dense_vector__descriptor);
        out->multi_dense->n_vectors = v->rows;
        out->multi_dense->vectors = VEX_ARENA_ARRAY(&call->arena, Qdrant__DenseVector *, v->rows + 1);
        for (uint32_t i = 0; i < v->rows; i++)
            out->multi_dense->vectors[i] = lift_dense(call, v->values + (size_t)i * v->count, v->count);
    }
    return out;
}

static Qdrant__NamedVectorsOutput *lift_named(struct vex_call *call, const struct vex_hit *hit)
{
    Qdrant__NamedVectorsOutput *out =
        VEX_MESSAGE(call, Qdrant__NamedVectorsOutput, qdrant__named_vectors_output__descriptor);

    out->n_vectors = hit->vector_count;
    out->vectors =
        VEX_ARENA_ARRAY(&call->arena, Qdrant__NamedVectorsOutput__VectorsEntry *, hit->vector_count + 1);
    for (uint32_t i = 0; i < hit->vector_count; i++) {
        const struct vex_vector_value *v = &hit->vectors[i];

        out->vectors[i] = VEX_MESSAGE(call, Qdrant__NamedVectorsOutput__VectorsEntry,
                                      qdrant__named_vectors_output__vectors_entry__descriptor);
        out->vectors[i]->key = vex_arena_strndup(&call->arena, v->name.ptr, v->name.len);
        out->vectors[i]->value = lift_vector(call, v);
    }
    return out;
}

Qdrant__VectorsOutput *vex_lift_vectors(struct vex_call *call, const struct vex_hit *hit)
{
    Qdrant__VectorsOutput *out = VEX_MESSAGE(call, Qdrant__VectorsOutput, qdrant__vectors_output__descriptor);

    if (hit->vector_count == 1 && hit->vectors[0].name.len == 0) {
        out->vectors_options_case = QDRANT__VECTORS_OUTPUT__VECTORS_OPTIONS_VECTOR;
        out->vector = lift_vector(call, &hit->vectors[0]);
    } else {
        out->vectors_options_case = QDRANT__VECTORS_OUTPUT__VECTORS_OPTIONS_VECTORS;
        out->vectors = lift_named(call, hit);
    }
    return out;
}

Qdrant__OrderValue *vex_lift_order_value(struct vex_call *call, const struct vex_hit *hit)
{
    Qdrant__OrderValue *out;

    if (!hit->has_order_value)
        return NULL;
    out = VEX_MESSAGE(call, Qdrant__OrderValue, qdrant__order_value__descriptor);
    if (hit->order_value.kind == VEX_ORDER_INT) {
        out->variant_case = QDRANT__ORDER_VALUE__VARIANT_INT;
        out->int_ = hit->order_value.integer;
    } else {
        out->variant_case = QDRANT__ORDER_VALUE__VARIANT_FLOAT;
        out->float_ = hit->order_value.real;
    }
    return out;
}
