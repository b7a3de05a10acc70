/* Text index: the tokens of texts in a dictionary, and for each the slots whose texts have it.
 *
 * Role       TEXT, TEXT_ANY and PHRASE on fields whose texts are cut by this index's analyzer; BM25 when scoring is on.
 * Owner      The index. Lock: as said in index.h.
 * Invariant  A term is in the dictionary as long as a slot has it. A condition with several tokens asks for all of them in one
 *            text: of slots that hold several texts only the payload tells. Where tokens stand is not kept: the payload tells
 *            whether a phrase of several tokens is there.
 * Format     Flag of scoring (u8), dictionary, postings; with scoring, the counts, or the elements where those are the documents. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/dictionary.h"
#include "engine/index/private.h"
#include "engine/index/text_counts.h"
#include "engine/index/text_elements.h"

struct texts {
    struct vex_analyzer *analyzer;
    bool scoring, nested; /* nested: elements of an array are the documents */
    struct vex_dict dict;
    struct vex_postings postings;
    struct vex_text_counts counts;     /* scoring, not nested */
    struct vex_text_elements elements; /* scoring, nested */
};

static void clear(struct texts *texts)
{
    vex_dict_init(&texts->dict);
    vex_postings_init(&texts->postings);
    vex_text_counts_init(&texts->counts);
    vex_text_elements_init(&texts->elements);
}

static void drop_all(struct texts *texts)
{
    vex_dict_done(&texts->dict);
    vex_postings_done(&texts->postings);
    vex_text_counts_done(&texts->counts);
    vex_text_elements_done(&texts->elements);
}

static void *make(const struct vex_index_params *params, struct vex_err *err)
{
    struct vex_text_params defaults = {.lowercase = true};
    const struct vex_text_params *text = params->text != NULL ? params->text : &defaults;
    struct vex_analyzer *analyzer;
    struct texts *texts;

    if (vex_analyzer_new(text, &analyzer, err) != 0)
        return NULL;
    texts = VEX_NEW(struct texts);
    texts->analyzer = analyzer;
    texts->scoring = text->scoring;
    texts->nested = params->nested.len > 0;
    clear(texts);
    return texts;
}

static void free_texts(void *values)
{
    struct texts *texts = values;

    drop_all(texts);
    vex_analyzer_free(texts->analyzer);
    vex_mem_free(texts);
}

static const struct vex_analyzer *analyzer_of(const void *values)
{
    const struct texts *texts = values;

    return texts->analyzer;
}

/* ---- changing ---- */

struct change {
    struct texts *texts;
    uint32_t slot, tokens;
};

static int add_token(void *arg, struct vex_str token, uint32_t position)
{
    struct change *change = arg;
    struct texts *texts = change->texts;
    uint32_t term = vex_dict_put(&texts->dict, token);

    (void)position;
    change->tokens++;
    if (!vex_postings_add(&texts->postings, term, change->slot) && texts->scoring && !texts->nested)
        vex_text_count_again(&texts->counts, term, change->slot);
    if (texts->scoring && texts->nested)
        vex_text_elements_token(&texts->elements, term);
    return 0;
}

static bool add(void *values, uint32_t slot, struct vex_value v)
{
    struct texts *texts = values;
    struct change change = {texts, slot, 0};

    if (vex_value_kind(v) != VEX_VALUE_TEXT)
        return false;
    vex_analyze(texts->analyzer, vex_value_text(v), VEX_TEXT_DOCUMENT, add_token, &change);
    if (texts->scoring && !texts->nested)
        vex_text_lengthen(&texts->counts, slot, change.tokens);
    return true;
}

static void end_element(void *values, uint32_t slot)
{
    struct texts *texts = values;

    if (texts->scoring)
        vex_text_elements_next(&texts->elements, slot);
}

static int remove_token(void *arg, struct vex_str token, uint32_t position)
{
    struct change *change = arg;
    struct texts *texts = change->texts;
    uint32_t term = vex_dict_find(&texts->dict, token);

    (void)position;
    if (term == VEX_TERM_NONE || !vex_postings_remove(&texts->postings, term, change->slot))
        return 0;
    if (texts->scoring && !texts->nested)
        vex_text_forget_term(&texts->counts, term, change->slot);
    if (vex_postings_empty(&texts->postings, term))
        vex_dict_drop(&texts->dict, term);
    return 0;
}

