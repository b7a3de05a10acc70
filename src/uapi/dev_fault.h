/* Faulty vector device, for tests: passes everything to another device and fails when told to.
 *
 * A file attached through it is the inner device's own. Threads: knobs may be turned while requests run. */
#ifndef VEX_UAPI_DEV_FAULT_H
#define VEX_UAPI_DEV_FAULT_H

#include "uapi/dev.h"

/* Requests that can fail. */
enum vex_dev_fault_op {
    VEX_DEV_FAULT_ATTACH,
    VEX_DEV_FAULT_WRITE,
    VEX_DEV_FAULT_READ,
    VEX_DEV_FAULT_SCAN,
    VEX_DEV_FAULT_SEARCH,
    VEX_DEV_FAULT_CLEAR,
    VEX_DEV_FAULT_SYNC,
    VEX_DEV_FAULT_TRUNCATE,
    VEX_DEV_FAULT_RESERVE,
    VEX_DEV_FAULT_COUNT
};

/* The nth next call of the request (1: the very next) gives `code`, a VEX_E*, without reaching the inner
 * device; with `always` so do all that follow. Replaces what was set for that request before. */
void vex_dev_fault_set(struct vex_dev *dev, enum vex_dev_fault_op op, uint64_t nth, int code, bool always);
void vex_dev_fault_clear(struct vex_dev *dev); /* no request fails any more; the counts stay */
/* Calls of the request since the device was made, failed ones too. */
uint64_t vex_dev_fault_calls(struct vex_dev *dev, enum vex_dev_fault_op op);

#endif
