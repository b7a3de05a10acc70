/* Full-text conditions on the text itself: both sides are cut by the analyzer of the field.
 *
 * Lock  None. For fields without a text index (the default analyzer: words, lowercase) the stored text is folded code point by code
 * point while it is compared, so nothing is allocated. Phrases are found by Knuth, Morris and Pratt's algorithm over tokens: linear,
 * whatever repeats. */
#include <stdlib.h>

#include "base/text.h"
#include "engine/filter/match_parts.h"
#include "engine/text/analyzer.h"

#define SET_WORDS 64 /* words of 64 bits: condition's words ticked off in one pass */

/* Order of a stored word, folded, and a word that is in lowercase already. */
static int cmp_word(struct vex_str stored, struct vex_str lower)
{
    struct vex_lower a = vex_lower(stored);
    const char *at = lower.ptr, *end = lower.ptr + lower.len;

    for (;;) {
        int32_t x = vex_lower_next(&a), y = at < end ? vex_text_next(&at, end) : -1;
        if (x != y)
            return x < y ? -1 : 1;
        if (x < 0)
            return 0;
    }
}

static int by_word(const void *key, const void *element)
{
    return cmp_word(*(const struct vex_str *)key, *(const struct vex_str *)element);
}

/* The same order: that of UTF-8 is that of code points. */
static int by_bytes(const void *a, const void *b)
{
    return vex_str_cmp(*(const struct vex_str *)a, *(const struct vex_str *)b);
}

/* ---- binding ---- */

struct collect {
    struct vex_arena *arena;
    bool phrase;
    struct vex_str *words; /* NULL: they are only counted */
    uint32_t count;
};

static int collect_token(void *arg, struct vex_str token, uint32_t position)
{
    struct collect *collect = arg;

    if (collect->phrase && position == VEX_POSITION_NONE)
        return 0;
    if (collect->words != NULL)
        collect->words[collect->count] =
            vex_str(vex_arena_dup(collect->arena, token.ptr, token.len), token.len);
    collect->count++;
    return 0;
}

/* Length of the longest border of every beginning of the phrase. */
static uint32_t *borders_of(struct vex_arena *arena, const struct vex_str *words, uint32_t count)
{
    uint32_t *borders = VEX_ARENA_ARRAY(arena, uint32_t, count);
    uint32_t k = 0;

    for (uint32_t i = 1; i < count; i++) {
        while (k > 0 && !vex_str_eq(words[i], words[k]))
            k = borders[k - 1];
        k += vex_str_eq(words[i], words[k]);
        borders[i] = k;
    }
    return borders;
}

void vex_bind_words(struct vex_arena *arena, struct vex_cond *cond)
{
    struct collect collect = {.arena = arena, .phrase = cond->kind == VEX_COND_PHRASE};
    const struct vex_analyzer *analyzer = cond->bound.analyzer;
    enum vex_text_use use = collect.phrase ? VEX_TEXT_DOCUMENT : VEX_TEXT_CONDITION;
    uint32_t kept = 0;

    vex_analyze(analyzer, cond->text, use, collect_token, &collect);
    cond->bound.words = NULL;
    cond->bound.word_count = collect.count;
    if (collect.count == 0)
        return;
    collect.words = VEX_ARENA_ARRAY(arena, struct vex_str, collect.count);
    collect.count = 0;
    vex_analyze(analyzer, cond->text, use, collect_token, &collect);
    cond->bound.words = collect.words;
    if (collect.phrase) {
        cond->bound.borders = borders_of(arena, collect.words, collect.count);
        return;
    }
    qsort(collect.words, collect.count, sizeof *collect.words, by_bytes);
    for (uint32_t i = 0; i < collect.count; i++)
        if (i == 0 || !vex_str_eq(collect.words[i], collect.words[kept - 1]))
            collect.words[kept++] = collect.words[i];
    cond->bound.word_count = kept;
}

/* ---- matching ---- */

/* A pass over a stored text. Tokens of the default analyzer come as they are spelt, others finished. */
struct pass {
    const struct vex_cond *cond;
    int (*order)(const void *key, const void *element);
    const struct vex_str *words; /* TEXT: those of this pass; else all */
    uint32_t count, missing;     /* TEXT */
    uint32_t matched;            /* PHRASE */
    uint64_t seen[SET_WORDS];    /* TEXT; cleared as far as it is used */
};

static const struct vex_str *find(const struct pass *pass, struct vex_str word)
{
    if (pass->count == 1)
        return pass->order(&word, pass->words) == 0 ? pass->words : NULL;
    return bsearch(&word, pass->words, pass->count, sizeof word, pass->order);
}

static int tick(void *arg, struct vex_str word)
{
    struct pass *pass = arg;
    const struct vex_str *found = find(pass, word);
    size_t i;

    if (found == NULL)
        return 0;
    i = (size_t)(found - pass->words);
    if ((pass->seen[i / 64] >> i % 64 & 1) == 0) {
        pass->seen[i / 64] |= UINT64_C(1) << i % 64;
        pass->missing--;
    }
    return pass->missing == 0;
}

static int any_word(void *arg, struct vex_str word)
{
    return find(arg, word) != NULL;
}

static int phrase_word(void *arg, struct vex_str word)
{
    struct pass *pass = arg;
    const struct vex_cond *cond = pass->cond;

    while (pass->order(&word, &cond->bound.words[pass->matched]) != 0) {
        if (pass->matched == 0)
            return 0;
        pass->matched = cond->bound.borders[pass->matched - 1];
    }
    pass->matched++;
    return pass->matched == cond->bound.word_count;
}

static int on_token(void *arg, struct vex_str token, uint32_t position)
{
    struct pass *pass = arg;

    switch (pass->cond->kind) {
    case VEX_COND_TEXT:
        return tick(pass, token);
    case VEX_COND_TEXT_ANY:
        return any_word(pass, token);
    default:
        if (pass->cond->bound.word_count == 1)
            return vex_str_eq(token, pass->cond->bound.words[0]);
        return position != VEX_POSITION_NONE ? phrase_word(pass, token) : 0;
    }
}

static bool run(struct pass *pass, struct vex_str text)
{
    if (pass->cond->bound.analyzer != vex_analyzer_default())
        return vex_analyze(pass->cond->bound.analyzer, text, VEX_TEXT_DOCUMENT, on_token, pass) != 0;
    switch (pass->cond->kind) {
    case VEX_COND_TEXT:
        return vex_text_words(text, tick, pass) != 0;
    case VEX_COND_TEXT_ANY:
        return vex_text_words(text, any_word, pass) != 0;
    default:
        return vex_text_words(text, phrase_word, pass) != 0;
    }
}

bool vex_match_words(const struct vex_cond *cond, struct vex_str text)
{
    struct pass pass;

    if (cond->bound.word_count == 0)
        return false;
    pass.cond = cond;
    pass.order = cond->bound.analyzer == vex_analyzer_default() ? by_word : by_bytes;
    pass.words = cond->bound.words;
    pass.count = cond->bound.word_count;
    pass.matched = 0;
    if (cond->kind != VEX_COND_TEXT)
        return run(&pass, text);
    for (uint32_t at = 0; at < cond->bound.word_count; at += pass.count) {
        uint32_t count = cond->bound.word_count - at;

        count = count > 64 * SET_WORDS ? 64 * SET_WORDS : count;
        pass.words = cond->bound.words + at;
        pass.count = pass.missing = count;
        memset(pass.seen, 0, (count + 63) / 64 * sizeof *pass.seen);
        if (!run(&pass, text))
            return false;
    }
    return true;
}
