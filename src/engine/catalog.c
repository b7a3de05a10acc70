/* The catalog in memory: look-ups and the application of changes. See catalog.h.
 *
 * Owner     The engine. Lock: its catalog_lock.
 * Invariant Every live collection is in ids, uuids, names and the list of creation, with one reference held for all of them;
 *           aliases lead to live collections only. */
#include "engine/catalog.h"

#include "base/mem.h"
#include "engine/internal.h"

static struct vex_str dup_str(struct vex_str s)
{
    return vex_str(vex_mem_strndup(s.ptr != NULL ? s.ptr : "", s.len), s.len);
}

static void free_str(struct vex_str s)
{
    vex_mem_free((void *)(uintptr_t)s.ptr);
}

/* tenant, NUL, database, NUL, name: names hold no NUL. */
static void name_key(struct vex_buf *key, struct vex_str tenant, struct vex_str database, struct vex_str name)
{
    vex_buf_init(key, NULL);
    vex_buf_add_str(key, tenant);
    vex_buf_add_char(key, '\0');
    vex_buf_add_str(key, database);
    vex_buf_add_char(key, '\0');
    vex_buf_add_str(key, name);
}

static struct vex_str id_key(const uint64_t *id)
{
    return vex_str((const char *)id, sizeof *id);
}

/* ---- look-ups ---- */

struct vex_collection *vex_catalog_by_id(const struct vex_catalog *catalog, uint64_t id)
{
    return vex_map_get(&catalog->ids, id_key(&id));
}

struct vex_collection *vex_catalog_by_name(const struct vex_catalog *catalog, struct vex_str tenant,
                                           struct vex_str database, struct vex_str name)
{
    struct vex_collection *collection;
    struct vex_buf key;

    name_key(&key, tenant, database, name);
    collection = vex_map_get(&catalog->names, vex_buf_str(&key));
    vex_buf_done(&key);
    return collection;
}

struct vex_collection *vex_catalog_by_qualified(const struct vex_catalog *catalog, struct vex_str name)
{
    struct vex_str tenant = VEX_STR(VEX_DEFAULT_TENANT), database = VEX_STR(VEX_DEFAULT_DATABASE);
    struct vex_collection *collection = vex_catalog_by_name(catalog, tenant, database, name);
    const char *first, *second, *end = name.ptr + name.len;

    if (collection != NULL || name.len == 0)
        return collection;
    first = memchr(name.ptr, '~', name.len);
    second = first != NULL ? memchr(first + 1, '~', (size_t)(end - first - 1)) : NULL;
    if (second == NULL)
        return NULL;
    tenant = vex_str(name.ptr, (size_t)(first - name.ptr));
    database = vex_str(first + 1, (size_t)(second - first - 1));
    return vex_catalog_by_name(catalog, tenant, database, vex_str(second + 1, (size_t)(end - second - 1)));
}

struct vex_catalog_tenant *vex_catalog_tenant(const struct vex_catalog *catalog, struct vex_str name)
{
    for (struct vex_catalog_tenant *t = catalog->tenants; t != NULL; t = t->next)
        if (vex_str_eq(t->name, name))
            return t;
    return NULL;
}

struct vex_catalog_database *vex_catalog_database(const struct vex_catalog *catalog, struct vex_str tenant,
                                                  struct vex_str name)
{
    for (struct vex_catalog_database *d = catalog->databases; d != NULL; d = d->next)
        if (vex_str_eq(d->name, name) && vex_str_eq(d->tenant, tenant))
            return d;
    return NULL;
}

/* ---- parts ---- */

static void put_name(struct vex_catalog *catalog, struct vex_collection *collection)
{
    struct vex_buf key;

    name_key(&key, collection->tenant, collection->database, collection->name);
    vex_map_put(&catalog->names, vex_buf_str(&key), collection);
    vex_buf_done(&key);
}

static void remove_name(struct vex_catalog *catalog, struct vex_collection *collection)
{
    struct vex_buf key;

    name_key(&key, collection->tenant, collection->database, collection->name);
    vex_map_remove(&catalog->names, vex_buf_str(&key));
    vex_buf_done(&key);
}

static void add_tenant(struct vex_catalog *catalog, struct vex_str name, struct vex_str resource)
{
    struct vex_catalog_tenant *tenant = vex_catalog_tenant(catalog, name), **at = &catalog->tenants;

    if (tenant != NULL) {
        free_str(tenant->resource);
        tenant->resource = dup_str(resource);
        return;
    }
    while (*at != NULL)
        at = &(*at)->next;
    *at = tenant = VEX_NEW(struct vex_catalog_tenant);
    tenant->name = dup_str(name);
    tenant->resource = dup_str(resource);
}

static void add_database(struct vex_catalog *catalog, const uint8_t uuid[16], struct vex_str tenant,
                         struct vex_str name)
{
    struct vex_catalog_database *database = vex_catalog_database(catalog, tenant, name),
                                **at = &catalog->databases;

