/* How often the engine asks the vector device: a small number, known for each operation, whatever the back end.
 * And a device that cannot open one file more: a clear error, and nothing lost. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

#include "engine_kit.h"
#include "engine/query/query.h"
#include "uapi/dev_fault.h"

#define POINTS 1000u
#define DIM    8u

static struct kit kit;
static struct vex_pool *pool;
static struct vex_dev *dev;
static struct vex_collection *collection;
static char dir[] = "/tmp/vex_engine_requests_XXXXXX";
static uint64_t before[VEX_DEV_FAULT_COUNT];

static void mark(void)
{
    for (int op = 0; op < VEX_DEV_FAULT_COUNT; op++)
        before[op] = vex_dev_fault_calls(dev, (enum vex_dev_fault_op)op);
}

/* Requests of a kind since the mark. */
static uint64_t since(enum vex_dev_fault_op op)
{
    return vex_dev_fault_calls(dev, op) - before[op];
}

static uint64_t reading(void)
{
    return since(VEX_DEV_FAULT_READ) + since(VEX_DEV_FAULT_SCAN) + since(VEX_DEV_FAULT_SEARCH);
}

static int add_names(struct vex_config *config)
{
    struct vex_err err;
    struct vex_vector_params first = {.name = VEX_STR(""), .size = DIM, .distance = VEX_DISTANCE_L2};
    struct vex_vector_params second = {
        .name = VEX_STR("bytes"), .size = DIM, .distance = VEX_DISTANCE_COSINE, .element = VEX_ELEMENT_U8};
    int rc = vex_config_add_vector(config, &first, &err);
    return rc != 0 ? rc : vex_config_add_vector(config, &second, &err);
}

static int create(const char *name, struct vex_collection **ret)
{
    struct vex_config *config = vex_config_new();
    struct vex_err err;
    bool created;
    int rc = add_names(config);
    if (rc == 0)
        rc = vex_engine_create(kit.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                               vex_str_c(name), config, false, ret, &created, &err);
    vex_config_unref(config);
    return rc;
}

/* Submits one batch: ids [first, first + count), both vectors. */
static int start_upsert(struct kit_call *call, struct vex_collection *to, uint32_t first, uint32_t count)
{
    static float values[POINTS][DIM];
    static struct vex_vector_value vectors[POINTS][2];
    static struct vex_point points[POINTS];
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = count}};
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t d = 0; d < DIM; d++)
            values[i][d] = (float)((first + i) * 7 + d * 3 % 11 % 50);
        for (uint32_t v = 0; v < 2; v++)
            vectors[i][v] = (struct vex_vector_value){
                .name = v == 0 ? VEX_STR("") : VEX_STR("bytes"), .values = values[i], .count = DIM};
        for (uint32_t d = 0; d < DIM; d++)
            values[i][d] = (float)(((first + i) * 7 + d) % 200);
        points[i] = (struct vex_point){.id = vex_id_num(first + i), .vectors = vectors[i], .vector_count = 2};
    }
    return kit_start(call, to, &op, 1, true);
}

static int upsert(struct vex_collection *to, uint32_t first, uint32_t count)
{
    struct kit_call call;
    int rc = start_upsert(&call, to, first, count);
    return rc != 0 ? rc : kit_wait(&call);
}

static void test_upsert(void)
{
    mark();
    CU_ASSERT_EQUAL(upsert(collection, 0, POINTS), 0);
    CU_ASSERT_EQUAL(since(VEX_DEV_FAULT_ATTACH), 2); /* the first write makes the files */
    CU_ASSERT_EQUAL(since(VEX_DEV_FAULT_WRITE), 2);
    CU_ASSERT_EQUAL(reading() + since(VEX_DEV_FAULT_CLEAR), 0);
}

/* ---- reads ---- */

static struct vex_arena arena;

static void scroll(uint64_t limit, struct vex_hits *hits)
{
    struct vex_read_context context = {.arena = &arena};
    struct vex_scroll s = {.order = VEX_ORDER_ID, .limit = limit, .vectors = {.kind = VEX_VECTORS_ALL}};
    struct vex_id next;
    struct vex_err err;
    bool has_next;
    CU_ASSERT_EQUAL(vex_read_scroll(collection, &s, &context, hits, &has_next, &next, &err), 0);
}

static void test_scroll(void)
{
    struct vex_hits hits;
    mark();
    scroll(100, &hits);
    CU_ASSERT_EQUAL(hits.count, 100);
    CU_ASSERT_EQUAL(since(VEX_DEV_FAULT_SCAN), 2); /* one a name */
    CU_ASSERT_EQUAL(reading(), 2);
    CU_ASSERT_EQUAL(hits.hits[99].vectors[0].values[1], 694 % 200);
    mark();
    scroll(POINTS, &hits);
    CU_ASSERT_EQUAL(hits.count, POINTS);
    CU_ASSERT_EQUAL(reading(), 4); /* 512 vectors at once */
}

static void test_retrieve(void)
{
    struct vex_read_context context = {.arena = &arena};
    struct vex_id ids[100];
    struct vex_retrieve r = {.ids = ids, .count = 100, .vectors = {.kind = VEX_VECTORS_ALL}};
    struct vex_hits hits;
    struct vex_err err;
    for (uint32_t i = 0; i < 100; i++)
        ids[i] = vex_id_num((i * 371) % POINTS);
    mark();
    CU_ASSERT_EQUAL(vex_read_retrieve(collection, &r, &context, &hits, &err), 0);
    CU_ASSERT_EQUAL(hits.count, 100);
    CU_ASSERT_EQUAL(since(VEX_DEV_FAULT_READ), 2);
    CU_ASSERT_EQUAL(reading(), 2);
    for (uint32_t i = 0; i < hits.count; i++)
        CU_ASSERT_EQUAL(hits.hits[i].vectors[1].values[2], (float)((hits.hits[i].id.num * 7 + 2) % 200));
}

