/* JSON -> message: ids, values, vectors and the ways in which requests name points. */
#include <stdio.h>

#include "base/text.h"
#include "rest/json_reader.h"

#define AS(type, name) type *name = (type *)message

int vex_read_point_id(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__PointId, id);
    uint8_t uuid[16];
    char text[64];
    size_t len = 0;
    switch (vex_json_kind(json)) {
    case VEX_JSON_UINT:
        id->num = vex_json_uint(json);
        id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
        return 0;
    case VEX_JSON_INT:
        if (vex_json_int(json) >= 0) {
            id->num = (uint64_t)vex_json_int(json);
            id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_NUM;
            return 0;
        }
        len = (size_t)snprintf(text, sizeof text, "%lld", (long long)vex_json_int(json));
        break;
    case VEX_JSON_STRING:
        if (vex_uuid_parse(vex_json_str(json), uuid)) {
            id->point_id_options_case = QDRANT__POINT_ID__POINT_ID_OPTIONS_UUID;
            return vex_reader_string(r, json, &id->uuid);
        }
        return vex_reader_fail(r,
                               "value " VEX_STR_FMT " is not a valid point ID, valid values are either an unsigned integer or a UUID",
                               VEX_STR_ARG(vex_json_str(json)));
    case VEX_JSON_DOUBLE:
        len = vex_f64_text(text, vex_json_double(json));
        break;
    default:
        len = (size_t)snprintf(text, sizeof text, "%s", vex_json_kind_name(json));
        break;
    }
    return vex_reader_fail(r, "value %.*s is not a valid point ID, valid values are either an unsigned integer or a UUID", (int)len,
                           text);
}

int vex_read_value(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__Value, value);
    switch (vex_json_kind(json)) {
    case VEX_JSON_NULL:
        value->kind_case = QDRANT__VALUE__KIND_NULL_VALUE;
        return 0;
    case VEX_JSON_BOOL:
        value->kind_case = QDRANT__VALUE__KIND_BOOL_VALUE;
        value->bool_value = vex_json_bool(json);
        return 0;
    case VEX_JSON_INT:
        value->kind_case = QDRANT__VALUE__KIND_INTEGER_VALUE;
        value->integer_value = vex_json_int(json);
        return 0;
    case VEX_JSON_UINT:
    case VEX_JSON_DOUBLE:
        value->kind_case = QDRANT__VALUE__KIND_DOUBLE_VALUE;
        value->double_value = vex_json_double(json);
        return 0;
    case VEX_JSON_STRING:
        value->kind_case = QDRANT__VALUE__KIND_STRING_VALUE;
        return vex_reader_string(r, json, &value->string_value);
    case VEX_JSON_OBJECT: {
        ProtobufCMessage *fields = vex_reader_new(r, &qdrant__struct__descriptor);
        value->kind_case = QDRANT__VALUE__KIND_STRUCT_VALUE;
        value->struct_value = (Qdrant__Struct *)fields;
        return vex_reader_field(r, fields, "fields", json);
    }
    case VEX_JSON_ARRAY: {
        ProtobufCMessage *list = vex_reader_new(r, &qdrant__list_value__descriptor);
        value->kind_case = QDRANT__VALUE__KIND_LIST_VALUE;
        value->list_value = (Qdrant__ListValue *)list;
        return vex_reader_field(r, list, "values", json);
    }
    }
    return 0;
}

/* ---- vectors ---- */

static Qdrant__DenseVector *dense_of(struct reader *r, struct vex_json json)
{
    Qdrant__DenseVector *dense = (Qdrant__DenseVector *)vex_reader_new(r, &qdrant__dense_vector__descriptor);
    dense->n_data = vex_json_count(json);
    dense->data = vex_arena_alloc(r->arena, (dense->n_data + 1) * sizeof(float));
    if (vex_json_kind(json) != VEX_JSON_ARRAY || vex_json_floats(json, dense->data, dense->n_data) < 0)
        return NULL;
    return dense;
}

static Qdrant__MultiDenseVector *multi_of(struct reader *r, struct vex_json json)
{
    Qdrant__MultiDenseVector *multi = (Qdrant__MultiDenseVector *)vex_reader_new(r, &qdrant__multi_dense_vector__descriptor);
    struct vex_json_iter it = vex_json_iter(json);
    multi->vectors = VEX_ARENA_ARRAY(r->arena, Qdrant__DenseVector *, vex_json_count(json));
    while (vex_json_next(&it)) {
        Qdrant__DenseVector *row = dense_of(r, it.value);
        if (row == NULL)
            return NULL;
        multi->vectors[multi->n_vectors++] = row;
    }
    return multi;
}

