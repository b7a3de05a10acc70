/* Life of a simulated disk as a whole: creation, cloning, recording, replicas and power cuts. */
#include "lib/sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static struct vex_sim *new_disk(uint64_t seed)
{
    struct vex_sim *sim = VEX_NEW(struct vex_sim);
    sim->io.ops = &sim_io_ops;
    pthread_mutex_init(&sim->mutex, NULL);
    sim->random = seed;
    sim->clock = 1000000000u;
    return sim;
}

struct vex_sim *vex_sim_new(uint64_t seed)
{
    struct vex_sim *sim = new_disk(seed);
    sim_node_add(sim, true)->links = 1;
    return sim;
}

void vex_sim_free(struct vex_sim *sim)
{
    if (sim == NULL)
        return;
    for (size_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim->nodes[i];
        if (node->handles > 0)
            abort(); /* the test leaks a handle */
        if (node->mirror >= 0)
            close(node->mirror);
        sim_image_done(&node->live);
        sim_image_done(&node->durable);
        sim_folder_done(&node->names);
        sim_folder_done(&node->durable_names);
        vex_mem_free(node);
    }
    vex_mem_free(sim->nodes);
    sim_ops_clear(&sim->pending);
    sim_ops_clear(&sim->log);
    vex_sim_free(sim->base);
    pthread_mutex_destroy(&sim->mutex);
    vex_mem_free(sim);
}

struct vex_io *vex_sim_io(struct vex_sim *sim)
{
    return &sim->io;
}

static struct vex_sim *clone_locked(struct vex_sim *sim)
{
    struct vex_sim *clone = new_disk(sim->random);
    clone->clock = sim->clock;
    clone->capacity = sim->capacity;
    for (size_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *from = sim->nodes[i];
        struct sim_node *to = sim_node_add(clone, from->is_folder);
        to->links = from->links;
        if (from->links > 0)
            sim_image_copy(&to->live, &from->live);
        sim_image_copy(&to->durable, &from->durable);
        sim_folder_copy(&to->names, &from->names);
        sim_folder_copy(&to->durable_names, &from->durable_names);
        clone->used_pages += to->live.held;
    }
    for (size_t i = 0; i < sim->pending.count; i++)
        sim_ops_add(&clone->pending, sim->pending.at[i]);
    return clone;
}

struct vex_sim *vex_sim_clone(struct vex_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    struct vex_sim *clone = clone_locked(sim);
    pthread_mutex_unlock(&sim->mutex);
    return clone;
}

/* A write of which only some sectors arrived: at random, the first ones, or the last ones. */
static void apply_torn(struct vex_sim *disk, const struct sim_op *op, uint64_t sector, uint64_t *random)
{
    struct sim_image *image = &disk->nodes[op->node]->durable;
    uint64_t first = op->offset / sector, sectors = (op->offset + op->len - 1) / sector - first + 1;
    uint64_t mode = sim_random(random) % 3, cut = sim_random(random) % (sectors + 1);
    uint64_t full = op->offset + op->len;
    /* The size may be written although the data behind it is not: it reads as zeros then. */
    if (full > image->size && sim_random(random) % 2 == 0)
        sim_image_resize(image, full);
    for (uint64_t i = 0; i < sectors; i++) {
        bool keep = mode == 0 ? sim_random(random) % 2 == 0 : mode == 1 ? i < cut : i >= cut;
        if (!keep)
            continue;
        uint64_t from = i == 0 ? op->offset : (first + i) * sector;
        uint64_t to = i == sectors - 1 ? full : (first + i + 1) * sector;
        sim_image_write(image, from, op->data + (from - op->offset), (size_t)(to - from));
    }
}

