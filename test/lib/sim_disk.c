/* State of the simulated disk: images of shared pages, folders, and the operations that change them. */
#define _GNU_SOURCE
#include "lib/sim_disk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* What allocated and never written pages point to; its count never reaches zero or one. */
static struct sim_page zero_page = {.refs = 1u << 30};

static void page_unref(struct sim_page *page)
{
    if (page != NULL && page != &zero_page && atomic_fetch_sub(&page->refs, 1) == 1)
        vex_mem_free(page);
}

void sim_image_done(struct sim_image *image)
{
    for (size_t i = 0; i < image->count; i++)
        page_unref(image->pages[i]);
    vex_mem_free(image->pages);
    memset(image, 0, sizeof *image);
}

void sim_image_copy(struct sim_image *to, const struct sim_image *from)
{
    *to = *from;
    if (from->count == 0) {
        to->pages = NULL;
        return;
    }
    to->pages = vex_mem_alloc(from->count * sizeof *to->pages);
    for (size_t i = 0; i < from->count; i++) {
        to->pages[i] = from->pages[i];
        if (to->pages[i] != NULL && to->pages[i] != &zero_page)
            atomic_fetch_add(&to->pages[i]->refs, 1);
    }
}

static void grow(struct sim_image *image, uint64_t end)
{
    size_t count = (size_t)((end + SIM_PAGE - 1) / SIM_PAGE);
    if (count > image->count) {
        image->pages = vex_mem_realloc(image->pages, count * sizeof *image->pages);
        memset(image->pages + image->count, 0, (count - image->count) * sizeof *image->pages);
        image->count = count;
    }
    if (end > image->size)
        image->size = end;
}

/* The page for writing: present and not shared. */
static struct sim_page *own_page(struct sim_image *image, size_t index)
{
    struct sim_page *page = image->pages[index];
    if (page != NULL && page != &zero_page && atomic_load(&page->refs) == 1)
        return page;
    struct sim_page *fresh = vex_mem_alloc(sizeof *fresh);
    atomic_store(&fresh->refs, 1);
    if (page != NULL)
        memcpy(fresh->data, page->data, SIM_PAGE);
    else
        memset(fresh->data, 0, SIM_PAGE);
    image->held += page == NULL ? 1 : 0;
    page_unref(page);
    image->pages[index] = fresh;
    return fresh;
}

void sim_image_write(struct sim_image *image, uint64_t offset, const void *data, size_t len)
{
    if (len == 0)
        return;
    grow(image, offset + len);
    for (size_t done = 0; done < len;) {
        uint64_t at = offset + done;
        size_t within = (size_t)(at % SIM_PAGE), n = SIM_PAGE - within;
        if (n > len - done)
            n = len - done;
        memcpy(own_page(image, (size_t)(at / SIM_PAGE))->data + within, (const char *)data + done, n);
        done += n;
    }
}

size_t sim_image_read(const struct sim_image *image, uint64_t offset, void *buf, size_t len)
{
    if (offset >= image->size)
        return 0;
    if (len > image->size - offset)
        len = (size_t)(image->size - offset);
    for (size_t done = 0; done < len;) {
        uint64_t at = offset + done;
        size_t within = (size_t)(at % SIM_PAGE), n = SIM_PAGE - within;
        if (n > len - done)
            n = len - done;
        const struct sim_page *page = image->pages[at / SIM_PAGE];
        if (page != NULL)
            memcpy((char *)buf + done, page->data + within, n);
        else
            memset((char *)buf + done, 0, n);
        done += n;
    }
    return len;
}

void sim_image_resize(struct sim_image *image, uint64_t size)
{
    if (size >= image->size) {
        grow(image, size);
        return;
    }
    size_t keep = (size_t)((size + SIM_PAGE - 1) / SIM_PAGE);
    for (size_t i = keep; i < image->count; i++) {
        image->held -= image->pages[i] != NULL ? 1 : 0;
        page_unref(image->pages[i]);
    }
    image->count = keep;
    image->size = size;
    size_t within = (size_t)(size % SIM_PAGE);
    if (within != 0 && image->pages[keep - 1] != NULL)
        memset(own_page(image, keep - 1)->data + within, 0, SIM_PAGE - within);
}

