/* A read under way. See read.h. */
#include "engine/query/read.h"

int vex_read_open(struct vex_read *read, struct vex_collection *collection,
                  const struct vex_read_context *context, const char *what, struct vex_err *err)
{
    *read = (struct vex_read){
        .collection = collection, .context = context, .arena = context->arena, .err = err, .what = what};
    int code = vex_read_check(read);
    if (code != 0)
        return code;
    return vex_collection_read_begin(collection, &read->data, err);
}

void vex_read_close(struct vex_read *read)
{
    vex_collection_read_end(read->collection);
}

int vex_read_check(struct vex_read *read)
{
    const struct vex_read_context *context = read->context;
    if (context->cancelled != NULL && atomic_load_explicit(context->cancelled, memory_order_relaxed) != 0)
        return vex_err_set(read->err, VEX_ECANCELLED, "%s was cancelled", read->what);
    if (context->deadline_ns != 0 && vex_io_monotonic_ns(vex_io_posix()) >= context->deadline_ns)
        return vex_err_set(read->err, VEX_ETIMEOUT, "Operation '%s' timed out", read->what);
    return 0;
}

int vex_read_no_memory(struct vex_read *read)
{
    return vex_err_set(read->err, VEX_ENO_MEMORY, "%s: the answer does not fit into memory", read->what);
}

static uint64_t vector_bit(void *arg, struct vex_str name)
{
    const struct vex_collection_data *data = arg;
    const struct vex_vector_params *params = vex_config_vector(data->config, name);
    return params != NULL ? UINT64_C(1) << params->ordinal : 0;
}

static const struct vex_analyzer *analyzer(void *arg, const struct vex_path *path)
{
    const struct vex_collection_data *data = arg;
    return data->indexes != NULL ? vex_index_set_analyzer(data->indexes, path) : NULL;
}

static uint32_t elements(void *arg, const struct vex_path *path)
{
    const struct vex_collection_data *data = arg;
    return vex_index_set_elements(data->indexes, path);
}

int vex_read_filter_bind(struct vex_read *read, struct vex_filter *filter, struct vex_read_filter *ret)
{
    *ret = (struct vex_read_filter){
        .filter = filter,
        .binding = {.arena = read->arena,
                    .vector_bit = vector_bit,
                    .analyzer = analyzer,
                    .elements = elements,
                    .arg = &read->data},
    };
    if (filter == NULL)
        return 0;
    int code = vex_filter_bind(filter, &ret->binding, read->err);
    if (code != 0)
        vex_filter_unbind(&ret->binding);
    return code;
}

void vex_read_filter_unbind(struct vex_read_filter *filter)
{
    if (filter->filter != NULL)
        vex_filter_unbind(&filter->binding);
}

int vex_read_blob(struct vex_read *read, uint32_t slot, struct vex_str *ret)
{
    const struct vex_row *row = vex_rows_at(read->data.rows, slot);
    *ret = (struct vex_str){0};
    if (row->blob == 0)
        return 0;
    *ret = vex_heap_get(read->data.heap, row->blob, row->blob_len);
    if (ret->ptr == NULL)
        return vex_err_set(read->err, VEX_ECORRUPT, "%s: the data of a point can't be read", read->what);
    return 0;
}
