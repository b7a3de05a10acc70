/* Self-probe: asks a server of this machine whether it is ready, for health checks of containers. */
#ifndef VEX_API_PROBE_H
#define VEX_API_PROBE_H

#include <stdint.h>

#include "base/err.h"

/* GET /readyz on the host and port (an address that means "all" is asked on loopback); 0 when it answers 200
 * within three seconds. */
int vex_probe_ready(const char *host, uint64_t port, struct vex_err *err);

#endif
