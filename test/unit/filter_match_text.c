/* Text conditions on payloads: which analyzer cuts them, tokens, sequences, arrays, sizes. */
#include <CUnit/Basic.h>
#include <stdlib.h>

#include "base_suite.h"
#include "engine/filter/match.h"
#include "engine/text/analyzer.h"

static struct vex_arena arena;

struct fields {
    const char *field; /* the one with an analyzer of its own */
    const struct vex_analyzer *analyzer;
    struct vex_buf asked; /* paths, each before a '|' */
};

static const struct vex_analyzer *find(void *arg, const struct vex_path *path)
{
    struct fields *fields = arg;

    vex_buf_add_str(&fields->asked, path->text);
    vex_buf_add_char(&fields->asked, '|');
    if (vex_str_eq_c(path->text, "a[].t"))
        CU_ASSERT(path->count == 3 && path->steps[1].kind == VEX_STEP_ALL &&
                  vex_str_eq_c(path->steps[2].key, "t"));
    return vex_str_eq_c(path->text, fields->field) ? fields->analyzer : NULL;
}

static struct vex_cond condition(enum vex_cond_kind kind, const char *path, const char *text)
{
    struct vex_cond cond = {.kind = kind, .text = vex_str_c(text)};
    struct vex_err err;

    CU_ASSERT_FATAL(vex_path_parse(&arena, vex_str_c(path), &cond.path, &err) == 0);
    return cond;
}

static bool matches(struct vex_cond *cond, struct fields *fields, struct vex_value payload)
{
    struct vex_filter filter = {.must = {cond, 1}};
    struct vex_match_point point = {.id = vex_id_num(1), .payload = payload};
    struct vex_filter_binding binding = {
        .arena = &arena, .analyzer = fields != NULL ? find : NULL, .arg = fields};
    struct vex_err err;
    bool match;

    CU_ASSERT_FATAL(vex_filter_bind(&filter, &binding, &err) == 0);
    match = vex_filter_match(&filter, &point);
    vex_filter_unbind(&binding);
    return match;
}

/* {"t": text}, or an array of texts. */
static struct vex_value texts(const char *first, const char *second)
{
    struct vex_buf out;

    vex_buf_init(&out, &arena);
    vex_value_put_map(&out, 1);
    vex_value_put_text(&out, VEX_STR("t"));
    if (second != NULL)
        vex_value_put_array(&out, 2);
    vex_value_put_text(&out, vex_str_c(first));
    if (second != NULL)
        vex_value_put_text(&out, vex_str_c(second));
    return (struct vex_value){(const uint8_t *)out.ptr};
}

/* {"a": [{"t": first}, {"t": second}]} */
static struct vex_value nested(const char *first, const char *second)
{
    struct vex_value parts[] = {texts(first, NULL), texts(second, NULL)};
    struct vex_buf out;

    vex_buf_init(&out, &arena);
    vex_value_put_map(&out, 1);
    vex_value_put_text(&out, VEX_STR("a"));
    vex_value_put_array(&out, 2);
    vex_value_put(&out, parts[0]);
    vex_value_put(&out, parts[1]);
    return (struct vex_value){(const uint8_t *)out.ptr};
}

static bool match_default(enum vex_cond_kind kind, const char *query, const char *text)
{
    struct vex_cond cond = condition(kind, "t", query);

    return matches(&cond, NULL, texts(text, NULL));
}

static bool match_by(struct vex_text_params params, enum vex_cond_kind kind, const char *query,
                     const char *text)
{
    struct vex_cond cond = condition(kind, "t", query);
    struct vex_analyzer *analyzer = NULL;
    struct fields fields = {.field = "t"};
    struct vex_err err;
    bool match;

    CU_ASSERT_FATAL(vex_analyzer_new(&params, &analyzer, &err) == 0);
    fields.analyzer = analyzer;
    match = matches(&cond, &fields, texts(text, NULL));
    CU_ASSERT(vex_str_eq_c(vex_buf_str(&fields.asked), "t|"));
    vex_buf_done(&fields.asked);
    vex_analyzer_free(analyzer);
    return match;
}

static void test_default(void)
{
    CU_ASSERT(match_default(VEX_COND_TEXT, "WORLD hello", "Hello, world!"));
    CU_ASSERT(!match_default(VEX_COND_TEXT, "hello worlds", "hello world"));
    CU_ASSERT(!match_default(VEX_COND_TEXT, "", "hello"));
    CU_ASSERT(match_default(VEX_COND_TEXT_ANY, "zzz world", "hello world"));
    CU_ASSERT(!match_default(VEX_COND_TEXT_ANY, "...", "hello"));
    CU_ASSERT(match_default(VEX_COND_PHRASE, "b a b c", "a b a b a b c"));
    CU_ASSERT(!match_default(VEX_COND_PHRASE, "a c", "a b c"));
    CU_ASSERT(match_default(VEX_COND_TEXT, "ΟΔΟΣ", "οδος"));
    CU_ASSERT(match_default(VEX_COND_PHRASE, "οδος", "ΟΔΟΣ"));
    CU_ASSERT(!match_default(VEX_COND_TEXT, "οδοσ", "ΟΔΟΣ"));
    CU_ASSERT(match_default(VEX_COND_TEXT, "İX", "İx"));
    CU_ASSERT(!match_default(VEX_COND_TEXT, "ix", "İx"));
    CU_ASSERT(match_default(VEX_COND_TEXT, "दी", "हिन्दी"));
}

