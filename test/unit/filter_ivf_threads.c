/* Posting lists of a graph with threads: searches miss nothing that stays while slots come and go and lists are built, outgrown and
 * replaced; memory is counted meanwhile. */
#include <pthread.h>

#include "filter_ivf_kit.h"

#define STABLE   1500u /* slots that stay */
#define SWAPPED  500u  /* allowed ones that come and go */
#define STAND_IN (VEX_IVF_LEAST + SWAPPED)
#define ROUNDS   3u
#define CHANGES  300000u /* far more than that takes */

static uint64_t watched[WORDS];
static _Atomic bool over;
static _Atomic uint32_t lost, searches;

static void *look_on(void *arg)
{
    const struct vex_graph *graph = arg;
    struct vex_graph_hit *found = vex_mem_alloc(VEX_GRAPH_EF_MAX * sizeof *found);
    uint64_t seen[STABLE / 64 + 1], *own = vex_mem_alloc((IVF_LISTS_MAX / 64 + 1) * sizeof *own);

    for (uint32_t q = 0; !atomic_load(&over); q = (q + 1) % QUERIES) {
        struct vex_ivf_search one = {
            .query = queries[q], .allow = watched, .words = WORDS, .patience = ENDLESS};
        const struct vex_ivf *ivf = vex_graph_lists(graph);
        uint32_t count, stable = 0;
        if (ivf == NULL)
            continue;
        if (q % 2 == 0) {
            vex_ivf_mark(ivf, watched, WORDS, own);
            one.marks = own;
        }
        one.want = one.ef = VEX_GRAPH_EF_MAX;
        count = vex_graph_search_lists(graph, ivf, &one, found);
        memset(seen, 0, sizeof seen);
        for (uint32_t i = 0; i < count; i++)
            if (found[i].slot < STABLE && !graph_bit(seen, found[i].slot)) {
                seen[found[i].slot / 64] |= UINT64_C(1) << (found[i].slot % 64);
                stable++;
            } else if (found[i].slot < STABLE) {
                atomic_fetch_add(&lost, 1); /* twice */
            }
        atomic_fetch_add(&lost, STABLE - stable);
        atomic_fetch_add(&searches, 1);
    }
    vex_mem_free(found);
    vex_mem_free(own);
    return NULL;
}

/* Slots that come and go, in others' holes too, while lists are built, outgrown by what is added, and built anew. */
static void keep_changing(struct vex_graph *graph)
{
    uint32_t rounds = 0, i = 0;
    const struct vex_ivf *last = NULL;

    while ((rounds < ROUNDS || atomic_load(&searches) < 30) && i < CHANGES) {
        uint32_t slot = STABLE + i++ % (STAND_IN - STABLE);
        if (vex_graph_has(graph, slot)) {
            vex_graph_drop(graph, slot);
        } else {
            vex_graph_put(graph, slot, points[(slot * 7 + i) % POINTS]);
            vex_graph_link(graph, slot);
        }
        if (vex_graph_lists(graph) != NULL && vex_graph_lists(graph) != last) {
            last = vex_graph_lists(graph);
            rounds++;
        }
        if (i % 4 == 0)
            vex_graph_lists_piece(graph);
    }
    CU_ASSERT(rounds >= ROUNDS);
}

static void test_threads(void)
{
    pthread_t searchers[3];
    struct vex_graph *graph;

    make_data(false);
    graph = graph_of(VEX_DISTANCE_L2, VEX_CODES_7_BITS, POINTS);
    link_slots(graph, 0, STAND_IN + 2 * SWAPPED);
    allow_none(watched);
    for (uint32_t slot = 0; slot < STABLE + SWAPPED; slot++)
        allow_slot(watched, slot);
    atomic_store(&over, false);
    atomic_store(&lost, 0);
    atomic_store(&searches, 0);
    for (int i = 0; i < 3; i++)
        pthread_create(&searchers[i], NULL, look_on, graph);
    keep_changing(graph);
    atomic_store(&over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(searchers[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&lost), 0);
    check(graph);
    while (vex_graph_lists_piece(graph))
        continue;
    check(graph);
    CU_ASSERT_EQUAL(vex_graph_reserve(graph, 1), 0);
    check(graph);
    vex_graph_free(graph);
}

static void *sum_up(void *arg)
{
    uint64_t most = 0;

    while (!atomic_load(&over)) {
        uint64_t bytes = vex_graph_bytes(arg);
        most = bytes > most ? bytes : most;
    }
    return most > 0 ? arg : NULL;
}

/* Memory is counted while lists are built, given up when they are outgrown before, and replaced. */
static void test_counting_memory(void)
{
    struct vex_graph *graph;
    pthread_t counter;
    void *good;

    make_data(false);
    graph = graph_of(VEX_DISTANCE_L2, VEX_CODES_7_BITS, POINTS);
    link_slots(graph, 0, VEX_IVF_LEAST);
    atomic_store(&over, false);
    pthread_create(&counter, NULL, sum_up, graph);
    for (uint32_t round = 0; round < 30; round++) {
        struct vex_ivf *ivf;
        for (uint32_t i = 0; i < 4; i++)
            vex_graph_lists_piece(graph);
        ivf = atomic_load(&graph->ivf_next);
        if (ivf != NULL && round % 3 == 0)
            atomic_store(&ivf->spent, true); /* given up */
        while (round % 3 == 1 && vex_graph_lists_piece(graph))
            continue;
        ivf = atomic_load(&graph->ivf);
        if (ivf != NULL)
            atomic_store(&ivf->spent, true); /* replaced */
    }
    atomic_store(&over, true);
    pthread_join(counter, &good);
    CU_ASSERT_PTR_NOT_NULL(good);
    vex_graph_free(graph);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"threads", test_threads}, {"counting memory", test_counting_memory}, CU_TEST_INFO_NULL};

    return run_suite("ivf threads", tests);
}
