/* Checkpoint of one collection: dirty pages of its tables and its manifest become the state on disk, all or
 * nothing.
 *
 * Order     (the caller has synced heaps and vector files) -> disk space taken for the tables, manifest.new
 *           and checkpoint.journal {head, runs, manifest, pages} written and synced, folder synced: THE
 *           COMMIT POINT -> pages copied into their tables and synced, manifest.new renamed to manifest,
 *           folder synced -> journal removed, private pages released. A crash in between replays the
 *           journal at opening. Checkpoints of a folder are numbered: a journal that is not newer than the
 *           manifest is ignored.
 * Lock      The collection's writer calls; nobody else writes rows, tables or heaps meanwhile. Readers may
 *           go on.
 * Format    docs/disk-format.md, "checkpoint". */
#ifndef VEX_ENGINE_STORE_CHECKPOINT_H
#define VEX_ENGINE_STORE_CHECKPOINT_H

#include "base/err.h"
#include "base/io.h"
#include "base/str.h"
#include "engine/store/table.h"

struct vex_checkpoint {
    struct vex_io *io;
    const char *dir; /* the collection's folder; created when absent */
    struct vex_table **tables;
    uint32_t table_count;
    struct vex_str
        manifest; /* opaque bytes; names the tables' page counts, so vex_table.pages must be final */
    uint64_t seq; /* goes into page trailers; never falls */
};

/* Writes the checkpoint. On failure before the commit point the old checkpoint stands and the tables keep
 * their dirty pages; after it, the next call (or opening) finishes the work: the caller treats the failure as
 * "try again later". Which of both it was the caller can't know and need not: nothing is settled before a
 * call returns 0. */
int vex_checkpoint_write(const struct vex_checkpoint *checkpoint, struct vex_err *err);

/* At opening: replays a complete journal, discards an incomplete one, returns the manifest bytes.
 * VEX_ENOT_FOUND: there has been no checkpoint yet. VEX_ECORRUPT: the manifest is damaged. */
int vex_checkpoint_recover(struct vex_io *io, const char *dir, struct vex_buf *ret_manifest,
                           struct vex_err *err);

#endif
