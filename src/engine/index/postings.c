/* Slots of terms: one slot inline, a few in a short list, many as a roaring bitmap.
 *
 * Lock       The owner's.
 * Invariant  A head is NOTHING, a slot below SET, or SET and the number of an entry of `sets` that is not empty. A list is
 *            sorted and holds at most LIST_MAX slots. Slots from SET on are never inline. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/dictionary.h"

#define NOTHING  UINT32_MAX
#define SET      (UINT32_C(1) << 31)
#define LIST_MAX 128u
#define BIG      ((uintptr_t)1)
#define AHEAD    (4 * VEX_TERM_GROUP) /* ids */

struct list {
    uint32_t count, room;
    uint32_t slots[];
};

void vex_postings_init(struct vex_postings *postings)
{
    *postings = (struct vex_postings){0};
}

static uint32_t head_of(const struct vex_postings *postings, uint32_t id)
{
    return id < postings->end ? postings->heads[id] : NOTHING;
}

static bool is_set(uint32_t head)
{
    return head != NOTHING && (head & SET) != 0;
}

static uintptr_t set_of(const struct vex_postings *postings, uint32_t head)
{
    return postings->sets[head & ~SET];
}

static struct vex_slots *big_of(uintptr_t set)
{
    return (set & BIG) != 0 ? (struct vex_slots *)(set & ~BIG) : NULL;
}

static struct list *list_of(uintptr_t set)
{
    return (struct list *)set;
}

static size_t list_size(uint32_t room)
{
    return sizeof(struct list) + room * sizeof(uint32_t);
}

static void free_set(struct vex_postings *postings, uintptr_t set)
{
    if (big_of(set) != NULL) {
        vex_slots_free(big_of(set));
    } else if (set != 0) {
        postings->bytes -= list_size(list_of(set)->room);
        vex_mem_free(list_of(set));
    }
}

void vex_postings_done(struct vex_postings *postings)
{
    for (uint32_t i = 0; i < postings->set_count; i++)
        free_set(postings, postings->sets[i]);
    vex_mem_free(postings->heads);
    vex_mem_free(postings->sets);
    vex_mem_free(postings->spare);
    vex_postings_init(postings);
}

static void drop_set(struct vex_postings *postings, uint32_t head)
{
    free_set(postings, set_of(postings, head));
    postings->sets[head & ~SET] = 0;
    if (postings->spare_count == postings->spare_room) {
        postings->spare_room = postings->spare_room + postings->spare_room / 4 + 16;
        postings->spare = vex_mem_realloc(postings->spare, postings->spare_room * sizeof *postings->spare);
    }
    postings->spare[postings->spare_count++] = head & ~SET;
}

/* Gives a set a number; returns the head. */
static uint32_t keep_set(struct vex_postings *postings, uintptr_t set)
{
    uint32_t at;

    if (postings->spare_count > 0) {
        at = postings->spare[--postings->spare_count];
    } else {
        at = postings->set_count;
        if (at == SET - 1)
            abort(); /* memory is out long before */
        if (at == postings->set_room) {
            postings->set_room = at + at / 4 + 4;
            postings->sets = vex_mem_realloc(postings->sets, postings->set_room * sizeof *postings->sets);
        }
        postings->set_count++;
    }
    postings->sets[at] = set;
    return at | SET;
}

static void reach(struct vex_postings *postings, uint32_t id)
{
    if (id < postings->end)
        return;
    if (id >= postings->head_room) {
        postings->head_room = id + id / 8 + 8;
        postings->heads = vex_mem_realloc(postings->heads, postings->head_room * sizeof(uint32_t));
    }
    for (; postings->end <= id; postings->end++)
        postings->heads[postings->end] = NOTHING;
}

static struct list *new_list(struct vex_postings *postings, uint32_t room)
{
    struct list *list = vex_mem_alloc(list_size(room));

    *list = (struct list){.room = room};
    postings->bytes += list_size(room);
    return list;
}

