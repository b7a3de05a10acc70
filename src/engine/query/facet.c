/* Facets: a field's values with the number of points that hold each, from its index. */
#include "engine/query/field.h"

#include "base/map.h"
#include "base/mem.h"

#define NARROW_MAX   20000u /* matches whose payloads may be read instead */
#define READ_NS      1000u  /* a payload's values read and counted */
#define BYTES_PER_NS 2u     /* of an index that is gone over */

/* One value while it is counted; text points into an index. */
struct facet {
    struct vex_facet_value value;
    uint64_t count;
    bool seen; /* of the extra values: the complete index has it too */
};

/* The best values: a heap with the worst of them at its root, grows with what is offered. */
struct counting {
    struct vex_read *read;
    uint64_t limit;
    struct facet *best;
    uint64_t count, cap;
    struct vex_facet_floor floor; /* values of the complete index below it can't be among the best */
    uint64_t most_extra;          /* slots of a value in `extra` */
    struct vex_map extra;         /* value's bytes -> struct facet, of the slots beside the complete index */
};

/* ---- order ---- */

static int value_cmp(const struct vex_facet_value *a, const struct vex_facet_value *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == VEX_FACET_TEXT)
        return vex_str_cmp(a->text, b->text);
    if (a->kind == VEX_FACET_BOOL)
        return (int)a->boolean - (int)b->boolean;
    return a->integer < b->integer ? -1 : a->integer > b->integer;
}

static bool before(const struct facet *a, const struct facet *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    return value_cmp(&a->value, &b->value) < 0;
}

