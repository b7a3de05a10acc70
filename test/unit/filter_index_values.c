/* Payload indexes against reading the payloads: random fields, values, conditions and histories; sure and unsure slots, bounds,
 * walks and facets must be what the residual predicate says. */
#include "filter_index_kit.h"

#define SLOTS 700u

struct world {
    struct vex_index_params params;
    struct vex_index *index;
    struct vex_arena arena; /* of the conditions of a round */
    struct vex_buf payloads[SLOTS];
    bool live[SLOTS];
    int favourite;
    bool plain;
};

/* Text, integer, float, geo, bool, datetime, uuid; with the kind of value that is put most. */
static const struct {
    enum vex_index_type type;
    int favourite;
    bool prefix;
} types[] = {
    {VEX_INDEX_KEYWORD, 0, false},  {VEX_INDEX_KEYWORD, 0, true}, {VEX_INDEX_INTEGER, 1, false},
    {VEX_INDEX_FLOAT, 3, false},    {VEX_INDEX_GEO, 5, false},    {VEX_INDEX_BOOL, 4, false},
    {VEX_INDEX_DATETIME, 0, false}, {VEX_INDEX_UUID, 0, false},   {VEX_INDEX_FLOAT, 2, false},
};
#define TYPES (sizeof types / sizeof *types)

static void open_world(struct world *world, size_t type, const char *field, bool plain)
{
    struct vex_err err;

    *world = (struct world){.favourite = types[type].favourite, .plain = plain};
    world->params = (struct vex_index_params){.field = vex_str_c(field),
                                              .type = types[type].type,
                                              .prefix = types[type].prefix,
                                              .range = true,
                                              .lookup = true};
    vex_arena_init(&world->arena, 0);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        vex_buf_init(&world->payloads[slot], NULL);
    CU_ASSERT_FATAL(vex_index_new(&world->params, &world->index, &err) == 0);
}

static void close_world(struct world *world)
{
    vex_index_free(world->index);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        vex_buf_done(&world->payloads[slot]);
    vex_arena_done(&world->arena);
}

static struct vex_value payload_of(const struct world *world, uint32_t slot)
{
    return (struct vex_value){(const uint8_t *)world->payloads[slot].ptr};
}

static void add_one(struct world *world, uint32_t slot)
{
    world->payloads[slot].len = 0;
    kit_put_payload(&world->payloads[slot], world->favourite, world->plain);
    vex_index_add(world->index, slot, payload_of(world, slot));
    world->live[slot] = true;
}

static void forget_some(struct world *world)
{
    uint64_t bits[(SLOTS + 63) / 64] = {0};

    for (uint32_t i = 0; i < SLOTS / 8; i++) {
        uint32_t slot = kit_below(SLOTS);
        bits[slot / 64] |= UINT64_C(1) << slot % 64;
        world->live[slot] = false;
    }
    vex_index_forget(world->index, bits, SLOTS);
}

static void save_and_load(struct world *world)
{
    struct vex_buf out;
    struct vex_index *other;
    struct vex_cursor c;
    struct vex_err err;

    vex_buf_init(&out, NULL);
    vex_index_save(world->index, &out);
    CU_ASSERT_FATAL(vex_index_new(&world->params, &other, &err) == 0);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT_FATAL(vex_index_load(other, &c, &err) == 0);
    CU_ASSERT(vex_cursor_left(&c) == 0);
    CU_ASSERT(vex_index_points(other) == vex_index_points(world->index));
    vex_index_free(world->index);
    world->index = other;
    vex_buf_done(&out);
}

static void change(struct world *world)
{
    uint32_t what = kit_below(12), count = 1 + kit_below(40);

    for (uint32_t i = 0; i < count * 4; i++) {
        uint32_t slot = kit_below(SLOTS);
        if (!world->live[slot]) {
            add_one(world, slot);
        } else if (kit_below(3) == 0) {
            vex_index_remove(world->index, slot, payload_of(world, slot));
            world->live[slot] = false;
        }
    }
    if (what == 0)
        forget_some(world);
    else if (what == 1)
        save_and_load(world);
    else if (what < 6 && vex_index_prepare(world->index))
        vex_index_publish(world->index);
}

