/* UTF-8, UUIDs, base64, percent-encoding, expressions, words. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

#include "base_suite.h"

static void test_utf8(void)
{
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "ok\xe2\x82",
                                      "\xc3"};

    CU_ASSERT(vex_utf8_valid(vex_str(NULL, 0)));
    CU_ASSERT(vex_utf8_valid(
        VEX_STR("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf")));
    CU_ASSERT(vex_utf8_valid(vex_str("a\0b", 3)));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(!vex_utf8_valid(vex_str_c(bad[i])));
    CU_ASSERT_EQUAL(vex_utf8_count(VEX_STR("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
}

static void test_uuid(void)
{
    static const char *const good[] = {"550e8400-e29b-41d4-a716-446655440000",
                                       "550E8400-E29B-41D4-A716-446655440000",
                                       "550e8400e29b41d4a716446655440000",
                                       "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
                                       "URN:UUID:550e8400-E29b-41d4-a716-446655440000",
                                       "{550e8400-e29b-41d4-a716-446655440000}"};
    static const char *const bad[] = {"",
                                      "550e8400-e29b-41d4-a716-44665544000",
                                      "550e8400-e29b-41d4-a716-4466554400000",
                                      "550e8400e29b41d4a71644665544000g",
                                      "550e8400+e29b-41d4-a716-446655440000",
                                      "550e8400-e29b-41d4-a7164-46655440000",
                                      "{550e8400-e29b-41d4-a716-446655440000",
                                      "(550e8400-e29b-41d4-a716-446655440000)",
                                      "urn:uuid;550e8400-e29b-41d4-a716-446655440000",
                                      "{550e8400e29b41d4a716446655440000}",
                                      "550e8400-e29b-41d4-a716-44665544000-"};
    uint8_t uuid[16], keep[16];
    char text[VEX_UUID_TEXT];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        memset(uuid, 0, sizeof uuid);
        CU_ASSERT(vex_uuid_parse(vex_str_c(good[i]), uuid));
        vex_uuid_text(uuid, text);
        CU_ASSERT(vex_str_eq_c(vex_str(text, sizeof text), good[0]));
        CU_ASSERT_EQUAL(vex_uuid_parse_canonical(vex_str_c(good[i]), uuid), i == 0);
    }
    memcpy(keep, uuid, sizeof keep);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(!vex_uuid_parse(vex_str_c(bad[i]), uuid) &&
                  !vex_uuid_parse_canonical(vex_str_c(bad[i]), uuid));
    CU_ASSERT_EQUAL(memcmp(uuid, keep, sizeof keep), 0);
    memset(uuid, 0xff, sizeof uuid);
    vex_uuid_from_random(uuid);
    CU_ASSERT(uuid[6] == 0x4f && uuid[8] == 0xbf);
    memset(uuid, 0, sizeof uuid);
    vex_uuid_from_random(uuid);
    CU_ASSERT(uuid[6] == 0x40 && uuid[8] == 0x80);
}

static void decodes(const char *text, const char *want, size_t len)
{
    size_t bad = 99, room = strlen(text) / 4 * 3;
    char *out = malloc(room > 0 ? room : 1); /* no more than the header asks for */
    ptrdiff_t got = vex_base64_decode(vex_str_c(text), out, &bad);

    CU_ASSERT_EQUAL(got, (ptrdiff_t)len);
    CU_ASSERT(got >= 0 && memcmp(out, want, len) == 0);
    free(out);
}

static void refuses(const char *text, size_t at)
{
    char out[64];
    size_t bad = 99;

    CU_ASSERT_EQUAL(vex_base64_decode(vex_str_c(text), out, &bad), -1);
    if (bad != at)
        printf("\n%s: offset %zu, not %zu\n", text, bad, at);
    CU_ASSERT_EQUAL(bad, at);
}

