/* Rows: states of slots, the map from ids, orders, checkpoints; a random run against a plain model. */
#include "engine/point/rows.h"

#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "engine/store/checkpoint.h"
#include "lib/sim_io.h"

#define DIR "/c"

static struct vex_err err;
static struct vex_sim *sim;
static struct vex_io *io;
static struct vex_heap *heap;
static struct vex_rows *rows;
static struct vex_pool *pool; /* or none */
static uint64_t seed = 1;

static uint64_t roll(uint64_t bound)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % bound;
}

/* ---- a collection of rows and a heap, its manifest {sizes, heap state} ---- */

static int open_store(void)
{
    struct vex_rows_sizes sizes = {0};
    struct vex_buf manifest;
    struct vex_str state = {0};

    vex_buf_init(&manifest, NULL);
    int r = vex_checkpoint_recover(io, DIR, &manifest, &err);
    if (r == 0 && manifest.len < sizeof sizes)
        r = VEX_ECORRUPT;
    if (r == 0) {
        memcpy(&sizes, manifest.ptr, sizeof sizes);
        state = vex_str(manifest.ptr + sizeof sizes, manifest.len - sizeof sizes);
    }
    if (r == VEX_ENOT_FOUND)
        r = 0;
    heap = NULL;
    rows = NULL;
    if (r == 0)
        r = vex_heap_open(io, DIR "/payload.heap", state, &heap, &err);
    if (r == 0)
        r = vex_rows_open(io, pool, DIR, &sizes, heap, &rows, &err);
    vex_buf_done(&manifest);
    return r;
}

static void close_store(void)
{
    vex_rows_close(rows);
    vex_heap_close(heap);
    rows = NULL;
    heap = NULL;
}

static int checkpoint(uint64_t seq)
{
    struct vex_table *tables[4];
    struct vex_rows_sizes sizes;
    struct vex_buf manifest;

    int r = vex_heap_sync(heap);
    if (r != 0)
        return r;
    vex_rows_sizes(rows, &sizes);
    vex_buf_init(&manifest, NULL);
    vex_buf_add(&manifest, &sizes, sizeof sizes);
    vex_heap_state(heap, &manifest);
    struct vex_checkpoint write = {.io = io, .dir = DIR, .tables = tables, .seq = seq};
    write.table_count = vex_rows_tables(rows, tables);
    write.manifest = vex_buf_str(&manifest);
    r = vex_checkpoint_write(&write, &err);
    vex_buf_done(&manifest);
    if (r == 0) {
        vex_heap_settle(heap);
        vex_rows_settle(rows);
    }
    return r;
}

static void begin(void)
{
    sim = vex_sim_new(7);
    io = vex_sim_io(sim);
    CU_ASSERT_FATAL(open_store() == 0);
}

static void end(void)
{
    close_store();
    vex_sim_free(sim);
}

/* Id number i: numbers, UUIDs and texts by turns; texts share long beginnings. */
static struct vex_id make_id(uint32_t i, char *text)
{
    struct vex_id id = {.kind = (enum vex_id_kind)(i % 3)};

