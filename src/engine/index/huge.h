/* Growing memory on huge pages: one range of addresses that is reserved generously, so that growing seldom moves it.
 *
 * Reason    Random reads of 4 KiB pages cost about twice those of 2 MiB pages (page walks): what graph walks touch lies here.
 * Bytes     New ones are zero. A range may begin as a private map of a file: its pages are read when they are first touched,
 *           and come to huge pages piece by piece (vex_huge_settle).
 * Threads   Growing and freeing are exclusive. Settling goes on beside readers, not beside writers. */
#ifndef VEX_ENGINE_INDEX_HUGE_H
#define VEX_ENGINE_INDEX_HUGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/io.h"

struct vex_huge {
    char *base; /* 2 MiB aligned; NULL while empty */
    size_t size, reserved;
    size_t settled, mapped; /* [settled, mapped) are pages of a file still */
};

/* Makes at least `size` bytes usable; false when memory is out (nothing has changed). May move. */
bool vex_huge_grow(struct vex_huge *huge, size_t size);
/* An empty range becomes a private map of `size` bytes of a file from a page border on; the file holds the whole last page.
 * False: nothing has changed. */
bool vex_huge_map(struct vex_huge *huge, struct vex_io *io, struct vex_file *file, uint64_t offset,
                  size_t size);
/* Takes the next 2 MiB off the file; false: there is nothing left to do. */
bool vex_huge_settle(struct vex_huge *huge);
void vex_huge_free(struct vex_huge *huge);

#endif
