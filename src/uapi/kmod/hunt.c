// SPDX-License-Identifier: GPL-2.0-only
/* Passes over the vectors with bounded heaps of hits. See search.h. */
#include <linux/mm.h>
#include <linux/slab.h>

#include "uapi/kmod/requests.h"
#include "uapi/kmod/score.h"
#include "uapi/kmod/search.h"

/* ---- Heap: the farthest hit on top ---- */

static void sift_down(u64 *hits, u32 count, u64 hit)
{
    u32 at = 0, child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && hits[child] < hits[child + 1])
            child++;
        if (hit >= hits[child])
            break;
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = hit;
}

static void push(u64 *hits, u32 at, u64 hit)
{
    while (at > 0 && hits[(at - 1) / 2] < hit) {
        hits[at] = hits[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    hits[at] = hit;
}

static int sort(u64 *hits, u32 count)
{
    int rc = 0;

    for (; count > 1 && rc == 0; count--) {
        u64 last = hits[count - 1];

        hits[count - 1] = hits[0];
        sift_down(hits, count - 1, last);
        if (count % 4096 == 0)
            rc = vex_breathe();
    }
    return rc;
}

static u64 hit_of(u32 bits, u32 slot)
{
    return (u64)(bits & 0x80000000u ? ~bits : bits | 0x80000000u) << 32 | slot;
}

/* ---- A pass ---- */

static void offer(struct vex_hunt *hunt, u32 query)
{
    const struct vex_reader *reader = hunt->reader;
    u64 *hits = hunt->hits + (size_t)query * hunt->limit;
    u32 count = hunt->count[query], i;
    u64 most = count == hunt->limit ? hits[0] : U64_MAX;

    for (i = 0; i < reader->count; i++) {
        u64 hit = hit_of(hunt->bits[i], reader->slot[i]);

        if (hit >= most || hit <= hunt->floor)
            continue;
        if (count < hunt->limit)
            push(hits, count++, hit);
        else
            sift_down(hits, count, hit);
        if (count == hunt->limit)
            most = hits[0];
    }
    hunt->count[query] = count;
}

static int look_at_flag(const struct vex_hunt *hunt)
{
    int flag;

    if (hunt->cancelled == 0)
        return 0;
    if (get_user(flag, (int __user *)u64_to_user_ptr(hunt->cancelled)))
        return -EFAULT;
    return flag ? -ECANCELED : 0;
}

static int pass_block(struct vex_hunt *hunt, u32 count)
{
    struct vex_reader *reader = hunt->reader;
    const struct vex_shape *shape = &hunt->store->shape;
    u32 wanted, query;
    int rc = look_at_flag(hunt);

    if (rc == 0)
        rc = vex_breathe();
    if (rc == 0)
        rc = vex_walk_next(&hunt->walk, vex_reader_most(hunt->store), reader->slot, &wanted);
    if (rc < 0)
        return rc;
    reader->count = wanted;
    rc = vex_reader_fill(reader);
    for (query = 0; query < count && rc == 0 && reader->count > 0; query++) {
        vex_score(hunt->distance, shape->element, hunt->queries + (size_t)query * shape->dimensions,
                  reader->at, reader->count, shape->dimensions, hunt->bits);
        offer(hunt, query);
    }
    if (reader->count < wanted)
        hunt->walk.at = hunt->walk.end; /* the file was cut short */
    hunt->read += reader->count;
    vex_reader_release(reader);
    return rc;
}

int vex_hunt_pass(struct vex_hunt *hunt, u32 count)
{
    u32 query;
    int rc;

    memset(hunt->count, 0, sizeof(hunt->count));
    vex_walk_init(&hunt->walk, hunt->allow, hunt->first, hunt->end);
    rc = look_at_flag(hunt);
    while (rc == 0 && !vex_walk_done(&hunt->walk))
        rc = pass_block(hunt, count);
    for (query = 0; query < count && rc == 0; query++)
        rc = sort(hunt->hits + (size_t)query * hunt->limit, hunt->count[query]);
    vex_walk_done_with(&hunt->walk);
    return rc;
}

bool vex_hunt_on(struct vex_hunt *hunt)
{
    if (hunt->limit == 0 || hunt->count[0] < hunt->limit)
        return false;
    hunt->floor = hunt->hits[hunt->limit - 1];
    return true;
}

/* ---- Memory ---- */

int vex_hunt_new(struct vex_store *store, u32 count, u32 k, u64 first, u64 slots, struct vex_hunt **ret)
{
    struct vex_hunt *hunt = kvzalloc(sizeof(*hunt), GFP_KERNEL_ACCOUNT);
    u64 held = vex_store_slots(store);
    u64 room;

    if (!hunt)
        return -ENOMEM;
    hunt->store = store;
    hunt->first = first;
    hunt->end = min(first + slots, held);
    room = hunt->end > first ? hunt->end - first : 0;
    hunt->limit = (u32)min3(room, (u64)k, (u64)VEX_HITS_MOST);
    hunt->group = min3(count, VEX_GROUP, VEX_HITS_MOST / max(hunt->limit, 1u));
    hunt->queries =
        kvmalloc_array((size_t)hunt->group * store->shape.dimensions, sizeof(u32), GFP_KERNEL_ACCOUNT);
    hunt->hits =
        kvmalloc_array(max_t(size_t, (size_t)hunt->group * hunt->limit, 1), sizeof(u64), GFP_KERNEL_ACCOUNT);
    hunt->reader = vex_reader_new(store);
    if (!hunt->queries || !hunt->hits || !hunt->reader) {
        vex_hunt_free(hunt);
        return -ENOMEM;
    }
    *ret = hunt;
    return 0;
}

void vex_hunt_free(struct vex_hunt *hunt)
{
    if (!hunt)
        return;
    vex_reader_free(hunt->reader);
    kvfree(hunt->hits);
    kvfree(hunt->queries);
    kvfree(hunt);
}
