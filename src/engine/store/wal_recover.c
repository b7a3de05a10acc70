/* Recovery of the log.
 *
 * 1. Walk: the segments in order, record by record from the first sequence on, each handed to the caller. A
 * segment ends where a later one begins with the sequence that is expected. Where a record is bad, the rest
 * of the log is searched for the highest sequence that some record or header knew to be durable: at or above
 * the bad one it is damage (the header intact: only that record is lost; else the node refuses to start),
 * below it is a torn tail, which is cut.
 * 2. Copy: what lies above the best durable mark may never have reached the disk, whatever a read says now
 * (it may come from the page cache, and after a failed sync the kernel will not write it again). It is
 * written to a new segment, synced, and published by a rename. The header of that segment names its first
 * sequence, and that supersedes everything from there on in earlier segments: the old tail is given up in the
 * moment the new one counts.
 * 3. Tidy: segments that hold nothing any more go back to the pool, the others give back the space behind
 * their last record. Before the copy has its name nothing that counts is changed; segments without a record
 * are put aside before it, so that a full disk does not keep the copy from being made. */
#include "engine/store/wal_recover.h"

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/store/wal_scan.h"

#define COPY_CHUNK (1u << 20)

struct recovery {
    struct wal_dir *dir;
    bool salvage;
    int (*replay)(void *arg, const struct vex_wal_record *record, struct vex_err *err);
    void *arg;
    struct wal_found *found;
    size_t count;
    struct wal_window window;
    uint64_t durable; /* best mark among what counts */
    uint64_t kept;    /* best mark in what stays after recovery */
    uint64_t seq;     /* the next one expected */
    bool searched;    /* the rest has been searched for marks */
    bool salvaged;    /* framing was lost below the mark and cut there */
};

/* What the walk meets at a place. */
enum place { PLACE_RECORD, PLACE_DAMAGED, PLACE_TORN, PLACE_NONE };

/* Looks for the record `seq` at `offset`; *ret_body is set for PLACE_RECORD. Negative: VEX_E*. */
static int look(struct recovery *rec, struct wal_found *found, uint64_t offset, uint64_t seq,
                struct wal_record_header *header, const char **ret_body, struct vex_err *err)
{
    int r = wal_header_at(&rec->window, found->seg, offset, header, err);
    if (r <= 0 || header->seq != seq)
        return r < 0 ? r : PLACE_NONE;
    *ret_body = "";
    if (header->len > 0) {
        *ret_body = wal_window_read(&rec->window, found->seg, offset + sizeof *header, header->len, err);
        if (*ret_body == NULL)
            return err->code;
    }
    return vex_crc32c(0, *ret_body, header->len) == header->body_crc ? PLACE_RECORD : PLACE_TORN;
}

/* A segment after `at` that goes on with the sequence expected; `at` when there is none, or a negative
 * VEX_E*. */
static int64_t find_next(struct recovery *rec, size_t at, struct vex_err *err)
{
    for (size_t i = at + 1; i < rec->count; i++) {
        struct wal_segment *seg = rec->found[i].seg;
        if (seg->first_seq == rec->seq)
            return (int64_t)i;
        if (seg->first_seq != 0)
            continue; /* superseded as a whole, or what comes after a gap */
        struct wal_record_header header;
        int r = wal_header_at(&rec->window, seg, WAL_HEADER_BLOCK, &header, err);
        if (r < 0)
            return r;
        if (r == 1 && header.seq == rec->seq && rec->seq < rec->found[i].limit)
            return (int64_t)i;
    }
    return (int64_t)at;
}

/* Was the record expected here known to be durable? 1, 0, or a negative VEX_E*. */
static int was_durable(struct recovery *rec, size_t at, uint64_t offset, struct vex_err *err)
{
    if (!rec->searched) {
        uint64_t mark;
        int r = wal_best_mark(&rec->window, rec->found, rec->count, at, offset, rec->seq, &mark, err);
        if (r != 0)
            return r;
        if (mark > rec->durable)
            rec->durable = mark;
        rec->searched = true;
    }
    return rec->durable >= rec->seq ? 1 : 0;
}

