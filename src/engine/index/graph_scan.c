/* Scans of codes: the allowed slots are compared one after the other, and those that may be among the nearest are kept.
 *
 * Bound      A code tells a distance with an error that is about normal: every element of a code and of a query is off by up to half a
 *            step, evenly (variance 1/12). What lies within six deviations of the farthest of the nearest by codes is kept: one of
 *            the truly nearest gets lost about once in 100,000 times. */
#include <math.h>

#include "engine/index/codes_kernels.h"
#include "engine/index/graph_private.h"

#define BLOCK           256u
#define AHEAD           2048u /* bytes of codes on their way */
#define DEVIATIONS      7.0
#define DEVIATIONS_SURE 4.0
#define STEP_VAR        (1.0 / 12)
#define DOT_SIZE        992.0 /* the square of an element, in steps: half of a code's range */

/* The nearest by codes so far: a heap, the farthest on top. */
struct nearest {
    uint32_t *distances;
    uint32_t count, most;
};

struct scan {
    const struct vex_graph *graph;
    struct graph_scratch *s;
    struct nearest nearest;
    double elements; /* DOT: squared elements of a query and a code */
    uint32_t bound;  /* what lies beyond isn't kept */
    uint32_t kept, room;
};

static void sink(uint32_t *heap, uint32_t count, uint32_t value)
{
    uint32_t at = 0, child;

    while ((child = 2 * at + 1) < count) {
        child += child + 1 < count && heap[child + 1] > heap[child];
        if (heap[child] <= value)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

static void rise(uint32_t *heap, uint32_t at, uint32_t value)
{
    for (; at > 0 && heap[(at - 1) / 2] < value; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = value;
}

/* Of what codes say about a distance, in steps. */
static double deviation(const struct scan *scan, uint32_t distance)
{
    uint32_t dimensions = scan->graph->params.dimensions;
    double variance;

    switch (scan->graph->params.distance) {
    case VEX_DISTANCE_L1:
        variance = 2 * STEP_VAR * dimensions;
        break;
    case VEX_DISTANCE_DOT:
        variance = STEP_VAR * scan->elements;
        break;
    default: /* of a square: twice the root; and of the errors' own squares */
        variance = 2 * STEP_VAR * (4 * (double)distance + dimensions);
    }
    return sqrt(variance);
}

static void drop_far(struct scan *scan)
{
    struct vex_graph_hit *found = scan->s->found;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < scan->kept; i++)
        if (found[i].distance <= scan->bound)
            found[kept++] = found[i];
    scan->kept = kept;
}

static void keep(struct scan *scan, uint32_t distance, uint32_t slot)
{
    struct nearest *nearest = &scan->nearest;

    if (scan->kept == scan->room) {
        drop_far(scan);
        if (scan->kept > scan->room / 2)
            scan->room *= 2;
        graph_scratch_found(scan->s, scan->room);
    }
    scan->s->found[scan->kept++] = (struct vex_graph_hit){distance, slot};
    if (nearest->count < nearest->most) {
        rise(nearest->distances, nearest->count++, distance);
        if (nearest->count < nearest->most)
            return;
    } else if (distance < nearest->distances[0]) {
        sink(nearest->distances, nearest->count, distance);
    } else {
        return;
    }
    double bound = nearest->distances[0] + DEVIATIONS * deviation(scan, nearest->distances[0]) + 1;
    scan->bound = bound < UINT32_MAX ? (uint32_t)bound : UINT32_MAX;
}

static void compare(struct scan *scan, const uint32_t *slots, uint32_t count)
{
    const struct vex_graph *graph = scan->graph;
    uint32_t stride = graph->codes.stride, ahead = AHEAD / stride + 4;

    for (uint32_t i = 0; i < count && i < ahead; i++)
        graph_prefetch(graph_code(graph, slots[i]), stride);
    for (uint32_t i = 0; i < count; i += 4) {
        uint32_t distances[4];
        const uint8_t *codes[4];
        for (uint32_t j = 0; j < 4; j++) {
            codes[j] = graph_code(graph, slots[i + j < count ? i + j : count - 1]);
            if (i + j + ahead < count)
                graph_prefetch(graph_code(graph, slots[i + j + ahead]), stride);
        }
        graph->codes.kernels.four(scan->s->query, codes, stride, distances);
        for (uint32_t j = 0; j < 4 && i + j < count; j++)
            if (distances[j] <= scan->bound)
                keep(scan, distances[j], slots[i + j]);
    }
}

static void scan_all(struct scan *scan, const uint64_t *allow, size_t words)
{
    uint32_t slots[BLOCK + 64], count = 0;

    for (uint32_t w = 0; w < words && w < scan->graph->slots / 64; w++) {
        uint64_t bits = allow[w];
        if (bits == 0)
            continue;
        bits &= atomic_load_explicit(&scan->graph->linked[w], memory_order_acquire);
        for (; bits != 0; bits &= bits - 1)
            slots[count++] = w * 64 + (uint32_t)__builtin_ctzll(bits);
        if (count < BLOCK)
            continue;
        compare(scan, slots, count);
        count = 0;
    }
    compare(scan, slots, count);
}

static double squares(const struct vex_graph *graph, const uint8_t *query)
{
    double sum = 0;

    for (uint32_t i = 0; i < graph->params.dimensions; i++)
        sum += (query[i] - VEX_CODE_CENTRE) * (query[i] - VEX_CODE_CENTRE);
    return sum + DOT_SIZE * graph->params.dimensions;
}

bool vex_graph_scans(const struct vex_graph *graph, const float *query)
{
    struct graph_scratch *s = graph_scratch(graph, 1);

    return graph->params.codes.kind == VEX_CODES_7_BITS && vex_graph_trained(graph) &&
           vex_codes_excess(&graph->codes, graph_scratch_unit(graph, s, query)) <=
               (float)graph->params.dimensions;
}

/* What the originals of all that wasn't kept are farther away than. */
static float surely(const struct scan *scan)
{
    const struct vex_codes *codes = &scan->graph->codes;
    double steps;

    if (scan->bound == UINT32_MAX || codes->distance == VEX_DISTANCE_DOT)
        return INFINITY;
    steps = (double)scan->bound - deviation(scan, scan->bound) * DEVIATIONS_SURE - 1;
    if (codes->distance != VEX_DISTANCE_L1)
        steps -= 2 * STEP_VAR * codes->dimensions;
    return steps > 0 ? vex_codes_distance(codes, (uint32_t)steps) : -INFINITY;
}

uint32_t vex_graph_scan(const struct vex_graph *graph, const float *query, const uint64_t *allow,
                        size_t words, uint32_t want, const struct vex_graph_hit **ret, float *ret_surely)
{
    struct graph_scratch *s = graph_scratch(graph, 1);
    struct scan scan = {.graph = graph, .s = s, .bound = UINT32_MAX, .room = 4 * want + BLOCK};

    scan.nearest = (struct nearest){graph_scratch_nearest(s, want), 0, want};
    graph_scratch_found(s, scan.room);
    vex_codes_query(&graph->codes, graph_scratch_unit(graph, s, query), s->query);
    if (graph->params.distance == VEX_DISTANCE_DOT)
        scan.elements = squares(graph, s->query);
    scan_all(&scan, allow, words);
    drop_far(&scan);
    *ret = s->found;
    *ret_surely = surely(&scan);
    return scan.kept;
}
