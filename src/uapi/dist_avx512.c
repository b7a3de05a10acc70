/* Distance kernels for AVX-512 (F, BW, VL, DQ). The layout of the sums is dist.h's: accumulator g holds the
 * lanes from 16 g on; what the last elements leave empty is masked and adds zeros. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "uapi/dist_table.h"

#define AVX512        __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX512_INLINE AVX512 static inline __attribute__((always_inline))

static bool usable(void)
{
    return vex_dist_table_avx2.usable() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
}

/* Sixteen elements from i on. */
AVX512_INLINE __m512 load(enum vex_element element, const void *vector, size_t i)
{
    if (element == VEX_ELEMENT_F16)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)((const uint16_t *)vector + i)));
    if (element == VEX_ELEMENT_U8)
        return _mm512_cvtepi32_ps(
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)((const uint8_t *)vector + i))));
    return _mm512_loadu_ps((const float *)vector + i);
}

/* Those of the sixteen that the mask names, zeros for the others. */
AVX512_INLINE __m512 load_masked(enum vex_element element, const void *vector, size_t i, __mmask16 mask)
{
    if (element == VEX_ELEMENT_F16)
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)vector + i));
    if (element == VEX_ELEMENT_U8)
        return _mm512_cvtepi32_ps(
            _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, (const uint8_t *)vector + i)));
    return _mm512_maskz_loadu_ps(mask, (const float *)vector + i);
}

AVX512_INLINE __m512 added(enum vex_distance distance, __m512 sum, __m512 q, __m512 v)
{
    if (distance == VEX_DISTANCE_DOT)
        return _mm512_fmadd_ps(q, v, sum);
    __m512 difference = _mm512_sub_ps(q, v);
    if (distance == VEX_DISTANCE_L2)
        return _mm512_fmadd_ps(difference, difference, sum);
    return _mm512_add_ps(sum, _mm512_abs_ps(difference));
}

/* From 32 lanes to four. */
AVX512_INLINE __m128 quarter(__m512 low, __m512 high)
{
    __m512 sixteen = _mm512_add_ps(low, high);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen), _mm512_extractf32x8_ps(sixteen, 1));
    return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}

AVX512_INLINE float folded(__m512 low, __m512 high)
{
    __m128 four = quarter(low, high);
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Elements of a short vector as f32: those of f32 where they are, others in `room`. */
AVX512_INLINE const float *short_elements(enum vex_element element, const void *vector, size_t dimensions,
                                          float room[VEX_DIST_SHORT])
{
    if (element == VEX_ELEMENT_F32)
        return vector;
    _mm512_storeu_ps(room, load_masked(element, vector, 0, (__mmask16)((1u << dimensions) - 1)));
    return room;
}

AVX512_INLINE float short_kernel(enum vex_distance distance, enum vex_element element, const float *query,
                                 const void *vector, size_t dimensions)
{
    float room[VEX_DIST_SHORT], sum = 0;
    const float *values = short_elements(element, vector, dimensions, room);
    for (size_t i = 0; i < dimensions; i++)
        sum += vex_dist_short_term(distance, query[i], values[i]);
    return vex_dist_finish(distance, sum);
}

/* The four sums run beside each other. */
AVX512_INLINE void short_kernel4(enum vex_distance distance, enum vex_element element, const float *query,
                                 const void *const vectors[4], size_t dimensions, float ret[4])
{
    float room[4][VEX_DIST_SHORT];
    const float *a = short_elements(element, vectors[0], dimensions, room[0]);
    const float *b = short_elements(element, vectors[1], dimensions, room[1]);
    const float *c = short_elements(element, vectors[2], dimensions, room[2]);
    const float *d = short_elements(element, vectors[3], dimensions, room[3]);
    float sums[4] = {0};
    for (size_t i = 0; i < dimensions; i++) {
        float q = query[i];
        sums[0] += vex_dist_short_term(distance, q, a[i]);
        sums[1] += vex_dist_short_term(distance, q, b[i]);
        sums[2] += vex_dist_short_term(distance, q, c[i]);
        sums[3] += vex_dist_short_term(distance, q, d[i]);
    }
    for (size_t i = 0; i < 4; i++)
        ret[i] = vex_dist_finish(distance, sums[i]);
}

AVX512_INLINE float kernel(enum vex_distance distance, enum vex_element element, const float *query,
                           const void *vector, size_t dimensions)
{
    if (__builtin_expect(dimensions < VEX_DIST_SHORT, 0))
        return short_kernel(distance, element, query, vector, dimensions);
    __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + VEX_DIST_LANES <= dimensions; i += VEX_DIST_LANES) {
        low = added(distance, low, _mm512_loadu_ps(query + i), load(element, vector, i));
        high = added(distance, high, _mm512_loadu_ps(query + i + 16), load(element, vector, i + 16));
    }
    if (i < dimensions) {
        uint32_t mask = (1u << (dimensions - i)) - 1;
        __mmask16 first = (__mmask16)mask, second = (__mmask16)(mask >> 16);
        low = added(distance, low, _mm512_maskz_loadu_ps(first, query + i),
                    load_masked(element, vector, i, first));
        if (second != 0)
            high = added(distance, high, _mm512_maskz_loadu_ps(second, query + i + 16),
                         load_masked(element, vector, i + 16, second));
    }
    return vex_dist_finish(distance, folded(low, high));
}

