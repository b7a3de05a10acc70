/* The log: order and number of callbacks, group commit, rotation, release, full disk, failed syncs, damage
 * and salvage. What a power cut leaves is the matter of test/sim/store_wal.c. */
#include "engine/store/wal.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/store/wal_format.h"
#include "lib/sim_io.h"

#define SEGMENT 16384u
#define MAX     4096

static struct vex_err err;
static struct vex_sim *sim;
static struct vex_io *io;
static struct vex_wal *wal;
static struct vex_wal_options options;

/* What the callbacks saw. */
static struct {
    pthread_mutex_t mutex;
    uint64_t ordered, written, durable; /* last sequences */
    unsigned written_count, durable_count, bad_order, refused;
} seen = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void on_ordered(struct vex_wal_entry *entry)
{
    pthread_mutex_lock(&seen.mutex);
    seen.bad_order += entry->seq != seen.ordered + 1;
    seen.ordered = entry->seq;
    entry->op = entry->seq + 1000;
    pthread_mutex_unlock(&seen.mutex);
}

static void on_written(struct vex_wal_entry *entry, int status)
{
    pthread_mutex_lock(&seen.mutex);
    seen.bad_order += entry->seq != seen.written + 1;
    seen.written = entry->seq;
    seen.written_count++;
    seen.refused += status != 0;
    pthread_mutex_unlock(&seen.mutex);
    if (entry->durable == NULL)
        free(entry);
}

static void on_durable(struct vex_wal_entry *entry, int status)
{
    pthread_mutex_lock(&seen.mutex);
    seen.bad_order += entry->seq <= seen.durable || entry->seq > seen.written;
    seen.durable = entry->seq;
    seen.durable_count++;
    seen.refused += status != 0;
    pthread_mutex_unlock(&seen.mutex);
    free(entry);
}

static unsigned callbacks(void)
{
    pthread_mutex_lock(&seen.mutex);
    unsigned n = seen.written_count + seen.durable_count;
    pthread_mutex_unlock(&seen.mutex);
    return n;
}

static const unsigned char *pattern(void)
{
    static unsigned char bytes[1 << 20];
    if (bytes[1] == 0) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)(i * 7 + i / 251);
    }
    return bytes;
}

enum { WAITS = 1, URGENT = 2 };

/* The body of a record is the pattern from its length on, so that a reader can check it. */
static int append(size_t len, unsigned flags)
{
    struct vex_wal_entry *entry = calloc(1, sizeof *entry);
    *entry = (struct vex_wal_entry){
        .kind = (uint16_t)(len % 100),
        .collection = len % 5,
        .body = pattern() + len % 4096,
        .len = len,
        .urgent = (flags & URGENT) != 0,
        .ordered = on_ordered,
        .written = on_written,
        .durable = (flags & WAITS) != 0 ? on_durable : NULL,
    };
    int r = vex_wal_append(wal, entry);
    if (r != 0)
        free(entry);
    return r;
}

static struct {
    uint64_t first, last;
    size_t lens[MAX];
    unsigned count, damaged, bad;
} replayed;
static int stop_at, stop_with; /* the replay fails at the nth record */

static int replay(void *arg, const struct vex_wal_record *record, struct vex_err *e)
{
    (void)arg;
    (void)e;
    if (stop_at > 0 && (int)replayed.count + 1 == stop_at)
        return stop_with;
    if (replayed.first == 0)
        replayed.first = record->seq;
    replayed.bad += replayed.last != 0 && record->seq != replayed.last + 1;
    replayed.bad += record->op != record->seq + 1000;
    replayed.last = record->seq;
    replayed.lens[replayed.count++ % MAX] = record->len;
    replayed.damaged += record->damaged;
    if (!record->damaged)
        replayed.bad += record->kind != record->len % 100 || record->collection != record->len % 5 ||
                        memcmp(record->body, pattern() + record->len % 4096, record->len) != 0;
    return 0;
}

static int open_wal(void)
{
    memset(&replayed, 0, sizeof replayed);
    wal = NULL;
    int r = vex_wal_open(io, &options, replay, NULL, &wal, &err);
    pthread_mutex_lock(&seen.mutex);
    seen.ordered = seen.written = seen.durable = r == 0 ? vex_wal_last(wal) : 0;
    seen.written_count = seen.durable_count = seen.bad_order = seen.refused = 0;
    pthread_mutex_unlock(&seen.mutex);
    return r;
}

