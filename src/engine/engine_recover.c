/* Recovery: the catalog's file, then every record of the log, in order; and writing the catalog's file.
 *
 * Owner     The opening thread; nobody else sees the engine yet. vex_engine_save_catalog: any worker.
 * Invariant A collection's records at or below its checkpoint are skipped, as are those of collections that are gone. What can't
 *           be read is laid to its collection, which is refused; the catalog's own records must all be sound. */
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/mutation_record.h"

#define CATALOG_MAX ((size_t)4 << 30)

/* ---- the catalog's file ---- */

int vex_engine_save_catalog(struct vex_engine *engine, struct vex_err *err)
{
    char path[VEX_PATH_MAX];
    struct vex_buf bytes;
    uint64_t seq;
    int rc;

    vex_buf_init(&bytes, NULL);
    pthread_mutex_lock(&engine->change_lock);
    pthread_mutex_lock(&engine->catalog_lock);
    seq = engine->catalog.seq;
    vex_catalog_encode(&bytes, &engine->catalog);
    pthread_mutex_unlock(&engine->catalog_lock);
    vex_file_join(path, engine->dir, "catalog");
    rc = vex_file_replace(engine->io, path, bytes.ptr, bytes.len, err);
    vex_buf_done(&bytes);
    if (rc == 0) {
        engine->catalog.changes = 0;
        pthread_mutex_lock(&engine->dirty_lock);
        engine->catalog_dirty = engine->catalog_logged > seq ? seq + 1 : 0;
        pthread_mutex_unlock(&engine->dirty_lock);
    }
    pthread_mutex_unlock(&engine->change_lock);
    return rc;
}

/* *ret_found false: there is none. */
static int load_catalog(struct vex_engine *engine, bool *ret_found, struct vex_err *err)
{
    char path[VEX_PATH_MAX];
    struct vex_buf bytes;
    int rc;

    vex_buf_init(&bytes, NULL);
    vex_file_join(path, engine->dir, "catalog");
    rc = vex_file_read(engine->io, path, CATALOG_MAX, &bytes, err);
    *ret_found = rc == 0;
    if (rc == 0)
        rc = vex_catalog_decode(engine, vex_buf_str(&bytes), err);
    else if (rc == VEX_ENOT_FOUND)
        rc = 0;
    vex_buf_done(&bytes);
    return rc;
}

/* ---- replay ---- */

static int replay_change(struct vex_engine *engine, const struct vex_wal_record *record, struct vex_err *err)
{
    struct vex_collection *collection = NULL;
    int rc;

    if (record->seq <= engine->catalog.seq)
        return 0;
    if (record->damaged && engine->options.salvage) {
        vex_error("engine", "log record %llu of the catalog is damaged and left out",
                  (unsigned long long)record->seq);
        return 0;
    }
    if (record->damaged)
        return vex_err_set(err, VEX_ECORRUPT, "log record %llu of the catalog is damaged",
                           (unsigned long long)record->seq);
    rc = vex_catalog_apply(engine, (enum vex_change)record->kind, vex_str(record->body, record->len), err);
    if (rc != 0)
        return vex_err_wrap(err, "log record %llu", (unsigned long long)record->seq);
    engine->catalog.seq = record->seq;
    engine->catalog_logged = record->seq;
    if (engine->catalog_dirty == 0)
        engine->catalog_dirty = record->seq;
    if (record->kind == VEX_CHANGE_ALTER && record->len >= 8) {
        uint64_t id;
        memcpy(&id, record->body, sizeof id);
        collection = vex_catalog_by_id(&engine->catalog, id);
    }
    return collection != NULL ? vex_collection_reconfigure(collection, err) : 0;
}

static void replay_op_number(struct vex_collection *collection, const struct vex_wal_record *record)
{
    struct vex_record head;
    uint64_t next;

    if (vex_record_open(&head, record->body, record->len) != 0)
        return;
    next = record->op + head.count;
    if (next > atomic_load(&collection->next_op))
        atomic_store(&collection->next_op, next);
}

static int replay_mutation(struct vex_engine *engine, struct vex_collection *collection,
                           const struct vex_wal_record *record, struct vex_err *err)
{
    struct vex_err answer;
    uint32_t at = 0;
    int rc, code;

    rc = vex_apply(collection, record->body, record->len, record->op, true, &at, NULL, &code, &answer);
    if (rc != 0)
        return vex_err_set(err, rc, "log record %llu can't be applied: %s", (unsigned long long)record->seq,
                           vex_err_class(rc)->name);
    replay_op_number(collection, record);
    collection->applied_seq = record->seq;
    collection->dirty_bytes += record->len;
    engine->replayed += record->len;
    return 0;
}

