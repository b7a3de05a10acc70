/* Analyzer: tokens that the real engine makes of texts (probed), languages, bounds. */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdlib.h>

#include "base_suite.h"
#include "engine/text/analyzer.h"

#define TOKENIZER(x) .tokenizer = VEX_TOKENIZER_##x

struct collect {
    struct vex_buf tokens;
    uint32_t next;
    bool in_order;
    size_t count, stop_at;
};

static int collect(void *arg, struct vex_str token, uint32_t position)
{
    struct collect *c = arg;

    if (c->count++ > 0)
        vex_buf_add_char(&c->tokens, '|');
    if (position == VEX_POSITION_NONE)
        vex_buf_add_char(&c->tokens, '~');
    else
        c->in_order = c->in_order && position == c->next++;
    vex_buf_add_str(&c->tokens, token);
    return c->count == c->stop_at ? 7 : 0;
}

static struct vex_analyzer *analyzer_of(struct vex_text_params params)
{
    struct vex_analyzer *analyzer = NULL;
    struct vex_err err;

    CU_ASSERT_FATAL(vex_analyzer_new(&params, &analyzer, &err) == 0);
    return analyzer;
}

/* Tokens apart by '|', those beside the sequence behind '~'. */
static void tokens_by(const struct vex_analyzer *analyzer, enum vex_text_use use, const char *text,
                      const char *want)
{
    struct collect c = {.in_order = true};

    CU_ASSERT_EQUAL(vex_analyze(analyzer, vex_str_c(text), use, collect, &c), 0);
    CU_ASSERT(c.in_order);
    vex_buf_add_char(&c.tokens, '\0');
    if (strcmp(c.tokens.ptr, want) != 0) {
        printf("\n%s: got %s, not %s\n", text, c.tokens.ptr, want);
        CU_FAIL("tokens");
    }
    vex_buf_done(&c.tokens);
}

static void tokens(struct vex_text_params params, enum vex_text_use use, const char *text, const char *want)
{
    struct vex_analyzer *analyzer = analyzer_of(params);

    tokens_by(analyzer, use, text, want);
    vex_analyzer_free(analyzer);
}

#define DOC(want, text, ...)                                                                                 \
    tokens((struct vex_text_params){.lowercase = true, __VA_ARGS__}, VEX_TEXT_DOCUMENT, text, want)
#define QUERY(want, text, ...)                                                                               \
    tokens((struct vex_text_params){.lowercase = true, __VA_ARGS__}, VEX_TEXT_CONDITION, text, want)

static void test_word(void)
{
    static const char *const both[][2] = {
        {"", ""},
        {" .,- ", ""},
        {"Hello, World! foo_bar don't", "hello|world|foo|bar|don|t"},
        {"x2 v1.2.3 3rd", "x2|v1|2|3|3rd"},
        {"Привет, МИР", "привет|мир"},
        {"日本語のテキスト", "日本語のテキスト"},
        {"สวัสดีครับ", "สวัสดีครับ"},
        {"हिन्दी में", "हिन|दी|में"}, /* a virama is no letter, a vowel sign is one */
        {"İstanbul Straße ﬁne", "i̇stanbul|straße|ﬁne"},
        {"ΟΔΟΣ οδοΣ ΣΑΣ Σ", "οδος|οδος|σας|σ"},
        {"½ ² Ⅷ ①", "½|²|ⅷ|①"},
        {"ⓐⒷ x😀y", "ⓐⓑ|x|y"},
    };

    for (size_t i = 0; i < sizeof both / sizeof both[0]; i++) {
        DOC(both[i][1], both[i][0]);
        QUERY(both[i][1], both[i][0]);
        tokens_by(vex_analyzer_default(), VEX_TEXT_DOCUMENT, both[i][0], both[i][1]);
    }
    tokens((struct vex_text_params){.lowercase = false}, VEX_TEXT_DOCUMENT, "Hello WORLD É", "Hello|WORLD|É");
}

