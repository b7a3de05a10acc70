/* Payload values: CBOR (RFC 8949), deterministic subset, read in place without a tree.
 *
 * Subset: unsigned and negative integers (so int64 and uint64 stay apart from floats), float64, text,
 * definite arrays, definite maps with text keys (unique: writers see to it; of duplicates the first is seen),
 * false, true, null. Shortest-form heads. At most VEX_VALUE_DEPTH_MAX levels. A payload is one map. A view
 * points into bytes it does not own, which have been checked once by vex_value_check; the accessors trust
 * them. */
#ifndef VEX_ENGINE_POINT_VALUE_H
#define VEX_ENGINE_POINT_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define VEX_VALUE_DEPTH_MAX 128
#define VEX_PAYLOAD_MAX     (64u << 20) /* bytes of one payload */

enum vex_value_kind {
    VEX_VALUE_NULL,
    VEX_VALUE_BOOL,
    VEX_VALUE_INT,  /* fits int64 */
    VEX_VALUE_UINT, /* 2^63 .. 2^64-1 */
    VEX_VALUE_DOUBLE,
    VEX_VALUE_TEXT,
    VEX_VALUE_ARRAY,
    VEX_VALUE_MAP,
};

/* A value in checked CBOR bytes; at == NULL: absent. */
struct vex_value {
    const uint8_t *at;
};

/* True when bytes are exactly one value of the subset (a map when `payload`), all texts UTF-8. For bytes from
 * disks. */
bool vex_value_check(const void *bytes, size_t len, bool payload);

enum vex_value_kind vex_value_kind(struct vex_value v);
bool vex_value_bool(struct vex_value v);
int64_t vex_value_int(struct vex_value v);
uint64_t vex_value_uint(struct vex_value v); /* UINT or non-negative INT */
double vex_value_double(struct vex_value v); /* any number */
bool vex_value_is_number(struct vex_value v);
struct vex_str vex_value_text(struct vex_value v);
size_t vex_value_count(struct vex_value v); /* elements or members */
size_t vex_value_size(struct vex_value v);  /* bytes of the whole encoding */
/* Kinds apart (1 is not 1.0), maps in any order. */
bool vex_value_eq(struct vex_value a, struct vex_value b);
size_t vex_value_depth(struct vex_value v); /* containers around the innermost value; 0 for a scalar */

/* for (it = vex_value_iter(v); vex_value_next(&it);) it.value, it.key (maps). Empty for scalars. */
struct vex_value_iter {
    struct vex_value value;
    struct vex_str key;
    const uint8_t *at; /* next item */
    size_t left;
    bool map;
};
struct vex_value_iter vex_value_iter(struct vex_value v);
bool vex_value_next(struct vex_value_iter *it);
/* Member of a map; at NULL when absent or not a map. */
struct vex_value vex_value_get(struct vex_value v, struct vex_str key);

/* Writing: heads with counts, then the items. */
void vex_value_put_null(struct vex_buf *out);
void vex_value_put_bool(struct vex_buf *out, bool v);
void vex_value_put_int(struct vex_buf *out, int64_t v);
void vex_value_put_uint(struct vex_buf *out, uint64_t v);
void vex_value_put_double(struct vex_buf *out, double v);
void vex_value_put_text(struct vex_buf *out, struct vex_str v);
void vex_value_put_array(struct vex_buf *out, size_t count);
void vex_value_put_map(struct vex_buf *out, size_t count);
void vex_value_put(struct vex_buf *out, struct vex_value v); /* a copy */

/* Whole payloads; `old` may be absent (an empty map). Output: one map, never null. */
/* Sets the members of patch over old. nulls_delete: a null in patch removes the key (Qdrant's set payload,
 * Chroma's update and upsert); else it is stored. Keys keep their places, new ones follow. */
void vex_payload_merge(struct vex_buf *out, struct vex_value old, struct vex_value patch, bool nulls_delete);

#endif
