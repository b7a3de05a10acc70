/* Graph: recall floors for every metric, through filters, after deletes and inserts; the self-check; threads; images on a disk. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base_suite.h"
#include "engine/index/graph_private.h"
#include "uapi/dist.h"

#define DIMENSIONS 48u
#define COUNT      3000u
#define QUERIES    60u
#define K          10u
#define EF         64u
#define CLUSTERS   40u

static float points[2 * COUNT][DIMENSIONS], queries[QUERIES][DIMENSIONS];
static unsigned group[2 * COUNT];
static uint64_t seed = 88172645463325252u;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static float draw_normal(void)
{
    float sum = 0;

    for (int i = 0; i < 6; i++)
        sum += (float)(draw() >> 40) * 0x1p-23f - 1.0f;
    return sum;
}

/* Clusters whose later dimensions are narrower, and an offset for all. */
static void make_data(bool unit)
{
    static float centres[CLUSTERS][DIMENSIONS];

    for (unsigned c = 0; c < CLUSTERS; c++)
        for (unsigned d = 0; d < DIMENSIONS; d++)
            centres[c][d] = draw_normal() / sqrtf(sqrtf((float)d + 1));
    for (unsigned i = 0; i < 2 * COUNT + QUERIES; i++) {
        float *at = i < 2 * COUNT ? points[i] : queries[i - 2 * COUNT];
        unsigned c = (unsigned)(draw() % CLUSTERS);
        if (i < 2 * COUNT)
            group[i] = c;
        for (unsigned d = 0; d < DIMENSIONS; d++)
            at[d] = centres[c][d] + 0.7f * draw_normal() / sqrtf(sqrtf((float)d + 1)) + 0.3f;
        if (unit)
            vex_dist_normalise(at, DIMENSIONS);
    }
}

static struct vex_graph *graph_with(enum vex_distance distance, unsigned count)
{
    struct vex_graph_params params = {
        .dimensions = DIMENSIONS, .distance = distance, .m = 12, .ef_construct = 64};
    struct vex_graph *graph = vex_graph_new(&params);

    CU_ASSERT_EQUAL_FATAL(vex_graph_reserve(graph, 2 * COUNT), 0);
    vex_graph_train(graph, points[0], COUNT);
    for (unsigned i = 0; i < count; i++) {
        vex_graph_put(graph, i, points[i]);
        vex_graph_link(graph, i);
    }
    return graph;
}

static bool allowed(const uint64_t *allow, uint32_t slot)
{
    return allow == NULL || (allow[slot / 64] >> (slot % 64) & 1) != 0;
}

struct scored {
    float distance;
    uint32_t slot;
};

static int nearer(const void *a, const void *b)
{
    float x = ((const struct scored *)a)->distance, y = ((const struct scored *)b)->distance;

    return x < y ? -1 : x > y;
}

/* The part of the k nearest linked and allowed points that a search of the graph finds and the originals rank first. */
static double recall(const struct vex_graph *graph, uint32_t ef, const uint64_t *allow, bool through)
{
    static struct scored all[2 * COUNT], some[VEX_GRAPH_EF_MAX];
    static struct vex_graph_hit hits[VEX_GRAPH_EF_MAX];
    vex_dist_fn *dist = vex_dist(vex_graph_params(graph)->distance, VEX_ELEMENT_F32);
    unsigned right = 0, wanted = 0;

    for (unsigned q = 0; q < QUERIES; q++) {
        struct vex_graph_search search = {.query = queries[q], .ef = ef, .allow = allow, .through = through};
        uint32_t total = 0, count = vex_graph_search(graph, &search, hits, NULL), k;
        /* What is allowed may be far away: again with a wider beam, but no more hits. */
        while (!through && allow != NULL && count < K && search.ef < VEX_GRAPH_EF_MAX) {
            search.ef = search.ef < VEX_GRAPH_EF_MAX / 4 ? 4 * search.ef : VEX_GRAPH_EF_MAX;
            count = vex_graph_search(graph, &search, hits, NULL);
            count = count < ef ? count : ef;
        }
        for (uint32_t i = 0; i < 2 * COUNT; i++)
            if (vex_graph_has(graph, i) && allowed(allow, i))
                all[total++] = (struct scored){dist(queries[q], points[i], DIMENSIONS), i};
        qsort(all, total, sizeof *all, nearer);
        for (uint32_t i = 0; i < count; i++) {
            CU_ASSERT_FATAL(vex_graph_has(graph, hits[i].slot) && allowed(allow, hits[i].slot));
            CU_ASSERT(i == 0 || hits[i].distance >= hits[i - 1].distance);
            some[i] = (struct scored){dist(queries[q], points[hits[i].slot], DIMENSIONS), hits[i].slot};
        }
        qsort(some, count, sizeof *some, nearer);
        k = total < K ? total : K;
        wanted += k;
        for (uint32_t i = 0; i < k && i < count; i++)
            right += some[i].distance <= all[k - 1].distance;
    }
    return wanted > 0 ? (double)right / wanted : 1;
}

