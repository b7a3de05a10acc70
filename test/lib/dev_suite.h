/* What every vector device must do, as one list of tests: a program runs it on its back end.
 *
 * Vectors in it are small integers: distances are exact and the expected answer is computed plainly. */
#ifndef VEX_TEST_DEV_SUITE_H
#define VEX_TEST_DEV_SUITE_H

#include <stdbool.h>

struct vex_dev;

/* Registers the list with CUnit (which is initialised already) for `dev`, as a suite of its own; a program may
 * do so for several devices, whose suites run in this order. through_io: the device writes through the struct
 * vex_io it is given, so a full disk can be played to it. Files are made in TMPDIR. */
void vex_dev_suite_register(const char *name, struct vex_dev *dev, bool through_io);

#endif
