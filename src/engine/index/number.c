/* Value store of integer, float and datetime fields: sorted runs, one set for each kind of number.
 *
 * Owner      The index. Lock: the index's; prepare beside readers.
 * Invariant  Whatever the index's type, each number is kept as what it is, so that answers are those of match_values.c, exactly:
 *            INT by its value, DOUBLE by its bits in order (0 and -0 as one, any NaN above all), UINT by its value. Times are INT:
 *            microseconds; a datetime index keeps nothing else.
 * Format     The runs of INT, DOUBLE, UINT. */
#include "engine/index/number.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "engine/filter/match_parts.h"

#define SIGN         (UINT64_C(1) << 63)
#define TWO_63       9223372036854775808.0
#define TWO_64       18446744073709551616.0
#define ESTIMATE_MAX 1024u /* values that an estimate looks up */

/* ---- keys ---- */

uint64_t vex_number_int_key(int64_t i)
{
    return (uint64_t)i ^ SIGN;
}

uint64_t vex_number_double_key(double d)
{
    uint64_t bits;

    if (d != d)
        return UINT64_MAX;
    if (d == 0)
        d = 0; /* not -0 */
    memcpy(&bits, &d, sizeof bits);
    return (bits & SIGN) != 0 ? ~bits : bits | SIGN;
}

int64_t vex_number_key_int(uint64_t key)
{
    return (int64_t)(key ^ SIGN);
}

double vex_number_key_double(uint64_t key)
{
    uint64_t bits = (key & SIGN) != 0 ? key & ~SIGN : ~key;
    double d;

    memcpy(&d, &bits, sizeof d);
    return d;
}

/* Which runs a value belongs to, and its key; false: it is not kept. */
static bool key_of(const struct vex_number *number, struct vex_value v, enum vex_number_kind *ret_kind,
                   struct vex_run_key *ret)
{
    int64_t us;

    *ret = (struct vex_run_key){0};
    *ret_kind = VEX_NUMBER_INT;
    switch (vex_value_kind(v)) {
    case VEX_VALUE_TEXT:
        if (number->type != VEX_INDEX_DATETIME || !vex_time_parse(vex_value_text(v), &us))
            return false;
        ret->a = vex_number_int_key(us);
        return true;
    case VEX_VALUE_INT:
        ret->a = vex_number_int_key(vex_value_int(v));
        break;
    case VEX_VALUE_UINT:
        *ret_kind = VEX_NUMBER_UINT;
        ret->a = vex_value_uint(v);
        break;
    case VEX_VALUE_DOUBLE:
        *ret_kind = VEX_NUMBER_DOUBLE;
        ret->a = vex_number_double_key(vex_value_double(v));
        break;
    default:
        return false;
    }
    return number->type != VEX_INDEX_DATETIME;
}

/* ---- changing ---- */

static void *make(const struct vex_index_params *params, struct vex_err *err)
{
    struct vex_number *number = VEX_NEW(struct vex_number);

    (void)err;
    number->type = params->type;
    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        vex_runs_init(&number->runs[kind], sizeof(uint64_t));
    return number;
}

static void free_number(void *values)
{
    struct vex_number *number = values;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        vex_runs_done(&number->runs[kind]);
    vex_mem_free(number);
}

static bool add(void *values, uint32_t slot, struct vex_value v)
{
    struct vex_number *number = values;
    enum vex_number_kind kind;
    struct vex_run_key key;

    if (!key_of(number, v, &kind, &key))
        return false;
    vex_runs_add(&number->runs[kind], key, slot);
    return true;
}

static void remove_value(void *values, uint32_t slot, struct vex_value v)
{
    struct vex_number *number = values;
    enum vex_number_kind kind;
    struct vex_run_key key;

    if (key_of(number, v, &kind, &key))
        vex_runs_remove(&number->runs[kind], key, slot);
}

static void forget(void *values, const uint64_t *bits, uint32_t slots)
{
    struct vex_number *number = values;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        vex_runs_forget(&number->runs[kind], bits, slots);
}

static bool prepare(void *values)
{
    struct vex_number *number = values;
    bool due = false;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        due |= vex_runs_prepare(&number->runs[kind]);
    return due;
}

static void publish(void *values)
{
    struct vex_number *number = values;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        vex_runs_publish(&number->runs[kind]);
}

static uint64_t bytes(const void *values)
{
    const struct vex_number *number = values;
    uint64_t total = sizeof *number;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        total += vex_runs_bytes(&number->runs[kind]);
    return total;
}

