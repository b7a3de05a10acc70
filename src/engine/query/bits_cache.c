/* Kept bitmaps: a few entries for the process, the one that was asked for least lately goes first. See bits_cache.h.
 *
 * Memory     BYTES_MAX; an entry in use is freed by its last reader.
 * Admission  What is asked for once isn't kept (who keeps it decides): of tenants each has a filter of its own. Asked keys are
 *            remembered as hashes.
 * Lock       Its own, never held while bits are made. */
#include "engine/query/bits_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <xxhash.h>

#include "base/mem.h"

#define ENTRIES   64u
#define BYTES_MAX (UINT64_C(32) << 20)
#define SHARE_MAX 4u    /* an entry takes one part in so many of that at most */
#define KEY_MAX   1024u /* bytes that are worth comparing */
#define ASKED     1024u /* keys remembered */

struct entry {
    struct vex_kept_bits bits; /* first: a reader's pointer is the entry's */
    struct vex_bits_key key;
    uint64_t hash;
    uint32_t readers; /* and the cache itself */
    uint64_t used;    /* when it was asked for last */
    uint64_t bytes;
};

static struct {
    pthread_mutex_t lock;
    struct entry *entries[ENTRIES];
    uint64_t bytes, clock;
    _Atomic uint64_t ids;
    uint64_t asked[ASKED];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* With the lock. */
static void let_go(struct entry *entry)
{
    if (--entry->readers > 0)
        return;
    vex_mem_free((void *)(uintptr_t)entry->bits.sure);
    vex_mem_free((void *)(uintptr_t)entry->bits.maybe);
    vex_mem_free((void *)(uintptr_t)entry->key.what.ptr);
    vex_mem_free(entry);
}

static uint64_t hash_of(const struct vex_bits_key *key)
{
    return XXH3_64bits_withSeed(key->what.ptr, key->what.len, key->stamp ^ (uint64_t)key->slots << 32);
}

static bool is_same(const struct vex_bits_key *a, const struct vex_bits_key *b)
{
    return a->stamp == b->stamp && a->slots == b->slots && vex_str_eq(a->what, b->what);
}

bool vex_bits_cache_takes(uint32_t slots)
{
    return ((uint64_t)slots + 63) / 64 * 2 * sizeof(uint64_t) <= BYTES_MAX / SHARE_MAX;
}

const struct vex_kept_bits *vex_bits_cache_find(const struct vex_bits_key *key, bool *ret_again)
{
    uint64_t hash = hash_of(key), *asked = &cache.asked[hash % ASKED];
    struct entry *found = NULL;

    *ret_again = false;
    if (key->what.len > KEY_MAX)
        return NULL;
    pthread_mutex_lock(&cache.lock);
    for (uint32_t i = 0; i < ENTRIES && found == NULL; i++) {
        struct entry *entry = cache.entries[i];
        if (entry != NULL && entry->hash == hash && is_same(&entry->key, key))
            found = entry;
    }
    if (found != NULL) {
        found->readers++;
        found->used = ++cache.clock;
    }
    *ret_again = *asked == hash;
    *asked = hash;
    pthread_mutex_unlock(&cache.lock);
    return found != NULL ? &found->bits : NULL;
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

const struct vex_kept_bits *vex_bits_cache_put(const struct vex_bits_key *key, struct vex_kept_bits bits)
{
    uint64_t size = ((uint64_t)key->slots + 63) / 64 * sizeof(uint64_t);
    struct entry *entry = vex_mem_try(sizeof *entry);
    char *what = vex_mem_try(key->what.len + 1);

    if (entry == NULL || what == NULL) {
        vex_mem_free(entry);
        vex_mem_free(what);
        return NULL;
    }
    memcpy(what, key->what.ptr, key->what.len);
    *entry = (struct entry){.bits = bits,
                            .key = {key->stamp, key->slots, vex_str(what, key->what.len)},
                            .hash = hash_of(key),
                            .readers = 1,
                            .bytes = (bits.maybe != NULL ? 2 : 1) * size + key->what.len};
    entry->bits.id = atomic_fetch_add_explicit(&cache.ids, 1, memory_order_relaxed);
    if (vex_bits_cache_takes(key->slots) && key->what.len <= KEY_MAX)
        insert(entry);
    return &entry->bits;
}

void vex_kept_bits_drop(const struct vex_kept_bits *kept)
{
    if (kept == NULL)
        return;
    pthread_mutex_lock(&cache.lock);
    let_go((struct entry *)(uintptr_t)kept);
    pthread_mutex_unlock(&cache.lock);
}
