/* Reading the log's segments during recovery: the folder, headers, and the search for the best durable mark.
 * Nothing in here trusts a byte of a file before its checksum has passed, and no size before it is compared
 * with the file's. */
#include "engine/store/wal_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

#define WINDOW (256u << 10)

/* Bounds what a folder can make us do; a log of that many segments is not ours. */
#define SEGMENTS_MAX 1000000u

static int fail(struct wal_dir *dir, struct vex_err *err, int64_t r, const char *what, uint64_t number)
{
    return vex_err_set(err, vex_err_errno((int)-r), "cannot %s log segment %s/%09" PRIu64 ".wal: %s", what,
                       dir->path, number, strerror((int)-r));
}

int wal_segment_open(struct wal_dir *dir, struct wal_segment *seg, struct vex_err *err)
{
    if (seg->file != NULL)
        return 0;
    char path[VEX_PATH_MAX];
    wal_dir_path(dir, path, seg->number, "wal");
    int r = vex_io_open(dir->io, path, VEX_IO_WRITE, &seg->file);
    return r != 0 ? fail(dir, err, r, "open", seg->number) : 0;
}

static int grow_window(struct wal_window *window, size_t len, struct vex_err *err)
{
    size_t cap = len < WINDOW ? WINDOW : len;
    if (window->cap >= cap)
        return 0;
    char *buf = vex_mem_try(cap);
    if (buf == NULL)
        return vex_err_set(err, VEX_ENO_MEMORY, "no memory for a log record of %zu bytes", len);
    vex_mem_free(window->buf);
    window->buf = buf;
    window->cap = cap;
    window->len = 0;
    return 0;
}

const char *wal_window_read(struct wal_window *window, struct wal_segment *seg, uint64_t offset, size_t len,
                            struct vex_err *err)
{
    bool inside = window->seg == seg && offset >= window->at && offset - window->at <= window->len &&
                  len <= window->len - (size_t)(offset - window->at);
    if (inside)
        return window->buf + (offset - window->at);
    if (window->seg != NULL && window->seg != seg) {
        vex_io_close(window->dir->io, window->seg->file);
        window->seg->file = NULL;
        window->seg = NULL;
    }
    if (grow_window(window, len, err) != 0 || wal_segment_open(window->dir, seg, err) != 0)
        return NULL;
    uint64_t left = seg->bytes - offset;
    size_t want = left < window->cap ? (size_t)left : window->cap;
    int64_t n = vex_io_pread(window->dir->io, seg->file, window->buf, want, offset);
    if (n < 0 || (uint64_t)n < len) {
        fail(window->dir, err, n < 0 ? n : -EIO, "read", seg->number);
        window->len = 0;
        return NULL;
    }
    window->seg = seg;
    window->at = offset;
    window->len = (size_t)n;
    return window->buf;
}

void wal_window_done(struct wal_window *window)
{
    vex_mem_free(window->buf);
    memset(window, 0, sizeof *window);
}

int wal_header_at(struct wal_window *window, struct wal_segment *seg, uint64_t offset,
                  struct wal_record_header *ret, struct vex_err *err)
{
    if (offset > seg->bytes || seg->bytes - offset < sizeof *ret)
        return 0;
    const char *bytes = wal_window_read(window, seg, offset, sizeof *ret, err);
    if (bytes == NULL)
        return err->code;
    memcpy(ret, bytes, sizeof *ret);
    return wal_record_valid(ret, seg->salt, seg->bytes - offset) ? 1 : 0;
}

struct names {
    struct wal_dir *dir;
    uint64_t *segments;
    size_t count, cap;
    uint64_t *olds;
    size_t old_count, old_cap;
    bool draft;
};

static void add(uint64_t **list, size_t *count, size_t *cap, uint64_t number)
{
    if (*count == *cap) {
        *cap = *cap == 0 ? 16 : *cap * 2;
        *list = vex_mem_realloc(*list, *cap * sizeof **list);
    }
    (*list)[(*count)++] = number;
}

/* A name of at least nine digits and the extension; anything else in the folder is not ours and left alone.
 */
