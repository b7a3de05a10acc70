/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Distances by integer arithmetic on IEEE 754 bit patterns: the path for CPUs whose floating point unit the module does not
 * use. Bit for bit what dist.h lays down. Plain C types, so that a program can be made of it to test it. */
#ifndef VEX_KMOD_SOFT_H
#define VEX_KMOD_SOFT_H

/* a x b + c, rounded once, to nearest even. NaN results have one pattern. */
unsigned int vex_soft_fma(unsigned int a, unsigned int b, unsigned int c);
unsigned int vex_soft_add(unsigned int a, unsigned int b);
unsigned int vex_soft_from_u8(unsigned char value);
/* A stored byte: what is behind the point dropped, clamped to 0..255; NaN is 0. */
unsigned char vex_soft_to_u8(unsigned int bits);

/* Bits of the distance of `count` vectors to a query. The distance and element are those of score.h. */
void vex_soft_score(unsigned int distance, unsigned int element, const unsigned int *query,
                    const void *const *vectors, unsigned int count, unsigned int dimensions,
                    unsigned int *ret);

#endif
