/* Private to the distance kernels: one table per instruction set, and what all of them share (dist.h). */
#ifndef VEX_UAPI_DIST_TABLE_H
#define VEX_UAPI_DIST_TABLE_H

#include <math.h>
#include <stdbool.h>

#include "uapi/dist.h"

#define VEX_DIST_LANES 32

struct vex_dist_table {
    const char *name;
    bool (*usable)(void); /* this CPU, and this system, can run it */
    vex_dist_fn *fn[VEX_DISTANCE_COUNT][VEX_ELEMENT_COUNT];
    vex_dist4_fn *fn4[VEX_DISTANCE_COUNT][VEX_ELEMENT_COUNT];
    void (*to_f16)(const float *from, uint16_t *to, size_t count);
    void (*from_f16)(const uint16_t *from, float *to, size_t count);
};

/* Compiled-in variants, best first, NULL at the end; the scalar one is always there and always usable. */
extern const struct vex_dist_table *const vex_dist_tables[];

extern const struct vex_dist_table vex_dist_table_scalar;
#if defined(__x86_64__)
extern const struct vex_dist_table vex_dist_table_avx2, vex_dist_table_avx512;
#elif defined(__aarch64__)
extern const struct vex_dist_table vex_dist_table_neon;
#endif

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
    return result == result ? result : INFINITY;
}

#endif
