/* Plan: estimates of a filter's parts, the choice among the ways to its matches, and going them. See plan.h. */
#include "engine/query/plan.h"

#include "base/mem.h"
#include "engine/index/slots.h"

#define STEPS      1024u /* slots between two calls of step */
#define ENTRY_NS   1u    /* an entry of an index put into a bitmap */
#define WORD_SHARE 16u   /* slots that a set of many is united in the time of one entry */
#define DEAR_SHARE                                                                                           \
    4u /* times what going over a bitmap costs: a condition whose bitmap is better not made for a page */
#define SLICE_NS  40u   /* an id hashed */
#define TEXT_MAX  1024u /* bytes of a path put together */
#define NOTES_MAX 64u   /* conditions of a filter that are told to the index set */

/* ---- estimates ---- */

const struct vex_index *vex_plan_index(const struct vex_plan *plan, const struct vex_cond *cond)
{
    return plan->data->indexes != NULL ? vex_index_set_find(plan->data->indexes, &cond->path) : NULL;
}

struct element_path {
    struct vex_step steps[2 * VEX_PATH_STEPS_MAX + 1];
    char text[TEXT_MAX];
    struct vex_path path;
};

/* `key` or `key[]`, then `[].inner`. False: too long, or elements are not objects. */
static bool join_element(struct element_path *joined, const struct vex_path *key,
                         const struct vex_path *inner)
{
    struct vex_step *steps = joined->steps;
    char *text = joined->text;
    uint32_t count = key->count;
    size_t len = key->text.len;
    if (count == 0 || count > VEX_PATH_STEPS_MAX || inner->count > VEX_PATH_STEPS_MAX || inner->count == 0 ||
        inner->steps[0].kind != VEX_STEP_KEY || len + inner->text.len + 3 > TEXT_MAX)
        return false;
    memcpy(steps, key->steps, count * sizeof *steps);
    memcpy(text, key->text.ptr, len);
    if (steps[count - 1].kind != VEX_STEP_ALL) {
        steps[count++] = (struct vex_step){.kind = VEX_STEP_ALL};
        memcpy(text + len, "[]", 2);
        len += 2;
    }
    text[len++] = '.';
    memcpy(text + len, inner->text.ptr, inner->text.len);
    memcpy(steps + count, inner->steps, inner->count * sizeof *steps);
    joined->path = (struct vex_path){vex_str(text, len + inner->text.len), steps, count + inner->count};
    return true;
}

static const struct vex_index *element_index(const struct vex_plan *plan, const struct vex_path *key,
                                             const struct vex_path *inner)
{
    struct element_path joined;
    if (plan->data->indexes == NULL || !join_element(&joined, key, inner))
        return NULL;
    return vex_index_set_find(plan->data->indexes, &joined.path);
}

/* Conditions that hold as soon as one value does, however the elements are cut. */
static bool one_value_is_enough(const struct vex_cond *cond)
{
    switch (cond->kind) {
    case VEX_COND_ANY:
    case VEX_COND_EXCEPT:
    case VEX_COND_NUMBERS:
    case VEX_COND_PREFIX:
    case VEX_COND_SUBSTRING:
    case VEX_COND_RANGE:
    case VEX_COND_TIME:
    case VEX_COND_GEO_BOX:
    case VEX_COND_GEO_RADIUS:
    case VEX_COND_GEO_POLYGON:
        return true;
    default:
        return false;
    }
}

const struct vex_index *vex_plan_nested_index(const struct vex_plan *plan, const struct vex_cond *nested,
                                              const struct vex_cond **ret_inner)
{
    const struct vex_index *best = NULL;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < nested->sub->must.count; i++) {
        const struct vex_cond *inner = &nested->sub->must.conds[i];
        const struct vex_index *index =
            one_value_is_enough(inner) ? element_index(plan, &nested->path, &inner->path) : NULL;
        if (index == NULL)
            continue;
        struct vex_index_estimate estimate = vex_index_estimate(index, inner);
        if (!estimate.served || estimate.max >= least)
            continue;
        best = index;
        least = estimate.max;
        *ret_inner = inner;
    }
    return best;
}

