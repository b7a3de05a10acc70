/* Batches whose queries are answered at once: every answer is the one that the query gets alone, whatever was shared out; failures come
 * out as if the queries had run in order; and nothing of it races with writers. */
#include <CUnit/Basic.h>
#include <sched.h>

#include "engine/internal.h"
#include "engine/query/nearest.h"
#include "engine/query/pieces.h"
#include "unit/engine_kit.h"

#define DIM     16u
#define POINTS  12000u
#define QUERIES 200u
#define THREADS 3

static struct kit kit;
static char dir[] = "/tmp/vex_engine_parallel_XXXXXX";
static struct kit_random random_state = {11};
static struct vex_collection *collection;
static float walked[POINTS][DIM],
    coarse[POINTS][DIM]; /* coarse ones are whole numbers: many lie equally far */
static float queries[2][QUERIES][DIM];
static struct vex_arena requests; /* filters and lists of ids */

/* ---- the collection ---- */

static float draw(bool whole)
{
    return whole ? (float)kit_draw(&random_state, 5) - 2 : kit_noise(&random_state);
}

static struct vex_config *config_of(void)
{
    struct vex_vector_params params[] = {
        {.name = VEX_STR("walked"),
         .size = DIM,
         .distance = VEX_DISTANCE_COSINE,
         .graph = {.threshold_kb = 1, .full_scan_kb = 1, .m = 12, .ef_construct = 60}},
        {.name = VEX_STR("coarse"), .size = DIM, .distance = VEX_DISTANCE_L2, .graph = {.never = true}},
    };
    struct vex_config *config = vex_config_new();
    struct vex_err err;

    for (int i = 0; i < 2; i++)
        if (vex_config_add_vector(config, &params[i], &err) != 0)
            abort();
    return config;
}

/* Points [first, first + count) as they are. */
static int put(uint32_t first, uint32_t count)
{
    static struct vex_vector_value values[POINTS][2];
    static struct vex_point points[POINTS];
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    struct vex_arena arena;
    struct kit_call call;
    int code;

    vex_arena_init(&arena, 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = first + i;
        struct vex_buf payload;

        vex_buf_init(&payload, &arena);
        vex_value_put_map(&payload, 1);
        vex_value_put_text(&payload, VEX_STR("n"));
        vex_value_put_int(&payload, n % 100);
        values[i][0] =
            (struct vex_vector_value){.name = VEX_STR("walked"), .values = walked[n], .count = DIM};
        values[i][1] =
            (struct vex_vector_value){.name = VEX_STR("coarse"), .values = coarse[n], .count = DIM};
        points[i] = (struct vex_point){
            .id = vex_id_num(n), .vectors = values[i], .vector_count = 2, .payload = vex_buf_str(&payload)};
    }
    code = kit_submit(&call, collection, &op, 1, true);
    vex_arena_done(&arena);
    return code;
}

static bool prepare(void)
{
    struct vex_config *config = config_of();
    struct vex_err err;
    bool created;
    int code = vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                 VEX_STR("points"), config, false, &collection, &created, &err);

    vex_config_unref(config);
    for (uint32_t i = 0; i < POINTS; i++)
        for (uint32_t d = 0; d < DIM; d++) {
            walked[i][d] = draw(false);
            coarse[i][d] = draw(true);
        }
    for (int w = 0; w < 2; w++)
        for (uint32_t i = 0; i < QUERIES; i++)
            for (uint32_t d = 0; d < DIM; d++)
                queries[w][i][d] = draw(w == 1);
    vex_arena_init(&requests, 0);
    for (uint32_t first = 0; first < POINTS && code == 0; first += POINTS / 4)
        code = put(first, POINTS / 4);
    return code == 0 && vex_collection_wait_graphs(collection, 0, &err) == 0;
}

/* ---- comparing ---- */

static struct vex_nearest request_of(int which, uint32_t i)
{
    return (struct vex_nearest){
        .using = which == 0 ? VEX_STR("walked") : VEX_STR("coarse"),
        .query = {.kind = VEX_VECTOR_DENSE, .values = queries[which][i % QUERIES], .count = DIM},
        .limit = 10};
}

