/* where and where_document against payloads: what matches, what is refused. */
#include "api/chroma/internal.h"

#include <stdlib.h>

#include <CUnit/Basic.h>

#include "base/json_read.h"
#include "engine/filter/match.h"
#include "engine/point/value_json.h"

static struct vex_arena arena;
static struct vex_json_parser *parser;

static struct vex_value value_of(const char *json)
{
    struct vex_value none = {NULL};
    struct vex_json v;
    struct vex_err err;
    struct vex_buf out;

    if (json == NULL)
        return none;
    if (vex_json_parse(parser, json, strlen(json), &v, &err) < 0)
        abort();
    vex_buf_init(&out, &arena);
    if (vex_value_from_json(&out, v, &err) < 0)
        abort();
    return (struct vex_value){(const uint8_t *)out.ptr};
}

/* 1: matches, 0: does not, negative: refused. */
static int matches(const char *payload, const char *where, const char *where_document, struct vex_err *err)
{
    struct vex_filter_binding binding = {.arena = &arena};
    struct vex_filter *filter = NULL;
    int rc = vex_chroma_filter(&arena, NULL, value_of(where), value_of(where_document), &filter, err);

    if (rc < 0)
        return rc;
    if ((rc = vex_filter_bind(filter, &binding, err)) < 0)
        return rc;
    struct vex_match_point point = {.id = vex_id_num(1), .payload = value_of(payload)};
    bool yes = vex_filter_match(filter, &point);
    vex_filter_unbind(&binding);
    return yes;
}

struct row {
    const char *payload, *where, *where_document;
    int wanted;
};

static const struct row rows[] = {
#define ONE                                                                                                  \
    "{\"n\": 1, \"f\": 1.5, \"s\": \"x\", \"t\": true, \"a\": [1, 2], \"chroma:document\": \"Alpha 50%\"}"
    {ONE, "{\"n\": 1}", NULL, 1},
    {ONE, "{\"n\": 1.0}", NULL, 1},
    {ONE, "{\"n\": 2}", NULL, 0},
    {ONE, "{\"n\": {\"$ne\": 1}}", NULL, 0},
    {ONE, "{\"none\": {\"$ne\": 1}}", NULL, 1},
    {ONE, "{\"n\": {\"$gt\": 0.5}}", NULL, 1},
    {ONE, "{\"n\": {\"$lte\": 0}}", NULL, 0},
    {ONE, "{\"n\": {\"$lt\": 1}}", NULL, 0},
    {ONE, "{\"n\": {\"$lte\": 1}}", NULL, 1},
    {ONE, "{\"n\": {\"$gt\": 1}}", NULL, 0},
    {ONE, "{\"n\": {\"$gte\": 1}}", NULL, 1},
    {ONE, "{\"a\": {\"$gt\": 0}}", NULL, 0},
    {ONE, "{\"a\": 1}", NULL, 0},
    {ONE, "{\"s\": {\"$in\": [\"y\", \"x\"]}}", NULL, 1},
    {ONE, "{\"n\": {\"$nin\": [1, 2]}}", NULL, 0},
    {ONE, "{\"f\": {\"$in\": [1, 1.5]}}", NULL, 1},
    {ONE, "{\"t\": true}", NULL, 1},
    {ONE, "{\"t\": false}", NULL, 0},
    {ONE, "{\"t\": {\"$ne\": false}}", NULL, 1},
    {ONE, "{\"a\": {\"$contains\": 2}}", NULL, 1},
    {ONE, "{\"a\": {\"$contains\": 2.0}}", NULL, 0},
    {ONE, "{\"n\": {\"$contains\": 1}}", NULL, 0},
    {ONE, "{\"n\": {\"$not_contains\": 1}}", NULL, 1},
    {ONE, "{\"$and\": []}", NULL, 1},
    {ONE, "{\"$or\": []}", NULL, 0},
    {ONE, "{\"$or\": [{\"n\": 5}, {\"$and\": [{\"n\": 1}, {\"s\": \"x\"}]}]}", NULL, 1},
    {ONE, "{\"#document\": {\"$contains\": \"Alpha\"}}", NULL, 1},
    {ONE, NULL, "{\"$contains\": \"alpha\"}", 0},
    {ONE, NULL, "{\"$contains\": \"50%\"}", 1},
    {ONE, NULL, "{\"$contains\": \"\"}", 1},
    {"{\"n\": 1}", NULL, "{\"$contains\": \"\"}", 0},
    {"{\"n\": 1}", NULL, "{\"$not_contains\": \"x\"}", 1},
    {"{\"n\": 1}", NULL, "{\"$not_regex\": \"x\"}", 1},
    {ONE, NULL, "{\"$regex\": \"(?i)^alpha\"}", 1},
    {ONE, NULL, "{\"$not_regex\": \"[0-9]+\"}", 0},
    {ONE, NULL, "{\"$and\": [{\"$contains\": \"A\"}, {\"$not_contains\": \"zz\"}]}", 1},
    {ONE, "{\"n\": 1}", "{\"$contains\": \"zz\"}", 0},
    /* a key is one name, whatever it holds */
    {"{\"a.b\": 1}", "{\"a.b\": 1}", NULL, 1},
    {"{\"a\": {\"b\": 1}}", "{\"a.b\": 1}", NULL, 0},
    /* refused */
    {ONE, "{}", NULL, -1},
    {ONE, "{\"n\": 1, \"s\": \"x\"}", NULL, -1},
    {ONE, "{\"n\": null}", NULL, -1},
    {ONE, "{\"n\": [1]}", NULL, -1},
    {ONE, "{\"n\": {}}", NULL, -1},
    {ONE, "{\"n\": {\"$gt\": 1, \"$lt\": 3}}", NULL, -1},
    {ONE, "{\"s\": {\"$gt\": \"a\"}}", NULL, -1},
    {ONE, "{\"n\": {\"$in\": []}}", NULL, -1},
    {ONE, "{\"n\": {\"$in\": [1, \"x\"]}}", NULL, -1},
    {ONE, "{\"n\": {\"$in\": 1}}", NULL, -1},
    {ONE, "{\"n\": {\"$eq\": [1]}}", NULL, -1},
    {ONE, "{\"n\": {\"$zz\": 1}}", NULL, -1},
    {ONE, "{\"$and\": {\"n\": 1}}", NULL, -1},
    {ONE, "{\"$not\": [{\"n\": 1}]}", NULL, -1},
    {ONE, "{\"#id\": \"a\"}", NULL, -1},
    {ONE, "[]", NULL, -1},
    {ONE, NULL, "{}", -1},
    {ONE, NULL, "{\"$contains\": 1}", -1},
    {ONE, NULL, "{\"zz\": \"a\"}", -1},
    {ONE, NULL, "{\"$regex\": \"(\"}", -1},
    {ONE, NULL, "{\"$regex\": \"(?=a)\"}", -1},
};