static void test_base64(void)
{
    decodes("", "", 0);
    decodes("Zg==", "f", 1);
    decodes("Zm8=", "fo", 2);
    decodes("Zm9v", "foo", 3);
    decodes("Zm9vYmFy", "foobar", 6);
    decodes("AACAPwAAAEA=", "\0\0\x80\x3f\0\0\0\x40", 8);
    decodes("+/+/", "\xfb\xff\xbf", 3);
    refuses("Zm9v!mFy", 4);
    refuses("-_-_", 0); /* the other alphabet */
    refuses("Zg", 2);
    refuses("Zg=", 3);
    refuses("Z===", 1);
    refuses("=", 1);
    refuses("====", 0);
    refuses("Zg==Zg==", 2);
    refuses("Zh==", 1); /* bits behind the end */
    refuses("Zm9=", 2);
    refuses("Zm9v\n", 4);
}

static const char symbols[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Bit by bit, as the RFC tells it. */
static void encode(const uint8_t *from, size_t len, char *ret)
{
    size_t n = 0;

    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned symbol = 0;
        for (size_t i = bit; i < bit + 6; i++)
            symbol = symbol << 1 | (i < len * 8 ? from[i / 8] >> (7 - i % 8) & 1 : 0);
        ret[n++] = symbols[symbol];
    }
    while (n % 4 != 0)
        ret[n++] = '=';
    ret[n] = '\0';
}

/* Every length and every symbol in every place; every byte that is none in every place of a long text. */
static void test_base64_long(void)
{
    uint8_t bytes[200];
    char text[280], out[210];
    size_t bad;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 151 + 7);
    for (size_t len = 0; len < sizeof bytes; len++) {
        encode(bytes, len, text);
        decodes(text, (const char *)bytes, len);
    }
    for (int c = 0; c < 256; c++) {
        bool symbol = c != 0 && strchr(symbols, c) != NULL;
        for (size_t at = 0; at < 8; at++) {
            char eight[] = "AAAAAAAA";
            eight[at] = (char)c;
            if (c == '=' && at >= 6) /* padding has its own rules */
                continue;
            bad = 99;
            CU_ASSERT_EQUAL(vex_base64_decode(vex_str(eight, 8), out, &bad), symbol ? 6 : -1);
            CU_ASSERT_EQUAL(bad, symbol ? 99 : at);
        }
    }
    /* 134 symbols and the padding. */
    encode(bytes, 100, text);
    for (size_t at = 0; at < 132; at++) {
        char was = text[at];
        for (int c = 0; c < 256; c++) {
            bool symbol = c != 0 && strchr(symbols, c) != NULL;
            text[at] = (char)c;
            bad = 999;
            CU_ASSERT_EQUAL(vex_base64_decode(vex_str(text, 136), out, &bad), symbol ? 100 : -1);
            CU_ASSERT_EQUAL(bad, symbol ? 999 : at);
        }
        text[at] = was;
    }
    /* Each symbol in each place has its own value. */
    for (size_t at = 0; at < 128; at++)
        for (unsigned i = 0; i < 64; i++) {
            unsigned got = 0;
            text[at] = symbols[i];
            CU_ASSERT_EQUAL(vex_base64_decode(vex_str(text, 136), out, &bad), 100);
            for (size_t bit = at * 6; bit < at * 6 + 6; bit++)
                got = got << 1 | ((uint8_t)out[bit / 8] >> (7 - bit % 8) & 1);
            CU_ASSERT_EQUAL(got, i);
        }
}

static bool percent(const char *text, bool query, const char *want)
{
    struct vex_arena arena;
    struct vex_str got;
    bool ok;

    vex_arena_init(&arena, 0);
    ok = vex_percent_decode(&arena, vex_str_c(text), query, &got) && vex_str_eq_c(got, want);
    vex_arena_done(&arena);
    return ok;
}

static void test_percent(void)
{
    struct vex_arena arena;
    struct vex_str got;

    CU_ASSERT(percent("", false, ""));
    CU_ASSERT(percent("a%20b%2Fc%c3%a9", false, "a b/c\xc3\xa9"));
    CU_ASSERT(percent("a+b", false, "a+b"));
    CU_ASSERT(percent("a+b%2b", true, "a b+"));
    vex_arena_init(&arena, 0);
    CU_ASSERT(!vex_percent_decode(&arena, VEX_STR("%"), false, &got));
    CU_ASSERT(!vex_percent_decode(&arena, VEX_STR("a%2"), false, &got));
    CU_ASSERT(!vex_percent_decode(&arena, VEX_STR("%zz"), false, &got));
    CU_ASSERT(!vex_percent_decode(&arena, VEX_STR("%ff"), false, &got)); /* not UTF-8 */
    CU_ASSERT(vex_percent_decode(&arena, VEX_STR("a%00b"), false, &got) && got.len == 3);
    vex_arena_done(&arena);
}

