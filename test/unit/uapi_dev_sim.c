/* The embedded device on a disk that loses power: what was synced is there afterwards, and a full disk harms
 * nothing. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <errno.h>

#include "lib/sim_io.h"
#include "uapi/dev.h"

#define DIMS    24
#define SYNCED  40u
#define WRITTEN 90u

static float value(uint32_t slot, uint32_t dimension)
{
    return (float)(slot * 100 + dimension + 1);
}

static int fill(struct vex_dev *dev, struct vex_dev_file *df, uint32_t first, uint32_t count)
{
    float data[WRITTEN * DIMS];
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < DIMS; j++)
            data[i * DIMS + j] = value(first + i, j);
    return dev->ops->write(dev, df, first, count, data);
}

static uint32_t count_wrong(struct vex_dev *dev, struct vex_dev_file *df, uint32_t count)
{
    uint32_t wrong = 0;
    for (uint32_t slot = 0; slot < count; slot++) {
        float data[DIMS] = {0};
        wrong += dev->ops->read(dev, df, &slot, 1, data) != 0;
        for (uint32_t j = 0; j < DIMS; j++)
            wrong += data[j] != value(slot, j);
    }
    return wrong;
}

static int open_file(struct vex_sim *sim, bool create, struct vex_file **file, struct vex_dev_file **df,
                     uint64_t *slots)
{
    struct vex_io *io = vex_sim_io(sim);
    struct vex_dev *dev = vex_dev_embed_new();
    struct vex_dev_layout layout = {.dimensions = DIMS, .element = VEX_ELEMENT_F32};
    struct vex_err err;
    *file = NULL;
    int rc = vex_io_open(io, "/vectors", VEX_IO_WRITE | (create ? VEX_IO_CREATE : 0), file);
    if (rc < 0)
        return vex_err_errno(-rc);
    rc = dev->ops->attach(dev, io, *file, &layout, create, df, &err);
    *slots = layout.slots;
    return rc;
}

static void close_file(struct vex_sim *sim, struct vex_file *file, struct vex_dev_file *df)
{
    struct vex_dev *dev = vex_dev_embed_new();
    dev->ops->detach(dev, df);
    vex_io_close(vex_sim_io(sim), file);
}

/* Slots 0..SYNCED are synced, those after them not. */
static struct vex_sim *written_disk(unsigned lies)
{
    struct vex_sim *sim = vex_sim_new(1);
    struct vex_io *io = vex_sim_io(sim);
    struct vex_dev *dev = vex_dev_embed_new();
    struct vex_file *file;
    struct vex_dev_file *df;
    uint64_t slots;
    vex_sim_lie(sim, lies);
    CU_ASSERT_EQUAL_FATAL(open_file(sim, true, &file, &df, &slots), 0);
    CU_ASSERT_EQUAL(fill(dev, df, 0, SYNCED), 0);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, df), 0);
    CU_ASSERT_EQUAL(io->ops->dirsync(io, "/"), 0);
    for (uint32_t slot = SYNCED; slot < WRITTEN; slot += 10)
        CU_ASSERT_EQUAL(fill(dev, df, slot, 10), 0);
    CU_ASSERT_EQUAL(count_wrong(dev, df, WRITTEN), 0); /* the map sees all of it */
    close_file(sim, file, df);
    return sim;
}

/* True when the disk after this cut holds all that was synced. */
static bool survives(struct vex_sim *sim, enum vex_sim_policy policy, uint64_t seed)
{
    struct vex_sim *after = vex_sim_crash(sim, policy, seed);
    struct vex_dev *dev = vex_dev_embed_new();
    struct vex_file *file;
    struct vex_dev_file *df = NULL;
    uint64_t slots = 0;
    bool good = open_file(after, false, &file, &df, &slots) == 0;
    if (good) {
        good = slots >= SYNCED && slots <= WRITTEN && count_wrong(dev, df, SYNCED) == 0;
        /* Appending goes on over whatever lies beyond what is known. */
        good = good && dev->ops->truncate(dev, df, SYNCED) == 0 && fill(dev, df, SYNCED, 30) == 0 &&
               count_wrong(dev, df, SYNCED + 30) == 0;
    }
    close_file(after, file, df);
    vex_sim_free(after);
    return good;
}

static void test_power_cut(void)
{
    struct vex_sim *sim = written_disk(0);
    uint32_t lost = 0;
    for (int policy = 0; policy < VEX_SIM_POLICY_COUNT; policy++)
        for (uint64_t seed = 0; seed < 100; seed++)
            lost += !survives(sim, (enum vex_sim_policy)policy, seed);
    CU_ASSERT_EQUAL(lost, 0);
    vex_sim_free(sim);
}

/* The test above notices a disk whose syncs do nothing. */
static void test_lie_is_noticed(void)
{
    struct vex_sim *sim = written_disk(VEX_SIM_IGNORE_DATASYNC);
    CU_ASSERT_FALSE(survives(sim, VEX_SIM_LOSE_ALL, 0));
    CU_ASSERT_TRUE(survives(sim, VEX_SIM_KEEP_ALL, 0));
    vex_sim_free(sim);
}

static void test_disk_faults(void)
{
    struct vex_sim *sim = vex_sim_new(2);
    struct vex_dev *dev = vex_dev_embed_new();
    struct vex_file *file;
    struct vex_dev_file *df;
    uint64_t slots;
    CU_ASSERT_EQUAL_FATAL(open_file(sim, true, &file, &df, &slots), 0);
    CU_ASSERT_EQUAL(fill(dev, df, 0, 10), 0);
    int64_t size = vex_io_size(vex_sim_io(sim), file);
    vex_sim_capacity(sim, vex_sim_used(sim));
    CU_ASSERT_EQUAL(fill(dev, df, 10, 50), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(vex_io_size(vex_sim_io(sim), file), size);
    vex_sim_capacity(sim, 0);
    vex_sim_fail(sim, VEX_SIM_PWRITE, 1, -EIO, false);
    CU_ASSERT_EQUAL(fill(dev, df, 10, 5), VEX_EIO);
    vex_sim_fail(sim, VEX_SIM_DATASYNC, 1, -EIO, false);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, df), VEX_EIO);
    vex_sim_fail(sim, VEX_SIM_TRUNCATE, 1, -EIO, false);
    CU_ASSERT_EQUAL(dev->ops->truncate(dev, df, 3), VEX_EIO);
    CU_ASSERT_EQUAL(count_wrong(dev, df, 10), 0);
    CU_ASSERT_EQUAL(fill(dev, df, 10, 5), 0);
    CU_ASSERT_EQUAL(count_wrong(dev, df, 15), 0);
    close_file(sim, file, df);
    vex_sim_fail(sim, VEX_SIM_MAP, 1, -ENOMEM, false);
    CU_ASSERT_EQUAL(open_file(sim, false, &file, &df, &slots), VEX_ENO_MEMORY);
    vex_io_close(vex_sim_io(sim), file);
    vex_sim_fail_clear(sim);
    CU_ASSERT_EQUAL(open_file(sim, false, &file, &df, &slots), 0);
    CU_ASSERT_EQUAL(slots, 15);
    close_file(sim, file, df);
    vex_sim_free(sim);
}

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite("embedded device on a simulated disk", NULL, NULL);
    CU_ADD_TEST(suite, test_power_cut);
    CU_ADD_TEST(suite, test_lie_is_noticed);
    CU_ADD_TEST(suite, test_disk_faults);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
