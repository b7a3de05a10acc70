/* Submitting mutations and the queue between the log and the tables.
 *
 * Owner     The collection. Lock: queue_lock for lists and flags; the writer slot (`busy`) for applying.
 * Invariant The queue has the order of the log: it is filled by `ordered`, under the log's mutex. Parked mutations come after
 *           all that is queued; while some are parked, or on their way out of parking, new ones are parked too, so what one
 *           client sent in order is logged in order. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "engine/internal.h"
#include "engine/mutation_record.h"

#define DRAIN_BATCH 64 /* mutations before others get the pool thread */

static void push(struct vex_pending_list *list, struct vex_pending *p)
{
    p->next = NULL;
    if (list->tail != NULL)
        list->tail->next = p;
    else
        list->head = p;
    list->tail = p;
}

static struct vex_pending *pop(struct vex_pending_list *list)
{
    struct vex_pending *p = list->head;

    list->head = p->next;
    if (list->head == NULL)
        list->tail = NULL;
    return p;
}

/* ---- answers ---- */

static int fail(struct vex_pending *p, int code, const char *text)
{
    if (p->err == NULL)
        p->err = VEX_NEW(struct vex_err);
    p->code = code;
    return vex_err_set(p->err, code, "%s", text);
}

static void answer(struct vex_pending *p, int code)
{
    struct vex_mutation *mutation = p->mutation;

    p->mutation = NULL;
    if (code == 0) {
        mutation->done(mutation, 0, NULL, p->results);
        return;
    }
    if (p->err == NULL)
        fail(p, code, "The log can't be written; the server is read-only until it is restarted");
    mutation->done(mutation, code, p->err, p->results);
}

static void free_pending(struct vex_pending *p)
{
    struct vex_collection *collection = p->collection;

    vex_mem_free(p->body);
    vex_mem_free(p->results);
    vex_mem_free(p->err);
    vex_mem_free(p);
    vex_collection_unref(collection);
}

/* One of the two parties lets go. */
static void let_go(struct vex_pending *p)
{
    if (atomic_fetch_sub_explicit(&p->parties, 1, memory_order_acq_rel) != 1)
        return;
    if (p->mutation != NULL)
        answer(p, p->code != 0 ? p->code : p->log_status);
    free_pending(p);
}

/* ---- scheduling: under queue_lock ---- */

static bool may_apply(const struct vex_collection *collection)
{
    const struct vex_pending *head = collection->queue.head;

    return head != NULL && head->state != VEX_PENDING_LOGGING && !collection->backoff;
}

static bool may_unpark(const struct vex_collection *collection)
{
    return collection->parked.head != NULL && !collection->altering && !collection->unparking &&
           (collection->queue.head == NULL ||
            collection->queued_bytes < collection->engine->options.queue_bytes);
}

static bool has_work(const struct vex_collection *collection)
{
    bool half = collection->queue.head != NULL && collection->queue.head->at > 0;

    return may_apply(collection) || may_unpark(collection) || (collection->want_checkpoint && !half);
}

static void drain_task(struct vex_task *task);

static void schedule(struct vex_collection *collection)
{
    if (collection->scheduled || collection->busy || !has_work(collection))
        return;
    collection->scheduled = true;
    vex_collection_ref(collection);
    collection->task.run = drain_task;
    vex_pool_submit(collection->engine->pool, &collection->task);
}

void vex_collection_schedule(struct vex_collection *collection, bool checkpoint)
{
    pthread_mutex_lock(&collection->queue_lock);
    collection->want_checkpoint = collection->want_checkpoint || checkpoint;
    schedule(collection);
    pthread_mutex_unlock(&collection->queue_lock);
}

void vex_collection_acquire(struct vex_collection *collection)
{
    pthread_mutex_lock(&collection->queue_lock);
    while (collection->busy)
        pthread_cond_wait(&collection->changed, &collection->queue_lock);
    collection->busy = true;
    pthread_mutex_unlock(&collection->queue_lock);
}

void vex_collection_release(struct vex_collection *collection)
{
    pthread_mutex_lock(&collection->queue_lock);
    collection->busy = false;
    schedule(collection);
    pthread_cond_broadcast(&collection->changed);
    pthread_mutex_unlock(&collection->queue_lock);
}

/* ---- the log's callbacks ---- */

static void ordered(struct vex_wal_entry *entry)
{
    struct vex_pending *p = VEX_CONTAINER_OF(entry, struct vex_pending, entry);
    struct vex_collection *collection = p->collection;

    entry->op = atomic_fetch_add(&collection->next_op, p->ops);
    for (uint32_t i = 0; i < p->ops; i++)
        p->results[i].op = entry->op + i;
    pthread_mutex_lock(&collection->queue_lock);
    push(&collection->queue, p);
    collection->queued++;
    collection->queued_bytes += entry->len;
    vex_dirty_add(collection, entry->seq);
    pthread_mutex_unlock(&collection->queue_lock);
    vex_metric_add(VEX_METRIC_QUEUED, 1);
}

