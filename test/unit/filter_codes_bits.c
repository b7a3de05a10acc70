/* Bit codes: every kernel of this machine equals the scalar one bit for bit, estimates stay within their bound of the exact distance,
 * finer codes and queries estimate better, a code is nearest to itself, rotation keeps lengths, and what a disk gives back is checked. */
#include <math.h>
#include <stdlib.h>

#include "base_suite.h"
#include "engine/index/codes.h"
#include "engine/index/codes_rotate.h"
#include "uapi/dist.h"

#define DIMENSIONS 200u
#define COUNT      400u

static uint64_t seed = 88172645463325252u;
static float vectors[COUNT][DIMENSIONS];
static uint8_t *coded[COUNT];

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static float draw_normal(void)
{
    float sum = 0;

    for (int i = 0; i < 6; i++)
        sum += (float)(draw() >> 40) * 0x1p-23f - 1.0f;
    return sum;
}

static void make_vectors(bool unit)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        for (uint32_t d = 0; d < DIMENSIONS; d++)
            vectors[i][d] = 1.5f + draw_normal() * (d < 20 ? 2.0f : 0.7f);
        if (unit)
            vex_dist_normalise(vectors[i], DIMENSIONS);
    }
}

static struct vex_codes codes_of(enum vex_distance distance, enum vex_code_kind kind,
                                 enum vex_code_query query)
{
    struct vex_code_params params = {.kind = kind, .query = query};
    struct vex_codes codes;

    make_vectors(distance == VEX_DISTANCE_COSINE);
    vex_codes_init(&codes, DIMENSIONS, distance, &params);
    vex_codes_train(&codes, vectors[0], COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        free(coded[i]);
        coded[i] = malloc(codes.stride);
        vex_codes_encode(&codes, vectors[i], coded[i]);
    }
    return codes;
}

static void test_strides(void)
{
    CU_ASSERT_EQUAL(vex_codes_stride(128, VEX_CODES_7_BITS), 128);
    CU_ASSERT_EQUAL(vex_codes_stride(128, VEX_CODES_1_BIT), 32); /* 16 and two numbers */
    CU_ASSERT_EQUAL(vex_codes_stride(128, VEX_CODES_1_5_BITS), 32);
    CU_ASSERT_EQUAL(vex_codes_stride(128, VEX_CODES_2_BITS), 64);
    CU_ASSERT_EQUAL(vex_codes_stride(768, VEX_CODES_1_BIT), 128);
    CU_ASSERT_EQUAL(vex_codes_stride(768, VEX_CODES_1_5_BITS), 160);
    CU_ASSERT_EQUAL(vex_codes_stride(768, VEX_CODES_2_BITS), 224);
    CU_ASSERT_EQUAL(vex_codes_stride(1, VEX_CODES_1_BIT), 32);
}

static void test_rotation(void)
{
    static const uint32_t counts[] = {64, 128, 192, 320, 768, 1536, 4096};

    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        uint32_t count = counts[c];
        float *a = calloc(count, sizeof *a), *b = calloc(count, sizeof *b), most = 0;
        double dot = 0, length = 0;
        a[count - 1] = 3; /* one element comes to be spread over all, and what was at right angles stays so */
        b[0] = 1;
        vex_codes_rotate(a, count);
        vex_codes_rotate(b, count);
        for (uint32_t i = 0; i < count; i++) {
            length += (double)a[i] * (double)a[i];
            dot += (double)a[i] * (double)b[i];
            most = fabsf(a[i]) > most ? fabsf(a[i]) : most;
        }
        CU_ASSERT_DOUBLE_EQUAL(length, 9, 1e-4);
        CU_ASSERT_DOUBLE_EQUAL(dot, 0, 1e-4);
        CU_ASSERT(most < 3 * 6 / sqrtf((float)count));
        free(a);
        free(b);
    }
}

static void test_kernels_equal(void)
{
    for (int kind = VEX_CODES_1_BIT; kind < VEX_CODES_COUNT; kind++)
        for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++) {
            struct vex_codes codes = codes_of((enum vex_distance)distance, (enum vex_code_kind)kind, 0);
            uint8_t *query = malloc(codes.query_size), *other = malloc(codes.query_size);
            struct vex_code_kernels scalar, k;
            vex_code_kernels_at(0, codes.distance, codes.params.kind, &scalar);
            vex_codes_query(&codes, vectors[7], query);
            CU_ASSERT_PTR_EQUAL(vex_codes_as_query(&codes, coded[9], other), other);
            for (uint32_t i = 0; i < codes.stride; i++)
                coded[0][i] = (uint8_t)draw(); /* garbage is no worse */
            for (uint32_t at = 0; vex_code_kernels_at(at, codes.distance, codes.params.kind, &k); at++)
                for (uint32_t i = 0; i + 4 <= COUNT; i += 4) {
                    const uint8_t *four[4] = {coded[i], coded[i + 1], coded[i + 2], coded[i + 3]};
                    uint32_t got[4];
                    k.four(i % 8 == 0 ? query : other, four, codes.stride, got);
                    for (uint32_t j = 0; j < 4; j++) {
                        uint32_t want = scalar.one(i % 8 == 0 ? query : other, four[j], codes.stride);
                        CU_ASSERT_EQUAL(got[j], want);
                        CU_ASSERT_EQUAL(k.one(i % 8 == 0 ? query : other, four[j], codes.stride), want);
                        CU_ASSERT(want <= INT32_MAX);
                    }
                }
            free(query);
            free(other);
            vex_codes_done(&codes);
        }
}