    if (id.kind == VEX_ID_NUM) {
        id.num = (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
    } else if (id.kind == VEX_ID_UUID) {
        uint64_t half = i % 2 ? 5 : i * UINT64_C(0xff51afd7ed558ccd);
        memcpy(id.uuid, &half, 8);
        memcpy(id.uuid + 8, &i, 4);
    } else {
        int len = i % 2 ? sprintf(text, "a-common-beginning-of-texts-%u", i) : sprintf(text, "%u", i);
        id.text = vex_str(text, (size_t)len);
    }
    return id;
}

static void fill_row(struct vex_row *row, const struct vex_id *id)
{
    memset(row, 0, sizeof *row);
    row->id_kind = (uint8_t)id->kind;
    if (id->kind == VEX_ID_NUM)
        row->id[0] = id->num;
    else if (id->kind == VEX_ID_UUID)
        memcpy(row->id, id->uuid, 16);
    else {
        CU_ASSERT_FATAL(vex_heap_put(heap, id->text, &row->id[0]) == 0);
        row->id[1] = id->text.len;
    }
}

static void publish_num(uint64_t num)
{
    uint32_t slot;
    struct vex_row row = {.id = {num, 0}, .id_kind = VEX_ID_NUM, .version = num};

    CU_ASSERT_FATAL(vex_rows_take(rows, 1, &slot) == 0);
    CU_ASSERT_FATAL(vex_rows_reserve(rows, slot + 1, 1) == 0);
    (void)vex_rows_publish(rows, slot, &row);
}

static void delete_num(uint64_t num)
{
    struct vex_id id = vex_id_num(num);
    uint32_t slot = vex_rows_find(rows, &id);
    CU_ASSERT_FATAL(slot != VEX_SLOT_NONE);
    vex_rows_delete(rows, slot);
}

/* Opens what is left when a byte of a file has decayed, on a copy of the disk. */
static struct vex_sim *sound;

static int open_damaged(const char *path, uint64_t at, unsigned char bits)
{
    sound = sim;
    sim = vex_sim_clone(sound);
    io = vex_sim_io(sim);
    CU_ASSERT_EQUAL_FATAL(vex_sim_flip(sim, path, at, bits), 0);
    return open_store();
}

static void close_damaged(void)
{
    close_store();
    vex_sim_free(sim);
    sim = sound;
    io = vex_sim_io(sim);
}

/* ---- cases ---- */

static void test_empty(void)
{
    struct vex_rows_walk walk;
    struct vex_id id = vex_id_num(1);
    struct vex_file *file;

    begin();
    CU_ASSERT_EQUAL(vex_rows_live_count(rows), 0);
    CU_ASSERT_EQUAL(vex_rows_find(rows, &id), VEX_SLOT_NONE);
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_ID, NULL, &walk), 0);
    CU_ASSERT_EQUAL(vex_rows_walk_next(&walk), VEX_SLOT_NONE);
    CU_ASSERT_EQUAL(vex_rows_live(rows)[0], 0);
    CU_ASSERT_PTR_NULL(vex_rows_present(rows, 0));
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    CU_ASSERT_EQUAL(vex_io_open(io, DIR "/rows.tbl", 0, &file), -2);
    CU_ASSERT_EQUAL(checkpoint(0), 0);
    close_store();
    CU_ASSERT_EQUAL_FATAL(open_store(), 0);
    publish_num(3);
    CU_ASSERT_EQUAL(checkpoint(1), 0);
    close_store();
    CU_ASSERT_EQUAL_FATAL(open_store(), 0);
    CU_ASSERT_EQUAL(vex_rows_live_count(rows), 1);
    end();
}

static void test_slots(void)
{
    uint32_t slots[300];

    begin();
    for (uint64_t i = 0; i < 200; i++)
        publish_num(i);
    for (uint64_t i = 10; i < 20; i++)
        delete_num(i);
    CU_ASSERT_EQUAL(vex_rows_take(rows, 1, slots), 0);
    CU_ASSERT_EQUAL(slots[0], 200); /* the dead are not free before a checkpoint */
    vex_rows_untake(rows, 1, slots);
    CU_ASSERT_EQUAL(checkpoint(1), 0);
    CU_ASSERT_EQUAL(vex_rows_take(rows, 3, slots), 0);
    CU_ASSERT(slots[0] == 10 && slots[1] == 11 && slots[2] == 12);
    CU_ASSERT_EQUAL(vex_rows_take(rows, 70, slots + 3), 0); /* seven are free: a run at the end */
    CU_ASSERT(slots[3] == 200 && slots[72] == 269);
    vex_rows_untake(rows, 73, slots);
    CU_ASSERT_EQUAL(vex_rows_take(rows, 12, slots), 0);
    CU_ASSERT(slots[0] == 10 && slots[9] == 19 && slots[10] == 200 && slots[11] == 201);
    vex_rows_untake(rows, 12, slots);
    for (uint64_t i = 60; i < 160; i++)
        delete_num(i);
    CU_ASSERT_EQUAL(checkpoint(2), 0);
    CU_ASSERT_EQUAL(vex_rows_take(rows, 80, slots), 0); /* a run of free ones behind the first ten */
    CU_ASSERT(slots[0] == 60 && slots[79] == 139);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    CU_ASSERT_EQUAL(vex_rows_take(rows, UINT32_MAX, NULL), VEX_ETOO_LARGE);
    end();
}

