/* The vector device's tests of SCAN and SEARCH, judged by a plain computation. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/dev_suite_kit.h"

#define WORDS(slots) (((slots) + 63) / 64)

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static bool allowed(const uint64_t *allow, uint32_t slot)
{
    return allow == NULL || (allow[slot / 64] >> (slot % 64) & 1) != 0;
}

static float reference(const struct suite_file *f, const float *query, uint32_t slot,
                       enum vex_distance distance)
{
    double l2 = 0, dot = 0, l1 = 0;
    for (uint32_t i = 0; i < f->layout.dimensions; i++) {
        double q = query[i], v = suite_value(f, slot, i, 0);
        l2 += (q - v) * (q - v);
        dot += q * v;
        l1 += fabs(q - v);
    }
    return (float)(distance == VEX_DISTANCE_L2 ? l2 : distance == VEX_DISTANCE_L1 ? l1 : 0 - dot);
}

static int by_distance(const void *a, const void *b)
{
    const struct vex_dev_hit *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* The whole range in order: all candidates of one query. Returns how many. */
static uint32_t expected_hits(const struct suite_file *f, const struct vex_dev_search *s, uint32_t q,
                              uint32_t held, struct vex_dev_hit *ret)
{
    uint32_t count = 0;
    for (uint64_t slot = s->first; slot < (uint64_t)s->first + s->slots && slot < held; slot++)
        if (allowed(s->allow, (uint32_t)slot))
            ret[count++] = (struct vex_dev_hit){
                reference(f, s->queries + (size_t)q * f->layout.dimensions, (uint32_t)slot, s->distance),
                (uint32_t)slot};
    qsort(ret, count, sizeof *ret, by_distance);
    return count;
}

