/* Set of slots: CRoaring, with loops of our own where a set meets a plain bitmap.
 *
 * Owner      Whoever made it. Lock: the owner's.
 * Invariant  No run containers: nothing here makes any, and none are taken from a disk; arrays hold at most 4,096 slots.
 * Format     Portable roaring (github.com/RoaringBitmap/RoaringFormatSpec) without runs, behind its length (u64). */
#include "engine/index/slots.h"

#include <roaring/roaring.h>

#include "base/mem.h"

#define CHUNK_WORDS  1024u /* of a container: 65,536 slots */
#define ARRAY_MAX    4096u
#define HEAD_COOKIE  12346u
#define HEAD_PER_KEY 8u /* key, count, offset */

static uint64_t count_plain(const uint64_t *words, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += vex_bits_in(words[i]);
    return total;
}

#if defined(__x86_64__)
__attribute__((target("popcnt"))) static uint64_t count_counting(const uint64_t *words, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += (uint64_t)__builtin_popcountll(words[i]);
    return total;
}

uint64_t vex_bits_count(const uint64_t *words, size_t count)
{
    return __builtin_cpu_supports("popcnt") ? count_counting(words, count) : count_plain(words, count);
}
#else
uint64_t vex_bits_count(const uint64_t *words, size_t count)
{
    return count_plain(words, count);
}
#endif

static roaring_bitmap_t *inside(const struct vex_slots *set)
{
    return (roaring_bitmap_t *)(uintptr_t)set;
}

struct vex_slots *vex_slots_new(void)
{
    roaring_bitmap_t *set = roaring_bitmap_create();

    if (set == NULL)
        abort();
    return (struct vex_slots *)(void *)set;
}

void vex_slots_free(struct vex_slots *set)
{
    if (set != NULL)
        roaring_bitmap_free(inside(set));
}

void vex_slots_add(struct vex_slots *set, uint32_t slot)
{
    roaring_bitmap_add(inside(set), slot);
}

void vex_slots_remove(struct vex_slots *set, uint32_t slot)
{
    roaring_bitmap_remove(inside(set), slot);
}

bool vex_slots_has(const struct vex_slots *set, uint32_t slot)
{
    return roaring_bitmap_contains(inside(set), slot);
}

uint64_t vex_slots_count(const struct vex_slots *set)
{
    return roaring_bitmap_get_cardinality(inside(set));
}

/* One container as its slots or its words. */
struct chunk {
    const uint16_t *low;   /* NULL: a bitset */
    const uint64_t *words; /* NULL: an array */
    uint32_t count;        /* of slots */
    uint64_t first;        /* slot */
};

static bool chunk_at(const struct vex_slots *set, int32_t at, struct chunk *ret)
{
    const roaring_array_t *containers = &inside(set)->high_low_container;

    if (at >= containers->size)
        return false;
    ret->first = (uint64_t)containers->keys[at] << 16;
    if (containers->typecodes[at] == ARRAY_CONTAINER_TYPE_CODE) {
        const array_container_t *array = containers->containers[at];
        *ret = (struct chunk){array->array, NULL, (uint32_t)array->cardinality, ret->first};
    } else {
        const bitset_container_t *bitset = containers->containers[at];
        *ret = (struct chunk){NULL, bitset->array, (uint32_t)bitset->cardinality, ret->first};
    }
    return true;
}

