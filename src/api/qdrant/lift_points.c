/* Lifting lists of points: to messages for REST, whose payloads stay CBOR, and to bytes over gRPC.
 *
 * Bytes     An answer's points are most of it, and a tree of messages that is walked twice to be packed costs more than the search of
 *           a small collection. The bytes ride in the answer as unknown fields, which the packer copies; order and number of the
 *           fields are those of the messages.
 * Memory    CHUNK bytes a field, so that a long answer is not moved again and again while it grows. */
#include "api/qdrant/qdrant.h"
#include "api/qdrant/wire.h"

#define CHUNK       ((size_t)64 << 10)
#define POINT_BYTES 64 /* of a usual one */

/* Numbers of the fields of a kind of point; 0: it has no such field. */
struct form {
    ProtobufCMessage *(*lift)(struct vex_call *call, const struct vex_hit *hit, bool with_vectors);
    uint8_t score, version, vectors, order_value;
};

#define PAYLOAD_FIELD 2 /* of both */

/* ---- messages ---- */

static ProtobufCMessage *lift_scored(struct vex_call *call, const struct vex_hit *hit, bool with_vectors)
{
    Qdrant__ScoredPoint *out = VEX_MESSAGE(call, Qdrant__ScoredPoint, qdrant__scored_point__descriptor);

    out->id = vex_lift_id(call, &hit->id);
    out->has_score = out->has_version = true;
    out->score = hit->score;
    out->version = hit->version;
    if (hit->has_payload)
        vex_lift_payload(call, hit->payload, &out->base, PAYLOAD_FIELD,
                         &qdrant__scored_point__payload_entry__descriptor, &out->n_payload,
                         (void ***)(void *)&out->payload);
    if (with_vectors)
        out->vectors = vex_lift_vectors(call, hit);
    out->order_value = vex_lift_order_value(call, hit);
    return &out->base;
}

static ProtobufCMessage *lift_retrieved(struct vex_call *call, const struct vex_hit *hit, bool with_vectors)
{
    Qdrant__RetrievedPoint *out =
        VEX_MESSAGE(call, Qdrant__RetrievedPoint, qdrant__retrieved_point__descriptor);

    out->id = vex_lift_id(call, &hit->id);
    if (hit->has_payload)
        vex_lift_payload(call, hit->payload, &out->base, PAYLOAD_FIELD,
                         &qdrant__retrieved_point__payload_entry__descriptor, &out->n_payload,
                         (void ***)(void *)&out->payload);
    if (with_vectors)
        out->vectors = vex_lift_vectors(call, hit);
    out->order_value = vex_lift_order_value(call, hit);
    return &out->base;
}

static void put_messages(struct vex_call *call, const struct form *form, const struct vex_hits *hits,
                         bool with_vectors, ProtobufCMessage *message, uint32_t number)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, number);
    void *at = (char *)message + field->offset;
    ProtobufCMessage **list = VEX_ARENA_ARRAY(&call->arena, ProtobufCMessage *, hits->count + 1);

    for (size_t i = 0; i < hits->count; i++)
        list[i] = form->lift(call, &hits->hits[i], with_vectors);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *(size_t *)(void *)((char *)message + field->quantifier_offset) = hits->count;
        *(ProtobufCMessage ***)at = list;
    } else {
        *(ProtobufCMessage **)at = list[0];
    }
}

/* ---- bytes ---- */

static void put_id(struct vex_call *call, struct vex_buf *out, const struct vex_id *id)
{
    size_t start = wire_open(out, WIRE_KEY(1, WIRE_LEN));

    if (id->kind == VEX_ID_NUM)
        wire_put_number(out, WIRE_KEY(1, WIRE_VARINT), id->num);
    else
        wire_put_text(out, WIRE_KEY(2, WIRE_LEN), vex_id_text(&call->arena, id));
    wire_close(out, start);
}

static void put_packed(struct vex_buf *out, uint8_t field, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    wire_put_number(out, WIRE_KEY(field, WIRE_LEN), size);
    vex_buf_reserve(out, size);
    protobuf_c_message_pack(message, (uint8_t *)out->ptr + out->len);
    out->len += size;
}

static void put_point(struct vex_call *call, const struct form *form, const struct vex_hit *hit,
                      bool with_vectors, struct vex_buf *out)
{
    const Qdrant__OrderValue *order_value = vex_lift_order_value(call, hit);

    put_id(call, out, &hit->id);
    if (hit->has_payload)
        vex_lift_payload_bytes(out, hit->payload, PAYLOAD_FIELD);
    if (form->score != 0) {
        vex_buf_add_char(out, WIRE_KEY(form->score, WIRE_32));
        vex_buf_add(out, &hit->score, sizeof hit->score);
    }
    if (form->version != 0)
        wire_put_number(out, WIRE_KEY(form->version, WIRE_VARINT), hit->version);
    if (with_vectors)
        put_packed(out, form->vectors, &vex_lift_vectors(call, hit)->base);
    if (order_value != NULL)
        put_packed(out, form->order_value, &order_value->base);
}

static void put_bytes(struct vex_call *call, const struct form *form, const struct vex_hits *hits,
                      bool with_vectors, ProtobufCMessage *message, uint32_t number)
{
    struct vex_buf out;

    vex_buf_init(&out, &call->arena);
    vex_buf_reserve(&out, hits->count < CHUNK / POINT_BYTES ? hits->count * POINT_BYTES : CHUNK);
    for (size_t i = 0; i < hits->count; i++) {
        size_t start = wire_open(&out, WIRE_KEY(number, WIRE_LEN));

        put_point(call, form, &hits->hits[i], with_vectors, &out);
        wire_close(&out, start);
        if (out.len < CHUNK && i + 1 < hits->count)
            continue;
        vex_lift_field_bytes(call, message, number, vex_buf_str(&out));
        vex_buf_init(&out, &call->arena);
    }
}

/* ---- both ---- */

static void put_points(struct vex_call *call, const struct form *form, const struct vex_hits *hits,
                       bool with_vectors, ProtobufCMessage *message, uint32_t number)
{
    if (call->dialect == VEX_DIALECT_QDRANT_REST)
        put_messages(call, form, hits, with_vectors, message, number);
    else
        put_bytes(call, form, hits, with_vectors, message, number);
}

void vex_lift_scored(struct vex_call *call, const struct vex_hits *hits, bool with_vectors,
                     ProtobufCMessage *message, uint32_t field)
{
    static const struct form form = {
        .lift = lift_scored, .score = 3, .version = 5, .vectors = 6, .order_value = 8};

    put_points(call, &form, hits, with_vectors, message, field);
}

void vex_lift_retrieved(struct vex_call *call, const struct vex_hits *hits, bool with_vectors,
                        ProtobufCMessage *message, uint32_t field)
{
    static const struct form form = {.lift = lift_retrieved, .vectors = 4, .order_value = 6};

    put_points(call, &form, hits, with_vectors, message, field);
}
