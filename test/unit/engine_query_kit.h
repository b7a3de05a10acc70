/* A collection of points with rich payloads, with and without payload indexes, beside a plain list of the same points: what the
 * tests of plans and of browsing reads ask both. The list is asked by vex_filter_match, which has tests of its own. */
#ifndef VEX_TEST_ENGINE_QUERY_KIT_H
#define VEX_TEST_ENGINE_QUERY_KIT_H

#include "engine_query_fixture.h"

#include "engine/filter/match.h"
#include "engine/internal.h"
#include "engine/query/plan.h"

#define KIT_POINTS 600
#define KIT_DIM    4

struct kit_point {
    struct vex_id id;
    bool live;
    char *payload; /* CBOR; never NULL when live */
    size_t payload_len;
    bool has_main, has_side;
    float vector[KIT_DIM]; /* of both names */
};

struct kit {
    struct fixture *f;
    struct vex_collection *collection;
    struct kit_point points[KIT_POINTS];
};

/* ---- configuration ---- */

static const struct vex_index_params kit_indexes[] = {
    {.field = {"k", 1}, .type = VEX_INDEX_KEYWORD, .prefix = true},
    {.field = {"u", 1}, .type = VEX_INDEX_KEYWORD},
    {.field = {"n", 1}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
    {.field = {"f", 1}, .type = VEX_INDEX_FLOAT},
    {.field = {"b", 1}, .type = VEX_INDEX_BOOL},
    {.field = {"d", 1}, .type = VEX_INDEX_DATETIME},
    {.field = {"w", 1}, .type = VEX_INDEX_UUID},
    {.field = {"o[].a", 5}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
};

static inline struct vex_config *kit_config(bool indexed)
{
    struct vex_config *config = vex_config_new();
    struct vex_vector_params main = {.name = VEX_STR(""), .size = KIT_DIM, .distance = VEX_DISTANCE_L2};
    struct vex_vector_params side = {.name = VEX_STR("side"), .size = KIT_DIM, .distance = VEX_DISTANCE_DOT};
    struct vex_err err;
    if (vex_config_add_vector(config, &main, &err) != 0 || vex_config_add_vector(config, &side, &err) != 0)
        abort();
    for (size_t i = 0; indexed && i < sizeof kit_indexes / sizeof *kit_indexes; i++)
        vex_config_set_index(config, &kit_indexes[i]);
    return config;
}

static inline bool kit_open(struct kit *kit, struct fixture *f, const char *name, bool indexed)
{
    struct vex_err err;
    memset(kit, 0, sizeof *kit);
    kit->f = f;
    for (uint32_t i = 0; i < KIT_POINTS; i++)
        kit->points[i].id = model_id(f, i);
    return create_collection(f, name, kit_config(indexed), &kit->collection) &&
           vex_collection_wait_indexes(kit->collection, 0, &err) == 0;
}

static inline void kit_close(struct kit *kit)
{
    for (uint32_t i = 0; i < KIT_POINTS; i++)
        free(kit->points[i].payload);
    vex_collection_unref(kit->collection);
}

/* ---- payloads ---- */

static inline void put_text(struct vex_buf *out, const char *format, uint32_t number)
{
    char text[64];
    snprintf(text, sizeof text, format, number);
    vex_value_put_text(out, vex_str_c(text));
}

static inline void put_keyword(struct fixture *f, struct vex_buf *out)
{
    uint32_t shape = draw(f, 10), count = draw(f, 4);
    if (shape == 0) {
        vex_value_put_null(out);
    } else if (shape == 1) {
        vex_value_put_int(out, (int64_t)draw(f, 3));
    } else if (shape < 5) {
        vex_value_put_array(out, count);
        for (uint32_t i = 0; i < count; i++)
            put_text(out, "k%u", draw(f, 7));
    } else {
        put_text(out, "k%u", draw(f, 7));
    }
}

static inline void put_number(struct fixture *f, struct vex_buf *out)
{
    uint32_t shape = draw(f, 8), count = draw(f, 4);
    if (shape == 0) {
        vex_value_put_double(out, draw(f, 40) / 2.0);
    } else if (shape == 1) {
        put_text(out, "%u", draw(f, 9));
    } else if (shape < 4) {
        vex_value_put_array(out, count);
        for (uint32_t i = 0; i < count; i++)
            vex_value_put_int(out, (int64_t)draw(f, 12) - 4);
    } else {
        vex_value_put_int(out, (int64_t)draw(f, 40) - 20);
    }
}

static inline void put_objects(struct fixture *f, struct vex_buf *out)
{
    uint32_t count = draw(f, 4);
    vex_value_put_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        bool both = draw(f, 4) != 0;
        vex_value_put_map(out, both ? 2 : 1);
        vex_value_put_text(out, VEX_STR("a"));
        vex_value_put_int(out, (int64_t)draw(f, 6));
        if (both) {
            vex_value_put_text(out, VEX_STR("b"));
            put_text(out, "t%u", draw(f, 3));
        }
    }
}

static inline void put_field(struct fixture *f, struct vex_buf *out, char field)
{
    vex_value_put_text(out, vex_str(&field, 1));
    switch (field) {
    case 'k':
        put_keyword(f, out);
        break;
    case 'u':
        put_text(out, "u%u", draw(f, 300));
        break;
    case 'n':
        put_number(f, out);
        break;
    case 'f':
        if (draw(f, 5) == 0)
            vex_value_put_int(out, (int64_t)draw(f, 10));
        else
            vex_value_put_double(out, draw(f, 40) / 4.0);
        break;
    case 'b':
        vex_value_put_bool(out, draw(f, 3) == 0);
        break;
    case 'd':
        put_text(out, "2024-01-%02uT12:00:00Z", 1 + draw(f, 28));
        break;
    case 'w':
        put_text(out, "550e8400-e29b-41d4-a716-4466554400%02u", draw(f, 20));
        break;
    case 'x':
        vex_value_put_int(out, (int64_t)draw(f, 10));
        break;
    default:
        put_objects(f, out);
    }
}

static inline void kit_payload(struct fixture *f, struct vex_buf *out)
{
    static const char fields[] = "kunfbdwxo";
    bool has[sizeof fields];
    size_t count = 0;
    for (size_t i = 0; fields[i] != 0; i++)
        count += has[i] = draw(f, 6) != 0;
    vex_value_put_map(out, count);
    for (size_t i = 0; fields[i] != 0; i++)
        if (has[i])
            put_field(f, out, fields[i]);
}

/* ---- writing ---- */

static inline int kit_upsert(struct kit *kit, uint32_t count)
{
    struct fixture *f = kit->f;
    struct vex_arena arena;
    vex_arena_init(&arena, 0);
    struct vex_point *points = VEX_ARENA_ARRAY(&arena, struct vex_point, count);
    uint32_t first = draw(f, KIT_POINTS);
    for (uint32_t i = 0; i < count; i++) {
        struct kit_point *p = &kit->points[(first + i * 7) % KIT_POINTS];
        struct vex_vector_value *vectors = VEX_ARENA_ARRAY(&arena, struct vex_vector_value, 2);
        struct vex_buf buf;
        vex_buf_init(&buf, NULL);
        kit_payload(f, &buf);
        free(p->payload);
        p->payload = malloc(buf.len);
        memcpy(p->payload, buf.ptr, buf.len);
        p->payload_len = buf.len;
        vex_buf_done(&buf);
        p->has_main = draw(f, 8) != 0;
        p->has_side = draw(f, 2) != 0;
        p->live = true;
        for (int d = 0; d < KIT_DIM; d++)
            p->vector[d] = (float)draw(f, 5);
        points[i] = (struct vex_point){
            .id = p->id, .payload = vex_str(p->payload, p->payload_len), .vectors = vectors};
        if (p->has_main)
            vectors[points[i].vector_count++] =
                (struct vex_vector_value){.name = VEX_STR(""), .values = p->vector, .count = KIT_DIM};
        if (p->has_side)
            vectors[points[i].vector_count++] =
                (struct vex_vector_value){.name = VEX_STR("side"), .values = p->vector, .count = KIT_DIM};
    }
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    int code = submit(kit->collection, &op);
    vex_arena_done(&arena);
    return code;
}

static inline int kit_delete(struct kit *kit, uint32_t count)
{
    struct vex_id ids[KIT_POINTS];
    uint32_t first = draw(kit->f, KIT_POINTS);
    for (uint32_t i = 0; i < count; i++) {
        struct kit_point *p = &kit->points[(first + i * 11) % KIT_POINTS];
        p->live = false;
        ids[i] = p->id;
    }
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = count}};
    return submit(kit->collection, &op);
}

