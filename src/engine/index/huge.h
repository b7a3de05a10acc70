/* Growing memory on huge pages: one range of addresses that is reserved generously, so that growing seldom moves it.
 *
 * Reason    Random reads of 4 KiB pages cost about twice those of 2 MiB pages (page walks): what graph walks touch lies here.
 * Bytes     New ones are zero. A range may begin as a private map of a file: its pages are read when they are first touched,
 *           and come to huge pages piece by piece (vex_huge_settle); or they go over to a file that holds the same
 *           (vex_huge_remap), where the system may take their memory and read them anew.
 * Threads   Growing and freeing are exclusive. Settling and remapping go on beside readers, not beside writers. */
#ifndef VEX_ENGINE_INDEX_HUGE_H
#define VEX_ENGINE_INDEX_HUGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/io.h"

#define VEX_HUGE_PIECE ((size_t)2 << 20)

struct vex_huge {
    char *base; /* 2 MiB aligned; NULL while empty */
    size_t size, reserved;
    size_t settled, mapped; /* [settled, mapped) may be pages of a file */
};

/* Makes at least `size` bytes usable; false when memory is out (nothing has changed). May move. */
bool vex_huge_grow(struct vex_huge *huge, size_t size);
/* An empty range becomes a private map of `size` bytes of a file from a page border on; the file holds the whole last page.
 * False: nothing has changed. */
bool vex_huge_map(struct vex_huge *huge, struct vex_io *io, struct vex_file *file, uint64_t offset,
                  size_t size);
/* Takes the next 2 MiB off the file; false: there is nothing left to do. */
bool vex_huge_settle(struct vex_huge *huge, char **spare);
/* Memory for one piece of that, its page in place, which takes the system milliseconds: not to be done under a lock. *spare is used by
 * vex_huge_settle, or given back; NULL is fine. */
char *vex_huge_spare(void);
void vex_huge_spare_free(char *spare);
/* The piece at `at`, a multiple of VEX_HUGE_PIECE: whole pages, as many as a piece at most. Those that are as `bytes` says become pages of
 * the file, which holds these bytes from `offset` on; the others stay as they are. False: nothing has changed. */
bool vex_huge_remap(struct vex_huge *huge, size_t at, const char *bytes, size_t size, struct vex_io *io,
                    struct vex_file *file, uint64_t offset);
void vex_huge_free(struct vex_huge *huge);

#endif
