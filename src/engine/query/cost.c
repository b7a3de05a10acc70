/* Estimated cost of reads; opens nothing and waits for nothing. The figures are upper bounds of an ordinary core.
 *
 * Lock      The collection's is only tried: while it is held exclusive, or the collection is not open, a read will have to wait. That is
 *           said as a cost that no thread of a connection bears, though not as that of a long read, which it need not be. */
#include "engine/internal.h"
#include "engine/query/nearest.h"
#include "engine/query/sieve.h"

#define BASE_NS        3000.0   /* lock, one answer of ordinary length */
#define ID_NS          300.0    /* an id looked up */
#define BYTE_NS        0.08     /* of dense vectors streamed */
#define SPARSE_NS      250.0    /* a stored sparse vector merged */
#define MULTI_ROWS     16.0     /* rows of a stored multivector, guessed */
#define HIT_NS         400.0    /* a hit put together */
#define PAYLOAD_NS     1100.0   /* its payload, an ordinary one, until it is on the wire */
#define FLOAT_NS       15.0     /* each number of its vector */
#define SHARED_QUERIES 8.0      /* queries that one pass over dense vectors serves */
#define FILTERED_NS    400000.0 /* what a search takes longer at most, since only some may be answered */
#define WAIT_NS        2e6 /* opening, or somebody else's write: too long for a thread that serves a connection */
#define WAIT_EXACT     5.0  /* times that: what is surely long */
#define WEIGHT_MAX     256u /* conditions and values of a filter that are worth being looked at twice */

static uint64_t whole(double ns)
{
    return ns >= 1e18 ? UINT64_C(1000000000000000000) : (uint64_t)ns;
}

/* The points of a collection whose lock can be had at once; then it is held. */
static bool enter(struct vex_collection *collection, double *ret_points)
{
    if (!atomic_load(&collection->open) || pthread_rwlock_tryrdlock(&collection->lock) != 0)
        return false;
    *ret_points = (double)vex_rows_live_count(collection->data.rows);
    return true;
}

static void leave(struct vex_collection *collection)
{
    pthread_rwlock_unlock(&collection->lock);
}

static bool count_points(struct vex_collection *collection, double *ret_points)
{
    if (!enter(collection, ret_points))
        return false;
    leave(collection);
    return true;
}

uint64_t vex_read_cost_scan(struct vex_collection *collection, bool filtered)
{
    double points;
    if (!count_points(collection, &points))
        return whole(WAIT_NS);
    return whole(BASE_NS + (filtered ? points * VEX_PLAN_READ_NS : 0));
}

/* ---- filters ---- */

static uint64_t weight(const struct vex_filter *filter)
{
    const struct vex_cond_list *lists[] = {&filter->must, &filter->should, &filter->must_not,
                                           &filter->min_should};
    uint64_t sum = 0;
    for (int l = 0; l < 4; l++)
        for (uint32_t i = 0; i < lists[l]->count && sum <= WEIGHT_MAX; i++) {
            const struct vex_cond *cond = &lists[l]->conds[i];
            sum++;
            if (cond->kind == VEX_COND_FILTER || cond->kind == VEX_COND_NESTED)
                sum += weight(cond->sub);
            else if (cond->kind == VEX_COND_ANY || cond->kind == VEX_COND_EXCEPT)
                sum += (uint64_t)cond->values.text_count + cond->values.int_count;
            else if (cond->kind == VEX_COND_HAS_ID)
                sum += cond->ids.count;
            else if (cond->kind == VEX_COND_REGEX || cond->kind == VEX_COND_GEO_POLYGON)
                sum = WEIGHT_MAX + 1;
        }
    return sum;
}

