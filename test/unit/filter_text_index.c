/* Text index: the same answers as reading the texts, whatever is added, removed and forgotten; ranking; files. */
#include <CUnit/Basic.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base_suite.h"
#include "engine/filter/match.h"
#include "engine/index/index.h"
#include "engine/index/text_counts.h"

#define SLOTS 700
#define WORDS ((SLOTS + 63) / 64)

#define MANY_WORDS 8192 /* of a bitmap of far more slots */

static uint64_t state = 88172645463325252ull;

/* xorshift64 (Marsaglia, 2003). */
static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static const char *const pieces[] = {"the",    "fox",     "Fox",    "QUICK",  "quick", "Straße",  "STRASSE",
                                     "été",    "ΟΔΟΣ",    "οδος",   "日本",   "日",    "foo_bar", "fooBar",
                                     "foobar", "running", "runs",   "run",    "İx",    "v1",      "2024",
                                     "не",     "кот",     "котами", "theory", "a",     "हिन्दी"};
#define PIECES (sizeof pieces / sizeof *pieces)

static void put_text(struct vex_buf *out, uint32_t most)
{
    static const char *const between[] = {" ", " ", " ", ", ", "-", "_", ""};
    struct vex_buf text = {0};
    uint32_t count = below(most + 1);

    for (uint32_t i = 0; i < count; i++) {
        vex_buf_add_str(&text, vex_str_c(pieces[below(PIECES)]));
        vex_buf_add_str(&text, vex_str_c(between[below(7)]));
    }
    vex_value_put_text(out, vex_buf_str(&text));
    vex_buf_done(&text);
}

static void put_value(struct vex_buf *out)
{
    uint32_t how = below(12);

    if (how == 0) {
        vex_value_put_int(out, 5);
    } else if (how < 3) {
        uint32_t count = below(4);
        vex_value_put_array(out, count);
        for (uint32_t i = 0; i < count; i++) {
            if (below(6) == 0)
                vex_value_put_null(out);
            else
                put_text(out, 4);
        }
    } else {
        put_text(out, 6);
    }
}

/* {"t": value} or {} */
static struct vex_value make_payload(struct vex_arena *arena)
{
    struct vex_buf out;
    bool has = below(10) != 0;

    vex_buf_init(&out, arena);
    vex_value_put_map(&out, has);
    if (has) {
        vex_value_put_text(&out, VEX_STR("t"));
        put_value(&out);
    }
    return (struct vex_value){(const uint8_t *)out.ptr};
}

static struct vex_value payload_of(struct vex_arena *arena, const char *const *texts, size_t count)
{
    struct vex_buf out;

    vex_buf_init(&out, arena);
    vex_value_put_map(&out, 1);
    vex_value_put_text(&out, VEX_STR("t"));
    if (count > 1)
        vex_value_put_array(&out, count);
    for (size_t i = 0; i < count; i++)
        vex_value_put_text(&out, vex_str_c(texts[i]));
    return (struct vex_value){(const uint8_t *)out.ptr};
}

static struct vex_index *new_index(struct vex_text_params *text)
{
    struct vex_index_params params = {.field = VEX_STR("t"), .type = VEX_INDEX_TEXT, .text = text};
    struct vex_index *index = NULL;
    struct vex_err err;

    CU_ASSERT_FATAL(vex_index_new(&params, &index, &err) == 0);
    return index;
}

static const struct vex_analyzer *find_analyzer(void *arg, const struct vex_path *path)
{
    CU_ASSERT(vex_str_eq_c(path->text, "t"));
    return vex_index_analyzer(arg);
}

/* A bound condition on "t" in a filter of its own. */
static struct vex_filter *bind(struct vex_arena *arena, struct vex_index *index, enum vex_cond_kind kind,
                               struct vex_str text)
{
    struct vex_filter *filter = VEX_ARENA_NEW(arena, struct vex_filter);
    struct vex_cond *cond = VEX_ARENA_NEW(arena, struct vex_cond);
    struct vex_filter_binding binding = {.arena = arena, .analyzer = find_analyzer, .arg = index};
    struct vex_err err;

