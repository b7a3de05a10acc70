/* Dictionary: texts <-> dense ids.
 *
 * Format     A block holds BLOCK_TERMS terms in a row. A term is one byte b and then: b == DEAD: nothing, the id is spare;
 *            b < FAR: b - 1 bytes of text; b == FAR: u32 length and a pointer to the text on the heap (long texts, which
 *            would make a change of a block dear).
 * Invariant  The table has more places than 8/7 of the ids ever given out, so every probe ends; no empty place lies between
 *            a term's home and its place. An entry's low id_bits are id + 1, the bits above a part of the hash. */
#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"
#include "engine/index/dictionary.h"

#define BLOCK_TERMS VEX_TERM_GROUP
#define DEAD        0u
#define FAR         255u
#define FAR_SIZE    (1 + sizeof(uint32_t) + sizeof(char *))
#define TABLE_MIN   16u
#define BATCH       32u /* texts looked up together */
#define BLOCK_LINES 5u  /* cache lines of a block that are fetched ahead: 16 terms of about 20 bytes */

struct vex_dict_block {
    uint32_t size; /* of data */
    uint8_t data[];
};

struct term {
    struct vex_str key; /* ptr NULL: dead */
    size_t size;        /* in the block */
};

static struct term term_at(const uint8_t *at)
{
    uint32_t len;
    char *far;

    if (at[0] == DEAD)
        return (struct term){{NULL, 0}, 1};
    if (at[0] < FAR)
        return (struct term){{(const char *)at + 1, at[0] - 1u}, at[0]};
    memcpy(&len, at + 1, sizeof len);
    memcpy(&far, at + 1 + sizeof len, sizeof far);
    return (struct term){{far, len}, FAR_SIZE};
}

/* Writes a term; a long text is copied to the heap. */
static void put_term(uint8_t *at, struct vex_str key)
{
    uint32_t len = (uint32_t)key.len;
    char *far;

    if (len < FAR - 1) {
        at[0] = (uint8_t)(len + 1);
        if (key.len > 0)
            memcpy(at + 1, key.ptr, key.len);
        return;
    }
    far = vex_mem_alloc(key.len);
    memcpy(far, key.ptr, key.len);
    at[0] = FAR;
    memcpy(at + 1, &len, sizeof len);
    memcpy(at + 1 + sizeof len, &far, sizeof far);
}

static size_t term_size(struct vex_str key)
{
    return key.len < FAR - 1 ? key.len + 1 : FAR_SIZE;
}

static uint8_t *place(const struct vex_dict *dict, uint32_t id)
{
    uint8_t *at = dict->blocks[id / BLOCK_TERMS]->data;

    for (uint32_t i = 0; i < id % BLOCK_TERMS; i++)
        at += term_at(at).size;
    return at;
}

static uint64_t hash_of(struct vex_str key)
{
    return key.len > 0 ? XXH3_64bits(key.ptr, key.len) : 0;
}

static uint64_t home_of(const struct vex_dict *dict, uint64_t hash)
{
    return (hash >> 32) * dict->table_size >> 32;
}

static unsigned id_bits(const struct vex_dict *dict)
{
    return dict->table_size > UINT32_MAX ? 32 : 32u - (unsigned)__builtin_clz((uint32_t)dict->table_size);
}

static uint32_t entry_of(const struct vex_dict *dict, uint64_t hash, uint32_t id)
{
    unsigned bits = id_bits(dict);

    return bits == 32 ? id + 1 : (uint32_t)hash << bits | (id + 1);
}

static uint32_t entry_id(const struct vex_dict *dict, uint32_t entry)
{
    unsigned bits = id_bits(dict);

    return (bits == 32 ? entry : entry & ((UINT32_C(1) << bits) - 1)) - 1;
}

static uint64_t after(const struct vex_dict *dict, uint64_t at)
{
    return at + 1 == dict->table_size ? 0 : at + 1;
}

/* Place in the table of the key, or of the empty entry it would go to. */
static uint64_t probe(const struct vex_dict *dict, struct vex_str key, uint64_t hash)
{
    uint64_t at = home_of(dict, hash);

    for (; dict->table[at] != 0; at = after(dict, at)) {
        uint32_t id = entry_id(dict, dict->table[at]);
        if (dict->table[at] == entry_of(dict, hash, id) && vex_str_eq(term_at(place(dict, id)).key, key))
            break;
    }
    return at;
}

