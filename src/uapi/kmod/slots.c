// SPDX-License-Identifier: GPL-2.0-only
/* The slot requests: ATTACH, WRITE, READ, SCAN, CLEAR, SYNC, TRUNCATE, STATS.
 *
 * Memory    One chunk of VEX_CHUNK, or one block of a reader with a page of slot numbers. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "uapi/kmod/reader.h"
#include "uapi/kmod/requests.h"

#define LIST        1024u       /* slot numbers copied in at once */
#define WRITE_PIECE (16u << 20) /* bytes written between two looks for a kill */

int vex_serve_attach(struct vex_open *open, void *param)
{
    struct vexfs_attach *attach = param;
    struct vex_shape shape;
    int rc;

    if (attach->flags & ~VEXFS_ATTACH_CREATE)
        return -EINVAL;
    rc = vex_shape_make(attach->dimensions, attach->element_type, &shape);
    if (rc < 0)
        return rc == -EOPNOTSUPP ? -EINVAL : rc;
    attach->stride = shape.stride;
    return vex_store_attach(open, attach->fd, &shape, attach->flags & VEXFS_ATTACH_CREATE, &attach->slots);
}

/* ---- Writing ---- */

#define RETRIES 8u /* of a write that others' failing appends cut off again and again */

/* Cuts off what a failed write appended, unless others have appended behind it since. What they append while it is
 * being cut off they find gone, and write once more: see is_there. */
static void take_back(struct file *file, loff_t before, loff_t end)
{
    loff_t size;

    vex_grow_lock_always(file);
    size = i_size_read(file_inode(file));
    if (size > before && size <= end)
        vex_file_truncate(file, before);
    vex_grow_unlock(file);
}

static bool is_there(struct file *file, loff_t end)
{
    bool there;

    vex_grow_lock_always(file);
    there = i_size_read(file_inode(file)) >= end;
    vex_grow_unlock(file);
    return there;
}

/* Writes from the caller's memory to the page cache, with no lock of ours; the file system holds its own as for any
 * write. */
static int write_once(struct file *file, u64 data, loff_t at, loff_t end)
{
    loff_t before = i_size_read(file_inode(file));
    u64 done = 0, bytes = (u64)(end - at);
    int rc = 0;

    while (done < bytes && rc == 0) {
        size_t size = (size_t)min_t(u64, bytes - done, WRITE_PIECE);

        rc = vex_file_write_user(file, vex_user(data, done), size, at + (loff_t)done);
        done += size;
        if (rc == 0 && done < bytes)
            rc = vex_breathe();
    }
    if (rc < 0 && end > before)
        take_back(file, before, end);
    if (rc == 0 && end > before && !is_there(file, end))
        rc = -EAGAIN;
    return rc;
}

