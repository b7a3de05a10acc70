/* Point ids: unsigned numbers, UUIDs and strings (for Chroma), in that order.
 *
 * Text is canonicalised at the door: exact decimal u64 text and canonical UUID text name the same point as
 * the number or the UUID, so one collection reads alike through every dialect, and the text always comes back
 * as it was given. */
#ifndef VEX_ENGINE_POINT_ID_H
#define VEX_ENGINE_POINT_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum vex_id_kind { VEX_ID_NUM, VEX_ID_UUID, VEX_ID_TEXT };

#define VEX_ID_TEXT_MAX 65535 /* bytes */

struct vex_id {
    enum vex_id_kind kind;
    union {
        uint64_t num;
        uint8_t uuid[16];
        struct vex_str text; /* not owned */
    };
};

static inline struct vex_id vex_id_num(uint64_t num)
{
    return (struct vex_id){.kind = VEX_ID_NUM, .num = num};
}

/* Text of the Chroma and native dialects: number or UUID when it is exactly their canonical text. */
struct vex_id vex_id_from_text(struct vex_str text);
/* Text of the Qdrant dialect: a UUID in any spelling; otherwise false. */
bool vex_id_from_uuid_text(struct vex_str text, struct vex_id *ret);
bool vex_id_eq(const struct vex_id *a, const struct vex_id *b);
int vex_id_cmp(const struct vex_id *a, const struct vex_id *b); /* numbers, then UUIDs, then texts bytewise */
uint64_t vex_id_hash(const struct vex_id *id);                  /* XXH3, never changes: it is on disk */
/* Text for people and for Chroma, in the arena (texts are returned as they are). */
struct vex_str vex_id_text(struct vex_arena *arena, const struct vex_id *id);
/* Copy whose text lives in the arena. */
struct vex_id vex_id_dup(struct vex_arena *arena, const struct vex_id *id);

/* Bytes in records: u8 kind, then u64 | 16 bytes | u32 length + text. */
void vex_id_encode(struct vex_buf *out, const struct vex_id *id);
bool vex_id_decode(struct vex_cursor *c,
                   struct vex_id *ret); /* false: not an id; text points into the input */

#endif