static int enter(void *arg, uint32_t id, struct vex_str key)
{
    struct vex_dict *dict = arg;
    uint64_t hash = hash_of(key), at = home_of(dict, hash);

    while (dict->table[at] != 0)
        at = after(dict, at);
    dict->table[at] = entry_of(dict, hash, id);
    return 0;
}

/* Room for one id more. Grows by a quarter: the table is between 7/10 and 7/8 full. */
static void grow_table(struct vex_dict *dict)
{
    uint64_t size = dict->table_size;

    if (dict->end >= VEX_TERM_NONE - 1)
        abort(); /* memory is out long before */
    while ((uint64_t)dict->end + 1 >= size / 8 * 7)
        size = size < TABLE_MIN ? TABLE_MIN : size + size / 4;
    if (size == dict->table_size)
        return;
    vex_mem_free(dict->table);
    dict->table_size = size;
    dict->table = vex_mem_zalloc(size * sizeof *dict->table);
    vex_dict_each(dict, enter, dict);
}

void vex_dict_init(struct vex_dict *dict)
{
    *dict = (struct vex_dict){0};
}

static uint32_t block_count(const struct vex_dict *dict)
{
    return dict->end / BLOCK_TERMS + (dict->end % BLOCK_TERMS != 0);
}

void vex_dict_done(struct vex_dict *dict)
{
    for (uint32_t i = 0; i < block_count(dict); i++) {
        struct vex_dict_block *block = dict->blocks[i];
        for (uint8_t *at = block->data; at < block->data + block->size; at += term_at(at).size)
            if (at[0] == FAR)
                vex_mem_free((char *)(uintptr_t)term_at(at).key.ptr);
        vex_mem_free(block);
    }
    vex_mem_free(dict->blocks);
    vex_mem_free(dict->table);
    vex_mem_free(dict->spare);
    vex_dict_init(dict);
}

/* Makes the `old` bytes at an offset of a block `size` bytes long; returns where they are. */
static uint8_t *resize(struct vex_dict *dict, uint32_t at_block, size_t offset, size_t old, size_t size)
{
    struct vex_dict_block *block = dict->blocks[at_block];
    size_t before = block->size, now = before - old + size;

    if (now > before)
        block = vex_mem_realloc(block, sizeof *block + now);
    memmove(block->data + offset + size, block->data + offset + old, before - offset - old);
    if (now < before)
        block = vex_mem_realloc(block, sizeof *block + now);
    block->size = (uint32_t)now;
    dict->blocks[at_block] = block;
    dict->key_bytes += now - before;
    return block->data + offset;
}

/* The next id and room for its term. */
static uint8_t *append(struct vex_dict *dict, size_t size)
{
    uint32_t at = dict->end / BLOCK_TERMS;

    if (dict->end % BLOCK_TERMS == 0) {
        if (at >= dict->block_room) {
            dict->block_room = at + at / 8 + 4;
            dict->blocks = vex_mem_realloc(dict->blocks, dict->block_room * sizeof(void *));
        }
        dict->blocks[at] = vex_mem_zalloc(sizeof **dict->blocks);
        dict->key_bytes += sizeof **dict->blocks;
    }
    dict->end++;
    return resize(dict, at, dict->blocks[at]->size, 0, size);
}

static void add_spare(struct vex_dict *dict, uint32_t id)
{
    if (dict->spare_count == dict->spare_room) {
        dict->spare_room = dict->spare_room + dict->spare_room / 4 + 16;
        dict->spare = vex_mem_realloc(dict->spare, dict->spare_room * sizeof *dict->spare);
    }
    dict->spare[dict->spare_count++] = id;
}

/* An id for a text that has none. */
static uint32_t give_id(struct vex_dict *dict, struct vex_str key)
{
    size_t size = term_size(key);
    uint32_t id = dict->end;

    if (dict->spare_count > 0) {
        id = dict->spare[--dict->spare_count];
        size_t offset = (size_t)(place(dict, id) - dict->blocks[id / BLOCK_TERMS]->data);
        put_term(resize(dict, id / BLOCK_TERMS, offset, 1, size), key);
    } else {
        put_term(append(dict, size), key);
    }
    if (key.len >= FAR - 1)
        dict->key_bytes += key.len;
    return id;
}

uint32_t vex_dict_put(struct vex_dict *dict, struct vex_str key)
{
    uint64_t hash = hash_of(key), at;
    uint32_t id;

    grow_table(dict);
    at = probe(dict, key, hash);
    if (dict->table[at] != 0)
        return entry_id(dict, dict->table[at]);
    id = give_id(dict, key);
    dict->table[at] = entry_of(dict, hash, id);
    return id;
}

