/* Strict mode of writes: sizes of batches, of vectors and of the collection, filters, and the rate. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "api/qdrant/strict.h"
#include "base/json_write.h"

#define PAYLOAD_BLOCK 128.0 /* bytes */

/* ---- sizes of the collection ---- */

static uint64_t vector_bytes(const struct vex_config *config, const struct vex_collection_stats *stats)
{
    static const uint64_t element_bytes[] = {
        [VEX_ELEMENT_F32] = 4, [VEX_ELEMENT_F16] = 2, [VEX_ELEMENT_U8] = 1};
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < config->vector_count; i++) {
        const struct vex_vector_params *v = &config->vectors[i];

        bytes += stats->vectors[v->ordinal] * v->size * element_bytes[v->element];
    }
    return bytes;
}

/* As the peer counts, so that a limit means the same: whole blocks a version of a payload, and versions that were overwritten until
 * their space is given back. How long one version is, is estimated by the average. */
static uint64_t payload_bytes(const struct vex_collection_stats *stats)
{
    double average, versions;

    if (stats->points == 0 || stats->blob_bytes == 0)
        return stats->freed_bytes;
    average = (double)stats->blob_bytes / (double)stats->points;
    versions = (double)stats->points + (double)stats->freed_bytes / average;
    return (uint64_t)(versions * ceil(average / PAYLOAD_BLOCK) * PAYLOAD_BLOCK);
}

/* The limit is told in megabytes, as the peer prints a float32. */
static int reached(struct vex_call *call, const char *what, uint64_t limit)
{
    char text[40];

    text[vex_f32_text(text, (float)limit / (1024.0f * 1024.0f))] = '\0';
    return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Max %s storage size limit of %sMB reached!", what,
                       text);
}

static int check_sizes(struct vex_call *call, const struct vex_strict *strict, bool payload_only)
{
    const Qdrant__StrictModeConfig *l = strict->limits;
    bool vectors = l->has_max_collection_vector_size_bytes && !payload_only;
    bool points = l->has_max_points_count && !payload_only;
    struct vex_collection_stats stats;
    int code;

    if (!vectors && !points && !l->has_max_collection_payload_size_bytes)
        return 0;
    code = vex_collection_stats(strict->collection, &stats, &call->err);
    if (code < 0)
        return code;
    if (vectors && vector_bytes(strict->config, &stats) >= l->max_collection_vector_size_bytes)
        return reached(call, "vector", l->max_collection_vector_size_bytes);
    if (l->has_max_collection_payload_size_bytes &&
        payload_bytes(&stats) >= l->max_collection_payload_size_bytes)
        return reached(call, "payload", l->max_collection_payload_size_bytes);
    if (points && stats.points >= l->max_points_count)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST, "Max points count limit of %" PRIu64 " reached!",
                           l->max_points_count);
    return 0;
}

/* ---- sizes of vectors ---- */

static int check_multi(struct vex_call *call, const Qdrant__StrictModeMultivectorConfig *in,
                       const struct vex_vector_value *v)
{
    for (size_t i = 0; in != NULL && i < in->n_multivector_config; i++) {
        const Qdrant__StrictModeMultivectorConfig__MultivectorConfigEntry *e = in->multivector_config[i];

        if (e->value != NULL && e->value->has_max_vectors && vex_str_eq_c(v->name, e->key) &&
            v->rows > e->value->max_vectors)
            return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                               "Multivector '%.200s' has a limit of %" PRIu64 " vectors, but %" PRIu32
                               " were provided!",
                               e->key, e->value->max_vectors, v->rows);
    }
    return 0;
}

static int check_sparse(struct vex_call *call, const Qdrant__StrictModeSparseConfig *in,
                        const struct vex_vector_value *v)
{
    for (size_t i = 0; in != NULL && i < in->n_sparse_config; i++) {
        const Qdrant__StrictModeSparseConfig__SparseConfigEntry *e = in->sparse_config[i];

        if (e->value != NULL && e->value->has_max_length && vex_str_eq_c(v->name, e->key) &&
            v->count > e->value->max_length)
            return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                               "Sparse vector '%.200s' has a limit of %" PRIu64 " indices, but %" PRIu32
                               " were provided!",
                               e->key, e->value->max_length, v->count);
    }
    return 0;
}

static int check_points(struct vex_call *call, const struct vex_strict *strict,
                        const struct vex_point *points, uint32_t count)
{
    const Qdrant__StrictModeConfig *l = strict->limits;
    int code = 0;

    if (l->multivector_config == NULL && l->sparse_config == NULL)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; code == 0 && j < points[i].vector_count; j++) {
            const struct vex_vector_value *v = &points[i].vectors[j];

            if (v->kind == VEX_VECTOR_MULTI)
                code = check_multi(call, l->multivector_config, v);
            else if (v->kind == VEX_VECTOR_SPARSE)
                code = check_sparse(call, l->sparse_config, v);
        }
    return code;
}

