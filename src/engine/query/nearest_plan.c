/* Dense vectors: whether the graph serves a query, and how. See nearest.h.
 *
 * Ways      A walk through all nodes, with a beam that is wider the fewer may be answered; posting lists, where few are; a scan of
 *           the candidates' codes; and without the graph, the exact search of the device. While there are no lists, a walk through
 *           candidates only, where none near the query is one.
 * Exactness Up to SCAN_MOST candidates nothing is walked unless it is much cheaper: both scans give all of the nearest (that of codes
 *           by the bound of graph_scan.c).
 * Costs     Nanoseconds, from what the machine takes for a code (machine.h) and how many codes a step is worth, which was
 *           measured with bench_engine_filtered. */
#include <math.h>

#include "engine/graph_set.h"
#include "engine/index/ivf.h"
#include "engine/index/machine.h"
#include "engine/query/nearest.h"

#define SCAN_MOST        5000u  /* candidates up to which an answer is exact, if it can be helped */
#define SCAN_PATIENCE    3.0    /* it may cost so many times what another way does */
#define APART_NS         30.0   /* for an original that doesn't lie next to the one before */
#define CODES_NEAR       60000u /* codes that stay in a cache; beyond, memory is waited for */
#define CODES_FAR_FACTOR 2.5
#define CODE_SHARE       0.25   /* of what a code costs, whatever its dimensions */
#define START_CODES      2500.0 /* a walk, before its first step, in codes */
#define WALK_CODES       45.0   /* a place of the beam */
#define THROUGH_FACTOR   5.0    /* walks through candidates look two links far */
#define SHARE_LEAST      0.02 /* no walk through all nodes is wider than this asks for; below, there is none */
#define PLAIN_SHARE      0.99 /* and above which all match, about */
#define SPARSE_SHARE     0.25 /* and below this they are wider, since a node has few neighbours that match */
#define SPARSE_SHARE_DOT 0.6  /* for inner products */
#define WIDEN_MOST       6.0
#define BORDER_TIMES     4.0  /* the least: what is nearest lies along a border then, as a rule */
#define THROUGH_MIN      4u   /* places of the beam times this: so few matches are compared one by one */
#define LIST_TEST_NS     1.5  /* whether a slot of a posting list is a candidate */
#define LISTS_OPENED     0.3  /* of the lists, whose centroids are compared */
#define LISTS_MORE       1.5  /* lists looked through, for each that may be in vain, */
#define LISTS_FIRST      12.0 /* and before these */
#define BORDER_PATIENCE  2.0  /* times what a walk costs, where candidates end: walks miss more there */
#define NEAR_WEIGHT      0.8  /* of the part that is allowed near the query, against that of all */
#define REACH_PLAIN      10.0 /* lists that suit the vectors well have it; others are looked through longer */
#define PATIENCE_MIN     8u
#define PATIENCE_MAX     128u
#define CHANCE           2.0   /* deviations */
#define LISTS_CANDIDATES 2048u /* so few are scanned */
#define TAIL_SHARE       2u    /* no walk while one candidate in so many may be in the tail */

static double exact_ns(const struct vex_vector_params *params, uint64_t count, bool apart)
{
    double vector = vex_machine()->vector_next * vex_vectors_stride(params) / (128 * sizeof(float));

    return (double)count * (vector + (apart ? APART_NS : 0));
}

/* A code that is sent for ahead of time. */
static double code_ns(const struct vex_vector_params *params)
{
    return vex_machine()->code_far * (CODE_SHARE + (1 - CODE_SHARE) * params->size / 128);
}

static double codes_ns(const struct vex_vector_params *params, uint64_t count)
{
    double near = count < CODES_NEAR ? (double)count : CODES_NEAR, far = (double)count - near;

    return (near + far * CODES_FAR_FACTOR) * code_ns(params);
}

/* Walks through candidates are wider when they are sparse: a node has few neighbours that match. Inner products have no triangle
 * inequality: their matches lie further apart. */
