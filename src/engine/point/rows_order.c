/* Orders of points by id and by birth: see rows.h.
 *
 * Role      Arrays of slots. `main` is sorted; what is published later goes to `tail`, which the next walk
 *           sorts and, when it has become long, merges. Nothing is kept until an order is first walked, and
 *           a tail that outgrows its main part drops the order: the next walk sorts anew.
 * Lock      Publishing and purging are exclusive. Walks run under the shared lock, bring the order up to
 *           date under its mutex, and then find it at rest: nothing is published while they hold the lock.
 * Invariant Every live slot is in a built order exactly once. Dead slots may be too until they are purged;
 *           their rows still say where they belong. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/point/rows_private.h"

/* A tail is merged when longer than this plus a share of main. */
#define TAIL_MIN   1024u
#define TAIL_SHARE 256u
/* So few new slots are put in their places one by one. */
#define INSERT_MAX 32u
/* Bounds memory of an order nobody walks. */
#define DROP_MIN 65536u
/* Runs of equal keys shorter than this, or deeper, are sorted by comparing whole ids. */
#define RADIX_MIN       64u
#define RADIX_DEPTH_MAX 16u

struct entry {
    uint64_t key;
    uint32_t slot;
};

void vex_rows_orders_init(struct vex_rows *rows)
{
    for (int i = 0; i < VEX_ORDER_COUNT; i++)
        pthread_mutex_init(&rows->order[i].lock, NULL);
}

static void forget(struct vex_ordered *order)
{
    vex_mem_free(order->main);
    vex_mem_free(order->tail);
    order->main = order->tail = NULL;
    order->main_count = order->tail_count = order->tail_sorted = order->tail_cap = 0;
    order->built = false;
}

void vex_rows_orders_done(struct vex_rows *rows)
{
    for (int i = 0; i < VEX_ORDER_COUNT; i++) {
        forget(&rows->order[i]);
        pthread_mutex_destroy(&rows->order[i].lock);
    }
}

int vex_rows_orders_reserve(struct vex_rows *rows, uint64_t more)
{
    for (int i = 0; i < VEX_ORDER_COUNT; i++) {
        struct vex_ordered *order = &rows->order[i];
        size_t need = order->tail_count + (size_t)more;
        if (order->built && need > DROP_MIN + order->main_count)
            forget(order);
        if (!order->built || need <= order->tail_cap)
            continue;
        size_t cap = order->tail_cap * 2 > need ? order->tail_cap * 2 : need;
        uint32_t *tail = vex_mem_try(cap * sizeof *tail);
        if (tail == NULL) {
            forget(order);
            continue;
        }
        if (order->tail_count > 0)
            memcpy(tail, order->tail, order->tail_count * sizeof *tail);
        vex_mem_free(order->tail);
        order->tail = tail;
        order->tail_cap = cap;
    }
    return 0;
}

void vex_rows_orders_add(struct vex_rows *rows, uint32_t slot)
{
    for (int i = 0; i < VEX_ORDER_COUNT; i++) {
        struct vex_ordered *order = &rows->order[i];
        if (!order->built)
            continue;
        if (order->tail_count == order->tail_cap)
            forget(order);
        else
            order->tail[order->tail_count++] = slot;
    }
}

static size_t keep_live(const struct vex_rows *rows, uint32_t *slots, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (vex_bit(rows->live, slots[i]))
            slots[kept++] = slots[i];
    return kept;
}

void vex_rows_orders_purge(struct vex_rows *rows)
{
    for (int i = 0; i < VEX_ORDER_COUNT; i++) {
        struct vex_ordered *order = &rows->order[i];
        size_t sorted = keep_live(rows, order->tail, order->tail_sorted);
        size_t fresh =
            keep_live(rows, order->tail + order->tail_sorted, order->tail_count - order->tail_sorted);
        if (fresh > 0)
            memmove(order->tail + sorted, order->tail + order->tail_sorted, fresh * sizeof *order->tail);
        order->main_count = keep_live(rows, order->main, order->main_count);
        order->tail_sorted = sorted;
        order->tail_count = sorted + fresh;
    }
}

