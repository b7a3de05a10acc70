/* Read-only map of a vector file in a reserved range of addresses: the file grows under its readers.
 *
 * Owner     A back end's open file. Any thread reads the base; ensure() has one caller at a time; trim() and
 *           done() need that nobody reads.
 * Invariant The whole range is mapped on the file from its first byte, at first far beyond its end: what lies
 *           past the end must not be touched, and appears as the file grows. A range that is outgrown stays
 *           mapped until trim(), so addresses given out stay good. */
#ifndef VEX_UAPI_DEV_MAP_H
#define VEX_UAPI_DEV_MAP_H

#include <stdatomic.h>

#include "base/io.h"

#define VEX_DEV_MAP_LEAST ((uint64_t)1 << 30) /* bytes of a range, at least */

struct vex_dev_map_range;

struct vex_dev_map {
    struct vex_io *io;
    struct vex_file *file;
    struct vex_dev_map_range *ranges; /* newest first; only the newest is given out */
    _Atomic(char *) base;             /* the file's first byte; NULL before the first ensure */
};

void vex_dev_map_init(struct vex_dev_map *map, struct vex_io *io, struct vex_file *file);
void vex_dev_map_done(struct vex_dev_map *map);
/* Makes the map cover `size` bytes of the file. VEX_ENO_MEMORY, VEX_EIO. */
int vex_dev_map_ensure(struct vex_dev_map *map, uint64_t size);
void vex_dev_map_trim(struct vex_dev_map *map); /* unmaps outgrown ranges */
/* The first `size` bytes, which the map covers, leave the process: beside readers and ensure(). */
void vex_dev_map_evict(struct vex_dev_map *map, uint64_t size);

static inline const char *vex_dev_map_base(struct vex_dev_map *map)
{
    return atomic_load_explicit(&map->base, memory_order_acquire);
}

#endif
