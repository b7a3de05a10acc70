/* The log: appends, the log thread, callbacks. Contract in wal.h, bytes in wal_format.h, recovery in
 * wal_recover.c.
 *
 * Append    checksums the body, then under the mutex takes a place in the current segment, a sequence, and
 * copies header and body to the filling group. It never allocates disk space: when the place is not there yet
 * the entry goes to the overflow list (everything behind it too), and the log thread moves it to a group once
 * it has made a segment. Space     Prepared segments lie ready, empty and synced: one as the reserve for
 * urgent entries on a full disk, a second as soon as the current one is half full. An entry joins the
 * overflow only when the disk has room for it now. Thread    One round: write the filling group, call
 * `written`; sync if somebody waits or it is time, call `durable`; then housekeeping: segments released,
 * prepared, overflow moved. Files, names and syncs belong to this thread alone. Lock      One mutex. `file`,
 * `dirty` of segments and the lists `waiting` belong to the log thread. Callbacks run without it, `ordered`
 * alone with it. Failure   The first failed write, sync or folder sync ends it: read_only stays set,
 * everything pending is called back with VEX_EREAD_ONLY. A segment that cannot be made (full disk, out of
 * descriptors) ends nothing: it is tried again with the next refused append, with the next release, and every
 * RETRY_NS. */
#include "engine/store/wal.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "engine/store/wal_group.h"
#include "engine/store/wal_recover.h"

#define RETRY_NS    100000000u
#define MIN_WAIT_NS 1000000u

/* The smallest segment that makes sense. */
#define SEGMENT_MIN (2 * WAL_HEADER_BLOCK)

struct vex_wal {
    struct vex_io *io;
    struct wal_dir dir; /* log thread */
    uint64_t segment_bytes, sync_ns;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the log thread */
    pthread_cond_t done; /* vex_wal_sync */

    /* read anywhere, written under the mutex */
    _Atomic uint64_t last, written, durable, pending, bytes;
    atomic_bool read_only;

    /* under the mutex */
    struct wal_group groups[2];
    struct wal_group *filling;
    struct wal_segment *live, *live_last; /* in use, oldest first */
    struct wal_segment *tail;             /* takes appends; the last of live, or NULL */
    struct wal_segment *prepared;         /* oldest first */
    size_t prepared_count;
    struct vex_wal_entry *over_first, *over_last; /* accepted, without a place yet */
    uint64_t over_bytes;
    size_t pool_count;  /* of dir, for appends to see */
    uint64_t sync_want; /* vex_wal_sync waits for this */
    uint64_t released;
    bool no_space, retry; /* making a segment failed; it may be tried again */
    bool tail_reserved;   /* the current segment was the reserve: urgent entries only while space is short */
    bool closing, idle;

    /* log thread */
    struct vex_wal_entry *wait_first, *wait_last; /* written, wait for durable */
    uint64_t dirty_since;                         /* when the oldest unsynced record was written */
};

static void signal_thread(struct vex_wal *wal)
{
    if (wal->idle)
        pthread_cond_signal(&wal->wake);
}

/* ---- Places for records: all under the mutex ---- */

/* Moves on to the first prepared segment, which begins with that sequence. */
static void rotate(struct vex_wal *wal, uint64_t seq)
{
    struct wal_segment *seg = wal->prepared;
    wal->prepared = seg->next;
    wal->prepared_count--;
    seg->next = NULL;
    if (wal->live_last != NULL) {
        wal->live_last->last_seq = seq - 1;
        wal->live_last->next = seg;
    } else {
        wal->live = seg;
    }
    wal->live_last = wal->tail = seg;
    seg->first_seq = seq;
    wal->tail_reserved = wal->prepared_count == 0;
    wal_group_add_header(wal->filling, seg, wal->durable);
}

static bool fits(const struct wal_segment *seg, uint64_t bytes)
{
    return seg != NULL && bytes <= seg->bytes && seg->end <= seg->bytes - bytes;
}

/* Finds a place for a record in what is on the disk already. The last prepared segment is kept back unless
 * `reserve`. */
static bool place(struct vex_wal *wal, uint64_t seq, uint64_t bytes, bool reserve)
{
    if (fits(wal->tail, bytes))
        return reserve || !wal->tail_reserved || !wal->no_space;
    if (!fits(wal->prepared, bytes) || (wal->prepared_count < 2 && !reserve))
        return false;
    rotate(wal, seq);
    return true;
}

