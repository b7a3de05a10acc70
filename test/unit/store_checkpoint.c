/* Checkpoints: what is written and read back, failing calls at every place, full disks, damaged and stale
 * files. Power cuts are the matter of test/sim/point_checkpoint.c. */
#include "engine/store/checkpoint.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "lib/sim_io.h"

#define DIR   "/d/c"
#define COUNT 2500u /* items of a table: three pages */

static struct vex_err err;
static struct vex_sim *sim;
static struct vex_io *io;
static struct vex_table one, two;

static void set(struct vex_table *table, uint32_t index, uint32_t value)
{
    memcpy(vex_table_touch(table, index), &value, sizeof value);
}

static uint32_t get(const struct vex_table *table, uint32_t index)
{
    uint32_t value;
    memcpy(&value, vex_table_at(table, index), sizeof value);
    return value;
}

/* State n: every item of both tables can be told from other states, some pages stay the same. */
static void make_state(uint32_t n)
{
    CU_ASSERT_FATAL(vex_table_grow(&one, COUNT + n * 500) == 0 && vex_table_grow(&two, COUNT) == 0);
    set(&one, 0, n);
    for (uint32_t i = COUNT; i < COUNT + n * 500; i++)
        set(&one, i, n + i);
    set(&two, COUNT - 1, n);
}

static bool is_state(uint32_t n)
{
    if (n == 0)
        return one.pages == 0 && two.pages == 0;
    if (vex_table_capacity(&one) < COUNT + n * 500 || vex_table_capacity(&two) < COUNT)
        return false;
    for (uint32_t i = COUNT; i < COUNT + n * 500; i++)
        if (get(&one, i) != n + i)
            return false;
    return get(&one, 0) == n && get(&two, COUNT - 1) == n;
}

/* The manifest: state, pages of both. */
static int save(uint32_t n)
{
    struct vex_table *tables[] = {&one, &two};
    uint64_t manifest[] = {n, one.pages, two.pages};
    struct vex_checkpoint checkpoint = {io, DIR, tables, 2, vex_str((const char *)manifest, sizeof manifest),
                                        n};
    return vex_checkpoint_write(&checkpoint, &err);
}

static void close_tables(void)
{
    vex_table_close(&one);
    vex_table_close(&two);
}

/* The state found in *ret; 0: none. */
static int open_tables(uint32_t *ret)
{
    uint64_t manifest[3] = {0};
    struct vex_buf bytes;

    *ret = 0;
    vex_buf_init(&bytes, NULL);
    int r = vex_checkpoint_recover(io, DIR, &bytes, &err);
    if (r == 0 && bytes.len == sizeof manifest)
        memcpy(manifest, bytes.ptr, sizeof manifest);
    else if (r == 0)
        r = VEX_ECORRUPT;
    vex_buf_done(&bytes);
    if (r != 0 && r != VEX_ENOT_FOUND)
        return r;
    *ret = (uint32_t)manifest[0];
    r = vex_table_open(&one, io, DIR "/one.tbl", 1, 4, manifest[1], &err);
    if (r != 0)
        return r;
    r = vex_table_open(&two, io, DIR "/two.tbl", 2, 4, manifest[2], &err);
    if (r != 0)
        vex_table_close(&one);
    return r;
}

static void use(struct vex_sim *other)
{
    sim = other;
    io = vex_sim_io(other);
}

static void begin(void)
{
    uint32_t n;
    use(vex_sim_new(5));
    CU_ASSERT_FATAL(open_tables(&n) == 0 && n == 0);
}

static void end(void)
{
    close_tables();
    vex_sim_free(sim);
}

static bool exists(const char *path)
{
    struct vex_file *file;
    if (vex_io_open(io, path, 0, &file) != 0)
        return false;
    vex_io_close(io, file);
    return true;
}

