/* Browsing reads against a plain list: order by a field, facets, groups, matrices and samples under random filters, while entries of
 * indexes are current and while they are out of date. */
#include "engine_query_kit.h"

#include "base/time.h"

static struct fixture f;
static struct kit plain, indexed;

/* ---- order by ---- */

struct ordered {
    double value;
    struct vex_id id;
    uint32_t place;
};

struct collecting {
    struct ordered *list;
    uint32_t count, place;
    char field;
    struct vex_id id;
};

static bool order_value(char field, struct vex_value v, double *ret)
{
    enum vex_value_kind kind = vex_value_kind(v);
    int64_t us;
    if (field == 'd') {
        if (kind != VEX_VALUE_TEXT || !vex_time_parse(vex_value_text(v), &us))
            return false;
        *ret = (double)us;
        return true;
    }
    if (kind != VEX_VALUE_INT && (field == 'n' || kind != VEX_VALUE_DOUBLE))
        return false;
    *ret = vex_value_double(v);
    return true;
}

static int collect_value(void *arg, struct vex_value v)
{
    struct collecting *c = arg;
    struct ordered entry = {.id = c->id, .place = c->place};
    if (vex_value_kind(v) == VEX_VALUE_ARRAY) {
        for (struct vex_value_iter it = vex_value_iter(v); vex_value_next(&it);)
            collect_value(arg, it.value);
        return 0;
    }
    if (!order_value(c->field, v, &entry.value))
        return 0;
    for (uint32_t i = 0; i < c->count; i++) /* once a value and point */
        if (c->list[i].place == c->place && c->list[i].value == entry.value)
            return 0;
    c->list[c->count++] = entry;
    return 0;
}

static bool descending;

static int by_value(const void *pa, const void *pb)
{
    const struct ordered *a = pa, *b = pb;
    int cmp = a->value < b->value ? -1 : a->value > b->value;
    return descending ? -cmp : cmp;
}

static double value_of_hit(const struct vex_hit *hit)
{
    return hit->order_value.kind == VEX_ORDER_INT ? (double)hit->order_value.integer : hit->order_value.real;
}

/* Values come as the list has them; each hit is an entry of the list, none twice. */
static bool same_order(struct kit *kit, struct vex_filter *filter, char field, uint64_t limit,
                       const double *from)
{
    static struct ordered list[KIT_POINTS * 4];
    static bool used[KIT_POINTS * 4];
    struct collecting c = {.list = list, .field = field};
    struct vex_arena arena;
    struct vex_hits hits;
    struct vex_err err;
    struct vex_id next;
    bool more, good;
    char name[2] = {field, 0};
    vex_arena_init(&arena, 0);
    struct vex_path path = kit_path(&arena, name);
    for (c.place = 0; c.place < KIT_POINTS; c.place++) {
        const struct kit_point *p = &kit->points[c.place];
        c.id = p->id;
        if (kit_matches(p, filter))
            vex_path_each(&path, (struct vex_value){(const uint8_t *)p->payload}, collect_value, &c);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c.count; i++)
        if (from == NULL || (descending ? list[i].value <= *from : list[i].value >= *from))
            list[kept++] = list[i];
    qsort(list, kept, sizeof *list, by_value);
    memset(used, 0, sizeof used);
    struct vex_read_context context = {.arena = &arena};
    struct vex_order_by order = {.key = path, .descending = descending, .has_from = from != NULL};
    if (from != NULL && field == 'f')
        order.from = (struct vex_order_value){.kind = VEX_ORDER_DOUBLE, .real = *from};
    else if (from != NULL)
        order.from = (struct vex_order_value){.kind = VEX_ORDER_INT, .integer = (int64_t)*from};
    struct vex_scroll scroll = {.filter = filter, .limit = limit, .order_by = &order};
    good = vex_read_scroll(kit->collection, &scroll, &context, &hits, &more, &next, &err) == 0 && !more;
    good = good && hits.count == (kept < limit ? kept : limit);
    for (size_t i = 0; good && i < hits.count; i++) {
        uint32_t at = 0;
        double value = value_of_hit(&hits.hits[i]);
        good = hits.hits[i].has_order_value && value == list[i].value;
        while (at < kept &&
               (used[at] || list[at].value != value || !vex_id_eq(&list[at].id, &hits.hits[i].id)))
            at++;
        good = good && at < kept;
        used[at < kept ? at : 0] = true;
    }
    if (!good)
        fprintf(stderr, "order by %c: %zu hits, %u expected\n", field, hits.count, kept);
    vex_arena_done(&arena);
    return good;
}

