/* Automatic indexes: counts how often fields are filtered on without an index and asks for one when that is often.
 *
 * Owner     The open collection, from the first miss on. Lock: readers count without any, holding the collection's lock shared
 *           or the writer slot; counts may lose to each other, which only delays. [c] and [s] as in index_set_private.h.
 * Bound     A table of FIELDS paths by hash. A new path takes the room of the least asked one among its ways, by wearing all of
 *           them down: a stream of ever other paths never gets an index, and does not keep a frequent one from it for long.
 * Invariant One request at a time a collection. A field whose index was deleted is left alone until the next start. */
#include <xxhash.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/index_set_private.h"

#define FIELDS   64u
#define WAYS     8u
#define GONE_MAX 64u
#define TYPES    (VEX_INDEX_UUID + 1u)

struct field {
    _Atomic uint64_t hash; /* of a path; 0: free */
    _Atomic uint32_t total, counts[TYPES];
};

struct vex_index_auto {
    struct field fields[FIELDS];
    _Atomic bool asked; /* a request is under way */
    _Atomic bool failed;
    bool making; /* [s] */

    uint64_t gone[GONE_MAX]; /* [c] paths of deleted indexes */
    uint32_t gone_count;
};

struct request {
    struct vex_task task;
    struct vex_collection *collection; /* a reference */
    struct vex_index_auto *automatic;
    struct vex_buf field;
    enum vex_index_type type;
};

/* ---- paths ---- */

/* 0: not a path that is counted. */
static uint64_t hash_path(const struct vex_path *path)
{
    uint64_t hash = 1;

    for (uint32_t i = 0; i < path->count; i++) {
        const struct vex_step *step = &path->steps[i];

        if (step->kind == VEX_STEP_INDEX)
            return 0;
        hash = XXH3_64bits_withSeed(step->key.ptr, step->kind == VEX_STEP_KEY ? step->key.len : 0,
                                    hash * 2 + (step->kind == VEX_STEP_KEY));
    }
    return path->count == 0 ? 0 : hash | 1;
}

static bool leads_to(struct vex_str text, const struct vex_path *path)
{
    struct vex_arena arena;
    struct vex_path parsed;
    struct vex_err err;
    bool same;

    vex_arena_init(&arena, 0);
    same = vex_path_parse(&arena, text, &parsed, &err) == 0 && vex_index_same_path(&parsed, path);
    vex_arena_done(&arena);
    return same;
}

/* The field as a client would name it: a key taken literally may need quotes. False: it can't be named. */
static bool name_field(const struct vex_path *path, struct vex_buf *ret)
{
    if (path->text.len <= VEX_PATH_TEXT_MAX && leads_to(path->text, path)) {
        vex_buf_add(ret, path->text.ptr, path->text.len);
        return true;
    }
    for (uint32_t i = 0; i < path->count && ret->len <= VEX_PATH_TEXT_MAX; i++) {
        if (path->steps[i].kind == VEX_STEP_ALL) {
            vex_buf_add(ret, "[]", 2);
            continue;
        }
        vex_buf_add(ret, ".\"", i > 0 ? 2 : 0);
        if (i == 0)
            vex_buf_add_u8(ret, '"');
        vex_buf_add(ret, path->steps[i].key.ptr, path->steps[i].key.len);
        vex_buf_add_u8(ret, '"');
    }
    return leads_to(vex_buf_str(ret), path);
}

/* ---- what would serve ---- */

static enum vex_index_type type_of_values(const struct vex_cond_values *values)
{
    if (values->text_count > 0)
        return VEX_INDEX_KEYWORD;
    if (values->double_count > 0)
        return VEX_INDEX_FLOAT;
    if (values->int_count > 0)
        return VEX_INDEX_INTEGER;
    return values->has_true || values->has_false ? VEX_INDEX_BOOL : 0;
}

/* 0: none. Never full text, whose index would change what texts are cut with, and with it answers. */
static enum vex_index_type type_of(const struct vex_cond *cond)
{
    switch (cond->kind) {
    case VEX_COND_ANY:
    case VEX_COND_EXCEPT:
    case VEX_COND_NUMBERS:
        return type_of_values(&cond->values);
    case VEX_COND_PREFIX:
        return VEX_INDEX_KEYWORD;
    case VEX_COND_RANGE:
        return VEX_INDEX_FLOAT;
    case VEX_COND_TIME:
        return VEX_INDEX_DATETIME;
    case VEX_COND_GEO_BOX:
    case VEX_COND_GEO_RADIUS:
    case VEX_COND_GEO_POLYGON:
        return VEX_INDEX_GEO;
    default:
        return 0;
    }
}

