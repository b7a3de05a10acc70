/* Checking a mutation against the configuration and encoding it as one record.
 *
 * Owner     The submitting thread. Lock: none: works on a configuration snapshot.
 * Invariant What passes here can't fail for its shape when it is applied: names, kinds, dimensions, filters are checked, dense
 *           vectors stand in the record as the vector files will hold them.
 * Format    docs/disk-format.md, "mutation record". */
#include <math.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "engine/mutation_record.h"
#include "engine/point/vectors.h"
#include "engine/store/wal.h"
#include "uapi/dist.h"

struct encoder {
    const struct vex_config *config;
    struct vex_arena arena; /* scratch */
    struct vex_buf out;
    size_t op_start; /* of the operation's body in out */
    bool counted;
    struct vex_err *err;
};

/* Where the vectors of one name go. */
struct block {
    const struct vex_vector_params *params;
    uint32_t stride, count, filled;
    bool norms;
    size_t points_at, norms_at, data_at;
};

struct points_plan {
    struct vex_point *points;
    uint32_t count;
    struct block blocks[VEX_VECTORS_MAX]; /* by ordinal */
    uint64_t dense;                       /* ordinals that have a block */
};

static void pad(struct encoder *e)
{
    static const char zeros[8];

    vex_buf_add(&e->out, zeros, (8 - (e->out.len - e->op_start) % 8) % 8);
}

/* ---- checks ---- */

static int bad_name(struct encoder *e, struct vex_str name)
{
    e->counted = true;
    return vex_err_set(e->err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                       VEX_STR_ARG(name));
}

static bool all_finite(const float *values, size_t count)
{
    /* A sum of x - x is 0 or NaN: no branch in the loop. */
    float sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += values[i] - values[i];
    return sum == 0;
}

static int check_kind(struct encoder *e, const struct vex_vector_params *params, enum vex_vector_kind kind)
{
    if (params->kind == kind)
        return 0;
    e->counted = true;
    return vex_err_set(e->err, VEX_EBAD_INPUT, "Conversion between %s and regular vectors failed",
                       params->kind == VEX_VECTOR_SPARSE || kind == VEX_VECTOR_SPARSE ? "sparse" : "multi");
}

static int check_vector(struct encoder *e, const struct vex_vector_params *params,
                        const struct vex_vector_value *v)
{
    uint64_t values = v->kind == VEX_VECTOR_MULTI ? (uint64_t)v->rows * v->count : v->count;
    int rc = check_kind(e, params, v->kind);

    if (rc != 0)
        return rc;
    if (params->kind != VEX_VECTOR_SPARSE && params->size == 0)
        return vex_err_set(e->err, VEX_EPRECONDITION,
                           "Dimension of vector `" VEX_STR_FMT "` is not known yet", VEX_STR_ARG(v->name));
    if (params->kind == VEX_VECTOR_MULTI && v->rows == 0)
        return vex_err_set(e->err, VEX_EBAD_INPUT, "Multivector must have at least one row");
    if (params->kind != VEX_VECTOR_SPARSE && v->count != params->size)
        return vex_err_set(e->err, VEX_EBAD_INPUT, "Vector dimension error: expected dim: %u, got %u",
                           params->size, v->count);
    if (values > VEX_WAL_BODY_MAX / sizeof(float))
        return vex_err_set(e->err, VEX_ETOO_LARGE, "Vector has too many values");
    if (!all_finite(v->values, (size_t)values)) {
        e->counted = true; /* the peer takes them */
        return vex_err_set(e->err, VEX_EBAD_INPUT, "Vector values must be finite numbers");
    }
    return 0;
}

static int check_id(struct encoder *e, const struct vex_id *id)
{
    if (id->kind == VEX_ID_TEXT && (id->text.len == 0 || id->text.len > VEX_ID_TEXT_MAX))
        return vex_err_set(e->err, VEX_EBAD_INPUT, "Point id must have 1 to %d bytes", VEX_ID_TEXT_MAX);
    return 0;
}

