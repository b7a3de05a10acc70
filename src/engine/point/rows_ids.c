/* The map from ids to slots: see rows.h.
 *
 * Role      ids.tbl: open addressing, linear probing, at most half full, deletion by shifting back, so a
 *           probe ends at the first empty place. Ids themselves are in the rows (texts in the heap). A
 *           place holds slot + 1 (0: empty) and the low half of the id's hash, which says where it belongs
 *           and spares a look at most rows that are not meant: a lookup costs two cache misses, and moving
 *           entries needs no rows at all.
 * Invariant Derived: it can be built from the rows at any time, and is when its file is damaged. The file is
 *           verified before the map is first looked at, not at opening: searches need no ids. */
#include <string.h>

#include "base/mem.h"
#include "engine/point/rows_private.h"

#define PLACES_MIN UINT64_C(512)
/* Entries whose places are fetched ahead while the map is built. */
#define AHEAD 16u

struct place {
    uint32_t slot; /* + 1 */
    uint32_t hash;
};
_Static_assert(sizeof(struct place) == VEX_IDS_STRIDE, "");

static struct place place_in(const struct vex_table *ids, uint64_t at)
{
    uint64_t page = at / VEX_IDS_PER_PAGE;
    struct place place;
    memcpy(&place, ids->base + page * VEX_PAGE + (at - page * VEX_IDS_PER_PAGE) * sizeof place, sizeof place);
    return place;
}

static struct place place_get(const struct vex_rows *rows, uint64_t at)
{
    return place_in(&rows->ids, at);
}

static void place_set(struct vex_rows *rows, uint64_t at, struct place place)
{
    memcpy(vex_table_touch(&rows->ids, (uint32_t)at), &place, sizeof place);
    rows->next_places = 0;
}

static void place_prefetch(const struct vex_rows *rows, uint64_t at)
{
    uint64_t page = at / VEX_IDS_PER_PAGE;
    __builtin_prefetch(rows->ids.base + page * VEX_PAGE +
                       (at - page * VEX_IDS_PER_PAGE) * sizeof(struct place));
}

static bool row_has_id(const struct vex_rows *rows, uint32_t slot, const struct vex_id *id)
{
    const struct vex_row *row = vex_row_at(rows, slot);

    if (row->id_kind != id->kind)
        return false;
    if (id->kind == VEX_ID_NUM)
        return row->id[0] == id->num;
    if (id->kind == VEX_ID_UUID)
        return memcmp(row->id, id->uuid, sizeof id->uuid) == 0;
    if (row->id[1] != id->text.len)
        return false;
    struct vex_str text = vex_heap_peek(rows->heap, row->id[0], (uint32_t)row->id[1]);
    return text.ptr != NULL && vex_str_eq(text, id->text);
}

uint32_t vex_rows_find(const struct vex_rows *rows, const struct vex_id *id)
{
    if (rows->live_count == 0)
        return VEX_SLOT_NONE;
    vex_rows_ids_settle(rows);
    uint64_t mask = rows->id_places - 1;
    uint32_t hash = (uint32_t)vex_id_hash(id);
    for (uint64_t at = hash & mask;; at = (at + 1) & mask) {
        struct place place = place_get(rows, at);
        if (place.slot == 0)
            return VEX_SLOT_NONE;
        if (place.hash == hash && row_has_id(rows, place.slot - 1, id))
            return place.slot - 1;
    }
}

uint32_t vex_rows_ids_put(struct vex_rows *rows, const struct vex_id *id, uint32_t slot)
{
    vex_rows_ids_settle(rows);
    uint64_t mask = rows->id_places - 1;
    uint32_t hash = (uint32_t)vex_id_hash(id);

    for (uint64_t at = hash & mask;; at = (at + 1) & mask) {
        struct place place = place_get(rows, at);
        if (place.slot != 0 && (place.hash != hash || !row_has_id(rows, place.slot - 1, id)))
            continue;
        place_set(rows, at, (struct place){slot + 1, hash});
        return place.slot != 0 ? place.slot - 1 : VEX_SLOT_NONE;
    }
}

