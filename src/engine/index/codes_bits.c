/* Codes of 1, 1.5 and 2 bits a dimension: training, coding, queries, the scalar kernels. See codes.h.
 *
 * Rest      r = R (x - centre), padded with zeros; R a random rotation. Its code c has a weight for every dimension: its sign, or
 *           sign times a size of two. <q, r> is about <q, c> |r|^2 / <r, c>: exact for q along r, and without bias for the rest of q,
 *           since the rotation is random (Gao, Long 2024).
 * Factors   Of a code: factor = |r|^2 / <r, c>; add = |r|^2, or -<x - centre, centre> for DOT. Whatever else a distance needs is
 *           in the query.
 * Sizes     2 bits: a bit says whether |r_i| is large for a normal distribution of this length. 1.5 bits: a bit says which of r_i and
 *           r_(i + half) is larger.
 * Between   codes: one of them stands for its vector, its weights are the query's bytes. The errors of two codes are alike the more
 * alike the vectors are, so the estimate is bent back: for signs the angle is pi / 2 (1 - dot / count), which the bend comes close to;
 * a code's distance to itself is 0. */
#include <math.h>

#include "base/mem.h"
#include "engine/index/codes_kernels.h"
#include "engine/index/codes_rotate.h"
#include "uapi/dist.h"

#define LARGE     0.9816f /* of the standard deviation: where four levels are parted best */
#define STEPS_L2  0x1p15f /* of an integer distance in the sample's mean squared length: 65,536 of them fit */
#define STEPS_DOT 0x1p20f
#define ON_STACK  4096u

uint32_t vex_code_bits_padded(uint32_t dimensions, enum vex_code_kind kind)
{
    uint32_t step =
        kind == VEX_CODES_1_5_BITS ? 128 : 64; /* each half of them is of whole bytes, and kernels take 64 */

    return (dimensions + step - 1) / step * step;
}

void vex_code_bits_init(struct vex_codes *codes)
{
    codes->padded = vex_code_bits_padded(codes->dimensions, codes->params.kind);
    codes->query_size = (uint32_t)sizeof(struct vex_code_query_head) + codes->padded;
}

static float *room(uint32_t count, float on_stack[ON_STACK])
{
    return count <= ON_STACK ? on_stack : vex_mem_alloc(count * sizeof(float));
}

static void leave(float *v, const float *on_stack)
{
    if (v != on_stack)
        vex_mem_free(v);
}

static float product(const float *a, const float *b, uint32_t count)
{
    float sum = -vex_dist(VEX_DISTANCE_DOT, VEX_ELEMENT_F32)(a, b, count);

    return isfinite(sum) ? sum : 0;
}

static float or_zero(float x)
{
    return isfinite(x) ? x : 0;
}

void vex_code_bits_train(struct vex_codes *codes, const float *sample, size_t count)
{
    double lengths = 0;
    float mean;

    for (size_t i = 0; i < count; i++)
        for (uint32_t d = 0; d < codes->dimensions; d++) {
            double x = (double)sample[i * codes->dimensions + d];
            x -= codes->distance == VEX_DISTANCE_DOT ? 0 : (double)codes->offsets[d];
            lengths += x * x;
        }
    mean = (float)(lengths / (double)(count > 0 ? count : 1));
    codes->scale = mean / (codes->distance == VEX_DISTANCE_DOT ? STEPS_DOT : STEPS_L2);
    if (!(codes->scale > 1e-30f) || !isfinite(codes->scale))
        codes->scale = 1;
}

/* Its length squared; the padding of `rest` is zero before it is rotated. *ret_centre: <x - centre, centre>. */
static float rest_of(const struct vex_codes *codes, const float *vector, float *rest, float *ret_centre)
{
    float length;

    for (uint32_t i = 0; i < codes->dimensions; i++)
        rest[i] = or_zero(vector[i] - codes->offsets[i]);
    memset(rest + codes->dimensions, 0, (codes->padded - codes->dimensions) * sizeof *rest);
    *ret_centre = product(rest, codes->offsets, codes->dimensions);
    length = product(rest, rest, codes->dimensions);
    vex_codes_rotate(rest, codes->padded);
    return length;
}

