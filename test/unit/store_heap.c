/* Heap: blobs before and after flushing, reuse of space, full disks, damage; a random run against a plain
 * model. */
#include "engine/store/heap.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store/heap_extents.h"
#include "lib/sim_io.h"

#define PATH "/c/payload.heap"

static struct vex_err err;
static struct vex_sim *sim;
static struct vex_io *io;
static struct vex_heap *heap;
static uint64_t seed = 1;

static uint64_t roll(uint64_t bound)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % bound;
}

static void begin(void)
{
    sim = vex_sim_new(3);
    io = vex_sim_io(sim);
    CU_ASSERT_EQUAL_FATAL(vex_heap_open(io, PATH, vex_str(NULL, 0), &heap, &err), 0);
}

static void end(void)
{
    vex_heap_close(heap);
    vex_sim_free(sim);
}

/* Closes and opens with the state of now, as a checkpoint would keep it. */
static int reopen(void)
{
    struct vex_buf state;

    CU_ASSERT_EQUAL(vex_heap_sync(heap), 0);
    vex_buf_init(&state, NULL);
    vex_heap_state(heap, &state);
    vex_heap_close(heap);
    heap = NULL;
    int r = vex_heap_open(io, PATH, vex_buf_str(&state), &heap, &err);
    vex_buf_done(&state);
    return r;
}

static uint64_t put(const char *text)
{
    uint64_t at = 0;
    CU_ASSERT_EQUAL_FATAL(vex_heap_put(heap, vex_str_c(text), &at), 0);
    return at;
}

static bool is(uint64_t at, const char *text)
{
    struct vex_str got = vex_heap_get(heap, at, (uint32_t)strlen(text));
    struct vex_str peeked = vex_heap_peek(heap, at, (uint32_t)strlen(text));
    return got.ptr != NULL && vex_str_eq_c(got, text) && vex_str_eq(got, peeked);
}

static void test_put_and_get(void)
{
    struct vex_file *file;

    begin();
    CU_ASSERT_EQUAL(vex_io_open(io, PATH, 0, &file), -ENOENT);
    CU_ASSERT_EQUAL(vex_heap_live(heap), 0);
    CU_ASSERT_EQUAL(vex_heap_sync(heap), 0);
    uint64_t a = put("alpha"), b = put(""), c = put("gamma");
    CU_ASSERT(a > 0 && a % 16 == 0 && b == a + 16 && c == b + 16);
    CU_ASSERT(is(a, "alpha") && is(b, "") && is(c, "gamma")); /* the writer's own, not yet written */
    CU_ASSERT_EQUAL(vex_heap_flush(heap), 0);
    CU_ASSERT_EQUAL(vex_heap_remap(heap), 0);
    CU_ASSERT(is(a, "alpha") && is(b, "") && is(c, "gamma"));
    CU_ASSERT_PTR_NULL(vex_heap_get(heap, a, 4).ptr);
    CU_ASSERT_PTR_NULL(vex_heap_get(heap, a + 16, 5).ptr);
    CU_ASSERT_PTR_NULL(vex_heap_get(heap, 0, 5).ptr);
    CU_ASSERT_PTR_NULL(vex_heap_get(heap, UINT64_MAX - 15, 5).ptr);
    CU_ASSERT_PTR_NULL(vex_heap_peek(heap, a, UINT32_MAX).ptr);
    CU_ASSERT_EQUAL(vex_heap_live(heap), 48);
    CU_ASSERT_EQUAL(reopen(), 0);
    CU_ASSERT(is(a, "alpha") && is(b, "") && is(c, "gamma"));
    CU_ASSERT_EQUAL(vex_heap_live(heap), 48);
    end();
}

static void test_thousand_in_one_write(void)
{
    char blob[200];
    uint64_t at[1000];

    begin();
    (void)put("the file is there");
    CU_ASSERT_EQUAL(vex_heap_flush(heap), 0);
    uint64_t writes = vex_sim_calls(sim, VEX_SIM_PWRITE);
    for (int i = 0; i < 1000; i++) {
        memset(blob, i, sizeof blob);
        CU_ASSERT_EQUAL(vex_heap_put(heap, vex_str(blob, sizeof blob), &at[i]), 0);
    }
    CU_ASSERT_EQUAL(vex_heap_flush(heap), 0);
    CU_ASSERT_EQUAL(vex_sim_calls(sim, VEX_SIM_PWRITE), writes + 1);
    CU_ASSERT_EQUAL(vex_heap_remap(heap), 0);
    for (int i = 0; i < 1000; i++) {
        memset(blob, i, sizeof blob);
        CU_ASSERT(vex_str_eq(vex_heap_get(heap, at[i], sizeof blob), vex_str(blob, sizeof blob)));
    }
    end();
}

