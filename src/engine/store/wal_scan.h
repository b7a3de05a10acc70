/* Reading the log's segments during recovery. Private to it. */
#ifndef VEX_ENGINE_STORE_WAL_SCAN_H
#define VEX_ENGINE_STORE_WAL_SCAN_H

#include "base/err.h"
#include "engine/store/wal_segment.h"

/* A segment as recovery sees it. */
struct wal_found {
    struct wal_segment *seg; /* seg->end: where its records end as far as they count */
    uint64_t limit;          /* records from here on are superseded by a later segment */
    uint64_t enter_seq;      /* sequence the walk expected on entering; 0: not entered */
    uint64_t records;        /* that count */
    uint64_t durable;        /* mark of its header */
    bool lost;               /* both headers are bad (salvage only) */
};

/* A window on one file, which it keeps open; what it returned is valid until the next read. */
struct wal_window {
    struct wal_dir *dir;
    struct wal_segment *seg;
    char *buf;
    size_t cap, len;
    uint64_t at; /* file offset of buf */
};

/* Opens the file of a segment unless it is open. */
int wal_segment_open(struct wal_dir *dir, struct wal_segment *seg, struct vex_err *err);

/* `len` bytes at `offset`, which must lie within the file as the segment knows it; NULL and *err when that
 * fails. */
const char *wal_window_read(struct wal_window *window, struct wal_segment *seg, uint64_t offset, size_t len,
                            struct vex_err *err);
void wal_window_done(struct wal_window *window);

/* Reads the record header at `offset` if it is one of this segment. 1: yes, 0: no, or a negative VEX_E*. */
int wal_header_at(struct wal_window *window, struct wal_segment *seg, uint64_t offset,
                  struct wal_record_header *ret, struct vex_err *err);

/* Lists the folder: segments ascending in *ret (heap), leftovers removed, the pool filled, next_* set. */
int wal_find(struct wal_dir *dir, bool salvage, struct wal_found **ret, size_t *ret_count,
             struct vex_err *err);

/* Highest durable mark in the segments from `from`, records from `offset` of the first on, of sequences above
 * `seq`. */
int wal_best_mark(struct wal_window *window, struct wal_found *found, size_t count, size_t from,
                  uint64_t offset, uint64_t seq, uint64_t *ret, struct vex_err *err);

#endif
