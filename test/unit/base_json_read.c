/* JSON reading: values, the words and places of faults, and what simdjson alone would refuse. */
#include "base/json_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base_suite.h"

static struct vex_json_parser *parser;
static struct vex_err err;

/* From a heap copy of exactly that length, so that reading past its end is seen. */
static int parse(const char *text, size_t len, struct vex_json *ret)
{
    char *copy = malloc(len > 0 ? len : 1);
    int rc;

    memcpy(copy, text, len);
    err.text[0] = '\0';
    rc = vex_json_parse(parser, copy, len, ret, &err);
    free(copy);
    return rc;
}

static struct vex_json value(const char *text)
{
    struct vex_json v = {0};

    if (parse(text, strlen(text), &v) < 0) {
        printf("\n%s: %s\n", text, err.text);
        CU_FAIL_FATAL("refused");
    }
    return v;
}

static struct vex_json member(struct vex_json v, const char *key)
{
    struct vex_json ret = v;

    CU_ASSERT_FATAL(vex_json_get(v, key, &ret));
    return ret;
}

static void test_values(void)
{
    struct vex_json v =
        value(" {\"n\":null,\"t\":true,\"f\":false,\"i\":-5,\"u\":18446744073709551615,\"d\":1.0,"
              "\"s\":\"a\\u0000\\u00e9\\ud83d\\ude00\\n\",\"a\":[1,[2],{}],\"o\":{}} \n");
    CU_ASSERT_EQUAL(vex_json_kind(v), VEX_JSON_OBJECT);
    CU_ASSERT_EQUAL(vex_json_count(v), 9);
    CU_ASSERT_EQUAL(vex_json_kind(member(v, "n")), VEX_JSON_NULL);
    CU_ASSERT(vex_json_bool(member(v, "t")) && !vex_json_bool(member(v, "f")));
    CU_ASSERT_EQUAL(vex_json_int(member(v, "i")), -5);
    CU_ASSERT_EQUAL(vex_json_double(member(v, "i")), -5.0);
    CU_ASSERT_EQUAL(vex_json_kind(member(v, "u")), VEX_JSON_UINT);
    CU_ASSERT_EQUAL(vex_json_uint(member(v, "u")), UINT64_MAX);
    CU_ASSERT_EQUAL(vex_json_double(member(v, "u")), 18446744073709551616.0);
    CU_ASSERT_EQUAL(vex_json_kind(member(v, "d")), VEX_JSON_DOUBLE);
    CU_ASSERT(vex_str_eq(vex_json_str(member(v, "s")), vex_str("a\0\xc3\xa9\xf0\x9f\x98\x80\n", 9)));
    CU_ASSERT_EQUAL(vex_json_count(member(v, "a")), 3);
    CU_ASSERT_EQUAL(vex_json_count(member(v, "o")), 0);
    CU_ASSERT_EQUAL(vex_json_count(member(v, "i")), 0);
    CU_ASSERT(vex_json_is_number(member(v, "d")) && !vex_json_is_number(member(v, "s")));
    CU_ASSERT(!vex_json_get(v, "zz", &v));
    CU_ASSERT(!vex_json_get(value("[1]"), "a", &v));
    CU_ASSERT_EQUAL(vex_json_kind(value("9223372036854775807")), VEX_JSON_INT);
    CU_ASSERT_EQUAL(vex_json_kind(value("9223372036854775808")), VEX_JSON_UINT);
    CU_ASSERT_EQUAL(vex_json_int(value("-9223372036854775808")), INT64_MIN);
}

static void test_kind_names(void)
{
    static const char *const rows[][2] = {{"null", "null"},          {"true", "boolean"},
                                          {"1", "integer"},          {"18446744073709551615", "integer"},
                                          {"1e0", "floating point"}, {"\"\"", "string"},
                                          {"[]", "sequence"},        {"{}", "map"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_STRING_EQUAL(vex_json_kind_name(value(rows[i][0])), rows[i][1]);
}

static void test_iteration(void)
{
    struct vex_json v = value("{\"k\":1,\"k\":[3,[4],{\"x\":5}],\"\":\"e\",\"k\":2}");
    struct vex_buf seen;

    vex_buf_init(&seen, NULL);
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);)
        vex_buf_printf(&seen, "%.*s:%s ", (int)it.key.len, it.key.ptr, vex_json_kind_name(it.value));
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&seen), "k:integer k:sequence :string k:integer "));
    CU_ASSERT_EQUAL(vex_json_int(member(v, "k")), 2); /* the last wins */
    seen.len = 0;
    v = value("[[1,2],-3,4.5,\"x\",{\"a\":[]},null]");
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);)
        vex_buf_printf(&seen, "%s ", vex_json_kind_name(it.value));
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&seen), "sequence integer floating point string map null "));
    v = value("7");
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);)
        CU_FAIL("a scalar has no elements");
    vex_buf_done(&seen);
}

