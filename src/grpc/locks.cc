/* What Abseil's mutexes, which the core locks with, do beside locking.
 *
 * Role      Builds of Abseil with assertions, as distributions ship them, look for cycles whenever a thread takes a mutex: a graph of
 *           all mutexes behind one spin lock, some hundredths of the CPU of a call. It is a debugging aid for who writes the core. */
#include <absl/synchronization/mutex.h>

extern "C" void vex_grpc_locks_init(void);

extern "C" void vex_grpc_locks_init(void)
{
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}
