/* Payload paths: `key`, `a.b`, `a[0]`, `a[]`, `"quoted key"`, as Qdrant reads them.
 *
 * A path is parsed once and is immutable; its names live in the arena it was parsed into. */
#ifndef VEX_ENGINE_POINT_PATH_H
#define VEX_ENGINE_POINT_PATH_H

#include "base/err.h"
#include "engine/point/value.h"

#define VEX_PATH_STEPS_MAX 120   /* below VEX_VALUE_DEPTH_MAX: room for what is set at its end */
#define VEX_PATH_TEXT_MAX  65535 /* bytes */

enum vex_step_kind { VEX_STEP_KEY, VEX_STEP_INDEX, VEX_STEP_ALL };

struct vex_step {
    enum vex_step_kind kind;
    struct vex_str key;
    uint64_t index;
};

struct vex_path {
    struct vex_str text; /* as given */
    const struct vex_step *steps;
    uint32_t count;
};

/* VEX_EBAD_INPUT with the peer's words when the text is not a path. */
int vex_path_parse(struct vex_arena *arena, struct vex_str text, struct vex_path *ret, struct vex_err *err);
/* A single key taken literally (Chroma metadata keys). */
struct vex_path vex_path_key(struct vex_arena *arena, struct vex_str key);

/* Calls fn for each value the path leads to; stops when fn returns non-zero and returns that; 0 when all were
 * seen. Arrays are walked only by [] and [n] steps, a key step leads only into an object, as with Qdrant. A
 * path that leads nowhere calls nothing. */
int vex_path_each(const struct vex_path *path, struct vex_value payload,
                  int (*fn)(void *arg, struct vex_value v), void *arg);

/* Bytes in records. decode: false when it is not a path (or memory is out); everything is copied into the
 * arena. */
void vex_path_encode(struct vex_buf *out, const struct vex_path *path);
bool vex_path_decode(struct vex_arena *arena, struct vex_cursor *c, struct vex_path *ret);

/* Payload operations that go by path; output is one map. Rules are Qdrant's (in-memory client as oracle).
 *
 * set_at merges patch into what the path leads to (nulls in it remove keys), making objects on the way. When
 * the result would pass VEX_PAYLOAD_MAX or VEX_VALUE_DEPTH_MAX: VEX_ETOO_LARGE, and the output is the old
 * payload; deterministic. */
int vex_payload_set_at(struct vex_buf *out, struct vex_value old, const struct vex_path *path,
                       struct vex_value patch);
void vex_payload_delete(struct vex_buf *out, struct vex_value old, const struct vex_path *paths,
                        size_t count);

/* Which part of a payload an answer carries. */
struct vex_payload_selector {
    enum { VEX_PAYLOAD_NONE, VEX_PAYLOAD_ALL, VEX_PAYLOAD_INCLUDE, VEX_PAYLOAD_EXCLUDE } kind;
    const struct vex_path *paths;
    uint32_t count;
};
void vex_payload_select(struct vex_buf *out, struct vex_value payload,
                        const struct vex_payload_selector *selector);

#endif
