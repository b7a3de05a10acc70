/* Browsing by a field's values: the index is walked in order and slots that match are taken, one for each value of theirs. Slots
 * that the index doesn't know rightly come from a walk of their own; the two are merged. When few slots match, their values are read
 * instead. Equal values come in no particular order, as with the peer. */
#include "engine/query/browse.h"
#include "engine/query/field.h"
#include "engine/query/sieve.h"

#define PASS_NS 20u  /* an entry of the index passed, its slot's bit tested */
#define READ_NS 800u /* a slot's values read and put in order */

/* One walk, and where it stands. */
struct source {
    struct vex_index_walk walk;
    bool open; /* value and slot are the next ones */
    struct vex_order_value value;
    uint32_t slot;
};

/* An array that holds a value twice counts once; such entries are neighbours. */
static int advance(struct vex_read *read, const struct vex_field *field, struct source *source, bool first)
{
    bool own = source->walk.index != field->extra;
    struct vex_order_value last = source->value;
    uint32_t last_slot = source->slot;
    for (;;) {
        int code = vex_read_step(read);
        if (code != 0)
            return code;
        source->open = vex_index_walk_next(&source->walk, &source->value, &source->slot);
        if (!source->open)
            return 0;
        if (own && !vex_field_counts(field, source->slot))
            continue;
        if (first || source->slot != last_slot || vex_order_cmp(&source->value, &last) != 0)
            return 0;
    }
}

static int start(struct vex_read *read, const struct vex_order_by *order, const struct vex_field *field,
                 const struct vex_index *index, struct source *source)
{
    *source = (struct source){0};
    if (index == NULL)
        return 0;
    vex_index_walk(index, order->descending, order->has_from ? &order->from : NULL, &source->walk);
    return advance(read, field, source, true);
}

static struct source *next_of(const struct vex_order_by *order, struct source *a, struct source *b)
{
    if (!a->open || !b->open)
        return a->open ? a : b->open ? b : NULL;
    int cmp = vex_order_cmp(&a->value, &b->value);
    return (order->descending ? cmp >= 0 : cmp <= 0) ? a : b;
}

/* Finds the matches beforehand when reading all payloads on the way would cost more; of few matches, only their values count. */
static int narrow(struct vex_read *read, struct vex_sieve *sieve, struct vex_field *field)
{
    if (!sieve->is_found && sieve->reads_left > 0)
        return 0;
    int code = vex_sieve_find(sieve);
    if (code == 0 && sieve->found.count < sieve->walk / (READ_NS / PASS_NS))
        code = vex_field_narrow(read, &sieve->found, field);
    return code;
}

static int merge(struct vex_read *read, const struct vex_scroll *request, struct vex_field *field,
                 struct vex_browse *browse)
{
    const struct vex_order_by *order = request->order_by;
    struct vex_id_list ids = {request->ids, request->id_count, request->has_ids};
    struct source complete, extra, *source;
    struct vex_sieve sieve;
    int code = vex_sieve_open(&sieve, read, request->filter, ids, vex_browse_want(browse));
    if (code != 0)
        return code;
    code = narrow(read, &sieve, field);
    if (code == 0)
        code = start(read, order, field, field->index, &complete);
    if (code == 0)
        code = start(read, order, field, field->extra, &extra);
    while (code == 0 && (source = next_of(order, &complete, &extra)) != NULL) {
        code = vex_sieve_passes(&sieve, source->slot);
        if (code > 0)
            code = vex_browse_take(read, browse, source->slot, &source->value);
        if (code == 0)
            code = advance(read, field, source, false);
    }
    vex_sieve_close(&sieve);
    return code < 0 ? code : 0;
}

int vex_browse_order(struct vex_read *read, const struct vex_scroll *request, struct vex_browse *browse)
{
    const struct vex_path *key = &request->order_by->key;
    struct vex_field field;
    int code = vex_field_open(read, key, vex_index_ordered, &field);
    if (code == VEX_ENOT_FOUND)
        return vex_err_set(
            read->err, VEX_EBAD_INPUT,
            "No range index for `order_by` key: `" VEX_STR_FMT
            "`. Please create one to use `order_by`. Check "
            "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload "
            "schemas support Range conditions",
            VEX_STR_ARG(key->text));
    if (code != 0)
        return code;
    code = merge(read, request, &field, browse);
    browse->next = VEX_SLOT_NONE;
    vex_field_close(&field);
    return code;
}
