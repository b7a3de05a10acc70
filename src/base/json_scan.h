/* A strict walk through JSON text that knows where and why it is wrong, in the words and positions of
 * serde_json. Runs only when the fast parser has refused a text: to tell the user, or to find the numbers
 * that only that parser refuses. */
#ifndef VEX_BASE_JSON_SCAN_H
#define VEX_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct vex_json_scan {
    const char *text;
    size_t len;
    /* Called for every number when set; ordinal counts numbers from 0; false stops the walk (memory is out).
     * The bytes of the number have been passed by and may be overwritten. */
    bool (*number)(void *arg, size_t begin, size_t end, size_t ordinal);
    void *arg;

    const char *fault; /* NULL: the text is valid (or `number` stopped) */
    size_t line, column;

    /* the walker's */
    size_t at, numbers;
};

/* True when the text is valid. */
bool vex_json_scan(struct vex_json_scan *scan);

#endif
