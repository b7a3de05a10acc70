/* Tables: see table.h.
 *
 * Role      Address space, growth, dirty pages and page trailers. The file is only ever written by
 *           checkpoint.c.
 * Owner     One collection. Lock: the collection's, as in table.h.
 * Invariant Behind base lie on_disk pages mapped privately from the file, then anonymous pages that read as
 *           zeros, then address space without access. Nothing is reserved while the table is empty.
 * Format    table.h; docs/disk-format.md, "table page". */
#include "engine/store/table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "engine/store/table_private.h"

#define RESERVE_MIN  ((size_t)256 << 20)
#define READY_STEP   ((size_t)64 << 10)
#define VERIFY_PAGES 256u
/* Clean pages between dirty ones that are reverted along with them: cheaper than another system call. */
#define REVERT_GAP 16u
#ifndef MADV_POPULATE_READ /* Linux 5.14; an older one refuses it */
#define MADV_POPULATE_READ 22
#endif
/* Item numbers are u32, and the last of them means none. */
#define ITEMS_MAX ((uint64_t)UINT32_MAX)

static int fail(struct vex_err *err, int r, const char *what, const char *path)
{
    return vex_err_set(err, vex_err_errno(-r), "cannot %s %s: %s", what, path, strerror(-r));
}

uint32_t vex_page_seal(char *page, uint32_t kind, uint64_t index, uint64_t seq, uint64_t number)
{
    struct vex_page_trailer trailer = {.kind = kind, .page = index, .seq = seq, .number = number};

    memcpy(page + VEX_PAGE_ITEMS, &trailer, sizeof trailer);
    trailer.crc =
        vex_crc32c(vex_crc32c(0, page, VEX_PAGE_ITEMS), page + VEX_PAGE_ITEMS + 4, sizeof trailer - 4);
    memcpy(page + VEX_PAGE_ITEMS, &trailer.crc, sizeof trailer.crc);
    return trailer.crc;
}

bool vex_page_check(const char *page, uint32_t kind, uint64_t index, struct vex_page_trailer *ret)
{
    memcpy(ret, page + VEX_PAGE_ITEMS, sizeof *ret);
    return ret->kind == kind && ret->page == index &&
           ret->crc ==
               vex_crc32c(vex_crc32c(0, page, VEX_PAGE_ITEMS), page + VEX_PAGE_ITEMS + 4, sizeof *ret - 4);
}

static size_t bytes_of(uint64_t pages)
{
    return (size_t)pages * VEX_PAGE;
}

