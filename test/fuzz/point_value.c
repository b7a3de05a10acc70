/* Fuzz: whatever vex_value_check takes must be safe to read, to merge, to edit by path and to turn into JSON;
 * what comes out must pass the check again. Input: u8 length of a path, the path, then CBOR. */
#include <stdlib.h>

#include "engine/point/path.h"
#include "engine/point/value_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *arg, struct vex_value v)
{
    *(size_t *)arg += vex_value_size(v);
    return 0;
}

static void expect(bool good)
{
    if (!good)
        abort();
}

static void edit(struct vex_arena *arena, struct vex_value v, const struct vex_path *path)
{
    struct vex_payload_selector selector = {VEX_PAYLOAD_INCLUDE, path, 1};
    struct vex_buf out;
    size_t seen = 0;

    vex_path_each(path, v, look, &seen);
    for (int operation = 0; operation < 4; operation++) {
        vex_buf_init(&out, arena);
        if (operation == 0)
            vex_payload_set_at(&out, v, path, v);
        else if (operation == 1)
            vex_payload_delete(&out, v, path, 1);
        else
            vex_payload_select(&out, v, &selector);
        expect(vex_value_check(out.ptr, out.len, true));
        selector.kind = VEX_PAYLOAD_EXCLUDE;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t text = size > 0 && data[0] < size ? data[0] : 0;
    struct vex_arena arena;
    struct vex_path path;
    struct vex_err err;
    struct vex_buf out;
    struct vex_value v;
    struct vex_jw w;

    if (size == 0 || !vex_value_check(data + 1 + text, size - 1 - text, true))
        return 0;
    v.at = data + 1 + text;
    vex_arena_init(&arena, 0);
    (void)vex_value_eq(v, v); /* false when keys occur twice */
    expect(vex_value_size(v) == size - 1 - text);
    vex_buf_init(&out, &arena);
    w = vex_jw(&out);
    vex_value_to_json(&w, v);
    vex_buf_init(&out, &arena);
    vex_payload_merge(&out, v, v, true);
    expect(vex_value_check(out.ptr, out.len, true));
    if (vex_path_parse(&arena, vex_str((const char *)data + 1, text), &path, &err) == 0)
        edit(&arena, v, &path);
    vex_arena_done(&arena);
    return 0;
}
