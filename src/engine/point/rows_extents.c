/* Slots of groups: points that are looked for together lie together. See rows.h.
 *
 * Role      Every group (tenants whose value has the same hash, by what the engine does with it) has a list of slots that are kept for it.
 *           A list that is empty gets an extent, a run of free slots or one behind all others, the longer the larger the group is.
 * Owner     The writer, as for all that takes slots.
 * Invariant Slots are decided when an operation is applied and no record names them, while indexes and graphs on the disk do; so a
 *           replay has to decide alike. What is kept at a checkpoint is a function of the rows in it: kept slots carry the group in
 *           their row, as do those of points that are gone, and after it all lists are made anew from the rows, as at opening.
 *           From there on the operations alone decide; what is taken and given back leaves no trace.
 * Bound     No extent is opened beyond what is taken at once when more slots are kept than one in SHARE (ALLOWANCE at least), none
 *           behind the others when so many are free: then points lie where there is room. */
#include <string.h>

#include "base/mem.h"
#include "engine/point/rows_private.h"

#define EXTENT_MIN 4u
#define EXTENT_MAX 64u
#define ALLOWANCE  4096u
#define SHARE      8u
#define LOOKS      64u /* free runs looked at for one extent */

/* Links of slots that are taken: the group that they were kept for, or one of these. */
#define LINK_PLAIN  0u         /* taken without regard to groups */
#define LINK_SINGLE VEX_GROUPS /* for a group, but where there was room */

/* ---- memory ---- */

static void make_groups(struct vex_extents *e)
{
    e->groups = vex_mem_alloc(VEX_GROUPS * sizeof *e->groups);
    for (uint32_t g = 0; g < VEX_GROUPS; g++)
        e->groups[g] = (struct vex_group){.first = VEX_SLOT_NONE, .last = VEX_SLOT_NONE};
}

void vex_rows_extents_done(struct vex_rows *rows)
{
    vex_mem_free(rows->extents.groups);
    vex_mem_free(rows->extents.links);
    vex_mem_free(rows->extents.opened);
}

void vex_rows_extents_found(struct vex_rows *rows, uint16_t group, bool live)
{
    if (rows->extents.groups == NULL)
        make_groups(&rows->extents);
    rows->extents.groups[group].live += live;
}

/* A link for every bit of the bitmap of free slots. */
int vex_rows_extents_reserve(struct vex_rows *rows)
{
    struct vex_extents *e = &rows->extents;
    size_t want = rows->free_words * 64;
    uint32_t *wide;

    if (e->groups == NULL || want <= e->link_count)
        return 0;
    wide = vex_mem_longer(e->links, e->link_count * sizeof *wide, want * sizeof *wide);
    if (wide == NULL)
        return VEX_ENO_MEMORY;
    vex_mem_free(e->links);
    e->links = wide;
    e->link_count = want;
    return 0;
}

static struct vex_extent *note_opened(struct vex_extents *e)
{
    if (e->opened_count == e->opened_cap) {
        e->opened_cap = e->opened_cap == 0 ? 64 : 2 * e->opened_cap;
        e->opened = vex_mem_realloc(e->opened, e->opened_cap * sizeof *e->opened);
    }
    return &e->opened[e->opened_count++];
}

/* ---- extents ---- */

static uint64_t bound_of(const struct vex_rows *rows)
{
    return rows->end / SHARE > ALLOWANCE ? rows->end / SHARE : ALLOWANCE;
}

/* A power of two: up to half of the group, a quarter of it when many slots are kept already. */
static uint32_t usual_size(const struct vex_rows *rows, uint32_t live)
{
    bool many = rows->extents.kept > bound_of(rows) / 2;
    uint32_t least = many ? EXTENT_MIN : 2 * EXTENT_MIN, part = many ? live / 4 : live / 2;

    if (part <= least)
        return least;
    return part >= EXTENT_MAX ? EXTENT_MAX : UINT32_C(1) << (31 - __builtin_clz(part));
}

