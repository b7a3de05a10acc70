/* Points in an order, page by page. */
#include "engine/query/browse.h"
#include "engine/query/result.h"

int vex_read_scroll(struct vex_collection *collection, const struct vex_scroll *request,
                    struct vex_read_context *context, struct vex_hits *ret, bool *ret_has_next,
                    struct vex_id *ret_next, struct vex_err *err)
{
    struct vex_browse browse = {0};
    struct vex_result_plan plan;
    struct vex_read read;
    *ret = (struct vex_hits){0};
    *ret_has_next = false;
    int code = vex_read_open(&read, collection, context, "Scroll", err);
    if (code != 0)
        return code;
    code = vex_result_plan(&read, &request->payload, &request->vectors, &plan);
    if (code == 0)
        code = vex_browse_run(&read, request, request->limit, &browse);
    if (code == 0)
        code = vex_result_slots(&read, &plan, browse.slots, browse.count, ret);
    for (uint64_t i = 0; code == 0 && browse.values != NULL && i < browse.count; i++) {
        ret->hits[i].has_order_value = true;
        ret->hits[i].order_value = browse.values[i];
    }
    if (code == 0 && browse.next != VEX_SLOT_NONE) {
        struct vex_id next = vex_rows_id(read.data.rows, browse.next);
        *ret_next = vex_id_dup(read.arena, &next);
        *ret_has_next = true;
    }
    vex_browse_done(&browse);
    vex_read_close(&read);
    return code;
}
