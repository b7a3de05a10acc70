/* The vector device's tests against a twin: what the embedded device answers and writes, bit for bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/dev_suite_kit.h"

struct twin {
    struct suite_file f; /* through the device under test */
    struct vex_file *file;
    struct vex_dev_layout layout;
    struct vex_dev_file *df; /* through the embedded device: a file of its own */
};

static uint32_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 32);
}

static struct vex_dev *embed(void)
{
    return vex_dev_embed_new();
}

static struct twin twin_create(uint32_t dimensions, enum vex_element element)
{
    struct twin t = {.f = suite_create(dimensions, element, NULL)};
    struct vex_err err;
    char path[SUITE_PATH_MAX];
    suite_path(path);
    t.layout = (struct vex_dev_layout){.dimensions = dimensions, .element = element};
    CU_ASSERT_EQUAL_FATAL(vex_io_open(t.f.io, path, VEX_IO_WRITE | VEX_IO_CREATE, &t.file), 0);
    CU_ASSERT_EQUAL_FATAL(t.f.io->ops->unlink(t.f.io, path), 0);
    CU_ASSERT_EQUAL_FATAL(embed()->ops->attach(embed(), t.f.io, t.file, &t.layout, true, &t.df, &err), 0);
    return t;
}

static void twin_close(struct twin *t)
{
    embed()->ops->detach(embed(), t->df);
    vex_io_close(t->f.io, t->file);
    suite_close(&t->f);
}

static void twin_write(struct twin *t, uint32_t first, uint32_t count, const void *data)
{
    CU_ASSERT_EQUAL(vex_suite_dev->ops->write(vex_suite_dev, t->f.df, first, count, data), 0);
    CU_ASSERT_EQUAL(embed()->ops->write(embed(), t->df, first, count, data), 0);
}

/* ---- Values ---- */

