/* What the value stores are made of: sets of slots against plain bitmaps, dictionary and postings against arrays, sorted runs through
 * their merges; churn that must not grow, and damaged files. */
#include "engine/index/dictionary.h"
#include "engine/index/runs.h"
#include "filter_index_kit.h"

#define UNIVERSE 200000u
#define WORDS    ((UNIVERSE + 63) / 64)

static bool has(const uint64_t *bits, uint32_t slot)
{
    return (bits[slot / 64] >> slot % 64 & 1) != 0;
}

static void put(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] |= UINT64_C(1) << slot % 64;
}

static uint64_t *new_bits(void)
{
    return vex_mem_zalloc(WORDS * sizeof(uint64_t));
}

/* ---- slots ---- */

static int collect(void *arg, uint32_t slot)
{
    put(arg, slot);
    return 0;
}

static void check_slots(const struct vex_slots *set, const uint64_t *truth, const uint64_t *others)
{
    static const uint32_t limits[] = {UNIVERSE, 0, 1, 63, 64, 65536, 65537, 131071, 199999};
    uint64_t *bits = new_bits(), count = 0;

    vex_slots_each(set, collect, bits);
    CU_ASSERT(memcmp(bits, truth, WORDS * sizeof *bits) == 0);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t in = 0;
        bool good = true;
        memset(bits, 0, WORDS * sizeof *bits);
        vex_slots_or_into(set, bits, limits[i]);
        for (uint32_t slot = 0; slot < UNIVERSE; slot++) {
            good = good && has(bits, slot) == (slot < limits[i] && has(truth, slot));
            in += slot < limits[i] && has(truth, slot) && has(others, slot);
        }
        CU_ASSERT(good && vex_slots_count_in(set, others, limits[i]) == in);
        memset(bits, 0xff, WORDS * sizeof *bits);
        vex_slots_andnot_from(set, bits, UNIVERSE);
        for (uint32_t slot = 0; slot < UNIVERSE; slot++)
            good = good && has(bits, slot) == !has(truth, slot);
        CU_ASSERT(good);
    }
    for (uint32_t slot = 0; slot < UNIVERSE; slot++)
        count += has(truth, slot);
    CU_ASSERT(vex_slots_count(set) == count);
    vex_mem_free(bits);
}

/* Densities that make arrays, bitsets and both. */
static void test_slots(void)
{
    static const uint32_t parts[] = {3, 1000, 50000};

    for (size_t p = 0; p < 3; p++) {
        uint64_t *truth = new_bits(), *others = new_bits();
        struct vex_slots *set = vex_slots_new(), *loaded;
        struct vex_buf out;
        struct vex_cursor c;

        for (uint32_t i = 0; i < UNIVERSE / (p == 0 ? 2 : parts[p] / 10); i++) {
            uint32_t slot = kit_below(UNIVERSE), other = kit_below(UNIVERSE);
            vex_slots_add(set, slot);
            put(truth, slot);
            put(others, other);
        }
        check_slots(set, truth, others);
        vex_slots_forget(set, others, UNIVERSE / 2 + 13);
        for (uint32_t slot = 0; slot < UNIVERSE / 2 + 13; slot++)
            if (has(others, slot))
                truth[slot / 64] &= ~(UINT64_C(1) << slot % 64);
        check_slots(set, truth, others);
        vex_buf_init(&out, NULL);
        vex_slots_save(set, &out);
        c = vex_cursor(out.ptr, out.len);
        loaded = vex_slots_load(&c);
        CU_ASSERT_FATAL(loaded != NULL);
        check_slots(loaded, truth, others);
        vex_slots_free(loaded);
        vex_slots_free(set);
        vex_buf_done(&out);
        vex_mem_free(truth);
        vex_mem_free(others);
    }
}

