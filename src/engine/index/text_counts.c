/* Lengths of documents and frequencies of terms. */
#include "engine/index/text_counts.h"

#include <math.h>

#include "base/mem.h"

#define EMPTY       UINT64_MAX
#define LENGTH_BITS 13
#define SIZE_MIN    64u

void vex_text_counts_init(struct vex_text_counts *counts)
{
    memset(counts, 0, sizeof *counts);
}

void vex_text_counts_done(struct vex_text_counts *counts)
{
    vex_mem_free(counts->lengths);
    vex_mem_free(counts->keys);
    vex_mem_free(counts->times);
}

/* ---- scores ---- */

double vex_bm25_idf(uint64_t documents, uint64_t having)
{
    return log(((double)documents - (double)having + 0.5) / ((double)having + 0.5) + 1);
}

double vex_bm25_part(const struct vex_bm25 *bm25, double idf, uint32_t times, uint32_t length, double average)
{
    double ratio = average > 0 ? vex_text_round(length) / average : 1;

    return idf * times * (bm25->k + 1) / (times + bm25->k * (1 - bm25->b + bm25->b * ratio));
}

/* ---- lengths ---- */

uint32_t vex_text_round(uint32_t length)
{
    unsigned bits = length > 0 ? 32 - (unsigned)__builtin_clz(length) : 0;

    return bits <= LENGTH_BITS ? length : length >> (bits - LENGTH_BITS) << (bits - LENGTH_BITS);
}

static void set_length(struct vex_text_counts *counts, uint32_t slot, uint32_t length)
{
    uint32_t old = counts->lengths[slot];

    counts->documents += (uint32_t)(length > 0) - (uint32_t)(old > 0);
    counts->total += (uint64_t)vex_text_round(length) - vex_text_round(old);
    counts->lengths[slot] = length;
}

void vex_text_lengthen(struct vex_text_counts *counts, uint32_t slot, uint32_t tokens)
{
    uint32_t old = vex_text_length(counts, slot);

    if (tokens == 0)
        return;
    if (slot >= counts->end) {
        uint64_t end = (uint64_t)slot + slot / 2 + 64;
        end = end > UINT32_MAX ? UINT32_MAX : end;
        counts->lengths = vex_mem_realloc(counts->lengths, end * sizeof *counts->lengths);
        memset(counts->lengths + counts->end, 0, (end - counts->end) * sizeof *counts->lengths);
        counts->end = (uint32_t)end;
    }
    set_length(counts, slot, tokens > UINT32_MAX - old ? UINT32_MAX : old + tokens);
}

void vex_text_forget_length(struct vex_text_counts *counts, uint32_t slot)
{
    if (slot < counts->end)
        set_length(counts, slot, 0);
}

/* ---- frequencies ---- */

static uint64_t key_of(uint32_t term, uint32_t slot)
{
    return (uint64_t)term << 32 | slot;
}

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4), the high half folded in. */
static uint64_t home_of(const struct vex_text_counts *counts, uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);

    return (hash ^ hash >> 32) & (counts->size - 1);
}

static uint64_t place_of(const struct vex_text_counts *counts, uint64_t key)
{
    uint64_t at = home_of(counts, key);

    while (counts->keys[at] != EMPTY && counts->keys[at] != key)
        at = (at + 1) & (counts->size - 1);
    return at;
}

static void resize(struct vex_text_counts *counts, uint64_t size)
{
    struct vex_text_counts old = *counts;

    counts->size = size;
    counts->keys = vex_mem_alloc(size * sizeof *counts->keys);
    counts->times = vex_mem_alloc(size * sizeof *counts->times);
    memset(counts->keys, 0xff, size * sizeof *counts->keys);
    for (uint64_t i = 0; i < old.size; i++) {
        if (old.keys[i] != EMPTY) {
            uint64_t at = place_of(counts, old.keys[i]);
            counts->keys[at] = old.keys[i];
            counts->times[at] = old.times[i];
        }
    }
    vex_mem_free(old.keys);
    vex_mem_free(old.times);
}

void vex_text_count_again(struct vex_text_counts *counts, uint32_t term, uint32_t slot)
{
    uint64_t key = key_of(term, slot), at;

    if (counts->used >= counts->size / 4 * 3)
        resize(counts, counts->size > 0 ? counts->size * 2 : SIZE_MIN);
    at = place_of(counts, key);
    if (counts->keys[at] == EMPTY) {
        counts->keys[at] = key;
        counts->times[at] = 1;
        counts->used++;
    }
    counts->times[at] += counts->times[at] < UINT32_MAX;
}

uint32_t vex_text_times(const struct vex_text_counts *counts, uint32_t term, uint32_t slot)
{
    uint64_t at;

    if (counts->size == 0)
        return 1;
    at = place_of(counts, key_of(term, slot));
    return counts->keys[at] == EMPTY ? 1 : counts->times[at];
}

