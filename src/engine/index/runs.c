/* Sorted runs: see runs.h. The constants are the balance between what a write and what a merge costs. */
#include "engine/index/runs.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/index/slots.h"

#define MID_MIN   16384u /* mid is merged when it has more pairs than this and than a share of main */
#define MID_SHARE 16u
#define OVERDUE   2u /* times both: at once, when nobody prepares */

/* ---- keys ---- */

/* Puts a zero before each bit (Warren, Hacker's Delight, 7-2). */
static uint64_t spread(uint32_t v)
{
    uint64_t x = v;

    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    x = (x | x << 2) & UINT64_C(0x3333333333333333);
    return (x | x << 1) & UINT64_C(0x5555555555555555);
}

static uint32_t quantize(double v, double span)
{
    double at = (v * (1 / span) + 0.5) * 4294967296.0;

    return !(at > 0) ? 0 : at >= 4294967295.0 ? UINT32_MAX : (uint32_t)at;
}

uint64_t vex_geo_morton(double lon, double lat)
{
    return spread(quantize(lon, 360)) << 1 | spread(quantize(lat, 180));
}

static uint64_t order_of(const struct vex_runs *runs, struct vex_run_key key)
{
    double lon, lat;

    if (runs->width == 8)
        return key.a;
    memcpy(&lon, &key.a, sizeof lon);
    memcpy(&lat, &key.b, sizeof lat);
    return vex_geo_morton(lon, lat);
}

/* ---- one level ---- */

static void free_run(struct vex_run *run)
{
    vex_mem_free(run->keys);
    vex_mem_free(run->slots);
    vex_mem_free(run->stale);
    vex_mem_free(run->marks);
    *run = (struct vex_run){.width = run->width < 8 ? 8 : run->width};
}

/* Narrows [lo, hi) to the stretch between two marks that the key's position is in. */
static void seek_mark(const struct vex_run *run, uint64_t key, uint32_t *lo, uint32_t *hi)
{
    uint32_t first = *lo / VEX_RUN_STEP + (*lo % VEX_RUN_STEP != 0), last = *hi / VEX_RUN_STEP, at = first;

    for (uint32_t end = last; at < end;) {
        uint32_t mid = at + (end - at) / 2;
        if (run->marks[mid] < key)
            at = mid + 1;
        else
            end = mid;
    }
    if (at < last)
        *hi = at * VEX_RUN_STEP;
    if (at > first)
        *lo = (at - 1) * VEX_RUN_STEP + 1;
}

