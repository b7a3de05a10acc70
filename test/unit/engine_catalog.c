/* Collections, aliases, tenants, databases: every change, every refusal with its text, restarts, alter under load, damage, and
 * what a thousand empty collections cost. */
#include <CUnit/Basic.h>
#include <dirent.h>
#include <malloc.h>
#include <time.h>

#include "engine_kit.h"

#define TENANT   VEX_STR(VEX_DEFAULT_TENANT)
#define DATABASE VEX_STR(VEX_DEFAULT_DATABASE)
#define NO_NAME  vex_str("", 0)

static struct kit kit;
static char dir[] = "/tmp/vex_engine_catalog_XXXXXX";
static struct vex_err err;

static int create(struct vex_str tenant, struct vex_str database, const char *name, bool get,
                  bool *ret_created)
{
    struct vex_config *config = kit_config();
    bool created = false;
    int rc =
        vex_engine_create(kit.engine, tenant, database, vex_str_c(name), config, get, NULL, &created, &err);

    vex_config_unref(config);
    if (ret_created != NULL)
        *ret_created = created;
    return rc;
}

static struct vex_collection *find(const char *name, bool by_alias)
{
    struct vex_collection *collection = NULL;

    return vex_engine_find(kit.engine, vex_str_c(name), by_alias, &collection, &err) == 0 ? collection : NULL;
}

static bool exists(const char *name, bool by_alias)
{
    struct vex_collection *collection = find(name, by_alias);

    vex_collection_unref(collection);
    return collection != NULL;
}

static bool drop(const char *name)
{
    bool found;

    CU_ASSERT_EQUAL(vex_engine_drop(kit.engine, TENANT, DATABASE, vex_str_c(name), &found, &err), 0);
    return found;
}

static void reopen(void)
{
    kit_close(&kit);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
}

#define FAILS(call, code, message)                                                                           \
    do {                                                                                                     \
        CU_ASSERT_EQUAL((call), (code));                                                                     \
        CU_ASSERT_STRING_EQUAL(err.text, (message));                                                         \
    } while (0)

static int alias(int kind, const char *name, const char *collection, const char *to)
{
    struct vex_alias_action action = {
        .kind = kind, .alias = vex_str_c(name), .collection = vex_str_c(collection), .to = vex_str_c(to)};

    return vex_engine_change_aliases(kit.engine, &action, 1, &err);
}

static void test_collections(void)
{
    bool created;

    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "a", false, &created), 0);
    CU_ASSERT_TRUE(created);
    FAILS(create(TENANT, DATABASE, "a", false, NULL), VEX_EEXISTS, "Collection `a` already exists!");
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "a", true, &created), 0);
    CU_ASSERT_FALSE(created);
    FAILS(create(TENANT, VEX_STR("nope"), "a", false, NULL), VEX_ENOT_FOUND,
          "Database [nope] not found. Are you sure it exists?");
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "", false, NULL), VEX_EBAD_INPUT);
    CU_ASSERT_PTR_NULL(find("zz", true));
    CU_ASSERT_STRING_EQUAL(err.text, "Collection `zz` doesn't exist!");
    CU_ASSERT_FALSE(drop("zz"));
    reopen();
    CU_ASSERT_TRUE(exists("a", false));
    CU_ASSERT_TRUE(drop("a"));
    CU_ASSERT_FALSE(exists("a", false));
    reopen();
    CU_ASSERT_FALSE(exists("a", false));
}

