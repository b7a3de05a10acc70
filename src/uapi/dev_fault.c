/* Faulty vector device: see dev_fault.h.
 *
 * Lock      One mutex over the knobs and counts; never held during a request. */
#include "uapi/dev_fault.h"

#include <pthread.h>

#include "base/mem.h"

struct knob {
    uint64_t calls;
    uint64_t fails_at; /* count of `calls` that fails; 0: none */
    int code;
    bool always;
};

struct fault {
    struct vex_dev dev;
    struct vex_dev *inner;
    pthread_mutex_t lock;
    struct knob knobs[VEX_DEV_FAULT_COUNT];
};

static struct fault *fault_of(struct vex_dev *dev)
{
    return VEX_CONTAINER_OF(dev, struct fault, dev);
}

/* Counts a call; 0, or the code it shall fail with. */
static int called(struct vex_dev *dev, enum vex_dev_fault_op op)
{
    struct fault *fault = fault_of(dev);
    pthread_mutex_lock(&fault->lock);
    struct knob *knob = &fault->knobs[op];
    knob->calls++;
    bool fails = knob->fails_at != 0 &&
                 (knob->calls == knob->fails_at || (knob->always && knob->calls > knob->fails_at));
    int code = fails ? knob->code : 0;
    pthread_mutex_unlock(&fault->lock);
    return code;
}

static int attach(struct vex_dev *dev, struct vex_io *io, struct vex_file *file,
                  struct vex_dev_layout *layout, bool create, struct vex_dev_file **ret, struct vex_err *err)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_ATTACH);
    if (rc < 0)
        return vex_err_set(err, rc, "attach was told to fail");
    return inner->ops->attach(inner, io, file, layout, create, ret, err);
}

static void detach(struct vex_dev *dev, struct vex_dev_file *df)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    inner->ops->detach(inner, df);
}

static int write_slots(struct vex_dev *dev, struct vex_dev_file *df, uint32_t first, uint32_t count,
                       const void *data)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_WRITE);
    return rc < 0 ? rc : inner->ops->write(inner, df, first, count, data);
}

static int read_slots(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots, uint32_t count,
                      void *ret)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_READ);
    return rc < 0 ? rc : inner->ops->read(inner, df, slots, count, ret);
}

static int scan(struct vex_dev *dev, struct vex_dev_file *df, uint32_t *cursor, uint32_t end,
                const uint64_t *allow, uint32_t max, uint32_t *ret_slots, void *ret_data, uint32_t *ret_count)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_SCAN);
    return rc < 0 ? rc : inner->ops->scan(inner, df, cursor, end, allow, max, ret_slots, ret_data, ret_count);
}

static int search(struct vex_dev *dev, struct vex_dev_file *df, const struct vex_dev_search *wanted)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_SEARCH);
    return rc < 0 ? rc : inner->ops->search(inner, df, wanted);
}

static int clear(struct vex_dev *dev, struct vex_dev_file *df, const uint32_t *slots, uint32_t count)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_CLEAR);
    return rc < 0 ? rc : inner->ops->clear(inner, df, slots, count);
}

static int sync_file(struct vex_dev *dev, struct vex_dev_file *df)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_SYNC);
    return rc < 0 ? rc : inner->ops->sync(inner, df);
}

static int truncate_slots(struct vex_dev *dev, struct vex_dev_file *df, uint64_t slots)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_TRUNCATE);
    return rc < 0 ? rc : inner->ops->truncate(inner, df, slots);
}

static int reserve(struct vex_dev *dev, struct vex_dev_file *df, uint64_t slots)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    int rc = called(dev, VEX_DEV_FAULT_RESERVE);
    return rc < 0 ? rc : inner->ops->reserve(inner, df, slots);
}

static const void *map(struct vex_dev *dev, struct vex_dev_file *df)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    return inner->ops->map(inner, df);
}

static void stats(struct vex_dev *dev, struct vex_dev_file *df, struct vex_dev_stats *ret)
{
    struct vex_dev *inner = fault_of(dev)->inner;
    inner->ops->stats(inner, df, ret);
}

static void free_dev(struct vex_dev *dev)
{
    struct fault *fault = fault_of(dev);
    pthread_mutex_destroy(&fault->lock);
    vex_mem_free(fault);
}

struct vex_dev *vex_dev_fault_new(struct vex_dev *inner)
{
    static const struct vex_dev_ops ops = {
        .name = "fault",
        .attach = attach,
        .detach = detach,
        .write = write_slots,
        .read = read_slots,
        .scan = scan,
        .search = search,
        .clear = clear,
        .sync = sync_file,
        .truncate = truncate_slots,
        .reserve = reserve,
        .map = map,
        .stats = stats,
        .free = free_dev,
    };
    struct fault *fault = VEX_NEW(struct fault);
    fault->dev.ops = &ops;
    fault->inner = inner;
    pthread_mutex_init(&fault->lock, NULL);
    return &fault->dev;
}

void vex_dev_fault_set(struct vex_dev *dev, enum vex_dev_fault_op op, uint64_t nth, int code, bool always)
{
    struct fault *fault = fault_of(dev);
    pthread_mutex_lock(&fault->lock);
    struct knob *knob = &fault->knobs[op];
    knob->fails_at = knob->calls + nth;
    knob->code = code;
    knob->always = always;
    pthread_mutex_unlock(&fault->lock);
}

void vex_dev_fault_clear(struct vex_dev *dev)
{
    struct fault *fault = fault_of(dev);
    pthread_mutex_lock(&fault->lock);
    for (size_t i = 0; i < VEX_DEV_FAULT_COUNT; i++)
        fault->knobs[i].fails_at = 0;
    pthread_mutex_unlock(&fault->lock);
}

uint64_t vex_dev_fault_calls(struct vex_dev *dev, enum vex_dev_fault_op op)
{
    struct fault *fault = fault_of(dev);
    pthread_mutex_lock(&fault->lock);
    uint64_t calls = fault->knobs[op].calls;
    pthread_mutex_unlock(&fault->lock);
    return calls;
}
