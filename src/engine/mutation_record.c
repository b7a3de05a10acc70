/* Decoding of mutation records.
 *
 * Owner     The caller of each function. Lock: none.
 * Invariant Nothing is read outside the record; no count sizes an allocation before the bytes it stands for are there. */
#include "engine/mutation_record.h"

#include "engine/point/value.h"
#include "engine/point/vectors.h"

/* Skips to the next multiple of 8 from the start of the operation. */
static void skip_pad(struct vex_cursor *c, const char *start)
{
    size_t at = (size_t)(c->at - start);

    vex_cursor_bytes(c, (8 - at % 8) % 8);
}

static void *sub_array(struct vex_cursor *c, size_t size, uint32_t count)
{
    return (void *)vex_cursor_bytes(c, size * count);
}

static bool known_kind(uint8_t kind)
{
    switch (kind) {
#define VEX_OP(id, number, urgent, what) case number:
#include "engine/mutation.def"
#undef VEX_OP
        return true;
    default:
        return false;
    }
}

int vex_record_open(struct vex_record *record, const void *body, size_t len)
{
    *record = (struct vex_record){.cursor = vex_cursor(body, len)};
    if (vex_cursor_u32(&record->cursor) != VEX_RECORD_VERSION)
        return VEX_ECORRUPT;
    record->count = vex_cursor_u32(&record->cursor);
    if (record->cursor.bad || record->count > VEX_RECORD_OPS_MAX ||
        record->count > vex_cursor_left(&record->cursor) / 8)
        return VEX_ECORRUPT;
    return 0;
}

static bool decode_ids(struct vex_cursor *c, struct vex_arena *arena, uint32_t count, struct vex_id **ret)
{
    uint32_t len = vex_cursor_u32(c);
    const char *at = vex_cursor_bytes(c, len);
    struct vex_cursor ids = vex_cursor(at, at != NULL ? len : 0);

    /* The shortest id takes a kind and a length. */
    if (at == NULL || count > len / 5 + 1)
        return false;
    *ret = VEX_ARENA_ARRAY(arena, struct vex_id, count + 1);
    for (uint32_t i = 0; i < count; i++)
        if (!vex_id_decode(&ids, &(*ret)[i]))
            return false;
    return vex_cursor_left(&ids) == 0;
}

static bool decode_filter(struct vex_cursor *c, struct vex_arena *arena, struct vex_filter **ret)
{
    struct vex_str bytes = vex_cursor_str32(c);
    struct vex_cursor filter = vex_cursor(bytes.ptr, bytes.len);
    struct vex_err ignored;

    *ret = NULL;
    if (c->bad)
        return false;
    return bytes.len == 0 || vex_filter_decode(arena, &filter, ret, &ignored) == 0;
}

static bool check_blob(struct vex_str blob)
{
    struct vex_value payload;
    uint32_t payload_len;

    if (blob.len == 0)
        return true;
    if (!vex_blob_check(blob))
        return false;
    memcpy(&payload_len, blob.ptr, sizeof payload_len);
    payload = vex_blob_payload(blob);
    return payload.at == NULL || vex_value_check(payload.at, payload_len, true);
}

static bool decode_blobs(struct vex_cursor *c, const char *start, struct vex_arena *arena, bool check,
                         struct vex_record_points *points)
{
    const uint32_t *lens = sub_array(c, sizeof *lens, points->count);

    if (lens == NULL)
        return false;
    skip_pad(c, start);
    points->blobs = VEX_ARENA_ARRAY(arena, struct vex_str, points->count + 1);
    for (uint32_t i = 0; i < points->count; i++) {
        const char *at = vex_cursor_bytes(c, lens[i]);
        if (at == NULL)
            return false;
        points->blobs[i] = vex_str(at, lens[i]);
        skip_pad(c, start);
        if (check && !check_blob(points->blobs[i]))
            return false;
    }
    return !c->bad;
}

static bool decode_block(struct vex_cursor *c, const char *start, uint32_t points,
                         struct vex_record_block *ret)
{
    bool norms;
    uint32_t count;

    ret->ordinal = vex_cursor_u8(c);
    norms = vex_cursor_u8(c) != 0;
    vex_cursor_bytes(c, 2);
    ret->stride = vex_cursor_u32(c);
    count = ret->count = vex_cursor_u32(c);
    vex_cursor_u32(c);
    if (c->bad || ret->ordinal >= VEX_VECTORS_MAX || count > points || ret->stride == 0 ||
        ret->stride > vex_dev_stride(VEX_DIM_MAX, VEX_ELEMENT_F32))
        return false;
    ret->points = sub_array(c, sizeof *ret->points, count);
    ret->norms = norms ? sub_array(c, sizeof *ret->norms, count) : NULL;
    skip_pad(c, start);
    ret->data = vex_cursor_bytes(c, (size_t)count * ret->stride);
    skip_pad(c, start);
    if (c->bad)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (ret->points[i] >= points || (i > 0 && ret->points[i] <= ret->points[i - 1]))
            return false;
    return true;
}

static bool decode_points(struct vex_cursor *c, struct vex_arena *arena, bool check,
                          struct vex_record_points *ret)
{
    const char *start = c->at;
    uint64_t seen = 0;
    uint8_t mode;

