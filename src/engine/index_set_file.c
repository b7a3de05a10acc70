/* Files of payload indexes: one a complete index, `index.<16 hex digits>`, named by a hash of its parameters.
 *
 * Owner     The index set's worker, or the closing thread.
 * Order     A file never knows an operation that the log could still lose: the log is synced before an index is saved.
 * Invariant A file holds what the index held after the operation it names. Since then a slot has changed only if its row is not
 *           live or has a later version, so a file left over from an index of the same parameters is as good as any.
 * Format    docs/disk-format.md, "index file". */
#include <stdio.h>
#include <xxhash.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/index_set_private.h"

#define FORMAT_VERSION 1u
#define HEAD           16u /* magic, version, crc32c of all that follows */
#define FILE_MAX       ((size_t)64 << 30)
#define NAME_LEN       22u /* "index." and 16 digits */
#define SAVE_SHARE     10u /* saved again when more than a tenth of the slots has changed */
#define SAVE_NS        UINT64_C(60000000000)

static const char magic[8] = "VEXINDEX";
static const char prefix[] = "index.";

static void file_name(const struct vex_index_entry *entry, char name[NAME_LEN + 1])
{
    snprintf(name, NAME_LEN + 1, "%s%016llx", prefix,
             (unsigned long long)XXH3_64bits(entry->key.ptr, entry->key.len));
}

void vex_index_file_path(const struct vex_index_set *set, const struct vex_index_entry *entry,
                         char path[VEX_PATH_MAX])
{
    char dir[VEX_PATH_MAX], name[NAME_LEN + 1];

    vex_collection_path(set->collection, dir);
    file_name(entry, name);
    vex_file_join(path, dir, name);
}

void vex_index_file_remove(struct vex_index_set *set, const struct vex_index_entry *entry)
{
    struct vex_io *io = set->collection->engine->io;
    char path[VEX_PATH_MAX];

    vex_index_file_path(set, entry, path);
    (void)io->ops->unlink(io, path); /* one that stays is removed at the next opening */
}

/* ---- reading ---- */

static int decode(struct vex_index_entry *entry, struct vex_str bytes, uint64_t next_op, struct vex_err *err)
{
    struct vex_cursor c = vex_cursor(bytes.ptr, bytes.len);
    const char *head = vex_cursor_bytes(&c, sizeof magic);
    uint32_t version = vex_cursor_u32(&c), crc = vex_cursor_u32(&c);
    struct vex_str key;
    uint64_t op, len;
    int rc;

    if (c.bad || memcmp(head, magic, sizeof magic) != 0 || vex_crc32c(0, c.at, vex_cursor_left(&c)) != crc)
        return vex_err_set(err, VEX_ECORRUPT, "the file is damaged");
    if (version != FORMAT_VERSION)
        return vex_err_set(err, VEX_ECORRUPT, "the file has version %u", version);
    op = vex_cursor_u64(&c);
    len = vex_cursor_u64(&c);
    key = vex_cursor_str32(&c);
    if (c.bad || len != vex_cursor_left(&c))
        return vex_err_set(err, VEX_ECORRUPT, "the file is damaged");
    if (!vex_str_eq(key, entry->key))
        return vex_err_set(err, VEX_ECORRUPT, "the file is of other parameters");
    if (op >= next_op)
        return vex_err_set(err, VEX_ECORRUPT, "the file is newer than the collection");
    rc = vex_index_load(entry->index, &c, err);
    if (rc == 0)
        entry->complete_to = op;
    return rc;
}

bool vex_index_file_load(struct vex_index_set *set, struct vex_index_entry *entry)
{
    struct vex_collection *collection = set->collection;
    char path[VEX_PATH_MAX];
    struct vex_buf bytes;
    struct vex_err err;
    int rc;

    vex_buf_init(&bytes, NULL);
    vex_index_file_path(set, entry, path);
    rc = vex_file_read(collection->engine->io, path, FILE_MAX, &bytes, &err);
    if (rc == 0)
        rc = decode(entry, vex_buf_str(&bytes), atomic_load(&collection->next_op), &err);
    vex_buf_done(&bytes);
    if (rc != 0 && rc != VEX_ENOT_FOUND)
        vex_warn("engine", "payload index on " VEX_STR_FMT " is built anew, %s: %s",
                 VEX_STR_ARG(entry->field), path, err.text);
    return rc == 0;
}

/* ---- tidying ---- */

static bool is_known(void *arg, const char *name)
{
    const struct vex_index_set *set = arg;
    char known[NAME_LEN + 1];

    for (uint32_t i = 0; i < set->count; i++) {
        file_name(set->entries[i], known);
        if (strcmp(name, known) == 0)
            return true;
    }
    return false;
}

void vex_index_file_sweep(struct vex_index_set *set)
{
    vex_collection_sweep(set->collection, prefix, is_known, set);
}

/* ---- writing ---- */

static void encode(const struct vex_index_entry *entry, uint64_t op, struct vex_buf *out)
{
    size_t len_at, body;
    uint64_t len;
    uint32_t crc;

    /* As much as it is in memory, about: growing would copy it over and over while writers wait. */
    vex_buf_reserve(out, vex_index_bytes(entry->index) + HEAD);
    vex_buf_add(out, magic, sizeof magic);
    vex_buf_add_u32(out, FORMAT_VERSION);
    vex_buf_add_u32(out, 0);
    vex_buf_add_u64(out, op);
    len_at = out->len;
    vex_buf_add_u64(out, 0);
    vex_buf_add_str32(out, entry->key);
    body = out->len;
    vex_index_save(entry->index, out);
    len = out->len - body;
    memcpy(out->ptr + len_at, &len, sizeof len);
    crc = vex_crc32c(0, out->ptr + HEAD, out->len - HEAD);
    memcpy(out->ptr + HEAD - 4, &crc, sizeof crc);
}