static void ask_order(int rounds)
{
    static const uint64_t limits[] = {1, 7, 60, UINT64_MAX};
    for (int i = 0; i < rounds; i++) {
        struct vex_arena arena;
        vex_arena_init(&arena, 0);
        struct vex_filter *filter = draw(&f, 3) ? kit_filter(&indexed, &arena, 1) : NULL;
        char field = "nfd"[draw(&f, 3)];
        double from = field == 'd' ? 1704067200e6 + draw(&f, 28) * 86400e6 : (double)draw(&f, 12);
        kit_bind(&arena, filter);
        descending = draw(&f, 2) != 0;
        CU_ASSERT(same_order(&indexed, filter, field, limits[draw(&f, 4)], draw(&f, 2) ? &from : NULL));
        vex_arena_done(&arena);
    }
}

static void test_order(void)
{
    CU_ASSERT(same_order(&indexed, NULL, 'n', 10, NULL));
    CU_ASSERT_FATAL(kit_fill(&plain, 25));
    CU_ASSERT_FATAL(kit_fill(&indexed, 25));
    ask_order(200);
}

static void refuse(struct kit *kit, const char *key)
{
    struct vex_arena arena;
    struct vex_hits hits;
    struct vex_err err = {0};
    struct vex_id next;
    bool more;
    char text[64];
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_order_by order = {.key = kit_path(&arena, key)};
    struct vex_scroll scroll = {.limit = 3, .order_by = &order};
    snprintf(text, sizeof text, "No range index for `order_by` key: `%s`. Please", key);
    CU_ASSERT_EQUAL(vex_read_scroll(kit->collection, &scroll, &context, &hits, &more, &next, &err),
                    VEX_EBAD_INPUT);
    CU_ASSERT(strncmp(err.text, text, strlen(text)) == 0);
    vex_arena_done(&arena);
}

static void test_order_refused(void)
{
    refuse(&indexed, "k");
    refuse(&indexed, "x");
    refuse(&indexed, "missing.one");
    refuse(&plain, "n");
}

/* ---- facets ---- */

struct counted {
    struct vex_facet_value value;
    uint64_t count;
    uint32_t place; /* counted last for this point */
};

struct facets {
    struct counted list[KIT_POINTS];
    uint32_t count, place;
    char field;
};

static bool facet_value(char field, struct vex_value v, struct vex_facet_value *ret)
{
    switch (vex_value_kind(v)) {
    case VEX_VALUE_TEXT:
        *ret = (struct vex_facet_value){.kind = VEX_FACET_TEXT, .text = vex_value_text(v)};
        return field == 'k' || field == 'u' || field == 'w';
    case VEX_VALUE_INT:
        *ret = (struct vex_facet_value){.kind = VEX_FACET_INT, .integer = vex_value_int(v)};
        return field == 'n';
    case VEX_VALUE_BOOL:
        *ret = (struct vex_facet_value){.kind = VEX_FACET_BOOL, .boolean = vex_value_bool(v)};
        return field == 'b';
    default:
        return false;
    }
}

static int facet_cmp(const struct vex_facet_value *a, const struct vex_facet_value *b)
{
    if (a->kind == VEX_FACET_TEXT)
        return vex_str_cmp(a->text, b->text);
    if (a->kind == VEX_FACET_BOOL)
        return a->boolean - b->boolean;
    return a->integer < b->integer ? -1 : a->integer > b->integer;
}

static int count_facet(void *arg, struct vex_value v)
{
    struct facets *c = arg;
    struct vex_facet_value value;
    uint32_t at = 0;
    if (vex_value_kind(v) == VEX_VALUE_ARRAY) {
        for (struct vex_value_iter it = vex_value_iter(v); vex_value_next(&it);)
            count_facet(arg, it.value);
        return 0;
    }
    if (!facet_value(c->field, v, &value))
        return 0;
    while (at < c->count && facet_cmp(&c->list[at].value, &value) != 0)
        at++;
    if (at == c->count)
        c->list[c->count++] = (struct counted){value, 0, UINT32_MAX};
    c->list[at].count += c->list[at].place != c->place;
    c->list[at].place = c->place;
    return 0;
}

