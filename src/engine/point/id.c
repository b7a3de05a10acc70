/* Point ids: text forms, order, hash, bytes.
 *
 * Lock    None: pure functions.
 * Format  Records: u8 kind; then u64 little-endian | 16 bytes | u32 length and the text. */
#include "engine/point/id.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/text.h"

struct vex_id vex_id_from_text(struct vex_str text)
{
    struct vex_id id = {.kind = VEX_ID_NUM};

    if (vex_str_to_u64(text, &id.num))
        return id;
    if (vex_uuid_parse_canonical(text, id.uuid)) {
        id.kind = VEX_ID_UUID;
        return id;
    }
    return (struct vex_id){.kind = VEX_ID_TEXT, .text = text};
}

bool vex_id_from_uuid_text(struct vex_str text, struct vex_id *ret)
{
    struct vex_id id = {.kind = VEX_ID_UUID};

    if (!vex_uuid_parse(text, id.uuid))
        return false;
    *ret = id;
    return true;
}

bool vex_id_eq(const struct vex_id *a, const struct vex_id *b)
{
    return vex_id_cmp(a, b) == 0;
}

int vex_id_cmp(const struct vex_id *a, const struct vex_id *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case VEX_ID_NUM:
        return a->num < b->num ? -1 : a->num > b->num;
    case VEX_ID_UUID:
        return memcmp(a->uuid, b->uuid, sizeof a->uuid);
    case VEX_ID_TEXT:
        break;
    }
    return vex_str_cmp(a->text, b->text);
}

uint64_t vex_id_hash(const struct vex_id *id)
{
    /* The kind is the seed, so that a number and a text of the same bytes part ways. */
    switch (id->kind) {
    case VEX_ID_NUM:
        return XXH3_64bits_withSeed(&id->num, sizeof id->num, VEX_ID_NUM);
    case VEX_ID_UUID:
        return XXH3_64bits_withSeed(id->uuid, sizeof id->uuid, VEX_ID_UUID);
    case VEX_ID_TEXT:
        break;
    }
    return XXH3_64bits_withSeed(id->text.ptr, id->text.len, VEX_ID_TEXT);
}

struct vex_str vex_id_text(struct vex_arena *arena, const struct vex_id *id)
{
    char digits[20], *text;
    size_t at = sizeof digits;
    uint64_t num;

    switch (id->kind) {
    case VEX_ID_NUM:
        num = id->num;
        do {
            digits[--at] = (char)('0' + num % 10);
            num /= 10;
        } while (num > 0);
        return vex_str(vex_arena_dup(arena, digits + at, sizeof digits - at), sizeof digits - at);
    case VEX_ID_UUID:
        text = vex_arena_alloc(arena, VEX_UUID_TEXT);
        vex_uuid_text(id->uuid, text);
        return vex_str(text, VEX_UUID_TEXT);
    case VEX_ID_TEXT:
        break;
    }
    return id->text;
}

struct vex_id vex_id_dup(struct vex_arena *arena, const struct vex_id *id)
{
    struct vex_id copy = *id;

    if (id->kind == VEX_ID_TEXT && id->text.len > 0)
        copy.text.ptr = vex_arena_dup(arena, id->text.ptr, id->text.len);
    return copy;
}

void vex_id_encode(struct vex_buf *out, const struct vex_id *id)
{
    vex_buf_add_u8(out, (uint8_t)id->kind);
    switch (id->kind) {
    case VEX_ID_NUM:
        vex_buf_add_u64(out, id->num);
        break;
    case VEX_ID_UUID:
        vex_buf_add(out, id->uuid, sizeof id->uuid);
        break;
    case VEX_ID_TEXT:
        vex_buf_add_str32(out, id->text);
        break;
    }
}

bool vex_id_decode(struct vex_cursor *c, struct vex_id *ret)
{
    struct vex_id id = {.kind = VEX_ID_NUM};
    const void *bytes;

    switch (vex_cursor_u8(c)) {
    case VEX_ID_NUM:
        id.num = vex_cursor_u64(c);
        break;
    case VEX_ID_UUID:
        id.kind = VEX_ID_UUID;
        bytes = vex_cursor_bytes(c, sizeof id.uuid);
        if (bytes == NULL)
            return false;
        memcpy(id.uuid, bytes, sizeof id.uuid);
        break;
    case VEX_ID_TEXT:
        id.kind = VEX_ID_TEXT;
        id.text = vex_cursor_str32(c);
        if (c->bad || id.text.len > VEX_ID_TEXT_MAX || !vex_utf8_valid(id.text))
            return false;
        break;
    default:
        return false;
    }
    if (c->bad)
        return false;
    *ret = id;
    return true;
}
