/* Analyzer: the steps that every token goes through, and the tokenizers word, whitespace and prefix.
 *
 * Lock    None: an analyzer never changes. The scratch of a text is its vex_cut's.
 * Memory  Words without capitals are handed on as they stand in the text; others go through buffers that are kept for the text. */
#include "engine/text/analyzer.h"

#include <limits.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/text/analyzer_parts.h"

static const struct vex_analyzer standard = {.lowercase = true, .stemmer = VEX_STEMMER_NONE};

const struct vex_analyzer *vex_analyzer_default(void)
{
    return &standard;
}

bool vex_stemmer_language(struct vex_str name)
{
    return vex_stemmer_find(name) != VEX_STEMMER_NONE;
}

static int add_stopwords(struct vex_analyzer *analyzer, const struct vex_text_params *params,
                         struct vex_err *err)
{
    for (uint32_t i = 0; i < params->stopword_language_count; i++) {
        struct vex_str language = params->stopword_languages[i];
        if (!vex_stopwords_add_language(&analyzer->stopwords, language, params->lowercase))
            return vex_err_set(err, VEX_EBAD_INPUT, "Unknown language of stop words: " VEX_STR_FMT,
                               VEX_STR_ARG(language));
    }
    for (uint32_t i = 0; i < params->stopword_count; i++)
        vex_stopwords_add(&analyzer->stopwords, params->stopwords[i], params->lowercase);
    return 0;
}

int vex_analyzer_new(const struct vex_text_params *params, struct vex_analyzer **ret, struct vex_err *err)
{
    struct vex_analyzer *analyzer = VEX_NEW(struct vex_analyzer);
    int rc;

    vex_stopwords_init(&analyzer->stopwords);
    analyzer->tokenizer = params->tokenizer;
    analyzer->lowercase = params->lowercase;
    analyzer->ascii_folding = params->ascii_folding;
    analyzer->min_len = params->min_token_len;
    analyzer->max_len = params->max_token_len;
    analyzer->stemmer = VEX_STEMMER_NONE;
    rc = add_stopwords(analyzer, params, err);
    if (rc == 0 && params->stemmer.len > 0) {
        analyzer->stemmer = vex_stemmer_find(params->stemmer);
        if (analyzer->stemmer == VEX_STEMMER_NONE)
            rc = vex_err_set(err, VEX_EBAD_INPUT, "Unknown language of a stemmer: " VEX_STR_FMT,
                             VEX_STR_ARG(params->stemmer));
    }
    if (rc != 0) {
        vex_analyzer_free(analyzer);
        return rc;
    }
    *ret = analyzer;
    return 0;
}

void vex_analyzer_free(struct vex_analyzer *analyzer)
{
    if (analyzer == NULL)
        return;
    vex_stopwords_done(&analyzer->stopwords);
    vex_mem_free(analyzer);
}

/* ---- steps ---- */

static bool is_lower(struct vex_str word)
{
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];
        if (c >= 0x80 || (c >= 'A' && c <= 'Z'))
            return false;
    }
    return true;
}

static bool is_ascii(struct vex_str word)
{
    unsigned char all = 0;

    for (size_t i = 0; i < word.len; i++)
        all |= (unsigned char)word.ptr[i];
    return all < 0x80;
}

bool vex_cut_normalize(struct vex_cut *cut, struct vex_str word, bool stop, struct vex_str *ret)
{
    const struct vex_analyzer *analyzer = cut->analyzer;

    if (word.len == 0)
        return false;
    if (analyzer->ascii_folding && !is_ascii(word)) {
        cut->folded.len = 0;
        vex_fold_ascii(&cut->folded, word);
        word = vex_buf_str(&cut->folded);
    }
    if (analyzer->lowercase && !is_lower(word)) {
        cut->lower.len = 0;
        vex_text_add_lower(&cut->lower, word);
        word = vex_buf_str(&cut->lower);
    }
    if (stop && vex_stopwords_has(&analyzer->stopwords, word))
        return false;
    if (analyzer->stemmer != VEX_STEMMER_NONE && word.len <= VEX_STEM_MAX)
        word = vex_stem(analyzer->stemmer, word);
    *ret = word;
    return true;
}

bool vex_cut_fits(const struct vex_analyzer *analyzer, struct vex_str token)
{
    size_t count;

    if (analyzer->min_len == 0 && analyzer->max_len == 0)
        return true;
    count = vex_utf8_count(token);
    return count >= analyzer->min_len && (analyzer->max_len == 0 || count <= analyzer->max_len);
}

