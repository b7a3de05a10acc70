/* Applying a mutation's record: operations one after the other, each staged, then published. See collection_apply.h.
 *
 * Owner     The writer slot. Lock: the collection's lock exclusive from the first publication of a mutation to its end, so that
 *           readers see all of its operations or none (but while a later one waits for disk space).
 * Invariant The same record on the same state gives the same state: nothing here looks at clocks or random numbers. */
#include "engine/collection_apply.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "engine/filter/match.h"
#include "engine/query/plan.h"

/* ---- publication ---- */

static int reserve(struct vex_apply *a)
{
    uint32_t slots = vex_rows_slots(a->data->rows);
    int rc = vex_heap_remap(a->data->heap);

    for (uint32_t i = 0; i < a->staged_count; i++)
        if (a->staged[i].slot >= slots)
            slots = a->staged[i].slot + 1;
    if (rc == 0)
        rc = vex_vectors_reserve(a->data->vectors);
    if (rc == 0)
        rc = vex_rows_reserve(a->data->rows, slots, a->fresh_count);
    if (rc == 0)
        rc = vex_index_set_reserve(a->data->indexes, slots,
                                   a->staged_count + a->fresh_count + a->deleted_count);
    if (rc == 0)
        rc = vex_graph_set_reserve(a->data->graphs, slots);
    return rc;
}

static void delete_slot(struct vex_apply *a, uint32_t slot)
{
    struct vex_row row = *vex_rows_at(a->data->rows, slot);

    vex_index_set_touch(a->data->indexes, slot, row.blob, row.blob_len, true);
    vex_graph_set_gone(a->data->graphs, slot, row.vectors);
    vex_rows_delete(a->data->rows, slot);
    if (row.blob != 0)
        vex_heap_free(a->data->heap, row.blob, row.blob_len);
    if (row.id_kind == VEX_ID_TEXT)
        vex_heap_free(a->data->heap, row.id[0], (uint32_t)row.id[1]);
}

/* The new version appears, the older one goes. */
static void publish_slot(struct vex_apply *a, const struct vex_staged *s)
{
    uint32_t older = vex_rows_publish(a->data->rows, s->slot, &s->row);

    vex_index_set_touch(a->data->indexes, s->slot, 0, 0, false);
    vex_graph_set_born(a->data->graphs, s->slot, s->row.vectors);
    if (older != VEX_SLOT_NONE) {
        const struct vex_row *row = vex_rows_at(a->data->rows, older); /* dead, but as it was */
        vex_index_set_touch(a->data->indexes, older, row->blob, row->blob_len, true);
        vex_graph_set_gone(a->data->graphs, older, row->vectors);
    }
}

static void update_slot(struct vex_apply *a, const struct vex_staged *s)
{
    const struct vex_row *row = vex_rows_at(a->data->rows, s->slot);

    if (row->blob != s->row.blob)
        vex_index_set_touch(a->data->indexes, s->slot, row->blob, row->blob_len, true);
    vex_graph_set_gone(a->data->graphs, s->slot, row->vectors & ~s->row.vectors);
    vex_graph_set_born(a->data->graphs, s->slot, s->row.vectors & ~row->vectors);
    vex_rows_update(a->data->rows, s->slot, &s->row);
}

static void publish_all(struct vex_apply *a)
{
    for (uint32_t i = 0; i < a->staged_count; i++) {
        const struct vex_staged *s = &a->staged[i];

        if (s->fresh)
            publish_slot(a, s);
        else
            update_slot(a, s);
        if (s->old_blob != 0)
            vex_heap_free(a->data->heap, s->old_blob, s->old_blob_len);
    }
    for (uint32_t i = 0; i < a->deleted_count; i++)
        delete_slot(a, a->deleted[i]);
    vex_graph_set_look(a->data->graphs, vex_rows_live_count(a->data->rows));
    a->collection->applied_op = a->op;
}

