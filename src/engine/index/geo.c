/* Value store of geo fields: points in Morton order, searched by cells of a quadtree.
 *
 * Search     A cell is a stretch of each run. One that lies wholly inside of the shape is taken whole, one outside is passed, others
 *            are cut in four; what is left at the rim is judged point by point by vex_match_geo, as when reading payloads. How
 *            cells are judged only has to be careful: a cell that can't be told is cut.
 * Owner      The index. Lock: the index's; prepare beside readers.
 * Invariant  Points off the globe (longitude beyond 180 degrees, latitude beyond 90) are kept aside, without order.
 * Format     The runs; u32 count and the points aside: longitude, latitude, slot. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/filter/match_parts.h"
#include "engine/index/private.h"
#include "engine/index/runs.h"

#define LEAF          16u   /* points of a cell that are judged one by one */
#define LEAF_BOX      64u   /* for boxes, which are judged fast */
#define LEAF_QUICK    128u  /* for circles that floats can tell */
#define BATCH         64u   /* points whose distances are taken together */
#define EXACT_MAX     1024u /* points at the rim that an estimate judges */
#define EXACT_QUICK   4096u
#define EXACT_MAX_BOX 32768u
#define COARSE_CELLS  1024u /* of a rough look, about */
#define WIDE_SHARE    16u   /* of the points, that a rough look finds in a wide shape */
#define DEPTH_MAX     32u   /* bits of each coordinate */
#define EARTH_RADIUS  6371009.0
#define SLACK_DEGREES 1e-9 /* what rounding of coordinates may come to, with room to spare */
#define SLACK_METERS  2.0  /* and of distances: worst for points opposite on the globe */

struct aside {
    double lon, lat;
    uint32_t slot;
};

struct geo {
    struct vex_runs runs;
    struct aside *aside;
    uint32_t aside_count, aside_room;
};

static void *make(const struct vex_index_params *params, struct vex_err *err)
{
    struct geo *geo = VEX_NEW(struct geo);

    (void)params, (void)err;
    vex_runs_init(&geo->runs, 2 * sizeof(double));
    return geo;
}

static void free_geo(void *values)
{
    struct geo *geo = values;

    vex_runs_done(&geo->runs);
    vex_mem_free(geo->aside);
    vex_mem_free(geo);
}

/* ---- changing ---- */

static bool coordinate(struct vex_value map, struct vex_str key, double *ret)
{
    struct vex_value v = vex_value_get(map, key);

    if (v.at == NULL || !vex_value_is_number(v))
        return false;
    *ret = vex_value_double(v);
    return isfinite(*ret);
}

static bool point_of(struct vex_value v, struct vex_geo *ret)
{
    return coordinate(v, VEX_STR("lon"), &ret->lon) && coordinate(v, VEX_STR("lat"), &ret->lat);
}

static bool on_globe(struct vex_geo p)
{
    return fabs(p.lon) <= 180 && fabs(p.lat) <= 90;
}

static struct vex_run_key key_of(struct vex_geo p)
{
    struct vex_run_key key;

    memcpy(&key.a, &p.lon, sizeof key.a);
    memcpy(&key.b, &p.lat, sizeof key.b);
    return key;
}

static void add_aside(struct geo *geo, struct vex_geo p, uint32_t slot)
{
    if (geo->aside_count == geo->aside_room) {
        if (geo->aside_room > UINT32_MAX / 2)
            abort(); /* memory is out long before */
        geo->aside_room = geo->aside_room + geo->aside_room / 2 + 4;
        geo->aside = vex_mem_realloc(geo->aside, geo->aside_room * sizeof *geo->aside);
    }
    geo->aside[geo->aside_count++] = (struct aside){p.lon, p.lat, slot};
}

static bool add(void *values, uint32_t slot, struct vex_value v)
{
    struct geo *geo = values;
    struct vex_geo p;

    if (!point_of(v, &p))
        return false;
    if (on_globe(p))
        vex_runs_add(&geo->runs, key_of(p), slot);
    else
        add_aside(geo, p, slot);
    return true;
}

