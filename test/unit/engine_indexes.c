/* Payload indexes of a collection: that they follow every kind of write, are built while writes go on, are saved, caught up and
 * rebuilt. What an index answers is compared with the payloads. */
#include <CUnit/Basic.h>
#include <limits.h>
#include <sys/stat.h>

#include "engine_index_world.h"

/* ---- following ---- */

static void test_follows_writes(void)
{
    struct world w;

    world_open(&w, 1);
    for (int key = 0; key < KIT_KEYS; key++)
        add_index(&w, key);
    wait_built(&w);
    for (int round = 0; round < 120; round++) {
        mutate(&w, 8);
        CU_ASSERT_FATAL(right(&w, false));
        if (round % 5 != 4)
            continue;
        checkpoint(&w); /* dead slots come back */
        CU_ASSERT_FATAL(right(&w, true));
        CU_ASSERT_FATAL(kit_same(w.collection, &w.model, why, sizeof why));
    }
    world_close(&w);
}

static void test_change_of_parameters(void)
{
    struct vex_index_params params = kit_index(0);
    struct vex_index_info *info;
    struct vex_arena arena;
    struct vex_err err;
    struct world w;
    uint32_t count;

    vex_arena_init(&arena, 0);
    world_open(&w, 2);
    mutate(&w, 50);
    add_index(&w, 0);
    wait_built(&w);
    /* The same again: it stays complete. Another document is no other index. */
    params.doc = VEX_STR("shown");
    CU_ASSERT(alter(&w, kit_add_index, params) == 0);
    CU_ASSERT(vex_collection_indexes(w.collection, &arena, &info, &count, &err) == 0 && count == 1);
    CU_ASSERT(info[0].ready && vex_str_eq_c(info[0].field, "a") && info[0].bytes > 0);
    params.type = VEX_INDEX_FLOAT;
    CU_ASSERT(alter(&w, kit_add_index, params) == 0);
    wait_built(&w);
    CU_ASSERT(right(&w, false));
    mutate(&w, 30);
    CU_ASSERT(alter(&w, kit_remove_index, params) == 0);
    CU_ASSERT(vex_collection_indexes(w.collection, &arena, &info, &count, &err) == 0 && count == 0);
    mutate(&w, 30);
    add_index(&w, 0);
    wait_built(&w);
    checkpoint(&w);
    CU_ASSERT(right(&w, true));
    params.field = VEX_STR("a[");
    CU_ASSERT(vex_engine_alter(w.kit.engine, w.collection, vex_str("", 0), kit_add_index, &params, &err) ==
              VEX_EBAD_INPUT);
    vex_arena_done(&arena);
    world_close(&w);
}

/* ---- readers and builders among writes ---- */

static void *read_on(void *arg)
{
    struct world *w = arg;
    char text[256];

    while (!stop)
        if (!kit_indexes_right(w->collection, false, text, sizeof text) && wrong++ == 0)
            fprintf(stderr, "%s\n", text);
    return NULL;
}

static void test_readers(void)
{
    pthread_t readers[2];
    struct world w;

    world_open(&w, 3);
    add_index(&w, 0);
    wait_built(&w);
    stop = false;
    wrong = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, read_on, &w);
    mutate(&w, 150);
    add_index(&w, 1);
    mutate(&w, 100);
    put_many(&w, 100000, 3000, 0);
    wait_built(&w);
    stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    CU_ASSERT(wrong == 0);
    checkpoint(&w);
    CU_ASSERT(right(&w, true));
    world_close(&w);
}

static void test_built_among_writes(void)
{
    pthread_t writer;
    struct world w;

    world_open(&w, 4);
    put_many(&w, 1000, 20000, 1);
    stop = false;
    pthread_create(&writer, NULL, write_on, &w);
    for (int round = 0; round < 4; round++) {
        add_index(&w, 0);
        add_index(&w, 1);
        wait_built(&w);
        CU_ASSERT(right(&w, false));
        CU_ASSERT(alter(&w, kit_remove_index, kit_index(0)) == 0);
        CU_ASSERT(alter(&w, kit_remove_index, kit_index(1)) == 0);
    }
    add_index(&w, 0);
    wait_built(&w);
    stop = true;
    pthread_join(writer, NULL);
    checkpoint(&w);
    CU_ASSERT(right(&w, true));
    world_close(&w);
}

