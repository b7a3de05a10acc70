/* Inside of the number store: number.c keeps and matches, number_order.c walks in order and counts facets. */
#ifndef VEX_ENGINE_INDEX_NUMBER_H
#define VEX_ENGINE_INDEX_NUMBER_H

#include "engine/index/private.h"
#include "engine/index/runs.h"

enum vex_number_kind { VEX_NUMBER_INT, VEX_NUMBER_DOUBLE, VEX_NUMBER_UINT, VEX_NUMBER_KINDS };

struct vex_number {
    struct vex_runs runs[VEX_NUMBER_KINDS];
    uint8_t type; /* enum vex_index_type */
};

/* Keys are in the order of what they stand for, within a kind. A UINT is its own key. */
uint64_t vex_number_int_key(int64_t i);
uint64_t vex_number_double_key(double d);
int64_t vex_number_key_int(uint64_t key);
double vex_number_key_double(uint64_t key);

/* number_order.c: as in struct vex_values_ops. */
int vex_number_facet(const void *values, const uint64_t *among, uint32_t slots,
                     const struct vex_facet_floor *floor,
                     int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count), void *arg);
void vex_number_walk(const void *values, const struct vex_order_value *from, struct vex_index_walk *ret);
bool vex_number_walk_next(const void *values, struct vex_index_walk *walk, struct vex_order_value *ret_value,
                          uint32_t *ret_slot);

#endif