static void remove_value(void *values, uint32_t slot, struct vex_value v)
{
    struct geo *geo = values;
    struct vex_geo p;

    if (!point_of(v, &p))
        return;
    if (on_globe(p)) {
        vex_runs_remove(&geo->runs, key_of(p), slot);
        return;
    }
    for (uint32_t i = geo->aside_count; i-- > 0;)
        if (geo->aside[i].slot == slot) {
            geo->aside[i] = geo->aside[--geo->aside_count];
            return;
        }
}

static void forget(void *values, const uint64_t *bits, uint32_t slots)
{
    struct geo *geo = values;
    uint32_t kept = 0;

    vex_runs_forget(&geo->runs, bits, slots);
    for (uint32_t i = 0; i < geo->aside_count; i++) {
        uint32_t slot = geo->aside[i].slot;
        if (slot >= slots || (bits[slot / 64] >> slot % 64 & 1) == 0)
            geo->aside[kept++] = geo->aside[i];
    }
    geo->aside_count = kept;
}

static bool prepare(void *values)
{
    return vex_runs_prepare(&((struct geo *)values)->runs);
}

static void publish(void *values)
{
    vex_runs_publish(&((struct geo *)values)->runs);
}

static uint64_t bytes(const void *values)
{
    const struct geo *geo = values;

    return sizeof *geo + vex_runs_bytes(&geo->runs) + geo->aside_room * sizeof *geo->aside;
}

/* ---- shapes and cells ---- */

/* Degrees, a little more than what the cell holds. */
struct cell {
    double west, east, south, north;
};

enum side { INSIDE, OUTSIDE, RIM };

static enum side side_of_box(const struct vex_cond *cond, const struct cell *cell)
{
    double west = cond->geo_box.top_left.lon, east = cond->geo_box.bottom_right.lon;
    double north = cond->geo_box.top_left.lat, south = cond->geo_box.bottom_right.lat;
    bool in, out;

    if (west > east) {
        in = cell->west > west || cell->east < east;
        out = cell->east <= west && cell->west >= east;
    } else {
        in = cell->west > west && cell->east < east;
        out = cell->east <= west || cell->west >= east;
    }
    if (out || cell->south >= north || cell->north <= south)
        return OUTSIDE;
    return in && cell->north < north && cell->south > south ? INSIDE : RIM;
}

static struct vex_geo middle(const struct cell *cell)
{
    return (struct vex_geo){(cell->west + cell->east) / 2, (cell->south + cell->north) / 2};
}

/* The distance of the cell's middle, against the radius less and more what a point of the cell is from its middle at most: along
 * the parallel nearest to the equator and then along a meridian. */
static enum side side_of_circle(const struct vex_cond *cond, const struct cell *cell)
{
    double radian = M_PI / 180, nearest = fmin(fabs(cell->south), fabs(cell->north)), reach, distance;

    if (cell->south < 0 && cell->north > 0)
        nearest = 0;
    reach = EARTH_RADIUS * radian *
            ((cell->north - cell->south) / 2 + (cell->east - cell->west) / 2 * cos(nearest * radian));
    distance = vex_geo_distance(middle(cell), cond->geo_radius.center);
    if (distance < cond->geo_radius.meters - reach - SLACK_METERS)
        return INSIDE;
    return distance < cond->geo_radius.meters + reach + SLACK_METERS ? RIM : OUTSIDE;
}