    cond->kind = kind;
    cond->text = text;
    cond->path = vex_path_key(arena, VEX_STR("t"));
    filter->must = (struct vex_cond_list){cond, 1};
    CU_ASSERT_FATAL(vex_filter_bind(filter, &binding, &err) == 0);
    vex_filter_unbind(&binding);
    return filter;
}

struct world {
    struct vex_arena arena;
    struct vex_index *index;
    struct vex_value payloads[SLOTS]; /* at NULL: not in the index */
};

static bool bit(const uint64_t *bits, uint32_t slot)
{
    return (bits[slot / 64] >> slot % 64 & 1) != 0;
}

static int mark(void *arg, uint32_t slot)
{
    uint64_t *bits = arg;

    CU_ASSERT(!bit(bits, slot));
    bits[slot / 64] |= UINT64_C(1) << slot % 64;
    return 0;
}

/* Among many slots the terms are met one by one: the same answer. */
static void check_spread(struct world *world, const struct vex_cond *cond, const uint64_t *sure,
                         const uint64_t *unsure)
{
    uint64_t *both = vex_mem_zalloc(MANY_WORDS * 2 * sizeof *both);

    vex_index_match(world->index, cond, both, both + MANY_WORDS, MANY_WORDS * 64);
    CU_ASSERT_EQUAL(memcmp(both, sure, WORDS * sizeof *sure), 0);
    CU_ASSERT_EQUAL(memcmp(both + MANY_WORDS, unsure, WORDS * sizeof *unsure), 0);
    vex_mem_free(both);
}

/* One condition: reading every payload is the truth. Returns how many match. */
static uint64_t check(struct world *world, const struct vex_filter *filter)
{
    const struct vex_cond *cond = filter->must.conds;
    uint64_t sure[WORDS] = {0}, unsure[WORDS] = {0}, each[WORDS] = {0}, matches = 0;
    struct vex_index_estimate estimate = vex_index_estimate(world->index, cond);
    bool good = true;

    CU_ASSERT_FATAL(estimate.served);
    vex_index_match(world->index, cond, sure, unsure, SLOTS);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct vex_match_point point = {.id = vex_id_num(slot), .payload = world->payloads[slot]};
        bool truth = world->payloads[slot].at != NULL && vex_filter_match(filter, &point);
        matches += truth;
        good = good && (!bit(sure, slot) || truth) && (!truth || bit(sure, slot) || bit(unsure, slot));
    }
    CU_ASSERT(good);
    check_spread(world, cond, sure, unsure);
    CU_ASSERT(estimate.min <= matches && matches <= estimate.max);
    if (estimate.min == estimate.max) {
        uint64_t marked = 0;
        CU_ASSERT_EQUAL(vex_index_each(world->index, cond, mark, each), 0);
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            marked += bit(each, slot);
        CU_ASSERT_EQUAL(marked, matches);
    }
    return matches;
}

static uint64_t check_all(struct world *world, uint32_t rounds)
{
    static const enum vex_cond_kind kinds[] = {VEX_COND_TEXT, VEX_COND_TEXT_ANY, VEX_COND_PHRASE};
    uint64_t matches = 0;

    for (uint32_t i = 0; i < rounds; i++) {
        struct vex_arena arena;
        struct vex_buf text;
        struct vex_value v;

        vex_arena_init(&arena, 0);
        vex_buf_init(&text, &arena);
        put_text(&text, 3);
        v.at = (const uint8_t *)text.ptr;
        for (size_t k = 0; k < 3; k++)
            matches += check(world, bind(&arena, world->index, kinds[k], vex_value_text(v)));
        vex_arena_done(&arena);
    }
    return matches;
}