    mode = vex_cursor_u8(c);
    ret->merge = vex_cursor_u8(c) != 0;
    ret->block_count = vex_cursor_u8(c);
    vex_cursor_u8(c);
    ret->count = vex_cursor_u32(c);
    if (c->bad || mode > VEX_UPDATE_ONLY || ret->block_count > VEX_VECTORS_MAX ||
        ret->count > vex_cursor_left(c) / 8)
        return false;
    ret->mode = (enum vex_upsert_mode)mode;
    if (!decode_ids(c, arena, ret->count, &ret->ids) || !decode_filter(c, arena, &ret->filter))
        return false;
    skip_pad(c, start);
    ret->checks = sub_array(c, sizeof *ret->checks, ret->count);
    if (!decode_blobs(c, start, arena, check, ret))
        return false;
    ret->blocks = VEX_ARENA_ARRAY(arena, struct vex_record_block, ret->block_count + 1u);
    for (uint32_t i = 0; i < ret->block_count; i++) {
        if (!decode_block(c, start, ret->count, &ret->blocks[i]) || (seen >> ret->blocks[i].ordinal & 1) != 0)
            return false;
        seen |= UINT64_C(1) << ret->blocks[i].ordinal;
    }
    return true;
}

static bool decode_selector(struct vex_cursor *c, struct vex_arena *arena, struct vex_selector *ret)
{
    bool by_filter = vex_cursor_u8(c) != 0;

    vex_cursor_bytes(c, 3);
    ret->count = vex_cursor_u32(c);
    ret->limit = vex_cursor_u64(c);
    if (c->bad)
        return false;
    if (by_filter)
        return ret->count == 0 && decode_filter(c, arena, &ret->filter) && ret->filter != NULL;
    return decode_ids(c, arena, ret->count, &ret->ids);
}

void vex_record_put_path(struct vex_buf *out, const struct vex_path *path)
{
    vex_buf_add_str32(out, path->text);
    vex_buf_add_u32(out, path->count);
    for (uint32_t i = 0; i < path->count; i++) {
        vex_buf_add_u8(out, (uint8_t)path->steps[i].kind);
        vex_buf_add_u64(out, path->steps[i].kind == VEX_STEP_INDEX ? path->steps[i].index : 0);
        vex_buf_add_str32(out, path->steps[i].kind == VEX_STEP_KEY ? path->steps[i].key : vex_str("", 0));
    }
}

static bool decode_path(struct vex_cursor *c, struct vex_arena *arena, struct vex_path *ret)
{
    struct vex_step *steps;

    ret->text = vex_cursor_str32(c);
    ret->count = vex_cursor_u32(c);
    if (c->bad || ret->count > vex_cursor_left(c) / 13)
        return false;
    steps = VEX_ARENA_ARRAY(arena, struct vex_step, ret->count + 1);
    for (uint32_t i = 0; i < ret->count; i++) {
        uint8_t kind = vex_cursor_u8(c);
        uint64_t index = vex_cursor_u64(c);
        struct vex_str key = vex_cursor_str32(c);

        if (c->bad || kind > VEX_STEP_ALL)
            return false;
        steps[i].kind = (enum vex_step_kind)kind;
        if (kind == VEX_STEP_KEY)
            steps[i].key = key;
        else
            steps[i].index = index;
    }
    ret->steps = steps;
    return true;
}

static bool decode_payload(struct vex_cursor *c, struct vex_arena *arena, bool check,
                           struct vex_record_op *ret)
{
    struct vex_str payload;

    if (!decode_selector(c, arena, &ret->selector))
        return false;
    payload = vex_cursor_str32(c);
    if (c->bad || payload.len == 0 || (check && !vex_value_check(payload.ptr, payload.len, true)))
        return false;
    ret->payload.at = (const uint8_t *)payload.ptr;
    return decode_path(c, arena, &ret->key);
}

static bool decode_keys(struct vex_cursor *c, struct vex_arena *arena, struct vex_record_op *ret)
{
    if (!decode_selector(c, arena, &ret->selector))
        return false;
    ret->key_count = vex_cursor_u32(c);
    if (c->bad || ret->key_count > vex_cursor_left(c) / 8)
        return false;
    ret->keys = VEX_ARENA_ARRAY(arena, struct vex_path, ret->key_count + 1);
    for (uint32_t i = 0; i < ret->key_count; i++)
        if (!decode_path(c, arena, &ret->keys[i]))
            return false;
    return true;
}

static bool decode_op(struct vex_cursor *c, struct vex_arena *arena, bool check, struct vex_record_op *ret)
{
    switch (ret->kind) {
    case VEX_OP_UPSERT:
    case VEX_OP_UPDATE_VECTORS:
        return decode_points(c, arena, check, &ret->points);
    case VEX_OP_DELETE:
    case VEX_OP_CLEAR_PAYLOAD:
        return decode_selector(c, arena, &ret->selector);
    case VEX_OP_SET_PAYLOAD:
    case VEX_OP_OVERWRITE_PAYLOAD:
        return decode_payload(c, arena, check, ret);
    case VEX_OP_DELETE_PAYLOAD:
        return decode_keys(c, arena, ret);
    case VEX_OP_DELETE_VECTORS:
        if (!decode_selector(c, arena, &ret->selector))
            return false;
        ret->mask = vex_cursor_u64(c);
        return !c->bad;
    case VEX_OP_NOP:
        return true;
    }
    return false;
}

int vex_record_next(struct vex_record *record, struct vex_arena *arena, bool check, struct vex_record_op *ret)
{
    struct vex_cursor *c = &record->cursor;
    struct vex_cursor body;
    const char *at;
    uint32_t len;
    uint8_t kind;

    kind = vex_cursor_u8(c);
    vex_cursor_bytes(c, 3);
    len = vex_cursor_u32(c);
    at = vex_cursor_bytes(c, len);
    if (at == NULL || record->at >= record->count || !known_kind(kind) || ((uintptr_t)at & 7) != 0)
        return VEX_ECORRUPT;
    record->at++;
    *ret = (struct vex_record_op){.kind = (enum vex_op_kind)kind};
    body = vex_cursor(at, len);
    return decode_op(&body, arena, check, ret) ? 0 : VEX_ECORRUPT;
}