/* An edge from a to b may touch the cell. */
static bool touches(struct vex_geo a, struct vex_geo b, const struct cell *cell)
{
    double slack = (fabs(b.lon - a.lon) + fabs(b.lat - a.lat)) * SLACK_DEGREES + 1e-12;
    int above = 0, below = 0;

    if (fmax(a.lon, b.lon) < cell->west || fmin(a.lon, b.lon) > cell->east ||
        fmax(a.lat, b.lat) < cell->south || fmin(a.lat, b.lat) > cell->north)
        return false;
    for (int i = 0; i < 4; i++) {
        double lon = i & 1 ? cell->east : cell->west, lat = i & 2 ? cell->north : cell->south;
        double cross = (b.lon - a.lon) * (lat - a.lat) - (b.lat - a.lat) * (lon - a.lon);
        above += cross > slack;
        below += cross < -slack;
    }
    return above < 4 && below < 4;
}

static bool ring_touches(const struct vex_geo_ring *ring, const struct cell *cell)
{
    for (uint32_t i = 0, j = ring->count - 1; i < ring->count; j = i++)
        if (touches(ring->points[j], ring->points[i], cell))
            return true;
    return false;
}

/* Where no edge touches the cell, all of it lies on one side. */
static enum side side_of_polygon(const struct vex_cond *cond, const struct cell *cell)
{
    if (ring_touches(&cond->geo_polygon.exterior, cell))
        return RIM;
    for (uint32_t i = 0; i < cond->geo_polygon.interior_count; i++)
        if (ring_touches(&cond->geo_polygon.interiors[i], cell))
            return RIM;
    return vex_match_geo_point(cond, middle(cell)) ? INSIDE : OUTSIDE;
}

static enum side side_of(const struct vex_cond *cond, const struct cell *cell)
{
    switch (cond->kind) {
    case VEX_COND_GEO_BOX:
        return side_of_box(cond, cell);
    case VEX_COND_GEO_RADIUS:
        return side_of_circle(cond, cell);
    default:
        return side_of_polygon(cond, cell);
    }
}

static bool sane(struct vex_geo p)
{
    return fabs(p.lon) <= 1080 && fabs(p.lat) <= 90;
}

static bool sane_ring(const struct vex_geo_ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++)
        if (!sane(ring->points[i]))
            return false;
    return true;
}

/* Cells can be judged; else (shapes off the globe, NaN) every point is. */
static bool judges_cells(const struct vex_cond *cond)
{
    if (cond->kind == VEX_COND_GEO_RADIUS)
        return sane(cond->geo_radius.center);
    if (cond->kind == VEX_COND_GEO_BOX)
        return true; /* comparisons only; with a NaN no cell is inside, and nothing matches */
    for (uint32_t i = 0; i < cond->geo_polygon.interior_count; i++)
        if (!sane_ring(&cond->geo_polygon.interiors[i]))
            return false;
    return sane_ring(&cond->geo_polygon.exterior);
}

/* A circle as its sine, for points that floats can tell. */
struct quick {
    float cos_lat, haversine; /* of the centre; of the radius */
    bool some;
};

/* What rounding to floats and `sine` make of a haversine may be off by a quarter of this. */
#define QUICK_SLACK 4e-6f

static struct quick quick_of(const struct vex_cond *cond)
{
    struct vex_geo center = cond->geo_radius.center;
    double half = cond->geo_radius.meters / (2 * EARTH_RADIUS);

    if (cond->kind != VEX_COND_GEO_RADIUS || !on_globe(center) || !(half > 0 && half < M_PI / 2))
        return (struct quick){0};
    return (struct quick){(float)cos(center.lat * M_PI / 180), (float)(sin(half) * sin(half)), true};
}

/* Of an angle from 0 to pi/2: Taylor's series up to the 11th power, 6e-8 off at most; without a call, so that loops of it become
 * vectors. */
static inline float sine(float x)
{
    float s = x * x;

    return x + x * s *
                   (-1.0f / 6 +
                    s * (1.0f / 120 + s * (-1.0f / 5040 + s * (1.0f / 362880 + s * (-1.0f / 39916800)))));
}

