/* Log: a line is put together on the stack and leaves in one write(2).
 *
 * Lock: none; the kernel keeps lines of one write apart. Invariant: a line holds no control characters and
 * only valid UTF-8 whatever its values were. Format: "2026-11-21T12:00:00.000Z INFO area: message" or the
 * same fields as JSON. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "base/utf8.h"

#define MESSAGE_MAX 4096
#define LINE_MAX    8192
#define TAIL        8 /* room kept for what closes a line */

static _Atomic int log_level = VEX_LOG_INFO;
static atomic_bool log_json;

static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG", "TRACE"};

struct line {
    char text[LINE_MAX];
    size_t len;
};

void vex_log_set(enum vex_log_level level, bool json)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&log_json, json, memory_order_relaxed);
}

enum vex_log_level vex_log_level(void)
{
    return (enum vex_log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

int vex_log_level_parse(const char *text, enum vex_log_level *ret)
{
    for (int i = VEX_LOG_ERROR; i <= VEX_LOG_TRACE; i++) {
        if (strcasecmp(text, level_names[i]) == 0) {
            *ret = (enum vex_log_level)i;
            return 0;
        }
    }
    return VEX_EBAD_INPUT;
}

/* Appends what fits wholly; false when it does not. */
static bool add(struct line *line, const char *text, size_t len)
{
    if (len > LINE_MAX - TAIL - line->len)
        return false;
    memcpy(line->text + line->len, text, len);
    line->len += len;
    return true;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

/* Appends with control characters, and quotes in JSON, escaped, and bytes that are not UTF-8 replaced. */
static void add_escaped(struct line *line, const char *text, size_t len, bool json)
{
    for (size_t at = 0; at < len;) {
        int step = vex_utf8_step(text + at, len - at);
        unsigned char c = (unsigned char)text[at];
        char escape[8];
        bool fits;

        /* C1 controls (U+0080..U+009F) drive terminals too. */
        if (step == 2 && c == 0xc2 && (unsigned char)text[at + 1] < 0xa0)
            c = (unsigned char)text[at + 1];
        if (step <= 0) {
            fits = add(line, "\xef\xbf\xbd", 3);
        } else if (c < 0x20 || (c >= 0x7f && c < 0xa0 && step < 3)) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            fits = add(line, escape, 6);
        } else if (json && (c == '"' || c == '\\')) {
            char pair[2] = {'\\', (char)c};
            fits = add(line, pair, 2);
        } else {
            fits = add(line, text + at, (size_t)step);
        }
        if (!fits)
            return;
        at += step > 0 ? (size_t)step : 1;
    }
}

static size_t now_text(char buf[48])
{
    struct timespec now;
    size_t len;

    clock_gettime(CLOCK_REALTIME, &now);
    len = vex_time_text(buf, (int64_t)now.tv_sec * 1000000);
    return len - 1 + (size_t)snprintf(buf + len - 1, 8, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static void write_line(const struct line *line)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, line->text, line->len);
    while (n < 0 && errno == EINTR);
    /* Nobody is left to tell when standard error is gone. */
}

void vex_log_write(enum vex_log_level level, const char *area, const char *fmt, ...)
{
    bool json = atomic_load_explicit(&log_json, memory_order_relaxed);
    int saved_errno = errno;
    char message[MESSAGE_MAX], now[48];
    struct line line;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (len < 0)
        len = 0;
    if ((size_t)len >= sizeof message)
        len = (int)sizeof message - 1;

    line.len = 0;
    add_text(&line, json ? "{\"time\":\"" : "");
    add(&line, now, now_text(now));
    add_text(&line, json ? "\",\"level\":\"" : " ");
    add_text(&line, level_names[level]);
    add_text(&line, json ? "\",\"area\":\"" : " ");
    add_escaped(&line, area, strlen(area), json);
    add_text(&line, json ? "\",\"message\":\"" : ": ");
    add_escaped(&line, message, (size_t)len, json);
    /* add() has kept room for these. */
    memcpy(line.text + line.len, json ? "\"}\n" : "\n", json ? 3 : 1);
    line.len += json ? 3 : 1;
    write_line(&line);
    errno = saved_errno;
}
