/* A collection in a folder of its own and a plain model of it, for the tests of reads.
 *
 * The model holds MODEL_POINTS possible points: numbers, UUIDs and texts. Vectors are small whole numbers, so
 * that scores of most kinds are exact and equal scores are frequent; cosine and idf are compared with a
 * tolerance. */
#ifndef VEX_TEST_ENGINE_QUERY_FIXTURE_H
#define VEX_TEST_ENGINE_QUERY_FIXTURE_H

#include <CUnit/CUnit.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base_suite.h"
#include "base/mem.h"
#include "engine/query/query.h"

#define MODEL_POINTS 1500
#define MODEL_DIM    6
#define MODEL_ROWS   3
#define MODEL_TERMS  5

/* Vector names, in ordinal order. */
enum model_name {
    M_COSINE,
    M_L2,
    M_DOT16,
    M_L1,
    M_BYTES,
    M_BYTES_COSINE,
    M_MULTI_DOT,
    M_MULTI_L2,
    M_MULTI_L1,
    M_SPARSE,
    M_IDF,
    M_NAMES
};

static const struct model_kind {
    const char *name;
    enum vex_vector_kind kind;
    enum vex_distance distance;
    enum vex_element element;
    bool idf;
} model_kinds[M_NAMES] = {
    {"", VEX_VECTOR_DENSE, VEX_DISTANCE_COSINE, VEX_ELEMENT_F32, false},
    {"l2", VEX_VECTOR_DENSE, VEX_DISTANCE_L2, VEX_ELEMENT_F32, false},
    {"dot16", VEX_VECTOR_DENSE, VEX_DISTANCE_DOT, VEX_ELEMENT_F16, false},
    {"l1", VEX_VECTOR_DENSE, VEX_DISTANCE_L1, VEX_ELEMENT_F32, false},
    {"bytes", VEX_VECTOR_DENSE, VEX_DISTANCE_L2, VEX_ELEMENT_U8, false},
    {"bytes_cosine", VEX_VECTOR_DENSE, VEX_DISTANCE_COSINE, VEX_ELEMENT_U8, false},
    {"multi", VEX_VECTOR_MULTI, VEX_DISTANCE_DOT, VEX_ELEMENT_F32, false},
    {"multi_l2", VEX_VECTOR_MULTI, VEX_DISTANCE_L2, VEX_ELEMENT_F32, false},
    {"multi_l1", VEX_VECTOR_MULTI, VEX_DISTANCE_L1, VEX_ELEMENT_F32, false},
    {"sparse", VEX_VECTOR_SPARSE, VEX_DISTANCE_DOT, VEX_ELEMENT_F32, false},
    {"idf", VEX_VECTOR_SPARSE, VEX_DISTANCE_DOT, VEX_ELEMENT_F32, true},
};

struct model_vector {
    uint32_t rows, count; /* dense: 1 x MODEL_DIM; sparse: count terms */
    float values[MODEL_ROWS * MODEL_DIM];
    uint32_t indices[MODEL_TERMS];
};

struct model_point {
    struct vex_id id;
    bool live;
    uint64_t birth;
    bool has_payload;
    int number;   /* payload "n" */
    unsigned tag; /* payload "tag": one letter */
    uint32_t has; /* mask over enum model_name */
    struct model_vector vectors[M_NAMES];
};

struct fixture {
    char dir[64];
    struct vex_dev *dev;
    struct vex_pool *pool;
    struct vex_engine *engine;
    struct vex_collection *collection;
    struct vex_arena arena; /* of the model's ids */
    struct model_point *points;
    uint64_t births;
    uint32_t random;
};

static inline uint32_t draw(struct fixture *f, uint32_t below)
{
    f->random = f->random * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(f->random >> 4) * below) >> 28);
}

/* ---- writing, and waiting for it ---- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    int code;
};

static inline void submitted(struct vex_mutation *mutation, int code, const struct vex_err *err,
                             const struct vex_op_result *results)
{
    struct waiter *waiter = mutation->arg;
    (void)err;
    (void)results;
    pthread_mutex_lock(&waiter->lock);
    waiter->done = true;
    waiter->code = code;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static inline int submit(struct vex_collection *collection, struct vex_op *op)
{
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    struct vex_mutation mutation = {.ops = op, .count = 1, .wait = true, .done = submitted, .arg = &waiter};
    struct vex_err err;
    int code = vex_collection_submit(collection, &mutation, &err);
    if (code != 0) {
        fprintf(stderr, "submit: %s\n", err.text);
        return code;
    }
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.done)
        pthread_cond_wait(&waiter.changed, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    return waiter.code;
}

/* ---- set up, tear down ---- */

