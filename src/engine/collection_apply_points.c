/* Staging of upserts and vector updates: new versions of points in new slots.
 *
 * Owner     The writer slot. Lock: none; slots taken here are nobody's yet.
 * Order     Which points count (repeats, modes, filters) -> slots -> vectors, a block of the record at a time so that
 *           consecutive slots are one request -> vectors that a point keeps -> payload blobs. */
#include "engine/collection_apply.h"
#include "engine/collection_apply_tenant.h"

#define COPY_BYTES (256u << 10)
#define NONE       UINT32_MAX

/* What becomes of one point of the record. */
struct target {
    uint32_t
        leader; /* the point this one is merged into: itself, or an earlier one of the same id (vector updates) */
    uint32_t next;   /* the next point of the same leader; NONE */
    uint32_t last;   /* of a leader: end of that chain */
    uint32_t old;    /* slot of the live version, or VEX_SLOT_NONE */
    uint32_t staged; /* index, or NONE: nothing happens */
    bool skip;
    uint16_t group; /* of a fresh version, see rows.h */
    uint64_t given; /* dense ordinals that the record brings */
    uint64_t kept;  /* dense ordinals copied from the old version */
};

struct stage {
    struct vex_apply *a;
    const struct vex_record_points *points;
    struct target *targets;
    bool update;  /* vector update, else upsert */
    bool repeats; /* an id comes more than once */
    bool lost;    /* a block is of a name that is gone: checksums of the record do not fit */
};

static const float unit_norm = 1;

/* ---- which points count ---- */

static void note_repeat(struct stage *s, uint32_t *entry, uint32_t i)
{
    uint32_t first = *entry - 1;

    s->repeats = true;
    if (s->update) {
        s->targets[i].leader = first;
        s->targets[s->targets[first].last].next = i;
        s->targets[first].last = i;
    } else if (s->points->mode == VEX_INSERT_ONLY) {
        s->targets[i].skip = true;
    } else {
        s->targets[first].skip = true;
        *entry = i + 1;
    }
}

static int find_repeats(struct stage *s)
{
    uint32_t count = s->points->count;
    uint32_t *table;
    size_t size = 4;

    while (size < 2 * (size_t)count)
        size *= 2;
    table = vex_arena_try(s->a->arena, size * sizeof *table);
    s->targets = vex_arena_try(s->a->arena, ((size_t)count + 1) * sizeof *s->targets);
    if (table == NULL || s->targets == NULL)
        return VEX_ENO_MEMORY;
    memset(table, 0, size * sizeof *table);
    for (uint32_t i = 0; i < count; i++) {
        const struct vex_id *id = &s->points->ids[i];
        size_t at = vex_id_hash(id) & (size - 1);

        s->targets[i] =
            (struct target){.leader = i, .next = NONE, .last = i, .old = VEX_SLOT_NONE, .staged = NONE};
        while (table[at] != 0 && !vex_id_eq(&s->points->ids[table[at] - 1], id))
            at = (at + 1) & (size - 1);
        if (table[at] != 0)
            note_repeat(s, &table[at], i);
        else
            table[at] = i + 1;
    }
    return 0;
}

static int find_old(struct stage *s)
{
    for (uint32_t i = 0; i < s->points->count; i++) {
        struct target *t = &s->targets[i];

        t->old = vex_rows_find(s->a->data->rows, &s->points->ids[i]);
        if (s->update && t->old == VEX_SLOT_NONE) {
            struct vex_str text = vex_id_text(s->a->arena, &s->points->ids[i]);
            return vex_apply_refuse(s->a, VEX_ENOT_FOUND, "No point with id " VEX_STR_FMT " found",
                                    VEX_STR_ARG(text));
        }
        if (t->old != VEX_SLOT_NONE ? s->points->mode == VEX_INSERT_ONLY : s->points->mode == VEX_UPDATE_ONLY)
            t->skip = true;
    }
    return 0;
}

static int apply_filter(struct stage *s)
{
    struct vex_filter *filter = s->points->filter;
    struct vex_filter_binding binding;
    int rc;

    if (filter == NULL)
        return 0;
    rc = vex_apply_bind(s->a, filter, &binding);
    for (uint32_t i = 0; i < s->points->count && rc == 0; i++) {
        struct target *t = &s->targets[i];
        if (!t->skip && t->old != VEX_SLOT_NONE && !vex_apply_matches(s->a, filter, t->old))
            t->skip = true;
    }
    vex_filter_unbind(&binding);
    return rc;
}

/* Parameters of a block's name; NULL when the name is gone since the record was written. */
static const struct vex_vector_params *block_params(const struct stage *s,
                                                    const struct vex_record_block *block)
{
    const struct vex_vector_params *params = vex_config_ordinal(s->a->data->config, block->ordinal);

    return params != NULL && params->kind == VEX_VECTOR_DENSE && vex_vectors_stride(params) == block->stride
               ? params
               : NULL;
}