/* Would the disk take the segments that the overflow and this entry need? Counted on the safe side: segments
 * may end up half empty, and one more is kept as the reserve. */
static bool may_overflow(struct vex_wal *wal, uint64_t bytes, bool urgent)
{
    if (wal->no_space)
        return false;
    uint64_t usable = wal->segment_bytes - WAL_HEADER_BLOCK;
    uint64_t need = 2 * ((wal->over_bytes + bytes + usable - 1) / usable) + (urgent ? 0 : 1);
    uint64_t have = bytes <= usable ? wal->prepared_count + wal->pool_count : 0;
    if (need <= have)
        return true;
    int64_t space = wal->io->ops->free_space(wal->io, wal->dir.path);
    return space >= 0 && need - have <= (uint64_t)space / wal->segment_bytes;
}

static void enqueue_overflow(struct vex_wal *wal, struct vex_wal_entry *entry, uint64_t bytes)
{
    entry->next = NULL;
    if (wal->over_last != NULL)
        wal->over_last->next = entry;
    else
        wal->over_first = entry;
    wal->over_last = entry;
    wal->over_bytes += bytes;
}

static int append_locked(struct vex_wal *wal, struct vex_wal_entry *entry, uint32_t body_crc)
{
    uint64_t bytes = wal_record_bytes(entry->len), seq = wal->last + 1;
    if (wal->read_only || wal->closing)
        return VEX_EREAD_ONLY;
    if (!wal_group_reserve(wal->filling, entry))
        return VEX_ENO_MEMORY;
    bool free = wal->over_first == NULL;
    bool placed = free && place(wal, seq, bytes, entry->urgent && wal->no_space);
    bool over = !placed && may_overflow(wal, bytes, entry->urgent);
    if (!placed && !over)
        placed = free && entry->urgent && place(wal, seq, bytes, true);
    if (!placed && !over) {
        /* Perhaps a segment has not been tried yet; the next append will know. */
        wal->retry = true;
        return VEX_ENO_SPACE;
    }
    entry->seq = seq;
    wal->last = seq;
    if (entry->ordered != NULL)
        entry->ordered(entry);
    if (placed)
        wal_group_add(wal->filling, wal->tail, entry, body_crc, wal->durable);
    else
        enqueue_overflow(wal, entry, bytes);
    wal->pending += bytes;
    wal->bytes += bytes;
    return 0;
}

int vex_wal_append(struct vex_wal *wal, struct vex_wal_entry *entry)
{
    if (entry->len > VEX_WAL_BODY_MAX)
        return VEX_ETOO_LARGE;
    uint32_t body_crc = vex_crc32c(0, entry->body, entry->len);
    pthread_mutex_lock(&wal->mutex);
    int r = append_locked(wal, entry, body_crc);
    signal_thread(wal);
    pthread_mutex_unlock(&wal->mutex);
    return r;
}

/* ---- Callbacks: log thread, without the mutex ---- */

static void call_written(struct vex_wal *wal, struct vex_wal_entry *entry, int status)
{
    while (entry != NULL) {
        struct vex_wal_entry *next = entry->next;
        bool waits = entry->durable != NULL;
        entry->next = NULL;
        if (waits && wal->wait_last != NULL)
            wal->wait_last->next = entry;
        else if (waits)
            wal->wait_first = entry;
        if (waits)
            wal->wait_last = entry;
        /* Without `durable` this is the last time it may be touched. */
        if (entry->written != NULL)
            entry->written(entry, status);
        entry = next;
    }
}

static void call_durable(struct vex_wal *wal, int status)
{
    struct vex_wal_entry *entry = wal->wait_first;
    wal->wait_first = wal->wait_last = NULL;
    while (entry != NULL) {
        struct vex_wal_entry *next = entry->next;
        entry->durable(entry, status);
        entry = next;
    }
}

/* Ends the log: everything accepted so far fails, in order. `entries` were taken out of a group already.
 * Called with the mutex, returns with it. */
