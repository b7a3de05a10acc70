/* A double of the kernel module, in the process of a test: decodes vexfs.h and serves the slot requests with
 * the embedded device. It refuses what the module must refuse (versions, padding, flags, addresses), so that
 * programs made for the module run over it.
 *
 * Lock      One for all descriptors: attach, truncate and close are alone, other requests run together. */
#ifndef VEX_TEST_DEV_DOUBLE_H
#define VEX_TEST_DEV_DOUBLE_H

#include <stdint.h>

#include "../../src/uapi/vexfs.h"

/* For struct vex_dev_kernel_sys. */
int vex_dev_double_open(void *arg);
int vex_dev_double_open_at(int at); /* at >= 0: this number, which must be free */
void vex_dev_double_close(void *arg, int fd);
int vex_dev_double_ioctl(void *arg, int fd, unsigned long request, void *param);

/* What it shall answer. */
extern struct vex_dev_double {
    struct vexfs_caps caps;    /* what the probe gets */
    int caps_rc, open_rc;      /* 0 or -errno */
    _Atomic int interruptions; /* requests still to be cut short by a signal */
} vex_dev_double;

void vex_dev_double_reset(void); /* all is well again */
int vex_dev_double_open_count(void);
/* Requests by number since the start of the program, and those that had a wrong version or padding. */
uint64_t vex_dev_double_requests(unsigned number);
uint64_t vex_dev_double_malformed(void);

#endif
