/* For the tests of the engine: a data folder, blocking submits, and a plain model of a collection that every kind of
 * operation is played on, to be compared with what the engine holds. */
#ifndef VEX_TEST_ENGINE_KIT_H
#define VEX_TEST_ENGINE_KIT_H

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base_suite.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/collection.h"
#include "engine/engine.h"
#include "engine/query/query.h"

/* ---- an engine over a folder ---- */

struct kit {
    struct vex_engine_options options;
    struct vex_engine *engine;
    char dir[64];
};

static inline void kit_init(struct kit *kit, struct vex_io *io, const char *dir, struct vex_dev *dev,
                            struct vex_pool *pool)
{
    memset(kit, 0, sizeof *kit);
    snprintf(kit->dir, sizeof kit->dir, "%s", dir);
    kit->options = (struct vex_engine_options){.io = io,
                                               .dir = kit->dir,
                                               .dev = dev,
                                               .pool = pool,
                                               .segment_bytes = 1 << 20,
                                               .checkpoint_bytes = 64 << 20,
                                               .checkpoint_ns = UINT64_C(3600000000000),
                                               .queue_bytes = 8 << 20};
}

static inline int kit_open(struct kit *kit)
{
    struct vex_err err;
    int rc = vex_engine_open(&kit->options, &kit->engine, &err);

    if (rc != 0)
        fprintf(stderr, "open: %s\n", err.text);
    return rc;
}

static inline void kit_close(struct kit *kit)
{
    vex_engine_close(kit->engine);
    kit->engine = NULL;
}

/* ---- a program of tests over one folder ---- */

/* A folder after mkdtemp's pattern, an embedded device, two workers; not open yet. False: there is no folder. */
static inline bool kit_prepare(struct kit *kit, char *pattern)
{
    if (mkdtemp(pattern) == NULL)
        return false;
    kit_init(kit, vex_io_posix(), pattern, vex_dev_embed_new(), vex_pool_new(2, 64, "test"));
    return true;
}

/* Runs the tests over the open kit, closes it and removes the folder; the program's exit code. */
static inline int kit_run(struct kit *kit, const char *name, CU_TestInfo *tests)
{
    int failed = run_suite(name, tests);
    char command[96];

    kit_close(kit);
    vex_pool_free(kit->options.pool);
    vex_dev_free(kit->options.dev);
    snprintf(command, sizeof command, "rm -rf %s", kit->dir);
    return system(command) != 0 || failed != 0;
}

/* ---- blocking submits ---- */

struct kit_call {
    struct vex_mutation mutation;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    int code;
    struct vex_err err;
    struct vex_op_result results[16];
};

static inline void kit_done(struct vex_mutation *mutation, int code, const struct vex_err *err,
                            const struct vex_op_result *results)
{
    struct kit_call *call = mutation->arg;

    pthread_mutex_lock(&call->lock);
    call->code = code;
    if (err != NULL)
        call->err = *err;
    for (uint32_t i = 0; i < mutation->count && i < 16; i++)
        call->results[i] = results[i];
    call->done = true;
    pthread_cond_broadcast(&call->cond);
    pthread_mutex_unlock(&call->lock);
}

static inline int kit_start(struct kit_call *call, struct vex_collection *collection, struct vex_op *ops,
                            uint32_t count, bool wait)
{
    memset(call, 0, sizeof *call);
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->cond, NULL);
    call->mutation =
        (struct vex_mutation){.ops = ops, .count = count, .wait = wait, .done = kit_done, .arg = call};
    return vex_collection_submit(collection, &call->mutation, &call->err);
}

static inline int kit_wait(struct kit_call *call)
{
    pthread_mutex_lock(&call->lock);
    while (!call->done)
        pthread_cond_wait(&call->cond, &call->lock);
    pthread_mutex_unlock(&call->lock);
    return call->code;
}

static inline int kit_submit(struct kit_call *call, struct vex_collection *collection, struct vex_op *ops,
                             uint32_t count, bool wait)
{
    int rc = kit_start(call, collection, ops, count, wait);

    return rc != 0 ? rc : kit_wait(call);
}

/* ---- the model ---- */

#define KIT_IDS   24
#define KIT_KEYS  4
#define KIT_DIM   4
#define KIT_NAMES 4

enum kit_name { KIT_COSINE, KIT_DOT, KIT_SPARSE, KIT_MULTI }; /* ordinals too */

static const char *const kit_names[KIT_NAMES] = {"", "dot", "sparse", "multi"};
static const char *const kit_keys[KIT_KEYS] = {"a", "b", "c", "d"};

