/* Payload index: takes values out of payloads, keeps what all fields have in common, hands the rest to the field's value store.
 *
 * Owner      The collection's index set. Lock: see index.h.
 * Invariant  A store answers for the values it keeps (`own`). What others a slot has (`other`) is not known: a condition that one of
 *            them may meet gets those slots as unsure.
 * Format     u8 version, u8 type, the sets of slots in the order of `sets_of`, the store's. */
#include "engine/index/index.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/filter/match_parts.h"
#include "engine/index/private.h"

#define FORMAT_VERSION 1
#define SETS_MAX       8

/* ---- making ---- */

static const struct vex_values_ops *const stores[] = {
    [VEX_INDEX_KEYWORD] = &vex_values_keyword, [VEX_INDEX_INTEGER] = &vex_values_number,
    [VEX_INDEX_FLOAT] = &vex_values_number,    [VEX_INDEX_GEO] = &vex_values_geo,
    [VEX_INDEX_TEXT] = &vex_values_text,       [VEX_INDEX_BOOL] = &vex_values_boolean,
    [VEX_INDEX_DATETIME] = &vex_values_number, [VEX_INDEX_UUID] = &vex_values_keyword,
};

/* Where the sets of slots are; the number of them. */
static int sets_of(struct vex_index *index, struct vex_slots **ret[SETS_MAX])
{
    int count = 0;

    ret[count++] = &index->own;
    ret[count++] = &index->other;
    ret[count++] = &index->several;
    ret[count++] = &index->arrays;
    ret[count++] = &index->filled;
    ret[count++] = &index->nulls;
    if (index->type == VEX_INDEX_INTEGER || index->type == VEX_INDEX_UUID)
        ret[count++] = &index->typed;
    if (index->elements > 0)
        ret[count++] = &index->lacking;
    return count;
}

static struct vex_str copy_str(struct vex_arena *arena, struct vex_str s)
{
    return s.len > 0 ? vex_str(vex_arena_dup(arena, s.ptr, s.len), s.len) : VEX_STR("");
}

static struct vex_str *copy_strs(struct vex_arena *arena, const struct vex_str *strs, uint32_t count)
{
    struct vex_str *copy = VEX_ARENA_ARRAY(arena, struct vex_str, count + 1u);

    for (uint32_t i = 0; i < count; i++)
        copy[i] = copy_str(arena, strs[i]);
    return copy;
}

static void copy_params(struct vex_index *index, const struct vex_index_params *params)
{
    struct vex_arena *arena = &index->arena;
    struct vex_text_params *text;

    index->params = *params;
    index->params.field = copy_str(arena, params->field);
    index->params.doc = copy_str(arena, params->doc);
    index->params.nested = copy_str(arena, params->nested);
    if (params->text == NULL)
        return;
    text = VEX_ARENA_NEW(arena, struct vex_text_params);
    *text = *params->text;
    text->stemmer = copy_str(arena, text->stemmer);
    text->stopword_languages = copy_strs(arena, text->stopword_languages, text->stopword_language_count);
    text->stopwords = copy_strs(arena, text->stopwords, text->stopword_count);
    index->params.text = text;
}

const char *vex_index_type_name(enum vex_index_type type)
{
    static const char *const names[] = {"Unknown", "Keyword", "Integer",  "Float", "Geo",
                                        "Text",    "Bool",    "Datetime", "Uuid"};

    return (size_t)type < sizeof names / sizeof *names ? names[type] : names[0];
}

static bool same_step(const struct vex_step *a, const struct vex_step *b)
{
    return a->kind == b->kind && (a->kind != VEX_STEP_KEY || vex_str_eq(a->key, b->key));
}

