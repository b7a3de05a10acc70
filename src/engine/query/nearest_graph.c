/* Dense vectors by the graph: a walk over codes, the whole beam compared again with the originals, and the tail, which is not linked
 * yet, compared one by one. See nearest.h and graph_set.h.
 *
 * Filters   Walks go through all nodes, with a beam that is wider the fewer may be answered, down to a bound; below it through the
 *           allowed ones only. What comes back short is left to the exact search.
 * Codes     Of few bits, as a user has set them: a search may refuse them (then it is exact), ask for a wider beam, or take
 *           their estimates as scores. With 7 bits only the beam is widened: comparing it with the originals costs next to nothing.
 * Costs     Nanoseconds on an ordinary core; what decides is their ratio. */
#include "engine/query/nearest.h"

#include <math.h>

#include "base/mem.h"
#include "uapi/dist.h"

#define SCAN_MOST        20000u /* candidates beyond which nothing is compared one by one, if it can be helped */
#define BYTE_NS          0.08  /* of a vector compared */
#define APART_NS         30.0  /* for one that doesn't lie next to the one before */
#define WALK_NS          600.0 /* a place of the beam */
#define WALK_BYTE_NS     1.2   /* and for each dimension */
#define THROUGH_FACTOR   3.0   /* walks through matches look two links far */
#define THROUGH_SHARE    0.4   /* part of the nodes that match, below which walks go through matches only */
#define SPARSE_SHARE     0.25  /* and below this they are wider, since a node has few neighbours that match */
#define SPARSE_SHARE_DOT 0.6   /* for inner products */
#define WIDEN_MOST       6.0
#define THROUGH_MIN      4u   /* places of the beam times this: so few matches are compared one by one */
#define TAIL_SHARE       2u   /* no walk while one candidate in so many may be in the tail */
#define TAIL_PIECE       256u /* slots compared at once */

/* ---- whether to walk ---- */

static double scan_ns(const struct vex_vector_params *params, uint64_t count, bool apart)
{
    return (double)count * (vex_vectors_stride(params) * BYTE_NS + (apart ? APART_NS : 0));
}

/* How much wider a beam is when only a share of the nodes may be answered. Inner products have no triangle inequality: their matches
 * lie further apart. */
static double widening(enum vex_distance distance, double share)
{
    double sparse = distance == VEX_DISTANCE_DOT ? SPARSE_SHARE_DOT : SPARSE_SHARE;

    if (share >= THROUGH_SHARE)
        return 1 / share;
    if (share >= sparse)
        return 1;
    return share * WIDEN_MOST > sparse ? sparse / share : WIDEN_MOST;
}

/* At least so many times what is wanted, but never so many that there is no walk. */
static uint64_t oversampled(uint64_t ef, uint64_t want, double times)
{
    double places = times > 1 ? ceil((double)want * times) : 0;

    if (ef >= VEX_GRAPH_EF_MAX || !(places > (double)ef))
        return ef;
    return places < VEX_GRAPH_EF_MAX ? (uint64_t)places : VEX_GRAPH_EF_MAX;
}

static bool of_bits(const struct vex_graph *graph)
{
    return vex_graph_params(graph)->codes.kind != VEX_CODES_7_BITS;
}

/* The width of a walk; 0: it would be too wide. */
static uint32_t width(const struct vex_graph_view *view, enum vex_distance distance,
                      const struct vex_nearest *request, uint64_t want, double share)
{
    uint64_t ef = request->ef != 0 ? request->ef : view->ef;

    if (ef > VEX_GRAPH_EF_MAX)
        ef = VEX_GRAPH_EF_MAX;
    if (ef < want)
        ef = want;
    ef = oversampled(ef, want, request->oversampling);
    if (ef <= VEX_GRAPH_EF_MAX)
        ef = (uint64_t)((double)ef * widening(distance, share));
    return ef > VEX_GRAPH_EF_MAX ? 0 : (uint32_t)ef;
}

bool vex_nearest_walk_plan(const struct vex_collection_data *data, const struct vex_vector_params *params,
                           const struct vex_nearest *request, uint64_t want, uint64_t count,
                           struct vex_walk *ret)
{
    struct vex_graph_view *view = &ret->view;
    double linked, share, scan, tail;
    uint64_t bytes = count * vex_vectors_stride(params);

