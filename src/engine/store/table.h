/* Table: fixed-stride items in a file, mapped MAP_PRIVATE.
 *
 * Role      Changes stay in private memory and their pages are noted; the file on disk always is exactly
 *           the last checkpoint (checkpoint.h writes dirty pages back).
 * Owner     One collection. Lock: the collection's; vex_table_at under shared, touch and grow under
 *           exclusive.
 * Format    Pages of 4 KiB: 4032 bytes of items (4032 / stride of them, none straddles a page), then a
 *           64-byte trailer {u32 crc32c of the rest of the page, u32 kind, u64 page number, u64 sequence
 *           and u64 number of the checkpoint, zeros}. A page whose trailer or checksum is wrong is found at
 *           opening: VEX_ECORRUPT naming file and page.
 * Items beyond those ever written read as zeros. */
#ifndef VEX_ENGINE_STORE_TABLE_H
#define VEX_ENGINE_STORE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"

#define VEX_PAGE       4096u
#define VEX_PAGE_ITEMS 4032u

struct vex_table {
    char *base; /* address of page 0 */
    uint32_t stride;
    uint32_t per_page;
    uint64_t pages;   /* usable pages: file-backed ones, then anonymous ones */
    uint64_t on_disk; /* pages mapped from the file, which holds them as of the last checkpoint */
    uint64_t *dirty;  /* bit per page */
    uint64_t dirty_count;
    uint32_t kind;
    /* private to table.c */
    struct vex_io *io;
    struct vex_file *file; /* NULL until the first checkpoint created it */
    char *path;
    size_t reserved;  /* bytes of address space behind base */
    size_t ready;     /* of these, bytes that may be touched */
    size_t dirty_cap; /* words */
};

/* Opens the table as of its last checkpoint, `pages` long (from the manifest); the file may be longer
 * (garbage of a lost checkpoint) but not shorter. pages == 0: the file need not exist. Verifies every page's
 * checksum. After a failure the table is closed. */
int vex_table_open(struct vex_table *table, struct vex_io *io, const char *path, uint32_t kind,
                   uint32_t stride, uint64_t pages, struct vex_err *err);
/* The same without verifying: what it holds must not be relied on before vex_table_verify. */
int vex_table_map(struct vex_table *table, struct vex_io *io, const char *path, uint32_t kind,
                  uint32_t stride, uint64_t pages, struct vex_err *err);
/* Gets a sound page while it is warm, and may refuse it: negative VEX_E*, with *err. */
typedef int vex_table_see_fn(void *arg, const char *page, uint64_t index, struct vex_err *err);
/* Checks the pages of the file, before anything is changed; `see` (may be NULL) gets them in order. */
int vex_table_verify(const struct vex_table *table, vex_table_see_fn *see, void *arg, struct vex_err *err);
/* Those of [from, from + count) that are in the file. Several ranges may be checked at once. */
int vex_table_verify_range(const struct vex_table *table, uint64_t from, uint64_t count,
                           vex_table_see_fn *see, void *arg, struct vex_err *err);
void vex_table_close(struct vex_table *table); /* drops private changes */
/* Pages that are as in the file leave the process; who reads them again gets them from the page cache. Beside readers, with no
 * checkpoint under way. */
void vex_table_evict(struct vex_table *table);

/* Makes items [0, count) usable. Exclusive: base may move. VEX_ENO_MEMORY. */
int vex_table_grow(struct vex_table *table, uint64_t count);
/* Forgets all items and pages (they are zeros again); for rebuilding. */
void vex_table_clear(struct vex_table *table);

static inline uint64_t vex_table_capacity(const struct vex_table *table)
{
    return table->pages * table->per_page;
}

/* Item to read; index < capacity. */
static inline const void *vex_table_at(const struct vex_table *table, uint32_t index)
{
    uint32_t page = index / table->per_page;
    return table->base + (size_t)page * VEX_PAGE + (size_t)(index - page * table->per_page) * table->stride;
}

/* Item to write: notes its page as dirty. */
static inline void *vex_table_touch(struct vex_table *table, uint32_t index)
{
    uint32_t page = index / table->per_page;
    uint64_t bit = UINT64_C(1) << (page % 64);
    if ((table->dirty[page / 64] & bit) == 0) {
        table->dirty[page / 64] |= bit;
        table->dirty_count++;
    }
    return table->base + (size_t)page * VEX_PAGE + (size_t)(index - page * table->per_page) * table->stride;
}

#endif