struct kit_point {
    bool live;
    uint64_t version;
    int has_keys, keys[KIT_KEYS];
    unsigned has; /* vectors */
    float values[KIT_NAMES]
                [2 * KIT_DIM]; /* as given; sparse: weights of indices 1, 3, 5, 7; multi: two rows */
};

struct kit_model {
    struct kit_point points[KIT_IDS];
    uint64_t next_op;
};

struct kit_random {
    uint64_t state;
};

static inline uint32_t kit_draw(struct kit_random *r, uint32_t below)
{
    r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((r->state >> 33) % below);
}

/* About normal, between -3 and 3. */
static inline float kit_noise(struct kit_random *r)
{
    float sum = 0;

    for (int i = 0; i < 6; i++)
        sum += (float)kit_draw(r, 1000) / 1000;
    return sum - 3;
}

static inline void kit_draw_near(struct kit_random *r, const float *centre, uint32_t dim, float *ret)
{
    for (uint32_t d = 0; d < dim; d++)
        ret[d] = centre[d] + 12 * kit_noise(r);
}

/* Centres about a middle, and `count` vectors near one after the other of them. */
static inline void kit_draw_clusters(struct kit_random *r, float middle, uint32_t dim, uint32_t clusters,
                                     float *centres, uint32_t count, float *vectors)
{
    for (uint32_t i = 0; i < clusters * dim; i++)
        centres[i] = middle + 40 * kit_noise(r);
    for (uint32_t i = 0; i < count; i++)
        kit_draw_near(r, centres + i % clusters * dim, dim, vectors + (size_t)i * dim);
}

/* Ids of the hits of one search; VEX_E*: it failed, and there are none. */
static inline int kit_search(struct vex_collection *collection, const struct vex_nearest *request,
                             uint64_t *ids, size_t *ret_count)
{
    struct vex_arena arena;
    struct vex_hits hits = {0};
    struct vex_err err;

    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    int code = vex_read_nearest(collection, request, 1, &context, &hits, &err);
    *ret_count = code == 0 ? hits.count : 0;
    for (size_t i = 0; i < *ret_count; i++)
        ids[i] = hits.hits[i].id.num;
    vex_arena_done(&arena);
    return code;
}

/* Drops the collection in the default database, and the caller's reference. */
static inline void kit_drop(struct kit *kit, const char *name, struct vex_collection **collection)
{
    struct vex_err err;
    bool found;

    CU_ASSERT_EQUAL(vex_engine_drop(kit->engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                    vex_str_c(name), &found, &err),
                    0);
    vex_collection_unref(*collection);
    *collection = NULL;
}

static inline struct vex_id kit_id(struct vex_arena *arena, uint32_t i)
{
    struct vex_id id = {.kind = VEX_ID_UUID};

    if (i % 3 == 0)
        return vex_id_num(i * 1000003u);
    if (i % 3 == 1) {
        memset(id.uuid, (int)i, sizeof id.uuid);
        return id;
    }
    return (struct vex_id){.kind = VEX_ID_TEXT, .text = vex_str_c(vex_arena_printf(arena, "point-%u", i))};
}

static inline struct vex_config *kit_config(void)
{
    static const struct vex_vector_params params[KIT_NAMES] = {
        {.kind = VEX_VECTOR_DENSE, .size = KIT_DIM, .distance = VEX_DISTANCE_COSINE},
        {.kind = VEX_VECTOR_DENSE, .size = KIT_DIM, .distance = VEX_DISTANCE_DOT},
        {.kind = VEX_VECTOR_SPARSE, .distance = VEX_DISTANCE_DOT},
        {.kind = VEX_VECTOR_MULTI, .size = KIT_DIM, .distance = VEX_DISTANCE_DOT}};
    struct vex_config *config = vex_config_new();
    struct vex_err err;

    for (int i = 0; i < KIT_NAMES; i++) {
        struct vex_vector_params p = params[i];
        p.name = vex_str_c(kit_names[i]);
        if (vex_config_add_vector(config, &p, &err) != 0)
            abort();
    }
    return config;
}

static inline struct vex_str kit_payload(struct vex_arena *arena, int has, const int *keys)
{
    struct vex_buf buf;

    vex_buf_init(&buf, arena);
    vex_value_put_map(&buf, (size_t)__builtin_popcount((unsigned)has));
    for (int k = 0; k < KIT_KEYS; k++)
        if ((has >> k & 1) != 0) {
            vex_value_put_text(&buf, vex_str_c(kit_keys[k]));
            vex_value_put_int(&buf, keys[k]);
        }
    return vex_buf_str(&buf);
}

