/* Names and lookups of the Chroma dialect. */
#include "api/chroma/internal.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "base/text.h"

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
    return name.len <= NAME_MAX && plain(vex_str(name.ptr, left)) && plain(vex_str(plus + 1, name.len - left - 1));
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
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "Expected a name containing 3-512 characters from [a-zA-Z0-9._-], starting and ending with a "
                           "character in [a-zA-Z0-9]. Got: " VEX_STR_FMT,
                           VEX_STR_ARG(name));
    if (vex_str_contains(name, VEX_STR("..")))
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "Expected a name that does not contains two consecutive dots (..). Got " VEX_STR_FMT,
                           VEX_STR_ARG(name));
    if (is_address(name))
        return vex_err_set(err, VEX_EBAD_INPUT, "Expected a name that is not a valid ip address. Got " VEX_STR_FMT,
                           VEX_STR_ARG(name));
    return 0;
}

int vex_chroma_find(struct vex_service *service, const struct vex_chroma_path *path, struct vex_collection **ret,
                    struct vex_err *err)
{
    struct vex_collection_info info;
    struct vex_arena arena;
    uint8_t uuid[16];
    int rc;

    if (!vex_uuid_parse(path->collection, uuid))
        return vex_err_set(err, VEX_EBAD_INPUT, "Collection ID is not a valid UUIDv4");
    rc = vex_engine_find_uuid(service->engine, uuid, ret, err);
    if (rc == 0) {
        vex_arena_init(&arena, 0);
        vex_collection_info(*ret, &arena, &info);
        if (!vex_str_eq(info.tenant, path->tenant) || !vex_str_eq(info.database, path->database))
            rc = VEX_ENOT_FOUND;
        vex_config_unref(info.config);
        vex_arena_done(&arena);
        if (rc < 0)
            vex_collection_unref(*ret);
    }
    if (rc == VEX_ENOT_FOUND)
        return vex_err_set(err, rc, "Collection [" VEX_STR_FMT "] does not exist.", VEX_STR_ARG(path->collection));
    return rc;
}

int vex_chroma_find_name(struct vex_service *service, const struct vex_chroma_path *path, struct vex_collection **ret,
                         struct vex_err *err)
{
    int rc = vex_engine_find_in(service->engine, path->tenant, path->database, path->collection, ret, err);

    if (rc == VEX_ENOT_FOUND)
        return vex_err_set(err, rc, "Collection [" VEX_STR_FMT "] does not exist", VEX_STR_ARG(path->collection));
    return rc;
}

int vex_chroma_embedding(const struct vex_config *config, const struct vex_vector_params **ret, struct vex_err *err)
{
    *ret = vex_config_vector(config, VEX_STR(""));
    if (*ret == NULL)
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "The collection has only named vectors; embeddings need the default (unnamed) vector");
    if ((*ret)->kind != VEX_VECTOR_DENSE)
        return vex_err_set(err, VEX_EBAD_INPUT, "The collection's default vector is not a single dense vector");
    return 0;
}