static uint64_t vector_bit(void *arg, struct vex_str name)
{
    const struct vex_vector_params *params = vex_config_vector(arg, name);

    return params != NULL ? UINT64_C(1) << params->ordinal : 0;
}

/* A filter that can't be bound must not reach the log. */
static int check_filter(struct encoder *e, struct vex_filter *filter)
{
    struct vex_filter_binding binding = {
        .arena = &e->arena, .vector_bit = vector_bit, .arg = (void *)(uintptr_t)e->config};
    int rc;

    if (filter == NULL)
        return 0;
    rc = vex_filter_bind(filter, &binding, e->err);
    vex_filter_unbind(&binding);
    return rc;
}

/* ---- points ---- */

/* Vector `i` of the point counts: its parameters; NULL when a later one of the same name does. */
static const struct vex_vector_params *effective(struct encoder *e, const struct vex_vector_value *v,
                                                 uint64_t *seen)
{
    const struct vex_vector_params *params = vex_config_vector(e->config, v->name);
    uint64_t bit;

    if (params == NULL)
        return NULL;
    bit = UINT64_C(1) << params->ordinal;
    if ((*seen & bit) != 0)
        return NULL;
    *seen |= bit;
    return params;
}

static uint64_t extra_size(const struct vex_vector_value *v)
{
    return 32 + (uint64_t)v->count * 8 * (v->kind == VEX_VECTOR_MULTI ? v->rows : 1);
}

static int plan_point(struct encoder *e, struct points_plan *plan, const struct vex_point *point,
                      uint64_t *size)
{
    uint64_t seen = 0;
    int rc = check_id(e, &point->id);

    *size += 48 + (point->id.kind == VEX_ID_TEXT ? point->id.text.len : 0) + point->payload.len;
    for (uint32_t i = 0; i < point->vector_count && rc == 0; i++) {
        const struct vex_vector_value *v = &point->vectors[i];
        const struct vex_vector_params *params = vex_config_vector(e->config, v->name);

        if (params == NULL)
            return bad_name(e, v->name);
        rc = check_vector(e, params, v);
        if (params->kind != VEX_VECTOR_DENSE)
            *size += extra_size(v);
    }
    for (uint32_t i = point->vector_count; i-- > 0 && rc == 0;) {
        const struct vex_vector_params *params = effective(e, &point->vectors[i], &seen);
        struct block *block;

        if (params == NULL || params->kind != VEX_VECTOR_DENSE)
            continue;
        block = &plan->blocks[params->ordinal];
        if (block->count++ == 0) {
            block->params = params;
            block->stride = vex_vectors_stride(params);
            block->norms = params->name.len == 0 && params->distance == VEX_DISTANCE_COSINE;
            plan->dense |= UINT64_C(1) << params->ordinal;
        }
        *size += block->stride + 8;
    }
    return rc;
}

