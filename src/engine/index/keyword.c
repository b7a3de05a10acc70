/* Value store of keyword and uuid fields: a dictionary of the texts as they are, and the slots of each.
 *
 * Owner      The index. Lock: the index's; prepare beside readers.
 * Order      With `prefix`, the ids of the terms are kept in order of their texts: a sorted array and a short unsorted tail. A term
 *            whose last slot goes stays in both until the next merge (its id must not come to mean another text); without it, the
 *            term goes at once.
 * Format     Dictionary, postings; with `prefix` u32 count and the ids in order, u32 count and those of the tail. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/index/dictionary.h"
#include "engine/index/private.h"

#define TAIL_MIN     1024u /* a merge is due when more ids are in the tail than this and than a share of all */
#define TAIL_SHARE   128u
#define GHOST_SHARE  8u
#define OVERDUE      2u                   /* times both: at once, when nobody prepares */
#define ESTIMATE_MAX 1024u                /* terms that an estimate looks at */
#define BATCH        256u                 /* texts of a list that are looked up together */
#define AHEAD        (4 * VEX_TERM_GROUP) /* ids that a facet fetches ahead */

struct keyword {
    struct vex_dict dict;
    struct vex_postings postings;
    bool ordered;
    bool has_pending;
    uint32_t *sorted, *tail, *pending;
    uint32_t sorted_count, tail_count, tail_room, pending_count;
    uint32_t ghosts; /* terms without slots; ordered only */
};

static void *make(const struct vex_index_params *params, struct vex_err *err)
{
    struct keyword *keyword = VEX_NEW(struct keyword);

    (void)err;
    vex_dict_init(&keyword->dict);
    vex_postings_init(&keyword->postings);
    keyword->ordered = params->type == VEX_INDEX_KEYWORD && params->prefix;
    return keyword;
}

static void free_keyword(void *values)
{
    struct keyword *keyword = values;

    vex_dict_done(&keyword->dict);
    vex_postings_done(&keyword->postings);
    vex_mem_free(keyword->sorted);
    vex_mem_free(keyword->tail);
    vex_mem_free(keyword->pending);
    vex_mem_free(keyword);
}

/* ---- order of the terms ---- */

static int by_key(const void *a, const void *b, void *arg)
{
    const struct vex_dict *dict = arg;

    return vex_str_cmp(vex_dict_key(dict, *(const uint32_t *)a), vex_dict_key(dict, *(const uint32_t *)b));
}

