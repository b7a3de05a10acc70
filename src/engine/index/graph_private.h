/* Inside of the graph, for its own files only. */
#ifndef VEX_ENGINE_INDEX_GRAPH_PRIVATE_H
#define VEX_ENGINE_INDEX_GRAPH_PRIVATE_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "engine/index/graph.h"
#include "engine/index/huge.h"

#define NO_SLOT UINT32_MAX

/* Where walks begin: a sample of the linked slots with copies of their codes, in groups around pivots (the first of each). A
 * query looks at all pivots and at the groups of the nearest ones. Never changed but for slots that are dropped (NO_SLOT); a
 * newer table takes its place as the graph grows. */
struct graph_entries {
    struct graph_entries *older; /* readers may be in it still: freed when nobody reads */
    uint32_t count, groups;
    uint32_t *begins; /* groups + 1: a group's first entry */
    _Atomic uint32_t *slots;
    uint8_t *codes;
};

struct vex_graph {
    struct vex_graph_params params;
    uint32_t degree;
    struct vex_codes codes;
    uint32_t slots; /* reserved */
    struct vex_huge code_memory, link_memory;
    _Atomic uint8_t *locks;   /* a byte a slot: its links are being changed */
    _Atomic uint64_t *linked; /* bitmap */
    _Atomic uint32_t count;

    struct graph_entries *_Atomic entries;      /* NULL: nothing is linked */
    _Atomic uint32_t entries_low, entries_high; /* counts of linked slots that call for another table */
    pthread_mutex_t entry_lock;                 /* changing entries */

    /* NULL: none. The one that serves, the one that is being built, those that readers may be in still. */
    struct vex_ivf *_Atomic ivf, *_Atomic ivf_next, *_Atomic ivf_old;
};

static inline uint8_t *graph_code(const struct vex_graph *graph, uint32_t slot)
{
    return (uint8_t *)graph->code_memory.base + (size_t)slot * graph->codes.stride;
}

static inline _Atomic uint32_t *graph_links(const struct vex_graph *graph, uint32_t slot)
{
    return (_Atomic uint32_t *)(void *)graph->link_memory.base + (size_t)slot * graph->degree;
}

/* The link at a place; NO_SLOT for none, and for an odd one. */
static inline uint32_t graph_link_at(const struct vex_graph *graph, const _Atomic uint32_t *links,
                                     uint32_t at)
{
    uint32_t slot = atomic_load_explicit(&links[at], memory_order_relaxed);

    return slot < graph->slots ? slot : NO_SLOT;
}

/* Of a query's form to the code of a slot. */
static inline uint32_t graph_dist(const struct vex_graph *graph, const uint8_t *query, uint32_t slot)
{
    return graph->codes.kernels.one(query, graph_code(graph, slot), graph->codes.stride);
}

static inline bool graph_bit(const uint64_t *bits, uint32_t slot)
{
    return (bits[slot / 64] >> (slot % 64) & 1) != 0;
}

static inline bool graph_is_linked(const struct vex_graph *graph, uint32_t slot)
{
    return (atomic_load_explicit(&graph->linked[slot / 64], memory_order_acquire) >> (slot % 64) & 1) != 0;
}

static inline void graph_lock(struct vex_graph *graph, uint32_t slot)
{
    while (atomic_exchange_explicit(&graph->locks[slot], 1, memory_order_acquire) != 0)
        sched_yield(); /* held for a microsecond, unless its holder was preempted */
}

static inline void graph_unlock(struct vex_graph *graph, uint32_t slot)
{
    atomic_store_explicit(&graph->locks[slot], 0, memory_order_release);
}

/* To the second level: the buffers of misses that the first level has would be full, and the walk would stand still. */
static inline void graph_prefetch(const void *from, size_t size)
{
    for (size_t i = 0; i < size; i += 64)
        __builtin_prefetch((const char *)from + i, 0, 2);
}

/* ---- scratch: what a walk needs, kept a thread, grows with the graphs it meets (graph_scratch.c) ---- */

struct graph_scratch {
    uint64_t *visited; /* bitmap, all zero between walks */
    uint32_t visited_slots;
    uint32_t *touched; /* slots to be forgotten; the last ones wait for being compared */
    uint32_t touched_count, touched_max;
    uint64_t *beam; /* distance, slot, whether expanded: see graph_search.c */
    uint32_t beam_count, beam_max;
    uint32_t *allowed; /* neighbours of one node that a filter lets through */
    uint32_t allowed_max;
    uint8_t *query, *node, *candidate; /* forms of a query, and of nodes that are compared with others */
    uint32_t query_max;
    const struct vex_graph
        *put_in; /* bits: what was put last, its form is finer than what its code stands for */
    uint32_t put_slot, put_max;
    uint8_t *put;
    float *unit; /* a vector made a unit one */
    uint32_t unit_max;
    struct vex_graph_hit *found; /* candidates of links */
    uint32_t found_max;
    uint32_t *nearest; /* distances of a scan */
    uint32_t nearest_max;
};