static void written(struct vex_wal_entry *entry, int status)
{
    struct vex_pending *p = VEX_CONTAINER_OF(entry, struct vex_pending, entry);
    struct vex_collection *collection = p->collection;
    bool last = entry->durable == NULL;

    p->log_status = status;
    /* Before the applier may have it: both could fill in the error. */
    if (last)
        answer(p, status);
    pthread_mutex_lock(&collection->queue_lock);
    p->state = status == 0 ? VEX_PENDING_WRITTEN : VEX_PENDING_FAILED;
    schedule(collection);
    pthread_cond_broadcast(&collection->changed);
    pthread_mutex_unlock(&collection->queue_lock);
    if (last)
        let_go(p);
}

static void durable(struct vex_wal_entry *entry, int status)
{
    struct vex_pending *p = VEX_CONTAINER_OF(entry, struct vex_pending, entry);

    p->log_status = status;
    let_go(p);
}

/* ---- submitting ---- */

static struct vex_pending *new_pending(struct vex_collection *collection, struct vex_mutation *mutation,
                                       char *body, size_t len, bool urgent)
{
    struct vex_pending *p = VEX_NEW(struct vex_pending);

    p->collection = vex_collection_ref(collection);
    p->mutation = mutation;
    p->body = body;
    p->ops = mutation->count;
    p->wait = mutation->wait;
    p->results = vex_mem_zalloc((mutation->count + (size_t)1) * sizeof *p->results);
    atomic_init(&p->parties, 2);
    p->entry = (struct vex_wal_entry){.kind = VEX_RECORD_MUTATION,
                                      .collection = collection->id,
                                      .body = body,
                                      .len = len,
                                      .urgent = urgent,
                                      .ordered = ordered,
                                      .written = written,
                                      .durable = mutation->wait ? durable : NULL};
    return p;
}

/* Room for what the record will grow into; deletes are always taken. */
static int check_space(struct vex_collection *collection, size_t len, bool urgent, struct vex_err *err)
{
    struct vex_engine *engine = collection->engine;
    bool failing;

    if (urgent)
        return 0;
    pthread_mutex_lock(&collection->queue_lock);
    failing = collection->failing;
    pthread_mutex_unlock(&collection->queue_lock);
    if (failing || vex_engine_space(engine) < engine->options.reserve_bytes + len)
        return vex_err_set(err, VEX_ENO_SPACE,
                           "The disk is full: writes are refused, reads and deletes go on");
    return 0;
}

static int append_error(int code, struct vex_err *err)
{
    switch (code) {
    case VEX_ENO_SPACE:
        return vex_err_set(err, code, "The disk is full: the log has no room for the write");
    case VEX_EREAD_ONLY:
        return vex_err_set(err, code,
                           "The log can't be written; the server is read-only until it is restarted");
    case VEX_ETOO_LARGE:
        return vex_err_set(err, code, "Update is larger than %u bytes", VEX_WAL_BODY_MAX);
    default:
        return vex_err_set(err, code, "The log refused the write");
    }
}

/* Parks it, or notes that an append is under way. */
static bool park(struct vex_collection *collection, struct vex_pending *p)
{
    uint64_t limit = collection->engine->options.queue_bytes;
    bool parked;

    pthread_mutex_lock(&collection->queue_lock);
    parked = collection->altering || collection->unparking || collection->parked.head != NULL ||
             (collection->queue.head != NULL && collection->queued_bytes + p->entry.len > limit);
    if (parked) {
        push(&collection->parked, p);
        schedule(collection);
    } else {
        collection->submitting++;
    }
    pthread_mutex_unlock(&collection->queue_lock);
    return parked;
}

static int submit(struct vex_collection *collection, struct vex_pending *p, struct vex_err *err)
{
    int rc;

    if (park(collection, p))
        return 0;
    /* Once appended it may be applied, answered and freed at any time; the caller's reference keeps the collection. */
    rc = vex_wal_append(collection->engine->wal, &p->entry);
    pthread_mutex_lock(&collection->queue_lock);
    collection->submitting--;
    if (collection->altering)
        pthread_cond_broadcast(&collection->changed);
    pthread_mutex_unlock(&collection->queue_lock);
    if (rc != 0) {
        append_error(rc, err);
        free_pending(p);
    }
    return rc;
}