/* First place of the sorted ids in [lo, count) whose text is not below the key; near ones are found fast. */
static uint32_t seek(const struct keyword *keyword, uint32_t lo, struct vex_str key)
{
    uint64_t at = lo, step = 1;
    uint32_t hi = keyword->sorted_count;

    for (; at < hi && vex_str_cmp(vex_dict_key(&keyword->dict, keyword->sorted[at]), key) < 0; step *= 2) {
        lo = (uint32_t)at + 1;
        at += step;
    }
    hi = at < hi ? (uint32_t)at : hi;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (vex_str_cmp(vex_dict_key(&keyword->dict, keyword->sorted[mid]), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static uint32_t copy_living(const struct keyword *keyword, uint32_t lo, uint32_t hi, uint32_t *to)
{
    uint32_t count = 0;

    if (keyword->ghosts == 0) {
        if (hi > lo)
            memcpy(to, keyword->sorted + lo, (hi - lo) * sizeof *to);
        return hi - lo;
    }
    for (uint32_t i = lo; i < hi; i++)
        if (!vex_postings_empty(&keyword->postings, keyword->sorted[i]))
            to[count++] = keyword->sorted[i];
    return count;
}

/* Sorted ids and the tail as one array, without terms that have no slots. */
static uint32_t *merge(const struct keyword *keyword, uint32_t *ret_count)
{
    size_t room = (size_t)keyword->sorted_count + keyword->tail_count + 1;
    uint32_t *to = vex_mem_alloc(room * sizeof *to);
    uint32_t *tail = vex_mem_alloc((keyword->tail_count + 1) * sizeof *tail);
    uint32_t count = 0, from = 0;

    if (keyword->tail_count > 0) {
        memcpy(tail, keyword->tail, keyword->tail_count * sizeof *tail);
        qsort_r(tail, keyword->tail_count, sizeof *tail, by_key, (void *)(uintptr_t)&keyword->dict);
    }
    for (uint32_t i = 0; i < keyword->tail_count; i++) {
        uint32_t at;
        if (vex_postings_empty(&keyword->postings, tail[i]))
            continue;
        at = seek(keyword, from, vex_dict_key(&keyword->dict, tail[i]));
        count += copy_living(keyword, from, at, to + count);
        to[count++] = tail[i];
        from = at;
    }
    count += copy_living(keyword, from, keyword->sorted_count, to + count);
    vex_mem_free(tail);
    *ret_count = count;
    return to;
}

static void drop_ghosts(struct keyword *keyword, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count && keyword->ghosts > 0; i++)
        if (vex_postings_empty(&keyword->postings, ids[i])) {
            vex_dict_drop(&keyword->dict, ids[i]);
            keyword->ghosts--;
        }
}

static void replace(struct keyword *keyword, uint32_t *sorted, uint32_t count)
{
    drop_ghosts(keyword, keyword->sorted, keyword->sorted_count);
    drop_ghosts(keyword, keyword->tail, keyword->tail_count);
    vex_mem_free(keyword->sorted);
    vex_mem_free(keyword->tail);
    keyword->sorted = sorted;
    keyword->sorted_count = count;
    keyword->tail = NULL;
    keyword->tail_count = keyword->tail_room = 0;
}

static bool due(const struct keyword *keyword, uint32_t times)
{
    uint32_t terms = vex_dict_count(&keyword->dict);

    return (keyword->tail_count > TAIL_MIN * times && keyword->tail_count > terms / TAIL_SHARE * times) ||
           (keyword->ghosts > TAIL_MIN * times && keyword->ghosts > terms / GHOST_SHARE * times);
}

static bool prepare(void *values)
{
    struct keyword *keyword = values;

    vex_mem_free(keyword->pending);
    keyword->pending = NULL;
    keyword->has_pending = keyword->ordered && due(keyword, 1);
    if (keyword->has_pending)
        keyword->pending = merge(keyword, &keyword->pending_count);
    return keyword->has_pending;
}

static void publish(void *values)
{
    struct keyword *keyword = values;

    if (!keyword->has_pending)
        return;
    replace(keyword, keyword->pending, keyword->pending_count);
    keyword->pending = NULL;
    keyword->has_pending = false;
}

/* Before and after every change: what was prepared is void, and a merge that nobody prepared may be overdue. */
static void changed(struct keyword *keyword)
{
    uint32_t count, *sorted;

    vex_mem_free(keyword->pending);
    keyword->pending = NULL;
    keyword->has_pending = false;
    if (!keyword->ordered || !due(keyword, OVERDUE))
        return;
    sorted = merge(keyword, &count);
    replace(keyword, sorted, count);
}

static void add_to_order(struct keyword *keyword, uint32_t id)
{
    if (keyword->tail_count == keyword->tail_room) {
        keyword->tail_room = keyword->tail_room + keyword->tail_room / 2 + 8;
        keyword->tail = vex_mem_realloc(keyword->tail, keyword->tail_room * sizeof *keyword->tail);
    }
    keyword->tail[keyword->tail_count++] = id;
}

/* ---- changing ---- */

static bool add(void *values, uint32_t slot, struct vex_value v)
{
    struct keyword *keyword = values;
    uint32_t before = vex_dict_count(&keyword->dict), id;

    if (vex_value_kind(v) != VEX_VALUE_TEXT)
        return false;
    id = vex_dict_put(&keyword->dict, vex_value_text(v));
    if (keyword->ordered) {
        if (vex_dict_count(&keyword->dict) != before)
            add_to_order(keyword, id);
        else
            keyword->ghosts -= vex_postings_empty(&keyword->postings, id);
    }
    vex_postings_add(&keyword->postings, id, slot);
    changed(keyword);
    return true;
}

static void emptied(void *arg, uint32_t id)
{
    struct keyword *keyword = arg;

    if (keyword->ordered)
        keyword->ghosts++;
    else
        vex_dict_drop(&keyword->dict, id);
}

static void remove_value(void *values, uint32_t slot, struct vex_value v)
{
    struct keyword *keyword = values;
    uint32_t id;

    if (vex_value_kind(v) != VEX_VALUE_TEXT)
        return;
    id = vex_dict_find(&keyword->dict, vex_value_text(v));
    if (id == VEX_TERM_NONE || !vex_postings_remove(&keyword->postings, id, slot))
        return;
    if (vex_postings_empty(&keyword->postings, id))
        emptied(keyword, id);
    changed(keyword);
}

static void forget(void *values, const uint64_t *bits, uint32_t slots)
{
    struct keyword *keyword = values;

    vex_postings_forget(&keyword->postings, bits, slots, emptied, keyword);
    changed(keyword);
}

static uint64_t bytes(const void *values)
{
    const struct keyword *keyword = values;

    return sizeof *keyword + vex_dict_bytes(&keyword->dict) + vex_postings_bytes(&keyword->postings) +
           ((uint64_t)keyword->sorted_count + keyword->tail_room) * sizeof(uint32_t);
}

/* ---- conditions ---- */

/* Calls fn with the terms that a condition asks for. */
struct terms {
    const struct keyword *keyword;
    const struct vex_cond *cond;
    int (*fn)(void *arg, uint32_t id);
    void *arg;
};

static bool wanted(const struct vex_cond *cond, struct vex_str key)
{
    switch (cond->kind) {
    case VEX_COND_PREFIX:
        return vex_str_starts(key, cond->text);
    case VEX_COND_SUBSTRING:
        return vex_str_contains(key, cond->text);
    case VEX_COND_REGEX:
        return cond->bound.regex != NULL && vex_regex_matches(cond->bound.regex, key);
    default:
        return false;
    }
}

static int scan_term(void *arg, uint32_t id, struct vex_str key)
{
    const struct terms *terms = arg;

    return wanted(terms->cond, key) ? terms->fn(terms->arg, id) : 0;
}

/* The texts are sorted. An estimate may stop early: hence in batches. */
static int listed_terms(const struct terms *terms)
{
    const struct vex_cond_values *list = &terms->cond->values;
    uint32_t ids[BATCH];
    int stop = 0;

    for (uint32_t from = 0; from < list->text_count && stop == 0; from += BATCH) {
        uint32_t count = list->text_count - from < BATCH ? list->text_count - from : BATCH;
        vex_dict_find_all(&terms->keyword->dict, list->texts + from, count, ids);
        vex_postings_prefetch(&terms->keyword->postings, ids, count);
        for (uint32_t i = 0; i < count && stop == 0; i++) {
            uint32_t at = from + i;
            if (ids[i] != VEX_TERM_NONE && (at == 0 || !vex_str_eq(list->texts[at], list->texts[at - 1])))
                stop = terms->fn(terms->arg, ids[i]);
        }
        if (list->text_count - from <= BATCH)
            break;
    }
    return stop;
}

static int prefix_terms(const struct terms *terms)
{
    const struct keyword *keyword = terms->keyword;
    struct vex_str prefix = terms->cond->text;
    uint32_t at = seek(keyword, 0, prefix);
    int stop = 0;

    for (; stop == 0 && at < keyword->sorted_count &&
           vex_str_starts(vex_dict_key(&keyword->dict, keyword->sorted[at]), prefix);
         at++)
        stop = terms->fn(terms->arg, keyword->sorted[at]);
    for (uint32_t i = 0; i < keyword->tail_count && stop == 0; i++)
        if (vex_str_starts(vex_dict_key(&keyword->dict, keyword->tail[i]), prefix))
            stop = terms->fn(terms->arg, keyword->tail[i]);
    return stop;
}

static int each_term(const struct keyword *keyword, const struct vex_cond *cond,
                     int (*fn)(void *arg, uint32_t id), void *arg)
{
    struct terms terms = {keyword, cond, fn, arg};

    if (cond->kind == VEX_COND_ANY)
        return listed_terms(&terms);
    if (cond->kind == VEX_COND_PREFIX && keyword->ordered)
        return prefix_terms(&terms);
    return vex_dict_each(&keyword->dict, scan_term, &terms);
}

static bool served(const struct vex_cond *cond)
{
    return cond->kind == VEX_COND_ANY || cond->kind == VEX_COND_PREFIX || cond->kind == VEX_COND_SUBSTRING ||
           cond->kind == VEX_COND_REGEX;
}

struct sum {
    const struct keyword *keyword;
    uint64_t pairs, most; /* most: of one term */
    uint32_t terms;       /* looked at */
    uint32_t holding;     /* with slots */
};

static int sum_term(void *arg, uint32_t id)
{
    struct sum *sum = arg;
    uint64_t count = vex_postings_count(&sum->keyword->postings, id);

    sum->pairs += count;
    sum->most = count > sum->most ? count : sum->most;
    sum->holding += count > 0;
    return ++sum->terms > ESTIMATE_MAX;
}

static struct vex_index_estimate estimate(const struct vex_index *index, const struct vex_cond *cond)
{
    const struct keyword *keyword = index->values;
    struct sum sum = {.keyword = keyword};
    uint64_t own = vex_slots_count(index->own);
    bool scan = cond->kind != VEX_COND_ANY && !(cond->kind == VEX_COND_PREFIX && keyword->ordered);

    if (!served(cond))
        return (struct vex_index_estimate){0};
    if (scan && vex_dict_count(&keyword->dict) > ESTIMATE_MAX)
        return (struct vex_index_estimate){true, 0, own};
    if (each_term(keyword, cond, sum_term, &sum) != 0) /* too many: the rest may be all */
        return (struct vex_index_estimate){true, sum.most, own};
    if (sum.holding <= 1 || vex_slots_count(index->several) == 0)
        return (struct vex_index_estimate){true, sum.pairs, sum.pairs};
    return (struct vex_index_estimate){true, sum.most, sum.pairs < own ? sum.pairs : own};
}

struct fill {
    const struct keyword *keyword;
    uint64_t *bits;
    uint32_t slots;
};

static int fill_term(void *arg, uint32_t id)
{
    const struct fill *fill = arg;

    vex_postings_or_into(&fill->keyword->postings, id, fill->bits, fill->slots);
    return 0;
}

static void match(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                  uint64_t *unsure, uint32_t slots)
{
    struct fill fill = {index->values, sure, slots};

    (void)unsure;
    if (served(cond))
        each_term(index->values, cond, fill_term, &fill);
}

struct visit {
    const struct keyword *keyword;
    int (*fn)(void *arg, uint32_t slot);
    void *arg;
};

static int visit_term(void *arg, uint32_t id)
{
    const struct visit *visit = arg;

    return vex_postings_each(&visit->keyword->postings, id, visit->fn, visit->arg);
}

static int each(const struct vex_index *index, const struct vex_cond *cond,
                int (*fn)(void *arg, uint32_t slot), void *arg)
{
    struct visit visit = {index->values, fn, arg};

    return each_term(index->values, cond, visit_term, &visit);
}

/* ---- facets ---- */

struct facet {
    const struct keyword *keyword;
    uint64_t counts[VEX_TERM_GROUP];
    int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count);
    void *arg;
};

static int facet_term(void *arg, uint32_t id, struct vex_str key)
{
    const struct facet *facet = arg;
    struct vex_facet_value value = {.kind = VEX_FACET_TEXT, .text = key};

    return facet->fn(facet->arg, &value, facet->counts[id % VEX_TERM_GROUP]);
}

/* Terms with several slots first: as a rule they raise the floor, and then no text of the others is looked at. */
static int facet(const void *values, const uint64_t *among, uint32_t slots,
                 const struct vex_facet_floor *floor,
                 int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count), void *arg)
{
    struct facet facet = {.keyword = values, .fn = fn, .arg = arg};
    const struct vex_dict *dict = &facet.keyword->dict;
    int stop = 0;

    for (int single = 0; single < 2 && stop == 0; single++)
        for (uint32_t id = 0; id < dict->end && stop == 0; id += VEX_TERM_GROUP) {
            uint32_t mask;
            if (single == 1 && floor->least > 1)
                return 0;
            if (single == 1)
                vex_dict_prefetch(dict, dict->end - id > AHEAD ? id + AHEAD : id);
            mask = vex_postings_group(&facet.keyword->postings, id, single == 1, among, slots, floor->least,
                                      facet.counts);
            if (single == 1 && mask != 0 && floor->text.ptr != NULL)
                mask = vex_dict_before(dict, id, mask, floor->text);
            if (mask != 0)
                stop = vex_dict_each_of(dict, id, mask, facet_term, &facet);
            if (dict->end - id <= VEX_TERM_GROUP)
                break;
        }
    return stop;
}

