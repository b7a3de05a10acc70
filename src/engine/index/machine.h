/* What this machine takes for the steps that searches are made of, so that plans are made by its own measure.
 *
 * Threads   Any. Until the fit is made, and where it can't be made, the figures of an ordinary server of 2024. */
#ifndef VEX_ENGINE_INDEX_MACHINE_H
#define VEX_ENGINE_INDEX_MACHINE_H

/* Nanoseconds for a vector of 128 dimensions. */
struct vex_machine {
    double code;        /* an 8-bit code that a cache holds, compared */
    double code_far;    /* one anywhere in memory, sent for ahead of time as walks and scans do */
    double vector_next; /* a vector of f32, compared, the next ones behind it in memory */
};

const struct vex_machine *vex_machine(void);
/* Measures: about 10 ms of the calling thread, and 32 MiB for as long. Once; later calls do nothing. */
void vex_machine_fit(void);

#endif