int vex_cut_emit(struct vex_cut *cut, struct vex_str token)
{
    return cut->fn(cut->arg, token, cut->position++);
}

int vex_cut_word(struct vex_cut *cut, struct vex_str word, bool beside)
{
    struct vex_str token;

    if (!vex_cut_normalize(cut, word, true, &token) || !vex_cut_fits(cut->analyzer, token))
        return 0;
    return beside ? cut->fn(cut->arg, token, VEX_POSITION_NONE) : vex_cut_emit(cut, token);
}

/* ---- tokenizers ---- */

static int on_word(void *arg, struct vex_str word)
{
    return vex_cut_word(arg, word, false);
}

static int cut_whitespace(struct vex_cut *cut, struct vex_str text)
{
    const char *at = text.ptr, *end = text.len > 0 ? text.ptr + text.len : text.ptr, *begin = text.ptr;

    while (at < end) {
        const char *from = at;
        int32_t point = vex_text_next(&at, end);
        if (point > ' ' && point < 0x80)
            continue;
        if (!vex_text_space(point))
            continue;
        if (from > begin) {
            int rc = vex_cut_word(cut, vex_str(begin, (size_t)(from - begin)), false);
            if (rc != 0)
                return rc;
        }
        begin = at;
    }
    return end > begin ? vex_cut_word(cut, vex_str(begin, (size_t)(end - begin)), false) : 0;
}

/* Bytes of the first `points` code points. */
static size_t bytes_of(struct vex_str s, size_t from, size_t points)
{
    while (from < s.len && points > 0) {
        do
            from++;
        while (from < s.len && ((unsigned char)s.ptr[from] & 0xc0) == 0x80);
        points--;
    }
    return from;
}

static uint32_t longest_prefix(const struct vex_analyzer *analyzer)
{
    return analyzer->max_len == 0 || analyzer->max_len > VEX_PREFIX_MAX ? VEX_PREFIX_MAX : analyzer->max_len;
}

static int on_prefix_word(void *arg, struct vex_str word)
{
    struct vex_cut *cut = arg;
    uint32_t max = longest_prefix(cut->analyzer);
    uint32_t min = cut->analyzer->min_len > 0 ? cut->analyzer->min_len : 1;
    struct vex_str token;
    size_t len = 0;

    if (!vex_cut_normalize(cut, word, true, &token))
        return 0;
    for (uint32_t points = 1; points <= max && len < token.len; points++) {
        int rc;
        len = bytes_of(token, len, 1);
        rc = points >= min ? vex_cut_emit(cut, vex_str(token.ptr, len)) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The longest prefix that documents have. Stop words stay: what is asked for may be the beginning of another word. */
static int on_prefix_query(void *arg, struct vex_str word)
{
    struct vex_cut *cut = arg;
    struct vex_str token;

    if (!vex_cut_normalize(cut, word, false, &token) || vex_utf8_count(token) < cut->analyzer->min_len)
        return 0;
    token.len = bytes_of(token, 0, longest_prefix(cut->analyzer));
    return vex_cut_emit(cut, token);
}

int vex_analyze(const struct vex_analyzer *analyzer, struct vex_str text, enum vex_text_use use,
                int (*fn)(void *arg, struct vex_str token, uint32_t position), void *arg)
{
    struct vex_cut cut = {.analyzer = analyzer, .use = use, .fn = fn, .arg = arg};
    int rc = 0;

    switch (analyzer->tokenizer) {
    case VEX_TOKENIZER_WHITESPACE:
        rc = cut_whitespace(&cut, text);
        break;
    case VEX_TOKENIZER_PREFIX:
        rc = vex_text_words(text, use == VEX_TEXT_DOCUMENT ? on_prefix_word : on_prefix_query, &cut);
        break;
    case VEX_TOKENIZER_MULTILINGUAL:
        rc = vex_cut_multilingual(&cut, text);
        break;
    case VEX_TOKENIZER_CODE:
        rc = vex_cut_code(&cut, text);
        break;
    default:
        rc = vex_text_words(text, on_word, &cut);
        break;
    }
    vex_buf_done(&cut.folded);
    vex_buf_done(&cut.lower);
    vex_buf_done(&cut.word);
    vex_mem_free(cut.points);
    return rc;
}
