/* Members of one map by key.
 *
 * Role       Open addressing over pointers to the keys' CBOR heads; no key is copied.
 * Owner      The function on whose stack it lives.
 * Invariant  At most half of the slots are taken, so every probe ends. */
#include "engine/point/value_keys.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"
#include "engine/point/cbor.h"

#define WALK_MAX 32 /* up to here a walk is as fast as hashing */

static const uint8_t **slot_of(const struct vex_value_keys *keys, struct vex_str key)
{
    size_t at = (size_t)XXH3_64bits(key.ptr, key.len) & keys->mask;

    while (keys->slots[at] != NULL) {
        const uint8_t *text;
        uint64_t len = cbor_arg(keys->slots[at], &text);
        if (vex_str_eq(vex_str((const char *)text, (size_t)len), key))
            break;
        at = (at + 1) & keys->mask;
    }
    return &keys->slots[at];
}

void vex_value_keys_init(struct vex_value_keys *keys, struct vex_value map)
{
    const uint8_t *at;
    uint64_t left;
    size_t cap = 1;

    *keys = (struct vex_value_keys){.map = map};
    if (map.at == NULL || map.at[0] >> 5 != CBOR_MAP || vex_value_count(map) <= WALK_MAX)
        return;
    left = cbor_arg(map.at, &at);
    while (cap < 2 * left)
        cap *= 2;
    /* Bounded: a member takes at least two bytes of a payload that is in memory already. */
    keys->slots = vex_mem_zalloc(cap * sizeof *keys->slots);
    keys->mask = cap - 1;
    for (; left > 0; left--) {
        const uint8_t *text, **slot;
        uint64_t len = cbor_arg(at, &text);

        slot = slot_of(keys, vex_str((const char *)text, (size_t)len));
        if (*slot == NULL)
            *slot = at;
        at = cbor_skip(text + len);
    }
}

void vex_value_keys_done(struct vex_value_keys *keys)
{
    vex_mem_free(keys->slots);
    keys->slots = NULL;
}

struct vex_value vex_value_keys_get(const struct vex_value_keys *keys, struct vex_str key)
{
    const uint8_t *head, *text;
    uint64_t len;

    if (keys->slots == NULL)
        return vex_value_get(keys->map, key);
    head = *slot_of(keys, key);
    if (head == NULL)
        return (struct vex_value){NULL};
    len = cbor_arg(head, &text);
    return (struct vex_value){text + len};
}