/* A float of any size but NaN: zeros, subnormals, ordinary ones, huge ones, infinities now and then. */
static float wild(uint64_t *state, bool infinities)
{
    uint32_t bits = draw(state), kind = draw(state) % 16;
    uint32_t sign = bits & 0x80000000u, mantissa = bits & 0x7fffffu, exponent;
    switch (kind) {
    case 0:
        mantissa = 0;
        exponent = 0;
        break;
    case 1:
        exponent = 0; /* subnormal */
        break;
    case 2:
        exponent = 1 + draw(state) % 30;
        break;
    case 3:
        exponent = 190 + draw(state) % 65; /* the square is infinite */
        break;
    case 4:
        exponent = infinities && draw(state) % 64 == 0 ? 255 : 127;
        mantissa = exponent == 255 ? 0 : mantissa;
        break;
    default:
        exponent = 120 + draw(state) % 14;
    }
    bits = sign | exponent << 23 | mantissa;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t wild_half(uint64_t *state)
{
    uint32_t bits = draw(state) & 0xffff;
    if ((bits & 0x7c00) == 0x7c00)
        bits &= draw(state) % 64 == 0 ? 0xfc00 : 0x8fff; /* infinite or small, never NaN */
    return (uint16_t)bits;
}

static void wild_vectors(const struct twin *t, uint64_t *state, uint32_t count, char *ret)
{
    memset(ret, 0, (size_t)count * t->layout.stride);
    for (uint32_t i = 0; i < count; i++) {
        char *at = ret + (size_t)i * t->layout.stride;
        /* Infinite elements are rare and bunched, so that most sums stay finite. */
        bool infinities = draw(state) % 8 == 0, tame = draw(state) % 2 == 0;
        for (uint32_t d = 0; d < t->layout.dimensions; d++) {
            if (t->layout.element == VEX_ELEMENT_F32)
                ((float *)at)[d] =
                    tame ? (float)(int)(draw(state) % 2001 - 1000) / 512 : wild(state, infinities);
            else if (t->layout.element == VEX_ELEMENT_F16)
                ((uint16_t *)at)[d] = tame ? (uint16_t)(0x3000 | (draw(state) & 0x8fff)) : wild_half(state);
            else
                ((uint8_t *)at)[d] = (uint8_t)draw(state);
        }
    }
}

static float *wild_queries(const struct twin *t, uint64_t *state, uint32_t count)
{
    float *queries = vex_mem_alloc((size_t)count * t->layout.dimensions * sizeof *queries);
    for (uint32_t q = 0; q < count; q++)
        for (uint32_t d = 0; d < t->layout.dimensions; d++)
            queries[(size_t)q * t->layout.dimensions + d] =
                q % 2 == 0 ? (float)(int)(draw(state) % 2001 - 1000) / 512 : wild(state, q % 4 == 3);
    return queries;
}

/* ---- Searches ---- */

/* Both devices answer alike, to the bit. */
static void check_alike(struct twin *t, struct vex_dev_search *s)
{
    size_t hits = (size_t)s->count * s->k;
    struct vex_dev_hit *got = vex_mem_zalloc(hits * sizeof *got),
                       *expected = vex_mem_zalloc(hits * sizeof *got);
    uint32_t *found = vex_mem_zalloc(2 * (size_t)s->count * sizeof *found), wrong = 0;
    s->hits = expected;
    s->found = found + s->count;
    CU_ASSERT_EQUAL(embed()->ops->search(embed(), t->df, s), 0);
    s->hits = got;
    s->found = found;
    CU_ASSERT_EQUAL(vex_suite_dev->ops->search(vex_suite_dev, t->f.df, s), 0);
    for (uint32_t q = 0; q < s->count; q++) {
        wrong += found[q] != found[s->count + q];
        if (found[q] == found[s->count + q])
            wrong += memcmp(got + (size_t)q * s->k, expected + (size_t)q * s->k, found[q] * sizeof *got) != 0;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    vex_mem_free(got);
    vex_mem_free(expected);
    vex_mem_free(found);
}

static void check_distances(struct twin *t, uint64_t *state, uint32_t slots, uint32_t query_count)
{
    float *queries = wild_queries(t, state, query_count);
    for (unsigned d = 0; d < VEX_DISTANCE_COUNT; d++) {
        struct vex_dev_search s = {.queries = queries,
                                   .count = query_count,
                                   .k = slots + 3, /* every distance is seen, and k exceeds the candidates */
                                   .distance = (enum vex_distance)d,
                                   .slots = slots};
        check_alike(t, &s);
        s.k = 1 + draw(state) % 20;
        check_alike(t, &s);
    }
    vex_mem_free(queries);
}

static void test_same_bits(void)
{
    static const uint32_t dims[] = {1, 3, 8, 31, 32, 33, 100, 257, 1536};
    enum { SLOTS = 300 };
    uint64_t state = 20261121;
    for (unsigned e = 0; e < VEX_ELEMENT_COUNT; e++) {
        for (unsigned i = 0; i < sizeof dims / sizeof *dims; i++) {
            if (!suite_takes(i * 10 / 3 + e * 7))
                continue;
            struct twin t = twin_create(dims[i], (enum vex_element)e);
            char *data = vex_mem_alloc((size_t)SLOTS * t.layout.stride);
            wild_vectors(&t, &state, SLOTS, data);
            twin_write(&t, 0, SLOTS, data);
            check_distances(&t, &state, SLOTS, 1);
            check_distances(&t, &state, SLOTS, 11);
            vex_mem_free(data);
            twin_close(&t);
        }
    }
}

#define WORDS(slots) (((slots) + 63) / 64)

/* Bitmaps: nothing, everything, single bits and runs about the borders of words, noise. */
static void odd_bitmap(uint64_t *state, uint64_t *allow, uint32_t words)
{
    unsigned kind = draw(state) % 5;
    for (uint32_t i = 0; i < words; i++) {
        uint64_t noise = (uint64_t)draw(state) << 32 | draw(state);
        static const uint64_t odd[] = {0, UINT64_MAX, 1, UINT64_C(1) << 63, UINT64_C(0x8000000000000001)};
        allow[i] = kind == 0   ? odd[draw(state) % 5]
                   : kind == 1 ? UINT64_MAX
                   : kind == 2 ? noise
                   : kind == 3 ? noise & ((uint64_t)draw(state) << 32 | draw(state)) & (noise >> 7)
                               : 0;
    }
    if (kind == 4)
        allow[draw(state) % words] = UINT64_C(1) << (draw(state) % 64);
}

static void test_same_choice(void)
{
    enum { SLOTS = 5000 };
    uint64_t state = 4711, *allow = vex_mem_alloc(WORDS(SLOTS) * sizeof *allow);
    struct twin t = twin_create(19, VEX_ELEMENT_F32);
    char *data = vex_mem_alloc((size_t)SLOTS * t.layout.stride);
    wild_vectors(&t, &state, SLOTS, data);
    twin_write(&t, 0, SLOTS, data);
    for (unsigned round = 0; round < suite_rounds(300); round++) {
        uint32_t count = 1 + draw(&state) % 12;
        float *queries = wild_queries(&t, &state, count);
        odd_bitmap(&state, allow, WORDS(SLOTS));
        struct vex_dev_search s = {.queries = queries,
                                   .count = count,
                                   .k = 1 + draw(&state) % 200,
                                   .distance = (enum vex_distance)(round % VEX_DISTANCE_COUNT),
                                   .first = draw(&state) % (SLOTS + 100),
                                   .slots = draw(&state) % SLOTS,
                                   .allow = round % 5 == 0 ? NULL : allow};
        check_alike(&t, &s);
        vex_mem_free(queries);
    }
    vex_mem_free(allow);
    vex_mem_free(data);
    twin_close(&t);
}

/* Hardly two distances differ: the slot decides who is in and where. */
static void test_same_order_of_equals(void)
{
    enum { SLOTS = 4000 };
    uint64_t state = 99;
    for (unsigned e = 0; e < VEX_ELEMENT_COUNT; e++) {
        struct twin t = twin_create(2, (enum vex_element)e);
        char *data = vex_mem_zalloc((size_t)SLOTS * t.layout.stride);
        for (uint32_t i = 0; i < SLOTS; i++) {
            char *at = data + (size_t)i * t.layout.stride;
            if (e == VEX_ELEMENT_F32)
                ((float *)at)[0] = draw(&state) % 2 == 0 ? 0.0f : -0.0f;
            else if (e == VEX_ELEMENT_F16)
                ((uint16_t *)at)[1] = (uint16_t)(draw(&state) % 2 * 0x3c00);
            else
                at[0] = (char)(draw(&state) % 2);
        }
        twin_write(&t, 0, SLOTS, data);
        static const float queries[] = {0, 0, 1, -1, -0.0f, 0.5f};
        for (uint32_t k = 1; k <= SLOTS; k = k * (suite_takes(1) ? 3 : 60) + 1)
            for (unsigned d = 0; d < VEX_DISTANCE_COUNT; d++) {
                struct vex_dev_search s = {
                    .queries = queries, .count = 3, .k = k, .distance = (enum vex_distance)d, .slots = SLOTS};
                check_alike(&t, &s);
            }
        vex_mem_free(data);
        twin_close(&t);
    }
}

static void test_largest_batch(void)
{
    enum { SLOTS = 200, QUERIES = 1024 };
    uint64_t state = 5;
    struct twin t = twin_create(40, VEX_ELEMENT_F16);
    char *data = vex_mem_alloc((size_t)SLOTS * t.layout.stride);
    wild_vectors(&t, &state, SLOTS, data);
    twin_write(&t, 0, SLOTS, data);
    float *queries = wild_queries(&t, &state, QUERIES);
    struct vex_dev_search s = {
        .queries = queries, .count = QUERIES, .k = 7, .distance = VEX_DISTANCE_L1, .slots = SLOTS};
    check_alike(&t, &s);
    s.k = SLOTS + 1;
    check_alike(&t, &s);
    vex_mem_free(queries);
    vex_mem_free(data);
    twin_close(&t);
}

/* ---- Files ---- */

static void check_same_file(struct twin *t)
{
    int64_t size = vex_io_size(t->f.io, t->f.file);
    CU_ASSERT_EQUAL_FATAL(size, vex_io_size(t->f.io, t->file));
    char *a = vex_mem_alloc((size_t)size), *b = vex_mem_alloc((size_t)size);
    CU_ASSERT_EQUAL(vex_io_pread(t->f.io, t->f.file, a, (size_t)size, 0), size);
    CU_ASSERT_EQUAL(vex_io_pread(t->f.io, t->file, b, (size_t)size, 0), size);
    CU_ASSERT_EQUAL(memcmp(a, b, (size_t)size), 0);
    vex_mem_free(a);
    vex_mem_free(b);
}

/* One step of the script on both files; *slots: how many they hold. */
static void script_step(struct twin *t, uint64_t *state, uint64_t *slots)
{
    enum { MOST = 40 };
    struct vex_dev *both[2] = {vex_suite_dev, embed()};
    struct vex_dev_file *files[2] = {t->f.df, t->df};
    uint32_t action = draw(state) % 10, count = 1 + draw(state) % MOST;
    uint32_t cleared[MOST];
    char *data = vex_mem_alloc((size_t)MOST * t->layout.stride);
    uint64_t first = *slots, keep = *slots == 0 ? 0 : draw(state) % *slots;
    wild_vectors(t, state, count, data);
    if (action >= 4 && action < 7 && *slots > 0)
        first = draw(state) % *slots; /* overwrites, perhaps beyond the end */
    else if (action == 7)
        first = *slots + draw(state) % 50; /* a gap */
    for (uint32_t i = 0; i<count && * slots> 0; i++)
        cleared[i] = i > 0 && draw(state) % 2 == 0 && cleared[i - 1] + 1 < *slots
                         ? cleared[i - 1] + 1
                         : draw(state) % (uint32_t)*slots;
    for (int i = 0; i < 2; i++) {
        int rc = action < 8    ? both[i]->ops->write(both[i], files[i], (uint32_t)first, count, data)
                 : action == 8 ? both[i]->ops->clear(both[i], files[i], cleared, *slots > 0 ? count : 0)
                               : both[i]->ops->truncate(both[i], files[i], keep);
        CU_ASSERT_EQUAL(rc, 0);
    }
    if (action < 8 && first + count > *slots)
        *slots = first + count;
    else if (action == 9)
        *slots = keep;
    vex_mem_free(data);
}

static void test_same_bytes(void)
{
    static const uint32_t dims[] = {1, 24, 100, 300, 1111};
    uint64_t state = 31337;
    for (unsigned e = 0; e < VEX_ELEMENT_COUNT; e++)
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
            struct twin t = twin_create(dims[i], (enum vex_element)e);
            uint64_t slots = 0;
            check_same_file(&t); /* the header */
            for (unsigned step = 0; step < suite_rounds(120); step++) {
                script_step(&t, &state, &slots);
                if (step % 17 == 0)
                    check_same_file(&t);
            }
            CU_ASSERT_EQUAL(vex_suite_dev->ops->sync(vex_suite_dev, t.f.df), 0);
            check_same_file(&t);
            twin_close(&t);
        }
}

void suite_add_twin_tests(CU_pSuite suite)
{
    CU_ADD_TEST(suite, test_same_bits);
    CU_ADD_TEST(suite, test_same_choice);
    CU_ADD_TEST(suite, test_same_order_of_equals);
    CU_ADD_TEST(suite, test_largest_batch);
    CU_ADD_TEST(suite, test_same_bytes);
}
