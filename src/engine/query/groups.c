/* Groups: hits gathered by the values of a field.
 *
 * Method    The hits come best first, in pieces that grow, or all at once where each piece would begin from nothing: a value met for
 *           the first time opens a group while there are fewer than wanted, and each group takes its first hits. It ends when all
 *           groups are full or there are no more hits, so the answer is that of looking at all of them.
 * Lookup    Records of the other collection are read when this one is let go: no call holds two collections. */
#include "engine/query/stage.h"

#include "base/map.h"
#include "base/mem.h"

#define FIRST_MIN 64u /* hits of the first piece, at least */
#define GROWTH    8u

struct member {
    uint32_t slot;
    float score;
    bool has_value;
    struct vex_order_value value;
};

struct group {
    struct vex_value id; /* in the arena */
    struct member *members;
    uint64_t count, cap;
};

struct grouping {
    struct vex_read *read;
    const struct vex_groups *request;
    struct vex_map by_id; /* value's bytes -> struct group */
    struct group **groups;
    uint64_t count, cap, full;
    const struct member *member; /* the hit being put into its groups */
};

/* ---- one hit ---- */

static bool can_group(struct vex_value v)
{
    enum vex_value_kind kind = vex_value_kind(v);
    return kind == VEX_VALUE_TEXT || kind == VEX_VALUE_INT || kind == VEX_VALUE_UINT;
}

/* A point with a value that is no group id is in no group at all. */
static int refuses(void *arg, struct vex_value v)
{
    struct vex_value_iter it;
    (void)arg;
    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        return !can_group(v);
    for (it = vex_value_iter(v); vex_value_next(&it);)
        if (!can_group(it.value))
            return 1;
    return 0;
}

static void *twice(const void *array, uint64_t count, uint64_t *cap, size_t size)
{
    uint64_t bigger = *cap != 0 ? *cap * 2 : 8;
    void *ret = vex_mem_try(bigger * size);
    if (ret == NULL)
        return NULL;
    if (count > 0)
        memcpy(ret, array, count * size);
    *cap = bigger;
    return ret;
}

static int open_group(struct grouping *g, struct vex_str key, struct group **ret)
{
    struct group *group = vex_arena_try(g->read->arena, sizeof *group);
    char *id = vex_arena_try(g->read->arena, key.len);
    if (group == NULL || id == NULL)
        return vex_read_no_memory(g->read);
    if (g->count == g->cap) {
        struct group **groups = twice(g->groups, g->count, &g->cap, sizeof(struct group *));
        if (groups == NULL)
            return vex_read_no_memory(g->read);
        vex_mem_free(g->groups);
        g->groups = groups;
    }
    memcpy(id, key.ptr, key.len);
    *group = (struct group){.id = {(const uint8_t *)id}};
    vex_map_put(&g->by_id, key, group);
    g->groups[g->count++] = group;
    *ret = group;
    return 0;
}

static int join(struct grouping *g, struct vex_value v)
{
    struct vex_str key = vex_str((const char *)v.at, vex_value_size(v));
    struct group *group = vex_map_get(&g->by_id, key);
    if (group == NULL) {
        if (g->count == g->request->limit)
            return 0;
        int code = open_group(g, key, &group);
        if (code != 0)
            return code;
    }
    if (group->count == g->request->size ||
        (group->count > 0 && group->members[group->count - 1].slot == g->member->slot))
        return 0;
    if (group->count == group->cap) {
        struct member *members = twice(group->members, group->count, &group->cap, sizeof *members);
        if (members == NULL)
            return vex_read_no_memory(g->read);
        vex_mem_free(group->members);
        group->members = members;
    }
    group->members[group->count++] = *g->member;
    g->full += group->count == g->request->size;
    return 0;
}

static int join_all(void *arg, struct vex_value v)
{
    struct vex_value_iter it;
    int code = 0;
    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        return join(arg, v);
    for (it = vex_value_iter(v); code == 0 && vex_value_next(&it);)
        code = join(arg, it.value);
    return code;
}

