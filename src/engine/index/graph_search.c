/* Walks: the beam is one sorted array; the nearest entry that was not expanded yet is expanded, until there is none.
 *
 * Memory     is what a walk waits for, so comparing stays behind: while the codes of a node's unseen neighbours are on their way, the
 *            next nodes are expanded. Some of them the comparison would have put off; nearly all would come up anyway. The links
 *            of what enters the beam are prefetched then.
 * Branches   that can't be foreseen are few: unseen neighbours are found by conditional moves, as near ones are (graph_beam.h). */
#include "engine/index/graph_beam.h"

#define STARTS     8u   /* entries that a walk begins at */
#define BRIDGES    2u   /* of them not allowed ones, when it goes through allowed slots only */
#define DRAWS      32u  /* allowed slots drawn to begin at */
#define LOOKS      512u /* words of the bitmap looked at for that */
#define FEW_OTHERS 5u   /* one neighbour in so many that is not allowed: there are ways enough without them */
#define BEHIND     2u   /* nodes expanded before one's neighbours are compared */

/* Slots about to be compared: some of the scratch's touched ones. */
struct batch {
    uint32_t begin, count;
};

/* The touched slots from `begin` on, their codes sent for. */
static inline struct batch batch_from(const struct vex_graph *graph, const struct graph_scratch *s,
                                      uint32_t begin)
{
    struct batch batch = {begin, s->touched_count - begin};
    uint32_t ahead = graph_codes_ahead(graph);

    for (uint32_t i = 0; i < batch.count && i < ahead; i++)
        graph_prefetch(graph_code(graph, s->touched[begin + i]), graph->codes.stride);
    return batch;
}

/* Unseen neighbours of a node. */
static inline struct batch gather(const struct vex_graph *graph, struct graph_scratch *s, uint32_t slot)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);
    uint32_t begin = s->touched_count, count = 0, *out;

    graph_touch_room(s, graph->degree);
    out = s->touched + begin;
    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t to = graph_link_at(graph, links, i);
        if (to == NO_SLOT)
            break;
        out[count] = to;
        count += !graph_mark(s, to);
    }
    s->touched_count += count;
    return batch_from(graph, s, begin);
}

/* Unseen allowed neighbours, and those of neighbours that are not allowed, unless these are few. */
static struct batch gather_through(const struct vex_graph *graph, struct graph_scratch *s, uint32_t slot,
                                   const uint64_t *allow)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);
    uint32_t count = 0, passed = 0, others = 0, linked = 0, begin, *passing;

    graph_touch_room(s, graph->degree * (graph->degree + 1));
    passing = s->touched + s->touched_count;
    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t to = graph_link_at(graph, links, i);
        if (to == NO_SLOT)
            break;
        linked++;
        others += !graph_bit(allow, to);
        if (graph_mark(s, to))
            continue;
        if (graph_bit(allow, to)) {
            s->allowed[count++] = to;
            continue;
        }
        graph_prefetch((const void *)graph_links(graph, to), graph->degree * sizeof(uint32_t));
        passing[passed++] = to;
    }
    memcpy(passing + passed, s->allowed, count * sizeof *s->allowed);
    begin = s->touched_count + passed;
    s->touched_count = begin + count;
    for (uint32_t i = 0; i < passed && others * FEW_OTHERS > linked; i++) {
        const _Atomic uint32_t *next = graph_links(graph, passing[i]);
        for (uint32_t j = 0; j < graph->degree; j++) {
            uint32_t to = graph_link_at(graph, next, j);
            if (to == NO_SLOT)
                break;
            if (graph_bit(allow, to) && !graph_mark(s, to))
                s->touched[s->touched_count++] = to;
        }
    }
    return batch_from(graph, s, begin);
}

/* Compares the batch and offers it to the beam; the nearest place taken. */
static inline uint32_t compare(const struct vex_graph *graph, struct graph_scratch *s, const uint8_t *query,
                               struct batch batch, uint32_t ef)
{
    uint32_t nearest = ef, ahead = graph_codes_ahead(graph);
    const uint32_t *slots =
        batch.count > 0 ? s->touched + batch.begin : NULL; /* nothing touched yet: no array */

