/* Nearest neighbours: resolves queries, groups those that can share a pass, builds the answers. See nearest.h. */
#include "engine/query/nearest_parallel.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "uapi/dist.h"

#define GROUP_MAX 1024u /* queries of one pass */

/* ---- one query ---- */

int vex_nearest_params(struct vex_read *read, struct vex_str name, const struct vex_vector_params **ret)
{
    *ret = vex_config_vector(read->data.config, name);
    if (*ret != NULL)
        return 0;
    return vex_err_set(read->err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                       VEX_STR_ARG(name));
}

static int check_kind(struct vex_read *read, const struct vex_vector_params *params,
                      enum vex_vector_kind kind)
{
    if (params->kind == kind || (params->kind == VEX_VECTOR_MULTI && kind == VEX_VECTOR_DENSE))
        return 0;
    const char *text = params->kind == VEX_VECTOR_SPARSE || kind == VEX_VECTOR_SPARSE
                           ? "Conversion between sparse and regular vectors failed"
                           : "Conversion between multi and regular vectors failed";
    return vex_err_set(read->err, VEX_EBAD_INPUT, "%s", text);
}

static int check_finite(struct vex_read *read, const float *values, size_t count)
{
    int finite = 1;
    for (size_t i = 0; i < count; i++) /* to the end: several at once */
        finite &= fabsf(values[i]) <= FLT_MAX;
    if (finite)
        return 0;
    return vex_err_set(read->err, VEX_EBAD_INPUT,
                       "The query vector holds a value that is not a finite number");
}

struct entry {
    uint32_t index;
    float value;
};

static int by_index(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    return a->index == b->index ? 0 : a->index < b->index ? -1 : 1;
}

/* A copy with ascending indices. */
static int sort_sparse(struct vex_read *read, struct vex_vector_value *vector)
{
    size_t count = vector->count;
    struct entry *entries = vex_arena_try(read->arena, count * sizeof *entries);
    uint32_t *indices = vex_arena_try(read->arena, count * sizeof *indices);
    float *values = vex_arena_try(read->arena, count * sizeof *values);
    if (entries == NULL || indices == NULL || values == NULL)
        return vex_read_no_memory(read);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct entry){vector->indices[i], vector->values[i]};
    if (count > 1)
        qsort(entries, count, sizeof *entries, by_index);
    for (size_t i = 0; i < count; i++) {
        indices[i] = entries[i].index;
        values[i] = entries[i].value;
    }
    vector->indices = indices;
    vector->values = values;
    return 0;
}

/* A copy, each row normalised when the distance wants it. Bytes are compared with what the query would be
 * stored as. */
static int copy_rows(struct vex_read *read, const struct vex_vector_params *params,
                     struct vex_vector_value *vector)
{
    uint32_t rows = vector->kind == VEX_VECTOR_MULTI ? vector->rows : 1;
    size_t floats = (size_t)rows * vector->count;
    bool bytes = params->kind == VEX_VECTOR_DENSE && params->element == VEX_ELEMENT_U8;
    float *values = vex_arena_try(read->arena, floats * sizeof *values);
    if (values == NULL)
        return vex_read_no_memory(read);
    if (floats > 0)
        memcpy(values, vector->values, floats * sizeof *values);
    for (size_t i = 0; i < floats && bytes; i++) {
        uint8_t stored;
        vex_dist_encode(VEX_ELEMENT_U8, &values[i], &stored, 1);
        values[i] = stored;
    }
    for (uint32_t i = 0; i < rows && !bytes && params->distance == VEX_DISTANCE_COSINE; i++)
        vex_dist_normalise(values + (size_t)i * vector->count, vector->count);
    vector->values = values;
    vector->rows = rows;
    return 0;
}

static int resolve_vector(struct vex_read *read, struct vex_query *query,
                          const struct vex_vector_value *given)
{
    const struct vex_vector_params *params = query->params;
    struct vex_vector_value *vector = &query->vector;
    *vector = *given;
    int code = check_kind(read, params, vector->kind);
    if (code != 0)
        return code;
    if (vector->kind == VEX_VECTOR_SPARSE) {
        code = check_finite(read, vector->values, vector->count);
        return code != 0 ? code : sort_sparse(read, vector);
    }
    uint32_t dimensions = vector->kind == VEX_VECTOR_MULTI && vector->rows == 0 ? 0 : vector->count;
    if (params->size != 0 && dimensions != params->size)
        return vex_err_set(read->err, VEX_EBAD_INPUT, "Vector dimension error: expected dim: %u, got %u",
                           params->size, dimensions);
    code =
        check_finite(read, vector->values,
                     vector->kind == VEX_VECTOR_MULTI ? (size_t)vector->rows * vector->count : vector->count);
    return code != 0 ? code : copy_rows(read, params, vector);
}

