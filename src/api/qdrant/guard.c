/* Guard: reads the bytes of a message once, before protobuf-c does, and refuses what protobuf-c would not
 * survive or would take silently.
 *
 * protobuf-c descends without a bound (a short message of nested filters overflows the stack), takes any
 * bytes for a string and cuts strings at NUL. The guard counts levels, checks lengths and wire types against
 * the descriptor, and the UTF-8 of strings. It allocates nothing and looks at packed numbers only by their
 * length. */
#include "api/qdrant/rpc.h"

#include "api/qdrant/wire.h"
#include "base/text.h"

#define LEVELS_MAX 100 /* as the peer's */

struct guard {
    const uint8_t *at, *end;
    struct vex_err *err;
};

static int malformed(struct guard *g, const char *why)
{
    return vex_err_set(g->err, VEX_EFORMAT, "failed to decode Protobuf message: %s", why);
}

static bool read_varint(struct guard *g, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;

        if (g->at == g->end)
            return false;
        byte = *g->at++;
        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static enum wire wire_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LEN;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return WIRE_32;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return WIRE_64;
    default:
        return WIRE_VARINT;
    }
}

/* A list of numbers in one field: whole numbers only. */
static int check_packed(struct guard *g, enum wire item, uint64_t len)
{
    const uint8_t *end = g->at + len;
    uint64_t ignored;

    if (item == WIRE_32 || item == WIRE_64) {
        if (len % (item == WIRE_32 ? 4 : 8) != 0)
            return malformed(g, "invalid length of a packed field");
        g->at = end;
        return 0;
    }
    while (g->at < end)
        if (!read_varint(g, &ignored))
            return malformed(g, "invalid varint");
    return g->at == end ? 0 : malformed(g, "invalid varint");
}

static int check_string(struct guard *g, const ProtobufCFieldDescriptor *field, uint64_t len)
{
    struct vex_str text = vex_str((const char *)g->at, (size_t)len);

    g->at += len;
    if (!vex_utf8_valid(text))
        return vex_err_set(
            g->err, VEX_EFORMAT,
            "failed to decode Protobuf message: %s: invalid string value: data is not UTF-8 encoded",
            field->name);
    if (len != 0 && memchr(text.ptr, 0, text.len) != NULL)
        return vex_err_set(g->err, VEX_EFORMAT,
                           "the text in field %s holds a NUL character, which is not supported", field->name);
    return 0;
}

static int check_message(struct guard *g, const ProtobufCMessageDescriptor *type, const uint8_t *end,
                         int levels);

static int check_len(struct guard *g, const ProtobufCFieldDescriptor *field, int levels)
{
    uint64_t len;

    if (!read_varint(g, &len) || len > (uint64_t)(g->end - g->at))
        return malformed(g, "buffer underflow");
    if (field == NULL) {
        g->at += len;
        return 0;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        if (levels == 0)
            return malformed(g, "recursion limit reached");
        return check_message(g, field->descriptor, g->at + len, levels - 1);
    case PROTOBUF_C_TYPE_STRING:
        return check_string(g, field, len);
    case PROTOBUF_C_TYPE_BYTES:
        g->at += len;
        return 0;
    default:
        if (field->label != PROTOBUF_C_LABEL_REPEATED)
            return malformed(g, "invalid wire type");
        return check_packed(g, wire_of(field->type), len);
    }
}

static int check_field(struct guard *g, const ProtobufCMessageDescriptor *type, int levels)
{
    const ProtobufCFieldDescriptor *field;
    uint64_t key, ignored;
    enum wire wire;

    if (!read_varint(g, &key) || key > UINT32_MAX || key >> 3 == 0)
        return malformed(g, "invalid key");
    wire = (enum wire)(key & 7);
    field = protobuf_c_message_descriptor_get_field(type, (unsigned)(key >> 3));
    if (wire == WIRE_LEN)
        return check_len(g, field, levels);
    if (field != NULL && wire_of(field->type) != wire)
        return malformed(g, "invalid wire type");
    switch (wire) {
    case WIRE_VARINT:
        return read_varint(g, &ignored) ? 0 : malformed(g, "invalid varint");
    case WIRE_64:
    case WIRE_32: {
        size_t size = wire == WIRE_64 ? 8 : 4;

        if ((size_t)(g->end - g->at) < size)
            return malformed(g, "buffer underflow");
        g->at += size;
        return 0;
    }
    default:
        return malformed(g, "invalid wire type");
    }
}

static int check_message(struct guard *g, const ProtobufCMessageDescriptor *type, const uint8_t *end,
                         int levels)
{
    const uint8_t *outer = g->end;
    int code = 0;

    g->end = end;
    while (code == 0 && g->at < end)
        code = check_field(g, type, levels);
    g->end = outer;
    return code;
}

int vex_rpc_guard(const ProtobufCMessageDescriptor *type, const void *bytes, size_t len, struct vex_err *err)
{
    static const uint8_t nothing;
    struct guard g = {.at = len != 0 ? bytes : &nothing, .err = err};

    g.end = g.at + len;
    return check_message(&g, type, g.end, LEVELS_MAX);
}
