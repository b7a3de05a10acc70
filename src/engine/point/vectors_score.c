/* Scores of the cosine of vectors of any length, multivectors (MaxSim, Khattab and Zaharia 2020) and sparse vectors, and Qdrant's scores from device distances.
 *
 * Owner: none, pure functions. Lock: none. */
#include "engine/point/vectors.h"

#include <math.h>

#include "uapi/dist.h"

bool vex_score_larger_better(enum vex_distance distance)
{
    return distance == VEX_DISTANCE_DOT || distance == VEX_DISTANCE_COSINE;
}

float vex_score_of(enum vex_distance distance, float device_distance)
{
    switch (distance) {
    case VEX_DISTANCE_L2:
        return sqrtf(device_distance);
    case VEX_DISTANCE_COSINE:
    case VEX_DISTANCE_DOT:
        return 0.0f - device_distance;
    default:
        return device_distance;
    }
}

float vex_score_cosine(const float *a, const float *b, uint32_t dimensions)
{
    vex_dist_fn *dot = vex_dist(VEX_DISTANCE_DOT, VEX_ELEMENT_F32); /* negated */
    double norms = sqrt((double)dot(a, a, dimensions) * (double)dot(b, b, dimensions));

    return norms > 0 ? (float)(-(double)dot(a, b, dimensions) / norms) : 0;
}

/* For each row of the query the nearest stored row; the score of the sum, as the peer has it (one root of summed squares). */
float vex_score_multi(const struct vex_vector_params *params, const float *query, uint32_t query_rows,
                      const struct vex_extra_vector *stored)
{
    vex_dist_fn *dist = vex_dist(params->distance, VEX_ELEMENT_F32);
    float sum = 0;

    for (uint32_t q = 0; q < query_rows; q++) {
        float best = INFINITY;

        for (uint32_t r = 0; r < stored->rows; r++) {
            float d = dist(query + (size_t)q * stored->count, stored->values + (size_t)r * stored->count,
                           stored->count);
            if (d < best)
                best = d;
        }
        sum += best;
    }
    return vex_score_of(params->distance, sum);
}

bool vex_score_sparse(const uint32_t *indices, const float *values, uint32_t count,
                      const struct vex_extra_vector *stored, float *ret)
{
    bool common = false;
    float sum = 0;

    for (uint32_t i = 0, j = 0; i < count && j < stored->count;) {
        if (indices[i] < stored->indices[j]) {
            i++;
        } else if (indices[i] > stored->indices[j]) {
            j++;
        } else {
            common = true;
            sum += values[i++] * stored->values[j++];
        }
    }
    *ret = sum;
    return common;
}
