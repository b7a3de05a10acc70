/* Private to the vector device's list of tests: files with known content. */
#ifndef VEX_TEST_DEV_SUITE_KIT_H
#define VEX_TEST_DEV_SUITE_KIT_H

#include <CUnit/CUnit.h>

#include "../../src/uapi/dev.h"

extern struct vex_dev *vex_suite_dev; /* under test */

struct suite_file {
    struct vex_io *io;
    struct vex_file *file;
    struct vex_dev_layout layout;
    struct vex_dev_file *df;
};

/* A disk of limited size: a write across `limit` is cut there and fails. */
struct suite_disk {
    struct vex_io io;
    struct vex_io_ops ops;
    uint64_t limit; /* bytes a file may have */
    uint64_t cut;   /* bytes written by the writes that failed */
};

#define SUITE_PATH_MAX 320

/* Of `full` random rounds or cases those that a run makes: all, or one in ten when VEXFS_TEST_QUICK is set (an emulated
 * machine); never none. */
unsigned suite_rounds(unsigned full);
/* Whether the nth case is among those. */
bool suite_takes(unsigned nth);

int suite_folder_make(void); /* in TMPDIR, else /tmp */
int suite_folder_remove(void);
void suite_path(char path[SUITE_PATH_MAX]); /* of a file that does not exist yet */
void suite_disk_init(struct suite_disk *disk);
/* A fresh file, attached; io NULL: the real one. */
struct suite_file suite_create(uint32_t dimensions, enum vex_element element, struct vex_io *io);
int suite_attach(struct suite_file *f, bool create);
void suite_reopen(struct suite_file *f);
void suite_close(struct suite_file *f);

/* The value of an element: a small integer, other for every `kind`; never negative for bytes. */
int suite_value(const struct suite_file *f, uint32_t slot, uint32_t dimension, unsigned kind);
void suite_pack(const struct suite_file *f, uint32_t slot, unsigned kind, void *ret);
int suite_fill_raw(struct suite_file *f, uint32_t first, uint32_t count, unsigned kind);
void suite_fill(struct suite_file *f, uint32_t first, uint32_t count, unsigned kind); /* asserts success */
void suite_expect(struct suite_file *f, uint32_t first, uint32_t count, unsigned kind);
bool suite_is_zero(struct suite_file *f, uint32_t slot);

void suite_add_search_tests(CU_pSuite suite);
void suite_add_twin_tests(CU_pSuite suite);
void suite_add_sharing_tests(CU_pSuite suite);

#endif
