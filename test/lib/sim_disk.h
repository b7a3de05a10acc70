/* Inside of the simulated disk: images, folders, operations. Used by sim_io.c, sim_disk.c and sim_crash.c
 * only. */
#ifndef VEX_TEST_LIB_SIM_DISK_H
#define VEX_TEST_LIB_SIM_DISK_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/sim_io.h"

#define SIM_PAGE 4096u
#define SIM_ROOT 0u

/* Pages are shared between images and copied when written. */
struct sim_page {
    _Atomic unsigned refs;
    unsigned char data[SIM_PAGE];
};

struct sim_image {
    struct sim_page **pages; /* NULL: a hole */
    size_t count;            /* of pages */
    size_t held;             /* pages that are no hole: space on the disk */
    uint64_t size;
};

struct sim_entry {
    char *name;
    unsigned node;
};

struct sim_folder {
    struct sim_entry *at;
    size_t count, cap;
};

struct sim_node {
    bool is_folder, locked;
    unsigned links, handles; /* live */
    int mirror;              /* memory file behind maps, or -1 */
    struct sim_image live, durable;
    struct sim_folder names, durable_names;
};

enum sim_kind {
    SIM_WRITE,
    SIM_TRUNCATE,
    SIM_ALLOCATE,
    SIM_LINK,   /* a file or folder appears */
    SIM_UNLINK, /* a file or folder goes */
    SIM_RENAME,
    SIM_DATASYNC,
    SIM_DATASYNC_FAILED,
    SIM_DIRSYNC,
};

struct sim_op {
    _Atomic unsigned refs;
    enum sim_kind kind;
    unsigned node;        /* what it changes, or what the name stands for */
    bool is_folder;       /* SIM_LINK */
    uint64_t offset, len; /* truncate: len is the size; failed sync: offset is the seed */
    unsigned folder, to_folder;
    char *name, *to_name;
    unsigned char *data;
};

struct sim_ops {
    struct sim_op **at;
    size_t count, cap;
};

struct sim_fault {
    enum vex_sim_call call;
    uint64_t left; /* calls that still pass */
    int err;       /* 0: unused */
    bool sticky;
};

struct vex_sim {
    struct vex_io io; /* first */
    pthread_mutex_t mutex;
    struct sim_node **nodes;
    size_t node_count, node_cap;
    struct sim_ops pending, log;
    struct vex_sim *base; /* state at the start of the log; NULL: not recording */
    size_t step;          /* of a replica */
    uint64_t random, clock, capacity, used_pages;
    unsigned lies;
    struct sim_fault faults[16];
    uint64_t calls[VEX_SIM_CALL_COUNT];
};

void sim_image_done(struct sim_image *image);
void sim_image_copy(struct sim_image *to, const struct sim_image *from); /* `to` is overwritten, not freed */
void sim_image_write(struct sim_image *image, uint64_t offset, const void *data, size_t len);
size_t sim_image_read(const struct sim_image *image, uint64_t offset, void *buf, size_t len);
void sim_image_resize(struct sim_image *image, uint64_t size);
void sim_image_allocate(struct sim_image *image, uint64_t offset, uint64_t len);
size_t sim_image_missing(const struct sim_image *image, uint64_t offset,
                         uint64_t len); /* holes in the range */

struct sim_entry *sim_folder_find(const struct sim_folder *folder, const char *name, size_t len);
void sim_folder_put(struct sim_folder *folder, const char *name, unsigned node);
void sim_folder_drop(struct sim_folder *folder, const char *name,
                     unsigned node); /* only if it stands for the node */
void sim_folder_copy(struct sim_folder *to, const struct sim_folder *from);
void sim_folder_done(struct sim_folder *folder);

struct sim_op *sim_op_new(enum sim_kind kind, unsigned node);
void sim_op_unref(struct sim_op *op);
void sim_ops_add(struct sim_ops *ops, struct sim_op *op); /* takes a reference of its own */
void sim_ops_clear(struct sim_ops *ops);

struct sim_node *sim_node_add(struct vex_sim *sim, bool is_folder);
/* Frees the live contents of a node that no name and no handle holds. */
void sim_node_settle(struct vex_sim *sim, struct sim_node *node);
/* Performs an operation, queues it as pending and records it; takes over the reference. Mutex held. */
void sim_do(struct vex_sim *sim, struct sim_op *op);
void sim_apply_live(struct vex_sim *sim, const struct sim_op *op);
void sim_apply_durable(struct vex_sim *sim, const struct sim_op *op);
bool sim_op_is_data(const struct sim_op *op);

uint64_t sim_random(uint64_t *state);
extern const struct vex_io_ops sim_io_ops;

#endif
