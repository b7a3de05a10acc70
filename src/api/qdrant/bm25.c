/* Texts as sparse vectors. See bm25.h.
 *
 * Formula   Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, 3.1, without the inverse document frequency, which
 *           the modifier `idf` of the sparse vector adds: f (k + 1) / (f + k (1 - b + b length / average)).
 * Options   of the document: k, b, avg_len, tokenizer, language, lowercase, ascii_folding, stopwords, stemmer, min_token_len,
 *           max_token_len. The average length is told, not measured. */
#include "api/qdrant/bm25.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/text/analyzer.h"

#define TERMS_MAX (1u << 22)

struct options {
    double k, b, average;
    struct vex_text_params text;
    struct vex_str language;
};

bool vex_bm25_is_model(const char *name)
{
    return name != NULL && (strcasecmp(name, "qdrant/bm25") == 0 || strcasecmp(name, "bm25") == 0);
}

static uint32_t rotated(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

uint32_t vex_bm25_term(struct vex_str term)
{
    const uint8_t *bytes = (const uint8_t *)term.ptr;
    uint32_t hash = 0, block = 0;
    size_t i = 0;

    for (; i + 4 <= term.len; i += 4) {
        block = bytes[i] | (uint32_t)bytes[i + 1] << 8 | (uint32_t)bytes[i + 2] << 16 |
                (uint32_t)bytes[i + 3] << 24;
        hash ^= rotated(block * 0xcc9e2d51u, 15) * 0x1b873593u;
        hash = rotated(hash, 13) * 5 + 0xe6546b64u;
    }
    block = 0;
    for (size_t left = term.len - i; left > 0; left--)
        block = block << 8 | bytes[i + left - 1];
    hash ^= rotated(block * 0xcc9e2d51u, 15) * 0x1b873593u;
    hash ^= (uint32_t)term.len;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    hash ^= hash >> 16;
    return hash > (uint32_t)INT32_MAX ? 0 - hash : hash;
}

/* ---- options ---- */

static int bad_option(struct vex_call *call, const char *name, const char *expected)
{
    return vex_err_set(&call->err, VEX_EBAD_INPUT, "Invalid BM25 config: `%s`: expected %s", name, expected);
}

/* Absent and null leave what is there. */
static int get_real(struct vex_call *call, struct vex_value map, const char *name, double low, double high,
                    double *ret)
{
    struct vex_value v = vex_value_get(map, vex_str_c(name));

    if (v.at == NULL || vex_value_kind(v) == VEX_VALUE_NULL)
        return 0;
    if (!vex_value_is_number(v))
        return bad_option(call, name, "a number");
    *ret = vex_value_double(v);
    if (!isfinite(*ret) || *ret < low || *ret > high)
        return vex_err_set(&call->err, VEX_EBAD_INPUT, "BM25 %s is out of range, got %g", name, *ret);
    return 0;
}

static int get_bool(struct vex_call *call, struct vex_value map, const char *name, bool *ret)
{
    struct vex_value v = vex_value_get(map, vex_str_c(name));

    if (v.at == NULL || vex_value_kind(v) == VEX_VALUE_NULL)
        return 0;
    if (vex_value_kind(v) != VEX_VALUE_BOOL)
        return bad_option(call, name, "a boolean");
    *ret = vex_value_bool(v);
    return 0;
}

static int get_length(struct vex_call *call, struct vex_value map, const char *name, uint32_t *ret)
{
    double value = *ret;
    int code = get_real(call, map, name, 0, 65535, &value);

    *ret = code == 0 ? (uint32_t)value : 0;
    return code;
}

static int get_text(struct vex_call *call, struct vex_value map, const char *name, struct vex_str *ret)
{
    struct vex_value v = vex_value_get(map, vex_str_c(name));

    if (v.at == NULL || vex_value_kind(v) == VEX_VALUE_NULL)
        return 0;
    if (vex_value_kind(v) != VEX_VALUE_TEXT)
        return bad_option(call, name, "a string");
    *ret = vex_value_text(v);
    return 0;
}

static int get_texts(struct vex_call *call, struct vex_value map, const char *name, struct vex_str **ret,
                     uint32_t *ret_count)
{
    struct vex_value v = vex_value_get(map, vex_str_c(name));
    struct vex_value_iter it = vex_value_iter(v);

    if (v.at == NULL || vex_value_kind(v) == VEX_VALUE_NULL)
        return 0;
    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        return bad_option(call, name, "a list of strings");
    *ret = VEX_ARENA_ARRAY(&call->arena, struct vex_str, vex_value_count(v) + 1);
    while (vex_value_next(&it)) {
        if (vex_value_kind(it.value) != VEX_VALUE_TEXT)
            return bad_option(call, name, "a list of strings");
        (*ret)[(*ret_count)++] = vex_value_text(it.value);
    }
    return 0;
}

static int get_tokenizer(struct vex_call *call, struct vex_value map, enum vex_tokenizer *ret)
{
    static const char *const names[VEX_TOKENIZER_COUNT] = {
        [VEX_TOKENIZER_WORD] = "word",     [VEX_TOKENIZER_WHITESPACE] = "whitespace",
        [VEX_TOKENIZER_PREFIX] = "prefix", [VEX_TOKENIZER_MULTILINGUAL] = "multilingual",
        [VEX_TOKENIZER_CODE] = "code",
    };
    struct vex_str name = VEX_STR("word");
    int code = get_text(call, map, "tokenizer", &name);

    if (code < 0)
        return code;
    for (int i = 0; i < VEX_TOKENIZER_COUNT; i++)
        if (vex_str_eq_c(name, names[i])) {
            *ret = (enum vex_tokenizer)i;
            return 0;
        }
    return bad_option(call, "tokenizer", "one of `word`, `whitespace`, `prefix`, `multilingual`, `code`");
}

/* A language's name, or { languages, custom }; absent: those of `language`. A language that is not known has none. */
static int get_stopwords(struct vex_call *call, struct vex_value map, struct options *o)
{
    struct vex_value v = vex_value_get(map, VEX_STR("stopwords"));
    int code;

    if (v.at != NULL && vex_value_kind(v) == VEX_VALUE_MAP) {
        if ((code = get_texts(call, v, "languages", &o->text.stopword_languages,
                              &o->text.stopword_language_count)) < 0)
            return code;
        return get_texts(call, v, "custom", &o->text.stopwords, &o->text.stopword_count);
    }
    o->text.stopword_languages = VEX_ARENA_ARRAY(&call->arena, struct vex_str, 1);
    o->text.stopword_languages[0] = o->language;
    o->text.stopword_language_count = vex_stopword_language(o->language);
    if (v.at == NULL || vex_value_kind(v) == VEX_VALUE_NULL)
        return 0;
    o->text.stopword_language_count = 1;
    return get_text(call, map, "stopwords", &o->text.stopword_languages[0]);
}

/* { type: snowball, language } or { type: none }; absent: that of `language`. */
static int get_stemmer(struct vex_call *call, struct vex_value map, struct options *o)
{
    struct vex_value v = vex_value_get(map, VEX_STR("stemmer"));
    struct vex_str type = VEX_STR("");
    int code;

    if (v.at == NULL || vex_value_kind(v) == VEX_VALUE_NULL) {
        o->text.stemmer = vex_stemmer_language(o->language) ? o->language : VEX_STR("");
        return 0;
    }
    if ((code = get_text(call, v, "type", &type)) < 0)
        return code;
    if (vex_str_eq_c(type, "snowball"))
        return get_text(call, v, "language", &o->text.stemmer);
    return vex_str_eq_c(type, "none") ? 0 : bad_option(call, "stemmer", "type `snowball` or `none`");
}

static int get_options(struct vex_call *call, struct vex_value map, struct options *o)
{
    int code;

    *o = (struct options){
        .k = 1.2, .b = 0.75, .average = 256, .text = {.lowercase = true}, .language = VEX_STR("english")};
    if ((code = get_real(call, map, "k", 0, HUGE_VAL, &o->k)) < 0 ||
        (code = get_real(call, map, "b", 0, 1, &o->b)) < 0 ||
        (code = get_real(call, map, "avg_len", 1e-9, HUGE_VAL, &o->average)) < 0 ||
        (code = get_text(call, map, "language", &o->language)) < 0 ||
        (code = get_bool(call, map, "lowercase", &o->text.lowercase)) < 0 ||
        (code = get_bool(call, map, "ascii_folding", &o->text.ascii_folding)) < 0 ||
        (code = get_length(call, map, "min_token_len", &o->text.min_token_len)) < 0 ||
        (code = get_length(call, map, "max_token_len", &o->text.max_token_len)) < 0 ||
        (code = get_tokenizer(call, map, &o->text.tokenizer)) < 0 || (code = get_stopwords(call, map, o)) < 0)
        return code;
    return get_stemmer(call, map, o);
}

/* ---- terms ---- */

struct terms {
    struct vex_arena *arena;
    uint32_t *numbers;
    uint32_t count, room;
};

static int add_term(void *arg, struct vex_str token, uint32_t position)
{
    struct terms *terms = arg;

    (void)position;
    if (terms->count == terms->room) {
        uint32_t room = terms->room != 0 ? 2 * terms->room : 64;
        uint32_t *numbers = room <= TERMS_MAX ? vex_arena_try(terms->arena, room * sizeof *numbers) : NULL;

        if (numbers == NULL)
            return VEX_ETOO_LARGE;
        if (terms->count != 0)
            memcpy(numbers, terms->numbers, terms->count * sizeof *numbers);
        terms->numbers = numbers;
        terms->room = room;
    }
    terms->numbers[terms->count++] = vex_bm25_term(token);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* What documents without options are cut with; lives as long as the program. */
static struct vex_analyzer *plain;
static pthread_once_t plain_once = PTHREAD_ONCE_INIT;

static void make_plain(void)
{
    struct vex_str english = VEX_STR("english");
    struct vex_text_params params = {
        .lowercase = true, .stemmer = english, .stopword_languages = &english, .stopword_language_count = 1};
    struct vex_err err;

    if (vex_analyzer_new(&params, &plain, &err) < 0)
        plain = NULL;
}

static int cut(struct vex_call *call, const Qdrant__Document *in, bool query, const struct options *o,
               struct terms *ret)
{
    enum vex_text_use use = query ? VEX_TEXT_RANKING : VEX_TEXT_DOCUMENT;
    struct vex_analyzer *own = NULL;
    int code = 0;

    pthread_once(&plain_once, make_plain);
    if (in->n_options != 0 || plain == NULL)
        code = vex_analyzer_new(&o->text, &own, &call->err);
    if (code < 0)
        return code;
    code = vex_analyze(own != NULL ? own : plain, vex_str_c(in->text != NULL ? in->text : ""), use, add_term,
                       ret);
    vex_analyzer_free(own);
    return code < 0 ? vex_err_set(&call->err, VEX_ETOO_LARGE, "the text has too many terms") : 0;
}

int vex_bm25_embed(struct vex_call *call, const Qdrant__Document *in, bool query,
                   struct vex_vector_value *ret)
{
    struct terms terms = {.arena = &call->arena};
    struct options o;
    struct vex_str bytes;
    uint32_t *indices, n = 0;
    float *values;
    int code;

    if ((code = vex_lower_payload(call, (void *const *)in->options, in->n_options, &bytes)) < 0 ||
        (code = get_options(call, (struct vex_value){(const uint8_t *)bytes.ptr}, &o)) < 0 ||
        (code = cut(call, in, query, &o, &terms)) < 0)
        return code;
    if (terms.count != 0)
        qsort(terms.numbers, terms.count, sizeof *terms.numbers, compare);
    indices = VEX_ARENA_ARRAY(&call->arena, uint32_t, terms.count + 1u);
    values = VEX_ARENA_ARRAY(&call->arena, float, terms.count + 1u);
    for (uint32_t i = 0, end; i < terms.count; i = end, n++) {
        double often;

        for (end = i + 1; end < terms.count && terms.numbers[end] == terms.numbers[i]; end++)
            ;
        often = end - i;
        indices[n] = terms.numbers[i];
        values[n] = query ? 1.0f
                          : (float)(often * (o.k + 1) /
                                    fma(o.k, 1.0 - o.b + o.b * (double)terms.count / o.average, often));
    }
    *ret = (struct vex_vector_value){
        .name = ret->name, .kind = VEX_VECTOR_SPARSE, .values = values, .indices = indices, .count = n};
    return 0;
}
