/* Indexes of elements: where a field is empty, scores of elements, changes against a fresh index, files whole and damaged. */
#include <CUnit/Basic.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base_suite.h"
#include "engine/filter/match.h"
#include "engine/index/index.h"

#define SLOTS 300
#define WORDS ((SLOTS + 63) / 64)

static uint64_t state = 88172645463325252ull;

/* xorshift64 (Marsaglia, 2003). */
static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static void put_words(struct vex_buf *out)
{
    static const char *const words[] = {"red", "green", "blue", "apple", "pie", "tree"};
    struct vex_buf text = {0};

    for (uint32_t n = below(5); n > 0; n--) {
        vex_buf_add_str(&text, vex_str_c(words[below(6)]));
        vex_buf_add_char(&text, ' ');
    }
    vex_value_put_text(out, vex_buf_str(&text));
    vex_buf_done(&text);
}

static void put_element(struct vex_buf *out)
{
    uint32_t kind = below(8);

    if (kind == 0) {
        vex_value_put_int(out, 3);
        return;
    }
    if (kind == 1) {
        vex_value_put_map(out, 0);
        return;
    }
    vex_value_put_map(out, 1);
    vex_value_put_text(out, VEX_STR("t"));
    if (kind == 2) {
        vex_value_put_null(out);
    } else if (kind == 3) {
        uint32_t count = below(3);

        vex_value_put_array(out, count);
        while (count-- > 0)
            put_words(out);
    } else {
        put_words(out);
    }
}

/* {"o": [element, ...]} */
static struct vex_value make_payload(struct vex_arena *arena)
{
    struct vex_buf out;
    uint32_t count = below(4);

    vex_buf_init(&out, arena);
    vex_value_put_map(&out, 1);
    vex_value_put_text(&out, VEX_STR("o"));
    vex_value_put_array(&out, count);
    while (count-- > 0)
        put_element(&out);
    return (struct vex_value){(const uint8_t *)out.ptr};
}

static struct vex_index *make_index(void)
{
    struct vex_text_params text = {.lowercase = true, .scoring = true};
    struct vex_index_params params = {
        .field = VEX_STR("o[].t"), .type = VEX_INDEX_TEXT, .text = &text, .nested = VEX_STR("o")};
    struct vex_index *index = NULL;
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_index_new(&params, &index, &err), 0);
    CU_ASSERT_EQUAL(vex_index_elements(index), 2);
    return index;
}

static int note_score(void *arg, uint32_t slot, float score)
{
    ((float *)arg)[slot] = score;
    return 0;
}

static void score_all(const struct vex_index *index, const uint64_t *corpus, float *scores)
{
    uint64_t all[WORDS];
    struct vex_bm25 bm25 = {.k = 1.2, .b = 0.75, .among = all, .corpus = corpus, .slots = SLOTS};
    struct vex_err err;

    memset(all, 0xff, sizeof all);
    for (int i = 0; i < SLOTS; i++)
        scores[i] = -1;
    CU_ASSERT_EQUAL(vex_index_score(index, VEX_STR("red apple pie"), &bm25, note_score, scores, &err), 0);
}

/* Same scores, and the same slots with a lacking element, as matching the payloads says. */
static void compare(const struct vex_index *index, const struct vex_index *fresh, struct vex_cond *cond,
                    const struct vex_value *payloads)
{
    float got[SLOTS], want[SLOTS];
    uint64_t sure[WORDS] = {0}, unsure[WORDS] = {0}, corpus[WORDS] = {0x5555555555555555, 0xff};
    struct vex_filter filter = {.must = {cond, 1}};
    struct vex_index_estimate estimate = vex_index_estimate(index, cond);
    uint64_t count = 0;

    for (int with = 0; with < 2; with++) {
        score_all(index, with ? corpus : NULL, got);
        score_all(fresh, with ? corpus : NULL, want);
        for (int i = 0; i < SLOTS; i++)
            CU_ASSERT_EQUAL(got[i], want[i]);
    }
    vex_index_match(index, cond, sure, unsure, SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct vex_match_point point = {.payload = payloads[i]};
        bool empty = payloads[i].at != NULL && vex_filter_match(&filter, &point);

        CU_ASSERT_EQUAL((sure[i / 64] >> i % 64 & 1) != 0, empty);
        CU_ASSERT_FALSE(unsure[i / 64] >> i % 64 & 1);
        count += empty;
    }
    CU_ASSERT(estimate.served && estimate.min == count && estimate.max == count);
}

static void change(struct vex_index *index, struct vex_arena *arena, struct vex_value *payloads)
{
    uint64_t gone[WORDS] = {0};

    for (int n = 0; n < 40; n++) {
        uint32_t slot = below(SLOTS);

        if (payloads[slot].at != NULL)
            vex_index_remove(index, slot, payloads[slot]);
        payloads[slot] = below(4) == 0 ? (struct vex_value){NULL} : make_payload(arena);
        vex_index_add(index, slot, payloads[slot]);
    }
    for (int n = 0; n < 8; n++) {
        uint32_t slot = below(SLOTS);

        gone[slot / 64] |= UINT64_C(1) << slot % 64;
        payloads[slot].at = NULL;
    }
    vex_index_forget(index, gone, SLOTS);
}

