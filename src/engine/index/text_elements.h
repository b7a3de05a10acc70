/* BM25 where each element of an array is a document of its own: the terms of every element, by slot.
 *
 * Owner   The text index. Lock: the index's. Terms are the index's, valid as long as the slot has them.
 * Format  By slot a block of u32: how many follow, then for each element with any token its number of tokens, its number of terms, and
 *         for each term, ascending, the term and how often it stands. */
#ifndef VEX_ENGINE_INDEX_TEXT_ELEMENTS_H
#define VEX_ENGINE_INDEX_TEXT_ELEMENTS_H

#include "engine/index/dictionary.h"
#include "engine/index/index.h"

struct vex_text_elements {
    uint32_t **blocks;                /* by slot; NULL: no element */
    uint32_t end;                     /* slots are below */
    uint64_t documents, total, bytes; /* total: of all lengths, rounded */
    struct vex_buf tokens;            /* terms of the element that is being added */
};

void vex_text_elements_init(struct vex_text_elements *elements);
void vex_text_elements_done(struct vex_text_elements *elements);
/* An element is added token by token, then ended. */
void vex_text_elements_token(struct vex_text_elements *elements, uint32_t term);
void vex_text_elements_next(struct vex_text_elements *elements, uint32_t slot);
void vex_text_elements_drop(struct vex_text_elements *elements, uint32_t slot);
/* Takes out all slots of a bitmap. */
void vex_text_elements_forget(struct vex_text_elements *elements, const uint64_t *bits, uint32_t slots);
/* As vex_index_score, the best element of each slot; terms ascending, each once. */
int vex_text_elements_score(const struct vex_text_elements *elements, const struct vex_postings *postings,
                            const uint32_t *terms, size_t term_count, const struct vex_bm25 *bm25,
                            int (*fn)(void *arg, uint32_t slot, float score), void *arg);
uint64_t vex_text_elements_bytes(const struct vex_text_elements *elements);
void vex_text_elements_save(const struct vex_text_elements *elements, struct vex_buf *out);
/* Into fresh ones; VEX_ECORRUPT, VEX_ENO_MEMORY: still to be ended by _done. */
int vex_text_elements_load(struct vex_text_elements *elements, struct vex_cursor *c, struct vex_err *err);

#endif