static void test_round_trip(void)
{
    struct vex_buf bytes;
    uint32_t n;

    begin();
    vex_buf_init(&bytes, NULL);
    CU_ASSERT_EQUAL(vex_checkpoint_recover(io, DIR, &bytes, &err), VEX_ENOT_FOUND);
    for (uint32_t state = 1; state < 6; state++) {
        make_state(state);
        CU_ASSERT_EQUAL(save(state), 0);
        CU_ASSERT(is_state(state) && one.dirty_count == 0 && two.dirty_count == 0);
        CU_ASSERT(exists(DIR "/manifest") && !exists(DIR "/manifest.new") &&
                  !exists(DIR "/checkpoint.journal"));
        if (state % 2 == 0) {
            close_tables();
            CU_ASSERT_FATAL(open_tables(&n) == 0 && n == state);
            CU_ASSERT(is_state(state));
        }
    }
    CU_ASSERT_EQUAL(save(6), 0); /* nothing is dirty */
    end();
}

/* Pages that follow each other are written together. */
static void test_few_large_writes(void)
{
    begin();
    CU_ASSERT_EQUAL_FATAL(vex_table_grow(&one, 2000 * 1008), 0);
    uint64_t writes = vex_sim_calls(sim, VEX_SIM_PWRITE), syncs = vex_sim_calls(sim, VEX_SIM_DATASYNC);
    CU_ASSERT_EQUAL(save(1), 0);
    CU_ASSERT(vex_sim_calls(sim, VEX_SIM_PWRITE) - writes <= 4);
    CU_ASSERT(vex_sim_calls(sim, VEX_SIM_DATASYNC) - syncs <= 3);
    end();
}

/* One call after the other fails, once or from then on. The tables in memory stay right, what a restart finds
 * is one of both states, and the next checkpoint succeeds. */
static void fail_everywhere(enum vex_sim_call call, int error, bool sticky)
{
    for (uint64_t nth = 1;; nth++) {
        uint32_t found, again;
        begin();
        make_state(1);
        CU_ASSERT_EQUAL_FATAL(save(1), 0);
        make_state(2);
        uint64_t calls = vex_sim_calls(sim, call);
        vex_sim_fail(sim, call, nth, error, sticky);
        int r = save(2);
        bool reached = vex_sim_calls(sim, call) - calls >= nth;
        vex_sim_fail_clear(sim);
        CU_ASSERT(is_state(2));
        CU_ASSERT(r == 0 || r == vex_err_errno(-error));
        struct vex_sim *live = sim, *copy = vex_sim_clone(sim);
        struct vex_table live_one = one, live_two = two;
        use(copy);
        CU_ASSERT_EQUAL_FATAL(open_tables(&found), 0);
        CU_ASSERT((found == 1 || found == 2) && is_state(found) && (r != 0 || found == 2));
        close_tables();
        vex_sim_free(copy);
        use(live);
        one = live_one;
        two = live_two;
        make_state(3);
        CU_ASSERT_EQUAL(save(3), 0);
        CU_ASSERT(is_state(3));
        close_tables();
        CU_ASSERT_EQUAL_FATAL(open_tables(&again), 0);
        CU_ASSERT(again == 3 && is_state(3));
        end();
        if (!reached)
            break;
    }
}

static void test_failing_calls(void)
{
    static const enum vex_sim_call calls[] = {
        VEX_SIM_OPEN,   VEX_SIM_PREAD,  VEX_SIM_PWRITE,  VEX_SIM_DATASYNC, VEX_SIM_TRUNCATE,
        VEX_SIM_RENAME, VEX_SIM_UNLINK, VEX_SIM_DIRSYNC, VEX_SIM_ALLOCATE, VEX_SIM_MKDIR};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        fail_everywhere(calls[i], -EIO, false);
        fail_everywhere(calls[i], -EIO, true);
    }
    fail_everywhere(VEX_SIM_PWRITE, -ENOSPC, true);
    fail_everywhere(VEX_SIM_ALLOCATE, -ENOSPC, true);
    fail_everywhere(VEX_SIM_MAP, -ENOMEM, true); /* pages then stay private */
}

/* Any amount of room: without enough the old checkpoint stands, and after the commit point nothing more is
 * needed. */
