/* Configuration of a collection: building, copying, and its bytes in the catalog.
 *
 * Owner     Whoever holds a reference. Lock: none; immutable once published.
 * Invariant Vectors stand in order of their ordinals; next_ordinal is above all of them.
 * Format    docs/disk-format.md, "configuration". */
#include "engine/config.h"

#include "base/mem.h"

#define FORMAT_VERSION 7u
#define FORMAT_THREADS 6u /* graphs without flags */
#define FORMAT_CODES   5u /* graphs without a number of threads */
#define FORMAT_BEAMS   4u /* graphs without settings of their codes */
#define FORMAT_GRAPHS  3u /* graphs without a beam of their own for searches */
#define FORMAT_PLAIN   2u /* vectors without settings of their graphs */
#define FORMAT_OLD     1u /* and indexes without what is said of them beyond type and doc */

enum {
    FLAG_PREFIX = 1,
    FLAG_RANGE = 2,
    FLAG_LOOKUP = 4,
    FLAG_TEXT = 8,
    FLAG_NESTED = 16,
    FLAG_TENANT = 32,
    FLAGS_ALL = 63
};
enum { GRAPH_ON_DISK = 1, GRAPH_LISTS = 2 };
enum { TEXT_LOWERCASE = 1, TEXT_FOLDING = 2, TEXT_PHRASE = 4, TEXT_SCORING = 8, TEXT_FLAGS_ALL = 15 };

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

/* ---- indexes ---- */

static struct vex_str *keep_list(struct vex_config *config, const struct vex_str *list, uint32_t count)
{
    struct vex_str *copy = count > 0 ? VEX_ARENA_ARRAY(&config->arena, struct vex_str, count) : NULL;

    for (uint32_t i = 0; i < count; i++)
        copy[i] = keep(config, list[i]);
    return copy;
}

static struct vex_index_params keep_index(struct vex_config *config, const struct vex_index_params *params)
{
    struct vex_index_params copy = *params;

    copy.field = keep(config, params->field);
    copy.doc = keep(config, params->doc);
    copy.nested = keep(config, params->nested);
    if (params->text != NULL) {
        struct vex_text_params *text = vex_arena_dup(&config->arena, params->text, sizeof *text);

        text->stemmer = keep(config, text->stemmer);
        text->stopword_languages = keep_list(config, text->stopword_languages, text->stopword_language_count);
        text->stopwords = keep_list(config, text->stopwords, text->stopword_count);
        copy.text = text;
    }
    return copy;
}

void vex_config_set_index(struct vex_config *config, const struct vex_index_params *params)
{
    uint32_t count = config->index_count, at = 0;
    struct vex_index_params *indexes = VEX_ARENA_ARRAY(&config->arena, struct vex_index_params, count + 1);

    if (count > 0)
        memcpy(indexes, config->indexes, count * sizeof *indexes);
    while (at < count && !vex_str_eq(indexes[at].field, params->field))
        at++;
    indexes[at] = keep_index(config, params);
    config->indexes = indexes;
    config->index_count = count + (at == count);
}

bool vex_config_remove_index(struct vex_config *config, struct vex_str field)
{
    uint32_t kept = 0;
    bool found;

    for (uint32_t i = 0; i < config->index_count; i++)
        if (!vex_str_eq(config->indexes[i].field, field))
            config->indexes[kept++] = config->indexes[i];
    found = kept < config->index_count;
    config->index_count = kept;
    return found;
}

static void encode_list(struct vex_buf *out, const struct vex_str *list, uint32_t count)
{
    vex_buf_add_u32(out, count);
    for (uint32_t i = 0; i < count; i++)
        vex_buf_add_str32(out, list[i]);
}

static void encode_text(struct vex_buf *out, const struct vex_text_params *text)
{
    vex_buf_add_u8(out, (uint8_t)text->tokenizer);
    vex_buf_add_u8(
        out, (uint8_t)((text->lowercase ? TEXT_LOWERCASE : 0) | (text->ascii_folding ? TEXT_FOLDING : 0) |
                       (text->phrase_matching ? TEXT_PHRASE : 0) | (text->scoring ? TEXT_SCORING : 0)));
    vex_buf_add_u32(out, text->min_token_len);
    vex_buf_add_u32(out, text->max_token_len);
    vex_buf_add_str32(out, text->stemmer);
    encode_list(out, text->stopword_languages, text->stopword_language_count);
    encode_list(out, text->stopwords, text->stopword_count);
}

