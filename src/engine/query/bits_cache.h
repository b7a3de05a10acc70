/* Bitmaps of slots that filters and their conditions match, kept for the next read that asks the same. Private to the query folder.
 *
 * Key       What the bits were made of: a stamp that no other state of it has (vex_index_stamp, vex_rows_stamp), the number of slots, and
 *           bytes that say what was asked. Nothing needs to be taken out when something changes: the old entries are not asked for any
 *           more and fall out as the oldest.
 * Owner     The cache and every reader: vex_kept_bits_drop.
 * Threads   Any. */
#ifndef VEX_ENGINE_QUERY_BITS_CACHE_H
#define VEX_ENGINE_QUERY_BITS_CACHE_H

#include "base/str.h"

struct vex_bits_key {
    uint64_t stamp;
    uint32_t slots;
    struct vex_str what; /* begins with one of these: */
};
enum { VEX_BITS_OF_CONDITION, VEX_BITS_OF_FILTER, VEX_BITS_OF_LISTS };

/* Whole words of `slots` bits; what is beyond them is 0. */
struct vex_kept_bits {
    const uint64_t *sure;
    const uint64_t *maybe; /* NULL: none but those that are sure */
    uint64_t count;        /* whatever who put it in has counted */
    uint64_t id;           /* the cache's: no other has had it */
};

/* So many slots may be kept at all. */
bool vex_bits_cache_takes(uint32_t slots);
/* NULL: not there. *ret_again: somebody has asked for the same lately, so that it is worth keeping. */
const struct vex_kept_bits *vex_bits_cache_find(const struct vex_bits_key *key, bool *ret_again);
/* Takes the bitmaps over (of vex_mem), also when it can't keep them: then they are the answer's alone. NULL: no memory, the bitmaps are
 * the caller's still. */
const struct vex_kept_bits *vex_bits_cache_put(const struct vex_bits_key *key, struct vex_kept_bits bits);
void vex_kept_bits_drop(const struct vex_kept_bits *kept); /* NULL is fine */

#endif
