/* How many points match. */
#include "engine/query/candidates.h"

int vex_read_count(struct vex_collection *collection, struct vex_filter *filter,
                   struct vex_read_context *context, uint64_t *ret, struct vex_err *err)
{
    struct vex_read read;
    int code = vex_read_open(&read, collection, context, "Count", err);
    if (code != 0)
        return code;
    if (filter == NULL) {
        *ret = vex_rows_live_count(read.data.rows);
        vex_read_close(&read);
        return 0;
    }
    struct vex_read_filter bound;
    struct vex_candidates matches = {0};
    code = vex_read_filter_bind(&read, filter, &bound);
    if (code == 0) {
        code = vex_candidates_find(&read, &bound, (struct vex_id_list){0}, VEX_NO_ORDINAL, &matches);
        vex_read_filter_unbind(&bound);
    }
    if (code == 0)
        *ret = matches.count;
    vex_candidates_done(&matches);
    vex_read_close(&read);
    return code;
}
