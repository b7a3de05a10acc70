/* Browsing: the list of what was found, and who finds it. See browse.h. */
#include "engine/query/browse.h"

#include "base/mem.h"

static int grow_array(void **array, uint64_t count, uint64_t cap, size_t size)
{
    void *bigger = vex_mem_try(cap * size);
    if (bigger == NULL)
        return VEX_ENO_MEMORY;
    if (count > 0)
        memcpy(bigger, *array, count * size);
    vex_mem_free(*array);
    *array = bigger;
    return 0;
}

static int grow(struct vex_read *read, struct vex_browse *browse, bool values)
{
    uint64_t cap = browse->cap != 0 ? browse->cap * 2 : 64;
    void *slots = browse->slots, *order = browse->values;
    int code = grow_array(&slots, browse->count, cap, sizeof *browse->slots);
    browse->slots = slots;
    if (code == 0 && values)
        code = grow_array(&order, browse->count, cap, sizeof *browse->values);
    browse->values = order;
    if (code != 0)
        return vex_read_no_memory(read);
    browse->cap = cap;
    return 0;
}

int vex_browse_take(struct vex_read *read, struct vex_browse *browse, uint32_t slot,
                    const struct vex_order_value *value)
{
    if (browse->skip > 0) {
        browse->skip--;
        return 0;
    }
    if (browse->count == browse->limit) {
        browse->next = slot;
        return 1;
    }
    int code = browse->count == browse->cap ? grow(read, browse, value != NULL) : 0;
    if (code != 0)
        return code;
    if (value != NULL)
        browse->values[browse->count] = *value;
    browse->slots[browse->count++] = slot;
    return 0;
}

uint64_t vex_browse_want(const struct vex_browse *browse)
{
    uint64_t want;
    if (__builtin_add_overflow(browse->skip, browse->limit, &want) || want == UINT64_MAX)
        return UINT64_MAX;
    return want + 1;
}

int vex_browse_run(struct vex_read *read, const struct vex_scroll *request, uint64_t limit,
                   struct vex_browse *ret)
{
    *ret = (struct vex_browse){.skip = request->skip, .limit = limit, .next = VEX_SLOT_NONE};
    if (request->sample)
        return vex_browse_sample(read, request, ret);
    if (request->order_by != NULL)
        return vex_browse_order(read, request, ret);
    return vex_browse_page(read, request, ret);
}

void vex_browse_done(struct vex_browse *browse)
{
    vex_mem_free(browse->slots);
    vex_mem_free(browse->values);
    *browse = (struct vex_browse){.next = VEX_SLOT_NONE};
}
