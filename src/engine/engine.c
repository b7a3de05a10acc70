/* The engine: opening and closing a data folder, and its one timer thread.
 *
 * Owner     main. Lock: see internal.h.
 * Timer     Wakes a few times a second: checkpoints collections that have been changed for too long, lets those that lack disk
 *           space try again when there is some, writes the catalog's file when it holds the log back. Once, it measures the machine. */
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/index/machine.h"
#include "engine/internal.h"

#define FORMAT_VERSION     1u
#define TICK_NS            UINT64_C(200000000)
#define FIT_TICKS          5u /* until then starting has the processor */
#define SPACE_NS           UINT64_C(100000000)
#define CATALOG_CHANGES    1000u
#define DEFAULT_QUEUE      (UINT64_C(64) << 20)
#define DEFAULT_SEGMENT    (UINT64_C(32) << 20)
#define DEFAULT_CHECKPOINT (UINT64_C(256) << 20)

uint64_t vex_engine_space(struct vex_engine *engine)
{
    uint64_t now = vex_io_monotonic_ns(engine->io), at = atomic_load(&engine->space_at);
    int64_t space;

    if (at != 0 && now - at < SPACE_NS)
        return atomic_load(&engine->space);
    space = engine->io->ops->free_space(engine->io, engine->dir);
    atomic_store(&engine->space, space < 0 ? UINT64_MAX : (uint64_t)space);
    atomic_store(&engine->space_at, now);
    return atomic_load(&engine->space);
}

bool vex_engine_read_only(struct vex_engine *engine)
{
    return vex_wal_read_only(engine->wal);
}

const char *vex_engine_device(struct vex_engine *engine)
{
    return engine->dev->ops->name;
}

bool vex_engine_auto_index(const struct vex_engine *engine)
{
    return engine->options.auto_index;
}

/* ---- the timer ---- */

/* References to the dirty collections. */
static struct vex_collection **dirty_collections(struct vex_engine *engine, size_t *ret_count)
{
    struct vex_collection **all = NULL;
    size_t count = 0, cap = 0;

    pthread_mutex_lock(&engine->dirty_lock);
    for (struct vex_collection *c = engine->dirty; c != NULL; c = c->dirty_next) {
        if (!vex_collection_try_ref(c))
            continue;
        if (count == cap) {
            cap = cap > 0 ? 2 * cap : 16;
            all = vex_mem_realloc(all, cap * sizeof *all);
        }
        all[count++] = c;
    }
    pthread_mutex_unlock(&engine->dirty_lock);
    *ret_count = count;
    return all;
}

static void look_after(struct vex_engine *engine, struct vex_collection *collection)
{
    uint64_t now = vex_io_monotonic_ns(engine->io), space = vex_engine_space(engine), since;
    bool retry;

    if (atomic_load(&collection->refused) != 0)
        return;
    pthread_mutex_lock(&engine->dirty_lock);
    since = collection->dirty_since;
    pthread_mutex_unlock(&engine->dirty_lock);
    pthread_mutex_lock(&collection->queue_lock);
    retry = collection->backoff && collection->queue.head != NULL &&
            space > 2 * collection->queue.head->entry.len;
    if (retry)
        collection->backoff = false;
    pthread_mutex_unlock(&collection->queue_lock);
    vex_collection_schedule(collection, engine->options.checkpoint_ns != 0 && now > since &&
                                            now - since >= engine->options.checkpoint_ns);
}

static bool catalog_is_due(struct vex_engine *engine)
{
    uint64_t bytes = vex_wal_bytes(engine->wal);
    bool due;

    pthread_mutex_lock(&engine->catalog_lock);
    due = engine->catalog.changes >= CATALOG_CHANGES;
    pthread_mutex_unlock(&engine->catalog_lock);
    pthread_mutex_lock(&engine->dirty_lock);
    if (engine->catalog_dirty == 0)
        engine->catalog_dirty_bytes = bytes;
    else
        due = due || bytes - engine->catalog_dirty_bytes >= engine->options.segment_bytes / 2;
    pthread_mutex_unlock(&engine->dirty_lock);
    return due;
}

