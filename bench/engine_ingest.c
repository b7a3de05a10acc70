/* Ingest through the engine: batches of 1,000 points of 128-d f32, each acknowledged when applied and
 * durable.
 *
 * `depth` batches are on their way at a time, as that many clients would send them. Wall clock counts from
 * the first submit to the last acknowledgement; CPU-seconds are the whole process's, less what drawing the
 * vectors took. Usage: bench_engine_ingest [points (200000)] [depth (1)] [folder] */
#include "engine_bench.h"

#define DEPTH_MAX 64u

int main(int argc, char **argv)
{
    uint64_t points = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000, seed = 88172645463325252u;
    unsigned long depth = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    struct batch *batches[DEPTH_MAX];
    struct waiter waiters[DEPTH_MAX];
    unsigned sent[DEPTH_MAX] = {0};
    struct bench b;
    double drawing = 0, drawing_cpu = 0;
    if (depth < 1 || depth > DEPTH_MAX)
        depth = DEPTH_MAX;
    bench_open(&b, argc > 3 ? argv[3] : NULL);
    for (unsigned long i = 0; i < depth; i++) {
        batches[i] = vex_mem_zalloc(sizeof *batches[i]);
        waiters[i] = (struct waiter){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    }
    double begin = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t count = (points + BATCH - 1) / BATCH;
    for (uint64_t i = 0; i < count; i++) {
        unsigned long at = (unsigned long)(i % depth);
        wait_for(&waiters[at], sent[at]++);
        double t = clock_s(CLOCK_MONOTONIC), c = clock_s(CLOCK_THREAD_CPUTIME_ID);
        batch_fill(batches[at], i * BATCH, &seed, (struct vex_str){0});
        drawing += clock_s(CLOCK_MONOTONIC) - t;
        drawing_cpu += clock_s(CLOCK_THREAD_CPUTIME_ID) - c;
        batch_submit(&b, batches[at], &waiters[at], true);
    }
    for (unsigned long i = 0; i < depth; i++)
        wait_for(&waiters[i], sent[i]);
    double wall = clock_s(CLOCK_MONOTONIC) - begin, n = (double)(count * BATCH);
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu - drawing_cpu;
    if (depth == 1)
        wall -= drawing;
    printf("%.0f points of %u-d, batches of %u, depth %lu, wait = true\n", n, DIMENSIONS, BATCH, depth);
    printf("wall %.3f s, %.0f points/s, %.1f MB/s of vectors\n", wall, n / wall,
           n * DIMENSIONS * 4 / wall / 1e6);
    printf("CPU  %.3f s, %.2f us a point\n", cpu, cpu * 1e6 / n);
    for (unsigned long i = 0; i < depth; i++)
        vex_mem_free(batches[i]);
    bench_close(&b);
    return 0;
}
