/* Payloads carried as CBOR through request and response messages, for transports that build no trees (REST).
 */
#ifndef VEX_API_QDRANT_RAW_H
#define VEX_API_QDRANT_RAW_H

#include "api/qdrant/rpc.h"
#include "engine/point/value.h"

#include "qdrant_common.pb-c.h"

#define VEX_RAW_KIND 0x10000 /* a kind_case that no field number of Value can be */

struct vex_raw_value {
    Qdrant__Value message;  /* kind_case VEX_RAW_KIND */
    struct vex_value value; /* checked bytes; a map when it stands for a whole payload */
};

/* Compared by address. */
extern char vex_raw_key[];

static inline bool vex_is_raw(const Qdrant__Value *value)
{
    return value != NULL && (int)value->kind_case == VEX_RAW_KIND;
}

static inline struct vex_value vex_raw_of(const Qdrant__Value *value)
{
    return ((const struct vex_raw_value *)(const void *)value)->value;
}

/* A Value message that stands for `value`. */
Qdrant__Value *vex_raw_value_new(struct vex_arena *arena, struct vex_value value);

#endif