/* Empties a place and moves up what had to step over it. */
static void take_out(struct vex_text_counts *counts, uint64_t hole)
{
    uint64_t mask = counts->size - 1;

    for (uint64_t at = (hole + 1) & mask; counts->keys[at] != EMPTY; at = (at + 1) & mask) {
        uint64_t home = home_of(counts, counts->keys[at]);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            counts->keys[hole] = counts->keys[at];
            counts->times[hole] = counts->times[at];
            hole = at;
        }
    }
    counts->keys[hole] = EMPTY;
    counts->used--;
}

void vex_text_forget_term(struct vex_text_counts *counts, uint32_t term, uint32_t slot)
{
    uint64_t at;

    if (counts->size == 0)
        return;
    at = place_of(counts, key_of(term, slot));
    if (counts->keys[at] != EMPTY)
        take_out(counts, at);
}

void vex_text_forget(struct vex_text_counts *counts, const uint64_t *bits, uint32_t slots)
{
    uint64_t left = 0, size = SIZE_MIN;

    for (uint32_t slot = 0; slot < slots && slot < counts->end; slot++)
        if ((bits[slot / 64] >> slot % 64 & 1) != 0)
            set_length(counts, slot, 0);
    if (counts->size == 0)
        return;
    for (uint64_t i = 0; i < counts->size; i++) {
        uint32_t slot = (uint32_t)counts->keys[i];
        if (counts->keys[i] == EMPTY)
            continue;
        if (slot < slots && (bits[slot / 64] >> slot % 64 & 1) != 0)
            counts->times[i] = 0;
        else
            left++;
    }
    if (left == counts->used)
        return;
    /* Those that go are left behind when the table is made anew. */
    for (uint64_t i = 0; i < counts->size; i++)
        if (counts->keys[i] != EMPTY && counts->times[i] == 0)
            counts->keys[i] = EMPTY;
    counts->used = left;
    while (left >= size / 4 * 3)
        size *= 2;
    resize(counts, size);
}

uint64_t vex_text_counts_bytes(const struct vex_text_counts *counts)
{
    return counts->end * sizeof *counts->lengths +
           counts->size * (sizeof *counts->keys + sizeof *counts->times);
}

/* ---- files ---- */

void vex_text_counts_save(const struct vex_text_counts *counts, struct vex_buf *out)
{
    uint32_t end = counts->end;

    while (end > 0 && counts->lengths[end - 1] == 0)
        end--;
    vex_buf_add_u32(out, end);
    vex_buf_add(out, counts->lengths, end * sizeof *counts->lengths);
    vex_buf_add_u64(out, counts->used);
    for (uint64_t i = 0; i < counts->size; i++) {
        if (counts->keys[i] != EMPTY) {
            vex_buf_add_u64(out, counts->keys[i]);
            vex_buf_add_u32(out, counts->times[i]);
        }
    }
}

static int load_lengths(struct vex_text_counts *counts, struct vex_cursor *c, struct vex_err *err)
{
    uint32_t end = vex_cursor_u32(c);

    if (c->bad || end > vex_cursor_left(c) / sizeof *counts->lengths)
        return vex_err_set(err, VEX_ECORRUPT, "Lengths of texts are cut off");
    counts->lengths = vex_mem_try(end * sizeof *counts->lengths + 1);
    if (counts->lengths == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "No memory for the lengths of %u texts", end);
    memset(counts->lengths, 0, end * sizeof *counts->lengths);
    counts->end = end;
    for (uint32_t slot = 0; slot < end; slot++)
        set_length(counts, slot, vex_cursor_u32(c));
    return 0;
}

int vex_text_counts_load(struct vex_text_counts *counts, struct vex_cursor *c, struct vex_err *err)
{
    int rc = load_lengths(counts, c, err);
    uint64_t used = vex_cursor_u64(c), size = SIZE_MIN;

    if (rc != 0)
        return rc;
    if (c->bad || used > vex_cursor_left(c) / (sizeof *counts->keys + sizeof *counts->times))
        return vex_err_set(err, VEX_ECORRUPT, "Frequencies of terms are cut off");
    if (used == 0)
        return 0;
    while (used >= size / 4 * 3)
        size *= 2;
    counts->keys = vex_mem_try(size * sizeof *counts->keys);
    counts->times = vex_mem_try(size * sizeof *counts->times);
    if (counts->keys == NULL || counts->times == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "No memory for %llu frequencies", (unsigned long long)used);
    memset(counts->keys, 0xff, size * sizeof *counts->keys);
    counts->size = size;
    for (; counts->used < used; counts->used++) {
        uint64_t key = vex_cursor_u64(c), at;
        uint32_t times = vex_cursor_u32(c);
        if (key == EMPTY || times < 2 || (uint32_t)key >= counts->end)
            return vex_err_set(err, VEX_ECORRUPT, "A frequency of a term is damaged");
        at = place_of(counts, key);
        if (counts->keys[at] != EMPTY)
            return vex_err_set(err, VEX_ECORRUPT, "A frequency of a term is there twice");
        counts->keys[at] = key;
        counts->times[at] = times;
    }
    return 0;
}
