/* Changes of the catalog and look-ups in it: the part of engine.h about names.
 *
 * Owner     The engine. Lock: change_lock over a whole change, catalog_lock for moments.
 * Invariant A change is checked, logged, durable and only then seen by anybody; apply can't fail for what was checked. */
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/internal.h"

/* ---- one change ---- */

struct change_wait {
    struct vex_wal_entry entry;
    struct vex_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
    int status;
};

static void change_ordered(struct vex_wal_entry *entry)
{
    struct vex_engine *engine = VEX_CONTAINER_OF(entry, struct change_wait, entry)->engine;

    pthread_mutex_lock(&engine->dirty_lock);
    engine->catalog_logged = entry->seq;
    if (engine->catalog_dirty == 0)
        engine->catalog_dirty = entry->seq;
    pthread_mutex_unlock(&engine->dirty_lock);
}

static void change_durable(struct vex_wal_entry *entry, int status)
{
    struct change_wait *wait = VEX_CONTAINER_OF(entry, struct change_wait, entry);

    pthread_mutex_lock(&wait->lock);
    wait->done = true;
    wait->status = status;
    pthread_cond_signal(&wait->done_cond);
    pthread_mutex_unlock(&wait->lock);
}

static int log_durably(struct vex_engine *engine, struct change_wait *wait)
{
    int rc;

    pthread_mutex_init(&wait->lock, NULL);
    pthread_cond_init(&wait->done_cond, NULL);
    rc = vex_wal_append(engine->wal, &wait->entry);
    if (rc == 0) {
        pthread_mutex_lock(&wait->lock);
        while (!wait->done)
            pthread_cond_wait(&wait->done_cond, &wait->lock);
        rc = wait->status;
        pthread_mutex_unlock(&wait->lock);
    }
    pthread_mutex_destroy(&wait->lock);
    pthread_cond_destroy(&wait->done_cond);
    return rc;
}

int vex_engine_log_change(struct vex_engine *engine, enum vex_change kind, struct vex_buf *body,
                          struct vex_err *err)
{
    struct change_wait wait = {.engine = engine,
                               .entry = {.kind = (uint16_t)kind,
                                         .body = body->ptr,
                                         .len = body->len,
                                         .urgent = kind == VEX_CHANGE_DROP ||
                                                   kind == VEX_CHANGE_DROP_DATABASE ||
                                                   kind == VEX_CHANGE_RESET,
                                         .ordered = change_ordered,
                                         .durable = change_durable}};
    int rc = body->len > VEX_WAL_BODY_MAX ? VEX_ETOO_LARGE : log_durably(engine, &wait);

    if (rc == VEX_EREAD_ONLY)
        return vex_err_set(err, rc,
                           "The log can't be written; the server is read-only until it is restarted");
    if (rc != 0)
        return vex_err_set(err, rc, "The log refused the change");
    pthread_mutex_lock(&engine->catalog_lock);
    rc = vex_catalog_apply(engine, kind, vex_buf_str(body), err);
    engine->catalog.seq = wait.entry.seq;
    pthread_mutex_unlock(&engine->catalog_lock);
    if (rc != 0)
        vex_error("engine", "a logged change of the catalog can't be applied: %s", err->text);
    return rc;
}

/* Same, and the buffer is done with. */
static int log_and_free(struct vex_engine *engine, enum vex_change kind, struct vex_buf *body,
                        struct vex_err *err)
{
    int rc = vex_engine_log_change(engine, kind, body, err);

    vex_buf_done(body);
    return rc;
}

/* ---- names ---- */

struct vex_str vex_qualified_name(struct vex_arena *arena, const struct vex_collection_info *info)
{
    struct vex_buf name;

    if (vex_str_eq_c(info->tenant, VEX_DEFAULT_TENANT) && vex_str_eq_c(info->database, VEX_DEFAULT_DATABASE))
        return info->name;
    vex_buf_init(&name, arena);
    vex_buf_add_str(&name, info->tenant);
    vex_buf_add_char(&name, '~');
    vex_buf_add_str(&name, info->database);
    vex_buf_add_char(&name, '~');
    vex_buf_add_str(&name, info->name);
    return vex_buf_str(&name);
}