/* Haversines of the distances from a circle's centre. points: longitude and latitude in turns. */
static void haversines(const struct vex_cond *cond, const struct quick *quick, const double *points,
                       uint32_t count, float *ret)
{
    const float pi = (float)M_PI, quarter = (float)(M_PI / 2);
    double center_lon = cond->geo_radius.center.lon, center_lat = cond->geo_radius.center.lat;
    float cos_center = quick->cos_lat;

    for (uint32_t i = 0; i < count; i++) {
        double lon = points[2 * (size_t)i], lat = points[2 * (size_t)i + 1];
        float x = fabsf((float)((lon - center_lon) * (M_PI / 360)));
        float sin_lat = sine(fabsf((float)((lat - center_lat) * (M_PI / 360))));
        float cos_lat = sine(quarter - fabsf((float)(lat * (M_PI / 180))));
        float sin_lon = sine(x > quarter ? pi - x : x);
        ret[i] = sin_lat * sin_lat + cos_center * cos_lat * sin_lon * sin_lon;
    }
}

/* ---- search ---- */

struct search {
    const struct vex_cond *cond;
    struct quick quick;
    const struct vex_run *run;
    /* What lies inside: all of it matches; and at the rim. Stop when non-zero. */
    int (*inside)(struct search *search, uint32_t lo, uint32_t hi);
    int (*rim)(struct search *search, uint32_t lo, uint32_t hi);
    bool cells;
    uint32_t leaf;
    uint64_t *bits;
    uint32_t slots;
    uint64_t sure, maybe; /* counts */
    int (*fn)(void *arg, uint32_t slot);
    void *arg;
};

/* A stretch that is the cell of this depth whose least corner (in 2^-32 of the globe) is given. */
static int search_cell(struct search *search, uint32_t lo, uint32_t hi, uint32_t x, uint32_t y,
                       uint32_t depth)
{
    double size = ldexp(1, -(int)depth), west = ldexp(x, -32), south = ldexp(y, -32);
    struct cell cell = {(west - 0.5) * 360 - SLACK_DEGREES, (west + size - 0.5) * 360 + SLACK_DEGREES,
                        (south - 0.5) * 180 - SLACK_DEGREES, (south + size - 0.5) * 180 + SLACK_DEGREES};
    enum side side = search->cells && hi - lo > search->leaf ? side_of(search->cond, &cell) : RIM;
    int stop = 0;

    if (side == OUTSIDE)
        return 0;
    if (side == INSIDE)
        return search->inside(search, lo, hi);
    if (!search->cells || hi - lo <= search->leaf || depth == DEPTH_MAX)
        return search->rim(search, lo, hi);
    while (lo < hi && stop == 0) {
        unsigned shift = 62 - 2 * depth;
        uint64_t first = vex_run_key(search->run, lo) >> shift;
        uint32_t bit = UINT32_C(1) << (31 - depth), end = hi;
        if ((first & 3) < 3)
            end = vex_run_seek_between(search->run, lo + 1, hi, (first + 1) << shift);
        stop = search_cell(search, lo, end, first & 2 ? x | bit : x, first & 1 ? y | bit : y, depth + 1);
        lo = end;
    }
    return stop;
}

static int search_runs(const struct geo *geo, struct search *search)
{
    int stop = 0;

    search->quick = quick_of(search->cond);
    search->cells = judges_cells(search->cond);
    if (search->leaf == 0)
        search->leaf = search->cond->kind == VEX_COND_GEO_BOX ? LEAF_BOX
                       : search->quick.some                   ? LEAF_QUICK
                                                              : LEAF;
    for (int i = 0; i < VEX_RUNS_LEVELS && stop == 0; i++) {
        search->run = &geo->runs.level[i];
        if (search->run->count > 0)
            stop = search_cell(search, 0, search->run->count, 0, 0, 0);
    }
    return stop;
}

static struct vex_geo point_at(const struct vex_run *run, uint32_t at)
{
    struct vex_geo p;

