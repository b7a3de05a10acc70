/* Keys: who sent a call and what the key may do. Texts are the peer's; clients and charts compare them. */
#include "api/service.h"

#include <openssl/crypto.h>

/* Lengths may be told apart, contents not. */
static bool same_key(struct vex_str key, const char *configured)
{
    size_t len = strlen(configured);

    return len != 0 && key.len == len && CRYPTO_memcmp(key.ptr, configured, len) == 0;
}

bool vex_service_needs_key(const struct vex_service *service)
{
    static const enum vex_conf_key keys[] = {VEX_CONF_API_KEY, VEX_CONF_ALT_API_KEY, VEX_CONF_READ_ONLY_KEY};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (*vex_conf_str(service->options.conf, keys[i]) != '\0')
            return true;
    return false;
}

int vex_service_authorise(struct vex_service *service, enum vex_access access, struct vex_str key,
                          struct vex_identity *ret, struct vex_err *err)
{
    const struct vex_conf *conf = service->options.conf;

    *ret = (struct vex_identity){.all = true};
    if (access == VEX_ACCESS_OPEN || !vex_service_needs_key(service))
        return 0;
    *ret = (struct vex_identity){0};
    if (key.ptr == NULL)
        return vex_err_set(err, VEX_EUNAUTHENTIC, "Must provide an API key or an Authorization bearer token");
    if (same_key(key, vex_conf_str(conf, VEX_CONF_API_KEY)) ||
        same_key(key, vex_conf_str(conf, VEX_CONF_ALT_API_KEY))) {
        ret->all = true;
        return 0;
    }
    if (!same_key(key, vex_conf_str(conf, VEX_CONF_READ_ONLY_KEY)))
        return vex_err_set(err, VEX_EUNAUTHENTIC, "Invalid API key or JWT");
    ret->read_only = true;
    if (access == VEX_ACCESS_WRITE)
        return vex_err_set(err, VEX_EFORBIDDEN, "Global write access is required");
    if (access == VEX_ACCESS_MANAGE)
        return vex_err_set(err, VEX_EFORBIDDEN, "Global manage access is required");
    return 0;
}
