/* Payload paths, payload operations and filters against the cases of test/golden/filter_cases.jsonl, which
 * the in-memory mode of the public Python client has judged. Every filter is also sent through its bytes and
 * judged again. */
#include <CUnit/Basic.h>
#include <stdio.h>

#include "base/json_read.h"
#include "engine/filter/match.h"
#include "engine/point/value_json.h"
#include "filter_json.h"

#define POINTS_MAX 64

struct oracle {
    struct vex_json_parser *parser;
    struct vex_arena points_arena, arena;
    struct vex_match_point points[POINTS_MAX];
    uint32_t point_count;
    unsigned long line, filters, paths, edits;
};

static uint64_t vector_bit(void *arg, struct vex_str name)
{
    (void)arg;
    return vex_str_eq_c(name, "") ? 1 : vex_str_eq_c(name, "a") ? 2 : vex_str_eq_c(name, "b") ? 4 : 0;
}

static struct vex_value read_value(struct vex_arena *arena, struct vex_json v)
{
    struct vex_buf out;
    struct vex_err err;

    vex_buf_init(&out, arena);
    CU_ASSERT_FATAL(vex_value_from_json(&out, v, &err) == 0);
    CU_ASSERT_FATAL(vex_value_check(out.ptr, out.len, false));
    return (struct vex_value){(const uint8_t *)out.ptr};
}

static void read_points(struct oracle *o, struct vex_json points)
{
    struct vex_json_iter it, names;

    vex_arena_reset(&o->points_arena);
    o->point_count = 0;
    for (it = vex_json_iter(points); vex_json_next(&it);) {
        struct vex_match_point *point = &o->points[o->point_count++];
        *point = (struct vex_match_point){.id = read_id(member(it.value, "id"))};
        point->payload = read_value(&o->points_arena, member(it.value, "payload"));
        for (names = vex_json_iter(member(it.value, "vectors")); vex_json_next(&names);)
            point->vectors |= vector_bit(NULL, vex_json_str(names.value));
    }
}

static uint64_t hits_of(struct oracle *o, const struct vex_filter *filter)
{
    uint64_t hits = 0;

    for (uint32_t i = 0; i < o->point_count; i++)
        if (vex_filter_match(filter, &o->points[i]))
            hits |= UINT64_C(1) << i;
    return hits;
}

static void check_hits(struct oracle *o, struct vex_filter *filter, uint64_t wanted, const char *what)
{
    struct vex_filter_binding binding = {.arena = &o->arena, .vector_bit = vector_bit};
    struct vex_err err;
    uint64_t hits;

    CU_ASSERT_FATAL(vex_filter_bind(filter, &binding, &err) == 0);
    hits = hits_of(o, filter);
    vex_filter_unbind(&binding);
    if (hits != wanted)
        fprintf(stderr, "line %lu (%s): hits %#llx, wanted %#llx\n", o->line, what, (unsigned long long)hits,
                (unsigned long long)wanted);
    CU_ASSERT_EQUAL(hits, wanted);
}

static void check_filter(struct oracle *o, struct vex_json json, struct vex_json hits)
{
    struct vex_filter *filter = read_filter(&o->arena, json), *decoded;
    struct vex_json_iter it;
    struct vex_buf bytes, again;
    struct vex_cursor cursor;
    struct vex_err err;
    uint64_t wanted = 0;

    for (it = vex_json_iter(hits); vex_json_next(&it);)
        wanted |= UINT64_C(1) << vex_json_uint(it.value);
    vex_buf_init(&bytes, &o->arena);
    vex_filter_encode(&bytes, filter);
    check_hits(o, filter, wanted, "built");

    cursor = vex_cursor(bytes.ptr, bytes.len);
    CU_ASSERT_FATAL(vex_filter_decode(&o->arena, &cursor, &decoded, &err) == 0);
    CU_ASSERT_EQUAL(vex_cursor_left(&cursor), 0);
    vex_buf_init(&again, &o->arena);
    vex_filter_encode(&again, decoded);
    CU_ASSERT(vex_str_eq(vex_buf_str(&bytes), vex_buf_str(&again)));
    check_hits(o, decoded, wanted, "decoded");
    o->filters++;
}

static bool step_eq(const struct vex_step *step, struct vex_json v)
{
    switch (vex_json_kind(v)) {
    case VEX_JSON_NULL:
        return step->kind == VEX_STEP_ALL;
    case VEX_JSON_STRING:
        return step->kind == VEX_STEP_KEY && vex_str_eq(step->key, vex_json_str(v));
    default:
        return step->kind == VEX_STEP_INDEX && step->index == vex_json_uint(v);
    }
}

