// SPDX-License-Identifier: GPL-2.0-only
/* Blocks of slots in the page cache. See reader.h. */
#include "uapi/kmod/reader.h"

#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/slab.h>

#include "uapi/kmod/requests.h"

static struct kmem_cache *readers;

/* A cache with a constructor: its objects are not filled with zeros at every request, as others are by default. Nothing of
 * a reader is given out but the numbers of slots found for this request. */
static void construct(void *reader)
{
    memset(reader, 0, sizeof(struct vex_reader));
}

int vex_reader_init(void)
{
    readers = kmem_cache_create_usercopy("vexfs_reader", sizeof(struct vex_reader), 0, SLAB_ACCOUNT,
                                         offsetof(struct vex_reader, slot),
                                         sizeof_field(struct vex_reader, slot), construct);
    return readers ? 0 : -ENOMEM;
}

void vex_reader_exit(void)
{
    kmem_cache_destroy(readers);
}

struct vex_reader *vex_reader_new(const struct vex_store *store)
{
    struct vex_reader *reader = kmem_cache_alloc(readers, GFP_KERNEL);

    if (!reader)
        return NULL;
    reader->store = store;
    reader->count = 0;
    reader->bounce = NULL;
    reader->held_count = reader->held_at = 0;
    return reader;
}

void vex_reader_release(struct vex_reader *reader)
{
    u32 i;

    for (i = 0; i < reader->held_count; i++)
        folio_put(reader->held[i]);
    reader->held_count = reader->held_at = 0;
}

void vex_reader_free(struct vex_reader *reader)
{
    if (!reader)
        return;
    vex_reader_release(reader);
    kvfree(reader->bounce);
    kmem_cache_free(readers, reader);
}

u32 vex_reader_most(const struct vex_store *store)
{
    return clamp(VEX_BLOCK_BYTES / store->shape.stride, 1u, VEX_BLOCK_SLOTS);
}

/* ---- Folios ---- */

/* Slots from the i-th on that follow one another in the file. */
static u32 run_of(const struct vex_reader *reader, u32 i)
{
    u32 j = i + 1;

    if (reader->slot[reader->count - 1] - reader->slot[i] == reader->count - 1 - i)
        return reader->count - i;
    while (j < reader->count && reader->slot[j] == reader->slot[j - 1] + 1)
        j++;
    return j - i;
}

static void fetch(struct vex_reader *reader, pgoff_t first, pgoff_t last)
{
    struct folio_batch batch;
    unsigned int i;

    if (reader->held_count + PAGEVEC_SIZE > VEX_HELD_MAX)
        return;
    folio_batch_init(&batch);
    filemap_get_folios(reader->store->file->f_mapping, &first, last, &batch);
    for (i = 0; i < folio_batch_count(&batch); i++)
        reader->held[reader->held_count++] = batch.folios[i];
}

static bool usable(struct folio *folio)
{
    if (!folio_test_uptodate(folio) || PageHWPoison(&folio->page))
        return false;
    return !folio_test_large(folio) || !folio_test_has_hwpoisoned(folio);
}

/* The folio of a page, NULL if it is not in memory. Pages are asked for in ascending order. */
static struct folio *folio_of(struct vex_reader *reader, pgoff_t page, u32 i)
{
    bool fetched = false;

    for (;;) {
        while (reader->held_at < reader->held_count) {
            struct folio *folio = reader->held[reader->held_at];

            if (page < folio->index)
                return NULL;
            if (page < folio->index + folio_nr_pages(folio))
                return usable(folio) ? folio : NULL;
            reader->held_at++;
        }
        if (fetched)
            return NULL;
        fetched = true;
        fetch(reader, page,
              (pgoff_t)((vex_store_offset(reader->store, (u64)reader->slot[i] + run_of(reader, i)) - 1) >>
                        PAGE_SHIFT));
    }
}

/* ---- Slots ---- */

static u8 *bounce_of(struct vex_reader *reader, u32 i)
{
    u32 stride = reader->store->shape.stride;

    if (!reader->bounce)
        reader->bounce = kvmalloc(max(VEX_BLOCK_BYTES, stride), GFP_KERNEL_ACCOUNT);
    return reader->bounce ? reader->bounce + (size_t)i * stride : NULL;
}

/* A slot that lies in several folios; false: not all of them are in memory. */
static bool gather(struct vex_reader *reader, u32 i, loff_t at, u8 *to)
{
    size_t left = reader->store->shape.stride;

    while (left > 0) {
        struct folio *folio = folio_of(reader, (pgoff_t)(at >> PAGE_SHIFT), i);
        size_t from, size;

        if (!folio)
            return false;
        from = (size_t)(at - folio_pos(folio));
        size = min(left, folio_size(folio) - from);
        memcpy(to, (const u8 *)folio_address(folio) + from, size);
        to += size;
        at += (loff_t)size;
        left -= size;
    }
    return true;
}

/* Reads the i-th slot and those that follow it in the file. Returns how many there were. */
static int read_run(struct vex_reader *reader, u32 i, u8 *to)
{
    u32 run = run_of(reader, i), j, stride = reader->store->shape.stride;
    ssize_t n = vex_file_read(reader->store->file, to, (size_t)run * stride,
                              vex_store_offset(reader->store, reader->slot[i]));

    if (n < 0)
        return (int)n;
    run = (u32)((size_t)n / stride);
    for (j = 0; j < run; j++)
        reader->at[i + j] = to + (size_t)j * stride;
    return (int)run;
}