void vex_rows_ids_remove(struct vex_rows *rows, uint32_t slot)
{
    vex_rows_ids_settle(rows);
    struct vex_id id = vex_rows_id(rows, slot);
    uint64_t mask = rows->id_places - 1;
    uint64_t hole = vex_id_hash(&id) & mask;
    struct place place;

    for (; (place = place_get(rows, hole)).slot != slot + 1; hole = (hole + 1) & mask)
        if (place.slot == 0)
            return;
    for (uint64_t at = (hole + 1) & mask; (place = place_get(rows, at)).slot != 0; at = (at + 1) & mask) {
        /* It may move back when its home is not between the hole and where it is. */
        if (((at - place.hash) & mask) >= ((at - hole) & mask)) {
            place_set(rows, hole, place);
            hole = at;
        }
    }
    place_set(rows, hole, (struct place){0});
}

static void insert(struct vex_table *ids, uint64_t places, struct place place)
{
    uint64_t at = place.hash & (places - 1);

    while (place_in(ids, at).slot != 0)
        at = (at + 1) & (places - 1);
    memcpy(vex_table_touch(ids, (uint32_t)at), &place, sizeof place);
}

/* All live rows into an empty map. Hashes are known some rows ahead, so that their memory is there when it is
 * needed. */
static void fill(struct vex_rows *rows)
{
    struct place ring[AHEAD];
    size_t in = 0, out = 0;

    for (uint32_t slot = vex_bit_next(rows->live, rows->words, 0); slot != VEX_SLOT_NONE;
         slot = vex_bit_next(rows->live, rows->words, slot + 1)) {
        struct vex_id id = vex_rows_id(rows, slot);
        if (in - out == AHEAD)
            insert(&rows->ids, rows->id_places, ring[out++ % AHEAD]);
        ring[in % AHEAD] = (struct place){slot + 1, (uint32_t)vex_id_hash(&id)};
        place_prefetch(rows, ring[in++ % AHEAD].hash & (rows->id_places - 1));
    }
    while (out < in)
        insert(&rows->ids, rows->id_places, ring[out++ % AHEAD]);
}

/* An empty map of `places`; what can fail is done while the old one is whole. */
static int resize(struct vex_rows *rows, uint64_t places)
{
    int r = vex_table_grow(&rows->ids, places);
    if (r != 0)
        return r;
    vex_table_clear(&rows->ids);
    r = vex_table_grow(&rows->ids, places);
    rows->id_places = places;
    return r;
}

/* 0: too many. */
static uint64_t places_for(const struct vex_rows *rows, uint64_t count)
{
    uint64_t places = rows->id_places != 0 ? rows->id_places : PLACES_MIN;

    if (count > UINT32_MAX / 4)
        return 0;
    while (places < count * 2)
        places *= 2;
    return places;
}

/* A larger map of what is in this one, which stays as it is. */
static int build_next(struct vex_rows *rows, uint64_t places)
{
    struct vex_err err;

    vex_rows_ids_settle(rows);
    vex_table_close(&rows->ids_next);
    rows->next_places = 0;
    int r = vex_table_map(&rows->ids_next, rows->io, rows->ids.path, VEX_TABLE_IDS, VEX_IDS_STRIDE, 0, &err);
    if (r == 0)
        r = vex_table_grow(&rows->ids_next, places);
    if (r != 0)
        return r;
    for (uint64_t at = 0; at < rows->id_places; at++) {
        struct place place = place_get(rows, at);
        if (place.slot != 0)
            insert(&rows->ids_next, places, place);
    }
    rows->next_places = places;
    return 0;
}

int vex_rows_ids_prepare(struct vex_rows *rows, uint64_t count)
{
    uint64_t places = places_for(rows, count);

    vex_table_close(&rows->ids_old);
    if (places == 0)
        return VEX_ENO_MEMORY;
    return places == rows->id_places || places == rows->next_places ? 0 : build_next(rows, places);
}

int vex_rows_ids_reserve(struct vex_rows *rows, uint64_t count)
{
    uint64_t places = places_for(rows, count);
    int r = 0;

    if (places == 0)
        return VEX_ENO_MEMORY;
    if (places == rows->id_places)
        return 0;
    if (places != rows->next_places)
        r = build_next(rows, places);
    if (r != 0)
        return r;
    vex_table_close(&rows->ids_old);
    rows->ids_old = rows->ids;
    rows->ids = rows->ids_next;
    rows->id_places = places;
    rows->ids_next = (struct vex_table){0};
    rows->next_places = 0;
    return 0;
}

