/* Plan: a filter as two bitmaps, slots that match surely and slots that may. See plan.h.
 *
 * Method    must intersects, should unites, must_not takes the other bitmap's complement, min_should counts in bit planes. A part
 *           that nothing is known of has no sure slots and may match anywhere.
 * Memory    Four bitmaps a level of the tree, made when it is first reached; planes while a min_should is counted. */
#include "base/mem.h"
#include "engine/query/bits_cache.h"
#include "engine/query/plan.h"

#define COUNTED_MAX 4096u /* conditions of a min_should that is counted; of more, any slot may match */
#define KEPT_MIN    4096u /* matches from which the bitmap of a condition is worth keeping */

struct sets {
    uint64_t *sure, *maybe;
};

struct level {
    struct sets part, whole; /* conditions of a list; a filter within */
};

struct bits {
    struct vex_plan *plan;
    size_t words;
    struct level levels[VEX_FILTER_DEPTH_MAX + 1];
};

/* ---- sets ---- */

static void clear(const struct bits *b, uint64_t *set)
{
    memset(set, 0, b->words * sizeof *set);
}

static void unite(const struct bits *b, uint64_t *into, const uint64_t *other)
{
    for (size_t w = 0; w < b->words; w++)
        into[w] |= other[w];
}

static void intersect(const struct bits *b, uint64_t *into, const uint64_t *other)
{
    for (size_t w = 0; w < b->words; w++)
        into[w] &= other[w];
}

static void subtract(const struct bits *b, uint64_t *into, const uint64_t *other)
{
    for (size_t w = 0; w < b->words; w++)
        into[w] &= ~other[w];
}

static int make(const struct bits *b, struct sets *ret)
{
    ret->sure = vex_mem_try(b->words * 2 * sizeof *ret->sure);
    if (ret->sure == NULL)
        return VEX_ENO_MEMORY;
    ret->maybe = ret->sure + b->words;
    return 0;
}

static int reach(struct bits *b, unsigned depth)
{
    struct level *level = &b->levels[depth];
    if (level->part.sure != NULL)
        return 0;
    int code = make(b, &level->part);
    return code != 0 ? code : make(b, &level->whole);
}

/* ---- conditions: ORed into `into`; `within`: slots that still count ---- */

static int filter_sets(struct bits *b, const struct vex_filter *filter, const uint64_t *within,
                       unsigned depth, struct sets ret);

static void add_ids(const struct bits *b, const struct vex_cond *cond, struct sets into)
{
    for (uint32_t i = 0; i < cond->ids.count; i++) {
        uint32_t slot = vex_rows_find(b->plan->data->rows, &cond->ids.ids[i]);
        if (slot >= b->plan->slots)
            continue;
        into.sure[slot / 64] |= UINT64_C(1) << slot % 64;
        into.maybe[slot / 64] |= UINT64_C(1) << slot % 64;
    }
}

static void add_having(const struct bits *b, const struct vex_cond *cond, struct sets into)
{
    if (cond->bound.vector_mask == 0)
        return;
    const uint64_t *present =
        vex_rows_present(b->plan->data->rows, (uint32_t)__builtin_ctzll(cond->bound.vector_mask));
    if (present == NULL)
        return;
    unite(b, into.sure, present);
    unite(b, into.maybe, present);
}

static int add_slice(const struct bits *b, const struct vex_cond *cond, const uint64_t *within,
                     struct sets into)
{
    struct vex_cond only = *cond;
    struct vex_filter filter = {.must = {&only, 1}};
    struct vex_plan *plan = b->plan;
    for (size_t w = 0; w < b->words; w++) {
        uint64_t bits = 0;
        for (uint64_t left = within[w]; left != 0; left &= left - 1) {
            uint32_t at = (uint32_t)__builtin_ctzll(left);
            struct vex_match_point point = {.id = vex_rows_id(plan->data->rows, (uint32_t)(w * 64) + at)};
            if (vex_filter_match(&filter, &point))
                bits |= UINT64_C(1) << at;
        }
        into.sure[w] |= bits;
        into.maybe[w] |= bits;
        int code = w % 64 == 63 && plan->step != NULL ? plan->step(plan->arg) : 0;
        if (code != 0)
            return code;
    }
    return 0;
}