uint64_t vex_read_cost_filter(struct vex_collection *collection, struct vex_filter *filter, uint64_t want)
{
    struct vex_err err;
    double points;
    if (filter == NULL || weight(filter) > WEIGHT_MAX)
        return vex_read_cost_scan(collection, filter != NULL);
    if (!enter(collection, &points))
        return whole(WAIT_NS);
    struct vex_arena arena;
    struct vex_sieve sieve;
    vex_arena_init(&arena, 0);
    struct vex_read_context context = {.arena = &arena};
    struct vex_read read = {.collection = collection,
                            .data = collection->data,
                            .context = &context,
                            .arena = &arena,
                            .err = &err};
    double ns = BASE_NS; /* a filter that is refused costs nothing more */
    if (vex_sieve_open(&sieve, &read, filter, (struct vex_id_list){0}, want) == 0) {
        bool reads = want != UINT64_MAX && sieve.reads_left > 0;
        if (want != UINT64_MAX || !vex_plan_is_counted(&sieve.plan))
            ns += reads ? (double)sieve.walk * VEX_PLAN_READ_NS : (double)sieve.find_ns;
        vex_sieve_close(&sieve);
    }
    vex_arena_done(&arena);
    leave(collection);
    return whole(ns);
}

/* ---- searches ---- */

/* Of requests that nothing is known about yet. */
static uint64_t wait_cost(const struct vex_nearest *requests, uint32_t count)
{
    double ns = 0;
    for (uint32_t i = 0; i < count; i++)
        ns += requests[i].exact ? WAIT_NS * WAIT_EXACT : WAIT_NS;
    return whole(ns);
}

/* By a graph, if the lock can be had: an estimate that turns out wrong does no harm. */
static bool walk_cost(struct vex_collection *collection, const struct vex_nearest *request,
                      const struct vex_vector_params *params, double points, double *ret)
{
    struct vex_walk walk;
    uint64_t want;
    double now;
    bool walks;

    if (__builtin_add_overflow(request->limit, request->offset, &want) || !enter(collection, &now))
        return false;
    walks = vex_nearest_walk_plan(&collection->data, params, request, want, (uint64_t)points, &walk);
    *ret = walks ? walk.ns : 0;
    leave(collection);
    return walks;
}

static double hit_ns(const struct vex_nearest *request, const struct vex_vector_params *params)
{
    double floats = request->vectors.kind != VEX_VECTORS_NONE ? params->size : 0;
    return HIT_NS + (request->payload.kind != VEX_PAYLOAD_NONE ? PAYLOAD_NS : 0) + floats * FLOAT_NS;
}

static double cost_of(struct vex_collection *collection, const struct vex_nearest *request,
                      const struct vex_vector_params *params, double all, bool *ret_walks)
{
    double points = all, ns = BASE_NS, each;
    if (request->has_ids && request->id_count < points)
        points = request->id_count;
    if (request->has_ids)
        ns += (double)request->id_count * ID_NS;
    if (request->filter != NULL)
        ns += (double)vex_read_cost_filter(collection, request->filter, UINT64_MAX) + FILTERED_NS;
    if (params->kind == VEX_VECTOR_DENSE)
        each = (double)vex_dev_stride(params->size, params->element) * BYTE_NS;
    else if (params->kind == VEX_VECTOR_SPARSE)
        each = SPARSE_NS * (params->idf ? 2 : 1);
    else
        each = MULTI_ROWS * (request->query.rows != 0 ? request->query.rows : 1) * params->size * 4 * BYTE_NS;
    double hits = (double)request->limit < all ? (double)request->limit : all, walk;
    ns += hits * hit_ns(request, params);
    *ret_walks = params->kind == VEX_VECTOR_DENSE && walk_cost(collection, request, params, points, &walk);
    if (*ret_walks)
        return ns + walk;
    return ns + points * each;
}

uint64_t vex_read_cost_nearest(struct vex_collection *collection, const struct vex_nearest *requests,
                               uint32_t count)
{
    double dense = 0, others = 0, points;
    uint32_t dense_count = 0;
    if (!count_points(collection, &points))
        return wait_cost(requests, count);
    struct vex_config *config = vex_collection_config(collection);
    for (uint32_t i = 0; i < count; i++) {
        const struct vex_vector_params *params = vex_config_vector(config, requests[i].using);
        if (params == NULL)
            continue;
        bool walks;
        double cost = cost_of(collection, &requests[i], params, points, &walks);
        if (params->kind == VEX_VECTOR_DENSE && !walks) {
            dense += cost;
            dense_count++;
        } else {
            others += cost;
        }
    }
    vex_config_unref(config);
    if (dense_count > 1)
        dense /= dense_count < SHARED_QUERIES ? dense_count : SHARED_QUERIES;
    return whole(dense + others);
}