/* Free slots from `at` on, one after the other, `most` at most. */
static uint32_t run_at(const struct vex_rows *rows, uint32_t at, uint32_t most)
{
    uint32_t len = 0;

    while (len < most && at + len < rows->end && vex_bit(rows->free, at + len))
        len++;
    return len;
}

static bool find_run(struct vex_rows *rows, uint32_t count, uint32_t *ret)
{
    uint32_t at = vex_bit_next(rows->free, rows->free_words, rows->extents.from);

    for (uint32_t looks = 0; looks < LOOKS && at != VEX_SLOT_NONE; looks++) {
        uint32_t len = run_at(rows, at, count);

        rows->extents.from = at;
        if (len == count) {
            *ret = at;
            return true;
        }
        at = vex_bit_next(rows->free, rows->free_words, at + len);
    }
    rows->extents.from = at == VEX_SLOT_NONE ? 0 : at;
    return false;
}

/* Takes the run out of the free slots. */
static void claim(struct vex_rows *rows, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        vex_bit_clear(rows->free, first + i);
    rows->free_count -= count;
}

static int claim_end(struct vex_rows *rows, uint32_t count, uint32_t *ret)
{
    int r = count > VEX_SLOTS_MAX - rows->end ? VEX_ETOO_LARGE
                                              : vex_rows_free_reserve(rows, (uint64_t)rows->end + count);
    if (r != 0)
        return r;
    *ret = rows->end;
    rows->end += count;
    return 0;
}

/* Where the run comes from; *count may become less. *ret VEX_SLOT_NONE: there is room for single points only. */
static int choose(struct vex_rows *rows, const struct vex_group *group, uint32_t *count, uint32_t *ret,
                  bool *ret_at_end)
{
    uint32_t len = group->last != VEX_SLOT_NONE ? run_at(rows, group->last + 1, *count) : 0;

    *ret = VEX_SLOT_NONE;
    if (len > 0) { /* right behind the extent before */
        *count = len;
        *ret = group->last + 1;
        claim(rows, *ret, len);
        return 0;
    }
    for (uint32_t size = *count; size > 1 && rows->free_count > 0; size /= 2) {
        if (find_run(rows, size, ret)) {
            *count = size;
            claim(rows, *ret, size);
            return 0;
        }
        if (vex_rows_unused(rows) <= bound_of(rows))
            break;
    }
    if (*count == 1 || (rows->free_count >= *count && vex_rows_unused(rows) > bound_of(rows)))
        return 0;
    *ret_at_end = true;
    return claim_end(rows, *count, ret);
}

/* The group's list is empty, and still is where single points only have room. */
static int open_extent(struct vex_rows *rows, uint16_t which, uint32_t index)
{
    struct vex_extents *e = &rows->extents;
    struct vex_group *group = &e->groups[which];
    uint32_t size = usual_size(rows, group->live), count, first;
    bool at_end = false;

    count = size > group->wanted ? size : group->wanted;
    if (e->kept + count - group->wanted > bound_of(rows))
        count = group->wanted;
    int r = choose(rows, group, &count, &first, &at_end);
    if (r != 0 || first == VEX_SLOT_NONE)
        return r;
    *note_opened(e) = (struct vex_extent){.first = first,
                                          .count = count,
                                          .index = index,
                                          .before = group->last,
                                          .group = which,
                                          .at_end = at_end};
    group->first = first;
    group->last = first + count - 1;
    for (uint32_t slot = first; slot < group->last; slot++)
        e->links[slot] = slot + 1;
    e->links[group->last] = VEX_SLOT_NONE;
    e->kept += count;
    return 0;
}

/* The opposite: all of the extent is in the list again, and nothing else is. */
static void close_extent(struct vex_rows *rows, const struct vex_extent *extent)
{
    struct vex_extents *e = &rows->extents;

    e->groups[extent->group].first = VEX_SLOT_NONE;
    e->groups[extent->group].last = extent->before;
    e->kept -= extent->count;
    if (extent->at_end) {
        rows->end -= extent->count;
        return;
    }
    for (uint32_t i = extent->count; i-- > 0;)
        vex_rows_give_back(rows, extent->first + i);
}