static void test_aliases(void)
{
    struct vex_alias_action actions[2] = {
        {.kind = VEX_ALIAS_CREATE, .alias = VEX_STR("al2"), .collection = VEX_STR("full")},
        {.kind = VEX_ALIAS_CREATE, .alias = VEX_STR("al3"), .collection = VEX_STR("zz")}};
    struct vex_arena arena;
    struct vex_alias *list;

    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "base", false, NULL), 0);
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "full", false, NULL), 0);
    CU_ASSERT_EQUAL(alias(VEX_ALIAS_CREATE, "al", "base", ""), 0);
    FAILS(alias(VEX_ALIAS_CREATE, "al2", "zz", ""), VEX_ENOT_FOUND, "Collection `zz` doesn't exist!");
    FAILS(alias(VEX_ALIAS_CREATE, "full", "base", ""), VEX_EEXISTS, "Collection `full` already exists!");
    FAILS(alias(VEX_ALIAS_RENAME, "none", "", "x"), VEX_ENOT_FOUND, "Alias none does not exists!");
    CU_ASSERT_EQUAL(vex_engine_change_aliases(kit.engine, actions, 2, &err), VEX_ENOT_FOUND);
    CU_ASSERT_FALSE(exists("al2", true)); /* all or nothing */
    CU_ASSERT_EQUAL(alias(VEX_ALIAS_RENAME, "al", "", "al3"), 0);
    CU_ASSERT_EQUAL(alias(VEX_ALIAS_DELETE, "nope", "", ""), 0);
    FAILS(create(TENANT, DATABASE, "al3", false, NULL), VEX_EBAD_INPUT,
          "Can't create collection with name al3. Alias with the same name already exists");
    CU_ASSERT_TRUE(exists("al3", true));
    CU_ASSERT_FALSE(exists("al3", false));
    CU_ASSERT_FALSE(exists("al", true));
    reopen();
    CU_ASSERT_EQUAL_FATAL(vex_engine_aliases(kit.engine, NULL, &arena, &list), 1);
    CU_ASSERT_TRUE(vex_str_eq_c(list[0].alias, "al3"));
    CU_ASSERT_TRUE(vex_str_eq_c(list[0].collection, "base"));
    CU_ASSERT_EQUAL(alias(VEX_ALIAS_CREATE, "al3", "full", ""), 0); /* moves */
    CU_ASSERT_TRUE(drop("full"));                                   /* takes its aliases along */
    CU_ASSERT_FALSE(exists("al3", true));
    reopen();
    CU_ASSERT_EQUAL(vex_engine_aliases(kit.engine, NULL, &arena, &list), 0);
    CU_ASSERT_TRUE(drop("base"));
    vex_arena_done(&arena);
}

static void test_tenants(void)
{
    struct vex_database_info info, *infos;
    struct vex_collection *collection;
    struct vex_arena arena;
    struct vex_str resource;
    static const uint8_t zero[16];

    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL(vex_engine_tenant(kit.engine, TENANT, &arena, &resource, &err), 0);
    FAILS(vex_engine_tenant(kit.engine, VEX_STR("nope"), &arena, &resource, &err), VEX_ENOT_FOUND,
          "Tenant [nope] not found");
    CU_ASSERT_EQUAL(vex_engine_create_tenant(kit.engine, VEX_STR("t1x"), &err), 0);
    FAILS(vex_engine_create_tenant(kit.engine, VEX_STR("t1x"), &err), VEX_EEXISTS,
          "Tenant [t1x] already exists");
    CU_ASSERT_EQUAL(vex_engine_set_tenant_resource(kit.engine, VEX_STR("t1x"), VEX_STR("res"), &err), 0);
    CU_ASSERT_EQUAL(vex_engine_set_tenant_resource(kit.engine, VEX_STR("t1x"), VEX_STR("res"), &err),
                    VEX_EEXISTS);
    CU_ASSERT_EQUAL(vex_engine_create_database(kit.engine, VEX_STR("t1x"), VEX_STR("db1"), &err), 0);
    FAILS(vex_engine_create_database(kit.engine, VEX_STR("t1x"), VEX_STR("db1"), &err), VEX_EEXISTS,
          "Database [db1] already exists");
    CU_ASSERT_EQUAL(create(VEX_STR("t1x"), VEX_STR("db1"), "inner", false, NULL), 0);
    CU_ASSERT_FALSE(exists("inner", false));
    CU_ASSERT_TRUE(exists("t1x~db1~inner", false));
    reopen();
    CU_ASSERT_EQUAL(vex_engine_tenant(kit.engine, VEX_STR("t1x"), &arena, &resource, &err), 0);
    CU_ASSERT_TRUE(vex_str_eq_c(resource, "res"));
    CU_ASSERT_EQUAL(vex_engine_databases(kit.engine, VEX_STR("t1x"), &arena, &infos), 1);
    CU_ASSERT_EQUAL(vex_engine_database(kit.engine, TENANT, DATABASE, &arena, &info, &err), 0);
    CU_ASSERT_EQUAL(memcmp(info.uuid, zero, 16), 0);
    FAILS(vex_engine_database(kit.engine, TENANT, VEX_STR("nope"), &arena, &info, &err), VEX_ENOT_FOUND,
          "Database [nope] not found. Are you sure it exists?");
    CU_ASSERT_EQUAL(
        vex_engine_find_in(kit.engine, VEX_STR("t1x"), VEX_STR("db1"), VEX_STR("inner"), &collection, &err),
        0);
    CU_ASSERT_EQUAL(vex_engine_drop_database(kit.engine, VEX_STR("t1x"), VEX_STR("db1"), &err), 0);
    FAILS(vex_engine_drop_database(kit.engine, VEX_STR("t1x"), VEX_STR("db1"), &err), VEX_ENOT_FOUND,
          "Database [db1] not found");
    CU_ASSERT_FALSE(exists("t1x~db1~inner", false));
    struct vex_collection_data data;
    FAILS(vex_collection_read_begin(collection, &data, &err), VEX_ENOT_FOUND,
          "Collection `inner` doesn't exist!");
    vex_collection_unref(collection);
    CU_ASSERT_EQUAL(vex_engine_reset(kit.engine, &err), 0);
    CU_ASSERT_EQUAL(vex_engine_tenant(kit.engine, VEX_STR("t1x"), &arena, &resource, &err), VEX_ENOT_FOUND);
    reopen();
    CU_ASSERT_EQUAL(vex_engine_tenant(kit.engine, VEX_STR("t1x"), &arena, &resource, &err), VEX_ENOT_FOUND);
    CU_ASSERT_EQUAL(vex_engine_database(kit.engine, TENANT, DATABASE, &arena, &info, &err), 0);
    vex_arena_done(&arena);
}

