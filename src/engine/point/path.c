/* Payload paths: parsing, walking, bytes in records.
 *
 * Lock    None: a parsed path is immutable.
 * Format  Records: u32 length and the text; u32 steps, each u8 kind, then u32 length and the key | u64 index
 * | nothing. */
#include "engine/point/path.h"

#include "base/text.h"

static int invalid(struct vex_str text, struct vex_err *err)
{
    return vex_err_set(err, VEX_EBAD_INPUT, "Invalid json path: '" VEX_STR_FMT "'", VEX_STR_ARG(text));
}

static int first_word(void *arg, struct vex_str word)
{
    *(struct vex_str *)arg = word;
    return 1;
}

/* Bytes of the bare key (alphanumerics of any script, '_' and '-') that the text begins with. */
static size_t bare_key(const char *at, const char *end)
{
    const char *begin = at;

    while (at < end) {
        unsigned char c = (unsigned char)*at;
        struct vex_str word = {NULL, 0};

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
            c == '-') {
            at++;
            continue;
        }
        if (c < 0x80)
            break;
        vex_text_words(vex_str(at, (size_t)(end - at)), first_word, &word);
        if (word.ptr != at)
            break;
        at += word.len;
    }
    return (size_t)(at - begin);
}

/* `"any text"` or a bare key; NULL when there is none, else what follows. */
static const char *parse_key(const char *at, const char *end, struct vex_str *ret)
{
    const char *quote;
    size_t len;

    if (at < end && *at == '"') {
        quote = memchr(at + 1, '"', (size_t)(end - at - 1));
        if (quote == NULL)
            return NULL;
        *ret = vex_str(at + 1, (size_t)(quote - at - 1));
        return quote + 1;
    }
    len = bare_key(at, end);
    *ret = vex_str(at, len);
    return len > 0 ? at + len : NULL;
}

/* `[]` or `[n]`; NULL when malformed. Leading zeros are taken, as the peer does. */
static const char *parse_bracket(const char *at, const char *end, struct vex_step *ret)
{
    const char *close = memchr(at, ']', (size_t)(end - at));

    if (close == NULL)
        return NULL;
    if (close == at + 1) {
        *ret = (struct vex_step){.kind = VEX_STEP_ALL};
        return close + 1;
    }
    *ret = (struct vex_step){.kind = VEX_STEP_INDEX};
    for (at++; at < close; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(ret->index, 10u, &ret->index) ||
            __builtin_add_overflow(ret->index, (uint64_t)(*at - '0'), &ret->index))
            return NULL;
    }
    return close + 1;
}

/* steps: room for VEX_PATH_STEPS_MAX. Returns the count, or 0 when the text is not a path. */
static uint32_t parse_steps(const char *at, const char *end, struct vex_step *steps)
{
    uint32_t count = 0;

    for (;;) {
        if (count == VEX_PATH_STEPS_MAX)
            return 0;
        steps[count].kind = VEX_STEP_KEY;
        steps[count].index = 0;
        at = parse_key(at, end, &steps[count].key);
        if (at == NULL)
            return 0;
        count++;
        while (at < end && *at == '[') {
            if (count == VEX_PATH_STEPS_MAX)
                return 0;
            at = parse_bracket(at, end, &steps[count++]);
            if (at == NULL)
                return 0;
        }
        if (at == end)
            return count;
        if (*at++ != '.')
            return 0;
    }
}

int vex_path_parse(struct vex_arena *arena, struct vex_str text, struct vex_path *ret, struct vex_err *err)
{
    struct vex_step steps[VEX_PATH_STEPS_MAX];
    char *copy;
    uint32_t count;

    if (text.len == 0 || text.len > VEX_PATH_TEXT_MAX || !vex_utf8_valid(text))
        return invalid(text, err);
    copy = vex_arena_dup(arena, text.ptr, text.len);
    count = parse_steps(copy, copy + text.len, steps);
    if (count == 0)
        return invalid(text, err);
    *ret = (struct vex_path){
        .text = vex_str(copy, text.len),
        .steps = vex_arena_dup(arena, steps, count * sizeof *steps),
        .count = count,
    };
    return 0;
}