static void end_log(struct vex_wal *wal, struct vex_wal_entry *entries, const char *what, int r)
{
    wal->read_only = true;
    struct vex_wal_entry *filling = wal->filling->first, *over = wal->over_first;
    wal_group_clear(wal->filling);
    wal->over_first = wal->over_last = NULL;
    wal->over_bytes = 0;
    wal->pending = 0;
    pthread_cond_broadcast(&wal->done);
    pthread_mutex_unlock(&wal->mutex);
    vex_error("wal", "%s failed (%s): the node is read-only until it is restarted", what, strerror(-r));
    call_durable(wal, VEX_EREAD_ONLY);
    call_written(wal, entries, VEX_EREAD_ONLY);
    call_written(wal, filling, VEX_EREAD_ONLY);
    call_written(wal, over, VEX_EREAD_ONLY);
    call_durable(wal, VEX_EREAD_ONLY);
    pthread_mutex_lock(&wal->mutex);
}

/* ---- Steps of the log thread: called with the mutex, return with it ---- */

static void write_group(struct vex_wal *wal)
{
    struct wal_group *group = wal->filling;
    wal->filling = group == &wal->groups[0] ? &wal->groups[1] : &wal->groups[0];
    pthread_mutex_unlock(&wal->mutex);
    int r = wal_group_write(wal->io, group);
    uint64_t now = vex_io_monotonic_ns(wal->io);
    pthread_mutex_lock(&wal->mutex);
    struct vex_wal_entry *entries = group->first;
    if (r != 0) {
        wal_group_clear(group);
        end_log(wal, entries, "writing the log", r);
        return;
    }
    if (wal->written == wal->durable)
        wal->dirty_since = now;
    uint64_t records = group->last_seq - wal->written, bytes = group->bytes;
    wal->written = group->last_seq;
    wal->pending -= bytes;
    wal_group_clear(group);
    pthread_mutex_unlock(&wal->mutex);
    vex_metric_add(VEX_METRIC_WAL_RECORDS, records);
    vex_metric_add(VEX_METRIC_WAL_BYTES, bytes);
    call_written(wal, entries, 0);
    pthread_mutex_lock(&wal->mutex);
}

/* Segments to sync, and whether one the log has left is among them: it must not stay unsynced for long, what
 * is not durable has to be copied at recovery. */
static bool left_dirty(struct vex_wal *wal)
{
    for (struct wal_segment *seg = wal->live; seg != NULL && seg != wal->tail; seg = seg->next) {
        if (seg->dirty)
            return true;
    }
    return false;
}

static bool sync_due(struct vex_wal *wal)
{
    if (wal->read_only || wal->written == wal->durable)
        return false;
    if (wal->wait_first != NULL || wal->sync_want > wal->durable || wal->closing || left_dirty(wal))
        return true;
    return vex_io_monotonic_ns(wal->io) - wal->dirty_since >= wal->sync_ns;
}

/* Files the log has left, once all in them is durable. */
static void close_left(struct vex_wal *wal)
{
    for (struct wal_segment *seg = wal->live; seg != NULL && seg != wal->tail; seg = seg->next) {
        if (seg->file != NULL && seg->last_seq <= wal->durable) {
            vex_io_close(wal->io, seg->file);
            seg->file = NULL;
        }
    }
}

static void sync_log(struct vex_wal *wal)
{
    uint64_t target = wal->written;
    int r = 0;
    /* The list grows at its end only, and only this thread shortens it. */
    for (struct wal_segment *seg = wal->live; seg != NULL && r == 0; seg = seg->next) {
        if (!seg->dirty)
            continue;
        pthread_mutex_unlock(&wal->mutex);
        r = vex_io_datasync(wal->io, seg->file);
        vex_metric_add(VEX_METRIC_WAL_SYNCS, 1);
        seg->dirty = false;
        pthread_mutex_lock(&wal->mutex);
    }
    if (r != 0) {
        end_log(wal, NULL, "syncing the log", r);
        return;
    }
    wal->durable = target;
    close_left(wal);
    pthread_cond_broadcast(&wal->done);
    pthread_mutex_unlock(&wal->mutex);
    call_durable(wal, 0);
    pthread_mutex_lock(&wal->mutex);
}

/* The oldest segment when it is not needed any more: everything in it is released, and the one after it is
 * durably in use, so that a restart knows where the sequence stands. */
static struct wal_segment *next_released(struct vex_wal *wal)
{
    struct wal_segment *seg = wal->live;
    if (wal->read_only || seg == NULL || seg == wal->tail || seg->next == NULL)
        return NULL;
    bool needed = seg->last_seq > wal->released || seg->last_seq > wal->durable ||
                  seg->next->first_seq == 0 || seg->next->first_seq > wal->durable;
    return needed ? NULL : seg;
}

