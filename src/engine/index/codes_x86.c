/* Distances of 7-bit codes by AVX2 and by AVX-512 with VNNI. Strides are multiples of 64.
 *
 * L2        A difference of two codes is below 128, so its size is a byte of either sign: squares of two neighbours fit 16
 *           bits (maddubs) or go to 32 bits at once (dpbusd).
 * DOT       (a - 64)(b - 64) = a (b - 64) - 64 (b - 64): bytes without sign times bytes with one. Both parts are summed
 *           with a as a factor and with 64 as one. */
#include "engine/index/codes_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2   __attribute__((target("avx2"))) VEX_CODE_RACY
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) VEX_CODE_RACY
#define INLINE static inline __attribute__((always_inline))
#define MASK   ((uint32_t)INT32_MAX)

/* ---- sums of lanes ---- */

AVX2 INLINE uint32_t sum8(__m256i v)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(half);
}

/* Of four registers at once. */
AVX2 INLINE __m128i sum8x4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));

    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

AVX512 INLINE __m256i fold(__m512i v)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

/* ---- AVX2: what 32 bytes add to a sum ---- */

AVX2 INLINE __m256i load32(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

AVX2 INLINE __m256i l2_add(__m256i sum, __m256i a, __m256i b)
{
    __m256i d = _mm256_abs_epi8(_mm256_sub_epi8(a, b));

    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(d, d), _mm256_set1_epi16(1)));
}

AVX2 INLINE __m256i l1_add(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_add_epi32(sum, _mm256_sad_epu8(a, b));
}

AVX2 INLINE __m256i dot_add(__m256i sum, __m256i a, __m256i b)
{
    const __m256i centre = _mm256_set1_epi8(VEX_CODE_CENTRE);
    __m256i signed_b = _mm256_sub_epi8(b, centre);
    __m256i products =
        _mm256_sub_epi16(_mm256_maddubs_epi16(a, signed_b), _mm256_maddubs_epi16(centre, signed_b));

    return _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
}

typedef __m256i add32_fn(__m256i sum, __m256i a, __m256i b);

AVX2 INLINE uint32_t one_avx2(const uint8_t *a, const uint8_t *b, size_t stride, add32_fn *add)
{
    __m256i s0 = _mm256_setzero_si256(), s1 = s0;

    for (size_t i = 0; i < stride; i += 64) {
        s0 = add(s0, load32(a + i), load32(b + i));
        s1 = add(s1, load32(a + i + 32), load32(b + i + 32));
    }
    return sum8(_mm256_add_epi32(s0, s1));
}

AVX2 INLINE __m128i four_avx2(const uint8_t *a, const uint8_t *const b[4], size_t stride, add32_fn *add)
{
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;

    for (size_t i = 0; i < stride; i += 32) {
        __m256i q = load32(a + i);
        s0 = add(s0, q, load32(b[0] + i));
        s1 = add(s1, q, load32(b[1] + i));
        s2 = add(s2, q, load32(b[2] + i));
        s3 = add(s3, q, load32(b[3] + i));
    }
    return sum8x4(s0, s1, s2, s3);
}

AVX2 INLINE void put4(uint32_t ret[4], __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)ret, _mm_and_si128(v, _mm_set1_epi32(INT32_MAX)));
}

AVX2 static uint32_t l2_avx2(const uint8_t *a, const uint8_t *b, size_t stride)
{
    return one_avx2(a, b, stride, l2_add) & MASK;
}

AVX2 static void l2_avx2_4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    put4(ret, four_avx2(a, b, stride, l2_add));
}

AVX2 static uint32_t l1_avx2(const uint8_t *a, const uint8_t *b, size_t stride)
{
    return one_avx2(a, b, stride, l1_add);
}

AVX2 static void l1_avx2_4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    put4(ret, four_avx2(a, b, stride, l1_add));
}

AVX2 static uint32_t dot_avx2(const uint8_t *a, const uint8_t *b, size_t stride)
{
    return (VEX_CODE_DOT_ZERO - one_avx2(a, b, stride, dot_add)) & MASK;
}

AVX2 static void dot_avx2_4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    put4(ret, _mm_sub_epi32(_mm_set1_epi32((int)VEX_CODE_DOT_ZERO), four_avx2(a, b, stride, dot_add)));
}

/* ---- AVX-512: what 64 bytes add ---- */

AVX512 INLINE __m512i l2_add64(__m512i sum, __m512i a, __m512i b)
{
    __m512i d = _mm512_abs_epi8(_mm512_sub_epi8(a, b));

    return _mm512_dpbusd_epi32(sum, d, d);
}