int vex_collection_submit(struct vex_collection *collection, struct vex_mutation *mutation,
                          struct vex_err *err)
{
    struct vex_config *config;
    bool urgent, counted;
    char *body;
    size_t len;
    int rc = vex_collection_open(collection, err);

    if (rc != 0)
        return rc;
    if (vex_wal_read_only(collection->engine->wal))
        return append_error(VEX_EREAD_ONLY, err);
    config = vex_collection_config(collection);
    rc = vex_record_encode(config, mutation, &body, &len, &urgent, &counted, err);
    vex_config_unref(config);
    if (counted)
        atomic_fetch_add(&collection->next_op, 1);
    if (rc != 0)
        return rc;
    rc = check_space(collection, len, urgent, err);
    if (rc != 0) {
        vex_mem_free(body);
        return rc;
    }
    return submit(collection, new_pending(collection, mutation, body, len, urgent), err);
}

/* ---- applying ---- */

/* 0 when the head is done with; a transient code when it must be tried again. */
static int apply_head(struct vex_collection *collection, struct vex_pending *p)
{
    struct vex_err err = {0};
    int rc, code = 0;

    if (p->state == VEX_PENDING_FAILED) {
        fail(p, VEX_EREAD_ONLY, "The log can't be written; the server is read-only until it is restarted");
        return 0;
    }
    rc = vex_collection_usable(collection, &err);
    if (rc != 0) {
        fail(p, rc, err.text);
        return 0;
    }
    rc = vex_apply(collection, p->body, p->entry.len, p->entry.op, false, &p->at, p->results, &code, &err);
    if (rc != 0)
        return rc;
    if (code != 0)
        fail(p, code, err.text);
    vex_metric_add(VEX_METRIC_APPLIED, 1);
    return 0;
}

static struct vex_pending *head_to_apply(struct vex_collection *collection)
{
    struct vex_pending *p;

    pthread_mutex_lock(&collection->queue_lock);
    p = may_apply(collection) ? collection->queue.head : NULL;
    pthread_mutex_unlock(&collection->queue_lock);
    return p;
}

static void pop_head(struct vex_collection *collection, struct vex_pending *p)
{
    collection->applied_seq = p->entry.seq;
    collection->dirty_bytes += p->entry.len;
    pthread_mutex_lock(&collection->queue_lock);
    pop(&collection->queue);
    collection->queued--;
    collection->queued_bytes -= p->entry.len;
    collection->failing = false;
    pthread_cond_broadcast(&collection->changed);
    pthread_mutex_unlock(&collection->queue_lock);
    vex_metric_add(VEX_METRIC_QUEUED, (uint64_t)-1);
    let_go(p);
}

static void stall(struct vex_collection *collection, int code)
{
    bool first;

    pthread_mutex_lock(&collection->queue_lock);
    first = !collection->failing;
    collection->failing = true;
    collection->backoff = true;
    pthread_cond_broadcast(&collection->changed);
    pthread_mutex_unlock(&collection->queue_lock);
    if (first)
        vex_warn("engine", "applying to collection %llu waits: %s", (unsigned long long)collection->id,
                 vex_err_class(code)->name);
}

static void unpark(struct vex_collection *collection)
{
    struct vex_pending *p;
    struct vex_err err;
    int rc;

    for (;;) {
        pthread_mutex_lock(&collection->queue_lock);
        p = may_unpark(collection) ? pop(&collection->parked) : NULL;
        collection->unparking = p != NULL;
        pthread_mutex_unlock(&collection->queue_lock);
        if (p == NULL)
            return;
        rc = vex_collection_usable(collection, &err);
        if (rc == 0) {
            rc = vex_wal_append(collection->engine->wal, &p->entry);
            if (rc != 0)
                append_error(rc, &err);
        }
        if (rc != 0) {
            fail(p, rc, err.text);
            answer(p, rc);
            free_pending(p);
        }
        pthread_mutex_lock(&collection->queue_lock);
        collection->unparking = false;
        pthread_mutex_unlock(&collection->queue_lock);
    }
}

static void checkpoint_if(struct vex_collection *collection)
{
    struct vex_err err;
    bool wanted, half;

    pthread_mutex_lock(&collection->queue_lock);
    /* Half a mutation (its next operation waits for space) must not get into a checkpoint: a replay starts at its first one. */
    half = collection->queue.head != NULL && collection->queue.head->at > 0;
    wanted = collection->want_checkpoint && !half;
    if (!half)
        collection->want_checkpoint = false;
    pthread_mutex_unlock(&collection->queue_lock);
    if (half)
        return;
    if (!wanted && collection->dirty_bytes < collection->engine->options.checkpoint_bytes)
        return;
    if (vex_checkpoint_collection(collection, &err) != 0) {
        vex_warn("engine", "checkpoint of collection %llu failed and is tried again: %s",
                 (unsigned long long)collection->id, err.text);
        collection->dirty_bytes = 0;
        vex_dirty_later(collection);
    }
}

