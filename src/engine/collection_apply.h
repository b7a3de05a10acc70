/* Applying one operation: what its kinds share.
 *
 * An operation is staged without any lock (new vectors into slots nobody reads, new blobs into the heap; the writer slot is
 * held, so nobody else changes anything) and then published in one exclusive section that can't fail. What staging took is
 * given back when it fails. */
#ifndef VEX_ENGINE_COLLECTION_APPLY_H
#define VEX_ENGINE_COLLECTION_APPLY_H

#include "engine/internal.h"
#include "engine/mutation_record.h"

struct vex_staged {
    bool fresh; /* a new slot becomes live; else the row is changed in place */
    uint32_t slot;
    struct vex_row row; /* as it will be */
    uint64_t old_blob;  /* freed once published; 0: none */
    uint32_t old_blob_len;
};

struct vex_heap_piece {
    uint64_t offset;
    uint32_t len;
};

struct vex_apply {
    struct vex_collection *collection;
    struct vex_collection_data *data;
    struct vex_arena *arena;
    uint64_t op; /* operation number */
    bool locked; /* the exclusive lock is held since an earlier operation of the mutation was published */
    uint64_t affected;
    struct vex_err *err;
    bool user_error; /* the failure is the operation's answer, not ours */

    struct vex_staged *staged;
    uint32_t staged_count, fresh_count;
    uint32_t *deleted; /* slots */
    uint32_t deleted_count;
    uint32_t *taken; /* slots taken */
    uint32_t taken_count;
    struct vex_heap_piece *puts; /* blobs put */
    uint32_t put_count, put_max;
    struct vex_buf scratch;
};

/* The operation's own failure: it changes nothing and says so. */
int vex_apply_refuse(struct vex_apply *a, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Room for `count` staged points and twice as many blobs. */
int vex_apply_begin(struct vex_apply *a, uint32_t count);
int vex_apply_put(struct vex_apply *a, struct vex_str bytes, uint64_t *ret_offset);
/* Blob of a row, checked; ptr NULL when it has none. */
int vex_apply_blob(struct vex_apply *a, const struct vex_row *row, struct vex_str *ret);
/* The bytes become the row's blob; an empty blob is none. The row's mask keeps its dense vectors and gets the blob's. */
int vex_apply_set_blob(struct vex_apply *a, struct vex_staged *staged, struct vex_str blob);
uint64_t vex_apply_dense(const struct vex_apply *a); /* ordinals of dense names */
/* Recomputes the checksum of a slot from what is stored. */
int vex_apply_check(struct vex_apply *a, uint32_t slot, uint64_t dense, uint32_t *ret);

/* Slots a selector names, each once; missing ids: refused when strict, else skipped. */
int vex_apply_select(struct vex_apply *a, const struct vex_selector *selector, bool strict, uint32_t **ret,
                     uint32_t *ret_count);

/* Binds a decoded filter; unbind also after failure. */
int vex_apply_bind(struct vex_apply *a, struct vex_filter *filter, struct vex_filter_binding *binding);
bool vex_apply_matches(struct vex_apply *a, const struct vex_filter *filter, uint32_t slot);

/* Staging of each kind. */
int vex_stage_upsert(struct vex_apply *a, const struct vex_record_points *points);
int vex_stage_update_vectors(struct vex_apply *a, const struct vex_record_points *points);
int vex_stage_payload(struct vex_apply *a, const struct vex_record_op *op);
int vex_stage_delete(struct vex_apply *a, const struct vex_record_op *op);
int vex_stage_delete_vectors(struct vex_apply *a, const struct vex_record_op *op);

#endif