static void tick(struct vex_engine *engine)
{
    struct vex_err err;
    size_t count;
    struct vex_collection **all = dirty_collections(engine, &count);

    for (size_t i = 0; i < count; i++) {
        look_after(engine, all[i]);
        vex_collection_unref(all[i]);
    }
    vex_mem_free(all);
    vex_engine_evict(engine);
    if (!catalog_is_due(engine) || vex_wal_read_only(engine->wal))
        return;
    if (vex_engine_save_catalog(engine, &err) == 0)
        vex_engine_release_log(engine);
    else
        vex_warn("engine", "the catalog's file can't be written and is tried again: %s", err.text);
}

static void *timer_main(void *arg)
{
    struct vex_engine *engine = arg;
    unsigned ticks = 0;

    pthread_mutex_lock(&engine->timer_lock);
    while (!engine->stopping) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)TICK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&engine->timer_wake, &engine->timer_lock, &until);
        if (engine->stopping)
            break;
        pthread_mutex_unlock(&engine->timer_lock);
        if (++ticks > FIT_TICKS && atomic_load(&engine->has_graphs))
            vex_machine_fit();
        tick(engine);
        pthread_mutex_lock(&engine->timer_lock);
    }
    pthread_mutex_unlock(&engine->timer_lock);
    return NULL;
}

static void stop_timer(struct vex_engine *engine)
{
    if (!engine->timer_runs)
        return;
    pthread_mutex_lock(&engine->timer_lock);
    engine->stopping = true;
    pthread_cond_signal(&engine->timer_wake);
    pthread_mutex_unlock(&engine->timer_lock);
    pthread_join(engine->timer, NULL);
    engine->timer_runs = false;
}

/* ---- the folder ---- */

static int lock_folder(struct vex_engine *engine, struct vex_err *err)
{
    char path[VEX_PATH_MAX];
    int rc;

    vex_file_join(path, engine->dir, "lock");
    rc = vex_io_open(engine->io, path, VEX_IO_WRITE | VEX_IO_CREATE, &engine->lock_file);
    if (rc == 0)
        rc = engine->io->ops->lock(engine->io, engine->lock_file);
    if (rc == -EWOULDBLOCK)
        return vex_err_set(err, VEX_ELOCKED, "%s is in use by another server", engine->dir);
    if (rc < 0)
        return vex_err_set(err, vex_err_errno(rc), "cannot lock %s: error %d", path, -rc);
    return 0;
}

static int check_format(struct vex_engine *engine, struct vex_err *err)
{
    char path[VEX_PATH_MAX], text[32];
    int len = snprintf(text, sizeof text, "vexfs %u\n", FORMAT_VERSION);
    struct vex_buf found;
    int rc;

    vex_buf_init(&found, NULL);
    vex_file_join(path, engine->dir, "format");
    rc = vex_file_read(engine->io, path, 4096, &found, err);
    if (rc == VEX_ENOT_FOUND)
        rc = vex_file_replace(engine->io, path, text, (size_t)len, err);
    else if (rc == 0 && !vex_str_eq_c(vex_buf_str(&found), text))
        rc = vex_err_set(err, VEX_EPRECONDITION, "%s has another format than this server reads (%u)",
                         engine->dir, FORMAT_VERSION);
    vex_buf_done(&found);
    return rc;
}

static int make_folders(struct vex_engine *engine, struct vex_err *err)
{
    static const char *const names[] = {"wal", "collections"};
    char path[VEX_PATH_MAX];
    int rc = vex_file_mkdirs(engine->io, engine->dir, err);

    if (rc == 0)
        rc = lock_folder(engine, err);
    if (rc == 0)
        rc = check_format(engine, err);
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        vex_file_join(path, engine->dir, names[i]);
        rc = vex_file_mkdirs(engine->io, path, err);
    }
    return rc;
}

/* ---- opening and closing ---- */

static void init_locks(struct vex_engine *engine)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&engine->change_lock, NULL);
    pthread_mutex_init(&engine->catalog_lock, NULL);
    pthread_mutex_init(&engine->dirty_lock, NULL);
    pthread_mutex_init(&engine->objects_lock, NULL);
    pthread_cond_init(&engine->objects_gone, NULL);
    pthread_mutex_init(&engine->timer_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->timer_wake, &attr);
    pthread_condattr_destroy(&attr);
}