    for (uint32_t i = 0; i < batch.count; i += GRAPH_CHUNK) {
        uint64_t entries[GRAPH_CHUNK], worst = s->beam_count == ef ? s->beam[ef - 1] : UINT64_MAX;
        uint32_t count = batch.count - i < GRAPH_CHUNK ? batch.count - i : GRAPH_CHUNK, near;
        for (uint32_t j = i + ahead; j < batch.count && j < i + ahead + GRAPH_CHUNK; j++)
            graph_prefetch(graph_code(graph, slots[j]), graph->codes.stride);
        near = beam_find_near(graph, query, slots + i, count, worst, entries);
        for (uint32_t j = 0; j < near; j++) {
            uint32_t place = beam_offer(s, ef, entries[j]);
            if (place == ef)
                continue;
            graph_prefetch((const void *)graph_links(graph, graph_beam_slot(entries[j])),
                           graph->degree * sizeof(uint32_t));
            nearest = place < nearest ? place : nearest;
        }
    }
    return nearest;
}

/* Allowed slots out of evenly spread words of the bitmap: the matches of a filter may lie where no entry is near. */
static void draw_allowed(const struct vex_graph *graph, struct graph_scratch *s, const uint64_t *allow)
{
    uint32_t words = graph->slots / 64, looks = words < LOOKS ? words : LOOKS, drawn = 0;

    for (uint32_t i = 0; i < looks && drawn < DRAWS; i++) {
        uint32_t w = (uint32_t)((uint64_t)i * 7919 % looks * words / looks); /* a prime: not from one end */
        uint64_t bits = allow[w] & atomic_load_explicit(&graph->linked[w], memory_order_acquire);
        uint32_t slot = w * 64 + (uint32_t)(bits != 0 ? __builtin_ctzll(bits) : 0);
        if (bits == 0)
            continue;
        drawn++;
        graph_visit(s, slot);
    }
}

/* Fills the beam with where the walk begins. */
static uint64_t begin(const struct vex_graph *graph, struct graph_scratch *s, const uint8_t *query,
                      uint32_t ef, const struct vex_graph_search *filter)
{
    struct vex_graph_hit starts[STARTS];
    const uint64_t *through = filter != NULL && filter->through ? filter->allow : NULL;
    uint32_t most = ef < STARTS ? ef : STARTS, count, seeds;
    uint64_t scored, more = 0;
    struct batch batch;

    count = graph_entries_nearest(graph, query, through, most, starts, &scored);
    if (through != NULL && count + BRIDGES <= STARTS)
        count += graph_entries_nearest(graph, query, NULL, BRIDGES, starts + count, &more);
    for (uint32_t i = 0; i < count; i++) {
        if (!graph_visit(s, starts[i].slot))
            continue;
        beam_offer(s, ef, beam_entry(starts[i].distance, starts[i].slot));
        graph_prefetch((const void *)graph_links(graph, starts[i].slot), graph->degree * sizeof(uint32_t));
    }
    seeds = s->touched_count;
    if (filter != NULL)
        for (uint32_t i = 0; i < filter->seed_count && i < graph->degree * graph->degree; i++)
            if (vex_graph_has(graph, filter->seeds[i]))
                graph_visit(s, filter->seeds[i]);
    if (through != NULL && s->touched_count == seeds)
        draw_allowed(graph, s, through);
    batch = batch_from(graph, s, seeds);
    compare(graph, s, query, batch, ef);
    return scored + more + batch.count;
}

/* The nearest node that was not expanded yet, from place *at on: its batch, on its way. False: there is none. */
static inline bool expand(const struct vex_graph *graph, struct graph_scratch *s, const uint64_t *through,
                          uint32_t *at, struct batch *ret)
{
    uint32_t slot;

    while (*at < s->beam_count && (s->beam[*at] & 1) != 0)
        ++*at;
    *ret = (struct batch){0, 0};
    if (*at == s->beam_count)
        return false;
    slot = graph_beam_slot(s->beam[*at]);
    s->beam[(*at)++] |= 1;
    *ret = through != NULL ? gather_through(graph, s, slot, through) : gather(graph, s, slot);
    return true;
}