static int publish(struct vex_apply *a)
{
    int rc = vex_heap_flush(a->data->heap);

    if (rc == 0 && !a->locked)
        rc = vex_rows_prepare(a->data->rows, a->fresh_count);
    if (rc != 0)
        return rc;
    if (!a->locked) {
        vex_collection_write_begin(a->collection);
        a->locked = true;
    }
    rc = reserve(a);
    if (rc == 0)
        publish_all(a);
    return rc;
}

/* Gives back what staging took. */
static void undo(struct vex_apply *a)
{
    if (a->taken_count > 0)
        vex_rows_untake(a->data->rows, a->taken_count, a->taken);
    for (uint32_t i = 0; i < a->put_count; i++)
        vex_heap_free(a->data->heap, a->puts[i].offset, a->puts[i].len);
}

/* ---- shared by the kinds ---- */

int vex_apply_refuse(struct vex_apply *a, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vex_err_setv(a->err, code, fmt, ap);
    va_end(ap);
    a->user_error = true;
    return code;
}

int vex_apply_begin(struct vex_apply *a, uint32_t count)
{
    a->put_max = 2 * count;
    a->staged = vex_arena_try(a->arena, ((size_t)count + 1) * sizeof *a->staged);
    a->puts = vex_arena_try(a->arena, ((size_t)a->put_max + 1) * sizeof *a->puts);
    return a->staged != NULL && a->puts != NULL ? 0 : VEX_ENO_MEMORY;
}

int vex_apply_put(struct vex_apply *a, struct vex_str bytes, uint64_t *ret_offset)
{
    int rc;

    if (a->put_count >= a->put_max)
        return VEX_EINTERNAL;
    rc = vex_heap_put(a->data->heap, bytes, ret_offset);
    if (rc == 0)
        a->puts[a->put_count++] = (struct vex_heap_piece){*ret_offset, (uint32_t)bytes.len};
    return rc;
}

int vex_apply_blob(struct vex_apply *a, const struct vex_row *row, struct vex_str *ret)
{
    *ret = vex_str(NULL, 0);
    if (row->blob == 0)
        return 0;
    *ret = vex_heap_get(a->data->heap, row->blob, row->blob_len);
    if (ret->ptr != NULL)
        return 0;
    return vex_err_set(a->err, VEX_ECORRUPT, "payload.heap: the blob at %llu is damaged",
                       (unsigned long long)row->blob);
}

uint64_t vex_apply_dense(const struct vex_apply *a)
{
    const struct vex_config *config = a->data->config;
    uint64_t mask = 0;

    for (uint32_t i = 0; i < config->vector_count; i++)
        if (config->vectors[i].kind == VEX_VECTOR_DENSE)
            mask |= UINT64_C(1) << config->vectors[i].ordinal;
    return mask;
}

static uint64_t known_extras(const struct vex_apply *a)
{
    const struct vex_config *config = a->data->config;
    uint64_t mask = 0;

    for (uint32_t i = 0; i < config->vector_count; i++)
        if (config->vectors[i].kind != VEX_VECTOR_DENSE)
            mask |= UINT64_C(1) << config->vectors[i].ordinal;
    return mask;
}

/* A payload without members and no vectors: the same as no blob. */
static bool is_bare(struct vex_str blob)
{
    struct vex_value payload = vex_blob_payload(blob);
    struct vex_extra_vector extra;
    uint32_t at = 0;

    if (payload.at != NULL && vex_value_count(payload) > 0)
        return false;
    return !vex_blob_next(blob, &at, &extra);
}

int vex_apply_set_blob(struct vex_apply *a, struct vex_staged *staged, struct vex_str blob)
{
    struct vex_extra_vector extra;
    uint64_t extras = 0, offset = 0;
    bool bare = blob.len == 0 || is_bare(blob);
    int rc = 0;

    if (!bare) {
        rc = vex_apply_put(a, blob, &offset);
        for (uint32_t at = 0; vex_blob_next(blob, &at, &extra);)
            extras |= UINT64_C(1) << extra.ordinal;
    }
    staged->row.blob = offset;
    staged->row.blob_len = bare ? 0 : (uint32_t)blob.len;
    staged->row.vectors = (staged->row.vectors & vex_apply_dense(a)) | (extras & known_extras(a));
    return rc;
}