void vex_index_params_encode(struct vex_buf *out, const struct vex_index_params *params)
{
    vex_buf_add_str32(out, params->field);
    vex_buf_add_u8(out, params->type);
    vex_buf_add_u8(
        out, (uint8_t)((params->prefix ? FLAG_PREFIX : 0) | (params->range ? FLAG_RANGE : 0) |
                       (params->lookup ? FLAG_LOOKUP : 0) | (params->text != NULL ? FLAG_TEXT : 0) |
                       (params->nested.len > 0 ? FLAG_NESTED : 0) | (params->tenant ? FLAG_TENANT : 0)));
    if (params->text != NULL)
        encode_text(out, params->text);
    if (params->nested.len > 0)
        vex_buf_add_str32(out, params->nested);
}

bool vex_index_params_same(const struct vex_index_params *a, const struct vex_index_params *b)
{
    struct vex_buf x, y;
    bool same;

    vex_buf_init(&x, NULL);
    vex_buf_init(&y, NULL);
    vex_index_params_encode(&x, a);
    vex_index_params_encode(&y, b);
    same = vex_str_eq(vex_buf_str(&x), vex_buf_str(&y));
    vex_buf_done(&x);
    vex_buf_done(&y);
    return same;
}

static bool decode_list(struct vex_cursor *c, struct vex_config *config, struct vex_str **ret,
                        uint32_t *ret_count)
{
    uint32_t count = vex_cursor_u32(c);

    /* A text takes at least 4 bytes: a wrong count can't size an allocation. */
    if (c->bad || count > vex_cursor_left(c) / 4)
        return false;
    *ret = count > 0 ? VEX_ARENA_ARRAY(&config->arena, struct vex_str, count) : NULL;
    *ret_count = count;
    for (uint32_t i = 0; i < count; i++)
        (*ret)[i] = keep(config, vex_cursor_str32(c));
    return !c->bad;
}

static bool decode_text(struct vex_cursor *c, struct vex_config *config, struct vex_text_params **ret)
{
    struct vex_text_params *text = VEX_ARENA_NEW(&config->arena, struct vex_text_params);
    uint8_t tokenizer = vex_cursor_u8(c), flags = vex_cursor_u8(c);

    if (c->bad || tokenizer >= VEX_TOKENIZER_COUNT || (flags & ~TEXT_FLAGS_ALL) != 0)
        return false;
    text->tokenizer = (enum vex_tokenizer)tokenizer;
    text->lowercase = (flags & TEXT_LOWERCASE) != 0;
    text->ascii_folding = (flags & TEXT_FOLDING) != 0;
    text->phrase_matching = (flags & TEXT_PHRASE) != 0;
    text->scoring = (flags & TEXT_SCORING) != 0;
    text->min_token_len = vex_cursor_u32(c);
    text->max_token_len = vex_cursor_u32(c);
    text->stemmer = keep(config, vex_cursor_str32(c));
    *ret = text;
    return decode_list(c, config, &text->stopword_languages, &text->stopword_language_count) &&
           decode_list(c, config, &text->stopwords, &text->stopword_count);
}

static bool decode_index(struct vex_cursor *c, struct vex_config *config, struct vex_index_params *ret)
{
    uint8_t flags;

    ret->field = keep(config, vex_cursor_str32(c));
    ret->type = vex_cursor_u8(c);
    flags = vex_cursor_u8(c);
    if (c->bad || (flags & ~FLAGS_ALL) != 0)
        return false;
    ret->prefix = (flags & FLAG_PREFIX) != 0;
    ret->range = (flags & FLAG_RANGE) != 0;
    ret->lookup = (flags & FLAG_LOOKUP) != 0;
    ret->tenant = (flags & FLAG_TENANT) != 0;
    if ((flags & FLAG_TEXT) != 0 && !decode_text(c, config, &ret->text))
        return false;
    if ((flags & FLAG_NESTED) != 0)
        ret->nested = keep(config, vex_cursor_str32(c));
    return !c->bad && ((flags & FLAG_NESTED) == 0 || ret->nested.len > 0);
}

/* ---- the whole ---- */

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
    for (uint32_t i = 0; i < config->index_count; i++)
        copy->indexes[i] = keep_index(copy, &config->indexes[i]);
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
    added.graph.filter_lists = true;
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

