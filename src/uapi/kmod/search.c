// SPDX-License-Identifier: GPL-2.0-only
/* SEARCH: a batch of queries, answered group by group. */
#include "uapi/kmod/search.h"

#include "uapi/kmod/requests.h"

/* Writes the hits of one query behind `done` others of it. The hits become what the interface says in place. */
static int give_hits(const struct vexfs_search *search, struct vex_hunt *hunt, u32 in_group, u32 query,
                     u64 done)
{
    u64 *hits = hunt->hits + (size_t)in_group * hunt->limit;
    u64 at = ((u64)query * search->k + done) * sizeof(struct vexfs_hit);
    u32 i, count = hunt->count[in_group];

    BUILD_BUG_ON(sizeof(struct vexfs_hit) != sizeof(u64));
    for (i = 0; i < count; i++) {
        struct vexfs_hit hit = {.distance_bits = vex_hit_bits(hits[i]), .slot = vex_hit_slot(hits[i])};

        memcpy(&hits[i], &hit, sizeof(hit));
    }
    if (copy_to_user(vex_user(search->hits, at), hits, (size_t)count * sizeof(*hits)))
        return -EFAULT;
    return 0;
}

static int give_found(const struct vexfs_search *search, u32 query, u64 found)
{
    u32 count = (u32)found;

    return copy_to_user(vex_user(search->found, (u64)query * sizeof(u32)), &count, sizeof(count)) ? -EFAULT
                                                                                                  : 0;
}

static int load_queries(const struct vexfs_search *search, struct vex_hunt *hunt, u32 from, u32 count)
{
    u64 row = (u64)hunt->store->shape.dimensions * sizeof(u32);

    return copy_from_user(hunt->queries, vex_user(search->queries, from * row), count * row) ? -EFAULT : 0;
}

/* One query that wants more hits than are held at once. */
static int search_long(const struct vexfs_search *search, struct vex_hunt *hunt, u32 query)
{
    u64 done = 0;
    bool more;
    int rc;

    hunt->floor = 0;
    do {
        rc = vex_hunt_pass(hunt, 1);
        if (rc < 0)
            return rc;
        more = vex_hunt_on(hunt); /* before the hits change their form */
        hunt->count[0] = (u32)min_t(u64, hunt->count[0], search->k - done);
        rc = give_hits(search, hunt, 0, query, done);
        done += hunt->count[0];
    } while (rc == 0 && more && done < search->k);
    return rc == 0 ? give_found(search, query, done) : rc;
}

static int search_group(const struct vexfs_search *search, struct vex_hunt *hunt, u32 from, u32 count)
{
    u32 i;
    int rc = load_queries(search, hunt, from, count);

    if (rc == 0 && hunt->limit == VEX_HITS_MOST)
        return search_long(search, hunt, from);
    if (rc == 0)
        rc = vex_hunt_pass(hunt, count);
    for (i = 0; i < count && rc == 0; i++) {
        rc = give_hits(search, hunt, i, from + i, 0);
        if (rc == 0)
            rc = give_found(search, from + i, hunt->count[i]);
    }
    return rc;
}

int vex_serve_search(struct vex_open *open, void *param)
{
    const struct vexfs_search *search = param;
    struct vex_store *store = vex_store_of(open);
    struct vex_hunt *hunt;
    u32 from;
    int rc;

    if (search->count < 1 || search->count > VEXFS_QUERIES_MAX || search->k < 1 ||
        search->distance > VEXFS_SEARCH_MANHATTAN || search->queries == 0 || search->hits == 0 ||
        search->found == 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    rc = vex_hunt_new(store, search->count, search->k, search->first, search->slots, &hunt);
    if (rc < 0)
        return rc;
    hunt->distance = search->distance;
    hunt->allow = search->allow;
    hunt->cancelled = search->cancelled;
    for (from = 0; from < search->count && rc == 0; from += hunt->group)
        rc = search_group(search, hunt, from, min(hunt->group, search->count - from));
    if (rc == 0)
        vex_count_request(open, hunt->read * store->shape.stride, 0);
    vex_hunt_free(hunt);
    return rc;
}
