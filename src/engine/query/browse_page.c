/* Browsing by id or by birth.
 *
 * The order is walked and the walk stops one match after the page is full: that one begins the next page. When few points match, or
 * a list of ids is given, the matches are gathered instead and the first of them taken off a heap. */
#include "engine/query/browse.h"
#include "engine/query/sieve.h"

#include "base/mem.h"

#define GATHER_NS 200u /* a match gathered, its id compared a few times */
#define PASS_NS   10u  /* a slot passed by a walk */

static int walk(struct vex_read *read, const struct vex_scroll *request, struct vex_sieve *sieve,
                struct vex_browse *browse)
{
    struct vex_rows_walk walk;
    const struct vex_id *from = request->order == VEX_ORDER_ID ? request->offset : NULL;
    int code = vex_rows_walk(read->data.rows, request->order, from, &walk);
    if (code != 0)
        return vex_err_set(read->err, code, "%s: the points can't be put in order", read->what);
    for (uint32_t slot; code == 0 && (slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE;) {
        code = vex_sieve_passes(sieve, slot);
        if (code > 0)
            code = vex_browse_take(read, browse, slot, NULL);
    }
    return code < 0 ? code : 0;
}

/* ---- a heap of slots, first of the order at its root; hand-made, because the comparison needs the rows ---- */

static bool before(const struct vex_rows *rows, enum vex_rows_order order, uint32_t a, uint32_t b)
{
    if (order == VEX_ORDER_BIRTH)
        return vex_rows_at(rows, a)->birth < vex_rows_at(rows, b)->birth;
    struct vex_id ia = vex_rows_id(rows, a), ib = vex_rows_id(rows, b);
    return vex_id_cmp(&ia, &ib) < 0;
}

static void sink(const struct vex_rows *rows, enum vex_rows_order order, uint32_t *slots, uint64_t count,
                 uint64_t at)
{
    uint32_t slot = slots[at];
    for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(rows, order, slots[child + 1], slots[child]))
            child++;
        if (!before(rows, order, slots[child], slot))
            break;
        slots[at] = slots[child];
    }
    slots[at] = slot;
}

static uint64_t gather(struct vex_read *read, const struct vex_scroll *request,
                       const struct vex_candidates *matches, uint32_t *ret)
{
    const struct vex_rows *rows = read->data.rows;
    bool from = request->order == VEX_ORDER_ID && request->offset != NULL;
    uint64_t count = 0;
    uint32_t at = 0, slot;
    while ((slot = vex_candidates_next(matches, &at)) != VEX_SLOT_NONE) {
        if (from) {
            struct vex_id id = vex_rows_id(rows, slot);
            if (vex_id_cmp(&id, request->offset) < 0)
                continue;
        }
        ret[count++] = slot;
    }
    return count;
}

static int pick(struct vex_read *read, const struct vex_scroll *request, const struct vex_candidates *matches,
                struct vex_browse *browse)
{
    const struct vex_rows *rows = read->data.rows;
    uint32_t *slots = vex_mem_try((matches->count + 1) * sizeof *slots);
    if (slots == NULL)
        return vex_read_no_memory(read);
    uint64_t count = gather(read, request, matches, slots);
    for (uint64_t i = count / 2; i-- > 0;)
        sink(rows, request->order, slots, count, i);
    int code = 0;
    while (count > 0 && code == 0) {
        code = vex_read_step(read);
        if (code == 0)
            code = vex_browse_take(read, browse, slots[0], NULL);
        slots[0] = slots[--count];
        if (count > 0)
            sink(rows, request->order, slots, count, 0);
    }
    vex_mem_free(slots);
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
