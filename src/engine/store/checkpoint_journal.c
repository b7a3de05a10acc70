/* Reading the files of a checkpoint: see checkpoint_private.h. All bytes are distrusted until their checksums
 * match. */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "engine/store/checkpoint_private.h"
#include "engine/store/table_private.h"

#define ENVELOPE_FORMAT 1u
#define JOURNAL_FORMAT  1u
/* Where the checksum of a head begins: behind magic, format and the checksum itself. */
#define CRC_FROM 16u
#define RUNS_MAX (1u << 26)

static const char envelope_magic[8] = {'V', 'E', 'X', 'M', 'A', 'N', 'I', 'F'};
static const char journal_magic[8] = {'V', 'E', 'X', 'J', 'R', 'N', 'L', '\0'};

int vex_checkpoint_fail(struct vex_err *err, int r, const char *what, const char *path)
{
    return vex_err_set(err, vex_err_errno(-r), "cannot %s %s: %s", what, path, strerror(-r));
}

static struct vex_str base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return vex_str_c(slash != NULL ? slash + 1 : path);
}

void vex_envelope_build(const struct vex_checkpoint *checkpoint, uint64_t number, struct vex_buf *out)
{
    struct vex_envelope_head head = {.format = ENVELOPE_FORMAT, .number = number, .seq = checkpoint->seq};
    size_t start = out->len;

    memcpy(head.magic, envelope_magic, sizeof head.magic);
    head.table_count = checkpoint->table_count;
    head.body_len = checkpoint->manifest.len;
    vex_buf_add(out, &head, sizeof head);
    for (uint32_t i = 0; i < checkpoint->table_count; i++) {
        vex_buf_add_u32(out, checkpoint->tables[i]->kind);
        vex_buf_add_u64(out, checkpoint->tables[i]->pages);
        vex_buf_add_str32(out, base_name(checkpoint->tables[i]->path));
    }
    head.tables_len = (uint32_t)(out->len - start - sizeof head);
    vex_buf_add_str(out, checkpoint->manifest);
    memcpy(out->ptr + start, &head, sizeof head);
    head.crc = vex_crc32c(0, out->ptr + start + CRC_FROM, out->len - start - CRC_FROM);
    memcpy(out->ptr + start, &head, sizeof head);
}

static bool parse_tables(struct vex_str bytes, struct vex_envelope *ret)
{
    struct vex_cursor c = vex_cursor(bytes.ptr, bytes.len);

    for (uint32_t i = 0; i < ret->table_count; i++) {
        struct vex_envelope_table *table = &ret->tables[i];
        table->kind = vex_cursor_u32(&c);
        table->pages = vex_cursor_u64(&c);
        table->name = vex_cursor_str32(&c);
        if (c.bad || table->name.len == 0 || table->name.len > 255 || table->pages > UINT32_MAX ||
            memchr(table->name.ptr, '/', table->name.len) != NULL ||
            memchr(table->name.ptr, '\0', table->name.len) != NULL || table->name.ptr[0] == '.')
            return false;
    }
    return vex_cursor_left(&c) == 0;
}

bool vex_envelope_parse(struct vex_str bytes, struct vex_envelope *ret)
{
    struct vex_envelope_head head;

    *ret = (struct vex_envelope){0};
    if (bytes.len < sizeof head)
        return false;
    memcpy(&head, bytes.ptr, sizeof head);
    size_t rest = bytes.len - sizeof head;
    if (memcmp(head.magic, envelope_magic, sizeof head.magic) != 0 || head.format != ENVELOPE_FORMAT ||
        head.crc != vex_crc32c(0, bytes.ptr + CRC_FROM, bytes.len - CRC_FROM) || head.tables_len > rest ||
        head.body_len != rest - head.tables_len || head.table_count > head.tables_len || head.number == 0)
        return false;
    ret->number = head.number;
    ret->seq = head.seq;
    ret->table_count = head.table_count;
    ret->tables = vex_mem_zalloc((head.table_count + 1) * sizeof *ret->tables);
    ret->body = vex_str(bytes.ptr + sizeof head + head.tables_len, (size_t)head.body_len);
    if (parse_tables(vex_str(bytes.ptr + sizeof head, head.tables_len), ret))
        return true;
    vex_envelope_done(ret);
    return false;
}

void vex_envelope_done(struct vex_envelope *envelope)
{
    vex_mem_free(envelope->tables);
    *envelope = (struct vex_envelope){0};
}

int vex_manifest_read(struct vex_io *io, const char *dir, struct vex_buf *bytes, struct vex_envelope *ret,
                      struct vex_err *err)
{
    char path[VEX_PATH_MAX];

    *ret = (struct vex_envelope){0};
    vex_file_join(path, dir, VEX_MANIFEST);
    int r = vex_file_read(io, path, VEX_MANIFEST_MAX, bytes, err);
    if (r == VEX_ETOO_LARGE || (r == 0 && !vex_envelope_parse(vex_buf_str(bytes), ret)))
        return vex_err_set(err, VEX_ECORRUPT, "%s is damaged", path);
    return r;
}