const struct vex_index_params *vex_config_tenant(const struct vex_config *config)
{
    for (uint32_t i = 0; i < config->index_count; i++)
        if (config->indexes[i].tenant)
            return &config->indexes[i];
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

static void encode_graph(struct vex_buf *out, const struct vex_graph_settings *graph)
{
    vex_buf_add_u8(out, graph->never);
    vex_buf_add_u32(out, graph->m);
    vex_buf_add_u32(out, graph->ef_construct);
    vex_buf_add_u32(out, graph->full_scan_kb);
    vex_buf_add_u64(out, graph->threshold_kb);
    vex_buf_add_u32(out, graph->ef);
    vex_buf_add_u8(out, (uint8_t)graph->codes.kind);
    vex_buf_add_u8(out, (uint8_t)graph->codes.query);
    vex_buf_add(out, &graph->codes.quantile, sizeof graph->codes.quantile);
    vex_buf_add_u32(out, graph->threads);
    vex_buf_add_u8(out,
                   (uint8_t)((graph->on_disk ? GRAPH_ON_DISK : 0) | (graph->filter_lists ? GRAPH_LISTS : 0)));
}

/* Wrong figures stand for the defaults: a graph is derived data. */
static struct vex_code_params decode_codes(struct vex_cursor *c)
{
    uint8_t kind = vex_cursor_u8(c), query = vex_cursor_u8(c);
    const void *quantile = vex_cursor_bytes(c, sizeof(float));
    struct vex_code_params codes = {0};

    if (kind < VEX_CODES_COUNT)
        codes.kind = (enum vex_code_kind)kind;
    if (query < VEX_CODE_QUERY_COUNT)
        codes.query = (enum vex_code_query)query;
    if (quantile != NULL)
        memcpy(&codes.quantile, quantile, sizeof codes.quantile);
    if (!(codes.quantile >= 0.5f && codes.quantile <= 1))
        codes.quantile = 0;
    return codes;
}

static void decode_graph(struct vex_cursor *c, uint32_t version, struct vex_graph_settings *ret)
{
    uint8_t flags = GRAPH_LISTS;

    ret->filter_lists = true;
    if (version < FORMAT_GRAPHS)
        return;
    ret->never = vex_cursor_u8(c) != 0;
    ret->m = vex_cursor_u32(c);
    ret->ef_construct = vex_cursor_u32(c);
    ret->full_scan_kb = vex_cursor_u32(c);
    ret->threshold_kb = vex_cursor_u64(c);
    if (version > FORMAT_GRAPHS)
        ret->ef = vex_cursor_u32(c);
    if (version > FORMAT_BEAMS)
        ret->codes = decode_codes(c);
    if (version > FORMAT_CODES)
        ret->threads = vex_cursor_u32(c);
    if (version > FORMAT_THREADS)
        flags = vex_cursor_u8(c);
    ret->on_disk = (flags & GRAPH_ON_DISK) != 0;
    ret->filter_lists = (flags & GRAPH_LISTS) != 0;
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
        encode_graph(out, &v->graph);
    }
    vex_buf_add_u32(out, config->index_count);
    for (uint32_t i = 0; i < config->index_count; i++) {
        vex_index_params_encode(out, &config->indexes[i]);
        vex_buf_add_str32(out, config->indexes[i].doc);
    }
    vex_buf_add_u32(out, VEX_DOC_COUNT);
    for (int i = 0; i < VEX_DOC_COUNT; i++)
        vex_buf_add_str32(out, config->docs[i]);
}

static bool decode_vector(struct vex_cursor *c, struct vex_config *config, uint32_t version, uint64_t *seen)
{
    struct vex_vector_params v = {.name = vex_cursor_str32(c)};
    uint8_t kind, distance, element;

    v.ordinal = vex_cursor_u8(c);
    kind = vex_cursor_u8(c);
    distance = vex_cursor_u8(c);
    element = vex_cursor_u8(c);
    v.idf = vex_cursor_u8(c) != 0;
    v.size = vex_cursor_u32(c);
    decode_graph(c, version, &v.graph);
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

static bool decode_old_index(struct vex_cursor *c, struct vex_config *config, struct vex_index_params *ret)
{
    ret->field = keep(config, vex_cursor_str32(c));
    ret->type = vex_cursor_u8(c);
    ret->range = ret->lookup = true;
    return !c->bad;
}

static bool decode_indexes(struct vex_cursor *c, struct vex_config *config, uint32_t version)
{
    uint32_t count = vex_cursor_u32(c);

    /* An index takes at least 9 bytes: a wrong count can't size an allocation. */
    if (c->bad || count > vex_cursor_left(c) / 9)
        return false;
    if (count > 0)
        config->indexes = VEX_ARENA_ARRAY(&config->arena, struct vex_index_params, count);
    config->index_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!(version == FORMAT_OLD ? decode_old_index : decode_index)(c, config, &config->indexes[i]))
            return false;
        config->indexes[i].doc = keep(config, vex_cursor_str32(c));
    }
    return !c->bad;
}

static bool decode_body(struct vex_cursor *c, struct vex_config *config)
{
    uint32_t version = vex_cursor_u32(c), count;
    uint64_t seen = 0;

    if (version < FORMAT_OLD || version > FORMAT_VERSION)
        return false;
    config->next_ordinal = vex_cursor_u8(c);
    count = vex_cursor_u32(c);
    if (c->bad || config->next_ordinal > VEX_VECTORS_MAX || count > config->next_ordinal)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!decode_vector(c, config, version, &seen))
            return false;
    if (!decode_indexes(c, config, version) || vex_cursor_u32(c) != VEX_DOC_COUNT)
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
