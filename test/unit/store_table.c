/* Tables: growth, dirty pages, private changes, damage. On real files; failures and power cuts are other
 * tests' matter. */
#include "engine/store/table.h"

#include <CUnit/Basic.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/store/checkpoint.h"
#include "lib/sim_io.h"

#define KIND   7u
#define STRIDE 12u

static struct vex_err err;
static struct vex_io *io;
static char dir[64], path[128];
static struct vex_table table;

static void begin(void)
{
    strcpy(dir, "/tmp/vex-table-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/t.tbl", dir);
    io = vex_io_posix();
    CU_ASSERT_EQUAL_FATAL(vex_table_open(&table, io, path, KIND, STRIDE, 0, &err), 0);
}

static void end(void)
{
    vex_table_close(&table);
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, dir, &err), 0);
}

static int save(uint64_t seq)
{
    struct vex_table *tables[] = {&table};
    struct vex_checkpoint checkpoint = {io, dir, tables, 1, VEX_STR("m"), seq};
    return vex_checkpoint_write(&checkpoint, &err);
}

static int reopen(uint64_t pages)
{
    vex_table_close(&table);
    return vex_table_open(&table, io, path, KIND, STRIDE, pages, &err);
}

static void put(uint32_t index, uint32_t value)
{
    memcpy(vex_table_touch(&table, index), &value, sizeof value);
}

static uint32_t get(uint32_t index)
{
    uint32_t value;
    memcpy(&value, vex_table_at(&table, index), sizeof value);
    return value;
}