static int add_name(void *arg, const char *name)
{
    struct names *names = arg;
    size_t digits = strspn(name, "0123456789");
    uint64_t number;
    if (strcmp(name, "draft.tmp") == 0)
        names->draft = true;
    if (digits < 9 || digits > 18 || (digits > 9 && name[0] == '0'))
        return 0;
    number = strtoull(name, NULL, 10);
    if (strcmp(name + digits, ".wal") == 0 && number > 0)
        add(&names->segments, &names->count, &names->cap, number);
    else if (strcmp(name + digits, ".old") == 0)
        add(&names->olds, &names->old_count, &names->old_cap, number);
    return names->count > SEGMENTS_MAX || names->old_count > SEGMENTS_MAX ? -E2BIG : 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* What lies in wait for reuse: two of the right size are kept, the others go. */
static void collect_pool(struct wal_dir *dir, const struct names *names)
{
    char path[VEX_PATH_MAX];
    for (size_t i = 0; i < names->old_count; i++) {
        uint64_t number = names->olds[i];
        if (number >= dir->next_old)
            dir->next_old = number + 1;
        wal_dir_path(dir, path, number, "old");
        struct vex_file *file = NULL;
        int64_t size = vex_io_open(dir->io, path, VEX_IO_READ, &file) == 0 ? vex_io_size(dir->io, file) : -1;
        vex_io_close(dir->io, file);
        if (size >= 0 && (uint64_t)size == dir->segment_bytes && dir->pool_count < WAL_POOL_MAX)
            dir->pool[dir->pool_count++] = number;
        else
            (void)dir->io->ops->unlink(dir->io, path);
    }
    if (names->draft)
        (void)dir->io->ops->unlink(dir->io, vex_file_join(path, dir->path, "draft.tmp"));
}

/* Of the two headers the one that knows more: a rewrite of the block may have reached only one of them. */
static int choose_header(struct wal_dir *dir, const char *block, struct wal_found *found, struct vex_err *err)
{
    bool any = false;
    for (size_t at = 0; at <= WAL_HEADER_COPY; at += WAL_HEADER_COPY) {
        struct wal_segment_header header;
        memcpy(&header, block + at, sizeof header);
        if (!wal_segment_sealed(&header))
            continue;
        if (header.version != WAL_VERSION)
            return vex_err_set(err, VEX_ECORRUPT,
                               "log segment %s/%09" PRIu64 ".wal has format %u, this program reads %u",
                               dir->path, found->seg->number, header.version, WAL_VERSION);
        if (header.number != found->seg->number || (any && header.first_seq == 0))
            continue;
        any = true;
        found->seg->salt = header.salt;
        found->seg->first_seq = header.first_seq;
        found->seg->copy = (header.flags & WAL_SEGMENT_COPY) != 0;
        found->durable = header.durable;
    }
    found->lost = !any;
    return 0;
}

static int load(struct wal_dir *dir, bool salvage, struct wal_found *found, struct vex_err *err)
{
    struct wal_segment *seg = found->seg;
    int r = wal_segment_open(dir, seg, err);
    if (r != 0)
        return r;
    int64_t size = vex_io_size(dir->io, seg->file);
    if (size < 0)
        return fail(dir, err, size, "size", seg->number);
    seg->bytes = (uint64_t)size;
    seg->end = WAL_HEADER_BLOCK;
    char block[WAL_HEADER_BLOCK] = {0};
    int64_t n = vex_io_pread(dir->io, seg->file, block, sizeof block, 0);
    if (n < 0)
        return fail(dir, err, n, "read", seg->number);
    vex_io_close(dir->io, seg->file);
    seg->file = NULL;
    r = choose_header(dir, block, found, err);
    if (r != 0 || !found->lost)
        return r;
    if (!salvage)
        return vex_err_set(err, VEX_ECORRUPT,
                           "log segment %s/%09" PRIu64 ".wal is damaged at offset 0: no valid header",
                           dir->path, seg->number);
    vex_error("wal", "salvage: segment %s/%09" PRIu64 ".wal has no valid header, its records are lost",
              dir->path, seg->number);
    seg->bytes = 0;
    return 0;
}

static void set_limits(struct wal_found *found, size_t count)
{
    uint64_t limit = UINT64_MAX;
    for (size_t i = count; i-- > 0;) {
        found[i].limit = limit;
        if (found[i].seg->first_seq != 0 && found[i].seg->first_seq < limit)
            limit = found[i].seg->first_seq;
    }
}

int wal_find(struct wal_dir *dir, bool salvage, struct wal_found **ret, size_t *ret_count,
             struct vex_err *err)
{
    struct names names = {.dir = dir};
    int r = dir->io->ops->list(dir->io, dir->path, add_name, &names);
    if (r != 0) {
        r = vex_err_set(err, vex_err_errno(-r), "cannot list %s: %s", dir->path, strerror(-r));
    } else {
        collect_pool(dir, &names);
        if (names.count > 0)
            qsort(names.segments, names.count, sizeof *names.segments, by_number);
        *ret = vex_mem_zalloc((names.count + 1) * sizeof **ret); /* one more for the copy of the tail */
        *ret_count = names.count;
        for (size_t i = 0; i < names.count; i++) {
            (*ret)[i].seg = VEX_NEW(struct wal_segment);
            (*ret)[i].seg->number = names.segments[i];
        }
        dir->next_number = names.count > 0 ? names.segments[names.count - 1] + 1 : 1;
        for (size_t i = 0; i < names.count && r == 0; i++)
            r = load(dir, salvage, &(*ret)[i], err);
        set_limits(*ret, names.count);
    }
    vex_mem_free(names.segments);
    vex_mem_free(names.olds);
    return r;
}

/* Steps of 8 bytes until a header may begin there, by its sequence; at most as many as there is a whole header
 * after. */
static size_t skip_implausible(const char *bytes, size_t len, uint64_t seq, uint64_t span, uint64_t limit)
{
    size_t at = 0, end = len - sizeof(struct wal_record_header);
    uint64_t here;
    for (; at <= end; at += 8) {
        memcpy(&here, bytes + at + offsetof(struct wal_record_header, seq), sizeof here);
        if (here - seq <= span && here < limit) /* below seq: a huge difference */
            break;
    }
    return at;
}

/* Marks of one segment. A sequence that could not stand here, given the bytes there are, is not worth a
 * checksum. */
static int marks_of(struct wal_window *window, struct wal_found *found, uint64_t offset, uint64_t seq,
                    uint64_t span, uint64_t *best, struct vex_err *err)
{
    struct wal_segment *seg = found->seg;
    struct wal_record_header header;
    while (offset <= seg->bytes && seg->bytes - offset >= sizeof header) {
        const char *bytes = wal_window_read(window, seg, offset, sizeof header, err);
        if (bytes == NULL)
            return err->code;
        size_t len = window->len - (size_t)(offset - window->at);
        size_t skip = skip_implausible(bytes, len, seq, span, found->limit);
        offset += skip;
        if (skip > len - sizeof header)
            continue;
        memcpy(&header, bytes + skip, sizeof header);
        bool valid = wal_record_valid(&header, seg->salt, seg->bytes - offset);
        if (valid && header.durable > *best)
            *best = header.durable;
        offset += valid ? wal_record_bytes(header.len) : 8;
    }
    return 0;
}

int wal_best_mark(struct wal_window *window, struct wal_found *found, size_t count, size_t from,
                  uint64_t offset, uint64_t seq, uint64_t *ret, struct vex_err *err)
{
    uint64_t span = 0;
    for (size_t i = from; i < count; i++)
        span += found[i].seg->bytes / sizeof(struct wal_record_header);
    *ret = 0;
    for (size_t i = from; i < count; i++) {
        if (found[i].durable > *ret && found[i].durable < found[i].limit)
            *ret = found[i].durable;
        int r = marks_of(window, &found[i], i == from ? offset : WAL_HEADER_BLOCK, seq, span, ret, err);
        if (r != 0)
            return r;
    }
    return 0;
}
