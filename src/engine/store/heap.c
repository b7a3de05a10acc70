/* Heap: see heap.h.
 *
 * Role      The file, its map, the write buffer. Free space is kept by heap_extents.c.
 * Lock      As in heap.h. The buffer has a mutex of its own, because a reader of a reused place can't know
 *           whether the writer has something in store for it; `low` keeps readers of other places away from
 *           the mutex.
 * Invariant Bytes below `allocated` have disk space, so writing them and reading them through the map can't
 *           fail for want of it. Pieces of the buffer ascend and do not overlap.
 * Format    docs/disk-format.md, "heap": a 64-byte head, then blobs. */
#include "engine/store/heap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/store/heap_extents.h"

#define HEAD_BYTES 64u
#define BLOB_HEAD  8u
#define GRAIN      16u
#define PAGE       4096u

#define ALLOCATE_MIN ((uint64_t)64 << 10)
#define ALLOCATE_MAX ((uint64_t)64 << 20)
#define RESERVE_MIN  ((uint64_t)256 << 20)
#define BUFFER_FLUSH ((size_t)1 << 20)  /* a fuller buffer is written out by put */
#define BUFFER_KEEP  ((size_t)64 << 10) /* a larger one is given back after a flush */
#define PIECES_MAX   1024u
#define CACHE_LINE   64u
#define PREFETCH_MAX 512u /* bytes of a blob: the processor follows by itself */
#define STATE_FORMAT 1u
#define FILE_FORMAT  1u

static const char magic[8] = {'V', 'E', 'X', 'H', 'E', 'A', 'P', '\0'};

/* Buffered bytes for one contiguous place in the file. */
struct piece {
    uint64_t offset;
    size_t at, len; /* in the buffer */
};

struct vex_heap {
    struct vex_io *io;
    char *path;
    struct vex_file *file;
    uint64_t length;    /* end of the last blob */
    uint64_t allocated; /* size of the file */
    struct vex_extents extents;

    char *base; /* read-only map of [0, mapped) */
    uint64_t mapped;
    uint64_t reserved;

    pthread_mutex_t lock; /* buffer and pieces */
    char *buffer;
    size_t buffered, buffer_cap;
    struct piece *pieces;
    uint32_t piece_count, piece_cap;
    _Atomic uint64_t low; /* offset of the first piece; UINT64_MAX: none */

    char *scratch; /* the writer's copy of a blob that is written and not yet mapped */

    bool unsynced, unsynced_entry, failed;
};

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static uint64_t blob_size(uint64_t len)
{
    return round_up(BLOB_HEAD + len, GRAIN);
}

/* Seeded with the place, so that a blob written elsewhere or read from elsewhere is found out. */
static uint32_t blob_crc(uint64_t offset, const void *bytes, size_t len)
{
    return vex_crc32c(vex_crc32c(0, &offset, sizeof offset), bytes, len);
}

static int fail(struct vex_err *err, int r, const char *what, const char *path)
{
    return vex_err_set(err, vex_err_errno(-r), "cannot %s %s: %s", what, path, strerror(-r));
}

static bool read_state(struct vex_heap *heap, struct vex_str state)
{
    struct vex_cursor c = vex_cursor(state.ptr, state.len);
    uint32_t format = vex_cursor_u32(&c);

    heap->length = vex_cursor_u64(&c);
    if (c.bad || format != STATE_FORMAT || heap->length < HEAD_BYTES || heap->length > INT64_MAX)
        return false;
    return vex_extents_decode(&heap->extents, &c, HEAD_BYTES, heap->length) && vex_cursor_left(&c) == 0 &&
           heap->extents.bytes + heap->extents.lost <= heap->length - HEAD_BYTES;
}

void vex_heap_state(const struct vex_heap *heap, struct vex_buf *ret)
{
    vex_buf_add_u32(ret, STATE_FORMAT);
    vex_buf_add_u64(ret, heap->length);
    vex_extents_encode(&heap->extents, ret);
}

