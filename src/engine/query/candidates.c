/* Candidates: allow bitmaps from filters and lists of ids. See candidates.h. */
#include "engine/query/candidates.h"

#include "base/mem.h"

static struct vex_id_list shorter(struct vex_id_list a, struct vex_id_list b)
{
    if (!a.given)
        return b;
    return b.given && b.count < a.count ? b : a;
}

static struct vex_id_list cond_ids(const struct vex_cond *cond)
{
    if (cond->kind == VEX_COND_HAS_ID)
        return (struct vex_id_list){cond->ids.ids, cond->ids.count, true};
    if (cond->kind == VEX_COND_FILTER)
        return vex_filter_ids(cond->sub);
    return (struct vex_id_list){0};
}

/* Recursion is bounded by VEX_FILTER_DEPTH_MAX, which bind has checked. */
struct vex_id_list vex_filter_ids(const struct vex_filter *filter)
{
    struct vex_id_list best = {0};
    if (filter == NULL)
        return best;
    for (uint32_t i = 0; i < filter->must.count; i++)
        best = shorter(best, cond_ids(&filter->must.conds[i]));
    if (filter->should.count == 1)
        best = shorter(best, cond_ids(&filter->should.conds[0]));
    return best;
}

static uint64_t count_bits(const uint64_t *words, size_t count)
{
    uint64_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += (uint64_t)__builtin_popcountll(words[i]);
    return n;
}

static int from_ids(struct vex_read *read, const struct vex_read_filter *filter, struct vex_id_list ids,
                    const uint64_t *base, struct vex_candidates *ret)
{
    for (uint32_t i = 0; i < ids.count; i++) {
        int code = vex_read_step(read);
        if (code != 0)
            return code;
        uint32_t slot = vex_rows_find(read->data.rows, &ids.ids[i]);
        if (slot == VEX_SLOT_NONE)
            continue;
        uint64_t bit = UINT64_C(1) << (slot % 64);
        if ((base[slot / 64] & bit) == 0 || (ret->owned[slot / 64] & bit) != 0)
            continue;
        if (vex_read_matches(read, filter, slot)) {
            ret->owned[slot / 64] |= bit;
            ret->count++;
        }
    }
    return 0;
}

static int from_filter(struct vex_read *read, const struct vex_read_filter *filter, const uint64_t *base,
                       struct vex_candidates *ret)
{
    struct vex_candidates all = {.allow = base, .slots = ret->slots, .count = 1};
    uint32_t at = 0, slot;
    while ((slot = vex_candidates_next(&all, &at)) != VEX_SLOT_NONE) {
        int code = vex_read_step(read);
        if (code != 0)
            return code;
        if (vex_read_matches(read, filter, slot)) {
            ret->owned[slot / 64] |= UINT64_C(1) << (slot % 64);
            ret->count++;
        }
    }
    return 0;
}

/* Both lists restrict: what is only in one of them goes. */
static int keep_ids(struct vex_read *read, struct vex_id_list ids, struct vex_candidates *candidates)
{
    struct vex_read_filter none = {0};
    struct vex_candidates kept = {.slots = candidates->slots};
    kept.owned = vex_mem_try(((size_t)kept.slots + 63) / 64 * 8);
    if (kept.owned == NULL)
        return vex_read_no_memory(read);
    memset(kept.owned, 0, ((size_t)kept.slots + 63) / 64 * 8);
    int code = from_ids(read, &none, ids, candidates->owned, &kept);
    vex_mem_free(candidates->owned);
    candidates->owned = kept.owned;
    candidates->count = kept.count;
    return code;
}

int vex_candidates_find(struct vex_read *read, const struct vex_read_filter *filter, struct vex_id_list ids,
                        uint32_t ordinal, struct vex_candidates *ret)
{
    const struct vex_rows *rows = read->data.rows;
    const uint64_t *base = ordinal == VEX_NO_ORDINAL ? vex_rows_live(rows) : vex_rows_present(rows, ordinal);
    uint32_t slots = vex_rows_slots(rows);
    size_t words = ((size_t)slots + 63) / 64;
    *ret = (struct vex_candidates){.slots = slots};
    if (base == NULL || slots == 0)
        return 0;
    struct vex_id_list inner = vex_filter_ids(filter->filter);
    if (filter->filter == NULL && !ids.given) {
        ret->allow = base;
        ret->count = count_bits(base, words);
        return 0;
    }
    ret->owned = vex_mem_try(words * 8);
    if (ret->owned == NULL)
        return vex_read_no_memory(read);
    memset(ret->owned, 0, words * 8);
    struct vex_id_list list = ids.given ? ids : inner;
    /* A condition on ids is answered by the filter itself, whichever list is walked. */
    if (ids.given && inner.given && inner.count < ids.count)
        list = inner;
    int code = list.given ? from_ids(read, filter, list, base, ret) : from_filter(read, filter, base, ret);
    if (code == 0 && ids.given && list.ids != ids.ids)
        code = keep_ids(read, ids, ret);
    ret->allow = ret->owned;
    if (code != 0)
        vex_candidates_done(ret);
    return code;
}

void vex_candidates_done(struct vex_candidates *candidates)
{
    vex_mem_free(candidates->owned);
    *candidates = (struct vex_candidates){0};
}
