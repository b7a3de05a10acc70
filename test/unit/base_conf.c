/* Configuration: the order of its sources, names, and what is refused. Nothing here depends on the number of
 * settings. */
#include "base/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base_suite.h"

static struct vex_err err;
static char folder[] = "/tmp/vex-conf-XXXXXX";

static const char *write_file(const char *text)
{
    static char path[64];
    FILE *file;

    snprintf(path, sizeof path, "%s/config.yaml", folder);
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return path;
}

static void test_built_in(void)
{
    struct vex_conf *conf = vex_conf_new();

    /* Every built-in text fits its kind: the getter of the kind gives what the text says. */
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), 6333);
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_HOST), "127.0.0.1");
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_API_KEY), "");
    CU_ASSERT(vex_conf_bool(conf, VEX_CONF_CORS));
    for (int i = 0; i < VEX_CONF_COUNT; i++)
        CU_ASSERT_PTR_NOT_NULL(vex_conf_str(conf, i));
    vex_conf_free(conf);
    vex_conf_free(NULL);
}

static void test_env(void)
{
    struct vex_conf *conf = vex_conf_new();
    char *env[] = {"QDRANT__SERVICE__HTTP_PORT=7000",
                   "vexfs__service__grpc_port=7001",
                   "QDRANT__LOG_LEVEL=debug",
                   "VEXFS__STORAGE__WAL__WAL_CAPACITY_MB=64",
                   "CHROMA_PORT=9001",
                   "ALLOW_RESET=TRUE",
                   "VEXFS_DATA_DIR=/alias",
                   "QDRANT__STORAGE__STORAGE_PATH=/full",
                   "NOEQUALS",
                   "=odd",
                   "PATH=/bin",
                   "QDRANT__NO__SUCH=1",
                   "QDRANT__=1",
                   "chroma_port=1",
                   NULL};

    CU_ASSERT_EQUAL(vex_conf_env(conf, env, &err), 0);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), 7000);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_GRPC_PORT), 7001);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_WAL_MB), 64);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_CHROMA_PORT), 9001); /* aliases in exact case only */
    CU_ASSERT(vex_conf_bool(conf, VEX_CONF_CHROMA_RESET));
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_LOG_LEVEL), "debug");
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_DATA_DIR), "/full");
    vex_conf_free(conf);
}

static void test_env_bad(void)
{
    struct vex_conf *conf = vex_conf_new();
    char *port[] = {"QDRANT__SERVICE__HTTP_PORT=ten", NULL}, *alias[] = {"CHROMA_PORT=-1", NULL},
         *truth[] = {"VEXFS__SERVICE__ENABLE_CORS=maybe", NULL};

    CU_ASSERT_EQUAL(vex_conf_env(conf, port, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(
        err.text, "environment QDRANT__SERVICE__HTTP_PORT: setting service.http_port: \"ten\" is not "
                  "a whole number");
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), 6333);
    CU_ASSERT_EQUAL(vex_conf_env(conf, alias, &err), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(vex_conf_env(conf, truth, &err), VEX_EBAD_INPUT);
    CU_ASSERT(vex_conf_bool(conf, VEX_CONF_CORS));
    vex_conf_free(conf);
}

/* What the test says on standard error while fn runs. */
static void warnings_of(struct vex_conf *conf, char **env, char *text, size_t size)
{
    int saved = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    size_t n;

    dup2(fileno(file), STDERR_FILENO);
    CU_ASSERT_EQUAL(vex_conf_env(conf, env, &err), 0);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    n = fread(text, 1, size - 1, file);
    text[n] = '\0';
    fclose(file);
}

static void test_env_unknown_is_told(void)
{
    struct vex_conf *conf = vex_conf_new();
    char *env[] = {"QDRANT__SERVICE__HTTP_PRT=secret", "HOME=/root", NULL}, text[2000];

    warnings_of(conf, env, text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "WARN conf: environment QDRANT__SERVICE__HTTP_PRT"));
    CU_ASSERT_PTR_NULL(strstr(text, "secret"));
    CU_ASSERT_PTR_NULL(strstr(text, "HOME"));
    vex_conf_free(conf);
}

