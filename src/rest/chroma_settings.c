/* Bodies of the Chroma dialect: configurations of collections. */
#include "rest/chroma.h"

/* Parameters of the index of hosted Chroma. Taken, so that a configuration moves over; only the space is
 * used. */
static const char *const spann_keys[] = {
    "search_nprobe",
    "search_rng_factor",
    "search_rng_epsilon",
    "nreplica_count",
    "write_rng_factor",
    "write_rng_epsilon",
    "split_threshold",
    "num_samples_kmeans",
    "initial_lambda",
    "reassign_neighbor_count",
    "merge_threshold",
    "num_centers_to_merge_to",
    "write_nprobe",
    "ef_construction",
    "ef_search",
    "max_neighbors",
    "center_drift_threshold",
    "quantize",
};

static int read_space(struct vex_chroma_reader *reader, struct vex_json v, struct vex_chroma_settings *ret)
{
    struct vex_str text;
    int rc;

    if (vex_json_kind(v) == VEX_JSON_NULL)
        return 0;
    if ((rc = vex_chroma_read_text(reader, v, &text)) < 0)
        return rc;
    for (int i = 0; i < VEX_SPACE_COUNT; i++)
        if (vex_str_eq_c(text, vex_chroma_spaces[i])) {
            ret->has_space = true;
            ret->space = (enum vex_chroma_space)i;
            return 0;
        }
    return vex_chroma_misfit(
        reader, "unknown variant `" VEX_STR_FMT "`, expected one of `l2`, `cosine`, `ip`", VEX_STR_ARG(text));
}

static int unknown_field(struct vex_chroma_reader *reader, struct vex_str key, bool change)
{
    struct vex_buf known;

    vex_buf_init(&known, reader->arena);
    if (!change)
        vex_buf_printf(&known, "`space`");
    for (int i = 0; i < VEX_HNSW_COUNT; i++)
        if (!change || vex_hnsw_params[i].change)
            vex_buf_printf(&known, "%s`%s`", known.len > 0 ? ", " : "", vex_hnsw_params[i].key);
    return vex_chroma_misfit(reader, "unknown field `" VEX_STR_FMT "`, expected one of " VEX_STR_FMT,
                             VEX_STR_ARG(key), VEX_STR_ARG(vex_buf_str(&known)));
}

static int read_param(struct vex_chroma_reader *reader, struct vex_json v, int param,
                      struct vex_chroma_settings *ret)
{
    enum vex_json_kind kind = vex_json_kind(v);

    if (kind == VEX_JSON_NULL)
        return 0;
    if (vex_hnsw_params[param].whole) {
        uint64_t whole = 0;
        int rc = vex_chroma_read_u32(reader, v, &whole);
        if (rc < 0)
            return rc;
        ret->hnsw[param] = (double)whole;
    } else {
        if (!vex_json_is_number(v))
            return vex_chroma_misfit(reader, "invalid type: %s, expected f64", vex_json_kind_name(v));
        ret->hnsw[param] = vex_json_double(v);
    }
    ret->has[param] = true;
    return 0;
}

static int read_hnsw(struct vex_chroma_reader *reader, struct vex_json v, bool change,
                     struct vex_chroma_settings *ret)
{
    const char *outer = reader->at;

    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_chroma_misfit(reader, "invalid type: %s, expected a map", vex_json_kind_name(v));
    for (struct vex_json_iter it = vex_json_iter(v); vex_json_next(&it);) {
        int param = 0, rc;
        reader->at = vex_arena_printf(reader->arena, "%s." VEX_STR_FMT, outer, VEX_STR_ARG(it.key));
        while (param < VEX_HNSW_COUNT && !(vex_str_eq_c(it.key, vex_hnsw_params[param].key) &&
                                           (!change || vex_hnsw_params[param].change)))
            param++;
        if (param < VEX_HNSW_COUNT)
            rc = read_param(reader, it.value, param, ret);
        else if (!change && vex_str_eq_c(it.key, "space"))
            rc = read_space(reader, it.value, ret);
        else
            rc = unknown_field(reader, it.key, change);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_spann(struct vex_chroma_reader *reader, struct vex_json v, bool change,
                      struct vex_chroma_settings *ret)
{
    const char *outer = reader->at;
    int rc = 0;

    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_chroma_misfit(reader, "invalid type: %s, expected a map", vex_json_kind_name(v));
    for (struct vex_json_iter it = vex_json_iter(v); rc == 0 && vex_json_next(&it);) {
        size_t i = 0, known = sizeof spann_keys / sizeof *spann_keys;
        reader->at = vex_arena_printf(reader->arena, "%s." VEX_STR_FMT, outer, VEX_STR_ARG(it.key));
        while (i < known && !vex_str_eq_c(it.key, spann_keys[i]))
            i++;
        if (i < known)
            continue;
        if (!change && vex_str_eq_c(it.key, "space"))
            rc = read_space(reader, it.value, ret);
        else
            rc = vex_chroma_misfit(reader, "unknown field `" VEX_STR_FMT "`", VEX_STR_ARG(it.key));
    }
    return rc;
}

/* {"type": "legacy" | "unknown" | "known", ...}: opaque beyond that. */
static int read_function(struct vex_chroma_reader *reader, struct vex_json v, struct vex_chroma_settings *ret)
{
    struct vex_json type, name;

    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_chroma_misfit(reader, "invalid type: %s, expected a map", vex_json_kind_name(v));
    if (!vex_json_get(v, "type", &type) || vex_json_kind(type) != VEX_JSON_STRING)
        return vex_chroma_misfit(reader, "missing field `type`");
    struct vex_str text = vex_json_str(type);
    bool known = vex_str_eq_c(text, "known");
    if (!known && !vex_str_eq_c(text, "legacy") && !vex_str_eq_c(text, "unknown"))
        return vex_chroma_misfit(
            reader, "unknown variant `" VEX_STR_FMT "`, expected one of `legacy`, `known`, `unknown`",
            VEX_STR_ARG(text));
    if (known && (!vex_json_get(v, "name", &name) || vex_json_kind(name) != VEX_JSON_STRING))
        return vex_chroma_misfit(reader, "missing field `name`");
    return vex_chroma_read_value(reader, v, &ret->embedding_function);
}

static int read_settings(struct vex_chroma_reader *reader, struct vex_json v, bool change,
                         struct vex_chroma_settings *ret)
{
    const char *outer = reader->at;
    int rc = 0;

    if (vex_json_kind(v) != VEX_JSON_OBJECT)
        return vex_chroma_misfit(reader, "invalid type: %s, expected a map", vex_json_kind_name(v));
    ret->given = true;
    for (struct vex_json_iter it = vex_json_iter(v); rc == 0 && vex_json_next(&it);) {
        if (vex_json_kind(it.value) == VEX_JSON_NULL)
            continue;
        reader->at = vex_arena_printf(reader->arena, "%s." VEX_STR_FMT, outer, VEX_STR_ARG(it.key));
        if (vex_str_eq_c(it.key, "hnsw")) {
            ret->has_hnsw = true;
            rc = read_hnsw(reader, it.value, change, ret);
        } else if (vex_str_eq_c(it.key, "spann")) {
            ret->has_spann = true;
            rc = read_spann(reader, it.value, change, ret);
        } else if (vex_str_eq_c(it.key, "embedding_function")) {
            rc = read_function(reader, it.value, ret);
        }
    }
    return rc;
}

int vex_chroma_read_settings(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_settings(reader, v, false, ret);
}

int vex_chroma_read_settings_change(struct vex_chroma_reader *reader, struct vex_json v, void *ret)
{
    return read_settings(reader, v, true, ret);
}