static int replay(void *arg, const struct vex_wal_record *record, struct vex_err *err)
{
    struct vex_engine *engine = arg;
    struct vex_collection *collection;
    int rc;

    if (engine->first_seq == 0)
        engine->first_seq = record->seq;
    if (record->collection == 0)
        return replay_change(engine, record, err);
    collection = vex_catalog_by_id(&engine->catalog, record->collection);
    if (collection == NULL || atomic_load(&collection->refused) != 0)
        return 0;
    rc = vex_collection_open(collection, err);
    if (rc == VEX_ECORRUPT) {
        vex_dirty_add(collection, record->seq); /* refused by name; the log keeps what it has of it */
        return 0;
    }
    if (rc != 0)
        return rc;
    if (record->seq <= collection->applied_seq)
        return 0;
    if (record->damaged || record->kind != VEX_RECORD_MUTATION) {
        char text[128];
        snprintf(text, sizeof text, "log record %llu is %s", (unsigned long long)record->seq,
                 record->damaged ? "damaged" : "of an unknown kind");
        vex_collection_refuse(collection, text);
        vex_dirty_add(collection, record->seq);
        return 0;
    }
    vex_dirty_add(collection, record->seq);
    return replay_mutation(engine, collection, record, err);
}

/* ---- what is left over ---- */

struct folders {
    struct vex_engine *engine;
    struct vex_buf names; /* NUL-terminated, of folders that belong to nobody */
    uint32_t known;
};

static int look_at_folder(void *arg, const char *name)
{
    struct folders *folders = arg;
    uint8_t uuid[16];

    if (vex_uuid_parse_canonical(vex_str_c(name), uuid) &&
        vex_map_get(&folders->engine->catalog.uuids, vex_str((const char *)uuid, 16)) != NULL)
        folders->known++;
    else
        vex_buf_add(&folders->names, name, strlen(name) + 1);
    return 0;
}

/* Folders of dropped collections. */
static int remove_leftovers(struct vex_engine *engine, bool trusted, struct vex_err *err)
{
    struct folders folders = {.engine = engine};
    char dir[VEX_PATH_MAX], path[VEX_PATH_MAX];
    int rc;

    vex_buf_init(&folders.names, NULL);
    vex_file_join(dir, engine->dir, "collections");
    rc = engine->io->ops->list(engine->io, dir, look_at_folder, &folders);
    if (rc < 0)
        rc = vex_err_set(err, vex_err_errno(rc), "cannot list %s: error %d", dir, -rc);
    else if (!trusted && folders.names.len > 0)
        rc = vex_err_set(err, VEX_ECORRUPT,
                         "%s holds collections, but catalog and log do not know them: parts of the data "
                         "folder are missing",
                         dir);
    for (size_t at = 0; rc == 0 && at < folders.names.len; at += strlen(folders.names.ptr + at) + 1) {
        vex_file_join(path, dir, folders.names.ptr + at);
        rc = vex_file_remove_tree(engine->io, path, err);
    }
    vex_buf_done(&folders.names);
    return rc;
}

/* Says who is refused. Indexes of open collections are loaded. Large changed collections are checkpointed soon, so that the next start is short. */
static void look_around(struct vex_engine *engine)
{
    for (struct vex_collection *c = engine->catalog.oldest; c != NULL; c = c->newer) {
        if (atomic_load(&c->refused) != 0) {
            vex_collection_log_refusal(c);
            continue;
        }
        if (atomic_load(&c->open)) {
            vex_index_set_start(c->data.indexes);
            vex_graph_set_load(c->data.graphs, &c->data);
            vex_graph_set_start(c->data.graphs);
        }
        if (c->dirty_bytes >= engine->options.checkpoint_bytes / 4)
            vex_collection_schedule(c, true);
    }
}

int vex_engine_recover(struct vex_engine *engine, struct vex_err *err)
{
    struct vex_wal_options options = {.segment_bytes = engine->options.segment_bytes,
                                      .sync_ns = UINT64_C(1000000000),
                                      .salvage = engine->options.salvage};
    char dir[VEX_PATH_MAX];
    bool found;
    int rc = load_catalog(engine, &found, err);

    if (rc != 0)
        return rc;
    vex_file_join(dir, engine->dir, "wal");
    options.dir = dir;
    rc = vex_wal_open(engine->io, &options, replay, engine, &engine->wal, err);
    if (rc != 0)
        return rc;
    if (vex_wal_last(engine->wal) < engine->catalog.seq)
        return vex_err_set(err, VEX_ECORRUPT,
                           "the catalog is newer than the log: parts of the data folder are missing");
    /* Without its file the catalog is right only if the log holds all of it. */
    rc = remove_leftovers(engine, found || engine->first_seq == 1, err);
    if (rc != 0)
        return rc;
    if (engine->replayed > 0)
        vex_info("engine", "recovered %llu bytes of mutations from the log",
                 (unsigned long long)engine->replayed);
    engine->recovering = false;
    look_around(engine);
    return 0;
}
