/* Graphs that walk on bit codes, and on directions of vectors that are no unit ones: recall of the beam for every kind and metric, changes
 * in place, the self-check, images that another kind refuses. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base_suite.h"
#include "engine/index/graph.h"
#include "uapi/dist.h"

#define DIMENSIONS 96u
#define COUNT      2000u
#define QUERIES    40u
#define K          10u
#define CLUSTERS   25u
#define EF         256u

static float points[COUNT + QUERIES][DIMENSIONS];
static uint64_t seed = 88172645463325252u;

static float draw_normal(void)
{
    float sum = 0;

    for (int i = 0; i < 6; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        sum += (float)(seed >> 40) * 0x1p-23f - 1.0f;
    }
    return sum;
}

static void make_data(bool unit)
{
    static float centres[CLUSTERS][DIMENSIONS];

    for (uint32_t c = 0; c < CLUSTERS; c++)
        for (uint32_t d = 0; d < DIMENSIONS; d++)
            centres[c][d] = draw_normal();
    for (uint32_t i = 0; i < COUNT + QUERIES; i++) {
        for (uint32_t d = 0; d < DIMENSIONS; d++)
            points[i][d] = centres[i % CLUSTERS][d] + 0.7f * draw_normal() + 0.3f;
        if (unit)
            vex_dist_normalise(points[i], DIMENSIONS);
    }
}

static struct vex_graph *graph_of(const struct vex_graph_params *params)
{
    struct vex_graph *graph = vex_graph_new(params);

    CU_ASSERT_EQUAL_FATAL(vex_graph_reserve(graph, COUNT), 0);
    vex_graph_train(graph, points[0], COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        vex_graph_put(graph, i, points[i]);
        vex_graph_link(graph, i);
    }
    vex_graph_refine(graph, 0, COUNT);
    return graph;
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

static float exact(const struct vex_graph *graph, const float *a, const float *b)
{
    const struct vex_graph_params *params = vex_graph_params(graph);
    float distance = vex_dist(params->distance, VEX_ELEMENT_F32)(a, b, DIMENSIONS);

    if (!params->normalise)
        return distance;
    return distance / sqrtf(-vex_dist(VEX_DISTANCE_DOT, VEX_ELEMENT_F32)(b, b, DIMENSIONS));
}

/* Share of the nearest linked points that are in the beam. */
static char *spare; /* each piece of settling makes its own */

static double recall(const struct vex_graph *graph)
{
    static struct scored all[COUNT];
    static struct vex_graph_hit hits[EF];
    uint32_t found = 0;

    for (uint32_t q = COUNT; q < COUNT + QUERIES; q++) {
        struct vex_graph_search search = {.query = points[q], .ef = EF};
        uint32_t total = 0, count = vex_graph_search(graph, &search, hits, NULL);
        for (uint32_t i = 0; i < COUNT; i++)
            if (vex_graph_has(graph, i))
                all[total++] = (struct scored){exact(graph, points[q], points[i]), i};
        qsort(all, total, sizeof *all, nearer);
        CU_ASSERT_FATAL(total >= K);
        for (uint32_t i = 0; i < count; i++) {
            CU_ASSERT(vex_graph_has(graph, hits[i].slot));
            for (uint32_t k = 0; k < K; k++)
                found += hits[i].slot == all[k].slot;
        }
    }
    return (double)found / QUERIES / K;
}

static void check(const struct vex_graph *graph)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_graph_check(graph, COUNT / 50, &err), 0);
}

static void change(struct vex_graph *graph)
{
    for (uint32_t i = 0; i < COUNT; i += 3)
        vex_graph_drop(graph, i);
    vex_graph_mend(graph, 0, COUNT);
    CU_ASSERT_EQUAL(vex_graph_mend(graph, 0, COUNT), 0);
    vex_graph_refine(graph, 0, COUNT);
    check(graph);
    CU_ASSERT(recall(graph) >= 0.93);
    for (uint32_t i = 0; i < COUNT; i += 3)
        vex_graph_put(graph, i, points[i]); /* what was put last is another slot's when the first is linked */
    for (uint32_t i = 0; i < COUNT; i += 3)
        vex_graph_link(graph, i);
    CU_ASSERT(recall(graph) >= 0.93);
    vex_graph_refine(graph, 0, COUNT); /* so many new ones are never left without */
    check(graph);
    CU_ASSERT(recall(graph) >= 0.93);
}

