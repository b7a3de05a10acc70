/* Filter matching on one core: a filter of two conditions over payloads of ten fields, points a second.
 *
 *     bench_filter_match [points]     (default 200000 different payloads, several passes, the best is
 * printed) */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "engine/filter/match.h"

#define PASSES 9

static void put_payload(struct vex_buf *out, unsigned i)
{
    char text[64];

    vex_value_put_map(out, 10);
    vex_value_put_text(out, VEX_STR("title"));
    vex_value_put_text(out,
                       vex_str(text, (size_t)snprintf(text, sizeof text, "The title of document %u", i)));
    vex_value_put_text(out, VEX_STR("tags"));
    vex_value_put_array(out, 3);
    for (unsigned t = 0; t < 3; t++)
        vex_value_put_text(out, vex_str(text, (size_t)snprintf(text, sizeof text, "tag%u", (i + t) % 50)));
    vex_value_put_text(out, VEX_STR("views"));
    vex_value_put_int(out, i * 7919 % 100000);
    vex_value_put_text(out, VEX_STR("score"));
    vex_value_put_double(out, i % 1000 / 10.0);
    vex_value_put_text(out, VEX_STR("published"));
    vex_value_put_bool(out, i % 3 != 0);
    vex_value_put_text(out, VEX_STR("created"));
    vex_value_put_text(out, VEX_STR("2024-01-03T00:00:00Z"));
    vex_value_put_text(out, VEX_STR("author"));
    vex_value_put_map(out, 2);
    vex_value_put_text(out, VEX_STR("name"));
    vex_value_put_text(out, VEX_STR("someone"));
    vex_value_put_text(out, VEX_STR("id"));
    vex_value_put_int(out, i % 977);
    vex_value_put_text(out, VEX_STR("lang"));
    vex_value_put_text(out, i % 2 ? VEX_STR("en") : VEX_STR("de"));
    vex_value_put_text(out, VEX_STR("city"));
    vex_value_put_text(out, vex_str(text, (size_t)snprintf(text, sizeof text, "city%u", i % 20)));
    vex_value_put_text(out, VEX_STR("price"));
    vex_value_put_double(out, i % 500);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run(const char *what, struct vex_filter *filter, const struct vex_buf *payloads, const size_t *at,
                unsigned count)
{
    double best = 1e9;
    unsigned hits = 0;

    for (int pass = 0; pass < PASSES; pass++) {
        double begin = seconds(), took;
        hits = 0;
        for (unsigned i = 0; i < count; i++) {
            struct vex_match_point point = {.id = vex_id_num(i),
                                            .payload = {(const uint8_t *)payloads->ptr + at[i]}};
            hits += vex_filter_match(filter, &point);
        }
        took = seconds() - begin;
        best = took < best ? took : best;
    }
    printf("%-28s %8.2f million points/s  (%u of %u match)\n", what, count / best * 1e-6, hits, count);
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200000;
    size_t *at = vex_mem_alloc((count + 1) * sizeof *at);
    struct vex_arena arena;
    struct vex_filter_binding binding = {.arena = &arena};
    struct vex_str city = VEX_STR("city7");
    struct vex_err err;
    struct vex_buf payloads;

    vex_arena_init(&arena, 0);
    vex_buf_init(&payloads, NULL);
    for (unsigned i = 0; i < count; i++) {
        at[i] = payloads.len;
        put_payload(&payloads, i);
    }
    struct vex_cond conds[] = {
        {.kind = VEX_COND_RANGE,
         .path = vex_path_key(&arena, VEX_STR("price")),
         .range = {.has_lt = true, .lt = 450}},
        {.kind = VEX_COND_ANY,
         .path = vex_path_key(&arena, VEX_STR("city")),
         .values = {.texts = &city, .text_count = 1}},
        {.kind = VEX_COND_TEXT,
         .path = vex_path_key(&arena, VEX_STR("title")),
         .text = VEX_STR("document title")},
    };
    struct vex_filter two = {.must = {conds, 2}}, text = {.must = {conds + 2, 1}};
    if (vex_filter_bind(&two, &binding, &err) != 0 || vex_filter_bind(&text, &binding, &err) != 0)
        return 1;
    run("range and keyword", &two, &payloads, at, count);
    run("two words in a title", &text, &payloads, at, count);
    vex_buf_done(&payloads);
    vex_mem_free(at);
    vex_arena_done(&arena);
    return 0;
}
