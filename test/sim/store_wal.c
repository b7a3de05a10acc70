/* The log against power loss.
 *
 * A session is a run of the log on a recording simulated disk: threads append records of mixed sizes (some
 * larger than a segment), segments rotate and are released, calls fail. Then, at every operation of the
 * recording and under every policy, the power is cut, the log is opened on what is left, and the records are
 * compared with what was acknowledged. Some recovered disks are recorded themselves and cut again: recovery
 * of recovery.
 *
 * Checked: every record acknowledged as durable is there, intact, in order; every record acknowledged as
 * written survives the death of the process; no hole, no record that nobody appended, nothing damaged;
 * sequences go on above all of that. The cases at the end plant faults (a disk that lies, an early
 * acknowledgement, decay) and want to see them caught.
 *
 * VEX_SIM_STATES=N checks N states instead of the short form. */
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

#include "base/log.h"
#include "lib/sim_io.h"

#define SEGMENT    16384u
#define RECORDS    512 /* most of a session */
#define THREADS    3
#define PER_THREAD 12
#define STATES     20000u
#define NEVER      SIZE_MAX
#define RELEASES   64

struct session {
    struct vex_sim *sim;
    struct vex_wal *wal;
    uint64_t seed;
    int per_thread;
    uint64_t base;              /* last sequence when it began */
    uint64_t ids[RECORDS];      /* what was appended as base + i + 1 */
    size_t written_op[RECORDS]; /* operations recorded when it was acknowledged; NEVER */
    size_t durable_op[RECORDS];
    _Atomic uint64_t last;         /* highest sequence given */
    atomic_uint calls, want_calls; /* callbacks */
    struct {
        size_t op;
        uint64_t seq;
    } releases[RELEASES];
    unsigned release_count;
};

struct item {
    struct vex_wal_entry entry;
    struct session *session;
    uint64_t id;
    unsigned char *body;
};

/* ---- what is appended: a function of its id ---- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t len_of(uint64_t id)
{
    uint64_t r = mix(id ^ 0x5151);
    switch (r % 16) {
    case 0:
        return 0;
    case 1:
        return 20000 + r / 16 % 20000; /* larger than a segment */
    case 2:
    case 3:
        return 3000 + r / 16 % 9000;
    default:
        return 1 + r / 16 % 700;
    }
}

static void fill(unsigned char *body, size_t len, uint64_t id)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = mix(id + i * 0x9e37);
        memcpy(body + i, &v, len - i < 8 ? len - i : 8);
    }
}

static bool same(const void *body, size_t len, uint64_t id)
{
    if (len != len_of(id))
        return false;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = mix(id + i * 0x9e37);
        if (memcmp((const char *)body + i, &v, len - i < 8 ? len - i : 8) != 0)
            return false;
    }
    return true;
}

/* ---- a session ---- */

static size_t index_of(const struct session *s, uint64_t seq)
{
    return (size_t)(seq - s->base - 1);
}

static void on_ordered(struct vex_wal_entry *entry)
{
    struct item *item = (struct item *)entry;
    struct session *s = item->session;
    s->ids[index_of(s, entry->seq)] = item->id;
    s->last = entry->seq;
    entry->op = entry->seq * 3;
}

static void on_written(struct vex_wal_entry *entry, int status)
{
    struct item *item = (struct item *)entry;
    struct session *s = item->session;
    if (status == 0)
        s->written_op[index_of(s, entry->seq)] = vex_sim_op_count(s->sim);
    free(item->body); /* the log must be done with it */
    s->calls++;
    if (entry->durable == NULL)
        free(item);
}

static void on_durable(struct vex_wal_entry *entry, int status)
{
    struct item *item = (struct item *)entry;
    struct session *s = item->session;
    if (status == 0)
        s->durable_op[index_of(s, entry->seq)] = vex_sim_op_count(s->sim);
    s->calls++;
    free(item);
}

static int append(struct session *s, uint64_t id, bool durable, bool urgent)
{
    struct item *item = calloc(1, sizeof *item);
    size_t len = len_of(id);
    item->session = s;
    item->id = id;
    item->body = malloc(len + 1);
    fill(item->body, len, id);
    item->entry = (struct vex_wal_entry){
        .kind = (uint16_t)(id % 1000),
        .collection = id % 7,
        .body = item->body,
        .len = len,
        .urgent = urgent,
        .ordered = on_ordered,
        .written = on_written,
        .durable = durable ? on_durable : NULL,
    };
    int r = vex_wal_append(s->wal, &item->entry);
    if (r == 0) {
        s->want_calls += durable ? 2 : 1;
        return 0;
    }
    free(item->body);
    free(item);
    return r;
}