static int deliver(struct recovery *rec, const struct wal_record_header *header, const char *body,
                   bool damaged, struct vex_err *err)
{
    struct vex_wal_record record = {
        .seq = header->seq,
        .op = header->op,
        .collection = header->collection,
        .kind = header->kind,
        .damaged = damaged,
        .body = damaged ? NULL : body,
        .len = damaged ? 0 : header->len,
    };
    int r = rec->replay(rec->arg, &record, err);
    if (r < 0 && err->code == 0)
        vex_err_set(err, r, "replay of log record %" PRIu64 " failed", header->seq);
    return r < 0 ? r : 0;
}

static int refuse(struct recovery *rec, const struct wal_segment *seg, uint64_t offset, struct vex_err *err)
{
    if (!rec->salvage)
        return vex_err_set(err, VEX_ECORRUPT,
                           "log segment %s/%09" PRIu64 ".wal is damaged at offset %" PRIu64
                           ": record %" PRIu64 " was durable (all up to %" PRIu64
                           " were) and cannot be found",
                           rec->dir->path, seg->number, offset, rec->seq, rec->durable);
    vex_error("wal",
              "salvage: segment %s/%09" PRIu64 ".wal is damaged at offset %" PRIu64 "; records %" PRIu64
              " and later, durable up to %" PRIu64 ", are given up",
              rec->dir->path, seg->number, offset, rec->seq, rec->durable);
    rec->salvaged = true;
    return 0;
}

/* Takes the record at `offset` of a segment. 1: taken, 0: the log ends in this segment, or a negative VEX_E*.
 */
static int take(struct recovery *rec, size_t at, uint64_t offset, uint64_t *ret_next, struct vex_err *err)
{
    struct wal_found *found = &rec->found[at];
    struct wal_record_header header;
    const char *body = NULL;
    int place = look(rec, found, offset, rec->seq, &header, &body, err);
    if (place < 0 || place == PLACE_NONE)
        return place < 0 ? place : 0;
    if (place == PLACE_TORN) {
        int r = was_durable(rec, at, offset, err);
        if (r <= 0)
            return r;
        vex_error("wal", "record %" PRIu64 " in %s/%09" PRIu64 ".wal at offset %" PRIu64 " is damaged",
                  header.seq, rec->dir->path, found->seg->number, offset);
        place = PLACE_DAMAGED;
    }
    int r = deliver(rec, &header, body, place == PLACE_DAMAGED, err);
    if (r != 0)
        return r;
    if (header.durable > rec->durable)
        rec->durable = header.durable;
    if (header.durable > rec->kept)
        rec->kept = header.durable;
    if (found->durable > rec->kept && found->durable < found->limit)
        rec->kept = found->durable;
    found->records++;
    rec->seq++;
    *ret_next = offset + wal_record_bytes(header.len);
    return 1;
}

static int walk(struct recovery *rec, struct vex_err *err)
{
    for (size_t at = 0; at < rec->count;) {
        struct wal_found *found = &rec->found[at];
        found->enter_seq = rec->seq;
        if (found->durable > rec->durable && found->durable < found->limit)
            rec->durable = found->durable;
        int r = 1;
        while (r == 1 && rec->seq < found->limit)
            r = take(rec, at, found->seg->end, &found->seg->end, err);
        if (r < 0)
            return r;
        int64_t next = find_next(rec, at, err);
        if (next < 0)
            return (int)next;
        if ((size_t)next != at) {
            at = (size_t)next;
            continue;
        }
        r = was_durable(rec, at, found->seg->end, err);
        return r <= 0 ? r : refuse(rec, found->seg, found->seg->end, err);
    }
    return 0;
}

