/* Strings and bytes: slices that own nothing, and a growing buffer.
 *
 * A slice is a pointer and a length, never NUL-terminated by contract. A buffer grows on the heap, or inside
 * an arena when one is given. */
#ifndef VEX_BASE_STR_H
#define VEX_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

struct vex_str {
    const char *ptr; /* may be NULL only when len is 0 */
    size_t len;
};

#define VEX_STR(literal) ((struct vex_str){("" literal), sizeof(literal) - 1})
#define VEX_STR_FMT      "%.*s"
#define VEX_STR_ARG(s)   ((int)((s).len > 1024 ? 1024 : (s).len)), ((s).ptr != NULL ? (s).ptr : "")

static inline struct vex_str vex_str(const char *ptr, size_t len)
{
    return (struct vex_str){ptr, len};
}

static inline struct vex_str vex_str_c(const char *text)
{
    return (struct vex_str){text, text != NULL ? strlen(text) : 0};
}

static inline bool vex_str_eq(struct vex_str a, struct vex_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool vex_str_eq_c(struct vex_str a, const char *text)
{
    return vex_str_eq(a, vex_str_c(text));
}

int vex_str_cmp(struct vex_str a, struct vex_str b); /* bytewise, shorter first */
bool vex_str_starts(struct vex_str s, struct vex_str prefix);
bool vex_str_contains(struct vex_str hay, struct vex_str needle);
/* Decimal u64 without sign or leading zeros ("0" itself is fine); false when it is not exactly that or
 * overflows. */
bool vex_str_to_u64(struct vex_str s, uint64_t *ret);

struct vex_buf {
    char *ptr;
    size_t len, cap;
    struct vex_arena *arena; /* NULL: heap, freed by vex_buf_done */
};

void vex_buf_init(struct vex_buf *buf, struct vex_arena *arena);
void vex_buf_done(struct vex_buf *buf);
void vex_buf_reserve_slow(struct vex_buf *buf, size_t more);

static inline void vex_buf_reserve(struct vex_buf *buf, size_t more)
{
    if (buf->cap - buf->len < more)
        vex_buf_reserve_slow(buf, more);
}

static inline void vex_buf_add(struct vex_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    vex_buf_reserve(buf, len);
    memcpy(buf->ptr + buf->len, data, len);
    buf->len += len;
}

static inline void vex_buf_add_char(struct vex_buf *buf, char c)
{
    vex_buf_reserve(buf, 1);
    buf->ptr[buf->len++] = c;
}

static inline void vex_buf_add_str(struct vex_buf *buf, struct vex_str s)
{
    vex_buf_add(buf, s.ptr, s.len);
}

/* Fixed-width little-endian appends, for formats on disk. */
static inline void vex_buf_add_u8(struct vex_buf *buf, uint8_t v)
{
    vex_buf_add(buf, &v, sizeof v);
}

static inline void vex_buf_add_u32(struct vex_buf *buf, uint32_t v)
{
    vex_buf_add(buf, &v, sizeof v);
}

static inline void vex_buf_add_u64(struct vex_buf *buf, uint64_t v)
{
    vex_buf_add(buf, &v, sizeof v);
}

void vex_buf_printf(struct vex_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline struct vex_str vex_buf_str(const struct vex_buf *buf)
{
    return (struct vex_str){buf->ptr, buf->len};
}

/* Reader over bytes that came from a disk or a peer: never reads past the end; once short, `bad` stays set
 * and every further read gives zeros. */
struct vex_cursor {
    const char *at, *end;
    bool bad;
};

struct vex_cursor vex_cursor(const void *data, size_t len);
uint8_t vex_cursor_u8(struct vex_cursor *c);
uint32_t vex_cursor_u32(struct vex_cursor *c);
uint64_t vex_cursor_u64(struct vex_cursor *c);
const void *vex_cursor_bytes(struct vex_cursor *c, size_t len); /* NULL when short */
struct vex_str vex_cursor_str32(struct vex_cursor *c);          /* u32 length, then the bytes */
void vex_buf_add_str32(struct vex_buf *buf, struct vex_str s);
static inline size_t vex_cursor_left(const struct vex_cursor *c)
{
    return (size_t)(c->end - c->at);
}

#endif
