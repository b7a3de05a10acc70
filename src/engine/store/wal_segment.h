/* Files of the log's folder: segments in use (N.wal), files kept for reuse (N.old), the one being made
 * (draft.tmp).
 *
 * Owner     The log; recovery first, then the log thread alone. No lock.
 * Invariant A name N.wal exists only with its header and its space on the disk: files are made under another
 * name, synced and renamed. Every change of names is synced before the next one, so a crash undoes at most
 * one. Functions return 0 or a negative errno. A folder sync that fails sets `broken`: what names exist is
 * unknown then. */
#ifndef VEX_ENGINE_STORE_WAL_SEGMENT_H
#define VEX_ENGINE_STORE_WAL_SEGMENT_H

#include "base/file.h"
#include "base/io.h"
#include "engine/store/wal_format.h"

#define WAL_POOL_MAX 2 /* files kept for reuse */

struct wal_segment {
    uint64_t number, salt;
    uint64_t bytes;     /* size of the file */
    uint64_t end;       /* where the next record goes (log mutex) */
    uint64_t first_seq; /* 0: prepared, not used (log mutex) */
    uint64_t last_seq;  /* set when the log has moved on to the next one */
    struct vex_file *file;
    bool copy;  /* made by recovery */
    bool dirty; /* written since its last sync (log thread) */
    struct wal_segment *next;
};

struct wal_dir {
    struct vex_io *io;
    char *path;
    uint64_t segment_bytes;
    uint64_t next_number;
    uint64_t next_old;           /* name of the next file kept for reuse */
    uint64_t pool[WAL_POOL_MAX]; /* their names; all have segment_bytes */
    size_t pool_count;
    bool broken;
};

void wal_dir_path(const struct wal_dir *dir, char *buf, uint64_t number, const char *ext);

/* Fills a header block of WAL_HEADER_BLOCK bytes. */
void wal_segment_header_fill(const struct wal_segment *seg, uint64_t durable, char *block);

/* Makes the next segment under a draft name, with at least `bytes` (from the pool when that serves), its
 * header in it. One with a first sequence is a recovery's copy of the tail. */
int wal_segment_draft(struct wal_dir *dir, uint64_t bytes, uint64_t first_seq, uint64_t durable,
                      struct wal_segment **ret, char *draft_path);
/* Syncs the draft and gives it its name; frees it when that fails. */
int wal_segment_publish(struct wal_dir *dir, struct wal_segment *seg, const char *draft_path);
void wal_segment_discard(struct wal_dir *dir, struct wal_segment *seg, const char *draft_path);
void wal_segment_free(struct wal_dir *dir, struct wal_segment *seg);

/* Gives back the space behind the records, which end at `end`; the file has to be open. Failing to is no harm. */
void wal_segment_trim(struct wal_dir *dir, struct wal_segment *seg, uint64_t end);

/* Takes the name N.wal away from a segment that is not needed; the file is kept for reuse if it fits and
 * `keep`. The struct stays, its file is closed; when the name cannot be taken away nothing has changed. */
int wal_segment_retire(struct wal_dir *dir, struct wal_segment *seg, bool keep);

#endif
