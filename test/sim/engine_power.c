/* Power loss under the whole engine, on the simulated disk.
 *
 * One client plays random changes of the catalog and random mutations, one after the other, and notes for each when it was
 * sent and when it was answered, in operations of the disk. The log is one sequence, so whatever is found after a crash
 * must be the state after some prefix of what was sent, no shorter than what was acknowledged as durable (for a killed
 * process: as written): nothing acknowledged lost, no half mutation, nothing that was never sent. Payload indexes come and go
 * meanwhile; whatever of their files is found, in the end they answer as the payloads do. Dense names have graphs however few
 * points there are; whatever of their files is found, each live point is linked with the code of its vector or waits in the tail.
 * VEX_SIM_STATES sets the number of crash states. */
#include "unit/engine_graph_kit.h"
#include "unit/engine_index_kit.h"

#include "base/log.h"
#include "base/text.h"
#include "engine/internal.h"
#include "lib/sim_io.h"

#define NAMES  3
#define STEPS  420
#define STATES 6000

struct state {
    bool there[NAMES];
    unsigned indexes[NAMES]; /* mask of keys */
    struct kit_model models[NAMES];
};

struct step {
    size_t begin, written, durable; /* operations of the disk; SIZE_MAX: never */
};

struct run {
    struct vex_sim *sim;
    struct state *states; /* after the first n steps */
    struct step *steps;
    size_t count;
};

static const char *const names[NAMES] = {"one", "two", "three"};
static struct vex_pool *pool;
static struct vex_dev *dev;

static void options(struct kit *kit, struct vex_sim *sim)
{
    kit_init(kit, vex_sim_io(sim), "/data", dev, pool);
    kit->options.segment_bytes = 16 << 10;
    kit->options.checkpoint_bytes = 6 << 10;
}

/* ---- the client ---- */

static struct vex_collection *find(struct kit *kit, int name)
{
    struct vex_collection *collection = NULL;
    struct vex_err err;

    return vex_engine_find(kit->engine, vex_str_c(names[name]), false, &collection, &err) == 0 ? collection
                                                                                               : NULL;
}

/* Graphs from the first vector on; one that was saved is loaded without being asked for. */
static void force_graphs(struct vex_collection *collection)
{
    struct vex_err err;

    if (vex_collection_open(collection, &err) != 0)
        return;
    pthread_rwlock_wrlock(&collection->lock);
    for (uint32_t i = 0; i < collection->data.graphs->count; i++)
        collection->data.graphs->entries[i]->settings.threshold_kb = 0;
    vex_graph_set_look(collection->data.graphs, vex_rows_live_count(collection->data.rows));
    pthread_rwlock_unlock(&collection->lock);
}

static bool step_catalog(struct kit *kit, struct state *state, int name)
{
    struct vex_str tenant = VEX_STR(VEX_DEFAULT_TENANT), database = VEX_STR(VEX_DEFAULT_DATABASE);
    struct vex_err err;
    bool found;
    int rc;

    if (state->there[name]) {
        rc = vex_engine_drop(kit->engine, tenant, database, vex_str_c(names[name]), &found, &err);
        state->there[name] = false;
    } else {
        struct vex_config *config = kit_config();
        rc = vex_engine_create(kit->engine, tenant, database, vex_str_c(names[name]), config, false, NULL,
                               &found, &err);
        vex_config_unref(config);
        state->there[name] = true;
        memset(&state->models[name], 0, sizeof state->models[name]);
        state->models[name].next_op = 1;
        state->indexes[name] = 0;
    }
    return rc == 0;
}

/* One index more or less. */
static bool step_index(struct kit *kit, struct state *state, int name, int key)
{
    struct vex_collection *collection = find(kit, name);
    struct vex_index_params params = kit_index(key);
    bool has = (state->indexes[name] >> key & 1) != 0;
    struct vex_err err;
    int rc;

    state->indexes[name] ^= 1u << key;
    params.tenant = key == 0; /* slots of points depend on it */
    if (collection == NULL)
        return false;
    rc = vex_engine_alter(kit->engine, collection, vex_str("", 0), has ? kit_remove_index : kit_add_index,
                          &params, &err);
    vex_collection_unref(collection);
    return rc == 0;
}

/* *ret_wait: the answer promised durability. */
static bool step_mutate(struct kit *kit, struct state *state, int name, struct kit_random *random,
                        struct vex_arena *arena, bool *ret_wait)
{
    struct vex_collection *collection = find(kit, name);
    struct kit_call call;
    struct vex_op ops[4];
    int expected, rc;
    uint32_t count;

