/* Exact search through the engine beside a plain read of as many bytes: how far a query is from memory
 * bandwidth.
 *
 * One thread, 128-d f32 vectors, k 10, no payload in the answers. The plain read and the searches alternate;
 * the best of all rounds counts. Usage: bench_engine_exact [points (100000)] [rounds (30)] [folder] */
#include "engine_bench.h"

#define QUERIES 8u

static double read_pass(const float *data, size_t count, float *sink)
{
    double begin = clock_s(CLOCK_MONOTONIC);
    float sums[32] = {0};
    for (size_t i = 0; i < count; i += 32)
        for (size_t j = 0; j < 32; j++)
            sums[j] += data[i + j];
    for (size_t j = 0; j < 32; j++)
        *sink += sums[j];
    return clock_s(CLOCK_MONOTONIC) - begin;
}

static double search(struct bench *b, const struct vex_nearest *requests, uint32_t count)
{
    struct vex_arena arena;
    struct vex_hits hits[QUERIES];
    struct vex_err err;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    double begin = clock_s(CLOCK_MONOTONIC);
    must(vex_read_nearest(b->collection, requests, count, &context, hits, &err), &err, "search");
    double time = clock_s(CLOCK_MONOTONIC) - begin;
    if (hits[0].count != 10)
        must(VEX_EINTERNAL, NULL, "hits");
    vex_arena_done(&arena);
    return time;
}

static struct vex_filter *filter_on_n(struct vex_arena *arena, double below)
{
    struct vex_filter *filter = VEX_ARENA_NEW(arena, struct vex_filter);
    filter->must.conds = VEX_ARENA_NEW(arena, struct vex_cond);
    filter->must.count = 1;
    filter->must.conds[0] = (struct vex_cond){.kind = VEX_COND_RANGE,
                                              .path = vex_path_key(arena, VEX_STR("n")),
                                              .range = {.has_lt = true, .lt = below}};
    return filter;
}

static void fill(struct bench *b, uint64_t points, uint64_t *seed)
{
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct batch *batch = vex_mem_zalloc(sizeof *batch);
    struct vex_buf payload;
    unsigned sent = 0;
    for (uint64_t first = 0; first < points; first += BATCH) {
        vex_buf_init(&payload, NULL);
        vex_value_put_map(&payload, 1);
        vex_value_put_text(&payload, VEX_STR("n"));
        vex_value_put_int(&payload, (int64_t)(first / BATCH % 100));
        batch_fill(batch, first, seed, vex_buf_str(&payload));
        batch_submit(b, batch, &waiter, false);
        wait_for(&waiter, ++sent);
        vex_buf_done(&payload);
    }
    struct vex_err err;
    must(vex_collection_drain(b->collection, &err), &err, "drain");
    vex_mem_free(batch);
}

int main(int argc, char **argv)
{
    uint64_t points = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000, seed = 88172645463325252u;
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 30;
    struct bench b;
    struct vex_arena arena;
    float queries[QUERIES][DIMENSIONS], sink = 0;
    struct vex_nearest requests[QUERIES], filtered;
    double plain = 1e9, one = 1e9, eight = 1e9, with_filter = 1e9;
    points = (points + BATCH - 1) / BATCH * BATCH;
    bench_open(&b, argc > 3 ? argv[3] : NULL);
    vex_arena_init(&arena, 0);
    fill(&b, points, &seed);
    size_t floats = (size_t)points * DIMENSIONS;
    float *raw = vex_mem_alloc(floats * sizeof *raw);
    for (size_t i = 0; i < floats; i++)
        raw[i] = (float)(i % 251);
    for (uint32_t q = 0; q < QUERIES; q++) {
        for (uint32_t i = 0; i < DIMENSIONS; i++)
            queries[q][i] = draw(&seed);
        requests[q] = (struct vex_nearest){.limit = 10, .query = {.values = queries[q], .count = DIMENSIONS}};
    }
    filtered = requests[0];
    filtered.filter = filter_on_n(&arena, 10); /* one in ten */
    for (long r = 0; r < rounds; r++) {
        double times[] = {read_pass(raw, floats, &sink), search(&b, requests, 1),
                          search(&b, requests, QUERIES), search(&b, &filtered, 1)};
        plain = times[0] < plain ? times[0] : plain;
        one = times[1] < one ? times[1] : one;
        eight = times[2] < eight ? times[2] : eight;
        with_filter = times[3] < with_filter ? times[3] : with_filter;
    }
    double bytes = (double)floats * sizeof(float);
    printf("%llu x %u f32 (%.0f)\n", (unsigned long long)points, DIMENSIONS, (double)(sink != 0));
    printf("plain read         %8.3f ms  %6.2f GB/s\n", plain * 1e3, bytes / plain / 1e9);
    printf("one query          %8.3f ms  %6.2f GB/s  %.2f x the read\n", one * 1e3, bytes / one / 1e9,
           one / plain);
    printf("eight in a batch   %8.3f ms  %.2f x the read, %.3f ms a query\n", eight * 1e3, eight / plain,
           eight * 1e3 / QUERIES);
    printf("filter, one in ten %8.3f ms  %.1f ns a point\n", with_filter * 1e3,
           with_filter * 1e9 / (double)points);
    vex_mem_free(raw);
    vex_arena_done(&arena);
    bench_close(&b);
    return 0;
}
