/* Numbers in order: walks over values and slots, comparison across kinds, facets of integers.
 *
 * A walk keeps its place in every level of every kind, 28 bytes in all: two positions of 32 bits a kind, and the places in the
 * tails in 10 bits each. Ascending, a place is the next position; descending, the one behind it. */
#include <float.h>

#include "engine/index/number.h"

_Static_assert(LDBL_MANT_DIG >= 64, "a long double holds any int64, uint64 and double exactly");
_Static_assert(VEX_RUNS_TAIL < 1u << 10, "a place in a tail has 10 bits");

#define TAIL (VEX_RUNS_LEVELS - 1)

struct place {
    uint32_t at[VEX_NUMBER_KINDS][TAIL];
    uint32_t tails;
};
_Static_assert(sizeof(struct place) <= sizeof((struct vex_index_walk *)0)->at,
               "a walk has room for its place");

static uint32_t get(const struct place *place, int kind, int level)
{
    return level < TAIL ? place->at[kind][level] : place->tails >> kind * 10 & 1023;
}

static void set(struct place *place, int kind, int level, uint32_t at)
{
    if (level < TAIL)
        place->at[kind][level] = at;
    else
        place->tails = (place->tails & ~(UINT32_C(1023) << kind * 10)) | at << kind * 10;
}

static int cmp_real(long double a, long double b)
{
    if (a != a || b != b) /* NaN is above all */
        return (a != a) - (b != b);
    return a < b ? -1 : a > b;
}

int vex_order_cmp(const struct vex_order_value *a, const struct vex_order_value *b)
{
    return cmp_real(a->kind == VEX_ORDER_INT ? (long double)a->integer : (long double)a->real,
                    b->kind == VEX_ORDER_INT ? (long double)b->integer : (long double)b->real);
}

static long double real_of(int kind, uint64_t key)
{
    if (kind == VEX_NUMBER_INT)
        return (long double)vex_number_key_int(key);
    return kind == VEX_NUMBER_UINT ? (long double)key : (long double)vex_number_key_double(key);
}

/* Kinds that a walk goes over: the index's own type. */
static int kinds_of(const struct vex_number *number)
{
    return number->type == VEX_INDEX_FLOAT ? VEX_NUMBER_KINDS : 1;
}

/* Key of the kind that is the first not below the value (ascending), or the last not above it; false: there is none. */
static bool bound(int kind, const struct vex_order_value *from, bool descending, uint64_t *ret)
{
    long double real = from->kind == VEX_ORDER_INT ? (long double)from->integer : (long double)from->real;
    long double least = kind == VEX_NUMBER_INT ? (long double)INT64_MIN : (long double)(UINT64_C(1) << 63);
    long double most = kind == VEX_NUMBER_INT ? (long double)INT64_MAX : (long double)UINT64_MAX;
    long double whole;

    if (kind == VEX_NUMBER_DOUBLE) {
        double near = (double)real;
        *ret = vex_number_double_key(near);
        if (!descending && (long double)near < real)
            ++*ret;
        if (descending && (long double)near > real)
            --*ret;
        return true;
    }
    if (real != real)
        real = __builtin_infl();
    if (descending ? real < least : real > most)
        return false;
    if (descending ? real >= most : real <= least) {
        *ret = kind == VEX_NUMBER_INT ? vex_number_int_key(descending ? INT64_MAX : INT64_MIN)
                                      : (descending ? UINT64_MAX : UINT64_C(1) << 63);
        return true;
    }
    whole = descending ? __builtin_floorl(real) : __builtin_ceill(real);
    *ret = kind == VEX_NUMBER_INT ? vex_number_int_key((int64_t)whole) : (uint64_t)whole;
    return true;
}

void vex_number_walk(const void *values, const struct vex_order_value *from, struct vex_index_walk *ret)
{
    const struct vex_number *number = values;
    struct place place = {0};

    for (int kind = 0; kind < kinds_of(number); kind++) {
        uint64_t key = 0;
        bool some = from == NULL || bound(kind, from, ret->descending, &key);
        for (int i = 0; i < VEX_RUNS_LEVELS; i++) {
            const struct vex_run *run = &number->runs[kind].level[i];
            uint32_t at = ret->descending ? run->count : 0;
            if (!some)
                at = ret->descending ? 0 : run->count;
            else if (from != NULL)
                at = ret->descending ? vex_run_pass(run, 0, key) : vex_run_seek(run, 0, key);
            set(&place, kind, i, at);
        }
    }
    memcpy(ret->at, &place, sizeof place);
}

struct head {
    int kind, level;
    uint64_t key;
    uint32_t slot;
};

/* Passes what is stale; false: the level is at its end. */
static bool settle(const struct vex_run *run, struct place *place, bool descending, struct head *ret)
{
    uint32_t at = get(place, ret->kind, ret->level), begin = at;

    if (descending) {
        while (at > 0 && vex_run_stale(run, at - 1))
            at--;
        ret->key = at > 0 ? vex_run_key(run, at - 1) : 0;
        ret->slot = at > 0 ? run->slots[at - 1] : 0;
    } else {
        while (at < run->count && vex_run_stale(run, at))
            at++;
        ret->key = at < run->count ? vex_run_key(run, at) : 0;
        ret->slot = at < run->count ? run->slots[at] : 0;
    }
    if (at != begin)
        set(place, ret->kind, ret->level, at);
    return descending ? at > 0 : at < run->count;
}