static void poke(off_t at, char bits)
{
    char byte;
    int fd = open(path, O_RDWR);
    CU_ASSERT_FATAL(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= bits;
    CU_ASSERT(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

static void test_empty_costs_nothing(void)
{
    struct stat st;

    begin();
    CU_ASSERT(table.base == NULL && table.dirty == NULL && table.reserved == 0);
    CU_ASSERT_EQUAL(vex_table_capacity(&table), 0);
    CU_ASSERT(stat(path, &st) != 0);
    CU_ASSERT_EQUAL(table.per_page, 4032 / STRIDE);
    CU_ASSERT_EQUAL(vex_table_grow(&table, 0), 0);
    CU_ASSERT_PTR_NULL(table.base);
    end();
}

static void test_grow_and_touch(void)
{
    begin();
    CU_ASSERT_EQUAL(vex_table_grow(&table, 337), 0);
    CU_ASSERT_EQUAL(table.pages, 2);
    CU_ASSERT_EQUAL(table.dirty_count, 2); /* new pages have to be written */
    for (uint32_t i = 0; i < 672; i++)
        CU_ASSERT_EQUAL(get(i), 0);
    for (uint32_t i = 0; i < 672; i++)
        put(i, i * 3 + 1);
    CU_ASSERT_EQUAL(vex_table_grow(&table, 100000), 0);
    for (uint32_t i = 0; i < 672; i++)
        CU_ASSERT_EQUAL(get(i), i * 3 + 1);
    CU_ASSERT_EQUAL(get(99999), 0);
    CU_ASSERT_EQUAL(vex_table_grow(&table, (uint64_t)UINT32_MAX + 1), VEX_ENO_MEMORY);
    CU_ASSERT_EQUAL(table.pages, (100000 + 335) / 336);
    end();
}

static void test_private_until_checkpoint(void)
{
    begin();
    CU_ASSERT_EQUAL(vex_table_grow(&table, 1000), 0);
    put(0, 1);
    put(999, 2);
    CU_ASSERT_EQUAL(save(1), 0);
    CU_ASSERT(table.dirty_count == 0 && table.on_disk == 3);
    CU_ASSERT(get(0) == 1 && get(999) == 2);
    put(0, 5);
    CU_ASSERT_EQUAL(table.dirty_count, 1);
    put(1, 6);
    CU_ASSERT_EQUAL(table.dirty_count, 1);
    CU_ASSERT_EQUAL(reopen(3), 0);
    CU_ASSERT(get(0) == 1 && get(1) == 0 && get(999) == 2);
    put(400, 9);
    CU_ASSERT_EQUAL(vex_table_grow(&table, 2000), 0);
    put(1999, 10);
    CU_ASSERT_EQUAL(save(2), 0);
    CU_ASSERT_EQUAL(reopen(6), 0);
    CU_ASSERT(get(0) == 1 && get(400) == 9 && get(999) == 2 && get(1999) == 10);
    end();
}

/* The range outgrows its address space: what was dirty, clean and new is all there. */
static void test_move(void)
{
    begin();
    vex_table_close(&table);
    CU_ASSERT_EQUAL(vex_table_open(&table, io, path, KIND, 4032, 0, &err), 0);
    CU_ASSERT_EQUAL(vex_table_grow(&table, 10), 0);
    put(3, 33);
    put(4, 44);
    CU_ASSERT_EQUAL(save(1), 0);
    put(4, 45);
    char *before = table.base;
    CU_ASSERT_EQUAL(vex_table_grow(&table, 20), 0);
    put(15, 55);
    CU_ASSERT_EQUAL_FATAL(vex_table_grow(&table, 66000), 0);
    CU_ASSERT(table.base != before && table.reserved > 256u << 20);
    CU_ASSERT(get(3) == 33 && get(4) == 45 && get(15) == 55 && get(65999) == 0);
    vex_table_clear(&table);
    CU_ASSERT_EQUAL(vex_table_grow(&table, 20), 0);
    CU_ASSERT(get(3) == 0 && get(4) == 0 && get(15) == 0);
    end();
}

static void test_clear(void)
{
    struct stat st;

    begin();
    CU_ASSERT_EQUAL(vex_table_grow(&table, 2000), 0);
    put(5, 1);
    put(1500, 2);
    CU_ASSERT_EQUAL(save(1), 0);
    put(6, 1);
    vex_table_clear(&table);
    CU_ASSERT(table.pages == 0 && table.dirty_count == 0);
    CU_ASSERT_EQUAL(vex_table_grow(&table, 400), 0);
    CU_ASSERT(get(5) == 0 && get(6) == 0);
    put(7, 3);
    CU_ASSERT_EQUAL(save(2), 0);
    CU_ASSERT(stat(path, &st) == 0 && st.st_size == 2 * VEX_PAGE); /* the file becomes shorter too */
    CU_ASSERT_EQUAL(reopen(2), 0);
    CU_ASSERT(get(5) == 0 && get(7) == 3);
    end();
}

static void test_damage(void)
{
    begin();
    CU_ASSERT_EQUAL(vex_table_grow(&table, 1000), 0);
    for (uint32_t i = 0; i < 1000; i++)
        put(i, i);
    CU_ASSERT_EQUAL(save(1), 0);
    for (off_t at = 0; at < 3 * VEX_PAGE; at += at % VEX_PAGE >= VEX_PAGE_ITEMS ? 1 : 61) {
        poke(at, 0x40);
        CU_ASSERT_EQUAL(reopen(3), VEX_ECORRUPT);
        poke(at, 0x40);
        char text[32];
        snprintf(text, sizeof text, "page %ld", (long)(at / VEX_PAGE));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, text));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, path));
    }
    CU_ASSERT_EQUAL(reopen(4), VEX_ECORRUPT); /* shorter than the manifest says */
    CU_ASSERT_EQUAL(reopen(UINT64_MAX / 2), VEX_ECORRUPT);
    CU_ASSERT_EQUAL(reopen(2), 0); /* longer is fine */
    vex_table_close(&table);
    CU_ASSERT_EQUAL(vex_table_open(&table, io, path, KIND + 1, STRIDE, 3, &err), VEX_ECORRUPT);
    CU_ASSERT_EQUAL(truncate(path, 3 * VEX_PAGE - 1), 0);
    CU_ASSERT_EQUAL(vex_table_open(&table, io, path, KIND, STRIDE, 3, &err), VEX_ECORRUPT);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(vex_table_open(&table, io, path, KIND, STRIDE, 3, &err), VEX_ECORRUPT);
    end();
}

