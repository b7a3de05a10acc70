/* vexfs_server: settings, start order, signals, stop order.
 *
 * Start  settings -> device, workers -> engine (recovers the log) -> service -> gRPC -> REST. Stop goes the
 * other way: first nothing new comes in, then what runs ends, then the engine writes its checkpoints. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/probe.h"
#include "api/qdrant/index_limit.h"
#include "api/service.h"
#include "base/conf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "grpc/server.h"
#include "rest/server.h"
#include "uapi/dev.h"

#define INLINE_NS    (UINT64_C(500) * 1000)
#define DRAIN_NS     (UINT64_C(10) * 1000000000)
#define FLAGS_MAX    256
#define DATA_DIR_MAX 2048

struct server {
    struct vex_conf *conf;
    struct vex_dev *dev;
    struct vex_pool *pool;
    struct vex_engine *engine;
    struct vex_service *service;
    struct vex_grpc *grpc;
    struct vex_rest *rest;
};

static void usage(void)
{
    char *flags = vex_conf_help();
    printf(
        "vexfs_server %s: a vector database that speaks Qdrant (REST, gRPC), Chroma and a native dialect\n\n"
        "usage: vexfs_server [flags]\n"
        "       vexfs_server health     asks the server on the configured REST port whether it is ready; "
        "exit code 0 if so\n\n"
        "  --config-path FILE      YAML settings, below environment and flags; Qdrant's own keys are "
        "understood\n"
        "  --version, --help\n%s\n"
        "environment: QDRANT__SECTION__KEY and VEXFS__SECTION__KEY for every key, e.g. "
        "QDRANT__SERVICE__HTTP_PORT=6333\n",
        VEX_SERVER_VERSION, flags);
    vex_mem_free(flags);
}

/* Value of "--name X" or "--name=X" at argv[*at], which then stands on its last word; NULL: another flag, or
 * no value. */
static const char *flag_value(char **argv, int argc, int *at, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(argv[*at], name, len) != 0)
        return NULL;
    if (argv[*at][len] == '=')
        return argv[*at] + len + 1;
    return argv[*at][len] == '\0' && *at + 1 < argc ? argv[++*at] : NULL;
}

/* Flags that are not settings, and the word "health", which is taken out of argv. -1: go on; else the exit
 * code. */
static int own_flags(int *argc, char **argv, const char **config_path, bool *ret_health)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        int first = i;
        const char *path = flag_value(argv, *argc, &i, "--config-path");
        if (path != NULL)
            *config_path = path;
        if (strcmp(argv[first], "--help") == 0 || strcmp(argv[first], "-h") == 0) {
            usage();
            return 0;
        }
        if (strcmp(argv[first], "--version") == 0) {
            printf("vexfs_server %s (Qdrant interface %s)\n", VEX_SERVER_VERSION, VEX_QDRANT_VERSION);
            return 0;
        }
        if (first == 1 && strcmp(argv[first], "health") == 0) {
            *ret_health = true;
            continue;
        }
        while (first <= i)
            argv[kept++] = argv[first++];
    }
    *argc = kept;
    return -1;
}

/* What the settings may say and the server cannot do. */
static int check(const struct vex_conf *conf, enum vex_log_level *ret_level, struct vex_err *err)
{
    const char *level = vex_conf_str(conf, VEX_CONF_LOG_LEVEL);
    if (vex_log_level_parse(level, ret_level) != 0)
        return vex_err_set(err, VEX_EBAD_INPUT,
                           "log_level: \"%s\" is none of error, warn, info, debug, trace", level);
    if (strlen(vex_conf_str(conf, VEX_CONF_DATA_DIR)) > DATA_DIR_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, "storage.storage_path has more than %d bytes", DATA_DIR_MAX);
    return 0;
}

