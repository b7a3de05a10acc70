/* Elements of arrays as documents of BM25. */
#include "engine/index/text_elements.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/text_counts.h"

void vex_text_elements_init(struct vex_text_elements *elements)
{
    memset(elements, 0, sizeof *elements);
}

void vex_text_elements_done(struct vex_text_elements *elements)
{
    for (uint32_t slot = 0; slot < elements->end; slot++)
        vex_mem_free(elements->blocks[slot]);
    vex_mem_free(elements->blocks);
    vex_buf_done(&elements->tokens);
}

/* ---- walking ---- */

struct element {
    uint32_t length, count;
    const uint32_t *pairs; /* term, times */
};

/* *at = 1 first; false at the end. */
static bool next_element(const uint32_t *block, uint32_t *at, struct element *ret)
{
    if (block == NULL || *at > block[0])
        return false;
    *ret = (struct element){block[*at], block[*at + 1], block + *at + 2};
    *at += 2 + 2 * ret->count;
    return true;
}

static const uint32_t *block_of(const struct vex_text_elements *elements, uint32_t slot)
{
    return slot < elements->end ? elements->blocks[slot] : NULL;
}

/* 0: the element has not the term. */
static uint32_t times_of(const struct element *element, uint32_t term)
{
    uint32_t low = 0, high = element->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (element->pairs[2 * middle] < term)
            low = middle + 1;
        else
            high = middle;
    }
    return low < element->count && element->pairs[2 * low] == term ? element->pairs[2 * low + 1] : 0;
}

static void measure(const uint32_t *block, uint64_t *documents, uint64_t *total)
{
    struct element element;
    uint32_t at = 1;

    while (next_element(block, &at, &element)) {
        (*documents)++;
        *total += vex_text_round(element.length);
    }
}

/* ---- changing ---- */

void vex_text_elements_token(struct vex_text_elements *elements, uint32_t term)
{
    vex_buf_add_u32(&elements->tokens, term);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void grow(struct vex_text_elements *elements, uint32_t slot)
{
    uint64_t end = (uint64_t)slot + slot / 2 + 64;

    if (slot < elements->end)
        return;
    end = end > UINT32_MAX ? UINT32_MAX : end;
    elements->blocks = vex_mem_realloc(elements->blocks, end * sizeof *elements->blocks);
    memset(elements->blocks + elements->end, 0, (end - elements->end) * sizeof *elements->blocks);
    elements->end = (uint32_t)end;
}

void vex_text_elements_next(struct vex_text_elements *elements, uint32_t slot)
{
    uint32_t length = (uint32_t)(elements->tokens.len / sizeof(uint32_t)), words, count = 0;
    const char *tokens = elements->tokens.ptr;
    uint32_t *block, *out;

    if (length == 0)
        return;
    grow(elements, slot);
    qsort(elements->tokens.ptr, length, sizeof(uint32_t), by_number);
    words = elements->blocks[slot] != NULL ? elements->blocks[slot][0] : 0;
    block = vex_mem_realloc(elements->blocks[slot],
                            (1 + (uint64_t)words + 2 + 2 * (uint64_t)length) * sizeof *block);
    out = block + 1 + words;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t term;

        memcpy(&term, tokens + i * sizeof term, sizeof term);
        if (count > 0 && out[2 * count] == term) {
            out[2 * count + 1]++;
        } else {
            count++;
            out[2 * count] = term;
            out[2 * count + 1] = 1;
        }
    }
    out[0] = length;
    out[1] = count;
    block[0] = words + 2 + 2 * count;
    elements->blocks[slot] = vex_mem_realloc(block, (1 + (uint64_t)block[0]) * sizeof *block);
    elements->bytes += (2 + 2 * (uint64_t)count + (words == 0)) * sizeof *block;
    elements->documents++;
    elements->total += vex_text_round(length);
    elements->tokens.len = 0;
}

void vex_text_elements_drop(struct vex_text_elements *elements, uint32_t slot)
{
    uint64_t documents = 0, total = 0;

    if (block_of(elements, slot) == NULL)
        return;
    measure(elements->blocks[slot], &documents, &total);
    elements->documents -= documents;
    elements->total -= total;
    elements->bytes -= (1 + (uint64_t)elements->blocks[slot][0]) * sizeof(uint32_t);
    vex_mem_free(elements->blocks[slot]);
    elements->blocks[slot] = NULL;
}

void vex_text_elements_forget(struct vex_text_elements *elements, const uint64_t *bits, uint32_t slots)
{
    for (uint32_t slot = 0; slot < slots && slot < elements->end; slot++)
        if ((bits[slot / 64] >> slot % 64 & 1) != 0)
            vex_text_elements_drop(elements, slot);
}

uint64_t vex_text_elements_bytes(const struct vex_text_elements *elements)
{
    return elements->end * sizeof *elements->blocks + elements->bytes;
}

/* ---- ranking ---- */

struct counting {
    const struct vex_text_elements *elements;
    const struct vex_bm25 *bm25;
    uint32_t term;
    uint64_t documents; /* that have the term */
};

static bool has_bit(const uint64_t *bits, uint32_t slot)
{
    return bits == NULL || (bits[slot / 64] >> slot % 64 & 1) != 0;
}

static int count_slot(void *arg, uint32_t slot)
{
    struct counting *counting = arg;
    struct element element;
    uint32_t at = 1;

    if (counting->bm25->corpus != NULL &&
        (slot >= counting->bm25->slots || !has_bit(counting->bm25->corpus, slot)))
        return 0;
    while (next_element(block_of(counting->elements, slot), &at, &element))
        counting->documents += times_of(&element, counting->term) > 0;
    return 0;
}

