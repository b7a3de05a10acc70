/* Dates: RFC 3339 and the looser spellings that Qdrant takes; int64 microseconds since 1970 UTC. */
#ifndef VEX_BASE_TIME_H
#define VEX_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* RFC 3339 and what Qdrant takes beside it: a space or nothing for the T, no zone (UTC), then also without seconds or as a date only;
 * months to seconds of one digit; fractions of any length (cut to µs); zones as Z, UTC, +hh:mm, +hhmm, +hh, behind spaces; spaces
 * before numbers; signed years of any length. false when it is none of these or not a date. */
bool vex_time_parse(struct vex_str s, int64_t *ret_us);
/* "2024-01-02T03:04:05Z", with six digits of fraction when it has one. buf holds at least 40 bytes; returns
 * length. */
size_t vex_time_text(char *buf, int64_t us);

#endif
