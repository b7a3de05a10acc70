/* Distances of bit codes by AVX2 and by AVX-512 with VNNI: a query's bytes are summed under masks that are the bits of a code. */
#include "engine/index/codes_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2   __attribute__((target("avx2"))) VEX_CODE_RACY
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) VEX_CODE_RACY
#define INLINE static inline __attribute__((always_inline))

/* The next 32 or 64 bits. */
VEX_CODE_RACY INLINE uint32_t bits32(const uint8_t *at)
{
    uint32_t bits;

    memcpy(&bits, at, sizeof bits);
    return bits;
}

VEX_CODE_RACY INLINE uint64_t bits64(const uint8_t *at)
{
    uint64_t bits;

    memcpy(&bits, at, sizeof bits);
    return bits;
}

/* Where sign times size is positive, of dimensions from `i` on; `sizes` are those of the whole code. */
INLINE uint32_t sizes32(enum vex_code_kind kind, const uint8_t *sizes, uint32_t i, uint32_t padded,
                        uint32_t signs)
{
    if (kind == VEX_CODES_1_5_BITS && i >= padded / 2)
        return signs ^ bits32(sizes + (i - padded / 2) / 8);
    return ~(signs ^ bits32(sizes + i / 8));
}

INLINE uint64_t sizes64(enum vex_code_kind kind, const uint8_t *sizes, uint32_t i, uint32_t padded,
                        uint64_t signs)
{
    if (kind == VEX_CODES_1_5_BITS && i >= padded / 2)
        return signs ^ bits64(sizes + (i - padded / 2) / 8);
    return ~(signs ^ bits64(sizes + i / 8));
}

/* ---- AVX2 ---- */

AVX2 INLINE __m256i expand(uint32_t bits)
{
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i each = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);

    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, each), each);
}

AVX2 INLINE __m256i add_under(__m256i sum, __m256i query, uint32_t bits)
{
    __m256i kept = _mm256_and_si256(query, expand(bits));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), kept);

    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2 INLINE __m128i sum8x4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));

    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

AVX2 INLINE void four_avx2(const uint8_t *query, const uint8_t *const codes[4], uint32_t ret[4],
                           enum vex_code_kind kind)
{
    const struct vex_code_query_head *head = (const void *)query;
    uint32_t padded = head->padded;
    __m256i s[4], z[4];
    int32_t signs[4], sizes[4];

    for (int k = 0; k < 4; k++)
        s[k] = z[k] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < padded; i += 32) {
        __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)(query + sizeof *head + i));
        for (int k = 0; k < 4; k++) {
            uint32_t bits = bits32(codes[k] + VEX_CODE_BITS_AT + i / 8);
            s[k] = add_under(s[k], q, bits);
            if (kind != VEX_CODES_1_BIT)
                z[k] = add_under(z[k], q,
                                 sizes32(kind, codes[k] + VEX_CODE_BITS_AT + padded / 8, i, padded, bits));
        }
    }
    _mm_storeu_si128((__m128i *)(void *)signs, sum8x4(s[0], s[1], s[2], s[3]));
    _mm_storeu_si128((__m128i *)(void *)sizes, sum8x4(z[0], z[1], z[2], z[3]));
    for (int k = 0; k < 4; k++)
        signs[k] = vex_code_dot(kind, head->sum, signs[k], sizes[k]);
    vex_code_estimate(head, codes, 4, signs, ret);
}

AVX2 INLINE uint32_t one_avx2(const uint8_t *query, const uint8_t *code, enum vex_code_kind kind)
{
    const struct vex_code_query_head *head = (const void *)query;
    const uint8_t *const codes[1] = {code};
    uint32_t padded = head->padded, ret;
    __m256i s = _mm256_setzero_si256(), z = s;
    __m128i sums;
    int32_t dot;

    for (uint32_t i = 0; i < padded; i += 32) {
        __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)(query + sizeof *head + i));
        uint32_t bits = bits32(code + VEX_CODE_BITS_AT + i / 8);
        s = add_under(s, q, bits);
        if (kind != VEX_CODES_1_BIT)
            z = add_under(z, q, sizes32(kind, code + VEX_CODE_BITS_AT + padded / 8, i, padded, bits));
    }
    sums = sum8x4(s, z, s, z);
    dot = vex_code_dot(kind, head->sum, _mm_cvtsi128_si32(sums), _mm_extract_epi32(sums, 1));
    vex_code_estimate(head, codes, 1, &dot, &ret);
    return ret;
}

/* ---- AVX-512 ---- */

AVX512 INLINE __m512i add_under64(__m512i sum, __m512i query, uint64_t bits)
{
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_maskz_mov_epi8(bits, query));
}

AVX512 INLINE __m256i fold(__m512i v)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

