/* Graph of one vector name, alone: build, search, filters, changes, image. Driven by search.py and graph.py.
 *
 * bench_engine_graph [-a] DATA DIMENSIONS METRIC [M EF_CONSTRUCT]: reads DATA.base, DATA.query (f32) and DATA.truth (i32, 10 a query), prints
 * a figure a line. Times are CPU of the one thread; the best of three rounds. METRIC is l2, cosine (unit vectors) or dot. -a: when the graph stands, answers each width read from the
 * standard input with one round of all the queries, so that rounds can alternate with those of other programs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/index/graph.h"
#include "engine/index/huge.h"
#include "uapi/dist.h"

#define K      10u
#define ROUNDS 3
#define EF_TOP 512u

struct set {
    struct vex_huge base, query, truth;
    uint32_t count, queries, dimensions;
    vex_dist_fn *dist;
    vex_dist4_fn *dist4;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t slurp(struct vex_huge *huge, const char *data, const char *part)
{
    char path[4096];
    struct vex_io *io = vex_io_posix();
    struct vex_file *file;
    int64_t size;

    snprintf(path, sizeof path, "%s.%s", data, part);
    if (vex_io_open(io, path, VEX_IO_READ, &file) != 0 || (size = vex_io_size(io, file)) <= 0 ||
        !vex_huge_grow(huge, (size_t)size) || vex_io_pread(io, file, huge->base, (size_t)size, 0) != size) {
        fprintf(stderr, "can't read %s\n", path);
        exit(1);
    }
    vex_io_close(io, file);
    return (size_t)size;
}

static const float *base_at(const struct set *set, uint32_t slot)
{
    return (const float *)(const void *)set->base.base + (size_t)slot * set->dimensions;
}

static const float *query_at(const struct set *set, uint32_t q)
{
    return (const float *)(const void *)set->query.base + (size_t)q * set->dimensions;
}

struct scored {
    float distance;
    uint32_t slot;
};

static uint32_t keep(struct scored *best, uint32_t count, float distance, uint32_t slot)
{
    uint32_t at = count < K ? count : K;

    if (count == K && distance >= best[K - 1].distance)
        return K;
    at -= count == K;
    for (; at > 0 && best[at - 1].distance > distance; at--)
        best[at] = best[at - 1];
    best[at] = (struct scored){distance, slot};
    return count < K ? count + 1 : K;
}

/* The K best of the hits by their originals. */
static uint32_t rerank(const struct set *set, const float *query, const struct vex_graph_hit *hits,
                       uint32_t count, struct scored best[K])
{
    size_t size = set->dimensions * sizeof(float);
    uint32_t found = 0, ahead = (uint32_t)(4096 / size) + 4;

    for (uint32_t i = 0; i < count; i += 4) {
        const void *vectors[4];
        float distances[4];
        for (uint32_t j = 0; j < 4; j++) {
            vectors[j] = base_at(set, hits[i + j < count ? i + j : count - 1].slot);
            for (size_t at = 0; i + j + ahead < count && at < size; at += 64)
                __builtin_prefetch((const char *)base_at(set, hits[i + j + ahead].slot) + at);
        }
        set->dist4(query, vectors, set->dimensions, distances);
        for (uint32_t j = 0; j < 4 && i + j < count; j++)
            found = keep(best, found, distances[j], hits[i + j].slot);
    }
    return found;
}

struct run {
    uint32_t ef;
    const uint64_t *allow;
    bool through;
    const int32_t *truth;
    int rounds; /* 0: ROUNDS */
};

static void search(const struct vex_graph *graph, const struct set *set, const char *what,
                   const struct run *run)
{
    static struct vex_graph_hit hits[VEX_GRAPH_EF_MAX];
    double best_time = 1e9;
    uint64_t scored, right = 0, compared = 0;

    for (int round = 0; round < (run->rounds != 0 ? run->rounds : ROUNDS); round++) {
        double begin = now();
        right = compared = 0;
        for (uint32_t q = 0; q < set->queries; q++) {
            struct vex_graph_search s = {
                .query = query_at(set, q), .ef = run->ef, .allow = run->allow, .through = run->through};
            struct scored best[K];
            uint32_t count = vex_graph_search(graph, &s, hits, &scored);
            count = rerank(set, s.query, hits, count, best);
            compared += scored;
            for (uint32_t i = 0; i < count; i++)
                for (uint32_t j = 0; j < K; j++)
                    right += best[i].slot == (uint32_t)run->truth[q * K + j];
        }
        best_time = now() - begin < best_time ? now() - begin : best_time;
    }
    printf("%s ef %u recall %.4f us %.2f compared %.0f\n", what, run->ef, (double)right / set->queries / K,
           best_time / set->queries * 1e6, (double)compared / set->queries);
    fflush(stdout);
}

