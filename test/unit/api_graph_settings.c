/* What hnsw_config of a collection and of a name means for the graph: links for all and for tenants, and where it is kept. */
#include <CUnit/Basic.h>

#include "unit/api_kit.h"

static struct kit kit;
static struct vex_call *call;

struct given {
    int m, payload_m, on_disk, memory; /* -1: not given */
};

static Qdrant__HnswConfigDiff *hnsw_of(const struct given *given, Qdrant__HnswConfigDiff *ret)
{
    *ret = (Qdrant__HnswConfigDiff)QDRANT__HNSW_CONFIG_DIFF__INIT;
    ret->has_m = given->m >= 0;
    ret->m = (uint64_t)given->m;
    ret->has_payload_m = given->payload_m >= 0;
    ret->payload_m = (uint64_t)given->payload_m;
    ret->has_on_disk = given->on_disk >= 0;
    ret->on_disk = given->on_disk > 0;
    ret->has_memory = given->memory >= 0;
    ret->memory = (Qdrant__Memory)given->memory;
    return ret;
}

/* Of the only name; NULL: there is no hnsw_config at that place. */
static struct vex_graph_settings lower(const struct given *all, const struct given *own)
{
    Qdrant__CreateCollection create = QDRANT__CREATE_COLLECTION__INIT;
    Qdrant__VectorsConfig vectors = QDRANT__VECTORS_CONFIG__INIT;
    Qdrant__VectorParams params = QDRANT__VECTOR_PARAMS__INIT;
    struct vex_config *config = vex_config_new();
    struct vex_graph_settings settings;
    Qdrant__HnswConfigDiff of_all, of_own;

    params.has_size = params.has_distance = true;
    params.size = 4;
    params.distance = QDRANT__DISTANCE__Dot;
    params.hnsw_config = own != NULL ? hnsw_of(own, &of_own) : NULL;
    vectors.config_case = QDRANT__VECTORS_CONFIG__CONFIG_PARAMS;
    vectors.params = &params;
    create.vectors_config = &vectors;
    create.hnsw_config = all != NULL ? hnsw_of(all, &of_all) : NULL;
    CU_ASSERT_EQUAL_FATAL(vex_lower_create(call, &create, config), 0);
    settings = config->vectors[0].graph;
    vex_config_unref(config);
    return settings;
}

static void test_links(void)
{
    static const struct {
        struct given all, own;
        uint32_t m;
        bool never, lists;
    } cases[] = {
        {{-1, -1, -1, -1}, {-1, -1, -1, -1}, 0, false, true}, /* the default */
        {{24, -1, -1, -1}, {-1, -1, -1, -1}, 24, false, true},
        {{24, 8, -1, -1}, {-1, -1, -1, -1}, 24, false, true},
        {{24, 0, -1, -1}, {-1, -1, -1, -1}, 24, false, false},
        {{-1, 0, -1, -1}, {-1, -1, -1, -1}, 0, false, false},
        {{0, -1, -1, -1}, {-1, -1, -1, -1}, 0, true, true},
        {{0, 0, -1, -1}, {-1, -1, -1, -1}, 0, true, false},
        {{0, 8, -1, -1}, {-1, -1, -1, -1}, 8, false, true},
        {{0, -1, -1, -1}, {-1, 8, -1, -1}, 8, false, true}, /* each setting for itself */
        {{-1, 8, -1, -1}, {0, -1, -1, -1}, 8, false, true},
        {{0, 8, -1, -1}, {12, -1, -1, -1}, 12, false, true},
        {{0, 8, -1, -1}, {-1, 0, -1, -1}, 0, true, false},
        {{12, 0, -1, -1}, {0, 8, -1, -1}, 8, false, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vex_graph_settings settings = lower(&cases[i].all, &cases[i].own);

        CU_ASSERT_EQUAL(settings.m, cases[i].m);
        CU_ASSERT_EQUAL(settings.never, cases[i].never);
        CU_ASSERT_EQUAL(settings.filter_lists, cases[i].lists);
        CU_ASSERT_FALSE(settings.on_disk);
    }
    CU_ASSERT_FALSE(lower(NULL, NULL).never);
    CU_ASSERT(lower(NULL, NULL).filter_lists);
}

static void test_place(void)
{
    enum { COLD = QDRANT__MEMORY__Cold, CACHED = QDRANT__MEMORY__Cached, PINNED = QDRANT__MEMORY__Pinned };
    static const struct {
        struct given all, own;
        bool on_disk;
    } cases[] = {
        {{-1, -1, 1, -1}, {-1, -1, -1, -1}, true},      {{-1, -1, 0, -1}, {-1, -1, -1, -1}, false},
        {{-1, -1, -1, COLD}, {-1, -1, -1, -1}, true},   {{-1, -1, 1, CACHED}, {-1, -1, -1, -1}, false},
        {{-1, -1, 1, PINNED}, {-1, -1, -1, -1}, false}, {{-1, -1, 0, COLD}, {-1, -1, -1, -1}, true},
        {{-1, -1, 1, -1}, {-1, -1, 0, -1}, false},      {{-1, -1, -1, PINNED}, {-1, -1, 1, -1}, true},
        {{-1, -1, -1, COLD}, {16, -1, -1, -1}, true},   {{-1, -1, 0, -1}, {-1, -1, -1, COLD}, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_EQUAL(lower(&cases[i].all, &cases[i].own).on_disk, cases[i].on_disk);
    CU_ASSERT_FALSE(lower(NULL, NULL).on_disk);
}

int main(void)
{
    CU_TestInfo tests[] = {{"links", test_links}, {"place", test_place}, CU_TEST_INFO_NULL};
    int failed;

    call = kit_open(&kit, VEX_DIALECT_QDRANT_GRPC);
    failed = run_suite("api_graph_settings", tests);
    kit_close(&kit);
    return failed;
}
