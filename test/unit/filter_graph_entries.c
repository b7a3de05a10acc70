/* Entries in the image of a graph: walks begin after loading where they began before, whatever was linked since they were drawn; images
 * of the former version are read, and entries that can't be are refused. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "engine/index/graph_file.h"
#include "engine/index/graph_private.h"
#include "unit/base_suite.h"

#define DIM     16u
#define COUNT   9000u /* entries come in groups */
#define QUERIES 200u
#define EF      8u

/* Of the head, see graph_file.c. */
#define FORMAT      3u
#define FORMER      2u
#define VERSION_AT  8u
#define SUM_AT      12u
#define HEAD_LEN_AT 16u

static char path[] = "/tmp/vex_graph_entries_XXXXXX";
static float points[COUNT][DIM], queries[QUERIES][DIM];
static uint64_t seed = 88172645463325252u;

static float draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (float)(seed >> 40) * 0x1p-24f;
}

static struct vex_graph *build(uint32_t count)
{
    struct vex_graph_params params = {
        .dimensions = DIM, .distance = VEX_DISTANCE_L2, .m = 6, .ef_construct = 16};
    struct vex_graph *graph = vex_graph_new(&params);

    for (uint32_t i = 0; i < COUNT; i++)
        for (uint32_t d = 0; d < DIM; d++)
            points[i][d] = draw();
    for (uint32_t i = 0; i < QUERIES; i++)
        for (uint32_t d = 0; d < DIM; d++)
            queries[i][d] = draw();
    CU_ASSERT_EQUAL_FATAL(vex_graph_reserve(graph, COUNT), 0);
    vex_graph_train(graph, points[0], 1000);
    for (uint32_t i = 0; i < count; i++) {
        vex_graph_put(graph, i, points[i]);
        vex_graph_link(graph, i);
    }
    return graph;
}

static void save(const struct vex_graph *graph)
{
    struct vex_file *file;
    struct vex_err err;

    unlink(path); /* a graph may be mapped from it */
    CU_ASSERT_EQUAL_FATAL(
        vex_io_open(vex_io_posix(), path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &file), 0);
    CU_ASSERT_EQUAL_FATAL(vex_graph_save(graph, vex_io_posix(), file, &err), 0);
    vex_io_close(vex_io_posix(), file);
}

/* NULL: it was refused as damaged. */
static struct vex_graph *load(const struct vex_graph *like)
{
    struct vex_graph *graph = NULL;
    struct vex_file *file;
    struct vex_err err;
    int code;

    CU_ASSERT_EQUAL_FATAL(vex_io_open(vex_io_posix(), path, VEX_IO_READ, &file), 0);
    code = vex_graph_load(vex_graph_params(like), vex_io_posix(), file, &graph, &err);
    CU_ASSERT(code == 0 || code == VEX_ECORRUPT);
    vex_io_close(vex_io_posix(), file);
    return code == 0 ? graph : NULL;
}

/* Queries whose beam is not the same, or the number of codes on the way to it. */
static uint32_t others(const struct vex_graph *a, const struct vex_graph *b, bool number)
{
    uint32_t count = 0;

    for (uint32_t q = 0; q < QUERIES; q++) {
        struct vex_graph_search search = {.query = queries[q], .ef = EF};
        struct vex_graph_hit x[EF], y[EF];
        uint64_t compared[2];
        uint32_t found = vex_graph_search(a, &search, x, &compared[0]);

        count += found == 0 || vex_graph_search(b, &search, y, &compared[1]) != found ||
                 memcmp(x, y, found * sizeof *x) != 0 || (number && compared[0] != compared[1]);
    }
    return count;
}

static bool is_sound(const struct vex_graph *graph)
{
    struct vex_err err;
    int code = vex_graph_check(graph, COUNT / 50, &err);

    if (code != 0)
        fprintf(stderr, "%s\n", err.text);
    return code == 0;
}

static void test_kept(void)
{
    struct vex_graph *graph = build(COUNT), *again;

    CU_ASSERT_FATAL(graph->entries->groups > 1);
    save(graph);
    again = load(graph);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(others(graph, again, true), 0);
    CU_ASSERT_EQUAL(again->entries_low, graph->entries_low);
    CU_ASSERT_EQUAL(again->entries_high, graph->entries_high);
    CU_ASSERT(is_sound(again));
    vex_graph_free(again);
    vex_graph_free(graph);
}

static uint32_t living(const struct graph_entries *entries, uint32_t from, uint32_t to)
{
    uint32_t count = 0;

    for (; from < to; from++)
        count += entries->slots[from] != NO_SLOT;
    return count;
}

static void drop_entry(struct vex_graph *graph, uint32_t i)
{
    if (graph->entries->slots[i] != NO_SLOT)
        vex_graph_drop(graph, graph->entries->slots[i]);
}

