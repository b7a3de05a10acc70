/* Rows, heap and checkpoints against power loss.
 *
 * A session changes points on a recording simulated disk and checkpoints now and then; some calls fail, some
 * sessions run out of space. Then the power is cut at every operation of the recording under every policy,
 * and what is left is opened. Some of the recovered disks are recorded themselves and cut again: recovery of
 * recovery; on others life goes on until the next cut.
 *
 * Checked: the state is exactly that of one checkpoint, payloads and orders included: none older than the
 * last that had returned before the cut, none newer than the last that had begun; a state once recovered is
 * recovered again. The cases at the end plant faults (a disk that lies, a heap that is not synced, space
 * reused too early) and want to see them caught.
 *
 * VEX_SIM_STATES=N checks N states instead of the short form. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "engine/point/rows.h"
#include "engine/store/checkpoint.h"
#include "lib/sim_io.h"

#define DIR         "/d/c"
#define STATES      20000u
#define POINTS      160u
#define ATTEMPTS    32u
#define RECUT_EVERY 37u
#define AFTER_EVERY 411u
#define ROUNDS      22

enum plant {
    PLANT_NONE,
    PLANT_DATASYNC,
    PLANT_DIRSYNC,
    PLANT_HEAP_UNSYNCED,
    PLANT_EARLY_SETTLE,
};

enum faults {
    FAULTS_NONE,
    FAULTS_ANY,
    FAULTS_JOURNAL, /* only the syncs of journals: what is complete and not known to be on the disk */
};

struct store {
    struct vex_io *io;
    struct vex_heap *heap;
    struct vex_rows *rows;
    uint64_t attempt; /* the checkpoint it was opened from */
};

struct session {
    struct vex_sim *sim;
    struct store store;
    uint64_t first_seed, seed;
    enum plant plant;
    enum faults faults, plan; /* now, and of the session */
    uint64_t version, base;
    /* By attempt to checkpoint since `base`; 0 is what the session began with. */
    uint32_t attempts;
    uint32_t digest[ATTEMPTS];
    size_t begun_op[ATTEMPTS],
        done_op[ATTEMPTS]; /* operations recorded then; done: SIZE_MAX when it failed */
};

static struct vex_err err;
static uint64_t states, violations;
static char first_violation[512];

static uint64_t roll(struct session *session, uint64_t bound)
{
    session->seed = session->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (session->seed >> 33) % bound;
}

/* ---- opening and closing; the manifest is {u64 attempt, sizes, heap state} ---- */

static void close_store(struct store *store)
{
    vex_rows_close(store->rows);
    vex_heap_close(store->heap);
    store->rows = NULL;
    store->heap = NULL;
}

static int open_store(struct vex_io *io, struct store *ret)
{
    struct vex_rows_sizes sizes = {0};
    struct vex_str state = {0};
    struct vex_buf manifest;

    *ret = (struct store){.io = io};
    vex_buf_init(&manifest, NULL);
    int r = vex_checkpoint_recover(io, DIR, &manifest, &err);
    if (r == 0) {
        struct vex_cursor c = vex_cursor(manifest.ptr, manifest.len);
        ret->attempt = vex_cursor_u64(&c);
        const void *at = vex_cursor_bytes(&c, sizeof sizes);
        if (at == NULL)
            r = VEX_ECORRUPT;
        else
            memcpy(&sizes, at, sizeof sizes);
        state = vex_str(c.at, vex_cursor_left(&c));
    } else if (r == VEX_ENOT_FOUND) {
        r = 0;
    }
    if (r == 0)
        r = vex_heap_open(io, DIR "/payload.heap", state, &ret->heap, &err);
    if (r == 0)
        r = vex_rows_open(io, NULL, DIR, &sizes, ret->heap, &ret->rows, &err);
    vex_buf_done(&manifest);
    if (r != 0)
        close_store(ret);
    return r;
}