    if (database == NULL) {
        while (*at != NULL)
            at = &(*at)->next;
        *at = database = VEX_NEW(struct vex_catalog_database);
        database->tenant = dup_str(tenant);
        database->name = dup_str(name);
    }
    memcpy(database->uuid, uuid, 16);
}

static void remove_aliases(struct vex_catalog *catalog, const struct vex_collection *collection)
{
    struct vex_str alias;
    void *value;
    bool found = true;

    while (found) {
        found = false;
        for (size_t at = 0; !found && vex_map_next(&catalog->aliases, &at, &alias, &value);)
            found = value == collection;
        if (found)
            vex_map_remove(&catalog->aliases, alias);
    }
}

/* Takes it out of every table and gives up the catalog's reference. */
static void remove_collection(struct vex_catalog *catalog, struct vex_collection *collection)
{
    remove_aliases(catalog, collection);
    remove_name(catalog, collection);
    vex_map_remove(&catalog->ids, id_key(&collection->id));
    vex_map_remove(&catalog->uuids, vex_str((const char *)collection->uuid, 16));
    if (collection->older != NULL)
        collection->older->newer = collection->newer;
    else
        catalog->oldest = collection->newer;
    if (collection->newer != NULL)
        collection->newer->older = collection->older;
    else
        catalog->newest = collection->older;
    collection->older = collection->newer = NULL;
}

static void drop_collection(struct vex_catalog *catalog, struct vex_collection *collection)
{
    remove_collection(catalog, collection);
    atomic_store(&collection->dropped, true);
    vex_collection_schedule(collection, false); /* what is queued is answered */
    vex_collection_unref(collection);
}

static void free_tables(struct vex_catalog *catalog)
{
    while (catalog->databases != NULL) {
        struct vex_catalog_database *next = catalog->databases->next;
        free_str(catalog->databases->tenant);
        free_str(catalog->databases->name);
        vex_mem_free(catalog->databases);
        catalog->databases = next;
    }
    while (catalog->tenants != NULL) {
        struct vex_catalog_tenant *next = catalog->tenants->next;
        free_str(catalog->tenants->name);
        free_str(catalog->tenants->resource);
        vex_mem_free(catalog->tenants);
        catalog->tenants = next;
    }
}

static void add_defaults(struct vex_catalog *catalog)
{
    static const uint8_t zero[16];

    add_tenant(catalog, VEX_STR(VEX_DEFAULT_TENANT), vex_str("", 0));
    add_database(catalog, zero, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE));
}

void vex_catalog_init(struct vex_catalog *catalog)
{
    *catalog = (struct vex_catalog){.next_id = 1};
    vex_map_init(&catalog->ids);
    vex_map_init(&catalog->uuids);
    vex_map_init(&catalog->names);
    vex_map_init(&catalog->aliases);
    add_defaults(catalog);
}

void vex_catalog_done(struct vex_catalog *catalog)
{
    while (catalog->oldest != NULL) {
        struct vex_collection *collection = catalog->oldest;
        remove_collection(catalog, collection);
        vex_collection_unref(collection);
    }
    vex_map_done(&catalog->ids);
    vex_map_done(&catalog->uuids);
    vex_map_done(&catalog->names);
    vex_map_done(&catalog->aliases);
    free_tables(catalog);
}

/* ---- changes ---- */

static int apply_create(struct vex_engine *engine, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_catalog *catalog = &engine->catalog;
    uint64_t id = vex_cursor_u64(c), created_us;
    const uint8_t *uuid = vex_cursor_bytes(c, 16);
    struct vex_str tenant = vex_cursor_str32(c), database = vex_cursor_str32(c), name = vex_cursor_str32(c);
    struct vex_collection *collection;
    struct vex_config *config;
    int rc;

    created_us = vex_cursor_u64(c);
    if (c->bad || id == 0 || vex_catalog_by_id(catalog, id) != NULL ||
        vex_catalog_by_name(catalog, tenant, database, name) != NULL)
        return vex_err_set(err, VEX_ECORRUPT, "creation of a collection is damaged");
    rc = vex_config_decode(c, &config, err);
    if (rc != 0)
        return rc;
    collection = vex_collection_new(engine, id, uuid, tenant, database, name, created_us, config);
    if (id >= catalog->next_id)
        catalog->next_id = id + 1;
    vex_map_put(&catalog->ids, id_key(&id), collection);
    vex_map_put(&catalog->uuids, vex_str((const char *)uuid, 16), collection);
    put_name(catalog, collection);
    collection->older = catalog->newest;
    if (catalog->newest != NULL)
        catalog->newest->newer = collection;
    else
        catalog->oldest = collection;
    catalog->newest = collection;
    return 0;
}