static void reopen(void)
{
    vex_wal_close(wal);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
}

static void begin_lazy(uint64_t seed, uint64_t sync_ns)
{
    sim = vex_sim_new(seed);
    io = vex_sim_io(sim);
    options = (struct vex_wal_options){.dir = "/w", .segment_bytes = SEGMENT, .sync_ns = sync_ns};
    CU_ASSERT_EQUAL_FATAL(vex_file_mkdirs(io, "/w", &err), 0);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
}

static void begin(uint64_t seed)
{
    begin_lazy(seed, 2000000);
}

static void end(void)
{
    vex_wal_close(wal);
    CU_ASSERT_EQUAL(replayed.bad, 0);
    CU_ASSERT_EQUAL(seen.bad_order, 0);
    vex_sim_free(sim);
}

static void nap(void)
{
    nanosleep(&(struct timespec){0, 200000}, NULL);
}

/* Waits for a condition; a test that hangs here has failed. */
#define WAIT_FOR(condition)                                                                                  \
    do {                                                                                                     \
        int tries = 100000;                                                                                  \
        while (!(condition) && --tries > 0)                                                                  \
            nap();                                                                                           \
        CU_ASSERT_FATAL(tries > 0);                                                                          \
    } while (0)

static int count_wal(void *arg, const char *name)
{
    *(unsigned *)arg += strstr(name, ".wal") != NULL;
    return 0;
}

static unsigned wal_files(void)
{
    unsigned n = 0;
    CU_ASSERT_EQUAL(io->ops->list(io, options.dir, count_wal, &n), 0);
    return n;
}

/* ---- cases ---- */

static void append_and_reopen_posix(void)
{
    char root[] = "/tmp/vex-wal-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
    io = vex_io_posix();
    options = (struct vex_wal_options){.dir = root, .segment_bytes = 65536, .sync_ns = 1000000};
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    uint64_t records = atomic_load(&vex_metric_values[VEX_METRIC_WAL_RECORDS]);
    for (size_t i = 0; i < 300; i++)
        CU_ASSERT_EQUAL(append(i * 17 % 3000, i % 3 == 0 ? WAITS : 0), 0);
    CU_ASSERT_EQUAL(vex_wal_sync(wal), 0);
    CU_ASSERT_EQUAL(vex_wal_durable(wal), 300);
    WAIT_FOR(callbacks() == 400);
    CU_ASSERT_EQUAL(vex_wal_last(wal), 300);
    CU_ASSERT_EQUAL(vex_wal_written(wal), 300);
    CU_ASSERT_EQUAL(vex_wal_pending(wal), 0);
    CU_ASSERT(vex_wal_bytes(wal) > 300 * 1000);
    CU_ASSERT_EQUAL(atomic_load(&vex_metric_values[VEX_METRIC_WAL_RECORDS]) - records, 300);
    for (int round = 0; round < 3; round++) {
        reopen();
        CU_ASSERT_EQUAL(replayed.count, 300);
        CU_ASSERT_EQUAL(replayed.first, 1);
        CU_ASSERT_EQUAL(replayed.lens[299], 299 * 17 % 3000);
        CU_ASSERT_EQUAL(vex_wal_last(wal), 300);
    }
    CU_ASSERT_EQUAL(append(5, WAITS), 0);
    CU_ASSERT_EQUAL(vex_wal_last(wal), 301);
    reopen();
    CU_ASSERT_EQUAL(replayed.count, 301);
    vex_wal_close(wal);
    CU_ASSERT_EQUAL(replayed.bad, 0);
    CU_ASSERT_EQUAL(seen.bad_order, 0);
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, root, &err), 0);
}

static void sizes(void)
{
    static const size_t lens[] = {0,
                                  1,
                                  7,
                                  8,
                                  9,
                                  SEGMENT,
                                  SEGMENT - 4096 - 48,
                                  3,
                                  SEGMENT - 4096 - 47,
                                  200000,
                                  10,
                                  SEGMENT - 4096 - 56,
                                  131072,
                                  131071,
                                  700000,
                                  2};
    begin(11);
    size_t n = sizeof lens / sizeof *lens;
    for (size_t i = 0; i < n; i++)
        CU_ASSERT_EQUAL(append(lens[i], WAITS), 0);
    struct vex_wal_entry huge = {.len = (size_t)VEX_WAL_BODY_MAX + 1};
    CU_ASSERT_EQUAL(vex_wal_append(wal, &huge), VEX_ETOO_LARGE);
    CU_ASSERT_EQUAL(vex_wal_last(wal), n);
    for (int round = 0; round < 2; round++) {
        reopen();
        CU_ASSERT_EQUAL(replayed.count, n);
        for (size_t i = 0; i < n; i++)
            CU_ASSERT_EQUAL(replayed.lens[i], lens[i]);
    }
    end();
}

