/* Growing memory on huge pages: what is in it stays, what is new is zero, and it takes no more memory than what is written. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/index/huge.h"
#include "lib/resident.h"
#include "unit/base_suite.h"

#define MIB  ((size_t)1 << 20)
#define KIB  ((size_t)1 << 10)
#define MOST (24 * MIB)

static char value_at(size_t at)
{
    return (char)(at * 2654435761u >> 13 | 1);
}

/* The first `size` bytes are ours, the rest up to `end` is zero. */
static size_t wrong(const struct vex_huge *huge, size_t size, size_t end)
{
    size_t found = 0;

    for (size_t at = 0; at < end; at++)
        found += huge->base[at] != (at < size ? value_at(at) : 0);
    return found;
}

static char *spare; /* each piece makes its own */

static void test_growing(void)
{
    struct vex_huge huge = {0};

    for (size_t size = 100 * KIB, before = 0; size < MOST; before = size, size += size / 8) {
        CU_ASSERT_FATAL(vex_huge_grow(&huge, size));
        CU_ASSERT(huge.size >= size && (size_t)huge.base % (2 * MIB) == 0);
        CU_ASSERT_EQUAL(wrong(&huge, before, huge.size < before + MIB ? huge.size : before + MIB), 0);
        for (size_t at = before; at < size; at++)
            huge.base[at] = value_at(at);
        CU_ASSERT_EQUAL(wrong(&huge, size, size), 0);
    }
    vex_huge_free(&huge);
}

/* It moves when it outgrows the addresses. */
static void test_moving(void)
{
    struct vex_huge huge = {0};
    char *base;

    CU_ASSERT_FATAL(vex_huge_grow(&huge, 3 * MIB));
    for (size_t at = 0; at < 3 * MIB; at++)
        huge.base[at] = value_at(at);
    base = huge.base;
    CU_ASSERT_FATAL(vex_huge_grow(&huge, huge.reserved + 1));
    CU_ASSERT(huge.base != base);
    CU_ASSERT_EQUAL(wrong(&huge, 3 * MIB, 6 * MIB), 0);
    vex_huge_free(&huge);
    CU_ASSERT_FALSE(vex_huge_grow(&huge, SIZE_MAX / 2));
    CU_ASSERT_PTR_NULL(huge.base);
}

static long resident(const struct vex_huge *huge)
{
    return resident_of(NULL, huge->base, huge->base + huge->reserved);
}

static void test_no_more_than_needed(void)
{
    const size_t size = 5 * MIB;
    struct vex_huge huge = {0};

    CU_ASSERT_FATAL(vex_huge_grow(&huge, size));
    CU_ASSERT(resident(&huge) < 100);
    huge.base[size - 1] = 1; /* of a part of 2 MiB that is not filled */
    CU_ASSERT(resident(&huge) < 100);
    for (size_t at = 0; at < size; at++)
        huge.base[at] = value_at(at);
    CU_ASSERT(resident(&huge) >= (long)(size / KIB) && resident(&huge) < (long)(size / KIB) + 100);
    vex_huge_free(&huge);
}

/* A file's pages, taken off it bit by bit, then grown on. */
static void test_mapping(void)
{
    const size_t size = 5 * MIB + 12 * KIB;
    char path[] = "/tmp/vex-huge-XXXXXX", *bytes = vex_mem_alloc(size);
    struct vex_io *io = vex_io_posix();
    struct vex_huge huge = {0};
    struct vex_file *file;
    int fd = mkstemp(path);

    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    for (size_t at = 0; at < size; at++)
        bytes[at] = value_at(at);
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, path, VEX_IO_WRITE, &file), 0);
    CU_ASSERT_EQUAL_FATAL(vex_io_pwrite(io, file, bytes, size, 0), 0);
    CU_ASSERT_FATAL(vex_huge_map(&huge, io, file, 0, size));
    CU_ASSERT_EQUAL(wrong(&huge, size, size), 0);
    CU_ASSERT(vex_huge_settle(&huge, &spare));
    CU_ASSERT_EQUAL(wrong(&huge, size, size), 0);
    CU_ASSERT_FATAL(vex_huge_grow(&huge, size + 3 * MIB));
    while (vex_huge_settle(&huge, &spare))
        ;
    CU_ASSERT_EQUAL(huge.settled, huge.mapped);
    CU_ASSERT_EQUAL(wrong(&huge, size, size + 3 * MIB), 0);
    CU_ASSERT_FATAL(vex_huge_grow(&huge, size + 9 * MIB));
    CU_ASSERT_EQUAL(wrong(&huge, size, size + 9 * MIB), 0);
    CU_ASSERT(resident_kib(path) <= 0);
    vex_huge_free(&huge);
    vex_io_close(io, file);
    unlink(path);
    vex_mem_free(bytes);
}

