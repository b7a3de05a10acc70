/* Filtered searches inside of the engine, beside those without a filter: for parts of the points that match, drawn at random or lying
 * together, microseconds of the calling thread and recall against the exact search.
 *
 * Usage: bench_engine_filtered VECTORS [rounds (3)] [beam ...]   VECTORS: as written by graph_data.py, 128 dimensions, squared Euclid
 * "tenants": 100 points each, searched one tenant at a time. They arrive in any order; those of a field whose index is a tenant
 * index are stored together, those of the other field lie where they came. */
#include "engine_bench.h"

#include "engine/collection.h"
#include "engine/graph_set.h"
#include "engine/index_set.h"

#define K       10u
#define QUERIES 300u
#define TENANT  100u /* points of one */
#define BEAMS   16

static float *base, *queries;
static uint64_t points;
static int64_t *near_rank;  /* place in the order of distance from the first point */
static uint32_t *any_rank;  /* place in an order drawn at random */
static uint32_t *home_rank; /* the same, another one */
static int rounds = 3;
static uint32_t beams[BEAMS] = {16, 32, 64, 128}, beam_count = 4;
static struct vex_arena arena; /* of the filters */
static uint64_t seed = 88172645463325252u;

/* ---- data ---- */

static float *load(const char *path, const char *part, uint64_t *ret_count)
{
    char name[512];
    FILE *file;
    float *ret;
    long size;

    snprintf(name, sizeof name, "%s.%s", path, part);
    file = fopen(name, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0)
        must(VEX_EIO, NULL, name);
    rewind(file);
    ret = vex_mem_alloc((size_t)size);
    if (fread(ret, 1, (size_t)size, file) != (size_t)size)
        must(VEX_EIO, NULL, name);
    fclose(file);
    *ret_count = (uint64_t)size / sizeof(float) / DIMENSIONS;
    return ret;
}

struct far {
    float distance;
    uint32_t which;
};

static int by_distance(const void *a, const void *b)
{
    const struct far *x = a, *y = b;
    return x->distance < y->distance ? -1 : x->distance > y->distance;
}

static uint32_t *shuffled(void)
{
    uint32_t *ret = vex_mem_alloc(points * sizeof *ret);

    for (uint64_t i = 0; i < points; i++)
        ret[i] = (uint32_t)i;
    for (uint64_t i = points; i > 1; i--) {
        uint64_t other = pick(&seed, i);
        uint32_t kept = ret[i - 1];
        ret[i - 1] = ret[other];
        ret[other] = kept;
    }
    return ret;
}

static void rank(void)
{
    struct far *fars = vex_mem_alloc(points * sizeof *fars);

    near_rank = vex_mem_alloc(points * sizeof *near_rank);
    any_rank = shuffled();
    home_rank = shuffled();
    for (uint64_t i = 0; i < points; i++) {
        fars[i] = (struct far){0, (uint32_t)i};
        for (uint32_t d = 0; d < DIMENSIONS; d++) {
            float apart = base[i * DIMENSIONS + d] - base[d];
            fars[i].distance += apart * apart;
        }
    }
    qsort(fars, points, sizeof *fars, by_distance);
    for (uint64_t i = 0; i < points; i++)
        near_rank[fars[i].which] = (int64_t)i;
    vex_mem_free(fars);
}