static void test_full_disk(void)
{
    bool refused = false, done = false;

    for (uint64_t room = 0; room < 160 << 10; room += 4096) {
        uint32_t found;
        begin();
        make_state(1);
        CU_ASSERT_EQUAL_FATAL(save(1), 0);
        make_state(2);
        vex_sim_capacity(sim, vex_sim_used(sim) + room + 1);
        int r = save(2);
        CU_ASSERT(r == 0 || r == VEX_ENO_SPACE);
        refused |= r != 0;
        done |= r == 0;
        close_tables();
        CU_ASSERT_EQUAL_FATAL(open_tables(&found), 0); /* on the full disk */
        CU_ASSERT_EQUAL(found, r == 0 ? 2 : 1);
        CU_ASSERT(is_state(found));
        end();
    }
    CU_ASSERT(refused && done);
}

/* The files as they are when the process dies after `index` operations of the second checkpoint. */
static struct vex_sim *killed_at(struct vex_sim *recorded, size_t index)
{
    return vex_sim_clone_at(recorded, index, VEX_SIM_KILL, 1);
}

static int64_t size_of(const char *path)
{
    struct vex_file *file;
    if (vex_io_open(io, path, 0, &file) != 0)
        return -1;
    int64_t size = vex_io_size(io, file);
    vex_io_close(io, file);
    return size;
}

/* Decay of the journal and the manifest at every stage: refused, or one of both states; never a mixture. */
static void test_decay(void)
{
    static const char *const paths[] = {DIR "/checkpoint.journal", DIR "/manifest", DIR "/manifest.new",
                                        DIR "/one.tbl"};
    unsigned refused = 0, old = 0, new = 0;

    begin();
    make_state(1);
    CU_ASSERT_EQUAL_FATAL(save(1), 0);
    vex_sim_record(sim);
    make_state(2);
    CU_ASSERT_EQUAL_FATAL(save(2), 0);
    close_tables();
    struct vex_sim *recorded = sim;
    for (size_t index = 0; index <= vex_sim_op_count(recorded); index++) {
        for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
            use(killed_at(recorded, index));
            int64_t size = size_of(paths[p]);
            vex_sim_free(sim);
            for (int64_t at = 0; at < size; at += at < 200 ? 3 : 509) {
                uint32_t found;
                use(killed_at(recorded, index));
                CU_ASSERT_EQUAL_FATAL(vex_sim_flip(sim, paths[p], (uint64_t)at, 0x20), 0);
                int r = open_tables(&found);
                CU_ASSERT(r == VEX_ECORRUPT || (r == 0 && (found == 1 || found == 2) && is_state(found)));
                refused += r != 0;
                old += r == 0 && found == 1;
                new += r == 0 && found == 2;
                if (r == 0)
                    close_tables();
                vex_sim_free(sim);
            }
        }
    }
    CU_ASSERT(refused > 0 && old > 0 && new > 0);
    use(recorded);
    vex_sim_free(sim);
}

static void copy_file(struct vex_io *from, const char *path, const char *to)
{
    struct vex_buf bytes;
    struct vex_file *file;

    vex_buf_init(&bytes, NULL);
    CU_ASSERT_EQUAL_FATAL(vex_file_read(from, path, 1 << 24, &bytes, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, to, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &file), 0);
    CU_ASSERT_EQUAL(vex_io_pwrite(io, file, bytes.ptr, bytes.len, 0), 0);
    vex_io_close(io, file);
    vex_buf_done(&bytes);
}

/* A complete journal of an older checkpoint comes back: it is ignored, by opening and by the next checkpoint.
 * */
