/* Writing protobuf's wire format straight into a buffer.
 *
 * The length of a nested message is known only at its end: one byte is left for it, and the few that need more
 * are moved. Numbers of fields are below 16, so that a key is one byte. Between files of this folder only. */
#ifndef VEX_API_QDRANT_WIRE_H
#define VEX_API_QDRANT_WIRE_H

#include "base/str.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

#define WIRE_VARINT_MAX        10
#define WIRE_KEY(number, kind) ((char)((number) << 3 | (kind)))

/* Writes at `at`, where there is room for WIRE_VARINT_MAX bytes; returns the byte after. */
static inline char *wire_varint(char *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (char)(v | 0x80);
    *at++ = (char)v;
    return at;
}

static inline void wire_put_number(struct vex_buf *out, char key, uint64_t v)
{
    vex_buf_reserve(out, 1 + WIRE_VARINT_MAX);
    char *at = out->ptr + out->len;
    *at++ = key;
    out->len = (size_t)(wire_varint(at, v) - out->ptr);
}

static inline void wire_put_text(struct vex_buf *out, char key, struct vex_str text)
{
    wire_put_number(out, key, text.len);
    vex_buf_add_str(out, text);
}

/* Returns where the message begins. */
static inline size_t wire_open(struct vex_buf *out, char key)
{
    vex_buf_reserve(out, 2);
    out->ptr[out->len] = key;
    return out->len += 2;
}

static inline void wire_close(struct vex_buf *out, size_t start)
{
    size_t len = out->len - start;

    if (len >= 0x80) {
        char bytes[WIRE_VARINT_MAX];
        size_t n = (size_t)(wire_varint(bytes, len) - bytes);

        vex_buf_reserve(out, n - 1);
        memmove(out->ptr + start + n - 1, out->ptr + start, len);
        memcpy(out->ptr + start - 1, bytes, n);
        out->len += n - 1;
        return;
    }
    out->ptr[start - 1] = (char)len;
}

#endif
