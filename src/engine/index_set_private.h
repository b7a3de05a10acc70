/* Inside of the index set, shared by index_set.c (which indexes there are, following), index_set_build.c (background work),
 * index_set_file.c (files) and index_set_auto.c (automatic indexes).
 *
 * Lock      `set->work.lock` comes after the collection's lock and is held for moments. Fields say whose they are:
 *           [c] written under the collection's lock exclusive, [w] the worker's (whoever set `running`), [s] set->work.lock. */
#ifndef VEX_ENGINE_INDEX_SET_PRIVATE_H
#define VEX_ENGINE_INDEX_SET_PRIVATE_H

#include "engine/background.h"
#include "engine/index_set.h"
#include "engine/internal.h"

/* One index. It is filled by the worker alone, who needs the collection's lock shared only to read points; from the moment it
 * is ready it is changed by the holder of the writer slot under the exclusive lock. */
struct vex_index_entry {
    _Atomic uint32_t refs;   /* the set's and the worker's */
    struct vex_str key;      /* its parameters encoded: same key, same index */
    struct vex_str field;    /* points into the key */
    struct vex_index *index; /* NULL: can't be made */
    bool ready;              /* [c] */
    bool gone;               /* [c] no longer in the configuration */

    bool filling;   /* written by the worker under the shared lock, read under the exclusive one */
    uint64_t *redo; /* while filling: slots touched since; of redo_words words */
    size_t redo_words;
    bool loaded;          /* [w] from its file; else filled from nothing */
    uint64_t complete_to; /* [w] when loaded: operation number */

    uint64_t changed;  /* writer slot, before it is ready [w]: slots followed since it was saved */
    uint64_t saved_ns; /* writer slot */
    bool saved;        /* [s] there is a file of it */
    bool want_save;    /* [s] */
    uint64_t done, total, began_ns, points; /* [s] progress */
};

struct vex_index_note {
    uint64_t blob; /* what the indexes hold of the slot, when it was live */
    uint32_t blob_len, slot;
    bool live;
};

/* Indexes that are being filled together. */
struct vex_index_pass {
    enum { VEX_PASS_NONE, VEX_PASS_LOAD, VEX_PASS_SCAN, VEX_PASS_REDO } stage;
    struct vex_index_entry **entries; /* references */
    uint32_t count;
    uint32_t at, end; /* LOAD: entry; SCAN: slot */
    unsigned rounds;
};

struct vex_index_set {
    struct vex_collection *collection;
    struct vex_index_entry **entries; /* [c] in the order of the configuration */
    uint32_t count;                   /* [c] */
    _Atomic uint32_t ready, filling;  /* [c], the worker: how many of them */

    uint64_t *pending; /* [c] slots noted; of pending_words words */
    size_t pending_words;
    struct vex_index_note *notes; /* [c] each slot once */
    size_t note_count, note_cap;

    struct vex_background work;
    bool saving;                /* [s] complete indexes must stay as they are */
    uint32_t unready;           /* [s] entries that will be ready */
    struct vex_index_pass pass; /* [w] */

    struct vex_index_auto *_Atomic automatic; /* NULL: nothing was missed yet */
};

static inline bool vex_index_bit(const uint64_t *bits, size_t words, uint32_t slot)
{
    return slot / 64 < words && (bits[slot / 64] >> (slot % 64) & 1) != 0;
}

static inline void vex_index_bit_set(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* index_set.c */
void vex_index_entry_unref(struct vex_index_entry *entry);
/* Adds a slot's payload as it is, if the slot is live; whether it is. Payloads readable: writer slot or shared lock. */
bool vex_index_entry_add(struct vex_index_entry *entry, const struct vex_collection_data *data,
                         uint32_t slot);

bool vex_index_same_path(const struct vex_path *a, const struct vex_path *b);
/* An index on the path, complete or not. */
bool vex_index_set_has(const struct vex_index_set *set, const struct vex_path *path);

/* index_set_auto.c */
/* Exclusive lock: the index on the path was deleted. */
void vex_index_auto_gone(struct vex_index_set *set, const struct vex_path *path);
bool vex_index_auto_runs(
    const struct vex_index_set *set); /* under set->work.lock: an index is being asked for */
void vex_index_auto_free(struct vex_index_set *set);

/* index_set_build.c */
bool vex_index_set_piece(struct vex_background *work);

/* index_set_file.c */
void vex_index_file_path(const struct vex_index_set *set, const struct vex_index_entry *entry,
                         char path[VEX_PATH_MAX]);
/* Fills the entry's fresh index. False: there is no file, or none that is sound; the index is as fresh. */
bool vex_index_file_load(struct vex_index_set *set, struct vex_index_entry *entry);
void vex_index_file_remove(struct vex_index_set *set, const struct vex_index_entry *entry);
/* Removes files of indexes that are not in the set, and those a crash left half written. */
void vex_index_file_sweep(struct vex_index_set *set);
/* Saves one entry that is wanted; false: there was none. Takes the writer slot itself when not `held`. */
bool vex_index_file_save_next(struct vex_index_set *set, bool held);

#endif