static void test_whitespace(void)
{
    DOC("", " \t\n", TOKENIZER(WHITESPACE));
    DOC("hello,|world|foo_bar|a::b->c|हिन्दी", "Hello, World\tfoo_bar a::b->c\nहिन्दी ", TOKENIZER(WHITESPACE));
    DOC("a|b|c|d​e", "a\u00a0b\u3000c\u2028d\u200be", TOKENIZER(WHITESPACE)); /* U+200B is no space */
    DOC("ab|abc", "a ab abc abcd", TOKENIZER(WHITESPACE), .min_token_len = 2, .max_token_len = 3);
}

static void test_prefix(void)
{
    DOC("h|he|hel|hell|м|ми|мир", "hello, МИР!", TOKENIZER(PREFIX), .max_token_len = 4);
    DOC("he|hel|hell", "a hello", TOKENIZER(PREFIX), .min_token_len = 2, .max_token_len = 4);
    DOC("h|hi|a", "hi a", TOKENIZER(PREFIX));
    DOC("", "hi", TOKENIZER(PREFIX), .min_token_len = 3);
    DOC("", "hello", TOKENIZER(PREFIX), .min_token_len = 3, .max_token_len = 2);
    QUERY("hell|мир", "hello, МИР!", TOKENIZER(PREFIX), .max_token_len = 4);
    QUERY("hello", "h hello", TOKENIZER(PREFIX), .min_token_len = 2);
    QUERY("the|rest", "The rest", TOKENIZER(PREFIX), .stopwords = &VEX_STR("the"), .stopword_count = 1);
    DOC("r|re", "The re", TOKENIZER(PREFIX), .stopwords = &VEX_STR("the"), .stopword_count = 1);
    DOC("int|inte|pro|proc|liv|live", "interestingly proceeding living", TOKENIZER(PREFIX),
        .min_token_len = 3, .max_token_len = 4, .stemmer = VEX_STR("english"));
    DOC("a|ac|aca|acao", "AÇÃO", TOKENIZER(PREFIX), .ascii_folding = true);
}