/* Under catalog_lock: may a collection take this name? */
static int check_name(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                      struct vex_str name, struct vex_err *err)
{
    struct vex_collection_info info = {.tenant = tenant, .database = database, .name = name};
    struct vex_str qualified;
    struct vex_arena arena;
    int rc = 0;

    if (vex_catalog_by_name(&engine->catalog, tenant, database, name) != NULL)
        return vex_err_set(err, VEX_EEXISTS, "Collection `" VEX_STR_FMT "` already exists!",
                           VEX_STR_ARG(name));
    vex_arena_init(&arena, 0);
    qualified = vex_qualified_name(&arena, &info);
    if (vex_map_get(&engine->catalog.aliases, qualified) != NULL)
        rc = vex_err_set(err, VEX_EBAD_INPUT,
                         "Can't create collection with name " VEX_STR_FMT
                         ". Alias with the same name already exists",
                         VEX_STR_ARG(qualified));
    vex_arena_done(&arena);
    return rc;
}

static bool has_nul(struct vex_str name)
{
    return name.len > 0 && memchr(name.ptr, '\0', name.len) != NULL;
}

/* ---- collections ---- */

static int check_create(struct vex_engine *engine, const struct vex_collection_info *info, bool get,
                        struct vex_collection **ret_existing, struct vex_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&engine->catalog_lock);
    *ret_existing =
        get ? vex_catalog_by_name(&engine->catalog, info->tenant, info->database, info->name) : NULL;
    if (*ret_existing != NULL)
        vex_collection_ref(*ret_existing);
    else if (vex_catalog_database(&engine->catalog, info->tenant, info->database) == NULL)
        rc = vex_err_set(err, VEX_ENOT_FOUND, "Database [" VEX_STR_FMT "] not found. Are you sure it exists?",
                         VEX_STR_ARG(info->database));
    else
        rc = check_name(engine, info->tenant, info->database, info->name, err);
    pthread_mutex_unlock(&engine->catalog_lock);
    return rc;
}

static int create(struct vex_engine *engine, struct vex_collection_info *info, struct vex_collection **ret,
                  struct vex_err *err)
{
    uint64_t id = engine->catalog.next_id; /* change_lock: nobody else changes it */
    struct vex_buf body;
    int rc;

    engine->io->ops->random(engine->io, info->uuid, sizeof info->uuid);
    vex_uuid_from_random(info->uuid);
    info->created_us = vex_io_realtime_ns(engine->io) / 1000;
    vex_buf_init(&body, NULL);
    vex_change_create(&body, id, info);
    rc = log_and_free(engine, VEX_CHANGE_CREATE, &body, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&engine->catalog_lock);
    *ret = vex_collection_ref(vex_catalog_by_id(&engine->catalog, id));
    pthread_mutex_unlock(&engine->catalog_lock);
    return 0;
}

int vex_engine_create(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                      struct vex_str name, struct vex_config *config, bool get_or_create,
                      struct vex_collection **ret, bool *ret_created, struct vex_err *err)
{
    struct vex_collection_info info = {
        .tenant = tenant, .database = database, .name = name, .config = config};
    struct vex_collection *collection = NULL;
    bool created = false;
    int rc;

    if (name.len == 0 || has_nul(name))
        return vex_err_set(err, VEX_EBAD_INPUT, "A collection needs a name without NUL bytes");
    pthread_mutex_lock(&engine->change_lock);
    rc = check_create(engine, &info, get_or_create, &collection, err);
    if (rc == 0 && collection == NULL) {
        rc = create(engine, &info, &collection, err);
        created = rc == 0;
    }
    pthread_mutex_unlock(&engine->change_lock);
    if (rc != 0)
        return rc;
    if (ret_created != NULL)
        *ret_created = created;
    if (ret != NULL)
        *ret = collection;
    else
        vex_collection_unref(collection);
    return 0;
}