static inline struct vex_id model_id(struct fixture *f, uint32_t i)
{
    struct vex_id id = {.kind = VEX_ID_UUID};
    if (i % 3 == 0)
        return vex_id_num((uint64_t)(i * 7919u) % 100003u);
    if (i % 3 == 1) {
        for (int b = 0; b < 16; b++)
            id.uuid[b] = (uint8_t)draw(f, 256);
        memcpy(id.uuid + 12, &i, sizeof i); /* no two alike */
        return id;
    }
    const char *text = vex_arena_printf(&f->arena, "point %u", (i * 31u) % 4999u);
    return (struct vex_id){.kind = VEX_ID_TEXT, .text = vex_str_c(text)};
}

static inline bool open_engine(struct fixture *f)
{
    struct vex_err err;
    struct vex_engine_options options = {
        .io = vex_io_posix(),
        .dir = f->dir,
        .dev = f->dev,
        .pool = f->pool,
        .segment_bytes = 4 << 20,
        .checkpoint_bytes = 16 << 20,
        .checkpoint_ns = UINT64_C(3600000000000),
        .queue_bytes = 8 << 20,
    };
    int code = vex_engine_open(&options, &f->engine, &err);
    if (code != 0)
        fprintf(stderr, "open: %s\n", err.text);
    return code == 0;
}

static inline bool create_collection(struct fixture *f, const char *name, struct vex_config *config,
                                     struct vex_collection **ret)
{
    struct vex_err err;
    bool created;
    int code = vex_engine_create(f->engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                 vex_str_c(name), config, false, ret, &created, &err);
    if (code != 0)
        fprintf(stderr, "create: %s\n", err.text);
    vex_config_unref(config);
    return code == 0;
}

static inline struct vex_config *model_config(void)
{
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    for (int i = 0; i < M_NAMES; i++) {
        const struct model_kind *kind = &model_kinds[i];
        struct vex_vector_params params = {.name = vex_str_c(kind->name),
                                           .kind = kind->kind,
                                           .distance = kind->distance,
                                           .element = kind->element,
                                           .idf = kind->idf,
                                           .size = kind->kind == VEX_VECTOR_SPARSE ? 0 : MODEL_DIM};
        if (vex_config_add_vector(config, &params, &err) != 0)
            abort();
    }
    return config;
}

static inline bool fixture_open(struct fixture *f)
{
    *f = (struct fixture){.random = 2026};
    strcpy(f->dir, "/tmp/vex-query-XXXXXX");
    vex_arena_init(&f->arena, 0);
    if (mkdtemp(f->dir) == NULL)
        return false;
    f->dev = vex_dev_embed_new();
    f->pool = vex_pool_new(2, 1024, "test");
    f->points = calloc(MODEL_POINTS, sizeof *f->points);
    for (uint32_t i = 0; i < MODEL_POINTS; i++)
        f->points[i].id = model_id(f, i);
    return open_engine(f) && create_collection(f, "points", model_config(), &f->collection);
}

static inline void fixture_close(struct fixture *f)
{
    char command[128];
    vex_collection_unref(f->collection);
    if (f->engine != NULL)
        vex_engine_close(f->engine);
    vex_pool_free(f->pool);
    vex_dev_free(f->dev);
    free(f->points);
    vex_arena_done(&f->arena);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    if (system(command) != 0)
        fprintf(stderr, "left behind: %s\n", f->dir);
}

/* ---- the model changes ---- */