static void pause_ns(long ns)
{
    nanosleep(&(struct timespec){0, ns}, NULL);
}

struct worker {
    struct session *session;
    unsigned number;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct session *s = w->session;
    uint64_t random = s->seed * 977 + w->number;
    for (int i = 0; i < s->per_thread; i++) {
        uint64_t id = (s->seed << 20) + w->number * 1000 + (uint64_t)i + 1;
        random = mix(random + 1);
        int r = append(s, id, random % 3 != 0, random % 5 == 0);
        if (r == VEX_EREAD_ONLY)
            break;
        if (r == VEX_ENO_SPACE || random / 16 % 4 == 0)
            pause_ns(100000);
        if (random / 64 % 16 == 0)
            (void)vex_wal_sync(s->wal);
    }
    return NULL;
}

/* While the threads run: releases what is durable, now and then. */
static void release_some(struct session *s)
{
    uint64_t random = s->seed;
    for (int i = 0; i < 40; i++) {
        random = mix(random + 3);
        pause_ns(10000 + (long)(random % 100000));
        uint64_t durable = vex_wal_durable(s->wal);
        uint64_t seq = durable > 4 ? durable - (random / 8 % 4 == 0 ? random / 32 % 4 : 0) : 0;
        if (seq == 0 || s->release_count == RELEASES)
            continue;
        s->releases[s->release_count].op = vex_sim_op_count(s->sim);
        s->releases[s->release_count++].seq = seq;
        vex_wal_release(s->wal, seq);
    }
}

static const struct vex_wal_options options = {.dir = "/wal", .segment_bytes = SEGMENT, .sync_ns = 3000000};

static int skip(void *arg, const struct vex_wal_record *record, struct vex_err *err)
{
    (void)arg;
    (void)record;
    (void)err;
    return 0;
}

static struct session *new_session(struct vex_sim *sim, uint64_t seed)
{
    struct session *s = calloc(1, sizeof *s);
    s->sim = sim;
    s->seed = seed;
    for (size_t i = 0; i < RECORDS; i++)
        s->written_op[i] = s->durable_op[i] = NEVER;
    return s;
}

/* Faults by the seed: most sessions have one. */
static void plan_faults(struct vex_sim *sim, uint64_t seed)
{
    uint64_t random = mix(seed), nth = 1 + random / 64 % 40;
    switch (random % 10) {
    case 0:
    case 1:
        vex_sim_fail(sim, VEX_SIM_DATASYNC, nth, -EIO, false);
        break;
    case 2:
        vex_sim_fail(sim, VEX_SIM_PWRITE, nth, -EIO, false);
        break;
    case 3:
        vex_sim_fail(sim, VEX_SIM_ALLOCATE, 1 + nth % 6, -ENOSPC, false);
        break;
    case 4:
        vex_sim_fail(sim, VEX_SIM_DIRSYNC, 1 + nth % 12, -EIO, false);
        break;
    case 5:
        vex_sim_fail(sim, VEX_SIM_RENAME, 1 + nth % 8, -EIO, false);
        break;
    case 6:
        vex_sim_capacity(sim, vex_sim_used(sim) + SEGMENT * 5);
        break;
    case 7:
        vex_sim_fail(sim, VEX_SIM_UNLINK, 1 + nth % 4, -EIO, false);
        break;
    default:
        break;
    }
}

/* Runs the log on a fresh disk; NULL only if it could not be opened. */
static struct session *run_session(uint64_t seed, unsigned lies, bool faults, bool release)
{
    struct vex_sim *sim = vex_sim_new(seed);
    struct vex_io *io = vex_sim_io(sim);
    struct session *s = new_session(sim, seed);
    struct vex_err err;
    s->per_thread = PER_THREAD;
    if (io->ops->mkdir(io, "/wal") != 0 || io->ops->dirsync(io, "/") != 0)
        abort();
    vex_sim_lie(sim, lies);
    vex_sim_record(sim);
    if (vex_wal_open(io, &options, skip, NULL, &s->wal, &err) != 0)
        abort();
    if (faults)
        plan_faults(sim, seed);
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (unsigned t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){s, t};
        if (pthread_create(&threads[t], NULL, work, &workers[t]) != 0)
            abort();
    }
    if (release)
        release_some(s);
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    vex_wal_close(s->wal);
    s->wal = NULL;
    vex_sim_fail_clear(sim);
    return s;
}