static void test_code(void)
{
    static const char *const rows[][3] = {
        /* text, document, query */
        {"snake_case_name", "snake|case|name|~snakecasename", "snake|case|name"},
        {"HTTPServer2Go", "http|server2|go|~httpserver2go", "http|server2|go"},
        {"getURLFromID", "get|url|from|id|~geturlfromid", "get|url|from|id"},
        {"a::b->c v1.2", "a|b|c|v1|2", "a|b|c|v1|2"},
        {"snakeCase_nameTwo", "snake|case|~snakecase|name|two|~nametwo|~snakecasenametwo",
         "snake|case|name|two"},
        {"__init__ _foo foo_ _", "init|foo|foo", "init|foo|foo"},
        {"foo__bar", "foo|bar|~foobar", "foo|bar"},
        {"AB ABc aBC ABC", "ab|a|bc|~abc|a|bc|~abc|abc", "ab|a|bc|a|bc|abc"},
        {"iPhone12Pro", "i|phone12|pro|~iphone12pro", "i|phone12|pro"},
        {"12Ab_c 1_000 0xFF_AA 3D", "12abc|1000|0xffaa|3d", "12abc|1000|0xffaa|3d"},
        {"_1A x86_64Linux", "1|a|~1a|x86|64|linux|~64linux|~x8664linux", "1|a|x86|64|linux"},
        {"КаменьЛев", "камень|лев|~каменьлев", "камень|лев"},
        {"日本Foo foo日本", "日本|foo|~日本foo|foo日本", "日本|foo|foo日本"},
        {"aⅧ ǅa aǅ", "a|ⅷ|~aⅷ|ǆa|aǆ", "a|ⅷ|ǆa|aǆ"},
        {"οδοΣ", "οδο|σ|~οδος", "οδο|σ"},
        {"BB２ BB² BB日 ΣΣ벫", "bb２|bb²|b|b日|~bb日|σ|σ벫|~σς벫", "bb２|bb²|b|b日|σ|σ벫"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        DOC(rows[i][1], rows[i][0], TOKENIZER(CODE));
        QUERY(rows[i][2], rows[i][0], TOKENIZER(CODE));
        tokens((struct vex_text_params){.lowercase = true, TOKENIZER(CODE)}, VEX_TEXT_RANKING, rows[i][0],
               rows[i][1]);
    }
    tokens((struct vex_text_params){TOKENIZER(CODE)}, VEX_TEXT_DOCUMENT, "fooBar foo_Bar", "foo|Bar|foo|Bar");
    DOC("bar|baz|~foobarbaz", "foo_bar_baz", TOKENIZER(CODE), .stopwords = &VEX_STR("foo"),
        .stopword_count = 1);
    DOC("~foobar", "fooBar", TOKENIZER(CODE), .min_token_len = 4, .max_token_len = 6);
    DOC("run|dog|~runningdog", "runningDogs", TOKENIZER(CODE), .stemmer = VEX_STR("english"));
    DOC("aeb|ec|~aebec", "aébÉc", TOKENIZER(CODE), .ascii_folding = true);
}

static void test_multilingual(void)
{
    static const char *const rows[][2] = {
        {"Café crème, 123 2nd", "cafe|creme|2nd"},
        {"Łódź Straße ﬁne œuvre Æther", "łodz|straße|fine|oeuvre|aether"},
        {"İstanbul naïve’s it's", "istanbul|naive|s|it|s"},
        {"русский Йод", "русски\u0438\u0306|\u0438\u0306од"}, /* й decomposed, the breve kept */
        {"Ελλάδα σοφός ΣΟΦΌΣ", "ελλαδα|σοφοσ|σοφοσ"},
        {"שָׁלוֹם עולם", "שלום|עולם"},
        {"السَّلام عليكم أحمد مدرسة على", "ال|سلام|عليكم|احمد|مدرسه|علي"},
        {"हिन्दी भाषा", "हिन्दी|भाषा"},
        {"foo_bar x>y x=y x+y a@b.com", "foo|bar|x>y|x=y|x|y|a|b|com"},
        {"テキスト ﾃｽﾄ ガ", "テキスト|テスト|ガ"},
        {"中文English混合", "中|文|english|混|合"},
        {"ａｂｃ Ⅷ x²", "abc|viii|x2"},
        {"HTMLParser fooBar", "htmlparser|foobar"},
        {"Việt Nam", "viet|nam"},
        {"123 ½ 😀", ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        DOC(rows[i][1], rows[i][0], TOKENIZER(MULTILINGUAL));
    DOC("北|京", "の北京", TOKENIZER(MULTILINGUAL), .stopwords = &VEX_STR("の"), .stopword_count = 1);
    DOC("test|this", "Testing this", TOKENIZER(MULTILINGUAL), .stemmer = VEX_STR("english"));
}

static void test_folding(void)
{
    DOC("acao|aeon|oeuvre|strasse|fine|th|lodz|3|14.", "Ação Æon Œuvre Straße ﬁne Þ Łódź ③ ⒕",
        .ascii_folding = true);
    DOC("привет|日本", "Привет 日本", .ascii_folding = true);
    /* Folded before stop words are looked up. */
    DOC("x", "é x", .ascii_folding = true, .stopwords = &VEX_STR("e"), .stopword_count = 1);
    DOC("e|x", "é x", .ascii_folding = true, .stopwords = &VEX_STR("é"), .stopword_count = 1);
}

static void test_stopwords(void)
{
    static const struct {
        const char *language, *text, *want;
    } rows[] = {{"english", "The quick fox and the dog don't", "quick|fox|dog"},
                {"german", "Der Hund und die Katze über Nacht", "hund|katze|nacht"},
                {"french", "le chat est sur la table", "chat|table"},
                {"spanish", "el perro y los gatos", "perro|gatos"},
                {"russian", "и кот не пёс", "кот|пёс"},
                {"arabic", "هذا كتاب في البيت", "كتاب|البيت"},
                {"greek", "και ο λόγος", "λόγος"},
                {"chinese", "的 中国 在", "中国"},
                {"turkish", "ve kedi için köpek", "kedi|köpek"},
                {"hinglish", "yeh film bahut acchi", "film|acchi"},
                {"slovene", "in pes je lep", "pes|lep"},
                {"indonesian", "saya makan nasi yang enak", "makan|nasi|enak"}};
    struct vex_str both[] = {VEX_STR("english"), VEX_STR("german")},
                   custom[] = {VEX_STR("The"), VEX_STR("LAZY")};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vex_str language = vex_str_c(rows[i].language);
        DOC(rows[i].want, rows[i].text, .stopword_languages = &language, .stopword_language_count = 1);
    }
    DOC("hund|fox", "der Hund the fox und and", .stopword_languages = both, .stopword_language_count = 2);
    DOC("fox", "the lazy Lazy THE fox", .stopwords = custom, .stopword_count = 2);
    tokens((struct vex_text_params){.stopwords = custom, .stopword_count = 2}, VEX_TEXT_DOCUMENT,
           "the The lazy LAZY fox", "the|lazy|fox");
    /* Before the stemmer. */
    DOC("do|be", "doing being", .stopwords = &VEX_STR("do"), .stopword_count = 1,
        .stemmer = VEX_STR("english"));
}

static void test_languages(void)
{
    static const char stopwords[] = "arabic azerbaijani basque bengali catalan chinese danish dutch english "
                                    "finnish french german greek hebrew "
                                    "hinglish hungarian indonesian italian japanese kazakh nepali norwegian "
                                    "portuguese romanian russian slovene "
                                    "spanish swedish tajik turkish ";
    static const char *const stems[][3] = {{"arabic", "الكتاب", "كتاب"},
                                           {"armenian", "գրքերի", "գրքերի"},
                                           {"danish", "hundene", "hund"},
                                           {"dutch", "honden", "hond"},
                                           {"english", "interestingly", "interest"},
                                           {"finnish", "taloissa", "talo"},
                                           {"french", "continuellement", "continuel"},
                                           {"german", "häuser", "haus"},
                                           {"greek", "λόγους", "λογ"},
                                           {"hungarian", "házakban", "ház"},
                                           {"italian", "abbandonata", "abbandon"},
                                           {"norwegian", "hundene", "hund"},
                                           {"portuguese", "gatinhos", "gatinh"},
                                           {"romanian", "copiilor", "cop"},
                                           {"russian", "котами", "кот"},
                                           {"spanish", "gatitos", "gatit"},
                                           {"swedish", "hundarna", "hund"},
                                           {"tamil", "மரங்கள்", "மரங்"},
                                           {"turkish", "kitaplar", "kitap"}};
    size_t languages = 0;

    for (const char *at = stopwords, *space; (space = strchr(at, ' ')) != NULL; at = space + 1, languages++)
        CU_ASSERT(vex_stopword_language(vex_str(at, (size_t)(space - at))));
    CU_ASSERT_EQUAL(languages, 30);
    for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++) {
        CU_ASSERT(vex_stemmer_language(vex_str_c(stems[i][0])));
        DOC(stems[i][2], stems[i][1], TOKENIZER(WHITESPACE), .stemmer = vex_str_c(stems[i][0]));
    }
    CU_ASSERT_EQUAL(sizeof stems / sizeof stems[0], 19);
    CU_ASSERT(!vex_stopword_language(VEX_STR("armenian")) && !vex_stopword_language(VEX_STR("English")));
    CU_ASSERT(!vex_stemmer_language(VEX_STR("chinese")) && !vex_stemmer_language(vex_str(NULL, 0)));
}

static void test_refusals(void)
{
    struct vex_text_params stemmer = {.stemmer = VEX_STR("klingon")};
    struct vex_text_params stopwords = {.stopword_languages = &VEX_STR("klingon"),
                                        .stopword_language_count = 1};
    struct vex_analyzer *analyzer = NULL;
    struct vex_err err;

    CU_ASSERT_EQUAL(vex_analyzer_new(&stemmer, &analyzer, &err), VEX_EBAD_INPUT);
    CU_ASSERT(strstr(err.text, "klingon") != NULL);
    CU_ASSERT_EQUAL(vex_analyzer_new(&stopwords, &analyzer, &err), VEX_EBAD_INPUT);
    CU_ASSERT_PTR_NULL(analyzer);
    vex_analyzer_free(NULL);
}

static void test_stop(void)
{
    static const enum vex_tokenizer all[] = {VEX_TOKENIZER_WORD, VEX_TOKENIZER_WHITESPACE,
                                             VEX_TOKENIZER_PREFIX, VEX_TOKENIZER_MULTILINGUAL,
                                             VEX_TOKENIZER_CODE};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct vex_analyzer *analyzer =
            analyzer_of((struct vex_text_params){.tokenizer = all[i], .lowercase = true});
        for (size_t stop = 1; stop <= 3; stop++) {
            struct collect c = {.stop_at = stop};
            CU_ASSERT_EQUAL(vex_analyze(analyzer, VEX_STR("aa bb cc"), VEX_TEXT_DOCUMENT, collect, &c), 7);
            CU_ASSERT_EQUAL(c.count, stop);
            vex_buf_done(&c.tokens);
        }
        vex_analyzer_free(analyzer);
    }
}

