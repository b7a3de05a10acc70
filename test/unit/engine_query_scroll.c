/* Scroll, count and retrieve against the model: paging in both orders, filters, lists of ids, what an answer
 * carries. */
#include "engine_query_fixture.h"

static struct fixture f;
static enum vex_rows_order sort_order;

static int in_order(const void *pa, const void *pb)
{
    const struct model_point *a = *(const struct model_point *const *)pa,
                             *b = *(const struct model_point *const *)pb;
    if (sort_order == VEX_ORDER_BIRTH)
        return a->birth < b->birth ? -1 : 1;
    return vex_id_cmp(&a->id, &b->id);
}

static uint32_t expect(const struct model_filter *filter, const struct model_filter *ids,
                       enum vex_rows_order order, const struct model_point **ret)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < MODEL_POINTS; i++) {
        const struct model_point *p = &f.points[i];
        if (p->live && model_matches(&f, filter, p) && (ids == NULL || in_ids(&f, ids, p)))
            ret[count++] = p;
    }
    sort_order = order;
    qsort(ret, count, sizeof *ret, in_order);
    return count;
}

static bool same_vector(const struct vex_vector_value *v, enum model_name name, const struct model_vector *m)
{
    if (!vex_str_eq_c(v->name, model_kinds[name].name) || v->kind != model_kinds[name].kind ||
        v->count != m->count)
        return false;
    if (v->kind == VEX_VECTOR_MULTI && v->rows != m->rows)
        return false;
    if (v->kind == VEX_VECTOR_SPARSE && memcmp(v->indices, m->indices, m->count * sizeof *m->indices) != 0)
        return false;
    double norm = 0;
    for (uint32_t i = 0; i < m->count; i++)
        norm += (double)m->values[i] * m->values[i];
    norm = name == M_COSINE && norm > 0 ? sqrt(norm) : 1;
    for (uint32_t i = 0; i < m->rows * m->count; i++)
        if (fabs(v->values[i] - m->values[i] / norm) > 1e-6)
            return false;
    return true;
}

/* All of a point, vectors in ordinal order. */
static bool same_point(const struct vex_hit *hit, const struct model_point *p)
{
    uint32_t at = 0;
    if (!hit->has_payload || vex_value_kind(hit->payload) != VEX_VALUE_MAP)
        return false;
    if (vex_value_count(hit->payload) != (p->has_payload ? 2 : 0))
        return false;
    if (p->has_payload) {
        char letter = (char)('a' + p->tag);
        if (vex_value_int(vex_value_get(hit->payload, VEX_STR("n"))) != p->number ||
            !vex_str_eq(vex_value_text(vex_value_get(hit->payload, VEX_STR("tag"))), vex_str(&letter, 1)))
            return false;
    }
    for (enum model_name name = 0; name < M_NAMES; name++) {
        if ((p->has & 1u << name) == 0)
            continue;
        if (at >= hit->vector_count || !same_vector(&hit->vectors[at], name, &p->vectors[name]))
            return false;
        at++;
    }
    return at == hit->vector_count && hit->version > 0;
}

/* ---- scroll ---- */

/* Walks page by page; true when all came exactly once, in order. */
static bool pages(const struct model_filter *filter, const struct model_filter *ids,
                  enum vex_rows_order order, uint64_t limit)
{
    static const struct model_point *all[MODEL_POINTS];
    uint32_t count = expect(filter, ids, order, all), seen = 0;
    struct vex_arena arena;
    struct vex_err err;
    struct vex_id next = {0};
    bool has_next = true, good = true;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_scroll s = {.order = order,
                           .limit = limit,
                           .payload = {.kind = VEX_PAYLOAD_ALL},
                           .vectors = {.kind = VEX_VECTORS_ALL}};
    if (ids != NULL) {
        s.ids = model_ids(&f, &arena, ids);
        s.id_count = model_id_count(ids);
        s.has_ids = true;
    }
    while (has_next && good) {
        struct vex_hits hits;
        s.filter = model_filter(&f, &arena, filter);
        good = vex_read_scroll(f.collection, &s, &context, &hits, &has_next, &next, &err) == 0;
        good = good && hits.count == (count - seen < limit ? count - seen : limit);
        for (size_t i = 0; i < hits.count && good; i++, seen++)
            good = vex_id_eq(&hits.hits[i].id, &all[seen]->id) && same_point(&hits.hits[i], all[seen]);
        good = good && has_next == (seen < count) && (!has_next || vex_id_eq(&next, &all[seen]->id));
        s.offset = order == VEX_ORDER_ID ? &next : NULL;
        s.skip = order == VEX_ORDER_ID ? 0 : seen;
    }
    vex_arena_done(&arena);
    return good && seen == count;
}

