/* Full-text conditions on fields without a text index: Qdrant's word tokenizer on both sides, lowercase.
 *
 * Lock  None. The stored text is folded code point by code point while it is compared, so nothing is
 * allocated. Phrases are found by Knuth, Morris and Pratt's algorithm over words: linear, whatever repeats.
 */
#include <stdlib.h>
#include <utf8proc.h>

#include "base/text.h"
#include "engine/filter/match_parts.h"

#define SET_WORDS 64 /* words of 64 bits: condition's words ticked off in one pass */

struct code {
    const char *at, *end;
};

/* Next code point in lowercase; -1 at the end. Texts are valid UTF-8. */
static int32_t next_lower(struct code *c)
{
    unsigned char first;
    utf8proc_int32_t point;
    utf8proc_ssize_t step;

    if (c->at == c->end)
        return -1;
    first = (unsigned char)*c->at;
    if (first < 0x80) {
        c->at++;
        return first >= 'A' && first <= 'Z' ? first | 0x20 : first;
    }
    step = utf8proc_iterate((const utf8proc_uint8_t *)c->at, c->end - c->at, &point);
    if (step <= 0) {
        c->at = c->end;
        return -1;
    }
    c->at += step;
    return utf8proc_tolower(point);
}

/* Order of a stored word, folded, and a word that is in lowercase already. */
static int cmp_word(struct vex_str stored, struct vex_str lower)
{
    struct code a = {stored.ptr, stored.ptr + stored.len}, b = {lower.ptr, lower.ptr + lower.len};

    for (;;) {
        int32_t x = next_lower(&a), y = next_lower(&b);
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

struct collect {
    struct vex_arena *arena;
    struct vex_str *words; /* NULL: count only */
    uint32_t count;
};

static int collect_word(void *arg, struct vex_str word)
{
    struct collect *collect = arg;

    if (collect->words != NULL)
        collect->words[collect->count] = vex_text_lower(collect->arena, word);
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
    struct collect collect = {.arena = arena};
    uint32_t kept = 0;

    vex_text_words(cond->text, collect_word, &collect);
    cond->bound.words = NULL;
    cond->bound.word_count = collect.count;
    if (collect.count == 0)
        return;
    collect.words = VEX_ARENA_ARRAY(arena, struct vex_str, collect.count);
    collect.count = 0;
    vex_text_words(cond->text, collect_word, &collect);
    cond->bound.words = collect.words;
    if (cond->kind == VEX_COND_PHRASE) {
        cond->bound.borders = borders_of(arena, collect.words, collect.count);
        return;
    }
    qsort(collect.words, collect.count, sizeof *collect.words, by_word);
    for (uint32_t i = 0; i < collect.count; i++)
        if (i == 0 || !vex_str_eq(collect.words[i], collect.words[kept - 1]))
            collect.words[kept++] = collect.words[i];
    cond->bound.word_count = kept;
}

struct ticks {
    const struct vex_str *words;
    uint32_t count, missing;
    uint64_t seen[SET_WORDS];
};

static int tick(void *arg, struct vex_str word)
{
    struct ticks *ticks = arg;
    const struct vex_str *found;
    size_t i;

    if (ticks->count == 1)
        found = cmp_word(word, ticks->words[0]) == 0 ? ticks->words : NULL;
    else
        found = bsearch(&word, ticks->words, ticks->count, sizeof word, by_word);
    if (found == NULL)
        return 0;
    i = (size_t)(found - ticks->words);
    if ((ticks->seen[i / 64] >> i % 64 & 1) == 0) {
        ticks->seen[i / 64] |= UINT64_C(1) << i % 64;
        ticks->missing--;
    }
    return ticks->missing == 0;
}

static bool all_words(const struct vex_cond *cond, struct vex_str text)
{
    for (uint32_t at = 0; at < cond->bound.word_count;) {
        uint32_t count = cond->bound.word_count - at;
        struct ticks ticks;

        count = count > 64 * SET_WORDS ? 64 * SET_WORDS : count;
        ticks.words = cond->bound.words + at;
        ticks.count = ticks.missing = count;
        memset(ticks.seen, 0, (count + 63) / 64 * sizeof *ticks.seen);
        if (vex_text_words(text, tick, &ticks) == 0)
            return false;
        at += count;
    }
    return cond->bound.word_count > 0;
}

static int any_word(void *arg, struct vex_str word)
{
    const struct vex_cond *cond = arg;

    return bsearch(&word, cond->bound.words, cond->bound.word_count, sizeof word, by_word) != NULL;
}

struct phrase {
    const struct vex_cond *cond;
    uint32_t matched;
};

static int phrase_word(void *arg, struct vex_str word)
{
    struct phrase *phrase = arg;
    const struct vex_cond *cond = phrase->cond;

    while (cmp_word(word, cond->bound.words[phrase->matched]) != 0) {
        if (phrase->matched == 0)
            return 0;
        phrase->matched = cond->bound.borders[phrase->matched - 1];
    }
    phrase->matched++;
    return phrase->matched == cond->bound.word_count;
}

bool vex_match_words(const struct vex_cond *cond, struct vex_str text)
{
    struct phrase phrase = {cond, 0};

    if (cond->bound.word_count == 0)
        return false;
    switch (cond->kind) {
    case VEX_COND_TEXT:
        return all_words(cond, text);
    case VEX_COND_TEXT_ANY:
        return vex_text_words(text, any_word, (void *)(uintptr_t)cond) != 0;
    default:
        return vex_text_words(text, phrase_word, &phrase) != 0;
    }
}