static int apply_alter(struct vex_engine *engine, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_catalog *catalog = &engine->catalog;
    struct vex_collection *collection = vex_catalog_by_id(catalog, vex_cursor_u64(c));
    struct vex_str name = vex_cursor_str32(c);
    struct vex_config *config;
    int rc;

    if (c->bad || collection == NULL)
        return vex_err_set(err, VEX_ECORRUPT, "change of a collection is damaged");
    rc = vex_config_decode(c, &config, err);
    if (rc != 0)
        return rc;
    if (name.len > 0 && !vex_str_eq(name, collection->name)) {
        remove_name(catalog, collection);
        free_str(collection->name);
        collection->name = dup_str(name);
        put_name(catalog, collection);
    }
    vex_collection_publish_config(collection, config);
    return 0;
}

static int apply_aliases(struct vex_catalog *catalog, struct vex_cursor *c, struct vex_err *err)
{
    while (vex_cursor_left(c) > 0) {
        struct vex_str alias = vex_cursor_str32(c);
        uint64_t id = vex_cursor_u64(c);
        struct vex_collection *collection = id != 0 ? vex_catalog_by_id(catalog, id) : NULL;

        if (c->bad || (id != 0 && collection == NULL))
            return vex_err_set(err, VEX_ECORRUPT, "change of aliases is damaged");
        if (collection != NULL)
            vex_map_put(&catalog->aliases, alias, collection);
        else
            vex_map_remove(&catalog->aliases, alias);
    }
    return 0;
}

static int apply_drop_database(struct vex_catalog *catalog, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_str tenant = vex_cursor_str32(c), name = vex_cursor_str32(c);
    struct vex_catalog_database *database = vex_catalog_database(catalog, tenant, name),
                                **at = &catalog->databases;
    struct vex_collection *next;

    if (c->bad || database == NULL)
        return vex_err_set(err, VEX_ECORRUPT, "removal of a database is damaged");
    for (struct vex_collection *collection = catalog->oldest; collection != NULL; collection = next) {
        next = collection->newer;
        if (vex_str_eq(collection->tenant, tenant) && vex_str_eq(collection->database, name))
            drop_collection(catalog, collection);
    }
    while (*at != database)
        at = &(*at)->next;
    *at = database->next;
    free_str(database->tenant);
    free_str(database->name);
    vex_mem_free(database);
    return 0;
}

static int apply_drop(struct vex_catalog *catalog, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_collection *collection = vex_catalog_by_id(catalog, vex_cursor_u64(c));

    if (c->bad || collection == NULL)
        return vex_err_set(err, VEX_ECORRUPT, "removal of a collection is damaged");
    drop_collection(catalog, collection);
    return 0;
}

static void apply_reset(struct vex_catalog *catalog)
{
    while (catalog->oldest != NULL)
        drop_collection(catalog, catalog->oldest);
    free_tables(catalog);
    add_defaults(catalog);
}

static int apply_database(struct vex_catalog *catalog, struct vex_cursor *c, struct vex_err *err)
{
    const uint8_t *uuid = vex_cursor_bytes(c, 16);
    struct vex_str tenant = vex_cursor_str32(c), name = vex_cursor_str32(c);

    if (c->bad)
        return vex_err_set(err, VEX_ECORRUPT, "creation of a database is damaged");
    add_database(catalog, uuid, tenant, name);
    return 0;
}

static int apply_tenant(struct vex_catalog *catalog, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_str name = vex_cursor_str32(c), resource = vex_cursor_str32(c);

    if (c->bad)
        return vex_err_set(err, VEX_ECORRUPT, "change of a tenant is damaged");
    add_tenant(catalog, name, resource);
    return 0;
}

int vex_catalog_apply(struct vex_engine *engine, enum vex_change kind, struct vex_str body,
                      struct vex_err *err)
{
    struct vex_cursor c = vex_cursor(body.ptr, body.len);

    engine->catalog.changes++;
    switch (kind) {
    case VEX_CHANGE_CREATE:
        return apply_create(engine, &c, err);
    case VEX_CHANGE_DROP:
        return apply_drop(&engine->catalog, &c, err);
    case VEX_CHANGE_ALTER:
        return apply_alter(engine, &c, err);
    case VEX_CHANGE_ALIASES:
        return apply_aliases(&engine->catalog, &c, err);
    case VEX_CHANGE_TENANT:
        return apply_tenant(&engine->catalog, &c, err);
    case VEX_CHANGE_DATABASE:
        return apply_database(&engine->catalog, &c, err);
    case VEX_CHANGE_DROP_DATABASE:
        return apply_drop_database(&engine->catalog, &c, err);
    case VEX_CHANGE_RESET:
        apply_reset(&engine->catalog);
        return 0;
    }
    return vex_err_set(err, VEX_ECORRUPT, "catalog record of unknown kind %d", (int)kind);
}
