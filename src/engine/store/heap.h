/* Heap: blobs in an append-only file.
 *
 * Role      Payloads and text ids of one collection. A blob is {u32 length, u32 crc32c, bytes}, 16-byte
 *           aligned.
 * Lock      One writer (put, free, flush); readers (get) under the collection's shared lock, only blobs
 *           that were flushed and remapped. The writer may get what it put before that. open, close, remap
 *           and settle are exclusive; state and settle belong together: no put, no free between them.
 * Invariant What lies beyond the checkpointed length is garbage and is overwritten. A freed blob's space is
 *           reused only after a checkpoint that no longer refers to it (vex_heap_settle).
 * Offsets are in bytes from the start of the file and never 0. */
#ifndef VEX_ENGINE_STORE_HEAP_H
#define VEX_ENGINE_STORE_HEAP_H

#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "base/str.h"

struct vex_heap;

#define VEX_HEAP_BLOB_MAX (1u << 30)

/* `state` is what vex_heap_state gave at the last checkpoint (empty: a new heap). The file is created when
 * the first blob takes space, its folder too. Damaged state, or a file shorter than the state says:
 * VEX_ECORRUPT. */
int vex_heap_open(struct vex_io *io, const char *path, struct vex_str state, struct vex_heap **ret,
                  struct vex_err *err);
void vex_heap_close(struct vex_heap *heap);

/* Takes space on the disk and buffers the bytes; returns the offset in *ret. VEX_ENO_SPACE (nothing was
 * taken), VEX_EIO from flushing a full buffer, VEX_ETOO_LARGE, VEX_ENO_MEMORY. */
int vex_heap_put(struct vex_heap *heap, struct vex_str bytes, uint64_t *ret);
/* Writes out the buffer (contiguous blobs in one pwrite). After 0 every blob put so far may be read by others
 * once vex_heap_remap ran under the exclusive lock. */
int vex_heap_flush(struct vex_heap *heap);
/* Makes the map cover all that was flushed; cheap when nothing grew. */
int vex_heap_remap(struct vex_heap *heap);
void vex_heap_free(struct vex_heap *heap, uint64_t offset, uint32_t len);

/* The bytes; ptr NULL when offset and len are not a blob of this heap or its checksum is wrong. Valid until
 * the blob is freed and settled, the heap is remapped or closed; of a blob not yet remapped only until the
 * writer's next call of any kind.
 * vex_heap_peek skips the checksum. */
struct vex_str vex_heap_get(struct vex_heap *heap, uint64_t offset, uint32_t len);
struct vex_str vex_heap_peek(struct vex_heap *heap, uint64_t offset, uint32_t len);
/* Sends for a blob that will be read soon, or its beginning. Any offset will do. */
void vex_heap_prefetch(const struct vex_heap *heap, uint64_t offset, uint32_t len);

/* flush + datasync (and the folder after creating the file). Once it failed it fails until the heap is opened
 * again: what the kernel could not write it may have forgotten. */
int vex_heap_sync(struct vex_heap *heap);
/* State to keep in the manifest: length and free extents, including what has been freed since the last
 * checkpoint. */
void vex_heap_state(const struct vex_heap *heap, struct vex_buf *ret);
/* A checkpoint that holds the state is durable: freed space may be reused. */
void vex_heap_settle(struct vex_heap *heap);
/* The pages of the map leave the process; who reads them again gets them from the page cache. Beside readers. */
void vex_heap_evict(struct vex_heap *heap);
uint64_t vex_heap_length(const struct vex_heap *heap);
uint64_t vex_heap_live(const struct vex_heap *heap); /* bytes of live blobs with their heads */
uint64_t vex_heap_freed(
    const struct vex_heap *heap); /* bytes freed since the last checkpoint, which will be reused after one */
uint64_t vex_heap_lost(const struct vex_heap *heap); /* bytes that only a compaction would give back */

#endif