static char *spare; /* each piece of settling makes its own */

static void check(const struct vex_graph *graph, uint32_t lost_max)
{
    struct vex_err err = {0};
    int code = vex_graph_check(graph, lost_max, &err);

    if (code != 0)
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_EQUAL(code, 0);
}

static void test_recall_floors(void)
{
    static const double floors[VEX_DISTANCE_COUNT] = {0.98, 0.98, 0.94, 0.96};

    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++) {
        struct vex_graph *graph;
        double got;
        make_data(distance == VEX_DISTANCE_COSINE);
        graph = graph_with((enum vex_distance)distance, COUNT);
        vex_graph_refine(graph, 0, COUNT);
        got = recall(graph, EF, NULL, false);
        printf(" %.3f", got);
        CU_ASSERT(got >= floors[distance]);
        CU_ASSERT_EQUAL(vex_graph_count(graph), COUNT);
        check(graph, distance == VEX_DISTANCE_DOT ? COUNT / 50 : 0);
        vex_graph_free(graph);
    }
}

static void test_small(void)
{
    struct vex_graph_search search = {.query = queries[0], .ef = EF};
    struct vex_graph_hit hits[EF];
    struct vex_graph *graph;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, 0);
    CU_ASSERT_EQUAL(vex_graph_search(graph, &search, hits, NULL), 0);
    for (unsigned i = 0; i < 100; i++) {
        vex_graph_put(graph, i, points[i]);
        vex_graph_link(graph, i);
        CU_ASSERT_EQUAL(vex_graph_search(graph, &search, hits, NULL), i + 1 < EF ? i + 1 : EF);
    }
    for (unsigned i = 0; i < 100; i++) {
        vex_graph_drop(graph, i);
        vex_graph_drop(graph, i); /* nothing more happens */
        vex_graph_mend(graph, 0, 100);
    }
    CU_ASSERT_EQUAL(vex_graph_count(graph), 0);
    CU_ASSERT_EQUAL(vex_graph_search(graph, &search, hits, NULL), 0);
    vex_graph_put(graph, 5, points[5]);
    vex_graph_link(graph, 5);
    CU_ASSERT_EQUAL(vex_graph_search(graph, &search, hits, NULL), 1);
    CU_ASSERT(hits[0].slot == 5);
    CU_ASSERT_FALSE(vex_graph_has(graph, UINT32_MAX));
    check(graph, 0);
    vex_graph_free(graph);
}

/* Equal vectors, more than a node has links. */
static void test_copies(void)
{
    struct vex_graph_params params = {
        .dimensions = DIMENSIONS, .distance = VEX_DISTANCE_L2, .m = 8, .ef_construct = 32};
    struct vex_graph *graph = vex_graph_new(&params);
    unsigned before = 0;

    make_data(false);
    vex_graph_train(graph, points[0], COUNT);
    CU_ASSERT_EQUAL_FATAL(vex_graph_reserve(graph, 1000), 0);
    for (unsigned i = 0; i < 1000; i++) {
        vex_graph_put(graph, i, points[i % 5]);
        vex_graph_link(graph, i);
    }
    for (unsigned i = 0; i < 1000; i += 100)
        before += vex_graph_has(graph, i);
    CU_ASSERT_EQUAL(before, 10);
    struct vex_graph_search search = {.query = points[3], .ef = 50};
    struct vex_graph_hit hits[50];
    CU_ASSERT(vex_graph_search(graph, &search, hits, NULL) >= 10);
    CU_ASSERT_EQUAL(hits[0].distance, 0);
    CU_ASSERT_EQUAL(hits[0].slot % 5, 3);
    vex_graph_free(graph);
}

