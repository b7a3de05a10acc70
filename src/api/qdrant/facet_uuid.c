/* The engine's index keeps texts as they are; two spellings of one UUID are two values to it, and one to a client. */
#include "api/qdrant/facet_uuid.h"

#include <stdlib.h>

struct counted {
    struct vex_id id;
    uint64_t count;
};

static int by_id(const void *a, const void *b)
{
    return vex_id_cmp(&((const struct counted *)a)->id, &((const struct counted *)b)->id);
}

static int by_count(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;

    return x->count != y->count ? (x->count > y->count ? -1 : 1) : by_id(a, b);
}

/* A point that holds both spellings is counted twice: nothing here tells. */
static size_t merge(struct counted *list, size_t count)
{
    size_t kept = 0;

    qsort(list, count, sizeof *list, by_id);
    for (size_t i = 0; i < count; i++)
        if (kept != 0 && vex_id_eq(&list[kept - 1].id, &list[i].id))
            list[kept - 1].count += list[i].count;
        else
            list[kept++] = list[i];
    return kept;
}

size_t vex_facet_uuids(struct vex_arena *arena, struct vex_facet_hit *hits, size_t count, uint64_t limit)
{
    struct counted *list = VEX_ARENA_ARRAY(arena, struct counted, count + 1);
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (hits[i].value.kind == VEX_FACET_TEXT && vex_id_from_uuid_text(hits[i].value.text, &list[n].id))
            list[n++].count = hits[i].count;
    n = merge(list, n);
    qsort(list, n, sizeof *list, by_count);
    n = n < limit ? n : (size_t)limit;
    for (size_t i = 0; i < n; i++) {
        hits[i].value.text = vex_id_text(arena, &list[i].id);
        hits[i].count = list[i].count;
    }
    return n;
}
