/* Dates: RFC 3339 and looser, proleptic Gregorian, int64 microseconds.
 *
 * Lock: none, nothing is kept. Day numbers by shifted years that begin in March, in eras of 400 years, so
 * that leap days come last: E. G. Richards, "Calendars", in Explanatory Supplement to the Astronomical
 * Almanac, 3rd ed., 15.11. */
#include "base/time.h"

#include <stdio.h>

#define US_PER_SEC   INT64_C(1000000)
#define SEC_PER_DAY  INT64_C(86400)
#define DAYS_PER_ERA 146097
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

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

/* Takes exactly n digits. */
static bool take_digits(struct vex_str *s, size_t n, int *ret)
{
    int value = 0;

    if (s->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        value = value * 10 + (s->ptr[i] - '0');
    }
    *s = vex_str(s->ptr + n, s->len - n);
    *ret = value;
    return true;
}

static bool take_char(struct vex_str *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = vex_str(s->ptr + 1, s->len - 1);
    return true;
}

/* After the point: one to nine digits, what is below a microsecond is cut. */
static bool take_fraction(struct vex_str *s, int64_t *ret_us)
{
    int64_t us = 0;
    int digits = 0, digit;

    while (take_digits(s, 1, &digit)) {
        if (++digits > 9)
            return false;
        if (digits <= 6)
            us = us * 10 + digit;
    }
    for (int i = digits; i < 6; i++)
        us *= 10;
    *ret_us = us;
    return digits > 0;
}

/* "hh:mm[:ss[.fraction]]" */
static bool take_clock(struct vex_str *s, int64_t *ret_us)
{
    int hour, minute, second = 0;
    int64_t us = 0;

    if (!take_digits(s, 2, &hour) || !take_char(s, ':') || !take_digits(s, 2, &minute) || hour > 23 ||
        minute > 59)
        return false;
    if (take_char(s, ':')) {
        /* 60 is a leap second: it counts as the second after. */
        if (!take_digits(s, 2, &second) || second > 60)
            return false;
        if (take_char(s, '.') && !take_fraction(s, &us))
            return false;
    }
    *ret_us = (hour * 3600 + minute * 60 + second) * US_PER_SEC + us;
    return true;
}

/* The rest of the text: nothing (UTC), Z, or an offset. */
static bool take_zone(struct vex_str *s, int64_t *ret_us)
{
    int hour, minute = 0;
    bool west;

    *ret_us = 0;
    if (s->len == 0 || ((take_char(s, 'Z') || take_char(s, 'z')) && s->len == 0))
        return true;
    west = take_char(s, '-');
    if (!west && !take_char(s, '+'))
        return false;
    if (!take_digits(s, 2, &hour))
        return false;
    if (s->len > 0) {
        take_char(s, ':');
        if (!take_digits(s, 2, &minute) || s->len > 0)
            return false;
    }
    if (hour > 23 || minute > 59)
        return false;
    *ret_us = (hour * 60 + minute) * 60 * US_PER_SEC * (west ? -1 : 1);
    return true;
}

bool vex_time_parse(struct vex_str s, int64_t *ret_us)
{
    int64_t clock = 0, zone = 0;
    int year, month, day;

    if (!take_digits(&s, 4, &year) || !take_char(&s, '-') || !take_digits(&s, 2, &month) ||
        !take_char(&s, '-') || !take_digits(&s, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (s.len > 0) {
        if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' '))
            return false;
        if (!take_clock(&s, &clock) || !take_zone(&s, &zone))
            return false;
    }
    *ret_us = days_from_date(year, month, day) * SEC_PER_DAY * US_PER_SEC + clock - zone;
    return true;
}

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
