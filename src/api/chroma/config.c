/* A collection's Chroma document: metadata, index parameters, embedding function and schema, as one CBOR map.
 *
 * Format   {"metadata": map | null, "space": text, "hnsw": {key: number}, "embedding_function": any,
 * "schema": map | null, "keys": {metadata key: bits of types}}. */
#include "api/chroma/internal.h"

#include <unistd.h>

const struct vex_hnsw_param vex_hnsw_params[VEX_HNSW_COUNT] = {
#define HNSW(id, key, legacy, whole, def, change) {key, legacy, whole, def, change},
#include "api/chroma/hnsw.def"
#undef HNSW
};

const char *const vex_chroma_spaces[VEX_SPACE_COUNT] = {"l2", "cosine", "ip"};

static const enum vex_distance distances[VEX_SPACE_COUNT] = {VEX_DISTANCE_L2, VEX_DISTANCE_COSINE,
                                                             VEX_DISTANCE_DOT};

static void defaults(struct vex_chroma_config *chroma)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    *chroma = (struct vex_chroma_config){.space = VEX_SPACE_L2};
    for (int i = 0; i < VEX_HNSW_COUNT; i++)
        chroma->hnsw[i] = vex_hnsw_params[i].def;
    chroma->hnsw[VEX_HNSW_NUM_THREADS] = cores > 0 ? (double)cores : 1;
}

static struct vex_value not_null(struct vex_value v)
{
    return v.at != NULL && vex_value_kind(v) == VEX_VALUE_NULL ? (struct vex_value){NULL} : v;
}

static bool space_of(struct vex_value v, enum vex_chroma_space *ret)
{
    if (v.at == NULL || vex_value_kind(v) != VEX_VALUE_TEXT)
        return false;
    for (int i = 0; i < VEX_SPACE_COUNT; i++)
        if (vex_str_eq_c(vex_value_text(v), vex_chroma_spaces[i])) {
            *ret = (enum vex_chroma_space)i;
            return true;
        }
    return false;
}

void vex_chroma_config_read(const struct vex_config *config, struct vex_chroma_config *ret)
{
    struct vex_str doc = config->docs[VEX_DOC_CHROMA];

    defaults(ret);
    if (doc.len == 0) {
        const struct vex_vector_params *params = vex_config_vector(config, VEX_STR(""));
        for (int i = 0; params != NULL && i < VEX_SPACE_COUNT; i++)
            if (params->distance == distances[i])
                ret->space = (enum vex_chroma_space)i;
        return;
    }
    struct vex_value map = {(const uint8_t *)doc.ptr};
    struct vex_value hnsw = vex_value_get(map, VEX_STR("hnsw"));
    space_of(vex_value_get(map, VEX_STR("space")), &ret->space);
    for (int i = 0; i < VEX_HNSW_COUNT; i++) {
        struct vex_value v = vex_value_get(hnsw, vex_str_c(vex_hnsw_params[i].key));
        if (v.at != NULL && vex_value_is_number(v))
            ret->hnsw[i] = vex_value_double(v);
    }
    ret->metadata = not_null(vex_value_get(map, VEX_STR("metadata")));
    ret->embedding_function = not_null(vex_value_get(map, VEX_STR("embedding_function")));
    ret->schema = not_null(vex_value_get(map, VEX_STR("schema")));
    ret->keys = vex_value_get(map, VEX_STR("keys"));
}

static void put_or_null(struct vex_buf *out, const char *key, struct vex_value v)
{
    vex_value_put_text(out, vex_str_c(key));
    if (v.at == NULL)
        vex_value_put_null(out);
    else
        vex_value_put(out, v);
}

void vex_chroma_config_write(struct vex_arena *arena, struct vex_config *config,
                             const struct vex_chroma_config *chroma)
{
    struct vex_buf out;

    vex_buf_init(&out, arena);
    vex_value_put_map(&out, 6);
    put_or_null(&out, "metadata", chroma->metadata);
    vex_value_put_text(&out, VEX_STR("space"));
    vex_value_put_text(&out, vex_str_c(vex_chroma_spaces[chroma->space]));
    vex_value_put_text(&out, VEX_STR("hnsw"));
    vex_value_put_map(&out, VEX_HNSW_COUNT);
    for (int i = 0; i < VEX_HNSW_COUNT; i++) {
        vex_value_put_text(&out, vex_str_c(vex_hnsw_params[i].key));
        vex_value_put_double(&out, chroma->hnsw[i]);
    }
    put_or_null(&out, "embedding_function", chroma->embedding_function);
    put_or_null(&out, "schema", chroma->schema);
    vex_value_put_text(&out, VEX_STR("keys"));
    if (chroma->keys.at == NULL)
        vex_value_put_map(&out, 0);
    else
        vex_value_put(&out, chroma->keys);
    vex_config_set_doc(config, VEX_DOC_CHROMA, vex_buf_str(&out));
}

