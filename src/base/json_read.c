/* JSON reading: walking the tape, and the documents that simdjson alone refuses.
 *
 * Owner: the parser; values die with its next parse. Lock: none, one thread at a time. Invariant: a value's
 * `at` is the index of a value's first word on the tape. Format: json_tape.h. */
#include "base/json_read.h"

#include <math.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/json_tape.h"
#include "base/mem.h"
#include "base/number.h"

#define COUNT_MAX 0xffffffu

/* A number that simdjson refuses: it is parsed as 0.0 and put right on the tape afterwards. */
struct patch {
    size_t ordinal;
    double value;
};

struct vex_json_parser {
    struct vex_json_tape *tape;
    struct vex_json_doc doc;
    char *text;
    struct patch *patches;
    size_t patch_count, patch_cap;
};

struct vex_json_parser *vex_json_parser_new(void)
{
    struct vex_json_parser *parser = VEX_NEW(struct vex_json_parser);

    parser->tape = vex_json_tape_new();
    return parser;
}

void vex_json_parser_free(struct vex_json_parser *parser)
{
    if (parser == NULL)
        return;
    vex_json_tape_free(parser->tape);
    vex_mem_free(parser->patches);
    vex_mem_free(parser);
}

static bool add_patch(struct vex_json_parser *parser, size_t ordinal, double value)
{
    if (parser->patch_count == parser->patch_cap) {
        size_t cap = parser->patch_cap > 0 ? parser->patch_cap * 2 : 16;
        struct patch *patches = realloc(parser->patches, cap * sizeof *patches);
        if (patches == NULL)
            return false;
        parser->patches = patches;
        parser->patch_cap = cap;
    }
    parser->patches[parser->patch_count++] = (struct patch){ordinal, value};
    return true;
}

/* Whole and within 64 bits: simdjson takes it as it is. */
static bool fits_integer(const char *text, size_t len)
{
    bool negative = text[0] == '-';
    uint64_t value;

    for (size_t i = negative; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return vex_str_to_u64(vex_str(text + negative, len - negative), &value) &&
           (!negative || value <= (uint64_t)INT64_MAX + 1);
}

static bool patch_number(void *arg, size_t begin, size_t end, size_t ordinal)
{
    struct vex_json_parser *parser = arg;
    char *text = parser->text + begin;
    size_t len = end - begin;
    bool whole = true;
    double value;

    if (fits_integer(text, len) || !vex_f64_parse(vex_str(text, len), &value))
        return true;
    for (size_t i = text[0] == '-'; i < len; i++)
        whole = whole && text[i] >= '0' && text[i] <= '9';
    if (!whole && isfinite(value))
        return true;
    memset(text, ' ', len);
    memcpy(text, "0.0", 3); /* what is out of range is longer than that */
    return add_patch(parser, ordinal, value);
}

/* Words that a value takes on the tape. */
static size_t width(const struct vex_json_doc *doc, size_t at)
{
    uint64_t word = doc->tape[at];

    switch (word >> 56) {
    case '{':
    case '[':
        return (size_t)(uint32_t)word - at;
    case 'l':
    case 'u':
    case 'd':
        return 2;
    default:
        return 1;
    }
}

static void apply_patches(struct vex_json_parser *parser)
{
    uint64_t *tape = vex_json_tape_words(parser->tape);
    size_t end = 1 + width(&parser->doc, 1), ordinal = 0, done = 0;

    for (size_t at = 1; at < end && done < parser->patch_count; at++) {
        uint64_t type = tape[at] >> 56;
        if (type != 'l' && type != 'u' && type != 'd')
            continue;
        at++;
        if (ordinal++ == parser->patches[done].ordinal)
            memcpy(&tape[at], &parser->patches[done++].value, sizeof tape[at]);
    }
}

static void drop_patches(struct vex_json_parser *parser)
{
    vex_mem_free(parser->patches);
    parser->patches = NULL;
    parser->patch_count = parser->patch_cap = 0;
}

static int out_of_memory(struct vex_err *err)
{
    return vex_err_set(err, VEX_ENO_MEMORY, "out of memory while parsing JSON");
}

/* simdjson has refused: either the text is wrong, or it holds numbers beyond simdjson's range only. */
static int parse_again(struct vex_json_parser *parser, size_t len, struct vex_err *err)
{
    struct vex_json_scan scan = {.text = parser->text, .len = len, .number = patch_number, .arg = parser};
    int rc;

    if (!vex_json_scan(&scan)) {
        drop_patches(parser);
        if (scan.fault == NULL)
            return out_of_memory(err);
        return vex_err_set(err, VEX_EFORMAT, "%s at line %zu column %zu", scan.fault, scan.line, scan.column);
    }
    rc = vex_json_tape_parse(parser->tape, len, &parser->doc);
    if (rc == 0)
        apply_patches(parser);
    drop_patches(parser);
    if (rc == VEX_EFORMAT)
        return vex_err_set(err, rc, "%s", vex_json_tape_fault(parser->tape));
    return rc == 0 ? 0 : out_of_memory(err);
}

int vex_json_parse(struct vex_json_parser *parser, const char *text, size_t len, struct vex_json *ret,
                   struct vex_err *err)
{
    int rc;

    if (len > UINT32_MAX / 2)
        return vex_err_set(err, VEX_ETOO_LARGE, "JSON text of %zu bytes is too large", len);
    parser->text = vex_json_tape_text(parser->tape, len);
    if (parser->text == NULL)
        return out_of_memory(err);
    if (len > 0)
        memcpy(parser->text, text, len);
    rc = vex_json_tape_parse(parser->tape, len, &parser->doc);
    if (rc == VEX_ENO_MEMORY)
        return out_of_memory(err);
    if (rc < 0)
        rc = parse_again(parser, len, err);
    if (rc < 0)
        return rc;
    *ret = (struct vex_json){&parser->doc, 1};
    return 0;
}

static const struct vex_json_doc *doc_of(struct vex_json v)
{
    return v.doc;
}

static uint64_t word_of(struct vex_json v)
{
    return doc_of(v)->tape[v.at];
}

enum vex_json_kind vex_json_kind(struct vex_json v)
{
    switch (word_of(v) >> 56) {
    case '{':
        return VEX_JSON_OBJECT;
    case '[':
        return VEX_JSON_ARRAY;
    case '"':
        return VEX_JSON_STRING;
    case 'l':
        return VEX_JSON_INT;
    case 'u':
        return VEX_JSON_UINT;
    case 'd':
        return VEX_JSON_DOUBLE;
    case 't':
    case 'f':
        return VEX_JSON_BOOL;
    default:
        return VEX_JSON_NULL;
    }
}

const char *vex_json_kind_name(struct vex_json v)
{
    static const char *const names[] = {
        [VEX_JSON_NULL] = "null",
        [VEX_JSON_BOOL] = "boolean",
        [VEX_JSON_INT] = "integer",
        [VEX_JSON_UINT] = "integer",
        [VEX_JSON_DOUBLE] = "floating point",
        [VEX_JSON_STRING] = "string",
        [VEX_JSON_ARRAY] = "sequence",
        [VEX_JSON_OBJECT] = "map",
    };
    return names[vex_json_kind(v)];
}

bool vex_json_bool(struct vex_json v)
{
    return word_of(v) >> 56 == 't';
}

int64_t vex_json_int(struct vex_json v)
{
    return (int64_t)doc_of(v)->tape[v.at + 1];
}

uint64_t vex_json_uint(struct vex_json v)
{
    return doc_of(v)->tape[v.at + 1];
}

double vex_json_double(struct vex_json v)
{
    uint64_t bits = doc_of(v)->tape[v.at + 1];
    double value;

    switch (word_of(v) >> 56) {
    case 'l':
        return (double)(int64_t)bits;
    case 'u':
        return (double)bits;
    default:
        memcpy(&value, &bits, sizeof value);
        return value;
    }
}

static struct vex_str string_at(const struct vex_json_doc *doc, size_t at)
{
    const uint8_t *string = doc->strings + (doc->tape[at] & 0x00ffffffffffffffu);
    uint32_t len;

    memcpy(&len, string, sizeof len);
    return vex_str((const char *)string + sizeof len, len);
}

struct vex_str vex_json_str(struct vex_json v)
{
    return string_at(v.doc, v.at);
}

bool vex_json_is_number(struct vex_json v)
{
    enum vex_json_kind kind = vex_json_kind(v);

    return kind == VEX_JSON_INT || kind == VEX_JSON_UINT || kind == VEX_JSON_DOUBLE;
}

size_t vex_json_count(struct vex_json v)
{
    uint64_t word = word_of(v), type = word >> 56;
    size_t count = (word >> 32) & COUNT_MAX;

    if (type != '[' && type != '{')
        return 0;
    if (count < COUNT_MAX)
        return count;
    count = 0;
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);)
        count++;
    return count;
}

