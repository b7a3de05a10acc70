/* Blobs: payload and multi or sparse vectors of a point in one piece of bytes.
 *
 * Owner     The caller. Lock: none. Format: vectors.h.
 * Invariant The payload is padded so that the vectors' heads and data are 4-byte aligned relative to the blob. */
#include "engine/point/vectors.h"

#define HEAD 12u

static size_t payload_end(size_t payload_len)
{
    return (4 + payload_len + 3) & ~(size_t)3;
}

void vex_blob_build(struct vex_buf *out, struct vex_value payload, const struct vex_extra_vector *extra,
                    uint32_t count)
{
    static const char zeros[4];
    size_t len = payload.at != NULL ? vex_value_size(payload) : 0;

    vex_buf_reserve(out, payload_end(len));
    vex_buf_add_u32(out, (uint32_t)len);
    vex_buf_add(out, payload.at, len);
    if (count == 0)
        return;
    vex_buf_add(out, zeros, payload_end(len) - 4 - len);
    for (uint32_t i = 0; i < count; i++) {
        const struct vex_extra_vector *v = &extra[i];
        bool sparse = v->kind == VEX_VECTOR_SPARSE;

        vex_buf_add_u8(out, v->ordinal);
        vex_buf_add_u8(out, (uint8_t)v->kind);
        vex_buf_add(out, zeros, 2);
        vex_buf_add_u32(out, sparse ? v->count : v->rows);
        vex_buf_add_u32(out, sparse ? 0 : v->count);
        if (sparse)
            vex_buf_add(out, v->indices, sizeof(uint32_t) * (size_t)v->count);
        vex_buf_add(out, v->values, sizeof(float) * (size_t)v->count * (sparse ? 1 : v->rows));
    }
}

struct vex_str vex_blob_payload_bytes(struct vex_str blob)
{
    uint32_t len = 0;

    if (blob.ptr == NULL || blob.len < sizeof len)
        return vex_str(NULL, 0);
    memcpy(&len, blob.ptr, sizeof len);
    return len > 0 && len <= blob.len - 4 ? vex_str(blob.ptr + 4, len) : vex_str(NULL, 0);
}

struct vex_value vex_blob_payload(struct vex_str blob)
{
    return (struct vex_value){(const uint8_t *)vex_blob_payload_bytes(blob).ptr};
}

bool vex_blob_next(struct vex_str blob, uint32_t *at, struct vex_extra_vector *ret)
{
    uint32_t payload_len, a, b;
    uint64_t data, size;
    const char *head;

    if (blob.ptr == NULL || blob.len < 4)
        return false;
    if (*at == 0) {
        memcpy(&payload_len, blob.ptr, sizeof payload_len);
        if (payload_len > blob.len)
            return false;
        *at = (uint32_t)payload_end(payload_len);
    }
    if (*at >= blob.len || blob.len - *at < HEAD)
        return false;
    head = blob.ptr + *at;
    memcpy(&a, head + 4, sizeof a);
    memcpy(&b, head + 8, sizeof b);
    *ret = (struct vex_extra_vector){.ordinal = (uint8_t)head[0],
                                     .kind = (enum vex_vector_kind)(uint8_t)head[1]};
    data = *at + HEAD;
    if (ret->kind == VEX_VECTOR_SPARSE) {
        size = 8 * (uint64_t)a;
        ret->count = a;
        ret->indices = (const uint32_t *)(const void *)(head + HEAD);
        ret->values = (const float *)(const void *)(head + HEAD + 4 * (size_t)a);
    } else {
        if (b != 0 && a > UINT32_MAX / 4 / b)
            return false;
        size = 4 * (uint64_t)a * b;
        ret->rows = a;
        ret->count = b;
        ret->values = (const float *)(const void *)(head + HEAD);
    }
    if (size > blob.len - data)
        return false;
    *at = (uint32_t)(data + size);
    return true;
}

bool vex_blob_vector(struct vex_str blob, uint8_t ordinal, struct vex_extra_vector *ret)
{
    for (uint32_t at = 0; vex_blob_next(blob, &at, ret);)
        if (ret->ordinal == ordinal)
            return true;
    return false;
}

bool vex_blob_check(struct vex_str blob)
{
    struct vex_extra_vector extra;
    uint32_t payload_len, at = 0;
    uint64_t seen = 0;

    if (blob.len < 4)
        return false;
    memcpy(&payload_len, blob.ptr, sizeof payload_len);
    if (payload_len > blob.len - 4)
        return false;
    if (payload_len == blob.len - 4)
        return true;
    while (vex_blob_next(blob, &at, &extra)) {
        if (extra.ordinal >= VEX_VECTORS_MAX || (seen >> extra.ordinal & 1) != 0 ||
            (extra.kind != VEX_VECTOR_MULTI && extra.kind != VEX_VECTOR_SPARSE))
            return false;
        seen |= UINT64_C(1) << extra.ordinal;
        for (uint32_t i = 1; extra.kind == VEX_VECTOR_SPARSE && i < extra.count; i++)
            if (extra.indices[i] <= extra.indices[i - 1])
                return false;
    }
    return at == blob.len;
}
