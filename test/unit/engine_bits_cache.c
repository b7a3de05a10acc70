/* Kept bitmaps: admission, keys, sharing between readers, bounded memory. */
#include <CUnit/Basic.h>

#include "base/mem.h"
#include "engine/query/bits_cache.h"

#define SLOTS 4096u
#define WORDS (SLOTS / 64)

static struct vex_bits_key key_of(uint64_t stamp, const char *what)
{
    return (struct vex_bits_key){stamp, SLOTS, vex_str_c(what)};
}

static uint64_t *bits_of(uint64_t word, size_t words)
{
    uint64_t *ret = vex_mem_alloc(words * sizeof *ret);

    for (size_t w = 0; w < words; w++)
        ret[w] = word;
    return ret;
}

static const struct vex_kept_bits *put(const struct vex_bits_key *key, uint64_t word)
{
    return vex_bits_cache_put(key, (struct vex_kept_bits){.sure = bits_of(word, WORDS), .count = word});
}

static void test_asked_again(void)
{
    struct vex_bits_key key = key_of(1, "asked again"), other = key_of(2, "asked again");
    bool again = true;

    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&key, &again));
    CU_ASSERT_FALSE(again);
    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&other, &again)); /* of another state */
    CU_ASSERT_FALSE(again);
    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&key, &again));
    CU_ASSERT_TRUE(again);
}

static void test_found_by_its_key_only(void)
{
    struct vex_bits_key key = key_of(3, "one"), stamp = key_of(4, "one"), what = key_of(3, "two"),
                        slots = key;
    const struct vex_kept_bits *mine = put(&key, 7), *found;
    bool again;

    slots.slots = SLOTS + 64;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mine);
    found = vex_bits_cache_find(&key, &again);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_EQUAL(found->sure[WORDS - 1], 7);
    CU_ASSERT_EQUAL(found->count, 7);
    CU_ASSERT_PTR_NULL(found->maybe);
    vex_kept_bits_drop(found);
    vex_kept_bits_drop(mine);
    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&stamp, &again));
    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&what, &again));
    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&slots, &again));
}

/* What falls out while somebody reads it stays until the reader is done. */
static void test_readers_outlive_entries(void)
{
    struct vex_bits_key key = key_of(5, "read");
    const struct vex_kept_bits *mine = put(&key, 9), *gone;
    bool again;

    for (uint64_t i = 0; i < 1000; i++) {
        struct vex_bits_key more = key_of(100 + i, "more");
        vex_kept_bits_drop(put(&more, i));
    }
    gone = vex_bits_cache_find(&key, &again);
    CU_ASSERT_PTR_NULL(gone);
    CU_ASSERT_EQUAL(mine->sure[0], 9);
    vex_kept_bits_drop(mine);
    vex_kept_bits_drop(NULL);
}

static void test_too_many_slots(void)
{
    struct vex_bits_key key = {6, UINT32_MAX, VEX_STR("wide")};
    const struct vex_kept_bits *mine;
    bool again;

    CU_ASSERT_TRUE(vex_bits_cache_takes(SLOTS));
    CU_ASSERT_FALSE(vex_bits_cache_takes(UINT32_MAX));
    mine = vex_bits_cache_put(&key, (struct vex_kept_bits){.sure = bits_of(1, 1)}); /* answered, not kept */
    CU_ASSERT_PTR_NOT_NULL_FATAL(mine);
    CU_ASSERT_EQUAL(mine->sure[0], 1);
    vex_kept_bits_drop(mine);
    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&key, &again));
}

static void test_long_keys(void)
{
    char text[4096];
    struct vex_bits_key key;
    bool again = true;

    memset(text, 'x', sizeof text);
    key = (struct vex_bits_key){7, SLOTS, vex_str(text, sizeof text)};
    vex_kept_bits_drop(put(&key, 1));
    CU_ASSERT_PTR_NULL(vex_bits_cache_find(&key, &again));
    CU_ASSERT_FALSE(again);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("bits cache", NULL, NULL);

    CU_add_test(suite, "asked again", test_asked_again);
    CU_add_test(suite, "found by its key only", test_found_by_its_key_only);
    CU_add_test(suite, "readers outlive entries", test_readers_outlive_entries);
    CU_add_test(suite, "too many slots", test_too_many_slots);
    CU_add_test(suite, "long keys", test_long_keys);
    CU_basic_run_tests();
    int failed = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
