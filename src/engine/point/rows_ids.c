/* The map from ids to slots: see rows.h.
 *
 * Role      ids.tbl: open addressing, linear probing, at most half full, deletion by shifting back, so a probe ends at the
 *           first empty place. Ids themselves are in the rows (texts in the heap); a place holds slot + 1.
 * Invariant Derived: it can be built from the rows at any time, and is when its file is damaged. */
#include <string.h>

#include "base/mem.h"
#include "engine/point/rows_private.h"

#define PLACES_MIN UINT64_C(512)
/* Rows whose places are fetched ahead while the map is built. */
#define AHEAD 16u

static uint32_t place_get(const struct vex_rows *rows, uint64_t place)
{
    uint64_t page = place / VEX_IDS_PER_PAGE;
    uint32_t slot;
    memcpy(&slot, rows->ids.base + page * VEX_PAGE + (place - page * VEX_IDS_PER_PAGE) * sizeof slot, sizeof slot);
    return slot;
}

static void place_set(struct vex_rows *rows, uint64_t place, uint32_t slot)
{
    memcpy(vex_table_touch(&rows->ids, (uint32_t)place), &slot, sizeof slot);
}

static void place_prefetch(const struct vex_rows *rows, uint64_t place)
{
    uint64_t page = place / VEX_IDS_PER_PAGE;
    __builtin_prefetch(rows->ids.base + page * VEX_PAGE + (place - page * VEX_IDS_PER_PAGE) * sizeof(uint32_t));
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

static uint64_t home_of(const struct vex_rows *rows, uint32_t slot)
{
    struct vex_id id = vex_rows_id(rows, slot);
    return vex_id_hash(&id) & (rows->id_places - 1);
}

uint32_t vex_rows_find(const struct vex_rows *rows, const struct vex_id *id)
{
    if (rows->live_count == 0)
        return VEX_SLOT_NONE;
    uint64_t mask = rows->id_places - 1;
    for (uint64_t place = vex_id_hash(id) & mask;; place = (place + 1) & mask) {
        uint32_t entry = place_get(rows, place);
        if (entry == 0)
            return VEX_SLOT_NONE;
        if (row_has_id(rows, entry - 1, id))
            return entry - 1;
    }
}

uint32_t vex_rows_ids_put(struct vex_rows *rows, const struct vex_id *id, uint32_t slot)
{
    uint64_t mask = rows->id_places - 1;

    for (uint64_t place = vex_id_hash(id) & mask;; place = (place + 1) & mask) {
        uint32_t entry = place_get(rows, place);
        if (entry != 0 && !row_has_id(rows, entry - 1, id))
            continue;
        place_set(rows, place, slot + 1);
        return entry != 0 ? entry - 1 : VEX_SLOT_NONE;
    }
}

void vex_rows_ids_remove(struct vex_rows *rows, uint32_t slot)
{
    uint64_t mask = rows->id_places - 1;
    uint64_t hole = home_of(rows, slot);

    for (uint32_t entry; (entry = place_get(rows, hole)) != slot + 1; hole = (hole + 1) & mask)
        if (entry == 0)
            return;
    for (uint64_t place = (hole + 1) & mask;; place = (place + 1) & mask) {
        uint32_t entry = place_get(rows, place);
        if (entry == 0)
            break;
        /* It may move back when its home is not between the hole and where it is. */
        uint64_t home = home_of(rows, entry - 1);
        if (((place - home) & mask) >= ((place - hole) & mask)) {
            place_set(rows, hole, entry);
            hole = place;
        }
    }
    place_set(rows, hole, 0);
}

/* All live rows into an empty map. Homes are known some rows ahead, so that their memory is there when it is needed. */
static void fill(struct vex_rows *rows)
{
    uint64_t mask = rows->id_places - 1, homes[AHEAD];
    uint32_t slots[AHEAD];
    size_t in = 0, out = 0;

    for (uint32_t slot = vex_bit_next(rows->live, rows->words, 0); slot != VEX_SLOT_NONE || out < in;) {
        if (slot != VEX_SLOT_NONE && in - out < AHEAD) {
            homes[in % AHEAD] = home_of(rows, slot);
            slots[in % AHEAD] = slot;
            place_prefetch(rows, homes[in % AHEAD]);
            in++;
            slot = vex_bit_next(rows->live, rows->words, slot + 1);
            continue;
        }
        uint64_t place = homes[out % AHEAD];
        while (place_get(rows, place) != 0)
            place = (place + 1) & mask;
        place_set(rows, place, slots[out % AHEAD] + 1);
        out++;
    }
}

int vex_rows_ids_reserve(struct vex_rows *rows, uint64_t count)
{
    uint64_t places = rows->id_places != 0 ? rows->id_places : PLACES_MIN;

    if (count > UINT32_MAX / 4)
        return VEX_ENO_MEMORY;
    while (places < count * 2)
        places *= 2;
    if (places == rows->id_places)
        return 0;
    /* The larger size first, while the old map is whole: what can fail is behind us when it is emptied. */
    int r = vex_table_grow(&rows->ids, places);
    if (r != 0)
        return r;
    vex_table_clear(&rows->ids);
    r = vex_table_grow(&rows->ids, places);
    rows->id_places = places;
    fill(rows);
    return r;
}

uint64_t vex_rows_ids_count(const struct vex_rows *rows)
{
    uint64_t count = 0;

    for (uint64_t place = 0; place < rows->id_places; place++)
        count += place_get(rows, place) != 0;
    return count;
}

/* Every live slot once and nothing else. Where in the map is vouched for by the pages' checksums. */
static bool fits_rows(const struct vex_rows *rows)
{
    if (rows->live_count == 0)
        return vex_rows_ids_count(rows) == 0;
    uint64_t *seen = vex_mem_zalloc(rows->words * sizeof *seen), count = 0;
    bool good = rows->live_count * 2 <= rows->id_places;
    for (uint64_t place = 0; place < rows->id_places && good; place++) {
        uint32_t entry = place_get(rows, place);
        if (entry == 0)
            continue;
        good = entry <= rows->slots && vex_bit(rows->live, entry - 1) && !vex_bit(seen, entry - 1);
        if (good)
            vex_bit_set(seen, entry - 1);
        count++;
    }
    vex_mem_free(seen);
    return good && count == rows->live_count;
}

int vex_rows_ids_open(struct vex_rows *rows, const char *path, uint64_t pages, struct vex_err *err)
{
    uint64_t places = PLACES_MIN;
    while (places * 2 <= pages * VEX_IDS_PER_PAGE)
        places *= 2;
    bool fits = pages == 0 || (places + VEX_IDS_PER_PAGE - 1) / VEX_IDS_PER_PAGE == pages;
    int r = vex_table_open(&rows->ids, rows->io, path, VEX_TABLE_IDS, sizeof(uint32_t), fits ? pages : 0, err);

    if (r != 0 && r != VEX_ENO_MEMORY) {
        r = vex_table_open(&rows->ids, rows->io, path, VEX_TABLE_IDS, sizeof(uint32_t), 0, err);
        fits = false;
    }
    if (r != 0)
        return r;
    rows->id_places = fits && pages > 0 ? places : 0;
    if (fits && (rows->id_places > 0 || rows->live_count == 0) && fits_rows(rows))
        return 0;
    vex_table_clear(&rows->ids);
    rows->id_places = 0;
    r = vex_rows_ids_reserve(rows, rows->live_count);
    return r != 0 ? vex_err_set(err, r, "no memory for the ids of %s", path) : 0;
}
