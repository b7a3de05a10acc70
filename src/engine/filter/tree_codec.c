/* Filter tree: bytes in records.
 *
 * Lock    None.
 * Format  Filter: u8 flags (1: there is one, 2: has min_should), then the lists must, should, must_not, and
 * with flag 2 min_should and u64 min_count. List: u32 count, conditions. Condition: u8 kind, u8 arrays, the
 * path unless the kind has none, then what the kind needs. Bounds: u8 mask (1 lt, 2 lte, 4 gt, 8 gte), then
 * u64 for each one set. Numbers are little-endian, floats by their bits. The kinds' numbers are on disk: new
 * ones go to the end of the enum. */
#include "base/text.h"
#include "engine/filter/tree.h"

#define FILTER_PRESENT    1
#define FILTER_MIN_SHOULD 2

/* Fewest bytes of one encoded item: a count that the rest of the input can't hold is refused before anything
 * is allocated. */
#define COND_MIN 6
#define TEXT_MIN 4
#define WORD_MIN 8
#define GEO_MIN  16
#define RING_MIN 4
#define ID_MIN   5

struct decoder {
    struct vex_arena *arena;
    struct vex_cursor *in;
};

static bool has_path(enum vex_cond_kind kind)
{
    return kind != VEX_COND_FILTER && kind != VEX_COND_HAS_ID && kind != VEX_COND_HAS_VECTOR &&
           kind != VEX_COND_SLICE;
}

static void put_double(struct vex_buf *out, double d)
{
    uint64_t bits;

    memcpy(&bits, &d, sizeof bits);
    vex_buf_add_u64(out, bits);
}

static void put_geo(struct vex_buf *out, struct vex_geo geo)
{
    put_double(out, geo.lon);
    put_double(out, geo.lat);
}

static void put_ring(struct vex_buf *out, const struct vex_geo_ring *ring)
{
    vex_buf_add_u32(out, ring->count);
    for (uint32_t i = 0; i < ring->count; i++)
        put_geo(out, ring->points[i]);
}

static void put_values(struct vex_buf *out, const struct vex_cond_values *values)
{
    vex_buf_add_u8(out, (uint8_t)((values->has_true ? 1 : 0) | (values->has_false ? 2 : 0)));
    vex_buf_add_u32(out, values->text_count);
    for (uint32_t i = 0; i < values->text_count; i++)
        vex_buf_add_str32(out, values->texts[i]);
    vex_buf_add_u32(out, values->int_count);
    for (uint32_t i = 0; i < values->int_count; i++)
        vex_buf_add_u64(out, (uint64_t)values->ints[i]);
    vex_buf_add_u32(out, values->double_count);
    for (uint32_t i = 0; i < values->double_count; i++)
        put_double(out, values->doubles[i]);
}

static void put_bounds(struct vex_buf *out, const bool has[4], const uint64_t bits[4])
{
    vex_buf_add_u8(out, (uint8_t)(has[0] | has[1] << 1 | has[2] << 2 | has[3] << 3));
    for (unsigned i = 0; i < 4; i++)
        if (has[i])
            vex_buf_add_u64(out, bits[i]);
}

static void put_range(struct vex_buf *out, const struct vex_cond_range *r)
{
    const bool has[4] = {r->has_lt, r->has_lte, r->has_gt, r->has_gte};
    const double bounds[4] = {r->lt, r->lte, r->gt, r->gte};
    uint64_t bits[4];

    memcpy(bits, bounds, sizeof bits);
    put_bounds(out, has, bits);
}

static void put_times(struct vex_buf *out, const struct vex_cond_times *t)
{
    const bool has[4] = {t->has_lt, t->has_lte, t->has_gt, t->has_gte};
    const uint64_t bits[4] = {(uint64_t)t->lt, (uint64_t)t->lte, (uint64_t)t->gt, (uint64_t)t->gte};

    put_bounds(out, has, bits);
}

static void put_shape(struct vex_buf *out, const struct vex_cond *cond)
{
    if (cond->kind == VEX_COND_GEO_BOX) {
        put_geo(out, cond->geo_box.top_left);
        put_geo(out, cond->geo_box.bottom_right);
        return;
    }
    if (cond->kind == VEX_COND_GEO_RADIUS) {
        put_geo(out, cond->geo_radius.center);
        put_double(out, cond->geo_radius.meters);
        return;
    }
    put_ring(out, &cond->geo_polygon.exterior);
    vex_buf_add_u32(out, cond->geo_polygon.interior_count);
    for (uint32_t i = 0; i < cond->geo_polygon.interior_count; i++)
        put_ring(out, &cond->geo_polygon.interiors[i]);
}

