#include "rest/transcode.h"
#include "rest/jsonpb.h"
int vex_message_from_json(struct vex_arena *arena, ProtobufCMessage *message, struct vex_json json, struct vex_err *err)
{
    int code = vex_jsonpb_read(arena, json, message, err);
    return code == VEX_EFORMAT ? vex_err_wrap(err, "JSON body") : code;
}