/* ---- taking ---- */

static void unlink_first(struct vex_extents *e, uint16_t which, uint32_t *ret)
{
    struct vex_group *group = &e->groups[which];

    *ret = group->first;
    group->first = e->links[*ret];
    e->links[*ret] = which;
    e->kept--;
}

static int take_one(struct vex_rows *rows, uint16_t which, uint32_t index, uint32_t *ret)
{
    struct vex_extents *e = &rows->extents;
    int r = e->groups[which].first == VEX_SLOT_NONE ? open_extent(rows, which, index) : 0;

    if (r != 0)
        return r;
    if (e->groups[which].first != VEX_SLOT_NONE) {
        unlink_first(e, which, ret);
    } else {
        r = vex_rows_take_plain(rows, 1, ret);
        if (r == 0)
            e->links[*ret] = LINK_SINGLE;
    }
    e->groups[which].wanted -= r == 0;
    return r;
}

/* Those of no group first, at once. */
static int take_ungrouped(struct vex_rows *rows, uint32_t count, const uint16_t *groups, uint32_t *ret_slots)
{
    uint32_t plain = 0;

    for (uint32_t i = 0; i < count; i++)
        plain += groups[i] == 0;
    int r = vex_rows_take_plain(rows, plain, ret_slots);
    if (r != 0)
        return r;
    vex_rows_extents_note_plain(rows, plain, ret_slots);
    for (uint32_t i = count; i-- > 0;)
        ret_slots[i] = groups[i] == 0 ? ret_slots[--plain] : VEX_SLOT_NONE;
    return 0;
}

int vex_rows_take_grouped(struct vex_rows *rows, uint32_t count, const uint16_t *groups, uint32_t *ret_slots)
{
    struct vex_extents *e = &rows->extents;
    int r;

    if (e->groups == NULL)
        make_groups(e);
    r = vex_rows_extents_reserve(rows);
    if (r == 0)
        r = take_ungrouped(rows, count, groups, ret_slots);
    if (r != 0)
        return r;
    for (uint32_t i = 0; i < count; i++)
        e->groups[groups[i]].wanted++;
    for (uint32_t i = 0; i < count && r == 0; i++)
        if (groups[i] != 0)
            r = take_one(rows, groups[i], i, &ret_slots[i]);
    for (uint32_t i = 0; i < count; i++)
        e->groups[groups[i]].wanted = 0;
    if (r == 0)
        return 0;
    vex_rows_untake(rows, count, ret_slots);
    /* Slots have run out: kept ones are as good as any. */
    return r == VEX_ETOO_LARGE ? vex_rows_take(rows, count, ret_slots) : r;
}

void vex_rows_extents_note_plain(struct vex_rows *rows, uint32_t count, const uint32_t *slots)
{
    struct vex_extents *e = &rows->extents;

    e->opened_count = 0;
    e->from_before = e->from;
    for (uint32_t i = 0; e->groups != NULL && i < count; i++)
        e->links[slots[i]] = LINK_PLAIN;
}

/* Backwards in every step, so that taking them again gives the same. */
void vex_rows_extents_untake(struct vex_rows *rows, uint32_t count, const uint32_t *slots)
{
    struct vex_extents *e = &rows->extents;

    for (uint32_t i = count; i-- > 0;) {
        uint32_t slot = slots[i], link = slot != VEX_SLOT_NONE ? e->links[slot] : LINK_PLAIN;

        if (link == LINK_SINGLE) {
            vex_rows_give_back(rows, slot);
        } else if (link != LINK_PLAIN) {
            e->links[slot] = e->groups[link].first;
            e->groups[link].first = slot;
            e->kept++;
        }
        if (e->opened_count > 0 && e->opened[e->opened_count - 1].index == i)
            close_extent(rows, &e->opened[--e->opened_count]);
    }
    for (uint32_t i = count; i-- > 0;)
        if (slots[i] != VEX_SLOT_NONE && e->links[slots[i]] == LINK_PLAIN)
            vex_rows_give_back(rows, slots[i]);
    e->from = e->from_before;
}

