/* Payload values from and to JSON. Integers and floats stay apart: 1 is not 1.0, and whole numbers up to
 * 2^64-1 are exact. */
#ifndef VEX_ENGINE_POINT_VALUE_JSON_H
#define VEX_ENGINE_POINT_VALUE_JSON_H

#include "base/err.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "engine/point/value.h"

/* Appends one value. Of members with one key the last one counts, in the place of the first. VEX_EFORMAT:
 * nested deeper than VEX_VALUE_DEPTH_MAX, or a number beyond double; then nothing is appended. */
int vex_value_from_json(struct vex_buf *out, struct vex_json v, struct vex_err *err);
/* Appends one value, doubles as serde prints them. */
void vex_value_to_json(struct vex_jw *w, struct vex_value v);

#endif