struct vex_json_iter vex_json_iter(struct vex_json v)
{
    struct vex_json_iter it = {.value = {v.doc, 0}};
    uint64_t word = word_of(v), type = word >> 56;

    if (type != '[' && type != '{')
        return it;
    it.object = type == '{';
    it.at = v.at + 1;
    it.end = (size_t)(uint32_t)word - 1;
    return it;
}

bool vex_json_next(struct vex_json_iter *it)
{
    const struct vex_json_doc *doc = it->value.doc;

    if (it->at >= it->end)
        return false;
    if (it->object)
        it->key = string_at(doc, it->at++);
    it->value.at = it->at;
    it->at += width(doc, it->at);
    return true;
}

bool vex_json_get(struct vex_json v, const char *key, struct vex_json *ret)
{
    size_t len = strlen(key);
    bool found = false;

    if (word_of(v) >> 56 != '{')
        return false;
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);) {
        if (it.key.len != len || memcmp(it.key.ptr, key, len) != 0)
            continue;
        *ret = it.value;
        found = true;
    }
    return found;
}

ptrdiff_t vex_json_floats(struct vex_json v, float *ret, size_t cap)
{
    const uint64_t *tape = doc_of(v)->tape, *at = tape + v.at + 1, *end;
    size_t n = 0;

    if (word_of(v) >> 56 != '[')
        return -1;
    for (end = tape + (uint32_t)word_of(v) - 1; at < end; at += 2, n++) {
        uint64_t type = at[0] >> 56;
        double value;

        if (type == 'd')
            memcpy(&value, &at[1], sizeof value);
        else if (type == 'l')
            value = (double)(int64_t)at[1];
        else if (type == 'u')
            value = (double)at[1];
        else
            return -1;
        if (n < cap)
            ret[n] = (float)value;
    }
    return (ptrdiff_t)n;
}