/* First place in the list that is not below the slot. */
static uint32_t seek(const struct list *list, uint32_t slot)
{
    uint32_t lo = 0, hi = list->count;

    if (hi > 0 && list->slots[hi - 1] < slot)
        return hi;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (list->slots[mid] < slot)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The list becomes a bitmap. */
static uintptr_t widen(struct vex_postings *postings, uintptr_t set)
{
    struct vex_slots *big = vex_slots_new();

    for (uint32_t i = 0; i < list_of(set)->count; i++)
        vex_slots_add(big, list_of(set)->slots[i]);
    free_set(postings, set);
    return (uintptr_t)big | BIG;
}

static bool add_to_set(struct vex_postings *postings, uintptr_t *set, uint32_t slot)
{
    struct list *list;
    uint32_t at;

    if ((*set & BIG) == 0 && list_of(*set)->count == LIST_MAX)
        *set = widen(postings, *set);
    if ((*set & BIG) != 0) {
        if (vex_slots_has(big_of(*set), slot))
            return false;
        vex_slots_add(big_of(*set), slot);
        return true;
    }
    list = list_of(*set);
    at = seek(list, slot);
    if (at < list->count && list->slots[at] == slot)
        return false;
    if (list->count == list->room) {
        uint32_t room = list->room + list->room / 4 + 1;
        postings->bytes += list_size(room) - list_size(list->room);
        list = vex_mem_realloc(list, list_size(room));
        list->room = room;
        *set = (uintptr_t)list;
    }
    memmove(list->slots + at + 1, list->slots + at, (list->count - at) * sizeof slot);
    list->slots[at] = slot;
    list->count++;
    return true;
}

bool vex_postings_add(struct vex_postings *postings, uint32_t id, uint32_t slot)
{
    struct list *list;
    uint32_t head;

    reach(postings, id);
    head = postings->heads[id];
    if (is_set(head))
        return add_to_set(postings, &postings->sets[head & ~SET], slot);
    if (head == slot)
        return false;
    if (head == NOTHING && slot < SET) {
        postings->heads[id] = slot;
        return true;
    }
    list = new_list(postings, 2);
    if (head != NOTHING)
        list->slots[list->count++] = head;
    postings->heads[id] = keep_set(postings, (uintptr_t)list);
    return add_to_set(postings, &postings->sets[postings->heads[id] & ~SET], slot);
}

bool vex_postings_remove(struct vex_postings *postings, uint32_t id, uint32_t slot)
{
    uint32_t head = head_of(postings, id), at;
    uintptr_t set;
    struct list *list;

    if (!is_set(head)) {
        if (head == NOTHING || head != slot)
            return false;
        postings->heads[id] = NOTHING;
        return true;
    }
    set = set_of(postings, head);
    if (big_of(set) != NULL) {
        if (!vex_slots_has(big_of(set), slot))
            return false;
        vex_slots_remove(big_of(set), slot);
        if (vex_slots_count(big_of(set)) > 0)
            return true;
    } else {
        list = list_of(set);
        at = seek(list, slot);
        if (at == list->count || list->slots[at] != slot)
            return false;
        list->count--;
        memmove(list->slots + at, list->slots + at + 1, (list->count - at) * sizeof slot);
        if (list->count > 0)
            return true;
    }
    drop_set(postings, head);
    postings->heads[id] = NOTHING;
    return true;
}

bool vex_postings_has(const struct vex_postings *postings, uint32_t id, uint32_t slot)
{
    uint32_t head = head_of(postings, id), at;
    uintptr_t set;

    if (!is_set(head))
        return head != NOTHING && head == slot;
    set = set_of(postings, head);
    if (big_of(set) != NULL)
        return vex_slots_has(big_of(set), slot);
    at = seek(list_of(set), slot);
    return at < list_of(set)->count && list_of(set)->slots[at] == slot;
}

uint64_t vex_postings_count(const struct vex_postings *postings, uint32_t id)
{
    uint32_t head = head_of(postings, id);
    uintptr_t set;

    if (!is_set(head))
        return head != NOTHING;
    set = set_of(postings, head);
    return big_of(set) != NULL ? vex_slots_count(big_of(set)) : list_of(set)->count;
}

void vex_postings_prefetch(const struct vex_postings *postings, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] < postings->end)
            __builtin_prefetch(&postings->heads[ids[i]]);
}

bool vex_postings_empty(const struct vex_postings *postings, uint32_t id)
{
    return head_of(postings, id) == NOTHING;
}

void vex_postings_or_into(const struct vex_postings *postings, uint32_t id, uint64_t *bits, uint32_t slots)
{
    uint32_t head = head_of(postings, id);
    const struct list *list;

    if (!is_set(head)) {
        if (head < slots && head != NOTHING)
            bits[head / 64] |= UINT64_C(1) << head % 64;
        return;
    }
    if (big_of(set_of(postings, head)) != NULL) {
        vex_slots_or_into(big_of(set_of(postings, head)), bits, slots);
        return;
    }
    list = list_of(set_of(postings, head));
    for (uint32_t i = 0; i < list->count && list->slots[i] < slots; i++)
        bits[list->slots[i] / 64] |= UINT64_C(1) << list->slots[i] % 64;
}

