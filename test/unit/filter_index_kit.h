/* Random payloads and conditions for the tests of payload indexes: small pools, so that values meet. */
#ifndef VEX_TEST_UNIT_FILTER_INDEX_KIT_H
#define VEX_TEST_UNIT_FILTER_INDEX_KIT_H

#include <CUnit/Basic.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "engine/filter/match.h"
#include "engine/index/index.h"

static uint64_t kit_state = 88172645463325252ull;

/* xorshift64 (Marsaglia, 2003). */
static uint64_t kit_next(void)
{
    kit_state ^= kit_state << 13;
    kit_state ^= kit_state >> 7;
    kit_state ^= kit_state << 17;
    return kit_state;
}

static uint32_t kit_below(uint32_t n)
{
    return (uint32_t)(kit_next() >> 32) % n;
}

static const char kit_long[] =
    "a text that is longer than what a dictionary keeps among its neighbours ............................"
    "................................................................................................."
    "...................................................................................................";

static const char *const kit_texts[] = {
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "b",
    "user-1",
    "user-2",
    "user-22",
    "\xc3\xa9t\xc3\xa9",
    "2024-01-01T00:00:00Z",
    "2024-01-01",
    "2024-01-02T03:04:05.678901Z",
    "1969-12-31 23:59:59",
    "2024-01-01T01:00:00+01:00",
    "550e8400-e29b-41d4-a716-446655440000",
    "550E8400-E29B-41D4-A716-446655440000",
    kit_long,
};
#define KIT_TEXTS (sizeof kit_texts / sizeof *kit_texts)

static const int64_t kit_ints[] = {0,
                                   1,
                                   -1,
                                   5,
                                   7,
                                   100,
                                   9007199254740992,
                                   9007199254740993,
                                   -9007199254740993,
                                   INT64_MAX,
                                   INT64_MIN,
                                   42,
                                   INT64_MAX - 1,
                                   INT64_MIN + 1};
#define KIT_INTS (sizeof kit_ints / sizeof *kit_ints)

static const uint64_t kit_uints[] = {UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX,
                                     UINT64_MAX - 2047};
#define KIT_UINTS (sizeof kit_uints / sizeof *kit_uints)

static const double kit_doubles[] = {0.0,
                                     -0.0,
                                     1.0,
                                     5.0,
                                     5.5,
                                     -1.0,
                                     -1.5,
                                     100.25,
                                     9007199254740992.0,
                                     9007199254740994.0,
                                     9223372036854775808.0,
                                     -9223372036854775808.0,
                                     18446744073709551616.0,
                                     18446744073709549568.0,
                                     1e300,
                                     INFINITY,
                                     -INFINITY,
                                     NAN};
#define KIT_DOUBLES (sizeof kit_doubles / sizeof *kit_doubles)

static double kit_coordinate(double most)
{
    /* On a grid, so that points lie on edges of shapes. */
    return ((int)kit_below(41) - 20) * most / 20;
}

static void kit_put_geo(struct vex_buf *out)
{
    uint32_t how = kit_below(12);
    double scale = how == 0 ? 3 : 1;

    vex_value_put_map(out, how == 1 ? 1 : 2);
    vex_value_put_text(out, VEX_STR("lon"));
    if (how == 2)
        vex_value_put_text(out, VEX_STR("far"));
    else if (how == 3)
        vex_value_put_int(out, (int64_t)kit_below(361) - 180);
    else if (how == 4)
        vex_value_put_double(out, (double)(kit_next() >> 11) / 9007199254740992.0 * 360 - 180);
    else
        vex_value_put_double(out, kit_coordinate(180) * scale);
    if (how == 1)
        return;
    vex_value_put_text(out, VEX_STR("lat"));
    if (how == 4)
        vex_value_put_double(out, (double)(kit_next() >> 11) / 9007199254740992.0 * 180 - 90);
    else
        vex_value_put_double(out, kit_coordinate(90) * scale);
}

/* kinds: how far the random kind may go; 7: all. */
static void kit_put_scalar(struct vex_buf *out, int favourite)
{
    int kind = kit_below(4) == 0 ? (int)kit_below(7) : favourite;

    if (kind == 0)
        vex_value_put_text(out, vex_str_c(kit_texts[kit_below(KIT_TEXTS)]));
    else if (kind == 1)
        vex_value_put_int(out, kit_ints[kit_below(KIT_INTS)]);
    else if (kind == 2)
        vex_value_put_uint(out, kit_uints[kit_below(KIT_UINTS)]);
    else if (kind == 3)
        vex_value_put_double(out, kit_doubles[kit_below(KIT_DOUBLES)]);
    else if (kind == 4)
        vex_value_put_bool(out, kit_below(2) == 0);
    else if (kind == 5)
        kit_put_geo(out);
    else
        vex_value_put_null(out);
}

