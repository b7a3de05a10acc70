/* What the files of the Qdrant dialect share: lowering (request messages to the engine's structs), lifting
 * (results to response messages), and the handlers that stand between.
 *
 * Memory Everything made here lives in the call's arena. Lowered structs may point into the request
 *        message.
 * Errors Functions that return int fill call->err. Texts are the peer's.
 * Raw    A payload can be carried as CBOR instead of a tree of messages. In requests and responses of
 *        REST, a map of values has one entry whose key is the pointer vex_raw_key; its value, and any
 *        Value whose kind_case is VEX_RAW_KIND, is a struct vex_raw_value. Over gRPC, points of
 *        responses are bytes already encoded (unknown fields of the message). */
#ifndef VEX_API_QDRANT_QDRANT_H
#define VEX_API_QDRANT_QDRANT_H

#include "api/qdrant/raw.h"
#include "api/qdrant/rpc.h"
#include "base/mem.h"
#include "engine/query/query.h"

#include "qdrant_collections.pb-c.h"
#include "qdrant_common.pb-c.h"
#include "qdrant_points.pb-c.h"
#include "qdrant_query.pb-c.h"
#include "qdrant_service.pb-c.h"
#include "qdrant_snapshots.pb-c.h"

#define VEX_RPC(service_name, method_name, req, resp, mode, access, handler, cost)                           \
    int vex_qdrant_##handler(struct vex_service *service, struct vex_call *call);
#include "api/qdrant/rpc.def"
#undef VEX_RPC
#define VEX_RPC(service_name, method_name, req, resp, mode, access, handler, cost)                           \
    uint64_t vex_qdrant_cost_##cost(struct vex_service *service, struct vex_call *call);
#include "api/qdrant/rpc.def"
#undef VEX_RPC