static inline bool kit_fill(struct kit *kit, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++)
        if (kit_upsert(kit, 50) != 0 || (i % 3 == 2 && kit_delete(kit, 30) != 0))
            return false;
    return true;
}

/* Waits until the indexes have followed all writes: that comes after a write is answered, within the writer slot. */
static inline void kit_settle(struct kit *kit)
{
    vex_collection_acquire(kit->collection);
    vex_collection_release(kit->collection);
}

/* ---- filters ---- */

static inline struct vex_path kit_path(struct vex_arena *arena, const char *text)
{
    struct vex_path path;
    struct vex_err err;
    if (vex_path_parse(arena, vex_str_c(text), &path, &err) != 0)
        abort();
    return path;
}

static inline void kit_texts(struct kit *kit, struct vex_arena *arena, const char *format, uint32_t below,
                             uint32_t count, struct vex_cond_values *values)
{
    values->texts = VEX_ARENA_ARRAY(arena, struct vex_str, count + 1);
    for (uint32_t i = 0; i < count; i++)
        values->texts[values->text_count++] = vex_str_c(vex_arena_printf(arena, format, draw(kit->f, below)));
}

static inline void kit_ints(struct kit *kit, struct vex_arena *arena, uint32_t count,
                            struct vex_cond_values *values)
{
    values->ints = VEX_ARENA_ARRAY(arena, int64_t, count + 1);
    for (uint32_t i = 0; i < count; i++)
        values->ints[values->int_count++] = (int64_t)draw(kit->f, 12) - 4;
}

