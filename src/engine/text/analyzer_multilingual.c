/* Analyzer: the tokenizer "multilingual".
 *
 * A word is a run of one script between separators (punctuation, spaces, the signs of arithmetic); digits, marks and other signs
 * belong to what they stand by; what has no letter is no token. Scripts that do not part their words (Han, Hiragana, Thai) are cut
 * into characters: no dictionary is needed, and any word of a text is found again as the sequence of its characters.
 * Normalization: compatibility decomposition, lowercase; vowel points, accents and tone marks of Latin, Greek, Hebrew, Arabic and
 * Thai are left out (not of Cyrillic, where they make other letters, nor of Indic scripts); a few letters of Greek, Arabic and
 * Latin are spelt the plain way; the Arabic article is a token of its own. */
#include <utf8proc.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/text/analyzer_parts.h"

enum script { COMMON, LATIN, GREEK, CYRILLIC, HEBREW, ARABIC, THAI, HAN, HIRAGANA, KATAKANA, OTHER };

static const struct {
    int32_t first, last;
    enum script script;
} scripts[] = {{0x0041, 0x024f, LATIN},    {0x0250, 0x02af, LATIN},    {0x0370, 0x03ff, GREEK},
               {0x0400, 0x052f, CYRILLIC}, {0x0590, 0x05ff, HEBREW},   {0x0600, 0x06ff, ARABIC},
               {0x0750, 0x077f, ARABIC},   {0x08a0, 0x08ff, ARABIC},   {0x0e00, 0x0e7f, THAI},
               {0x1c80, 0x1c8f, CYRILLIC}, {0x1d00, 0x1dbf, LATIN},    {0x1e00, 0x1eff, LATIN},
               {0x1f00, 0x1fff, GREEK},    {0x2c60, 0x2c7f, LATIN},    {0x2de0, 0x2dff, CYRILLIC},
               {0x2e80, 0x2fdf, HAN},      {0x3005, 0x3007, HAN},      {0x3041, 0x309f, HIRAGANA},
               {0x30a0, 0x30ff, KATAKANA}, {0x31f0, 0x31ff, KATAKANA}, {0x3400, 0x4dbf, HAN},
               {0x4e00, 0x9fff, HAN},      {0xa640, 0xa69f, CYRILLIC}, {0xa720, 0xa7ff, LATIN},
               {0xab30, 0xab6f, LATIN},    {0xf900, 0xfaff, HAN},      {0xfb00, 0xfb06, LATIN},
               {0xfb1d, 0xfb4f, HEBREW},   {0xfb50, 0xfdff, ARABIC},   {0xfe70, 0xfeff, ARABIC},
               {0xff21, 0xff5a, LATIN},    {0xff66, 0xff9f, KATAKANA}, {0x1b000, 0x1b16f, KATAKANA},
               {0x20000, 0x3134f, HAN}};

static enum script script_of(int32_t point)
{
    if (point < 0x80)
        return (point | 0x20) >= 'a' && (point | 0x20) <= 'z' ? LATIN : COMMON;
    for (size_t lo = 0, hi = sizeof scripts / sizeof scripts[0]; lo < hi;) {
        size_t mid = (lo + hi) / 2;
        if (scripts[mid].last < point)
            lo = mid + 1;
        else if (scripts[mid].first > point)
            hi = mid;
        else
            return scripts[mid].script;
    }
    return OTHER;
}

static bool is_mark(int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);

    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
           category == UTF8PROC_CATEGORY_MC;
}

static bool is_letter(int32_t point)
{
    return vex_text_alnum(point) &&
           (!vex_text_numeric(point) || utf8proc_category(point) == UTF8PROC_CATEGORY_NL);
}

static bool is_separator(int32_t point)
{
    if (vex_text_space(point) || point == '+' || point == '`' || point == 0xb1 || point == 0xd7 ||
        point == 0xf7 || (point >= 0x2212 && point <= 0x22ff))
        return true;
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return true;
    default:
        return false;
    }
}

static bool drops_marks(enum script script)
{
    return script == LATIN || script == GREEK || script == HEBREW || script == ARABIC || script == THAI ||
           script == COMMON;
}

