/* POSIX back end of the I/O seam.
 *
 * Owner: the process; the object is static and holds no state. Lock: none, the kernel orders calls. A file
 * handle is a heap struct around one descriptor. Interrupted calls are repeated, except close (the descriptor
 * is gone either way). */
#define _GNU_SOURCE /* fallocate, TEMP_FAILURE_RETRY */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define FILE_MODE   0640
#define FOLDER_MODE 0750

struct vex_file {
    int fd;
};

static int posix_open(struct vex_io *io, const char *path, unsigned flags, struct vex_file **ret)
{
    (void)io;
    int bits = O_CLOEXEC | ((flags & VEX_IO_WRITE) != 0 ? O_RDWR : O_RDONLY);
    if ((flags & VEX_IO_CREATE) != 0)
        bits |= O_CREAT;
    if ((flags & VEX_IO_EXCL) != 0)
        bits |= O_EXCL;
    if ((flags & VEX_IO_TRUNC) != 0)
        bits |= O_TRUNC;
    int fd;
    fd = (int)TEMP_FAILURE_RETRY(open(path, bits, FILE_MODE));
    if (fd < 0)
        return -errno;
    *ret = VEX_NEW(struct vex_file);
    (*ret)->fd = fd;
    return 0;
}

static void posix_close(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    close(file->fd);
    vex_mem_free(file);
}

static int check_range(uint64_t offset, uint64_t len)
{
    return offset > (uint64_t)INT64_MAX || len > (uint64_t)INT64_MAX - offset ? -EFBIG : 0;
}