/* What CRoaring itself would take: arrays out of order, a bitset that is not as full as it says. */
static void test_slots_damage(void)
{
    struct vex_slots *set = vex_slots_new();
    struct vex_buf out;

    for (uint32_t i = 0; i < 70000; i++)
        vex_slots_add(set, i < 65536 ? i / 2 * 2 : i);
    vex_buf_init(&out, NULL);
    vex_slots_save(set, &out);
    for (int i = 0; i < 3000; i++) {
        size_t at = kit_below(4) == 0 ? kit_below(64) : kit_below((uint32_t)out.len);
        char was = out.ptr[at];
        struct vex_cursor c =
            vex_cursor(out.ptr, kit_below(16) == 0 ? kit_below((uint32_t)out.len) : out.len);
        struct vex_slots *loaded;
        out.ptr[at] = (char)(was ^ 1 << kit_below(8));
        loaded = vex_slots_load(&c);
        if (loaded != NULL) { /* an array may have become another one */
            CU_ASSERT(at > 8 && vex_slots_count(loaded) == vex_slots_count(set));
            vex_slots_free(loaded);
        }
        out.ptr[at] = was;
    }
    vex_slots_free(set);
    vex_buf_done(&out);
}

/* ---- dictionary ---- */

#define KEYS 4000u

static struct vex_str key_text(uint32_t i, char *buf)
{
    int len = snprintf(buf, 600, "key-%u%s", i, i % 97 == 0 ? kit_long : i % 3 == 0 ? "-x" : "");

    return i == 0 ? VEX_STR("") : vex_str(buf, (size_t)len);
}

struct known {
    uint32_t id[KEYS];
    uint32_t count;
};

static int see_term(void *arg, uint32_t id, struct vex_str key)
{
    struct known *known = arg;
    char buf[600];

    for (uint32_t i = 0; i < KEYS; i++)
        if (known->id[i] == id) {
            CU_ASSERT(vex_str_eq(key, key_text(i, buf)));
            known->count++;
            return 0;
        }
    CU_FAIL("a term that was never put");
    return 1;
}

static void find_all(const struct vex_dict *dict, const struct known *known)
{
    char *bufs = vex_mem_alloc(KEYS * 600);
    struct vex_str *keys = vex_mem_alloc(KEYS * sizeof *keys);
    uint32_t *ids = vex_mem_alloc(KEYS * sizeof *ids);

    for (uint32_t i = 0; i < KEYS; i++)
        keys[i] = key_text(i, bufs + i * 600u);
    vex_dict_find_all(dict, keys, KEYS, ids);
    CU_ASSERT(memcmp(ids, known->id, KEYS * sizeof *ids) == 0);
    vex_mem_free(ids);
    vex_mem_free(keys);
    vex_mem_free(bufs);
}

static void check_dict(const struct vex_dict *dict, struct known *known)
{
    uint32_t count = 0;
    char buf[600];

    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t id = vex_dict_find(dict, key_text(i, buf));
        CU_ASSERT(id == known->id[i]);
        if (id == VEX_TERM_NONE)
            continue;
        count++;
        CU_ASSERT(vex_str_eq(vex_dict_key(dict, id), key_text(i, buf)));
    }
    CU_ASSERT(vex_dict_count(dict) == count);
    find_all(dict, known);
    known->count = 0;
    vex_dict_each(dict, see_term, known);
    CU_ASSERT(known->count == count);
}

static void test_dictionary(void)
{
    static struct known known;
    struct vex_dict dict, loaded;
    struct vex_buf out;
    struct vex_cursor c;
    struct vex_err err;
    char buf[600];

    vex_dict_init(&dict);
    for (uint32_t i = 0; i < KEYS; i++)
        known.id[i] = VEX_TERM_NONE;
    for (int round = 0; round < 4; round++) {
        for (int n = 0; n < 6000; n++) {
            uint32_t i = kit_below(KEYS), id;
            if (known.id[i] != VEX_TERM_NONE && kit_below(2) == 0) {
                vex_dict_drop(&dict, known.id[i]);
                known.id[i] = VEX_TERM_NONE;
                continue;
            }
            id = vex_dict_put(&dict, key_text(i, buf));
            CU_ASSERT(known.id[i] == VEX_TERM_NONE || known.id[i] == id);
            known.id[i] = id;
        }
        check_dict(&dict, &known);
    }
    CU_ASSERT(dict.end <= KEYS);
    vex_buf_init(&out, NULL);
    vex_dict_save(&dict, &out);
    vex_dict_init(&loaded);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT(vex_dict_load(&loaded, &c, &err) == 0);
    check_dict(&loaded, &known);
    vex_dict_done(&loaded);
    vex_dict_done(&dict);
    vex_buf_done(&out);
}