/* ---- making one ---- */

static bool has_path(const struct vex_config *config, const struct vex_path *path)
{
    for (uint32_t i = 0; i < config->index_count; i++)
        if (leads_to(config->indexes[i].field, path))
            return true;
    return false;
}

static int add_index(void *arg, struct vex_config *config, struct vex_err *err)
{
    const struct request *request = arg;
    uint32_t (*limit)(const struct vex_config *) = request->collection->engine->options.index_limit;
    struct vex_arena arena;
    struct vex_path path;
    int rc;

    if (config->index_count >= VEX_AUTO_INDEX_MAX || (limit != NULL && config->index_count >= limit(config)))
        return vex_err_set(err, VEX_EEXISTS, "there are as many indexes as may be");
    vex_arena_init(&arena, 0);
    rc = vex_path_parse(&arena, vex_buf_str(&request->field), &path, err);
    if (rc == 0 && has_path(config, &path))
        rc = vex_err_set(err, VEX_EEXISTS, "there is an index");
    vex_arena_done(&arena);
    if (rc == 0)
        vex_config_set_index(config, &(struct vex_index_params){.field = vex_buf_str(&request->field),
                                                                .type = (uint8_t)request->type,
                                                                .range = true,
                                                                .lookup = true});
    return rc;
}

static void tell(const struct request *request, int rc, const struct vex_err *err)
{
    struct vex_collection *collection = request->collection;
    struct vex_str field = vex_buf_str(&request->field);

    if (rc == VEX_EEXISTS || rc == VEX_ENOT_FOUND)
        return;
    if (rc != 0 && atomic_exchange(&request->automatic->failed, true))
        return;
    pthread_mutex_lock(&collection->engine->catalog_lock);
    if (rc == 0)
        vex_info("engine",
                 "collection " VEX_STR_FMT ": %s index on " VEX_STR_FMT
                 " is made, the field is often filtered on",
                 VEX_STR_ARG(collection->name), vex_index_type_name(request->type), VEX_STR_ARG(field));
    else
        vex_warn("engine", "collection " VEX_STR_FMT ": automatic index on " VEX_STR_FMT " is not made: %s",
                 VEX_STR_ARG(collection->name), VEX_STR_ARG(field), err->text);
    pthread_mutex_unlock(&collection->engine->catalog_lock);
}

static void run_request(struct vex_task *task)
{
    struct request *request = VEX_CONTAINER_OF(task, struct request, task);
    struct vex_collection *collection = request->collection;
    struct vex_index_auto *automatic = request->automatic;
    struct vex_index_set *set = collection->data.indexes;
    struct vex_err err;
    bool may;

    pthread_mutex_lock(&set->work.lock);
    may = set->work.started && !set->work.stopped;
    automatic->making = may;
    pthread_mutex_unlock(&set->work.lock);
    if (may)
        tell(request,
             vex_engine_alter(collection->engine, collection, vex_str("", 0), add_index, request, &err),
             &err);
    vex_buf_done(&request->field);
    vex_mem_free(request);
    atomic_store(&automatic->asked, false);
    pthread_mutex_lock(&set->work.lock);
    automatic->making = false;
    pthread_cond_broadcast(&set->work.changed);
    pthread_mutex_unlock(&set->work.lock);
    vex_collection_unref(collection);
}

bool vex_index_auto_runs(const struct vex_index_set *set)
{
    const struct vex_index_auto *automatic = atomic_load(&set->automatic);

    return automatic != NULL && automatic->making;
}

/* ---- counting ---- */

static struct vex_index_auto *table_of(struct vex_index_set *set)
{
    struct vex_index_auto *automatic = atomic_load_explicit(&set->automatic, memory_order_acquire), *fresh;

    if (automatic != NULL)
        return automatic;
    fresh = VEX_NEW(struct vex_index_auto);
    if (atomic_compare_exchange_strong(&set->automatic, &automatic, fresh))
        return fresh;
    vex_mem_free(fresh);
    return automatic;
}

void vex_index_auto_free(struct vex_index_set *set)
{
    vex_mem_free(atomic_load(&set->automatic));
}

