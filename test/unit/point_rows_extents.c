/* Slots of groups: points of a group lie in few runs however they arrive, little stays unused, and a store that was opened from a
 * checkpoint takes the very slots that the one which went on takes. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/point/rows.h"
#include "engine/store/checkpoint.h"
#include "lib/sim_io.h"

#define DIR       "/c"
#define BATCH     100u
#define ALLOWANCE 4096u /* slots that may be kept in any collection, and one in SHARE in a larger one */
#define SHARE     8u
#define IDS       20000u

/* ---- stores ---- */

struct store {
    struct vex_sim *sim;
    struct vex_io *io;
    struct vex_heap *heap;
    struct vex_rows *rows;
};

static struct vex_err err;
static uint64_t seed = 1;

static uint32_t roll(uint32_t bound)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % bound);
}

static void open_store(struct store *s, struct vex_sim *sim)
{
    struct vex_rows_sizes sizes = {0};
    struct vex_str state = {0};
    struct vex_buf manifest;

    *s = (struct store){.sim = sim, .io = vex_sim_io(sim)};
    vex_buf_init(&manifest, NULL);
    if (vex_checkpoint_recover(s->io, DIR, &manifest, &err) == 0) {
        memcpy(&sizes, manifest.ptr, sizeof sizes);
        state = vex_str(manifest.ptr + sizeof sizes, manifest.len - sizeof sizes);
    }
    CU_ASSERT_EQUAL_FATAL(vex_heap_open(s->io, DIR "/payload.heap", state, &s->heap, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_rows_open(s->io, NULL, DIR, &sizes, s->heap, &s->rows, &err), 0);
    vex_buf_done(&manifest);
}

static void close_store(struct store *s)
{
    vex_rows_close(s->rows);
    vex_heap_close(s->heap);
    vex_sim_free(s->sim);
}

static void checkpoint(struct store *s)
{
    static uint64_t seq;
    struct vex_table *tables[4];
    struct vex_rows_sizes sizes;
    struct vex_buf manifest;

    CU_ASSERT_EQUAL_FATAL(vex_heap_sync(s->heap), 0);
    vex_rows_sizes(s->rows, &sizes);
    vex_buf_init(&manifest, NULL);
    vex_buf_add(&manifest, &sizes, sizeof sizes);
    vex_heap_state(s->heap, &manifest);
    struct vex_checkpoint write = {.io = s->io, .dir = DIR, .tables = tables, .seq = ++seq};
    write.table_count = vex_rows_tables(s->rows, tables);
    write.manifest = vex_buf_str(&manifest);
    CU_ASSERT_EQUAL_FATAL(vex_checkpoint_write(&write, &err), 0);
    vex_buf_done(&manifest);
    vex_heap_settle(s->heap);
    vex_rows_settle(s->rows);
}

static void put(struct store *s, uint32_t count, const uint32_t *ids, const uint16_t *groups, uint32_t *slots)
{
    uint32_t top = vex_rows_slots(s->rows);

    CU_ASSERT_EQUAL_FATAL(vex_rows_take_grouped(s->rows, count, groups, slots), 0);
    for (uint32_t i = 0; i < count; i++)
        top = slots[i] >= top ? slots[i] + 1 : top;
    CU_ASSERT_EQUAL_FATAL(vex_rows_reserve(s->rows, top, count), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct vex_row row = {.id = {ids[i], 0}, .id_kind = VEX_ID_NUM, .group = groups[i]};

        CU_ASSERT_NOT_EQUAL(vex_rows_at(s->rows, slots[i])->state, VEX_ROW_LIVE);
        (void)vex_rows_publish(s->rows, slots[i], &row);
    }
}

static void take_out(struct store *s, uint32_t num)
{
    struct vex_id id = vex_id_num(num);
    uint32_t slot = vex_rows_find(s->rows, &id);

    if (slot != VEX_SLOT_NONE)
        vex_rows_delete(s->rows, slot);
}

static bool sound(const struct store *s)
{
    bool ok = vex_rows_check(s->rows, &err) == 0;

    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    return ok;
}

/* ---- how they lie ---- */

/* Runs of live slots that a group has, on the average of all groups. */
static double runs_per_group(const struct store *s, uint32_t groups)
{
    uint16_t before = 0;
    uint32_t runs = 0;

    for (uint32_t slot = 0; slot < vex_rows_slots(s->rows); slot++) {
        const struct vex_row *row = vex_rows_at(s->rows, slot);
        uint16_t group = row->state == VEX_ROW_LIVE ? row->group : 0;

        runs += group != 0 && group != before;
        before = group;
    }
    return (double)runs / groups;
}

static uint64_t idle(const struct store *s)
{
    return vex_rows_slots(s->rows) - vex_rows_live_count(s->rows);
}

static bool within_bound(const struct store *s)
{
    uint64_t bound = vex_rows_slots(s->rows) / SHARE;

    return idle(s) <= (bound > ALLOWANCE ? bound : ALLOWANCE);
}

/* Points of `groups` groups in random order, a checkpoint every `every` batches. */
static void load(struct store *s, uint32_t groups, uint32_t each, uint32_t every)
{
    uint32_t count = groups * each, *order = malloc(count * sizeof *order), slots[BATCH], ids[BATCH];
    uint16_t of[BATCH];

    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = roll(i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
    for (uint32_t first = 0; first < count; first += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            ids[i] = order[first + i];
            of[i] = (uint16_t)(1 + ids[i] / each);
        }
        put(s, BATCH, ids, of, slots);
        if (first / BATCH % every == every - 1) {
            checkpoint(s);
            CU_ASSERT(sound(s));
        }
        CU_ASSERT(within_bound(s));
    }
    free(order);
}

static void test_placement(void)
{
    static const struct {
        uint32_t groups, each, every;
        double runs; /* at most */
    } cases[] = {
        {1000, 40, 1000000, 9},  {1000, 40, 20, 9}, {100, 100, 10, 9},
        {400, 100, 1000000, 11}, {4000, 20, 50, 9},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store s;

        open_store(&s, vex_sim_new(7));
        load(&s, cases[i].groups, cases[i].each, cases[i].every);
        CU_ASSERT(sound(&s));
        double runs = runs_per_group(&s, cases[i].groups);
        if (runs > cases[i].runs)
            fprintf(stderr, "%u groups of %u, %.2f runs each, %llu of %u slots unused\n", cases[i].groups,
                    cases[i].each, runs, (unsigned long long)idle(&s), vex_rows_slots(s.rows));
        CU_ASSERT(runs <= cases[i].runs);
        close_store(&s);
    }
}

/* A batch of one group is one run. */
static void test_batch_of_one(void)
{
    uint32_t slots[BATCH], ids[BATCH];
    uint16_t of[BATCH];
    struct store s;

    open_store(&s, vex_sim_new(7));
    load(&s, 50, 10, 2);
    for (uint32_t i = 0; i < BATCH; i++) {
        ids[i] = 5000 + i;
        of[i] = i % 2 == 0 ? 900 : 0;
    }
    put(&s, BATCH, ids, of, slots);
    for (uint32_t i = 2; i < BATCH; i += 2)
        CU_ASSERT_EQUAL(slots[i], slots[i - 2] + 1);
    CU_ASSERT(sound(&s));
    close_store(&s);
}

/* What groups leave behind is taken by others. */
static void test_gone(void)
{
    uint32_t slots[BATCH], ids[BATCH], before;
    uint16_t of[BATCH];
    struct store s;

    open_store(&s, vex_sim_new(7));
    load(&s, 200, 100, 40);
    before = vex_rows_slots(s.rows);
    for (uint32_t i = 0; i < 100 * 100; i++)
        take_out(&s, i);
    checkpoint(&s);
    CU_ASSERT(sound(&s));
    for (uint32_t first = 0; first < 100 * 100; first += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            ids[i] = 100000 + first + i;
            of[i] = (uint16_t)(1000 + roll(300));
        }
        put(&s, BATCH, ids, of, slots);
    }
    CU_ASSERT(within_bound(&s));
    CU_ASSERT(vex_rows_slots(s.rows) - before < ALLOWANCE);
    CU_ASSERT(sound(&s));
    close_store(&s);
}

