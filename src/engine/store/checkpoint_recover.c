/* Finishing what an interrupted checkpoint left: see checkpoint.h.
 *
 * A complete journal newer than the manifest was committed and is replayed, as often as it takes. It is first
 * written once more over itself and synced: it may have been read from a cache whose sync had failed, and
 * once tables begin to change it is all there is. An incomplete journal was never committed, so no table can
 * hold pages newer than the manifest; where one does, the journal has decayed after its commit and the folder
 * is refused. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/store/checkpoint_private.h"
#include "engine/store/table_private.h"

static int sync_folder(struct vex_io *io, const char *dir, struct vex_err *err)
{
    int r = io->ops->dirsync(io, dir);
    return r != 0 ? vex_checkpoint_fail(err, r, "sync", dir) : 0;
}

int vex_manifest_write_new(struct vex_io *io, const char *dir, struct vex_str bytes, struct vex_err *err)
{
    char path[VEX_PATH_MAX];
    struct vex_file *file;

    vex_file_join(path, dir, VEX_MANIFEST_NEW);
    int r = vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE, &file);
    if (r != 0)
        return vex_checkpoint_fail(err, r, "create", path);
    r = vex_io_pwrite(io, file, bytes.ptr, bytes.len, 0);
    if (r == 0)
        r = vex_io_truncate(io, file, bytes.len);
    if (r == 0)
        r = vex_io_datasync(io, file);
    vex_io_close(io, file);
    return r != 0 ? vex_checkpoint_fail(err, r, "write", path) : 0;
}

int vex_checkpoint_conclude(struct vex_io *io, const char *dir, struct vex_err *err)
{
    char from[VEX_PATH_MAX], to[VEX_PATH_MAX], journal[VEX_PATH_MAX];

    vex_file_join(from, dir, VEX_MANIFEST_NEW);
    vex_file_join(to, dir, VEX_MANIFEST);
    int r = io->ops->rename(io, from, to);
    if (r != 0)
        return vex_checkpoint_fail(err, r, "rename", from);
    r = sync_folder(io, dir, err);
    if (r != 0)
        return r;
    /* From here on the journal is stale: should it stay, it is ignored and removed the next time. */
    vex_file_join(journal, dir, VEX_JOURNAL);
    if (io->ops->unlink(io, journal) == 0)
        (void)io->ops->dirsync(io, dir);
    return 0;
}

/* Copies `len` bytes of a file to `to` at `to_offset`; from and to may be the same place. */
static int copy(struct vex_io *io, struct vex_file *from, uint64_t offset, uint64_t len, struct vex_file *to,
                uint64_t to_offset, char *chunk)
{
    for (uint64_t done = 0; done < len;) {
        uint64_t left = len - done, max = VEX_COPY_PAGES * VEX_PAGE;
        size_t n = (size_t)(left < max ? left : max);
        int64_t got = vex_io_pread(io, from, chunk, n, offset + done);
        if (got < 0)
            return (int)got;
        if ((size_t)got != n)
            return -EIO;
        int r = vex_io_pwrite(io, to, chunk, n, to_offset + done);
        if (r != 0)
            return r;
        done += n;
    }
    return 0;
}

static int copy_runs(struct vex_io *io, const struct vex_journal *journal, uint32_t table,
                     struct vex_file *file, char *chunk)
{
    uint64_t at = journal->pages_at;

    for (uint32_t i = 0; i < journal->head.run_count; i++) {
        const struct vex_journal_run *run = &journal->runs[i];
        if (run->table == table) {
            int r = copy(io, journal->file, at, run->count * VEX_PAGE, file, run->first * VEX_PAGE, chunk);
            if (r != 0)
                return r;
        }
        at += run->count * VEX_PAGE;
    }
    return 0;
}

static int replay_table(struct vex_io *io, const char *dir, const struct vex_journal *journal, uint32_t index,
                        char *chunk, struct vex_err *err)
{
    const struct vex_envelope_table *table = &journal->envelope.tables[index];
    char path[VEX_PATH_MAX], name[256];
    struct vex_file *file;

    memcpy(name, table->name.ptr, table->name.len);
    name[table->name.len] = '\0';
    vex_file_join(path, dir, name);
    int r = vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE, &file);
    if (r != 0)
        return vex_checkpoint_fail(err, r, "open", path);
    int64_t size = vex_io_size(io, file);
    uint64_t need = table->pages * VEX_PAGE;
    if (size < 0)
        r = (int)size;
    else if ((uint64_t)size < need)
        r = vex_io_allocate(io, file, (uint64_t)size, need - (uint64_t)size);
    if (r == 0)
        r = copy_runs(io, journal, index, file, chunk);
    if (r == 0 && (uint64_t)size > need)
        r = vex_io_truncate(io, file, need);
    if (r == 0)
        r = vex_io_datasync(io, file);
    vex_io_close(io, file);
    return r != 0 ? vex_checkpoint_fail(err, r, "replay the journal into", path) : 0;
}

