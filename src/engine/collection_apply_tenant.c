/* Tenants of points, see collection_apply_tenant.h.
 *
 * Lock      None: what a payload and the configuration say. */
#include "engine/collection_apply_tenant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint16_t group_of(struct vex_value v)
{
    return (uint16_t)(1 + XXH3_64bits(v.at, vex_value_size(v)) % UINT16_MAX);
}

/* An array has its values as a condition has them: one level deep. */
static int look(void *arg, struct vex_value v)
{
    uint16_t *ret = arg;
    struct vex_value_iter it;

    if (vex_value_kind(v) != VEX_VALUE_ARRAY) {
        *ret = vex_value_kind(v) != VEX_VALUE_NULL ? group_of(v) : 0;
        return *ret != 0;
    }
    for (it = vex_value_iter(v); *ret == 0 && vex_value_next(&it);)
        *ret = vex_value_kind(it.value) != VEX_VALUE_NULL ? group_of(it.value) : 0;
    return *ret != 0;
}

uint16_t vex_tenant_group(const struct vex_path *path, struct vex_value payload)
{
    uint16_t ret = 0;

    if (payload.at != NULL)
        (void)vex_path_each(path, payload, look, &ret);
    return ret;
}

int vex_tenant_path(struct vex_arena *arena, const struct vex_config *config, const struct vex_path **ret)
{
    const struct vex_index_params *tenant = vex_config_tenant(config);
    struct vex_path *path;
    struct vex_err err;

    *ret = NULL;
    if (tenant == NULL)
        return 0;
    path = vex_arena_try(arena, sizeof *path);
    if (path == NULL)
        return VEX_ENO_MEMORY;
    /* The configuration was taken with it, so it is a path. */
    if (vex_path_parse(arena, tenant->field, path, &err) == 0)
        *ret = path;
    return 0;
}
