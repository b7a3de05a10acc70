/* 7-bit codes: training, encoding, scalar distances, choice of the machine's kernels. See codes.h. */
#include "engine/index/codes.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/codes_kernels.h"

#define CODE_MAX  127
#define KEPT      0.999999 /* part of the sample's elements that the scale does not cut off */
#define PICKS_MAX 65536    /* elements looked at for that */

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

bool vex_code_kernels_at(uint32_t index, enum vex_distance distance, struct vex_code_kernels *ret)
{
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

struct vex_code_kernels vex_code_kernels(enum vex_distance distance)
{
    struct vex_code_kernels best = {0};

    for (uint32_t i = 0; vex_code_kernels_at(i, distance, &best); i++)
        continue;
    return best;
}

void vex_codes_init(struct vex_codes *codes, uint32_t dimensions, enum vex_distance distance)
{
    *codes = (struct vex_codes){
        .dimensions = dimensions,
        .stride = (dimensions + 63) / 64 * 64,
        .distance = distance,
        .offsets = vex_mem_zalloc(dimensions * sizeof(float)),
        .kernels = vex_code_kernels(distance),
    };
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
    if (codes->distance == VEX_DISTANCE_DOT) /* products are about the origin */
        return;
    for (uint32_t d = 0; d < codes->dimensions; d++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += (double)sample[i * codes->dimensions + d];
        codes->offsets[d] = (float)(sum / (double)count);
        if (!isfinite(codes->offsets[d]))
            codes->offsets[d] = 0;
    }
}

void vex_codes_train(struct vex_codes *codes, const float *sample, size_t count)
{
    size_t elements = count * codes->dimensions;
    size_t step = elements / PICKS_MAX | 1; /* odd: meets all dimensions */
    size_t picks = elements / step;
    float *sizes;

    codes->scale = 1;
    memset(codes->offsets, 0, codes->dimensions * sizeof *codes->offsets);
    if (elements == 0)
        return;
    find_offsets(codes, sample, count);
    sizes = vex_mem_alloc(picks * sizeof *sizes);
    for (size_t i = 0; i < picks; i++)
        sizes[i] = fabsf(sample[i * step] - codes->offsets[i * step % codes->dimensions]);
    qsort(sizes, picks, sizeof *sizes, by_size);
    codes->scale = sizes[(size_t)((double)(picks - 1) * KEPT)] / (CODE_MAX - VEX_CODE_CENTRE);
    if (!(codes->scale > 1e-30f) || !isfinite(codes->scale))
        codes->scale = 1;
    vex_mem_free(sizes);
}

void vex_codes_encode(const struct vex_codes *codes, const float *vector, uint8_t *ret)
{
    float factor = 1.0f / codes->scale;

    for (uint32_t i = 0; i < codes->dimensions; i++) {
        float v = (vector[i] - codes->offsets[i]) * factor + (VEX_CODE_CENTRE + 0.5f);
        v = v > 0 ? v : 0; /* NaN too */
        ret[i] = (uint8_t)(int32_t)(v < CODE_MAX ? v : CODE_MAX);
    }
    memset(ret + codes->dimensions, VEX_CODE_CENTRE, codes->stride - codes->dimensions);
}

uint32_t vex_codes_clamped(const struct vex_codes *codes, const float *vector)
{
    float bound = codes->scale * (CODE_MAX - VEX_CODE_CENTRE + 1);
    uint32_t count = 0;

    for (uint32_t i = 0; i < codes->dimensions; i++)
        count += !(fabsf(vector[i] - codes->offsets[i]) <= bound);
    return count;
}

void vex_codes_save(const struct vex_codes *codes, struct vex_buf *out)
{
    vex_buf_add(out, &codes->scale, sizeof codes->scale);
    vex_buf_add(out, codes->offsets, codes->dimensions * sizeof *codes->offsets);
}

bool vex_codes_load(struct vex_codes *codes, struct vex_cursor *c)
{
    const void *scale = vex_cursor_bytes(c, sizeof codes->scale);
    const void *offsets = vex_cursor_bytes(c, codes->dimensions * sizeof *codes->offsets);

    if (scale == NULL || offsets == NULL)
        return false;
    memcpy(&codes->scale, scale, sizeof codes->scale);
    memcpy(codes->offsets, offsets, codes->dimensions * sizeof *codes->offsets);
    for (uint32_t i = 0; i < codes->dimensions; i++)
        if (!isfinite(codes->offsets[i]))
            return false;
    return isfinite(codes->scale) && codes->scale > 1e-30f;
}
