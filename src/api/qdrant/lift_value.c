/* Lifting payloads: CBOR to the wire bytes of qdrant.Value, in one pass, without a tree of messages.
 *
 * Format A map is a run of entries { 1: key, 2: Value }. Value: 1 null, 2 double, 3 integer, 4 string,
 *        5 bool, 6 Struct { 1: entry ... }, 7 ListValue { 1: Value ... }. The
 *        bytes ride in the message as one unknown field, whose data may hold further keys after the
 *        first. */
#include "api/qdrant/qdrant.h"
#include "api/qdrant/wire.h"

static void put_value(struct vex_buf *out, struct vex_value v);

static void put_entries(struct vex_buf *out, struct vex_value map, char key)
{
    struct vex_value_iter it = vex_value_iter(map);

    while (vex_value_next(&it)) {
        size_t entry = wire_open(out, key), value;

        wire_put_text(out, WIRE_KEY(1, WIRE_LEN), it.key);
        value = wire_open(out, WIRE_KEY(2, WIRE_LEN));
        put_value(out, it.value);
        wire_close(out, value);
        wire_close(out, entry);
    }
}

static void put_list(struct vex_buf *out, struct vex_value list)
{
    struct vex_value_iter it = vex_value_iter(list);

    while (vex_value_next(&it)) {
        size_t value = wire_open(out, WIRE_KEY(1, WIRE_LEN));

        put_value(out, it.value);
        wire_close(out, value);
    }
}

/* The fields of one Value. */
static void put_value(struct vex_buf *out, struct vex_value v)
{
    double number;
    size_t start;

    switch (vex_value_kind(v)) {
    case VEX_VALUE_NULL:
        wire_put_number(out, WIRE_KEY(1, WIRE_VARINT), 0);
        return;
    case VEX_VALUE_BOOL:
        wire_put_number(out, WIRE_KEY(5, WIRE_VARINT), vex_value_bool(v));
        return;
    case VEX_VALUE_INT:
        wire_put_number(out, WIRE_KEY(3, WIRE_VARINT), (uint64_t)vex_value_int(v));
        return;
    case VEX_VALUE_UINT: /* beyond int64 the schema has only doubles */
    case VEX_VALUE_DOUBLE:
        number = vex_value_double(v);
        vex_buf_add_char(out, WIRE_KEY(2, WIRE_64));
        vex_buf_add(out, &number, sizeof number);
        return;
    case VEX_VALUE_TEXT:
        wire_put_text(out, WIRE_KEY(4, WIRE_LEN), vex_value_text(v));
        return;
    case VEX_VALUE_ARRAY:
        start = wire_open(out, WIRE_KEY(7, WIRE_LEN));
        put_list(out, v);
        wire_close(out, start);
        return;
    case VEX_VALUE_MAP:
        start = wire_open(out, WIRE_KEY(6, WIRE_LEN));
        put_entries(out, v, WIRE_KEY(1, WIRE_LEN));
        wire_close(out, start);
        return;
    }
}

void vex_lift_payload_bytes(struct vex_buf *out, struct vex_value payload, uint32_t field)
{
    if (payload.at != NULL)
        put_entries(out, payload, WIRE_KEY(field, WIRE_LEN));
}

void vex_lift_field_bytes(struct vex_call *call, ProtobufCMessage *message, uint32_t field,
                          struct vex_str bytes)
{
    unsigned n = message->n_unknown_fields;
    ProtobufCMessageUnknownField *fields = message->unknown_fields;

    if ((n & (n - 1)) == 0) { /* as many as there is room for */
        fields = VEX_ARENA_ARRAY(&call->arena, ProtobufCMessageUnknownField, n != 0 ? 2 * n : 1);
        if (n != 0)
            memcpy(fields, message->unknown_fields, n * sizeof *fields);
        message->unknown_fields = fields;
    }
    fields[n].tag = field;
    fields[n].wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    fields[n].data = (uint8_t *)(uintptr_t)bytes.ptr + 1; /* the packer writes the first key itself */
    fields[n].len = bytes.len - 1;
    message->n_unknown_fields = n + 1;
}

static const uint8_t empty_map[] = {0xa0};

struct entry {
    ProtobufCMessage base;
    char *key;
    Qdrant__Value *value;
};

static void lift_raw(struct vex_call *call, struct vex_value payload,
                     const ProtobufCMessageDescriptor *entry_type, size_t *ret_count, void ***ret_entries)
{
    struct entry *entry = (struct entry *)(void *)vex_rpc_message(&call->arena, entry_type);
    void **list = VEX_ARENA_ARRAY(&call->arena, void *, 1);

    entry->key = vex_raw_key;
    entry->value =
        vex_raw_value_new(&call->arena, payload.at != NULL ? payload : (struct vex_value){empty_map});
    list[0] = entry;
    *ret_entries = list;
    *ret_count = 1;
}

void vex_lift_payload(struct vex_call *call, struct vex_value payload, ProtobufCMessage *message,
                      uint32_t field, const ProtobufCMessageDescriptor *entry_type, size_t *ret_count,
                      void ***ret_entries)
{
    struct vex_buf out;

    if (call->dialect == VEX_DIALECT_QDRANT_REST) {
        lift_raw(call, payload, entry_type, ret_count, ret_entries);
        return;
    }
    if (payload.at == NULL || vex_value_count(payload) == 0)
        return;
    vex_buf_init(&out, &call->arena);
    vex_lift_payload_bytes(&out, payload, field);
    vex_lift_field_bytes(call, message, field, vex_buf_str(&out));
}
