/* Text: words and case, by Unicode's properties.
 *
 * Lock   None, nothing is kept.
 * Data   Categories and simple mappings are utf8proc's; what it lacks (the property Alphabetic beyond letters, and
 *        letters that are newer than it) is in text_alphabetic.def. */
#include <utf8proc.h>

#include "base/text.h"

#define SIGMA_CAPITAL 0x3a3
#define SIGMA_SMALL   0x3c3
#define SIGMA_FINAL   0x3c2
#define I_DOTTED      0x130
#define DOT_ABOVE     0x307
#define REPLACEMENT   0xfffd

struct range {
    int32_t first, last;
};

static const struct range alphabetic[] = {
#define VEX_RANGE(first, last) {first, last},
#include "base/text_alphabetic.def"
#undef VEX_RANGE
};

static bool in_ranges(const struct range *ranges, size_t count, int32_t point)
{
    size_t lo = 0, hi = count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (ranges[mid].last < point)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < count && ranges[lo].first <= point;
}

bool vex_text_alnum(int32_t point)
{
    if (point < 0x80)
        return (point >= '0' && point <= '9') || ((point | 0x20) >= 'a' && (point | 0x20) <= 'z');
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return in_ranges(alphabetic, sizeof alphabetic / sizeof alphabetic[0], point);
    }
}

bool vex_text_numeric(int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);

    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

static int32_t lower_of(int32_t point)
{
    /* Capitals that are newer than utf8proc: first, last, lowercase of the first. */
    static const struct {
        int32_t first, last, lower;
    } newer[] = {{0x1c89, 0x1c89, 0x1c8a},   {0xa7cb, 0xa7cb, 0x0264}, {0xa7cc, 0xa7cc, 0xa7cd},
                 {0xa7ce, 0xa7ce, 0xa7cf},   {0xa7d2, 0xa7d2, 0xa7d3}, {0xa7d4, 0xa7d4, 0xa7d5},
                 {0xa7da, 0xa7da, 0xa7db},   {0xa7dc, 0xa7dc, 0x019b}, {0x10d50, 0x10d65, 0x10d70},
                 {0x16ea0, 0x16eb8, 0x16ebb}};
    utf8proc_category_t category = utf8proc_category(point);

    if (category == UTF8PROC_CATEGORY_CN)
        for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++)
            if (point >= newer[i].first && point <= newer[i].last)
                return newer[i].lower + (point - newer[i].first);
    return utf8proc_tolower(point);
}

bool vex_text_upper(int32_t point)
{
    /* Other_Uppercase: Roman numerals, enclosed letters. */
    static const struct range other[] = {
        {0x2160, 0x216f}, {0x24b6, 0x24cf}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};

    if (point < 0x80)
        return point >= 'A' && point <= 'Z';
    return utf8proc_category(point) == UTF8PROC_CATEGORY_LU ||
           in_ranges(other, sizeof other / sizeof other[0], point) ||
           (utf8proc_category(point) == UTF8PROC_CATEGORY_CN && lower_of(point) != point);
}

static bool is_lowercase(int32_t point)
{
    /* Other_Lowercase: ordinal signs, modifier letters, Roman numerals, enclosed letters. */
    static const struct range other[] = {
        {0xaa, 0xaa},       {0xba, 0xba},       {0x2b0, 0x2b8},    {0x2c0, 0x2c1},     {0x2e0, 0x2e4},
        {0x345, 0x345},     {0x37a, 0x37a},     {0x10fc, 0x10fc},  {0x1d2c, 0x1d6a},   {0x1d78, 0x1d78},
        {0x1d9b, 0x1dbf},   {0x2071, 0x2071},   {0x207f, 0x207f},  {0x2090, 0x209c},   {0x2170, 0x217f},
        {0x24d0, 0x24e9},   {0x2c7c, 0x2c7d},   {0xa69c, 0xa69d},  {0xa770, 0xa770},   {0xa7f2, 0xa7f4},
        {0xa7f8, 0xa7f9},   {0xab5c, 0xab5f},   {0xab69, 0xab69},  {0x10780, 0x10780}, {0x10783, 0x10785},
        {0x10787, 0x107b0}, {0x107b2, 0x107ba}, {0x1e030, 0x1e06d}};

    if (point < 0x80)
        return point >= 'a' && point <= 'z';
    return utf8proc_category(point) == UTF8PROC_CATEGORY_LL ||
           in_ranges(other, sizeof other / sizeof other[0], point);
}

