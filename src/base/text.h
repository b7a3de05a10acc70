/* Text: UTF-8, base64, UUID, percent-encoding, regular expressions (RE2), Unicode folding. */
#ifndef VEX_BASE_TEXT_H
#define VEX_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

bool vex_utf8_valid(struct vex_str s);   /* RFC 3629: no surrogates, no overlong forms */
size_t vex_utf8_count(struct vex_str s); /* code points of valid UTF-8 */

/* All of Qdrant's spellings: 32 hex digits, hyphenated, "urn:uuid:" + hyphenated, braced; any case. */
bool vex_uuid_parse(struct vex_str s, uint8_t ret[16]);
/* True only for the canonical spelling (hyphenated, lowercase). */
bool vex_uuid_parse_canonical(struct vex_str s, uint8_t ret[16]);
#define VEX_UUID_TEXT 36
void vex_uuid_text(const uint8_t uuid[16], char ret[VEX_UUID_TEXT]); /* no NUL */
/* Version 4 from 16 random bytes. */
void vex_uuid_from_random(uint8_t uuid[16]);

/* Standard alphabet with padding (RFC 4648 4). Decoding returns the length or -1 and then the offset of the
 * bad symbol in *ret_bad; `ret` holds at least s.len / 4 * 3 bytes. */
ptrdiff_t vex_base64_decode(struct vex_str s, void *ret, size_t *ret_bad);

/* Percent-decoding of one path segment or query value ('+' is a space only in queries) into the arena; false
 * on a bad escape or a result that is not UTF-8. */
bool vex_percent_decode(struct vex_arena *arena, struct vex_str s, bool query, struct vex_str *ret);

/* Regular expressions: RE2 syntax (Rust's but for rarities), unanchored, linear time. Immutable, thread-safe.
 */
struct vex_regex;
int vex_regex_new(struct vex_str pattern, struct vex_regex **ret, struct vex_err *err); /* VEX_EBAD_INPUT */
bool vex_regex_matches(const struct vex_regex *re, struct vex_str text);
void vex_regex_free(struct vex_regex *re);

/* What words are made of: the Unicode properties Alphabetic and Numeric. */
bool vex_text_alnum(int32_t point);
bool vex_text_numeric(int32_t point); /* categories N */
bool vex_text_upper(int32_t point);   /* the property Uppercase */
bool vex_text_space(int32_t point);   /* White_Space */
/* Next code point of UTF-8 at *at, which moves on; of bytes that are none, one is skipped and U+FFFD returned.
 * Not to be called at the end. */
int32_t vex_text_next(const char **at, const char *end);

/* Walk over a text in lowercase as Unicode's full mapping has it: a dotted capital I becomes two code points,
 * a sigma that ends a word its final form. */
struct vex_lower {
    const char *begin, *at, *end;
    int32_t queued; /* 0: none */
};
static inline struct vex_lower vex_lower(struct vex_str s)
{
    return (struct vex_lower){s.ptr, s.ptr, s.len > 0 ? s.ptr + s.len : s.ptr, 0};
}
int32_t vex_lower_next_slow(struct vex_lower *walk);
/* -1 at the end. */
static inline int32_t vex_lower_next(struct vex_lower *walk)
{
    if (walk->at < walk->end && (unsigned char)*walk->at < 0x80 && walk->queued == 0) {
        unsigned char c = (unsigned char)*walk->at++;
        return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    }
    return vex_lower_next_slow(walk);
}

/* Lowercase of valid UTF-8: appended; into the arena. */
void vex_text_add_lower(struct vex_buf *out, struct vex_str s);
struct vex_str vex_text_lower(struct vex_arena *arena, struct vex_str s);
/* Calls fn for each word of Qdrant's "word" tokenizer: maximal runs of alphanumeric code points. Stops when
 * fn is non-zero and returns that. */
int vex_text_words(struct vex_str s, int (*fn)(void *arg, struct vex_str word), void *arg);

#endif