static struct vex_engine *new_engine(const struct vex_engine_options *options)
{
    struct vex_engine *engine = VEX_NEW(struct vex_engine);

    engine->options = *options;
    engine->dir = vex_mem_strndup(options->dir, strlen(options->dir));
    engine->options.dir = engine->dir;
    if (engine->options.queue_bytes == 0)
        engine->options.queue_bytes = DEFAULT_QUEUE;
    if (engine->options.segment_bytes == 0)
        engine->options.segment_bytes = DEFAULT_SEGMENT;
    if (engine->options.checkpoint_bytes == 0)
        engine->options.checkpoint_bytes = DEFAULT_CHECKPOINT;
    engine->io = options->io;
    engine->dev = options->dev;
    engine->pool = options->pool;
    engine->recovering = true;
    init_locks(engine);
    vex_catalog_init(&engine->catalog);
    return engine;
}

/* Nothing runs any more but tasks that end by themselves. */
static void free_engine(struct vex_engine *engine)
{
    atomic_store(&engine->closing, true);
    vex_catalog_done(&engine->catalog);
    pthread_mutex_lock(&engine->objects_lock);
    while (engine->objects > 0)
        pthread_cond_wait(&engine->objects_gone, &engine->objects_lock);
    pthread_mutex_unlock(&engine->objects_lock);
    if (engine->wal != NULL)
        vex_wal_close(engine->wal);
    vex_io_close(engine->io, engine->lock_file);
    pthread_mutex_destroy(&engine->change_lock);
    pthread_mutex_destroy(&engine->catalog_lock);
    pthread_mutex_destroy(&engine->dirty_lock);
    pthread_mutex_destroy(&engine->objects_lock);
    pthread_cond_destroy(&engine->objects_gone);
    pthread_mutex_destroy(&engine->timer_lock);
    pthread_cond_destroy(&engine->timer_wake);
    vex_mem_free(engine->dir);
    vex_mem_free(engine);
}

int vex_engine_open(const struct vex_engine_options *options, struct vex_engine **ret, struct vex_err *err)
{
    struct vex_engine *engine = new_engine(options);
    int rc = make_folders(engine, err);

    if (rc == 0)
        rc = vex_engine_recover(engine, err);
    engine->recovering = false;
    if (rc == 0 && pthread_create(&engine->timer, NULL, timer_main, engine) != 0)
        rc = vex_err_set(err, VEX_ENO_MEMORY, "cannot start the engine's timer thread");
    if (rc != 0) {
        free_engine(engine);
        return rc;
    }
    engine->timer_runs = true;
    *ret = engine;
    return 0;
}

static void finish_collection(struct vex_collection *collection)
{
    struct vex_err err;
    bool open = atomic_load(&collection->open);
    int rc;

    vex_index_set_stop(collection->data.indexes);
    vex_graph_set_stop(collection->data.graphs);
    rc = vex_collection_drain(collection, &err);
    if (rc == 0 && open) {
        vex_collection_acquire(collection);
        rc = vex_checkpoint_collection(collection, &err);
        if (rc == 0) {
            vex_index_set_save(collection->data.indexes);
            vex_graph_set_save(collection->data.graphs);
        }
        vex_collection_release(collection);
    }
    if (rc != 0)
        vex_warn("engine", "collection " VEX_STR_FMT " is closed without a checkpoint: %s",
                 VEX_STR_ARG(collection->name), err.text);
    vex_collection_abandon(collection);
}

void vex_engine_close(struct vex_engine *engine)
{
    struct vex_err err;

    if (engine == NULL)
        return;
    stop_timer(engine);
    for (struct vex_collection *c = engine->catalog.oldest; c != NULL; c = c->newer)
        finish_collection(c);
    if (!vex_wal_read_only(engine->wal)) {
        if (vex_engine_save_catalog(engine, &err) == 0)
            vex_engine_release_log(engine);
        else
            vex_warn("engine", "the catalog's file can't be written: %s", err.text);
    }
    free_engine(engine);
}
