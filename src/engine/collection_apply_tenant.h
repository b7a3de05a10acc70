/* Which points lie together: those that have the same value in the field of the tenant index. */
#ifndef VEX_ENGINE_COLLECTION_APPLY_TENANT_H
#define VEX_ENGINE_COLLECTION_APPLY_TENANT_H

#include "engine/config.h"
#include "engine/point/path.h"

/* Where a payload says its tenant; *ret NULL: points lie as they come. VEX_ENO_MEMORY. */
int vex_tenant_path(struct vex_arena *arena, const struct vex_config *config, const struct vex_path **ret);
/* Group of a payload's first tenant, see rows.h; 0: it has none. It is kept on the disk, so it never changes. */
uint16_t vex_tenant_group(const struct vex_path *path, struct vex_value payload);

#endif