/* ---- comparing and sorting ---- */

static int compare_id(const struct vex_rows *rows, uint32_t slot, const struct vex_id *id)
{
    struct vex_id own = vex_rows_id(rows, slot);
    return vex_id_cmp(&own, id);
}

static int compare(const struct vex_rows *rows, enum vex_rows_order order, uint32_t a, uint32_t b)
{
    if (order == VEX_ORDER_BIRTH) {
        uint64_t x = vex_row_at(rows, a)->birth, y = vex_row_at(rows, b)->birth;
        return (x > y) - (x < y);
    }
    struct vex_id id = vex_rows_id(rows, b);
    return compare_id(rows, a, &id);
}

static int by_id(const void *a, const void *b, void *rows)
{
    return compare(rows, VEX_ORDER_ID, ((const struct entry *)a)->slot, ((const struct entry *)b)->slot);
}

static uint64_t big_endian(const void *bytes, size_t len)
{
    uint64_t key = 0;
    memcpy(&key, bytes, len < sizeof key ? len : sizeof key);
    return __builtin_bswap64(key);
}

/* Eight bytes of an id from `depth` on, so that keys order as ids do; *ret_more: bytes follow. */
static uint64_t key_of(const struct vex_rows *rows, uint32_t slot, size_t depth, bool *ret_more)
{
    struct vex_id id = vex_rows_id(rows, slot);

    if (id.kind == VEX_ID_NUM)
        return id.num;
    const char *bytes = id.kind == VEX_ID_UUID ? (const char *)id.uuid : id.text.ptr;
    size_t len = id.kind == VEX_ID_UUID ? sizeof id.uuid : id.text.len;
    *ret_more |= len > depth + 8;
    return depth < len ? big_endian(bytes + depth, len - depth) : 0;
}

static bool is_sorted(const struct entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (entries[i - 1].key > entries[i].key)
            return false;
    return true;
}

/* Least significant byte first; bytes that all keys share are skipped. `spare` has room for as many. */
static void radix_sort(struct entry *entries, struct entry *spare, size_t count)
{
    struct entry *from = entries, *to = spare;

    if (is_sorted(entries, count))
        return;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t at[256] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++)
            at[from[i].key >> shift & 255]++;
        if (at[from[0].key >> shift & 255] == count)
            continue;
        for (unsigned digit = 0; digit < 256; digit++) {
            size_t here = at[digit];
            at[digit] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++)
            to[at[from[i].key >> shift & 255]++] = from[i];
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof *entries);
}

/* Sorts ids of one kind that are equal before `depth`. Each level reads eight more bytes and sorts what they
 * leave equal. */
static void sort_ids(struct vex_rows *rows, struct entry *entries, struct entry *spare, size_t count,
                     size_t depth, unsigned level)
{
    for (;; depth += 8) {
        bool more = false;
        for (size_t i = 0; i < count; i++)
            entries[i].key = key_of(rows, entries[i].slot, depth, &more);
        radix_sort(entries, spare, count);
        if (count < 2 || entries[0].key != entries[count - 1].key)
            break;
        if (!more) {
            qsort_r(entries, count, sizeof *entries, by_id, rows);
            return;
        }
    }
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && entries[end].key == entries[i].key;)
            end++;
        if (end - i >= RADIX_MIN && level < RADIX_DEPTH_MAX)
            sort_ids(rows, entries + i, spare, end - i, depth + 8, level + 1);
        else if (end - i > 1)
            qsort_r(entries + i, end - i, sizeof *entries, by_id, rows);
    }
}