uint32_t vex_run_seek_between(const struct vex_run *run, uint32_t lo, uint32_t hi, uint64_t key)
{
    if (run->marks != NULL && hi - lo > VEX_RUN_STEP)
        seek_mark(run, key, &lo, &hi);
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (vex_run_key(run, mid) < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint32_t vex_run_seek(const struct vex_run *run, uint32_t from, uint64_t key)
{
    uint64_t step = 1, at = from;

    if (from == 0)
        return vex_run_seek_between(run, 0, run->count, key);
    while (at < run->count && vex_run_key(run, (uint32_t)at) < key) {
        from = (uint32_t)at + 1;
        at += step;
        step *= 2;
    }
    return vex_run_seek_between(run, from, at < run->count ? (uint32_t)at : run->count, key);
}

uint32_t vex_run_pass(const struct vex_run *run, uint32_t from, uint64_t key)
{
    uint64_t step = 1, at = from;

    if (key == UINT64_MAX)
        return run->count;
    while (at < run->count && vex_run_key(run, (uint32_t)at) <= key) {
        from = (uint32_t)at + 1;
        at += step;
        step *= 2;
    }
    return vex_run_seek_between(run, from, at < run->count ? (uint32_t)at : run->count, key + 1);
}

uint64_t vex_run_live(const struct vex_run *run, uint32_t lo, uint32_t hi)
{
    uint64_t live = hi - lo;

    if (run->stale == NULL)
        return live;
    for (uint32_t at = lo; at < hi;) {
        uint64_t w = run->stale[at / 64] >> at % 64;
        uint32_t width = 64 - at % 64;
        if (width > hi - at) {
            width = hi - at;
            w &= (UINT64_C(1) << width) - 1;
        }
        live -= vex_bits_in(w);
        at += width;
    }
    return live;
}

void vex_run_set(const struct vex_run *run, uint32_t lo, uint32_t hi, uint64_t *bits, uint32_t slots)
{
    if (run->stale_count == 0) {
        for (uint32_t i = lo; i < hi; i++)
            if (run->slots[i] < slots)
                bits[run->slots[i] / 64] |= UINT64_C(1) << run->slots[i] % 64;
        return;
    }
    for (uint32_t i = lo; i < hi; i++)
        if (run->slots[i] < slots && !vex_run_stale(run, i))
            bits[run->slots[i] / 64] |= UINT64_C(1) << run->slots[i] % 64;
}

void vex_run_clear(const struct vex_run *run, uint32_t lo, uint32_t hi, uint64_t *bits, uint32_t slots)
{
    for (uint32_t i = lo; i < hi; i++)
        if (run->slots[i] < slots && !vex_run_stale(run, i))
            bits[run->slots[i] / 64] &= ~(UINT64_C(1) << run->slots[i] % 64);
}

int vex_run_each(const struct vex_run *run, uint32_t lo, uint32_t hi, int (*fn)(void *arg, uint32_t slot),
                 void *arg)
{
    int stop = 0;

    for (uint32_t i = lo; i < hi && stop == 0; i++)
        if (!vex_run_stale(run, i))
            stop = fn(arg, run->slots[i]);
    return stop;
}

/* First position of the pair, or where it would go. */
static uint32_t pair_at(const struct vex_run *run, uint64_t key, uint32_t slot)
{
    uint32_t lo = vex_run_seek_between(run, 0, run->count, key), hi = vex_run_pass(run, lo, key);

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (run->slots[mid] < slot)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void mark(struct vex_run *run, uint32_t at)
{
    if (run->stale == NULL)
        run->stale = vex_mem_zalloc(((size_t)run->count + 63) / 64 * sizeof *run->stale);
    run->stale[at / 64] |= UINT64_C(1) << at % 64;
    run->stale_count++;
}

/* ---- merging ---- */

struct head {
    const struct vex_run *run;
    uint64_t key;
    uint32_t at;
};

static bool settle(struct head *head)
{
    while (head->at < head->run->count && vex_run_stale(head->run, head->at))
        head->at++;
    if (head->at == head->run->count)
        return false;
    head->key = vex_run_key(head->run, head->at);
    return true;
}

static bool precedes(const struct head *a, const struct head *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->run->slots[a->at] < b->run->slots[b->at];
}

static void copy_pair(struct vex_run *to, const struct head *head)
{
    if (to->width == 16)
        memcpy((char *)to->keys + 16 * (size_t)to->count,
               (const char *)head->run->keys + 16 * (size_t)head->at, 16);
    else
        ((uint64_t *)to->keys)[to->count] = head->key;
    to->slots[to->count++] = head->run->slots[head->at];
}

/* The keys of places are dear to make: a few of them are kept. */
static void mark_out(struct vex_run *run)
{
    uint32_t count = run->count / VEX_RUN_STEP + 1;

    if (run->width != 16 || run->count < VEX_RUNS_TAIL)
        return;
    run->marks = vex_mem_alloc(count * sizeof *run->marks);
    for (uint32_t i = 0; i < count && i * VEX_RUN_STEP < run->count; i++)
        run->marks[i] = vex_run_key(run, i * VEX_RUN_STEP);
}

/* The live pairs of levels [first, VEX_RUNS_LEVELS) as one run, exactly as large as they need. */
static struct vex_run merge(const struct vex_runs *runs, uint32_t first)
{
    struct vex_run to = {.width = runs->width};
    struct head heads[VEX_RUNS_LEVELS];
    uint32_t left = 0;
    uint64_t count = 0;

    for (uint32_t i = first; i < VEX_RUNS_LEVELS; i++) {
        const struct vex_run *run = &runs->level[i];
        count += run->count - run->stale_count;
        heads[left] = (struct head){.run = run};
        left += settle(&heads[left]);
    }
    if (count > UINT32_MAX - VEX_RUNS_TAIL - 1)
        abort(); /* memory is out long before */
    to.keys = vex_mem_alloc((count + 1) * to.width);
    to.slots = vex_mem_alloc((count + 1) * sizeof *to.slots);
    while (left > 0) {
        uint32_t least = 0;
        for (uint32_t i = 1; i < left; i++)
            if (precedes(&heads[i], &heads[least]))
                least = i;
        copy_pair(&to, &heads[least]);
        heads[least].at++;
        if (!settle(&heads[least]))
            heads[least] = heads[--left];
    }
    mark_out(&to);
    return to;
}

/* Numbers that lie near to one another are kept as what they are above the least, in fewer bytes. */
static void pack(struct vex_run *run)
{
    uint64_t *keys = run->keys, span;
    void *narrow;

    if (run->width != 8 || run->count == 0)
        return;
    span = keys[run->count - 1] - keys[0];
    if (span > UINT32_MAX)
        return;
    run->base = keys[0];
    run->width = span > UINT16_MAX ? 4 : span > UINT8_MAX ? 2 : 1;
    narrow = vex_mem_alloc((size_t)run->count * run->width);
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t above = keys[i] - run->base;
        if (run->width == 4)
            ((uint32_t *)narrow)[i] = (uint32_t)above;
        else if (run->width == 2)
            ((uint16_t *)narrow)[i] = (uint16_t)above;
        else
            ((uint8_t *)narrow)[i] = (uint8_t)above;
    }
    vex_mem_free(keys);
    run->keys = narrow;
}

static void drop_pending(struct vex_runs *runs)
{
    if (runs->has_pending)
        free_run(&runs->pending);
    runs->has_pending = false;
}

/* Replaces the levels from first on. */
static void replace(struct vex_runs *runs, uint32_t first, struct vex_run by)
{
    for (uint32_t i = first; i < VEX_RUNS_LEVELS; i++)
        free_run(&runs->level[i]);
    runs->tail_room = 0;
    runs->level[first] = by;
}

static void merge_all(struct vex_runs *runs)
{
    struct vex_run run = merge(runs, 0);

    pack(&run);
    replace(runs, 0, run);
}

/* Enough is in mid, or marked stale in main, for a merge into main. */
static bool due(const struct vex_runs *runs, uint32_t times)
{
    const struct vex_run *main = &runs->level[0], *mid = &runs->level[1];

    return (mid->count > MID_MIN * times && mid->count > main->count / MID_SHARE * times) ||
           (main->stale_count > MID_MIN * times && main->stale_count > main->count / 4 * times);
}

/* ---- all levels ---- */

void vex_runs_init(struct vex_runs *runs, uint8_t width)
{
    *runs = (struct vex_runs){.width = width};
    for (uint32_t i = 0; i < VEX_RUNS_LEVELS; i++)
        runs->level[i].width = width;
}

void vex_runs_done(struct vex_runs *runs)
{
    drop_pending(runs);
    for (uint32_t i = 0; i < VEX_RUNS_LEVELS; i++)
        free_run(&runs->level[i]);
}

static void grow_tail(struct vex_runs *runs)
{
    struct vex_run *tail = &runs->level[VEX_RUNS_LEVELS - 1];

    if (tail->count < runs->tail_room)
        return;
    runs->tail_room = runs->tail_room == 0 ? 8 : runs->tail_room * 2;
    tail->keys = vex_mem_realloc(tail->keys, (size_t)runs->tail_room * tail->width);
    tail->slots = vex_mem_realloc(tail->slots, runs->tail_room * sizeof *tail->slots);
}

void vex_runs_add(struct vex_runs *runs, struct vex_run_key key, uint32_t slot)
{
    struct vex_run *tail = &runs->level[VEX_RUNS_LEVELS - 1];
    size_t behind;
    uint32_t at;
    char *to;

    drop_pending(runs);
    if (tail->count == VEX_RUNS_TAIL) {
        replace(runs, 1, merge(runs, 1));
        if (due(runs, OVERDUE))
            merge_all(runs);
    }
    grow_tail(runs);
    at = pair_at(tail, order_of(runs, key), slot);
    behind = tail->count - at;
    to = (char *)tail->keys + (size_t)at * tail->width;
    memmove(to + tail->width, to, behind * tail->width);
    memcpy(to, &key, tail->width);
    memmove(tail->slots + at + 1, tail->slots + at, behind * sizeof *tail->slots);
    tail->slots[at] = slot;
    tail->count++;
}

static void cut_tail(struct vex_run *tail, uint32_t at)
{
    char *to = (char *)tail->keys + (size_t)at * tail->width;

    tail->count--;
    memmove(to, to + tail->width, (size_t)(tail->count - at) * tail->width);
    memmove(tail->slots + at, tail->slots + at + 1, (tail->count - at) * sizeof *tail->slots);
}

bool vex_runs_remove(struct vex_runs *runs, struct vex_run_key key, uint32_t slot)
{
    uint64_t order = order_of(runs, key);

    drop_pending(runs);
    for (uint32_t i = VEX_RUNS_LEVELS; i-- > 0;) {
        struct vex_run *run = &runs->level[i];
        uint32_t at = pair_at(run, order, slot);
        while (at < run->count && run->slots[at] == slot && vex_run_stale(run, at))
            at++;
        if (at == run->count || run->slots[at] != slot || vex_run_key(run, at) != order)
            continue;
        if (i == VEX_RUNS_LEVELS - 1)
            cut_tail(run, at);
        else
            mark(run, at);
        if (due(runs, OVERDUE))
            merge_all(runs);
        return true;
    }
    return false;
}

void vex_runs_forget(struct vex_runs *runs, const uint64_t *bits, uint32_t slots)
{
    drop_pending(runs);
    for (uint32_t i = 0; i < VEX_RUNS_LEVELS; i++) {
        struct vex_run *run = &runs->level[i];
        for (uint32_t at = run->count; at-- > 0;) {
            uint32_t slot = run->slots[at];
            if (slot >= slots || (bits[slot / 64] >> slot % 64 & 1) == 0)
                continue;
            if (i == VEX_RUNS_LEVELS - 1)
                cut_tail(run, at);
            else if (!vex_run_stale(run, at))
                mark(run, at);
        }
    }
    if (due(runs, OVERDUE))
        merge_all(runs);
}

bool vex_runs_prepare(struct vex_runs *runs)
{
    drop_pending(runs);
    if (!due(runs, 1))
        return false;
    runs->pending = merge(runs, 0);
    pack(&runs->pending);
    runs->has_pending = true;
    return true;
}

void vex_runs_publish(struct vex_runs *runs)
{
    if (!runs->has_pending)
        return;
    replace(runs, 0, runs->pending);
    runs->pending = (struct vex_run){0};
    runs->has_pending = false;
}

uint64_t vex_runs_count(const struct vex_runs *runs)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < VEX_RUNS_LEVELS; i++)
        count += runs->level[i].count - runs->level[i].stale_count;
    return count;
}