/* Thirty in a hundred are deleted and others put into their slots, in ten rounds, as good as a graph made at once. */
static void test_deletes_and_inserts(void)
{
    struct vex_graph *graph, *fresh;
    double changed, want;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, COUNT);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = round; i < COUNT; i += 33)
            vex_graph_drop(graph, i);
        CU_ASSERT(recall(graph, EF, NULL, false) >= 0.96); /* walked through */
        vex_graph_mend(graph, 0, COUNT);
        CU_ASSERT_EQUAL(vex_graph_mend(graph, 0, COUNT), 0);
        check(graph, COUNT / 100);
        for (unsigned i = round; i < COUNT; i += 33) {
            memcpy(points[i], points[COUNT + i], sizeof points[i]);
            vex_graph_put(graph, i, points[i]);
            vex_graph_link(graph, i);
        }
    }
    vex_graph_refine(graph, 0, COUNT);
    check(graph, 0);
    fresh = graph_with(VEX_DISTANCE_L2, COUNT);
    vex_graph_refine(fresh, 0, COUNT);
    changed = recall(graph, 16, NULL, false);
    want = recall(fresh, 16, NULL, false);
    printf(" %.3f, fresh %.3f", changed, want);
    CU_ASSERT(changed >= want - 0.005);
    vex_graph_free(graph);
    vex_graph_free(fresh);
}

/* Most are gone and nothing was put in their place. */
static void test_shrinking(void)
{
    struct vex_graph *graph;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        if (i % 10 != 0)
            vex_graph_drop(graph, i);
    vex_graph_mend(graph, 0, COUNT);
    vex_graph_refine(graph, 0, COUNT);
    CU_ASSERT_EQUAL(vex_graph_count(graph), COUNT / 10);
    CU_ASSERT(recall(graph, EF, NULL, false) >= 0.98);
    check(graph, 0);
    vex_graph_free(graph);
}

/* Nothing leads to a slot any more. */
static void cut_off(struct vex_graph *graph, uint32_t lost)
{
    for (uint32_t slot = 0; slot < COUNT; slot++) {
        _Atomic uint32_t *links = graph_links(graph, slot);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < graph->degree; i++)
            if (links[i] != lost)
                links[kept++] = links[i];
        while (kept < graph->degree)
            links[kept++] = NO_SLOT;
    }
}

static void test_refining(void)
{
    struct vex_graph *graph;
    struct vex_err err;
    unsigned lost = 0;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, COUNT);
    vex_graph_refine(graph, 0, COUNT);
    for (uint32_t slot = 0; slot < COUNT; slot += 300) {
        cut_off(graph, slot);
        lost += vex_graph_check(graph, 0, &err) != 0;
        vex_graph_refine(graph, 0, COUNT);
        check(graph, 0);
    }
    CU_ASSERT(lost >= 5); /* the others are entries */
    vex_graph_free(graph);
}

static void test_filters(void)
{
    static const unsigned per_thousand[] = {4, 10, 50, 100, 300, 500, 900};
    uint64_t allow[2 * COUNT / 64 * 2] = {0};
    struct vex_graph *graph;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, COUNT);
    vex_graph_refine(graph, 0, COUNT);
    for (unsigned i = 0; i < sizeof per_thousand / sizeof *per_thousand; i++) {
        double got;
        memset(allow, 0, sizeof allow);
        for (unsigned slot = 0; slot < COUNT; slot++)
            allow[slot / 64] |= (uint64_t)(draw() % 1000 < per_thousand[i]) << (slot % 64);
        got = recall(graph, EF, allow, true);
        printf(" %.3f", got);
        CU_ASSERT(got >= 0.9);
        if (per_thousand[i] >= 100)
            CU_ASSERT(recall(graph, EF * 1000 / per_thousand[i], allow, false) >= 0.97);
    }
    memset(allow, 0, sizeof allow); /* whole clusters, mostly far from the query */
    for (unsigned slot = 0; slot < COUNT; slot++)
        allow[slot / 64] |= (uint64_t)(group[slot] % 10 == 3) << (slot % 64);
    CU_ASSERT(recall(graph, EF, allow, true) >= 0.9);
    CU_ASSERT(recall(graph, EF, allow, false) >= 0.8);
    memset(allow, 0, sizeof allow);
    CU_ASSERT_EQUAL(recall(graph, EF, allow, true), 1); /* nothing: nothing is found */
    vex_graph_free(graph);
}

