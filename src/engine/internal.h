/* Inside of the engine: its structs, shared by the files of this folder only.
 *
 * Locks, in the order in which they may be taken:
 *     change_lock  >  collection's writer slot  >  collection's lock  >  log mutex  >  catalog_lock, queue_lock  >  dirty_lock
 * change_lock      one change of the catalog at a time; held while the log is waited for
 * writer slot      `busy`: one thread applies, checkpoints or alters a collection
 * collection's     its gate, then its lock. Whoever waits for the lock exclusive keeps every reader out: so long reads, background work
 * lock             and writers meet at the gate, and short reads pass by
 * catalog_lock     short: the catalog in memory
 * queue_lock       short: a collection's queue, flags and configuration pointer
 * dirty_lock       short: the list of collections whose records the log must keep */
#ifndef VEX_ENGINE_INTERNAL_H
#define VEX_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/file.h"
#include "engine/catalog.h"
#include "engine/collection.h"
#include "engine/store/wal.h"

/* Payload of VEX_ENOT_FOUND for a name. */
#define VEX_NO_COLLECTION "Collection `" VEX_STR_FMT "` doesn't exist!"

struct vex_engine {
    struct vex_io *io;
    struct vex_dev *dev;
    struct vex_pool *pool;
    struct vex_wal *wal;
    struct vex_engine_options options; /* dir: our own copy */
    char *dir;
    struct vex_file *lock_file;

    pthread_mutex_t change_lock;
    pthread_mutex_t catalog_lock;
    struct vex_catalog catalog;

    pthread_mutex_t dirty_lock;
    struct vex_collection *dirty; /* list; guarded by dirty_lock, as are the two below */
    uint64_t catalog_dirty;       /* first record that the catalog's file lacks; 0: none */
    uint64_t catalog_logged;      /* last record of the catalog in the log */
    uint64_t catalog_dirty_bytes; /* log bytes when it became dirty */

    pthread_mutex_t objects_lock; /* with objects_gone: collections in memory */
    pthread_cond_t objects_gone;
    uint64_t objects;

    pthread_mutex_t timer_lock;
    pthread_cond_t timer_wake;
    pthread_t timer;
    bool timer_runs, stopping;
    _Atomic bool has_graphs;   /* plans go by what the machine takes, which the timer measures */
    _Atomic bool memory_due;   /* of some collection */
    uint64_t memory_looked_at; /* the timer's; 0: not begun */
    _Atomic bool used;         /* some collection has been */
    uint64_t use_looked_at;    /* the timer's */
    bool any_awake;            /* the timer's: a collection has pages that may leave soon */

    bool recovering;    /* only the opening thread is here */
    uint64_t first_seq; /* first record found by recovery */
    uint64_t replayed;  /* bytes */
    _Atomic bool closing;
    _Atomic uint64_t space_at; /* when free space was asked for last; 0: never */
    _Atomic uint64_t space;
};

/* A mutation on its way: logged or parked, then queued until applied. Two parties hold it, the log and the applier; the
 * second to let go answers a waiting caller and frees it. */
struct vex_pending {
    struct vex_wal_entry entry;
    struct vex_collection *collection; /* a reference */
    struct vex_mutation *mutation;     /* not touched after done */
    char *body;
    uint32_t ops;
    bool wait;
    enum { VEX_PENDING_LOGGING, VEX_PENDING_WRITTEN, VEX_PENDING_FAILED } state; /* queue_lock */
    uint32_t at; /* operations applied so far: a retry goes on there */
    int code;    /* of applying */
    int log_status;
    struct vex_err *err; /* when code is not 0 */
    struct vex_op_result *results;
    _Atomic int parties;
    struct vex_pending *next;
};

struct vex_pending_list {
    struct vex_pending *head, *tail;
};

struct vex_collection {
    struct vex_engine *engine;
    _Atomic uint32_t refs;
    uint64_t id;
    uint8_t uuid[16];
    struct vex_str tenant, database;
    struct vex_str name; /* catalog_lock */
    uint64_t created_us;
    struct vex_collection *older, *newer; /* catalog_lock */
    _Atomic bool dropped;
    _Atomic int refused; /* VEX_E*, or 0 */
    char *refused_text;  /* set before `refused`, never changed after */

    pthread_rwlock_t gate; /* of long reads and writers: taken before the lock */
    pthread_rwlock_t lock;
    pthread_mutex_t open_lock; /* one opens */
    _Atomic bool open;         /* set under lock exclusive */
    struct vex_collection_data data;
    struct vex_arena arena; /* the writer's scratch; empty between mutations */

    pthread_mutex_t queue_lock;
    pthread_cond_t changed;
    struct vex_config *config;
    struct vex_pending_list queue, parked;
    uint64_t queued, queued_bytes;
    uint32_t submitting; /* threads between their decision to log and the end of the append */
    bool altering, unparking, scheduled, busy;
    bool failing; /* applying lacks space: growing writes are refused */
    bool backoff; /* and is not tried again before the timer says so */
    bool want_checkpoint;
    struct vex_task task;
    _Atomic uint64_t next_op;

    /* the writer slot's */
    uint64_t applied_seq;
    uint64_t applied_op; /* last operation that changed something; no later one has */
    uint64_t dirty_bytes;
    bool folder_made;