static void sweep(const struct vex_graph *graph, const struct set *set, const char *what,
                  const int32_t *truth)
{
    static const uint32_t widths[] = {10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384};

    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        search(graph, set, what, &(struct run){.ef = widths[i], .truth = truth});
}

static void answer_widths(const struct vex_graph *graph, const struct set *set, const int32_t *truth)
{
    char line[64];

    while (fgets(line, sizeof line, stdin) != NULL) {
        uint32_t ef = (uint32_t)atoi(line);
        if (ef >= 1 && ef <= VEX_GRAPH_EF_MAX)
            search(graph, set, "search", &(struct run){.ef = ef, .truth = truth, .rounds = 1});
    }
}

static void link_all(struct vex_graph *graph, const struct set *set, uint32_t from, uint32_t step)
{
    for (uint32_t i = from; i < set->count; i += step) {
        vex_graph_put(graph, i, base_at(set, i));
        vex_graph_link(graph, i);
    }
}

static struct vex_graph *build(const struct set *set, const struct vex_graph_params *params)
{
    struct vex_graph *graph = vex_graph_new(params);
    double begin = now();
    uint32_t lost;

    if (vex_graph_reserve(graph, set->count) != 0)
        exit(1);
    vex_graph_train(graph, base_at(set, 0), set->count < 20000 ? set->count : 20000);
    link_all(graph, set, 0, 1);
    printf("built %u seconds %.2f rate %.0f\n", set->count, now() - begin, set->count / (now() - begin));
    lost = vex_graph_refine(graph, 0, set->count);
    printf("refined %u seconds %.2f rate %.0f\n", lost, now() - begin, set->count / (now() - begin));
    printf("memory %.1f MB\n", (double)vex_graph_bytes(graph) / 1e6);
    fflush(stdout);
    return graph;
}

/* Every tenth, three times: taken out, mended, put back into the same slots. */
static void change(struct vex_graph *graph, const struct set *set)
{
    double begin = now();

    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = round; i < set->count; i += 10)
            vex_graph_drop(graph, i);
        vex_graph_mend(graph, 0, set->count);
        link_all(graph, set, round, 10);
    }
    vex_graph_refine(graph, 0, set->count);
    printf("changed seconds %.2f\n", now() - begin);
}

/* Exact answers within a filter; -1 where there are fewer than K. */
static void filtered_truth(const struct set *set, const uint64_t *allow, int32_t *ret)
{
    for (uint32_t q = 0; q < set->queries; q++) {
        struct scored best[K];
        uint32_t found = 0;
        for (uint32_t i = 0; i < set->count; i++)
            if ((allow[i / 64] >> (i % 64) & 1) != 0)
                found = keep(best, found, set->dist(query_at(set, q), base_at(set, i), set->dimensions), i);
        for (uint32_t k = 0; k < K; k++)
            ret[q * K + k] = k < found ? (int32_t)best[k].slot : -1;
    }
}