/* Calls `fn` for the records above the durable mark, which the walk has accepted. */
static int each_of_tail(struct recovery *rec, uint64_t mark,
                        int (*fn)(void *arg, const struct wal_record_header *header, const char *body),
                        void *arg, struct vex_err *err)
{
    for (size_t at = 0; at < rec->count; at++) {
        struct wal_found *found = &rec->found[at];
        if (found->enter_seq == 0 || found->enter_seq + found->records <= mark + 1)
            continue;
        uint64_t offset = WAL_HEADER_BLOCK, seq = found->enter_seq;
        for (uint64_t i = 0; i < found->records; i++, seq++) {
            struct wal_record_header header;
            const char *body = NULL;
            int place = look(rec, found, offset, seq, &header, &body, err);
            if (place < 0)
                return place;
            bool wanted = seq > mark;
            if (place == PLACE_NONE || (wanted && place != PLACE_RECORD))
                return vex_err_set(err, VEX_EIO, "log segment %s/%09" PRIu64 ".wal changed while it was read",
                                   rec->dir->path, found->seg->number);
            int r = wanted ? fn(arg, &header, body) : 0;
            if (r != 0)
                return vex_err_set(err, vex_err_errno(-r), "cannot copy the tail of the log %s: %s",
                                   rec->dir->path, strerror(-r));
            offset += wal_record_bytes(header.len);
        }
    }
    return 0;
}

struct copy {
    struct vex_io *io;
    struct wal_segment *seg;
    uint64_t mark, bytes;
    struct vex_buf buf;
};

static int measure(void *arg, const struct wal_record_header *header, const char *body)
{
    (void)body;
    ((struct copy *)arg)->bytes += wal_record_bytes(header->len);
    return 0;
}

static int flush(struct copy *copy)
{
    if (copy->buf.len == 0)
        return 0;
    int r = vex_io_pwrite(copy->io, copy->seg->file, copy->buf.ptr, copy->buf.len, copy->seg->end);
    copy->seg->end += copy->buf.len;
    copy->buf.len = 0;
    return r;
}

static int write_copy(void *arg, const struct wal_record_header *old, const char *body)
{
    static const char zeros[8];
    struct copy *copy = arg;
    struct wal_record_header header = *old;
    header.durable = copy->mark;
    header.header_crc = wal_record_crc(&header, copy->seg->salt);
    uint64_t padded = wal_record_bytes(header.len);
    vex_buf_add(&copy->buf, &header, sizeof header);
    vex_buf_add(&copy->buf, body, header.len);
    vex_buf_add(&copy->buf, zeros, (size_t)(padded - sizeof header - header.len));
    return copy->buf.len >= COPY_CHUNK ? flush(copy) : 0;
}

/* Step 2. The header's own mark is true as soon as anybody can see it: it gets its name after the sync. */
static int copy_tail(struct recovery *rec, uint64_t mark, struct vex_err *err)
{
    struct copy copy = {.io = rec->dir->io, .mark = mark};
    char path[VEX_PATH_MAX];
    int r = each_of_tail(rec, mark, measure, &copy, err);
    if (r != 0)
        return r;
    r = wal_segment_draft(rec->dir, WAL_HEADER_BLOCK + copy.bytes, mark + 1, rec->seq - 1, &copy.seg, path);
    if (r != 0)
        return vex_err_set(err, vex_err_errno(-r), "cannot make a log segment in %s: %s", rec->dir->path,
                           strerror(-r));
    vex_buf_init(&copy.buf, NULL);
    r = each_of_tail(rec, mark, write_copy, &copy, err);
    int w = r == 0 ? flush(&copy) : 0;
    vex_buf_done(&copy.buf);
    if (r != 0 || w != 0) {
        wal_segment_discard(rec->dir, copy.seg, path);
        return r != 0 ? r : vex_err_set(err, vex_err_errno(-w), "cannot write the log: %s", strerror(-w));
    }
    r = wal_segment_publish(rec->dir, copy.seg, path);
    if (r != 0)
        return vex_err_set(err, vex_err_errno(-r), "cannot sync the log %s: %s", rec->dir->path,
                           strerror(-r));
    for (size_t i = 0; i < rec->count; i++) {
        if (rec->found[i].limit > mark + 1)
            rec->found[i].limit = mark + 1;
    }
    rec->found[rec->count++] = (struct wal_found){.seg = copy.seg, .limit = UINT64_MAX};
    return 0;
}

