/* The seam to the outside: files, clock, randomness. Everything that touches them goes through a struct vex_io, so
 * that tests can run the whole engine on a simulated disk that drops, tears and reorders what was not synced.
 *
 * All calls return 0 (or a count) or a negative errno value (-ENOSPC, -EIO, ...). Paths are UTF-8, NUL-terminated,
 * absolute or relative to the process. A file handle is opaque. All calls are thread-safe; two calls on overlapping
 * ranges of one file are ordered by the caller. */
#ifndef VEX_BASE_IO_H
#define VEX_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vex_io;
struct vex_file; /* back end's own */

enum vex_io_open {
    VEX_IO_READ = 0,
    VEX_IO_WRITE = 1 << 0,  /* read and write */
    VEX_IO_CREATE = 1 << 1, /* create when absent */
    VEX_IO_EXCL = 1 << 2,   /* fail when present */
    VEX_IO_TRUNC = 1 << 3,
};

struct vex_io_ops {
    int (*open)(struct vex_io *io, const char *path, unsigned flags, struct vex_file **ret);
    void (*close)(struct vex_io *io, struct vex_file *file);
    /* Whole transfers: short reads happen only at the end of the file (the count is returned). */
    int64_t (*pread)(struct vex_io *io, struct vex_file *file, void *buf, size_t len, uint64_t offset);
    int (*pwrite)(struct vex_io *io, struct vex_file *file, const void *buf, size_t len, uint64_t offset);
    int (*datasync)(struct vex_io *io, struct vex_file *file); /* data and the size needed to read it */
    int (*truncate)(struct vex_io *io, struct vex_file *file, uint64_t size);
    /* Allocates [offset, offset+len) on the disk, extending the file with zeros; -ENOSPC changes nothing. */
    int (*allocate)(struct vex_io *io, struct vex_file *file, uint64_t offset, uint64_t len);
    int64_t (*size)(struct vex_io *io, struct vex_file *file);
    /* Maps [offset, offset+len) of the file at the given address (replacing what is mapped there), page-aligned.
     * shared: read-only, sees later writes. private: readable and writable, writes stay in memory. Bytes beyond the end
     * of the file must not be touched. */
    int (*map)(struct vex_io *io, struct vex_file *file, uint64_t offset, size_t len, void *at, bool shared);
    /* Drops private changes of whole pages: they read as the file does again. Of a shared map only the memory goes that the
     * process holds them in, beside readers, who fetch them anew. */
    int (*map_revert)(struct vex_io *io, struct vex_file *file, uint64_t offset, size_t len, void *at);
    int (*fd)(struct vex_io *io, struct vex_file *file); /* descriptor for ioctl, or -ENOTSUP */

    int (*rename)(struct vex_io *io, const char *from, const char *to);
    int (*unlink)(struct vex_io *io, const char *path);
    int (*mkdir)(struct vex_io *io, const char *path); /* -EEXIST when there */
    int (*rmdir)(struct vex_io *io, const char *path);
    int (*dirsync)(struct vex_io *io, const char *path); /* makes creations, renames, unlinks in it durable */
    /* Calls fn for each entry but "." and ".."; stops when fn returns non-zero and returns that. */
    int (*list)(struct vex_io *io, const char *path, int (*fn)(void *arg, const char *name), void *arg);
    int (*lock)(struct vex_io *io,
                struct vex_file *file); /* exclusive, process-wide; -EWOULDBLOCK when taken */
    int64_t (*free_space)(struct vex_io *io,
                          const char *path); /* bytes that an unprivileged writer may use */

    uint64_t (*monotonic_ns)(struct vex_io *io);
    uint64_t (*realtime_ns)(struct vex_io *io); /* since 1970 */
    void (*random)(struct vex_io *io, void *buf, size_t len);
};

struct vex_io {
    const struct vex_io_ops *ops;
};

/* The real thing: POSIX files, CLOCK_*, getrandom. One static object, never freed. */
struct vex_io *vex_io_posix(void);

static inline int vex_io_open(struct vex_io *io, const char *path, unsigned flags, struct vex_file **ret)
{
    return io->ops->open(io, path, flags, ret);
}
static inline void vex_io_close(struct vex_io *io, struct vex_file *file) /* NULL is fine */
{
    if (file != NULL)
        io->ops->close(io, file);
}
static inline int64_t vex_io_pread(struct vex_io *io, struct vex_file *f, void *buf, size_t len,
                                   uint64_t offset)
{
    return io->ops->pread(io, f, buf, len, offset);
}
static inline int vex_io_pwrite(struct vex_io *io, struct vex_file *f, const void *buf, size_t len,
                                uint64_t offset)
{
    return io->ops->pwrite(io, f, buf, len, offset);
}
static inline int vex_io_datasync(struct vex_io *io, struct vex_file *f)
{
    return io->ops->datasync(io, f);
}
static inline int vex_io_truncate(struct vex_io *io, struct vex_file *f, uint64_t size)
{
    return io->ops->truncate(io, f, size);
}
static inline int vex_io_allocate(struct vex_io *io, struct vex_file *f, uint64_t offset, uint64_t len)
{
    return io->ops->allocate(io, f, offset, len);
}
static inline int64_t vex_io_size(struct vex_io *io, struct vex_file *f)
{
    return io->ops->size(io, f);
}
static inline uint64_t vex_io_monotonic_ns(struct vex_io *io)
{
    return io->ops->monotonic_ns(io);
}
static inline uint64_t vex_io_realtime_ns(struct vex_io *io)
{
    return io->ops->realtime_ns(io);
}

#endif
