/* Hits: payloads through their selector, vectors as floats. See result.h. */
#include "engine/query/result.h"

#define FETCH_AT_ONCE 512u /* vectors of one name */
#define ROWS_AHEAD    16u  /* rows of hits sent for before they are read: they lie anywhere, */
#define BLOBS_AHEAD   8u   /* and what they refer to */

static const uint8_t empty_map[] = {0xa0};

static int wanted_mask(struct vex_read *read, const struct vex_vector_selector *selector, uint64_t *ret)
{
    const struct vex_config *config = read->data.config;
    *ret = selector->kind == VEX_VECTORS_ALL ? UINT64_MAX : 0;
    if (selector->kind != VEX_VECTORS_NAMED)
        return 0;
    for (uint32_t i = 0; i < selector->count; i++) {
        const struct vex_vector_params *params = vex_config_vector(config, selector->names[i]);
        if (params == NULL)
            return vex_err_set(read->err, VEX_EBAD_INPUT, "Not existing vector name error: " VEX_STR_FMT,
                               VEX_STR_ARG(selector->names[i]));
        *ret |= UINT64_C(1) << params->ordinal;
    }
    return 0;
}

int vex_result_plan(struct vex_read *read, const struct vex_payload_selector *payload,
                    const struct vex_vector_selector *vectors, struct vex_result_plan *ret)
{
    *ret = (struct vex_result_plan){.payload = payload};
    uint64_t wanted;
    int code = wanted_mask(read, vectors, &wanted);
    if (code != 0 || wanted == 0)
        return code;
    ret->vectors = VEX_ARENA_ARRAY(read->arena, const struct vex_vector_params *, VEX_VECTORS_MAX);
    ret->names = VEX_ARENA_ARRAY(read->arena, struct vex_str, VEX_VECTORS_MAX);
    for (uint8_t ordinal = 0; ordinal < VEX_VECTORS_MAX; ordinal++) {
        uint64_t bit = UINT64_C(1) << ordinal;
        const struct vex_vector_params *params =
            (wanted & bit) != 0 ? vex_config_ordinal(read->data.config, ordinal) : NULL;
        if (params == NULL)
            continue;
        ret->names[ret->count] =
            vex_str(vex_arena_strndup(read->arena, params->name.ptr, params->name.len), params->name.len);
        ret->vectors[ret->count++] = params;
        ret->mask |= bit;
    }
    return 0;
}

/* Room for `count` hits, zeroed. */
static int make_room(struct vex_read *read, uint64_t count, struct vex_hits *ret)
{
    size_t size;
    *ret = (struct vex_hits){0};
    if (count == 0)
        return 0;
    if (__builtin_mul_overflow(count, sizeof *ret->hits, &size))
        return vex_read_no_memory(read);
    ret->hits = vex_arena_try(read->arena, size);
    if (ret->hits == NULL)
        return vex_read_no_memory(read);
    memset(ret->hits, 0, size);
    ret->count = count;
    return 0;
}

static void *copy(struct vex_read *read, const void *data, size_t size)
{
    void *to = vex_arena_try(read->arena, size);
    if (to != NULL && size > 0)
        memcpy(to, data, size);
    return to;
}

/* A damaged blob reads as no payload. */
static int fill_payload(struct vex_read *read, const struct vex_payload_selector *selector,
                        const struct vex_row *row, struct vex_hit *hit)
{
    if (selector->kind == VEX_PAYLOAD_NONE)
        return 0;
    hit->has_payload = true;
    hit->payload.at = empty_map;
    if (row->blob == 0)
        return 0;
    struct vex_str payload = vex_blob_payload_bytes(vex_heap_get(read->data.heap, row->blob, row->blob_len));
    if (payload.ptr == NULL)
        return 0;
    if (selector->kind == VEX_PAYLOAD_ALL) {
        hit->payload.at = copy(read, payload.ptr, payload.len);
    } else {
        struct vex_buf out;
        vex_buf_init(&out, NULL);
        vex_payload_select(&out, (struct vex_value){(const uint8_t *)payload.ptr}, selector);
        hit->payload.at = copy(read, out.ptr, out.len);
        vex_buf_done(&out);
    }
    return hit->payload.at != NULL ? 0 : vex_read_no_memory(read);
}

static int fill_extra(struct vex_read *read, const struct vex_vector_params *params, uint32_t slot,
                      struct vex_vector_value *ret)
{
    struct vex_extra_vector stored;
    struct vex_str blob;
    int code = vex_read_blob(read, slot, &blob);
    if (code != 0)
        return code;
    if (!vex_blob_vector(blob, params->ordinal, &stored))
        return vex_err_set(read->err, VEX_ECORRUPT, "%s: a vector of a point is missing", read->what);
    ret->count = stored.count;
    ret->rows = stored.kind == VEX_VECTOR_MULTI ? stored.rows : 0;
    size_t floats = stored.kind == VEX_VECTOR_MULTI ? (size_t)stored.rows * stored.count : stored.count;
    ret->values = copy(read, stored.values, floats * sizeof(float));
    if (stored.kind == VEX_VECTOR_SPARSE)
        ret->indices = copy(read, stored.indices, (size_t)stored.count * sizeof(uint32_t));
    if (ret->values == NULL || (stored.kind == VEX_VECTOR_SPARSE && ret->indices == NULL))
        return vex_read_no_memory(read);
    return 0;
}

