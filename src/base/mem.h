/* Heap memory. Small fixed-size wishes abort when memory is out; sizes chosen by a user use vex_mem_try. */
#ifndef VEX_BASE_MEM_H
#define VEX_BASE_MEM_H

#include <stddef.h>

void *vex_mem_alloc(size_t size);              /* never NULL */
void *vex_mem_zalloc(size_t size);             /* never NULL, zeroed */
void *vex_mem_realloc(void *ptr, size_t size); /* never NULL */
void *vex_mem_try(size_t size);                /* NULL when out of memory */
void *vex_mem_try_zeroed(size_t size);         /* likewise */
/* A copy of `have` bytes with zeros behind, `size` bytes in all; NULL when out of memory. `from` stays the caller's. */
void *vex_mem_longer(const void *from, size_t have, size_t size);
char *vex_mem_strndup(const char *text, size_t len);
void vex_mem_free(void *ptr);
/* What the allocator keeps free goes back to the system: after work that took much. Costs milliseconds. */
void vex_mem_trim(void);

#define VEX_NEW(type)                       ((type *)vex_mem_zalloc(sizeof(type)))
#define VEX_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