static void test_rows(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vex_err err = {0};
        int got = matches(rows[i].payload, rows[i].where, rows[i].where_document, &err);
        if ((rows[i].wanted < 0) != (got < 0) || (got >= 0 && got != rows[i].wanted)) {
            fprintf(stderr, "row %zu: %s %s gives %d %s\n", i, rows[i].where != NULL ? rows[i].where : "",
                    rows[i].where_document != NULL ? rows[i].where_document : "", got, err.text);
            CU_FAIL("a clause matches wrongly");
        }
        if (got < 0)
            CU_ASSERT_EQUAL(vex_err_class(got)->http_status, 400);
        vex_arena_reset(&arena);
    }
}

static void test_texts(void)
{
    struct vex_err err = {0};

    matches("{}", "{}", NULL, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "Invalid where clause");
    matches("{}", NULL, "{}", &err);
    CU_ASSERT_STRING_EQUAL(err.text, "Invalid where document clause");
    matches("{}", NULL, "{\"$regex\": \"(\"}", &err);
    CU_ASSERT(strncmp(err.text, "Regex syntax errror: regex parse error:\n    (\n", 45) == 0);
}

/* What a schema switches off is refused, by type. */
static void test_disabled(void)
{
    struct vex_chroma_config chroma = {
        .schema = value_of(
            "{\"keys\": {\"n\": {\"int\": {\"int_inverted_index\": {\"enabled\": false, \"config\": {}}}},"
            "\"#document\": {\"string\": {\"fts_index\": {\"enabled\": false, \"config\": {}}}}}}")};
    struct vex_filter *filter;
    struct vex_err err = {0};

    CU_ASSERT(vex_chroma_filter(&arena, &chroma, value_of("{\"n\": 1}"), value_of(NULL), &filter, &err) < 0);
    CU_ASSERT_STRING_EQUAL(
        err.text, "Cannot filter using metadata key 'n' with type 'int' because indexing is disabled");
    CU_ASSERT_EQUAL(
        vex_chroma_filter(&arena, &chroma, value_of("{\"n\": \"1\"}"), value_of(NULL), &filter, &err), 0);
    CU_ASSERT_EQUAL(vex_chroma_filter(&arena, &chroma, value_of("{\"m\": 1}"), value_of(NULL), &filter, &err),
                    0);
    CU_ASSERT(vex_chroma_filter(&arena, &chroma, value_of(NULL), value_of("{\"$contains\": \"a\"}"), &filter,
                                &err) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "fts"));
}

static void check_name(const char *name, bool good)
{
    struct vex_err err = {0};

    if ((vex_chroma_check_name(vex_str_c(name), &err) == 0) != good) {
        fprintf(stderr, "name %s: %s\n", name, err.text);
        CU_FAIL("a name is judged wrongly");
    }
}

static void test_names(void)
{
    char longest[514];

    memset(longest, 'a', sizeof longest);
    longest[512] = '\0';
    check_name(longest, true);
    longest[512] = 'a';
    longest[513] = '\0';
    check_name(longest, false);
    check_name("abc", true);
    check_name("a-b_c.d", true);
    check_name("abc+def", true);
    check_name("abc+def+ghi", false);
    check_name("abc+d", false);
    check_name("ab", false);
    check_name("a..b", false);
    check_name("-abc", false);
    check_name("abc.", false);
    check_name("a b", false);
    check_name("127.0.0.1", false);
    check_name("127.0.0.1.2", true);
    check_name("caf\xc3\xa9", false);
}

int main(void)
{
    vex_arena_init(&arena, 0);
    parser = vex_json_parser_new();
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("api/chroma", NULL, NULL);
    CU_add_test(suite, "clauses", test_rows);
    CU_add_test(suite, "texts of refusals", test_texts);
    CU_add_test(suite, "disabled indexes", test_disabled);
    CU_add_test(suite, "names", test_names);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_json_parser_free(parser);
    vex_arena_done(&arena);
    return failed != 0;
}