static void sink(struct facet *heap, uint64_t count, uint64_t at)
{
    struct facet facet = heap[at];
    for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(&heap[child], &heap[child + 1]))
            child++;
        if (!before(&facet, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = facet;
}

static void rise(struct facet *heap, uint64_t at)
{
    struct facet facet = heap[at];
    for (uint64_t parent; at > 0 && before(&heap[parent = (at - 1) / 2], &facet); at = parent)
        heap[at] = heap[parent];
    heap[at] = facet;
}

/* The heap is full: a better value takes the place of the worst. */
static void improve(struct counting *c, const struct facet *facet)
{
    if (c->limit == 0) {
        c->floor.least = UINT64_MAX;
        return;
    }
    if (before(facet, &c->best[0])) {
        c->best[0] = *facet;
        sink(c->best, c->count, 0);
    }
    if (c->best[0].count > c->most_extra + 1)
        c->floor.least = c->best[0].count - c->most_extra;
    if (c->most_extra == 0 && c->best[0].count == c->floor.least && c->best[0].value.kind == VEX_FACET_TEXT)
        c->floor.text = c->best[0].value.text;
    else
        c->floor.text = (struct vex_str){0};
}

static int offer(struct counting *c, const struct facet *facet)
{
    if (facet->count == 0)
        return 0;
    if (c->count == c->limit) {
        improve(c, facet);
        return 0;
    }
    if (c->count == c->cap) {
        uint64_t cap = c->cap != 0 ? c->cap * 2 : 32;
        struct facet *best = vex_mem_try(cap * sizeof *best);
        if (best == NULL)
            return vex_read_no_memory(c->read);
        if (c->count > 0)
            memcpy(best, c->best, c->count * sizeof *best);
        vex_mem_free(c->best);
        c->best = best;
        c->cap = cap;
    }
    c->best[c->count] = *facet;
    rise(c->best, c->count++);
    return 0;
}

/* ---- counting ---- */

static struct vex_str key_of(const struct vex_facet_value *value, char room[9])
{
    if (value->kind == VEX_FACET_TEXT)
        return value->text;
    int64_t integer = value->kind == VEX_FACET_BOOL ? value->boolean : value->integer;
    memcpy(room, &integer, sizeof integer);
    return vex_str(room, sizeof integer);
}

/* A value of the slots beside the complete index. */
static int add_extra(void *arg, const struct vex_facet_value *value, uint64_t count)
{
    struct counting *c = arg;
    char room[9];
    int code = vex_read_step(c->read);
    if (code != 0 || count == 0)
        return code;
    struct facet *facet = vex_arena_try(c->read->arena, sizeof *facet);
    if (facet == NULL)
        return vex_read_no_memory(c->read);
    *facet = (struct facet){*value, count, false};
    if (count > c->most_extra)
        c->most_extra = count;
    vex_map_put(&c->extra, key_of(value, room), facet);
    return 0;
}

static int add_value(void *arg, const struct vex_facet_value *value, uint64_t count)
{
    struct counting *c = arg;
    struct facet facet = {*value, count, false};
    char room[9];
    int code = vex_read_step(c->read);
    if (code != 0)
        return code;
    struct facet *extra = c->extra.count > 0 ? vex_map_get(&c->extra, key_of(value, room)) : NULL;
    if (extra != NULL) {
        facet.count += extra->count;
        extra->seen = true;
    }
    return offer(c, &facet);
}

/* Bits of the matches that the complete index tells rightly; NULL: all that it holds. Owned by *ret_owned. */
static int among_of(struct vex_read *read, const struct vex_field *field,
                    const struct vex_candidates *matches, uint64_t **ret_owned)
{
    size_t words = vex_plan_words(matches->slots);
    *ret_owned = vex_mem_try((words + 1) * sizeof **ret_owned);
    if (*ret_owned == NULL)
        return vex_read_no_memory(read);
    for (size_t w = 0; w < words; w++) {
        uint64_t pending =
            field->pending != NULL && w < vex_plan_words(field->pending_slots) ? field->pending[w] : 0;
        (*ret_owned)[w] = matches->allow[w] & ~pending;
    }
    return 0;
}

static int count_values(struct counting *c, const struct vex_field *field,
                        const struct vex_candidates *matches, bool filtered)
{
    struct vex_read *read = c->read;
    uint64_t *among = NULL;
    int code = 0;
    if (field->extra != NULL)
        code = vex_index_facet(field->extra, matches->allow, matches->slots, add_extra, c);
    if (code == 0 && field->index != NULL && (filtered || field->pending != NULL))
        code = among_of(read, field, matches, &among);
    if (code == 0 && field->index != NULL)
        code = vex_index_facet_above(field->index, among, matches->slots, &c->floor, add_value, c);
    vex_mem_free(among);
    size_t at = 0;
    struct vex_str key;
    for (void *value; code == 0 && vex_map_next(&c->extra, &at, &key, &value);)
        if (!((struct facet *)value)->seen)
            code = offer(c, value);
    return code;
}

/* ---- the answer ---- */

/* The heap empties from its worst value on. */
static int answer(struct counting *c, struct vex_facet_hit **ret, size_t *ret_count)
{
    struct vex_arena *arena = c->read->arena;
    uint64_t count = c->count;
    struct vex_facet_hit *hits = vex_arena_try(arena, (size_t)(count + 1) * sizeof *hits);
    if (hits == NULL)
        return vex_read_no_memory(c->read);
    for (uint64_t left = count; left > 0; left--) {
        struct vex_facet_value value = c->best[0].value;
        if (value.kind == VEX_FACET_TEXT) {
            char *text = vex_arena_try(arena, value.text.len + 1);
            if (text == NULL)
                return vex_read_no_memory(c->read);
            if (value.text.len > 0)
                memcpy(text, value.text.ptr, value.text.len);
            value.text.ptr = text;
        }
        hits[left - 1] = (struct vex_facet_hit){value, c->best[0].count};
        c->best[0] = c->best[left - 1];
        if (left > 1)
            sink(c->best, left - 1, 0);
    }
    *ret = hits;
    *ret_count = count;
    return 0;
}

/* To read the payloads of the matches is cheaper than to go over the whole index. */
static bool is_narrow(const struct vex_field *field, const struct vex_candidates *matches)
{
    return field->index != NULL && matches->count < NARROW_MAX &&
           matches->count * READ_NS < vex_index_bytes(field->index) / BYTES_PER_NS;
}

static int facet(struct vex_read *read, const struct vex_facet *request, struct vex_field *field,
                 struct vex_facet_hit **ret, size_t *ret_count)
{
    struct counting c = {.read = read, .limit = request->limit, .floor.least = 1};
    struct vex_candidates matches = {0};
    struct vex_read_filter filter;
    int code = vex_read_filter_bind(read, request->filter, &filter);
    if (code != 0)
        return code;
    code = vex_candidates_find(read, &filter, (struct vex_id_list){0}, VEX_NO_ORDINAL, &matches);
    vex_read_filter_unbind(&filter);
    vex_map_init(&c.extra);
    if (code == 0 && request->filter != NULL && is_narrow(field, &matches))
        code = vex_field_narrow(read, &matches, field);
    if (code == 0 && matches.count > 0)
        code = count_values(&c, field, &matches, request->filter != NULL);
    if (code == 0)
        code = answer(&c, ret, ret_count);
    vex_mem_free(c.best);
    vex_map_done(&c.extra);
    vex_candidates_done(&matches);
    return code;
}

int vex_read_facet(struct vex_collection *collection, const struct vex_facet *request,
                   struct vex_read_context *context, struct vex_facet_hit **ret, size_t *ret_count,
                   struct vex_err *err)
{
    struct vex_field field;
    struct vex_read read;
    *ret = NULL;
    *ret_count = 0;
    int code = vex_read_open(&read, collection, context, "Facet", err);
    if (code != 0)
        return code;
    code = vex_field_open(&read, &request->key, vex_index_facets, &field);
    if (code == VEX_ENOT_FOUND)
        code = vex_err_set(
            err, VEX_EBAD_INPUT,
            "No appropriate index for faceting: `" VEX_STR_FMT
            "`. Please create one to facet on this field. Check "
            "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload "
            "schemas support Match conditions",
            VEX_STR_ARG(request->key.text));
    else if (code == 0)
        code = facet(&read, request, &field, ret, ret_count);
    vex_field_close(&field);
    vex_read_close(&read);
    return code;
}