/* Root mean square of the errors, in parts of the spread of the exact distances; *ret_bias: their mean. */
static double error_of(const struct vex_codes *codes, bool between, double *ret_bias)
{
    vex_dist_fn *exact = vex_dist(codes->distance, VEX_ELEMENT_F32);
    uint8_t *query = malloc(codes->query_size);
    double squares = 0, sum = 0, mean = 0, spread = 0;
    uint32_t count = 0;

    for (uint32_t q = 0; q < COUNT; q += 10) {
        const uint8_t *form = query;
        if (between)
            form = vex_codes_as_query(codes, coded[q], query);
        else
            vex_codes_query(codes, vectors[q], query);
        for (uint32_t i = 0; i < COUNT; i++) {
            double want = (double)exact(vectors[q], vectors[i], DIMENSIONS), got;
            if (i == q)
                continue;
            got = (double)vex_codes_distance(codes, codes->kernels.one(form, coded[i], codes->stride));
            sum += got - want;
            squares += (got - want) * (got - want);
            mean += want;
            spread += want * want;
            count++;
        }
    }
    mean /= count;
    spread = sqrt(spread / count - mean * mean);
    *ret_bias = sum / count / spread;
    free(query);
    return sqrt(squares / count) / spread;
}

/* RaBitQ's bound: the error of <q, r> is about |q| |r| sqrt((1 - k) / (k d)), k the part of a code's length along r. Some room is left
 * for coded queries and for chance. */
static void test_error_bound(void)
{
    static const double part[VEX_CODES_COUNT] = {0, 0.637, 0.745, 0.882};

    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++)
        for (int kind = VEX_CODES_1_BIT; kind < VEX_CODES_COUNT; kind++) {
            struct vex_codes codes = codes_of((enum vex_distance)distance, (enum vex_code_kind)kind, 0);
            double bias, error = error_of(&codes, false, &bias), all = 0, bound = 0;
            if (distance == VEX_DISTANCE_L1) { /* a guess by the length: order only */
                CU_ASSERT(error < 2);
                vex_codes_done(&codes);
                continue;
            }
            /* the spread of exact distances, in the same parts: of normal vectors |q||r| / sqrt(d) in every direction */
            for (uint32_t i = 0; i < COUNT; i++) {
                double length = 0;
                for (uint32_t d = 0; d < DIMENSIONS; d++)
                    length += pow((double)(vectors[i][d] - codes.offsets[d]), 2);
                all += length / COUNT;
            }
            {
                vex_dist_fn *exact = vex_dist(codes.distance, VEX_ELEMENT_F32);
                double mean = 0, spread = 0;
                for (uint32_t i = 1; i < COUNT; i++) {
                    double x = (double)exact(vectors[0], vectors[i], DIMENSIONS);
                    mean += x / (COUNT - 1);
                    spread += x * x / (COUNT - 1);
                }
                spread = sqrt(spread - mean * mean);
                bound = all * sqrt((1 - part[kind]) / part[kind] / codes.padded) / spread;
                if (distance == VEX_DISTANCE_L2)
                    bound *= 2; /* of |q|^2 + |r|^2 - 2 <q, r> */
            }
            printf(" %d/%d %.2f<%.2f", distance, kind, error, 1.5 * bound);
            CU_ASSERT(error < 1.5 * bound);
            CU_ASSERT(fabs(bias) < 0.1);
            vex_codes_done(&codes);
        }
}

static void test_finer_is_better(void)
{
    double last = 1e9, bias;

    for (int kind = VEX_CODES_1_BIT; kind < VEX_CODES_COUNT; kind++) {
        struct vex_codes codes = codes_of(VEX_DISTANCE_L2, (enum vex_code_kind)kind, 0);
        double error = error_of(&codes, false, &bias);
        CU_ASSERT(error < 0.95 * last);
        CU_ASSERT(error_of(&codes, true, &bias) < 2.5 * error);
        CU_ASSERT(fabs(bias) < 0.25);
        last = error;
        vex_codes_done(&codes);
    }
    last = 0;
    for (int query = VEX_CODE_QUERY_8_BITS; query >= VEX_CODE_QUERY_1_BIT; query--) {
        struct vex_codes codes = codes_of(VEX_DISTANCE_L2, VEX_CODES_1_BIT, (enum vex_code_query)query);
        double error = error_of(&codes, false, &bias);
        CU_ASSERT(error > last);
        last = error;
        vex_codes_done(&codes);
    }
}

