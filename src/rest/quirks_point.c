/* Hooks of reading: ids, shard keys, vectors, points, selectors. */
#include "base/text.h"
#include "rest/quirks_hooks.h"

#include "qdrant_points.pb-c.h"

/* ---- ids and keys ---- */

static int bad_id(struct vex_jp *jp, struct vex_json v)
{
    struct vex_buf text;
    vex_buf_init(&text, jp->arena);
    struct vex_jw w = vex_jw(&text);
    if (vex_json_kind(v) == VEX_JSON_STRING)
        vex_buf_add_str(&text, vex_json_str(v));
    else if (vex_json_kind(v) == VEX_JSON_INT)
        vex_jw_i64(&w, vex_json_int(v));
    else if (vex_json_kind(v) == VEX_JSON_DOUBLE)
        vex_jw_f64(&w, vex_json_double(v));
    else
        vex_buf_add_str(&text, vex_str_c(vex_json_kind_name(v)));
    struct vex_str shown = vex_buf_str(&text);
    return vex_jp_format(jp,
                         "value " VEX_STR_FMT
                         " is not a valid point ID, valid values are either an unsigned integer or a UUID",
                         VEX_STR_ARG(shown));
}

static bool is_whole(struct vex_json v)
{
    enum vex_json_kind kind = vex_json_kind(v);
    return kind == VEX_JSON_UINT || (kind == VEX_JSON_INT && vex_json_int(v) >= 0);
}

static int read_id(struct vex_jp *jp, struct vex_json v, bool any_text, Qdrant__PointId *ret)
{
    uint8_t uuid[16];
    if (is_whole(v)) {
        ret->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
        ret->num = vex_json_uint(v);
        return 0;
    }
    if (vex_json_kind(v) != VEX_JSON_STRING || (!any_text && !vex_uuid_parse(vex_json_str(v), uuid)))
        return bad_id(jp, v);
    ret->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID;
    return vex_jp_string(jp, v, &ret->uuid);
}

int vex_jp_read_point_id(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                         ProtobufCMessage *message)
{
    (void)plan;
    return read_id(jp, v, false, (Qdrant__PointId *)(void *)message);
}

/* The offset of the next page may be an id that only other dialects can give. */
int vex_jp_read_scroll_offset(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                              ProtobufCMessage *message)
{
    Qdrant__ScrollPoints *out = (Qdrant__ScrollPoints *)(void *)message;
    (void)plan;
    out->offset = vex_jp_new(jp, &qdrant__point_id__descriptor);
    return out->offset != NULL ? read_id(jp, v, true, out->offset) : jp->err->code;
}

int vex_jp_read_shard_key(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                          ProtobufCMessage *message)
{
    Qdrant__ShardKey *out = (Qdrant__ShardKey *)(void *)message;
    (void)plan;
    if (is_whole(v)) {
        out->key_case = QDRANT__SHARD_KEY__KEY_NUMBER;
        out->number = vex_json_uint(v);
        return 0;
    }
    if (vex_json_kind(v) != VEX_JSON_STRING)
        return vex_jp_no_variant(jp, "ShardKey");
    out->key_case = QDRANT__SHARD_KEY__KEY_KEYWORD;
    return vex_jp_string(jp, v, &out->keyword);
}

/* One key, a list, or {target, fallback}. */
int vex_jp_read_shard_key_selector(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                                   ProtobufCMessage *message)
{
    Qdrant__ShardKeySelector *out = (Qdrant__ShardKeySelector *)(void *)message;
    struct vex_json target, fallback;
    if (vex_json_kind(v) == VEX_JSON_ARRAY)
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "shard_keys"), v, message);
    if (vex_json_kind(v) == VEX_JSON_OBJECT) {
        if (!vex_jp_get(v, "target", &target) || !vex_jp_get(v, "fallback", &fallback))
            return vex_jp_no_variant(jp, "ShardKeySelector");
        out->fallback = vex_jp_child(jp, &qdrant__shard_key__descriptor, fallback);
        if (out->fallback == NULL)
            return jp->err->code;
        v = target;
    }
    out->shard_keys = vex_jp_alloc(jp, 1, sizeof *out->shard_keys);
    if (out->shard_keys == NULL)
        return jp->err->code;
    out->shard_keys[0] = vex_jp_child(jp, &qdrant__shard_key__descriptor, v);
    out->n_shard_keys = 1;
    return out->shard_keys[0] != NULL ? 0 : jp->err->code;
}