static int replay(struct vex_io *io, const char *dir, const struct vex_journal *journal, struct vex_err *err)
{
    uint64_t total = journal->pages_at + journal->head.pages * VEX_PAGE;
    char *chunk = vex_mem_alloc(VEX_COPY_PAGES * VEX_PAGE);
    int r = copy(io, journal->file, 0, total, journal->file, 0, chunk);

    if (r == 0)
        r = vex_io_datasync(io, journal->file);
    r = r != 0 ? vex_checkpoint_fail(err, r, "write the journal in", dir) : 0;
    if (r == 0)
        r = vex_manifest_write_new(io, dir, journal->envelope_bytes, err);
    if (r == 0)
        r = sync_folder(io, dir, err);
    for (uint32_t i = 0; i < journal->envelope.table_count && r == 0; i++)
        r = replay_table(io, dir, journal, i, chunk, err);
    if (r == 0)
        r = sync_folder(io, dir, err);
    if (r == 0)
        r = vex_checkpoint_conclude(io, dir, err);
    vex_mem_free(chunk);
    return r;
}

/* VEX_ECORRUPT when a table of the manifest holds a page of a later checkpoint. */
static int refuse_newer(struct vex_io *io, const char *dir, const struct vex_envelope_table *table,
                        uint64_t number, char *chunk, struct vex_err *err)
{
    char path[VEX_PATH_MAX], name[256];
    struct vex_page_trailer trailer;
    struct vex_file *file;

    memcpy(name, table->name.ptr, table->name.len);
    name[table->name.len] = '\0';
    vex_file_join(path, dir, name);
    if (vex_io_open(io, path, VEX_IO_READ, &file) != 0)
        return 0; /* opening the table will tell */
    int r = 0;
    for (uint64_t page = 0; page < table->pages && r == 0; page += VEX_COPY_PAGES) {
        uint64_t n = table->pages - page < VEX_COPY_PAGES ? table->pages - page : VEX_COPY_PAGES;
        int64_t got = vex_io_pread(io, file, chunk, n * VEX_PAGE, page * VEX_PAGE);
        for (uint64_t i = 0; r == 0 && (int64_t)((i + 1) * VEX_PAGE) <= got; i++)
            if (vex_page_check(chunk + i * VEX_PAGE, table->kind, page + i, &trailer) &&
                trailer.number > number)
                r = vex_err_set(err, VEX_ECORRUPT, "%s has pages of a checkpoint whose journal is damaged",
                                path);
    }
    vex_io_close(io, file);
    return r;
}

/* The folder is synced first too: the manifest that makes this journal stale may have been renamed by a
 * process that died before its sync, and a power cut must not undo that and keep the removal. */
static int discard(struct vex_io *io, const char *dir, struct vex_err *err)
{
    char path[VEX_PATH_MAX];

    vex_file_join(path, dir, VEX_JOURNAL);
    int r = sync_folder(io, dir, err);
    if (r != 0)
        return r;
    r = io->ops->unlink(io, path);
    if (r != 0 && r != -ENOENT)
        return vex_checkpoint_fail(err, r, "remove", path);
    return sync_folder(io, dir, err);
}

int vex_checkpoint_finish(struct vex_io *io, const char *dir, const struct vex_envelope *manifest,
                          uint64_t *number, struct vex_err *err)
{
    struct vex_journal journal;
    bool there;
    int r = vex_journal_open(io, dir, &journal, &there, err);

    if (r < 0 || (r == 0 && !there))
        return r;
    if (r == 1) {
        bool newer = journal.head.number > *number && journal.envelope.seq >= manifest->seq;
        r = newer ? replay(io, dir, &journal, err) : discard(io, dir, err);
        if (r == 0 && newer)
            *number = journal.head.number;
        vex_journal_close(io, &journal);
        return r;
    }
    char *chunk = vex_mem_alloc(VEX_COPY_PAGES * VEX_PAGE);
    for (uint32_t i = 0; i < manifest->table_count && r == 0; i++)
        r = refuse_newer(io, dir, &manifest->tables[i], *number, chunk, err);
    vex_mem_free(chunk);
    return r != 0 ? r : discard(io, dir, err);
}

int vex_checkpoint_recover(struct vex_io *io, const char *dir, struct vex_buf *ret_manifest,
                           struct vex_err *err)
{
    struct vex_envelope manifest;
    struct vex_buf bytes;
    char path[VEX_PATH_MAX];

    vex_buf_init(&bytes, NULL);
    int r = vex_manifest_read(io, dir, &bytes, &manifest, err);
    uint64_t number = manifest.number, before = number;
    if (r == 0 || r == VEX_ENOT_FOUND) {
        int finished = vex_checkpoint_finish(io, dir, &manifest, &number, err);
        if (finished != 0)
            r = finished;
        else if (number != before) {
            vex_envelope_done(&manifest);
            bytes.len = 0;
            r = vex_manifest_read(io, dir, &bytes, &manifest, err);
        }
    }
    if (r == 0) {
        vex_file_join(path, dir, VEX_MANIFEST_NEW);
        (void)io->ops->unlink(io, path);
        vex_buf_add_str(ret_manifest, manifest.body);
    }
    vex_envelope_done(&manifest);
    vex_buf_done(&bytes);
    return r;
}
