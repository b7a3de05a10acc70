/* Configuration: one key table (conf.def) filled from, the later wins: built-in value, YAML files,
 * environment, flags.
 *
 * Environment names: QDRANT__SECTION__KEY for keys Qdrant has, VEXFS__SECTION__KEY for ours; both prefixes
 * are taken for every key, double underscores separate, case is ignored. Aliases (Chroma's names) stand in
 * the table. Unknown names of our prefixes are warned about, never fatal; a bad value is fatal with the key
 * and the reason. */
#ifndef VEX_BASE_CONF_H
#define VEX_BASE_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum vex_conf_key {
#define VEX_CONF(id, kind, path, flag, env, def, help) VEX_CONF_##id,
#include "base/conf.def"
#undef VEX_CONF
    VEX_CONF_COUNT
};

struct vex_conf;

struct vex_conf *vex_conf_new(void); /* built-in values */
void vex_conf_free(struct vex_conf *conf);
/* Reads a YAML file (libfyaml); VEX_ENOT_FOUND when absent. Keys are the table's dotted paths as nested maps.
 */
int vex_conf_file(struct vex_conf *conf, const char *path, struct vex_err *err);
int vex_conf_env(struct vex_conf *conf, char **environ, struct vex_err *err);
/* Flags "--data-dir X", "--data-dir=X"; a BOOL flag is a switch (or "--salvage=false"). Unknown flag, stray
 * argument or bad value: VEX_EBAD_INPUT. argv[0] is skipped. --help, --version and --config-path X are
 * main's: `rest` (room for argc) receives these entries as they are (count returned in *ret_rest). */
int vex_conf_flags(struct vex_conf *conf, int argc, char **argv, char **rest, int *ret_rest,
                   struct vex_err *err);
/* One value by its dotted path, as text. VEX_ENOT_FOUND when there is no such setting. */
int vex_conf_set(struct vex_conf *conf, const char *path, const char *value, struct vex_err *err);

const char *vex_conf_str(const struct vex_conf *conf, enum vex_conf_key key); /* "" when unset; of any kind */
uint64_t vex_conf_u64(const struct vex_conf *conf, enum vex_conf_key key);
bool vex_conf_bool(const struct vex_conf *conf, enum vex_conf_key key);
double vex_conf_f64(const struct vex_conf *conf, enum vex_conf_key key);
/* Text of --help for all flags of the table; caller frees. */
char *vex_conf_help(void);

#endif
