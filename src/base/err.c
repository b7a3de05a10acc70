/* Errors: the class table of err.def, and error texts.
 *
 * Owner: the caller's struct vex_err. Lock: none. Invariant: a stored text is NUL-terminated UTF-8. */
#include "base/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Status codes of gRPC by name; err.def speaks their names only. */
enum grpc_status {
    CANCELLED = 1,
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    NOT_FOUND = 5,
    ALREADY_EXISTS = 6,
    PERMISSION_DENIED = 7,
    RESOURCE_EXHAUSTED = 8,
    FAILED_PRECONDITION = 9,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    DATA_LOSS = 15,
    UNAUTHENTICATED = 16,
};

static const struct vex_err_class classes[VEX_ERR_COUNT] = {
    [VEX_ERR_INDEX_NONE] = {"OK", 0, 200, "", ""},
#define VEX_ERR(name, grpc, http, chroma, prefix)                                                            \
    [VEX_ERR_INDEX_##name] = {#name, grpc, http, chroma, prefix},
#include "base/err.def"
#undef VEX_ERR
};

const struct vex_err_class *vex_err_class(int code)
{
    if (code > 0 || code <= -VEX_ERR_COUNT)
        code = VEX_EINTERNAL;
    return &classes[-code];
}

/* Copies text into err->text; whether `cut`, it had been shortened before and a half sequence at its end is
 * no fault. */
static void store_text(struct vex_err *err, const char *text, size_t len, bool cut)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t at = 0, out = 0;

    while (at < len) {
        int step = vex_utf8_step(text + at, len - at);
        const char *from = step > 0 ? text + at : replacement;
        size_t size = step > 0 ? (size_t)step : sizeof replacement - 1;

        if (step < 0 && cut)
            break;
        if (out + size >= VEX_ERR_TEXT_MAX)
            break;
        memcpy(err->text + out, from, size);
        out += size;
        at += step > 0 ? (size_t)step : 1;
    }
    err->text[out] = '\0';
}

int vex_err_setv(struct vex_err *err, int code, const char *fmt, va_list ap)
{
    char text[VEX_ERR_TEXT_MAX]; /* not err->text: the arguments may point into it */
    int len = vsnprintf(text, sizeof text, fmt, ap);
    bool cut = len >= (int)sizeof text;

    err->code = code;
    if (len < 0) {
        err->text[0] = '\0';
        return code;
    }
    store_text(err, text, cut ? sizeof text - 1 : (size_t)len, cut);
    return code;
}

int vex_err_set(struct vex_err *err, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vex_err_setv(err, code, fmt, ap);
    va_end(ap);
    return code;
}

int vex_err_wrap(struct vex_err *err, const char *fmt, ...)
{
    char what[VEX_ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (len < 0)
        return err->code;
    return vex_err_set(err, err->code, "%s: %s", what, err->text);
}

int vex_err_errno(int err_no)
{
    switch (err_no < 0 ? -err_no : err_no) {
    case ENOSPC:
    case EDQUOT:
        return VEX_ENO_SPACE;
    case ENOMEM:
        return VEX_ENO_MEMORY;
    default:
        return VEX_EIO;
    }
}
