/* Stop words: the lists of 30 languages, and sets of words.
 *
 * Data    stopwords_*.def: those that Qdrant drops (the lists of NLTK), one text a language, words apart by spaces.
 * Format  A set is a table of slices with open addressing, at most half full. */
#include <xxhash.h>

#include "base/text.h"
#include "engine/text/analyzer_parts.h"

static const struct {
    const char *language, *words;
} lists[] = {
#define VEX_STOPWORDS(language, words) {language, words},
#include "engine/text/stopwords_latin_1.def"
#include "engine/text/stopwords_latin_2.def"
#include "engine/text/stopwords_other.def"
#undef VEX_STOPWORDS
};

static const char *words_of(struct vex_str language)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (vex_str_eq_c(language, lists[i].language))
            return lists[i].words;
    return NULL;
}

bool vex_stopword_language(struct vex_str name)
{
    return words_of(name) != NULL;
}

void vex_stopwords_init(struct vex_stopwords *words)
{
    memset(words, 0, sizeof *words);
    vex_arena_init(&words->arena, 0);
}

void vex_stopwords_done(struct vex_stopwords *words)
{
    vex_arena_done(&words->arena);
}

static uint32_t place_of(const struct vex_stopwords *words, struct vex_str word)
{
    uint32_t at = (uint32_t)XXH3_64bits(word.ptr, word.len) & (words->size - 1);

    while (words->table[at].ptr != NULL && !vex_str_eq(words->table[at], word))
        at = (at + 1) & (words->size - 1);
    return at;
}

bool vex_stopwords_has(const struct vex_stopwords *words, struct vex_str word)
{
    return words->size > 0 && words->table[place_of(words, word)].ptr != NULL;
}

static void grow(struct vex_stopwords *words)
{
    struct vex_stopwords old = *words;

    words->size = old.size > 0 ? old.size * 2 : 64;
    words->table = VEX_ARENA_ARRAY(&words->arena, struct vex_str, words->size);
    for (uint32_t i = 0; i < old.size; i++)
        if (old.table[i].ptr != NULL)
            words->table[place_of(words, old.table[i])] = old.table[i];
}

void vex_stopwords_add(struct vex_stopwords *words, struct vex_str word, bool lowercase)
{
    uint32_t at;

    if (word.len == 0) /* no token is empty */
        return;
    if (lowercase)
        word = vex_text_lower(&words->arena, word);
    else
        word.ptr = vex_arena_dup(&words->arena, word.ptr, word.len);
    if (words->count >= words->size / 2)
        grow(words);
    at = place_of(words, word);
    words->count += words->table[at].ptr == NULL;
    words->table[at] = word;
}

bool vex_stopwords_add_language(struct vex_stopwords *words, struct vex_str language, bool lowercase)
{
    const char *at = words_of(language), *space;

    if (at == NULL)
        return false;
    for (; (space = strchr(at, ' ')) != NULL; at = space + 1)
        vex_stopwords_add(words, vex_str(at, (size_t)(space - at)), lowercase);
    return true;
}