/* An entry whose saving is wanted, with a reference; NULL: none. */
static struct vex_index_entry *next_wanted(struct vex_index_set *set)
{
    struct vex_index_entry *entry = NULL;

    vex_collection_work_begin(set->collection);
    pthread_mutex_lock(&set->work.lock);
    for (uint32_t i = 0; i < set->count && entry == NULL; i++)
        if (set->entries[i]->ready && set->entries[i]->want_save)
            entry = set->entries[i];
    if (entry != NULL) {
        entry->want_save = false;
        atomic_fetch_add(&entry->refs, 1);
    }
    pthread_mutex_unlock(&set->work.lock);
    vex_collection_work_end(set->collection);
    return entry;
}

static void set_saving(struct vex_index_set *set, bool saving)
{
    pthread_mutex_lock(&set->work.lock);
    set->saving = saving;
    pthread_cond_broadcast(&set->work.changed);
    pthread_mutex_unlock(&set->work.lock);
}

/* What the bytes of an index are complete to. */
struct mark {
    uint64_t op, seq;
};

/* Writer slot; the index then stays as it is while that is held, or `saving` is set. False: not now. */
static bool begin_save(struct vex_index_set *set, struct vex_index_entry *entry, struct mark *ret)
{
    struct vex_collection *collection = set->collection;
    struct vex_err err;

    if (entry->gone || vex_collection_usable(collection, &err) != 0 ||
        vex_collection_whole(collection, &err) != 0)
        return false;
    vex_index_set_follow(set, 0);
    *ret = (struct mark){.op = collection->applied_op, .seq = collection->applied_seq};
    entry->changed = 0;
    entry->saved_ns = vex_io_monotonic_ns(collection->engine->io);
    return true;
}

/* Takes the entry's bytes without the writer slot: writes go on, their slots stay pending. */
static bool encode_aside(struct vex_index_set *set, struct vex_index_entry *entry, struct vex_buf *out,
                         struct mark *ret)
{
    bool ok;

    vex_collection_acquire(set->collection);
    ok = begin_save(set, entry, ret);
    if (ok)
        set_saving(set, true);
    vex_collection_release(set->collection);
    if (!ok)
        return false;
    encode(entry, ret->op, out);
    set_saving(set, false);
    vex_collection_acquire(set->collection);
    vex_index_set_follow(set, 0);
    vex_collection_release(set->collection);
    return true;
}

static void write_file(struct vex_index_set *set, struct vex_index_entry *entry, const struct vex_buf *bytes)
{
    struct vex_collection *collection = set->collection;
    char path[VEX_PATH_MAX], dir[VEX_PATH_MAX];
    struct vex_err err;
    bool gone;
    int rc;

    vex_index_file_path(set, entry, path);
    vex_collection_path(collection, dir);
    rc = vex_file_mkdirs(collection->engine->io, dir, &err);
    if (rc == 0)
        rc = vex_file_replace(collection->engine->io, path, bytes->ptr, bytes->len, &err);
    if (rc != 0)
        vex_warn("engine", "payload index on " VEX_STR_FMT " is not saved: %s", VEX_STR_ARG(entry->field),
                 err.text);
    vex_collection_work_begin(collection);
    gone = entry->gone;
    pthread_mutex_lock(&set->work.lock);
    entry->saved = rc == 0;
    pthread_mutex_unlock(&set->work.lock);
    vex_collection_work_end(collection);
    if (gone)
        vex_index_file_remove(set, entry);
}

bool vex_index_file_save_next(struct vex_index_set *set, bool held)
{
    struct vex_index_entry *entry = next_wanted(set);
    struct vex_buf bytes;
    struct vex_err err;
    struct mark mark;
    bool ok;

    if (entry == NULL)
        return false;
    vex_buf_init(&bytes, NULL);
    ok = held ? begin_save(set, entry, &mark) : encode_aside(set, entry, &bytes, &mark);
    if (ok && held)
        encode(entry, mark.op, &bytes);
    if (ok && vex_engine_sync_log(set->collection->engine, mark.seq, &err) == 0)
        write_file(set, entry, &bytes);
    vex_buf_done(&bytes);
    vex_index_entry_unref(entry);
    return true;
}

/* ---- when ---- */

/* Writer slot. */
static void want(struct vex_index_set *set, bool all)
{
    struct vex_collection *collection = set->collection;
    uint64_t slots = vex_rows_slots(collection->data.rows);
    uint64_t now = vex_io_monotonic_ns(collection->engine->io);

    pthread_mutex_lock(&set->work.lock);
    for (uint32_t i = 0; i < set->count; i++) {
        struct vex_index_entry *entry = set->entries[i];
        bool due = all || entry->changed > slots / SAVE_SHARE || now - entry->saved_ns >= SAVE_NS;

        entry->want_save = entry->want_save || !entry->saved || (entry->changed > 0 && due);
    }
    pthread_mutex_unlock(&set->work.lock);
}

void vex_index_set_checkpointed(struct vex_index_set *set)
{
    if (set == NULL || set->count == 0)
        return;
    want(set, false);
    vex_background_schedule(&set->work);
}

void vex_index_set_save(struct vex_index_set *set)
{
    if (set == NULL || set->count == 0)
        return;
    want(set, true);
    while (vex_index_file_save_next(set, true))
        ;
}
