/* Exact search of the embedded device beside a plain read of the same bytes: how far from memory bandwidth.
 *
 * One thread, the file in the page cache, seen through the shared map in both cases. The two passes alternate
 * and the best of several rounds counts. `ratio` is the time of a search of one query over that of the read;
 * `batch` the time of a search of 8 queries, which share one pass, over that of one.
 *
 * Usage: bench_uapi_search [rounds] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "uapi/dev.h"
#include "uapi/dist.h"

#define BATCH 8
#define K     10

static uint64_t seed = 88172645463325252u;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

struct bench {
    struct vex_io *io;
    struct vex_file *file;
    struct vex_dev *dev;
    struct vex_dev_file *df;
    struct vex_dev_layout layout;
    uint32_t slots;
    uint64_t *allow; /* one slot in a hundred */
    float *queries;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static void fill(struct bench *b)
{
    uint32_t dims = b->layout.dimensions, rows = 1024;
    float *values = vex_mem_alloc(dims * sizeof *values);
    char *data = vex_mem_zalloc((size_t)rows * b->layout.stride);
    for (uint32_t first = 0; first < b->slots; first += rows) {
        uint32_t count = b->slots - first < rows ? b->slots - first : rows;
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t j = 0; j < dims; j++)
                values[j] = (float)(draw() % 256);
            vex_dist_encode(b->layout.element, values, data + (size_t)i * b->layout.stride, dims);
        }
        if (b->dev->ops->write(b->dev, b->df, first, count, data) < 0)
            fail("write");
    }
    vex_mem_free(values);
    vex_mem_free(data);
    b->queries = vex_mem_alloc((size_t)BATCH * dims * sizeof *b->queries);
    for (size_t i = 0; i < (size_t)BATCH * dims; i++)
        b->queries[i] = (float)(draw() % 256);
    b->allow = vex_mem_zalloc((b->slots + 63) / 64 * sizeof *b->allow);
    for (uint32_t i = 0; i < b->slots / 100; i++) {
        uint32_t slot = (uint32_t)(draw() % b->slots);
        b->allow[slot / 64] |= UINT64_C(1) << (slot % 64);
    }
}

static void bench_open(struct bench *b, const char *folder, uint32_t dimensions, enum vex_element element,
                       uint32_t slots)
{
    char path[256];
    struct vex_err err;
    snprintf(path, sizeof path, "%s/vectors", folder);
    *b = (struct bench){.io = vex_io_posix(),
                        .dev = vex_dev_embed_new(),
                        .slots = slots,
                        .layout = {.dimensions = dimensions, .element = element}};
    if (vex_io_open(b->io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_EXCL, &b->file) < 0)
        fail("open");
    b->io->ops->unlink(b->io, path);
    if (b->dev->ops->attach(b->dev, b->io, b->file, &b->layout, true, &b->df, &err) < 0)
        fail(err.text);
    fill(b);
}

static void bench_close(struct bench *b)
{
    b->dev->ops->detach(b->dev, b->df);
    vex_io_close(b->io, b->file);
    vex_mem_free(b->allow);
    vex_mem_free(b->queries);
}

/* Reads every byte once, wide enough to wait for nothing but memory. */
static uint64_t read_pass(const struct bench *b)
{
    typedef uint64_t wide __attribute__((vector_size(32), aligned(8)));
    const wide *at = b->dev->ops->map(b->dev, b->df);
    size_t count = (size_t)b->slots * b->layout.stride / sizeof *at;
    wide sums[4] = {{0}};
    for (size_t i = 0; i + 4 <= count; i += 4)
        for (size_t j = 0; j < 4; j++)
            sums[j] ^= at[i + j];
    wide all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
    return all[0] ^ all[1] ^ all[2] ^ all[3];
}

static volatile uint64_t sink;

static double search_seconds(const struct bench *b, uint32_t queries, const uint64_t *allow)
{
    struct vex_dev_hit hits[BATCH * K];
    uint32_t found[BATCH];
    struct vex_dev_search s = {.queries = b->queries,
                               .count = queries,
                               .k = K,
                               .slots = b->slots,
                               .hits = hits,
                               .found = found,
                               .allow = allow};
    uint64_t start = vex_io_monotonic_ns(b->io);
    if (b->dev->ops->search(b->dev, b->df, &s) < 0)
        fail("search");
    return (double)(vex_io_monotonic_ns(b->io) - start) * 1e-9;
}

static double read_seconds(const struct bench *b)
{
    uint64_t start = vex_io_monotonic_ns(b->io);
    sink = read_pass(b);
    return (double)(vex_io_monotonic_ns(b->io) - start) * 1e-9;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void run(const char *folder, const char *name, uint32_t dimensions, enum vex_element element,
                uint32_t slots, int rounds)
{
    struct bench b;
    bench_open(&b, folder, dimensions, element, slots);
    double read = 1e9, one = 1e9, batch = 1e9, sparse = 1e9;
    for (int i = 0; i < rounds; i++) {
        read = least(read, read_seconds(&b));
        one = least(one, search_seconds(&b, 1, NULL));
        batch = least(batch, search_seconds(&b, BATCH, NULL));
        sparse = least(sparse, search_seconds(&b, 1, b.allow));
    }
    double bytes = (double)b.slots * b.layout.stride;
    printf("%-4s %5u %8u %7.0f   %6.1f %6.1f   %5.2f   %6.2f %9.1f   %9.1f\n", name, dimensions, slots,
           bytes / 1e6, bytes / read * 1e-9, bytes / one * 1e-9, one / read, batch / one,
           batch / BATCH / b.slots * 1e9, sparse / (b.slots / 100) * 1e9);
    bench_close(&b);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"f32", "f16", "u8"};
    int rounds = argc > 1 ? atoi(argv[1]) : 15;
    char folder[] = "/tmp/vex-bench-XXXXXX";
    if (rounds < 1 || mkdtemp(folder) == NULL)
        fail("set-up");
    printf("kernels: %s\n", vex_dist_name());
    printf("elem  dims    slots      MB    read search   ratio    batch  ns/vector   1 %% masked\n");
    printf("                               GB/s   GB/s             of 8    of batch  ns/vector\n");
    for (unsigned d = 0; d < 2; d++) /* the same bytes for every element type, well beyond the caches */
        for (unsigned e = 0; e < 3; e++)
            run(folder, names[e], d == 0 ? 128 : 768, (enum vex_element)e, 100000u << e, rounds);
    rmdir(folder);
    return 0;
}