uint32_t vex_nearest_width(const struct vex_walk *walk, enum vex_walk_way way, enum vex_distance distance,
                           double share)
{
    double sparse = distance == VEX_DISTANCE_DOT ? SPARSE_SHARE_DOT : SPARSE_SHARE, times = 1, places;

    if (way == VEX_WALK_ALL)
        times = 1 / (share > SHARE_LEAST ? share : SHARE_LEAST);
    else if (share < sparse)
        times = share * WIDEN_MOST > sparse ? sparse / share : WIDEN_MOST;
    if (way == VEX_WALK_THROUGH && times < BORDER_TIMES)
        times = BORDER_TIMES;
    places = ceil(walk->ef * times);
    return places < VEX_GRAPH_EF_MAX ? (uint32_t)places : VEX_GRAPH_EF_MAX;
}

static double walk_ns(const struct vex_vector_params *params, const struct vex_walk *walk,
                      enum vex_walk_way way, double share)
{
    double places = vex_nearest_width(walk, way, params->distance, share);

    places *= way == VEX_WALK_THROUGH ? THROUGH_FACTOR : 1;
    return (START_CODES + places * WALK_CODES) * code_ns(params);
}

uint32_t vex_nearest_patience(const struct vex_walk *walk)
{
    double times = (double)vex_ivf_reach(walk->ivf) / REACH_PLAIN;
    uint32_t ef = walk->ef < PATIENCE_MIN ? PATIENCE_MIN : walk->ef < PATIENCE_MAX ? walk->ef : PATIENCE_MAX;

    return times > 1 ? (uint32_t)(ef * times) : ef;
}

/* Through posting lists, when so great a share of what is in them are candidates. */
static double lists_ns(const struct vex_vector_params *params, const struct vex_walk *walk, double share)
{
    double lists = vex_ivf_lists(walk->ivf), slots = vex_graph_count(walk->view.graph) / lists;
    double looked = LISTS_MORE * vex_nearest_patience(walk) + LISTS_FIRST;

    looked = looked < lists ? looked : lists;
    return (START_CODES / 2 + LISTS_OPENED * lists + looked * slots * share) * code_ns(params) +
           looked * slots * LIST_TEST_NS;
}

/* At least so many times what is wanted, but never so many that there is no walk. */
static uint64_t oversampled(uint64_t ef, uint64_t want, double times)
{
    double places = times > 1 ? ceil((double)want * times) : 0;

    if (ef >= VEX_GRAPH_EF_MAX || !(places > (double)ef))
        return ef;
    return places < VEX_GRAPH_EF_MAX ? (uint64_t)places : VEX_GRAPH_EF_MAX;
}

/* The beam of what may be answered; 0: it would be too wide. */
static uint32_t beam(const struct vex_walk *walk, const struct vex_nearest *request, uint64_t want)
{
    uint64_t ef = request->ef != 0 ? request->ef : walk->view.ef;

    if (ef > VEX_GRAPH_EF_MAX)
        ef = VEX_GRAPH_EF_MAX;
    if (walk->share < PLAIN_SHARE && walk->way == VEX_WALK_ALL && ef < want + want / 2)
        ef = want + want / 2; /* a walk that finds too few by chance was in vain */
    if (ef < want)
        ef = want;
    ef = oversampled(ef, want, request->oversampling);
    return ef > VEX_GRAPH_EF_MAX ? 0 : (uint32_t)ef;
}

static bool may_scan(const struct vex_walk *walk, uint64_t want)
{
    return want <= VEX_WALK_SCAN_WANT && !vex_nearest_of_bits(walk->view.graph);
}

/* Of what goes by the graph; lists take the place of a walk that costs more. */
static double own_ns(const struct vex_vector_params *params, struct vex_walk *walk)
{
    double ns = walk_ns(params, walk, walk->way, walk->share), lists;

    if (walk->ivf == NULL)
        return ns;
    lists = lists_ns(params, walk, walk->share);
    if (lists >= ns)
        return ns;
    walk->way = VEX_WALK_LISTS;
    return lists;
}

