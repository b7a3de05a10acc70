/* Files of graphs: one a dense name, `graph.<ordinal>`, the image of the graph that serves.
 *
 * Owner     The graph set's worker, or the opening or closing thread. Lock: graph_set_private.h.
 * Mark      The number of an operation that was applied before the image was begun. The log is synced up to it before the file takes its
 *           name, so that no recovery comes out before it, and every later operation has a higher number.
 * Proof     that no code of an image is taken for that of another vector. Say slot S is linked in the image.
 *           - No row lives at S now: S is counted as dead and never answered; what is born there later leaves the graph first.
 *           - A row lives at S whose version is above the mark: S is in the tail, compared by its original, until its code was made anew.
 *           - A row lives at S whose version is not above the mark: it was written before the image was begun and has not changed since.
 *             Then S was linked with its code (an image is not begun while codes are in doubt), and has it in the image: the code
 *             of a slot changes only after another row was born there, and that row is the one that lives, with a version above the
 *             mark, or died. If the crash lost its birth, the row before it lives: but a slot is given anew only after a checkpoint in
 *             which it is dead, and what a checkpoint holds is not lost.
 *           A live slot that is not linked in the image is in the tail. So the image may be as old as it likes, and may hold
 *           codes and links from after its mark.
 * Damage    The head is checked at once, the rest in the background; a damaged file goes, and the graph is built anew. Until it is found
 *           out, odd links cost answers, not their truth: distances come from the originals.
 * Pages     of a graph on disk are private ones of its file. They go over to a newer one where both hold the same bytes, so it takes no proof
 *           that they may, and goes on beside searches and between any changes (vex_graph_file_remap).
 * Format    docs/disk-format.md, "graph file". */
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/graph_set_private.h"

#define NAME_LEN    16u
#define SAVE_SHARE  10u                   /* saved again when a tenth of it has changed */
#define CLOSE_SHARE 100u                  /* and at the end, when catching up would cost more than writing */
#define SAVE_NS     UINT64_C(60000000000) /* between two while it is being built, and after one that failed */

/* The first searches after a start have the machine to themselves: verifying begins so much later, unless somebody waits for it. It is
 * counted, not read from a clock, so that it ends whatever the clock does. */
#define VERIFY_NAPS 50u
#define NAP_NS      2000000

static const char prefix[] = "graph.";

static void file_path(const struct vex_graph_set *set, uint8_t ordinal, const char *suffix,
                      char path[VEX_PATH_MAX])
{
    char dir[VEX_PATH_MAX], name[NAME_LEN + 1];

    vex_collection_path(set->collection, dir);
    snprintf(name, sizeof name, "%s%u%s", prefix, ordinal, suffix);
    vex_file_join(path, dir, name);
}

static void remove_file(const struct vex_graph_set *set, uint8_t ordinal, const char *suffix)
{
    struct vex_io *io = set->collection->engine->io;
    char path[VEX_PATH_MAX];

    file_path(set, ordinal, suffix, path);
    (void)io->ops->unlink(io, path); /* one that stays is replaced, or removed by a later sweep */
}

static void refuse(const struct vex_graph_set *set, uint8_t ordinal, const struct vex_err *err)
{
    vex_warn("engine", "graph of vector %u of collection %llu is built anew: %s", ordinal,
             (unsigned long long)set->collection->id, err->text);
    if (err->code == VEX_ECORRUPT)
        remove_file(set, ordinal, "");
}

/* ---- loading ---- */

/* Which live slots the graph lacks or may have wrong, and which of its slots are dead. `unchanged`: no row is newer than the mark. */
static void compare(const struct vex_collection_data *data, uint8_t ordinal, struct vex_graph_part *part,
                    uint64_t mark, bool unchanged)
{
    const uint64_t *present = vex_rows_present(data->rows, ordinal);
    uint32_t slots = vex_rows_slots(data->rows);
    uint64_t tail = 0, dead = 0, doubtful = 0;

    for (uint32_t w = 0; w < part->tail_words; w++) {
        uint64_t live = present != NULL && w < (slots + UINT64_C(63)) / 64 ? present[w] : 0;
        uint64_t linked = vex_graph_linked_word(part->graph, w), doubt = 0;

        for (uint64_t rest = unchanged ? 0 : live & linked; rest != 0; rest &= rest - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(rest);
            if (vex_rows_at(data->rows, w * 64 + bit)->version > mark)
                doubt |= UINT64_C(1) << bit;
        }
        vex_graph_part_set_tail(part, w, (live & ~linked) | doubt);
        tail += (uint64_t)__builtin_popcountll(part->tail[w]);
        dead += (uint64_t)__builtin_popcountll(linked & ~live);
        doubtful += (uint64_t)__builtin_popcountll(doubt);
    }
    atomic_store(&part->tail_count, tail);
    atomic_store(&part->dead, dead);
    atomic_store(&part->doubtful, doubtful);
    atomic_store(&part->changed, tail + dead);
}