static bool bit_at(const uint8_t *bits, uint32_t at)
{
    return (bits[at / 8] >> (at % 8) & 1) != 0;
}

static bool is_large(enum vex_code_kind kind, const float *rest, uint32_t i, uint32_t padded, float bound)
{
    if (kind == VEX_CODES_2_BITS)
        return fabsf(rest[i]) > bound;
    return i < padded / 2 ? fabsf(rest[i]) >= fabsf(rest[i + padded / 2])
                          : fabsf(rest[i]) > fabsf(rest[i - padded / 2]);
}

/* The size of a dimension's weight. */
static int weight(enum vex_code_kind kind, bool large)
{
    if (kind == VEX_CODES_1_BIT)
        return 1;
    if (kind == VEX_CODES_1_5_BITS)
        return large ? VEX_CODE_SIGN_1_5 + VEX_CODE_SIZE_1_5 : VEX_CODE_SIGN_1_5 - VEX_CODE_SIZE_1_5;
    return large ? VEX_CODE_SIGN_2 + VEX_CODE_SIZE_2 : VEX_CODE_SIGN_2 - VEX_CODE_SIZE_2;
}

/* Bits of a rotated rest; returns its product with the weights they stand for. */
static float put_bits(const struct vex_codes *codes, const float *rest, float length, uint8_t *bits)
{
    enum vex_code_kind kind = codes->params.kind;
    uint32_t padded = codes->padded, sizes = kind == VEX_CODES_2_BITS ? padded : padded / 2;
    float bound = LARGE * sqrtf(length / (float)padded);
    double dot = 0;

    for (uint32_t i = 0; i < padded; i++) {
        bool large = kind != VEX_CODES_1_BIT && is_large(kind, rest, i, padded, bound);
        bits[i / 8] |= (uint8_t)((rest[i] > 0) << (i % 8));
        if (large && i < sizes)
            bits[padded / 8 + i / 8] |= (uint8_t)(1u << (i % 8));
        dot += (double)fabsf(rest[i]) * weight(kind, large);
    }
    return (float)dot;
}

void vex_code_bits_encode(const struct vex_codes *codes, const float *vector, uint8_t *ret)
{
    float on_stack[ON_STACK], *rest = room(codes->padded, on_stack), factors[2], centre, dot;
    float length = rest_of(codes, vector, rest, &centre);

    memset(ret, 0, codes->stride);
    dot = put_bits(codes, rest, length, ret + VEX_CODE_BITS_AT);
    factors[0] = dot > 0 ? or_zero(length / dot) : 0;
    factors[1] = codes->distance == VEX_DISTANCE_DOT ? -centre : length;
    memcpy(ret, factors, sizeof factors);
    leave(rest, on_stack);
}

/* What a code's product with itself and the estimate made of it want to be divided by, as a bend. The parts are those of a normal
 * distribution that codes keep: 2 / pi with signs alone. */
static float bend_of(const struct vex_codes *codes)
{
    static const float lost[VEX_CODES_COUNT] = {0, 0.363f, 0.255f, 0.118f},
                       squares[VEX_CODES_COUNT] = {1, 1, 169, 155};
    float itself = squares[codes->params.kind] * (float)codes->padded;

    return lost[codes->params.kind] / (itself * itself);
}

/* What does not depend on the coding of the bytes. of_code: as a code's add. */
static struct vex_code_query_head head_of(const struct vex_codes *codes, float of_code, float step)
{
    struct vex_code_query_head head = {.unit = 1 / codes->scale, .padded = codes->padded};

    if (codes->distance == VEX_DISTANCE_DOT) {
        head.add = of_code - product(codes->offsets, codes->offsets, codes->dimensions);
        head.factor = -step;
        head.base = (float)VEX_CODE_DOT_ZERO;
    } else {
        head.add = of_code;
        head.factor = -2 * step;
    }
    return head;
}

static void finish(struct vex_code_query_head *head, uint8_t *ret)
{
    const int8_t *bytes = (const int8_t *)ret + sizeof *head;

    for (uint32_t i = 0; i < head->padded; i++)
        head->sum += bytes[i];
    memcpy(ret, head, sizeof *head);
}

