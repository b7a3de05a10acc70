/* Hash map: open addressing with linear probing, removal by shifting back (no tombstones).
 *
 * Owner: the caller. Lock: the caller's. Invariant: at least a quarter of the slots is empty, so every probe
 * ends; no empty slot lies between a key's home and its place. */
#include "base/map.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"

#define CAP_MIN 16

static uint32_t hash_of(struct vex_str key)
{
    return (uint32_t)(key.len > 0 ? XXH3_64bits(key.ptr, key.len) : 0);
}

void vex_map_init(struct vex_map *map)
{
    *map = (struct vex_map){0};
}

void vex_map_done(struct vex_map *map)
{
    for (size_t i = 0; i < map->cap; i++)
        vex_mem_free(map->slots[i].key);
    vex_mem_free(map->slots);
    vex_map_init(map);
}

/* Slot of the key, or the empty one where it would go. The map has slots. */
static struct vex_map_slot *probe(const struct vex_map *map, struct vex_str key, uint32_t hash)
{
    size_t mask = map->cap - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct vex_map_slot *slot = &map->slots[i];
        if (slot->key == NULL || (slot->hash == hash && vex_str_eq(vex_str(slot->key, slot->len), key)))
            return slot;
    }
}

static void grow(struct vex_map *map)
{
    struct vex_map old = *map;

    map->cap = old.cap > 0 ? old.cap * 2 : CAP_MIN;
    if (map->cap > SIZE_MAX / sizeof *map->slots)
        abort();
    map->slots = vex_mem_zalloc(map->cap * sizeof *map->slots);
    for (size_t i = 0; i < old.cap; i++) {
        struct vex_map_slot *slot = &old.slots[i];
        if (slot->key != NULL)
            *probe(map, vex_str(slot->key, slot->len), slot->hash) = *slot;
    }
    vex_mem_free(old.slots);
}

void *vex_map_get(const struct vex_map *map, struct vex_str key)
{
    if (map->cap == 0)
        return NULL;
    return probe(map, key, hash_of(key))->value;
}

void *vex_map_put(struct vex_map *map, struct vex_str key, void *value)
{
    uint32_t hash = hash_of(key);
    struct vex_map_slot *slot;
    void *old;

    if (key.len > UINT32_MAX)
        abort();
    if (map->count + 1 > map->cap - map->cap / 4)
        grow(map);
    slot = probe(map, key, hash);
    old = slot->value;
    if (slot->key == NULL) {
        slot->key = vex_mem_strndup(key.ptr, key.len);
        slot->len = (uint32_t)key.len;
        slot->hash = hash;
        map->count++;
    }
    slot->value = value;
    return old;
}

void *vex_map_remove(struct vex_map *map, struct vex_str key)
{
    size_t mask = map->cap - 1, hole;
    struct vex_map_slot *slot;
    void *old;

    if (map->cap == 0)
        return NULL;
    slot = probe(map, key, hash_of(key));
    if (slot->key == NULL)
        return NULL;
    old = slot->value;
    vex_mem_free(slot->key);
    map->count--;

    hole = (size_t)(slot - map->slots);
    for (size_t i = (hole + 1) & mask; map->slots[i].key != NULL; i = (i + 1) & mask) {
        /* A key moves into the hole when the hole lies on its way from home to where it is. */
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct vex_map_slot){0};
    return old;
}

bool vex_map_next(const struct vex_map *map, size_t *at, struct vex_str *ret_key, void **ret_value)
{
    for (; *at < map->cap; (*at)++) {
        const struct vex_map_slot *slot = &map->slots[*at];
        if (slot->key == NULL)
            continue;
        *ret_key = vex_str(slot->key, slot->len);
        *ret_value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}
