/* Distance kernels: every variant of this CPU gives the scalar one's bits, which are right. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "uapi/dist_table.h"

#define DIM_MOST 1536

static uint64_t seed = 88172645463325252u;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Kinds of values. */
enum kind { ORDINARY, TINY, HUGE, MIXED, KINDS };

static float draw_float(enum kind kind)
{
    float unit = (float)(int32_t)(draw() >> 32) * 0x1p-31f;
    switch (kind) {
    case ORDINARY:
        return unit;
    case TINY: /* denormals, and products that underflow */
        return unit * (draw() % 2 ? 1e-38f : 1e-23f);
    case HUGE: /* sums and products that overflow */
        return unit * (draw() % 2 ? FLT_MAX : 1e19f);
    default:
        return draw() % 8 == 0 ? (draw() % 2 ? 0.0f : -0.0f) : ldexpf(unit, (int)(draw() % 60) - 30);
    }
}

/* Fills memory so that it ends where readable memory ends. */
struct edge {
    char *pages;
    char *end;
};

static struct edge edge_new(void)
{
    size_t size = 4 * 4096;
    char *pages = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(pages != MAP_FAILED);
    mprotect(pages + size, 4096, PROT_NONE);
    return (struct edge){pages, pages + size};
}

static void edge_free(struct edge edge)
{
    munmap(edge.pages, 5 * 4096);
}

static void draw_elements(enum vex_element element, enum kind kind, void *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value = draw_float(kind);
        uint64_t bits = draw();
        if (element == VEX_ELEMENT_F32)
            ((float *)to)[i] = value;
        else if (element == VEX_ELEMENT_U8)
            ((uint8_t *)to)[i] = (uint8_t)bits;
        else /* any half but NaN */
            ((uint16_t *)to)[i] = (uint16_t)((bits & 0x7c00) == 0x7c00 ? bits & 0xfc00 : bits);
    }
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static size_t mismatches(const struct vex_dist_table *table, size_t n, struct edge query_edge,
                         struct edge vector_edge)
{
    size_t wrong = 0;
    for (int e = 0; e < VEX_ELEMENT_COUNT; e++) {
        for (int kind = 0; kind < KINDS; kind++) {
            float *query = (float *)(void *)query_edge.end - n;
            void *vector = vector_edge.end - n * vex_element_size((enum vex_element)e);
            draw_elements(VEX_ELEMENT_F32, (enum kind)kind, query, n);
            draw_elements((enum vex_element)e, (enum kind)kind, vector, n);
            for (int d = 0; d < VEX_DISTANCE_COUNT; d++) {
                float got = table->fn[d][e](query, vector, n);
                wrong +=
                    !same(got, vex_dist_scalar((enum vex_distance)d, (enum vex_element)e)(query, vector, n));
                wrong += isnan(got) || (got == 0 && signbit(got));
            }
        }
    }
    return wrong;
}

/* Four at once, of which the third ends where memory ends. */
static size_t mismatches4(const struct vex_dist_table *table, size_t n, struct edge query_edge,
                          struct edge vector_edge)
{
    static char others[3][DIM_MOST * sizeof(float)] __attribute__((aligned(4)));
    size_t wrong = 0;
    for (int e = 0; e < VEX_ELEMENT_COUNT; e++) {
        for (int kind = 0; kind < KINDS; kind++) {
            float *query = (float *)(void *)query_edge.end - n;
            void *last = vector_edge.end - n * vex_element_size((enum vex_element)e);
            const void *vectors[4] = {others[0], others[1], last, others[2]};
            draw_elements(VEX_ELEMENT_F32, (enum kind)kind, query, n);
            for (int i = 0; i < 4; i++)
                draw_elements((enum vex_element)e, (enum kind)kind, (void *)(uintptr_t)vectors[i], n);
            for (int d = 0; d < VEX_DISTANCE_COUNT; d++) {
                float got[4];
                table->fn4[d][e](query, vectors, n, got);
                for (int i = 0; i < 4; i++)
                    wrong += !same(got[i], vex_dist_scalar((enum vex_distance)d,
                                                           (enum vex_element)e)(query, vectors[i], n));
            }
        }
    }
    return wrong;
}

