/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* IEEE 754 binary16 and binary32 bit patterns, one from the other by integer arithmetic; in this program and in the
 * kernel module. Rounds to nearest even; a NaN stays one. */
#ifndef VEX_UAPI_HALF_H
#define VEX_UAPI_HALF_H

static inline unsigned short vex_half_from_bits(unsigned bits)
{
    unsigned sign = (bits >> 16) & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000)
        return (unsigned short)(sign | 0x7e00 | ((rest >> 13) & 0x3ff));
    if (rest >= 0x477ff000) /* 65520: half way beyond the greatest */
        return (unsigned short)(sign | 0x7c00);
    if (rest >= 0x38800000) { /* a normal number: move the exponent's bias, round the 13 bits that go */
        rest += 0xc8000fff + ((rest >> 13) & 1);
        return (unsigned short)(sign | (rest >> 13));
    }
    unsigned exponent = rest >> 23;
    if (exponent < 102) /* below half of the least */
        return (unsigned short)sign;
    unsigned mantissa = (rest & 0x7fffff) | 0x800000, shift = 126 - exponent;
    unsigned kept = mantissa >> shift, lost = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
    if (lost > half || (lost == half && (kept & 1) != 0))
        kept++;
    return (unsigned short)(sign | kept);
}

static inline unsigned vex_bits_from_half(unsigned short half)
{
    unsigned sign = (unsigned)(half & 0x8000) << 16, exponent = (half >> 10) & 0x1f, mantissa = half & 0x3ff;
    if (exponent == 31)
        return sign | 0x7f800000 | mantissa << 13 | (mantissa != 0 ? 0x400000 : 0);
    if (exponent != 0)
        return sign | (exponent + 112) << 23 | mantissa << 13;
    if (mantissa == 0)
        return sign;
    unsigned lead = 31 - (unsigned)__builtin_clz(mantissa); /* mantissa x 2^-24 */
    return sign | (lead + 103) << 23 | ((mantissa << (23 - lead)) & 0x7fffff);
}

#endif
