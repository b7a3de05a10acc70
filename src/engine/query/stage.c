/* Runs stages: what the prefetches found, then the ranking over it. See stage.h.
 *
 * Memory    A prefetch's list lives until it is a bitmap or has gone into the fusion, so there is one at each depth.
 * Filters   A stage's filter holds for the points it ranks; fusions and formulas take what their prefetches found. */
#include "engine/query/stage.h"

#include <time.h>

#include "base/mem.h"
#include "engine/index/slots.h"
#include "engine/query/browse.h"
#include "engine/query/examples.h"

#define LOOKS_MAX 20
#define LOOK_NS   1000000 /* between two */

/* What the prefetches found. */
struct found {
    bool given;     /* there are prefetches */
    uint64_t *bits; /* bit a slot */
    uint32_t slots;
    uint64_t count;
};

bool vex_stage_lists(const struct vex_stage *stage)
{
    return stage->kind == VEX_STAGE_LIST || stage->kind == VEX_STAGE_ORDER || stage->kind == VEX_STAGE_SAMPLE;
}

static bool is_fusion(const struct vex_stage *stage)
{
    return stage->kind == VEX_STAGE_RRF || stage->kind == VEX_STAGE_DBSF || stage->kind == VEX_STAGE_FORMULA;
}

/* ---- prefetches ---- */

static int run_prefetch(struct vex_read *read, const struct vex_stage *stage, struct vex_scored_list *ret)
{
    return vex_stage_run(read, stage, stage->nearest.offset, stage->nearest.limit, ret);
}

static int gather(struct vex_read *read, const struct vex_stage *stage, struct found *ret)
{
    size_t size;
    int code = 0;

    *ret = (struct found){.given = stage->prefetch_count > 0, .slots = vex_rows_slots(read->data.rows)};
    if (!ret->given)
        return 0;
    size = (vex_plan_words(ret->slots) + 1) * sizeof *ret->bits;
    ret->bits = vex_mem_try(size);
    if (ret->bits == NULL)
        return vex_read_no_memory(read);
    memset(ret->bits, 0, size);
    for (uint32_t i = 0; i < stage->prefetch_count && code == 0; i++) {
        struct vex_scored_list list = {0};

        code = run_prefetch(read, &stage->prefetch[i], &list);
        for (uint64_t j = 0; j < list.count && code == 0; j++)
            ret->bits[list.entries[j].slot / 64] |= UINT64_C(1) << list.entries[j].slot % 64;
        vex_scored_list_done(&list);
    }
    return code;
}

static int fuse(struct vex_read *read, const struct vex_stage *stage, struct vex_scored_list *ret)
{
    struct vex_fusion *fusion = vex_fusion_open(read, stage);
    int code = 0;

    for (uint32_t i = 0; i < stage->prefetch_count && code == 0; i++) {
        struct vex_scored_list list = {0};

        code = run_prefetch(read, &stage->prefetch[i], &list);
        if (code == 0)
            code = vex_fusion_add(fusion, i, &list);
        vex_scored_list_done(&list);
    }
    if (code == 0)
        code = vex_fusion_rank(fusion, ret);
    vex_fusion_close(fusion);
    return code;
}

/* ---- candidates ---- */

/* Leaves the bits of points that have the vector; VEX_NO_ORDINAL: that are there. */
static void keep_present(struct vex_read *read, uint32_t ordinal, struct found *found)
{
    const uint64_t *present = ordinal == VEX_NO_ORDINAL ? vex_rows_live(read->data.rows)
                                                        : vex_rows_present(read->data.rows, ordinal);

    found->count = 0;
    for (size_t w = 0; present != NULL && w < vex_plan_words(found->slots); w++) {
        found->bits[w] &= present[w];
        found->count += vex_bits_in(found->bits[w]);
    }
}

/* The points that the stage ranks. */
static int candidates_of(struct vex_read *read, const struct vex_stage *stage, struct found *found,
                         uint32_t ordinal, struct vex_candidates *ret)
{
    struct vex_id_list ids = {stage->nearest.ids, stage->nearest.id_count, stage->nearest.has_ids};
    struct vex_read_filter filter;
    struct vex_plan plan;
    int code;

    if (found->given)
        keep_present(read, ordinal, found);
    *ret = (struct vex_candidates){.allow = found->bits, .slots = found->slots, .count = found->count};
    if (found->given && (found->count == 0 || stage->nearest.filter == NULL))
        return 0;
    code = vex_read_filter_bind(read, stage->nearest.filter, &filter);
    if (code != 0)
        return code;
    if (found->given) {
        vex_candidates_plan(read, &filter, found->bits, found->count, &plan);
        code = vex_candidates_of(read, &plan, ret);
    } else {
        code = vex_candidates_find(read, &filter, ids, ordinal, ret);
    }
    vex_read_filter_unbind(&filter);
    return code;
}

