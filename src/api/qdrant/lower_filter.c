/* Lowering filters: Qdrant's conditions to the engine's tree. */
#include <math.h>

#include "api/qdrant/qdrant.h"

/* One filter on its way down. */
struct lowering {
    struct vex_call *call;
    size_t conditions; /* met so far */
};

static int lower_filter(struct lowering *l, const Qdrant__Filter *in, unsigned depth,
                        struct vex_filter **ret);

static int lower_values(struct vex_call *call, const Qdrant__RepeatedStrings *texts,
                        const Qdrant__RepeatedIntegers *ints, struct vex_cond_values *ret)
{
    if (texts != NULL) {
        ret->texts = VEX_ARENA_ARRAY(&call->arena, struct vex_str, texts->n_strings + 1);
        ret->text_count = (uint32_t)texts->n_strings;
        for (size_t i = 0; i < texts->n_strings; i++)
            ret->texts[i] = vex_str_c(texts->strings[i]);
    }
    if (ints != NULL) {
        ret->ints = vex_arena_dup(&call->arena, ints->integers, ints->n_integers * sizeof *ret->ints);
        ret->int_count = (uint32_t)ints->n_integers;
    }
    return 0;
}

static int lower_text(struct vex_cond *ret, enum vex_cond_kind kind, const char *text)
{
    ret->kind = kind;
    ret->text = vex_str_c(text);
    return 0;
}

static int lower_match(struct vex_call *call, const Qdrant__Match *in, struct vex_cond *ret)
{
    Qdrant__RepeatedStrings text = QDRANT__REPEATED_STRINGS__INIT;
    Qdrant__RepeatedIntegers number = QDRANT__REPEATED_INTEGERS__INIT;
    char *one_text;
    int64_t one_number;

    ret->kind = VEX_COND_ANY;
    switch (in->match_value_case) {
    case QDRANT__MATCH__MATCH_VALUE_KEYWORD:
        one_text = in->keyword;
        text.n_strings = 1;
        text.strings = &one_text;
        return lower_values(call, &text, NULL, &ret->values);
    case QDRANT__MATCH__MATCH_VALUE_INTEGER:
        one_number = in->integer;
        number.n_integers = 1;
        number.integers = &one_number;
        return lower_values(call, NULL, &number, &ret->values);
    case QDRANT__MATCH__MATCH_VALUE_BOOLEAN:
        ret->values.has_true = in->boolean;
        ret->values.has_false = !in->boolean;
        return 0;
    case QDRANT__MATCH__MATCH_VALUE_KEYWORDS:
        return lower_values(call, in->keywords, NULL, &ret->values);
    case QDRANT__MATCH__MATCH_VALUE_INTEGERS:
        return lower_values(call, NULL, in->integers, &ret->values);
    case QDRANT__MATCH__MATCH_VALUE_EXCEPT_KEYWORDS:
        ret->kind = VEX_COND_EXCEPT;
        return lower_values(call, in->except_keywords, NULL, &ret->values);
    case QDRANT__MATCH__MATCH_VALUE_EXCEPT_INTEGERS:
        ret->kind = VEX_COND_EXCEPT;
        return lower_values(call, NULL, in->except_integers, &ret->values);
    case QDRANT__MATCH__MATCH_VALUE_TEXT:
        return lower_text(ret, VEX_COND_TEXT, in->text);
    case QDRANT__MATCH__MATCH_VALUE_TEXT_ANY:
        return lower_text(ret, VEX_COND_TEXT_ANY, in->text_any);
    case QDRANT__MATCH__MATCH_VALUE_PHRASE:
        return lower_text(ret, VEX_COND_PHRASE, in->phrase);
    case QDRANT__MATCH__MATCH_VALUE_PREFIX:
        return lower_text(ret, VEX_COND_PREFIX, in->prefix);
    case QDRANT__MATCH__MATCH_VALUE_SUBSTRING:
        return lower_text(ret, VEX_COND_SUBSTRING, in->substring);
    default:
        return vex_qdrant_malformed(call, "Malformed Match condition");
    }
}

