/* Aliases, tenants and databases: changes and look-ups. See engine_catalog.c for how a change runs.
 *
 * Owner     The engine. Lock: change_lock over a whole change, catalog_lock for moments. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/internal.h"

static int log_and_free(struct vex_engine *engine, enum vex_change kind, struct vex_buf *body,
                        struct vex_err *err)
{
    int rc = vex_engine_log_change(engine, kind, body, err);

    vex_buf_done(body);
    return rc;
}

/* ---- aliases ---- */

/* What the actions so far lead to, over the catalog's aliases. */
struct alias_plan {
    struct vex_catalog *catalog;
    struct vex_map changed; /* -> collection, or &gone */
    struct vex_buf *body;
};

static char gone;

static struct vex_collection *planned(const struct alias_plan *plan, struct vex_str alias)
{
    void *value = vex_map_get(&plan->changed, alias);

    if (value == NULL)
        value = vex_map_get(&plan->catalog->aliases, alias);
    return value == &gone ? NULL : value;
}

static void plan_alias(struct alias_plan *plan, struct vex_str alias, struct vex_collection *collection)
{
    vex_map_put(&plan->changed, alias, collection != NULL ? (void *)collection : &gone);
    vex_change_alias(plan->body, alias, collection != NULL ? collection->id : 0);
}

static int check_alias(const struct alias_plan *plan, struct vex_str alias, struct vex_err *err)
{
    if (alias.len == 0 || memchr(alias.ptr, '\0', alias.len) != NULL)
        return vex_err_set(err, VEX_EBAD_INPUT, "An alias needs a name without NUL bytes");
    if (vex_catalog_by_qualified(plan->catalog, alias) != NULL)
        return vex_err_set(err, VEX_EEXISTS, "Collection `" VEX_STR_FMT "` already exists!",
                           VEX_STR_ARG(alias));
    return 0;
}

static int plan_action(struct alias_plan *plan, const struct vex_alias_action *action, struct vex_err *err)
{
    struct vex_collection *collection;
    int rc;

    switch (action->kind) {
    case VEX_ALIAS_CREATE:
        collection = vex_catalog_by_qualified(plan->catalog, action->collection);
        if (collection == NULL)
            return vex_err_set(err, VEX_ENOT_FOUND, VEX_NO_COLLECTION, VEX_STR_ARG(action->collection));
        rc = check_alias(plan, action->alias, err);
        if (rc == 0)
            plan_alias(plan, action->alias, collection);
        return rc;
    case VEX_ALIAS_DELETE:
        if (planned(plan, action->alias) != NULL)
            plan_alias(plan, action->alias, NULL);
        return 0;
    case VEX_ALIAS_RENAME:
        collection = planned(plan, action->alias);
        if (collection == NULL)
            return vex_err_set(err, VEX_ENOT_FOUND, "Alias " VEX_STR_FMT " does not exists!",
                               VEX_STR_ARG(action->alias));
        rc = check_alias(plan, action->to, err);
        if (rc == 0) {
            plan_alias(plan, action->alias, NULL);
            plan_alias(plan, action->to, collection);
        }
        return rc;
    }
    return vex_err_set(err, VEX_EINTERNAL, "unknown alias action");
}

int vex_engine_change_aliases(struct vex_engine *engine, const struct vex_alias_action *actions,
                              uint32_t count, struct vex_err *err)
{
    struct vex_buf body;
    struct alias_plan plan = {.catalog = &engine->catalog, .body = &body};
    int rc = 0;

    vex_buf_init(&body, NULL);
    vex_map_init(&plan.changed);
    pthread_mutex_lock(&engine->change_lock);
    pthread_mutex_lock(&engine->catalog_lock);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = plan_action(&plan, &actions[i], err);
    pthread_mutex_unlock(&engine->catalog_lock);
    if (rc == 0 && body.len > 0)
        rc = vex_engine_log_change(engine, VEX_CHANGE_ALIASES, &body, err);
    pthread_mutex_unlock(&engine->change_lock);
    vex_map_done(&plan.changed);
    vex_buf_done(&body);
    return rc;
}

static int compare_aliases(const void *a, const void *b)
{
    return vex_str_cmp(((const struct vex_alias *)a)->alias, ((const struct vex_alias *)b)->alias);
}

static struct vex_str dup_in(struct vex_arena *arena, struct vex_str s)
{
    return vex_str(vex_arena_dup(arena, s.len > 0 ? s.ptr : "", s.len), s.len);
}

