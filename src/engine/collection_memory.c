/* Memory that bulk work leaves behind: pages of mapped files that it went through, and what the allocator keeps free.
 *
 * Role      Linking a graph, filling an index and taking changes in read files from end to end. The page cache keeps them, the process
 *           need not: once such work has ended and it was much, the pages leave the process and free memory goes back to the system.
 *           What reads need comes back at some microseconds for 64 KiB.
 * Owner     The engine's timer, which looks every few seconds, and a task of the pool for each collection; it holds a reference.
 * Lock      Counts and flags are atomic. The task takes the writer slot, so that no page of a table is being changed, and the
 *           collection's lock shared. */
#include "base/mem.h"
#include "engine/internal.h"

#define LEAST   (UINT64_C(4) << 20)  /* bytes of work that are worth it, */
#define SHARE   16u                  /* and one in so many of the files' */
#define REST_NS UINT64_C(3000000000) /* from one time to the next */

void vex_collection_worked(struct vex_collection *collection, uint64_t bytes)
{
    atomic_fetch_add_explicit(&collection->worked, bytes, memory_order_relaxed);
}

void vex_collection_work_ended(struct vex_collection *collection)
{
    if (atomic_load_explicit(&collection->worked, memory_order_relaxed) < LEAST)
        return;
    atomic_store(&collection->memory_due, true);
    atomic_store(&collection->engine->memory_due, true);
}

/* Shared lock. */
static uint64_t file_bytes(const struct vex_collection_data *data)
{
    uint64_t slot = sizeof(struct vex_row);

    for (uint32_t i = 0; i < data->config->vector_count; i++)
        slot += vex_vectors_stride(&data->config->vectors[i]);
    return slot * vex_rows_slots(data->rows) + vex_heap_length(data->heap);
}

/* Writer slot. False: too little was worked on. */
static bool evict(struct vex_collection *collection)
{
    const struct vex_collection_data *data = &collection->data;
    bool enough = false;

    vex_collection_work_begin(collection);
    if (atomic_load(&collection->open))
        enough = atomic_load(&collection->worked) >= file_bytes(data) / SHARE;
    if (enough) {
        atomic_store(&collection->worked, 0);
        vex_rows_evict(data->rows);
        vex_heap_evict(data->heap);
        vex_vectors_evict(data->vectors);
    }
    vex_collection_work_end(collection);
    return enough;
}

static void run_task(struct vex_task *task)
{
    struct vex_collection *collection = VEX_CONTAINER_OF(task, struct vex_collection, memory_task);
    bool enough = false;
    struct vex_err err;

    atomic_store(&collection->memory_queued, false);
    if (vex_collection_usable(collection, &err) == 0 && !atomic_load(&collection->engine->closing)) {
        vex_collection_acquire(collection);
        enough = evict(collection);
        vex_collection_release(collection);
    }
    if (enough)
        vex_mem_trim();
    vex_collection_unref(collection);
}

void vex_engine_evict(struct vex_engine *engine)
{
    uint64_t now = vex_io_monotonic_ns(engine->io);

    if (engine->memory_looked_at == 0) /* the first searches after a start are left alone */
        engine->memory_looked_at = now;
    if (!atomic_load(&engine->memory_due) || now - engine->memory_looked_at < REST_NS)
        return;
    engine->memory_looked_at = now;
    atomic_store(&engine->memory_due, false);
    pthread_mutex_lock(&engine->catalog_lock);
    for (struct vex_collection *c = engine->catalog.oldest; c != NULL; c = c->newer) {
        if (!atomic_exchange(&c->memory_due, false) || !vex_collection_try_ref(c))
            continue;
        if (atomic_exchange(&c->memory_queued, true)) {
            vex_collection_unref(c);
            continue;
        }
        c->memory_task.run = run_task;
        vex_pool_submit(engine->pool, &c->memory_task);
    }
    pthread_mutex_unlock(&engine->catalog_lock);
}