static void test_birth(void)
{
    struct vex_rows_walk walk;
    uint32_t slot;

    begin();
    for (uint64_t i = 0; i < 5; i++)
        publish_num(100 - i);
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_BIRTH, NULL, &walk), 0);
    publish_num(99); /* a new version keeps its place */
    delete_num(98);
    publish_num(98); /* a new point does not */
    static const uint64_t want[] = {100, 99, 97, 96, 98};
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_BIRTH, NULL, &walk), 0);
    for (int i = 0; i < 5; i++) {
        slot = vex_rows_walk_next(&walk);
        CU_ASSERT_FATAL(slot != VEX_SLOT_NONE);
        CU_ASSERT_EQUAL(vex_rows_at(rows, slot)->id[0], want[i]);
    }
    CU_ASSERT_EQUAL(vex_rows_walk_next(&walk), VEX_SLOT_NONE);
    struct vex_id from = vex_id_num(98);
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_ID, &from, &walk), 0);
    CU_ASSERT_EQUAL(vex_rows_at(rows, vex_rows_walk_next(&walk))->id[0], 98);
    CU_ASSERT_EQUAL(vex_rows_walk_back(rows, VEX_ORDER_ID, &from, &walk), 0);
    CU_ASSERT_EQUAL(vex_rows_at(rows, vex_rows_walk_next(&walk))->id[0], 98);
    CU_ASSERT_EQUAL(vex_rows_at(rows, vex_rows_walk_next(&walk))->id[0], 97);
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_BIRTH, &from, &walk), VEX_EINTERNAL);
    end();
}

/* A slot of a dead point that was in an order comes back as another point: the order must not show it where
 * it was. */
static void test_order_and_reuse(void)
{
    struct vex_rows_walk walk;

    begin();
    for (uint64_t i = 0; i < 100; i++)
        publish_num(i * 10);
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_ID, NULL, &walk), 0);
    delete_num(500);
    CU_ASSERT_EQUAL(checkpoint(1), 0);
    publish_num(5);
    struct vex_id id = vex_id_num(5);
    CU_ASSERT_EQUAL(vex_rows_find(rows, &id), 50);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    end();
}

/* ---- model ---- */

#define POINTS 900

struct point {
    bool live;
    uint64_t version, birth, vectors;
    uint32_t blob_seed, blob_len;
};

static struct point model[POINTS], saved[POINTS];
static uint64_t births, saved_births, version;

static struct vex_str blob_of(const struct point *point, char *buf)
{
    for (uint32_t i = 0; i < point->blob_len; i++)
        buf[i] = (char)(point->blob_seed * 31 + i);
    return vex_str(buf, point->blob_len);
}

static void drop_blobs(uint32_t slot, bool text_too)
{
    const struct vex_row *row = vex_rows_at(rows, slot);
    if (row->blob != 0)
        vex_heap_free(heap, row->blob, row->blob_len);
    if (text_too && row->id_kind == VEX_ID_TEXT)
        vex_heap_free(heap, row->id[0], (uint32_t)row->id[1]);
}

static void upsert(uint32_t count)
{
    uint32_t *slots = malloc(count * sizeof *slots);
    struct vex_row *batch = malloc(count * sizeof *batch);
    char text[64], blob[4096];
    uint32_t top = 0;

    CU_ASSERT_FATAL(vex_rows_take(rows, count, slots) == 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t p = (uint32_t)roll(POINTS);
        struct vex_id id = make_id(p, text);
        struct point *point = &model[p];
        fill_row(&batch[i], &id);
        if (!point->live)
            point->birth = ++births;
        point->live = true;
        point->version = ++version;
        point->vectors = roll(8) == 0 ? roll(UINT64_MAX) : roll(4);
        point->blob_seed = (uint32_t)version;
        point->blob_len = (uint32_t)(roll(4) == 0 ? roll(4000) : roll(60));
        batch[i].version = point->version;
        batch[i].vectors = point->vectors;
        batch[i].blob_len = point->blob_len;
        CU_ASSERT_FATAL(vex_heap_put(heap, blob_of(point, blob), &batch[i].blob) == 0);
        top = slots[i] >= top ? slots[i] + 1 : top;
    }
    CU_ASSERT_FATAL(vex_heap_flush(heap) == 0);
    CU_ASSERT_FATAL(vex_heap_remap(heap) == 0);
    CU_ASSERT_FATAL(vex_rows_reserve(rows, top, count) == 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t older = vex_rows_publish(rows, slots[i], &batch[i]);
        if (older != VEX_SLOT_NONE)
            drop_blobs(older, true);
    }
    free(slots);
    free(batch);
}

