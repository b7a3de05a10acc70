/* Rows of rules.def as data, and what a broken rule has to say. Between rules.c and rules_kinds.c only. */
#ifndef VEX_API_QDRANT_RULES_PRIVATE_H
#define VEX_API_QDRANT_RULES_PRIVATE_H

#include "api/qdrant/rpc.h"

struct vex_rule_finding {
    const char *below; /* what the path goes on with, ".match" */
    char text[1400];
};

struct vex_rule {
    const ProtobufCMessageDescriptor *type;
    const char *field;
    bool needed;
    double low, high;
    /* true: the message breaks the rule. */
    bool (*breaks)(const struct vex_rule *rule, const ProtobufCFieldDescriptor *field,
                   const ProtobufCMessage *message, bool rest, struct vex_rule_finding *ret);
};

struct vex_rule_name {
    const ProtobufCMessageDescriptor *type;
    const char *field, *grpc, *rest;
};

struct vex_rule_root {
    const ProtobufCMessageDescriptor *type;
    const char *rest;
};

extern const struct vex_rule vex_rules[];
extern const size_t vex_rule_count;
extern const struct vex_rule_name vex_rule_names[];
extern const size_t vex_rule_name_count;
extern const struct vex_rule_root vex_rule_roots[];
extern const size_t vex_rule_root_count;

#endif
