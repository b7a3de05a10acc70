/* Answers of the Qdrant REST dialect by route and status, and by collection too, for /metrics and /telemetry.
 *
 * Lock      None. Numbers are relaxed atomics: a reader may see an answer counted and its time not yet. A collection's entry is
 *           found by open addressing, put in with a compare-and-swap, and never changes or goes.
 * Invariant Entries are bounded: only an answer that is no error makes one, so that invented names make none; should the table ever be
 *           full, further collections are counted with all the others only. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rest/qdrant.h"

#include "base/mem.h"
#include "base/metrics.h"
#include "rest/message_to_json.h"

#define ROUTES_MAX  128
#define SLOTS       16384u /* a power of two */
#define ENTRIES_MAX 8192u
#define PREFIX      "/collections/{collection_name}"

static const int statuses[] = {200, 400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 501, 503, 507};
#define STATUSES (sizeof statuses / sizeof *statuses)

/* Answers of one status. */
struct tally {
    _Atomic uint64_t count, sum_ns, min_ns, max_ns; /* min: 0 is none yet */
    _Atomic int64_t last;                           /* seconds since 1970 */
};

struct answers {
    struct tally by_status[STATUSES];
    struct vex_metric_hist duration;
};

struct entry {
    struct answers answers;
    uint32_t route, len;
    char name[];
};

static struct answers all[ROUTES_MAX];
static struct entry *_Atomic entries[SLOTS];
static _Atomic uint32_t entry_count;

/* ---- counting ---- */

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void tally_add(struct tally *tally, uint64_t ns)
{
    uint64_t least = load(&tally->min_ns), most = load(&tally->max_ns);

    atomic_fetch_add_explicit(&tally->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->sum_ns, ns, memory_order_relaxed);
    while ((least == 0 || ns < least) && !atomic_compare_exchange_weak(&tally->min_ns, &least, ns))
        ;
    while (ns > most && !atomic_compare_exchange_weak(&tally->max_ns, &most, ns))
        ;
    atomic_store_explicit(&tally->last, time(NULL), memory_order_relaxed);
}

static void answers_add(struct answers *answers, int status, uint64_t ns)
{
    for (size_t i = 0; i < STATUSES; i++)
        if (statuses[i] == status)
            tally_add(&answers->by_status[i], ns);
    vex_metric_hist_add(&answers->duration, ns);
}

static struct entry *entry_new(uint32_t route, struct vex_str name)
{
    struct entry *entry = vex_mem_try(sizeof *entry + name.len);

    if (entry == NULL)
        return NULL;
    memset(entry, 0, sizeof *entry);
    entry->route = route;
    entry->len = (uint32_t)name.len;
    memcpy(entry->name, name.ptr, name.len);
    return entry;
}

/* NULL: there is none, and none can or should be made. */
static struct entry *entry_of(uint32_t route, struct vex_str name, bool make)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ route; /* FNV-1a */
    struct entry *made = NULL;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.ptr[i]) * UINT64_C(1099511628211);
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct entry *_Atomic *slot = &entries[(hash + (hash >> 32) + i) % SLOTS];
        struct entry *entry = atomic_load_explicit(slot, memory_order_acquire);

        if (entry == NULL) {
            if (made == NULL && (!make || atomic_load(&entry_count) >= ENTRIES_MAX ||
                                 (made = entry_new(route, name)) == NULL))
                return NULL;
            if (atomic_compare_exchange_strong(slot, &entry, made)) {
                atomic_fetch_add(&entry_count, 1);
                return made;
            }
        }
        if (entry->route == route && vex_str_eq(vex_str(entry->name, entry->len), name)) {
            vex_mem_free(made); /* another thread was first */
            return entry;
        }
    }
    vex_mem_free(made);
    return NULL;
}

void vex_qdrant_stats_add(const struct vex_rest_request *request, uint64_t ns)
{
    uint32_t route = (uint32_t)(request->route - request->dialect->routes);
    struct entry *entry;

    if (route >= ROUTES_MAX)
        return;
    answers_add(&all[route], request->status, ns);
    if (strncmp(request->route->template, PREFIX, sizeof PREFIX - 1) != 0)
        return;
    entry = entry_of(route, request->params[0], request->status < 400);
    if (entry != NULL)
        answers_add(&entry->answers, request->status, ns);
}

/* ---- what was counted ---- */

static uint64_t count_all(const struct answers *answers)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < STATUSES; i++)
        sum += load(&answers->by_status[i].count);
    return sum;
}

static uint32_t route_count(void)
{
    return vex_rest_qdrant.route_count < ROUTES_MAX ? vex_rest_qdrant.route_count : ROUTES_MAX;
}

/* One set of answers as it is shown. */
struct shown {
    struct answers *answers;
    const struct vex_route *route;
    struct vex_str collection; /* ptr NULL: of all */
};

static int compare(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;
    int order = vex_str_cmp(x->collection, y->collection);

    return order != 0 ? order : x->route < y->route ? -1 : x->route > y->route;
}

static uint32_t gather_entries(struct vex_arena *arena, struct shown **ret)
{
    uint32_t count = 0, most = atomic_load(&entry_count);

    *ret = VEX_ARENA_ARRAY(arena, struct shown, most + 1);
    for (uint32_t i = 0; i < SLOTS && count < most; i++) {
        struct entry *entry = atomic_load_explicit(&entries[i], memory_order_acquire);

        if (entry != NULL)
            (*ret)[count++] = (struct shown){&entry->answers, &vex_rest_qdrant.routes[entry->route],
                                             vex_str(entry->name, entry->len)};
    }
    qsort(*ret, count, sizeof **ret, compare);
    return count;
}

