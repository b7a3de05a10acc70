/* Checkpoint of a collection and what the log must keep.
 *
 * Owner     The writer slot of the collection; the engine for the list of dirty collections.
 * Lock      dirty_lock for the list; the collection's lock exclusive only to settle.
 * Order     Vector files and heap synced, the log durable up to what was applied, then the checkpoint (its journal is the commit
 *           point), then freed space is given back, then the log may let go.
 * Format    docs/disk-format.md, "manifest". */
#include "base/mem.h"
#include "base/metrics.h"
#include "engine/internal.h"
#include "engine/store/checkpoint.h"

#define MANIFEST_VERSION 1u
#define RETRY_NS         UINT64_C(5000000000) /* after a checkpoint that failed */

static void encode_manifest(struct vex_buf *out, struct vex_collection *collection,
                            const struct vex_rows_sizes *sizes)
{
    struct vex_buf state;

    vex_buf_add_u32(out, MANIFEST_VERSION);
    vex_buf_add_u64(out, collection->id);
    vex_buf_add_u64(out, collection->applied_seq);
    vex_buf_add_u64(out, atomic_load(&collection->next_op));
    vex_buf_add_u64(out, sizes->slots);
    vex_buf_add_u64(out, sizes->live);
    vex_buf_add_u64(out, sizes->births);
    vex_buf_add_u64(out, sizes->row_pages);
    vex_buf_add_u64(out, sizes->id_pages);
    vex_buf_init(&state, NULL);
    vex_vectors_state(collection->data.vectors, &state);
    vex_buf_add_str32(out, vex_buf_str(&state));
    state.len = 0;
    vex_heap_state(collection->data.heap, &state);
    vex_buf_add_str32(out, vex_buf_str(&state));
    vex_buf_done(&state);
}

int vex_manifest_decode(struct vex_str bytes, struct vex_manifest *ret)
{
    struct vex_cursor c = vex_cursor(bytes.ptr, bytes.len);

    if (vex_cursor_u32(&c) != MANIFEST_VERSION)
        return VEX_ECORRUPT;
    ret->id = vex_cursor_u64(&c);
    ret->seq = vex_cursor_u64(&c);
    ret->next_op = vex_cursor_u64(&c);
    ret->rows.slots = vex_cursor_u64(&c);
    ret->rows.live = vex_cursor_u64(&c);
    ret->rows.births = vex_cursor_u64(&c);
    ret->rows.row_pages = vex_cursor_u64(&c);
    ret->rows.id_pages = vex_cursor_u64(&c);
    ret->vectors = vex_cursor_str32(&c);
    ret->heap = vex_cursor_str32(&c);
    return c.bad || vex_cursor_left(&c) > 0 || ret->next_op == 0 ? VEX_ECORRUPT : 0;
}

/* ---- what the log must keep ---- */

void vex_dirty_add(struct vex_collection *collection, uint64_t seq)
{
    struct vex_engine *engine = collection->engine;

    pthread_mutex_lock(&engine->dirty_lock);
    if (collection->dirty_first == 0) {
        collection->dirty_first = seq;
        collection->dirty_since = vex_io_monotonic_ns(engine->io);
        collection->dirty_next = engine->dirty;
        collection->dirty_link = &engine->dirty;
        if (engine->dirty != NULL)
            engine->dirty->dirty_link = &collection->dirty_next;
        engine->dirty = collection;
    }
    pthread_mutex_unlock(&engine->dirty_lock);
}

static void unlink_dirty(struct vex_collection *collection)
{
    *collection->dirty_link = collection->dirty_next;
    if (collection->dirty_next != NULL)
        collection->dirty_next->dirty_link = collection->dirty_link;
    collection->dirty_next = NULL;
    collection->dirty_first = 0;
}

void vex_dirty_forget(struct vex_collection *collection)
{
    pthread_mutex_lock(&collection->engine->dirty_lock);
    if (collection->dirty_first != 0)
        unlink_dirty(collection);
    pthread_mutex_unlock(&collection->engine->dirty_lock);
}

void vex_dirty_later(struct vex_collection *collection)
{
    struct vex_engine *engine = collection->engine;
    uint64_t now = vex_io_monotonic_ns(engine->io), wait = engine->options.checkpoint_ns;

    pthread_mutex_lock(&engine->dirty_lock);
    collection->dirty_since = wait > RETRY_NS && now > wait - RETRY_NS ? now - (wait - RETRY_NS) : now;
    pthread_mutex_unlock(&engine->dirty_lock);
}

/* All up to applied_seq is covered (or nobody wants it any more); what is queued begins at `next`, 0: nothing is. */
static void dirty_advance(struct vex_collection *collection, uint64_t next)
{
    struct vex_engine *engine = collection->engine;

    pthread_mutex_lock(&engine->dirty_lock);
    if (collection->dirty_first != 0 && next == 0)
        unlink_dirty(collection);
    else if (collection->dirty_first != 0)
        collection->dirty_first = next;
    collection->dirty_since = vex_io_monotonic_ns(engine->io);
    pthread_mutex_unlock(&engine->dirty_lock);
}

