/* SPDX-License-Identifier: GPL-2.0-only */
/* Exact search over the slots of a store, for SEARCH and VECTOR_SEARCH.
 *
 * Order     A hit is one number: its distance's bits, made to order as the distances do, above its slot. Nearest first,
 *           equal distances by slot, is the order of these numbers.
 * Memory    At most VEX_HITS_MOST hits are held. A batch is taken in groups of queries that fit, at most VEX_GROUP a pass
 *           over the vectors; where one query wants more, it is answered in passes, each for the hits beyond the last one's. */
#ifndef VEX_KMOD_SEARCH_H
#define VEX_KMOD_SEARCH_H

#include "uapi/kmod/reader.h"

#define VEX_GROUP     8u
#define VEX_HITS_MOST (1u << 19)

struct vex_hunt {
    struct vex_store *store;
    u32 distance;
    u64 first, end; /* slots */
    u64 allow;      /* address of the bitmap or 0 */
    u64 cancelled;  /* address of the flag or 0 */
    u32 limit;      /* hits a query that a pass finds at most */
    u64 floor;      /* only hits beyond this one */
    u32 group;      /* queries at once, at most */
    u64 read;       /* vectors read */
    u32 *queries;   /* group x dimensions bit patterns */
    u64 *hits;      /* group x limit */
    u32 count[VEX_GROUP];
    struct vex_reader *reader;
    struct vex_walk walk;
    u32 bits[VEX_BLOCK_SLOTS];
};

/* For `count` queries of k hits over [first, first + slots). */
int vex_hunt_new(struct vex_store *store, u32 count, u32 k, u64 first, u64 slots, struct vex_hunt **ret);
void vex_hunt_free(struct vex_hunt *hunt); /* NULL is fine */
/* One pass for `count` <= group queries that were put into `queries`; their hits, sorted, are in `hits` then. */
int vex_hunt_pass(struct vex_hunt *hunt, u32 count);
/* Whether another pass can find more for a single query; moves the floor there. */
bool vex_hunt_on(struct vex_hunt *hunt);

static inline u32 vex_hit_slot(u64 hit)
{
    return (u32)hit;
}

static inline u32 vex_hit_bits(u64 hit)
{
    u32 key = (u32)(hit >> 32);

    return key & 0x80000000u ? key ^ 0x80000000u : ~key;
}

#endif