/* ---- alter ---- */

static int refuse(void *arg, struct vex_config *config, struct vex_err *e)
{
    (void)arg;
    (void)config;
    return vex_err_set(e, VEX_EBAD_INPUT, "no");
}

static int remove_dot(void *arg, struct vex_config *config, struct vex_err *e)
{
    (void)arg;
    (void)e;
    for (uint32_t i = 0; i < config->vector_count; i++)
        if (vex_str_eq_c(config->vectors[i].name, "dot")) {
            memmove(&config->vectors[i], &config->vectors[i + 1],
                    (config->vector_count - i - 1) * sizeof *config->vectors);
            config->vector_count--;
            break;
        }
    return 0;
}

static int add_dot(void *arg, struct vex_config *config, struct vex_err *e)
{
    struct vex_vector_params params = {.name = VEX_STR("dot"), .size = 2, .distance = VEX_DISTANCE_L2};

    (void)arg;
    return vex_config_add_vector(config, &params, e);
}

static int submit_vectors(struct vex_collection *collection, struct kit_call *call, uint64_t id,
                          const char *name, uint32_t size, bool start_only)
{
    static const float values[] = {1, 2, 3, 4};
    struct vex_vector_value vectors[2] = {{.name = NO_NAME, .values = values, .count = 4},
                                          {.name = vex_str_c(name), .values = values, .count = size}};
    struct vex_point point = {.id = vex_id_num(id), .vectors = vectors, .vector_count = size > 0 ? 2 : 1};
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = &point, .count = 1}};

    return start_only ? kit_start(call, collection, &op, 1, true)
                      : kit_submit(call, collection, &op, 1, true);
}

/* Vector names come and go while writes are queued; a name made anew is empty and has its new size. */
static void test_alter(void)
{
    enum { N = 200 };
    static struct kit_call calls[N];
    struct vex_collection *collection;
    struct vex_collection_stats stats;
    struct kit_call call;

    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "alter", false, NULL), 0);
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "taken", false, NULL), 0);
    CU_ASSERT_EQUAL(alias(VEX_ALIAS_CREATE, "nick", "alter", ""), 0);
    collection = find("alter", false);
    FAILS(vex_engine_alter(kit.engine, collection, NO_NAME, refuse, NULL, &err), VEX_EBAD_INPUT, "no");
    FAILS(vex_engine_alter(kit.engine, collection, VEX_STR("taken"), NULL, NULL, &err), VEX_EEXISTS,
          "Collection `taken` already exists!");
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR("nick"), NULL, NULL, &err),
                    VEX_EBAD_INPUT);
    for (uint64_t i = 0; i < N; i++)
        CU_ASSERT_EQUAL_FATAL(submit_vectors(collection, &calls[i], i, "dot", 4, true), 0);
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, VEX_STR("altered"), remove_dot, NULL, &err), 0);
    for (int i = 0; i < N; i++)
        CU_ASSERT_EQUAL(kit_wait(&calls[i]), 0);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 1, "dot", 4, false), VEX_EBAD_INPUT);
    CU_ASSERT_STRING_EQUAL(call.err.text, "Not existing vector name error: dot");
    CU_ASSERT_EQUAL(vex_engine_alter(kit.engine, collection, NO_NAME, add_dot, NULL, &err), 0);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 1000, "dot", 2, false), 0);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 1001, "dot", 4, false), VEX_EBAD_INPUT);
    vex_collection_unref(collection);
    for (int round = 0; round < 2; round++) {
        CU_ASSERT_FALSE(exists("alter", false));
        collection = find("altered", false);
        CU_ASSERT_PTR_NOT_NULL_FATAL(collection);
        CU_ASSERT_EQUAL(vex_collection_stats(collection, &stats, &err), 0);
        CU_ASSERT_EQUAL(stats.points, N + 1);
        CU_ASSERT_EQUAL(stats.vectors[0], N + 1);
        CU_ASSERT_EQUAL(stats.vectors[KIT_NAMES], 1); /* the new ordinal */
        vex_collection_unref(collection);
        reopen();
    }
    CU_ASSERT_TRUE(exists("nick", true));
}