static void test_file(void)
{
    struct vex_conf *conf = vex_conf_new();

    CU_ASSERT_EQUAL(vex_conf_file(conf, "/nowhere/config.yaml", &err), VEX_ENOT_FOUND);
    CU_ASSERT_EQUAL(
        vex_conf_file(
            conf,
            write_file("# comment\nlog_level: WARN\nservice:\n  http_port: 7100\n  api_key: \"12\\u00e9\"\n"
                       "  enable_cors: false\n  host: ~\n  grpc_port:\nstorage:\n"
                       "  wal: {wal_capacity_mb: 8}\n  list: [1, 2]\n  unknown: 3\n"),
            &err),
        0);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), 7100);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_GRPC_PORT), 6334); /* null: unchanged */
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_HOST), "127.0.0.1");
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_WAL_MB), 8);
    CU_ASSERT(!vex_conf_bool(conf, VEX_CONF_CORS));
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_API_KEY), "12\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_LOG_LEVEL), "WARN");
    CU_ASSERT_EQUAL(vex_conf_file(conf, write_file(""), &err), 0);
    CU_ASSERT_EQUAL(vex_conf_file(conf, write_file("# nothing\n"), &err), 0);
    CU_ASSERT_EQUAL(vex_conf_file(conf, write_file("a: &x {http_port: 7200}\nservice: *x\n"), &err), 0);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), 7200);
    vex_conf_free(conf);
}

static void test_file_bad(void)
{
    struct vex_conf *conf = vex_conf_new();

    CU_ASSERT_EQUAL(vex_conf_file(conf, write_file("service:\n  http_port: many\n"), &err), VEX_EBAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "service.http_port"));
    CU_ASSERT_EQUAL(vex_conf_file(conf, write_file("service: {http_port: 1\n"), &err), VEX_EBAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "config.yaml:"));
    CU_ASSERT_EQUAL(vex_conf_file(conf, write_file("- 1\n"), &err), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(vex_conf_file(conf, write_file("service:\n  ? [1]\n  : 2\n"), &err), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), 6333);
    vex_conf_free(conf);
}

static void test_flags(void)
{
    struct vex_conf *conf = vex_conf_new();
    char *argv[] = {"server",    "--data-dir", "/d", "--http-port=7300", "--config-path", "c.yaml",
                    "--salvage", "--version",  NULL};
    char *bad[][3] = {{"s", "--no-such", NULL},
                      {"s", "stray", NULL},
                      {"s", "--data-dir", NULL},
                      {"s", "--http-port=x", NULL},
                      {"s", "--config-path", NULL},
                      {"s", "--help=1", NULL},
                      {"s", "--", NULL}};
    char *rest[8];
    int count = 9;

    CU_ASSERT_EQUAL(vex_conf_flags(conf, 8, argv, rest, &count, &err), 0);
    CU_ASSERT_STRING_EQUAL(vex_conf_str(conf, VEX_CONF_DATA_DIR), "/d");
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), 7300);
    CU_ASSERT(vex_conf_bool(conf, VEX_CONF_SALVAGE));
    CU_ASSERT_EQUAL(count, 3);
    CU_ASSERT_STRING_EQUAL(rest[0], "--config-path");
    CU_ASSERT_STRING_EQUAL(rest[1], "c.yaml");
    CU_ASSERT_STRING_EQUAL(rest[2], "--version");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(vex_conf_flags(conf, 2, bad[i], rest, &count, &err), VEX_EBAD_INPUT);
    vex_conf_free(conf);
}

static void test_set_and_help(void)
{
    struct vex_conf *conf = vex_conf_new();
    char *help = vex_conf_help();

    CU_ASSERT_EQUAL(vex_conf_set(conf, "no.such", "1", &err), VEX_ENOT_FOUND);
    CU_ASSERT_EQUAL(vex_conf_set(conf, "Service.Http_Port", "18446744073709551615", &err), 0);
    CU_ASSERT_EQUAL(vex_conf_u64(conf, VEX_CONF_HTTP_PORT), UINT64_MAX);
    CU_ASSERT_EQUAL(vex_conf_set(conf, "service.http_port", "18446744073709551616", &err), VEX_EBAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(help, "--http-port VALUE"));
    CU_ASSERT_PTR_NOT_NULL(strstr(help, "(default 6333)"));
    CU_ASSERT_PTR_NULL(strstr(help, "api_key"));
    free(help);
    vex_conf_free(conf);
}

int main(void)
{
    CU_TestInfo tests[] = {{"built-in", test_built_in},
                           {"environment", test_env},
                           {"bad environment", test_env_bad},
                           {"unknown names are told", test_env_unknown_is_told},
                           {"file", test_file},
                           {"bad file", test_file_bad},
                           {"flags", test_flags},
                           {"set and help", test_set_and_help},
                           CU_TEST_INFO_NULL};
    int rc;

    if (mkdtemp(folder) == NULL)
        return 1;
    rc = run_suite("conf", tests);
    unlink(write_file(""));
    rmdir(folder);
    return rc;
}