static void test_dropped_while_built(void)
{
    struct vex_err err;
    struct world w;
    bool found;

    for (int round = 0; round < 6; round++) {
        world_open(&w, 5);
        put_many(&w, 1000, 10000, 1);
        add_index(&w, 0);
        if (round % 3 == 0) {
            CU_ASSERT(alter(&w, kit_remove_index, kit_index(0)) == 0);
            add_index(&w, 1);
            wait_built(&w);
            CU_ASSERT(right(&w, false));
        } else if (round % 3 == 1) {
            CU_ASSERT(vex_engine_drop(w.kit.engine, VEX_STR(VEX_DEFAULT_TENANT),
                                      VEX_STR(VEX_DEFAULT_DATABASE), VEX_STR("c"), &found, &err) == 0);
            CU_ASSERT(vex_collection_wait_indexes(w.collection, 0, &err) == VEX_ENOT_FOUND);
        } else {
            world_reopen(&w); /* closing does not wait for it */
            wait_built(&w);
            CU_ASSERT(right(&w, true));
        }
        world_close(&w);
    }
}

/* With all of the pool taken (by calls that wait as we do) the waiting thread builds. */
static void test_waiting_helps(void)
{
    struct block blocks[2];
    struct vex_err err;
    struct world w;

    world_open(&w, 6);
    put_many(&w, 1000, 2000, 0);
    occupy_pool(blocks);
    add_index(&w, 0);
    CU_ASSERT(vex_collection_wait_indexes(w.collection, 1, &err) == VEX_ETIMEOUT);
    wait_built(&w);
    CU_ASSERT(right(&w, true));
    leave_pool(blocks);
    world_close(&w);
}

/* ---- files ---- */

struct files {
    char path[4][VEX_PATH_MAX];
    struct timespec written[4];
    ino_t inode[4];
    int count, strange;
};

static int see_file(void *arg, const char *name)
{
    struct files *files = arg;

    if (strncmp(name, "index.", 6) == 0 && files->count < 4)
        snprintf(files->path[files->count++], VEX_PATH_MAX, "%s", name);
    files->strange += strstr(name, ".tmp") != NULL;
    return 0;
}

static int see_folder(void *arg, const char *name)
{
    snprintf(arg, NAME_MAX, "%s", name);
    return 1;
}

/* Index files of the only collection. */
static void list_files(const struct world *w, struct files *ret)
{
    struct vex_io *io = vex_io_posix();
    char collections[VEX_PATH_MAX], dir[VEX_PATH_MAX], path[VEX_PATH_MAX], name[NAME_MAX] = "";
    struct stat st;

    memset(ret, 0, sizeof *ret);
    vex_file_join(collections, w->dir, "collections");
    io->ops->list(io, collections, see_folder, name);
    vex_file_join(dir, collections, name);
    io->ops->list(io, dir, see_file, ret);
    for (int i = 0; i < ret->count; i++) {
        vex_file_join(path, dir, ret->path[i]);
        memcpy(ret->path[i], path, sizeof path);
        if (stat(path, &st) != 0)
            continue;
        ret->inode[i] = st.st_ino;
        ret->written[i] = st.st_mtim;
    }
}

static void read_file(const char *path, struct vex_buf *ret)
{
    struct vex_err err;

    vex_buf_init(ret, NULL);
    CU_ASSERT_FATAL(vex_file_read(vex_io_posix(), path, 1 << 30, ret, &err) == 0);
}

static void write_file(const char *path, const struct vex_buf *bytes)
{
    struct vex_err err;

    CU_ASSERT_FATAL(vex_file_replace(vex_io_posix(), path, bytes->ptr, bytes->len, &err) == 0);
}

static bool same_file(const struct files *a, const struct files *b)
{
    return a->count == 1 && b->count == 1 && a->inode[0] == b->inode[0] &&
           a->written[0].tv_sec == b->written[0].tv_sec && a->written[0].tv_nsec == b->written[0].tv_nsec;
}

/* Closes, puts the bytes (NULL: nothing) in place of the file if there is a path, opens. *ret_kept: the file was of use, for it
 * was not written again. */
