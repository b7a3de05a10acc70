/* Bytes of a mutation's record: read in place.
 *
 * Format    docs/disk-format.md, "mutation record". Columnar: ids, blobs and one block of stored vectors a name, so
 *           that applying is few big requests.
 * Owner     Views point into the record's bytes, which are 8-byte aligned and outlive them; arrays live in the arena. */
#ifndef VEX_ENGINE_MUTATION_RECORD_H
#define VEX_ENGINE_MUTATION_RECORD_H

#include "engine/mutation.h"

#define VEX_RECORD_VERSION  1u
#define VEX_RECORD_MUTATION 1u /* kind of log record */
#define VEX_RECORD_OPS_MAX  (1u << 20)

/* Stored vectors of one dense name. */
struct vex_record_block {
    uint8_t ordinal;
    uint32_t stride, count;
    const uint32_t *points; /* index of each vector's point, rising */
    const float *norms;     /* NULL when not kept */
    const char *data;       /* count x stride */
};

struct vex_record_points {
    uint32_t count;
    enum vex_upsert_mode mode;
    bool merge;
    struct vex_filter *filter; /* unbound; NULL: none */
    struct vex_id *ids;
    struct vex_str *blobs;  /* blob format of vectors.h; payload length 0: none given; empty: no blob */
    const uint32_t *checks; /* crc32c of each point's vectors in the blocks */
    struct vex_record_block *blocks;
    uint32_t block_count;
};

struct vex_record_op {
    enum vex_op_kind kind;
    struct vex_record_points points; /* UPSERT, UPDATE_VECTORS */
    struct vex_selector selector;    /* the others */
    struct vex_value payload;        /* SET_PAYLOAD, OVERWRITE_PAYLOAD */
    struct vex_path key;             /* SET_PAYLOAD; count 0: top level */
    struct vex_path *keys;           /* DELETE_PAYLOAD */
    uint32_t key_count;
    uint64_t mask; /* DELETE_VECTORS: ordinals */
};

struct vex_record {
    struct vex_cursor cursor;
    uint32_t count, at; /* operations */
};

/* VEX_ECORRUPT when it is not a record. */
int vex_record_open(struct vex_record *record, const void *body, size_t len);
/* Decodes the next of `count` operations. check: payloads and ids are verified too (bytes that came from a disk). */
int vex_record_next(struct vex_record *record, struct vex_arena *arena, bool check,
                    struct vex_record_op *ret);

/* Paths as steps: a literal key has no text that would parse back. */
void vex_record_put_path(struct vex_buf *out, const struct vex_path *path);

/* Checks the mutation against the configuration and encodes it. *ret is on the heap (vex_mem_free). Errors are those of
 * vex_collection_submit; *ret_counted says that a refused mutation still takes an operation number, as the peer has it. */
int vex_record_encode(const struct vex_config *config, const struct vex_mutation *mutation, char **ret,
                      size_t *ret_len, bool *ret_urgent, bool *ret_counted, struct vex_err *err);

#endif
