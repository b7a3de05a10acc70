/* Catalog: collections, aliases, tenants, databases of the node, in memory.
 *
 * Every change is one record of the log (collection 0) and one call of vex_catalog_apply, live and at recovery alike; the file
 * DIR/catalog is the changes that would make the catalog from nothing.
 * Lock      catalog_lock of the engine for every function. Format: docs/disk-format.md, "catalog". */
#ifndef VEX_ENGINE_CATALOG_H
#define VEX_ENGINE_CATALOG_H

#include "base/map.h"
#include "engine/engine.h"

/* Kinds of log records of the catalog; numbers are on disk. */
enum vex_change {
    VEX_CHANGE_CREATE = 1,
    VEX_CHANGE_DROP = 2,
    VEX_CHANGE_ALTER = 3,
    VEX_CHANGE_ALIASES = 4,
    VEX_CHANGE_TENANT = 5,
    VEX_CHANGE_DATABASE = 6,
    VEX_CHANGE_DROP_DATABASE = 7,
    VEX_CHANGE_RESET = 8,
};

struct vex_catalog_database {
    uint8_t uuid[16];
    struct vex_str tenant, name;
    struct vex_catalog_database *next; /* in order of creation */
};

struct vex_catalog_tenant {
    struct vex_str name, resource; /* resource may be empty */
    struct vex_catalog_tenant *next;
};

struct vex_catalog {
    uint64_t seq;                     /* last change applied */
    uint64_t next_id;                 /* of collections, never reused */
    uint64_t changes;                 /* since the file was written */
    struct vex_map ids, uuids, names; /* -> struct vex_collection */
    struct vex_map aliases;           /* -> struct vex_collection */
    struct vex_collection *oldest, *newest;
    struct vex_catalog_database *databases;
    struct vex_catalog_tenant *tenants;
};

/* Default tenant and database. */
void vex_catalog_init(struct vex_catalog *catalog);
void vex_catalog_done(struct vex_catalog *catalog); /* gives up its references */

struct vex_collection *vex_catalog_by_id(const struct vex_catalog *catalog, uint64_t id);
struct vex_collection *vex_catalog_by_name(const struct vex_catalog *catalog, struct vex_str tenant,
                                           struct vex_str database, struct vex_str name);
/* Bare names are of the default tenant and database; then tenant~database~name. */
struct vex_collection *vex_catalog_by_qualified(const struct vex_catalog *catalog, struct vex_str name);
struct vex_catalog_tenant *vex_catalog_tenant(const struct vex_catalog *catalog, struct vex_str name);
struct vex_catalog_database *vex_catalog_database(const struct vex_catalog *catalog, struct vex_str tenant,
                                                  struct vex_str name);

/* Applies one change. VEX_ECORRUPT when the bytes are not one, or do not fit the catalog. */
int vex_catalog_apply(struct vex_engine *engine, enum vex_change kind, struct vex_str body,
                      struct vex_err *err);

/* Bytes of changes. */
void vex_change_create(struct vex_buf *out, uint64_t id, const struct vex_collection_info *info);
void vex_change_alter(struct vex_buf *out, uint64_t id, struct vex_str name, const struct vex_config *config);
void vex_change_alias(struct vex_buf *out, struct vex_str alias,
                      uint64_t id); /* 0: deletes it; any number in a record */
void vex_change_tenant(struct vex_buf *out, struct vex_str name, struct vex_str resource);
void vex_change_database(struct vex_buf *out, const uint8_t uuid[16], struct vex_str tenant,
                         struct vex_str name);

/* The whole file. */
void vex_catalog_encode(struct vex_buf *out, const struct vex_catalog *catalog);
int vex_catalog_decode(struct vex_engine *engine, struct vex_str bytes, struct vex_err *err);

#endif