static inline void kit_ids(struct kit *kit, struct vex_arena *arena, struct vex_cond *cond)
{
    uint32_t count = draw(kit->f, 60);
    cond->ids.ids = VEX_ARENA_ARRAY(arena, struct vex_id, count + 1);
    for (uint32_t i = 0; i < count; i++)
        cond->ids.ids[cond->ids.count++] = kit->points[draw(kit->f, KIT_POINTS)].id;
}

static inline struct vex_cond_range kit_range(struct kit *kit, int low, uint32_t span)
{
    struct vex_cond_range range = {0};
    double from = low + (double)draw(kit->f, span), to = from + draw(kit->f, span / 2 + 1);
    uint32_t shape = draw(kit->f, 4);
    range.has_gte = shape != 1;
    range.gte = from;
    range.has_lt = shape == 1 || shape == 2;
    range.lt = to;
    range.has_lte = shape == 3;
    range.lte = to;
    return range;
}

static inline struct vex_filter *kit_filter(struct kit *kit, struct vex_arena *arena, int depth);

static inline struct vex_cond kit_nested(struct kit *kit, struct vex_arena *arena)
{
    struct vex_cond cond = {.kind = VEX_COND_NESTED, .path = kit_path(arena, draw(kit->f, 2) ? "o" : "o[]")};
    struct vex_cond a = {.kind = VEX_COND_ANY, .path = kit_path(arena, "a")}, b = a;
    kit_ints(kit, arena, 1 + draw(kit->f, 3), &a.values);
    b.path = kit_path(arena, "b");
    kit_texts(kit, arena, "t%u", 3, 1, &b.values);
    cond.sub = VEX_ARENA_NEW(arena, struct vex_filter);
    add_cond(arena, draw(kit->f, 4) ? &cond.sub->must : &cond.sub->must_not, a);
    if (draw(kit->f, 2))
        add_cond(arena, draw(kit->f, 2) ? &cond.sub->must : &cond.sub->should, b);
    return cond;
}

static inline struct vex_cond kit_times(struct kit *kit, struct vex_arena *arena)
{
    struct vex_cond cond = {.kind = VEX_COND_TIME, .path = kit_path(arena, "d")};
    cond.times.has_gte = true;
    cond.times.gte = INT64_C(1704067200000000) + (int64_t)draw(kit->f, 28) * INT64_C(86400000000);
    cond.times.has_lt = draw(kit->f, 2) != 0;
    cond.times.lt = cond.times.gte + (int64_t)draw(kit->f, 10) * INT64_C(86400000000);
    return cond;
}