static int check_head(struct vex_heap *heap, struct vex_err *err)
{
    char head[HEAD_BYTES];
    uint32_t format, crc;
    int64_t got = vex_io_pread(heap->io, heap->file, head, sizeof head, 0);

    if (got < 0)
        return fail(err, (int)got, "read", heap->path);
    memcpy(&format, head + 8, sizeof format);
    memcpy(&crc, head + HEAD_BYTES - 4, sizeof crc);
    if (got != HEAD_BYTES || memcmp(head, magic, sizeof magic) != 0 ||
        crc != vex_crc32c(0, head, HEAD_BYTES - 4))
        return vex_err_set(err, VEX_ECORRUPT, "%s: the head of the file is damaged", heap->path);
    if (format != FILE_FORMAT)
        return vex_err_set(err, VEX_ECORRUPT, "%s has format %u, this program knows %u", heap->path, format,
                           FILE_FORMAT);
    return 0;
}

static int open_file(struct vex_heap *heap, struct vex_err *err)
{
    int r = vex_io_open(heap->io, heap->path, VEX_IO_WRITE, &heap->file);
    if (r != 0)
        heap->file = NULL;
    if (r == -ENOENT)
        return vex_err_set(err, VEX_ECORRUPT, "%s is missing", heap->path);
    if (r != 0)
        return fail(err, r, "open", heap->path);
    int64_t size = vex_io_size(heap->io, heap->file);
    if (size < 0)
        return fail(err, (int)size, "size", heap->path);
    heap->allocated = (uint64_t)size;
    if (heap->allocated < heap->length)
        return vex_err_set(err, VEX_ECORRUPT, "%s is cut short: %lld bytes of %llu", heap->path,
                           (long long)size, (unsigned long long)heap->length);
    r = check_head(heap, err);
    if (r == 0 && vex_heap_remap(heap) != 0)
        r = vex_err_set(err, VEX_ENO_MEMORY, "cannot map %s", heap->path);
    return r;
}

int vex_heap_open(struct vex_io *io, const char *path, struct vex_str state, struct vex_heap **ret,
                  struct vex_err *err)
{
    struct vex_heap *heap = VEX_NEW(struct vex_heap);
    int r = 0;

    heap->io = io;
    heap->path = vex_mem_strndup(path, strlen(path));
    heap->length = HEAD_BYTES;
    atomic_init(&heap->low, UINT64_MAX);
    pthread_mutex_init(&heap->lock, NULL);
    if (state.len > 0 && !read_state(heap, state))
        r = vex_err_set(err, VEX_ECORRUPT, "%s: what the manifest says of it is damaged", path);
    else if (heap->length > HEAD_BYTES)
        r = open_file(heap, err);
    if (r != 0) {
        vex_heap_close(heap);
        return r;
    }
    *ret = heap;
    return 0;
}

void vex_heap_close(struct vex_heap *heap)
{
    if (heap == NULL)
        return;
    if (heap->base != NULL)
        munmap(heap->base, (size_t)heap->reserved);
    vex_io_close(heap->io, heap->file);
    vex_extents_done(&heap->extents);
    pthread_mutex_destroy(&heap->lock);
    vex_mem_free(heap->buffer);
    vex_mem_free(heap->pieces);
    vex_mem_free(heap->scratch);
    vex_mem_free(heap->path);
    vex_mem_free(heap);
}

/* The folder of the heap, cut from its path; the caller frees. */
static char *folder_of(const struct vex_heap *heap)
{
    const char *slash = strrchr(heap->path, '/');
    if (slash == NULL)
        return vex_mem_strndup(".", 1);
    return vex_mem_strndup(heap->path, slash == heap->path ? 1 : (size_t)(slash - heap->path));
}

/* A file that lies there already is garbage of a lost checkpoint: it begins anew. */
static int create_file(struct vex_heap *heap)
{
    const unsigned flags = VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC;
    char head[HEAD_BYTES] = {0};
    uint32_t format = FILE_FORMAT, crc;
    struct vex_file *file;
    struct vex_err err;

    int r = vex_io_open(heap->io, heap->path, flags, &file);
    if (r == -ENOENT) {
        char *folder = folder_of(heap);
        int made = vex_file_mkdirs(heap->io, folder, &err);
        vex_mem_free(folder);
        if (made != 0)
            return made;
        r = vex_io_open(heap->io, heap->path, flags, &file);
    }
    if (r != 0)
        return vex_err_errno(-r);
    memcpy(head, magic, sizeof magic);
    memcpy(head + 8, &format, sizeof format);
    crc = vex_crc32c(0, head, HEAD_BYTES - 4);
    memcpy(head + HEAD_BYTES - 4, &crc, sizeof crc);
    r = vex_io_allocate(heap->io, file, 0, PAGE);
    if (r == 0)
        r = vex_io_pwrite(heap->io, file, head, sizeof head, 0);
    if (r != 0) {
        vex_io_close(heap->io, file);
        return vex_err_errno(-r);
    }
    heap->file = file;
    heap->allocated = PAGE;
    heap->unsynced = heap->unsynced_entry = true;
    return 0;
}

