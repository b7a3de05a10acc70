/* Posting lists of a graph: recall floors of filtered searches for every metric, filters at random and lying together; completeness when
 * patience is endless; marks; slots that change; lists that are outgrown, used up, built anew. */
#include <stdlib.h>

#include "filter_ivf_kit.h"

#define WANT     10u
#define EF       32u
#define PATIENCE 32u

/* ---- graphs and filters ---- */

static void drop_slots(struct vex_graph *graph, uint32_t from, uint32_t to)
{
    for (uint32_t slot = from; slot < to; slot++)
        vex_graph_drop(graph, slot);
}

static void build_lists(struct vex_graph *graph)
{
    uint32_t pieces = 0;

    while (vex_graph_lists_piece(graph))
        CU_ASSERT_FATAL(++pieces < 100000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(vex_graph_lists(graph));
    CU_ASSERT_FALSE(vex_graph_lists_due(graph));
}

static struct vex_graph *graph_with_lists(enum vex_distance distance, uint32_t count)
{
    struct vex_graph *graph = graph_of(distance, VEX_CODES_7_BITS, POINTS);

    link_slots(graph, 0, count);
    build_lists(graph);
    return graph;
}

static uint32_t count_allowed(const uint64_t *allow)
{
    uint32_t count = 0;

    for (uint32_t w = 0; w < WORDS; w++)
        count += (uint32_t)__builtin_popcountll(allow[w]);
    return count;
}

/* Of the first COUNT slots. */
static void allow_random(uint64_t *allow, uint32_t per_thousand)
{
    allow_none(allow);
    for (uint32_t slot = 0; slot < COUNT; slot++)
        if (draw() % 1000 < per_thousand)
            allow_slot(allow, slot);
}

static int by_distance(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

/* The nearest to one of them: most queries lie elsewhere. */
static void allow_ball(uint64_t *allow, uint32_t per_thousand)
{
    static float distances[COUNT], sorted[COUNT];
    vex_dist_fn *dist = vex_dist(VEX_DISTANCE_L2, VEX_ELEMENT_F32);

    allow_none(allow);
    for (uint32_t slot = 0; slot < COUNT; slot++)
        distances[slot] = sorted[slot] = dist(points[7], points[slot], DIMENSIONS);
    qsort(sorted, COUNT, sizeof *sorted, by_distance);
    for (uint32_t slot = 0; slot < COUNT; slot++)
        if (distances[slot] < sorted[COUNT / 1000 * per_thousand])
            allow_slot(allow, slot);
}

/* ---- searching ---- */

static struct vex_graph_hit hits[VEX_GRAPH_EF_MAX], others[VEX_GRAPH_EF_MAX];
static uint64_t marks[IVF_LISTS_MAX / 64 + 1];

static uint32_t search_in(const struct vex_graph *graph, const struct vex_ivf *ivf,
                          const struct vex_ivf_search *search, struct vex_graph_hit *ret)
{
    static uint64_t seen[WORDS];
    uint32_t count = vex_graph_search_lists(graph, ivf, search, ret);

    CU_ASSERT_FATAL(count <= search->ef);
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = ret[i].slot;
        CU_ASSERT_FATAL(vex_graph_has(graph, slot) && slot / 64 < search->words &&
                        graph_bit(search->allow, slot) && !graph_bit(seen, slot));
        CU_ASSERT(i == 0 || ret[i].distance >= ret[i - 1].distance);
        allow_slot(seen, slot);
    }
    return count;
}

static uint32_t search(const struct vex_graph *graph, const struct vex_ivf_search *search,
                       struct vex_graph_hit *ret)
{
    return search_in(graph, vex_graph_lists(graph), search, ret);
}

static struct vex_ivf_search search_of(uint32_t query, const uint64_t *allow, uint32_t patience)
{
    return (struct vex_ivf_search){.query = queries[query],
                                   .allow = allow,
                                   .words = WORDS,
                                   .want = WANT,
                                   .ef = EF,
                                   .patience = patience};
}

/* The k smallest of `count` numbers, ascending; their number. */
static uint32_t smallest(const float *from, uint32_t count, uint32_t k, float *ret)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = kept < k ? kept++ : k - 1;
        if (at == k - 1 && kept == k && i >= k && from[i] >= ret[at])
            continue;
        for (; at > 0 && ret[at - 1] > from[i]; at--)
            ret[at] = ret[at - 1];
        ret[at] = from[i];
    }
    return kept;
}

