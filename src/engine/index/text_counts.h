/* What BM25 needs beside postings: how long a document is, and how often a term stands in it.
 *
 * Owner   The text index. Lock: the index's.
 * Format  Lengths by slot, 4 bytes each. Frequencies above one in a hash table with open addressing (12 bytes an entry, at most
 *         three quarters full): most terms stand once in a text. */
#ifndef VEX_ENGINE_INDEX_TEXT_COUNTS_H
#define VEX_ENGINE_INDEX_TEXT_COUNTS_H

#include "base/err.h"
#include "base/str.h"
#include "engine/index/index.h"

struct vex_text_counts {
    uint32_t *lengths; /* tokens, by slot */
    uint32_t end;      /* slots are below */
    uint32_t documents;
    uint64_t total; /* of all lengths, rounded */
    uint64_t *keys; /* term << 32 | slot; UINT64_MAX: empty */
    uint32_t *times;
    uint64_t size, used; /* size: a power of two, or 0 */
};

/* BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, 3.1) with the idf that is never negative. */
double vex_bm25_idf(uint64_t documents, uint64_t having);
/* What a term adds to the score of a document. average 0: a corpus without texts, where all count as of average length. */
double vex_bm25_part(const struct vex_bm25 *bm25, double idf, uint32_t times, uint32_t length,
                     double average);
void vex_text_counts_init(struct vex_text_counts *counts);
void vex_text_counts_done(struct vex_text_counts *counts);
/* Lengths lose what is below their leading 13 bits, as Qdrant's do. */
uint32_t vex_text_round(uint32_t length);
static inline uint32_t vex_text_length(const struct vex_text_counts *counts, uint32_t slot)
{
    return slot < counts->end ? counts->lengths[slot] : 0;
}
void vex_text_lengthen(struct vex_text_counts *counts, uint32_t slot, uint32_t tokens);
void vex_text_forget_length(struct vex_text_counts *counts, uint32_t slot);
/* One more time than before; a term that has no entry stands once. */
void vex_text_count_again(struct vex_text_counts *counts, uint32_t term, uint32_t slot);
void vex_text_forget_term(struct vex_text_counts *counts, uint32_t term, uint32_t slot);
uint32_t vex_text_times(const struct vex_text_counts *counts, uint32_t term, uint32_t slot);
/* Takes out all slots of a bitmap. */
void vex_text_forget(struct vex_text_counts *counts, const uint64_t *bits, uint32_t slots);
uint64_t vex_text_counts_bytes(const struct vex_text_counts *counts);
void vex_text_counts_save(const struct vex_text_counts *counts, struct vex_buf *out);
/* Into fresh ones; VEX_ECORRUPT, VEX_ENO_MEMORY: still to be ended by _done. */
int vex_text_counts_load(struct vex_text_counts *counts, struct vex_cursor *c, struct vex_err *err);

#endif
