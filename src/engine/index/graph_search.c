/* Walks: the beam is one sorted array; the nearest entry that was not expanded yet is expanded, until there is none.
 *
 * Beam       distance << 33 | slot << 1 | expanded: entries compare by distance.
 * Memory     is what a walk waits for. All unseen neighbours of a node are gathered and the first of their codes prefetched before
 *            one is compared, so that the misses overlap; the links of what enters the beam are prefetched then. */
#include "engine/index/graph_private.h"

#define STARTS  8u    /* entries that a walk begins at */
#define BRIDGES 2u    /* of them not allowed ones, when it goes through allowed slots only */
#define DRAWS   32u   /* allowed slots drawn to begin at */
#define LOOKS   512u  /* words of the bitmap looked at for that */
#define AHEAD   2048u /* bytes of codes on their way */

/* Puts a slot into the beam; its place, or ef when it is too far away. */
static inline uint32_t offer(struct graph_scratch *s, uint32_t ef, uint32_t distance, uint32_t slot)
{
    uint64_t entry = (uint64_t)distance << 33 | (uint64_t)slot << 1, *low = s->beam;
    uint32_t count = s->beam_count, place;

    if (count == ef) {
        if (entry >= s->beam[ef - 1])
            return ef;
        count--;
    }
    for (uint32_t rest = count; rest > 0;) {
        uint32_t half = (rest + 1) / 2; /* a conditional move, no branch: the outcome can't be predicted */
        low += low[half - 1] < entry ? half : 0;
        rest -= half;
    }
    place = (uint32_t)(low - s->beam);
    memmove(low + 1, low, (count - place) * sizeof *low);
    *low = entry;
    s->beam_count = count + 1;
    return place;
}

/* Unseen neighbours of a node. */
static inline uint32_t gather(const struct vex_graph *graph, struct graph_scratch *s, uint32_t slot)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);
    uint32_t count = 0;

    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t to = graph_link_at(graph, links, i);
        if (to == NO_SLOT)
            break;
        if (graph_visit(s, to))
            s->batch[count++] = to;
    }
    return count;
}

/* Unseen allowed neighbours, and those of neighbours that are not allowed. */
static uint32_t gather_through(const struct vex_graph *graph, struct graph_scratch *s, uint32_t slot,
                               const uint64_t *allow)
{
    const _Atomic uint32_t *links = graph_links(graph, slot);
    uint32_t count = 0, passed = 0, *passing = s->batch + graph->degree * graph->degree;

    for (uint32_t i = 0; i < graph->degree; i++) {
        uint32_t to = graph_link_at(graph, links, i);
        if (to == NO_SLOT)
            break;
        if (!graph_visit(s, to))
            continue;
        if (graph_bit(allow, to)) {
            s->batch[count++] = to;
            continue;
        }
        graph_prefetch((const void *)graph_links(graph, to), graph->degree * sizeof(uint32_t));
        passing[passed++] = to;
    }
    for (uint32_t i = 0; i < passed; i++) {
        const _Atomic uint32_t *next = graph_links(graph, passing[i]);
        for (uint32_t j = 0; j < graph->degree; j++) {
            uint32_t to = graph_link_at(graph, next, j);
            if (to == NO_SLOT)
                break;
            if (graph_bit(allow, to) && graph_visit(s, to))
                s->batch[count++] = to;
        }
    }
    return count;
}

/* Compares the batch and offers it to the beam; the nearest place taken. */
static inline uint32_t compare(const struct vex_graph *graph, struct graph_scratch *s, const uint8_t *query,
                               uint32_t count, uint32_t ef)
{
    uint32_t stride = graph->codes.stride, ahead = AHEAD / stride + 4, nearest = ef;
    size_t links = graph->degree * sizeof(uint32_t);

    for (uint32_t i = 0; i < count && i < ahead; i++)
        graph_prefetch(graph_code(graph, s->batch[i]), stride);
    for (uint32_t i = 0; i < count; i += 4) {
        uint32_t distances[4];
        const uint8_t *codes[4];
        for (uint32_t j = 0; j < 4; j++) {
            codes[j] = graph_code(graph, s->batch[i + j < count ? i + j : count - 1]);
            if (i + j + ahead < count)
                graph_prefetch(graph_code(graph, s->batch[i + j + ahead]), stride);
        }
        graph->codes.kernels.four(query, codes, stride, distances);
        for (uint32_t j = 0; j < 4 && i + j < count; j++) {
            uint32_t place = offer(s, ef, distances[j], s->batch[i + j]);
            if (place == ef)
                continue;
            graph_prefetch((const void *)graph_links(graph, s->batch[i + j]), links);
            nearest = place < nearest ? place : nearest;
        }
    }
    return nearest;
}