static void change(struct world *world, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = below(SLOTS);
        if (world->payloads[slot].at != NULL) {
            vex_index_remove(world->index, slot, world->payloads[slot]);
            world->payloads[slot].at = NULL;
        }
        if (below(3) != 0) {
            world->payloads[slot] = make_payload(&world->arena);
            vex_index_add(world->index, slot, world->payloads[slot]);
        }
    }
}

static void forget_some(struct world *world)
{
    uint64_t bits[WORDS] = {0};

    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (world->payloads[slot].at == NULL || below(5) != 0)
            continue;
        bits[slot / 64] |= UINT64_C(1) << slot % 64;
        world->payloads[slot].at = NULL;
    }
    vex_index_forget(world->index, bits, SLOTS);
}

static void save_and_load(struct world *world, struct vex_text_params *params)
{
    struct vex_index *loaded = new_index(params);
    struct vex_buf out = {0}, again = {0};
    struct vex_cursor c;
    struct vex_err err;

    vex_index_save(world->index, &out);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT_EQUAL_FATAL(vex_index_load(loaded, &c, &err), 0);
    CU_ASSERT_EQUAL(vex_cursor_left(&c), 0);
    CU_ASSERT_EQUAL(vex_index_points(loaded), vex_index_points(world->index));
    vex_index_save(loaded, &again);
    CU_ASSERT_EQUAL(again.len, out.len);
    vex_index_free(world->index);
    world->index = loaded;
    vex_buf_done(&out);
    vex_buf_done(&again);
}

static void run(struct vex_text_params params)
{
    struct world world = {.index = new_index(&params)};

    vex_arena_init(&world.arena, 0);
    for (int round = 0; round < 4; round++) {
        change(&world, 1200);
        CU_ASSERT(check_all(&world, 60) > 200);
        forget_some(&world);
        check_all(&world, 20);
        save_and_load(&world, &params);
        check_all(&world, 20);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (world.payloads[slot].at != NULL)
            vex_index_remove(world.index, slot, world.payloads[slot]);
    CU_ASSERT_EQUAL(vex_index_points(world.index), 0);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        world.payloads[slot].at = NULL;
    CU_ASSERT_EQUAL(check_all(&world, 20), 0);
    vex_index_free(world.index);
    vex_arena_done(&world.arena);
}

static void test_same_as_reading(void)
{
    run((struct vex_text_params){.lowercase = true});
    run((struct vex_text_params){
        .tokenizer = VEX_TOKENIZER_WHITESPACE, .lowercase = true, .ascii_folding = true});
    run((struct vex_text_params){
        .tokenizer = VEX_TOKENIZER_PREFIX, .lowercase = true, .min_token_len = 1, .max_token_len = 4});
    run((struct vex_text_params){.tokenizer = VEX_TOKENIZER_MULTILINGUAL, .lowercase = true});
    run((struct vex_text_params){.tokenizer = VEX_TOKENIZER_CODE, .lowercase = true, .scoring = true});
    run((struct vex_text_params){.stopwords = &VEX_STR("the"), .stopword_count = 1, .scoring = true});
    run((struct vex_text_params){.lowercase = true,
                                 .stemmer = VEX_STR("english"),
                                 .scoring = true,
                                 .stopword_languages = &VEX_STR("russian"),
                                 .stopword_language_count = 1,
                                 .min_token_len = 2,
                                 .phrase_matching = true});
}

/* ---- answers of the real engine ---- */

static const char *const documents[][3] = {{"hello world"}, {"hello the world"}, {"world hello"},
                                           {"hell worl"},   {"hello", "world"},  {"a hello world", "x"}};
#define DOCUMENTS (sizeof documents / sizeof *documents)

struct asked {
    enum vex_cond_kind kind;
    const char *text;
    uint32_t want; /* bits of documents */
};

static void ask(struct vex_text_params params, const struct asked *asked, size_t count)
{
    struct world world = {.index = new_index(&params)};

    vex_arena_init(&world.arena, 0);
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        world.payloads[i] = payload_of(&world.arena, documents[i], documents[i][1] != NULL ? 2 : 1);
        vex_index_add(world.index, i, world.payloads[i]);
    }
    for (size_t k = 0; k < count; k++) {
        struct vex_filter *filter = bind(&world.arena, world.index, asked[k].kind, vex_str_c(asked[k].text));
        uint32_t got = 0;
        for (uint32_t i = 0; i < DOCUMENTS; i++) {
            struct vex_match_point point = {.id = vex_id_num(i), .payload = world.payloads[i]};
            got |= (uint32_t)vex_filter_match(filter, &point) << i;
        }
        check(&world, filter);
        if (got != asked[k].want)
            printf("\n%s: got %x, not %x\n", asked[k].text, got, asked[k].want);
        CU_ASSERT_EQUAL(got, asked[k].want);
    }
    vex_index_free(world.index);
    vex_arena_done(&world.arena);
}