/* ---- vectors ---- */

enum shape { SHAPE_NONE, SHAPE_DENSE, SHAPE_MULTI, SHAPE_SPARSE, SHAPE_DOCUMENT, SHAPE_IMAGE, SHAPE_OBJECT };

static enum shape shape_of(struct vex_json v)
{
    struct vex_json member;
    if (vex_json_kind(v) == VEX_JSON_ARRAY) {
        struct vex_json_iter it = vex_json_iter(v);
        return vex_json_next(&it) && vex_json_kind(it.value) == VEX_JSON_ARRAY ? SHAPE_MULTI : SHAPE_DENSE;
    }
    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return SHAPE_NONE;
    if (vex_jp_get(v, "indices", &member) && vex_json_kind(member) == VEX_JSON_ARRAY &&
        vex_jp_get(v, "values", &member) && vex_json_kind(member) == VEX_JSON_ARRAY)
        return SHAPE_SPARSE;
    if (!vex_jp_get(v, "model", &member) || vex_json_kind(member) != VEX_JSON_STRING)
        return SHAPE_NONE;
    if (vex_jp_get(v, "text", &member))
        return SHAPE_DOCUMENT;
    return vex_jp_get(v, "image", &member)    ? SHAPE_IMAGE
           : vex_jp_get(v, "object", &member) ? SHAPE_OBJECT
                                              : SHAPE_NONE;
}

static const ProtobufCMessageDescriptor *const shape_types[] = {
    [SHAPE_DENSE] = &qdrant__dense_vector__descriptor,
    [SHAPE_MULTI] = &qdrant__multi_dense_vector__descriptor,
    [SHAPE_SPARSE] = &qdrant__sparse_vector__descriptor,
    [SHAPE_DOCUMENT] = &qdrant__document__descriptor,
    [SHAPE_IMAGE] = &qdrant__image__descriptor,
    [SHAPE_OBJECT] = &qdrant__inference_object__descriptor,
};

/* The message of a vector's shape: NULL with the error set, which names the peer's type. */
static void *read_shape(struct vex_jp *jp, struct vex_json v, enum shape shape, const char *name)
{
    if (shape == SHAPE_NONE) {
        vex_jp_no_variant(jp, name);
        return NULL;
    }
    return vex_jp_child(jp, shape_types[shape], v);
}

int vex_jp_read_vector(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                       ProtobufCMessage *message)
{
    static const Qdrant__Vector__VectorCase cases[] = {
        [SHAPE_DENSE] = QDRANT__VECTOR__VECTOR_DENSE,   [SHAPE_MULTI] = QDRANT__VECTOR__VECTOR_MULTI_DENSE,
        [SHAPE_SPARSE] = QDRANT__VECTOR__VECTOR_SPARSE, [SHAPE_DOCUMENT] = QDRANT__VECTOR__VECTOR_DOCUMENT,
        [SHAPE_IMAGE] = QDRANT__VECTOR__VECTOR_IMAGE,   [SHAPE_OBJECT] = QDRANT__VECTOR__VECTOR_OBJECT,
    };
    Qdrant__Vector *out = (Qdrant__Vector *)(void *)message;
    enum shape shape = shape_of(v);
    (void)plan;
    out->dense = read_shape(jp, v, shape, "Vector"); /* all arms share the place */
    if (out->dense == NULL)
        return jp->err->code;
    out->vector_case = cases[shape];
    return 0;
}