static int lower_range(const Qdrant__Range *in, struct vex_cond *ret)
{
    ret->kind = VEX_COND_RANGE;
    ret->range = (struct vex_cond_range){.has_lt = in->has_lt,
                                         .has_lte = in->has_lte,
                                         .has_gt = in->has_gt,
                                         .has_gte = in->has_gte,
                                         .lt = in->lt,
                                         .lte = in->lte,
                                         .gt = in->gt,
                                         .gte = in->gte};
    return 0;
}

static int lower_count(const Qdrant__ValuesCount *in, struct vex_cond *ret)
{
    ret->kind = VEX_COND_VALUES_COUNT;
    ret->range = (struct vex_cond_range){.has_lt = in->has_lt,
                                         .has_lte = in->has_lte,
                                         .has_gt = in->has_gt,
                                         .has_gte = in->has_gte,
                                         .lt = (double)in->lt,
                                         .lte = (double)in->lte,
                                         .gt = (double)in->gt,
                                         .gte = (double)in->gte};
    return 0;
}

#define SECONDS_MAX 253402300799ll /* end of the year 9999 */

int vex_lower_time(struct vex_call *call, const Google__Protobuf__Timestamp *in, int64_t *ret)
{
    if (in->seconds > SECONDS_MAX || in->seconds < -SECONDS_MAX || in->nanos < 0 || in->nanos > 999999999)
        return vex_qdrant_malformed(call, "Unable to parse timestamp");
    *ret = in->seconds * 1000000 + in->nanos / 1000;
    return 0;
}

static int lower_bound(struct vex_call *call, const Google__Protobuf__Timestamp *in, bool *ret_has,
                       int64_t *ret)
{
    *ret_has = in != NULL;
    return in != NULL ? vex_lower_time(call, in, ret) : 0;
}

static int lower_times(struct vex_call *call, const Qdrant__DatetimeRange *in, struct vex_cond *ret)
{
    struct vex_cond_times *t = &ret->times;
    int code;

    ret->kind = VEX_COND_TIME;
    if ((code = lower_bound(call, in->lt, &t->has_lt, &t->lt)) < 0 ||
        (code = lower_bound(call, in->lte, &t->has_lte, &t->lte)) < 0 ||
        (code = lower_bound(call, in->gt, &t->has_gt, &t->gt)) < 0 ||
        (code = lower_bound(call, in->gte, &t->has_gte, &t->gte)) < 0)
        return code;
    return 0;
}

static int lower_geo(struct vex_call *call, const Qdrant__GeoPoint *in, struct vex_geo *ret)
{
    if (in == NULL)
        return vex_qdrant_malformed(call, "Malformed geo condition: a point is missing");
    *ret = (struct vex_geo){.lon = in->lon, .lat = in->lat};
    if (in->lat >= -90 && in->lat <= 90 && in->lon >= -180 && in->lon <= 180)
        return 0;
    return vex_qdrant_malformed(
        call,
        "Wrong format of GeoPoint payload: expected `lat` = %g within [-90;90] and `lon` = %g "
        "within [-180;180]",
        in->lat, in->lon);
}

static int lower_ring(struct vex_call *call, const Qdrant__GeoLineString *in, struct vex_geo_ring *ret)
{
    size_t n = in != NULL ? in->n_points : 0;

    if (n < 4)
        return vex_qdrant_malformed(
            call, "Validation failed: polygon invalid, the size must be at least 4, got %zu", n);
    ret->points = VEX_ARENA_ARRAY(&call->arena, struct vex_geo, n + 1);
    ret->count = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        int code = lower_geo(call, in->points[i], &ret->points[i]);

        if (code < 0)
            return code;
    }
    if (ret->points[0].lon != ret->points[n - 1].lon || ret->points[0].lat != ret->points[n - 1].lat)
        return vex_qdrant_malformed(
            call, "Validation failed: polygon invalid, the first and the last points should "
                  "be the same to form a closed line");
    return 0;
}

static int lower_polygon(struct vex_call *call, const Qdrant__GeoPolygon *in, struct vex_cond *ret)
{
    int code = lower_ring(call, in->exterior, &ret->geo_polygon.exterior);

    ret->kind = VEX_COND_GEO_POLYGON;
    ret->geo_polygon.interiors = VEX_ARENA_ARRAY(&call->arena, struct vex_geo_ring, in->n_interiors + 1);
    ret->geo_polygon.interior_count = (uint32_t)in->n_interiors;
    for (size_t i = 0; code == 0 && i < in->n_interiors; i++)
        code = lower_ring(call, in->interiors[i], &ret->geo_polygon.interiors[i]);
    return code;
}

