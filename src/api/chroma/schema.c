/* Schemas: which kinds of values under which keys Chroma says are indexed. The engine filters by any key;
 * what a schema switches off is refused, and the complete schema is told back. */
#include "api/chroma/internal.h"

#define INDEXES_MAX 2

struct index_rule {
    const char *name;
    bool enabled; /* by default */
};

struct type_rule {
    const char *name;
    struct index_rule indexes[INDEXES_MAX];
};

/* In the order of the bits. */
static const struct type_rule types[] = {
    {"string", {{"fts_index", false}, {"string_inverted_index", true}}},
    {"float_list", {{"vector_index", false}}},
    {"sparse_vector", {{"sparse_vector_index", false}}},
    {"int", {{"int_inverted_index", true}}},
    {"float", {{"float_inverted_index", true}}},
    {"bool", {{"bool_inverted_index", true}}},
};
#define TYPES (sizeof types / sizeof *types)

static const struct vex_value absent = {NULL};

static struct vex_value get(struct vex_value map, const char *key)
{
    struct vex_value v = map.at != NULL ? vex_value_get(map, vex_str_c(key)) : absent;

    return v.at != NULL && vex_value_kind(v) == VEX_VALUE_NULL ? absent : v;
}

static bool is_map(struct vex_value v)
{
    return v.at == NULL || vex_value_kind(v) == VEX_VALUE_MAP;
}

/* ---- reading what a client sent ---- */

static bool enabled(struct vex_value index, bool def)
{
    struct vex_value v = get(index, "enabled");

    return v.at != NULL && vex_value_kind(v) == VEX_VALUE_BOOL ? vex_value_bool(v) : def;
}

static int bad(struct vex_err *err, struct vex_str key, const char *why)
{
    return vex_err_set(err, VEX_EBAD_INPUT, "Invalid schema: key '" VEX_STR_FMT "': %s", VEX_STR_ARG(key),
                       why);
}

/* One set of value types: known names, right shapes, no index where it can't be. */
static int check_types(struct vex_str key, struct vex_value set, struct vex_err *err)
{
    bool embedding = vex_str_eq_c(key, "#embedding"), document = vex_str_eq_c(key, "#document");
    bool defaults = key.len == 0;

    if (!is_map(set))
        return bad(err, key, "value types must be an object");
    for (size_t t = 0; t < TYPES; t++) {
        struct vex_value type = get(set, types[t].name);
        if (!is_map(type))
            return bad(err, key, "a value type must be an object");
        for (int i = 0; i < INDEXES_MAX && types[t].indexes[i].name != NULL; i++) {
            struct vex_value index = get(type, types[t].indexes[i].name);
            if (!is_map(index) || !is_map(get(index, "config")))
                return bad(err, key, "an index must be an object with a config object");
            if (!enabled(index, false))
                continue;
            if (t == 1 && !embedding)
                return bad(err, key, "vector index can only be enabled on #embedding");
            if (t == 0 && i == 0 && !document && !defaults)
                return bad(err, key, "fts index can only be enabled on #document");
            if (t == 2)
                return vex_err_set(err, VEX_EBAD_INPUT, "Sparse vector indexing is not enabled in local");
        }
    }
    return 0;
}

static void take_hnsw(struct vex_value hnsw, struct vex_chroma_settings *ret)
{
    for (int i = 0; i < VEX_HNSW_COUNT; i++) {
        struct vex_value v = get(hnsw, vex_hnsw_params[i].key);
        if (v.at != NULL && vex_value_is_number(v) && vex_value_double(v) != vex_hnsw_params[i].def) {
            ret->has[i] = true;
            ret->hnsw[i] = vex_value_double(v);
        }
    }
}

static int take_config(struct vex_str key, struct vex_value config, struct vex_chroma_settings *ret,
                       struct vex_err *err)
{
    struct vex_value space = get(config, "space"), hnsw = get(config, "hnsw"), spann = get(config, "spann");
    struct vex_value function = get(config, "embedding_function");

    if (!is_map(hnsw) || !is_map(spann))
        return bad(err, key, "hnsw and spann must be objects");
    if (hnsw.at != NULL && spann.at != NULL)
        return bad(err, key, "cannot have both HNSW and SPANN configurations");
    take_hnsw(hnsw, ret);
    if (function.at != NULL)
        ret->embedding_function = function;
    if (space.at == NULL)
        return 0;
    for (int i = 0; i < VEX_SPACE_COUNT; i++)
        if (vex_value_kind(space) == VEX_VALUE_TEXT &&
            vex_str_eq_c(vex_value_text(space), vex_chroma_spaces[i])) {
            ret->has_space = true;
            ret->space = (enum vex_chroma_space)i;
            return 0;
        }
    return bad(err, key, "unknown space, expected one of `l2`, `cosine`, `ip`");
}

