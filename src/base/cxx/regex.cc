/* RE2 behind C functions.
 *
 * Owner: the caller of vex_regex_new. Lock: RE2's own. Invariant: a struct vex_regex holds a pattern that
 * compiled. */
#include <re2/re2.h>

#include <new>

#include "base/cxx/c.h"

struct vex_regex {
    re2::RE2 re;

    vex_regex(const re2::StringPiece &pattern, const re2::RE2::Options &options) : re(pattern, options)
    {
    }
};

extern "C" int vex_regex_new(struct vex_str pattern, struct vex_regex **ret, struct vex_err *err)
{
    re2::RE2::Options options;
    options.set_log_errors(false);

    /* RE2 takes text that is not UTF-8 apart differently from what the caller sees. */
    if (!vex_utf8_valid(pattern))
        return vex_err_set(err, VEX_EBAD_INPUT, "regular expression is not valid UTF-8");
    vex_regex *regex = new vex_regex(re2::StringPiece(pattern.ptr, pattern.len), options);
    if (!regex->re.ok()) {
        int rc =
            vex_err_set(err, VEX_EBAD_INPUT, "invalid regular expression: %s", regex->re.error().c_str());
        delete regex;
        return rc;
    }
    *ret = regex;
    return 0;
}

extern "C" bool vex_regex_matches(const struct vex_regex *re, struct vex_str text)
{
    return re2::RE2::PartialMatch(re2::StringPiece(text.ptr, text.len), re->re);
}

extern "C" void vex_regex_free(struct vex_regex *re)
{
    delete re;
}
