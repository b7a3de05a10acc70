/* Random rotation. See codes_rotate.h.
 *
 * Counts that are no power of two are transformed in two overlapping parts, each as long as the largest power of two below: the
 * first in even rounds, the last in odd ones. Four such rounds spread every element over all. */
#include "engine/index/codes_rotate.h"

#include <math.h>

#define ROUNDS 4u

static uint64_t next(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

typedef uint32_t words __attribute__((vector_size(16), aligned(4), may_alias));

/* Negates about half of them. */
static void flip(float *v, uint32_t count, uint64_t *random)
{
    for (uint32_t i = 0; i < count; i += 64) {
        uint64_t bits = next(random);
        for (uint32_t j = 0; j < 64; j += 4) {
            words *at = (words *)(void *)&v[i + j];
            words four_bits = (uint32_t)(bits >> j & 15) << (words){31, 30, 29, 28};
            *at ^= four_bits & 0x80000000;
        }
    }
}

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

/* Not normalised; the count is a power of two, at least 64. */
static void hadamard(float *v, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 4) {
        float a = v[i] + v[i + 1], b = v[i] - v[i + 1], c = v[i + 2] + v[i + 3], d = v[i + 2] - v[i + 3];
        v[i] = a + c;
        v[i + 1] = b + d;
        v[i + 2] = a - c;
        v[i + 3] = b - d;
    }
    for (uint32_t half = 4; half < count; half *= 2)
        for (uint32_t i = 0; i < count; i += 2 * half)
            for (uint32_t j = i; j < i + half; j += 4) {
                four *x = (four *)(void *)&v[j], *y = (four *)(void *)&v[j + half], sum = *x + *y;
                *y = *x - *y;
                *x = sum;
            }
}

void vex_codes_rotate(float *vector, uint32_t count)
{
    uint32_t part = UINT32_C(1) << (31 - __builtin_clz(count));
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15) ^ count;
    float norm = 1 / sqrtf((float)part);

    for (uint32_t round = 0; round < ROUNDS; round++) {
        float *from = round % 2 == 0 ? vector : vector + (count - part);
        flip(vector, count, &random);
        hadamard(from, part);
        for (uint32_t i = 0; i < part; i++)
            from[i] *= norm;
    }
}