static void test_regex(void)
{
    struct vex_regex *re = NULL;
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_regex_new(VEX_STR("b+\\d"), &re, &err), 0);
    CU_ASSERT(vex_regex_matches(re, VEX_STR("aabb7zz")));
    CU_ASSERT(!vex_regex_matches(re, VEX_STR("aabbz")));
    CU_ASSERT(!vex_regex_matches(re, vex_str(NULL, 0)));
    vex_regex_free(re);
    CU_ASSERT_EQUAL(vex_regex_new(vex_str(NULL, 0), &re, &err), 0);
    CU_ASSERT(vex_regex_matches(re, VEX_STR("")));
    vex_regex_free(re);
    vex_regex_free(NULL);
    CU_ASSERT_EQUAL(vex_regex_new(VEX_STR("a(b"), &re, &err), VEX_EBAD_INPUT);
    CU_ASSERT(vex_str_contains(vex_str_c(err.text), VEX_STR("invalid regular expression: missing )")));
    CU_ASSERT_EQUAL(vex_regex_new(VEX_STR("(a)\\1"), &re, &err), VEX_EBAD_INPUT); /* no back-references */
    CU_ASSERT_EQUAL(vex_regex_new(VEX_STR("\xff"), &re, &err), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(vex_regex_new(VEX_STR("((a{1000}){1000}){1000}"), &re, &err), VEX_EBAD_INPUT);
}

static int join(void *arg, struct vex_str word)
{
    struct vex_buf *buf = arg;

    vex_buf_add_char(buf, '|');
    vex_buf_add_str(buf, word);
    return vex_str_eq_c(word, "stop") ? 42 : 0;
}

static void words(const char *text, const char *want)
{
    struct vex_buf buf;

    vex_buf_init(&buf, NULL);
    vex_text_words(vex_str_c(text), join, &buf);
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&buf), want));
    vex_buf_done(&buf);
}

static void test_words(void)
{
    struct vex_buf buf;

    words("", "");
    words(" ,.- ", "");
    words("Hello, world!", "|Hello|world");
    words("don't stop-gap x2", "|don|t|stop"); /* ends at "stop" */
    words("a_b", "|a|b");
    words("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82"
          "3\xc2\xbd",
          "|\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82|\xe4\xbd\xa0\xe5\xa5\xbd|3\xc2\xbd");
    words("\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8",
          "|\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8"); /* vowel sign inside */
    words("\xf0\x9f\x98\x80"
          "a",
          "|a");
    words("a\xff"
          "b",
          "|a|b"); /* the caller's fault, and no endless loop */
    vex_buf_init(&buf, NULL);
    CU_ASSERT_EQUAL(vex_text_words(VEX_STR("a stop b"), join, &buf), 42);
    CU_ASSERT_EQUAL(vex_text_words(VEX_STR("a stop"), join, &buf), 42);
    vex_buf_done(&buf);
}

static void test_lower(void)
{
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    CU_ASSERT(vex_str_eq_c(vex_text_lower(&arena, VEX_STR("AbZ[@09\xc3\x89\xd0\x96\xe1\xba\x9e")),
                           "abz[@09\xc3\xa9\xd0\xb6\xc3\x9f"));
    CU_ASSERT(vex_str_eq_c(vex_text_lower(&arena, VEX_STR("\xc8\xba\xc8\xba")),
                           "\xe2\xb1\xa5\xe2\xb1\xa5")); /* grows */
    CU_ASSERT_EQUAL(vex_text_lower(&arena, vex_str(NULL, 0)).len, 0);
    vex_arena_done(&arena);
}

int main(void)
{
    CU_TestInfo tests[] = {{"utf-8", test_utf8},      {"uuid", test_uuid},
                           {"base64", test_base64},   {"long base64", test_base64_long},
                           {"percent", test_percent}, {"regex", test_regex},
                           {"words", test_words},     {"lower", test_lower},
                           CU_TEST_INFO_NULL};
    return run_suite("text", tests);
}