int vex_index_nested(struct vex_arena *arena, const struct vex_path *path, struct vex_str nested,
                     uint32_t *ret_elements, struct vex_err *err)
{
    struct vex_path array;
    int rc = vex_path_parse(arena, nested, &array, err);

    if (rc != 0)
        return rc;
    if (array.count > 1 && array.steps[array.count - 1].kind == VEX_STEP_ALL) {
        array.count--;
        nested.len -= 2; /* how the step is spelt */
    }
    for (uint32_t i = 0; i < array.count; i++)
        if (array.steps[i].kind != VEX_STEP_KEY)
            return vex_err_set(err, VEX_EBAD_INPUT,
                               "Validation failed: nested `" VEX_STR_FMT
                               "[]` must point to a single array level, like `offers` or `offers[]`",
                               VEX_STR_ARG(nested));
    *ret_elements = array.count + 1;
    for (uint32_t i = 0; i < array.count && i < path->count; i++)
        if (!same_step(&array.steps[i], &path->steps[i]))
            *ret_elements = 0;
    if (*ret_elements != 0 && path->count > *ret_elements && path->steps[array.count].kind == VEX_STEP_ALL)
        return 0;
    return vex_err_set(err, VEX_EBAD_INPUT,
                       "Validation failed: field `" VEX_STR_FMT
                       "` must be inside the elements of nested `" VEX_STR_FMT "[]`, like `" VEX_STR_FMT
                       "[].price`",
                       VEX_STR_ARG(path->text), VEX_STR_ARG(nested), VEX_STR_ARG(nested));
}

int vex_index_new(const struct vex_index_params *params, struct vex_index **ret, struct vex_err *err)
{
    struct vex_index *index;
    struct vex_slots **sets[SETS_MAX];
    int rc;

    if (params->type == 0 || params->type >= sizeof stores / sizeof *stores)
        return vex_err_set(err, VEX_EBAD_INPUT, "unknown type of payload index: %u", params->type);
    index = VEX_NEW(struct vex_index);
    vex_arena_init(&index->arena, 0);
    vex_index_changed(index);
    index->type = params->type;
    index->ops = stores[params->type];
    copy_params(index, params);
    rc = vex_path_parse(&index->arena, index->params.field, &index->path, err);
    if (rc == 0 && params->nested.len > 0)
        rc = vex_index_nested(&index->arena, &index->path, index->params.nested, &index->elements, err);
    for (int i = sets_of(index, sets); i-- > 0;)
        *sets[i] = vex_slots_new();
    if (rc == 0) {
        index->values = index->ops->make(&index->params, err);
        rc = index->values != NULL ? 0 : err->code;
    }
    if (rc != 0) {
        vex_index_free(index);
        return rc;
    }
    *ret = index;
    return 0;
}

void vex_index_free(struct vex_index *index)
{
    struct vex_slots **sets[SETS_MAX];

    if (index == NULL)
        return;
    for (int i = sets_of(index, sets); i-- > 0;)
        vex_slots_free(*sets[i]);
    if (index->values != NULL)
        index->ops->free(index->values);
    vex_arena_done(&index->arena);
    vex_mem_free(index);
}

const struct vex_path *vex_index_path(const struct vex_index *index)
{
    return &index->path;
}

enum vex_index_type vex_index_type(const struct vex_index *index)
{
    return index->type;
}

uint32_t vex_index_elements(const struct vex_index *index)
{
    return index->elements;
}

const struct vex_analyzer *vex_index_analyzer(const struct vex_index *index)
{
    return index->ops->analyzer != NULL ? index->ops->analyzer(index->values) : NULL;
}

uint64_t vex_index_points(const struct vex_index *index)
{
    return vex_slots_count(index->typed != NULL ? index->typed : index->own);
}

uint64_t vex_index_bytes(const struct vex_index *index)
{
    struct vex_slots **sets[SETS_MAX];
    uint64_t bytes = sizeof *index + index->arena.held + index->ops->bytes(index->values);

    for (int i = sets_of((struct vex_index *)(uintptr_t)index, sets); i-- > 0;)
        bytes += vex_slots_bytes(*sets[i]);
    return bytes;
}

/* ---- changing ---- */

/* What is met in one payload. */
struct gather {
    struct vex_index *index;
    uint32_t slot;
    uint32_t values, leads; /* values with nulls and elements; what the path led to */
    bool adding, own, other, typed, filled, null, array, lacking;
};

static bool of_very_type(const struct vex_index *index, struct vex_value v)
{
    uint8_t uuid[16];

    if (index->type == VEX_INDEX_INTEGER)
        return vex_value_kind(v) == VEX_VALUE_INT;
    return vex_uuid_parse(vex_value_text(v), uuid);
}

