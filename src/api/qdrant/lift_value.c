/* Lifting payloads: CBOR to the wire bytes of qdrant.Value, in one pass, without a tree of messages.
 *
 * Format A map is a run of entries { 1: key, 2: Value }. Value: 1 null, 2 double, 3 integer, 4 string,
 *        5 bool, 6 Struct { 1: entry ... }, 7 ListValue { 1: Value ... }. The length of a nested
 *        message is known only at its end: one byte is left for it, and the few that need more are
 *        moved. The bytes ride in the message as one unknown field, whose data may hold further keys
 *        after the first. */
#include "api/qdrant/qdrant.h"

#define VARINT_MAX 10

static size_t varint(uint8_t ret[VARINT_MAX], uint64_t v)
{
    size_t n = 0;

    while (v >= 0x80) {
        ret[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    ret[n++] = (uint8_t)v;
    return n;
}

static void put_varint(struct vex_buf *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];

    vex_buf_add(out, bytes, varint(bytes, v));
}

static void put_text(struct vex_buf *out, char key, struct vex_str text)
{
    vex_buf_add_char(out, key);
    put_varint(out, text.len);
    vex_buf_add_str(out, text);
}

static size_t open_message(struct vex_buf *out)
{
    vex_buf_add_char(out, 0);
    return out->len;
}

static void close_message(struct vex_buf *out, size_t start)
{
    uint8_t bytes[VARINT_MAX];
    size_t len = out->len - start, n = varint(bytes, len);

    if (n > 1) {
        vex_buf_reserve(out, n - 1);
        memmove(out->ptr + start + n - 1, out->ptr + start, len);
        out->len += n - 1;
    }
    memcpy(out->ptr + start - 1, bytes, n);
}

#define KEY(number, wire) ((char)((number) << 3 | (wire)))

static void put_value(struct vex_buf *out, struct vex_value v);

static void put_entries(struct vex_buf *out, struct vex_value map, char key)
{
    struct vex_value_iter it = vex_value_iter(map);

    while (vex_value_next(&it)) {
        size_t entry, value;

        vex_buf_add_char(out, key);
        entry = open_message(out);
        put_text(out, KEY(1, 2), it.key);
        vex_buf_add_char(out, KEY(2, 2));
        value = open_message(out);
        put_value(out, it.value);
        close_message(out, value);
        close_message(out, entry);
    }
}

static void put_list(struct vex_buf *out, struct vex_value list)
{
    struct vex_value_iter it = vex_value_iter(list);

    while (vex_value_next(&it)) {
        size_t value;

        vex_buf_add_char(out, KEY(1, 2));
        value = open_message(out);
        put_value(out, it.value);
        close_message(out, value);
    }
}

/* The fields of one Value. */
static void put_value(struct vex_buf *out, struct vex_value v)
{
    double number;
    size_t start;

    switch (vex_value_kind(v)) {
    case VEX_VALUE_NULL:
        vex_buf_add(out, "\x08\0", 2);
        return;
    case VEX_VALUE_BOOL:
        vex_buf_add_char(out, KEY(5, 0));
        vex_buf_add_char(out, vex_value_bool(v));
        return;
    case VEX_VALUE_INT:
        vex_buf_add_char(out, KEY(3, 0));
        put_varint(out, (uint64_t)vex_value_int(v));
        return;
    case VEX_VALUE_UINT: /* beyond int64 the schema has only doubles */
    case VEX_VALUE_DOUBLE:
        number = vex_value_double(v);
        vex_buf_add_char(out, KEY(2, 1));
        vex_buf_add(out, &number, sizeof number);
        return;
    case VEX_VALUE_TEXT:
        put_text(out, KEY(4, 2), vex_value_text(v));
        return;
    case VEX_VALUE_ARRAY:
    case VEX_VALUE_MAP:
        vex_buf_add_char(out, vex_value_kind(v) == VEX_VALUE_MAP ? KEY(6, 2) : KEY(7, 2));
        start = open_message(out);
        if (vex_value_kind(v) == VEX_VALUE_MAP)
            put_entries(out, v, KEY(1, 2));
        else
            put_list(out, v);
        close_message(out, start);
        return;
    }
}

void vex_lift_payload_bytes(struct vex_buf *out, struct vex_value payload, uint32_t field)
{
    if (payload.at != NULL)
        put_entries(out, payload, KEY(field, 2));
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
    ProtobufCMessageUnknownField *bytes;
    struct vex_buf out;

    if (call->dialect == VEX_DIALECT_QDRANT_REST) {
        lift_raw(call, payload, entry_type, ret_count, ret_entries);
        return;
    }
    if (payload.at == NULL || vex_value_count(payload) == 0)
        return;
    vex_buf_init(&out, &call->arena);
    vex_lift_payload_bytes(&out, payload, field);
    bytes = VEX_ARENA_NEW(&call->arena, ProtobufCMessageUnknownField);
    bytes->tag = field;
    bytes->wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    bytes->data = (uint8_t *)out.ptr + 1; /* the packer writes the first key itself */
    bytes->len = out.len - 1;
    message->n_unknown_fields = 1;
    message->unknown_fields = bytes;
}
