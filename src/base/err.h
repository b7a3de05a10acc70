/* Errors: negative codes, and a text where a user may see it.
 *
 * A function that can fail returns 0 or a negative VEX_E* code. One whose text may reach a user takes
 * `struct vex_err *err` too (never NULL) and fills it with vex_err_set() exactly when it fails. An error is
 * either returned or logged, never both. err.def says how each class looks in every dialect. */
#ifndef VEX_BASE_ERR_H
#define VEX_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum vex_err_index {
    VEX_ERR_INDEX_NONE,
#define VEX_ERR(name, grpc, http, chroma, prefix) VEX_ERR_INDEX_##name,
#include "base/err.def"
#undef VEX_ERR
    VEX_ERR_COUNT
};

enum vex_err_code {
    VEX_OK = 0,
#define VEX_ERR(name, grpc, http, chroma, prefix) VEX_E##name = -VEX_ERR_INDEX_##name,
#include "base/err.def"
#undef VEX_ERR
};

#define VEX_ERR_TEXT_MAX 2048

struct vex_err {
    int code;                    /* VEX_E*; 0 when nothing failed */
    char text[VEX_ERR_TEXT_MAX]; /* NUL-terminated UTF-8, without the dialect's prefix; cut when too long */
};

struct vex_err_class {
    const char *name;
    int grpc_status; /* numeric gRPC status code */
    int http_status;
    const char *chroma; /* error name in the Chroma dialect */
    const char *prefix; /* begins the text in the Qdrant dialect */
};

/* The row of err.def for a code; an unknown code is an internal error. */
const struct vex_err_class *vex_err_class(int code);

/* Stores code and formatted text; returns code, so that `return vex_err_set(err, ...)` reads well. The text
 * is cut at a UTF-8 border and bytes that are not UTF-8 are replaced. */
int vex_err_set(struct vex_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int vex_err_setv(struct vex_err *err, int code, const char *fmt, va_list ap);

/* Puts "what: " before the text while an error travels outward. */
int vex_err_wrap(struct vex_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Code for an errno value of the file layer: ENOSPC and EDQUOT -> NO_SPACE, ENOMEM -> NO_MEMORY, else IO. */
int vex_err_errno(int err_no);

#endif
