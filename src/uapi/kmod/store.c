// SPDX-License-Identifier: GPL-2.0-only
/* Vector files and their bytes. See store.h. */
#include "uapi/kmod/store.h"

#include <linux/build_bug.h>
#include <linux/cred.h>
#include <linux/crc32.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/version.h>

#ifndef CONFIG_64BIT
#error "vexfs needs a 64-bit kernel: all memory must be addressable"
#endif
#ifdef __BIG_ENDIAN
#error "vector files are little-endian and are read in place"
#endif

#define FILE_VERSION 1

struct header {
    char magic[8];
    u32 version, dimensions, element, stride;
    u64 slots;
    u8 zero[VEXFS_HEADER_SIZE - 36];
    u32 crc;
};
static_assert(sizeof(struct header) == VEXFS_HEADER_SIZE);
static_assert(offsetof(struct header, crc) == VEXFS_HEADER_SIZE - 4);

static const char magic[8] = {'V', 'E', 'X', 'F', 'S', 'V', 'E', 'C'};

static const struct {
    u32 size, number;
} elements[] = {
    [VEX_ELEMENT_F32] = {4, VEXFS_VECTOR_FLOAT32},
    [VEX_ELEMENT_F16] = {2, VEXFS_VECTOR_FLOAT16},
    [VEX_ELEMENT_U8] = {1, VEXFS_VECTOR_UINT8},
};

/* ---- Shape ---- */

u32 vex_element_number(enum vex_element element)
{
    return elements[element].number;
}

int vex_shape_make(u32 dimensions, u32 element_type, struct vex_shape *ret)
{
    unsigned int i = 0;

    if (element_type == VEXFS_VECTOR_INT8 || element_type == VEXFS_VECTOR_BINARY)
        return -EOPNOTSUPP;
    while (i < ARRAY_SIZE(elements) && elements[i].number != element_type)
        i++;
    if (i == ARRAY_SIZE(elements) || dimensions < 1 || dimensions > VEXFS_DIMENSIONS_MAX)
        return -EINVAL;
    ret->dimensions = dimensions;
    ret->element = (enum vex_element)i;
    ret->bytes = dimensions * elements[i].size;
    ret->stride = ALIGN(ret->bytes, VEXFS_STRIDE_ALIGN);
    return 0;
}

/* ---- Bytes ---- */

static void prepare(struct kiocb *kiocb, struct file *file, loff_t at)
{
    init_sync_kiocb(kiocb, file);
    kiocb->ki_flags &= ~(IOCB_APPEND | IOCB_DIRECT | IOCB_NOWAIT);
    kiocb->ki_pos = at;
}

/* From 6.8 on vfs_iocb_iter_write() does so itself. */
static void start_write(struct file *file)
{
    if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0))
        file_start_write(file);
}

static void end_write(struct file *file)
{
    if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0))
        file_end_write(file);
}

ssize_t vex_file_read(struct file *file, void *to, size_t size, loff_t at)
{
    const struct cred *saved = override_creds(file->f_cred);
    size_t done = 0;
    ssize_t n = 0;

    while (done < size) {
        struct kvec vec = {.iov_base = (char *)to + done, .iov_len = size - done};
        struct iov_iter iter;
        struct kiocb kiocb;

        prepare(&kiocb, file, at + (loff_t)done);
        iov_iter_kvec(&iter, ITER_DEST, &vec, 1, vec.iov_len);
        n = vfs_iocb_iter_read(file, &kiocb, &iter);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    revert_creds(saved);
    return n < 0 ? n : (ssize_t)done;
}

/* Writes all that an iterator holds. The file system gets a copy: it shortens what would pass a limit. */
static int write_all(struct file *file, struct iov_iter *iter, loff_t at)
{
    const struct cred *saved = override_creds(file->f_cred);
    size_t left = iov_iter_count(iter);
    ssize_t n = 0;

    start_write(file);
    while (left > 0) {
        struct iov_iter part = *iter;
        struct kiocb kiocb;

        prepare(&kiocb, file, at);
        kiocb.ki_flags |= IOCB_WRITE;
        n = vfs_iocb_iter_write(file, &kiocb, &part);
        if (n <= 0)
            break;
        iov_iter_advance(iter, (size_t)n);
        at += n;
        left -= (size_t)n;
    }
    end_write(file);
    revert_creds(saved);
    if (left == 0)
        return 0;
    return n < 0 ? (int)n : -EIO;
}

int vex_file_write(struct file *file, const void *from, size_t size, loff_t at)
{
    struct kvec vec = {.iov_base = (void *)from, .iov_len = size};
    struct iov_iter iter;

    iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, size);
    return write_all(file, &iter, at);
}