static void test_asked(void)
{
    /* Tokens of different elements do not count together (0x10), else as Qdrant answers. */
    static const struct asked word[] = {{VEX_COND_TEXT, "hello world", 0x27},
                                        {VEX_COND_TEXT, "the", 0x02},
                                        {VEX_COND_TEXT, "", 0},
                                        {VEX_COND_TEXT, "WORLD hello hello", 0x27},
                                        {VEX_COND_TEXT_ANY, "zzz world", 0x37},
                                        {VEX_COND_TEXT_ANY, "", 0},
                                        {VEX_COND_PHRASE, "hello world", 0x21},
                                        {VEX_COND_PHRASE, "world hello", 0x04},
                                        {VEX_COND_PHRASE, "", 0},
                                        {VEX_COND_PHRASE, "hello zzz world", 0},
                                        {VEX_COND_PHRASE, "hello the world", 0x02},
                                        {VEX_COND_TEXT, "hell", 0x08}};
    static const struct asked stop[] = {{VEX_COND_TEXT, "the", 0},
                                        {VEX_COND_TEXT, "hello the", 0x37},
                                        {VEX_COND_TEXT_ANY, "the", 0},
                                        {VEX_COND_PHRASE, "hello world", 0x23},
                                        {VEX_COND_PHRASE, "hello the world", 0x23},
                                        {VEX_COND_PHRASE, "the", 0}};
    static const struct asked prefix[] = {
        {VEX_COND_TEXT, "hel wor", 0x2f},   {VEX_COND_TEXT, "hello worldly", 0},
        {VEX_COND_TEXT, "h", 0x3f},         {VEX_COND_TEXT, "worldx", 0},
        {VEX_COND_PHRASE, "hello w", 0x23}, {VEX_COND_PHRASE, "hello wor", 0x23},
        {VEX_COND_PHRASE, "hel wor", 0},    {VEX_COND_PHRASE, "he hel", 0},
        {VEX_COND_PHRASE, "hell w", 0x08},  {VEX_COND_TEXT, "the", 0}};
    static const struct asked bounded[] = {{VEX_COND_TEXT, "hello worldly", 0x2f},
                                           {VEX_COND_TEXT, "h", 0},
                                           {VEX_COND_PHRASE, "hello w", 0x3f},
                                           {VEX_COND_PHRASE, "hello wor", 0x2b},
                                           {VEX_COND_PHRASE, "hel wor", 0}};
    struct vex_text_params params = {.lowercase = true, .phrase_matching = true};

    ask(params, word, sizeof word / sizeof *word);
    params.stopwords = &VEX_STR("the");
    params.stopword_count = 1;
    ask(params, stop, sizeof stop / sizeof *stop);
    params.tokenizer = VEX_TOKENIZER_PREFIX;
    ask(params, prefix, sizeof prefix / sizeof *prefix);
    params.min_token_len = 2;
    params.max_token_len = 4;
    ask(params, bounded, sizeof bounded / sizeof *bounded);
}

