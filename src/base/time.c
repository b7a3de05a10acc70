/* Dates: RFC 3339 and looser (as the Rust library chrono reads them, which the real server uses), proleptic Gregorian, int64
 * microseconds.
 *
 * Lock: none, nothing is kept. Day numbers by shifted years that begin in March, in eras of 400 years, so
 * that leap days come last: E. G. Richards, "Calendars", in Explanatory Supplement to the Astronomical
 * Almanac, 3rd ed., 15.11. */
#include "base/time.h"

#include <stdio.h>

#include "base/text.h"

#define US_PER_SEC   INT64_C(1000000)
#define SEC_PER_DAY  INT64_C(86400)
#define DAYS_PER_ERA 146097
#define DAYS_TO_1970 719468 /* from 0000-03-01 */
#define YEAR_MIN     (-262143)
#define YEAR_MAX     262142

static int64_t days_from_date(int64_t year, int month, int day)
{
    int64_t era, day_of_era;
    int year_of_era, day_of_year;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    year_of_era = (int)(year - era * 400);
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t era;
    int day_of_era, year_of_era, day_of_year, shifted;

    days += DAYS_TO_1970;
    era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    day_of_era = (int)(days - era * DAYS_PER_ERA);
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* ---- reading ---- */

/* How a spelling treats what stands between the parts. */
struct manner {
    bool spaces;  /* white space before '-' and ':', and behind all */
    bool zone;    /* there is one */
    bool minutes; /* of the zone: have to be there */
};

static void skip_spaces(struct vex_str *s)
{
    const char *at = s->ptr, *end = s->ptr + s->len;

    while (at < end) {
        const char *next = at;
        if ((unsigned char)(*at - '!') < 0x7f - '!' || !vex_text_space(vex_text_next(&next, end)))
            break;
        at = next;
    }
    *s = vex_str(at, (size_t)(end - at));
}

static bool take_char(struct vex_str *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = vex_str(s->ptr + 1, s->len - 1);
    return true;
}

static bool take_either(struct vex_str *s, char lower)
{
    return take_char(s, lower) || take_char(s, (char)(lower - 'a' + 'A'));
}

/* One to `most` digits behind white space. */
static bool take_number(struct vex_str *s, size_t most, int *ret)
{
    size_t n = 0;
    int value = 0;

    skip_spaces(s);
    while (n < s->len && n < most && s->ptr[n] >= '0' && s->ptr[n] <= '9') {
        if (value > YEAR_MAX)
            return false;
        value = value * 10 + (s->ptr[n++] - '0');
    }
    *s = vex_str(s->ptr + n, s->len - n);
    *ret = value;
    return n > 0;
}

/* With a sign it may have any number of digits, else four. */
static bool take_year(struct vex_str *s, int *ret)
{
    bool minus;

    skip_spaces(s);
    minus = take_char(s, '-');
    if (!minus && !take_char(s, '+'))
        return take_number(s, 4, ret);
    if (s->len == 0 || s->ptr[0] < '0' || s->ptr[0] > '9' || !take_number(s, SIZE_MAX, ret))
        return false;
    *ret = minus ? -*ret : *ret;
    return true;
}

static bool take_mark(struct vex_str *s, char c, const struct manner *manner)
{
    if (manner->spaces)
        skip_spaces(s);
    return take_char(s, c);
}

static bool take_date(struct vex_str *s, const struct manner *manner, int64_t *ret_day)
{
    int year, month, day;

    if (!take_year(s, &year) || !take_mark(s, '-', manner) || !take_number(s, 2, &month) ||
        !take_mark(s, '-', manner) || !take_number(s, 2, &day))
        return false;
    if (year < YEAR_MIN || year > YEAR_MAX || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month))
        return false;
    *ret_day = days_from_date(year, month, day);
    return true;
}

/* After the point: digits; what is below a microsecond is cut. */
static bool take_fraction(struct vex_str *s, int64_t *ret_us)
{
    int64_t us = 0;
    size_t digits = 0;

    for (; digits < s->len && s->ptr[digits] >= '0' && s->ptr[digits] <= '9'; digits++)
        if (digits < 6)
            us = us * 10 + (s->ptr[digits] - '0');
    for (size_t i = digits; i < 6; i++)
        us *= 10;
    *s = vex_str(s->ptr + digits, s->len - digits);
    *ret_us = us;
    return digits > 0;
}

