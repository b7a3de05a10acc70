/* Arena: bump allocation that dies as a whole. One per call; request and result structs have no free of their
 * own.
 *
 * Not thread-safe; an arena belongs to one call at a time. Memory is 16-byte aligned unless asked otherwise.
 * Blocks double up to 1 MB; larger wishes get a block of their own. Small allocations abort when memory is
 * out; sizes chosen by a user go through vex_arena_try(). A total limit (0 = none) bounds what one call may
 * hold. */
#ifndef VEX_BASE_ARENA_H
#define VEX_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct vex_arena_block;

struct vex_arena {
    char *at;                       /* next free byte of the current block */
    char *end;                      /* end of the current block */
    struct vex_arena_block *blocks; /* newest first */
    size_t held;                    /* bytes held in all blocks */
    size_t limit;                   /* most bytes vex_arena_try may bring `held` to; 0: no limit */
};

void vex_arena_init(struct vex_arena *arena, size_t limit);
void vex_arena_done(struct vex_arena *arena);  /* frees all */
void vex_arena_reset(struct vex_arena *arena); /* keeps one block of at most 64 KB for reuse */

void *vex_arena_alloc_slow(struct vex_arena *arena, size_t size, size_t align); /* aborts on out of memory */
void *vex_arena_try(struct vex_arena *arena, size_t size); /* NULL beyond the limit or out of memory */

static inline void *vex_arena_alloc_aligned(struct vex_arena *arena, size_t size, size_t align)
{
    uintptr_t at = ((uintptr_t)arena->at + (align - 1)) & ~(uintptr_t)(align - 1);
    if (arena->at != NULL && at <= (uintptr_t)arena->end && size <= (uintptr_t)arena->end - at) {
        arena->at = (char *)at + size;
        return (void *)at;
    }
    return vex_arena_alloc_slow(arena, size, align);
}

static inline void *vex_arena_alloc(struct vex_arena *arena, size_t size)
{
    return vex_arena_alloc_aligned(arena, size, 16);
}

void *vex_arena_zalloc(struct vex_arena *arena, size_t size);
void *vex_arena_zarray(struct vex_arena *arena, size_t size, size_t n); /* aborts when size * n overflows */
void *vex_arena_dup(struct vex_arena *arena, const void *data, size_t size);
/* NUL-terminated copy of `size` bytes. */
char *vex_arena_strndup(struct vex_arena *arena, const char *data, size_t size);
char *vex_arena_printf(struct vex_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define VEX_ARENA_NEW(arena, type)      ((type *)vex_arena_zalloc((arena), sizeof(type)))
#define VEX_ARENA_ARRAY(arena, type, n) ((type *)vex_arena_zarray((arena), sizeof(type), (size_t)(n)))

#endif