static void put_cond(struct vex_buf *out, const struct vex_cond *cond)
{
    vex_buf_add_u8(out, (uint8_t)cond->kind);
    vex_buf_add_u8(out, (uint8_t)cond->arrays);
    if (has_path(cond->kind))
        vex_path_encode(out, &cond->path);
    switch (cond->kind) {
    case VEX_COND_FILTER:
    case VEX_COND_NESTED:
        vex_filter_encode(out, cond->sub);
        break;
    case VEX_COND_ANY:
    case VEX_COND_EXCEPT:
    case VEX_COND_NUMBERS:
        put_values(out, &cond->values);
        break;
    case VEX_COND_RANGE:
    case VEX_COND_VALUES_COUNT:
        put_range(out, &cond->range);
        break;
    case VEX_COND_TIME:
        put_times(out, &cond->times);
        break;
    case VEX_COND_GEO_BOX:
    case VEX_COND_GEO_RADIUS:
    case VEX_COND_GEO_POLYGON:
        put_shape(out, cond);
        break;
    case VEX_COND_HAS_ID:
        vex_buf_add_u32(out, cond->ids.count);
        for (uint32_t i = 0; i < cond->ids.count; i++)
            vex_id_encode(out, &cond->ids.ids[i]);
        break;
    case VEX_COND_SLICE:
        vex_buf_add_u64(out, cond->slice.total);
        vex_buf_add_u64(out, cond->slice.index);
        break;
    case VEX_COND_IS_EMPTY:
    case VEX_COND_IS_NULL:
        break;
    default: /* all kinds of text */
        vex_buf_add_str32(out, cond->text);
        break;
    }
}