static void test_variants_agree(void)
{
    struct edge query = edge_new(), vector = edge_new();
    for (size_t t = 0; vex_dist_tables[t] != NULL; t++) {
        if (!vex_dist_tables[t]->usable())
            continue;
        size_t wrong = 0;
        for (size_t n = 1; n <= 300; n++)
            for (int again = 0; again < 5; again++)
                wrong += mismatches(vex_dist_tables[t], n, query, vector) +
                         mismatches4(vex_dist_tables[t], n, query, vector);
        for (int again = 0; again < 50; again++)
            wrong += mismatches(vex_dist_tables[t], 768, query, vector) +
                     mismatches(vex_dist_tables[t], DIM_MOST, query, vector) +
                     mismatches4(vex_dist_tables[t], DIM_MOST, query, vector);
        CU_ASSERT_EQUAL(wrong, 0);
    }
    edge_free(query);
    edge_free(vector);
}

/* The scalar one against plain f64. */
static void test_values(void)
{
    float query[DIM_MOST], vector[DIM_MOST], decoded[DIM_MOST];
    static const size_t dims[] = {1, 2, 15, 16, 31, 32, 33, 100, 768, DIM_MOST};
    for (size_t i = 0; i < sizeof dims / sizeof *dims * VEX_ELEMENT_COUNT; i++) {
        size_t n = dims[i / VEX_ELEMENT_COUNT];
        enum vex_element e = (enum vex_element)(i % VEX_ELEMENT_COUNT);
        draw_elements(VEX_ELEMENT_F32, ORDINARY, query, n);
        draw_elements(VEX_ELEMENT_F32, ORDINARY, decoded, n);
        for (size_t j = 0; j < n && e == VEX_ELEMENT_U8; j++)
            decoded[j] = (decoded[j] + 1) * 127;
        vex_dist_encode(e, decoded, vector, n);
        vex_dist_decode(e, vector, decoded, n);
        double l2 = 0, dot = 0, l1 = 0, size = 0;
        for (size_t j = 0; j < n; j++) {
            double difference = (double)query[j] - decoded[j];
            l2 += difference * difference;
            dot += (double)query[j] * decoded[j];
            size += fabs((double)query[j] * decoded[j]);
            l1 += fabs(difference);
        }
        CU_ASSERT(fabs(vex_dist(VEX_DISTANCE_L2, e)(query, vector, n) - l2) <= 1e-5 * l2);
        CU_ASSERT(fabs(vex_dist(VEX_DISTANCE_L1, e)(query, vector, n) - l1) <= 1e-5 * l1);
        CU_ASSERT(fabs(vex_dist(VEX_DISTANCE_DOT, e)(query, vector, n) + dot) <= 1e-5 * size);
        CU_ASSERT_PTR_EQUAL(vex_dist(VEX_DISTANCE_COSINE, e), vex_dist(VEX_DISTANCE_DOT, e));
    }
    CU_ASSERT(strlen(vex_dist_name()) > 0);
}

/* Fewer dimensions than 16: what a plain loop over f32 gives, to the last bit. The scores are the public ones of
 * Qdrant's tests for these vectors. */
static void test_short(void)
{
    static const float points[4][4] = {{0.05f, 0.61f, 0.76f, 0.74f},
                                       {0.19f, 0.81f, 0.75f, 0.11f},
                                       {0.36f, 0.55f, 0.47f, 0.94f},
                                       {0.18f, 0.01f, 0.85f, 0.80f}};
    static const struct {
        int a, b;
        float score;
    } pairs[] = {{0, 2, 1.4063001f}, {0, 3, 1.2531f}, {1, 0, 1.1550001f}, {2, 3, 1.2218001f}};
    for (size_t t = 0; vex_dist_tables[t] != NULL; t++) {
        if (!vex_dist_tables[t]->usable())
            continue;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            const void *four[4] = {points[0], points[pairs[i].b], points[2], points[pairs[i].b]};
            float got[4];
            vex_dist_tables[t]->fn4[VEX_DISTANCE_DOT][VEX_ELEMENT_F32](points[pairs[i].a], four, 4, got);
            CU_ASSERT(got[1] == -pairs[i].score && got[3] == -pairs[i].score);
        }
    }
    /* Rounded between: 1 + 2^-24 + 2^-24, and a product that a fused step would keep whole. */
    float ones[15] = {1, 0x1p-12f, 0x1p-12f}, squares[15] = {1, 0x1p-12f, 0x1p-12f};
    CU_ASSERT_EQUAL(vex_dist(VEX_DISTANCE_DOT, VEX_ELEMENT_F32)(ones, squares, 15), -1.0f);
    float query[16] = {[0] = 4097, [1] = 16785409}, vector[16] = {[0] = 4097, [1] = -1};
    CU_ASSERT_EQUAL(vex_dist(VEX_DISTANCE_DOT, VEX_ELEMENT_F32)(query, vector, 15), 0.0f);
    float unit[2] = {0.6f, 0.8f};
    CU_ASSERT_EQUAL(vex_dist_normalise(unit, 2), sqrtf(0.6f * 0.6f + 0.8f * 0.8f));
    CU_ASSERT(unit[0] == 0.6f && unit[1] == 0.8f);
}