/* Folds four sums of four lanes each, as folded() does it, and finishes them as vex_dist_finish does. */
AVX512_INLINE void finish4(enum vex_distance distance, const __m128 sums[4], float ret[4])
{
    __m128 first = _mm_add_ps(_mm_movelh_ps(sums[0], sums[1]), _mm_movehl_ps(sums[1], sums[0]));
    __m128 second = _mm_add_ps(_mm_movelh_ps(sums[2], sums[3]), _mm_movehl_ps(sums[3], sums[2]));
    __m128 all = _mm_add_ps(_mm_shuffle_ps(first, second, _MM_SHUFFLE(2, 0, 2, 0)),
                            _mm_shuffle_ps(first, second, _MM_SHUFFLE(3, 1, 3, 1)));
    if (distance == VEX_DISTANCE_DOT)
        all = _mm_sub_ps(_mm_setzero_ps(), all);
    _mm_storeu_ps(ret, _mm_blendv_ps(all, _mm_set1_ps(INFINITY), _mm_cmpunord_ps(all, all)));
}

AVX512_INLINE void kernel4(enum vex_distance distance, enum vex_element element, const float *query,
                           const void *const vectors[4], size_t dimensions, float ret[4])
{
    if (__builtin_expect(dimensions < VEX_DIST_SHORT, 0)) {
        short_kernel4(distance, element, query, vectors, dimensions, ret);
        return;
    }
    __m512 zero = _mm512_setzero_ps(), low[4] = {zero, zero, zero, zero}, high[4] = {zero, zero, zero, zero};
    size_t i = 0;
    for (; i + VEX_DIST_LANES <= dimensions; i += VEX_DIST_LANES) {
        __m512 q = _mm512_loadu_ps(query + i), r = _mm512_loadu_ps(query + i + 16);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            low[j] = added(distance, low[j], q, load(element, vectors[j], i));
            high[j] = added(distance, high[j], r, load(element, vectors[j], i + 16));
        }
    }
    if (i < dimensions) {
        uint32_t mask = (1u << (dimensions - i)) - 1;
        __mmask16 first = (__mmask16)mask, second = (__mmask16)(mask >> 16);
        __m512 q = _mm512_maskz_loadu_ps(first, query + i), r = _mm512_maskz_loadu_ps(second, query + i + 16);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            low[j] = added(distance, low[j], q, load_masked(element, vectors[j], i, first));
            if (second != 0)
                high[j] = added(distance, high[j], r, load_masked(element, vectors[j], i + 16, second));
        }
    }
    __m128 sums[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++)
        sums[j] = quarter(low[j], high[j]);
    finish4(distance, sums, ret);
}

#define KERNEL(name, distance, element)                                                                      \
    AVX512 static float name##1(const float *query, const void *vector, size_t dimensions)                   \
    {                                                                                                        \
        return kernel(distance, element, query, vector, dimensions);                                         \
    }                                                                                                        \
    AVX512 static void name##4(const float *query, const void *const vectors[4], size_t dimensions,          \
                               float ret[4])                                                                 \
    {                                                                                                        \
        kernel4(distance, element, query, vectors, dimensions, ret);                                         \
    }
VEX_DIST_EACH(KERNEL)

/* The first `count` of sixteen lanes. */
static inline __mmask16 mask_of(size_t count)
{
    uint32_t mask = count >= 16 ? 0xffffu : (1u << count) - 1;
    return (__mmask16)mask;
}

AVX512 static void to_f16(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 mask = mask_of(count - i);
        __m512 values = _mm512_maskz_loadu_ps(mask, from + i);
        _mm256_mask_storeu_epi16(to + i, mask, _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
    }
}

AVX512 static void from_f16(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 mask = mask_of(count - i);
        _mm512_mask_storeu_ps(to + i, mask, load_masked(VEX_ELEMENT_F16, from, i, mask));
    }
}

const struct vex_dist_table vex_dist_table_avx512 = {
    .name = "avx512",
    .usable = usable,
    .fn = VEX_DIST_FUNCTIONS,
    .fn4 = VEX_DIST_FUNCTIONS4,
    .to_f16 = to_f16,
    .from_f16 = from_f16,
};
#else
typedef int vex_no_avx512;
#endif