static void gather_value(struct gather *gather, struct vex_value v)
{
    struct vex_index *index = gather->index;

    gather->values += gather->values < 2;
    if (vex_value_kind(v) == VEX_VALUE_NULL) {
        gather->null = true;
    } else if (vex_value_kind(v) == VEX_VALUE_ARRAY) {
        gather->other = true; /* in an array: not taken apart */
    } else if (!gather->adding) {
        index->ops->remove(index->values, gather->slot, v);
    } else if (index->ops->add(index->values, gather->slot, v)) {
        gather->own = true;
        gather->typed = gather->typed || (index->typed != NULL && of_very_type(index, v));
    } else {
        gather->other = true;
    }
}

static int gather_lead(void *arg, struct vex_value v)
{
    struct gather *gather = arg;
    struct vex_value_iter it;

    gather->leads += gather->leads < 2;
    if (vex_value_kind(v) != VEX_VALUE_ARRAY) {
        gather->filled = gather->filled || vex_value_kind(v) != VEX_VALUE_NULL;
        gather_value(gather, v);
        return 0;
    }
    gather->array = true;
    gather->filled = gather->filled || vex_value_count(v) > 0;
    for (it = vex_value_iter(v); vex_value_next(&it);)
        gather_value(gather, it.value);
    return 0;
}

static int gather_element(void *arg, struct vex_value v)
{
    struct gather *gather = arg;
    const struct vex_index *index = gather->index;
    struct vex_path rest = index->path;
    bool filled = gather->filled;

    rest.steps += index->elements;
    rest.count -= index->elements;
    gather->filled = false;
    vex_path_each(&rest, v, gather_lead, gather);
    gather->lacking = gather->lacking || (vex_value_kind(v) == VEX_VALUE_MAP && !gather->filled);
    gather->filled = gather->filled || filled;
    if (gather->adding && index->ops->end_element != NULL)
        index->ops->end_element(index->values, gather->slot);
    return 0;
}

static void gather_all(struct gather *gather, struct vex_value payload)
{
    struct vex_path above = gather->index->path;

    if (gather->index->elements == 0) {
        vex_path_each(&gather->index->path, payload, gather_lead, gather);
        return;
    }
    above.count = gather->index->elements;
    vex_path_each(&above, payload, gather_element, gather);
}

void vex_index_add(struct vex_index *index, uint32_t slot, struct vex_value payload)
{
    struct gather gather = {.index = index, .slot = slot, .adding = true};

    if (payload.at == NULL)
        return;
    vex_index_changed(index);
    gather_all(&gather, payload);
    if ((gather.leads > 0 || gather.lacking) && slot >= index->end)
        index->end = (uint64_t)slot + 1;
    if (gather.own)
        vex_slots_add(index->own, slot);
    if (gather.other)
        vex_slots_add(index->other, slot);
    if (gather.typed)
        vex_slots_add(index->typed, slot);
    if (gather.values > 1 || gather.leads > 1)
        vex_slots_add(index->several, slot);
    if (gather.array)
        vex_slots_add(index->arrays, slot);
    if (gather.filled)
        vex_slots_add(index->filled, slot);
    if (gather.null)
        vex_slots_add(index->nulls, slot);
    if (gather.lacking)
        vex_slots_add(index->lacking, slot);
}

void vex_index_remove(struct vex_index *index, uint32_t slot, struct vex_value payload)
{
    struct gather gather = {.index = index, .slot = slot};
    struct vex_slots **sets[SETS_MAX];

    if (payload.at == NULL)
        return;
    vex_index_changed(index);
    gather_all(&gather, payload);
    for (int i = sets_of(index, sets); i-- > 0;)
        vex_slots_remove(*sets[i], slot);
}

void vex_index_forget(struct vex_index *index, const uint64_t *bits, uint32_t slots)
{
    struct vex_slots **sets[SETS_MAX];
    uint64_t held = 0;

    for (int i = sets_of(index, sets); i-- > 0;)
        held += vex_slots_count_in(*sets[i], bits, slots);
    if (held == 0) /* so the store has nothing of them either */
        return;
    vex_index_changed(index);
    index->ops->forget(index->values, bits, slots);
    for (int i = sets_of(index, sets); i-- > 0;)
        vex_slots_forget(*sets[i], bits, slots);
}

bool vex_index_prepare(struct vex_index *index)
{
    return index->ops->prepare != NULL && index->ops->prepare(index->values);
}