int vex_file_write_user(struct file *file, const void __user *from, size_t size, loff_t at)
{
    struct iov_iter iter;

    if (!access_ok(from, size))
        return -EFAULT;
    iov_iter_ubuf(&iter, ITER_SOURCE, (void __user *)from, size);
    return write_all(file, &iter, at);
}

int vex_file_truncate(struct file *file, loff_t size)
{
    const struct cred *saved = override_creds(file->f_cred);
    int rc = (int)vfs_truncate(&file->f_path, size);

    revert_creds(saved);
    return rc;
}

/* ---- Growth ---- */

#define GROW_BITS 6
static struct mutex grow[1 << GROW_BITS];

void vex_store_init(void)
{
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(grow); i++)
        mutex_init(&grow[i]);
}

static struct mutex *grow_of(struct file *file)
{
    return &grow[hash_ptr(file_inode(file), GROW_BITS)];
}

int vex_grow_lock(struct file *file)
{
    return mutex_lock_killable(grow_of(file));
}

void vex_grow_lock_always(struct file *file)
{
    mutex_lock(grow_of(file));
}

void vex_grow_unlock(struct file *file)
{
    mutex_unlock(grow_of(file));
}

/* ---- Head of a file ---- */

static u32 checksum(const struct header *header)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
    return ~crc32c(~0u, header, offsetof(struct header, crc));
#else
    return ~__crc32c_le(~0u, (const unsigned char *)header, offsetof(struct header, crc));
#endif
}

static struct header *header_new(void)
{
    return kzalloc(sizeof(struct header), GFP_KERNEL_ACCOUNT);
}

static int create_header(struct file *file, const struct vex_shape *shape)
{
    struct header *header = header_new();
    int rc;

    if (!header)
        return -ENOMEM;
    memcpy(header->magic, magic, sizeof(magic));
    header->version = FILE_VERSION;
    header->dimensions = shape->dimensions;
    header->element = elements[shape->element].number;
    header->stride = shape->stride;
    header->crc = checksum(header);
    rc = vex_file_write(file, header, sizeof(*header), 0);
    kfree(header);
    return rc;
}

static int create_file(struct file *file, const struct vex_shape *shape)
{
    int rc = vex_grow_lock(file);

    if (rc < 0)
        return rc;
    rc = vex_file_truncate(file, 0);
    if (rc == 0)
        rc = create_header(file, shape);
    vex_grow_unlock(file);
    return rc;
}

static int check_header(const struct header *header, const struct vex_shape *shape)
{
    if (memcmp(header->magic, magic, sizeof(magic)) != 0 || header->crc != checksum(header) ||
        header->version != FILE_VERSION)
        return -EUCLEAN;
    if (header->dimensions != shape->dimensions || header->element != elements[shape->element].number)
        return -EINVAL;
    return header->stride == shape->stride ? 0 : -EUCLEAN;
}

static int open_header(struct file *file, const struct vex_shape *shape)
{
    struct header *header = header_new();
    ssize_t n;
    int rc;

    if (!header)
        return -ENOMEM;
    n = vex_file_read(file, header, sizeof(*header), 0);
    rc = n < 0 ? (int)n : n < (ssize_t)sizeof(*header) ? -EUCLEAN : check_header(header, shape);
    kfree(header);
    return rc;
}

/* ---- The store of a descriptor ---- */

struct vex_store *vex_store_of(struct vex_open *open)
{
    return smp_load_acquire(&open->store); /* pairs with publish() */
}

static void publish(struct vex_open *open, struct vex_store *store)
{
    smp_store_release(&open->store, store);
}

u64 vex_store_slots(const struct vex_store *store)
{
    loff_t size;

    if (store->ids)
        return smp_load_acquire(&store->ids->shown); /* pairs with the release in insert.c */
    size = i_size_read(file_inode(store->file));
    if (size <= VEXFS_HEADER_SIZE)
        return 0;
    return (u64)(size - VEXFS_HEADER_SIZE) / store->shape.stride;
}

int vex_store_writable(const struct vex_store *store)
{
    if (store->ids)
        return -EOPNOTSUPP;
    return (store->file->f_mode & FMODE_WRITE) ? 0 : -EBADF;
}