static uint32_t two_steps(void *arg, const struct vex_path *path)
{
    (void)arg;
    return path->count == 3 ? 2 : 0;
}

static void bind_empty(struct vex_arena *arena, struct vex_cond *cond)
{
    struct vex_filter filter = {.must = {cond, 1}};
    struct vex_filter_binding binding = {.arena = arena, .elements = two_steps};
    struct vex_err err;

    *cond = (struct vex_cond){.kind = VEX_COND_IS_EMPTY};
    CU_ASSERT_EQUAL_FATAL(vex_path_parse(arena, VEX_STR("o[].t"), &cond->path, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_filter_bind(&filter, &binding, &err), 0);
    CU_ASSERT_EQUAL(cond->bound.elements, 2);
}

static struct vex_index *reload(const struct vex_index *index)
{
    struct vex_index *copy = make_index();
    struct vex_cursor c;
    struct vex_err err;
    struct vex_buf out;

    vex_buf_init(&out, NULL);
    vex_index_save(index, &out);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT_EQUAL(vex_index_load(copy, &c, &err), 0);
    CU_ASSERT_EQUAL(vex_cursor_left(&c), 0);
    vex_buf_done(&out);
    return copy;
}

static void changes_leave_what_a_fresh_one_has(void)
{
    struct vex_value payloads[SLOTS] = {{NULL}};
    struct vex_index *index = make_index();
    struct vex_arena arena;
    struct vex_cond cond;

    vex_arena_init(&arena, 0);
    bind_empty(&arena, &cond);
    for (int round = 0; round < 40; round++) {
        struct vex_index *fresh = make_index(), *copy;

        change(index, &arena, payloads);
        for (uint32_t i = 0; i < SLOTS; i++)
            if (payloads[i].at != NULL)
                vex_index_add(fresh, i, payloads[i]);
        compare(index, fresh, &cond, payloads);
        copy = reload(index);
        compare(copy, fresh, &cond, payloads);
        vex_index_free(copy);
        vex_index_free(fresh);
    }
    vex_index_free(index);
    vex_arena_done(&arena);
}

static void damaged_files_are_refused_or_harmless(void)
{
    struct vex_index *index = make_index();
    struct vex_arena arena;
    struct vex_buf out;
    struct vex_err err;
    float scores[SLOTS];

    vex_arena_init(&arena, 0);
    for (uint32_t i = 0; i < 40; i++)
        vex_index_add(index, i, make_payload(&arena));
    vex_buf_init(&out, NULL);
    vex_index_save(index, &out);
    for (size_t len = 0; len < out.len; len++) {
        struct vex_index *copy = make_index();
        char *bytes = vex_mem_alloc(len + 1); /* of its own, so that reading on is seen */
        struct vex_cursor c = vex_cursor(bytes, len);

        memcpy(bytes, out.ptr, len);
        CU_ASSERT_EQUAL(vex_index_load(copy, &c, &err), VEX_ECORRUPT);
        vex_mem_free(bytes);
        vex_index_free(copy);
    }
    for (int n = 0; n < 3000; n++) {
        struct vex_index *copy = make_index();
        size_t at = below((uint32_t)out.len);
        char kept = out.ptr[at];
        struct vex_cursor c = vex_cursor(out.ptr, out.len);

        out.ptr[at] = (char)(kept ^ (1 << below(8)));
        if (vex_index_load(copy, &c, &err) == 0)
            score_all(copy, NULL, scores);
        out.ptr[at] = kept;
        vex_index_free(copy);
    }
    vex_buf_done(&out);
    vex_index_free(index);
    vex_arena_done(&arena);
}

static int nested_steps(const char *field, const char *nested)
{
    struct vex_arena arena;
    struct vex_path path;
    struct vex_err err;
    uint32_t steps = 0;
    int code;

    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL(vex_path_parse(&arena, vex_str_c(field), &path, &err), 0);
    code = vex_index_nested(&arena, &path, vex_str_c(nested), &steps, &err);
    vex_arena_done(&arena);
    return code == 0 ? (int)steps : code;
}

static void which_arrays_there_are(void)
{
    CU_ASSERT_EQUAL(nested_steps("o[].t", "o"), 2);
    CU_ASSERT_EQUAL(nested_steps("o[].t", "o[]"), 2);
    CU_ASSERT_EQUAL(nested_steps("x.y[].a[].b", "x.y"), 3);
    CU_ASSERT_EQUAL(nested_steps("o.t", "o"), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(nested_steps("o[0].t", "o"), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(nested_steps("o[]", "o"), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(nested_steps("p[].t", "o"), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(nested_steps("a[].b[].c", "a[].b"), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(nested_steps("a", "a.b.c.d"), VEX_EBAD_INPUT);
    CU_ASSERT_EQUAL(nested_steps("a", "a["), VEX_EBAD_INPUT);
}

int main(void)
{
    CU_TestInfo tests[] = {{"changes leave what a fresh one has", changes_leave_what_a_fresh_one_has},
                           {"damaged files are refused or harmless", damaged_files_are_refused_or_harmless},
                           {"which arrays there are", which_arrays_there_are},
                           CU_TEST_INFO_NULL};
    return run_suite("nested index", tests);
}
