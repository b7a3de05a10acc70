/* The walk behind json_scan.h.
 *
 * Lock: none. Format: RFC 8259; positions as serde_json counts them over a slice: a fault about a byte that
 * was only looked at names that byte, a fault about bytes already taken names the last one taken; columns are
 * 1-based bytes. */
#define _GNU_SOURCE /* memrchr */
#include "base/json_scan.h"

#include <stdint.h>
#include <string.h>

#include "base/json_read.h"
#include "base/text.h"

static void locate(struct vex_json_scan *s, size_t at)
{
    const char *line = memrchr(s->text, '\n', at);
    size_t start = line != NULL ? (size_t)(line - s->text) + 1 : 0;

    s->column = at - start;
    s->line = 1;
    for (size_t i = 0; i < start; i++)
        s->line += s->text[i] == '\n';
}

/* What was taken last is at fault. */
static bool fail(struct vex_json_scan *s, const char *what)
{
    s->fault = what;
    locate(s, s->at);
    return false;
}

/* What comes next is at fault. */
static bool fail_next(struct vex_json_scan *s, const char *what)
{
    s->fault = what;
    locate(s, s->at < s->len ? s->at + 1 : s->len);
    return false;
}

/* Next byte without taking it; -1 at the end. */
static int peek(const struct vex_json_scan *s)
{
    return s->at < s->len ? (unsigned char)s->text[s->at] : -1;
}

