/* Rules of request fields: what a value must be before any handler sees it.
 *
 * rules.def has a row per rule, keyed by message and field of the schema, so that gRPC and REST share it. It
 * also says how a field is called in the path of an error, which differs between the two. */
#ifndef VEX_API_QDRANT_RULES_H
#define VEX_API_QDRANT_RULES_H

#include "api/qdrant/rpc.h"

/* VEX_EVALIDATION with every broken rule named, in the peer's words: "body: [limit: value 0 invalid, must be
 * 1 or larger]". rest: paths are those of the JSON body, and a broken rule of collection_name is one of the
 * path parameters. */
int vex_rules_check(const struct vex_rpc *rpc, const ProtobufCMessage *request, bool rest,
                    struct vex_err *err);

#endif