/* ---- postings ---- */

#define TERMS 40u

static void never(void *arg, uint32_t id)
{
    ((uint64_t *)arg)[id]++;
}

static void check_postings(const struct vex_postings *postings, uint64_t *const *truth,
                           const uint64_t *others)
{
    uint64_t *bits = new_bits();

    for (uint32_t id = 0; id < TERMS; id++) {
        uint64_t count = 0, in = 0;
        memset(bits, 0, WORDS * sizeof *bits);
        vex_postings_or_into(postings, id, bits, UNIVERSE);
        CU_ASSERT(memcmp(bits, truth[id], WORDS * sizeof *bits) == 0);
        memset(bits, 0, WORDS * sizeof *bits);
        vex_postings_each(postings, id, collect, bits);
        CU_ASSERT(memcmp(bits, truth[id], WORDS * sizeof *bits) == 0);
        for (uint32_t slot = 0; slot < UNIVERSE; slot++) {
            count += has(truth[id], slot);
            in += has(truth[id], slot) && has(others, slot);
        }
        CU_ASSERT(vex_postings_count(postings, id) == count);
        CU_ASSERT(vex_postings_empty(postings, id) == (count == 0));
        CU_ASSERT(vex_postings_count_in(postings, id, others, UNIVERSE) == in);
        CU_ASSERT(vex_postings_has(postings, id, 77) == has(truth[id], 77));
    }
    vex_mem_free(bits);
}

static void test_postings(void)
{
    uint64_t *truth[TERMS], *others = new_bits(), emptied[TERMS] = {0};
    struct vex_postings postings, loaded;
    struct vex_buf out;
    struct vex_cursor c;
    struct vex_err err;

    vex_postings_init(&postings);
    for (uint32_t id = 0; id < TERMS; id++)
        truth[id] = new_bits();
    for (uint32_t i = 0; i < WORDS; i++)
        others[i] = i < WORDS / 2 ? UINT64_MAX : kit_next();
    others[WORDS - 1] &= UINT64_MAX >> (64 * WORDS - UNIVERSE);
    for (int round = 0; round < 3; round++) {
        for (uint32_t id = 0; id < TERMS; id++) /* term n has about n^2 slots */
            for (uint32_t i = 0; i < id * id; i++) {
                uint32_t slot = kit_below(4) == 0 ? kit_below(500) : kit_below(UNIVERSE);
                CU_ASSERT(vex_postings_add(&postings, id, slot) == !has(truth[id], slot));
                put(truth[id], slot);
                slot = kit_below(kit_below(2) == 0 ? 500 : UNIVERSE);
                CU_ASSERT(vex_postings_remove(&postings, id, slot) == has(truth[id], slot));
                truth[id][slot / 64] &= ~(UINT64_C(1) << slot % 64);
            }
        check_postings(&postings, truth, others);
    }
    vex_buf_init(&out, NULL);
    vex_postings_save(&postings, &out);
    vex_postings_init(&loaded);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT(vex_postings_load(&loaded, &c, &err) == 0);
    check_postings(&loaded, truth, others);
    vex_postings_forget(&loaded, others, UNIVERSE, never, emptied);
    for (uint32_t id = 0; id < TERMS; id++) {
        bool was_empty = vex_postings_empty(&postings, id);
        for (uint32_t w = 0; w < WORDS; w++)
            truth[id][w] &= ~others[w];
        CU_ASSERT(emptied[id] == (!was_empty && vex_postings_empty(&loaded, id)));
    }
    check_postings(&loaded, truth, others);
    /* Slots too high to be inline. */
    CU_ASSERT(vex_postings_add(&postings, 7000, UINT32_MAX - 1) &&
              vex_postings_has(&postings, 7000, UINT32_MAX - 1));
    CU_ASSERT(vex_postings_remove(&postings, 7000, UINT32_MAX - 1) && vex_postings_empty(&postings, 7000));
    vex_postings_done(&loaded);
    vex_postings_done(&postings);
    for (uint32_t id = 0; id < TERMS; id++)
        vex_mem_free(truth[id]);
    vex_mem_free(others);
    vex_buf_done(&out);
}

