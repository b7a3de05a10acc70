/* Stamps of payload indexes: what is known of an index holds as long as its stamp is the same.
 *
 * Lock       The index's; the counter is shared by all of them. */
#include <stdatomic.h>

#include "engine/index/private.h"

static _Atomic uint64_t given; /* stamps so far */

void vex_index_changed(struct vex_index *index)
{
    index->stamp = atomic_fetch_add_explicit(&given, 1, memory_order_relaxed) + 1;
}

uint64_t vex_index_stamp(const struct vex_index *index)
{
    return index->stamp;
}