static bool has(const uint64_t *bits, uint32_t slot)
{
    return (bits[slot / 64] >> slot % 64 & 1) != 0;
}

struct seen {
    uint64_t bits[(SLOTS + 63) / 64];
    uint32_t count;
    bool twice;
};

static int see(void *arg, uint32_t slot)
{
    struct seen *seen = arg;

    seen->twice = seen->twice || slot >= SLOTS || has(seen->bits, slot);
    if (slot < SLOTS)
        seen->bits[slot / 64] |= UINT64_C(1) << slot % 64;
    seen->count++;
    return 0;
}

/* One condition, bound; true: the index serves it. */
static bool check_cond(struct world *world, struct vex_filter *filter, uint32_t *unsure_count)
{
    const struct vex_cond *cond = filter->must.conds;
    uint64_t sure[(SLOTS + 63) / 64] = {0}, unsure[(SLOTS + 63) / 64] = {0};
    struct vex_index_estimate est = vex_index_estimate(world->index, cond);
    uint32_t limit = kit_below(4) == 0 ? kit_below(SLOTS) : SLOTS;
    uint64_t truth = 0;
    bool good = true;
    struct seen seen = {0};

    if (!est.served)
        return false;
    vex_index_match(world->index, cond, sure, unsure, limit);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct vex_match_point point = {.payload = payload_of(world, slot)};
        bool matches;
        if (slot >= limit)
            good = good && !has(sure, slot) && !has(unsure, slot);
        if (!world->live[slot])
            continue;
        matches = vex_filter_match(filter, &point);
        truth += matches;
        *unsure_count += has(unsure, slot) && !has(sure, slot);
        if (slot < limit)
            good = good && (matches ? has(sure, slot) || has(unsure, slot) : !has(sure, slot));
    }
    if (!good || est.min > truth || est.max < truth)
        printf("\nkind %d arrays %d type %d: good %d min %llu truth %llu max %llu\n", cond->kind,
               cond->arrays, vex_index_type(world->index), good, (unsigned long long)est.min,
               (unsigned long long)truth, (unsigned long long)est.max);
    CU_ASSERT(good);
    CU_ASSERT(est.min <= truth && truth <= est.max);
    if (est.min != est.max)
        return true;
    CU_ASSERT(vex_index_each(world->index, cond, see, &seen) == 0);
    CU_ASSERT(!seen.twice && seen.count == truth);
    for (uint32_t slot = 0; slot < limit; slot++)
        good = good && has(seen.bits, slot) == has(sure, slot);
    CU_ASSERT(good);
    return true;
}

static const struct vex_analyzer *no_analyzer(void *arg, const struct vex_path *path)
{
    (void)arg, (void)path;
    return NULL;
}

static uint32_t check_conds(struct world *world, uint32_t count, uint32_t *unsure)
{
    uint32_t served = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct vex_cond cond = kit_cond(&world->arena, vex_index_path(world->index));
        struct vex_filter filter = {.must = {&cond, 1}};
        struct vex_filter_binding binding = {.arena = &world->arena, .analyzer = no_analyzer};
        struct vex_err err;
        CU_ASSERT_FATAL(vex_filter_bind(&filter, &binding, &err) == 0);
        served += check_cond(world, &filter, unsure);
        vex_filter_unbind(&binding);
        vex_arena_reset(&world->arena);
    }
    return served;
}

static void test_conditions(void)
{
    static struct world world;
    static const char *const fields[] = {"f", "a[].b", "f[0]", "a"};

    for (size_t type = 0; type < TYPES; type++)
        for (int field = 0; field < 4; field++) {
            uint32_t served = 0, unsure = 0;
            open_world(&world, type, fields[field], false);
            for (int round = 0; round < 40; round++) {
                change(&world);
                served += check_conds(&world, 40, &unsure);
            }
            CU_ASSERT(served > 800);
            close_world(&world);
        }
}

/* ---- order ---- */

struct pair {
    struct vex_order_value value;
    long double exact; /* of an integer beyond int64, which a walk orders exactly and gives as a float */
    uint32_t slot;
};

struct pairs {
    const struct world *world;
    struct pair *pairs;
    uint32_t count, slot;
};