/* VEX_EFORMAT: the request has not the shape it should have. */
int vex_qdrant_malformed(struct vex_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* VEX_EUNIMPLEMENTED: a request that is right, for something this server does not do. */
int vex_qdrant_unbuilt_part(struct vex_call *call, const char *what);
/* A message of the arena, initialised. */
#define VEX_MESSAGE(call, Type, descriptor) ((Type *)(void *)vex_rpc_message(&(call)->arena, &(descriptor)))
/* The collection of a request, by name or alias; unref it. */
int vex_qdrant_find(struct vex_call *call, const char *name, struct vex_collection **ret);

/* ---- lowering ---- */

int vex_lower_id(struct vex_call *call, const Qdrant__PointId *in, struct vex_id *ret);
int vex_lower_ids(struct vex_call *call, Qdrant__PointId *const *in, size_t count, struct vex_id **ret);
/* Map entries (any *Entry message of string and Value) to one CBOR map. */
int vex_lower_payload(struct vex_call *call, void *const *entries, size_t count, struct vex_str *ret);
int vex_lower_path(struct vex_call *call, const char *text, struct vex_path *ret);
#define VEX_CONDITIONS_MAX                                                                                   \
    100000 /* of one filter, whatever the nesting; long lists of values are one condition */
int vex_lower_filter(struct vex_call *call, const Qdrant__Filter *in,
                     struct vex_filter **ret); /* NULL in: NULL out */
int vex_lower_time(struct vex_call *call, const Google__Protobuf__Timestamp *in,
                   int64_t *ret); /* microseconds */
/* Vector of a write (name left alone); VectorInput of a query, not an id. */
int vex_lower_vector(struct vex_call *call, const Qdrant__Vector *in, struct vex_vector_value *ret);
int vex_lower_vector_input(struct vex_call *call, const Qdrant__VectorInput *in,
                           struct vex_vector_value *ret);
int vex_lower_points(struct vex_call *call, Qdrant__PointStruct *const *in, size_t count,
                     struct vex_point **ret);
int vex_lower_point_vectors(struct vex_call *call, Qdrant__PointVectors *const *in, size_t count,
                            struct vex_point **ret);
int vex_lower_with_payload(struct vex_call *call, const Qdrant__WithPayloadSelector *in, bool otherwise,
                           struct vex_payload_selector *ret);
int vex_lower_with_vectors(struct vex_call *call, const Qdrant__WithVectorsSelector *in,
                           struct vex_vector_selector *ret);
/* The write operations of a request or of a batch's element. */
int vex_lower_selector(struct vex_call *call, const Qdrant__PointsSelector *in, const char *missing,
                       struct vex_selector *ret);
int vex_lower_operation(struct vex_call *call, const Qdrant__PointsUpdateOperation *in, struct vex_op *ret);

int vex_lower_search(struct vex_call *call, const Qdrant__SearchPoints *in, struct vex_stage *ret);
#define VEX_MMR_CANDIDATES_MAX 16384
int vex_lower_query(struct vex_call *call, const Qdrant__QueryPoints *in, struct vex_stage *ret);
int vex_lower_order_by(struct vex_call *call, const Qdrant__OrderBy *in, struct vex_order_by *ret);
/* A payload index from its type or parameters; `field` is checked. Strings stay in the request or the arena. */
int vex_lower_index(struct vex_call *call, const Qdrant__CreateFieldIndexCollection *in,
                    struct vex_index_params *ret);

/* ---- lifting ---- */

Qdrant__PointId *vex_lift_id(struct vex_call *call, const struct vex_id *id);
Qdrant__VectorsOutput *vex_lift_vectors(struct vex_call *call, const struct vex_hit *hit);
Qdrant__OrderValue *vex_lift_order_value(struct vex_call *call, const struct vex_hit *hit); /* NULL: none */
/* Put points into an answer or a part of it, as its list (or its message) `field`. */
void vex_lift_scored(struct vex_call *call, const struct vex_hits *hits, bool with_vectors,
                     ProtobufCMessage *message, uint32_t field);
void vex_lift_retrieved(struct vex_call *call, const struct vex_hits *hits, bool with_vectors,
                        ProtobufCMessage *message, uint32_t field);
/* Puts a CBOR map into a message: `field` is the map's number, entries the place of its list (REST). */
void vex_lift_payload(struct vex_call *call, struct vex_value payload, ProtobufCMessage *message,
                      uint32_t field, const ProtobufCMessageDescriptor *entry_type, size_t *ret_count,
                      void ***ret_entries);
/* Encodes a CBOR map as the entries of a map<string, Value>, each with the key of `field`. */
void vex_lift_payload_bytes(struct vex_buf *out, struct vex_value payload, uint32_t field);
/* Adds encoded entries of the list `field`, which begin with its key, to what the message is packed with. */
void vex_lift_field_bytes(struct vex_call *call, ProtobufCMessage *message, uint32_t field,
                          struct vex_str bytes);

/* ---- configuration ---- */

/* The document of a configuration, unpacked; an empty message when it has none. */
int vex_qdrant_doc(struct vex_call *call, const struct vex_config *config, Qdrant__CollectionConfig **ret);
/* Raw metadata of REST as entries with real values: documents are packed, raw values can't be. */
int vex_qdrant_plain_metadata(struct vex_call *call, size_t *count, void ***entries);
/* Trusted bytes, or such that passed the guard; NULL when memory is out or they are no message. */
ProtobufCMessage *vex_rpc_unpack(struct vex_arena *arena, const ProtobufCMessageDescriptor *type,
                                 struct vex_str bytes);
void vex_qdrant_set_doc(struct vex_call *call, struct vex_config *config,
                        const Qdrant__CollectionConfig *doc);
int vex_lower_create(struct vex_call *call, const Qdrant__CreateCollection *in, struct vex_config *config);
int vex_lower_distance(struct vex_call *call, int in, enum vex_distance *ret);
int vex_lower_datatype(struct vex_call *call, bool has, int in, enum vex_element *ret);
int vex_merge_update(struct vex_call *call, const Qdrant__UpdateCollection *in,
                     const struct vex_config *config, Qdrant__CollectionConfig *doc);
Qdrant__VectorParams *vex_doc_add_vector(struct vex_call *call, Qdrant__VectorParamsMap *map,
                                         struct vex_str name, Qdrant__VectorParams *params);
/* A dense vector's parameters in the document, made when there are none (doc->params must be there). */
Qdrant__VectorParams *vex_doc_vector(struct vex_call *call, Qdrant__CollectionConfig *doc,
                                     struct vex_str name);
void vex_doc_remove_vector(Qdrant__CollectionConfig *doc, struct vex_str name);
/* The stored parameters of a dense vector; NULL: none. */
Qdrant__VectorParams *vex_doc_find_vector(const Qdrant__CollectionConfig *doc, struct vex_str name);
/* What Get shows: the document over the defaults, the vectors the engine has. */
Qdrant__CollectionConfig *vex_lift_config(struct vex_call *call, const struct vex_config *config,
                                          Qdrant__CollectionConfig *doc);
/* Fields set in src are set in dst, messages field by field; nothing is copied but pointers. Both of one
 * type. */
void vex_message_merge(ProtobufCMessage *dst, const ProtobufCMessage *src);

/* ---- writes ---- */

/* Submits `count` operations and answers with their numbers, as PointsOperationResponse or
 * UpdateBatchResponse. */
int vex_qdrant_submit(struct vex_service *service, struct vex_call *call, struct vex_collection *collection,
                      struct vex_op *ops, uint32_t count, bool wait, bool has_timeout, uint64_t timeout_sec);

#endif