/* The part of the WANT nearest allowed points, by the originals, that searches find. Never fewer hits than there can be. */
static double recall(const struct vex_graph *graph, const uint64_t *allow, uint32_t patience)
{
    static float all[POINTS], some[EF];
    vex_dist_fn *dist = vex_dist(vex_graph_params(graph)->distance, VEX_ELEMENT_F32);
    uint32_t right = 0, wanted = 0;

    for (uint32_t q = 0; q < QUERIES; q++) {
        struct vex_ivf_search one = search_of(q, allow, patience);
        uint32_t count = search(graph, &one, hits), total = 0, k;
        float nearest[WANT], found[WANT];
        for (uint32_t slot = 0; slot < POINTS; slot++)
            if (graph_bit(allow, slot) && vex_graph_has(graph, slot))
                all[total++] = dist(queries[q], points[slot], DIMENSIONS);
        CU_ASSERT(count >= (total < WANT ? total : WANT));
        for (uint32_t i = 0; i < count; i++)
            some[i] = dist(queries[q], points[hits[i].slot], DIMENSIONS);
        k = smallest(all, total, WANT, nearest);
        count = smallest(some, count, WANT, found);
        wanted += k;
        for (uint32_t i = 0; i < count; i++)
            right += found[i] <= nearest[k - 1];
    }
    return wanted > 0 ? (double)right / wanted : 1;
}

static int by_hit(const void *a, const void *b)
{
    const struct vex_graph_hit *x = a, *y = b;

    return x->distance != y->distance ? (x->distance < y->distance ? -1 : 1)
                                      : (x->slot > y->slot) - (x->slot < y->slot);
}

