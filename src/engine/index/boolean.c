/* Value store of bool fields: a set of slots for each of the two.
 *
 * Owner: the index. Lock: the index's. Format: the sets of false and true. */
#include "base/mem.h"
#include "engine/index/private.h"

struct boolean {
    struct vex_slots *of[2];
};

static void *make(const struct vex_index_params *params, struct vex_err *err)
{
    struct boolean *boolean = VEX_NEW(struct boolean);

    (void)params, (void)err;
    boolean->of[0] = vex_slots_new();
    boolean->of[1] = vex_slots_new();
    return boolean;
}

static void free_boolean(void *values)
{
    struct boolean *boolean = values;

    vex_slots_free(boolean->of[0]);
    vex_slots_free(boolean->of[1]);
    vex_mem_free(boolean);
}

static bool add(void *values, uint32_t slot, struct vex_value v)
{
    struct boolean *boolean = values;

    if (vex_value_kind(v) != VEX_VALUE_BOOL)
        return false;
    vex_slots_add(boolean->of[vex_value_bool(v)], slot);
    return true;
}

static void remove_value(void *values, uint32_t slot, struct vex_value v)
{
    struct boolean *boolean = values;

    if (vex_value_kind(v) == VEX_VALUE_BOOL)
        vex_slots_remove(boolean->of[vex_value_bool(v)], slot);
}

static void forget(void *values, const uint64_t *bits, uint32_t slots)
{
    struct boolean *boolean = values;

    vex_slots_forget(boolean->of[0], bits, slots);
    vex_slots_forget(boolean->of[1], bits, slots);
}

static uint64_t bytes(const void *values)
{
    const struct boolean *boolean = values;

    return sizeof *boolean + vex_slots_bytes(boolean->of[0]) + vex_slots_bytes(boolean->of[1]);
}

static bool asks(const struct vex_cond *cond, int which)
{
    return cond->kind == VEX_COND_ANY && (which ? cond->values.has_true : cond->values.has_false);
}

static struct vex_index_estimate estimate(const struct vex_index *index, const struct vex_cond *cond)
{
    const struct boolean *boolean = index->values;
    uint64_t counts[2] = {vex_slots_count(boolean->of[0]), vex_slots_count(boolean->of[1])}, own;

    if (asks(cond, 0) && asks(cond, 1)) {
        own = vex_slots_count(index->own);
        return (struct vex_index_estimate){true, own, own};
    }
    own = asks(cond, 0) ? counts[0] : asks(cond, 1) ? counts[1] : 0;
    return (struct vex_index_estimate){true, own, own};
}

static void match(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                  uint64_t *unsure, uint32_t slots)
{
    const struct boolean *boolean = index->values;

    (void)unsure;
    for (int which = 0; which < 2; which++)
        if (asks(cond, which))
            vex_slots_or_into(boolean->of[which], sure, slots);
}

static int facet(const void *values, const uint64_t *among, uint32_t slots,
                 const struct vex_facet_floor *floor,
                 int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count), void *arg)
{
    const struct boolean *boolean = values;
    int stop = 0;

    for (int which = 0; which < 2 && stop == 0; which++) {
        struct vex_facet_value value = {.kind = VEX_FACET_BOOL, .boolean = which == 1};
        uint64_t count = among == NULL ? vex_slots_count(boolean->of[which])
                                       : vex_slots_count_in(boolean->of[which], among, slots);
        if (count >= floor->least)
            stop = fn(arg, &value, count);
    }
    return stop;
}

static void save(const void *values, struct vex_buf *out)
{
    const struct boolean *boolean = values;

    vex_slots_save(boolean->of[0], out);
    vex_slots_save(boolean->of[1], out);
}

static int load(void *values, struct vex_cursor *c, struct vex_err *err)
{
    struct boolean *boolean = values;

    for (int which = 0; which < 2; which++) {
        struct vex_slots *set = vex_slots_load(c);
        if (set == NULL)
            return vex_err_set(err, VEX_ECORRUPT, "payload index: bad set of slots");
        vex_slots_free(boolean->of[which]);
        boolean->of[which] = set;
    }
    return 0;
}

const struct vex_values_ops vex_values_boolean = {
    .make = make,
    .free = free_boolean,
    .add = add,
    .remove = remove_value,
    .forget = forget,
    .bytes = bytes,
    .estimate = estimate,
    .match = match,
    .facet = facet,
    .save = save,
    .load = load,
};