static struct vex_plan_bounds bounds_of(struct vex_plan *plan, const struct vex_filter *filter);

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A read is planned for its cost and once more when it runs: meanwhile the index has rarely changed. Conditions belong to one read
 * each, and binding has changed this one before. */
static struct vex_index_estimate recalled(const struct vex_index *index, const struct vex_cond *cond)
{
    struct vex_cond *own = (struct vex_cond *)(uintptr_t)cond;
    uint64_t stamp = vex_index_stamp(index);
    if (cond->bound.estimate.stamp == stamp)
        return (struct vex_index_estimate){true, cond->bound.estimate.min, cond->bound.estimate.max};
    struct vex_index_estimate estimate = vex_index_estimate(index, cond);
    if (estimate.served) {
        own->bound.estimate.stamp = stamp;
        own->bound.estimate.min = estimate.min;
        own->bound.estimate.max = estimate.max;
    }
    return estimate;
}

struct vex_index_estimate vex_plan_estimate(struct vex_plan *plan, const struct vex_index *index,
                                            const struct vex_cond *cond)
{
    for (uint32_t i = 0; i < plan->estimate_count; i++)
        if (plan->estimates[i].cond == cond)
            return plan->estimates[i].estimate;
    struct vex_index_estimate estimate = recalled(index, cond);
    if (plan->estimate_count < VEX_PLAN_ESTIMATES) {
        plan->estimates[plan->estimate_count].cond = cond;
        plan->estimates[plan->estimate_count++].estimate = estimate;
    }
    return estimate;
}

/* Values with few slots each cost a bit an entry; great sets are united by words. */
static uint64_t entries_ns(struct vex_plan *plan, const struct vex_index *index, const struct vex_cond *cond)
{
    uint64_t most = vex_plan_estimate(plan, index, cond).max;
    if (cond->kind == VEX_COND_ANY && cond->values.text_count + cond->values.int_count <= 1 &&
        vex_index_type(index) != VEX_INDEX_FLOAT && vex_index_type(index) != VEX_INDEX_INTEGER)
        most = least_of(most, plan->slots / WORD_SHARE);
    return least_of(most, plan->base_count) * ENTRY_NS;
}

bool vex_plan_is_dear(struct vex_plan *plan, const struct vex_index *index, const struct vex_cond *cond)
{
    return entries_ns(plan, index, cond) > DEAR_SHARE * vex_plan_words(plan->slots);
}

static double share(double part, double all)
{
    return all < 1 || part >= all ? 1 : part / all;
}

static struct vex_plan_bounds indexed(struct vex_plan *plan, const struct vex_index *index,
                                      const struct vex_cond *cond)
{
    uint64_t all = plan->base_count, words = vex_plan_words(plan->slots);
    struct vex_plan_bounds unknown = {
        .max = all, .work = words, .cheap = words, .likely = 0.5, .kept = 1, .open = true};
    if (index == NULL)
        return unknown;
    struct vex_index_estimate estimate = vex_plan_estimate(plan, index, cond);
    if (!estimate.served)
        return unknown;
    struct vex_plan_bounds bounds = {
        .min = least_of(estimate.min, all),
        .max = least_of(estimate.max, all),
        .work = words + entries_ns(plan, index, cond),
        .cheap = words,
        .kept = 1,
        .narrows = true,
    };
    bounds.likely = share((double)bounds.min + (double)bounds.max, 2 * (double)all);
    if (!vex_plan_is_dear(plan, index, cond)) {
        bounds.cheap = bounds.work;
        bounds.kept = bounds.likely;
    }
    return bounds;
}

