/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Distance arithmetic with AVX2, FMA and F16C, compiled into this program and into the kernel module. The layout of the
 * sums is dist.h's: accumulator g holds the lanes from 8 g on. Who includes it has enum vex_distance and enum
 * vex_element; nothing but the compiler's own headers is needed. */
#ifndef VEX_UAPI_DIST_AVX2_H
#define VEX_UAPI_DIST_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "uapi/dist_each.h"

#define AVX2        __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))

/* Eight elements from i on. */
AVX2_INLINE __m256 load(enum vex_element element, const void *vector, size_t i)
{
    if (element == VEX_ELEMENT_F16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const void *)((const uint16_t *)vector + i)));
    if (element == VEX_ELEMENT_U8)
        return _mm256_cvtepi32_ps(
            _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)((const uint8_t *)vector + i))));
    return _mm256_loadu_ps((const float *)vector + i);
}

/* `count` < 8 elements from i on, zeros after them. */
AVX2_INLINE __m256 load_part(enum vex_element element, const void *vector, size_t i, size_t count)
{
    if (element == VEX_ELEMENT_F32) {
        __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        __m256i wanted = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane);
        return _mm256_maskload_ps((const float *)vector + i, wanted);
    }
    size_t size = element == VEX_ELEMENT_F16 ? 2 : 1;
    uint8_t part[16] = {0};
    for (size_t j = 0; j < count * size; j++)
        part[j] = ((const uint8_t *)vector)[i * size + j];
    return load(element, part, 0);
}

AVX2_INLINE __m256 added(enum vex_distance distance, __m256 sum, __m256 q, __m256 v)
{
    if (distance == VEX_DISTANCE_DOT)
        return _mm256_fmadd_ps(q, v, sum);
    __m256 difference = _mm256_sub_ps(q, v);
    if (distance == VEX_DISTANCE_L2)
        return _mm256_fmadd_ps(difference, difference, sum);
    return _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), difference));
}

/* From 32 lanes to four. */
AVX2_INLINE __m128 quarter(const __m256 sums[4])
{
    __m256 eight = _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3]));
    return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}

AVX2_INLINE float folded(const __m256 sums[4])
{
    __m128 four = quarter(sums);
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Elements of a short vector as f32: those of f32 where they are, others in `room`. */
AVX2_INLINE const float *short_elements(enum vex_element element, const void *vector, size_t dimensions,
                                        float room[VEX_DIST_SHORT])
{
    if (element == VEX_ELEMENT_F32)
        return vector;
    size_t whole = dimensions / 8 * 8;
    if (whole > 0)
        _mm256_storeu_ps(room, load(element, vector, 0));
    _mm256_storeu_ps(room + whole, load_part(element, vector, whole, dimensions - whole));
    return room;
}

AVX2_INLINE float short_kernel(enum vex_distance distance, enum vex_element element, const float *query,
                               const void *vector, size_t dimensions)
{
    float room[VEX_DIST_SHORT], sum = 0;
    const float *values = short_elements(element, vector, dimensions, room);
    for (size_t i = 0; i < dimensions; i++)
        sum += vex_dist_short_term(distance, query[i], values[i]);
    return vex_dist_finish(distance, sum);
}

/* The four sums run beside each other. */
AVX2_INLINE void short_kernel4(enum vex_distance distance, enum vex_element element, const float *query,
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

AVX2_INLINE float kernel(enum vex_distance distance, enum vex_element element, const float *query,
                         const void *vector, size_t dimensions)
{
    if (__builtin_expect(dimensions < VEX_DIST_SHORT, 0))
        return short_kernel(distance, element, query, vector, dimensions);
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + VEX_DIST_LANES <= dimensions; i += VEX_DIST_LANES) {
        sums[0] = added(distance, sums[0], _mm256_loadu_ps(query + i), load(element, vector, i));
        sums[1] = added(distance, sums[1], _mm256_loadu_ps(query + i + 8), load(element, vector, i + 8));
        sums[2] = added(distance, sums[2], _mm256_loadu_ps(query + i + 16), load(element, vector, i + 16));
        sums[3] = added(distance, sums[3], _mm256_loadu_ps(query + i + 24), load(element, vector, i + 24));
    }
    size_t g = 0;
    for (; i + 8 <= dimensions; i += 8, g++)
        sums[g] = added(distance, sums[g], _mm256_loadu_ps(query + i), load(element, vector, i));
    if (i < dimensions)
        sums[g] = added(distance, sums[g], load_part(VEX_ELEMENT_F32, query, i, dimensions - i),
                        load_part(element, vector, i, dimensions - i));
    return vex_dist_finish(distance, folded(sums));
}

/* Folds four sums of four lanes each, as folded() does it, and finishes them as vex_dist_finish does. */
AVX2_INLINE void finish4(enum vex_distance distance, const __m128 sums[4], float ret[4])
{
    __m128 first = _mm_add_ps(_mm_movelh_ps(sums[0], sums[1]), _mm_movehl_ps(sums[1], sums[0]));
    __m128 second = _mm_add_ps(_mm_movelh_ps(sums[2], sums[3]), _mm_movehl_ps(sums[3], sums[2]));
    __m128 all = _mm_add_ps(_mm_shuffle_ps(first, second, _MM_SHUFFLE(2, 0, 2, 0)),
                            _mm_shuffle_ps(first, second, _MM_SHUFFLE(3, 1, 3, 1)));
    if (distance == VEX_DISTANCE_DOT)
        all = _mm_sub_ps(_mm_setzero_ps(), all);
    _mm_storeu_ps(ret, _mm_blendv_ps(all, _mm_set1_ps(__builtin_inff()), _mm_cmpunord_ps(all, all)));
}

/* Two vectors to a sum of four lanes each; with two, all sums stay in registers. */
AVX2_INLINE void pair(enum vex_distance distance, enum vex_element element, const float *query, const void *a,
                      const void *b, size_t dimensions, __m128 ret[2])
{
    __m256 zero = _mm256_setzero_ps(), as[4] = {zero, zero, zero, zero}, bs[4] = {zero, zero, zero, zero};
    size_t i = 0;
    for (; i + VEX_DIST_LANES <= dimensions; i += VEX_DIST_LANES) {
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            __m256 q = _mm256_loadu_ps(query + i + 8 * j);
            as[j] = added(distance, as[j], q, load(element, a, i + 8 * j));
            bs[j] = added(distance, bs[j], q, load(element, b, i + 8 * j));
        }
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        size_t left = dimensions - i;
        if (left == 0)
            break;
        size_t count = left < 8 ? left : 8;
        __m256 q = count == 8 ? _mm256_loadu_ps(query + i) : load_part(VEX_ELEMENT_F32, query, i, count);
        as[j] = added(distance, as[j], q, count == 8 ? load(element, a, i) : load_part(element, a, i, count));
        bs[j] = added(distance, bs[j], q, count == 8 ? load(element, b, i) : load_part(element, b, i, count));
        i += count;
    }
    ret[0] = quarter(as);
    ret[1] = quarter(bs);
}

AVX2_INLINE void kernel4(enum vex_distance distance, enum vex_element element, const float *query,
                         const void *const vectors[4], size_t dimensions, float ret[4])
{
    if (__builtin_expect(dimensions < VEX_DIST_SHORT, 0)) {
        short_kernel4(distance, element, query, vectors, dimensions, ret);
        return;
    }
    __m128 sums[4];
    pair(distance, element, query, vectors[0], vectors[1], dimensions, sums);
    pair(distance, element, query, vectors[2], vectors[3], dimensions, sums + 2);
    finish4(distance, sums, ret);
}

#endif