struct graph_scratch *graph_scratch(const struct vex_graph *graph, uint32_t ef);
struct vex_graph_hit *graph_scratch_found(struct graph_scratch *s, uint32_t count);
uint32_t *graph_scratch_nearest(struct graph_scratch *s, uint32_t count);
void graph_scratch_touch_more(struct graph_scratch *s);
/* A vector as it is coded. */
const float *graph_scratch_unit(const struct vex_graph *graph, struct graph_scratch *s, const float *vector);
/* Keeps the query's form of what is put, for the link that follows (graph_scratch_put, NULL: it is another slot's). */
void graph_scratch_note_put(const struct vex_graph *graph, struct graph_scratch *s, uint32_t slot,
                            const float *vector);
const uint8_t *graph_scratch_put(const struct vex_graph *graph, const struct graph_scratch *s, uint32_t slot);

/* What a slot's code stands for, as a query; in the buffer or in place. */
static inline const uint8_t *graph_as_query(const struct vex_graph *graph, uint32_t slot, uint8_t *buffer)
{
    return vex_codes_as_query(&graph->codes, graph_code(graph, slot), buffer);
}

/* Whether it was visited before; it is from now on. The caller notes it among the touched. */
static inline bool graph_mark(struct graph_scratch *s, uint32_t slot)
{
    uint64_t *word = &s->visited[slot / 64], before = *word;

    *word = before | UINT64_C(1) << (slot % 64);
    return (before >> (slot % 64) & 1) != 0;
}

/* Room for so many more touched slots. */
static inline void graph_touch_room(struct graph_scratch *s, uint32_t more)
{
    while (s->touched_max - s->touched_count < more)
        graph_scratch_touch_more(s);
}

/* False: it was visited before. */
static inline bool graph_visit(struct graph_scratch *s, uint32_t slot)
{
    if (graph_mark(s, slot))
        return false;
    graph_touch_room(s, 1);
    s->touched[s->touched_count++] = slot;
    return true;
}

static inline void graph_forget_visited(struct graph_scratch *s)
{
    for (uint32_t i = 0; i < s->touched_count; i++)
        s->visited[s->touched[i] / 64] = 0;
    s->touched_count = 0;
}

/* ---- walks (graph_search.c) ---- */

/* The beam is left in the scratch. Returns codes compared. */
uint64_t graph_walk(const struct vex_graph *graph, struct graph_scratch *s, const uint8_t *query, uint32_t ef,
                    const struct vex_graph_search *filter);

static inline uint32_t graph_beam_slot(uint64_t entry)
{
    return (uint32_t)(entry >> 1);
}

static inline uint32_t graph_beam_distance(uint64_t entry)
{
    return (uint32_t)(entry >> 33);
}

/* ---- links (graph_build.c) ---- */

/* The best `most` of candidates (nearest first), moved to the front; those before `kept` stay. Returns their number. */
uint32_t graph_choose(const struct vex_graph *graph, struct graph_scratch *s,
                      struct vex_graph_hit *candidates, uint32_t kept, uint32_t count, uint32_t most);
void graph_write_links(struct vex_graph *graph, uint32_t slot, const struct vex_graph_hit *hits,
                       uint32_t count);
void graph_sort_hits(struct vex_graph_hit *hits, uint32_t count);

/* ---- upkeep (graph_repair.c) ---- */

/* What a linked slot has of links to dropped ones gives way to links to what those lead to. False: it has none. */
bool graph_mend_node(struct vex_graph *graph, struct graph_scratch *s, uint32_t slot);
/* A slot that isn't linked is about to become another node: of those that lead to it, it loses the ones that it leads to itself, five
 * in six. Links to it are of no use any more: they would take up places and lead walks astray. */
void graph_detach(struct vex_graph *graph, struct graph_scratch *s, uint32_t slot);

/* ---- entries (graph_entries.c) ---- */

/* Linked slots out of evenly spread runs of the `count` there are, at most `most`. */
uint32_t graph_draw_sample(const struct vex_graph *graph, uint32_t count, uint32_t most, uint32_t *ret);
/* The number of linked slots has changed. */
void graph_entries_follow(struct vex_graph *graph, uint32_t count);
/* A slot is no entry any more. */
void graph_entries_remove(struct vex_graph *graph, uint32_t slot);
#define GRAPH_ENTRIES_MAX 4096u
#define GRAPH_GROUPS_MAX  128u
struct graph_entries *graph_entries_new(uint32_t count, uint32_t groups, size_t stride);
void graph_entries_free(struct graph_entries *entries); /* and older ones */

/* The nearest entries, at most `most` (of them only those in `allow` when it is given); *ret_scored codes were compared. */
uint32_t graph_entries_nearest(const struct vex_graph *graph, const uint8_t *query, const uint64_t *allow,
                               uint32_t most, struct vex_graph_hit *ret, uint64_t *ret_scored);

/* The table in the head of an image (graph_entries_file.c); the one that is read takes the place of none. False: it can't be one. */
void graph_entries_save(const struct vex_graph *graph, struct vex_buf *out);
bool graph_entries_load(struct vex_graph *graph, struct vex_cursor *c);

/* ---- posting lists (ivf.c) ---- */

/* A slot was linked; was taken out. */
void graph_lists_add(struct vex_graph *graph, uint32_t slot);
void graph_lists_remove(struct vex_graph *graph, uint32_t slot);

#endif