    memcpy(&p.lon, (const char *)run->keys + 16 * (size_t)at, sizeof p.lon);
    memcpy(&p.lat, (const char *)run->keys + 16 * (size_t)at + 8, sizeof p.lat);
    return p;
}

static int count_inside(struct search *search, uint32_t lo, uint32_t hi)
{
    search->sure += vex_run_live(search->run, lo, hi);
    return 0;
}

static int count_rim(struct search *search, uint32_t lo, uint32_t hi)
{
    search->maybe += vex_run_live(search->run, lo, hi);
    return 0;
}

/* Calls fn with the positions of [lo, hi), not stale, whose points the condition holds for, exactly. */
static int each_held(struct search *search, uint32_t lo, uint32_t hi, int (*fn)(struct search *, uint32_t at))
{
    const struct quick *quick = &search->quick;
    float apart[BATCH];
    int stop = 0;

    for (uint32_t i = lo; i < hi && stop == 0; i++) {
        uint32_t of = (i - lo) % BATCH;
        bool in;
        if (quick->some && of == 0)
            haversines(search->cond, quick, (const double *)search->run->keys + 2 * (size_t)i,
                       hi - i < BATCH ? hi - i : BATCH, apart);
        if (vex_run_stale(search->run, i))
            continue;
        if (quick->some && fabsf(apart[of] - quick->haversine) > QUICK_SLACK)
            in = apart[of] < quick->haversine;
        else
            in = vex_match_geo_point(search->cond, point_at(search->run, i));
        if (in)
            stop = fn(search, i);
    }
    return stop;
}

static int count_held(struct search *search, uint32_t at)
{
    (void)at;
    search->sure++;
    return 0;
}

static int judge_rim(struct search *search, uint32_t lo, uint32_t hi)
{
    return each_held(search, lo, hi, count_held);
}

static bool is_geo(enum vex_cond_kind kind)
{
    return kind == VEX_COND_GEO_BOX || kind == VEX_COND_GEO_RADIUS || kind == VEX_COND_GEO_POLYGON;
}

static struct vex_index_estimate estimate(const struct vex_index *index, const struct vex_cond *cond)
{
    const struct geo *geo = index->values;
    struct search count = {.cond = cond, .inside = count_inside, .rim = count_rim};
    struct search judge = {.cond = cond, .inside = count_inside, .rim = judge_rim};
    uint64_t all = vex_runs_count(&geo->runs) + geo->aside_count;

    if (!is_geo(cond->kind))
        return (struct vex_index_estimate){0};
    count.leaf = (uint32_t)(all / COARSE_CELLS);
    if (count.leaf > LEAF_BOX) { /* a rough look is enough for wide shapes: their rims are long */
        search_runs(geo, &count);
        if (count.sure + count.maybe > all / WIDE_SHARE)
            return vex_estimate_pairs(index, count.sure, count.sure + count.maybe + geo->aside_count, all);
    }
    count.sure = count.maybe = count.leaf = 0;
    search_runs(geo, &count);
    count.maybe += geo->aside_count;
    if (count.maybe > (cond->kind == VEX_COND_GEO_BOX ? EXACT_MAX_BOX
                       : count.quick.some             ? EXACT_QUICK
                                                      : EXACT_MAX))
        return vex_estimate_pairs(index, count.sure, count.sure + count.maybe, all);
    search_runs(geo, &judge);
    for (uint32_t i = 0; i < geo->aside_count; i++)
        judge.sure += vex_match_geo_point(cond, (struct vex_geo){geo->aside[i].lon, geo->aside[i].lat});
    return vex_estimate_pairs(index, judge.sure, judge.sure, all);
}

static void set_bit(struct search *search, uint32_t slot)
{
    if (slot < search->slots)
        search->bits[slot / 64] |= UINT64_C(1) << slot % 64;
}

static int set_inside(struct search *search, uint32_t lo, uint32_t hi)
{
    vex_run_set(search->run, lo, hi, search->bits, search->slots);
    return 0;
}

