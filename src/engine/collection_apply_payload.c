/* Staging of payload changes, deletions and removal of vectors: rows change in place.
 *
 * Owner     The writer slot. Lock: none while staging. */
#include "engine/collection_apply.h"

/* The payload after the operation, in `out`; at NULL: none. */
static int changed_payload(struct vex_apply *a, const struct vex_record_op *op, struct vex_value old,
                           struct vex_buf *out, struct vex_value *ret)
{
    *ret = (struct vex_value){NULL};
    switch (op->kind) {
    case VEX_OP_SET_PAYLOAD:
        if (op->key.count == 0) /* a null takes its key away, as the peer does */
            vex_payload_merge(out, old, op->payload, true);
        else if (vex_payload_set_at(out, old, &op->key, op->payload) != 0)
            return vex_apply_refuse(a, VEX_EBAD_INPUT, "The payload would become too large or too deep");
        break;
    case VEX_OP_OVERWRITE_PAYLOAD:
        *ret = op->payload;
        return 0;
    case VEX_OP_DELETE_PAYLOAD:
        vex_payload_delete(out, old, op->keys, op->key_count);
        break;
    default:
        return 0;
    }
    *ret = (struct vex_value){(const uint8_t *)out->ptr};
    return 0;
}

/* New blob in the scratch: the payload, and the old blob's vectors but those of `without`. */
static struct vex_str build(struct vex_apply *a, struct vex_value payload, struct vex_str old,
                            uint64_t without)
{
    struct vex_extra_vector extras[VEX_VECTORS_MAX], extra;
    uint32_t count = 0;

    for (uint32_t at = 0; count < VEX_VECTORS_MAX && vex_blob_next(old, &at, &extra);)
        if (extra.ordinal >= VEX_VECTORS_MAX || (without >> extra.ordinal & 1) == 0)
            extras[count++] = extra;
    a->scratch.len = 0;
    vex_blob_build(&a->scratch, payload, extras, count);
    return vex_buf_str(&a->scratch);
}

static struct vex_staged *stage_row(struct vex_apply *a, uint32_t slot)
{
    struct vex_staged *staged = &a->staged[a->staged_count++];

    *staged = (struct vex_staged){.slot = slot, .row = *vex_rows_at(a->data->rows, slot)};
    staged->old_blob = staged->row.blob;
    staged->old_blob_len = staged->row.blob_len;
    staged->row.version = a->op;
    return staged;
}

int vex_stage_payload(struct vex_apply *a, const struct vex_record_op *op)
{
    uint32_t *slots, count;
    struct vex_buf payload;
    int rc = vex_apply_select(a, &op->selector, true, &slots, &count);

    if (rc == 0)
        rc = vex_apply_begin(a, count);
    vex_buf_init(&payload, NULL);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct vex_staged *staged = stage_row(a, slots[i]);
        struct vex_value changed;
        struct vex_str old;

        rc = vex_apply_blob(a, &staged->row, &old);
        if (rc != 0)
            break;
        payload.len = 0;
        rc = changed_payload(a, op, vex_blob_payload(old), &payload, &changed);
        if (rc == 0)
            rc = vex_apply_set_blob(a, staged, build(a, changed, old, 0));
    }
    vex_buf_done(&payload);
    a->affected = count;
    return rc;
}

int vex_stage_delete(struct vex_apply *a, const struct vex_record_op *op)
{
    int rc = vex_apply_select(a, &op->selector, false, &a->deleted, &a->deleted_count);

    a->affected = a->deleted_count;
    return rc;
}

static int stage_without(struct vex_apply *a, uint32_t slot, uint64_t mask)
{
    struct vex_staged *staged = stage_row(a, slot);
    uint64_t dense = staged->row.vectors & vex_apply_dense(a), gone = staged->row.vectors & mask;
    struct vex_str old;
    int rc = 0;

    a->affected += gone != 0;
    staged->row.vectors &= ~mask;
    if ((gone & dense) != 0)
        rc = vex_apply_check(a, slot, dense & ~mask, &staged->row.check);
    if (rc == 0 && (gone & ~dense) != 0) {
        rc = vex_apply_blob(a, &staged->row, &old);
        return rc == 0 ? vex_apply_set_blob(a, staged, build(a, vex_blob_payload(old), old, mask)) : rc;
    }
    staged->old_blob = 0; /* stays */
    return rc;
}

int vex_stage_delete_vectors(struct vex_apply *a, const struct vex_record_op *op)
{
    uint32_t *slots, count;
    int rc = vex_apply_select(a, &op->selector, false, &slots, &count);

    if (rc == 0)
        rc = vex_apply_begin(a, count);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = stage_without(a, slots[i], op->mask);
    return rc;
}