/* Sorts slots in place. VEX_ENO_MEMORY; then they are as they were. */
static int sort_slots(struct vex_rows *rows, enum vex_rows_order order, uint32_t *slots, size_t count)
{
    size_t ends[VEX_ID_TEXT + 1] = {0}, at = 0;
    struct entry *entries = vex_mem_try((count + 1) * 2 * sizeof *entries), *spare = entries + count + 1;

    if (entries == NULL)
        return VEX_ENO_MEMORY;
    if (order == VEX_ORDER_BIRTH) {
        for (size_t i = 0; i < count; i++)
            entries[i] = (struct entry){vex_row_at(rows, slots[i])->birth, slots[i]};
        radix_sort(entries, spare, count);
    } else {
        for (int kind = VEX_ID_NUM; kind <= VEX_ID_TEXT; kind++) {
            for (size_t i = 0; i < count; i++)
                if (vex_row_at(rows, slots[i])->id_kind == kind)
                    entries[at++].slot = slots[i];
            ends[kind] = at;
        }
        at = 0;
        for (int kind = VEX_ID_NUM; kind <= VEX_ID_TEXT; at = ends[kind++])
            sort_ids(rows, entries + at, spare, ends[kind] - at, 0, 0);
    }
    for (size_t i = 0; i < count; i++)
        slots[i] = entries[i].slot;
    vex_mem_free(entries);
    return 0;
}

/* ---- bringing an order up to date ---- */

/* Slots in [0, result) come before `slot`. */
static size_t lower_bound(const struct vex_rows *rows, enum vex_rows_order order, const uint32_t *slots,
                          size_t count, uint32_t slot)
{
    size_t low = 0;

    while (low < count) {
        size_t mid = low + (count - low) / 2;
        if (compare(rows, order, slots[mid], slot) < 0)
            low = mid + 1;
        else
            count = mid;
    }
    return low;
}

static int build(struct vex_rows *rows, enum vex_rows_order which)
{
    struct vex_ordered *order = &rows->order[which];
    uint32_t *main = vex_mem_try((size_t)(rows->live_count + 1) * sizeof *main);
    size_t count = 0;

    if (main == NULL)
        return VEX_ENO_MEMORY;
    for (uint32_t slot = vex_bit_next(rows->live, rows->words, 0); slot != VEX_SLOT_NONE;
         slot = vex_bit_next(rows->live, rows->words, slot + 1))
        main[count++] = slot;
    int r = sort_slots(rows, which, main, count);
    if (r != 0) {
        vex_mem_free(main);
        return r;
    }
    order->main = main;
    order->main_count = count;
    order->built = true;
    return 0;
}

static int sort_tail(struct vex_rows *rows, enum vex_rows_order which)
{
    struct vex_ordered *order = &rows->order[which];

    if (order->tail_count - order->tail_sorted > INSERT_MAX) {
        order->tail_count = keep_live(rows, order->tail, order->tail_count);
        order->tail_sorted = 0;
        int r = sort_slots(rows, which, order->tail, order->tail_count);
        if (r == 0)
            order->tail_sorted = order->tail_count;
        return r;
    }
    for (; order->tail_sorted < order->tail_count; order->tail_sorted++) {
        uint32_t slot = order->tail[order->tail_sorted];
        size_t at = lower_bound(rows, which, order->tail, order->tail_sorted, slot);
        memmove(order->tail + at + 1, order->tail + at, (order->tail_sorted - at) * sizeof slot);
        order->tail[at] = slot;
    }
    return 0;
}

/* Merges the sorted tail into main and drops dead slots. Main is searched, not walked: comparing costs more
 * than copying. */