void vex_index_publish(struct vex_index *index)
{
    vex_index_changed(index);
    if (index->ops->publish != NULL)
        index->ops->publish(index->values);
}

/* ---- conditions ---- */

/* Kinds of values, as masks. */
enum { TEXTS = 1, NUMBERS = 2, BOOLS = 4, MAPS = 8 };

/* Kinds that a condition can match at all. */
static unsigned kinds_asked(const struct vex_cond *cond)
{
    switch (cond->kind) {
    case VEX_COND_ANY:
    case VEX_COND_EXCEPT:
        return (cond->values.text_count > 0 ? TEXTS : 0u) |
               (cond->values.int_count > 0 || cond->values.double_count > 0 ? NUMBERS : 0u) |
               (cond->values.has_true || cond->values.has_false ? BOOLS : 0u);
    case VEX_COND_NUMBERS:
    case VEX_COND_RANGE:
        return NUMBERS;
    case VEX_COND_GEO_BOX:
    case VEX_COND_GEO_RADIUS:
    case VEX_COND_GEO_POLYGON:
        return MAPS;
    default:
        return TEXTS;
    }
}

/* Kinds that the store keeps, and those of them it keeps every value of that the condition could match. */
static unsigned kinds_kept(const struct vex_index *index)
{
    switch (index->type) {
    case VEX_INDEX_INTEGER:
    case VEX_INDEX_FLOAT:
        return NUMBERS;
    case VEX_INDEX_BOOL:
        return BOOLS;
    case VEX_INDEX_GEO:
        return MAPS;
    default:
        return TEXTS;
    }
}

static unsigned kinds_covered(const struct vex_index *index, const struct vex_cond *cond)
{
    if (index->type == VEX_INDEX_DATETIME && cond->kind != VEX_COND_TIME)
        return 0; /* texts that are no times are not kept */
    return kinds_kept(index);
}

static bool counts(const struct vex_cond *cond, uint8_t number)
{
    return vex_match_range(&cond->range, (struct vex_value){&number}); /* a small number is its own CBOR */
}

static struct vex_index_estimate between(uint64_t min, uint64_t max)
{
    return (struct vex_index_estimate){true, min, max};
}

/* A slot that is filled and has not several values has one. */
static struct vex_index_estimate estimate_count(const struct vex_index *index, const struct vex_cond *cond)
{
    uint64_t filled = vex_slots_count(index->filled), several = vex_slots_count(index->several);
    uint64_t ones = counts(cond, 1) ? filled : 0;

    return between(ones > several ? ones - several : 0, counts(cond, 0)  ? UINT64_MAX
                                                        : ones > several ? ones
                                                                         : several);
}

/* What `own` and `other` have for a condition that looks at values, any element of an array. */
static struct vex_index_estimate estimate_values(const struct vex_index *index, const struct vex_cond *cond)
{
    unsigned asked = kinds_asked(cond);
    struct vex_index_estimate est = between(0, 0);

    if ((asked & kinds_kept(index)) != 0)
        est = index->ops->estimate(index, cond);
    if ((asked & ~kinds_covered(index, cond)) != 0)
        est.max += vex_slots_count(index->other);
    return est;
}

static struct vex_index_estimate estimate_except(const struct vex_index *index, const struct vex_cond *cond)
{
    struct vex_cond any = *cond;
    struct vex_index_estimate listed = between(0, 0);
    uint64_t own = vex_slots_count(index->own), other = vex_slots_count(index->other);
    uint64_t several = vex_slots_count(index->several), least, most;
    unsigned asked = kinds_asked(cond);

    any.kind = VEX_COND_ANY;
    if ((asked & kinds_kept(index)) != 0)
        listed = index->ops->estimate(index, &any);
    if (!listed.served)
        return listed;
    least = own > listed.max ? own - listed.max : 0;
    if ((asked & ~kinds_covered(index, cond)) == 0)
        least = least > other ? least : other;
    most = (own > listed.min ? own - listed.min : 0) + (several < listed.max ? several : listed.max) + other;
    return between(least, most < own + other ? most : own + other);
}

static struct vex_index_estimate estimate_any_element(const struct vex_index *index,
                                                      const struct vex_cond *cond)
{
    return cond->kind == VEX_COND_EXCEPT ? estimate_except(index, cond) : estimate_values(index, cond);
}