static inline struct vex_cond kit_cond(struct kit *kit, struct vex_arena *arena, int depth)
{
    static const char *const paths[] = {"k", "u", "n", "f", "b", "d", "w", "x", "o", "o[].a", "missing"};
    struct fixture *f = kit->f;
    struct vex_cond cond = {.kind = VEX_COND_ANY};
    switch (draw(f, depth > 0 ? 20 : 17)) {
    case 0:
    case 1:
        cond.path = kit_path(arena, "k");
        cond.kind = draw(f, 3) ? VEX_COND_ANY : VEX_COND_EXCEPT;
        kit_texts(kit, arena, "k%u", 8, draw(f, 4), &cond.values);
        break;
    case 2:
        cond.path = kit_path(arena, "u");
        kit_texts(kit, arena, "u%u", 320, draw(f, 3) ? 1 : 40, &cond.values);
        break;
    case 3:
    case 4:
        cond.path = kit_path(arena, draw(f, 4) ? "n" : "k");
        cond.kind = draw(f, 3) ? VEX_COND_ANY : VEX_COND_EXCEPT;
        kit_ints(kit, arena, 1 + draw(f, 3), &cond.values);
        break;
    case 5:
    case 6:
        cond.kind = VEX_COND_RANGE;
        cond.path = kit_path(arena, draw(f, 2) ? "n" : "f");
        cond.range = kit_range(kit, -5, 24);
        break;
    case 7:
        return kit_times(kit, arena);
    case 8:
        cond.path = kit_path(arena, "b");
        cond.values.has_true = draw(f, 2) != 0;
        cond.values.has_false = draw(f, 2) != 0;
        break;
    case 9:
        cond.kind = draw(f, 2) ? VEX_COND_IS_EMPTY : VEX_COND_IS_NULL;
        cond.path = kit_path(arena, paths[draw(f, 11)]);
        break;
    case 10:
        cond.kind = VEX_COND_VALUES_COUNT;
        cond.path = kit_path(arena, paths[draw(f, 11)]);
        cond.range = kit_range(kit, 0, 4);
        break;
    case 11:
        cond.kind = VEX_COND_HAS_ID;
        kit_ids(kit, arena, &cond);
        break;
    case 12:
        cond.kind = VEX_COND_HAS_VECTOR;
        cond.text = draw(f, 2) ? VEX_STR("side") : VEX_STR("");
        break;
    case 13:
        cond.kind = VEX_COND_SLICE;
        cond.slice.total = 1 + draw(f, 5);
        cond.slice.index = draw(f, (uint32_t)cond.slice.total);
        break;
    case 14:
        cond.path = kit_path(arena, "x"); /* never indexed */
        kit_ints(kit, arena, 2, &cond.values);
        break;
    case 15:
        cond.kind = VEX_COND_PREFIX;
        cond.path = kit_path(arena, draw(f, 2) ? "k" : "u");
        cond.text = draw(f, 2) ? VEX_STR("k") : VEX_STR("u1");
        break;
    case 16:
        return kit_nested(kit, arena);
    default:
        cond.kind = VEX_COND_FILTER;
        cond.sub = kit_filter(kit, arena, depth - 1);
    }
    return cond;
}

static inline struct vex_filter *kit_filter(struct kit *kit, struct vex_arena *arena, int depth)
{
    struct vex_filter *filter = VEX_ARENA_NEW(arena, struct vex_filter);
    struct vex_cond_list *lists[] = {&filter->must, &filter->should, &filter->must_not, &filter->min_should};
    for (int i = 0; i < 4; i++) {
        uint32_t count = i == 0 ? draw(kit->f, 3) : draw(kit->f, 3) == 0 ? 1 + draw(kit->f, 3) : 0;
        for (uint32_t c = 0; c < count; c++)
            add_cond(arena, lists[i], kit_cond(kit, arena, depth));
    }
    filter->has_min_should = filter->min_should.count > 0;
    filter->min_count = draw(kit->f, filter->min_should.count + 1);
    return filter;
}

/* ---- what the list says ---- */

static inline uint64_t kit_vector_bit(void *arg, struct vex_str name)
{
    (void)arg;
    return vex_str_eq_c(name, "side") ? 2 : vex_str_eq_c(name, "") ? 1 : 0;
}

/* Binding sorts lists but changes nothing of what a filter says, so the engine may be given the same tree. */
static inline void kit_bind(struct vex_arena *arena, struct vex_filter *filter)
{
    struct vex_filter_binding binding = {.arena = arena, .vector_bit = kit_vector_bit};
    struct vex_err err;
    if (vex_filter_bind(filter, &binding, &err) != 0)
        abort();
}

static inline bool kit_matches(const struct kit_point *p, const struct vex_filter *filter)
{
    struct vex_match_point point = {.id = p->id,
                                    .payload = {(const uint8_t *)p->payload},
                                    .vectors = (p->has_main ? 1u : 0) | (p->has_side ? 2u : 0)};
    return p->live && (filter == NULL || vex_filter_match(filter, &point));
}

static inline uint32_t kit_count(const struct kit *kit, const struct vex_filter *filter)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < KIT_POINTS; i++)
        count += kit_matches(&kit->points[i], filter);
    return count;
}

static inline struct kit_point *kit_find(struct kit *kit, const struct vex_id *id)
{
    for (uint32_t i = 0; i < KIT_POINTS; i++)
        if (vex_id_eq(&kit->points[i].id, id))
            return &kit->points[i];
    return NULL;
}

#endif