static size_t prepared_wanted(const struct vex_wal *wal)
{
    if (wal->tail == NULL)
        return 2;
    return 1 + (wal->tail->end - WAL_HEADER_BLOCK > (wal->tail->bytes - WAL_HEADER_BLOCK) / 2 ? 1 : 0);
}

static void check_names(struct vex_wal *wal, int r)
{
    wal->pool_count = wal->dir.pool_count;
    if (wal->dir.broken && !wal->read_only)
        end_log(wal, NULL, "syncing the folder of the log", r);
}

static void retire_released(struct vex_wal *wal)
{
    struct wal_segment *seg;
    while ((seg = next_released(wal)) != NULL) {
        wal->live = seg->next;
        bool keep = wal->dir.pool_count + wal->prepared_count < 2;
        pthread_mutex_unlock(&wal->mutex);
        int r = wal_segment_retire(&wal->dir, seg, keep);
        if (r != 0)
            vex_warn("wal", "cannot remove segment %09" PRIu64 ".wal: %s", seg->number, strerror(-r));
        pthread_mutex_lock(&wal->mutex);
        check_names(wal, r);
        if (r != 0 && !wal->dir.broken) {
            /* Names have to go in order: this one first, with the next release. */
            seg->next = wal->live;
            wal->live = seg;
            wal->released = 0;
            return;
        }
        wal_segment_free(&wal->dir, seg);
        wal->retry = true;
    }
}

/* Makes one more segment. */
static int prepare(struct vex_wal *wal, uint64_t bytes)
{
    struct wal_segment *seg = NULL;
    char path[VEX_PATH_MAX];
    uint64_t durable = wal->durable;
    wal->retry = false;
    pthread_mutex_unlock(&wal->mutex);
    int r = wal_segment_draft(&wal->dir, bytes, 0, durable, &seg, path);
    if (r == 0)
        r = wal_segment_publish(&wal->dir, seg, path);
    if (r != 0 && !wal->no_space && !wal->dir.broken)
        vex_warn("wal",
                 "no room for another log segment (%s): writes are refused once the present one is full",
                 strerror(-r));
    else if (r == 0 && wal->no_space)
        vex_info("wal", "room for log segments again");
    pthread_mutex_lock(&wal->mutex);
    wal->no_space = r != 0;
    check_names(wal, r);
    if (r != 0)
        return r;
    struct wal_segment **end = &wal->prepared;
    while (*end != NULL)
        end = &(*end)->next;
    *end = seg;
    wal->prepared_count++;
    return 0;
}

/* Prepared segments go back to the pool, newest first: none may be left behind under a number that comes before
 * those in use. 0, or a negative errno and the rest is as it was. */
static int retire_prepared(struct vex_wal *wal)
{
    while (wal->prepared != NULL) {
        struct wal_segment **end = &wal->prepared;
        while ((*end)->next != NULL)
            end = &(*end)->next;
        struct wal_segment *seg = *end;
        *end = NULL;
        wal->prepared_count--;
        pthread_mutex_unlock(&wal->mutex);
        int r = wal_segment_retire(&wal->dir, seg, true);
        pthread_mutex_lock(&wal->mutex);
        check_names(wal, r);
        if (r != 0 && !wal->dir.broken) {
            *end = seg;
            wal->prepared_count++;
            return r;
        }
        wal_segment_free(&wal->dir, seg);
        if (r != 0)
            return r;
        wal->dir.next_number--;
    }
    return 0;
}

/* A record larger than a segment needs one of its own, and it has to be the next: those prepared go. */
static int prepare_large(struct vex_wal *wal, uint64_t bytes)
{
    int r = retire_prepared(wal);
    if (r == 0)
        return prepare(wal, bytes);
    if (!wal->dir.broken) {
        wal->no_space = true;
        wal->retry = false;
    }
    return r;
}

/* Moves the overflow to the filling group; stops when a segment cannot be made. Nobody else takes places
 * meanwhile. */
