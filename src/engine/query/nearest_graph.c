/* Dense vectors by the graph: a walk over codes, the whole beam compared again with the originals, and the tail, which is not linked
 * yet, compared one by one. See nearest.h and graph_set.h.
 *
 * Filters   Walks go through all nodes, with a beam that is wider the fewer of those near the query may be answered. What comes back
 *           short begins anew through the allowed ones only; what even then does is left to a scan of codes, and to the exact search.
 * Codes     Of few bits, as a user has set them: a search may refuse them (then it is exact), ask for a wider beam, or take
 *           their estimates as scores. With 7 bits only the beam is widened: comparing it with the originals costs next to nothing. */
#include "engine/query/nearest.h"

#include <math.h>

#include "base/mem.h"
#include "engine/index/ivf.h"
#include "engine/index/slots.h"

#define RARE_NEAR  4.0  /* times more of them elsewhere */
#define TAIL_PIECE 256u /* slots compared at once */
#define BEAM_PIECE 16u
#define STEPS_OFF  3.0        /* steps of the 7-bit grid that code distances may be off: 7 deviations */
#define STEPS_SPAN (1u << 20) /* a distance of codes, to tell the step from */

/* Candidates that were not linked when the search began: one of the bitmap's words that have some. */
struct tail_word {
    size_t word;
    uint64_t bits;
};

struct run {
    struct vex_read *read;
    const struct vex_query_group *group;
    const struct vex_query *query;
    const struct vex_walk *walk;
    struct vex_top top;
    struct tail_word *tail; /* ascending */
    size_t tail_words;
    uint64_t tail_count;
    double near; /* see share_near */
    bool near_known;
    uint64_t *allow;                   /* candidates, as wide as the graph */
    struct vex_graph_hit *hits;        /* of walks */
    uint32_t *seeds, seed_count;       /* what walks have found */
    const struct vex_kept_bits *marks; /* of posting lists: kept ones, */
    uint64_t *own_marks;               /* or made for this search */
    uint32_t *slots, most;             /* to be compared with the originals */
    float *distances;
};

static void run_done(struct run *run)
{
    vex_top_done(&run->top);
    vex_mem_free(run->tail);
    vex_mem_free(run->allow);
    vex_mem_free(run->hits);
    vex_mem_free(run->seeds);
    vex_mem_free(run->slots);
    vex_mem_free(run->distances);
    vex_mem_free(run->own_marks);
    vex_kept_bits_drop(run->marks);
}

/* Noted before the walk: what is linked while it goes on is answered once all the same. */
static int note_tail(struct run *run)
{
    const struct vex_candidates *candidates = run->group->candidates;
    const struct vex_graph_view *view = &run->walk->view;
    size_t words = vex_plan_words(candidates->slots), count = 0;

    if (view->tail_count == 0)
        return 0;
    for (size_t w = 0; (w = vex_graph_tail_next(view, w)) < words; w++)
        count++;
    run->tail = vex_mem_try((count + 1) * sizeof *run->tail);
    if (run->tail == NULL)
        return vex_read_no_memory(run->read);
    for (size_t w = 0; run->tail_words < count && (w = vex_graph_tail_next(view, w)) < words; w++) {
        uint64_t bits = candidates->allow[w] & vex_graph_tail_word(view, w);
        if (bits == 0)
            continue;
        run->tail[run->tail_words++] = (struct tail_word){w, bits};
        run->tail_count += vex_bits_in(bits);
    }
    return 0;
}

/* Walks through candidates ask for all the graph's slots: more bits than the candidates may have. */
static int widen_allow(struct run *run, const uint64_t **ret)
{
    const struct vex_candidates *candidates = run->group->candidates;
    size_t words = vex_graph_slots(run->walk->view.graph) / 64, have = vex_plan_words(candidates->slots);

    *ret = candidates->allow;
    if (words <= have)
        return 0;
    *ret = run->allow = vex_mem_try(words * sizeof *run->allow);
    if (run->allow == NULL)
        return vex_read_no_memory(run->read);
    memcpy(run->allow, candidates->allow, have * sizeof *run->allow);
    memset(run->allow + have, 0, (words - have) * sizeof *run->allow);
    return 0;
}