static void apply_survivors(struct vex_sim *disk, const struct sim_ops *pending, enum vex_sim_policy policy,
                            uint64_t seed)
{
    size_t prefix = (size_t)(seed % (pending->count + 1));
    uint64_t random = seed;
    for (size_t i = 0; i < pending->count; i++) {
        const struct sim_op *op = pending->at[i];
        bool data = sim_op_is_data(op), coin = sim_random(&random) % 2 == 0;
        bool keep =
            policy == VEX_SIM_KEEP_ALL || (policy == VEX_SIM_PREFIX && i < prefix) ||
            (policy == VEX_SIM_DATA_ONLY && data) || (policy == VEX_SIM_NAMES_ONLY && !data) ||
            (policy == VEX_SIM_NAMES_LOST && (data || coin)) ||
            ((policy == VEX_SIM_SUBSET || policy == VEX_SIM_TORN_512 || policy == VEX_SIM_TORN_4K) && coin);
        bool torn = (policy == VEX_SIM_TORN_512 || policy == VEX_SIM_TORN_4K) && op->kind == SIM_WRITE &&
                    op->len > 0 && sim_random(&random) % 4 != 0;
        if (torn)
            apply_torn(disk, op, policy == VEX_SIM_TORN_512 ? 512 : 4096, &random);
        else if (keep)
            sim_apply_durable(disk, op);
    }
}

/* After the cut the live side is what the platter holds. */
static void boot(struct vex_sim *disk)
{
    disk->nodes[SIM_ROOT]->links = 1;
    for (size_t i = 0; i < disk->node_count; i++) {
        sim_folder_copy(&disk->nodes[i]->names, &disk->nodes[i]->durable_names);
        for (size_t e = 0; e < disk->nodes[i]->names.count; e++)
            disk->nodes[disk->nodes[i]->names.at[e].node]->links++;
    }
    for (size_t i = 0; i < disk->node_count; i++) {
        struct sim_node *node = disk->nodes[i];
        if (node->links == 0) {
            sim_image_done(&node->durable);
            continue;
        }
        sim_image_copy(&node->live, &node->durable);
        disk->used_pages += node->live.held;
    }
}

struct vex_sim *vex_sim_crash(struct vex_sim *sim, enum vex_sim_policy policy, uint64_t seed)
{
    if (policy == VEX_SIM_KILL)
        return vex_sim_clone(sim);
    pthread_mutex_lock(&sim->mutex);
    struct vex_sim *disk = new_disk(seed ^ sim->random);
    disk->clock = sim->clock + 1000000000u;
    disk->capacity = sim->capacity;
    for (size_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim_node_add(disk, sim->nodes[i]->is_folder);
        sim_image_copy(&node->durable, &sim->nodes[i]->durable);
        sim_folder_copy(&node->durable_names, &sim->nodes[i]->durable_names);
    }
    apply_survivors(disk, &sim->pending, policy, seed);
    pthread_mutex_unlock(&sim->mutex);
    boot(disk);
    return disk;
}

void vex_sim_record(struct vex_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    sim_ops_clear(&sim->log);
    vex_sim_free(sim->base);
    sim->base = clone_locked(sim);
    pthread_mutex_unlock(&sim->mutex);
}

size_t vex_sim_op_count(struct vex_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    size_t count = sim->log.count;
    pthread_mutex_unlock(&sim->mutex);
    return count;
}

struct vex_sim *vex_sim_replica(struct vex_sim *sim)
{
    return vex_sim_clone(sim->base);
}

bool vex_sim_step(struct vex_sim *replica, struct vex_sim *recorded)
{
    if (replica->step >= recorded->log.count)
        return false;
    struct sim_op *op = recorded->log.at[replica->step++];
    atomic_fetch_add(&op->refs, 1);
    sim_do(replica, op);
    return true;
}

struct vex_sim *vex_sim_clone_at(struct vex_sim *recorded, size_t index, enum vex_sim_policy policy,
                                 uint64_t seed)
{
    struct vex_sim *replica = vex_sim_replica(recorded);
    for (size_t i = 0; i < index && vex_sim_step(replica, recorded); i++)
        ;
    struct vex_sim *disk = vex_sim_crash(replica, policy, seed);
    vex_sim_free(replica);
    return disk;
}
