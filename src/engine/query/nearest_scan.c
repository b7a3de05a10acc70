/* What the device does not search: sparse vectors and multivectors, scored from the points' blobs, and the
 * cosine of bytes, which are stored unnormalised. Every candidate is fetched once for all queries of a group.
 * See nearest.h. */
#include "engine/query/nearest.h"

#include <math.h>

#include "uapi/dist.h"

#define STREAM_BYTES (1u << 18)

struct scan {
    const struct vex_query_group *group;
    struct vex_top *tops; /* a query each */
    float *row;           /* dense: the stored vector */
};

/* The stored vector of a slot. */
static int stored_vector(struct vex_read *read, uint8_t ordinal, uint32_t slot, struct vex_extra_vector *ret)
{
    struct vex_str blob;
    int code = vex_read_blob(read, slot, &blob);
    if (code == 0 && !vex_blob_vector(blob, ordinal, ret))
        code = vex_err_set(read->err, VEX_ECORRUPT, "%s: a vector of a point is missing", read->what);
    return code;
}

/* ---- inverse document frequency ---- */

static void count_common(const struct vex_vector_value *query, const struct vex_extra_vector *stored,
                         uint32_t *df)
{
    for (uint32_t i = 0, j = 0; i < query->count && j < stored->count;) {
        if (query->indices[i] == stored->indices[j]) {
            df[i]++;
            i++;
            j++;
        } else if (query->indices[i] < stored->indices[j]) {
            i++;
        } else {
            j++;
        }
    }
}

/* Counts, over all points of the corpus that have the vector, in how many each index of each query occurs. */
static int count_documents(struct vex_read *read, const struct vex_query_group *group, uint32_t **df,
                           uint64_t *ret_points)
{
    struct vex_read_filter corpus;
    struct vex_candidates all = {0};
    uint32_t at = 0, slot;
    int code = vex_read_filter_bind(read, group->queries[0].request->corpus, &corpus);
    if (code != 0)
        return code;
    code = vex_candidates_find(read, &corpus, (struct vex_id_list){0}, group->params->ordinal, &all);
    vex_read_filter_unbind(&corpus);
    while (code == 0 && (slot = vex_candidates_next(&all, &at)) != VEX_SLOT_NONE) {
        struct vex_extra_vector stored;
        ++*ret_points;
        code = vex_read_step(read);
        if (code == 0)
            code = stored_vector(read, group->params->ordinal, slot, &stored);
        for (uint32_t i = 0; i < group->count && code == 0; i++)
            count_common(&group->queries[i].vector, &stored, df[i]);
    }
    vex_candidates_done(&all);
    return code;
}

/* Multiplies each query weight by ln(1 + (N - df + 0.5) / (df + 0.5)); N counts the points that have the vector. */
static int weigh(struct vex_read *read, const struct vex_query_group *group)
{
    uint64_t points = 0;
    uint32_t **df = vex_arena_try(read->arena, group->count * sizeof *df);
    if (df == NULL)
        return vex_read_no_memory(read);
    for (uint32_t i = 0; i < group->count; i++) {
        size_t size = (size_t)group->queries[i].vector.count * sizeof **df;
        df[i] = vex_arena_try(read->arena, size);
        if (df[i] == NULL)
            return vex_read_no_memory(read);
        memset(df[i], 0, size);
    }
    int code = count_documents(read, group, df, &points);
    double n = (double)points;
    for (uint32_t i = 0; i < group->count && code == 0; i++) {
        struct vex_vector_value *vector = &group->queries[i].vector;
        float *values = vex_arena_try(read->arena, (size_t)vector->count * sizeof *values);
        if (values == NULL)
            return vex_read_no_memory(read);
        for (uint32_t j = 0; j < vector->count; j++)
            values[j] = (float)(vector->values[j] * log(1 + (n - df[i][j] + 0.5) / (df[i][j] + 0.5)));
        vector->values = values;
    }
    return code;
}

/* ---- scan ---- */

