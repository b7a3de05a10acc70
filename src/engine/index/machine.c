/* The fit: the smallest of a few rounds, so that what else runs on the machine counts little. See machine.h. */
#include "engine/index/machine.h"

#include <stdatomic.h>
#include <time.h>

#include "base/mem.h"
#include "engine/index/codes_kernels.h"
#include "engine/index/huge.h"
#include "uapi/dist.h"

#define DIMENSIONS 128u
#define TABLE      (UINT64_C(32) << 20) /* bytes: more than the caches of a core hold */
#define NEAR       256u                 /* codes that stay in a cache */
#define STEPS      16384u
#define AHEAD      16u
#define ROUNDS     4
#define TIMES_MOST 4.0 /* a figure that far from the ordinary one is a disturbance */

static const struct vex_machine ordinary = {.code = 5, .code_far = 25, .vector_next = 40};
static struct vex_machine fitted;
static const struct vex_machine *_Atomic current = &ordinary;
static atomic_flag begun = ATOMIC_FLAG_INIT;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Codes at places drawn at random below `count`, each sent for AHEAD steps before. */
static double time_codes(const uint8_t *table, uint32_t count, const uint8_t *query, uint32_t *sum)
{
    struct vex_code_kernels kernels = vex_code_kernels(VEX_DISTANCE_L2, VEX_CODES_7_BITS);
    uint32_t coming[AHEAD + 4] = {0}, x = 2463534242u;
    double begin = now_ns();

    for (uint32_t i = 0; i < STEPS; i += 4) {
        const uint8_t *codes[4];
        uint32_t distances[4];
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t place = (i + j) % AHEAD;
            codes[j] = table + (size_t)coming[place] * DIMENSIONS;
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            coming[place] = (uint32_t)((uint64_t)x * count >> 32);
            __builtin_prefetch(table + (size_t)coming[place] * DIMENSIONS, 0, 2);
            __builtin_prefetch(table + (size_t)coming[place] * DIMENSIONS + 64, 0, 2);
        }
        kernels.four(query, codes, DIMENSIONS, distances);
        *sum += distances[0] + distances[1] + distances[2] + distances[3];
    }
    return (now_ns() - begin) / STEPS;
}

static double time_vectors(const uint8_t *table, const float *query, float *sum)
{
    vex_dist_fn *dist = vex_dist(VEX_DISTANCE_L2, VEX_ELEMENT_F32);
    size_t stride = DIMENSIONS * sizeof(float);
    double begin = now_ns();

    for (uint32_t i = 0; i < STEPS; i++)
        *sum += dist(query, table + i * stride, DIMENSIONS);
    return (now_ns() - begin) / STEPS;
}

static double within(double measured, double usual)
{
    double most = usual * TIMES_MOST, least = usual / TIMES_MOST;

    return measured > most ? most : measured < least ? least : measured;
}

static void measure(const uint8_t *table, struct vex_machine *ret)
{
    float query[DIMENSIONS] = {0}, sum = 0;
    volatile double sink; /* so that nothing is left out */
    uint32_t count = 0;

    for (int r = 0; r < ROUNDS; r++) {
        double near = time_codes(table, NEAR, (const uint8_t *)query, &count);
        double far = time_codes(table, (uint32_t)(TABLE / DIMENSIONS), (const uint8_t *)query, &count);
        double next = time_vectors(table, query, &sum);
        ret->code = r == 0 || near < ret->code ? near : ret->code;
        ret->code_far = r == 0 || far < ret->code_far ? far : ret->code_far;
        ret->vector_next = r == 0 || next < ret->vector_next ? next : ret->vector_next;
    }
    sink = (double)sum + count;
    (void)sink;
    ret->code = within(ret->code, ordinary.code);
    ret->code_far = within(ret->code_far, ordinary.code_far);
    ret->vector_next = within(ret->vector_next, ordinary.vector_next);
}

const struct vex_machine *vex_machine(void)
{
    return atomic_load_explicit(&current, memory_order_acquire);
}

void vex_machine_fit(void)
{
    struct vex_huge table = {0};

    if (atomic_flag_test_and_set(&begun) || !vex_huge_grow(&table, TABLE))
        return;
    memset(table.base, 0, TABLE); /* pages of its own, not the one of zeros */
    measure((const uint8_t *)table.base, &fitted);
    vex_huge_free(&table);
    atomic_store_explicit(&current, &fitted, memory_order_release);
}
