/* Reads a Qdrant REST filter into a filter tree: what tests need of it, without the checks of the real API.
 * Included by the one test program that uses it. */
#ifndef TEST_UNIT_FILTER_JSON_H
#define TEST_UNIT_FILTER_JSON_H

#include <stdlib.h>

#include "base/json_read.h"
#include "base/time.h"
#include "engine/filter/tree.h"

static struct vex_filter *read_filter(struct vex_arena *arena, struct vex_json json);

static struct vex_json member(struct vex_json object, const char *key)
{
    struct vex_json v;

    if (!vex_json_get(object, key, &v)) {
        fprintf(stderr, "test data: no %s\n", key);
        abort();
    }
    return v;
}

static struct vex_str copy_text(struct vex_arena *arena, struct vex_json v)
{
    struct vex_str text = vex_json_str(v);

    return vex_str(vex_arena_strndup(arena, text.ptr, text.len), text.len);
}

static struct vex_path read_path(struct vex_arena *arena, struct vex_json v)
{
    struct vex_path path = {.count = 0};
    struct vex_err err = {0};

    if (vex_path_parse(arena, vex_json_str(v), &path, &err) != 0) {
        fprintf(stderr, "test data: %s\n", err.text);
        abort();
    }
    return path;
}

static struct vex_id read_id(struct vex_json v)
{
    struct vex_id id;

    if (vex_json_is_number(v))
        return vex_id_num(vex_json_uint(v));
    if (!vex_id_from_uuid_text(vex_json_str(v), &id))
        abort();
    return id;
}

static void add_value(struct vex_arena *arena, struct vex_cond_values *values, struct vex_json v)
{
    switch (vex_json_kind(v)) {
    case VEX_JSON_STRING:
        values->texts[values->text_count++] = copy_text(arena, v);
        break;
    case VEX_JSON_INT:
        values->ints[values->int_count++] = vex_json_int(v);
        break;
    case VEX_JSON_DOUBLE:
        values->doubles[values->double_count++] = vex_json_double(v);
        break;
    case VEX_JSON_BOOL:
        *(vex_json_bool(v) ? &values->has_true : &values->has_false) = true;
        break;
    default:
        abort();
    }
}

static void read_values(struct vex_arena *arena, struct vex_cond_values *values, struct vex_json v)
{
    size_t count = vex_json_kind(v) == VEX_JSON_ARRAY ? vex_json_count(v) : 1;
    struct vex_json_iter it;

    values->texts = VEX_ARENA_ARRAY(arena, struct vex_str, count);
    values->ints = VEX_ARENA_ARRAY(arena, int64_t, count);
    values->doubles = VEX_ARENA_ARRAY(arena, double, count);
    if (vex_json_kind(v) != VEX_JSON_ARRAY) {
        add_value(arena, values, v);
        return;
    }
    for (it = vex_json_iter(v); vex_json_next(&it);)
        add_value(arena, values, it.value);
}

static void read_match(struct vex_arena *arena, struct vex_cond *cond, struct vex_json match)
{
    static const struct {
        const char *key;
        enum vex_cond_kind kind;
    } texts[] = {
        {"text", VEX_COND_TEXT},     {"text_any", VEX_COND_TEXT_ANY},   {"phrase", VEX_COND_PHRASE},
        {"prefix", VEX_COND_PREFIX}, {"substring", VEX_COND_SUBSTRING}, {"regex", VEX_COND_REGEX},
    };
    struct vex_json v;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (vex_json_get(match, texts[i].key, &v)) {
            cond->kind = texts[i].kind;
            cond->text = copy_text(arena, v);
            return;
        }
    }
    cond->kind = vex_json_get(match, "except", &v) ? VEX_COND_EXCEPT : VEX_COND_ANY;
    if (cond->kind == VEX_COND_ANY && !vex_json_get(match, "any", &v))
        v = member(match, "value");
    read_values(arena, &cond->values, v);
}

