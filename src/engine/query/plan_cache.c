/* Bitmaps that indexes made for conditions with many matches, kept for the next read that asks the same. See plan.h.
 *
 * Key        The index's stamp, which no other state of any index has; the number of slots; the condition's bytes. Nothing needs to be
 *            taken out when an index changes: its old entries are not asked for any more and fall out as the oldest.
 * Memory     One bounded set of entries for the process; an entry in use is freed by its last reader.
 * Lock       Its own, never held while bits are copied or made. */
#include <pthread.h>

#include "base/mem.h"
#include "engine/query/plan.h"

#define ENTRIES     32u
#define BYTES_MAX   (UINT64_C(32) << 20)
#define SHARE_MAX   4u    /* an entry takes one part in so many of that at most */
#define KEY_MAX     1024u /* bytes of a condition worth comparing */
#define ENTRIES_MIN 4096u /* matches from which a bitmap is worth keeping */

struct entry {
    uint64_t stamp;
    uint32_t slots;
    uint32_t readers; /* and the cache itself */
    uint64_t used;    /* when it was asked for last */
    uint64_t bytes;
    struct vex_str key;
    uint64_t *sure, *maybe; /* maybe NULL: the index is sure of all */
};

static struct {
    pthread_mutex_t lock;
    struct entry *entries[ENTRIES];
    uint64_t bytes, clock;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* With the lock. */
static void let_go(struct entry *entry)
{
    if (--entry->readers > 0)
        return;
    vex_mem_free(entry->sure);
    vex_mem_free(entry->maybe);
    vex_mem_free((void *)(uintptr_t)entry->key.ptr);
    vex_mem_free(entry);
}

static struct entry *find(uint64_t stamp, uint32_t slots, struct vex_str key)
{
    struct entry *found = NULL;

    pthread_mutex_lock(&cache.lock);
    for (uint32_t i = 0; i < ENTRIES && found == NULL; i++) {
        struct entry *entry = cache.entries[i];
        if (entry != NULL && entry->stamp == stamp && entry->slots == slots && vex_str_eq(entry->key, key))
            found = entry;
    }
    if (found != NULL) {
        found->readers++;
        found->used = ++cache.clock;
    }
    pthread_mutex_unlock(&cache.lock);
    return found;
}

/* With the lock: frees the place of the entry that was asked for least lately, unless one is free. */
static uint32_t make_place(bool by_bytes)
{
    uint32_t place = ENTRIES;
    struct entry *entry;

    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (cache.entries[i] == NULL && !by_bytes)
            return i;
        if (cache.entries[i] != NULL &&
            (place == ENTRIES || cache.entries[i]->used < cache.entries[place]->used))
            place = i;
    }
    if (place == ENTRIES)
        return 0;
    entry = cache.entries[place];
    cache.entries[place] = NULL;
    cache.bytes -= entry->bytes;
    let_go(entry);
    return place;
}

static void insert(struct entry *entry)
{
    pthread_mutex_lock(&cache.lock);
    while (cache.bytes > 0 && cache.bytes + entry->bytes > BYTES_MAX)
        make_place(true);
    cache.entries[make_place(false)] = entry;
    cache.bytes += entry->bytes;
    entry->readers++;
    entry->used = ++cache.clock;
    pthread_mutex_unlock(&cache.lock);
}

static bool any_bit(const uint64_t *bits, size_t words)
{
    uint64_t any = 0;

    for (size_t w = 0; w < words; w++)
        any |= bits[w];
    return any != 0;
}

/* NULL: no memory for it. */
static struct entry *make(const struct vex_index *index, const struct vex_cond *cond, uint32_t slots,
                          struct vex_str key)
{
    size_t words = vex_plan_words(slots), size = (words + 1) * sizeof(uint64_t);
    struct entry *entry = VEX_NEW(struct entry);
    char *bytes = vex_mem_try(key.len + 1);

    *entry = (struct entry){
        .stamp = vex_index_stamp(index), .slots = slots, .readers = 1, .bytes = 2 * size + key.len};
    entry->sure = vex_mem_try(size);
    entry->maybe = vex_mem_try(size);
    entry->key = vex_str(bytes, key.len);
    if (entry->sure == NULL || entry->maybe == NULL || bytes == NULL) {
        let_go(entry);
        return NULL;
    }
    memcpy(bytes, key.ptr, key.len);
    memset(entry->sure, 0, size);
    memset(entry->maybe, 0, size);
    vex_index_match(index, cond, entry->sure, entry->maybe, slots);
    if (!any_bit(entry->maybe, words)) {
        vex_mem_free(entry->maybe);
        entry->maybe = NULL;
        entry->bytes -= size;
    }
    insert(entry);
    return entry;
}

static void unite(const struct entry *entry, uint64_t *sure, uint64_t *maybe)
{
    size_t words = vex_plan_words(entry->slots);

    for (size_t w = 0; w < words; w++)
        sure[w] |= entry->sure[w];
    for (size_t w = 0; entry->maybe != NULL && w < words; w++)
        maybe[w] |= entry->maybe[w];
}

void vex_plan_match_index(struct vex_plan *plan, const struct vex_index *index, const struct vex_cond *cond,
                          uint64_t *sure, uint64_t *maybe)
{
    struct vex_cond only = *cond;
    struct vex_filter filter = {.must = {&only, 1}};
    uint64_t bytes = 2 * vex_plan_words(plan->slots) * sizeof(uint64_t);
    struct entry *entry = NULL;
    struct vex_buf key;

    if (vex_plan_estimate(plan, index, cond).max >= ENTRIES_MIN && bytes <= BYTES_MAX / SHARE_MAX) {
        vex_buf_init(&key, NULL);
        vex_filter_encode(&key, &filter);
        if (vex_buf_str(&key).len <= KEY_MAX) {
            entry = find(vex_index_stamp(index), plan->slots, vex_buf_str(&key));
            if (entry == NULL)
                entry = make(index, cond, plan->slots, vex_buf_str(&key));
        }
        vex_buf_done(&key);
    }
    if (entry == NULL) {
        vex_index_match(index, cond, sure, maybe, plan->slots);
        return;
    }
    unite(entry, sure, maybe);
    pthread_mutex_lock(&cache.lock);
    let_go(entry);
    pthread_mutex_unlock(&cache.lock);
}