static int check_batch(struct vex_call *call, const struct vex_strict *strict, const struct vex_point *points,
                       uint32_t count, const char *name)
{
    const Qdrant__StrictModeConfig *l = strict->limits;
    int code;

    if (l->has_upsert_max_batchsize && count > l->upsert_max_batchsize)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Limit exceeded %" PRIu32 " > %" PRIu64
                           " for \"%s\". Help: Reduce the \"%s\" parameter to or below %" PRIu64 ".",
                           count, l->upsert_max_batchsize, name, name, l->upsert_max_batchsize);
    code = check_sizes(call, strict, false);
    return code < 0 ? code : check_points(call, strict, points, count);
}

/* ---- filters and rates ---- */

static const Qdrant__PointsSelector *selector_of(const Qdrant__PointsUpdateOperation *in)
{
    switch (in->operation_case) {
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_POINTS:
        return in->delete_points->points;
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_DEPRECATED:
        return in->delete_deprecated;
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_CLEAR_PAYLOAD:
        return in->clear_payload->points;
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_CLEAR_PAYLOAD_DEPRECATED:
        return in->clear_payload_deprecated;
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_SET_PAYLOAD:
        return in->set_payload->points_selector;
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_OVERWRITE_PAYLOAD:
        return in->overwrite_payload->points_selector;
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_PAYLOAD:
        return in->delete_payload->points_selector;
    case QDRANT__POINTS_UPDATE_OPERATION__OPERATION_DELETE_VECTORS:
        return in->delete_vectors->points_selector;
    default:
        return NULL;
    }
}

/* Points that a filter may change: counted where indexes do that, else half of all, as the peer guesses. */
static int estimate(struct vex_call *call, const struct vex_strict *strict, const Qdrant__Filter *filter,
                    uint64_t *ret)
{
    struct vex_read_context context = {.arena = &call->arena, .cancelled = &call->cancelled};
    struct vex_collection_stats stats;
    struct vex_filter *lowered;
    int code;

    if (!vex_strict_unindexed(call, strict, filter)) {
        code = vex_lower_filter(call, filter, &lowered);
        return code < 0 ? code : vex_read_count(strict->collection, lowered, &context, ret, &call->err);
    }
    code = vex_collection_stats(strict->collection, &stats, &call->err);
    *ret = code == 0 ? stats.points / 2 : 0;
    return code;
}

static int consume(struct vex_call *call, const struct vex_strict *strict,
                   const Qdrant__PointsSelector *selector, const struct vex_op *op)
{
    uint64_t tokens = 1;
    int code = 0;

    if (!strict->limits->has_write_rate_limit)
        return 0;
    if (op->kind == VEX_OP_UPSERT)
        tokens = op->upsert.count;
    else if (op->kind == VEX_OP_UPDATE_VECTORS)
        tokens = op->vectors.count;
    else if (selector != NULL &&
             selector->points_selector_one_of_case == QDRANT__POINTS_SELECTOR__POINTS_SELECTOR_ONE_OF_POINTS)
        tokens = selector->points->n_ids;
    else if (selector != NULL)
        code = estimate(call, strict, selector->filter, &tokens);
    return code < 0 ? code : vex_strict_consume(call, strict, VEX_RATE_WRITE, tokens > 1 ? tokens : 1);
}

int vex_strict_write(struct vex_call *call, const struct vex_strict *strict,
                     const Qdrant__PointsUpdateOperation *operation, const struct vex_op *op)
{
    const Qdrant__StrictModeConfig *l = strict->limits;
    const Qdrant__PointsSelector *selector;
    int code = 0;

    if (l == NULL)
        return 0;
    if (op->kind == VEX_OP_UPSERT)
        code = check_batch(call, strict, op->upsert.points, op->upsert.count, "upsert limit");
    else if (op->kind == VEX_OP_UPDATE_VECTORS)
        code = check_batch(call, strict, op->vectors.points, op->vectors.count, "update limit");
    else if (op->kind == VEX_OP_SET_PAYLOAD || op->kind == VEX_OP_OVERWRITE_PAYLOAD)
        code = check_sizes(call, strict, true);
    selector = selector_of(operation);
    if (code == 0 && selector != NULL &&
        selector->points_selector_one_of_case == QDRANT__POINTS_SELECTOR__POINTS_SELECTOR_ONE_OF_FILTER)
        code = vex_strict_filter(call, strict, selector->filter,
                                 !l->has_unindexed_filtering_update || l->unindexed_filtering_update);
    return code < 0 ? code : consume(call, strict, selector, op);
}

int vex_strict_create_index(struct vex_call *call, const struct vex_strict *strict, struct vex_str field)
{
    const Qdrant__StrictModeConfig *l = strict->limits;

    if (l != NULL && l->has_max_payload_index_count && vex_config_index(strict->config, field) == NULL &&
        strict->config->index_count >= l->max_payload_index_count)
        return vex_err_set(&call->err, VEX_EBAD_REQUEST,
                           "Collection already has the maximum number of payload indices (%" PRIu64
                           "). Help: Please delete an existing index before creating a new one.",
                           l->max_payload_index_count);
    return 0;
}
