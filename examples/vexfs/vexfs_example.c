/* SPDX-License-Identifier: Apache-2.0 */
/* The public VexFS requests from C: 10,000 vectors with ids go in, the exact nearest come out, wrong requests get their
 * errno.
 *
 *     cc -Wall -O2 -I src/uapi -o vexfs_example examples/vexfs/vexfs_example.c && sudo ./vexfs_example
 *
 * Floats travel as their bit patterns in u32. The vectors here are small integers, so every distance is exact and can be
 * compared with ==. Exit code 1 when anything is not as it should be. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vexfs.h"

#define COUNT      10000u
#define DIMENSIONS 64u
#define K          10u

static float vectors[COUNT][DIMENSIONS];
static __u64 ids[COUNT];
static int wrong;

static void check(int good, const char *what)
{
    printf("  %-46s %s\n", what, good ? "as it should be" : "WRONG");
    wrong += !good;
}

/* A request that must fail with one errno. */
static void refuse(int fd, unsigned long request, void *param, int expected, const char *what)
{
    errno = 0;
    int rc = ioctl(fd, request, param);
    char line[96];
    snprintf(line, sizeof line, "%s: %s", what, rc < 0 ? strerror(errno) : "accepted");
    check(rc < 0 && errno == expected, line);
}

static void make_vectors(void)
{
    unsigned state = 12345;
    for (unsigned i = 0; i < COUNT; i++) {
        ids[i] = 1000000 + 7 * (__u64)i;
        for (unsigned j = 0; j < DIMENSIONS; j++) {
            state = state * 1664525u + 1013904223u;
            vectors[i][j] = (float)((int)(state >> 24) % 17 - 8);
        }
    }
}

static float squared(const float *a, const float *b)
{
    float sum = 0;
    for (unsigned j = 0; j < DIMENSIONS; j++)
        sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
}

struct hit {
    float distance;
    unsigned index;
};