/* Whether graphs of the settings have these parameters, after both were brought into their ranges. */
static bool same_settings(const struct vex_graph_entry *entry, const struct vex_graph_params *params)
{
    struct vex_graph_params wanted = *params;
    struct vex_graph *like;
    bool same;

    wanted.m = entry->settings.m;
    wanted.ef_construct = entry->settings.ef_construct;
    like = vex_graph_new(&wanted);
    same = vex_graph_params(like)->m == params->m &&
           vex_graph_params(like)->ef_construct == params->ef_construct;
    vex_graph_free(like);
    return same;
}

static int check_label(const struct vex_graph_set *set, const struct vex_graph_entry *entry,
                       const struct vex_graph_label *label, struct vex_err *err)
{
    if (label->params.dimensions != entry->size || label->params.distance != entry->distance)
        return vex_err_set(err, VEX_ECORRUPT, "its file is of other vectors");
    if (label->mark >= atomic_load(&set->collection->next_op))
        return vex_err_set(err, VEX_ECORRUPT, "its file is newer than the collection");
    return 0;
}

/* A graph of other settings serves too, until one of the right ones takes its place. */
static int load_file(struct vex_graph_set *set, const struct vex_graph_entry *entry,
                     const struct vex_collection_data *data, struct vex_graph_part *part, struct vex_err *err)
{
    struct vex_io *io = set->collection->engine->io;
    struct vex_graph_label label;
    bool same;
    int rc = vex_graph_peek(io, part->file, &label, err);

    if (rc == 0)
        rc = check_label(set, entry, &label, err);
    label.params.codes.query = entry->settings.codes.query;
    label.params.normalise = vex_graph_entry_normalises(entry);
    if (rc == 0)
        rc = vex_graph_load(&label.params, io, part->file, &part->graph, err);
    if (rc != 0)
        return rc;
    same = same_settings(entry, &label.params);
    part->m = same ? entry->settings.m : label.params.m;
    part->ef_construct = same ? entry->settings.ef_construct : label.params.ef_construct;
    rc = vex_graph_part_reserve(part, vex_rows_slots(data->rows));
    if (rc != 0)
        return vex_err_set(err, rc, "no memory for it");
    compare(data, entry->ordinal, part, label.mark, set->collection->applied_op <= label.mark);
    part->saved = part->settling = part->remapped = true;
    part->torn = label.torn;
    part->saved_ns = vex_io_monotonic_ns(io);
    return 0;
}

void vex_graph_set_load(struct vex_graph_set *set, const struct vex_collection_data *data)
{
    struct vex_io *io = set->collection->engine->io;

    atomic_store(&set->sweep, true);
    atomic_store(&set->naps, VERIFY_NAPS);
    for (uint32_t i = 0; i < set->count; i++) {
        struct vex_graph_entry *entry = set->entries[i];
        struct vex_graph_part part = {0};
        char path[VEX_PATH_MAX];
        struct vex_err err;

        file_path(set, entry->ordinal, "", path);
        if (entry->settings.never || vex_io_open(io, path, VEX_IO_READ, &part.file) != 0)
            continue;
        if (load_file(set, entry, data, &part, &err) == 0) {
            entry->now = part;
            atomic_store(&set->collection->engine->has_graphs, true);
            continue;
        }
        vex_graph_part_clear(set, &part);
        refuse(set, entry->ordinal, &err);
    }
}

/* ---- verifying ---- */

/* Under the shared lock; the file stays open until the worker empties the garbage. */
static struct vex_file *file_of(struct vex_graph_set *set, uint8_t ordinal, struct vex_graph_verifier *ret)
{
    struct vex_graph_entry *entry;
    struct vex_file *file = NULL;

    vex_collection_work_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL && entry->now.file != NULL) {
        file = entry->now.file;
        *ret = entry->now.verifier;
    }
    vex_collection_work_end(set->collection);
    return file;
}

/* A part of the pause before verifying; false: it is over. */
static bool nap(struct vex_graph_set *set)
{
    uint32_t left = atomic_load(&set->naps);

    if (left == 0)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    atomic_compare_exchange_strong(&set->naps, &left, left - 1); /* it fails when the pause was cut short */
    return true;
}

