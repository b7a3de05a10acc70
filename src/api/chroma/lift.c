/* What the Chroma dialect shows of a point: its metadata, its vector as it was given, its distance. */
#include "api/chroma/internal.h"

#include <float.h>

bool vex_chroma_shown(struct vex_str key, struct vex_value value)
{
    if (vex_str_starts(key, VEX_STR("chroma:")))
        return false;
    if (vex_value_kind(value) == VEX_VALUE_MAP) {
        struct vex_value type = vex_value_get(value, VEX_STR("#type"));
        return type.at != NULL && vex_value_kind(type) == VEX_VALUE_TEXT &&
               vex_str_eq_c(vex_value_text(type), "sparse_vector");
    }
    if (vex_value_kind(value) != VEX_VALUE_ARRAY)
        return vex_value_kind(value) != VEX_VALUE_NULL;
    unsigned type = vex_chroma_schema_type(value);
    struct vex_value_iter it = vex_value_iter(value);
    while (vex_value_next(&it))
        if (vex_chroma_schema_type(it.value) != type)
            return false;
    return type != 0;
}

float vex_chroma_distance(enum vex_distance distance, float score)
{
    switch (distance) {
    case VEX_DISTANCE_L2:
        return score * score;
    case VEX_DISTANCE_L1:
        return score;
    default:
        return 1.0f - score;
    }
}

static struct vex_str text_member(struct vex_value payload, struct vex_str key)
{
    struct vex_value v = payload.at != NULL ? vex_value_get(payload, key) : payload;

    return v.at != NULL && vex_value_kind(v) == VEX_VALUE_TEXT ? vex_value_text(v) : vex_str(NULL, 0);
}

/* Cosine vectors are stored at unit length beside the length they had; shorter ones than FLT_EPSILON as they
 * are. */
static const float *vector_of(struct vex_arena *arena, const struct vex_vector_params *params,
                              const struct vex_hit *hit)
{
    const struct vex_vector_value *v = hit->vectors;

    if (hit->vector_count == 0)
        return NULL;
    if (params->distance != VEX_DISTANCE_COSINE || !(hit->norm >= FLT_EPSILON))
        return v->values;
    float *ret = VEX_ARENA_ARRAY(arena, float, v->count);
    for (uint32_t i = 0; i < v->count; i++)
        ret[i] = v->values[i] * hit->norm;
    return ret;
}

void vex_chroma_lift_hits(struct vex_arena *arena, const struct vex_vector_params *params,
                          const struct vex_hits *hits, struct vex_chroma_hits *ret)
{
    ret->count = hits->count;
    ret->items = VEX_ARENA_ARRAY(arena, struct vex_chroma_hit, hits->count);
    for (size_t i = 0; i < hits->count; i++) {
        const struct vex_hit *from = &hits->hits[i];
        struct vex_chroma_hit *to = &ret->items[i];
        to->id = vex_id_text(arena, &from->id);
        to->distance = vex_chroma_distance(params->distance, from->score);
        to->vector = vector_of(arena, params, from);
        to->dimension = from->vector_count > 0 ? from->vectors->count : 0;
        if (!from->has_payload || from->payload.at == NULL)
            continue;
        to->document = text_member(from->payload, VEX_STR(VEX_CHROMA_DOCUMENT));
        to->uri = text_member(from->payload, VEX_STR(VEX_CHROMA_URI));
        /* A record of which only the document is kept has no metadata; one with a uri has empty ones. */
        if (vex_value_count(from->payload) > (to->document.ptr != NULL))
            to->metadata = from->payload;
    }
}
