/* The choice of a back end, and the frozen numbers of vexfs.h. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "uapi/dev.h"
#include "uapi/vexfs.h"

static void test_choose(void)
{
    struct vex_err err = {0};
    struct vex_dev *dev = NULL;
    CU_ASSERT_EQUAL_FATAL(vex_dev_choose("embedded", &dev, &err), 0);
    CU_ASSERT_STRING_EQUAL(dev->ops->name, "embedded");
    vex_dev_free(dev);
    dev = NULL;
    CU_ASSERT_EQUAL_FATAL(vex_dev_choose("auto", &dev, &err), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dev);
    bool there = access(VEXFS_DEVICE, R_OK | W_OK) == 0;
    if (!there)
        CU_ASSERT_STRING_EQUAL(dev->ops->name, "embedded");
    vex_dev_free(dev);
    dev = NULL;
    int rc = vex_dev_choose("kernel", &dev, &err);
    if (!there) {
        CU_ASSERT_EQUAL(rc, VEX_EUNAVAILABLE);
        CU_ASSERT_EQUAL(err.code, VEX_EUNAVAILABLE);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/dev/vexfs_v2_phase3"));
        CU_ASSERT_PTR_NULL(dev);
    }
    vex_dev_free(dev);
    dev = NULL;
    CU_ASSERT_EQUAL(vex_dev_choose("gpu", &dev, &err), VEX_EBAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "gpu"));
    CU_ASSERT_EQUAL(vex_dev_choose("", &dev, &err), VEX_EBAD_INPUT);
    CU_ASSERT_PTR_NULL(dev);
    vex_dev_free(NULL);
}

/* The numbers as programs that were built long ago have them. */
static void test_request_numbers(void)
{
    CU_ASSERT_EQUAL(VEXFS_IOC_SET_VECTOR_META, 0x40285601);
    CU_ASSERT_EQUAL(VEXFS_IOC_GET_VECTOR_META, 0x80285602);
    CU_ASSERT_EQUAL(VEXFS_IOC_VECTOR_SEARCH, 0xc0305603);
    CU_ASSERT_EQUAL(VEXFS_IOC_BATCH_INSERT, 0x40205604);
    CU_ASSERT_EQUAL(VEXFS_IOC_ATTACH, 0xc0205610);
    CU_ASSERT_EQUAL(VEXFS_IOC_WRITE, 0x40185611);
    CU_ASSERT_EQUAL(VEXFS_IOC_READ, 0x40185612);
    CU_ASSERT_EQUAL(VEXFS_IOC_SCAN, 0xc0305613);
    CU_ASSERT_EQUAL(VEXFS_IOC_SEARCH, 0x40405614);
    CU_ASSERT_EQUAL(VEXFS_IOC_CLEAR, 0x40185615);
    CU_ASSERT_EQUAL(VEXFS_IOC_SYNC, 0x40105616);
    CU_ASSERT_EQUAL(VEXFS_IOC_TRUNCATE, 0x40105617);
    CU_ASSERT_EQUAL(VEXFS_IOC_STATS, 0xc0285618);
    CU_ASSERT_EQUAL(VEXFS_IOC_CAPS, 0xc0205619);
    CU_ASSERT_EQUAL(VEXFS_REQUESTS_ALL, 0x3ff);
}

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite("device choice and numbers", NULL, NULL);
    CU_ADD_TEST(suite, test_choose);
    CU_ADD_TEST(suite, test_request_numbers);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