static int by_vectors(struct vex_read *read, const struct vex_stage *stage, struct found *found,
                      uint64_t want, struct vex_scored_list *ret)
{
    struct vex_nearest request = stage->nearest;
    struct vex_candidates candidates = {0};
    struct vex_vector_value vector;
    struct vex_query query;
    bool mmr = stage->kind == VEX_STAGE_MMR;
    int code;

    request.offset = 0;
    request.limit = mmr ? stage->candidates : want;
    code = vex_nearest_resolve(read, &request, NULL, &query);
    if (code != 0 || request.limit == 0 || want == 0 ||
        (query.params->size == 0 && query.params->kind != VEX_VECTOR_SPARSE))
        return code;
    vector = query.vector; /* a search may weigh it */
    query.list = ret;
    code = candidates_of(read, stage, found, query.params->ordinal, &candidates);
    if (code == 0 && candidates.count > 0)
        code = vex_nearest_among(read, &query, 1, &candidates);
    if (code == 0 && mmr)
        code = vex_mmr_choose(read, query.params, &vector, (double)stage->diversity, want, ret);
    vex_candidates_done(&candidates);
    return code;
}

/* As the peer cuts: in the better direction of the distance, though scores by examples are better when they are larger. */
static void cut_examples(const struct vex_stage *stage, enum vex_distance distance,
                         struct vex_scored_list *list)
{
    bool larger = vex_score_larger_better(distance);
    uint64_t kept = 0;

    while (kept < list->count && (larger ? list->entries[kept].score > stage->nearest.threshold
                                         : list->entries[kept].score < stage->nearest.threshold))
        kept++;
    list->count = kept;
}

static int by_examples(struct vex_read *read, const struct vex_stage *stage, struct found *found,
                       uint64_t want, struct vex_scored_list *ret)
{
    const struct vex_vector_params *params;
    struct vex_candidates candidates = {0};
    int code = vex_nearest_params(read, stage->nearest.using, &params);

    if (code == 0)
        code = candidates_of(read, stage, found, params->ordinal, &candidates);
    /* Without candidates too: the examples may be wrong. */
    if (code == 0)
        code = vex_examples_find(read, params, &stage->examples, &candidates, want, ret);
    if (code == 0 && stage->nearest.has_threshold)
        cut_examples(stage, params->distance, ret);
    vex_candidates_done(&candidates);
    return code;
}

static int by_text(struct vex_read *read, const struct vex_stage *stage, struct found *found, uint64_t want,
                   struct vex_scored_list *ret)
{
    struct vex_candidates candidates = {0};
    int code = candidates_of(read, stage, found, VEX_NO_ORDINAL, &candidates);

    if (code == 0)
        code = vex_text_find(read, stage, &candidates, want, ret);
    vex_candidates_done(&candidates);
    return code;
}

/* ---- lists ---- */

/* The ids of what was found, for walks that are restricted to ids. */
static int ids_of(struct vex_read *read, struct found *found, struct vex_scroll *scroll)
{
    struct vex_candidates all = {.allow = found->bits, .slots = found->slots};
    struct vex_id *ids;
    uint32_t at = 0, slot, count = 0;

    keep_present(read, VEX_NO_ORDINAL, found);
    all.count = found->count;
    ids = vex_arena_try(read->arena, (found->count + 1) * sizeof *ids);
    if (ids == NULL)
        return vex_read_no_memory(read);
    while ((slot = vex_candidates_next(&all, &at)) != VEX_SLOT_NONE)
        ids[count++] = vex_rows_id(read->data.rows, slot);
    scroll->ids = ids;
    scroll->id_count = count;
    scroll->has_ids = true;
    return 0;
}

static int keep_list(struct vex_read *read, struct vex_browse *browse, struct vex_scored_list *ret)
{
    ret->entries = vex_mem_try((browse->count + 1) * sizeof *ret->entries);
    if (ret->entries == NULL)
        return vex_read_no_memory(read);
    for (; ret->count < browse->count; ret->count++)
        ret->entries[ret->count] = (struct vex_scored){1, browse->slots[ret->count]};
    ret->values = browse->values;
    browse->values = NULL;
    return 0;
}

static int by_browsing(struct vex_read *read, const struct vex_stage *stage, struct found *found,
                       uint64_t want, struct vex_scored_list *ret)
{
    struct vex_scroll scroll = {.filter = stage->nearest.filter,
                                .order = VEX_ORDER_ID,
                                .order_by = stage->kind == VEX_STAGE_ORDER ? &stage->order_by : NULL,
                                .sample = stage->kind == VEX_STAGE_SAMPLE};
    struct vex_browse browse = {0};
    int code = found->given ? ids_of(read, found, &scroll) : 0;

    if (code != 0)
        return code;
    code = vex_browse_run(read, &scroll, want, &browse);
    if (code == 0)
        code = keep_list(read, &browse, ret);
    vex_browse_done(&browse);
    return code;
}

/* ---- stages ---- */

/* At least the best `want`, if there are as many; or all. */
static int rank(struct vex_read *read, const struct vex_stage *stage, uint64_t want,
                struct vex_scored_list *ret)
{
    struct found found;
    int code;