static void test_empty(void)
{
    struct model_filter none = {0};
    CU_ASSERT(pages(&none, NULL, VEX_ORDER_ID, 10));
    CU_ASSERT(pages(&none, NULL, VEX_ORDER_BIRTH, 10));
}

static void scroll_some(int rounds)
{
    static const uint64_t limits[] = {1, 7, 100, 1000, UINT64_MAX};
    struct model_filter none = {0};
    CU_ASSERT(pages(&none, NULL, VEX_ORDER_ID, 13));
    CU_ASSERT(pages(&none, NULL, VEX_ORDER_BIRTH, 13));
    for (int i = 0; i < rounds; i++) {
        struct model_filter filter = draw_filter(&f), ids = draw_filter(&f);
        enum vex_rows_order order = draw(&f, 2) ? VEX_ORDER_ID : VEX_ORDER_BIRTH;
        uint64_t limit = limits[1 + draw(&f, 4)];
        CU_ASSERT(pages(&filter, draw(&f, 3) == 0 ? &ids : NULL, order, limit));
    }
}

static void test_pages(void)
{
    CU_ASSERT_FATAL(fixture_fill(&f, 40));
    scroll_some(60);
    for (int i = 0; i < 10; i++) { /* slots are replaced, points born again */
        CU_ASSERT_FATAL(fixture_fill(&f, 3));
        scroll_some(6);
    }
    struct model_filter none = {0};
    CU_ASSERT(pages(&none, NULL, VEX_ORDER_ID, 1));
}

/* An offset that is no point's id begins at the next one; limit 0 gives nothing but says that there is more.
 */
static void test_offsets(void)
{
    static const struct model_point *all[MODEL_POINTS];
    struct model_filter none = {0};
    uint32_t count = expect(&none, NULL, VEX_ORDER_ID, all);
    struct vex_arena arena;
    struct vex_err err;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    for (uint32_t i = 0; i < 200; i++) {
        struct vex_id from = i % 2 ? vex_id_num(draw(&f, 110000)) : f.points[draw(&f, MODEL_POINTS)].id, next;
        struct vex_scroll s = {.limit = i % 5, .offset = &from};
        struct vex_hits hits;
        bool has_next;
        uint32_t at = 0;
        while (at < count && vex_id_cmp(&all[at]->id, &from) < 0)
            at++;
        CU_ASSERT_EQUAL(vex_read_scroll(f.collection, &s, &context, &hits, &has_next, &next, &err), 0);
        CU_ASSERT_EQUAL(hits.count, count - at < i % 5 ? count - at : i % 5);
        CU_ASSERT_EQUAL(has_next, count - at > i % 5);
        for (size_t j = 0; j < hits.count; j++) {
            CU_ASSERT(vex_id_eq(&hits.hits[j].id, &all[at + j]->id));
            CU_ASSERT(!hits.hits[j].has_payload && hits.hits[j].vector_count == 0);
        }
    }
    vex_arena_done(&arena);
}

/* ---- count ---- */

static void test_count(void)
{
    static const struct model_point *all[MODEL_POINTS];
    struct vex_arena arena;
    struct vex_err err;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    for (int i = 0; i < 200; i++) {
        struct model_filter filter = draw_filter(&f);
        uint64_t count = 0;
        CU_ASSERT_EQUAL(
            vex_read_count(f.collection, model_filter(&f, &arena, &filter), &context, &count, &err), 0);
        CU_ASSERT_EQUAL(count, expect(&filter, NULL, VEX_ORDER_ID, all));
    }
    vex_arena_done(&arena);
}

/* ---- retrieve ---- */

