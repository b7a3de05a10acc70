/* Points that go and come back leave a graph as good as one made at once, without a round of mending in between: new nodes in the
 * slots of dropped ones, new nodes beside dropped ones, and what the background drops before it links. */
#include <CUnit/Basic.h>

#include "engine/internal.h"
#include "uapi/dist.h"
#include "unit/engine_graph_kit.h"

#define DIM     24u
#define POINTS  6000u
#define QUERIES 400u
#define K       10u
#define EF      12u
#define ROUNDS  3u

static struct kit_random random_state = {11};
static float points[POINTS][DIM], queries[QUERIES][DIM];
static uint32_t nearest[QUERIES][K];

/* ---- data ---- */

static int nearer(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static void find_nearest(uint32_t q)
{
    static struct {
        float distance;
        uint32_t point;
    } all[POINTS];
    vex_dist_fn *dist = vex_dist(VEX_DISTANCE_L2, VEX_ELEMENT_F32);

    for (uint32_t i = 0; i < POINTS; i++) {
        all[i].distance = dist(queries[q], points[i], DIM);
        all[i].point = i;
    }
    qsort(all, POINTS, sizeof *all, nearer);
    for (uint32_t k = 0; k < K; k++)
        nearest[q][k] = all[k].point;
}

static void draw_all(void)
{
    for (uint32_t i = 0; i < POINTS; i++)
        for (uint32_t d = 0; d < DIM; d++)
            points[i][d] = kit_noise(&random_state);
    for (uint32_t q = 0; q < QUERIES; q++) {
        for (uint32_t d = 0; d < DIM; d++)
            queries[q][d] = kit_noise(&random_state);
        find_nearest(q);
    }
}

/* ---- one graph ---- */

struct placed {
    struct vex_graph *graph;
    uint32_t slot_of[POINTS], point_of[2 * POINTS];
};

static void place(struct placed *p, uint32_t point, uint32_t slot)
{
    p->slot_of[point] = slot;
    p->point_of[slot] = point;
    vex_graph_put(p->graph, slot, points[point]);
    vex_graph_link(p->graph, slot);
}

static void begin(struct placed *p)
{
    struct vex_graph_params params = {
        .dimensions = DIM, .distance = VEX_DISTANCE_L2, .m = 8, .ef_construct = 60};

    p->graph = vex_graph_new(&params);
    CU_ASSERT_EQUAL_FATAL(vex_graph_reserve(p->graph, 2 * POINTS), 0);
    vex_graph_train(p->graph, points[0], POINTS);
    for (uint32_t i = 0; i < POINTS; i++)
        place(p, i, i);
    vex_graph_refine(p->graph, 0, 2 * POINTS);
}

/* Of the nearest points, the part that is in the final beam. */
static double recall(const struct placed *p)
{
    struct vex_graph_hit hits[EF];
    uint32_t right = 0;

    for (uint32_t q = 0; q < QUERIES; q++) {
        struct vex_graph_search search = {.query = queries[q], .ef = EF};
        uint32_t count = vex_graph_search(p->graph, &search, hits, NULL);

        for (uint32_t i = 0; i < count; i++)
            for (uint32_t k = 0; k < K; k++)
                right += p->point_of[hits[i].slot] == nearest[q][k];
    }
    return (double)right / (QUERIES * K);
}

static void check(const struct placed *p)
{
    struct vex_err err = {0};
    int rc = vex_graph_check(p->graph, POINTS / 500, &err);

    if (rc != 0)
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_EQUAL(vex_graph_count(p->graph), POINTS);
}

static void compare(struct placed *p, double fresh, double slack)
{
    double changed;

    vex_graph_refine(p->graph, 0, 2 * POINTS);
    check(p);
    changed = recall(p);
    printf(" %.3f, fresh %.3f", changed, fresh);
    CU_ASSERT(changed >= fresh - slack);
    vex_graph_free(p->graph);
    p->graph = NULL;
}

static bool leaves(uint32_t slot, uint32_t round)
{
    return (slot * 7 + round) % 10 < 3;
}

/* Each time three in ten, and each of them into the slot of another one. */
static void test_slots_taken_again(void)
{
    static struct placed p;
    static uint32_t gone[POINTS];
    double fresh;

    begin(&p);
    fresh = recall(&p);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t count = 0, at = 0;

        for (uint32_t slot = 0; slot < POINTS; slot++)
            if (leaves(slot, round))
                gone[count++] = p.point_of[slot];
        for (uint32_t i = 0; i < count; i++)
            vex_graph_drop(p.graph, p.slot_of[gone[i]]);
        for (uint32_t i = count - 1; i > 0; i--) {
            uint32_t j = kit_draw(&random_state, i + 1), point = gone[i];
            gone[i] = gone[j];
            gone[j] = point;
        }
        for (uint32_t slot = 0; slot < POINTS; slot++)
            if (!vex_graph_has(p.graph, slot))
                place(&p, gone[at++], slot);
        CU_ASSERT_EQUAL(at, count);
    }
    compare(&p, fresh, 0.015);
}