static void remove_text(void *values, uint32_t slot, struct vex_value v)
{
    struct texts *texts = values;
    struct change change = {texts, slot, 0};

    if (vex_value_kind(v) != VEX_VALUE_TEXT)
        return;
    vex_analyze(texts->analyzer, vex_value_text(v), VEX_TEXT_DOCUMENT, remove_token, &change);
    if (texts->scoring && texts->nested)
        vex_text_elements_drop(&texts->elements, slot);
    else if (texts->scoring)
        vex_text_forget_length(&texts->counts, slot);
}

static void drop_term(void *arg, uint32_t term)
{
    struct texts *texts = arg;

    vex_dict_drop(&texts->dict, term);
}

static void forget(void *values, const uint64_t *bits, uint32_t slots)
{
    struct texts *texts = values;

    vex_postings_forget(&texts->postings, bits, slots, drop_term, texts);
    if (texts->scoring && texts->nested)
        vex_text_elements_forget(&texts->elements, bits, slots);
    else if (texts->scoring)
        vex_text_forget(&texts->counts, bits, slots);
}

static uint64_t bytes(const void *values)
{
    const struct texts *texts = values;

    return sizeof *texts + vex_dict_bytes(&texts->dict) + vex_postings_bytes(&texts->postings) +
           vex_text_counts_bytes(&texts->counts) + vex_text_elements_bytes(&texts->elements);
}

/* ---- conditions ---- */

static struct vex_index_estimate between(uint64_t min, uint64_t max)
{
    return (struct vex_index_estimate){true, min, max};
}

/* TEXT_ANY: at least those of the most frequent token, at most all of all tokens. */
static struct vex_index_estimate estimate_any(const struct vex_index *index, const struct vex_cond *cond)
{
    const struct texts *texts = index->values;
    uint64_t held = vex_slots_count(index->own), most = 0, sum = 0;

    for (uint32_t i = 0; i < cond->bound.word_count; i++) {
        uint32_t term = vex_dict_find(&texts->dict, cond->bound.words[i]);
        uint64_t count = term != VEX_TERM_NONE ? vex_postings_count(&texts->postings, term) : 0;
        most = count > most ? count : most;
        sum += count;
    }
    return between(most, sum < held ? sum : held);
}

static struct vex_index_estimate estimate(const struct vex_index *index, const struct vex_cond *cond)
{
    const struct texts *texts = index->values;
    uint64_t held = vex_slots_count(index->own), least = UINT64_MAX, missing = 0;
    uint32_t words = cond->bound.word_count;

    if ((cond->kind != VEX_COND_TEXT && cond->kind != VEX_COND_TEXT_ANY && cond->kind != VEX_COND_PHRASE) ||
        cond->bound.analyzer != texts->analyzer)
        return (struct vex_index_estimate){false, 0, 0};
    if (words == 0)
        return between(0, 0);
    if (cond->kind == VEX_COND_TEXT_ANY)
        return estimate_any(index, cond);
    for (uint32_t i = 0; i < words; i++) {
        uint32_t term = vex_dict_find(&texts->dict, cond->bound.words[i]);
        uint64_t count = term != VEX_TERM_NONE ? vex_postings_count(&texts->postings, term) : 0;
        least = count < least ? count : least;
        missing += held - count;
        if (count == 0)
            return between(0, 0);
    }
    if (words == 1)
        return between(least, least);
    /* At worst no slot lacks more than one token, and those with several texts have none together. */
    missing += vex_slots_count(index->several);
    return between(cond->kind == VEX_COND_TEXT && missing < held ? held - missing : 0, least);
}

struct term {
    uint32_t id;
    uint64_t count;
};

static int by_count(const void *a, const void *b)
{
    const struct term *x = a, *y = b;

    return (x->count > y->count) - (x->count < y->count);
}

struct meeting {
    const struct texts *texts;
    const struct vex_slots *several; /* slots with more than one value */
    const struct term *terms;
    uint32_t count, slots;
    uint64_t *sure, *unsure;
    bool phrase;
};

/* A slot that has the rarest term. */
static int meet(void *arg, uint32_t slot)
{
    struct meeting *meeting = arg;
    const struct texts *texts = meeting->texts;
    uint64_t *bits;

    if (slot >= meeting->slots)
        return 0;
    for (uint32_t i = 1; i < meeting->count; i++)
        if (!vex_postings_has(&texts->postings, meeting->terms[i].id, slot))
            return 0;
    bits = meeting->phrase || vex_slots_has(meeting->several, slot) ? meeting->unsure : meeting->sure;
    bits[slot / 64] |= UINT64_C(1) << slot % 64;
    return 0;
}

