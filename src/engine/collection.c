/* A collection as an object: life, opening, reading.
 *
 * Owner     The catalog holds one reference, calls and pool tasks the others. The last one closes the files and, when the
 *           collection was dropped, removes its folder.
 * Lock      See internal.h.
 * Invariant `open` once set stays set until the object dies. */
#include "engine/collection.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/store/checkpoint.h"

static struct vex_str dup_str(struct vex_str s)
{
    return vex_str(vex_mem_strndup(s.ptr != NULL ? s.ptr : "", s.len), s.len);
}

static void init_locks(struct vex_collection *collection)
{
    pthread_rwlockattr_t attr;

    /* A stream of readers must not keep the writer out. */
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&collection->gate, &attr);
    pthread_rwlock_init(&collection->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&collection->open_lock, NULL);
    pthread_mutex_init(&collection->queue_lock, NULL);
    pthread_cond_init(&collection->changed, NULL);
}

struct vex_collection *vex_collection_new(struct vex_engine *engine, uint64_t id, const uint8_t uuid[16],
                                          struct vex_str tenant, struct vex_str database, struct vex_str name,
                                          uint64_t created_us, struct vex_config *config)
{
    struct vex_collection *collection = VEX_NEW(struct vex_collection);

    collection->engine = engine;
    atomic_init(&collection->refs, 1);
    collection->id = id;
    memcpy(collection->uuid, uuid, 16);
    collection->tenant = dup_str(tenant);
    collection->database = dup_str(database);
    collection->name = dup_str(name);
    collection->created_us = created_us;
    collection->config = config;
    atomic_init(&collection->next_op, 1);
    vex_arena_init(&collection->arena, 0);
    init_locks(collection);
    pthread_mutex_lock(&engine->objects_lock);
    engine->objects++;
    pthread_mutex_unlock(&engine->objects_lock);
    return collection;
}

/* ---- death ---- */

static void close_data(struct vex_collection_data *data)
{
    vex_index_set_free(data->indexes);
    vex_graph_set_free(data->graphs);
    vex_vectors_close(data->vectors);
    if (data->rows != NULL)
        vex_rows_close(data->rows);
    if (data->heap != NULL)
        vex_heap_close(data->heap);
    vex_config_unref(data->config);
}

static void destroy(struct vex_collection *collection)
{
    struct vex_engine *engine = collection->engine;
    char path[VEX_PATH_MAX];
    struct vex_err err;

    if (atomic_load(&collection->open))
        vex_metric_add(VEX_METRIC_OPEN_COLLECTIONS, (uint64_t)-1);
    vex_dirty_forget(collection);
    close_data(&collection->data);
    if (atomic_load(&collection->dropped)) {
        vex_collection_path(collection, path);
        if (vex_file_remove_tree(engine->io, path, &err) != 0)
            vex_warn("engine", "folder of a dropped collection stays until the next start: %s", err.text);
    }
    vex_config_unref(collection->config);
    vex_arena_done(&collection->arena);
    pthread_rwlock_destroy(&collection->gate);
    pthread_rwlock_destroy(&collection->lock);
    pthread_mutex_destroy(&collection->open_lock);
    pthread_mutex_destroy(&collection->queue_lock);
    pthread_cond_destroy(&collection->changed);
    vex_mem_free((void *)(uintptr_t)collection->tenant.ptr);
    vex_mem_free((void *)(uintptr_t)collection->database.ptr);
    vex_mem_free((void *)(uintptr_t)collection->name.ptr);
    vex_mem_free(collection->refused_text);
    vex_mem_free(collection);
    pthread_mutex_lock(&engine->objects_lock);
    if (--engine->objects == 0)
        pthread_cond_broadcast(&engine->objects_gone);
    pthread_mutex_unlock(&engine->objects_lock);
}

static void destroy_task(struct vex_task *task)
{
    destroy(VEX_CONTAINER_OF(task, struct vex_collection, task));
}

struct vex_collection *vex_collection_ref(struct vex_collection *collection)
{
    atomic_fetch_add_explicit(&collection->refs, 1, memory_order_relaxed);
    return collection;
}

