/* Chroma dialect: what its calls ask and answer, whatever the wire version.
 *
 * Role     Request and response structs of every operation, filled in and read by the wire; the operations
 * themselves. Memory   Requests and responses live in the call's arena. Metadata, where clauses and schemas
 * travel as CBOR values. Mapping  A collection's default vector holds the embeddings. Document and uri stand
 * in the payload under reserved keys; the other keys of the payload are the metadata. Keys that begin with
 * "chroma:" are never shown. Values that Chroma has no form for (objects, nulls, arrays of several types) are
 * left out of answers. */
#ifndef VEX_API_CHROMA_CHROMA_H
#define VEX_API_CHROMA_CHROMA_H

#include "api/call.h"
#include "engine/engine.h"
#include "engine/query/query.h"

#define VEX_CHROMA_DOCUMENT "chroma:document"
#define VEX_CHROMA_URI      "chroma:uri"
#define VEX_CHROMA_VERSION  "1.0.0"

enum vex_chroma_space { VEX_SPACE_L2, VEX_SPACE_COSINE, VEX_SPACE_IP, VEX_SPACE_COUNT };

enum vex_hnsw {
#define HNSW(id, key, legacy, whole, def, change) VEX_HNSW_##id,
#include "api/chroma/hnsw.def"
#undef HNSW
    VEX_HNSW_COUNT
};

struct vex_hnsw_param {
    const char *key, *legacy;
    bool whole; /* an integer */
    double def;
    bool change; /* an update may set it */
};
extern const struct vex_hnsw_param vex_hnsw_params[VEX_HNSW_COUNT];
extern const char *const vex_chroma_spaces[VEX_SPACE_COUNT];

/* What a configuration says; absent parts keep what there is. */
struct vex_chroma_settings {
    bool given;
    bool has_hnsw, has_spann;
    bool has_space;
    enum vex_chroma_space space;
    bool has[VEX_HNSW_COUNT];
    double hnsw[VEX_HNSW_COUNT];
    struct vex_value embedding_function; /* at NULL: absent */
};

/* ---- requests; each begins with where it goes ---- */

struct vex_chroma_path {
    struct vex_str tenant, database, collection; /* collection: a name or the text of its UUID */
};

struct vex_chroma_name {
    struct vex_chroma_path path;
    struct vex_str name; /* of the new tenant or database; the tenant's resource name */
};

struct vex_chroma_page {
    struct vex_chroma_path path;
    bool has_limit;
    uint64_t limit, offset;
};

struct vex_chroma_create {
    struct vex_chroma_path path;
    struct vex_str name;
    struct vex_value metadata; /* map; at NULL: none */
    struct vex_chroma_settings settings;
    struct vex_value schema; /* as sent; at NULL: none */
    bool get_or_create;
};

struct vex_chroma_modify {
    struct vex_chroma_path path;
    struct vex_str name; /* ptr NULL: stays */
    struct vex_value metadata;
    struct vex_chroma_settings settings;
};

struct vex_chroma_vector {
    const float *values; /* NULL: none (update) */
    uint32_t count;
};

struct vex_chroma_vectors {
    struct vex_chroma_vector *items;
    uint32_t count;
    bool given;
};

struct vex_chroma_texts {
    struct vex_str *items; /* ptr NULL: null */
    uint32_t count;
    bool given;
};

struct vex_chroma_values {
    struct vex_value *items; /* at NULL: null */
    uint32_t count;
    bool given;
};

struct vex_chroma_write {
    struct vex_chroma_path path;
    enum vex_upsert_mode mode;
    bool replace; /* an existing record is replaced as a whole (native), not merged into */
    struct vex_chroma_texts ids, documents, uris;
    struct vex_chroma_vectors vectors;
    struct vex_chroma_values metadatas;
};

enum vex_chroma_include {
    VEX_INCLUDE_DISTANCES = 1,
    VEX_INCLUDE_DOCUMENTS = 2,
    VEX_INCLUDE_EMBEDDINGS = 4,
    VEX_INCLUDE_METADATAS = 8,
    VEX_INCLUDE_URIS = 16,
};
#define VEX_INCLUDE_MAX 16 /* entries of a list that are echoed */

struct vex_chroma_includes {
    bool given;
    unsigned mask;
    uint32_t count;
    uint8_t items[VEX_INCLUDE_MAX]; /* in the order sent */
};