uint32_t vex_dict_find(const struct vex_dict *dict, struct vex_str key)
{
    uint64_t at;

    if (dict->table_size == 0)
        return VEX_TERM_NONE;
    at = probe(dict, key, hash_of(key));
    return dict->table[at] == 0 ? VEX_TERM_NONE : entry_id(dict, dict->table[at]);
}

struct vex_str vex_dict_key(const struct vex_dict *dict, uint32_t id)
{
    if (id >= dict->end)
        return (struct vex_str){NULL, 0};
    return term_at(place(dict, id)).key;
}

/* Takes an entry out and moves those behind it up to where their probes will find them. */
static void close_gap(struct vex_dict *dict, uint64_t gap)
{
    for (uint64_t at = after(dict, gap); dict->table[at] != 0; at = after(dict, at)) {
        uint32_t id = entry_id(dict, dict->table[at]);
        uint64_t home = home_of(dict, hash_of(term_at(place(dict, id)).key));
        bool between = gap <= at ? gap < home && home <= at : gap < home || home <= at;
        if (between)
            continue;
        dict->table[gap] = dict->table[at];
        gap = at;
    }
    dict->table[gap] = 0;
}

void vex_dict_drop(struct vex_dict *dict, uint32_t id)
{
    uint8_t *at = place(dict, id);
    struct term term = term_at(at);
    size_t offset = (size_t)(at - dict->blocks[id / BLOCK_TERMS]->data);

    close_gap(dict, probe(dict, term.key, hash_of(term.key)));
    if (at[0] == FAR) {
        dict->key_bytes -= term.key.len;
        vex_mem_free((char *)(uintptr_t)term.key.ptr);
    }
    at[0] = DEAD;
    resize(dict, id / BLOCK_TERMS, offset + 1, term.size - 1, 0);
    add_spare(dict, id);
}

uint32_t vex_dict_count(const struct vex_dict *dict)
{
    return dict->end - dict->spare_count;
}

int vex_dict_each(const struct vex_dict *dict, int (*fn)(void *arg, uint32_t id, struct vex_str key),
                  void *arg)
{
    for (uint32_t i = 0; i < block_count(dict); i++) {
        const struct vex_dict_block *block = dict->blocks[i];
        uint32_t id = i * BLOCK_TERMS;
        struct term term;
        for (const uint8_t *at = block->data; at < block->data + block->size; at += term.size, id++) {
            int stop = 0;
            term = term_at(at);
            if (term.key.ptr != NULL)
                stop = fn(arg, id, term.key);
            if (stop != 0)
                return stop;
        }
    }
    return 0;
}

int vex_dict_each_of(const struct vex_dict *dict, uint32_t first, uint32_t mask,
                     int (*fn)(void *arg, uint32_t id, struct vex_str key), void *arg)
{
    const uint8_t *at = dict->blocks[first / BLOCK_TERMS]->data;
    struct term term;
    int stop = 0;

    for (uint32_t id = first; mask != 0 && stop == 0; mask >>= 1, id++, at += term.size) {
        term = term_at(at);
        if ((mask & 1) != 0)
            stop = fn(arg, id, term.key);
    }
    return stop;
}

/* The first 8 bytes of a text that has them, as a number in the order of texts. */
static uint64_t beginning(const char *text)
{
    uint64_t w;

    memcpy(&w, text, sizeof w);
    return __builtin_bswap64(w);
}

/* Almost all are told apart by their first 16 bytes. */
static bool comes_before(struct vex_str key, struct vex_str text)
{
    for (size_t at = 0; at < 16 && key.len >= at + 8 && text.len >= at + 8; at += 8) {
        uint64_t a = beginning(key.ptr + at), b = beginning(text.ptr + at);
        if (a != b)
            return a < b;
    }
    return vex_str_cmp(key, text) < 0;
}

uint32_t vex_dict_before(const struct vex_dict *dict, uint32_t first, uint32_t mask, struct vex_str text)
{
    const uint8_t *at = dict->blocks[first / BLOCK_TERMS]->data;
    uint32_t found = 0;
    struct term term;

    for (uint32_t i = 0; mask >> i != 0; i++, at += term.size) {
        term = term_at(at);
        if ((mask >> i & 1) != 0)
            found |= (uint32_t)comes_before(term.key, text) << i;
    }
    return found;
}