static void kit_put_value(struct vex_buf *out, int favourite)
{
    uint32_t how = kit_below(10);

    if (how < 6) {
        kit_put_scalar(out, favourite);
        return;
    }
    uint32_t count = kit_below(5);
    vex_value_put_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        if (kit_below(12) == 0) { /* an array in an array is not taken apart */
            vex_value_put_array(out, 1);
            kit_put_scalar(out, favourite);
        } else {
            kit_put_scalar(out, favourite);
        }
    }
}

/* {"f": value, "a": [{"b": value}, ...]}; parts may be missing. plain: {"f": scalar}, nothing odd. */
static void kit_put_payload(struct vex_buf *out, int favourite, bool plain)
{
    bool f = plain || kit_below(8) != 0;
    uint32_t a = plain ? 0 : kit_below(4);

    vex_value_put_map(out, f + (a > 0));
    if (f) {
        vex_value_put_text(out, VEX_STR("f"));
        kit_put_value(out, favourite);
    }
    if (a == 0)
        return;
    vex_value_put_text(out, VEX_STR("a"));
    vex_value_put_array(out, a);
    for (uint32_t i = 0; i < a; i++) {
        if (kit_below(6) == 0) {
            kit_put_scalar(out, favourite);
            continue;
        }
        vex_value_put_map(out, 1);
        vex_value_put_text(out, kit_below(6) == 0 ? VEX_STR("c") : VEX_STR("b"));
        kit_put_value(out, favourite);
    }
}

static void kit_list(struct vex_arena *arena, struct vex_cond_values *list, bool texts, bool bools)
{
    uint32_t ints = kit_below(4), doubles = kit_below(3);

    *list = (struct vex_cond_values){0};
    list->ints = VEX_ARENA_ARRAY(arena, int64_t, 4);
    list->doubles = VEX_ARENA_ARRAY(arena, double, 4);
    list->texts = VEX_ARENA_ARRAY(arena, struct vex_str, 4);
    if (kit_below(3) != 0)
        list->int_count = ints;
    if (kit_below(3) != 0)
        list->double_count = doubles;
    if (texts && kit_below(3) != 0)
        list->text_count = kit_below(5);
    for (uint32_t i = 0; i < list->int_count; i++)
        list->ints[i] = kit_ints[kit_below(KIT_INTS)];
    for (uint32_t i = 0; i < list->double_count; i++)
        list->doubles[i] = kit_doubles[kit_below(KIT_DOUBLES)];
    for (uint32_t i = 0; i < list->text_count; i++)
        list->texts[i] = vex_str_c(kit_texts[kit_below(KIT_TEXTS)]);
    list->has_true = bools && kit_below(4) == 0;
    list->has_false = bools && kit_below(4) == 0;
}

static double kit_bound(void)
{
    if (kit_below(2) == 0)
        return kit_doubles[kit_below(KIT_DOUBLES)];
    return (double)kit_ints[kit_below(KIT_INTS)] + (kit_below(2) == 0 ? 0.5 : 0);
}

static void kit_range(struct vex_cond_range *range, double small)
{
    *range = (struct vex_cond_range){
        .has_lt = kit_below(3) == 0,
        .has_lte = kit_below(4) == 0,
        .has_gt = kit_below(3) == 0,
        .has_gte = kit_below(4) == 0,
        .lt = small > 0 ? kit_below(4) : kit_bound(),
        .lte = small > 0 ? kit_below(4) : kit_bound(),
        .gt = small > 0 ? (double)kit_below(4) - 1 : kit_bound(),
        .gte = small > 0 ? (double)kit_below(4) - 1 : kit_bound(),
    };
}

static int64_t kit_time(void)
{
    int64_t us = 0;

    if (kit_below(8) == 0)
        return kit_below(2) == 0 ? INT64_MIN : INT64_MAX;
    while (!vex_time_parse(vex_str_c(kit_texts[kit_below(KIT_TEXTS)]), &us))
        ;
    return us + (int64_t)kit_below(3) - 1;
}

static struct vex_geo_ring kit_ring(struct vex_arena *arena)
{
    struct vex_geo_ring ring = {VEX_ARENA_ARRAY(arena, struct vex_geo, 8), 4 + kit_below(4)};