/* ---- runs ---- */

#define PAIRS 150000u

/* Key of a slot, for runs whose keys come to fit `width` bytes; some are shared. */
static uint64_t key_for(uint32_t slot, unsigned width)
{
    if (width == 8)
        return slot * UINT64_C(0x9e3779b97f4a7c15);
    return UINT64_C(1000000000000) + (width == 4 ? slot % 5000 * 1000 : slot % (width == 2 ? 5000 : 250));
}

static void check_runs(const struct vex_runs *runs, const bool *in, unsigned width)
{
    uint64_t *bits = new_bits(), count = 0, lo = width == 8 ? UINT64_MAX / 3 : 1000000000100,
             hi = width == 8 ? UINT64_MAX / 2 : 1000000000200;
    bool good = true;

    for (int i = 0; i < VEX_RUNS_LEVELS; i++) {
        const struct vex_run *run = &runs->level[i];
        uint32_t first = vex_run_seek(run, 0, lo), end = vex_run_pass(run, first, hi);
        for (uint32_t at = 1; at < run->count; at++)
            good =
                good &&
                (vex_run_key(run, at - 1) < vex_run_key(run, at) ||
                 (vex_run_key(run, at - 1) == vex_run_key(run, at) && run->slots[at - 1] <= run->slots[at]));
        vex_run_set(run, first, end, bits, UNIVERSE);
        count += vex_run_live(run, first, end);
    }
    for (uint32_t slot = 0; slot < PAIRS; slot++) {
        bool inside = in[slot] && key_for(slot, width) >= lo && key_for(slot, width) <= hi;
        good = good && has(bits, slot) == inside;
        count -= inside;
    }
    CU_ASSERT(good && count == 0);
    vex_mem_free(bits);
}

static void load_runs(struct vex_runs *runs)
{
    struct vex_runs loaded;
    struct vex_buf out;
    struct vex_cursor c;
    struct vex_err err;

    vex_buf_init(&out, NULL);
    vex_runs_save(runs, &out);
    vex_runs_init(&loaded, 8);
    c = vex_cursor(out.ptr, out.len);
    CU_ASSERT(vex_runs_load(&loaded, &c, &err) == 0 && vex_cursor_left(&c) == 0);
    CU_ASSERT(vex_runs_count(&loaded) == vex_runs_count(runs));
    vex_runs_done(runs);
    *runs = loaded;
    vex_buf_done(&out);
}

static void test_runs(void)
{
    static bool in[PAIRS];
    uint64_t *bits = new_bits();

    for (unsigned mode = 0; mode < 8; mode++) {
        unsigned width = 1u << mode % 4;
        bool prepares = mode >= 4, published = false, merged = false;
        struct vex_runs runs;
        memset(in, 0, sizeof in);
        memset(bits, 0, WORDS * sizeof *bits);
        vex_runs_init(&runs, 8);
        for (uint32_t i = 0; i < 4 * PAIRS; i++) {
            uint32_t slot = kit_below(PAIRS);
            struct vex_run_key key = {key_for(slot, width), 0};
            if (!in[slot])
                vex_runs_add(&runs, key, slot);
            else
                CU_ASSERT(vex_runs_remove(&runs, key, slot));
            in[slot] = !in[slot];
            if (prepares && i % 5000 == 0 && vex_runs_prepare(&runs)) {
                check_runs(&runs, in, width);
                vex_runs_publish(&runs);
                published = true;
            }
            merged = merged || runs.level[0].count > 0;
            if (i % 40000 == 1)
                check_runs(&runs, in, width);
        }
        CU_ASSERT(merged && published == prepares);
        CU_ASSERT(runs.level[0].width == width);
        CU_ASSERT(!vex_runs_remove(&runs, (struct vex_run_key){12345, 0}, 3));
        for (uint32_t slot = 0; slot < PAIRS; slot += 3) {
            put(bits, slot);
            in[slot] = false;
        }
        vex_runs_forget(&runs, bits, PAIRS);
        check_runs(&runs, in, width);
        load_runs(&runs);
        check_runs(&runs, in, width);
        vex_runs_done(&runs);
    }
    vex_mem_free(bits);
}

