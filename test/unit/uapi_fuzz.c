/* The random requests of test/kernel/fuzz.c over the double of the module, in their calm form: the double can
 * tell bad addresses from good ones, but not stand files that shrink under it. */
#define FUZZ_NO_MAIN
#include "../kernel/fuzz.c"

#include "lib/dev_double.h"
#include "uapi/dev.h"

static int double_open(int at)
{
    return vex_dev_double_open_at(at);
}

static void double_close(int fd)
{
    vex_dev_double_close(NULL, fd);
}

static int double_ioctl(int fd, unsigned long request, void *param)
{
    return vex_dev_double_ioctl(NULL, fd, request, param);
}

int main(int argc, char **argv)
{
    static const struct fuzz_sys doubled = {double_open, double_close, double_ioctl};
    char folder[256];
    const char *parent_folder = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/vex-fuzz-XXXXXX", parent_folder != NULL ? parent_folder : "/tmp");
    options = (struct fuzz_options){.requests = 30000, .seed = 20261121, .threads = 3, .calm = true};
    if (!parse(argc, argv) || mkdtemp(folder) == NULL)
        return 2;
    options.folders[options.folder_count++] = folder;
    vex_dev_double_reset();
    (void)vex_dev_embed_new();
    sys = &doubled;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    int rc = run();
    if (vex_dev_double_open_count() != 0) {
        printf("%d descriptors are left open\n", vex_dev_double_open_count());
        rc = 1;
    }
    rmdir(folder);
    return rc;
}