/* The index that is to answer a condition on values; NULL: it stays open. */
static const struct vex_index *telling_index(struct vex_plan *plan, const struct vex_cond *cond)
{
    const struct vex_index *index = vex_plan_index(plan, cond);
    if (index == NULL || !vex_plan_estimate(plan, index, cond).served ||
        (plan->sparing && vex_plan_is_dear(plan, index, cond)))
        return NULL;
    return index;
}

/* ORs what the index says; NULL: nothing was asked for, or no memory. */
static const struct vex_kept_bits *make_kept(const struct vex_index *index, const struct vex_cond *cond,
                                             size_t words, const struct vex_bits_key *key)
{
    uint64_t *sure = vex_mem_try((words + 1) * sizeof *sure),
             *maybe = vex_mem_try((words + 1) * sizeof *maybe), any = 0;
    const struct vex_kept_bits *kept = NULL;

    if (sure != NULL && maybe != NULL) {
        memset(sure, 0, words * sizeof *sure);
        memset(maybe, 0, words * sizeof *maybe);
        vex_index_match(index, cond, sure, maybe, key->slots);
        for (size_t w = 0; w < words; w++)
            any |= maybe[w];
        if (any == 0) {
            vex_mem_free(maybe);
            maybe = NULL;
        }
        kept = vex_bits_cache_put(key, (struct vex_kept_bits){.sure = sure, .maybe = maybe});
    }
    if (kept == NULL) {
        vex_mem_free(sure);
        vex_mem_free(maybe);
    }
    return kept;
}

static const struct vex_kept_bits *find_kept(const struct vex_plan *plan, const struct vex_index *index,
                                             const struct vex_cond *cond)
{
    struct vex_cond only = *cond;
    struct vex_filter filter = {.must = {&only, 1}};
    const struct vex_kept_bits *kept;
    struct vex_buf what;
    bool again;

    vex_buf_init(&what, NULL);
    vex_buf_add_u8(&what, VEX_BITS_OF_CONDITION);
    vex_filter_encode(&what, &filter);
    struct vex_bits_key key = {vex_index_stamp(index), plan->slots, vex_buf_str(&what)};
    kept = vex_bits_cache_find(&key, &again);
    if (kept == NULL && again)
        kept = make_kept(index, cond, vex_plan_words(plan->slots), &key);
    vex_buf_done(&what);
    return kept;
}

/* vex_index_match, out of the cache where the condition has many matches and was asked for before. */
static void match_index(struct vex_plan *plan, const struct vex_index *index, const struct vex_cond *cond,
                        uint64_t *sure, uint64_t *maybe)
{
    size_t words = vex_plan_words(plan->slots);
    const struct vex_kept_bits *kept = NULL;

    if (vex_bits_cache_takes(plan->slots) && vex_plan_estimate(plan, index, cond).max >= KEPT_MIN)
        kept = find_kept(plan, index, cond);
    if (kept == NULL) {
        vex_index_match(index, cond, sure, maybe, plan->slots);
        return;
    }
    for (size_t w = 0; w < words; w++)
        sure[w] |= kept->sure[w];
    for (size_t w = 0; kept->maybe != NULL && w < words; w++)
        maybe[w] |= kept->maybe[w];
    vex_kept_bits_drop(kept);
}

static void add_indexed(const struct bits *b, const struct vex_cond *cond, const uint64_t *within,
                        struct sets into)
{
    const struct vex_index *index = telling_index(b->plan, cond);
    if (index == NULL) {
        unite(b, into.maybe, within);
        return;
    }
    match_index(b->plan, index, cond, into.sure, into.maybe);
    unite(b, into.maybe, into.sure);
}

static void add_nested(const struct bits *b, const struct vex_cond *cond, const uint64_t *within,
                       struct sets into)
{
    const struct vex_cond *inner = NULL;
    const struct vex_index *index = vex_plan_nested_index(b->plan, cond, &inner);
    if (index == NULL)
        unite(b, into.maybe, within);
    else
        vex_index_match(index, inner, into.maybe, into.maybe, b->plan->slots);
}

