/* Payload paths: what the oracle's cases do not reach: limits, bytes, literal keys, many paths at once. */
#include <CUnit/Basic.h>
#include <stdlib.h>

#include "engine/point/path.h"
#include "engine/point/value_json.h"

static struct vex_json_parser *parser;
static struct vex_arena arena;

static struct vex_value value_of(const char *text)
{
    struct vex_json v;
    struct vex_err err;
    struct vex_buf out;

    vex_buf_init(&out, &arena);
    CU_ASSERT_FATAL(vex_json_parse(parser, text, strlen(text), &v, &err) == 0);
    CU_ASSERT_FATAL(vex_value_from_json(&out, v, &err) == 0);
    return (struct vex_value){(const uint8_t *)out.ptr};
}

static struct vex_path path_of(const char *text)
{
    struct vex_path path = {.count = 0};
    struct vex_err err;

    CU_ASSERT_FATAL(vex_path_parse(&arena, vex_str_c(text), &path, &err) == 0);
    return path;
}

static int count_value(void *arg, struct vex_value v)
{
    (void)v;
    ++*(int *)arg;
    return *(int *)arg == 3 ? 7 : 0;
}

static void test_each_stops(void)
{
    struct vex_path path = path_of("a[].b[]");
    struct vex_value v = value_of("{\"a\":[{\"b\":[1,2]},{\"b\":[3,4]}]}");
    int count = 0;

    CU_ASSERT_EQUAL(vex_path_each(&path, v, count_value, &count), 7);
    CU_ASSERT_EQUAL(count, 3);
    count = 0;
    CU_ASSERT_EQUAL(vex_path_each(&path, (struct vex_value){NULL}, count_value, &count), 0);
    CU_ASSERT_EQUAL(count, 0);
}

