/* Scalars against lists and ranges, exactly: an integer beyond 2^53 is never rounded to be compared with a
 * float.
 *
 * Lock       None.
 * Invariant  Lists are sorted by bind_values, without NaN, before they are searched. */
#include <math.h>
#include <stdlib.h>

#include "engine/filter/match_parts.h"

#define TWO_63 9223372036854775808.0
#define TWO_64 18446744073709551616.0

static int by_text(const void *a, const void *b)
{
    return vex_str_cmp(*(const struct vex_str *)a, *(const struct vex_str *)b);
}

static int by_int(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

void vex_bind_values(struct vex_cond_values *values)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < values->double_count; i++)
        if (!isnan(values->doubles[i])) /* equals nothing */
            values->doubles[kept++] = values->doubles[i];
    values->double_count = kept;
    if (values->text_count > 1)
        qsort(values->texts, values->text_count, sizeof *values->texts, by_text);
    if (values->int_count > 1)
        qsort(values->ints, values->int_count, sizeof *values->ints, by_int);
    if (values->double_count > 1)
        qsort(values->doubles, values->double_count, sizeof *values->doubles, by_double);
}

static bool has_text(const struct vex_cond_values *values, struct vex_str text)
{
    if (values->text_count == 1)
        return vex_str_eq(values->texts[0], text);
    return values->text_count > 0 &&
           bsearch(&text, values->texts, values->text_count, sizeof *values->texts, by_text) != NULL;
}

static bool has_int(const struct vex_cond_values *values, int64_t i)
{
    return values->int_count > 0 && bsearch(&i, values->ints, values->int_count, sizeof i, by_int) != NULL;
}

static bool has_double(const struct vex_cond_values *values, double d)
{
    return values->double_count > 0 && !isnan(d) &&
           bsearch(&d, values->doubles, values->double_count, sizeof d, by_double) != NULL;
}

bool vex_match_any(const struct vex_cond_values *values, struct vex_value v)
{
    switch (vex_value_kind(v)) {
    case VEX_VALUE_TEXT:
        return has_text(values, vex_value_text(v));
    case VEX_VALUE_INT:
        return has_int(values, vex_value_int(v));
    case VEX_VALUE_DOUBLE:
        return has_double(values, vex_value_double(v));
    case VEX_VALUE_BOOL:
        return vex_value_bool(v) ? values->has_true : values->has_false;
    default:
        return false;
    }
}

bool vex_match_numbers(const struct vex_cond_values *values, struct vex_value v)
{
    double d;

    switch (vex_value_kind(v)) {
    case VEX_VALUE_INT:
        /* The float of the same value, if there is one. */
        d = (double)vex_value_int(v);
        return has_int(values, vex_value_int(v)) ||
               (d < TWO_63 && (int64_t)d == vex_value_int(v) && has_double(values, d));
    case VEX_VALUE_UINT:
        d = (double)vex_value_uint(v);
        return d < TWO_64 && (uint64_t)d == vex_value_uint(v) && has_double(values, d);
    case VEX_VALUE_DOUBLE:
        d = vex_value_double(v);
        return has_double(values, d) ||
               (d >= -TWO_63 && d < TWO_63 && (double)(int64_t)d == d && has_int(values, (int64_t)d));
    default:
        return false;
    }
}

/* Sign of i - d for a d that is not NaN. */
static int cmp_int(int64_t i, double d)
{
    int64_t whole;

    if (d >= TWO_63)
        return -1;
    if (d < -TWO_63)
        return 1;
    whole = (int64_t)d; /* towards zero */
    if (i != whole)
        return i < whole ? -1 : 1;
    return (double)whole < d ? -1 : (double)whole > d;
}

static int cmp_uint(uint64_t u, double d)
{
    uint64_t whole;

    if (d >= TWO_64)
        return -1;
    if (d < 0)
        return 1;
    whole = (uint64_t)d;
    if (u != whole)
        return u < whole ? -1 : 1;
    return (double)whole < d ? -1 : (double)whole > d;
}

static int cmp_number(struct vex_value v, enum vex_value_kind kind, double d)
{
    double own;

    switch (kind) {
    case VEX_VALUE_INT:
        return cmp_int(vex_value_int(v), d);
    case VEX_VALUE_UINT:
        return cmp_uint(vex_value_uint(v), d);
    default:
        own = vex_value_double(v);
        return own < d ? -1 : own > d;
    }
}

bool vex_match_range(const struct vex_cond_range *range, struct vex_value v)
{
    enum vex_value_kind kind;

    if (!vex_value_is_number(v))
        return false;
    kind = vex_value_kind(v);
    if (kind == VEX_VALUE_DOUBLE && isnan(vex_value_double(v)))
        return !range->has_lt && !range->has_lte && !range->has_gt && !range->has_gte;
    /* Nothing lies on either side of a NaN bound. */
    if ((range->has_lt && isnan(range->lt)) || (range->has_lte && isnan(range->lte)) ||
        (range->has_gt && isnan(range->gt)) || (range->has_gte && isnan(range->gte)))
        return false;
    return (!range->has_lt || cmp_number(v, kind, range->lt) < 0) &&
           (!range->has_lte || cmp_number(v, kind, range->lte) <= 0) &&
           (!range->has_gt || cmp_number(v, kind, range->gt) > 0) &&
           (!range->has_gte || cmp_number(v, kind, range->gte) >= 0);
}