void sim_image_allocate(struct sim_image *image, uint64_t offset, uint64_t len)
{
    if (len == 0)
        return;
    grow(image, offset + len);
    for (size_t i = (size_t)(offset / SIM_PAGE); i <= (offset + len - 1) / SIM_PAGE; i++) {
        if (image->pages[i] == NULL) {
            image->pages[i] = &zero_page;
            image->held++;
        }
    }
}

size_t sim_image_missing(const struct sim_image *image, uint64_t offset, uint64_t len)
{
    size_t missing = 0;
    if (len == 0)
        return 0;
    for (size_t i = (size_t)(offset / SIM_PAGE); i <= (offset + len - 1) / SIM_PAGE; i++)
        missing += i >= image->count || image->pages[i] == NULL ? 1 : 0;
    return missing;
}

struct sim_entry *sim_folder_find(const struct sim_folder *folder, const char *name, size_t len)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (strlen(folder->at[i].name) == len && memcmp(folder->at[i].name, name, len) == 0)
            return &folder->at[i];
    }
    return NULL;
}

void sim_folder_put(struct sim_folder *folder, const char *name, unsigned node)
{
    struct sim_entry *entry = sim_folder_find(folder, name, strlen(name));
    if (entry != NULL) {
        entry->node = node;
        return;
    }
    if (folder->count == folder->cap) {
        folder->cap = folder->cap == 0 ? 8 : folder->cap * 2;
        folder->at = vex_mem_realloc(folder->at, folder->cap * sizeof *folder->at);
    }
    folder->at[folder->count++] = (struct sim_entry){vex_mem_strndup(name, strlen(name)), node};
}

void sim_folder_drop(struct sim_folder *folder, const char *name, unsigned node)
{
    struct sim_entry *entry = sim_folder_find(folder, name, strlen(name));
    if (entry == NULL || entry->node != node)
        return;
    vex_mem_free(entry->name);
    *entry = folder->at[--folder->count];
}

void sim_folder_copy(struct sim_folder *to, const struct sim_folder *from)
{
    memset(to, 0, sizeof *to);
    for (size_t i = 0; i < from->count; i++)
        sim_folder_put(to, from->at[i].name, from->at[i].node);
}

void sim_folder_done(struct sim_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        vex_mem_free(folder->at[i].name);
    vex_mem_free(folder->at);
    memset(folder, 0, sizeof *folder);
}

struct sim_op *sim_op_new(enum sim_kind kind, unsigned node)
{
    struct sim_op *op = VEX_NEW(struct sim_op);
    atomic_store(&op->refs, 1);
    op->kind = kind;
    op->node = node;
    return op;
}

void sim_op_unref(struct sim_op *op)
{
    if (atomic_fetch_sub(&op->refs, 1) != 1)
        return;
    vex_mem_free(op->name);
    vex_mem_free(op->to_name);
    vex_mem_free(op->data);
    vex_mem_free(op);
}

void sim_ops_add(struct sim_ops *ops, struct sim_op *op)
{
    if (ops->count == ops->cap) {
        ops->cap = ops->cap == 0 ? 64 : ops->cap * 2;
        ops->at = vex_mem_realloc(ops->at, ops->cap * sizeof *ops->at);
    }
    atomic_fetch_add(&op->refs, 1);
    ops->at[ops->count++] = op;
}

void sim_ops_clear(struct sim_ops *ops)
{
    for (size_t i = 0; i < ops->count; i++)
        sim_op_unref(ops->at[i]);
    vex_mem_free(ops->at);
    memset(ops, 0, sizeof *ops);
}

struct sim_node *sim_node_add(struct vex_sim *sim, bool is_folder)
{
    if (sim->node_count == sim->node_cap) {
        sim->node_cap = sim->node_cap == 0 ? 16 : sim->node_cap * 2;
        sim->nodes = vex_mem_realloc(sim->nodes, sim->node_cap * sizeof *sim->nodes);
    }
    struct sim_node *node = VEX_NEW(struct sim_node);
    node->is_folder = is_folder;
    node->mirror = -1;
    sim->nodes[sim->node_count++] = node;
    return node;
}

void sim_node_settle(struct vex_sim *sim, struct sim_node *node)
{
    if (node->links > 0 || node->handles > 0)
        return;
    sim->used_pages -= node->live.held;
    sim_image_done(&node->live);
    if (node->mirror >= 0)
        close(node->mirror);
    node->mirror = -1;
}

