/* An engine in a folder of its own with one collection of 128-d vectors, for the benchmarks. */
#ifndef VEX_BENCH_ENGINE_BENCH_H
#define VEX_BENCH_ENGINE_BENCH_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/query/query.h"

#define DIMENSIONS 128u
#define BATCH      1000u

struct bench {
    char dir[256];
    struct vex_dev *dev;
    struct vex_pool *pool;
    struct vex_engine *engine;
    struct vex_collection *collection;
};

static inline double clock_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline float draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (float)(*seed >> 40) * 0x1p-23f - 1.0f;
}

static inline uint64_t pick(uint64_t *seed, uint64_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (*seed >> 11) % below;
}

static inline void must(int code, const struct vex_err *err, const char *what)
{
    if (code == 0)
        return;
    fprintf(stderr, "%s: %s (%d)\n", what, err != NULL ? err->text : "", code);
    exit(1);
}

/* parent: the folder's parent; NULL: /tmp. The vector device is VEX_BENCH_DEVICE: embedded (the default) or kernel. */
static inline void bench_open(struct bench *b, const char *parent)
{
    struct vex_err err;
    struct vex_config *config = vex_config_new();
    struct vex_vector_params params = {.name = VEX_STR(""), .size = DIMENSIONS, .distance = VEX_DISTANCE_L2};
    bool created;
    const char *device = getenv("VEX_BENCH_DEVICE");
    *b = (struct bench){.pool = vex_pool_new(1, 1024, "bench")};
    must(vex_dev_choose(device != NULL ? device : "embedded", &b->dev, &err), &err, "device");
    snprintf(b->dir, sizeof b->dir, "%s/vex-bench-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(b->dir) == NULL)
        must(VEX_EIO, NULL, b->dir);
    struct vex_engine_options options = {.io = vex_io_posix(),
                                         .dir = b->dir,
                                         .dev = b->dev,
                                         .pool = b->pool,
                                         .segment_bytes = 64 << 20,
                                         .checkpoint_bytes = 256 << 20,
                                         .checkpoint_ns = UINT64_C(60000000000),
                                         .queue_bytes = 64 << 20};
    must(vex_engine_open(&options, &b->engine, &err), &err, "open");
    must(vex_config_add_vector(config, &params, &err), &err, "configuration");
    must(vex_engine_create(b->engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                           VEX_STR("bench"), config, false, &b->collection, &created, &err),
         &err, "create");
    vex_config_unref(config);
}

static inline void bench_close(struct bench *b)
{
    char command[300];
    vex_collection_unref(b->collection);
    vex_engine_close(b->engine);
    vex_pool_free(b->pool);
    vex_dev_free(b->dev);
    snprintf(command, sizeof command, "rm -rf %s", b->dir);
    if (system(command) != 0)
        fprintf(stderr, "left behind: %s\n", b->dir);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned done;
};

static inline void submitted(struct vex_mutation *mutation, int code, const struct vex_err *err,
                             const struct vex_op_result *results)
{
    struct waiter *waiter = mutation->arg;
    (void)results;
    must(code, err, "upsert");
    pthread_mutex_lock(&waiter->lock);
    waiter->done++;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static inline void wait_for(struct waiter *waiter, unsigned done)
{
    pthread_mutex_lock(&waiter->lock);
    while (waiter->done < done)
        pthread_cond_wait(&waiter->changed, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
}

/* A batch of BATCH points and everything it borrows. */
struct batch {
    float values[BATCH * DIMENSIONS];
    struct vex_vector_value vectors[BATCH];
    struct vex_point points[BATCH];
    struct vex_op op;
    struct vex_mutation mutation;
};

/* Fills in ids first, first + 1, ... and random vectors; `payload` may be empty. */
static inline void batch_fill(struct batch *batch, uint64_t first, uint64_t *seed, struct vex_str payload)
{
    for (uint32_t i = 0; i < BATCH * DIMENSIONS; i++)
        batch->values[i] = draw(seed);
    for (uint32_t i = 0; i < BATCH; i++) {
        batch->vectors[i] = (struct vex_vector_value){
            .name = VEX_STR(""), .values = batch->values + i * DIMENSIONS, .count = DIMENSIONS};
        batch->points[i] = (struct vex_point){.id = vex_id_num(first + i),
                                              .payload = payload,
                                              .vectors = &batch->vectors[i],
                                              .vector_count = 1};
    }
    batch->op = (struct vex_op){.kind = VEX_OP_UPSERT, .upsert = {.points = batch->points, .count = BATCH}};
}

static inline void batch_submit(struct bench *b, struct batch *batch, struct waiter *waiter, bool wait)
{
    struct vex_err err;
    batch->mutation =
        (struct vex_mutation){.ops = &batch->op, .count = 1, .wait = wait, .done = submitted, .arg = waiter};
    must(vex_collection_submit(b->collection, &batch->mutation, &err), &err, "submit");
}

#endif
