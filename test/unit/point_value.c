/* Payload values: writing, reading, checking hostile bytes, equality, merging. */
#include <CUnit/Basic.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "engine/point/value_json.h"
#include "engine/point/value_keys.h"

static struct vex_json_parser *parser;

static void from_json(struct vex_buf *out, const char *text)
{
    struct vex_json v;
    struct vex_err err;

    vex_buf_init(out, NULL);
    CU_ASSERT_FATAL(vex_json_parse(parser, text, strlen(text), &v, &err) == 0);
    CU_ASSERT_FATAL(vex_value_from_json(out, v, &err) == 0);
}

static struct vex_value view(const struct vex_buf *buf)
{
    return (struct vex_value){(const uint8_t *)buf->ptr};
}

static void test_scalars(void)
{
    static const int64_t ints[] = {0,          1,         23, 24,  255, 256,  65535, 65536,    4294967295,
                                   4294967296, INT64_MAX, -1, -24, -25, -256, -257,  INT64_MIN};
    struct vex_buf out;

    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        vex_buf_init(&out, NULL);
        vex_value_put_int(&out, ints[i]);
        CU_ASSERT(vex_value_check(out.ptr, out.len, false));
        CU_ASSERT_EQUAL(vex_value_kind(view(&out)), VEX_VALUE_INT);
        CU_ASSERT_EQUAL(vex_value_int(view(&out)), ints[i]);
        CU_ASSERT_EQUAL(vex_value_double(view(&out)), (double)ints[i]);
        CU_ASSERT_EQUAL(vex_value_size(view(&out)), out.len);
        vex_buf_done(&out);
    }
    vex_buf_init(&out, NULL);
    vex_value_put_uint(&out, UINT64_MAX);
    CU_ASSERT_EQUAL(vex_value_kind(view(&out)), VEX_VALUE_UINT);
    CU_ASSERT_EQUAL(vex_value_uint(view(&out)), UINT64_MAX);
    out.len = 0;
    vex_value_put_uint(&out, 5); /* small unsigned ones are ints */
    CU_ASSERT_EQUAL(vex_value_kind(view(&out)), VEX_VALUE_INT);
    out.len = 0;
    vex_value_put_double(&out, -0.5);
    CU_ASSERT_EQUAL(vex_value_kind(view(&out)), VEX_VALUE_DOUBLE);
    CU_ASSERT_EQUAL(vex_value_double(view(&out)), -0.5);
    CU_ASSERT(vex_value_check(out.ptr, out.len, false));
    CU_ASSERT_FALSE(vex_value_check(out.ptr, out.len, true)); /* a payload is a map */
    vex_buf_done(&out);
}

static void test_get(void)
{
    struct vex_buf out;
    struct vex_value v;
    struct vex_value_iter it;
    size_t members = 0;

    from_json(&out, "{\"a\":[1,{\"x\":[true,null]},\"text\"],\"b\":{\"c\":{\"d\":7}},\"\":2.5,\"e\":false}");
    v = vex_value_get(vex_value_get(vex_value_get(view(&out), VEX_STR("b")), VEX_STR("c")), VEX_STR("d"));
    CU_ASSERT_FATAL(v.at != NULL);
    CU_ASSERT_EQUAL(vex_value_int(v), 7);
    CU_ASSERT_EQUAL(vex_value_double(vex_value_get(view(&out), VEX_STR(""))), 2.5);
    CU_ASSERT_EQUAL(vex_value_bool(vex_value_get(view(&out), VEX_STR("e"))), false);
    CU_ASSERT_PTR_NULL(vex_value_get(view(&out), VEX_STR("d")).at);
    CU_ASSERT_PTR_NULL(vex_value_get(vex_value_get(view(&out), VEX_STR("a")), VEX_STR("x")).at);
    CU_ASSERT_PTR_NULL(vex_value_get((struct vex_value){NULL}, VEX_STR("x")).at);
    CU_ASSERT_EQUAL(vex_value_depth(view(&out)), 4);
    for (it = vex_value_iter(view(&out)); vex_value_next(&it);)
        members++;
    CU_ASSERT_EQUAL(members, 4);
    CU_ASSERT_EQUAL(vex_value_count(view(&out)), 4);
    CU_ASSERT_EQUAL(vex_value_size(view(&out)), out.len);
    vex_buf_done(&out);
}

