/* The served schema: names of files and symbols in the descriptor set that the build embedded
 * (reflection.cmake).
 *
 * Role      Walks encoded descriptors where they lie; nothing is unpacked. Format:
 * google/protobuf/descriptor.proto. Threads   Any; the table of files is made at first use. */
#include "grpc/reflection.h"

#include <stdlib.h>

#include "grpc_schema.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

enum { SET_FILE = 1, NAME = 1, FILE_PACKAGE = 2, FILE_IMPORT = 3 };

/* What a descriptor can hold; the number of the field that holds it. Values of an enum are named beside it,
 * not in it. */
enum kind { KIND_FILE, KIND_MESSAGE, KIND_ENUM, KIND_SERVICE, KIND_LEAF, KIND_COUNT };
static const struct {
    unsigned number;
    enum kind kind;
} children[KIND_COUNT][6] = {
    [KIND_FILE] = {{4, KIND_MESSAGE}, {5, KIND_ENUM}, {6, KIND_SERVICE}, {7, KIND_LEAF}},
    [KIND_MESSAGE] = {{2, KIND_LEAF}, {3, KIND_MESSAGE}, {4, KIND_ENUM}, {6, KIND_LEAF}, {8, KIND_LEAF}},
    [KIND_ENUM] = {{2, KIND_LEAF}},
    [KIND_SERVICE] = {{2, KIND_LEAF}},
};

/* ---- fields ---- */

struct field {
    unsigned number;
    struct vex_str bytes; /* of a length-delimited one */
};

static bool take_varint(struct vex_str *at, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; shift < 64 && at->len != 0; shift += 7) {
        unsigned char byte = (unsigned char)*at->ptr;
        *at = vex_str(at->ptr + 1, at->len - 1);
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* The next field; false at the end. */
static bool take_field(struct vex_str *at, struct field *ret)
{
    uint64_t key, len = 0;
    if (!take_varint(at, &key))
        return false;
    *ret = (struct field){.number = (unsigned)(key >> 3)};
    switch (key & 7) {
    case WIRE_VARINT:
        return take_varint(at, &len);
    case WIRE_64:
        len = 8;
        break;
    case WIRE_32:
        len = 4;
        break;
    case WIRE_LEN:
        if (!take_varint(at, &len))
            return false;
        break;
    default:
        return false;
    }
    if (len > at->len)
        return false;
    ret->bytes = vex_str(at->ptr, (size_t)len);
    *at = vex_str(at->ptr + len, at->len - (size_t)len);
    return true;
}

static struct vex_str bytes_of(struct vex_str descriptor, unsigned number)
{
    struct field field;
    while (take_field(&descriptor, &field))
        if (field.number == number)
            return field.bytes;
    return vex_str(NULL, 0);
}

/* ---- symbols ---- */

static bool holds(enum kind kind, struct vex_str descriptor, struct vex_str symbol);

static bool child_holds(enum kind kind, struct vex_str child, struct vex_str symbol)
{
    struct vex_str name = bytes_of(child, NAME);
    if (vex_str_eq(name, symbol))
        return true;
    if (kind == KIND_ENUM && holds(KIND_ENUM, child, symbol))
        return true;
    if (symbol.len <= name.len || !vex_str_starts(symbol, name) || symbol.ptr[name.len] != '.')
        return false;
    return holds(kind, child, vex_str(symbol.ptr + name.len + 1, symbol.len - name.len - 1));
}

static bool holds(enum kind kind, struct vex_str descriptor, struct vex_str symbol)
{
    struct field field;
    while (take_field(&descriptor, &field))
        for (size_t i = 0; i < sizeof children[kind] / sizeof *children[kind]; i++)
            if (children[kind][i].number == field.number && field.bytes.ptr != NULL &&
                child_holds(children[kind][i].kind, field.bytes, symbol))
                return true;
    return false;
}

/* ---- files ---- */

static struct vex_schema_file files[VEX_SCHEMA_FILES_MAX];
static uint32_t file_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct vex_schema_file *named(struct vex_str name)
{
    for (uint32_t i = 0; i < file_count; i++)
        if (vex_str_eq(files[i].name, name))
            return &files[i];
    return NULL;
}

/* The set lists what is imported before what imports it. */
static void add_file(struct vex_str bytes)
{
    struct vex_schema_file *file = &files[file_count];
    struct field field;
    *file = (struct vex_schema_file){.name = bytes_of(bytes, NAME),
                                     .package = bytes_of(bytes, FILE_PACKAGE),
                                     .bytes = bytes,
                                     .closure = UINT64_C(1) << file_count};
    while (take_field(&bytes, &field)) {
        const struct vex_schema_file *import = field.number == FILE_IMPORT ? named(field.bytes) : NULL;
        if (import != NULL)
            file->closure |= import->closure;
    }
    file_count++;
}

static void load(void)
{
    struct vex_str set = vex_str((const char *)vex_grpc_schema, vex_grpc_schema_len);
    struct field field;
    while (take_field(&set, &field)) {
        if (file_count == VEX_SCHEMA_FILES_MAX)
            abort(); /* the build made it: room has to be made here */
        if (field.number == SET_FILE)
            add_file(field.bytes);
    }
}

const struct vex_schema_file *vex_schema_files(uint32_t *ret_count)
{
    pthread_once(&once, load);
    *ret_count = file_count;
    return files;
}

const struct vex_schema_file *vex_schema_by_name(struct vex_str name)
{
    pthread_once(&once, load);
    return named(name);
}

const struct vex_schema_file *vex_schema_by_symbol(struct vex_str symbol)
{
    pthread_once(&once, load);
    for (uint32_t i = 0; i < file_count; i++) {
        struct vex_str package = files[i].package;
        if (symbol.len <= package.len + 1 || !vex_str_starts(symbol, package) ||
            symbol.ptr[package.len] != '.')
            continue;
        if (holds(KIND_FILE, files[i].bytes,
                  vex_str(symbol.ptr + package.len + 1, symbol.len - package.len - 1)))
            return &files[i];
    }
    return NULL;
}
