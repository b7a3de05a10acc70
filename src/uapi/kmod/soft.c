// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Binary32 by integers. See soft.h.
 *
 * Method    A product is exact in 48 bits. Both terms of a sum are brought to a leading bit at 61; of the smaller what is
 *           shifted out is kept as a sticky last bit, which is enough, for when much cancels nothing was shifted out. */
#include "uapi/kmod/soft.h"

#include "uapi/half.h"
#include "uapi/kmod/score.h"

#define SIGN     0x80000000u
#define INFINITE 0x7f800000u
#define NOT      0x7fc00000u /* a number */
#define ONE      0x3f800000u
#define LANES    32u
#define SHORT    16u
#define LEAD     61

/* significand x 2^exponent */
struct term {
    unsigned int sign;
    int exponent;
    unsigned long long significand;
};

static int lead_of(unsigned long long value)
{
    return 63 - __builtin_clzll(value);
}

static unsigned long long jammed(unsigned long long value, int shift)
{
    if (shift > 63)
        return value != 0;
    return shift == 0 ? value : value >> shift | ((value << (64 - shift)) != 0);
}

static unsigned int rounded(struct term t)
{
    int least, shift;
    unsigned long long kept, lost, half, bits;

    if (t.significand == 0)
        return t.sign;
    least = t.exponent + lead_of(t.significand) - 23; /* exponent of the last bit that stays */
    if (least < -149)
        least = -149;
    shift = least - t.exponent;
    if (shift <= 0) {
        kept = t.significand << -shift;
    } else {
        if (shift > LEAD) {
            t.significand = jammed(t.significand, shift - LEAD);
            shift = LEAD;
        }
        kept = t.significand >> shift;
        lost = t.significand & ((1ull << shift) - 1);
        half = 1ull << (shift - 1);
        if (lost > half || (lost == half && (kept & 1) != 0))
            kept++;
    }
    /* The leading bit of a normal number adds the one that the exponent lacks here. */
    bits = ((unsigned long long)(least + 149) << 23) + kept;
    return t.sign | (bits >= INFINITE ? INFINITE : (unsigned int)bits);
}

static struct term term_of(unsigned int bits)
{
    unsigned int exponent = (bits >> 23) & 0xff, mantissa = bits & 0x7fffff;
    struct term t = {bits & SIGN, exponent == 0 ? -149 : (int)exponent - 150,
                     exponent == 0 ? mantissa : mantissa | 0x800000};

    return t;
}

static struct term normalised(struct term t)
{
    int shift = LEAD - lead_of(t.significand);

    t.significand <<= shift;
    t.exponent -= shift;
    return t;
}

/* Neither is zero. */
static unsigned int sum_of(struct term a, struct term b)
{
    struct term greater = normalised(a), lesser = normalised(b);

    if (lesser.exponent > greater.exponent ||
        (lesser.exponent == greater.exponent && lesser.significand > greater.significand)) {
        struct term swap = greater;

        greater = lesser;
        lesser = swap;
    }
    lesser.significand = jammed(lesser.significand, greater.exponent - lesser.exponent);
    if (greater.sign == lesser.sign)
        greater.significand += lesser.significand;
    else
        greater.significand -= lesser.significand;
    if (greater.significand == 0)
        greater.sign = 0;
    return rounded(greater);
}

static int is_nan(unsigned int bits)
{
    return (bits & ~SIGN) > INFINITE;
}

static int is_infinite(unsigned int bits)
{
    return (bits & ~SIGN) == INFINITE;
}

static int is_zero(unsigned int bits)
{
    return (bits & ~SIGN) == 0;
}

unsigned int vex_soft_fma(unsigned int a, unsigned int b, unsigned int c)
{
    unsigned int sign = (a ^ b) & SIGN;
    struct term x, y, product;

    if (is_nan(a) || is_nan(b) || is_nan(c))
        return NOT;
    if (is_infinite(a) || is_infinite(b)) {
        if (is_zero(a) || is_zero(b) || (is_infinite(c) && (c & SIGN) != sign))
            return NOT;
        return sign | INFINITE;
    }
    if (is_infinite(c))
        return c;
    if (is_zero(a) || is_zero(b)) {
        if (!is_zero(c))
            return c;
        return (c & SIGN) == sign ? sign : 0;
    }
    x = term_of(a);
    y = term_of(b);
    product.sign = sign;
    product.exponent = x.exponent + y.exponent;
    product.significand = x.significand * y.significand;
    return is_zero(c) ? rounded(product) : sum_of(product, term_of(c));
}