/* A vector without its values, for which there is room when it is dense. */
static int prepare_vector(struct vex_read *read, const struct vex_vector_params *params, struct vex_str name,
                          uint32_t slot, struct vex_vector_value *ret)
{
    *ret = (struct vex_vector_value){.name = name, .kind = params->kind};
    if (params->kind != VEX_VECTOR_DENSE)
        return fill_extra(read, params, slot, ret);
    float *values = vex_arena_try(read->arena, (size_t)params->size * sizeof *values);
    if (values == NULL)
        return vex_read_no_memory(read);
    ret->values = values;
    ret->count = params->size;
    return 0;
}

static int cannot_read(struct vex_read *read, int code)
{
    return code == 0 ? 0 : vex_err_set(read->err, code, "%s: a vector can't be read", read->what);
}

int vex_result_vector(struct vex_read *read, const struct vex_vector_params *params, struct vex_str name,
                      uint32_t slot, struct vex_vector_value *ret)
{
    int code = prepare_vector(read, params, name, slot, ret);
    if (code != 0 || params->kind != VEX_VECTOR_DENSE)
        return code;
    return cannot_read(read,
                       vex_vectors_read(read->data.vectors, params->ordinal, slot, (float *)ret->values));
}

/* All of a hit but its score and the values of its dense vectors. */
static int fill(struct vex_read *read, const struct vex_result_plan *plan, uint32_t slot, struct vex_hit *hit)
{
    const struct vex_row *row = vex_rows_at(read->data.rows, slot);
    struct vex_id id = vex_rows_id(read->data.rows, slot);
    hit->id = vex_id_dup(read->arena, &id);
    hit->version = row->version;
    memcpy(&hit->norm, &row->norm, sizeof hit->norm);
    int code = fill_payload(read, plan->payload, row, hit);
    uint64_t has = row->vectors & plan->mask;
    if (code != 0 || has == 0)
        return code;
    size_t size = (size_t)__builtin_popcountll(has) * sizeof *hit->vectors;
    hit->vectors = vex_arena_try(read->arena, size);
    if (hit->vectors == NULL)
        return vex_read_no_memory(read);
    for (uint32_t i = 0; i < plan->count && code == 0; i++) {
        if ((has >> plan->vectors[i]->ordinal & 1) == 0)
            continue;
        code = prepare_vector(read, plan->vectors[i], plan->names[i], slot, &hit->vectors[hit->vector_count]);
        hit->vector_count++;
    }
    return code;
}

/* The values of one vector name: as many as FETCH_AT_ONCE between two looks at the clock. */
static int fetch_name(struct vex_read *read, const struct vex_vector_params *params, struct vex_str name,
                      const uint32_t *slots, struct vex_hit *hits, uint64_t count)
{
    uint32_t some[FETCH_AT_ONCE], wanted = 0;
    float *values[FETCH_AT_ONCE];
    int code = 0;
    for (uint64_t i = 0; i <= count && code == 0; i++) {
        for (uint32_t v = 0; i < count && v < hits[i].vector_count; v++)
            if (hits[i].vectors[v].name.ptr == name.ptr) {
                some[wanted] = slots[i];
                values[wanted++] = (float *)hits[i].vectors[v].values;
            }
        if (wanted == 0 || (wanted < FETCH_AT_ONCE && i < count))
            continue;
        code =
            cannot_read(read, vex_vectors_fetch(read->data.vectors, params->ordinal, some, wanted, values));
        if (code == 0)
            code = vex_read_check(read);
        wanted = 0;
    }
    return code;
}

/* Reads the dense vectors of filled hits from the device; slots[i] is that of hits[i]. */
static int fetch(struct vex_read *read, const struct vex_result_plan *plan, const uint32_t *slots,
                 struct vex_hit *hits, uint64_t count)
{
    int code = 0;
    for (uint32_t i = 0; i < plan->count && code == 0; i++)
        if (plan->vectors[i]->kind == VEX_VECTOR_DENSE)
            code = fetch_name(read, plan->vectors[i], plan->names[i], slots, hits, count);
    return code;
}

static void send_for_row(const struct vex_read *read, uint32_t slot)
{
    __builtin_prefetch(vex_rows_at(read->data.rows, slot));
}

/* The row has come. */
static void send_for_blobs(const struct vex_read *read, const struct vex_result_plan *plan, uint32_t slot)
{
    const struct vex_row *row = vex_rows_at(read->data.rows, slot);

    if (row->id_kind == VEX_ID_TEXT)
        vex_heap_prefetch(read->data.heap, row->id[0], (uint32_t)row->id[1]);
    if (row->blob != 0 && plan->payload->kind != VEX_PAYLOAD_NONE)
        vex_heap_prefetch(read->data.heap, row->blob, row->blob_len);
}

int vex_result_slots(struct vex_read *read, const struct vex_result_plan *plan, const uint32_t *slots,
                     uint64_t count, struct vex_hits *ret)
{
    int code = make_room(read, count, ret);
    for (uint64_t i = 0; i < count && i < ROWS_AHEAD; i++)
        send_for_row(read, slots[i]);
    for (uint64_t i = 0; i < count && i < BLOBS_AHEAD; i++)
        send_for_blobs(read, plan, slots[i]);
    for (uint64_t i = 0; i < count && code == 0; i++) {
        if (i + ROWS_AHEAD < count)
            send_for_row(read, slots[i + ROWS_AHEAD]);
        if (i + BLOBS_AHEAD < count)
            send_for_blobs(read, plan, slots[i + BLOBS_AHEAD]);
        code = i % 256 == 255 ? vex_read_check(read) : 0;
        if (code == 0)
            code = fill(read, plan, slots[i], &ret->hits[i]);
    }
    if (code == 0)
        code = fetch(read, plan, slots, ret->hits, count);
    if (code != 0)
        *ret = (struct vex_hits){0};
    return code;
}