    if (request->exact || count == 0 || !vex_graph_set_view(data->graphs, params->ordinal, view))
        return false;
    if (request->ignore_codes && of_bits(view->graph))
        return false;
    linked = (double)vex_graph_count(view->graph);
    if (linked < 1 || view->tail_count > count / TAIL_SHARE)
        return false;
    share = (double)count / linked < 1 ? (double)count / linked : 1;
    ret->through = share < THROUGH_SHARE;
    ret->ef = width(view, params->distance, request, want, share);
    if (ret->ef == 0 || count <= (uint64_t)ret->ef * (ret->through ? THROUGH_MIN : 1))
        return false;
    scan = scan_ns(params, count, share < 0.99);
    tail = request->indexed_only ? 0 : scan_ns(params, view->tail_count, true);
    ret->ns = ret->ef * (WALK_NS + WALK_BYTE_NS * params->size) * (ret->through ? THROUGH_FACTOR : 1) + tail;
    if (view->full_scan_kb != 0)
        return bytes / 1024 >= view->full_scan_kb;
    return ret->ns < scan || (count > SCAN_MOST && ret->ns < 2 * scan);
}

/* ---- one query ---- */

struct run {
    struct vex_read *read;
    const struct vex_query_group *group;
    const struct vex_query *query;
    const struct vex_walk *walk;
    struct vex_top top;
    uint64_t *tail;  /* candidates that were not linked when the search began */
    uint64_t *allow; /* candidates, as wide as the graph */
};

static void run_done(struct run *run)
{
    vex_top_done(&run->top);
    vex_mem_free(run->tail);
    vex_mem_free(run->allow);
}

/* Noted before the walk: what is linked while it goes on is answered once all the same. */
static int note_tail(struct run *run)
{
    const struct vex_candidates *candidates = run->group->candidates;
    size_t words = vex_plan_words(candidates->slots);

    if (run->walk->view.tail_count == 0)
        return 0;
    run->tail = vex_mem_try(words * sizeof *run->tail);
    if (run->tail == NULL)
        return vex_read_no_memory(run->read);
    for (size_t w = 0; w < words; w++)
        run->tail[w] = candidates->allow[w] & vex_graph_tail_word(&run->walk->view, w);
    return 0;
}

/* Walks through matches draw places to begin at out of all the graph's slots: more bits than the candidates have. */
static int widen_allow(struct run *run)
{
    const struct vex_candidates *candidates = run->group->candidates;
    size_t words = vex_graph_slots(run->walk->view.graph) / 64, have = vex_plan_words(candidates->slots);

    run->allow = vex_mem_try((words > have ? words : have) * sizeof *run->allow);
    if (run->allow == NULL)
        return vex_read_no_memory(run->read);
    memcpy(run->allow, candidates->allow, have * sizeof *run->allow);
    if (words > have)
        memset(run->allow + have, 0, (words - have) * sizeof *run->allow);
    return 0;
}

static bool in_tail(const struct run *run, uint32_t slot)
{
    return run->tail != NULL && vex_plan_bit(run->tail, run->group->candidates->slots, slot);
}

/* Cosine of bytes, which are stored as they are: the device gives their products only. */
static int cosine(struct run *run, const uint32_t *slots, uint32_t count, float *ret)
{
    const struct vex_vector_params *params = run->group->params;
    const float *query = run->query->vector.values;
    vex_dist_fn *dot = vex_dist(VEX_DISTANCE_DOT, VEX_ELEMENT_F32); /* negated */
    float *row = vex_mem_try(params->size * sizeof *row);
    int code = row == NULL ? VEX_ENO_MEMORY : 0;

    for (uint32_t i = 0; i < count && code == 0; i++) {
        double norms;
        code = vex_vectors_read(run->read->data.vectors, params->ordinal, slots[i], row);
        if (code != 0)
            break;
        norms = sqrt((double)dot(query, query, params->size) * (double)dot(row, row, params->size));
        ret[i] = norms > 0 ? (float)((double)dot(query, row, params->size) / norms) : 0;
    }
    vex_mem_free(row);
    return code;
}

/* Compares with the originals. */
static int offer(struct run *run, const uint32_t *slots, uint32_t count, float *distances)
{
    const struct vex_vector_params *params = run->group->params;
    int code = vex_nearest_by_device(params)
                   ? vex_vectors_score(run->read->data.vectors, params->ordinal, params->distance,
                                       run->query->vector.values, slots, count, distances)
                   : cosine(run, slots, count, distances);

    if (code != 0)
        return vex_err_set(run->read->err, code, "%s: the vectors can't be read", run->read->what);
    for (uint32_t i = 0; i < count && code == 0; i++)
        code = vex_top_offer(&run->top, vex_score_of(params->distance, distances[i]), slots[i]);
    return code != 0 ? vex_read_no_memory(run->read) : 0;
}