static void test_fix_size(void)
{
    struct vex_config *config = vex_config_new();
    struct vex_vector_params params = {.distance = VEX_DISTANCE_L2};
    struct vex_collection *collection;
    struct kit_call call;
    bool created;

    CU_ASSERT_EQUAL(vex_config_add_vector(config, &params, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vex_engine_create(kit.engine, TENANT, DATABASE, VEX_STR("unsized"), config, false,
                                            &collection, &created, &err),
                          0);
    vex_config_unref(config);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 1, "", 0, false), VEX_EPRECONDITION);
    CU_ASSERT_EQUAL(vex_collection_fix_size(kit.engine, collection, NO_NAME, 4, &err), 0);
    CU_ASSERT_EQUAL(vex_collection_fix_size(kit.engine, collection, NO_NAME, 4, &err), 0);
    FAILS(vex_collection_fix_size(kit.engine, collection, NO_NAME, 5, &err), VEX_EBAD_INPUT,
          "Collection expecting embedding with dimension of 4, got 5");
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 1, "", 0, false), 0);
    vex_collection_unref(collection);
    reopen();
    collection = find("unsized", false);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 2, "", 0, false), 0);
    CU_ASSERT_EQUAL(call.results[0].op, 2);
    vex_collection_unref(collection);
}

/* ---- dropped and damaged ---- */

static int count_entries(const char *name)
{
    char path[160];
    struct dirent *entry;
    int count = 0;
    DIR *d;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    d = opendir(path);
    while (d != NULL && (entry = readdir(d)) != NULL)
        count += entry->d_name[0] != '.';
    if (d != NULL)
        closedir(d);
    return count;
}

static void test_dropped_folders(void)
{
    struct vex_collection *collection;
    struct kit_call call;
    int before;

    CU_ASSERT_EQUAL(vex_engine_reset(kit.engine, &err), 0);
    reopen();
    before = count_entries("collections");
    CU_ASSERT_EQUAL(before, 0);
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "gone", false, NULL), 0);
    collection = find("gone", false);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 1, "dot", 4, false), 0);
    CU_ASSERT_EQUAL(vex_collection_checkpoint(collection, &err), 0);
    CU_ASSERT_EQUAL(count_entries("collections"), 1);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 2, "dot", 4, false), 0);
    CU_ASSERT_TRUE(drop("gone"));
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 3, "dot", 4, false), VEX_ENOT_FOUND);
    vex_collection_unref(collection);
    reopen(); /* waits for the removal */
    CU_ASSERT_EQUAL(count_entries("collections"), 0);
}

/* A collection with a damaged manifest is refused by name, others are served, and it can be dropped. */
static void test_refused(void)
{
    struct vex_collection *good, *bad;
    struct vex_collection_info info;
    struct vex_collection_stats stats;
    struct vex_arena arena;
    struct kit_call call;
    char path[256];
    FILE *file;

    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "good", false, NULL), 0);
    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "bad", false, NULL), 0);
    good = find("good", false);
    bad = find("bad", false);
    CU_ASSERT_EQUAL(submit_vectors(good, &call, 1, "dot", 4, false), 0);
    CU_ASSERT_EQUAL(submit_vectors(bad, &call, 1, "dot", 4, false), 0);
    vex_collection_info(bad, &arena, &info);
    vex_config_unref(info.config);
    vex_collection_unref(good);
    vex_collection_unref(bad);
    kit_close(&kit);
    snprintf(path, sizeof path,
             "%s/collections/%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x/manifest",
             dir, info.uuid[0], info.uuid[1], info.uuid[2], info.uuid[3], info.uuid[4], info.uuid[5],
             info.uuid[6], info.uuid[7], info.uuid[8], info.uuid[9], info.uuid[10], info.uuid[11],
             info.uuid[12], info.uuid[13], info.uuid[14], info.uuid[15]);
    file = fopen(path, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fseek(file, 30, SEEK_SET);
    fputc(0xa5, file);
    fclose(file);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    good = find("good", false);
    bad = find("bad", false);
    CU_ASSERT_EQUAL(vex_collection_stats(good, &stats, &err), 0);
    CU_ASSERT_EQUAL(stats.points, 1);
    CU_ASSERT_EQUAL(vex_collection_stats(bad, &stats, &err), VEX_ECORRUPT);
    CU_ASSERT_EQUAL(submit_vectors(bad, &call, 1, "dot", 4, false), VEX_ECORRUPT);
    vex_collection_unref(good);
    vex_collection_unref(bad);
    CU_ASSERT_TRUE(drop("bad"));
    CU_ASSERT_TRUE(drop("good"));
    vex_arena_done(&arena);
}