static int set_held(struct search *search, uint32_t at)
{
    set_bit(search, search->run->slots[at]);
    return 0;
}

static int set_rim(struct search *search, uint32_t lo, uint32_t hi)
{
    return each_held(search, lo, hi, set_held);
}

static void match(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                  uint64_t *unsure, uint32_t slots)
{
    const struct geo *geo = index->values;
    struct search search = {.cond = cond, .inside = set_inside, .rim = set_rim, .bits = sure, .slots = slots};

    (void)unsure;
    if (!is_geo(cond->kind))
        return;
    search_runs(geo, &search);
    for (uint32_t i = 0; i < geo->aside_count; i++)
        if (vex_match_geo_point(cond, (struct vex_geo){geo->aside[i].lon, geo->aside[i].lat}))
            set_bit(&search, geo->aside[i].slot);
}

static int visit_inside(struct search *search, uint32_t lo, uint32_t hi)
{
    return vex_run_each(search->run, lo, hi, search->fn, search->arg);
}

static int visit_held(struct search *search, uint32_t at)
{
    return search->fn(search->arg, search->run->slots[at]);
}

static int visit_rim(struct search *search, uint32_t lo, uint32_t hi)
{
    return each_held(search, lo, hi, visit_held);
}

static int each(const struct vex_index *index, const struct vex_cond *cond,
                int (*fn)(void *arg, uint32_t slot), void *arg)
{
    const struct geo *geo = index->values;
    struct search search = {.cond = cond, .inside = visit_inside, .rim = visit_rim, .fn = fn, .arg = arg};
    int stop = search_runs(geo, &search);

    for (uint32_t i = 0; i < geo->aside_count && stop == 0; i++)
        if (vex_match_geo_point(cond, (struct vex_geo){geo->aside[i].lon, geo->aside[i].lat}))
            stop = fn(arg, geo->aside[i].slot);
    return stop;
}

/* ---- files ---- */

static void save(const void *values, struct vex_buf *out)
{
    const struct geo *geo = values;

    vex_runs_save(&geo->runs, out);
    vex_buf_add_u32(out, geo->aside_count);
    for (uint32_t i = 0; i < geo->aside_count; i++) {
        vex_buf_add(out, &geo->aside[i].lon, sizeof(double));
        vex_buf_add(out, &geo->aside[i].lat, sizeof(double));
        vex_buf_add_u32(out, geo->aside[i].slot);
    }
}

static int load(void *values, struct vex_cursor *c, struct vex_err *err)
{
    struct geo *geo = values;
    int rc = vex_runs_load(&geo->runs, c, err);
    uint32_t count;

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < geo->runs.level[0].count; i++)
        if (!on_globe(point_at(&geo->runs.level[0], i)))
            return vex_err_set(err, VEX_ECORRUPT, "payload index: a geo point is off the globe");
    count = vex_cursor_u32(c);
    for (uint32_t i = 0; i < count && !c->bad; i++) {
        uint64_t lon = vex_cursor_u64(c), lat = vex_cursor_u64(c);
        uint32_t slot = vex_cursor_u32(c);
        struct vex_geo p;
        memcpy(&p.lon, &lon, sizeof lon);
        memcpy(&p.lat, &lat, sizeof lat);
        if (c->bad || slot == UINT32_MAX || !isfinite(p.lon) || !isfinite(p.lat))
            return vex_err_set(err, VEX_ECORRUPT, "payload index: bad geo point");
        add_aside(geo, p, slot);
    }
    return c->bad ? vex_err_set(err, VEX_ECORRUPT, "payload index: geo points are cut short") : 0;
}

const struct vex_values_ops vex_values_geo = {
    .make = make,
    .free = free_geo,
    .add = add,
    .remove = remove_value,
    .forget = forget,
    .prepare = prepare,
    .publish = publish,
    .bytes = bytes,
    .estimate = estimate,
    .match = match,
    .each = each,
    .save = save,
    .load = load,
};