int vex_chroma_schema_settings(struct vex_value schema, struct vex_chroma_settings *ret, struct vex_err *err)
{
    struct vex_value defaults = get(schema, "defaults"), keys = get(schema, "keys");
    struct vex_value config;
    int rc;

    *ret = (struct vex_chroma_settings){.given = true};
    if (vex_value_kind(schema) != VEX_VALUE_MAP || !is_map(keys))
        return vex_err_set(err, VEX_EBAD_INPUT, "Invalid schema: expected an object with defaults and keys");
    if ((rc = check_types(VEX_STR(""), defaults, err)) < 0)
        return rc;
    struct vex_value_iter it = vex_value_iter(keys.at != NULL ? keys : schema);
    while (keys.at != NULL && vex_value_next(&it)) {
        bool special = vex_str_eq_c(it.key, "#embedding") || vex_str_eq_c(it.key, "#document");
        if (it.key.len == 0 || (it.key.ptr[0] == '#' && !special))
            return bad(err, it.key, "keys must not be empty or begin with '#'");
        if ((rc = check_types(it.key, it.value, err)) < 0)
            return rc;
    }
    config = get(get(get(defaults, "float_list"), "vector_index"), "config");
    if ((rc = take_config(VEX_STR("defaults"), config, ret, err)) < 0)
        return rc;
    config = get(get(get(get(keys, "#embedding"), "float_list"), "vector_index"), "config");
    return take_config(VEX_STR("#embedding"), config, ret, err);
}

unsigned vex_chroma_schema_type(struct vex_value value)
{
    switch (vex_value_kind(value)) {
    case VEX_VALUE_TEXT:
        return VEX_SCHEMA_STRING;
    case VEX_VALUE_INT:
        return VEX_SCHEMA_INT;
    case VEX_VALUE_UINT:
    case VEX_VALUE_DOUBLE:
        return VEX_SCHEMA_FLOAT;
    case VEX_VALUE_BOOL:
        return VEX_SCHEMA_BOOL;
    case VEX_VALUE_MAP:
        return VEX_SCHEMA_SPARSE;
    case VEX_VALUE_ARRAY: {
        struct vex_value_iter it = vex_value_iter(value);
        return vex_value_next(&it) && vex_value_kind(it.value) < VEX_VALUE_ARRAY
                   ? vex_chroma_schema_type(it.value)
                   : 0;
    }
    default:
        return 0;
    }
}

bool vex_chroma_schema_filterable(const struct vex_chroma_config *chroma, struct vex_str key, unsigned type)
{
    size_t t = (size_t)__builtin_ctz(type);
    const struct index_rule *rule = &types[t].indexes[type == VEX_SCHEMA_STRING ? 1 : 0];
    struct vex_value keys = get(chroma->schema, "keys");
    struct vex_value own = keys.at != NULL ? vex_value_get(keys, key) : absent;
    bool def = enabled(get(get(get(chroma->schema, "defaults"), types[t].name), rule->name), rule->enabled);

    return enabled(get(get(own, types[t].name), rule->name), def);
}

bool vex_chroma_schema_fts(const struct vex_chroma_config *chroma)
{
    struct vex_value own = get(get(get(chroma->schema, "keys"), "#document"), "string");

    return enabled(get(own, "fts_index"), true);
}

/* ---- writing the complete one ---- */

static void put_key(struct vex_buf *out, const char *key)
{
    vex_value_put_text(out, vex_str_c(key));
}

static void put_vector_config(struct vex_buf *out, const struct vex_chroma_config *chroma, bool source)
{
    bool function = chroma->embedding_function.at != NULL;

    vex_value_put_map(out, 2u + function + source);
    put_key(out, "space");
    vex_value_put_text(out, vex_str_c(vex_chroma_spaces[chroma->space]));
    if (function) {
        put_key(out, "embedding_function");
        vex_value_put(out, chroma->embedding_function);
    }
    if (source) {
        put_key(out, "source_key");
        vex_value_put_text(out, VEX_STR("#document"));
    }
    put_key(out, "hnsw");
    vex_value_put_map(out, VEX_HNSW_COUNT);
    for (int i = 0; i < VEX_HNSW_COUNT; i++) {
        put_key(out, vex_hnsw_params[i].key);
        if (vex_hnsw_params[i].whole)
            vex_value_put_int(out, (int64_t)chroma->hnsw[i]);
        else
            vex_value_put_double(out, chroma->hnsw[i]);
    }
}

