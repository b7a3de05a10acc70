/* One REST request of any dialect, and what a dialect is.
 *
 * Life     The loop that owns the connection fills the request in and calls dialect->decode; when that gives 0 the service runs the
 *          call; when it is done (any thread) dialect->encode writes the answer; the loop sends it. The h2o request may vanish
 *          meanwhile: nothing here points into it after decode, but for `body`, which is valid during decode only.
 * Memory   Everything in call.arena and `reply`; JSON values live in `parser` until the answer is sent. Requests are pooled. */
#ifndef VEX_REST_REQUEST_H
#define VEX_REST_REQUEST_H

#include "api/call.h"
#include "base/json_read.h"
#include "rest/router.h"

struct vex_rest_loop;
struct vex_rest_request;

struct vex_rest_pair {
    struct vex_str name, value; /* decoded */
};

struct vex_rest_dialect {
    const char *name; /* "qdrant", "chroma", "native" */
    enum vex_dialect dialect;
    const struct vex_route *routes;
    uint32_t route_count;
    /* Loop thread: reads parameters and body, sets call.operation, call.request, call.response. Negative: refused, with
     * call.err set; then only encode follows. Called only for a route that was found. */
    int (*decode)(struct vex_rest_request *request);
    /* Any thread, after the call is done or was refused: writes status, content_type and reply for call.code and call.err.
     * request->route is NULL when there was none; `found` says why. */
    void (*encode)(struct vex_rest_request *request);
};

struct vex_rest_request {
    struct vex_call call; /* first */
    const struct vex_rest_dialect *dialect;
    struct vex_service *service;

    /* the request */
    const struct vex_route *route; /* NULL: see found */
    enum vex_route_found found;
    struct vex_str method, path; /* path without the query, as sent; copies in the arena */
    struct vex_str params[VEX_ROUTE_PARAMS_MAX];
    struct vex_rest_pair *query;
    uint32_t query_count;
    bool query_bad;              /* the query string has a bad escape */
    struct vex_str content_type; /* ptr NULL: none sent */
    struct vex_str user_agent;
    struct vex_str body; /* during decode only */
    struct vex_json_parser *parser;

    /* the answer */
    int status;
    const char *content_type_reply; /* NULL: none */
    struct vex_buf reply;
    const char *header_name, *header_value; /* one more header; NULL: none */

    /* server.c's */
    struct vex_rest_loop *loop;
    void *http; /* h2o_req_t, NULL when it vanished */
    void *anchor;
    struct vex_rest_request *next;
    struct {
        void *links[2];
    } message, /* h2o's list node for the way back to the loop */
        watch; /* and for the list of those that run */
};

/* Value of a query parameter (the last one of that name); ptr NULL: absent. */
struct vex_str vex_rest_query_get(const struct vex_rest_request *request, const char *name);

extern const struct vex_rest_dialect vex_rest_qdrant, vex_rest_chroma, vex_rest_native;

#endif