static float largest(const float *v, uint32_t count)
{
    float most = 0;

    for (uint32_t i = 0; i < count; i++)
        most = fabsf(v[i]) > most ? fabsf(v[i]) : most;
    return most;
}

void vex_code_bits_query(const struct vex_codes *codes, const float *vector, uint8_t *ret)
{
    float on_stack[ON_STACK], *rest = room(codes->padded, on_stack), centre, step, each, sum = 0;
    float length = rest_of(codes, vector, rest, &centre);
    int8_t *bytes = (int8_t *)ret + sizeof(struct vex_code_query_head);
    struct vex_code_query_head head;

    if (codes->params.query == VEX_CODE_QUERY_1_BIT) {
        for (uint32_t i = 0; i < codes->padded; i++) {
            bytes[i] = rest[i] > 0 ? 1 : -1;
            sum += fabsf(rest[i]);
        }
        step = sum > 0 ? or_zero(length / sum) : 0;
    } else {
        step = largest(rest, codes->padded) / (codes->params.query == VEX_CODE_QUERY_4_BITS ? 7 : 127);
        step = step > 1e-30f ? step : 1;
        each = 1 / step;
        for (uint32_t i = 0; i < codes->padded; i++)
            bytes[i] = (int8_t)(int32_t)(rest[i] * each + (rest[i] < 0 ? -0.5f : 0.5f));
    }
    head = head_of(codes, codes->distance == VEX_DISTANCE_DOT ? -centre : length, step);
    if (codes->params.query == VEX_CODE_QUERY_1_BIT && codes->params.kind == VEX_CODES_1_BIT)
        head.bend = bend_of(codes);
    finish(&head, ret);
    leave(rest, on_stack);
}

typedef int8_t eight __attribute__((vector_size(8)));

/* +1 where a bit is set, -1 where it isn't. */
static inline eight signs_of(uint8_t bits)
{
    eight spread = (eight)(bits * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201));

    return -1 - 2 * (eight)(spread != 0);
}

/* Where sign times size is positive, of eight dimensions from 8 * at on. */
static inline uint8_t sizes_at(enum vex_code_kind kind, const uint8_t *signs, uint32_t at, uint32_t padded)
{
    const uint8_t *sizes = signs + padded / 8;

    if (kind == VEX_CODES_1_5_BITS && at >= padded / 16)
        return (uint8_t)(signs[at] ^ sizes[at - padded / 16]);
    return (uint8_t) ~(signs[at] ^ sizes[at]);
}

VEX_CODE_RACY void vex_code_bits_as_query(const struct vex_codes *codes, const uint8_t *code, uint8_t *ret)
{
    enum vex_code_kind kind = codes->params.kind;
    const uint8_t *signs = code + VEX_CODE_BITS_AT;
    uint8_t *bytes = ret + sizeof(struct vex_code_query_head);
    int of_sign = kind == VEX_CODES_1_BIT    ? 1
                  : kind == VEX_CODES_2_BITS ? VEX_CODE_SIGN_2
                                             : VEX_CODE_SIGN_1_5;
    int of_size = kind == VEX_CODES_1_BIT    ? 0
                  : kind == VEX_CODES_2_BITS ? VEX_CODE_SIZE_2
                                             : VEX_CODE_SIZE_1_5;
    int32_t signs_set = 0, sizes_set = 0, padded = (int32_t)codes->padded;
    struct vex_code_query_head head;
    float factors[2];

    for (uint32_t at = 0; at < codes->padded / 8; at++) {
        eight weights = signs_of(signs[at]) * (int8_t)of_sign;
        signs_set += __builtin_popcount(signs[at]);
        if (kind != VEX_CODES_1_BIT) {
            uint8_t sizes = sizes_at(kind, signs, at, codes->padded);
            weights += signs_of(sizes) * (int8_t)of_size;
            sizes_set += __builtin_popcount(sizes);
        }
        memcpy(bytes + (size_t)at * 8, &weights, sizeof weights);
    }
    memcpy(factors, code, sizeof factors);
    head = head_of(codes, factors[1], factors[0]);
    head.bend = bend_of(codes);
    head.sum = of_sign * (2 * signs_set - padded) + of_size * (2 * sizes_set - padded);
    memcpy(ret, &head, sizeof head);
}

