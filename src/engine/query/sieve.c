/* Does a slot match, as cheaply as the walk so far suggests. See sieve.h. */
#include "engine/query/sieve.h"

#include "base/mem.h"

#define WALK_NS   2u    /* a slot passed, its bit tested */
#define GATHER_NS 40u   /* a match put into a heap instead */
#define KEPT_MAX  0.5   /* of the slots, that a screen may leave at most to be worth it */
#define READS_MIN 1000u /* payloads that are always worth reading first */

static double likely_matches(const struct vex_plan_bounds *bounds, double all)
{
    double likely = bounds->likely * all, min = (double)bounds->min, max = (double)bounds->max;
    return likely < min ? min : likely > max ? max : likely;
}

/* Reading those that the cheap conditions leave. */
static void consider_screen(struct vex_sieve *sieve, double walk, double found)
{
    const struct vex_plan_bounds *bounds = &sieve->plan.bounds;
    double reads = walk * bounds->kept;
    double screened = (double)bounds->cheap + walk * WALK_NS + reads * VEX_PLAN_READ_NS;
    if (bounds->kept > KEPT_MAX || screened >= found || screened >= walk * VEX_PLAN_READ_NS)
        return;
    sieve->screens = true;
    sieve->reads_left = (uint64_t)(2 * reads) + READS_MIN;
}

static void estimate(struct vex_sieve *sieve, uint64_t want)
{
    const struct vex_plan *plan = &sieve->plan;
    double all = (double)plan->base_count;
    double matches = likely_matches(&plan->bounds, all);
    double walk = (double)want * all / (matches < 1 ? 1 : matches);
    if (walk > all)
        walk = all;
    sieve->walk = (uint64_t)walk;
    if (plan->way == VEX_PLAN_ALL || plan->way == VEX_PLAN_READ) {
        sieve->reads_left = UINT64_MAX;
        sieve->find_ns = plan->find_ns;
        return;
    }
    double pass = walk * WALK_NS, gather = matches * GATHER_NS;
    double found = (double)plan->find_ns + (pass < gather ? pass : gather);
    sieve->find_ns = (uint64_t)found;
    if (walk * VEX_PLAN_READ_NS <= found)
        sieve->reads_left = (uint64_t)(2 * found / VEX_PLAN_READ_NS) + READS_MIN;
    consider_screen(sieve, walk, found);
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
    vex_mem_free(sieve->screen);
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

static int make_screen(struct vex_sieve *sieve)
{
    sieve->screen = vex_mem_try((vex_plan_words(sieve->plan.slots) + 1) * sizeof *sieve->screen);
    int code = sieve->screen != NULL ? vex_plan_screen(&sieve->plan, sieve->screen) : VEX_ENO_MEMORY;
    return code == VEX_ENO_MEMORY ? vex_read_no_memory(sieve->read) : code;
}

int vex_sieve_screen(struct vex_sieve *sieve, const uint64_t **ret)
{
    int code = 0;
    if (!sieve->is_found && sieve->screens && sieve->screen == NULL)
        code = make_screen(sieve);
    *ret = !sieve->is_found ? sieve->screen : NULL;
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
    const uint64_t *screen;
    code = vex_sieve_screen(sieve, &screen);
    if (code != 0 || (screen != NULL && !vex_plan_bit(screen, plan->slots, slot)))
        return code;
    if (!plan->noted)
        vex_plan_note(&sieve->plan);
    if (sieve->reads_left != UINT64_MAX)
        sieve->reads_left--;
    return vex_plan_match(plan->data, plan->filter, slot);
}
