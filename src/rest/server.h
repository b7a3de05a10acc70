/* REST server: HTTP/1.1 on libh2o, one event loop per core, all REST dialects.
 *
 * Role     Listens on up to three ports: Qdrant REST, Chroma REST, native. Each has its own route table;
 * requests become calls of the service. Answers go out on the loop that owns the connection. Threads  start
 * and stop on the main thread; loops are its own. */
#ifndef VEX_REST_SERVER_H
#define VEX_REST_SERVER_H

#include "api/service.h"

struct vex_rest;

struct vex_rest_options {
    struct vex_service *service;
    const struct vex_conf *conf; /* host, ports, body limits, CORS */
    unsigned loops;              /* 0: one per core */
    const char *spool_dir;       /* existing folder where large bodies spill */
};

/* Binds and serves. A port that is taken or not allowed: VEX_EIO with a text naming address and port; nothing
 * is left running. */
int vex_rest_start(const struct vex_rest_options *options, struct vex_rest **ret, struct vex_err *err);
/* Stops accepting, waits for running requests (bounded), closes, frees. NULL is fine. */
void vex_rest_stop(struct vex_rest *rest);

#endif