static int by_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = vex_order_cmp(&x->value, &y->value);

    if (x->value.kind == VEX_ORDER_DOUBLE && y->value.kind == VEX_ORDER_DOUBLE && x->exact != y->exact)
        order = x->exact < y->exact ? -1 : x->exact > y->exact ? 1 : order;
    return order != 0 ? order : x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void take(struct pairs *pairs, struct vex_value v)
{
    struct vex_order_value value = {.kind = VEX_ORDER_INT};
    enum vex_value_kind kind = vex_value_kind(v);
    int type = pairs->world->params.type;

    if (type == VEX_INDEX_DATETIME) {
        if (kind != VEX_VALUE_TEXT || !vex_time_parse(vex_value_text(v), &value.integer))
            return;
    } else if (kind == VEX_VALUE_INT) {
        value.integer = vex_value_int(v);
    } else if (type == VEX_INDEX_FLOAT && vex_value_is_number(v)) {
        value.kind = VEX_ORDER_DOUBLE;
        value.real = vex_value_double(v);
    } else {
        return;
    }
    pairs->pairs[pairs->count++] = (struct pair){
        value, kind == VEX_VALUE_UINT ? vex_value_uint(v) : (long double)value.real, pairs->slot};
}

static int take_lead(void *arg, struct vex_value v)
{
    struct vex_value_iter it;

    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        take(arg, v);
    for (it = vex_value_iter(v); vex_value_kind(v) == VEX_VALUE_ARRAY && vex_value_next(&it);)
        take(arg, it.value);
    return 0;
}

/* Across kinds: integers beyond 2^53 and floats. */
static void test_order_cmp(void)
{
    struct vex_order_value big = {.kind = VEX_ORDER_INT, .integer = 9007199254740993};
    struct vex_order_value real = {.kind = VEX_ORDER_DOUBLE, .real = 9007199254740992.0};

    CU_ASSERT(vex_order_cmp(&big, &real) > 0);
    CU_ASSERT(vex_order_cmp(&real, &big) < 0);
    big.integer--;
    CU_ASSERT(vex_order_cmp(&big, &real) == 0);
    big.integer = INT64_MAX;
    real.real = 9223372036854775808.0;
    CU_ASSERT(vex_order_cmp(&big, &real) < 0);
    real.real = NAN;
    CU_ASSERT(vex_order_cmp(&big, &real) < 0 && vex_order_cmp(&real, &real) == 0);
}

static void check_walk(struct world *world, const struct pairs *all, bool descending,
                       const struct vex_order_value *from)
{
    struct vex_index_walk walk;
    struct vex_order_value value;
    uint32_t slot, left = all->count;
    bool good = true;

    vex_index_walk(world->index, descending, from, &walk);
    for (uint32_t i = 0; i < all->count; i++) {
        const struct pair *pair = &all->pairs[descending ? all->count - 1 - i : i];
        int order = from != NULL ? vex_order_cmp(&pair->value, from) : 0;
        if (order == 0 && from != NULL && from->kind == VEX_ORDER_DOUBLE &&
            pair->value.kind == VEX_ORDER_DOUBLE)
            order = (pair->exact > from->real) - (pair->exact < from->real);
        left--;
        if (descending ? order > 0 : order < 0)
            continue;
        good = good && vex_index_walk_next(&walk, &value, &slot);
        good = good && slot == pair->slot && vex_order_cmp(&value, &pair->value) == 0;
    }
    CU_ASSERT(good && left == 0);
    CU_ASSERT(!vex_index_walk_next(&walk, &value, &slot));
}

static void test_walks(void)
{
    static struct world world;

    for (size_t type = 0; type < TYPES; type++) {
        open_world(&world, type, "f", false);
        for (int round = 0; round < 30 && vex_index_ordered(world.index); round++) {
            struct pairs all = {.world = &world};
            change(&world);
            all.pairs = VEX_ARENA_ARRAY(&world.arena, struct pair, SLOTS * 8);
            for (all.slot = 0; all.slot < SLOTS; all.slot++)
                if (world.live[all.slot])
                    vex_path_each(vex_index_path(world.index), payload_of(&world, all.slot), take_lead, &all);
            qsort(all.pairs, all.count, sizeof *all.pairs, by_pair);
            check_walk(&world, &all, false, NULL);
            check_walk(&world, &all, true, NULL);
            for (int i = 0; i < 6; i++) {
                struct vex_order_value from = {.kind = VEX_ORDER_INT,
                                               .integer = kit_ints[kit_below(KIT_INTS)]};
                if (world.params.type == VEX_INDEX_DATETIME)
                    from.integer = kit_time();
                else if (i % 2 == 0)
                    from = (struct vex_order_value){.kind = VEX_ORDER_DOUBLE, .real = kit_bound()};
                check_walk(&world, &all, i % 3 == 0, &from);
            }
            vex_arena_reset(&world.arena);
        }
        close_world(&world);
    }
}