static uint64_t count_all(const struct vex_number *number)
{
    uint64_t total = 0;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        total += vex_runs_count(&number->runs[kind]);
    return total;
}

/* ---- what conditions ask for, as keys ---- */

/* Keys lo to hi, both included; lo > hi: none. */
struct span {
    uint64_t lo, hi;
};

static const struct span no_span = {1, 0};

/* Whole numbers beside a double, exactly; far ones are cut to what is beyond any key. */
static __int128 floor_of(double d)
{
    __int128 whole;

    if (d >= 4 * TWO_64)
        return (__int128)1 << 66;
    if (d <= -4 * TWO_64)
        return -((__int128)1 << 66);
    whole = (__int128)d;
    return whole - ((double)whole > d);
}

static __int128 ceil_of(double d)
{
    return -floor_of(-d);
}

static struct span whole_span(const struct vex_cond_range *range, __int128 least, __int128 most)
{
    __int128 lo = least, hi = most;

    if (range->has_gte && ceil_of(range->gte) > lo)
        lo = ceil_of(range->gte);
    if (range->has_gt && floor_of(range->gt) + 1 > lo)
        lo = floor_of(range->gt) + 1;
    if (range->has_lte && floor_of(range->lte) < hi)
        hi = floor_of(range->lte);
    if (range->has_lt && ceil_of(range->lt) - 1 < hi)
        hi = ceil_of(range->lt) - 1;
    if (lo > hi)
        return no_span;
    return least < 0 ? (struct span){vex_number_int_key((int64_t)lo), vex_number_int_key((int64_t)hi)}
                     : (struct span){(uint64_t)lo, (uint64_t)hi};
}

static struct span double_span(const struct vex_cond_range *range)
{
    struct span span = {vex_number_double_key(-__builtin_inf()), vex_number_double_key(__builtin_inf())};
    uint64_t key;

    if (range->has_gte && (key = vex_number_double_key(range->gte)) > span.lo)
        span.lo = key;
    if (range->has_gt && (key = vex_number_double_key(range->gt) + 1) > span.lo)
        span.lo = key;
    if (range->has_lte && (key = vex_number_double_key(range->lte)) < span.hi)
        span.hi = key;
    if (range->has_lt && (key = vex_number_double_key(range->lt) - 1) < span.hi)
        span.hi = key;
    return span;
}

static bool is_nan(bool has, double d)
{
    return has && d != d;
}

static void range_spans(const struct vex_cond_range *range, struct span ret[VEX_NUMBER_KINDS])
{
    bool bounded = range->has_lt || range->has_lte || range->has_gt || range->has_gte;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        ret[kind] = bounded ? no_span : (struct span){0, UINT64_MAX};
    if (!bounded || is_nan(range->has_lt, range->lt) || is_nan(range->has_lte, range->lte) ||
        is_nan(range->has_gt, range->gt) || is_nan(range->has_gte, range->gte))
        return;
    ret[VEX_NUMBER_INT] = whole_span(range, INT64_MIN, INT64_MAX);
    ret[VEX_NUMBER_UINT] = whole_span(range, (__int128)1 << 63, UINT64_MAX);
    ret[VEX_NUMBER_DOUBLE] = double_span(range);
}

static void time_spans(const struct vex_cond_times *times, struct span ret[VEX_NUMBER_KINDS])
{
    __int128 lo = INT64_MIN, hi = INT64_MAX;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        ret[kind] = no_span;
    if (times->has_gte && times->gte > lo)
        lo = times->gte;
    if (times->has_gt && (__int128)times->gt + 1 > lo)
        lo = (__int128)times->gt + 1;
    if (times->has_lte && times->lte < hi)
        hi = times->lte;
    if (times->has_lt && (__int128)times->lt - 1 < hi)
        hi = (__int128)times->lt - 1;
    if (lo <= hi)
        ret[VEX_NUMBER_INT] = (struct span){vex_number_int_key((int64_t)lo), vex_number_int_key((int64_t)hi)};
}

/* Keys of one kind that a list asks for, ascending, each once. */
struct keys {
    uint64_t *keys;
    uint32_t count;
};

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void add_key(struct keys *keys, uint64_t key)
{
    if (keys->count == 0 || keys->keys[keys->count - 1] != key)
        keys->keys[keys->count++] = key;
}