static const struct fault {
    const char *text, *want;
} faults[] = {
    {"", "EOF while parsing a value at line 1 column 0"},
    {"  ", "EOF while parsing a value at line 1 column 2"},
    {"{\"vector\": ", "EOF while parsing a value at line 1 column 11"},
    {"\n\n ", "EOF while parsing a value at line 3 column 1"},
    {"{", "EOF while parsing an object at line 1 column 1"},
    {"{\"a\"", "EOF while parsing an object at line 1 column 4"},
    {"{\"a\":1", "EOF while parsing an object at line 1 column 6"},
    {"{\"a\":1,", "EOF while parsing a value at line 1 column 7"},
    {"[", "EOF while parsing a list at line 1 column 1"},
    {"[1", "EOF while parsing a list at line 1 column 2"},
    {"[1,", "EOF while parsing a value at line 1 column 3"},
    {"\"abc", "EOF while parsing a string at line 1 column 4"},
    {"\"abc\\", "EOF while parsing a string at line 1 column 5"},
    {"\"abc\\u12", "EOF while parsing a string at line 1 column 8"},
    {"x", "expected value at line 1 column 1"},
    {"[1, x]", "expected value at line 1 column 5"},
    {"[,1]", "expected value at line 1 column 2"},
    {"{\n \"a\": }", "expected value at line 2 column 7"},
    {"NaN", "expected value at line 1 column 1"},
    {"\xef\xbb\xbf{}", "expected value at line 1 column 1"},
    {"{\"a\" 1}", "expected `:` at line 1 column 6"},
    {"{\"a\":1 \"b\"}", "expected `,` or `}` at line 1 column 8"},
    {"[1 2]", "expected `,` or `]` at line 1 column 4"},
    {"[1}", "expected `,` or `]` at line 1 column 3"},
    {"[1,]", "trailing comma at line 1 column 4"},
    {"{\"a\":1,}", "trailing comma at line 1 column 8"},
    {"{} x", "trailing characters at line 1 column 4"},
    {"1 2", "trailing characters at line 1 column 3"},
    {"{1:2}", "key must be a string at line 1 column 2"},
    {"{\"a\":1,b}", "key must be a string at line 1 column 8"},
    {"01", "invalid number at line 1 column 2"},
    {"-", "EOF while parsing a value at line 1 column 1"},
    {"-x", "invalid number at line 1 column 2"},
    {"1.", "EOF while parsing a value at line 1 column 2"},
    {"1.x", "invalid number at line 1 column 3"},
    {"[1.]", "invalid number at line 1 column 4"},
    {"1e", "EOF while parsing a value at line 1 column 2"},
    {"1e+", "EOF while parsing a value at line 1 column 3"},
    {"1ex", "invalid number at line 1 column 3"},
    {"\"\\x\"", "invalid escape at line 1 column 3"},
    {"\"\\u12g4\"", "invalid escape at line 1 column 7"},
    {"\"a\tb\"", "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 3"},
    {"\"a\nb\"", "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0"},
    {"\"\xff\"", "invalid unicode code point at line 1 column 3"},
    {"[\"\xed\xa0\x80\"]", "invalid unicode code point at line 1 column 6"},
    {"\"\\ud800\"", "unexpected end of hex escape at line 1 column 8"},
    {"\"\\ud800\\n\"", "unexpected end of hex escape at line 1 column 9"},
    {"\"\\udc00\"", "lone leading surrogate in hex escape at line 1 column 7"},
    {"\"\\ud800\\u0041\"", "lone leading surrogate in hex escape at line 1 column 13"},
    {"nul", "EOF while parsing a value at line 1 column 3"},
    {"nulx", "expected ident at line 1 column 4"},
    {"[trua]", "expected ident at line 1 column 5"},
    {"[1e400, x]", "expected value at line 1 column 9"},
};