/* The worker's own: searches don't wait for it. */
static void verify_on(struct vex_graph_set *set, uint8_t ordinal, const struct vex_file *file,
                      const struct vex_graph_verifier *verifier)
{
    struct vex_graph_entry *entry;

    vex_collection_work_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL && entry->now.file == file)
        entry->now.verifier = *verifier;
    vex_collection_work_end(set->collection);
}

static void verify_end(struct vex_graph_set *set, uint8_t ordinal, struct vex_file *file, int rc,
                       const struct vex_err *err)
{
    struct vex_graph_entry *entry;
    bool ours;

    vex_collection_write_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    ours = entry != NULL && entry->now.file == file;
    if (ours && rc != 0) {
        vex_graph_part_clear(set, &entry->now);
    } else if (ours) {
        vex_io_close(set->collection->engine->io, file);
        entry->now.file = NULL;
    }
    vex_collection_write_end(set->collection);
    if (ours && rc != 0)
        refuse(set, ordinal, err);
}

void vex_graph_file_verify(struct vex_graph_set *set, uint8_t ordinal)
{
    struct vex_graph_verifier verifier;
    struct vex_file *file;
    struct vex_err err;
    bool done;
    int rc;

    if (nap(set))
        return;
    file = file_of(set, ordinal, &verifier);
    if (file == NULL)
        return;
    rc = vex_graph_verify_piece(set->collection->engine->io, file, &verifier, &done, &err);
    if (rc == 0 && !done)
        verify_on(set, ordinal, file, &verifier);
    else
        verify_end(set, ordinal, file, rc, &err);
}

/* ---- where its pages are ---- */

bool vex_graph_entry_must_settle(const struct vex_graph_entry *entry)
{
    return !entry->settings.on_disk && entry->now.graph != NULL && entry->now.settling;
}

bool vex_graph_entry_must_remap(const struct vex_graph_entry *entry)
{
    return entry->settings.on_disk && entry->now.graph != NULL && entry->now.saved && !entry->now.remapped &&
           entry->now.file == NULL;
}

/* Reads a piece of the file that there is. */
static int read_piece(struct vex_graph_set *set, uint8_t ordinal, struct vex_graph_remap *remap,
                      struct vex_file **ret, struct vex_err *err)
{
    struct vex_io *io = set->collection->engine->io;
    char path[VEX_PATH_MAX];
    int rc;

    *ret = NULL;
    file_path(set, ordinal, "", path);
    rc = vex_io_open(io, path, VEX_IO_READ, ret);
    if (rc != 0)
        return vex_err_set(err, vex_err_errno(-rc), "cannot open %s: error %d", path, -rc);
    return vex_graph_remap_take(io, *ret, remap, err);
}

/* Without a file, or with one that can't be read, pages stay where they are until the next one is written. */
void vex_graph_file_remap(struct vex_graph_set *set, uint8_t ordinal)
{
    struct vex_graph_remap remap = {0};
    struct vex_graph_entry *entry;
    struct vex_file *file;
    struct vex_err err;
    int rc;

    vex_collection_work_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL)
        remap.at = entry->now.remap_at;
    vex_collection_work_end(set->collection);
    rc = read_piece(set, ordinal, &remap, &file, &err);
    vex_collection_work_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL && vex_graph_entry_must_remap(entry)) {
        entry->now.settling = true;
        entry->now.remapped =
            rc != 0 || !vex_graph_remap_put(entry->now.graph, set->collection->engine->io, file, &remap);
        entry->now.remap_at = entry->now.remapped ? 0 : remap.at;
    } else {
        rc = 0; /* the settings have changed, or the name is gone */
    }
    vex_collection_work_end(set->collection);
    vex_io_close(set->collection->engine->io, file);
    vex_graph_remap_done(&remap);
    if (rc != 0 && !atomic_load(&set->collection->dropped))
        vex_warn("engine", "graph of vector %u of collection %llu stays in memory: %s", ordinal,
                 (unsigned long long)set->collection->id, err.text);
}

/* ---- when to save ---- */

/* What can be saved, and has changed by at least one in so many. */
static bool has_changed(const struct vex_graph_part *part, uint32_t share)
{
    uint64_t changed = atomic_load_explicit(&part->changed, memory_order_relaxed);

    return part->graph != NULL && part->file == NULL && vex_graph_count(part->graph) > 0 &&
           atomic_load_explicit(&part->doubtful, memory_order_relaxed) == 0 &&
           (!part->saved || (changed > 0 && changed >= vex_graph_count(part->graph) / share));
}