static int by_count(const void *pa, const void *pb)
{
    const struct counted *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return facet_cmp(&a->value, &b->value);
}

static bool same_facets(struct kit *kit, struct vex_filter *filter, char field, uint64_t limit)
{
    static struct facets c;
    struct vex_arena arena;
    struct vex_facet_hit *hits;
    struct vex_err err;
    size_t count;
    char name[2] = {field, 0};
    c = (struct facets){.field = field};
    vex_arena_init(&arena, 0);
    struct vex_facet request = {.key = kit_path(&arena, name), .filter = filter, .limit = limit};
    for (c.place = 0; c.place < KIT_POINTS; c.place++)
        if (kit_matches(&kit->points[c.place], filter))
            vex_path_each(&request.key, (struct vex_value){(const uint8_t *)kit->points[c.place].payload},
                          count_facet, &c);
    qsort(c.list, c.count, sizeof *c.list, by_count);
    struct vex_read_context context = {.arena = &arena};
    bool good = vex_read_facet(kit->collection, &request, &context, &hits, &count, &err) == 0;
    good = good && count == (c.count < limit ? c.count : limit);
    for (size_t i = 0; good && i < count; i++)
        good = hits[i].value.kind == c.list[i].value.kind && hits[i].count == c.list[i].count &&
               facet_cmp(&hits[i].value, &c.list[i].value) == 0;
    if (!good)
        fprintf(stderr, "facet of %c: %zu values, %u expected\n", field, count, c.count);
    vex_arena_done(&arena);
    return good;
}

static void ask_facets(int rounds)
{
    static const uint64_t limits[] = {1, 5, 50, UINT64_MAX};
    for (int i = 0; i < rounds; i++) {
        struct vex_arena arena;
        vex_arena_init(&arena, 0);
        struct vex_filter *filter = draw(&f, 3) ? kit_filter(&indexed, &arena, 1) : NULL;
        kit_bind(&arena, filter);
        CU_ASSERT(same_facets(&indexed, filter, "kunbw"[draw(&f, 5)], limits[draw(&f, 4)]));
        vex_arena_done(&arena);
    }
}

static void test_facets(void)
{
    struct vex_arena arena;
    struct vex_facet_hit *hits;
    struct vex_err err = {0};
    size_t count;
    ask_facets(200);
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_facet request = {.key = kit_path(&arena, "f"), .limit = 3};
    CU_ASSERT_EQUAL(vex_read_facet(indexed.collection, &request, &context, &hits, &count, &err),
                    VEX_EBAD_INPUT);
    CU_ASSERT(strstr(err.text, "No appropriate index for faceting: `f`.") == err.text);
    vex_arena_done(&arena);
}

/* ---- out of date ---- */