static struct vex_plan_bounds cond_bounds(struct vex_plan *plan, const struct vex_cond *cond)
{
    uint64_t all = plan->base_count, words = vex_plan_words(plan->slots);
    struct vex_plan_bounds bounds = {
        .max = all, .work = words, .cheap = words, .likely = 0.5, .kept = 1, .narrows = true};
    const struct vex_cond *inner = cond;
    switch (cond->kind) {
    case VEX_COND_FILTER:
        return bounds_of(plan, cond->sub);
    case VEX_COND_NESTED:
        bounds = indexed(plan, vex_plan_nested_index(plan, cond, &inner), inner);
        bounds.min = 0;
        bounds.open = true;
        return bounds;
    case VEX_COND_HAS_ID:
        bounds.max = least_of(cond->ids.count, all);
        bounds.likely = bounds.kept = share((double)bounds.max, (double)all);
        bounds.work += (uint64_t)cond->ids.count * VEX_PLAN_ID_NS;
        bounds.cheap = bounds.work;
        return bounds;
    case VEX_COND_HAS_VECTOR:
        return bounds;
    case VEX_COND_SLICE:
        if (cond->slice.total != 0)
            bounds.min = bounds.max = all / cond->slice.total;
        bounds.likely = share((double)bounds.max, (double)all);
        bounds.work += all * SLICE_NS;
        return bounds;
    default:
        return indexed(plan, vex_plan_index(plan, cond), cond);
    }
}

static struct vex_plan_bounds both(struct vex_plan_bounds a, struct vex_plan_bounds b, uint64_t all)
{
    return (struct vex_plan_bounds){
        .min = a.min + b.min > all ? a.min + b.min - all : 0,
        .max = least_of(a.max, b.max),
        .work = a.work + b.work,
        .cheap = a.cheap + b.cheap,
        .likely = a.likely * b.likely,
        .kept = a.kept * b.kept,
        .open = a.open || b.open,
        .narrows = a.narrows || b.narrows,
    };
}

static struct vex_plan_bounds any_of(struct vex_plan *plan, const struct vex_cond_list *list)
{
    struct vex_plan_bounds any = {.narrows = true};
    for (uint32_t i = 0; i < list->count; i++) {
        struct vex_plan_bounds one = cond_bounds(plan, &list->conds[i]);
        any.min = one.min > any.min ? one.min : any.min;
        any.max = least_of(any.max + one.max, plan->base_count);
        any.work += one.work;
        any.cheap += one.cheap;
        any.likely = any.likely + one.likely < 1 ? any.likely + one.likely : 1;
        any.kept = any.kept + one.kept < 1 ? any.kept + one.kept : 1;
        any.open = any.open || one.open;
        any.narrows = any.narrows && one.narrows;
    }
    return any;
}

/* Depth is bounded by VEX_FILTER_DEPTH_MAX, which bind has checked. */
static struct vex_plan_bounds bounds_of(struct vex_plan *plan, const struct vex_filter *filter)
{
    uint64_t all = plan->base_count;
    struct vex_plan_bounds bounds = {.min = all, .max = all, .likely = 1, .kept = 1};
    for (uint32_t i = 0; i < filter->must.count; i++)
        bounds = both(bounds, cond_bounds(plan, &filter->must.conds[i]), all);
    if (filter->should.count > 0)
        bounds = both(bounds, any_of(plan, &filter->should), all);
    if (filter->must_not.count > 0) {
        struct vex_plan_bounds none = any_of(plan, &filter->must_not);
        uint64_t min = none.min;
        none.min = all - none.max;
        none.max = all - min;
        none.likely = 1 - none.likely;
        none.kept = 1; /* what is dear there could not be told */
        bounds = both(bounds, none, all);
    }
    if (filter->has_min_should) { /* at least one of them; all cost */
        struct vex_plan_bounds some = any_of(plan, &filter->min_should);
        some.min = 0;
        some.kept = 1;
        if (filter->min_count == 0) {
            some.max = all;
            some.likely = 1;
        }
        bounds = both(bounds, some, all);
    }
    return bounds;
}

/* ---- the condition that leads ---- */

static void lead_in(struct vex_plan *plan, const struct vex_filter *filter);

