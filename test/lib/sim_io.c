/* The calls of the simulated disk: paths, handles, faults, and the operations they turn into. */
#define _GNU_SOURCE
#include "lib/sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

struct vex_file {
    unsigned node;
    bool writable, locks;
};

static struct vex_sim *lock_sim(struct vex_io *io)
{
    struct vex_sim *sim = (struct vex_sim *)io;
    pthread_mutex_lock(&sim->mutex);
    return sim;
}

static int unlock(struct vex_sim *sim, int r)
{
    pthread_mutex_unlock(&sim->mutex);
    return r;
}

/* Counts a call; the error it has to fail with, or 0. */
static int fault(struct vex_sim *sim, enum vex_sim_call call)
{
    int err = 0;
    sim->calls[call]++;
    for (size_t i = 0; i < sizeof sim->faults / sizeof *sim->faults; i++) {
        struct sim_fault *f = &sim->faults[i];
        if (f->err == 0 || f->call != call)
            continue;
        if (f->left > 0) {
            f->left--;
            continue;
        }
        err = f->err;
        if (!f->sticky)
            f->err = 0;
    }
    return err;
}

/* Where a path leads: its folder, its last name, and the entry of it if there is one. */
struct where {
    unsigned folder;
    char name[256];
    struct sim_entry *entry;
    bool is_root;
};

