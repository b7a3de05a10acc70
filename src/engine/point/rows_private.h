/* Inside of struct vex_rows, shared by rows.c (state and slots), rows_ids.c (the map from ids), rows_order.c (orders) and
 * rows_extents.c (slots of groups). */
#ifndef VEX_ENGINE_POINT_ROWS_PRIVATE_H
#define VEX_ENGINE_POINT_ROWS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/point/rows.h"

#define VEX_ROWS_PER_PAGE (VEX_PAGE_ITEMS / (uint32_t)sizeof(struct vex_row))
#define VEX_IDS_STRIDE    8u /* u32 slot + 1, u32 hash */
#define VEX_IDS_PER_PAGE  (VEX_PAGE_ITEMS / VEX_IDS_STRIDE)
#define VEX_SLOTS_MAX     (UINT32_MAX - 1)

/* Slots in one order: a long sorted part and a short one that takes what is new. */
struct vex_ordered {
    pthread_mutex_t lock; /* readers that bring it up to date */
    bool built;
    uint32_t *main, *tail;
    size_t main_count, tail_count, tail_cap;
    size_t tail_sorted; /* of the tail, how many are in order; the rest has come since the last walk */
};

#define VEX_GROUPS (UINT16_MAX + 1u) /* place 0 is of no group */

struct vex_group {
    uint32_t first;  /* of its kept slots, ascending in each extent; VEX_SLOT_NONE */
    uint32_t last;   /* slot of its latest extent, or VEX_SLOT_NONE */
    uint32_t live;   /* rows */
    uint32_t wanted; /* zero but while slots are taken or collected */
};

/* A run of slots that a group got. */
struct vex_extent {
    uint32_t first, count;
    uint32_t index;  /* of the point that it was opened for */
    uint32_t before; /* the group's `last` until then */
    uint16_t group;
    bool at_end; /* from behind all slots, else from the free ones */
};

/* Slots kept for groups: neither free nor taken. See rows_extents.c. */
struct vex_extents {
    struct vex_group *groups; /* VEX_GROUPS of them; NULL: no row has had a group */
    uint32_t *links; /* of a kept slot the next of its group; of a taken one its group, see rows_extents.c */
    size_t link_count;
    uint64_t kept;
    uint32_t from, from_before; /* where the search for free runs goes on; until the last take */
    struct vex_extent *opened;  /* by the last take */
    uint32_t opened_count, opened_cap;
};

struct vex_rows {
    struct vex_io *io;
    struct vex_heap *heap;
    struct vex_table table;    /* struct vex_row by slot */
    struct vex_table ids;      /* places of the map, see rows_ids.c */
    uint64_t id_places;        /* 0 or a power of two, at least twice live_count */
    struct vex_table ids_next; /* the writer's: a larger map that is about to take its place */
    struct vex_table ids_old;  /* one that was replaced: unmapping it takes a while too */
    uint64_t next_places;      /* of ids_next, while it holds what ids holds; else 0 */
    pthread_mutex_t ids_lock;  /* of who verifies the map */
    atomic_bool ids_settled;   /* the map is verified, or was built from the rows */
    uint64_t live_count, births;
    uint64_t stamp;
    uint32_t slots;

    /* Bitmaps of `words` words; present ones exist once a row has that vector. */
    size_t words;
    uint64_t *live;
    uint64_t *dying; /* dead since the last checkpoint */
    uint64_t *present[VEX_VECTORS_MAX];
    uint64_t present_count[VEX_VECTORS_MAX];

    /* The writer's own. */
    uint32_t end;      /* slots from here on were never taken */
    uint64_t *free;    /* bitmap: may be taken */
    size_t free_words; /* covers `end` */
    uint64_t free_count;
    size_t free_from; /* no free slot in words below */
    struct vex_extents extents;

    struct vex_ordered order[VEX_ORDER_COUNT];
};

static inline const struct vex_row *vex_row_at(const struct vex_rows *rows, uint32_t slot)
{
    uint32_t page = slot / VEX_ROWS_PER_PAGE;
    return (const struct vex_row *)(const void *)(rows->table.base + (size_t)page * VEX_PAGE) +
           (slot - page * VEX_ROWS_PER_PAGE);
}

