/* Memory that work leaves behind: pages of mapped files that it went through, and what the allocator keeps free.
 *
 * Role      Linking a graph, filling an index and taking changes in read files from end to end. The page cache keeps them, the process
 *           need not: once such work has ended and it was much, the pages leave the process and free memory goes back to the system.
 *           What reads need comes back at some microseconds for 64 KiB. Graphs on disk are saved then, and what has changed of them
 *           needs no memory of its own any more. So it is with the files of a collection that nobody has read for a while: a million
 *           searches touch every vector there is.
 * Owner     The engine's timer, which looks every few seconds, and a task of the pool for each collection; it holds a reference.
 * Lock      Counts and flags are atomic. The task takes the writer slot, so that no page of a table is being changed, and the
 *           collection's lock shared. */
#include "base/mem.h"
#include "engine/internal.h"

#define LEAST   (UINT64_C(4) << 20)  /* bytes of work that are worth it, */
#define SHARE   16u                  /* and one in so many of the files' */
#define REST_NS UINT64_C(3000000000) /* from one time to the next */
#define LOOK_NS UINT64_C(1000000000) /* between two looks at who is read */
#define IDLE_NS UINT64_C(10000000000)
#define LOOK_AT 1024u /* collections, under the catalog's lock */

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

/* On every read: a look at a line that others share, too. */
void vex_collection_used(struct vex_collection *collection)
{
    if (atomic_load_explicit(&collection->used, memory_order_relaxed))
        return;
    atomic_store_explicit(&collection->used, true, memory_order_relaxed);
    atomic_store_explicit(&collection->engine->used, true, memory_order_release);
}

/* Shared lock. */
static uint64_t file_bytes(const struct vex_collection_data *data)
{
    uint64_t slot = sizeof(struct vex_row);

    for (uint32_t i = 0; i < data->config->vector_count; i++)
        slot += vex_vectors_stride(&data->config->vectors[i]);
    return slot * vex_rows_slots(data->rows) + vex_heap_length(data->heap);
}

/* Writer slot. False: too little was worked on. `idle`: that is no matter. */
static bool evict(struct vex_collection *collection, bool idle)
{
    const struct vex_collection_data *data = &collection->data;
    bool worked = false, enough = false;

    vex_collection_work_begin(collection);
    if (atomic_load(&collection->open)) {
        worked = atomic_load(&collection->worked) >= file_bytes(data) / SHARE;
        enough = worked || (idle && !atomic_load(&collection->used));
    }
    if (enough) {
        atomic_store(&collection->worked, 0);
        vex_rows_evict(data->rows);
        vex_heap_evict(data->heap);
        vex_vectors_evict(data->vectors);
    }
    if (worked) {
        vex_graph_set_shed(data->graphs);
    }
    vex_collection_work_end(collection);
    return enough;
}

static void run_task(struct vex_task *task)
{
    struct vex_collection *collection = VEX_CONTAINER_OF(task, struct vex_collection, memory_task);
    bool enough = false, idle;
    struct vex_err err;

    atomic_store(&collection->memory_queued, false);
    idle = atomic_exchange(&collection->idle, false);
    if (vex_collection_usable(collection, &err) == 0 && !atomic_load(&collection->engine->closing)) {
        vex_collection_acquire(collection);
        enough = evict(collection, idle);
        vex_collection_release(collection);
    }
    if (enough)
        vex_mem_trim();
    vex_collection_unref(collection);
}

/* The catalog's lock. */
static void submit(struct vex_collection *collection)
{
    if (!vex_collection_try_ref(collection))
        return;
    if (atomic_exchange(&collection->memory_queued, true)) {
        vex_collection_unref(collection);
        return;
    }
    collection->memory_task.run = run_task;
    vex_pool_submit(collection->engine->pool, &collection->memory_task);
}

/* The catalog's lock. True: it has been read not long ago. */
static bool is_awake(struct vex_collection *collection, uint64_t now)
{
    if (atomic_load_explicit(&collection->used, memory_order_relaxed)) {
        atomic_store_explicit(&collection->used, false, memory_order_relaxed);
        collection->used_ns = now;
    } else if (collection->used_ns != 0 && now - collection->used_ns >= IDLE_NS) {
        collection->used_ns = 0;
        atomic_store(&collection->idle, true);
        submit(collection);
    }
    return collection->used_ns != 0;
}

/* Who waits for the catalog's lock waits for some of the collections only. One that is dropped meanwhile ends the walk. */
static void look_at_use(struct vex_engine *engine, uint64_t now)
{
    struct vex_collection *c, *here = NULL;
    uint32_t seen = 0;
    bool awake = false;

    pthread_mutex_lock(&engine->catalog_lock);
    for (c = engine->catalog.oldest; c != NULL; c = c->newer) {
        awake = is_awake(c, now) || awake;
        if (++seen % LOOK_AT != 0 || !vex_collection_try_ref(c))
            continue;
        pthread_mutex_unlock(&engine->catalog_lock);
        vex_collection_unref(here);
        here = c;
        pthread_mutex_lock(&engine->catalog_lock);
        awake = awake || atomic_load(&here->dropped);
    }
    pthread_mutex_unlock(&engine->catalog_lock);
    vex_collection_unref(here);
    engine->any_awake = awake;
}

static void look_at_work(struct vex_engine *engine)
{
    pthread_mutex_lock(&engine->catalog_lock);
    for (struct vex_collection *c = engine->catalog.oldest; c != NULL; c = c->newer)
        if (atomic_exchange(&c->memory_due, false))
            submit(c);
    pthread_mutex_unlock(&engine->catalog_lock);
}

void vex_engine_evict(struct vex_engine *engine)
{
    uint64_t now = vex_io_monotonic_ns(engine->io);

    if (now - engine->use_looked_at >= LOOK_NS) {
        engine->use_looked_at = now;
        if (atomic_exchange(&engine->used, false) || engine->any_awake)
            look_at_use(engine, now);
    }
    if (engine->memory_looked_at == 0) /* the first searches after a start are left alone */
        engine->memory_looked_at = now;
    if (!atomic_load(&engine->memory_due) || now - engine->memory_looked_at < REST_NS)
        return;
    engine->memory_looked_at = now;
    atomic_store(&engine->memory_due, false);
    look_at_work(engine);
}
