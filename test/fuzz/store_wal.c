/* Fuzz target: bytes as the log's folder; recovery must end with a log or an error, never with a crash, a
 * leak or a read outside of its memory, and what it delivers must be in order.
 *
 * The checksums would keep almost every input out, so the input is a recipe: segment headers and records
 * whose fields come from it and whose checksums are computed here, mixed with raw bytes. */
#include "engine/store/wal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "engine/store/wal_format.h"

#define SEGMENT  8192u
#define SEGMENTS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char root[64];

static void remove_root(void)
{
    struct vex_err err;
    (void)vex_file_remove_tree(vex_io_posix(), root, &err);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    strcpy(root, access("/dev/shm", W_OK) == 0 ? "/dev/shm/vex-fuzz-XXXXXX" : "/tmp/vex-fuzz-XXXXXX");
    if (mkdtemp(root) == NULL)
        abort();
    atexit(remove_root);
    /* refusals are the normal case here */
    if (freopen("/dev/null", "w", stdout) == NULL)
        abort();
    vex_log_set(VEX_LOG_ERROR, false);
    return 0;
}

static uint8_t next(struct vex_cursor *in)
{
    return vex_cursor_u8(in);
}

/* Mostly small, now and then anything. */
static uint64_t number(struct vex_cursor *in)
{
    uint8_t b = next(in);
    return b < 0xf0 ? b % 24 : b < 0xf8 ? vex_cursor_u32(in) : vex_cursor_u64(in);
}

static void add_header(struct vex_cursor *in, char *file, size_t at, uint64_t name)
{
    struct wal_segment_header header = {
        .number = name,
        .salt = 7,
        .first_seq = number(in),
        .durable = number(in),
        .bytes = SEGMENT,
    };
    wal_segment_seal(&header);
    if (next(in) % 16 == 0)
        header.crc ^= 1;
    memcpy(file + at, &header, sizeof header);
}

static size_t add_record(struct vex_cursor *in, char *file, size_t at, uint64_t seq)
{
    struct wal_record_header header = {
        .len = (uint32_t)number(in),
        .kind = next(in),
        .seq = seq,
        .collection = next(in),
        .durable = number(in),
        .op = next(in),
    };
    uint8_t how = next(in);
    size_t room = SEGMENT - at - sizeof header;
    if (header.len <= room) {
        memset(file + at + sizeof header, (int)how, header.len);
        header.body_crc = vex_crc32c(0, file + at + sizeof header, header.len);
    }
    header.body_crc ^= how % 8 == 0 ? 1 : 0;
    header.header_crc = wal_record_crc(&header, 7) ^ (how % 8 == 1 ? 1 : 0);
    memcpy(file + at, &header, sizeof header);
    uint64_t bytes = wal_record_bytes(header.len);
    return bytes <= SEGMENT - at ? (size_t)bytes : sizeof header;
}

static void write_segment(struct vex_cursor *in, uint64_t name, uint64_t *seq)
{
    static char file[SEGMENT];
    memset(file, 0, sizeof file);
    add_header(in, file, 0, name);
    add_header(in, file, WAL_HEADER_COPY, name);
    size_t at = WAL_HEADER_BLOCK, size = SEGMENT;
    while (vex_cursor_left(in) > 0 && at + sizeof(struct wal_record_header) <= SEGMENT) {
        uint8_t what = next(in);
        if (what >= 0xf8)
            break;
        if (what >= 0xf0) {
            file[at] = (char)next(in);
            at += 8;
            continue;
        }
        at += add_record(in, file, at, what >= 0xe0 ? number(in) : (*seq)++);
    }
    if (next(in) % 8 == 0)
        size = number(in) * 400 % (SEGMENT + 1);
    char path[128];
    snprintf(path, sizeof path, "%s/%09llu.wal", root, (unsigned long long)name);
    struct vex_io *io = vex_io_posix();
    struct vex_file *f;
    if (vex_io_open(io, path, VEX_IO_WRITE | VEX_IO_CREATE | VEX_IO_TRUNC, &f) != 0)
        abort();
    if (size > 0 && vex_io_pwrite(io, f, file, size, 0) != 0)
        abort();
    vex_io_close(io, f);
}

static int replay(void *arg, const struct vex_wal_record *record, struct vex_err *err)
{
    uint64_t *last = arg;
    (void)err;
    if ((*last != 0 && record->seq != *last + 1) || (record->damaged && record->body != NULL))
        abort();
    unsigned char sum = 0;
    for (size_t i = 0; i < record->len; i++)
        sum ^= ((const unsigned char *)record->body)[i];
    *last = record->seq;
    return record->kind == 255 && sum == 1 ? VEX_ECORRUPT : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vex_cursor in = vex_cursor(data, size);
    struct vex_wal_options options = {.dir = root, .segment_bytes = SEGMENT, .sync_ns = 1000000000u};
    uint8_t how = next(&in);
    options.salvage = how % 2 != 0;
    uint64_t name = 1, seq = 1 + how / 2 % 4;
    for (unsigned i = 0; i < 1 + how / 8 % SEGMENTS; i++, name += 1 + (how >= 0xf0))
        write_segment(&in, name, &seq);
    struct vex_err err;
    /* twice: what the first leaves is an input too */
    for (int round = 0; round < 2; round++) {
        uint64_t last = 0;
        struct vex_wal *wal;
        if (vex_wal_open(vex_io_posix(), &options, replay, &last, &wal, &err) != 0)
            break;
        if (last != 0 && vex_wal_last(wal) != last)
            abort();
        vex_wal_close(wal);
        options.salvage = false;
    }
    remove_root();
    if (vex_file_mkdirs(vex_io_posix(), root, &err) != 0)
        abort();
    return 0;
}