AVX512 INLINE void four_avx512(const uint8_t *query, const uint8_t *const codes[4], uint32_t ret[4],
                               enum vex_code_kind kind)
{
    const struct vex_code_query_head *head = (const void *)query;
    uint32_t padded = head->padded;
    __m512i s[4], z[4];
    int32_t signs[4], sizes[4];

    for (int k = 0; k < 4; k++)
        s[k] = z[k] = _mm512_setzero_si512();
    for (uint32_t i = 0; i < padded; i += 64) {
        __m512i q = _mm512_loadu_si512(query + sizeof *head + i);
        for (int k = 0; k < 4; k++) {
            uint64_t bits = bits64(codes[k] + VEX_CODE_BITS_AT + i / 8);
            s[k] = add_under64(s[k], q, bits);
            if (kind != VEX_CODES_1_BIT)
                z[k] = add_under64(z[k], q,
                                   sizes64(kind, codes[k] + VEX_CODE_BITS_AT + padded / 8, i, padded, bits));
        }
    }
    _mm_storeu_si128((__m128i *)(void *)signs, sum8x4(fold(s[0]), fold(s[1]), fold(s[2]), fold(s[3])));
    _mm_storeu_si128((__m128i *)(void *)sizes, sum8x4(fold(z[0]), fold(z[1]), fold(z[2]), fold(z[3])));
    for (int k = 0; k < 4; k++)
        signs[k] = vex_code_dot(kind, head->sum, signs[k], sizes[k]);
    vex_code_estimate(head, codes, 4, signs, ret);
}

AVX512 INLINE uint32_t one_avx512(const uint8_t *query, const uint8_t *code, enum vex_code_kind kind)
{
    const struct vex_code_query_head *head = (const void *)query;
    const uint8_t *const codes[1] = {code};
    uint32_t padded = head->padded, ret;
    __m512i s = _mm512_setzero_si512(), z = s;
    int32_t dot;

    for (uint32_t i = 0; i < padded; i += 64) {
        __m512i q = _mm512_loadu_si512(query + sizeof *head + i);
        uint64_t bits = bits64(code + VEX_CODE_BITS_AT + i / 8);
        s = add_under64(s, q, bits);
        if (kind != VEX_CODES_1_BIT)
            z = add_under64(z, q, sizes64(kind, code + VEX_CODE_BITS_AT + padded / 8, i, padded, bits));
    }
    dot = vex_code_dot(kind, head->sum, _mm512_reduce_add_epi32(s), _mm512_reduce_add_epi32(z));
    vex_code_estimate(head, codes, 1, &dot, &ret);
    return ret;
}

/* ---- sets ---- */

#define KERNELS(TARGET, set, name, kind)                                                                     \
    TARGET static uint32_t name##_##set(const uint8_t *query, const uint8_t *code, size_t stride)            \
    {                                                                                                        \
        (void)stride;                                                                                        \
        return one_##set(query, code, kind);                                                                 \
    }                                                                                                        \
    TARGET static void name##_##set##_4(const uint8_t *query, const uint8_t *const codes[4], size_t stride,  \
                                        uint32_t ret[4])                                                     \
    {                                                                                                        \
        (void)stride;                                                                                        \
        four_##set(query, codes, ret, kind);                                                                 \
    }

KERNELS(AVX2, avx2, bits_1, VEX_CODES_1_BIT)
KERNELS(AVX2, avx2, bits_1_5, VEX_CODES_1_5_BITS)
KERNELS(AVX2, avx2, bits_2, VEX_CODES_2_BITS)
KERNELS(AVX512, avx512, bits_1, VEX_CODES_1_BIT)
KERNELS(AVX512, avx512, bits_1_5, VEX_CODES_1_5_BITS)
KERNELS(AVX512, avx512, bits_2, VEX_CODES_2_BITS)

bool vex_code_bits_x86(uint32_t index, enum vex_code_kind kind, struct vex_code_kernels *ret)
{
    static const struct vex_code_kernels narrow[3] = {{"avx2", bits_1_avx2, bits_1_avx2_4},
                                                      {"avx2", bits_1_5_avx2, bits_1_5_avx2_4},
                                                      {"avx2", bits_2_avx2, bits_2_avx2_4}};
    static const struct vex_code_kernels wide[3] = {{"avx512", bits_1_avx512, bits_1_avx512_4},
                                                    {"avx512", bits_1_5_avx512, bits_1_5_avx512_4},
                                                    {"avx512", bits_2_avx512, bits_2_avx512_4}};
    uint32_t at = kind == VEX_CODES_1_BIT ? 0 : kind == VEX_CODES_1_5_BITS ? 1 : 2;

    if (index == 0 && __builtin_cpu_supports("avx2")) {
        *ret = narrow[at];
        return true;
    }
    if (index == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        *ret = wide[at];
        return true;
    }
    return false;
}
#else
bool vex_code_bits_x86(uint32_t index, enum vex_code_kind kind, struct vex_code_kernels *ret)
{
    (void)index;
    (void)kind;
    (void)ret;
    return false;
}
#endif