/* get, query, delete */
struct vex_chroma_select {
    struct vex_chroma_path path;
    struct vex_chroma_texts ids;
    struct vex_value where, where_document;
    bool has_limit;
    uint64_t limit, offset;
    struct vex_chroma_includes include;
    struct vex_chroma_vectors queries;
    uint64_t n_results;
    bool has_n_results;
};

/* ---- responses ---- */

struct vex_chroma_collection {
    uint8_t uuid[16];
    struct vex_str tenant, database, name;
    uint32_t dimension; /* 0: not known yet */
    enum vex_chroma_space space;
    double hnsw[VEX_HNSW_COUNT];
    struct vex_value embedding_function, metadata; /* at NULL: null */
    struct vex_value schema;                       /* complete */
};

struct vex_chroma_collections {
    struct vex_chroma_collection *items;
    uint32_t count;
};

struct vex_chroma_tenant {
    struct vex_str name, resource; /* resource: empty when not set */
};

struct vex_chroma_databases {
    struct vex_database_info *items;
    uint32_t count;
    bool one; /* a single one was asked for */
};

struct vex_chroma_hit {
    struct vex_str id;
    float distance;
    struct vex_str document, uri; /* ptr NULL: none */
    struct vex_value metadata;    /* at NULL: the record has none; else a map whose hidden keys are skipped */
    const float *vector;          /* NULL: none; as the client sent it */
    uint32_t dimension;
};

struct vex_chroma_hits {
    struct vex_chroma_hit *items;
    size_t count;
};

struct vex_chroma_answer {
    struct vex_chroma_includes include;
    bool nested; /* query: one list per query */
    struct vex_chroma_hits *lists;
    uint32_t list_count;
};

struct vex_chroma_status {
    uint64_t indexed, unindexed;
};

struct vex_chroma_number {
    uint64_t value;
};

/* True when a payload member may be shown as metadata. */
bool vex_chroma_shown(struct vex_str key, struct vex_value value);

/* ---- operations; request and response types in the comments ---- */

extern const struct vex_operation vex_chroma_heartbeat;         /* path -> number */
extern const struct vex_operation vex_chroma_reset;             /* path -> none */
extern const struct vex_operation vex_chroma_create_tenant;     /* name -> none */
extern const struct vex_operation vex_chroma_get_tenant;        /* path -> tenant */
extern const struct vex_operation vex_chroma_set_tenant;        /* name -> none */
extern const struct vex_operation vex_chroma_create_database;   /* name -> none */
extern const struct vex_operation vex_chroma_list_databases;    /* page -> databases */
extern const struct vex_operation vex_chroma_get_database;      /* path -> databases */
extern const struct vex_operation vex_chroma_delete_database;   /* path -> none */
extern const struct vex_operation vex_chroma_create_collection; /* create -> collections */
extern const struct vex_operation vex_chroma_list_collections;  /* page -> collections */
extern const struct vex_operation vex_chroma_count_collections; /* path -> number */
extern const struct vex_operation vex_chroma_get_collection;    /* path (name) -> collections */
extern const struct vex_operation vex_chroma_get_by_id;         /* path (UUID) -> collections */
extern const struct vex_operation vex_chroma_modify_collection; /* modify (UUID) -> none */
extern const struct vex_operation vex_chroma_delete_collection; /* path (name) -> none */
extern const struct vex_operation vex_chroma_get;               /* select -> answer */
extern const struct vex_operation vex_chroma_query;             /* select -> answer */
extern const struct vex_operation vex_chroma_count;             /* path -> number */
extern const struct vex_operation vex_chroma_indexing_status;   /* path -> status */
extern const struct vex_operation vex_chroma_delete;            /* select -> number */
extern const struct vex_operation vex_chroma_refuse_search, vex_chroma_refuse_fork,
    vex_chroma_refuse_fork_count, vex_chroma_refuse_functions,
    vex_chroma_refuse_transactions; /* path -> none */

/* add, upsert, update (by request->mode): write -> none. The first write of a collection fixes its dimension
 * and new metadata keys join its schema; such a write waits, the others don't. */
const struct vex_operation *vex_chroma_write_operation(struct vex_service *service,
                                                       const struct vex_chroma_write *request);

#endif