    *ret_wait = kit_draw(random, 3) != 0;
    count = kit_random_mutation(&state->models[name], random, arena, ops, &expected);
    if (collection == NULL)
        return false;
    force_graphs(collection);
    rc = kit_submit(&call, collection, ops, count, *ret_wait);
    vex_collection_unref(collection);
    if (rc != (*ret_wait ? expected : 0))
        fprintf(stderr, "step answered %d: %s\n", rc, call.err.text);
    return rc == (*ret_wait ? expected : 0);
}

static bool play(struct run *run, struct kit *kit, struct kit_random *random)
{
    struct vex_arena arena;
    bool fine = true;

    vex_arena_init(&arena, 0);
    for (size_t i = 0; i < STEPS && fine; i++) {
        struct step *step = &run->steps[i];
        struct state *state = &run->states[i + 1];
        int name = (int)kit_draw(random, NAMES);
        bool wait = true;

        *state = run->states[i];
        *step = (struct step){.begin = vex_sim_op_count(run->sim), .durable = SIZE_MAX};
        if (!state->there[name] || kit_draw(random, 40) == 0)
            fine = step_catalog(kit, state, name);
        else if (kit_draw(random, 15) == 0)
            fine = step_index(kit, state, name, (int)kit_draw(random, KIT_KEYS));
        else
            fine = step_mutate(kit, state, name, random, &arena, &wait);
        step->written = vex_sim_op_count(run->sim);
        if (wait)
            step->durable = step->written;
        run->count = i + 1;
        vex_arena_reset(&arena);
        /* Now and then a clean restart, on the same disk. */
        if (fine && i % 150 == 149) {
            kit_close(kit);
            fine = kit_open(kit) == 0;
        }
    }
    vex_arena_done(&arena);
    return fine;
}

/* ---- a disk that lies about some files ---- */

struct liar {
    const struct vex_io_ops *honest;
    struct vex_io_ops ops;
    const char *files, *folders; /* syncs of paths that hold these words do nothing; NULL: none */
    struct vex_file *open[256];  /* handles of such files */
    pthread_mutex_t lock;
};

static struct liar liar = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int lying_open(struct vex_io *io, const char *path, unsigned flags, struct vex_file **ret)
{
    int rc = liar.honest->open(io, path, flags, ret);

    pthread_mutex_lock(&liar.lock);
    for (size_t i = 0; rc == 0 && liar.files != NULL && strstr(path, liar.files) != NULL && i < 256; i++)
        if (liar.open[i] == NULL) {
            liar.open[i] = *ret;
            break;
        }
    pthread_mutex_unlock(&liar.lock);
    return rc;
}

static bool is_lied_about(const struct vex_file *file, bool forget_it)
{
    bool is = false;

    pthread_mutex_lock(&liar.lock);
    for (size_t i = 0; i < 256; i++)
        if (liar.open[i] == file) {
            is = true;
            if (forget_it)
                liar.open[i] = NULL;
        }
    pthread_mutex_unlock(&liar.lock);
    return is;
}

static void lying_close(struct vex_io *io, struct vex_file *file)
{
    is_lied_about(file, true);
    liar.honest->close(io, file);
}

static int lying_datasync(struct vex_io *io, struct vex_file *file)
{
    return is_lied_about(file, false) ? 0 : liar.honest->datasync(io, file);
}

static int lying_dirsync(struct vex_io *io, const char *path)
{
    return liar.folders != NULL && strstr(path, liar.folders) != NULL ? 0 : liar.honest->dirsync(io, path);
}

static void make_liar(struct vex_sim *sim, const char *files, const char *folders)
{
    struct vex_io *io = vex_sim_io(sim);

    liar.files = files;
    liar.folders = folders;
    memset(liar.open, 0, sizeof liar.open);
    liar.honest = io->ops;
    liar.ops = *io->ops;
    liar.ops.open = lying_open;
    liar.ops.close = lying_close;
    liar.ops.datasync = lying_datasync;
    liar.ops.dirsync = lying_dirsync;
    io->ops = &liar.ops;
}

/* ---- recording ---- */

static bool record(struct run *run, uint64_t seed, const char *files, const char *folders)
{
    struct kit_random random = {seed};
    struct kit kit;
    bool fine;

    run->sim = vex_sim_new(seed);
    run->states = vex_mem_zalloc((STEPS + 1) * sizeof *run->states);
    run->steps = vex_mem_zalloc(STEPS * sizeof *run->steps);
    run->count = 0;
    vex_sim_record(run->sim);
    if (files != NULL || folders != NULL)
        make_liar(run->sim, files, folders);
    options(&kit, run->sim);
    fine = kit_open(&kit) == 0 && play(run, &kit, &random);
    if (kit.engine != NULL)
        kit_close(&kit);
    return fine;
}

