/* What a walk finds is compared with the originals as far as it matters: neighbours that the codes hardly tell apart come in the order
 * of their vectors. */
#include <CUnit/Basic.h>

#include "engine/internal.h"
#include "engine/query/nearest.h"
#include "unit/engine_kit.h"

#define DIM    24u
#define BALLS  30u
#define MANY   60u /* points of a ball: more than are compared at once */
#define POINTS (BALLS * MANY)
#define K      10u
#define EF     160u
#define WIDTH  400.0f /* of the data: codes have 128 steps for it */
#define STEP   (WIDTH / 128)

static struct kit kit;
static char dir[] = "/tmp/vex_engine_graph_beam_XXXXXX";
static struct kit_random random_state = {7};
static float centres[BALLS][DIM], vectors[POINTS][DIM];

/* Within half a `width` of zero. */
static float draw(float width)
{
    return width * ((float)kit_draw(&random_state, 10001) / 10000 - 0.5f);
}

static void draw_balls(void)
{
    for (uint32_t i = 0; i < POINTS; i++)
        for (uint32_t d = 0; d < DIM; d++) {
            if (i < BALLS)
                centres[i][d] = draw(WIDTH);
            vectors[i][d] = centres[i % BALLS][d] + draw(2 * STEP);
        }
}

static int make(const char *name, enum vex_distance distance, struct vex_collection **ret)
{
    struct vex_vector_params params = {.name = VEX_STR(""),
                                       .size = DIM,
                                       .distance = distance,
                                       .element = VEX_ELEMENT_F32,
                                       .graph = {.threshold_kb = 1, .full_scan_kb = 1}};
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;
    int rc = vex_config_add_vector(config, &params, &err);

    if (rc == 0)
        rc = vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                               vex_str_c(name), config, false, ret, &created, &err);
    vex_config_unref(config);
    return rc;
}

static int put_all(struct vex_collection *collection)
{
    static struct vex_vector_value values[POINTS];
    static struct vex_point points[POINTS];
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = POINTS}};
    struct kit_call call;

    for (uint32_t i = 0; i < POINTS; i++) {
        values[i] = (struct vex_vector_value){.name = VEX_STR(""), .values = vectors[i], .count = DIM};
        points[i] = (struct vex_point){.id = vex_id_num(i), .vectors = &values[i], .vector_count = 1};
    }
    return kit_submit(&call, collection, &op, 1, true);
}

static size_t search(struct vex_collection *collection, const struct vex_nearest *request, uint64_t ids[K])
{
    size_t count;

    (void)kit_search(collection, request, ids, &count);
    return count;
}

/* Answers of walks at the places where the exact search has them. */
static uint32_t count_right(struct vex_collection *collection)
{
    uint32_t right = 0;

    for (uint32_t b = 0; b < BALLS; b++) {
        struct vex_nearest request = {.using = VEX_STR(""),
                                      .query = {.kind = VEX_VECTOR_DENSE, .values = centres[b], .count = DIM},
                                      .limit = K,
                                      .ef = EF};
        uint64_t got[K], truth[K];

        CU_ASSERT_EQUAL_FATAL(search(collection, &request, got), K);
        request.exact = true;
        CU_ASSERT_EQUAL_FATAL(search(collection, &request, truth), K);
        for (uint32_t i = 0; i < K; i++)
            right += got[i] == truth[i];
    }
    return right;
}

static void check(const char *name, enum vex_distance distance)
{
    struct vex_collection *collection;
    struct vex_err err;
    uint32_t right;

    CU_ASSERT_EQUAL_FATAL(make(name, distance, &collection), 0);
    CU_ASSERT_EQUAL(put_all(collection), 0);
    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
    right = count_right(collection);
    if (right < BALLS * K * 97 / 100)
        fprintf(stderr, "%s: %u of %u\n", name, right, BALLS * K);
    CU_ASSERT(right >= BALLS * K * 97 / 100);
    vex_collection_unref(collection);
}

static void test_l2(void)
{
    check("l2", VEX_DISTANCE_L2);
}

static void test_cosine(void)
{
    check("cosine", VEX_DISTANCE_COSINE);
}

static void test_dot(void)
{
    check("dot", VEX_DISTANCE_DOT);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"l2", test_l2},
        {"cosine", test_cosine},
        {"dot", test_dot},
        CU_TEST_INFO_NULL,
    };

    if (!kit_prepare(&kit, dir))
        return 1;
    if (kit_open(&kit) != 0)
        return 1;
    draw_balls();
    return kit_run(&kit, "engine_graph_beam", tests);
}