static void test_not_served(void)
{
    struct vex_text_params params = {.lowercase = true};
    struct vex_index *index = new_index(&params), *other = new_index(&params);
    struct vex_arena arena;
    struct vex_filter *filter;

    vex_arena_init(&arena, 0);
    filter = bind(&arena, other, VEX_COND_TEXT, VEX_STR("a"));
    CU_ASSERT(vex_index_estimate(other, filter->must.conds).served);
    CU_ASSERT(!vex_index_estimate(index, filter->must.conds).served); /* cut by another analyzer */
    filter->must.conds->kind = VEX_COND_PREFIX;
    CU_ASSERT(!vex_index_estimate(other, filter->must.conds).served);
    vex_arena_done(&arena);
    vex_index_free(index);
    vex_index_free(other);
}

/* ---- ranking ---- */

struct scores {
    float of[16];
    uint32_t count;
    int stop_at;
};

static int keep_score(void *arg, uint32_t slot, float score)
{
    struct scores *scores = arg;

    scores->of[slot] = score;
    return (int)++scores->count == scores->stop_at ? 3 : 0;
}

static void scored(const struct vex_index *index, const struct vex_bm25 *bm25, const char *query,
                   const float *want)
{
    struct scores scores = {.count = 0};
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_index_score(index, vex_str_c(query), bm25, keep_score, &scores, &err), 0);
    for (size_t i = 0; i < 8; i++) {
        if (fabsf(scores.of[i] - want[i]) > 2e-6f)
            printf("\n%s: %zu: got %f, not %f\n", query, i, (double)scores.of[i], (double)want[i]);
        CU_ASSERT(fabsf(scores.of[i] - want[i]) <= 2e-6f);
    }
}

static struct vex_index *ranked(struct vex_arena *arena, enum vex_tokenizer tokenizer,
                                const char *const (*texts)[2], uint32_t count)
{
    struct vex_text_params params = {.tokenizer = tokenizer, .lowercase = true, .scoring = true};
    struct vex_index *index = new_index(&params);

    for (uint32_t i = 0; i < count; i++)
        vex_index_add(index, i, payload_of(arena, texts[i], texts[i][1] != NULL ? 2 : 1));
    return index;
}

/* Scores that Qdrant gives. */
static void test_bm25(void)
{
    static const char *const texts[][2] = {{"the quick brown fox"},
                                           {"quick quick fox jumps"},
                                           {"lazy dog"},
                                           {""},
                                           {"fox one", "fox two"},
                                           {"completely different words here now"}};
    static const char *const code[][2] = {{"fooBar baz"}, {"foo bar"}, {"foobar"}, {"x y z"}};
    static const char *const prefix[][2] = {{"ab abc"}, {"abd"}, {"x"}};
    struct vex_bm25 bm25 = {.k = 1.2, .b = 0.75, .slots = 8};
    struct vex_arena arena;
    struct vex_index *index;

    vex_arena_init(&arena, 0);
    index = ranked(&arena, VEX_TOKENIZER_WORD, texts, 6);
    scored(index, &bm25, "fox", (float[8]){0.527636f, 0.527636f, 0, 0, 0.73031f});
    scored(index, &bm25, "Quick FOX quick", (float[8]){1.384652f, 1.713846f, 0, 0, 0.73031f});
    scored(index, &bm25, "zzz", (float[8]){0});
    scored(index, &bm25, "", (float[8]){0});
    bm25.k = 2;
    bm25.b = 0.3;
    scored(index, &bm25, "quick fox", (float[8]){1.399731f, 1.836299f, 0, 0, 0.802162f});
    bm25.k = bm25.b = 0;
    scored(index, &bm25, "quick fox", (float[8]){1.414465f, 1.414465f, 0, 0, 0.538997f});
    vex_index_free(index);
    bm25 = (struct vex_bm25){.k = 1.2, .b = 0.75, .slots = 8};
    index = ranked(&arena, VEX_TOKENIZER_CODE, code, 4);
    scored(index, &bm25, "foo", (float[8]){0.556542f, 0.754913f});
    scored(index, &bm25, "foobar", (float[8]){0.556542f, 0, 0.918629f});
    scored(index, &bm25, "fooBar", (float[8]){1.669625f, 1.509826f, 0.918629f});
    vex_index_free(index);
    index = ranked(&arena, VEX_TOKENIZER_PREFIX, prefix, 3);
    scored(index, &bm25, "ab", (float[8]){0.544215f, 0.470004f});
    vex_index_free(index);
    vex_arena_done(&arena);
}