static void test_bad_bytes(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},
        {"\x18\x17", 2},                                  /* 23 in two bytes */
        {"\x19\x00\xff", 3},                              /* 255 in three */
        {"\x1a\x00\x00\xff\xff", 5},                      /* 65535 in five */
        {"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", 9},      /* 2^32 - 1 in nine */
        {"\x1b\x00\x00\x00\x01", 5},                      /* short head */
        {"\x3b\x80\x00\x00\x00\x00\x00\x00\x00", 9},      /* below int64 */
        {"\x41x", 2},                                     /* byte string */
        {"\xc1\x01", 2},                                  /* tag */
        {"\xf7", 1},                                      /* undefined */
        {"\xf8\xff", 2},                                  /* other simple value */
        {"\xf9\x00\x00", 3},                              /* half float */
        {"\xfa\x00\x00\x00\x00", 5},                      /* single float */
        {"\x9f\x01\xff", 3},                              /* indefinite array */
        {"\x62x", 2},                                     /* text beyond the end */
        {"\x61\xe9", 2},                                  /* not UTF-8 */
        {"\x7b\xff\xff\xff\xff\xff\xff\xff\xffx", 10},    /* huge text */
        {"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10}, /* huge array */
        {"\xbb\x80\x00\x00\x00\x00\x00\x00\x00", 9},      /* huge map: twice the count overflows */
        {"\x82\x01", 2},                                  /* array that lacks an element */
        {"\xa1\x61x", 3},                                 /* map that lacks a value */
        {"\xa1\x01\x02", 3},                              /* key that is no text */
        {"\x01\x02", 2},                                  /* two values */
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *copy =
            malloc(bad[i].len + 1); /* of exact size behind the first byte: a read beyond it is seen */
        memcpy(copy + 1, bad[i].bytes, bad[i].len);
        if (vex_value_check(copy + 1, bad[i].len, false))
            fprintf(stderr, "bad bytes %zu were taken\n", i);
        CU_ASSERT_FALSE(vex_value_check(copy + 1, bad[i].len, false));
        free(copy);
    }
    CU_ASSERT(vex_value_check("\xa1\x61x\xf6", 4, true));
    CU_ASSERT_FALSE(vex_value_check("\xf6", 1, true));
}

static void test_depth(void)
{
    struct vex_buf out;

    vex_buf_init(&out, NULL);
    for (int i = 0; i < VEX_VALUE_DEPTH_MAX; i++)
        vex_value_put_array(&out, 1);
    vex_value_put_null(&out);
    CU_ASSERT(vex_value_check(out.ptr, out.len, false));
    CU_ASSERT_EQUAL(vex_value_depth(view(&out)), VEX_VALUE_DEPTH_MAX);
    out.len = 0;
    for (int i = 0; i <= VEX_VALUE_DEPTH_MAX; i++)
        vex_value_put_array(&out, 1);
    vex_value_put_null(&out);
    CU_ASSERT_FALSE(vex_value_check(out.ptr, out.len, false));
    vex_buf_done(&out);
}

static void check_eq(const char *a, const char *b, bool wanted)
{
    struct vex_buf x, y;

    from_json(&x, a);
    from_json(&y, b);
    CU_ASSERT_EQUAL(vex_value_eq(view(&x), view(&y)), wanted);
    CU_ASSERT_EQUAL(vex_value_eq(view(&y), view(&x)), wanted);
    vex_buf_done(&x);
    vex_buf_done(&y);
}

static void test_eq(void)
{
    check_eq("{\"a\":1,\"b\":[1,2.5,\"x\"]}", "{\"b\":[1,2.5,\"x\"],\"a\":1}", true);
    check_eq("1", "1.0", false);
    check_eq("1", "-2", false); /* the same argument in their heads */
    check_eq("0.0", "-0.0", true);
    check_eq("true", "false", false);
    check_eq("null", "false", false);
    check_eq("[1,2]", "[2,1]", false);
    check_eq("[1]", "[1,2]", false);
    check_eq("{\"a\":1}", "{\"b\":1}", false);
    check_eq("{\"a\":1}", "{\"a\":1,\"b\":1}", false);
    check_eq("18446744073709551615", "18446744073709551614", false);
}

static void check_merge(const char *old, const char *patch, bool nulls_delete, const char *wanted)
{
    struct vex_buf a, b, w, out, text;
    struct vex_jw jw;

    from_json(&a, old != NULL ? old : "{}");
    from_json(&b, patch);
    from_json(&w, wanted);
    vex_buf_init(&out, NULL);
    vex_payload_merge(&out, old != NULL ? view(&a) : (struct vex_value){NULL}, view(&b), nulls_delete);
    CU_ASSERT_FATAL(vex_value_check(out.ptr, out.len, true));
    vex_buf_init(&text, NULL);
    jw = vex_jw(&text);
    vex_value_to_json(&jw, view(&out));
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&text), wanted)); /* order of keys included */
    vex_buf_done(&text);
    vex_buf_done(&a);
    vex_buf_done(&b);
    vex_buf_done(&w);
    vex_buf_done(&out);
}

