/* Analyzer: stemming by Snowball (libstemmer).
 *
 * Lock   None: a stemmer changes while it works, so each thread has stemmers of its own, made when first used and freed with the
 *        thread. */
#include <libstemmer.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/text/analyzer_parts.h"

static const char *const languages[] = {"arabic",  "armenian",  "danish",     "dutch",    "english",
                                        "finnish", "french",    "german",     "greek",    "hungarian",
                                        "italian", "norwegian", "portuguese", "romanian", "russian",
                                        "spanish", "swedish",   "tamil",      "turkish"};

#define LANGUAGES (sizeof languages / sizeof languages[0])

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void free_stemmers(void *arg)
{
    struct sb_stemmer **stemmers = arg;

    for (size_t i = 0; i < LANGUAGES; i++)
        sb_stemmer_delete(stemmers[i]);
    vex_mem_free(stemmers);
}

static void make_key(void)
{
    if (pthread_key_create(&key, free_stemmers) != 0)
        abort();
}

int vex_stemmer_find(struct vex_str language)
{
    for (size_t i = 0; i < LANGUAGES; i++)
        if (vex_str_eq_c(language, languages[i]))
            return (int)i;
    return VEX_STEMMER_NONE;
}

struct vex_str vex_stem(int stemmer, struct vex_str word)
{
    struct sb_stemmer **stemmers;
    const sb_symbol *stem;

    pthread_once(&once, make_key);
    stemmers = pthread_getspecific(key);
    if (stemmers == NULL) {
        stemmers = vex_mem_zalloc(LANGUAGES * sizeof *stemmers);
        pthread_setspecific(key, stemmers);
    }
    if (stemmers[stemmer] == NULL)
        stemmers[stemmer] = sb_stemmer_new(languages[stemmer], "UTF_8");
    if (stemmers[stemmer] == NULL)
        return word;
    stem = sb_stemmer_stem(stemmers[stemmer], (const sb_symbol *)word.ptr, (int)word.len);
    return stem != NULL ? vex_str((const char *)stem, (size_t)sb_stemmer_length(stemmers[stemmer])) : word;
}
