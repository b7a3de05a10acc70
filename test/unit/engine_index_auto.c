/* Automatic payload indexes: when they are made and when not, what they are, that answers stay; and writes of many points at once
 * or of some of many, by indexes or without. */
#include "engine_index_world.h"

#include "engine/index_set_private.h"
#include "engine/query/query.h"

/* ---- automatic indexes ---- */

enum { LEARNT = VEX_AUTO_INDEX_POINTS + 500 }; /* points of a collection that learns */

static uint64_t count_of(struct world *w, struct vex_cond *cond)
{
    struct vex_filter filter = {.must = {cond, 1}};
    struct vex_read_context context = {0};
    struct vex_arena arena;
    struct vex_err err;
    uint64_t count = UINT64_MAX;

    vex_arena_init(&arena, 0);
    context.arena = &arena;
    CU_ASSERT(vex_read_count(w->collection, &filter, &context, &count, &err) == 0);
    vex_arena_done(&arena);
    return count;
}

static uint64_t count_value(struct world *w, struct vex_arena *arena, const char *key, int64_t value)
{
    struct vex_cond cond = {.kind = VEX_COND_ANY, .path = vex_path_key(arena, vex_str_c(key))};

    cond.values.ints = &value;
    cond.values.int_count = 1;
    return count_of(w, &cond);
}

static uint32_t index_count(struct world *w)
{
    struct vex_config *config = vex_collection_config(w->collection);
    uint32_t count = config->index_count;

    vex_config_unref(config);
    return count;
}

static void wait_pool(void)
{
    struct block blocks[2];

    occupy_pool(blocks);
    leave_pool(blocks);
}

static void ask_often(struct world *w, struct vex_arena *arena, const char *key, int times)
{
    for (int i = 0; i < times; i++)
        CU_ASSERT(count_value(w, arena, key, 2) == count_value(w, arena, key, 2));
    wait_pool();
}

static void world_open_learning(struct world *w, uint32_t points)
{
    world_open(w, 10);
    vex_collection_unref(w->collection);
    kit_close(&w->kit);
    w->kit.options.auto_index = true;
    CU_ASSERT_FATAL(kit_open(&w->kit) == 0);
    find_collection(w);
    put_many(w, 1000, points, 0);
}

static void test_automatic(void)
{
    enum { HALF = VEX_AUTO_INDEX_MISSES / 2 };
    struct vex_index_params params = kit_index(0);
    struct vex_config *config;
    struct vex_arena arena;
    uint64_t before;
    struct world w;

    vex_arena_init(&arena, 0);
    world_open_learning(&w, LEARNT);
    before = count_value(&w, &arena, "a", 2);
    CU_ASSERT(before == (LEARNT + 2) / 5);
    ask_often(&w, &arena, "a", HALF - 1); /* two a time, and one before */
    (void)count_value(&w, &arena, "a", 3);
    wait_pool();
    CU_ASSERT(index_count(&w) == 0); /* not more than so many */
    (void)count_value(&w, &arena, "a", 3);
    wait_pool();
    CU_ASSERT_FATAL(index_count(&w) == 1);
    config = vex_collection_config(w.collection);
    CU_ASSERT(vex_index_params_same(&config->indexes[0], &params));
    vex_config_unref(config);
    wait_built(&w);
    CU_ASSERT(right(&w, true));
    CU_ASSERT(count_value(&w, &arena, "a", 2) == before);
    ask_often(&w, &arena, "a", 2 * HALF + 1);
    CU_ASSERT(index_count(&w) == 1); /* not twice */
    world_reopen(&w);
    CU_ASSERT(index_count(&w) == 1);
    wait_built(&w);
    CU_ASSERT(count_value(&w, &arena, "a", 2) == before);
    /* One that was deleted stays deleted, until the next start. */
    CU_ASSERT(alter(&w, kit_remove_index, params) == 0);
    ask_often(&w, &arena, "a", 3 * HALF);
    CU_ASSERT(index_count(&w) == 0);
    world_reopen(&w);
    ask_often(&w, &arena, "a", HALF + 1);
    CU_ASSERT(index_count(&w) == 1);
    vex_arena_done(&arena);
    world_close(&w);
}

static uint32_t one_index(const struct vex_config *config)
{
    (void)config;
    return 1;
}