static void clear_counts(struct field *field)
{
    atomic_store_explicit(&field->total, 0, memory_order_relaxed);
    for (unsigned t = 0; t < TYPES; t++)
        atomic_store_explicit(&field->counts[t], 0, memory_order_relaxed);
}

/* Nobody loses more than its last count. */
static void wear(struct field *field)
{
    uint32_t total = atomic_load_explicit(&field->total, memory_order_relaxed);

    while (total > 0 && !atomic_compare_exchange_weak(&field->total, &total, total - 1))
        ;
}

/* The path's own; NULL: it has none yet. */
static struct field *find_field(struct vex_index_auto *automatic, uint64_t hash)
{
    struct field *ways = &automatic->fields[(hash >> 1) * WAYS % FIELDS], *free = NULL;

    for (unsigned w = 0; w < WAYS; w++) {
        uint64_t found = atomic_load_explicit(&ways[w].hash, memory_order_relaxed);

        if (found == hash)
            return &ways[w];
        if (free == NULL && atomic_load_explicit(&ways[w].total, memory_order_relaxed) == 0)
            free = &ways[w];
    }
    for (unsigned w = 0; free == NULL && w < WAYS; w++)
        wear(&ways[w]);
    if (free != NULL) {
        clear_counts(free);
        atomic_store_explicit(&free->hash, hash, memory_order_relaxed);
    }
    return free;
}

static enum vex_index_type most_asked(const struct field *field)
{
    unsigned best = 0;
    uint32_t most = 0;

    for (unsigned t = 0; t < TYPES; t++) {
        uint32_t count = atomic_load_explicit(&field->counts[t], memory_order_relaxed);
        if (count > most) {
            most = count;
            best = t;
        }
    }
    return (enum vex_index_type)best;
}

static bool is_gone(const struct vex_index_auto *automatic, uint64_t hash)
{
    for (uint32_t i = 0; i < automatic->gone_count; i++)
        if (automatic->gone[i] == hash)
            return true;
    return automatic->gone_count == GONE_MAX; /* more than can be remembered: no more guessing */
}

static void ask(struct vex_index_set *set, struct vex_index_auto *automatic, const struct vex_path *path,
                enum vex_index_type type)
{
    struct request *request;

    if (atomic_exchange(&automatic->asked, true))
        return;
    request = VEX_NEW(struct request);
    vex_buf_init(&request->field, NULL);
    if (!name_field(path, &request->field)) {
        vex_buf_done(&request->field);
        vex_mem_free(request);
        atomic_store(&automatic->asked, false);
        return;
    }
    request->task.run = run_request;
    request->collection = vex_collection_ref(set->collection);
    request->automatic = automatic;
    request->type = type;
    vex_pool_submit(set->collection->engine->pool, &request->task);
}

bool vex_index_set_learns(const struct vex_index_set *set)
{
    return set != NULL && set->collection->engine->options.auto_index &&
           vex_rows_live_count(set->collection->data.rows) > VEX_AUTO_INDEX_POINTS;
}

void vex_index_set_missed(struct vex_index_set *set, const struct vex_path *path, const struct vex_cond *cond)
{
    enum vex_index_type type = type_of(cond);
    uint64_t hash = type != 0 ? hash_path(path) : 0;
    struct vex_index_auto *automatic;
    struct field *field;

    if (hash == 0 || !vex_index_set_learns(set))
        return;
    automatic = table_of(set);
    field = find_field(automatic, hash);
    if (field == NULL)
        return;
    atomic_fetch_add_explicit(&field->counts[type], 1, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&field->total, 1, memory_order_relaxed) < VEX_AUTO_INDEX_MISSES)
        return;
    if (atomic_load_explicit(&automatic->asked, memory_order_relaxed)) /* its turn comes with a later miss */
        return;
    type = most_asked(field);
    clear_counts(field);
    if (type != 0 && set->count < VEX_AUTO_INDEX_MAX && !is_gone(automatic, hash) &&
        !vex_index_set_has(set, path))
        ask(set, automatic, path, type);
}

void vex_index_auto_gone(struct vex_index_set *set, const struct vex_path *path)
{
    uint64_t hash = hash_path(path);
    struct vex_index_auto *automatic;

    if (hash == 0 || !set->collection->engine->options.auto_index)
        return;
    automatic = table_of(set);
    if (!is_gone(automatic, hash))
        automatic->gone[automatic->gone_count++] = hash;
}
