/* Memory that walks use again and again, one set a thread. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/graph_private.h"
#include "uapi/dist.h"

static void scratch_free(void *arg)
{
    struct graph_scratch *s = arg;

    vex_mem_free(s->visited);
    vex_mem_free(s->touched);
    vex_mem_free(s->beam);
    vex_mem_free(s->allowed);
    vex_mem_free(s->query);
    vex_mem_free(s->node);
    vex_mem_free(s->candidate);
    vex_mem_free(s->put);
    vex_mem_free(s->unit);
    vex_mem_free(s->found);
    vex_mem_free(s->nearest);
    vex_mem_free(s);
}

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    if (pthread_key_create(&scratch_key, scratch_free) != 0)
        abort();
}

static struct graph_scratch *own_scratch(void)
{
    static _Thread_local struct graph_scratch *own;

    if (own == NULL) {
        pthread_once(&scratch_once, make_key);
        own = VEX_NEW(struct graph_scratch);
        pthread_setspecific(scratch_key, own);
    }
    return own;
}

struct graph_scratch *graph_scratch(const struct vex_graph *graph, uint32_t ef)
{
    struct graph_scratch *s = own_scratch();

    if (s->visited_slots < graph->slots) {
        vex_mem_free(s->visited);
        s->visited_slots =
            graph->slots < UINT32_MAX / 2 ? (graph->slots + graph->slots / 4) | 63 : UINT32_MAX;
        s->visited = vex_mem_zalloc((s->visited_slots / 64 + 1) * sizeof *s->visited);
    }
    if (s->beam_max < ef + 1) {
        s->beam_max = ef + ef / 2 + 64;
        s->beam = vex_mem_realloc(s->beam, s->beam_max * sizeof *s->beam);
    }
    if (s->allowed_max < graph->degree) {
        s->allowed_max = graph->degree;
        s->allowed = vex_mem_realloc(s->allowed, graph->degree * sizeof *s->allowed);
    }
    if (s->query_max < graph->codes.query_size) {
        s->query_max = graph->codes.query_size;
        s->query = vex_mem_realloc(s->query, s->query_max);
        s->node = vex_mem_realloc(s->node, s->query_max);
        s->candidate = vex_mem_realloc(s->candidate, s->query_max);
    }
    return s;
}

struct vex_graph_hit *graph_scratch_found(struct graph_scratch *s, uint32_t count)
{
    if (s->found_max < count) {
        s->found_max = count + count / 2;
        s->found = vex_mem_realloc(s->found, s->found_max * sizeof *s->found);
    }
    return s->found;
}

uint32_t *graph_scratch_nearest(struct graph_scratch *s, uint32_t count)
{
    if (s->nearest_max < count) {
        s->nearest_max = count + count / 2;
        s->nearest = vex_mem_realloc(s->nearest, s->nearest_max * sizeof *s->nearest);
    }
    return s->nearest;
}

void graph_scratch_touch_more(struct graph_scratch *s)
{
    s->touched_max = s->touched_max != 0 ? 2 * s->touched_max : 4096;
    s->touched = vex_mem_realloc(s->touched, s->touched_max * sizeof *s->touched);
}

const float *graph_scratch_unit(const struct vex_graph *graph, struct graph_scratch *s, const float *vector)
{
    uint32_t size = graph->params.dimensions;

    if (!graph->params.normalise)
        return vector;
    if (s->unit_max < size) {
        s->unit_max = size;
        s->unit = vex_mem_realloc(s->unit, size * sizeof *s->unit);
    }
    memcpy(s->unit, vector, size * sizeof *s->unit);
    vex_dist_normalise(s->unit, size);
    return s->unit;
}

void graph_scratch_note_put(const struct vex_graph *graph, struct graph_scratch *s, uint32_t slot,
                            const float *vector)
{
    if (s->put_max < graph->codes.query_size) {
        s->put_max = graph->codes.query_size;
        s->put = vex_mem_realloc(s->put, s->put_max);
    }
    vex_codes_query(&graph->codes, vector, s->put);
    s->put_in = graph;
    s->put_slot = slot;
}

const uint8_t *graph_scratch_put(const struct vex_graph *graph, const struct graph_scratch *s, uint32_t slot)
{
    return s->put_in == graph && s->put_slot == slot ? s->put : NULL;
}
