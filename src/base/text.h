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

/* Lowercase (Unicode simple folding as utf8proc does) of valid UTF-8, into the arena. */
struct vex_str vex_text_lower(struct vex_arena *arena, struct vex_str s);
/* Calls fn for each word of Qdrant's "word" tokenizer: maximal runs of alphanumeric code points. Stops when
 * fn is non-zero and returns that. */
int vex_text_words(struct vex_str s, int (*fn)(void *arg, struct vex_str word), void *arg);

#endif
