/* Vector device: which back end runs. See dev.h. */
#include "uapi/dev.h"

#include <string.h>

#include "base/log.h"

void vex_dev_free(struct vex_dev *dev)
{
    if (dev != NULL)
        dev->ops->free(dev);
}

int vex_dev_choose(const char *choice, struct vex_dev **ret, struct vex_err *err)
{
    if (strcmp(choice, "embedded") == 0) {
        *ret = vex_dev_embed_new();
        return 0;
    }
    if (strcmp(choice, "kernel") == 0)
        return vex_dev_kernel_new(ret, err);
    if (strcmp(choice, "auto") != 0)
        return vex_err_set(err, VEX_EBAD_INPUT, "engine.device is auto, embedded or kernel, not \"%.64s\"",
                           choice);
    struct vex_err why;
    if (vex_dev_kernel_new(ret, &why) == 0) {
        vex_info("device", "vector device: kernel");
        return 0;
    }
    vex_info("device", "vector device: embedded (%s)", why.text);
    *ret = vex_dev_embed_new();
    return 0;
}
