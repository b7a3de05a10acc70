/* Distance kernels for AArch64 NEON, which every such CPU has. The layout of the sums is dist.h's:
 * accumulator g holds the lanes from 4 g on. */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "uapi/dist_table.h"

#define ACCUMULATORS (VEX_DIST_LANES / 4)
#define INLINE       static inline __attribute__((always_inline))

static bool usable(void)
{
    return true;
}

/* Four elements from i on. */
INLINE float32x4_t load(enum vex_element element, const void *vector, size_t i)
{
    if (element == VEX_ELEMENT_F16)
        return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)vector + i)));
    if (element == VEX_ELEMENT_U8) {
        uint32_t four;
        memcpy(&four, (const uint8_t *)vector + i, sizeof four);
        uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
        return vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
    }
    return vld1q_f32((const float *)vector + i);
}

INLINE float32x4_t added(enum vex_distance distance, float32x4_t sum, float32x4_t q, float32x4_t v)
{
    if (distance == VEX_DISTANCE_DOT)
        return vfmaq_f32(sum, q, v);
    float32x4_t difference = vsubq_f32(q, v);
    if (distance == VEX_DISTANCE_L2)
        return vfmaq_f32(sum, difference, difference);
    return vaddq_f32(sum, vabsq_f32(difference));
}

INLINE float folded(float32x4_t sums[ACCUMULATORS])
{
    for (size_t width = ACCUMULATORS / 2; width > 0; width /= 2)
        for (size_t g = 0; g < width; g++)
            sums[g] = vaddq_f32(sums[g], sums[g + width]);
    float32x2_t two = vadd_f32(vget_low_f32(sums[0]), vget_high_f32(sums[0]));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

INLINE float short_kernel(enum vex_distance distance, enum vex_element element, const float *query,
                          const void *vector, size_t dimensions)
{
    size_t size = element == VEX_ELEMENT_F32 ? 4 : element == VEX_ELEMENT_F16 ? 2 : 1;
    uint32_t last[VEX_DIST_SHORT] = {0};
    float values[VEX_DIST_SHORT], sum = 0;
    memcpy(last, vector, dimensions * size);
    for (size_t i = 0; i < VEX_DIST_SHORT; i += 4)
        vst1q_f32(values + i, load(element, last, i));
    for (size_t i = 0; i < dimensions; i++)
        sum += vex_dist_short_term(distance, query[i], values[i]);
    return vex_dist_finish(distance, sum);
}

INLINE float kernel(enum vex_distance distance, enum vex_element element, const float *query,
                    const void *vector, size_t dimensions)
{
    if (__builtin_expect(dimensions < VEX_DIST_SHORT, 0))
        return short_kernel(distance, element, query, vector, dimensions);
    float32x4_t sums[ACCUMULATORS];
    for (size_t g = 0; g < ACCUMULATORS; g++)
        sums[g] = vdupq_n_f32(0.0f);
    size_t i = 0;
    for (; i + VEX_DIST_LANES <= dimensions; i += VEX_DIST_LANES)
        for (size_t g = 0; g < ACCUMULATORS; g++)
            sums[g] =
                added(distance, sums[g], vld1q_f32(query + i + 4 * g), load(element, vector, i + 4 * g));
    size_t g = 0;
    for (; i + 4 <= dimensions; i += 4, g++)
        sums[g] = added(distance, sums[g], vld1q_f32(query + i), load(element, vector, i));
    if (i < dimensions) {
        size_t size = element == VEX_ELEMENT_F32 ? 4 : element == VEX_ELEMENT_F16 ? 2 : 1;
        float last_query[4] = {0};
        uint32_t last_vector[4] = {0};
        memcpy(last_query, query + i, (dimensions - i) * sizeof *query);
        memcpy(last_vector, (const uint8_t *)vector + i * size, (dimensions - i) * size);
        sums[g] = added(distance, sums[g], vld1q_f32(last_query), load(element, last_vector, 0));
    }
    return vex_dist_finish(distance, folded(sums));
}

#define KERNEL(name, distance, element)                                                                      \
    static float name##1(const float *query, const void *vector, size_t dimensions)                          \
    {                                                                                                        \
        return kernel(distance, element, query, vector, dimensions);                                         \
    }                                                                                                        \
    static void name##4(const float *query, const void *const vectors[4], size_t dimensions, float ret[4])   \
    {                                                                                                        \
        for (size_t i = 0; i < 4; i++)                                                                       \
            ret[i] = name##1(query, vectors[i], dimensions);                                                 \
    }
VEX_DIST_EACH(KERNEL)

static void to_f16(const float *from, uint16_t *to, size_t count)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        vst1_u16(to + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(from + i))));
    if (i < count) {
        float last[4] = {0};
        uint16_t part[4];
        memcpy(last, from + i, (count - i) * sizeof *from);
        vst1_u16(part, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(last))));
        memcpy(to + i, part, (count - i) * sizeof *to);
    }
}

static void from_f16(const uint16_t *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        vst1q_f32(to + i, load(VEX_ELEMENT_F16, from, i));
    if (i < count) {
        uint16_t last[4] = {0};
        float part[4];
        memcpy(last, from + i, (count - i) * sizeof *from);
        vst1q_f32(part, load(VEX_ELEMENT_F16, last, 0));
        memcpy(to + i, part, (count - i) * sizeof *to);
    }
}

const struct vex_dist_table vex_dist_table_neon = {
    .name = "neon",
    .usable = usable,
    .fn = VEX_DIST_FUNCTIONS,
    .fn4 = VEX_DIST_FUNCTIONS4,
    .to_f16 = to_f16,
    .from_f16 = from_f16,
};
#else
typedef int vex_no_neon;
#endif