static void forget(struct run *run)
{
    vex_sim_free(run->sim);
    vex_mem_free(run->states);
    vex_mem_free(run->steps);
}

/* ---- the judge ---- */

enum promise { PROMISE_DURABLE, PROMISE_WRITTEN, PROMISE_SENT }; /* the last two are lies, for the harness */

static bool same_indexes(struct vex_collection *collection, unsigned mask, char *why, size_t size)
{
    struct vex_config *config = vex_collection_config(collection);
    unsigned found = 0;

    for (int key = 0; key < KIT_KEYS; key++)
        found |= (vex_config_index(config, vex_str_c(kit_keys[key])) != NULL ? 1u : 0) << key;
    vex_config_unref(config);
    return found == mask || kit_differs(why, size, "%u: indexes %llx, expected %llx", 0, found, mask);
}

/* Files of indexes and graphs found after a crash: what each says it is complete to. */
struct found_files {
    struct vex_io *io;
    char dir[VEX_PATH_MAX];
    struct {
        uint8_t uuid[16];
        uint64_t op;
    } file[64];
    size_t count, graphs;
    uint8_t uuid[16];
};

#define INDEX_OP_AT   16
#define GRAPH_MARK_AT 56
static size_t graphs_seen;

static int see_file(void *arg, const char *name)
{
    struct found_files *found = arg;
    char path[VEX_PATH_MAX];
    struct vex_buf bytes;
    struct vex_err err;
    bool graph = strncmp(name, "graph.", 6) == 0;

    if ((!graph && strncmp(name, "index.", 6) != 0) || strstr(name, ".tmp") != NULL || found->count == 64)
        return 0;
    vex_file_join(path, found->dir, name);
    vex_buf_init(&bytes, NULL);
    if (vex_file_read(found->io, path, 1 << 30, &bytes, &err) == 0 && bytes.len >= 64) {
        memcpy(&found->file[found->count].op, bytes.ptr + (graph ? GRAPH_MARK_AT : INDEX_OP_AT),
               sizeof found->file[0].op);
        found->graphs += graph;
        memcpy(found->file[found->count++].uuid, found->uuid, sizeof found->uuid);
    }
    vex_buf_done(&bytes);
    return 0;
}

static int see_folder(void *arg, const char *name)
{
    struct found_files *found = arg;

    if (!vex_uuid_parse_canonical(vex_str_c(name), found->uuid))
        return 0;
    vex_file_join(found->dir, "/data/collections", name);
    found->io->ops->list(found->io, found->dir, see_file, found);
    return 0;
}

/* None of them knows an operation that the log has lost: the next crash but one would believe it. */
static bool none_ahead(const struct found_files *found, struct kit *kit, char *why, size_t size)
{
    for (size_t i = 0; i < found->count; i++) {
        struct vex_collection *collection;
        struct vex_collection_stats stats = {0};
        struct vex_err err;

        if (vex_engine_find_uuid(kit->engine, found->file[i].uuid, &collection, &err) != 0)
            continue;
        if (vex_collection_stats(collection, &stats, &err) != 0)
            stats.last_op = UINT64_MAX;
        vex_collection_unref(collection);
        if (found->file[i].op > stats.last_op)
            return kit_differs(why, size, "%u: a file is complete to operation %llu, the last is %llu", 0,
                               found->file[i].op, stats.last_op);
    }
    return true;
}

/* What is loaded, caught up or built answers as the payloads do. */
static bool right_indexes(struct kit *kit, char *why, size_t size)
{
    for (int n = 0; n < NAMES; n++) {
        struct vex_collection *collection = find(kit, n);
        struct vex_err err;
        bool right = collection == NULL || (vex_collection_wait_indexes(collection, 0, &err) == 0 &&
                                            kit_indexes_right(collection, true, why, size));

        vex_collection_unref(collection);
        if (!right)
            return false;
    }
    return true;
}

/* What is loaded and caught up: at once, and when nothing is left to be done. */
static bool right_graphs(struct kit *kit, char *why, size_t size)
{
    for (int n = 0; n < NAMES; n++) {
        struct vex_collection *collection = find(kit, n);
        struct vex_err err;
        bool right = collection == NULL || (kit_graphs_right(collection, false, why, size) &&
                                            vex_collection_wait_graphs(collection, 0, &err) == 0 &&
                                            kit_graphs_right(collection, true, why, size));

        vex_collection_unref(collection);
        if (!right)
            return false;
    }
    return true;
}

