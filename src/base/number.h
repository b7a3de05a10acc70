/* Numbers as text, both ways, exact: C functions over std::to_chars and std::from_chars (the printing half is
 * declared in json_write.h). No locale has a say. Thread-safe. */
#ifndef VEX_BASE_NUMBER_H
#define VEX_BASE_NUMBER_H

#include <stdbool.h>

#include "base/str.h"

/* The whole text must be a decimal number as JSON writes it, leading zeros and a leading '+' allowed; nearest
 * double, infinite on overflow, zero on underflow. */
bool vex_f64_parse(struct vex_str s, double *ret);

/* Shortest digits that round-trip, without trailing zeros: value = 0.DIGITS * 10^ret_point. `digits` holds at
 * least 20 bytes; returns their number. v is finite and above zero. */
size_t vex_f32_digits(char *digits, float v, int *ret_point);
size_t vex_f64_digits(char *digits, double v, int *ret_point);

#endif