/* The same statistics when they are counted over some, and after texts came and went. */
static void test_bm25_corpus(void)
{
    static const char *const texts[][2] = {{"the quick brown fox"},
                                           {"quick quick fox jumps"},
                                           {"lazy dog"},
                                           {""},
                                           {"fox one", "fox two"},
                                           {"completely different words here now"},
                                           {"fox fox fox fox fox fox"},
                                           {"quick"}};
    struct vex_bm25 bm25 = {.k = 1.2, .b = 0.75, .slots = 8};
    uint64_t first = 0x3f, three = 0x13;
    struct scores scores = {.stop_at = 1};
    struct vex_text_params params = {.lowercase = true, .scoring = true};
    struct world world = {0};
    struct vex_err err;

    vex_arena_init(&world.arena, 0);
    world.index = ranked(&world.arena, VEX_TOKENIZER_WORD, texts, 8);
    bm25.corpus = bm25.among = &first;
    scored(world.index, &bm25, "quick fox", (float[8]){1.384652f, 1.713846f, 0, 0, 0.73031f});
    bm25.among = &three;
    scored(world.index, &bm25, "quick fox", (float[8]){1.384652f, 1.713846f, 0, 0, 0.73031f});
    bm25.corpus = bm25.among = NULL;
    vex_index_remove(world.index, 6, payload_of(&world.arena, texts[6], 1));
    vex_index_forget(world.index, (uint64_t[1]){0x80}, 8);
    scored(world.index, &bm25, "quick fox", (float[8]){1.384652f, 1.713846f, 0, 0, 0.73031f});
    save_and_load(&world, &params);
    scored(world.index, &bm25, "quick fox", (float[8]){1.384652f, 1.713846f, 0, 0, 0.73031f});
    CU_ASSERT_EQUAL(vex_index_score(world.index, VEX_STR("fox"), &bm25, keep_score, &scores, &err), 3);
    CU_ASSERT_EQUAL(scores.count, 1);
    vex_index_free(world.index);
    world.index = new_index(&(struct vex_text_params){.lowercase = true});
    CU_ASSERT_EQUAL(vex_index_score(world.index, VEX_STR("fox"), &bm25, keep_score, &scores, &err),
                    VEX_EBAD_INPUT);
    vex_index_free(world.index);
    vex_arena_done(&world.arena);
}

/* The same however many slots there are. */
static void test_bm25_few(void)
{
    static const char *const texts[][2] = {{"the quick brown fox"},
                                           {"quick quick fox jumps"},
                                           {"lazy dog"},
                                           {""},
                                           {"fox one", "fox two"},
                                           {"completely different words here now"}};
    struct vex_bm25 bm25 = {.k = 1.2, .b = 0.75, .slots = 100000};
    struct scores scores = {.stop_at = 2};
    struct vex_arena arena;
    struct vex_index *index;
    struct vex_err err;

    vex_arena_init(&arena, 0);
    index = ranked(&arena, VEX_TOKENIZER_WORD, texts, 6);
    scored(index, &bm25, "Quick FOX quick", (float[8]){1.384652f, 1.713846f, 0, 0, 0.73031f});
    CU_ASSERT_EQUAL(vex_index_score(index, VEX_STR("fox quick"), &bm25, keep_score, &scores, &err), 3);
    CU_ASSERT_EQUAL(scores.count, 2);
    vex_index_free(index);
    vex_arena_done(&arena);
}