int vex_nearest_stored(struct vex_read *read, const struct vex_vector_params *params, const struct vex_id *id,
                       struct vex_vector_value *ret, uint32_t *ret_slot)
{
    uint32_t slot = vex_rows_find(read->data.rows, id);
    if (slot == VEX_SLOT_NONE) {
        struct vex_str text = vex_id_text(read->arena, id);
        return vex_err_set(read->err, VEX_ENOT_FOUND, "No point with id " VEX_STR_FMT " found",
                           VEX_STR_ARG(text));
    }
    if ((vex_rows_at(read->data.rows, slot)->vectors >> params->ordinal & 1) == 0)
        return vex_err_set(read->err, VEX_ENOT_FOUND,
                           "Vector with name \"" VEX_STR_FMT "\" for point not found",
                           VEX_STR_ARG(params->name));
    if (ret_slot != NULL)
        *ret_slot = slot;
    return vex_result_vector(read, params, params->name, slot, ret);
}

/* The query is a stored point: its vector, as stored. */
static int resolve_point(struct vex_read *read, struct vex_query *query)
{
    const struct vex_vector_params *params = query->params;
    int code = vex_nearest_stored(read, params, query->request->id, &query->vector, &query->exclude);
    if (params->kind == VEX_VECTOR_DENSE)
        query->vector.rows = 1;
    return code;
}

int vex_nearest_resolve(struct vex_read *read, const struct vex_nearest *request, struct vex_hits *ret,
                        struct vex_query *query)
{
    *query = (struct vex_query){.request = request, .exclude = VEX_SLOT_NONE, .ret = ret};
    int code = vex_nearest_params(read, request->using, &query->params);
    if (code == 0)
        code = vex_result_plan(read, &request->payload, &request->vectors, &query->plan);
    if (code != 0)
        return code;
    if (request->has_idf && !query->params->idf)
        return vex_err_set(
            read->err, VEX_EBAD_INPUT,
            "search param `idf` requires a sparse vector with the `idf` modifier, which vector "
            "\"" VEX_STR_FMT "\" is not",
            VEX_STR_ARG(request->using));
    if (request->id != NULL)
        return resolve_point(read, query);
    if (request->positive_count + request->negative_count == 0)
        return resolve_vector(read, query, &request->query);
    struct vex_vector_value average;
    code = vex_nearest_average(read, query->params, request, &average);
    return code != 0 ? code : resolve_vector(read, query, &average);
}

/* ---- groups ---- */

static uint64_t wanted(const struct vex_nearest *request)
{
    uint64_t want;
    if (request->limit == 0)
        return 0;
    return __builtin_add_overflow(request->limit, request->offset, &want) ? UINT64_MAX : want;
}

/* Filters decoded from different requests are different trees even when they say the same. */
static bool same_filter(const struct vex_filter *a, const struct vex_filter *b)
{
    if (a == b || a == NULL || b == NULL)
        return a == b;
    struct vex_buf ta, tb;
    vex_buf_init(&ta, NULL);
    vex_buf_init(&tb, NULL);
    vex_filter_encode(&ta, a);
    vex_filter_encode(&tb, b);
    bool same = vex_str_eq(vex_buf_str(&ta), vex_buf_str(&tb));
    vex_buf_done(&ta);
    vex_buf_done(&tb);
    return same;
}

static bool same_group(const struct vex_query *a, const struct vex_query *b)
{
    const struct vex_nearest *ra = a->request, *rb = b->request;
    return a->params == b->params && wanted(ra) == wanted(rb) && ra->has_ids == rb->has_ids &&
           ra->exact == rb->exact && ra->indexed_only == rb->indexed_only && ra->ef == rb->ef &&
           (!ra->has_ids || (ra->ids == rb->ids && ra->id_count == rb->id_count)) &&
           same_filter(ra->filter, rb->filter) && same_filter(ra->corpus, rb->corpus);
}

int vex_nearest_candidates(struct vex_read *read, const struct vex_query *query, struct vex_candidates *ret)
{
    const struct vex_nearest *request = query->request;
    struct vex_id_list ids = {request->ids, request->id_count, request->has_ids};
    struct vex_read_filter filter;
    int code = vex_read_filter_bind(read, request->filter, &filter);
    if (code != 0)
        return code;
    code = vex_candidates_find(read, &filter, ids, query->params->ordinal, ret);
    vex_read_filter_unbind(&filter);
    return code;
}

int vex_nearest_among(struct vex_read *read, struct vex_query *queries, uint32_t count,
                      const struct vex_candidates *candidates)
{
    struct vex_query_group group = {
        .queries = queries, .count = count, .params = queries[0].params, .candidates = candidates};
    group.want = wanted(queries[0].request);
    bool own = false; /* a query's own point may take a place */
    for (uint32_t i = 0; i < count; i++)
        own = own || queries[i].exclude != VEX_SLOT_NONE;
    if (own && group.want != 0 && group.want != UINT64_MAX)
        group.want++;
    if (group.want > candidates->count)
        group.want = candidates->count;
    if (group.want == 0)
        return 0;
    if (group.params->kind != VEX_VECTOR_DENSE)
        return vex_nearest_scan(read, &group);
    struct vex_walk walk;
    bool walks = vex_nearest_walk_plan(&read->data, group.params, queries[0].request, group.want,
                                       candidates->count, &walk);
    return walks ? vex_nearest_walks(read, &group, &walk) : vex_nearest_dense(read, &group);
}