static void note_given(struct stage *s)
{
    for (uint32_t b = 0; b < s->points->block_count; b++) {
        const struct vex_record_block *block = &s->points->blocks[b];

        if (block_params(s, block) == NULL) {
            s->lost = true;
            continue;
        }
        for (uint32_t j = 0; j < block->count; j++)
            s->targets[s->targets[block->points[j]].leader].given |= UINT64_C(1) << block->ordinal;
    }
}

/* ---- rows ---- */

static bool wants_slot(const struct stage *s, const struct target *t)
{
    if (s->update)
        return t->given != 0;
    return t->old == VEX_SLOT_NONE || !s->points->merge || t->given != 0;
}

static bool counts(const struct stage *s, uint32_t i)
{
    return !s->targets[i].skip && s->targets[i].leader == i;
}

static int new_id(struct stage *s, const struct vex_id *id, struct vex_row *row)
{
    row->id_kind = (uint8_t)id->kind;
    switch (id->kind) {
    case VEX_ID_NUM:
        row->id[0] = id->num;
        row->id[1] = 0;
        return 0;
    case VEX_ID_UUID:
        memcpy(row->id, id->uuid, sizeof row->id);
        return 0;
    case VEX_ID_TEXT:
        row->id[1] = id->text.len;
        return vex_apply_put(s->a, id->text, &row->id[0]);
    }
    return VEX_ECORRUPT;
}

static int stage_row(struct stage *s, uint32_t i, bool fresh, uint32_t slot)
{
    struct target *t = &s->targets[i];
    struct vex_staged *staged = &s->a->staged[s->a->staged_count];
    bool keeps = s->update || s->points->merge;
    int rc = 0;

    t->staged = s->a->staged_count++;
    *staged = (struct vex_staged){.fresh = fresh, .slot = slot};
    memcpy(&staged->row.norm, &unit_norm, sizeof staged->row.norm);
    if (t->old != VEX_SLOT_NONE) {
        const struct vex_row *old = vex_rows_at(s->a->data->rows, t->old);

        staged->old_blob = old->blob;
        staged->old_blob_len = old->blob_len;
        if (keeps) {
            staged->row = *old;
            t->kept = fresh ? old->vectors & vex_apply_dense(s->a) & ~t->given : 0;
        } else {
            memcpy(staged->row.id, old->id, sizeof old->id);
            staged->row.id_kind = old->id_kind;
        }
    } else {
        rc = new_id(s, &s->points->ids[i], &staged->row);
    }
    staged->row.state = VEX_ROW_LIVE;
    staged->row.version = s->a->op;
    if (fresh) {
        staged->row.birth = 0; /* the old version's, or the next */
        staged->row.group = t->group;
        staged->row.vectors = (staged->row.vectors & ~vex_apply_dense(s->a)) | t->kept | t->given;
    }
    return rc;
}

/* The tenant that the point will have: of its new payload, or where that says nothing, of what it keeps. */
static int find_group(struct stage *s, const struct vex_path *path, uint32_t i, uint16_t *ret)
{
    bool keeps = s->update || s->points->merge;
    const struct target *t = &s->targets[i];
    const struct vex_row *old;
    struct vex_str blob;
    int rc;

    *ret = s->update ? 0 : vex_tenant_group(path, vex_blob_payload(s->points->blobs[i]));
    if (*ret != 0 || !keeps || t->old == VEX_SLOT_NONE)
        return 0;
    old = vex_rows_at(s->a->data->rows, t->old);
    *ret = old->group;
    if (*ret != 0)
        return 0;
    rc = vex_apply_blob(s->a, old, &blob); /* from before there was such an index */
    if (rc == 0)
        *ret = vex_tenant_group(path, vex_blob_payload(blob));
    return rc;
}

static int take_slots(struct stage *s, uint32_t fresh)
{
    struct vex_apply *a = s->a;
    const struct vex_path *path;
    uint32_t count = 0;
    uint16_t *groups;
    int rc = vex_tenant_path(a->arena, a->data->config, &path);

    if (rc != 0)
        return rc;
    if (path == NULL)
        return vex_rows_take(a->data->rows, fresh, a->taken);
    groups = vex_arena_try(a->arena, fresh * sizeof *groups);
    if (groups == NULL)
        return VEX_ENO_MEMORY;
    for (uint32_t i = 0; i < s->points->count && rc == 0; i++) {
        struct target *t = &s->targets[i];

        if (!counts(s, i) || !wants_slot(s, t))
            continue;
        rc = find_group(s, path, i, &t->group);
        groups[count++] = t->group;
    }
    return rc == 0 ? vex_rows_take_grouped(a->data->rows, fresh, groups, a->taken) : rc;
}