/* Reads every layer of settings. */
static int configure(struct vex_conf *conf, int argc, char **argv, const char *config_path,
                     struct vex_err *err)
{
    static const char *const files[] = {"/etc/qdrant/config.yaml", "config/config.yaml",
                                        "config/production.yaml", "config/local.yaml"};
    char *own[FLAGS_MAX];
    int own_count = 0, code = 0;
    if (argc > FLAGS_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, "more than %d words on the command line", FLAGS_MAX);
    for (size_t i = 0; i < sizeof files / sizeof *files && code == 0; i++)
        code = access(files[i], R_OK) == 0 ? vex_conf_file(conf, files[i], err) : 0;
    if (code == 0 && config_path != NULL)
        code = vex_conf_file(conf, config_path, err);
    if (code == 0)
        code = vex_conf_env(conf, environ, err);
    return code != 0 ? code : vex_conf_flags(conf, argc, argv, own, &own_count, err);
}

/* As many descriptors as the system lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned worker_count(const struct vex_conf *conf)
{
    uint64_t asked = vex_conf_u64(conf, VEX_CONF_WORKERS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (asked > 0)
        return asked > 256 ? 256 : (unsigned)asked;
    return cores > 1 ? (unsigned)cores : 2;
}

/* Wide numbers of a setting stand for the widest there is. */
static uint32_t conf_u32(const struct vex_conf *conf, enum vex_conf_key key)
{
    uint64_t value = vex_conf_u64(conf, key);
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static struct vex_graph_settings graph_settings(const struct vex_conf *conf)
{
    uint64_t threshold = vex_conf_u64(conf, VEX_CONF_INDEXING_KB);
    return (struct vex_graph_settings){
        .m = conf_u32(conf, VEX_CONF_HNSW_M),
        .ef_construct = conf_u32(conf, VEX_CONF_HNSW_EF_CONSTRUCT),
        .full_scan_kb = conf_u32(conf, VEX_CONF_HNSW_FULL_SCAN_KB),
        .threshold_kb = threshold != 0 ? threshold : VEX_GRAPH_THRESHOLD_OFF,
    };
}

static int start_engine(struct server *server, struct vex_err *err)
{
    const struct vex_conf *conf = server->conf;
    int code = vex_dev_choose(vex_conf_str(conf, VEX_CONF_DEVICE), &server->dev, err);
    if (code != 0)
        return code;
    server->pool = vex_pool_new(worker_count(conf), (size_t)vex_conf_u64(conf, VEX_CONF_QUEUE), "worker");
    struct vex_engine_options options = {
        .io = vex_io_posix(),
        .dir = vex_conf_str(conf, VEX_CONF_DATA_DIR),
        .dev = server->dev,
        .pool = server->pool,
        .segment_bytes = vex_conf_u64(conf, VEX_CONF_WAL_MB) << 20,
        .checkpoint_bytes = vex_conf_u64(conf, VEX_CONF_CHECKPOINT_MB) << 20,
        .checkpoint_ns = vex_conf_u64(conf, VEX_CONF_CHECKPOINT_SEC) * UINT64_C(1000000000),
        .reserve_bytes = vex_conf_u64(conf, VEX_CONF_RESERVE_MB) << 20,
        .queue_bytes = UINT64_C(64) << 20,
        .salvage = vex_conf_bool(conf, VEX_CONF_SALVAGE),
        .auto_index = vex_conf_bool(conf, VEX_CONF_AUTO_INDEX),
        .graphs = graph_settings(conf),
        .index_limit = vex_qdrant_index_limit,
    };
    return vex_engine_open(&options, &server->engine, err);
}

static int start_wire(struct server *server, struct vex_err *err)
{
    const struct vex_conf *conf = server->conf;
    char spool[VEX_PATH_MAX];
    struct vex_service_options service = {.engine = server->engine,
                                          .pool = server->pool,
                                          .io = vex_io_posix(),
                                          .conf = conf,
                                          .inline_ns = INLINE_NS};
    server->service = vex_service_new(&service);
    vex_file_join(spool, vex_conf_str(conf, VEX_CONF_DATA_DIR), "spool");
    int code = vex_file_mkdirs(vex_io_posix(), spool, err);
    struct vex_grpc_options grpc = {.service = server->service, .conf = conf};
    if (code == 0 && vex_conf_u64(conf, VEX_CONF_GRPC_PORT) != 0)
        code = vex_grpc_start(&grpc, &server->grpc, err);
    struct vex_rest_options rest = {.service = server->service, .conf = conf, .spool_dir = spool};
    if (code == 0)
        code = vex_rest_start(&rest, &server->rest, err);
    return code;
}

static void stop(struct server *server)
{
    if (server->service != NULL)
        atomic_store(&server->service->draining, 1);
    vex_rest_stop(server->rest);
    vex_grpc_stop(server->grpc);
    if (server->service != NULL && !vex_service_drain(server->service, DRAIN_NS)) {
        /* Closing under a running call would not be safe; the log has everything that was acknowledged. */
        vex_error("main", "some calls do not end: leaving without checkpoints");
        _exit(1);
    }
    vex_engine_close(server->engine);
    vex_service_free(server->service);
    vex_pool_free(server->pool);
    vex_dev_free(server->dev);
    vex_conf_free(server->conf);
}

static void announce(const struct server *server)
{
    static const struct {
        enum vex_conf_key key;
        const char *name;
    } ports[] = {{VEX_CONF_HTTP_PORT, "Qdrant REST"},
                 {VEX_CONF_GRPC_PORT, "Qdrant gRPC"},
                 {VEX_CONF_CHROMA_PORT, "Chroma REST"},
                 {VEX_CONF_NATIVE_PORT, "native REST"}};
    const struct vex_conf *conf = server->conf;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        if (vex_conf_u64(conf, ports[i].key) != 0)
            vex_info("main", "%s on %s port %llu", ports[i].name, vex_conf_str(conf, VEX_CONF_HOST),
                     (unsigned long long)vex_conf_u64(conf, ports[i].key));
    vex_info("main", "data in %s, device %s", vex_conf_str(conf, VEX_CONF_DATA_DIR),
             vex_engine_device(server->engine));
}

/* Blocks the signals that end the server in every thread; main waits for them. */
static sigset_t block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return set;
}