static bool starts_with_array(struct vex_json json)
{
    struct vex_json_iter it = vex_json_iter(json);
    return vex_json_next(&it) && vex_json_kind(it.value) == VEX_JSON_ARRAY;
}

/* What a JSON value is as a vector; each kind is a message that Vector and VectorInput both can hold. */
enum shape { SHAPE_NONE, SHAPE_DENSE, SHAPE_MULTI, SHAPE_SPARSE, SHAPE_DOCUMENT, SHAPE_IMAGE, SHAPE_OBJECT };

static const char *const shape_fields[] = {NULL, "dense", "multi_dense", "sparse", "document", "image", "object"};

static enum shape shape_of(struct vex_json json)
{
    if (vex_json_kind(json) == VEX_JSON_ARRAY)
        return starts_with_array(json) ? SHAPE_MULTI : SHAPE_DENSE;
    if (vex_json_has(json, "indices") && vex_json_has(json, "values"))
        return SHAPE_SPARSE;
    if (!vex_json_has(json, "model"))
        return SHAPE_NONE;
    if (vex_json_has(json, "text"))
        return SHAPE_DOCUMENT;
    if (vex_json_has(json, "image"))
        return SHAPE_IMAGE;
    return vex_json_has(json, "object") ? SHAPE_OBJECT : SHAPE_NONE;
}

/* Puts the vector into the oneof field of its shape; `what` names the peer's type in the refusal. */
static int read_shape(struct reader *r, ProtobufCMessage *message, struct vex_json json, const char *what)
{
    enum shape shape = shape_of(json);
    const ProtobufCFieldDescriptor *field = NULL;
    void *vector = NULL;
    if (shape == SHAPE_DENSE)
        vector = dense_of(r, json);
    else if (shape == SHAPE_MULTI)
        vector = multi_of(r, json);
    else if (shape != SHAPE_NONE)
        return vex_reader_field(r, message, shape_fields[shape], json);
    if (vector == NULL)
        return vex_reader_fail(r, "data did not match any variant of untagged enum %s", what);
    field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, shape_fields[shape]);
    *(void **)((char *)message + field->offset) = vector;
    *(uint32_t *)((char *)message + field->quantifier_offset) = field->id;
    return 0;
}

int vex_read_vector(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return read_shape(r, message, json, "VectorStruct");
}

int vex_read_vectors(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__Vectors, vectors);
    bool named = vex_json_kind(json) == VEX_JSON_OBJECT && shape_of(json) < SHAPE_DOCUMENT;
    if (!named)
        return vex_reader_field(r, message, "vector", json);
    ProtobufCMessage *map = vex_reader_new(r, &qdrant__named_vectors__descriptor);
    vectors->vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS;
    vectors->vectors = (Qdrant__NamedVectors *)map;
    return vex_reader_field(r, map, "vectors", json);
}

int vex_read_vector_input(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    enum vex_json_kind kind = vex_json_kind(json);
    if (kind == VEX_JSON_STRING || vex_json_is_number(json))
        return vex_reader_field(r, message, "id", json);
    return read_shape(r, message, json, "VectorInput");
}

/* ---- which points ---- */

int vex_read_points_selector(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__PointsSelector, selector);
    struct vex_json value;
    if (vex_json_has(json, "points") && vex_json_get(json, "points", &value)) {
        ProtobufCMessage *list = vex_reader_new(r, &qdrant__points_ids_list__descriptor);
        selector->points_selector_one_of_case = QDRANT__POINTS_SELECTOR__POINTS_SELECTOR_ONE_OF_POINTS;
        selector->points = (Qdrant__PointsIdsList *)list;
        return vex_reader_field(r, list, "ids", value);
    }
    if (vex_json_has(json, "filter") && vex_json_get(json, "filter", &value))
        return vex_reader_field(r, message, "filter", value);
    return vex_reader_no_variant(r, "PointsSelector");
}

int vex_read_point_struct(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__PointStruct, point);
    int code = vex_reader_object(r, message, json);
    if (code != 0)
        return code;
    if (point->id == NULL)
        return vex_reader_fail(r, "missing field `id`");
    return point->vectors != NULL ? 0 : vex_reader_fail(r, "missing field `vector`");
}

/* ---- the columnar form: {"batch": {"ids": [..], "vectors": [..] | {name: [..]}, "payloads": [..]}} ---- */