/* Who asks without groups gets kept slots before the store grows. */
static void test_plain(void)
{
    uint32_t *slots = malloc(IDS * sizeof *slots), grown;
    struct store s;

    open_store(&s, vex_sim_new(7));
    load(&s, 500, 20, 10);
    grown = vex_rows_slots(s.rows);
    uint64_t unused = vex_rows_unused(s.rows);
    CU_ASSERT(unused > 0);
    CU_ASSERT_EQUAL(vex_rows_take(s.rows, 10, slots), 0);
    CU_ASSERT(slots[9] < grown);
    CU_ASSERT_EQUAL(vex_rows_unused(s.rows), unused - 10);
    vex_rows_untake(s.rows, 10, slots);
    CU_ASSERT_EQUAL(vex_rows_unused(s.rows), unused);
    CU_ASSERT(sound(&s));
    free(slots);
    close_store(&s);
}

/* ---- the same again ---- */

static uint32_t draw_batch(uint32_t *ids, uint16_t *groups)
{
    uint32_t count = 1 + roll(roll(4) == 0 ? 400 : 30), one = roll(300);
    bool whole = roll(8) == 0;

    for (uint32_t i = 0; i < count; i++) {
        ids[i] = roll(IDS) * 512 + i; /* no id twice in a batch */
        if (roll(3) == 0)
            ids[i] = roll(40) * 512 + i; /* a new version of a point that likely is there */
        groups[i] = (uint16_t)(roll(10) == 0 ? 0 : 1 + (whole ? one : roll(300)));
    }
    return count;
}

