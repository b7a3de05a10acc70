/* Codes: life, choice of kind and of the machine's kernels; 7 bits: training, coding, scalar distances. See codes.h. */
#include "engine/index/codes.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/codes_kernels.h"

#define CODE_MAX  127
#define KEPT      0.999999 /* part of the sample's elements that the scale does not cut off */
#define PICKS_MAX 65536    /* elements looked at for that */
#define FITTING   0.999    /* part of the sample's vectors that fit for sure */
#define BEYOND    4        /* and others that have so many times the excess of these */

VEX_CODE_RACY static uint32_t l2_scalar(const uint8_t *a, const uint8_t *b, size_t stride)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < stride; i++) {
        int32_t d = (int32_t)a[i] - b[i];
        sum += (uint32_t)(d * d);
    }
    return sum & INT32_MAX; /* codes of garbage may sum up to more */
}

VEX_CODE_RACY static uint32_t l1_scalar(const uint8_t *a, const uint8_t *b, size_t stride)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < stride; i++)
        sum += (uint32_t)abs((int)a[i] - b[i]);
    return sum;
}

VEX_CODE_RACY static uint32_t dot_scalar(const uint8_t *a, const uint8_t *b, size_t stride)
{
    int32_t sum = 0;

    for (size_t i = 0; i < stride; i++)
        sum += ((int32_t)a[i] - VEX_CODE_CENTRE) * ((int32_t)b[i] - VEX_CODE_CENTRE);
    return (VEX_CODE_DOT_ZERO - (uint32_t)sum) & INT32_MAX;
}

static void l2_scalar4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    for (int i = 0; i < 4; i++)
        ret[i] = l2_scalar(a, b[i], stride);
}

static void l1_scalar4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    for (int i = 0; i < 4; i++)
        ret[i] = l1_scalar(a, b[i], stride);
}

static void dot_scalar4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    for (int i = 0; i < 4; i++)
        ret[i] = dot_scalar(a, b[i], stride);
}

bool vex_code_kernels_at(uint32_t index, enum vex_distance distance, enum vex_code_kind kind,
                         struct vex_code_kernels *ret)
{
    if (kind != VEX_CODES_7_BITS) {
        if (index > 0)
            return vex_code_bits_x86(index - 1, kind, ret);
        *ret = vex_code_bits_scalar(kind);
        return true;
    }
    if (index > 0)
        return vex_code_kernels_x86(index - 1, distance, ret);
    switch (distance) {
    case VEX_DISTANCE_L1:
        *ret = (struct vex_code_kernels){"scalar", l1_scalar, l1_scalar4};
        break;
    case VEX_DISTANCE_DOT:
        *ret = (struct vex_code_kernels){"scalar", dot_scalar, dot_scalar4};
        break;
    default:
        *ret = (struct vex_code_kernels){"scalar", l2_scalar, l2_scalar4};
    }
    return true;
}

struct vex_code_kernels vex_code_kernels(enum vex_distance distance, enum vex_code_kind kind)
{
    struct vex_code_kernels best = {0};

    for (uint32_t i = 0; vex_code_kernels_at(i, distance, kind, &best); i++)
        continue;
    return best;
}

bool vex_code_params_same(const struct vex_code_params *a, const struct vex_code_params *b)
{
    return a->kind == b->kind &&
           (a->kind != VEX_CODES_7_BITS || memcmp(&a->quantile, &b->quantile, sizeof a->quantile) == 0);
}

uint32_t vex_codes_stride(uint32_t dimensions, enum vex_code_kind kind)
{
    uint32_t bytes = vex_code_bits_padded(dimensions, kind) / 8;

    if (kind == VEX_CODES_7_BITS)
        return (dimensions + 63) / 64 * 64;
    bytes += kind == VEX_CODES_1_5_BITS ? bytes / 2 : kind == VEX_CODES_2_BITS ? bytes : 0;
    return ((uint32_t)VEX_CODE_BITS_AT + bytes + 31) / 32 * 32;
}

void vex_codes_init(struct vex_codes *codes, uint32_t dimensions, enum vex_distance distance,
                    const struct vex_code_params *params)
{
    *codes = (struct vex_codes){
        .dimensions = dimensions,
        .distance = distance,
        .offsets = vex_mem_zalloc(dimensions * sizeof(float)),
    };
    if (params != NULL)
        codes->params = *params;
    codes->stride = codes->query_size = vex_codes_stride(dimensions, codes->params.kind);
    if (codes->params.kind != VEX_CODES_7_BITS)
        vex_code_bits_init(codes);
    codes->kernels = vex_code_kernels(distance, codes->params.kind);
}