bool vex_graph_part_is_due(const struct vex_graph_part *part, uint64_t now, bool building)
{
    return has_changed(part, part->shed && !building ? CLOSE_SHARE : SAVE_SHARE) &&
           ((!building && !part->save_failed) || now - part->saved_ns >= SAVE_NS);
}

void vex_graph_set_shed(struct vex_graph_set *set)
{
    bool any = false;

    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        if (!set->entries[i]->settings.on_disk)
            continue;
        atomic_store(&set->entries[i]->now.shed, true);
        any = true;
    }
    if (any)
        vex_background_schedule(&set->work);
}

/* ---- saving ---- */

struct vex_graph_saving {
    struct vex_graph_saver *saver;
    const struct vex_graph *graph;
    bool gone; /* the graph is dropped: exclusive lock */
    uint8_t ordinal;
    struct vex_file *file;
    uint64_t seq, changed;
};

void vex_graph_saving_graph_gone(struct vex_graph_set *set, const struct vex_graph *graph)
{
    if (set->saving != NULL && set->saving->graph == graph)
        set->saving->gone = true;
}

/* The end of a saving, good or bad; its file stays with `keep`. */
static void end_saving(struct vex_graph_set *set, bool keep)
{
    struct vex_graph_saving *saving = set->saving;
    struct vex_graph_entry *entry;

    if (saving == NULL)
        return;
    vex_io_close(set->collection->engine->io, saving->file);
    if (!keep)
        remove_file(set, saving->ordinal, ".tmp");
    vex_collection_work_begin(set->collection);
    entry = vex_graph_set_find(set, saving->ordinal);
    if (entry != NULL && !saving->gone) {
        entry->now.saved_ns = vex_io_monotonic_ns(set->collection->engine->io);
        entry->now.save_failed = !keep;
        entry->now.saved = entry->now.saved || keep;
        entry->now.remapped = entry->now.remapped && !keep;
        entry->now.remap_at = 0;
        entry->now.shed = false;
        if (keep)
            atomic_fetch_sub_explicit(&entry->now.changed, saving->changed, memory_order_relaxed);
    }
    set->saving = NULL;
    vex_collection_work_end(set->collection);
    vex_graph_saver_free(saving->saver);
    vex_mem_free(saving);
}

void vex_graph_saving_end(struct vex_graph_set *set)
{
    end_saving(set, false);
}

/* What is derived must not take the space that writes need. */
static int check_space(struct vex_graph_set *set, uint8_t ordinal, struct vex_err *err)
{
    struct vex_engine *engine = set->collection->engine;
    const struct vex_graph_entry *entry;
    uint64_t bytes = 0;

    vex_collection_work_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL && entry->now.graph != NULL)
        bytes = vex_graph_bytes(entry->now.graph);
    vex_collection_work_end(set->collection);
    if (vex_engine_space(engine) < engine->options.reserve_bytes + bytes)
        return vex_err_set(err, VEX_ENO_SPACE, "too little space is left");
    return 0;
}

/* Makes the file beside the one that is there, and its folder. */
static int make_file(struct vex_graph_set *set, uint8_t ordinal, struct vex_file **ret, struct vex_err *err)
{
    struct vex_io *io = set->collection->engine->io;
    char path[VEX_PATH_MAX];
    int rc;

    vex_collection_path(set->collection, path);
    rc = vex_file_mkdirs(io, path, err);
    if (rc != 0)
        return rc;
    file_path(set, ordinal, ".tmp", path);
    rc = vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, ret);
    return rc == 0 ? 0 : vex_err_set(err, vex_err_errno(-rc), "cannot create %s: error %d", path, -rc);
}

