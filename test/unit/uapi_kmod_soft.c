/* The module's integer arithmetic against this CPU's floating point: sums, fused multiply-adds and conversions of patterns of
 * every kind, and whole distances against the program's own kernels, bit for bit. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

#include "uapi/dist.h"
#include "uapi/kmod/score.h"
#include "uapi/kmod/soft.h"

#define ROUNDS 1000000

/* Both compiled into this program: the module's object is not a library of ours. */
#include "uapi/kmod/soft.c"

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Patterns at all the edges: zeros, subnormals, near one, the greatest, infinities, not-a-numbers, few bits set. */
static uint32_t pattern(void)
{
    static const uint32_t edges[] = {0,          1,          0x7fffff,   0x800000,   0x800001, 0x3f800000,
                                     0x3f7fffff, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0xffffff};
    uint64_t r = draw();
    uint32_t bits = (uint32_t)(r >> 32);
    switch (r & 7) {
    case 0:
        return edges[(r >> 8) % 11] | (bits & 0x80000000u);
    case 1:
        return bits & 0x80ffffffu;
    case 2: /* near each other */
        return (bits & 0x807fffffu) | (uint32_t)(100 + (r >> 8) % 50) << 23;
    case 3:
        return bits & 0xfff00000u;
    default:
        return bits;
    }
}

static bool same(uint32_t a, uint32_t b)
{
    return a == b || (isnan(float_of(a)) && isnan(float_of(b)));
}

static void test_sums_and_products(void)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t a = pattern(), b = pattern(), c = pattern();
        if (i % 4 == 0) /* nearly all of it cancels */
            c = bits_of(-float_of(a) * float_of(b)) + (uint32_t)(draw() % 5) - 2;
        wrong += !same(vex_soft_fma(a, b, c), bits_of(fmaf(float_of(a), float_of(b), float_of(c))));
        wrong += !same(vex_soft_add(a, b), bits_of(float_of(a) + float_of(b)));
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_bytes(void)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < 256; i++)
        wrong += vex_soft_from_u8((uint8_t)i) != bits_of((float)i);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t bits = i % 2 == 0 ? pattern() : bits_of((float)(draw() % 70000) / 256.0f);
        float value = float_of(bits);
        uint8_t expected;
        vex_dist_encode(VEX_ELEMENT_U8, &value, &expected, 1);
        wrong += vex_soft_to_u8(bits) != expected;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_halves(void)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < 65536; i++) {
        uint16_t half = (uint16_t)i, back;
        float value;
        vex_dist_decode(VEX_ELEMENT_F16, &half, &value, 1);
        wrong += !same(vex_bits_from_half(half), bits_of(value));
        vex_dist_encode(VEX_ELEMENT_F16, &value, &back, 1);
        wrong += vex_half_from_bits(bits_of(value)) != back;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* `kind` 0: any pattern, 1: ordinary numbers. */
static void fill(float *query, void *vector, enum vex_element element, unsigned dimensions, unsigned kind)
{
    float values[300];
    for (unsigned i = 0; i < dimensions; i++) {
        query[i] = kind == 0 ? float_of(pattern()) : (float)(int32_t)draw() * 0x1p-28f;
        values[i] = kind == 0 ? float_of(pattern()) : (float)(int32_t)draw() * 0x1p-28f;
        if (element == VEX_ELEMENT_U8)
            values[i] = (float)(draw() % 256);
    }
    vex_dist_encode(element, values, vector, dimensions);
}

static void test_distances(void)
{
    static const unsigned dims[] = {1, 2, 7, 8, 13, 15, 16, 31, 32, 33, 64, 100, 255, 300};
    unsigned wrong = 0;
    for (unsigned i = 0; i < 9000; i++) {
        unsigned dimensions = dims[i % 14];
        enum vex_element element = (enum vex_element)(i / 14 % 3);
        enum vex_distance distance = (enum vex_distance)(i / 42 % 4);
        float query[300], vector[300];
        fill(query, vector, element, dimensions, i % 5 == 0 ? 0 : 1);
        uint32_t bits[300], got;
        memcpy(bits, query, sizeof bits);
        const void *vectors[1] = {vector};
        /* The module takes cosine for the dot product before it comes here. */
        vex_soft_score(distance == VEX_DISTANCE_COSINE ? VEX_SCORE_DOT : distance, element, bits, vectors, 1,
                       dimensions, &got);
        wrong += got != bits_of(vex_dist_scalar(distance, element)(query, vector, dimensions));
        wrong += got != bits_of(vex_dist(distance, element)(query, vector, dimensions));
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite("the module's arithmetic", NULL, NULL);
    CU_ADD_TEST(suite, test_sums_and_products);
    CU_ADD_TEST(suite, test_bytes);
    CU_ADD_TEST(suite, test_halves);
    CU_ADD_TEST(suite, test_distances);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
