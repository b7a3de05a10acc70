/* Plans against a plain list: counts, pages, samples and searches under random filters, with and without indexes, while entries of the
 * indexes are out of date, and when they are followed. */
#include "engine_query_kit.h"

static struct fixture f;
static struct kit plain, indexed;

/* ---- one filter, every read ---- */

static bool same_count(struct kit *kit, struct vex_filter *filter)
{
    struct vex_arena arena;
    struct vex_err err;
    uint64_t count = 0;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    int code = vex_read_count(kit->collection, filter, &context, &count, &err);
    vex_arena_done(&arena);
    uint32_t expected = kit_count(kit, filter);
    if (code != 0 || count != expected)
        fprintf(stderr, "count %d: %llu instead of %u\n", code, (unsigned long long)count, expected);
    return code == 0 && count == expected;
}

static int by_id(const void *pa, const void *pb)
{
    return vex_id_cmp(pa, pb);
}

static bool same_pages(struct kit *kit, struct vex_filter *filter, uint64_t limit)
{
    static struct vex_id expected[KIT_POINTS];
    uint32_t count = 0, seen = 0;
    struct vex_arena arena;
    struct vex_err err;
    struct vex_id next = {0};
    bool more = true, good = true;
    for (uint32_t i = 0; i < KIT_POINTS; i++)
        if (kit_matches(&kit->points[i], filter))
            expected[count++] = kit->points[i].id;
    qsort(expected, count, sizeof *expected, by_id);
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_scroll scroll = {.filter = filter, .limit = limit};
    while (more && good) {
        struct vex_hits hits;
        good = vex_read_scroll(kit->collection, &scroll, &context, &hits, &more, &next, &err) == 0;
        good = good && hits.count == (count - seen < limit ? count - seen : limit);
        for (size_t i = 0; i < hits.count && good; i++, seen++)
            good = vex_id_eq(&hits.hits[i].id, &expected[seen]);
        good = good && more == (seen < count);
        scroll.offset = &next;
    }
    vex_arena_done(&arena);
    return good && seen == count;
}

static bool same_sample(struct kit *kit, struct vex_filter *filter, uint64_t limit)
{
    struct vex_arena arena;
    struct vex_hits hits;
    struct vex_err err;
    struct vex_id next;
    bool more, seen[KIT_POINTS] = {false}, good;
    uint32_t count = kit_count(kit, filter);
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_scroll scroll = {.filter = filter, .limit = limit, .sample = true};
    good = vex_read_scroll(kit->collection, &scroll, &context, &hits, &more, &next, &err) == 0 && !more &&
           hits.count == (count < limit ? count : limit);
    for (size_t i = 0; i < hits.count && good; i++) {
        struct kit_point *p = kit_find(kit, &hits.hits[i].id);
        good = kit_matches(p, filter) && !seen[p - kit->points];
        seen[p - kit->points] = true;
    }
    vex_arena_done(&arena);
    return good;
}

/* All matches with the vector, best first. */
static bool same_search(struct kit *kit, struct vex_filter *filter)
{
    static const float query[KIT_DIM] = {1, 2, 3, 4};
    struct vex_arena arena;
    struct vex_hits hits;
    struct vex_err err;
    uint32_t count = 0;
    bool good;
    for (uint32_t i = 0; i < KIT_POINTS; i++)
        count += kit->points[i].has_main && kit_matches(&kit->points[i], filter);
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_nearest nearest = {
        .query = {.values = query, .count = KIT_DIM, .rows = 1}, .filter = filter, .limit = KIT_POINTS};
    good = vex_read_nearest(kit->collection, &nearest, 1, &context, &hits, &err) == 0 && hits.count == count;
    for (size_t i = 0; i < hits.count && good; i++) {
        struct kit_point *p = kit_find(kit, &hits.hits[i].id);
        good =
            p->has_main && kit_matches(p, filter) && (i == 0 || hits.hits[i].score >= hits.hits[i - 1].score);
    }
    vex_arena_done(&arena);
    return good;
}

/* Every way to the matches that there is, whatever it costs. */
static bool same_ways(struct kit *kit, struct vex_filter *filter)
{
    struct vex_collection_data *data = &kit->collection->data;
    uint32_t expected = kit_count(kit, filter);
    bool good = true;
    pthread_rwlock_rdlock(&kit->collection->lock);
    for (int way = VEX_PLAN_READ; way <= VEX_PLAN_BITS && filter != NULL; way++) {
        struct vex_plan plan;
        uint64_t bits[64] = {0}, count;
        vex_plan_init(&plan, data, filter, vex_rows_live(data->rows), vex_rows_live_count(data->rows));
        if ((way == VEX_PLAN_LEAD && plan.lead == NULL) || vex_plan_words(plan.slots) > 64)
            continue;
        plan.way = way;
        good = good && vex_plan_find(&plan, bits, &count) == 0 && count == expected;
        for (uint32_t slot = 0; good && slot < plan.slots; slot++)
            if (vex_plan_bit(bits, plan.slots, slot))
                good = vex_plan_bit(plan.base, plan.slots, slot) && vex_plan_match(data, filter, slot);
        if (!good)
            fprintf(stderr, "way %d: %llu instead of %u\n", way, (unsigned long long)count, expected);
    }
    pthread_rwlock_unlock(&kit->collection->lock);
    return good;
}