int vex_engine_drop(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                    struct vex_str name, bool *ret_found, struct vex_err *err)
{
    struct vex_collection *collection;
    struct vex_buf body;
    int rc = 0;

    pthread_mutex_lock(&engine->change_lock);
    pthread_mutex_lock(&engine->catalog_lock);
    collection = vex_catalog_by_name(&engine->catalog, tenant, database, name);
    pthread_mutex_unlock(&engine->catalog_lock);
    *ret_found = collection != NULL;
    if (collection != NULL) {
        vex_buf_init(&body, NULL);
        vex_buf_add_u64(&body, collection->id);
        rc = log_and_free(engine, VEX_CHANGE_DROP, &body, err);
    }
    pthread_mutex_unlock(&engine->change_lock);
    return rc;
}

static bool same_tenants(const struct vex_config *a, const struct vex_config *b)
{
    const struct vex_index_params *x = vex_config_tenant(a), *y = vex_config_tenant(b);

    return x == NULL || y == NULL ? x == y : vex_str_eq(x->field, y->field);
}

static bool same_vectors(const struct vex_config *a, const struct vex_config *b)
{
    if (a->vector_count != b->vector_count)
        return false;
    for (uint32_t i = 0; i < a->vector_count; i++)
        if (a->vectors[i].ordinal != b->vectors[i].ordinal || a->vectors[i].size != b->vectors[i].size ||
            a->vectors[i].kind != b->vectors[i].kind || a->vectors[i].element != b->vectors[i].element ||
            !vex_str_eq(a->vectors[i].name, b->vectors[i].name))
            return false;
    return true;
}

/* Under change_lock, with the collection's queue empty and its submits parked. */
static int alter_held(struct vex_engine *engine, struct vex_collection *collection, struct vex_str name,
                      struct vex_config *old, struct vex_config *config, struct vex_err *err)
{
    struct vex_buf body;
    int rc = 0;

    pthread_mutex_lock(&engine->catalog_lock);
    if (name.len > 0 && !vex_str_eq(name, collection->name))
        rc = check_name(engine, collection->tenant, collection->database, name, err);
    pthread_mutex_unlock(&engine->catalog_lock);
    if (rc == 0 && has_nul(name))
        rc = vex_err_set(err, VEX_EBAD_INPUT, "A collection needs a name without NUL bytes");
    if (rc == 0)
        rc = vex_index_set_check(old, config, err);
    /* A replay must never meet records written under another set of vectors, filters that cut texts in another way, or points that
     * got their slots by another field. */
    if (rc == 0 &&
        (!same_vectors(old, config) || !vex_index_set_same_texts(old, config) || !same_tenants(old, config)))
        rc = vex_checkpoint_collection(collection, err);
    if (rc != 0)
        return rc;
    vex_buf_init(&body, NULL);
    vex_change_alter(&body, collection->id, name, config);
    rc = log_and_free(engine, VEX_CHANGE_ALTER, &body, err);
    return rc == 0 ? vex_collection_reconfigure(collection, err) : rc;
}

int vex_engine_alter(struct vex_engine *engine, struct vex_collection *collection, struct vex_str name,
                     int (*change)(void *arg, struct vex_config *config, struct vex_err *err), void *arg,
                     struct vex_err *err)
{
    struct vex_config *old = NULL, *config = NULL;
    int rc;

    pthread_mutex_lock(&engine->change_lock);
    /* Open before it changes: nobody can be opening it under the old configuration. */
    rc = vex_collection_open(collection, err);
    if (rc == 0)
        rc = vex_collection_hold(collection, err);
    if (rc != 0) {
        pthread_mutex_unlock(&engine->change_lock);
        return rc;
    }
    vex_collection_acquire(collection);
    old = vex_collection_config(collection);
    config = vex_config_dup(old);
    if (change != NULL)
        rc = change(arg, config, err);
    if (rc == 0)
        rc = alter_held(engine, collection, name, old, config, err);
    vex_config_unref(old);
    vex_config_unref(config);
    vex_collection_release(collection);
    vex_collection_unhold(collection);
    pthread_mutex_unlock(&engine->change_lock);
    return rc;
}

/* ---- the size that the first write fixes ---- */

struct fix_size {
    struct vex_str name;
    uint32_t size;
};

