/* Browsing by id or by birth.
 *
 * The order is walked and the walk stops one match after the page is full: that one begins the next page. When few points match, or
 * a list of ids is given, the matches are gathered instead and the first of them taken off a heap. */
#include "engine/query/browse.h"
#include "engine/query/sieve.h"

#include "base/mem.h"

#define GATHER_NS 40u   /* a match gathered, its id compared a few times */
#define PASS_NS   2u    /* a slot passed by a walk */
#define AHEAD     32u   /* rows that are fetched together */
#define PASSES    4096u /* slots passed between two looks at the clock */

/* The matches are known: their order is walked from one to the next. */
static int walk_found(struct vex_read *read, const struct vex_candidates *found, struct vex_rows_walk *walk,
                      struct vex_browse *browse)
{
    int code = 0;
    uint32_t slot;
    while (code == 0 && found->count != 0 &&
           vex_rows_walk_among(walk, found->allow, found->slots, PASSES, &slot))
        code = slot == VEX_SLOT_NONE ? vex_read_check(read) : vex_browse_take(read, browse, slot, NULL);
    return code;
}

/* The next slot that may match; VEX_SLOT_NONE and true: none yet. */
static bool next_likely(const struct vex_sieve *sieve, const uint64_t *screen, struct vex_rows_walk *walk,
                        uint32_t *ret_slot)
{
    if (screen != NULL)
        return vex_rows_walk_among(walk, screen, sieve->plan.slots, PASSES, ret_slot);
    *ret_slot = vex_rows_walk_next(walk);
    return *ret_slot != VEX_SLOT_NONE;
}

static int walk(struct vex_read *read, const struct vex_scroll *request, struct vex_sieve *sieve,
                struct vex_browse *browse)
{
    struct vex_rows_walk walk;
    const struct vex_id *from = request->order == VEX_ORDER_ID ? request->offset : NULL;
    const uint64_t *screen = NULL;
    int code = vex_rows_walk(read->data.rows, request->order, from, &walk);
    if (code != 0)
        return vex_err_set(read->err, code, "%s: the points can't be put in order", read->what);
    code = vex_sieve_screen(sieve, &screen);
    for (uint32_t slot; code == 0 && !sieve->is_found && next_likely(sieve, screen, &walk, &slot);) {
        code = slot == VEX_SLOT_NONE ? vex_read_check(read) : vex_sieve_passes(sieve, slot);
        if (code > 0)
            code = vex_browse_take(read, browse, slot, NULL);
    }
    if (code == 0 && sieve->is_found)
        code = walk_found(read, &sieve->found, &walk, browse);
    return code < 0 ? code : 0;
}

/* ---- the first matches of the order: a heap of slots, the last of them at its root; hand-made, because the comparison needs the
 * rows ---- */

struct heap {
    const struct vex_rows *rows;
    enum vex_rows_order order;
    uint32_t *slots;
    uint64_t count, room;
};

static bool before(const struct heap *heap, uint32_t a, uint32_t b)
{
    if (heap->order == VEX_ORDER_BIRTH)
        return vex_rows_at(heap->rows, a)->birth < vex_rows_at(heap->rows, b)->birth;
    struct vex_id ia = vex_rows_id(heap->rows, a), ib = vex_rows_id(heap->rows, b);
    return vex_id_cmp(&ia, &ib) < 0;
}

static void sink(const struct heap *heap, uint64_t count)
{
    uint32_t *slots = heap->slots, slot = slots[0];
    uint64_t at = 0;
    for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(heap, slots[child], slots[child + 1]))
            child++;
        if (!before(heap, slot, slots[child]))
            break;
        slots[at] = slots[child];
    }
    slots[at] = slot;
}

static void rise(const struct heap *heap, uint32_t slot)
{
    uint64_t at = heap->count - 1;
    for (uint64_t parent; at > 0 && before(heap, heap->slots[parent = (at - 1) / 2], slot); at = parent)
        heap->slots[at] = heap->slots[parent];
    heap->slots[at] = slot;
}

static void offer(struct heap *heap, uint32_t slot)
{
    if (heap->count < heap->room) {
        heap->count++;
        rise(heap, slot);
    } else if (before(heap, slot, heap->slots[0])) {
        heap->slots[0] = slot;
        sink(heap, heap->count);
    }
}

static int gather(struct vex_read *read, const struct vex_scroll *request,
                  const struct vex_candidates *matches, struct heap *heap)
{
    bool from = request->order == VEX_ORDER_ID && request->offset != NULL;
    uint32_t at = 0, slots[AHEAD], some = AHEAD;
    int code = 0;
    while (code == 0 && some == AHEAD) {
        for (some = 0; some < AHEAD; some++) {
            slots[some] = vex_candidates_next(matches, &at);
            if (slots[some] == VEX_SLOT_NONE)
                break;
            __builtin_prefetch(vex_rows_at(heap->rows, slots[some]));
        }
        for (uint32_t i = 0; i < some && code == 0; i++) {
            code = vex_read_step(read);
            if (from) {
                struct vex_id id = vex_rows_id(heap->rows, slots[i]);
                if (vex_id_cmp(&id, request->offset) < 0)
                    continue;
            }
            offer(heap, slots[i]);
        }
    }
    for (uint64_t left = heap->count; left > 1; left--) { /* into order */
        uint32_t last = heap->slots[0];
        heap->slots[0] = heap->slots[left - 1];
        heap->slots[left - 1] = last;
        sink(heap, left - 1);
    }
    return code;
}

static int pick(struct vex_read *read, const struct vex_scroll *request, const struct vex_candidates *matches,
                struct vex_browse *browse)
{
    struct heap heap = {.rows = read->data.rows, .order = request->order, .room = vex_browse_want(browse)};
    if (heap.room > matches->count)
        heap.room = matches->count;
    if (heap.room == 0)
        return 0;
    heap.slots = vex_mem_try(heap.room * sizeof *heap.slots);
    if (heap.slots == NULL)
        return vex_read_no_memory(read);
    int code = gather(read, request, matches, &heap);
    for (uint64_t i = 0; i < heap.count && code == 0; i++)
        code = vex_browse_take(read, browse, heap.slots[i], NULL);
    vex_mem_free(heap.slots);
    return code < 0 ? code : 0;
}

int vex_browse_page(struct vex_read *read, const struct vex_scroll *request, struct vex_browse *browse)
{
    struct vex_id_list ids = {request->ids, request->id_count, request->has_ids};
    struct vex_sieve sieve;
    int code = vex_sieve_open(&sieve, read, request->filter, ids, vex_browse_want(browse));
    if (code != 0)
        return code;
    if (sieve.reads_left == 0)
        code = vex_sieve_find(&sieve);
    if (code == 0 && sieve.is_found && sieve.found.count < sieve.walk / (GATHER_NS / PASS_NS) + 1)
        code = pick(read, request, &sieve.found, browse);
    else if (code == 0)
        code = walk(read, request, &sieve, browse);
    vex_sieve_close(&sieve);
    return code;
}
