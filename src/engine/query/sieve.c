/* Does a slot match, as cheaply as the walk so far suggests. See sieve.h. */
#include "engine/query/sieve.h"

#define WALK_NS   10u   /* a slot passed, its bit tested */
#define GATHER_NS 200u  /* a match put into a heap instead */
#define READS_MIN 1000u /* payloads that are always worth reading first */

static void estimate(struct vex_sieve *sieve, uint64_t want)
{
    const struct vex_plan *plan = &sieve->plan;
    double all = (double)plan->base_count;
    double matches = ((double)plan->bounds.min + (double)plan->bounds.max) / 2;
    double walk = (double)want * all / (matches < 1 ? 1 : matches);
    if (walk > all)
        walk = all;
    sieve->walk = (uint64_t)walk;
    if (plan->way == VEX_PLAN_ALL || plan->way == VEX_PLAN_READ) {
        sieve->reads_left = UINT64_MAX;
        sieve->find_ns = plan->find_ns;
        return;
    }
    double pass = walk * WALK_NS, gather = (double)plan->bounds.max * GATHER_NS;
    double found = (double)plan->find_ns + (pass < gather ? pass : gather);
    sieve->find_ns = (uint64_t)found;
    if (walk * VEX_PLAN_READ_NS <= found)
        sieve->reads_left = (uint64_t)(2 * found / VEX_PLAN_READ_NS) + READS_MIN;
}

int vex_sieve_open(struct vex_sieve *sieve, struct vex_read *read, struct vex_filter *filter,
                   struct vex_id_list ids, uint64_t want)
{
    const struct vex_rows *rows = read->data.rows;
    *sieve = (struct vex_sieve){.read = read};
    int code = vex_read_filter_bind(read, filter, &sieve->filter);
    if (code != 0)
        return code;
    if (ids.given) {
        code = vex_candidates_find(read, &sieve->filter, ids, VEX_NO_ORDINAL, &sieve->found);
        sieve->is_found = true;
        sieve->walk = vex_rows_live_count(rows);
        if (code != 0)
            vex_read_filter_unbind(&sieve->filter);
        return code;
    }
    vex_candidates_plan(read, &sieve->filter, vex_rows_live(rows), vex_rows_live_count(rows), &sieve->plan);
    estimate(sieve, want);
    return 0;
}

void vex_sieve_close(struct vex_sieve *sieve)
{
    vex_candidates_done(&sieve->found);
    vex_read_filter_unbind(&sieve->filter);
}

int vex_sieve_find(struct vex_sieve *sieve)
{
    if (sieve->is_found)
        return 0;
    int code = vex_candidates_of(sieve->read, &sieve->plan, &sieve->found);
    sieve->is_found = code == 0;
    return code;
}

int vex_sieve_passes(struct vex_sieve *sieve, uint32_t slot)
{
    const struct vex_plan *plan = &sieve->plan;
    int code = vex_read_step(sieve->read);
    if (code != 0)
        return code;
    if (!sieve->is_found && sieve->reads_left == 0) {
        code = vex_sieve_find(sieve);
        if (code != 0)
            return code;
    }
    if (sieve->is_found)
        return sieve->found.count != 0 && vex_plan_bit(sieve->found.allow, sieve->found.slots, slot);
    if (!vex_plan_bit(plan->base, plan->slots, slot))
        return 0;
    if (plan->filter == NULL)
        return 1;
    if (sieve->reads_left != UINT64_MAX)
        sieve->reads_left--;
    return vex_plan_match(plan->data, plan->filter, slot);
}