/* Room for all that is coming, or VEX_ENO_MEMORY; later appends find it there. */
static int reserve(struct encoder *e, uint64_t size)
{
    size_t need;
    char *ptr;

    if (size > VEX_WAL_BODY_MAX || e->out.len + size > VEX_WAL_BODY_MAX)
        return vex_err_set(e->err, VEX_ETOO_LARGE, "Update is larger than %u bytes", VEX_WAL_BODY_MAX);
    need = e->out.len + (size_t)size;
    if (need <= e->out.cap)
        return 0;
    if (need < e->out.cap * 2)
        need = e->out.cap * 2;
    ptr = vex_mem_try(need);
    if (ptr == NULL)
        return vex_err_set(e->err, VEX_ENO_MEMORY, "Not enough memory for an update of %llu bytes",
                           (unsigned long long)size);
    if (e->out.len > 0)
        memcpy(ptr, e->out.ptr, e->out.len);
    vex_mem_free(e->out.ptr);
    e->out.ptr = ptr;
    e->out.cap = need;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* Sparse entries by rising index. */
static void sort_sparse(struct encoder *e, const struct vex_vector_value *v, struct vex_extra_vector *ret)
{
    uint32_t *indices = VEX_ARENA_ARRAY(&e->arena, uint32_t, v->count + 1u);
    float *values = VEX_ARENA_ARRAY(&e->arena, float, v->count + 1u);
    uint32_t(*pairs)[2] = vex_arena_zarray(&e->arena, sizeof *pairs, v->count + 1u);

    for (uint32_t i = 0; i < v->count; i++) {
        pairs[i][0] = v->indices[i];
        memcpy(&pairs[i][1], &v->values[i], sizeof(float));
    }
    qsort(pairs, v->count, sizeof *pairs, compare_entries);
    for (uint32_t i = 0; i < v->count; i++) {
        indices[i] = pairs[i][0];
        memcpy(&values[i], &pairs[i][1], sizeof(float));
    }
    ret->indices = indices;
    ret->values = values;
}

/* Rows are stored as f32, with no more in them than the element type holds. Of bytes the cosine is that of the bytes. */
static void settle_rows(struct encoder *e, const struct vex_vector_params *params,
                        const struct vex_vector_value *v, struct vex_extra_vector *ret)
{
    size_t count = (size_t)v->rows * v->count;
    bool normalised = params->distance == VEX_DISTANCE_COSINE, bytes = params->element == VEX_ELEMENT_U8;
    float *values;
    uint16_t stored; /* the greatest element that is not a float */

    if (!normalised && params->element == VEX_ELEMENT_F32)
        return;
    values = vex_arena_dup(&e->arena, v->values, sizeof(float) * count);
    for (size_t i = 0; i < count && bytes; i++) {
        vex_dist_encode(params->element, &values[i], &stored, 1);
        vex_dist_decode(params->element, &stored, &values[i], 1);
    }
    for (uint32_t r = 0; r < v->rows && normalised; r++)
        vex_dist_normalise(values + (size_t)r * v->count, v->count);
    for (size_t i = 0; i < count && params->element == VEX_ELEMENT_F16; i++) {
        vex_dist_encode(params->element, &values[i], &stored, 1);
        vex_dist_decode(params->element, &stored, &values[i], 1);
    }
    ret->values = values;
}

static uint32_t collect_extras(struct encoder *e, const struct vex_point *point,
                               struct vex_extra_vector *extras)
{
    uint64_t seen = 0;
    uint32_t count = 0;

    for (uint32_t i = point->vector_count; i-- > 0;) {
        const struct vex_vector_value *v = &point->vectors[i];
        const struct vex_vector_params *params = effective(e, v, &seen);
        struct vex_extra_vector *extra;

        if (params == NULL || params->kind == VEX_VECTOR_DENSE)
            continue;
        extra = &extras[count++];
        *extra = (struct vex_extra_vector){.ordinal = params->ordinal,
                                           .kind = params->kind,
                                           .rows = v->rows,
                                           .count = v->count,
                                           .values = v->values};
        if (params->kind == VEX_VECTOR_SPARSE)
            sort_sparse(e, v, extra);
        else
            settle_rows(e, params, v, extra);
    }
    return count;
}

static void encode_blobs(struct encoder *e, const struct vex_point *points, uint32_t count, bool payloads)
{
    size_t lens_at = e->out.len;
    struct vex_extra_vector extras[VEX_VECTORS_MAX];

    for (uint32_t i = 0; i < count; i++)
        vex_buf_add_u32(&e->out, 0);
    pad(e);
    for (uint32_t i = 0; i < count; i++) {
        struct vex_value payload = {payloads ? (const uint8_t *)points[i].payload.ptr : NULL};
        uint32_t extra_count = collect_extras(e, &points[i], extras);
        size_t at = e->out.len;
        uint32_t len;

        if (payload.at == NULL && extra_count == 0)
            continue;
        vex_blob_build(&e->out, payload, extras, extra_count);
        len = (uint32_t)(e->out.len - at);
        memcpy(e->out.ptr + lens_at + 4 * (size_t)i, &len, sizeof len);
        pad(e);
        if (extra_count > 0)
            vex_arena_reset(&e->arena);
    }
}

static void encode_block_heads(struct encoder *e, struct points_plan *plan)
{
    for (uint64_t left = plan->dense; left != 0; left &= left - 1) {
        struct block *block = &plan->blocks[__builtin_ctzll(left)];

        vex_buf_add_u8(&e->out, block->params->ordinal);
        vex_buf_add_u8(&e->out, block->norms);
        vex_buf_add_u8(&e->out, 0);
        vex_buf_add_u8(&e->out, 0);
        vex_buf_add_u32(&e->out, block->stride);
        vex_buf_add_u32(&e->out, block->count);
        vex_buf_add_u32(&e->out, 0);
        vex_buf_reserve(&e->out, (size_t)block->count * (8 + block->stride) + 16);
        block->points_at = e->out.len;
        block->norms_at = block->points_at + 4 * (size_t)block->count;
        e->out.len = block->norms_at + (block->norms ? 4 * (size_t)block->count : 0);
        pad(e);
        block->data_at = e->out.len;
        e->out.len += (size_t)block->count * block->stride; /* a multiple of 32 */
    }
}

/* One pass over the client's floats: convert in place, then the checksum while they are in the cache. */
static void encode_vectors(struct encoder *e, struct points_plan *plan, size_t checks_at)
{
    for (uint32_t p = 0; p < plan->count; p++) {
        const struct vex_point *point = &plan->points[p];
        uint64_t seen = 0, dense = 0;
        uint32_t check = 0;

        for (uint32_t i = point->vector_count; i-- > 0;) {
            const struct vex_vector_params *params = effective(e, &point->vectors[i], &seen);
            struct block *block;
            float norm;

            if (params == NULL || params->kind != VEX_VECTOR_DENSE)
                continue;
            block = &plan->blocks[params->ordinal];
            dense |= UINT64_C(1) << params->ordinal;
            norm = vex_vectors_encode(params, point->vectors[i].values,
                                      e->out.ptr + block->data_at + (size_t)block->filled * block->stride);
            memcpy(e->out.ptr + block->points_at + 4 * (size_t)block->filled, &p, sizeof p);
            if (block->norms)
                memcpy(e->out.ptr + block->norms_at + 4 * (size_t)block->filled, &norm, sizeof norm);
            block->filled++;
        }
        for (; dense != 0; dense &= dense - 1) {
            const struct block *block = &plan->blocks[__builtin_ctzll(dense)];
            check =
                vex_crc32c(check, e->out.ptr + block->data_at + (size_t)(block->filled - 1) * block->stride,
                           block->stride);
        }
        memcpy(e->out.ptr + checks_at + 4 * (size_t)p, &check, sizeof check);
    }
}

static void encode_filter(struct encoder *e, const struct vex_filter *filter)
{
    size_t at = e->out.len;
    uint32_t len;

    vex_buf_add_u32(&e->out, 0);
    if (filter != NULL)
        vex_filter_encode(&e->out, filter);
    len = (uint32_t)(e->out.len - at - 4);
    memcpy(e->out.ptr + at, &len, sizeof len);
}

/* Ids with the length of all of them before. */
static void encode_ids_begin(struct encoder *e, size_t *ret_at)
{
    *ret_at = e->out.len;
    vex_buf_add_u32(&e->out, 0);
}

static void encode_ids_end(struct encoder *e, size_t at)
{
    uint32_t len = (uint32_t)(e->out.len - at - 4);

    memcpy(e->out.ptr + at, &len, sizeof len);
}

static int encode_points(struct encoder *e, struct points_plan *plan, uint8_t mode, bool merge, bool payloads,
                         struct vex_filter *filter)
{
    uint64_t size = 256 + 64 * (uint64_t)VEX_VECTORS_MAX;
    size_t at, checks_at;
    int rc = check_filter(e, filter);

    for (uint32_t i = 0; i < plan->count && rc == 0; i++)
        rc = plan_point(e, plan, &plan->points[i], &size);
    if (rc == 0)
        rc = reserve(e, size);
    if (rc != 0)
        return rc;
    vex_buf_add_u8(&e->out, mode);
    vex_buf_add_u8(&e->out, merge);
    vex_buf_add_u8(&e->out, (uint8_t)__builtin_popcountll(plan->dense));
    vex_buf_add_u8(&e->out, 0);
    vex_buf_add_u32(&e->out, plan->count);
    encode_ids_begin(e, &at);
    for (uint32_t i = 0; i < plan->count; i++)
        vex_id_encode(&e->out, &plan->points[i].id);
    encode_ids_end(e, at);
    encode_filter(e, filter);
    pad(e);
    checks_at = e->out.len;
    for (uint32_t i = 0; i < plan->count; i++)
        vex_buf_add_u32(&e->out, 0);
    encode_blobs(e, plan->points, plan->count, payloads);
    encode_block_heads(e, plan);
    encode_vectors(e, plan, checks_at);
    return 0;
}

/* ---- the other operations ---- */

static int encode_selector(struct encoder *e, const struct vex_selector *selector)
{
    uint32_t count = selector->filter != NULL ? 0 : selector->count;
    uint64_t size = 64;
    size_t at;
    int rc = check_filter(e, selector->filter);

    for (uint32_t i = 0; i < count && rc == 0; i++) {
        rc = check_id(e, &selector->ids[i]);
        size += 32 + (selector->ids[i].kind == VEX_ID_TEXT ? selector->ids[i].text.len : 0);
    }
    if (rc == 0)
        rc = reserve(e, size);
    if (rc != 0)
        return rc;
    vex_buf_add_u32(&e->out, selector->filter != NULL);
    vex_buf_add_u32(&e->out, count);
    vex_buf_add_u64(&e->out, selector->limit);
    if (selector->filter != NULL) {
        encode_filter(e, selector->filter);
        return 0;
    }
    encode_ids_begin(e, &at);
    for (uint32_t i = 0; i < count; i++)
        vex_id_encode(&e->out, &selector->ids[i]);
    encode_ids_end(e, at);
    return 0;
}

static int encode_payload(struct encoder *e, const struct vex_op *op)
{
    static const char empty_map[] = "\xa0";
    struct vex_str payload = op->payload.payload.ptr != NULL ? op->payload.payload : vex_str(empty_map, 1);
    int rc = encode_selector(e, &op->payload.selector);

    if (rc == 0)
        rc = reserve(e, payload.len + 64);
    if (rc != 0)
        return rc;
    vex_buf_add_str32(&e->out, payload);
    vex_record_put_path(&e->out, &op->payload.key);
    return 0;
}

static int encode_keys(struct encoder *e, const struct vex_op *op)
{
    int rc = encode_selector(e, &op->keys.selector);

    if (rc != 0)
        return rc;
    vex_buf_add_u32(&e->out, op->keys.count);
    for (uint32_t i = 0; i < op->keys.count; i++)
        vex_record_put_path(&e->out, &op->keys.keys[i]);
    return 0;
}

static int encode_vector_names(struct encoder *e, const struct vex_op *op)
{
    uint64_t mask = 0;
    int rc;

    for (uint32_t i = 0; i < op->vector_names.count; i++) {
        const struct vex_vector_params *params = vex_config_vector(e->config, op->vector_names.names[i]);
        if (params == NULL)
            return bad_name(e, op->vector_names.names[i]);
        mask |= UINT64_C(1) << params->ordinal;
    }
    rc = encode_selector(e, &op->vector_names.selector);
    if (rc == 0)
        vex_buf_add_u64(&e->out, mask);
    return rc;
}

static int encode_op_body(struct encoder *e, const struct vex_op *op)
{
    struct points_plan plan = {0};

    switch (op->kind) {
    case VEX_OP_UPSERT:
        plan.points = op->upsert.points;
        plan.count = op->upsert.count;
        return encode_points(e, &plan, (uint8_t)op->upsert.mode, op->upsert.merge, true,
                             op->upsert.update_filter);
    case VEX_OP_UPDATE_VECTORS:
        plan.points = op->vectors.points;
        plan.count = op->vectors.count;
        return encode_points(e, &plan, VEX_UPSERT, false, false, op->vectors.update_filter);
    case VEX_OP_DELETE:
    case VEX_OP_CLEAR_PAYLOAD:
        return encode_selector(e, &op->remove);
    case VEX_OP_SET_PAYLOAD:
    case VEX_OP_OVERWRITE_PAYLOAD:
        return encode_payload(e, op);
    case VEX_OP_DELETE_PAYLOAD:
        return encode_keys(e, op);
    case VEX_OP_DELETE_VECTORS:
        return encode_vector_names(e, op);
    case VEX_OP_NOP:
        return 0;
    }
    return vex_err_set(e->err, VEX_EINTERNAL, "unknown kind of operation %d", (int)op->kind);
}

static bool is_urgent(enum vex_op_kind kind)
{
    switch (kind) {
#define VEX_OP(id, number, urgent, what)                                                                     \
    case number:                                                                                             \
        return urgent;
#include "engine/mutation.def"
#undef VEX_OP
    }
    return false;
}

static int encode_op(struct encoder *e, const struct vex_op *op)
{
    uint32_t len;
    int rc;

    vex_buf_add_u32(&e->out, (uint32_t)op->kind);
    vex_buf_add_u32(&e->out, 0);
    e->op_start = e->out.len;
    rc = encode_op_body(e, op);
    if (rc != 0)
        return rc;
    pad(e);
    if (e->out.len > VEX_WAL_BODY_MAX)
        return vex_err_set(e->err, VEX_ETOO_LARGE, "Update is larger than %u bytes", VEX_WAL_BODY_MAX);
    len = (uint32_t)(e->out.len - e->op_start);
    memcpy(e->out.ptr + e->op_start - 4, &len, sizeof len);
    return 0;
}

int vex_record_encode(const struct vex_config *config, const struct vex_mutation *mutation, char **ret,
                      size_t *ret_len, bool *ret_urgent, bool *ret_counted, struct vex_err *err)
{
    struct encoder e = {.config = config, .err = err};
    bool urgent = true;
    int rc = 0;

    *ret_counted = false;
    if (mutation->count > VEX_RECORD_OPS_MAX)
        return vex_err_set(err, VEX_ETOO_LARGE, "More than %u operations in one update", VEX_RECORD_OPS_MAX);
    vex_arena_init(&e.arena, 0);
    vex_buf_init(&e.out, NULL);
    vex_buf_add_u32(&e.out, VEX_RECORD_VERSION);
    vex_buf_add_u32(&e.out, mutation->count);
    for (uint32_t i = 0; i < mutation->count && rc == 0; i++) {
        urgent = urgent && is_urgent(mutation->ops[i].kind);
        rc = encode_op(&e, &mutation->ops[i]);
    }
    vex_arena_done(&e.arena);
    *ret_counted = rc != 0 && e.counted;
    if (rc != 0) {
        vex_buf_done(&e.out);
        return rc;
    }
    *ret = e.out.ptr;
    *ret_len = e.out.len;
    *ret_urgent = urgent;
    return 0;
}