static void search(const char *name, bool vectors, uint32_t limit)
{
    struct vex_read_context context = {.arena = &arena};
    float query[DIM] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct vex_nearest n = {.query = {.name = vex_str_c(name), .values = query, .count = DIM},
                            .limit = limit};
    struct vex_hits hits;
    struct vex_err err;
    n.using = vex_str_c(name);
    n.vectors.kind = vectors ? VEX_VECTORS_ALL : VEX_VECTORS_NONE;
    CU_ASSERT_EQUAL(vex_read_nearest(collection, &n, 1, &context, &hits, &err), 0);
    CU_ASSERT_EQUAL(hits.count, limit);
}

static void test_search(void)
{
    mark();
    search("", false, 10);
    CU_ASSERT_EQUAL(since(VEX_DEV_FAULT_SEARCH), 1);
    CU_ASSERT_EQUAL(reading(), 1);
    mark();
    search("", true, 10);
    CU_ASSERT_EQUAL(since(VEX_DEV_FAULT_SEARCH), 1);
    CU_ASSERT_EQUAL(reading(), 3); /* and the vectors of the hits, one a name */
    mark();
    search("bytes", false, 10);                    /* the cosine of bytes is computed here, over a stream */
    CU_ASSERT_EQUAL(since(VEX_DEV_FAULT_SCAN), 2); /* all in one, and one that finds the end */
    CU_ASSERT_EQUAL(reading(), 2);
}

/* ---- no descriptor left ---- */

/* The write is in the log already: it waits and is tried again, others go on. */
static void test_no_descriptor(void)
{
    struct vex_collection *other;
    struct vex_hits hits;
    struct kit_call call;
    CU_ASSERT_EQUAL_FATAL(create("other", &other), 0);
    vex_dev_fault_set(dev, VEX_DEV_FAULT_ATTACH, 1, VEX_EIO, true);
    mark();
    CU_ASSERT_EQUAL_FATAL(start_upsert(&call, other, 0, 10), 0);
    while (since(VEX_DEV_FAULT_ATTACH) < 2)
        usleep(1000);
    CU_ASSERT_FALSE(call.done);
    scroll(POINTS, &hits);
    CU_ASSERT_EQUAL(hits.count, POINTS);
    CU_ASSERT_EQUAL(upsert(collection, 0, 20), 0);
    vex_dev_fault_clear(dev);
    CU_ASSERT_EQUAL(kit_wait(&call), 0);
    CU_ASSERT_EQUAL(upsert(other, 10, 10), 0);
    vex_collection_unref(other);
}

/* ---- descriptors ---- */

static int count_name(void *arg, const char *name)
{
    (void)name;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned descriptors(void)
{
    struct vex_io *io = vex_io_posix();
    unsigned count = 0;
    CU_ASSERT_EQUAL(io->ops->list(io, "/proc/self/fd", count_name, &count), 0);
    return count;
}

/* An open collection has few: its heap, its rows and a file a vector name (with the kernel device one more each). */
static void test_descriptors(void)
{
    enum { COLLECTIONS = 50 };
    static struct vex_collection *many[COLLECTIONS];
    unsigned start = descriptors();
    for (unsigned i = 0; i < COLLECTIONS; i++) {
        char name[32];
        snprintf(name, sizeof name, "many-%u", i);
        CU_ASSERT_EQUAL_FATAL(create(name, &many[i]), 0);
    }
    CU_ASSERT(descriptors() <= start + COLLECTIONS * 4);
    for (unsigned i = 0; i < COLLECTIONS; i++)
        CU_ASSERT_EQUAL(upsert(many[i], 0, 1), 0);
    CU_ASSERT(descriptors() <= start + COLLECTIONS * 6);
    printf("(%.1f descriptors a collection of two names) ", (double)(descriptors() - start) / COLLECTIONS);
    for (unsigned i = 0; i < COLLECTIONS; i++)
        vex_collection_unref(many[i]);
}

int main(void)
{
    struct vex_dev *inner = vex_dev_embed_new();
    if (CU_initialize_registry() != CUE_SUCCESS || mkdtemp(dir) == NULL)
        return 2;
    dev = vex_dev_fault_new(inner);
    pool = vex_pool_new(2, 64, "test");
    vex_arena_init(&arena, 0);
    kit_init(&kit, vex_io_posix(), dir, dev, pool);
    if (kit_open(&kit) != 0 || create("points", &collection) != 0)
        return 2;
    CU_pSuite suite = CU_add_suite("requests to the device", NULL, NULL);
    CU_ADD_TEST(suite, test_upsert);
    CU_ADD_TEST(suite, test_scroll);
    CU_ADD_TEST(suite, test_retrieve);
    CU_ADD_TEST(suite, test_search);
    CU_ADD_TEST(suite, test_no_descriptor);
    CU_ADD_TEST(suite, test_descriptors);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_collection_unref(collection);
    kit_close(&kit);
    vex_arena_done(&arena);
    vex_pool_free(pool);
    vex_dev_free(dev);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 || failed != 0;
}