static void test_stale_journal(void)
{
    uint32_t found;

    begin();
    make_state(1);
    vex_sim_record(sim);
    CU_ASSERT_EQUAL_FATAL(save(1), 0);
    struct vex_sim *killed = NULL;
    for (size_t index = 0; index <= vex_sim_op_count(sim); index++) {
        struct vex_sim *next = killed_at(sim, index), *here = sim;
        use(next);
        bool whole = size_of(DIR "/checkpoint.journal") > 0;
        use(here);
        if (killed != NULL && !whole) {
            vex_sim_free(next);
            break;
        }
        if (killed != NULL)
            vex_sim_free(killed);
        killed = whole ? next : NULL;
        if (!whole)
            vex_sim_free(next);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(killed);
    make_state(2);
    CU_ASSERT_EQUAL(save(2), 0);
    copy_file(vex_sim_io(killed), DIR "/checkpoint.journal", DIR "/checkpoint.journal");
    close_tables();
    CU_ASSERT(open_tables(&found) == 0 && found == 2 && is_state(2));
    CU_ASSERT(!exists(DIR "/checkpoint.journal"));
    copy_file(vex_sim_io(killed), DIR "/checkpoint.journal", DIR "/checkpoint.journal");
    make_state(3);
    CU_ASSERT_EQUAL(save(3), 0);
    close_tables();
    CU_ASSERT(open_tables(&found) == 0 && found == 3 && is_state(3));
    vex_sim_free(killed);
    end();
}

/* Journals cut short at every length: the state before. */
static void test_half_journal(void)
{
    begin();
    make_state(1);
    CU_ASSERT_EQUAL_FATAL(save(1), 0);
    vex_sim_record(sim);
    make_state(2);
    CU_ASSERT_EQUAL_FATAL(save(2), 0);
    close_tables();
    struct vex_sim *recorded = sim;
    for (size_t index = 0; index <= vex_sim_op_count(recorded); index++) {
        uint32_t found;
        use(killed_at(recorded, index));
        int64_t size = size_of(DIR "/checkpoint.journal");
        bool applied = open_tables(&found) == 0 && found == 2;
        close_tables();
        vex_sim_free(sim);
        if (size <= 0 || !applied)
            continue;
        for (int64_t cut = 0; cut < size; cut += 1000) {
            struct vex_file *file;
            use(killed_at(recorded, index));
            CU_ASSERT_EQUAL_FATAL(vex_io_open(io, DIR "/checkpoint.journal", VEX_IO_WRITE, &file), 0);
            CU_ASSERT_EQUAL(vex_io_truncate(io, file, (uint64_t)cut), 0);
            vex_io_close(io, file);
            CU_ASSERT(open_tables(&found) == 0 && found == 1 && is_state(1));
            close_tables();
            vex_sim_free(sim);
        }
        break; /* the first moment at which the journal is complete and nothing is applied */
    }
    use(recorded);
    vex_sim_free(sim);
}

/* Bytes of anything in place of the files. */
static void test_garbage(void)
{
    static const char *const paths[] = {DIR "/checkpoint.journal", DIR "/manifest"};
    char bytes[300];
    struct vex_file *file;
    uint32_t found;

    begin();
    make_state(1);
    CU_ASSERT_EQUAL_FATAL(save(1), 0);
    close_tables();
    for (unsigned i = 0; i < 200; i++) {
        for (unsigned b = 0; b < sizeof bytes; b++)
            bytes[b] = (char)((b * (i + 3) * 2654435761u) >> 20);
        memcpy(bytes, i % 2 ? "VEXMANIF\1\0\0" : "VEXJRNL\0\1\0\0", 12);
        struct vex_sim *sound = sim;
        use(vex_sim_clone(sim));
        CU_ASSERT_EQUAL_FATAL(
            vex_io_open(io, paths[i % 2], VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &file), 0);
        CU_ASSERT_EQUAL(vex_io_pwrite(io, file, bytes, i + 1, 0), 0);
        vex_io_close(io, file);
        int r = open_tables(&found);
        CU_ASSERT(i % 2 ? r == VEX_ECORRUPT : r == 0 && is_state(1));
        if (r == 0)
            close_tables();
        vex_sim_free(sim);
        use(sound);
    }
    vex_sim_free(sim);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("checkpoint", NULL, NULL);
    CU_ADD_TEST(suite, test_round_trip);
    CU_ADD_TEST(suite, test_few_large_writes);
    CU_ADD_TEST(suite, test_failing_calls);
    CU_ADD_TEST(suite, test_full_disk);
    CU_ADD_TEST(suite, test_decay);
    CU_ADD_TEST(suite, test_stale_journal);
    CU_ADD_TEST(suite, test_half_journal);
    CU_ADD_TEST(suite, test_garbage);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