static int stage_rows(struct stage *s)
{
    struct vex_apply *a = s->a;
    uint32_t fresh = 0, used = 0;
    int rc;

    for (uint32_t i = 0; i < s->points->count; i++)
        fresh += counts(s, i) && wants_slot(s, &s->targets[i]);
    a->taken = vex_arena_try(a->arena, ((size_t)fresh + 1) * sizeof *a->taken);
    if (a->taken == NULL)
        return VEX_ENO_MEMORY;
    rc = fresh > 0 ? take_slots(s, fresh) : 0;
    if (rc != 0)
        return rc;
    a->taken_count = a->fresh_count = fresh;
    for (uint32_t i = 0; i < s->points->count && rc == 0; i++) {
        bool slot;

        if (!counts(s, i))
            continue;
        slot = wants_slot(s, &s->targets[i]);
        rc = stage_row(s, i, slot, slot ? a->taken[used++] : s->targets[i].old);
    }
    a->affected = a->staged_count;
    return rc;
}

/* ---- vectors ---- */

/* Entries of a block that are overtaken by a later one for the same point. */
static uint8_t *overtaken(struct stage *s, const struct vex_record_block *block)
{
    uint8_t *out = vex_arena_try(s->a->arena, block->count + (size_t)1);
    uint8_t *seen = vex_arena_try(s->a->arena, s->points->count + (size_t)1);

    if (out == NULL || seen == NULL)
        return NULL;
    memset(seen, 0, s->points->count);
    for (uint32_t j = block->count; j-- > 0;) {
        uint32_t leader = s->targets[block->points[j]].leader;
        out[j] = seen[leader];
        seen[leader] = 1;
    }
    return out;
}

static struct vex_staged *entry_target(const struct stage *s, const struct vex_record_block *block,
                                       uint32_t j)
{
    const struct target *t = &s->targets[s->targets[block->points[j]].leader];

    return t->staged != NONE && s->a->staged[t->staged].fresh ? &s->a->staged[t->staged] : NULL;
}

static int write_block(struct stage *s, const struct vex_record_block *block)
{
    uint32_t *slots = vex_arena_try(s->a->arena, (block->count + (size_t)1) * sizeof *slots);
    uint8_t *out = s->repeats && s->update ? overtaken(s, block) : NULL;
    uint32_t run = 0;
    int rc = 0;

    if (slots == NULL || (s->repeats && s->update && out == NULL))
        return VEX_ENO_MEMORY;
    for (uint32_t j = 0; j <= block->count && rc == 0; j++) {
        struct vex_staged *staged =
            j < block->count && (out == NULL || !out[j]) ? entry_target(s, block, j) : NULL;

        if (staged != NULL) {
            slots[run++] = staged->slot;
            if (block->norms != NULL)
                memcpy(&staged->row.norm, &block->norms[j], sizeof staged->row.norm);
        } else if (run > 0) {
            rc = vex_vectors_write(s->a->data->vectors, block->ordinal, slots, run,
                                   block->data + (size_t)(j - run) * block->stride);
            run = 0;
        }
    }
    return rc;
}

/* Copies one name's vectors of old versions to new slots. */
static int copy_kept(struct stage *s, const struct vex_vector_params *params)
{
    struct vex_apply *a = s->a;
    uint32_t stride = vex_vectors_stride(params), max, count = 0;
    uint64_t bit = UINT64_C(1) << params->ordinal;
    uint32_t *from, *to;
    int rc = 0;

    if (stride == 0)
        return 0;
    max = stride < COPY_BYTES ? COPY_BYTES / stride : 1;
    from = vex_arena_try(a->arena, 2 * (size_t)max * sizeof *from);
    if (from == NULL)
        return VEX_ENO_MEMORY;
    to = from + max;
    for (uint32_t i = 0; i <= s->points->count && rc == 0; i++) {
        const struct target *t = &s->targets[i];

        if (i < s->points->count && t->staged != NONE && (t->kept & bit) != 0) {
            from[count] = t->old;
            to[count++] = a->staged[t->staged].slot;
        }
        if (count == 0 || (count < max && i < s->points->count))
            continue;
        a->scratch.len = 0;
        vex_buf_reserve(&a->scratch, (size_t)count * stride);
        rc = vex_vectors_read_stored(a->data->vectors, params->ordinal, from, count, a->scratch.ptr);
        if (rc == 0)
            rc = vex_vectors_write(a->data->vectors, params->ordinal, to, count, a->scratch.ptr);
        count = 0;
    }
    return rc;
}

