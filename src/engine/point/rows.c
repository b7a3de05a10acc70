/* Rows: see rows.h.
 *
 * Role      Row states, bitmaps, taking slots, publishing, checkpoints. The map from ids is in rows_ids.c,
 *           orders are in rows_order.c, slots of groups in rows_extents.c.
 * Lock      As in rows.h.
 * Invariant A slot below `end` is in exactly one of: live, dying, free, kept for a group, taken by the writer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "engine/point/rows_private.h"

/* From so many slots on a contiguous run is worth looking for. */
#define RUN_MIN 64u
/* Scattered free slots are taken by large takes too when they are more than one slot in so many. */
#define SCATTER_SHARE 4u

static const uint64_t no_slots[1];

static size_t words_for(uint64_t slots)
{
    return (size_t)(slots + 63) / 64;
}

static size_t grown(size_t words, size_t need)
{
    return words + words / 2 > need ? words + words / 2 : need;
}

int vex_rows_free_reserve(struct vex_rows *rows, uint64_t slots)
{
    size_t need = words_for(slots);
    if (need <= rows->free_words)
        return vex_rows_extents_reserve(rows);
    size_t want = grown(rows->free_words, need);
    uint64_t *wide = vex_mem_longer(rows->free, rows->free_words * sizeof *wide, want * sizeof *wide);
    if (wide == NULL)
        return VEX_ENO_MEMORY;
    vex_mem_free(rows->free);
    rows->free = wide;
    rows->free_words = want;
    return vex_rows_extents_reserve(rows);
}

/* All bitmaps or none: they have one width. */
static int reserve_bitmaps(struct vex_rows *rows, uint64_t slots)
{
    size_t need = words_for(slots), count = 0;
    if (need <= rows->words)
        return 0;
    size_t want = grown(rows->words, need);
    uint64_t **maps[VEX_VECTORS_MAX + 2], *wide[VEX_VECTORS_MAX + 2];
    maps[count++] = &rows->live;
    maps[count++] = &rows->dying;
    for (size_t i = 0; i < VEX_VECTORS_MAX; i++)
        if (rows->present[i] != NULL)
            maps[count++] = &rows->present[i];
    for (size_t i = 0; i < count; i++) {
        wide[i] = vex_mem_longer(*maps[i], rows->words * sizeof **maps[i], want * sizeof **maps[i]);
        if (wide[i] != NULL)
            continue;
        while (i > 0)
            vex_mem_free(wide[--i]);
        return VEX_ENO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        vex_mem_free(*maps[i]);
        *maps[i] = wide[i];
    }
    rows->words = want;
    return 0;
}

static void set_present(struct vex_rows *rows, uint32_t slot, uint64_t vectors)
{
    for (uint64_t rest = vectors; rest != 0; rest &= rest - 1) {
        int ordinal = __builtin_ctzll(rest);
        uint64_t **bits = &rows->present[ordinal];
        if (*bits == NULL)
            *bits = vex_mem_zalloc(rows->words * sizeof **bits);
        rows->present_count[ordinal] += !vex_bit(*bits, slot);
        vex_bit_set(*bits, slot);
    }
}

static void clear_present(struct vex_rows *rows, uint32_t slot, uint64_t vectors)
{
    for (uint64_t rest = vectors; rest != 0; rest &= rest - 1) {
        int ordinal = __builtin_ctzll(rest);
        rows->present_count[ordinal] -= vex_bit(rows->present[ordinal], slot);
        vex_bit_clear(rows->present[ordinal], slot);
    }
}

static void give_back(struct vex_rows *rows, uint32_t slot)
{
    vex_bit_set(rows->free, slot);
    rows->free_count++;
    if (slot / 64 < rows->free_from)
        rows->free_from = slot / 64;
}

/* NULL, or what is wrong with a row that comes from the disk. */
static const char *fault_of(const struct vex_rows *rows, const struct vex_row *row)
{
    if (row->state > VEX_ROW_DEAD)
        return "an unknown state";
    if (row->state != VEX_ROW_LIVE)
        return NULL;
    if (row->id_kind > VEX_ID_TEXT)
        return "an unknown kind of id";
    if (row->birth == 0 || row->birth > rows->births)
        return "an impossible birth";
    if (row->id_kind != VEX_ID_TEXT)
        return NULL;
    if (row->id[1] > VEX_ID_TEXT_MAX ||
        vex_heap_get(rows->heap, row->id[0], (uint32_t)row->id[1]).ptr == NULL)
        return "an id that is damaged in the heap";
    return NULL;
}

