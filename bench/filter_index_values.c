/* Payload indexes over a million points: time to build, memory beside the raw values, time to match, on one core.
 *
 *     bench_filter_index_values [points]     (default 1000000)
 *
 * Raw bytes are those of the values alone, as in a payload (CBOR). Times are CPU time; those of conditions are the best of
 * several runs, into a cleared bitmap. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"
#include "engine/index/index.h"

#define PASSES 7
#define FIELD  "f"
#define HEAD   3 /* bytes of a payload before its value: map of one, key */

static uint32_t points = 1000000;
static uint64_t state = 88172645463325252ull;
static uint64_t *sure, *unsure;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

typedef void put_fn(struct vex_buf *out, uint32_t i);

static void put_few(struct vex_buf *out, uint32_t i)
{
    char text[32];

    (void)i;
    vex_value_put_text(
        out, vex_str(text, (size_t)snprintf(text, sizeof text, "group-%02u", (unsigned)(next() % 10))));
}

static void put_thousand(struct vex_buf *out, uint32_t i)
{
    char text[32];

    (void)i;
    vex_value_put_text(
        out, vex_str(text, (size_t)snprintf(text, sizeof text, "group-%06u", (unsigned)(next() % 1000))));
}

static void put_unique(struct vex_buf *out, uint32_t i)
{
    char text[32];

    vex_value_put_text(out, vex_str(text, (size_t)snprintf(text, sizeof text, "key-%012u", i)));
}

static void put_uuid(struct vex_buf *out, uint32_t i)
{
    char text[64];
    unsigned long long a = next(), b = next();

    (void)i;
    vex_value_put_text(
        out,
        vex_str(text, (size_t)snprintf(text, sizeof text, "%08llx-%04llx-4%03llx-8%03llx-%012llx", a >> 32,
                                       a & 0xffff, b >> 52, a >> 20 & 0xfff, b & 0xffffffffffff)));
}

static void put_int(struct vex_buf *out, uint32_t i)
{
    (void)i;
    vex_value_put_int(out, (int64_t)(next() % 1000000));
}

static void put_small(struct vex_buf *out, uint32_t i)
{
    (void)i;
    vex_value_put_int(out, (int64_t)(next() % 100));
}

static void put_double(struct vex_buf *out, uint32_t i)
{
    (void)i;
    vex_value_put_double(out, (double)(next() >> 11) / 9007199254740992.0);
}

static void put_time(struct vex_buf *out, uint32_t i)
{
    char text[64];

    (void)i;
    vex_value_put_text(
        out, vex_str(text, vex_time_text(text, (int64_t)(1700000000 + next() % 50000000) * 1000000)));
}

static void put_bool(struct vex_buf *out, uint32_t i)
{
    (void)i;
    vex_value_put_bool(out, next() % 2 == 0);
}

static void put_geo(struct vex_buf *out, uint32_t i)
{
    (void)i;
    vex_value_put_map(out, 2);
    vex_value_put_text(out, VEX_STR("lon"));
    vex_value_put_double(out, (double)(next() >> 11) / 9007199254740992.0 * 360 - 180);
    vex_value_put_text(out, VEX_STR("lat"));
    vex_value_put_double(out, (double)(next() >> 11) / 9007199254740992.0 * 180 - 90);
}

static struct vex_index *build(const char *name, struct vex_index_params params, put_fn *put)
{
    size_t *at = vex_mem_alloc(points * sizeof *at);
    struct vex_index *index;
    struct vex_buf payloads;
    struct vex_err err;
    double begin, took;
    uint64_t bytes, raw;

    params.field = VEX_STR(FIELD);
    params.range = params.lookup = true;
    vex_buf_init(&payloads, NULL);
    for (uint32_t i = 0; i < points; i++) {
        at[i] = payloads.len;
        vex_value_put_map(&payloads, 1);
        vex_value_put_text(&payloads, VEX_STR(FIELD));
        put(&payloads, i);
    }
    if (vex_index_new(&params, &index, &err) != 0)
        exit(1);
    begin = seconds();
    for (uint32_t i = 0; i < points; i++) {
        vex_index_add(index, i, (struct vex_value){(const uint8_t *)payloads.ptr + at[i]});
        if (i % 4096 == 0 && vex_index_prepare(index))
            vex_index_publish(index);
    }
    took = seconds() - begin;
    bytes = vex_index_bytes(index);
    raw = payloads.len - HEAD * (uint64_t)points;
    printf("\n%-34s build %6.2f s   %7.2f MB, %5.2f of raw\n", name, took, (double)bytes * 1e-6,
           (double)bytes / (double)raw);
    vex_buf_done(&payloads);
    vex_mem_free(at);
    return index;
}

