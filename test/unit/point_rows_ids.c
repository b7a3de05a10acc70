/* The map from ids grows: made ready beside readers, put in place at once; what was made ready too early is not used. */
#include <CUnit/Basic.h>
#include <string.h>

#include "engine/point/rows_private.h"
#include "engine/store/checkpoint.h"
#include "lib/sim_io.h"

#define DIR "/c"

static struct vex_err err;
static struct vex_sim *sim;
static struct vex_heap *heap;
static struct vex_rows *rows;

static void open_rows(const struct vex_rows_sizes *sizes)
{
    CU_ASSERT_EQUAL_FATAL(vex_rows_open(vex_sim_io(sim), NULL, DIR, sizes, heap, &rows, &err), 0);
}

static void begin(void)
{
    struct vex_rows_sizes none = {0};

    sim = vex_sim_new(3);
    CU_ASSERT_EQUAL_FATAL(
        vex_heap_open(vex_sim_io(sim), DIR "/payload.heap", (struct vex_str){0}, &heap, &err), 0);
    open_rows(&none);
}

static void end(void)
{
    vex_rows_close(rows);
    vex_heap_close(heap);
    vex_sim_free(sim);
}

static void publish(uint64_t num)
{
    struct vex_row row = {.id = {num, 0}, .id_kind = VEX_ID_NUM, .vectors = 1};
    uint32_t slot;

    CU_ASSERT_FATAL(vex_rows_take(rows, 1, &slot) == 0);
    CU_ASSERT_FATAL(vex_rows_reserve(rows, slot + 1 > rows->slots ? slot + 1 : rows->slots, 1) == 0);
    (void)vex_rows_publish(rows, slot, &row);
}

static uint32_t find(uint64_t num)
{
    struct vex_id id = vex_id_num(num);

    return vex_rows_find(rows, &id);
}

/* As many as the map has room for. */
static uint64_t fill_up(uint64_t from)
{
    while (rows->live_count * 2 < rows->id_places || rows->id_places == 0)
        publish(from++);
    return from;
}

static void checkpoint(uint64_t seq)
{
    struct vex_table *tables[4];
    struct vex_rows_sizes sizes;

    vex_rows_sizes(rows, &sizes);
    struct vex_checkpoint c = {vex_sim_io(sim), DIR, tables, vex_rows_tables(rows, tables),
                               VEX_STR("m"),    seq};
    CU_ASSERT_EQUAL_FATAL(vex_checkpoint_write(&c, &err), 0);
    vex_rows_settle(rows);
    vex_rows_close(rows);
    open_rows(&sizes);
}

static void test_made_ready(void)
{
    begin();
    uint64_t next = fill_up(1), places = rows->id_places;
    CU_ASSERT_EQUAL(vex_rows_prepare(rows, 0), 0);
    CU_ASSERT_EQUAL(rows->next_places, 0);
    CU_ASSERT_EQUAL(vex_rows_prepare(rows, 1), 0);
    CU_ASSERT_EQUAL(rows->next_places, 2 * places);
    CU_ASSERT_EQUAL(rows->id_places, places);
    for (uint64_t n = 1; n < next; n++)
        CU_ASSERT_NOT_EQUAL(find(n), VEX_SLOT_NONE);
    const char *ready = rows->ids_next.base;
    publish(next++);
    CU_ASSERT_PTR_EQUAL(rows->ids.base, ready);
    CU_ASSERT_EQUAL(rows->id_places, 2 * places);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    CU_ASSERT_PTR_NOT_NULL(rows->ids_old.base);
    CU_ASSERT_EQUAL(vex_rows_prepare(rows, 1), 0);
    CU_ASSERT_PTR_NULL(rows->ids_old.base);
    checkpoint(1);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    next = fill_up(next);
    CU_ASSERT_EQUAL(vex_rows_prepare(rows, 5), 0);
    publish(next++);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    checkpoint(2);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    CU_ASSERT_EQUAL(rows->live_count, next - 1);
    end();
}

/* A point came and another went since. */
static void test_made_too_early(void)
{
    begin();
    uint64_t next = fill_up(1);
    CU_ASSERT_EQUAL(vex_rows_prepare(rows, 1), 0);
    CU_ASSERT_NOT_EQUAL(rows->next_places, 0);
    vex_rows_delete(rows, find(1));
    publish(next++);
    publish(next++);
    CU_ASSERT_EQUAL(find(1), VEX_SLOT_NONE);
    for (uint64_t n = 2; n < next; n++)
        CU_ASSERT_NOT_EQUAL(find(n), VEX_SLOT_NONE);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    end();
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("rows: ids", NULL, NULL);
    CU_ADD_TEST(suite, test_made_ready);
    CU_ADD_TEST(suite, test_made_too_early);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
