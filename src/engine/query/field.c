/* A field's values through its index. See field.h. */
#include "engine/query/field.h"

static bool same_path(const struct vex_path *a, const struct vex_path *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct vex_step *x = &a->steps[i], *y = &b->steps[i];
        if (x->kind != y->kind || (x->kind == VEX_STEP_KEY && !vex_str_eq(x->key, y->key)) ||
            (x->kind == VEX_STEP_INDEX && x->index != y->index))
            return false;
    }
    return true;
}

/* The slots of `some` that live. */
static int fill(struct vex_read *read, const uint64_t *some, uint32_t slots, struct vex_index *index)
{
    const uint64_t *live = vex_rows_live(read->data.rows);
    uint32_t most = vex_rows_slots(read->data.rows);
    struct vex_candidates all = {.allow = some, .slots = slots < most ? slots : most, .count = 1};
    uint32_t at = 0, slot;
    while ((slot = vex_candidates_next(&all, &at)) != VEX_SLOT_NONE) {
        int code = vex_read_step(read);
        if (code != 0)
            return code;
        if (vex_plan_bit(live, most, slot))
            vex_index_add(index, slot, vex_collection_payload(&read->data, slot));
    }
    return 0;
}

/* An empty index like a complete one. */
static int make_like(struct vex_read *read, const struct vex_index *index, struct vex_index **ret)
{
    struct vex_index_params params = {.field = vex_index_path(index)->text,
                                      .type = (uint8_t)vex_index_type(index),
                                      .range = true,
                                      .lookup = true};
    return vex_index_new(&params, ret, read->err);
}

static int open_complete(struct vex_read *read, const struct vex_index *index, struct vex_field *field)
{
    uint64_t count = 0;
    field->index = index;
    field->pending = vex_index_set_pending(read->data.indexes, &field->pending_slots, &count);
    if (field->pending == NULL)
        return 0;
    int code = make_like(read, index, &field->extra);
    return code != 0 ? code : fill(read, field->pending, field->pending_slots, field->extra);
}

/* A declared index that is not complete. */
static int open_declared(struct vex_read *read, const struct vex_path *path,
                         bool (*capable)(const struct vex_index *index), struct vex_field *field)
{
    const struct vex_config *config = read->data.config;
    for (uint32_t i = 0; i < config->index_count; i++) {
        const struct vex_index_params *params = &config->indexes[i];
        if (params->type == VEX_INDEX_TEXT || params->type == VEX_INDEX_GEO)
            continue;
        int code = vex_index_new(params, &field->extra, read->err);
        if (code == 0 && same_path(vex_index_path(field->extra), path) && capable(field->extra))
            return fill(read, vex_rows_live(read->data.rows), vex_rows_slots(read->data.rows), field->extra);
        vex_field_close(field);
    }
    return VEX_ENOT_FOUND;
}

int vex_field_open(struct vex_read *read, const struct vex_path *path,
                   bool (*capable)(const struct vex_index *index), struct vex_field *ret)
{
    *ret = (struct vex_field){0};
    if (read->data.indexes == NULL)
        return VEX_ENOT_FOUND;
    const struct vex_index *index = vex_index_set_find(read->data.indexes, path);
    if (index != NULL && !capable(index))
        return VEX_ENOT_FOUND;
    int code = index != NULL ? open_complete(read, index, ret) : open_declared(read, path, capable, ret);
    if (code != 0)
        vex_field_close(ret);
    return code;
}

int vex_field_narrow(struct vex_read *read, const struct vex_candidates *among, struct vex_field *field)
{
    const struct vex_index *index = field->index;
    if (index == NULL)
        return 0;
    vex_field_close(field);
    int code = make_like(read, index, &field->extra);
    return code != 0 || among->count == 0 ? code : fill(read, among->allow, among->slots, field->extra);
}

void vex_field_close(struct vex_field *field)
{
    vex_index_free(field->extra);
    *field = (struct vex_field){0};
}
