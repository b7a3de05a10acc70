/* For tests of a collection's payload indexes: an engine over a folder with one collection that has points of engine_kit.h. */
#ifndef VEX_TEST_ENGINE_INDEX_WORLD_H
#define VEX_TEST_ENGINE_INDEX_WORLD_H

#include "engine_index_kit.h"

#include "base/log.h"
#include "engine/internal.h"

static struct vex_pool *pool;
static struct vex_dev *dev;
static char why[256];

struct world {
    struct kit kit;
    char dir[64];
    struct vex_collection *collection;
    struct kit_model model;
    struct kit_random random;
};

/* ---- a world ---- */

static inline void find_collection(struct world *w)
{
    struct vex_err err;

    CU_ASSERT_FATAL(vex_engine_find(w->kit.engine, VEX_STR("c"), false, &w->collection, &err) == 0);
}

static inline void world_open(struct world *w, uint64_t seed)
{
    struct vex_config *config = kit_config();
    struct vex_err err;
    bool created;

    memset(w, 0, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/vex_engine_indexes_XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(w->dir) != NULL);
    kit_init(&w->kit, vex_io_posix(), w->dir, dev, pool);
    CU_ASSERT_FATAL(kit_open(&w->kit) == 0);
    CU_ASSERT_FATAL(vex_engine_create(w->kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                      VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("c"), config, false,
                                      &w->collection, &created, &err) == 0);
    vex_config_unref(config);
    w->model.next_op = 1;
    w->random.state = seed;
}

static inline void world_reopen(struct world *w)
{
    vex_collection_unref(w->collection);
    kit_close(&w->kit);
    CU_ASSERT_FATAL(kit_open(&w->kit) == 0);
    find_collection(w);
}

static inline void world_close(struct world *w)
{
    struct vex_err err;

    vex_collection_unref(w->collection);
    kit_close(&w->kit);
    CU_ASSERT(vex_file_remove_tree(vex_io_posix(), w->dir, &err) == 0);
}

static inline int alter(struct world *w, int (*change)(void *, struct vex_config *, struct vex_err *),
                        struct vex_index_params params)
{
    struct vex_err err;
    int rc = vex_engine_alter(w->kit.engine, w->collection, vex_str("", 0), change, &params, &err);

    if (rc != 0)
        fprintf(stderr, "alter: %s\n", err.text);
    return rc;
}

static inline void add_index(struct world *w, int key)
{
    CU_ASSERT_FATAL(alter(w, kit_add_index, kit_index(key)) == 0);
}

static inline void wait_built(struct world *w)
{
    struct vex_err err;

    CU_ASSERT(vex_collection_wait_indexes(w->collection, 0, &err) == 0);
}

static inline void mutate(struct world *w, int steps)
{
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (int i = 0; i < steps; i++) {
        struct kit_call call;
        struct vex_op ops[4];
        int expected;
        uint32_t count = kit_random_mutation(&w->model, &w->random, &arena, ops, &expected);

        CU_ASSERT(kit_submit(&call, w->collection, ops, count, true) == expected);
        vex_arena_reset(&arena);
    }
    vex_arena_done(&arena);
}

/* Points with payload {a: number % 5, b: number % 7}, many at once. */
static inline void put_many(struct world *w, uint32_t from, uint32_t count, uint32_t salt)
{
    enum { BATCH = 500 };
    struct vex_point points[BATCH];
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (uint32_t i = 0; i < count; i += BATCH) {
        struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points}};
        struct kit_call call;

        for (uint32_t j = i; j < count && j < i + BATCH; j++) {
            int keys[KIT_KEYS] = {(int)((j + salt) % 5), (int)((j + salt) % 7)};
            points[op.upsert.count++] =
                (struct vex_point){.id = vex_id_num(from + j), .payload = kit_payload(&arena, 3, keys)};
        }
        CU_ASSERT(kit_submit(&call, w->collection, &op, 1, true) == 0);
        w->model.next_op++;
        vex_arena_reset(&arena);
    }
    vex_arena_done(&arena);
}

static inline bool right(struct world *w, bool settled)
{
    bool fine = kit_indexes_right(w->collection, settled, why, sizeof why);

    if (!fine)
        fprintf(stderr, "%s\n", why);
    return fine;
}

static inline void checkpoint(struct world *w)
{
    struct vex_err err;

    CU_ASSERT(vex_collection_checkpoint(w->collection, &err) == 0);
}

static inline uint64_t points_of(struct vex_collection *collection)
{
    struct vex_collection_stats stats = {0};
    struct vex_err err;

    CU_ASSERT(vex_collection_stats(collection, &stats, &err) == 0);
    return stats.points;
}

static _Atomic bool stop;
static _Atomic int wrong;

static inline void *write_on(void *arg)
{
    struct world *w = arg;

    for (uint32_t i = 0; !stop; i++)
        put_many(w, 1000 + i * 777 % 4000, 600, i);
    return NULL;
}

struct block {
    struct vex_task task;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool inside, leave;
};

static inline void stay(struct vex_task *task)
{
    struct block *block = VEX_CONTAINER_OF(task, struct block, task);

    pthread_mutex_lock(&block->lock);
    block->inside = true;
    pthread_cond_broadcast(&block->cond);
    while (!block->leave)
        pthread_cond_wait(&block->cond, &block->lock);
    block->inside = false;
    pthread_cond_broadcast(&block->cond);
    pthread_mutex_unlock(&block->lock);
}

/* All threads of the pool are taken: what was submitted before is done. */
static inline void occupy_pool(struct block blocks[2])
{
    for (int i = 0; i < 2; i++) {
        blocks[i] = (struct block){.task = {.run = stay}};
        pthread_mutex_init(&blocks[i].lock, NULL);
        pthread_cond_init(&blocks[i].cond, NULL);
        vex_pool_submit(pool, &blocks[i].task);
    }
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&blocks[i].lock);
        while (!blocks[i].inside)
            pthread_cond_wait(&blocks[i].cond, &blocks[i].lock);
        pthread_mutex_unlock(&blocks[i].lock);
    }
}

static inline void leave_pool(struct block blocks[2])
{
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&blocks[i].lock);
        blocks[i].leave = true;
        pthread_cond_broadcast(&blocks[i].cond);
        while (blocks[i].inside)
            pthread_cond_wait(&blocks[i].cond, &blocks[i].lock);
        pthread_mutex_unlock(&blocks[i].lock);
    }
}

/* main's. */
static inline int world_run(const char *name, CU_TestInfo *tests)
{
    int failed;

    vex_log_set(VEX_LOG_ERROR, false);
    dev = vex_dev_embed_new();
    pool = vex_pool_new(2, 64, "test");
    failed = run_suite(name, tests);
    vex_pool_free(pool);
    vex_dev_free(dev);
    return failed;
}

#endif