/* The same by bitmaps, for terms that many slots have. */
static void meet_bitmaps(const struct meeting *meeting)
{
    const struct texts *texts = meeting->texts;
    size_t words = ((size_t)meeting->slots + 63) / 64;
    uint64_t *both = vex_mem_zalloc(words * 2 * sizeof *both), *next = both + words, any = 1;

    vex_postings_or_into(&texts->postings, meeting->terms[0].id, both, meeting->slots);
    for (uint32_t i = 1; i < meeting->count && any != 0; i++) {
        any = 0;
        memset(next, 0, words * sizeof *next);
        vex_postings_or_into(&texts->postings, meeting->terms[i].id, next, meeting->slots);
        for (size_t w = 0; w < words; w++)
            any |= both[w] &= next[w];
    }
    if (!meeting->phrase) {
        memcpy(next, both, words * sizeof *next);
        vex_slots_andnot_from(meeting->several, next, meeting->slots);
        for (size_t w = 0; w < words; w++) {
            meeting->sure[w] |= next[w];
            both[w] &= ~next[w];
        }
    }
    for (size_t w = 0; w < words; w++)
        meeting->unsure[w] |= both[w];
    vex_mem_free(both);
}

#define BITMAP_PER_TERM 8 /* words of a bitmap that cost about as much as looking one slot up */

static void match_all(const struct texts *texts, const struct vex_cond *cond, struct meeting *meeting)
{
    uint32_t words = cond->bound.word_count;
    struct term *terms = vex_mem_alloc(words * sizeof *terms);

    meeting->terms = terms;
    meeting->count = words;
    for (uint32_t i = 0; i < words; i++) {
        terms[i].id = vex_dict_find(&texts->dict, cond->bound.words[i]);
        if (terms[i].id == VEX_TERM_NONE) {
            vex_mem_free(terms);
            return;
        }
        terms[i].count = vex_postings_count(&texts->postings, terms[i].id);
    }
    qsort(terms, words, sizeof *terms, by_count);
    if (terms[0].count < meeting->slots / 64 / BITMAP_PER_TERM)
        vex_postings_each(&texts->postings, terms[0].id, meet, meeting);
    else
        meet_bitmaps(meeting);
    vex_mem_free(terms);
}

static void match(const struct vex_index *index, const struct vex_cond *cond, uint64_t *sure,
                  uint64_t *unsure, uint32_t slots)
{
    const struct texts *texts = index->values;
    struct meeting meeting = {.texts = texts,
                              .several = index->several,
                              .slots = slots,
                              .sure = sure,
                              .unsure = unsure,
                              .phrase = cond->kind == VEX_COND_PHRASE};

    if (cond->bound.word_count == 0 || slots == 0)
        return;
    if (cond->bound.word_count > 1 && cond->kind != VEX_COND_TEXT_ANY) {
        match_all(texts, cond, &meeting);
        return;
    }
    for (uint32_t i = 0; i < cond->bound.word_count; i++) {
        uint32_t term = vex_dict_find(&texts->dict, cond->bound.words[i]);
        if (term != VEX_TERM_NONE)
            vex_postings_or_into(&texts->postings, term, sure, slots);
    }
}

/* Estimates are exact for a single token only, or when nothing matches; or when one of several tokens has all slots. */
static int each(const struct vex_index *index, const struct vex_cond *cond,
                int (*fn)(void *arg, uint32_t slot), void *arg)
{
    const struct texts *texts = index->values;
    uint32_t best = VEX_TERM_NONE;
    uint64_t most = 0;

    for (uint32_t i = 0; i < cond->bound.word_count; i++) {
        uint32_t term = vex_dict_find(&texts->dict, cond->bound.words[i]);
        uint64_t count = term != VEX_TERM_NONE ? vex_postings_count(&texts->postings, term) : 0;
        bool better = cond->kind == VEX_COND_TEXT_ANY ? count > most : best == VEX_TERM_NONE || count < most;
        if (count == 0 && cond->kind != VEX_COND_TEXT_ANY)
            return 0;
        if (better) {
            best = term;
            most = count;
        }
    }
    return best != VEX_TERM_NONE ? vex_postings_each(&texts->postings, best, fn, arg) : 0;
}

/* ---- ranking ---- */

/* What a term adds to the score of a slot. */
struct part {
    uint32_t slot;
    double score;
};

struct scoring {
    const struct texts *texts;
    const struct vex_bm25 *bm25;
    double *scores; /* by slot; NULL when few slots have a term: their parts are listed */
    uint64_t *met;  /* slots with a term of the query */
    struct part *parts;
    size_t part_count;
    struct vex_buf terms; /* ids of the query's terms, ascending, each once */
    double idf, average;
    uint64_t documents, total;
    uint32_t term;
};

