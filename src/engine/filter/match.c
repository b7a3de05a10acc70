/* Filter matching: walks a bound tree over one point.
 *
 * Lock  None: the tree is immutable once bound, the point is the caller's. Recursion is bounded by
 * VEX_FILTER_DEPTH_MAX, which vex_filter_bind has checked, and by the depth of values. */
#include "engine/filter/match.h"

#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"
#include "engine/filter/match_parts.h"

/* What is looked at: the point, or one object within an array of it. */
struct subject {
    const struct vex_match_point *point;
    struct vex_value payload;
    bool nested; /* then it has no id and no vectors */
};

struct leaf {
    const struct vex_cond *cond;
    const struct subject *subject;
    uint32_t seen; /* values met: IS_EMPTY, VALUES_COUNT */
};

static bool match_filter(const struct vex_filter *filter, const struct subject *subject);

static bool match_time(const struct vex_cond_times *times, struct vex_value v)
{
    int64_t us;

    if (vex_value_kind(v) != VEX_VALUE_TEXT || !vex_time_parse(vex_value_text(v), &us))
        return false;
    return (!times->has_lt || us < times->lt) && (!times->has_lte || us <= times->lte) &&
           (!times->has_gt || us > times->gt) && (!times->has_gte || us >= times->gte);
}

static bool match_text(const struct vex_cond *cond, struct vex_value v)
{
    struct vex_str text;

    if (vex_value_kind(v) != VEX_VALUE_TEXT)
        return false;
    text = vex_value_text(v);
    switch (cond->kind) {
    case VEX_COND_PREFIX:
        return vex_str_starts(text, cond->text);
    case VEX_COND_SUBSTRING:
        return vex_str_contains(text, cond->text);
    case VEX_COND_REGEX:
        return cond->bound.regex != NULL && vex_regex_matches(cond->bound.regex, text);
    default:
        return vex_match_words(cond, text);
    }
}

/* One value that is not to be taken apart any more. */
static bool match_one(const struct vex_cond *cond, struct vex_value v)
{
    switch (cond->kind) {
    case VEX_COND_ANY:
        return vex_match_any(&cond->values, v);
    case VEX_COND_EXCEPT: /* null is absence, not another value */
        return vex_value_kind(v) != VEX_VALUE_NULL && !vex_match_any(&cond->values, v);
    case VEX_COND_NUMBERS:
        return vex_match_numbers(&cond->values, v);
    case VEX_COND_RANGE:
        return vex_match_range(&cond->range, v);
    case VEX_COND_TIME:
        return match_time(&cond->times, v);
    case VEX_COND_GEO_BOX:
    case VEX_COND_GEO_RADIUS:
    case VEX_COND_GEO_POLYGON:
        return vex_match_geo(cond, v);
    default:
        return match_text(cond, v);
    }
}

/* A value the path led to; its elements when it is an array. */
static int leaf_value(void *arg, struct vex_value v)
{
    const struct vex_cond *cond = ((struct leaf *)arg)->cond;
    struct vex_value_iter it;

    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        return cond->arrays != VEX_ARRAYS_ONLY && match_one(cond, v);
    if (cond->arrays == VEX_ARRAYS_NEVER)
        return 0;
    for (it = vex_value_iter(v); vex_value_next(&it);)
        if (match_one(cond, it.value))
            return 1;
    return 0;
}

static bool is_empty(struct vex_value v)
{
    enum vex_value_kind kind = vex_value_kind(v);

    return kind == VEX_VALUE_NULL || (kind == VEX_VALUE_ARRAY && vex_value_count(v) == 0);
}

static int not_empty(void *arg, struct vex_value v)
{
    (void)arg;
    return !is_empty(v);
}

static int lacks(void *arg, struct vex_value v)
{
    return vex_value_kind(v) == VEX_VALUE_MAP && vex_path_each(arg, v, not_empty, NULL) == 0;
}

/* Whether any element lacks the field, or nothing is there at all. */
static bool match_empty(const struct vex_cond *cond, struct vex_value payload)
{
    struct vex_path above = cond->path, rest = cond->path;

    if (cond->bound.elements == 0)
        return vex_path_each(&cond->path, payload, not_empty, NULL) == 0;
    above.count = cond->bound.elements;
    rest.steps += cond->bound.elements;
    rest.count -= cond->bound.elements;
    return vex_path_each(&above, payload, lacks, &rest) != 0;
}

