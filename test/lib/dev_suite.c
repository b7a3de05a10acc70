/* The list of tests of a vector device: see dev_suite.h. Searching is in dev_suite_search.c. */
#include "lib/dev_suite.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/dev_suite_kit.h"

#define SUITES_MAX 8

struct vex_dev *vex_suite_dev;
static bool io_counts;

static struct {
    struct vex_dev *dev;
    bool through_io;
} suites[SUITES_MAX];
static unsigned suite_count, suite_next;

/* ---- Files and their geometry ---- */

static void test_create_and_reopen(void)
{
    static const uint32_t dims[] = {1, 2, 7, 8, 31, 32, 33, 128, 769};
    for (int e = 0; e < VEX_ELEMENT_COUNT; e++) {
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            struct suite_file f = suite_create(dims[d], (enum vex_element)e, NULL);
            uint32_t bytes = dims[d] * (e == VEX_ELEMENT_F32 ? 4 : e == VEX_ELEMENT_F16 ? 2 : 1);
            CU_ASSERT_EQUAL(f.layout.stride, (bytes + 31) / 32 * 32);
            CU_ASSERT_EQUAL(f.layout.slots, 0);
            suite_fill(&f, 0, 70, 0);
            suite_expect(&f, 0, 70, 0);
            suite_reopen(&f);
            CU_ASSERT_EQUAL(f.layout.slots, 70);
            suite_expect(&f, 0, 70, 0);
            suite_fill(&f, 70, 5, 0);
            suite_expect(&f, 0, 75, 0);
            suite_close(&f);
        }
    }
}

static void test_create_drops_what_was_there(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 10, 0);
    vex_suite_dev->ops->detach(vex_suite_dev, f.df);
    CU_ASSERT_EQUAL(suite_attach(&f, true), 0);
    CU_ASSERT_EQUAL(f.layout.slots, 0);
    uint32_t slot = 0;
    char data[32];
    CU_ASSERT_EQUAL(vex_suite_dev->ops->read(vex_suite_dev, f.df, &slot, 1, data), VEX_EBAD_INPUT);
    suite_reopen(&f);
    CU_ASSERT_EQUAL(f.layout.slots, 0);
    suite_close(&f);
}

static void expect_refused(struct suite_file *f, uint32_t dimensions, unsigned element, int code)
{
    struct vex_dev_layout layout = {.dimensions = dimensions, .element = (enum vex_element)element};
    struct vex_dev_file *df = NULL;
    struct vex_err err = {0};
    int rc = vex_suite_dev->ops->attach(vex_suite_dev, f->io, f->file, &layout, false, &df, &err);
    CU_ASSERT_EQUAL(rc, code);
    CU_ASSERT_EQUAL(err.code, code);
    CU_ASSERT(err.text[0] != '\0');
    CU_ASSERT_PTR_NULL(df);
}

static void test_wrong_geometry(void)
{
    struct suite_file f = suite_create(16, VEX_ELEMENT_F16, NULL);
    suite_fill(&f, 0, 3, 0);
    expect_refused(&f, 15, VEX_ELEMENT_F16, VEX_EBAD_INPUT);
    expect_refused(&f, 16, VEX_ELEMENT_F32, VEX_EBAD_INPUT);
    expect_refused(&f, 16, VEX_ELEMENT_U8, VEX_EBAD_INPUT);
    expect_refused(&f, 0, VEX_ELEMENT_F16, VEX_EBAD_INPUT);
    expect_refused(&f, VEX_DIM_MAX + 1, VEX_ELEMENT_F16, VEX_EBAD_INPUT);
    expect_refused(&f, 16, VEX_ELEMENT_COUNT, VEX_EBAD_INPUT);
    suite_expect(&f, 0, 3, 0);
    suite_close(&f);
}

static void test_bad_header(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 4, 0);
    for (uint64_t at = 0; at < 4096; at += at < 128 || suite_takes(1) ? 1 : 61) {
        uint8_t good, bad;
        CU_ASSERT_EQUAL(vex_io_pread(f.io, f.file, &good, 1, at), 1);
        bad = (uint8_t)(good ^ (1u << (at % 8)));
        CU_ASSERT_EQUAL(vex_io_pwrite(f.io, f.file, &bad, 1, at), 0);
        expect_refused(&f, 8, VEX_ELEMENT_F32, VEX_ECORRUPT);
        CU_ASSERT_EQUAL(vex_io_pwrite(f.io, f.file, &good, 1, at), 0);
    }
    suite_reopen(&f);
    suite_expect(&f, 0, 4, 0);
    vex_suite_dev->ops->detach(vex_suite_dev, f.df);
    static const uint64_t lengths[] = {4095, 36, 1, 0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        CU_ASSERT_EQUAL(vex_io_truncate(f.io, f.file, lengths[i]), 0);
        expect_refused(&f, 8, VEX_ELEMENT_F32, VEX_ECORRUPT);
    }
    f.df = NULL;
    suite_close(&f);
}

