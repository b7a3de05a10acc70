/* The embedded device through the list of tests that every vector device must pass. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

#include "lib/dev_suite.h"
#include "uapi/dev.h"

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    struct vex_dev *dev = vex_dev_embed_new();
    vex_dev_suite_register("embedded device", dev, true);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vex_dev_free(dev);
    return failed != 0;
}