uint64_t vex_postings_count_in(const struct vex_postings *postings, uint32_t id, const uint64_t *bits,
                               uint32_t slots)
{
    uint32_t head = head_of(postings, id);
    const struct list *list;
    uint64_t count = 0;

    if (!is_set(head))
        return head < slots && head != NOTHING ? bits[head / 64] >> head % 64 & 1 : 0;
    if (big_of(set_of(postings, head)) != NULL)
        return vex_slots_count_in(big_of(set_of(postings, head)), bits, slots);
    list = list_of(set_of(postings, head));
    for (uint32_t i = 0; i < list->count && list->slots[i] < slots; i++)
        count += bits[list->slots[i] / 64] >> list->slots[i] % 64 & 1;
    return count;
}

/* Two misses wait behind a head, the entry of `sets` and the set: the first is fetched well before the second. */
static void prefetch(const struct vex_postings *postings, uint32_t first)
{
    uint32_t end = postings->end;

    for (uint32_t id = first + 2 * AHEAD; id < end && id < first + 2 * AHEAD + VEX_TERM_GROUP; id++)
        if (is_set(postings->heads[id]))
            __builtin_prefetch(&postings->sets[postings->heads[id] & ~SET]);
    for (uint32_t id = first + AHEAD; id < end && id < first + AHEAD + VEX_TERM_GROUP; id++)
        if (is_set(postings->heads[id]))
            __builtin_prefetch((const void *)(set_of(postings, postings->heads[id]) & ~BIG));
}

/* Heads that are a slot, out of bits. */
static uint32_t group_of_singles(const uint32_t *heads, uint32_t count, const uint64_t *bits, uint32_t slots,
                                 uint64_t ret_counts[VEX_TERM_GROUP])
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t head = heads[i]; /* NOTHING is not below SET */
        bool in = head < SET && (bits == NULL || (head < slots && (bits[head / 64] >> head % 64 & 1) != 0));
        ret_counts[i] = 1;
        mask |= (uint32_t)in << i;
    }
    return mask;
}

uint32_t vex_postings_group(const struct vex_postings *postings, uint32_t first, bool single,
                            const uint64_t *bits, uint32_t slots, uint64_t least,
                            uint64_t ret_counts[VEX_TERM_GROUP])
{
    uint32_t mask = 0, left = first < postings->end ? postings->end - first : 0;

    if (single)
        return least > 1 || left == 0
                   ? 0
                   : group_of_singles(postings->heads + first, left < VEX_TERM_GROUP ? left : VEX_TERM_GROUP,
                                      bits, slots, ret_counts);
    if (left > 2 * AHEAD)
        prefetch(postings, first);
    for (uint32_t i = 0; i < VEX_TERM_GROUP && i < left; i++) {
        uint32_t head = postings->heads[first + i];
        uint64_t count;
        if (!is_set(head))
            continue;
        count = vex_postings_count(postings, first + i);
        if (bits != NULL && count >= least)
            count = vex_postings_count_in(postings, first + i, bits, slots);
        ret_counts[i] = count;
        mask |= (uint32_t)(count >= least) << i;
    }
    return mask;
}

int vex_postings_each(const struct vex_postings *postings, uint32_t id, int (*fn)(void *arg, uint32_t slot),
                      void *arg)
{
    uint32_t head = head_of(postings, id);
    const struct list *list;
    int stop = 0;

    if (!is_set(head))
        return head != NOTHING ? fn(arg, head) : 0;
    if (big_of(set_of(postings, head)) != NULL)
        return vex_slots_each(big_of(set_of(postings, head)), fn, arg);
    list = list_of(set_of(postings, head));
    for (uint32_t i = 0; i < list->count && stop == 0; i++)
        stop = fn(arg, list->slots[i]);
    return stop;
}

static bool in_bits(const uint64_t *bits, uint32_t slots, uint32_t slot)
{
    return slot < slots && (bits[slot / 64] >> slot % 64 & 1) != 0;
}