static void change_one(bool delete)
{
    uint32_t p = (uint32_t)roll(POINTS);
    char text[64], blob[4096];
    struct vex_id id = make_id(p, text);
    uint32_t slot = vex_rows_find(rows, &id);

    CU_ASSERT_EQUAL_FATAL(slot != VEX_SLOT_NONE, model[p].live);
    if (slot == VEX_SLOT_NONE)
        return;
    drop_blobs(slot, delete);
    if (delete) {
        vex_rows_delete(rows, slot);
        model[p].live = false;
        return;
    }
    struct vex_row row = *vex_rows_at(rows, slot);
    model[p].blob_seed = (uint32_t)++version;
    model[p].blob_len = (uint32_t)roll(200);
    model[p].vectors = roll(16);
    row.version = model[p].version = version;
    row.vectors = model[p].vectors;
    row.blob_len = model[p].blob_len;
    CU_ASSERT_FATAL(vex_heap_put(heap, blob_of(&model[p], blob), &row.blob) == 0);
    CU_ASSERT_FATAL(vex_heap_flush(heap) == 0 && vex_heap_remap(heap) == 0);
    vex_rows_update(rows, slot, &row);
}

static bool agrees(uint32_t p)
{
    char text[64], blob[4096];
    struct vex_id id = make_id(p, text);
    uint32_t slot = vex_rows_find(rows, &id);
    const struct point *point = &model[p];

    if ((slot != VEX_SLOT_NONE) != point->live)
        return false;
    if (slot == VEX_SLOT_NONE)
        return true;
    const struct vex_row *row = vex_rows_at(rows, slot);
    struct vex_id back = vex_rows_id(rows, slot);
    struct vex_str bytes = vex_heap_get(heap, row->blob, row->blob_len);
    return vex_id_eq(&id, &back) && row->version == point->version && row->birth == point->birth &&
           row->vectors == point->vectors && bytes.ptr != NULL && vex_str_eq(bytes, blob_of(point, blob));
}

static bool model_agrees(void)
{
    uint64_t live = 0;
    for (uint32_t p = 0; p < POINTS; p++) {
        live += model[p].live;
        if (!agrees(p))
            return false;
    }
    return live == vex_rows_live_count(rows);
}