static void test_analyzers(void)
{
    struct vex_text_params stem = {.lowercase = true, .stemmer = VEX_STR("english")};
    struct vex_text_params stop = {.lowercase = true, .stopwords = &VEX_STR("the"), .stopword_count = 1};
    struct vex_text_params exact = {.tokenizer = VEX_TOKENIZER_WHITESPACE};
    struct vex_text_params prefix = {.tokenizer = VEX_TOKENIZER_PREFIX, .lowercase = true};
    struct vex_text_params code = {.tokenizer = VEX_TOKENIZER_CODE, .lowercase = true};

    CU_ASSERT(match_by(stem, VEX_COND_TEXT, "run dog", "Dogs running"));
    CU_ASSERT(match_by(stem, VEX_COND_PHRASE, "dogs run", "many dogs running"));
    CU_ASSERT(match_by(stop, VEX_COND_PHRASE, "hello world", "hello the world"));
    CU_ASSERT(match_by(stop, VEX_COND_TEXT, "the world", "world"));
    CU_ASSERT(!match_by(stop, VEX_COND_TEXT, "the", "the world"));
    CU_ASSERT(match_by(exact, VEX_COND_TEXT_ANY, "Foo,", "Foo, bar"));
    CU_ASSERT(!match_by(exact, VEX_COND_TEXT, "foo,", "Foo, bar"));
    CU_ASSERT(match_by(prefix, VEX_COND_TEXT, "wor HEL", "hello world"));
    CU_ASSERT(match_by(prefix, VEX_COND_PHRASE, "hello wor", "hello world"));
    CU_ASSERT(!match_by(prefix, VEX_COND_PHRASE, "hel wor", "hello world"));
    CU_ASSERT(match_by(code, VEX_COND_TEXT, "fooBar", "foo bar baz"));
    CU_ASSERT(match_by(code, VEX_COND_TEXT, "foobar", "fooBar baz"));
    CU_ASSERT(match_by(code, VEX_COND_PHRASE, "foobar", "fooBar baz"));
    CU_ASSERT(match_by(code, VEX_COND_PHRASE, "fooBar", "foo bar baz"));
    CU_ASSERT(match_by(code, VEX_COND_PHRASE, "bar baz", "fooBar baz"));
    CU_ASSERT(!match_by(code, VEX_COND_PHRASE, "foobar baz", "fooBar baz"));
    CU_ASSERT(!match_by(code, VEX_COND_PHRASE, "bar foobar", "fooBar baz"));
    CU_ASSERT(!match_by(code, VEX_COND_TEXT_ANY, "fooBar", "foobar baz"));
}

static void test_arrays(void)
{
    struct vex_cond both = condition(VEX_COND_TEXT, "t", "hello world");
    struct vex_cond any = condition(VEX_COND_TEXT_ANY, "t", "hello world");

    CU_ASSERT(!matches(&both, NULL, texts("hello", "world")));
    CU_ASSERT(matches(&both, NULL, texts("x", "world, hello")));
    CU_ASSERT(matches(&any, NULL, texts("x", "world")));
}

/* A filter on elements asks for the analyzer by the whole path. */
static void test_nested(void)
{
    static const char *const keys[] = {"a", "a[]"};
    struct vex_text_params stem = {.lowercase = true, .stemmer = VEX_STR("english")};
    struct vex_analyzer *analyzer = NULL;
    struct vex_err err;

    CU_ASSERT_FATAL(vex_analyzer_new(&stem, &analyzer, &err) == 0);
    for (size_t i = 0; i < 2; i++) {
        struct vex_cond inner = condition(VEX_COND_TEXT, "t", "run");
        struct vex_filter filter = {.must = {&inner, 1}};
        struct vex_cond outer = condition(VEX_COND_NESTED, keys[i], "");
        struct fields fields = {.field = "a[].t", .analyzer = analyzer};
        outer.sub = &filter;
        CU_ASSERT(matches(&outer, &fields, nested("none", "dogs running")));
        CU_ASSERT(vex_str_eq_c(vex_buf_str(&fields.asked), "a[].t|"));
        fields.field = "t";
        CU_ASSERT(!matches(&outer, &fields, nested("none", "dogs running")));
        vex_buf_done(&fields.asked);
    }
    vex_analyzer_free(analyzer);
}

/* More words than are ticked off in one pass, and a phrase of as many. */
static void test_sizes(void)
{
    struct vex_buf text = {0}, less = {0};
    struct vex_text_params exact = {.tokenizer = VEX_TOKENIZER_WHITESPACE};

    for (int i = 0; i < 10000; i++) {
        vex_buf_printf(&text, "w%d ", i);
        if (i != 9000)
            vex_buf_printf(&less, "w%d ", i);
    }
    vex_buf_add_char(&text, '\0');
    vex_buf_add_char(&less, '\0');
    CU_ASSERT(match_default(VEX_COND_TEXT, text.ptr, text.ptr));
    CU_ASSERT(!match_default(VEX_COND_TEXT, text.ptr, less.ptr));
    CU_ASSERT(match_default(VEX_COND_TEXT, less.ptr, text.ptr));
    CU_ASSERT(match_by(exact, VEX_COND_TEXT, text.ptr, text.ptr));
    CU_ASSERT(!match_by(exact, VEX_COND_TEXT, text.ptr, less.ptr));
    CU_ASSERT(match_by(exact, VEX_COND_PHRASE, text.ptr, text.ptr));
    CU_ASSERT(!match_by(exact, VEX_COND_PHRASE, less.ptr, text.ptr));
    vex_buf_done(&text);
    vex_buf_done(&less);
}

int main(void)
{
    CU_TestInfo tests[] = {{"default", test_default}, {"analyzers", test_analyzers}, {"arrays", test_arrays},
                           {"nested", test_nested},   {"sizes", test_sizes},         CU_TEST_INFO_NULL};
    int rc;

    vex_arena_init(&arena, 0);
    rc = run_suite("match text", tests);
    vex_arena_done(&arena);
    return rc;
}
