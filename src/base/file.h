/* Whole-file helpers over the I/O seam. Return 0 or a negative VEX_E* code with a text naming the path. */
#ifndef VEX_BASE_FILE_H
#define VEX_BASE_FILE_H

#include "base/err.h"
#include "base/io.h"
#include "base/str.h"

/* Longest path the server builds. */
#define VEX_PATH_MAX 4096

/* Reads a whole file of at most `max` bytes into the buffer (appending). VEX_ENOT_FOUND when it is absent. */
int vex_file_read(struct vex_io *io, const char *path, size_t max, struct vex_buf *ret, struct vex_err *err);

/* Replaces a file atomically: writes path.tmp, syncs it, renames, syncs the folder. After a crash the file is wholly
 * the old or wholly the new one. */
int vex_file_replace(struct vex_io *io, const char *path, const void *data, size_t len, struct vex_err *err);

/* Creates a folder and those above it; fine when present. The new entries are synced. */
int vex_file_mkdirs(struct vex_io *io, const char *path, struct vex_err *err);

/* Removes a folder and all in it (regular files and folders only, links are not followed); fine when absent. */
int vex_file_remove_tree(struct vex_io *io, const char *path, struct vex_err *err);

/* "a/b" into buf of VEX_PATH_MAX; aborts when it does not fit (all parts are ours). */
const char *vex_file_join(char *buf, const char *dir, const char *name);

#endif
