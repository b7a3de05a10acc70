/* Files of the log's folder: making, publishing and retiring segments. See wal_segment.h. */
#include "engine/store/wal_segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void wal_dir_path(const struct wal_dir *dir, char *buf, uint64_t number, const char *ext)
{
    char name[40];
    snprintf(name, sizeof name, "%09" PRIu64 ".%s", number, ext);
    vex_file_join(buf, dir->path, name);
}

void wal_segment_header_fill(const struct wal_segment *seg, uint64_t durable, char *block)
{
    struct wal_segment_header header = {
        .flags = seg->copy ? WAL_SEGMENT_COPY : 0,
        .number = seg->number,
        .salt = seg->salt,
        .first_seq = seg->first_seq,
        .durable = durable,
        .bytes = seg->bytes,
    };
    wal_segment_seal(&header);
    memset(block, 0, WAL_HEADER_BLOCK);
    memcpy(block, &header, sizeof header);
    memcpy(block + WAL_HEADER_COPY, &header, sizeof header);
}

static int sync_names(struct wal_dir *dir)
{
    int r = dir->io->ops->dirsync(dir->io, dir->path);
    if (r != 0)
        dir->broken = true;
    return r;
}

/* Opens a file for the draft: one of the pool, or a new one with its space allocated. */
static int open_draft(struct wal_dir *dir, uint64_t bytes, struct wal_segment *seg, char *path)
{
    if (bytes <= dir->segment_bytes && dir->pool_count > 0) {
        wal_dir_path(dir, path, dir->pool[--dir->pool_count], "old");
        int r = vex_io_open(dir->io, path, VEX_IO_WRITE, &seg->file);
        if (r == 0)
            seg->bytes = dir->segment_bytes;
        return r;
    }
    seg->bytes = bytes > dir->segment_bytes ? bytes : dir->segment_bytes;
    vex_file_join(path, dir->path, "draft.tmp");
    int r = vex_io_open(dir->io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &seg->file);
    return r != 0 ? r : vex_io_allocate(dir->io, seg->file, 0, seg->bytes);
}

int wal_segment_draft(struct wal_dir *dir, uint64_t bytes, uint64_t first_seq, uint64_t durable,
                      struct wal_segment **ret, char *draft_path)
{
    struct wal_segment *seg = VEX_NEW(struct wal_segment);
    int r = open_draft(dir, bytes, seg, draft_path);
    if (r == 0) {
        seg->number = dir->next_number;
        seg->first_seq = first_seq;
        seg->copy = first_seq != 0;
        seg->end = WAL_HEADER_BLOCK;
        dir->io->ops->random(dir->io, &seg->salt, sizeof seg->salt);
        /* The place of the first record is cleared too; what else an earlier use left fails by its salt. */
        char block[WAL_HEADER_BLOCK + sizeof(struct wal_record_header)] = {0};
        wal_segment_header_fill(seg, durable, block);
        r = vex_io_pwrite(dir->io, seg->file, block, sizeof block, 0);
    }
    if (r != 0) {
        wal_segment_discard(dir, seg, draft_path);
        return r;
    }
    *ret = seg;
    return 0;
}

int wal_segment_publish(struct wal_dir *dir, struct wal_segment *seg, const char *draft_path)
{
    char path[VEX_PATH_MAX];
    wal_dir_path(dir, path, seg->number, "wal");
    int r = vex_io_datasync(dir->io, seg->file);
    if (r == 0)
        r = dir->io->ops->rename(dir->io, draft_path, path);
    if (r != 0) {
        wal_segment_discard(dir, seg, draft_path);
        return r;
    }
    dir->next_number++;
    r = sync_names(dir);
    if (r != 0)
        wal_segment_free(dir, seg);
    return r;
}

void wal_segment_discard(struct wal_dir *dir, struct wal_segment *seg, const char *draft_path)
{
    (void)dir->io->ops->unlink(dir->io, draft_path);
    wal_segment_free(dir, seg);
}

void wal_segment_free(struct wal_dir *dir, struct wal_segment *seg)
{
    vex_io_close(dir->io, seg->file);
    vex_mem_free(seg);
}

void wal_segment_trim(struct wal_dir *dir, struct wal_segment *seg, uint64_t end)
{
    end = (end + WAL_HEADER_BLOCK - 1) & ~(uint64_t)(WAL_HEADER_BLOCK - 1);
    if (end < seg->bytes && vex_io_truncate(dir->io, seg->file, end) == 0)
        seg->bytes = end;
}

int wal_segment_retire(struct wal_dir *dir, struct wal_segment *seg, bool keep)
{
    char path[VEX_PATH_MAX], old[VEX_PATH_MAX];
    keep = keep && seg->bytes == dir->segment_bytes && dir->pool_count < WAL_POOL_MAX;
    wal_dir_path(dir, path, seg->number, "wal");
    wal_dir_path(dir, old, dir->next_old, "old");
    int r = keep ? dir->io->ops->rename(dir->io, path, old) : dir->io->ops->unlink(dir->io, path);
    if (r != 0)
        return r;
    vex_io_close(dir->io, seg->file);
    seg->file = NULL;
    r = sync_names(dir);
    if (r == 0 && keep)
        dir->pool[dir->pool_count++] = dir->next_old++;
    return r;
}
