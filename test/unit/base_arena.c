/* Arena and heap memory. */
#include "base/arena.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base_suite.h"

static void test_aligned_and_apart(void)
{
    struct vex_arena arena;
    unsigned char *parts[2000];
    size_t sizes[2000];
    bool good = true;

    vex_arena_init(&arena, 0);
    for (size_t i = 0; i < 2000; i++) {
        size_t align = (size_t)1 << (i % 8);
        sizes[i] = (i * 37) % 700;
        parts[i] = vex_arena_alloc_aligned(&arena, sizes[i], align);
        good = good && (uintptr_t)parts[i] % align == 0;
        memset(parts[i], (int)(i & 0xff), sizes[i]);
    }
    for (size_t i = 0; i < 2000; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            good = good && parts[i][j] == (i & 0xff);
    CU_ASSERT(good);
    CU_ASSERT_EQUAL((uintptr_t)vex_arena_alloc(&arena, 1) % 16, 0);
    CU_ASSERT_PTR_NOT_NULL(vex_arena_alloc(&arena, 0));
    vex_arena_done(&arena);
    CU_ASSERT_EQUAL(arena.held, 0);
}

static void test_big_keeps_current(void)
{
    struct vex_arena arena;
    char *a, *b;

    vex_arena_init(&arena, 0);
    a = vex_arena_alloc(&arena, 16);
    memset(vex_arena_alloc(&arena, 5 << 20), 1, 5 << 20);
    b = vex_arena_alloc(&arena, 16);
    CU_ASSERT_PTR_EQUAL(a + 16, b);
    vex_arena_done(&arena);
}

static void test_reset(void)
{
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (int i = 0; i < 3000; i++)
        vex_arena_alloc(&arena, 1000);
    CU_ASSERT(arena.held >= 3000000);
    vex_arena_reset(&arena);
    CU_ASSERT(arena.held > 0 && arena.held <= 64 << 10);
    memset(vex_arena_alloc(&arena, 3000), 7, 3000);
    CU_ASSERT(arena.held <= 64 << 10);
    vex_arena_done(&arena);
    vex_arena_reset(&arena);
    CU_ASSERT_PTR_NULL(arena.blocks);
    vex_arena_done(&arena);
}

/* Several blocks become one: the same once more takes nothing from the heap. */
static void test_reset_joins(void)
{
    struct vex_arena arena;
    size_t held = 0;

    vex_arena_init(&arena, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 90; i++)
            memset(vex_arena_alloc(&arena, 100), round, 100);
        vex_arena_alloc(&arena, 5000);
        if (round > 0)
            CU_ASSERT_EQUAL(arena.held, held);
        held = arena.held;
        vex_arena_reset(&arena);
        CU_ASSERT_EQUAL(arena.held, held);
    }
    vex_arena_done(&arena);
}

static void test_limit(void)
{
    struct vex_arena arena;
    size_t got = 0;

    vex_arena_init(&arena, 100000);
    CU_ASSERT_PTR_NULL(vex_arena_try(&arena, 100001));
    CU_ASSERT_PTR_NULL(vex_arena_try(&arena, SIZE_MAX));
    CU_ASSERT_PTR_NULL(vex_arena_try(&arena, SIZE_MAX - 8));
    CU_ASSERT_EQUAL(arena.held, 0);
    while (vex_arena_try(&arena, 1000) != NULL)
        got++;
    CU_ASSERT(arena.held <= 100000);
    CU_ASSERT(got >= 80 && got <= 100);
    /* Small needs of the program go on beyond the limit. */
    CU_ASSERT_PTR_NOT_NULL(vex_arena_alloc(&arena, 5000));
    CU_ASSERT_PTR_NULL(vex_arena_try(&arena, 200000));
    vex_arena_reset(&arena);
    CU_ASSERT_EQUAL(arena.limit, 100000);
    CU_ASSERT_PTR_NOT_NULL(vex_arena_try(&arena, 1000));
    vex_arena_done(&arena);
}

static void test_helpers(void)
{
    struct vex_arena arena;
    uint64_t *numbers;
    bool zero = true;

    vex_arena_init(&arena, 0);
    memset(vex_arena_alloc(&arena, 2000), 0xff, 2000);
    vex_arena_reset(&arena);
    numbers = VEX_ARENA_ARRAY(&arena, uint64_t, 100); /* over the dirty bytes */
    for (int i = 0; i < 100; i++)
        zero = zero && numbers[i] == 0;
    CU_ASSERT(zero);
    CU_ASSERT_STRING_EQUAL(vex_arena_strndup(&arena, "hello", 4), "hell");
    CU_ASSERT_STRING_EQUAL(vex_arena_strndup(&arena, NULL, 0), "");
    CU_ASSERT_STRING_EQUAL(vex_arena_printf(&arena, "%d-%s", 5, "x"), "5-x");
    CU_ASSERT_EQUAL(memcmp(vex_arena_dup(&arena, "ab\0c", 4), "ab\0c", 4), 0);
    vex_arena_done(&arena);
}

/* Whether the function ends the process by abort(). */
static bool aborts(void (*fn)(void))
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        freopen("/dev/null", "w", stderr);
        fn();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void overflowing_array(void)
{
    struct vex_arena arena;
    volatile size_t n = SIZE_MAX / 4;

    vex_arena_init(&arena, 0);
    VEX_ARENA_ARRAY(&arena, uint64_t, n);
}

static void huge_alloc(void)
{
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    vex_arena_alloc(&arena, SIZE_MAX - 3);
}

static void test_aborts(void)
{
    CU_ASSERT(aborts(overflowing_array));
    CU_ASSERT(aborts(huge_alloc));
}

static void test_mem(void)
{
    char *text = vex_mem_strndup("abc", 2), *zero = vex_mem_zalloc(100);
    bool clean = true;

    CU_ASSERT_STRING_EQUAL(text, "ab");
    text = vex_mem_realloc(text, 1000);
    CU_ASSERT_EQUAL(memcmp(text, "ab", 3), 0);
    for (int i = 0; i < 100; i++)
        clean = clean && zero[i] == 0;
    CU_ASSERT(clean);
    vex_mem_free(text);
    vex_mem_free(zero);
    CU_ASSERT_PTR_NULL(vex_mem_try(SIZE_MAX));
    text = vex_mem_alloc(0);
    CU_ASSERT_PTR_NOT_NULL(text);
    vex_mem_free(text);
    text = vex_mem_try(0);
    CU_ASSERT_PTR_NOT_NULL(text);
    vex_mem_free(text);
    vex_mem_free(NULL);
}

int main(void)
{
    CU_TestInfo tests[] = {{"aligned and apart", test_aligned_and_apart},
                           {"a big wish keeps the current block", test_big_keeps_current},
                           {"reset", test_reset},
                           {"reset joins", test_reset_joins},
                           {"limit", test_limit},
                           {"helpers", test_helpers},
                           {"overflow aborts", test_aborts},
                           {"heap", test_mem},
                           CU_TEST_INFO_NULL};
    return run_suite("arena", tests);
}
