/* The requests as any program may send them, to the device itself: the four public ones used alone, and the errno
 * of every request for every field that is wrong. Runs where the module is loaded. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uapi/vexfs.h"

#define DIMS    16u
#define VECTORS 10000u
#define K       10u

static int open_device(void)
{
    int fd = open(VEXFS_DEVICE, O_RDWR | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    return fd;
}

static int request(int fd, unsigned long number, void *param)
{
    return ioctl(fd, number, param) == 0 ? 0 : errno;
}

static int value(uint32_t vector, uint32_t dimension)
{
    uint32_t mix = (vector + 1) * 2654435761u ^ (dimension + 7) * 2246822519u;
    return (int)((mix ^ mix >> 13) % 17) - 8;
}

/* ---- 10,000 vectors with ids ---- */

struct hit {
    float distance;
    uint32_t vector;
};

static int by_distance(const void *pa, const void *pb)
{
    const struct hit *a = pa, *b = pb;
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return a->vector < b->vector ? -1 : a->vector > b->vector;
}

static float distance(const float *query, uint32_t vector, uint32_t type)
{
    int l2 = 0, dot = 0, l1 = 0;
    for (uint32_t i = 0; i < DIMS; i++) {
        int q = (int)query[i], v = value(vector, i);
        l2 += (q - v) * (q - v);
        dot += q * v;
        l1 += abs(q - v);
    }
    return (float)(type == VEXFS_SEARCH_EUCLIDEAN ? l2 : type == VEXFS_SEARCH_MANHATTAN ? l1 : -dot);
}

static uint64_t id_of(uint32_t vector)
{
    return UINT64_C(1000000007) * (vector + 1);
}

static void insert_all(int fd)
{
    static float data[1000][DIMS];
    uint64_t ids[1000];
    struct vexfs_batch_insert_request insert = {.vectors_bits = (__u32 *)(void *)data,
                                                .vector_count = 1000,
                                                .dimensions = DIMS,
                                                .vector_ids = (__u64 *)(void *)ids};
    for (uint32_t first = 0; first < VECTORS; first += 1000) {
        for (uint32_t i = 0; i < 1000; i++) {
            ids[i] = id_of(first + i);
            for (uint32_t d = 0; d < DIMS; d++)
                data[i][d] = (float)value(first + i, d);
        }
        CU_ASSERT_EQUAL_FATAL(request(fd, VEXFS_IOC_BATCH_INSERT, &insert), 0);
    }
}

static void check_search(int fd, uint32_t type, uint32_t seed)
{
    static struct hit expected[VECTORS];
    float query[DIMS], got[K];
    uint64_t ids[K];
    for (uint32_t d = 0; d < DIMS; d++)
        query[d] = (float)value(seed * 31 + VECTORS, d);
    for (uint32_t i = 0; i < VECTORS; i++)
        expected[i] = (struct hit){distance(query, i, type), i};
    qsort(expected, VECTORS, sizeof *expected, by_distance);
    struct vexfs_vector_search_request search = {.query_vector_bits = (__u32 *)(void *)query,
                                                 .dimensions = DIMS,
                                                 .k = K,
                                                 .search_type = type,
                                                 .results_bits = (__u32 *)(void *)got,
                                                 .result_ids = (__u64 *)(void *)ids};
    CU_ASSERT_EQUAL_FATAL(request(fd, VEXFS_IOC_VECTOR_SEARCH, &search), 0);
    CU_ASSERT_EQUAL(search.result_count, K);
    for (uint32_t i = 0; i < K; i++) {
        CU_ASSERT_EQUAL(ids[i], id_of(expected[i].vector));
        CU_ASSERT_EQUAL(got[i], expected[i].distance);
    }
}

static void test_insert_and_search(void)
{
    int fd = open_device();
    struct vexfs_vector_file_info info = {.dimensions = DIMS, .element_type = VEXFS_VECTOR_FLOAT32}, back;
    CU_ASSERT_EQUAL_FATAL(request(fd, VEXFS_IOC_SET_VECTOR_META, &info), 0);
    insert_all(fd);
    memset(&back, 0xff, sizeof back);
    CU_ASSERT_EQUAL(request(fd, VEXFS_IOC_GET_VECTOR_META, &back), 0);
    CU_ASSERT_EQUAL(back.dimensions, DIMS);
    CU_ASSERT_EQUAL(back.element_type, VEXFS_VECTOR_FLOAT32);
    CU_ASSERT_EQUAL(back.vector_count, VECTORS);
    for (uint32_t type = VEXFS_SEARCH_EUCLIDEAN; type <= VEXFS_SEARCH_DOT_PRODUCT; type++)
        for (uint32_t seed = 0; seed < 8; seed++)
            check_search(fd, type, seed);
    close(fd);
}

/* ---- The errno of every field ---- */

#define GONE   UINT64_C(0x7ffffffff000) /* beyond what a program can have */
#define KERNEL UINT64_C(0xffff888000000000)
#define GUARD  UINT64_MAX /* stands for the address of a page that ends in nothing */