static bool same_all(struct kit *kit, struct vex_filter *filter)
{
    static const uint64_t limits[] = {1, 3, 10, 50, UINT64_MAX};
    uint64_t limit = limits[draw(&f, 5)];
    return same_count(kit, filter) && same_pages(kit, filter, limit) && same_sample(kit, filter, limit) &&
           same_ways(kit, filter) && same_search(kit, filter);
}

static void ask(struct kit *kit, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct vex_arena arena;
        vex_arena_init(&arena, 0);
        struct vex_filter *filter = kit_filter(kit, &arena, 2);
        kit_bind(&arena, filter);
        CU_ASSERT(same_all(kit, filter));
        vex_arena_done(&arena);
    }
}

/* A single condition, so that every way to answer one is gone. */
static void ask_single(struct kit *kit, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct vex_arena arena;
        vex_arena_init(&arena, 0);
        struct vex_filter *filter = VEX_ARENA_NEW(&arena, struct vex_filter);
        add_cond(&arena, draw(&f, 3) ? &filter->must : &filter->must_not, kit_cond(kit, &arena, 0));
        kit_bind(&arena, filter);
        CU_ASSERT(same_all(kit, filter));
        vex_arena_done(&arena);
    }
}

static void test_filters(void)
{
    CU_ASSERT(same_all(&indexed, NULL));
    CU_ASSERT(same_all(&plain, NULL));
    ask(&plain, 10);
    ask(&indexed, 10);
    CU_ASSERT_FATAL(kit_fill(&plain, 25));
    CU_ASSERT_FATAL(kit_fill(&indexed, 25));
    CU_ASSERT(same_all(&indexed, NULL));
    ask(&plain, 150);
    ask(&indexed, 400);
    ask_single(&indexed, 300);
}

static void test_after_writes(void)
{
    for (int i = 0; i < 15; i++) {
        CU_ASSERT_FATAL(kit_fill(&indexed, 3));
        ask(&indexed, 20);
        ask_single(&indexed, 10);
    }
}

/* ---- entries out of date ---- */

static struct vex_index *index_of(struct kit *kit, const char *field)
{
    struct vex_arena arena;
    vex_arena_init(&arena, 0);
    struct vex_path path = kit_path(&arena, field);
    const struct vex_index *index = vex_index_set_find(kit->collection->data.indexes, &path);
    vex_arena_done(&arena);
    return (struct vex_index *)(uintptr_t)index;
}

/* Marks some live slots and has every index hold each under another's payload, or puts all right again. */
static void upset(struct kit *kit, const uint32_t *slots, uint32_t count, bool out)
{
    struct vex_collection *collection = kit->collection;
    struct vex_collection_data *data = &collection->data;
    pthread_rwlock_wrlock(&collection->lock);
    if (out)
        CU_ASSERT_FATAL(vex_index_set_reserve(data->indexes, vex_rows_slots(data->rows), count) == 0);
    for (uint32_t i = 0; i < count; i++) {
        const struct vex_row *row = vex_rows_at(data->rows, slots[i]);
        struct vex_value payload = vex_collection_payload(data, slots[i]);
        struct vex_value other = vex_collection_payload(data, slots[(i + 1) % count]);
        if (out)
            vex_index_set_touch(data->indexes, slots[i], row->blob, row->blob_len, true);
        for (size_t n = 0; n < sizeof kit_indexes / sizeof *kit_indexes; n++) {
            struct vex_index *index = index_of(kit, kit_indexes[n].field.ptr);
            CU_ASSERT_PTR_NOT_NULL_FATAL(index);
            vex_index_remove(index, slots[i], out ? payload : other);
            vex_index_add(index, slots[i], out ? other : payload);
        }
    }
    pthread_rwlock_unlock(&collection->lock);
}

static uint32_t draw_live(struct kit *kit, uint32_t most, uint32_t *ret)
{
    const struct vex_collection_data *data = &kit->collection->data;
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < vex_rows_slots(data->rows) && count < most; slot++)
        if (vex_rows_at(data->rows, slot)->state == VEX_ROW_LIVE && draw(&f, 5) == 0)
            ret[count++] = slot;
    return count;
}

