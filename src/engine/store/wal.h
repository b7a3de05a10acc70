/* Write-ahead log of the node: one ordered sequence of records for all collections and the catalog.
 *
 * Role      Group commit. Any thread appends; the log thread writes everything buffered with one pwrite ("written":
 *           survives the process) and then one fdatasync ("durable": survives the machine); the next group fills meanwhile.
 * Owner     The engine. One log per data folder, in DIR/wal/%09u.wal, preallocated segments.
 * Lock      One mutex orders appends: entry->ordered runs under it, so whatever it queues has the order of the log.
 * Invariant Sequences start at 1 and have no holes. `written` and `durable` callbacks come on the log thread, in sequence
 *           order, each at most once; nothing is acknowledged before its callback with status 0.
 * Format    docs/disk-format.md, "log". Every record carries the highest sequence known durable when it was written: a bad
 *           record above the best such mark is a torn tail and is cut; at or below it, it is damage.
 * After the first failed write or sync the log is read-only until restart: every pending and later append fails with
 * VEX_EREAD_ONLY. */
#ifndef VEX_ENGINE_STORE_WAL_H
#define VEX_ENGINE_STORE_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"

struct vex_wal;

struct vex_wal_options {
    const char *dir; /* exists */
    uint64_t
        segment_bytes; /* size of a preallocated segment; a larger record gets a larger segment of its own */
    uint64_t sync_ns;  /* longest time a record nobody waits for stays unsynced (1 s) */
    bool salvage;      /* go on where framing is lost below the durable mark, cutting there */
};

/* One record on its way into the log; owned by the caller until its last callback. */
struct vex_wal_entry {
    uint16_t kind;       /* a mutation kind; the log does not look at it */
    uint64_t collection; /* 0: the catalog */
    const void *body;    /* must stay until `written` */
    size_t len;          /* at most VEX_WAL_BODY_MAX */
    bool urgent;         /* may use the reserve on a full disk (deletes) */
    uint64_t seq;        /* out: set before `ordered` */
    uint64_t op; /* out: `ordered` may set it; stored with the record (operation number in the collection) */
    /* Under the log mutex, exactly when the record has its place. Must be short and must not call the log. */
    void (*ordered)(struct vex_wal_entry *entry);
    /* Log thread. status 0 or VEX_EREAD_ONLY. */
    void (*written)(struct vex_wal_entry *entry, int status);
    /* Log thread, after `written`; NULL when nobody waits. */
    void (*durable)(struct vex_wal_entry *entry, int status);
    struct vex_wal_entry *next; /* the log's */
};

#define VEX_WAL_BODY_MAX (1u << 30)

/* One record as recovery finds it. */
struct vex_wal_record {
    uint64_t seq, op, collection;
    uint16_t kind;
    bool damaged; /* the body fails its checksum although it was durable: body is NULL */
    const void *body;
    size_t len;
};

/* Opens the log: recovers first, then is ready for appends. `replay` is called for every record in order, on this thread,
 * before vex_wal_open returns; a negative result stops and fails the opening. Damage to the framing at or below the durable
 * mark fails with VEX_ECORRUPT (unless salvage), a torn tail is cut; the part above the last durable mark is copied to a
 * new segment and synced before it counts. Callbacks of entries start only after opening. */
int vex_wal_open(struct vex_io *io, const struct vex_wal_options *options,
                 int (*replay)(void *arg, const struct vex_wal_record *record, struct vex_err *err),
                 void *arg, struct vex_wal **ret, struct vex_err *err);

/* Writes and syncs what is buffered, stops the log thread, frees. */
void vex_wal_close(struct vex_wal *wal);

/* Appends. 0: callbacks will come. VEX_EREAD_ONLY, VEX_ENO_SPACE (no room for another segment; nothing was taken),
 * VEX_ETOO_LARGE: no callback comes, `ordered` did not run. Never waits for the disk. */
int vex_wal_append(struct vex_wal *wal, struct vex_wal_entry *entry);

/* Bytes accepted and not yet written: for back-pressure. */
uint64_t vex_wal_pending(struct vex_wal *wal);
uint64_t vex_wal_last(struct vex_wal *wal);    /* highest sequence taken */
uint64_t vex_wal_written(struct vex_wal *wal); /* highest sequence written */
uint64_t vex_wal_durable(struct vex_wal *wal); /* highest sequence durable */
bool vex_wal_read_only(struct vex_wal *wal);
/* Total bytes appended since opening: decides when to checkpoint. */
uint64_t vex_wal_bytes(struct vex_wal *wal);

/* Blocks until everything appended so far is durable (not on an I/O thread): for checkpoints. 0 or VEX_EREAD_ONLY. */
int vex_wal_sync(struct vex_wal *wal);

/* Records up to and including seq are no longer needed: segments wholly below are recycled or removed. */
void vex_wal_release(struct vex_wal *wal, uint64_t seq);

#endif
