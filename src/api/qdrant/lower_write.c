/* Lowering write operations. A plain request and an element of a batch differ only in their message, so plain
 * requests are rewritten as an element first. */
#include "api/qdrant/qdrant.h"

int vex_lower_selector(struct vex_call *call, const Qdrant__PointsSelector *in, const char *missing,
                       struct vex_selector *ret)
{
    if (in == NULL)
        return vex_qdrant_malformed(call, "%s", missing);
    switch (in->points_selector_one_of_case) {
    case QDRANT__POINTS_SELECTOR__POINTS_SELECTOR_ONE_OF_POINTS:
        if (in->points->n_ids > UINT32_MAX)
            return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many ids in one request");
        ret->count = (uint32_t)in->points->n_ids;
        return vex_lower_ids(call, in->points->ids, in->points->n_ids, &ret->ids);
    case QDRANT__POINTS_SELECTOR__POINTS_SELECTOR_ONE_OF_FILTER:
        return vex_lower_filter(call, in->filter, &ret->filter);
    default:
        return vex_qdrant_malformed(call, "Malformed PointsSelector type");
    }
}

static int lower_upsert(struct vex_call *call, const Qdrant__PointsUpdateOperation__PointStructList *in,
                        struct vex_op *ret)
{
    int code;

    ret->kind = VEX_OP_UPSERT;
    if (in->n_points == 0)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Empty update request");
    switch (in->has_update_mode ? in->update_mode : QDRANT__UPDATE_MODE__Upsert) {
    case QDRANT__UPDATE_MODE__Upsert:
        ret->upsert.mode = VEX_UPSERT;
        break;
    case QDRANT__UPDATE_MODE__InsertOnly:
        ret->upsert.mode = VEX_INSERT_ONLY;
        break;
    case QDRANT__UPDATE_MODE__UpdateOnly:
        ret->upsert.mode = VEX_UPDATE_ONLY;
        break;
    default:
        return vex_qdrant_malformed(call, "Unknown update mode: %d", (int)in->update_mode);
    }
    ret->upsert.count = (uint32_t)in->n_points;
    code = vex_lower_points(call, in->points, in->n_points, &ret->upsert.points);
    return code < 0 ? code : vex_lower_filter(call, in->update_filter, &ret->upsert.update_filter);
}

static int lower_payload_op(struct vex_call *call, enum vex_op_kind kind, void *const *entries, size_t count,
                            const Qdrant__PointsSelector *selector, const char *key, struct vex_op *ret)
{
    int code;

    ret->kind = kind;
    if ((code = vex_lower_selector(call, selector, "points_selector is expected", &ret->payload.selector)) <
            0 ||
        (code = vex_lower_payload(call, entries, count, &ret->payload.payload)) < 0)
        return code;
    return key != NULL ? vex_lower_path(call, key, &ret->payload.key) : 0;
}

static int lower_delete_payload(struct vex_call *call, const Qdrant__PointsUpdateOperation__DeletePayload *in,
                                struct vex_op *ret)
{
    int code =
        vex_lower_selector(call, in->points_selector, "points_selector is expected", &ret->keys.selector);

    ret->kind = VEX_OP_DELETE_PAYLOAD;
    ret->keys.keys = VEX_ARENA_ARRAY(&call->arena, struct vex_path, in->n_keys + 1);
    ret->keys.count = (uint32_t)in->n_keys;
    for (size_t i = 0; code == 0 && i < in->n_keys; i++)
        code = vex_lower_path(call, in->keys[i], &ret->keys.keys[i]);
    return code;
}

static int lower_update_vectors(struct vex_call *call, const Qdrant__PointsUpdateOperation__UpdateVectors *in,
                                struct vex_op *ret)
{
    int code;

    ret->kind = VEX_OP_UPDATE_VECTORS;
    if (in->n_points == 0)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Empty update request");
    ret->vectors.count = (uint32_t)in->n_points;
    code = vex_lower_point_vectors(call, in->points, in->n_points, &ret->vectors.points);
    return code < 0 ? code : vex_lower_filter(call, in->update_filter, &ret->vectors.update_filter);
}

static int lower_delete_vectors(struct vex_call *call, const Qdrant__PointsUpdateOperation__DeleteVectors *in,
                                struct vex_op *ret)
{
    int code = vex_lower_selector(call, in->points_selector, "points_selector is expected",
                                  &ret->vector_names.selector);
    size_t n = in->vectors != NULL ? in->vectors->n_names : 0;

    ret->kind = VEX_OP_DELETE_VECTORS;
    if (code < 0)
        return code;
    if (in->vectors == NULL)
        return vex_qdrant_malformed(call, "vectors is expected");
    if (n == 0)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Empty update request");
    ret->vector_names.names = VEX_ARENA_ARRAY(&call->arena, struct vex_str, n);
    ret->vector_names.count = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        ret->vector_names.names[i] = vex_str_c(in->vectors->names[i]);
    return 0;
}

static int lower_remove(struct vex_call *call, enum vex_op_kind kind, const Qdrant__PointsSelector *in,
                        struct vex_op *ret)
{
    ret->kind = kind;
    return vex_lower_selector(call, in, "PointSelector is missing", &ret->remove);
}

int vex_lower_operation(struct vex_call *call, const Qdrant__PointsUpdateOperation *in, struct vex_op *ret)
{
    *ret = (struct vex_op){0};
    switch (in->operation_case) {
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_UPSERT:
        return lower_upsert(call, in->upsert, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_DEPRECATED:
        return lower_remove(call, VEX_OP_DELETE, in->delete_deprecated, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_POINTS:
        return lower_remove(call, VEX_OP_DELETE, in->delete_points->points, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_CLEAR_PAYLOAD_DEPRECATED:
        return lower_remove(call, VEX_OP_CLEAR_PAYLOAD, in->clear_payload_deprecated, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_CLEAR_PAYLOAD:
        return lower_remove(call, VEX_OP_CLEAR_PAYLOAD, in->clear_payload->points, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_SET_PAYLOAD:
        return lower_payload_op(call, VEX_OP_SET_PAYLOAD, (void *const *)in->set_payload->payload,
                                in->set_payload->n_payload, in->set_payload->points_selector,
                                in->set_payload->key, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_OVERWRITE_PAYLOAD:
        return lower_payload_op(call, VEX_OP_OVERWRITE_PAYLOAD, (void *const *)in->overwrite_payload->payload,
                                in->overwrite_payload->n_payload, in->overwrite_payload->points_selector,
                                in->overwrite_payload->key, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_PAYLOAD:
        return lower_delete_payload(call, in->delete_payload, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_UPDATE_VECTORS:
        return lower_update_vectors(call, in->update_vectors, ret);
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_VECTORS:
        return lower_delete_vectors(call, in->delete_vectors, ret);
    default:
        return vex_qdrant_malformed(call, "Operation is missing");
    }
}