/* 1: head, runs and envelope are sound; 0: they are not; negative: can't be read. */
static int read_meta(struct vex_io *io, struct vex_journal *journal, uint64_t size)
{
    struct vex_journal_head *head = &journal->head;
    int64_t got = vex_io_pread(io, journal->file, head, sizeof *head, 0);
    if (got < 0)
        return (int)got;
    if (got != sizeof *head || memcmp(head->magic, journal_magic, sizeof head->magic) != 0 ||
        head->format != JOURNAL_FORMAT || head->run_count > RUNS_MAX || head->envelope_len > size)
        return 0;
    journal->pages_at = vex_journal_pages_at(head->run_count, head->envelope_len);
    if (journal->pages_at > size || head->pages > (size - journal->pages_at) / VEX_PAGE)
        return 0;
    size_t runs_len = head->run_count * sizeof(struct vex_journal_run);
    size_t len = runs_len + (size_t)head->envelope_len;
    journal->meta = vex_mem_try(len + 1);
    if (journal->meta == NULL)
        return -ENOMEM;
    got = vex_io_pread(io, journal->file, journal->meta, len, sizeof *head);
    if (got < 0)
        return (int)got;
    uint32_t crc = vex_crc32c(0, (const char *)head + CRC_FROM, sizeof *head - CRC_FROM);
    if ((size_t)got != len || head->crc != vex_crc32c(crc, journal->meta, len))
        return 0;
    journal->runs = (const struct vex_journal_run *)(const void *)journal->meta;
    journal->envelope_bytes = vex_str(journal->meta + runs_len, (size_t)head->envelope_len);
    return vex_envelope_parse(journal->envelope_bytes, &journal->envelope) &&
           journal->envelope.number == head->number;
}

/* The runs name pages of the tables, and as many as the head says. */
static bool runs_fit(const struct vex_journal *journal)
{
    uint64_t pages = 0;

    for (uint32_t i = 0; i < journal->head.run_count; i++) {
        const struct vex_journal_run *run = &journal->runs[i];
        if (run->table >= journal->envelope.table_count)
            return false;
        uint64_t end = journal->envelope.tables[run->table].pages;
        if (run->count == 0 || run->first >= end || run->count > end - run->first)
            return false;
        pages += run->count;
    }
    return pages == journal->head.pages;
}

/* 1, 0 or negative, as read_meta. */
static int check_pages(struct vex_io *io, const struct vex_journal *journal)
{
    char *chunk = vex_mem_alloc(VEX_COPY_PAGES * VEX_PAGE);
    uint64_t at = journal->pages_at;
    uint32_t sum = 0;
    int r = 1;

    for (uint32_t i = 0; i < journal->head.run_count && r == 1; i++) {
        const struct vex_journal_run *run = &journal->runs[i];
        uint32_t kind = journal->envelope.tables[run->table].kind;
        for (uint64_t done = 0; done < run->count && r == 1;) {
            uint64_t n = run->count - done < VEX_COPY_PAGES ? run->count - done : VEX_COPY_PAGES;
            int64_t got = vex_io_pread(io, journal->file, chunk, n * VEX_PAGE, at);
            r = got < 0 ? (int)got : (uint64_t)got == n * VEX_PAGE;
            for (uint64_t p = 0; p < n && r == 1; p++) {
                struct vex_page_trailer trailer;
                r = vex_page_check(chunk + p * VEX_PAGE, kind, run->first + done + p, &trailer) &&
                    trailer.number == journal->head.number;
                sum = vex_crc32c(sum, &trailer.crc, sizeof trailer.crc);
            }
            done += n;
            at += n * VEX_PAGE;
        }
    }
    vex_mem_free(chunk);
    return r == 1 ? sum == journal->head.pages_crc : r;
}

int vex_journal_open(struct vex_io *io, const char *dir, struct vex_journal *ret, bool *ret_there,
                     struct vex_err *err)
{
    char path[VEX_PATH_MAX];

    *ret = (struct vex_journal){0};
    *ret_there = false;
    vex_file_join(path, dir, VEX_JOURNAL);
    int r = vex_io_open(io, path, VEX_IO_WRITE, &ret->file);
    if (r != 0)
        ret->file = NULL;
    if (r == -ENOENT)
        return 0;
    if (r != 0)
        return vex_checkpoint_fail(err, r, "open", path);
    *ret_there = true;
    int64_t size = vex_io_size(io, ret->file);
    r = size < 0 ? (int)size : read_meta(io, ret, (uint64_t)size);
    if (r == 1)
        r = runs_fit(ret) ? check_pages(io, ret) : 0;
    if (r == 1)
        return 1;
    vex_journal_close(io, ret);
    return r < 0 ? vex_checkpoint_fail(err, r, "read", path) : 0;
}

void vex_journal_close(struct vex_io *io, struct vex_journal *journal)
{
    vex_envelope_done(&journal->envelope);
    vex_mem_free(journal->meta);
    vex_io_close(io, journal->file);
    *journal = (struct vex_journal){0};
}