/* Address space for at least `bytes`, none of it accessible yet. */
static char *reserve(size_t bytes, size_t *ret_reserved)
{
    size_t want = bytes > SIZE_MAX / 8 ? bytes : bytes * 4;
    if (want < RESERVE_MIN)
        want = RESERVE_MIN;
    void *at = mmap(NULL, want, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *ret_reserved = want;
    return at == MAP_FAILED ? NULL : at;
}

static int make_ready(char *base, size_t reserved, size_t need, size_t *ready)
{
    if (need <= *ready)
        return 0;
    size_t step = *ready / 8 > READY_STEP ? *ready / 8 : READY_STEP;
    size_t want = need + step / VEX_PAGE * VEX_PAGE;
    if (want > reserved)
        want = reserved;
    if (mprotect(base + *ready, want - *ready, PROT_READ | PROT_WRITE) != 0)
        return VEX_ENO_MEMORY;
    *ready = want;
    return 0;
}

static int grow_dirty(struct vex_table *table, uint64_t pages)
{
    size_t need = (size_t)(pages + 63) / 64;
    if (need <= table->dirty_cap)
        return 0;
    size_t cap = table->dirty_cap * 2 > need ? table->dirty_cap * 2 : need;
    uint64_t *dirty = vex_mem_try(cap * sizeof *dirty);
    if (dirty == NULL)
        return VEX_ENO_MEMORY;
    memset(dirty, 0, cap * sizeof *dirty);
    if (table->dirty_cap > 0)
        memcpy(dirty, table->dirty, table->dirty_cap * sizeof *dirty);
    vex_mem_free(table->dirty);
    table->dirty = dirty;
    table->dirty_cap = cap;
    return 0;
}

static bool is_dirty(const struct vex_table *table, uint64_t page)
{
    return (table->dirty[page / 64] >> (page % 64) & 1) != 0;
}

bool vex_table_dirty_run(const struct vex_table *table, uint64_t *at, uint64_t *ret_first,
                         uint64_t *ret_count)
{
    uint64_t page = *at;

    while (page < table->pages && !is_dirty(table, page)) {
        uint64_t rest = table->dirty[page / 64] >> (page % 64);
        page = rest != 0 ? page + (uint64_t)__builtin_ctzll(rest) : (page / 64 + 1) * 64;
    }
    if (page >= table->pages)
        return false;
    *ret_first = page;
    while (page < table->pages && is_dirty(table, page))
        page++;
    *ret_count = page - *ret_first;
    *at = page;
    return true;
}

static int open_pages(struct vex_table *table, uint64_t pages, struct vex_err *err)
{
    if (pages > ITEMS_MAX / table->per_page + 1)
        return vex_err_set(err, VEX_ECORRUPT, "%s: %llu pages are too many", table->path,
                           (unsigned long long)pages);
    int r = vex_io_open(table->io, table->path, VEX_IO_WRITE, &table->file);
    if (r == -ENOENT)
        return vex_err_set(err, VEX_ECORRUPT, "%s is missing", table->path);
    if (r != 0)
        return fail(err, r, "open", table->path);
    int64_t size = vex_io_size(table->io, table->file);
    if (size < 0)
        return fail(err, (int)size, "size", table->path);
    if ((uint64_t)size < pages * VEX_PAGE)
        return vex_err_set(err, VEX_ECORRUPT, "%s is cut short: %lld bytes for %llu pages", table->path,
                           (long long)size, (unsigned long long)pages);
    if (grow_dirty(table, pages) != 0 || (table->base = reserve(bytes_of(pages), &table->reserved)) == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "no memory for %s", table->path);
    r = table->io->ops->map(table->io, table->file, 0, bytes_of(pages), table->base, false);
    if (r != 0)
        return fail(err, r, "map", table->path);
    table->ready = bytes_of(pages);
    table->pages = table->on_disk = pages;
    return 0;
}

/* The pages come into the map. A sector that can't be read is an error here; at the first touch it would be a signal. False: they have
 * to be read. */
static bool bring(const struct vex_table *table, uint64_t from, uint64_t count)
{
    char *at = table->base + bytes_of(from);

    if (table->io->ops->fd(table->io, table->file) < 0)
        return false;
    (void)madvise(at, bytes_of(count), MADV_WILLNEED);
    return madvise(at, bytes_of(count), MADV_POPULATE_READ) == 0;
}

static int check_pages(const struct vex_table *table, const char *at, uint64_t from, uint64_t count,
                       vex_table_see_fn *see, void *arg, struct vex_err *err)
{
    struct vex_page_trailer trailer;
    int r = 0;

    for (uint64_t i = 0; i < count && r == 0; i++) {
        const char *page = at + bytes_of(i);
        if (!vex_page_check(page, table->kind, from + i, &trailer))
            r = vex_err_set(err, VEX_ECORRUPT, "%s: page %llu is damaged", table->path,
                            (unsigned long long)(from + i));
        else if (see != NULL)
            r = see(arg, page, from + i, err);
    }
    return r;
}

static int check_by_reading(const struct vex_table *table, char *chunk, uint64_t from, uint64_t count,
                            vex_table_see_fn *see, void *arg, struct vex_err *err)
{
    int64_t got = vex_io_pread(table->io, table->file, chunk, bytes_of(count), from * VEX_PAGE);

    if (got < 0)
        return fail(err, (int)got, "read", table->path);
    memset(chunk + got, 0, bytes_of(count) - (size_t)got);
    return check_pages(table, chunk, from, count, see, arg, err);
}

int vex_table_verify_range(const struct vex_table *table, uint64_t from, uint64_t count,
                           vex_table_see_fn *see, void *arg, struct vex_err *err)
{
    uint64_t end = count < table->on_disk - from ? from + count : table->on_disk;
    char *chunk = NULL;
    int r = 0;

    for (uint64_t page = from; page < end && r == 0; page += VERIFY_PAGES) {
        uint64_t some = end - page < VERIFY_PAGES ? end - page : VERIFY_PAGES;

        if (chunk == NULL && bring(table, page, some)) {
            r = check_pages(table, table->base + bytes_of(page), page, some, see, arg, err);
            continue;
        }
        if (chunk == NULL)
            chunk = vex_mem_alloc(bytes_of(VERIFY_PAGES));
        r = check_by_reading(table, chunk, page, some, see, arg, err);
    }
    vex_mem_free(chunk);
    return r;
}

int vex_table_verify(const struct vex_table *table, vex_table_see_fn *see, void *arg, struct vex_err *err)
{
    return vex_table_verify_range(table, 0, table->on_disk, see, arg, err);
}

int vex_table_map(struct vex_table *table, struct vex_io *io, const char *path, uint32_t kind,
                  uint32_t stride, uint64_t pages, struct vex_err *err)
{
    *table = (struct vex_table){.io = io, .kind = kind, .stride = stride};
    if (stride == 0 || stride > VEX_PAGE_ITEMS)
        return vex_err_set(err, VEX_EINTERNAL, "%s: no table has items of %u bytes", path, stride);
    table->per_page = VEX_PAGE_ITEMS / stride;
    table->path = vex_mem_strndup(path, strlen(path));
    if (pages == 0)
        return 0;
    int r = open_pages(table, pages, err);
    if (r != 0)
        vex_table_close(table);
    return r;
}

int vex_table_open(struct vex_table *table, struct vex_io *io, const char *path, uint32_t kind,
                   uint32_t stride, uint64_t pages, struct vex_err *err)
{
    int r = vex_table_map(table, io, path, kind, stride, pages, err);
    if (r != 0)
        return r;
    r = vex_table_verify(table, NULL, NULL, err);
    if (r != 0)
        vex_table_close(table);
    return r;
}

void vex_table_close(struct vex_table *table)
{
    if (table->base != NULL)
        munmap(table->base, table->reserved);
    vex_io_close(table->io, table->file);
    vex_mem_free(table->dirty);
    vex_mem_free(table->path);
    *table = (struct vex_table){0};
}

/* Moves to a larger range. Pages that are as in the file are mapped anew, the others are copied. */
static int move(struct vex_table *table, size_t need)
{
    size_t reserved, ready = bytes_of(table->on_disk);
    char *base = reserve(need, &reserved);
    if (base == NULL)
        return VEX_ENO_MEMORY;
    if ((ready > 0 && table->io->ops->map(table->io, table->file, 0, ready, base, false) != 0) ||
        make_ready(base, reserved, need, &ready) != 0) {
        munmap(base, reserved);
        return VEX_ENO_MEMORY;
    }
    uint64_t at = 0, first, count;
    while (vex_table_dirty_run(table, &at, &first, &count) && first < table->on_disk)
        memcpy(base + bytes_of(first), table->base + bytes_of(first), bytes_of(count));
    if (table->pages > table->on_disk)
        memcpy(base + bytes_of(table->on_disk), table->base + bytes_of(table->on_disk),
               bytes_of(table->pages - table->on_disk));
    if (table->base != NULL)
        munmap(table->base, table->reserved);
    table->base = base;
    table->reserved = reserved;
    table->ready = ready;
    return 0;
}

int vex_table_grow(struct vex_table *table, uint64_t count)
{
    uint64_t pages = count / table->per_page + (count % table->per_page != 0);
    if (pages <= table->pages)
        return 0;
    if (count > ITEMS_MAX)
        return VEX_ENO_MEMORY;
    int r = grow_dirty(table, pages);
    if (r == 0 && bytes_of(pages) > table->reserved)
        r = move(table, bytes_of(pages));
    if (r == 0)
        r = make_ready(table->base, table->reserved, bytes_of(pages), &table->ready);
    if (r != 0)
        return r;
    for (uint64_t page = table->pages; page < pages; page++)
        table->dirty[page / 64] |= UINT64_C(1) << (page % 64);
    table->dirty_count += pages - table->pages;
    table->pages = pages;
    return 0;
}

void vex_table_clear(struct vex_table *table)
{
    if (table->base != NULL) {
        void *at = mmap(table->base, table->ready, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        if (at == MAP_FAILED) /* as good, only slower and not smaller */
            memset(table->base, 0, bytes_of(table->pages));
        memset(table->dirty, 0, table->dirty_cap * sizeof *table->dirty);
    }
    table->pages = table->on_disk = table->dirty_count = 0;
}

int vex_table_prepare(struct vex_table *table, struct vex_err *err)
{
    if (table->file == NULL) {
        int r = vex_io_open(table->io, table->path, VEX_IO_WRITE | VEX_IO_CREATE, &table->file);
        if (r != 0) {
            table->file = NULL;
            return fail(err, r, "create", table->path);
        }
    }
    int64_t size = vex_io_size(table->io, table->file);
    if (size < 0)
        return fail(err, (int)size, "size", table->path);
    uint64_t need = table->pages * VEX_PAGE;
    if ((uint64_t)size >= need)
        return 0;
    int r = vex_io_allocate(table->io, table->file, (uint64_t)size, need - (uint64_t)size);
    return r != 0 ? fail(err, r, "extend", table->path) : 0;
}

/* A page that can't be given back (no memory for the kernel's own structures) stays private and holds the
 * same bytes. */
void vex_table_release(struct vex_table *table)
{
    uint64_t at = 0, first, count, next, more;

    if (table->pages > table->on_disk) {
        if (table->io->ops->map(table->io, table->file, 0, bytes_of(table->pages), table->base, false) == 0)
            table->on_disk = table->pages;
    } else if (vex_table_dirty_run(table, &at, &first, &count)) {
        bool again;
        do {
            again = vex_table_dirty_run(table, &at, &next, &more);
            if (again && next - (first + count) <= REVERT_GAP) {
                count = next + more - first;
                continue;
            }
            (void)table->io->ops->map_revert(table->io, table->file, first * VEX_PAGE, bytes_of(count),
                                             table->base + bytes_of(first));
            first = next;
            count = more;
        } while (again);
    }
    if (table->dirty_cap > 0)
        memset(table->dirty, 0, table->dirty_cap * sizeof *table->dirty);
    table->dirty_count = 0;
}

void vex_table_evict(struct vex_table *table)
{
    uint64_t clean = 0, at = 0, first, count;

    while (clean < table->on_disk) {
        bool more = vex_table_dirty_run(table, &at, &first, &count);
        uint64_t end = more && first < table->on_disk ? first : table->on_disk;

        if (end > clean)
            (void)table->io->ops->map_revert(table->io, table->file, clean * VEX_PAGE, bytes_of(end - clean),
                                             table->base + bytes_of(clean));
        clean = more ? first + count : end;
    }
}
