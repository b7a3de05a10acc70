/* JSON writing: an appender over a buffer. Commas are the writer's business; nesting is the caller's.
 *
 *     vex_jw_object(&w); vex_jw_key(&w, VEX_STR("id")); vex_jw_u64(&w, 7); vex_jw_object_end(&w);
 *
 * Floats print in the shortest form that round-trips, as serde_json does: f32 from the float, whole values
 * with ".0", exponents as 1e-7 / 1e16; not finite prints null. Strings are escaped as serde_json does. */
#ifndef VEX_BASE_JSON_WRITE_H
#define VEX_BASE_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct vex_jw {
    struct vex_buf *out;
    bool comma; /* a separator is due before the next item */
};

static inline struct vex_jw vex_jw(struct vex_buf *out)
{
    return (struct vex_jw){out, false};
}

void vex_jw_object(struct vex_jw *w);
void vex_jw_object_end(struct vex_jw *w);
void vex_jw_array(struct vex_jw *w);
void vex_jw_array_end(struct vex_jw *w);
void vex_jw_key(struct vex_jw *w, struct vex_str key);
void vex_jw_null(struct vex_jw *w);
void vex_jw_bool(struct vex_jw *w, bool v);
void vex_jw_i64(struct vex_jw *w, int64_t v);
void vex_jw_u64(struct vex_jw *w, uint64_t v);
void vex_jw_f32(struct vex_jw *w, float v);
void vex_jw_f64(struct vex_jw *w, double v);
void vex_jw_floats(struct vex_jw *w, const float *v, size_t n); /* array */
void vex_jw_str(struct vex_jw *w, struct vex_str v);
void vex_jw_raw(struct vex_jw *w, struct vex_str json); /* one ready value */

/* Number texts alone, for error messages and ids. Return the length; buf holds at least 32 bytes; no NUL. */
size_t vex_f32_text(char *buf, float v);
size_t vex_f64_text(char *buf, double v);

#endif