struct vex_path vex_path_key(struct vex_arena *arena, struct vex_str key)
{
    struct vex_step *step = VEX_ARENA_NEW(arena, struct vex_step);

    step->kind = VEX_STEP_KEY;
    step->key = key.len > 0 ? vex_str(vex_arena_dup(arena, key.ptr, key.len), key.len) : VEX_STR("");
    return (struct vex_path){.text = step->key, .steps = step, .count = 1};
}

static struct vex_value element(struct vex_value v, uint64_t index)
{
    struct vex_value_iter it;

    if (vex_value_kind(v) != VEX_VALUE_ARRAY || index >= vex_value_count(v))
        return (struct vex_value){NULL};
    for (it = vex_value_iter(v); vex_value_next(&it); index--)
        if (index == 0)
            return it.value;
    return (struct vex_value){NULL};
}

/* Recurses only at [] steps, one level of the value down each time. */
static int walk(const struct vex_step *step, uint32_t left, struct vex_value v,
                int (*fn)(void *arg, struct vex_value v), void *arg)
{
    struct vex_value_iter it;

    for (; left > 0; left--, step++) {
        if (step->kind == VEX_STEP_ALL)
            break;
        v = step->kind == VEX_STEP_KEY ? vex_value_get(v, step->key) : element(v, step->index);
        if (v.at == NULL)
            return 0;
    }
    if (left == 0)
        return fn(arg, v);
    if (vex_value_kind(v) != VEX_VALUE_ARRAY)
        return 0;
    for (it = vex_value_iter(v); vex_value_next(&it);) {
        int rc = walk(step + 1, left - 1, it.value, fn, arg);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int vex_path_each(const struct vex_path *path, struct vex_value payload,
                  int (*fn)(void *arg, struct vex_value v), void *arg)
{
    return payload.at != NULL ? walk(path->steps, path->count, payload, fn, arg) : 0;
}

void vex_path_encode(struct vex_buf *out, const struct vex_path *path)
{
    vex_buf_add_str32(out, path->text);
    vex_buf_add_u32(out, path->count);
    for (uint32_t i = 0; i < path->count; i++) {
        const struct vex_step *step = &path->steps[i];
        vex_buf_add_u8(out, (uint8_t)step->kind);
        if (step->kind == VEX_STEP_KEY)
            vex_buf_add_str32(out, step->key);
        else if (step->kind == VEX_STEP_INDEX)
            vex_buf_add_u64(out, step->index);
    }
}

static bool decode_text(struct vex_arena *arena, struct vex_cursor *c, struct vex_str *ret)
{
    struct vex_str text = vex_cursor_str32(c);
    char *copy;

    if (c->bad || !vex_utf8_valid(text))
        return false;
    copy = vex_arena_try(arena, text.len + 1);
    if (copy == NULL)
        return false;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *ret = vex_str(copy, text.len);
    return true;
}

bool vex_path_decode(struct vex_arena *arena, struct vex_cursor *c, struct vex_path *ret)
{
    struct vex_step steps[VEX_PATH_STEPS_MAX];
    struct vex_str text;
    uint32_t count;

    if (!decode_text(arena, c, &text))
        return false;
    count = vex_cursor_u32(c);
    if (count > VEX_PATH_STEPS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        steps[i] = (struct vex_step){.kind = VEX_STEP_ALL};
        switch (vex_cursor_u8(c)) {
        case VEX_STEP_KEY:
            steps[i].kind = VEX_STEP_KEY;
            if (!decode_text(arena, c, &steps[i].key))
                return false;
            break;
        case VEX_STEP_INDEX:
            steps[i].kind = VEX_STEP_INDEX;
            steps[i].index = vex_cursor_u64(c);
            break;
        case VEX_STEP_ALL:
            break;
        default:
            return false;
        }
    }
    if (c->bad)
        return false;
    *ret = (struct vex_path){.text = text, .count = count};
    if (count > 0)
        ret->steps = vex_arena_dup(arena, steps, count * sizeof *steps);
    return true;
}