static int add_cond(struct bits *b, const struct vex_cond *cond, const uint64_t *within, unsigned depth,
                    struct sets into)
{
    struct sets whole = b->levels[depth].whole;
    int code = b->plan->step != NULL ? b->plan->step(b->plan->arg) : 0;
    if (code != 0)
        return code;
    switch (cond->kind) {
    case VEX_COND_FILTER:
        code = filter_sets(b, cond->sub, within, depth + 1, whole);
        if (code == 0) {
            unite(b, into.sure, whole.sure);
            unite(b, into.maybe, whole.maybe);
        }
        return code;
    case VEX_COND_NESTED:
        add_nested(b, cond, within, into);
        return 0;
    case VEX_COND_HAS_ID:
        add_ids(b, cond, into);
        return 0;
    case VEX_COND_HAS_VECTOR:
        add_having(b, cond, into);
        return 0;
    case VEX_COND_SLICE:
        if (b->plan->sparing) {
            unite(b, into.maybe, within);
            return 0;
        }
        return add_slice(b, cond, within, into);
    default:
        add_indexed(b, cond, within, into);
        return 0;
    }
}

/* ---- lists ---- */

/* Any of them, into `part`. */
static int list_sets(struct bits *b, const struct vex_cond_list *list, const uint64_t *within, unsigned depth,
                     struct sets part)
{
    int code = 0;
    clear(b, part.sure);
    clear(b, part.maybe);
    for (uint32_t i = 0; i < list->count && code == 0; i++)
        code = add_cond(b, &list->conds[i], within, depth, part);
    return code;
}

static bool is_on_values(const struct vex_cond *cond)
{
    return cond->kind != VEX_COND_FILTER && cond->kind != VEX_COND_NESTED && cond->kind != VEX_COND_HAS_ID &&
           cond->kind != VEX_COND_HAS_VECTOR && cond->kind != VEX_COND_SLICE;
}

/* Most filters: what an index says of a condition is put straight to what is wanted. */
static void meet_indexed(const struct bits *b, const struct vex_index *index, const struct vex_cond *cond,
                         struct sets part, struct sets ret)
{
    clear(b, part.sure);
    clear(b, part.maybe);
    match_index(b->plan, index, cond, part.sure, part.maybe);
    for (size_t w = 0; w < b->words; w++) {
        ret.sure[w] &= part.sure[w];
        ret.maybe[w] &= part.maybe[w] | part.sure[w];
    }
}

/* Slices look at every slot that is left, so they come last. */
static int must_sets(struct bits *b, const struct vex_cond_list *list, unsigned depth, struct sets ret)
{
    struct sets part = b->levels[depth].part;
    int code = 0;
    for (int slices = 0; slices < 2; slices++)
        for (uint32_t i = 0; i < list->count && code == 0; i++) {
            struct vex_cond_list one = {&list->conds[i], 1};
            if ((one.conds->kind == VEX_COND_SLICE) != (slices == 1))
                continue;
            const struct vex_index *index =
                is_on_values(one.conds) ? telling_index(b->plan, one.conds) : NULL;
            if (index != NULL) {
                meet_indexed(b, index, one.conds, part, ret);
                continue;
            }
            code = list_sets(b, &one, ret.maybe, depth, part);
            if (code == 0) {
                intersect(b, ret.sure, part.sure);
                intersect(b, ret.maybe, part.maybe);
            }
        }
    return code;
}

/* Adds 1 to the counters, one plane a binary digit, of the slots in `set`. */
static void count_up(const struct bits *b, uint64_t *planes, unsigned digits, const uint64_t *set)
{
    for (size_t w = 0; w < b->words; w++) {
        uint64_t carry = set[w];
        for (unsigned d = 0; d < digits && carry != 0; d++) {
            uint64_t *plane = planes + d * b->words + w;
            uint64_t next = *plane & carry;
            *plane ^= carry;
            carry = next;
        }
    }
}

/* Keeps the slots whose counter is at least `least`. */
static void keep_counted(const struct bits *b, const uint64_t *planes, unsigned digits, uint64_t least,
                         uint64_t *set)
{
    for (size_t w = 0; w < b->words; w++) {
        uint64_t more = 0, equal = UINT64_MAX; /* compared from the highest digit on */
        for (unsigned d = digits; d-- > 0;) {
            uint64_t plane = planes[d * b->words + w];
            if ((least >> d & 1) != 0) {
                equal &= plane;
            } else {
                more |= equal & plane;
                equal &= ~plane;
            }
        }
        set[w] &= more | equal;
    }
}

