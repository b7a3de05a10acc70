/* Log: one line an event to standard error, text or JSON, thread-safe, never blocks on more than the write
 * itself.
 *
 * Levels as in Qdrant's setting log_level: error, warn, info, debug, trace. Values from outside are escaped.
 */
#ifndef VEX_BASE_LOG_H
#define VEX_BASE_LOG_H

#include <stdbool.h>

enum vex_log_level { VEX_LOG_ERROR, VEX_LOG_WARN, VEX_LOG_INFO, VEX_LOG_DEBUG, VEX_LOG_TRACE };

void vex_log_set(enum vex_log_level level, bool json);
enum vex_log_level vex_log_level(void);
int vex_log_level_parse(const char *text,
                        enum vex_log_level *ret); /* VEX_EBAD_INPUT when unknown; case is ignored */
void vex_log_write(enum vex_log_level level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define vex_log(level, area, ...)                                                                            \
    do {                                                                                                     \
        if ((level) <= vex_log_level())                                                                      \
            vex_log_write((level), (area), __VA_ARGS__);                                                     \
    } while (0)
#define vex_error(area, ...) vex_log(VEX_LOG_ERROR, area, __VA_ARGS__)
#define vex_warn(area, ...)  vex_log(VEX_LOG_WARN, area, __VA_ARGS__)
#define vex_info(area, ...)  vex_log(VEX_LOG_INFO, area, __VA_ARGS__)
#define vex_debug(area, ...) vex_log(VEX_LOG_DEBUG, area, __VA_ARGS__)

#endif
