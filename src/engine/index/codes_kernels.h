/* Distance kernels of codes, one set a machine, and what a query of bit codes looks like. Private to the codes. */
#ifndef VEX_ENGINE_INDEX_CODES_KERNELS_H
#define VEX_ENGINE_INDEX_CODES_KERNELS_H

#include "engine/index/codes.h"

/* A product of 65536 dimensions stays below this in size, and twice this below 2^31. */
#define VEX_CODE_CENTRE   64
#define VEX_CODE_DOT_ZERO (UINT32_C(1) << 30)

/* Codes may be rewritten while they are read: any result will do then (codes.h, Threads). */
#define VEX_CODE_RACY __attribute__((no_sanitize("thread")))

/* ---- bits (codes_bits.c) ---- */

/* A code: factor, add (f32 each), signs (padded bits), and sizes (padded bits, or half as many). */
#define VEX_CODE_BITS_AT (2 * sizeof(float))

/* Weights of a dimension's sign and of sign times size: +-(sign + size) when it is large, +-(sign - size) when it is small. About
 * the means of a normal distribution: of the larger and the smaller of two elements, of the four levels of Lloyd and Max. */
#define VEX_CODE_SIGN_1_5 12
#define VEX_CODE_SIZE_1_5 5
#define VEX_CODE_SIGN_2   13
#define VEX_CODE_SIZE_2   7

/* Begins a query's form; padded signed bytes follow. Distance = (add + code's add + factor * code's factor * bent dot) * unit + base,
 * bent dot = dot * (1 - bend * dot^2). */
struct vex_code_query_head {
    float add, factor, unit, base, bend;
    int32_t sum; /* of the bytes */
    uint32_t padded;
    uint32_t unused[9];
};
_Static_assert(sizeof(struct vex_code_query_head) == 64, "bytes begin on a cache line");

/* The dot product of bytes and a code's weights, from the sums of the bytes under its masks: those where it is positive, and where sign
 * times size is. */
static inline int32_t vex_code_dot(enum vex_code_kind kind, int32_t sum, int32_t signs, int32_t sizes)
{
    if (kind == VEX_CODES_1_BIT)
        return 2 * signs - sum;
    if (kind == VEX_CODES_1_5_BITS)
        return VEX_CODE_SIGN_1_5 * (2 * signs - sum) + VEX_CODE_SIZE_1_5 * (2 * sizes - sum);
    return VEX_CODE_SIGN_2 * (2 * signs - sum) + VEX_CODE_SIZE_2 * (2 * sizes - sum);
}

/* The last step of every kernel, in one place so that all give the same. Garbage gives some distance too. */
void vex_code_estimate(const struct vex_code_query_head *head, const uint8_t *const *codes, int count,
                       const int32_t *dots, uint32_t *ret);

void vex_code_bits_init(struct vex_codes *codes);
void vex_code_bits_train(struct vex_codes *codes, const float *sample, size_t count);
void vex_code_bits_encode(const struct vex_codes *codes, const float *vector, uint8_t *ret);
void vex_code_bits_query(const struct vex_codes *codes, const float *vector, uint8_t *ret);
void vex_code_bits_as_query(const struct vex_codes *codes, const uint8_t *code, uint8_t *ret);
float vex_code_bits_distance(const struct vex_codes *codes, uint32_t distance);
uint32_t vex_code_bits_padded(uint32_t dimensions, enum vex_code_kind kind);
struct vex_code_kernels vex_code_bits_scalar(enum vex_code_kind kind);
bool vex_code_bits_x86(uint32_t index, enum vex_code_kind kind, struct vex_code_kernels *ret);

/* ---- machines ---- */

/* Whether this CPU has set `index` (0: the narrowest), of 7-bit codes. */
bool vex_code_kernels_x86(uint32_t index, enum vex_distance distance, struct vex_code_kernels *ret);

#endif