static int counted_sets(struct bits *b, const struct vex_cond_list *list, uint64_t least, unsigned depth,
                        struct sets ret)
{
    struct sets part = b->levels[depth].part;
    unsigned digits = 0;
    while (list->count >> digits != 0)
        digits++;
    uint64_t *planes = vex_mem_try(2 * digits * b->words * sizeof *planes);
    if (planes == NULL)
        return VEX_ENO_MEMORY;
    uint64_t *sure = planes, *maybe = planes + digits * b->words;
    memset(planes, 0, 2 * digits * b->words * sizeof *planes);
    int code = 0;
    for (uint32_t i = 0; i < list->count && code == 0; i++) {
        struct vex_cond_list one = {&list->conds[i], 1};
        code = list_sets(b, &one, ret.maybe, depth, part);
        if (code == 0) {
            count_up(b, sure, digits, part.sure);
            count_up(b, maybe, digits, part.maybe);
        }
    }
    if (code == 0) {
        keep_counted(b, sure, digits, least, ret.sure);
        keep_counted(b, maybe, digits, least, ret.maybe);
    }
    vex_mem_free(planes);
    return code;
}

static int min_should_sets(struct bits *b, const struct vex_filter *filter, unsigned depth, struct sets ret)
{
    if (filter->min_count == 0)
        return 0;
    if (filter->min_count > filter->min_should.count) {
        clear(b, ret.sure);
        clear(b, ret.maybe);
        return 0;
    }
    if (filter->min_should.count > COUNTED_MAX) {
        clear(b, ret.sure);
        return 0;
    }
    return counted_sets(b, &filter->min_should, filter->min_count, depth, ret);
}

/* Depth is bounded by VEX_FILTER_DEPTH_MAX, which bind has checked. */
static int filter_sets(struct bits *b, const struct vex_filter *filter, const uint64_t *within,
                       unsigned depth, struct sets ret)
{
    int code = reach(b, depth);
    if (code != 0)
        return code;
    struct sets part = b->levels[depth].part;
    memcpy(ret.sure, within, b->words * sizeof *ret.sure);
    memcpy(ret.maybe, within, b->words * sizeof *ret.maybe);
    code = must_sets(b, &filter->must, depth, ret);
    if (code == 0 && filter->should.count > 0) {
        code = list_sets(b, &filter->should, ret.maybe, depth, part);
        if (code == 0) {
            intersect(b, ret.sure, part.sure);
            intersect(b, ret.maybe, part.maybe);
        }
    }
    if (code == 0 && filter->must_not.count > 0) {
        code = list_sets(b, &filter->must_not, ret.maybe, depth, part);
        if (code == 0) {
            subtract(b, ret.sure, part.maybe);
            subtract(b, ret.maybe, part.sure);
        }
    }
    if (code == 0 && filter->has_min_should)
        code = min_should_sets(b, filter, depth, ret);
    return code;
}

/* A filter of one condition that an index answers; NULL: it is another. */
static const struct vex_index *lone_index(struct vex_plan *plan)
{
    const struct vex_filter *filter = plan->filter;
    if (filter->must.count != 1 || filter->should.count != 0 || filter->must_not.count != 0 ||
        filter->has_min_should || !is_on_values(filter->must.conds))
        return NULL;
    return telling_index(plan, filter->must.conds);
}

int vex_plan_bitmaps(struct vex_plan *plan, uint64_t *sure, uint64_t *maybe)
{
    struct bits b = {.plan = plan, .words = vex_plan_words(plan->slots)};
    const struct vex_index *index = lone_index(plan);
    if (index != NULL) {
        clear(&b, sure);
        clear(&b, maybe);
        match_index(plan, index, plan->filter->must.conds, sure, maybe);
        for (size_t w = 0; w < b.words; w++) {
            sure[w] &= plan->base[w];
            maybe[w] = (maybe[w] | sure[w]) & plan->base[w];
        }
        return 0;
    }
    int code = filter_sets(&b, plan->filter, plan->base, 0, (struct sets){sure, maybe});
    for (unsigned i = 0; i <= VEX_FILTER_DEPTH_MAX; i++) {
        vex_mem_free(b.levels[i].part.sure);
        vex_mem_free(b.levels[i].whole.sure);
    }
    return code;
}
