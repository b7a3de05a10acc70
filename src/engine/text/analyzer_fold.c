/* Analyzer: ASCII folding, by a table. */
#include "base/text.h"
#include "engine/text/analyzer_parts.h"

static const struct {
    uint16_t point;
    char ascii[4]; /* not terminated when it has all four */
} folds[] = {
#define VEX_FOLD(point, ascii) {point, ascii},
#include "engine/text/analyzer_fold.def"
#undef VEX_FOLD
};

static const char *fold_of(int32_t point)
{
    size_t lo = 0, hi = sizeof folds / sizeof folds[0];

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (folds[mid].point < point)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sizeof folds / sizeof folds[0] && folds[lo].point == point ? folds[lo].ascii : NULL;
}

void vex_fold_ascii(struct vex_buf *out, struct vex_str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;

    while (at < end) {
        const char *from = at, *ascii;
        int32_t point = vex_text_next(&at, end);

        ascii = point >= 0x80 ? fold_of(point) : NULL;
        if (ascii != NULL)
            vex_buf_add(out, ascii, strnlen(ascii, 4));
        else
            vex_buf_add(out, from, (size_t)(at - from));
    }
}
