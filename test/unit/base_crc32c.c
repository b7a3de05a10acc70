/* CRC32C: the vectors of RFC 3720 B.4, and the fast path against the table on all small lengths and many
 * large ones. */
#include "base/crc32c.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

static void rfc3720_vectors(void)
{
    unsigned char buf[32];
    memset(buf, 0, sizeof buf);
    CU_ASSERT_EQUAL(vex_crc32c(0, buf, 32), 0x8a9136aau);
    memset(buf, 0xff, sizeof buf);
    CU_ASSERT_EQUAL(vex_crc32c(0, buf, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        buf[i] = (unsigned char)i;
    CU_ASSERT_EQUAL(vex_crc32c(0, buf, 32), 0x46dd794eu);
    for (int i = 0; i < 32; i++)
        buf[i] = (unsigned char)(31 - i);
    CU_ASSERT_EQUAL(vex_crc32c(0, buf, 32), 0x113fdb5cu);
    static const unsigned char read_command[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18,
        0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    CU_ASSERT_EQUAL(vex_crc32c(0, read_command, sizeof read_command), 0xd9963a56u);
    CU_ASSERT_EQUAL(vex_crc32c(0, "123456789", 9), 0xe3069283u);
    CU_ASSERT_EQUAL(vex_crc32c(0, "", 0), 0);
    CU_ASSERT_EQUAL(vex_crc32c(0x12345678u, NULL, 0), 0x12345678u);
}

static void fast_equals_table(void)
{
    enum { SIZE = 40000 };
    unsigned char *buf = malloc(SIZE);
    srand(7);
    for (int i = 0; i < SIZE; i++)
        buf[i] = (unsigned char)rand();
    int bad = 0;
    for (size_t len = 0; len < 2000; len++)
        bad += vex_crc32c(1, buf + len % 9, len) != vex_crc32c_portable(1, buf + len % 9, len);
    for (int i = 0; i < 1000; i++) {
        size_t at = (size_t)rand() % 1000, len = (size_t)rand() % (SIZE - 1000);
        uint32_t seed = (uint32_t)rand();
        bad += vex_crc32c(seed, buf + at, len) != vex_crc32c_portable(seed, buf + at, len);
    }
    CU_ASSERT_EQUAL(bad, 0);
    free(buf);
}

static void pieces_equal_whole(void)
{
    unsigned char buf[9000];
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (unsigned char)(i * 31);
    uint32_t whole = vex_crc32c(0, buf, sizeof buf);
    int bad = 0;
    for (size_t cut = 0; cut <= sizeof buf; cut += 7)
        bad += vex_crc32c(vex_crc32c(0, buf, cut), buf + cut, sizeof buf - cut) != whole;
    CU_ASSERT_EQUAL(bad, 0);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("base_crc32c", NULL, NULL);
    CU_add_test(suite, "vectors of RFC 3720", rfc3720_vectors);
    CU_add_test(suite, "fast path equals the table", fast_equals_table);
    CU_add_test(suite, "pieces equal the whole", pieces_equal_whole);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
