/* Searches through posting lists: nearest first, until some in a row had nothing new.
 *
 * Order      Pivots are compared, then the centroids of the nearest groups; more groups are opened as the lists of these are used up.
 *            The lists that are open are a heap.
 * Memory     While the codes of one list's slots are on their way, those of the list before are compared. */
#include "engine/index/graph_beam.h"
#include "engine/index/ivf_private.h"

#define OPEN_GROUPS  4u   /* one in so many at once, at least, */
#define OPEN_LISTS   640u /* and lists of them */
#define CHUNKS_AHEAD 2u   /* of a list, sent for before it is looked through */
#define USED_UP      8u   /* more are opened when one open list in so many was looked through */

struct order {
    const struct vex_graph *graph;
    const struct vex_ivf *ivf;
    const uint8_t *query;
    const uint64_t *marks;
    uint64_t groups[IVF_GROUPS_MAX]; /* distance << 32 | number, ascending */
    uint32_t next_group;
    uint64_t heap[IVF_LISTS_MAX]; /* likewise of lists, the nearest on top */
    uint32_t open, opened, taken;
};

static inline void sort_in(uint64_t *keys, uint32_t at, uint64_t key)
{
    for (; at > 0 && keys[at - 1] > key; at--)
        keys[at] = keys[at - 1];
    keys[at] = key;
}

static void rank_groups(struct order *order)
{
    const struct vex_ivf *ivf = order->ivf;

    order->groups[0] = 0;
    for (uint32_t g = 0; g + 4 <= ivf->groups; g += 4) {
        uint32_t distances[4];
        ivf_compare_row(ivf, order->graph->codes.kernels.four, order->query, ivf_pivot(ivf, g), distances);
        for (uint32_t i = 0; i < 4; i++)
            sort_in(order->groups, g + i, (uint64_t)distances[i] << 32 | (g + i));
    }
}