static void lead_cond(struct vex_plan *plan, const struct vex_cond *cond)
{
    const struct vex_index *index = NULL;
    uint64_t count;
    switch (cond->kind) {
    case VEX_COND_FILTER:
        lead_in(plan, cond->sub);
        return;
    case VEX_COND_HAS_ID:
        count = cond->ids.count;
        break;
    case VEX_COND_NESTED:
    case VEX_COND_HAS_VECTOR:
    case VEX_COND_SLICE:
        return;
    default:
        index = vex_plan_index(plan, cond);
        if (index == NULL)
            return;
        struct vex_index_estimate estimate = vex_plan_estimate(plan, index, cond);
        if (!estimate.served || estimate.min != estimate.max)
            return;
        count = estimate.max;
    }
    if (plan->lead != NULL && plan->lead_count <= count)
        return;
    plan->lead = cond;
    plan->lead_index = index;
    plan->lead_count = count;
}

static void lead_in(struct vex_plan *plan, const struct vex_filter *filter)
{
    for (uint32_t i = 0; i < filter->must.count; i++)
        lead_cond(plan, &filter->must.conds[i]);
    if (filter->should.count == 1)
        lead_cond(plan, &filter->should.conds[0]);
}

/* The filter is this condition alone. */
static bool is_alone(const struct vex_filter *filter, const struct vex_cond *cond)
{
    if (filter->must.count + filter->should.count != 1 || filter->must_not.count != 0 ||
        filter->has_min_should)
        return false;
    const struct vex_cond *only = filter->must.count == 1 ? filter->must.conds : filter->should.conds;
    return only == cond || (only->kind == VEX_COND_FILTER && is_alone(only->sub, cond));
}

/* ---- choice ---- */

void vex_plan_init(struct vex_plan *plan, const struct vex_collection_data *data,
                   const struct vex_filter *filter, const uint64_t *base, uint64_t base_count)
{
    *plan = (struct vex_plan){.data = data, .filter = filter, .base = base, .base_count = base_count};
    plan->slots = vex_rows_slots(data->rows);
    plan->bounds = (struct vex_plan_bounds){.min = base_count, .max = base_count};
    plan->find_ns = vex_plan_words(plan->slots);
    if (filter == NULL)
        return;
    if (data->indexes != NULL)
        plan->pending = vex_index_set_pending(data->indexes, &plan->pending_slots, &plan->pending_count);
    plan->bounds = bounds_of(plan, filter);
    lead_in(plan, filter);
    plan->lead_whole = plan->lead != NULL && is_alone(filter, plan->lead);
    uint64_t pending = plan->pending_count * VEX_PLAN_READ_NS;
    uint64_t bits = plan->bounds.work + pending;
    if (plan->bounds.open)
        bits += plan->bounds.max * VEX_PLAN_READ_NS;
    uint64_t lead = UINT64_MAX;
    if (plan->lead != NULL && plan->lead_count < UINT64_MAX / VEX_PLAN_READ_NS / 4)
        lead = plan->lead_count * (plan->lead_index != NULL ? 8 : VEX_PLAN_ID_NS) + pending +
               (plan->lead_whole && plan->lead_index != NULL ? 0 : plan->lead_count * VEX_PLAN_READ_NS);
    plan->way = VEX_PLAN_READ;
    plan->find_ns = base_count * VEX_PLAN_READ_NS + vex_plan_words(plan->slots);
    if (plan->bounds.narrows && bits < plan->find_ns) {
        plan->way = VEX_PLAN_BITS;
        plan->find_ns = bits;
    }
    if (lead < plan->find_ns) {
        plan->way = VEX_PLAN_LEAD;
        plan->find_ns = lead;
    }
}

/* ---- what no index serves ---- */

static void note_in(const struct vex_plan *plan, const struct vex_filter *filter, unsigned *left);