uint64_t graph_walk(const struct vex_graph *graph, struct graph_scratch *s, const uint8_t *query, uint32_t ef,
                    const struct vex_graph_search *filter)
{
    const uint64_t *through = filter != NULL && filter->through ? filter->allow : NULL;
    struct batch coming[BEHIND] = {{0, 0}};
    uint32_t at = 0, waiting = 0;
    uint64_t scored;

    s->beam_count = 0;
    scored = begin(graph, s, query, ef, filter);
    for (uint32_t turn = 0;; turn = (turn + 1) % BEHIND) {
        struct batch arrived = coming[turn];
        uint32_t nearest;
        if (!expand(graph, s, through, &at, &coming[turn]) && waiting == 0)
            break;
        waiting += coming[turn].count - arrived.count;
        scored += coming[turn].count;
        nearest = compare(graph, s, query, arrived, ef);
        at = nearest < at ? nearest : at;
    }
    graph_forget_visited(s);
    return scored;
}

/* The slots of the beam that may be found, at most `most`. */
static uint32_t take(const struct vex_graph *graph, const struct graph_scratch *s, const uint64_t *allow,
                     uint32_t most, struct vex_graph_hit *ret)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->beam_count && count < most; i++) {
        uint32_t slot = graph_beam_slot(s->beam[i]);
        if ((allow == NULL || graph_bit(allow, slot)) && graph_is_linked(graph, slot))
            ret[count++] = (struct vex_graph_hit){graph_beam_distance(s->beam[i]), slot};
    }
    return count;
}

uint32_t vex_graph_search(const struct vex_graph *graph, const struct vex_graph_search *search,
                          struct vex_graph_hit *ret, uint64_t *ret_scored)
{
    uint32_t ef = search->ef == 0                 ? 1
                  : search->ef < VEX_GRAPH_EF_MAX ? search->ef
                                                  : VEX_GRAPH_EF_MAX,
             count = 0;
    uint64_t scored = 0;

    if (vex_graph_trained(graph)) {
        struct graph_scratch *s = graph_scratch(graph, ef);
        vex_codes_query(&graph->codes, graph_scratch_unit(graph, s, search->query), s->query);
        scored = graph_walk(graph, s, s->query, ef, search);
        count = take(graph, s, search->allow, ef, ret);
    }
    if (ret_scored != NULL)
        *ret_scored = scored;
    return count;
}

double vex_graph_allowed_near(const struct vex_graph *graph, const float *query, const uint64_t *allow,
                              size_t words)
{
    struct graph_scratch *s = graph_scratch(graph, 1);
    struct vex_graph_hit near[VEX_GRAPH_NEAR];
    uint32_t count, allowed = 0;
    uint64_t scored;

    if (!vex_graph_trained(graph))
        return 0;
    vex_codes_query(&graph->codes, graph_scratch_unit(graph, s, query), s->query);
    count = graph_entries_nearest(graph, s->query, NULL, VEX_GRAPH_NEAR, near, &scored);
    for (uint32_t i = 0; i < count; i++)
        allowed += near[i].slot / 64 < words && graph_bit(allow, near[i].slot);
    return count > 0 ? (double)allowed / count : 0;
}

float vex_graph_distance(const struct vex_graph *graph, uint32_t distance)
{
    return vex_codes_distance(&graph->codes, distance);
}

void vex_graph_score(const struct vex_graph *graph, const float *query, const uint32_t *slots, uint32_t count,
                     struct vex_graph_hit *ret)
{
    struct graph_scratch *s = graph_scratch(graph, 1);
    uint32_t ahead = graph_codes_ahead(graph);

    vex_codes_query(&graph->codes, graph_scratch_unit(graph, s, query), s->query);
    for (uint32_t i = 0; i < count; i++) {
        if (i + ahead < count)
            graph_prefetch(graph_code(graph, slots[i + ahead]), graph->codes.stride);
        ret[i] = (struct vex_graph_hit){graph_dist(graph, s->query, slots[i]), slots[i]};
    }
}