static void *append_many(void *arg)
{
    for (size_t i = 0; i < 200; i++) {
        if (append((i * 37 + (size_t)(uintptr_t)arg) % 900, i % 4 == 0 ? WAITS : 0) != 0)
            return "refused";
    }
    return NULL;
}

static void many_threads(void)
{
    pthread_t threads[4];
    begin(12);
    uint64_t before = vex_sim_calls(sim, VEX_SIM_DATASYNC);
    for (uintptr_t t = 0; t < 4; t++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[t], NULL, append_many, (void *)t), 0);
    for (int t = 0; t < 4; t++) {
        void *refused;
        pthread_join(threads[t], &refused);
        CU_ASSERT_PTR_NULL(refused);
    }
    WAIT_FOR(callbacks() == 1000);
    CU_ASSERT_EQUAL(vex_wal_sync(wal), 0);
    /* groups: far fewer syncs than records that wait (200), rotations included */
    CU_ASSERT(vex_sim_calls(sim, VEX_SIM_DATASYNC) - before < 900);
    reopen();
    CU_ASSERT_EQUAL(replayed.count, 800);
    end();
}

static void lazy_sync(void)
{
    begin(13);
    CU_ASSERT_EQUAL(append(100, WAITS), 0);
    WAIT_FOR(callbacks() == 2);
    CU_ASSERT_EQUAL(append(100, 0), 0);
    WAIT_FOR(callbacks() == 3);
    CU_ASSERT_EQUAL(vex_wal_written(wal), 2);
    vex_sim_advance(sim, 10 * options.sync_ns);
    WAIT_FOR(vex_wal_durable(wal) == 2);
    end();
    /* with an hour to go nothing but a waiter syncs */
    begin_lazy(13, 3600000000000u);
    CU_ASSERT_EQUAL(append(100, 0), 0);
    WAIT_FOR(callbacks() == 1);
    CU_ASSERT_EQUAL(vex_wal_durable(wal), 0);
    CU_ASSERT_EQUAL(append(100, WAITS), 0);
    WAIT_FOR(callbacks() == 3);
    CU_ASSERT_EQUAL(vex_wal_durable(wal), 2);
    CU_ASSERT_EQUAL(append(100, 0), 0);
    WAIT_FOR(callbacks() == 4);
    CU_ASSERT_EQUAL(vex_wal_durable(wal), 2);
    CU_ASSERT_EQUAL(vex_wal_sync(wal), 0);
    CU_ASSERT_EQUAL(vex_wal_durable(wal), 3);
    end();
}

static void close_drains(void)
{
    begin(14);
    for (size_t i = 0; i < 500; i++)
        CU_ASSERT_EQUAL(append(i, i % 2 != 0 ? WAITS : 0), 0);
    vex_wal_close(wal);
    CU_ASSERT_EQUAL(callbacks(), 750);
    CU_ASSERT_EQUAL(seen.refused, 0);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 500);
    end();
}

/* One failed call ends the log: everything pending fails once, nothing is acknowledged, a restart goes on. */
static void failed_call(enum vex_sim_call call)
{
    begin(15);
    CU_ASSERT_EQUAL(append(100, WAITS), 0);
    WAIT_FOR(callbacks() == 2);
    WAIT_FOR(vex_sim_calls(sim, VEX_SIM_DIRSYNC) >= 3); /* both segments are prepared */
    vex_sim_fail(sim, call, 1, -EIO, false);
    CU_ASSERT_EQUAL(append(200, WAITS), 0);
    WAIT_FOR(callbacks() == 4);
    CU_ASSERT(vex_wal_read_only(wal));
    CU_ASSERT_EQUAL(seen.refused, call == VEX_SIM_DATASYNC ? 1 : 2);
    CU_ASSERT_EQUAL(append(300, WAITS), VEX_EREAD_ONLY);
    CU_ASSERT_EQUAL(vex_wal_sync(wal), VEX_EREAD_ONLY);
    CU_ASSERT_EQUAL(vex_wal_durable(wal), 1);
    reopen();
    CU_ASSERT(replayed.count >= 1);
    /* what is replayed is on the disk now, whatever the failed sync dropped */
    struct vex_sim *cut = vex_sim_crash(sim, VEX_SIM_LOSE_ALL, 0), *live = sim;
    unsigned count = replayed.count;
    vex_wal_close(wal);
    io = vex_sim_io(cut);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, count);
    CU_ASSERT_EQUAL(append(400, WAITS), 0);
    sim = cut;
    end();
    vex_sim_free(live);
}