/* The plain spelling of a letter that is decomposed and in lowercase; 0: it goes, -2: "ae", -3: "oe". */
static int32_t plain(int32_t point, enum script script)
{
    if (script == LATIN && (point == 0xe6 || point == 0x153))
        return point == 0xe6 ? -2 : -3;
    if (script == GREEK && point == 0x3c2)
        return 0x3c3;
    if (script == ARABIC) {
        if (point == 0x640) /* tatweel */
            return 0;
        if (point == 0x671) /* alef wasla */
            return 0x627;
        if (point == 0x629) /* teh marbuta */
            return 0x647;
        if (point == 0x649) /* alef maksura */
            return 0x64a;
    }
    return point;
}

/* Decomposed code points of the word; how many, 0 when it can't be. */
static size_t decompose(struct vex_cut *cut, struct vex_str word)
{
    utf8proc_option_t options = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    utf8proc_ssize_t count =
        utf8proc_decompose((const utf8proc_uint8_t *)word.ptr, (utf8proc_ssize_t)word.len, cut->points,
                           (utf8proc_ssize_t)cut->point_room, options);

    if (count > 0 && (size_t)count >= cut->point_room) {
        cut->point_room = (size_t)count + 16;
        cut->points = vex_mem_realloc(cut->points, cut->point_room * sizeof *cut->points);
        count = utf8proc_decompose((const utf8proc_uint8_t *)word.ptr, (utf8proc_ssize_t)word.len,
                                   cut->points, (utf8proc_ssize_t)cut->point_room, options);
    }
    return count > 0 ? (size_t)count : 0;
}

static struct vex_str normalize(struct vex_cut *cut, struct vex_str word, enum script script)
{
    size_t count = decompose(cut, word);
    bool letters = false;

    if (script == KATAKANA || script == HIRAGANA) { /* sound marks belong to the letter */
        utf8proc_ssize_t composed = utf8proc_normalize_utf32(cut->points, (utf8proc_ssize_t)count,
                                                             UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        count = composed > 0 ? (size_t)composed : 0;
    }
    cut->word.len = 0;
    vex_buf_reserve(&cut->word, count * 4);
    for (size_t i = 0; i < count; i++) {
        int32_t point = cut->points[i];
        if (is_mark(point) && drops_marks(script))
            continue;
        point = plain(utf8proc_tolower(point), script);
        if (point == 0)
            continue;
        letters = letters || point < 0 || is_letter(point);
        if (point < 0)
            vex_buf_add(&cut->word, point == -2 ? "ae" : "oe", 2);
        else
            cut->word.len +=
                (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)cut->word.ptr + cut->word.len);
    }
    return letters ? vex_buf_str(&cut->word) : vex_str(NULL, 0);
}

static int cut_run(struct vex_cut *cut, struct vex_str run, enum script script)
{
    static const char article[] = "\xd8\xa7\xd9\x84"; /* alef, lam */
    struct vex_str word = normalize(cut, run, script);
    size_t len = sizeof article - 1;

    if (script == ARABIC && word.len > len && memcmp(word.ptr, article, len) == 0) {
        int rc = vex_cut_word(cut, vex_str(article, len), false);
        if (rc != 0)
            return rc;
        word = vex_str(word.ptr + len, word.len - len);
    }
    return vex_cut_word(cut, word, false);
}

static bool by_character(enum script script)
{
    return script == HAN || script == HIRAGANA || script == THAI;
}

/* Does a code point of this script go on with a run of that one? */
static bool goes_on(enum script run, enum script script, int32_t point)
{
    if (is_mark(point) || script == COMMON)
        return !by_character(run) || is_mark(point);
    return run == COMMON || (script == run && !by_character(run)) || (run == KATAKANA && point == 0x30fc);
}

int vex_cut_multilingual(struct vex_cut *cut, struct vex_str text)
{
    const char *at = text.ptr, *end = text.len > 0 ? text.ptr + text.len : text.ptr, *begin = NULL;
    enum script run = COMMON;
    int rc = 0;

    while (at < end && rc == 0) {
        const char *from = at;
        int32_t point = vex_text_next(&at, end);
        bool separator = is_separator(point);
        enum script script = is_letter(point) ? script_of(point) : COMMON;

        if (begin != NULL && (separator || !goes_on(run, script, point))) {
            rc = cut_run(cut, vex_str(begin, (size_t)(from - begin)), run);
            begin = NULL;
        }
        if (separator)
            continue;
        if (begin == NULL) {
            begin = from;
            run = script;
        } else if (run == COMMON && !is_mark(point)) {
            run = script;
        }
    }
    if (rc == 0 && begin != NULL)
        rc = cut_run(cut, vex_str(begin, (size_t)(end - begin)), run);
    return rc;
}