/* One wrong thing: `size` bytes at `at` of a right request become `value`. */
static const struct wrong {
    const char *what;
    unsigned long number;
    uint32_t at, size;
    uint64_t value;
    int expected;
} wrongs[] = {
#define FIELD(number, type, field, bad, code)                                                                \
    {                                                                                                        \
#number " " #field " " #bad, VEXFS_IOC_##number, offsetof(struct type, field),                       \
            sizeof(((struct type *)0)->field), bad, code                                                     \
    }
#include "uapi_public.def"
#undef FIELD
};

static struct setting {
    int backing, attached, store;
    char *page; /* readable and writable; what follows it is not there */
    uint32_t slots[8];
    float vectors[8][DIMS];
    struct vexfs_hit hits[16];
    uint32_t found[4], bits[16];
    uint64_t ids[16], allow[4];
} setting;

static uint64_t address(const void *ptr)
{
    return (uint64_t)(uintptr_t)ptr;
}

/* A right request of this kind; returns the descriptor it is for. *fresh: it must not have been used. */
static int make_right(unsigned long number, char param[128])
{
    struct setting *s = &setting;
    const struct vexfs_vector_file_info info = {.dimensions = DIMS, .element_type = VEXFS_VECTOR_FLOAT32};
    const struct vexfs_vector_search_request vector_search = {.query_vector_bits =
                                                                  (__u32 *)(void *)s->vectors,
                                                              .dimensions = DIMS,
                                                              .k = 4,
                                                              .results_bits = s->bits,
                                                              .result_ids = (__u64 *)(void *)s->ids};
    const struct vexfs_batch_insert_request insert = {
        .vectors_bits = (__u32 *)(void *)s->vectors, .vector_count = 8, .dimensions = DIMS};
    const struct vexfs_attach attach = {
        .version = 1, .fd = s->backing, .dimensions = DIMS, .element_type = VEXFS_VECTOR_FLOAT32};
    const struct vexfs_write write_slots = {.version = 1, .count = 8, .data = address(s->vectors)};
    const struct vexfs_slots slots = {
        .version = 1, .count = 8, .slots = address(s->slots), .data = address(s->vectors)};
    const struct vexfs_scan scan = {
        .version = 1, .end = 8, .max = 8, .slots = address(s->slots), .data = address(s->vectors)};
    const struct vexfs_search search = {.version = 1,
                                        .count = 2,
                                        .k = 4,
                                        .slots = 8,
                                        .queries = address(s->vectors),
                                        .allow = address(s->allow),
                                        .hits = address(s->hits),
                                        .found = address(s->found)};
    const struct vexfs_length length = {.version = 1, .slots = number == VEXFS_IOC_TRUNCATE ? 8 : 0};
    const void *from = &length;
    int fd = number == VEXFS_IOC_VECTOR_SEARCH || number == VEXFS_IOC_BATCH_INSERT ? s->store : s->attached;
    switch (number) {
    case VEXFS_IOC_SET_VECTOR_META:
        from = &info;
        fd = open_device();
        break;
    case VEXFS_IOC_ATTACH:
        from = &attach;
        fd = open_device();
        break;
    case VEXFS_IOC_VECTOR_SEARCH:
        from = &vector_search;
        break;
    case VEXFS_IOC_BATCH_INSERT:
        from = &insert;
        break;
    case VEXFS_IOC_WRITE:
        from = &write_slots;
        break;
    case VEXFS_IOC_READ:
    case VEXFS_IOC_CLEAR:
        from = &slots;
        break;
    case VEXFS_IOC_SCAN:
        from = &scan;
        break;
    case VEXFS_IOC_SEARCH:
        from = &search;
        break;
    default:
        break;
    }
    memset(param, 0, 128);
    memcpy(param, from, from == &length ? sizeof length : _IOC_SIZE(number));
    if (number == VEXFS_IOC_CLEAR)
        memset(param + offsetof(struct vexfs_slots, data), 0, 8);
    return fd;
}

static void set_up_setting(void)
{
    struct setting *s = &setting;
    char path[256], param[128];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/vex-public-XXXXXX", folder != NULL ? folder : "/tmp");
    s->backing = mkstemp(path);
    CU_ASSERT_FATAL(s->backing >= 0);
    unlink(path);
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(pages != MAP_FAILED);
    munmap(pages + 4096, 4096);
    s->page = pages;
    for (uint32_t i = 0; i < 8; i++)
        s->slots[i] = i;
    memset(s->allow, 0xff, sizeof s->allow);
    s->attached = open_device();
    struct vexfs_attach attach = {.version = 1,
                                  .fd = s->backing,
                                  .dimensions = DIMS,
                                  .element_type = VEXFS_VECTOR_FLOAT32,
                                  .flags = VEXFS_ATTACH_CREATE};
    CU_ASSERT_EQUAL_FATAL(request(s->attached, VEXFS_IOC_ATTACH, &attach), 0);
    make_right(VEXFS_IOC_WRITE, param);
    CU_ASSERT_EQUAL_FATAL(request(s->attached, VEXFS_IOC_WRITE, param), 0);
    s->store = make_right(VEXFS_IOC_SET_VECTOR_META, param);
    CU_ASSERT_EQUAL_FATAL(request(s->store, VEXFS_IOC_SET_VECTOR_META, param), 0);
    make_right(VEXFS_IOC_BATCH_INSERT, param);
    CU_ASSERT_EQUAL_FATAL(request(s->store, VEXFS_IOC_BATCH_INSERT, param), 0);
}