static int lower_box(struct vex_call *call, const Qdrant__GeoBoundingBox *in, struct vex_cond *ret)
{
    int code = lower_geo(call, in->top_left, &ret->geo_box.top_left);

    ret->kind = VEX_COND_GEO_BOX;
    return code < 0 ? code : lower_geo(call, in->bottom_right, &ret->geo_box.bottom_right);
}

static int lower_radius(struct vex_call *call, const Qdrant__GeoRadius *in, struct vex_cond *ret)
{
    ret->kind = VEX_COND_GEO_RADIUS;
    ret->geo_radius.meters = (double)in->radius;
    return lower_geo(call, in->center, &ret->geo_radius.center);
}

static struct vex_filter *new_filter(struct vex_call *call, size_t room)
{
    struct vex_filter *filter = VEX_ARENA_NEW(&call->arena, struct vex_filter);

    filter->should.conds = VEX_ARENA_ARRAY(&call->arena, struct vex_cond, room);
    return filter;
}

/* is_empty and is_null as flags of a field: false asks for the contrary. */
static void lower_flag(struct vex_call *call, enum vex_cond_kind kind, bool wanted, struct vex_cond *ret)
{
    struct vex_cond plain = {.kind = kind, .path = ret->path};

    if (wanted) {
        *ret = plain;
        return;
    }
    ret->kind = VEX_COND_FILTER;
    ret->sub = VEX_ARENA_NEW(&call->arena, struct vex_filter);
    ret->sub->must_not.conds = vex_arena_dup(&call->arena, &plain, sizeof plain);
    ret->sub->must_not.count = 1;
}

/* A field condition may say several things; then any of them suffices, as with the peer. */
static int lower_field(struct vex_call *call, const Qdrant__FieldCondition *in, struct vex_cond *ret)
{
    struct vex_cond conds[9] = {0};
    struct vex_path path;
    unsigned n = 0;
    int code = vex_lower_path(call, in->key, &path);

    for (size_t i = 0; i < sizeof conds / sizeof *conds; i++)
        conds[i].path = path;
    if (code == 0 && in->match != NULL)
        code = lower_match(call, in->match, &conds[n++]);
    if (code == 0 && in->range != NULL)
        code = lower_range(in->range, &conds[n++]);
    if (code == 0 && in->geo_bounding_box != NULL)
        code = lower_box(call, in->geo_bounding_box, &conds[n++]);
    if (code == 0 && in->geo_radius != NULL)
        code = lower_radius(call, in->geo_radius, &conds[n++]);
    if (code == 0 && in->values_count != NULL)
        code = lower_count(in->values_count, &conds[n++]);
    if (code == 0 && in->geo_polygon != NULL)
        code = lower_polygon(call, in->geo_polygon, &conds[n++]);
    if (code == 0 && in->datetime_range != NULL)
        code = lower_times(call, in->datetime_range, &conds[n++]);
    if (code < 0)
        return code;
    if (in->has_is_empty)
        lower_flag(call, VEX_COND_IS_EMPTY, in->is_empty, &conds[n++]);
    if (in->has_is_null)
        lower_flag(call, VEX_COND_IS_NULL, in->is_null, &conds[n++]);
    if (n == 1) {
        *ret = conds[0];
        return 0;
    }
    *ret = (struct vex_cond){.kind = VEX_COND_FILTER, .path = path, .sub = new_filter(call, n)};
    memcpy(ret->sub->should.conds, conds, n * sizeof *conds);
    ret->sub->should.count = n;
    return 0;
}

static int lower_nested(struct lowering *l, const Qdrant__NestedCondition *in, unsigned depth,
                        struct vex_cond *ret)
{
    int code = vex_lower_path(l->call, in->key, &ret->path);

    if (code < 0)
        return code;
    if (in->filter == NULL)
        return vex_qdrant_malformed(l->call, "Malformed Nested condition");
    ret->kind = VEX_COND_NESTED;
    return lower_filter(l, in->filter, depth + 1, &ret->sub);
}

/* *ret_any false: nothing is set, which matches everything. */
static int lower_condition(struct lowering *l, const Qdrant__Condition *in, unsigned depth,
                           struct vex_cond *ret, bool *ret_any)
{
    struct vex_call *call = l->call;