/* Both directions from a random id meet in it, and are what the other gives reversed. */
static bool walks_agree(enum vex_rows_order order)
{
    static uint32_t up[POINTS], down[POINTS];
    struct vex_rows_walk walk;
    uint32_t n = 0, m = 0, slot;
    char text[64];

    if (vex_rows_walk(rows, order, NULL, &walk) != 0)
        return false;
    while ((slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE && n < POINTS)
        up[n++] = slot;
    if (vex_rows_walk_back(rows, order, NULL, &walk) != 0)
        return false;
    while ((slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE && m < POINTS)
        down[m++] = slot;
    if (n != m || n != vex_rows_live_count(rows))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (up[i] != down[n - 1 - i])
            return false;
    if (order != VEX_ORDER_ID)
        return true;
    struct vex_id from = make_id((uint32_t)roll(POINTS), text);
    uint32_t at = 0;
    for (; at < n; at++) {
        struct vex_id id = vex_rows_id(rows, up[at]);
        if (vex_id_cmp(&id, &from) >= 0)
            break;
    }
    if (vex_rows_walk(rows, order, &from, &walk) != 0)
        return false;
    return vex_rows_walk_next(&walk) == (at < n ? up[at] : VEX_SLOT_NONE);
}

static void test_model(void)
{
    begin();
    memset(model, 0, sizeof model);
    memset(saved, 0, sizeof saved);
    births = saved_births = version = 0;
    for (int step = 0; step < 1500; step++) {
        uint64_t what = roll(100);
        if (what < 35) {
            upsert((uint32_t)(roll(10) == 0 ? 1 + roll(200) : 1 + roll(8)));
        } else if (what < 85) {
            change_one(what < 60);
        } else if (what < 92) {
            CU_ASSERT_FATAL(walks_agree(roll(2) ? VEX_ORDER_ID : VEX_ORDER_BIRTH));
        } else if (what < 96) {
            CU_ASSERT_EQUAL_FATAL(checkpoint(version), 0);
            memcpy(saved, model, sizeof model);
            saved_births = births;
        } else if (what < 98) {
            close_store();
            CU_ASSERT_EQUAL_FATAL(open_store(), 0);
            memcpy(model, saved, sizeof model);
            births = saved_births;
            CU_ASSERT_FATAL(model_agrees());
        } else {
            CU_ASSERT_FATAL(model_agrees());
            CU_ASSERT_EQUAL_FATAL(vex_rows_check(rows, &err), 0);
        }
    }
    CU_ASSERT(model_agrees());
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    end();
}

/* Flips bytes all over a file of a finished checkpoint. A damaged row table or heap id is refused, a damaged
 * map is rebuilt; what opens holds the right points. */
static void sweep(const char *path, bool derived)
{
    struct vex_file *file;
    CU_ASSERT_EQUAL_FATAL(vex_io_open(io, path, 0, &file), 0);
    uint64_t size = (uint64_t)vex_io_size(io, file), refused = 0;
    vex_io_close(io, file);

    for (uint64_t at = 0; at < size; at += 1 + roll(size / 300)) {
        int r = open_damaged(path, at, 0x10);
        CU_ASSERT(r == 0 || r == VEX_ECORRUPT);
        refused += r != 0;
        if (r == 0) {
            CU_ASSERT_FATAL(model_agrees());
            CU_ASSERT_EQUAL_FATAL(vex_rows_check(rows, &err), 0);
        }
        close_damaged();
    }
    CU_ASSERT_EQUAL(refused == 0, derived);
}

static void test_damage(void)
{
    begin();
    memset(model, 0, sizeof model);
    births = version = 0;
    upsert(600);
    for (int i = 0; i < 50; i++)
        change_one(true);
    CU_ASSERT_EQUAL(checkpoint(1), 0);
    close_store();
    sweep(DIR "/rows.tbl", false);
    sweep(DIR "/ids.tbl", true);
    sweep(DIR "/manifest", false);
    CU_ASSERT_EQUAL(io->ops->unlink(io, DIR "/ids.tbl"), 0);
    CU_ASSERT_EQUAL_FATAL(open_store(), 0);
    CU_ASSERT(model_agrees());
    CU_ASSERT_EQUAL(checkpoint(2), 0);
    close_store();
    CU_ASSERT_EQUAL_FATAL(open_store(), 0);
    CU_ASSERT(model_agrees());
    close_store();
    CU_ASSERT_EQUAL(io->ops->unlink(io, DIR "/rows.tbl"), 0);
    CU_ASSERT_EQUAL(open_store(), VEX_ECORRUPT);
    end();
}

static atomic_bool go;
static atomic_int lost;

static void *find_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&go))
        ;
    for (uint64_t n = 1; n <= 5000; n++) {
        struct vex_id id = {.kind = VEX_ID_NUM, .num = n};
        uint32_t slot = vex_rows_find(rows, &id);
        if (slot == VEX_SLOT_NONE || vex_rows_at(rows, slot)->id[0] != n)
            atomic_fetch_add(&lost, 1);
    }
    return NULL;
}

/* The map is verified by whoever needs it first: many at once, of a sound file, of one damaged since it was opened. */
static void test_first_lookups(void)
{
    pthread_t threads[4];

    begin();
    for (uint64_t n = 1; n <= 5000; n++)
        publish_num(n);
    CU_ASSERT_EQUAL_FATAL(checkpoint(1), 0);
    for (int damaged = 0; damaged < 2; damaged++) {
        close_store();
        CU_ASSERT_EQUAL_FATAL(open_store(), 0);
        CU_ASSERT_EQUAL_FATAL(damaged ? vex_sim_flip(sim, DIR "/ids.tbl", 4096 + 80, 0xff) : 0, 0);
        go = false;
        lost = 0;
        for (int i = 0; i < 4; i++)
            CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, find_all, NULL) == 0);
        go = true;
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(lost, 0);
        CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    }
    /* What was rebuilt is what the next checkpoint writes. */
    publish_num(5001);
    CU_ASSERT_EQUAL_FATAL(checkpoint(2), 0);
    close_store();
    CU_ASSERT_EQUAL_FATAL(open_store(), 0);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    end();
}