static void move_overflow(struct vex_wal *wal)
{
    while (wal->over_first != NULL && !wal->read_only) {
        struct vex_wal_entry *entry = wal->over_first;
        uint64_t bytes = wal_record_bytes(entry->len);
        if (!wal_group_reserve(wal->filling, entry)) {
            wal->no_space = true; /* out of memory: tried again like the rest */
            return;
        }
        if (!place(wal, entry->seq, bytes, wal->no_space || bytes > wal->segment_bytes - WAL_HEADER_BLOCK)) {
            if (wal->no_space && !wal->retry)
                return;
            bool large = bytes > wal->segment_bytes - WAL_HEADER_BLOCK;
            if (large)
                (void)prepare_large(wal, WAL_HEADER_BLOCK + bytes);
            else
                (void)prepare(wal, wal->segment_bytes);
            continue;
        }
        wal->over_first = entry->next;
        if (wal->over_first == NULL)
            wal->over_last = NULL;
        wal->over_bytes -= bytes;
        wal_group_add(wal->filling, wal->tail, entry, vex_crc32c(0, entry->body, entry->len), wal->durable);
    }
}

static bool should_prepare(const struct vex_wal *wal)
{
    return !wal->read_only && !wal->closing && wal->prepared_count < prepared_wanted(wal) &&
           (!wal->no_space || wal->retry);
}

/* Anything the thread could do now? */
static bool has_work(struct vex_wal *wal)
{
    if (wal->read_only)
        return false;
    return wal->filling->first != NULL || sync_due(wal) || next_released(wal) != NULL ||
           should_prepare(wal) || (wal->over_first != NULL && (!wal->no_space || wal->retry));
}

/* Sleeps until there is work; with unsynced records until they are due, short of space until the next
 * attempt. */
static void wait_for_work(struct vex_wal *wal)
{
    uint64_t ns = 0;
    bool short_of_space =
        wal->no_space && (wal->over_first != NULL || wal->prepared_count < prepared_wanted(wal));
    if (wal->written != wal->durable && !wal->read_only) {
        uint64_t gone = vex_io_monotonic_ns(wal->io) - wal->dirty_since;
        ns = gone < wal->sync_ns ? wal->sync_ns - gone : 0;
        ns = ns < MIN_WAIT_NS ? MIN_WAIT_NS : ns;
    }
    if (short_of_space && (ns == 0 || ns > RETRY_NS))
        ns = RETRY_NS;
    wal->idle = true;
    if (ns == 0) {
        pthread_cond_wait(&wal->wake, &wal->mutex);
    } else {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t nsec = (uint64_t)until.tv_nsec + ns;
        until.tv_sec += (time_t)(nsec / 1000000000u);
        until.tv_nsec = (long)(nsec % 1000000000u);
        int r = pthread_cond_timedwait(&wal->wake, &wal->mutex, &until);
        if (r == ETIMEDOUT && short_of_space)
            wal->retry = true;
    }
    wal->idle = false;
}

/* At a clean end the segment's header learns that everything is durable: what decays later is told from a
 * torn tail. The space behind the records is given back and what lies prepared goes to the pool, so that the
 * next opening has nothing to search. Failing to is no harm. */
static void close_clean(struct vex_wal *wal)
{
    char block[WAL_HEADER_BLOCK];
    struct wal_segment *seg = wal->tail;
    if (wal->read_only || wal->durable != wal->last)
        return;
    if (seg != NULL)
        wal_segment_trim(&wal->dir, seg, seg->end);
    if (seg != NULL && wal->bytes > 0) {
        wal_segment_header_fill(seg, wal->durable, block);
        if (vex_io_pwrite(wal->io, seg->file, block, sizeof block, 0) == 0)
            (void)vex_io_datasync(wal->io, seg->file);
    }
    (void)retire_prepared(wal);
}

static void *run(void *arg)
{
    struct vex_wal *wal = arg;
    pthread_mutex_lock(&wal->mutex);
    for (;;) {
        if (!has_work(wal)) {
            if (wal->closing)
                break;
            wait_for_work(wal);
        }
        if (!wal->read_only && wal->filling->first != NULL)
            write_group(wal);
        if (sync_due(wal))
            sync_log(wal);
        retire_released(wal);
        move_overflow(wal);
        if (should_prepare(wal))
            (void)prepare(wal, wal->segment_bytes);
    }
    if (wal->over_first != NULL)
        end_log(wal, NULL, "closing the log: writing what waits for space", -ENOSPC);
    close_clean(wal);
    pthread_mutex_unlock(&wal->mutex);
    return NULL;
}

/* ---- Life ---- */

