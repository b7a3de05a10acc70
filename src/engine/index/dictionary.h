/* Dictionary of an index: texts <-> term ids, and the slots of every term.
 *
 * Role      struct vex_dict numbers texts densely (0, 1, 2, ...; the id of a dropped term is given out again); struct vex_postings
 *           keeps a set of slots for each number. Keyword and text indexes put them together.
 * Owner     The index. Lock: as the index: readers share, a change is alone.
 * Memory    About 10 bytes a term beside its text, 4 for a term with a single slot, 2 to 4 a slot for others. Aborts when out
 *           of memory, except in _load. */
#ifndef VEX_ENGINE_INDEX_DICTIONARY_H
#define VEX_ENGINE_INDEX_DICTIONARY_H

#include "base/err.h"
#include "engine/index/slots.h"

/* ---- terms ---- */

#define VEX_TERM_NONE UINT32_MAX

struct vex_dict_block;

struct vex_dict {
    struct vex_dict_block **blocks; /* texts, a few terms a block, in order of the ids */
    uint32_t *table;                /* open addressing: fingerprint and id + 1; 0: empty */
    uint32_t *spare;                /* ids of dropped terms */
    uint64_t table_size;
    uint64_t key_bytes; /* memory of all blocks */
    uint32_t end;       /* ids are below */
    uint32_t spare_count, spare_room, block_room;
};

void vex_dict_init(struct vex_dict *dict);
void vex_dict_done(struct vex_dict *dict);
/* Id of the text; a new one when it has none. */
uint32_t vex_dict_put(struct vex_dict *dict, struct vex_str key);
uint32_t vex_dict_find(const struct vex_dict *dict, struct vex_str key); /* VEX_TERM_NONE: not here */
/* Text of a term; ptr is NULL when the id is not in use (never for an empty text). Valid until the dictionary changes. */
struct vex_str vex_dict_key(const struct vex_dict *dict, uint32_t id);
void vex_dict_drop(struct vex_dict *dict, uint32_t id); /* the id is in use */
uint32_t vex_dict_count(const struct vex_dict *dict);   /* ids in use; they lie below dict->end */
/* Calls fn for every term, by ascending id; stops when fn returns non-zero and returns that. Faster than _key for each. */
int vex_dict_each(const struct vex_dict *dict, int (*fn)(void *arg, uint32_t id, struct vex_str key),
                  void *arg);
/* The terms of a group, the VEX_TERM_GROUP ids from first on (a multiple of that), whose bit is set; all are in use. */
#define VEX_TERM_GROUP 16u
int vex_dict_each_of(const struct vex_dict *dict, uint32_t first, uint32_t mask,
                     int (*fn)(void *arg, uint32_t id, struct vex_str key), void *arg);
/* Those of them whose texts come before another text. */
uint32_t vex_dict_before(const struct vex_dict *dict, uint32_t first, uint32_t mask, struct vex_str text);
/* Makes ready to read a group soon: only a hint, any id will do. */
void vex_dict_prefetch(const struct vex_dict *dict, uint32_t first);
/* Ids of many texts at once, faster than one by one. */
void vex_dict_find_all(const struct vex_dict *dict, const struct vex_str *keys, uint32_t count,
                       uint32_t *ret);
uint64_t vex_dict_bytes(const struct vex_dict *dict);
/* Ids stay what they are. load: into a fresh one; VEX_ECORRUPT, VEX_ENO_MEMORY: still to be ended by _done. */
void vex_dict_save(const struct vex_dict *dict, struct vex_buf *out);
int vex_dict_load(struct vex_dict *dict, struct vex_cursor *c, struct vex_err *err);

/* ---- slots of terms ---- */

struct vex_postings {
    uint32_t *heads; /* by id: empty, one slot, or (top bit) an entry of `sets` */
    uintptr_t *sets; /* a short sorted list or (lowest bit) a struct vex_slots; 0: spare */
    uint32_t *spare; /* entries of `sets` that are spare */
    uint64_t bytes;  /* memory of the short lists */
    uint32_t end;    /* ids are below */
    uint32_t head_room, set_count, set_room, spare_count, spare_room;
};

void vex_postings_init(struct vex_postings *postings);
void vex_postings_done(struct vex_postings *postings);
/* An id that was never used has no slots. Adding what is there and removing what is not there change nothing. */
bool vex_postings_add(struct vex_postings *postings, uint32_t id, uint32_t slot);    /* true: it was new */
bool vex_postings_remove(struct vex_postings *postings, uint32_t id, uint32_t slot); /* true: it was there */
bool vex_postings_has(const struct vex_postings *postings, uint32_t id, uint32_t slot);
uint64_t vex_postings_count(const struct vex_postings *postings, uint32_t id);
bool vex_postings_empty(const struct vex_postings *postings, uint32_t id);
void vex_postings_prefetch(const struct vex_postings *postings, const uint32_t *ids,
                           uint32_t count); /* a hint */
/* As their namesakes in slots.h, for the slots of one term. */
void vex_postings_or_into(const struct vex_postings *postings, uint32_t id, uint64_t *bits, uint32_t slots);
uint64_t vex_postings_count_in(const struct vex_postings *postings, uint32_t id, const uint64_t *bits,
                               uint32_t slots);
/* Terms of a group (dictionary's) that at least `least` slots hold (at least 1), out of bits when that is not NULL: their mask and
 * counts. `single`: terms with one slot inline only, whose count is 1; else the others only. */
uint32_t vex_postings_group(const struct vex_postings *postings, uint32_t first, bool single,
                            const uint64_t *bits, uint32_t slots, uint64_t least,
                            uint64_t ret_counts[VEX_TERM_GROUP]);
int vex_postings_each(const struct vex_postings *postings, uint32_t id, int (*fn)(void *arg, uint32_t slot),
                      void *arg); /* ascending */
/* Takes the slots of a bitmap out of all terms; calls emptied for every term that has none left through it. */
void vex_postings_forget(struct vex_postings *postings, const uint64_t *bits, uint32_t slots,
                         void (*emptied)(void *arg, uint32_t id), void *arg);
uint64_t vex_postings_bytes(const struct vex_postings *postings);
void vex_postings_save(const struct vex_postings *postings, struct vex_buf *out);
/* load: as vex_dict_load. Ids beyond those of the dictionary are the caller's to check (postings->end). */
int vex_postings_load(struct vex_postings *postings, struct vex_cursor *c, struct vex_err *err);

#endif