/* Disk space up to `end`. */
static int allocate(struct vex_heap *heap, uint64_t end)
{
    if (heap->file == NULL) {
        int r = create_file(heap);
        if (r != 0)
            return r;
    }
    if (end <= heap->allocated)
        return 0;
    uint64_t chunk = heap->allocated / 8;
    chunk = chunk < ALLOCATE_MIN ? ALLOCATE_MIN : chunk > ALLOCATE_MAX ? ALLOCATE_MAX : chunk;
    uint64_t exact = round_up(end, PAGE), from = heap->allocated;
    uint64_t wish = from + round_up(chunk, PAGE) > exact ? from + round_up(chunk, PAGE) : exact;
    int r = vex_io_allocate(heap->io, heap->file, from, wish - from);
    if (r != 0 && wish > exact && vex_err_errno(-r) == VEX_ENO_SPACE) {
        wish = exact;
        r = vex_io_allocate(heap->io, heap->file, from, wish - from);
    }
    if (r != 0)
        return vex_err_errno(-r);
    heap->allocated = wish;
    heap->unsynced = true;
    return 0;
}

/* Index of the first piece that ends behind `offset`. */
static uint32_t piece_at(const struct vex_heap *heap, uint64_t offset)
{
    uint32_t low = 0, high = heap->piece_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (heap->pieces[mid].offset + heap->pieces[mid].len <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Notes that the last `len` bytes of the buffer go to `offset`. */
static void add_piece(struct vex_heap *heap, uint64_t offset, size_t at, size_t len)
{
    uint32_t i = piece_at(heap, offset);
    struct piece *before = i > 0 ? &heap->pieces[i - 1] : NULL;

    if (before != NULL && before->offset + before->len == offset && before->at + before->len == at) {
        before->len += len;
        return;
    }
    if (heap->piece_count == heap->piece_cap) {
        heap->piece_cap = heap->piece_cap == 0 ? 8 : heap->piece_cap * 2;
        heap->pieces = vex_mem_realloc(heap->pieces, heap->piece_cap * sizeof *heap->pieces);
    }
    memmove(heap->pieces + i + 1, heap->pieces + i, (heap->piece_count - i) * sizeof *heap->pieces);
    heap->pieces[i] = (struct piece){offset, at, len};
    heap->piece_count++;
    atomic_store_explicit(&heap->low, heap->pieces[0].offset, memory_order_relaxed);
}

static int reserve_buffer(struct vex_heap *heap, size_t more)
{
    size_t need = heap->buffered + more;
    if (need <= heap->buffer_cap)
        return 0;
    size_t cap = heap->buffer_cap * 2 > need ? heap->buffer_cap * 2 : need;
    char *buffer = vex_mem_try(cap < PAGE ? PAGE : cap);
    if (buffer == NULL)
        return VEX_ENO_MEMORY;
    if (heap->buffered > 0)
        memcpy(buffer, heap->buffer, heap->buffered);
    vex_mem_free(heap->buffer);
    heap->buffer = buffer;
    heap->buffer_cap = cap < PAGE ? PAGE : cap;
    return 0;
}

static int write_pieces(struct vex_heap *heap)
{
    for (uint32_t i = 0; i < heap->piece_count; i++) {
        const struct piece *piece = &heap->pieces[i];
        int r = vex_io_pwrite(heap->io, heap->file, heap->buffer + piece->at, piece->len, piece->offset);
        if (r != 0)
            return vex_err_errno(-r);
    }
    return 0;
}

static void empty_buffer(struct vex_heap *heap)
{
    heap->piece_count = 0;
    heap->buffered = 0;
    if (heap->buffer_cap > BUFFER_KEEP) {
        vex_mem_free(heap->buffer);
        vex_mem_free(heap->pieces);
        heap->buffer = NULL;
        heap->pieces = NULL;
        heap->buffer_cap = 0;
        heap->piece_cap = 0;
    }
    atomic_store_explicit(&heap->low, UINT64_MAX, memory_order_relaxed);
}

int vex_heap_flush(struct vex_heap *heap)
{
    if (heap->piece_count == 0)
        return 0;
    int r = write_pieces(heap);
    heap->unsynced = true;
    if (r != 0)
        return r;
    pthread_mutex_lock(&heap->lock);
    empty_buffer(heap);
    pthread_mutex_unlock(&heap->lock);
    return 0;
}

/* Takes a place for `size` bytes: free space first, then the end of the file. */
static int place(struct vex_heap *heap, uint64_t size, uint64_t *ret)
{
    if (heap->file != NULL && vex_extents_take(&heap->extents, size, ret))
        return 0;
    if (heap->length > INT64_MAX - size)
        return VEX_ENO_SPACE;
    int r = allocate(heap, heap->length + size);
    if (r != 0)
        return r;
    *ret = heap->length;
    heap->length += size;
    return 0;
}

int vex_heap_put(struct vex_heap *heap, struct vex_str bytes, uint64_t *ret)
{
    if (bytes.len > VEX_HEAP_BLOB_MAX)
        return VEX_ETOO_LARGE;
    size_t size = (size_t)blob_size(bytes.len);
    if (heap->piece_count >= PIECES_MAX || (heap->buffered > 0 && heap->buffered + size > BUFFER_FLUSH)) {
        int r = vex_heap_flush(heap);
        if (r != 0)
            return r;
    }
    pthread_mutex_lock(&heap->lock);
    uint64_t offset = 0;
    int r = reserve_buffer(heap, size);
    if (r == 0)
        r = place(heap, size, &offset);
    if (r == 0) {
        char *at = heap->buffer + heap->buffered;
        uint32_t head[2] = {(uint32_t)bytes.len, blob_crc(offset, bytes.ptr, bytes.len)};
        memcpy(at, head, sizeof head);
        if (bytes.len > 0)
            memcpy(at + BLOB_HEAD, bytes.ptr, bytes.len);
        memset(at + BLOB_HEAD + bytes.len, 0, size - BLOB_HEAD - bytes.len);
        add_piece(heap, offset, heap->buffered, size);
        heap->buffered += size;
        *ret = offset;
    }
    pthread_mutex_unlock(&heap->lock);
    return r;
}

/* Reserves a new range for at least `need` bytes and maps into it what is there. */
static int move_map(struct vex_heap *heap, uint64_t need)
{
    uint64_t want = need > UINT64_MAX / 8 ? need : need * 4;
    if (want < RESERVE_MIN)
        want = RESERVE_MIN;
    char *base = mmap(NULL, (size_t)want, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return VEX_ENO_MEMORY;
    int r = heap->io->ops->map(heap->io, heap->file, 0, (size_t)need, base, true);
    if (r != 0) {
        munmap(base, (size_t)want);
        return vex_err_errno(-r);
    }
    if (heap->base != NULL)
        munmap(heap->base, (size_t)heap->reserved);
    heap->base = base;
    heap->reserved = want;
    heap->mapped = need;
    return 0;
}

int vex_heap_remap(struct vex_heap *heap)
{
    uint64_t need = heap->allocated / PAGE * PAGE;
    if (need < heap->length)
        need = round_up(heap->length, PAGE);
    vex_mem_free(heap->scratch);
    heap->scratch = NULL;
    if (heap->file == NULL || need <= heap->mapped)
        return 0;
    if (need > heap->reserved)
        return move_map(heap, need);
    int r = heap->io->ops->map(heap->io, heap->file, heap->mapped, (size_t)(need - heap->mapped),
                               heap->base + heap->mapped, true);
    if (r != 0)
        return vex_err_errno(-r);
    heap->mapped = need;
    return 0;
}

void vex_heap_free(struct vex_heap *heap, uint64_t offset, uint32_t len)
{
    uint64_t size = blob_size(len);
    if (offset < HEAD_BYTES || offset % GRAIN != 0 || offset > heap->length || size > heap->length - offset)
        return;
    vex_extents_free(&heap->extents, offset, size);
}

/* Start of a blob in the buffer, or NULL. */
static const char *find_buffered(struct vex_heap *heap, uint64_t offset, uint64_t size)
{
    const char *found = NULL;

    pthread_mutex_lock(&heap->lock);
    uint32_t i = piece_at(heap, offset);
    if (i < heap->piece_count) {
        const struct piece *piece = &heap->pieces[i];
        if (piece->offset <= offset && size <= piece->len - (offset - piece->offset))
            found = heap->buffer + piece->at + (offset - piece->offset);
    }
    pthread_mutex_unlock(&heap->lock);
    return found;
}

/* Only the writer knows of such places: readers are given offsets after the map has grown. */
static const char *read_unmapped(struct vex_heap *heap, uint64_t offset, uint64_t size)
{
    if (heap->file == NULL || offset > heap->length || size > heap->length - offset)
        return NULL;
    vex_mem_free(heap->scratch);
    heap->scratch = vex_mem_try((size_t)size);
    if (heap->scratch == NULL)
        return NULL;
    int64_t got = vex_io_pread(heap->io, heap->file, heap->scratch, (size_t)size, offset);
    return got == (int64_t)size ? heap->scratch : NULL;
}

static const char *find(struct vex_heap *heap, uint64_t offset, uint32_t len)
{
    uint64_t size = blob_size(len);
    const char *at = NULL;
    uint32_t head;

    if (offset < HEAD_BYTES || offset % GRAIN != 0)
        return NULL;
    if (offset >= atomic_load_explicit(&heap->low, memory_order_relaxed))
        at = find_buffered(heap, offset, size);
    if (at == NULL && offset <= heap->mapped && size <= heap->mapped - offset)
        at = heap->base + offset;
    else if (at == NULL)
        at = read_unmapped(heap, offset, size);
    if (at == NULL)
        return NULL;
    memcpy(&head, at, sizeof head);
    return head == len ? at : NULL;
}

struct vex_str vex_heap_peek(struct vex_heap *heap, uint64_t offset, uint32_t len)
{
    const char *at = find(heap, offset, len);
    return at != NULL ? vex_str(at + BLOB_HEAD, len) : vex_str(NULL, 0);
}

struct vex_str vex_heap_get(struct vex_heap *heap, uint64_t offset, uint32_t len)
{
    const char *at = find(heap, offset, len);
    uint32_t crc;

    if (at == NULL)
        return vex_str(NULL, 0);
    memcpy(&crc, at + 4, sizeof crc);
    return crc == blob_crc(offset, at + BLOB_HEAD, len) ? vex_str(at + BLOB_HEAD, len) : vex_str(NULL, 0);
}

void vex_heap_prefetch(const struct vex_heap *heap, uint64_t offset, uint32_t len)
{
    uint64_t size = len < PREFETCH_MAX ? BLOB_HEAD + (uint64_t)len : PREFETCH_MAX;

    if (offset > heap->mapped || size > heap->mapped - offset)
        return;
    for (uint64_t at = offset / CACHE_LINE * CACHE_LINE; at < offset + size; at += CACHE_LINE)
        __builtin_prefetch(heap->base + at);
}

int vex_heap_sync(struct vex_heap *heap)
{
    if (heap->failed)
        return VEX_EIO;
    int r = vex_heap_flush(heap);
    if (r != 0 || heap->file == NULL)
        return r;
    if (heap->unsynced) {
        r = vex_io_datasync(heap->io, heap->file);
        heap->failed = r != 0;
        heap->unsynced = false;
    }
    if (r == 0 && heap->unsynced_entry) {
        char *folder = folder_of(heap);
        r = heap->io->ops->dirsync(heap->io, folder);
        vex_mem_free(folder);
        heap->failed = r != 0;
        heap->unsynced_entry = r != 0;
    }
    return r != 0 ? vex_err_errno(-r) : 0;
}

void vex_heap_settle(struct vex_heap *heap)
{
    vex_extents_settle(&heap->extents);
}

void vex_heap_evict(struct vex_heap *heap)
{
    if (heap->mapped > 0)
        (void)heap->io->ops->map_revert(heap->io, heap->file, 0, (size_t)heap->mapped, heap->base);
}

uint64_t vex_heap_length(const struct vex_heap *heap)
{
    return heap->length;
}

uint64_t vex_heap_live(const struct vex_heap *heap)
{
    const struct vex_extents *extents = &heap->extents;
    return heap->length - HEAD_BYTES - extents->bytes - extents->pending_bytes - extents->lost;
}

uint64_t vex_heap_freed(const struct vex_heap *heap)
{
    return heap->extents.pending_bytes;
}

uint64_t vex_heap_lost(const struct vex_heap *heap)
{
    return heap->extents.lost;
}
