/* Pages of vector files leave the process and come back as they were, also while the file grows; a device without a map has none. */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "lib/resident.h"
#include "uapi/dev.h"
#include "unit/base_suite.h"

#define DIM    128u
#define SLOTS  8192u /* 4 MiB */
#define MUCH   3000  /* KiB */
#define LITTLE 100

static struct vex_err err;
static struct vex_io *io;
static struct vex_dev *dev;
static struct vex_dev_file *df;
static struct vex_file *file;
static char dir[64];

static void begin(void)
{
    struct vex_dev_layout layout = {.dimensions = DIM, .element = VEX_ELEMENT_F32};
    char path[128];

    strcpy(dir, "/tmp/vex-evict-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/v0.vex", dir);
    io = vex_io_posix();
    dev = vex_dev_embed_new();
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE, &file), 0);
    CU_ASSERT_EQUAL_FATAL(dev->ops->attach(dev, io, file, &layout, true, &df, &err), 0);
}

static void end(void)
{
    dev->ops->detach(dev, df);
    vex_io_close(io, file);
    vex_dev_free(dev);
    CU_ASSERT_EQUAL(vex_file_remove_tree(io, dir, &err), 0);
}

static void write_slots(uint32_t from, uint32_t to)
{
    float vector[DIM];

    for (uint32_t slot = from; slot < to; slot++) {
        for (uint32_t d = 0; d < DIM; d++)
            vector[d] = (float)slot + (float)d / 256;
        CU_ASSERT_EQUAL_FATAL(dev->ops->write(dev, df, slot, 1, vector), 0);
    }
}

/* Read through the map, from end to end. */
static uint32_t wrong(uint32_t slots)
{
    const float *map = dev->ops->map(dev, df);
    uint32_t found = 0;

    for (uint32_t slot = 0; slot < slots; slot++)
        for (uint32_t d = 0; d < DIM; d++)
            found += map[(size_t)slot * DIM + d] != (float)slot + (float)d / 256;
    return found;
}

static void test_evict(void)
{
    begin();
    dev->ops->evict(dev, df); /* an empty one */
    write_slots(0, SLOTS);
    CU_ASSERT_EQUAL_FATAL(dev->ops->reserve(dev, df, SLOTS), 0);
    CU_ASSERT_EQUAL(wrong(SLOTS), 0);
    CU_ASSERT(resident_kib("/v0.vex") > MUCH);
    dev->ops->evict(dev, df);
    CU_ASSERT(resident_kib("/v0.vex") >= 0 && resident_kib("/v0.vex") < LITTLE);
    CU_ASSERT_EQUAL(wrong(SLOTS), 0);
    CU_ASSERT(resident_kib("/v0.vex") > MUCH);
    write_slots(SLOTS, 2 * SLOTS);
    dev->ops->evict(dev, df);
    CU_ASSERT(resident_kib("/v0.vex") < LITTLE);
    CU_ASSERT_EQUAL_FATAL(dev->ops->reserve(dev, df, 2 * (uint64_t)SLOTS), 0);
    CU_ASSERT_EQUAL(wrong(2 * SLOTS), 0);
    end();
}

static _Atomic bool stop;

static void *evict_always(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        dev->ops->evict(dev, df);
    return NULL;
}

static void test_beside_others(void)
{
    pthread_t thread;

    begin();
    write_slots(0, SLOTS / 4);
    CU_ASSERT_EQUAL_FATAL(dev->ops->reserve(dev, df, SLOTS / 4), 0);
    atomic_store(&stop, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, evict_always, NULL), 0);
    for (uint32_t slot = SLOTS / 4; slot < SLOTS; slot += 64) {
        write_slots(slot, slot + 64);
        if (slot % 1024 == 0)
            CU_ASSERT_EQUAL(wrong(SLOTS / 4), 0);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL_FATAL(dev->ops->reserve(dev, df, SLOTS), 0);
    CU_ASSERT_EQUAL(wrong(SLOTS), 0);
    end();
}

static CU_TestInfo tests[] = {
    {"pages leave and come back", test_evict},
    {"beside a writer and readers", test_beside_others},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return run_suite("evict", tests);
}
