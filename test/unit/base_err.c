/* Errors: the class table and what happens to texts. */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "base_suite.h"

static void test_classes(void)
{
    CU_ASSERT_EQUAL(vex_err_class(VEX_ENOT_FOUND)->grpc_status, 5);
    CU_ASSERT_EQUAL(vex_err_class(VEX_ENOT_FOUND)->http_status, 404);
    CU_ASSERT_STRING_EQUAL(vex_err_class(VEX_ENOT_FOUND)->chroma, "NotFoundError");
    CU_ASSERT_STRING_EQUAL(vex_err_class(VEX_ENOT_FOUND)->prefix, "Not found: ");
    CU_ASSERT_STRING_EQUAL(vex_err_class(VEX_ENO_SPACE)->name, "NO_SPACE");
    CU_ASSERT_EQUAL(vex_err_class(VEX_EUNAUTHENTIC)->grpc_status, 16);
    CU_ASSERT_EQUAL(vex_err_class(VEX_ECORRUPT)->grpc_status, 15);
    CU_ASSERT_EQUAL(vex_err_class(VEX_ECANCELLED)->grpc_status, 1);
    CU_ASSERT_EQUAL(vex_err_class(VEX_OK)->http_status, 200);
    /* What is no code of ours is an internal error. */
    CU_ASSERT_EQUAL(vex_err_class(-100000)->http_status, 500);
    CU_ASSERT_EQUAL(vex_err_class(1)->http_status, 500);
    CU_ASSERT_EQUAL(vex_err_class(-VEX_ERR_COUNT)->http_status, 500);
    for (int i = 1; i < VEX_ERR_COUNT; i++) {
        CU_ASSERT(vex_err_class(-i)->grpc_status >= 1 && vex_err_class(-i)->grpc_status <= 16);
        CU_ASSERT(vex_err_class(-i)->http_status >= 400 && vex_err_class(-i)->http_status < 600);
    }
}

static void test_set(void)
{
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_err_set(&err, VEX_EBAD_INPUT, "size %d of %s", 7, "\xc3\xa9"), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(err.code, VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "size 7 of \xc3\xa9");
    /* Its own text may be an argument. */
    vex_err_set(&err, VEX_EIO, "%s, again %s", err.text, err.text);
    CU_ASSERT_STRING_EQUAL(err.text, "size 7 of \xc3\xa9, again size 7 of \xc3\xa9");
    CU_ASSERT_EQUAL(vex_err_wrap(&err, "file %s", "a"), VEX_EIO);
    CU_ASSERT_STRING_EQUAL(err.text, "file a: size 7 of \xc3\xa9, again size 7 of \xc3\xa9");
}

static void test_not_utf8(void)
{
    struct vex_err err;

    vex_err_set(&err, VEX_EBAD_INPUT, "a%sb", "\xff");
    CU_ASSERT_STRING_EQUAL(err.text, "a\xef\xbf\xbd"
                                     "b");
    vex_err_set(&err, VEX_EBAD_INPUT, "%s", "x\xe2\x82"); /* ends within a character, and was not cut */
    CU_ASSERT_STRING_EQUAL(err.text, "x\xef\xbf\xbd\xef\xbf\xbd");
    vex_err_set(&err, VEX_EBAD_INPUT, "%s", "\xed\xa0\x80\xc0\xaf"); /* surrogate, overlong */
    CU_ASSERT(vex_utf8_valid(vex_str_c(err.text)));
}

static void test_cut(void)
{
    char text[VEX_ERR_TEXT_MAX * 2];
    struct vex_err err;

    /* Whatever the phase, three-byte characters are cut between, never within. */
    for (int phase = 0; phase < 3; phase++) {
        memset(text, 'x', sizeof text);
        for (size_t i = phase; i + 3 < sizeof text - 1; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        text[sizeof text - 3] = '\0';
        vex_err_set(&err, VEX_EBAD_INPUT, "%s", text);
        CU_ASSERT(strlen(err.text) >= VEX_ERR_TEXT_MAX - 4);
        CU_ASSERT(strlen(err.text) < VEX_ERR_TEXT_MAX);
        CU_ASSERT_EQUAL(strncmp(err.text, text, strlen(err.text)), 0);
        CU_ASSERT(vex_utf8_valid(vex_str_c(err.text)));
    }
    /* Replacing makes texts longer: still within bounds, whatever stands before. */
    for (int before = 0; before < 3; before++) {
        memset(text, 0xff, sizeof text - 1);
        memset(text, 'x', before);
        text[sizeof text - 1] = '\0';
        memset(&err, '!', sizeof err);
        vex_err_set(&err, VEX_EBAD_INPUT, "%s", text);
        CU_ASSERT_FATAL(memchr(err.text, '\0', sizeof err.text) != NULL);
        CU_ASSERT(strlen(err.text) >= VEX_ERR_TEXT_MAX - 3);
        CU_ASSERT(vex_utf8_valid(vex_str_c(err.text)));
    }
}

static void test_errno(void)
{
    CU_ASSERT_EQUAL(vex_err_errno(ENOSPC), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(vex_err_errno(-EDQUOT), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(vex_err_errno(ENOMEM), VEX_ENO_MEMORY);
    CU_ASSERT_EQUAL(vex_err_errno(-EIO), VEX_EIO);
}

int main(void)
{
    CU_TestInfo tests[] = {{"classes", test_classes},    {"set and wrap", test_set},
                           {"not UTF-8", test_not_utf8}, {"cut", test_cut},
                           {"errno", test_errno},        CU_TEST_INFO_NULL};
    return run_suite("err", tests);
}