/* ---- loading ---- */

/* Pieces of the table, which may be loaded at once. Each has bits in words of its own. */
struct loading {
    struct vex_share share;
    struct vex_rows *rows;
    pthread_mutex_t lock; /* of all below, of groups and of bitmaps that are made */
    uint64_t live, unused, present[VEX_VECTORS_MAX];
    int code;
    uint32_t failed; /* the first piece of those that have */
    struct vex_err *err;
};

#define PIECE_PAGES 512u
_Static_assert(PIECE_PAGES *VEX_ROWS_PER_PAGE % 64 == 0, "");

struct load_piece {
    struct loading *loading;
    uint64_t live, unused, present[VEX_VECTORS_MAX];
    uint64_t *maps[VEX_VECTORS_MAX]; /* those of the rows, once they were asked for */
};

/* The bits of a page's rows, into a bitmap. */
static void add_bits(uint64_t *map, uint32_t first, uint64_t bits)
{
    map[first / 64] |= bits << (first % 64);
    if (first % 64 != 0 && bits >> (64 - first % 64) != 0)
        map[first / 64 + 1] |= bits >> (64 - first % 64);
}

static uint64_t *present_map(struct load_piece *piece, uint32_t ordinal)
{
    struct vex_rows *rows = piece->loading->rows;

    if (piece->maps[ordinal] == NULL) {
        pthread_mutex_lock(&piece->loading->lock);
        if (rows->present[ordinal] == NULL)
            rows->present[ordinal] = vex_mem_zalloc(rows->words * sizeof *rows->present[ordinal]);
        piece->maps[ordinal] = rows->present[ordinal];
        pthread_mutex_unlock(&piece->loading->lock);
    }
    return piece->maps[ordinal];
}

static void add_groups(struct load_piece *piece, const struct vex_row *row, uint32_t count)
{
    pthread_mutex_lock(&piece->loading->lock);
    for (uint32_t i = 0; i < count; i++)
        if (row[i].group != 0)
            vex_rows_extents_found(piece->loading->rows, row[i].group, row[i].state == VEX_ROW_LIVE);
    pthread_mutex_unlock(&piece->loading->lock);
}

/* What the rows of a page have. */
struct page_bits {
    uint64_t live, any, all; /* slots; vectors of some live row, of every one */
    uint16_t groups;
};

static int look_at_rows(const struct vex_rows *rows, const struct vex_row *row, uint64_t first,
                        uint32_t count, struct page_bits *ret, struct vex_err *err)
{
    *ret = (struct page_bits){.all = UINT64_MAX};
    for (uint32_t i = 0; i < count; i++) {
        const char *fault = fault_of(rows, &row[i]);
        if (fault != NULL)
            return vex_err_set(err, VEX_ECORRUPT, "%s: row %llu has %s", rows->table.path,
                               (unsigned long long)first + i, fault);
        ret->groups |= row[i].group;
        if (row[i].state != VEX_ROW_LIVE)
            continue;
        ret->live |= UINT64_C(1) << i;
        ret->any |= row[i].vectors;
        ret->all &= row[i].vectors;
    }
    return 0;
}

/* A sound page of the table: faults of its rows, and their bits. */
static int load_page(void *arg, const char *page, uint64_t index, struct vex_err *err)
{
    struct load_piece *piece = arg;
    struct vex_rows *rows = piece->loading->rows;
    uint64_t first = index * VEX_ROWS_PER_PAGE;
    const struct vex_row *row = (const struct vex_row *)(const void *)page;
    struct page_bits bits;

    if (first >= rows->slots)
        return 0;
    uint32_t count =
        rows->slots - first < VEX_ROWS_PER_PAGE ? (uint32_t)(rows->slots - first) : VEX_ROWS_PER_PAGE;
    int r = look_at_rows(rows, row, first, count, &bits, err);
    if (r != 0)
        return r;
    if (bits.groups != 0)
        add_groups(piece, row, count);
    uint64_t unused = ~bits.live & (UINT64_MAX >> (64 - count));
    add_bits(rows->live, (uint32_t)first, bits.live);
    add_bits(rows->free, (uint32_t)first, unused);
    piece->live += (uint64_t)__builtin_popcountll(bits.live);
    piece->unused += (uint64_t)__builtin_popcountll(unused);
    for (uint64_t rest = bits.any; rest != 0; rest &= rest - 1) {
        uint32_t ordinal = (uint32_t)__builtin_ctzll(rest);
        uint64_t with = bits.live;
        for (uint32_t i = 0; i < count && (bits.all >> ordinal & 1) == 0; i++)
            with &= ~((~row[i].vectors >> ordinal & 1) << i);
        add_bits(present_map(piece, ordinal), (uint32_t)first, with);
        piece->present[ordinal] += (uint64_t)__builtin_popcountll(with);
    }
    return 0;
}

