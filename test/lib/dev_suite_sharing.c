/* The vector device's tests of files that more than one has: two openers, the other back end before or after,
 * a writer that was killed, a writer that was stopped by a limit. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/dev_suite_kit.h"

#define DIMS 48

/* Opens a file by name and attaches it to `dev`. */
static int open_on(struct vex_dev *dev, const char *path, bool create, struct suite_file *ret)
{
    struct vex_err err = {0};
    *ret =
        (struct suite_file){.io = vex_io_posix(), .layout = {.dimensions = DIMS, .element = VEX_ELEMENT_F32}};
    if (vex_io_open(ret->io, path, VEX_IO_WRITE | (create ? VEX_IO_CREATE : 0), &ret->file) != 0)
        return VEX_EIO;
    return dev->ops->attach(dev, ret->io, ret->file, &ret->layout, create, &ret->df, &err);
}

static void close_on(struct vex_dev *dev, struct suite_file *f)
{
    dev->ops->detach(dev, f->df);
    vex_io_close(f->io, f->file);
}

/* The kit's helpers ask the device under test; these files may be another's. */
static int fill_on(struct vex_dev *dev, struct suite_file *f, uint32_t first, uint32_t count, unsigned kind)
{
    char *data = vex_mem_alloc((size_t)count * f->layout.stride);
    for (uint32_t i = 0; i < count; i++)
        suite_pack(f, first + i, kind, data + (size_t)i * f->layout.stride);
    int rc = dev->ops->write(dev, f->df, first, count, data);
    vex_mem_free(data);
    return rc;
}

static uint32_t count_wrong(struct vex_dev *dev, struct suite_file *f, uint32_t first, uint32_t count,
                            unsigned kind)
{
    char *got = vex_mem_alloc(f->layout.stride), *expected = vex_mem_alloc(f->layout.stride);
    uint32_t wrong = 0;
    for (uint32_t slot = first; slot < first + count; slot++) {
        suite_pack(f, slot, kind, expected);
        wrong +=
            dev->ops->read(dev, f->df, &slot, 1, got) != 0 || memcmp(got, expected, f->layout.stride) != 0;
    }
    vex_mem_free(got);
    vex_mem_free(expected);
    return wrong;
}

static void test_two_openers(void)
{
    struct vex_dev *dev = vex_suite_dev;
    struct suite_file a, b;
    char path[SUITE_PATH_MAX];
    suite_path(path);
    CU_ASSERT_EQUAL_FATAL(open_on(dev, path, true, &a), 0);
    CU_ASSERT_EQUAL(fill_on(dev, &a, 0, 100, 0), 0);
    CU_ASSERT_EQUAL_FATAL(open_on(dev, path, false, &b), 0);
    CU_ASSERT_EQUAL(b.layout.slots, 100);
    CU_ASSERT_EQUAL(count_wrong(dev, &b, 0, 100, 0), 0);
    CU_ASSERT_EQUAL(fill_on(dev, &b, 10, 20, 1), 0); /* each sees what the other overwrites */
    CU_ASSERT_EQUAL(count_wrong(dev, &a, 10, 20, 1), 0);
    const char *map = dev->ops->map(dev, a.df);
    char expected[DIMS * 4];
    suite_pack(&a, 29, 1, expected);
    CU_ASSERT_EQUAL(memcmp(map + 29 * (size_t)a.layout.stride, expected, sizeof expected), 0);
    CU_ASSERT_EQUAL(dev->ops->clear(dev, a.df, (uint32_t[]){5, 6}, 2), 0);
    char zero[DIMS * 4] = {0}, got[DIMS * 4];
    CU_ASSERT_EQUAL(dev->ops->read(dev, b.df, (uint32_t[]){6}, 1, got), 0);
    CU_ASSERT_EQUAL(memcmp(got, zero, sizeof got), 0);
    CU_ASSERT_EQUAL(fill_on(dev, &a, 100, 30, 2), 0); /* each appends where the other does not */
    CU_ASSERT_EQUAL(fill_on(dev, &b, 130, 30, 3), 0);
    close_on(dev, &a);
    CU_ASSERT_EQUAL(count_wrong(dev, &b, 130, 30, 3), 0); /* one closes, the other goes on */
    close_on(dev, &b);
    CU_ASSERT_EQUAL_FATAL(open_on(dev, path, false, &a), 0);
    CU_ASSERT_EQUAL(a.layout.slots, 160);
    CU_ASSERT_EQUAL(count_wrong(dev, &a, 100, 30, 2) + count_wrong(dev, &a, 130, 30, 3), 0);
    close_on(dev, &a);
    a.io->ops->unlink(a.io, path);
}

