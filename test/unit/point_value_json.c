/* Payload values from and to JSON. */
#include <CUnit/Basic.h>

#include "engine/point/value_json.h"

static struct vex_json_parser *parser;

static int to_cbor(struct vex_buf *out, const char *text, size_t len, struct vex_err *err)
{
    struct vex_json v;

    CU_ASSERT_FATAL(vex_json_parse(parser, text, len, &v, err) == 0);
    return vex_value_from_json(out, v, err);
}

static void check(const char *text, const char *wanted)
{
    struct vex_buf cbor, json;
    struct vex_err err;
    struct vex_jw w;

    vex_buf_init(&cbor, NULL);
    vex_buf_init(&json, NULL);
    CU_ASSERT_FATAL(to_cbor(&cbor, text, strlen(text), &err) == 0);
    CU_ASSERT(vex_value_check(cbor.ptr, cbor.len, false));
    w = vex_jw(&json);
    vex_value_to_json(&w, (struct vex_value){(const uint8_t *)cbor.ptr});
    if (!vex_str_eq_c(vex_buf_str(&json), wanted))
        fprintf(stderr, "%s became " VEX_STR_FMT "\n", text, VEX_STR_ARG(vex_buf_str(&json)));
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&json), wanted));
    vex_buf_done(&cbor);
    vex_buf_done(&json);
}

static void test_round_trip(void)
{
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "1.0",
        "-0.5",
        "1e300",
        "\"\"",
        "\"\\u0000\\n\\\"\xc3\xa9\"",
        "[]",
        "{}",
        "[[],[{}],1,\"x\"]",
        "{\"b\":1,\"a\":{\"\":[1,2.0,null]},\"c\":true}",
    };

    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        check(same[i], same[i]);
    check("[1, 1.0, 1e0, 18446744073709551616]", "[1,1.0,1.0,1.8446744073709552e19]");
}

static void test_duplicates(void)
{
    char text[2048] = "{", wanted[2048] = "{\"k\":\"last\"";

    check("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
    check("{\"a\":1,\"a\":2,\"a\":{\"x\":1,\"x\":2},\"b\":[{\"y\":1,\"y\":null}]}",
          "{\"a\":{\"x\":2},\"b\":[{\"y\":null}]}");
    strcat(text, "\"k\":0");
    for (int i = 0; i < 40; i++) { /* more members than fit on the stack */
        char item[40];
        snprintf(item, sizeof item, ",\"m%d\":%d", i, i);
        strcat(text, item);
        strcat(wanted, item);
    }
    strcat(text, ",\"k\":1,\"k\":\"last\"}");
    strcat(wanted, "}");
    check(text, wanted);
}

static void test_refused(void)
{
    struct vex_buf out;
    struct vex_err err;

    vex_buf_init(&out, NULL);
    vex_buf_add_char(&out, 'x');
    CU_ASSERT_EQUAL(to_cbor(&out, "{\"a\":[1,1e999]}", 15, &err), VEX_EFORMAT);
    CU_ASSERT_EQUAL(out.len, 1); /* nothing half written */
    vex_buf_done(&out);
}

static void test_depth(void)
{
    char text[2 * VEX_VALUE_DEPTH_MAX];
    struct vex_buf out;
    struct vex_err err;
    size_t levels = VEX_VALUE_DEPTH_MAX - 1; /* what the JSON reader takes for certain */

    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    vex_buf_init(&out, NULL);
    CU_ASSERT_EQUAL(to_cbor(&out, text, 2 * levels, &err), 0);
    CU_ASSERT_EQUAL(vex_value_depth((struct vex_value){(const uint8_t *)out.ptr}), levels);
    vex_buf_done(&out);
}

int main(void)
{
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    parser = vex_json_parser_new();
    suite = CU_add_suite("point_value_json", NULL, NULL);
    CU_add_test(suite, "round trip", test_round_trip);
    CU_add_test(suite, "duplicate keys", test_duplicates);
    CU_add_test(suite, "refused", test_refused);
    CU_add_test(suite, "depth", test_depth);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_json_parser_free(parser);
    return failed != 0;
}