static int serve(struct server *server)
{
    struct vex_err err = {0};
    sigset_t set = block_signals();
    int received = 0;
    raise_descriptors();
    int code = start_engine(server, &err);
    if (code == 0)
        code = start_wire(server, &err);
    if (code != 0) {
        vex_error("main", "cannot start: %s", err.text);
        stop(server);
        return 1;
    }
    announce(server);
    while (sigwait(&set, &received) != 0)
        ;
    vex_info("main", "received %s: finishing what runs", strsignal(received));
    stop(server);
    vex_info("main", "stopped");
    return 0;
}

/* Asks the server on the configured ports; the exit code. */
static int ask_health(const struct vex_conf *conf)
{
    struct vex_err err = {0};
    uint64_t port = vex_conf_u64(conf, VEX_CONF_HTTP_PORT);
    if (vex_probe_ready(vex_conf_str(conf, VEX_CONF_HOST), port, &err) == 0)
        return 0;
    fprintf(stderr, "vexfs_server: %s\n", err.text);
    return 1;
}

int main(int argc, char **argv)
{
    struct server server = {0};
    struct vex_err err = {0};
    const char *config_path = NULL;
    enum vex_log_level level = VEX_LOG_INFO;
    bool health = false;
    int code = own_flags(&argc, argv, &config_path, &health);
    if (code >= 0)
        return code;
    server.conf = vex_conf_new();
    code = configure(server.conf, argc, argv, config_path, &err);
    if (code == 0)
        code = check(server.conf, &level, &err);
    if (code != 0) {
        fprintf(stderr, "vexfs_server: %s\n", err.text);
        vex_conf_free(server.conf);
        return 2;
    }
    vex_log_set(level, vex_conf_bool(server.conf, VEX_CONF_LOG_JSON));
    if (!health)
        return serve(&server);
    code = ask_health(server.conf);
    vex_conf_free(server.conf);
    return code;
}