static void load_piece(struct vex_share *share, uint32_t nth)
{
    struct loading *loading = VEX_CONTAINER_OF(share, struct loading, share);
    struct load_piece piece = {.loading = loading};
    struct vex_err err;
    int r = vex_table_verify_range(&loading->rows->table, (uint64_t)nth * PIECE_PAGES, PIECE_PAGES, load_page,
                                   &piece, &err);

    pthread_mutex_lock(&loading->lock);
    loading->live += piece.live;
    loading->unused += piece.unused;
    for (size_t i = 0; i < VEX_VECTORS_MAX; i++)
        loading->present[i] += piece.present[i];
    if (r != 0 && (loading->code == 0 || nth < loading->failed)) {
        loading->code = r;
        loading->failed = nth;
        *loading->err = err;
    }
    pthread_mutex_unlock(&loading->lock);
}

static int load_pieces(struct vex_rows *rows, struct vex_pool *pool, struct vex_err *err)
{
    struct loading loading = {.rows = rows, .err = err};

    loading.share = (struct vex_share){
        .piece = load_piece, .count = (uint32_t)((rows->table.on_disk + PIECE_PAGES - 1) / PIECE_PAGES)};
    pthread_mutex_init(&loading.lock, NULL);
    if (pool != NULL)
        vex_pool_share(pool, &loading.share);
    for (uint32_t i = 0; pool == NULL && i < loading.share.count; i++)
        load_piece(&loading.share, i);
    pthread_mutex_destroy(&loading.lock);
    rows->live_count = loading.live;
    rows->free_count = loading.unused;
    memcpy(rows->present_count, loading.present, sizeof loading.present);
    return loading.code;
}

static int load(struct vex_rows *rows, const struct vex_rows_sizes *sizes, struct vex_pool *pool,
                struct vex_err *err)
{
    const char *path = rows->table.path;

    if (sizes->slots > VEX_SLOTS_MAX || sizes->slots > vex_table_capacity(&rows->table) ||
        sizes->live > sizes->slots)
        return vex_err_set(err, VEX_ECORRUPT, "%s: its sizes in the manifest do not fit", path);
    if (reserve_bitmaps(rows, sizes->slots) != 0 || vex_rows_free_reserve(rows, sizes->slots) != 0)
        return vex_err_set(err, VEX_ENO_MEMORY, "no memory for %s", path);
    rows->births = sizes->births;
    rows->slots = rows->end = (uint32_t)sizes->slots;
    int r = load_pieces(rows, pool, err);
    if (r == 0 && rows->live_count != sizes->live)
        return vex_err_set(err, VEX_ECORRUPT, "%s has %llu live rows, the manifest says %llu", path,
                           (unsigned long long)rows->live_count, (unsigned long long)sizes->live);
    if (r == 0 && vex_rows_extents_reserve(rows) != 0)
        return vex_err_set(err, VEX_ENO_MEMORY, "no memory for %s", path);
    if (r == 0)
        vex_rows_extents_settle(rows);
    return r;
}

int vex_rows_open(struct vex_io *io, struct vex_pool *pool, const char *dir,
                  const struct vex_rows_sizes *sizes, struct vex_heap *heap, struct vex_rows **ret,
                  struct vex_err *err)
{
    struct vex_rows *rows = VEX_NEW(struct vex_rows);
    char path[VEX_PATH_MAX];