/* Slots of an array below the limit (which counts from the chunk's first). */
static uint32_t below(const struct chunk *chunk, uint64_t limit)
{
    uint32_t lo = 0, hi = chunk->count;

    if (hi == 0 || chunk->low[hi - 1] < limit)
        return hi;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (chunk->low[mid] < limit)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Words of a bitset below the limit, and what of the last of them counts. */
static uint32_t words_below(uint64_t limit, uint64_t *ret_last)
{
    *ret_last = UINT64_MAX;
    if (limit >= CHUNK_WORDS * 64)
        return CHUNK_WORDS;
    if (limit % 64 != 0)
        *ret_last = (UINT64_C(1) << limit % 64) - 1;
    return (uint32_t)((limit + 63) / 64);
}

uint64_t vex_slots_bytes(const struct vex_slots *set)
{
    const roaring_array_t *containers = &inside(set)->high_low_container;
    uint64_t bytes = sizeof(roaring_bitmap_t) + (uint64_t)containers->allocation_size * 11;
    struct chunk chunk;

    for (int32_t i = 0; chunk_at(set, i, &chunk); i++) {
        const array_container_t *array = containers->containers[i];
        bytes += sizeof *array + (chunk.low != NULL ? (uint64_t)array->capacity * 2 : CHUNK_WORDS * 8);
    }
    return bytes;
}

void vex_slots_or_into(const struct vex_slots *set, uint64_t *bits, uint32_t slots)
{
    struct chunk chunk;

    for (int32_t i = 0; chunk_at(set, i, &chunk) && chunk.first < slots; i++) {
        uint64_t *to = bits + chunk.first / 64, last;
        if (chunk.low != NULL) {
            uint32_t count = below(&chunk, slots - chunk.first);
            for (uint32_t k = 0; k < count; k++)
                to[chunk.low[k] / 64] |= UINT64_C(1) << chunk.low[k] % 64;
        } else {
            uint32_t count = words_below(slots - chunk.first, &last);
            for (uint32_t k = 0; k + 1 < count; k++)
                to[k] |= chunk.words[k];
            to[count - 1] |= chunk.words[count - 1] & last;
        }
    }
}

void vex_slots_andnot_from(const struct vex_slots *set, uint64_t *bits, uint32_t slots)
{
    struct chunk chunk;

    for (int32_t i = 0; chunk_at(set, i, &chunk) && chunk.first < slots; i++) {
        uint64_t *to = bits + chunk.first / 64, last;
        if (chunk.low != NULL) {
            uint32_t count = below(&chunk, slots - chunk.first);
            for (uint32_t k = 0; k < count; k++)
                to[chunk.low[k] / 64] &= ~(UINT64_C(1) << chunk.low[k] % 64);
        } else {
            uint32_t count = words_below(slots - chunk.first, &last);
            for (uint32_t k = 0; k < count; k++)
                to[k] &= ~chunk.words[k];
        }
    }
}

uint64_t vex_slots_count_in(const struct vex_slots *set, const uint64_t *bits, uint32_t slots)
{
    uint64_t total = 0;
    struct chunk chunk;

    for (int32_t i = 0; chunk_at(set, i, &chunk) && chunk.first < slots; i++) {
        const uint64_t *in = bits + chunk.first / 64;
        uint64_t last;
        if (chunk.low != NULL) {
            uint32_t count = below(&chunk, slots - chunk.first);
            for (uint32_t k = 0; k < count; k++)
                total += in[chunk.low[k] / 64] >> chunk.low[k] % 64 & 1;
        } else {
            uint32_t count = words_below(slots - chunk.first, &last);
            for (uint32_t k = 0; k + 1 < count; k++)
                total += vex_bits_in(in[k] & chunk.words[k]);
            total += vex_bits_in(in[count - 1] & chunk.words[count - 1] & last);
        }
    }
    return total;
}

/* The slots of a chunk that are set in bits, into ret. */
static size_t meet(const struct chunk *chunk, const uint64_t *bits, uint32_t slots, uint32_t *ret)
{
    const uint64_t *in = bits + chunk->first / 64;
    uint64_t limit = slots - chunk->first, last;
    size_t met = 0;

    if (chunk->low != NULL) {
        uint32_t count = below(chunk, limit);
        for (uint32_t k = 0; k < count; k++) {
            ret[met] = (uint32_t)chunk->first + chunk->low[k];
            met += in[chunk->low[k] / 64] >> chunk->low[k] % 64 & 1;
        }
        return met;
    }
    for (uint32_t k = 0, count = words_below(limit, &last); k < count; k++) {
        uint64_t w = in[k] & chunk->words[k] & (k + 1 == count ? last : UINT64_MAX);
        for (; w != 0; w &= w - 1)
            ret[met++] = (uint32_t)chunk->first + k * 64 + (uint32_t)__builtin_ctzll(w);
    }
    return met;
}

void vex_slots_forget(struct vex_slots *set, const uint64_t *bits, uint32_t slots)
{
    struct chunk chunk;
    uint32_t *met, most = 0;

    for (int32_t i = 0; chunk_at(set, i, &chunk); i++)
        most = chunk.count > most ? chunk.count : most;
    met = vex_mem_alloc((most + 1) * sizeof *met);
    /* Backwards: a container that becomes empty goes. */
    for (int32_t i = inside(set)->high_low_container.size - 1; i >= 0; i--) {
        size_t count = 0;
        if (chunk_at(set, i, &chunk) && chunk.first < slots)
            count = meet(&chunk, bits, slots, met);
        for (size_t k = 0; k < count; k++)
            roaring_bitmap_remove(inside(set), met[k]);
    }
    vex_mem_free(met);
}

int vex_slots_each(const struct vex_slots *set, int (*fn)(void *arg, uint32_t slot), void *arg)
{
    struct chunk chunk;
    int stop = 0;

    for (int32_t i = 0; stop == 0 && chunk_at(set, i, &chunk); i++) {
        if (chunk.low != NULL) {
            for (uint32_t k = 0; k < chunk.count && stop == 0; k++)
                stop = fn(arg, (uint32_t)chunk.first + chunk.low[k]);
            continue;
        }
        for (uint32_t k = 0; k < CHUNK_WORDS && stop == 0; k++)
            for (uint64_t w = chunk.words[k]; w != 0 && stop == 0; w &= w - 1)
                stop = fn(arg, (uint32_t)chunk.first + k * 64 + (uint32_t)__builtin_ctzll(w));
    }
    return stop;
}

void vex_slots_save(const struct vex_slots *set, struct vex_buf *out)
{
    size_t size = roaring_bitmap_portable_size_in_bytes(inside(set));

    vex_buf_add_u64(out, size);
    vex_buf_reserve(out, size);
    out->len += roaring_bitmap_portable_serialize(inside(set), out->ptr + out->len);
}

static bool good_array(struct vex_cursor *c, uint32_t count, bool top)
{
    const char *at = vex_cursor_bytes(c, count * sizeof(uint16_t));
    int32_t before = -1;

    for (uint32_t i = 0; at != NULL && i < count; i++) {
        uint16_t low;
        memcpy(&low, at + i * sizeof low, sizeof low);
        if (low <= before)
            return false;
        before = low;
    }
    return at != NULL && !(top && before == UINT16_MAX); /* 2^32 - 1 is no slot */
}

static bool good_bitset(struct vex_cursor *c, uint32_t count, bool top)
{
    const char *at = vex_cursor_bytes(c, CHUNK_WORDS * sizeof(uint64_t));
    uint64_t total = 0, w = 0;

    for (uint32_t i = 0; at != NULL && i < CHUNK_WORDS; i++) {
        memcpy(&w, at + i * sizeof w, sizeof w);
        total += vex_bits_in(w);
    }
    return at != NULL && total == count && !(top && w >> 63 != 0);
}

/* CRoaring checks lengths, but trusts the order and the counts. */
static bool good(struct vex_cursor c)
{
    const char *begin = c.at;
    uint32_t cookie = vex_cursor_u32(&c), size = vex_cursor_u32(&c);
    struct vex_cursor keys = c;
    const char *offsets;
    int32_t before = -1;

    if (cookie != HEAD_COOKIE || size > 1u << 16 || vex_cursor_bytes(&c, size * HEAD_PER_KEY / 2) == NULL)
        return false;
    offsets = vex_cursor_bytes(&c, size * HEAD_PER_KEY / 2);
    for (uint32_t i = 0; offsets != NULL && i < size; i++) {
        uint32_t head = vex_cursor_u32(&keys), count = (head >> 16) + 1, offset;
        int32_t key = (int32_t)(head & UINT16_MAX);
        memcpy(&offset, offsets + i * sizeof offset, sizeof offset);
        if (key <= before || offset != (size_t)(c.at - begin))
            return false;
        before = key;
        if (!(count <= ARRAY_MAX ? good_array : good_bitset)(&c, count, key == UINT16_MAX))
            return false;
    }
    return offsets != NULL && !c.bad && vex_cursor_left(&c) == 0;
}

struct vex_slots *vex_slots_load(struct vex_cursor *c)
{
    uint64_t size = vex_cursor_u64(c);
    const char *at;

    if (c->bad || size > vex_cursor_left(c))
        return NULL;
    at = vex_cursor_bytes(c, size);
    if (at == NULL || !good(vex_cursor(at, size)))
        return NULL;
    return (struct vex_slots *)(void *)roaring_bitmap_portable_deserialize_safe(at, size);
}