static void test_faults(void)
{
    struct vex_json v;

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        int rc = parse(faults[i].text, strlen(faults[i].text), &v);
        if (rc != VEX_EFORMAT || strcmp(err.text, faults[i].want) != 0)
            printf("\n%s: %d %s\n  not %s\n", faults[i].text, rc, err.text, faults[i].want);
        CU_ASSERT_EQUAL(rc, VEX_EFORMAT);
        CU_ASSERT_STRING_EQUAL(err.text, faults[i].want);
    }
    CU_ASSERT_EQUAL(parse("[\0]", 3, &v), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(err.text, "expected value at line 1 column 2");
    CU_ASSERT_EQUAL(parse("\"\\\0\"", 4, &v), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(err.text, "invalid escape at line 1 column 3");
    /* The very first document of a parser may be empty, too. */
    struct vex_json_parser *fresh = vex_json_parser_new();
    CU_ASSERT_EQUAL(vex_json_parse(fresh, NULL, 0, &v, &err), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(err.text, "EOF while parsing a value at line 1 column 0");
    vex_json_parser_free(fresh);
    /* After all that the parser still works. */
    CU_ASSERT_EQUAL(vex_json_int(value("5")), 5);
}

static int nested(unsigned depth, bool objects, struct vex_json *v)
{
    struct vex_buf text;
    int rc;

    vex_buf_init(&text, NULL);
    for (unsigned i = 0; i < depth; i++)
        vex_buf_add_str(&text, objects ? VEX_STR("{\"a\":") : VEX_STR("["));
    vex_buf_add_char(&text, '1');
    for (unsigned i = 0; i < depth; i++)
        vex_buf_add_char(&text, objects ? '}' : ']');
    rc = parse(text.ptr, text.len, v);
    vex_buf_done(&text);
    return rc;
}

static void test_depth(void)
{
    struct vex_json v;

    CU_ASSERT_EQUAL(nested(127, false, &v), 0);
    CU_ASSERT_EQUAL(nested(127, true, &v), 0);
    CU_ASSERT_EQUAL(nested(128, false, &v), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(err.text, "recursion limit exceeded at line 1 column 128");
    CU_ASSERT_EQUAL(nested(128, true, &v), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(err.text, "recursion limit exceeded at line 1 column 636");
    CU_ASSERT_EQUAL(nested(100000, false, &v), VEX_EFORMAT);
    CU_ASSERT_STRING_EQUAL(err.text, "recursion limit exceeded at line 1 column 128");
}

static void test_numbers_beyond(void)
{
    struct vex_json v, big;

    CU_ASSERT_EQUAL(vex_json_kind(value("123456789012345678901234567890")), VEX_JSON_DOUBLE);
    CU_ASSERT_EQUAL(vex_json_double(value("123456789012345678901234567890")),
                    123456789012345678901234567890.0);
    CU_ASSERT_EQUAL(vex_json_double(value("18446744073709551616")), 18446744073709551616.0);
    CU_ASSERT_EQUAL(vex_json_double(value("-9223372036854775809")), -9223372036854775808.0);
    CU_ASSERT_EQUAL(vex_json_kind(value("-9223372036854775809")), VEX_JSON_DOUBLE);
    CU_ASSERT_EQUAL(vex_json_double(value("1e400")), HUGE_VAL);
    CU_ASSERT_EQUAL(vex_json_double(value("-1.5E+999999999999")), -HUGE_VAL);
    CU_ASSERT_EQUAL(vex_json_double(value("1e-400")), 0.0);
    CU_ASSERT_EQUAL(vex_json_double(value("0e400")), 0.0);
    /* Among others, in document order, with strings that look like them. */
    v = value("{\"1e400\":[1,2.5,\"1e400\",1e400,[99999999999999999999],-1e400],\"z\":18446744073709551615,"
              "\"y\":-7}");
    CU_ASSERT(vex_json_get(v, "1e400", &big));
    struct vex_json_iter it = vex_json_iter(big);
    CU_ASSERT(vex_json_next(&it) && vex_json_int(it.value) == 1);
    CU_ASSERT(vex_json_next(&it) && vex_json_double(it.value) == 2.5);
    CU_ASSERT(vex_json_next(&it) && vex_str_eq_c(vex_json_str(it.value), "1e400"));
    CU_ASSERT(vex_json_next(&it) && vex_json_double(it.value) == HUGE_VAL);
    CU_ASSERT(vex_json_next(&it) && vex_json_count(it.value) == 1);
    struct vex_json_iter inner = vex_json_iter(it.value);
    CU_ASSERT(vex_json_next(&inner) && vex_json_double(inner.value) == 1e20);
    CU_ASSERT(vex_json_next(&it) && vex_json_double(it.value) == -HUGE_VAL);
    CU_ASSERT(!vex_json_next(&it));
    CU_ASSERT_EQUAL(vex_json_uint(member(v, "z")), UINT64_MAX);
    CU_ASSERT_EQUAL(vex_json_int(member(v, "y")), -7);
}

static void test_floats(void)
{
    float got[8] = {0};

    CU_ASSERT_EQUAL(vex_json_floats(value("[1,-2.5,0.1,18446744073709551615,1e39,-0.0]"), got, 8), 6);
    CU_ASSERT(got[0] == 1.0f && got[1] == -2.5f && got[2] == 0.1f && got[3] == 18446744073709551616.0f);
    CU_ASSERT(isinf(got[4]) && got[5] == 0.0f && signbit(got[5]));
    got[2] = 77;
    CU_ASSERT_EQUAL(vex_json_floats(value("[1,2,3,4]"), got, 2), 4);
    CU_ASSERT_EQUAL(got[2], 77.0f); /* no more than cap */
    CU_ASSERT_EQUAL(vex_json_floats(value("[1,2]"), NULL, 0), 2);
    CU_ASSERT_EQUAL(vex_json_floats(value("[]"), got, 8), 0);
    CU_ASSERT_EQUAL(vex_json_floats(value("[1,\"2\"]"), got, 8), -1);
    CU_ASSERT_EQUAL(vex_json_floats(value("[1,null]"), got, 8), -1);
    CU_ASSERT_EQUAL(vex_json_floats(value("[[1]]"), got, 8), -1);
    CU_ASSERT_EQUAL(vex_json_floats(value("{\"a\":1}"), got, 8), -1);
    CU_ASSERT_EQUAL(vex_json_floats(value("5"), got, 8), -1);
}

static void test_sizes(void)
{
    static const size_t sizes[] = {1, 3, 9, 4096, 600000, 610000, 760000, 1, 600000, 0x1000001, 2};
    struct vex_buf text;
    struct vex_json v;

    /* Small, large, a little larger, small: the buffer grows and shrinks. 0x1000001 elements: the count on the
     * tape is saturated. */
    vex_buf_init(&text, NULL);
    for (size_t row = 0; row < sizeof sizes / sizeof *sizes; row++) {
        size_t n = sizes[row];
        text.len = 0;
        vex_buf_add_char(&text, '[');
        for (size_t i = 0; i < n; i++)
            vex_buf_add(&text, i > 0 ? ",1" : "1", i > 0 ? 2 : 1);
        vex_buf_add_char(&text, ']');
        CU_ASSERT_EQUAL_FATAL(parse(text.ptr, text.len, &v), 0);
        CU_ASSERT_EQUAL(vex_json_count(v), n);
    }
    text.len = 0;
    vex_buf_add_char(&text, '"');
    for (int i = 0; i < 100000; i++)
        vex_buf_add(&text, "\xc3\xa9", 2);
    vex_buf_add_char(&text, '"');
    CU_ASSERT_EQUAL_FATAL(parse(text.ptr, text.len, &v), 0);
    CU_ASSERT_EQUAL(vex_json_str(v).len, 200000);
    vex_buf_done(&text);
}

/* Every way of cutting or changing a byte: a verdict, a message, no reading past the end. */
static void test_damage(void)
{
    static const char text[] =
        "{\"a\\u00e9\":[1,-2.5e3,true,null,\"x\xc3\xa9\\n\"],\"b\":{\"c\":123456789012345678901}}";
    static const char bytes[] = "\0\"\\{}[],:0-.eE tn\xc3\xff\n";
    size_t len = sizeof text - 1, refused = 0;
    char copy[sizeof text];
    struct vex_json v;

    for (size_t cut = 0; cut < len; cut++) {
        CU_ASSERT_EQUAL(parse(text, cut, &v), VEX_EFORMAT);
        CU_ASSERT(vex_str_contains(vex_str_c(err.text), VEX_STR("EOF while parsing")) ||
                  vex_str_contains(vex_str_c(err.text), VEX_STR("at line 1 column")));
    }
    for (size_t at = 0; at < len; at++) {
        for (size_t i = 0; i < sizeof bytes - 1; i++) {
            int rc;
            memcpy(copy, text, sizeof copy);
            copy[at] = bytes[i];
            rc = parse(copy, len, &v);
            refused += rc != 0;
            CU_ASSERT(rc == 0 || (rc == VEX_EFORMAT && strstr(err.text, " at line ") != NULL));
        }
    }
    CU_ASSERT(refused > 500);
}

int main(void)
{
    CU_TestInfo tests[] = {{"values", test_values},       {"kind names", test_kind_names},
                           {"iteration", test_iteration}, {"faults", test_faults},
                           {"depth", test_depth},         {"numbers beyond 64 bits", test_numbers_beyond},
                           {"floats", test_floats},       {"sizes", test_sizes},
                           {"damage", test_damage},       CU_TEST_INFO_NULL};
    int rc;

    parser = vex_json_parser_new();
    rc = run_suite("json_read", tests);
    vex_json_parser_free(parser);
    vex_json_parser_free(NULL);
    return rc;
}