static inline void kit_vectors(struct vex_arena *arena, const struct kit_point *p, struct vex_point *ret)
{
    static const uint32_t indices[KIT_DIM] = {7, 1, 5, 3};

    ret->vectors = VEX_ARENA_ARRAY(arena, struct vex_vector_value, KIT_NAMES);
    for (int n = 0; n < KIT_NAMES; n++) {
        struct vex_vector_value *v = &ret->vectors[ret->vector_count];
        float *values;

        if ((p->has >> n & 1) == 0)
            continue;
        ret->vector_count++;
        v->name = vex_str_c(kit_names[n]);
        v->kind = n == KIT_SPARSE ? VEX_VECTOR_SPARSE : n == KIT_MULTI ? VEX_VECTOR_MULTI : VEX_VECTOR_DENSE;
        v->count = KIT_DIM;
        v->rows = n == KIT_MULTI ? 2 : 0;
        values = vex_arena_dup(arena, p->values[n], sizeof p->values[n]);
        v->values = values;
        if (n != KIT_SPARSE)
            continue;
        /* The model holds weights by rising index; the engine gets them in another order. */
        v->indices = indices;
        for (int i = 0; i < KIT_DIM; i++)
            values[i] = p->values[n][(indices[i] - 1) / 2];
    }
}

/* Payload filter a == value. */
static inline struct vex_filter *kit_filter(struct vex_arena *arena, int value)
{
    struct vex_filter *filter = VEX_ARENA_NEW(arena, struct vex_filter);
    struct vex_cond *cond = VEX_ARENA_NEW(arena, struct vex_cond);
    int64_t *ints = VEX_ARENA_NEW(arena, int64_t);

    *ints = value;
    cond->kind = VEX_COND_ANY;
    cond->path = vex_path_key(arena, VEX_STR("a"));
    cond->values.ints = ints;
    cond->values.int_count = 1;
    filter->must.conds = cond;
    filter->must.count = 1;
    return filter;
}

static inline bool kit_matches(const struct kit_point *p, int value)
{
    return (p->has_keys & 1) != 0 && p->keys[0] == value;
}

/* ---- one random operation: built for the engine, played on the model ---- */

struct kit_play {
    struct kit_model *model;
    struct vex_arena *arena;
    struct kit_random *random;
    uint64_t op;
    uint64_t affected;
};

static inline void kit_random_point(struct kit_play *play, struct kit_point *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->has_keys = (int)kit_draw(play->random, 1 << KIT_KEYS);
    for (int k = 0; k < KIT_KEYS; k++)
        ret->keys[k] = (int)kit_draw(play->random, 5);
    ret->has = kit_draw(play->random, 1 << KIT_NAMES);
    for (int n = 0; n < KIT_NAMES; n++)
        for (int i = 0; i < (n == KIT_MULTI ? 2 : 1) * KIT_DIM; i++)
            ret->values[n][i] = (float)kit_draw(play->random, 9) - 4;
}

static inline void kit_take_vectors(struct kit_point *to, const struct kit_point *from)
{
    for (int n = 0; n < KIT_NAMES; n++)
        if ((from->has >> n & 1) != 0)
            memcpy(to->values[n], from->values[n], sizeof to->values[n]);
    to->has |= from->has;
}

static inline void kit_take_keys(struct kit_point *to, int has, const int *keys)
{
    for (int k = 0; k < KIT_KEYS; k++)
        if ((has >> k & 1) != 0)
            to->keys[k] = keys[k];
    to->has_keys |= has;
}

