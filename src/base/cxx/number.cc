/* Numbers as text behind C functions: std::to_chars and std::from_chars.
 *
 * Lock: none, nothing is kept. */
#include <charconv>
#include <cmath>
#include <cstring>
#include <system_error>

#include "base/cxx/c.h"

/* Decimal exponent of the first significant digit tells overflow from underflow when from_chars says "out of
 * range". */
static bool beyond_one(const char *at, const char *end)
{
    long point = 0, exponent = 0;
    bool fraction = false, significant = false, negative = false;

    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
        } else if (*at >= '0' && *at <= '9') {
            significant = significant || *at != '0';
            if (significant && !fraction)
                point++;
            else if (!significant && fraction)
                point--;
        }
    }
    if (at < end)
        at++;
    if (at < end && (*at == '-' || *at == '+'))
        negative = *at++ == '-';
    for (; at < end && exponent < 1L << 40; at++)
        exponent = exponent * 10 + (*at - '0');
    return point + (negative ? -exponent : exponent) > 0;
}

extern "C" bool vex_f64_parse(struct vex_str s, double *ret)
{
    const char *at = s.ptr, *end = s.ptr + s.len;
    bool negative = false;
    double v = 0;

    if (s.len == 0)
        return false;
    if (*at == '+' || *at == '-')
        negative = *at++ == '-';
    /* from_chars would also take "inf", "nan" and a second sign. */
    if (at == end || *at < '0' || *at > '9')
        return false;
    std::from_chars_result result = std::from_chars(at, end, v, std::chars_format::general);
    if (result.ptr != end || result.ec == std::errc::invalid_argument)
        return false;
    if (result.ec == std::errc::result_out_of_range)
        v = beyond_one(at, end) ? HUGE_VAL : 0.0;
    *ret = negative ? -v : v;
    return true;
}

template <typename T> static size_t shortest_digits(char *digits, T v, int *ret_point)
{
    char text[40];
    size_t n = 0;
    int exponent = 0;
    std::to_chars_result result = std::to_chars(text, text + sizeof text, v, std::chars_format::scientific);
    const char *at = text;

    for (; at < result.ptr && *at != 'e'; at++)
        if (*at != '.')
            digits[n++] = *at;
    if (at < result.ptr && at[1] == '+') /* from_chars takes no plus */
        at++;
    std::from_chars(at + 1, result.ptr, exponent);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    *ret_point = exponent + 1;
    return n;
}

extern "C" size_t vex_f32_digits(char *digits, float v, int *ret_point)
{
    return shortest_digits(digits, v, ret_point);
}

extern "C" size_t vex_f64_digits(char *digits, double v, int *ret_point)
{
    return shortest_digits(digits, v, ret_point);
}