static double best_of(const uint32_t *block, const uint32_t *terms, const double *idf, size_t term_count,
                      const struct vex_bm25 *bm25, double average)
{
    struct element element;
    double best = -1;
    uint32_t at = 1;

    while (next_element(block, &at, &element)) {
        double score = 0;
        bool any = false;

        for (size_t i = 0; i < term_count; i++) {
            uint32_t times = times_of(&element, terms[i]);

            if (times == 0)
                continue;
            any = true;
            score += vex_bm25_part(bm25, idf[i], times, element.length, average);
        }
        if (any && score > best)
            best = score;
    }
    return best;
}

/* How rare each term is in the corpus; the average length there. */
static double weigh(const struct vex_text_elements *elements, const struct vex_postings *postings,
                    const uint32_t *terms, size_t term_count, const struct vex_bm25 *bm25, double *idf)
{
    uint64_t documents = elements->documents, total = elements->total;

    if (bm25->corpus != NULL) {
        documents = total = 0;
        for (uint32_t slot = 0; slot < bm25->slots && slot < elements->end; slot++)
            if (has_bit(bm25->corpus, slot))
                measure(elements->blocks[slot], &documents, &total);
    }
    for (size_t i = 0; i < term_count; i++) {
        struct counting counting = {elements, bm25, terms[i], 0};

        vex_postings_each(postings, terms[i], count_slot, &counting);
        idf[i] = vex_bm25_idf(documents, counting.documents);
    }
    return documents > 0 ? (double)total / (double)documents : 0;
}

int vex_text_elements_score(const struct vex_text_elements *elements, const struct vex_postings *postings,
                            const uint32_t *terms, size_t term_count, const struct vex_bm25 *bm25,
                            int (*fn)(void *arg, uint32_t slot, float score), void *arg)
{
    size_t words = ((size_t)bm25->slots + 63) / 64;
    uint64_t *met = vex_mem_zalloc((words + 1) * sizeof *met);
    double *idf = vex_mem_alloc((term_count + 1) * sizeof *idf), average;
    int rc = 0;

    average = weigh(elements, postings, terms, term_count, bm25, idf);
    for (size_t i = 0; i < term_count; i++)
        vex_postings_or_into(postings, terms[i], met, bm25->slots);
    for (size_t w = 0; w < words && rc == 0; w++) {
        for (uint64_t bits = met[w]; bits != 0 && rc == 0; bits &= bits - 1) {
            uint32_t slot = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits);
            double best;

            if (!has_bit(bm25->among, slot))
                continue;
            best = best_of(block_of(elements, slot), terms, idf, term_count, bm25, average);
            if (best >= 0)
                rc = fn(arg, slot, (float)best);
        }
    }
    vex_mem_free(met);
    vex_mem_free(idf);
    return rc;
}

/* ---- files ---- */

void vex_text_elements_save(const struct vex_text_elements *elements, struct vex_buf *out)
{
    uint32_t end = elements->end;

    while (end > 0 && elements->blocks[end - 1] == NULL)
        end--;
    vex_buf_add_u32(out, end);
    for (uint32_t slot = 0; slot < end; slot++) {
        const uint32_t *block = elements->blocks[slot];

        if (block == NULL)
            vex_buf_add_u32(out, 0);
        else
            vex_buf_add(out, block, (1 + (size_t)block[0]) * sizeof *block);
    }
}

/* Elements fill the block, terms ascend, and their times add up to the length. */
static bool is_sound(const uint32_t *block)
{
    uint32_t words = block[0], at = 1;

    while (at <= words) {
        uint64_t sum = 0;
        uint32_t count;

        if (words - at < 3)
            return false;
        count = block[at + 1];
        if (count == 0 || count > (words - at - 1) / 2)
            return false;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t *pair = block + at + 2 + 2 * i;

            if (pair[1] == 0 || (i > 0 && pair[0] <= pair[-2]))
                return false;
            sum += pair[1];
        }
        if (sum != block[at])
            return false;
        at += 2 + 2 * count;
    }
    return true;
}

static int load_block(struct vex_text_elements *elements, uint32_t slot, struct vex_cursor *c,
                      struct vex_err *err)
{
    uint32_t words = vex_cursor_u32(c), *block;

    if (c->bad || words > vex_cursor_left(c) / sizeof *block)
        return vex_err_set(err, VEX_ECORRUPT, "Elements of texts are cut off");
    if (words == 0)
        return 0;
    block = vex_mem_try((1 + (size_t)words) * sizeof *block);
    if (block == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "No memory for the elements of a text");
    block[0] = words;
    memcpy(block + 1, vex_cursor_bytes(c, words * sizeof *block), words * sizeof *block);
    elements->blocks[slot] = block;
    if (!is_sound(block))
        return vex_err_set(err, VEX_ECORRUPT, "Elements of a text are damaged");
    measure(block, &elements->documents, &elements->total);
    elements->bytes += (1 + (uint64_t)words) * sizeof *block;
    return 0;
}

int vex_text_elements_load(struct vex_text_elements *elements, struct vex_cursor *c, struct vex_err *err)
{
    uint32_t end = vex_cursor_u32(c);
    int rc = 0;

    if (c->bad || end > vex_cursor_left(c) / sizeof(uint32_t))
        return vex_err_set(err, VEX_ECORRUPT, "Elements of texts are cut off");
    elements->blocks = vex_mem_try((end + (size_t)1) * sizeof *elements->blocks);
    if (elements->blocks == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "No memory for the elements of %u texts", end);
    memset(elements->blocks, 0, (end + (size_t)1) * sizeof *elements->blocks);
    elements->end = end;
    for (uint32_t slot = 0; slot < end && rc == 0; slot++)
        rc = load_block(elements, slot, c, err);
    return rc;
}