static void free_segments(struct vex_wal *wal, struct wal_segment *seg)
{
    while (seg != NULL) {
        struct wal_segment *next = seg->next;
        wal_segment_free(&wal->dir, seg);
        seg = next;
    }
}

static void free_wal(struct vex_wal *wal)
{
    free_segments(wal, wal->live);
    free_segments(wal, wal->prepared);
    wal_group_done(&wal->groups[0]);
    wal_group_done(&wal->groups[1]);
    pthread_cond_destroy(&wal->wake);
    pthread_cond_destroy(&wal->done);
    pthread_mutex_destroy(&wal->mutex);
    vex_mem_free(wal->dir.path);
    vex_mem_free(wal);
}

static struct vex_wal *new_wal(struct vex_io *io, const struct vex_wal_options *options)
{
    struct vex_wal *wal = VEX_NEW(struct vex_wal);
    pthread_condattr_t attr;
    wal->io = io;
    wal->segment_bytes = options->segment_bytes < SEGMENT_MIN ? SEGMENT_MIN : options->segment_bytes;
    wal->segment_bytes = (wal->segment_bytes + WAL_HEADER_BLOCK - 1) & ~(uint64_t)(WAL_HEADER_BLOCK - 1);
    wal->sync_ns = options->sync_ns;
    wal->filling = &wal->groups[0];
    wal->dir = (struct wal_dir){.io = io, .segment_bytes = wal->segment_bytes};
    wal->dir.path = vex_mem_strndup(options->dir, strlen(options->dir));
    pthread_mutex_init(&wal->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&wal->wake, &attr);
    pthread_cond_init(&wal->done, &attr);
    pthread_condattr_destroy(&attr);
    return wal;
}

int vex_wal_open(struct vex_io *io, const struct vex_wal_options *options,
                 int (*replay)(void *arg, const struct vex_wal_record *record, struct vex_err *err),
                 void *arg, struct vex_wal **ret, struct vex_err *err)
{
    struct vex_wal *wal = new_wal(io, options);
    struct wal_recovered found;
    int r = wal_recover(&wal->dir, options->salvage, replay, arg, &found, err);
    if (r == 0) {
        wal->live = found.first;
        wal->live_last = found.last;
        wal->tail = found.tail;
        wal->pool_count = wal->dir.pool_count;
        wal->last = wal->written = wal->durable = found.last_seq;
        int e = pthread_create(&wal->thread, NULL, run, wal);
        if (e != 0)
            r = vex_err_set(err, vex_err_errno(e), "cannot start the log thread: %s", strerror(e));
    }
    if (r != 0) {
        free_wal(wal);
        return r;
    }
    *ret = wal;
    return 0;
}

void vex_wal_close(struct vex_wal *wal)
{
    if (wal == NULL)
        return;
    pthread_mutex_lock(&wal->mutex);
    wal->closing = true;
    pthread_cond_signal(&wal->wake);
    pthread_mutex_unlock(&wal->mutex);
    pthread_join(wal->thread, NULL);
    free_wal(wal);
}

uint64_t vex_wal_pending(struct vex_wal *wal)
{
    return wal->pending;
}

uint64_t vex_wal_last(struct vex_wal *wal)
{
    return wal->last;
}

uint64_t vex_wal_written(struct vex_wal *wal)
{
    return wal->written;
}

uint64_t vex_wal_durable(struct vex_wal *wal)
{
    return wal->durable;
}

bool vex_wal_read_only(struct vex_wal *wal)
{
    return wal->read_only;
}

uint64_t vex_wal_bytes(struct vex_wal *wal)
{
    return wal->bytes;
}

int vex_wal_sync(struct vex_wal *wal)
{
    pthread_mutex_lock(&wal->mutex);
    uint64_t target = wal->last;
    if (target > wal->sync_want)
        wal->sync_want = target;
    signal_thread(wal);
    while (wal->durable < target && !wal->read_only)
        pthread_cond_wait(&wal->done, &wal->mutex);
    int r = wal->durable >= target ? 0 : VEX_EREAD_ONLY;
    pthread_mutex_unlock(&wal->mutex);
    return r;
}

void vex_wal_release(struct vex_wal *wal, uint64_t seq)
{
    pthread_mutex_lock(&wal->mutex);
    if (seq > wal->released)
        wal->released = seq;
    signal_thread(wal);
    pthread_mutex_unlock(&wal->mutex);
}