static void test_kinds(void)
{
    for (int distance = 0; distance < VEX_DISTANCE_COUNT; distance++)
        for (int kind = 0; kind < VEX_CODES_COUNT; kind++)
            for (int normalise = 0; normalise <= (distance == VEX_DISTANCE_COSINE); normalise++) {
                struct vex_graph_params params = {.dimensions = DIMENSIONS,
                                                  .distance = (enum vex_distance)distance,
                                                  .m = 12,
                                                  .ef_construct = 64,
                                                  .codes = {.kind = (enum vex_code_kind)kind},
                                                  .normalise = normalise != 0};
                struct vex_graph *graph;
                double got;
                make_data(distance == VEX_DISTANCE_COSINE && !normalise);
                if (normalise)
                    for (uint32_t i = 0; i < COUNT; i++)
                        for (uint32_t d = 0; d < DIMENSIONS; d++)
                            points[i][d] *= (float)(1 + i % 7);
                graph = graph_of(&params);
                got = recall(graph);
                printf(" %d/%d %.3f", distance, kind, got);
                CU_ASSERT(got >= (kind == VEX_CODES_7_BITS ? 0.98 : 0.95));
                check(graph);
                change(graph);
                vex_graph_free(graph);
            }
}

static void test_memory(void)
{
    struct vex_graph_params params = {.dimensions = 768, .distance = VEX_DISTANCE_L2, .m = 16};
    uint64_t bytes[VEX_CODES_COUNT];

    for (int kind = 0; kind < VEX_CODES_COUNT; kind++) {
        struct vex_graph *graph;
        params.codes.kind = (enum vex_code_kind)kind;
        graph = vex_graph_new(&params);
        CU_ASSERT_EQUAL(vex_graph_reserve(graph, 100000), 0);
        bytes[kind] = vex_graph_bytes(graph) / 100000;
        printf(" %llu", (unsigned long long)bytes[kind]);
        vex_graph_free(graph);
    }
    CU_ASSERT(bytes[VEX_CODES_1_BIT] * 3 < bytes[VEX_CODES_7_BITS]);
    CU_ASSERT(bytes[VEX_CODES_1_BIT] < bytes[VEX_CODES_1_5_BITS] &&
              bytes[VEX_CODES_1_5_BITS] < bytes[VEX_CODES_2_BITS]);
}

static void test_image(void)
{
    struct vex_graph_params params = {.dimensions = DIMENSIONS,
                                      .distance = VEX_DISTANCE_L2,
                                      .m = 12,
                                      .ef_construct = 64,
                                      .codes = {.kind = VEX_CODES_2_BITS}};
    char path[] = "/tmp/vex_graph_codes_XXXXXX";
    struct vex_io *io = vex_io_posix();
    struct vex_graph *graph, *again;
    struct vex_file *file;
    struct vex_err err;
    int fd = mkstemp(path);
    double before;

    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    make_data(false);
    graph = graph_of(&params);
    before = recall(graph);
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_TRUNC, &file), 0);
    CU_ASSERT_EQUAL(vex_graph_save(graph, io, file, &err), 0);
    for (int kind = 0; kind < VEX_CODES_COUNT; kind++) {
        params.codes.kind = (enum vex_code_kind)kind;
        if (kind != VEX_CODES_2_BITS) {
            CU_ASSERT_EQUAL(vex_graph_load(&params, io, file, &again, &err), VEX_ECORRUPT);
            continue;
        }
        CU_ASSERT_EQUAL_FATAL(vex_graph_load(&params, io, file, &again, &err), 0);
        CU_ASSERT_DOUBLE_EQUAL(recall(again), before, 0.01);
        while (vex_graph_settle(again, &spare))
            continue;
        change(again);
        vex_graph_free(again);
    }
    vex_io_close(io, file);
    unlink(path);
    vex_graph_free(graph);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"kinds", test_kinds}, {"memory", test_memory}, {"image", test_image}, CU_TEST_INFO_NULL};

    return run_suite("graphs of codes", tests);
}
