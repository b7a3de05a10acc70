/* Native dialect: collections of documents (id, vector, metadata, text), small and over the same engine calls
 * as Chroma's.
 *
 * Names are the engine's qualified names and aliases. Requests and responses live in the call's arena. */
#ifndef VEX_API_NATIVE_NATIVE_H
#define VEX_API_NATIVE_NATIVE_H

#include "api/chroma/chroma.h"

struct vex_native_health {
    const char *device;
    uint64_t uptime_seconds, collections;
    bool read_only;
};

struct vex_native_create {
    struct vex_str name;
    uint32_t dimension; /* 0: fixed by the first document */
    enum vex_distance distance;
};

struct vex_native_collection {
    uint8_t uuid[16];
    struct vex_str name;
    bool vector; /* it has a vector that documents can carry */
    uint32_t dimension;
    enum vex_distance distance;
    uint64_t documents;
};

struct vex_native_collections {
    struct vex_native_collection *items;
    uint32_t count;
};

/* Documents go in as a write of Chroma's kind; path is not used. */
struct vex_native_write {
    struct vex_str collection;
    struct vex_chroma_write write;
};

struct vex_native_document {
    struct vex_str collection, id;
};

struct vex_native_search {
    struct vex_str collection;
    struct vex_chroma_vector vector;
    struct vex_value filters; /* a where clause; at NULL: none */
    uint64_t limit;
    unsigned include; /* enum vex_chroma_include: DOCUMENTS, METADATAS, EMBEDDINGS */
};

extern const char *const vex_native_distances[VEX_DISTANCE_COUNT];

extern const struct vex_operation vex_native_health;       /* none -> vex_native_health */
extern const struct vex_operation vex_native_metrics;      /* none -> struct vex_buf */
extern const struct vex_operation vex_native_list;         /* none -> vex_native_collections */
extern const struct vex_operation vex_native_create;       /* vex_native_create -> vex_native_collections */
extern const struct vex_operation vex_native_get;          /* vex_native_document -> vex_native_collections */
extern const struct vex_operation vex_native_drop;         /* vex_native_document -> vex_chroma_number */
extern const struct vex_operation vex_native_get_document; /* vex_native_document -> vex_chroma_hits */
extern const struct vex_operation vex_native_delete_document; /* vex_native_document -> vex_chroma_number */
extern const struct vex_operation vex_native_search;          /* vex_native_search -> vex_chroma_hits */
/* vex_native_write -> vex_chroma_number */
const struct vex_operation *vex_native_write_operation(struct vex_service *service,
                                                       const struct vex_native_write *request);

#endif
