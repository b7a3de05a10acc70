/* Checkpoints: writing them. See checkpoint.h; reading and replaying are in checkpoint_journal.c and
 * checkpoint_recover.c. */
#include "engine/store/checkpoint.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "engine/store/checkpoint_private.h"
#include "engine/store/table_private.h"

#define JOURNAL_FORMAT 1u
#define CRC_FROM       16u
/* Runs shorter than this are gathered before they are written. */
#define GATHER_BYTES ((size_t)256 << 10)

/* The journal as it will be: everything before the pages. */
struct plan {
    const struct vex_checkpoint *checkpoint;
    struct vex_journal_head head;
    struct vex_buf runs, envelope;
};

/* Appends to a file, gathering small pieces. */
struct gather {
    struct vex_io *io;
    struct vex_file *file;
    uint64_t offset;
    char *buf;
    size_t len;
};

static int gather_flush(struct gather *gather)
{
    int r = gather->len > 0
                ? vex_io_pwrite(gather->io, gather->file, gather->buf, gather->len, gather->offset)
                : 0;
    gather->offset += gather->len;
    gather->len = 0;
    return r;
}

static int gather_add(struct gather *gather, const void *data, size_t len)
{
    int r = 0;

    if (len == 0)
        return 0;
    if (gather->len + len > GATHER_BYTES)
        r = gather_flush(gather);
    if (r != 0)
        return r;
    if (len >= GATHER_BYTES) {
        r = vex_io_pwrite(gather->io, gather->file, data, len, gather->offset);
        gather->offset += len;
        return r;
    }
    memcpy(gather->buf + gather->len, data, len);
    gather->len += len;
    return 0;
}

/* Seals the dirty pages of all tables in place and notes their runs. */
static void seal(struct plan *plan)
{
    const struct vex_checkpoint *checkpoint = plan->checkpoint;

    for (uint32_t t = 0; t < checkpoint->table_count; t++) {
        struct vex_table *table = checkpoint->tables[t];
        struct vex_journal_run run = {.table = t};
        uint64_t at = 0;
        while (vex_table_dirty_run(table, &at, &run.first, &run.count)) {
            vex_buf_add(&plan->runs, &run, sizeof run);
            plan->head.run_count++;
            plan->head.pages += run.count;
            for (uint64_t page = run.first; page < run.first + run.count; page++) {
                uint32_t crc = vex_page_seal(table->base + (size_t)page * VEX_PAGE, table->kind, page,
                                             checkpoint->seq, plan->head.number);
                plan->head.pages_crc = vex_crc32c(plan->head.pages_crc, &crc, sizeof crc);
            }
        }
    }
}

static void make_plan(struct plan *plan, const struct vex_checkpoint *checkpoint, uint64_t number)
{
    *plan = (struct plan){.checkpoint = checkpoint};
    plan->head = (struct vex_journal_head){
        .magic = {'V', 'E', 'X', 'J', 'R', 'N', 'L', '\0'},
        .format = JOURNAL_FORMAT,
        .number = number,
        .seq = checkpoint->seq,
    };
    vex_envelope_build(checkpoint, number, &plan->envelope);
    seal(plan);
    plan->head.envelope_len = plan->envelope.len;
    uint32_t crc = vex_crc32c(0, (const char *)&plan->head + CRC_FROM, sizeof plan->head - CRC_FROM);
    crc = vex_crc32c(crc, plan->runs.ptr, plan->runs.len);
    plan->head.crc = vex_crc32c(crc, plan->envelope.ptr, plan->envelope.len);
}

static void drop_plan(struct plan *plan)
{
    vex_buf_done(&plan->runs);
    vex_buf_done(&plan->envelope);
}

static int write_pages(const struct plan *plan, struct gather *gather)
{
    const struct vex_journal_run *runs = (const struct vex_journal_run *)(const void *)plan->runs.ptr;
    int r = 0;

    for (uint32_t i = 0; i < plan->head.run_count && r == 0; i++) {
        const char *base = plan->checkpoint->tables[runs[i].table]->base;
        r = gather_add(gather, base + (size_t)runs[i].first * VEX_PAGE, (size_t)runs[i].count * VEX_PAGE);
    }
    return r;
}

static int fill_journal(const struct plan *plan, struct vex_io *io, struct vex_file *file)
{
    static const char zeros[VEX_PAGE];
    uint64_t pages_at = vex_journal_pages_at(plan->head.run_count, plan->head.envelope_len);
    int r = vex_io_allocate(io, file, 0, pages_at + plan->head.pages * VEX_PAGE);

    if (r != 0)
        return r;
    struct gather gather = {.io = io, .file = file, .buf = vex_mem_alloc(GATHER_BYTES)};
    r = gather_add(&gather, &plan->head, sizeof plan->head);
    if (r == 0)
        r = gather_add(&gather, plan->runs.ptr, plan->runs.len);
    if (r == 0)
        r = gather_add(&gather, plan->envelope.ptr, plan->envelope.len);
    if (r == 0)
        r = gather_add(&gather, zeros, (size_t)(pages_at - gather.offset - gather.len));
    if (r == 0)
        r = write_pages(plan, &gather);
    if (r == 0)
        r = gather_flush(&gather);
    vex_mem_free(gather.buf);
    return r;
}