static int put(struct grouping *g, const struct member *member)
{
    struct vex_value payload = vex_collection_payload(&g->read->data, member->slot);
    int code = vex_read_step(g->read);
    if (code != 0 || payload.at == NULL || vex_path_each(&g->request->by, payload, refuses, NULL) != 0)
        return code;
    g->member = member;
    return vex_path_each(&g->request->by, payload, join_all, g);
}

static bool is_done(const struct grouping *g)
{
    return g->count == g->request->limit && g->full == g->count;
}

/* ---- hits ---- */

static uint64_t first_piece(const struct vex_groups *request)
{
    uint64_t hits;
    if (__builtin_mul_overflow(request->limit, request->size, &hits) || hits > UINT64_MAX / GROWTH)
        return UINT64_MAX / GROWTH;
    return hits * 2 > FIRST_MIN ? hits * 2 : FIRST_MIN;
}

static uint64_t next_piece(uint64_t piece)
{
    return piece > UINT64_MAX / GROWTH ? UINT64_MAX : piece * GROWTH;
}

static int by_score(struct grouping *g)
{
    struct vex_nearest request = g->request->stage->nearest;
    struct vex_candidates candidates = {0};
    struct vex_query query;
    uint64_t done = 0;
    request.offset = 0;
    int code = vex_nearest_resolve(g->read, &request, NULL, &query);
    if (code == 0 && (query.params->size != 0 || query.params->kind == VEX_VECTOR_SPARSE))
        code = vex_nearest_candidates(g->read, &query, &candidates);
    for (uint64_t piece = first_piece(g->request); code == 0 && !is_done(g); piece = next_piece(piece)) {
        struct vex_scored_list list = {0};
        struct vex_query again = query;
        request.limit = piece < candidates.count ? piece : candidates.count;
        again.list = &list;
        code = candidates.count > 0 ? vex_nearest_among(g->read, &again, 1, &candidates) : 0;
        for (uint64_t i = done; i < list.count && code == 0 && !is_done(g); i++)
            code = put(g, &(struct member){.slot = list.entries[i].slot, .score = list.entries[i].score});
        bool last = list.count < piece;
        done = list.count;
        vex_mem_free(list.entries);
        if (last)
            break;
    }
    vex_candidates_done(&candidates);
    return code;
}

static int by_stage(struct grouping *g)
{
    const struct vex_stage *stage = g->request->stage;
    uint64_t done = 0;
    int code = 0;
    bool last = false;
    /* Another sample would be other points. */
    bool whole = stage->prefetch_count > 0 || stage->kind == VEX_STAGE_SAMPLE;
    uint64_t piece = whole ? UINT64_MAX : first_piece(g->request);
    for (; code == 0 && !last && !is_done(g); piece = next_piece(piece)) {
        struct vex_scored_list list;
        code = vex_stage_run(g->read, stage, 0, piece, &list);
        for (uint64_t i = done; i < list.count && code == 0 && !is_done(g); i++) {
            struct member member = {.slot = list.entries[i].slot,
                                    .score = list.entries[i].score,
                                    .has_value = list.values != NULL};
            if (member.has_value)
                member.value = list.values[i];
            code = put(g, &member);
        }
        last = list.count < piece;
        done = list.count;
        vex_scored_list_done(&list);
    }
    return code;
}

/* ---- the answer ---- */

static int answer_group(struct vex_read *read, const struct vex_stage *stage,
                        const struct vex_result_plan *plan, const struct group *group, struct vex_group *ret)
{
    uint32_t *slots = vex_mem_try((group->count + 1) * sizeof *slots);
    if (slots == NULL)
        return vex_read_no_memory(read);
    for (uint64_t i = 0; i < group->count; i++)
        slots[i] = group->members[i].slot;
    *ret = (struct vex_group){.id = group->id};
    int code = vex_result_slots(read, plan, slots, group->count, &ret->hits);
    for (uint64_t i = 0; i < group->count && code == 0; i++) {
        ret->hits.hits[i].score = group->members[i].score;
        if (vex_stage_lists(stage))
            ret->hits.hits[i].version = 0;
        ret->hits.hits[i].has_order_value = group->members[i].has_value;
        ret->hits.hits[i].order_value = group->members[i].value;
    }
    vex_mem_free(slots);
    return code;
}