static void test_folder_errors(void)
{
    struct kit other = kit;
    struct vex_engine *second;
    char command[256];

    CU_ASSERT_EQUAL(vex_engine_open(&other.options, &second, &err), VEX_ELOCKED);
    kit_close(&kit);
    snprintf(command, sizeof command, "cp %s/catalog %s/catalog.kept && printf x >> %s/catalog", dir, dir,
             dir);
    CU_ASSERT_EQUAL(system(command), 0);
    FAILS(vex_engine_open(&kit.options, &second, &err), VEX_ECORRUPT, "the catalog's file is damaged");
    snprintf(command, sizeof command, "mv %s/catalog.kept %s/catalog", dir, dir);
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
}

/* Without the catalog's file, and without a log that reaches back to the beginning, nothing may be taken for garbage. */
static void test_lost_catalog(void)
{
    struct vex_collection *collection;
    struct kit_call call;
    char command[256];

    CU_ASSERT_EQUAL(create(TENANT, DATABASE, "precious", false, NULL), 0);
    collection = find("precious", false);
    CU_ASSERT_EQUAL(submit_vectors(collection, &call, 1, "dot", 4, false), 0);
    vex_collection_unref(collection);
    kit_close(&kit);
    snprintf(command, sizeof command,
             "mv %s/catalog %s.catalog; rm -rf %s.wal; cp -r %s/wal %s.wal; rm %s/wal/*", dir, dir, dir, dir,
             dir, dir);
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_EQUAL(vex_engine_open(&kit.options, &kit.engine, &err), VEX_ECORRUPT);
    CU_ASSERT_EQUAL(count_entries("collections"), 1);
    snprintf(command, sizeof command, "mv %s.catalog %s/catalog; rm -rf %s/wal; mv %s.wal %s/wal", dir, dir,
             dir, dir, dir);
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_EQUAL_FATAL(kit_open(&kit), 0);
    CU_ASSERT_TRUE(exists("precious", false));
    CU_ASSERT_TRUE(drop("precious"));
}

/* ---- many ---- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void test_thousand(void)
{
    size_t before = mallinfo2().uordblks, after;
    struct vex_collection_info *infos;
    struct vex_arena arena;
    char name[32];
    double start = now();

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "many-%d", i);
        CU_ASSERT_EQUAL_FATAL(create(TENANT, DATABASE, name, false, NULL), 0);
    }
    after = mallinfo2().uordblks;
    printf(" 1000 empty collections: %.1f ms each to create, %zu bytes each", now() - start,
           after > before ? (after - before) / 1000 : 0);
    /* Nothing but sanitizers' own allocator makes the figure 0. */
    CU_ASSERT_TRUE(after - before < 8000u * 1000u || after < before);
    CU_ASSERT_EQUAL(count_entries("collections"), 0);
    start = now();
    reopen();
    printf(", %.1f ms to restart ", (now() - start) * 1000);
    vex_arena_init(&arena, 0);
    CU_ASSERT_EQUAL(vex_engine_list(kit.engine, TENANT, DATABASE, &arena, &infos), 1000);
    CU_ASSERT_TRUE(vex_str_eq_c(infos[7].name, "many-7"));
    for (int i = 0; i < 1000; i++)
        vex_config_unref(infos[i].config);
    vex_arena_done(&arena);
    CU_ASSERT_EQUAL(vex_engine_reset(kit.engine, &err), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"collections", test_collections},
        {"aliases", test_aliases},
        {"tenants", test_tenants},
        {"alter", test_alter},
        {"fix_size", test_fix_size},
        {"dropped_folders", test_dropped_folders},
        {"refused", test_refused},
        {"folder_errors", test_folder_errors},
        {"lost_catalog", test_lost_catalog},
        {"thousand", test_thousand},
        CU_TEST_INFO_NULL,
    };

    if (!kit_prepare(&kit, dir))
        return 1;
    if (kit_open(&kit) != 0)
        return 1;
    return kit_run(&kit, "engine_catalog", tests);
}
