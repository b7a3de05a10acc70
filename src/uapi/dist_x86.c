/* Distance kernels for AVX2 with FMA and F16C: their table; the arithmetic is in dist_avx2.h. Every function names
 * its instruction set: the rest of the program runs on any x86-64. */
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "uapi/dist_table.h"

#include "uapi/dist_avx2.h" /* on the enums of the one above */

static bool usable(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_F16C) == 0 || (c & bit_FMA) == 0)
        return false;
    return __builtin_cpu_supports("avx2"); /* asks the system's support for the registers too */
}

#define KERNEL(name, distance, element)                                                                      \
    AVX2 static float name##1(const float *query, const void *vector, size_t dimensions)                     \
    {                                                                                                        \
        return kernel(distance, element, query, vector, dimensions);                                         \
    }                                                                                                        \
    AVX2 static void name##4(const float *query, const void *const vectors[4], size_t dimensions,            \
                             float ret[4])                                                                   \
    {                                                                                                        \
        kernel4(distance, element, query, vectors, dimensions, ret);                                         \
    }
VEX_DIST_EACH(KERNEL)

AVX2 static void to_f16(const float *from, uint16_t *to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((void *)(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    if (i < count) {
        uint16_t part[8];
        __m256 last = load_part(VEX_ELEMENT_F32, from, i, count - i);
        _mm_storeu_si128((void *)part, _mm256_cvtps_ph(last, _MM_FROUND_TO_NEAREST_INT));
        memcpy(to + i, part, (count - i) * sizeof *to);
    }
}

AVX2 static void from_f16(const uint16_t *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(to + i, load(VEX_ELEMENT_F16, from, i));
    if (i < count) {
        float part[8];
        _mm256_storeu_ps(part, load_part(VEX_ELEMENT_F16, from, i, count - i));
        memcpy(to + i, part, (count - i) * sizeof *to);
    }
}

const struct vex_dist_table vex_dist_table_avx2 = {
    .name = "avx2",
    .usable = usable,
    .fn = VEX_DIST_FUNCTIONS,
    .fn4 = VEX_DIST_FUNCTIONS4,
    .to_f16 = to_f16,
    .from_f16 = from_f16,
};
#else
typedef int vex_no_x86;
#endif