/* Between a walk, if there is one, the scan of codes and the exact search. False: the latter. */
static bool choose(const struct vex_vector_params *params, uint64_t want, uint64_t count, bool filtered,
                   bool walks, struct vex_walk *walk)
{
    double exact = exact_ns(params, count, filtered), codes = codes_ns(params, count);
    bool scans = may_scan(walk, want) && codes < exact;
    double scan = scans ? codes : exact, own = walks ? own_ns(params, walk) : INFINITY;
    double patience = filtered && count <= SCAN_MOST ? SCAN_PATIENCE : 1;

    walk->ns = own;
    if (walks && walk->view.full_scan_kb != 0)
        return true; /* as the user asks for */
    if (own * patience < scan)
        return true;
    if (scans) {
        walk->way = VEX_WALK_SCAN;
        walk->ns = scan;
    }
    return scans;
}

double vex_nearest_share_near(const struct vex_walk *walk, double near)
{
    return NEAR_WEIGHT * near + (1 - NEAR_WEIGHT) * walk->share;
}

/* A share of what lies near a query that chance doesn't explain: what the filter allows has to do with the vectors. */
static bool is_correlated(double share, double near)
{
    return fabs(near - share) > CHANCE * sqrt(share * (1 - share) / VEX_GRAPH_NEAR);
}

enum vex_walk_way vex_nearest_way_beyond(const struct vex_walk *walk, const struct vex_vector_params *params,
                                         uint64_t want, uint64_t count, double near)
{
    enum vex_walk_way way = near > 0 ? VEX_WALK_ALL : VEX_WALK_THROUGH;
    double ns = walk_ns(params, walk, way, vex_nearest_share_near(walk, near)), scan = INFINITY;
    double patience = is_correlated(walk->share, near) ? BORDER_PATIENCE : 1;

    if (near == 0 && may_scan(walk, want) && walk->view.full_scan_kb == 0)
        scan = codes_ns(params, count);
    if (walk->ivf != NULL && lists_ns(params, walk, fmax(near, walk->share)) < fmin(patience * ns, scan))
        return VEX_WALK_LISTS;
    return scan < ns ? VEX_WALK_SCAN : way;
}

/* Lists for what a filter allows, when so few match that a walk would look far; they are made when they are missed. */
static const struct vex_ivf *lists_for(const struct vex_collection_data *data,
                                       const struct vex_vector_params *params, const struct vex_walk *walk,
                                       uint64_t count)
{
    const struct vex_graph *graph = walk->view.graph;
    const struct vex_ivf *ivf = vex_graph_lists(graph);

    if (walk->share >= PLAIN_SHARE || count < LISTS_CANDIDATES)
        return NULL;
    if (vex_graph_lists_due(graph))
        vex_graph_set_want_lists(data->graphs, params->ordinal);
    return ivf;
}

bool vex_nearest_walk_plan(const struct vex_collection_data *data, const struct vex_vector_params *params,
                           const struct vex_nearest *request, uint64_t want, uint64_t count,
                           struct vex_walk *ret)
{
    struct vex_graph_view *view = &ret->view;
    double linked;
    uint32_t places;
    bool walks;

    if (request->exact || count == 0 || !vex_graph_set_view(data->graphs, params->ordinal, view))
        return false;
    if (request->ignore_codes && vex_nearest_of_bits(view->graph))
        return false;
    linked = (double)vex_graph_count(view->graph) - (double)view->dead;
    if (linked < 1 || view->tail_count > count / TAIL_SHARE)
        return false;
    ret->share = (double)count / linked < 1 ? (double)count / linked : 1;
    ret->ivf = lists_for(data, params, ret, count);
    ret->way = ret->share < SHARE_LEAST ? VEX_WALK_THROUGH : VEX_WALK_ALL;
    ret->ef = beam(ret, request, want);
    places = vex_nearest_width(ret, ret->way, params->distance, ret->share);
    walks = ret->ef != 0 &&
            (ret->ivf != NULL || count > (uint64_t)places * (ret->way == VEX_WALK_THROUGH ? THROUGH_MIN : 1));
    if (view->full_scan_kb != 0)
        walks = walks && count * vex_vectors_stride(params) / 1024 >= view->full_scan_kb;
    if (!choose(params, want, count, ret->share < PLAIN_SHARE, walks, ret))
        return false;
    ret->ns += exact_ns(params, request->indexed_only ? view->held_count : view->tail_count, true);
    return true;
}