int vex_apply_check(struct vex_apply *a, uint32_t slot, uint64_t dense, uint32_t *ret)
{
    uint32_t check = 0;

    for (uint64_t left = dense; left != 0; left &= left - 1) {
        uint8_t ordinal = (uint8_t)__builtin_ctzll(left);
        uint32_t stride = vex_vectors_stride(vex_config_ordinal(a->data->config, ordinal));
        int rc;

        a->scratch.len = 0;
        vex_buf_reserve(&a->scratch, stride);
        rc = vex_vectors_read_stored(a->data->vectors, ordinal, &slot, 1, a->scratch.ptr);
        if (rc != 0)
            return rc;
        check = vex_crc32c(check, a->scratch.ptr, stride);
    }
    *ret = check;
    return 0;
}

/* ---- filters and selectors ---- */

static uint64_t vector_bit(void *arg, struct vex_str name)
{
    const struct vex_collection_data *data = arg;
    const struct vex_vector_params *params = vex_config_vector(data->config, name);

    return params != NULL ? UINT64_C(1) << params->ordinal : 0;
}

static const struct vex_analyzer *analyzer(void *arg, const struct vex_path *path)
{
    const struct vex_collection_data *data = arg;

    return vex_index_set_analyzer(data->indexes, path);
}

static uint32_t elements(void *arg, const struct vex_path *path)
{
    const struct vex_collection_data *data = arg;

    return vex_index_set_elements(data->indexes, path);
}

int vex_apply_bind(struct vex_apply *a, struct vex_filter *filter, struct vex_filter_binding *binding)
{
    int rc;

    *binding = (struct vex_filter_binding){.arena = a->arena,
                                           .vector_bit = vector_bit,
                                           .analyzer = analyzer,
                                           .elements = elements,
                                           .arg = a->data};
    if (filter == NULL)
        return 0;
    rc = vex_filter_bind(filter, binding, a->err);
    a->user_error = rc != 0;
    return rc;
}

bool vex_apply_matches(struct vex_apply *a, const struct vex_filter *filter, uint32_t slot)
{
    struct vex_match_point point = {.id = vex_rows_id(a->data->rows, slot),
                                    .payload = vex_collection_payload(a->data, slot),
                                    .vectors = vex_rows_at(a->data->rows, slot)->vectors};

    return vex_filter_match(filter, &point);
}

static int compare_slots(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

    return a < b ? -1 : a > b;
}

static int select_ids(struct vex_apply *a, const struct vex_selector *selector, bool strict, uint32_t *slots,
                      uint32_t *ret_count)
{
    uint32_t count = 0, kept = 0;

    for (uint32_t i = 0; i < selector->count; i++) {
        uint32_t slot = vex_rows_find(a->data->rows, &selector->ids[i]);
        if (slot != VEX_SLOT_NONE) {
            slots[count++] = slot;
        } else if (strict) {
            struct vex_str text = vex_id_text(a->arena, &selector->ids[i]);
            return vex_apply_refuse(a, VEX_ENOT_FOUND, "No point with id " VEX_STR_FMT " found",
                                    VEX_STR_ARG(text));
        }
    }
    qsort(slots, count, sizeof *slots, compare_slots);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || slots[i] != slots[i - 1])
            slots[kept++] = slots[i];
    *ret_count = kept;
    return 0;
}

