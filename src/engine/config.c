/* Configuration of a collection: building, copying, and its bytes in the catalog.
 *
 * Owner     Whoever holds a reference. Lock: none; immutable once published.
 * Invariant Vectors stand in order of their ordinals; next_ordinal is above all of them.
 * Format    docs/disk-format.md, "configuration". */
#include "engine/config.h"

#include "base/mem.h"

#define FORMAT_VERSION 1u

#define VECTORS_MAX_TEXT "A collection holds at most %d vector names over its life"

struct vex_config *vex_config_new(void)
{
    struct vex_config *config = VEX_NEW(struct vex_config);

    atomic_init(&config->refs, 1);
    vex_arena_init(&config->arena, 0);
    return config;
}

struct vex_config *vex_config_ref(struct vex_config *config)
{
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}

void vex_config_unref(struct vex_config *config)
{
    if (config == NULL || atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) != 1)
        return;
    vex_arena_done(&config->arena);
    vex_mem_free(config);
}

static struct vex_str keep(struct vex_config *config, struct vex_str s)
{
    if (s.len == 0)
        return vex_str("", 0);
    return vex_str(vex_arena_dup(&config->arena, s.ptr, s.len), s.len);
}

static void append_vector(struct vex_config *config, const struct vex_vector_params *params)
{
    uint32_t count = config->vector_count;
    struct vex_vector_params *vectors = VEX_ARENA_ARRAY(&config->arena, struct vex_vector_params, count + 1);

    if (count > 0)
        memcpy(vectors, config->vectors, count * sizeof *vectors);
    vectors[count] = *params;
    vectors[count].name = keep(config, params->name);
    config->vectors = vectors;
    config->vector_count = count + 1;
}

struct vex_config *vex_config_dup(const struct vex_config *config)
{
    struct vex_config *copy = vex_config_new();

    copy->next_ordinal = config->next_ordinal;
    copy->vector_count = config->vector_count;
    if (config->vector_count > 0)
        copy->vectors = VEX_ARENA_ARRAY(&copy->arena, struct vex_vector_params, config->vector_count);
    for (uint32_t i = 0; i < config->vector_count; i++) {
        copy->vectors[i] = config->vectors[i];
        copy->vectors[i].name = keep(copy, config->vectors[i].name);
    }
    copy->index_count = config->index_count;
    if (config->index_count > 0)
        copy->indexes = VEX_ARENA_ARRAY(&copy->arena, struct vex_index_params, config->index_count);
    for (uint32_t i = 0; i < config->index_count; i++) {
        copy->indexes[i] = config->indexes[i];
        copy->indexes[i].field = keep(copy, config->indexes[i].field);
        copy->indexes[i].doc = keep(copy, config->indexes[i].doc);
    }
    for (int i = 0; i < VEX_DOC_COUNT; i++)
        copy->docs[i] = keep(copy, config->docs[i]);
    return copy;
}

int vex_config_add_vector(struct vex_config *config, const struct vex_vector_params *params,
                          struct vex_err *err)
{
    struct vex_vector_params added = *params;

    if (params->name.len > VEX_VECTOR_NAME_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, "Vector name is longer than %d bytes", VEX_VECTOR_NAME_MAX);
    if (vex_config_vector(config, params->name) != NULL)
        return vex_err_set(err, VEX_EBAD_INPUT, "Vector name `" VEX_STR_FMT "` already exists",
                           VEX_STR_ARG(params->name));
    if (config->next_ordinal >= VEX_VECTORS_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, VECTORS_MAX_TEXT, VEX_VECTORS_MAX);
    added.ordinal = config->next_ordinal++;
    append_vector(config, &added);
    return 0;
}

const struct vex_vector_params *vex_config_vector(const struct vex_config *config, struct vex_str name)
{
    for (uint32_t i = 0; i < config->vector_count; i++)
        if (vex_str_eq(config->vectors[i].name, name))
            return &config->vectors[i];
    return NULL;
}

const struct vex_vector_params *vex_config_ordinal(const struct vex_config *config, uint8_t ordinal)
{
    for (uint32_t i = 0; i < config->vector_count; i++)
        if (config->vectors[i].ordinal == ordinal)
            return &config->vectors[i];
    return NULL;
}

const struct vex_index_params *vex_config_index(const struct vex_config *config, struct vex_str field)
{
    for (uint32_t i = 0; i < config->index_count; i++)
        if (vex_str_eq(config->indexes[i].field, field))
            return &config->indexes[i];
    return NULL;
}