/* Upsert; where the engine may meet repeats of an id, the last one counts, or the first with INSERT_ONLY. */
static inline void kit_upsert(struct kit_play *play, struct vex_op *op)
{
    uint32_t count = 1 + kit_draw(play->random, 6), which[8];
    struct kit_point points[8];
    bool has_payload[8], filtered = kit_draw(play->random, 6) == 0;
    int value = (int)kit_draw(play->random, 5);
    struct kit_model before = *play->model;

    op->kind = VEX_OP_UPSERT;
    op->upsert.points = VEX_ARENA_ARRAY(play->arena, struct vex_point, count);
    op->upsert.count = count;
    op->upsert.mode = (enum vex_upsert_mode)(kit_draw(play->random, 5) < 3 ? 0 : kit_draw(play->random, 3));
    op->upsert.merge = kit_draw(play->random, 3) == 0;
    op->upsert.update_filter = filtered ? kit_filter(play->arena, value) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        which[i] = kit_draw(play->random, KIT_IDS);
        kit_random_point(play, &points[i]);
        has_payload[i] = kit_draw(play->random, 3) != 0;
        op->upsert.points[i].id = kit_id(play->arena, which[i]);
        kit_vectors(play->arena, &points[i], &op->upsert.points[i]);
        if (has_payload[i])
            op->upsert.points[i].payload = kit_payload(play->arena, points[i].has_keys, points[i].keys);
        else
            points[i].has_keys = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct kit_point *p = &play->model->points[which[i]], old = before.points[which[i]];
        bool counts = true;

        for (uint32_t j = 0; j < count; j++)
            if (which[j] == which[i] && (op->upsert.mode == VEX_INSERT_ONLY ? j < i : j > i))
                counts = false;
        if (!counts || (old.live ? op->upsert.mode == VEX_INSERT_ONLY : op->upsert.mode == VEX_UPDATE_ONLY))
            continue;
        if (old.live && filtered && !kit_matches(&old, value))
            continue;
        if (!op->upsert.merge || !old.live)
            memset(p, 0, sizeof *p);
        kit_take_keys(p, points[i].has_keys, points[i].keys);
        kit_take_vectors(p, &points[i]);
        p->live = true;
        p->version = play->op;
        play->affected++;
    }
}

