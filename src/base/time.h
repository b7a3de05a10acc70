/* Dates: RFC 3339 and the looser spellings that Qdrant takes; int64 microseconds since 1970 UTC. */
#ifndef VEX_BASE_TIME_H
#define VEX_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* RFC 3339, a space for the T, no zone (UTC), seconds left out, date only; fractions to nine digits (cut to
 * µs), zones as Z, +hh:mm, +hhmm, +hh. false when it is none of these or not a date. */
bool vex_time_parse(struct vex_str s, int64_t *ret_us);
/* "2024-01-02T03:04:05Z", with six digits of fraction when it has one. buf holds at least 40 bytes; returns
 * length. */
size_t vex_time_text(char *buf, int64_t us);

#endif
