/* Headers and bodies of gRPC messages.
 *
 * Role      Bytes of a received message in one piece, unpacked with a bound: the core's own decompression is
 * switched off, as it has none (a short message could unfold to any size). Encodes answers. Format: RFC 1952
 * (gzip), RFC 1950 (deflate). */
#include "grpc/private.h"

#include <strings.h>
#include <zlib.h>

#include "base/mem.h"

#define UNPACK_FIRST 16384
#define GZIP_WINDOW  (15 | 16)
#define ZLIB_WINDOW  15

static struct vex_str slice_str(const grpc_slice *slice)
{
    return vex_str((const char *)GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

struct vex_str vex_grpc_key(const grpc_metadata_array *metadata)
{
    for (size_t i = 0; i < metadata->count; i++) {
        struct vex_str name = slice_str(&metadata->metadata[i].key);
        struct vex_str value = slice_str(&metadata->metadata[i].value);
        if (vex_str_eq_c(name, "api-key"))
            return value;
        if (vex_str_eq_c(name, "authorization") && value.len >= 7 &&
            strncasecmp(value.ptr, "bearer ", 7) == 0)
            return vex_str(value.ptr + 7, value.len - 7);
    }
    return vex_str(NULL, 0);
}

/* ---- received ---- */

/* Output of the inflater, growing to at most one byte more than the bound. */
struct unpacked {
    uint8_t *bytes;
    size_t len, cap, max;
};

static int unpacked_grow(struct unpacked *out, struct vex_err *err)
{
    size_t cap = out->cap == 0 ? UNPACK_FIRST : out->cap * 2;
    if (cap > out->max)
        cap = out->max + 1;
    if (out->len > out->max)
        return vex_err_set(err, VEX_ETOO_LARGE, "the message unpacks to more than %zu bytes", out->max);
    uint8_t *bytes = vex_mem_try(cap);
    if (bytes == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "no memory for a message of %zu bytes", cap);
    if (out->len != 0)
        memcpy(bytes, out->bytes, out->len);
    vex_mem_free(out->bytes);
    out->bytes = bytes;
    out->cap = cap;
    return 0;
}

/* Feeds one slice. 1: the stream ended and nothing follows in the slice; 0: go on. */
static int inflate_slice(z_stream *stream, const grpc_slice *slice, struct unpacked *out, struct vex_err *err)
{
    int status = Z_OK;
    stream->next_in = (Bytef *)(uintptr_t)GRPC_SLICE_START_PTR(*slice);
    stream->avail_in = (uInt)GRPC_SLICE_LENGTH(*slice); /* messages have less than 2 GB */
    do {
        if (out->len == out->cap && unpacked_grow(out, err) != 0)
            return err->code;
        stream->next_out = out->bytes + out->len;
        stream->avail_out = (uInt)(out->cap - out->len);
        status = inflate(stream, Z_NO_FLUSH);
        out->len = out->cap - stream->avail_out;
    } while (status == Z_OK && (stream->avail_in != 0 || stream->avail_out == 0));
    if (status == Z_STREAM_END && stream->avail_in == 0)
        return 1;
    /* Z_BUF_ERROR: all is read, nothing was left to write. */
    if (status == Z_OK || (status == Z_BUF_ERROR && stream->avail_in == 0))
        return 0;
    return vex_err_set(err, VEX_EFORMAT, "the message cannot be decompressed");
}

static int unpack(const grpc_slice_buffer *slices, int window, size_t max, struct message *ret,
                  struct vex_err *err)
{
    z_stream stream = {0};
    struct unpacked out = {.max = max};
    int code = 0;
    if (inflateInit2(&stream, window) != Z_OK)
        return vex_err_set(err, VEX_ENO_MEMORY, "no memory to decompress a message");
    for (size_t i = 0; i < slices->count && code == 0; i++) {
        if (GRPC_SLICE_LENGTH(slices->slices[i]) == 0)
            continue;
        code = inflate_slice(&stream, &slices->slices[i], &out, err);
        if (code == 1 && i + 1 < slices->count)
            code = vex_err_set(err, VEX_EFORMAT, "bytes follow the compressed message");
    }
    inflateEnd(&stream);
    if (code == 0)
        code = vex_err_set(err, VEX_EFORMAT, "the compressed message is cut short");
    if (code == 1 && out.len > max)
        code = vex_err_set(err, VEX_ETOO_LARGE, "the message unpacks to more than %zu bytes", max);
    if (code < 0) {
        vex_mem_free(out.bytes);
        return code;
    }
    *ret = (struct message){.bytes = out.bytes, .len = out.len, .copy = out.bytes};
    return 0;
}

static int join(const grpc_slice_buffer *slices, struct message *ret, struct vex_err *err)
{
    uint8_t *bytes = vex_mem_try(slices->length != 0 ? slices->length : 1);
    size_t len = 0;
    if (bytes == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "no memory for a message of %zu bytes", slices->length);
    for (size_t i = 0; i < slices->count; i++) {
        struct vex_str part = slice_str(&slices->slices[i]);
        memcpy(bytes + len, part.ptr, part.len);
        len += part.len;
    }
    *ret = (struct message){.bytes = bytes, .len = len, .copy = bytes};
    return 0;
}

int vex_grpc_message_open(const grpc_byte_buffer *buffer, size_t max, struct message *ret,
                          struct vex_err *err)
{
    const grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
    *ret = (struct message){0};
    switch (buffer->data.raw.compression) {
    case GRPC_COMPRESS_GZIP:
        return unpack(slices, GZIP_WINDOW, max, ret, err);
    case GRPC_COMPRESS_DEFLATE:
        return unpack(slices, ZLIB_WINDOW, max, ret, err);
    default:
        break;
    }
    if (slices->length > max)
        return vex_err_set(err, VEX_ETOO_LARGE, "the message has more than %zu bytes", max);
    if (slices->count != 1)
        return join(slices, ret, err);
    ret->bytes = GRPC_SLICE_START_PTR(slices->slices[0]);
    ret->len = GRPC_SLICE_LENGTH(slices->slices[0]);
    return 0;
}

void vex_grpc_message_close(struct message *message)
{
    vex_mem_free(message->copy);
    *message = (struct message){0};
}

/* ---- sent ---- */

static void packed_free(void *bytes)
{
    vex_mem_free(bytes);
}

grpc_byte_buffer *vex_grpc_message_pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    grpc_slice slice;
    if (size > INT32_MAX)
        return NULL;
    if (size <= UNPACK_FIRST) {
        slice = grpc_slice_malloc(size);
    } else {
        void *bytes = vex_mem_try(size);
        if (bytes == NULL)
            return NULL;
        slice = grpc_slice_new(bytes, size, packed_free);
    }
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}