/* Pages that changed places are found although each is sound. */
static void test_swapped_pages(void)
{
    char a[VEX_PAGE], b[VEX_PAGE];

    begin();
    CU_ASSERT_EQUAL(vex_table_grow(&table, 1000), 0);
    CU_ASSERT_EQUAL(save(1), 0);
    int fd = open(path, O_RDWR);
    CU_ASSERT_FATAL(pread(fd, a, sizeof a, 0) == VEX_PAGE && pread(fd, b, sizeof b, VEX_PAGE) == VEX_PAGE);
    CU_ASSERT(pwrite(fd, b, sizeof b, 0) == VEX_PAGE && pwrite(fd, a, sizeof a, VEX_PAGE) == VEX_PAGE);
    close(fd);
    CU_ASSERT_EQUAL(reopen(3), VEX_ECORRUPT);
    end();
}

static void test_bad_stride(void)
{
    struct vex_table odd;

    begin();
    CU_ASSERT_EQUAL(vex_table_open(&odd, io, path, KIND, 0, 0, &err), VEX_EINTERNAL);
    CU_ASSERT_EQUAL(vex_table_open(&odd, io, path, KIND, 4033, 0, &err), VEX_EINTERNAL);
    end();
}

/* A sector that can't be read is an error at opening, not a signal later. */
static void test_unreadable(void)
{
    struct vex_sim *sim = vex_sim_new(1);
    struct vex_table *tables[] = {&table};
    struct vex_checkpoint checkpoint = {vex_sim_io(sim), "/x", tables, 1, VEX_STR("m"), 1};

    CU_ASSERT_EQUAL(vex_table_open(&table, vex_sim_io(sim), "/x/t.tbl", KIND, STRIDE, 0, &err), 0);
    CU_ASSERT_EQUAL(vex_table_grow(&table, 1000), 0);
    CU_ASSERT_EQUAL(vex_checkpoint_write(&checkpoint, &err), 0);
    vex_table_close(&table);
    vex_sim_fail(sim, VEX_SIM_PREAD, 1, -5, false);
    CU_ASSERT_EQUAL(vex_table_open(&table, vex_sim_io(sim), "/x/t.tbl", KIND, STRIDE, 3, &err), VEX_EIO);
    vex_sim_fail_clear(sim);
    CU_ASSERT_EQUAL(vex_table_open(&table, vex_sim_io(sim), "/x/t.tbl", KIND, STRIDE, 3, &err), 0);
    vex_table_close(&table);
    vex_sim_free(sim);
}

/* Pages that are gone behind the map are an error too. */
static void test_cut_behind_map(void)
{
    begin();
    CU_ASSERT_EQUAL(vex_table_grow(&table, 1000), 0);
    CU_ASSERT_EQUAL(save(1), 0);
    vex_table_close(&table);
    CU_ASSERT_EQUAL(vex_table_map(&table, io, path, KIND, STRIDE, 3, &err), 0);
    CU_ASSERT_EQUAL(vex_table_verify(&table, NULL, NULL, &err), 0);
    CU_ASSERT_EQUAL(vex_table_verify_range(&table, 2, UINT64_MAX, NULL, NULL, &err), 0);
    CU_ASSERT_EQUAL(truncate(path, VEX_PAGE), 0);
    CU_ASSERT_EQUAL(vex_table_verify_range(&table, 0, 1, NULL, NULL, &err), 0);
    CU_ASSERT_EQUAL(vex_table_verify(&table, NULL, NULL, &err), VEX_ECORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "page 1"));
    end();
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("table", NULL, NULL);
    CU_ADD_TEST(suite, test_empty_costs_nothing);
    CU_ADD_TEST(suite, test_grow_and_touch);
    CU_ADD_TEST(suite, test_private_until_checkpoint);
    CU_ADD_TEST(suite, test_move);
    CU_ADD_TEST(suite, test_clear);
    CU_ADD_TEST(suite, test_damage);
    CU_ADD_TEST(suite, test_swapped_pages);
    CU_ADD_TEST(suite, test_cut_behind_map);
    CU_ADD_TEST(suite, test_bad_stride);
    CU_ADD_TEST(suite, test_unreadable);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
