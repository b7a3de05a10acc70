/* Recommendation by the average of examples: one query vector, then an ordinary search. Of multivectors the average is all rows, those
 * of negative examples negated. */
#include "engine/query/nearest.h"

#include <stdlib.h>
#include <string.h>

/* An example as it was given or is stored, of the kind that the name holds. */
static int example_vector(struct vex_read *read, const struct vex_vector_params *params,
                          const struct vex_example *example, struct vex_vector_value *ret)
{
    *ret = example->vector;
    int code = vex_read_step(read);
    if (code == 0 && example->id != NULL)
        code = vex_nearest_stored(read, params, example->id, ret, NULL);
    if (code != 0)
        return code;
    bool row = ret->kind == VEX_VECTOR_DENSE && params->kind == VEX_VECTOR_MULTI;
    if (ret->kind != params->kind && !row)
        return vex_err_set(read->err, VEX_EBAD_INPUT, "Conversion between %s and regular vectors failed",
                           ret->kind == VEX_VECTOR_SPARSE || params->kind == VEX_VECTOR_SPARSE ? "sparse"
                                                                                               : "multi");
    if (ret->kind == VEX_VECTOR_DENSE)
        ret->rows = 1;
    if (params->kind != VEX_VECTOR_SPARSE && (ret->count != params->size || ret->rows == 0))
        return vex_err_set(read->err, VEX_EBAD_INPUT, "Vector dimension error: expected dim: %u, got %u",
                           params->size, ret->rows == 0 ? 0 : ret->count);
    return 0;
}

/* ---- dense ---- */

/* Adds the examples' mean times `weight` to `sum`. */
static int add_mean(struct vex_read *read, const struct vex_vector_params *params,
                    const struct vex_example *examples, uint32_t count, double weight, double *sum)
{
    for (uint32_t i = 0; i < count; i++) {
        struct vex_vector_value vector;
        int code = example_vector(read, params, &examples[i], &vector);
        if (code != 0)
            return code;
        for (uint32_t d = 0; d < vector.count; d++)
            sum[d] += weight * (double)vector.values[d] / count;
    }
    return 0;
}

static int average_dense(struct vex_read *read, const struct vex_vector_params *params,
                         const struct vex_nearest *request, struct vex_vector_value *ret)
{
    double twice = request->negative_count != 0 ? 2 : 1;
    double *sum = vex_arena_try(read->arena, ((size_t)params->size + 1) * sizeof *sum);
    float *values = vex_arena_try(read->arena, ((size_t)params->size + 1) * sizeof *values);
    if (sum == NULL || values == NULL)
        return vex_read_no_memory(read);
    memset(sum, 0, params->size * sizeof *sum);
    int code = add_mean(read, params, request->positive, request->positive_count, twice, sum);
    if (code == 0)
        code = add_mean(read, params, request->negative, request->negative_count, -1, sum);
    if (code != 0)
        return code;
    for (uint32_t d = 0; d < params->size; d++)
        values[d] = (float)sum[d];
    *ret = (struct vex_vector_value){
        .name = params->name, .kind = VEX_VECTOR_DENSE, .values = values, .count = params->size};
    return 0;
}

/* ---- multi and sparse: all examples at once ---- */

/* The vectors of all examples, positive ones first. */
static int example_vectors(struct vex_read *read, const struct vex_vector_params *params,
                           const struct vex_nearest *request, struct vex_vector_value **ret,
                           uint64_t *ret_total)
{
    uint64_t count = (uint64_t)request->positive_count + request->negative_count;
    struct vex_vector_value *vectors = vex_arena_try(read->arena, count * sizeof *vectors);
    int code = vectors == NULL ? vex_read_no_memory(read) : 0;
    *ret = vectors;
    *ret_total = 0;
    for (uint64_t i = 0; i < count && code == 0; i++) {
        const struct vex_example *example = i < request->positive_count
                                                ? &request->positive[i]
                                                : &request->negative[i - request->positive_count];
        code = example_vector(read, params, example, &vectors[i]);
        if (code == 0)
            *ret_total += params->kind == VEX_VECTOR_SPARSE ? vectors[i].count : vectors[i].rows;
    }
    return code != 0 || *ret_total <= UINT32_MAX ? code : vex_read_no_memory(read);
}

