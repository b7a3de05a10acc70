/* SPDX-License-Identifier: GPL-2.0-only */
/* Slots of a vector file where they lie in the page cache, a block at a time.
 *
 * Role      Gives the address of each slot of a block: in the page cache itself where a slot lies inside one folio, else
 *           (it straddles two, or is not in memory) in a buffer filled through the file system, which reads ahead.
 * Owner     A request; nothing is shared. A block holds references to its folios, no locks: a file cut short meanwhile
 *           leaves them in memory until the block is released, so what is read is what the file held a moment ago.
 * Memory    The struct and one buffer of VEX_BLOCK_BYTES or one slot, whichever is greater, made at first need. */
#ifndef VEX_KMOD_READER_H
#define VEX_KMOD_READER_H

#include "uapi/kmod/store.h"

#define VEX_BLOCK_SLOTS 256u
#define VEX_BLOCK_BYTES (32u << 10)
#define VEX_HELD_MAX    560u

struct vex_reader {
    const struct vex_store *store;
    u32 count; /* in: slots wanted, ascending; out: slots had */
    u32 slot[VEX_BLOCK_SLOTS];
    const void *at[VEX_BLOCK_SLOTS];
    u8 *bounce;
    u32 held_count, held_at;
    struct folio *held[VEX_HELD_MAX];
};

int vex_reader_init(void); /* once, before the device exists */
void vex_reader_exit(void);

struct vex_reader *vex_reader_new(const struct vex_store *store);
void vex_reader_free(struct vex_reader *reader); /* releases; NULL is fine */
/* Slots a block may have. */
u32 vex_reader_most(const struct vex_store *store);
/* Finds the wanted slots. Where the file ends earlier by now, count shrinks. */
int vex_reader_fill(struct vex_reader *reader);
void vex_reader_release(struct vex_reader *reader);
/* Copies the wanted slots to user space, one behind the other. count may shrink as above; what was copied behind it is
 * then bytes of the file all the same. */
int vex_reader_copy(struct vex_reader *reader, void __user *to);

/* ---- The slots of a range that a user's bitmap allows ---- */

#define VEX_WALK_WORDS 512u

struct vex_walk {
    u64 allow; /* address of the bitmap; 0: all */
    u64 at, end;
    u64 first_word; /* of those in words[] */
    u32 count;
    u64 *words; /* VEX_WALK_WORDS, made at first need */
};

void vex_walk_init(struct vex_walk *walk, u64 allow, u64 at, u64 end);
void vex_walk_done_with(struct vex_walk *walk);
/* The next at most `max` slots into `slots`, *ret of them; 0: done, or nothing in one piece of the bitmap, see
 * vex_walk_done. */
int vex_walk_next(struct vex_walk *walk, u32 max, u32 *slots, u32 *ret);
static inline bool vex_walk_done(const struct vex_walk *walk)
{
    return walk->at >= walk->end;
}

#endif