/* All routes; those of collections in an entry a collection when it is asked for. */
static uint32_t gather(struct vex_arena *arena, bool per_collection, struct shown **ret)
{
    struct shown *entry_list = NULL, *out;
    uint32_t count = 0, entry_total = per_collection ? gather_entries(arena, &entry_list) : 0;

    out = *ret = VEX_ARENA_ARRAY(arena, struct shown, route_count() + entry_total + 1);
    for (uint32_t r = 0; r < route_count(); r++) {
        const struct vex_route *route = &vex_rest_qdrant.routes[r];

        if (count_all(&all[r]) != 0 &&
            !(per_collection && strncmp(route->template, PREFIX, sizeof PREFIX - 1) == 0))
            out[count++] = (struct shown){.answers = &all[r], .route = route};
    }
    for (uint32_t i = 0; i < entry_total; i++)
        out[count++] = entry_list[i];
    return count;
}

/* ---- metrics ---- */

static const char *labels_of(struct vex_arena *arena, const struct shown *shown)
{
    if (shown->collection.ptr == NULL)
        return vex_arena_printf(arena, "method=\"%s\",endpoint=\"%s\"", shown->route->method,
                                shown->route->template);
    return vex_arena_printf(arena, "method=\"%s\",endpoint=\"%s\",collection=\"%s\"", shown->route->method,
                            shown->route->template, vex_qdrant_label(arena, shown->collection));
}

void vex_qdrant_stats_metrics(struct vex_buf *out, struct vex_arena *arena, bool per_collection)
{
    struct shown *list;
    uint32_t count = gather(arena, per_collection, &list);

    vex_buf_printf(
        out, "# HELP rest_responses_total total number of responses\n# TYPE rest_responses_total counter\n");
    for (uint32_t s = 0; s < count; s++)
        for (size_t i = 0; i < STATUSES; i++)
            if (load(&list[s].answers->by_status[i].count) != 0)
                vex_buf_printf(out, "rest_responses_total{%s,status=\"%d\"} %llu\n",
                               labels_of(arena, &list[s]), statuses[i],
                               (unsigned long long)load(&list[s].answers->by_status[i].count));
    vex_buf_printf(out, "# HELP rest_responses_duration_seconds response duration histogram\n"
                        "# TYPE rest_responses_duration_seconds histogram\n");
    for (uint32_t s = 0; s < count; s++)
        vex_metric_hist_print(out, "rest_responses_duration_seconds", labels_of(arena, &list[s]),
                              &list[s].answers->duration);
}

/* ---- telemetry ---- */

static void put_micros(struct vex_jw *w, const char *name, double ns)
{
    vex_jw_name(w, name);
    vex_jw_f32(w, (float)(ns / 1000));
}

static void put_tally(struct vex_jw *w, const struct tally *tally)
{
    time_t last = (time_t)atomic_load_explicit(&tally->last, memory_order_relaxed);
    uint64_t count = load(&tally->count), sum = load(&tally->sum_ns);
    struct tm tm = {0};
    char text[64];

    gmtime_r(&last, &tm);
    vex_jw_object(w);
    vex_jw_name(w, "count");
    vex_jw_u64(w, count);
    put_micros(w, "avg_duration_micros", (double)sum / (double)count);
    put_micros(w, "min_duration_micros", (double)load(&tally->min_ns));
    put_micros(w, "max_duration_micros", (double)load(&tally->max_ns));
    vex_jw_name(w, "total_duration_micros");
    vex_jw_u64(w, sum / 1000);
    vex_jw_name(w, "last_responded");
    vex_jw_str(w, vex_str(text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm)));
    vex_jw_object_end(w);
}

static void put_route(struct vex_jw *w, const struct shown *shown)
{
    char text[160];

    snprintf(text, sizeof text, "%s %s", shown->route->method, shown->route->template);
    vex_jw_name(w, text);
    vex_jw_object(w);
    for (size_t i = 0; i < STATUSES; i++) {
        if (load(&shown->answers->by_status[i].count) == 0)
            continue;
        snprintf(text, sizeof text, "%d", statuses[i]);
        vex_jw_name(w, text);
        put_tally(w, &shown->answers->by_status[i]);
    }
    vex_jw_object_end(w);
}

void vex_qdrant_stats_telemetry(struct vex_jw *w, struct vex_arena *arena, bool per_collection)
{
    struct shown *list;
    uint32_t count = gather(arena, false, &list);

    vex_jw_object(w);
    vex_jw_name(w, "responses");
    vex_jw_object(w);
    for (uint32_t i = 0; i < count; i++)
        put_route(w, &list[i]);
    vex_jw_object_end(w);
    if (per_collection) {
        vex_jw_name(w, "per_collection_responses");
        vex_jw_object(w);
        count = gather_entries(arena, &list);
        for (uint32_t i = 0; i < count; i++) {
            if (i == 0 || !vex_str_eq(list[i].collection, list[i - 1].collection)) {
                vex_jw_key(w, list[i].collection);
                vex_jw_object(w);
            }
            put_route(w, &list[i]);
            if (i + 1 == count || !vex_str_eq(list[i].collection, list[i + 1].collection))
                vex_jw_object_end(w);
        }
        vex_jw_object_end(w);
    }
    vex_jw_object_end(w);
}