static void sink(uint64_t *heap, uint32_t count, uint32_t at)
{
    uint64_t key = heap[at];
    uint32_t child;

    while ((child = 2 * at + 1) < count) {
        child += child + 1 < count && heap[child + 1] < heap[child];
        if (heap[child] >= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

/* Puts lists behind the heap. */
static void push_lists(struct order *order, const uint32_t *lists, uint32_t count)
{
    const uint8_t *codes[4];
    uint32_t distances[4];

    for (uint32_t i = 0; i < 4; i++)
        codes[i] = ivf_centroid(order->ivf, lists[i < count ? i : 0]);
    order->graph->codes.kernels.four(order->query, codes, order->ivf->stride, distances);
    for (uint32_t i = 0; i < count; i++)
        order->heap[order->open++] = (uint64_t)distances[i] << 32 | lists[i];
}

static void open_group(struct order *order)
{
    uint32_t g = (uint32_t)order->groups[order->next_group++], lists[4], count = 0, before = order->open;

    for (uint32_t list = order->ivf->begins[g]; list < order->ivf->begins[g + 1]; list++) {
        lists[count] = list;
        count += order->marks == NULL || graph_bit(order->marks, list);
        if (count == 4) {
            push_lists(order, lists, count);
            count = 0;
        }
    }
    if (count > 0)
        push_lists(order, lists, count);
    order->opened += order->open - before;
}

static void open_more(struct order *order)
{
    uint32_t groups = order->next_group + order->ivf->groups / OPEN_GROUPS + 1,
             lists = order->opened + OPEN_LISTS;

    while ((order->next_group < groups || order->opened < lists) && order->next_group < order->ivf->groups)
        open_group(order);
    for (uint32_t at = order->open / 2; at-- > 0;)
        sink(order->heap, order->open, at);
}

/* The nearest list that was not taken yet; NO_SLOT: none. */
static uint32_t take_list(struct order *order)
{
    uint32_t list, first;

    if (order->taken * USED_UP >= order->opened && order->next_group < order->ivf->groups)
        open_more(order);
    if (order->open == 0)
        return NO_SLOT;
    list = (uint32_t)order->heap[0];
    order->heap[0] = order->heap[--order->open];
    sink(order->heap, order->open, 0);
    order->taken++;
    first = atomic_load_explicit(&order->ivf->heads[list].first, memory_order_relaxed);
    graph_prefetch(ivf_chunk(order->ivf, first), CHUNKS_AHEAD * sizeof(struct ivf_chunk));
    return list;
}

/* The allowed slots of a list among the touched ones, their codes sent for. Returns their number. */
static uint32_t gather(const struct order *order, struct graph_scratch *s, uint32_t list,
                       const struct vex_ivf_search *search)
{
    const struct vex_graph *graph = order->graph;
    uint32_t begin = s->touched_count, ahead = graph_codes_ahead(graph), count = 0, most;
    uint32_t at = atomic_load_explicit(&order->ivf->heads[list].first, memory_order_acquire);

    most = search->words < graph->slots / 64 ? (uint32_t)search->words * 64 : graph->slots;
    while (at != IVF_NO_CHUNK) {
        const struct ivf_chunk *chunk = ivf_chunk(order->ivf, at);
        uint32_t used = atomic_load_explicit(&chunk->used, memory_order_acquire), *out;
        at = atomic_load_explicit(&chunk->next, memory_order_acquire);
        graph_touch_room(s, IVF_CHUNK_SLOTS + 1);
        out = s->touched + begin;
        for (uint32_t i = 0; i < used; i++) {
            uint32_t slot = atomic_load_explicit(&chunk->slots[i], memory_order_relaxed);
            out[count] = slot;
            count += slot < most && graph_bit(search->allow, slot);
        }
        s->touched_count = begin + count;
    }
    for (uint32_t i = 0; i < count && i < ahead; i++)
        graph_prefetch(graph_code(graph, s->touched[begin + i]), graph->codes.stride);
    return count;
}

/* Offers slots to the beam. True: some of them are among the `want` nearest. */
static bool compare(const struct order *order, struct graph_scratch *s, const uint32_t *slots, uint32_t count,
                    const struct vex_ivf_search *search)
{
    const struct vex_graph *graph = order->graph;
    uint32_t ahead = graph_codes_ahead(graph), nearest = search->ef;

    for (uint32_t i = 0; i < count; i += GRAPH_CHUNK) {
        uint64_t entries[GRAPH_CHUNK],
            worst = s->beam_count == search->ef ? s->beam[search->ef - 1] : UINT64_MAX;
        uint32_t part = count - i < GRAPH_CHUNK ? count - i : GRAPH_CHUNK, near;
        for (uint32_t j = i + ahead; j < count && j < i + ahead + GRAPH_CHUNK; j++)
            graph_prefetch(graph_code(graph, slots[j]), graph->codes.stride);
        near = beam_find_near(graph, order->query, slots + i, part, worst, entries);
        for (uint32_t j = 0; j < near; j++) {
            uint32_t place = beam_offer(s, search->ef, entries[j]);
            nearest = place < nearest ? place : nearest;
        }
    }
    return nearest < search->want;
}

/* Leaves the nearest in the beam. */
static void look_through(struct order *order, struct graph_scratch *s, const struct vex_ivf_search *search)
{
    uint32_t vain = 0, coming = 0, list, next = take_list(order);

    do {
        uint32_t arrived = coming;
        list = next;
        next = take_list(order);
        coming = list != NO_SLOT ? gather(order, s, list, search) : 0;
        if (compare(order, s, s->touched + s->touched_count - coming - arrived, arrived, search))
            vain = 0;
        else if (arrived > 0 && s->beam_count >= search->want)
            vain++;
        if (coming == 0 || s->touched_count > 4096) { /* compared ones are of no use any more */
            memmove(s->touched, s->touched + s->touched_count - coming, coming * sizeof *s->touched);
            s->touched_count = coming;
        }
    } while ((list != NO_SLOT || coming > 0) && vain < search->patience);
    s->touched_count = 0;
}

uint32_t vex_graph_search_lists(const struct vex_graph *graph, const struct vex_ivf *ivf,
                                const struct vex_ivf_search *search, struct vex_graph_hit *ret)
{
    struct graph_scratch *s = graph_scratch(graph, search->ef);
    struct order order;
    uint32_t count = 0;

    order.graph = graph;
    order.ivf = ivf;
    order.query = s->query;
    order.marks = search->marks;
    order.next_group = order.open = order.opened = order.taken = 0;
    vex_codes_query(&graph->codes, graph_scratch_unit(graph, s, search->query), s->query);
    s->beam_count = 0;
    rank_groups(&order);
    look_through(&order, s, search);
    for (uint32_t i = 0; i < s->beam_count; i++)
        ret[count++] = (struct vex_graph_hit){graph_beam_distance(s->beam[i]), graph_beam_slot(s->beam[i])};
    return count;
}