static inline void draw_vector(struct fixture *f, enum model_name name, struct model_vector *v)
{
    *v = (struct model_vector){.rows = 1, .count = MODEL_DIM};
    if (model_kinds[name].kind == VEX_VECTOR_SPARSE) {
        v->count = 1 + draw(f, MODEL_TERMS);
        uint32_t at = draw(f, 12) + 1;
        for (uint32_t i = 0; i < v->count; i++, at += 1 + draw(f, 12))
            v->indices[i] = i == 0 && at % 5 == 0 ? 0 : at;
    }
    if (model_kinds[name].kind == VEX_VECTOR_MULTI)
        v->rows = 1 + draw(f, MODEL_ROWS);
    bool positive =
        model_kinds[name].element == VEX_ELEMENT_U8 || model_kinds[name].kind == VEX_VECTOR_SPARSE;
    for (uint32_t i = 0; i < v->rows * v->count; i++)
        v->values[i] = positive ? (float)(1 + draw(f, 4)) : (float)draw(f, 5) - 2;
}

static inline struct vex_vector_value value_of(enum model_name name, const struct model_vector *v)
{
    return (struct vex_vector_value){.name = vex_str_c(model_kinds[name].name),
                                     .kind = model_kinds[name].kind,
                                     .values = v->values,
                                     .indices = v->indices,
                                     .count = v->count,
                                     .rows = v->rows};
}

/* New versions of some points, in one batch. */
static inline int upsert_some(struct fixture *f, uint32_t count)
{
    struct vex_arena arena;
    vex_arena_init(&arena, 0);
    struct vex_point *points = VEX_ARENA_ARRAY(&arena, struct vex_point, count);
    uint32_t first = draw(f, MODEL_POINTS), n = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct model_point *p = &f->points[(first + i * 17) % MODEL_POINTS];
        struct vex_point *point = &points[n++];
        point->id = p->id;
        point->vectors = VEX_ARENA_ARRAY(&arena, struct vex_vector_value, M_NAMES);
        p->has = 0;
        for (enum model_name name = 0; name < M_NAMES; name++) {
            if (draw(f, 8) == 0)
                continue;
            draw_vector(f, name, &p->vectors[name]);
            p->has |= 1u << name;
            point->vectors[point->vector_count++] = value_of(name, &p->vectors[name]);
        }
        p->has_payload = draw(f, 10) != 0;
        p->number = (int)draw(f, 100);
        p->tag = draw(f, 4);
        if (p->has_payload) {
            struct vex_buf buf;
            char letter = (char)('a' + p->tag);
            vex_buf_init(&buf, &arena);
            vex_value_put_map(&buf, 2);
            vex_value_put_text(&buf, VEX_STR("n"));
            vex_value_put_int(&buf, p->number);
            vex_value_put_text(&buf, VEX_STR("tag"));
            vex_value_put_text(&buf, vex_str(&letter, 1));
            point->payload = vex_buf_str(&buf);
        }
        if (!p->live)
            p->birth = ++f->births;
        p->live = true;
    }
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = n, .mode = VEX_UPSERT}};
    int code = submit(f->collection, &op);
    vex_arena_done(&arena);
    return code;
}

static inline int delete_some(struct fixture *f, uint32_t count)
{
    struct vex_id *ids = calloc(count, sizeof *ids);
    uint32_t first = draw(f, MODEL_POINTS);
    for (uint32_t i = 0; i < count; i++) {
        struct model_point *p = &f->points[(first + i * 13) % MODEL_POINTS];
        p->live = false;
        ids[i] = p->id;
    }
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = count}};
    int code = submit(f->collection, &op);
    free(ids);
    return code;
}

/* Many versions, deletions and births again. */
static inline bool fixture_fill(struct fixture *f, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++)
        if (upsert_some(f, 60) != 0 || (i % 3 == 2 && delete_some(f, 40) != 0))
            return false;
    return true;
}

static inline uint32_t live_count(const struct fixture *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MODEL_POINTS; i++)
        n += f->points[i].live;
    return n;
}

static inline const struct model_point *model_find(const struct fixture *f, const struct vex_id *id)
{
    for (uint32_t i = 0; i < MODEL_POINTS; i++)
        if (vex_id_eq(&f->points[i].id, id))
            return &f->points[i];
    return NULL;
}

/* ---- filters: one of a few shapes, and what the model says to it ---- */

#define MODEL_FILTERS 11

struct model_filter {
    unsigned shape;
    int low;
    unsigned tag;
    uint32_t first; /* ids: points first, first + 5, ... */
    uint32_t count;
};