static int batch_vectors(struct reader *r, struct vex_json vectors, Qdrant__PointStruct **points, size_t count, struct vex_err *err)
{
    bool named = vex_json_kind(vectors) == VEX_JSON_OBJECT;
    struct vex_json_iter columns = vex_json_iter(vectors);
    size_t names = named ? vex_json_count(vectors) : 0, n = 0;
    if (!named && vex_json_count(vectors) != count)
        return vex_err_set(err, VEX_EVALIDATION, "JSON body: [batch.batch: number of ids and vectors must be equal (%zu != %zu)]",
                           count, vex_json_count(vectors));
    for (size_t i = 0; i < count; i++) {
        points[i]->vectors = (Qdrant__Vectors *)vex_reader_new(r, &qdrant__vectors__descriptor);
        if (!named) {
            struct vex_json_iter *it = &columns;
            vex_json_next(it);
            int code = vex_read_vectors(r, &points[i]->vectors->base, it->value);
            if (code != 0)
                return code;
            continue;
        }
        points[i]->vectors->vectors_options_case = QDRANT__VECTORS__VECTORS_OPTIONS_VECTORS;
        points[i]->vectors->vectors = (Qdrant__NamedVectors *)vex_reader_new(r, &qdrant__named_vectors__descriptor);
        points[i]->vectors->vectors->vectors = VEX_ARENA_ARRAY(r->arena, Qdrant__NamedVectors__VectorsEntry *, names);
    }
    for (; named && vex_json_next(&columns); n++) {
        struct vex_json_iter it = vex_json_iter(columns.value);
        if (vex_json_count(columns.value) != count)
            return vex_err_set(err, VEX_EVALIDATION,
                               "JSON body: [batch.batch: number of ids and vectors must be equal (%zu != %zu)]", count,
                               vex_json_count(columns.value));
        for (size_t i = 0; vex_json_next(&it); i++) {
            Qdrant__NamedVectors *map = points[i]->vectors->vectors;
            Qdrant__NamedVectors__VectorsEntry *entry =
                (Qdrant__NamedVectors__VectorsEntry *)vex_reader_new(r, &qdrant__named_vectors__vectors_entry__descriptor);
            entry->key = vex_arena_strndup(r->arena, columns.key.ptr, columns.key.len);
            entry->value = (Qdrant__Vector *)vex_reader_new(r, &qdrant__vector__descriptor);
            int code = vex_read_vector(r, &entry->value->base, it.value);
            if (code != 0)
                return code;
            map->vectors[map->n_vectors++] = entry;
        }
    }
    return 0;
}

static int batch_payloads(struct reader *r, struct vex_json payloads, Qdrant__PointStruct **points, size_t count)
{
    struct vex_json_iter it = vex_json_iter(payloads);
    if (vex_json_count(payloads) != count)
        return vex_err_set(r->err, VEX_EVALIDATION,
                           "JSON body: [batch.batch: number of ids and payloads must be equal (%zu != %zu)]", count,
                           vex_json_count(payloads));
    for (size_t i = 0; vex_json_next(&it); i++) {
        int code = vex_reader_field(r, &points[i]->base, "payload", it.value);
        if (code != 0)
            return code;
    }
    return 0;
}

static int read_batch(struct reader *r, struct vex_json batch, Qdrant__PointStruct ***ret, size_t *ret_count)
{
    struct vex_json ids, vectors, payloads;
    if (!vex_json_get(batch, "ids", &ids) || !vex_json_get(batch, "vectors", &vectors))
        return vex_reader_fail(r, "missing field `%s`", vex_json_has(batch, "ids") ? "vectors" : "ids");
    size_t count = vex_json_count(ids), i = 0;
    Qdrant__PointStruct **points = VEX_ARENA_ARRAY(r->arena, Qdrant__PointStruct *, count);
    struct vex_json_iter it = vex_json_iter(ids);
    if (vex_json_kind(ids) != VEX_JSON_ARRAY)
        return vex_reader_expected(r, ids, "a sequence");
    while (vex_json_next(&it)) {
        points[i] = (Qdrant__PointStruct *)vex_reader_new(r, &qdrant__point_struct__descriptor);
        points[i]->id = (Qdrant__PointId *)vex_reader_new(r, &qdrant__point_id__descriptor);
        int code = vex_read_point_id(r, &points[i++]->id->base, it.value);
        if (code != 0)
            return code;
    }
    int code = batch_vectors(r, vectors, points, count, r->err);
    if (code == 0 && vex_json_has(batch, "payloads") && vex_json_get(batch, "payloads", &payloads))
        code = batch_payloads(r, payloads, points, count);
    *ret = points;
    *ret_count = count;
    return code;
}