struct vex_index_estimate vex_index_estimate(const struct vex_index *index, const struct vex_cond *cond)
{
    struct vex_index_estimate est;
    uint64_t arrays;

    switch (cond->kind) {
    case VEX_COND_FILTER:
    case VEX_COND_NESTED:
    case VEX_COND_HAS_ID:
    case VEX_COND_HAS_VECTOR:
    case VEX_COND_SLICE:
    case VEX_COND_KINDS:
        return (struct vex_index_estimate){0};
    case VEX_COND_IS_EMPTY: /* slots that the index never heard of are empty too */
        if (index->lacking == NULL)
            return between(0, UINT64_MAX);
        arrays = vex_slots_count(index->lacking);
        return between(arrays, arrays);
    case VEX_COND_IS_NULL:
        arrays = vex_slots_count(index->nulls);
        return between(arrays, arrays);
    case VEX_COND_VALUES_COUNT:
        return estimate_count(index, cond);
    default:
        break;
    }
    est = estimate_any_element(index, cond);
    if (!est.served || cond->arrays == VEX_ARRAYS_ANY)
        return est;
    arrays = vex_slots_count(index->arrays);
    if (cond->arrays == VEX_ARRAYS_NEVER)
        return between(est.min > arrays ? est.min - arrays : 0, est.max);
    return between(0, est.max < arrays ? est.max : arrays);
}

static size_t words_of(uint32_t slots)
{
    return ((size_t)slots + 63) / 64;
}

static uint64_t *new_bits(uint32_t slots)
{
    return vex_mem_zalloc((words_of(slots) + 1) * sizeof(uint64_t));
}

static void or_complement(const struct vex_slots *set, uint64_t *bits, uint32_t slots)
{
    size_t words = words_of(slots);
    uint64_t *missing = new_bits(slots);

    memset(missing, 0xff, words * sizeof *missing);
    if (slots % 64 != 0)
        missing[words - 1] = (UINT64_C(1) << slots % 64) - 1;
    vex_slots_andnot_from(set, missing, slots);
    for (size_t w = 0; w < words; w++)
        bits[w] |= missing[w];
    vex_mem_free(missing);
}

/* ORs a & b (or a & ~b) into bits. */
static void or_common(const struct vex_slots *a, const struct vex_slots *b, bool both, uint64_t *bits,
                      uint32_t slots)
{
    uint64_t *in_a = new_bits(slots), *in_b = new_bits(slots);

    vex_slots_or_into(a, in_a, slots);
    vex_slots_or_into(b, in_b, slots);
    for (size_t w = 0; w < words_of(slots); w++)
        bits[w] |= in_a[w] & (both ? in_b[w] : ~in_b[w]);
    vex_mem_free(in_a);
    vex_mem_free(in_b);
}

static void match_count(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                        uint64_t *unsure, uint32_t slots)
{
    if (counts(cond, 0))
        or_complement(index->filled, sure, slots);
    if (counts(cond, 1))
        or_common(index->filled, index->several, false, sure, slots);
    or_common(index->filled, index->several, true, unsure, slots);
}

static void match_values(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                         uint64_t *unsure, uint32_t slots)
{
    unsigned asked = kinds_asked(cond);

    if ((asked & kinds_kept(index)) != 0)
        index->ops->match(index, cond, sure, unsure, slots);
    if ((asked & ~kinds_covered(index, cond)) != 0)
        vex_slots_or_into(index->other, unsure, slots);
}

/* A slot matches when it has a value that is not listed: one whose only value is kept and not listed, or that has none of the
 * listed ones; of several values, some listed, it has to be read. */
static void match_except(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                         uint64_t *unsure, uint32_t slots)
{
    uint64_t *listed = new_bits(slots), *own = new_bits(slots), *several = new_bits(slots);
    unsigned asked = kinds_asked(cond);
    struct vex_cond any = *cond;

    any.kind = VEX_COND_ANY;
    if ((asked & kinds_kept(index)) != 0)
        index->ops->match(index, &any, listed, unsure, slots);
    vex_slots_or_into(index->own, own, slots);
    vex_slots_or_into(index->several, several, slots);
    for (size_t w = 0; w < words_of(slots); w++) {
        sure[w] |= own[w] & ~listed[w];
        unsure[w] |= own[w] & listed[w] & several[w];
    }
    vex_slots_or_into(index->other, (asked & ~kinds_covered(index, cond)) != 0 ? unsure : sure, slots);
    vex_mem_free(listed);
    vex_mem_free(own);
    vex_mem_free(several);
}