void vex_dict_prefetch(const struct vex_dict *dict, uint32_t first)
{
    const char *at;

    if (first >= dict->end)
        return;
    at = (const char *)dict->blocks[first / BLOCK_TERMS];
    for (uint32_t line = 0; line < BLOCK_LINES; line++)
        __builtin_prefetch(at + line * 64);
}

/* In stages, so that the misses of several texts overlap: of the table, of the blocks' places, of the blocks. */
static void find_some(const struct vex_dict *dict, const struct vex_str *keys, uint32_t count, uint32_t *ret)
{
    uint64_t hash[BATCH];
    uint32_t id[BATCH];

    for (uint32_t i = 0; i < count; i++) {
        hash[i] = hash_of(keys[i]);
        __builtin_prefetch(&dict->table[home_of(dict, hash[i])]);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = home_of(dict, hash[i]);
        id[i] = VEX_TERM_NONE;
        for (; dict->table[at] != 0 && id[i] == VEX_TERM_NONE; at = after(dict, at)) {
            uint32_t likely = entry_id(dict, dict->table[at]);
            if (dict->table[at] == entry_of(dict, hash[i], likely))
                id[i] = likely;
        }
        if (id[i] != VEX_TERM_NONE)
            __builtin_prefetch(&dict->blocks[id[i] / BLOCK_TERMS]);
    }
    for (uint32_t i = 0; i < count; i++)
        if (id[i] != VEX_TERM_NONE)
            vex_dict_prefetch(dict, id[i]);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = id[i] != VEX_TERM_NONE ? probe(dict, keys[i], hash[i]) : 0;
        ret[i] =
            id[i] == VEX_TERM_NONE || dict->table[at] == 0 ? VEX_TERM_NONE : entry_id(dict, dict->table[at]);
    }
}

void vex_dict_find_all(const struct vex_dict *dict, const struct vex_str *keys, uint32_t count, uint32_t *ret)
{
    for (uint32_t i = 0; i < count; i++)
        ret[i] = VEX_TERM_NONE;
    for (uint32_t i = 0; i < count && dict->table_size > 0; i += BATCH)
        find_some(dict, keys + i, count - i < BATCH ? count - i : BATCH, ret + i);
}

uint64_t vex_dict_bytes(const struct vex_dict *dict)
{
    return dict->key_bytes + dict->block_room * sizeof(void *) + dict->table_size * sizeof *dict->table +
           dict->spare_room * sizeof *dict->spare;
}

/* u32 end; then for each id u32 length + 1 and the text, 0: spare. */
void vex_dict_save(const struct vex_dict *dict, struct vex_buf *out)
{
    vex_buf_add_u32(out, dict->end);
    for (uint32_t i = 0; i < block_count(dict); i++) {
        const struct vex_dict_block *block = dict->blocks[i];
        struct term term;
        for (const uint8_t *at = block->data; at < block->data + block->size; at += term.size) {
            term = term_at(at);
            vex_buf_add_u32(out, term.key.ptr != NULL ? (uint32_t)term.key.len + 1 : 0);
            vex_buf_add_str(out, term.key);
        }
    }
}

static int load_term(struct vex_dict *dict, struct vex_str key, struct vex_err *err)
{
    uint64_t hash = hash_of(key), at;

    grow_table(dict);
    at = probe(dict, key, hash);
    if (dict->table[at] != 0)
        return vex_err_set(err, VEX_ECORRUPT, "payload index: a term comes twice");
    dict->table[at] = entry_of(dict, hash, dict->end);
    put_term(append(dict, term_size(key)), key);
    if (key.len >= FAR - 1)
        dict->key_bytes += key.len;
    return 0;
}

int vex_dict_load(struct vex_dict *dict, struct vex_cursor *c, struct vex_err *err)
{
    uint32_t end = vex_cursor_u32(c);
    int rc = 0;

    if (c->bad || end > vex_cursor_left(c) / sizeof(uint32_t))
        return vex_err_set(err, VEX_ECORRUPT, "payload index: bad number of terms");
    for (uint32_t id = 0; rc == 0 && id < end; id++) {
        uint32_t len = vex_cursor_u32(c);
        const char *at = len > 1 ? vex_cursor_bytes(c, len - 1) : "";
        if (c->bad || at == NULL)
            return vex_err_set(err, VEX_ECORRUPT, "payload index: terms are cut short");
        if (len > 0) {
            rc = load_term(dict, vex_str(at, len - 1), err);
        } else {
            *append(dict, 1) = DEAD;
            add_spare(dict, id);
        }
    }
    return rc;
}
