/* Rows: one fixed record per slot, the map from ids to slots, and the orders in which points are listed.
 *
 * Role      rows.tbl (a struct vex_row per slot) and ids.tbl (open-addressed hash of slots) of one
 *           collection, the bitmaps that searches use, and lazily built orders by id and by birth.
 * Owner     The collection. Lock: its reader-writer lock; every writing function needs it exclusive, except
 *           vex_rows_take, which touches only the writer's own free list.
 * Invariant A slot is free, live or dead. At most one live slot an id. A point version is one slot shared
 *           by all vector files. Slots become reusable only at vex_rows_settle, after a checkpoint in which
 *           they are dead or free. */
#ifndef VEX_ENGINE_POINT_ROWS_H
#define VEX_ENGINE_POINT_ROWS_H

#include "engine/point/id.h"
#include "engine/store/heap.h"
#include "engine/store/table.h"

#define VEX_SLOT_NONE   UINT32_MAX
#define VEX_VECTORS_MAX 64 /* vector names of a collection, dense, multi and sparse together */

/* Kinds in page trailers. */
#define VEX_TABLE_ROWS 1u
#define VEX_TABLE_IDS  2u

enum vex_row_state { VEX_ROW_FREE, VEX_ROW_LIVE, VEX_ROW_DEAD };

struct vex_row {
    uint64_t id[2];   /* number: {n, 0}; UUID: its bytes; text: {heap offset, length} */
    uint64_t version; /* operation number that wrote the point last */
    uint64_t birth;   /* counts up with every point that came into being: insertion order */
    uint64_t blob;    /* heap offset of the payload blob (0: none) */
    uint32_t blob_len;
    uint32_t norm;    /* f32 bits: length of the default vector before it was normalised */
    uint64_t vectors; /* mask of the vectors it has, by ordinal */
    uint32_t check;   /* crc32c over its dense vectors as stored, by ordinal */
    uint8_t state;    /* enum vex_row_state */
    uint8_t id_kind;  /* enum vex_id_kind */
    uint16_t group;   /* points that are to lie together; 0: none. Kept when the row is no longer live */
};
_Static_assert(sizeof(struct vex_row) == 64, "a row is one cache line");

struct vex_pool;
struct vex_rows;

enum vex_rows_order { VEX_ORDER_ID, VEX_ORDER_BIRTH, VEX_ORDER_COUNT };

struct vex_rows_sizes { /* kept in the manifest */
    uint64_t slots, live, births;
    uint64_t row_pages, id_pages;
};

/* Opens rows.tbl and ids.tbl in dir as of a checkpoint (all zeros: new). `heap` holds text ids; not owned.
 * ids.tbl is derived: when it is damaged or does not fit it is rebuilt from the rows. Idle threads of the pool help (NULL: none). */
int vex_rows_open(struct vex_io *io, struct vex_pool *pool, const char *dir,
                  const struct vex_rows_sizes *sizes, struct vex_heap *heap, struct vex_rows **ret,
                  struct vex_err *err);
void vex_rows_close(struct vex_rows *rows);

uint64_t vex_rows_live_count(const struct vex_rows *rows);
uint32_t vex_rows_slots(const struct vex_rows *rows); /* slots in use: all live slots are below */
const struct vex_row *vex_rows_at(const struct vex_rows *rows, uint32_t slot);
/* Live slot of an id, or VEX_SLOT_NONE. */
uint32_t vex_rows_find(const struct vex_rows *rows, const struct vex_id *id);
/* Id of a slot; a text points into the heap. */
struct vex_id vex_rows_id(const struct vex_rows *rows, uint32_t slot);

/* Bit per slot, vex_rows_slots() of them, padded with zeros to whole words: live points; live points that
 * have a vector (NULL: none has ever had it). Valid while the lock is held. */
const uint64_t *vex_rows_live(const struct vex_rows *rows);
const uint64_t *vex_rows_present(const struct vex_rows *rows, uint32_t ordinal);
uint64_t vex_rows_present_count(const struct vex_rows *rows, uint32_t ordinal); /* its bits */