static bool read_time(struct vex_json json, const char *key, int64_t *ret)
{
    struct vex_json v;

    if (!vex_json_get(json, key, &v))
        return false;
    if (!vex_time_parse(vex_json_str(v), ret))
        abort();
    return true;
}

static bool read_double(struct vex_json json, const char *key, double *ret)
{
    struct vex_json v;

    if (!vex_json_get(json, key, &v))
        return false;
    *ret = vex_json_double(v);
    return true;
}

static void read_range(struct vex_cond *cond, struct vex_json json)
{
    struct vex_json_iter it = vex_json_iter(json);
    struct vex_cond_range *r = &cond->range;
    struct vex_cond_times *t = &cond->times;

    if (!vex_json_next(&it) || vex_json_kind(it.value) != VEX_JSON_STRING) {
        r->has_lt = read_double(json, "lt", &r->lt);
        r->has_lte = read_double(json, "lte", &r->lte);
        r->has_gt = read_double(json, "gt", &r->gt);
        r->has_gte = read_double(json, "gte", &r->gte);
        return;
    }
    cond->kind = VEX_COND_TIME;
    t->has_lt = read_time(json, "lt", &t->lt);
    t->has_lte = read_time(json, "lte", &t->lte);
    t->has_gt = read_time(json, "gt", &t->gt);
    t->has_gte = read_time(json, "gte", &t->gte);
}

static struct vex_geo read_geo(struct vex_json v)
{
    return (struct vex_geo){vex_json_double(member(v, "lon")), vex_json_double(member(v, "lat"))};
}

static struct vex_geo_ring read_ring(struct vex_arena *arena, struct vex_json v)
{
    struct vex_json points = member(v, "points");
    struct vex_geo_ring ring = {VEX_ARENA_ARRAY(arena, struct vex_geo, vex_json_count(points)), 0};
    struct vex_json_iter it;

    for (it = vex_json_iter(points); vex_json_next(&it);)
        ring.points[ring.count++] = read_geo(it.value);
    return ring;
}

static void read_polygon(struct vex_arena *arena, struct vex_cond *cond, struct vex_json v)
{
    struct vex_json interiors;
    struct vex_json_iter it;

    cond->kind = VEX_COND_GEO_POLYGON;
    cond->geo_polygon.exterior = read_ring(arena, member(v, "exterior"));
    if (!vex_json_get(v, "interiors", &interiors))
        return;
    cond->geo_polygon.interiors = VEX_ARENA_ARRAY(arena, struct vex_geo_ring, vex_json_count(interiors));
    for (it = vex_json_iter(interiors); vex_json_next(&it);)
        cond->geo_polygon.interiors[cond->geo_polygon.interior_count++] = read_ring(arena, it.value);
}

/* `{"is_empty": false}` is the condition turned round. */
static void read_flag(struct vex_arena *arena, struct vex_cond *cond, enum vex_cond_kind kind,
                      struct vex_json v)
{
    struct vex_cond *inner;

    cond->kind = kind;
    if (vex_json_bool(v))
        return;
    inner = VEX_ARENA_NEW(arena, struct vex_cond);
    *inner = *cond;
    cond->kind = VEX_COND_FILTER;
    cond->sub = VEX_ARENA_NEW(arena, struct vex_filter);
    cond->sub->must_not = (struct vex_cond_list){inner, 1};
}

