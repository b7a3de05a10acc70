/* Arena: blocks from the heap in one list, bump allocation in the newest ordinary one.
 *
 * Owner: one call. Lock: none. Invariant: [at, end) lies in one block of the list, or both are NULL; `held`
 * is the sum of the blocks' sizes, heads included. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN  4096
#define BLOCK_MAX  ((size_t)1 << 20)
#define BLOCK_KEEP ((size_t)64 << 10)

struct vex_arena_block {
    struct vex_arena_block *next;
    size_t size; /* with this head */
};

_Static_assert(sizeof(struct vex_arena_block) % 16 == 0, "the first byte of a block is aligned");

void vex_arena_init(struct vex_arena *arena, size_t limit)
{
    *arena = (struct vex_arena){.limit = limit};
}

static void free_blocks(struct vex_arena_block *block)
{
    while (block != NULL) {
        struct vex_arena_block *next = block->next;

        free(block);
        block = next;
    }
}

void vex_arena_done(struct vex_arena *arena)
{
    free_blocks(arena->blocks);
    vex_arena_init(arena, arena->limit);
}

/* New block of `size` bytes with its head; NULL when the heap is out of memory. */
static struct vex_arena_block *add_block(struct vex_arena *arena, size_t size)
{
    struct vex_arena_block *block = malloc(size);

    if (block == NULL)
        return NULL;
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->held += size;
    return block;
}

static void use_block(struct vex_arena *arena, struct vex_arena_block *block)
{
    arena->at = (char *)(block + 1);
    arena->end = (char *)block + block->size;
}

/* Several blocks become one, so that a use as large as the last gets along without the heap. */
void vex_arena_reset(struct vex_arena *arena)
{
    size_t held = arena->held;
    struct vex_arena_block *block = arena->blocks;

    if (block == NULL)
        return;
    if (block->next != NULL || held > BLOCK_KEEP) {
        vex_arena_done(arena);
        block = add_block(arena, held < BLOCK_KEEP ? held : BLOCK_KEEP);
    }
    if (block != NULL)
        use_block(arena, block);
}

/* As much again as is held, so that blocks double. */
static size_t next_block_size(const struct vex_arena *arena)
{
    size_t size = BLOCK_MIN;

    while (size < BLOCK_MAX && size < arena->held)
        size *= 2;
    return size;
}

static void *alloc_slow(struct vex_arena *arena, size_t size, size_t align, size_t limit)
{
    struct vex_arena_block *block;
    size_t need, ordinary = next_block_size(arena);

    if (size > PTRDIFF_MAX / 2 || align > BLOCK_MAX)
        return NULL;
    need = sizeof *block + size + align;
    if (limit != 0 && (arena->held > limit || need > limit - arena->held))
        return NULL;
    if (limit != 0 && ordinary > limit - arena->held)
        ordinary = limit - arena->held;

    /* A big wish gets a block to itself, and what is left of the current one stays in use. */
    if (need > ordinary / 2) {
        block = add_block(arena, need);
        if (block == NULL)
            return NULL;
        return (void *)(((uintptr_t)(block + 1) + (align - 1)) & ~(uintptr_t)(align - 1));
    }
    block = add_block(arena, ordinary);
    if (block == NULL)
        return NULL;
    use_block(arena, block);
    return vex_arena_alloc_aligned(arena, size, align);
}

void *vex_arena_alloc_slow(struct vex_arena *arena, size_t size, size_t align)
{
    void *ptr = alloc_slow(arena, size, align, 0);

    if (ptr == NULL)
        abort();
    return ptr;
}

void *vex_arena_try(struct vex_arena *arena, size_t size)
{
    uintptr_t at = ((uintptr_t)arena->at + 15) & ~(uintptr_t)15;

    if (arena->at != NULL && at <= (uintptr_t)arena->end && size <= (uintptr_t)arena->end - at) {
        arena->at = (char *)at + size;
        return (void *)at;
    }
    return alloc_slow(arena, size, 16, arena->limit);
}

void *vex_arena_zalloc(struct vex_arena *arena, size_t size)
{
    return memset(vex_arena_alloc(arena, size), 0, size);
}

void *vex_arena_zarray(struct vex_arena *arena, size_t size, size_t n)
{
    size_t total;

    if (__builtin_mul_overflow(size, n, &total))
        abort();
    return vex_arena_zalloc(arena, total);
}

void *vex_arena_dup(struct vex_arena *arena, const void *data, size_t size)
{
    void *copy = vex_arena_alloc(arena, size);

    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

char *vex_arena_strndup(struct vex_arena *arena, const char *data, size_t size)
{
    char *copy;

    if (size == SIZE_MAX)
        abort();
    copy = vex_arena_alloc_aligned(arena, size + 1, 1);
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

char *vex_arena_printf(struct vex_arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    char *text;
    int len;

    va_start(ap, fmt);
    va_copy(again, ap);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        abort();
    text = vex_arena_alloc_aligned(arena, (size_t)len + 1, 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}