void vex_engine_release_log(struct vex_engine *engine)
{
    uint64_t seq = vex_wal_durable(engine->wal);

    /* What is durable had its place before, so its collection is on the list already. */
    pthread_mutex_lock(&engine->dirty_lock);
    for (const struct vex_collection *c = engine->dirty; c != NULL; c = c->dirty_next)
        if (c->dirty_first <= seq)
            seq = c->dirty_first - 1;
    if (engine->catalog_dirty != 0 && engine->catalog_dirty <= seq)
        seq = engine->catalog_dirty - 1;
    pthread_mutex_unlock(&engine->dirty_lock);
    if (seq > 0)
        vex_wal_release(engine->wal, seq);
}

/* ---- the checkpoint ---- */

int vex_collection_whole(struct vex_collection *collection, struct vex_err *err)
{
    bool half;

    pthread_mutex_lock(&collection->queue_lock);
    half = collection->queue.head != NULL && collection->queue.head->at > 0;
    pthread_mutex_unlock(&collection->queue_lock);
    return half ? vex_err_set(err, VEX_EUNAVAILABLE, "a write waits for disk space") : 0;
}

int vex_engine_sync_log(struct vex_engine *engine, uint64_t seq, struct vex_err *err)
{
    if (vex_wal_durable(engine->wal) < seq && vex_wal_sync(engine->wal) != 0)
        return vex_err_set(err, VEX_EREAD_ONLY, "the log can't be synced");
    return 0;
}

static int sync_data(struct vex_collection *collection, struct vex_err *err)
{
    int rc = vex_vectors_sync(collection->data.vectors);

    if (rc == 0)
        rc = vex_heap_sync(collection->data.heap);
    if (rc != 0)
        return vex_err_set(err, rc, "cannot sync vectors and payloads");
    /* The checkpoint must not hold what the log could still lose. */
    rc = vex_collection_whole(collection, err);
    return rc == 0 ? vex_engine_sync_log(collection->engine, collection->applied_seq, err) : rc;
}

static int write_checkpoint(struct vex_collection *collection, struct vex_err *err)
{
    struct vex_engine *engine = collection->engine;
    struct vex_table *tables[4];
    struct vex_rows_sizes sizes;
    char dir[VEX_PATH_MAX];
    struct vex_buf manifest;
    int rc;

    vex_collection_path(collection, dir);
    vex_buf_init(&manifest, NULL);
    vex_rows_sizes(collection->data.rows, &sizes);
    encode_manifest(&manifest, collection, &sizes);
    struct vex_checkpoint checkpoint = {.io = engine->io,
                                        .dir = dir,
                                        .tables = tables,
                                        .table_count = vex_rows_tables(collection->data.rows, tables),
                                        .manifest = vex_buf_str(&manifest),
                                        .seq = collection->applied_seq};
    rc = vex_checkpoint_write(&checkpoint, err);
    vex_buf_done(&manifest);
    return rc;
}

static void covered(struct vex_collection *collection)
{
    const struct vex_pending *head;

    collection->dirty_bytes = 0;
    pthread_mutex_lock(&collection->queue_lock);
    head = collection->queue.head;
    dirty_advance(collection, head != NULL ? head->entry.seq : 0);
    pthread_mutex_unlock(&collection->queue_lock);
}

int vex_checkpoint_collection(struct vex_collection *collection, struct vex_err *err)
{
    struct vex_engine *engine = collection->engine;
    bool clean;
    int rc;

    pthread_mutex_lock(&engine->dirty_lock);
    clean = collection->dirty_first == 0 || collection->dirty_first > collection->applied_seq;
    pthread_mutex_unlock(&engine->dirty_lock);
    if (clean && !atomic_load(&collection->dropped))
        return 0;
    if (atomic_load(&collection->dropped)) {
        covered(collection);
        return 0;
    }
    rc = vex_collection_usable(collection, err);
    /* What settles below may be written over: indexes must not need it any more. */
    if (rc == 0)
        vex_index_set_follow(collection->data.indexes, 0);
    if (rc == 0)
        rc = sync_data(collection, err);
    if (rc == 0)
        rc = write_checkpoint(collection, err);
    if (rc != 0)
        return rc;
    vex_collection_write_begin(collection);
    vex_rows_settle(collection->data.rows);
    vex_heap_settle(collection->data.heap);
    vex_collection_write_end(collection);
    vex_collection_worked(collection, collection->dirty_bytes);
    covered(collection);
    vex_metric_add(VEX_METRIC_CHECKPOINTS, 1);
    vex_index_set_checkpointed(collection->data.indexes);
    vex_engine_release_log(engine);
    vex_collection_work_ended(collection);
    return 0;
}