static void put_list(struct vex_buf *out, const struct vex_cond_list *list)
{
    vex_buf_add_u32(out, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        put_cond(out, &list->conds[i]);
}

void vex_filter_encode(struct vex_buf *out, const struct vex_filter *filter)
{
    if (filter == NULL) {
        vex_buf_add_u8(out, 0);
        return;
    }
    vex_buf_add_u8(out, (uint8_t)(FILTER_PRESENT | (filter->has_min_should ? FILTER_MIN_SHOULD : 0)));
    put_list(out, &filter->must);
    put_list(out, &filter->should);
    put_list(out, &filter->must_not);
    if (filter->has_min_should) {
        put_list(out, &filter->min_should);
        vex_buf_add_u64(out, filter->min_count);
    }
}

static int get_filter(struct decoder *d, struct vex_filter **ret, unsigned depth);

/* A count and zeroed room for that many items, each of which takes at least `least` bytes of what is left. */
static int get_room(struct decoder *d, size_t least, size_t size, void *ret_items, uint32_t *ret_count)
{
    uint32_t count = vex_cursor_u32(d->in);
    void *items = NULL;

    if (d->in->bad || count > vex_cursor_left(d->in) / least)
        return VEX_ECORRUPT;
    if (count > 0) {
        items = vex_arena_try(d->arena, count * size);
        if (items == NULL)
            return VEX_ENO_MEMORY;
        memset(items, 0, count * size);
    }
    memcpy(ret_items, &items, sizeof items);
    *ret_count = count;
    return 0;
}

static int get_text(struct decoder *d, struct vex_str *ret)
{
    struct vex_str text = vex_cursor_str32(d->in);
    char *copy;

    if (d->in->bad || !vex_utf8_valid(text))
        return VEX_ECORRUPT;
    copy = vex_arena_try(d->arena, text.len + 1);
    if (copy == NULL)
        return VEX_ENO_MEMORY;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *ret = vex_str(copy, text.len);
    return 0;
}

static double get_double(struct decoder *d)
{
    uint64_t bits = vex_cursor_u64(d->in);
    double ret;

    memcpy(&ret, &bits, sizeof ret);
    return ret;
}

static struct vex_geo get_geo(struct decoder *d)
{
    struct vex_geo geo;

    geo.lon = get_double(d);
    geo.lat = get_double(d);
    return geo;
}

static int get_ring(struct decoder *d, struct vex_geo_ring *ret)
{
    int rc = get_room(d, GEO_MIN, sizeof *ret->points, &ret->points, &ret->count);

    for (uint32_t i = 0; rc == 0 && i < ret->count; i++)
        ret->points[i] = get_geo(d);
    return rc;
}

static int get_polygon(struct decoder *d, struct vex_cond *ret)
{
    int rc = get_ring(d, &ret->geo_polygon.exterior);

    if (rc == 0)
        rc = get_room(d, RING_MIN, sizeof *ret->geo_polygon.interiors, &ret->geo_polygon.interiors,
                      &ret->geo_polygon.interior_count);
    for (uint32_t i = 0; rc == 0 && i < ret->geo_polygon.interior_count; i++)
        rc = get_ring(d, &ret->geo_polygon.interiors[i]);
    return rc;
}

static int get_values(struct decoder *d, struct vex_cond_values *ret)
{
    uint8_t bools = vex_cursor_u8(d->in);
    int rc;

    if (bools > 3)
        return VEX_ECORRUPT;
    ret->has_true = (bools & 1) != 0;
    ret->has_false = (bools & 2) != 0;
    rc = get_room(d, TEXT_MIN, sizeof *ret->texts, &ret->texts, &ret->text_count);
    for (uint32_t i = 0; rc == 0 && i < ret->text_count; i++)
        rc = get_text(d, &ret->texts[i]);
    if (rc == 0)
        rc = get_room(d, WORD_MIN, sizeof *ret->ints, &ret->ints, &ret->int_count);
    for (uint32_t i = 0; rc == 0 && i < ret->int_count; i++)
        ret->ints[i] = (int64_t)vex_cursor_u64(d->in);
    if (rc == 0)
        rc = get_room(d, WORD_MIN, sizeof *ret->doubles, &ret->doubles, &ret->double_count);
    for (uint32_t i = 0; rc == 0 && i < ret->double_count; i++)
        ret->doubles[i] = get_double(d);
    return rc;
}

static int get_bounds(struct decoder *d, bool has[4], uint64_t bits[4])
{
    uint8_t mask = vex_cursor_u8(d->in);

    if (mask > 15)
        return VEX_ECORRUPT;
    for (unsigned i = 0; i < 4; i++) {
        has[i] = (mask >> i & 1) != 0;
        bits[i] = has[i] ? vex_cursor_u64(d->in) : 0;
    }
    return 0;
}

static int get_range(struct decoder *d, struct vex_cond_range *ret)
{
    bool has[4];
    uint64_t bits[4];
    double v[4];
    int rc = get_bounds(d, has, bits);

    if (rc != 0)
        return rc;
    memcpy(v, bits, sizeof v);
    *ret = (struct vex_cond_range){has[0], has[1], has[2], has[3], v[0], v[1], v[2], v[3]};
    return 0;
}

static int get_times(struct decoder *d, struct vex_cond_times *ret)
{
    bool has[4];
    uint64_t bits[4];
    int rc = get_bounds(d, has, bits);

    if (rc == 0)
        *ret =
            (struct vex_cond_times){has[0],           has[1],           has[2],           has[3],
                                    (int64_t)bits[0], (int64_t)bits[1], (int64_t)bits[2], (int64_t)bits[3]};
    return rc;
}

static int get_ids(struct decoder *d, struct vex_cond *ret)
{
    int rc = get_room(d, ID_MIN, sizeof *ret->ids.ids, &ret->ids.ids, &ret->ids.count);

    for (uint32_t i = 0; rc == 0 && i < ret->ids.count; i++) {
        struct vex_id id;
        char *copy;
        if (!vex_id_decode(d->in, &id))
            return VEX_ECORRUPT;
        if (id.kind == VEX_ID_TEXT && id.text.len > 0) {
            copy = vex_arena_try(d->arena, id.text.len);
            if (copy == NULL)
                return VEX_ENO_MEMORY;
            id.text.ptr = memcpy(copy, id.text.ptr, id.text.len);
        }
        ret->ids.ids[i] = id;
    }
    return rc;
}

static int get_shape(struct decoder *d, struct vex_cond *ret)
{
    if (ret->kind == VEX_COND_GEO_POLYGON)
        return get_polygon(d, ret);
    if (ret->kind == VEX_COND_GEO_BOX) {
        ret->geo_box.top_left = get_geo(d);
        ret->geo_box.bottom_right = get_geo(d);
    } else {
        ret->geo_radius.center = get_geo(d);
        ret->geo_radius.meters = get_double(d);
    }
    return 0;
}

static int get_body(struct decoder *d, struct vex_cond *ret, unsigned depth)
{
    int rc;

    switch (ret->kind) {
    case VEX_COND_FILTER:
    case VEX_COND_NESTED:
        rc = get_filter(d, &ret->sub, depth + 1);
        return rc != 0 ? rc : ret->sub == NULL ? VEX_ECORRUPT : 0;
    case VEX_COND_ANY:
    case VEX_COND_EXCEPT:
    case VEX_COND_NUMBERS:
        return get_values(d, &ret->values);
    case VEX_COND_RANGE:
    case VEX_COND_VALUES_COUNT:
        return get_range(d, &ret->range);
    case VEX_COND_TIME:
        return get_times(d, &ret->times);
    case VEX_COND_GEO_BOX:
    case VEX_COND_GEO_RADIUS:
    case VEX_COND_GEO_POLYGON:
        return get_shape(d, ret);
    case VEX_COND_HAS_ID:
        return get_ids(d, ret);
    case VEX_COND_SLICE:
        ret->slice.total = vex_cursor_u64(d->in);
        ret->slice.index = vex_cursor_u64(d->in);
        return 0;
    case VEX_COND_IS_EMPTY:
    case VEX_COND_IS_NULL:
        return 0;
    default:
        return get_text(d, &ret->text);
    }
}

static int get_cond(struct decoder *d, struct vex_cond *ret, unsigned depth)
{
    uint8_t kind = vex_cursor_u8(d->in), arrays = vex_cursor_u8(d->in);
    int rc;

    if (kind >= VEX_COND_KINDS || arrays > VEX_ARRAYS_ONLY)
        return VEX_ECORRUPT;
    ret->kind = kind;
    ret->arrays = arrays;
    if (has_path(ret->kind) && !vex_path_decode(d->arena, d->in, &ret->path))
        return VEX_ECORRUPT;
    rc = get_body(d, ret, depth);
    return rc == 0 && d->in->bad ? VEX_ECORRUPT : rc;
}

static int get_list(struct decoder *d, struct vex_cond_list *ret, unsigned depth)
{
    int rc = get_room(d, COND_MIN, sizeof *ret->conds, &ret->conds, &ret->count);

    for (uint32_t i = 0; rc == 0 && i < ret->count; i++)
        rc = get_cond(d, &ret->conds[i], depth);
    return rc;
}

static int get_filter(struct decoder *d, struct vex_filter **ret, unsigned depth)
{
    struct vex_filter *filter;
    uint8_t flags = vex_cursor_u8(d->in);
    int rc;

    *ret = NULL;
    if (d->in->bad || flags > (FILTER_PRESENT | FILTER_MIN_SHOULD) || flags == FILTER_MIN_SHOULD ||
        depth >= VEX_FILTER_DEPTH_MAX)
        return VEX_ECORRUPT;
    if (flags == 0)
        return 0;
    filter = vex_arena_try(d->arena, sizeof *filter);
    if (filter == NULL)
        return VEX_ENO_MEMORY;
    memset(filter, 0, sizeof *filter);
    rc = get_list(d, &filter->must, depth);
    if (rc == 0)
        rc = get_list(d, &filter->should, depth);
    if (rc == 0)
        rc = get_list(d, &filter->must_not, depth);
    if (rc == 0 && (flags & FILTER_MIN_SHOULD) != 0) {
        filter->has_min_should = true;
        rc = get_list(d, &filter->min_should, depth);
        filter->min_count = vex_cursor_u64(d->in);
    }
    if (rc == 0 && d->in->bad)
        rc = VEX_ECORRUPT;
    if (rc == 0)
        *ret = filter;
    return rc;
}

int vex_filter_decode(struct vex_arena *arena, struct vex_cursor *c, struct vex_filter **ret,
                      struct vex_err *err)
{
    struct decoder d = {arena, c};
    int rc = get_filter(&d, ret, 0);

    if (rc != 0)
        *ret = NULL;
    if (rc == VEX_ENO_MEMORY)
        return vex_err_set(err, rc, "out of memory for a filter");
    if (rc != 0)
        return vex_err_set(err, rc, "malformed filter in a record");
    return 0;
}