/* The other kinds that a listed number stands for by its value. */
static void add_equals(const struct vex_cond_values *list, struct keys ret[VEX_NUMBER_KINDS])
{
    for (uint32_t i = 0; i < list->int_count; i++) {
        double d = (double)list->ints[i];
        if (d < TWO_63 && (int64_t)d == list->ints[i])
            add_key(&ret[VEX_NUMBER_DOUBLE], vex_number_double_key(d));
    }
    for (uint32_t i = 0; i < list->double_count; i++) {
        double d = list->doubles[i];
        if (d >= -TWO_63 && d < TWO_63 && (double)(int64_t)d == d)
            add_key(&ret[VEX_NUMBER_INT], vex_number_int_key((int64_t)d));
        if (d >= TWO_63 && d < TWO_64)
            add_key(&ret[VEX_NUMBER_UINT], (uint64_t)d);
    }
}

static void list_keys(const struct vex_cond *cond, struct keys ret[VEX_NUMBER_KINDS])
{
    const struct vex_cond_values *list = &cond->values;
    size_t room = (size_t)list->int_count + list->double_count + 1;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        ret[kind] = (struct keys){vex_mem_alloc(room * sizeof(uint64_t)), 0};
    for (uint32_t i = 0; i < list->int_count; i++)
        add_key(&ret[VEX_NUMBER_INT], vex_number_int_key(list->ints[i]));
    for (uint32_t i = 0; i < list->double_count; i++)
        add_key(&ret[VEX_NUMBER_DOUBLE], vex_number_double_key(list->doubles[i]));
    if (cond->kind != VEX_COND_NUMBERS)
        return;
    add_equals(list, ret);
    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++) {
        struct keys sorted = {ret[kind].keys, 0};
        qsort(ret[kind].keys, ret[kind].count, sizeof(uint64_t), by_key);
        for (uint32_t i = 0; i < ret[kind].count; i++)
            add_key(&sorted, ret[kind].keys[i]);
        ret[kind] = sorted;
    }
}

/* ---- conditions ---- */

/* Calls fn with the stretches of the runs that hold what a condition asks for. */
typedef int stretch_fn(void *arg, const struct vex_run *run, uint32_t lo, uint32_t hi);

static int each_key(const struct vex_run *run, const struct keys *keys, stretch_fn *fn, void *arg)
{
    uint32_t at = 0;
    int stop = 0;

    for (uint32_t i = 0; i < keys->count && at < run->count && stop == 0; i++) {
        uint32_t end;
        at = vex_run_seek(run, at, keys->keys[i]);
        end = vex_run_pass(run, at, keys->keys[i]);
        if (end > at)
            stop = fn(arg, run, at, end);
        at = end;
    }
    return stop;
}

static int each_listed(const struct vex_number *number, const struct vex_cond *cond, stretch_fn *fn,
                       void *arg)
{
    struct keys keys[VEX_NUMBER_KINDS];
    int stop = 0;

    list_keys(cond, keys);
    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++) {
        for (int i = 0; i < VEX_RUNS_LEVELS && stop == 0; i++)
            stop = each_key(&number->runs[kind].level[i], &keys[kind], fn, arg);
        vex_mem_free(keys[kind].keys);
    }
    return stop;
}

static int each_stretch(const struct vex_number *number, const struct vex_cond *cond, stretch_fn *fn,
                        void *arg)
{
    struct span spans[VEX_NUMBER_KINDS];
    int stop = 0;

    if (cond->kind == VEX_COND_ANY || cond->kind == VEX_COND_NUMBERS)
        return each_listed(number, cond, fn, arg);
    if (cond->kind == VEX_COND_RANGE)
        range_spans(&cond->range, spans);
    else
        time_spans(&cond->times, spans);
    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        for (int i = 0; i < VEX_RUNS_LEVELS && stop == 0; i++) {
            const struct vex_run *run = &number->runs[kind].level[i];
            uint32_t lo, hi;
            if (spans[kind].lo > spans[kind].hi)
                continue;
            lo = vex_run_seek(run, 0, spans[kind].lo);
            hi = vex_run_pass(run, lo, spans[kind].hi);
            if (lo < hi)
                stop = fn(arg, run, lo, hi);
        }
    return stop;
}

static bool served(const struct vex_number *number, enum vex_cond_kind kind)
{
    if (number->type == VEX_INDEX_DATETIME)
        return kind == VEX_COND_TIME;
    return kind == VEX_COND_ANY || kind == VEX_COND_NUMBERS || kind == VEX_COND_RANGE;
}

static int sum_stretch(void *arg, const struct vex_run *run, uint32_t lo, uint32_t hi)
{
    *(uint64_t *)arg += vex_run_live(run, lo, hi);
    return 0;
}