/* Checksum over all that a user could see; false when something can't be read. */
static bool digest(struct store *store, uint32_t *ret)
{
    struct vex_rows_walk walk;
    uint32_t crc = 0;

    for (int order = 0; order < VEX_ORDER_COUNT; order++) {
        if (vex_rows_walk(store->rows, order, NULL, &walk) != 0)
            return false;
        for (uint32_t slot; (slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE;) {
            const struct vex_row *row = vex_rows_at(store->rows, slot);
            struct vex_id id = vex_rows_id(store->rows, slot);
            struct vex_str blob = vex_heap_get(store->heap, row->blob, row->blob_len);
            if (blob.ptr == NULL || (id.kind == VEX_ID_TEXT && id.text.ptr == NULL))
                return false;
            uint64_t facts[] = {id.kind, row->version, row->birth, row->vectors, row->blob_len, slot};
            crc = vex_crc32c(crc, facts, sizeof facts);
            crc = id.kind == VEX_ID_TEXT ? vex_crc32c(crc, id.text.ptr, id.text.len)
                                         : vex_crc32c(crc, &id.num, 8);
            crc = vex_crc32c(crc, blob.ptr, blob.len);
        }
    }
    *ret = crc;
    return true;
}

/* ---- a session ---- */

static struct vex_id id_of(uint32_t point, char *text)
{
    if (point % 3 == 0)
        return vex_id_num(point);
    int len = sprintf(text, "point-with-a-name-%u", point);
    return (struct vex_id){.kind = VEX_ID_TEXT, .text = vex_str(text, (size_t)len)};
}

static void drop(struct store *store, uint32_t slot)
{
    const struct vex_row *row = vex_rows_at(store->rows, slot);
    vex_heap_free(store->heap, row->blob, row->blob_len);
    if (row->id_kind == VEX_ID_TEXT)
        vex_heap_free(store->heap, row->id[0], (uint32_t)row->id[1]);
}

static int put_point(struct session *session, uint32_t point, struct vex_row *row)
{
    char text[64], blob[2048];
    struct vex_id id = id_of(point, text);
    size_t len = (size_t)(roll(session, 6) == 0 ? roll(session, sizeof blob) : roll(session, 100));

    *row = (struct vex_row){
        .id_kind = (uint8_t)id.kind, .version = ++session->version, .blob_len = (uint32_t)len};
    row->vectors = roll(session, 16);
    for (size_t i = 0; i < len; i++)
        blob[i] = (char)(session->version + i);
    int r = vex_heap_put(session->store.heap, vex_str(blob, len), &row->blob);
    if (r != 0 || id.kind == VEX_ID_NUM) {
        row->id[0] = id.num;
        return r;
    }
    row->id[1] = id.text.len;
    r = vex_heap_put(session->store.heap, id.text, &row->id[0]);
    if (r != 0)
        vex_heap_free(session->store.heap, row->blob, row->blob_len);
    return r;
}

/* A batch, all or nothing: what fails before publishing is given back. */
static void upsert(struct session *session, uint32_t count)
{
    struct store *store = &session->store;
    struct vex_row rows[64];
    uint32_t slots[64], top = 0, put = 0;

    if (vex_rows_take(store->rows, count, slots) != 0)
        return;
    int r = 0;
    while (put < count && (r = put_point(session, (uint32_t)roll(session, POINTS), &rows[put])) == 0)
        put++;
    if (r == 0)
        r = vex_heap_flush(store->heap);
    if (r == 0)
        r = vex_heap_remap(store->heap);
    for (uint32_t i = 0; i < count; i++)
        top = slots[i] >= top ? slots[i] + 1 : top;
    if (r == 0)
        r = vex_rows_reserve(store->rows, top, count);
    if (r != 0) {
        for (uint32_t i = 0; i < put; i++) {
            vex_heap_free(store->heap, rows[i].blob, rows[i].blob_len);
            if (rows[i].id_kind == VEX_ID_TEXT)
                vex_heap_free(store->heap, rows[i].id[0], (uint32_t)rows[i].id[1]);
        }
        vex_rows_untake(store->rows, count, slots);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t older = vex_rows_publish(store->rows, slots[i], &rows[i]);
        if (older != VEX_SLOT_NONE)
            drop(store, older);
    }
}

static void remove_some(struct session *session, uint32_t count)
{
    char text[64];

    for (uint32_t i = 0; i < count; i++) {
        struct vex_id id = id_of((uint32_t)roll(session, POINTS), text);
        uint32_t slot = vex_rows_find(session->store.rows, &id);
        if (slot == VEX_SLOT_NONE)
            continue;
        drop(&session->store, slot);
        vex_rows_delete(session->store.rows, slot);
    }
}

/* The sync of the journal fails (that of manifest.new is the one before), or that of its name. */
static void plan_journal_fault(struct session *session)
{
    if (session->faults == FAULTS_NONE || roll(session, session->faults == FAULTS_JOURNAL ? 2 : 5) != 0)
        return;
    if (roll(session, 2) == 0)
        vex_sim_fail(session->sim, VEX_SIM_DATASYNC, 2, -EIO, false);
    else
        vex_sim_fail(session->sim, VEX_SIM_DIRSYNC, 1, -EIO, false);
}

static void checkpoint(struct session *session)
{
    struct store *store = &session->store;
    struct vex_table *tables[4];
    struct vex_rows_sizes sizes;
    struct vex_buf manifest;
    uint32_t k = session->attempts + 1;

    if (k == ATTEMPTS || (session->plant != PLANT_HEAP_UNSYNCED && vex_heap_sync(store->heap) != 0))
        return;
    CU_ASSERT_FATAL(digest(store, &session->digest[k]));
    session->attempts = k;
    session->begun_op[k] = vex_sim_op_count(session->sim);
    session->done_op[k] = SIZE_MAX;
    vex_buf_init(&manifest, NULL);
    vex_buf_add_u64(&manifest, session->base + k);
    vex_rows_sizes(store->rows, &sizes);
    vex_buf_add(&manifest, &sizes, sizeof sizes);
    vex_heap_state(store->heap, &manifest);
    struct vex_checkpoint write = {.io = store->io, .dir = DIR, .tables = tables, .seq = session->version};
    write.table_count = vex_rows_tables(store->rows, tables);
    write.manifest = vex_buf_str(&manifest);
    plan_journal_fault(session);
    if (vex_checkpoint_write(&write, &err) == 0) {
        session->done_op[k] = vex_sim_op_count(session->sim);
        vex_heap_settle(store->heap);
        vex_rows_settle(store->rows);
    }
    vex_buf_done(&manifest);
}

/* One call in the next few fails; for now or, as a full disk does, until it is cleared. */
static void plan_fault(struct session *session)
{
    static const enum vex_sim_call calls[] = {VEX_SIM_PWRITE, VEX_SIM_DATASYNC, VEX_SIM_ALLOCATE,
                                              VEX_SIM_RENAME, VEX_SIM_TRUNCATE, VEX_SIM_DIRSYNC,
                                              VEX_SIM_UNLINK, VEX_SIM_OPEN};
    enum vex_sim_call call = calls[roll(session, sizeof calls / sizeof *calls)];
    int error = call == VEX_SIM_ALLOCATE || roll(session, 3) == 0 ? -ENOSPC : -EIO;

    vex_sim_fail_clear(session->sim);
    vex_sim_fail(session->sim, call, 1 + roll(session, 5), error, roll(session, 4) == 0);
}

/* The process ends and starts again, without a power cut. */
static void restart(struct session *session)
{
    close_store(&session->store);
    vex_sim_fail_clear(session->sim);
    CU_ASSERT_EQUAL_FATAL(open_store(vex_sim_io(session->sim), &session->store), 0);
}

/* A session on a disk that may hold the leavings of another. */
static void run(struct session *session, struct vex_sim *disk, uint64_t seed, enum plant plant,
                enum faults faults, int rounds)
{
    *session = (struct session){.sim = disk, .first_seed = seed, .seed = seed, .plant = plant};
    session->faults = session->plan = faults;
    if (plant == PLANT_DATASYNC)
        vex_sim_lie(session->sim, VEX_SIM_IGNORE_DATASYNC);
    if (plant == PLANT_DIRSYNC)
        vex_sim_lie(session->sim, VEX_SIM_IGNORE_DIRSYNC);
    CU_ASSERT_EQUAL_FATAL(open_store(vex_sim_io(session->sim), &session->store), 0);
    CU_ASSERT_FATAL(digest(&session->store, &session->digest[0]));
    session->base = session->store.attempt;
    session->version = session->base * 100000;
    vex_sim_record(session->sim);
    for (int round = 0; round < rounds; round++) {
        uint64_t what = roll(session, 20);
        if (faults == FAULTS_ANY && roll(session, 4) == 0)
            plan_fault(session);
        if (what < 10)
            upsert(session, (uint32_t)(1 + roll(session, roll(session, 4) == 0 ? 64 : 6)));
        else if (what < 13)
            remove_some(session, (uint32_t)(1 + roll(session, 12)));
        else if (what < 19)
            checkpoint(session);
        else
            restart(session);
        if (plant == PLANT_EARLY_SETTLE) {
            vex_heap_settle(session->store.heap);
            vex_rows_settle(session->store.rows);
        }
    }
    vex_sim_fail_clear(session->sim);
    session->faults = FAULTS_NONE;
    checkpoint(session);
    close_store(&session->store);
}

/* ---- cutting ---- */

static void violation(const struct session *session, size_t index, int policy, uint64_t seed,
                      const char *what)
{
    if (violations++ == 0)
        snprintf(first_violation, sizeof first_violation,
                 "session %llu operation %zu policy %d seed %llu: %s (%.200s)",
                 (unsigned long long)session->first_seed, index, policy, (unsigned long long)seed, what,
                 err.text);
}

/* Opens a disk; the checkpoint found, or a negative number and a violation. */
static int64_t check(const struct session *session, struct vex_sim *disk, size_t index, int policy,
                     uint64_t seed)
{
    uint64_t oldest = 0, newest = 0;
    struct store store;
    uint32_t found;

    states++;
    for (uint32_t k = 1; k <= session->attempts; k++) {
        if (session->done_op[k] <= index)
            oldest = k;
        if (session->begun_op[k] <= index)
            newest = k;
    }
    oldest += session->base;
    newest += session->base;
    err.text[0] = '\0';
    if (open_store(vex_sim_io(disk), &store) != 0) {
        violation(session, index, policy, seed, "does not open");
        return -1;
    }
    const char *fault = NULL;
    if (store.attempt < oldest || store.attempt > newest)
        fault = "not the last checkpoint";
    else if (vex_rows_check(store.rows, &err) != 0)
        fault = "broken rows";
    else if (!digest(&store, &found) || found != session->digest[store.attempt - session->base])
        fault = "not the state of its checkpoint";
    if (fault != NULL)
        violation(session, index, policy, seed, fault);
    int64_t attempt = fault == NULL ? (int64_t)store.attempt : -1;
    close_store(&store);
    return attempt;
}

/* Recovers while recording, and cuts that at each of its operations. */
static void recut(const struct session *session, struct vex_sim *disk, size_t index, int policy,
                  uint64_t seed)
{
    vex_sim_record(disk);
    int64_t first = check(session, disk, index, policy, seed);
    struct vex_sim *replica = vex_sim_replica(disk);
    size_t count = vex_sim_op_count(disk);

    for (size_t op = 0; op <= count; op++) {
        for (int again = VEX_SIM_LOSE_ALL; again < VEX_SIM_POLICY_COUNT; again += 3) {
            struct vex_sim *cut = vex_sim_crash(replica, again, seed + op);
            int64_t found = check(session, cut, index, policy, seed);
            if (op == count && found != first && first >= 0 && found >= 0)
                violation(session, index, policy, seed, "recovered twice, two states");
            vex_sim_free(cut);
        }
        (void)vex_sim_step(replica, disk);
    }
    vex_sim_free(replica);
}

/* Life after a power cut goes on, until the next one. */
static void go_on_and_cut(struct vex_sim *disk, uint64_t seed)
{
    struct session session;
    run(&session, disk, seed, PLANT_NONE, FAULTS_ANY, 8);
    struct vex_sim *replica = vex_sim_replica(disk);
    size_t count = vex_sim_op_count(disk);

    for (size_t index = 0; index <= count; index++) {
        int policy = (int)((index + seed) % VEX_SIM_POLICY_COUNT);
        struct vex_sim *cut = vex_sim_crash(replica, policy, seed + index);
        (void)check(&session, cut, index, policy, seed + index);
        vex_sim_free(cut);
        (void)vex_sim_step(replica, disk);
    }
    vex_sim_free(replica);
}

static void cut_everywhere(const struct session *session, uint64_t max)
{
    struct vex_sim *replica = vex_sim_replica(session->sim);
    size_t count = vex_sim_op_count(session->sim);

    for (size_t index = 0; index <= count && states < max; index++) {
        for (int policy = 0; policy < VEX_SIM_POLICY_COUNT && states < max; policy++) {
            uint64_t seed = index * 31 + (uint64_t)policy;
            struct vex_sim *cut = vex_sim_crash(replica, policy, seed);
            if (states % AFTER_EVERY == 0 && session->plant == PLANT_NONE)
                go_on_and_cut(cut, states + seed);
            else if (states % RECUT_EVERY == 0 ||
                     (session->plan == FAULTS_JOURNAL && policy == VEX_SIM_KILL && index % 3 == 0))
                recut(session, cut, index, policy, seed);
            else
                (void)check(session, cut, index, policy, seed);
            vex_sim_free(cut);
        }
        (void)vex_sim_step(replica, session->sim);
    }
    vex_sim_free(replica);
}

/* ---- cases ---- */

static void test_power_cuts(void)
{
    const char *wish = getenv("VEX_SIM_STATES");
    uint64_t max = wish != NULL ? strtoull(wish, NULL, 10) : STATES, sessions = 0, checkpoints = 0;

    states = violations = 0;
    for (uint64_t seed = 1; states < max; seed++, sessions++) {
        struct session session;
        run(&session, vex_sim_new(seed), seed, PLANT_NONE, seed % 3 != 0 ? FAULTS_ANY : FAULTS_NONE, ROUNDS);
        cut_everywhere(&session, max);
        checkpoints += session.attempts;
        vex_sim_free(session.sim);
    }
    printf("\n    %llu states, %llu sessions, %llu checkpoints ", (unsigned long long)states,
           (unsigned long long)sessions, (unsigned long long)checkpoints);
    if (violations != 0)
        printf("\n    %llu violations, the first: %s ", (unsigned long long)violations, first_violation);
    CU_ASSERT_EQUAL(violations, 0);
}

static void test_unsynced_journals(void)
{
    states = violations = 0;
    for (uint64_t seed = 5; seed < 9; seed++) {
        struct session session;
        run(&session, vex_sim_new(seed), seed, PLANT_NONE, FAULTS_JOURNAL, 14);
        cut_everywhere(&session, UINT64_MAX);
        vex_sim_free(session.sim);
    }
    printf("\n    %llu states ", (unsigned long long)states);
    if (violations != 0)
        printf("\n    %llu violations, the first: %s ", (unsigned long long)violations, first_violation);
    CU_ASSERT_EQUAL(violations, 0);
}

static void expect_caught(enum plant plant)
{
    states = violations = 0;
    for (uint64_t seed = 1; seed < 40 && violations == 0; seed++) {
        struct session session;
        run(&session, vex_sim_new(seed), seed, plant, FAULTS_NONE, ROUNDS);
        cut_everywhere(&session, UINT64_MAX);
        vex_sim_free(session.sim);
    }
    CU_ASSERT(violations > 0);
}

static void test_caught_datasync(void)
{
    expect_caught(PLANT_DATASYNC);
}

static void test_caught_dirsync(void)
{
    expect_caught(PLANT_DIRSYNC);
}

static void test_caught_heap_unsynced(void)
{
    expect_caught(PLANT_HEAP_UNSYNCED);
}

static void test_caught_early_settle(void)
{
    expect_caught(PLANT_EARLY_SETTLE);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("checkpoints and power cuts", NULL, NULL);
    CU_ADD_TEST(suite, test_power_cuts);
    CU_ADD_TEST(suite, test_unsynced_journals);
    CU_ADD_TEST(suite, test_caught_datasync);
    CU_ADD_TEST(suite, test_caught_dirsync);
    CU_ADD_TEST(suite, test_caught_heap_unsynced);
    CU_ADD_TEST(suite, test_caught_early_settle);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
