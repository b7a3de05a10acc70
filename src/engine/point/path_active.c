/* Sets of paths followed through a payload.
 *
 * Owner  The function on whose stack the vex_path_set lives. */
#include "engine/point/path_active.h"

#include "base/mem.h"

struct vex_path_active vex_path_set_init(struct vex_path_set *set, const struct vex_path *paths, size_t count)
{
    set->order = count <= PATH_SET_FEW ? set->few : vex_mem_alloc(count * sizeof *set->order);
    for (size_t i = 0; i < count; i++)
        set->order[i] = &paths[i];
    return (struct vex_path_active){set->order, count};
}

void vex_path_set_done(struct vex_path_set *set)
{
    if (set->order != set->few)
        vex_mem_free(set->order);
}

static void bring_front(struct vex_path_active active, size_t *front, size_t i)
{
    const struct vex_path *path = active.order[i];

    active.order[i] = active.order[*front];
    active.order[(*front)++] = path;
}

struct vex_path_active vex_path_active_key(struct vex_path_active active, uint32_t depth, struct vex_str key)
{
    size_t front = 0;

    for (size_t i = 0; i < active.count; i++) {
        const struct vex_path *path = active.order[i];
        if (depth < path->count && path->steps[depth].kind == VEX_STEP_KEY &&
            vex_str_eq(path->steps[depth].key, key))
            bring_front(active, &front, i);
    }
    return (struct vex_path_active){active.order, front};
}

struct vex_path_active vex_path_active_all(struct vex_path_active active, uint32_t depth)
{
    size_t front = 0;

    for (size_t i = 0; i < active.count; i++) {
        const struct vex_path *path = active.order[i];
        if (depth < path->count && path->steps[depth].kind == VEX_STEP_ALL)
            bring_front(active, &front, i);
    }
    return (struct vex_path_active){active.order, front};
}

struct vex_path_active vex_path_active_element(struct vex_path_active active, uint32_t depth, uint64_t index)
{
    size_t front = 0;

    for (size_t i = 0; i < active.count; i++) {
        const struct vex_path *path = active.order[i];
        if (depth + 1 >= path->count)
            continue;
        if (path->steps[depth].kind == VEX_STEP_ALL ||
            (path->steps[depth].kind == VEX_STEP_INDEX && path->steps[depth].index == index))
            bring_front(active, &front, i);
    }
    return (struct vex_path_active){active.order, front};
}

bool vex_path_active_ends(struct vex_path_active active, uint32_t depth)
{
    for (size_t i = 0; i < active.count; i++)
        if (active.order[i]->count == depth)
            return true;
    return false;
}