void vex_codes_done(struct vex_codes *codes)
{
    vex_mem_free(codes->offsets);
    *codes = (struct vex_codes){0};
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static void find_offsets(struct vex_codes *codes, const float *sample, size_t count)
{
    if (codes->distance == VEX_DISTANCE_DOT && codes->params.kind == VEX_CODES_7_BITS)
        return; /* products are about the origin */
    for (uint32_t d = 0; d < codes->dimensions; d++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += (double)sample[i * codes->dimensions + d];
        codes->offsets[d] = (float)(sum / (double)count);
        if (!isfinite(codes->offsets[d]))
            codes->offsets[d] = 0;
    }
}

/* Without a say of the sample: cutting costs a vector no more than a dozen times what rounding does (a twelfth of a step squared, for
 * every dimension). */
static float least_excess(const struct vex_codes *codes)
{
    return codes->params.kind == VEX_CODES_7_BITS ? (float)codes->dimensions : 0;
}

/* A quantile may cut much off of ordinary vectors: the sample says how much is ordinary. */
static void find_excess(struct vex_codes *codes, const float *sample, size_t count)
{
    float *all = vex_mem_alloc(count * sizeof *all), ordinary;

    for (size_t i = 0; i < count; i++) {
        all[i] = vex_codes_excess(codes, sample + i * codes->dimensions);
        if (!(all[i] <= FLT_MAX / BEYOND))
            all[i] = FLT_MAX / BEYOND; /* orders NaN too */
    }
    qsort(all, count, sizeof *all, by_size);
    ordinary = BEYOND * all[(size_t)((double)(count - 1) * FITTING)];
    codes->excess_max = ordinary > least_excess(codes) ? ordinary : least_excess(codes);
    vex_mem_free(all);
}

static void find_scale(struct vex_codes *codes, const float *sample, size_t count)
{
    size_t elements = count * codes->dimensions;
    size_t step = elements / PICKS_MAX | 1; /* odd: meets all dimensions */
    size_t picks = elements / step;
    double kept = codes->params.quantile > 0 ? (double)codes->params.quantile : KEPT;
    float *sizes = vex_mem_alloc(picks * sizeof *sizes);

    for (size_t i = 0; i < picks; i++)
        sizes[i] = fabsf(sample[i * step] - codes->offsets[i * step % codes->dimensions]);
    qsort(sizes, picks, sizeof *sizes, by_size);
    codes->scale = sizes[(size_t)((double)(picks - 1) * kept)] / (CODE_MAX - VEX_CODE_CENTRE);
    if (codes->params.headroom > 0)
        codes->scale *= codes->params.headroom;
    if (!(codes->scale > 1e-30f) || !isfinite(codes->scale))
        codes->scale = 1;
    vex_mem_free(sizes);
}

void vex_codes_train(struct vex_codes *codes, const float *sample, size_t count)
{
    codes->scale = 1;
    codes->excess_max = least_excess(codes);
    memset(codes->offsets, 0, codes->dimensions * sizeof *codes->offsets);
    if (count == 0)
        return;
    find_offsets(codes, sample, count);
    if (codes->params.kind == VEX_CODES_7_BITS)
        find_scale(codes, sample, count);
    else
        vex_code_bits_train(codes, sample, count);
    find_excess(codes, sample, count);
}

static void encode(const struct vex_codes *codes, const float *vector, float factor, uint8_t *ret)
{
    for (uint32_t i = 0; i < codes->dimensions; i++) {
        float v = (vector[i] - codes->offsets[i]) * factor + (VEX_CODE_CENTRE + 0.5f);
        v = v > 0 ? v : 0; /* NaN too */
        ret[i] = (uint8_t)(int32_t)(v < CODE_MAX ? v : CODE_MAX);
    }
    memset(ret + codes->dimensions, VEX_CODE_CENTRE, codes->stride - codes->dimensions);
}

void vex_codes_encode(const struct vex_codes *codes, const float *vector, uint8_t *ret)
{
    if (codes->params.kind == VEX_CODES_7_BITS)
        encode(codes, vector, 1.0f / codes->scale, ret);
    else
        vex_code_bits_encode(codes, vector, ret);
}

/* That brings a vector's largest element to the end of the codes' range. */
static float whole_range(const struct vex_codes *codes, const float *vector)
{
    float most = 0;

    for (uint32_t i = 0; i < codes->dimensions; i++)
        most = fabsf(vector[i]) > most ? fabsf(vector[i]) : most;
    return most > 1e-30f && isfinite(most) ? (CODE_MAX - VEX_CODE_CENTRE) / most : 1.0f / codes->scale;
}

void vex_codes_query(const struct vex_codes *codes, const float *vector, uint8_t *ret)
{
    if (codes->params.kind != VEX_CODES_7_BITS)
        vex_code_bits_query(codes, vector, ret);
    else if (codes->distance == VEX_DISTANCE_DOT)
        encode(codes, vector, whole_range(codes, vector), ret);
    else
        vex_codes_encode(codes, vector, ret);
}

const uint8_t *vex_codes_as_query(const struct vex_codes *codes, const uint8_t *code, uint8_t *buffer)
{
    if (codes->params.kind == VEX_CODES_7_BITS)
        return code;
    vex_code_bits_as_query(codes, code, buffer);
    return buffer;
}

float vex_codes_distance(const struct vex_codes *codes, uint32_t distance)
{
    float squares = codes->scale * codes->scale;

    if (codes->params.kind != VEX_CODES_7_BITS)
        return vex_code_bits_distance(codes, distance);
    switch (codes->distance) {
    case VEX_DISTANCE_L1:
        return (float)distance * codes->scale;
    case VEX_DISTANCE_DOT:
        return (float)((int32_t)distance - (int32_t)VEX_CODE_DOT_ZERO) * squares;
    case VEX_DISTANCE_COSINE: /* of unit vectors */
        return (float)distance * squares / 2 - 1;
    default:
        return (float)distance * squares;
    }
}

float vex_codes_excess(const struct vex_codes *codes, const float *vector)
{
    bool bits = codes->params.kind != VEX_CODES_7_BITS;
    float bound = bits ? 0 : codes->scale * (CODE_MAX - VEX_CODE_CENTRE),
          factor = bits ? 1 : 1.0f / codes->scale;
    float sum = 0;

    for (uint32_t i = 0; i < codes->dimensions; i++) {
        float beyond = (fabsf(vector[i] - codes->offsets[i]) - bound) * factor;
        sum += beyond <= 0 ? 0 : beyond * beyond;
    }
    return sum;
}

bool vex_codes_fit(const struct vex_codes *codes, const float *vector)
{
    return vex_codes_excess(codes, vector) <= codes->excess_max;
}

void vex_codes_save(const struct vex_codes *codes, struct vex_buf *out)
{
    vex_buf_add_u32(out, codes->params.kind);
    vex_buf_add(out, &codes->params.quantile, sizeof codes->params.quantile);
    vex_buf_add(out, &codes->scale, sizeof codes->scale);
    vex_buf_add(out, &codes->excess_max, sizeof codes->excess_max);
    vex_buf_add(out, codes->offsets, codes->dimensions * sizeof *codes->offsets);
}

static bool load_params(struct vex_code_params *ret, struct vex_cursor *c)
{
    uint32_t kind = vex_cursor_u32(c);
    const void *quantile = vex_cursor_bytes(c, sizeof ret->quantile);

    if (quantile == NULL || kind >= VEX_CODES_COUNT)
        return false;
    *ret = (struct vex_code_params){.kind = (enum vex_code_kind)kind};
    memcpy(&ret->quantile, quantile, sizeof ret->quantile);
    return true;
}

bool vex_codes_peek(struct vex_code_params *ret, const char *saved, size_t len)
{
    struct vex_cursor c = vex_cursor(saved, len);

    return load_params(ret, &c);
}

bool vex_codes_load(struct vex_codes *codes, struct vex_cursor *c)
{
    struct vex_code_params params;
    bool known = load_params(&params, c);
    const void *scale = vex_cursor_bytes(c, sizeof codes->scale);
    const void *excess_max = vex_cursor_bytes(c, sizeof codes->excess_max);
    const void *offsets = vex_cursor_bytes(c, codes->dimensions * sizeof *codes->offsets);

    if (!known || scale == NULL || excess_max == NULL || offsets == NULL)
        return false;
    if (!vex_code_params_same(&params, &codes->params))
        return false;
    memcpy(&codes->scale, scale, sizeof codes->scale);
    memcpy(&codes->excess_max, excess_max, sizeof codes->excess_max);
    memcpy(codes->offsets, offsets, codes->dimensions * sizeof *codes->offsets);
    for (uint32_t i = 0; i < codes->dimensions; i++)
        if (!isfinite(codes->offsets[i]))
            return false;
    return isfinite(codes->scale) && codes->scale > 1e-30f && codes->excess_max >= 0;
}
