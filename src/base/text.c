/* Text: UUIDs, percent-encoding. (Words and case are in text_words.c, base64 in text_base64.c, checking UTF-8 is
 * in cxx/json_parse.cc, expressions in cxx/regex.cc.)
 *
 * Lock: none, nothing is kept. */
#include "base/text.h"

size_t vex_utf8_count(struct vex_str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return count;
}

/* Value of a hex digit; -1 when it is none. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool hyphen_at(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

/* 36 characters with hyphens, or 32 without; ret is touched only on success. */
static bool parse_digits(struct vex_str s, uint8_t ret[16])
{
    bool hyphens = s.len == VEX_UUID_TEXT;
    uint8_t uuid[16] = {0};
    unsigned n = 0;

    if (!hyphens && s.len != 32)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int digit;
        if (hyphens && hyphen_at(i)) {
            if (s.ptr[i] != '-')
                return false;
            continue;
        }
        digit = hex_value(s.ptr[i]);
        if (digit < 0)
            return false;
        uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | digit);
        n++;
    }
    memcpy(ret, uuid, sizeof uuid);
    return true;
}

bool vex_uuid_parse(struct vex_str s, uint8_t ret[16])
{
    static const char urn[] = "urn:uuid:";
    size_t urn_len = sizeof urn - 1;

    if (s.len == VEX_UUID_TEXT + 2 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}')
        return parse_digits(vex_str(s.ptr + 1, VEX_UUID_TEXT), ret);
    if (s.len == VEX_UUID_TEXT + urn_len) {
        for (size_t i = 0; i < urn_len; i++)
            if ((s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] | 0x20 : s.ptr[i]) != urn[i])
                return false;
        return parse_digits(vex_str(s.ptr + urn_len, VEX_UUID_TEXT), ret);
    }
    return parse_digits(s, ret);
}

bool vex_uuid_parse_canonical(struct vex_str s, uint8_t ret[16])
{
    if (s.len != VEX_UUID_TEXT)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'F')
            return false;
    return parse_digits(s, ret);
}

void vex_uuid_text(const uint8_t uuid[16], char ret[VEX_UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    unsigned n = 0;

    for (size_t i = 0; i < VEX_UUID_TEXT; i++) {
        if (hyphen_at(i)) {
            ret[i] = '-';
            continue;
        }
        ret[i] = hex[n % 2 == 0 ? uuid[n / 2] >> 4 : uuid[n / 2] & 15];
        n++;
    }
}

void vex_uuid_from_random(uint8_t uuid[16])
{
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* version 4 */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /* RFC 9562 variant */
}

bool vex_percent_decode(struct vex_arena *arena, struct vex_str s, bool query, struct vex_str *ret)
{
    char *out = vex_arena_try(arena, s.len + 1);
    size_t len = 0;

    if (out == NULL)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = s.len - i > 2 ? hex_value(s.ptr[i + 1]) : -1;
            int low = s.len - i > 2 ? hex_value(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && query) {
            c = ' ';
        }
        out[len++] = c;
    }
    *ret = vex_str(out, len);
    return vex_utf8_valid(*ret);
}