static void test_merge(void)
{
    check_merge(NULL, "{\"a\":1}", false, "{\"a\":1}");
    check_merge("{\"a\":1,\"b\":2}", "{\"c\":3,\"a\":[9]}", false, "{\"a\":[9],\"b\":2,\"c\":3}");
    check_merge("{\"a\":1,\"b\":2}", "{\"a\":null,\"x\":null}", false, "{\"a\":null,\"b\":2,\"x\":null}");
    check_merge("{\"a\":1,\"b\":2}", "{\"a\":null,\"x\":null,\"y\":1}", true, "{\"b\":2,\"y\":1}");
    check_merge("{\"a\":{\"x\":1}}", "{\"a\":{\"y\":1}}", true, "{\"a\":{\"y\":1}}"); /* the top level only */
    check_merge("{}", "{}", true, "{}");
}

/* Large maps go through a hash table: as many keys on both sides, half of them in common, must neither differ
 * nor take ages. */
static void test_merge_large(void)
{
    enum { KEYS = 40000 };
    struct vex_buf old, patch, out;
    char key[16];

    vex_buf_init(&old, NULL);
    vex_buf_init(&patch, NULL);
    vex_buf_init(&out, NULL);
    vex_value_put_map(&old, KEYS);
    vex_value_put_map(&patch, KEYS);
    for (int i = 0; i < KEYS; i++) {
        vex_value_put_text(&old, vex_str(key, (size_t)snprintf(key, sizeof key, "k%d", i)));
        vex_value_put_int(&old, i);
        vex_value_put_text(&patch, vex_str(key, (size_t)snprintf(key, sizeof key, "k%d", i + KEYS / 2)));
        if (i % 2 == 0)
            vex_value_put_null(&patch);
        else
            vex_value_put_int(&patch, -i);
    }
    vex_payload_merge(&out, view(&old), view(&patch), true);
    CU_ASSERT_FATAL(vex_value_check(out.ptr, out.len, true));
    CU_ASSERT_EQUAL(vex_value_count(view(&out)), KEYS);
    CU_ASSERT_EQUAL(vex_value_int(vex_value_get(view(&out), VEX_STR("k19999"))), 19999);
    CU_ASSERT_EQUAL(vex_value_int(vex_value_get(view(&out), VEX_STR("k20001"))), -1);
    CU_ASSERT_PTR_NULL(vex_value_get(view(&out), VEX_STR("k20002")).at);
    CU_ASSERT(vex_value_eq(view(&out), view(&out)));
    CU_ASSERT_FALSE(vex_value_eq(view(&old), view(&patch)));
    vex_buf_done(&old);
    vex_buf_done(&patch);
    vex_buf_done(&out);
}

/* Of members with one key the first is seen, by the walk and by the table alike. */
static void test_duplicates(void)
{
    for (int members = 2; members <= 66; members += 64) {
        struct vex_value_keys keys;
        struct vex_buf map;

        vex_buf_init(&map, NULL);
        vex_value_put_map(&map, (size_t)members);
        for (int i = 0; i < members; i++) {
            vex_value_put_text(&map, VEX_STR("k"));
            vex_value_put_int(&map, i);
        }
        vex_value_keys_init(&keys, view(&map));
        CU_ASSERT_EQUAL(vex_value_int(vex_value_keys_get(&keys, VEX_STR("k"))), 0);
        CU_ASSERT_PTR_NULL(vex_value_keys_get(&keys, VEX_STR("l")).at);
        vex_value_keys_done(&keys);
        vex_buf_done(&map);
    }
}

int main(void)
{
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    parser = vex_json_parser_new();
    suite = CU_add_suite("point_value", NULL, NULL);
    CU_add_test(suite, "scalars", test_scalars);
    CU_add_test(suite, "members", test_get);
    CU_add_test(suite, "bad bytes", test_bad_bytes);
    CU_add_test(suite, "depth", test_depth);
    CU_add_test(suite, "equality", test_eq);
    CU_add_test(suite, "merge", test_merge);
    CU_add_test(suite, "merge of large maps", test_merge_large);
    CU_add_test(suite, "duplicate keys", test_duplicates);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_json_parser_free(parser);
    return failed != 0;
}
