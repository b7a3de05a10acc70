/* Inside of the graph set, shared by graph_set.c (which graphs there are, following), graph_set_build.c (background work) and
 * graph_set_file.c (files).
 *
 * Lock      `set->work.lock` comes after the collection's lock and is held for moments. Entries and parts are changed under the collection's
 *           lock exclusive, or by the worker (whoever set `running`) under it shared: what readers may look at meanwhile is atomic. */
#ifndef VEX_ENGINE_GRAPH_SET_PRIVATE_H
#define VEX_ENGINE_GRAPH_SET_PRIVATE_H

#include "engine/background.h"
#include "engine/graph_set.h"
#include "engine/index/graph_file.h"
#include "engine/internal.h"

/* A graph and what it still lacks. */
struct vex_graph_part {
    struct vex_graph *graph; /* NULL: none */
    uint32_t m, ef_construct;
    uint64_t *tail;      /* live slots that are not linked, and some that are not live any more */
    uint64_t *tail_some; /* a bit for each of its words; unset, the word is 0 */
    uint64_t *held; /* those of them that don't fit the codes: they stay; changed by the worker atomically */
    size_t tail_words;
    _Atomic uint64_t tail_count, held_count, dead;
    uint64_t learnt_of;    /* vectors there were when it was trained; 0: not known, it is loaded */
    _Atomic uint64_t come; /* slots that were linked or held since */
    _Atomic uint64_t
        doubtful; /* linked slots of a file that live anew since: in the tail too, until they were looked at */
    _Atomic uint64_t changed; /* slots linked or dropped since it was saved */

    /* the worker's, and of those who hold the lock exclusive */
    uint32_t at;                    /* no tail slot below */
    _Atomic uint32_t fresh;         /* linked since the last refining */
    uint32_t fresh_from, fresh_end; /* and where */
    _Atomic bool dropping;          /* the dead are being taken out */
    uint32_t drop_at;
    _Atomic uint32_t torn; /* dropped since the last mending began */
    uint32_t mending;      /* those that the one under way began with */
    _Atomic enum { VEX_UPKEEP_NONE, VEX_UPKEEP_REFINE, VEX_UPKEEP_MEND } upkeep;
    uint32_t upkeep_at, upkeep_end;
    _Atomic bool lists_wanted; /* searches miss posting lists */
    struct vex_file *file;     /* that it was loaded from, while it is being verified */
    struct vex_graph_verifier verifier;
    bool settling;         /* some of its pages may be the file's */
    _Atomic bool remapped; /* all are that can be, but for what has changed since */
    uint64_t remap_at;
    _Atomic bool shed; /* a save is due for less, so that they are again */
    bool saved, save_failed;
    uint64_t saved_ns; /* when that was tried last, or it was begun */
};

/* A dense name that may have a graph. */
struct vex_graph_entry {
    uint8_t ordinal;
    uint32_t size;
    enum vex_distance distance;
    enum vex_element element;
    struct vex_graph_settings settings;
    bool failed; /* its vectors can't be read: nothing more is built */
    struct vex_graph_part now, next;
};

struct vex_graph_trash {
    struct vex_graph *graph;
    struct vex_file *file;
};

struct vex_graph_set {
    struct vex_collection *collection;
    struct vex_graph_entry **entries;
    uint32_t count;

    struct vex_background work;
    struct vex_graph_trash *garbage; /* work.lock; to be freed by the worker, where nobody waits for it */
    uint32_t garbage_count;
    _Atomic bool sweep;    /* files may have to go */
    _Atomic uint32_t naps; /* left of the pause before loaded graphs are verified */
    struct vex_graph_saving
        *saving;   /* the worker's, or of who closes; set and cleared under the shared lock */
    float *vector; /* the worker's */
    uint32_t vector_size;
    bool
        settling; /* the worker's: the last piece was one of settling; then the memory of the next is made ready without the lock */
    char *spare;
};

/* graph_set.c */
/* Exclusive: the part's graph goes, to be freed later. */
void vex_graph_part_clear(struct vex_graph_set *set, struct vex_graph_part *part);
struct vex_graph_entry *vex_graph_set_find(const struct vex_graph_set *set, uint8_t ordinal);
/* Bytes are stored as they are; cosine is of unit vectors. */
static inline bool vex_graph_entry_normalises(const struct vex_graph_entry *entry)
{
    return entry->element == VEX_ELEMENT_U8 && entry->distance == VEX_DISTANCE_COSINE;
}
/* Whether a graph is to be begun, with so many vectors. */
bool vex_graph_entry_wants(const struct vex_graph_entry *entry, uint64_t vectors);
bool vex_graph_entry_settled(const struct vex_graph_entry *entry, const struct vex_graph_part *part);
/* Slots of the tail that are to be linked. */
uint64_t vex_graph_part_waiting(const struct vex_graph_part *part);
/* Too many vectors don't fit what its codes have learnt. */
bool vex_graph_part_has_drifted(const struct vex_graph_part *part);
bool vex_graph_part_is_worn(const struct vex_graph_part *part);
/* Exclusive: the tail's bits of the word, anew. */
void vex_graph_part_set_tail(struct vex_graph_part *part, size_t word, uint64_t bits);
/* Exclusive: room for slots below `slots` in graph and tail. VEX_ENO_MEMORY. */
int vex_graph_part_reserve(struct vex_graph_part *part, uint32_t slots);

/* graph_set_build.c */
/* Links are being mended or refined, or will be when all are linked. */
bool vex_graph_part_is_tended(const struct vex_graph_part *part);
bool vex_graph_set_piece(struct vex_background *work);

/* graph_set_file.c; the worker's, without a lock unless said */
/* What keeps a graph's pages where its settings want them: those of a loaded one come to memory; on disk, those of a saved one go over
 * to its file. Shared lock. */
bool vex_graph_entry_must_settle(const struct vex_graph_entry *entry);
bool vex_graph_entry_must_remap(const struct vex_graph_entry *entry);
void vex_graph_file_remap(struct vex_graph_set *set, uint8_t ordinal);  /* a piece */
void vex_graph_file_verify(struct vex_graph_set *set, uint8_t ordinal); /* a piece */
void vex_graph_file_sweep(struct vex_graph_set *set); /* removes files that are of no name, or half written */
/* Whether it is time to save a graph; `building`: there is more to be done on it. Shared lock. */
bool vex_graph_part_is_due(const struct vex_graph_part *part, uint64_t now, bool building);
void vex_graph_saving_begin(struct vex_graph_set *set, uint8_t ordinal);
void vex_graph_saving_piece(struct vex_graph_set *set);
void vex_graph_saving_end(struct vex_graph_set *set); /* gives up */
void vex_graph_saving_graph_gone(struct vex_graph_set *set,
                                 const struct vex_graph *graph); /* exclusive lock */

#endif