static void free_session(struct session *s)
{
    vex_sim_free(s->sim);
    free(s);
}

/* ---- opening what is left ---- */

/* What a state has to hold. */
struct want {
    const struct session *first,
        *second;        /* second: appended after the first was recovered up to second->base */
    uint64_t max_first; /* the first record may be at most this */
    uint64_t min_last;  /* the log must reach at least this */
    uint64_t max_last;
};

struct got {
    const struct want *want;
    uint64_t first, last;
    const char *wrong;
};

static const char *check_record(const struct got *got, const struct vex_wal_record *record)
{
    const struct session *s = got->want->first;
    if (got->want->second != NULL && record->seq > got->want->second->base)
        s = got->want->second;
    if (got->last != 0 && record->seq != got->last + 1)
        return "a hole in the sequence";
    if (record->seq <= s->base || record->seq > s->last)
        return "a record nobody appended";
    if (record->damaged)
        return "damage without decay";
    uint64_t id = s->ids[index_of(s, record->seq)];
    if (record->kind != id % 1000 || record->collection != id % 7 || record->op != record->seq * 3)
        return "a wrong header";
    return same(record->body, record->len, id) ? NULL : "a wrong body";
}

static int take(void *arg, const struct vex_wal_record *record, struct vex_err *err)
{
    struct got *got = arg;
    (void)err;
    const char *wrong = check_record(got, record);
    if (got->wrong == NULL)
        got->wrong = wrong;
    if (got->first == 0)
        got->first = record->seq;
    got->last = record->seq;
    return 0;
}

/* Opens the log of a disk and compares; NULL, or what is wrong. The log is left open when `ret_wal` is given.
 */
static const char *check_disk(struct vex_sim *disk, const struct want *want, struct vex_wal **ret_wal)
{
    static struct vex_err err;
    struct got got = {.want = want};
    struct vex_wal *wal;
    if (vex_wal_open(vex_sim_io(disk), &options, take, &got, &wal, &err) != 0)
        return err.text;
    uint64_t last = vex_wal_last(wal);
    const char *wrong = got.wrong;
    if (wrong == NULL && got.first > want->max_first)
        wrong = "records are missing at the beginning";
    if (wrong == NULL && got.last != 0 && last != got.last)
        wrong = "the sequence goes on elsewhere";
    if (wrong == NULL && last < want->min_last)
        wrong = "acknowledged records are lost";
    if (wrong == NULL && last > want->max_last)
        wrong = "more than was appended";
    if (ret_wal != NULL)
        *ret_wal = wal;
    else
        vex_wal_close(wal);
    return wrong;
}

/* What a cut of the session at operation `op` must leave; early: as if `written` promised what `durable`
 * does. */
static struct want want_at(const struct session *s, size_t op, enum vex_sim_policy policy, bool early)
{
    struct want want = {.first = s, .max_first = s->base + 1, .min_last = s->base, .max_last = s->last};
    const size_t *acks = policy == VEX_SIM_KILL || early ? s->written_op : s->durable_op;
    for (size_t i = 0; i < s->last - s->base; i++) {
        if (acks[i] <= op || s->durable_op[i] <= op)
            want.min_last = s->base + i + 1;
    }
    for (unsigned i = 0; i < s->release_count; i++) {
        if (s->releases[i].op <= op && s->releases[i].seq + 1 > want.max_first)
            want.max_first = s->releases[i].seq + 1;
    }
    return want;
}

/* ---- sweeping the states ---- */

static struct {
    uint64_t states, second, wrong;
} total;

static void note(const char *wrong, const struct session *s, size_t op, unsigned policy, uint64_t seed,
                 const char *what)
{
    if (wrong == NULL)
        return;
    if (++total.wrong <= 5)
        printf("    session %" PRIu64 ", operation %zu, policy %u, seed %" PRIu64 ", %s: %s\n", s->seed, op,
               policy, seed, what, wrong);
}