static int walk(struct vex_sim *sim, const char *path, struct where *ret)
{
    unsigned folder = SIM_ROOT;
    memset(ret, 0, sizeof *ret);
    ret->is_root = true;
    for (;;) {
        while (*path == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0')))
            path++;
        if (*path == '\0')
            return 0;
        if (!ret->is_root) {
            if (ret->entry == NULL)
                return -ENOENT;
            folder = ret->entry->node;
            if (!sim->nodes[folder]->is_folder)
                return -ENOTDIR;
        }
        size_t len = strcspn(path, "/");
        if (len >= sizeof ret->name)
            return -ENAMETOOLONG;
        memcpy(ret->name, path, len);
        ret->name[len] = '\0';
        ret->is_root = false;
        ret->folder = folder;
        ret->entry = sim_folder_find(&sim->nodes[folder]->names, path, len);
        path += len;
    }
}

/* The folder a path names, or a negative errno. */
static int find_folder(struct vex_sim *sim, const char *path, unsigned *ret)
{
    struct where where;
    int r = walk(sim, path, &where);
    if (r != 0)
        return r;
    if (!where.is_root && where.entry == NULL)
        return -ENOENT;
    *ret = where.is_root ? SIM_ROOT : where.entry->node;
    return sim->nodes[*ret]->is_folder ? 0 : -ENOTDIR;
}

static struct sim_op *name_op(enum sim_kind kind, unsigned node, const struct where *where)
{
    struct sim_op *op = sim_op_new(kind, node);
    op->folder = where->folder;
    op->name = vex_mem_strndup(where->name, strlen(where->name));
    return op;
}

static unsigned create(struct vex_sim *sim, const struct where *where, bool is_folder)
{
    unsigned node = (unsigned)sim->node_count;
    struct sim_op *op = name_op(SIM_LINK, node, where);
    op->is_folder = is_folder;
    sim_do(sim, op);
    return node;
}

static struct sim_op *data_op(enum sim_kind kind, unsigned node, uint64_t offset, uint64_t len)
{
    struct sim_op *op = sim_op_new(kind, node);
    op->offset = offset;
    op->len = len;
    return op;
}

static int open_locked(struct vex_sim *sim, const char *path, unsigned flags, struct vex_file **ret)
{
    struct where where;
    int r = fault(sim, VEX_SIM_OPEN);
    if (r == 0)
        r = walk(sim, path, &where);
    if (r != 0)
        return r;
    if (where.is_root || (where.entry != NULL && sim->nodes[where.entry->node]->is_folder))
        return -EISDIR;
    if (where.entry == NULL && (flags & VEX_IO_CREATE) == 0)
        return -ENOENT;
    if (where.entry != NULL && (flags & VEX_IO_EXCL) != 0)
        return -EEXIST;
    unsigned node = where.entry != NULL ? where.entry->node : create(sim, &where, false);
    if ((flags & VEX_IO_TRUNC) != 0 && sim->nodes[node]->live.size > 0)
        sim_do(sim, data_op(SIM_TRUNCATE, node, 0, 0));
    sim->nodes[node]->handles++;
    *ret = VEX_NEW(struct vex_file);
    (*ret)->node = node;
    (*ret)->writable = (flags & VEX_IO_WRITE) != 0;
    return 0;
}

static int sim_open(struct vex_io *io, const char *path, unsigned flags, struct vex_file **ret)
{
    struct vex_sim *sim = lock_sim(io);
    return unlock(sim, open_locked(sim, path, flags, ret));
}

static void sim_close(struct vex_io *io, struct vex_file *file)
{
    struct vex_sim *sim = lock_sim(io);
    struct sim_node *node = sim->nodes[file->node];
    node->handles--;
    if (file->locks)
        node->locked = false;
    sim_node_settle(sim, node);
    unlock(sim, 0);
    vex_mem_free(file);
}

static int64_t sim_pread(struct vex_io *io, struct vex_file *file, void *buf, size_t len, uint64_t offset)
{
    struct vex_sim *sim = lock_sim(io);
    int r = fault(sim, VEX_SIM_PREAD);
    int64_t n = r;
    if (r == 0)
        n = (int64_t)sim_image_read(&sim->nodes[file->node]->live, offset, buf, len);
    unlock(sim, 0);
    return n;
}

/* Is there room for the holes that the range would fill? */
static int room(struct vex_sim *sim, unsigned node, uint64_t offset, uint64_t len)
{
    uint64_t more = sim_image_missing(&sim->nodes[node]->live, offset, len);
    bool full = sim->capacity != 0 && (sim->used_pages + more) * SIM_PAGE > sim->capacity;
    return more > 0 && full ? -ENOSPC : 0;
}

static void write_bytes(struct vex_sim *sim, unsigned node, const void *buf, size_t len, uint64_t offset)
{
    if (len == 0)
        return;
    struct sim_op *op = data_op(SIM_WRITE, node, offset, len);
    op->data = vex_mem_alloc(len);
    memcpy(op->data, buf, len);
    sim_do(sim, op);
}

static int sim_pwrite(struct vex_io *io, struct vex_file *file, const void *buf, size_t len, uint64_t offset)
{
    struct vex_sim *sim = lock_sim(io);
    if (!file->writable)
        return unlock(sim, -EBADF);
    int r = fault(sim, VEX_SIM_PWRITE);
    if (r == 0)
        r = room(sim, file->node, offset, len);
    /* A write that fails may have written a part. */
    if (r != 0 && len > 0 && room(sim, file->node, offset, len) == 0)
        len = (size_t)(sim_random(&sim->random) % len);
    else if (r != 0)
        len = 0;
    write_bytes(sim, file->node, buf, len, offset);
    return unlock(sim, r);
}

static int sim_datasync(struct vex_io *io, struct vex_file *file)
{
    struct vex_sim *sim = lock_sim(io);
    int r = fault(sim, VEX_SIM_DATASYNC);
    if (r != 0) {
        sim_do(sim, data_op(SIM_DATASYNC_FAILED, file->node, sim_random(&sim->random), 0));
    } else if ((sim->lies & VEX_SIM_IGNORE_DATASYNC) == 0) {
        sim_do(sim, sim_op_new(SIM_DATASYNC, file->node));
    }
    return unlock(sim, r);
}

static int sim_truncate(struct vex_io *io, struct vex_file *file, uint64_t size)
{
    struct vex_sim *sim = lock_sim(io);
    int r = file->writable ? fault(sim, VEX_SIM_TRUNCATE) : -EINVAL;
    if (r == 0)
        sim_do(sim, data_op(SIM_TRUNCATE, file->node, 0, size));
    return unlock(sim, r);
}

static int sim_allocate(struct vex_io *io, struct vex_file *file, uint64_t offset, uint64_t len)
{
    struct vex_sim *sim = lock_sim(io);
    int r = file->writable ? fault(sim, VEX_SIM_ALLOCATE) : -EBADF;
    if (r == 0)
        r = room(sim, file->node, offset, len);
    if (r == 0 && len > 0)
        sim_do(sim, data_op(SIM_ALLOCATE, file->node, offset, len));
    return unlock(sim, r);
}

static int64_t sim_size(struct vex_io *io, struct vex_file *file)
{
    struct vex_sim *sim = lock_sim(io);
    int64_t size = (int64_t)sim->nodes[file->node]->live.size;
    unlock(sim, 0);
    return size;
}

/* A memory file with the live contents; later changes are mirrored into it. */
static int ensure_mirror(struct sim_node *node)
{
    if (node->mirror >= 0)
        return 0;
    int fd = memfd_create("sim", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)node->live.size) != 0)
        abort();
    for (size_t i = 0; i < node->live.count; i++) {
        uint64_t at = (uint64_t)i * SIM_PAGE;
        size_t n = node->live.size - at < SIM_PAGE ? (size_t)(node->live.size - at) : SIM_PAGE;
        if (node->live.pages[i] != NULL && pwrite(fd, node->live.pages[i]->data, n, (off_t)at) != (ssize_t)n)
            abort();
    }
    node->mirror = fd;
    return 0;
}