/* ---- whole indexes ---- */

static void put_field(struct vex_buf *out, enum vex_index_type type, uint32_t i)
{
    char text[32];

    out->len = 0;
    vex_value_put_map(out, 1);
    vex_value_put_text(out, VEX_STR("f"));
    if (type == VEX_INDEX_KEYWORD)
        vex_value_put_text(out, vex_str(text, (size_t)snprintf(text, sizeof text, "value-%010u", i)));
    else if (type == VEX_INDEX_INTEGER)
        vex_value_put_int(out, i);
    else
        kit_put_geo(out);
}

/* Every value is replaced many times over: memory stays what it was. */
static void test_churn(void)
{
    static const enum vex_index_type types[] = {VEX_INDEX_KEYWORD, VEX_INDEX_KEYWORD, VEX_INDEX_INTEGER,
                                                VEX_INDEX_GEO};
    struct vex_buf payloads[2000];

    for (int t = 0; t < 4; t++) {
        struct vex_index_params params = {
            .field = VEX_STR("f"), .type = types[t], .prefix = t == 1, .range = true};
        struct vex_index *index;
        struct vex_err err;
        uint64_t early = 0;
        CU_ASSERT_FATAL(vex_index_new(&params, &index, &err) == 0);
        for (uint32_t i = 0; i < 100000; i++) {
            struct vex_buf *payload = &payloads[i % 2000];
            if (i < 2000)
                vex_buf_init(payload, NULL);
            else
                vex_index_remove(index, i % 2000, (struct vex_value){(uint8_t *)payload->ptr});
            put_field(payload, types[t], i);
            vex_index_add(index, i % 2000, (struct vex_value){(uint8_t *)payload->ptr});
            if (i == 20000)
                early = vex_index_bytes(index);
        }
        CU_ASSERT(vex_index_bytes(index) < 3 * early);
        for (uint32_t i = 0; i < 2000; i++) {
            vex_index_remove(index, i, (struct vex_value){(uint8_t *)payloads[i].ptr});
            vex_buf_done(&payloads[i]);
        }
        CU_ASSERT(vex_index_points(index) == 0);
        vex_index_free(index);
    }
}

#define PREFIXED 12000u

static void check_prefixes(const struct vex_index *index, const uint32_t *number)
{
    uint64_t *sure = new_bits(), *unsure = new_bits();

    for (int i = 0; i < 12; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "value-%010u", kit_below(100000));
        struct vex_cond cond = {.kind = VEX_COND_PREFIX, .text = vex_str(text, (size_t)(len - i % 5))};
        struct vex_index_estimate est = vex_index_estimate(index, &cond);
        uint64_t count = 0;
        bool good = true;
        memset(sure, 0, WORDS * sizeof *sure);
        vex_index_match(index, &cond, sure, unsure, UNIVERSE);
        for (uint32_t slot = 0; slot < PREFIXED; slot++) {
            char own[32];
            bool matches =
                number[slot] != UINT32_MAX &&
                vex_str_starts(vex_str(own, (size_t)snprintf(own, sizeof own, "value-%010u", number[slot])),
                               cond.text);
            count += matches;
            good = good && has(sure, slot) == matches;
        }
        CU_ASSERT(good && est.served && est.min <= count && count <= est.max);
    }
    vex_mem_free(sure);
    vex_mem_free(unsure);
}

