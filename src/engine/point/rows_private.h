/* Inside of struct vex_rows, shared by rows.c (state and slots), rows_ids.c (the map from ids) and
 * rows_order.c (orders). */
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

struct vex_rows {
    struct vex_io *io;
    struct vex_heap *heap;
    struct vex_table table;   /* struct vex_row by slot */
    struct vex_table ids;     /* places of the map, see rows_ids.c */
    uint64_t id_places;       /* 0 or a power of two, at least twice live_count */
    pthread_mutex_t ids_lock; /* of who verifies the map */
    atomic_bool ids_settled;  /* the map is verified, or was built from the rows */
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

/* rows_ids.c */
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