uint32_t vex_engine_aliases(struct vex_engine *engine, struct vex_collection *collection,
                            struct vex_arena *arena, struct vex_alias **ret)
{
    const struct vex_catalog *catalog = &engine->catalog;
    struct vex_str alias;
    uint32_t count = 0;
    void *value;

    pthread_mutex_lock(&engine->catalog_lock);
    *ret = VEX_ARENA_ARRAY(arena, struct vex_alias, catalog->aliases.count + 1);
    for (size_t at = 0; vex_map_next(&catalog->aliases, &at, &alias, &value);) {
        const struct vex_collection *target = value;
        struct vex_collection_info info = {
            .tenant = target->tenant, .database = target->database, .name = target->name};

        if (collection != NULL && target != collection)
            continue;
        (*ret)[count].alias = dup_in(arena, alias);
        (*ret)[count++].collection = dup_in(arena, vex_qualified_name(arena, &info));
    }
    pthread_mutex_unlock(&engine->catalog_lock);
    qsort(*ret, count, sizeof **ret, compare_aliases);
    return count;
}

/* ---- tenants ---- */

static int tenant_exists(struct vex_engine *engine, struct vex_str name, struct vex_str *ret_resource,
                         struct vex_arena *arena)
{
    const struct vex_catalog_tenant *tenant;

    pthread_mutex_lock(&engine->catalog_lock);
    tenant = vex_catalog_tenant(&engine->catalog, name);
    if (tenant != NULL && ret_resource != NULL)
        *ret_resource = dup_in(arena, tenant->resource);
    pthread_mutex_unlock(&engine->catalog_lock);
    return tenant != NULL;
}

static int check_plain(struct vex_str name, const char *what, struct vex_err *err)
{
    if (name.len == 0 || memchr(name.ptr, '\0', name.len) != NULL)
        return vex_err_set(err, VEX_EBAD_INPUT, "A %s needs a name without NUL bytes", what);
    return 0;
}

int vex_engine_create_tenant(struct vex_engine *engine, struct vex_str name, struct vex_err *err)
{
    struct vex_buf body;
    int rc = check_plain(name, "tenant", err);

    if (rc != 0)
        return rc;
    pthread_mutex_lock(&engine->change_lock);
    if (tenant_exists(engine, name, NULL, NULL)) {
        rc = vex_err_set(err, VEX_EEXISTS, "Tenant [" VEX_STR_FMT "] already exists", VEX_STR_ARG(name));
    } else {
        vex_buf_init(&body, NULL);
        vex_change_tenant(&body, name, vex_str("", 0));
        rc = log_and_free(engine, VEX_CHANGE_TENANT, &body, err);
    }
    pthread_mutex_unlock(&engine->change_lock);
    return rc;
}

int vex_engine_set_tenant_resource(struct vex_engine *engine, struct vex_str name, struct vex_str resource,
                                   struct vex_err *err)
{
    struct vex_str present = {0};
    struct vex_arena arena;
    struct vex_buf body;
    int rc;

    vex_arena_init(&arena, 0);
    pthread_mutex_lock(&engine->change_lock);
    if (!tenant_exists(engine, name, &present, &arena)) {
        rc = vex_err_set(err, VEX_ENOT_FOUND, "Tenant [" VEX_STR_FMT "] not found", VEX_STR_ARG(name));
    } else if (present.len > 0) {
        rc = vex_err_set(err, VEX_EEXISTS, "Tenant [" VEX_STR_FMT "] already has a resource name",
                         VEX_STR_ARG(name));
    } else {
        vex_buf_init(&body, NULL);
        vex_change_tenant(&body, name, resource);
        rc = log_and_free(engine, VEX_CHANGE_TENANT, &body, err);
    }
    pthread_mutex_unlock(&engine->change_lock);
    vex_arena_done(&arena);
    return rc;
}

int vex_engine_tenant(struct vex_engine *engine, struct vex_str name, struct vex_arena *arena,
                      struct vex_str *ret_resource, struct vex_err *err)
{
    if (!tenant_exists(engine, name, ret_resource, arena))
        return vex_err_set(err, VEX_ENOT_FOUND, "Tenant [" VEX_STR_FMT "] not found", VEX_STR_ARG(name));
    return 0;
}

/* ---- databases ---- */

