/* Analyzer: cuts a text into the tokens that a text index holds and that a text condition asks for.
 *
 * Order      Tokenizer -> ASCII folding -> lowercase -> stop words -> stemmer -> length bounds, as Qdrant's.
 * Bounds     Linear in the text, but for prefixes (VEX_PREFIX_MAX a word); a word of more than VEX_STEM_MAX bytes is not stemmed.
 * Threads    Immutable once made; any thread may use it. */
#ifndef VEX_ENGINE_TEXT_ANALYZER_H
#define VEX_ENGINE_TEXT_ANALYZER_H

#include "base/err.h"
#include "base/str.h"

enum vex_tokenizer {
    VEX_TOKENIZER_WORD,
    VEX_TOKENIZER_WHITESPACE,
    VEX_TOKENIZER_PREFIX, /* documents: every prefix of a word; queries: the word, or its longest prefix there is */
    VEX_TOKENIZER_MULTILINGUAL, /* normalized words; Han, Hiragana and Thai by the character */
    VEX_TOKENIZER_CODE,         /* words of identifiers, and in documents the identifiers joined */
    VEX_TOKENIZER_COUNT
};

/* Parameters of a text index. Strings are borrowed by vex_analyzer_new. */
struct vex_text_params {
    enum vex_tokenizer tokenizer;
    bool lowercase, ascii_folding;
    bool phrase_matching, scoring;
    uint32_t min_token_len, max_token_len; /* code points; 0: no bound */
    struct vex_str stemmer;                /* Snowball language; empty: none */
    struct vex_str *stopword_languages;
    uint32_t stopword_language_count;
    struct vex_str *stopwords; /* custom ones */
    uint32_t stopword_count;
};

struct vex_analyzer;

/* VEX_EBAD_INPUT in the peer's words: an unknown language. */
int vex_analyzer_new(const struct vex_text_params *params, struct vex_analyzer **ret, struct vex_err *err);
void vex_analyzer_free(struct vex_analyzer *analyzer); /* NULL is fine */
/* What fields without a text index are read with: word tokenizer, lowercase. Lives as long as the program. */
const struct vex_analyzer *vex_analyzer_default(void);

#define VEX_PREFIX_MAX 256 /* code points of the longest prefix that is a token */
#define VEX_STEM_MAX   512

/* A token that stands beside the sequence of the others: an identifier as a whole. */
#define VEX_POSITION_NONE UINT32_MAX

/* What a text is for: tokenizers cut it differently. */
enum vex_text_use {
    VEX_TEXT_DOCUMENT,  /* stored; also a phrase that is looked for */
    VEX_TEXT_CONDITION, /* what TEXT and TEXT_ANY ask for */
    VEX_TEXT_RANKING,   /* what BM25 ranks by */
};

/* Calls fn for each token, in order; position counts tokens (phrases are found by it). Stops when fn returns non-zero and returns
 * that. A token is valid during the call only. */
int vex_analyze(const struct vex_analyzer *analyzer, struct vex_str text, enum vex_text_use use,
                int (*fn)(void *arg, struct vex_str token, uint32_t position), void *arg);

/* For validation of requests. */
bool vex_stopword_language(struct vex_str name);
bool vex_stemmer_language(struct vex_str name);

#endif