static int count_bytes(void *arg, struct vex_str token, uint32_t position)
{
    size_t *counts = arg;

    (void)position;
    counts[0]++;
    counts[1] += token.len;
    return 0;
}

/* Words of a megabyte: tokens and bytes are bounded for every tokenizer. */
static void test_sizes(void)
{
    size_t len = 1 << 20;
    char *text = malloc(len);

    for (int tokenizer = 0; tokenizer < VEX_TOKENIZER_COUNT; tokenizer++) {
        struct vex_text_params params = {.tokenizer = (enum vex_tokenizer)tokenizer,
                                         .lowercase = true,
                                         .ascii_folding = true,
                                         .stemmer = VEX_STR("english")};
        struct vex_analyzer *analyzer = analyzer_of(params);
        for (int fill = 0; fill < 3; fill++) {
            size_t counts[2] = {0, 0};
            for (size_t i = 0; i < len; i++)
                text[i] = fill == 0 ? 'A' : fill == 1 ? (i % 2 == 0 ? 'a' : 'A') : "\xd9\x80"[i % 2];
            CU_ASSERT_EQUAL(vex_analyze(analyzer, vex_str(text, len), VEX_TEXT_DOCUMENT, count_bytes, counts),
                            0);
            CU_ASSERT(counts[0] <= len && counts[1] <= 3 * len);
            if (tokenizer == VEX_TOKENIZER_PREFIX)
                CU_ASSERT_EQUAL(counts[0], VEX_PREFIX_MAX);
        }
        vex_analyzer_free(analyzer);
    }
    free(text);
}