/* Scores one stored vector for all queries. */
static int score_row(struct vex_read *read, struct scan *scan, uint32_t slot)
{
    const struct vex_query_group *group = scan->group;
    int code = 0;
    for (uint32_t i = 0; i < group->count && code == 0; i++) {
        float score = vex_score_cosine(group->queries[i].vector.values, scan->row, group->params->size);
        if (vex_top_offer(&scan->tops[i], score, slot) != 0)
            code = vex_read_no_memory(read);
    }
    return code;
}

/* All candidates, streamed from the device through a bounded buffer. */
static int stream_dense(struct vex_read *read, struct scan *scan)
{
    const struct vex_query_group *group = scan->group;
    const struct vex_candidates *candidates = group->candidates;
    uint32_t stride = vex_vectors_stride(group->params),
             max = stride < STREAM_BYTES ? STREAM_BYTES / stride : 1;
    uint32_t cursor = 0, count = 0, *slots = vex_arena_try(read->arena, max * sizeof *slots);
    char *stored = vex_arena_try(read->arena, (size_t)max * stride);
    int code = slots == NULL || stored == NULL ? vex_read_no_memory(read) : 0;
    while (code == 0 && candidates->count != 0) {
        code = vex_vectors_scan(read->data.vectors, group->params->ordinal, &cursor, candidates->slots,
                                candidates->allow, max, slots, stored, &count);
        if (code != 0)
            return vex_err_set(read->err, code, "%s: the vectors can't be read", read->what);
        if (count == 0)
            break;
        for (uint32_t i = 0; i < count && code == 0; i++) {
            vex_dist_decode(group->params->element, stored + (size_t)i * stride, scan->row,
                            group->params->size);
            code = vex_read_step(read);
            if (code == 0)
                code = score_row(read, scan, slots[i]);
        }
    }
    return code;
}

static int score_slot(struct vex_read *read, struct scan *scan, uint32_t slot)
{
    const struct vex_query_group *group = scan->group;
    struct vex_extra_vector stored;
    int code = stored_vector(read, group->params->ordinal, slot, &stored);
    for (uint32_t i = 0; i < group->count && code == 0; i++) {
        const struct vex_vector_value *query = &group->queries[i].vector;
        float score;
        if (group->params->kind == VEX_VECTOR_MULTI)
            score = vex_score_multi(group->params, query->values, query->rows, &stored);
        else if (!vex_score_sparse(query->indices, query->values, query->count, &stored, &score))
            continue;
        if (vex_top_offer(&scan->tops[i], score, slot) != 0)
            code = vex_read_no_memory(read);
    }
    return code;
}

static int score_blobs(struct vex_read *read, struct scan *scan)
{
    uint32_t at = 0, slot;
    int code = 0;
    while (code == 0 && (slot = vex_candidates_next(scan->group->candidates, &at)) != VEX_SLOT_NONE) {
        code = vex_read_step(read);
        if (code == 0)
            code = score_slot(read, scan, slot);
    }
    return code;
}

int vex_nearest_scan(struct vex_read *read, const struct vex_query_group *group)
{
    struct scan scan = {.group = group};
    int code = group->params->idf ? weigh(read, group) : 0;
    if (code != 0)
        return code;
    scan.tops = vex_arena_try(read->arena, group->count * sizeof *scan.tops);
    scan.row = vex_arena_try(read->arena, (size_t)group->params->size * sizeof *scan.row);
    if (scan.tops == NULL || scan.row == NULL)
        return vex_read_no_memory(read);
    for (uint32_t i = 0; i < group->count; i++)
        vex_top_init(&scan.tops[i], read->data.rows, vex_score_larger_better(group->params->distance),
                     group->want);
    code = group->params->kind == VEX_VECTOR_DENSE ? stream_dense(read, &scan) : score_blobs(read, &scan);
    for (uint32_t i = 0; i < group->count && code == 0; i++) {
        vex_top_sort(&scan.tops[i]);
        code = vex_nearest_answer(read, &group->queries[i], scan.tops[i].entries, scan.tops[i].count);
    }
    for (uint32_t i = 0; i < group->count; i++)
        vex_top_done(&scan.tops[i]);
    return code;
}