/* "hh:mm:ss[.fraction]"; without a zone the seconds may be left out. */
static bool take_clock(struct vex_str *s, const struct manner *manner, int64_t *ret_us)
{
    int hour, minute, second = 0;
    int64_t us = 0;

    if (!take_number(s, 2, &hour) || !take_mark(s, ':', manner) || !take_number(s, 2, &minute) || hour > 23 ||
        minute > 59)
        return false;
    if (manner->zone || s->len > 0) {
        /* 60 is a leap second: it counts as the second after. */
        if (!take_mark(s, ':', manner) || !take_number(s, 2, &second) || second > 60)
            return false;
        if (take_char(s, '.') && !take_fraction(s, &us))
            return false;
    }
    *ret_us = (hour * 3600 + minute * 60 + second) * US_PER_SEC + us;
    return true;
}

/* Two digits, no spaces before them. */
static bool take_pair(struct vex_str *s, int *ret)
{
    if (s->len < 2 || s->ptr[0] < '0' || s->ptr[0] > '9' || s->ptr[1] < '0' || s->ptr[1] > '9')
        return false;
    *ret = (s->ptr[0] - '0') * 10 + (s->ptr[1] - '0');
    *s = vex_str(s->ptr + 2, s->len - 2);
    return true;
}

static bool take_sign(struct vex_str *s, bool *ret_west)
{
    static const char minus[] = "\xe2\x88\x92"; /* U+2212 */

    *ret_west = true;
    if (take_char(s, '-'))
        return true;
    if (s->len >= sizeof minus - 1 && memcmp(s->ptr, minus, sizeof minus - 1) == 0) {
        *s = vex_str(s->ptr + sizeof minus - 1, s->len - (sizeof minus - 1));
        return true;
    }
    *ret_west = false;
    return take_char(s, '+');
}

static bool take_zone(struct vex_str *s, const struct manner *manner, int64_t *ret_us)
{
    int hour, minute = 0;
    size_t before;
    bool west;

    *ret_us = 0;
    skip_spaces(s);
    if (take_either(s, 'z'))
        return true;
    if (manner->minutes && take_either(s, 'u'))
        return take_either(s, 't') && take_either(s, 'c');
    if (!take_sign(s, &west) || !take_pair(s, &hour))
        return false;
    do {
        before = s->len;
        skip_spaces(s);
        take_char(s, ':');
    } while (s->len != before);
    if (!take_pair(s, &minute) && (manner->minutes || s->len > 0))
        return false;
    if (hour > 23 || minute > 59)
        return false;
    *ret_us = (hour * 60 + minute) * 60 * US_PER_SEC * (west ? -1 : 1);
    return true;
}

/* The T, or a space; in a fixed format any white space, or none. */
static bool take_divider(struct vex_str *s, const struct manner *manner)
{
    if (take_char(s, 'T'))
        return true;
    if (manner->spaces)
        return take_char(s, 't') || take_char(s, ' ');
    skip_spaces(s);
    return true;
}

static bool parse(struct vex_str s, const struct manner *manner, int64_t *ret_us)
{
    int64_t day, clock = 0, zone = 0;

    if (!take_date(&s, manner, &day))
        return false;
    if (manner->zone || s.len > 0) {
        if (!take_divider(&s, manner) || !take_clock(&s, manner, &clock))
            return false;
        if (manner->zone && !take_zone(&s, manner, &zone))
            return false;
    }
    if (manner->spaces)
        skip_spaces(&s);
    if (s.len > 0)
        return false;
    *ret_us = day * SEC_PER_DAY * US_PER_SEC + clock - zone;
    return true;
}

bool vex_time_parse(struct vex_str s, int64_t *ret_us)
{
    /* What is read of a date and time with a zone; of a fixed format with a zone; of one without (UTC). */
    static const struct manner manners[] = {
        {.spaces = true, .zone = true, .minutes = true}, {.zone = true}, {.zone = false}};

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++)
        if (parse(s, &manners[i], ret_us))
            return true;
    return false;
}

/* ---- writing ---- */

size_t vex_time_text(char *buf, int64_t us)
{
    int64_t fraction = us % US_PER_SEC, seconds = us / US_PER_SEC, clock, year;
    int month, day, len;
    char digits[8] = "";

    if (fraction < 0) {
        fraction += US_PER_SEC;
        seconds--;
    }
    clock = seconds % SEC_PER_DAY;
    if (clock < 0)
        clock += SEC_PER_DAY;
    date_from_days((seconds - clock) / SEC_PER_DAY, &year, &month, &day);
    if (fraction > 0)
        snprintf(digits, sizeof digits, ".%06d", (int)fraction);
    len = snprintf(buf, 40, "%s%04lld-%02d-%02dT%02d:%02d:%02d%sZ", year < 0 ? "-" : "",
                   (long long)(year < 0 ? -year : year), month, day, (int)(clock / 3600),
                   (int)(clock / 60 % 60), (int)(clock % 60), digits);
    return (size_t)len;
}
