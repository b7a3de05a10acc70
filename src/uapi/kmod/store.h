/* SPDX-License-Identifier: GPL-2.0-only */
/* The vector file behind an open descriptor: an attached file, or an anonymous one in memory with ids beside.
 *
 * Owner     struct vex_open, one an open descriptor; it holds the file until it is closed.
 * Lock      vex_open.setup lets one request at a time give the descriptor its store; once published (release store)
 *           it never changes until the descriptor is closed, which no request outlives. vex_grow_lock orders what
 *           changes a file's length, by whatever descriptor. vex_ids.lock guards ids and count. None of them is held
 *           over a copy from or to user space.
 * Invariant An attached file has as many slots as its length holds wholly: all openers agree without talking. */
#ifndef VEX_KMOD_STORE_H
#define VEX_KMOD_STORE_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/siphash.h>
#include <linux/types.h>

#include "uapi/vexfs.h"

#define VEX_CHUNK (128u << 10) /* bytes moved through the kernel at once */

enum vex_element { VEX_ELEMENT_F32, VEX_ELEMENT_F16, VEX_ELEMENT_U8 };

struct vex_shape {
    u32 dimensions;
    enum vex_element element;
    u32 bytes;  /* of a vector, without padding */
    u32 stride; /* of a slot */
};

/* Ids of an anonymous store: by slot, and a hash table back from id to slot. */
struct vex_ids {
    struct mutex lock;
    u64 *of_slot;
    u32 shown;  /* slots whose vectors are in place; read without the lock */
    u32 count;  /* slots that have an id */
    u32 room;   /* of of_slot; the table has 2 x room places */
    u32 *table; /* slot + 1; 0: free */
    siphash_key_t key;
    u64 next;    /* one past the greatest id */
    bool spent;  /* the greatest id is the last there is */
    u64 charged; /* bytes taken from the budget of all anonymous stores */
};

struct vex_store {
    struct file *file;
    struct vex_shape shape;
    struct vex_ids *ids; /* NULL: attached */
};

struct vex_open {
    struct mutex setup;
    struct vex_store *store;
    atomic64_t requests, bytes_read, bytes_written;
};

void vex_store_init(void); /* once, before the device exists */

/* The descriptor's store, or NULL. */
struct vex_store *vex_store_of(struct vex_open *open);

/* EINVAL for what no vector file can be; EOPNOTSUPP for element types of the interface that are not served. */
int vex_shape_make(u32 dimensions, u32 element_type, struct vex_shape *ret);
u32 vex_element_number(enum vex_element element);

/* Binds a regular file by its descriptor. */
int vex_store_attach(struct vex_open *open, int fd, const struct vex_shape *shape, bool create,
                     u64 *ret_slots);
/* Gives the descriptor an anonymous store. */
int vex_store_anonymous(struct vex_open *open, const struct vex_shape *shape);
void vex_store_free(struct vex_store *store);

/* An empty file in memory with the head of a vector file. */
struct file *vex_memory_file(const struct vex_shape *shape);

u64 vex_store_slots(const struct vex_store *store);
static inline loff_t vex_store_offset(const struct vex_store *store, u64 slot)
{
    return (loff_t)(VEXFS_HEADER_SIZE + slot * store->shape.stride);
}
/* 0 when slots may be written to; EBADF: not open for writing; EOPNOTSUPP: an anonymous store, which only
 * BATCH_INSERT writes. */
int vex_store_writable(const struct vex_store *store);

/* Bytes of a file through its page cache, at a place, whatever O_APPEND and O_DIRECT say, with the rights of who
 * opened it. Reading returns how many there were; writing writes all or returns an error. */
ssize_t vex_file_read(struct file *file, void *to, size_t size, loff_t at);
int vex_file_write(struct file *file, const void *from, size_t size, loff_t at);
int vex_file_write_user(struct file *file, const void __user *from, size_t size, loff_t at);
int vex_file_truncate(struct file *file, loff_t size);

int vex_grow_lock(struct file *file); /* EINTR when killed */
void vex_grow_lock_always(struct file *file);
void vex_grow_unlock(struct file *file);

/* ---- Budget of anonymous stores ---- */

/* ENOSPC when all of them together would hold more than the parameter says. */
int vex_budget_take(u64 bytes);
void vex_budget_give(u64 bytes);

/* ---- Ids (store_ids.c) ---- */

struct vex_ids *vex_ids_new(void);
void vex_ids_free(struct vex_ids *ids);
/* These need ids->lock. Room for `count` more ids: nothing can fail after it. */
int vex_ids_reserve(struct vex_ids *ids, u32 count);
bool vex_ids_find(const struct vex_ids *ids, u64 id, u32 *ret_slot);
void vex_ids_put(struct vex_ids *ids, u64 id); /* of the next slot */
/* Forgets the slots from `count` on; next and spent are what they were then. */
void vex_ids_cut(struct vex_ids *ids, u32 count, u64 next, bool spent);

#define VEX_IDS_MOST (1u << 27) /* slots of an anonymous store */

#endif
