/* JSON reading: simdjson's DOM behind a C view; no tree of ours is built.
 *
 * A parser belongs to one thread at a time and is reused (its memory is kept up to 1 MB between documents).
 * Values point into the parser and die with the next vex_json_parse. The 128th level is refused, as by
 * serde_json. Strings are valid UTF-8 and may hold NUL bytes. Whole numbers up to 2^64-1 stay exact;
 * duplicates of a key are all seen in order. */
#ifndef VEX_BASE_JSON_READ_H
#define VEX_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define VEX_JSON_DEPTH_MAX 128

struct vex_json_parser;

enum vex_json_kind {
    VEX_JSON_NULL,
    VEX_JSON_BOOL,
    VEX_JSON_INT,    /* fits int64 */
    VEX_JSON_UINT,   /* 2^63 .. 2^64-1 */
    VEX_JSON_DOUBLE, /* had a fraction, an exponent, or is beyond 64 bits; may be infinite on overflow */
    VEX_JSON_STRING,
    VEX_JSON_ARRAY,
    VEX_JSON_OBJECT,
};

/* A value: an opaque position in the parsed document, passed by value (simdjson tape index). */
struct vex_json {
    const void *doc;
    size_t at;
};

struct vex_json_parser *vex_json_parser_new(void);
void vex_json_parser_free(struct vex_json_parser *parser);

/* Parses len bytes (any alignment, no padding needed). On failure VEX_EFORMAT with a text of serde's kind:
 * "EOF while parsing a value at line 1 column 11", "expected value at line 1 column 29", "recursion limit
 * exceeded ...". */
int vex_json_parse(struct vex_json_parser *parser, const char *text, size_t len, struct vex_json *ret,
                   struct vex_err *err);

enum vex_json_kind vex_json_kind(struct vex_json v);
const char *vex_json_kind_name(
    struct vex_json v); /* serde's words: null, boolean, integer, floating point, string, sequence, map */
bool vex_json_bool(struct vex_json v);          /* kind BOOL only */
int64_t vex_json_int(struct vex_json v);        /* kind INT only */
uint64_t vex_json_uint(struct vex_json v);      /* kind INT >= 0 or UINT */
double vex_json_double(struct vex_json v);      /* any number */
struct vex_str vex_json_str(struct vex_json v); /* kind STRING only */
bool vex_json_is_number(struct vex_json v);

/* Number of elements of an array or members of an object. */
size_t vex_json_count(struct vex_json v);

/* Iteration: for (it = vex_json_iter(v); vex_json_next(&it);) use it.key (objects) and it.value. */
struct vex_json_iter {
    struct vex_json value;
    struct vex_str key;
    size_t at, end; /* the reader's */
    bool object;
};
struct vex_json_iter vex_json_iter(struct vex_json v); /* empty for a scalar */
bool vex_json_next(struct vex_json_iter *it);
/* Last member with that key (serde takes one; duplicates are refused by the caller where the peer does);
 * false when absent or not an object. */
bool vex_json_get(struct vex_json v, const char *key, struct vex_json *ret);

/* Array of numbers into floats: returns the count, or -1 when v is not an array of numbers. At most `cap` are
 * stored. A number beyond f32 becomes infinity; the caller refuses it. The hot path of every vector. */
ptrdiff_t vex_json_floats(struct vex_json v, float *ret, size_t cap);

#endif