static int find_term(void *arg, struct vex_str token, uint32_t position)
{
    struct scoring *scoring = arg;
    uint32_t term = vex_dict_find(&scoring->texts->dict, token);

    (void)position;
    if (term != VEX_TERM_NONE)
        vex_buf_add_u32(&scoring->terms, term);
    return 0;
}

static bool has_bit(const uint64_t *bits, uint32_t slot)
{
    return bits == NULL || (bits[slot / 64] >> slot % 64 & 1) != 0;
}

static void measure_corpus(struct scoring *scoring)
{
    const struct vex_text_counts *counts = &scoring->texts->counts;
    const struct vex_bm25 *bm25 = scoring->bm25;

    scoring->documents = counts->documents;
    scoring->total = counts->total;
    if (bm25->corpus == NULL)
        return;
    scoring->documents = scoring->total = 0;
    for (uint32_t slot = 0; slot < bm25->slots && slot < counts->end; slot++) {
        if (counts->lengths[slot] > 0 && has_bit(bm25->corpus, slot)) {
            scoring->documents++;
            scoring->total += vex_text_round(counts->lengths[slot]);
        }
    }
}

static int score_slot(void *arg, uint32_t slot)
{
    struct scoring *scoring = arg;
    const struct vex_text_counts *counts = &scoring->texts->counts;
    const struct vex_bm25 *bm25 = scoring->bm25;
    double part;

    if (slot >= bm25->slots || !has_bit(bm25->among, slot))
        return 0;
    part = vex_bm25_part(bm25, scoring->idf, vex_text_times(counts, scoring->term, slot),
                         vex_text_length(counts, slot), scoring->average);
    if (scoring->scores == NULL) {
        scoring->parts[scoring->part_count++] = (struct part){slot, part};
        return 0;
    }
    scoring->scores[slot] += part;
    scoring->met[slot / 64] |= UINT64_C(1) << slot % 64;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int by_slot(const void *a, const void *b)
{
    const struct part *x = a, *y = b;

    return (x->slot > y->slot) - (x->slot < y->slot);
}

static uint32_t term_at(const struct scoring *scoring, size_t i)
{
    uint32_t term;

    memcpy(&term, scoring->terms.ptr + i * sizeof term, sizeof term);
    return term;
}

/* Sorts the terms, leaves each once; returns in how many slots they stand, added up. */
static uint64_t sort_terms(struct scoring *scoring)
{
    size_t count = scoring->terms.len / sizeof(uint32_t), kept = 0;
    uint64_t all = 0;

    qsort(scoring->terms.ptr, count, sizeof(uint32_t), by_number);
    for (size_t i = 0; i < count; i++) {
        uint32_t term = term_at(scoring, i);
        if (kept > 0 && term == term_at(scoring, kept - 1))
            continue;
        memcpy(scoring->terms.ptr + kept++ * sizeof term, &term, sizeof term);
        all += vex_postings_count(&scoring->texts->postings, term);
    }
    scoring->terms.len = kept * sizeof(uint32_t);
    return all;
}

static void score_terms(struct scoring *scoring)
{
    const struct vex_bm25 *bm25 = scoring->bm25;
    const struct vex_postings *postings = &scoring->texts->postings;

    for (size_t i = 0; i < scoring->terms.len / sizeof(uint32_t); i++) {
        uint64_t in;
        scoring->term = term_at(scoring, i);
        in = bm25->corpus != NULL ? vex_postings_count_in(postings, scoring->term, bm25->corpus, bm25->slots)
                                  : vex_postings_count(postings, scoring->term);
        scoring->idf = vex_bm25_idf(scoring->documents, in);
        vex_postings_each(postings, scoring->term, score_slot, scoring);
    }
}

/* By an array over all slots. */
static int score_many(struct scoring *scoring, int (*fn)(void *arg, uint32_t slot, float score), void *arg)
{
    size_t words = ((size_t)scoring->bm25->slots + 63) / 64;
    int rc = 0;

    scoring->scores = vex_mem_zalloc(scoring->bm25->slots * sizeof *scoring->scores);
    scoring->met = vex_mem_zalloc(words * sizeof *scoring->met);
    score_terms(scoring);
    for (size_t w = 0; w < words && rc == 0; w++) {
        for (uint64_t bits = scoring->met[w]; bits != 0 && rc == 0; bits &= bits - 1) {
            uint32_t slot = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits);
            rc = fn(arg, slot, (float)scoring->scores[slot]);
        }
    }
    vex_mem_free(scoring->scores);
    vex_mem_free(scoring->met);
    return rc;
}

