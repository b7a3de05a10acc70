/* Filter tree: binding and its limits; bytes from a damaged record; slices against the reference vectors of
 * SipHash. */
#include <CUnit/Basic.h>
#include <stdlib.h>

#include "engine/filter/match.h"
#include "engine/filter/match_parts.h"

static struct vex_arena arena;

/* depth filters, each the only condition of the one around it. */
static struct vex_filter *nest(unsigned depth)
{
    struct vex_filter *filter = VEX_ARENA_NEW(&arena, struct vex_filter);

    for (unsigned i = 1; i < depth; i++) {
        struct vex_filter *outer = VEX_ARENA_NEW(&arena, struct vex_filter);
        struct vex_cond *cond = VEX_ARENA_NEW(&arena, struct vex_cond);
        cond->kind = i % 2 ? VEX_COND_FILTER : VEX_COND_NESTED;
        cond->path = vex_path_key(&arena, VEX_STR("a"));
        cond->sub = filter;
        outer->must_not = (struct vex_cond_list){cond, 1};
        filter = outer;
    }
    return filter;
}

static void test_depth(void)
{
    struct vex_filter_binding binding = {.arena = &arena};
    struct vex_filter *decoded;
    struct vex_buf out;
    struct vex_cursor c;
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_filter_bind(nest(VEX_FILTER_DEPTH_MAX), &binding, &err), 0);
    CU_ASSERT_EQUAL(vex_filter_bind(nest(VEX_FILTER_DEPTH_MAX + 1), &binding, &err), VEX_EBAD_INPUT);
    for (unsigned more = 0; more <= 1; more++) {
        vex_buf_init(&out, &arena);
        vex_filter_encode(&out, nest(VEX_FILTER_DEPTH_MAX + more));
        c = vex_cursor(out.ptr, out.len);
        CU_ASSERT_EQUAL(vex_filter_decode(&arena, &c, &decoded, &err), more ? VEX_ECORRUPT : 0);
        CU_ASSERT_EQUAL(decoded == NULL, more);
    }
}

