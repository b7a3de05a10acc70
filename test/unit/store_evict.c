/* Pages of tables and heaps leave the process and come back as they were; what is changed and not yet in the file stays. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/store/checkpoint.h"
#include "engine/store/heap.h"
#include "lib/resident.h"
#include "unit/base_suite.h"

#define STRIDE 64u
#define ITEMS  30000u /* some 480 pages */
#define BLOBS  4000u
#define BLOB   500u
#define MUCH   1000 /* KiB */
#define LITTLE 100

static struct vex_err err;
static struct vex_io *io;
static char dir[64], path[128];

static void begin(const char *name)
{
    strcpy(dir, "/tmp/vex-evict-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/%s", dir, name);
    io = vex_io_posix();
}

static void end(void)
{
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, dir, &err), 0);
}

/* ---- tables ---- */

static uint32_t wrong(const struct vex_table *table, const uint32_t *values, uint32_t count)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        found += *(const uint32_t *)vex_table_at(table, i) != values[i];
    return found;
}

static void put(struct vex_table *table, uint32_t *values, uint32_t index, uint32_t value)
{
    values[index] = value;
    memcpy(vex_table_touch(table, index), &value, sizeof value);
}

static int save(struct vex_table *table, uint64_t seq)
{
    struct vex_table *tables[] = {table};
    struct vex_checkpoint checkpoint = {io, dir, tables, 1, VEX_STR("m"), seq};

    return vex_checkpoint_write(&checkpoint, &err);
}

static void test_table(void)
{
    uint32_t *values = calloc(2 * ITEMS, sizeof *values);
    struct vex_table table;

    begin("t.tbl");
    CU_ASSERT_EQUAL_FATAL(vex_table_open(&table, io, path, 7, STRIDE, 0, &err), 0);
    vex_table_evict(&table); /* an empty one */
    CU_ASSERT_EQUAL_FATAL(vex_table_grow(&table, ITEMS), 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        put(&table, values, i, i * 7 + 1);
    vex_table_evict(&table); /* nothing of it is in a file */
    CU_ASSERT_EQUAL(wrong(&table, values, ITEMS), 0);
    CU_ASSERT_EQUAL_FATAL(save(&table, 1), 0);
    CU_ASSERT_EQUAL(wrong(&table, values, ITEMS), 0);
    CU_ASSERT(resident_kib("/t.tbl") > MUCH);
    vex_table_evict(&table);
    CU_ASSERT(resident_kib("/t.tbl") >= 0 && resident_kib("/t.tbl") < LITTLE);
    CU_ASSERT_EQUAL(wrong(&table, values, ITEMS), 0);
    vex_table_close(&table);
    free(values);
    end();
}

/* Changes at the first page, the last of the file, in runs and alone, and pages behind the file. */
static void test_changed_table(void)
{
    uint32_t *values = calloc(2 * ITEMS, sizeof *values), capacity;
    struct vex_table table;

    begin("t.tbl");
    CU_ASSERT_EQUAL_FATAL(vex_table_open(&table, io, path, 7, STRIDE, 0, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_table_grow(&table, ITEMS), 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        put(&table, values, i, i + 5);
    CU_ASSERT_EQUAL_FATAL(save(&table, 1), 0);
    capacity = (uint32_t)vex_table_capacity(&table);
    put(&table, values, 0, 11);
    put(&table, values, ITEMS - 1, 12);
    put(&table, values, ITEMS / 2, 13);
    for (uint32_t i = 5000; i < 6000; i++)
        put(&table, values, i, i);
    CU_ASSERT_EQUAL_FATAL(vex_table_grow(&table, ITEMS + ITEMS / 2), 0);
    for (uint32_t i = capacity; i < ITEMS + ITEMS / 2; i++)
        put(&table, values, i, i * 3);
    CU_ASSERT_EQUAL(wrong(&table, values, ITEMS + ITEMS / 2), 0);
    CU_ASSERT(resident_kib("/t.tbl") > MUCH);
    vex_table_evict(&table);
    CU_ASSERT(resident_kib("/t.tbl") < LITTLE + 1000 * (int)STRIDE / 1024 + 3 * 4 + 8);
    CU_ASSERT_EQUAL(wrong(&table, values, ITEMS + ITEMS / 2), 0);
    CU_ASSERT_EQUAL_FATAL(save(&table, 2), 0);
    vex_table_evict(&table);
    CU_ASSERT(resident_kib("/t.tbl") < LITTLE);
    CU_ASSERT_EQUAL(wrong(&table, values, ITEMS + ITEMS / 2), 0);
    vex_table_close(&table);
    free(values);
    end();
}

/* ---- heaps ---- */

static struct vex_str blob(uint32_t number, char bytes[BLOB])
{
    for (uint32_t i = 0; i < BLOB; i++)
        bytes[i] = (char)(number * 31 + i);
    return vex_str(bytes, BLOB);
}

static uint32_t wrong_blobs(struct vex_heap *heap, const uint64_t *at, uint32_t count)
{
    char bytes[BLOB];
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        found += !vex_str_eq(vex_heap_get(heap, at[i], BLOB), blob(i, bytes));
    return found;
}

static void put_blobs(struct vex_heap *heap, uint64_t *at, uint32_t from, uint32_t to)
{
    char bytes[BLOB];

    for (uint32_t i = from; i < to; i++)
        CU_ASSERT_EQUAL_FATAL(vex_heap_put(heap, blob(i, bytes), &at[i]), 0);
    CU_ASSERT_EQUAL_FATAL(vex_heap_flush(heap), 0);
    CU_ASSERT_EQUAL_FATAL(vex_heap_remap(heap), 0);
}

static void test_heap(void)
{
    uint64_t at[2 * BLOBS];
    struct vex_heap *heap;

    begin("payload.heap");
    CU_ASSERT_EQUAL_FATAL(vex_heap_open(io, path, vex_str(NULL, 0), &heap, &err), 0);
    vex_heap_evict(heap);
    put_blobs(heap, at, 0, BLOBS);
    CU_ASSERT_EQUAL(wrong_blobs(heap, at, BLOBS), 0);
    CU_ASSERT(resident_kib("/payload.heap") > MUCH);
    vex_heap_evict(heap);
    CU_ASSERT(resident_kib("/payload.heap") >= 0 && resident_kib("/payload.heap") < LITTLE);
    CU_ASSERT_EQUAL(wrong_blobs(heap, at, BLOBS), 0);
    put_blobs(heap, at, BLOBS, 2 * BLOBS);
    vex_heap_evict(heap);
    CU_ASSERT(resident_kib("/payload.heap") < LITTLE);
    CU_ASSERT_EQUAL(wrong_blobs(heap, at, 2 * BLOBS), 0);
    vex_heap_close(heap);
    end();
}

static CU_TestInfo tests[] = {
    {"a table as in its file", test_table},
    {"a table that is changed", test_changed_table},
    {"a heap", test_heap},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return run_suite("evict", tests);
}