static void test_errors(void)
{
    struct vex_path path;
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_path_parse(&arena, VEX_STR("a["), &path, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Invalid json path: 'a['");
    CU_ASSERT_EQUAL(vex_path_parse(&arena, VEX_STR(""), &path, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Invalid json path: ''");
    CU_ASSERT_EQUAL(vex_path_parse(&arena, VEX_STR("\"\xff\""), &path, &err), VEX_EBAD_INPUT);
}

static void test_limits(void)
{
    char *text = malloc(VEX_PATH_TEXT_MAX + 1);
    struct vex_path path;
    struct vex_err err;

    memset(text, '_', VEX_PATH_TEXT_MAX + 1);
    CU_ASSERT_EQUAL(vex_path_parse(&arena, vex_str(text, VEX_PATH_TEXT_MAX), &path, &err), 0);
    CU_ASSERT_EQUAL(vex_path_parse(&arena, vex_str(text, VEX_PATH_TEXT_MAX + 1), &path, &err),
                    VEX_EBAD_INPUT);
    for (size_t i = 0; i < VEX_PATH_STEPS_MAX; i++)
        memcpy(text + 2 * i, "a.", 2);
    CU_ASSERT_EQUAL(vex_path_parse(&arena, vex_str(text, 2 * VEX_PATH_STEPS_MAX - 1), &path, &err), 0);
    CU_ASSERT_EQUAL(path.count, VEX_PATH_STEPS_MAX);
    text[2 * VEX_PATH_STEPS_MAX] = 'a';
    CU_ASSERT_EQUAL(vex_path_parse(&arena, vex_str(text, 2 * VEX_PATH_STEPS_MAX + 1), &path, &err),
                    VEX_EBAD_INPUT);
    text[0] = 'a';
    for (size_t i = 0; i < VEX_PATH_STEPS_MAX; i++)
        memcpy(text + 1 + 2 * i, "[]", 2);
    CU_ASSERT_EQUAL(vex_path_parse(&arena, vex_str(text, 1 + 2 * (VEX_PATH_STEPS_MAX - 1)), &path, &err), 0);
    CU_ASSERT_EQUAL(vex_path_parse(&arena, vex_str(text, 1 + 2 * VEX_PATH_STEPS_MAX), &path, &err),
                    VEX_EBAD_INPUT);
    free(text);
}

static void test_literal_key(void)
{
    struct vex_path path = vex_path_key(&arena, VEX_STR("a.b[0]"));
    int count = 0;

    vex_path_each(&path, value_of("{\"a.b[0]\":1,\"a\":{\"b\":[1]}}"), count_value, &count);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(path.count, 1);
}

static void test_bytes(void)
{
    struct vex_path path = path_of("a.\"b c\"[3][]"), back;
    struct vex_buf out;
    struct vex_cursor c;

    vex_buf_init(&out, &arena);
    vex_path_encode(&out, &path);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT_FATAL(vex_path_decode(&arena, &c, &back));
    CU_ASSERT(vex_str_eq(back.text, path.text));
    CU_ASSERT_EQUAL_FATAL(back.count, 4);
    CU_ASSERT(vex_str_eq_c(back.steps[1].key, "b c"));
    CU_ASSERT_EQUAL(back.steps[2].kind, VEX_STEP_INDEX);
    CU_ASSERT_EQUAL(back.steps[2].index, 3);
    CU_ASSERT_EQUAL(back.steps[3].kind, VEX_STEP_ALL);
    for (size_t len = 0; len < out.len; len++) {
        char *cut = malloc(len + 1);
        memcpy(cut + 1, out.ptr, len);
        c = vex_cursor(cut + 1, len);
        CU_ASSERT_FALSE(vex_path_decode(&arena, &c, &back));
        free(cut);
    }
    c = vex_cursor("\0\0\0\0\xff\xff\xff\xff", 8); /* more steps than are taken */
    CU_ASSERT_FALSE(vex_path_decode(&arena, &c, &back));
    c = vex_cursor("\0\0\0\0\1\0\0\0\3", 9); /* no such step */
    CU_ASSERT_FALSE(vex_path_decode(&arena, &c, &back));
}

/* Setting at [] copies the patch into every element: a payload is kept from growing without bound. */
static void test_set_too_large(void)
{
    struct vex_path path = path_of("a[]");
    struct vex_buf old, patch, out;
    char *text = malloc(1 << 20);

    memset(text, 'x', 1 << 20);
    vex_buf_init(&old, &arena);
    vex_value_put_map(&old, 1);
    vex_value_put_text(&old, VEX_STR("a"));
    vex_value_put_array(&old, 100000);
    for (int i = 0; i < 100000; i++)
        vex_value_put_null(&old);
    vex_buf_init(&patch, &arena);
    vex_value_put_map(&patch, 1);
    vex_value_put_text(&patch, VEX_STR("p"));
    vex_value_put_text(&patch, vex_str(text, 1 << 20));
    free(text);
    vex_buf_init(&out, NULL);
    vex_buf_add_char(&out, 'x');
    CU_ASSERT_EQUAL(vex_payload_set_at(&out, (struct vex_value){(const uint8_t *)old.ptr}, &path,
                                       (struct vex_value){(const uint8_t *)patch.ptr}),
                    VEX_ETOO_LARGE);
    CU_ASSERT_EQUAL_FATAL(out.len, old.len + 1);
    CU_ASSERT_EQUAL(memcmp(out.ptr + 1, old.ptr, old.len), 0);
    CU_ASSERT(out.cap < 2 * (size_t)VEX_PAYLOAD_MAX + (4 << 20));
    vex_buf_done(&out);
}

static void test_set_too_deep(void)
{
    char text[2 * VEX_PATH_STEPS_MAX];
    struct vex_path path;
    struct vex_err err;
    struct vex_buf patch, out;

    for (size_t i = 0; i < VEX_PATH_STEPS_MAX; i++)
        memcpy(text + 2 * i, "a.", 2);
    CU_ASSERT_FATAL(vex_path_parse(&arena, vex_str(text, sizeof text - 1), &path, &err) == 0);
    for (unsigned depth = VEX_VALUE_DEPTH_MAX - VEX_PATH_STEPS_MAX; depth < 12; depth++) {
        bool fits = depth == VEX_VALUE_DEPTH_MAX - VEX_PATH_STEPS_MAX;
        vex_buf_init(&patch, &arena);
        for (unsigned i = 0; i < depth; i++) {
            vex_value_put_map(&patch, 1);
            vex_value_put_text(&patch, VEX_STR("p"));
        }
        vex_value_put_int(&patch, 1);
        vex_buf_init(&out, &arena);
        CU_ASSERT_EQUAL(vex_payload_set_at(&out, value_of("{\"b\":1}"), &path,
                                           (struct vex_value){(const uint8_t *)patch.ptr}),
                        fits ? 0 : VEX_ETOO_LARGE);
        CU_ASSERT(vex_value_check(out.ptr, out.len, true));
    }
}

/* Without a path it is a merge at the top. */
static void test_set_no_path(void)
{
    struct vex_path none = {.count = 0};
    struct vex_buf out;

    vex_buf_init(&out, &arena);
    CU_ASSERT_EQUAL(
        vex_payload_set_at(&out, value_of("{\"a\":1,\"b\":2}"), &none, value_of("{\"a\":null,\"c\":3}")), 0);
    CU_ASSERT(vex_value_eq((struct vex_value){(const uint8_t *)out.ptr}, value_of("{\"b\":2,\"c\":3}")));
}

static void test_absent_payload(void)
{
    struct vex_path path = path_of("a.b");
    struct vex_payload_selector all = {.kind = VEX_PAYLOAD_ALL}, none = {.kind = VEX_PAYLOAD_NONE};
    struct vex_value absent = {NULL};
    struct vex_buf out;

    vex_buf_init(&out, &arena);
    vex_payload_delete(&out, absent, &path, 1);
    vex_payload_select(&out, absent, &all);
    vex_payload_select(&out, value_of("{\"a\":1}"), &none);
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&out), "\xa0\xa0\xa0"));
    out.len = 0;
    CU_ASSERT_EQUAL(vex_payload_set_at(&out, absent, &path, value_of("{\"c\":1}")), 0);
    CU_ASSERT(
        vex_value_eq((struct vex_value){(const uint8_t *)out.ptr}, value_of("{\"a\":{\"b\":{\"c\":1}}}")));
}