/* A file cut inside a slot (a torn append) holds the whole slots before it. */
static void test_partial_slot(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 4, 0);
    CU_ASSERT_EQUAL(vex_io_truncate(f.io, f.file, 4096 + 3 * 32 + 31), 0);
    suite_reopen(&f);
    CU_ASSERT_EQUAL(f.layout.slots, 3);
    suite_expect(&f, 0, 3, 0);
    suite_fill(&f, 3, 2, 1);
    suite_expect(&f, 3, 2, 1);
    suite_close(&f);
}

/* ---- Slots ---- */

static void test_bounds(void)
{
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 4, 0);
    char data[4 * 32] = {0}, before[4 * 32];
    memset(data, 7, sizeof data);
    memcpy(before, data, sizeof data);
    const uint32_t over[] = {0, 4, 1}, far[] = {UINT32_MAX}, fine[] = {3};
    CU_ASSERT_EQUAL(ops->read(vex_suite_dev, f.df, over, 3, data), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(ops->read(vex_suite_dev, f.df, far, 1, data), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(memcmp(data, before, sizeof data), 0);
    CU_ASSERT_EQUAL(ops->read(vex_suite_dev, f.df, fine, 0, data), 0);
    CU_ASSERT_EQUAL(ops->clear(vex_suite_dev, f.df, over, 3), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(ops->clear(vex_suite_dev, f.df, far, 1), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(ops->write(vex_suite_dev, f.df, UINT32_MAX, 1, data), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(ops->write(vex_suite_dev, f.df, 5, UINT32_MAX - 2, data), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(ops->write(vex_suite_dev, f.df, 4, 0, data), 0);
    CU_ASSERT_EQUAL(ops->truncate(vex_suite_dev, f.df, 5), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(ops->reserve(vex_suite_dev, f.df, (uint64_t)UINT32_MAX + 1), VEX_EBAD_INPUT);
    suite_expect(&f, 0, 4, 0);
    CU_ASSERT_EQUAL(vex_io_size(f.io, f.file), 4096 + 4 * 32);
    suite_close(&f);
}

static void test_overwrite_and_gap(void)
{
    struct suite_file f = suite_create(5, VEX_ELEMENT_U8, NULL);
    suite_fill(&f, 0, 10, 0);
    suite_fill(&f, 3, 4, 1);
    suite_expect(&f, 0, 3, 0);
    suite_expect(&f, 3, 4, 1);
    suite_expect(&f, 7, 3, 0);
    suite_fill(&f, 8, 6, 2); /* half over what is there, half beyond */
    suite_expect(&f, 8, 6, 2);
    suite_fill(&f, 40, 2, 3); /* leaves a gap */
    suite_expect(&f, 40, 2, 3);
    for (uint32_t slot = 14; slot < 40; slot++)
        CU_ASSERT(suite_is_zero(&f, slot));
    suite_reopen(&f);
    CU_ASSERT_EQUAL(f.layout.slots, 42);
    suite_expect(&f, 8, 6, 2);
    suite_close(&f);
}

static void test_clear(void)
{
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_file f =
        suite_create(700, VEX_ELEMENT_F32, NULL); /* a run exceeds any one buffer of zeros */
    suite_fill(&f, 0, 100, 0);
    uint32_t slots[70], count = 0;
    slots[count++] = 99;
    for (uint32_t slot = 10; slot < 70; slot++)
        slots[count++] = slot;
    slots[count++] = 0;
    slots[count++] = 0;
    slots[count++] = 80;
    CU_ASSERT_EQUAL(ops->clear(vex_suite_dev, f.df, slots, count), 0);
    for (uint32_t slot = 0; slot < 100; slot++) {
        bool cleared = slot == 0 || slot == 80 || slot == 99 || (slot >= 10 && slot < 70);
        CU_ASSERT_EQUAL(suite_is_zero(&f, slot), cleared);
        if (!cleared)
            suite_expect(&f, slot, 1, 0);
    }
    CU_ASSERT_EQUAL(ops->clear(vex_suite_dev, f.df, slots, 0), 0);
    suite_reopen(&f);
    CU_ASSERT_EQUAL(f.layout.slots, 100);
    suite_close(&f);
}

static void test_truncate_and_rewrite(void)
{
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_file f = suite_create(33, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 300, 0);
    CU_ASSERT_EQUAL(ops->truncate(vex_suite_dev, f.df, 100), 0);
    uint32_t slot = 100;
    char data[160];
    CU_ASSERT_EQUAL(ops->read(vex_suite_dev, f.df, &slot, 1, data), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(vex_io_size(f.io, f.file), 4096 + 100 * 160);
    suite_expect(&f, 0, 100, 0);
    suite_fill(&f, 100, 50, 5);
    suite_expect(&f, 0, 100, 0);
    suite_expect(&f, 100, 50, 5);
    CU_ASSERT_EQUAL(ops->truncate(vex_suite_dev, f.df, 0), 0);
    suite_fill(&f, 0, 2, 6);
    suite_expect(&f, 0, 2, 6);
    CU_ASSERT_EQUAL(ops->sync(vex_suite_dev, f.df), 0);
    suite_reopen(&f);
    CU_ASSERT_EQUAL(f.layout.slots, 2);
    suite_expect(&f, 0, 2, 6);
    suite_close(&f);
}

/* The map: slots can be read in it, at an address that stays while the file outgrows the range. */
static void test_map(void)
{
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_file f = suite_create(VEX_DIM_MAX, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 2, 0);
    const char *map = ops->map(vex_suite_dev, f.df);
    CU_ASSERT_EQUAL((uintptr_t)map % 32, 0);
    char *expected = vex_mem_alloc(f.layout.stride);
    suite_pack(&f, 1, 0, expected);
    CU_ASSERT_EQUAL(memcmp(map + f.layout.stride, expected, f.layout.stride), 0);
    uint32_t far = 5000; /* 1.3 GB on, all of it a hole */
    suite_fill(&f, far, 1, 0);
    CU_ASSERT_EQUAL(memcmp(map + f.layout.stride, expected, f.layout.stride), 0);
    suite_expect(&f, far, 1, 0);
    CU_ASSERT_EQUAL(ops->reserve(vex_suite_dev, f.df, far + 1), 0);
    map = ops->map(vex_suite_dev, f.df);
    suite_pack(&f, far, 0, expected);
    CU_ASSERT_EQUAL(memcmp(map + (size_t)far * f.layout.stride, expected, f.layout.stride), 0);
    CU_ASSERT_EQUAL(ops->reserve(vex_suite_dev, f.df, 20000), 0);
    map = ops->map(vex_suite_dev, f.df);
    CU_ASSERT_EQUAL(memcmp(map + (size_t)far * f.layout.stride, expected, f.layout.stride), 0);
    vex_mem_free(expected);
    suite_close(&f);
}

static void test_stats(void)
{
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    struct vex_dev_stats before, after;
    ops->stats(vex_suite_dev, f.df, &before);
    suite_fill(&f, 0, 10, 0);
    suite_expect(&f, 0, 10, 0);
    ops->stats(vex_suite_dev, f.df, &after);
    CU_ASSERT(after.requests > before.requests);
    CU_ASSERT_EQUAL(after.bytes_written - before.bytes_written, 10 * 32);
    CU_ASSERT(after.bytes_read - before.bytes_read >= 10 * 32);
    suite_close(&f);
}

/* ---- A full disk ---- */

static void test_full_disk(void)
{
    if (!io_counts)
        return;
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_disk disk;
    suite_disk_init(&disk);
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, &disk.io);
    suite_fill(&f, 0, 10, 0);
    disk.limit = 4096 + 20 * 32 + 5;
    char *data = vex_mem_zalloc(50 * 32);
    CU_ASSERT_EQUAL(ops->write(vex_suite_dev, f.df, 10, 50, data), VEX_ENO_SPACE);
    CU_ASSERT(disk.cut > 0); /* a part was written before the disk was full */
    CU_ASSERT_EQUAL(vex_io_size(f.io, f.file), 4096 + 10 * 32);
    CU_ASSERT_EQUAL(ops->write(vex_suite_dev, f.df, 5, 50, data), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(vex_io_size(f.io, f.file), 4096 + 10 * 32);
    uint32_t slot = 10;
    CU_ASSERT_EQUAL(ops->read(vex_suite_dev, f.df, &slot, 1, data), VEX_EBAD_INPUT);
    suite_expect(&f, 0, 5, 0);
    CU_ASSERT_EQUAL(ops->clear(vex_suite_dev, f.df, (uint32_t[]){4}, 1), 0); /* deletes still work */
    suite_fill(&f, 5, 15, 1);                                                /* what fits is taken */
    disk.limit = UINT64_MAX;
    suite_fill(&f, 20, 30, 1);
    suite_expect(&f, 5, 45, 1);
    suite_reopen(&f);
    CU_ASSERT_EQUAL(f.layout.slots, 50);
    disk.limit = 100;
    vex_suite_dev->ops->detach(vex_suite_dev, f.df);
    f.df = NULL;
    CU_ASSERT_EQUAL(suite_attach(&f, true), VEX_ENO_SPACE);
    vex_mem_free(data);
    suite_close(&f);
}

/* ---- Readers beside a writer ---- */

struct shared {
    struct suite_file file;
    uint32_t last;              /* slots that shall be written */
    _Atomic uint32_t published; /* slots written */
    _Atomic uint32_t wrong;
};

static void *append(void *arg)
{
    struct shared *s = arg;
    for (uint32_t first = 0; first < s->last; first += 50) {
        suite_fill_raw(&s->file, first, 50, 0);
        s->published = first + 50;
    }
    return NULL;
}

/* Whatever is published reads and searches as it was written, through requests and map alike. */
static void *read_on(void *arg)
{
    struct shared *s = arg;
    const struct vex_dev_ops *ops = vex_suite_dev->ops;
    struct suite_file *f = &s->file;
    _Alignas(32) char expected[64], got[64];
    float query[16];
    uint32_t published = 0;
    for (unsigned round = 1; published < s->last; round++) {
        published = s->published;
        if (published == 0)
            continue;
        uint32_t slot = round * 7919u % published;
        suite_pack(f, slot, 0, expected);
        if (ops->read(vex_suite_dev, f->df, &slot, 1, got) != 0 || memcmp(got, expected, 64) != 0)
            s->wrong++;
        const char *map = ops->map(vex_suite_dev, f->df);
        if (memcmp(map + (size_t)slot * 64, expected, 64) != 0)
            s->wrong++;
        if (round % 64 != 0)
            continue;
        memcpy(query, expected, sizeof query);
        struct vex_dev_hit hit;
        uint32_t found = 0;
        struct vex_dev_search search = {.queries = query,
                                        .count = 1,
                                        .k = 1,
                                        .distance = VEX_DISTANCE_L2,
                                        .first = slot,
                                        .slots = published - slot,
                                        .hits = &hit,
                                        .found = &found};
        if (ops->search(vex_suite_dev, f->df, &search) != 0 || found != 1 || hit.slot != slot ||
            hit.distance != 0)
            s->wrong++;
    }
    return NULL;
}

static void test_readers_beside_writer(void)
{
    static struct shared shared;
    memset(&shared, 0, sizeof shared);
    shared.last = suite_rounds(20000);
    shared.file = suite_create(16, VEX_ELEMENT_F32, NULL);
    pthread_t writer, readers[3];
    CU_ASSERT_EQUAL(pthread_create(&writer, NULL, append, &shared), 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(pthread_create(&readers[i], NULL, read_on, &shared), 0);
    pthread_join(writer, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    CU_ASSERT_EQUAL(shared.wrong, 0);
    suite_expect(&shared.file, 0, 100, 0);
    suite_close(&shared.file);
}

/* CUnit runs the suites in the order they were registered in. */
static int set_up(void)
{
    vex_suite_dev = suites[suite_next].dev;
    io_counts = suites[suite_next].through_io;
    suite_next++;
    return suite_folder_make();
}

void vex_dev_suite_register(const char *name, struct vex_dev *dev, bool through_io)
{
    CU_pSuite suite = CU_add_suite(name, set_up, suite_folder_remove);
    if (suite == NULL || suite_count == SUITES_MAX)
        abort(); /* a name that is taken */
    suites[suite_count].dev = dev;
    suites[suite_count++].through_io = through_io;
    CU_ADD_TEST(suite, test_create_and_reopen);
    CU_ADD_TEST(suite, test_create_drops_what_was_there);
    CU_ADD_TEST(suite, test_wrong_geometry);
    CU_ADD_TEST(suite, test_bad_header);
    CU_ADD_TEST(suite, test_partial_slot);
    CU_ADD_TEST(suite, test_bounds);
    CU_ADD_TEST(suite, test_overwrite_and_gap);
    CU_ADD_TEST(suite, test_clear);
    CU_ADD_TEST(suite, test_truncate_and_rewrite);
    CU_ADD_TEST(suite, test_map);
    CU_ADD_TEST(suite, test_stats);
    CU_ADD_TEST(suite, test_full_disk);
    CU_ADD_TEST(suite, test_readers_beside_writer);
    suite_add_search_tests(suite);
    suite_add_twin_tests(suite);
    suite_add_sharing_tests(suite);
}
