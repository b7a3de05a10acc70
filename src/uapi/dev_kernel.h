/* The kernel back end over a replaceable system, so that it can be tested where no module is loaded. */
#ifndef VEX_UAPI_DEV_KERNEL_H
#define VEX_UAPI_DEV_KERNEL_H

#include "uapi/dev.h"

struct vex_dev_kernel_sys {
    int (*open)(void *arg); /* a descriptor of the device, or -errno */
    void (*close)(void *arg, int fd);
    int (*ioctl)(void *arg, int fd, unsigned long request, void *param); /* 0 or -errno */
    void *arg;
};

/* As vex_dev_kernel_new, over `sys` (copied). */
int vex_dev_kernel_new_on(const struct vex_dev_kernel_sys *sys, struct vex_dev **ret, struct vex_err *err);

#endif
