/* Queries of a batch at once. See nearest_parallel.h.
 *
 * Memory    Pieces leave the best slots of their queries in lists; the caller makes the answers of them, since the call's arena is its
 *           own.
 * Filters   are bound by the piece that uses them: groups that share one go one after the other. */
#include "engine/query/nearest_parallel.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/query/pieces.h"

#define GROUPS_MANY   8u       /* so many are worth being shared out however little each of them is */
#define POINTS_MANY   4096u    /* and with so many points two are */
#define SHARED_NS     200000.0 /* walks that take less go one after the other */
#define PIECE_NS      60000.0
#define PIECE_QUERIES 16u

/* ---- lists in place of answers ---- */

static int begin_lists(struct vex_read *read, struct vex_query *queries, uint32_t count,
                       struct vex_scored_list **ret)
{
    struct vex_scored_list *lists = vex_mem_try(count * sizeof *lists);

    *ret = lists;
    if (lists == NULL)
        return vex_read_no_memory(read);
    for (uint32_t i = 0; i < count; i++) {
        lists[i] = (struct vex_scored_list){0};
        if (queries[i].list == NULL)
            queries[i].list = &lists[i];
    }
    return 0;
}

static int end_lists(struct vex_read *read, struct vex_query *queries, uint32_t count,
                     struct vex_scored_list *lists, int code)
{
    for (uint32_t i = 0; i < count; i++) {
        if (queries[i].list != &lists[i])
            continue;
        queries[i].list = NULL;
        if (code == 0)
            code = vex_read_check(read);
        if (code == 0)
            code = vex_nearest_fill(read, &queries[i], lists[i].entries, lists[i].count, lists[i].count);
        vex_scored_list_done(&lists[i]);
    }
    vex_mem_free(lists);
    return code;
}

/* ---- groups ---- */

struct groups {
    struct vex_query *queries;
    const uint32_t *ends;
};

static int run_group(struct vex_read *read, void *arg, uint32_t nth)
{
    const struct groups *groups = arg;
    uint32_t first = nth > 0 ? groups->ends[nth - 1] : 0;

    return vex_nearest_group(read, groups->queries + first, groups->ends[nth] - first);
}

static int by_address(const void *pa, const void *pb)
{
    const struct vex_filter *const *a = pa, *const *b = pb;

    return *a == *b ? 0 : *a < *b ? -1 : 1;
}

/* Binding changes a filter. */
static bool share_filters(struct vex_read *read, const struct vex_query *queries, const uint32_t *ends,
                          uint32_t count)
{
    const struct vex_filter **filters = vex_arena_try(read->arena, 2 * (size_t)count * sizeof *filters);
    size_t n = 0;

    if (filters == NULL)
        return true;
    for (uint32_t i = 0; i < count; i++) {
        /* A group goes by the filters of its first query. */
        const struct vex_nearest *first = queries[i > 0 ? ends[i - 1] : 0].request;

        if (first->filter != NULL)
            filters[n++] = first->filter;
        if (first->corpus != NULL)
            filters[n++] = first->corpus;
    }
    if (n > 1)
        qsort(filters, n, sizeof *filters, by_address);
    for (size_t i = 1; i < n; i++)
        if (filters[i] == filters[i - 1])
            return true;
    return false;
}

static bool worth_sharing(struct vex_read *read, const struct groups *groups, uint32_t count)
{
    return (count >= GROUPS_MANY || (count > 1 && vex_rows_live_count(read->data.rows) >= POINTS_MANY)) &&
           !share_filters(read, groups->queries, groups->ends, count);
}

int vex_nearest_groups(struct vex_read *read, struct vex_query *queries, const uint32_t *ends, uint32_t count)
{
    struct groups groups = {queries, ends};
    struct vex_scored_list *lists;
    int code = 0;

    if (!worth_sharing(read, &groups, count)) {
        for (uint32_t i = 0; i < count && code == 0; i++) {
            code = vex_read_check(read);
            if (code == 0)
                code = run_group(read, &groups, i);
        }
        return code;
    }
    code = begin_lists(read, queries, ends[count - 1], &lists);
    if (code != 0)
        return code;
    code = vex_read_pieces(read, count, run_group, &groups);
    return end_lists(read, queries, ends[count - 1], lists, code);
}

/* ---- walks of one group ---- */

struct walks {
    const struct vex_query_group *group;
    uint32_t each; /* queries a piece */
};

static int run_walks(struct vex_read *read, void *arg, uint32_t nth)
{
    const struct walks *walks = arg;
    struct vex_query_group some = *walks->group;
    uint32_t first = nth * walks->each, left = some.count - first;

    some.queries += first;
    some.count = left < walks->each ? left : walks->each;
    return vex_nearest_graph(read, &some);
}

int vex_nearest_walks(struct vex_read *read, const struct vex_query_group *group, const struct vex_walk *walk)
{
    struct walks walks = {.group = group, .each = 1};
    struct vex_scored_list *lists;
    int code;

    if (group->count < 2 || walk->ns * group->count < SHARED_NS)
        return vex_nearest_graph(read, group);
    while (walks.each < PIECE_QUERIES && walk->ns * walks.each < PIECE_NS)
        walks.each++;
    code = begin_lists(read, group->queries, group->count, &lists);
    if (code != 0)
        return code;
    code = vex_read_pieces(read, (group->count + walks.each - 1) / walks.each, run_walks, &walks);
    return end_lists(read, group->queries, group->count, lists, code);
}