/* Pages that are as the file has them become the file's, others stay; and back. */
static void test_remapping(void)
{
    const size_t size = 5 * MIB + 12 * KIB, changed[] = {0, 4 * KIB + 1, 2 * MIB - 1, 3 * MIB, size - 1};
    char path[] = "/tmp/vex-huge-XXXXXX", *bytes = vex_mem_alloc(size);
    struct vex_io *io = vex_io_posix();
    struct vex_huge huge = {0};
    struct vex_file *file;
    int fd = mkstemp(path);

    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    for (size_t at = 0; at < size; at++)
        bytes[at] = value_at(at);
    CU_ASSERT_FATAL(vex_huge_grow(&huge, size));
    memcpy(huge.base, bytes, size);
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, path, VEX_IO_WRITE, &file), 0);
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        bytes[changed[i]] = (char)~bytes[changed[i]]; /* the file differs there */
    CU_ASSERT_EQUAL_FATAL(vex_io_pwrite(io, file, bytes, size, 4 * KIB), 0);
    CU_ASSERT_FALSE(vex_huge_remap(&huge, MIB, bytes, MIB, io, file, 4 * KIB));   /* no piece begins there */
    CU_ASSERT_FALSE(vex_huge_remap(&huge, 0, bytes, MIB + 1, io, file, 4 * KIB)); /* not whole pages */
    CU_ASSERT_FALSE(vex_huge_remap(&huge, 4 * MIB, bytes, 2 * MIB, io, file, 4 * KIB)); /* beyond its end */
    CU_ASSERT_FALSE(vex_huge_remap(&huge, 16 * MIB, bytes, 4 * KIB, io, file, 4 * KIB));
    for (size_t at = 0; at < size; at += VEX_HUGE_PIECE)
        CU_ASSERT(vex_huge_remap(&huge, at, bytes + at,
                                 size - at < VEX_HUGE_PIECE ? size - at : VEX_HUGE_PIECE, io, file,
                                 4 * KIB + at));
    vex_io_close(io, file);
    CU_ASSERT(anonymous_of(huge.base, huge.base + huge.reserved) <= 100);
    CU_ASSERT_EQUAL(wrong(&huge, size, size), 0);
    for (size_t at = 0; at < MIB; at++) /* it can be written on, in memory alone */
        huge.base[at] = value_at(at);
    CU_ASSERT(vex_huge_settle(&huge, &spare));
    CU_ASSERT(vex_huge_grow(&huge, size + 3 * MIB));
    while (vex_huge_settle(&huge, &spare))
        ;
    CU_ASSERT_EQUAL(wrong(&huge, size, size + 3 * MIB), 0);
    CU_ASSERT(anonymous_of(huge.base, huge.base + huge.reserved) >= (long)(size / KIB));
    CU_ASSERT(resident_kib(path) <= 0);
    vex_huge_free(&huge);
    unlink(path);
    vex_mem_free(bytes);
}

static CU_TestInfo tests[] = {
    {"growing", test_growing},
    {"moving", test_moving},
    {"no more than needed", test_no_more_than_needed},
    {"mapping", test_mapping},
    {"remapping", test_remapping},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return run_suite("huge", tests);
}
