/* Recommendation by the average of examples: one query vector, then an ordinary search. */
#include "engine/query/nearest.h"

#include <string.h>

/* Adds the examples' mean times `weight` to `sum`. */
static int add_mean(struct vex_read *read, const struct vex_vector_params *params,
                    const struct vex_example *examples, uint32_t count, double weight, double *sum)
{
    for (uint32_t i = 0; i < count; i++) {
        struct vex_vector_value vector = examples[i].vector;
        int code =
            examples[i].id != NULL ? vex_nearest_stored(read, params, examples[i].id, &vector, NULL) : 0;
        if (code != 0)
            return code;
        if (vector.kind != VEX_VECTOR_DENSE)
            return vex_err_set(read->err, VEX_EBAD_INPUT,
                               "Conversion between sparse and regular vectors failed");
        if (vector.count != params->size)
            return vex_err_set(read->err, VEX_EBAD_INPUT, "Vector dimension error: expected dim: %u, got %u",
                               params->size, vector.count);
        for (uint32_t d = 0; d < vector.count; d++)
            sum[d] += weight * vector.values[d] / count;
    }
    return 0;
}

int vex_nearest_average(struct vex_read *read, const struct vex_vector_params *params,
                        const struct vex_nearest *request, struct vex_vector_value *ret)
{
    double twice = request->negative_count != 0 ? 2 : 1;
    if (request->positive_count == 0)
        return vex_err_set(read->err, VEX_EBAD_INPUT,
                           "Positive vectors should not be empty with `average` strategy");
    if (params->kind != VEX_VECTOR_DENSE)
        return vex_err_set(read->err, VEX_EUNIMPLEMENTED,
                           "recommendation over sparse or multi vectors is not supported yet");
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