/* Points at the slots from the i-th on that lie wholly in a folio; the first that does not. */
static u32 point(struct vex_reader *reader, u32 i, struct folio *folio)
{
    const u8 *base = folio_address(folio);
    loff_t start = folio_pos(folio);
    size_t size = folio_size(folio), stride = reader->store->shape.stride;

    for (; i < reader->count; i++) {
        size_t from = (size_t)(vex_store_offset(reader->store, reader->slot[i]) - start);

        if (from + stride > size)
            break;
        reader->at[i] = base + from;
    }
    return i;
}

int vex_reader_fill(struct vex_reader *reader)
{
    u32 i = 0, pointed;

    while (i < reader->count) {
        loff_t at = vex_store_offset(reader->store, reader->slot[i]);
        struct folio *folio = folio_of(reader, (pgoff_t)(at >> PAGE_SHIFT), i);
        u8 *to;
        int n;

        pointed = folio ? point(reader, i, folio) : i;
        if (pointed > i) {
            i = pointed;
            continue;
        }
        to = bounce_of(reader, i);
        if (!to)
            return -ENOMEM;
        if (folio && gather(reader, i, at, to)) {
            reader->at[i++] = to;
            continue;
        }
        n = read_run(reader, i, to);
        if (n < 0)
            return n;
        if (n == 0)
            reader->count = i; /* the file was cut short */
        i += (u32)n;
    }
    return 0;
}

/* ---- Copies to user space ---- */

/* Slots that follow one another, folio by folio, wherever their borders are. 0: not all of them are in memory. */
static int copy_run(struct vex_reader *reader, u8 __user *to)
{
    loff_t at = vex_store_offset(reader->store, reader->slot[0]);
    loff_t end = vex_store_offset(reader->store, (u64)reader->slot[0] + reader->count);

    while (at < end) {
        struct folio *folio = folio_of(reader, (pgoff_t)(at >> PAGE_SHIFT), 0);
        size_t from, size;

        if (!folio)
            return 0;
        from = (size_t)(at - folio_pos(folio));
        size = min_t(u64, (u64)(end - at), folio_size(folio) - from);
        if (copy_to_user(to, (const u8 *)folio_address(folio) + from, size))
            return -EFAULT;
        to += size;
        at += (loff_t)size;
    }
    return 1;
}

static int copy_each(const struct vex_reader *reader, u8 __user *to)
{
    size_t stride = reader->store->shape.stride;
    u32 i = 0, run;

    for (; i < reader->count; i += run) {
        for (run = 1; i + run < reader->count; run++)
            if (reader->at[i + run] != (const u8 *)reader->at[i] + run * stride)
                break;
        if (copy_to_user(to + i * stride, reader->at[i], run * stride))
            return -EFAULT;
    }
    return 0;
}

int vex_reader_copy(struct vex_reader *reader, void __user *to)
{
    int rc = 0;

    if (reader->count == 0)
        return 0;
    if (run_of(reader, 0) == reader->count)
        rc = copy_run(reader, to);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    vex_reader_release(reader);
    rc = vex_reader_fill(reader);
    return rc == 0 ? copy_each(reader, to) : rc;
}

/* ---- Walk over a bitmap ---- */

void vex_walk_init(struct vex_walk *walk, u64 allow, u64 at, u64 end)
{
    walk->allow = allow;
    walk->at = at;
    walk->end = end;
    walk->count = 0;
    walk->first_word = 0;
    walk->words = NULL;
}

void vex_walk_done_with(struct vex_walk *walk)
{
    kfree(walk->words);
    walk->words = NULL;
}

/* The words from the present one on. */
static int load_words(struct vex_walk *walk)
{
    u64 first = walk->at / 64, last = (walk->end - 1) / 64;
    u32 count = (u32)min_t(u64, last - first + 1, VEX_WALK_WORDS);

    walk->count = 0;
    if (!walk->words)
        walk->words = kmalloc_array(VEX_WALK_WORDS, sizeof(u64), GFP_KERNEL_ACCOUNT);
    if (!walk->words)
        return -ENOMEM;
    if (copy_from_user(walk->words, vex_user(walk->allow, first * sizeof(u64)), count * sizeof(u64)))
        return -EFAULT;
    walk->first_word = first;
    walk->count = count;
    return 0;
}

int vex_walk_next(struct vex_walk *walk, u32 max, u32 *slots, u32 *ret)
{
    u32 count = 0;

    *ret = 0;
    if (!walk->allow) {
        while (count < max && walk->at < walk->end)
            slots[count++] = (u32)walk->at++;
        *ret = count;
        return 0;
    }
    if (!vex_walk_done(walk) &&
        (walk->at / 64 < walk->first_word || walk->at / 64 >= walk->first_word + walk->count)) {
        int rc = load_words(walk);

        if (rc < 0)
            return rc;
    }
    while (count < max && walk->at < walk->end && walk->at / 64 < walk->first_word + walk->count) {
        u64 word = walk->words[walk->at / 64 - walk->first_word] >> (walk->at % 64);

        if (word == 0) {
            walk->at = (walk->at / 64 + 1) * 64;
            continue;
        }
        walk->at += __ffs(word);
        if (walk->at < walk->end)
            slots[count++] = (u32)walk->at++;
    }
    *ret = count;
    return 0;
}