/* One turn in the writer slot. */
static void drain(struct vex_collection *collection)
{
    struct vex_pending *p;

    for (int i = 0; i < DRAIN_BATCH && (p = head_to_apply(collection)) != NULL; i++) {
        int rc = apply_head(collection, p);
        if (rc != 0) {
            stall(collection, rc);
            break;
        }
        pop_head(collection, p);
        vex_index_set_follow_soon(collection->data.indexes, VEX_INDEX_SPARE);
    }
    vex_index_set_follow_soon(collection->data.indexes, 0);
    checkpoint_if(collection);
    unpark(collection);
}

static void drain_task(struct vex_task *task)
{
    struct vex_collection *collection = VEX_CONTAINER_OF(task, struct vex_collection, task);
    bool mine;

    pthread_mutex_lock(&collection->queue_lock);
    collection->scheduled = false;
    mine = !collection->busy && has_work(collection);
    if (mine)
        collection->busy = true;
    pthread_mutex_unlock(&collection->queue_lock);
    if (mine) {
        drain(collection);
        vex_collection_release(collection);
    }
    vex_collection_unref(collection);
}

/* ---- waiting ---- */

/* Takes a turn when there is one, else waits for a change. Under queue_lock. */
static void help_or_wait(struct vex_collection *collection)
{
    if (!collection->busy && has_work(collection)) {
        collection->busy = true;
        pthread_mutex_unlock(&collection->queue_lock);
        drain(collection);
        vex_collection_release(collection);
        pthread_mutex_lock(&collection->queue_lock);
        return;
    }
    pthread_cond_wait(&collection->changed, &collection->queue_lock);
}

int vex_collection_drain(struct vex_collection *collection, struct vex_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&collection->queue_lock);
    while (rc == 0 &&
           (collection->queue.head != NULL || collection->parked.head != NULL || collection->unparking)) {
        if (collection->backoff)
            rc = vex_err_set(err, VEX_ENO_SPACE, "The disk is full: queued writes wait for space");
        else
            help_or_wait(collection);
    }
    pthread_mutex_unlock(&collection->queue_lock);
    return rc;
}

int vex_collection_hold(struct vex_collection *collection, struct vex_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&collection->queue_lock);
    collection->altering = true;
    while (rc == 0 &&
           (collection->submitting > 0 || collection->unparking || collection->queue.head != NULL)) {
        if (collection->backoff)
            rc = vex_err_set(err, VEX_ENO_SPACE, "The disk is full: queued writes wait for space");
        else
            help_or_wait(collection);
    }
    pthread_mutex_unlock(&collection->queue_lock);
    if (rc != 0)
        vex_collection_unhold(collection);
    return rc;
}

void vex_collection_unhold(struct vex_collection *collection)
{
    pthread_mutex_lock(&collection->queue_lock);
    collection->altering = false;
    schedule(collection);
    pthread_cond_broadcast(&collection->changed);
    pthread_mutex_unlock(&collection->queue_lock);
}

int vex_collection_checkpoint(struct vex_collection *collection, struct vex_err *err)
{
    int rc = vex_collection_open(collection, err);

    if (rc == 0)
        rc = vex_collection_drain(collection, err);
    if (rc != 0)
        return rc;
    vex_collection_acquire(collection);
    rc = vex_checkpoint_collection(collection, err);
    vex_collection_release(collection);
    return rc;
}

void vex_collection_abandon(struct vex_collection *collection)
{
    vex_collection_acquire(collection);
    for (;;) {
        struct vex_pending *p;

        pthread_mutex_lock(&collection->queue_lock);
        p = collection->queue.head != NULL ? pop(&collection->queue) : NULL;
        collection->queued -= p != NULL;
        pthread_mutex_unlock(&collection->queue_lock);
        if (p == NULL)
            break;
        fail(p, VEX_ENO_SPACE, "The disk is full: the write is logged and applied after the next start");
        let_go(p);
    }
    for (;;) {
        struct vex_pending *p;

        pthread_mutex_lock(&collection->queue_lock);
        p = collection->parked.head != NULL ? pop(&collection->parked) : NULL;
        pthread_mutex_unlock(&collection->queue_lock);
        if (p == NULL)
            break;
        fail(p, VEX_ENO_SPACE, "The disk is full: the write was not taken");
        answer(p, VEX_ENO_SPACE);
        free_pending(p);
    }
    vex_collection_release(collection);
}