/* Random filters of several sizes, then one that is bound to the vectors: the half farther from the first one. */
static void filters(const struct vex_graph *graph, struct set *set)
{
    static const double parts[] = {0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9, -0.5};
    uint64_t *allow = vex_mem_zalloc(vex_graph_slots(graph) / 8), random = 88172645463325252u;
    int32_t *truth = vex_mem_alloc((size_t)set->queries * K * sizeof *truth);
    uint32_t queries = set->queries;
    float middle = 0;

    set->queries = queries < 200 ? queries : 200; /* the exact answers are slow */
    for (uint32_t i = 0; i < 1000; i++)
        middle += set->dist(base_at(set, 0), base_at(set, (uint32_t)((uint64_t)i * set->count / 1000)),
                            set->dimensions) /
                  1000;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        char what[64];
        memset(allow, 0, vex_graph_slots(graph) / 8);
        for (uint32_t i = 0; i < set->count; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bool in = parts[p] > 0 ? (double)(random >> 40) * 0x1p-24 < parts[p]
                                   : set->dist(base_at(set, 0), base_at(set, i), set->dimensions) > middle;
            allow[i / 64] |= (uint64_t)in << (i % 64);
        }
        filtered_truth(set, allow, truth);
        for (uint32_t ef = 32; ef <= 128; ef *= 2) {
            snprintf(what, sizeof what, "filter %g through", parts[p]);
            search(graph, set, what, &(struct run){ef, allow, true, truth, 0});
            if (parts[p] < 0.1 && parts[p] > 0)
                continue;
            snprintf(what, sizeof what, "filter %g over", parts[p]);
            search(graph, set, what,
                   &(struct run){(uint32_t)(ef / (parts[p] > 0 ? parts[p] : 0.5)), allow, false, truth, 0});
        }
    }
    set->queries = queries;
    vex_mem_free(allow);
    vex_mem_free(truth);
}

static struct vex_graph *by_way_of_file(struct vex_graph *graph, const struct set *set, const char *data,
                                        const int32_t *truth)
{
    struct vex_io *io = vex_io_posix();
    struct vex_graph *loaded;
    char *spare = NULL; /* each piece of settling makes its own */
    struct vex_file *file;
    struct vex_err err;
    char path[4096];
    double begin;

    snprintf(path, sizeof path, "%s.graph", data);
    if (vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &file) != 0)
        exit(1);
    begin = now();
    if (vex_graph_save(graph, io, file, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    printf("saved seconds %.3f\n", now() - begin);
    begin = now();
    if (vex_graph_load(vex_graph_params(graph), io, file, &loaded, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    printf("loaded seconds %.4f\n", now() - begin);
    vex_io_close(io, file);
    unlink(path);
    vex_graph_free(graph);
    search(loaded, set, "loaded", &(struct run){.ef = 32, .truth = truth});
    begin = now();
    while (vex_graph_settle(loaded, &spare))
        continue;
    printf("settled seconds %.3f\n", now() - begin);
    search(loaded, set, "settled", &(struct run){.ef = 32, .truth = truth});
    return loaded;
}

int main(int argc, char **argv)
{
    struct vex_graph_params params = {.m = 16, .ef_construct = 100};
    struct vex_graph *graph;
    struct set set = {0};
    const int32_t *truth;
    bool asked = argc > 1 && strcmp(argv[1], "-a") == 0;

    argv += asked;
    argc -= asked;
    if (argc < 4) {
        fprintf(stderr, "usage: bench_engine_graph [-a] DATA DIMENSIONS l2|cosine|dot [M EF_CONSTRUCT]\n");
        return 2;
    }
    set.dimensions = params.dimensions = (uint32_t)atoi(argv[2]);
    params.distance = argv[3][0] == 'l'   ? VEX_DISTANCE_L2
                      : argv[3][0] == 'c' ? VEX_DISTANCE_COSINE
                                          : VEX_DISTANCE_DOT;
    if (argc > 5) {
        params.m = (uint32_t)atoi(argv[4]);
        params.ef_construct = (uint32_t)atoi(argv[5]);
    }
    set.dist = vex_dist(params.distance, VEX_ELEMENT_F32);
    set.dist4 = vex_dist4(params.distance, VEX_ELEMENT_F32);
    set.count = (uint32_t)(slurp(&set.base, argv[1], "base") / sizeof(float) / set.dimensions);
    set.queries = (uint32_t)(slurp(&set.query, argv[1], "query") / sizeof(float) / set.dimensions);
    if (slurp(&set.truth, argv[1], "truth") < (size_t)set.queries * K * sizeof *truth)
        return 1;
    truth = (const int32_t *)(const void *)set.truth.base;
    graph = build(&set, &params);
    if (asked)
        answer_widths(graph, &set, truth);
    else
        sweep(graph, &set, "search", truth);
    if (getenv("VEX_BENCH_ALL") != NULL) {
        graph = by_way_of_file(graph, &set, argv[1], truth);
        filters(graph, &set);
        change(graph, &set);
        sweep(graph, &set, "after", truth);
    }
    vex_graph_free(graph);
    return 0;
}
