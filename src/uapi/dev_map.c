/* Read-only map of a vector file: reserves addresses, maps the file over them. See dev_map.h. */
#include "uapi/dev_map.h"

#include <sys/mman.h>

#include "base/err.h"
#include "base/mem.h"

#define GRAIN ((uint64_t)2 << 20)   /* ranges are multiples of it */
#define EVICT ((uint64_t)256 << 20) /* bytes at once: who changes the address space waits meanwhile */

struct vex_dev_map_range {
    struct vex_dev_map_range *older;
    char *at;
    uint64_t size;
};

void vex_dev_map_init(struct vex_dev_map *map, struct vex_io *io, struct vex_file *file)
{
    *map = (struct vex_dev_map){.io = io, .file = file};
}

static void drop(struct vex_dev_map_range *range)
{
    while (range != NULL) {
        struct vex_dev_map_range *older = range->older;
        munmap(range->at, range->size);
        vex_mem_free(range);
        range = older;
    }
}

void vex_dev_map_done(struct vex_dev_map *map)
{
    drop(map->ranges);
    map->ranges = NULL;
    atomic_store(&map->base, NULL);
}

void vex_dev_map_trim(struct vex_dev_map *map)
{
    if (map->ranges != NULL) {
        drop(map->ranges->older);
        map->ranges->older = NULL;
    }
}

/* Reserves the wanted size, or where addresses are short (a limit on the process) just what is needed. */
static char *reserve(uint64_t wanted, uint64_t needed, uint64_t *ret_size)
{
    const uint64_t sizes[2] = {wanted, needed};
    for (int i = 0; i < 2; i++) {
        void *at = mmap(NULL, sizes[i], PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at != MAP_FAILED) {
            *ret_size = sizes[i];
            return at;
        }
    }
    return NULL;
}

int vex_dev_map_ensure(struct vex_dev_map *map, uint64_t size)
{
    if (map->ranges != NULL && size <= map->ranges->size)
        return 0;
    if (size > UINT64_MAX / 4)
        return VEX_ENO_MEMORY;
    uint64_t wanted = 2 * size < VEX_DEV_MAP_LEAST ? VEX_DEV_MAP_LEAST : 2 * size;
    uint64_t range_size;
    char *at = reserve((wanted + GRAIN - 1) / GRAIN * GRAIN, (size + GRAIN - 1) / GRAIN * GRAIN, &range_size);
    if (at == NULL)
        return VEX_ENO_MEMORY;
    int rc = map->io->ops->map(map->io, map->file, 0, range_size, at, true);
    if (rc < 0) {
        munmap(at, range_size);
        return vex_err_errno(-rc);
    }
    struct vex_dev_map_range *range = VEX_NEW(struct vex_dev_map_range);
    *range = (struct vex_dev_map_range){map->ranges, at, range_size};
    map->ranges = range;
    atomic_store_explicit(&map->base, at, memory_order_release);
    return 0;
}

void vex_dev_map_evict(struct vex_dev_map *map, uint64_t size)
{
    char *base = atomic_load_explicit(&map->base, memory_order_acquire);

    for (uint64_t at = 0; base != NULL && at < size; at += EVICT) {
        uint64_t len = size - at < EVICT ? size - at : EVICT;
        (void)map->io->ops->map_revert(map->io, map->file, at, len, base + at);
    }
}