void vex_chroma_config_change(struct vex_chroma_config *chroma, const struct vex_chroma_settings *settings)
{
    if (settings->has_space)
        chroma->space = settings->space;
    for (int i = 0; i < VEX_HNSW_COUNT; i++)
        if (settings->has[i])
            chroma->hnsw[i] = settings->hnsw[i];
    if (settings->embedding_function.at != NULL)
        chroma->embedding_function = not_null(settings->embedding_function);
}

static uint32_t whole(double value)
{
    return value <= 0 ? 0 : value >= UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

void vex_chroma_config_graph(struct vex_config *config, const struct vex_chroma_settings *settings)
{
    for (uint32_t i = 0; i < config->vector_count; i++) {
        struct vex_graph_settings *graph = &config->vectors[i].graph;

        if (config->vectors[i].name.len != 0)
            continue;
        if (settings->has[VEX_HNSW_MAX_NEIGHBORS])
            graph->m = whole(settings->hnsw[VEX_HNSW_MAX_NEIGHBORS]);
        if (settings->has[VEX_HNSW_EF_CONSTRUCTION])
            graph->ef_construct = whole(settings->hnsw[VEX_HNSW_EF_CONSTRUCTION]);
        if (settings->has[VEX_HNSW_EF_SEARCH])
            graph->ef = whole(settings->hnsw[VEX_HNSW_EF_SEARCH]);
    }
}

/* The old way to give parameters: "hnsw:*" keys of the metadata. */
static int legacy_settings(struct vex_value metadata, struct vex_chroma_settings *ret, struct vex_err *err)
{
    struct vex_value_iter it = vex_value_iter(metadata);

    if (metadata.at == NULL)
        return 0;
    while (vex_value_next(&it)) {
        if (!vex_str_starts(it.key, VEX_STR("hnsw:")))
            continue;
        bool known = false;
        if (vex_str_eq_c(it.key, "hnsw:space"))
            known = ret->has_space = space_of(it.value, &ret->space);
        for (int i = 0; i < VEX_HNSW_COUNT && !known; i++)
            if (vex_str_eq_c(it.key, vex_hnsw_params[i].legacy) && vex_value_is_number(it.value)) {
                known = !vex_hnsw_params[i].whole || vex_value_kind(it.value) == VEX_VALUE_INT;
                ret->has[i] = true;
                ret->hnsw[i] = vex_value_double(it.value);
            }
        if (!known)
            return vex_err_set(err, VEX_EBAD_INPUT, "Failed to parse hnsw parameters from segment metadata");
    }
    return 0;
}

/* True when a configuration says anything but the defaults: clients send those beside a schema. */
static bool says_something(const struct vex_chroma_settings *settings)
{
    bool some = settings->has_space && settings->space != VEX_SPACE_L2;

    for (int i = 0; i < VEX_HNSW_COUNT; i++)
        some |= settings->has[i] && settings->hnsw[i] != vex_hnsw_params[i].def;
    return some;
}

/* A schema always names an embedding function; clients fill in the one called "default". */
static bool chosen_function(struct vex_value function)
{
    struct vex_value name = function.at != NULL ? vex_value_get(function, VEX_STR("name")) : function;

    return name.at != NULL && vex_value_kind(name) == VEX_VALUE_TEXT &&
           !vex_str_eq_c(vex_value_text(name), "default");
}

int vex_chroma_config_new(struct vex_arena *arena, const struct vex_chroma_create *request,
                          struct vex_config **ret, struct vex_err *err)
{
    struct vex_chroma_settings legacy = {0}, from_schema = {0};
    struct vex_chroma_config chroma;
    int rc;

    if (request->settings.has_hnsw && request->settings.has_spann)
        return vex_err_set(err, VEX_EBAD_INPUT, "Multiple vector index configurations provided");
    if ((rc = legacy_settings(request->metadata, &legacy, err)) < 0)
        return rc;
    if (request->schema.at != NULL &&
        (rc = vex_chroma_schema_settings(request->schema, &from_schema, err)) < 0)
        return rc;
    if (says_something(&from_schema) && says_something(&request->settings))
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "Cannot set both collection config and schema simultaneously");
    defaults(&chroma);
    bool schema_wins = says_something(&from_schema) || chosen_function(from_schema.embedding_function);
    const struct vex_chroma_settings *order[] = {&legacy, schema_wins ? &request->settings : &from_schema,
                                                 schema_wins ? &from_schema : &request->settings};
    for (int i = 0; i < 3; i++)
        vex_chroma_config_change(&chroma, order[i]);
    chroma.metadata = request->metadata;
    chroma.schema = request->schema;

    struct vex_config *config = vex_config_new();
    struct vex_vector_params params = {.kind = VEX_VECTOR_DENSE,
                                       .distance = distances[chroma.space],
                                       .element = VEX_ELEMENT_F32,
                                       .name = VEX_STR("")};
    if ((rc = vex_config_add_vector(config, &params, err)) < 0) {
        vex_config_unref(config);
        return rc;
    }
    for (int i = 0; i < 3; i++)
        vex_chroma_config_graph(config, order[i]);
    vex_chroma_config_write(arena, config, &chroma);
    *ret = config;
    return 0;
}