/* Puts aside a segment none of whose records counts, newest first, so that names stay in order. */
static int put_aside(struct recovery *rec, struct wal_found *found, struct vex_err *err)
{
    struct wal_segment *seg = found->seg;
    char path[VEX_PATH_MAX], aside[VEX_PATH_MAX];
    int r;
    if (rec->window.seg == seg) {
        rec->window.seg = NULL;
        rec->window.len = 0;
    }
    if (found->lost || (rec->salvaged && seg->first_seq != 0)) {
        vex_io_close(rec->dir->io, seg->file);
        seg->file = NULL;
        wal_dir_path(rec->dir, path, seg->number, "wal");
        wal_dir_path(rec->dir, aside, seg->number, "damaged");
        r = rec->dir->io->ops->rename(rec->dir->io, path, aside);
        if (r == 0)
            r = rec->dir->io->ops->dirsync(rec->dir->io, rec->dir->path);
    } else {
        r = wal_segment_retire(rec->dir, seg, true);
    }
    if (r != 0)
        return vex_err_set(err, vex_err_errno(-r), "cannot put log segment %s/%09" PRIu64 ".wal aside: %s",
                           rec->dir->path, seg->number, strerror(-r));
    wal_segment_free(rec->dir, seg);
    found->seg = NULL;
    return 0;
}

/* Drops the segments that hold nothing, newest first. Before the copy: those of which no record counts; a
 * torn group may have left one that begins behind the place where the log was cut, and it must not become the
 * first of the log. After it: all whose first record is above the mark. Their records are in the copy, and
 * whether their headers ever reached the disk is unknown. Copies stay in any case: they are durable as a
 * whole, and what they supersede may still be there. */
static int drop_empty(struct recovery *rec, bool copied, uint64_t mark, struct vex_err *err)
{
    size_t kept = 0, count = copied ? rec->count - 1 : rec->count;
    for (size_t i = count; i-- > 0;) {
        struct wal_found *found = &rec->found[i];
        bool above = found->seg->first_seq == 0 || found->seg->first_seq > mark;
        bool empty = above && !found->seg->copy && (copied || found->records == 0);
        int r = empty ? put_aside(rec, found, err) : 0;
        if (r != 0)
            return r;
    }
    for (size_t i = 0; i < rec->count; i++) {
        if (rec->found[i].seg != NULL)
            rec->found[kept++] = rec->found[i];
    }
    rec->count = kept;
    return 0;
}

/* Where the records of a segment end that still count; recovery may have superseded the last of them. */
static int end_of(struct recovery *rec, struct wal_found *found, uint64_t *ret, struct vex_err *err)
{
    uint64_t offset = WAL_HEADER_BLOCK, seq = found->enter_seq;
    for (uint64_t i = 0; i < found->records && seq < found->limit; i++, seq++) {
        struct wal_record_header header;
        int r = wal_header_at(&rec->window, found->seg, offset, &header, err);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        offset += wal_record_bytes(header.len);
    }
    *ret = offset;
    return 0;
}

/* Step 3: gives back the space behind the records. Failing to is no harm. */
static int trim(struct recovery *rec, struct wal_found *found, struct vex_err *err)
{
    struct wal_segment *seg = found->seg;
    uint64_t end;
    if (found->enter_seq + found->records <= found->limit) {
        end = seg->end;
    } else {
        int found_end = end_of(rec, found, &end, err);
        if (found_end != 0)
            return found_end;
    }
    if (end + WAL_HEADER_BLOCK - 1 < seg->bytes) {
        int r = wal_segment_open(rec->dir, seg, err);
        if (r != 0)
            return r;
        wal_segment_trim(rec->dir, seg, end);
    }
    return 0;
}