static bool same_hits(const struct vex_hits *a, const struct vex_hits *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct vex_hit *x = &a->hits[i], *y = &b->hits[i];

        if (!vex_id_eq(&x->id, &y->id) || memcmp(&x->score, &y->score, sizeof x->score) != 0 ||
            x->version != y->version || x->has_payload != y->has_payload ||
            (x->has_payload && !vex_value_eq(x->payload, y->payload)) || x->vector_count != y->vector_count)
            return false;
        for (uint32_t v = 0; v < x->vector_count; v++)
            if (memcmp(x->vectors[v].values, y->vectors[v].values, DIM * sizeof(float)) != 0)
                return false;
    }
    return true;
}

/* Answers of the batch that are not those of its queries alone. */
static uint32_t count_differences(const struct vex_nearest *batch, uint32_t count, uint64_t *ret_hits)
{
    struct vex_hits *together = vex_mem_zalloc(count * sizeof *together);
    struct vex_arena arena;
    uint32_t different = 0;
    struct vex_err err;

    *ret_hits = 0;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    CU_ASSERT_EQUAL_FATAL(vex_read_nearest(collection, batch, count, &context, together, &err), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct vex_hits alone;

        CU_ASSERT_EQUAL_FATAL(vex_read_nearest(collection, &batch[i], 1, &context, &alone, &err), 0);
        different += !same_hits(&together[i], &alone);
        *ret_hits += alone.count;
    }
    vex_arena_done(&arena);
    vex_mem_free(together);
    return different;
}

/* ---- walks ---- */

static void test_walks(void)
{
    static struct vex_nearest batch[QUERIES];
    static struct vex_id ids[QUERIES];
    uint64_t hits;

    for (uint32_t i = 0; i < QUERIES; i++)
        batch[i] = request_of(0, i);
    CU_ASSERT_EQUAL(count_differences(batch, QUERIES, &hits), 0);
    CU_ASSERT_EQUAL(hits, 10 * QUERIES);
    /* One group, as all want as many: with offsets, thresholds, payloads, vectors, and points as queries. */
    for (uint32_t i = 0; i < QUERIES; i++) {
        batch[i].limit = 4 + i % 7;
        batch[i].offset = 10 - batch[i].limit;
        batch[i].has_threshold = i % 5 == 1;
        batch[i].threshold = 0.55f;
        batch[i].payload.kind = i % 2 == 0 ? VEX_PAYLOAD_ALL : VEX_PAYLOAD_NONE;
        batch[i].vectors.kind = i % 3 == 0 ? VEX_VECTORS_ALL : VEX_VECTORS_NONE;
        ids[i] = vex_id_num(i * 7 % POINTS);
        batch[i].id = i % 4 == 2 ? &ids[i] : NULL;
    }
    CU_ASSERT_EQUAL(count_differences(batch, QUERIES, &hits), 0);
    CU_ASSERT(hits > 4 * QUERIES && hits < 10 * QUERIES);
}

/* ---- groups ---- */

static struct vex_filter *filter_on_n(double below)
{
    struct vex_filter *filter = VEX_ARENA_NEW(&requests, struct vex_filter);

    filter->must.conds = VEX_ARENA_NEW(&requests, struct vex_cond);
    filter->must.count = 1;
    filter->must.conds[0] = (struct vex_cond){.kind = VEX_COND_RANGE,
                                              .path = vex_path_key(&requests, VEX_STR("n")),
                                              .range = {.has_lt = true, .lt = below}};
    return filter;
}

static void test_groups(void)
{
    static struct vex_nearest batch[QUERIES];
    struct vex_filter *shared = filter_on_n(50);
    uint64_t hits;

    /* Binding compiles the pattern. */
    shared->must_not.conds = VEX_ARENA_NEW(&requests, struct vex_cond);
    shared->must_not.count = 1;
    shared->must_not.conds[0] = (struct vex_cond){
        .kind = VEX_COND_REGEX, .path = vex_path_key(&requests, VEX_STR("n")), .text = VEX_STR("x+y")};

    for (uint32_t i = 0; i < QUERIES; i++) {
        batch[i] = request_of(i / 3 % 2, i);
        batch[i].limit = i % 11;
        batch[i].filter = i % 4 == 0 ? NULL : filter_on_n(1 + i % 17 * 6);
        batch[i].exact = i % 13 == 0;
        batch[i].payload.kind = VEX_PAYLOAD_ALL;
    }
    CU_ASSERT_EQUAL(count_differences(batch, QUERIES, &hits), 0);
    CU_ASSERT(hits > QUERIES);
    /* A filter that several groups have is bound by one at a time. */
    for (uint32_t i = 0; i < QUERIES; i++)
        batch[i].filter = i % 2 == 0 ? shared : batch[i].filter;
    CU_ASSERT_EQUAL(count_differences(batch, QUERIES, &hits), 0);
    CU_ASSERT(hits > QUERIES);
}