uint64_t vex_rows_ids_count(const struct vex_rows *rows)
{
    uint64_t count = 0;

    vex_rows_ids_settle(rows);
    for (uint64_t at = 0; at < rows->id_places; at++)
        count += place_get(rows, at).slot != 0;
    return count;
}

struct fitting {
    const struct vex_rows *rows;
    uint64_t *seen; /* slots */
    uint64_t count;
};

/* Every live slot once and nothing else. Where in the map is vouched for by the pages' checksums. */
static int fit_page(void *arg, const char *page, uint64_t index, struct vex_err *err)
{
    struct fitting *fitting = arg;
    const struct vex_rows *rows = fitting->rows;
    uint64_t left = rows->id_places - index * VEX_IDS_PER_PAGE;
    uint32_t places = left < VEX_IDS_PER_PAGE ? (uint32_t)left : VEX_IDS_PER_PAGE;

    for (uint32_t i = 0; i < places; i++) {
        struct place place;
        memcpy(&place, page + (size_t)i * sizeof place, sizeof place);
        if (place.slot == 0)
            continue;
        uint32_t slot = place.slot - 1;
        if (slot >= rows->slots || !vex_bit(rows->live, slot) || vex_bit(fitting->seen, slot))
            return vex_err_set(err, VEX_ECORRUPT, "%s does not fit its rows", rows->ids.path);
        vex_bit_set(fitting->seen, slot);
        fitting->count++;
    }
    return 0;
}

static bool fits_rows(struct vex_rows *rows)
{
    struct fitting fitting = {.rows = rows};
    struct vex_err err;

    fitting.seen = vex_mem_zalloc((rows->words + 1) * sizeof *fitting.seen);
    int r = vex_table_verify(&rows->ids, fit_page, &fitting, &err);
    vex_mem_free(fitting.seen);
    return r == 0 && fitting.count == rows->live_count;
}

/* Called with ids_lock. Growing can't fail: the room that held a map of this size holds another. */
static void settle(struct vex_rows *rows)
{
    if (fits_rows(rows))
        return;
    vex_table_clear(&rows->ids);
    (void)vex_table_grow(&rows->ids, rows->id_places);
    fill(rows);
}

/* Readers do it too, under the shared lock: nobody else looks at the map before ids_settled. */
void vex_rows_ids_settle(const struct vex_rows *rows)
{
    struct vex_rows *map = (struct vex_rows *)(uintptr_t)rows;

    if (atomic_load_explicit(&rows->ids_settled, memory_order_acquire))
        return;
    pthread_mutex_lock(&map->ids_lock);
    if (!atomic_load_explicit(&rows->ids_settled, memory_order_relaxed))
        settle(map);
    atomic_store_explicit(&map->ids_settled, true, memory_order_release);
    pthread_mutex_unlock(&map->ids_lock);
}

static int build(struct vex_rows *rows, const char *path, struct vex_err *err)
{
    uint64_t places = PLACES_MIN;

    while (places < rows->live_count * 2)
        places *= 2;
    int r = resize(rows, places);
    if (r != 0)
        return vex_err_set(err, r, "no memory for the ids of %s", path);
    fill(rows);
    atomic_store(&rows->ids_settled, true);
    return 0;
}

int vex_rows_ids_open(struct vex_rows *rows, const char *path, uint64_t pages, struct vex_err *err)
{
    uint64_t places = PLACES_MIN;
    if (pages > UINT32_MAX)
        pages = 1; /* fits no size of the map */
    while (places * 2 <= pages * VEX_IDS_PER_PAGE)
        places *= 2;
    bool fits = (places + VEX_IDS_PER_PAGE - 1) / VEX_IDS_PER_PAGE == pages && places >= rows->live_count * 2;
    int r = vex_table_map(&rows->ids, rows->io, path, VEX_TABLE_IDS, VEX_IDS_STRIDE, fits ? pages : 0, err);

    if (r != 0 && r != VEX_ENO_MEMORY) {
        r = vex_table_map(&rows->ids, rows->io, path, VEX_TABLE_IDS, VEX_IDS_STRIDE, 0, err);
        fits = false;
    }
    if (r != 0)
        return r;
    rows->id_places = fits ? places : 0;
    if (pages == 0 && rows->live_count == 0)
        atomic_store(&rows->ids_settled, true);
    else if (!fits)
        return build(rows, path, err);
    return 0;
}