/* What surely is no complete journal goes away; a failure does not matter, the next call or opening discards
 * it. */
static void abandon(const struct vex_checkpoint *checkpoint)
{
    struct vex_io *io = checkpoint->io;
    char path[VEX_PATH_MAX];

    (void)io->ops->unlink(io, vex_file_join(path, checkpoint->dir, VEX_JOURNAL));
    (void)io->ops->unlink(io, vex_file_join(path, checkpoint->dir, VEX_MANIFEST_NEW));
}

/* Up to and including the commit point. A journal that is complete but could not be synced stays: were it
 * removed, a power cut could bring it back long after somebody went on without it. The next call or opening
 * takes it for committed. */
static int commit(const struct plan *plan, struct vex_err *err)
{
    const struct vex_checkpoint *checkpoint = plan->checkpoint;
    struct vex_io *io = checkpoint->io;
    char path[VEX_PATH_MAX];
    struct vex_file *file;

    int r = vex_manifest_write_new(io, checkpoint->dir, vex_buf_str(&plan->envelope), err);
    if (r != 0) {
        abandon(checkpoint);
        return r;
    }
    vex_file_join(path, checkpoint->dir, VEX_JOURNAL);
    r = vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &file);
    if (r != 0)
        return vex_checkpoint_fail(err, r, "create", path);
    r = fill_journal(plan, io, file);
    if (r != 0)
        abandon(checkpoint);
    else
        r = vex_io_datasync(io, file);
    vex_io_close(io, file);
    if (r != 0)
        return vex_checkpoint_fail(err, r, "write", path);
    r = io->ops->dirsync(io, checkpoint->dir);
    return r != 0 ? vex_checkpoint_fail(err, r, "sync", checkpoint->dir) : 0;
}

static int apply_table(struct vex_io *io, struct vex_table *table)
{
    uint64_t at = 0, first, count;
    int64_t size = vex_io_size(io, table->file);
    bool longer = size > 0 && (uint64_t)size > table->pages * VEX_PAGE;

    if (size < 0)
        return (int)size;
    if (table->dirty_count == 0 && !longer)
        return 0;
    while (vex_table_dirty_run(table, &at, &first, &count)) {
        int r = vex_io_pwrite(io, table->file, table->base + (size_t)first * VEX_PAGE,
                              (size_t)count * VEX_PAGE, first * VEX_PAGE);
        if (r != 0)
            return r;
    }
    if (longer) {
        int r = vex_io_truncate(io, table->file, table->pages * VEX_PAGE);
        if (r != 0)
            return r;
    }
    return vex_io_datasync(io, table->file);
}

static int apply(const struct vex_checkpoint *checkpoint, struct vex_err *err)
{
    for (uint32_t i = 0; i < checkpoint->table_count; i++) {
        int r = apply_table(checkpoint->io, checkpoint->tables[i]);
        if (r != 0)
            return vex_checkpoint_fail(err, r, "write", checkpoint->tables[i]->path);
    }
    return vex_checkpoint_conclude(checkpoint->io, checkpoint->dir, err);
}

/* Learns the number of the last checkpoint, after finishing it if need be. */
static int last_number(const struct vex_checkpoint *checkpoint, uint64_t *ret, struct vex_err *err)
{
    struct vex_envelope manifest;
    struct vex_buf bytes;

    vex_buf_init(&bytes, NULL);
    int r = vex_manifest_read(checkpoint->io, checkpoint->dir, &bytes, &manifest, err);
    if (r == VEX_ENOT_FOUND)
        r = vex_file_mkdirs(checkpoint->io, checkpoint->dir, err);
    *ret = manifest.number;
    if (r == 0)
        r = vex_checkpoint_finish(checkpoint->io, checkpoint->dir, &manifest, ret, err);
    vex_envelope_done(&manifest);
    vex_buf_done(&bytes);
    return r;
}

int vex_checkpoint_write(const struct vex_checkpoint *checkpoint, struct vex_err *err)
{
    uint64_t number;
    struct plan plan;
    int r = last_number(checkpoint, &number, err);

    for (uint32_t i = 0; i < checkpoint->table_count && r == 0; i++)
        r = vex_table_prepare(checkpoint->tables[i], err);
    if (r != 0)
        return r;
    make_plan(&plan, checkpoint, number + 1);
    r = commit(&plan, err);
    drop_plan(&plan);
    if (r == 0)
        r = apply(checkpoint, err);
    if (r != 0)
        return r;
    for (uint32_t i = 0; i < checkpoint->table_count; i++)
        vex_table_release(checkpoint->tables[i]);
    vex_metric_add(VEX_METRIC_CHECKPOINTS, 1);
    return 0;
}
