/* The faulty device: without orders it is the device it wraps; with orders it fails just as told. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

#include "lib/dev_suite.h"
#include "lib/dev_suite_kit.h"
#include "uapi/dev_fault.h"

static void test_nth_call(void)
{
    struct vex_dev *dev = vex_suite_dev;
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    uint64_t calls = vex_dev_fault_calls(dev, VEX_DEV_FAULT_SYNC);
    vex_dev_fault_set(dev, VEX_DEV_FAULT_SYNC, 2, VEX_EIO, false);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), 0);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), VEX_EIO);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), 0);
    vex_dev_fault_set(dev, VEX_DEV_FAULT_SYNC, 1, VEX_ENO_SPACE, true);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), VEX_ENO_SPACE);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), VEX_ENO_SPACE);
    suite_fill(&f, 0, 1, 0); /* other requests go on */
    vex_dev_fault_clear(dev);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), 0);
    CU_ASSERT_EQUAL(vex_dev_fault_calls(dev, VEX_DEV_FAULT_SYNC) - calls, 6);
    suite_close(&f);
}

/* Each request has a knob of its own, and a call that fails does nothing. */
static void test_each_request(void)
{
    struct vex_dev *dev = vex_suite_dev;
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    suite_fill(&f, 0, 4, 0);
    for (int op = 0; op < VEX_DEV_FAULT_COUNT; op++)
        vex_dev_fault_set(dev, (enum vex_dev_fault_op)op, 1, VEX_EIO - op, false);
    uint32_t slot = 0, cursor = 0, count = 0;
    char data[32] = {0};
    struct vex_dev_search search = {0};
    CU_ASSERT_EQUAL(suite_fill_raw(&f, 0, 1, 1), VEX_EIO - VEX_DEV_FAULT_WRITE);
    CU_ASSERT_EQUAL(dev->ops->read(dev, f.df, &slot, 1, data), VEX_EIO - VEX_DEV_FAULT_READ);
    CU_ASSERT_EQUAL(dev->ops->scan(dev, f.df, &cursor, 4, NULL, 1, &slot, data, &count),
                    VEX_EIO - VEX_DEV_FAULT_SCAN);
    CU_ASSERT_EQUAL(dev->ops->search(dev, f.df, &search), VEX_EIO - VEX_DEV_FAULT_SEARCH);
    CU_ASSERT_EQUAL(dev->ops->clear(dev, f.df, &slot, 1), VEX_EIO - VEX_DEV_FAULT_CLEAR);
    CU_ASSERT_EQUAL(dev->ops->sync(dev, f.df), VEX_EIO - VEX_DEV_FAULT_SYNC);
    CU_ASSERT_EQUAL(dev->ops->truncate(dev, f.df, 0), VEX_EIO - VEX_DEV_FAULT_TRUNCATE);
    CU_ASSERT_EQUAL(dev->ops->reserve(dev, f.df, 10), VEX_EIO - VEX_DEV_FAULT_RESERVE);
    struct suite_file other = f;
    CU_ASSERT_EQUAL(suite_attach(&other, true), VEX_EIO - VEX_DEV_FAULT_ATTACH);
    suite_expect(&f, 0, 4, 0);
    suite_reopen(&f);
    CU_ASSERT_EQUAL(f.layout.slots, 4);
    suite_close(&f);
}

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    struct vex_dev *inner = vex_dev_embed_new(), *dev = vex_dev_fault_new(inner);
    vex_dev_suite_register("faulty device, no orders", dev, true);
    CU_pSuite suite = CU_get_suite("faulty device, no orders");
    CU_ADD_TEST(suite, test_nth_call);
    CU_ADD_TEST(suite, test_each_request);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_dev_free(dev);
    vex_dev_free(inner);
    return failed != 0;
}