    rows->io = io;
    rows->heap = heap;
    pthread_mutex_init(&rows->ids_lock, NULL);
    vex_rows_orders_init(rows);
    vex_rows_touch(rows);
    vex_file_join(path, dir, "rows.tbl");
    int r =
        vex_table_map(&rows->table, io, path, VEX_TABLE_ROWS, sizeof(struct vex_row), sizes->row_pages, err);
    if (r == 0)
        r = load(rows, sizes, pool, err);
    if (r == 0)
        r = vex_rows_ids_open(rows, vex_file_join(path, dir, "ids.tbl"), sizes->id_pages, err);
    if (r != 0) {
        vex_rows_close(rows);
        return r;
    }
    *ret = rows;
    return 0;
}

void vex_rows_close(struct vex_rows *rows)
{
    if (rows == NULL)
        return;
    vex_table_close(&rows->table);
    vex_table_close(&rows->ids);
    vex_table_close(&rows->ids_next);
    vex_table_close(&rows->ids_old);
    pthread_mutex_destroy(&rows->ids_lock);
    vex_rows_orders_done(rows);
    vex_mem_free(rows->live);
    vex_mem_free(rows->dying);
    vex_mem_free(rows->free);
    vex_rows_extents_done(rows);
    for (size_t i = 0; i < VEX_VECTORS_MAX; i++)
        vex_mem_free(rows->present[i]);
    vex_mem_free(rows);
}

uint64_t vex_rows_live_count(const struct vex_rows *rows)
{
    return rows->live_count;
}

uint32_t vex_rows_slots(const struct vex_rows *rows)
{
    return rows->slots;
}

const struct vex_row *vex_rows_at(const struct vex_rows *rows, uint32_t slot)
{
    return vex_row_at(rows, slot);
}

struct vex_id vex_rows_id(const struct vex_rows *rows, uint32_t slot)
{
    const struct vex_row *row = vex_row_at(rows, slot);
    struct vex_id id = {.kind = row->id_kind};

    if (id.kind == VEX_ID_NUM)
        id.num = row->id[0];
    else if (id.kind == VEX_ID_UUID)
        memcpy(id.uuid, row->id, sizeof id.uuid);
    else
        id.text = vex_heap_peek(rows->heap, row->id[0], (uint32_t)row->id[1]);
    return id;
}

const uint64_t *vex_rows_live(const struct vex_rows *rows)
{
    return rows->live != NULL ? rows->live : no_slots;
}

const uint64_t *vex_rows_present(const struct vex_rows *rows, uint32_t ordinal)
{
    return ordinal < VEX_VECTORS_MAX ? rows->present[ordinal] : NULL;
}

uint64_t vex_rows_present_count(const struct vex_rows *rows, uint32_t ordinal)
{
    return ordinal < VEX_VECTORS_MAX ? rows->present_count[ordinal] : 0;
}

uint64_t vex_rows_unused(const struct vex_rows *rows)
{
    return rows->free_count + rows->extents.kept;
}

/* First of `count` consecutive free slots. */
static bool find_run(const struct vex_rows *rows, uint32_t count, uint32_t *ret)
{
    uint32_t at = vex_bit_next(rows->free, rows->free_words, (uint32_t)rows->free_from * 64);

    while (at != VEX_SLOT_NONE) {
        uint32_t len = 0;
        while (len < count && at + len < rows->end) {
            uint32_t slot = at + len;
            if (slot % 64 == 0 && rows->free[slot / 64] == UINT64_MAX && count - len >= 64)
                len += 64;
            else if (vex_bit(rows->free, slot))
                len++;
            else
                break;
        }
        if (len >= count) {
            *ret = at;
            return true;
        }
        at = vex_bit_next(rows->free, rows->free_words, at + len);
    }
    return false;
}

static void take_free(struct vex_rows *rows, uint32_t from, uint32_t count, uint32_t *ret_slots)
{
    uint32_t slot = from;

    for (uint32_t i = 0; i < count; i++) {
        slot = vex_bit_next(rows->free, rows->free_words, slot);
        vex_bit_clear(rows->free, slot);
        ret_slots[i] = slot;
    }
    rows->free_count -= count;
    while (rows->free_from < rows->free_words && rows->free[rows->free_from] == 0)
        rows->free_from++;
}