static int answer(struct grouping *g, struct vex_group **ret, size_t *ret_count)
{
    const struct vex_groups *request = g->request;
    struct vex_result_plan plan;
    const struct vex_nearest *selectors = &request->stage->nearest;
    int code = vex_result_plan(g->read, &selectors->payload, &selectors->vectors, &plan);
    struct vex_group *groups = vex_arena_try(g->read->arena, (size_t)(g->count + 1) * sizeof *groups);
    if (code == 0 && groups == NULL)
        code = vex_read_no_memory(g->read);
    for (uint64_t i = 0; i < g->count && code == 0; i++)
        code = answer_group(g->read, request->stage, &plan, g->groups[i], &groups[i]);
    if (code == 0) {
        *ret = groups;
        *ret_count = g->count;
    }
    return code;
}

static int find_groups(struct vex_read *read, const struct vex_groups *request, struct vex_group **ret,
                       size_t *ret_count)
{
    struct grouping g = {.read = read, .request = request};
    int code = 0;
    if (request->limit == 0 || request->size == 0)
        return 0;
    vex_map_init(&g.by_id);
    code = request->stage->kind == VEX_STAGE_NEAREST && request->stage->prefetch_count == 0 ? by_score(&g)
                                                                                            : by_stage(&g);
    if (code == 0)
        code = answer(&g, ret, ret_count);
    for (uint64_t i = 0; i < g.count; i++)
        vex_mem_free(g.groups[i]->members);
    vex_mem_free(g.groups);
    vex_map_done(&g.by_id);
    return code;
}

/* ---- lookup ---- */

/* As the peer reads a group's value as an id. */
static bool id_of(struct vex_value v, struct vex_id *ret)
{
    switch (vex_value_kind(v)) {
    case VEX_VALUE_INT:
        if (vex_value_int(v) < 0)
            return false;
        *ret = vex_id_num((uint64_t)vex_value_int(v));
        return true;
    case VEX_VALUE_UINT:
        *ret = vex_id_num(vex_value_uint(v));
        return true;
    default:
        if (!vex_id_from_uuid_text(vex_value_text(v), ret))
            *ret = (struct vex_id){.kind = VEX_ID_TEXT, .text = vex_value_text(v)};
        return true;
    }
}

static int look_up(const struct vex_groups *request, struct vex_read_context *context,
                   struct vex_group *groups, size_t count, struct vex_err *err)
{
    struct vex_id *ids = vex_arena_try(context->arena, (count + 1) * sizeof *ids);
    struct vex_hits found;
    uint32_t wanted = 0;
    if (ids == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "Groups: the answer does not fit into memory");
    for (size_t i = 0; i < count; i++)
        wanted += id_of(groups[i].id, &ids[wanted]);
    struct vex_retrieve retrieve = {
        .ids = ids, .count = wanted, .payload = request->lookup_payload, .vectors = request->lookup_vectors};
    int code = vex_read_retrieve(request->lookup, &retrieve, context, &found, err);
    /* Found ones come in the order of the groups, each once. */
    for (size_t i = 0, at = 0; code == 0 && i < count && at < found.count; i++) {
        struct vex_id id;
        if (!id_of(groups[i].id, &id) || !vex_id_eq(&id, &found.hits[at].id))
            continue;
        groups[i].has_lookup = true;
        groups[i].lookup = found.hits[at++];
    }
    return code;
}

int vex_read_groups(struct vex_collection *collection, const struct vex_groups *request,
                    struct vex_read_context *context, struct vex_group **ret, size_t *ret_count,
                    struct vex_err *err)
{
    struct vex_read read;
    *ret = NULL;
    *ret_count = 0;
    int code = vex_stage_open(&read, collection, context, request->stage, 1, err);
    if (code != 0)
        return code;
    code = find_groups(&read, request, ret, ret_count);
    vex_read_close(&read);
    if (code == 0 && request->lookup != NULL && *ret_count > 0)
        code = look_up(request, context, *ret, *ret_count, err);
    if (code != 0)
        *ret_count = 0;
    return code;
}