/* Marks some live slots and has the index of a field hold each under another's payload, or puts all right again. */
static void upset(const char *field, const uint32_t *slots, uint32_t count, bool out)
{
    struct vex_collection *collection = indexed.collection;
    struct vex_collection_data *data = &collection->data;
    struct vex_arena arena;
    vex_arena_init(&arena, 0);
    struct vex_path path = kit_path(&arena, field);
    pthread_rwlock_wrlock(&collection->lock);
    struct vex_index *index = (struct vex_index *)(uintptr_t)vex_index_set_find(data->indexes, &path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(index);
    if (out)
        CU_ASSERT_FATAL(vex_index_set_reserve(data->indexes, vex_rows_slots(data->rows), count) == 0);
    for (uint32_t i = 0; i < count; i++) {
        const struct vex_row *row = vex_rows_at(data->rows, slots[i]);
        struct vex_value payload = vex_collection_payload(data, slots[i]);
        struct vex_value other = vex_collection_payload(data, slots[(i + 1) % count]);
        if (out)
            vex_index_set_touch(data->indexes, slots[i], row->blob, row->blob_len, true);
        vex_index_remove(index, slots[i], out ? payload : other);
        vex_index_add(index, slots[i], out ? other : payload);
    }
    pthread_rwlock_unlock(&collection->lock);
    vex_arena_done(&arena);
}

static void test_pending(void)
{
    static const char *const fields[] = {"n", "f", "d", "k", "u", "b", "w"};
    const struct vex_collection_data *data = &indexed.collection->data;
    uint32_t slots[100], count = 0;
    kit_settle(&indexed);
    for (uint32_t slot = 0; slot < vex_rows_slots(data->rows) && count < 100; slot++)
        if (vex_rows_at(data->rows, slot)->state == VEX_ROW_LIVE && draw(&f, 4) == 0)
            slots[count++] = slot;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        upset(fields[i], slots, count, true);
    ask_order(100);
    ask_facets(100);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        upset(fields[i], slots, count, false);
    CU_ASSERT_FATAL(kit_fill(&indexed, 1));
    ask_order(20);
    ask_facets(20);
}

/* ---- groups ---- */

#define GROUPS_MAX 400

struct expected_group {
    struct vex_value id;
    uint32_t count;
    const struct vex_hit *hits[KIT_POINTS];
};

static struct expected_group expected[GROUPS_MAX];
static uint32_t expected_count;

static bool groupable(struct vex_value v)
{
    enum vex_value_kind kind = vex_value_kind(v);
    return kind == VEX_VALUE_TEXT || kind == VEX_VALUE_INT;
}

static void expect_member(struct vex_value id, const struct vex_hit *hit, uint64_t size)
{
    uint32_t at = 0;
    while (at < expected_count && !vex_value_eq(expected[at].id, id))
        at++;
    if (at == expected_count) {
        CU_ASSERT_FATAL(expected_count < GROUPS_MAX);
        expected[expected_count++] = (struct expected_group){.id = id};
    }
    struct expected_group *group = &expected[at];
    if (group->count < size && (group->count == 0 || group->hits[group->count - 1] != hit))
        group->hits[group->count++] = hit;
}

/* All hits in order, put into groups one by one. */
static void expect_groups(const struct vex_hits *hits, const char *key, uint64_t size)
{
    expected_count = 0;
    for (size_t i = 0; i < hits->count; i++) {
        struct vex_value v = vex_value_get(hits->hits[i].payload, vex_str_c(key));
        bool array = v.at != NULL && vex_value_kind(v) == VEX_VALUE_ARRAY, good = true;
        struct vex_value_iter it = vex_value_iter(v.at != NULL ? v : hits->hits[i].payload);
        if (v.at == NULL)
            continue;
        for (struct vex_value_iter all = it; array && vex_value_next(&all);)
            good = good && groupable(all.value);
        if (array ? !good : !groupable(v))
            continue;
        while (array && vex_value_next(&it))
            expect_member(it.value, &hits->hits[i], size);
        if (!array)
            expect_member(v, &hits->hits[i], size);
    }
}

static bool same_groups(const struct vex_group *groups, size_t count, uint64_t limit)
{
    if (count != (expected_count < limit ? expected_count : limit))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!vex_value_eq(groups[i].id, expected[i].id) || groups[i].hits.count != expected[i].count)
            return false;
        for (size_t h = 0; h < groups[i].hits.count; h++)
            if (!vex_id_eq(&groups[i].hits.hits[h].id, &expected[i].hits[h]->id) ||
                groups[i].hits.hits[h].score != expected[i].hits[h]->score)
                return false;
    }
    return true;
}

static bool ask_groups(struct kit *kit, struct vex_filter *filter, const char *key, uint64_t limit,
                       uint64_t size, bool scroll)
{
    static const float query[KIT_DIM] = {2, 0, 3, 1};
    struct vex_arena arena;
    struct vex_hits hits;
    struct vex_group *groups;
    struct vex_err err;
    struct vex_id next;
    size_t count;
    bool more, good;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_scroll in_order = {
        .filter = filter, .limit = KIT_POINTS, .payload = {.kind = VEX_PAYLOAD_ALL}};
    struct vex_nearest nearest = {.query = {.values = query, .count = KIT_DIM, .rows = 1},
                                  .filter = filter,
                                  .limit = KIT_POINTS,
                                  .payload = {.kind = VEX_PAYLOAD_ALL}};
    struct vex_stage stage = {.kind = scroll ? VEX_STAGE_LIST : VEX_STAGE_NEAREST, .nearest = nearest};
    struct vex_groups request = {.stage = &stage, .by = kit_path(&arena, key), .limit = limit, .size = size};
    good = scroll ? vex_read_scroll(kit->collection, &in_order, &context, &hits, &more, &next, &err) == 0
                  : vex_read_nearest(kit->collection, &nearest, 1, &context, &hits, &err) == 0;
    for (size_t i = 0; good && scroll && i < hits.count; i++)
        hits.hits[i].score = 1;
    good = good && vex_read_groups(kit->collection, &request, &context, &groups, &count, &err) == 0;
    if (good) {
        expect_groups(&hits, key, size);
        good = same_groups(groups, count, limit);
    }
    vex_arena_done(&arena);
    return good;
}