bool vex_collection_try_ref(struct vex_collection *collection)
{
    uint32_t refs = atomic_load_explicit(&collection->refs, memory_order_relaxed);

    while (refs != 0)
        if (atomic_compare_exchange_weak_explicit(&collection->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void vex_collection_unref(struct vex_collection *collection)
{
    struct vex_engine *engine;

    if (collection == NULL || atomic_fetch_sub_explicit(&collection->refs, 1, memory_order_acq_rel) != 1)
        return;
    engine = collection->engine;
    /* Removing a folder blocks and this may be any thread; no task of it is queued, for a task holds a reference. */
    if (atomic_load(&engine->closing) || engine->recovering) {
        destroy(collection);
        return;
    }
    collection->task.run = destroy_task;
    vex_pool_submit(engine->pool, &collection->task);
}

/* ---- state ---- */

void vex_collection_path(struct vex_collection *collection, char path[VEX_PATH_MAX])
{
    char text[VEX_UUID_TEXT + 1] = {0}, folder[VEX_PATH_MAX];

    vex_uuid_text(collection->uuid, text);
    vex_file_join(folder, collection->engine->dir, "collections");
    vex_file_join(path, folder, text);
}

struct sweep {
    const char *prefix;
    vex_known_file_fn *is_known;
    void *arg;
    struct vex_buf names; /* NUL-terminated */
};

static int look_at_file(void *arg, const char *name)
{
    struct sweep *sweep = arg;

    if (strncmp(name, sweep->prefix, strlen(sweep->prefix)) == 0 && !sweep->is_known(sweep->arg, name))
        vex_buf_add(&sweep->names, name, strlen(name) + 1);
    return 0;
}

void vex_collection_sweep(struct vex_collection *collection, const char *prefix, vex_known_file_fn *is_known,
                          void *arg)
{
    struct vex_io *io = collection->engine->io;
    struct sweep sweep = {.prefix = prefix, .is_known = is_known, .arg = arg};
    char dir[VEX_PATH_MAX], path[VEX_PATH_MAX];

    vex_buf_init(&sweep.names, NULL);
    vex_collection_path(collection, dir);
    vex_collection_work_begin(collection);
    (void)io->ops->list(io, dir, look_at_file, &sweep); /* no folder, nothing to tidy */
    vex_collection_work_end(collection);
    for (size_t at = 0; at < sweep.names.len; at += strlen(sweep.names.ptr + at) + 1) {
        vex_file_join(path, dir, sweep.names.ptr + at);
        (void)io->ops->unlink(io, path);
    }
    vex_buf_done(&sweep.names);
}

void vex_collection_log_refusal(struct vex_collection *collection)
{
    pthread_mutex_lock(&collection->engine->catalog_lock);
    vex_error("engine", "collection " VEX_STR_FMT " is refused: %s", VEX_STR_ARG(collection->name),
              collection->refused_text);
    pthread_mutex_unlock(&collection->engine->catalog_lock);
}

void vex_collection_refuse(struct vex_collection *collection, const char *text)
{
    bool first;

    pthread_mutex_lock(&collection->queue_lock);
    first = atomic_load(&collection->refused) == 0;
    if (first) {
        collection->refused_text = vex_mem_strndup(text, strlen(text));
        atomic_store(&collection->refused, VEX_ECORRUPT);
    }
    pthread_mutex_unlock(&collection->queue_lock);
    /* During recovery a later record may still drop it; recovery says at its end who is refused. */
    if (first && !collection->engine->recovering)
        vex_collection_log_refusal(collection);
}

int vex_collection_usable(struct vex_collection *collection, struct vex_err *err)
{
    struct vex_engine *engine = collection->engine;

    if (atomic_load(&collection->dropped)) {
        pthread_mutex_lock(&engine->catalog_lock);
        vex_err_set(err, VEX_ENOT_FOUND, VEX_NO_COLLECTION, VEX_STR_ARG(collection->name));
        pthread_mutex_unlock(&engine->catalog_lock);
        return VEX_ENOT_FOUND;
    }
    if (atomic_load(&collection->refused) != 0)
        return vex_err_set(err, VEX_ECORRUPT, "Collection is damaged and not served: %s",
                           collection->refused_text);
    return 0;
}

struct vex_config *vex_collection_config(struct vex_collection *collection)
{
    struct vex_config *config;

    pthread_mutex_lock(&collection->queue_lock);
    config = vex_config_ref(collection->config);
    pthread_mutex_unlock(&collection->queue_lock);
    return config;
}

void vex_collection_publish_config(struct vex_collection *collection, struct vex_config *config)
{
    struct vex_config *old;

    pthread_mutex_lock(&collection->queue_lock);
    old = collection->config;
    collection->config = config;
    pthread_mutex_unlock(&collection->queue_lock);
    vex_config_unref(old);
}

int vex_collection_reconfigure(struct vex_collection *collection, struct vex_err *err)
{
    struct vex_index_change *indexes;
    struct vex_config *config;
    int rc;

    if (!atomic_load(&collection->open))
        return 0;
    config = vex_collection_config(collection);
    indexes = vex_index_change_new(collection->data.indexes, config);
    vex_collection_write_begin(collection);
    rc = vex_vectors_configure(collection->data.vectors, config, err);
    if (rc == 0) {
        struct vex_config *old = collection->data.config;
        collection->data.config = config;
        config = old;
        vex_index_change_apply(indexes);
        vex_rows_touch(collection->data.rows); /* what an index says of words may be something else now */
        vex_graph_set_configure(collection->data.graphs, collection->data.config);
        vex_graph_set_look(collection->data.graphs, vex_rows_live_count(collection->data.rows));
    }
    vex_collection_write_end(collection);
    vex_index_change_free(indexes);
    vex_config_unref(config);
    return rc;
}

void vex_collection_info(struct vex_collection *collection, struct vex_arena *arena,
                         struct vex_collection_info *ret)
{
    struct vex_str tenant = collection->tenant, database = collection->database;

    memcpy(ret->uuid, collection->uuid, 16);
    ret->tenant = vex_str(vex_arena_dup(arena, tenant.ptr, tenant.len), tenant.len);
    ret->database = vex_str(vex_arena_dup(arena, database.ptr, database.len), database.len);
    pthread_mutex_lock(&collection->engine->catalog_lock);
    ret->name =
        vex_str(vex_arena_dup(arena, collection->name.ptr, collection->name.len), collection->name.len);
    pthread_mutex_unlock(&collection->engine->catalog_lock);
    ret->created_us = collection->created_us;
    ret->config = vex_collection_config(collection);
}

/* ---- opening ---- */

static void child(char path[VEX_PATH_MAX], const char *dir, const char *name)
{
    vex_file_join(path, dir, name);
}

/* The last checkpoint's manifest; all zeros when there is none. */
static int read_manifest(struct vex_collection *collection, const char *dir, struct vex_buf *bytes,
                         struct vex_manifest *ret, struct vex_err *err)
{
    struct vex_engine *engine = collection->engine;
    int rc = vex_checkpoint_recover(engine->io, dir, bytes, err);

    *ret = (struct vex_manifest){.next_op = 1};
    if (rc == VEX_ENOT_FOUND)
        return 0;
    if (rc != 0)
        return rc;
    rc = vex_manifest_decode(vex_buf_str(bytes), ret);
    if (rc != 0 || ret->id != collection->id)
        return vex_err_set(err, VEX_ECORRUPT, "manifest of %s is damaged or of another collection", dir);
    if (engine->wal != NULL && ret->seq > vex_wal_last(engine->wal))
        return vex_err_set(err, VEX_ECORRUPT,
                           "%s is newer than the log: parts of the data folder are missing", dir);
    return 0;
}

static int open_files(struct vex_collection *collection, struct vex_collection_data *ret,
                      struct vex_manifest *manifest, struct vex_err *err)
{
    struct vex_engine *engine = collection->engine;
    char dir[VEX_PATH_MAX], path[VEX_PATH_MAX];
    struct vex_buf bytes;
    int rc;

    *ret = (struct vex_collection_data){.config = vex_collection_config(collection)};
    vex_buf_init(&bytes, NULL);
    vex_collection_path(collection, dir);
    rc = read_manifest(collection, dir, &bytes, manifest, err);
    if (rc == 0) {
        child(path, dir, "payload.heap");
        rc = vex_heap_open(engine->io, path, manifest->heap, &ret->heap, err);
    }
    if (rc == 0)
        rc = vex_rows_open(engine->io, engine->pool, dir, &manifest->rows, ret->heap, &ret->rows, err);
    if (rc == 0)
        rc = vex_vectors_open(engine->io, engine->dev, dir, ret->config, manifest->vectors, &ret->vectors,
                              err);
    manifest->heap = manifest->vectors = vex_str("", 0);
    vex_buf_done(&bytes);
    if (rc != 0) {
        close_data(ret);
        *ret = (struct vex_collection_data){0};
        return rc;
    }
    ret->indexes = vex_index_set_new(collection, ret->config);
    ret->graphs = vex_graph_set_new(collection, ret->config);
    return 0;
}

static int open_locked(struct vex_collection *collection, struct vex_err *err)
{
    struct vex_collection_data data;
    struct vex_manifest manifest;
    int rc;

    if (atomic_load(&collection->open))
        return 0;
    rc = open_files(collection, &data, &manifest, err);
    if (rc != 0) {
        if (rc == VEX_ECORRUPT)
            vex_collection_refuse(collection, err->text);
        return rc;
    }
    collection->applied_seq = manifest.seq;
    collection->applied_op = manifest.next_op - 1;
    if (manifest.next_op > atomic_load(&collection->next_op))
        atomic_store(&collection->next_op, manifest.next_op);
    if (!collection->engine->recovering)
        vex_graph_set_load(data.graphs, &data);
    vex_collection_write_begin(collection);
    collection->data = data;
    atomic_store(&collection->open, true);
    vex_collection_write_end(collection);
    vex_collection_used(collection); /* its rows have just been read */
    vex_metric_add(VEX_METRIC_OPEN_COLLECTIONS, 1);
    /* Recovery may change points and indexes still; it begins at its end. */
    if (!collection->engine->recovering) {
        vex_index_set_start(data.indexes);
        vex_graph_set_start(data.graphs);
    }
    return 0;
}

int vex_collection_open(struct vex_collection *collection, struct vex_err *err)
{
    int rc = vex_collection_usable(collection, err);

    if (rc != 0 || atomic_load(&collection->open))
        return rc;
    pthread_mutex_lock(&collection->open_lock);
    rc = open_locked(collection, err);
    pthread_mutex_unlock(&collection->open_lock);
    return rc;
}

/* ---- reading ---- */

static int view(struct vex_collection *collection, struct vex_collection_data *ret, struct vex_err *err)
{
    int rc = vex_collection_open(collection, err);

    if (rc != 0)
        return rc;
    if (vex_pool_in_long_task())
        vex_collection_work_begin(collection);
    else
        pthread_rwlock_rdlock(&collection->lock);
    *ret = collection->data;
    return 0;
}

int vex_collection_read_begin(struct vex_collection *collection, struct vex_collection_data *ret,
                              struct vex_err *err)
{
    vex_collection_used(collection);
    return view(collection, ret, err);
}

void vex_collection_read_end(struct vex_collection *collection)
{
    if (vex_pool_in_long_task())
        vex_collection_work_end(collection);
    else
        pthread_rwlock_unlock(&collection->lock);
}

void vex_collection_work_begin(struct vex_collection *collection)
{
    pthread_rwlock_rdlock(&collection->gate);
    pthread_rwlock_rdlock(&collection->lock);
}

void vex_collection_work_end(struct vex_collection *collection)
{
    pthread_rwlock_unlock(&collection->lock);
    pthread_rwlock_unlock(&collection->gate);
}

void vex_collection_write_begin(struct vex_collection *collection)
{
    pthread_rwlock_wrlock(&collection->gate);
    pthread_rwlock_wrlock(&collection->lock);
}

void vex_collection_write_end(struct vex_collection *collection)
{
    pthread_rwlock_unlock(&collection->lock);
    pthread_rwlock_unlock(&collection->gate);
}

struct vex_value vex_collection_payload(const struct vex_collection_data *data, uint32_t slot)
{
    const struct vex_row *row = vex_rows_at(data->rows, slot);

    if (row->blob == 0)
        return (struct vex_value){NULL};
    return vex_blob_payload(
        vex_heap_get(data->heap, row->blob, row->blob_len)); /* a damaged blob reads as none */
}

int vex_collection_stats(struct vex_collection *collection, struct vex_collection_stats *ret,
                         struct vex_err *err)
{
    struct vex_collection_data data;
    int rc = view(collection, &data, err); /* who only counts does not use it */

    if (rc != 0)
        return rc;
    *ret = (struct vex_collection_stats){.points = vex_rows_live_count(data.rows),
                                         .slots = vex_rows_slots(data.rows),
                                         .blob_bytes = vex_heap_live(data.heap),
                                         .freed_bytes = vex_heap_freed(data.heap),
                                         .last_op = atomic_load(&collection->next_op) - 1};
    for (uint32_t i = 0; i < data.config->vector_count; i++) {
        uint8_t ordinal = data.config->vectors[i].ordinal;
        ret->vectors[ordinal] = vex_rows_present_count(data.rows, ordinal);
    }
    vex_collection_read_end(collection);
    pthread_mutex_lock(&collection->queue_lock);
    ret->queued = collection->queued;
    pthread_mutex_unlock(&collection->queue_lock);
    return 0;
}