static void reopen_with(struct world *w, const char *path, const struct vex_buf *bytes, bool *ret_kept)
{
    struct files before, after;

    vex_collection_unref(w->collection);
    kit_close(&w->kit);
    if (bytes != NULL)
        write_file(path, bytes);
    else if (path != NULL)
        CU_ASSERT(unlink(path) == 0);
    list_files(w, &before);
    CU_ASSERT_FATAL(kit_open(&w->kit) == 0);
    find_collection(w);
    wait_built(w);
    CU_ASSERT(right(w, true));
    world_reopen(w);
    list_files(w, &after);
    CU_ASSERT(after.count == 1 && after.strange == 0);
    *ret_kept = same_file(&before, &after);
    wait_built(w);
    CU_ASSERT(right(w, true));
}

static void test_saved_and_loaded(void)
{
    struct files files;
    struct vex_buf old, bytes;
    struct world w;
    bool kept;

    world_open(&w, 7);
    add_index(&w, 0);
    mutate(&w, 200);
    wait_built(&w);
    world_reopen(&w);
    list_files(&w, &files);
    CU_ASSERT_FATAL(files.count == 1);
    wait_built(&w);
    CU_ASSERT(right(&w, true));
    reopen_with(&w, NULL, NULL, &kept);
    CU_ASSERT(kept);
    /* One that is behind: what changed since is caught up, so it is written again. */
    read_file(files.path[0], &old);
    mutate(&w, 100);
    checkpoint(&w);
    mutate(&w, 40);
    reopen_with(&w, files.path[0], &old, &kept);
    CU_ASSERT(!kept);
    CU_ASSERT(kit_same(w.collection, &w.model, why, sizeof why));
    /* Missing; damaged in every part; cut. */
    reopen_with(&w, files.path[0], NULL, &kept);
    read_file(files.path[0], &bytes);
    for (size_t at = 0; at < bytes.len; at += bytes.len / 5) {
        bytes.ptr[at] ^= 0x10;
        reopen_with(&w, files.path[0], &bytes, &kept);
        CU_ASSERT(!kept);
        bytes.ptr[at] ^= 0x10;
    }
    bytes.len /= 2;
    reopen_with(&w, files.path[0], &bytes, &kept);
    CU_ASSERT(!kept);
    vex_buf_done(&bytes);
    vex_buf_done(&old);
    world_close(&w);
}

/* Files of other parameters, half written ones and strangers. */
static void test_files_are_tidied(void)
{
    struct files files;
    struct vex_buf bytes;
    char path[VEX_PATH_MAX + 8];
    struct world w;
    bool kept;

    world_open(&w, 8);
    add_index(&w, 0);
    mutate(&w, 60);
    wait_built(&w);
    world_reopen(&w);
    list_files(&w, &files);
    CU_ASSERT_FATAL(files.count == 1);
    read_file(files.path[0], &bytes);
    snprintf(path, sizeof path, "%s.tmp", files.path[0]);
    write_file(path, &bytes);
    snprintf(path, sizeof path, "%.*s0000", (int)strlen(files.path[0]) - 4, files.path[0]);
    write_file(path, &bytes);
    reopen_with(&w, NULL, NULL, &kept);
    CU_ASSERT(alter(&w, kit_remove_index, kit_index(0)) == 0);
    list_files(&w, &files);
    CU_ASSERT(files.count == 0);
    /* What was saved under one index is not taken for another. */
    add_index(&w, 3);
    wait_built(&w);
    world_reopen(&w);
    list_files(&w, &files);
    CU_ASSERT_FATAL(files.count == 1);
    reopen_with(&w, files.path[0], &bytes, &kept);
    CU_ASSERT(!kept);
    vex_buf_done(&bytes);
    world_close(&w);
}

/* ---- what texts are cut with ---- */

static void put_texts(struct world *w, uint64_t first)
{
    static const char *const texts[3] = {"running dogs", "a run", "cats"};
    struct vex_point points[3];
    struct vex_op op = {.kind = VEX_OP_UPSERT, .upsert = {.points = points, .count = 3}};
    struct kit_call call;
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    for (uint64_t i = 0; i < 3; i++) {
        struct vex_buf payload;

        vex_buf_init(&payload, &arena);
        vex_value_put_map(&payload, 1);
        vex_value_put_text(&payload, VEX_STR("t"));
        vex_value_put_text(&payload, vex_str_c(texts[i]));
        points[i] = (struct vex_point){.id = vex_id_num(first + i), .payload = vex_buf_str(&payload)};
    }
    CU_ASSERT(kit_submit(&call, w->collection, &op, 1, true) == 0);
    vex_arena_done(&arena);
}