void vex_rows_extents_release(struct vex_rows *rows)
{
    struct vex_extents *e = &rows->extents;

    if (e->groups == NULL)
        return;
    e->opened_count = 0;
    e->from = e->from_before = 0;
    for (uint32_t g = 0; g < VEX_GROUPS; g++) {
        for (uint32_t slot = e->groups[g].first; slot != VEX_SLOT_NONE; slot = e->links[slot]) {
            vex_bit_set(rows->free, slot);
            rows->free_count++;
        }
        e->groups[g].first = e->groups[g].last = VEX_SLOT_NONE;
    }
    e->kept = 0;
    rows->free_from = 0;
}

/* ---- checkpoints ---- */

void vex_rows_extents_mark(struct vex_rows *rows)
{
    const struct vex_extents *e = &rows->extents;

    for (uint32_t g = 1; e->kept > 0 && g < VEX_GROUPS; g++)
        for (uint32_t slot = e->groups[g].first; slot != VEX_SLOT_NONE; slot = e->links[slot])
            if (slot < rows->slots && vex_row_at(rows, slot)->group != g)
                ((struct vex_row *)vex_table_touch(&rows->table, slot))->group = (uint16_t)g;
}

/* So many free slots of a group are kept for it. */
static uint32_t most_kept(uint32_t live)
{
    if (live == 0)
        return 0;
    return live / 4 >= EXTENT_MIN ? live / 4 : EXTENT_MIN - 1;
}

static void collect(struct vex_rows *rows)
{
    struct vex_extents *e = &rows->extents;
    uint64_t bound = bound_of(rows);

    for (size_t word = (rows->slots + (size_t)63) / 64; word-- > 0;) {
        for (uint64_t bits = rows->free[word]; bits != 0 && e->kept < bound;) {
            uint32_t bit = 63 - (uint32_t)__builtin_clzll(bits), slot = (uint32_t)(word * 64) + bit;
            uint16_t which = vex_row_at(rows, slot)->group;
            struct vex_group *group = &e->groups[which];

            bits ^= UINT64_C(1) << bit;
            if (which == 0 || group->wanted >= most_kept(group->live))
                continue;
            claim(rows, slot, 1);
            e->links[slot] = group->first;
            group->first = slot;
            if (group->last == VEX_SLOT_NONE)
                group->last = slot;
            group->wanted++;
            e->kept++;
        }
    }
    for (uint32_t g = 0; g < VEX_GROUPS; g++)
        e->groups[g].wanted = 0;
}

void vex_rows_extents_settle(struct vex_rows *rows)
{
    if (rows->extents.groups == NULL)
        return;
    vex_rows_extents_release(rows);
    while (rows->end > rows->slots && vex_bit(rows->free, rows->end - 1)) {
        claim(rows, rows->end - 1, 1);
        rows->end--;
    }
    collect(rows);
}

/* ---- self-check ---- */

int vex_rows_extents_check(const struct vex_rows *rows, struct vex_err *err)
{
    const struct vex_extents *e = &rows->extents;
    uint64_t kept = 0, live = 0, counted = 0;

    if (e->groups == NULL)
        return 0;
    for (uint32_t slot = 0; slot < rows->slots; slot++)
        live += vex_bit(rows->live, slot) && vex_row_at(rows, slot)->group != 0;
    for (uint32_t g = 0; g < VEX_GROUPS; g++) {
        counted += e->groups[g].live;
        for (uint32_t slot = e->groups[g].first; slot != VEX_SLOT_NONE; slot = e->links[slot], kept++)
            if (kept >= e->kept || slot >= rows->end || vex_bit(rows->free, slot) ||
                (slot < rows->slots && (vex_bit(rows->live, slot) || vex_bit(rows->dying, slot))))
                return vex_err_set(err, VEX_ECORRUPT, "%s: slot %u is kept and in use", rows->table.path,
                                   slot);
    }
    if (kept != e->kept || live != counted)
        return vex_err_set(err, VEX_ECORRUPT, "%s: counts of groups differ from rows", rows->table.path);
    return 0;
}
