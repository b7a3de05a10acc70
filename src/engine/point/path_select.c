/* Which part of a payload an answer carries.
 *
 * Lock  None. One walk follows all paths of the selector; recursion is bounded by the value's depth. */
#include "engine/point/cbor.h"
#include "engine/point/path_active.h"

static void include(struct vex_buf *out, struct vex_value v, struct vex_path_active active, uint32_t depth)
{
    enum vex_value_kind kind = vex_value_kind(v);
    struct vex_value_iter it;
    struct cbor_open map;
    size_t kept = 0;

    if (kind == VEX_VALUE_ARRAY) {
        /* Only [] leads into arrays here; [n] selects nothing, as with the peer. */
        active = vex_path_active_all(active, depth);
        vex_value_put_array(out, active.count > 0 ? vex_value_count(v) : 0);
        for (it = vex_value_iter(v); active.count > 0 && vex_value_next(&it);) {
            if (vex_path_active_ends(active, depth + 1))
                vex_value_put(out, it.value);
            else
                include(out, it.value, active, depth + 1);
        }
        return;
    }
    if (kind != VEX_VALUE_MAP) {
        vex_value_put(out, v); /* a path that goes on past a scalar shows the scalar */
        return;
    }
    map = cbor_begin(out, CBOR_MAP, vex_value_count(v));
    for (it = vex_value_iter(v); vex_value_next(&it);) {
        struct vex_path_active below = vex_path_active_key(active, depth, it.key);
        if (below.count == 0)
            continue;
        vex_value_put_text(out, it.key);
        if (vex_path_active_ends(below, depth + 1))
            vex_value_put(out, it.value);
        else
            include(out, it.value, below, depth + 1);
        kept++;
    }
    cbor_end(out, map, kept);
}

static void exclude(struct vex_buf *out, struct vex_value v, struct vex_path_active active, uint32_t depth)
{
    enum vex_value_kind kind = vex_value_kind(v);
    struct vex_value_iter it;
    struct cbor_open map;
    size_t kept = 0;

    if (kind == VEX_VALUE_ARRAY)
        active = vex_path_active_all(active, depth);
    if (active.count == 0 || (kind != VEX_VALUE_ARRAY && kind != VEX_VALUE_MAP)) {
        vex_value_put(out, v);
        return;
    }
    if (kind == VEX_VALUE_ARRAY) {
        bool whole = vex_path_active_ends(active, depth + 1);
        vex_value_put_array(out, whole ? 0 : vex_value_count(v));
        for (it = vex_value_iter(v); !whole && vex_value_next(&it);)
            exclude(out, it.value, active, depth + 1);
        return;
    }
    map = cbor_begin(out, CBOR_MAP, vex_value_count(v));
    for (it = vex_value_iter(v); vex_value_next(&it);) {
        struct vex_path_active below = vex_path_active_key(active, depth, it.key);
        if (vex_path_active_ends(below, depth + 1))
            continue;
        vex_value_put_text(out, it.key);
        exclude(out, it.value, below, depth + 1);
        kept++;
    }
    cbor_end(out, map, kept);
}

void vex_payload_select(struct vex_buf *out, struct vex_value payload,
                        const struct vex_payload_selector *selector)
{
    struct vex_path_set set;
    struct vex_path_active all;

    if (payload.at == NULL || selector->kind == VEX_PAYLOAD_NONE) {
        cbor_put_head(out, CBOR_MAP, 0);
        return;
    }
    if (selector->kind == VEX_PAYLOAD_ALL) {
        vex_value_put(out, payload);
        return;
    }
    all = vex_path_set_init(&set, selector->paths, selector->count);
    if (selector->kind == VEX_PAYLOAD_INCLUDE)
        include(out, payload, all, 0);
    else
        exclude(out, payload, all, 0);
    vex_path_set_done(&set);
}
