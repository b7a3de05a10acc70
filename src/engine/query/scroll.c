/* Points in an order, page by page.
 *
 * Without ids the order is walked and the walk stops one match after the page is full: that one begins the
 * next page. With a list of ids (given, or found in the filter) its matches are gathered and sorted instead.
 */
#include "engine/query/candidates.h"
#include "engine/query/result.h"

#include "base/mem.h"

/* A list of slots that grows with what is found, never with what was asked. */
struct slot_list {
    uint32_t *slots;
    uint64_t count, cap;
};

static int add(struct vex_read *read, struct slot_list *list, uint32_t slot)
{
    if (list->count == list->cap) {
        uint64_t cap = list->cap != 0 ? list->cap * 2 : 64;
        uint32_t *slots = vex_mem_try(cap * sizeof *slots);
        if (slots == NULL)
            return vex_read_no_memory(read);
        if (list->count > 0)
            memcpy(slots, list->slots, list->count * sizeof *slots);
        vex_mem_free(list->slots);
        list->slots = slots;
        list->cap = cap;
    }
    list->slots[list->count++] = slot;
    return 0;
}

/* The page being filled. */
struct page {
    uint64_t skip, limit;
    struct slot_list list;
    uint32_t next; /* slot that begins the next page, or VEX_SLOT_NONE */
};

/* Takes the next match; true when the page is complete. */
static bool take(struct vex_read *read, struct page *page, uint32_t slot, int *code)
{
    if (page->skip > 0) {
        page->skip--;
        return false;
    }
    if (page->list.count == page->limit) {
        page->next = slot;
        return true;
    }
    *code = add(read, &page->list, slot);
    return *code != 0;
}

static int walk(struct vex_read *read, const struct vex_scroll *request, const struct vex_read_filter *filter,
                struct page *page)
{
    struct vex_rows_walk walk;
    const struct vex_id *from = request->order == VEX_ORDER_ID ? request->offset : NULL;
    int code = vex_rows_walk(read->data.rows, request->order, from, &walk);
    if (code != 0)
        return vex_err_set(read->err, code, "%s: the points can't be put in order", read->what);
    for (uint32_t slot; (slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE;) {
        code = vex_read_step(read);
        if (code != 0)
            return code;
        if (vex_read_matches(read, filter, slot) && take(read, page, slot, &code))
            return code;
    }
    return 0;
}

/* ---- lists of ids: heap sort, because the comparison needs the rows ---- */

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
        if (child + 1 < count && before(rows, order, slots[child], slots[child + 1]))
            child++;
        if (!before(rows, order, slot, slots[child]))
            break;
        slots[at] = slots[child];
    }
    slots[at] = slot;
}

static void sort(const struct vex_rows *rows, enum vex_rows_order order, uint32_t *slots, uint64_t count)
{
    for (uint64_t i = count / 2; i-- > 0;)
        sink(rows, order, slots, count, i);
    for (uint64_t left = count; left > 1;) {
        uint32_t last = slots[--left];
        slots[left] = slots[0];
        slots[0] = last;
        sink(rows, order, slots, left, 0);
    }
}

static int listed(struct vex_read *read, const struct vex_scroll *request,
                  const struct vex_read_filter *filter, struct page *page)
{
    const struct vex_rows *rows = read->data.rows;
    struct vex_id_list ids = {request->ids, request->id_count, request->has_ids};
    struct vex_candidates matches;
    struct slot_list all = {0};
    int code = vex_candidates_find(read, filter, ids, VEX_NO_ORDINAL, &matches);
    if (code != 0)
        return code;
    uint32_t at = 0, slot;
    while (code == 0 && (slot = vex_candidates_next(&matches, &at)) != VEX_SLOT_NONE) {
        if (request->order == VEX_ORDER_ID && request->offset != NULL) {
            struct vex_id id = vex_rows_id(rows, slot);
            if (vex_id_cmp(&id, request->offset) < 0)
                continue;
        }
        code = add(read, &all, slot);
    }
    vex_candidates_done(&matches);
    sort(rows, request->order, all.slots, all.count);
    for (uint64_t i = 0; code == 0 && i < all.count; i++)
        if (take(read, page, all.slots[i], &code))
            break;
    vex_mem_free(all.slots);
    return code;
}

static int fill_page(struct vex_read *read, const struct vex_scroll *request, struct page *page)
{
    struct vex_read_filter filter;
    int code = vex_read_filter_bind(read, request->filter, &filter);
    if (code != 0)
        return code;
    bool by_list = request->has_ids || vex_filter_ids(request->filter).given;
    code = by_list ? listed(read, request, &filter, page) : walk(read, request, &filter, page);
    vex_read_filter_unbind(&filter);
    return code;
}

int vex_read_scroll(struct vex_collection *collection, const struct vex_scroll *request,
                    struct vex_read_context *context, struct vex_hits *ret, bool *ret_has_next,
                    struct vex_id *ret_next, struct vex_err *err)
{
    struct page page = {.skip = request->skip, .limit = request->limit, .next = VEX_SLOT_NONE};
    struct vex_result_plan plan;
    struct vex_read read;
    *ret = (struct vex_hits){0};
    *ret_has_next = false;
    int code = vex_read_open(&read, collection, context, "Scroll", err);
    if (code != 0)
        return code;
    code = vex_result_plan(&read, &request->payload, &request->vectors, &plan);
    if (code == 0)
        code = fill_page(&read, request, &page);
    if (code == 0)
        code = vex_result_slots(&read, &plan, page.list.slots, page.list.count, ret);
    if (code == 0 && page.next != VEX_SLOT_NONE) {
        struct vex_id next = vex_rows_id(read.data.rows, page.next);
        *ret_next = vex_id_dup(read.arena, &next);
        *ret_has_next = true;
    }
    vex_mem_free(page.list.slots);
    vex_read_close(&read);
    return code;
}
