/* Geo conditions: box, radius (haversine on the IUGG mean radius), polygon with holes (even-odd rule).
 *
 * Lock  None. Edges are outside: of a box, of a circle, of a polygon's ring and of its holes alike. */
#include <math.h>

#include "engine/filter/match_parts.h"

#define EARTH_RADIUS 6371008.8 /* metres */
#define RADIANS(deg) ((deg) * (M_PI / 180.0))

/* A coordinate is a finite number; anything else is no geo point. */
static bool coordinate(struct vex_value map, struct vex_str key, double *ret)
{
    struct vex_value v = vex_value_get(map, key);

    if (v.at == NULL || !vex_value_is_number(v))
        return false;
    *ret = vex_value_double(v);
    return isfinite(*ret);
}

static bool in_box(struct vex_geo p, struct vex_geo top_left, struct vex_geo bottom_right)
{
    bool lon;

    if (top_left.lon > bottom_right.lon) /* across the antimeridian */
        lon = p.lon > top_left.lon || p.lon < bottom_right.lon;
    else
        lon = p.lon > top_left.lon && p.lon < bottom_right.lon;
    return lon && p.lat < top_left.lat && p.lat > bottom_right.lat;
}

double vex_geo_distance(struct vex_geo a, struct vex_geo b)
{
    double half_lat = sin(RADIANS(b.lat - a.lat) / 2), half_lon = sin(RADIANS(b.lon - a.lon) / 2);
    double h = half_lat * half_lat + cos(RADIANS(a.lat)) * cos(RADIANS(b.lat)) * half_lon * half_lon;

    return 2 * EARTH_RADIUS * asin(sqrt(fmin(h, 1.0)));
}

static bool on_edge(struct vex_geo p, struct vex_geo a, struct vex_geo b)
{
    double cross = p.lon * (a.lat - b.lat) + a.lon * (b.lat - p.lat) + b.lon * (p.lat - a.lat);

    return cross == 0 && (a.lat - p.lat) * (b.lat - p.lat) <= 0 && (a.lon - p.lon) * (b.lon - p.lon) <= 0;
}

/* Even-odd rule; what lies on the ring itself gives `edge`. */
static bool in_ring(struct vex_geo p, const struct vex_geo_ring *ring, bool edge)
{
    const struct vex_geo *points = ring->points;
    uint32_t count = ring->count;
    bool inside = false;

    if (count == 0)
        return false;
    if (points[0].lon == points[count - 1].lon && points[0].lat == points[count - 1].lat)
        count--;
    for (uint32_t i = 0, j = count - 1; i < count; j = i++) {
        struct vex_geo a = points[i], b = points[j];
        if (on_edge(p, a, b))
            return edge;
        if ((a.lon > p.lon) != (b.lon > p.lon) &&
            p.lat < (b.lat - a.lat) * (p.lon - a.lon) / (b.lon - a.lon) + a.lat)
            inside = !inside;
    }
    return inside;
}

static bool in_polygon(struct vex_geo p, const struct vex_cond *cond)
{
    if (!in_ring(p, &cond->geo_polygon.exterior, false))
        return false;
    for (uint32_t i = 0; i < cond->geo_polygon.interior_count; i++)
        if (in_ring(p, &cond->geo_polygon.interiors[i], true))
            return false;
    return true;
}

bool vex_match_geo_point(const struct vex_cond *cond, struct vex_geo p)
{
    switch (cond->kind) {
    case VEX_COND_GEO_BOX:
        return in_box(p, cond->geo_box.top_left, cond->geo_box.bottom_right);
    case VEX_COND_GEO_RADIUS:
        return vex_geo_distance(p, cond->geo_radius.center) < cond->geo_radius.meters;
    case VEX_COND_GEO_POLYGON:
        return in_polygon(p, cond);
    default:
        return false;
    }
}

bool vex_match_geo(const struct vex_cond *cond, struct vex_value v)
{
    struct vex_geo p;

    return coordinate(v, VEX_STR("lat"), &p.lat) && coordinate(v, VEX_STR("lon"), &p.lon) &&
           vex_match_geo_point(cond, p);
}