/* The first matches in order of birth, payloads being read on the way. */
static int walk_matches(struct vex_apply *a, const struct vex_selector *selector, const uint64_t *known,
                        uint32_t *slots, uint32_t *ret_count)
{
    struct vex_rows_walk walk;
    uint32_t slot, count = 0;
    int rc = vex_rows_walk(a->data->rows, VEX_ORDER_BIRTH, NULL, &walk);

    if (rc != 0)
        return rc;
    while (count < selector->limit && (slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE)
        if (known != NULL ? (known[slot / 64] >> slot % 64 & 1) != 0
                          : vex_apply_matches(a, selector->filter, slot))
            slots[count++] = slot;
    *ret_count = count;
    return 0;
}

static uint32_t list_bits(const uint64_t *bits, size_t words, uint32_t *slots)
{
    uint32_t count = 0;

    for (size_t w = 0; w < words; w++)
        for (uint64_t rest = bits[w]; rest != 0; rest &= rest - 1)
            slots[count++] = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(rest);
    return count;
}

/* Expected to find enough sooner by reading in order than by finding all matches first. */
static bool walk_is_cheaper(const struct vex_plan *plan, uint64_t limit)
{
    double matches = ((double)plan->bounds.min + (double)plan->bounds.max) / 2;
    double walk = matches < 1 ? (double)plan->base_count : (double)limit * (double)plan->base_count / matches;

    return plan->way == VEX_PLAN_ALL || plan->way == VEX_PLAN_READ ||
           walk * VEX_PLAN_READ_NS < (double)plan->find_ns;
}

/* By indexes as far as they serve: the answer does not depend on which are complete. */
static int select_matches(struct vex_apply *a, const struct vex_selector *selector, uint32_t *slots,
                          uint32_t *ret_count)
{
    size_t words = vex_plan_words(vex_rows_slots(a->data->rows));
    struct vex_plan plan;
    uint64_t *bits, found;
    int rc;

    vex_plan_init(&plan, a->data, selector->filter, vex_rows_live(a->data->rows),
                  vex_rows_live_count(a->data->rows));
    if (selector->limit > 0 && walk_is_cheaper(&plan, selector->limit)) {
        vex_plan_note(&plan);
        return walk_matches(a, selector, NULL, slots, ret_count);
    }
    bits = vex_arena_try(a->arena, (words + 1) * sizeof *bits);
    if (bits == NULL)
        return VEX_ENO_MEMORY;
    memset(bits, 0, words * sizeof *bits);
    rc = vex_plan_find(&plan, bits, &found);
    if (rc != 0)
        return rc;
    if (selector->limit > 0 && found > selector->limit)
        return walk_matches(a, selector, bits, slots, ret_count);
    *ret_count = list_bits(bits, words, slots);
    return 0;
}

int vex_apply_select(struct vex_apply *a, const struct vex_selector *selector, bool strict, uint32_t **ret,
                     uint32_t *ret_count)
{
    uint64_t live = vex_rows_live_count(a->data->rows);
    uint64_t max = selector->filter == NULL ? selector->count : live;
    struct vex_filter_binding binding;
    uint32_t *slots;
    int rc;

    *ret_count = 0;
    slots = vex_arena_try(a->arena, ((size_t)max + 1) * sizeof *slots);
    if (slots == NULL)
        return VEX_ENO_MEMORY;
    *ret = slots;
    if (selector->filter == NULL)
        return select_ids(a, selector, strict, slots, ret_count);
    rc = vex_apply_bind(a, selector->filter, &binding);
    if (rc == 0)
        rc = select_matches(a, selector, slots, ret_count);
    vex_filter_unbind(&binding);
    return rc;
}

/* ---- operations ---- */

static int stage(struct vex_apply *a, const struct vex_record_op *op)
{
    switch (op->kind) {
    case VEX_OP_UPSERT:
        return vex_stage_upsert(a, &op->points);
    case VEX_OP_UPDATE_VECTORS:
        return vex_stage_update_vectors(a, &op->points);
    case VEX_OP_DELETE:
        return vex_stage_delete(a, op);
    case VEX_OP_SET_PAYLOAD:
    case VEX_OP_OVERWRITE_PAYLOAD:
    case VEX_OP_DELETE_PAYLOAD:
    case VEX_OP_CLEAR_PAYLOAD:
        return vex_stage_payload(a, op);
    case VEX_OP_DELETE_VECTORS:
        return vex_stage_delete_vectors(a, op);
    case VEX_OP_NOP:
        return 0;
    }
    return VEX_ECORRUPT;
}

static bool is_transient(int code)
{
    return code == VEX_ENO_SPACE || code == VEX_EIO || code == VEX_ENO_MEMORY;
}

/* Before the first write into the folder. */
static int make_folder(struct vex_collection *collection, struct vex_err *err)
{
    char dir[VEX_PATH_MAX];
    int rc;

    if (collection->folder_made)
        return 0;
    vex_collection_path(collection, dir);
    rc = vex_file_mkdirs(collection->engine->io, dir, err);
    collection->folder_made = rc == 0;
    return rc;
}

static int apply_op(struct vex_apply *a, const struct vex_record_op *op)
{
    int rc = make_folder(a->collection, a->err);

    a->staged = NULL;
    a->deleted = NULL;
    a->taken = NULL;
    a->puts = NULL;
    a->staged_count = a->fresh_count = a->deleted_count = a->taken_count = a->put_count = a->put_max = 0;
    a->affected = 0;
    a->user_error = false;
    if (rc == 0)
        rc = stage(a, op);
    if (rc == 0 && (a->staged_count > 0 || a->deleted_count > 0))
        rc = publish(a);
    if (rc != 0)
        undo(a);
    return rc;
}

/* All operations from *at on. What is left when this returns 0 with *code set did nothing. */
static int apply_all(struct vex_apply *a, struct vex_record *record, uint64_t op, bool check, uint32_t *at,
                     struct vex_op_result *results, int *code)
{
    struct vex_record_op decoded;

    for (uint32_t i = 0; i < record->count; i++) {
        int rc = vex_record_next(record, a->arena, check, &decoded);

        if (rc != 0)
            return vex_err_set(a->err, VEX_ECORRUPT, "a mutation's record can't be read");
        if (i < *at)
            continue;
        a->op = op + i;
        rc = apply_op(a, &decoded);
        if (rc != 0 && a->user_error) {
            *code = rc;
            return 0;
        }
        if (rc != 0)
            return rc;
        *at = i + 1;
        if (results != NULL)
            results[i].affected = a->affected;
    }
    return 0;
}

/* The record's bytes where 8-byte alignment is not given. */
static const void *aligned(struct vex_arena *arena, const void *body, size_t len)
{
    return ((uintptr_t)body & 7) == 0 ? body : vex_arena_dup(arena, body, len);
}

int vex_apply(struct vex_collection *collection, const void *body, size_t len, uint64_t op, bool check,
              uint32_t *at, struct vex_op_result *results, int *code, struct vex_err *err)
{
    struct vex_apply a = {
        .collection = collection, .data = &collection->data, .arena = &collection->arena, .err = err};
    struct vex_record record;
    int rc;

    *code = 0;
    vex_err_set(err, 0, "%s", "");
    vex_buf_init(&a.scratch, NULL);
    body = aligned(a.arena, body, len);
    rc = vex_record_open(&record, body, len);
    if (rc != 0)
        vex_err_set(err, rc, "a mutation's record can't be read");
    else
        rc = apply_all(&a, &record, op, check, at, results, code);
    if (a.locked)
        vex_collection_write_end(collection);
    vex_buf_done(&a.scratch);
    vex_arena_done(&collection->arena);
    if (rc == 0 || is_transient(rc))
        return rc;
    /* What validation should have kept out: better no answer than one that a replay would contradict. */
    if (err->code == 0)
        vex_err_set(err, VEX_ECORRUPT, "applying failed: %s", vex_err_class(rc)->name);
    vex_collection_refuse(collection, err->text);
    *code = VEX_ECORRUPT;
    err->code = VEX_ECORRUPT;
    return 0;
}
