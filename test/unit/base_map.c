/* Hash map, held against a plain array. */
#include "base/map.h"

#include <stdio.h>

#include "base_suite.h"

#define KEYS 500

static struct vex_str key_of(unsigned i, char buf[16])
{
    return vex_str(buf, (size_t)snprintf(buf, 16, "k%u", i));
}

static bool same(const struct vex_map *map, void *const *model)
{
    size_t count = 0, seen = 0, at = 0;
    char buf[16];
    struct vex_str key;
    void *value;

    for (unsigned i = 0; i < KEYS; i++) {
        count += model[i] != NULL;
        if (vex_map_get(map, key_of(i, buf)) != model[i])
            return false;
    }
    while (vex_map_next(map, &at, &key, &value))
        seen++;
    return map->count == count && seen == count;
}

static void test_model(void)
{
    static int values[4096];
    void *model[KEYS] = {NULL};
    uint32_t state = 12345;
    struct vex_map map;
    bool good = true;
    char buf[16];

    vex_map_init(&map);
    for (int step = 0; step < 20000; step++) {
        state = state * 1664525 + 1013904223;
        unsigned key = (state >> 8) % KEYS;
        /* More removals in every other stretch, so that clusters form and dissolve. */
        bool put = (state >> 24) % 100 < (step / 2000 % 2 == 0 ? 70u : 30u);
        void *value = &values[step % 4096], *old = model[key];

        model[key] = put ? value : NULL;
        good = good && old == (put ? vex_map_put(&map, key_of(key, buf), value)
                                   : vex_map_remove(&map, key_of(key, buf)));
        if (step % 500 == 0)
            good = good && same(&map, model);
    }
    CU_ASSERT(good);
    CU_ASSERT(same(&map, model));
    vex_map_done(&map);
    CU_ASSERT_EQUAL(map.cap, 0);
}

/* Small full tables: clusters that wrap around the end are common. */
static void test_wrap_around(void)
{
    int value;
    bool good = true;

    for (unsigned round = 0; round < 2000; round++) {
        struct vex_map map;
        char buf[16];

        vex_map_init(&map);
        for (unsigned i = 0; i < 12; i++)
            vex_map_put(&map, key_of(round * 12 + i, buf), &value);
        for (unsigned gone = 0; gone < 12; gone++) {
            good = good && vex_map_remove(&map, key_of(round * 12 + gone, buf)) == &value;
            for (unsigned i = 0; i < 12; i++)
                good = good && (vex_map_get(&map, key_of(round * 12 + i, buf)) != NULL) == (i > gone);
        }
        good = good && map.count == 0;
        vex_map_done(&map);
    }
    CU_ASSERT(good);
}

static void test_keys_are_bytes(void)
{
    struct vex_map map;
    int a, b, c;
    char text[] = "copied";

    vex_map_init(&map);
    CU_ASSERT_PTR_NULL(vex_map_get(&map, VEX_STR("x")));
    CU_ASSERT_PTR_NULL(vex_map_remove(&map, VEX_STR("x")));
    CU_ASSERT_PTR_NULL(vex_map_put(&map, vex_str("a\0b", 3), &a));
    CU_ASSERT_PTR_NULL(vex_map_put(&map, vex_str("a", 1), &b));
    CU_ASSERT_PTR_NULL(vex_map_put(&map, vex_str(NULL, 0), &c));
    CU_ASSERT_PTR_EQUAL(vex_map_get(&map, vex_str("a\0b", 3)), &a);
    CU_ASSERT_PTR_EQUAL(vex_map_get(&map, VEX_STR("")), &c);
    vex_map_put(&map, vex_str_c(text), &a);
    text[0] = 'X';
    CU_ASSERT_PTR_EQUAL(vex_map_get(&map, VEX_STR("copied")), &a);
    CU_ASSERT_PTR_EQUAL(vex_map_put(&map, VEX_STR("copied"), &b), &a);
    CU_ASSERT_EQUAL(map.count, 4);
    vex_map_done(&map);
}

int main(void)
{
    CU_TestInfo tests[] = {{"against a model", test_model},
                           {"wrap around", test_wrap_around},
                           {"keys are bytes", test_keys_are_bytes},
                           CU_TEST_INFO_NULL};
    return run_suite("map", tests);
}