/* Runs the search and holds it against the plain computation. `held`: slots in the file. */
static void check_search(struct suite_file *f, struct vex_dev_search *s, uint32_t held)
{
    uint32_t room = s->k < held ? s->k : held;
    struct vex_dev_hit *expected = vex_mem_alloc(((size_t)held + 1) * sizeof *expected);
    s->hits = vex_mem_alloc(((size_t)s->count * (s->count > 1 ? s->k : room) + 1) * sizeof *s->hits);
    s->found = vex_mem_zalloc(s->count * sizeof *s->found);
    CU_ASSERT_EQUAL_FATAL(vex_suite_dev->ops->search(vex_suite_dev, f->df, s), 0);
    uint32_t wrong = 0;
    for (uint32_t q = 0; q < s->count; q++) {
        uint32_t count = expected_hits(f, s, q, held, expected);
        count = count < s->k ? count : s->k;
        wrong += s->found[q] != count;
        for (uint32_t i = 0; i < count && i < s->found[q]; i++) {
            struct vex_dev_hit hit = s->hits[(size_t)q * s->k + i];
            wrong += hit.slot != expected[i].slot || memcmp(&hit.distance, &expected[i].distance, 4) != 0;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    vex_mem_free(expected);
    vex_mem_free(s->hits);
    vex_mem_free(s->found);
}

static float *make_queries(const struct suite_file *f, uint32_t count, uint32_t seed)
{
    float *queries = vex_mem_alloc((size_t)count * f->layout.dimensions * sizeof *queries);
    for (size_t i = 0; i < (size_t)count * f->layout.dimensions; i++)
        queries[i] = (float)((int)(draw(&seed) % 9) - 4);
    return queries;
}

/* Every distance and element type; few dimensions, so that many distances are equal and the slot decides. */
static void test_search(void)
{
    static const uint32_t dims[] = {2, 40, 200};
    for (unsigned e = 0; e < VEX_ELEMENT_COUNT * 3; e++) {
        struct suite_file f = suite_create(dims[e % 3], (enum vex_element)(e / 3), NULL);
        suite_fill(&f, 0, 1000, 0);
        float *queries = make_queries(&f, 20, e);
        for (unsigned d = 0; d < VEX_DISTANCE_COUNT; d++) {
            static const uint32_t counts[] = {1, 7, 8, 9, 20}, ks[] = {1, 2, 10, 999, 1000, 3};
            for (uint32_t i = 0; i < 5; i++) {
                if (!suite_takes(2 * (i + d + e)))
                    continue;
                struct vex_dev_search s = {.queries = queries,
                                           .count = counts[i],
                                           .k = ks[i],
                                           .distance = (enum vex_distance)d,
                                           .first = 0,
                                           .slots = 1000};
                check_search(&f, &s, 1000);
                s.first = 63 + 17 * i;
                s.slots = 500;
                check_search(&f, &s, 1000);
            }
        }
        vex_mem_free(queries);
        suite_close(&f);
    }
}

static void fill_bitmap(uint64_t *allow, uint32_t slots, unsigned one_in, uint32_t seed)
{
    memset(allow, 0, WORDS(slots) * sizeof *allow);
    for (uint32_t slot = 0; slot < slots; slot++)
        if (one_in != 0 && draw(&seed) % one_in == 0)
            allow[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static void test_search_allowed(void)
{
    enum { SLOTS = 3000 };
    struct suite_file f = suite_create(24, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, SLOTS, 0);
    float *queries = make_queries(&f, 10, 5);
    static const unsigned one_in[] = {0, 1, 2, 10, 300, 3000};
    /* Exactly as long as it must be, so that a read past it is seen. */
    uint64_t *allow = vex_mem_alloc(WORDS(SLOTS) * sizeof *allow);
    for (uint32_t i = 0; i < (suite_takes(1) ? 24 : 6); i++) {
        fill_bitmap(allow, SLOTS, one_in[i % 6], i);
        struct vex_dev_search s = {.queries = queries,
                                   .count = 1 + i % 10,
                                   .k = 5 + i,
                                   .slots = SLOTS,
                                   .allow = allow,
                                   .distance = (enum vex_distance)(i % VEX_DISTANCE_COUNT)};
        check_search(&f, &s, SLOTS);
        s.first = 64 * (i % 3) + i;
        s.slots = SLOTS - s.first - i * 7;
        check_search(&f, &s, SLOTS);
    }
    static const uint32_t lone[] = {0, 63, 64, 127, 2943, 2944, SLOTS - 1};
    for (size_t i = 0; i < sizeof lone / sizeof *lone; i++) {
        memset(allow, 0, WORDS(SLOTS) * sizeof *allow);
        allow[lone[i] / 64] = UINT64_C(1) << (lone[i] % 64);
        struct vex_dev_search s = {.queries = queries, .count = 2, .k = 3, .slots = SLOTS, .allow = allow};
        check_search(&f, &s, SLOTS);
        s.first = lone[i];
        s.slots = 1;
        check_search(&f, &s, SLOTS);
    }
    /* Few candidates, all of them hits: bits of the range's last word beyond its end must not be taken. */
    for (uint32_t i = 0; i < suite_rounds(200); i++) {
        fill_bitmap(allow, SLOTS, 2 + i % 5, i);
        struct vex_dev_search s = {
            .queries = queries, .count = 1, .k = SLOTS, .first = i, .slots = 40 + i, .allow = allow};
        check_search(&f, &s, SLOTS);
    }
    vex_mem_free(allow);
    vex_mem_free(queries);
    suite_close(&f);
}

/* k beyond the slots; a range beyond the file's end holds nothing there. */
static void test_search_beyond(void)
{
    struct suite_file f = suite_create(12, VEX_ELEMENT_F16, NULL);
    float *queries = make_queries(&f, 3, 1);
    struct vex_dev_search s = {.queries = queries, .count = 3, .k = 50, .slots = 0};
    check_search(&f, &s, 0);
    s.slots = 100;
    check_search(&f, &s, 0);
    suite_fill(&f, 0, 30, 0);
    check_search(&f, &s, 30);
    s.first = 25;
    s.slots = UINT32_MAX;
    check_search(&f, &s, 30);
    s.first = UINT32_MAX;
    check_search(&f, &s, 30);
    /* One query writes no more hits than there are candidates, however large k is. */
    s = (struct vex_dev_search){.queries = queries, .count = 1, .k = UINT32_MAX, .slots = 30};
    check_search(&f, &s, 30);
    vex_mem_free(queries);
    suite_close(&f);
}

static void test_search_refused(void)
{
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_file f = suite_create(4, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 10, 0);
    float *queries = make_queries(&f, 1, 1);
    struct vex_dev_hit hits[4];
    uint32_t found;
    const struct vex_dev_search good = {
        .queries = queries, .count = 1, .k = 4, .slots = 10, .hits = hits, .found = &found};
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &good), 0);
    struct vex_dev_search bad = good;
    bad.count = 0;
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &bad), VEX_EBAD_INPUT);
    bad.count = 1025;
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &bad), VEX_EBAD_INPUT);
    bad = good;
    bad.k = 0;
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &bad), VEX_EBAD_INPUT);
    bad = good;
    bad.distance = VEX_DISTANCE_COUNT;
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &bad), VEX_EBAD_INPUT);
    bad = good;
    bad.hits = NULL;
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &bad), VEX_EBAD_INPUT);
    bad = good;
    _Atomic int cancelled = 1;
    bad.cancelled = &cancelled;
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &bad), VEX_ECANCELLED);
    cancelled = 0;
    CU_ASSERT_EQUAL(ops->search(vex_suite_dev, f.df, &bad), 0);
    CU_ASSERT_EQUAL(found, 4);
    vex_mem_free(queries);
    suite_close(&f);
}