static void test_not_automatic(void)
{
    enum { ENOUGH = VEX_AUTO_INDEX_MISSES };
    struct vex_arena arena;
    struct world w;
    char key[16];

    vex_arena_init(&arena, 0);
    world_open_learning(&w, VEX_AUTO_INDEX_POINTS); /* too small */
    ask_often(&w, &arena, "a", ENOUGH);
    CU_ASSERT(index_count(&w) == 0);
    put_many(&w, 1000 + VEX_AUTO_INDEX_POINTS, 500, 0);
    for (int i = 0; i < 2 * ENOUGH; i++) { /* ever others */
        snprintf(key, sizeof key, "key %d", i);
        (void)count_value(&w, &arena, key, 2);
    }
    for (int i = 0; i < 2 * ENOUGH; i++) { /* texts are cut by their index: it would change answers */
        struct vex_cond text = {.kind = VEX_COND_TEXT, .text = VEX_STR("runs")};
        text.path = vex_path_key(&arena, VEX_STR("a"));
        (void)count_of(&w, &text);
    }
    wait_pool();
    CU_ASSERT(index_count(&w) == 0);
    w.kit.options.index_limit = one_index;
    world_reopen(&w);
    ask_often(&w, &arena, "a", ENOUGH);
    ask_often(&w, &arena, "b", ENOUGH);
    CU_ASSERT(index_count(&w) == 1);
    w.kit.options.auto_index = false;
    world_reopen(&w);
    CU_ASSERT(alter(&w, kit_remove_index, kit_index(0)) == 0);
    ask_often(&w, &arena, "a", ENOUGH);
    CU_ASSERT(index_count(&w) == 0);
    vex_arena_done(&arena);
    world_close(&w);
}

/* Conditions of every kind, on paths of every kind: what is made, and its name. */
static void test_automatic_kinds(void)
{
    static const struct {
        const char *path; /* NULL: the key `lit.eral`, not a path */
        struct vex_cond cond;
        enum vex_index_type type;
        const char *field;
    } rows[] = {
        {"x.y[]", {.kind = VEX_COND_RANGE, .range = {.has_gt = true}}, VEX_INDEX_FLOAT, "x.y[]"},
        {"t", {.kind = VEX_COND_TIME, .times = {.has_gt = true}}, VEX_INDEX_DATETIME, "t"},
        {"g", {.kind = VEX_COND_GEO_RADIUS, .geo_radius = {{1, 1}, 5}}, VEX_INDEX_GEO, "g"},
        {"f", {.kind = VEX_COND_ANY, .values = {.has_true = true}}, VEX_INDEX_BOOL, "f"},
        {NULL, {.kind = VEX_COND_PREFIX, .text = {"p", 1}}, VEX_INDEX_KEYWORD, "\"lit.eral\""},
        {"n[0]", {.kind = VEX_COND_ANY, .values = {.has_true = true}}, 0, NULL},
        {"e", {.kind = VEX_COND_IS_EMPTY}, 0, NULL},
    };
    struct vex_arena arena;
    struct vex_err err;
    struct world w;
    uint32_t made = 0;

    vex_arena_init(&arena, 0);
    world_open_learning(&w, LEARNT);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vex_cond cond = rows[i].cond;
        struct vex_config *config;
        const struct vex_index_params *found;

        cond.path = vex_path_key(&arena, VEX_STR("lit.eral"));
        if (rows[i].path != NULL)
            CU_ASSERT(vex_path_parse(&arena, vex_str_c(rows[i].path), &cond.path, &err) == 0);
        for (unsigned n = 0; n <= VEX_AUTO_INDEX_MISSES; n++)
            (void)count_of(&w, &cond);
        wait_pool();
        made += rows[i].type != 0;
        config = vex_collection_config(w.collection);
        CU_ASSERT(config->index_count == made);
        found = rows[i].type != 0 ? vex_config_index(config, vex_str_c(rows[i].field)) : NULL;
        CU_ASSERT(rows[i].type == 0 || (found != NULL && found->type == rows[i].type));
        vex_config_unref(config);
    }
    vex_arena_done(&arena);
    world_close(&w);
}