    if (is_fusion(stage))
        return fuse(read, stage, ret);
    code = gather(read, stage, &found);
    if (code == 0 && (stage->kind == VEX_STAGE_NEAREST || stage->kind == VEX_STAGE_MMR))
        code = by_vectors(read, stage, &found, want, ret);
    else if (code == 0 && stage->kind == VEX_STAGE_EXAMPLES)
        code = by_examples(read, stage, &found, want, ret);
    else if (code == 0 && stage->kind == VEX_STAGE_TEXT)
        code = by_text(read, stage, &found, want, ret);
    else if (code == 0)
        code = by_browsing(read, stage, &found, want, ret);
    vex_mem_free(found.bits);
    return code;
}

/* All but fusions keep their thresholds themselves; lists have none. A fused score may be equal to it. */
static bool passes(const struct vex_stage *stage, float score)
{
    return !stage->nearest.has_threshold || !is_fusion(stage) || score >= stage->nearest.threshold;
}

int vex_stage_run(struct vex_read *read, const struct vex_stage *stage, uint64_t skip, uint64_t limit,
                  struct vex_scored_list *ret)
{
    uint64_t want = limit > UINT64_MAX - skip ? UINT64_MAX : skip + limit, last = 0;
    int code = vex_read_check(read);

    *ret = (struct vex_scored_list){0};
    if (code == 0)
        code = rank(read, stage, want, ret);
    if (code != 0)
        return code;
    while (last < ret->count && last < want && passes(stage, ret->entries[last].score))
        last++;
    ret->count = last > skip ? last - skip : 0;
    if (skip > 0 && ret->count > 0) {
        memmove(ret->entries, ret->entries + skip, ret->count * sizeof *ret->entries);
        if (ret->values != NULL)
            memmove(ret->values, ret->values + skip, ret->count * sizeof *ret->values);
    }
    return 0;
}

/* ---- queries ---- */

static bool is_settled(struct vex_read *read, const struct vex_stage *stages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if ((stages[i].kind == VEX_STAGE_TEXT && !vex_text_is_settled(read, &stages[i].text.field)) ||
            !is_settled(read, stages[i].prefetch, stages[i].prefetch_count))
            return false;
    return true;
}

int vex_stage_open(struct vex_read *read, struct vex_collection *collection,
                   const struct vex_read_context *context, const struct vex_stage *stages, uint32_t count,
                   struct vex_err *err)
{
    const char *what = count > 0 && stages[0].kind == VEX_STAGE_NEAREST ? "Search" : "Query";

    for (unsigned look = 0;; look++) {
        int code = vex_read_open(read, collection, context, what, err);

        if (code != 0 || look == LOOKS_MAX || is_settled(read, stages, count))
            return code;
        vex_read_close(read);
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
}

static int answer(struct vex_read *read, const struct vex_stage *stage, const struct vex_scored_list *list,
                  struct vex_hits *ret)
{
    struct vex_result_plan plan;
    uint32_t *slots = vex_arena_try(read->arena, (list->count + 1) * sizeof *slots);
    int code;

    if (slots == NULL)
        return vex_read_no_memory(read);
    for (uint64_t i = 0; i < list->count; i++)
        slots[i] = list->entries[i].slot;
    code = vex_result_plan(read, &stage->nearest.payload, &stage->nearest.vectors, &plan);
    if (code == 0)
        code = vex_result_slots(read, &plan, slots, list->count, ret);
    for (uint64_t i = 0; i < list->count && code == 0; i++) {
        ret->hits[i].score = list->entries[i].score;
        if (vex_stage_lists(stage))
            ret->hits[i].version = 0;
        ret->hits[i].has_order_value = list->values != NULL;
        if (list->values != NULL)
            ret->hits[i].order_value = list->values[i];
    }
    return code;
}

static int run_root(struct vex_read *read, const struct vex_stage *stage, struct vex_hits *ret)
{
    struct vex_scored_list list;
    int code = vex_stage_run(read, stage, stage->nearest.offset, stage->nearest.limit, &list);

    if (code == 0)
        code = answer(read, stage, &list, ret);
    vex_scored_list_done(&list);
    return code;
}

static bool is_plain(const struct vex_stage *stage)
{
    return stage->kind == VEX_STAGE_NEAREST && stage->prefetch_count == 0;
}

int vex_read_query(struct vex_collection *collection, const struct vex_stage *stages, uint32_t count,
                   struct vex_read_context *context, struct vex_hits *ret, struct vex_err *err)
{
    struct vex_read read;
    int code;

    for (uint32_t i = 0; i < count; i++)
        ret[i] = (struct vex_hits){0};
    code = vex_stage_open(&read, collection, context, stages, count, err);
    if (code != 0)
        return code;
    for (uint32_t i = 0, end; i < count && code == 0; i = end) {
        for (end = i; end < count && is_plain(&stages[end]);)
            end++;
        if (end > i)
            code = vex_nearest_run(&read, &stages[i].nearest, sizeof *stages, end - i, &ret[i]);
        else
            code = run_root(&read, &stages[end++], &ret[i]);
    }
    for (uint32_t i = 0; i < count && code != 0; i++)
        ret[i] = (struct vex_hits){0};
    vex_read_close(&read);
    return code;
}