static void failed_sync(void)
{
    failed_call(VEX_SIM_DATASYNC);
}

static void failed_write(void)
{
    failed_call(VEX_SIM_PWRITE);
}

static void full_disk(void)
{
    begin(16);
    WAIT_FOR(wal_files() == 2);
    vex_sim_capacity(sim, vex_sim_used(sim) + SEGMENT);
    int r = 0;
    unsigned taken = 0;
    while (taken < 1000 && (r = append(1000, 0)) == 0) {
        taken++;
        WAIT_FOR(vex_wal_written(wal) == taken);
    }
    CU_ASSERT_EQUAL(r, VEX_ENO_SPACE);
    CU_ASSERT(taken >= 10 && taken < 100);
    CU_ASSERT_EQUAL(vex_wal_last(wal), taken);
    /* deletes go on, in the reserve; others stay refused */
    unsigned urgent = 0;
    while (append(500, WAITS | URGENT) == 0 && urgent < 1000) {
        urgent++;
        WAIT_FOR(vex_wal_durable(wal) == taken + urgent);
        if (urgent == 10)
            CU_ASSERT_EQUAL(append(1000, 0), VEX_ENO_SPACE);
    }
    CU_ASSERT(urgent >= 20 && urgent < 100);
    CU_ASSERT_FALSE(vex_wal_read_only(wal));
    /* released segments are room again, without any call to say so */
    vex_wal_release(wal, vex_wal_durable(wal));
    WAIT_FOR((r = append(1000, WAITS)) != VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(r, 0);
    while (append(1000, 0) == 0)
        ;
    vex_sim_capacity(sim, 0);
    WAIT_FOR((r = append(1000, WAITS)) != VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(r, 0);
    uint64_t last = vex_wal_last(wal);
    reopen();
    CU_ASSERT_EQUAL(replayed.last, last);
    end();
}

/* A full disk at start: it opens, what is there is replayed, writes are refused until there is room. */
static void full_at_start(void)
{
    begin(17);
    for (size_t i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(append(100, WAITS), 0);
    vex_wal_close(wal);
    vex_sim_capacity(sim, vex_sim_used(sim));
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 10);
    vex_wal_close(wal);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 10);
    CU_ASSERT_EQUAL(append(100000, 0), VEX_ENO_SPACE);
    vex_sim_capacity(sim, 0);
    int r = 0;
    WAIT_FOR((r = append(100000, WAITS)) != VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(r, 0);
    end();
}

static void no_descriptors(void)
{
    begin(18);
    WAIT_FOR(wal_files() == 2);
    vex_sim_fail(sim, VEX_SIM_OPEN, 1, -EMFILE, true);
    int r = 0;
    for (int i = 0; i < 100 && r == 0; i++) {
        r = append(2000, 0);
        if (r == 0)
            WAIT_FOR(vex_wal_pending(wal) == 0 || vex_wal_last(wal) > 11);
    }
    vex_sim_fail_clear(sim);
    WAIT_FOR((r = append(2000, WAITS)) != VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(r, 0);
    CU_ASSERT_EQUAL(vex_wal_sync(wal), 0);
    end();
}

static void release_recycles(void)
{
    begin(19);
    uint64_t most = 0;
    for (unsigned round = 0; round < 40; round++) {
        for (int i = 0; i < 10; i++)
            CU_ASSERT_EQUAL(append(1500, 0), 0);
        CU_ASSERT_EQUAL(vex_wal_sync(wal), 0);
        vex_wal_release(wal, vex_wal_durable(wal));
        WAIT_FOR(wal_files() <= 3);
        most = vex_sim_used(sim) > most ? vex_sim_used(sim) : most;
    }
    CU_ASSERT(most <= 6 * SEGMENT);
    reopen();
    /* the sequence goes on although nearly all was released */
    CU_ASSERT_EQUAL(vex_wal_last(wal), 400);
    CU_ASSERT(replayed.count < 20);
    CU_ASSERT_EQUAL(replayed.last, 400);
    /* restarts do not pile up segments */
    for (int i = 0; i < 20; i++)
        reopen();
    CU_ASSERT(wal_files() <= 5);
    CU_ASSERT(vex_sim_used(sim) <= 6 * SEGMENT);
    end();
}

static uint64_t size_of(const char *path)
{
    struct vex_file *file;
    if (vex_io_open(io, path, VEX_IO_READ, &file) != 0)
        return 0;
    int64_t size = vex_io_size(io, file);
    vex_io_close(io, file);
    return size > 0 ? (uint64_t)size : 0;
}

/* After a clean end there is nothing but records that the next opening would have to search for marks. */
static void clean_end(void)
{
    begin(19);
    for (uint64_t round = 1; round <= 3; round++) {
        CU_ASSERT_EQUAL(append(100, WAITS), 0);
        CU_ASSERT_EQUAL(vex_wal_sync(wal), 0);
        WAIT_FOR(wal_files() >= 2); /* one in use, one prepared */
        vex_wal_close(wal);
        wal = NULL;
        CU_ASSERT_EQUAL(wal_files(), round);
        for (unsigned number = 1; number <= round; number++) {
            char path[32];
            snprintf(path, sizeof path, "/w/%09u.wal", number);
            CU_ASSERT_EQUAL(size_of(path), 2 * WAL_HEADER_BLOCK);
        }
        CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
        CU_ASSERT_EQUAL(vex_wal_last(wal), round);
    }
    end();
}

static void replay_may_refuse(void)
{
    begin(20);
    for (size_t i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(append(100, WAITS), 0);
    vex_wal_close(wal);
    stop_at = 4;
    stop_with = VEX_ECORRUPT;
    vex_sim_record(sim);
    CU_ASSERT_EQUAL(open_wal(), VEX_ECORRUPT);
    CU_ASSERT_EQUAL(vex_sim_op_count(sim), 0);
    CU_ASSERT_EQUAL(err.code, VEX_ECORRUPT);
    stop_at = 0;
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 10);
    end();
}

#define RECORD(n) (WAL_HEADER_BLOCK + (n)*152u) /* offset of the nth record of 100 bytes */

static void prepare_damage(uint64_t seed)
{
    begin(seed);
    for (size_t i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(append(100, WAITS), 0);
    vex_wal_close(wal);
}

static void damaged_body(void)
{
    prepare_damage(21);
    CU_ASSERT_EQUAL(vex_sim_flip(sim, "/w/000000001.wal", RECORD(4) + 60, 1), 0);
    for (int round = 0; round < 2; round++) {
        CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
        CU_ASSERT_EQUAL(replayed.count, 20);
        CU_ASSERT_EQUAL(replayed.damaged, 1);
        CU_ASSERT_EQUAL(replayed.lens[4], 0);
        vex_wal_close(wal);
    }
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    end();
}

static void lost_framing(void)
{
    prepare_damage(22);
    CU_ASSERT_EQUAL(vex_sim_flip(sim, "/w/000000001.wal", RECORD(6) + 8, 4), 0);
    vex_sim_record(sim);
    CU_ASSERT_EQUAL(open_wal(), VEX_ECORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/w/000000001.wal"));
    char offset[32];
    snprintf(offset, sizeof offset, "offset %u", RECORD(6));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, offset));
    CU_ASSERT_EQUAL(vex_sim_op_count(sim), 0);
    options.salvage = true;
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 6);
    CU_ASSERT_EQUAL(append(77, WAITS), 0);
    CU_ASSERT_EQUAL(vex_wal_last(wal), 7);
    vex_wal_close(wal);
    options.salvage = false;
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 7);
    CU_ASSERT_EQUAL(replayed.lens[6], 77);
    end();
}

static void torn_tail(void)
{
    begin_lazy(23, 3600000000000u);
    CU_ASSERT_EQUAL(append(100, WAITS), 0);
    WAIT_FOR(callbacks() == 2);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(append(100, 0), 0);
    WAIT_FOR(callbacks() == 6);
    struct vex_sim *cut = vex_sim_crash(sim, VEX_SIM_KEEP_ALL, 0);
    vex_wal_close(wal);
    vex_sim_free(sim);
    sim = cut;
    io = vex_sim_io(sim);
    /* record 3 of 5 is torn; nobody was promised it */
    CU_ASSERT_EQUAL(vex_sim_flip(sim, "/w/000000001.wal", RECORD(2) + 60, 1), 0);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 2);
    CU_ASSERT_EQUAL(append(50, WAITS), 0);
    reopen();
    CU_ASSERT_EQUAL(replayed.count, 3);
    CU_ASSERT_EQUAL(replayed.lens[2], 50);
    end();
}