static inline bool vex_bit(const uint64_t *bits, uint32_t slot)
{
    return (bits[slot / 64] >> (slot % 64) & 1) != 0;
}

static inline void vex_bit_set(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static inline void vex_bit_clear(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

/* Iterates set bits: for (slot = vex_bit_next(bits, words, 0); slot != VEX_SLOT_NONE; slot = vex_bit_next(..,
 * slot + 1)). */
static inline uint32_t vex_bit_next(const uint64_t *bits, size_t words, uint32_t from)
{
    size_t word = from / 64;
    if (word >= words)
        return VEX_SLOT_NONE;
    uint64_t rest = bits[word] >> (from % 64) << (from % 64);
    while (rest == 0) {
        if (++word == words)
            return VEX_SLOT_NONE;
        rest = bits[word];
    }
    return (uint32_t)(word * 64 + (size_t)__builtin_ctzll(rest));
}

/* rows.c */
int vex_rows_free_reserve(struct vex_rows *rows, uint64_t slots); /* room in the bitmap of free slots */
int vex_rows_take_plain(struct vex_rows *rows, uint32_t count, uint32_t *ret_slots);
void vex_rows_give_back(struct vex_rows *rows, uint32_t slot); /* becomes free, or the end moves back */

/* rows_extents.c */
void vex_rows_extents_done(struct vex_rows *rows);
/* A row of a group, found at opening or changed. */
void vex_rows_extents_found(struct vex_rows *rows, uint16_t group, bool live);
static inline void vex_rows_extents_count(struct vex_rows *rows, uint16_t group, bool born)
{
    if (group != 0)
        rows->extents.groups[group].live += born ? 1u : UINT32_MAX;
}
/* As far as the bitmap of free slots reaches. VEX_ENO_MEMORY. */
int vex_rows_extents_reserve(struct vex_rows *rows);
/* Kept slots become free ones. */
void vex_rows_extents_release(struct vex_rows *rows);
/* A take begins with slots without regard to groups. */
void vex_rows_extents_note_plain(struct vex_rows *rows, uint32_t count, const uint32_t *slots);
void vex_rows_extents_untake(struct vex_rows *rows, uint32_t count, const uint32_t *slots);
/* Before a checkpoint: the rows of kept slots say whose they are. */
void vex_rows_extents_mark(struct vex_rows *rows);
/* The rows are those of the checkpoint and no slot is taken: what is kept from here on depends on the rows alone. */
void vex_rows_extents_settle(struct vex_rows *rows);
int vex_rows_extents_check(const struct vex_rows *rows, struct vex_err *err);

/* rows_ids.c */
/* What takes long of the next, beside readers. The writer's. */
int vex_rows_ids_prepare(struct vex_rows *rows, uint64_t count);
/* Room for `count` ids. VEX_ENO_MEMORY; then nothing has changed. */
int vex_rows_ids_reserve(struct vex_rows *rows, uint64_t count);
/* Opens the map as of a checkpoint, to be verified when it is first needed, or builds it from the rows. */
int vex_rows_ids_open(struct vex_rows *rows, const char *path, uint64_t pages, struct vex_err *err);
/* Verifies the map unless that was done; one that fails is built from the rows. Collection lock shared, any thread. */
void vex_rows_ids_settle(const struct vex_rows *rows);
/* Maps the id to `slot`; returns the slot it was mapped to, or VEX_SLOT_NONE. */
uint32_t vex_rows_ids_put(struct vex_rows *rows, const struct vex_id *id, uint32_t slot);
void vex_rows_ids_remove(struct vex_rows *rows, uint32_t slot);
/* Places in use. */
uint64_t vex_rows_ids_count(const struct vex_rows *rows);

/* rows_order.c */
void vex_rows_orders_init(struct vex_rows *rows);
void vex_rows_orders_done(struct vex_rows *rows);
int vex_rows_orders_reserve(struct vex_rows *rows, uint64_t more);
void vex_rows_orders_add(struct vex_rows *rows, uint32_t slot);
/* Forgets slots that are not live, before they may come back as other points. */
void vex_rows_orders_purge(struct vex_rows *rows);
int vex_rows_orders_check(struct vex_rows *rows, struct vex_err *err);

#endif
