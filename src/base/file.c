/* Whole-file helpers over the I/O seam. No state, no lock: the caller orders calls on one path. */
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Deepest folder below the one that is removed; ours are three deep. */
#define TREE_DEPTH_MAX 32

static int fail(struct vex_err *err, int r, const char *what, const char *path)
{
    return vex_err_set(err, vex_err_errno(-r), "cannot %s %s: %s", what, path, strerror(-r));
}

static int read_all(struct vex_io *io, struct vex_file *file, const char *path, size_t max,
                    struct vex_buf *ret, struct vex_err *err)
{
    int64_t size = vex_io_size(io, file);
    if (size < 0)
        return fail(err, (int)size, "size", path);
    if ((uint64_t)size > max)
        return vex_err_set(err, VEX_ETOO_LARGE, "%s has %lld bytes, at most %zu are taken", path,
                           (long long)size, max);
    if (size == 0)
        return 0;
    vex_buf_reserve(ret, (size_t)size);
    int64_t n = vex_io_pread(io, file, ret->ptr + ret->len, (size_t)size, 0);
    if (n < 0)
        return fail(err, (int)n, "read", path);
    ret->len += (size_t)n;
    return 0;
}

int vex_file_read(struct vex_io *io, const char *path, size_t max, struct vex_buf *ret, struct vex_err *err)
{
    struct vex_file *file;
    int r = vex_io_open(io, path, VEX_IO_READ, &file);
    if (r == -ENOENT)
        return vex_err_set(err, VEX_ENOT_FOUND, "%s does not exist", path);
    if (r != 0)
        return fail(err, r, "open", path);
    r = read_all(io, file, path, max, ret, err);
    vex_io_close(io, file);
    return r;
}

/* The folder that holds `path`, without its last part; "." for a bare name. */
static void parent_of(char *buf, const char *path)
{
    size_t len = strlen(path);
    if (len >= VEX_PATH_MAX)
        abort();
    memcpy(buf, path, len + 1);
    while (len > 1 && buf[len - 1] == '/')
        buf[--len] = '\0';
    char *slash = strrchr(buf, '/');
    if (slash == NULL)
        memcpy(buf, ".", 2);
    else if (slash == buf)
        buf[1] = '\0';
    else
        *slash = '\0';
}

static int write_synced(struct vex_io *io, const char *path, const void *data, size_t len,
                        struct vex_err *err)
{
    struct vex_file *file;
    int r = vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &file);
    if (r != 0)
        return fail(err, r, "create", path);
    r = len > 0 ? vex_io_pwrite(io, file, data, len, 0) : 0;
    if (r != 0)
        fail(err, r, "write", path);
    else if ((r = vex_io_datasync(io, file)) != 0)
        fail(err, r, "sync", path);
    vex_io_close(io, file);
    return r != 0 ? err->code : 0;
}

int vex_file_replace(struct vex_io *io, const char *path, const void *data, size_t len, struct vex_err *err)
{
    char tmp[VEX_PATH_MAX], dir[VEX_PATH_MAX];
    int n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof tmp)
        return vex_err_set(err, VEX_EIO, "path too long: %.64s...", path);
    int r = write_synced(io, tmp, data, len, err);
    if (r == 0) {
        r = io->ops->rename(io, tmp, path);
        if (r != 0)
            r = fail(err, r, "rename to", path);
    }
    if (r != 0) {
        (void)io->ops->unlink(io, tmp);
        return r;
    }
    parent_of(dir, path);
    r = io->ops->dirsync(io, dir);
    return r != 0 ? fail(err, r, "sync", dir) : 0;
}

static int sync_entry(struct vex_io *io, const char *path, bool created, struct vex_err *err)
{
    char parent[VEX_PATH_MAX];
    parent_of(parent, path);
    int r = io->ops->dirsync(io, parent);
    if (r == 0)
        return 0;
    /* A folder that somebody else made above ours need not be readable for us. */
    if (!created && (r == -EACCES || r == -EPERM || r == -EROFS))
        return 0;
    return fail(err, r, "sync", parent);
}

