/* Simulated disk: a struct vex_io in memory that knows what would survive a power cut.
 *
 * Role      Every file has a live image (what the process sees: the page cache) and a durable image (what is
 * on the platter); every change of a file or a folder is an operation that waits in the pending list until a
 * datasync of its file, or a dirsync of its folder, moves it to the durable side. vex_sim_crash() builds the
 * disk after a power cut: the durable side plus a part of the pending operations, chosen by a policy and a
 * seed. Model     Sectors are written whole or not at all; everything else may be lost, kept, torn at sectors
 * and reordered, each operation for itself: creations, renames and unlinks too, whatever happens to the data.
 * A rename across folders is durable with its target folder. After a failed datasync the kernel holds the
 * pages clean: what was pending is on the disk or lost for good, at random, and no later sync brings it back.
 * Clock     Virtual: 1 us a reading, and vex_sim_advance(). Randomness comes from the seed.
 * Recording vex_sim_record() starts an operation log; any number of crash states of one run are then taken
 * from replicas: vex_sim_replica() stands at the start, vex_sim_step() applies the next operation,
 * vex_sim_crash() cuts there. Lock      One mutex a disk; all calls are thread-safe. A recorded disk must
 * rest while replicas are stepped. Maps      Both kinds work: a mapped file is mirrored in a memory file, so
 * a shared map sees later writes. */
#ifndef VEX_TEST_LIB_SIM_IO_H
#define VEX_TEST_LIB_SIM_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io.h"

struct vex_sim;

enum vex_sim_policy {
    VEX_SIM_LOSE_ALL,   /* nothing unsynced survives */
    VEX_SIM_KEEP_ALL,   /* all pending operations survive */
    VEX_SIM_PREFIX,     /* the first (seed modulo pending + 1) pending operations */
    VEX_SIM_SUBSET,     /* each pending operation for itself */
    VEX_SIM_TORN_512,   /* as SUBSET, and writes torn at 512 bytes */
    VEX_SIM_TORN_4K,    /* as SUBSET, and writes torn at 4 KiB */
    VEX_SIM_DATA_ONLY,  /* file contents survive, folder changes do not */
    VEX_SIM_NAMES_ONLY, /* folder changes survive, file contents do not */
    VEX_SIM_NAMES_LOST, /* file contents survive, each folder change for itself */
    VEX_SIM_KILL, /* no power cut: the process dies, the page cache lives on, what is unsynced stays so */
    VEX_SIM_POLICY_COUNT,
};

enum vex_sim_call {
    VEX_SIM_OPEN,
    VEX_SIM_PREAD,
    VEX_SIM_PWRITE,
    VEX_SIM_DATASYNC,
    VEX_SIM_TRUNCATE,
    VEX_SIM_ALLOCATE,
    VEX_SIM_RENAME,
    VEX_SIM_UNLINK,
    VEX_SIM_MKDIR,
    VEX_SIM_DIRSYNC,
    VEX_SIM_LIST,
    VEX_SIM_MAP,
    VEX_SIM_CALL_COUNT,
};

/* Lies a disk can tell: for proving that a test notices. */
enum vex_sim_lie {
    VEX_SIM_IGNORE_DATASYNC = 1 << 0,
    VEX_SIM_IGNORE_DIRSYNC = 1 << 1,
};

struct vex_sim *vex_sim_new(uint64_t seed); /* an empty root folder */
void vex_sim_free(struct vex_sim *sim);     /* no handle may be open */
struct vex_io *vex_sim_io(struct vex_sim *sim);

/* The nth call from now (1: the next) fails with err (-EIO, -ENOSPC), and with `sticky` all after it. At
 * most 16. */
void vex_sim_fail(struct vex_sim *sim, enum vex_sim_call call, uint64_t nth, int err, bool sticky);
void vex_sim_fail_clear(struct vex_sim *sim);
uint64_t vex_sim_calls(struct vex_sim *sim, enum vex_sim_call call); /* how often it was called */
void vex_sim_lie(struct vex_sim *sim, unsigned lies);
void vex_sim_capacity(struct vex_sim *sim, uint64_t bytes); /* 0: endless */
uint64_t vex_sim_used(struct vex_sim *sim);
void vex_sim_advance(struct vex_sim *sim, uint64_t ns);
/* Flips bits of one byte in both images: decay of the medium. -ENOENT, or -ERANGE beyond the end. */
int vex_sim_flip(struct vex_sim *sim, const char *path, uint64_t offset, unsigned char bits);

size_t vex_sim_pending(struct vex_sim *sim); /* unsynced operations */
/* The disk after a power cut now; the given one is left as it is. */
struct vex_sim *vex_sim_crash(struct vex_sim *sim, enum vex_sim_policy policy, uint64_t seed);
/* The same disk, pending operations included, without open handles, faults and recording. */
struct vex_sim *vex_sim_clone(struct vex_sim *sim);

void vex_sim_record(struct vex_sim *sim);     /* starts (again) at the present state */
size_t vex_sim_op_count(struct vex_sim *sim); /* operations recorded; syncs are operations too */
struct vex_sim *vex_sim_replica(struct vex_sim *sim);
bool vex_sim_step(struct vex_sim *replica, struct vex_sim *recorded); /* false at the end */
/* Replica stepped `index` times, then cut. */
struct vex_sim *vex_sim_clone_at(struct vex_sim *recorded, size_t index, enum vex_sim_policy policy,
                                 uint64_t seed);

#endif