/* Infinite products of both signs: the farthest, not NaN. */
static void test_no_nan(void)
{
    float query[64] = {0}, vector[64] = {0};
    query[0] = query[40] = vector[0] = FLT_MAX;
    vector[40] = -FLT_MAX;
    for (size_t t = 0; vex_dist_tables[t] != NULL; t++)
        if (vex_dist_tables[t]->usable())
            CU_ASSERT_EQUAL(vex_dist_tables[t]->fn[VEX_DISTANCE_DOT][VEX_ELEMENT_F32](query, vector, 64),
                            INFINITY);
    const void *four[4] = {vector, vector, query, vector};
    float got[4];
    vex_dist4(VEX_DISTANCE_DOT, VEX_ELEMENT_F32)(query, four, 64, got);
    CU_ASSERT(got[0] == INFINITY && got[2] == -INFINITY);
    vector[3] = NAN;
    for (int d = 0; d < VEX_DISTANCE_COUNT; d++)
        CU_ASSERT_EQUAL(vex_dist((enum vex_distance)d, VEX_ELEMENT_F32)(query, vector, 64), INFINITY);
}

static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    double size = exponent == 0    ? ldexp(mantissa, -24)
                  : exponent == 31 ? (mantissa != 0 ? NAN : INFINITY)
                                   : ldexp(mantissa + 1024, exponent - 25);
    return half & 0x8000 ? -size : size;
}

/* All halves decode rightly and come back; what lies between two of them goes to the nearer, ties to the even
 * one. */