static bool precedes(const struct head *a, const struct head *b, bool descending)
{
    int order;

    if (a->kind == b->kind)
        order = a->key < b->key ? -1 : a->key > b->key;
    else
        order = cmp_real(real_of(a->kind, a->key), real_of(b->kind, b->key));
    if (order == 0)
        order = a->slot < b->slot ? -1 : a->slot > b->slot;
    return descending ? order > 0 : order < 0;
}

bool vex_number_walk_next(const void *values, struct vex_index_walk *walk, struct vex_order_value *ret_value,
                          uint32_t *ret_slot)
{
    const struct vex_number *number = values;
    struct head best = {0};
    struct place place;
    bool found = false;

    memcpy(&place, walk->at, sizeof place);
    for (int kind = 0; kind < kinds_of(number); kind++)
        for (int i = 0; i < VEX_RUNS_LEVELS; i++) {
            const struct vex_run *run = &number->runs[kind].level[i];
            struct head head = {.kind = kind, .level = i};
            if (run->count == 0 || !settle(run, &place, walk->descending, &head))
                continue;
            if (!found || precedes(&head, &best, walk->descending))
                best = head;
            found = true;
        }
    if (!found)
        return false;
    set(&place, best.kind, best.level,
        walk->descending ? get(&place, best.kind, best.level) - 1 : get(&place, best.kind, best.level) + 1);
    memcpy(walk->at, &place, sizeof place);
    *ret_slot = best.slot;
    *ret_value = (struct vex_order_value){.kind = VEX_ORDER_DOUBLE};
    if (best.kind == VEX_NUMBER_INT) {
        ret_value->kind = VEX_ORDER_INT;
        ret_value->integer = vex_number_key_int(best.key);
    } else {
        ret_value->real = (double)real_of(best.kind, best.key);
    }
    return true;
}

/* ---- facets ---- */

struct part {
    const struct vex_run *run;
    uint32_t at, end;
};

static bool counts(const struct part *part, const uint64_t *among, uint32_t slots)
{
    uint32_t slot = part->run->slots[part->at];

    return among == NULL || (slot < slots && (among[slot / 64] >> slot % 64 & 1) != 0);
}

static uint64_t count_run(struct part *part, const uint64_t *among, uint32_t slots)
{
    const uint32_t *of = part->run->slots;
    uint64_t total = 0, last = UINT64_MAX;

    for (; part->at < part->end; last = of[part->at++])
        total += (of[part->at] != last) & counts(part, among, slots);
    return total;
}

/* Slots in the parts, each once, that are among those given. All pairs of one value: sorted by slot. */
static uint64_t count_slots(struct part *parts, int count, const uint64_t *among, uint32_t slots)
{
    uint64_t total = 0, last = UINT64_MAX;

    if (count == 1 && parts->run->stale_count == 0) /* most often */
        return count_run(parts, among, slots);
    for (;;) {
        struct part *least = NULL;
        for (int i = 0; i < count; i++)
            if (parts[i].at < parts[i].end &&
                (least == NULL || parts[i].run->slots[parts[i].at] < least->run->slots[least->at]))
                least = &parts[i];
        if (least == NULL)
            return total;
        if (!vex_run_stale(least->run, least->at) && least->run->slots[least->at] != last) {
            last = least->run->slots[least->at];
            total += counts(least, among, slots);
        }
        least->at++;
    }
}

/* The next value of a level; false: it is at its end. */
static bool begins(const struct vex_run *run, uint32_t at, uint64_t *ret_key)
{
    if (at == run->count)
        return false;
    *ret_key = vex_run_key(run, at);
    return true;
}

int vex_number_facet(const void *values, const uint64_t *among, uint32_t slots,
                     const struct vex_facet_floor *floor,
                     int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count), void *arg)
{
    const struct vex_runs *runs = &((const struct vex_number *)values)->runs[VEX_NUMBER_INT];
    uint64_t keys[VEX_RUNS_LEVELS] = {0};
    uint32_t at[VEX_RUNS_LEVELS] = {0};
    bool some[VEX_RUNS_LEVELS];
    int stop = 0;

    for (int i = 0; i < VEX_RUNS_LEVELS; i++)
        some[i] = begins(&runs->level[i], 0, &keys[i]);
    while (stop == 0 && (some[0] || some[1] || some[2])) {
        struct part parts[VEX_RUNS_LEVELS];
        struct vex_facet_value value = {.kind = VEX_FACET_INT};
        uint64_t key = UINT64_MAX, pairs = 0, count;
        int used = 0;
        for (int i = 0; i < VEX_RUNS_LEVELS; i++)
            if (some[i] && keys[i] < key)
                key = keys[i];
        for (int i = 0; i < VEX_RUNS_LEVELS; i++) {
            const struct vex_run *run = &runs->level[i];
            if (!some[i] || keys[i] != key)
                continue;
            parts[used] = (struct part){run, at[i], at[i] + 1};
            if (at[i] + 1 < run->count && vex_run_key(run, at[i] + 1) == key)
                parts[used].end = vex_run_pass(run, at[i] + 1, key);
            pairs += parts[used].end - at[i];
            at[i] = parts[used++].end;
            some[i] = begins(run, at[i], &keys[i]);
        }
        if (pairs < floor->least)
            continue;
        count = count_slots(parts, used, among, slots);
        value.integer = vex_number_key_int(key);
        if (count >= floor->least)
            stop = fn(arg, &value, count);
    }
    return stop;
}