static void run(const struct vex_index *index, const char *what, const struct vex_cond *cond)
{
    size_t words = (points + 63) / 64;
    double best = 1e9, best_est = 1e9;
    uint64_t count = 0, rest = 0;
    struct vex_index_estimate est = {0};

    for (int pass = 0; pass < PASSES; pass++) {
        double begin = seconds(), middle, end;
        est = vex_index_estimate(index, cond);
        middle = seconds();
        memset(sure, 0, words * sizeof *sure);
        memset(unsure, 0, words * sizeof *unsure);
        vex_index_match(index, cond, sure, unsure, points);
        end = seconds();
        best_est = middle - begin < best_est ? middle - begin : best_est;
        best = end - middle < best ? end - middle : best;
    }
    for (size_t w = 0; w < words; w++) {
        count += (uint64_t)__builtin_popcountll(sure[w]);
        rest += (uint64_t)__builtin_popcountll(unsure[w] & ~sure[w]);
    }
    printf("    %-30s estimate %8.3f ms   match %8.3f ms   %7llu sure, %llu unsure%s\n", what, best_est * 1e3,
           best * 1e3, (unsigned long long)count, (unsigned long long)rest,
           est.min == est.max ? "" : "  (bounds)");
}

static int one_facet(void *arg, const struct vex_facet_value *value, uint64_t count)
{
    (void)value;
    *(uint64_t *)arg += count;
    return 0;
}

static void facet(const struct vex_index *index)
{
    size_t words = (points + 63) / 64;
    double best = 1e9;
    uint64_t total = 0;

    memset(sure, 0x55, words * sizeof *sure);
    for (int pass = 0; pass < PASSES; pass++) {
        double begin = seconds(), took;
        total = 0;
        vex_index_facet(index, sure, points, one_facet, &total);
        took = seconds() - begin;
        best = took < best ? took : best;
    }
    printf("    %-30s %8.3f ms   (%llu)\n", "facet over half", best * 1e3, (unsigned long long)total);
}

static void run_texts(const struct vex_index *index, const char *what, const char *format, uint32_t count,
                      uint32_t step)
{
    struct vex_str *texts = vex_mem_alloc(count * sizeof *texts);
    char *text = vex_mem_alloc(count * 32u);
    struct vex_cond cond = {.kind = VEX_COND_ANY, .values = {.texts = texts, .text_count = count}};

    for (uint32_t i = 0; i < count; i++)
        texts[i] = vex_str(text + i * 32u, (size_t)snprintf(text + i * 32u, 32, format, i * step));
    run(index, what, &cond);
    if (count == 1) {
        cond.kind = VEX_COND_EXCEPT;
        run(index, "except one", &cond);
    }
    vex_mem_free(texts);
    vex_mem_free(text);
}

static void keywords(void)
{
    struct vex_index *index =
        build("keyword, 10 values", (struct vex_index_params){.type = VEX_INDEX_KEYWORD}, put_few);
    struct vex_cond cond = {.kind = VEX_COND_PREFIX, .text = VEX_STR("key-00000012")};

    run_texts(index, "one (10 %)", "group-%02u", 1, 1);
    run_texts(index, "five (50 %)", "group-%02u", 5, 1);
    facet(index);
    vex_index_free(index);
    index =
        build("keyword, 1,000 values", (struct vex_index_params){.type = VEX_INDEX_KEYWORD}, put_thousand);
    run_texts(index, "one (0.1 %)", "group-%06u", 1, 1);
    run_texts(index, "500 (50 %)", "group-%06u", 500, 1);
    facet(index);
    vex_index_free(index);
    index = build("keyword, all different", (struct vex_index_params){.type = VEX_INDEX_KEYWORD}, put_unique);
    run_texts(index, "one", "key-%012u", 1, 1);
    run_texts(index, "100 (0.01 %)", "key-%012u", 100, points / 100);
    run_texts(index, "10,000 (1 %)", "key-%012u", 10000, points / 10000);
    facet(index);
    vex_index_free(index);
    index = build("keyword, all different, prefix",
                  (struct vex_index_params){.type = VEX_INDEX_KEYWORD, .prefix = true}, put_unique);
    run(index, "prefix (1 %)", &cond);
    cond = (struct vex_cond){.kind = VEX_COND_SUBSTRING, .text = VEX_STR("777")};
    run(index, "substring", &cond);
    vex_index_free(index);
    vex_index_free(build("uuid", (struct vex_index_params){.type = VEX_INDEX_UUID}, put_uuid));
}