int vex_jp_read_vector_input(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                             ProtobufCMessage *message)
{
    static const Qdrant__VectorInput__VariantCase cases[] = {
        [SHAPE_DENSE] = QDRANT__VECTOR_INPUT__VARIANT_DENSE,
        [SHAPE_MULTI] = QDRANT__VECTOR_INPUT__VARIANT_MULTI_DENSE,
        [SHAPE_SPARSE] = QDRANT__VECTOR_INPUT__VARIANT_SPARSE,
        [SHAPE_DOCUMENT] = QDRANT__VECTOR_INPUT__VARIANT_DOCUMENT,
        [SHAPE_IMAGE] = QDRANT__VECTOR_INPUT__VARIANT_IMAGE,
        [SHAPE_OBJECT] = QDRANT__VECTOR_INPUT__VARIANT_OBJECT,
    };
    Qdrant__VectorInput *out = (Qdrant__VectorInput *)(void *)message;
    enum shape shape = shape_of(v);
    (void)plan;
    if (vex_json_kind(v) == VEX_JSON_STRING || vex_json_is_number(v)) {
        out->id = vex_jp_child(jp, &qdrant__point_id__descriptor, v);
        out->variant_case = QDRANT__VECTOR_INPUT__VARIANT_ID;
        return out->id != NULL ? 0 : jp->err->code;
    }
    if (shape == SHAPE_NONE)
        return vex_jp_format(jp, "Expected some form of vector, id, or a type of query");
    out->dense = read_shape(jp, v, shape, "VectorInput");
    if (out->dense == NULL)
        return jp->err->code;
    out->variant_case = cases[shape];
    return 0;
}

/* Vectors of a point: one without a name, or an object of names. A sparse vector always has a name, so an
 * object with the members of one is taken for names, as with the peer. */
