/* Graphs of a collection: which dense names have one, and how they follow the points.
 *
 * Tail      A slot that becomes live is in the tail until the background has linked it: readers compare the tail exactly, so a point
 *           is found from the moment it is published.
 * Building  A name gets its graph once it has more vectors than its threshold: trained on a sample, then filled in the background,
 *           about a millisecond at a time under the shared lock. When the settings change another one is built beside the one that
 *           serves, and takes its place.
 * Held      A vector that lies out of what the codes have learnt is not linked: it stays in the tail for good, compared exactly. When
 *           they become many, a graph that learns anew is built beside, as for other settings.
 * Deletes   A linked slot whose point is gone is walked over and never answered. When there are many, links to them are mended. A
 *           slot that becomes live anew leaves the graph and is in the tail again.
 * Files     A graph is saved when it is built, now and then as it changes, and at the end. On opening it serves at once; what has
 *           changed since it was saved is in the tail (graph_set_file.c).
 * Memory    A loaded graph's pages leave the file for memory of their own; with `on_disk` they stay, and those of a graph that was built
 *           or has changed go over to its file whenever it was saved and nothing is left to be done on it.
 * Lock      The collection's: view needs it shared; reserve, born, gone and configure exclusive. */
#ifndef VEX_ENGINE_GRAPH_SET_H
#define VEX_ENGINE_GRAPH_SET_H

#include "engine/config.h"
#include "engine/index/graph.h"

struct vex_graph_set;
struct vex_collection;

/* ---- reading ---- */

struct vex_graph_view {
    const struct vex_graph *graph;
    const uint64_t *
        tail; /* a bit a slot; the background clears bits: read with vex_graph_tail_word, and before walking */
    const uint64_t *tail_some; /* a bit for each word of the tail: unset, it is empty */
    const uint64_t *held;      /* those of the tail that aren't to be linked; likewise */
    size_t tail_words;
    uint64_t tail_count; /* most that are set; 0: every live slot is linked */
    uint64_t held_count;
    uint64_t dead; /* linked slots whose points are gone */
    uint32_t ef;   /* beam when nothing else is asked for */
    uint32_t full_scan_kb;
};
/* False: the name has no graph. */
bool vex_graph_set_view(const struct vex_graph_set *set, uint8_t ordinal, struct vex_graph_view *ret);

static inline uint64_t vex_graph_tail_word(const struct vex_graph_view *view, size_t word)
{
    return word < view->tail_words ? __atomic_load_n(&view->tail[word], __ATOMIC_ACQUIRE) : 0;
}

/* The first word from `word` on that may have slots of the tail; SIZE_MAX: there is none. */
static inline size_t vex_graph_tail_next(const struct vex_graph_view *view, size_t word)
{
    while (word < view->tail_words) {
        uint64_t some = __atomic_load_n(&view->tail_some[word / 64], __ATOMIC_ACQUIRE) >> (word % 64);
        if (some != 0)
            return word + (size_t)__builtin_ctzll(some);
        word = (word / 64 + 1) * 64;
    }
    return SIZE_MAX;
}

static inline uint64_t vex_graph_held_word(const struct vex_graph_view *view, size_t word)
{
    return word < view->tail_words ? __atomic_load_n(&view->held[word], __ATOMIC_RELAXED) : 0;
}

/* A dense name's graph, told to users. */
struct vex_graph_info {
    uint8_t ordinal;
    bool stands; /* there is a graph that answers */
    bool
        building; /* slots wait for being linked, links for being tended, or a graph is about to be begun or replaced */
    uint64_t linked; /* live slots that don't wait: in it, or held */
    uint64_t waiting;
    uint64_t bytes; /* memory */
};
/* All dense names that could have one; in the arena. */
int vex_collection_graphs(struct vex_collection *collection, struct vex_arena *arena,
                          struct vex_graph_info **ret, uint32_t *ret_count, struct vex_err *err);
/* [blocks] Until the background has nothing to do; helps it, so it may be called on a thread of the pool. deadline_ns: of the monotonic
 * clock, 0: none. VEX_ETIMEOUT, VEX_ENOT_FOUND (dropped), VEX_ECORRUPT, VEX_EUNAVAILABLE (closing). */
int vex_collection_wait_graphs(struct vex_collection *collection, uint64_t deadline_ns, struct vex_err *err);

/* ---- life; for the engine ---- */

struct vex_graph_set *vex_graph_set_new(struct vex_collection *collection, const struct vex_config *config);
void vex_graph_set_free(struct vex_graph_set *set); /* NULL is fine; no work is under way */
struct vex_collection_data;
/* Takes graphs from their files, before anybody searches or writes; `data`: what the collection is about to be opened with, or is
 * open with, when recovery is over. */
void vex_graph_set_load(struct vex_graph_set *set, const struct vex_collection_data *data);
void vex_graph_set_start(struct vex_graph_set *set); /* once, when recovery is over and graphs are loaded */
/* Ends background work, for good: waits for the piece under way. */
void vex_graph_set_stop(struct vex_graph_set *set);
/* Writer slot, after stop: saves graphs that would take long to catch up. NULL is fine. */
void vex_graph_set_save(struct vex_graph_set *set);
/* Exclusive: follows a changed configuration. vex_graph_set_look afterwards. */
void vex_graph_set_configure(struct vex_graph_set *set, const struct vex_config *config);

/* ---- following writes ---- */

/* Exclusive. Room for slots below `slots`, so that born can't fail. VEX_ENO_MEMORY. */
int vex_graph_set_reserve(struct vex_graph_set *set, uint32_t slots);
/* Exclusive, when a slot gets vectors (`vectors`: the mask of those it has from now on), and when it loses some for good. */
void vex_graph_set_born(struct vex_graph_set *set, uint32_t slot, uint64_t vectors);
void vex_graph_set_gone(struct vex_graph_set *set, uint32_t slot, uint64_t vectors);
/* A search would have gone by posting lists, had there been any, or not outgrown ones. Any lock or none. */
void vex_graph_set_want_lists(struct vex_graph_set *set, uint8_t ordinal);
/* Bulk work has ended: graphs on disk are saved and give back the memory of what has changed. Shared lock. */
void vex_graph_set_shed(struct vex_graph_set *set);
/* There may be work for the background. Any lock or none. */
void vex_graph_set_look(struct vex_graph_set *set, uint64_t live);

#endif