static void note_nested(const struct vex_plan *plan, const struct vex_cond *nested)
{
    const struct vex_cond *inner = NULL;
    struct element_path joined;
    if (vex_plan_nested_index(plan, nested, &inner) != NULL)
        return;
    for (uint32_t i = 0; i < nested->sub->must.count && i < NOTES_MAX; i++) {
        inner = &nested->sub->must.conds[i];
        if (one_value_is_enough(inner) && join_element(&joined, &nested->path, &inner->path))
            vex_index_set_missed(plan->data->indexes, &joined.path, inner);
    }
}

static void note_list(const struct vex_plan *plan, const struct vex_cond_list *list, unsigned *left)
{
    for (uint32_t i = 0; i<list->count && * left> 0; i++) {
        const struct vex_cond *cond = &list->conds[i];
        --*left;
        if (cond->kind == VEX_COND_FILTER)
            note_in(plan, cond->sub, left);
        else if (cond->kind == VEX_COND_NESTED)
            note_nested(plan, cond);
        else if (cond->path.count > 0 && vex_plan_index(plan, cond) == NULL)
            vex_index_set_missed(plan->data->indexes, &cond->path, cond);
    }
}

static void note_in(const struct vex_plan *plan, const struct vex_filter *filter, unsigned *left)
{
    note_list(plan, &filter->must, left);
    note_list(plan, &filter->should, left);
    note_list(plan, &filter->must_not, left);
    note_list(plan, &filter->min_should, left);
}

void vex_plan_note(struct vex_plan *plan)
{
    unsigned left = NOTES_MAX;
    bool first = !plan->noted;
    plan->noted = true;
    if (first && plan->filter != NULL && vex_index_set_learns(plan->data->indexes))
        note_in(plan, plan->filter, &left);
}

/* ---- going ---- */

bool vex_plan_match(const struct vex_collection_data *data, const struct vex_filter *filter, uint32_t slot)
{
    if (filter == NULL)
        return true;
    struct vex_match_point point = {
        .id = vex_rows_id(data->rows, slot),
        .payload = vex_collection_payload(data, slot),
        .vectors = vex_rows_at(data->rows, slot)->vectors,
    };
    return vex_filter_match(filter, &point);
}

/* Slots on their way into the answer. */
struct finding {
    struct vex_plan *plan;
    uint64_t *bits;
    uint64_t count;
    uint32_t steps;
    bool told;     /* the filter need not be asked again */
    bool by_index; /* then pending slots are left for later */
};

static int take(struct finding *f, uint32_t slot)
{
    struct vex_plan *plan = f->plan;
    uint64_t bit = UINT64_C(1) << slot % 64;
    if (++f->steps % STEPS == 0 && plan->step != NULL) {
        int code = plan->step(plan->arg);
        if (code != 0)
            return code;
    }
    if ((f->bits[slot / 64] & bit) == 0 && (f->told || vex_plan_match(plan->data, plan->filter, slot))) {
        f->bits[slot / 64] |= bit;
        f->count++;
    }
    return 0;
}

static int take_led(void *arg, uint32_t slot)
{
    struct finding *f = arg;
    const struct vex_plan *plan = f->plan;
    if (!vex_plan_bit(plan->base, plan->slots, slot))
        return 0;
    if (f->by_index && plan->pending != NULL && vex_plan_bit(plan->pending, plan->pending_slots, slot))
        return 0;
    return take(f, slot);
}

