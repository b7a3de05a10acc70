/* For the tests of posting lists: points in clusters, graphs of them, bitmaps of what is allowed. */
#ifndef VEX_TEST_FILTER_IVF_KIT_H
#define VEX_TEST_FILTER_IVF_KIT_H

#include <math.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base_suite.h"
#include "engine/index/ivf_private.h"
#include "uapi/dist.h"

#define DIMENSIONS 32u
#define COUNT      12000u
#define POINTS     (2 * COUNT)
#define CLUSTERS   80u
#define QUERIES    40u
#define ENDLESS    UINT32_MAX
#define WORDS      (POINTS / 64 * 2) /* more than any graph here has slots */

static float points[POINTS][DIMENSIONS], queries[QUERIES][DIMENSIONS];
static uint64_t seed = 88172645463325252u;

static inline uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static inline float draw_normal(void)
{
    float sum = 0;

    for (int i = 0; i < 6; i++)
        sum += (float)(draw() >> 40) * 0x1p-23f - 1.0f;
    return sum;
}

/* Clusters whose later dimensions are narrower, and an offset for all. Queries come from all of them. */
static inline void make_data(bool unit)
{
    static float centres[CLUSTERS][DIMENSIONS];

    seed = 88172645463325252u;
    for (unsigned c = 0; c < CLUSTERS; c++)
        for (unsigned d = 0; d < DIMENSIONS; d++)
            centres[c][d] = draw_normal() / sqrtf(sqrtf((float)d + 1));
    for (unsigned i = 0; i < POINTS + QUERIES; i++) {
        float *at = i < POINTS ? points[i] : queries[i - POINTS];
        unsigned c = (unsigned)(draw() % CLUSTERS);
        for (unsigned d = 0; d < DIMENSIONS; d++)
            at[d] = centres[c][d] + 0.7f * draw_normal() / sqrtf(sqrtf((float)d + 1)) + 0.3f;
        if (unit)
            vex_dist_normalise(at, DIMENSIONS);
    }
}

/* ---- graphs: lists don't depend on how well their nodes are linked, so that they are linked in haste ---- */

static inline struct vex_graph *graph_of(enum vex_distance distance, enum vex_code_kind kind, uint32_t slots)
{
    struct vex_graph_params params = {
        .dimensions = DIMENSIONS, .distance = distance, .m = 2, .ef_construct = 4, .codes.kind = kind};
    struct vex_graph *graph = vex_graph_new(&params);

    CU_ASSERT_EQUAL_FATAL(vex_graph_reserve(graph, slots), 0);
    vex_graph_train(graph, points[0], 2000);
    return graph;
}

static inline void link_slots(struct vex_graph *graph, uint32_t from, uint32_t to)
{
    for (uint32_t slot = from; slot < to; slot++) {
        vex_graph_put(graph, slot, points[slot]);
        vex_graph_link(graph, slot);
    }
}

static inline void check(const struct vex_graph *graph)
{
    struct vex_err err = {0};
    int code = vex_graph_check(graph, POINTS, &err); /* of the lists: nobody has refined the links */

    if (code != 0)
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_EQUAL(code, 0);
}

/* ---- filters ---- */

static inline void allow_none(uint64_t *allow)
{
    memset(allow, 0, WORDS * sizeof *allow);
}

static inline void allow_slot(uint64_t *allow, uint32_t slot)
{
    allow[slot / 64] |= UINT64_C(1) << (slot % 64);
}

#endif
