/* Log lines, caught from standard error. */
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json_read.h"
#include "base/text.h"
#include "base_suite.h"

static char caught[65536];
static int saved, file;

static void catch_start(void)
{
    char path[] = "/tmp/vex-log-XXXXXX";

    fflush(stderr);
    saved = dup(STDERR_FILENO);
    file = mkstemp(path);
    unlink(path);
    dup2(file, STDERR_FILENO);
}

static size_t catch_end(void)
{
    ssize_t n;

    dup2(saved, STDERR_FILENO);
    close(saved);
    n = pread(file, caught, sizeof caught - 1, 0);
    close(file);
    caught[n] = '\0';
    return (size_t)n;
}

static void test_levels(void)
{
    enum vex_log_level level = VEX_LOG_INFO;

    CU_ASSERT_EQUAL(vex_log_level_parse("Warn", &level), 0);
    CU_ASSERT_EQUAL(level, VEX_LOG_WARN);
    CU_ASSERT_EQUAL(vex_log_level_parse("TRACE", &level), 0);
    CU_ASSERT_EQUAL(level, VEX_LOG_TRACE);
    CU_ASSERT_EQUAL(vex_log_level_parse("loud", &level), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(level, VEX_LOG_TRACE);

    vex_log_set(VEX_LOG_WARN, false);
    catch_start();
    vex_info("area", "not seen");
    vex_warn("area", "seen");
    vex_error("area", "seen too");
    catch_end();
    CU_ASSERT_PTR_NULL(strstr(caught, "not seen"));
    CU_ASSERT_PTR_NOT_NULL(strstr(caught, " WARN area: seen\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(caught, " ERROR area: seen too\n"));
}

static void test_text_form(void)
{
    static const char shape[] =
        "0000-00-00T00:00:00.000Z INFO wal: a\\u000ab \"q\" \\u001b[1m \xc3\xa9 \xef\xbf\xbd "
        "\\u009b \\u007f\n";

    vex_log_set(VEX_LOG_INFO, false);
    catch_start();
    errno = 7;
    vex_info("wal", "a\nb \"%s\" \x1b[1m \xc3\xa9 \xff \xc2\x9b \x7f", "q");
    CU_ASSERT_EQUAL(errno, 7);
    catch_end();
    CU_ASSERT_EQUAL(strlen(caught), strlen(shape));
    for (size_t i = 0; i < 23 && caught[i] != '\0'; i++)
        CU_ASSERT(shape[i] == '0' ? isdigit((unsigned char)caught[i]) : caught[i] == shape[i]);
    CU_ASSERT_STRING_EQUAL(caught + 23, shape + 23);
}

static void test_json_form(void)
{
    struct vex_json_parser *parser = vex_json_parser_new();
    struct vex_json doc, field;
    struct vex_err err;

    vex_log_set(VEX_LOG_INFO, true);
    catch_start();
    vex_warn("api", "say \"%s\" \\ \x01\n\xfe", "\xc3\xa9");
    catch_end();
    vex_log_set(VEX_LOG_INFO, false);
    CU_ASSERT_EQUAL(vex_json_parse(parser, caught, strlen(caught), &doc, &err), 0);
    CU_ASSERT(vex_json_get(doc, "message", &field));
    CU_ASSERT(vex_str_eq_c(vex_json_str(field), "say \"\xc3\xa9\" \\ \x01\n\xef\xbf\xbd"));
    CU_ASSERT(vex_json_get(doc, "level", &field) && vex_str_eq_c(vex_json_str(field), "WARN"));
    CU_ASSERT(vex_json_get(doc, "area", &field) && vex_str_eq_c(vex_json_str(field), "api"));
    CU_ASSERT(vex_json_get(doc, "time", &field) && vex_json_str(field).len == 24);
    vex_json_parser_free(parser);
}

/* Longer than any buffer, and every byte grows when escaped: still one line that ends as it should. */
static void test_long(void)
{
    static char text[20000];

    memset(text, '\x01', sizeof text - 1);
    for (int json = 0; json < 2; json++) {
        size_t len;
        vex_log_set(VEX_LOG_INFO, json);
        catch_start();
        vex_info("a", "%s", text);
        len = catch_end();
        CU_ASSERT(len > 4096 && len <= 8192);
        CU_ASSERT_EQUAL(strchr(caught, '\n') - caught, (ptrdiff_t)len - 1);
        CU_ASSERT_EQUAL(strncmp(caught + len - 3, json ? "\"}\n" : "01\n", 3), 0);
    }
    vex_log_set(VEX_LOG_INFO, false);
}

int main(void)
{
    CU_TestInfo tests[] = {{"levels", test_levels},
                           {"text", test_text_form},
                           {"json", test_json_form},
                           {"long", test_long},
                           CU_TEST_INFO_NULL};
    return run_suite("log", tests);
}
