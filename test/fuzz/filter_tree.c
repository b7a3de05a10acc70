/* Fuzz: a filter out of a damaged record is refused or can be bound and matched, and its bytes come back as
 * they were. */
#include <stdlib.h>
#include <string.h>

#include "engine/filter/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* {"key": "word", "a": [{"key": 1}], "n": 1} */
static const uint8_t payload[] = "\xa3\x63key\x64word\x61"
                                 "a\x81\xa1\x63key\x01\x61n\x01";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vex_match_point point = {.id = {.kind = VEX_ID_NUM, .num = 1}, .payload = {payload}, .vectors = 1};
    struct vex_cursor c = vex_cursor(data, size);
    struct vex_filter_binding binding;
    struct vex_filter *filter;
    struct vex_arena arena;
    struct vex_buf out;
    struct vex_err err;

    vex_arena_init(&arena, 64 << 20);
    memset(&binding, 0, sizeof binding);
    binding.arena = &arena;
    if (vex_filter_decode(&arena, &c, &filter, &err) == 0) {
        vex_buf_init(&out, &arena);
        vex_filter_encode(&out, filter);
        if (out.len != size - vex_cursor_left(&c) || memcmp(out.ptr, data, out.len) != 0)
            abort();
        if (filter != NULL && vex_filter_bind(filter, &binding, &err) == 0) {
            (void)vex_filter_match(filter, &point);
            vex_filter_unbind(&binding);
        }
    }
    vex_arena_done(&arena);
    return 0;
}
