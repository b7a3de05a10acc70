/* Chroma's REST dialect from inside: readers of bodies, writers of replies, routes. Private to chroma_*.c and
 * native.c.
 *
 * Bodies are read by field tables, in the order of the document and with the words of the peer's reader, so
 * that the first complaint is the same one. Texts point into the request's parser. */
#ifndef VEX_REST_CHROMA_H
#define VEX_REST_CHROMA_H

#include "api/chroma/chroma.h"
#include "api/service.h"
#include "base/json_write.h"
#include "rest/request.h"

/* A body being read. */
struct vex_chroma_reader {
    struct vex_rest_request *request;
    struct vex_arena *arena;
    struct vex_err *err;
    const char *at; /* path of the value: "metadatas[0].a" */
};

/* One member of a body: where its value goes and who reads it. */
struct vex_chroma_field {
    const char *name;
    size_t offset; /* in the request struct */
    int (*read)(struct vex_chroma_reader *reader, struct vex_json v, void *ret);
    bool required;
    bool
        null; /* null is a value; else it counts as absent (required: it is given to `read`, which refuses) */
};

/* "<path>: <why>" as a shape error (422). */
int vex_chroma_misfit(struct vex_chroma_reader *reader, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Reads an object by a table; unknown members are passed over. */
int vex_chroma_read_fields(struct vex_chroma_reader *reader, struct vex_json object,
                           const struct vex_chroma_field *fields, size_t count, void *ret);
/* Content type, JSON, object, fields: a whole body. */
int vex_chroma_read_body(struct vex_rest_request *request, const struct vex_chroma_field *fields,
                         size_t count, void *ret);

/* Readers. */
int vex_chroma_read_text(struct vex_chroma_reader *reader, struct vex_json v, void *ret); /* struct vex_str */
int vex_chroma_read_bool(struct vex_chroma_reader *reader, struct vex_json v, void *ret); /* bool */
int vex_chroma_read_u32(struct vex_chroma_reader *reader, struct vex_json v, void *ret);  /* uint64_t */
int vex_chroma_read_ids(struct vex_chroma_reader *reader, struct vex_json v,
                        void *ret); /* struct vex_chroma_texts */
int vex_chroma_read_texts(struct vex_chroma_reader *reader, struct vex_json v,
                          void *ret); /* the same, nulls allowed */
int vex_chroma_read_include(struct vex_chroma_reader *reader, struct vex_json v,
                            void *ret); /* struct vex_chroma_includes */
int vex_chroma_read_value(struct vex_chroma_reader *reader, struct vex_json v,
                          void *ret); /* struct vex_value, as it is */
int vex_chroma_read_where(struct vex_chroma_reader *reader, struct vex_json v,
                          void *ret); /* struct vex_value */
int vex_chroma_read_where_document(struct vex_chroma_reader *reader, struct vex_json v, void *ret);
/* Lists of vectors: as JSON numbers or base64; the same with nulls; numbers only. */
int vex_chroma_read_vectors(struct vex_chroma_reader *reader, struct vex_json v, void *ret);
int vex_chroma_read_vectors_or_null(struct vex_chroma_reader *reader, struct vex_json v, void *ret);
int vex_chroma_read_queries(struct vex_chroma_reader *reader, struct vex_json v, void *ret);
/* Metadata of a collection, of new records (no nulls), of changed records (null deletes a key). */
int vex_chroma_read_metadata(struct vex_chroma_reader *reader, struct vex_json v,
                             void *ret); /* struct vex_value */
int vex_chroma_read_metadatas(struct vex_chroma_reader *reader, struct vex_json v,
                              void *ret); /* struct vex_chroma_values */
int vex_chroma_read_changes(struct vex_chroma_reader *reader, struct vex_json v, void *ret);
/* Configurations: of a new collection, of a change. struct vex_chroma_settings. */
int vex_chroma_read_settings(struct vex_chroma_reader *reader, struct vex_json v, void *ret);
int vex_chroma_read_settings_change(struct vex_chroma_reader *reader, struct vex_json v, void *ret);

/* Metadata without what is hidden; null when absent. */
void vex_chroma_put_metadata(struct vex_jw *w, struct vex_value metadata);
/* {"error", "message"} and the status of an error; an unknown route has no body. */
void vex_chroma_put_error(struct vex_rest_request *request);

#endif
