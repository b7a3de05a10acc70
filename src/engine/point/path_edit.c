/* Payload operations that change: setting at a path, deleting paths.
 *
 * Lock  None. Each writes a new map while it walks the old one; recursion is one level of the value or one
 * step of the path at a time, and both are bounded. */
#include "engine/point/cbor.h"
#include "engine/point/path.h"
#include "engine/point/path_active.h"

struct edit {
    struct vex_buf *out;
    struct vex_value patch;
    size_t limit; /* length of out that must not be passed */
    bool over;
};

static void put_empty(struct vex_buf *out, enum cbor_major major)
{
    cbor_put_head(out, major, 0);
}

static void set_step(struct edit *edit, struct vex_value v, const struct vex_step *step, uint32_t left);

static void set_key(struct edit *edit, struct vex_value v, const struct vex_step *step, uint32_t left)
{
    bool map = v.at != NULL && vex_value_kind(v) == VEX_VALUE_MAP;
    bool present = map && vex_value_get(v, step->key).at != NULL;
    struct vex_value_iter it;

    /* Whatever is not an object gives way to one. */
    vex_value_put_map(edit->out, (map ? vex_value_count(v) : 0) + !present);
    if (map) {
        for (it = vex_value_iter(v); vex_value_next(&it);) {
            vex_value_put_text(edit->out, it.key);
            if (vex_str_eq(it.key, step->key))
                set_step(edit, it.value, step + 1, left - 1);
            else
                vex_value_put(edit->out, it.value);
        }
    }
    if (!present) {
        vex_value_put_text(edit->out, step->key);
        set_step(edit, (struct vex_value){NULL}, step + 1, left - 1);
    }
}

static void set_elements(struct edit *edit, struct vex_value v, const struct vex_step *step, uint32_t left)
{
    struct vex_value_iter it;
    uint64_t i = 0;

    if (v.at == NULL || vex_value_kind(v) != VEX_VALUE_ARRAY) {
        put_empty(edit->out, CBOR_ARRAY);
        return;
    }
    vex_value_put_array(edit->out, vex_value_count(v));
    for (it = vex_value_iter(v); vex_value_next(&it); i++) {
        if (step->kind == VEX_STEP_ALL || step->index == i)
            set_step(edit, it.value, step + 1, left - 1);
        else
            vex_value_put(edit->out, it.value);
    }
}

static void set_step(struct edit *edit, struct vex_value v, const struct vex_step *step, uint32_t left)
{
    /* A [] step copies the patch many times: stop before memory does. */
    if (edit->over || edit->out->len > edit->limit) {
        edit->over = true;
        return;
    }
    if (left == 0)
        vex_payload_merge(edit->out, v, edit->patch, true);
    else if (step->kind == VEX_STEP_KEY)
        set_key(edit, v, step, left);
    else
        set_elements(edit, v, step, left);
}

int vex_payload_set_at(struct vex_buf *out, struct vex_value old, const struct vex_path *path,
                       struct vex_value patch)
{
    size_t before = out->len;
    struct edit edit = {.out = out, .patch = patch, .limit = before + VEX_PAYLOAD_MAX};

    if (path->count + vex_value_depth(patch) <= VEX_VALUE_DEPTH_MAX) {
        set_step(&edit, old, path->steps, path->count);
        if (!edit.over && out->len <= edit.limit)
            return 0;
    }
    out->len = before;
    vex_payload_merge(out, old, (struct vex_value){NULL}, false);
    return VEX_ETOO_LARGE;
}

static void delete_in(struct vex_buf *out, struct vex_value v, struct vex_path_active active, uint32_t depth);

static void delete_in_map(struct vex_buf *out, struct vex_value v, struct vex_path_active active,
                          uint32_t depth)
{
    struct cbor_open map = cbor_begin(out, CBOR_MAP, vex_value_count(v));
    struct vex_value_iter it;
    size_t kept = 0;

    for (it = vex_value_iter(v); vex_value_next(&it);) {
        struct vex_path_active below = vex_path_active_key(active, depth, it.key);
        if (vex_path_active_ends(below, depth + 1))
            continue;
        vex_value_put_text(out, it.key);
        delete_in(out, it.value, below, depth + 1);
        kept++;
    }
    cbor_end(out, map, kept);
}

static void delete_in_array(struct vex_buf *out, struct vex_value v, struct vex_path_active active,
                            uint32_t depth)
{
    struct vex_value_iter it;
    uint64_t i = 0;

    /* A path that ends in [] empties the array; one that ends in [n] does nothing: done twice it would take
     * two. */
    if (vex_path_active_ends(vex_path_active_all(active, depth), depth + 1)) {
        put_empty(out, CBOR_ARRAY);
        return;
    }
    vex_value_put_array(out, vex_value_count(v));
    for (it = vex_value_iter(v); vex_value_next(&it); i++)
        delete_in(out, it.value, vex_path_active_element(active, depth, i), depth + 1);
}

static void delete_in(struct vex_buf *out, struct vex_value v, struct vex_path_active active, uint32_t depth)
{
    enum vex_value_kind kind = vex_value_kind(v);

    if (active.count > 0 && kind == VEX_VALUE_MAP)
        delete_in_map(out, v, active, depth);
    else if (active.count > 0 && kind == VEX_VALUE_ARRAY)
        delete_in_array(out, v, active, depth);
    else
        vex_value_put(out, v);
}

void vex_payload_delete(struct vex_buf *out, struct vex_value old, const struct vex_path *paths, size_t count)
{
    struct vex_path_set set;

    if (old.at == NULL) {
        put_empty(out, CBOR_MAP);
        return;
    }
    delete_in(out, old, vex_path_set_init(&set, paths, count), 0);
    vex_path_set_done(&set);
}
