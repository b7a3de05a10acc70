/* Configuration of a collection: what the engine itself needs, typed; what only a dialect needs, as documents it stores.
 *
 * A configuration is immutable once published; a change publishes a new one (struct vex_config is counted). Ordinals of
 * vectors are never reused within a collection, so records of the log can name vectors by ordinal. */
#ifndef VEX_ENGINE_CONFIG_H
#define VEX_ENGINE_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "engine/index/codes.h"
#include "engine/index/index.h"
#include "engine/point/rows.h"
#include "uapi/dev.h"

enum vex_vector_kind { VEX_VECTOR_DENSE, VEX_VECTOR_MULTI, VEX_VECTOR_SPARSE };

#define VEX_VECTOR_NAME_MAX 200 /* bytes */

/* How a dense name gets a graph. Zeros stand for the defaults. */
struct vex_graph_settings {
    bool never;               /* no graph at all */
    bool on_disk;             /* its pages are those of its file, which the system may take from memory */
    bool filter_lists;        /* filtered searches may have lists beside it; vex_config_add_vector sets it */
    uint32_t m, ef_construct; /* 0: VEX_GRAPH_M, VEX_GRAPH_EF_CONSTRUCT */
    uint32_t threads;         /* that link at once, at most; 0: idle ones too */
    uint32_t full_scan_kb;    /* so few KB of candidates are compared one by one; 0: whatever costs less */
    uint32_t ef;              /* beam of a search that names none; 0: ef_construct */
    struct vex_code_params codes; /* what walks compare */
    uint64_t threshold_kb;        /* built when there are more KB of vectors; 0: VEX_GRAPH_THRESHOLD_KB */
};
#define VEX_GRAPH_M             16u
#define VEX_GRAPH_EF_CONSTRUCT  100u
#define VEX_GRAPH_THRESHOLD_KB  10000u
#define VEX_GRAPH_THRESHOLD_OFF UINT64_MAX /* none is begun; one that stands goes on */

struct vex_vector_params {
    struct vex_str name; /* "" is the default vector */
    uint8_t ordinal;     /* 0 .. VEX_VECTORS_MAX - 1 */
    enum vex_vector_kind kind;
    uint32_t size;              /* dimensions; 0: fixed by the first write (Chroma), or sparse */
    enum vex_distance distance; /* sparse: DOT */
    enum vex_element element;
    bool idf;                        /* sparse: modifier idf */
    struct vex_graph_settings graph; /* dense */
};

/* Documents that the engine stores and returns but never reads. */
enum vex_config_doc {
    VEX_DOC_QDRANT, /* packed qdrant.CollectionConfig without the typed parts */
    VEX_DOC_CHROMA, /* CBOR map: metadata, configuration, schema as Chroma clients sent them */
    VEX_DOC_COUNT
};

struct vex_config {
    _Atomic uint32_t refs;
    struct vex_arena arena; /* holds all below */
    struct vex_vector_params *vectors;
    uint32_t vector_count;
    uint8_t next_ordinal;
    struct vex_index_params *indexes;
    uint32_t index_count;
    struct vex_str docs[VEX_DOC_COUNT];
};

struct vex_config *vex_config_new(void);                            /* empty, one reference */
struct vex_config *vex_config_dup(const struct vex_config *config); /* to be changed, then published */
struct vex_config *vex_config_ref(struct vex_config *config);
void vex_config_unref(struct vex_config *config);
/* Adds a vector (name copied, ordinal assigned, filter lists allowed). VEX_EBAD_INPUT: name taken, too long, or VEX_VECTORS_MAX reached. */
int vex_config_add_vector(struct vex_config *config, const struct vex_vector_params *params,
                          struct vex_err *err);
const struct vex_vector_params *vex_config_vector(const struct vex_config *config,
                                                  struct vex_str name); /* NULL: none */
const struct vex_vector_params *vex_config_ordinal(const struct vex_config *config, uint8_t ordinal);
const struct vex_index_params *vex_config_index(const struct vex_config *config, struct vex_str field);
/* The index whose values points lie together by: the first that says so; NULL: none. */
const struct vex_index_params *vex_config_tenant(const struct vex_config *config);
/* Adds an index (all of params is copied) or replaces that of the same field. */
void vex_config_set_index(struct vex_config *config, const struct vex_index_params *params);
bool vex_config_remove_index(struct vex_config *config, struct vex_str field); /* false: there was none */
/* What an index is made from: all but its doc. */
void vex_index_params_encode(struct vex_buf *out, const struct vex_index_params *params);
bool vex_index_params_same(const struct vex_index_params *a, const struct vex_index_params *b);
void vex_config_set_doc(struct vex_config *config, enum vex_config_doc doc, struct vex_str bytes);
void vex_config_encode(struct vex_buf *out, const struct vex_config *config);
int vex_config_decode(struct vex_cursor *c, struct vex_config **ret, struct vex_err *err);

#endif
