/* Point ids: text forms, order, hash, bytes. */
#include <CUnit/Basic.h>
#include <stdlib.h>

#include "engine/point/id.h"

#define UUID "550e8400-e29b-41d4-a716-446655440000"

static void test_from_text(void)
{
    static const struct {
        const char *text;
        enum vex_id_kind kind;
    } cases[] = {
        {"0", VEX_ID_NUM},
        {"18446744073709551615", VEX_ID_NUM},
        {"18446744073709551616", VEX_ID_TEXT},
        {"007", VEX_ID_TEXT},
        {"+7", VEX_ID_TEXT},
        {"-7", VEX_ID_TEXT},
        {"", VEX_ID_TEXT},
        {UUID, VEX_ID_UUID},
        {"550E8400-e29b-41d4-a716-446655440000", VEX_ID_TEXT},
        {"550e8400e29b41d4a716446655440000", VEX_ID_TEXT},
        {"{" UUID "}", VEX_ID_TEXT},
        {"doc", VEX_ID_TEXT},
    };
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_id id = vex_id_from_text(vex_str_c(cases[i].text));
        CU_ASSERT_EQUAL(id.kind, cases[i].kind);
        CU_ASSERT(vex_str_eq_c(vex_id_text(&arena, &id), cases[i].text)); /* comes back as given */
    }
    vex_arena_done(&arena);
}

static void test_uuid_text(void)
{
    static const char *const good[] = {UUID, "550e8400e29b41d4a716446655440000", "urn:uuid:" UUID,
                                       "{" UUID "}", "550E8400-E29B-41D4-A716-446655440000"};
    static const char *const bad[] = {"", "1", "550e8400", UUID "0", "g50e8400-e29b-41d4-a716-446655440000"};
    struct vex_id id, first = vex_id_from_text(VEX_STR(UUID));

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT_FATAL(vex_id_from_uuid_text(vex_str_c(good[i]), &id));
        CU_ASSERT(vex_id_eq(&id, &first));
        CU_ASSERT_EQUAL(vex_id_hash(&id), vex_id_hash(&first));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_FALSE(vex_id_from_uuid_text(vex_str_c(bad[i]), &id));
}

static void test_order(void)
{
    static const char *const ascending[] = {
        "0", "9",  "10", "18446744073709551615", UUID, "650e8400-e29b-41d4-a716-446655440000", "", "00",
        "a", "ab", "b"};
    size_t count = sizeof ascending / sizeof *ascending;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            struct vex_id a = vex_id_from_text(vex_str_c(ascending[i])),
                          b = vex_id_from_text(vex_str_c(ascending[j]));
            int order = vex_id_cmp(&a, &b);
            CU_ASSERT_EQUAL((order > 0) - (order < 0), (i > j) - (i < j));
            CU_ASSERT_EQUAL(vex_id_eq(&a, &b), i == j);
        }
    }
}

/* The hash is on disk: these values must never change. */
static void test_hash(void)
{
    struct vex_id num = vex_id_num(1), text = vex_id_from_text(VEX_STR("doc")),
                  uuid = vex_id_from_text(VEX_STR(UUID));
    struct vex_id same_bytes = {.kind = VEX_ID_TEXT, .text = {"\1\0\0\0\0\0\0\0", 8}};

    CU_ASSERT_EQUAL(vex_id_hash(&num), UINT64_C(0x2fbc593564db792e));
    CU_ASSERT_EQUAL(vex_id_hash(&text), UINT64_C(0x7f542cf973cb495e));
    CU_ASSERT_EQUAL(vex_id_hash(&uuid), UINT64_C(0x48a00ce8d74c7187));
    CU_ASSERT_NOT_EQUAL(vex_id_hash(&num), vex_id_hash(&same_bytes));
}

static void test_bytes(void)
{
    static const char *const texts[] = {"7", "18446744073709551615", UUID, "doc", ""};
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct vex_id id = vex_id_from_text(vex_str_c(texts[i])), back;
        struct vex_buf out;
        struct vex_cursor c;

        vex_buf_init(&out, NULL);
        vex_id_encode(&out, &id);
        c = vex_cursor(out.ptr, out.len);
        CU_ASSERT_FATAL(vex_id_decode(&c, &back));
        CU_ASSERT(vex_id_eq(&id, &back));
        CU_ASSERT_EQUAL(vex_cursor_left(&c), 0);
        back = vex_id_dup(&arena, &back);
        for (size_t len = 0; len < out.len;
             len++) { /* a short copy of exact size: a read beyond it is seen */
            char *cut = malloc(len + 1);
            struct vex_id none;
            memcpy(cut + 1, out.ptr, len);
            c = vex_cursor(cut + 1, len);
            CU_ASSERT_FALSE(vex_id_decode(&c, &none));
            free(cut);
        }
        vex_buf_done(&out);
        CU_ASSERT(vex_id_eq(&id, &back)); /* the copy does not need the input */
    }
    vex_arena_done(&arena);
}

static void test_bad_bytes(void)
{
    static const char unknown[] = "\3\0\0\0\0\0\0\0\0", huge[] = "\2\xff\xff\xff\xffxx",
                      latin[] = "\2\1\0\0\0\xe9";
    struct vex_cursor c;
    struct vex_id id;
    struct vex_buf out;
    char *text = malloc(VEX_ID_TEXT_MAX + 1);

    c = vex_cursor(unknown, sizeof unknown - 1);
    CU_ASSERT_FALSE(vex_id_decode(&c, &id));
    c = vex_cursor(huge, sizeof huge - 1);
    CU_ASSERT_FALSE(vex_id_decode(&c, &id));
    c = vex_cursor(latin, sizeof latin - 1);
    CU_ASSERT_FALSE(vex_id_decode(&c, &id));

    memset(text, 'x', VEX_ID_TEXT_MAX + 1);
    for (size_t more = 0; more <= 1; more++) {
        id = (struct vex_id){.kind = VEX_ID_TEXT, .text = {text, VEX_ID_TEXT_MAX + more}};
        vex_buf_init(&out, NULL);
        vex_id_encode(&out, &id);
        c = vex_cursor(out.ptr, out.len);
        CU_ASSERT_EQUAL(vex_id_decode(&c, &id), more == 0);
        vex_buf_done(&out);
    }
    free(text);
}

int main(void)
{
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    suite = CU_add_suite("point_id", NULL, NULL);
    CU_add_test(suite, "from text", test_from_text);
    CU_add_test(suite, "uuid spellings", test_uuid_text);
    CU_add_test(suite, "order", test_order);
    CU_add_test(suite, "hash", test_hash);
    CU_add_test(suite, "bytes", test_bytes);
    CU_add_test(suite, "bad bytes", test_bad_bytes);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