void vex_config_set_doc(struct vex_config *config, enum vex_config_doc doc, struct vex_str bytes)
{
    config->docs[doc] = keep(config, bytes);
}

void vex_config_encode(struct vex_buf *out, const struct vex_config *config)
{
    vex_buf_add_u32(out, FORMAT_VERSION);
    vex_buf_add_u8(out, config->next_ordinal);
    vex_buf_add_u32(out, config->vector_count);
    for (uint32_t i = 0; i < config->vector_count; i++) {
        const struct vex_vector_params *v = &config->vectors[i];
        vex_buf_add_str32(out, v->name);
        vex_buf_add_u8(out, v->ordinal);
        vex_buf_add_u8(out, (uint8_t)v->kind);
        vex_buf_add_u8(out, (uint8_t)v->distance);
        vex_buf_add_u8(out, (uint8_t)v->element);
        vex_buf_add_u8(out, v->idf);
        vex_buf_add_u32(out, v->size);
    }
    vex_buf_add_u32(out, config->index_count);
    for (uint32_t i = 0; i < config->index_count; i++) {
        vex_buf_add_str32(out, config->indexes[i].field);
        vex_buf_add_u8(out, config->indexes[i].type);
        vex_buf_add_str32(out, config->indexes[i].doc);
    }
    vex_buf_add_u32(out, VEX_DOC_COUNT);
    for (int i = 0; i < VEX_DOC_COUNT; i++)
        vex_buf_add_str32(out, config->docs[i]);
}

static bool decode_vector(struct vex_cursor *c, struct vex_config *config, uint64_t *seen)
{
    struct vex_vector_params v = {.name = vex_cursor_str32(c)};
    uint8_t kind, distance, element;

    v.ordinal = vex_cursor_u8(c);
    kind = vex_cursor_u8(c);
    distance = vex_cursor_u8(c);
    element = vex_cursor_u8(c);
    v.idf = vex_cursor_u8(c) != 0;
    v.size = vex_cursor_u32(c);
    if (c->bad || v.name.len > VEX_VECTOR_NAME_MAX || v.ordinal >= config->next_ordinal ||
        kind > VEX_VECTOR_SPARSE || distance >= VEX_DISTANCE_COUNT || element >= VEX_ELEMENT_COUNT ||
        v.size > VEX_DIM_MAX || (*seen >> v.ordinal & 1) != 0 || vex_config_vector(config, v.name) != NULL)
        return false;
    *seen |= UINT64_C(1) << v.ordinal;
    v.kind = (enum vex_vector_kind)kind;
    v.distance = (enum vex_distance)distance;
    v.element = (enum vex_element)element;
    append_vector(config, &v);
    return true;
}

static bool decode_indexes(struct vex_cursor *c, struct vex_config *config)
{
    uint32_t count = vex_cursor_u32(c);

    /* An index takes at least 9 bytes: a wrong count can't size an allocation. */
    if (c->bad || count > vex_cursor_left(c) / 9)
        return false;
    if (count > 0)
        config->indexes = VEX_ARENA_ARRAY(&config->arena, struct vex_index_params, count);
    config->index_count = count;
    for (uint32_t i = 0; i < count; i++) {
        config->indexes[i].field = keep(config, vex_cursor_str32(c));
        config->indexes[i].type = vex_cursor_u8(c);
        config->indexes[i].doc = keep(config, vex_cursor_str32(c));
    }
    return !c->bad;
}

static bool decode_body(struct vex_cursor *c, struct vex_config *config)
{
    uint64_t seen = 0;
    uint32_t count;

    if (vex_cursor_u32(c) != FORMAT_VERSION)
        return false;
    config->next_ordinal = vex_cursor_u8(c);
    count = vex_cursor_u32(c);
    if (c->bad || config->next_ordinal > VEX_VECTORS_MAX || count > config->next_ordinal)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!decode_vector(c, config, &seen))
            return false;
    if (!decode_indexes(c, config) || vex_cursor_u32(c) != VEX_DOC_COUNT)
        return false;
    for (int i = 0; i < VEX_DOC_COUNT; i++)
        config->docs[i] = keep(config, vex_cursor_str32(c));
    return !c->bad;
}

int vex_config_decode(struct vex_cursor *c, struct vex_config **ret, struct vex_err *err)
{
    struct vex_config *config = vex_config_new();

    if (!decode_body(c, config)) {
        vex_config_unref(config);
        return vex_err_set(err, VEX_ECORRUPT, "configuration is damaged or of an unknown version");
    }
    *ret = config;
    return 0;
}