static inline struct model_filter draw_filter(struct fixture *f)
{
    return (struct model_filter){draw(f, MODEL_FILTERS), (int)draw(f, 100), draw(f, 4), draw(f, MODEL_POINTS),
                                 draw(f, 200)};
}

static inline bool in_ids(const struct fixture *f, const struct model_filter *m, const struct model_point *p)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (p == &f->points[(m->first + i * 5) % MODEL_POINTS])
            return true;
    return false;
}

static inline bool model_matches(const struct fixture *f, const struct model_filter *m,
                                 const struct model_point *p)
{
    bool range = p->has_payload && p->number >= m->low, tag = p->has_payload && p->tag == m->tag;
    switch (m->shape) {
    case 0:
        return true;
    case 1:
        return range;
    case 2:
        return tag;
    case 3:
        return range && !tag;
    case 4:
        return in_ids(f, m, p);
    case 5:
        return in_ids(f, m, p) && range;
    case 6:
        return (p->has & 1u << M_L1) != 0;
    case 7:
        return range || tag;
    case 8:
        return in_ids(f, m, p) || tag;
    default:
        return in_ids(f, m, p);
    }
}

/* Half of them are named twice. */
static inline uint32_t model_id_count(const struct model_filter *m)
{
    return m->count + m->count / 2;
}

static inline struct vex_id *model_ids(const struct fixture *f, struct vex_arena *arena,
                                       const struct model_filter *m)
{
    struct vex_id *ids = VEX_ARENA_ARRAY(arena, struct vex_id, model_id_count(m) + 1);
    for (uint32_t i = 0; i < model_id_count(m); i++)
        ids[i] = f->points[(m->first + i % m->count * 5) % MODEL_POINTS].id;
    return ids;
}

static inline void add_cond(struct vex_arena *arena, struct vex_cond_list *list, struct vex_cond cond)
{
    if (list->conds == NULL)
        list->conds = VEX_ARENA_ARRAY(arena, struct vex_cond, 4);
    list->conds[list->count++] = cond;
}

static inline struct vex_filter *model_filter(const struct fixture *f, struct vex_arena *arena,
                                              const struct model_filter *m)
{
    struct vex_filter *filter = VEX_ARENA_NEW(arena, struct vex_filter);
    struct vex_cond range = {.kind = VEX_COND_RANGE,
                             .path = vex_path_key(arena, VEX_STR("n")),
                             .range = {.has_gte = true, .gte = m->low}};
    struct vex_cond tag = {.kind = VEX_COND_ANY, .path = vex_path_key(arena, VEX_STR("tag"))};
    tag.values.texts = VEX_ARENA_NEW(arena, struct vex_str);
    tag.values.texts[0] = vex_str(vex_arena_printf(arena, "%c", 'a' + (int)m->tag), 1);
    tag.values.text_count = 1;
    struct vex_cond ids = {.kind = VEX_COND_HAS_ID};
    ids.ids.ids = model_ids(f, arena, m);
    ids.ids.count = model_id_count(m);
    if (m->shape == 0)
        return NULL;
    if (m->shape == 1 || m->shape == 3 || m->shape == 5)
        add_cond(arena, &filter->must, range);
    if (m->shape == 2)
        add_cond(arena, &filter->must, tag);
    if (m->shape == 3)
        add_cond(arena, &filter->must_not, tag);
    if (m->shape == 4 || m->shape == 5)
        add_cond(arena, &filter->must, ids);
    if (m->shape == 6)
        add_cond(arena, &filter->must, (struct vex_cond){.kind = VEX_COND_HAS_VECTOR, .text = VEX_STR("l1")});
    if (m->shape == 7) {
        add_cond(arena, &filter->should, range);
        add_cond(arena, &filter->should, tag);
    }
    if (m->shape == 8 || m->shape == 9)
        add_cond(arena, &filter->should, ids);
    if (m->shape == 8)
        add_cond(arena, &filter->should, tag);
    if (m->shape == 10) {
        struct vex_cond sub = {.kind = VEX_COND_FILTER, .sub = VEX_ARENA_NEW(arena, struct vex_filter)};
        add_cond(arena, &sub.sub->must, ids);
        add_cond(arena, &filter->must, sub);
    }
    return filter;
}

#endif