/* ---- threads ---- */

static _Atomic unsigned next_point;
static _Atomic bool over;

static void *insert(void *arg)
{
    unsigned i;

    while ((i = atomic_fetch_add(&next_point, 1)) < COUNT) {
        vex_graph_put(arg, i, points[i]);
        vex_graph_link(arg, i);
        if (i % 16 == 7)
            vex_graph_drop(arg, i);
        if (i % 256 == 8)
            vex_graph_mend(arg, i - i / 2, i);
    }
    return NULL;
}

static void *search_on(void *arg)
{
    struct vex_graph_hit hits[EF];
    bool sorted = true;

    for (unsigned q = 0; !atomic_load(&over); q = (q + 1) % QUERIES) {
        struct vex_graph_search search = {.query = queries[q], .ef = EF};
        uint32_t count = vex_graph_search(arg, &search, hits, NULL);
        for (uint32_t i = 1; i < count; i++)
            sorted = sorted && hits[i].distance >= hits[i - 1].distance;
    }
    return sorted ? arg : NULL;
}

static void test_threads(void)
{
    pthread_t inserters[2], searchers[2];
    struct vex_graph *graph;
    void *good;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, 0);
    atomic_store(&next_point, 0);
    atomic_store(&over, false);
    for (int i = 0; i < 2; i++) {
        pthread_create(&inserters[i], NULL, insert, graph);
        pthread_create(&searchers[i], NULL, search_on, graph);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(inserters[i], NULL);
    vex_graph_refine(graph, 0, COUNT);
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(searchers[i], &good);
        CU_ASSERT_PTR_NOT_NULL(good);
    }
    vex_graph_mend(graph, 0, COUNT);
    vex_graph_refine(graph, 0, COUNT);
    check(graph, 0);
    CU_ASSERT_EQUAL(vex_graph_count(graph), COUNT - (COUNT + 8) / 16);
    CU_ASSERT(recall(graph, EF, NULL, false) >= 0.97);
    vex_graph_free(graph);
}

/* ---- images ---- */

static char dir[64];
static char path[128];

static struct vex_file *image(unsigned flags)
{
    struct vex_file *file = NULL;

    CU_ASSERT_EQUAL_FATAL(vex_io_open(vex_io_posix(), path, flags, &file), 0);
    return file;
}

static struct vex_file *saved(const struct vex_graph *graph)
{
    struct vex_file *file = image(VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC);
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_graph_save(graph, vex_io_posix(), file, &err), 0);
    return file;
}

static void test_save_and_load(void)
{
    struct vex_graph *graph, *loaded = NULL;
    struct vex_err err = {0};
    struct vex_file *file;
    double before;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, COUNT);
    vex_graph_drop(graph, 17);
    vex_graph_mend(graph, 0, COUNT);
    before = recall(graph, EF, NULL, false);
    file = saved(graph);
    CU_ASSERT_EQUAL(vex_graph_verify(vex_io_posix(), file, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_graph_load(vex_graph_params(graph), vex_io_posix(), file, &loaded, &err), 0);
    vex_io_close(vex_io_posix(), file);
    unlink(path);
    CU_ASSERT_EQUAL(vex_graph_count(loaded), COUNT - 1);
    CU_ASSERT_FALSE(vex_graph_has(loaded, 17));
    CU_ASSERT(fabs(recall(loaded, EF, NULL, false) - before) <= 0.01);
    CU_ASSERT_EQUAL(vex_graph_reserve(loaded, 4 * COUNT), 0); /* life goes on */
    for (unsigned i = COUNT; i < COUNT + 300; i++) {
        vex_graph_put(loaded, i, points[i]);
        vex_graph_link(loaded, i);
    }
    while (vex_graph_settle(loaded, &spare))
        continue;
    check(loaded, COUNT / 100);
    CU_ASSERT(recall(loaded, EF, NULL, false) >= 0.96);
    vex_graph_free(graph);
    vex_graph_free(loaded);
}