/* Recovers a disk while recording, appends to it, and cuts it at places of that. */
static void sweep_second(const struct session *first, struct vex_sim *disk, struct want want, size_t op,
                         unsigned policy, uint64_t seed)
{
    struct session *s = new_session(disk, first->seed ^ 0x8000);
    vex_sim_record(disk);
    const char *wrong = check_disk(disk, &want, &s->wal);
    /* Until it has opened, a killed process's page cache may still be lost. */
    size_t opened = vex_sim_op_count(disk);
    uint64_t cached = want_at(first, op, VEX_SIM_LOSE_ALL, false).min_last;
    note(wrong, first, op, policy, seed, "recorded recovery");
    if (wrong == NULL || s->wal != NULL) {
        s->base = s->last = vex_wal_last(s->wal);
        for (uint64_t i = 1; i <= 4; i++)
            (void)append(s, (seed << 24) + op * 64 + i, true, false);
        (void)vex_wal_sync(s->wal);
        if (seed % 2 == 0) {
            s->releases[0].op = vex_sim_op_count(disk);
            s->releases[s->release_count++].seq = s->base;
            vex_wal_release(s->wal, s->base);
        }
        vex_wal_close(s->wal);
        size_t ops = vex_sim_op_count(disk);
        struct vex_sim *replica = vex_sim_replica(disk);
        for (size_t i = 0; i <= ops && wrong == NULL; i++) {
            unsigned again = (unsigned)mix(seed + i) % VEX_SIM_POLICY_COUNT;
            struct want then = want_at(s, i, again, false);
            then.first = first;
            then.second = s;
            if (then.max_first == s->base + 1 && s->release_count == 0)
                then.max_first = want.max_first;
            else if (s->release_count == 0 || i < s->releases[0].op)
                then.max_first = want.max_first;
            if (policy == VEX_SIM_KILL && again != VEX_SIM_KILL && i < opened)
                then.min_last = cached;
            struct vex_sim *cut = vex_sim_crash(replica, again, seed + i);
            note(check_disk(cut, &then, NULL), first, op, policy, seed, "second cut");
            vex_sim_free(cut);
            total.states++;
            total.second++;
            vex_sim_step(replica, disk);
        }
        vex_sim_free(replica);
    }
    free(s);
}

/* Cuts a session at every operation; `limit` bounds the states. */
static void sweep(const struct session *s, bool early, bool second, uint64_t limit)
{
    struct vex_sim *replica = vex_sim_replica(s->sim);
    size_t ops = vex_sim_op_count(s->sim);
    for (size_t op = 0; op <= ops && total.states < limit; op++) {
        size_t pending = vex_sim_pending(replica);
        for (unsigned policy = 0; policy < VEX_SIM_POLICY_COUNT; policy++) {
            bool drawn = policy == VEX_SIM_SUBSET || policy == VEX_SIM_TORN_512 || policy == VEX_SIM_TORN_4K;
            uint64_t seeds = pending == 0               ? (policy == 0)
                             : policy == VEX_SIM_PREFIX ? pending - 1
                             : drawn                    ? 2
                                                        : 1;
            for (uint64_t i = 0; i < seeds; i++) {
                /* prefixes of none and of all are policies of their own */
                uint64_t seed = policy == VEX_SIM_PREFIX ? i + 1 : mix(s->seed * 31 + op) + i;
                struct want want = want_at(s, op, policy, early);
                struct vex_sim *disk = vex_sim_crash(replica, policy, seed);
                if (second && mix(seed + policy) % 64 == 0)
                    sweep_second(s, disk, want, op, policy, seed);
                else
                    note(check_disk(disk, &want, NULL), s, op, policy, seed, "cut");
                vex_sim_free(disk);
                total.states++;
            }
        }
        vex_sim_step(replica, s->sim);
    }
    vex_sim_free(replica);
}

static void begin(void)
{
    memset(&total, 0, sizeof total);
}

static void power_loss(void)
{
    const char *text = getenv("VEX_SIM_STATES");
    uint64_t limit = text != NULL && strtoull(text, NULL, 10) > 0 ? strtoull(text, NULL, 10) : STATES;
    unsigned lost_calls = 0;
    uint64_t sessions = 0;
    begin();
    for (uint64_t seed = 1; total.states < limit; seed++, sessions++) {
        struct session *s = run_session(seed, 0, true, true);
        lost_calls += s->calls != s->want_calls;
        sweep(s, false, true, limit);
        free_session(s);
    }
    printf("\n    %" PRIu64 " states of %" PRIu64 " sessions (%" PRIu64 " after a second cut), %" PRIu64
           " wrong\n",
           total.states, sessions, total.second, total.wrong);
    CU_ASSERT_EQUAL(total.wrong, 0);
    CU_ASSERT_EQUAL(lost_calls, 0);
    CU_ASSERT(total.second > 0);
}

