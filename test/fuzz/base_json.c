/* Any bytes: parse, walk everything, write it again; what was written parses to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "base/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void copy(struct vex_jw *w, struct vex_json v)
{
    struct vex_json_iter it = vex_json_iter(v);
    size_t seen = 0;

    switch (vex_json_kind(v)) {
    case VEX_JSON_NULL:
        vex_jw_null(w);
        break;
    case VEX_JSON_BOOL:
        vex_jw_bool(w, vex_json_bool(v));
        break;
    case VEX_JSON_INT:
        vex_jw_i64(w, vex_json_int(v));
        break;
    case VEX_JSON_UINT:
        vex_jw_u64(w, vex_json_uint(v));
        break;
    case VEX_JSON_DOUBLE:
        vex_jw_f64(w, vex_json_double(v));
        break;
    case VEX_JSON_STRING:
        vex_jw_str(w, vex_json_str(v));
        break;
    case VEX_JSON_ARRAY:
        vex_jw_array(w);
        for (; vex_json_next(&it); seen++)
            copy(w, it.value);
        vex_jw_array_end(w);
        break;
    case VEX_JSON_OBJECT:
        vex_jw_object(w);
        for (; vex_json_next(&it); seen++) {
            vex_jw_key(w, it.key);
            copy(w, it.value);
        }
        vex_jw_object_end(w);
        break;
    }
    if (seen != vex_json_count(v))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vex_json_parser *parser;
    struct vex_json doc;
    struct vex_err err;
    struct vex_buf first, second;
    struct vex_jw w;
    float floats[8];

    if (parser == NULL)
        parser = vex_json_parser_new();
    if (vex_json_parse(parser, (const char *)data, size, &doc, &err) < 0) {
        if (err.code != VEX_EFORMAT || err.text[0] == '\0')
            abort();
        return 0;
    }
    vex_buf_init(&first, NULL);
    vex_buf_init(&second, NULL);
    vex_json_floats(doc, floats, 8);
    w = vex_jw(&first);
    copy(&w, doc);
    if (vex_json_parse(parser, first.ptr, first.len, &doc, &err) < 0)
        abort();
    w = vex_jw(&second);
    copy(&w, doc);
    if (!vex_str_eq(vex_buf_str(&first), vex_buf_str(&second)))
        abort();
    vex_buf_done(&first);
    vex_buf_done(&second);
    return 0;
}
