/* Candidates: allow bitmaps from filters and lists of ids. See candidates.h. */
#include "engine/query/candidates.h"

#include "base/mem.h"

static int step(void *arg)
{
    return vex_read_check(arg);
}

void vex_candidates_plan(struct vex_read *read, const struct vex_read_filter *filter, const uint64_t *base,
                         uint64_t base_count, struct vex_plan *ret)
{
    vex_plan_init(ret, &read->data, filter->filter, base, base_count);
    ret->step = step;
    ret->arg = read;
}

static int make(struct vex_read *read, struct vex_candidates *ret)
{
    size_t size = vex_plan_words(ret->slots) * sizeof *ret->owned;
    ret->owned = vex_mem_try(size);
    if (ret->owned == NULL)
        return vex_read_no_memory(read);
    memset(ret->owned, 0, size);
    ret->allow = ret->owned;
    return 0;
}

int vex_candidates_of(struct vex_read *read, struct vex_plan *plan, struct vex_candidates *ret)
{
    *ret = (struct vex_candidates){.slots = plan->slots};
    if (plan->slots == 0)
        return 0;
    int code = make(read, ret);
    if (code != 0)
        return code;
    code = vex_plan_find(plan, ret->owned, &ret->count);
    if (code == VEX_ENO_MEMORY)
        code = vex_read_no_memory(read);
    if (code != 0)
        vex_candidates_done(ret);
    return code;
}

/* The slots of the ids that are in the base. */
static int from_ids(struct vex_read *read, struct vex_id_list ids, const uint64_t *base,
                    struct vex_candidates *ret)
{
    int code = make(read, ret);
    for (uint32_t i = 0; i < ids.count && code == 0; i++) {
        uint32_t slot = vex_rows_find(read->data.rows, &ids.ids[i]);
        code = vex_read_step(read);
        if (slot == VEX_SLOT_NONE || !vex_plan_bit(base, ret->slots, slot) ||
            vex_plan_bit(ret->owned, ret->slots, slot))
            continue;
        ret->owned[slot / 64] |= UINT64_C(1) << slot % 64;
        ret->count++;
    }
    if (code != 0)
        vex_candidates_done(ret);
    return code;
}

/* What is kept, or what the plan finds; of a filter that is asked for again, to be kept. */
static int from_filter(struct vex_read *read, const struct vex_read_filter *filter, const uint64_t *base,
                       uint64_t most, uint32_t ordinal, struct vex_candidates *ret)
{
    struct vex_plan plan = {.data = &read->data, .filter = filter->filter};
    struct vex_buf what;
    bool again;

    vex_buf_init(&what, NULL);
    vex_buf_add_u8(&what, VEX_BITS_OF_FILTER);
    vex_buf_add_u8(&what, (uint8_t)ordinal);
    vex_filter_encode(&what, filter->filter);
    struct vex_bits_key key = {vex_rows_stamp(read->data.rows), ret->slots, vex_buf_str(&what)};
    ret->kept = vex_bits_cache_find(&key, &again);
    int code = 0;
    if (ret->kept != NULL) {
        vex_plan_note(&plan); /* an index that would serve is still missed */
    } else {
        vex_candidates_plan(read, filter, base, most, &plan);
        code = vex_candidates_of(read, &plan, ret);
        if (code == 0 && again && ret->owned != NULL && vex_bits_cache_takes(ret->slots))
            ret->kept =
                vex_bits_cache_put(&key, (struct vex_kept_bits){.sure = ret->owned, .count = ret->count});
    }
    if (ret->kept != NULL) {
        ret->allow = ret->kept->sure;
        ret->count = ret->kept->count;
        ret->owned = NULL;
    }
    vex_buf_done(&what);
    return code;
}

int vex_candidates_find(struct vex_read *read, const struct vex_read_filter *filter, struct vex_id_list ids,
                        uint32_t ordinal, struct vex_candidates *ret)
{
    const struct vex_rows *rows = read->data.rows;
    bool live = ordinal == VEX_NO_ORDINAL;
    const uint64_t *base = live ? vex_rows_live(rows) : vex_rows_present(rows, ordinal);
    uint32_t slots = vex_rows_slots(rows);
    uint64_t most = live ? vex_rows_live_count(rows) : vex_rows_present_count(rows, ordinal);
    struct vex_candidates listed = {.slots = slots};
    struct vex_plan plan;

    *ret = listed;
    if (base == NULL || slots == 0)
        return 0;
    if (!ids.given && filter->filter != NULL)
        return from_filter(read, filter, base, most, ordinal, ret);
    if (!ids.given) {
        ret->allow = base;
        ret->count = most;
        ret->all = true;
        return 0;
    }
    int code = from_ids(read, ids, base, &listed);
    if (code != 0 || filter->filter == NULL) {
        *ret = listed;
        return code;
    }
    vex_candidates_plan(read, filter, listed.allow, listed.count, &plan);
    code = vex_candidates_of(read, &plan, ret);
    vex_candidates_done(&listed);
    return code;
}

void vex_candidates_done(struct vex_candidates *candidates)
{
    vex_mem_free(candidates->owned);
    vex_kept_bits_drop(candidates->kept);
    *candidates = (struct vex_candidates){0};
}
