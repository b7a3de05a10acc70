/* Configuration: the values of conf.def's keys, from built-in texts, environment and flags (files:
 * conf_yaml.c).
 *
 * Owner: main; read-only once the server runs, so there is no lock. Invariant: every value has passed its
 * kind's check. Values may be secrets: they are never logged and appear in no error text but for kinds that
 * cannot be secrets. */
#include "base/conf.h"

#include <ctype.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/str.h"

#define PATH_MAX_LEN 256

enum kind { STR, U64, BOOL, F64 };

static const struct key {
    enum kind kind;
    const char *path, *flag, *env, *def, *help;
} keys[VEX_CONF_COUNT] = {
#define VEX_CONF(id, kind, path, flag, env, def, help) {kind, path, flag, env, def, help},
#include "base/conf.def"
#undef VEX_CONF
};

struct vex_conf {
    struct value {
        char *text;
        union {
            uint64_t u64;
            bool truth;
            double f64;
        };
    } values[VEX_CONF_COUNT];
};

static bool parse_bool(const char *text, bool *ret)
{
    static const char *const words[2][5] = {{"false", "0", "no", "off", "n"},
                                            {"true", "1", "yes", "on", "y"}};

    for (int truth = 0; truth < 2; truth++) {
        for (int i = 0; i < 5; i++) {
            if (strcasecmp(text, words[truth][i]) == 0) {
                *ret = truth;
                return true;
            }
        }
    }
    return false;
}

/* Nothing is changed when the text does not fit the key's kind. */
static int set_value(struct vex_conf *conf, size_t i, const char *text, struct vex_err *err)
{
    static const char *const wants[] = {
        [STR] = "a text", [U64] = "a whole number", [BOOL] = "true or false", [F64] = "a number"};
    struct value value = {.text = NULL};
    bool good = true;

    switch (keys[i].def[0] == '\0' && text[0] == '\0' ? STR : keys[i].kind) {
    case STR:
        break;
    case U64:
        good = vex_str_to_u64(vex_str_c(text), &value.u64);
        break;
    case BOOL:
        good = parse_bool(text, &value.truth);
        break;
    case F64:
        good = vex_f64_parse(vex_str_c(text), &value.f64);
        break;
    }
    if (!good)
        return vex_err_set(err, VEX_EBAD_INPUT, "setting %s: \"%s\" is not %s", keys[i].path, text,
                           wants[keys[i].kind]);
    value.text = vex_mem_strndup(text, strlen(text));
    vex_mem_free(conf->values[i].text);
    conf->values[i] = value;
    return 0;
}

struct vex_conf *vex_conf_new(void)
{
    struct vex_conf *conf = VEX_NEW(struct vex_conf);
    struct vex_err err;

    for (size_t i = 0; i < VEX_CONF_COUNT; i++)
        if (set_value(conf, i, keys[i].def, &err) < 0)
            vex_error("conf", "built-in value: %s", err.text); /* caught by the unit test */
    return conf;
}

void vex_conf_free(struct vex_conf *conf)
{
    if (conf == NULL)
        return;
    for (size_t i = 0; i < VEX_CONF_COUNT; i++)
        vex_mem_free(conf->values[i].text);
    vex_mem_free(conf);
}

/* VEX_CONF_COUNT when there is none. */
static size_t find_path(const char *path)
{
    size_t i = 0;

    while (i < VEX_CONF_COUNT && strcasecmp(keys[i].path, path) != 0)
        i++;
    return i;
}

int vex_conf_set(struct vex_conf *conf, const char *path, const char *value, struct vex_err *err)
{
    size_t i = find_path(path);

    if (i == VEX_CONF_COUNT)
        return vex_err_set(err, VEX_ENOT_FOUND, "unknown setting %s", path);
    return set_value(conf, i, value, err);
}

/* "QDRANT__A__B" or "VEXFS__A__B" into "a.b"; false when the name is neither or too long. */
static bool path_from_env(struct vex_str name, char path[PATH_MAX_LEN])
{
    static const char *const prefixes[] = {"QDRANT__", "VEXFS__"};
    size_t at = 0, out = 0;

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0] && at == 0; i++) {
        size_t len = strlen(prefixes[i]);
        if (name.len > len && strncasecmp(name.ptr, prefixes[i], len) == 0)
            at = len;
    }
    if (at == 0 || name.len >= PATH_MAX_LEN)
        return false;
    while (at < name.len) {
        bool separator = name.len - at > 2 && name.ptr[at] == '_' && name.ptr[at + 1] == '_';
        path[out++] = separator ? '.' : (char)tolower((unsigned char)name.ptr[at]);
        at += separator ? 2 : 1;
    }
    path[out] = '\0';
    return true;
}

/* Whether the comma-separated list holds the name, exact case. */
static bool list_has(const char *list, struct vex_str name)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        if (vex_str_eq(vex_str(list, len), name))
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

static int set_alias(struct vex_conf *conf, struct vex_str name, const char *value, struct vex_err *err)
{
    for (size_t i = 0; i < VEX_CONF_COUNT; i++) {
        if (list_has(keys[i].env, name) && set_value(conf, i, value, err) < 0)
            return vex_err_wrap(err, "environment " VEX_STR_FMT, VEX_STR_ARG(name));
    }
    return 0;
}

