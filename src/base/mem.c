/* Heap memory over the process's allocator.
 *
 * Owner: the caller of each piece. Lock: the allocator's. */
#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALL_ARENAS "4096" /* jemalloc's number for them */

static void *must(void *ptr)
{
    if (ptr == NULL)
        abort();
    return ptr;
}

/* A size of 0 still gives a pointer of its own: NULL means out of memory only. */
static size_t at_least_one(size_t size)
{
    return size > 0 ? size : 1;
}

void *vex_mem_alloc(size_t size)
{
    return must(malloc(at_least_one(size)));
}

void *vex_mem_zalloc(size_t size)
{
    return must(calloc(1, at_least_one(size)));
}

void *vex_mem_realloc(void *ptr, size_t size)
{
    return must(realloc(ptr, at_least_one(size)));
}

void *vex_mem_try(size_t size)
{
    /* The allocator itself refuses more than PTRDIFF_MAX; sanitizers would end the process instead of
     * refusing. */
    if (size > PTRDIFF_MAX)
        return NULL;
    return malloc(at_least_one(size));
}

void *vex_mem_try_zeroed(size_t size)
{
    return size > PTRDIFF_MAX ? NULL : calloc(1, at_least_one(size));
}

void *vex_mem_longer(const void *from, size_t have, size_t size)
{
    char *ret = vex_mem_try(size);

    if (ret == NULL)
        return NULL;
    if (have > 0)
        memcpy(ret, from, have);
    memset(ret + have, 0, size - have);
    return ret;
}

char *vex_mem_strndup(const char *text, size_t len)
{
    char *copy;

    if (len == SIZE_MAX)
        abort();
    copy = vex_mem_alloc(len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void vex_mem_free(void *ptr)
{
    free(ptr);
}

/* jemalloc's; a build with sanitizers has another allocator. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

void vex_mem_trim(void)
{
    if (mallctl == NULL)
        (void)malloc_trim(0);
    else
        (void)mallctl("arena." ALL_ARENAS ".purge", NULL, NULL, NULL, 0);
}