/* A full buffer is written out by put; what it held can be read before the map covers it. */
static void test_written_and_unmapped(void)
{
    char blob[3000];
    uint64_t at[500];

    begin();
    for (int i = 0; i < 500; i++) {
        memset(blob, i, sizeof blob);
        CU_ASSERT_EQUAL(vex_heap_put(heap, vex_str(blob, sizeof blob), &at[i]), 0);
    }
    for (int i = 0; i < 500; i++) {
        memset(blob, i, sizeof blob);
        CU_ASSERT(vex_str_eq(vex_heap_get(heap, at[i], sizeof blob), vex_str(blob, sizeof blob)));
    }
    CU_ASSERT_PTR_NULL(vex_heap_get(heap, vex_heap_length(heap), 10).ptr);
    end();
}

static void test_large(void)
{
    size_t len = 5 << 20;
    char *blob = malloc(len);
    uint64_t at[4];

    begin();
    memset(blob, 'x', len);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(vex_heap_put(heap, vex_str(blob, len - (size_t)i), &at[i]), 0);
    CU_ASSERT_EQUAL(vex_heap_put(heap, vex_str(blob, (size_t)VEX_HEAP_BLOB_MAX + 1), &at[0]), VEX_ETOO_LARGE);
    CU_ASSERT(vex_heap_flush(heap) == 0 && vex_heap_remap(heap) == 0);
    for (int i = 0; i < 4; i++)
        CU_ASSERT(vex_str_eq(vex_heap_get(heap, at[i], (uint32_t)len - (uint32_t)i),
                             vex_str(blob, len - (size_t)i)));
    end();
    free(blob);
}

static void test_freed_only_after_settle(void)
{
    begin();
    uint64_t a = put("one blob to be freed"), b = put("a second one to be freed");
    (void)put("a third");
    CU_ASSERT(vex_heap_flush(heap) == 0 && vex_heap_remap(heap) == 0);
    uint64_t live = vex_heap_live(heap);
    vex_heap_free(heap, a, 20);
    vex_heap_free(heap, b, 24);
    CU_ASSERT_EQUAL(vex_heap_live(heap), live - 64);
    CU_ASSERT(put("one blob of its size") > b);
    CU_ASSERT(is(a, "one blob to be freed")); /* a checkpoint still refers to it */
    vex_heap_settle(heap);
    uint64_t c = put("this one takes the place"), d = put("and so does this one");
    CU_ASSERT(c == a && d == b); /* neighbours were joined, then split */
    CU_ASSERT(is(c, "this one takes the place"));
    CU_ASSERT(vex_heap_flush(heap) == 0 && vex_heap_remap(heap) == 0);
    CU_ASSERT(is(c, "this one takes the place") && is(d, "and so does this one"));
    end();
}

/* What is freed before a checkpoint is free in its state. */
static void test_state_has_what_was_freed(void)
{
    begin();
    uint64_t a = put("one blob to be freed");
    (void)put("another");
    vex_heap_free(heap, a, 20);
    CU_ASSERT_EQUAL(reopen(), 0);
    CU_ASSERT_EQUAL(vex_heap_live(heap), 16);
    CU_ASSERT_EQUAL(put("one blob of its size"), a);
    vex_heap_free(heap, 3, 5); /* not places of blobs: ignored */
    vex_heap_free(heap, 1 << 20, 5);
    CU_ASSERT_EQUAL(vex_heap_live(heap), 48);
    end();
}

