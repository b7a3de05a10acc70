/* The kernel back end's ioctls, answered by a double of the module, so that the whole list of device tests runs
 * through the structs; and what the probe makes of odd answers. uapi_dev_kernel_device.c has the real one. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <errno.h>
#include <string.h>

#include "lib/dev_double.h"
#include "lib/dev_suite.h"
#include "lib/dev_suite_kit.h"
#include "uapi/dev_fault.h"
#include "uapi/dev_kernel.h"

static const struct vex_dev_kernel_sys sys = {vex_dev_double_open, vex_dev_double_close, vex_dev_double_ioctl,
                                              NULL};

/* ---- Tests of the probe ---- */

static void expect_unavailable(const char *part)
{
    struct vex_dev *dev = NULL;
    struct vex_err err = {0};
    CU_ASSERT_EQUAL(vex_dev_kernel_new_on(&sys, &dev, &err), VEX_EUNAVAILABLE);
    CU_ASSERT_PTR_NULL(dev);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, VEXFS_DEVICE));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    vex_dev_double_reset();
}

static void test_probe(void)
{
    vex_dev_double.open_rc = -ENOENT;
    expect_unavailable("No such file");
    vex_dev_double.open_rc = -EACCES;
    expect_unavailable("Permission denied");
    vex_dev_double.caps_rc = -ENOTTY;
    expect_unavailable("too old");
    vex_dev_double.caps.version = VEXFS_ABI_VERSION + 1;
    expect_unavailable("version 2");
    vex_dev_double.caps.requests &= ~(1u << (VEXFS_NR_SEARCH - 16));
    expect_unavailable("too old, it lacks requests: SEARCH");
    vex_dev_double.caps.requests = 3;
    expect_unavailable(": READ SCAN SEARCH CLEAR SYNC TRUNCATE STATS CAPS");
    vex_dev_double.caps.elements &= ~(1u << VEXFS_VECTOR_UINT8);
    expect_unavailable("lacks");
    vex_dev_double.caps.distances = 7;
    expect_unavailable("lacks");
    vex_dev_double.caps.dimensions_max = 4096;
    expect_unavailable("lacks");
    vex_dev_double.caps.queries_max = 1;
    expect_unavailable("lacks");
    vex_dev_double.caps.requests |= 1u << 20; /* a later module that can more is welcome */
    struct vex_dev *dev = NULL;
    struct vex_err err;
    CU_ASSERT_EQUAL(vex_dev_kernel_new_on(&sys, &dev, &err), 0);
    vex_dev_free(dev);
    vex_dev_double_reset();
    CU_ASSERT_EQUAL(vex_dev_double_open_count(), 0);
}

static void test_interrupted(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    vex_dev_double.interruptions = 3;
    suite_fill(&f, 0, 5, 0);
    CU_ASSERT_EQUAL(vex_dev_double.interruptions, 0);
    suite_expect(&f, 0, 5, 0);
    suite_close(&f);
}

static int no_fd(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    (void)file;
    return -ENOTSUP;
}

/* A disk without descriptors cannot be served; nothing stays open. */
static void test_no_descriptor(void)
{
    struct suite_file f = suite_create(8, VEX_ELEMENT_F32, NULL);
    int before = vex_dev_double_open_count();
    struct vex_io_ops ops = *f.io->ops;
    ops.fd = no_fd;
    struct vex_io io = {&ops};
    struct suite_file other = f;
    other.io = &io;
    CU_ASSERT_EQUAL(suite_attach(&other, false), VEX_EUNAVAILABLE);
    vex_dev_double.open_rc = -EMFILE;
    other.io = f.io;
    CU_ASSERT_EQUAL(suite_attach(&other, false), VEX_EIO);
    vex_dev_double.open_rc = 0;
    CU_ASSERT_EQUAL(vex_dev_double_open_count(), before);
    suite_close(&f);
    CU_ASSERT_EQUAL(vex_dev_double_open_count(), 0);
    CU_ASSERT_EQUAL(vex_dev_double_malformed(), 0);
}

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    struct vex_dev *dev, *faulty;
    struct vex_err err;
    vex_dev_double_reset();
    if (vex_dev_kernel_new_on(&sys, &dev, &err) < 0)
        return 2;
    faulty = vex_dev_fault_new(dev);
    vex_dev_suite_register("kernel device over a double", dev, false);
    CU_pSuite suite = CU_get_suite("kernel device over a double");
    CU_ADD_TEST(suite, test_probe);
    CU_ADD_TEST(suite, test_interrupted);
    CU_ADD_TEST(suite, test_no_descriptor);
    vex_dev_suite_register("faulty device, no orders, over the kernel device over a double", faulty, false);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_dev_free(faulty);
    vex_dev_free(dev);
    return failed != 0;
}
