/* Configuration files: YAML through libfyaml, nested maps walked into dotted paths.
 *
 * Owner: the caller's struct vex_conf. Lock: none. The file is the administrator's: limits here only keep a
 * mistake from becoming a hang. Read before the I/O seam exists, with plain streams. */
#include "base/conf.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define FILE_MAX     ((size_t)1 << 20)
#define PATH_MAX_LEN 256

struct walk {
    struct vex_conf *conf;
    const char *file;
    struct vex_err *err;
};

static int read_file(const char *path, struct vex_buf *ret, struct vex_err *err)
{
    FILE *file = fopen(path, "rbe");
    int rc = 0;

    if (file == NULL)
        return vex_err_set(err, errno == ENOENT ? VEX_ENOT_FOUND : vex_err_errno(errno), "%s: %s", path,
                           strerror(errno));
    vex_buf_reserve(ret, FILE_MAX + 1);
    ret->len = fread(ret->ptr, 1, FILE_MAX + 1, file);
    if (ferror(file))
        rc = vex_err_set(err, VEX_EIO, "%s: cannot be read", path);
    else if (ret->len > FILE_MAX)
        rc = vex_err_set(err, VEX_EBAD_INPUT, "%s: longer than 1 MB", path);
    fclose(file);
    return rc;
}

/* A key that is written without a value keeps the value it has. */
static bool is_null(struct fy_node *node, struct vex_str text)
{
    return fy_node_get_style(node) == FYNS_PLAIN &&
           (text.len == 0 || vex_str_eq_c(text, "~") ||
            (text.len == 4 && strncasecmp(text.ptr, "null", 4) == 0));
}

static int set_scalar(struct walk *walk, struct fy_node *node, const char *path)
{
    struct vex_str text = {"", 0};
    const char *scalar = fy_node_get_scalar(node, &text.len);
    char *value;
    int rc;

    if (scalar != NULL)
        text.ptr = scalar;
    if (is_null(node, text))
        return 0;
    if (memchr(text.ptr, '\0', text.len) != NULL)
        return vex_err_set(walk->err, VEX_EBAD_INPUT, "%s: setting %s holds a NUL character", walk->file,
                           path);
    value = vex_mem_strndup(text.ptr, text.len);
    rc = vex_conf_set(walk->conf, path, value, walk->err);
    vex_mem_free(value);
    if (rc == VEX_ENOT_FOUND) {
        vex_warn("conf", "%s: unknown setting %s, ignored", walk->file, path);
        return 0;
    }
    return rc < 0 ? vex_err_wrap(walk->err, "%s", walk->file) : 0;
}

/* Depth is bounded by PATH_MAX_LEN: each level adds to the path. */
static int walk_map(struct walk *walk, struct fy_node *map, const char *above)
{
    struct fy_node_pair *pair;
    void *at = NULL;
    int rc = 0;

    while (rc == 0 && (pair = fy_node_mapping_iterate(map, &at)) != NULL) {
        struct fy_node *value = fy_node_pair_value(pair);
        char path[PATH_MAX_LEN];
        size_t len = 0;
        const char *key = fy_node_get_scalar(fy_node_pair_key(pair), &len);

        if (key == NULL || len == 0 || strlen(above) + 1 + len >= sizeof path)
            return vex_err_set(walk->err, VEX_EBAD_INPUT, "%s: below \"%s\" stands a key that is no name",
                               walk->file, above);
        snprintf(path, sizeof path, "%s%s%.*s", above, above[0] != '\0' ? "." : "", (int)len, key);
        if (value == NULL)
            continue;
        if (fy_node_is_mapping(value))
            rc = walk_map(walk, value, path);
        else if (fy_node_is_scalar(value))
            rc = set_scalar(walk, value, path);
        else
            vex_warn("conf", "%s: setting %s is a list, ignored", walk->file, path);
    }
    return rc;
}

static int syntax_error(const char *path, struct fy_diag *diag, struct vex_err *err)
{
    void *at = NULL;
    struct fy_diag_error *first = fy_diag_errors_iterate(diag, &at);

    if (first == NULL)
        return vex_err_set(err, VEX_EBAD_INPUT, "%s: not YAML", path);
    return vex_err_set(err, VEX_EBAD_INPUT, "%s:%d:%d: %s", path, first->line, first->column, first->msg);
}

/* libfyaml writes what it cannot lay to a place to standard error unless told otherwise; the first fault is
 * ours to tell. */
static void say_nothing(struct fy_diag *diag, void *user, const char *buf, size_t len)
{
    (void)diag;
    (void)user;
    (void)buf;
    (void)len;
}

/* Nothing but blank lines and comments: no document to libfyaml, no fault to us. */
static bool is_blank(const struct vex_buf *text)
{
    bool comment = false;

    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '\n')
            comment = false;
        else if (c == '#')
            comment = true;
        else if (!comment && c != ' ' && c != '\t' && c != '\r')
            return false;
    }
    return true;
}

static int parse(struct walk *walk, struct vex_buf *text, struct fy_diag *diag)
{
    struct fy_parse_cfg cfg = {
        .search_path = "", .flags = FYPCF_RESOLVE_DOCUMENT | FYPCF_JSON_NONE, .diag = diag};
    struct fy_document *doc = fy_document_build_from_string(&cfg, text->ptr, text->len);
    struct fy_node *root;
    int rc = 0;

    if (doc == NULL)
        return syntax_error(walk->file, diag, walk->err);
    root = fy_document_root(doc);
    if (root != NULL && fy_node_is_mapping(root))
        rc = walk_map(walk, root, "");
    else if (root != NULL && !fy_node_is_null(root))
        rc = vex_err_set(walk->err, VEX_EBAD_INPUT, "%s: not a map of settings", walk->file);
    fy_document_destroy(doc);
    return rc;
}

int vex_conf_file(struct vex_conf *conf, const char *path, struct vex_err *err)
{
    struct walk walk = {conf, path, err};
    struct fy_diag_cfg diag_cfg;
    struct fy_diag *diag;
    struct vex_buf text;
    int rc;

    vex_buf_init(&text, NULL);
    rc = read_file(path, &text, err);
    if (rc == 0 && !is_blank(&text)) {
        fy_diag_cfg_default(&diag_cfg);
        diag_cfg.fp = NULL;
        diag_cfg.output_fn = say_nothing;
        diag = fy_diag_create(&diag_cfg);
        if (diag == NULL) {
            rc = vex_err_set(err, VEX_ENO_MEMORY, "%s: out of memory", path);
        } else {
            fy_diag_set_collect_errors(diag, true);
            rc = parse(&walk, &text, diag);
            fy_diag_destroy(diag);
        }
    }
    vex_buf_done(&text);
    return rc;
}