static void lost_header(void)
{
    prepare_damage(24);
    CU_ASSERT_EQUAL(vex_sim_flip(sim, "/w/000000001.wal", 20, 1), 0);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0); /* one of the two is enough */
    CU_ASSERT_EQUAL(replayed.count, 20);
    vex_wal_close(wal);
    CU_ASSERT_EQUAL(vex_sim_flip(sim, "/w/000000001.wal", WAL_HEADER_COPY + 20, 1), 0);
    CU_ASSERT_EQUAL(open_wal(), VEX_ECORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "000000001.wal"));
    options.salvage = true;
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(append(50, WAITS), 0);
    vex_wal_close(wal);
    options.salvage = false;
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.lens[replayed.count - 1], 50);
    end();
}

static void missing_segment(void)
{
    begin(25);
    for (size_t i = 0; i < 60; i++)
        CU_ASSERT_EQUAL(append(1000, WAITS), 0);
    vex_wal_close(wal);
    CU_ASSERT_EQUAL(io->ops->unlink(io, "/w/000000002.wal"), 0);
    CU_ASSERT_EQUAL(open_wal(), VEX_ECORRUPT);
    vex_sim_free(sim);
}

static void newer_format(void)
{
    prepare_damage(26);
    struct vex_file *f;
    struct wal_segment_header header;
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, "/w/000000001.wal", VEX_IO_WRITE, &f), 0);
    CU_ASSERT_EQUAL(vex_io_pread(io, f, &header, sizeof header, 0), sizeof header);
    header.version = 2;
    header.crc = vex_crc32c(0, &header, offsetof(struct wal_segment_header, crc));
    CU_ASSERT_EQUAL(vex_io_pwrite(io, f, &header, sizeof header, 0), 0);
    vex_io_close(io, f);
    CU_ASSERT_EQUAL(open_wal(), VEX_ECORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "format 2"));
    vex_sim_free(sim);
}

