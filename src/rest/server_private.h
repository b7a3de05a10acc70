/* What the two files of the REST server share: server.c owns ports, loops and connections, exchange.c
 * requests and answers. */
#ifndef VEX_REST_SERVER_PRIVATE_H
#define VEX_REST_SERVER_PRIVATE_H

#include <pthread.h>
#include <semaphore.h>

#include <h2o.h>

#include "rest/request.h"
#include "rest/server.h"

#define VEX_REST_PORTS 3

struct vex_rest_port {
    const struct vex_rest_dialect *dialect;
    enum vex_conf_key number;
    size_t body_max;
    int fd; /* -1: off */
    struct vex_router *router;
    h2o_globalconf_t config;
};

/* A port on a loop. */
struct vex_rest_listener {
    h2o_accept_ctx_t accept;
    h2o_context_t context;
    struct vex_rest_port *port;
    struct vex_rest_loop *loop;
    h2o_socket_t *socket; /* NULL once it stopped, or if it never started */
    h2o_timeout_entry_t retry;
    bool paused; /* out of descriptors */
};

struct vex_rest_loop {
    /* the starter's */
    struct vex_rest *rest;
    pthread_t thread;
    bool started;
    sem_t ready; /* posted when the thread serves, or can't: then code and err say why */
    int code;
    struct vex_err err;
    bool left; /* the thread has ended with something still in use */

    /* for all threads, once it serves */
    h2o_multithread_receiver_t answers, control;

    /* the thread's own */
    h2o_loop_t *h2o;
    h2o_multithread_queue_t *queue;
    h2o_timeout_t retry_timeout, watch_timeout;
    struct vex_rest_listener listeners[VEX_REST_PORTS];
    struct vex_rest_request *idle; /* requests for reuse */
    unsigned idle_count;
    unsigned running;       /* requests with the service */
    h2o_linklist_t watched; /* those, oldest first */
    h2o_timeout_entry_t watch;
    unsigned sending; /* answers that h2o still reads */
    h2o_linklist_t connections;
    bool stopping;
};

struct vex_rest {
    struct vex_rest_options options;
    struct vex_rest_port ports[VEX_REST_PORTS];
    struct vex_rest_loop *loops;
    unsigned loop_count;
    bool cors;
    struct vex_rest *left_before;
};

/* Makes the port's requests come to its dialect. */
void vex_rest_handle(struct vex_rest *rest, struct vex_rest_port *port, h2o_hostconf_t *host);
/* Receiver of answers that were finished on other threads. */
void vex_rest_on_answers(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages);
/* Says which loop the calling thread is. */
void vex_rest_enter_loop(struct vex_rest_loop *loop);
/* Looks after the requests that run, as a timer of the loop. */
void vex_rest_on_watch(h2o_timeout_entry_t *entry);
/* When nothing of the loop is in use. */
void vex_rest_free_idle(struct vex_rest_loop *loop);

#endif