/* Made by one, read and continued by the other, there and back. */
static void test_handed_over(void)
{
    for (unsigned turn = 0; turn < 2; turn++) {
        struct vex_dev *both[2] = {vex_suite_dev, vex_dev_embed_new()};
        struct suite_file f;
        char path[SUITE_PATH_MAX];
        suite_path(path);
        for (uint32_t leg = 0; leg < 6; leg++) {
            struct vex_dev *dev = both[(leg + turn) % 2];
            CU_ASSERT_EQUAL_FATAL(open_on(dev, path, leg == 0, &f), 0);
            CU_ASSERT_EQUAL(f.layout.slots, leg * 50);
            for (uint32_t before = 0; before < leg; before++)
                CU_ASSERT_EQUAL(count_wrong(dev, &f, before * 50, 50, before), 0);
            CU_ASSERT_EQUAL(fill_on(dev, &f, leg * 50, 70, leg), 0);
            CU_ASSERT_EQUAL(dev->ops->truncate(dev, f.df, leg * 50 + 50), 0);
            CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), 0);
            close_on(dev, &f);
        }
        f.io->ops->unlink(f.io, path);
    }
}

/* Writes on and on; tells after each batch how many slots are written. */
static void write_until_killed(const char *path, int tell)
{
    struct suite_file f;
    if (open_on(vex_suite_dev, path, true, &f) != 0)
        _exit(1);
    for (uint32_t first = 0;; first += 7) {
        uint32_t done = first + 7;
        if (fill_on(vex_suite_dev, &f, first, 7, 4) != 0 || write(tell, &done, sizeof done) != sizeof done)
            _exit(1);
    }
}

static void test_killed_writer(void)
{
    for (uint32_t round = 0; round < (suite_takes(1) ? 5 : 2); round++) {
        struct vex_dev *reader = round % 2 == 0 ? vex_suite_dev : vex_dev_embed_new();
        char path[SUITE_PATH_MAX];
        uint32_t told = 0, last = 0;
        int ends[2], status;
        suite_path(path);
        CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
        pid_t child = fork();
        CU_ASSERT_FATAL(child >= 0);
        if (child == 0)
            write_until_killed(path, ends[1]);
        close(ends[1]);
        while (told < 100 + round * 77 && read(ends[0], &told, sizeof told) == sizeof told)
            last = told;
        kill(child, SIGKILL);
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        CU_ASSERT(WIFSIGNALED(status));
        while (read(ends[0], &told, sizeof told) == sizeof told)
            last = told;
        close(ends[0]);
        CU_ASSERT(last >= 100);
        struct suite_file f;
        CU_ASSERT_EQUAL_FATAL(open_on(reader, path, false, &f), 0);
        CU_ASSERT(f.layout.slots >= last);
        CU_ASSERT_EQUAL(count_wrong(reader, &f, 0, last, 4), 0);
        CU_ASSERT_EQUAL(fill_on(reader, &f, last, 40, 5), 0);
        CU_ASSERT_EQUAL(count_wrong(reader, &f, last, 40, 5), 0);
        CU_ASSERT_EQUAL(count_wrong(reader, &f, 0, last, 4), 0);
        close_on(reader, &f);
        f.io->ops->unlink(f.io, path);
    }
}

/* The longest file that the process may make: a write across the limit leaves the length as it was. */
static void test_file_size_limit(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    struct rlimit before, tight;
    suite_fill(&f, 0, 10, 0);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 4096 + 20 * 32 + 5;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int across = suite_fill_raw(&f, 10, 50, 1), over = suite_fill_raw(&f, 5, 50, 1);
    int beyond = suite_fill_raw(&f, 1000, 1, 1), fits = suite_fill_raw(&f, 10, 10, 2);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    CU_ASSERT(across < 0 && over < 0 && beyond < 0);
    CU_ASSERT_EQUAL(fits, 0);
    CU_ASSERT_EQUAL(vex_io_size(f.io, f.file), 4096 + 20 * 32);
    suite_expect(&f, 0, 5, 0);
    suite_expect(&f, 10, 10, 2);
    suite_fill(&f, 20, 50, 3);
    suite_expect(&f, 20, 50, 3);
    suite_close(&f);
}

void suite_add_sharing_tests(CU_pSuite suite)
{
    CU_ADD_TEST(suite, test_two_openers);
    CU_ADD_TEST(suite, test_handed_over);
    CU_ADD_TEST(suite, test_killed_writer);
    CU_ADD_TEST(suite, test_file_size_limit);
}