bool vex_text_space(int32_t point)
{
    static const struct range spaces[] = {
        {0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};

    return in_ranges(spaces, sizeof spaces / sizeof spaces[0], point);
}

int32_t vex_text_next(const char **at, const char *end)
{
    utf8proc_int32_t point;
    utf8proc_ssize_t step;

    if ((unsigned char)**at < 0x80)
        return (unsigned char)*(*at)++;
    step = utf8proc_iterate((const utf8proc_uint8_t *)*at, end - *at, &point);
    *at += step > 0 ? step : 1;
    return step > 0 ? point : REPLACEMENT;
}

static bool is_cased(int32_t point)
{
    return vex_text_upper(point) || is_lowercase(point) || utf8proc_category(point) == UTF8PROC_CATEGORY_LT;
}

/* What stands between the letters of a word without being one (Case_Ignorable). */
static bool is_ignorable(int32_t point)
{
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return point == '\'' || point == '.' || point == ':' || point == 0xb7 || point == 0x2018 ||
               point == 0x2019 || point == 0x2024 || point == 0x2027;
    }
}

/* Unicode's Final_Sigma: a cased letter before it, none behind it. `at` is the byte behind the sigma. */
static bool ends_word(const struct vex_lower *walk)
{
    const char *before = walk->at - 2, *behind = walk->at, *from;
    bool preceded = false;

    while (before > walk->begin) {
        int32_t point;
        do
            before--;
        while (before > walk->begin && ((unsigned char)*before & 0xc0) == 0x80);
        from = before;
        point = vex_text_next(&from, walk->end);
        if (is_ignorable(point))
            continue;
        preceded = is_cased(point);
        break;
    }
    if (!preceded)
        return false;
    while (behind < walk->end) {
        int32_t point = vex_text_next(&behind, walk->end);
        if (!is_ignorable(point))
            return !is_cased(point);
    }
    return true;
}

int32_t vex_lower_next_slow(struct vex_lower *walk)
{
    int32_t point = walk->queued;

    if (point != 0) {
        walk->queued = 0;
        return point;
    }
    if (walk->at >= walk->end)
        return -1;
    point = vex_text_next(&walk->at, walk->end);
    if (point == I_DOTTED) {
        walk->queued = DOT_ABOVE;
        return 'i';
    }
    if (point == SIGMA_CAPITAL)
        return ends_word(walk) ? SIGMA_FINAL : SIGMA_SMALL;
    return lower_of(point);
}

void vex_text_add_lower(struct vex_buf *out, struct vex_str s)
{
    struct vex_lower walk = vex_lower(s);
    int32_t point;

    vex_buf_reserve(out, s.len * 3 + 4);
    while ((point = vex_lower_next(&walk)) >= 0) {
        if (point < 0x80)
            out->ptr[out->len++] = (char)point;
        else /* at most three bytes for one (and that only for what is no UTF-8) */
            out->len += (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)out->ptr + out->len);
    }
}

struct vex_str vex_text_lower(struct vex_arena *arena, struct vex_str s)
{
    struct vex_buf out;

    vex_buf_init(&out, arena);
    vex_text_add_lower(&out, s);
    return vex_buf_str(&out);
}

int vex_text_words(struct vex_str s, int (*fn)(void *arg, struct vex_str word), void *arg)
{
    const char *at = s.ptr, *end = s.len > 0 ? s.ptr + s.len : s.ptr, *begin = NULL;

    while (at < end) {
        const char *from = at;
        if (vex_text_alnum(vex_text_next(&at, end))) {
            if (begin == NULL)
                begin = from;
        } else if (begin != NULL) {
            int rc = fn(arg, vex_str(begin, (size_t)(from - begin)));
            if (rc != 0)
                return rc;
            begin = NULL;
        }
    }
    return begin != NULL ? fn(arg, vex_str(begin, (size_t)(end - begin))) : 0;
}