static void match_any_element(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                              uint64_t *unsure, uint32_t slots)
{
    if (cond->kind == VEX_COND_EXCEPT)
        match_except(index, cond, sure, unsure, slots);
    else
        match_values(index, cond, sure, unsure, slots);
}

/* Where arrays are treated in another way, a match can only be a match of any element; slots without arrays are told. */
static void match_by_arrays(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                            uint64_t *unsure, uint32_t slots)
{
    uint64_t *yes = new_bits(slots), *maybe = new_bits(slots), *arrays = new_bits(slots);

    match_any_element(index, cond, yes, maybe, slots);
    vex_slots_or_into(index->arrays, arrays, slots);
    for (size_t w = 0; w < words_of(slots); w++) {
        if (cond->arrays == VEX_ARRAYS_NEVER) {
            sure[w] |= yes[w] & ~arrays[w];
            unsure[w] |= (yes[w] & arrays[w]) | maybe[w];
        } else {
            unsure[w] |= (yes[w] | maybe[w]) & arrays[w];
        }
    }
    vex_mem_free(yes);
    vex_mem_free(maybe);
    vex_mem_free(arrays);
}

void vex_index_match(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                     uint64_t *unsure, uint32_t slots)
{
    if (cond->kind == VEX_COND_IS_EMPTY && index->lacking != NULL)
        vex_slots_or_into(index->lacking, sure, slots);
    else if (cond->kind == VEX_COND_IS_EMPTY)
        or_complement(index->filled, sure, slots);
    else if (cond->kind == VEX_COND_IS_NULL)
        vex_slots_or_into(index->nulls, sure, slots);
    else if (cond->kind == VEX_COND_VALUES_COUNT)
        match_count(index, cond, sure, unsure, slots);
    else if (cond->arrays == VEX_ARRAYS_ANY)
        match_any_element(index, cond, sure, unsure, slots);
    else
        match_by_arrays(index, cond, sure, unsure, slots);
}

/* The store may go over its values itself: no slot comes twice, and nothing else has a say. */
static bool store_goes(const struct vex_index *index, const struct vex_cond *cond)
{
    const struct vex_cond_values *list = &cond->values;

    if (index->ops->each == NULL || cond->kind == VEX_COND_EXCEPT || cond->kind == VEX_COND_IS_NULL ||
        cond->kind == VEX_COND_IS_EMPTY || cond->kind == VEX_COND_VALUES_COUNT ||
        cond->arrays != VEX_ARRAYS_ANY || (kinds_asked(cond) & kinds_kept(index)) == 0)
        return false;
    return vex_slots_count(index->several) == 0 ||
           (cond->kind == VEX_COND_ANY && kinds_kept(index) == TEXTS && list->text_count == 1);
}

int vex_index_each(const struct vex_index *index, const struct vex_cond *cond,
                   int (*fn)(void *arg, uint32_t slot), void *arg)
{
    uint32_t slots = (uint32_t)index->end;
    uint64_t *sure, *unsure;
    int stop = 0;

    if (cond->kind == VEX_COND_IS_NULL)
        return vex_slots_each(index->nulls, fn, arg);
    if (store_goes(index, cond))
        return index->ops->each(index, cond, fn, arg);
    sure = new_bits(slots);
    unsure = new_bits(slots);
    vex_index_match(index, cond, sure, unsure, slots);
    for (size_t w = 0; w < words_of(slots) && stop == 0; w++)
        for (uint64_t left = sure[w]; left != 0 && stop == 0; left &= left - 1)
            stop = fn(arg, (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(left));
    vex_mem_free(sure);
    vex_mem_free(unsure);
    return stop;
}

/* ---- facets, order, text ---- */

bool vex_index_facets(const struct vex_index *index)
{
    switch (index->type) {
    case VEX_INDEX_KEYWORD:
    case VEX_INDEX_UUID:
    case VEX_INDEX_BOOL:
        return true;
    case VEX_INDEX_INTEGER:
        return index->params.lookup;
    default:
        return false;
    }
}

int vex_index_facet(const struct vex_index *index, const uint64_t *among, uint32_t slots,
                    int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count), void *arg)
{
    const struct vex_facet_floor floor = {.least = 1};

    return vex_index_facet_above(index, among, slots, &floor, fn, arg);
}

