/* Router: finds the route of a method and a path in a dialect's table.
 *
 * A template is segments of literal text or {name}; a parameter matches one non-empty segment,
 * percent-decoded. A literal wins over a parameter. Trailing slashes are trimmed. Tables are static; a router
 * is built once and is immutable. */
#ifndef VEX_REST_ROUTER_H
#define VEX_REST_ROUTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define VEX_ROUTE_PARAMS_MAX 4

struct vex_route {
    const char *method;   /* "GET" */
    const char *template; /* "/collections/{collection_name}/points" */
    bool open;            /* needs no key */
    const void *detail;   /* the dialect's */
};

struct vex_router;

struct vex_router *vex_router_new(const struct vex_route *routes, uint32_t count);
void vex_router_free(struct vex_router *router);

enum vex_route_found { VEX_ROUTE_FOUND, VEX_ROUTE_NO_METHOD, VEX_ROUTE_NONE, VEX_ROUTE_BAD_ESCAPE };

/* Finds the route; parameters in order of the template, decoded into the arena. */
enum vex_route_found vex_router_find(const struct vex_router *router, struct vex_str method,
                                     struct vex_str path, struct vex_arena *arena,
                                     const struct vex_route **ret, struct vex_str *ret_params);

#endif