static int skip_space(struct vex_json_scan *s)
{
    for (; s->at < s->len; s->at++) {
        char c = s->text[s->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            break;
    }
    return peek(s);
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static void skip_digits(struct vex_json_scan *s)
{
    while (is_digit(peek(s)))
        s->at++;
}

static bool scan_word(struct vex_json_scan *s, const char *word)
{
    for (; *word != '\0'; word++) {
        int c = peek(s);
        if (c < 0)
            return fail(s, "EOF while parsing a value");
        s->at++;
        if (c != *word)
            return fail(s, "expected ident");
    }
    return true;
}

static bool scan_exponent(struct vex_json_scan *s)
{
    int c;

    s->at++; /* e */
    if (peek(s) == '+' || peek(s) == '-')
        s->at++;
    c = peek(s);
    if (c < 0)
        return fail(s, "EOF while parsing a value");
    s->at++;
    if (!is_digit(c))
        return fail(s, "invalid number");
    skip_digits(s);
    return true;
}

static bool scan_number(struct vex_json_scan *s)
{
    size_t begin = s->at;
    int c;

    if (peek(s) == '-')
        s->at++;
    c = peek(s);
    if (c < 0)
        return fail(s, "EOF while parsing a value");
    s->at++;
    if (!is_digit(c))
        return fail(s, "invalid number");
    if (c == '0' && is_digit(peek(s)))
        return fail_next(s, "invalid number");
    skip_digits(s);
    if (peek(s) == '.') {
        s->at++;
        if (!is_digit(peek(s)))
            return fail_next(s, peek(s) < 0 ? "EOF while parsing a value" : "invalid number");
        skip_digits(s);
    }
    if ((peek(s) == 'e' || peek(s) == 'E') && !scan_exponent(s))
        return false;
    return s->number == NULL || s->number(s->arg, begin, s->at, s->numbers++);
}

static bool scan_hex(struct vex_json_scan *s, unsigned *ret)
{
    unsigned value = 0;
    bool good = true;

    if (s->len - s->at < 4) {
        s->at = s->len;
        return fail(s, "EOF while parsing a string");
    }
    for (int i = 0; i < 4; i++) {
        char c = s->text[s->at++];
        unsigned digit = is_digit(c)            ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        good = good && digit < 16;
        value = value << 4 | (digit & 15);
    }
    *ret = value;
    return good || fail(s, "invalid escape");
}

/* After "\u": a code unit, and its partner when it is the first half of a pair. */
static bool scan_code_unit(struct vex_json_scan *s)
{
    unsigned unit;

    if (!scan_hex(s, &unit))
        return false;
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fail(s, "lone leading surrogate in hex escape");
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    for (const char *expected = "\\u"; *expected != '\0'; expected++) {
        int c = peek(s);
        if (c < 0)
            return fail(s, "EOF while parsing a string");
        s->at++;
        if (c != *expected)
            return fail(s, "unexpected end of hex escape");
    }
    if (!scan_hex(s, &unit))
        return false;
    if (unit < 0xdc00 || unit > 0xdfff)
        return fail(s, "lone leading surrogate in hex escape");
    return true;
}

static bool scan_string(struct vex_json_scan *s)
{
    size_t begin = ++s->at;

    for (;;) {
        int c = peek(s);
        if (c < 0)
            return fail(s, "EOF while parsing a string");
        s->at++;
        if (c == '"')
            break;
        if (c < 0x20)
            return fail(s, "control character (\\u0000-\\u001F) found while parsing a string");
        if (c != '\\')
            continue;
        c = peek(s);
        if (c < 0)
            return fail(s, "EOF while parsing a string");
        s->at++;
        if (c == 'u' ? !scan_code_unit(s) : (c == 0 || strchr("\"\\/bfnrt", c) == NULL)) {
            /* A fault inside a code unit has been told already. */
            return s->fault != NULL ? false : fail(s, "invalid escape");
        }
    }
    if (!vex_utf8_valid(vex_str(s->text + begin, s->at - 1 - begin)))
        return fail(s, "invalid unicode code point");
    return true;
}

static bool scan_scalar(struct vex_json_scan *s, int c)
{
    switch (c) {
    case 'n':
        return scan_word(s, "null");
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case '"':
        return scan_string(s);
    default:
        if (c == '-' || is_digit(c))
            return scan_number(s);
        return fail_next(s, "expected value");
    }
}

/* Takes a key and its colon; `c` is the byte looked at. */
static bool scan_key(struct vex_json_scan *s, int c)
{
    if (c != '"')
        return fail_next(s, "key must be a string");
    if (!scan_string(s))
        return false;
    c = skip_space(s);
    if (c != ':')
        return fail_next(s, c < 0 ? "EOF while parsing an object" : "expected `:`");
    s->at++;
    return true;
}

enum step { STEP_FAULT, STEP_VALUE, STEP_CLOSED };

/* Within a list or an object, before an item or its end: takes what stands before the item's value. */
static enum step next_item(struct vex_json_scan *s, bool object, bool first)
{
    int c = skip_space(s), close = object ? '}' : ']';

    if (c < 0) {
        fail_next(s, object ? "EOF while parsing an object" : "EOF while parsing a list");
        return STEP_FAULT;
    }
    if (c == close) {
        s->at++;
        return STEP_CLOSED;
    }
    if (!first) {
        if (c != ',') {
            fail_next(s, object ? "expected `,` or `}`" : "expected `,` or `]`");
            return STEP_FAULT;
        }
        s->at++;
        c = skip_space(s);
        if (c < 0 || c == close) {
            fail_next(s, c < 0 ? "EOF while parsing a value" : "trailing comma");
            return STEP_FAULT;
        }
    }
    if (object && !scan_key(s, c))
        return STEP_FAULT;
    return STEP_VALUE;
}

bool vex_json_scan(struct vex_json_scan *s)
{
    bool object[VEX_JSON_DEPTH_MAX];
    unsigned depth = 0;
    bool first = false;

    s->at = s->numbers = 0;
    s->fault = NULL;
    for (;;) {
        int c = skip_space(s);
        enum step step = STEP_CLOSED;

        if (c < 0)
            return fail_next(s, "EOF while parsing a value");
        if (c == '[' || c == '{') {
            if (depth + 1 == VEX_JSON_DEPTH_MAX)
                return fail_next(s, "recursion limit exceeded");
            s->at++;
            object[depth++] = c == '{';
            first = true;
        } else if (scan_scalar(s, c)) {
            first = false;
        } else {
            return false;
        }
        while (depth > 0 && (step = next_item(s, object[depth - 1], first)) == STEP_CLOSED) {
            depth--;
            first = false;
        }
        if (step == STEP_FAULT)
            return false;
        if (step == STEP_CLOSED)
            break;
        first = false;
    }
    return skip_space(s) < 0 || fail_next(s, "trailing characters");
}