static void read_field(struct vex_arena *arena, struct vex_cond *cond, struct vex_json json)
{
    struct vex_json v;

    cond->path = read_path(arena, member(json, "key"));
    if (vex_json_get(json, "match", &v)) {
        read_match(arena, cond, v);
    } else if (vex_json_get(json, "range", &v)) {
        cond->kind = VEX_COND_RANGE;
        read_range(cond, v);
    } else if (vex_json_get(json, "values_count", &v)) {
        cond->kind = VEX_COND_VALUES_COUNT;
        read_range(cond, v);
    } else if (vex_json_get(json, "geo_radius", &v)) {
        cond->kind = VEX_COND_GEO_RADIUS;
        cond->geo_radius.center = read_geo(member(v, "center"));
        cond->geo_radius.meters = vex_json_double(member(v, "radius"));
    } else if (vex_json_get(json, "geo_bounding_box", &v)) {
        cond->kind = VEX_COND_GEO_BOX;
        cond->geo_box.top_left = read_geo(member(v, "top_left"));
        cond->geo_box.bottom_right = read_geo(member(v, "bottom_right"));
    } else if (vex_json_get(json, "geo_polygon", &v)) {
        read_polygon(arena, cond, v);
    } else if (vex_json_get(json, "is_empty", &v)) {
        read_flag(arena, cond, VEX_COND_IS_EMPTY, v);
    } else {
        read_flag(arena, cond, VEX_COND_IS_NULL, member(json, "is_null"));
    }
}

static void read_ids(struct vex_arena *arena, struct vex_cond *cond, struct vex_json v)
{
    struct vex_json_iter it;

    cond->kind = VEX_COND_HAS_ID;
    cond->ids.ids = VEX_ARENA_ARRAY(arena, struct vex_id, vex_json_count(v));
    for (it = vex_json_iter(v); vex_json_next(&it);)
        cond->ids.ids[cond->ids.count++] = read_id(it.value);
}

static void read_cond(struct vex_arena *arena, struct vex_cond *cond, struct vex_json json)
{
    struct vex_json v;

    if (vex_json_get(json, "key", &v)) {
        read_field(arena, cond, json);
    } else if (vex_json_get(json, "is_empty", &v) || vex_json_get(json, "is_null", &v)) {
        cond->kind = vex_json_get(json, "is_empty", &v) ? VEX_COND_IS_EMPTY : VEX_COND_IS_NULL;
        cond->path = read_path(arena, member(v, "key"));
    } else if (vex_json_get(json, "has_id", &v)) {
        read_ids(arena, cond, v);
    } else if (vex_json_get(json, "has_vector", &v)) {
        cond->kind = VEX_COND_HAS_VECTOR;
        cond->text = copy_text(arena, v);
    } else if (vex_json_get(json, "slice", &v)) {
        cond->kind = VEX_COND_SLICE;
        cond->slice.total = vex_json_uint(member(v, "total"));
        cond->slice.index = vex_json_uint(member(v, "index"));
    } else if (vex_json_get(json, "nested", &v)) {
        cond->kind = VEX_COND_NESTED;
        cond->path = read_path(arena, member(v, "key"));
        cond->sub = read_filter(arena, member(v, "filter"));
    } else {
        cond->kind = VEX_COND_FILTER;
        cond->sub = read_filter(arena, json);
    }
}

static struct vex_cond_list read_list(struct vex_arena *arena, struct vex_json filter, const char *key)
{
    struct vex_cond_list list = {NULL, 0};
    struct vex_json v;
    struct vex_json_iter it;

    if (!vex_json_get(filter, key, &v))
        return list;
    if (vex_json_kind(v) == VEX_JSON_OBJECT) {
        list = (struct vex_cond_list){VEX_ARENA_NEW(arena, struct vex_cond), 1};
        read_cond(arena, list.conds, v);
        return list;
    }
    list.conds = VEX_ARENA_ARRAY(arena, struct vex_cond, vex_json_count(v));
    for (it = vex_json_iter(v); vex_json_next(&it);)
        read_cond(arena, &list.conds[list.count++], it.value);
    return list;
}

static struct vex_filter *read_filter(struct vex_arena *arena, struct vex_json json)
{
    struct vex_filter *filter = VEX_ARENA_NEW(arena, struct vex_filter);
    struct vex_json v;

    filter->must = read_list(arena, json, "must");
    filter->should = read_list(arena, json, "should");
    filter->must_not = read_list(arena, json, "must_not");
    if (vex_json_get(json, "min_should", &v)) {
        filter->has_min_should = true;
        filter->min_should = read_list(arena, v, "conditions");
        filter->min_count = vex_json_uint(member(v, "min_count"));
    }
    return filter;
}

#endif