/* ---- ranges ---- */

struct expected {
    float score;
    uint64_t id;
};

static int by_score(const void *pa, const void *pb)
{
    const struct expected *a = pa, *b = pb;

    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return a->id == b->id ? 0 : a->id < b->id ? -1 : 1;
}

static bool is_exact(const struct vex_nearest *request, const struct vex_hits *hits)
{
    static struct expected all[POINTS];

    for (uint32_t i = 0; i < POINTS; i++) {
        float sum = 0;

        for (uint32_t d = 0; d < DIM; d++)
            sum += (coarse[i][d] - request->query.values[d]) * (coarse[i][d] - request->query.values[d]);
        all[i] = (struct expected){sqrtf(sum), i};
    }
    qsort(all, POINTS, sizeof *all, by_score);
    if (hits->count != request->limit)
        return false;
    for (size_t i = 0; i < hits->count; i++)
        if (hits->hits[i].id.num != all[request->offset + i].id ||
            hits->hits[i].score != all[request->offset + i].score)
            return false;
    return true;
}

/* Many equal distances, across the borders of ranges too. */
static void test_ranges(void)
{
    static struct vex_nearest batch[QUERIES];
    static struct vex_hits hits[QUERIES];
    struct vex_arena arena;
    struct vex_err err;
    uint32_t right = 0;

    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    for (uint32_t limit = 1; limit < 400; limit = limit * 4 + 3) {
        for (uint32_t i = 0; i < QUERIES; i++) {
            batch[i] = request_of(1, i);
            batch[i].limit = limit;
            batch[i].offset = 3;
        }
        CU_ASSERT_EQUAL_FATAL(vex_read_nearest(collection, batch, QUERIES, &context, hits, &err), 0);
        for (uint32_t i = 0; i < QUERIES; i += 10)
            right += is_exact(&batch[i], &hits[i]);
        CU_ASSERT_EQUAL(right, QUERIES / 10);
        right = 0;
    }
    vex_arena_done(&arena);
}

/* ---- failures ---- */

static int ask(struct vex_nearest *batch, uint32_t count, struct vex_read_context *context,
               struct vex_err *err)
{
    static struct vex_hits hits[QUERIES];
    struct vex_arena arena;
    int code;

    vex_arena_init(&arena, 0);
    context->arena = &arena;
    memset(hits, 1, sizeof hits);
    code = vex_read_nearest(collection, batch, count, context, hits, err);
    for (uint32_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(hits[i].count, 0);
    vex_arena_done(&arena);
    return code;
}

static struct vex_filter *broken_filter(const char *pattern)
{
    struct vex_filter *filter = filter_on_n(1);

    filter->must.conds[0] = (struct vex_cond){
        .kind = VEX_COND_REGEX, .path = vex_path_key(&requests, VEX_STR("n")), .text = vex_str_c(pattern)};
    return filter;
}

static void test_failures(void)
{
    static struct vex_nearest batch[QUERIES];
    struct vex_read_context context = {0};
    _Atomic int cancelled = 1;
    struct vex_err err = {0};

    for (uint32_t i = 0; i < QUERIES; i++) {
        batch[i] = request_of(0, i);
        batch[i].filter = filter_on_n(1 + i % 17 * 6);
    }
    batch[60].filter = broken_filter("(sixty");
    batch[61].filter = broken_filter("(sixty-one");
    batch[QUERIES - 1].filter = broken_filter("(last");
    for (int i = 0; i < 5; i++) { /* the first one is told */
        CU_ASSERT_EQUAL(ask(batch, QUERIES, &context, &err), VEX_EBAD_INPUT);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "(sixty"));
        CU_ASSERT_PTR_NULL(strstr(err.text, "(sixty-one"));
    }
    context.deadline_ns = 1;
    CU_ASSERT_EQUAL(ask(batch, QUERIES, &context, &err), VEX_ETIMEOUT);
    context.deadline_ns = 0;
    context.cancelled = &cancelled;
    CU_ASSERT_EQUAL(ask(batch, QUERIES, &context, &err), VEX_ECANCELLED);
}

struct turns {
    _Atomic bool begun, failing; /* the second piece, the first one */
};