static uint64_t delete_runs(struct world *w)
{
    struct vex_op op = {.kind = VEX_OP_DELETE};
    struct vex_filter filter = {0};
    struct vex_cond cond = {.kind = VEX_COND_TEXT, .text = VEX_STR("runs")};
    struct kit_call call;
    struct vex_arena arena;

    vex_arena_init(&arena, 0);
    cond.path = vex_path_key(&arena, VEX_STR("t"));
    filter.must = (struct vex_cond_list){&cond, 1};
    op.remove.filter = &filter;
    CU_ASSERT(kit_submit(&call, w->collection, &op, 1, true) == 0);
    vex_arena_done(&arena);
    return call.results[0].affected;
}

/* As a killed server would be found, its catalog's file being as new as can be: the log is replayed under the last configuration. */
static void check_replayed(struct world *w)
{
    struct world copy = *w;
    struct vex_err err;
    char command[256];

    CU_ASSERT(vex_engine_save_catalog(w->kit.engine, &err) == 0);
    snprintf(copy.dir, sizeof copy.dir, "%.50s.copy", w->dir);
    snprintf(command, sizeof command, "cp -r %s %s", w->dir, copy.dir);
    CU_ASSERT_FATAL(system(command) == 0);
    kit_init(&copy.kit, vex_io_posix(), copy.dir, dev, pool);
    CU_ASSERT_FATAL(kit_open(&copy.kit) == 0);
    find_collection(&copy);
    CU_ASSERT(points_of(copy.collection) == points_of(w->collection));
    world_close(&copy);
}

static void test_texts_replay_alike(void)
{
    struct vex_text_params text = {
        .tokenizer = VEX_TOKENIZER_WORD, .lowercase = true, .stemmer = VEX_STR("english")};
    struct vex_index_params params = {.field = VEX_STR("t"), .type = VEX_INDEX_TEXT, .text = &text};
    struct vex_err err;
    struct world w;

    world_open(&w, 9);
    put_texts(&w, 10);
    CU_ASSERT(delete_runs(&w) == 0);
    CU_ASSERT(alter(&w, kit_add_index, params) == 0); /* its index need not be complete for what follows */
    check_replayed(&w);
    CU_ASSERT(delete_runs(&w) == 2);
    put_texts(&w, 20);
    check_replayed(&w);
    text.stemmer = vex_str("", 0);
    CU_ASSERT(alter(&w, kit_add_index, params) == 0);
    CU_ASSERT(delete_runs(&w) == 0);
    check_replayed(&w);
    wait_built(&w);
    text.stemmer = VEX_STR("english");
    CU_ASSERT(alter(&w, kit_add_index, params) == 0);
    wait_built(&w);
    CU_ASSERT(delete_runs(&w) == 2);
    put_texts(&w, 30);
    CU_ASSERT(alter(&w, kit_remove_index, params) == 0);
    CU_ASSERT(delete_runs(&w) == 0);
    check_replayed(&w);
    text.stemmer = VEX_STR("klingon");
    CU_ASSERT(vex_engine_alter(w.kit.engine, w.collection, vex_str("", 0), kit_add_index, &params, &err) ==
              VEX_EBAD_INPUT);
    world_close(&w);
}

/* ---- configuration ---- */