static int tidy(struct recovery *rec, bool copied, struct wal_recovered *ret, struct vex_err *err)
{
    uint64_t last = rec->seq - 1;
    for (size_t i = 0; i < rec->count; i++) {
        struct wal_found *found = &rec->found[i];
        struct wal_segment *seg = found->seg;
        bool is_copy = copied && i == rec->count - 1;
        int r = is_copy || rec->salvaged ? 0 : trim(rec, found, err);
        if (r != 0)
            return r;
        seg->last_seq = found->limit - 1 < last ? found->limit - 1 : last;
        if (!is_copy) {
            vex_io_close(rec->dir->io, seg->file);
            seg->file = NULL;
        }
        if (ret->last != NULL)
            ret->last->next = seg;
        else
            ret->first = seg;
        ret->last = seg;
        found->seg = NULL;
    }
    ret->tail = copied ? ret->last : NULL;
    ret->last_seq = last;
    return 0;
}

static int recover(struct recovery *rec, struct wal_recovered *ret, struct vex_err *err)
{
    int r = wal_find(rec->dir, rec->salvage, &rec->found, &rec->count, err);
    if (r != 0)
        return r;
    rec->seq = rec->count > 0 && rec->found[0].seg->first_seq != 0 ? rec->found[0].seg->first_seq : 1;
    /* A copy may supersede all of what stood before it. */
    if (rec->count > 0 && rec->found[0].limit < rec->seq)
        rec->seq = rec->found[0].limit;
    if (rec->count > 0 && rec->found[0].lost && rec->found[0].limit != UINT64_MAX)
        rec->seq = rec->found[0].limit;
    /* Earlier ones were released, which only durable ones are. */
    rec->durable = rec->kept = rec->seq - 1;
    r = walk(rec, err);
    if (r != 0)
        return r;
    /* A mark known only from a segment that is put aside would be forgotten: what is below it is copied too.
     */
    uint64_t last = rec->seq - 1, mark = rec->kept < last ? rec->kept : last;
    /* The names read may be in the cache only: a file must not be reused while its old name can come back. */
    r = rec->dir->io->ops->dirsync(rec->dir->io, rec->dir->path);
    if (r != 0)
        return vex_err_set(err, vex_err_errno(-r), "cannot sync the folder %s: %s", rec->dir->path,
                           strerror(-r));
    r = drop_empty(rec, false, mark, err);
    if (r != 0)
        return r;
    /* After a salvage even an empty copy is made: its first sequence supersedes what was given up. */
    bool copied = mark < last || rec->salvaged;
    if (copied)
        r = copy_tail(rec, mark, err);
    if (r == 0)
        r = drop_empty(rec, copied, mark, err);
    return r == 0 ? tidy(rec, copied, ret, err) : r;
}

int wal_recover(struct wal_dir *dir, bool salvage,
                int (*replay)(void *arg, const struct vex_wal_record *record, struct vex_err *err), void *arg,
                struct wal_recovered *ret, struct vex_err *err)
{
    struct recovery rec = {
        .dir = dir, .salvage = salvage, .replay = replay, .arg = arg, .window = {.dir = dir}};
    memset(ret, 0, sizeof *ret);
    err->code = 0;
    dir->next_number = dir->next_old = 1;
    int r = recover(&rec, ret, err);
    wal_window_done(&rec.window);
    for (size_t i = 0; i < rec.count; i++) {
        if (rec.found[i].seg != NULL)
            wal_segment_free(dir, rec.found[i].seg);
    }
    vex_mem_free(rec.found);
    if (r == 0)
        return 0;
    for (struct wal_segment *seg = ret->first; seg != NULL;) {
        struct wal_segment *next = seg->next;
        wal_segment_free(dir, seg);
        seg = next;
    }
    return r;
}
