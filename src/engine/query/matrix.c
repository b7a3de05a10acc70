/* Distance matrix: a random sample of the matching points, and for each of them the nearest others of the sample. */
#include "engine/query/browse.h"
#include "engine/query/nearest.h"

#include <stdlib.h>

#include "base/mem.h"

#define AT_ONCE 256u /* queries resolved and answered together */

struct matrix {
    struct vex_read *read;
    const struct vex_matrix *request;
    const struct vex_vector_params *params;
    struct vex_candidates sample; /* as a bitmap */
    uint32_t count;
    uint64_t cap; /* of ret->pairs */
    struct vex_matrix_result *ret;
};

/* ---- the sample ---- */

struct named {
    struct vex_id id;
    uint32_t slot;
};

static int by_id(const void *pa, const void *pb)
{
    const struct named *a = pa, *b = pb;
    return vex_id_cmp(&a->id, &b->id);
}

static int keep_sample(struct matrix *m, const struct vex_browse *browse)
{
    struct vex_read *read = m->read;
    size_t size = vex_plan_words(m->sample.slots) * sizeof(uint64_t);
    struct named *named = vex_mem_try((browse->count + 1) * sizeof *named);
    m->sample.owned = vex_mem_try(size + 1);
    m->ret->ids = vex_arena_try(read->arena, (size_t)(browse->count + 1) * sizeof *m->ret->ids);
    if (named == NULL || m->sample.owned == NULL || m->ret->ids == NULL) {
        vex_mem_free(named);
        return vex_read_no_memory(read);
    }
    memset(m->sample.owned, 0, size);
    m->sample.allow = m->sample.owned;
    m->sample.count = browse->count;
    m->count = m->ret->count = (uint32_t)browse->count;
    for (uint32_t i = 0; i < m->count; i++)
        named[i] = (struct named){vex_rows_id(read->data.rows, browse->slots[i]), browse->slots[i]};
    qsort(named, m->count, sizeof *named, by_id);
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t slot = named[i].slot;
        m->sample.owned[slot / 64] |= UINT64_C(1) << slot % 64;
        m->ret->ids[i] = vex_id_dup(read->arena, &named[i].id);
    }
    vex_mem_free(named);
    return 0;
}

/* Points that match and have the vector. */
static int draw_sample(struct matrix *m)
{
    const struct vex_matrix *request = m->request;
    struct vex_cond conds[2] = {{.kind = VEX_COND_HAS_VECTOR, .text = request->using},
                                {.kind = VEX_COND_FILTER, .sub = request->filter}};
    struct vex_filter filter = {.must = {conds, request->filter != NULL ? 2 : 1}};
    struct vex_scroll scroll = {.filter = &filter, .sample = true};
    struct vex_browse browse;
    int code = vex_browse_run(m->read, &scroll, request->sample, &browse);
    m->sample.slots = vex_rows_slots(m->read->data.rows);
    if (code == 0 && browse.count >= 2) /* one point has no neighbours */
        code = keep_sample(m, &browse);
    vex_browse_done(&browse);
    return code;
}

/* ---- neighbours ---- */

static uint32_t place_of(const struct matrix *m, uint32_t slot)
{
    struct vex_id id = vex_rows_id(m->read->data.rows, slot);
    uint32_t low = 0, high = m->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (vex_id_cmp(&m->ret->ids[middle], &id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int add_pairs(struct matrix *m, uint32_t a, const struct vex_scored_list *list)
{
    struct vex_matrix_result *ret = m->ret;
    if (m->cap - ret->pair_count < list->count) {
        uint64_t cap = m->cap * 2 + list->count + 64;
        struct vex_matrix_pair *pairs = vex_arena_try(m->read->arena, (size_t)cap * sizeof *pairs);
        if (pairs == NULL)
            return vex_read_no_memory(m->read);
        if (ret->pair_count > 0)
            memcpy(pairs, ret->pairs, ret->pair_count * sizeof *pairs);
        ret->pairs = pairs;
        m->cap = cap;
    }
    for (uint64_t i = 0; i < list->count; i++)
        ret->pairs[ret->pair_count++] =
            (struct vex_matrix_pair){a, place_of(m, list->entries[i].slot), list->entries[i].score};
    return 0;
}

/* Points `first` and on as queries; what they need lives in the scratch arena. */
static int neighbours(struct matrix *m, struct vex_arena *scratch, uint32_t first, uint32_t count)
{
    struct vex_read read = *m->read;
    struct vex_query *queries = VEX_ARENA_ARRAY(scratch, struct vex_query, count);
    struct vex_nearest *requests = VEX_ARENA_ARRAY(scratch, struct vex_nearest, count);
    struct vex_scored_list *lists = VEX_ARENA_ARRAY(scratch, struct vex_scored_list, count);
    int code = 0;
    read.arena = scratch;
    for (uint32_t i = 0; i < count && code == 0; i++) {
        requests[i] = (struct vex_nearest){.using = m->request->using,
                                           .id = &m->ret->ids[first + i],
                                           .limit = m->request->limit,
                                           .exact = true};
        code = vex_nearest_resolve(&read, &requests[i], NULL, &queries[i]);
        queries[i].list = &lists[i];
    }
    if (code == 0)
        code = vex_nearest_among(&read, queries, count, &m->sample);
    for (uint32_t i = 0; i < count; i++) {
        if (code == 0)
            code = add_pairs(m, first + i, &lists[i]);
        vex_mem_free(lists[i].entries);
    }
    return code;
}

static int all_neighbours(struct matrix *m)
{
    struct vex_arena scratch;
    int code = 0;
    vex_arena_init(&scratch, m->read->arena->limit);
    for (uint32_t first = 0; first < m->count && code == 0; first += AT_ONCE) {
        code = vex_read_check(m->read);
        if (code == 0)
            code = neighbours(m, &scratch, first, m->count - first < AT_ONCE ? m->count - first : AT_ONCE);
        vex_arena_reset(&scratch);
    }
    vex_arena_done(&scratch);
    return code;
}

static int matrix(struct matrix *m)
{
    const struct vex_matrix *request = m->request;
    m->params = vex_config_vector(m->read->data.config, request->using);
    if (m->params == NULL)
        return vex_err_set(m->read->err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                           VEX_STR_ARG(request->using));
    if (request->limit == 0 || request->sample == 0)
        return 0;
    int code = draw_sample(m);
    if (code == 0 && m->count > 0)
        code = all_neighbours(m);
    vex_candidates_done(&m->sample);
    return code;
}

int vex_read_matrix(struct vex_collection *collection, const struct vex_matrix *request,
                    struct vex_read_context *context, struct vex_matrix_result *ret, struct vex_err *err)
{
    struct vex_read read;
    *ret = (struct vex_matrix_result){0};
    int code = vex_read_open(&read, collection, context, "SearchMatrix", err);
    if (code != 0)
        return code;
    struct matrix m = {.read = &read, .request = request, .ret = ret};
    code = matrix(&m);
    if (code != 0)
        *ret = (struct vex_matrix_result){0};
    vex_read_close(&read);
    return code;
}
