/* Bodies of gRPC messages: in one piece, unpacked with a bound. */
#include <zlib.h>

#include "grpc_kit.h"

static grpc_byte_buffer *buffer_of(const void *bytes, size_t len, size_t piece,
                                   grpc_compression_algorithm algorithm)
{
    grpc_slice slices[64];
    size_t n = 0;
    for (size_t at = 0; at < len; at += piece)
        slices[n++] =
            grpc_slice_from_copied_buffer((const char *)bytes + at, len - at < piece ? len - at : piece);
    grpc_byte_buffer *buffer = algorithm == GRPC_COMPRESS_NONE
                                   ? grpc_raw_byte_buffer_create(slices, n)
                                   : grpc_raw_compressed_byte_buffer_create(slices, n, algorithm);
    while (n > 0)
        grpc_slice_unref(slices[--n]);
    return buffer;
}

static int open_bytes(const void *bytes, size_t len, size_t piece, grpc_compression_algorithm algorithm,
                      size_t max, struct vex_buf *out)
{
    grpc_byte_buffer *buffer = buffer_of(bytes, len, piece, algorithm);
    struct message message;
    struct vex_err err = {0};
    int code = vex_grpc_message_open(buffer, max, &message, &err);
    CU_ASSERT_EQUAL(err.code, code);
    out->len = 0;
    if (code == 0)
        vex_buf_add(out, message.bytes, message.len);
    vex_grpc_message_close(&message);
    grpc_byte_buffer_destroy(buffer);
    return code;
}

static size_t packed(const void *bytes, size_t len, int window, uint8_t *ret, size_t room)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes,
                       .avail_in = (uInt)len,
                       .next_out = ret,
                       .avail_out = (uInt)room};
    CU_ASSERT_FATAL(deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    CU_ASSERT_FATAL(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static void plain(void)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct vex_buf out;
    vex_buf_init(&out, NULL);
    for (size_t piece = 1; piece < 40; piece++) {
        CU_ASSERT_EQUAL(open_bytes(text, 36, piece, GRPC_COMPRESS_NONE, 36, &out), 0);
        CU_ASSERT(out.len == 36 && memcmp(out.ptr, text, 36) == 0);
        CU_ASSERT_EQUAL(open_bytes(text, 36, piece, GRPC_COMPRESS_NONE, 35, &out), VEX_ETOO_LARGE);
    }
    CU_ASSERT_EQUAL(open_bytes(text, 0, 1, GRPC_COMPRESS_NONE, 10, &out), 0);
    CU_ASSERT_EQUAL(out.len, 0);
    vex_buf_done(&out);
}

static void compressed(void)
{
    size_t len = 200000, room = 400000;
    uint8_t *bytes = malloc(len), *small = malloc(room);
    struct vex_buf out;
    vex_buf_init(&out, NULL);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * i >> 7);
    for (int gzip = 0; gzip < 2; gzip++) {
        grpc_compression_algorithm algorithm = gzip ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_DEFLATE;
        size_t n = packed(bytes, len, gzip ? 31 : 15, small, room);
        for (size_t piece = n; piece > n / 50 + 1; piece -= n / 7) {
            CU_ASSERT_EQUAL(open_bytes(small, n, piece, algorithm, len, &out), 0);
            CU_ASSERT(out.len == len && memcmp(out.ptr, bytes, len) == 0);
        }
        CU_ASSERT_EQUAL(open_bytes(small, n, n, algorithm, len - 1, &out), VEX_ETOO_LARGE);
        CU_ASSERT_EQUAL(open_bytes(small, n - 1, n, algorithm, len, &out), VEX_EFORMAT);
        CU_ASSERT_EQUAL(open_bytes(small, n, n, gzip ? GRPC_COMPRESS_DEFLATE : GRPC_COMPRESS_GZIP, len, &out),
                        VEX_EFORMAT);
        small[n] = 'x';
        CU_ASSERT_EQUAL(open_bytes(small, n + 1, n + 1, algorithm, len, &out), VEX_EFORMAT);
        CU_ASSERT_EQUAL(open_bytes(small, n + 1, n, algorithm, len, &out), VEX_EFORMAT);
        small[n / 2] ^= 0x55;
        CU_ASSERT(open_bytes(small, n, n, algorithm, len, &out) < 0); /* of a wrong shape, or too long */
        CU_ASSERT_EQUAL(open_bytes(small, 0, 1, algorithm, len, &out), VEX_EFORMAT);
        n = packed(bytes, 0, gzip ? 31 : 15, small, room);
        CU_ASSERT_EQUAL(open_bytes(small, n, n, algorithm, 0, &out), 0);
        CU_ASSERT_EQUAL(out.len, 0);
    }
    free(bytes);
    free(small);
    vex_buf_done(&out);
}

/* 64 MB of zeros in 64 KB: refused after the bound, whatever would come. */
static void bomb(void)
{
    size_t len = 64 << 20, room = 1 << 20;
    uint8_t *zeros = calloc(1, len), *small = malloc(room);
    size_t n = packed(zeros, len, 31, small, room);
    struct vex_buf out;
    vex_buf_init(&out, NULL);
    CU_ASSERT(n < 100000);
    CU_ASSERT_EQUAL(open_bytes(small, n, n, GRPC_COMPRESS_GZIP, 1 << 20, &out), VEX_ETOO_LARGE);
    /* Cut after the bound was passed: that it is too large was known before its end was missed. */
    CU_ASSERT_EQUAL(open_bytes(small, n / 2, n, GRPC_COMPRESS_GZIP, 1 << 20, &out), VEX_ETOO_LARGE);
    free(zeros);
    free(small);
    vex_buf_done(&out);
}

static struct vex_str key_from(const char *name, const char *value)
{
    grpc_metadata header[2] = {
        {.key = grpc_slice_from_static_string("user-agent"), .value = grpc_slice_from_static_string("x")},
        {.key = grpc_slice_from_static_string(name), .value = grpc_slice_from_static_string(value)}};
    grpc_metadata_array headers = {.count = 2, .capacity = 2, .metadata = header};
    return vex_grpc_key(&headers);
}

static void keys(void)
{
    CU_ASSERT(vex_str_eq_c(key_from("api-key", "secret"), "secret"));
    CU_ASSERT(vex_str_eq_c(key_from("authorization", "Bearer secret"), "secret"));
    CU_ASSERT(vex_str_eq_c(key_from("authorization", "bEARER secret"), "secret"));
    CU_ASSERT_PTR_NULL(key_from("authorization", "Basic secret").ptr);
    CU_ASSERT_PTR_NULL(key_from("authorization", "bearer").ptr);
    CU_ASSERT_PTR_NULL(key_from("api-keys", "secret").ptr);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"plain", plain}, {"compressed", compressed}, {"bomb", bomb}, {"keys", keys}, CU_TEST_INFO_NULL};
    grpc_init();
    int failed = run_suite("gRPC messages", tests);
    grpc_shutdown_blocking();
    return failed;
}