static int add_indexes(void *arg, struct vex_config *config, struct vex_err *err)
{
    static const struct vex_index_params indexes[] = {
        {.field = {"near", 4}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
        {.field = {"any", 3}, .type = VEX_INDEX_INTEGER, .range = true, .lookup = true},
        {.field = {"tenant", 6}, .type = VEX_INDEX_KEYWORD},
        {.field = {"home", 4}, .type = VEX_INDEX_KEYWORD, .tenant = true},
    };

    (void)arg;
    (void)err;
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
        vex_config_set_index(config, &indexes[i]);
    return 0;
}

static void put_tenant(struct vex_buf *out, const char *field, uint32_t which)
{
    char text[32];

    vex_value_put_text(out, vex_str_c(field));
    snprintf(text, sizeof text, "tenant %u", which);
    vex_value_put_text(out, vex_str_c(text));
}

static void put_payload(struct vex_buf *out, uint64_t i)
{
    vex_value_put_map(out, 4);
    vex_value_put_text(out, VEX_STR("near"));
    vex_value_put_int(out, near_rank[i]);
    vex_value_put_text(out, VEX_STR("any"));
    vex_value_put_int(out, any_rank[i]);
    put_tenant(out, "tenant", any_rank[i] / TENANT);
    put_tenant(out, "home", home_rank[i] / TENANT);
}

static void fill(struct bench *b)
{
    struct batch *batch = vex_mem_zalloc(sizeof *batch);
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

    points -= points % BATCH;
    for (uint64_t first = 0; first < points; first += BATCH) {
        struct vex_buf bufs[BATCH];
        batch_fill(batch, first, &seed, (struct vex_str){0});
        memcpy(batch->values, base + first * DIMENSIONS, sizeof batch->values);
        for (uint32_t i = 0; i < BATCH; i++) {
            vex_buf_init(&bufs[i], NULL);
            put_payload(&bufs[i], first + i);
            batch->points[i].payload = vex_buf_str(&bufs[i]);
        }
        batch_submit(b, batch, &waiter, first + BATCH >= points);
        wait_for(&waiter, (unsigned)(first / BATCH + 1));
        for (uint32_t i = 0; i < BATCH; i++)
            vex_buf_done(&bufs[i]);
    }
    vex_mem_free(batch);
}

/* ---- filters ---- */

static struct vex_cond *cond(struct vex_filter **ret, enum vex_cond_kind kind, const char *path)
{
    struct vex_err err;
    struct vex_filter *filter = VEX_ARENA_NEW(&arena, struct vex_filter);

    *ret = filter;
    filter->must = (struct vex_cond_list){VEX_ARENA_ARRAY(&arena, struct vex_cond, 1), 1};
    filter->must.conds->kind = kind;
    must(vex_path_parse(&arena, vex_str_c(path), &filter->must.conds->path, &err), &err, path);
    return filter->must.conds;
}

static struct vex_filter *below(const char *path, double share)
{
    struct vex_filter *ret;

    cond(&ret, VEX_COND_RANGE, path)->range =
        (struct vex_cond_range){.has_lt = true, .lt = share * (double)points};
    return ret;
}

static struct vex_filter *of_tenant(const char *field, uint32_t which)
{
    struct vex_filter *ret;
    struct vex_cond *any = cond(&ret, VEX_COND_ANY, field);

    any->values.texts = VEX_ARENA_ARRAY(&arena, struct vex_str, 1);
    any->values.text_count = 1;
    any->values.texts[0] = vex_str_c(vex_arena_printf(&arena, "tenant %u", which));
    return ret;
}

/* ---- measuring ---- */

static uint32_t ask(struct bench *b, struct vex_filter *filter, uint32_t query, uint32_t ef, bool exact,
                    uint64_t ids[K])
{
    struct vex_nearest request = {
        .using = VEX_STR(""),
        .query = {.kind = VEX_VECTOR_DENSE,
                  .values = queries + (size_t)query * DIMENSIONS,
                  .count = DIMENSIONS},
        .filter = filter,
        .limit = K,
        .ef = ef,
        .exact = exact,
    };
    struct vex_hits hits = {0};
    struct vex_arena call;
    struct vex_err err;
    uint32_t count;

    vex_arena_init(&call, 0);
    struct vex_read_context context = {.arena = &call};
    must(vex_read_nearest(b->collection, &request, 1, &context, &hits, &err), &err, "search");
    count = (uint32_t)hits.count;
    for (uint32_t i = 0; i < count; i++)
        ids[i] = hits.hits[i].id.num;
    vex_arena_done(&call);
    return count;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The mean over the queries, each the best of its rounds, and that of the slowest tenth. */
static void measure(struct bench *b, const char *name, struct vex_filter *(*filter_of)(uint32_t query),
                    struct vex_filter *filter)
{
    static uint64_t truth[QUERIES][K];
    static uint32_t wanted[QUERIES];
    uint64_t all = 0;

    for (uint32_t q = 0; q < QUERIES; q++) {
        wanted[q] = ask(b, filter_of != NULL ? filter_of(q) : filter, q, 0, true, truth[q]);
        all += wanted[q];
    }
    for (uint32_t e = 0; e < beam_count; e++) {
        double times[QUERIES], sum = 0, slow = 0;
        uint64_t hit = 0, got[K];
        for (int r = 0; r <= rounds; r++) /* one to warm up and compare */
            for (uint32_t q = 0; q < QUERIES; q++) {
                struct vex_filter *own = filter_of != NULL ? filter_of(q) : filter;
                double begin = clock_s(CLOCK_THREAD_CPUTIME_ID), took;
                uint32_t found = ask(b, own, q, beams[e], false, got);
                took = (clock_s(CLOCK_THREAD_CPUTIME_ID) - begin) * 1e6;
                times[q] = r == 0 || took < times[q] ? took : times[q];
                if (r > 0)
                    continue;
                for (uint32_t i = 0; i < found; i++)
                    for (uint32_t j = 0; j < wanted[q]; j++)
                        hit += got[i] == truth[q][j];
                if (found != wanted[q])
                    printf("%s: %u hits instead of %u\n", name, found, wanted[q]);
            }
        for (uint32_t q = 0; q < QUERIES; q++)
            sum += times[q];
        qsort(times, QUERIES, sizeof *times, by_time);
        for (uint32_t q = QUERIES - QUERIES / 10; q < QUERIES; q++)
            slow += times[q];
        printf("%-24s beam %4u %9.1f us, slowest tenth %9.1f us, recall %.4f\n", name, beams[e],
               sum / QUERIES, slow / (QUERIES / 10), (double)hit / (double)all);
    }
    fflush(stdout);
}

static struct vex_filter *tenant_of_query(uint32_t query)
{
    return of_tenant("tenant", query * 7 % (uint32_t)(points / TENANT));
}

static struct vex_filter *home_of_query(uint32_t query)
{
    return of_tenant("home", query * 7 % (uint32_t)(points / TENANT));
}

/* Runs of slots that the points of a tenant lie in, on the average. */
static double runs_of(const struct vex_collection_data *data, const uint32_t *ranks)
{
    uint64_t runs = 0;
    uint32_t before = UINT32_MAX;

    for (uint32_t slot = 0; slot < vex_rows_slots(data->rows); slot++) {
        bool live = vex_rows_at(data->rows, slot)->state == VEX_ROW_LIVE;
        uint32_t which = live ? ranks[vex_rows_id(data->rows, slot).num] / TENANT : UINT32_MAX;

        runs += which != before && live;
        before = which;
    }
    return (double)runs / ((double)points / TENANT);
}

static void tell_places(struct bench *b)
{
    struct vex_collection_data data;
    struct vex_err err;

    must(vex_collection_read_begin(b->collection, &data, &err), &err, "look");
    printf("%llu points in %u slots; runs of a tenant: %.2f, where the index keeps them together %.2f\n",
           (unsigned long long)vex_rows_live_count(data.rows), vex_rows_slots(data.rows),
           runs_of(&data, any_rank), runs_of(&data, home_rank));
    vex_collection_read_end(b->collection);
}

int main(int argc, char **argv)
{
    static const double shares[] = {0.001, 0.01, 0.05, 0.2, 0.5, 0.9};
    struct bench b;
    struct vex_err err;
    uint64_t count;
    char name[64];

    if (argc < 2)
        must(VEX_EBAD_INPUT, NULL, "usage: bench_engine_filtered VECTORS [rounds] [beam ...]");
    if (argc > 2)
        rounds = atoi(argv[2]);
    for (int i = 3; i < argc && i - 3 < BEAMS; i++)
        beams[(beam_count = (uint32_t)i - 2) - 1] = (uint32_t)atoi(argv[i]);
    vex_arena_init(&arena, 0);
    base = load(argv[1], "base", &points);
    queries = load(argv[1], "query", &count);
    rank();
    bench_open(&b, NULL);
    must(vex_engine_alter(b.engine, b.collection, (struct vex_str){0}, add_indexes, NULL, &err), &err,
         "indexes");
    fill(&b);
    must(vex_collection_wait_indexes(b.collection, 0, &err), &err, "indexes");
    must(vex_collection_wait_graphs(b.collection, 0, &err), &err, "graph");
    measure(&b, "no filter", NULL, NULL);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        snprintf(name, sizeof name, "any %.1f %%", shares[i] * 100);
        measure(&b, name, NULL, below("any", shares[i]));
        snprintf(name, sizeof name, "near %.1f %%", shares[i] * 100);
        measure(&b, name, NULL, below("near", shares[i]));
    }
    tell_places(&b);
    measure(&b, "tenants", tenant_of_query, NULL);
    measure(&b, "tenants together", home_of_query, NULL);
    vex_arena_done(&arena);
    bench_close(&b);
    return 0;
}