static int merge(struct vex_rows *rows, enum vex_rows_order which)
{
    struct vex_ordered *order = &rows->order[which];
    uint32_t *main = vex_mem_try((order->main_count + order->tail_count + 1) * sizeof *main);
    size_t from = 0, count = 0;

    if (main == NULL)
        return VEX_ENO_MEMORY;
    for (size_t i = 0; i < order->tail_count; i++) {
        size_t n = lower_bound(rows, which, order->main + from, order->main_count - from, order->tail[i]);
        memcpy(main + count, order->main + from, n * sizeof *main);
        count += n;
        from += n;
        main[count++] = order->tail[i];
    }
    memcpy(main + count, order->main + from, (order->main_count - from) * sizeof *main);
    count += order->main_count - from;
    vex_mem_free(order->main);
    order->main = main;
    order->main_count = keep_live(rows, main, count);
    order->tail_count = order->tail_sorted = 0;
    return 0;
}

/* Idempotent while nothing is published: a second walk finds nothing to do. */
static int refresh(struct vex_rows *rows, enum vex_rows_order which)
{
    struct vex_ordered *order = &rows->order[which];
    int r = order->built ? 0 : build(rows, which);

    if (r == 0 && order->tail_sorted < order->tail_count)
        r = sort_tail(rows, which);
    if (r != 0)
        return r;
    size_t all = order->main_count + order->tail_count;
    if (order->tail_count > TAIL_MIN + order->main_count / TAIL_SHARE || (all - rows->live_count) > all / 4)
        r = merge(rows, which);
    return r;
}

/* ---- walking ---- */

/* Slots in [0, result) have an id below `id`, or not above it when `through`. */
static size_t bound_of_id(const struct vex_rows *rows, const uint32_t *slots, size_t count,
                          const struct vex_id *id, bool through)
{
    size_t low = 0;

    while (low < count) {
        size_t mid = low + (count - low) / 2;
        int order = compare_id(rows, slots[mid], id);
        if (order < 0 || (order == 0 && through))
            low = mid + 1;
        else
            count = mid;
    }
    return low;
}

static int start(struct vex_rows *rows, enum vex_rows_order which, bool descending, const struct vex_id *from,
                 struct vex_rows_walk *ret)
{
    struct vex_ordered *order = &rows->order[which];

    if (from != NULL && which != VEX_ORDER_ID)
        return VEX_EINTERNAL;
    pthread_mutex_lock(&order->lock);
    int r = refresh(rows, which);
    pthread_mutex_unlock(&order->lock);
    if (r != 0)
        return r;
    uint64_t main = descending ? order->main_count : 0, tail = descending ? order->tail_count : 0;
    if (from != NULL) {
        main = bound_of_id(rows, order->main, order->main_count, from, descending);
        tail = bound_of_id(rows, order->tail, order->tail_count, from, descending);
    }
    *ret = (struct vex_rows_walk){
        .rows = rows, .order = which, .descending = descending, .at = main << 32 | tail};
    return 0;
}

int vex_rows_walk(struct vex_rows *rows, enum vex_rows_order order, const struct vex_id *from,
                  struct vex_rows_walk *ret)
{
    return start(rows, order, false, from, ret);
}

int vex_rows_walk_back(struct vex_rows *rows, enum vex_rows_order order, const struct vex_id *from,
                       struct vex_rows_walk *ret)
{
    return start(rows, order, true, from, ret);
}

/* `at` holds the places in main and tail: the next ones ascending, one behind the next ones descending. */
static uint32_t next_up(struct vex_rows_walk *walk)
{
    const struct vex_rows *rows = walk->rows;
    const struct vex_ordered *order = &rows->order[walk->order];
    size_t main = walk->at >> 32, tail = walk->at & UINT32_MAX;

    while (main < order->main_count && !vex_bit(rows->live, order->main[main]))
        main++;
    while (tail < order->tail_count && !vex_bit(rows->live, order->tail[tail]))
        tail++;
    uint32_t slot = VEX_SLOT_NONE;
    bool in_main = main < order->main_count, in_tail = tail < order->tail_count;
    if (in_main && (!in_tail || compare(rows, walk->order, order->main[main], order->tail[tail]) < 0))
        slot = order->main[main++];
    else if (in_tail)
        slot = order->tail[tail++];
    walk->at = (uint64_t)main << 32 | tail;
    return slot;
}