static void check_scan(struct suite_file *f, uint32_t held, uint32_t end, const uint64_t *allow, uint32_t max)
{
    uint32_t stride = f->layout.stride, cursor = 0, expected = 0, wrong = 0;
    uint32_t *slots = vex_mem_alloc(max * sizeof *slots);
    char *data = vex_mem_alloc((size_t)max * stride), *vector = vex_mem_alloc(stride);
    for (;;) {
        uint32_t count = UINT32_MAX;
        CU_ASSERT_EQUAL_FATAL(
            vex_suite_dev->ops->scan(vex_suite_dev, f->df, &cursor, end, allow, max, slots, data, &count), 0);
        CU_ASSERT_FATAL(count <= max);
        if (count == 0)
            break;
        for (uint32_t i = 0; i < count; i++, expected++) {
            while (expected < held && !allowed(allow, expected))
                expected++;
            suite_pack(f, slots[i], 0, vector);
            wrong += slots[i] >= end || slots[i] != expected ||
                     memcmp(data + (size_t)i * stride, vector, stride) != 0;
        }
    }
    for (; expected < held && expected < end; expected++)
        wrong += allowed(allow, expected); /* left out */
    CU_ASSERT_EQUAL(wrong, 0);
    vex_mem_free(slots);
    vex_mem_free(data);
    vex_mem_free(vector);
}

static void test_scan(void)
{
    struct suite_file f = suite_create(20, VEX_ELEMENT_U8, NULL);
    check_scan(&f, 0, 10, NULL, 4);
    suite_fill(&f, 0, 500, 0);
    uint64_t allow[WORDS(500)];
    static const uint32_t maxes[] = {1, 3, 64, 499, 500, 501};
    for (uint32_t i = 0; i < 6; i++) {
        check_scan(&f, 500, 500, NULL, maxes[i]);
        check_scan(&f, 500, 100 + i, NULL, maxes[i]);
        check_scan(&f, 500, UINT32_MAX, NULL, maxes[i]);
        fill_bitmap(allow, 500, 1 + i * 5, i);
        check_scan(&f, 500, 500, allow, maxes[i]);
        check_scan(&f, 500, 257, allow, maxes[i]);
    }
    memset(allow, 0, sizeof allow);
    check_scan(&f, 500, 500, allow, 7);
    uint32_t cursor = 0, count, slot;
    char data[32];
    CU_ASSERT_EQUAL(vex_suite_dev->ops->scan(vex_suite_dev, f.df, &cursor, 500, NULL, 0, &slot, data, &count),
                    VEX_EBAD_INPUT);
    suite_close(&f);
}

/* Leaves of the file in memory what `kept` says, a bit per 64 KiB, over and over. Where pages cannot leave (tmpfs) or are
 * mapped they stay. */
static void evict(struct suite_file *f, uint32_t kept)
{
    int fd = f->io->ops->fd(f->io, f->file);
    int64_t size = vex_io_size(f->io, f->file);
    CU_ASSERT_EQUAL_FATAL(vex_suite_dev->ops->sync(vex_suite_dev, f->df), 0);
    CU_ASSERT_EQUAL_FATAL(fsync(fd), 0);
    for (int64_t at = 0; at < size; at += 65536)
        if ((kept >> (at / 65536 % 32) & 1) == 0)
            CU_ASSERT_EQUAL(posix_fadvise(fd, at, 65536, POSIX_FADV_DONTNEED), 0);
}

/* Vectors that must come from the disk, all or some of them, and lie across pages. */
static void test_not_in_memory(void)
{
    enum { SLOTS = 500 };
    static const uint32_t kept[] = {0, 0x55555555, 0x0000fffe, 0xfffffffd};
    struct suite_file f = suite_create(700, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, SLOTS, 0);
    float *queries = make_queries(&f, 2, 3);
    uint64_t allow[WORDS(SLOTS)];
    fill_bitmap(allow, SLOTS, 3, 9);
    struct vex_dev_search s = {.queries = queries, .count = 2, .k = 20, .slots = SLOTS};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        evict(&f, kept[i]);
        check_scan(&f, SLOTS, SLOTS, NULL, 100);
        evict(&f, kept[i]);
        check_scan(&f, SLOTS, SLOTS, allow, 30);
        evict(&f, kept[i]);
        suite_expect(&f, 0, SLOTS, 0);
        evict(&f, kept[i]);
        s.allow = i % 2 == 0 ? NULL : allow;
        check_search(&f, &s, SLOTS);
    }
    vex_mem_free(queries);
    suite_close(&f);
}

void suite_add_search_tests(CU_pSuite suite)
{
    CU_ADD_TEST(suite, test_search);
    CU_ADD_TEST(suite, test_search_allowed);
    CU_ADD_TEST(suite, test_search_beyond);
    CU_ADD_TEST(suite, test_search_refused);
    CU_ADD_TEST(suite, test_scan);
    CU_ADD_TEST(suite, test_not_in_memory);
}