/* ---- files ---- */

static void save_ids(struct vex_buf *out, const uint32_t *ids, uint32_t count)
{
    vex_buf_add_u32(out, count);
    vex_buf_add(out, ids, count * sizeof *ids);
}

static void save(const void *values, struct vex_buf *out)
{
    const struct keyword *keyword = values;

    vex_dict_save(&keyword->dict, out);
    vex_postings_save(&keyword->postings, out);
    if (keyword->ordered) {
        save_ids(out, keyword->sorted, keyword->sorted_count);
        save_ids(out, keyword->tail, keyword->tail_count);
    }
}

/* Ids of terms, none of them seen before. */
static bool load_ids(const struct keyword *keyword, struct vex_cursor *c, uint64_t *seen, uint32_t **ret,
                     uint32_t *ret_count)
{
    uint32_t count = vex_cursor_u32(c);
    const char *at = NULL;

    if (!c->bad && count <= vex_dict_count(&keyword->dict))
        at = vex_cursor_bytes(c, count * sizeof **ret);
    if (at == NULL)
        return false;
    *ret = vex_mem_alloc((count + 1u) * sizeof **ret);
    memcpy(*ret, at, count * sizeof **ret);
    *ret_count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = (*ret)[i];
        if (vex_dict_key(&keyword->dict, id).ptr == NULL || (seen[id / 64] >> id % 64 & 1) != 0)
            return false;
        seen[id / 64] |= UINT64_C(1) << id % 64;
    }
    return true;
}

