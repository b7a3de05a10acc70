// SPDX-License-Identifier: GPL-2.0-only
/* Ids of an anonymous store: a slot's id, and the slot of an id by a hash table with linear probing.
 *
 * Memory    Arrays that double; charged to the caller's memory group and to the budget of all stores.
 * Order     Places are keyed by a secret: nobody can choose ids that collide. */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "uapi/kmod/store.h"

#define ROOM_LEAST 256u
#define ROOM_BYTES (sizeof(u64) + 2 * sizeof(u32)) /* of a slot: its id and two places of the table */

struct vex_ids *vex_ids_new(void)
{
    struct vex_ids *ids = kzalloc(sizeof(*ids), GFP_KERNEL_ACCOUNT);

    if (!ids)
        return NULL;
    mutex_init(&ids->lock);
    get_random_bytes(&ids->key, sizeof(ids->key));
    return ids;
}

void vex_ids_free(struct vex_ids *ids)
{
    if (!ids)
        return;
    kvfree(ids->of_slot);
    kvfree(ids->table);
    vex_budget_give(ids->charged);
    kfree(ids);
}

static u32 place_of(const struct vex_ids *ids, const u32 *table, u32 mask, u64 id)
{
    u32 at = (u32)siphash_1u64(id, &ids->key) & mask;

    while (table[at] != 0 && ids->of_slot[table[at] - 1] != id)
        at = (at + 1) & mask;
    return at;
}

bool vex_ids_find(const struct vex_ids *ids, u64 id, u32 *ret_slot)
{
    u32 at;

    if (ids->count == 0)
        return false;
    at = place_of(ids, ids->table, 2 * ids->room - 1, id);
    *ret_slot = ids->table[at] - 1;
    return ids->table[at] != 0;
}

static int grow(struct vex_ids *ids, u32 room)
{
    u64 charge = (u64)(room - ids->room) * ROOM_BYTES;
    u64 *of_slot;
    u32 *table, slot;
    int rc = vex_budget_take(charge);

    if (rc < 0)
        return rc;
    of_slot = kvcalloc(room, sizeof(*of_slot), GFP_KERNEL_ACCOUNT);
    table = kvcalloc(room, 2 * sizeof(*table), GFP_KERNEL_ACCOUNT);
    if (!of_slot || !table) {
        kvfree(of_slot);
        kvfree(table);
        vex_budget_give(charge);
        return -ENOMEM;
    }
    for (slot = 0; slot < ids->count; slot++) {
        table[place_of(ids, table, 2 * room - 1, ids->of_slot[slot])] = slot + 1;
        if (slot % 4096 == 0)
            cond_resched();
    }
    if (ids->count > 0)
        memcpy(of_slot, ids->of_slot, ids->count * sizeof(*of_slot));
    kvfree(ids->of_slot);
    kvfree(ids->table);
    ids->of_slot = of_slot;
    ids->table = table;
    ids->room = room;
    ids->charged += charge;
    return 0;
}

int vex_ids_reserve(struct vex_ids *ids, u32 count)
{
    u32 room = max(ids->room, ROOM_LEAST), wanted;

    if (check_add_overflow(ids->count, count, &wanted) || wanted > VEX_IDS_MOST)
        return -ENOSPC;
    while (room < wanted)
        room *= 2;
    return room > ids->room ? grow(ids, room) : 0;
}

void vex_ids_put(struct vex_ids *ids, u64 id)
{
    u32 slot = ids->count;

    ids->table[place_of(ids, ids->table, 2 * ids->room - 1, id)] = slot + 1;
    ids->of_slot[slot] = id;
    ids->count = slot + 1;
    if (!ids->spent && id >= ids->next) {
        ids->next = id + 1;
        ids->spent = id == U64_MAX;
    }
}

/* The last that came in go first, so the places they took end no other's chain. */
void vex_ids_cut(struct vex_ids *ids, u32 count, u64 next, bool spent)
{
    ids->next = next;
    ids->spent = spent;
    while (ids->count > count) {
        u32 slot = ids->count - 1;

        ids->table[place_of(ids, ids->table, 2 * ids->room - 1, ids->of_slot[slot])] = 0;
        ids->count = slot;
    }
}
