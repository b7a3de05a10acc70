/* Hash map from bytes to a pointer: open addressing, XXH3, keys copied. For catalog-sized sets (names, ids of
 * collections), not for points. Not thread-safe. */
#ifndef VEX_BASE_MAP_H
#define VEX_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct vex_map_slot {
    char *key; /* NULL: empty */
    uint32_t len;
    uint32_t hash;
    void *value;
};

struct vex_map {
    struct vex_map_slot *slots;
    size_t count, cap; /* cap is 0 or a power of two */
};

void vex_map_init(struct vex_map *map);
void vex_map_done(struct vex_map *map);                           /* frees keys, not values */
void *vex_map_get(const struct vex_map *map, struct vex_str key); /* NULL when absent */
void *vex_map_put(struct vex_map *map, struct vex_str key,
                  void *value);                                /* returns the value replaced, or NULL */
void *vex_map_remove(struct vex_map *map, struct vex_str key); /* returns the value removed, or NULL */
/* Iteration in no order: start with *at = 0; false at the end. The map must not change meanwhile. */
bool vex_map_next(const struct vex_map *map, size_t *at, struct vex_str *ret_key, void **ret_value);

#endif