/* A graph read back from a file that was changed is refused or harmless. */
static void load_damaged(const struct vex_graph_params *params, bool refused)
{
    struct vex_graph_search search = {.query = queries[0], .ef = EF};
    struct vex_file *file = image(VEX_IO_WRITE);
    struct vex_graph *loaded = NULL;
    struct vex_graph_hit hits[EF];
    struct vex_err err = {0};
    int code = vex_graph_load(params, vex_io_posix(), file, &loaded, &err);

    if (refused)
        CU_ASSERT_EQUAL(code, VEX_ECORRUPT);
    if (code == 0) {
        CU_ASSERT_EQUAL(vex_graph_verify(vex_io_posix(), file, &err), VEX_ECORRUPT);
        vex_graph_search(loaded, &search, hits, NULL);
        vex_graph_put(loaded, COUNT, points[0]);
        vex_graph_link(loaded, COUNT);
        vex_graph_mend(loaded, 0, COUNT);
        vex_graph_refine(loaded, 0, 200);
        (void)vex_graph_check(loaded, 0, &err);
        vex_graph_free(loaded);
    }
    vex_io_close(vex_io_posix(), file);
}

static void poke(uint64_t offset, const void *data, size_t len)
{
    struct vex_file *file = image(VEX_IO_WRITE);

    CU_ASSERT_EQUAL(vex_io_pwrite(vex_io_posix(), file, data, len, offset), 0);
    vex_io_close(vex_io_posix(), file);
}

static void test_damage(void)
{
    struct vex_graph_params params, other;
    static uint64_t junk[64 << 10];
    struct vex_graph *graph;
    struct vex_file *file;
    int64_t size;

    make_data(false);
    graph = graph_with(VEX_DISTANCE_L2, COUNT);
    params = *vex_graph_params(graph);
    for (unsigned at = 0; at < 600; at++) {
        uint8_t byte = (uint8_t)draw();
        vex_io_close(vex_io_posix(), saved(graph));
        if (at % 4 == 0) {
            poke(at, &byte, 1);
            load_damaged(&params, false);
        }
        if (at == 1) {
            file = image(VEX_IO_WRITE);
            size = vex_io_size(vex_io_posix(), file);
            CU_ASSERT_EQUAL(vex_io_truncate(vex_io_posix(), file, (uint64_t)size - 1), 0);
            vex_io_close(vex_io_posix(), file);
            load_damaged(&params, true);
        }
        if (at > 40)
            at += 20;
    }
    for (unsigned i = 0; i < 64 << 10; i++)
        junk[i] = draw();
    vex_io_close(vex_io_posix(), saved(graph));
    poke(512 << 10, junk, sizeof junk); /* codes and links */
    load_damaged(&params, false);
    vex_io_close(vex_io_posix(), saved(graph));
    other = params;
    other.m *= 2;
    load_damaged(&other, true);
    other = params;
    other.dimensions++;
    load_damaged(&other, true);
    other = params;
    other.distance = VEX_DISTANCE_DOT;
    load_damaged(&other, true);
    unlink(path);
    vex_graph_free(graph);
}

int main(void)
{
    CU_TestInfo tests[] = {{"recall floors", test_recall_floors},
                           {"small", test_small},
                           {"copies", test_copies},
                           {"deletes and inserts", test_deletes_and_inserts},
                           {"shrinking", test_shrinking},
                           {"refining", test_refining},
                           {"filters", test_filters},
                           {"threads", test_threads},
                           {"save and load", test_save_and_load},
                           {"damage", test_damage},
                           CU_TEST_INFO_NULL};
    int failed;

    snprintf(dir, sizeof dir, "/tmp/vex-graph-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/graph", dir);
    failed = run_suite("graph", tests);
    rmdir(dir);
    return failed;
}