static bool same_state(struct kit *kit, const struct state *state, char *why, size_t size)
{
    for (int n = 0; n < NAMES; n++) {
        struct vex_collection *collection = find(kit, n);
        bool same = (collection != NULL) == state->there[n];

        if (!same)
            snprintf(why, size, "collection %s is %s", names[n], collection != NULL ? "there" : "missing");
        else if (collection != NULL)
            same = same_indexes(collection, state->indexes[n], why, size) &&
                   kit_same(collection, &state->models[n], why, size);
        vex_collection_unref(collection);
        if (!same)
            return false;
    }
    return true;
}

static bool matches_prefix(const struct run *run, struct kit *kit, size_t index, enum promise promise,
                           char *why, size_t size)
{
    size_t least = 0, most = 0;

    for (size_t i = 0; i < run->count; i++) {
        const struct step *step = &run->steps[i];
        size_t promised = promise == PROMISE_DURABLE   ? step->durable
                          : promise == PROMISE_WRITTEN ? step->written
                                                       : step->begin;
        if (promised <= index)
            least = i + 1;
        if (step->begin <= index)
            most = i + 1;
    }
    snprintf(why, size, "no prefix");
    for (size_t k = least; k <= most; k++)
        if (same_state(kit, &run->states[k], why, size))
            return true;
    return false;
}

/* Opens the disk after a crash and judges it; now and then crashes again right after the recovery. */
static bool judge(const struct run *run, struct vex_sim *disk, size_t index, enum promise promise, bool again,
                  uint64_t seed, bool loud)
{
    struct found_files found = {.io = vex_sim_io(disk)};
    char why[256] = "cannot be opened";
    struct kit kit;
    bool fine;

    found.io->ops->list(found.io, "/data/collections", see_folder, &found);
    options(&kit, disk);
    fine = kit_open(&kit) == 0 && matches_prefix(run, &kit, index, promise, why, sizeof why) &&
           none_ahead(&found, &kit, why, sizeof why) && right_indexes(&kit, why, sizeof why) &&
           right_graphs(&kit, why, sizeof why);
    graphs_seen += found.graphs > 0;
    if (!fine && loud)
        fprintf(stderr, "crash at operation %zu, seed %llu: %s\n", index, (unsigned long long)seed, why);
    if (fine && again) {
        struct vex_sim *second =
            vex_sim_crash(disk, (enum vex_sim_policy)(seed % VEX_SIM_POLICY_COUNT), seed);
        fine = judge(run, second, index, promise, false, seed + 1, loud);
        vex_sim_free(second);
    }
    if (kit.engine != NULL)
        kit_close(&kit);
    return fine;
}

/* About `states` crash states spread over the run; *ret_bad of them were wrong. */
static size_t sweep(const struct run *run, size_t states, int policy, enum promise promise, bool loud,
                    size_t *ret_bad)
{
    struct vex_sim *replica = vex_sim_replica(run->sim);
    size_t ops = vex_sim_op_count(run->sim), done = 0;

    *ret_bad = 0;
    for (size_t index = 0; index <= ops; index++) {
        size_t due = states * (index + 1) / (ops + 1);

        for (; done < due && (loud || *ret_bad == 0); done++) {
            uint64_t seed = index * 1000 + done;
            enum vex_sim_policy chosen =
                (enum vex_sim_policy)(policy >= 0 ? policy : (int)(done % VEX_SIM_POLICY_COUNT));
            struct vex_sim *disk = vex_sim_crash(replica, chosen, seed);
            enum promise held =
                promise == PROMISE_DURABLE && chosen == VEX_SIM_KEEP_ALL ? PROMISE_WRITTEN : promise;

            *ret_bad += !judge(run, disk, index, held, loud && done % 20 == 0, seed, loud);
            vex_sim_free(disk);
        }
        if ((!loud && *ret_bad > 0) || *ret_bad > 5 || !vex_sim_step(replica, run->sim))
            break;
    }
    vex_sim_free(replica);
    return done;
}

/* ---- an index is saved while the log still holds back ---- */

