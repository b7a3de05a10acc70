/* Names of the Chroma dialect. */
#include "api/chroma/internal.h"

#include <arpa/inet.h>
#include <ctype.h>

#define NAME_MIN 3
#define NAME_MAX 512

static bool plain(struct vex_str s)
{
    if (s.len < NAME_MIN || s.len > NAME_MAX || !isalnum((unsigned char)s.ptr[0]) ||
        !isalnum((unsigned char)s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x80 || (!isalnum(c) && c != '.' && c != '_' && c != '-'))
            return false;
    }
    return true;
}

/* One plain name, or two joined by a single plus. */
static bool well_formed(struct vex_str name)
{
    const char *plus = name.len > 0 ? memchr(name.ptr, '+', name.len) : NULL;

    if (plus == NULL)
        return plain(name);
    size_t left = (size_t)(plus - name.ptr);
    return name.len <= NAME_MAX && plain(vex_str(name.ptr, left)) &&
           plain(vex_str(plus + 1, name.len - left - 1));
}

static bool is_address(struct vex_str name)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];

    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

int vex_chroma_check_name(struct vex_str name, struct vex_err *err)
{
    if (!well_formed(name))
        return vex_err_set(
            err, VEX_EBAD_INPUT,
            "Expected a name containing 3-512 characters from [a-zA-Z0-9._-], starting and ending with a "
            "character in [a-zA-Z0-9]. Got: " VEX_STR_FMT,
            VEX_STR_ARG(name));
    if (vex_str_contains(name, VEX_STR("..")))
        return vex_err_set(
            err, VEX_EBAD_INPUT,
            "Expected a name that does not contains two consecutive dots (..). Got " VEX_STR_FMT,
            VEX_STR_ARG(name));
    if (is_address(name))
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "Expected a name that is not a valid ip address. Got " VEX_STR_FMT,
                           VEX_STR_ARG(name));
    return 0;
}
