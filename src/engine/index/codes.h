/* Codes of vectors: what graph walks compare instead of the originals.
 *
 * 7 bits    One scale for all dimensions, an offset for each: code = round((x - offset) / scale) + 64 within 0 .. 127,
 *           so that differences of codes are differences of vectors and sums of products fit the byte instructions of
 *           AVX2 and VNNI (symmetric scalar quantization; two products of 7-bit numbers never saturate 16 bits).
 * 1 to 2    What is left of the vector without the centre is rotated at random; of every dimension the sign is kept, and
 *           of the size one bit (2 bits) or one bit of two dimensions (1.5 bits). Two numbers beside them make the estimate of
 *           an inner product with an uncoded vector free of bias (Gao, Long 2024, "RaBitQ"). See codes_bits.c.
 * Distances Integers, smaller is nearer, comparable among themselves only, all below 2^31, whatever the bytes are. 7 bits: L2
 *           and cosine the sum of squared differences, L1 that of absolute ones, DOT a constant minus the product (codes are kept
 *           without offsets then). Bits: estimates of the squared difference (of L1 too) or of the product.
 * Queries   are coded as well, finer than what they are compared with: a query's form and a code are different things (with
 *           7 bits they are the same bytes, but for DOT: the order doesn't depend on the length of a query, which takes the whole
 *           range whatever it is; vex_codes_distance is right between codes only then).
 * Layout    `stride` bytes a vector. 7 bits: a multiple of 64, bytes beyond the dimensions are 64 in all (they add nothing).
 *           Bits: a multiple of 32. Little-endian.
 * Threads   Immutable once trained. A code that is rewritten while it is compared gives an odd distance, no more. */
#ifndef VEX_ENGINE_INDEX_CODES_H
#define VEX_ENGINE_INDEX_CODES_H

#include "base/str.h"
#include "uapi/dev.h"

enum vex_code_kind {
    VEX_CODES_7_BITS, /* the default */
    VEX_CODES_1_BIT,
    VEX_CODES_1_5_BITS,
    VEX_CODES_2_BITS,
    VEX_CODES_COUNT
};

/* How finely the queries of bit codes are coded. It matters to recall, hardly to speed. */
enum vex_code_query {
    VEX_CODE_QUERY_DEFAULT, /* 8 bits */
    VEX_CODE_QUERY_1_BIT,
    VEX_CODE_QUERY_4_BITS,
    VEX_CODE_QUERY_8_BITS,
    VEX_CODE_QUERY_COUNT
};

/* Zeros are the defaults. All but the headroom as a user sets them. */
struct vex_code_params {
    enum vex_code_kind kind;
    enum vex_code_query query; /* of bits */
    float
        quantile; /* of 7 bits: the part of the elements that the scale does not cut off, 0.5 .. 1; 0: all but a few */
    float
        headroom; /* of 7 bits, for training: the scale reaches so many times as far as the sample asks for; 0: once */
};
/* Whether codes of one can stand for the other: the form of queries may differ. */
bool vex_code_params_same(const struct vex_code_params *a, const struct vex_code_params *b);

typedef uint32_t vex_code_dist_fn(const uint8_t *query, const uint8_t *code, size_t stride);
/* One against four: less than four calls cost, the same results. */
typedef void vex_code_dist4_fn(const uint8_t *query, const uint8_t *const codes[4], size_t stride,
                               uint32_t ret[4]);

struct vex_code_kernels {
    const char *name; /* "avx512", "avx2", "scalar" */
    vex_code_dist_fn *one;
    vex_code_dist4_fn *four;
};

struct vex_codes {
    struct vex_code_params params;
    uint32_t dimensions, stride;
    uint32_t padded;     /* bits: dimensions that are coded */
    uint32_t query_size; /* bytes of a query's form */
    enum vex_distance distance;
    float scale;      /* 7 bits: of the originals; bits: a step of the distance. 0: not trained */
    float excess_max; /* of vectors that codes tell apart */
    float *offsets;   /* dimensions of them: the centre; zeros for DOT with 7 bits */
    struct vex_code_kernels kernels;
};

/* params: NULL for the defaults. */
void vex_codes_init(struct vex_codes *codes, uint32_t dimensions, enum vex_distance distance,
                    const struct vex_code_params *params);
void vex_codes_done(struct vex_codes *codes);
uint32_t vex_codes_stride(uint32_t dimensions, enum vex_code_kind kind);
/* Learns offsets and scale from a sample, count x dimensions. */
void vex_codes_train(struct vex_codes *codes, const float *sample, size_t count);
void vex_codes_encode(const struct vex_codes *codes, const float *vector, uint8_t *ret);
/* The form of a query, query_size bytes. */
void vex_codes_query(const struct vex_codes *codes, const float *vector, uint8_t *ret);
/* That of what a code stands for, in `buffer` or in place. */
const uint8_t *vex_codes_as_query(const struct vex_codes *codes, const uint8_t *code, uint8_t *buffer);
/* A distance of codes as the device would give it, about: squared difference, sum of absolute ones, negative product. */
float vex_codes_distance(const struct vex_codes *codes, uint32_t distance);
/* How far a vector lies out of what was learnt. 7 bits: what the scale cuts off, as the sum of squares in steps of the codes; bits: the
 * squared distance to the centre. */
float vex_codes_excess(const struct vex_codes *codes, const float *vector);
/* False: the code of the vector can't be told from those of others that lie out there. When many don't fit, train anew. */
bool vex_codes_fit(const struct vex_codes *codes, const float *vector);

/* Kind, quantile, scale, the largest excess, and offsets. */
void vex_codes_save(const struct vex_codes *codes, struct vex_buf *out);
/* Kind and quantile out of what was saved; false: no such kind. */
bool vex_codes_peek(struct vex_code_params *ret, const char *saved, size_t len);
/* Of the same dimensions and distance; false: damaged, or of other parameters. */
bool vex_codes_load(struct vex_codes *codes, struct vex_cursor *c);

/* The kernels chosen for this machine; for tests each of them: 0 is the scalar set, false beyond the last. */
struct vex_code_kernels vex_code_kernels(enum vex_distance distance, enum vex_code_kind kind);
bool vex_code_kernels_at(uint32_t index, enum vex_distance distance, enum vex_code_kind kind,
                         struct vex_code_kernels *ret);

#endif