static void test_retrieve(void)
{
    struct vex_arena arena;
    struct vex_err err;
    struct vex_id ids[300];
    const struct model_point *want[300];
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_retrieve r = {
        .ids = ids, .payload = {.kind = VEX_PAYLOAD_ALL}, .vectors = {.kind = VEX_VECTORS_ALL}};
    for (int round = 0; round < 50; round++) {
        uint32_t count = 0;
        r.count = draw(&f, 300);
        for (uint32_t i = 0; i < r.count; i++) {
            const struct model_point *p = &f.points[draw(&f, 400)];
            ids[i] = p->id;
            bool seen = false;
            for (uint32_t j = 0; j < count; j++)
                seen = seen || want[j] == p;
            if (p->live && !seen)
                want[count++] = p;
        }
        struct vex_hits hits;
        CU_ASSERT_EQUAL(vex_read_retrieve(f.collection, &r, &context, &hits, &err), 0);
        CU_ASSERT_EQUAL_FATAL(hits.count, count);
        for (uint32_t i = 0; i < count; i++)
            CU_ASSERT(vex_id_eq(&hits.hits[i].id, &want[i]->id) && same_point(&hits.hits[i], want[i]));
    }
    vex_arena_done(&arena);
}

static void test_selectors(void)
{
    struct vex_arena arena;
    struct vex_err err;
    const struct model_point *p = NULL;
    vex_arena_init(&arena, 0);
    uint32_t both = 1u << M_COSINE | 1u << M_IDF;
    for (uint32_t i = 0; i < MODEL_POINTS && p == NULL; i++)
        if (f.points[i].live && f.points[i].has_payload && (f.points[i].has & both) == both)
            p = &f.points[i];
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    struct vex_read_context context = {.arena = &arena};
    struct vex_path path = vex_path_key(&arena, VEX_STR("n"));
    struct vex_str names[] = {VEX_STR("idf"), VEX_STR(""), VEX_STR("idf")};
    struct vex_retrieve r = {.ids = &p->id,
                             .count = 1,
                             .payload = {.kind = VEX_PAYLOAD_INCLUDE, .paths = &path, .count = 1},
                             .vectors = {.kind = VEX_VECTORS_NAMED, .names = names, .count = 3}};
    struct vex_hits hits;
    CU_ASSERT_EQUAL_FATAL(vex_read_retrieve(f.collection, &r, &context, &hits, &err), 0);
    CU_ASSERT_EQUAL_FATAL(hits.count, 1);
    CU_ASSERT_EQUAL(vex_value_count(hits.hits[0].payload), 1);
    CU_ASSERT_EQUAL(vex_value_int(vex_value_get(hits.hits[0].payload, VEX_STR("n"))), p->number);
    CU_ASSERT_EQUAL_FATAL(hits.hits[0].vector_count, 2);
    CU_ASSERT(same_vector(&hits.hits[0].vectors[0], M_COSINE, &p->vectors[M_COSINE]));
    CU_ASSERT(same_vector(&hits.hits[0].vectors[1], M_IDF, &p->vectors[M_IDF]));
    r.payload.kind = VEX_PAYLOAD_EXCLUDE;
    CU_ASSERT_EQUAL_FATAL(vex_read_retrieve(f.collection, &r, &context, &hits, &err), 0);
    CU_ASSERT_PTR_NULL(vex_value_get(hits.hits[0].payload, VEX_STR("n")).at);
    CU_ASSERT_PTR_NOT_NULL(vex_value_get(hits.hits[0].payload, VEX_STR("tag")).at);
    names[1] = VEX_STR("zz");
    CU_ASSERT_EQUAL(vex_read_retrieve(f.collection, &r, &context, &hits, &err), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "Not existing vector name error: zz");
    vex_arena_done(&arena);
}

/* What was dropped answers no more. */
static void test_dropped(void)
{
    struct vex_arena arena;
    struct vex_err err;
    uint64_t count;
    bool found = false;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    CU_ASSERT_EQUAL(vex_engine_drop(f.engine, VEX_STR(VEX_DEFAULT_TENANT), VEX_STR(VEX_DEFAULT_DATABASE),
                                    VEX_STR("points"), &found, &err),
                    0);
    CU_ASSERT(found);
    CU_ASSERT_EQUAL(vex_read_count(f.collection, NULL, &context, &count, &err), VEX_ENOT_FOUND);
    vex_arena_done(&arena);
}

int main(void)
{
    static CU_TestInfo tests[] = {{"empty collection", test_empty}, {"pages", test_pages},
                                  {"offsets", test_offsets},        {"count", test_count},
                                  {"retrieve", test_retrieve},      {"selectors", test_selectors},
                                  {"dropped", test_dropped},        CU_TEST_INFO_NULL};
    if (!fixture_open(&f))
        return 1;
    int failed = run_suite("scroll", tests);
    fixture_close(&f);
    return failed;
}