/* True: nothing is left. */
static bool forget_set(uintptr_t set, const uint64_t *bits, uint32_t slots)
{
    struct list *list;
    uint32_t kept = 0;

    if (big_of(set) != NULL) {
        vex_slots_forget(big_of(set), bits, slots);
        return vex_slots_count(big_of(set)) == 0;
    }
    list = list_of(set);
    for (uint32_t i = 0; i < list->count; i++)
        if (!in_bits(bits, slots, list->slots[i]))
            list->slots[kept++] = list->slots[i];
    list->count = kept;
    return kept == 0;
}

void vex_postings_forget(struct vex_postings *postings, const uint64_t *bits, uint32_t slots,
                         void (*emptied)(void *arg, uint32_t id), void *arg)
{
    for (uint32_t id = 0; id < postings->end; id++) {
        uint32_t head = postings->heads[id];
        if (head == NOTHING)
            continue;
        if (is_set(head)) {
            if (!forget_set(set_of(postings, head), bits, slots))
                continue;
            drop_set(postings, head);
        } else if (!in_bits(bits, slots, head)) {
            continue;
        }
        postings->heads[id] = NOTHING;
        emptied(arg, id);
    }
}

uint64_t vex_postings_bytes(const struct vex_postings *postings)
{
    uint64_t bytes = postings->bytes + postings->head_room * sizeof(uint32_t) +
                     postings->set_room * sizeof(uintptr_t) + postings->spare_room * sizeof(uint32_t);

    for (uint32_t i = 0; i < postings->set_count; i++)
        if (big_of(postings->sets[i]) != NULL)
            bytes += vex_slots_bytes(big_of(postings->sets[i]));
    return bytes;
}

/* u32 end; then for each id u32: NOTHING, a slot below SET, SET (a bitmap follows), or SET and the number of slots that
 * follow, u32 each, ascending. */
void vex_postings_save(const struct vex_postings *postings, struct vex_buf *out)
{
    vex_buf_add_u32(out, postings->end);
    for (uint32_t id = 0; id < postings->end; id++) {
        uint32_t head = postings->heads[id];
        if (!is_set(head)) {
            vex_buf_add_u32(out, head);
        } else if (big_of(set_of(postings, head)) != NULL) {
            vex_buf_add_u32(out, SET);
            vex_slots_save(big_of(set_of(postings, head)), out);
        } else {
            const struct list *list = list_of(set_of(postings, head));
            vex_buf_add_u32(out, SET | list->count);
            vex_buf_add(out, list->slots, list->count * sizeof *list->slots);
        }
    }
}

static bool load_list(struct vex_postings *postings, uint32_t id, uint32_t count, struct vex_cursor *c)
{
    const char *at = count <= LIST_MAX ? vex_cursor_bytes(c, count * sizeof(uint32_t)) : NULL;
    struct list *list;

    if (at == NULL)
        return false;
    list = new_list(postings, count);
    postings->heads[id] = keep_set(postings, (uintptr_t)list);
    memcpy(list->slots, at, count * sizeof(uint32_t));
    list->count = count;
    for (uint32_t i = 1; i < count; i++)
        if (list->slots[i] <= list->slots[i - 1])
            return false;
    return list->slots[count - 1] != UINT32_MAX;
}

static bool load_big(struct vex_postings *postings, uint32_t id, struct vex_cursor *c)
{
    struct vex_slots *big = vex_slots_load(c);

    if (big == NULL)
        return false;
    postings->heads[id] = keep_set(postings, (uintptr_t)big | BIG);
    return vex_slots_count(big) > 0;
}

int vex_postings_load(struct vex_postings *postings, struct vex_cursor *c, struct vex_err *err)
{
    uint32_t end = vex_cursor_u32(c);

    if (c->bad || end > vex_cursor_left(c) / sizeof(uint32_t))
        return vex_err_set(err, VEX_ECORRUPT, "payload index: bad number of postings");
    if (end == 0)
        return 0;
    postings->heads = vex_mem_try(end * sizeof(uint32_t));
    if (postings->heads == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "payload index: no memory for %u postings", end);
    postings->head_room = end;
    reach(postings, end - 1);
    for (uint32_t id = 0; id < end; id++) {
        uint32_t head = vex_cursor_u32(c);
        bool good = !c->bad;
        if (!is_set(head))
            postings->heads[id] = head;
        else if (head == SET)
            good = good && load_big(postings, id, c);
        else
            good = good && load_list(postings, id, head & ~SET, c);
        if (!good)
            return vex_err_set(err, VEX_ECORRUPT, "payload index: bad postings");
    }
    return 0;
}