static struct vex_index_estimate estimate(const struct vex_index *index, const struct vex_cond *cond)
{
    const struct vex_number *number = index->values;
    uint64_t pairs = 0;

    if (!served(number, cond->kind))
        return (struct vex_index_estimate){0};
    if ((cond->kind == VEX_COND_ANY || cond->kind == VEX_COND_NUMBERS) &&
        (uint64_t)cond->values.int_count + cond->values.double_count > ESTIMATE_MAX)
        return (struct vex_index_estimate){true, 0, vex_slots_count(index->own)};
    each_stretch(number, cond, sum_stretch, &pairs);
    return vex_estimate_pairs(index, pairs, pairs, count_all(number));
}

struct fill {
    uint64_t *bits;
    uint32_t slots;
};

static int fill_stretch(void *arg, const struct vex_run *run, uint32_t lo, uint32_t hi)
{
    const struct fill *fill = arg;

    vex_run_set(run, lo, hi, fill->bits, fill->slots);
    return 0;
}

/* A range that holds most values: all that have one but those outside of it. Slots have one value each. */
static void match_most(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                       uint32_t slots)
{
    const struct vex_number *number = index->values;
    size_t words = ((size_t)slots + 63) / 64;
    uint64_t *bits = vex_mem_zalloc((words + 1) * sizeof *bits);
    struct span spans[VEX_NUMBER_KINDS];

    if (cond->kind == VEX_COND_RANGE)
        range_spans(&cond->range, spans);
    else
        time_spans(&cond->times, spans);
    vex_slots_or_into(index->own, bits, slots);
    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        for (int i = 0; i < VEX_RUNS_LEVELS; i++) {
            const struct vex_run *run = &number->runs[kind].level[i];
            uint32_t lo = run->count, hi = run->count;
            if (spans[kind].lo <= spans[kind].hi) {
                lo = vex_run_seek(run, 0, spans[kind].lo);
                hi = vex_run_pass(run, lo, spans[kind].hi);
            }
            vex_run_clear(run, 0, lo, bits, slots);
            vex_run_clear(run, hi, run->count, bits, slots);
        }
    for (size_t w = 0; w < words; w++)
        sure[w] |= bits[w];
    vex_mem_free(bits);
}

static void match(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                  uint64_t *unsure, uint32_t slots)
{
    const struct vex_number *number = index->values;
    struct fill fill = {sure, slots};
    uint64_t pairs = 0;

    (void)unsure;
    if (!served(number, cond->kind))
        return;
    if (cond->kind == VEX_COND_RANGE || cond->kind == VEX_COND_TIME) {
        each_stretch(number, cond, sum_stretch, &pairs);
        if (pairs > count_all(number) / 2 && vex_slots_count(index->several) == 0) {
            match_most(index, cond, sure, slots);
            return;
        }
    }
    each_stretch(number, cond, fill_stretch, &fill);
}

struct visit {
    int (*fn)(void *arg, uint32_t slot);
    void *arg;
};

static int visit_stretch(void *arg, const struct vex_run *run, uint32_t lo, uint32_t hi)
{
    const struct visit *visit = arg;

    return vex_run_each(run, lo, hi, visit->fn, visit->arg);
}

static int each(const struct vex_index *index, const struct vex_cond *cond,
                int (*fn)(void *arg, uint32_t slot), void *arg)
{
    struct visit visit = {fn, arg};

    return each_stretch(index->values, cond, visit_stretch, &visit);
}

/* ---- files ---- */

static void save(const void *values, struct vex_buf *out)
{
    const struct vex_number *number = values;

    for (int kind = 0; kind < VEX_NUMBER_KINDS; kind++)
        vex_runs_save(&number->runs[kind], out);
}

static int load(void *values, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_number *number = values;
    int rc = 0;

    for (int kind = 0; kind < VEX_NUMBER_KINDS && rc == 0; kind++)
        rc = vex_runs_load(&number->runs[kind], c, err);
    return rc;
}

const struct vex_values_ops vex_values_number = {
    .make = make,
    .free = free_number,
    .add = add,
    .remove = remove_value,
    .forget = forget,
    .prepare = prepare,
    .publish = publish,
    .bytes = bytes,
    .estimate = estimate,
    .match = match,
    .each = each,
    .facet = vex_number_facet,
    .walk = vex_number_walk,
    .walk_next = vex_number_walk_next,
    .save = save,
    .load = load,
};