int vex_rows_take_plain(struct vex_rows *rows, uint32_t count, uint32_t *ret_slots)
{
    uint32_t reuse = rows->free_count < count ? (uint32_t)rows->free_count : count, from = 0;

    if (count == 0)
        return 0;
    if (count >= RUN_MIN && (reuse < count || !find_run(rows, count, &from)) &&
        (reuse < count || rows->free_count < rows->end / SCATTER_SHARE))
        reuse = 0;
    if (count - reuse > VEX_SLOTS_MAX - rows->end)
        return VEX_ETOO_LARGE;
    int r = vex_rows_free_reserve(rows, (uint64_t)rows->end + count - reuse);
    if (r != 0)
        return r;
    take_free(rows, from, reuse, ret_slots);
    for (uint32_t i = reuse; i < count; i++)
        ret_slots[i] = rows->end++;
    return 0;
}

int vex_rows_take(struct vex_rows *rows, uint32_t count, uint32_t *ret_slots)
{
    /* Who asks here knows of no groups: nothing is kept for any. */
    if (rows->extents.kept > 0)
        vex_rows_extents_release(rows);
    int r = vex_rows_take_plain(rows, count, ret_slots);
    if (r == 0)
        vex_rows_extents_note_plain(rows, count, ret_slots);
    return r;
}

void vex_rows_give_back(struct vex_rows *rows, uint32_t slot)
{
    if (slot + 1 == rows->end && rows->end > rows->slots)
        rows->end--;
    else
        give_back(rows, slot);
}

void vex_rows_untake(struct vex_rows *rows, uint32_t count, const uint32_t *slots)
{
    if (rows->extents.groups != NULL) {
        vex_rows_extents_untake(rows, count, slots);
        return;
    }
    for (uint32_t i = count; i-- > 0;)
        vex_rows_give_back(rows, slots[i]);
}

int vex_rows_prepare(struct vex_rows *rows, uint32_t more)
{
    return vex_rows_ids_prepare(rows, rows->live_count + more);
}

int vex_rows_reserve(struct vex_rows *rows, uint32_t slots, uint32_t more)
{
    int r = vex_table_grow(&rows->table, slots);
    if (r == 0)
        r = reserve_bitmaps(rows, slots);
    if (r == 0)
        r = vex_rows_free_reserve(rows, slots);
    if (r == 0)
        r = vex_rows_ids_reserve(rows, rows->live_count + more);
    if (r == 0)
        r = vex_rows_orders_reserve(rows, more);
    return r;
}

static void bury(struct vex_rows *rows, uint32_t slot)
{
    struct vex_row *row = vex_table_touch(&rows->table, slot);
    row->state = VEX_ROW_DEAD;
    vex_bit_clear(rows->live, slot);
    vex_bit_set(rows->dying, slot);
    clear_present(rows, slot, row->vectors);
    vex_rows_extents_count(rows, row->group, false);
    rows->live_count--;
}

uint64_t vex_rows_stamp(const struct vex_rows *rows)
{
    return rows->stamp;
}

void vex_rows_touch(struct vex_rows *rows)
{
    static _Atomic uint64_t given;

    rows->stamp = atomic_fetch_add_explicit(&given, 1, memory_order_relaxed) + 1;
}

uint32_t vex_rows_publish(struct vex_rows *rows, uint32_t slot, const struct vex_row *row)
{
    struct vex_row *at = vex_table_touch(&rows->table, slot);
    vex_rows_touch(rows);
    *at = *row;
    at->state = VEX_ROW_LIVE;
    if (rows->extents.groups == NULL)
        at->group = 0; /* taken without regard to groups */
    vex_rows_extents_count(rows, at->group, true);
    struct vex_id id = vex_rows_id(rows, slot);
    uint32_t older = vex_rows_ids_put(rows, &id, slot);

    if (older != VEX_SLOT_NONE) {
        if (at->birth == 0)
            at->birth = vex_row_at(rows, older)->birth;
        bury(rows, older);
    } else if (at->birth == 0) {
        at->birth = rows->births + 1;
    }
    if (at->birth > rows->births)
        rows->births = at->birth;
    vex_bit_set(rows->live, slot);
    set_present(rows, slot, at->vectors);
    rows->live_count++;
    if (slot >= rows->slots)
        rows->slots = slot + 1;
    if (slot >= rows->end)
        rows->end = slot + 1;
    vex_rows_orders_add(rows, slot);
    return older;
}