    *ret_any = true;
    switch (in->condition_one_of_case) {
    case QDRANT__CONDITION__CONDITION_ONE_OF_FIELD:
        return lower_field(call, in->field, ret);
    case QDRANT__CONDITION__CONDITION_ONE_OF_IS_EMPTY:
        ret->kind = VEX_COND_IS_EMPTY;
        return vex_lower_path(call, in->is_empty->key, &ret->path);
    case QDRANT__CONDITION__CONDITION_ONE_OF_IS_NULL:
        ret->kind = VEX_COND_IS_NULL;
        return vex_lower_path(call, in->is_null->key, &ret->path);
    case QDRANT__CONDITION__CONDITION_ONE_OF_HAS_ID:
        ret->kind = VEX_COND_HAS_ID;
        ret->ids.count = (uint32_t)in->has_id->n_has_id;
        return vex_lower_ids(call, in->has_id->has_id, in->has_id->n_has_id, &ret->ids.ids);
    case QDRANT__CONDITION__CONDITION_ONE_OF_FILTER:
        ret->kind = VEX_COND_FILTER;
        return lower_filter(l, in->filter, depth + 1, &ret->sub);
    case QDRANT__CONDITION__CONDITION_ONE_OF_NESTED:
        return lower_nested(l, in->nested, depth, ret);
    case QDRANT__CONDITION__CONDITION_ONE_OF_HAS_VECTOR:
        ret->kind = VEX_COND_HAS_VECTOR;
        ret->text = vex_str_c(in->has_vector->has_vector);
        return 0;
    case QDRANT__CONDITION__CONDITION_ONE_OF_SLICE:
        ret->kind = VEX_COND_SLICE;
        ret->slice.total = in->slice->total;
        ret->slice.index = in->slice->index;
        return 0;
    default:
        *ret_any = false;
        return 0;
    }
}

static int lower_list(struct lowering *l, Qdrant__Condition *const *in, size_t count, unsigned depth,
                      struct vex_cond_list *ret)
{
    struct vex_call *call = l->call;

    if (count == 0)
        return 0;
    l->conditions += count;
    if (l->conditions > VEX_CONDITIONS_MAX)
        return vex_qdrant_malformed(call, "a filter has more than %d conditions", VEX_CONDITIONS_MAX);
    ret->conds = vex_arena_try(&call->arena, count * sizeof *ret->conds);
    if (ret->conds == NULL)
        return vex_err_set(&call->err, VEX_ETOO_LARGE, "too many conditions in a filter");
    for (size_t i = 0; i < count; i++) {
        struct vex_cond cond = {0};
        bool any;
        int code = lower_condition(l, in[i], depth, &cond, &any);

        if (code < 0)
            return code;
        if (any)
            ret->conds[ret->count++] = cond;
    }
    return 0;
}

static int lower_filter(struct lowering *l, const Qdrant__Filter *in, unsigned depth, struct vex_filter **ret)
{
    struct vex_call *call = l->call;
    struct vex_filter *filter;
    int code;

    if (depth >= VEX_FILTER_DEPTH_MAX)
        return vex_qdrant_malformed(call, "filter is nested deeper than %d levels", VEX_FILTER_DEPTH_MAX);
    filter = VEX_ARENA_NEW(&call->arena, struct vex_filter);
    if ((code = lower_list(l, in->must, in->n_must, depth, &filter->must)) < 0 ||
        (code = lower_list(l, in->should, in->n_should, depth, &filter->should)) < 0 ||
        (code = lower_list(l, in->must_not, in->n_must_not, depth, &filter->must_not)) < 0)
        return code;
    if (in->min_should != NULL) {
        filter->has_min_should = true;
        filter->min_count = in->min_should->min_count;
        code = lower_list(l, in->min_should->conditions, in->min_should->n_conditions, depth,
                          &filter->min_should);
        if (code < 0)
            return code;
    }
    *ret = filter;
    return 0;
}

int vex_lower_filter(struct vex_call *call, const Qdrant__Filter *in, struct vex_filter **ret)
{
    struct lowering l = {.call = call};

    *ret = NULL;
    return in != NULL ? lower_filter(&l, in, 0, ret) : 0;
}