static void test_pending(void)
{
    uint32_t slots[200], pending_slots;
    uint64_t pending = 0;
    kit_settle(&indexed);
    for (int i = 0; i < 4; i++) {
        uint32_t count = draw_live(&indexed, i == 0 ? 1 : 200, slots);
        upset(&indexed, slots, count, true);
        CU_ASSERT(vex_index_set_pending(indexed.collection->data.indexes, &pending_slots, &pending) != NULL);
        CU_ASSERT_EQUAL(pending, count);
        ask(&indexed, 60);
        ask_single(&indexed, 60);
        upset(&indexed, slots, count, false);
        CU_ASSERT_FATAL(kit_fill(&indexed, 1)); /* follows them all */
        kit_settle(&indexed);
        CU_ASSERT_PTR_NULL(vex_index_set_pending(indexed.collection->data.indexes, &pending_slots, &pending));
        ask(&indexed, 20);
    }
}

/* ---- plan alone ---- */

static void test_lead(void)
{
    struct vex_arena arena;
    struct vex_plan plan;
    vex_arena_init(&arena, 0);
    struct vex_filter *filter = VEX_ARENA_NEW(&arena, struct vex_filter);
    struct vex_cond all = {.kind = VEX_COND_RANGE, .path = kit_path(&arena, "n")};
    struct vex_cond few = {.kind = VEX_COND_ANY, .path = kit_path(&arena, "u")};
    const struct vex_collection_data *data = &indexed.collection->data;
    kit_settle(&indexed);
    all.range = (struct vex_cond_range){.has_gte = true, .gte = -100};
    kit_texts(&indexed, &arena, "u%u", 300, 1, &few.values);
    add_cond(&arena, &filter->must, all);
    add_cond(&arena, &filter->must, few);
    kit_bind(&arena, filter);
    vex_plan_init(&plan, data, filter, vex_rows_live(data->rows), vex_rows_live_count(data->rows));
    CU_ASSERT_PTR_EQUAL(plan.lead, &filter->must.conds[1]);
    CU_ASSERT(!plan.lead_whole && plan.bounds.narrows && !plan.bounds.open);
    CU_ASSERT(plan.bounds.max <= plan.lead_count);
    filter->must.conds++;
    filter->must.count = 1;
    vex_plan_init(&plan, data, filter, vex_rows_live(data->rows), vex_rows_live_count(data->rows));
    CU_ASSERT(plan.lead_whole && plan.lead == filter->must.conds);
    data = &plain.collection->data;
    vex_plan_init(&plan, data, filter, vex_rows_live(data->rows), vex_rows_live_count(data->rows));
    CU_ASSERT(plan.way == VEX_PLAN_READ && plan.lead == NULL && !plan.bounds.narrows);
    vex_arena_done(&arena);
}

/* An index makes a filter cheap; a lock that is held makes everything dear. */
static void test_cost(void)
{
    struct vex_arena arena;
    vex_arena_init(&arena, 0);
    struct vex_filter *filter = VEX_ARENA_NEW(&arena, struct vex_filter);
    struct vex_cond few = {.kind = VEX_COND_ANY, .path = kit_path(&arena, "u")};
    kit_settle(&indexed);
    kit_texts(&indexed, &arena, "u%u", 300, 1, &few.values);
    add_cond(&arena, &filter->must, few);
    uint64_t with = vex_read_cost_filter(indexed.collection, filter, UINT64_MAX);
    uint64_t without = vex_read_cost_filter(plain.collection, filter, UINT64_MAX);
    CU_ASSERT(with < without / 5);
    CU_ASSERT(vex_read_cost_filter(plain.collection, filter, 10) <= without);
    CU_ASSERT(vex_read_cost_filter(plain.collection, NULL, 10) < without);
    pthread_rwlock_wrlock(&indexed.collection->lock);
    /* More than the thread of a connection bears. */
    CU_ASSERT(vex_read_cost_filter(indexed.collection, filter, UINT64_MAX) >= UINT64_C(1000000));
    pthread_rwlock_unlock(&indexed.collection->lock);
    vex_arena_done(&arena);
}

static void test_stops(void)
{
    struct vex_arena arena;
    struct vex_err err;
    uint64_t count;
    _Atomic int cancelled = 1;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena, .cancelled = &cancelled};
    CU_ASSERT_EQUAL(vex_read_count(indexed.collection, NULL, &context, &count, &err), VEX_ECANCELLED);
    context = (struct vex_read_context){.arena = &arena, .deadline_ns = 1};
    CU_ASSERT_EQUAL(vex_read_count(indexed.collection, NULL, &context, &count, &err), VEX_ETIMEOUT);
    vex_arena_done(&arena);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"random filters, with indexes and without", test_filters},
        {"the same after writes", test_after_writes},
        {"entries of indexes out of date", test_pending},
        {"the condition with the fewest matches leads", test_lead},
        {"cost", test_cost},
        {"cancelled, out of time", test_stops},
        CU_TEST_INFO_NULL,
    };
    if (!fixture_open(&f) || !kit_open(&plain, &f, "plain", false) ||
        !kit_open(&indexed, &f, "indexed", true))
        return 1;
    int failed = run_suite("plans", tests);
    kit_close(&plain);
    kit_close(&indexed);
    fixture_close(&f);
    return failed;
}
