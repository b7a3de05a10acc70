/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every instruction set's distance kernels share, in this program and in the kernel module (dist.h says what they
 * compute). Needs no header; who includes it has enum vex_distance and enum vex_element. */
#ifndef VEX_UAPI_DIST_EACH_H
#define VEX_UAPI_DIST_EACH_H

#define VEX_DIST_LANES 32

/* Vectors of fewer dimensions are short: one sum, and a product is rounded before it is added. */
#define VEX_DIST_SHORT 16

/* Every kernel: stem of its functions' names (1 or 4 vectors at once comes behind), distance, element. */
#define VEX_DIST_EACH(X)                                                                                     \
    X(l2_f32_, VEX_DISTANCE_L2, VEX_ELEMENT_F32)                                                             \
    X(l2_f16_, VEX_DISTANCE_L2, VEX_ELEMENT_F16)                                                             \
    X(l2_u8_, VEX_DISTANCE_L2, VEX_ELEMENT_U8)                                                               \
    X(dot_f32_, VEX_DISTANCE_DOT, VEX_ELEMENT_F32)                                                           \
    X(dot_f16_, VEX_DISTANCE_DOT, VEX_ELEMENT_F16)                                                           \
    X(dot_u8_, VEX_DISTANCE_DOT, VEX_ELEMENT_U8)                                                             \
    X(l1_f32_, VEX_DISTANCE_L1, VEX_ELEMENT_F32)                                                             \
    X(l1_f16_, VEX_DISTANCE_L1, VEX_ELEMENT_F16)                                                             \
    X(l1_u8_, VEX_DISTANCE_L1, VEX_ELEMENT_U8)

/* The initialisers of `fn` and `fn4`, for functions named by VEX_DIST_EACH. */
#define VEX_DIST_FUNCTIONS                                                                                   \
    {                                                                                                        \
        [VEX_DISTANCE_L2] = {l2_f32_1, l2_f16_1, l2_u8_1},                                                   \
        [VEX_DISTANCE_COSINE] = {dot_f32_1, dot_f16_1, dot_u8_1},                                            \
        [VEX_DISTANCE_DOT] = {dot_f32_1, dot_f16_1, dot_u8_1},                                               \
        [VEX_DISTANCE_L1] = {l1_f32_1, l1_f16_1, l1_u8_1},                                                   \
    }

#define VEX_DIST_FUNCTIONS4                                                                                  \
    {                                                                                                        \
        [VEX_DISTANCE_L2] = {l2_f32_4, l2_f16_4, l2_u8_4},                                                   \
        [VEX_DISTANCE_COSINE] = {dot_f32_4, dot_f16_4, dot_u8_4},                                            \
        [VEX_DISTANCE_DOT] = {dot_f32_4, dot_f16_4, dot_u8_4},                                               \
        [VEX_DISTANCE_L1] = {l1_f32_4, l1_f16_4, l1_u8_4},                                                   \
    }

/* The folded sum as a distance. */
static inline float vex_dist_finish(enum vex_distance distance, float sum)
{
    float result = distance == VEX_DISTANCE_DOT ? 0.0f - sum : sum;
    return result == result ? result : __builtin_inff();
}

/* Keeps the compiler from making one fused step of a product and the sum that it goes to. */
static inline float vex_dist_rounded(float product)
{
#if defined(__x86_64__)
    __asm__("" : "+x"(product));
#elif defined(__aarch64__)
    __asm__("" : "+w"(product));
#else
    __asm__("" : "+m"(product));
#endif
    return product;
}

/* What one pair of elements adds to a short vector's sum. */
static inline __attribute__((always_inline)) float vex_dist_short_term(enum vex_distance distance, float q,
                                                                       float v)
{
    float difference = q - v;
    if (distance == VEX_DISTANCE_DOT)
        return vex_dist_rounded(q * v);
    return distance == VEX_DISTANCE_L2 ? vex_dist_rounded(difference * difference)
                                       : __builtin_fabsf(difference);
}

#endif