static int64_t posix_pread(struct vex_io *io, struct vex_file *file, void *buf, size_t len, uint64_t offset)
{
    (void)io;
    int r = check_range(offset, len);
    if (r != 0)
        return r;
    size_t done = 0;
    while (done < len) {
        ssize_t n;
        n = TEMP_FAILURE_RETRY(pread(file->fd, (char *)buf + done, len - done, (off_t)(offset + done)));
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int posix_pwrite(struct vex_io *io, struct vex_file *file, const void *buf, size_t len,
                        uint64_t offset)
{
    (void)io;
    int r = check_range(offset, len);
    if (r != 0)
        return r;
    size_t done = 0;
    while (done < len) {
        ssize_t n;
        n = TEMP_FAILURE_RETRY(
            pwrite(file->fd, (const char *)buf + done, len - done, (off_t)(offset + done)));
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* A failed sync is never repeated: the kernel may have marked the pages clean, and the second call would lie.
 * An interrupted one may be, nothing has been dropped. */
static int posix_datasync(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    int r;
    r = (int)TEMP_FAILURE_RETRY(fdatasync(file->fd));
    return r < 0 ? -errno : 0;
}

static int posix_truncate(struct vex_io *io, struct vex_file *file, uint64_t size)
{
    (void)io;
    int r = check_range(size, 0);
    if (r != 0)
        return r;
    r = (int)TEMP_FAILURE_RETRY(ftruncate(file->fd, (off_t)size));
    return r < 0 ? -errno : 0;
}

static int64_t posix_size(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    struct stat st;
    return fstat(file->fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

/* For file systems without fallocate: what is new is written with zeros; what is there is taken as allocated.
 */
static int allocate_by_writing(int fd, uint64_t size, uint64_t end)
{
    static const char zeros[65536];
    while (size < end) {
        size_t n = end - size < sizeof zeros ? (size_t)(end - size) : sizeof zeros;
        ssize_t w;
        w = TEMP_FAILURE_RETRY(pwrite(fd, zeros, n, (off_t)size));
        if (w <= 0)
            return w < 0 ? -errno : -EIO;
        size += (uint64_t)w;
    }
    return 0;
}

static int posix_allocate(struct vex_io *io, struct vex_file *file, uint64_t offset, uint64_t len)
{
    int r = check_range(offset, len);
    if (r != 0 || len == 0)
        return r;
    int64_t size = posix_size(io, file);
    if (size < 0)
        return (int)size;
    r = (int)TEMP_FAILURE_RETRY(fallocate(file->fd, 0, (off_t)offset, (off_t)len));
    r = r < 0 ? -errno : 0;
    if (r == -EOPNOTSUPP)
        r = allocate_by_writing(file->fd, (uint64_t)size, offset + len);
    if (r != 0) {
        /* Some file systems keep what they had got; give it back, so that a failure changes nothing. */
        int64_t now = posix_size(io, file);
        if (now > size)
            (void)posix_truncate(io, file, (uint64_t)size);
    }
    return r;
}

static int posix_map(struct vex_io *io, struct vex_file *file, uint64_t offset, size_t len, void *at,
                     bool shared)
{
    (void)io;
    int r = check_range(offset, len);
    if (r != 0)
        return r;
    int prot = shared ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
    return mmap(at, len, prot, flags, file->fd, (off_t)offset) == MAP_FAILED ? -errno : 0;
}

static int posix_map_revert(struct vex_io *io, struct vex_file *file, uint64_t offset, size_t len, void *at)
{
    (void)io;
    (void)file;
    (void)offset;
    return madvise(at, len, MADV_DONTNEED) < 0 ? -errno : 0;
}

static int posix_fd(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    return file->fd;
}

static int posix_rename(struct vex_io *io, const char *from, const char *to)
{
    (void)io;
    return rename(from, to) < 0 ? -errno : 0;
}

static int posix_unlink(struct vex_io *io, const char *path)
{
    (void)io;
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_mkdir(struct vex_io *io, const char *path)
{
    (void)io;
    return mkdir(path, FOLDER_MODE) < 0 ? -errno : 0;
}

static int posix_rmdir(struct vex_io *io, const char *path)
{
    (void)io;
    return rmdir(path) < 0 ? -errno : 0;
}

static int posix_dirsync(struct vex_io *io, const char *path)
{
    (void)io;
    int fd;
    fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return -errno;
    int r;
    r = (int)TEMP_FAILURE_RETRY(fsync(fd));
    r = r < 0 ? -errno : 0;
    close(fd);
    /* EINVAL: a file system that has no such thing as an unsynced folder. */
    return r == -EINVAL ? 0 : r;
}

static int posix_list(struct vex_io *io, const char *path, int (*fn)(void *arg, const char *name), void *arg)
{
    (void)io;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -errno;
    int r = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            r = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        r = fn(arg, entry->d_name);
        if (r != 0)
            break;
    }
    closedir(dir);
    return r;
}

static int posix_lock(struct vex_io *io, struct vex_file *file)
{
    (void)io;
    int r;
    r = (int)TEMP_FAILURE_RETRY(flock(file->fd, LOCK_EX | LOCK_NB));
    return r < 0 ? -errno : 0;
}

static int64_t posix_free_space(struct vex_io *io, const char *path)
{
    (void)io;
    struct statvfs st;
    int r;
    r = (int)TEMP_FAILURE_RETRY(statvfs(path, &st));
    if (r < 0)
        return -errno;
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)st.f_bavail, (uint64_t)st.f_frsize, &bytes) || bytes > INT64_MAX)
        return INT64_MAX;
    return (int64_t)bytes;
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t posix_monotonic_ns(struct vex_io *io)
{
    (void)io;
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t posix_realtime_ns(struct vex_io *io)
{
    (void)io;
    return clock_ns(CLOCK_REALTIME);
}

static void posix_random(struct vex_io *io, void *buf, size_t len)
{
    (void)io;
    size_t done = 0;
    while (done < len) {
        ssize_t n;
        n = TEMP_FAILURE_RETRY(getrandom((char *)buf + done, len - done, 0));
        if (n < 0) {
            /* Nothing that asks for randomness (salts, identities) can go on without it. */
            perror("getrandom");
            abort();
        }
        done += (size_t)n;
    }
}

static const struct vex_io_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .datasync = posix_datasync,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .size = posix_size,
    .map = posix_map,
    .map_revert = posix_map_revert,
    .fd = posix_fd,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .dirsync = posix_dirsync,
    .list = posix_list,
    .lock = posix_lock,
    .free_space = posix_free_space,
    .monotonic_ns = posix_monotonic_ns,
    .realtime_ns = posix_realtime_ns,
    .random = posix_random,
};

static struct vex_io posix_io = {&posix_ops};

struct vex_io *vex_io_posix(void)
{
    return &posix_io;
}