int vex_file_mkdirs(struct vex_io *io, const char *path, struct vex_err *err)
{
    size_t len = strlen(path);
    if (len == 0)
        return 0;
    if (len >= VEX_PATH_MAX)
        return vex_err_set(err, VEX_EIO, "path too long: %.64s...", path);
    char part[VEX_PATH_MAX], there[VEX_PATH_MAX] = "";
    bool created_any = false;
    for (size_t end = 1; end <= len; end++) {
        if ((end < len && path[end] != '/') || path[end - 1] == '/')
            continue;
        memcpy(part, path, end);
        part[end] = '\0';
        int r = io->ops->mkdir(io, part);
        if (r == -EEXIST || (end < len && (r == -EACCES || r == -EROFS || r == -EPERM))) {
            memcpy(there, part, end + 1);
            continue;
        }
        if (r != 0)
            return fail(err, r, "create folder", part);
        /* What was there may stem from a process that died before it synced the entry. */
        if (!created_any && there[0] != '\0' && (r = sync_entry(io, there, false, err)) != 0)
            return r;
        created_any = true;
        r = sync_entry(io, part, true, err);
        if (r != 0)
            return r;
    }
    return created_any || there[0] == '\0' ? 0 : sync_entry(io, there, false, err);
}

struct names {
    char **at;
    size_t count, cap;
};

static int add_name(void *arg, const char *name)
{
    struct names *names = arg;
    if (names->count == names->cap) {
        names->cap = names->cap == 0 ? 16 : names->cap * 2;
        names->at = vex_mem_realloc(names->at, names->cap * sizeof *names->at);
    }
    names->at[names->count++] = vex_mem_strndup(name, strlen(name));
    return 0;
}

static int remove_any(struct vex_io *io, const char *path, unsigned depth, struct vex_err *err);

/* Names are collected first: a folder that changes while it is read may skip some. */
static int remove_folder(struct vex_io *io, const char *path, unsigned depth, struct vex_err *err)
{
    struct names names = {0};
    int r = io->ops->list(io, path, add_name, &names);
    if (r != 0)
        r = fail(err, r, "list", path);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        char *child = NULL;
        size_t room = strlen(path) + strlen(names.at[i]) + 2;
        if (room > VEX_PATH_MAX || depth >= TREE_DEPTH_MAX) {
            r = vex_err_set(err, VEX_EIO, "folder too deep: %s", path);
            break;
        }
        child = vex_mem_alloc(room);
        snprintf(child, room, "%s/%s", path, names.at[i]);
        r = remove_any(io, child, depth + 1, err);
        vex_mem_free(child);
    }
    for (size_t i = 0; i < names.count; i++)
        vex_mem_free(names.at[i]);
    vex_mem_free(names.at);
    if (r != 0)
        return r;
    r = io->ops->rmdir(io, path);
    return r != 0 && r != -ENOENT ? fail(err, r, "remove", path) : 0;
}

/* unlink first: it removes a symbolic link itself and refuses a folder, so nothing is ever followed. */
static int remove_any(struct vex_io *io, const char *path, unsigned depth, struct vex_err *err)
{
    int r = io->ops->unlink(io, path);
    if (r == 0 || r == -ENOENT)
        return 0;
    if (r == -EISDIR || r == -EPERM)
        return remove_folder(io, path, depth, err);
    return fail(err, r, "remove", path);
}

int vex_file_remove_tree(struct vex_io *io, const char *path, struct vex_err *err)
{
    return remove_any(io, path, 0, err);
}

const char *vex_file_join(char *buf, const char *dir, const char *name)
{
    int n = snprintf(buf, VEX_PATH_MAX, "%s/%s", dir, name);
    if (n < 0 || n >= VEX_PATH_MAX)
        abort();
    return buf;
}