static uint32_t next_down(struct vex_rows_walk *walk)
{
    const struct vex_rows *rows = walk->rows;
    const struct vex_ordered *order = &rows->order[walk->order];
    size_t main = walk->at >> 32, tail = walk->at & UINT32_MAX;

    while (main > 0 && !vex_bit(rows->live, order->main[main - 1]))
        main--;
    while (tail > 0 && !vex_bit(rows->live, order->tail[tail - 1]))
        tail--;
    uint32_t slot = VEX_SLOT_NONE;
    if (main > 0 &&
        (tail == 0 || compare(rows, walk->order, order->main[main - 1], order->tail[tail - 1]) > 0))
        slot = order->main[--main];
    else if (tail > 0)
        slot = order->tail[--tail];
    walk->at = (uint64_t)main << 32 | tail;
    return slot;
}

/* The first place from `at` on, below `end`, whose slot is live and set. */
static size_t among(const struct vex_rows *rows, const uint32_t *order, size_t at, size_t end,
                    const uint64_t *bits, uint32_t slots)
{
    for (; at < end; at++) {
        uint32_t slot = order[at];
        if (slot < slots && (bits[slot / 64] >> slot % 64 & 1) != 0 && vex_bit(rows->live, slot))
            break;
    }
    return at;
}

bool vex_rows_walk_among(struct vex_rows_walk *walk, const uint64_t *bits, uint32_t slots, uint32_t most,
                         uint32_t *ret_slot)
{
    const struct vex_rows *rows = walk->rows;
    const struct vex_ordered *order = &rows->order[walk->order];
    size_t main = walk->at >> 32, tail = walk->at & UINT32_MAX;
    size_t main_end = order->main_count - main > most ? main + most : order->main_count;
    size_t tail_end = order->tail_count - tail > most ? tail + most : order->tail_count;

    main = among(rows, order->main, main, main_end, bits, slots);
    tail = among(rows, order->tail, tail, tail_end, bits, slots);
    bool in_main = main < main_end, in_tail = tail < tail_end;
    *ret_slot = VEX_SLOT_NONE;
    /* What is beyond the look ahead of one may come before what was found in the other. */
    if (in_main && (in_tail ? compare(rows, walk->order, order->main[main], order->tail[tail]) < 0
                            : tail == order->tail_count))
        *ret_slot = order->main[main++];
    else if (in_tail && (in_main || main == order->main_count))
        *ret_slot = order->tail[tail++];
    walk->at = (uint64_t)main << 32 | tail;
    return *ret_slot != VEX_SLOT_NONE || main < order->main_count || tail < order->tail_count;
}

uint32_t vex_rows_walk_next(struct vex_rows_walk *walk)
{
    return walk->descending ? next_down(walk) : next_up(walk);
}

int vex_rows_orders_check(struct vex_rows *rows, struct vex_err *err)
{
    for (int i = 0; i < VEX_ORDER_COUNT; i++) {
        struct vex_rows_walk walk;
        uint64_t count = 0;
        uint32_t last = VEX_SLOT_NONE, slot;
        int r = start(rows, i, false, NULL, &walk);
        if (r != 0)
            return vex_err_set(err, r, "no memory for the orders of %s", rows->table.path);
        while ((slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE) {
            if (last != VEX_SLOT_NONE && compare(rows, i, last, slot) >= 0)
                return vex_err_set(err, VEX_ECORRUPT, "%s: order %d fails at row %u", rows->table.path, i,
                                   slot);
            last = slot;
            count++;
        }
        if (count != rows->live_count)
            return vex_err_set(err, VEX_ECORRUPT, "%s: order %d has %llu of %llu points", rows->table.path, i,
                               (unsigned long long)count, (unsigned long long)rows->live_count);
    }
    return 0;
}