uint64_t vex_runs_bytes(const struct vex_runs *runs)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < VEX_RUNS_LEVELS; i++) {
        const struct vex_run *run = &runs->level[i];
        uint64_t room = i == VEX_RUNS_LEVELS - 1 ? runs->tail_room : run->count;
        bytes += room * (run->width + sizeof *run->slots) + (run->stale != NULL ? run->count / 8 : 0) +
                 (run->marks != NULL ? run->count / VEX_RUN_STEP * sizeof *run->marks : 0);
    }
    return bytes;
}

void vex_runs_save(const struct vex_runs *runs, struct vex_buf *out)
{
    struct vex_run run = merge(runs, 0);

    vex_buf_add_u64(out, run.count);
    vex_buf_add(out, run.keys, (size_t)run.count * run.width);
    vex_buf_add(out, run.slots, run.count * sizeof *run.slots);
    free_run(&run);
}

static bool ordered(const struct vex_run *run)
{
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->slots[i] == UINT32_MAX)
            return false;
        if (i == 0)
            continue;
        uint64_t before = vex_run_key(run, i - 1), key = vex_run_key(run, i);
        if (key < before || (key == before && run->slots[i] < run->slots[i - 1]))
            return false;
    }
    return true;
}

int vex_runs_load(struct vex_runs *runs, struct vex_cursor *c, struct vex_err *err)
{
    struct vex_run *run = &runs->level[0];
    uint64_t count = vex_cursor_u64(c);

    if (c->bad || count > UINT32_MAX - VEX_RUNS_TAIL - 1 ||
        count > vex_cursor_left(c) / (runs->width + sizeof *run->slots))
        return vex_err_set(err, VEX_ECORRUPT, "payload index: bad number of values");
    if (count == 0)
        return 0;
    run->keys = vex_mem_try(count * runs->width);
    run->slots = vex_mem_try(count * sizeof *run->slots);
    if (run->keys == NULL || run->slots == NULL) {
        free_run(run);
        return vex_err_set(err, VEX_ENO_MEMORY, "payload index: no memory for %llu values",
                           (unsigned long long)count);
    }
    memcpy(run->keys, vex_cursor_bytes(c, count * runs->width), count * runs->width);
    memcpy(run->slots, vex_cursor_bytes(c, count * sizeof *run->slots), count * sizeof *run->slots);
    run->count = (uint32_t)count;
    if (!ordered(run)) {
        free_run(run);
        return vex_err_set(err, VEX_ECORRUPT, "payload index: values are out of order");
    }
    pack(run);
    mark_out(run);
    return 0;
}