/* Takes what is then given back: it must leave no trace. */
static void stumble(struct store *s)
{
    uint32_t ids[512], slots[512], again[512];
    uint16_t groups[512];
    uint64_t kept = seed, unused = vex_rows_unused(s->rows);
    uint32_t count = draw_batch(ids, groups);

    CU_ASSERT_EQUAL_FATAL(vex_rows_take_grouped(s->rows, count, groups, slots), 0);
    vex_rows_untake(s->rows, count, slots);
    CU_ASSERT_EQUAL(vex_rows_unused(s->rows), unused);
    CU_ASSERT_EQUAL_FATAL(vex_rows_take_grouped(s->rows, count, groups, again), 0);
    CU_ASSERT_EQUAL(memcmp(slots, again, count * sizeof *slots), 0);
    vex_rows_untake(s->rows, count, again);
    CU_ASSERT(sound(s));
    seed = kept;
}

static void delete_some(struct store *a, struct store *b)
{
    for (uint32_t n = roll(200); n > 0; n--) {
        uint32_t slot = roll(vex_rows_slots(a->rows) + 1);

        if (slot >= vex_rows_slots(a->rows) || vex_rows_at(a->rows, slot)->state != VEX_ROW_LIVE)
            continue;
        uint32_t id = (uint32_t)vex_rows_at(a->rows, slot)->id[0];
        take_out(a, id);
        if (b != NULL)
            take_out(b, id);
    }
}

/* The same operations on both; false: slots differ. */
static bool play(struct store *a, struct store *b)
{
    uint32_t ids[512], slots[512], others[512];
    uint16_t groups[512];
    uint32_t count;

    if (roll(6) == 0) {
        delete_some(a, b);
        return true;
    }
    if (roll(3) == 0)
        stumble(a);
    count = draw_batch(ids, groups);
    put(a, count, ids, groups, slots);
    if (b == NULL)
        return true;
    put(b, count, ids, groups, others);
    return memcmp(slots, others, count * sizeof *slots) == 0;
}

static void test_same_again(void)
{
    for (uint32_t round = 0; round < 30; round++) {
        struct store a, b;
        bool same = true;

        seed = 100 + round;
        open_store(&a, vex_sim_new(7));
        for (uint32_t i = 0; i < 40 + round * 3; i++) {
            (void)play(&a, NULL);
            if (roll(15) == 0)
                checkpoint(&a);
        }
        checkpoint(&a);
        open_store(&b, vex_sim_clone(a.sim));
        CU_ASSERT_EQUAL(vex_rows_unused(a.rows), vex_rows_unused(b.rows));
        for (uint32_t i = 0; i < 60 && same; i++) {
            same = play(&a, &b);
            if (i % 20 != 19)
                continue;
            checkpoint(&a);
            if (i != 39) { /* once it is opened anew instead */
                checkpoint(&b);
                continue;
            }
            struct vex_sim *clone = vex_sim_clone(a.sim);
            close_store(&b);
            open_store(&b, clone);
        }
        CU_ASSERT(same);
        CU_ASSERT(sound(&a) && sound(&b));
        close_store(&a);
        close_store(&b);
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("slots of groups", NULL, NULL);
    CU_ADD_TEST(suite, test_placement);
    CU_ADD_TEST(suite, test_batch_of_one);
    CU_ADD_TEST(suite, test_gone);
    CU_ADD_TEST(suite, test_plain);
    CU_ADD_TEST(suite, test_same_again);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