static void test_half(void)
{
    enum { COUNT = 65536 };
    static uint16_t halves[COUNT], back[COUNT];
    static float floats[COUNT];
    for (uint32_t i = 0; i < COUNT; i++)
        halves[i] = (uint16_t)i;
    for (size_t t = 0; vex_dist_tables[t] != NULL; t++) {
        const struct vex_dist_table *table = vex_dist_tables[t];
        if (!table->usable())
            continue;
        size_t wrong = 0;
        table->from_f16(halves, floats, COUNT);
        table->to_f16(floats, back, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) {
            bool nan = (i & 0x7c00) == 0x7c00 && (i & 0x3ff) != 0;
            wrong += nan ? !isnan(floats[i]) : floats[i] != half_value((uint16_t)i) || back[i] != i;
        }
        for (uint32_t i = 0; i < 0x7bff; i++) {
            double low = half_value((uint16_t)i), high = half_value((uint16_t)(i + 1));
            float between[6] = {(float)((low + high) / 2), nextafterf(between[0], 0),
                                nextafterf(between[0], 1e9f)};
            for (int j = 0; j < 3; j++)
                between[j + 3] = -between[j];
            const uint32_t even = i % 2 == 0 ? i : i + 1;
            const uint32_t expected[6] = {even, i, i + 1, even | 0x8000, i | 0x8000, (i + 1) | 0x8000};
            table->to_f16(between, back, 6);
            for (int j = 0; j < 6; j++)
                wrong += back[j] != expected[j];
        }
        const float far[] = {65519.9f, 65520.0f, 1e30f, -INFINITY, 1e-30f, NAN, 0x1p-25f};
        table->to_f16(far, back, 7);
        CU_ASSERT(back[0] == 0x7bff && back[1] == 0x7c00 && back[2] == 0x7c00 && back[3] == 0xfc00 &&
                  back[4] == 0);
        CU_ASSERT((back[5] & 0x7c00) == 0x7c00 && (back[5] & 0x3ff) != 0 && back[6] == 0);
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

/* Conversions of any length write their elements and nothing else. */
static void test_lengths(void)
{
    float from[70], back[71];
    uint16_t to[71];
    for (size_t t = 0; vex_dist_tables[t] != NULL; t++) {
        if (!vex_dist_tables[t]->usable())
            continue;
        for (size_t n = 0; n < 70; n++) {
            for (size_t i = 0; i < 70; i++)
                from[i] = (float)i;
            memset(to, 0xee, sizeof to);
            memset(back, 0xee, sizeof back);
            vex_dist_tables[t]->to_f16(from, to, n);
            vex_dist_tables[t]->from_f16(to, back, n);
            CU_ASSERT_EQUAL(memcmp(back, from, n * sizeof *from), 0);
            CU_ASSERT_EQUAL(to[n], 0xeeee);
            uint32_t untouched;
            memcpy(&untouched, &back[n], sizeof untouched);
            CU_ASSERT_EQUAL(untouched, 0xeeeeeeee);
        }
    }
}

static void test_bytes(void)
{
    const float from[] = {-5,     -0.0f,   0.49f, 0.5f,   0.51f, 1.5f, 2.5f,
                          254.5f, 254.51f, 255,   255.4f, 1e30f, NAN};
    const uint8_t expected[] = {0, 0, 0, 0, 0, 1, 2, 254, 254, 255, 255, 255, 0};
    uint8_t to[sizeof expected];
    float back[sizeof expected];
    vex_dist_encode(VEX_ELEMENT_U8, from, to, sizeof to);
    CU_ASSERT_EQUAL(memcmp(to, expected, sizeof to), 0);
    vex_dist_decode(VEX_ELEMENT_U8, to, back, sizeof to);
    for (size_t i = 0; i < sizeof to; i++)
        CU_ASSERT_EQUAL(back[i], expected[i]);
}

static void test_normalise(void)
{
    float v[5] = {3, 0, 4, 0, 0};
    CU_ASSERT_EQUAL(vex_dist_normalise(v, 5), 5.0f);
    CU_ASSERT(v[0] == 0.6f && v[1] == 0 && v[2] == 0.8f);
    float zero[3] = {0, 0, 0}, small[2] = {1e-9f, 0};
    CU_ASSERT_EQUAL(vex_dist_normalise(zero, 3), 0.0f);
    CU_ASSERT_EQUAL(zero[1], 0.0f);
    CU_ASSERT_EQUAL(vex_dist_normalise(small, 2), 1e-9f);
    CU_ASSERT_EQUAL(small[0], 1e-9f);
    float big[2] = {FLT_MAX, FLT_MAX};
    vex_dist_normalise(big, 2);
    CU_ASSERT(fabsf(big[0] - (float)M_SQRT1_2) < 1e-6f);
}

static void test_stride(void)
{
    CU_ASSERT_EQUAL(vex_dev_stride(1, VEX_ELEMENT_U8), 32);
    CU_ASSERT_EQUAL(vex_dev_stride(32, VEX_ELEMENT_U8), 32);
    CU_ASSERT_EQUAL(vex_dev_stride(33, VEX_ELEMENT_U8), 64);
    CU_ASSERT_EQUAL(vex_dev_stride(VEX_DIM_MAX, VEX_ELEMENT_F32), 262144);
    CU_ASSERT_EQUAL(vex_dev_stride(100, VEX_ELEMENT_F16), 224);
}

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite("distances", NULL, NULL);
    CU_ADD_TEST(suite, test_variants_agree);
    CU_ADD_TEST(suite, test_values);
    CU_ADD_TEST(suite, test_short);
    CU_ADD_TEST(suite, test_no_nan);
    CU_ADD_TEST(suite, test_half);
    CU_ADD_TEST(suite, test_lengths);
    CU_ADD_TEST(suite, test_bytes);
    CU_ADD_TEST(suite, test_normalise);
    CU_ADD_TEST(suite, test_stride);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