static int sim_map(struct vex_io *io, struct vex_file *file, uint64_t offset, size_t len, void *at,
                   bool shared)
{
    struct vex_sim *sim = lock_sim(io);
    struct sim_node *node = sim->nodes[file->node];
    int r = fault(sim, VEX_SIM_MAP);
    if (r == 0)
        r = ensure_mirror(node);
    int prot = shared ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE);
    if (r == 0 && mmap(at, len, prot, flags, node->mirror, (off_t)offset) == MAP_FAILED)
        r = -errno;
    return unlock(sim, r);
}

static int sim_map_revert(struct vex_io *io, struct vex_file *file, uint64_t offset, size_t len, void *at)
{
    (void)io;
    (void)file;
    (void)offset;
    return madvise(at, len, MADV_DONTNEED) < 0 ? -errno : 0;
}

static int sim_fd(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    (void)file;
    return -ENOTSUP;
}

static int rename_locked(struct vex_sim *sim, const char *from, const char *to)
{
    struct where source, target;
    int r = fault(sim, VEX_SIM_RENAME);
    if (r == 0)
        r = walk(sim, from, &source);
    if (r == 0)
        r = walk(sim, to, &target);
    if (r != 0)
        return r;
    if (source.is_root || target.is_root)
        return -EBUSY;
    if (source.entry == NULL)
        return -ENOENT;
    unsigned node = source.entry->node;
    if (target.entry != NULL) {
        const struct sim_node *old = sim->nodes[target.entry->node];
        if (target.entry->node == node)
            return 0;
        if (old->is_folder != sim->nodes[node]->is_folder)
            return old->is_folder ? -EISDIR : -ENOTDIR;
        if (old->is_folder && old->names.count > 0)
            return -ENOTEMPTY;
    }
    struct sim_op *op = name_op(SIM_RENAME, node, &source);
    op->to_folder = target.folder;
    op->to_name = vex_mem_strndup(target.name, strlen(target.name));
    sim_do(sim, op);
    return 0;
}

static int sim_rename(struct vex_io *io, const char *from, const char *to)
{
    struct vex_sim *sim = lock_sim(io);
    return unlock(sim, rename_locked(sim, from, to));
}

static int remove_locked(struct vex_sim *sim, const char *path, bool folder)
{
    struct where where;
    int r = fault(sim, VEX_SIM_UNLINK);
    if (r == 0)
        r = walk(sim, path, &where);
    if (r != 0)
        return r;
    if (where.is_root)
        return folder ? -EBUSY : -EISDIR;
    if (where.entry == NULL)
        return -ENOENT;
    const struct sim_node *node = sim->nodes[where.entry->node];
    if (node->is_folder != folder)
        return folder ? -ENOTDIR : -EISDIR;
    if (folder && node->names.count > 0)
        return -ENOTEMPTY;
    sim_do(sim, name_op(SIM_UNLINK, where.entry->node, &where));
    return 0;
}

static int sim_unlink(struct vex_io *io, const char *path)
{
    struct vex_sim *sim = lock_sim(io);
    return unlock(sim, remove_locked(sim, path, false));
}

static int sim_rmdir(struct vex_io *io, const char *path)
{
    struct vex_sim *sim = lock_sim(io);
    return unlock(sim, remove_locked(sim, path, true));
}

static int sim_mkdir(struct vex_io *io, const char *path)
{
    struct vex_sim *sim = lock_sim(io);
    struct where where;
    int r = fault(sim, VEX_SIM_MKDIR);
    if (r == 0)
        r = walk(sim, path, &where);
    if (r == 0 && (where.is_root || where.entry != NULL))
        r = -EEXIST;
    if (r == 0)
        create(sim, &where, true);
    return unlock(sim, r);
}

static int sim_dirsync(struct vex_io *io, const char *path)
{
    struct vex_sim *sim = lock_sim(io);
    unsigned folder;
    int r = fault(sim, VEX_SIM_DIRSYNC);
    if (r == 0)
        r = find_folder(sim, path, &folder);
    if (r == 0 && (sim->lies & VEX_SIM_IGNORE_DIRSYNC) == 0)
        sim_do(sim, sim_op_new(SIM_DIRSYNC, folder));
    return unlock(sim, r);
}

/* Works on a copy of the names: the function may change the folder. */
static int sim_list(struct vex_io *io, const char *path, int (*fn)(void *arg, const char *name), void *arg)
{
    struct vex_sim *sim = lock_sim(io);
    unsigned folder;
    int r = fault(sim, VEX_SIM_LIST);
    if (r == 0)
        r = find_folder(sim, path, &folder);
    if (r != 0)
        return unlock(sim, r);
    struct sim_folder names;
    sim_folder_copy(&names, &sim->nodes[folder]->names);
    unlock(sim, 0);
    for (size_t i = 0; i < names.count && r == 0; i++)
        r = fn(arg, names.at[i].name);
    sim_folder_done(&names);
    return r;
}

