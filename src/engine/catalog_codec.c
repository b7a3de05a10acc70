/* Bytes of catalog changes and of the catalog's file, which is a list of changes.
 *
 * Owner     The caller of each function. Lock: catalog_lock for the catalog.
 * Format    docs/disk-format.md, "catalog". */
#include "base/crc32c.h"
#include "engine/internal.h"

static const char magic[8] = "VEXCATLG";

#define FORMAT_VERSION 1u
#define HEAD           16u /* magic, version, crc32c of all that follows */

void vex_change_create(struct vex_buf *out, uint64_t id, const struct vex_collection_info *info)
{
    vex_buf_add_u64(out, id);
    vex_buf_add(out, info->uuid, 16);
    vex_buf_add_str32(out, info->tenant);
    vex_buf_add_str32(out, info->database);
    vex_buf_add_str32(out, info->name);
    vex_buf_add_u64(out, info->created_us);
    vex_config_encode(out, info->config);
}

void vex_change_alter(struct vex_buf *out, uint64_t id, struct vex_str name, const struct vex_config *config)
{
    vex_buf_add_u64(out, id);
    vex_buf_add_str32(out, name);
    vex_config_encode(out, config);
}

void vex_change_alias(struct vex_buf *out, struct vex_str alias, uint64_t id)
{
    vex_buf_add_str32(out, alias);
    vex_buf_add_u64(out, id);
}

void vex_change_tenant(struct vex_buf *out, struct vex_str name, struct vex_str resource)
{
    vex_buf_add_str32(out, name);
    vex_buf_add_str32(out, resource);
}

void vex_change_database(struct vex_buf *out, const uint8_t uuid[16], struct vex_str tenant,
                         struct vex_str name)
{
    vex_buf_add(out, uuid, 16);
    vex_buf_add_str32(out, tenant);
    vex_buf_add_str32(out, name);
}

/* ---- the file ---- */

static size_t begin(struct vex_buf *out, enum vex_change kind)
{
    vex_buf_add_u32(out, (uint32_t)kind);
    vex_buf_add_u32(out, 0);
    return out->len;
}

static void end(struct vex_buf *out, size_t at)
{
    uint32_t len = (uint32_t)(out->len - at);

    memcpy(out->ptr + at - 4, &len, sizeof len);
}

static void encode_collections(struct vex_buf *out, const struct vex_catalog *catalog)
{
    for (struct vex_collection *c = catalog->oldest; c != NULL; c = c->newer) {
        struct vex_collection_info info = {.tenant = c->tenant,
                                           .database = c->database,
                                           .name = c->name,
                                           .created_us = c->created_us,
                                           .config = vex_collection_config(c)};
        size_t at = begin(out, VEX_CHANGE_CREATE);

        memcpy(info.uuid, c->uuid, 16);
        vex_change_create(out, c->id, &info);
        vex_config_unref(info.config);
        end(out, at);
    }
}

void vex_catalog_encode(struct vex_buf *out, const struct vex_catalog *catalog)
{
    size_t start = out->len, at;
    struct vex_str alias;
    uint32_t crc;
    void *value;

    vex_buf_add(out, magic, sizeof magic);
    vex_buf_add_u32(out, FORMAT_VERSION);
    vex_buf_add_u32(out, 0);
    vex_buf_add_u64(out, catalog->seq);
    vex_buf_add_u64(out, catalog->next_id);
    for (const struct vex_catalog_tenant *t = catalog->tenants; t != NULL; t = t->next) {
        at = begin(out, VEX_CHANGE_TENANT);
        vex_change_tenant(out, t->name, t->resource);
        end(out, at);
    }
    for (const struct vex_catalog_database *d = catalog->databases; d != NULL; d = d->next) {
        at = begin(out, VEX_CHANGE_DATABASE);
        vex_change_database(out, d->uuid, d->tenant, d->name);
        end(out, at);
    }
    encode_collections(out, catalog);
    at = begin(out, VEX_CHANGE_ALIASES);
    for (size_t i = 0; vex_map_next(&catalog->aliases, &i, &alias, &value);)
        vex_change_alias(out, alias, ((const struct vex_collection *)value)->id);
    end(out, at);
    crc = vex_crc32c(0, out->ptr + start + HEAD, out->len - start - HEAD);
    memcpy(out->ptr + start + HEAD - 4, &crc, sizeof crc);
}

int vex_catalog_decode(struct vex_engine *engine, struct vex_str bytes, struct vex_err *err)
{
    struct vex_cursor c = vex_cursor(bytes.ptr, bytes.len);
    const char *head = vex_cursor_bytes(&c, sizeof magic);
    uint32_t version = vex_cursor_u32(&c), crc = vex_cursor_u32(&c);
    uint64_t seq, next_id;

    if (c.bad || memcmp(head, magic, sizeof magic) != 0 || vex_crc32c(0, c.at, vex_cursor_left(&c)) != crc)
        return vex_err_set(err, VEX_ECORRUPT, "the catalog's file is damaged");
    if (version != FORMAT_VERSION)
        return vex_err_set(err, VEX_ECORRUPT, "the catalog's file has version %u, this server reads %u",
                           version, FORMAT_VERSION);
    seq = vex_cursor_u64(&c);
    next_id = vex_cursor_u64(&c);
    /* The file says everything: also that the defaults are gone. */
    vex_catalog_done(&engine->catalog);
    engine->catalog = (struct vex_catalog){0};
    while (vex_cursor_left(&c) > 0) {
        uint32_t kind = vex_cursor_u32(&c);
        struct vex_str body = vex_cursor_str32(&c);
        int rc = c.bad ? vex_err_set(err, VEX_ECORRUPT, "the catalog's file is cut short")
                       : vex_catalog_apply(engine, (enum vex_change)kind, body, err);
        if (rc != 0)
            return rc;
    }
    engine->catalog.seq = seq;
    engine->catalog.next_id = next_id;
    engine->catalog.changes = 0;
    return 0;
}