int vex_nearest_group(struct vex_read *read, struct vex_query *queries, uint32_t count)
{
    const struct vex_vector_params *params = queries[0].params;
    struct vex_candidates candidates;
    if (wanted(queries[0].request) == 0 || (params->size == 0 && params->kind != VEX_VECTOR_SPARSE))
        return 0;
    int code = vex_nearest_candidates(read, &queries[0], &candidates);
    if (code == 0) {
        code = vex_nearest_among(read, queries, count, &candidates);
        vex_candidates_done(&candidates);
    }
    return code;
}

int vex_nearest_run(struct vex_read *read, const struct vex_nearest *requests, size_t apart, uint32_t count,
                    struct vex_hits *ret)
{
    struct vex_query *queries = vex_arena_try(read->arena, (size_t)count * sizeof *queries);
    uint32_t *ends = vex_arena_try(read->arena, (size_t)count * sizeof *ends), groups = 0;
    if (queries == NULL || ends == NULL)
        return vex_read_no_memory(read);
    for (uint32_t i = 0; i < count; i++) {
        const void *request = (const char *)requests + i * apart;
        int code = vex_nearest_resolve(read, request, &ret[i], &queries[i]);
        if (code != 0)
            return code;
    }
    for (uint32_t i = 0, end; i < count; i = end) {
        end = i + 1;
        while (end < count && end - i < GROUP_MAX && same_group(&queries[i], &queries[end]))
            end++;
        ends[groups++] = end;
    }
    return vex_nearest_groups(read, queries, ends, groups);
}

int vex_read_nearest(struct vex_collection *collection, const struct vex_nearest *requests, uint32_t count,
                     struct vex_read_context *context, struct vex_hits *ret, struct vex_err *err)
{
    struct vex_read read;
    for (uint32_t i = 0; i < count; i++)
        ret[i] = (struct vex_hits){0};
    int code = vex_read_open(&read, collection, context, "Search", err);
    if (code != 0)
        return code;
    code = vex_nearest_run(&read, requests, sizeof *requests, count, ret);
    for (uint32_t i = 0; i < count && code != 0; i++)
        ret[i] = (struct vex_hits){0};
    vex_read_close(&read);
    return code;
}

/* ---- answers ---- */

static bool passes(const struct vex_query *query, float score)
{
    const struct vex_nearest *request = query->request;
    if (!request->has_threshold)
        return true;
    return vex_score_larger_better(query->params->distance) ? score > request->threshold
                                                            : score < request->threshold;
}

void vex_scored_list_done(struct vex_scored_list *list)
{
    vex_mem_free(list->entries);
    vex_mem_free(list->values);
    *list = (struct vex_scored_list){0};
}

static int keep(struct vex_read *read, const struct vex_query *query, const struct vex_scored *found,
                uint64_t count, uint64_t most)
{
    struct vex_scored_list *list = query->list;
    list->entries = vex_mem_try((most + 1) * sizeof *list->entries);
    if (list->entries == NULL)
        return vex_read_no_memory(read);
    for (uint64_t i = 0; i < count; i++)
        if (found[i].slot != query->exclude)
            list->entries[list->count++] = (struct vex_scored){found[i].score + 0.0f, found[i].slot};
    return 0;
}

int vex_nearest_fill(struct vex_read *read, const struct vex_query *query, const struct vex_scored *found,
                     uint64_t count, uint64_t most)
{
    uint32_t *slots = vex_arena_try(read->arena, (most + 1) * sizeof *slots);
    uint64_t at = 0;
    if (slots == NULL)
        return vex_read_no_memory(read);
    for (uint64_t i = 0; i < count; i++)
        if (found[i].slot != query->exclude)
            slots[at++] = found[i].slot;
    int code = vex_result_slots(read, &query->plan, slots, at, query->ret);
    for (uint64_t i = 0, to = 0; i < count && code == 0; i++)
        if (found[i].slot != query->exclude)
            query->ret->hits[to++].score = found[i].score + 0.0f; /* no -0 */
    return code;
}

int vex_nearest_answer(struct vex_read *read, const struct vex_query *query, const struct vex_scored *found,
                       uint64_t count)
{
    const struct vex_nearest *request = query->request;
    uint64_t skip = request->offset, first = 0, last = 0, seen = 0;
    /* Scores only get worse, so the answer is one run of what was found, less the query's own point. */
    for (uint64_t i = 0; i < count && seen < request->limit && passes(query, found[i].score); i++) {
        last = i + 1;
        if (found[i].slot == query->exclude)
            continue;
        if (skip > 0) {
            skip--;
            first = i + 1;
        } else {
            seen++;
        }
    }
    return query->list != NULL ? keep(read, query, found + first, last - first, seen)
                               : vex_nearest_fill(read, query, found + first, last - first, seen);
}
