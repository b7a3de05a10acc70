/* Analyzer: the tokenizer "code".
 *
 * An identifier is a run of alphanumerics and underscores. It is taken apart at underscores and where capitals begin a word
 * (HTTPServer2Go: HTTP, Server2, Go). A document also gets each part that fell into words, and the whole, as tokens without an
 * underscore beside the sequence, so that one may ask for either spelling (and so does a text to rank by); only when they are
 * folded to lowercase, as Qdrant does. What begins with a digit is one token. */
#include "base/text.h"
#include "engine/text/analyzer_parts.h"

/* Does a word begin at `point`? after: the rest of the text, whose first is the next letter. */
static bool begins_word(int32_t before, int32_t point, const char *after, const char *end)
{
    if (!vex_text_upper(point))
        return false;
    if (!vex_text_upper(before))
        return true;
    if (after == end)
        return false;
    point = vex_text_next(&after, end);
    return !vex_text_upper(point) && !vex_text_numeric(point);
}

/* The words of a part between underscores; ret_words: how many there were. */
static int cut_part(struct vex_cut *cut, struct vex_str part, uint32_t *ret_words)
{
    const char *at = part.ptr, *end = part.ptr + part.len, *begin = part.ptr;
    int32_t before = 0;

    *ret_words = 1;
    while (at < end) {
        const char *from = at;
        int32_t point = vex_text_next(&at, end);
        if (from > begin && begins_word(before, point, at, end)) {
            int rc = vex_cut_word(cut, vex_str(begin, (size_t)(from - begin)), false);
            if (rc != 0)
                return rc;
            begin = from;
            ++*ret_words;
        }
        before = point;
    }
    return vex_cut_word(cut, vex_str(begin, (size_t)(end - begin)), false);
}

/* The identifier without its underscores; *ret_parts counts what was between them. */
static struct vex_str join(struct vex_cut *cut, struct vex_str identifier, uint32_t *ret_parts)
{
    bool between = true;

    *ret_parts = 0;
    cut->word.len = 0;
    vex_buf_reserve(&cut->word, identifier.len);
    for (size_t i = 0; i < identifier.len; i++) {
        if (identifier.ptr[i] == '_') {
            between = true;
            continue;
        }
        *ret_parts += between;
        between = false;
        cut->word.ptr[cut->word.len++] = identifier.ptr[i];
    }
    return vex_buf_str(&cut->word);
}

static int cut_identifier(struct vex_cut *cut, struct vex_str identifier)
{
    bool whole = cut->use != VEX_TEXT_CONDITION && cut->analyzer->lowercase;
    uint32_t parts, words;
    int rc = 0;

    if (identifier.ptr[0] >= '0' && identifier.ptr[0] <= '9')
        return vex_cut_word(cut, join(cut, identifier, &parts), false);
    for (size_t at = 0; at < identifier.len && rc == 0;) {
        const char *begin = identifier.ptr + at, *behind = memchr(begin, '_', identifier.len - at);
        struct vex_str part = vex_str(begin, behind != NULL ? (size_t)(behind - begin) : identifier.len - at);

        at += part.len + 1;
        if (part.len == 0)
            continue;
        rc = cut_part(cut, part, &words);
        if (rc == 0 && whole && words > 1)
            rc = vex_cut_word(cut, part, true);
    }
    if (rc != 0 || !whole)
        return rc;
    join(cut, identifier, &parts);
    return parts > 1 ? vex_cut_word(cut, vex_buf_str(&cut->word), true) : 0;
}

int vex_cut_code(struct vex_cut *cut, struct vex_str text)
{
    const char *at = text.ptr, *end = text.len > 0 ? text.ptr + text.len : text.ptr, *begin = NULL;

    while (at < end) {
        const char *from = at;
        int32_t point = vex_text_next(&at, end);
        if (point == '_' || vex_text_alnum(point)) {
            if (begin == NULL)
                begin = from;
        } else if (begin != NULL) {
            int rc = cut_identifier(cut, vex_str(begin, (size_t)(from - begin)));
            if (rc != 0)
                return rc;
            begin = NULL;
        }
    }
    return begin != NULL ? cut_identifier(cut, vex_str(begin, (size_t)(end - begin))) : 0;
}