/* Keys in order, through merges, terms that empty and come back, and files. */
static void test_prefix(void)
{
    static uint32_t number[PREFIXED];
    struct vex_index_params params = {.field = VEX_STR("f"), .type = VEX_INDEX_KEYWORD, .prefix = true};
    struct vex_buf payload, out;

    vex_buf_init(&payload, NULL);
    for (int prepares = 0; prepares < 2; prepares++) {
        struct vex_index *index, *loaded;
        struct vex_cursor c;
        struct vex_err err;
        uint32_t published = 0;

        memset(number, 0xff, sizeof number);
        CU_ASSERT_FATAL(vex_index_new(&params, &index, &err) == 0);
        for (uint32_t i = 0; i < 90000; i++) {
            uint32_t slot = kit_below(PREFIXED);
            if (number[slot] == UINT32_MAX) {
                number[slot] = kit_below(i % 3 == 0 ? 1000 : 100000);
                put_field(&payload, VEX_INDEX_KEYWORD, number[slot]);
                vex_index_add(index, slot, (struct vex_value){(uint8_t *)payload.ptr});
            } else {
                put_field(&payload, VEX_INDEX_KEYWORD, number[slot]);
                vex_index_remove(index, slot, (struct vex_value){(uint8_t *)payload.ptr});
                number[slot] = UINT32_MAX;
            }
            if (prepares && i % 500 == 0 && vex_index_prepare(index)) {
                vex_index_publish(index);
                published++;
            }
            if (i % 9000 == 0)
                check_prefixes(index, number);
        }
        CU_ASSERT(prepares ? published > 5 : published == 0);
        vex_buf_init(&out, NULL);
        vex_index_save(index, &out);
        CU_ASSERT_FATAL(vex_index_new(&params, &loaded, &err) == 0);
        c = vex_cursor(out.ptr, out.len);
        CU_ASSERT(vex_index_load(loaded, &c, &err) == 0);
        check_prefixes(loaded, number);
        vex_index_free(loaded);
        vex_index_free(index);
        vex_buf_done(&out);
    }
    vex_buf_done(&payload);
}

static int count_one(void *arg, uint32_t slot)
{
    (void)slot;
    ++*(uint64_t *)arg;
    return 0;
}

/* On fields of one plain value each nothing has to be read, and counts are exact. */
static void test_exact(void)
{
    static const enum vex_index_type types[] = {VEX_INDEX_KEYWORD, VEX_INDEX_INTEGER};
    int64_t five = 5;
    struct vex_str text = VEX_STR("value-0000000005");
    uint64_t *sure = new_bits(), *unsure = new_bits();

    for (int t = 0; t < 2; t++) {
        struct vex_index_params params = {
            .field = VEX_STR("f"), .type = types[t], .range = true, .lookup = true};
        struct vex_cond cond = {.kind = VEX_COND_ANY}, except = {.kind = VEX_COND_EXCEPT},
                        range = {.kind = VEX_COND_RANGE};
        struct vex_index_estimate est;
        struct vex_index *index;
        struct vex_err err;
        struct vex_buf payload;
        uint64_t each = 0;

        vex_buf_init(&payload, NULL);
        CU_ASSERT_FATAL(vex_index_new(&params, &index, &err) == 0);
        for (uint32_t i = 0; i < 20000; i++) {
            put_field(&payload, types[t], i % 1000);
            vex_index_add(index, i, (struct vex_value){(uint8_t *)payload.ptr});
        }
        cond.values = except.values = (struct vex_cond_values){
            .texts = &text, .text_count = t == 0, .ints = &five, .int_count = t == 1};
        est = vex_index_estimate(index, &cond);
        CU_ASSERT(est.served && est.min == 20 && est.max == 20);
        vex_index_each(index, &cond, count_one, &each);
        CU_ASSERT(each == 20);
        est = vex_index_estimate(index, &except);
        CU_ASSERT(est.served && est.min == 19980 && est.max == 19980);
        range.range = (struct vex_cond_range){.has_gte = true, .gte = 100, .has_lt = true, .lt = 900};
        est = vex_index_estimate(index, &range);
        CU_ASSERT(est.served && est.min == (t == 0 ? 0 : 16000) && est.max == est.min);
        memset(sure, 0, WORDS * sizeof *sure);
        vex_index_match(index, &except, sure, unsure, UNIVERSE);
        vex_index_match(index, &range, sure, unsure, UNIVERSE);
        for (uint32_t w = 0; w < WORDS; w++)
            CU_ASSERT(unsure[w] == 0);
        vex_index_free(index);
        vex_buf_done(&payload);
    }
    vex_mem_free(sure);
    vex_mem_free(unsure);
}

