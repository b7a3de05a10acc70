/* Recovery of the log, private to it: what vex_wal_open does before the log thread starts. */
#ifndef VEX_ENGINE_STORE_WAL_RECOVER_H
#define VEX_ENGINE_STORE_WAL_RECOVER_H

#include "engine/store/wal.h"
#include "engine/store/wal_segment.h"

struct wal_recovered {
    struct wal_segment *first, *last; /* segments in use, oldest first; the caller owns them */
    struct wal_segment *tail;         /* the last one when appends may go on in it, else NULL */
    uint64_t last_seq;                /* everything up to here is durable now */
};

/* Replays all records and leaves a folder of which everything that counts is durable. `dir` needs io, path
 * and segment_bytes; the rest of it is filled. */
int wal_recover(struct wal_dir *dir, bool salvage,
                int (*replay)(void *arg, const struct vex_wal_record *record, struct vex_err *err), void *arg,
                struct wal_recovered *ret, struct vex_err *err);

#endif