int vex_jp_read_vectors(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                        ProtobufCMessage *message)
{
    Qdrant__Vectors *out = (Qdrant__Vectors *)(void *)message;
    enum shape shape = shape_of(v);
    (void)plan;
    if (shape == SHAPE_NONE && vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_jp_no_variant(jp, "VectorStruct");
    if (shape == SHAPE_NONE || shape == SHAPE_SPARSE) {
        out->vectors = vex_jp_new(jp, &qdrant__named_vectors__descriptor);
        out->vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS;
        if (out->vectors == NULL)
            return jp->err->code;
        return vex_jp_read_field(
            jp, vex_jp_field_named(vex_jp_plan(&qdrant__named_vectors__descriptor), "vectors"), v,
            &out->vectors->base);
    }
    out->vector = vex_jp_child(jp, &qdrant__vector__descriptor, v);
    out->vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTOR;
    return out->vector != NULL ? 0 : jp->err->code;
}

/* ---- points by columns ---- */

struct columns {
    struct vex_json ids, vectors, payloads;
    size_t count;
    bool has_payloads;
    Qdrant__PointStruct **points;
};

static int uneven(struct vex_jp *jp, const char *what, size_t ids, size_t others)
{
    return vex_err_set(jp->err, VEX_EVALIDATION,
                       "JSON body: [batch.batch: number of ids and %s must be equal (%zu != %zu)]", what, ids,
                       others);
}

static int read_column_ids(struct vex_jp *jp, struct columns *c)
{
    size_t i = 0;
    for (struct vex_json_iter it = vex_json_iter(c->ids); vex_json_next(&it); i++) {
        c->points[i] = vex_jp_new(jp, &qdrant__point_struct__descriptor);
        if (c->points[i] == NULL)
            return jp->err->code;
        c->points[i]->id = vex_jp_child(jp, &qdrant__point_id__descriptor, it.value);
        if (c->points[i]->id == NULL)
            return jp->err->code;
    }
    return 0;
}

static int read_column_payloads(struct vex_jp *jp, struct columns *c)
{
    const struct vex_jp_field *field =
        vex_jp_field_named(vex_jp_plan(&qdrant__point_struct__descriptor), "payload");
    size_t i = 0;
    if (vex_json_kind(c->payloads) != VEX_JSON_ARRAY)
        return vex_jp_unexpected(jp, c->payloads, "a sequence");
    if (vex_json_count(c->payloads) != c->count)
        return uneven(jp, "payloads", c->count, vex_json_count(c->payloads));
    for (struct vex_json_iter it = vex_json_iter(c->payloads); vex_json_next(&it); i++) {
        if (vex_json_kind(it.value) == VEX_JSON_NULL)
            continue;
        int code = vex_jp_read_field(jp, field, it.value, &c->points[i]->base);
        if (code < 0)
            return code;
    }
    return 0;
}

/* A list with a vector per id, without a name. */
static int read_column(struct vex_jp *jp, struct columns *c)
{
    size_t i = 0;
    if (vex_json_count(c->vectors) != c->count)
        return uneven(jp, "vectors", c->count, vex_json_count(c->vectors));
    for (struct vex_json_iter it = vex_json_iter(c->vectors); vex_json_next(&it); i++) {
        c->points[i]->vectors = vex_jp_child(jp, &qdrant__vectors__descriptor, it.value);
        if (c->points[i]->vectors == NULL)
            return jp->err->code;
    }
    return 0;
}

/* Adds one named column: entry `at` of each point's map. */
static int read_named_column(struct vex_jp *jp, struct columns *c, struct vex_str name,
                             struct vex_json column, size_t at)
{
    char *key = vex_jp_alloc(jp, name.len, 1);
    size_t i = 0;
    if (key == NULL)
        return jp->err->code;
    if (name.len > 0 && memchr(name.ptr, 0, name.len) != NULL)
        return vex_jp_format(jp, "a vector name must not hold a NUL character");
    memcpy(key, name.ptr, name.len);
    if (vex_json_kind(column) != VEX_JSON_ARRAY)
        return vex_jp_no_variant(jp, "BatchVectorStruct");
    if (vex_json_count(column) != c->count)
        return uneven(jp, "vectors", c->count, vex_json_count(column));
    for (struct vex_json_iter it = vex_json_iter(column); vex_json_next(&it); i++) {
        Qdrant__NamedVectors__VectorsEntry *entry =
            vex_jp_new(jp, &qdrant__named_vectors__vectors_entry__descriptor);
        if (entry == NULL)
            return jp->err->code;
        entry->key = key;
        entry->value = vex_jp_child(jp, &qdrant__vector__descriptor, it.value);
        if (entry->value == NULL)
            return jp->err->code;
        c->points[i]->vectors->vectors->vectors[at] = entry;
    }
    return 0;
}

static int read_named_columns(struct vex_jp *jp, struct columns *c)
{
    size_t names = vex_json_count(c->vectors), at = 0;
    for (size_t i = 0; i < c->count; i++) {
        Qdrant__Vectors *vectors = vex_jp_new(jp, &qdrant__vectors__descriptor);
        Qdrant__NamedVectors *named =
            vectors != NULL ? vex_jp_new(jp, &qdrant__named_vectors__descriptor) : NULL;
        if (named == NULL)
            return jp->err->code;
        named->vectors = vex_jp_alloc(jp, names, sizeof *named->vectors);
        if (named->vectors == NULL)
            return jp->err->code;
        named->n_vectors = names;
        vectors->vectors = named;
        vectors->vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS;
        c->points[i]->vectors = vectors;
    }
    for (struct vex_json_iter it = vex_json_iter(c->vectors); vex_json_next(&it); at++) {
        int code = read_named_column(jp, c, it.key, it.value, at);
        if (code < 0)
            return code;
    }
    return 0;
}

static int read_columns(struct vex_jp *jp, struct vex_json batch, struct columns *c)
{
    int code;
    if (vex_json_kind(batch) != VEX_JSON_OBJECT)
        return vex_jp_unexpected(jp, batch, "struct Batch");
    if (!vex_jp_get(batch, "ids", &c->ids))
        return vex_jp_format(jp, "missing field `ids`");
    if (vex_json_kind(c->ids) != VEX_JSON_ARRAY)
        return vex_jp_unexpected(jp, c->ids, "a sequence");
    if (!vex_jp_get(batch, "vectors", &c->vectors))
        return vex_jp_format(jp, "missing field `vectors`");
    c->count = vex_json_count(c->ids);
    c->has_payloads = vex_jp_get(batch, "payloads", &c->payloads);
    c->points = vex_jp_alloc(jp, c->count, sizeof *c->points);
    if (c->points == NULL || (code = read_column_ids(jp, c)) < 0)
        return jp->err->code;
    if (vex_json_kind(c->vectors) == VEX_JSON_ARRAY)
        code = read_column(jp, c);
    else if (vex_json_kind(c->vectors) == VEX_JSON_OBJECT)
        code = read_named_columns(jp, c);
    else
        code = vex_jp_no_variant(jp, "BatchVectorStruct");
    return code == 0 && c->has_payloads ? read_column_payloads(jp, c) : code;
}

int vex_jp_read_upsert_batch(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                             ProtobufCMessage *message)
{
    struct columns c = {0};
    const ProtobufCFieldDescriptor *field = vex_jp_field_named(plan, "points")->field;
    int code = read_columns(jp, v, &c);
    if (code < 0)
        return code;
    *(size_t *)(void *)((char *)message + field->quantifier_offset) = c.count;
    *(void **)(void *)((char *)message + field->offset) = c.points;
    return 0;
}

int vex_jp_read_upsert(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                       ProtobufCMessage *message)
{
    struct vex_json member;
    if (vex_json_kind(v) != VEX_JSON_OBJECT ||
        (!vex_jp_get(v, "points", &member) && !vex_jp_get(v, "batch", &member)))
        return vex_jp_format(jp, "Invalid PointInsertOperations format");
    return vex_jp_read_object(jp, plan, v, message);
}

/* ---- selectors ---- */

/* {points} or {filter}; points win. It stands in the parent's object, whose other keys are not ours. */
int vex_jp_read_points_selector(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                                ProtobufCMessage *message)
{
    struct vex_json member;
    if (vex_jp_get(v, "points", &member))
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "points"), member, message);
    if (vex_jp_get(v, "filter", &member))
        return vex_jp_read_field(jp, vex_jp_field_named(plan, "filter"), member, message);
    return vex_jp_format(jp, "Either list of point ids or filter must be provided");
}

