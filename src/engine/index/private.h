/* Inside of the payload indexes: what index.c asks of the files that keep values. Not for others. */
#ifndef VEX_ENGINE_INDEX_PRIVATE_H
#define VEX_ENGINE_INDEX_PRIVATE_H

#include "engine/index/index.h"
#include "engine/index/slots.h"

/* One kind of value store. `values` is its own struct. A function that is NULL: not what this kind does. */
struct vex_values_ops {
    void *(*make)(const struct vex_index_params *params, struct vex_err *err); /* NULL: err is set */
    void (*free)(void *values);
    /* One value of a slot: not null, not an array. False: not of a kind that is kept here (another kind than the index's). */
    bool (*add)(void *values, uint32_t slot, struct vex_value v);
    /* Where elements of an array are separate entries: the values added since the last call were those of one element. */
    void (*end_element)(void *values, uint32_t slot);
    void (*remove)(void *values, uint32_t slot, struct vex_value v);
    void (*forget)(void *values, const uint64_t *bits, uint32_t slots);
    bool (*prepare)(void *values);
    void (*publish)(void *values);
    uint64_t (*bytes)(const void *values);
    /* Conditions that look at values, but EXCEPT (index.c makes it from ANY) and arrays as VEX_ARRAYS_ANY has them (index.c sees
     * to the rest). Only kept values are asked for: index.c adds what `other` may hold. The values are index->values. `match`
     * gives the slots that hold a matching value. `each`: NULL: index.c goes over the bitmap of a match. */
    struct vex_index_estimate (*estimate)(const struct vex_index *index, const struct vex_cond *cond);
    void (*match)(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                  uint64_t *unsure, uint32_t slots);
    int (*each)(const struct vex_index *index, const struct vex_cond *cond,
                int (*fn)(void *arg, uint32_t slot), void *arg);
    int (*facet)(const void *values, const uint64_t *among, uint32_t slots,
                 const struct vex_facet_floor *floor,
                 int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count), void *arg);
    void (*walk)(const void *values, const struct vex_order_value *from, struct vex_index_walk *ret);
    bool (*walk_next)(const void *values, struct vex_index_walk *walk, struct vex_order_value *ret_value,
                      uint32_t *ret_slot);
    const struct vex_analyzer *(*analyzer)(const void *values);
    int (*score)(const void *values, struct vex_str query, const struct vex_bm25 *bm25,
                 int (*fn)(void *arg, uint32_t slot, float score), void *arg, struct vex_err *err);
    void (*save)(const void *values, struct vex_buf *out);
    int (*load)(void *values, struct vex_cursor *c, struct vex_err *err);
};

extern const struct vex_values_ops vex_values_keyword, vex_values_boolean, vex_values_number, vex_values_geo,
    vex_values_text;

/* Common to all fields, kept by index.c. */
struct vex_index {
    const struct vex_values_ops *ops;
    void *values;
    enum vex_index_type type;
    struct vex_arena arena; /* params, path */
    struct vex_index_params params;
    struct vex_path path;
    uint32_t
        elements; /* steps of the path that lead to the elements which are separate entries; 0: none are */
    uint64_t stamp;
    uint64_t end;          /* above every slot that has a value or a null */
    struct vex_slots *own; /* slots with a value of the index's own kind */
    struct vex_slots
        *other; /* slots with a value (not null) of another kind, which the store does not keep */
    struct vex_slots *typed; /* INTEGER, UUID: slots with a value of the very type; else NULL: all of `own` */
    struct vex_slots *several; /* slots with more than one value, nulls counted */
    struct vex_slots *arrays;  /* slots where the path led to an array */
    struct vex_slots *filled;  /* slots that are not empty as IS_EMPTY says */
    struct vex_slots *nulls;   /* slots that are null as IS_NULL says */
    struct vex_slots *lacking; /* elements: slots with an element that is empty as IS_EMPTY says; else NULL */
};

/* A new stamp. */
void vex_index_changed(struct vex_index *index);

/* Bounds of the number of slots from numbers of pairs of value and slot: between `least` and `most` of `all` pairs match; each
 * slot has a pair at least, and those that are not `several` have just one. */
static inline struct vex_index_estimate vex_estimate_pairs(const struct vex_index *index, uint64_t least,
                                                           uint64_t most, uint64_t all)
{
    uint64_t own = vex_slots_count(index->own), several = vex_slots_count(index->several);
    uint64_t shared = all + several > own ? all + several - own : 0; /* pairs of slots with several */

    if (several > 0)
        least = least > shared ? least - shared : least > 0;
    return (struct vex_index_estimate){true, least, most < own ? most : own};
}

#endif