static bool load_order(struct keyword *keyword, struct vex_cursor *c)
{
    uint64_t *seen = vex_mem_zalloc(((size_t)keyword->dict.end / 64 + 1) * sizeof *seen);
    bool good = load_ids(keyword, c, seen, &keyword->sorted, &keyword->sorted_count) &&
                load_ids(keyword, c, seen, &keyword->tail, &keyword->tail_count) &&
                keyword->sorted_count + keyword->tail_count == vex_dict_count(&keyword->dict);

    vex_mem_free(seen);
    keyword->tail_room = keyword->tail_count;
    for (uint32_t i = 1; good && i < keyword->sorted_count; i++)
        good = by_key(&keyword->sorted[i - 1], &keyword->sorted[i], &keyword->dict) < 0;
    return good;
}

/* A term without slots is a ghost, slots without a term are damage. */
static bool agree(struct keyword *keyword)
{
    uint32_t end = keyword->postings.end > keyword->dict.end ? keyword->postings.end : keyword->dict.end;

    for (uint32_t id = 0; id < end; id++) {
        bool term = vex_dict_key(&keyword->dict, id).ptr != NULL;
        bool empty = vex_postings_empty(&keyword->postings, id);
        if (term && empty)
            keyword->ghosts++;
        if (!term && !empty)
            return false;
    }
    return keyword->ordered || keyword->ghosts == 0;
}

static int load(void *values, struct vex_cursor *c, struct vex_err *err)
{
    struct keyword *keyword = values;
    int rc = vex_dict_load(&keyword->dict, c, err);

    if (rc == 0)
        rc = vex_postings_load(&keyword->postings, c, err);
    if (rc == 0 && (!agree(keyword) || (keyword->ordered && !load_order(keyword, c))))
        rc = vex_err_set(err, VEX_ECORRUPT, "payload index: terms and slots do not agree");
    return rc;
}

const struct vex_values_ops vex_values_keyword = {
    .make = make,
    .free = free_keyword,
    .add = add,
    .remove = remove_value,
    .forget = forget,
    .prepare = prepare,
    .publish = publish,
    .bytes = bytes,
    .estimate = estimate,
    .match = match,
    .each = each,
    .facet = facet,
    .save = save,
    .load = load,
};