static int score_few(struct scoring *scoring, uint64_t most, int (*fn)(void *arg, uint32_t slot, float score),
                     void *arg)
{
    int rc = 0;

    scoring->parts = vex_mem_alloc((most + 1) * sizeof *scoring->parts);
    score_terms(scoring);
    qsort(scoring->parts, scoring->part_count, sizeof *scoring->parts, by_slot);
    for (size_t i = 0; i < scoring->part_count && rc == 0;) {
        uint32_t slot = scoring->parts[i].slot;
        double score = 0;
        for (; i < scoring->part_count && scoring->parts[i].slot == slot; i++)
            score += scoring->parts[i].score;
        rc = fn(arg, slot, (float)score);
    }
    vex_mem_free(scoring->parts);
    return rc;
}

#define FEW_SHARE 64 /* listing and sorting parts costs less when they are this share of all slots */

static int score(const void *values, struct vex_str query, const struct vex_bm25 *bm25,
                 int (*fn)(void *arg, uint32_t slot, float score), void *arg, struct vex_err *err)
{
    const struct texts *texts = values;
    struct scoring scoring = {.texts = texts, .bm25 = bm25};
    int rc = 0;

    if (!texts->scoring)
        return vex_err_set(err, VEX_EBAD_INPUT, "The text index of the field was created without scoring");
    vex_analyze(texts->analyzer, query, VEX_TEXT_RANKING, find_term, &scoring);
    measure_corpus(&scoring);
    if (scoring.terms.len > 0 && bm25->slots > 0) {
        uint64_t all = sort_terms(&scoring);
        if (texts->nested) {
            rc = vex_text_elements_score(&texts->elements, &texts->postings,
                                         (const uint32_t *)(const void *)scoring.terms.ptr,
                                         scoring.terms.len / sizeof(uint32_t), bm25, fn, arg);
            vex_buf_done(&scoring.terms);
            return rc;
        }
        scoring.average = scoring.documents > 0 ? (double)scoring.total / (double)scoring.documents : 0;
        rc =
            all < bm25->slots / FEW_SHARE ? score_few(&scoring, all, fn, arg) : score_many(&scoring, fn, arg);
    }
    vex_buf_done(&scoring.terms);
    return rc;
}

/* ---- files ---- */

static void save(const void *values, struct vex_buf *out)
{
    const struct texts *texts = values;

    vex_buf_add_u8(out, texts->scoring);
    vex_dict_save(&texts->dict, out);
    vex_postings_save(&texts->postings, out);
    if (texts->scoring && texts->nested)
        vex_text_elements_save(&texts->elements, out);
    else if (texts->scoring)
        vex_text_counts_save(&texts->counts, out);
}

/* Every term has slots, and only terms have. */
static bool terms_agree(const struct texts *texts)
{
    uint32_t end = texts->dict.end > texts->postings.end ? texts->dict.end : texts->postings.end;

    for (uint32_t id = 0; id < end; id++) {
        bool used = id < texts->dict.end && vex_dict_key(&texts->dict, id).ptr != NULL;
        if (used == vex_postings_empty(&texts->postings, id))
            return false;
    }
    return true;
}

static int load_parts(struct texts *texts, struct vex_cursor *c, struct vex_err *err)
{
    int rc;

    if (vex_cursor_u8(c) != texts->scoring)
        return vex_err_set(err, VEX_ECORRUPT, "A text index was saved with other parameters");
    rc = vex_dict_load(&texts->dict, c, err);
    if (rc == 0)
        rc = vex_postings_load(&texts->postings, c, err);
    if (rc != 0)
        return rc;
    if (!terms_agree(texts))
        return vex_err_set(err, VEX_ECORRUPT, "A text index is damaged");
    if (texts->scoring && texts->nested)
        return vex_text_elements_load(&texts->elements, c, err);
    return texts->scoring ? vex_text_counts_load(&texts->counts, c, err) : 0;
}

static int load(void *values, struct vex_cursor *c, struct vex_err *err)
{
    struct texts *texts = values;
    int rc = load_parts(texts, c, err);

    if (rc != 0) {
        drop_all(texts);
        clear(texts);
    }
    return rc;
}

const struct vex_values_ops vex_values_text = {.make = make,
                                               .free = free_texts,
                                               .add = add,
                                               .end_element = end_element,
                                               .remove = remove_text,
                                               .forget = forget,
                                               .bytes = bytes,
                                               .estimate = estimate,
                                               .match = match,
                                               .each = each,
                                               .analyzer = analyzer_of,
                                               .score = score,
                                               .save = save,
                                               .load = load};
