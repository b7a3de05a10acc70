/* Inside of the graph set, shared by graph_set.c (which graphs there are, following) and graph_set_build.c (background work).
 *
 * Lock      `set->work.lock` comes after the collection's lock and is held for moments. Entries and parts are changed under the collection's
 *           lock exclusive, or by the worker (whoever set `running`) under it shared: what readers may look at meanwhile is atomic. */
#ifndef VEX_ENGINE_GRAPH_SET_PRIVATE_H
#define VEX_ENGINE_GRAPH_SET_PRIVATE_H

#include "engine/background.h"
#include "engine/graph_set.h"
#include "engine/internal.h"

/* A graph and what it still lacks. */
struct vex_graph_part {
    struct vex_graph *graph; /* NULL: none */
    uint32_t m, ef_construct;
    uint64_t *tail; /* live slots that are not linked, and some that are not live any more */
    size_t tail_words;
    _Atomic uint64_t tail_count, dead;

    /* the worker's, and of those who hold the lock exclusive */
    uint32_t at;                           /* no tail slot below */
    uint32_t fresh, fresh_from, fresh_end; /* linked since the last refining, and where */
    enum { VEX_UPKEEP_NONE, VEX_UPKEEP_REFINE, VEX_UPKEEP_DROP, VEX_UPKEEP_MEND } upkeep;
    uint32_t upkeep_at, upkeep_end;
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

struct vex_graph_set {
    struct vex_collection *collection;
    struct vex_graph_entry **entries;
    uint32_t count;

    struct vex_background work;
    struct vex_graph **garbage; /* work.lock; graphs to be freed where nobody waits for it */
    uint32_t garbage_count;
    float *vector; /* the worker's */
    uint32_t vector_size;
};

/* graph_set.c */
/* Exclusive: the part's graph goes, to be freed later. */
void vex_graph_part_clear(struct vex_graph_set *set, struct vex_graph_part *part);
struct vex_graph_entry *vex_graph_set_find(const struct vex_graph_set *set, uint8_t ordinal);
/* Whether a graph is to be begun, with so many vectors. */
bool vex_graph_entry_wants(const struct vex_graph_entry *entry, uint64_t vectors);
bool vex_graph_entry_settled(const struct vex_graph_entry *entry, const struct vex_graph_part *part);
bool vex_graph_part_is_worn(const struct vex_graph_part *part);

/* graph_set_build.c */
bool vex_graph_set_piece(struct vex_background *work);

#endif