/* Reads the slots of `some` that are in the base and not in `known` (NULL: none is). */
static int take_all(struct finding *f, const uint64_t *some, uint32_t slots, const uint64_t *known)
{
    const struct vex_plan *plan = f->plan;
    size_t words = vex_plan_words(slots < plan->slots ? slots : plan->slots);
    for (size_t w = 0; w < words; w++) {
        uint64_t left = some[w] & plan->base[w] & ~(known != NULL ? known[w] : 0);
        for (; left != 0; left &= left - 1) {
            int code = take(f, (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(left));
            if (code != 0)
                return code;
        }
    }
    return 0;
}

static int take_pending(struct finding *f)
{
    const struct vex_plan *plan = f->plan;
    f->told = false;
    return plan->pending != NULL ? take_all(f, plan->pending, plan->pending_slots, NULL) : 0;
}

static int find_by_lead(struct finding *f)
{
    struct vex_plan *plan = f->plan;
    const struct vex_cond *lead = plan->lead;
    int code = 0;
    f->by_index = plan->lead_index != NULL;
    f->told = plan->lead_whole;
    if (f->by_index) {
        code = vex_index_each(plan->lead_index, lead, take_led, f);
        return code != 0 ? code : take_pending(f);
    }
    for (uint32_t i = 0; i < lead->ids.count && code == 0; i++) {
        uint32_t slot = vex_rows_find(plan->data->rows, &lead->ids.ids[i]);
        if (slot != VEX_SLOT_NONE)
            code = take_led(f, slot);
    }
    return code;
}

static int find_by_bitmaps(struct finding *f)
{
    struct vex_plan *plan = f->plan;
    size_t words = vex_plan_words(plan->slots), pending = vex_plan_words(plan->pending_slots);
    uint64_t *maybe = vex_mem_try(words * sizeof *maybe), *sure = f->bits;
    if (maybe == NULL)
        return VEX_ENO_MEMORY;
    int code = vex_plan_bitmaps(plan, sure, maybe);
    if (code == 0 && plan->pending != NULL)
        for (size_t w = 0; w < words && w < pending; w++) {
            sure[w] &= ~plan->pending[w];
            maybe[w] |= plan->pending[w];
        }
    if (code == 0) {
        f->count += vex_bits_count(sure, words);
        code = take_all(f, maybe, plan->slots, sure);
    }
    vex_mem_free(maybe);
    return code;
}

int vex_plan_find(struct vex_plan *plan, uint64_t *bits, uint64_t *ret_count)
{
    struct finding f = {.plan = plan, .bits = bits};
    int code = 0;
    vex_plan_note(plan);
    if (plan->slots > 0 && plan->base != NULL) {
        switch (plan->way) {
        case VEX_PLAN_ALL:
            f.told = true;
            code = take_all(&f, plan->base, plan->slots, NULL);
            break;
        case VEX_PLAN_READ:
            code = take_all(&f, plan->base, plan->slots, NULL);
            break;
        case VEX_PLAN_LEAD:
            code = find_by_lead(&f);
            break;
        case VEX_PLAN_BITS:
            code = find_by_bitmaps(&f);
            break;
        }
    }
    *ret_count = f.count;
    return code;
}

int vex_plan_screen(struct vex_plan *plan, uint64_t *screen)
{
    size_t words = vex_plan_words(plan->slots), pending = vex_plan_words(plan->pending_slots);
    uint64_t *sure = vex_mem_try((words + 1) * sizeof *sure);
    if (sure == NULL)
        return VEX_ENO_MEMORY;
    plan->sparing = true;
    int code = vex_plan_bitmaps(plan, sure, screen);
    plan->sparing = false;
    for (size_t w = 0; plan->pending != NULL && w < words && w < pending; w++)
        screen[w] |= plan->pending[w];
    vex_mem_free(sure);
    return code;
}

/* An index that is up to date holds live slots only. */
bool vex_plan_is_counted(const struct vex_plan *plan)
{
    return plan->lead_whole && plan->lead_index != NULL && plan->pending == NULL;
}

int vex_plan_count(struct vex_plan *plan, uint64_t *ret_count)
{
    if (plan->filter == NULL) {
        *ret_count = plan->base_count;
        return 0;
    }
    if (vex_plan_is_counted(plan)) {
        *ret_count = plan->lead_count;
        return 0;
    }
    size_t size = vex_plan_words(plan->slots) * sizeof(uint64_t);
    uint64_t *bits = vex_mem_try(size + 1);
    if (bits == NULL)
        return VEX_ENO_MEMORY;
    memset(bits, 0, size);
    int code = vex_plan_find(plan, bits, ret_count);
    vex_mem_free(bits);
    return code;
}