int vex_engine_create_database(struct vex_engine *engine, struct vex_str tenant, struct vex_str name,
                               struct vex_err *err)
{
    const struct vex_catalog_database *database;
    struct vex_buf body;
    uint8_t uuid[16];
    int rc = check_plain(name, "database", err);

    if (rc == 0)
        rc = check_plain(tenant, "tenant", err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&engine->change_lock);
    pthread_mutex_lock(&engine->catalog_lock);
    database = vex_catalog_database(&engine->catalog, tenant, name);
    pthread_mutex_unlock(&engine->catalog_lock);
    if (database != NULL) {
        rc = vex_err_set(err, VEX_EEXISTS, "Database [" VEX_STR_FMT "] already exists", VEX_STR_ARG(name));
    } else {
        engine->io->ops->random(engine->io, uuid, sizeof uuid);
        vex_uuid_from_random(uuid);
        vex_buf_init(&body, NULL);
        vex_change_database(&body, uuid, tenant, name);
        rc = log_and_free(engine, VEX_CHANGE_DATABASE, &body, err);
    }
    pthread_mutex_unlock(&engine->change_lock);
    return rc;
}

int vex_engine_drop_database(struct vex_engine *engine, struct vex_str tenant, struct vex_str name,
                             struct vex_err *err)
{
    const struct vex_catalog_database *database;
    struct vex_buf body;
    int rc;

    pthread_mutex_lock(&engine->change_lock);
    pthread_mutex_lock(&engine->catalog_lock);
    database = vex_catalog_database(&engine->catalog, tenant, name);
    pthread_mutex_unlock(&engine->catalog_lock);
    if (database == NULL) {
        rc = vex_err_set(err, VEX_ENOT_FOUND, "Database [" VEX_STR_FMT "] not found", VEX_STR_ARG(name));
    } else {
        vex_buf_init(&body, NULL);
        vex_buf_add_str32(&body, tenant);
        vex_buf_add_str32(&body, name);
        rc = log_and_free(engine, VEX_CHANGE_DROP_DATABASE, &body, err);
    }
    pthread_mutex_unlock(&engine->change_lock);
    return rc;
}

static void database_info(struct vex_arena *arena, const struct vex_catalog_database *database,
                          struct vex_database_info *ret)
{
    memcpy(ret->uuid, database->uuid, sizeof ret->uuid);
    ret->tenant = dup_in(arena, database->tenant);
    ret->name = dup_in(arena, database->name);
}

int vex_engine_database(struct vex_engine *engine, struct vex_str tenant, struct vex_str name,
                        struct vex_arena *arena, struct vex_database_info *ret, struct vex_err *err)
{
    const struct vex_catalog_database *database;

    pthread_mutex_lock(&engine->catalog_lock);
    database = vex_catalog_database(&engine->catalog, tenant, name);
    if (database != NULL)
        database_info(arena, database, ret);
    pthread_mutex_unlock(&engine->catalog_lock);
    if (database == NULL)
        return vex_err_set(err, VEX_ENOT_FOUND,
                           "Database [" VEX_STR_FMT "] not found. Are you sure it exists?",
                           VEX_STR_ARG(name));
    return 0;
}

uint32_t vex_engine_databases(struct vex_engine *engine, struct vex_str tenant, struct vex_arena *arena,
                              struct vex_database_info **ret)
{
    uint32_t count = 0, filled = 0;

    pthread_mutex_lock(&engine->catalog_lock);
    for (const struct vex_catalog_database *d = engine->catalog.databases; d != NULL; d = d->next)
        count += vex_str_eq(d->tenant, tenant);
    *ret = VEX_ARENA_ARRAY(arena, struct vex_database_info, count + 1u);
    for (const struct vex_catalog_database *d = engine->catalog.databases; d != NULL; d = d->next)
        if (vex_str_eq(d->tenant, tenant))
            database_info(arena, d, &(*ret)[filled++]);
    pthread_mutex_unlock(&engine->catalog_lock);
    return count;
}

int vex_engine_reset(struct vex_engine *engine, struct vex_err *err)
{
    struct vex_buf body;
    int rc;

    vex_buf_init(&body, NULL);
    vex_buf_add_u32(&body, 0); /* room for options to come */
    pthread_mutex_lock(&engine->change_lock);
    rc = log_and_free(engine, VEX_CHANGE_RESET, &body, err);
    pthread_mutex_unlock(&engine->change_lock);
    return rc;
}