static void test_groups(void)
{
    static const char *const keys[] = {"k", "u", "n", "x", "b", "missing"};
    static const uint64_t numbers[] = {1, 2, 3, 10, 100, UINT64_MAX};
    for (int i = 0; i < 200; i++) {
        struct kit *kit = draw(&f, 2) ? &plain : &indexed;
        struct vex_arena arena;
        vex_arena_init(&arena, 0);
        struct vex_filter *filter = draw(&f, 2) ? kit_filter(kit, &arena, 1) : NULL;
        kit_bind(&arena, filter);
        CU_ASSERT(ask_groups(kit, filter, keys[draw(&f, 6)], numbers[draw(&f, 6)], numbers[draw(&f, 6)],
                             draw(&f, 3) == 0));
        vex_arena_done(&arena);
    }
}

/* The records of `x`, 0 to 9, are looked up among points that are numbered. */
static void test_lookup(void)
{
    static const float query[KIT_DIM] = {1, 1, 1, 1};
    struct vex_arena arena;
    struct vex_group *groups = NULL;
    struct vex_err err;
    size_t count = 0;
    uint32_t found = 0;
    while (!plain.points[0].live) /* its id is 0 */
        CU_ASSERT_FATAL(kit_upsert(&plain, 50) == 0);
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_stage stage = {.kind = VEX_STAGE_NEAREST,
                              .nearest = {.query = {.values = query, .count = KIT_DIM, .rows = 1}}};
    struct vex_groups request = {
        .stage = &stage,
        .by = kit_path(&arena, "x"),
        .limit = 20,
        .size = 2,
        .lookup = plain.collection,
        .lookup_payload = {.kind = VEX_PAYLOAD_ALL},
    };
    CU_ASSERT_FATAL(vex_read_groups(indexed.collection, &request, &context, &groups, &count, &err) == 0);
    CU_ASSERT(count > 5 && count <= 10);
    for (size_t i = 0; i < count; i++) {
        struct vex_id id = vex_id_num((uint64_t)vex_value_int(groups[i].id));
        const struct kit_point *p = kit_find(&plain, &id);
        bool there = p != NULL && p->live;
        CU_ASSERT_EQUAL(groups[i].has_lookup, there);
        if (there && groups[i].has_lookup) {
            found++;
            CU_ASSERT(vex_id_eq(&groups[i].lookup.id, &id));
            CU_ASSERT(
                vex_value_eq(groups[i].lookup.payload, (struct vex_value){(const uint8_t *)p->payload}));
        }
    }
    CU_ASSERT(found > 0); /* id 0 is among them */
    vex_arena_done(&arena);
}

/* ---- matrix ---- */

static bool same_row(const struct kit_point *a, const struct vex_matrix_result *m,
                     const struct vex_matrix_pair *pairs, uint64_t count, struct kit *kit)
{
    float scores[KIT_POINTS];
    uint32_t others = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct kit_point *b = kit_find(kit, &m->ids[i]);
        double sum = 0;
        if (a == b)
            continue;
        for (int d = 0; d < KIT_DIM; d++)
            sum += (double)(a->vector[d] - b->vector[d]) * (a->vector[d] - b->vector[d]);
        scores[others++] = (float)sqrt(sum);
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t best = 0;
        for (uint32_t s = 1; s < others; s++)
            if (scores[s] < scores[best])
                best = s;
        const struct kit_point *b = kit_find(kit, &m->ids[pairs[i].b]);
        if (a == b || fabsf(scores[best] - pairs[i].score) > 1e-5f)
            return false;
        scores[best] = INFINITY;
    }
    return true;
}

