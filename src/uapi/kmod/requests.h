/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions that serve one request each: `param` is its struct, copied in, and copied out again when they return 0.
 *
 * Errors    EINVAL, EFAULT, EBADF, EBUSY (a second ATTACH), ENOTCONN (nothing attached), EOPNOTSUPP, ENOMEM, EINTR
 *           (killed), ECANCELED, and what the file system says. */
#ifndef VEX_KMOD_REQUESTS_H
#define VEX_KMOD_REQUESTS_H

#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "uapi/kmod/store.h"

int vex_serve_attach(struct vex_open *open, void *param);
int vex_serve_write(struct vex_open *open, void *param);
int vex_serve_read(struct vex_open *open, void *param);
int vex_serve_scan(struct vex_open *open, void *param);
int vex_serve_search(struct vex_open *open, void *param);
int vex_serve_clear(struct vex_open *open, void *param);
int vex_serve_sync(struct vex_open *open, void *param);
int vex_serve_truncate(struct vex_open *open, void *param);
int vex_serve_stats(struct vex_open *open, void *param);
int vex_serve_set_meta(struct vex_open *open, void *param);
int vex_serve_get_meta(struct vex_open *open, void *param);
int vex_serve_vector_search(struct vex_open *open, void *param);
int vex_serve_batch_insert(struct vex_open *open, void *param);

/* Between two pieces of work: EINTR when the caller is being killed. */
static inline int vex_breathe(void)
{
    if (fatal_signal_pending(current))
        return -EINTR;
    cond_resched();
    return 0;
}

/* The part of a user's array from a byte offset on; NULL where addresses end, which no copy takes. */
static inline void __user *vex_user(u64 address, u64 offset)
{
    u64 sum = address + offset;

    return sum < address ? NULL : u64_to_user_ptr(sum);
}

static inline void vex_count_request(struct vex_open *open, u64 bytes_read, u64 bytes_written)
{
    atomic64_inc(&open->requests);
    atomic64_add((s64)bytes_read, &open->bytes_read);
    atomic64_add((s64)bytes_written, &open->bytes_written);
}

#endif
