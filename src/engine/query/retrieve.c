/* Points by id. */
#include "engine/query/read.h"
#include "engine/query/result.h"

#include <stdlib.h>

#include "base/mem.h"

struct found {
    uint32_t slot;
    uint32_t place; /* of its first mention in the request */
};

static int by_slot(const void *pa, const void *pb)
{
    const struct found *a = pa, *b = pb;
    if (a->slot != b->slot)
        return a->slot < b->slot ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

static int by_place(const void *pa, const void *pb)
{
    const struct found *a = pa, *b = pb;
    return a->place < b->place ? -1 : 1;
}

/* Slots of the known ids without repeats, in order of first mention; returns how many. */
static uint32_t find(const struct vex_rows *rows, const struct vex_retrieve *request, struct found *found)
{
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t slot = vex_rows_find(rows, &request->ids[i]);
        if (slot != VEX_SLOT_NONE)
            found[count++] = (struct found){slot, i};
    }
    qsort(found, count, sizeof *found, by_slot);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || found[i].slot != found[i - 1].slot)
            found[kept++] = found[i];
    qsort(found, kept, sizeof *found, by_place);
    return kept;
}

int vex_read_retrieve(struct vex_collection *collection, const struct vex_retrieve *request,
                      struct vex_read_context *context, struct vex_hits *ret, struct vex_err *err)
{
    struct vex_result_plan plan;
    struct vex_read read;
    *ret = (struct vex_hits){0};
    int code = vex_read_open(&read, collection, context, "Retrieve", err);
    if (code != 0)
        return code;
    code = vex_result_plan(&read, &request->payload, &request->vectors, &plan);
    if (code == 0 && request->count > 0) {
        struct found *found = vex_mem_try((size_t)request->count * (sizeof *found + sizeof(uint32_t)));
        uint32_t *slots = found != NULL ? (uint32_t *)(void *)(found + request->count) : NULL;
        uint32_t count = found != NULL ? find(read.data.rows, request, found) : 0;
        for (uint32_t i = 0; i < count; i++)
            slots[i] = found[i].slot;
        code = found != NULL ? vex_result_slots(&read, &plan, slots, count, ret) : vex_read_no_memory(&read);
        vex_mem_free(found);
    }
    vex_read_close(&read);
    return code;
}