struct work {
    const struct vex_analyzer *analyzer;
    const char *text, *want;
    bool good;
};

/* Each thread has words of its own, so that a stemmer they shared would mix them up. */
static void *stem_many(void *arg)
{
    struct work *work = arg;

    work->good = true;
    for (int i = 0; i < 20000 && work->good; i++) {
        struct collect c = {0};
        vex_analyze(work->analyzer, vex_str_c(work->text), VEX_TEXT_DOCUMENT, collect, &c);
        work->good = vex_str_eq_c(vex_buf_str(&c.tokens), work->want);
        vex_buf_done(&c.tokens);
    }
    return NULL;
}

static void test_threads(void)
{
    struct vex_analyzer *analyzer =
        analyzer_of((struct vex_text_params){.lowercase = true, .stemmer = VEX_STR("english")});
    struct work works[] = {{analyzer, "interestingly", "interest", false},
                           {analyzer, "running", "run", false},
                           {analyzer, "relational", "relat", false},
                           {analyzer, "dogs", "dog", false}};
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, stem_many, &works[i]) == 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT(works[i].good);
    }
    vex_analyzer_free(analyzer);
}

int main(void)
{
    CU_TestInfo tests[] = {{"word", test_word},
                           {"whitespace", test_whitespace},
                           {"prefix", test_prefix},
                           {"code", test_code},
                           {"multilingual", test_multilingual},
                           {"folding", test_folding},
                           {"stop words", test_stopwords},
                           {"languages", test_languages},
                           {"refusals", test_refusals},
                           {"stop", test_stop},
                           {"sizes", test_sizes},
                           {"threads", test_threads},
                           CU_TEST_INFO_NULL};
    return run_suite("analyzer", tests);
}
