/* Chroma dialect from inside: its configuration document, its rules, its lookups. Private to the folder and
 * to native. */
#ifndef VEX_API_CHROMA_INTERNAL_H
#define VEX_API_CHROMA_INTERNAL_H

#include "api/chroma/chroma.h"
#include "api/service.h"

/* A collection's configuration document (VEX_DOC_CHROMA), read. A collection made by another dialect has
 * none: its space comes from its distance. Values point into the configuration it was read from. */
struct vex_chroma_config {
    enum vex_chroma_space space;
    double hnsw[VEX_HNSW_COUNT];
    struct vex_value embedding_function, metadata, schema; /* schema: as sent */
    struct vex_value keys;                                 /* map: metadata key -> bits of the types seen */
};

void vex_chroma_config_read(const struct vex_config *config, struct vex_chroma_config *ret);
void vex_chroma_config_write(struct vex_arena *arena, struct vex_config *config,
                             const struct vex_chroma_config *chroma);
/* Configuration of a new collection from what the client sent. */
int vex_chroma_config_new(struct vex_arena *arena, const struct vex_chroma_create *request,
                          struct vex_config **ret, struct vex_err *err);
/* Sets over a configuration what an update gives. */
void vex_chroma_config_change(struct vex_chroma_config *chroma, const struct vex_chroma_settings *settings);
/* What the settings say of the graph of the default vector. */
void vex_chroma_config_graph(struct vex_config *config, const struct vex_chroma_settings *settings);

/* Types of values in a schema, as bits of struct vex_chroma_config.keys. */
enum {
    VEX_SCHEMA_STRING = 1,
    VEX_SCHEMA_FLOATS = 2,
    VEX_SCHEMA_SPARSE = 4,
    VEX_SCHEMA_INT = 8,
    VEX_SCHEMA_FLOAT = 16,
    VEX_SCHEMA_BOOL = 32
};
#define VEX_SCHEMA_KEYS_MAX 1000 /* metadata keys that join the schema by themselves */

/* Checks a schema and takes space, hnsw and embedding function out of it. */
int vex_chroma_schema_settings(struct vex_value schema, struct vex_chroma_settings *ret, struct vex_err *err);
/* The complete schema as Chroma shows it, in the arena. */
struct vex_value vex_chroma_schema_full(struct vex_arena *arena, const struct vex_chroma_config *chroma);
/* Bit of a metadata value's type; 0: none. */
unsigned vex_chroma_schema_type(struct vex_value value);
/* True when filtering by a value of this type (a bit) under the key is switched on. */
bool vex_chroma_schema_filterable(const struct vex_chroma_config *chroma, struct vex_str key, unsigned type);
bool vex_chroma_schema_fts(const struct vex_chroma_config *chroma);

/* Name of a collection, database: VEX_EBAD_INPUT with Chroma's words. */
int vex_chroma_check_name(struct vex_str name, struct vex_err *err);
/* Collection by path: by the UUID's text, or by name. */
int vex_chroma_find(struct vex_service *service, const struct vex_chroma_path *path,
                    struct vex_collection **ret, struct vex_err *err);
int vex_chroma_find_name(struct vex_service *service, const struct vex_chroma_path *path,
                         struct vex_collection **ret, struct vex_err *err);
/* The vector that holds embeddings. */
int vex_chroma_embedding(const struct vex_config *config, const struct vex_vector_params **ret,
                         struct vex_err *err);

/* where and where_document; either may be absent, then *ret may be NULL. `chroma` NULL: no schema is looked
 * at. ids: further restriction as a condition (has_ids). */
int vex_chroma_filter(struct vex_arena *arena, const struct vex_chroma_config *chroma, struct vex_value where,
                      struct vex_value where_document, struct vex_filter **ret, struct vex_err *err);

/* Response with one collection. */
void vex_chroma_lift(struct vex_arena *arena, const struct vex_collection_info *info,
                     struct vex_chroma_collection *ret);
/* Hits of the engine as Chroma shows them. distances: lift scores too (what the engine's distance gives, see
 * read.c). */
void vex_chroma_lift_hits(struct vex_arena *arena, const struct vex_vector_params *params,
                          const struct vex_hits *hits, struct vex_chroma_hits *ret);
float vex_chroma_distance(enum vex_distance distance, float score);

/* True when a write has to change the collection's configuration first, and so has to run where it may wait.
 */
bool vex_chroma_write_waits(struct vex_collection *collection, const struct vex_chroma_write *write);
/* Checks what can be checked without a collection; then completes the configuration and submits. 0: nothing
 * to do. */
int vex_chroma_write_check(const struct vex_chroma_write *write, struct vex_err *err);
int vex_chroma_write_into(struct vex_service *service, struct vex_call *call,
                          struct vex_collection *collection, const struct vex_chroma_write *write);

/* A mutation that a call waits for. */
struct vex_chroma_pending {
    struct vex_mutation mutation; /* first */
    struct vex_call *call;
    void (*lift)(struct vex_call *call, const struct vex_op_result *results); /* may be NULL */
};
/* Submits the operation; VEX_CALL_PENDING or an error. */
int vex_chroma_submit(struct vex_call *call, struct vex_collection *collection, struct vex_op *op,
                      void (*lift)(struct vex_call *call, const struct vex_op_result *results));

#endif
