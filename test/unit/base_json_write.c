/* JSON writing: commas, escapes, and numbers as serde_json prints them. */
#include "base/json_write.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "base/number.h"
#include "base_suite.h"

static void test_shape(void)
{
    struct vex_buf out;
    struct vex_jw w;
    float v[] = {1, -0.5f, NAN};

    vex_buf_init(&out, NULL);
    w = vex_jw(&out);
    vex_jw_object(&w);
    vex_jw_key(&w, VEX_STR("a"));
    vex_jw_array(&w);
    vex_jw_array_end(&w);
    vex_jw_key(&w, VEX_STR("b\""));
    vex_jw_floats(&w, v, 3);
    vex_jw_key(&w, VEX_STR("c"));
    vex_jw_array(&w);
    vex_jw_i64(&w, INT64_MIN);
    vex_jw_i64(&w, -7);
    vex_jw_i64(&w, 7);
    vex_jw_u64(&w, UINT64_MAX);
    vex_jw_u64(&w, 0);
    vex_jw_null(&w);
    vex_jw_bool(&w, true);
    vex_jw_bool(&w, false);
    vex_jw_raw(&w, VEX_STR("{}"));
    vex_jw_object(&w);
    vex_jw_object_end(&w);
    vex_jw_f64(&w, INFINITY);
    vex_jw_f64(&w, -2.5);
    vex_jw_array_end(&w);
    vex_jw_object_end(&w);
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&out),
                           "{\"a\":[],\"b\\\"\":[1.0,-0.5,null],\"c\":[-9223372036854775808,-7,7,"
                           "18446744073709551615,0,null,true,false,{},{},null,-2.5]}"));
    vex_buf_done(&out);
}

static void test_strings(void)
{
    struct vex_buf out;
    struct vex_jw w;

    vex_buf_init(&out, NULL);
    w = vex_jw(&out);
    vex_jw_str(&w, vex_str("\b\f\n\r\t\"\\/\x01\x1f\x7f\0z\xc3\xa9", 15));
    CU_ASSERT(
        vex_str_eq_c(vex_buf_str(&out), "\"\\b\\f\\n\\r\\t\\\"\\\\/\\u0001\\u001f\x7f\\u0000z\xc3\xa9\""));
    vex_jw_str(&w, vex_str(NULL, 0));
    CU_ASSERT(vex_str_eq_c(vex_str(out.ptr + out.len - 3, 3), ",\"\""));
    vex_buf_done(&out);
}

static void f64(double v, const char *want)
{
    char buf[32];
    size_t len = vex_f64_text(buf, v);

    if (!vex_str_eq_c(vex_str(buf, len), want))
        printf("\nf64 %.17g: %.*s, not %s\n", v, (int)len, buf, want);
    CU_ASSERT(vex_str_eq_c(vex_str(buf, len), want));
}

static void f32(float v, const char *want)
{
    char buf[32];
    size_t len = vex_f32_text(buf, v);

    if (!vex_str_eq_c(vex_str(buf, len), want))
        printf("\nf32 %.9g: %.*s, not %s\n", (double)v, (int)len, buf, want);
    CU_ASSERT(vex_str_eq_c(vex_str(buf, len), want));
}

static void test_f64(void)
{
    f64(0, "0.0");
    f64(-0.0, "-0.0");
    f64(1, "1.0");
    f64(100, "100.0");
    f64(0.3, "0.3");
    f64(-12.34, "-12.34");
    f64(9007199254740992.0, "9007199254740992.0"); /* 16 digits before the point: the last plain one */
    f64(1e15, "1000000000000000.0");
    f64(1e16, "1e16");
    f64(1.5e16, "1.5e16");
    f64(123456789012345680.0, "1.2345678901234568e17");
    f64(0.0001, "0.0001");
    f64(0.00001, "0.00001"); /* the last plain one */
    f64(0.000012345, "0.000012345");
    f64(0.000001, "1e-6");
    f64(1.5e-7, "1.5e-7");
    f64(DBL_MAX, "1.7976931348623157e308");
    f64(-DBL_MIN, "-2.2250738585072014e-308");
    f64(5e-324, "5e-324");
    f64(1e100, "1e100");
    f64(NAN, "NaN");
    f64(-INFINITY, "-inf");
}

static void test_f32(void)
{
    f32(0.1f, "0.1");
    f32(-0.0f, "-0.0");
    f32(16777216.0f, "16777216.0");
    f32(1e12f, "1000000000000.0"); /* 13 digits: the last plain one */
    f32(1e13f, "1e13");
    f32(1.5e13f, "1.5e13");
    f32(1e-5f, "0.00001");
    f32(1e-6f, "0.000001"); /* one digit further than f64 */
    f32(1e-7f, "1e-7");
    f32(FLT_MAX, "3.4028235e38");
    f32(1e-45f, "1e-45");
    f32(3.14159274f, "3.1415927");
}

static void test_round_trip(void)
{
    uint64_t state = 88172645463325252u;
    bool same = true;

    for (int i = 0; i < 200000; i++) {
        char buf[32];
        double v, back;
        float f, fback;
        uint32_t bits;

        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(&v, &state, sizeof v);
        bits = (uint32_t)state;
        memcpy(&f, &bits, sizeof f);
        if (isfinite(v)) {
            size_t len = vex_f64_text(buf, v);
            same = same && len <= 24 && vex_f64_parse(vex_str(buf, len), &back) && back == v;
        }
        if (isfinite(f)) {
            size_t len = vex_f32_text(buf, f);
            same = same && len <= 24;
            buf[len] = '\0';
            fback = strtof(buf, NULL);
            same = same && fback == f;
        }
    }
    CU_ASSERT(same);
}

static void test_parse(void)
{
    static const char *const bad[] = {"",   "-",   "+",   "inf",  "nan", "1x", " 1",
                                      "1 ", "--1", "-+1", "0x10", ".5",  "1e", "e5"};
    double v;

    CU_ASSERT(vex_f64_parse(VEX_STR("1e400"), &v) && v == HUGE_VAL);
    CU_ASSERT(vex_f64_parse(VEX_STR("-1e400"), &v) && v == -HUGE_VAL);
    CU_ASSERT(vex_f64_parse(VEX_STR("1e-400"), &v) && v == 0);
    CU_ASSERT(vex_f64_parse(VEX_STR("0.0000001e-99999999999999999999"), &v) && v == 0);
    CU_ASSERT(vex_f64_parse(VEX_STR("1e99999999999999999999"), &v) && v == HUGE_VAL);
    CU_ASSERT(vex_f64_parse(VEX_STR("0e400"), &v) && v == 0);
    CU_ASSERT(vex_f64_parse(VEX_STR("+007.50"), &v) && v == 7.5);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(!vex_f64_parse(vex_str_c(bad[i]), &v));
}

int main(void)
{
    CU_TestInfo tests[] = {{"shape", test_shape}, {"strings", test_strings},       {"f64", test_f64},
                           {"f32", test_f32},     {"round trip", test_round_trip}, {"parse", test_parse},
                           CU_TEST_INFO_NULL};
    return run_suite("json_write", tests);
}