/* Endless patience: exactly the nearest codes of all that are linked and allowed. */
static void expect_exact(const struct vex_graph *graph, const struct vex_ivf *ivf, const uint64_t *allow,
                         uint32_t ef)
{
    static uint32_t slots[POINTS];
    static struct vex_graph_hit truth[POINTS];

    for (uint32_t q = 0; q < QUERIES; q += 8) {
        struct vex_ivf_search one = search_of(q, allow, ENDLESS);
        uint32_t count, total = 0, wrong = 0;
        one.ef = ef;
        count = search_in(graph, ivf, &one, hits);
        for (uint32_t slot = 0; slot < POINTS; slot++)
            if (graph_bit(allow, slot) && vex_graph_has(graph, slot))
                slots[total++] = slot;
        vex_graph_score(graph, queries[q], slots, total, truth);
        qsort(truth, total, sizeof *truth, by_hit);
        CU_ASSERT_EQUAL(count, total < ef ? total : ef);
        for (uint32_t i = 0; i < count && i < total; i++)
            wrong += hits[i].slot != truth[i].slot || hits[i].distance != truth[i].distance;
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

/* ---- tests ---- */

static void test_recall_floors(void)
{
    static const double hasty[VEX_DISTANCE_COUNT] = {0.88, 0.88, 0.82, 0.88};
    static const uint32_t per_thousand[] = {5, 50, 300, 900};
    static uint64_t allow[WORDS];

    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++) {
        struct vex_graph *graph;
        make_data(distance == VEX_DISTANCE_COSINE);
        graph = graph_with_lists((enum vex_distance)distance, COUNT);
        check(graph);
        printf("\n    %d: at random", distance);
        for (uint32_t i = 0; i < sizeof per_thousand / sizeof *per_thousand; i++) {
            allow_random(allow, per_thousand[i]);
            double got = recall(graph, allow, PATIENCE);
            printf(" %.3f", got);
            CU_ASSERT(got >= 0.98);
            CU_ASSERT(recall(graph, allow, 4) >= hasty[distance]); /* the nearest lists come first */
            expect_exact(graph, vex_graph_lists(graph), allow, EF);
        }
        printf("; together");
        for (uint32_t i = 0; i < sizeof per_thousand / sizeof *per_thousand; i++) {
            allow_ball(allow, per_thousand[i]);
            double got = recall(graph, allow, PATIENCE);
            printf(" %.3f", got);
            CU_ASSERT(got >= 0.98);
            CU_ASSERT(recall(graph, allow, 4) >= hasty[distance]);
        }
        vex_graph_free(graph);
    }
}

/* Fewer matches than are wanted, none at all, one; words that end before the graph does. */
static void test_few_matches(void)
{
    static uint64_t allow[WORDS];
    struct vex_graph *graph;

    make_data(false);
    graph = graph_with_lists(VEX_DISTANCE_L2, COUNT);
    allow_none(allow);
    struct vex_ivf_search one = search_of(0, allow, 1);
    CU_ASSERT_EQUAL(search(graph, &one, hits), 0);
    one.words = 0;
    CU_ASSERT_EQUAL(search(graph, &one, hits), 0);
    for (uint32_t matches = 1; matches < WANT; matches++) {
        allow_slot(allow, ((uint32_t)(draw() % (COUNT - 1)) & ~15u) | matches);
        for (uint32_t q = 0; q < QUERIES; q++) {
            one = search_of(q, allow, 1);
            CU_ASSERT_EQUAL(search(graph, &one, hits), matches);
        }
    }
    allow_random(allow, 500); /* ef is more than there are matches */
    one = search_of(3, allow, 1);
    one.want = one.ef = VEX_GRAPH_EF_MAX;
    CU_ASSERT_EQUAL(search(graph, &one, hits), count_allowed(allow));
    one.want = 1;
    one.patience = ENDLESS;
    CU_ASSERT_EQUAL(search(graph, &one, hits), count_allowed(allow));
    for (size_t words = 1; words <= COUNT / 64; words += 37) { /* nothing is read beyond them */
        uint64_t *few = vex_mem_alloc(words * sizeof *few);
        memset(few, 0xff, words * sizeof *few);
        one = search_of(5, few, 1);
        one.words = words;
        one.want = one.ef = VEX_GRAPH_EF_MAX;
        CU_ASSERT_EQUAL(search(graph, &one, hits), words * 64);
        CU_ASSERT(vex_ivf_mark(vex_graph_lists(graph), few, words, marks) > 0);
        vex_mem_free(few);
    }
    vex_graph_free(graph);
}

/* The lists that hold allowed slots are marked, no others; looking at these alone finds the same. */
static void expect_marks(const struct vex_graph *graph, const uint64_t *allow)
{
    const struct vex_ivf *ivf = vex_graph_lists(graph);
    uint32_t marked = vex_ivf_mark(ivf, allow, WORDS, marks), held = 0, wrong = 0;

    for (uint32_t list = 0; list < vex_ivf_lists(ivf); list++) {
        bool holds = false;
        for (uint32_t slot = 0; slot < vex_graph_slots(graph) && !holds; slot++)
            holds = graph_bit(allow, slot) && ivf->list_of[slot] == list + 1;
        held += holds;
        wrong += holds != graph_bit(marks, list);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(marked, held);
    CU_ASSERT_EQUAL(marks[vex_ivf_lists(ivf) / 64] >> (vex_ivf_lists(ivf) % 64), 0);
    for (uint32_t q = 0; q < QUERIES; q += 5) {
        struct vex_ivf_search one = search_of(q, allow, ENDLESS);
        uint32_t without = search(graph, &one, hits), with;
        one.marks = marks;
        with = search(graph, &one, others);
        CU_ASSERT_EQUAL(with, without);
        CU_ASSERT_EQUAL(memcmp(hits, others, without * sizeof *hits), 0);
    }
}

static void try_marks(const struct vex_graph *graph)
{
    static uint64_t allow[WORDS];

    allow_none(allow);
    expect_marks(graph, allow);
    for (uint32_t slot = 0; slot < COUNT; slot += COUNT / 7) {
        allow_slot(allow, slot);
        expect_marks(graph, allow);
    }
    allow_random(allow, 4);
    expect_marks(graph, allow);
    allow_ball(allow, 30);
    expect_marks(graph, allow);
    allow_random(allow, 900);
    expect_marks(graph, allow);
}

static bool same_state(struct vex_ivf_state a, struct vex_ivf_state b)
{
    return a.id == b.id && a.adds == b.adds;
}

/* Marks of one state are good until another slot is added, or other lists serve. */
static void test_marks(void)
{
    struct vex_graph *graph;
    struct vex_ivf_state first, then;

    make_data(false);
    graph = graph_with_lists(VEX_DISTANCE_L2, COUNT);
    try_marks(graph);
    first = vex_ivf_state(vex_graph_lists(graph));
    CU_ASSERT(same_state(first, vex_ivf_state(vex_graph_lists(graph))));
    vex_graph_drop(graph, 17); /* marks too many now */
    vex_graph_drop(graph, 18);
    link_slots(graph, 17, 18);
    then = vex_ivf_state(vex_graph_lists(graph));
    CU_ASSERT(!same_state(first, then));
    try_marks(graph);
    vex_graph_lists_drop(graph);
    CU_ASSERT_PTR_NULL(vex_graph_lists(graph));
    build_lists(graph);
    CU_ASSERT(first.id != vex_ivf_state(vex_graph_lists(graph)).id);
    vex_graph_free(graph);
}

/* A third is dropped, other vectors are put into its slots and linked. */
static void test_other_vectors(void)
{
    static uint64_t allow[WORDS], dropped[WORDS];
    struct vex_graph *graph;
    double before, after;

    make_data(false);
    graph = graph_with_lists(VEX_DISTANCE_L2, COUNT);
    allow_random(allow, 300);
    before = recall(graph, allow, PATIENCE);
    allow_none(dropped);
    for (uint32_t slot = 1; slot < COUNT; slot += 3) {
        vex_graph_drop(graph, slot);
        allow_slot(dropped, slot);
    }
    check(graph);
    struct vex_ivf_search one = search_of(2, dropped, ENDLESS);
    CU_ASSERT_EQUAL(search(graph, &one, hits), 0);
    expect_exact(graph, vex_graph_lists(graph), allow, 200);
    for (uint32_t slot = 1; slot < COUNT; slot += 3) {
        memcpy(points[slot], points[COUNT + slot], sizeof points[slot]);
        link_slots(graph, slot, slot + 1);
    }
    CU_ASSERT_FALSE(vex_graph_lists_due(graph));
    check(graph);
    after = recall(graph, allow, PATIENCE);
    printf(" %.3f, %.3f before", after, before);
    CU_ASSERT(after >= 0.98);
    expect_exact(graph, vex_graph_lists(graph), allow, 200);
    one = search_of(2, dropped, ENDLESS);
    CU_ASSERT_EQUAL(search(graph, &one, hits), EF);
    for (uint32_t slot = 1; slot < COUNT; slot += 3) { /* each goes to the list of its new code */
        const struct vex_ivf *ivf = vex_graph_lists(graph);
        CU_ASSERT_EQUAL(ivf->list_of[slot], ivf_nearest(ivf, graph_code(graph, slot)) + 1);
    }
    vex_graph_free(graph);
}

/* Twice as many linked as they were made for: others are built beside, the old ones serve meanwhile. */
static void test_outgrowing(void)
{
    static uint64_t allow[WORDS];
    const struct vex_ivf *old;
    struct vex_graph *graph;
    uint32_t half = VEX_IVF_LEAST, pieces = 0;

    make_data(false);
    graph = graph_of(VEX_DISTANCE_L2, VEX_CODES_7_BITS, POINTS);
    link_slots(graph, 0, half - 1);
    CU_ASSERT_FALSE(vex_graph_lists_due(graph));
    CU_ASSERT_FALSE(vex_graph_lists_piece(graph));
    link_slots(graph, half - 1, half);
    CU_ASSERT(vex_graph_lists_due(graph));
    CU_ASSERT_PTR_NULL(vex_graph_lists(graph));
    build_lists(graph);
    old = vex_graph_lists(graph);
    link_slots(graph, half, 2 * half);
    CU_ASSERT_FALSE(vex_graph_lists_due(graph));
    link_slots(graph, 2 * half, 2 * half + 1);
    CU_ASSERT(vex_graph_lists_due(graph));
    allow_random(allow, 500);
    while (vex_graph_lists_piece(graph)) { /* beside changes of both */
        uint32_t slot = 2 * half + 1 + pieces;
        link_slots(graph, slot, slot + 1);
        vex_graph_drop(graph, slot - half);
        if (pieces % 4 == 0)
            check(graph);
        if (pieces % 8 == 0 && vex_graph_lists(graph) == old)
            expect_exact(graph, old, allow, EF);
        CU_ASSERT_FATAL(++pieces < half / 2);
    }
    CU_ASSERT(pieces >= 10);
    CU_ASSERT(vex_graph_lists(graph) != old);
    CU_ASSERT_FALSE(vex_graph_lists_due(graph));
    CU_ASSERT(vex_ivf_lists(vex_graph_lists(graph)) > vex_ivf_lists(old));
    check(graph);
    expect_exact(graph, vex_graph_lists(graph), allow, EF);
    struct vex_ivf_search one = search_of(1, allow, ENDLESS); /* whoever is in the old ones ends in peace */
    CU_ASSERT_EQUAL(vex_graph_search_lists(graph, old, &one, others), EF);
    uint64_t bytes = vex_graph_bytes(graph);
    CU_ASSERT_EQUAL(vex_graph_reserve(graph, 1), 0);
    CU_ASSERT_PTR_NULL(atomic_load(&graph->ivf_old));
    CU_ASSERT(vex_graph_bytes(graph) < bytes);
    check(graph);
    vex_graph_free(graph);
}

/* What is half built when the graph doubles is begun anew, for as many as there are then. */
static void test_outgrown_before_they_serve(void)
{
    static uint64_t allow[WORDS];
    struct vex_graph *graph;

    make_data(false);
    graph = graph_of(VEX_DISTANCE_L2, VEX_CODES_7_BITS, POINTS);
    link_slots(graph, 0, VEX_IVF_LEAST);
    for (uint32_t i = 0; i < 8; i++)
        CU_ASSERT(vex_graph_lists_piece(graph));
    link_slots(graph, VEX_IVF_LEAST, 2 * VEX_IVF_LEAST + 1);
    CU_ASSERT_PTR_NULL(vex_graph_lists(graph));
    build_lists(graph);
    CU_ASSERT_EQUAL(vex_graph_lists(graph)->learnt_of, 2 * VEX_IVF_LEAST + 1);
    check(graph);
    allow_random(allow, 500);
    expect_exact(graph, vex_graph_lists(graph), allow, EF);
    CU_ASSERT_EQUAL(vex_graph_reserve(graph, 2 * POINTS), 0); /* more slots than they have been made for */
    CU_ASSERT_EQUAL(vex_graph_reserve(graph, 8 * POINTS), 0);
    drop_slots(graph, 0, 10);
    for (uint32_t i = 0; i < 10; i++) {
        vex_graph_put(graph, 7 * POINTS + i, points[i]);
        vex_graph_link(graph, 7 * POINTS + i);
    }
    CU_ASSERT_PTR_NULL(vex_graph_lists(graph));
    CU_ASSERT(vex_graph_lists_due(graph));
    build_lists(graph);
    check(graph);
    vex_graph_free(graph);
}

/* No chunk is left: incomplete lists answer no more. And lists of four times as many as are left. */
static void test_used_up(void)
{
    static uint64_t allow[WORDS];
    struct vex_graph *graph;
    const struct vex_ivf *spent;
    uint32_t slot = VEX_IVF_LEAST;

    make_data(false);
    graph = graph_with_lists(VEX_DISTANCE_L2, slot);
    spent = vex_graph_lists(graph);
    allow_random(allow, 500);
    for (; slot < POINTS && vex_graph_lists(graph) != NULL; slot++) {
        if (slot % 2048 == 0)
            check(graph);
        link_slots(graph, slot, slot + 1);
    }
    CU_ASSERT(slot > 3 * VEX_IVF_LEAST && slot < POINTS);
    CU_ASSERT_PTR_NULL(vex_graph_lists(graph));
    CU_ASSERT(vex_graph_lists_due(graph));
    link_slots(graph, slot, 5 * VEX_IVF_LEAST); /* without room; they are not lost */
    slot = 5 * VEX_IVF_LEAST;
    drop_slots(graph, slot - 200, slot - 150);
    struct vex_ivf_search one =
        search_of(4, allow, ENDLESS); /* whoever looks through them still gets what stands there */
    CU_ASSERT_EQUAL(vex_graph_search_lists(graph, spent, &one, others), EF);
    build_lists(graph);
    check(graph);
    expect_exact(graph, vex_graph_lists(graph), allow, EF);
    drop_slots(graph, 0, slot - 200 - VEX_IVF_LEAST);
    CU_ASSERT(vex_graph_count(graph) < vex_graph_lists(graph)->learnt_of / 4);
    CU_ASSERT(vex_graph_lists_due(graph));
    check(graph);
    drop_slots(graph, slot - 200 - VEX_IVF_LEAST, slot - 300);
    CU_ASSERT_FALSE(vex_graph_lists_due(graph)); /* too few */
    check(graph);
    expect_exact(graph, vex_graph_lists(graph), allow, EF);
    vex_graph_free(graph);
}

/* Codes of few bits have no means. */
static void test_codes_of_few_bits(void)
{
    struct vex_graph *graph;

    make_data(false);
    graph = graph_of(VEX_DISTANCE_L2, VEX_CODES_1_BIT, POINTS);
    link_slots(graph, 0, VEX_IVF_LEAST + 100);
    CU_ASSERT_FALSE(vex_graph_lists_due(graph));
    CU_ASSERT_FALSE(vex_graph_lists_piece(graph));
    CU_ASSERT_PTR_NULL(vex_graph_lists(graph));
    check(graph);
    vex_graph_free(graph);
}

/* What vex_graph_link does, but for links that lead there: so many that lists come in groups. */
static void join(struct vex_graph *graph, uint32_t slot, const float *vector)
{
    vex_graph_put(graph, slot, vector);
    atomic_fetch_or(&graph->linked[slot / 64], UINT64_C(1) << (slot % 64));
    graph_lists_add(graph, slot);
    atomic_fetch_add(&graph->count, 1);
}

#define MANY 40000u

/* Lists in groups: the nearest centroid is found without looking at all, as a rule; searches miss nothing all the same. */
static void test_groups(void)
{
    static uint64_t allow[MANY / 64 * 2];
    static struct vex_graph_hit truth[MANY];
    static uint32_t slots[MANY];
    const struct vex_ivf *ivf;
    struct vex_graph *graph;
    uint32_t nearest = 0, total = 0, ended = 0;

    make_data(false);
    graph = graph_of(VEX_DISTANCE_L2, VEX_CODES_7_BITS, MANY);
    for (uint32_t slot = 0; slot < MANY; slot++) {
        float vector[DIMENSIONS];
        for (uint32_t d = 0; d < DIMENSIONS; d++)
            vector[d] = points[slot % POINTS][d] + 0.1f * draw_normal();
        join(graph, slot, vector);
    }
    build_lists(graph);
    ivf = vex_graph_lists(graph);
    CU_ASSERT_EQUAL(vex_ivf_lists(ivf), MANY / 128);
    CU_ASSERT(ivf->groups >= 4 && ivf->begins[0] == 0 && ivf->begins[ivf->groups] == ivf->lists);
    for (uint32_t slot = 0; slot < MANY; slot += 20) {
        uint32_t best = UINT32_MAX;
        for (uint32_t list = 0; list < ivf->lists; list++) {
            uint32_t distance =
                graph->codes.kernels.one(graph_code(graph, slot), ivf_centroid(ivf, list), ivf->stride);
            best = distance < best ? distance : best;
        }
        nearest += graph->codes.kernels.one(graph_code(graph, slot),
                                            ivf_centroid(ivf, ivf->list_of[slot] - 1u), ivf->stride) == best;
    }
    printf(" %.3f to the nearest", nearest / (MANY / 20.0));
    CU_ASSERT(nearest >= MANY / 20 * 0.95);
    for (uint32_t slot = 0; slot < MANY; slot++)
        if (draw() % 10 == 0) {
            slots[total++] = slot;
            allow_slot(allow, slot);
        }
    vex_ivf_mark(ivf, allow, sizeof allow / 8, marks);
    for (uint32_t q = 0; q < QUERIES; q++) {
        struct vex_ivf_search one = search_of(q, allow, ENDLESS);
        one.words = sizeof allow / 8;
        one.marks = q % 2 == 0 ? marks : NULL;
        vex_graph_score(graph, queries[q], slots, total, truth);
        qsort(truth, total, sizeof *truth, by_hit);
        CU_ASSERT_EQUAL_FATAL(search(graph, &one, hits), EF);
        CU_ASSERT_EQUAL(memcmp(hits, truth, EF * sizeof *hits), 0);
        one.patience = PATIENCE;
        CU_ASSERT_EQUAL_FATAL(search(graph, &one, hits), EF);
        for (uint32_t i = 0; i < WANT; i++)
            ended += hits[i].distance <= truth[WANT - 1].distance;
    }
    printf(", %.3f found", ended / (double)(QUERIES * WANT));
    CU_ASSERT(ended >= QUERIES * WANT * 0.97);
    vex_graph_free(graph);
}

/* Codes as low as can be: nothing that is read behind the last centroid is taken for one. */
static void test_lowest_codes(void)
{
    struct vex_graph_params params = {.dimensions = 2 * DIMENSIONS, .distance = VEX_DISTANCE_L2, .m = 2};
    struct vex_graph *graph = vex_graph_new(&params);
    float lowest[2 * DIMENSIONS];

    make_data(false);
    CU_ASSERT_EQUAL_FATAL(vex_graph_reserve(graph, COUNT), 0);
    vex_graph_train(graph, points[0], 1000); /* two points are one */
    for (uint32_t slot = 0; slot < VEX_IVF_LEAST + 300; slot++)
        join(graph, slot, points[2 * slot]);
    build_lists(graph);
    CU_ASSERT(vex_ivf_lists(vex_graph_lists(graph)) % 4 != 0);
    for (uint32_t d = 0; d < 2 * DIMENSIONS; d++)
        lowest[d] = -1000;
    join(graph, COUNT - 1, lowest);
    CU_ASSERT(vex_graph_lists(graph)->list_of[COUNT - 1] <= vex_ivf_lists(vex_graph_lists(graph)));
    vex_graph_free(graph);
}

int main(void)
{
    CU_TestInfo tests[] = {{"recall floors", test_recall_floors},
                           {"few matches", test_few_matches},
                           {"marks", test_marks},
                           {"other vectors", test_other_vectors},
                           {"outgrowing", test_outgrowing},
                           {"outgrown before they serve", test_outgrown_before_they_serve},
                           {"used up", test_used_up},
                           {"codes of few bits", test_codes_of_few_bits},
                           {"groups", test_groups},
                           {"lowest codes", test_lowest_codes},
                           CU_TEST_INFO_NULL};

    return run_suite("ivf", tests);
}