static int holds_null(void *arg, struct vex_value v)
{
    struct vex_value_iter it;

    (void)arg;
    if (vex_value_kind(v) == VEX_VALUE_NULL)
        return 1;
    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        return 0;
    for (it = vex_value_iter(v); vex_value_next(&it);)
        if (vex_value_kind(it.value) == VEX_VALUE_NULL)
            return 1;
    return 0;
}

static bool count_in(const struct vex_cond_range *range, size_t count)
{
    double n = (double)count;

    return (!range->has_lt || n < range->lt) && (!range->has_lte || n <= range->lte) &&
           (!range->has_gt || n > range->gt) && (!range->has_gte || n >= range->gte);
}

static int count_value(void *arg, struct vex_value v)
{
    struct leaf *leaf = arg;
    size_t count = 1;

    leaf->seen++;
    if (vex_value_kind(v) == VEX_VALUE_NULL)
        count = 0;
    else if (vex_value_kind(v) == VEX_VALUE_ARRAY)
        count = vex_value_count(v);
    return count_in(&leaf->cond->range, count);
}

static bool match_values_count(const struct vex_cond *cond, struct vex_value payload)
{
    struct leaf leaf = {.cond = cond};

    if (vex_path_each(&cond->path, payload, count_value, &leaf) != 0)
        return true;
    return leaf.seen == 0 && count_in(&cond->range, 0); /* a missing field counts as none */
}

static int nested_value(void *arg, struct vex_value v)
{
    const struct leaf *leaf = arg;
    struct vex_value_iter it;

    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        return 0;
    for (it = vex_value_iter(v); vex_value_next(&it);) {
        struct subject element = {leaf->subject->point, it.value, true};
        if (vex_value_kind(it.value) == VEX_VALUE_MAP && match_filter(leaf->cond->sub, &element))
            return 1;
    }
    return 0;
}

/* `data` and `data[]` name the same elements. */
static bool match_nested(const struct vex_cond *cond, const struct subject *subject)
{
    struct leaf leaf = {.cond = cond, .subject = subject};
    struct vex_path path = cond->path;

    if (path.count > 1 && path.steps[path.count - 1].kind == VEX_STEP_ALL)
        path.count--;
    return vex_path_each(&path, subject->payload, nested_value, &leaf) != 0;
}

static int by_id(const void *a, const void *b)
{
    return vex_id_cmp(a, b);
}

static bool match_cond(const struct vex_cond *cond, const struct subject *subject)
{
    struct leaf leaf = {.cond = cond};

    switch (cond->kind) {
    case VEX_COND_FILTER:
        return match_filter(cond->sub, subject);
    case VEX_COND_NESTED:
        return match_nested(cond, subject);
    case VEX_COND_VALUES_COUNT:
        return match_values_count(cond, subject->payload);
    case VEX_COND_IS_EMPTY:
        return match_empty(cond, subject->payload);
    case VEX_COND_IS_NULL:
        return vex_path_each(&cond->path, subject->payload, holds_null, NULL) != 0;
    case VEX_COND_HAS_ID:
        return !subject->nested && cond->ids.count > 0 &&
               bsearch(&subject->point->id, cond->ids.ids, cond->ids.count, sizeof *cond->ids.ids, by_id) !=
                   NULL;
    case VEX_COND_HAS_VECTOR:
        return !subject->nested && (subject->point->vectors & cond->bound.vector_mask) != 0;
    case VEX_COND_SLICE:
        return !subject->nested && vex_match_slice(cond->slice.total, cond->slice.index, &subject->point->id);
    default:
        return vex_path_each(&cond->path, subject->payload, leaf_value, &leaf) != 0;
    }
}

static bool any_of(const struct vex_cond_list *list, const struct subject *subject)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (match_cond(&list->conds[i], subject))
            return true;
    return false;
}

static bool at_least(const struct vex_cond_list *list, uint64_t wanted, const struct subject *subject)
{
    for (uint32_t i = 0; wanted > 0 && i < list->count; i++) {
        if (wanted > list->count - i)
            return false;
        wanted -= match_cond(&list->conds[i], subject);
    }
    return wanted == 0;
}

static bool match_filter(const struct vex_filter *filter, const struct subject *subject)
{
    for (uint32_t i = 0; i < filter->must.count; i++)
        if (!match_cond(&filter->must.conds[i], subject))
            return false;
    if (any_of(&filter->must_not, subject))
        return false;
    if (filter->should.count > 0 && !any_of(&filter->should, subject))
        return false;
    return !filter->has_min_should || at_least(&filter->min_should, filter->min_count, subject);
}

bool vex_filter_match(const struct vex_filter *filter, const struct vex_match_point *point)
{
    struct subject subject = {point, point->payload, false};

    return match_filter(filter, &subject);
}