static int average_multi(struct vex_read *read, const struct vex_vector_params *params,
                         const struct vex_nearest *request, struct vex_vector_value *ret)
{
    struct vex_vector_value *vectors;
    uint64_t rows;
    size_t size, at = 0;
    int code = example_vectors(read, params, request, &vectors, &rows);
    if (code != 0)
        return code;
    bool fits = !__builtin_mul_overflow(rows * sizeof(float), params->size, &size);
    float *values = fits ? vex_arena_try(read->arena, size) : NULL;
    if (values == NULL)
        return vex_read_no_memory(read);
    for (uint64_t i = 0; i < (uint64_t)request->positive_count + request->negative_count; i++) {
        float sign = i < request->positive_count ? 1 : -1;
        size_t floats = (size_t)vectors[i].rows * params->size;
        for (size_t f = 0; f < floats; f++)
            values[at++] = sign * vectors[i].values[f];
    }
    *ret = (struct vex_vector_value){.name = params->name,
                                     .kind = VEX_VECTOR_MULTI,
                                     .values = values,
                                     .count = params->size,
                                     .rows = (uint32_t)rows};
    return 0;
}

struct entry {
    uint32_t index;
    double value;
};

static int by_index(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    return a->index == b->index ? 0 : a->index < b->index ? -1 : 1;
}

/* Sorts the entries and adds up those of one index. */
static int fold(struct vex_read *read, struct entry *entries, uint64_t count, struct vex_vector_value *ret)
{
    uint32_t *indices = vex_arena_try(read->arena, (count + 1) * sizeof *indices);
    float *values = vex_arena_try(read->arena, (count + 1) * sizeof *values);
    if (indices == NULL || values == NULL)
        return vex_read_no_memory(read);
    if (count > 1)
        qsort(entries, count, sizeof *entries, by_index);
    for (uint64_t i = 0; i < count; ret->count++) {
        double sum = 0;
        indices[ret->count] = entries[i].index;
        for (; i < count && entries[i].index == indices[ret->count]; i++)
            sum += entries[i].value;
        values[ret->count] = (float)sum;
    }
    ret->indices = indices;
    ret->values = values;
    return 0;
}

static int average_sparse(struct vex_read *read, const struct vex_vector_params *params,
                          const struct vex_nearest *request, struct vex_vector_value *ret)
{
    double twice = request->negative_count != 0 ? 2 : 1;
    struct vex_vector_value *vectors;
    uint64_t total, at = 0;
    int code = example_vectors(read, params, request, &vectors, &total);
    if (code != 0)
        return code;
    struct entry *entries = vex_arena_try(read->arena, (total + 1) * sizeof *entries);
    if (entries == NULL)
        return vex_read_no_memory(read);
    for (uint64_t i = 0; i < (uint64_t)request->positive_count + request->negative_count; i++) {
        double weight =
            i < request->positive_count ? twice / request->positive_count : -1.0 / request->negative_count;
        for (uint32_t e = 0; e < vectors[i].count; e++)
            entries[at++] = (struct entry){vectors[i].indices[e], weight * (double)vectors[i].values[e]};
    }
    *ret = (struct vex_vector_value){.name = params->name, .kind = VEX_VECTOR_SPARSE};
    return fold(read, entries, total, ret);
}

int vex_nearest_average(struct vex_read *read, const struct vex_vector_params *params,
                        const struct vex_nearest *request, struct vex_vector_value *ret)
{
    if (request->positive_count == 0)
        return vex_err_set(read->err, VEX_EBAD_INPUT,
                           "Positive vectors should not be empty with `average` strategy");
    switch (params->kind) {
    case VEX_VECTOR_MULTI:
        return average_multi(read, params, request, ret);
    case VEX_VECTOR_SPARSE:
        return average_sparse(read, params, request, ret);
    default:
        return average_dense(read, params, request, ret);
    }
}