/* Ids in the heap: a flipped byte of one is refused at opening, never a point under another name. */
static void test_damaged_text(void)
{
    begin();
    memset(model, 0, sizeof model);
    struct vex_row row;
    struct vex_id id = {.kind = VEX_ID_TEXT, .text = VEX_STR("the-name-of-a-point")};
    uint32_t slot;
    fill_row(&row, &id);
    CU_ASSERT(vex_heap_flush(heap) == 0 && vex_heap_remap(heap) == 0);
    CU_ASSERT(vex_rows_take(rows, 1, &slot) == 0 && vex_rows_reserve(rows, 1, 1) == 0);
    (void)vex_rows_publish(rows, slot, &row);
    CU_ASSERT_EQUAL(checkpoint(1), 0);
    close_store();
    for (uint64_t at = row.id[0]; at < row.id[0] + 8 + id.text.len; at++) {
        CU_ASSERT_EQUAL(open_damaged(DIR "/payload.heap", at, 1), VEX_ECORRUPT);
        close_damaged();
    }
    CU_ASSERT_EQUAL(open_store(), 0);
    end();
}

/* Many points: growth of the map, orders over a long main part and a tail. */
static void test_many(void)
{
    enum { COUNT = 30000 };
    struct vex_rows_walk walk;
    uint32_t *slots = malloc(COUNT * sizeof *slots), slot;
    uint64_t last = 0, n = 0;

    begin();
    CU_ASSERT_FATAL(vex_rows_take(rows, COUNT, slots) == 0 && vex_rows_reserve(rows, COUNT, COUNT) == 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct vex_row row = {.id = {i * UINT64_C(0x9e3779b97f4a7c15), 0}, .vectors = 1};
        CU_ASSERT_FATAL(vex_rows_publish(rows, slots[i], &row) == VEX_SLOT_NONE);
    }
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_ID, NULL, &walk), 0);
    for (uint32_t i = 0; i < 4000; i++)
        publish_num(roll(UINT64_MAX));
    CU_ASSERT_EQUAL(vex_rows_walk(rows, VEX_ORDER_ID, NULL, &walk), 0);
    for (; (slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE; n++) {
        CU_ASSERT_FATAL(n == 0 || vex_rows_at(rows, slot)->id[0] > last);
        last = vex_rows_at(rows, slot)->id[0];
    }
    CU_ASSERT_EQUAL(n, vex_rows_live_count(rows));
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    CU_ASSERT_EQUAL(checkpoint(1), 0);
    close_store();
    CU_ASSERT_EQUAL_FATAL(open_store(), 0);
    CU_ASSERT_EQUAL(vex_rows_live_count(rows), n);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    end();
    free(slots);
}

/* Opened by several threads: bits, counts and groups are the same; of two damaged pages the first is named. */
static void test_pieces(void)
{
    enum { COUNT = 70000, GROUPS = 5 };
    uint32_t *slots = malloc(COUNT * sizeof *slots);
    uint16_t *groups = malloc(COUNT * sizeof *groups);
    uint64_t present[3] = {0};

    begin();
    for (uint32_t i = 0; i < COUNT; i++)
        groups[i] = (uint16_t)(i / 1000 % GROUPS);
    CU_ASSERT_FATAL(vex_rows_take_grouped(rows, COUNT, groups, slots) == 0 &&
                    vex_rows_reserve(rows, COUNT + COUNT / 4, COUNT) == 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct vex_row row = {.id = {i + 1, 0},
                              .vectors = i % 7 == 0    ? 5
                                         : i % 11 == 0 ? 0
                                                       : 1,
                              .group = groups[i]};
        CU_ASSERT_FATAL(vex_rows_publish(rows, slots[i], &row) == VEX_SLOT_NONE);
    }
    for (uint32_t i = 0; i < COUNT; i += 13)
        vex_rows_delete(rows, slots[i]);
    for (uint32_t i = 0; i < 3; i++)
        present[i] = vex_rows_present_count(rows, i);
    CU_ASSERT_EQUAL(checkpoint(1), 0);
    pool = vex_pool_new(3, 16, "rows");
    for (int round = 0; round < 3; round++) {
        close_store();
        CU_ASSERT_EQUAL_FATAL(open_store(), 0);
        CU_ASSERT_EQUAL(vex_rows_live_count(rows), COUNT - (COUNT + 12) / 13);
        for (uint32_t i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(vex_rows_present_count(rows, i), present[i]);
        CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    }
    close_store();
    CU_ASSERT_EQUAL_FATAL(vex_sim_flip(sim, DIR "/rows.tbl", 600 * VEX_PAGE + 8, 1), 0);
    CU_ASSERT_EQUAL(open_damaged(DIR "/rows.tbl", 1030 * VEX_PAGE + 8, 1), VEX_ECORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "page 600 "));
    close_damaged();
    CU_ASSERT_EQUAL(open_store(), VEX_ECORRUPT);
    end();
    vex_pool_free(pool);
    pool = NULL;
    free(slots);
    free(groups);
}

