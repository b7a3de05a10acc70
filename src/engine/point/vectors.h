/* Vectors of one collection: the only caller of the vector device.
 *
 * Role     One vector file per dense vector name (v<ordinal>.vex, slots shared with the rows). Multivectors and sparse vectors
 *          are kept in the point's blob (below) until they have files of their own.
 * Lock     The collection's. write touches only slots nobody reads yet; reserve is exclusive.
 * Blob     The heap blob of a point: u32 payload length, payload CBOR, then for each multi or sparse vector
 *          {u8 ordinal, u8 kind, u16 zero, u32 a, u32 b} and data (multi: a rows x b floats; sparse: a entries, u32 indices
 *          ascending, then f32 values). A point with neither payload nor such vectors has no blob. */
#ifndef VEX_ENGINE_POINT_VECTORS_H
#define VEX_ENGINE_POINT_VECTORS_H

#include "base/err.h"
#include "base/str.h"
#include "engine/config.h"
#include "engine/mutation.h"
#include "engine/point/value.h"
#include "uapi/dev.h"

struct vex_vectors;

/* A vector's file is created at its first write. `state`: what vex_vectors_state gave at the checkpoint (empty: none); a file it
 * names that is missing, too short or not a sound vector file is VEX_ECORRUPT. What lies beyond the checkpoint is garbage. */
int vex_vectors_open(struct vex_io *io, struct vex_dev *dev, const char *dir, const struct vex_config *config,
                     struct vex_str state, struct vex_vectors **ret, struct vex_err *err);
void vex_vectors_state(const struct vex_vectors *vectors,
                       struct vex_buf *ret); /* {u8 ordinal, u64 slots} each */
void vex_vectors_close(struct vex_vectors *vectors);
/* Follows a changed configuration: new names appear, files of deleted ones are removed. Exclusive. */
int vex_vectors_configure(struct vex_vectors *vectors, const struct vex_config *config, struct vex_err *err);

/* Writes `count` stored vectors (stride apart, as vex_vectors_encode lays them out) into slots, runs of consecutive slots in one
 * request each. */
int vex_vectors_write(struct vex_vectors *vectors, uint8_t ordinal, const uint32_t *slots, uint32_t count,
                      const void *data);
int vex_vectors_reserve(struct vex_vectors *vectors); /* exclusive; before written slots become visible */
int vex_vectors_sync(struct vex_vectors *vectors);
void vex_vectors_evict(struct vex_vectors *vectors); /* pages of the maps leave the process; beside readers */
/* Bytes between stored vectors of a dense name; 0 for other kinds. */
uint32_t vex_vectors_stride(const struct vex_vector_params *params);
/* Client's floats -> stored bytes (stride long, zero padded): normalises for cosine, converts. Returns the norm (1 if not cosine). */
float vex_vectors_encode(const struct vex_vector_params *params, const float *values, void *ret);
/* Stored vector of a slot as floats; the caller knows that the slot has it. */
int vex_vectors_read(struct vex_vectors *vectors, uint8_t ordinal, uint32_t slot, float *ret);
/* The same of many slots, in any order: ret[i] gets that of slots[i]. One request to the device for every MiB: SCAN where the
 * slots are close together, else READ. */
int vex_vectors_fetch(struct vex_vectors *vectors, uint8_t ordinal, const uint32_t *slots, uint32_t count,
                      float *const *ret);
/* Stored bytes of slots, stride apart. Also for the writer, of slots it has written and not yet published. */
int vex_vectors_read_stored(struct vex_vectors *vectors, uint8_t ordinal, const uint32_t *slots,
                            uint32_t count, void *ret);
/* Device distances of a query (normalised for cosine) to the vectors of slots, in any order; bit for bit what the device's SEARCH
 * gives. The caller knows that the slots have them. */
int vex_vectors_score(struct vex_vectors *vectors, uint8_t ordinal, enum vex_distance distance,
                      const float *query, const uint32_t *slots, uint32_t count, float *ret);
/* Exact search over a dense name through the device. */
int vex_vectors_search(struct vex_vectors *vectors, uint8_t ordinal, struct vex_dev_search *search);
/* Streams vectors of allowed slots through the device's SCAN. */
int vex_vectors_scan(struct vex_vectors *vectors, uint8_t ordinal, uint32_t *cursor, uint32_t end,
                     const uint64_t *allow, uint32_t max, uint32_t *ret_slots, void *ret_data,
                     uint32_t *ret_count);

/* Blobs. build: payload may be absent; extra are the multi and sparse vectors (ordinal from params). */
struct vex_extra_vector {
    uint8_t ordinal;
    enum vex_vector_kind kind;
    uint32_t rows, count;    /* multi: rows x count; sparse: count entries */
    const uint32_t *indices; /* sparse, ascending */
    const float *values;
};
void vex_blob_build(struct vex_buf *out, struct vex_value payload, const struct vex_extra_vector *extra,
                    uint32_t count);
struct vex_value vex_blob_payload(struct vex_str blob);     /* at NULL: none */
struct vex_str vex_blob_payload_bytes(struct vex_str blob); /* the same, with its length; ptr NULL: none */
/* Finds one extra vector in a blob; false when it has none of that ordinal. Pointers are into the blob (4-byte aligned). */
bool vex_blob_vector(struct vex_str blob, uint8_t ordinal, struct vex_extra_vector *ret);
/* Iterates: *at = 0 first. */
bool vex_blob_next(struct vex_str blob, uint32_t *at, struct vex_extra_vector *ret);
/* True when the frame of the blob is sound (the payload's own bytes are not looked at). For bytes from disks. */
bool vex_blob_check(struct vex_str blob);

/* Scores of the kinds that the device does not search. Larger is better for DOT and COSINE, smaller for the others, as the device's
 * distances are turned into scores by vex_score. */
float vex_score_multi(const struct vex_vector_params *params, const float *query, uint32_t query_rows,
                      const struct vex_extra_vector *stored);
/* Of vectors of any length; 0 with one of no length. */
float vex_score_cosine(const float *a, const float *b, uint32_t dimensions);
/* false: no index in common. */
bool vex_score_sparse(const uint32_t *indices, const float *values, uint32_t count,
                      const struct vex_extra_vector *stored, float *ret);

/* Qdrant's score from a device distance: dot and cosine are negated back, Euclid takes the root. */
float vex_score_of(enum vex_distance distance, float device_distance);
bool vex_score_larger_better(enum vex_distance distance);

#endif
