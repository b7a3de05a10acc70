/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Distances of stored vectors to a query, as IEEE 754 bit patterns. Plain C types: the object with the floating point
 * arithmetic sees no kernel header. */
#ifndef VEX_KMOD_SCORE_H
#define VEX_KMOD_SCORE_H

/* Numbered as enum vex_element (store.h) and VEXFS_SEARCH_* (cosine is DOT) are: asserted in score.c. */
enum vex_score_element { VEX_SCORE_F32, VEX_SCORE_F16, VEX_SCORE_U8 };
enum vex_score_distance { VEX_SCORE_L2, VEX_SCORE_COSINE, VEX_SCORE_DOT, VEX_SCORE_L1 };

/* What was chosen: "avx2" or "portable". */
const char *vex_score_name(void);

/* Bits of the distance of `count` vectors to a query of `dimensions` bit patterns. What is measured at once is bounded
 * by the caller: preemption may be off meanwhile. */
void vex_score(unsigned int distance, unsigned int element, const unsigned int *query,
               const void *const *vectors, unsigned int count, unsigned int dimensions, unsigned int *ret);

/* Only between kernel_fpu_begin() and kernel_fpu_end(), on a CPU with AVX2, FMA and F16C. */
void vex_score_avx2(unsigned int distance, unsigned int element, const unsigned int *query,
                    const void *const *vectors, unsigned int count, unsigned int dimensions,
                    unsigned int *ret);

#endif
