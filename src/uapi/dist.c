/* Distance kernels: the choice for this CPU, the scalar variant that defines the results, conversions.
 * See dist.h.
 *
 * State     One pointer to the chosen table, the same whoever stores it first. */
#include "uapi/dist.h"

#include <float.h>
#include <stdatomic.h>
#include <string.h>

#include "uapi/dist_table.h"
#include "uapi/half.h"

const struct vex_dist_table *const vex_dist_tables[] = {
#if defined(__x86_64__)
    &vex_dist_table_avx512,
    &vex_dist_table_avx2,
#elif defined(__aarch64__)
    &vex_dist_table_neon,
#endif
    &vex_dist_table_scalar,
    NULL,
};

static const struct vex_dist_table *chosen(void)
{
    static const struct vex_dist_table *_Atomic cache;
    const struct vex_dist_table *table = atomic_load_explicit(&cache, memory_order_relaxed);
    if (table != NULL)
        return table;
    size_t i = 0;
    while (!vex_dist_tables[i]->usable())
        i++;
    atomic_store_explicit(&cache, vex_dist_tables[i], memory_order_relaxed);
    return vex_dist_tables[i];
}

vex_dist_fn *vex_dist(enum vex_distance distance, enum vex_element element)
{
    return chosen()->fn[distance][element];
}

vex_dist4_fn *vex_dist4(enum vex_distance distance, enum vex_element element)
{
    return chosen()->fn4[distance][element];
}

vex_dist_fn *vex_dist_scalar(enum vex_distance distance, enum vex_element element)
{
    return vex_dist_table_scalar.fn[distance][element];
}

const char *vex_dist_name(void)
{
    return chosen()->name;
}

/* ---- IEEE 754 binary16 by integer arithmetic ---- */

static uint16_t half_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return vex_half_from_bits(bits);
}

static float float_from_half(uint16_t half)
{
    uint32_t bits = vex_bits_from_half(half);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void to_f16(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = half_from_float(from[i]);
}

static void from_f16(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = float_from_half(from[i]);
}

/* ---- The scalar variant ---- */

static bool usable(void)
{
    return true;
}

static inline float element_at(enum vex_element element, const void *vector, size_t i)
{
    switch (element) {
    case VEX_ELEMENT_F16:
        return float_from_half(((const uint16_t *)vector)[i]);
    case VEX_ELEMENT_U8:
        return (float)((const uint8_t *)vector)[i];
    default:
        return ((const float *)vector)[i];
    }
}

static inline float added(enum vex_distance distance, float sum, float q, float v)
{
    float difference = q - v;
    if (distance == VEX_DISTANCE_DOT)
        return fmaf(q, v, sum);
    return distance == VEX_DISTANCE_L2 ? fmaf(difference, difference, sum) : sum + fabsf(difference);
}

static inline float short_scalar(enum vex_distance distance, enum vex_element element, const float *query,
                                 const void *vector, size_t dimensions)
{
    float sum = 0;
    for (size_t i = 0; i < dimensions; i++)
        sum += vex_dist_short_term(distance, query[i], element_at(element, vector, i));
    return vex_dist_finish(distance, sum);
}

static inline float scalar(enum vex_distance distance, enum vex_element element, const float *query,
                           const void *vector, size_t dimensions)
{
    if (dimensions < VEX_DIST_SHORT)
        return short_scalar(distance, element, query, vector, dimensions);
    float lanes[VEX_DIST_LANES] = {0};
    for (size_t i = 0; i < dimensions; i++) {
        float *lane = &lanes[i % VEX_DIST_LANES];
        *lane = added(distance, *lane, query[i], element_at(element, vector, i));
    }
    for (size_t width = VEX_DIST_LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return vex_dist_finish(distance, lanes[0]);
}

#define KERNEL(name, distance, element)                                                                      \
    static float name##1(const float *query, const void *vector, size_t dimensions)                          \
    {                                                                                                        \
        return scalar(distance, element, query, vector, dimensions);                                         \
    }                                                                                                        \
    static void name##4(const float *query, const void *const vectors[4], size_t dimensions, float ret[4])   \
    {                                                                                                        \
        for (size_t i = 0; i < 4; i++)                                                                       \
            ret[i] = name##1(query, vectors[i], dimensions);                                                 \
    }
VEX_DIST_EACH(KERNEL)

const struct vex_dist_table vex_dist_table_scalar = {
    .name = "scalar",
    .usable = usable,
    .fn = VEX_DIST_FUNCTIONS,
    .fn4 = VEX_DIST_FUNCTIONS4,
    .to_f16 = to_f16,
    .from_f16 = from_f16,
};

/* ---- Conversions ---- */

static uint8_t byte_from_float(float value)
{
    if (!(value > 0.0f)) /* NaN too */
        return 0;
    return value >= 255.0f ? 255 : (uint8_t)value;
}

void vex_dist_encode(enum vex_element element, const float *from, void *to, size_t dimensions)
{
    uint8_t *bytes = to;
    switch (element) {
    case VEX_ELEMENT_F16:
        chosen()->to_f16(from, to, dimensions);
        break;
    case VEX_ELEMENT_U8:
        for (size_t i = 0; i < dimensions; i++)
            bytes[i] = byte_from_float(from[i]);
        break;
    default:
        memcpy(to, from, dimensions * sizeof *from);
        break;
    }
}

void vex_dist_decode(enum vex_element element, const void *from, float *to, size_t dimensions)
{
    const uint8_t *bytes = from;
    switch (element) {
    case VEX_ELEMENT_F16:
        chosen()->from_f16(from, to, dimensions);
        break;
    case VEX_ELEMENT_U8:
        for (size_t i = 0; i < dimensions; i++)
            to[i] = (float)bytes[i];
        break;
    default:
        memcpy(to, from, dimensions * sizeof *to);
        break;
    }
}

/* The same by a plain loop, where f32 can: false leaves it to f64. */
static bool normalised_short(float *vector, size_t dimensions, float *ret)
{
    float square = 0;
    for (size_t i = 0; i < dimensions; i++)
        square += vex_dist_rounded(vector[i] * vector[i]);
    if (!(square >= FLT_EPSILON) || isinf(square))
        return false;
    *ret = sqrtf(square);
    for (size_t i = 0; i < dimensions && fabsf(square - 1.0f) > 1e-6f; i++)
        vector[i] /= *ret;
    return true;
}

float vex_dist_normalise(float *vector, size_t dimensions)
{
    float plain;
    if (dimensions < VEX_DIST_SHORT && normalised_short(vector, dimensions, &plain))
        return plain;
    double sums[4] = {0};
    for (size_t i = 0; i < dimensions; i++)
        sums[i % 4] += (double)vector[i] * vector[i];
    double length = sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
    if (length >= (double)FLT_EPSILON) {
        double scale = 1.0 / length;
        for (size_t i = 0; i < dimensions; i++)
            vector[i] = (float)(vector[i] * scale);
    }
    return (float)length;
}