static void put_config(struct vex_buf *out, const struct vex_chroma_config *chroma, size_t t,
                       struct vex_value sent, bool source)
{
    if (t == 1) {
        put_vector_config(out, chroma, source);
    } else if (sent.at != NULL) {
        vex_value_put(out, sent);
    } else if (t == 2) {
        vex_value_put_map(out, 2);
        put_key(out, "embedding_function");
        vex_value_put_map(out, 1);
        put_key(out, "type");
        vex_value_put_text(out, VEX_STR("unknown"));
        put_key(out, "bm25");
        vex_value_put_bool(out, false);
    } else {
        vex_value_put_map(out, 0);
    }
}

/* Where the rule of a value type stands. */
enum place { DEFAULTS, KEY, DOCUMENT, EMBEDDING };

static void put_type(struct vex_buf *out, const struct vex_chroma_config *chroma, size_t t,
                     struct vex_value sent, enum place place)
{
    const struct type_rule *rule = &types[t];
    struct vex_value fallback = place == KEY ? get(get(chroma->schema, "defaults"), rule->name) : absent;
    size_t count = rule->indexes[1].name != NULL ? 2 : 1;

    put_key(out, rule->name);
    vex_value_put_map(out, count);
    for (size_t i = 0; i < count; i++) {
        struct vex_value index = get(sent, rule->indexes[i].name);
        bool on = enabled(get(fallback, rule->indexes[i].name), rule->indexes[i].enabled);
        if (place == DOCUMENT)
            on = i == 0;
        if (place == EMBEDDING)
            on = true;
        put_key(out, rule->indexes[i].name);
        vex_value_put_map(out, 2);
        put_key(out, "enabled");
        vex_value_put_bool(out, enabled(index, on));
        put_key(out, "config");
        put_config(out, chroma, t, get(index, "config"), place == EMBEDDING);
    }
}

/* Value types of one key: those sent, and those of `bits`. */
static void put_types(struct vex_buf *out, const struct vex_chroma_config *chroma, struct vex_value sent,
                      unsigned bits, enum place place)
{
    size_t count = 0;

    for (size_t t = 0; t < TYPES; t++)
        count += (bits >> t & 1) != 0 || get(sent, types[t].name).at != NULL;
    vex_value_put_map(out, count);
    for (size_t t = 0; t < TYPES; t++)
        if ((bits >> t & 1) != 0 || get(sent, types[t].name).at != NULL)
            put_type(out, chroma, t, get(sent, types[t].name), place);
}

static bool special(struct vex_str key)
{
    return vex_str_eq_c(key, "#embedding") || vex_str_eq_c(key, "#document");
}

static unsigned bits_of(struct vex_value v)
{
    return v.at != NULL && vex_value_kind(v) == VEX_VALUE_INT ? (unsigned)vex_value_int(v) & 63u : 0;
}

/* Keys of the schema as sent with what was found since, then keys that were only found. */
static size_t put_keys(struct vex_buf *out, const struct vex_chroma_config *chroma, struct vex_value sent)
{
    size_t count = 0;

    if (sent.at != NULL) {
        struct vex_value_iter it = vex_value_iter(sent);
        while (vex_value_next(&it)) {
            if (special(it.key))
                continue;
            struct vex_value found = chroma->keys.at != NULL ? vex_value_get(chroma->keys, it.key) : absent;
            vex_value_put_text(out, it.key);
            put_types(out, chroma, it.value, bits_of(found), KEY);
            count++;
        }
    }
    if (chroma->keys.at != NULL) {
        struct vex_value_iter it = vex_value_iter(chroma->keys);
        while (vex_value_next(&it)) {
            if (sent.at != NULL && vex_value_get(sent, it.key).at != NULL)
                continue;
            vex_value_put_text(out, it.key);
            put_types(out, chroma, absent, bits_of(it.value), KEY);
            count++;
        }
    }
    return count;
}

struct vex_value vex_chroma_schema_full(struct vex_arena *arena, const struct vex_chroma_config *chroma)
{
    struct vex_value sent = get(chroma->schema, "keys");
    struct vex_buf out, keys;

    vex_buf_init(&out, arena);
    vex_buf_init(&keys, arena);
    size_t count = put_keys(&keys, chroma, sent);
    vex_value_put_map(&out, 2);
    put_key(&out, "defaults");
    put_types(&out, chroma, get(chroma->schema, "defaults"), (1u << TYPES) - 1, DEFAULTS);
    put_key(&out, "keys");
    vex_value_put_map(&out, count + 2);
    vex_buf_add_str(&out, vex_buf_str(&keys));
    put_key(&out, "#embedding");
    put_types(&out, chroma, get(sent, "#embedding"), VEX_SCHEMA_FLOATS, EMBEDDING);
    put_key(&out, "#document");
    put_types(&out, chroma, get(sent, "#document"), VEX_SCHEMA_STRING, DOCUMENT);
    return (struct vex_value){(const uint8_t *)out.ptr};
}
