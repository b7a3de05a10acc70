/* Message -> JSON: types whose JSON is not an object of their fields. */
#include <stdio.h>
#include <time.h>

#include "rest/message_to_json.h"

#include "api/qdrant/qdrant.h"
#include "engine/point/value_json.h"

typedef void shape_fn(struct vex_jw *w, const ProtobufCMessage *message);

/* A wrapper disappears: the chosen arm, or the only list or map, stands for the whole. */
static void write_bare(struct vex_jw *w, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (field->label == PROTOBUF_C_LABEL_REPEATED || vex_field_is_set(message, field)) {
            vex_field_value(w, message, field);
            return;
        }
    }
    vex_jw_null(w);
}

static void write_any(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__Value *value = (const Qdrant__Value *)(const void *)message;

    if (vex_is_raw(value))
        vex_value_to_json(w, vex_raw_of(value));
    else
        write_bare(w, message);
}

/* ---- points ---- */

static void write_member(struct vex_jw *w, const char *name, const ProtobufCMessage *message)
{
    if (message == NULL)
        return;
    vex_jw_name(w, name);
    vex_message_to_json(w, message);
}

/* As a rule it is carried as CBOR; else the generic walk writes it. `key` and `value`: of its only entry. */
static void write_payload(struct vex_jw *w, const ProtobufCMessage *point, const char *key,
                          const Qdrant__Value *value)
{
    const ProtobufCFieldDescriptor *field;

    if (key == vex_raw_key) {
        vex_jw_key(w, VEX_STR("payload"));
        vex_value_to_json(w, vex_raw_of(value));
        return;
    }
    field = protobuf_c_message_descriptor_get_field_by_name(point->descriptor, "payload");
    if (!vex_field_is_set(point, field))
        return;
    vex_jw_name(w, "payload");
    vex_field_value(w, point, field);
}

/* Of a point with a payload of one entry, for write_payload. */
#define ONLY(point, member) ((point)->n_payload == 1 ? (point)->payload[0]->member : NULL)
#define BASE(message)       ((message) != NULL ? &(message)->base : NULL)

static void write_scored(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__ScoredPoint *in = (const Qdrant__ScoredPoint *)(const void *)message;

    vex_jw_object(w);
    write_member(w, "id", BASE(in->id));
    vex_jw_name(w, "version");
    vex_jw_u64(w, in->version);
    vex_jw_name(w, "score");
    vex_jw_f32(w, in->score);
    write_payload(w, message, ONLY(in, key), ONLY(in, value));
    write_member(w, "vector", BASE(in->vectors));
    write_member(w, "shard_key", BASE(in->shard_key));
    write_member(w, "order_value", BASE(in->order_value));
    vex_jw_object_end(w);
}

static void write_retrieved(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__RetrievedPoint *in = (const Qdrant__RetrievedPoint *)(const void *)message;

    vex_jw_object(w);
    write_member(w, "id", BASE(in->id));
    write_payload(w, message, ONLY(in, key), ONLY(in, value));
    write_member(w, "vector", BASE(in->vectors));
    write_member(w, "shard_key", BASE(in->shard_key));
    write_member(w, "order_value", BASE(in->order_value));
    vex_jw_object_end(w);
}

static void write_sparse(struct vex_jw *w, const uint32_t *indices, size_t index_count, const float *values,
                         size_t count)
{
    vex_jw_object(w);
    vex_jw_name(w, "indices");
    vex_jw_array(w);
    for (size_t i = 0; i < index_count; i++)
        vex_jw_u64(w, indices[i]);
    vex_jw_array_end(w);
    vex_jw_name(w, "values");
    vex_jw_floats(w, values, count);
    vex_jw_object_end(w);
}

static void write_vector(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__VectorOutput *in = (const Qdrant__VectorOutput *)(const void *)message;

    switch (in->vector_case) {
    case QDRANT__VECTOR_OUTPUT__VECTOR_DENSE:
        vex_jw_floats(w, in->dense->data, in->dense->n_data);
        return;
    case QDRANT__VECTOR_OUTPUT__VECTOR_SPARSE:
        write_sparse(w, in->sparse->indices, in->sparse->n_indices, in->sparse->values, in->sparse->n_values);
        return;
    case QDRANT__VECTOR_OUTPUT__VECTOR_MULTI_DENSE:
        vex_jw_array(w);
        for (size_t i = 0; i < in->multi_dense->n_vectors; i++)
            vex_jw_floats(w, in->multi_dense->vectors[i]->data, in->multi_dense->vectors[i]->n_data);
        vex_jw_array_end(w);
        return;
    default: /* the older, flat form */
        if (in->indices != NULL)
            write_sparse(w, in->indices->data, in->indices->n_data, in->data, in->n_data);
        else
            vex_jw_floats(w, in->data, in->n_data);
    }
}

/* ---- times ---- */

static void write_time(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Google__Protobuf__Timestamp *in = (const Google__Protobuf__Timestamp *)(const void *)message;
    time_t seconds = (time_t)in->seconds;
    struct tm tm;
    char buf[64];
    size_t n;

    if (gmtime_r(&seconds, &tm) == NULL) {
        vex_jw_null(w);
        return;
    }
    n = strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%S", &tm);
    if (in->nanos > 0)
        n += (size_t)snprintf(buf + n, sizeof buf - n, ".%06u", (unsigned)in->nanos / 1000 % 1000000);
    buf[n++] = 'Z';
    vex_jw_str(w, vex_str(buf, n));
}