static void test_full_disk(void)
{
    char blob[3000];
    uint64_t at, count = 0, first = 0;
    int r;

    begin();
    memset(blob, 'b', sizeof blob);
    vex_sim_capacity(sim, 300 << 10);
    while ((r = vex_heap_put(heap, vex_str(blob, sizeof blob), &at)) == 0) {
        first = first == 0 ? at : first;
        count++;
    }
    CU_ASSERT_EQUAL(r, VEX_ENO_SPACE);
    CU_ASSERT(count > 80); /* the last space is used without a reserve */
    uint64_t length = vex_heap_length(heap);
    CU_ASSERT_EQUAL(vex_heap_put(heap, vex_str(blob, sizeof blob), &at), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(vex_heap_length(heap), length);
    CU_ASSERT_EQUAL(vex_heap_sync(heap), 0); /* what was taken can be written */
    CU_ASSERT_EQUAL(vex_heap_remap(heap), 0);
    CU_ASSERT_EQUAL(vex_heap_get(heap, first, sizeof blob).len, sizeof blob);
    vex_heap_free(heap, first, sizeof blob);
    vex_heap_settle(heap);
    CU_ASSERT_EQUAL(vex_heap_put(heap, vex_str(blob, sizeof blob), &at), 0); /* free space needs no disk */
    CU_ASSERT_EQUAL(at, first);
    vex_sim_capacity(sim, 0);
    CU_ASSERT_EQUAL(vex_heap_put(heap, vex_str(blob, sizeof blob), &at), 0); /* and it goes on by itself */
    end();
}

/* No room for the file itself. */
static void test_full_from_the_start(void)
{
    uint64_t at;

    begin();
    vex_sim_fail(sim, VEX_SIM_ALLOCATE, 1, -ENOSPC, true);
    CU_ASSERT_EQUAL(vex_heap_put(heap, VEX_STR("x"), &at), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(vex_heap_live(heap), 0);
    vex_sim_fail_clear(sim);
    CU_ASSERT(is(put("x"), "x"));
    end();
}

static void test_failed_calls(void)
{
    begin();
    uint64_t a = put("a blob");
    vex_sim_fail(sim, VEX_SIM_PWRITE, 1, -EIO, false);
    CU_ASSERT_EQUAL(vex_heap_flush(heap), VEX_EIO);
    CU_ASSERT(is(a, "a blob"));
    CU_ASSERT_EQUAL(vex_heap_flush(heap), 0); /* a write may be repeated */
    vex_sim_fail(sim, VEX_SIM_DATASYNC, 1, -EIO, false);
    CU_ASSERT_EQUAL(vex_heap_sync(heap), VEX_EIO);
    CU_ASSERT_EQUAL(vex_heap_sync(heap), VEX_EIO); /* a sync may not */
    CU_ASSERT_EQUAL(vex_heap_remap(heap), 0);
    CU_ASSERT(is(a, "a blob"));
    end();
}

static void test_damage(void)
{
    static const char text[] = "a blob whose bytes decay one after the other";
    struct vex_buf state;

    begin();
    uint64_t a = put(text);
    CU_ASSERT_EQUAL(vex_heap_sync(heap), 0);
    vex_buf_init(&state, NULL);
    vex_heap_state(heap, &state);
    vex_heap_close(heap);
    for (uint64_t at = 0; at < a + 8 + sizeof text - 1; at++) {
        struct vex_sim *copy = vex_sim_clone(sim);
        CU_ASSERT_EQUAL(vex_sim_flip(copy, PATH, at, 4), 0);
        int r = vex_heap_open(vex_sim_io(copy), PATH, vex_buf_str(&state), &heap, &err);
        CU_ASSERT_EQUAL(r, at < 64 ? VEX_ECORRUPT : 0);
        if (r == 0) {
            CU_ASSERT_PTR_NULL(vex_heap_get(heap, a, sizeof text - 1).ptr);
            vex_heap_close(heap);
        }
        vex_sim_free(copy);
    }
    CU_ASSERT_EQUAL(vex_heap_open(io, PATH, vex_buf_str(&state), &heap, &err), 0);
    CU_ASSERT(is(a, text));
    vex_buf_done(&state);
    end();
}

/* A state of wrong lengths, orders and overlaps is refused; one that is cut short at any byte too. */
static void test_bad_state(void)
{
    struct vex_heap *other = NULL;
    struct vex_buf state;

    begin();
    uint64_t at[8];
    for (int i = 0; i < 8; i++)
        at[i] = put("a blob");
    for (int i = 0; i < 8; i += 2)
        vex_heap_free(heap, at[i], 6);
    CU_ASSERT_EQUAL(vex_heap_sync(heap), 0);
    vex_buf_init(&state, NULL);
    vex_heap_state(heap, &state);
    for (size_t len = 1; len < state.len; len++)
        CU_ASSERT_EQUAL(vex_heap_open(io, PATH, vex_str(state.ptr, len), &other, &err), VEX_ECORRUPT);
    for (size_t i = 0; i < state.len; i++) {
        state.ptr[i] ^= 1;
        int r = vex_heap_open(io, PATH, vex_buf_str(&state), &other, &err);
        CU_ASSERT(r == 0 || r == VEX_ECORRUPT);
        if (r == 0)
            vex_heap_close(other);
        state.ptr[i] ^= 1;
    }
    state.ptr[10] = 1; /* length: beyond the file */
    CU_ASSERT_EQUAL(vex_heap_open(io, PATH, vex_buf_str(&state), &other, &err), VEX_ECORRUPT);
    vex_buf_done(&state);
    end();
}

static void test_extents_are_bounded(void)
{
    enum { COUNT = 70000 };
    uint64_t *at = malloc(COUNT * sizeof *at), after;

    begin();
    for (int i = 0; i < COUNT; i++)
        CU_ASSERT_FATAL(vex_heap_put(heap, VEX_STR("1234567"), &at[i]) == 0);
    (void)put("the last");
    uint64_t live = vex_heap_live(heap);
    for (int i = 0; i < COUNT; i += 2)
        vex_heap_free(heap, at[i], 7);
    CU_ASSERT_EQUAL(vex_heap_live(heap), live - COUNT / 2 * 16);
    vex_heap_settle(heap);
    for (int i = 1; i < COUNT; i += 2)
        vex_heap_free(heap, at[i], 7);
    CU_ASSERT_EQUAL(vex_heap_live(heap), live - (uint64_t)COUNT * 16);
    CU_ASSERT_EQUAL(reopen(), 0);
    CU_ASSERT_EQUAL(vex_heap_lost(heap), 0); /* all joined into one */
    end();
    struct vex_extents extents = {0};
    for (uint64_t i = 0; i < VEX_EXTENTS_MAX + 1000; i++)
        vex_extents_free(&extents, 64 + i * 64, i < 1000 ? 16 : 32);
    vex_extents_settle(&extents);
    CU_ASSERT_EQUAL(extents.lost, 1000 * 16); /* the smallest are given up */
    CU_ASSERT_EQUAL(extents.bytes, (uint64_t)VEX_EXTENTS_MAX * 32);
    CU_ASSERT(vex_extents_take(&extents, 32, &after));
    vex_extents_done(&extents);
    free(at);
}

/* ---- model ---- */

#define BLOBS 300

static struct blob {
    uint64_t at;
    uint32_t len, salt;
    bool live;
} model[BLOBS], saved[BLOBS];

static char content[1 << 16];

static struct vex_str content_of(const struct blob *blob)
{
    for (uint32_t i = 0; i < blob->len; i++)
        content[i] = (char)(blob->salt + i * 7);
    return vex_str(content, blob->len);
}

static bool model_agrees(void)
{
    for (int i = 0; i < BLOBS; i++)
        if (model[i].live &&
            !vex_str_eq(vex_heap_get(heap, model[i].at, model[i].len), content_of(&model[i])))
            return false;
    return true;
}

static void replace(struct blob *blob)
{
    if (blob->live)
        vex_heap_free(heap, blob->at, blob->len);
    blob->live = roll(4) != 0;
    blob->len = (uint32_t)(roll(10) == 0 ? roll(sizeof content) : roll(300));
    blob->salt = (uint32_t)roll(256);
    if (blob->live)
        CU_ASSERT_EQUAL_FATAL(vex_heap_put(heap, content_of(blob), &blob->at), 0);
}

static void test_model(void)
{
    struct vex_buf state;

    begin();
    vex_buf_init(&state, NULL);
    memset(model, 0, sizeof model);
    memset(saved, 0, sizeof saved);
    for (int step = 0; step < 6000; step++) {
        uint64_t what = roll(100);
        if (what < 80)
            replace(&model[roll(BLOBS)]);
        else if (what < 90)
            CU_ASSERT(vex_heap_flush(heap) == 0 && vex_heap_remap(heap) == 0);
        if (what >= 90 && what < 96) { /* a checkpoint */
            CU_ASSERT_EQUAL(vex_heap_sync(heap), 0);
            state.len = 0;
            vex_heap_state(heap, &state);
            memcpy(saved, model, sizeof model);
            vex_heap_settle(heap);
        } else if (what == 96) { /* back to it */
            vex_heap_close(heap);
            CU_ASSERT_EQUAL_FATAL(vex_heap_open(io, PATH, vex_buf_str(&state), &heap, &err), 0);
            memcpy(model, saved, sizeof model);
        }
        if (step % 50 == 0)
            CU_ASSERT_FATAL(model_agrees());
    }
    CU_ASSERT(model_agrees());
    vex_buf_done(&state);
    end();
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("heap", NULL, NULL);
    CU_ADD_TEST(suite, test_put_and_get);
    CU_ADD_TEST(suite, test_thousand_in_one_write);
    CU_ADD_TEST(suite, test_written_and_unmapped);
    CU_ADD_TEST(suite, test_large);
    CU_ADD_TEST(suite, test_freed_only_after_settle);
    CU_ADD_TEST(suite, test_state_has_what_was_freed);
    CU_ADD_TEST(suite, test_full_disk);
    CU_ADD_TEST(suite, test_full_from_the_start);
    CU_ADD_TEST(suite, test_failed_calls);
    CU_ADD_TEST(suite, test_damage);
    CU_ADD_TEST(suite, test_bad_state);
    CU_ADD_TEST(suite, test_extents_are_bounded);
    CU_ADD_TEST(suite, test_model);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