static void check_path(struct oracle *o, struct vex_json text, struct vex_json steps)
{
    struct vex_path path = {.count = 0};
    struct vex_json_iter it;
    struct vex_err err;
    bool good = vex_json_kind(steps) != VEX_JSON_NULL, same;
    uint32_t i = 0;

    same = (vex_path_parse(&o->arena, vex_json_str(text), &path, &err) == 0) == good;
    if (same && good) {
        same = path.count == vex_json_count(steps);
        for (it = vex_json_iter(steps); same && vex_json_next(&it);)
            same = step_eq(&path.steps[i++], it.value);
    }
    if (!same)
        fprintf(stderr, "line %lu: path " VEX_STR_FMT "\n", o->line, VEX_STR_ARG(vex_json_str(text)));
    CU_ASSERT(same);
    o->paths++;
}

static void check_new(struct oracle *o, struct vex_json wanted, const struct vex_buf *out)
{
    struct vex_value value = {(const uint8_t *)out->ptr};
    struct vex_buf text;
    struct vex_jw w;
    bool same =
        vex_value_check(out->ptr, out->len, true) && vex_value_eq(value, read_value(&o->arena, wanted));

    if (!same) {
        vex_buf_init(&text, &o->arena);
        w = vex_jw(&text);
        vex_value_to_json(&w, value);
        fprintf(stderr, "line %lu: got " VEX_STR_FMT "\n", o->line, VEX_STR_ARG(vex_buf_str(&text)));
    }
    CU_ASSERT(same);
    o->edits++;
}

static struct vex_path *read_paths(struct oracle *o, struct vex_json keys)
{
    struct vex_path *paths = VEX_ARENA_ARRAY(&o->arena, struct vex_path, vex_json_count(keys));
    struct vex_json_iter it;
    size_t count = 0;

    for (it = vex_json_iter(keys); vex_json_next(&it);)
        paths[count++] = read_path(&o->arena, it.value);
    return paths;
}

static void check_edit(struct oracle *o, struct vex_json row)
{
    struct vex_payload_selector selector = {.kind = VEX_PAYLOAD_INCLUDE};
    struct vex_json old, keys;
    struct vex_buf out;
    struct vex_path path;

    vex_buf_init(&out, &o->arena);
    if (vex_json_get(row, "set", &old)) {
        path = read_path(&o->arena, member(row, "key"));
        CU_ASSERT_EQUAL(vex_payload_set_at(&out, read_value(&o->arena, old), &path,
                                           read_value(&o->arena, member(row, "patch"))),
                        0);
        check_new(o, member(row, "new"), &out);
        return;
    }
    keys = member(row, "keys");
    if (vex_json_get(row, "delete", &old)) {
        vex_payload_delete(&out, read_value(&o->arena, old), read_paths(o, keys), vex_json_count(keys));
        check_new(o, member(row, "new"), &out);
        return;
    }
    if (!vex_json_get(row, "include", &old)) {
        selector.kind = VEX_PAYLOAD_EXCLUDE;
        old = member(row, "exclude");
    }
    selector.paths = read_paths(o, keys);
    selector.count = (uint32_t)vex_json_count(keys);
    vex_payload_select(&out, read_value(&o->arena, old), &selector);
    check_new(o, member(row, "new"), &out);
}

static void check_line(struct oracle *o, const char *text, size_t len)
{
    struct vex_json row, v;
    struct vex_err err;

    vex_arena_reset(&o->arena);
    CU_ASSERT_FATAL(vex_json_parse(o->parser, text, len, &row, &err) == 0);
    if (vex_json_get(row, "points", &v))
        read_points(o, v);
    else if (vex_json_get(row, "filter", &v))
        check_filter(o, v, member(row, "hits"));
    else if (vex_json_get(row, "path", &v))
        check_path(o, v, member(row, "steps"));
    else
        check_edit(o, row);
}

static FILE *open_cases(void)
{
    const char *given = getenv("VEX_FILTER_CASES"), *slash = strrchr(__FILE__, '/');
    char path[4096];

    if (given == NULL) {
        snprintf(path, sizeof path, "%.*s/../golden/filter_cases.jsonl",
                 slash != NULL ? (int)(slash - __FILE__) : 1, slash != NULL ? __FILE__ : ".");
        given = path;
    }
    return fopen(given, "r");
}

static void test_oracle(void)
{
    struct oracle o = {.parser = vex_json_parser_new()};
    FILE *file = open_cases();
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    CU_ASSERT_FATAL(file != NULL);
    vex_arena_init(&o.points_arena, 0);
    vex_arena_init(&o.arena, 0);
    while ((len = getline(&line, &cap, file)) > 0) {
        o.line++;
        check_line(&o, line, (size_t)len);
    }
    CU_ASSERT(o.filters >= 3000 && o.paths >= 400 && o.edits >= 1000);
    free(line);
    fclose(file);
    vex_arena_done(&o.arena);
    vex_arena_done(&o.points_arena);
    vex_json_parser_free(o.parser);
}

int main(void)
{
    CU_pSuite suite;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    suite = CU_add_suite("filter_oracle", NULL, NULL);
    CU_add_test(suite, "cases", test_oracle);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
