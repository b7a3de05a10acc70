/* Mutations: every change to points, as one deterministic record.
 *
 * The api layer fills a struct vex_mutation in its call's arena; vex_collection_submit checks it against the configuration,
 * encodes the record, logs and queues it. Applying takes only the record's bytes: replaying the log from the same state gives
 * the same state. mutation.def lists the kinds. */
#ifndef VEX_ENGINE_MUTATION_H
#define VEX_ENGINE_MUTATION_H

#include "engine/config.h"
#include "engine/filter/tree.h"

enum vex_op_kind {
#define VEX_OP(id, number, urgent, what) VEX_OP_##id = number,
#include "engine/mutation.def"
#undef VEX_OP
};

/* One vector of a point as a client gave it. Data are borrowed until submit returns. */
struct vex_vector_value {
    struct vex_str name;
    enum vex_vector_kind kind;
    const float *values;     /* dense: count; multi: rows x count; sparse: count */
    const uint32_t *indices; /* sparse: count, any order, unique (checked before) */
    uint32_t count;          /* dense: dimensions; multi: dimensions of a row; sparse: entries */
    uint32_t rows;           /* multi */
};

struct vex_point {
    struct vex_id id;
    struct vex_str payload; /* CBOR map; ptr NULL: none given */
    struct vex_vector_value *vectors;
    uint32_t vector_count;
};

/* How an upsert treats points that exist and points that don't. */
enum vex_upsert_mode {
    VEX_UPSERT,      /* replaces or inserts */
    VEX_INSERT_ONLY, /* leaves existing points alone (Chroma add: the first of a batch wins) */
    VEX_UPDATE_ONLY, /* leaves unknown ids alone */
};

struct vex_selector { /* which points */
    struct vex_id *ids;
    uint32_t count;
    struct vex_filter *filter; /* instead of ids when not NULL */
    uint64_t limit;            /* with a filter: at most so many, in order of birth; 0: all */
};

struct vex_op {
    enum vex_op_kind kind;
    union {
        struct {
            struct vex_point *points;
            uint32_t count;
            enum vex_upsert_mode mode;
            bool
                merge; /* Chroma: the payload merges (nulls delete), a point without vectors keeps the old ones */
            struct vex_filter
                *update_filter; /* existing points that do not match are left alone; NULL: none */
        } upsert;
        struct vex_selector remove; /* DELETE, CLEAR_PAYLOAD */
        struct {
            struct vex_selector selector;
            struct vex_str payload; /* CBOR map */
            struct vex_path key;    /* count 0: top level */
        } payload;                  /* SET_PAYLOAD, OVERWRITE_PAYLOAD */
        struct {
            struct vex_selector selector;
            struct vex_path *keys;
            uint32_t count;
        } keys; /* DELETE_PAYLOAD */
        struct {
            struct vex_point *points; /* payloads are ignored */
            uint32_t count;
            struct vex_filter *update_filter;
        } vectors; /* UPDATE_VECTORS: unknown id -> VEX_ENOT_FOUND and nothing changes */
        struct {
            struct vex_selector selector;
            struct vex_str *names;
            uint32_t count;
        } vector_names; /* DELETE_VECTORS */
    };
};

/* What became of one operation. */
struct vex_op_result {
    uint64_t op;       /* operation number: Qdrant's operation_id, the version of the points it touched */
    uint64_t affected; /* points deleted or changed */
};

/* A submitted mutation: owned by the caller (in its call's memory) until done. */
struct vex_mutation {
    struct vex_op *ops;
    uint32_t count;
    bool wait; /* done when applied and durable; else when written */
    /* Any thread, exactly once, unless submit failed. code 0, or the first failing operation's error in *err (operations
     * before it stand, it and those after it did nothing). results: count entries. With wait = false the results carry
     * operation numbers only. */
    void (*done)(struct vex_mutation *mutation, int code, const struct vex_err *err,
                 const struct vex_op_result *results);
    void *arg;
};

#endif