/* More paths than fit on the stack; the map's head shrinks from two bytes to one. */
static void test_many_paths(void)
{
    struct vex_path paths[60];
    struct vex_payload_selector selector = {VEX_PAYLOAD_EXCLUDE, paths, 60};
    struct vex_buf payload, out;
    char key[16];

    vex_buf_init(&payload, &arena);
    vex_value_put_map(&payload, 62);
    for (int i = 0; i < 62; i++) {
        snprintf(key, sizeof key, "k%d", i);
        vex_value_put_text(&payload, vex_str_c(key));
        vex_value_put_int(&payload, i);
        if (i < 60)
            paths[i] = path_of(key);
    }
    for (int round = 0; round < 2; round++) {
        struct vex_value v = {(const uint8_t *)payload.ptr};
        vex_buf_init(&out, &arena);
        if (round == 0)
            vex_payload_select(&out, v, &selector);
        else
            vex_payload_delete(&out, v, paths, 60);
        CU_ASSERT(vex_value_check(out.ptr, out.len, true));
        CU_ASSERT(
            vex_value_eq((struct vex_value){(const uint8_t *)out.ptr}, value_of("{\"k60\":60,\"k61\":61}")));
    }
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"each stops", test_each_stops},
        {"errors", test_errors},
        {"limits", test_limits},
        {"literal key", test_literal_key},
        {"bytes", test_bytes},
        {"set: too large", test_set_too_large},
        {"set: too deep", test_set_too_deep},
        {"set: no path", test_set_no_path},
        {"no payload", test_absent_payload},
        {"many paths", test_many_paths},
    };
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    parser = vex_json_parser_new();
    vex_arena_init(&arena, 0);
    suite = CU_add_suite("point_path", NULL, NULL);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        CU_add_test(suite, tests[i].name, tests[i].run);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_arena_done(&arena);
    vex_json_parser_free(parser);
    return failed != 0;
}
