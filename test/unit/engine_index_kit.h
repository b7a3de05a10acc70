/* For tests of payload indexes inside the engine: indexes over the keys of engine_kit.h, and a comparison of everything that an
 * index answers with what reading the payloads answers. */
#ifndef VEX_TEST_ENGINE_INDEX_KIT_H
#define VEX_TEST_ENGINE_INDEX_KIT_H

#include "engine/filter/match.h"
#include "unit/engine_kit.h"

static inline struct vex_index_params kit_index(int key)
{
    static const uint8_t types[KIT_KEYS] = {VEX_INDEX_INTEGER, VEX_INDEX_FLOAT, VEX_INDEX_KEYWORD,
                                            VEX_INDEX_INTEGER};

    return (struct vex_index_params){
        .field = vex_str_c(kit_keys[key]), .type = types[key], .range = true, .lookup = true};
}

/* For vex_engine_alter. */
static inline int kit_add_index(void *arg, struct vex_config *config, struct vex_err *err)
{
    (void)err;
    vex_config_set_index(config, arg);
    return 0;
}

static inline int kit_remove_index(void *arg, struct vex_config *config, struct vex_err *err)
{
    const struct vex_index_params *params = arg;

    (void)err;
    vex_config_remove_index(config, params->field);
    return 0;
}

static inline const struct vex_analyzer *kit_analyzer(void *arg, const struct vex_path *path)
{
    return vex_index_set_analyzer(arg, path);
}

static inline bool kit_reads_true(const struct vex_collection_data *data, const struct vex_filter *filter,
                                  uint32_t slot)
{
    struct vex_match_point point = {.id = vex_rows_id(data->rows, slot),
                                    .payload = vex_collection_payload(data, slot),
                                    .vectors = vex_rows_at(data->rows, slot)->vectors};

    return vex_filter_match(filter, &point);
}

static inline bool kit_bit(const uint64_t *bits, uint32_t slots, uint32_t slot)
{
    return slot < slots && (bits[slot / 64] >> (slot % 64) & 1) != 0;
}

/* One condition, by index and by reading. */
static inline bool kit_same_answer(const struct vex_collection_data *data, const struct vex_index *index,
                                   struct vex_cond *cond, char *why, size_t size)
{
    struct vex_filter filter = {.must = {cond, 1}};
    uint32_t slots = vex_rows_slots(data->rows), pending_slots;
    size_t words = (size_t)slots / 64 + 1;
    uint64_t *sure = vex_mem_zalloc(words * 8), *unsure = vex_mem_zalloc(words * 8), pending_count;
    const uint64_t *pending = vex_index_set_pending(data->indexes, &pending_slots, &pending_count),
                   *live = vex_rows_live(data->rows);
    struct vex_arena arena;
    struct vex_filter_binding binding = {.arena = &arena, .analyzer = kit_analyzer, .arg = data->indexes};
    struct vex_err err;
    bool same = true;

    vex_arena_init(&arena, 0);
    if (vex_filter_bind(&filter, &binding, &err) != 0)
        abort();
    bool served = vex_index_estimate(index, cond).served;
    if (vex_index_type(index) == VEX_INDEX_INTEGER && !served)
        same = kit_differs(why, size, "condition %u is not served (%llu, %llu)", cond->kind, 0, 0);
    if (served) {
        vex_index_match(index, cond, sure, unsure, slots);
        for (uint32_t slot = 0; slot < slots && same; slot++) {
            bool reads, said;

            if (!kit_bit(live, slots, slot) || (pending != NULL && kit_bit(pending, pending_slots, slot)))
                continue;
            reads = kit_reads_true(data, &filter, slot);
            said = kit_bit(sure, slots, slot) || (kit_bit(unsure, slots, slot) && reads);
            if (said != reads)
                same = kit_differs(why, size, "slot %u: the index says %llu, the payload %llu", slot, said,
                                   reads);
        }
    }
    vex_filter_unbind(&binding);
    vex_arena_done(&arena);
    vex_mem_free(sure);
    vex_mem_free(unsure);
    return same;
}

static inline bool kit_same_conditions(const struct vex_collection_data *data, const struct vex_index *index,
                                       const struct vex_path *path, char *why, size_t size)
{
    bool same = true;

    for (int64_t value = 0; value < 6 && same; value++) {
        struct vex_cond any = {.kind = VEX_COND_ANY, .path = *path};
        struct vex_cond range = {.kind = VEX_COND_RANGE, .path = *path};

        any.values.ints = &value;
        any.values.int_count = 1;
        range.range.has_gte = true;
        range.range.gte = (double)value;
        same =
            kit_same_answer(data, index, &any, why, size) && kit_same_answer(data, index, &range, why, size);
    }
    if (same) {
        struct vex_cond empty = {.kind = VEX_COND_IS_EMPTY, .path = *path};
        same = kit_same_answer(data, index, &empty, why, size);
    }
    return same;
}

/* Nothing of dead slots is left: as many points as in an index made of the rows as they are. */
static inline bool kit_same_points(const struct vex_collection_data *data, const struct vex_index *index,
                                   const struct vex_index_params *params, char *why, size_t size)
{
    uint32_t slots = vex_rows_slots(data->rows);
    struct vex_index *fresh;
    struct vex_err err;
    bool same;

    if (vex_index_new(params, &fresh, &err) != 0)
        abort();
    for (uint32_t slot = 0; slot < slots; slot++)
        if (kit_bit(vex_rows_live(data->rows), slots, slot))
            vex_index_add(fresh, slot, vex_collection_payload(data, slot));
    same = vex_index_points(index) == vex_index_points(fresh);
    if (!same)
        kit_differs(why, size, "%u: the index has %llu points, a new one %llu", 0, vex_index_points(index),
                    vex_index_points(fresh));
    vex_index_free(fresh);
    return same;
}

/* Every complete index answers as the payloads do. settled: nothing may be pending, all must be complete. */
static inline bool kit_indexes_right(struct vex_collection *collection, bool settled, char *why, size_t size)
{
    struct vex_collection_data data;
    struct vex_arena arena;
    struct vex_err err;
    uint64_t count;
    uint32_t slots;
    bool same = true;

    if (vex_collection_read_begin(collection, &data, &err) != 0) {
        snprintf(why, size, "%.200s", err.text);
        return false;
    }
    vex_arena_init(&arena, 0);
    if (settled && vex_index_set_pending(data.indexes, &slots, &count) != NULL)
        same = kit_differs(why, size, "%u: %llu slots of %llu are pending", 0, count, slots);
    for (uint32_t i = 0; i < data.config->index_count && same; i++) {
        const struct vex_index_params *params = &data.config->indexes[i];
        const struct vex_index *index;
        struct vex_path path;

        if (vex_path_parse(&arena, params->field, &path, &err) != 0)
            abort();
        index = vex_index_set_find(data.indexes, &path);
        if (index == NULL)
            same = !settled || kit_differs(why, size, "index %u is not complete (%llu, %llu)", i, 0, 0);
        else
            same = kit_same_conditions(&data, index, &path, why, size) &&
                   (!settled || kit_same_points(&data, index, params, why, size));
    }
    vex_arena_done(&arena);
    vex_collection_read_end(collection);
    return same;
}

#endif
