/* Engine: the node's collections over one log and one vector device; knows no protocol.
 *
 * Threads  Any thread may call anything here. Calls marked [blocks] wait for the log or other work: worker threads only.
 * Objects  A struct vex_collection is counted; it stays usable (reads give VEX_ENOT_FOUND) after it was dropped.
 * Names    (tenant, database, name) is unique. Qdrant and native see a collection of the default tenant and database under
 *          its bare name and others as tenant~database~name. */
#ifndef VEX_ENGINE_ENGINE_H
#define VEX_ENGINE_ENGINE_H

#include "base/io.h"
#include "base/pool.h"
#include "engine/config.h"
#include "engine/mutation.h"

struct vex_engine;
struct vex_collection;

#define VEX_DEFAULT_TENANT   "default_tenant"
#define VEX_DEFAULT_DATABASE "default_database"

struct vex_engine_options {
    struct vex_io *io;
    const char *dir; /* data folder; created when absent */
    struct vex_dev *dev;
    struct vex_pool *pool;     /* applies mutations, checkpoints */
    uint64_t segment_bytes;    /* of the log */
    uint64_t checkpoint_bytes; /* log bytes after which a changed collection is checkpointed */
    uint64_t checkpoint_ns;    /* or this time */
    uint64_t reserve_bytes;    /* free space below which growing writes are refused */
    uint64_t
        queue_bytes; /* most bytes of logged, unapplied mutations of a collection before submits are parked */
    bool salvage;
    bool auto_index;                  /* fields that are often filtered on without an index get one */
    struct vex_graph_settings graphs; /* of names that say nothing themselves; `never` is not looked at */
    uint32_t (*index_limit)(const struct vex_config *config); /* most indexes it may get so; NULL: no limit */
};

/* [blocks] Locks the folder (VEX_ELOCKED when another server has it), checks the format, reads the catalog, recovers the log. A
 * collection whose records are damaged is refused by name (its calls give VEX_ECORRUPT), the others are served. */
int vex_engine_open(const struct vex_engine_options *options, struct vex_engine **ret, struct vex_err *err);
/* [blocks] Everything submitted is finished; checkpoints; closes. No call may be under way. */
void vex_engine_close(struct vex_engine *engine);
bool vex_engine_read_only(struct vex_engine *engine); /* after a failed sync */
const char *vex_engine_device(struct vex_engine *engine);
bool vex_engine_auto_index(const struct vex_engine *engine);

/* ---- catalog ---- */

struct vex_collection_info {
    uint8_t uuid[16];
    struct vex_str tenant, database, name;
    uint64_t created_us;
    struct vex_config *config; /* a reference of its own */
};

struct vex_database_info {
    uint8_t uuid[16];
    struct vex_str tenant, name;
};

/* [blocks] Creates a collection. uuid: NULL to draw one. get_or_create: an existing one is fine (*ret_created says). Takes no
 * reference of config. VEX_EEXISTS "Collection `x` already exists!", VEX_EBAD_INPUT when an alias has the name,
 * VEX_ENOT_FOUND for an unknown database. ret may be NULL. */
int vex_engine_create(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                      struct vex_str name, struct vex_config *config, bool get_or_create,
                      struct vex_collection **ret, bool *ret_created, struct vex_err *err);
/* [blocks] *ret_found false when there was none. Its aliases go too. */
int vex_engine_drop(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                    struct vex_str name, bool *ret_found, struct vex_err *err);
/* [blocks] New configuration and, when name is not empty, new name: waits until the queued mutations of the collection are
 * applied; `change` builds the new configuration from a copy of the current one under the catalog lock and may refuse. */
int vex_engine_alter(struct vex_engine *engine, struct vex_collection *collection, struct vex_str name,
                     int (*change)(void *arg, struct vex_config *config, struct vex_err *err), void *arg,
                     struct vex_err *err);

/* Looks a name up: a qualified name or an alias when by_alias. VEX_ENOT_FOUND "Collection `x` doesn't exist!". */
int vex_engine_find(struct vex_engine *engine, struct vex_str name, bool by_alias,
                    struct vex_collection **ret, struct vex_err *err);
int vex_engine_find_in(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                       struct vex_str name, struct vex_collection **ret, struct vex_err *err);
int vex_engine_find_uuid(struct vex_engine *engine, const uint8_t uuid[16], struct vex_collection **ret,
                         struct vex_err *err);
struct vex_collection *vex_collection_ref(struct vex_collection *collection);
void vex_collection_unref(struct vex_collection *collection); /* NULL is fine */

/* All collections in order of creation; tenant.ptr NULL: of all tenants. Infos live in the arena, configs are referenced
 * (vex_config_unref each). */
uint32_t vex_engine_list(struct vex_engine *engine, struct vex_str tenant, struct vex_str database,
                         struct vex_arena *arena, struct vex_collection_info **ret);