static bool ask_matrix(struct kit *kit, struct vex_filter *filter, uint64_t sample, uint64_t limit)
{
    struct vex_arena arena;
    struct vex_matrix_result m;
    struct vex_err err;
    uint32_t most = 0;
    for (uint32_t i = 0; i < KIT_POINTS; i++)
        most += kit->points[i].has_main && kit_matches(&kit->points[i], filter);
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_matrix request = {.filter = filter, .sample = sample, .limit = limit};
    bool good = vex_read_matrix(kit->collection, &request, &context, &m, &err) == 0;
    uint32_t count = most < sample ? most : (uint32_t)sample;
    uint64_t each = count > 0 && limit > count - 1 ? count - 1 : limit;
    good = good && m.count == (count < 2 ? 0 : count) && m.pair_count == m.count * each;
    for (uint32_t i = 0; good && i < m.count; i++) {
        const struct kit_point *p = kit_find(kit, &m.ids[i]);
        good = p->has_main && kit_matches(p, filter) && (i == 0 || vex_id_cmp(&m.ids[i - 1], &m.ids[i]) < 0);
        for (uint64_t n = 0; good && n < each; n++)
            good = m.pairs[i * each + n].a == i;
        good = good && same_row(p, &m, m.pairs + i * each, each, kit);
    }
    vex_arena_done(&arena);
    return good;
}

static void test_matrix(void)
{
    static const uint64_t samples[] = {2, 10, 300, UINT64_MAX}, limits[] = {1, 3, 20, UINT64_MAX};
    struct vex_arena arena;
    struct vex_matrix_result m;
    struct vex_err err = {0};
    for (int i = 0; i < 60; i++) {
        vex_arena_init(&arena, 0);
        struct vex_filter *filter = draw(&f, 2) ? kit_filter(&indexed, &arena, 1) : NULL;
        kit_bind(&arena, filter);
        CU_ASSERT(ask_matrix(&indexed, filter, samples[draw(&f, 4)], limits[draw(&f, 4)]));
        vex_arena_done(&arena);
    }
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_matrix request = {.using = VEX_STR("none"), .sample = 3, .limit = 3};
    CU_ASSERT_EQUAL(vex_read_matrix(indexed.collection, &request, &context, &m, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Not existing vector name error: none");
    vex_arena_done(&arena);
}

/* ---- sample ---- */

/* 4 of 16 points, many times: each point comes about as often. The bound is more than 6 standard deviations off. */
static void test_uniform(void)
{
    enum { ROUNDS = 4000, POINTS = 16, TAKE = 4 };
    uint32_t times[POINTS] = {0};
    struct vex_arena arena;
    vex_arena_init(&arena, 0);
    struct vex_id *ids = VEX_ARENA_ARRAY(&arena, struct vex_id, POINTS);
    uint32_t count = 0;
    for (uint32_t i = 0; i < KIT_POINTS && count < POINTS; i++)
        if (plain.points[i].live)
            ids[count++] = plain.points[i].id;
    CU_ASSERT_EQUAL_FATAL(count, POINTS);
    for (int i = 0; i < ROUNDS; i++) {
        struct vex_arena call;
        struct vex_hits hits;
        struct vex_err err;
        struct vex_id next;
        bool more;
        vex_arena_init(&call, 0);
        struct vex_read_context context = {.arena = &call};
        struct vex_scroll scroll = {
            .ids = ids, .id_count = POINTS, .has_ids = true, .limit = TAKE, .sample = true};
        CU_ASSERT_FATAL(vex_read_scroll(plain.collection, &scroll, &context, &hits, &more, &next, &err) == 0);
        CU_ASSERT_EQUAL_FATAL(hits.count, TAKE);
        for (size_t h = 0; h < hits.count; h++)
            for (uint32_t p = 0; p < POINTS; p++)
                times[p] += vex_id_eq(&hits.hits[h].id, &ids[p]);
        vex_arena_done(&call);
    }
    for (uint32_t p = 0; p < POINTS; p++)
        CU_ASSERT(times[p] > 800 && times[p] < 1200);
    vex_arena_done(&arena);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"order by a field", test_order},
        {"order by what has no range index", test_order_refused},
        {"facets", test_facets},
        {"order and facets while entries are out of date", test_pending},
        {"groups", test_groups},
        {"groups with records looked up", test_lookup},
        {"distance matrix", test_matrix},
        {"samples are uniform", test_uniform},
        CU_TEST_INFO_NULL,
    };
    if (!fixture_open(&f) || !kit_open(&plain, &f, "plain", false) ||
        !kit_open(&indexed, &f, "indexed", true))
        return 1;
    int failed = run_suite("browsing", tests);
    kit_close(&plain);
    kit_close(&indexed);
    fixture_close(&f);
    return failed;
}