static int set_size(void *arg, struct vex_config *config, struct vex_err *err)
{
    const struct fix_size *fix = arg;

    for (uint32_t i = 0; i < config->vector_count; i++) {
        struct vex_vector_params *params = &config->vectors[i];

        if (!vex_str_eq(params->name, fix->name))
            continue;
        if (params->size != 0 && params->size != fix->size)
            return vex_err_set(err, VEX_EBAD_INPUT,
                               "Collection expecting embedding with dimension of %u, got %u", params->size,
                               fix->size);
        params->size = fix->size;
        return 0;
    }
    return vex_err_set(err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                       VEX_STR_ARG(fix->name));
}

int vex_collection_fix_size(struct vex_engine *engine, struct vex_collection *collection, struct vex_str name,
                            uint32_t size, struct vex_err *err)
{
    struct fix_size fix = {.name = name, .size = size};
    struct vex_config *config;
    const struct vex_vector_params *params;
    bool fixed;

    if (size == 0 || size > VEX_DIM_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, "Dimension %u is not within 1 and %u", size, VEX_DIM_MAX);
    config = vex_collection_config(collection);
    params = vex_config_vector(config, name);
    fixed = params != NULL && params->size == size;
    vex_config_unref(config);
    return fixed ? 0 : vex_engine_alter(engine, collection, vex_str("", 0), set_size, &fix, err);
}

/* ---- look-ups ---- */

static int found(struct vex_collection *collection, struct vex_str name, struct vex_collection **ret,
                 struct vex_err *err)
{
    if (collection == NULL)
        return vex_err_set(err, VEX_ENOT_FOUND, VEX_NO_COLLECTION, VEX_STR_ARG(name));
    *ret = vex_collection_ref(collection);
    return 0;
}

int vex_engine_find(struct vex_engine *engine, struct vex_str name, bool by_alias,
                    struct vex_collection **ret, struct vex_err *err)
{
    struct vex_collection *collection;
    int rc;

    pthread_mutex_lock(&engine->catalog_lock);
    collection = vex_catalog_by_qualified(&engine->catalog, name);
    if (collection == NULL && by_alias)
        collection = vex_map_get(&engine->catalog.aliases, name);
    rc = found(collection, name, ret, err);
    pthread_mutex_unlock(&engine->catalog_lock);
    return rc;
}

int vex_engine_find_in(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                       struct vex_str name, struct vex_collection **ret, struct vex_err *err)
{
    int rc;

    pthread_mutex_lock(&engine->catalog_lock);
    rc = found(vex_catalog_by_name(&engine->catalog, tenant, database, name), name, ret, err);
    pthread_mutex_unlock(&engine->catalog_lock);
    return rc;
}

int vex_engine_find_uuid(struct vex_engine *engine, const uint8_t uuid[16], struct vex_collection **ret,
                         struct vex_err *err)
{
    struct vex_collection *collection;
    char text[VEX_UUID_TEXT];
    int rc;

    vex_uuid_text(uuid, text);
    pthread_mutex_lock(&engine->catalog_lock);
    collection = vex_map_get(&engine->catalog.uuids, vex_str((const char *)uuid, 16));
    rc = found(collection, vex_str(text, sizeof text), ret, err);
    pthread_mutex_unlock(&engine->catalog_lock);
    return rc;
}

uint32_t vex_engine_list(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                         struct vex_arena *arena, struct vex_collection_info **ret)
{
    struct vex_collection **all;
    uint32_t count = 0, i = 0;

    pthread_mutex_lock(&engine->catalog_lock);
    all = VEX_ARENA_ARRAY(arena, struct vex_collection *, engine->catalog.ids.count + 1);
    for (struct vex_collection *c = engine->catalog.oldest; c != NULL; c = c->newer)
        if (tenant.ptr == NULL || (vex_str_eq(c->tenant, tenant) && vex_str_eq(c->database, database)))
            all[count++] = vex_collection_ref(c);
    pthread_mutex_unlock(&engine->catalog_lock);
    *ret = VEX_ARENA_ARRAY(arena, struct vex_collection_info, count + 1u);
    for (i = 0; i < count; i++) {
        vex_collection_info(all[i], arena, &(*ret)[i]);
        vex_collection_unref(all[i]);
    }
    return count;
}