/* Lengths keep their 13 leading bits. */
static void test_bm25_long(void)
{
    struct vex_bm25 bm25 = {.k = 1.2, .b = 0.75, .slots = 8};
    struct vex_buf text = {0};
    struct vex_arena arena;
    struct vex_index *index;

    CU_ASSERT(vex_text_round(0) == 0 && vex_text_round(8191) == 8191 && vex_text_round(8193) == 8192);
    CU_ASSERT(vex_text_round(16387) == 16384 && vex_text_round(32775) == 32768 &&
              vex_text_round(32776) == 32776);
    CU_ASSERT_EQUAL(vex_text_round(UINT32_MAX), 0xfff80000);
    vex_arena_init(&arena, 0);
    for (int i = 0; i < 9001; i++)
        vex_buf_add_str(&text, VEX_STR("a "));
    vex_buf_add(&text, "b", 2);
    index = ranked(&arena, VEX_TOKENIZER_WORD, (const char *const[][2]){{text.ptr}, {"b a"}, {"c"}}, 3);
    scored(index, &bm25, "b", (float[8]){0.25856f, 0.795024f});
    vex_index_free(index);
    vex_buf_done(&text);
    vex_arena_done(&arena);
}

/* ---- files ---- */

/* Every cut and many damaged bytes: refused, or an index that can be asked; never more. */
static void test_damage(void)
{
    struct vex_text_params params = {.lowercase = true, .scoring = true};
    struct world world = {.index = new_index(&params)};
    struct vex_buf out = {0};
    struct vex_err err;
    char *copy;

    vex_arena_init(&world.arena, 0);
    change(&world, 60);
    vex_index_save(world.index, &out);
    copy = malloc(out.len);
    for (size_t i = 0; i < out.len * 3; i++) {
        struct vex_index *loaded = new_index(&params);
        size_t len = i < out.len ? i : out.len;
        struct vex_cursor c = vex_cursor(copy, len);
        struct vex_bm25 bm25 = {.k = 1.2, .b = 0.75, .slots = SLOTS};
        memcpy(copy, out.ptr, out.len);
        if (i >= out.len)
            copy[i % out.len] ^= (char)(1u << below(8));
        if (vex_index_load(loaded, &c, &err) == 0) {
            struct vex_arena arena;
            uint64_t sure[WORDS] = {0}, unsure[WORDS] = {0};
            vex_arena_init(&arena, 0);
            CU_ASSERT(i >= out.len);
            vex_index_match(loaded, bind(&arena, loaded, VEX_COND_TEXT, VEX_STR("fox run"))->must.conds, sure,
                            unsure, SLOTS);
            vex_index_score(loaded, VEX_STR("nothing"), &bm25, keep_score, NULL, &err);
            vex_arena_done(&arena);
        } else {
            CU_ASSERT_EQUAL(vex_index_points(loaded), 0);
            vex_index_add(loaded, 3,
                          world.payloads[3].at != NULL ? world.payloads[3] : make_payload(&world.arena));
        }
        vex_index_free(loaded);
    }
    free(copy);
    vex_buf_done(&out);
    vex_index_free(world.index);
    vex_arena_done(&world.arena);
}

int main(void)
{
    CU_TestInfo tests[] = {{"same as reading", test_same_as_reading},
                           {"asked", test_asked},
                           {"not served", test_not_served},
                           {"bm25", test_bm25},
                           {"bm25 over a corpus", test_bm25_corpus},
                           {"bm25 of few", test_bm25_few},
                           {"bm25 of long texts", test_bm25_long},
                           {"damage", test_damage},
                           CU_TEST_INFO_NULL};
    return run_suite("text index", tests);
}
