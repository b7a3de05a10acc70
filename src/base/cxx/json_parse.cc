/* simdjson's DOM parser behind C functions.
 *
 * Owner: struct vex_json_tape. Lock: none, one thread at a time. Invariant: `text` has SIMDJSON_PADDING bytes
 * more than the parser is told of; nothing here throws. */
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "base/cxx/c.h"

namespace
{
constexpr size_t keep_max = size_t(1) << 20;
constexpr size_t keep_min = 4096;
} // namespace

struct vex_json_tape {
    std::unique_ptr<simdjson::dom::parser> parser;
    std::unique_ptr<char[]> text;
    size_t room = 0; /* of text, padding not counted */
    simdjson::error_code fault = simdjson::SUCCESS;
};

extern "C" struct vex_json_tape *vex_json_tape_new(void)
{
    return new vex_json_tape;
}

extern "C" void vex_json_tape_free(struct vex_json_tape *tape)
{
    delete tape;
}

extern "C" char *vex_json_tape_text(struct vex_json_tape *tape, size_t len)
{
    if (len > simdjson::SIMDJSON_MAXSIZE_BYTES - simdjson::SIMDJSON_PADDING)
        return nullptr;
    if (!tape->text || len > tape->room || (tape->room > keep_max && len <= keep_max)) {
        /* Texts of one kind differ a little in length: some more room, and the next one fits. */
        size_t room = std::min(len + len / 4, size_t(simdjson::SIMDJSON_MAXSIZE_BYTES));
        if (len <= keep_max)
            for (room = keep_min; room < len; room *= 2)
                ;
        tape->parser.reset();
        tape->text.reset();
        tape->room = 0;
        tape->text.reset(new (std::nothrow) char[room + simdjson::SIMDJSON_PADDING]);
        if (!tape->text)
            return nullptr;
        tape->room = room;
    }
    memset(tape->text.get() + len, ' ', simdjson::SIMDJSON_PADDING);
    return tape->text.get();
}

extern "C" int vex_json_tape_parse(struct vex_json_tape *tape, size_t len, struct vex_json_doc *ret)
{
    if (!tape->parser) {
        tape->parser.reset(new (std::nothrow) simdjson::dom::parser(simdjson::SIMDJSON_MAXSIZE_BYTES));
        if (!tape->parser)
            return VEX_ENO_MEMORY;
        /* The document grows by itself but to the text's length only; here it is sized once for all texts of
         * this room. */
        tape->fault = tape->parser->allocate(tape->room, VEX_JSON_DEPTH_MAX);
        if (tape->fault == simdjson::SUCCESS)
            tape->fault = tape->parser->doc.allocate(tape->room);
        if (tape->fault != simdjson::SUCCESS) {
            tape->parser.reset();
            return VEX_ENO_MEMORY;
        }
    }
    simdjson::dom::element root;
    tape->fault = tape->parser->parse(tape->text.get(), len, false).get(root);
    if (tape->fault == simdjson::MEMALLOC)
        return VEX_ENO_MEMORY;
    if (tape->fault != simdjson::SUCCESS)
        return VEX_EFORMAT;
    ret->tape = tape->parser->doc.tape.get();
    ret->strings = tape->parser->doc.string_buf.get();
    return 0;
}

extern "C" const char *vex_json_tape_fault(const struct vex_json_tape *tape)
{
    return simdjson::error_message(tape->fault);
}

extern "C" uint64_t *vex_json_tape_words(struct vex_json_tape *tape)
{
    return tape->parser->doc.tape.get();
}

extern "C" bool vex_utf8_valid(struct vex_str s)
{
    return s.len == 0 || simdjson::validate_utf8(s.ptr, s.len);
}
