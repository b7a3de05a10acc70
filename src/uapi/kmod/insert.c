// SPDX-License-Identifier: GPL-2.0-only
/* BATCH_INSERT: vectors as bit patterns of floats, with ids; all of them or none.
 *
 * Order     The vectors are first put into a file in memory, in the store's form, and the ids into an array, with no lock held:
 *           so nothing that the caller's memory does can stop anybody. Then, under the lock of who changes the store,
 *           they are given their slots and moved: new slots first, which can be taken back; then those that replace others.
 * Lock      ids.lock of an anonymous store, the grow lock of an attached file. */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "uapi/half.h"
#include "uapi/kmod/requests.h"
#include "uapi/kmod/soft.h"

#define FLAGS (VEXFS_INSERT_OVERWRITE | VEXFS_INSERT_APPEND | VEXFS_INSERT_VALIDATE)

struct insert {
    struct vex_store *store;
    const struct vexfs_batch_insert_request *param;
    struct file *staged; /* a vector file of the same shape */
    u64 *ids;            /* NULL: running numbers */
    u32 *targets;        /* slots, with ids only */
    u64 base;            /* slots before */
    u64 end;             /* slots after */
    u64 charged;         /* of the budget, for as long as the request lasts */
    u8 *chunk;           /* VEX_CHUNK or one slot */
};

static u32 chunk_rows(const struct insert *insert)
{
    return max(VEX_CHUNK / insert->store->shape.stride, 1u);
}

static bool overwrites(const struct insert *insert)
{
    return insert->param->flags & VEXFS_INSERT_OVERWRITE;
}

/* ---- Staging ---- */

static bool is_finite(const u32 *bits, u32 count)
{
    u32 i;

    for (i = 0; i < count; i++)
        if ((bits[i] & 0x7f800000) == 0x7f800000)
            return false;
    return true;
}

/* The padding of the slot is zero already. */
static void encode(const struct vex_shape *shape, const u32 *bits, u8 *to)
{
    u32 i;

    switch (shape->element) {
    case VEX_ELEMENT_F16:
        for (i = 0; i < shape->dimensions; i++)
            ((u16 *)to)[i] = vex_half_from_bits(bits[i]);
        break;
    case VEX_ELEMENT_U8:
        for (i = 0; i < shape->dimensions; i++)
            to[i] = vex_soft_to_u8(bits[i]);
        break;
    default:
        memcpy(to, bits, shape->bytes);
        break;
    }
}

/* Rows [from, from + count) through `row`, which holds one, into the staged file. */
static int stage_rows(struct insert *insert, u32 from, u32 count, u32 *row)
{
    const struct vex_shape *shape = &insert->store->shape;
    size_t size = (size_t)shape->dimensions * sizeof(u32);
    u32 i;

    memset(insert->chunk, 0, (size_t)count * shape->stride);
    for (i = 0; i < count; i++) {
        if (copy_from_user(row, vex_user((uintptr_t)insert->param->vectors_bits, (from + (u64)i) * size),
                           size))
            return -EFAULT;
        if ((insert->param->flags & VEXFS_INSERT_VALIDATE) && !is_finite(row, shape->dimensions))
            return -EINVAL;
        encode(shape, row, insert->chunk + (size_t)i * shape->stride);
    }
    return vex_file_write(insert->staged, insert->chunk, (size_t)count * shape->stride,
                          vex_store_offset(insert->store, from));
}

static int stage(struct insert *insert)
{
    u32 *row = kvmalloc_array(insert->store->shape.dimensions, sizeof(*row), GFP_KERNEL_ACCOUNT);
    u32 from, count, all = insert->param->vector_count;
    int rc = 0;

    if (!row)
        return -ENOMEM;
    if (insert->ids && copy_from_user(insert->ids, insert->param->vector_ids, (size_t)all * sizeof(u64)))
        rc = -EFAULT;
    for (from = 0; from < all && rc == 0; from += count) {
        count = min(all - from, chunk_rows(insert));
        rc = stage_rows(insert, from, count, row);
        if (rc == 0)
            rc = vex_breathe();
    }
    kvfree(row);
    return rc;
}

/* ---- Moving ---- */

static u64 target_of(const struct insert *insert, u32 row)
{
    return insert->targets ? insert->targets[row] : insert->base + row;
}

/* Moves the rows whose slots are new, or those whose slots are not. Only the first can be interrupted: they can be
 * taken back. */
static int move(struct insert *insert, bool fresh)
{
    u32 stride = insert->store->shape.stride, most = chunk_rows(insert), row, run;
    int rc = 0;

    for (row = 0; row < insert->param->vector_count && rc == 0; row += run) {
        u64 slot = target_of(insert, row);
        size_t size;
        ssize_t n;

        for (run = 1; run < most && row + run < insert->param->vector_count; run++)
            if (target_of(insert, row + run) != slot + run ||
                (slot >= insert->base) != (slot + run >= insert->base))
                break;
        if ((slot >= insert->base) != fresh)
            continue;
        size = (size_t)run * stride;
        n = vex_file_read(insert->staged, insert->chunk, size, vex_store_offset(insert->store, row));
        if (n < 0)
            rc = (int)n;
        else if ((size_t)n < size)
            rc = -EIO;
        else
            rc = vex_file_write(insert->store->file, insert->chunk, size,
                                vex_store_offset(insert->store, slot));
        if (rc == 0 && fresh)
            rc = vex_breathe();
        else
            cond_resched();
    }
    return rc;
}

static int move_all(struct insert *insert, loff_t before)
{
    int rc = move(insert, true);

    if (rc == 0 && overwrites(insert))
        rc = move(insert, false);
    if (rc < 0)
        vex_file_truncate(insert->store->file, before);
    return rc;
}

