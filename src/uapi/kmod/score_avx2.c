// SPDX-License-Identifier: GPL-2.0-only
/* Distances with AVX2: the program's own arithmetic (dist_avx2.h), four vectors at a time. See score.h.
 *
 * Rule      Nothing of the kernel is called or included here: all of it runs with preemption off, on registers that are not
 *           the kernel's. */
enum vex_element { VEX_ELEMENT_F32, VEX_ELEMENT_F16, VEX_ELEMENT_U8 };
enum vex_distance { VEX_DISTANCE_L2, VEX_DISTANCE_COSINE, VEX_DISTANCE_DOT, VEX_DISTANCE_L1 };

#include "uapi/dist_avx2.h"
#include "uapi/kmod/score.h"

#define KERNEL(name, distance, element)                                                                      \
    AVX2 static void name##n(const float *query, const void *const *vectors, unsigned int count,             \
                             unsigned int dimensions, float *ret)                                            \
    {                                                                                                        \
        unsigned int i = 0;                                                                                  \
                                                                                                             \
        for (; i + 4 <= count; i += 4)                                                                       \
            kernel4(distance, element, query, vectors + i, dimensions, ret + i);                             \
        for (; i < count; i++)                                                                               \
            ret[i] = kernel(distance, element, query, vectors[i], dimensions);                               \
    }
VEX_DIST_EACH(KERNEL)

typedef void block_fn(const float *query, const void *const *vectors, unsigned int count,
                      unsigned int dimensions, float *ret);

static block_fn *const blocks[4][3] = {
    [VEX_DISTANCE_L2] = {l2_f32_n, l2_f16_n, l2_u8_n},
    [VEX_DISTANCE_COSINE] = {dot_f32_n, dot_f16_n, dot_u8_n},
    [VEX_DISTANCE_DOT] = {dot_f32_n, dot_f16_n, dot_u8_n},
    [VEX_DISTANCE_L1] = {l1_f32_n, l1_f16_n, l1_u8_n},
};

/* Rounding to nearest, subnormals kept, nothing traps: what the sums are laid down for. The inexact flag is up from the
 * start, which says nothing here, but an emulated CPU uses its host's arithmetic only while it is. */
#define CONTROL 0x1fa0u

void vex_score_avx2(unsigned int distance, unsigned int element, const unsigned int *query,
                    const void *const *vectors, unsigned int count, unsigned int dimensions,
                    unsigned int *ret)
{
    _mm_setcsr(CONTROL);
    blocks[distance][element]((const float *)query, vectors, count, dimensions, (float *)ret);
}
