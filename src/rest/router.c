/* Router: routes sorted by number of segments; a match is a walk over the few of one length. */
#include "rest/router.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"

#define SEGMENTS_MAX 16

struct segments {
    struct vex_str at[SEGMENTS_MAX];
    uint32_t count;
};

struct entry {
    const struct vex_route *route;
    struct segments segments;
    uint32_t literals; /* bit per segment */
};

struct vex_router {
    struct entry *entries; /* by number of segments, more literals first */
    uint32_t count;
};

/* Cuts "/a/b/" into a, b; false when there are too many segments. Empty segments inside stay. */
static bool cut(struct vex_str path, struct segments *ret)
{
    ret->count = 0;
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    size_t at = 0;
    while (at < path.len) {
        size_t start = at + 1; /* past the slash */
        size_t end = start;
        while (end < path.len && path.ptr[end] != '/')
            end++;
        if (path.ptr[at] != '/' || ret->count == SEGMENTS_MAX)
            return false;
        ret->at[ret->count++] = vex_str(path.ptr + start, end - start);
        at = end;
    }
    return true;
}

static int by_shape(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    if (a->segments.count != b->segments.count)
        return a->segments.count < b->segments.count ? -1 : 1;
    int la = __builtin_popcount(a->literals), lb = __builtin_popcount(b->literals);
    if (la != lb)
        return lb - la;
    return a->route < b->route ? -1 : a->route > b->route;
}

struct vex_router *vex_router_new(const struct vex_route *routes, uint32_t count)
{
    struct vex_router *router = VEX_NEW(struct vex_router);
    router->entries = vex_mem_zalloc(sizeof(struct entry) * count);
    router->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct entry *entry = &router->entries[i];
        entry->route = &routes[i];
        if (!cut(vex_str_c(routes[i].template), &entry->segments))
            abort(); /* a table of ours is wrong */
        for (uint32_t s = 0; s < entry->segments.count; s++)
            if (entry->segments.at[s].ptr[0] != '{')
                entry->literals |= 1u << s;
    }
    qsort(router->entries, count, sizeof(struct entry), by_shape);
    return router;
}

void vex_router_free(struct vex_router *router)
{
    if (router == NULL)
        return;
    vex_mem_free(router->entries);
    vex_mem_free(router);
}

static bool fits(const struct entry *entry, const struct segments *path)
{
    if (entry->segments.count != path->count)
        return false;
    for (uint32_t i = 0; i < path->count; i++) {
        bool literal = (entry->literals >> i) & 1;
        if (literal ? !vex_str_eq(entry->segments.at[i], path->at[i]) : path->at[i].len == 0)
            return false;
    }
    return true;
}

static bool decode_params(const struct entry *entry, const struct segments *path, struct vex_arena *arena,
                          struct vex_str *ret)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < path->count; i++)
        if (((entry->literals >> i) & 1) == 0 && n < VEX_ROUTE_PARAMS_MAX)
            if (!vex_percent_decode(arena, path->at[i], false, &ret[n++]))
                return false;
    return true;
}

enum vex_route_found vex_router_find(const struct vex_router *router, struct vex_str method,
                                     struct vex_str path, struct vex_arena *arena,
                                     const struct vex_route **ret, struct vex_str *ret_params)
{
    struct segments segments;
    bool known = false;
    *ret = NULL;
    if (!cut(path, &segments))
        return VEX_ROUTE_NONE;
    for (uint32_t i = 0; i < router->count; i++) {
        const struct entry *entry = &router->entries[i];
        if (!fits(entry, &segments))
            continue;
        known = true;
        if (!vex_str_eq_c(method, entry->route->method))
            continue;
        *ret = entry->route;
        return decode_params(entry, &segments, arena, ret_params) ? VEX_ROUTE_FOUND : VEX_ROUTE_BAD_ESCAPE;
    }
    return known ? VEX_ROUTE_NO_METHOD : VEX_ROUTE_NONE;
}
