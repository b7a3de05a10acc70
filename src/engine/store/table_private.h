/* What checkpoint.c needs of tables beyond table.h: page trailers, runs of dirty pages, the file. */
#ifndef VEX_ENGINE_STORE_TABLE_PRIVATE_H
#define VEX_ENGINE_STORE_TABLE_PRIVATE_H

#include "engine/store/table.h"

struct vex_page_trailer {
    uint32_t crc; /* crc32c of the page without this field */
    uint32_t kind;
    uint64_t page;
    uint64_t seq;
    uint64_t number;
    uint64_t zeros[4];
};
_Static_assert(sizeof(struct vex_page_trailer) == VEX_PAGE - VEX_PAGE_ITEMS, "a trailer fills the page");

/* Writes the trailer of a page whose items are final; returns its checksum. */
uint32_t vex_page_seal(char *page, uint32_t kind, uint64_t index, uint64_t seq, uint64_t number);
/* True when the page is sound and is page `index` of a table of this kind; its trailer goes to *ret. */
bool vex_page_check(const char *page, uint32_t kind, uint64_t index, struct vex_page_trailer *ret);

/* The next run of dirty pages at or after *at; false at the end. *at moves behind the run. */
bool vex_table_dirty_run(const struct vex_table *table, uint64_t *at, uint64_t *ret_first,
                         uint64_t *ret_count);
/* Creates the file when there is none and takes disk space for all pages, so that writing them can't run out
 * of it. */
int vex_table_prepare(struct vex_table *table, struct vex_err *err);
/* The file holds all pages, sealed as in memory: private copies are dropped and nothing is dirty any more. */
void vex_table_release(struct vex_table *table);

#endif
