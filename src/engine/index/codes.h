/* 7-bit codes of vectors: what graph walks compare instead of the originals.
 *
 * Scheme    One scale for all dimensions, an offset for each: code = round((x - offset) / scale) + 64 within 0 .. 127,
 *           so that differences of codes are differences of vectors and sums of products fit the byte instructions of
 *           AVX2 and VNNI (symmetric scalar quantization; two products of 7-bit numbers never saturate 16 bits).
 * Distances Integers, smaller is nearer, comparable among themselves only: L2 and cosine the sum of squared differences,
 *           L1 that of absolute ones, DOT a constant minus the product (codes are kept without offsets then). All below
 *           2^31, whatever the bytes are.
 * Layout    `stride` bytes a vector, a multiple of 64; bytes beyond the dimensions are 64 in all (they add nothing).
 * Threads   Immutable once trained. A code that is rewritten while it is compared gives an odd distance, no more. */
#ifndef VEX_ENGINE_INDEX_CODES_H
#define VEX_ENGINE_INDEX_CODES_H

#include "base/str.h"
#include "uapi/dev.h"

typedef uint32_t vex_code_dist_fn(const uint8_t *a, const uint8_t *b, size_t stride);
/* One against four: less than four calls cost, the same results. */
typedef void vex_code_dist4_fn(const uint8_t *a, const uint8_t *const b[4], size_t stride, uint32_t ret[4]);

struct vex_code_kernels {
    const char *name; /* "avx512", "avx2", "scalar" */
    vex_code_dist_fn *one;
    vex_code_dist4_fn *four;
};

struct vex_codes {
    uint32_t dimensions, stride;
    enum vex_distance distance;
    float scale;    /* of the originals; 0: not trained */
    float *offsets; /* dimensions of them; zeros for DOT */
    struct vex_code_kernels kernels;
};

void vex_codes_init(struct vex_codes *codes, uint32_t dimensions, enum vex_distance distance);
void vex_codes_done(struct vex_codes *codes);
/* Learns offsets and scale from a sample, count x dimensions. */
void vex_codes_train(struct vex_codes *codes, const float *sample, size_t count);
void vex_codes_encode(const struct vex_codes *codes, const float *vector, uint8_t *ret);
/* Elements of a vector that the scale cuts off: when many vectors have some, the codes want to be trained anew. */
uint32_t vex_codes_clamped(const struct vex_codes *codes, const float *vector);

void vex_codes_save(const struct vex_codes *codes, struct vex_buf *out);
bool vex_codes_load(struct vex_codes *codes, struct vex_cursor *c); /* of the same dimensions and distance */

/* The kernels chosen for this machine; for tests each of them: 0 is the scalar set, false beyond the last. */
struct vex_code_kernels vex_code_kernels(enum vex_distance distance);
bool vex_code_kernels_at(uint32_t index, enum vex_distance distance, struct vex_code_kernels *ret);

#endif