/* The first one fails before the second, which has begun. */
static int fail_in_turn(struct vex_read *read, void *arg, uint32_t nth)
{
    struct turns *turns = arg;

    if (nth == 0) {
        for (int i = 0; i < 1000000 && !atomic_load(&turns->begun); i++)
            sched_yield();
        atomic_store(&turns->failing, true);
    } else {
        atomic_store(&turns->begun, true);
        for (int i = 0; !atomic_load(&turns->failing) || i < 2000; i++)
            sched_yield();
    }
    return vex_err_set(read->err, VEX_EBAD_INPUT, "piece %u", nth);
}

static void test_first_failure(void)
{
    struct vex_read_context context = {0};
    struct vex_arena arena;
    struct vex_read read;
    struct vex_err err;

    vex_arena_init(&arena, 0);
    context.arena = &arena;
    CU_ASSERT_EQUAL_FATAL(vex_read_open(&read, collection, &context, "Search", &err), 0);
    for (int i = 0; i < 50; i++) {
        struct turns turns = {false, false};

        CU_ASSERT_EQUAL(vex_read_pieces(&read, 2, fail_in_turn, &turns), VEX_EBAD_INPUT);
        CU_ASSERT_STRING_EQUAL(err.text, "piece 0");
    }
    vex_read_close(&read);
    vex_arena_done(&arena);
}

static _Atomic int gone;

static int leave_in_the_middle(struct vex_read *read, void *arg, uint32_t nth)
{
    _Atomic uint32_t *ran = arg;

    (void)read;
    atomic_fetch_add(ran, 1);
    if (nth == 7)
        atomic_store(&gone, 1);
    return 0;
}

/* A client that leaves is noticed between two pieces. */
static void test_cancel(void)
{
    struct vex_read_context context = {.cancelled = &gone};
    _Atomic uint32_t ran = 0;
    struct vex_arena arena;
    struct vex_read read;
    struct vex_err err;

    vex_arena_init(&arena, 0);
    context.arena = &arena;
    CU_ASSERT_EQUAL_FATAL(vex_read_open(&read, collection, &context, "Search", &err), 0);
    CU_ASSERT_EQUAL(vex_read_pieces(&read, 100000, leave_in_the_middle, &ran), VEX_ECANCELLED);
    CU_ASSERT(ran >= 8 && ran < 100000);
    CU_ASSERT_STRING_EQUAL(err.text, "Search was cancelled");
    vex_read_close(&read);
    vex_arena_done(&arena);
}

/* ---- beside writers ---- */

static _Atomic bool stop;
static _Atomic int wrong, batches;

/* The points that are asked for stay as they are: each is found. */
static void *searcher(void *arg)
{
    uint32_t turn = (uint32_t)(uintptr_t)arg;

    while (!stop) {
        struct vex_nearest batch[40];
        struct vex_hits hits[40];
        struct vex_arena arena;
        struct vex_err err;

        vex_arena_init(&arena, 0);
        struct vex_read_context context = {.arena = &arena};
        for (uint32_t i = 0; i < 40; i++) {
            batch[i] = request_of(0, i);
            batch[i].query.values = walked[i];
            batch[i].limit = 1 + (turn % 2 == 0 ? 0 : i % 5);
            batch[i].exact = turn % 3 == 0;
            batch[i].payload.kind = VEX_PAYLOAD_ALL;
        }
        wrong += vex_read_nearest(collection, batch, 40, &context, hits, &err) != 0;
        for (uint32_t i = 0; i < 40; i++)
            wrong += hits[i].count == 0 || hits[i].hits[0].id.num != i;
        vex_arena_done(&arena);
        turn++;
        batches++;
    }
    return NULL;
}

static void test_writers(void)
{
    pthread_t threads[THREADS];
    struct vex_err err;

    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, searcher, (void *)i);
    for (uint32_t r = 0; r < 40 || atomic_load(&batches) < 30; r++)
        wrong += put(1000 + r % 50 * 100, 50) != 0;
    stop = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
}

static void let_go(void)
{
    vex_arena_done(&requests);
    vex_collection_unref(collection);
}

int main(void)
{
    CU_TestInfo tests[] = {{"walks of a group", test_walks},
                           {"groups", test_groups},
                           {"ranges", test_ranges},
                           {"failures", test_failures},
                           {"the first failure", test_first_failure},
                           {"a client that leaves", test_cancel},
                           {"beside writers", test_writers},
                           {"the end", let_go},
                           CU_TEST_INFO_NULL};

    if (!kit_prepare(&kit, dir) || kit_open(&kit) != 0 || !prepare())
        return 1;
    return kit_run(&kit, "batches in pieces", tests);
}
