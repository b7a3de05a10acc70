/* How much of a map this process holds: what mincore does not say of a file, for it tells of the page cache. */
#ifndef VEX_TEST_LIB_RESIDENT_H
#define VEX_TEST_LIB_RESIDENT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* KiB that smaps tells in a field of all maps of files whose path ends with `name`; of those that begin in [from, to), if it is NULL. -1:
 * there is none. */
static inline long mapped_kib(const char *field, const char *name, const void *from, const void *to)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[4200];
    size_t field_len = strlen(field);
    long kib, sum = -1;
    int ours = 0;

    if (file == NULL)
        abort();
    while (fgets(line, sizeof line, file) != NULL) {
        size_t len = strcspn(line, "\n"), at;
        unsigned long begin, end;

        line[len] = '\0';
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            at = name != NULL && len >= strlen(name) ? len - strlen(name) : 0;
            ours = name != NULL ? strcmp(line + at, name) == 0
                                : begin >= (unsigned long)from && begin < (unsigned long)to;
            sum = ours && sum < 0 ? 0 : sum;
        } else if (ours && strncmp(line, field, field_len) == 0 &&
                   sscanf(line + field_len, ": %ld kB", &kib) == 1) {
            sum += kib;
        }
    }
    fclose(file);
    return sum;
}

static inline long resident_of(const char *name, const void *from, const void *to)
{
    return mapped_kib("Rss", name, from, to);
}

/* What isn't of a file, or has been changed since. */
static inline long anonymous_of(const void *from, const void *to)
{
    return mapped_kib("Anonymous", NULL, from, to);
}

static inline long resident_kib(const char *name)
{
    return resident_of(name, NULL, NULL);
}

#endif