/* ---- readers beside the writer ---- */

static pthread_rwlock_t lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_bool stop;
static atomic_uint wrong, walks;

/* One look under the shared lock: an order, and every payload in it. */
static void look(enum vex_rows_order order)
{
    struct vex_rows_walk walk;
    uint64_t n = 0, births_seen = 0;

    if (vex_rows_walk(rows, order, NULL, &walk) != 0)
        wrong++;
    for (uint32_t slot; (slot = vex_rows_walk_next(&walk)) != VEX_SLOT_NONE; n++) {
        const struct vex_row *row = vex_rows_at(rows, slot);
        wrong += vex_heap_get(heap, row->blob, row->blob_len).ptr == NULL;
        wrong += order == VEX_ORDER_BIRTH && row->birth <= births_seen;
        births_seen = row->birth;
    }
    wrong += n != vex_rows_live_count(rows);
    walks++;
}

static void *reader(void *arg)
{
    while (!stop) {
        pthread_rwlock_rdlock(&lock);
        look(arg == NULL ? VEX_ORDER_ID : VEX_ORDER_BIRTH);
        pthread_rwlock_unlock(&lock);
    }
    return NULL;
}

/* A batch as the engine applies it: everything but publishing happens beside the readers. */
static void apply_batch(uint32_t count)
{
    struct vex_row batch[32];
    uint32_t slots[32], top = 0;
    char blob[256];

    CU_ASSERT_FATAL(vex_rows_take(rows, count, slots) == 0);
    for (uint32_t i = 0; i < count; i++) {
        memset(blob, (int)roll(256), sizeof blob);
        batch[i] = (struct vex_row){.id = {roll(POINTS), 0}, .blob_len = (uint32_t)roll(sizeof blob)};
        CU_ASSERT_FATAL(vex_heap_put(heap, vex_str(blob, batch[i].blob_len), &batch[i].blob) == 0);
        top = slots[i] >= top ? slots[i] + 1 : top;
    }
    CU_ASSERT_FATAL(vex_heap_flush(heap) == 0);
    pthread_rwlock_wrlock(&lock);
    CU_ASSERT_FATAL(vex_heap_remap(heap) == 0 && vex_rows_reserve(rows, top, count) == 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t older = vex_rows_publish(rows, slots[i], &batch[i]);
        if (older != VEX_SLOT_NONE)
            drop_blobs(older, false);
    }
    pthread_rwlock_unlock(&lock);
}

static void test_readers(void)
{
    pthread_t threads[3];

    begin();
    stop = false;
    wrong = walks = 0;
    for (int i = 0; i < 3; i++)
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, reader, i == 2 ? &lock : NULL) == 0);
    for (int round = 0; round < 300 || walks < 300; round++) {
        apply_batch((uint32_t)(1 + roll(32)));
        if (round % 20 != 0)
            continue;
        pthread_rwlock_wrlock(&lock);
        CU_ASSERT_EQUAL(checkpoint((uint64_t)round), 0);
        pthread_rwlock_unlock(&lock);
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(vex_rows_check(rows, &err), 0);
    end();
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("rows", NULL, NULL);
    CU_ADD_TEST(suite, test_empty);
    CU_ADD_TEST(suite, test_slots);
    CU_ADD_TEST(suite, test_birth);
    CU_ADD_TEST(suite, test_order_and_reuse);
    CU_ADD_TEST(suite, test_model);
    CU_ADD_TEST(suite, test_damage);
    CU_ADD_TEST(suite, test_first_lookups);
    CU_ADD_TEST(suite, test_damaged_text);
    CU_ADD_TEST(suite, test_many);
    CU_ADD_TEST(suite, test_pieces);
    CU_ADD_TEST(suite, test_readers);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
