/* JSON writing.
 *
 * Owner: the caller's buffer. Lock: none. Invariant: `comma` says whether an item precedes at this level.
 * Format: what serde_json prints, floats laid out as its ryu printer does. */
#include "base/json_write.h"

#include <math.h>

#include "base/number.h"

#define NUMBER_MAX 32

static void separate(struct vex_jw *w)
{
    if (w->comma)
        vex_buf_add_char(w->out, ',');
    w->comma = true;
}

static void open_level(struct vex_jw *w, char c)
{
    separate(w);
    vex_buf_add_char(w->out, c);
    w->comma = false;
}

static void close_level(struct vex_jw *w, char c)
{
    vex_buf_add_char(w->out, c);
    w->comma = true;
}

void vex_jw_object(struct vex_jw *w)
{
    open_level(w, '{');
}

void vex_jw_object_end(struct vex_jw *w)
{
    close_level(w, '}');
}

void vex_jw_array(struct vex_jw *w)
{
    open_level(w, '[');
}

void vex_jw_array_end(struct vex_jw *w)
{
    close_level(w, ']');
}

/* Letter after the backslash; 0: none is needed; 'u': as a code point. */
static char escape_of(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 ? 'u' : 0;
    }
}

/* Bytes of a word that a string can't hold as they are (below 0x20, quote, backslash): the high bit of the first of them is set, those
 * behind it may be wrong (Warren, Hacker's Delight, 6-1). */
static uint64_t odd_bytes(uint64_t w)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';

    return (((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & highs;
}

/* Bytes from `from` on up to one that has to be escaped, or the end. */
static size_t plain_run(struct vex_str s, size_t from)
{
    size_t at = from;
    uint64_t w, odd;

    for (; s.len - at >= sizeof w; at += sizeof w) {
        memcpy(&w, s.ptr + at, sizeof w);
        odd = odd_bytes(w);
        if (odd != 0)
            return at + (size_t)__builtin_ctzll(odd) / 8 - from;
    }
    while (at < s.len && escape_of((unsigned char)s.ptr[at]) == 0)
        at++;
    return at - from;
}

static void add_escape(struct vex_buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', escape_of(c), '0', '0', hex[c >> 4], hex[c & 15]};

    vex_buf_add(out, text, text[1] == 'u' ? sizeof text : 2);
}

/* A string and what follows it: a colon after a key, else 0. */
static void add_string(struct vex_buf *out, struct vex_str s, char after)
{
    vex_buf_reserve(out, s.len + 3);
    vex_buf_add_char(out, '"');
    for (size_t at = 0; at < s.len;) {
        size_t run = plain_run(s, at);

        vex_buf_add(out, s.ptr + at, run);
        at += run;
        if (at < s.len)
            add_escape(out, (unsigned char)s.ptr[at++]);
    }
    vex_buf_add_char(out, '"');
    if (after != 0)
        vex_buf_add_char(out, after);
}

void vex_jw_key(struct vex_jw *w, struct vex_str key)
{
    separate(w);
    add_string(w->out, key, ':');
    w->comma = false;
}

void vex_jw_str(struct vex_jw *w, struct vex_str v)
{
    separate(w);
    add_string(w->out, v, 0);
}

void vex_jw_raw(struct vex_jw *w, struct vex_str json)
{
    separate(w);
    vex_buf_add_str(w->out, json);
}

void vex_jw_null(struct vex_jw *w)
{
    vex_jw_raw(w, VEX_STR("null"));
}

void vex_jw_bool(struct vex_jw *w, bool v)
{
    vex_jw_raw(w, v ? VEX_STR("true") : VEX_STR("false"));
}

void vex_jw_u64(struct vex_jw *w, uint64_t v)
{
    char text[20];
    size_t at = sizeof text;

    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    vex_jw_raw(w, vex_str(text + at, sizeof text - at));
}

void vex_jw_i64(struct vex_jw *w, int64_t v)
{
    if (v >= 0) {
        vex_jw_u64(w, (uint64_t)v);
        return;
    }
    separate(w);
    vex_buf_add_char(w->out, '-');
    w->comma = false;
    vex_jw_u64(w, -(uint64_t)v);
}

/* Layout of a decimal number: value = 0.DIGITS * 10^point. Plain when low < point <= high, else with an
 * exponent. */
static size_t lay_out(char *buf, const char *digits, size_t n, int point, int low, int high)
{
    char *at = buf;
    int exponent = point - 1;

    if (point > 0 && point <= high) {
        for (int i = 0; i < point; i++)
            *at++ = i < (int)n ? digits[i] : '0';
        *at++ = '.';
        if ((int)n <= point)
            *at++ = '0';
        for (size_t i = (size_t)point; i < n; i++)
            *at++ = digits[i];
        return (size_t)(at - buf);
    }
    if (point > low && point <= 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = point; i < 0; i++)
            *at++ = '0';
        memcpy(at, digits, n);
        return (size_t)(at - buf) + n;
    }
    *at++ = digits[0];
    if (n > 1) {
        *at++ = '.';
        memcpy(at, digits + 1, n - 1);
        at += n - 1;
    }
    *at++ = 'e';
    if (exponent < 0) {
        *at++ = '-';
        exponent = -exponent;
    }
    if (exponent >= 100)
        *at++ = (char)('0' + exponent / 100);
    if (exponent >= 10)
        *at++ = (char)('0' + exponent / 10 % 10);
    *at++ = (char)('0' + exponent % 10);
    return (size_t)(at - buf);
}

/* Zeros and values that are not finite; returns 0 when v is neither. */
static size_t special_text(char *buf, double v)
{
    const char *text = NULL;

    if (isnan(v))
        text = "NaN";
    else if (isinf(v))
        text = v < 0 ? "-inf" : "inf";
    else if (v == 0)
        text = signbit(v) ? "-0.0" : "0.0";
    if (text == NULL)
        return 0;
    memcpy(buf, text, strlen(text));
    return strlen(text);
}

size_t vex_f64_text(char *buf, double v)
{
    char digits[20];
    size_t n = special_text(buf, v), sign = v < 0;
    int point;

    if (n > 0)
        return n;
    buf[0] = '-';
    n = vex_f64_digits(digits, fabs(v), &point);
    return sign + lay_out(buf + sign, digits, n, point, -5, 16);
}

size_t vex_f32_text(char *buf, float v)
{
    char digits[20];
    size_t n = special_text(buf, (double)v), sign = v < 0;
    int point;

    if (n > 0)
        return n;
    buf[0] = '-';
    n = vex_f32_digits(digits, fabsf(v), &point);
    return sign + lay_out(buf + sign, digits, n, point, -6, 13);
}

void vex_jw_f64(struct vex_jw *w, double v)
{
    if (!isfinite(v)) {
        vex_jw_null(w);
        return;
    }
    separate(w);
    vex_buf_reserve(w->out, NUMBER_MAX);
    w->out->len += vex_f64_text(w->out->ptr + w->out->len, v);
}

void vex_jw_f32(struct vex_jw *w, float v)
{
    if (!isfinite(v)) {
        vex_jw_null(w);
        return;
    }
    separate(w);
    vex_buf_reserve(w->out, NUMBER_MAX);
    w->out->len += vex_f32_text(w->out->ptr + w->out->len, v);
}

void vex_jw_floats(struct vex_jw *w, const float *v, size_t n)
{
    vex_jw_array(w);
    for (size_t i = 0; i < n; i++)
        vex_jw_f32(w, v[i]);
    vex_jw_array_end(w);
}
