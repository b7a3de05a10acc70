/* What a route of the Chroma dialect is, and the replies. Private to chroma.c and chroma_reply.c. */
#ifndef VEX_REST_CHROMA_ROUTE_H
#define VEX_REST_CHROMA_ROUTE_H

#include "rest/chroma.h"

struct vex_chroma_route {
    int (*decode)(struct vex_rest_request *request); /* fills in call.request; may choose another operation */
    const struct vex_operation *operation;
    void (*reply)(struct vex_rest_request *request, struct vex_jw *w);
    int status; /* when it went well */
};

void vex_chroma_put_nothing(struct vex_rest_request *request, struct vex_jw *w); /* {} */
void vex_chroma_put_yes(struct vex_rest_request *request, struct vex_jw *w);     /* true */
void vex_chroma_put_heartbeat(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_version(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_health(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_preflight(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_identity(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_tenant(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_databases(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_collection(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_collections(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_answer(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_number(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_deleted(struct vex_rest_request *request, struct vex_jw *w);
void vex_chroma_put_status(struct vex_rest_request *request, struct vex_jw *w);

#endif
