/* The kernel device itself, where the module is loaded, through the list of tests that every vector device must
 * pass; and the faulty device over it. VEXFS_TEST_DEVICE: names the device; set, it must be there. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/dev_suite.h"
#include "lib/dev_suite_kit.h"
#include "uapi/dev_fault.h"
#include "uapi/vexfs.h"

int main(void)
{
    const char *asked = getenv("VEXFS_TEST_DEVICE");
    if (asked != NULL && strcmp(asked, VEXFS_DEVICE) != 0) {
        fprintf(stderr, "VEXFS_TEST_DEVICE is %s: there is only " VEXFS_DEVICE "\n", asked);
        return 2;
    }
    if (asked == NULL && access(VEXFS_DEVICE, F_OK) != 0) {
        printf("skipped: " VEXFS_DEVICE " is not there (uapi_dev_kernel runs the list over a double)\n");
        return 0;
    }
    struct vex_dev *dev, *faulty;
    struct vex_err err;
    if (vex_dev_kernel_new(&dev, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    faulty = vex_dev_fault_new(dev);
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    vex_dev_suite_register("kernel device", dev, false);
    vex_dev_suite_register("faulty device, no orders, over the kernel device", faulty, false);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_dev_free(faulty);
    vex_dev_free(dev);
    return failed != 0;
}
