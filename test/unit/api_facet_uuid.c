/* Facets of UUID indexes: one value a UUID, however it is spelled. */
#include "api_kit.h"

#include "api/qdrant/facet_uuid.h"

#define A_PLAIN "550e8400e29b41d4a716446655440000"
#define A       "550e8400-e29b-41d4-a716-446655440000"
#define B       "150e8400-e29b-41d4-a716-446655440000"
#define C       "050e8400-e29b-41d4-a716-446655440000"

static struct vex_facet_hit hit(const char *text, uint64_t count)
{
    return (struct vex_facet_hit){.value = {.kind = VEX_FACET_TEXT, .text = vex_str_c(text)}, .count = count};
}

static void spellings_are_merged(void)
{
    struct vex_facet_hit hits[] = {hit(C, 9), hit("x", 8), hit(A, 6), hit(A_PLAIN, 5), hit(B, 9)};
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL_FATAL(vex_facet_uuids(&arena, hits, 5, 10), 3);
    CU_ASSERT(vex_str_eq_c(hits[0].value.text, A) && hits[0].count == 11);
    CU_ASSERT(vex_str_eq_c(hits[1].value.text, C) && hits[1].count == 9);
    CU_ASSERT(vex_str_eq_c(hits[2].value.text, B) && hits[2].count == 9);
    CU_ASSERT_EQUAL(vex_facet_uuids(&arena, hits, 3, 1), 1);
    CU_ASSERT(vex_str_eq_c(hits[0].value.text, A));
    CU_ASSERT_EQUAL(vex_facet_uuids(&arena, hits, 0, 1), 0);
    vex_arena_done(&arena);
}

int main(void)
{
    CU_TestInfo tests[] = {{"spellings are merged", spellings_are_merged}, CU_TEST_INFO_NULL};

    return run_suite("api facets of UUIDs", tests);
}