int vex_read_upsert(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    struct vex_json batch;
    int code = vex_reader_object(r, message, json);
    if (code != 0)
        return code;
    if (vex_json_has(json, "points"))
        return 0;
    if (!vex_json_has(json, "batch") || !vex_json_get(json, "batch", &batch))
        return vex_reader_fail(r, "Invalid PointInsertOperations format");
    if (message->descriptor == &qdrant__upsert_points__descriptor) {
        AS(Qdrant__UpsertPoints, upsert);
        return read_batch(r, batch, &upsert->points, &upsert->n_points);
    }
    AS(Qdrant__PointsUpdateOperation__PointStructList, list);
    return read_batch(r, batch, &list->points, &list->n_points);
}

int vex_read_update_operation(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    static const struct {
        const char *key, *field;
    } kinds[] = {
        {"upsert", "upsert"},
        {"delete", "delete_points"},
        {"set_payload", "set_payload"},
        {"overwrite_payload", "overwrite_payload"},
        {"delete_payload", "delete_payload"},
        {"clear_payload", "clear_payload"},
        {"update_vectors", "update_vectors"},
        {"delete_vectors", "delete_vectors"},
    };
    struct vex_json value;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (vex_json_has(json, kinds[i].key) && vex_json_get(json, kinds[i].key, &value))
            return vex_reader_field(r, message, kinds[i].field, value);
    return vex_reader_no_variant(r, "UpdateOperation");
}

/* ---- what answers carry ---- */

int vex_read_names(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_reader_field(r, message, "names", json);
}

int vex_read_with_payload(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__WithPayloadSelector, selector);
    bool exclude = vex_json_has(json, "exclude");
    struct vex_json fields = json;
    if (vex_json_kind(json) == VEX_JSON_BOOL)
        return vex_reader_field(r, message, "enable", json);
    if (vex_json_kind(json) == VEX_JSON_OBJECT && !vex_json_get(json, exclude ? "exclude" : "include", &fields))
        return vex_reader_no_variant(r, "WithPayloadInterface");
    if (exclude) {
        selector->exclude = (Qdrant__PayloadExcludeSelector *)vex_reader_new(r, &qdrant__payload_exclude_selector__descriptor);
        selector->selector_options_case = QDRANT__WITH_PAYLOAD_SELECTOR__SELECTOR_OPTIONS_EXCLUDE;
        return vex_reader_field(r, &selector->exclude->base, "fields", fields);
    }
    selector->include = (Qdrant__PayloadIncludeSelector *)vex_reader_new(r, &qdrant__payload_include_selector__descriptor);
    selector->selector_options_case = QDRANT__WITH_PAYLOAD_SELECTOR__SELECTOR_OPTIONS_INCLUDE;
    return vex_reader_field(r, &selector->include->base, "fields", fields);
}

int vex_read_with_vectors(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    if (vex_json_kind(json) == VEX_JSON_BOOL)
        return vex_reader_field(r, message, "enable", json);
    if (vex_json_kind(json) != VEX_JSON_ARRAY)
        return vex_reader_no_variant(r, "WithVector");
    return vex_reader_field(r, message, "include", json);
}

int vex_read_shard_key(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    return vex_reader_field(r, message, vex_json_kind(json) == VEX_JSON_STRING ? "keyword" : "number", json);
}

int vex_read_shard_key_selector(struct reader *r, ProtobufCMessage *message, struct vex_json json)
{
    AS(Qdrant__ShardKeySelector, selector);
    struct vex_json target, fallback;
    if (vex_json_kind(json) == VEX_JSON_ARRAY)
        return vex_reader_field(r, message, "shard_keys", json);
    bool object = vex_json_kind(json) == VEX_JSON_OBJECT;
    if (object && (!vex_json_get(json, "target", &target) || !vex_json_get(json, "fallback", &fallback)))
        return vex_reader_no_variant(r, "ShardKeySelector");
    selector->n_shard_keys = 1;
    selector->shard_keys = VEX_ARENA_ARRAY(r->arena, Qdrant__ShardKey *, 1);
    selector->shard_keys[0] = (Qdrant__ShardKey *)vex_reader_new(r, &qdrant__shard_key__descriptor);
    int code = vex_read_shard_key(r, &selector->shard_keys[0]->base, object ? target : json);
    return code != 0 || !object ? code : vex_reader_field(r, message, "fallback", fallback);
}