static int nearer(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static struct vexfs_vector_search_request search_for(float *query, __u32 *bits, __u64 *found)
{
    struct vexfs_vector_search_request search = {.query_vector_bits = (__u32 *)query,
                                                 .dimensions = DIMENSIONS,
                                                 .k = K,
                                                 .search_type = VEXFS_SEARCH_EUCLIDEAN,
                                                 .results_bits = bits,
                                                 .result_ids = found};
    return search;
}

static void compare(int fd, float *query)
{
    static struct hit all[COUNT];
    __u32 bits[K];
    __u64 found[K];
    struct vexfs_vector_search_request search = search_for(query, bits, found);
    if (ioctl(fd, VEXFS_IOC_VECTOR_SEARCH, &search) < 0) {
        perror("VECTOR_SEARCH");
        exit(1);
    }
    for (unsigned i = 0; i < COUNT; i++)
        all[i] = (struct hit){squared(query, vectors[i]), i};
    qsort(all, COUNT, sizeof *all, nearer);
    int good = search.result_count == K;
    for (unsigned i = 0; i < K && good; i++)
        good = memcmp(&bits[i], &all[i].distance, 4) == 0 && found[i] == ids[all[i].index];
    check(good, "the ten nearest, their ids and distances");
}

static void try_wrong_requests(int fd)
{
    struct vexfs_vector_file_info meta = {.dimensions = DIMENSIONS, .element_type = VEXFS_VECTOR_FLOAT32};
    refuse(fd, VEXFS_IOC_SET_VECTOR_META, &meta, EBUSY, "a second SET_VECTOR_META");
    refuse(fd, _IO(VEXFS_IOC_MAGIC, 99), NULL, ENOTTY, "no such request");
    refuse(fd, VEXFS_IOC_GET_VECTOR_META, (void *)8, EFAULT, "a bad address of the request");

    struct vexfs_batch_insert_request insert = {
        .vectors_bits = (__u32 *)vectors, .vector_count = 1, .dimensions = DIMENSIONS, .vector_ids = ids};
    refuse(fd, VEXFS_IOC_BATCH_INSERT, &insert, EEXIST, "an id that is there already");
    insert.dimensions = DIMENSIONS + 1;
    refuse(fd, VEXFS_IOC_BATCH_INSERT, &insert, EINVAL, "vectors of other dimensions");
    insert.dimensions = DIMENSIONS;
    insert.vector_count = 0;
    refuse(fd, VEXFS_IOC_BATCH_INSERT, &insert, EINVAL, "no vectors");
    insert.vector_count = 0xffffffff;
    refuse(fd, VEXFS_IOC_BATCH_INSERT, &insert, ENOSPC, "far too many vectors");
    insert.vector_count = 1;
    insert.flags = 0x80;
    refuse(fd, VEXFS_IOC_BATCH_INSERT, &insert, EINVAL, "an unknown flag");
    insert.flags = 0;
    insert.vectors_bits = (__u32 *)8;
    refuse(fd, VEXFS_IOC_BATCH_INSERT, &insert, EFAULT, "a bad address of the vectors");

    __u32 bits[K];
    __u64 found[K];
    struct vexfs_vector_search_request search = search_for(vectors[0], bits, found);
    search.dimensions = DIMENSIONS - 1;
    refuse(fd, VEXFS_IOC_VECTOR_SEARCH, &search, EINVAL, "a query of other dimensions");
    search = search_for(vectors[0], bits, found);
    search.k = 0;
    refuse(fd, VEXFS_IOC_VECTOR_SEARCH, &search, EINVAL, "k of 0");
    search = search_for(vectors[0], (__u32 *)8, found);
    refuse(fd, VEXFS_IOC_VECTOR_SEARCH, &search, EFAULT, "a bad address of the results");
    search = search_for((float *)8, bits, found);
    refuse(fd, VEXFS_IOC_VECTOR_SEARCH, &search, EFAULT, "a bad address of the query");
}

static void try_wrong_sizes(int fd)
{
    struct vexfs_vector_file_info meta = {.dimensions = 0, .element_type = VEXFS_VECTOR_FLOAT32};
    refuse(fd, VEXFS_IOC_SET_VECTOR_META, &meta, EINVAL, "0 dimensions");
    meta.dimensions = VEXFS_DIMENSIONS_MAX + 1;
    refuse(fd, VEXFS_IOC_SET_VECTOR_META, &meta, EINVAL, "too many dimensions");
    meta.dimensions = DIMENSIONS;
    meta.element_type = VEXFS_VECTOR_BINARY;
    refuse(fd, VEXFS_IOC_SET_VECTOR_META, &meta, EOPNOTSUPP, "an element type that is not served");
    refuse(fd, VEXFS_IOC_GET_VECTOR_META, &meta, ENOTCONN, "GET_VECTOR_META of nothing");
}

int main(void)
{
    int fd = open(VEXFS_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        perror(VEXFS_DEVICE);
        return 1;
    }
    make_vectors();
    try_wrong_sizes(fd);
    struct vexfs_vector_file_info meta = {.dimensions = DIMENSIONS, .element_type = VEXFS_VECTOR_FLOAT32};
    check(ioctl(fd, VEXFS_IOC_SET_VECTOR_META, &meta) == 0, "SET_VECTOR_META");
    struct vexfs_batch_insert_request insert = {
        .vectors_bits = (__u32 *)vectors, .vector_count = COUNT, .dimensions = DIMENSIONS, .vector_ids = ids};
    check(ioctl(fd, VEXFS_IOC_BATCH_INSERT, &insert) == 0, "BATCH_INSERT of 10,000 vectors with ids");
    check(ioctl(fd, VEXFS_IOC_GET_VECTOR_META, &meta) == 0 && meta.vector_count == COUNT, "GET_VECTOR_META");
    for (unsigned i = 0; i < 3; i++) {
        float query[DIMENSIONS];
        memcpy(query, vectors[i * 3333], sizeof query);
        query[i] += 1;
        compare(fd, query);
    }
    try_wrong_requests(fd);
    check(ioctl(fd, VEXFS_IOC_GET_VECTOR_META, &meta) == 0 && meta.vector_count == COUNT,
          "nothing was added by what was refused");
    for (unsigned j = 0; j < DIMENSIONS; j++)
        vectors[5][j] = 100;
    insert = (struct vexfs_batch_insert_request){.vectors_bits = (__u32 *)vectors[5],
                                                 .vector_count = 1,
                                                 .dimensions = DIMENSIONS,
                                                 .vector_ids = &ids[5],
                                                 .flags = VEXFS_INSERT_OVERWRITE};
    check(ioctl(fd, VEXFS_IOC_BATCH_INSERT, &insert) == 0, "BATCH_INSERT that overwrites an id");
    compare(fd, vectors[5]);
    close(fd);
    printf("%s\n", wrong == 0 ? "all as it should be" : "something is wrong");
    return wrong != 0;
}