/* Writer slot. The mark first, then the image: what it holds of later operations does no harm. */
static int begin_saving(struct vex_graph_set *set, uint8_t ordinal, struct vex_err *err)
{
    struct vex_collection *collection = set->collection;
    struct vex_graph_entry *entry;
    struct vex_file *file;
    int rc = vex_collection_usable(collection, err);

    if (rc == 0)
        rc = vex_collection_whole(collection, err);
    if (rc == 0)
        rc = check_space(set, ordinal, err);
    if (rc == 0)
        rc = make_file(set, ordinal, &file, err);
    if (rc != 0)
        return rc;
    vex_collection_work_begin(collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL && has_changed(&entry->now, UINT32_MAX)) {
        set->saving = VEX_NEW(struct vex_graph_saving);
        *set->saving = (struct vex_graph_saving){
            .graph = entry->now.graph, .ordinal = ordinal, .file = file, .seq = collection->applied_seq};
        set->saving->changed = atomic_load_explicit(&entry->now.changed, memory_order_relaxed);
        set->saving->saver =
            vex_graph_saver_new(entry->now.graph, collection->applied_op,
                                entry->now.torn + entry->now.mending, collection->engine->io, file);
    }
    vex_collection_work_end(collection);
    if (set->saving == NULL) {
        vex_io_close(collection->engine->io, file);
        remove_file(set, ordinal, ".tmp");
    }
    return 0;
}

/* The image is whole: it takes its name. */
static int finish_file(struct vex_graph_set *set, struct vex_err *err)
{
    struct vex_engine *engine = set->collection->engine;
    char from[VEX_PATH_MAX], to[VEX_PATH_MAX];
    int rc = vex_engine_sync_log(engine, set->saving->seq, err);

    if (rc != 0)
        return rc;
    file_path(set, set->saving->ordinal, ".tmp", from);
    file_path(set, set->saving->ordinal, "", to);
    rc = engine->io->ops->rename(engine->io, from, to);
    vex_collection_path(set->collection, from);
    if (rc == 0)
        rc = engine->io->ops->dirsync(engine->io, from);
    return rc == 0 ? 0 : vex_err_set(err, vex_err_errno(-rc), "cannot rename to %s: error %d", to, -rc);
}

static void not_saved(const struct vex_graph_set *set, uint8_t ordinal, const struct vex_err *err)
{
    if (!atomic_load(&set->collection->dropped))
        vex_warn("engine", "graph of vector %u of collection %llu is not saved: %s", ordinal,
                 (unsigned long long)set->collection->id, err->text);
}

void vex_graph_saving_begin(struct vex_graph_set *set, uint8_t ordinal)
{
    struct vex_graph_entry *entry;
    struct vex_err err;
    int rc;

    vex_collection_acquire(set->collection);
    rc = begin_saving(set, ordinal, &err);
    vex_collection_release(set->collection);
    if (rc == 0)
        return;
    if (rc != VEX_EUNAVAILABLE)
        not_saved(set, ordinal, &err);
    vex_collection_work_begin(set->collection);
    entry = vex_graph_set_find(set, ordinal);
    if (entry != NULL) {
        entry->now.saved_ns = vex_io_monotonic_ns(set->collection->engine->io);
        entry->now.save_failed = true;
    }
    vex_collection_work_end(set->collection);
}

void vex_graph_saving_piece(struct vex_graph_set *set)
{
    struct vex_graph_saving *saving = set->saving;
    bool gone, done = false;
    struct vex_err err;
    int rc = 0;

    vex_collection_work_begin(set->collection);
    gone = saving->gone;
    if (!gone)
        vex_graph_saver_take(saving->saver);
    vex_collection_work_end(set->collection);
    if (!gone)
        rc = vex_graph_saver_put(saving->saver, &done, &err);
    if (rc == 0 && done)
        rc = finish_file(set, &err);
    if (rc != 0)
        not_saved(set, saving->ordinal, &err);
    if (gone || done || rc != 0)
        end_saving(set, done && rc == 0);
}

void vex_graph_set_save(struct vex_graph_set *set)
{
    if (set == NULL)
        return;
    end_saving(set, false); /* one that was cut short: it would be older */
    for (uint32_t i = 0; i < set->count; i++) {
        struct vex_err err;

        if (!has_changed(&set->entries[i]->now, CLOSE_SHARE))
            continue;
        if (begin_saving(set, set->entries[i]->ordinal, &err) != 0)
            not_saved(set, set->entries[i]->ordinal, &err);
        while (set->saving != NULL)
            vex_graph_saving_piece(set);
    }
}

/* ---- tidying ---- */

static bool is_known(void *arg, const char *name)
{
    const struct vex_graph_set *set = arg;
    char known[NAME_LEN + 1];

    for (uint32_t i = 0; i < set->count; i++) {
        snprintf(known, sizeof known, "%s%u", prefix, set->entries[i]->ordinal);
        if (!set->entries[i]->settings.never && strcmp(name, known) == 0)
            return true;
    }
    return false;
}

void vex_graph_file_sweep(struct vex_graph_set *set)
{
    atomic_store(&set->sweep, false);
    vex_collection_sweep(set->collection, prefix, is_known, set);
}
