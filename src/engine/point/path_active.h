/* Sets of paths that have matched so far, while one walk of a payload follows many paths at once; for
 * path_edit.c and path_select.c only.
 *
 * A set is a run of one shared array of path numbers. Going down a level reorders the run so that the paths
 * that go on come first and takes that front part: the same members stay in the run above, so nothing is
 * allocated on the way. */
#ifndef VEX_ENGINE_POINT_PATH_ACTIVE_H
#define VEX_ENGINE_POINT_PATH_ACTIVE_H

#include "engine/point/path.h"

#define PATH_SET_FEW 32

struct vex_path_set {
    const struct vex_path **order;
    const struct vex_path *few[PATH_SET_FEW];
};

struct vex_path_active {
    const struct vex_path **order;
    size_t count;
};

/* All paths; the set must not move while it is in use. */
struct vex_path_active vex_path_set_init(struct vex_path_set *set, const struct vex_path *paths,
                                         size_t count);
void vex_path_set_done(struct vex_path_set *set);

/* Those whose step at `depth` is this key; []; [] or [index], where paths that end with it are left out. */
struct vex_path_active vex_path_active_key(struct vex_path_active active, uint32_t depth, struct vex_str key);
struct vex_path_active vex_path_active_all(struct vex_path_active active, uint32_t depth);
struct vex_path_active vex_path_active_element(struct vex_path_active active, uint32_t depth, uint64_t index);
/* True when one of them has just `depth` steps. */
bool vex_path_active_ends(struct vex_path_active active, uint32_t depth);

#endif