static bool saved_is_durable(void)
{
    struct run run = {.sim = vex_sim_new(5)};
    struct found_files found = {0};
    struct kit_random random = {5};
    struct state state = {0};
    struct kit kit, after;
    struct vex_collection *collection;
    struct vex_arena arena;
    struct vex_sim *disk;
    struct vex_err err;
    char why[256] = "cannot be played";
    bool fine, wait = true;

    vex_arena_init(&arena, 0);
    options(&kit, run.sim);
    fine = kit_open(&kit) == 0 && step_catalog(&kit, &state, 0) && step_index(&kit, &state, 0, 0);
    while (fine && wait) /* until one is acknowledged that is written, no more */
        fine = step_mutate(&kit, &state, 0, &random, &arena, &wait);
    collection = find(&kit, 0);
    fine = fine && vex_collection_wait_indexes(collection, 0, &err) == 0 &&
           vex_collection_drain(collection, &err) == 0;
    if (fine) {
        vex_graph_set_stop(collection->data.graphs);
        vex_collection_acquire(collection);
        vex_index_set_save(collection->data.indexes);
        vex_graph_set_save(collection->data.graphs);
        vex_collection_release(collection);
    }
    disk = vex_sim_crash(run.sim, VEX_SIM_LOSE_ALL, 1);
    vex_collection_unref(collection);
    kit_close(&kit);
    found.io = vex_sim_io(disk);
    found.io->ops->list(found.io, "/data/collections", see_folder, &found);
    options(&after, disk);
    fine = fine && found.count > found.graphs && kit_open(&after) == 0;
    if (fine) {
        fine = none_ahead(&found, &after, why, sizeof why) && right_indexes(&after, why, sizeof why);
        kit_close(&after);
    }
    printf("files saved before the log was synced: %s\n", fine ? "as it should be" : why);
    vex_sim_free(disk);
    vex_sim_free(run.sim);
    vex_arena_done(&arena);
    return fine;
}

/* ---- the harness itself ---- */

struct plant {
    const char *what, *files, *folders;
    enum promise promise;
    int policy;
};

static const struct plant plants[] = {
    {"log not synced", "/wal/", NULL, PROMISE_DURABLE, VEX_SIM_LOSE_ALL},
    {"payloads not synced", "payload.heap", NULL, PROMISE_DURABLE, VEX_SIM_LOSE_ALL},
    {"vectors not synced", ".vex", NULL, PROMISE_DURABLE, VEX_SIM_LOSE_ALL},
    {"catalog's file not synced", "/catalog", NULL, PROMISE_DURABLE, VEX_SIM_NAMES_ONLY},
    {"collection's folder not synced", NULL, "/collections/", PROMISE_DURABLE, VEX_SIM_DATA_ONLY},
    {"log's folder not synced", NULL, "/wal", PROMISE_DURABLE, VEX_SIM_DATA_ONLY},
    {"acknowledged when written", NULL, NULL, PROMISE_WRITTEN, VEX_SIM_LOSE_ALL},
    {"acknowledged when sent", NULL, NULL, PROMISE_SENT, VEX_SIM_LOSE_ALL},
};

static bool plant_is_caught(const struct plant *plant)
{
    struct run run;
    size_t bad = 0, done = 0;

    if (!record(&run, 77, plant->files, plant->folders)) {
        forget(&run);
        return false;
    }
    done = sweep(&run, 400, plant->policy, plant->promise, false, &bad);
    printf("planted: %s: %s after %zu states\n", plant->what, bad > 0 ? "caught" : "NOT CAUGHT", done);
    forget(&run);
    return bad > 0;
}

int main(void)
{
    const char *wanted = getenv("VEX_SIM_STATES");
    size_t states = wanted != NULL ? (size_t)strtoull(wanted, NULL, 10) : STATES, total = 0, failures = 0;
    size_t runs = states > 4 * STATES ? states / STATES : 4;

    vex_log_set(VEX_LOG_ERROR, false);
    dev = vex_dev_embed_new();
    pool = vex_pool_new(1, 64, "test");
    for (size_t r = 0; r < runs && failures == 0; r++) {
        struct run run;
        size_t bad = 1;

        if (record(&run, 1000 + r, NULL, NULL))
            total += sweep(&run, states / runs, -1, PROMISE_DURABLE, true, &bad);
        failures += bad;
        forget(&run);
    }
    printf("%zu crash states of %zu runs, %zu wrong; %zu had files of graphs\n", total, runs, failures,
           graphs_seen);
    failures += graphs_seen < total / 4; /* else this tests little */
    failures += !saved_is_durable();
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++)
        failures += !plant_is_caught(&plants[i]);
    vex_pool_free(pool);
    vex_dev_free(dev);
    return failures > 0;
}