/* A number that changes with every row, and with vex_rows_touch; no other rows ever have it. */
uint64_t vex_rows_stamp(const struct vex_rows *rows);
void vex_rows_touch(struct vex_rows *rows); /* exclusive */

/* Writer: takes `count` slots for new versions, ascending, preferring a contiguous run when count is large;
 * they are not visible yet. VEX_ENO_MEMORY, VEX_ETOO_LARGE (no slots left). */
int vex_rows_take(struct vex_rows *rows, uint32_t count, uint32_t *ret_slots);
/* The same for points of groups (struct vex_row; 0: of none): those of a group get slots near each other, in no order. Which,
 * depends on what the last checkpoint holds and on what was done since, on nothing else. */
int vex_rows_take_grouped(struct vex_rows *rows, uint32_t count, const uint16_t *groups, uint32_t *ret_slots);
uint64_t vex_rows_unused(const struct vex_rows *rows); /* slots that may be taken, or are kept for groups */
/* Gives back what was not published, as if it had not been taken: with groups the last take, whole. */
void vex_rows_untake(struct vex_rows *rows, uint32_t count, const uint32_t *slots);

/* Before that, beside readers: what takes long of making room for `more` ids. VEX_ENO_MEMORY. */
int vex_rows_prepare(struct vex_rows *rows, uint32_t more);
/* Exclusive. Room for publishing slots below `slots` and `more` ids, so that what follows can't fail. */
int vex_rows_reserve(struct vex_rows *rows, uint32_t slots, uint32_t more);
/* Makes a slot live under row->id (state and id_kind included in row; id of text kind already in the heap).
 * An older live slot of that id becomes dead; its number is returned, or VEX_SLOT_NONE. birth 0: takes the
 * next number, or the older slot's. */
uint32_t vex_rows_publish(struct vex_rows *rows, uint32_t slot, const struct vex_row *row);
/* Changes a live row in place: version, blob, blob_len, vectors, norm, check; never the id. */
void vex_rows_update(struct vex_rows *rows, uint32_t slot, const struct vex_row *row);
void vex_rows_delete(struct vex_rows *rows, uint32_t slot); /* live -> dead, id unmapped */

/* Orders. A cursor walks live slots of one order without holding anything between calls; the lock is held
 * shared meanwhile. The first walk of an order sorts; later ones merge what is new. */
struct vex_rows_walk {
    const struct vex_rows *rows;
    enum vex_rows_order order;
    bool descending;
    uint64_t at;
};
/* Starts at the first point whose id is >= *from (NULL: from the beginning; only for VEX_ORDER_ID).
 * VEX_ENO_MEMORY. */
int vex_rows_walk(struct vex_rows *rows, enum vex_rows_order order, const struct vex_id *from,
                  struct vex_rows_walk *ret);
/* The same backwards: starts at the last point whose id is <= *from (NULL: from the end). */
int vex_rows_walk_back(struct vex_rows *rows, enum vex_rows_order order, const struct vex_id *from,
                       struct vex_rows_walk *ret);
uint32_t vex_rows_walk_next(struct vex_rows_walk *walk); /* VEX_SLOT_NONE at the end */
/* Upwards only. The next slot that is live and set in bits (`slots` of them), passing about `most` others before it gives up for now:
 * VEX_SLOT_NONE and true. False: the end. */
bool vex_rows_walk_among(struct vex_rows_walk *walk, const uint64_t *bits, uint32_t slots, uint32_t most,
                         uint32_t *ret_slot);

/* Checkpoint: the tables to write, the sizes for the manifest; settle once it is durable. */
uint32_t vex_rows_tables(struct vex_rows *rows, struct vex_table *ret[4]);
void vex_rows_sizes(const struct vex_rows *rows, struct vex_rows_sizes *ret);
void vex_rows_settle(struct vex_rows *rows);
/* Pages of the tables that are as in the files leave the process. Shared lock, and nobody writes or takes a checkpoint. */
void vex_rows_evict(struct vex_rows *rows);
/* Self-check of every invariant; for tests and `vexctl verify`. */
int vex_rows_check(struct vex_rows *rows, struct vex_err *err);

#endif