static void test_nearest_to_itself(void)
{
    for (int kind = VEX_CODES_1_BIT; kind < VEX_CODES_COUNT; kind++) {
        struct vex_codes codes = codes_of(VEX_DISTANCE_L2, (enum vex_code_kind)kind, 0);
        uint8_t *query = malloc(codes.query_size);
        for (uint32_t i = 1; i < COUNT; i += 2) { /* a near one for each: errors of both are alike */
            for (uint32_t d = 0; d < DIMENSIONS; d++)
                vectors[i][d] = vectors[i - 1][d] + 0.5f * draw_normal() * (d < 20 ? 2.0f : 0.7f);
            vex_codes_encode(&codes, vectors[i], coded[i]);
        }
        for (uint32_t q = 0; q < COUNT; q += 20) {
            uint32_t own, nearer = 0;
            vex_codes_as_query(&codes, coded[q], query);
            own = codes.kernels.one(query, coded[q], codes.stride);
            for (uint32_t i = 0; i < COUNT; i++)
                nearer += i != q && codes.kernels.one(query, coded[i], codes.stride) <= own;
            CU_ASSERT_EQUAL(nearer, 0);
        }
        free(query);
        vex_codes_done(&codes);
    }
}

static void test_odd_numbers(void)
{
    float odd[4] = {NAN, INFINITY, -INFINITY, 3e38f}, zero[4] = {0};

    for (int kind = VEX_CODES_1_BIT; kind < VEX_CODES_COUNT; kind++)
        for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++) {
            struct vex_code_params params = {.kind = (enum vex_code_kind)kind};
            struct vex_codes codes;
            uint8_t code[64], query[256];
            vex_codes_init(&codes, 4, (enum vex_distance)distance, &params);
            vex_codes_train(&codes, zero, 1);
            CU_ASSERT(codes.scale > 0 && isfinite(codes.scale));
            vex_codes_train(&codes, odd, 1);
            CU_ASSERT(codes.scale > 0 && isfinite(codes.scale));
            CU_ASSERT_FATAL(codes.stride <= sizeof code && codes.query_size <= sizeof query);
            vex_codes_encode(&codes, odd, code);
            vex_codes_query(&codes, odd, query);
            CU_ASSERT(codes.kernels.one(query, code, codes.stride) <= INT32_MAX);
            CU_ASSERT(isfinite(vex_codes_distance(&codes, codes.kernels.one(query, code, codes.stride))));
            CU_ASSERT_FALSE(vex_codes_fit(&codes, odd));
            vex_codes_done(&codes);
        }
}

static void test_save_and_load(void)
{
    struct vex_codes codes = codes_of(VEX_DISTANCE_L2, VEX_CODES_1_BIT, 0);
    struct vex_buf out;

    vex_buf_init(&out, NULL);
    vex_codes_save(&codes, &out);
    for (int kind = 0; kind < VEX_CODES_COUNT; kind++) {
        struct vex_code_params params = {.kind = (enum vex_code_kind)kind, .query = VEX_CODE_QUERY_4_BITS};
        struct vex_cursor c = vex_cursor(out.ptr, out.len);
        struct vex_codes again;
        vex_codes_init(&again, DIMENSIONS, VEX_DISTANCE_L2, &params);
        CU_ASSERT_EQUAL(vex_codes_load(&again, &c), kind == VEX_CODES_1_BIT);
        vex_codes_done(&again);
    }
    vex_buf_done(&out);
    vex_codes_done(&codes);
}

/* A lower quantile cuts off more and resolves finer. */
static void test_quantile(void)
{
    struct vex_code_params params = {.quantile = 0.8f};
    struct vex_codes narrow, wide;
    uint32_t cut = 0, out = 0;

    make_vectors(false);
    vex_codes_init(&narrow, DIMENSIONS, VEX_DISTANCE_L2, &params);
    vex_codes_init(&wide, DIMENSIONS, VEX_DISTANCE_L2, NULL);
    vex_codes_train(&narrow, vectors[0], COUNT);
    vex_codes_train(&wide, vectors[0], COUNT);
    CU_ASSERT(narrow.scale < 0.8f * wide.scale);
    for (uint32_t i = 0; i < COUNT; i++) {
        cut += vex_codes_excess(&narrow, vectors[i]) > (float)DIMENSIONS;
        out += !vex_codes_fit(&narrow, vectors[i]);
    }
    CU_ASSERT(cut > COUNT / 2); /* as the user wants it: no reason to leave them out */
    CU_ASSERT_EQUAL(out, 0);
    CU_ASSERT_FALSE(vex_code_params_same(&narrow.params, &wide.params));
    vex_codes_done(&narrow);
    vex_codes_done(&wide);
}

static void test_done(void)
{
    for (uint32_t i = 0; i < COUNT; i++)
        free(coded[i]);
}

int main(void)
{
    CU_TestInfo tests[] = {{"strides", test_strides},
                           {"rotation", test_rotation},
                           {"kernels equal", test_kernels_equal},
                           {"error bound", test_error_bound},
                           {"finer is better", test_finer_is_better},
                           {"nearest to itself", test_nearest_to_itself},
                           {"odd numbers", test_odd_numbers},
                           {"save and load", test_save_and_load},
                           {"quantile", test_quantile},
                           {"done", test_done},
                           CU_TEST_INFO_NULL};

    return run_suite("bit codes", tests);
}