/* Takes what codes say. */
static int offer_codes(struct run *run, const struct vex_graph_hit *hits, uint32_t count)
{
    enum vex_distance distance = run->group->params->distance;
    int code = 0;

    for (uint32_t i = 0; i < count && code == 0; i++)
        if (!in_tail(run, hits[i].slot))
            code = vex_top_offer(
                &run->top,
                vex_score_of(distance, vex_graph_distance(run->walk->view.graph, hits[i].distance)),
                hits[i].slot);
    return code != 0 ? vex_read_no_memory(run->read) : 0;
}

/* The beam without what the tail answers for. */
static int offer_beam(struct run *run, const struct vex_graph_hit *hits, uint32_t count, uint32_t *slots,
                      float *distances)
{
    uint32_t kept = 0;

    if (run->query->request->score_by_codes && of_bits(run->walk->view.graph))
        return offer_codes(run, hits, count);
    for (uint32_t i = 0; i < count; i++)
        if (!in_tail(run, hits[i].slot))
            slots[kept++] = hits[i].slot;
    return offer(run, slots, kept, distances);
}

static int walk(struct run *run)
{
    const struct vex_walk *plan = run->walk;
    struct vex_graph_search search = {.query = run->query->vector.values,
                                      .ef = plan->ef,
                                      .allow = run->group->candidates->allow,
                                      .through = plan->through};
    struct vex_graph_hit *hits = vex_mem_try(plan->ef * sizeof *hits);
    uint32_t *slots = vex_mem_try(plan->ef * sizeof *slots);
    float *distances = vex_mem_try(plan->ef * sizeof *distances);
    int code = plan->through ? widen_allow(run) : 0;

    if (code == 0 && (hits == NULL || slots == NULL || distances == NULL))
        code = vex_read_no_memory(run->read);
    if (plan->through)
        search.allow = run->allow;
    if (code == 0)
        code =
            offer_beam(run, hits, vex_graph_search(plan->view.graph, &search, hits, NULL), slots, distances);
    vex_mem_free(hits);
    vex_mem_free(slots);
    vex_mem_free(distances);
    return code;
}

static int scan_tail(struct run *run)
{
    struct vex_candidates tail = {.allow = run->tail, .slots = run->group->candidates->slots, .count = 1};
    uint32_t slots[TAIL_PIECE], at = 0, slot = 0, count;
    float distances[TAIL_PIECE];
    int code = 0;

    while (code == 0 && slot != VEX_SLOT_NONE) {
        for (count = 0; count < TAIL_PIECE && (slot = vex_candidates_next(&tail, &at)) != VEX_SLOT_NONE;)
            slots[count++] = slot;
        code = offer(run, slots, count, distances);
        if (code == 0)
            code = vex_read_check(run->read);
    }
    return code;
}

int vex_nearest_walk(struct vex_read *read, const struct vex_query_group *group, struct vex_query *query,
                     const struct vex_walk *plan, bool *ret_served)
{
    struct run run = {.read = read, .group = group, .query = query, .walk = plan};
    bool indexed_only = query->request->indexed_only;
    int code;

    vex_top_init(&run.top, read->data.rows, vex_score_larger_better(group->params->distance), group->want);
    code = note_tail(&run);
    if (code == 0)
        code = walk(&run);
    if (code == 0 && run.tail != NULL && !indexed_only)
        code = scan_tail(&run);
    *ret_served = code == 0 && (run.top.count == group->want || indexed_only);
    if (*ret_served) {
        vex_top_sort(&run.top);
        code = vex_nearest_answer(read, query, run.top.entries, run.top.count);
    }
    run_done(&run);
    return code;
}

int vex_nearest_graph(struct vex_read *read, const struct vex_query_group *group)
{
    int code = 0;

    for (uint32_t i = 0; i < group->count && code == 0; i++) {
        struct vex_query_group single = *group;
        struct vex_walk plan;
        bool served = false;

        single.queries = group->queries + i;
        single.count = 1;
        code = vex_read_check(read);
        if (code == 0 && vex_nearest_walk_plan(&read->data, group->params, single.queries[0].request,
                                               group->want, group->candidates->count, &plan))
            code = vex_nearest_walk(read, &single, single.queries, &plan, &served);
        if (code == 0 && !served)
            code = vex_nearest_dense(read, &single);
    }
    return code;
}