/* Without some that lead no group nothing changes; without some that do, or a whole group, it is still right. */
static void test_gone(void)
{
    struct vex_graph *graph = build(COUNT), *again;
    const struct graph_entries *entries = graph->entries;
    uint32_t expected = 0;

    for (uint32_t g = 0; g < entries->groups; g++)
        if (entries->begins[g + 1] - entries->begins[g] > 2)
            drop_entry(graph, entries->begins[g] + 1);
    save(graph);
    again = load(graph);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT(again->entries->count < entries->count);
    CU_ASSERT_EQUAL(others(graph, again, false), 0);
    vex_graph_free(again);
    for (uint32_t i = 0; i < entries->begins[1]; i++)
        drop_entry(graph, i);
    drop_entry(graph, entries->begins[3]);
    CU_ASSERT_PTR_EQUAL_FATAL(entries, graph->entries); /* not drawn anew */
    save(graph);
    again = load(graph);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(again->entries->groups, entries->groups);
    for (uint32_t g = 0; g < entries->groups; g++) {
        uint32_t left = living(entries, entries->begins[g], entries->begins[g + 1]);
        expected += left > 0 ? left : 1; /* of a group that has none, one stays */
    }
    CU_ASSERT_EQUAL(again->entries->count, expected);
    CU_ASSERT_EQUAL(living(again->entries, 0, expected), living(entries, 0, entries->count));
    CU_ASSERT(is_sound(again));
    for (uint32_t i = 0; i < COUNT; i++) /* down to none */
        if (vex_graph_has(again, i))
            vex_graph_drop(again, i);
    save(again);
    vex_graph_free(graph);
    graph = load(again);
    CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
    CU_ASSERT_EQUAL(vex_graph_count(graph), 0);
    vex_graph_put(graph, 5, points[5]);
    vex_graph_link(graph, 5);
    CU_ASSERT(is_sound(graph));
    vex_graph_free(again);
    vex_graph_free(graph);
}

/* ---- other bytes ---- */

struct image {
    struct vex_buf bytes;
    uint32_t head;
    size_t entries; /* where they begin */
};

static struct image take(const struct vex_graph *graph)
{
    struct image image;
    struct vex_buf codec;
    struct vex_err err;

    save(graph);
    vex_buf_init(&image.bytes, NULL);
    vex_buf_init(&codec, NULL);
    CU_ASSERT_EQUAL_FATAL(vex_file_read(vex_io_posix(), path, (size_t)1 << 28, &image.bytes, &err), 0);
    memcpy(&image.head, image.bytes.ptr + HEAD_LEN_AT, sizeof image.head);
    vex_codes_save(&graph->codes, &codec);
    image.entries = 96 + codec.len + vex_graph_slots(graph) / 8;
    vex_buf_done(&codec);
    return image;
}

/* With a sum that is right. */
static void put(struct image *image, uint32_t version)
{
    char *head = image->bytes.ptr;
    uint32_t sum = vex_crc32c(version == FORMER ? 0 : version, head + 16, image->head - 16);
    struct vex_err err;

    memcpy(head + VERSION_AT, &version, sizeof version);
    memcpy(head + SUM_AT, &sum, sizeof sum);
    CU_ASSERT_EQUAL_FATAL(vex_file_replace(vex_io_posix(), path, head, image->bytes.len, &err), 0);
}

static void put_u32(struct image *image, uint32_t nth, uint32_t value)
{
    memcpy(image->bytes.ptr + image->entries + nth * sizeof value, &value, sizeof value);
}

static void test_former_version(void)
{
    struct vex_graph *graph = build(1500), *again; /* few entries: the head is as long without them */
    struct image image = take(graph);

    CU_ASSERT_FATAL(image.head - image.entries < 4096);
    memset(image.bytes.ptr + image.entries, 0, image.head - image.entries);
    put(&image, FORMER);
    again = load(graph);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT(is_sound(again));
    CU_ASSERT(again->entries != NULL && again->entries->count > 10);
    vex_graph_free(again);
    for (uint32_t version = 0; version < 6; version++) {
        if (version == FORMER || version == FORMAT)
            continue;
        put(&image, version);
        CU_ASSERT_PTR_NULL(load(graph));
    }
    put(&image, FORMAT); /* no groups: they are drawn */
    again = load(graph);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT(is_sound(again));
    vex_graph_free(again);
    vex_buf_done(&image.bytes);
    vex_graph_free(graph);
}

/* Sums of the one version are none of the other: a byte that flips is noticed. */
static void test_versions_apart(void)
{
    struct vex_graph *graph = build(300);
    struct image image = take(graph);
    struct vex_err err;

    image.bytes.ptr[VERSION_AT] = (char)FORMER;
    CU_ASSERT_EQUAL(vex_file_replace(vex_io_posix(), path, image.bytes.ptr, image.bytes.len, &err), 0);
    CU_ASSERT_PTR_NULL(load(graph));
    vex_buf_done(&image.bytes);
    vex_graph_free(graph);
}

static void test_odd(void)
{
    static const struct {
        uint32_t nth, value; /* of the u32 */
    } refused[] = {{2, 3}, {2, 2}, {2, 256}, {2, UINT32_MAX}, {3, 0}, {3, UINT32_MAX}, {3, 5000}, {4, 0}};
    struct vex_graph *graph = build(COUNT), *again;
    uint32_t groups = graph->entries->groups;
    struct image image;

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        image = take(graph);
        put_u32(&image, refused[i].nth, refused[i].value);
        put(&image, FORMAT);
        CU_ASSERT_PTR_NULL(load(graph));
        vex_buf_done(&image.bytes);
    }
    image = take(graph);
    put_u32(&image, 3 + groups, UINT32_MAX - 1); /* slots that are none */
    put_u32(&image, 4 + groups, COUNT * 2);
    put(&image, FORMAT);
    again = load(graph);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(again->entries->slots[0], NO_SLOT);
    CU_ASSERT_EQUAL(again->entries->slots[1], NO_SLOT);
    CU_ASSERT(is_sound(again));
    vex_graph_free(again);
    vex_buf_done(&image.bytes);
    vex_graph_free(graph);
}

static CU_TestInfo tests[] = {
    {"kept", test_kept},
    {"gone", test_gone},
    {"former version", test_former_version},
    {"versions apart", test_versions_apart},
    {"odd", test_odd},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    int fd = mkstemp(path), failed;

    if (fd < 0)
        return 2;
    close(fd);
    failed = run_suite("graph_entries", tests);
    unlink(path);
    return failed;
}
