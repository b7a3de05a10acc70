// SPDX-License-Identifier: GPL-2.0-only
/* The device /dev/vexfs_v2_phase3: opening, closing, and which function serves which request of vexfs.h.
 *
 * Role      Copies each request's struct in and out; what its addresses point to is moved by the functions that serve it.
 * Owner     The module is held by every open descriptor, each descriptor holds its vector file. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "uapi/kmod/reader.h"
#include "uapi/kmod/requests.h"
#include "uapi/kmod/score.h"

static int serve_caps(struct vex_open *open, void *param)
{
    struct vexfs_caps *caps = param;

    if (caps->reserved[0] != 0 || caps->reserved[1] != 0)
        return -EINVAL;
    *caps = (struct vexfs_caps){
        .version = VEXFS_ABI_VERSION,
        .requests = VEXFS_REQUESTS_ALL,
        .elements = 1u << VEXFS_VECTOR_FLOAT32 | 1u << VEXFS_VECTOR_FLOAT16 | 1u << VEXFS_VECTOR_UINT8,
        .distances = 1u << VEXFS_SEARCH_EUCLIDEAN | 1u << VEXFS_SEARCH_COSINE |
                     1u << VEXFS_SEARCH_DOT_PRODUCT | 1u << VEXFS_SEARCH_MANHATTAN,
        .dimensions_max = VEXFS_DIMENSIONS_MAX,
        .queries_max = VEXFS_QUERIES_MAX,
    };
    return 0;
}

static const struct {
    unsigned int request;
    bool versioned; /* the struct begins with the version */
    int (*serve)(struct vex_open *open, void *param);
} requests[] = {
    {VEXFS_IOC_CAPS, false, serve_caps},
    {VEXFS_IOC_ATTACH, true, vex_serve_attach},
    {VEXFS_IOC_WRITE, true, vex_serve_write},
    {VEXFS_IOC_READ, true, vex_serve_read},
    {VEXFS_IOC_SCAN, true, vex_serve_scan},
    {VEXFS_IOC_SEARCH, true, vex_serve_search},
    {VEXFS_IOC_CLEAR, true, vex_serve_clear},
    {VEXFS_IOC_SYNC, true, vex_serve_sync},
    {VEXFS_IOC_TRUNCATE, true, vex_serve_truncate},
    {VEXFS_IOC_STATS, true, vex_serve_stats},
    {VEXFS_IOC_SET_VECTOR_META, false, vex_serve_set_meta},
    {VEXFS_IOC_GET_VECTOR_META, false, vex_serve_get_meta},
    {VEXFS_IOC_VECTOR_SEARCH, false, vex_serve_vector_search},
    {VEXFS_IOC_BATCH_INSERT, false, vex_serve_batch_insert},
};

/* Every struct of vexfs.h fits. */
union param {
    u32 version;
    struct vexfs_vector_file_info info;
    struct vexfs_vector_search_request vector_search;
    struct vexfs_batch_insert_request insert;
    struct vexfs_caps caps;
    struct vexfs_attach attach;
    struct vexfs_write write;
    struct vexfs_slots slots;
    struct vexfs_scan scan;
    struct vexfs_search search;
    struct vexfs_length length;
    struct vexfs_stats stats;
};

static long device_ioctl(struct file *file, unsigned int request, unsigned long arg)
{
    void __user *user = (void __user *)arg;
    union param param;
    unsigned int i = 0;
    int rc;

    while (i < ARRAY_SIZE(requests) && requests[i].request != request)
        i++;
    if (i == ARRAY_SIZE(requests))
        return -ENOTTY;
    memset(&param, 0, sizeof(param));
    if ((_IOC_DIR(request) & _IOC_WRITE) && copy_from_user(&param, user, _IOC_SIZE(request)))
        return -EFAULT;
    if (requests[i].versioned && param.version != VEXFS_ABI_VERSION)
        return -EINVAL;
    rc = requests[i].serve(file->private_data, &param);
    if (rc == 0 && (_IOC_DIR(request) & _IOC_READ) && copy_to_user(user, &param, _IOC_SIZE(request)))
        return -EFAULT;
    return rc;
}

static int device_open(struct inode *inode, struct file *file)
{
    struct vex_open *open = kzalloc(sizeof(*open), GFP_KERNEL_ACCOUNT);

    if (!open)
        return -ENOMEM;
    mutex_init(&open->setup);
    file->private_data = open;
    return nonseekable_open(inode, file);
}

static int device_release(struct inode *inode, struct file *file)
{
    struct vex_open *open = file->private_data;

    vex_store_free(open->store);
    mutex_destroy(&open->setup);
    kfree(open);
    return 0;
}

/* A 32-bit program's slot requests have the same layout; the public ones, which carry pointers, have another size
 * there, so another number, and are refused. */
static const struct file_operations device_ops = {
    .owner = THIS_MODULE,
    .open = device_open,
    .release = device_release,
    .unlocked_ioctl = device_ioctl,
    .compat_ioctl = compat_ptr_ioctl,
    .llseek = noop_llseek,
};

static struct miscdevice device = {
    .minor = MISC_DYNAMIC_MINOR,
    .name = "vexfs_v2_phase3",
    .fops = &device_ops,
    .mode = 0600,
};

static int __init vexfs_init(void)
{
    int rc;

    vex_store_init();
    rc = vex_reader_init();
    if (rc < 0)
        return rc;
    rc = misc_register(&device);
    if (rc < 0)
        vex_reader_exit();
    else
        pr_info("vexfs: " VEXFS_DEVICE " serves version %u, distances by %s\n", VEXFS_ABI_VERSION,
                vex_score_name());
    return rc;
}

static void __exit vexfs_exit(void)
{
    misc_deregister(&device);
    vex_reader_exit();
}

module_init(vexfs_init);
module_exit(vexfs_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("VexFS vector files: slots and exact search by requests");
MODULE_VERSION("1.0.0");
