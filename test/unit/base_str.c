/* Slices, buffers, cursors. */
#include "base/str.h"

#include <stdlib.h>

#include "base_suite.h"

static void test_slices(void)
{
    CU_ASSERT(vex_str_cmp(VEX_STR("a"), VEX_STR("b")) < 0);
    CU_ASSERT(vex_str_cmp(VEX_STR("a"), VEX_STR("ab")) < 0);
    CU_ASSERT(vex_str_cmp(VEX_STR("b"), VEX_STR("ab")) > 0);
    CU_ASSERT(vex_str_cmp(VEX_STR("\x80"), VEX_STR("a")) > 0);
    CU_ASSERT_EQUAL(vex_str_cmp(vex_str(NULL, 0), VEX_STR("")), 0);
    CU_ASSERT(vex_str_eq(vex_str("a\0b", 3), vex_str("a\0b", 3)));
    CU_ASSERT(!vex_str_eq(vex_str("a\0b", 3), vex_str("a\0c", 3)));
    CU_ASSERT(vex_str_starts(VEX_STR("abc"), VEX_STR("ab")));
    CU_ASSERT(vex_str_starts(VEX_STR("abc"), vex_str(NULL, 0)));
    CU_ASSERT(!vex_str_starts(VEX_STR("a"), VEX_STR("ab")));
    CU_ASSERT(vex_str_contains(VEX_STR("hello"), VEX_STR("ell")));
    CU_ASSERT(vex_str_contains(VEX_STR("hello"), VEX_STR("")));
    CU_ASSERT(!vex_str_contains(VEX_STR("hello"), VEX_STR("elo")));
    CU_ASSERT(!vex_str_contains(vex_str(NULL, 0), VEX_STR("e")));
    CU_ASSERT(vex_str_contains(vex_str("a\0b", 3), VEX_STR("b")));
}

static void test_to_u64(void)
{
    static const char *const bad[] = {
        "", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "0x1", "18446744073709551616", "99999999999999999999",
        "a"};
    uint64_t v = 9;

    CU_ASSERT(vex_str_to_u64(VEX_STR("0"), &v) && v == 0);
    CU_ASSERT(vex_str_to_u64(VEX_STR("18446744073709551615"), &v) && v == UINT64_MAX);
    v = 9;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(!vex_str_to_u64(vex_str_c(bad[i]), &v));
    CU_ASSERT_EQUAL(v, 9);
}

static void fill(struct vex_buf *buf)
{
    for (unsigned i = 0; i < 5000; i++)
        vex_buf_add_u32(buf, i);
}

static void test_buf(void)
{
    struct vex_arena arena;
    struct vex_buf heap, inside;

    vex_arena_init(&arena, 0);
    vex_buf_init(&heap, NULL);
    vex_buf_init(&inside, &arena);
    fill(&heap);
    for (unsigned i = 0; i < 5000; i++) {
        vex_buf_add_u32(&inside, i);
        if (i % 100 == 0) /* something else in between: the buffer has to move */
            memset(vex_arena_alloc(&arena, 40), 0xee, 40);
    }
    CU_ASSERT_EQUAL(heap.len, 20000);
    CU_ASSERT(vex_str_eq(vex_buf_str(&heap), vex_buf_str(&inside)));
    heap.len = 0;
    vex_buf_printf(&heap, "%s=%d", "k", 12);
    vex_buf_add_char(&heap, '!');
    vex_buf_add(&heap, NULL, 0);
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&heap), "k=12!"));
    vex_buf_done(&heap);
    CU_ASSERT_EQUAL(heap.cap, 0);
    vex_buf_done(&inside);
    vex_arena_done(&arena);
}

static void test_cursor(void)
{
    struct vex_buf buf;
    struct vex_cursor c;

    vex_buf_init(&buf, NULL);
    vex_buf_add_u8(&buf, 200);
    vex_buf_add_u32(&buf, 0xdeadbeef);
    vex_buf_add_u64(&buf, 0x0102030405060708);
    vex_buf_add_str32(&buf, VEX_STR("name"));
    CU_ASSERT_EQUAL((unsigned char)buf.ptr[1], 0xef); /* little-endian */

    c = vex_cursor(buf.ptr, buf.len);
    CU_ASSERT_EQUAL(vex_cursor_u8(&c), 200);
    CU_ASSERT_EQUAL(vex_cursor_u32(&c), 0xdeadbeef);
    CU_ASSERT_EQUAL(vex_cursor_u64(&c), 0x0102030405060708);
    CU_ASSERT(vex_str_eq_c(vex_cursor_str32(&c), "name"));
    CU_ASSERT(!c.bad && vex_cursor_left(&c) == 0);

    /* Short by one anywhere: bad, zeros, and it stays bad though bytes are left. */
    for (size_t len = 0; len < buf.len; len++) {
        char *copy = malloc(len > 0 ? len : 1); /* exactly as long, for the address sanitizer */
        memcpy(copy, buf.ptr, len);
        c = vex_cursor(copy, len);
        vex_cursor_u8(&c);
        vex_cursor_u32(&c);
        vex_cursor_u64(&c);
        CU_ASSERT_EQUAL(vex_cursor_str32(&c).len, 0);
        CU_ASSERT(c.bad);
        CU_ASSERT_EQUAL(vex_cursor_u8(&c), 0);
        CU_ASSERT_PTR_NULL(vex_cursor_bytes(&c, 0));
        free(copy);
    }
    c = vex_cursor("\xff\xff\xff\xff", 4);
    CU_ASSERT_EQUAL(vex_cursor_str32(&c).len, 0);
    CU_ASSERT(c.bad);
    c = vex_cursor(NULL, 0);
    CU_ASSERT_EQUAL(vex_cursor_u64(&c), 0);
    vex_buf_done(&buf);
}

int main(void)
{
    CU_TestInfo tests[] = {{"slices", test_slices},
                           {"to_u64", test_to_u64},
                           {"buffer", test_buf},
                           {"cursor", test_cursor},
                           CU_TEST_INFO_NULL};
    return run_suite("str", tests);
}