/* A saved index with bits turned or cut short: refused and as fresh, or loaded; never more. */
static void test_damage(void)
{
    static const enum vex_index_type types[] = {VEX_INDEX_KEYWORD,  VEX_INDEX_KEYWORD, VEX_INDEX_INTEGER,
                                                VEX_INDEX_FLOAT,    VEX_INDEX_GEO,     VEX_INDEX_BOOL,
                                                VEX_INDEX_DATETIME, VEX_INDEX_UUID};
    static const int favourites[] = {0, 0, 1, 3, 5, 4, 0, 0};
    uint64_t *bits = new_bits();

    for (int t = 0; t < 8; t++) {
        struct vex_index_params params = {
            .field = VEX_STR("f"), .type = types[t], .prefix = t == 1, .range = true};
        struct vex_index *index, *other;
        struct vex_err err;
        struct vex_buf payload, out;
        uint32_t refused = 0;

        vex_buf_init(&payload, NULL);
        vex_buf_init(&out, NULL);
        CU_ASSERT_FATAL(vex_index_new(&params, &index, &err) == 0);
        for (uint32_t slot = 0; slot < 300; slot++) {
            payload.len = 0;
            kit_put_payload(&payload, favourites[t], false);
            vex_index_add(index, slot, (struct vex_value){(uint8_t *)payload.ptr});
        }
        vex_index_save(index, &out);
        for (int i = 0; i < 2000; i++) {
            size_t at = kit_below((uint32_t)out.len),
                   len = kit_below(8) == 0 ? kit_below((uint32_t)out.len) : out.len;
            char was = out.ptr[at];
            struct vex_cursor c = vex_cursor(out.ptr, len);
            struct vex_cond cond = {.kind = VEX_COND_PREFIX};
            out.ptr[at] = (char)(kit_below(2) == 0 ? was ^ 1 << kit_below(8) : (int)kit_below(256));
            CU_ASSERT_FATAL(vex_index_new(&params, &other, &err) == 0);
            if (vex_index_load(other, &c, &err) != 0) {
                refused++;
                CU_ASSERT(err.code == VEX_ECORRUPT || err.code == VEX_ENO_MEMORY);
                CU_ASSERT(vex_index_points(other) == 0);
            } else if (vex_index_estimate(other, &cond).served) {
                vex_index_match(other, &cond, bits, bits, UNIVERSE);
            }
            vex_index_add(other, 1000, (struct vex_value){(uint8_t *)payload.ptr});
            vex_index_free(other);
            out.ptr[at] = was;
        }
        CU_ASSERT(refused > 200);
        vex_index_free(index);
        vex_buf_done(&payload);
        vex_buf_done(&out);
    }
    vex_mem_free(bits);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"slots", test_slots},
        {"damaged slots", test_slots_damage},
        {"dictionary", test_dictionary},
        {"postings", test_postings},
        {"runs", test_runs},
        {"churn", test_churn},
        {"exact", test_exact},
        {"damaged files", test_damage},
        {"prefix", test_prefix},
    };
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    suite = CU_add_suite("filter_index_parts", NULL, NULL);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        CU_add_test(suite, tests[i].name, tests[i].run);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
