/* CBOR heads of the payload subset (RFC 8949 3), for value.c and its neighbours only.
 *
 * Bytes given to the readers here have been checked (vex_value_check) or were written by this process. */
#ifndef VEX_ENGINE_POINT_CBOR_H
#define VEX_ENGINE_POINT_CBOR_H

#include <stdint.h>
#include <string.h>

#include "base/str.h"

enum cbor_major {
    CBOR_UINT = 0,
    CBOR_NEGATIVE = 1,
    CBOR_TEXT = 3,
    CBOR_ARRAY = 4,
    CBOR_MAP = 5,
    CBOR_SIMPLE = 7,
};

#define CBOR_FALSE  0xf4
#define CBOR_TRUE   0xf5
#define CBOR_NULL   0xf6
#define CBOR_DOUBLE 0xfb

#define CBOR_HEAD_MAX 9

static inline uint64_t cbor_be(const uint8_t *at, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | at[i];
    return v;
}

/* Argument of the head at `at`; *ret_next: the byte after the head. */
static inline uint64_t cbor_arg(const uint8_t *at, const uint8_t **ret_next)
{
    unsigned info = at[0] & 31, bytes;

    if (info < 24) {
        *ret_next = at + 1;
        return info;
    }
    bytes = 1u << (info - 24);
    *ret_next = at + 1 + bytes;
    return cbor_be(at + 1, bytes);
}

/* The byte after the whole value at `at`. No recursion: counts the items still to pass. */
static inline const uint8_t *cbor_skip(const uint8_t *at)
{
    uint64_t left = 1;

    do {
        unsigned major = at[0] >> 5;
        const uint8_t *next;
        uint64_t arg = cbor_arg(at, &next);

        left--;
        at = next;
        if (major == CBOR_TEXT)
            at += arg;
        else if (major == CBOR_ARRAY)
            left += arg;
        else if (major == CBOR_MAP)
            left += 2 * arg;
    } while (left > 0);
    return at;
}

/* Writes a head in its shortest form into `ret`; returns its length. */
static inline size_t cbor_head(uint8_t ret[CBOR_HEAD_MAX], enum cbor_major major, uint64_t arg)
{
    unsigned bytes, info;

    if (arg < 24) {
        ret[0] = (uint8_t)((unsigned)major << 5 | (unsigned)arg);
        return 1;
    }
    info = arg <= UINT8_MAX ? 24 : arg <= UINT16_MAX ? 25 : arg <= UINT32_MAX ? 26 : 27;
    bytes = 1u << (info - 24);
    ret[0] = (uint8_t)((unsigned)major << 5 | info);
    for (unsigned i = 0; i < bytes; i++)
        ret[1 + i] = (uint8_t)(arg >> 8 * (bytes - 1 - i));
    return 1 + bytes;
}

static inline void cbor_put_head(struct vex_buf *out, enum cbor_major major, uint64_t arg)
{
    uint8_t head[CBOR_HEAD_MAX];

    vex_buf_add(out, head, cbor_head(head, major, arg));
}

/* A container whose count is known only at its end: begin with the most it may become, end with what it
 * became. */
struct cbor_open {
    size_t at;
    size_t reserved;
    enum cbor_major major;
};

static inline struct cbor_open cbor_begin(struct vex_buf *out, enum cbor_major major, uint64_t most)
{
    struct cbor_open open = {out->len, 0, major};

    cbor_put_head(out, major, most);
    open.reserved = out->len - open.at;
    return open;
}

static inline void cbor_end(struct vex_buf *out, struct cbor_open open, uint64_t count)
{
    uint8_t head[CBOR_HEAD_MAX];
    size_t len = cbor_head(head, open.major, count), body = open.at + open.reserved;

    if (len < open.reserved) {
        memmove(out->ptr + open.at + len, out->ptr + body, out->len - body);
        out->len -= open.reserved - len;
    }
    memcpy(out->ptr + open.at, head, len);
}

#endif
