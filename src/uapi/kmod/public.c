// SPDX-License-Identifier: GPL-2.0-only
/* The public requests but BATCH_INSERT: SET_VECTOR_META, GET_VECTOR_META, VECTOR_SEARCH. */
#include <linux/slab.h>

#include "uapi/kmod/requests.h"
#include "uapi/kmod/search.h"

#define ROWS 256u /* results copied out at once */

int vex_serve_set_meta(struct vex_open *open, void *param)
{
    const struct vexfs_vector_file_info *info = param;
    struct vex_shape shape;
    int rc;

    if (info->storage_format > VEXFS_STORAGE_COMPRESSED)
        return -EINVAL;
    if (info->storage_format != VEXFS_STORAGE_DENSE || info->compression_type != VEXFS_COMPRESS_NONE)
        return -EOPNOTSUPP;
    if ((info->data_offset != 0 && info->data_offset != VEXFS_HEADER_SIZE) || info->index_offset != 0 ||
        (info->alignment_bytes != 0 && info->alignment_bytes != VEXFS_STRIDE_ALIGN))
        return -EINVAL;
    rc = vex_shape_make(info->dimensions, info->element_type, &shape);
    return rc == 0 ? vex_store_anonymous(open, &shape) : rc;
}

int vex_serve_get_meta(struct vex_open *open, void *param)
{
    struct vexfs_vector_file_info *info = param;
    const struct vex_store *store = vex_store_of(open);

    if (!store)
        return -ENOTCONN;
    *info = (struct vexfs_vector_file_info){
        .dimensions = store->shape.dimensions,
        .element_type = vex_element_number(store->shape.element),
        .vector_count = (u32)min_t(u64, vex_store_slots(store), U32_MAX),
        .storage_format = VEXFS_STORAGE_DENSE,
        .data_offset = VEXFS_HEADER_SIZE,
        .compression_type = VEXFS_COMPRESS_NONE,
        .alignment_bytes = VEXFS_STRIDE_ALIGN,
    };
    return 0;
}

/* ---- VECTOR_SEARCH ---- */

struct rows {
    u32 bits[ROWS];
    u64 ids[ROWS];
};

/* `count` hits as rows of the answer. An id is what BATCH_INSERT gave the slot, or the slot itself. */
static int make_rows(struct vex_store *store, const u64 *hits, u32 count, struct rows *rows)
{
    u32 i;

    for (i = 0; i < count; i++) {
        rows->bits[i] = vex_hit_bits(hits[i]);
        rows->ids[i] = vex_hit_slot(hits[i]);
    }
    if (!store->ids)
        return 0;
    if (mutex_lock_killable(&store->ids->lock) < 0)
        return -EINTR;
    for (i = 0; i < count; i++)
        rows->ids[i] = store->ids->of_slot[rows->ids[i]];
    mutex_unlock(&store->ids->lock);
    return 0;
}

static int give_rows(struct vexfs_vector_search_request *search, struct vex_hunt *hunt, struct rows *rows)
{
    u32 i, count, end = min(hunt->count[0], search->k - search->result_count);
    int rc = 0;

    for (i = 0; i < end && rc == 0; i += count) {
        count = min(end - i, ROWS);
        rc = make_rows(hunt->store, hunt->hits + i, count, rows);
        if (rc < 0)
            return rc;
        if (copy_to_user(vex_user((uintptr_t)search->results_bits, (u64)search->result_count * sizeof(u32)),
                         rows->bits, count * sizeof(u32)) ||
            copy_to_user(vex_user((uintptr_t)search->result_ids, (u64)search->result_count * sizeof(u64)),
                         rows->ids, count * sizeof(u64)))
            return -EFAULT;
        search->result_count += count;
        rc = vex_breathe();
    }
    return rc;
}

static int search_all(struct vexfs_vector_search_request *search, struct vex_hunt *hunt)
{
    size_t size = hunt->store->shape.dimensions * sizeof(u32);
    struct rows *rows = kmalloc(sizeof(*rows), GFP_KERNEL_ACCOUNT);
    int rc = 0;

    if (!rows)
        return -ENOMEM;
    if (copy_from_user(hunt->queries, search->query_vector_bits, size))
        rc = -EFAULT;
    while (rc == 0) {
        rc = vex_hunt_pass(hunt, 1);
        if (rc == 0)
            rc = give_rows(search, hunt, rows);
        if (search->result_count == search->k || !vex_hunt_on(hunt))
            break;
    }
    kfree(rows);
    return rc;
}

int vex_serve_vector_search(struct vex_open *open, void *param)
{
    struct vexfs_vector_search_request *search = param;
    struct vex_store *store = vex_store_of(open);
    struct vex_hunt *hunt;
    int rc;

    if (search->reserved0 != 0 || search->reserved1 != 0 || search->k < 1 ||
        search->search_type > VEXFS_SEARCH_MANHATTAN)
        return -EINVAL;
    if (!store)
        return -ENOTCONN;
    if (search->dimensions != store->shape.dimensions)
        return -EINVAL;
    rc = vex_hunt_new(store, 1, search->k, 0, U32_MAX, &hunt);
    if (rc < 0)
        return rc;
    hunt->distance = search->search_type;
    search->result_count = 0;
    rc = search_all(search, hunt);
    if (rc == 0)
        vex_count_request(open, hunt->read * store->shape.stride, 0);
    vex_hunt_free(hunt);
    return rc;
}