/* Allowed slots out of evenly spread words of the bitmap: the matches of a filter may lie where no entry is near. */
static uint32_t draw_allowed(const struct vex_graph *graph, struct graph_scratch *s, const uint64_t *allow,
                             uint32_t count)
{
    uint32_t words = graph->slots / 64, looks = words < LOOKS ? words : LOOKS, drawn = 0;

    for (uint32_t i = 0; i < looks && drawn < DRAWS; i++) {
        uint32_t w = (uint32_t)((uint64_t)i * 7919 % looks * words / looks); /* a prime: not from one end */
        uint64_t bits = allow[w] & atomic_load_explicit(&graph->linked[w], memory_order_acquire);
        uint32_t slot = w * 64 + (uint32_t)(bits != 0 ? __builtin_ctzll(bits) : 0);
        if (bits == 0)
            continue;
        drawn++;
        if (graph_visit(s, slot))
            s->batch[count++] = slot;
    }
    return count;
}

/* Fills the beam with where the walk begins. */
static uint64_t begin(const struct vex_graph *graph, struct graph_scratch *s, const uint8_t *query,
                      uint32_t ef, const struct vex_graph_search *filter)
{
    struct vex_graph_hit starts[STARTS];
    const uint64_t *through = filter != NULL && filter->through ? filter->allow : NULL;
    uint32_t most = ef < STARTS ? ef : STARTS, count, batch = 0;
    uint64_t scored, more = 0;

    count = graph_entries_nearest(graph, query, through, most, starts, &scored);
    if (through != NULL && count + BRIDGES <= STARTS)
        count += graph_entries_nearest(graph, query, NULL, BRIDGES, starts + count, &more);
    for (uint32_t i = 0; i < count; i++)
        if (graph_visit(s, starts[i].slot))
            offer(s, ef, starts[i].distance, starts[i].slot);
    if (filter != NULL)
        for (uint32_t i = 0; i < filter->seed_count && batch < graph->degree * graph->degree; i++)
            if (vex_graph_has(graph, filter->seeds[i]) && graph_visit(s, filter->seeds[i]))
                s->batch[batch++] = filter->seeds[i];
    if (through != NULL && batch == 0)
        batch = draw_allowed(graph, s, through, batch);
    compare(graph, s, query, batch, ef);
    return scored + more + batch;
}

uint64_t graph_walk(const struct vex_graph *graph, struct graph_scratch *s, const uint8_t *query, uint32_t ef,
                    const struct vex_graph_search *filter)
{
    const uint64_t *through = filter != NULL && filter->through ? filter->allow : NULL;
    uint64_t scored;
    uint32_t at = 0;

    s->beam_count = 0;
    scored = begin(graph, s, query, ef, filter);
    while (at < s->beam_count) {
        uint32_t count, nearest, slot = graph_beam_slot(s->beam[at]);

        if ((s->beam[at] & 1) != 0) {
            at++;
            continue;
        }
        s->beam[at] |= 1;
        count = through != NULL ? gather_through(graph, s, slot, through) : gather(graph, s, slot);
        scored += count;
        nearest = compare(graph, s, query, count, ef);
        at = nearest <= at ? nearest : at + 1;
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
        uint32_t width = ef;
        vex_codes_query(&graph->codes, graph_scratch_unit(graph, s, search->query), s->query);
        scored = graph_walk(graph, s, s->query, width, search);
        count = take(graph, s, search->allow, ef, ret);
        while (count < search->least && width < VEX_GRAPH_EF_MAX && s->beam_count == width) {
            width = width < VEX_GRAPH_EF_MAX / 4 ? 4 * width : VEX_GRAPH_EF_MAX;
            s = graph_scratch(graph, width);
            scored += graph_walk(graph, s, s->query, width, search);
            count = take(graph, s, search->allow, ef, ret);
        }
    }
    if (ret_scored != NULL)
        *ret_scored = scored;
    return count;
}

float vex_graph_distance(const struct vex_graph *graph, uint32_t distance)
{
    return vex_codes_distance(&graph->codes, distance);
}

void vex_graph_score(const struct vex_graph *graph, const float *query, const uint32_t *slots, uint32_t count,
                     struct vex_graph_hit *ret)
{
    struct graph_scratch *s = graph_scratch(graph, 1);
    uint32_t ahead = AHEAD / graph->codes.stride + 4;

    vex_codes_query(&graph->codes, graph_scratch_unit(graph, s, query), s->query);
    for (uint32_t i = 0; i < count; i++) {
        if (i + ahead < count)
            graph_prefetch(graph_code(graph, slots[i + ahead]), graph->codes.stride);
        ret[i] = (struct vex_graph_hit){graph_dist(graph, s->query, slots[i]), slots[i]};
    }
}