/* ---- facets ---- */

struct facets {
    struct world *world;
    const uint64_t *among;
    uint32_t values;
    bool good;
};

/* Slots that hold the value, by reading them. */
static uint64_t count_slots(const struct facets *facets, const struct vex_facet_value *value)
{
    struct vex_str text = value->text;
    int64_t integer = value->integer;
    struct vex_cond cond = {.kind = VEX_COND_ANY, .path = *vex_index_path(facets->world->index)};
    struct vex_filter filter = {.must = {&cond, 1}};
    uint64_t count = 0;

    cond.values = (struct vex_cond_values){
        .texts = &text,
        .ints = &integer,
        .text_count = value->kind == VEX_FACET_TEXT,
        .int_count = value->kind == VEX_FACET_INT,
        .has_true = value->kind == VEX_FACET_BOOL && value->boolean,
        .has_false = value->kind == VEX_FACET_BOOL && !value->boolean,
    };
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct vex_match_point point = {.payload = payload_of(facets->world, slot)};
        if (facets->world->live[slot] && (facets->among == NULL || has(facets->among, slot)))
            count += vex_filter_match(&filter, &point);
    }
    return count;
}

static int check_facet(void *arg, const struct vex_facet_value *value, uint64_t count)
{
    struct facets *facets = arg;

    facets->values++;
    facets->good = facets->good && count > 0 && count == count_slots(facets, value);
    return 0;
}

/* Values of the pool that some slot holds. */
static uint32_t count_values(const struct facets *facets)
{
    int type = facets->world->params.type;
    size_t pool = type == VEX_INDEX_INTEGER ? KIT_INTS : type == VEX_INDEX_BOOL ? 2 : KIT_TEXTS;
    uint32_t values = 0;

    for (size_t i = 0; i < pool; i++) {
        struct vex_facet_value value = {.kind = VEX_FACET_TEXT};
        if (type == VEX_INDEX_INTEGER)
            value = (struct vex_facet_value){.kind = VEX_FACET_INT, .integer = kit_ints[i]};
        else if (type == VEX_INDEX_BOOL)
            value = (struct vex_facet_value){.kind = VEX_FACET_BOOL, .boolean = i == 1};
        else
            value.text = vex_str_c(kit_texts[i]);
        values += count_slots(facets, &value) > 0;
    }
    return values;
}

static void test_facets(void)
{
    static struct world world;

    for (size_t type = 0; type < TYPES; type++) {
        open_world(&world, type, "f", false);
        for (int round = 0; round < 10 && vex_index_facets(world.index); round++) {
            uint64_t among[(SLOTS + 63) / 64];
            struct facets facets = {.world = &world, .good = true};
            for (int i = 0; i < 4; i++)
                change(&world);
            for (size_t i = 0; i < sizeof among / sizeof *among; i++)
                among[i] = kit_next() & kit_next();
            among[SLOTS / 64] &= (UINT64_C(1) << SLOTS % 64) - 1;
            for (int i = 0; i < 2; i++) {
                CU_ASSERT(vex_index_facet(world.index, facets.among, SLOTS, check_facet, &facets) == 0);
                CU_ASSERT(facets.good && facets.values == count_values(&facets));
                facets = (struct facets){.world = &world, .among = among, .good = true};
            }
        }
        close_world(&world);
    }
}

int main(void)
{
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    suite = CU_add_suite("filter_index_values", NULL, NULL);
    CU_add_test(suite, "conditions", test_conditions);
    CU_add_test(suite, "order across kinds", test_order_cmp);
    CU_add_test(suite, "walks", test_walks);
    CU_add_test(suite, "facets", test_facets);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