bool sim_op_is_data(const struct sim_op *op)
{
    return op->kind == SIM_WRITE || op->kind == SIM_TRUNCATE || op->kind == SIM_ALLOCATE;
}

static void apply_data(struct sim_image *image, const struct sim_op *op)
{
    if (op->kind == SIM_WRITE)
        sim_image_write(image, op->offset, op->data, (size_t)op->len);
    else if (op->kind == SIM_TRUNCATE)
        sim_image_resize(image, op->len);
    else
        sim_image_allocate(image, op->offset, op->len);
}

static void mirror(struct sim_node *node, const struct sim_op *op)
{
    if (node->mirror < 0)
        return;
    if (op->kind == SIM_WRITE) {
        if (pwrite(node->mirror, op->data, (size_t)op->len, (off_t)op->offset) != (ssize_t)op->len)
            abort();
    } else if (ftruncate(node->mirror, (off_t)node->live.size) != 0) {
        abort();
    }
}

void sim_apply_live(struct vex_sim *sim, const struct sim_op *op)
{
    struct sim_node *node = sim->nodes[op->node];
    if (sim_op_is_data(op)) {
        sim->used_pages -= node->live.held;
        apply_data(&node->live, op);
        sim->used_pages += node->live.held;
        mirror(node, op);
        return;
    }
    struct sim_folder *names = &sim->nodes[op->folder]->names;
    if (op->kind == SIM_LINK) {
        sim_folder_put(names, op->name, op->node);
        node->links++;
    } else if (op->kind == SIM_UNLINK) {
        sim_folder_drop(names, op->name, op->node);
        node->links--;
        sim_node_settle(sim, node);
    } else {
        struct sim_folder *to = &sim->nodes[op->to_folder]->names;
        struct sim_entry *old = sim_folder_find(to, op->to_name, strlen(op->to_name));
        struct sim_node *replaced = old != NULL && old->node != op->node ? sim->nodes[old->node] : NULL;
        sim_folder_drop(names, op->name, op->node);
        sim_folder_put(to, op->to_name, op->node);
        if (replaced != NULL) {
            replaced->links--;
            sim_node_settle(sim, replaced);
        }
    }
}

void sim_apply_durable(struct vex_sim *sim, const struct sim_op *op)
{
    if (sim_op_is_data(op)) {
        apply_data(&sim->nodes[op->node]->durable, op);
        return;
    }
    struct sim_folder *names = &sim->nodes[op->folder]->durable_names;
    if (op->kind == SIM_LINK) {
        sim_folder_put(names, op->name, op->node);
    } else if (op->kind == SIM_UNLINK) {
        sim_folder_drop(names, op->name, op->node);
    } else {
        sim_folder_drop(names, op->name, op->node);
        sim_folder_put(&sim->nodes[op->to_folder]->durable_names, op->to_name, op->node);
    }
}

/* Does this sync cover that pending operation? */
static bool covers(const struct sim_op *sync, const struct sim_op *op)
{
    if (sync->kind != SIM_DIRSYNC)
        return sim_op_is_data(op) && op->node == sync->node;
    return !sim_op_is_data(op) && (op->kind == SIM_RENAME ? op->to_folder : op->folder) == sync->node;
}

static void apply_sync(struct vex_sim *sim, const struct sim_op *sync)
{
    size_t kept = 0;
    uint64_t seed = sync->offset;
    for (size_t i = 0; i < sim->pending.count; i++) {
        struct sim_op *op = sim->pending.at[i];
        if (!covers(sync, op)) {
            sim->pending.at[kept++] = op;
            continue;
        }
        if (sync->kind != SIM_DATASYNC_FAILED || sim_random(&seed) % 2 == 0)
            sim_apply_durable(sim, op);
        sim_op_unref(op);
    }
    sim->pending.count = kept;
}

void sim_do(struct vex_sim *sim, struct sim_op *op)
{
    if (op->kind == SIM_LINK && op->node == sim->node_count)
        sim_node_add(sim, op->is_folder);
    if (op->kind == SIM_DATASYNC || op->kind == SIM_DATASYNC_FAILED || op->kind == SIM_DIRSYNC) {
        apply_sync(sim, op);
    } else {
        sim_apply_live(sim, op);
        sim_ops_add(&sim->pending, op);
    }
    if (sim->base != NULL)
        sim_ops_add(&sim->log, op);
    sim_op_unref(op);
}

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t sim_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
