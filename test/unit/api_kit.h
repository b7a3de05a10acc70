/* What the tests of the api layer share: a call without a service's engine, and messages from their parts. */
#ifndef VEX_TEST_UNIT_API_KIT_H
#define VEX_TEST_UNIT_API_KIT_H

#include <stdlib.h>
#include <string.h>

#include "base_suite.h"
#include "api/qdrant/qdrant.h"
#include "api/qdrant/rules.h"

struct kit {
    struct vex_call call;
    struct vex_service service;
    struct vex_conf *conf;
};

static inline struct vex_call *kit_open(struct kit *kit, enum vex_dialect dialect)
{
    memset(kit, 0, sizeof *kit);
    kit->conf = vex_conf_new();
    kit->service.options.conf = kit->conf;
    kit->service.options.io = vex_io_posix();
    kit->call.service = &kit->service;
    kit->call.dialect = dialect;
    vex_arena_init(&kit->call.arena, 0);
    return &kit->call;
}

static inline void kit_close(struct kit *kit)
{
    vex_arena_done(&kit->call.arena);
    vex_conf_free(kit->conf);
}

/* Appends a length-prefixed field. */
static inline void kit_field(struct vex_buf *out, unsigned number, struct vex_str bytes)
{
    uint64_t v[2] = {(uint64_t)number << 3 | 2, bytes.len};

    for (int i = 0; i < 2; i++) {
        for (; v[i] >= 0x80; v[i] >>= 7)
            vex_buf_add_char(out, (char)(v[i] | 0x80));
        vex_buf_add_char(out, (char)v[i]);
    }
    vex_buf_add_str(out, bytes);
}

/* Packs a message and decodes it as the request of a method, as a transport would. */
static inline int kit_decode(struct vex_call *call, const struct vex_rpc *rpc,
                             const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(len + 1);
    int code;

    protobuf_c_message_pack(message, bytes);
    code = vex_rpc_decode(call, rpc, bytes, len);
    free(bytes);
    return code;
}

#endif
