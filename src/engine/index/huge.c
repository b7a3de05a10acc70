/* Growing memory on huge pages. See huge.h. */
#include "engine/index/huge.h"

#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE VEX_HUGE_PIECE
#define LEAST     ((size_t)64 << 20) /* address space only */
#define GROWS     8                  /* reserved beyond what is wanted now */
#define STEP      ((size_t)64 << 10)
#define FILE_PAGE ((size_t)4096)

#ifndef MADV_COLLAPSE /* Linux 6.1; an older one refuses it */
#define MADV_COLLAPSE 25
#endif

static size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

/* A fresh range, aligned; what sticks out is given back. */
static char *reserve(size_t size)
{
    char *raw = mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *base;
    size_t before;

    if (raw == MAP_FAILED)
        return NULL;
    base = (char *)round_up((uintptr_t)raw, HUGE_PAGE);
    before = (size_t)(base - raw);
    if (before > 0)
        munmap(raw, before);
    if (before < HUGE_PAGE)
        munmap(base + size, HUGE_PAGE - before);
    return base;
}

/* Huge pages for what fills them, ordinary ones for the rest, which must not cost 2 MiB. All of it is a wish: without, it is only
 * slower. */
static void wish(char *base, size_t from, size_t to)
{
    size_t first = from / HUGE_PAGE * HUGE_PAGE, end = to / HUGE_PAGE * HUGE_PAGE;

    if (end <= first)
        return;
    (void)madvise(base + first, end - first, MADV_HUGEPAGE);
    if (from > first)
        (void)madvise(base + first, HUGE_PAGE, MADV_COLLAPSE); /* it has ordinary pages from before */
}

static bool open_up(char *base, size_t from, size_t to)
{
    if (mprotect(base + from, to - from, PROT_READ | PROT_WRITE) != 0)
        return false;
    wish(base, from, to);
    return true;
}

bool vex_huge_grow(struct vex_huge *huge, size_t size)
{
    struct vex_huge grown = {0};

    if (size <= huge->size)
        return true;
    if (size > SIZE_MAX / 2 / GROWS)
        return false;
    grown.size = round_up(size, STEP);
    if (grown.size <= huge->reserved) {
        if (!open_up(huge->base, huge->size, grown.size))
            return false;
        huge->size = grown.size;
        return true;
    }
    grown.reserved = round_up(grown.size * GROWS, HUGE_PAGE);
    if (grown.reserved < LEAST)
        grown.reserved = LEAST;
    grown.base = reserve(grown.reserved);
    if (grown.base == NULL)
        return false;
    if (!open_up(grown.base, 0, grown.size)) {
        munmap(grown.base, grown.reserved);
        return false;
    }
    if (huge->size > 0)
        memcpy(grown.base, huge->base, huge->size);
    vex_huge_free(huge);
    *huge = grown;
    return true;
}

bool vex_huge_map(struct vex_huge *huge, struct vex_io *io, struct vex_file *file, uint64_t offset,
                  size_t size)
{
    struct vex_huge fresh = {0};

    if (size == 0)
        return true;
    if (!vex_huge_grow(&fresh, size))
        return false;
    fresh.mapped = round_up(size, FILE_PAGE);
    if (io->ops->map(io, file, offset, fresh.mapped, fresh.base, false) != 0) {
        vex_huge_free(&fresh);
        return false;
    }
    *huge = fresh;
    return true;
}

/* A piece that was made ready elsewhere takes its place, which readers see at once. */
static bool put_piece(char *piece, size_t size, char *at)
{
    if (mremap(piece, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) {
        munmap(piece, HUGE_PAGE);
        return false;
    }
    if (size < HUGE_PAGE)
        munmap(piece + size, HUGE_PAGE - size);
    return true;
}

char *vex_huge_spare(void)
{
    char *page = reserve(HUGE_PAGE);

    if (page == NULL)
        return NULL;
    if (!open_up(page, 0, HUGE_PAGE)) {
        munmap(page, HUGE_PAGE);
        return NULL;
    }
    memset(page, 0, HUGE_PAGE); /* with ordinary pages all of them have to be there */
    return page;
}

void vex_huge_spare_free(char *spare)
{
    if (spare != NULL)
        munmap(spare, HUGE_PAGE);
}

bool vex_huge_settle(struct vex_huge *huge, char **spare)
{
    char *at = huge->base + huge->settled, *page = *spare;
    size_t size = huge->mapped - huge->settled < HUGE_PAGE ? huge->mapped - huge->settled : HUGE_PAGE;

    if (huge->settled >= huge->mapped)
        return false;
    *spare = NULL;
    page = page != NULL ? page : vex_huge_spare();
    if (page == NULL)
        return false;
    memcpy(page, at, size);
    if (!put_piece(page, size, at))
        return false;
    huge->settled += size;
    return true;
}

bool vex_huge_remap(struct vex_huge *huge, size_t at, const char *bytes, size_t size, struct vex_io *io,
                    struct vex_file *file, uint64_t offset)
{
    char *there = huge->base + at, *piece;

    if (at % HUGE_PAGE != 0 || size % FILE_PAGE != 0 || size > HUGE_PAGE || at > huge->size ||
        size > huge->size - at)
        return false;
    piece = reserve(HUGE_PAGE);
    if (piece == NULL)
        return false;
    if (io->ops->map(io, file, offset, size, piece, false) != 0) {
        munmap(piece, HUGE_PAGE);
        return false;
    }
    for (size_t page = 0; page < size; page += FILE_PAGE)
        if (memcmp(there + page, bytes + page, FILE_PAGE) != 0)
            memcpy(piece + page, there + page, FILE_PAGE);
    if (!put_piece(piece, size, there))
        return false;
    huge->settled = at < huge->settled ? at : huge->settled;
    huge->mapped = at + size > huge->mapped ? at + size : huge->mapped;
    return true;
}

void vex_huge_free(struct vex_huge *huge)
{
    if (huge->base != NULL)
        munmap(huge->base, huge->reserved);
    *huge = (struct vex_huge){0};
}
