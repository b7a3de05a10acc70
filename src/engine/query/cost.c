/* Estimated cost of reads from the counts kept in memory; opens nothing. The figures are upper bounds of an
 * ordinary core. */
#include "engine/query/query.h"

#define BASE_NS        3000.0 /* lock, one answer of ordinary length */
#define MATCH_NS       200.0  /* a filter on one payload */
#define ID_NS          300.0  /* an id looked up */
#define BYTE_NS        0.08   /* of dense vectors streamed */
#define SPARSE_NS      250.0  /* a stored sparse vector merged */
#define MULTI_ROWS     16.0   /* rows of a stored multivector, guessed */
#define HIT_NS         400.0  /* a hit put together */
#define SHARED_QUERIES 8.0    /* queries that one pass over dense vectors serves */

static uint64_t whole(double ns)
{
    return ns >= 1e18 ? UINT64_C(1000000000000000000) : (uint64_t)ns;
}

static bool counts(struct vex_collection *collection, struct vex_collection_stats *ret)
{
    struct vex_err err;
    return vex_collection_stats(collection, ret, &err) == 0;
}

uint64_t vex_read_cost_scan(struct vex_collection *collection, bool filtered)
{
    struct vex_collection_stats stats;
    if (!filtered || !counts(collection, &stats))
        return whole(BASE_NS);
    return whole(BASE_NS + (double)stats.points * MATCH_NS);
}

static double cost_of(const struct vex_nearest *request, const struct vex_vector_params *params,
                      const struct vex_collection_stats *stats)
{
    double points = (double)stats->points, ns = BASE_NS, each;
    if (request->has_ids && request->id_count < stats->points)
        points = request->id_count;
    if (request->has_ids)
        ns += (double)request->id_count * ID_NS;
    if (request->filter != NULL)
        ns += points * MATCH_NS;
    if (params->kind == VEX_VECTOR_DENSE)
        each = (double)vex_dev_stride(params->size, params->element) * BYTE_NS;
    else if (params->kind == VEX_VECTOR_SPARSE)
        each = SPARSE_NS * (params->idf ? 2 : 1);
    else
        each = MULTI_ROWS * (request->query.rows != 0 ? request->query.rows : 1) * params->size * 4 * BYTE_NS;
    uint64_t limit = request->limit < stats->points ? request->limit : stats->points;
    return ns + points * each + (double)limit * HIT_NS;
}

uint64_t vex_read_cost_nearest(struct vex_collection *collection, const struct vex_nearest *requests,
                               uint32_t count)
{
    struct vex_collection_stats stats;
    if (!counts(collection, &stats))
        return whole(BASE_NS);
    struct vex_config *config = vex_collection_config(collection);
    double dense = 0, others = 0;
    uint32_t dense_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct vex_vector_params *params = vex_config_vector(config, requests[i].using);
        if (params == NULL)
            continue;
        if (params->kind == VEX_VECTOR_DENSE) {
            dense += cost_of(&requests[i], params, &stats);
            dense_count++;
        } else {
            others += cost_of(&requests[i], params, &stats);
        }
    }
    vex_config_unref(config);
    if (dense_count > 1)
        dense /= dense_count < SHARED_QUERIES ? dense_count : SHARED_QUERIES;
    return whole(dense + others);
}