/* ---- Slots in an attached file: ids are slots ---- */

static int place_in_file(struct insert *insert)
{
    u32 i;

    insert->end = insert->base;
    if (!insert->ids) {
        insert->end += insert->param->vector_count;
        return insert->end > U32_MAX ? -EFBIG : 0;
    }
    for (i = 0; i < insert->param->vector_count; i++) {
        u64 id = insert->ids[i];

        if (id > insert->end || (id < insert->end && !overwrites(insert)))
            return -EINVAL;
        if (id == insert->end && ++insert->end > U32_MAX)
            return -EFBIG;
        insert->targets[i] = (u32)id;
    }
    return 0;
}

static int apply_to_file(struct insert *insert)
{
    struct file *file = insert->store->file;
    int rc = vex_grow_lock(file);

    if (rc < 0)
        return rc;
    insert->base = vex_store_slots(insert->store);
    rc = place_in_file(insert);
    if (rc == 0)
        rc = move_all(insert, i_size_read(file_inode(file)));
    vex_grow_unlock(file);
    return rc;
}

/* ---- Slots in an anonymous store ---- */

/* Gives every row a slot; new ids are put. What it put is cut by the caller when it fails. */
static int place_by_ids(struct insert *insert)
{
    struct vex_ids *ids = insert->store->ids;
    u32 count = insert->param->vector_count, i;
    int rc = vex_ids_reserve(ids, count);

    if (rc < 0)
        return rc;
    if (!insert->ids && (ids->spent || count - 1 > U64_MAX - ids->next))
        return -EOVERFLOW;
    for (i = 0; i < count; i++) {
        u64 id = insert->ids ? insert->ids[i] : ids->next;
        u32 slot = ids->count;

        if (vex_ids_find(ids, id, &slot)) {
            if (!overwrites(insert))
                return -EEXIST;
        } else {
            slot = ids->count;
            vex_ids_put(ids, id);
        }
        if (insert->targets)
            insert->targets[i] = slot;
        if (i % 4096 == 0)
            cond_resched();
    }
    return 0;
}

static int apply_to_ids(struct insert *insert)
{
    struct vex_ids *ids = insert->store->ids;
    u64 next, charge = 0;
    bool spent;
    int rc = mutex_lock_killable(&ids->lock);

    if (rc < 0)
        return rc;
    insert->base = ids->count;
    next = ids->next;
    spent = ids->spent;
    rc = place_by_ids(insert);
    if (rc == 0) {
        charge = (ids->count - insert->base) * insert->store->shape.stride;
        rc = vex_budget_take(charge);
        if (rc < 0)
            charge = 0;
    }
    if (rc == 0)
        rc = move_all(insert, vex_store_offset(insert->store, insert->base));
    if (rc == 0) {
        ids->charged += charge;
        smp_store_release(&ids->shown, ids->count); /* pairs with vex_store_slots() */
    } else {
        vex_ids_cut(ids, (u32)insert->base, next, spent);
        vex_budget_give(charge);
    }
    mutex_unlock(&ids->lock);
    return rc;
}

/* ---- The request ---- */

static int prepare(struct insert *insert)
{
    const struct vex_shape *shape = &insert->store->shape;
    u32 count = insert->param->vector_count;
    u64 charge = (u64)count * (shape->stride + sizeof(u64) + sizeof(u32));
    int rc = vex_budget_take(charge);

    if (rc < 0)
        return rc;
    insert->charged = charge;
    if (insert->param->vector_ids) {
        insert->ids = kvmalloc_array(count, sizeof(u64), GFP_KERNEL_ACCOUNT);
        insert->targets = kvmalloc_array(count, sizeof(u32), GFP_KERNEL_ACCOUNT);
        if (!insert->ids || !insert->targets)
            return -ENOMEM;
    }
    insert->chunk = kvmalloc(max(VEX_CHUNK, shape->stride), GFP_KERNEL_ACCOUNT);
    if (!insert->chunk)
        return -ENOMEM;
    insert->staged = vex_memory_file(shape);
    if (IS_ERR(insert->staged)) {
        rc = (int)PTR_ERR(insert->staged);
        insert->staged = NULL;
    }
    return rc;
}

static void done(struct insert *insert)
{
    if (insert->staged)
        fput(insert->staged);
    kvfree(insert->chunk);
    kvfree(insert->targets);
    kvfree(insert->ids);
    vex_budget_give(insert->charged);
}

static int check(const struct vex_store *store, const struct vexfs_batch_insert_request *param)
{
    const u32 both = VEXFS_INSERT_OVERWRITE | VEXFS_INSERT_APPEND;

    if ((param->flags & ~FLAGS) || (param->flags & both) == both || param->reserved0 != 0 ||
        param->vector_count == 0)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    if (param->dimensions != store->shape.dimensions)
        return -EINVAL;
    if (param->vector_count > VEX_IDS_MOST)
        return -ENOSPC;
    return store->ids ? 0 : vex_store_writable(store);
}

int vex_serve_batch_insert(struct vex_open *open, void *param)
{
    struct insert insert = {.store = vex_store_of(open), .param = param};
    int rc = check(insert.store, param);

    if (rc < 0)
        return rc;
    rc = prepare(&insert);
    if (rc == 0)
        rc = stage(&insert);
    if (rc == 0)
        rc = insert.store->ids ? apply_to_ids(&insert) : apply_to_file(&insert);
    if (rc == 0)
        vex_count_request(open, 0, (u64)insert.param->vector_count * insert.store->shape.stride);
    done(&insert);
    return rc;
}
