/* Service: runs calls of every dialect against one engine: where they run, who may, how they end, what is
 * counted.
 *
 * Order of a call: the transport authorises from the headers (vex_service_authorise) before it reads a body
 * -> size, depth and UTF-8 guard -> decode -> vex_service_run: rules, lower, engine, lift -> done -> encode.
 */
#ifndef VEX_API_SERVICE_H
#define VEX_API_SERVICE_H

#include "api/call.h"
#include "base/conf.h"
#include "base/io.h"
#include "engine/engine.h"

struct vex_service_options {
    struct vex_engine *engine;
    struct vex_pool *pool; /* workers for reads that are not short and for calls that wait */
    struct vex_io *io;
    const struct vex_conf *conf;
    uint64_t inline_ns; /* reads estimated below run on the receiving thread (500,000) */
};

struct vex_timers;
struct vex_request_metrics;

struct vex_service {
    struct vex_service_options options;
    struct vex_engine *engine;
    const char *commit; /* 40 hex digits shown to Qdrant clients */
    uint64_t peer_id;   /* this node's, in answers about clusters; drawn at start */
    struct vex_timers *timers;
    struct vex_request_metrics *metrics;
    _Atomic int draining;     /* set at shutdown: new calls get VEX_EUNAVAILABLE */
    _Atomic uint64_t running; /* calls between run and done */
};

/* Version shown to Qdrant clients, and ours. */
#define VEX_QDRANT_VERSION "1.20.0"
#define VEX_SERVER_VERSION "0.1.0"

struct vex_service *vex_service_new(const struct vex_service_options *options);
void vex_service_free(struct vex_service *service);

/* Key from "api-key", "Authorization: Bearer", "X-Chroma-Token" or Basic; ptr NULL: none sent. 0 and the
 * identity, or VEX_EUNAUTHENTIC / VEX_EFORBIDDEN with the peer's text. Constant-time comparison. */
int vex_service_authorise(struct vex_service *service, enum vex_access access, struct vex_str key,
                          struct vex_identity *ret, struct vex_err *err);
bool vex_service_needs_key(const struct vex_service *service);

/* Runs the call; `done` may come before this returns. */
void vex_service_run(struct vex_service *service, struct vex_call *call);

/* Waits until no call is running (shutdown); at most `ns`. */
bool vex_service_drain(struct vex_service *service, uint64_t ns);

#endif