/* A client is first: its index stays, whatever it calls the field. */
static void test_client_is_first(void)
{
    struct vex_index_params params = kit_index(0);
    struct block blocks[2];
    struct vex_config *config;
    struct vex_arena arena;
    struct world w;

    vex_arena_init(&arena, 0);
    world_open_learning(&w, LEARNT);
    occupy_pool(blocks);
    for (unsigned i = 0; i <= VEX_AUTO_INDEX_MISSES; i++)
        (void)count_value(&w, &arena, "a", 2);
    params.field = VEX_STR("\"a\"");
    params.type = VEX_INDEX_FLOAT;
    CU_ASSERT(alter(&w, kit_add_index, params) == 0);
    leave_pool(blocks);
    wait_pool();
    config = vex_collection_config(w.collection);
    CU_ASSERT(config->index_count == 1 && config->indexes[0].type == VEX_INDEX_FLOAT);
    vex_config_unref(config);
    wait_built(&w);
    vex_arena_done(&arena);
    world_close(&w);
}

static void *ask_on(void *arg)
{
    struct world *w = arg;
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (unsigned i = 0; i < 300; i++)
        if (count_value(w, &arena, i % 2 == 0 ? "a" : "b", 2) == UINT64_MAX)
            wrong++;
    vex_arena_done(&arena);
    return NULL;
}

/* Readers that learn, among writers, up to the closing of the engine. */
static void test_automatic_among_others(void)
{
    pthread_t readers[2], writer;
    struct world w;

    world_open_learning(&w, LEARNT);
    stop = false;
    wrong = 0;
    pthread_create(&writer, NULL, write_on, &w);
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, ask_on, &w);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    stop = true;
    pthread_join(writer, NULL);
    CU_ASSERT(wrong == 0);
    world_reopen(&w); /* a request may be under way */
    CU_ASSERT(index_count(&w) <= 2);
    wait_built(&w);
    CU_ASSERT(right(&w, true));
    world_close(&w);
}

/* ---- many slots by one mutation ---- */

static void *watch(void *arg)
{
    struct world *w = arg;
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    while (!stop) {
        struct vex_cond all = {.kind = VEX_COND_RANGE, .range = {.has_gte = true, .gte = 77}};
        uint64_t moved;

        all.path = vex_path_key(&arena, VEX_STR("a"));
        moved = count_of(w, &all);
        if (moved != 0 && moved != 3 * VEX_INDEX_SPARE && wrong++ == 0)
            fprintf(stderr, "%llu points moved\n", (unsigned long long)moved);
        vex_arena_reset(&arena);
    }
    vex_arena_done(&arena);
    return NULL;
}

/* More than may stay pending: while the indexes follow, readers see all of it or nothing. */
static void test_many_at_once(void)
{
    enum { MANY = 3 * VEX_INDEX_SPARE };
    struct vex_filter all = {0};
    struct kit_call call;
    struct vex_arena arena;
    pthread_t watchers[2];
    struct world w;

    vex_arena_init(&arena, 0);
    world_open(&w, 11);
    put_many(&w, 1000, MANY, 0);
    add_index(&w, 0);
    add_index(&w, 1);
    wait_built(&w);
    stop = false;
    wrong = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&watchers[i], NULL, watch, &w);
    for (int round = 0; round < 6; round++) {
        struct vex_op op = {.kind = VEX_OP_SET_PAYLOAD};
        int keys[KIT_KEYS] = {round % 2 == 0 ? 77 + round : round, round};

        op.payload.selector.filter = &all;
        op.payload.payload = kit_payload(&arena, 3, keys);
        CU_ASSERT(kit_submit(&call, w.collection, &op, 1, true) == 0);
        CU_ASSERT(call.results[0].affected == MANY);
        CU_ASSERT(count_value(&w, &arena, "a", keys[0]) == MANY);
    }
    stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(watchers[i], NULL);
    CU_ASSERT(wrong == 0);
    checkpoint(&w);
    CU_ASSERT(right(&w, true));
    vex_arena_done(&arena);
    world_close(&w);
}

/* ---- written while saved ---- */

static void set_saving(struct vex_index_set *set, bool saving)
{
    pthread_mutex_lock(&set->work.lock);
    set->saving = saving;
    pthread_cond_broadcast(&set->work.changed);
    pthread_mutex_unlock(&set->work.lock);
}