int vex_serve_write(struct vex_open *open, void *param)
{
    const struct vexfs_write *write = param;
    struct vex_store *store = vex_store_of(open);
    u32 tries;
    loff_t at;
    u64 bytes;
    int rc;

    if (write->reserved0 != 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    rc = vex_store_writable(store);
    if (rc < 0 || write->count == 0)
        return rc;
    if (write->data == 0 || write->count > U32_MAX - write->first)
        return -EINVAL;
    at = vex_store_offset(store, write->first);
    bytes = (u64)write->count * store->shape.stride;
    for (tries = 0; tries == 0 || (rc == -EAGAIN && tries < RETRIES); tries++)
        rc = write_once(store->file, write->data, at, at + (loff_t)bytes);
    if (rc == 0)
        vex_count_request(open, 0, bytes);
    return rc;
}

/* ---- Lists of slots ---- */

/* Calls `each` for the list's parts, which it has checked against the file's length before. */
struct list {
    struct vex_open *open;
    struct vex_store *store;
    const struct vexfs_slots *param;
    u32 *slots; /* LIST of them */
};

static int load_list(const struct list *list, u32 from, u32 *ret_count)
{
    u64 end = vex_store_slots(list->store);
    u32 i, count = min(list->param->count - from, LIST);

    if (copy_from_user(list->slots, vex_user(list->param->slots, (u64)from * sizeof(u32)),
                       count * sizeof(u32)))
        return -EFAULT;
    for (i = 0; i < count; i++)
        if (list->slots[i] >= end)
            return -EINVAL;
    *ret_count = count;
    return vex_breathe();
}

static int walk_list(const struct list *list,
                     int (*each)(const struct list *list, u32 from, u32 count, void *arg), void *arg)
{
    u32 from, count = 0;
    int rc = 0;

    /* All of it is looked at before anything is done; a list of one part not twice. */
    for (from = 0; from < list->param->count && rc == 0; from += count)
        rc = load_list(list, from, &count);
    for (from = 0; from < list->param->count && rc == 0; from += count) {
        if (list->param->count > LIST)
            rc = load_list(list, from, &count);
        if (rc == 0)
            rc = each(list, from, count, arg);
    }
    return rc;
}

static int serve_list(struct vex_open *open, struct vex_store *store, const struct vexfs_slots *param,
                      int (*each)(const struct list *list, u32 from, u32 count, void *arg), void *arg)
{
    struct list list = {.open = open, .store = store, .param = param};
    int rc;

    list.slots = kmalloc_array(LIST, sizeof(*list.slots), GFP_KERNEL_ACCOUNT);
    if (!list.slots)
        return -ENOMEM;
    rc = walk_list(&list, each, arg);
    kfree(list.slots);
    return rc;
}

/* ---- READ ---- */

static int read_part(const struct list *list, u32 from, u32 count, void *arg)
{
    struct vex_reader *reader = arg;
    u32 most = vex_reader_most(list->store), stride = list->store->shape.stride, i = 0, n;
    int rc = 0;

    while (i < count && rc == 0) {
        for (n = 0; n < most && i + n < count; n++) {
            if (n > 0 && list->slots[i + n] <= list->slots[i + n - 1])
                break;
            reader->slot[n] = list->slots[i + n];
        }
        reader->count = n;
        rc = vex_reader_copy(reader, vex_user(list->param->data, ((u64)from + i) * stride));
        if (rc == 0 && reader->count < n)
            rc = -EINVAL; /* gone since it was checked */
        vex_reader_release(reader);
        if (rc == 0)
            rc = vex_breathe();
        i += n;
    }
    return rc;
}

int vex_serve_read(struct vex_open *open, void *param)
{
    const struct vexfs_slots *slots = param;
    struct vex_store *store = vex_store_of(open);
    struct vex_reader *reader;
    int rc;

    if (!store)
        return -ENOTCONN;
    if (slots->count == 0)
        return 0;
    if (slots->slots == 0 || slots->data == 0)
        return -EINVAL;
    reader = vex_reader_new(store);
    if (!reader)
        return -ENOMEM;
    rc = serve_list(open, store, slots, read_part, reader);
    vex_reader_free(reader);
    if (rc == 0)
        vex_count_request(open, (u64)slots->count * store->shape.stride, 0);
    return rc;
}

/* ---- CLEAR ---- */

static int clear_run(struct vex_store *store, u32 slot, u32 run, const u8 *zeros)
{
    loff_t at = vex_store_offset(store, slot), end = vex_store_offset(store, (u64)slot + run);
    int rc = 0;

    while (at < end && rc == 0) {
        size_t size = (size_t)min_t(loff_t, end - at, VEX_CHUNK);

        rc = vex_grow_lock(store->file);
        if (rc < 0)
            return rc;
        if (end > i_size_read(file_inode(store->file)))
            rc = -EINVAL; /* gone since it was checked: it must not come back */
        else
            rc = vex_file_write(store->file, zeros, size, at);
        vex_grow_unlock(store->file);
        at += (loff_t)size;
        if (rc == 0)
            rc = vex_breathe();
    }
    return rc;
}

static int clear_part(const struct list *list, u32 from, u32 count, void *arg)
{
    u32 i, run;
    int rc = 0;

    for (i = 0; i < count && rc == 0; i += run) {
        for (run = 1; i + run < count && list->slots[i + run] == list->slots[i] + run; run++)
            ;
        rc = clear_run(list->store, list->slots[i], run, arg);
    }
    return rc;
}

int vex_serve_clear(struct vex_open *open, void *param)
{
    const struct vexfs_slots *slots = param;
    struct vex_store *store = vex_store_of(open);
    u8 *zeros;
    int rc;

    if (slots->data != 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    rc = vex_store_writable(store);
    if (rc < 0 || slots->count == 0)
        return rc;
    if (slots->slots == 0)
        return -EINVAL;
    zeros = kvzalloc(VEX_CHUNK, GFP_KERNEL_ACCOUNT);
    if (!zeros)
        return -ENOMEM;
    rc = serve_list(open, store, slots, clear_part, zeros);
    kvfree(zeros);
    if (rc == 0)
        vex_count_request(open, 0, (u64)slots->count * store->shape.stride);
    return rc;
}

/* ---- SCAN ---- */

/* One block of the scan. *count: slots given out so far. */
static int scan_block(struct vexfs_scan *scan, struct vex_walk *walk, struct vex_reader *reader, u32 *count)
{
    u32 most = min(vex_reader_most(reader->store), scan->max - *count), n;
    int rc = vex_walk_next(walk, most, reader->slot, &n);

    if (rc < 0)
        return rc;
    reader->count = n;
    rc = vex_reader_copy(reader, vex_user(scan->data, (u64)*count * reader->store->shape.stride));
    if (rc == 0 && copy_to_user(vex_user(scan->slots, (u64)*count * sizeof(u32)), reader->slot,
                                reader->count * sizeof(u32)))
        rc = -EFAULT;
    if (reader->count > 0)
        scan->cursor = reader->slot[reader->count - 1] + 1;
    if (reader->count < n)
        walk->at = walk->end; /* the file was cut short: there is no more */
    *count += reader->count;
    vex_reader_release(reader);
    return rc == 0 ? vex_breathe() : rc;
}

static int scan_all(struct vexfs_scan *scan, struct vex_store *store, struct vex_walk *walk)
{
    struct vex_reader *reader = vex_reader_new(store);
    u32 count = 0;
    int rc = 0;

    if (!reader)
        return -ENOMEM;
    while (rc == 0 && count < scan->max && !vex_walk_done(walk))
        rc = scan_block(scan, walk, reader, &count);
    vex_reader_free(reader);
    scan->count = count;
    return rc;
}

int vex_serve_scan(struct vex_open *open, void *param)
{
    struct vexfs_scan *scan = param;
    struct vex_store *store = vex_store_of(open);
    struct vex_walk walk;
    int rc;

    if (scan->reserved0 != 0 || scan->max == 0 || scan->slots == 0 || scan->data == 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    vex_walk_init(&walk, scan->allow, scan->cursor, min_t(u64, scan->end, vex_store_slots(store)));
    rc = scan_all(scan, store, &walk);
    vex_walk_done_with(&walk);
    if (rc == 0)
        vex_count_request(open, (u64)scan->count * store->shape.stride, 0);
    return rc;
}

/* ---- SYNC, TRUNCATE, STATS ---- */

int vex_serve_sync(struct vex_open *open, void *param)
{
    const struct vexfs_length *length = param;
    struct vex_store *store = vex_store_of(open);
    int rc;

    if (length->reserved0 != 0 || length->slots != 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    rc = vfs_fsync(store->file, 1);
    if (rc == 0)
        vex_count_request(open, 0, 0);
    return rc;
}

int vex_serve_truncate(struct vex_open *open, void *param)
{
    const struct vexfs_length *length = param;
    struct vex_store *store = vex_store_of(open);
    int rc;

    if (length->reserved0 != 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    rc = vex_store_writable(store);
    if (rc == 0)
        rc = vex_grow_lock(store->file);
    if (rc < 0)
        return rc;
    if (length->slots > vex_store_slots(store) || i_size_read(file_inode(store->file)) < VEXFS_HEADER_SIZE)
        rc = -EINVAL;
    else
        rc = vex_file_truncate(store->file, vex_store_offset(store, length->slots));
    vex_grow_unlock(store->file);
    if (rc == 0)
        vex_count_request(open, 0, 0);
    return rc;
}

int vex_serve_stats(struct vex_open *open, void *param)
{
    struct vexfs_stats *stats = param;
    struct vex_store *store = vex_store_of(open);

    if (stats->reserved0 != 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    stats->requests = (u64)atomic64_read(&open->requests);
    stats->bytes_read = (u64)atomic64_read(&open->bytes_read);
    stats->bytes_written = (u64)atomic64_read(&open->bytes_written);
    stats->slots = vex_store_slots(store);
    return 0;
}