static void test_configuration(void)
{
    static struct vex_str languages[] = {{"english", 7}, {"german", 6}}, words[] = {{"foo", 3}};
    struct vex_text_params text = {.tokenizer = VEX_TOKENIZER_PREFIX,
                                   .lowercase = true,
                                   .scoring = true,
                                   .min_token_len = 2,
                                   .max_token_len = 9,
                                   .stemmer = VEX_STR("german"),
                                   .stopword_languages = languages,
                                   .stopword_language_count = 2,
                                   .stopwords = words,
                                   .stopword_count = 1};
    struct vex_index_params params = {.field = VEX_STR("t"), .type = VEX_INDEX_TEXT, .text = &text};
    struct vex_config *config = kit_config(), *copy, *again;
    struct vex_cursor c;
    struct vex_buf bytes;
    struct vex_err err;

    vex_config_set_index(config, &params);
    params = kit_index(0);
    params.lookup = false;
    params.doc = VEX_STR("doc");
    vex_config_set_index(config, &params);
    copy = vex_config_dup(config);
    vex_config_unref(config);
    vex_buf_init(&bytes, NULL);
    vex_config_encode(&bytes, copy);
    for (size_t len = 0; len < bytes.len; len++) {
        char *cut = vex_mem_strndup(bytes.ptr, len);
        c = vex_cursor(cut, len);
        CU_ASSERT(vex_config_decode(&c, &again, &err) == VEX_ECORRUPT);
        vex_mem_free(cut);
    }
    c = vex_cursor(bytes.ptr, bytes.len);
    CU_ASSERT_FATAL(vex_config_decode(&c, &again, &err) == 0);
    CU_ASSERT(again->index_count == 2 && vex_cursor_left(&c) == 0);
    for (uint32_t i = 0; i < 2; i++)
        CU_ASSERT(vex_index_params_same(&copy->indexes[i], &again->indexes[i]) &&
                  vex_str_eq(copy->indexes[i].doc, again->indexes[i].doc));
    CU_ASSERT(again->indexes[0].text->max_token_len == 9 && again->indexes[0].text->scoring &&
              vex_str_eq_c(again->indexes[0].text->stopword_languages[1], "german") &&
              vex_str_eq_c(again->indexes[0].text->stopwords[0], "foo"));
    CU_ASSERT(again->indexes[1].range && !again->indexes[1].lookup);
    CU_ASSERT(!vex_index_params_same(&again->indexes[0], &again->indexes[1]));
    CU_ASSERT(vex_config_remove_index(again, VEX_STR("t")) && !vex_config_remove_index(again, VEX_STR("t")));
    CU_ASSERT(again->index_count == 1);
    vex_buf_done(&bytes);
    vex_config_unref(copy);
    vex_config_unref(again);
}

/* As written before an index was more than field, type and document. */
static void test_old_configuration(void)
{
    struct vex_config *config;
    struct vex_cursor c;
    struct vex_buf bytes;
    struct vex_err err;

    vex_buf_init(&bytes, NULL);
    vex_buf_add_u32(&bytes, 1);
    vex_buf_add_u8(&bytes, 0);
    vex_buf_add_u32(&bytes, 0);
    vex_buf_add_u32(&bytes, 1);
    vex_buf_add_str32(&bytes, VEX_STR("price"));
    vex_buf_add_u8(&bytes, VEX_INDEX_INTEGER);
    vex_buf_add_str32(&bytes, VEX_STR("doc"));
    vex_buf_add_u32(&bytes, VEX_DOC_COUNT);
    vex_buf_add_str32(&bytes, VEX_STR("q"));
    vex_buf_add_str32(&bytes, VEX_STR(""));
    c = vex_cursor(bytes.ptr, bytes.len);
    CU_ASSERT_FATAL(vex_config_decode(&c, &config, &err) == 0);
    CU_ASSERT(config->index_count == 1 && config->indexes[0].type == VEX_INDEX_INTEGER);
    CU_ASSERT(config->indexes[0].range && config->indexes[0].lookup && config->indexes[0].text == NULL);
    CU_ASSERT(vex_str_eq_c(config->indexes[0].doc, "doc") && vex_str_eq_c(config->docs[VEX_DOC_QDRANT], "q"));
    vex_config_unref(config);
    vex_buf_done(&bytes);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"indexes follow writes", test_follows_writes},
        {"change of parameters", test_change_of_parameters},
        {"readers among writes", test_readers},
        {"built among writes", test_built_among_writes},
        {"dropped while built", test_dropped_while_built},
        {"who waits helps", test_waiting_helps},
        {"saved and loaded", test_saved_and_loaded},
        {"files are tidied", test_files_are_tidied},
        {"texts replay alike", test_texts_replay_alike},
        {"configuration", test_configuration},
        {"old configuration", test_old_configuration},
        CU_TEST_INFO_NULL,
    };
    return world_run("engine_indexes", tests);
}
