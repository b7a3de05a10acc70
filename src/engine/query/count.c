/* How many points match. */
#include "engine/query/candidates.h"

static int count(struct vex_read *read, struct vex_filter *filter, uint64_t *ret)
{
    struct vex_read_filter bound;
    struct vex_plan plan;
    int code = vex_read_filter_bind(read, filter, &bound);
    if (code != 0)
        return code;
    vex_candidates_plan(read, &bound, vex_rows_live(read->data.rows), vex_rows_live_count(read->data.rows),
                        &plan);
    code = vex_plan_count(&plan, ret);
    if (code == VEX_ENO_MEMORY)
        code = vex_read_no_memory(read);
    vex_read_filter_unbind(&bound);
    return code;
}

int vex_read_count(struct vex_collection *collection, struct vex_filter *filter,
                   struct vex_read_context *context, uint64_t *ret, struct vex_err *err)
{
    struct vex_read read;
    int code = vex_read_open(&read, collection, context, "Count", err);
    if (code != 0)
        return code;
    code = count(&read, filter, ret);
    vex_read_close(&read);
    return code;
}
