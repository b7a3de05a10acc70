/* The parsed document as json_read.c walks it: simdjson's tape (its doc/tape.md), filled by
 * cxx/json_parse.cc.
 *
 * A word is a type byte on top and 56 bits below. '{' '[': low 32 bits the index behind the closing word,
 * next 24 the number of members, saturated. 'l' 'u' 'd': the value is the next word. '"': offset of u32
 * length and bytes in `strings`. 't' 'f' 'n': nothing more. The first value stands at 1. */
#ifndef VEX_BASE_JSON_TAPE_H
#define VEX_BASE_JSON_TAPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct vex_json_doc {
    const uint64_t *tape;
    const uint8_t *strings;
};

struct vex_json_tape; /* owns a document; simdjson's parser and the padded copy of the text */

struct vex_json_tape *vex_json_tape_new(void);
void vex_json_tape_free(struct vex_json_tape *tape);
/* 0; VEX_EFORMAT when simdjson refuses (the caller finds out why); VEX_ENO_MEMORY; VEX_ETOO_LARGE. Reads
 * vex_json_tape_text() of `len` bytes. */
int vex_json_tape_parse(struct vex_json_tape *tape, size_t len, struct vex_json_doc *ret);
/* Room for len bytes of text, kept until the next call; drops memory above 1 MB that is no longer needed.
 * NULL: out of memory or longer than 4 GB. */
char *vex_json_tape_text(struct vex_json_tape *tape, size_t len);
/* simdjson's words about the last refusal. */
const char *vex_json_tape_fault(const struct vex_json_tape *tape);
/* The tape for patching numbers; as long as the document lives. */
uint64_t *vex_json_tape_words(struct vex_json_tape *tape);

#endif