/* Files are dated without a zone. */
static void write_snapshot(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__SnapshotDescription *in = (const Qdrant__SnapshotDescription *)(const void *)message;
    static const char *const skip[] = {"creation_time", NULL};

    vex_jw_object(w);
    vex_message_members(w, message, skip);
    vex_jw_name(w, "creation_time");
    if (in->creation_time != NULL) {
        time_t seconds = (time_t)in->creation_time->seconds;
        struct tm tm = {0};
        char buf[64];

        gmtime_r(&seconds, &tm);
        vex_jw_str(w, vex_str(buf, strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%S", &tm)));
    } else {
        vex_jw_null(w);
    }
    vex_jw_object_end(w);
}

/* ---- configuration ---- */

static void write_optimizer_status(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__OptimizerStatus *in = (const Qdrant__OptimizerStatus *)(const void *)message;

    if (in->error == NULL) {
        vex_jw_text(w, "ok");
        return;
    }
    vex_jw_object(w);
    vex_jw_name(w, "error");
    vex_jw_text(w, in->error);
    vex_jw_object_end(w);
}

/* { "type": "keyword", ... }: the arm's name begins with its type. */
static void write_index_params(struct vex_jw *w, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (!vex_field_is_set(message, field))
            continue;
        vex_jw_object(w);
        vex_jw_name(w, "type");
        vex_jw_str(w, vex_str(field->name, strcspn(field->name, "_")));
        vex_message_members(
            w, *(const ProtobufCMessage *const *)(const void *)((const char *)message + field->offset), NULL);
        vex_jw_object_end(w);
        return;
    }
    vex_jw_null(w);
}

static void write_true(struct vex_jw *w, const ProtobufCMessage *message)
{
    (void)message;
    vex_jw_bool(w, true);
}

/* One language alone has a shorter form. */
static void write_stopwords(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__StopwordsSet *in = (const Qdrant__StopwordsSet *)(const void *)message;

    if (in->n_languages == 1 && in->n_custom == 0) {
        vex_jw_text(w, in->languages[0]);
        return;
    }
    vex_jw_object(w);
    vex_message_members(w, message, NULL);
    vex_jw_object_end(w);
}

static void write_stemmer(struct vex_jw *w, const ProtobufCMessage *message)
{
    const Qdrant__StemmingAlgorithm *in = (const Qdrant__StemmingAlgorithm *)(const void *)message;
    bool snowball = in->stemming_params_case == QDRANT__STEMMING_ALGORITHM__STEMMING_PARAMS_SNOWBALL;

    vex_jw_object(w);
    vex_jw_name(w, "type");
    vex_jw_text(w, snowball ? "snowball" : "none");
    if (snowball && in->snowball->language != NULL) {
        vex_jw_name(w, "language");
        vex_jw_text(w, in->snowball->language);
    }
    vex_jw_object_end(w);
}

/* ---- the table ---- */

static const struct {
    const ProtobufCMessageDescriptor *type;
    shape_fn *write;
} shapes[] = {
    {&qdrant__scored_point__descriptor, write_scored}, /* the most frequent first */
    {&qdrant__retrieved_point__descriptor, write_retrieved},
    {&qdrant__point_id__descriptor, write_bare},
    {&qdrant__value__descriptor, write_any},
    {&qdrant__vectors_output__descriptor, write_bare},
    {&qdrant__vector_output__descriptor, write_vector},
    {&qdrant__named_vectors_output__descriptor, write_bare},
    {&qdrant__struct__descriptor, write_bare},
    {&qdrant__list_value__descriptor, write_bare},
    {&qdrant__batch_result__descriptor, write_bare},
    {&qdrant__order_value__descriptor, write_bare},
    {&qdrant__shard_key__descriptor, write_bare},
    {&qdrant__group_id__descriptor, write_bare},
    {&qdrant__facet_value__descriptor, write_bare},
    {&qdrant__vectors_config__descriptor, write_bare},
    {&qdrant__vector_params_map__descriptor, write_bare},
    {&qdrant__sparse_vector_config__descriptor, write_bare},
    {&qdrant__strict_mode_sparse_config__descriptor, write_bare},
    {&qdrant__strict_mode_multivector_config__descriptor, write_bare},
    {&qdrant__max_optimization_threads__descriptor, write_bare},
    {&qdrant__binary_quantization_query_encoding__descriptor, write_bare},
    {&qdrant__optimizer_status__descriptor, write_optimizer_status},
    {&qdrant__payload_index_params__descriptor, write_index_params},
    {&qdrant__keyword_prefix_params__descriptor, write_true},
    {&qdrant__stopwords_set__descriptor, write_stopwords},
    {&qdrant__stemming_algorithm__descriptor, write_stemmer},
    {&qdrant__snapshot_description__descriptor, write_snapshot},
    {&google__protobuf__timestamp__descriptor, write_time},
};

bool vex_message_shape(struct vex_jw *w, const ProtobufCMessage *message)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].type == message->descriptor) {
            shapes[i].write(w, message);
            return true;
        }
    return false;
}