int vex_index_facet_above(const struct vex_index *index, const uint64_t *among, uint32_t slots,
                          const struct vex_facet_floor *floor,
                          int (*fn)(void *arg, const struct vex_facet_value *value, uint64_t count),
                          void *arg)
{
    if (index->ops->facet == NULL)
        return 0;
    return index->ops->facet(index->values, among, slots, floor, fn, arg);
}

bool vex_index_ordered(const struct vex_index *index)
{
    if (index->type == VEX_INDEX_INTEGER)
        return index->params.range;
    return index->type == VEX_INDEX_FLOAT || index->type == VEX_INDEX_DATETIME;
}

void vex_index_walk(const struct vex_index *index, bool descending, const struct vex_order_value *from,
                    struct vex_index_walk *ret)
{
    *ret = (struct vex_index_walk){.index = index, .descending = descending};
    if (index->ops->walk != NULL)
        index->ops->walk(index->values, from, ret);
}

bool vex_index_walk_next(struct vex_index_walk *walk, struct vex_order_value *ret_value, uint32_t *ret_slot)
{
    const struct vex_index *index = walk->index;

    return index->ops->walk_next != NULL && index->ops->walk_next(index->values, walk, ret_value, ret_slot);
}

int vex_index_score(const struct vex_index *index, struct vex_str query, const struct vex_bm25 *bm25,
                    int (*fn)(void *arg, uint32_t slot, float score), void *arg, struct vex_err *err)
{
    if (index->ops->score == NULL)
        return vex_err_set(err, VEX_EBAD_INPUT, "the index of " VEX_STR_FMT " is not a text index",
                           VEX_STR_ARG(index->path.text));
    return index->ops->score(index->values, query, bm25, fn, arg, err);
}

/* ---- files ---- */

void vex_index_save(const struct vex_index *index, struct vex_buf *out)
{
    struct vex_slots **sets[SETS_MAX];
    int count = sets_of((struct vex_index *)(uintptr_t)index, sets);

    vex_buf_add_u8(out, FORMAT_VERSION);
    vex_buf_add_u8(out, (uint8_t)index->type);
    for (int i = 0; i < count; i++)
        vex_slots_save(*sets[i], out);
    index->ops->save(index->values, out);
}

static int note_end(void *arg, uint32_t slot)
{
    uint64_t *end = arg;

    if (slot >= *end)
        *end = (uint64_t)slot + 1;
    return 0;
}

static int load_sets(struct vex_index *index, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_slots **sets[SETS_MAX];
    int count = sets_of(index, sets);

    if (vex_cursor_u8(c) != FORMAT_VERSION || vex_cursor_u8(c) != index->type || c->bad)
        return vex_err_set(err, VEX_ECORRUPT, "payload index: another version or type");
    for (int i = 0; i < count; i++) {
        struct vex_slots *set = vex_slots_load(c);
        if (set == NULL)
            return vex_err_set(err, VEX_ECORRUPT, "payload index: bad set of slots");
        vex_slots_free(*sets[i]);
        *sets[i] = set;
        vex_slots_each(set, note_end, &index->end);
    }
    return 0;
}

/* As vex_index_new left it. */
static void start_afresh(struct vex_index *index)
{
    struct vex_slots **sets[SETS_MAX];
    struct vex_err err;

    for (int i = sets_of(index, sets); i-- > 0;) {
        vex_slots_free(*sets[i]);
        *sets[i] = vex_slots_new();
    }
    index->end = 0;
    index->ops->free(index->values);
    index->values = index->ops->make(&index->params, &err); /* these parameters have been accepted before */
    if (index->values == NULL)
        abort();
}

int vex_index_load(struct vex_index *index, struct vex_cursor *c, struct vex_err *err)
{
    int rc = load_sets(index, c, err);

    vex_index_changed(index);
    if (rc == 0)
        rc = index->ops->load(index->values, c, err);
    if (rc != 0)
        start_afresh(index);
    return rc;
}