unsigned int vex_soft_add(unsigned int a, unsigned int b)
{
    return vex_soft_fma(ONE, a, b);
}

unsigned int vex_soft_from_u8(unsigned char value)
{
    unsigned int lead;

    if (value == 0)
        return 0;
    lead = 31 - (unsigned int)__builtin_clz(value);
    return (lead + 127) << 23 | (((unsigned int)value << (23 - lead)) & 0x7fffff);
}

unsigned char vex_soft_to_u8(unsigned int bits)
{
    unsigned int exponent = bits >> 23;

    if ((bits & SIGN) != 0 || is_nan(bits) || exponent < 127) /* below one */
        return 0;
    if (exponent >= 127 + 8)
        return 255;
    return (unsigned char)(((bits & 0x7fffff) | 0x800000) >> (150 - exponent));
}

/* ---- Distances ---- */

static unsigned int element_at(unsigned int element, const void *vector, unsigned int i)
{
    switch (element) {
    case VEX_SCORE_F16:
        return vex_bits_from_half(((const unsigned short *)vector)[i]);
    case VEX_SCORE_U8:
        return vex_soft_from_u8(((const unsigned char *)vector)[i]);
    default:
        return ((const unsigned int *)vector)[i];
    }
}

static unsigned int added(unsigned int distance, unsigned int sum, unsigned int q, unsigned int v)
{
    unsigned int difference;

    if (distance == VEX_SCORE_DOT)
        return vex_soft_fma(q, v, sum);
    difference = vex_soft_add(q, v ^ SIGN);
    return distance == VEX_SCORE_L2 ? vex_soft_fma(difference, difference, sum)
                                    : vex_soft_add(sum, difference & ~SIGN);
}

/* A product rounded by itself. Of two zeros the sign is the product's. */
static unsigned int product_of(unsigned int a, unsigned int b)
{
    return vex_soft_fma(a, b, (a ^ b) & SIGN);
}

static unsigned int short_sum(unsigned int distance, unsigned int element, const unsigned int *query,
                              const void *vector, unsigned int dimensions)
{
    unsigned int sum = 0, i;

    for (i = 0; i < dimensions; i++) {
        unsigned int q = query[i], v = element_at(element, vector, i), difference;

        difference = vex_soft_add(q, v ^ SIGN);
        if (distance == VEX_SCORE_DOT)
            difference = product_of(q, v);
        else if (distance == VEX_SCORE_L2)
            difference = product_of(difference, difference);
        else
            difference &= ~SIGN;
        sum = vex_soft_add(sum, difference);
    }
    return sum;
}

static unsigned int long_sum(unsigned int distance, unsigned int element, const unsigned int *query,
                             const void *vector, unsigned int dimensions)
{
    unsigned int lanes[LANES] = {0}, i, width;

    for (i = 0; i < dimensions; i++)
        lanes[i % LANES] = added(distance, lanes[i % LANES], query[i], element_at(element, vector, i));
    for (width = LANES / 2; width > 0; width /= 2)
        for (i = 0; i < width; i++)
            lanes[i] = vex_soft_add(lanes[i], lanes[i + width]);
    return lanes[0];
}

static unsigned int distance_to(unsigned int distance, unsigned int element, const unsigned int *query,
                                const void *vector, unsigned int dimensions)
{
    unsigned int sum = dimensions < SHORT ? short_sum(distance, element, query, vector, dimensions)
                                          : long_sum(distance, element, query, vector, dimensions);

    if (distance == VEX_SCORE_DOT)
        sum = vex_soft_add(0, sum ^ SIGN);
    return is_nan(sum) ? INFINITE : sum;
}

void vex_soft_score(unsigned int distance, unsigned int element, const unsigned int *query,
                    const void *const *vectors, unsigned int count, unsigned int dimensions,
                    unsigned int *ret)
{
    unsigned int i;

    for (i = 0; i < count; i++)
        ret[i] = distance_to(distance, element, query, vectors[i], dimensions);
}