static int set_prefixed(struct vex_conf *conf, struct vex_str name, const char *value, struct vex_err *err)
{
    char path[PATH_MAX_LEN];
    int rc;

    if (!path_from_env(name, path))
        return 0;
    rc = vex_conf_set(conf, path, value, err);
    if (rc == VEX_ENOT_FOUND) {
        vex_warn("conf", "environment " VEX_STR_FMT ": unknown setting %s, ignored", VEX_STR_ARG(name), path);
        return 0;
    }
    return rc < 0 ? vex_err_wrap(err, "environment " VEX_STR_FMT, VEX_STR_ARG(name)) : 0;
}

int vex_conf_env(struct vex_conf *conf, char **env, struct vex_err *err)
{
    /* Aliases first: where a key is named both ways, the full name wins whatever the order of the
     * environment. */
    for (int pass = 0; pass < 2; pass++) {
        for (char **at = env; *at != NULL; at++) {
            const char *equals = strchr(*at, '=');
            struct vex_str name;
            int rc;

            if (equals == NULL)
                continue;
            name = vex_str(*at, (size_t)(equals - *at));
            rc = pass == 0 ? set_alias(conf, name, equals + 1, err)
                           : set_prefixed(conf, name, equals + 1, err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* VEX_CONF_COUNT when there is none. */
static size_t find_flag(struct vex_str name)
{
    size_t i = 0;

    while (i < VEX_CONF_COUNT && (keys[i].flag[0] == '\0' || !vex_str_eq_c(name, keys[i].flag)))
        i++;
    return i;
}

/* Number of entries, from `arg` on, that are main's: 0 when it is not one of them. */
static int main_flag(struct vex_str name, const char *equals)
{
    if (vex_str_eq_c(name, "help") || vex_str_eq_c(name, "version"))
        return equals == NULL ? 1 : 0;
    if (vex_str_eq_c(name, "config-path"))
        return equals == NULL ? 2 : 1;
    return 0;
}

int vex_conf_flags(struct vex_conf *conf, int argc, char **argv, char **rest, int *ret_rest,
                   struct vex_err *err)
{
    *ret_rest = 0;
    for (int at = 1; at < argc; at++) {
        const char *equals = strchr(argv[at], '='), *value;
        struct vex_str name;
        size_t key;
        int mains;

        if (argv[at][0] != '-' || argv[at][1] != '-')
            return vex_err_set(err, VEX_EBAD_INPUT, "unexpected argument \"%s\"", argv[at]);
        name = vex_str_c(argv[at] + 2);
        if (equals != NULL)
            name.len = (size_t)(equals - name.ptr);
        key = find_flag(name);
        mains = key == VEX_CONF_COUNT ? main_flag(name, equals) : 0;
        if (key == VEX_CONF_COUNT && mains == 0)
            return vex_err_set(err, VEX_EBAD_INPUT, "unknown flag --" VEX_STR_FMT, VEX_STR_ARG(name));
        if (mains == 2 && at + 1 == argc)
            return vex_err_set(err, VEX_EBAD_INPUT, "flag --" VEX_STR_FMT " needs a value",
                               VEX_STR_ARG(name));
        if (mains > 0) {
            rest[(*ret_rest)++] = argv[at];
            if (mains == 2)
                rest[(*ret_rest)++] = argv[++at];
            continue;
        }
        if (equals != NULL)
            value = equals + 1;
        else if (keys[key].kind == BOOL) /* a switch */
            value = "true";
        else if (at + 1 < argc)
            value = argv[++at];
        else
            return vex_err_set(err, VEX_EBAD_INPUT, "flag --%s needs a value", keys[key].flag);
        if (set_value(conf, key, value, err) < 0)
            return vex_err_wrap(err, "flag --%s", keys[key].flag);
    }
    return 0;
}

const char *vex_conf_str(const struct vex_conf *conf, enum vex_conf_key key)
{
    return conf->values[key].text;
}

uint64_t vex_conf_u64(const struct vex_conf *conf, enum vex_conf_key key)
{
    return conf->values[key].u64;
}

bool vex_conf_bool(const struct vex_conf *conf, enum vex_conf_key key)
{
    return conf->values[key].truth;
}

double vex_conf_f64(const struct vex_conf *conf, enum vex_conf_key key)
{
    return conf->values[key].f64;
}

char *vex_conf_help(void)
{
    struct vex_buf out;

    vex_buf_init(&out, NULL);
    for (size_t i = 0; i < VEX_CONF_COUNT; i++) {
        int used;
        if (keys[i].flag[0] == '\0')
            continue;
        used = (int)strlen(keys[i].flag) + (keys[i].kind == BOOL ? 0 : 6);
        vex_buf_printf(&out, "  --%s%s%*s  %s", keys[i].flag, keys[i].kind == BOOL ? "" : " VALUE",
                       used < 22 ? 22 - used : 0, "", keys[i].help);
        if (keys[i].def[0] != '\0')
            vex_buf_printf(&out, " (default %s)", keys[i].def);
        vex_buf_add_char(&out, '\n');
    }
    vex_buf_add_char(&out, '\0');
    return out.ptr;
}