static void ranges(const struct vex_index *index, double width)
{
    static const double parts[] = {0.0001, 0.01, 0.1, 0.5, 0.9};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct vex_cond cond = {.kind = VEX_COND_RANGE,
                                .range = {.has_gte = true, .gte = 0, .has_lt = true, .lt = width * parts[i]}};
        char what[64];
        snprintf(what, sizeof what, "range of %g %%", parts[i] * 100);
        run(index, what, &cond);
    }
}

static void walk(const struct vex_index *index)
{
    struct vex_index_walk at;
    struct vex_order_value value;
    uint32_t slot, count = 0;
    double begin = seconds();

    vex_index_walk(index, true, NULL, &at);
    while (vex_index_walk_next(&at, &value, &slot))
        count++;
    printf("    %-30s %8.1f ns a step\n", "walk", (seconds() - begin) / count * 1e9);
}

static void numbers(void)
{
    struct vex_index *index =
        build("integer, 0 to 999,999", (struct vex_index_params){.type = VEX_INDEX_INTEGER}, put_int);
    int64_t *ints = vex_mem_alloc(10000 * sizeof *ints);
    struct vex_cond cond = {.kind = VEX_COND_ANY, .values = {.ints = ints, .int_count = 10000}};

    for (uint32_t i = 0; i < 10000; i++)
        ints[i] = i * 100;
    ranges(index, 1e6);
    run(index, "any of 10,000", &cond);
    facet(index);
    walk(index);
    vex_index_free(index);
    vex_mem_free(ints);
    index = build("integer, 0 to 99", (struct vex_index_params){.type = VEX_INDEX_INTEGER}, put_small);
    facet(index);
    vex_index_free(index);
    index = build("float", (struct vex_index_params){.type = VEX_INDEX_FLOAT}, put_double);
    ranges(index, 1);
    walk(index);
    vex_index_free(index);
    index = build("datetime", (struct vex_index_params){.type = VEX_INDEX_DATETIME}, put_time);
    cond =
        (struct vex_cond){.kind = VEX_COND_TIME, .times = {.has_lt = true, .lt = INT64_C(1725000000000000)}};
    run(index, "before (50 %)", &cond);
    vex_index_free(index);
    index = build("bool", (struct vex_index_params){.type = VEX_INDEX_BOOL}, put_bool);
    cond = (struct vex_cond){.kind = VEX_COND_ANY, .values = {.has_true = true}};
    run(index, "true (50 %)", &cond);
    facet(index);
    vex_index_free(index);
}

static void geo(void)
{
    struct vex_index *index = build("geo", (struct vex_index_params){.type = VEX_INDEX_GEO}, put_geo);
    struct vex_geo ring[] = {{-170, -60}, {10, -80}, {170, 30}, {0, 85}, {-90, 20}, {-170, -60}};
    struct vex_cond box = {.kind = VEX_COND_GEO_BOX, .geo_box = {{-1.8, 1.8}, {1.8, 0}}};
    struct vex_cond circle = {.kind = VEX_COND_GEO_RADIUS, .geo_radius = {{10, 50}, 100000}};
    struct vex_cond polygon = {.kind = VEX_COND_GEO_POLYGON, .geo_polygon = {.exterior = {ring, 6}}};

    run(index, "box", &box);
    box.geo_box.top_left = (struct vex_geo){-90, 89};
    box.geo_box.bottom_right = (struct vex_geo){91, -89};
    run(index, "box (50 %)", &box);
    run(index, "radius of 100 km", &circle);
    circle.geo_radius.meters = 9000000;
    run(index, "radius of 9,000 km", &circle);
    run(index, "polygon", &polygon);
    vex_index_free(index);
}

int main(int argc, char **argv)
{
    points = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : points;
    if (points < 10000)
        return 1;
    sure = vex_mem_zalloc((points / 64 + 1) * sizeof *sure);
    unsure = vex_mem_zalloc((points / 64 + 1) * sizeof *unsure);
    keywords();
    numbers();
    geo();
    vex_mem_free(sure);
    vex_mem_free(unsure);
    return 0;
}