static void test_other_slots(void)
{
    static struct placed p;
    uint32_t free_slot = POINTS;
    double fresh;

    begin(&p);
    fresh = recall(&p);
    for (uint32_t slot = 0; slot < POINTS; slot++)
        if (leaves(slot, 0))
            vex_graph_drop(p.graph, slot);
    for (uint32_t slot = 0; slot < POINTS; slot++)
        if (leaves(slot, 0))
            place(&p, slot, free_slot++);
    compare(&p, fresh, 0.015);
}

/* Again and again a few go and others come, a round of mending each time: nodes keep about as many links as they had. */
static void test_mending_often(void)
{
    static struct placed p;
    double fresh;

    begin(&p);
    fresh = recall(&p);
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t slot = round; slot < POINTS; slot += 20)
            vex_graph_drop(p.graph, slot);
        vex_graph_mend(p.graph, 0, 2 * POINTS);
        for (uint32_t slot = round; slot < POINTS; slot += 20)
            place(&p, p.point_of[slot], slot);
    }
    compare(&p, fresh, 0.01);
}

/* ---- behind a collection ---- */

static struct kit kit;
static char dir[] = "/tmp/vex_engine_graph_churn_XXXXXX";

static struct vex_collection *make(void)
{
    struct vex_vector_params params = {.name = VEX_STR(""),
                                       .size = DIM,
                                       .distance = VEX_DISTANCE_L2,
                                       .element = VEX_ELEMENT_F32,
                                       .graph = {.threshold_kb = 1, .full_scan_kb = 1}};
    struct vex_config *config = vex_config_new();
    struct vex_collection *ret = NULL;
    struct vex_err err;
    bool created;

    CU_ASSERT_EQUAL_FATAL(vex_config_add_vector(config, &params, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                            VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("c"), config, false, &ret,
                                            &created, &err),
                          0);
    vex_config_unref(config);
    return ret;
}

static void put(struct vex_collection *to, uint32_t first, uint32_t count)
{
    static struct vex_vector_value values[POINTS];
    static struct vex_point many[POINTS];
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = many, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++) {
        values[i] = (struct vex_vector_value){.name = VEX_STR(""), .values = points[first + i], .count = DIM};
        many[i] = (struct vex_point){.id = vex_id_num(first + i), .vectors = &values[i], .vector_count = 1};
    }
    CU_ASSERT_EQUAL(kit_submit(&call, to, &op, 1, true), 0);
}

static void take_out(struct vex_collection *from, uint32_t count)
{
    static struct vex_id ids[POINTS];
    struct vex_op op = {.kind = VEX_OP_DELETE, .remove = {.ids = ids, .count = count}};
    struct kit_call call;

    for (uint32_t i = 0; i < count; i++)
        ids[i] = vex_id_num(i);
    CU_ASSERT_EQUAL(kit_submit(&call, from, &op, 1, true), 0);
}

static uint64_t dead_of(struct vex_collection *collection)
{
    struct vex_collection_data data;
    struct vex_graph_view view = {0};
    struct vex_err err;

    CU_ASSERT_EQUAL_FATAL(vex_collection_read_begin(collection, &data, &err), 0);
    CU_ASSERT(vex_graph_set_view(data.graphs, 0, &view));
    vex_collection_read_end(collection);
    return view.dead;
}

static void settle(struct vex_collection *collection)
{
    char why[128] = "";
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_collection_wait_graphs(collection, 0, &err), 0);
    CU_ASSERT(kit_graphs_right(collection, true, why, sizeof why));
    if (why[0] != 0)
        fprintf(stderr, "%s\n", why);
}

/* One in ten is dead: too few for mending, but too many to be linked to. */
static void test_dropped_before_linking(void)
{
    struct vex_collection *collection = make();

    put(collection, 0, 3000);
    settle(collection);
    take_out(collection, 300);
    settle(collection);
    CU_ASSERT_EQUAL(dead_of(collection), 300);
    put(collection, 3000, 300);
    settle(collection);
    CU_ASSERT_EQUAL(dead_of(collection), 0);
    take_out(collection, 1200); /* and when nothing comes, once they are many */
    settle(collection);
    CU_ASSERT_EQUAL(dead_of(collection), 0);
    vex_collection_unref(collection);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"slots taken again", test_slots_taken_again},
        {"other slots", test_other_slots},
        {"mending often", test_mending_often},
        {"dropped before linking", test_dropped_before_linking},
        CU_TEST_INFO_NULL,
    };

    if (!kit_prepare(&kit, dir))
        return 1;
    if (kit_open(&kit) != 0)
        return 1;
    draw_all();
    return kit_run(&kit, "engine_graph_churn", tests);
}