AVX512 INLINE __m512i l1_add64(__m512i sum, __m512i a, __m512i b)
{
    return _mm512_add_epi32(sum, _mm512_sad_epu8(a, b));
}

/* a - 64 has a sign, so the part of 64 goes into the sum with b turned round. */
AVX512 INLINE __m512i dot_add64(__m512i sum, __m512i a, __m512i b)
{
    const __m512i centre = _mm512_set1_epi8(VEX_CODE_CENTRE);

    sum = _mm512_dpbusd_epi32(sum, a, _mm512_sub_epi8(b, centre));
    return _mm512_dpbusd_epi32(sum, centre, _mm512_sub_epi8(centre, b));
}

typedef __m512i add64_fn(__m512i sum, __m512i a, __m512i b);

AVX512 INLINE uint32_t one_avx512(const uint8_t *a, const uint8_t *b, size_t stride, add64_fn *add)
{
    __m512i s0 = _mm512_setzero_si512(), s1 = s0;
    size_t i = 0;

    for (; i + 128 <= stride; i += 128) {
        s0 = add(s0, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
        s1 = add(s1, _mm512_loadu_si512(a + i + 64), _mm512_loadu_si512(b + i + 64));
    }
    if (i < stride)
        s0 = add(s0, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
    return sum8(fold(_mm512_add_epi32(s0, s1)));
}

AVX512 INLINE __m128i four_avx512(const uint8_t *a, const uint8_t *const b[4], size_t stride, add64_fn *add)
{
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;

    for (size_t i = 0; i < stride; i += 64) {
        __m512i q = _mm512_loadu_si512(a + i);
        s0 = add(s0, q, _mm512_loadu_si512(b[0] + i));
        s1 = add(s1, q, _mm512_loadu_si512(b[1] + i));
        s2 = add(s2, q, _mm512_loadu_si512(b[2] + i));
        s3 = add(s3, q, _mm512_loadu_si512(b[3] + i));
    }
    return sum8x4(fold(s0), fold(s1), fold(s2), fold(s3));
}

AVX512 static uint32_t l2_avx512(const uint8_t *a, const uint8_t *b, size_t stride)
{
    return one_avx512(a, b, stride, l2_add64) & MASK;
}

AVX512 static void l2_avx512_4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    put4(ret, four_avx512(a, b, stride, l2_add64));
}

AVX512 static uint32_t l1_avx512(const uint8_t *a, const uint8_t *b, size_t stride)
{
    return one_avx512(a, b, stride, l1_add64);
}

AVX512 static void l1_avx512_4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    put4(ret, four_avx512(a, b, stride, l1_add64));
}

AVX512 static uint32_t dot_avx512(const uint8_t *a, const uint8_t *b, size_t stride)
{
    return (VEX_CODE_DOT_ZERO - one_avx512(a, b, stride, dot_add64)) & MASK;
}

AVX512 static void dot_avx512_4(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4])
{
    put4(ret, _mm_sub_epi32(_mm_set1_epi32((int)VEX_CODE_DOT_ZERO), four_avx512(a, b, stride, dot_add64)));
}

static struct vex_code_kernels choose(enum vex_distance distance, const struct vex_code_kernels sets[3])
{
    return sets[distance == VEX_DISTANCE_L1 ? 1 : distance == VEX_DISTANCE_DOT ? 2 : 0];
}

bool vex_code_kernels_x86(uint32_t index, enum vex_distance distance, struct vex_code_kernels *ret)
{
    static const struct vex_code_kernels narrow[3] = {
        {"avx2", l2_avx2, l2_avx2_4}, {"avx2", l1_avx2, l1_avx2_4}, {"avx2", dot_avx2, dot_avx2_4}};
    static const struct vex_code_kernels wide[3] = {{"avx512", l2_avx512, l2_avx512_4},
                                                    {"avx512", l1_avx512, l1_avx512_4},
                                                    {"avx512", dot_avx512, dot_avx512_4}};

    if (index == 0 && __builtin_cpu_supports("avx2")) {
        *ret = choose(distance, narrow);
        return true;
    }
    if (index == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        *ret = choose(distance, wide);
        return true;
    }
    return false;
}
#else
bool vex_code_kernels_x86(uint32_t index, enum vex_distance distance, struct vex_code_kernels *ret)
{
    (void)index;
    (void)distance;
    (void)ret;
    return false;
}
#endif
