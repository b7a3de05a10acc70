/* Distance kernels and conversions, chosen once for the CPU (AVX-512, AVX2+FMA+F16C, NEON, scalar).
 *
 * All variants give bit-identical results, because the arithmetic is laid down:
 *   - Element i of a vector goes to lane i mod 32 of 32 f32 sums that begin at +0, in the order of i. L2 adds
 *     with a fused multiply-add of the difference by itself, the dot product with one of the elements, L1
 *     adds the absolute difference. Lanes without an element at the end may add zeros; nobody can tell.
 *   - The sums are folded by halves: lane i + lane i+16, then +8, +4, +2, +1.
 *   - The dot product is subtracted from +0, so that no -0 comes out. A NaN (infinite products of both signs,
 *     or a NaN in a damaged file) becomes +infinity, the farthest there is: distances always have an order.
 *   - Below VEX_DIST_SHORT dimensions there is one sum, from +0 in the order of i, and each product is rounded before
 *     it is added: what everybody's plain loop gives, so that few dimensions score alike everywhere.
 * 32 lanes are four AVX2 or two AVX-512 registers: enough to hide the latency of the multiply-add.
 *
 * Vectors are aligned to their element, no more; nothing past the last element is read. Thread-safe. */
#ifndef VEX_UAPI_DIST_H
#define VEX_UAPI_DIST_H

#include <stddef.h>
#include <stdint.h>

#include "uapi/dev.h"

/* Distance of one query (f32) to one stored vector of the element type; smaller is nearer. Never NaN. */
typedef float vex_dist_fn(const float *query, const void *vector, size_t dimensions);

/* The same to four vectors at once, which costs less than four calls; the results are bit for bit the same.
 */
typedef void vex_dist4_fn(const float *query, const void *const vectors[4], size_t dimensions, float ret[4]);

/* VEX_DISTANCE_COSINE is the same function as DOT. */
vex_dist_fn *vex_dist(enum vex_distance distance, enum vex_element element);
vex_dist4_fn *vex_dist4(enum vex_distance distance, enum vex_element element);
vex_dist_fn *vex_dist_scalar(enum vex_distance distance, enum vex_element element); /* for tests */
const char *vex_dist_name(void); /* "avx512", "avx2", "neon", "scalar" */

/* f32 -> stored elements. F16 rounds to nearest even (beyond 65504: infinity); U8 drops what is behind the point and
 * clamps to 0..255. The rest of the stride is zeroed by the caller. */
void vex_dist_encode(enum vex_element element, const float *from, void *to, size_t dimensions);
void vex_dist_decode(enum vex_element element, const void *from, float *to, size_t dimensions);

/* Normalises to unit length in place (f64 accumulation; short vectors by a plain f32 loop, and one whose square is within
 * 1e-6 of 1 stays as it is); returns the length. A vector shorter than FLT_EPSILON stays. */
float vex_dist_normalise(float *vector, size_t dimensions);

#endif
