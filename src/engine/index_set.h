/* Payload indexes of a collection: which there are, which can be asked, and how they follow the points.
 *
 * Following A write that is published only notes the slots whose payload it changed (vex_index_set_touch): what an index holds of
 *           them does not count until the set has caught up (vex_index_set_follow), which happens at once after the write, in
 *           short exclusive pieces by the holder of the writer slot. Readers take pending slots from the payload instead,
 *           so an answer is exact at any time.
 * Building  A new index is filled in the background while reads and writes go on; it is asked only when it is complete.
 * Saving    Each index is saved with the operation number that it is complete to, while writes go on and nothing follows; on opening, slots changed since are taken out by a
 *           sweep and added anew. A damaged or missing file means building anew, never an error.
 * Lock      The collection's: reading functions need it shared, touch exclusive; follow, begin and save take it themselves and
 *           need the writer slot.
 * Old blobs Stay readable until the heap settles: follow comes before every checkpoint. */
#ifndef VEX_ENGINE_INDEX_SET_H
#define VEX_ENGINE_INDEX_SET_H

#include "engine/config.h"
#include "engine/index/index.h"

struct vex_index_set;
struct vex_collection;

/* ---- reading ---- */

/* A complete index on exactly this path, or NULL. */
const struct vex_index *vex_index_set_find(const struct vex_index_set *set, const struct vex_path *path);
/* vex_index_elements of the index that is declared on the path, built or not; 0: none. */
uint32_t vex_index_set_elements(const struct vex_index_set *set, const struct vex_path *path);
/* What text conditions on the path are cut with, whether its index is complete or not; NULL: no text index. */
const struct vex_analyzer *vex_index_set_analyzer(const struct vex_index_set *set,
                                                  const struct vex_path *path);
/* Slots that no index knows rightly: bits, `*ret_slots` of them, *ret_count set. NULL when there are none. */
const uint64_t *vex_index_set_pending(const struct vex_index_set *set, uint32_t *ret_slots,
                                      uint64_t *ret_count);

/* [blocks] Waits until all indexes of the collection are complete; helps to build them, so it may be called on a thread of the pool.
 * deadline_ns: of the monotonic clock, 0: none. VEX_ETIMEOUT, VEX_ENOT_FOUND (dropped), VEX_ECORRUPT, VEX_EUNAVAILABLE (closing). */
int vex_collection_wait_indexes(struct vex_collection *collection, uint64_t deadline_ns, struct vex_err *err);

/* ---- automatic indexes ---- */

/* A filter was decided by reading what is under the path: counted, and when that is often, an index is made in the background as if
 * a client had asked for it. Nothing happens unless the engine's option auto_index is on. Lock shared or writer slot. */
void vex_index_set_missed(struct vex_index_set *set, const struct vex_path *path,
                          const struct vex_cond *cond);
/* Whether misses are of interest at all; set may be NULL. */
bool vex_index_set_learns(const struct vex_index_set *set);
#define VEX_AUTO_INDEX_MISSES 100u   /* more of them make an index */
#define VEX_AUTO_INDEX_POINTS 10000u /* in a collection of more points */
#define VEX_AUTO_INDEX_MAX    64u /* up to as many indexes a collection, or as the options' index_limit says */

/* ---- life; for the engine ---- */

/* With the indexes of the configuration, none of them complete. One that can't be made (an old log with a language that is gone) is
 * logged and never complete. */
struct vex_index_set *vex_index_set_new(struct vex_collection *collection, const struct vex_config *config);
void vex_index_set_free(struct vex_index_set *set); /* NULL is fine; no work is under way */
/* Tidies the folder and begins to load or build in the background: once, when recovery is over. */
void vex_index_set_start(struct vex_index_set *set);
/* Ends background work, for good: waits for the piece under way. */
void vex_index_set_stop(struct vex_index_set *set);

/* Whether every index that the old configuration (may be NULL) does not have can be made. VEX_EBAD_INPUT. */
int vex_index_set_check(const struct vex_config *old, const struct vex_config *config, struct vex_err *err);
/* Whether texts are cut alike, and elements looked at alike, under both. */
bool vex_index_set_same_texts(const struct vex_config *a, const struct vex_config *b);

/* A changed configuration, under the writer slot: prepared without the lock, applied under the exclusive lock (can't fail), concluded
 * (or given up, when it was not applied) without it. */
struct vex_index_change;
struct vex_index_change *vex_index_change_new(struct vex_index_set *set, const struct vex_config *config);
void vex_index_change_apply(struct vex_index_change *change);
void vex_index_change_free(struct vex_index_change *change);

/* ---- following writes ---- */

/* Exclusive. Room for noting `more` slots below `slots`, so that touch can't fail. VEX_ENO_MEMORY. */
int vex_index_set_reserve(struct vex_index_set *set, uint32_t slots, uint32_t more);
/* Exclusive, when a slot gets another payload, appears or goes. blob: what it had before (0: none); live: whether it was. */
void vex_index_set_touch(struct vex_index_set *set, uint32_t slot, uint64_t blob, uint32_t blob_len,
                         bool live);
/* Writer slot. Brings complete indexes up to date when more than `spare` slots are pending. */
void vex_index_set_follow(struct vex_index_set *set, size_t spare);
/* The same, but an index that is being saved is not waited for while few slots are pending: the worker follows after it. */
void vex_index_set_follow_soon(struct vex_index_set *set, size_t spare);
#define VEX_INDEX_SPARE 4096u /* pending slots that need not be followed at once */

/* ---- saving ---- */

/* Writer slot, after a checkpoint: what has changed much since it was saved is saved in the background. */
void vex_index_set_checkpointed(struct vex_index_set *set);
/* Writer slot, after _stop: saves what has changed. */
void vex_index_set_save(struct vex_index_set *set);

#endif
