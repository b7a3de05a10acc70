/* Inside of the analyzer: what its files ask of each other. Not for others. */
#ifndef VEX_ENGINE_TEXT_ANALYZER_PARTS_H
#define VEX_ENGINE_TEXT_ANALYZER_PARTS_H

#include "engine/text/analyzer.h"

/* stopwords.c: a set of words, closed after it was made. */
struct vex_stopwords {
    struct vex_arena arena;
    struct vex_str *table; /* open addressing; ptr NULL: empty */
    uint32_t size, count;  /* size: a power of two, or 0 */
};
void vex_stopwords_init(struct vex_stopwords *words);
void vex_stopwords_done(struct vex_stopwords *words);
void vex_stopwords_add(struct vex_stopwords *words, struct vex_str word, bool lowercase);
bool vex_stopwords_add_language(struct vex_stopwords *words, struct vex_str language, bool lowercase);
bool vex_stopwords_has(const struct vex_stopwords *words, struct vex_str word);

/* analyzer_stem.c */
#define VEX_STEMMER_NONE (-1)
int vex_stemmer_find(struct vex_str language); /* VEX_STEMMER_NONE: unknown */
/* Stem of a word; valid until this thread stems the next one. The word itself when memory is out. */
struct vex_str vex_stem(int stemmer, struct vex_str word);

/* analyzer_fold.c: appends the text with Latin letters, digits and signs in ASCII. */
void vex_fold_ascii(struct vex_buf *out, struct vex_str text);

struct vex_analyzer {
    enum vex_tokenizer tokenizer;
    bool lowercase, ascii_folding;
    uint32_t min_len, max_len; /* code points; 0: no bound */
    int stemmer;
    struct vex_stopwords stopwords;
};

/* One text on its way through an analyzer. */
struct vex_cut {
    const struct vex_analyzer *analyzer;
    enum vex_text_use use;
    int (*fn)(void *arg, struct vex_str token, uint32_t position);
    void *arg;
    uint32_t position;                  /* of the next token */
    struct vex_buf folded, lower, word; /* scratch, kept from token to token */
    int32_t *points;                    /* scratch of the multilingual tokenizer */
    size_t point_room;
};

/* analyzer.c: folding to stemming; false: a stop word (or nothing). The result is valid until the next word. */
bool vex_cut_normalize(struct vex_cut *cut, struct vex_str word, bool stop, struct vex_str *ret);
bool vex_cut_fits(const struct vex_analyzer *analyzer, struct vex_str token); /* length bounds */
/* A whole word: through all steps, then to fn. beside: at VEX_POSITION_NONE. */
int vex_cut_word(struct vex_cut *cut, struct vex_str word, bool beside);
int vex_cut_emit(struct vex_cut *cut, struct vex_str token);

/* The tokenizers that are more than a loop. */
int vex_cut_code(struct vex_cut *cut, struct vex_str text);
int vex_cut_multilingual(struct vex_cut *cut, struct vex_str text);

#endif
