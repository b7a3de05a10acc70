/* Free extents: see heap_extents.h. */
#include "engine/store/heap_extents.h"

#include <stdlib.h>

#include "base/mem.h"

#define GRAIN 16u
/* Entries of a class looked at from its end before a larger class is tried: bounds the time of one put. */
#define FIT_TRIES 8u
/* Pending extents are joined when so many have come together, so that a mass deletion stays bounded. */
#define PENDING_MAX (2 * (size_t)VEX_EXTENTS_MAX)

static void push(struct vex_extent_list *list, uint64_t offset, uint64_t len)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 16 : list->cap * 2;
        list->at = vex_mem_realloc(list->at, list->cap * sizeof *list->at);
    }
    list->at[list->count++] = (struct vex_extent){offset, len};
}

static void drop(struct vex_extent_list *list)
{
    vex_mem_free(list->at);
    *list = (struct vex_extent_list){0};
}

static unsigned class_of(uint64_t len)
{
    unsigned bit = 63 - (unsigned)__builtin_clzll(len / GRAIN);
    return bit < VEX_EXTENTS_CLASSES ? bit : VEX_EXTENTS_CLASSES - 1;
}

void vex_extents_done(struct vex_extents *extents)
{
    for (unsigned i = 0; i < VEX_EXTENTS_CLASSES; i++)
        drop(&extents->class[i]);
    drop(&extents->pending);
}

bool vex_extents_take(struct vex_extents *extents, uint64_t len, uint64_t *ret_offset)
{
    if (extents->bytes < len)
        return false;
    for (unsigned c = class_of(len); c < VEX_EXTENTS_CLASSES; c++) {
        struct vex_extent_list *list = &extents->class[c];
        for (size_t i = list->count, tries = 0; i > 0 && tries < FIT_TRIES; tries++) {
            struct vex_extent found = list->at[--i];
            if (found.len < len)
                continue;
            list->at[i] = list->at[--list->count];
            if (list->count == 0)
                drop(list);
            if (found.len > len)
                push(&extents->class[class_of(found.len - len)], found.offset + len, found.len - len);
            extents->bytes -= len;
            *ret_offset = found.offset;
            return true;
        }
    }
    return false;
}

static int by_offset(const void *a, const void *b)
{
    const struct vex_extent *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int by_len_falling(const void *a, const void *b)
{
    const struct vex_extent *x = a, *y = b;
    return (x->len < y->len) - (x->len > y->len);
}

/* Sorts, joins neighbours, gives up the smallest beyond the bound. Returns the bytes given up. */
static uint64_t join(struct vex_extent_list *list)
{
    uint64_t given_up = 0;
    size_t count = 0;

    if (list->count == 0)
        return 0;
    qsort(list->at, list->count, sizeof *list->at, by_offset);
    for (size_t i = 1; i < list->count; i++) {
        struct vex_extent *last = &list->at[count], *this = &list->at[i];
        uint64_t end = this->offset + this->len;
        if (this->offset > last->offset + last->len)
            list->at[++count] = *this;
        else if (end > last->offset + last->len)
            last->len = end - last->offset;
    }
    list->count = count + 1;
    if (list->count > VEX_EXTENTS_MAX) {
        qsort(list->at, list->count, sizeof *list->at, by_len_falling);
        while (list->count > VEX_EXTENTS_MAX)
            given_up += list->at[--list->count].len;
        qsort(list->at, list->count, sizeof *list->at, by_offset);
    }
    return given_up;
}

void vex_extents_free(struct vex_extents *extents, uint64_t offset, uint64_t len)
{
    struct vex_extent_list *list = &extents->pending;
    struct vex_extent *last = list->count > 0 ? &list->at[list->count - 1] : NULL;

    extents->pending_bytes += len;
    if (last != NULL && last->offset + last->len == offset) {
        last->len += len;
        return;
    }
    push(list, offset, len);
    if (list->count >= PENDING_MAX) {
        uint64_t given_up = join(list);
        extents->pending_bytes -= given_up;
        extents->lost += given_up;
    }
}

/* Every extent, joined, in one list of the caller's; returns the bytes that did not fit. */
static uint64_t collect(const struct vex_extents *extents, struct vex_extent_list *ret)
{
    for (unsigned c = 0; c < VEX_EXTENTS_CLASSES; c++)
        for (size_t i = 0; i < extents->class[c].count; i++)
            push(ret, extents->class[c].at[i].offset, extents->class[c].at[i].len);
    for (size_t i = 0; i < extents->pending.count; i++)
        push(ret, extents->pending.at[i].offset, extents->pending.at[i].len);
    return join(ret);
}

/* Falling, because taking looks at the end of a class first: low offsets go first and the end of the file
 * stays free. */
static void spread(struct vex_extents *extents, const struct vex_extent_list *list)
{
    for (size_t i = list->count; i-- > 0;) {
        push(&extents->class[class_of(list->at[i].len)], list -> at[i].offset, list->at[i].len);
        extents->bytes += list->at[i].len;
    }
}

void vex_extents_settle(struct vex_extents *extents)
{
    struct vex_extent_list all = {0};

    if (extents->pending.count == 0)
        return;
    extents->lost += collect(extents, &all);
    vex_extents_done(extents);
    extents->bytes = extents->pending_bytes = 0;
    spread(extents, &all);
    drop(&all);
}

void vex_extents_encode(const struct vex_extents *extents, struct vex_buf *out)
{
    struct vex_extent_list all = {0};

    vex_buf_add_u64(out, extents->lost + collect(extents, &all));
    vex_buf_add_u32(out, (uint32_t)all.count);
    vex_buf_add(out, all.at, all.count * sizeof *all.at);
    drop(&all);
}

bool vex_extents_decode(struct vex_extents *extents, struct vex_cursor *c, uint64_t start, uint64_t end)
{
    struct vex_extent_list all = {0};
    uint64_t lost = vex_cursor_u64(c);
    uint32_t count = vex_cursor_u32(c);
    bool good = !c->bad && count <= VEX_EXTENTS_MAX &&
                count <= vex_cursor_left(c) / sizeof(struct vex_extent) && lost <= end - start &&
                lost % GRAIN == 0;

    for (uint32_t i = 0; i < count && good; i++) {
        uint64_t offset = vex_cursor_u64(c), len = vex_cursor_u64(c);
        good = offset >= start && offset <= end && len > 0 && len <= end - offset && offset % GRAIN == 0 &&
               len % GRAIN == 0;
        start = offset + len;
        if (good)
            push(&all, offset, len);
    }
    if (good) {
        extents->lost = lost;
        spread(extents, &all);
    }
    drop(&all);
    return good;
}