static int sim_lock(struct vex_io *io, struct vex_file *file)
{
    struct vex_sim *sim = lock_sim(io);
    struct sim_node *node = sim->nodes[file->node];
    if (node->locked && !file->locks)
        return unlock(sim, -EWOULDBLOCK);
    node->locked = file->locks = true;
    return unlock(sim, 0);
}

static int64_t sim_free_space(struct vex_io *io, const char *path)
{
    (void)path;
    struct vex_sim *sim = lock_sim(io);
    uint64_t used = sim->used_pages * SIM_PAGE;
    int64_t space = sim->capacity == 0      ? INT64_MAX
                    : used >= sim->capacity ? 0
                                            : (int64_t)(sim->capacity - used);
    unlock(sim, 0);
    return space;
}

static uint64_t sim_monotonic_ns(struct vex_io *io)
{
    struct vex_sim *sim = lock_sim(io);
    uint64_t now = sim->clock += 1000;
    unlock(sim, 0);
    return now;
}

static uint64_t sim_realtime_ns(struct vex_io *io)
{
    return 1700000000000000000u + sim_monotonic_ns(io);
}

static void sim_random_bytes(struct vex_io *io, void *buf, size_t len)
{
    struct vex_sim *sim = lock_sim(io);
    for (size_t done = 0; done < len; done += 8) {
        uint64_t v = sim_random(&sim->random);
        memcpy((char *)buf + done, &v, len - done < 8 ? len - done : 8);
    }
    unlock(sim, 0);
}

const struct vex_io_ops sim_io_ops = {
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .datasync = sim_datasync,
    .truncate = sim_truncate,
    .allocate = sim_allocate,
    .size = sim_size,
    .map = sim_map,
    .map_revert = sim_map_revert,
    .fd = sim_fd,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .rmdir = sim_rmdir,
    .dirsync = sim_dirsync,
    .list = sim_list,
    .lock = sim_lock,
    .free_space = sim_free_space,
    .monotonic_ns = sim_monotonic_ns,
    .realtime_ns = sim_realtime_ns,
    .random = sim_random_bytes,
};

void vex_sim_fail(struct vex_sim *sim, enum vex_sim_call call, uint64_t nth, int err, bool sticky)
{
    pthread_mutex_lock(&sim->mutex);
    size_t i = 0;
    while (i < sizeof sim->faults / sizeof *sim->faults && sim->faults[i].err != 0)
        i++;
    if (i == sizeof sim->faults / sizeof *sim->faults || nth == 0 || err >= 0)
        abort(); /* the test is wrong */
    sim->faults[i] = (struct sim_fault){call, nth - 1, err, sticky};
    pthread_mutex_unlock(&sim->mutex);
}

void vex_sim_fail_clear(struct vex_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    memset(sim->faults, 0, sizeof sim->faults);
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t vex_sim_calls(struct vex_sim *sim, enum vex_sim_call call)
{
    pthread_mutex_lock(&sim->mutex);
    uint64_t n = sim->calls[call];
    pthread_mutex_unlock(&sim->mutex);
    return n;
}

void vex_sim_lie(struct vex_sim *sim, unsigned lies)
{
    pthread_mutex_lock(&sim->mutex);
    sim->lies = lies;
    pthread_mutex_unlock(&sim->mutex);
}

void vex_sim_capacity(struct vex_sim *sim, uint64_t bytes)
{
    pthread_mutex_lock(&sim->mutex);
    sim->capacity = bytes;
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t vex_sim_used(struct vex_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    uint64_t used = sim->used_pages * SIM_PAGE;
    pthread_mutex_unlock(&sim->mutex);
    return used;
}

void vex_sim_advance(struct vex_sim *sim, uint64_t ns)
{
    pthread_mutex_lock(&sim->mutex);
    sim->clock += ns;
    pthread_mutex_unlock(&sim->mutex);
}

static int flip_image(struct sim_image *image, uint64_t offset, unsigned char bits)
{
    unsigned char byte;
    if (sim_image_read(image, offset, &byte, 1) != 1)
        return -ERANGE;
    byte ^= bits;
    sim_image_write(image, offset, &byte, 1);
    return 0;
}

int vex_sim_flip(struct vex_sim *sim, const char *path, uint64_t offset, unsigned char bits)
{
    struct where where;
    pthread_mutex_lock(&sim->mutex);
    int r = walk(sim, path, &where);
    if (r == 0 && where.entry == NULL)
        r = -ENOENT;
    if (r == 0)
        r = flip_image(&sim->nodes[where.entry->node]->live, offset, bits);
    if (r == 0)
        (void)flip_image(&sim->nodes[where.entry->node]->durable, offset, bits);
    return unlock(sim, r);
}

size_t vex_sim_pending(struct vex_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    size_t n = sim->pending.count;
    pthread_mutex_unlock(&sim->mutex);
    return n;
}
