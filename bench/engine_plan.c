/* Filters, pages, facets and orders at a million points with 20 payload fields, 19 of them indexed.
 *
 * Each figure is the CPU time of the calling thread, the best and the middle of several runs; a server's handling of the request comes
 * on top. "read" is the same filter answered by reading payloads. Usage: bench_engine_plan [points (1000000)] [folder] */
#include "engine_bench.h"

#include "engine/collection.h"

#define RUNS 15

static const struct vex_index_params indexes[] = {
    {.field = {"k10", 3}, .type = VEX_INDEX_KEYWORD},
    {.field = {"k10b", 4}, .type = VEX_INDEX_KEYWORD},
    {.field = {"k1000", 5}, .type = VEX_INDEX_KEYWORD},
    {.field = {"k1m", 3}, .type = VEX_INDEX_KEYWORD},
    {.field = {"tags", 4}, .type = VEX_INDEX_KEYWORD},
    {.field = {"i0", 2}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
    {.field = {"i1", 2}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
    {.field = {"i2", 2}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
    {.field = {"f0", 2}, .type = VEX_INDEX_FLOAT},
    {.field = {"f1", 2}, .type = VEX_INDEX_FLOAT},
    {.field = {"f2", 2}, .type = VEX_INDEX_FLOAT},
    {.field = {"d0", 2}, .type = VEX_INDEX_DATETIME},
    {.field = {"d1", 2}, .type = VEX_INDEX_DATETIME},
    {.field = {"b0", 2}, .type = VEX_INDEX_BOOL},
    {.field = {"b1", 2}, .type = VEX_INDEX_BOOL},
    {.field = {"w0", 2}, .type = VEX_INDEX_UUID},
    {.field = {"geo", 3}, .type = VEX_INDEX_GEO},
    {.field = {"text", 4}, .type = VEX_INDEX_TEXT},
    {.field = {"i3", 2}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
};

static uint64_t points;
static uint64_t seed = 88172645463325252u;

/* ---- data ---- */

static void put_key(struct vex_buf *out, const char *key)
{
    vex_value_put_text(out, vex_str_c(key));
}

static void put_text(struct vex_buf *out, const char *format, uint64_t number)
{
    char text[64];
    snprintf(text, sizeof text, format, (unsigned long long)number);
    vex_value_put_text(out, vex_str_c(text));
}

static void put_keywords(struct vex_buf *out)
{
    put_key(out, "k10");
    put_text(out, "city %llu", pick(&seed, 10));
    put_key(out, "k10b");
    put_text(out, "colour %llu", pick(&seed, 10));
    put_key(out, "k1000");
    put_text(out, "shop %llu", pick(&seed, 1000));
    put_key(out, "k1m");
    put_text(out, "user %llu", pick(&seed, 1000000));
    put_key(out, "tags");
    vex_value_put_array(out, 3);
    for (int i = 0; i < 3; i++)
        put_text(out, "tag %llu", pick(&seed, 200));
    put_key(out, "w0");
    put_text(out, "550e8400-e29b-41d4-a716-%012llx", pick(&seed, 100000));
}

static void put_numbers(struct vex_buf *out)
{
    static const char *const ints[] = {"i0", "i1", "i2", "i3"};
    static const uint64_t below[] = {1000000, 100, 10000, 5};
    for (int i = 0; i < 4; i++) {
        put_key(out, ints[i]);
        vex_value_put_int(out, (int64_t)pick(&seed, below[i]));
    }
    static const char *const doubles[] = {"f0", "f1", "f2"};
    for (int i = 0; i < 3; i++) {
        put_key(out, doubles[i]);
        vex_value_put_double(out, (double)pick(&seed, 1u << 30) / (1u << 30));
    }
    put_key(out, "b0");
    vex_value_put_bool(out, pick(&seed, 2) == 0);
    put_key(out, "b1");
    vex_value_put_bool(out, pick(&seed, 100) == 0);
}

static void put_others(struct vex_buf *out)
{
    static const char *const words[] = {"red", "fast", "small", "old", "quiet", "bright", "cheap", "round"};
    char text[128];
    for (int i = 0; i < 2; i++) {
        put_key(out, i == 0 ? "d0" : "d1");
        snprintf(text, sizeof text, "20%02u-%02u-%02uT%02u:00:00Z", (unsigned)pick(&seed, 24),
                 (unsigned)pick(&seed, 12) + 1, (unsigned)pick(&seed, 28) + 1, (unsigned)pick(&seed, 24));
        vex_value_put_text(out, vex_str_c(text));
    }
    put_key(out, "geo");
    vex_value_put_map(out, 2);
    put_key(out, "lon");
    vex_value_put_double(out, (double)pick(&seed, 360000) / 1000 - 180);
    put_key(out, "lat");
    vex_value_put_double(out, (double)pick(&seed, 180000) / 1000 - 90);
    put_key(out, "text");
    snprintf(text, sizeof text, "%s %s thing number %u", words[pick(&seed, 8)], words[pick(&seed, 8)],
             (unsigned)pick(&seed, 5000));
    vex_value_put_text(out, vex_str_c(text));
    put_key(out, "x"); /* not indexed */
    vex_value_put_int(out, (int64_t)pick(&seed, 1000));
}

static void fill(struct bench *b)
{
    struct batch *batch = vex_mem_zalloc(sizeof *batch);
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    for (uint64_t first = 0; first < points; first += BATCH) {
        struct vex_buf bufs[BATCH];
        batch_fill(batch, first, &seed, (struct vex_str){0});
        for (uint32_t i = 0; i < BATCH; i++) {
            vex_buf_init(&bufs[i], NULL);
            vex_value_put_map(&bufs[i], 20);
            put_keywords(&bufs[i]);
            put_numbers(&bufs[i]);
            put_others(&bufs[i]);
            batch->points[i].payload = vex_buf_str(&bufs[i]);
            batch->points[i].vector_count = 0;
        }
        batch_submit(b, batch, &waiter, first + BATCH >= points); /* in the end all are applied */
        wait_for(&waiter, (unsigned)(first / BATCH + 1));
        for (uint32_t i = 0; i < BATCH; i++)
            vex_buf_done(&bufs[i]);
    }
    vex_mem_free(batch);
}

static int add_indexes(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)arg;
    (void)err;
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
        vex_config_set_index(config, &indexes[i]);
    return 0;
}

/* ---- filters ---- */

static struct vex_arena arena; /* of the filters */

static struct vex_cond *cond(struct vex_filter *filter, enum vex_cond_kind kind, const char *path)
{
    struct vex_err err;
    if (filter->must.conds == NULL)
        filter->must.conds = VEX_ARENA_ARRAY(&arena, struct vex_cond, 4);
    struct vex_cond *ret = &filter->must.conds[filter->must.count++];
    ret->kind = kind;
    must(vex_path_parse(&arena, vex_str_c(path), &ret->path, &err), &err, path);
    return ret;
}

static struct vex_filter *new_filter(void)
{
    return VEX_ARENA_NEW(&arena, struct vex_filter);
}

static struct vex_filter *below(const char *path, double limit)
{
    struct vex_filter *filter = new_filter();
    cond(filter, VEX_COND_RANGE, path)->range = (struct vex_cond_range){.has_lt = true, .lt = limit};
    return filter;
}

static void add_any(struct vex_filter *filter, const char *path, const char *format, uint32_t count,
                    uint64_t of)
{
    struct vex_cond *any = cond(filter, VEX_COND_ANY, path);
    any->values.texts = VEX_ARENA_ARRAY(&arena, struct vex_str, count);
    any->values.text_count = count;
    for (uint32_t i = 0; i < count; i++)
        any->values.texts[i] =
            vex_str_c(vex_arena_printf(&arena, format, (unsigned long long)(i * (of / count))));
}

static struct vex_filter *any_of(const char *path, const char *format, uint32_t count, uint64_t of)
{
    struct vex_filter *filter = new_filter();
    add_any(filter, path, format, count, of);
    return filter;
}

/* ---- measuring ---- */

struct job {
    struct vex_collection *collection;
    struct vex_filter *filter;
    enum { COUNT, PAGE, FACET, ORDER, SAMPLE } what;
    const char *field;
    uint64_t limit;
};

static uint64_t once(const struct job *job)
{
    struct vex_arena call;
    struct vex_err err;
    struct vex_hits hits = {0};
    struct vex_facet_hit *facets;
    struct vex_id next;
    size_t n = 0;
    uint64_t count = 0;
    bool more;
    vex_arena_init(&call, 0);
    struct vex_read_context context = {.arena = &call};
    struct vex_order_by order = {0};
    struct vex_scroll scroll = {.filter = job->filter, .limit = job->limit};
    struct vex_facet facet = {.filter = job->filter, .limit = job->limit};
    if (job->field != NULL)
        must(vex_path_parse(&call, vex_str_c(job->field), &order.key, &err), &err, job->field);
    facet.key = order.key;
    scroll.order_by = job->what == ORDER ? &order : NULL;
    scroll.sample = job->what == SAMPLE;
    if (job->what == COUNT)
        must(vex_read_count(job->collection, job->filter, &context, &count, &err), &err, "count");
    else if (job->what == FACET)
        must(vex_read_facet(job->collection, &facet, &context, &facets, &n, &err), &err, "facet");
    else
        must(vex_read_scroll(job->collection, &scroll, &context, &hits, &more, &next, &err), &err, "scroll");
    vex_arena_done(&call);
    return job->what == COUNT ? count : job->what == FACET ? n : hits.count;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(const char *name, struct job job, int runs, double bound)
{
    double times[RUNS];
    uint64_t answer = once(&job);
    for (int i = 0; i < runs; i++) {
        double begin = clock_s(CLOCK_THREAD_CPUTIME_ID);
        once(&job);
        times[i] = (clock_s(CLOCK_THREAD_CPUTIME_ID) - begin) * 1e3;
    }
    qsort(times, (size_t)runs, sizeof *times, by_time);
    printf("%-58s %10llu %10.3f %10.3f", name, (unsigned long long)answer, times[0], times[runs / 2]);
    if (bound > 0)
        printf("   %s %.1f ms", times[0] <= bound ? "within" : "BEYOND", bound);
    printf("\n");
    fflush(stdout);
}

static void counts_and_pages(struct vex_collection *c)
{
    static const struct {
        const char *name;
        double part;
    } parts[] = {{"0.01 %", 1e-4}, {"0.1 %", 1e-3}, {"1 %", 1e-2}, {"10 %", 0.1}, {"50 %", 0.5}};
    char name[128];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct vex_filter *one = below("i0", 1e6 * parts[i].part), *two = below("i0", 1e6 * parts[i].part);
        add_any(two, "k10", "city %llu", 5, 10);
        snprintf(name, sizeof name, "count, integer below (%s)", parts[i].name);
        measure(name, (struct job){c, one, COUNT, NULL, 0}, RUNS, 2);
        snprintf(name, sizeof name, "count, integer below (%s) and 5 of 10 keywords", parts[i].name);
        measure(name, (struct job){c, two, COUNT, NULL, 0}, RUNS, 2);
        snprintf(name, sizeof name, "page of 100, integer below (%s)", parts[i].name);
        measure(name, (struct job){c, one, PAGE, NULL, 100}, RUNS, 0.3);
        snprintf(name, sizeof name, "page of 100, the same and 5 of 10 keywords");
        measure(name, (struct job){c, two, PAGE, NULL, 100}, RUNS, 0.3);
        snprintf(name, sizeof name, "page of 100 in order of a float, integer below (%s)", parts[i].name);
        measure(name, (struct job){c, one, ORDER, "f0", 100}, RUNS, 0);
    }
}

static void keywords(struct vex_collection *c)
{
    struct vex_filter *geo = new_filter(), *text = new_filter(), *times = new_filter();
    struct vex_cond *box = cond(geo, VEX_COND_GEO_RADIUS, "geo");
    box->geo_radius.center = (struct vex_geo){13.4, 52.5};
    box->geo_radius.meters = 500e3;
    cond(text, VEX_COND_TEXT, "text")->text = VEX_STR("red number");
    cond(times, VEX_COND_TIME, "d0")->times =
        (struct vex_cond_times){.has_gte = true, .gte = INT64_C(1577836800000000)};
    measure("count, 1 of 10 keywords", (struct job){c, any_of("k10", "city %llu", 1, 10), COUNT, NULL, 0},
            RUNS, 2);
    measure("count, 5 of 10 keywords", (struct job){c, any_of("k10", "city %llu", 5, 10), COUNT, NULL, 0},
            RUNS, 2);
    measure("count, 1 of 1,000 keywords",
            (struct job){c, any_of("k1000", "shop %llu", 1, 1000), COUNT, NULL, 0}, RUNS, 2);
    measure("count, 1 of 1,000,000 keywords",
            (struct job){c, any_of("k1m", "user %llu", 1, 1000000), COUNT, NULL, 0}, RUNS, 2);
    measure("count, any of 10,000 of 1,000,000 keywords",
            (struct job){c, any_of("k1m", "user %llu", 10000, 1000000), COUNT, NULL, 0}, RUNS, 5);
    measure("count, 10 of 200 tags in arrays",
            (struct job){c, any_of("tags", "tag %llu", 10, 200), COUNT, NULL, 0}, RUNS, 2);
    measure("count, within 500 km", (struct job){c, geo, COUNT, NULL, 0}, RUNS, 2);
    measure("count, two words", (struct job){c, text, COUNT, NULL, 0}, RUNS, 2);
    measure("count, times of 4 years of 24", (struct job){c, times, COUNT, NULL, 0}, RUNS, 2);
    measure("page of 100, 1 of 1,000 keywords",
            (struct job){c, any_of("k1000", "shop %llu", 1, 1000), PAGE, NULL, 100}, RUNS, 0.3);
    measure("page of 100, no filter", (struct job){c, NULL, PAGE, NULL, 100}, RUNS, 0.3);
    measure("page of 100 in order of an integer", (struct job){c, NULL, ORDER, "i0", 100}, RUNS, 0.3);
    measure("sample of 100 of 50 %", (struct job){c, below("i0", 5e5), SAMPLE, NULL, 100}, RUNS, 0);
}

static void facets(struct vex_collection *c)
{
    static const char *const fields[] = {"k10", "k1000", "k1m", "tags", "i1", "i0", "b0", "w0"};
    char name[128];
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        snprintf(name, sizeof name, "facet of %s", fields[i]);
        measure(name, (struct job){c, NULL, FACET, fields[i], 10}, RUNS, 20);
        snprintf(name, sizeof name, "facet of %s among 1 %%", fields[i]);
        measure(name, (struct job){c, below("i0", 1e4), FACET, fields[i], 10}, RUNS, 20);
        snprintf(name, sizeof name, "facet of %s among 50 %%", fields[i]);
        measure(name, (struct job){c, below("i0", 5e5), FACET, fields[i], 10}, RUNS, 20);
    }
}

int main(int argc, char **argv)
{
    struct bench b;
    struct vex_err err;
    points = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    vex_arena_init(&arena, 0);
    bench_open(&b, argc > 2 ? argv[2] : NULL);
    fill(&b);
    printf("%llu points, 20 fields; CPU of the calling thread\n", (unsigned long long)points);
    printf("%-58s %10s %10s %10s\n", "", "answer", "best ms", "middle ms");
    measure("read: count, integer below (50 %)", (struct job){b.collection, below("i0", 5e5), COUNT, NULL, 0},
            3, (double)points / 1e6 * 1e3);
    measure("read: page of 100, integer below (1 %)",
            (struct job){b.collection, below("i0", 1e4), PAGE, NULL, 100}, 3, 0);
    double begin = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    must(vex_engine_alter(b.engine, b.collection, (struct vex_str){0}, add_indexes, NULL, &err), &err,
         "alter");
    must(vex_collection_wait_indexes(b.collection, 0, &err), &err, "indexes");
    printf("%-58s %10s %10.0f %10.0f   (wall; CPU)\n", "19 indexes built", "",
           (clock_s(CLOCK_MONOTONIC) - begin) * 1e3, (clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3);
    counts_and_pages(b.collection);
    keywords(b.collection);
    facets(b.collection);
    measure("count, a field without index", (struct job){b.collection, below("x", 10), COUNT, NULL, 0}, 3,
            (double)points / 1e6 * 1e3);
    bench_close(&b);
    vex_arena_done(&arena);
    return 0;
}