static void close_if_fresh(int fd)
{
    if (fd != setting.attached && fd != setting.store)
        close(fd);
}

static void test_wrong_fields(void)
{
    set_up_setting();
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *w = &wrongs[i];
        char param[128];
        int fd = make_right(w->number, param), got = request(fd, w->number, param);
        if (got != 0)
            fprintf(stderr, "the right request before \"%s\": %s\n", w->what, strerror(got));
        CU_ASSERT_EQUAL(got, 0);
        close_if_fresh(fd);
        fd = make_right(w->number, param);
        uint64_t bad = w->value == GUARD && w->size == 8 ? address(setting.page + 4096 - 4) : w->value;
        memcpy(param + w->at, &bad, w->size);
        got = request(fd, w->number, param);
        if (got != w->expected)
            fprintf(stderr, "%s: %s, not %s\n", w->what, strerrorname_np(got), strerrorname_np(w->expected));
        CU_ASSERT_EQUAL(got, w->expected);
        close_if_fresh(fd);
    }
    close(setting.attached);
    close(setting.store);
    close(setting.backing);
}

/* ---- The request itself ---- */

static const unsigned long all[] = {VEXFS_IOC_SET_VECTOR_META,
                                    VEXFS_IOC_GET_VECTOR_META,
                                    VEXFS_IOC_VECTOR_SEARCH,
                                    VEXFS_IOC_BATCH_INSERT,
                                    VEXFS_IOC_ATTACH,
                                    VEXFS_IOC_WRITE,
                                    VEXFS_IOC_READ,
                                    VEXFS_IOC_SCAN,
                                    VEXFS_IOC_SEARCH,
                                    VEXFS_IOC_CLEAR,
                                    VEXFS_IOC_SYNC,
                                    VEXFS_IOC_TRUNCATE,
                                    VEXFS_IOC_STATS,
                                    VEXFS_IOC_CAPS};

static void test_bad_request(void)
{
    int fd = open_device();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int nothing =
            all[i] == VEXFS_IOC_GET_VECTOR_META ? ENOTCONN : EFAULT; /* the only one that reads nothing */
        CU_ASSERT_EQUAL(request(fd, all[i], NULL), nothing);
        CU_ASSERT_EQUAL(request(fd, all[i], (void *)(uintptr_t)GONE), nothing);
        CU_ASSERT_EQUAL(request(fd, all[i], (void *)(uintptr_t)KERNEL), nothing);
        CU_ASSERT_EQUAL(request(fd, all[i] ^ 1u << 16, NULL), ENOTTY); /* another size */
        CU_ASSERT_EQUAL(request(fd, all[i] + 100, NULL), ENOTTY);
    }
    close(fd);
}

/* What needs a file says so; a second attachment is refused. */
static void test_not_attached(void)
{
    char param[128];
    int fd = open_device();
    set_up_setting();
    for (size_t i = 1; i < sizeof all / sizeof *all; i++) {
        if (all[i] == VEXFS_IOC_ATTACH || all[i] == VEXFS_IOC_CAPS)
            continue;
        make_right(all[i], param);
        CU_ASSERT_EQUAL(request(fd, all[i], param), ENOTCONN);
    }
    close_if_fresh(make_right(VEXFS_IOC_ATTACH, param));
    CU_ASSERT_EQUAL(request(setting.attached, VEXFS_IOC_ATTACH, param), EBUSY);
    CU_ASSERT_EQUAL(request(setting.store, VEXFS_IOC_ATTACH, param), EBUSY);
    close_if_fresh(make_right(VEXFS_IOC_SET_VECTOR_META, param));
    CU_ASSERT_EQUAL(request(setting.attached, VEXFS_IOC_SET_VECTOR_META, param), EBUSY);
    close(fd);
    close(setting.attached);
    close(setting.store);
    close(setting.backing);
}

int main(void)
{
    if (getenv("VEXFS_TEST_DEVICE") == NULL && access(VEXFS_DEVICE, F_OK) != 0) {
        printf("skipped: " VEXFS_DEVICE " is not there\n");
        return 0;
    }
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite("public requests", NULL, NULL);
    CU_ADD_TEST(suite, test_insert_and_search);
    CU_ADD_TEST(suite, test_wrong_fields);
    CU_ADD_TEST(suite, test_bad_request);
    CU_ADD_TEST(suite, test_not_attached);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
