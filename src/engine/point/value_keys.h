/* Members of one map by key: a walk for small maps, a hash table for large ones, so that merging and
 * comparing hostile payloads stays linear. Points into the map's bytes; lives on the caller's stack. */
#ifndef VEX_ENGINE_POINT_VALUE_KEYS_H
#define VEX_ENGINE_POINT_VALUE_KEYS_H

#include "engine/point/value.h"

struct vex_value_keys {
    struct vex_value map;
    const uint8_t **slots; /* keys' heads; NULL: the map is small */
    size_t mask;
};

void vex_value_keys_init(struct vex_value_keys *keys,
                         struct vex_value map); /* absent or not a map: no keys */
void vex_value_keys_done(struct vex_value_keys *keys);
/* First member of that key; at NULL when there is none. */
struct vex_value vex_value_keys_get(const struct vex_value_keys *keys, struct vex_str key);

#endif