/* ---- planted faults: the harness has to notice ---- */

static uint64_t planted(unsigned lies, bool early)
{
    begin();
    for (uint64_t seed = 1; seed <= 4 && total.wrong == 0; seed++) {
        struct session *s = run_session(seed, lies, false, true);
        sweep(s, early, false, 100000);
        free_session(s);
    }
    return total.wrong;
}

static void catches_ignored_datasync(void)
{
    printf("\n");
    CU_ASSERT(planted(VEX_SIM_IGNORE_DATASYNC, false) > 0);
}

static void catches_ignored_dirsync(void)
{
    printf("\n");
    CU_ASSERT(planted(VEX_SIM_IGNORE_DIRSYNC, false) > 0);
}

static void catches_early_acknowledgement(void)
{
    printf("\n");
    CU_ASSERT(planted(0, true) > 0);
}

struct decay {
    const struct session *session;
    uint64_t damaged, wrong, last;
};

static int take_decayed(void *arg, const struct vex_wal_record *record, struct vex_err *err)
{
    struct decay *d = arg;
    (void)err;
    if (record->damaged)
        d->damaged++;
    else if (!same(record->body, record->len, d->session->ids[record->seq - 1]))
        d->wrong++;
    if (d->last != 0 && record->seq != d->last + 1)
        d->wrong++;
    d->last = record->seq;
    return 0;
}

struct files {
    char names[64][32];
    unsigned count;
};

static int add_file(void *arg, const char *name)
{
    struct files *files = arg;
    if (strstr(name, ".wal") != NULL && files->count < 64)
        snprintf(files->names[files->count++], sizeof files->names[0], "%s", name);
    return 0;
}

/* Bits flip anywhere below the durable mark: told as damage or refused, never cut as a torn tail, never a
 * wrong record. */
static void catches_decay(void)
{
    struct session *s = run_session(77, 0, false, false);
    struct vex_err err;
    struct vex_wal *wal;
    struct files files = {.count = 0};
    CU_ASSERT_EQUAL_FATAL(vex_wal_open(vex_sim_io(s->sim), &options, skip, NULL, &wal, &err), 0);
    uint64_t last = vex_wal_last(wal), damaged = 0, refused = 0, unharmed = 0, wrong = 0;
    vex_wal_close(wal);
    CU_ASSERT_EQUAL(last, s->last);
    CU_ASSERT_EQUAL(vex_sim_io(s->sim)->ops->list(vex_sim_io(s->sim), "/wal", add_file, &files), 0);
    for (unsigned f = 0; f < files.count; f++) {
        char path[64];
        snprintf(path, sizeof path, "/wal/%s", files.names[f]);
        for (uint64_t at = 0;; at += at < 64 ? 1 : 29) {
            struct vex_sim *disk = vex_sim_clone(s->sim);
            struct decay d = {.session = s};
            if (vex_sim_flip(disk, path, at, (unsigned char)(1u << at % 8)) != 0) {
                vex_sim_free(disk);
                break;
            }
            int r = vex_wal_open(vex_sim_io(disk), &options, take_decayed, &d, &wal, &err);
            wrong += d.wrong + (r != 0 && r != VEX_ECORRUPT) + (r == 0 && (d.last != last || d.damaged > 1));
            refused += r != 0;
            damaged += r == 0 && d.damaged == 1;
            unharmed += r == 0 && d.damaged == 0;
            if (r == 0)
                vex_wal_close(wal);
            vex_sim_free(disk);
        }
    }
    printf("\n    flips: %" PRIu64 " told as damage, %" PRIu64 " refused, %" PRIu64 " harmless, %" PRIu64
           " wrong\n",
           damaged, refused, unharmed, wrong);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT(damaged > 20 && refused > 5);
    free_session(s);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    vex_log_set(VEX_LOG_ERROR, false);
    /* sessions fail on purpose: their log lines would bury the report */
    if (getenv("VEX_TEST_VERBOSE") == NULL && freopen("/dev/null", "w", stderr) == NULL)
        return 1;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("power loss of the log", NULL, NULL);
    CU_add_test(suite, "every operation, every policy", power_loss);
    CU_add_test(suite, "harness catches: datasync ignored", catches_ignored_datasync);
    CU_add_test(suite, "harness catches: dirsync ignored", catches_ignored_dirsync);
    CU_add_test(suite, "harness catches: acknowledgement before the sync", catches_early_acknowledgement);
    CU_add_test(suite, "decay below the durable mark is told", catches_decay);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