    /* dirty_lock */
    uint64_t dirty_first; /* first record not covered by a checkpoint; 0: none */
    uint64_t dirty_since;
    struct vex_collection *dirty_next, **dirty_link;

    /* collection_memory.c */
    _Atomic uint64_t worked; /* bytes of files that bulk work went through since memory was given back */
    _Atomic bool memory_due, memory_queued;
    _Atomic bool used; /* read since the timer looked */
    uint64_t
        used_ns; /* the timer's: when it found that; 0: the files have left memory since, or it was never read */
    _Atomic bool idle; /* for the task */
    struct vex_task memory_task;
};

/* collection.c */
struct vex_collection *vex_collection_new(struct vex_engine *engine, uint64_t id, const uint8_t uuid[16],
                                          struct vex_str tenant, struct vex_str database, struct vex_str name,
                                          uint64_t created_us, struct vex_config *config);
bool vex_collection_try_ref(struct vex_collection *collection); /* false: it is dying */
int vex_collection_open(struct vex_collection *collection, struct vex_err *err);
/* The lock, shared, for work that isn't short: through the gate. */
void vex_collection_work_begin(struct vex_collection *collection);
void vex_collection_work_end(struct vex_collection *collection);
/* The lock, exclusive. Waits for long reads at the gate, so that short ones go on meanwhile; then for those, which are short. */
void vex_collection_write_begin(struct vex_collection *collection);
void vex_collection_write_end(struct vex_collection *collection);
/* Marks it as damaged; the first reason stays. */
void vex_collection_refuse(struct vex_collection *collection, const char *text);
void vex_collection_log_refusal(struct vex_collection *collection);
int vex_collection_usable(struct vex_collection *collection,
                          struct vex_err *err); /* not dropped, not refused */
void vex_collection_path(struct vex_collection *collection, char path[VEX_PATH_MAX]);
/* Removes the files of the collection's folder whose names begin with `prefix` and that `is_known`, called under the shared lock, knows
 * nothing of. */
typedef bool vex_known_file_fn(void *arg, const char *name);
void vex_collection_sweep(struct vex_collection *collection, const char *prefix, vex_known_file_fn *is_known,
                          void *arg);
void vex_collection_publish_config(struct vex_collection *collection,
                                   struct vex_config *config); /* takes over the reference */
int vex_collection_reconfigure(struct vex_collection *collection,
                               struct vex_err *err); /* open files follow; writer slot */

/* collection_queue.c */
void vex_collection_acquire(struct vex_collection *collection); /* the writer slot; waits */
void vex_collection_release(struct vex_collection *collection);
void vex_collection_schedule(struct vex_collection *collection,
                             bool checkpoint); /* work for a pool thread, if any */
int vex_collection_hold(struct vex_collection *collection,
                        struct vex_err *err); /* no new submits; the queue is empty */
void vex_collection_unhold(struct vex_collection *collection);
void vex_collection_abandon(
    struct vex_collection *collection); /* at the end: answers what can't be applied now */

/* collection_apply.c: one record under the writer slot. 0; VEX_ENO_SPACE, VEX_EIO, VEX_ENO_MEMORY: nothing of the operation
 * *at happened, try again; else done, the operation's own error is in *code and *err. */
int vex_apply(struct vex_collection *collection, const void *body, size_t len, uint64_t op, bool check,
              uint32_t *at, struct vex_op_result *results, int *code, struct vex_err *err);

/* collection_checkpoint.c: under the writer slot. */
/* VEX_EUNAVAILABLE: a mutation is applied in part, waiting for space. */
int vex_collection_whole(struct vex_collection *collection, struct vex_err *err);
/* No lock: the log keeps all up to the record. VEX_EREAD_ONLY. */
int vex_engine_sync_log(struct vex_engine *engine, uint64_t seq, struct vex_err *err);
int vex_checkpoint_collection(struct vex_collection *collection, struct vex_err *err);
struct vex_manifest {
    uint64_t id, seq, next_op;
    struct vex_rows_sizes rows;
    struct vex_str heap, vectors; /* states */
};
int vex_manifest_decode(struct vex_str bytes, struct vex_manifest *ret);
void vex_dirty_add(struct vex_collection *collection, uint64_t seq);
void vex_dirty_forget(struct vex_collection *collection);
void vex_dirty_later(struct vex_collection *collection); /* its checkpoint failed: not at once again */
void vex_engine_release_log(struct vex_engine *engine);

/* collection_memory.c: any thread, any lock. */
/* Work in the background went through so many bytes of the collection's files. */
void vex_collection_worked(struct vex_collection *collection, uint64_t bytes);
/* It has ended for now: if it was much, the memory that it leaves behind goes back to the system soon. */
void vex_collection_work_ended(struct vex_collection *collection);
/* It is read: its files stay in memory for a while. Relaxed, on every read. */
void vex_collection_used(struct vex_collection *collection);
void vex_engine_evict(struct vex_engine *engine); /* the timer's */

/* engine_catalog.c */
int vex_engine_log_change(struct vex_engine *engine, enum vex_change kind, struct vex_buf *body,
                          struct vex_err *err);

/* engine_recover.c */
int vex_engine_recover(struct vex_engine *engine, struct vex_err *err);
int vex_engine_save_catalog(struct vex_engine *engine, struct vex_err *err);

/* engine.c */
uint64_t vex_engine_space(struct vex_engine *engine); /* free bytes, at most 100 ms old; UINT64_MAX unknown */

#endif