/* Files of others in the folder are left alone. */
static void foreign_files(void)
{
    prepare_damage(27);
    static const char *const names[] = {"/w/notes.txt", "/w/1.wal", "/w/000000001.wal.bak",
                                        "/w/00000000a.wal"};
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(vex_file_replace(io, names[i], "x", 1, &err), 0);
    CU_ASSERT_EQUAL_FATAL(open_wal(), 0);
    CU_ASSERT_EQUAL(replayed.count, 20);
    for (size_t i = 0; i < 4; i++) {
        struct vex_file *f;
        CU_ASSERT_EQUAL_FATAL(vex_io_open(io, names[i], VEX_IO_READ, &f), 0);
        vex_io_close(io, f);
    }
    end();
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"append and reopen on POSIX files", append_and_reopen_posix},
        {"records of all sizes", sizes},
        {"many threads", many_threads},
        {"nobody waits: synced in time", lazy_sync},
        {"closing drains", close_drains},
        {"a failed sync ends it", failed_sync},
        {"a failed write ends it", failed_write},
        {"full disk", full_disk},
        {"full disk at start", full_at_start},
        {"out of descriptors", no_descriptors},
        {"release recycles", release_recycles},
        {"a clean end leaves nothing to search", clean_end},
        {"replay may refuse", replay_may_refuse},
        {"damaged body", damaged_body},
        {"lost framing and salvage", lost_framing},
        {"torn tail", torn_tail},
        {"lost header", lost_header},
        {"missing segment", missing_segment},
        {"newer format", newer_format},
        {"foreign files", foreign_files},
    };
    if (getenv("VEX_TEST_VERBOSE") == NULL && freopen("/dev/null", "w", stderr) == NULL)
        return 1;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("store_wal", NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_add_test(suite, cases[i].name, cases[i].run);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
