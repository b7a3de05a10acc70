/* Codes: every kernel of this machine equals the scalar one bit for bit, coding keeps the order of distances, and what a
 * disk gives back is checked. */
#include <math.h>
#include <stdlib.h>

#include "base_suite.h"
#include "engine/index/codes.h"

static uint64_t seed = 88172645463325252u;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static float draw_float(void)
{
    return (float)(draw() >> 40) * 0x1p-23f - 1.0f;
}

/* Random codes, those of the outer edges among them. */
static void fill(uint8_t *code, size_t stride, int kind)
{
    for (size_t i = 0; i < stride; i++)
        code[i] = kind == 0   ? (uint8_t)(draw() % 128)
                  : kind == 1 ? 0
                  : kind == 2 ? 127
                              : (uint8_t)(draw() % 2 * 127);
}

static void compare_at(enum vex_distance distance, size_t stride, const struct vex_code_kernels *k)
{
    struct vex_code_kernels scalar;
    uint8_t *codes = malloc(5 * stride);
    const uint8_t *four[4];
    uint32_t got[4];

    vex_code_kernels_at(0, distance, VEX_CODES_7_BITS, &scalar);
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < 5; i++)
            fill(codes + i * stride, stride, (kind + i) % 4);
        for (int i = 0; i < 4; i++)
            four[i] = codes + (i + 1) * stride;
        k->four(codes, four, stride, got);
        for (int i = 0; i < 4; i++) {
            uint32_t want = scalar.one(codes, four[i], stride);
            CU_ASSERT_EQUAL(k->one(codes, four[i], stride), want);
            CU_ASSERT_EQUAL(got[i], want);
            CU_ASSERT(want <= INT32_MAX);
        }
    }
    free(codes);
}

static void test_kernels_equal(void)
{
    static const size_t strides[] = {64, 128, 192, 320, 768, 65536};
    struct vex_code_kernels k;

    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++)
        for (uint32_t at = 0; vex_code_kernels_at(at, (enum vex_distance)distance, VEX_CODES_7_BITS, &k);
             at++)
            for (size_t i = 0; i < sizeof strides / sizeof *strides; i++)
                compare_at((enum vex_distance)distance, strides[i], &k);
}

static void test_known_distances(void)
{
    struct vex_code_kernels k;
    uint8_t a[64], b[64];

    memset(a, 64, sizeof a);
    memset(b, 64, sizeof b);
    a[0] = 70;
    b[0] = 60;
    vex_code_kernels_at(0, VEX_DISTANCE_L2, VEX_CODES_7_BITS, &k);
    CU_ASSERT_EQUAL(k.one(a, b, 64), 100);
    vex_code_kernels_at(0, VEX_DISTANCE_L1, VEX_CODES_7_BITS, &k);
    CU_ASSERT_EQUAL(k.one(a, b, 64), 10);
    vex_code_kernels_at(0, VEX_DISTANCE_DOT, VEX_CODES_7_BITS, &k);
    CU_ASSERT_EQUAL(k.one(a, b, 64), (1u << 30) + 24); /* 6 times -4 */
}

static float exact(enum vex_distance distance, const float *a, const float *b, uint32_t dimensions)
{
    float sum = 0;

    for (uint32_t i = 0; i < dimensions; i++)
        sum += distance == VEX_DISTANCE_DOT  ? -a[i] * b[i]
               : distance == VEX_DISTANCE_L1 ? fabsf(a[i] - b[i])
                                             : (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* Pairs that differ clearly keep their order. */
static void test_order_kept(void)
{
    enum { DIMENSIONS = 100, COUNT = 300 };
    static float vectors[COUNT * DIMENSIONS];
    static uint8_t coded[COUNT][128];

    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++) {
        struct vex_codes codes;
        uint32_t wrong = 0;
        for (int i = 0; i < COUNT * DIMENSIONS; i++)
            vectors[i] = 5.0f + draw_float() * 3.0f;
        vex_codes_init(&codes, DIMENSIONS, (enum vex_distance)distance, NULL);
        CU_ASSERT_EQUAL(codes.stride, 128);
        CU_ASSERT_EQUAL(codes.scale, 0);
        vex_codes_train(&codes, vectors, COUNT);
        for (int i = 0; i < COUNT; i++)
            vex_codes_encode(&codes, vectors + i * DIMENSIONS, coded[i]);
        for (int i = 1; i + 1 < COUNT; i++) {
            float x = exact(codes.distance, vectors, vectors + i * DIMENSIONS, DIMENSIONS);
            float y = exact(codes.distance, vectors, vectors + (i + 1) * DIMENSIONS, DIMENSIONS);
            bool before =
                codes.kernels.one(coded[0], coded[i], 128) < codes.kernels.one(coded[0], coded[i + 1], 128);
            wrong += fabsf(x - y) > 0.04f * fabsf(x) && before != (x < y);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        vex_codes_done(&codes);
    }
}

static void test_odd_numbers(void)
{
    float vectors[4] = {NAN, INFINITY, -INFINITY, 1e38f}, huge[4] = {1e38f, -1e38f, 0, 0};
    struct vex_codes codes;
    uint8_t code[64];

    vex_codes_init(&codes, 4, VEX_DISTANCE_L2, NULL);
    vex_codes_train(&codes, vectors, 1);
    CU_ASSERT(codes.scale > 0 && isfinite(codes.scale));
    vex_codes_encode(&codes, vectors, code);
    for (int i = 0; i < 64; i++)
        CU_ASSERT(code[i] <= 127);
    vex_codes_train(&codes, huge, 0);
    CU_ASSERT_EQUAL(codes.scale, 1);
    CU_ASSERT(!vex_codes_fit(&codes, huge) && !vex_codes_fit(&codes, vectors));
    vex_codes_done(&codes);
}

static void test_save_and_load(void)
{
    float sample[6] = {1, 2, 3, 4, 5, 7}, bad = NAN;
    struct vex_codes codes, again;
    struct vex_cursor c;
    struct vex_buf out;

    vex_codes_init(&codes, 3, VEX_DISTANCE_L2, NULL);
    vex_codes_init(&again, 3, VEX_DISTANCE_L2, NULL);
    vex_codes_train(&codes, sample, 2);
    vex_buf_init(&out, NULL);
    vex_codes_save(&codes, &out);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT(vex_codes_load(&again, &c));
    CU_ASSERT_EQUAL(again.scale, codes.scale);
    CU_ASSERT_EQUAL(memcmp(again.offsets, codes.offsets, 3 * sizeof(float)), 0);
    for (size_t len = 0; len < out.len; len++) {
        c = vex_cursor(out.ptr, len);
        CU_ASSERT_FALSE(vex_codes_load(&again, &c));
    }
    for (size_t at = 0; at < out.len; at += sizeof(float)) {
        float kept;
        memcpy(&kept, out.ptr + at, sizeof kept);
        memcpy(out.ptr + at, &bad, sizeof bad);
        c = vex_cursor(out.ptr, out.len);
        CU_ASSERT_FALSE(vex_codes_load(&again, &c));
        memcpy(out.ptr + at, &kept, sizeof kept);
    }
    vex_buf_done(&out);
    vex_codes_done(&codes);
    vex_codes_done(&again);
}

int main(void)
{
    CU_TestInfo tests[] = {{"kernels equal", test_kernels_equal}, {"known distances", test_known_distances},
                           {"order kept", test_order_kept},       {"odd numbers", test_odd_numbers},
                           {"save and load", test_save_and_load}, CU_TEST_INFO_NULL};

    return run_suite("codes", tests);
}