static uint64_t pending_slots(struct world *w)
{
    struct vex_collection_data data;
    struct vex_err err;
    uint64_t count = 0;
    uint32_t slots;

    CU_ASSERT_FATAL(vex_collection_read_begin(w->collection, &data, &err) == 0);
    vex_index_set_pending(data.indexes, &slots, &count);
    vex_collection_read_end(w->collection);
    return count;
}

/* Indexes that are being saved do not follow; answers are right all the same. */
static void test_written_while_saved(void)
{
    struct vex_index_set *set;
    uint64_t before;
    struct world w;

    world_open(&w, 13);
    for (int key = 0; key < KIT_KEYS; key++)
        add_index(&w, key);
    mutate(&w, 100);
    wait_built(&w);
    world_reopen(&w); /* all are saved: no real saving is in the way */
    wait_built(&w);
    set = w.collection->data.indexes;
    before = set->entries[0]->changed;
    set_saving(set, true);
    for (int round = 0; round < 20; round++) {
        mutate(&w, 5);
        CU_ASSERT(right(&w, false));
    }
    CU_ASSERT(pending_slots(&w) > 0 && set->entries[0]->changed == before);
    set_saving(set, false);
    checkpoint(&w);
    CU_ASSERT(pending_slots(&w) == 0);
    CU_ASSERT(right(&w, true));
    CU_ASSERT(kit_same(w.collection, &w.model, why, sizeof why));
    world_close(&w);
}

/* ---- some of what matches ---- */

/* Deletes up to `limit` points with a value, by any way there is: always those that were there first. */
static uint64_t delete_some(struct world *w, struct vex_arena *arena, int value, uint64_t limit)
{
    struct vex_op op = {.kind = VEX_OP_DELETE};
    struct kit_call call;

    op.remove.filter = kit_filter(arena, value);
    op.remove.limit = limit;
    CU_ASSERT(kit_submit(&call, w->collection, &op, 1, true) == 0);
    w->model.next_op++;
    return call.results[0].affected;
}

static bool has_point(struct world *w, uint64_t number)
{
    struct vex_id id = vex_id_num(number);
    struct vex_collection_data data;
    struct vex_err err;
    bool has;

    CU_ASSERT_FATAL(vex_collection_read_begin(w->collection, &data, &err) == 0);
    has = vex_rows_find(data.rows, &id) != VEX_SLOT_NONE;
    vex_collection_read_end(w->collection);
    return has;
}

static void test_limited_selection(void)
{
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (int indexed = 0; indexed < 2; indexed++) {
        struct world w;

        world_open(&w, 12);
        put_many(&w, 5000, 2000, 0); /* born first, of higher numbers */
        put_many(&w, 1000, 2000, 0);
        put_many(&w, 5000, 100, 0); /* again: newer slots, births as they were */
        if (indexed)
            add_index(&w, 0);
        wait_built(&w);
        CU_ASSERT(delete_some(&w, &arena, 2, 30) == 30);
        for (uint64_t i = 0; i < 32; i++)
            CU_ASSERT(has_point(&w, 5000 + 5 * i + 2) == (i >= 30));
        CU_ASSERT(has_point(&w, 1002));
        CU_ASSERT(delete_some(&w, &arena, 2, 380) == 380); /* nearly all of them */
        CU_ASSERT(has_point(&w, 1000 + 5 * 10 + 2) && !has_point(&w, 1000 + 5 * 9 + 2));
        CU_ASSERT(delete_some(&w, &arena, 2, 5000) == 390);
        CU_ASSERT(delete_some(&w, &arena, 2, 5) == 0);
        CU_ASSERT(points_of(w.collection) == 3200);
        world_close(&w);
    }
    vex_arena_done(&arena);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"automatic indexes", test_automatic},
        {"no automatic indexes", test_not_automatic},
        {"kinds of automatic indexes", test_automatic_kinds},
        {"a client is first", test_client_is_first},
        {"automatic indexes among others", test_automatic_among_others},
        {"many slots by one mutation", test_many_at_once},
        {"written while saved", test_written_while_saved},
        {"some of what matches", test_limited_selection},
        CU_TEST_INFO_NULL,
    };

    return world_run("engine_index_auto", tests);
}
