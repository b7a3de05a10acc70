/* Set of slots: a roaring bitmap, and what indexes need to do with plain bitmaps beside it. */
#ifndef VEX_ENGINE_INDEX_SLOTS_H
#define VEX_ENGINE_INDEX_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Bits of a word, eight ways at once (Warren, Hacker's Delight, 5-1): without asking for a machine that can count. */
static inline uint64_t vex_bits_in(uint64_t w)
{
    w -= w >> 1 & UINT64_C(0x5555555555555555);
    w = (w & UINT64_C(0x3333333333333333)) + (w >> 2 & UINT64_C(0x3333333333333333));
    w = (w + (w >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return w * UINT64_C(0x0101010101010101) >> 56;
}

uint64_t vex_bits_count(const uint64_t *words, size_t count); /* of many words, as fast as the machine can */

struct vex_slots; /* a roaring bitmap by another name */

struct vex_slots *vex_slots_new(void);
void vex_slots_free(struct vex_slots *set); /* NULL is fine */
void vex_slots_add(struct vex_slots *set, uint32_t slot);
void vex_slots_remove(struct vex_slots *set, uint32_t slot);
bool vex_slots_has(const struct vex_slots *set, uint32_t slot);
uint64_t vex_slots_count(const struct vex_slots *set);
uint64_t vex_slots_bytes(const struct vex_slots *set);
/* Against a plain bitmap of `slots` bits, whole words, bits beyond are zero. */
void vex_slots_or_into(const struct vex_slots *set, uint64_t *bits, uint32_t slots);
void vex_slots_andnot_from(const struct vex_slots *set, uint64_t *bits, uint32_t slots); /* bits &= ~set */
uint64_t vex_slots_count_in(const struct vex_slots *set, const uint64_t *bits, uint32_t slots);
void vex_slots_forget(struct vex_slots *set, const uint64_t *bits, uint32_t slots); /* set &= ~bits */
int vex_slots_each(const struct vex_slots *set, int (*fn)(void *arg, uint32_t slot), void *arg);
/* Portable roaring format, with its length before it. load: NULL when the bytes are none (or memory is out). */
void vex_slots_save(const struct vex_slots *set, struct vex_buf *out);
struct vex_slots *vex_slots_load(struct vex_cursor *c);

#endif
