/* The kernel device beside the embedded one: the same requests on the same vectors, in turns, in one process.
 *
 * 100,000 x 128 f32 in a file of each device, in the page cache. search: exact, one query, k 10. scroll: all vectors in
 * pages of 100. insert: the whole file again in batches of 1,000, synced at the end. The best of all rounds counts;
 * `ratio` is the kernel's time over the embedded one's; ioctls are those of one search, of the whole scroll and of the
 * whole insert, as the device itself counts them. Meant for the inside of a machine that has both.
 *
 * Usage: bench_uapi_devices [rounds (5)] [folder (/tmp)] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "uapi/dev.h"

#define SLOTS      100000u
#define DIMENSIONS 128u
#define PAGE       100u
#define BATCH      1000u
#define K          10u

enum { SEARCH, SCROLL, INSERT, WORKS };

struct side {
    struct vex_dev *dev;
    struct vex_file *file;
    struct vex_dev_file *df;
    double best[WORKS];
    uint64_t requests[WORKS];
    struct vex_dev_hit hits[K];
    uint64_t sum; /* of what the scroll gave */
};

static struct vex_io *io;
static float *vectors; /* what both hold */
static uint64_t seed = 88172645463325252u;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static void insert(struct side *s)
{
    for (uint32_t first = 0; first < SLOTS; first += BATCH)
        if (s->dev->ops->write(s->dev, s->df, first, BATCH, vectors + (size_t)first * DIMENSIONS) < 0)
            fail("write");
    if (s->dev->ops->sync(s->dev, s->df) < 0)
        fail("sync");
}

static void scroll(struct side *s)
{
    static uint32_t slots[PAGE], data[PAGE * DIMENSIONS];
    uint32_t cursor = 0, count;
    for (s->sum = 0;; s->sum += data[0] ^ data[count * DIMENSIONS - 1]) {
        if (s->dev->ops->scan(s->dev, s->df, &cursor, SLOTS, NULL, PAGE, slots, data, &count) < 0)
            fail("scan");
        if (count == 0)
            return;
    }
}

static void search(struct side *s)
{
    uint32_t found;
    struct vex_dev_search request = {
        .queries = vectors, .count = 1, .k = K, .slots = SLOTS, .hits = s->hits, .found = &found};
    if (s->dev->ops->search(s->dev, s->df, &request) < 0 || found != K)
        fail("search");
}

static void (*const works[WORKS])(struct side *) = {search, scroll, insert};
static const char *const names[WORKS] = {"search", "scroll", "insert"};

static void side_open(struct side *s, const char *folder)
{
    char path[256];
    struct vex_err err;
    struct vex_dev_layout layout = {.dimensions = DIMENSIONS, .element = VEX_ELEMENT_F32};
    snprintf(path, sizeof path, "%s/vex-bench-%s-%d", folder, s->dev->ops->name, (int)getpid());
    if (vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_EXCL, &s->file) < 0)
        fail(path);
    io->ops->unlink(io, path);
    if (s->dev->ops->attach(s->dev, io, s->file, &layout, true, &s->df, &err) < 0)
        fail(err.text);
    insert(s);
    for (int i = 0; i < WORKS; i++)
        s->best[i] = 1e9;
}

static void side_run(struct side *s, int work)
{
    struct vex_dev_stats before, after;
    s->dev->ops->stats(s->dev, s->df, &before);
    uint64_t start = vex_io_monotonic_ns(io);
    works[work](s);
    double seconds = (double)(vex_io_monotonic_ns(io) - start) * 1e-9;
    s->dev->ops->stats(s->dev, s->df, &after);
    s->requests[work] = after.requests - before.requests;
    if (seconds < s->best[work])
        s->best[work] = seconds;
}

static void side_close(struct side *s)
{
    s->dev->ops->detach(s->dev, s->df);
    vex_io_close(io, s->file);
    vex_dev_free(s->dev);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    const char *folder = argc > 2 ? argv[2] : "/tmp";
    struct side sides[2] = {{.dev = vex_dev_embed_new()}, {0}};
    struct vex_err err;
    io = vex_io_posix();
    if (rounds < 1)
        fail("a number of rounds");
    if (vex_dev_kernel_new(&sides[1].dev, &err) < 0)
        fail(err.text);
    vectors = vex_mem_alloc((size_t)SLOTS * DIMENSIONS * sizeof *vectors);
    for (size_t i = 0; i < (size_t)SLOTS * DIMENSIONS; i++)
        vectors[i] = (float)(draw() % 256);
    for (int i = 0; i < 2; i++)
        side_open(&sides[i], folder);
    for (int round = 0; round < rounds; round++)
        for (int work = 0; work < WORKS; work++)
            for (int i = 0; i < 2; i++)
                side_run(&sides[(i + round) % 2], work);
    if (memcmp(sides[0].hits, sides[1].hits, sizeof sides[0].hits) != 0 || sides[0].sum != sides[1].sum)
        fail("the comparison of both answers");
    printf("%-8s %12s %12s %8s %8s\n", "", "embedded ms", "kernel ms", "ratio", "ioctls");
    for (int work = 0; work < WORKS; work++)
        printf("%-8s %12.2f %12.2f %8.2f %8llu\n", names[work], sides[0].best[work] * 1e3,
               sides[1].best[work] * 1e3, sides[1].best[work] / sides[0].best[work],
               (unsigned long long)sides[1].requests[work]);
    for (int i = 0; i < 2; i++)
        side_close(&sides[i]);
    vex_mem_free(vectors);
    return 0;
}
