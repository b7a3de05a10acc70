/* Slices, the growing buffer and the reader of untrusted bytes.
 *
 * Owner: the caller. Lock: none. Format: integers are little-endian; only little-endian machines are served.
 */
#define _GNU_SOURCE /* memmem */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "formats on disk are copied as they lie in memory");

#define BUF_MIN 64

int vex_str_cmp(struct vex_str a, struct vex_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool vex_str_starts(struct vex_str s, struct vex_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool vex_str_contains(struct vex_str hay, struct vex_str needle)
{
    if (needle.len == 0)
        return true;
    return needle.len <= hay.len && memmem(hay.ptr, hay.len, needle.ptr, needle.len) != NULL;
}

bool vex_str_to_u64(struct vex_str s, uint64_t *ret)
{
    uint64_t value = 0;

    if (s.len == 0 || (s.ptr[0] == '0' && s.len > 1))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *ret = value;
    return true;
}

void vex_buf_init(struct vex_buf *buf, struct vex_arena *arena)
{
    *buf = (struct vex_buf){.arena = arena};
}

void vex_buf_done(struct vex_buf *buf)
{
    if (buf->arena == NULL)
        vex_mem_free(buf->ptr);
    vex_buf_init(buf, buf->arena);
}

void vex_buf_reserve_slow(struct vex_buf *buf, size_t more)
{
    size_t need, cap;
    char *ptr;

    if (__builtin_add_overflow(buf->len, more, &need) || need > PTRDIFF_MAX / 2)
        abort();
    cap = buf->cap * 2;
    if (cap < BUF_MIN)
        cap = BUF_MIN;
    if (cap < need)
        cap = need;
    if (buf->arena == NULL) {
        buf->ptr = vex_mem_realloc(buf->ptr, cap);
        buf->cap = cap;
        return;
    }
    /* Nothing was allocated behind the buffer: it grows where it is. */
    if (buf->ptr != NULL && buf->ptr + buf->cap == buf->arena->at &&
        cap - buf->cap <= (size_t)(buf->arena->end - buf->arena->at)) {
        buf->arena->at += cap - buf->cap;
        buf->cap = cap;
        return;
    }
    ptr = vex_arena_alloc(buf->arena, cap);
    if (buf->len > 0)
        memcpy(ptr, buf->ptr, buf->len);
    buf->ptr = ptr;
    buf->cap = cap;
}

void vex_buf_printf(struct vex_buf *buf, const char *fmt, ...)
{
    va_list ap, again;
    int len;

    va_start(ap, fmt);
    va_copy(again, ap);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        abort();
    vex_buf_reserve(buf, (size_t)len + 1);
    vsnprintf(buf->ptr + buf->len, (size_t)len + 1, fmt, again);
    va_end(again);
    buf->len += (size_t)len;
}

void vex_buf_add_str32(struct vex_buf *buf, struct vex_str s)
{
    if (s.len > UINT32_MAX)
        abort();
    vex_buf_add_u32(buf, (uint32_t)s.len);
    vex_buf_add_str(buf, s);
}

struct vex_cursor vex_cursor(const void *data, size_t len)
{
    const char *at = data != NULL ? data : "";

    return (struct vex_cursor){.at = at, .end = at + len};
}

const void *vex_cursor_bytes(struct vex_cursor *c, size_t len)
{
    const char *at = c->at;

    if (c->bad || len > vex_cursor_left(c)) {
        c->bad = true;
        return NULL;
    }
    c->at += len;
    return at;
}

static void take(struct vex_cursor *c, void *ret, size_t size)
{
    const void *at = vex_cursor_bytes(c, size);

    if (at != NULL)
        memcpy(ret, at, size);
}

uint8_t vex_cursor_u8(struct vex_cursor *c)
{
    uint8_t v = 0;

    take(c, &v, sizeof v);
    return v;
}

uint32_t vex_cursor_u32(struct vex_cursor *c)
{
    uint32_t v = 0;

    take(c, &v, sizeof v);
    return v;
}

uint64_t vex_cursor_u64(struct vex_cursor *c)
{
    uint64_t v = 0;

    take(c, &v, sizeof v);
    return v;
}

struct vex_str vex_cursor_str32(struct vex_cursor *c)
{
    uint32_t len = vex_cursor_u32(c);
    const char *at = vex_cursor_bytes(c, len);

    return at != NULL ? vex_str(at, len) : vex_str("", 0);
}