/* Name under which Qdrant and native see it. */
struct vex_str vex_qualified_name(struct vex_arena *arena, const struct vex_collection_info *info);

struct vex_alias {
    struct vex_str alias, collection; /* collection: qualified name */
};
struct vex_alias_action {
    enum { VEX_ALIAS_CREATE, VEX_ALIAS_DELETE, VEX_ALIAS_RENAME } kind;
    struct vex_str alias;      /* CREATE, DELETE; RENAME: old */
    struct vex_str collection; /* CREATE */
    struct vex_str to;         /* RENAME */
};
/* [blocks] All or nothing. Texts as Qdrant's. */
int vex_engine_change_aliases(struct vex_engine *engine, const struct vex_alias_action *actions,
                              uint32_t count, struct vex_err *err);
/* collection NULL: all. */
uint32_t vex_engine_aliases(struct vex_engine *engine, struct vex_collection *collection,
                            struct vex_arena *arena, struct vex_alias **ret);

/* [blocks] Tenants and databases (Chroma). resource may be empty. */
int vex_engine_create_tenant(struct vex_engine *engine, struct vex_str name, struct vex_err *err);
int vex_engine_set_tenant_resource(struct vex_engine *engine, struct vex_str name, struct vex_str resource,
                                   struct vex_err *err);
int vex_engine_tenant(struct vex_engine *engine, struct vex_str name, struct vex_arena *arena,
                      struct vex_str *ret_resource, struct vex_err *err);
int vex_engine_create_database(struct vex_engine *engine, struct vex_str tenant, struct vex_str name,
                               struct vex_err *err);
int vex_engine_drop_database(struct vex_engine *engine, struct vex_str tenant, struct vex_str name,
                             struct vex_err *err);
int vex_engine_database(struct vex_engine *engine, struct vex_str tenant, struct vex_str name,
                        struct vex_arena *arena, struct vex_database_info *ret, struct vex_err *err);
uint32_t vex_engine_databases(struct vex_engine *engine, struct vex_str tenant, struct vex_arena *arena,
                              struct vex_database_info **ret);
/* [blocks] Drops everything; default tenant and database are made anew. */
int vex_engine_reset(struct vex_engine *engine, struct vex_err *err);

/* ---- one collection ---- */

void vex_collection_info(struct vex_collection *collection, struct vex_arena *arena,
                         struct vex_collection_info *ret);
/* The current configuration, referenced. */
struct vex_config *vex_collection_config(struct vex_collection *collection);

struct vex_collection_stats {
    uint64_t points, slots, queued; /* queued: mutations not yet applied */
    uint64_t last_op;
    uint64_t blob_bytes;               /* what payloads, sparse vectors and multivectors take */
    uint64_t freed_bytes;              /* what earlier versions of those take until the next checkpoint */
    uint64_t vectors[VEX_VECTORS_MAX]; /* points that have the vector, by ordinal */
};
int vex_collection_stats(struct vex_collection *collection, struct vex_collection_stats *ret,
                         struct vex_err *err);

/* Payload indexes, in the order of the configuration. Live in the arena. */
struct vex_index_info {
    struct vex_str field;
    bool ready;
    uint64_t points;      /* with a value of the index's type */
    uint64_t bytes;       /* memory */
    uint64_t done, total; /* slots, of a build under way */
    uint64_t left_ns;     /* estimate; 0: unknown or ready */
};
int vex_collection_indexes(struct vex_collection *collection, struct vex_arena *arena,
                           struct vex_index_info **ret, uint32_t *ret_count, struct vex_err *err);

/* Submits a mutation. Checks it against the configuration (names, dimensions, kinds; texts as Qdrant's: "Vector dimension error:
 * expected dim: 4, got 3", "Not existing vector name error: x"), encodes, logs and queues it; mutation->ops may be forgotten
 * on return. Negative: refused, nothing happened, done will not be called: VEX_EBAD_INPUT, VEX_ENOT_FOUND (dropped),
 * VEX_EREAD_ONLY, VEX_ENO_SPACE, VEX_ECORRUPT. Never waits: a full queue parks the mutation. */
int vex_collection_submit(struct vex_collection *collection, struct vex_mutation *mutation,
                          struct vex_err *err);

/* [blocks] Fixes the size of a vector that was created with size 0 (Chroma, before the first write). Nothing happens when it has
 * that size already; VEX_EBAD_INPUT "Collection expecting embedding with dimension of N, got M" when it has another. */
int vex_collection_fix_size(struct vex_engine *engine, struct vex_collection *collection, struct vex_str name,
                            uint32_t size, struct vex_err *err);

/* [blocks] For tests and shutdown: every queued mutation applied; then a checkpoint. */
int vex_collection_drain(struct vex_collection *collection, struct vex_err *err);
int vex_collection_checkpoint(struct vex_collection *collection, struct vex_err *err);

#endif