static bool in_tail(const struct run *run, uint32_t slot)
{
    size_t low = 0, rest = run->tail_words;

    while (rest > 1) {
        size_t half = rest / 2;
        low += run->tail[low + half].word <= slot / 64 ? half : 0;
        rest -= half;
    }
    return rest > 0 && run->tail[low].word == slot / 64 && (run->tail[low].bits >> (slot % 64) & 1) != 0;
}

/* Cosine of bytes, which are stored as they are: the device gives their products only. */
static int cosines(struct run *run, const uint32_t *slots, uint32_t count, float *ret)
{
    const struct vex_vector_params *params = run->group->params;
    float *row = vex_mem_try(params->size * sizeof *row);
    int code = row == NULL ? VEX_ENO_MEMORY : 0;

    for (uint32_t i = 0; i < count && code == 0; i++) {
        code = vex_vectors_read(run->read->data.vectors, params->ordinal, slots[i], row);
        if (code == 0)
            ret[i] = -vex_score_cosine(run->query->vector.values, row, params->size);
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
                   : cosines(run, slots, count, distances);

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

/* Square of the Euclidean distance, between unit vectors for cosine. */
static double euclid2(enum vex_distance distance, double device_distance)
{
    return distance == VEX_DISTANCE_COSINE ? 2 + 2 * device_distance : device_distance;
}

/* Whether nothing that far by codes can be among the best any more. Rounding moves the two ends of a distance by up to half a step in
 * each dimension at random: that lengthens it by size / 6 steps^2, and scatters it by less than half a step. What the scale cuts
 * off makes distances of codes too short only. */
static bool beyond(const struct run *run, uint32_t code_distance)
{
    const struct vex_graph *graph = run->walk->view.graph;
    const struct vex_vector_params *params = run->group->params;
    enum vex_distance distance = params->distance;
    double origin, step2, far2, worst;

    if (vex_nearest_of_bits(graph) || (distance != VEX_DISTANCE_L2 && distance != VEX_DISTANCE_COSINE) ||
        run->top.count == 0 || run->top.count < run->top.limit)
        return false;
    origin = euclid2(distance, vex_graph_distance(graph, 0));
    step2 = (euclid2(distance, vex_graph_distance(graph, STEPS_SPAN)) - origin) / STEPS_SPAN;
    far2 = euclid2(distance, vex_graph_distance(graph, code_distance)) - step2 * params->size / 6;
    worst = run->top.entries[0].score; /* the heap's root */
    if (distance == VEX_DISTANCE_COSINE)
        worst = sqrt(fmax(0, 2 - 2 * worst));
    return far2 > 0 && sqrt(far2) > worst + STEPS_OFF * sqrt(step2);
}

/* The beam without what the tail answers for, nearest codes first, until the rest can't matter. */
static int offer_beam(struct run *run, const struct vex_graph_hit *hits, uint32_t count, uint32_t *slots,
                      float *distances)
{
    int code = 0;

    if (run->query->request->score_by_codes && vex_nearest_of_bits(run->walk->view.graph))
        return offer_codes(run, hits, count);
    for (uint32_t at = 0; at < count && code == 0 && !beyond(run, hits[at].distance);) {
        uint32_t kept = 0;
        for (; at < count && kept < BEAM_PIECE; at++)
            if (!in_tail(run, hits[at].slot))
                slots[kept++] = hits[at].slot;
        code = offer(run, slots, kept, distances);
    }
    return code;
}

/* ---- ways ---- */

static int make_room(struct run *run, uint32_t count)
{
    if (count <= run->most)
        return 0;
    vex_mem_free(run->slots);
    vex_mem_free(run->distances);
    run->slots = vex_mem_try(count * sizeof *run->slots);
    run->distances = vex_mem_try(count * sizeof *run->distances);
    run->most = count;
    return run->slots == NULL || run->distances == NULL ? vex_read_no_memory(run->read) : 0;
}

static int make_walk_room(struct run *run, uint32_t ef)
{
    uint32_t *seeds;

    vex_mem_free(run->hits);
    run->hits = vex_mem_try(ef * sizeof *run->hits);
    seeds = vex_mem_try((ef > run->seed_count ? ef : run->seed_count) * sizeof *seeds);
    if (seeds != NULL && run->seed_count > 0)
        memcpy(seeds, run->seeds, run->seed_count * sizeof *seeds);
    vex_mem_free(run->seeds);
    run->seeds = seeds;
    return run->hits == NULL || seeds == NULL ? vex_read_no_memory(run->read) : make_room(run, ef);
}

/* A walk through candidates begins also at those that one through all nodes has found: they lie at the border of what is allowed. */
static int walk(struct run *run, enum vex_walk_way way, double share)
{
    const struct vex_walk *plan = run->walk;
    struct vex_graph_search search = {.query = run->query->vector.values,
                                      .ef = vex_nearest_width(plan, way, run->group->params->distance, share),
                                      .allow = run->group->candidates->allow,
                                      .through = way == VEX_WALK_THROUGH};
    int code = search.through ? widen_allow(run, &search.allow) : 0;

    if (code == 0)
        code = make_walk_room(run, search.ef);
    if (code != 0)
        return code;
    search.seeds = run->seeds;
    search.seed_count = run->seed_count;
    run->seed_count = vex_graph_search(plan->view.graph, &search, run->hits, NULL);
    for (uint32_t i = 0; i < run->seed_count; i++)
        run->seeds[i] = run->hits[i].slot;
    return offer_beam(run, run->hits, run->seed_count, run->slots, run->distances);
}

/* Of what lies near the query, the part that are candidates. */
static double share_near(struct run *run)
{
    const struct vex_candidates *candidates = run->group->candidates;

    if (!run->near_known)
        run->near = vex_graph_allowed_near(run->walk->view.graph, run->query->vector.values,
                                           candidates->allow, vex_plan_words(candidates->slots));
    run->near_known = true;
    return run->near;
}

/* The posting lists that hold candidates: kept beside what the filter matches. A filter that is asked for once has them only where
 * candidates are rare near the query: it takes a look at each of them. */
static int mark_lists(struct run *run, const struct vex_ivf *ivf, const uint64_t **ret)
{
    const struct vex_candidates *candidates = run->group->candidates;
    size_t words = vex_plan_words(candidates->slots);
    struct {
        uint64_t kind, bits;
        struct vex_ivf_state state;
    } what = {VEX_BITS_OF_LISTS, 0, vex_ivf_state(ivf)};
    struct vex_bits_key key = {0, vex_ivf_lists(ivf), vex_str((const char *)&what, sizeof what)};
    uint64_t *marks;
    bool again;

    *ret = NULL;
    if (candidates->kept != NULL) {
        what.bits = candidates->kept->id;
        run->marks = vex_bits_cache_find(&key, &again);
    } else if (share_near(run) > run->walk->share / RARE_NEAR) {
        return 0;
    }
    if (run->marks == NULL) {
        marks = vex_mem_try((vex_ivf_lists(ivf) / 64 + 1) * sizeof *marks);
        if (marks == NULL)
            return vex_read_no_memory(run->read);
        vex_ivf_mark(ivf, candidates->allow, words, marks);
        if (candidates->kept != NULL)
            run->marks = vex_bits_cache_put(&key, (struct vex_kept_bits){.sure = marks});
        if (run->marks == NULL)
            *ret = run->own_marks = marks;
    }
    if (run->marks != NULL)
        *ret = run->marks->sure;
    return 0;
}

/* By lists that were complete after the tail was noted: those of the plan may have been retired since, and follow no more. */
static int search_lists(struct run *run)
{
    const struct vex_candidates *candidates = run->group->candidates;
    const struct vex_walk *plan = run->walk;
    const struct vex_ivf *ivf = vex_graph_lists(plan->view.graph);
    struct vex_ivf_search search = {.query = run->query->vector.values,
                                    .allow = candidates->allow,
                                    .words = vex_plan_words(candidates->slots),
                                    .want = (uint32_t)run->group->want,
                                    .ef = plan->ef,
                                    .patience = vex_nearest_patience(plan)};
    uint32_t count;
    int code;

    if (ivf == NULL)
        return 0;
    code = mark_lists(run, ivf, &search.marks);
    if (code == 0)
        code = make_walk_room(run, search.ef);
    if (code != 0)
        return code;
    count = vex_graph_search_lists(plan->view.graph, ivf, &search, run->hits);
    return offer_beam(run, run->hits, count, run->slots, run->distances);
}

/* No farther than that, which is a distance of the device. */
static bool lies_within(enum vex_distance distance, float score, float device_distance)
{
    float most = vex_score_of(distance, device_distance);

    return vex_score_larger_better(distance) ? score >= most : score <= most;
}

/* Compares the codes of all candidates. *ret_surely: nothing that was left out is nearer than what was found. */
static int scan_codes(struct run *run, bool *ret_surely)
{
    const struct vex_candidates *candidates = run->group->candidates;
    const struct vex_graph *graph = run->walk->view.graph;
    const struct vex_graph_hit *hits;
    uint32_t count, kept = 0;
    float rest;
    int code;

    *ret_surely = false;
    if (run->group->want > VEX_WALK_SCAN_WANT || !vex_graph_scans(graph, run->query->vector.values))
        return 0;
    count = vex_graph_scan(graph, run->query->vector.values, candidates->allow,
                           vex_plan_words(candidates->slots), (uint32_t)run->group->want, &hits, &rest);
    code = make_room(run, count);
    for (uint32_t i = 0; i < count && code == 0; i++)
        if (!in_tail(run, hits[i].slot))
            run->slots[kept++] = hits[i].slot;
    if (code == 0)
        code = offer(run, run->slots, kept, run->distances);
    if (code == 0)
        *ret_surely = run->top.count == run->group->want
                          ? lies_within(run->group->params->distance, run->top.entries[0].score, rest)
                          : isinf(rest); /* it has left out none */
    return code;
}

/* The best of what is linked, by one way after the other until one finds enough. *ret_served false: none does. */
static int serve(struct run *run, bool *ret_served)
{
    const struct vex_candidates *candidates = run->group->candidates;
    uint64_t linked = candidates->count - run->tail_count, want = run->group->want;
    enum vex_walk_way way = run->walk->way;
    double share = run->walk->share;
    int code = 0;

    if (way == VEX_WALK_ALL && !candidates->all) {
        double near = share_near(run);
        way = vex_nearest_way_beyond(run->walk, run->group->params, want, candidates->count, near);
        share = vex_nearest_share_near(run->walk, near);
    }
    if (way == VEX_WALK_LISTS) {
        code = search_lists(run);
        *ret_served = run->top.count >= (linked < want ? linked : want);
        way = VEX_WALK_SCAN;
    }
    for (; way <= VEX_WALK_SCAN && code == 0 && !*ret_served; way++) {
        run->top.count = 0;
        if (way == VEX_WALK_SCAN) {
            code = scan_codes(run, ret_served);
        } else {
            code = walk(run, way, way == VEX_WALK_ALL ? share : run->walk->share);
            *ret_served = run->top.count >= (linked < want ? linked : want);
        }
    }
    return code;
}

/* What waits for being linked is not indexed; what is held is, as well as it ever will be. After the walk: the beam goes without all of
 * the tail. */
static void keep_held(struct run *run)
{
    for (size_t i = 0; i < run->tail_words; i++)
        run->tail[i].bits &= vex_graph_held_word(&run->walk->view, run->tail[i].word);
}

static int offer_tail(struct run *run, const uint32_t *slots, uint32_t count, float *distances)
{
    int code = offer(run, slots, count, distances);

    return code != 0 ? code : vex_read_check(run->read);
}

static int scan_tail(struct run *run)
{
    uint32_t slots[TAIL_PIECE], count = 0;
    float distances[TAIL_PIECE];
    int code = 0;

    for (size_t i = 0; i < run->tail_words && code == 0; i++) {
        for (uint64_t bits = run->tail[i].bits; bits != 0; bits &= bits - 1)
            slots[count++] = (uint32_t)run->tail[i].word * 64 + (uint32_t)__builtin_ctzll(bits);
        if (count <= TAIL_PIECE - 64)
            continue;
        code = offer_tail(run, slots, count, distances);
        count = 0;
    }
    return code == 0 && count > 0 ? offer_tail(run, slots, count, distances) : code;
}

int vex_nearest_walk(struct vex_read *read, const struct vex_query_group *group, struct vex_query *query,
                     const struct vex_walk *plan, bool *ret_served)
{
    struct run run = {.read = read, .group = group, .query = query, .walk = plan};
    int code;

    *ret_served = false;
    vex_top_init(&run.top, read->data.rows, vex_score_larger_better(group->params->distance), group->want);
    code = note_tail(&run);
    if (code == 0)
        code = serve(&run, ret_served);
    if (query->request->indexed_only)
        keep_held(&run);
    if (code == 0 && *ret_served)
        code = scan_tail(&run);
    if (code == 0 && *ret_served) {
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