static void test_regex(void)
{
    struct vex_filter_binding binding = {.arena = &arena};
    struct vex_cond conds[2] = {{.kind = VEX_COND_REGEX, .text = VEX_STR("a+")},
                                {.kind = VEX_COND_REGEX, .text = VEX_STR("(")}};
    struct vex_filter filter = {.should = {conds, 1}};
    struct vex_err err;

    conds[0].path = conds[1].path = vex_path_key(&arena, VEX_STR("k"));
    CU_ASSERT_EQUAL(vex_filter_bind(&filter, &binding, &err), 0);
    CU_ASSERT_EQUAL(binding.regex_count, 1);
    vex_filter_unbind(&binding);
    CU_ASSERT_EQUAL(binding.regex_count, 0);
    filter.should.count = 2;
    CU_ASSERT_EQUAL(vex_filter_bind(&filter, &binding, &err), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(binding.regex_count,
                    0); /* what was compiled is gone: the leak checker sees it otherwise */
    CU_ASSERT(err.text[0] != '\0');
}

static void test_none(void)
{
    struct vex_filter_binding binding = {.arena = &arena};
    struct vex_filter *decoded = (struct vex_filter *)&binding;
    struct vex_buf out;
    struct vex_cursor c;
    struct vex_err err;

    vex_buf_init(&out, &arena);
    vex_filter_encode(&out, NULL);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT_EQUAL(vex_filter_decode(&arena, &c, &decoded, &err), 0);
    CU_ASSERT_PTR_NULL(decoded);
    CU_ASSERT_EQUAL(vex_filter_bind(NULL, &binding, &err), 0);
}

/* One condition of every kind, each with all it can hold. */
static struct vex_filter *full_filter(void)
{
    static struct vex_str texts[] = {{"b", 1}, {"a", 1}};
    static int64_t ints[] = {3, -1};
    static double doubles[] = {2.5, -0.0};
    static struct vex_geo points[] = {{0, 0}, {1, 0}, {1, 1}, {0, 0}};
    static struct vex_geo_ring ring = {points, 4};
    static struct vex_id ids[] = {
        {.kind = VEX_ID_TEXT, .text = {"doc", 3}}, {.kind = VEX_ID_UUID}, {.kind = VEX_ID_NUM, .num = 5}};
    struct vex_filter *filter = VEX_ARENA_NEW(&arena, struct vex_filter);
    struct vex_cond *conds = VEX_ARENA_ARRAY(&arena, struct vex_cond, VEX_COND_KINDS);

    for (int kind = 0; kind < VEX_COND_KINDS; kind++) {
        struct vex_cond *cond = &conds[kind];
        cond->kind = (enum vex_cond_kind)kind;
        cond->arrays = VEX_ARRAYS_NEVER;
        cond->path = vex_path_key(&arena, VEX_STR("key"));
        switch (cond->kind) {
        case VEX_COND_FILTER:
        case VEX_COND_NESTED:
            cond->sub = nest(2);
            break;
        case VEX_COND_ANY:
        case VEX_COND_EXCEPT:
        case VEX_COND_NUMBERS:
            cond->values = (struct vex_cond_values){texts, 2, ints, 2, doubles, 2, true, false};
            break;
        case VEX_COND_RANGE:
        case VEX_COND_VALUES_COUNT:
            cond->range = (struct vex_cond_range){true, false, true, false, 1.5, 0, -1.5, 0};
            break;
        case VEX_COND_TIME:
            cond->times = (struct vex_cond_times){false, true, false, true, 0, 7, 0, -7};
            break;
        case VEX_COND_GEO_BOX:
            cond->geo_box.top_left = points[1];
            break;
        case VEX_COND_GEO_RADIUS:
            cond->geo_radius.meters = 5;
            break;
        case VEX_COND_GEO_POLYGON:
            cond->geo_polygon.exterior = ring;
            cond->geo_polygon.interiors = &ring;
            cond->geo_polygon.interior_count = 1;
            break;
        case VEX_COND_HAS_ID:
            cond->ids.ids = ids;
            cond->ids.count = 3;
            break;
        case VEX_COND_SLICE:
            cond->slice.total = 3;
            break;
        case VEX_COND_IS_EMPTY:
        case VEX_COND_IS_NULL:
            break;
        default:
            cond->text = VEX_STR("word");
            break;
        }
    }
    filter->must = (struct vex_cond_list){conds, VEX_COND_KINDS};
    filter->has_min_should = true;
    filter->min_should = (struct vex_cond_list){conds, 2};
    filter->min_count = 1;
    return filter;
}

static void test_every_kind(void)
{
    struct vex_filter *filter = full_filter(), *decoded;
    struct vex_buf out, again;
    struct vex_cursor c;
    struct vex_err err;

    vex_buf_init(&out, &arena);
    vex_filter_encode(&out, filter);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT_FATAL(vex_filter_decode(&arena, &c, &decoded, &err) == 0);
    CU_ASSERT_EQUAL(vex_cursor_left(&c), 0);
    vex_buf_init(&again, &arena);
    vex_filter_encode(&again, decoded);
    CU_ASSERT(vex_str_eq(vex_buf_str(&out), vex_buf_str(&again)));
    CU_ASSERT_EQUAL(decoded->must.conds[VEX_COND_TIME].times.gte, -7);
    CU_ASSERT_EQUAL(decoded->must.conds[VEX_COND_RANGE].range.gt, -1.5);
    CU_ASSERT(decoded->must.conds[VEX_COND_ANY].values.has_true &&
              !decoded->must.conds[VEX_COND_ANY].values.has_false);
    CU_ASSERT_EQUAL(decoded->min_count, 1);
}

/* Every cut of a record is refused, and no single damaged byte makes the reader run wild. */
static void test_damaged(void)
{
    struct vex_filter *decoded;
    struct vex_arena small;
    struct vex_buf out;
    struct vex_err err;

    vex_buf_init(&out, &arena);
    vex_filter_encode(&out, full_filter());
    vex_arena_init(&small, 1 << 20);
    for (size_t len = 0; len < out.len; len++) {
        char *cut = malloc(len + 1);
        struct vex_cursor c;
        memcpy(cut + 1, out.ptr, len);
        c = vex_cursor(cut + 1, len);
        CU_ASSERT_EQUAL(vex_filter_decode(&small, &c, &decoded, &err), VEX_ECORRUPT);
        free(cut);
        vex_arena_reset(&small);
    }
    for (size_t at = 0; at < out.len; at++) {
        for (int flip = 1; flip < 256; flip += 127) {
            struct vex_cursor c = vex_cursor(out.ptr, out.len);
            out.ptr[at] = (char)(out.ptr[at] ^ flip);
            (void)vex_filter_decode(&small, &c, &decoded, &err);
            out.ptr[at] = (char)(out.ptr[at] ^ flip);
            vex_arena_reset(&small);
        }
    }
    vex_arena_done(&small);
}

/* A count sizes an allocation only as far as the input could hold that many, and never beyond the arena's
 * limit. */
static void test_memory_limit(void)
{
    struct vex_filter filter = {.must = {NULL, 0}}, *decoded;
    struct vex_cond *conds = VEX_ARENA_ARRAY(&arena, struct vex_cond, 5000);
    struct vex_arena small;
    struct vex_buf out;
    struct vex_cursor c;
    struct vex_err err;

    for (int i = 0; i < 5000; i++)
        conds[i].kind = VEX_COND_HAS_ID;
    filter.must = (struct vex_cond_list){conds, 5000};
    vex_buf_init(&out, &arena);
    vex_filter_encode(&out, &filter);
    vex_arena_init(&small, 64 << 10);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT_EQUAL(vex_filter_decode(&small, &c, &decoded, &err), VEX_ENO_MEMORY);
    CU_ASSERT_PTR_NULL(decoded);
    vex_arena_done(&small);

    c = vex_cursor("\1\xff\xff\xff\xff\x13\0\0\0\0\0", 11);
    CU_ASSERT_EQUAL(vex_filter_decode(&arena, &c, &decoded, &err), VEX_ECORRUPT);
}

static void test_siphash(void)
{
    /* SipHash-2-4 of 0, of 0 1, ... under the zero key: computed with an independent implementation. */
    static const uint64_t wanted[] = {
        UINT64_C(0x1e924b9d737700d7), UINT64_C(0x8b5a0baa49fbc58d), UINT64_C(0x62c3506f27376c25),
        UINT64_C(0x680fa79f0e7fdfe9), UINT64_C(0xef7bdf3ee24abec8), UINT64_C(0x68f1ce874c39785b),
        UINT64_C(0x1f01e817d7d793af), UINT64_C(0xb3d67eaf2c11480b), UINT64_C(0xc72b1c24fc2f7938),
        UINT64_C(0x610e7ab6ada60b22), UINT64_C(0x789ad31dad123412), UINT64_C(0xca6dc49af65ed779),
        UINT64_C(0x1176313427ceaaf0), UINT64_C(0x3c6f1970dd62f235), UINT64_C(0xda6a048115121cab),
        UINT64_C(0xd0567cd44e891363), UINT64_C(0xc902632ed88f897f), UINT64_C(0xe05a24800edfeef2)};
    uint8_t bytes[17];
    struct vex_id id = vex_id_num(1);

    for (uint8_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i;
    for (size_t len = 0; len < sizeof wanted / sizeof *wanted; len++)
        CU_ASSERT_EQUAL(vex_siphash24(bytes, len), wanted[len]);
    CU_ASSERT_FALSE(vex_match_slice(0, 0, &id));
    CU_ASSERT(vex_match_slice(1, 0, &id));
}

int main(void)
{
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    vex_arena_init(&arena, 0);
    suite = CU_add_suite("filter_tree", NULL, NULL);
    CU_add_test(suite, "depth", test_depth);
    CU_add_test(suite, "regular expressions", test_regex);
    CU_add_test(suite, "no filter", test_none);
    CU_add_test(suite, "every kind", test_every_kind);
    CU_add_test(suite, "damaged bytes", test_damaged);
    CU_add_test(suite, "memory limit", test_memory_limit);
    CU_add_test(suite, "siphash", test_siphash);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_arena_done(&arena);
    return failed != 0;
}