/* A file of huge pages numbers them in its mapping by their own size, and cannot be written to anyway. */
static int check_file(const struct file *file, bool create)
{
    if (file_inode(file)->i_sb->s_magic == HUGETLBFS_MAGIC)
        return -EINVAL;
    if (!S_ISREG(file_inode(file)->i_mode) || !file->f_op->read_iter)
        return -EINVAL;
    if (!(file->f_mode & FMODE_READ) || (create && !(file->f_mode & FMODE_WRITE)))
        return -EINVAL;
    return 0;
}

static struct vex_store *store_new(struct file *file, const struct vex_shape *shape)
{
    struct vex_store *store = kzalloc(sizeof(*store), GFP_KERNEL_ACCOUNT);

    if (store) {
        store->file = file;
        store->shape = *shape;
    }
    return store;
}

/* Takes over the file, whatever it returns. */
static int attach_file(struct vex_open *open, struct file *file, const struct vex_shape *shape, bool create,
                       u64 *ret_slots)
{
    struct vex_store *store;
    int rc = check_file(file, create);

    if (rc == 0)
        rc = create ? create_file(file, shape) : open_header(file, shape);
    store = rc == 0 ? store_new(file, shape) : NULL;
    if (!store) {
        fput(file);
        return rc < 0 ? rc : -ENOMEM;
    }
    *ret_slots = vex_store_slots(store);
    if (*ret_slots > U32_MAX) {
        vex_store_free(store);
        return -EUCLEAN;
    }
    publish(open, store);
    return 0;
}

int vex_store_attach(struct vex_open *open, int fd, const struct vex_shape *shape, bool create,
                     u64 *ret_slots)
{
    struct file *file = fget(fd);
    int rc;

    if (!file)
        return -EBADF;
    rc = mutex_lock_killable(&open->setup);
    if (rc < 0) {
        fput(file);
        return rc;
    }
    if (open->store) {
        fput(file);
        rc = -EBUSY;
    } else {
        rc = attach_file(open, file, shape, create, ret_slots);
    }
    mutex_unlock(&open->setup);
    return rc;
}

void vex_store_free(struct vex_store *store)
{
    if (!store)
        return;
    fput(store->file);
    vex_ids_free(store->ids);
    kfree(store);
}

/* ---- Anonymous stores ---- */

static unsigned int memory_max_mib = 1024;
module_param(memory_max_mib, uint, 0644);
MODULE_PARM_DESC(memory_max_mib, "what all stores made by SET_VECTOR_META may hold together, in MiB");

static atomic64_t budget_used;

int vex_budget_take(u64 bytes)
{
    s64 most = (s64)READ_ONCE(memory_max_mib) << 20;

    if (bytes > (u64)most)
        return -ENOSPC;
    if (atomic64_add_return((s64)bytes, &budget_used) > most) {
        atomic64_sub((s64)bytes, &budget_used);
        return -ENOSPC;
    }
    return 0;
}

void vex_budget_give(u64 bytes)
{
    atomic64_sub((s64)bytes, &budget_used);
}

struct file *vex_memory_file(const struct vex_shape *shape)
{
    struct file *file = shmem_file_setup("vexfs", 0, VM_NORESERVE);
    int rc;

    if (IS_ERR(file))
        return file;
    rc = create_header(file, shape);
    if (rc < 0) {
        fput(file);
        return ERR_PTR(rc);
    }
    return file;
}

static struct vex_store *anonymous_new(const struct vex_shape *shape)
{
    struct file *file = vex_memory_file(shape);
    struct vex_store *store;

    if (IS_ERR(file))
        return ERR_CAST(file);
    store = store_new(file, shape);
    if (!store) {
        fput(file);
        return ERR_PTR(-ENOMEM);
    }
    store->ids = vex_ids_new();
    if (!store->ids) {
        vex_store_free(store);
        return ERR_PTR(-ENOMEM);
    }
    return store;
}

int vex_store_anonymous(struct vex_open *open, const struct vex_shape *shape)
{
    struct vex_store *store;
    int rc = mutex_lock_killable(&open->setup);

    if (rc < 0)
        return rc;
    if (open->store) {
        rc = -EBUSY;
    } else {
        store = anonymous_new(shape);
        if (IS_ERR(store))
            rc = (int)PTR_ERR(store);
        else
            publish(open, store);
    }
    mutex_unlock(&open->setup);
    return rc;
}
