/* Files of a checkpoint as bytes: the envelope of the manifest, and the journal. Shared by checkpoint.c
 * (writing), checkpoint_journal.c (reading) and checkpoint_recover.c (replaying). */
#ifndef VEX_ENGINE_STORE_CHECKPOINT_PRIVATE_H
#define VEX_ENGINE_STORE_CHECKPOINT_PRIVATE_H

#include "base/file.h"
#include "engine/store/checkpoint.h"

#define VEX_MANIFEST        "manifest"
#define VEX_MANIFEST_NEW    "manifest.new"
#define VEX_JOURNAL         "checkpoint.journal"
#define VEX_MANIFEST_MAX    ((size_t)1 << 28)
#define VEX_CHECKPOINT_HEAD 64u
#define VEX_COPY_PAGES      256u /* pages moved by one call when journals are read */

struct vex_envelope_head {
    char magic[8];
    uint32_t format;
    uint32_t crc; /* of all that follows */
    uint64_t number, seq;
    uint32_t table_count, tables_len;
    uint64_t body_len;
    uint64_t zeros[2];
};
_Static_assert(sizeof(struct vex_envelope_head) == VEX_CHECKPOINT_HEAD, "");

struct vex_journal_head {
    char magic[8];
    uint32_t format;
    uint32_t crc; /* of the rest of the head, the runs and the envelope */
    uint64_t number, seq;
    uint32_t run_count;
    uint32_t pages_crc; /* of the pages' checksums in order */
    uint64_t envelope_len;
    uint64_t pages;
    uint64_t zero;
};
_Static_assert(sizeof(struct vex_journal_head) == VEX_CHECKPOINT_HEAD, "");

/* Dirty pages of a table that follow each other. */
struct vex_journal_run {
    uint32_t table, zero;
    uint64_t first, count;
};

struct vex_envelope_table {
    uint32_t kind;
    uint64_t pages;
    struct vex_str name;
};

/* A checked envelope; slices point into its bytes. */
struct vex_envelope {
    uint64_t number, seq;
    struct vex_envelope_table *tables; /* freed by vex_envelope_done */
    uint32_t table_count;
    struct vex_str body;
};

void vex_envelope_build(const struct vex_checkpoint *checkpoint, uint64_t number, struct vex_buf *out);
bool vex_envelope_parse(struct vex_str bytes, struct vex_envelope *ret);
void vex_envelope_done(struct vex_envelope *envelope);

/* A complete journal, read and checked except for its pages. */
struct vex_journal {
    struct vex_file *file;
    struct vex_journal_head head;
    char *meta; /* runs, then the envelope */
    const struct vex_journal_run *runs;
    struct vex_str envelope_bytes;
    struct vex_envelope envelope;
    uint64_t pages_at; /* offset of the first page in the file */
};

static inline uint64_t vex_journal_pages_at(uint32_t run_count, uint64_t envelope_len)
{
    uint64_t end = VEX_CHECKPOINT_HEAD + run_count * sizeof(struct vex_journal_run) + envelope_len;
    return (end + VEX_PAGE - 1) / VEX_PAGE * VEX_PAGE;
}

/* 1: complete and checked, pages too; *ret is open. 0: there is none, or not all of it (*ret_there says
 * which). VEX_EIO: it can't be read. */
int vex_journal_open(struct vex_io *io, const char *dir, struct vex_journal *ret, bool *ret_there,
                     struct vex_err *err);
void vex_journal_close(struct vex_io *io, struct vex_journal *journal);

/* Reads the manifest: VEX_ENOT_FOUND, VEX_ECORRUPT. bytes back the envelope. */
int vex_manifest_read(struct vex_io *io, const char *dir, struct vex_buf *bytes, struct vex_envelope *ret,
                      struct vex_err *err);
/* Finishes or discards what an earlier checkpoint left behind. *number: of the manifest (0: none), before and
 * after. */
int vex_checkpoint_finish(struct vex_io *io, const char *dir, const struct vex_envelope *manifest,
                          uint64_t *number, struct vex_err *err);
/* Writes manifest.new and syncs it; no more space is needed than it already takes when it holds these bytes.
 * */
int vex_manifest_write_new(struct vex_io *io, const char *dir, struct vex_str bytes, struct vex_err *err);
/* Renames manifest.new, syncs the folder, removes the journal. */
int vex_checkpoint_conclude(struct vex_io *io, const char *dir, struct vex_err *err);

int vex_checkpoint_fail(struct vex_err *err, int r, const char *what, const char *path);

#endif