float vex_code_bits_distance(const struct vex_codes *codes, uint32_t distance)
{
    float estimate;

    if (codes->distance == VEX_DISTANCE_DOT)
        return ((float)distance - (float)VEX_CODE_DOT_ZERO) * codes->scale;
    estimate = (float)distance * codes->scale;
    if (codes->distance == VEX_DISTANCE_COSINE)
        return estimate / 2 - 1;            /* of unit vectors */
    if (codes->distance == VEX_DISTANCE_L1) /* of normal differences, by their length */
        return sqrtf(estimate * (float)codes->dimensions * 0.63662f);
    return estimate;
}

/* ---- scalar kernels ---- */

VEX_CODE_RACY void vex_code_estimate(const struct vex_code_query_head *head, const uint8_t *const *codes,
                                     int count, const int32_t *dots, uint32_t *ret)
{
    for (int i = 0; i < count; i++) {
        float of_code[2], distance;
        float dot = (float)dots[i];
        memcpy(of_code, codes[i], sizeof of_code);
        dot *= 1 - head->bend * dot * dot;
        distance = head->add + of_code[1] + head->factor * of_code[0] * dot;
        distance = distance * head->unit + head->base;
        distance = distance > 0 ? distance : 0; /* NaN too */
        ret[i] = (uint32_t)(int32_t)(distance < 2147483392.0f ? distance : 2147483392.0f);
    }
}

VEX_CODE_RACY static inline uint32_t bits_scalar(const uint8_t *query, const uint8_t *code,
                                                 enum vex_code_kind kind)
{
    const struct vex_code_query_head *head = (const void *)query;
    const int8_t *bytes = (const int8_t *)query + sizeof *head;
    const uint8_t *signs = code + VEX_CODE_BITS_AT, *sizes = signs + head->padded / 8;
    uint32_t half = head->padded / 2;
    int32_t sum_signs = 0, sum_sizes = 0, dot;
    uint32_t ret;

    for (uint32_t i = 0; i < head->padded; i++) {
        bool sign = bit_at(signs, i), large = false;
        if (kind == VEX_CODES_2_BITS)
            large = bit_at(sizes, i);
        if (kind == VEX_CODES_1_5_BITS)
            large = i < half ? bit_at(sizes, i) : !bit_at(sizes, i - half);
        sum_signs += sign ? bytes[i] : 0;
        sum_sizes += sign == large ? bytes[i] : 0;
    }
    dot = vex_code_dot(kind, head->sum, sum_signs, sum_sizes);
    vex_code_estimate(head, &code, 1, &dot, &ret);
    return ret;
}

#define SCALAR(name, kind)                                                                                   \
    static uint32_t name(const uint8_t *query, const uint8_t *code, size_t stride)                           \
    {                                                                                                        \
        (void)stride;                                                                                        \
        return bits_scalar(query, code, kind);                                                               \
    }                                                                                                        \
    static void name##_4(const uint8_t *query, const uint8_t *const codes[4], size_t stride,                 \
                         uint32_t ret[4])                                                                    \
    {                                                                                                        \
        for (int i = 0; i < 4; i++)                                                                          \
            ret[i] = name(query, codes[i], stride);                                                          \
    }

SCALAR(bits_1, VEX_CODES_1_BIT)
SCALAR(bits_1_5, VEX_CODES_1_5_BITS)
SCALAR(bits_2, VEX_CODES_2_BITS)

struct vex_code_kernels vex_code_bits_scalar(enum vex_code_kind kind)
{
    if (kind == VEX_CODES_1_BIT)
        return (struct vex_code_kernels){"scalar", bits_1, bits_1_4};
    if (kind == VEX_CODES_1_5_BITS)
        return (struct vex_code_kernels){"scalar", bits_1_5, bits_1_5_4};
    return (struct vex_code_kernels){"scalar", bits_2, bits_2_4};
}