    for (uint32_t i = 0; i + 1 < ring.count; i++)
        ring.points[i] = (struct vex_geo){kit_coordinate(180), kit_coordinate(90)};
    ring.points[ring.count - 1] = ring.points[0];
    return ring;
}

static void kit_shape(struct vex_arena *arena, struct vex_cond *cond)
{
    if (cond->kind == VEX_COND_GEO_BOX) {
        cond->geo_box.top_left = (struct vex_geo){kit_coordinate(180), kit_coordinate(90)};
        cond->geo_box.bottom_right = (struct vex_geo){kit_coordinate(180), kit_coordinate(90)};
        if (kit_below(2) == 0) {
            cond->geo_box.top_left.lat = 60;
            cond->geo_box.bottom_right.lat = -45;
        }
    } else if (cond->kind == VEX_COND_GEO_RADIUS) {
        cond->geo_radius.center = (struct vex_geo){kit_coordinate(180), kit_coordinate(90)};
        cond->geo_radius.meters = kit_below(21) * 1e6;
        if (kit_below(16) == 0)
            cond->geo_radius.center.lat = kit_below(2) == 0 ? NAN : 200;
    } else {
        cond->geo_polygon.exterior = kit_ring(arena);
        cond->geo_polygon.interior_count = kit_below(3);
        cond->geo_polygon.interiors = VEX_ARENA_ARRAY(arena, struct vex_geo_ring, 2);
        for (uint32_t i = 0; i < 2; i++)
            cond->geo_polygon.interiors[i] = kit_ring(arena);
    }
}

/* A condition of a kind that looks at a path (but NESTED); unbound. */
static inline struct vex_cond kit_cond(struct vex_arena *arena, const struct vex_path *path)
{
    static const enum vex_cond_kind kinds[] = {
        VEX_COND_ANY,      VEX_COND_ANY,        VEX_COND_ANY,         VEX_COND_EXCEPT,
        VEX_COND_EXCEPT,   VEX_COND_NUMBERS,    VEX_COND_PREFIX,      VEX_COND_SUBSTRING,
        VEX_COND_REGEX,    VEX_COND_RANGE,      VEX_COND_RANGE,       VEX_COND_TIME,
        VEX_COND_GEO_BOX,  VEX_COND_GEO_RADIUS, VEX_COND_GEO_POLYGON, VEX_COND_VALUES_COUNT,
        VEX_COND_IS_EMPTY, VEX_COND_IS_NULL,    VEX_COND_TEXT,
    };
    static const char *const pieces[] = {"", "a", "ab", "user-", "2", "zzz", "\xc3"};
    static const char *const patterns[] = {"^a", "b$", "user-\\d$", ".*", "x{3}"};
    struct vex_cond cond = {.kind = kinds[kit_below(sizeof kinds / sizeof *kinds)], .path = *path};

    if (kit_below(4) == 0)
        cond.arrays = kit_below(2) == 0 ? VEX_ARRAYS_NEVER : VEX_ARRAYS_ONLY;
    if (cond.kind == VEX_COND_ANY || cond.kind == VEX_COND_EXCEPT)
        kit_list(arena, &cond.values, true, true);
    else if (cond.kind == VEX_COND_NUMBERS)
        kit_list(arena, &cond.values, false, false);
    else if (cond.kind == VEX_COND_PREFIX || cond.kind == VEX_COND_SUBSTRING)
        cond.text = vex_str_c(pieces[kit_below(7)]);
    else if (cond.kind == VEX_COND_REGEX)
        cond.text = vex_str_c(patterns[kit_below(5)]);
    else if (cond.kind == VEX_COND_TEXT)
        cond.text = VEX_STR("user");
    else if (cond.kind == VEX_COND_RANGE)
        kit_range(&cond.range, 0);
    else if (cond.kind == VEX_COND_VALUES_COUNT)
        kit_range(&cond.range, 4);
    else if (cond.kind == VEX_COND_TIME)
        cond.times = (struct vex_cond_times){.has_lt = kit_below(2) == 0,
                                             .has_gte = kit_below(2) == 0,
                                             .has_lte = kit_below(3) == 0,
                                             .has_gt = kit_below(3) == 0,
                                             .lt = kit_time(),
                                             .lte = kit_time(),
                                             .gt = kit_time(),
                                             .gte = kit_time()};
    else
        kit_shape(arena, &cond);
    return cond;
}

#endif