void vex_rows_update(struct vex_rows *rows, uint32_t slot, const struct vex_row *row)
{
    struct vex_row *at = vex_table_touch(&rows->table, slot);

    vex_rows_touch(rows);
    clear_present(rows, slot, at->vectors & ~row->vectors);
    set_present(rows, slot, row->vectors & ~at->vectors);
    at->version = row->version;
    at->blob = row->blob;
    at->blob_len = row->blob_len;
    at->vectors = row->vectors;
    at->norm = row->norm;
    at->check = row->check;
}

void vex_rows_delete(struct vex_rows *rows, uint32_t slot)
{
    vex_rows_touch(rows);
    vex_rows_ids_remove(rows, slot);
    bury(rows, slot);
}

uint32_t vex_rows_tables(struct vex_rows *rows, struct vex_table *ret[4])
{
    vex_rows_ids_settle(rows);
    vex_rows_extents_mark(rows);
    ret[0] = &rows->table;
    ret[1] = &rows->ids;
    return 2;
}

void vex_rows_sizes(const struct vex_rows *rows, struct vex_rows_sizes *ret)
{
    vex_rows_ids_settle(rows);
    *ret = (struct vex_rows_sizes){
        .slots = rows->slots,
        .live = rows->live_count,
        .births = rows->births,
        .row_pages = rows->table.pages,
        .id_pages = rows->ids.pages,
    };
}

void vex_rows_settle(struct vex_rows *rows)
{
    bool any = false;

    for (uint32_t slot = vex_bit_next(rows->dying, rows->words, 0); slot != VEX_SLOT_NONE;
         slot = vex_bit_next(rows->dying, rows->words, slot + 1)) {
        give_back(rows, slot);
        any = true;
    }
    if (any) {
        memset(rows->dying, 0, rows->words * sizeof *rows->dying);
        vex_rows_orders_purge(rows);
    }
    vex_rows_extents_settle(rows);
}

/* A map of ids that is not settled may be written by readers. */
void vex_rows_evict(struct vex_rows *rows)
{
    vex_table_evict(&rows->table);
    if (atomic_load(&rows->ids_settled))
        vex_table_evict(&rows->ids);
}

/* NULL, or what is wrong with a slot. */
static const char *slot_fault(const struct vex_rows *rows, uint32_t slot)
{
    const struct vex_row *row = vex_row_at(rows, slot);
    bool live = vex_bit(rows->live, slot), reusable = vex_bit(rows->free, slot),
         dying = vex_bit(rows->dying, slot);

    if (live != (row->state == VEX_ROW_LIVE))
        return "a state unlike its bit";
    if (live + reusable + dying > 1)
        return "more than one use";
    for (uint32_t i = 0; i < VEX_VECTORS_MAX; i++)
        if ((rows->present[i] != NULL && vex_bit(rows->present[i], slot)) !=
            (live && (row->vectors >> i & 1) != 0))
            return "vectors unlike its bits";
    if (!live)
        return NULL;
    struct vex_id id = vex_rows_id(rows, slot);
    if (vex_rows_find(rows, &id) != slot)
        return "an id that does not lead to it";
    return fault_of(rows, row);
}

int vex_rows_check(struct vex_rows *rows, struct vex_err *err)
{
    uint64_t live = 0, reusable = 0;

    for (uint32_t slot = 0; slot < rows->slots; slot++) {
        const char *fault = slot_fault(rows, slot);
        if (fault != NULL)
            return vex_err_set(err, VEX_ECORRUPT, "%s: row %u has %s", rows->table.path, slot, fault);
        live += vex_bit(rows->live, slot);
    }
    for (size_t word = 0; word < rows->free_words; word++)
        reusable += (uint64_t)__builtin_popcountll(rows->free[word]);
    if (live != rows->live_count || reusable != rows->free_count)
        return vex_err_set(err, VEX_ECORRUPT, "%s: counts differ from bitmaps", rows->table.path);
    for (size_t word = live == 0 ? 0 : words_for(rows->slots); word < rows->words; word++)
        if (rows->live[word] != 0)
            return vex_err_set(err, VEX_ECORRUPT, "%s: live slots beyond the last", rows->table.path);
    if (vex_rows_ids_count(rows) != rows->live_count)
        return vex_err_set(err, VEX_ECORRUPT, "%s: %llu ids for %llu rows", rows->ids.path,
                           (unsigned long long)vex_rows_ids_count(rows),
                           (unsigned long long)rows->live_count);
    int r = vex_rows_extents_check(rows, err);
    return r != 0 ? r : vex_rows_orders_check(rows, err);
}