/* A vector or the id of a point, in the older searches. */
int vex_jp_read_vector_example(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                               ProtobufCMessage *message)
{
    Qdrant__VectorExample *out = (Qdrant__VectorExample *)(void *)message;
    bool is_id = vex_json_kind(v) == VEX_JSON_STRING || vex_json_is_number(v);
    return vex_jp_read_field(jp, vex_jp_field_named(plan, is_id ? "id" : "vector"), v, &out->base);
}

/* Splits a list of ids and vectors into the two lists that the message has. */
static int read_examples(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                         ProtobufCMessage *message, const char *ids_field, const char *vectors_field)
{
    const ProtobufCFieldDescriptor *ids = vex_jp_field_named(plan, ids_field)->field;
    const ProtobufCFieldDescriptor *vectors = vex_jp_field_named(plan, vectors_field)->field;
    size_t id_count = 0, vector_count = 0;
    if (vex_json_kind(v) != VEX_JSON_ARRAY)
        return vex_jp_unexpected(jp, v, "a sequence");
    void **id_list = vex_jp_alloc(jp, vex_json_count(v), sizeof *id_list);
    void **vector_list = id_list != NULL ? vex_jp_alloc(jp, vex_json_count(v), sizeof *vector_list) : NULL;
    if (vector_list == NULL)
        return jp->err->code;
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);) {
        bool is_id = vex_json_kind(it.value) == VEX_JSON_STRING || vex_json_is_number(it.value);
        void *example =
            vex_jp_child(jp, is_id ? &qdrant__point_id__descriptor : &qdrant__vector__descriptor, it.value);
        if (example == NULL)
            return jp->err->code;
        if (is_id)
            id_list[id_count++] = example;
        else
            vector_list[vector_count++] = example;
    }
    *(size_t *)(void *)((char *)message + ids->quantifier_offset) = id_count;
    *(void **)(void *)((char *)message + ids->offset) = id_list;
    *(size_t *)(void *)((char *)message + vectors->quantifier_offset) = vector_count;
    *(void **)(void *)((char *)message + vectors->offset) = vector_list;
    return 0;
}

int vex_jp_read_examples(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                         ProtobufCMessage *message)
{
    return read_examples(jp, plan, v, message, "positive", "positive_vectors");
}

int vex_jp_read_counterexamples(struct vex_jp *jp, const struct vex_jp_message *plan, struct vex_json v,
                                ProtobufCMessage *message)
{
    return read_examples(jp, plan, v, message, "negative", "negative_vectors");
}
