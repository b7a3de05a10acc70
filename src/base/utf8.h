/* One step through bytes that may or may not be UTF-8 (RFC 3629). For the few places that repair or classify
 * text; checking whole texts is vex_utf8_valid's. */
#ifndef VEX_BASE_UTF8_H
#define VEX_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the sequence at `at` (1..4) when it is valid; 0 when it is not; -1 when it is valid so far and
 * the text ends within it. `left` is at least 1. */
static inline int vex_utf8_step(const char *at, size_t left)
{
    const unsigned char *s = (const unsigned char *)at;
    unsigned char low = 0x80, high = 0xbf;
    int len;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    /* The second byte's range keeps out overlong forms, surrogates and what lies beyond U+10FFFF. */
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (int i = 1; i < len; i++) {
        if ((size_t)i >= left)
            return -1;
        if (s[i] < (i == 1 ? low : 0x80) || s[i] > (i == 1 ? high : 0xbf))
            return 0;
    }
    return len;
}

#endif