static int stage_checks(struct stage *s)
{
    int rc = 0;

    for (uint32_t i = 0; i < s->points->count && rc == 0; i++) {
        const struct target *t = &s->targets[i];
        struct vex_staged *staged;

        if (t->staged == NONE || !s->a->staged[t->staged].fresh)
            continue;
        staged = &s->a->staged[t->staged];
        if (s->lost || t->kept != 0 || t->next != NONE)
            rc = vex_apply_check(s->a, staged->slot, t->kept | t->given, &staged->row.check);
        else
            staged->row.check = s->points->checks[i];
    }
    return rc;
}

static int stage_vectors(struct stage *s)
{
    const struct vex_config *config = s->a->data->config;
    uint64_t kept = 0;
    int rc = 0;

    for (uint32_t b = 0; b < s->points->block_count && rc == 0; b++)
        if (block_params(s, &s->points->blocks[b]) != NULL)
            rc = write_block(s, &s->points->blocks[b]);
    for (uint32_t i = 0; i < s->points->count; i++)
        kept |= s->targets[i].kept;
    for (uint32_t v = 0; v < config->vector_count && rc == 0; v++)
        if ((kept >> config->vectors[v].ordinal & 1) != 0)
            rc = copy_kept(s, &config->vectors[v]);
    return rc == 0 ? stage_checks(s) : rc;
}

/* ---- blobs ---- */

static void take_extras(struct vex_str blob, struct vex_extra_vector *extras, uint64_t *mask)
{
    struct vex_extra_vector extra;

    for (uint32_t at = 0; vex_blob_next(blob, &at, &extra);) {
        if (extra.ordinal >= VEX_VECTORS_MAX)
            continue;
        extras[extra.ordinal] = extra;
        *mask |= UINT64_C(1) << extra.ordinal;
    }
}

/* The old blob's payload with the point's merged in, the old vectors with those of all its repeats over them. */
static int merged_blob(struct stage *s, uint32_t i, struct vex_str old, struct vex_str *ret)
{
    struct vex_value payload = vex_blob_payload(old), patch = vex_blob_payload(s->points->blobs[i]);
    struct vex_extra_vector extras[VEX_VECTORS_MAX], packed[VEX_VECTORS_MAX];
    uint64_t mask = 0;
    uint32_t count = 0;
    struct vex_buf merged;

    take_extras(old, extras, &mask);
    for (uint32_t p = i; p != NONE; p = s->targets[p].next)
        take_extras(s->points->blobs[p], extras, &mask);
    for (; mask != 0; mask &= mask - 1)
        packed[count++] = extras[__builtin_ctzll(mask)];
    vex_buf_init(&merged, s->a->arena);
    if (patch.at != NULL && !s->update) {
        vex_payload_merge(&merged, payload, patch, true);
        payload.at = (const uint8_t *)merged.ptr;
    }
    s->a->scratch.len = 0;
    vex_blob_build(&s->a->scratch, payload, packed, count);
    *ret = vex_buf_str(&s->a->scratch);
    return 0;
}

static bool brings_blob(const struct stage *s, uint32_t i)
{
    for (uint32_t p = i; p != NONE; p = s->targets[p].next)
        if (s->points->blobs[p].len > 0)
            return true;
    return false;
}

static int stage_blob(struct stage *s, uint32_t i)
{
    struct vex_staged *staged = &s->a->staged[s->targets[i].staged];
    struct vex_str old, blob;
    int rc;

    if (!s->update && !s->points->merge)
        return vex_apply_set_blob(s->a, staged, s->points->blobs[i]);
    if (!brings_blob(s, i)) {
        staged->old_blob = 0; /* stays with the new version */
        return 0;
    }
    rc = vex_apply_blob(s->a, &staged->row, &old);
    if (rc == 0)
        rc = merged_blob(s, i, old, &blob);
    return rc == 0 ? vex_apply_set_blob(s->a, staged, blob) : rc;
}

/* ---- the two kinds ---- */

static int stage_points(struct stage *s)
{
    int rc = vex_apply_begin(s->a, s->points->count);

    if (rc == 0)
        rc = find_repeats(s);
    if (rc == 0)
        rc = find_old(s);
    if (rc == 0)
        rc = apply_filter(s);
    if (rc != 0)
        return rc;
    note_given(s);
    rc = stage_rows(s);
    if (rc == 0)
        rc = stage_vectors(s);
    for (uint32_t i = 0; i < s->points->count && rc == 0; i++)
        if (s->targets[i].staged != NONE)
            rc = stage_blob(s, i);
    return rc;
}

int vex_stage_upsert(struct vex_apply *a, const struct vex_record_points *points)
{
    struct stage s = {.a = a, .points = points};

    return stage_points(&s);
}

int vex_stage_update_vectors(struct vex_apply *a, const struct vex_record_points *points)
{
    struct stage s = {.a = a, .points = points, .update = true};

    return stage_points(&s);
}
