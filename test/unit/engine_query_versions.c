/* A read sees one version: while whole batches replace all points, no answer mixes two of them. */
#include "engine_query_fixture.h"

#define POINTS  64u
#define ROUNDS  150
#define READERS 3

static struct fixture f;
static struct vex_collection *collection;
static _Atomic int writing;

/* All points get payload and vector of one round. */
static int write_round(int round)
{
    struct vex_arena arena;
    struct vex_buf payload;
    float values[4] = {(float)round, (float)-round, 1, 0};
    struct vex_vector_value vector = {.name = VEX_STR(""), .values = values, .count = 4};
    struct vex_point points[POINTS];
    vex_arena_init(&arena, 0);
    vex_buf_init(&payload, &arena);
    vex_value_put_map(&payload, 1);
    vex_value_put_text(&payload, VEX_STR("n"));
    vex_value_put_int(&payload, round);
    for (uint32_t i = 0; i < POINTS; i++)
        points[i] = (struct vex_point){
            .id = vex_id_num(i), .payload = vex_buf_str(&payload), .vectors = &vector, .vector_count = 1};
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = POINTS}};
    int code = submit(collection, &op);
    vex_arena_done(&arena);
    return code;
}

/* The round that all hits are of, or -1. */
static int64_t one_round(const struct vex_hits *hits)
{
    if (hits->count != POINTS)
        return -1;
    int64_t round = vex_value_int(vex_value_get(hits->hits[0].payload, VEX_STR("n")));
    for (size_t i = 0; i < POINTS; i++) {
        const struct vex_hit *hit = &hits->hits[i];
        if (vex_value_int(vex_value_get(hit->payload, VEX_STR("n"))) != round || hit->vector_count != 1 ||
            hit->vectors[0].values[0] != (float)round || hit->id.num != i ||
            hit->version != hits->hits[0].version)
            return -1;
    }
    return round;
}

static bool read_once(struct vex_arena *arena, bool nearest, int64_t *latest)
{
    struct vex_read_context context = {.arena = arena};
    float values[4] = {1, 2, 3, 4};
    struct vex_nearest n = {.limit = POINTS + 5,
                            .query = {.values = values, .count = 4},
                            .payload = {.kind = VEX_PAYLOAD_ALL},
                            .vectors = {.kind = VEX_VECTORS_ALL}};
    struct vex_scroll s = {
        .limit = POINTS + 5, .payload = {.kind = VEX_PAYLOAD_ALL}, .vectors = {.kind = VEX_VECTORS_ALL}};
    struct vex_hits hits;
    struct vex_err err;
    struct vex_id next;
    bool has_next;
    int code = nearest ? vex_read_nearest(collection, &n, 1, &context, &hits, &err)
                       : vex_read_scroll(collection, &s, &context, &hits, &has_next, &next, &err);
    int64_t round = code == 0 ? one_round(&hits) : -1;
    if (round < *latest) /* mixed, or gone back */
        return false;
    *latest = round;
    return true;
}

static void *reader(void *arg)
{
    struct vex_arena arena;
    int64_t latest = 0;
    bool *good = arg;
    vex_arena_init(&arena, 0);
    for (int i = 0; *good && (atomic_load(&writing) || i < 10); i++) {
        *good = read_once(&arena, i % 2, &latest);
        vex_arena_reset(&arena);
    }
    vex_arena_done(&arena);
    return NULL;
}

static void test_one_version(void)
{
    pthread_t threads[READERS];
    bool good[READERS];
    int code = write_round(0);
    CU_ASSERT_EQUAL_FATAL(code, 0);
    writing = 1;
    for (int i = 0; i < READERS; i++) {
        good[i] = true;
        pthread_create(&threads[i], NULL, reader, &good[i]);
    }
    for (int round = 1; round <= ROUNDS && code == 0; round++)
        code = write_round(round);
    writing = 0;
    CU_ASSERT_EQUAL(code, 0);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT(good[i]);
    }
}

int main(void)
{
    static CU_TestInfo tests[] = {{"one version", test_one_version}, CU_TEST_INFO_NULL};
    struct vex_config *config = vex_config_new();
    struct vex_vector_params params = {.name = VEX_STR(""), .size = 4, .distance = VEX_DISTANCE_L2};
    struct vex_err err;
    if (vex_config_add_vector(config, &params, &err) != 0 || !fixture_open(&f) ||
        !create_collection(&f, "versions", config, &collection))
        return 1;
    int failed = run_suite("versions", tests);
    vex_collection_unref(collection);
    fixture_close(&f);
    return failed;
}