static inline bool kit_update_vectors(struct kit_play *play, struct vex_op *op)
{
    uint32_t count = 1 + kit_draw(play->random, 4), which[4];
    struct kit_point points[4];

    op->kind = VEX_OP_UPDATE_VECTORS;
    op->vectors.points = VEX_ARENA_ARRAY(play->arena, struct vex_point, count);
    op->vectors.count = count;
    for (uint32_t i = 0; i < count; i++) {
        which[i] = kit_draw(play->random, KIT_IDS);
        kit_random_point(play, &points[i]);
        op->vectors.points[i].id = kit_id(play->arena, which[i]);
        kit_vectors(play->arena, &points[i], &op->vectors.points[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!play->model->points[which[i]].live)
            return false;
    for (uint32_t i = 0; i < count; i++) {
        struct kit_point *p = &play->model->points[which[i]];
        play->affected += p->version != play->op;
        kit_take_vectors(p, &points[i]);
        p->version = play->op;
    }
    return true;
}

/* Picks points by ids or by filter; false when a strict selector names an unknown id. */
static inline bool kit_select(struct kit_play *play, struct vex_selector *selector, bool strict,
                              bool chosen[KIT_IDS])
{
    memset(chosen, 0, KIT_IDS);
    if (kit_draw(play->random, 3) == 0) {
        int value = (int)kit_draw(play->random, 5);
        selector->filter = kit_filter(play->arena, value);
        for (int i = 0; i < KIT_IDS; i++)
            chosen[i] = play->model->points[i].live && kit_matches(&play->model->points[i], value);
        return true;
    }
    selector->count = 1 + kit_draw(play->random, 3);
    selector->ids = VEX_ARENA_ARRAY(play->arena, struct vex_id, selector->count);
    bool known = true;
    for (uint32_t i = 0; i < selector->count; i++) {
        uint32_t which = kit_draw(play->random, KIT_IDS);
        selector->ids[i] = kit_id(play->arena, which);
        known = known && play->model->points[which].live;
        chosen[which] = play->model->points[which].live;
    }
    return known || !strict;
}

static inline bool kit_payload_op(struct kit_play *play, struct vex_op *op)
{
    bool chosen[KIT_IDS];
    struct kit_point patch;
    int gone = 0;

    kit_random_point(play, &patch);
    if (op->kind == VEX_OP_SET_PAYLOAD || op->kind == VEX_OP_OVERWRITE_PAYLOAD) {
        if (!kit_select(play, &op->payload.selector, true, chosen))
            return op->payload.payload = kit_payload(play->arena, patch.has_keys, patch.keys), false;
        op->payload.payload = kit_payload(play->arena, patch.has_keys, patch.keys);
    } else if (op->kind == VEX_OP_DELETE_PAYLOAD) {
        op->keys.keys = VEX_ARENA_ARRAY(play->arena, struct vex_path, KIT_KEYS);
        for (int k = 0; k < KIT_KEYS; k++)
            if (kit_draw(play->random, 2) == 0) {
                op->keys.keys[op->keys.count++] = vex_path_key(play->arena, vex_str_c(kit_keys[k]));
                gone |= 1 << k;
            }
        if (!kit_select(play, &op->keys.selector, true, chosen))
            return false;
    } else if (!kit_select(play, &op->remove, true, chosen)) {
        return false;
    }
    for (int i = 0; i < KIT_IDS; i++) {
        struct kit_point *p = &play->model->points[i];
        if (!chosen[i])
            continue;
        if (op->kind == VEX_OP_OVERWRITE_PAYLOAD || op->kind == VEX_OP_CLEAR_PAYLOAD)
            p->has_keys = 0;
        if (op->kind == VEX_OP_SET_PAYLOAD || op->kind == VEX_OP_OVERWRITE_PAYLOAD)
            kit_take_keys(p, patch.has_keys, patch.keys);
        p->has_keys &= ~gone;
        p->version = play->op;
        play->affected++;
    }
    return true;
}

static inline void kit_removal(struct kit_play *play, struct vex_op *op)
{
    bool chosen[KIT_IDS];
    unsigned mask = 0;

    if (op->kind == VEX_OP_DELETE_VECTORS) {
        op->vector_names.names = VEX_ARENA_ARRAY(play->arena, struct vex_str, KIT_NAMES);
        for (int n = 0; n < KIT_NAMES; n++)
            if (kit_draw(play->random, 2) == 0) {
                op->vector_names.names[op->vector_names.count++] = vex_str_c(kit_names[n]);
                mask |= 1u << n;
            }
    }
    kit_select(play, op->kind == VEX_OP_DELETE ? &op->remove : &op->vector_names.selector, false, chosen);
    for (int i = 0; i < KIT_IDS; i++) {
        struct kit_point *p = &play->model->points[i];
        if (!chosen[i])
            continue;
        if (op->kind == VEX_OP_DELETE) {
            memset(p, 0, sizeof *p);
            play->affected++;
            continue;
        }
        play->affected += (p->has & mask) != 0;
        p->has &= ~mask;
        p->version = play->op;
    }
}

/* False: the engine must answer VEX_ENOT_FOUND and leave everything as it was. */
static inline bool kit_random_op(struct kit_play *play, struct vex_op *op)
{
    uint32_t kind = kit_draw(play->random, 20);

    memset(op, 0, sizeof *op);
    play->affected = 0;
    op->kind = kind < 9    ? VEX_OP_UPSERT
               : kind < 11 ? VEX_OP_DELETE
               : kind < 13 ? VEX_OP_SET_PAYLOAD
               : kind < 14 ? VEX_OP_OVERWRITE_PAYLOAD
               : kind < 15 ? VEX_OP_DELETE_PAYLOAD
               : kind < 16 ? VEX_OP_CLEAR_PAYLOAD
               : kind < 18 ? VEX_OP_UPDATE_VECTORS
               : kind < 19 ? VEX_OP_DELETE_VECTORS
                           : VEX_OP_NOP;
    switch (op->kind) {
    case VEX_OP_UPSERT:
        kit_upsert(play, op);
        return true;
    case VEX_OP_UPDATE_VECTORS:
        return kit_update_vectors(play, op);
    case VEX_OP_DELETE:
    case VEX_OP_DELETE_VECTORS:
        kit_removal(play, op);
        return true;
    case VEX_OP_NOP:
        return true;
    default:
        return kit_payload_op(play, op);
    }
}

/* A mutation of one to three operations; *ret_code what it must answer. The model's counter moves on. */
static inline uint32_t kit_random_mutation(struct kit_model *model, struct kit_random *random,
                                           struct vex_arena *arena, struct vex_op *ops, int *ret_code)
{
    uint32_t count = kit_draw(random, 4) == 0 ? 1 + kit_draw(random, 3) : 1;

    *ret_code = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct kit_model ignored = *model;
        struct kit_play play = {.model = *ret_code == 0 ? model : &ignored,
                                .arena = arena,
                                .random = random,
                                .op = model->next_op + i};
        if (!kit_random_op(&play, &ops[i]) && *ret_code == 0)
            *ret_code = VEX_ENOT_FOUND;
    }
    model->next_op += count;
    return count;
}

/* ---- comparing ---- */

static inline bool kit_differs(char *why, size_t size, const char *fmt, uint32_t i, uint64_t a, uint64_t b)
{
    snprintf(why, size, fmt, i, (unsigned long long)a, (unsigned long long)b);
    return false;
}

static inline bool kit_same_dense(const struct vex_collection_data *data, uint32_t slot, int name,
                                  const struct kit_point *p)
{
    float got[KIT_DIM], want[KIT_DIM], norm = 0;

    if (vex_vectors_read(data->vectors, (uint8_t)name, slot, got) != 0)
        return false;
    memcpy(want, p->values[name], sizeof want);
    for (int i = 0; i < KIT_DIM && name == KIT_COSINE; i++)
        norm += want[i] * want[i];
    for (int i = 0; i < KIT_DIM; i++)
        if (fabsf(got[i] - (norm > 0 ? want[i] / sqrtf(norm) : want[i])) > 1e-5f)
            return false;
    return true;
}

static inline bool kit_same_extra(const struct vex_collection_data *data, const struct vex_row *row, int name,
                                  const struct kit_point *p)
{
    struct vex_extra_vector extra;
    uint32_t count = name == KIT_MULTI ? 2 * KIT_DIM : KIT_DIM;

    if (!vex_blob_vector(vex_heap_get(data->heap, row->blob, row->blob_len), (uint8_t)name, &extra))
        return false;
    for (uint32_t i = 0; name == KIT_SPARSE && i < KIT_DIM; i++)
        if (extra.indices[i] != 2 * i + 1)
            return false;
    return memcmp(extra.values, p->values[name], count * sizeof(float)) == 0;
}

static inline bool kit_same_point(const struct vex_collection_data *data, uint32_t i, uint32_t slot,
                                  const struct kit_point *p, char *why, size_t size)
{
    const struct vex_row *row = vex_rows_at(data->rows, slot);
    struct vex_value payload = vex_collection_payload(data, slot);

    if (row->version != p->version)
        return kit_differs(why, size, "point %u: version %llu, expected %llu", i, row->version, p->version);
    if (row->vectors != p->has)
        return kit_differs(why, size, "point %u: vectors %llx, expected %llx", i, row->vectors, p->has);
    for (int k = 0; k < KIT_KEYS; k++) {
        struct vex_value v = payload.at != NULL ? vex_value_get(payload, vex_str_c(kit_keys[k])) : payload;
        if ((v.at != NULL) != (p->has_keys >> k & 1) || (v.at != NULL && vex_value_int(v) != p->keys[k]))
            return kit_differs(why, size, "point %u: payload key %llu differs (%llu)", i, (uint64_t)k,
                               v.at != NULL);
    }
    if (payload.at != NULL && vex_value_count(payload) != (size_t)__builtin_popcount((unsigned)p->has_keys))
        return kit_differs(why, size, "point %u: payload has %llu keys, expected %llu", i,
                           vex_value_count(payload), (uint64_t)__builtin_popcount((unsigned)p->has_keys));
    for (int n = 0; n < KIT_NAMES; n++)
        if ((p->has >> n & 1) != 0 &&
            !(n < KIT_SPARSE ? kit_same_dense(data, slot, n, p) : kit_same_extra(data, row, n, p)))
            return kit_differs(why, size, "point %u: vector %llu differs (slot %llu)", i, (uint64_t)n, slot);
    return true;
}

static inline bool kit_same(struct vex_collection *collection, const struct kit_model *model, char *why,
                            size_t size)
{
    struct vex_collection_data data;
    struct vex_arena arena;
    struct vex_err err;
    uint64_t live = 0;
    bool same = true;

    if (vex_collection_read_begin(collection, &data, &err) != 0) {
        snprintf(why, size, "%.200s", err.text);
        return false;
    }
    vex_arena_init(&arena, 0);
    for (uint32_t i = 0; i < KIT_IDS && same; i++) {
        struct vex_id id = kit_id(&arena, i);
        uint32_t slot = vex_rows_find(data.rows, &id);

        live += model->points[i].live;
        if ((slot != VEX_SLOT_NONE) != model->points[i].live)
            same = kit_differs(why, size, "point %u: is there %llu, expected %llu", i, slot != VEX_SLOT_NONE,
                               model->points[i].live);
        else if (slot != VEX_SLOT_NONE)
            same = kit_same_point(&data, i, slot, &model->points[i], why, size);
    }
    if (same && vex_rows_live_count(data.rows) != live)
        same =
            kit_differs(why, size, "%u: %llu points, expected %llu", 0, vex_rows_live_count(data.rows), live);
    if (same && vex_rows_check(data.rows, &err) != 0) {
        snprintf(why, size, "%.200s", err.text);
        same = false;
    }
    vex_arena_done(&arena);
    vex_collection_read_end(collection);
    return same;
}

#endif
