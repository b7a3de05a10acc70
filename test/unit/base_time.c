/* Dates. */
#include "base/time.h"

#include <time.h>

#include "base_suite.h"

#define US INT64_C(1000000)

static void good(const char *text, int64_t us)
{
    int64_t got = -1;

    if (!vex_time_parse(vex_str_c(text), &got) || got != us) {
        printf("\n%s: got %lld, not %lld\n", text, (long long)got, (long long)us);
        CU_FAIL("date");
    }
}

static void test_spellings(void)
{
    good("1970-01-01", 0);
    good("1970-01-01T00:00:00Z", 0);
    good("2024-02-29T12:34:56Z", 1709210096 * US);
    good("2024-02-29t12:34:56z", 1709210096 * US);
    good("2024-02-29 12:34:56", 1709210096 * US);
    good("2024-02-29T12:34", (1709210096 - 56) * US);
    good("2024-02-29T12:34:56.5Z", 1709210096 * US + 500000);
    good("2024-02-29T12:34:56.123456789Z", 1709210096 * US + 123456);
    good("2024-02-29T14:34:56+02:00", 1709210096 * US);
    good("2024-02-29T14:34:56+0200", 1709210096 * US);
    good("2024-02-29T14:34:56+02", 1709210096 * US);
    good("2024-02-29T09:04:56-03:30", 1709210096 * US);
    good("1969-12-31T23:59:59.999999Z", -1);
    good("0000-03-01", -(INT64_C(719468) * 86400) * US);
    good("9999-12-31T23:59:59Z", INT64_C(253402300799) * US);
    good("2016-12-31T23:59:60Z", 1483228800 * US);
    good("2016-12-31T23:59:60.5", 1483228800 * US + 500000);
    good(" 2024-02-29T12:34:56Z", 1709210096 * US);
    good("2024-02-29T12:34:56 UTC", 1709210096 * US);
    good("2024-02-29 12:34:56utc", 1709210096 * US);
    good("2024-02-29 14:34:56 +02:00", 1709210096 * US);
    good("2024-02-29 14:34:56.25  +0200", 1709210096 * US + 250000);
    good("2024-02-29 14:34:56 +02", 1709210096 * US);
    good("2024-02-29T14:34:56+02:", 1709210096 * US);
    good("2024-02-29T14:34:56+02 : 00 ", 1709210096 * US);
    good("2024-02-29T09:04:56\xe2\x88\x92"
         "03:30",
         1709210096 * US);
    good("2024-2-29T12:34:56", 1709210096 * US);
    good("2024-02-2912:34:56", 1709210096 * US);
    good("2024-02-29\t12:34:56", 1709210096 * US);
    good("2024-02-29\xe3\x80\x80"
         "12:34:56Z",
         1709210096 * US);
    good("2024 - 02 - 29 12 : 34 : 56 Z", 1709210096 * US);
    good("2024- 02- 29T 12: 34", (1709210096 - 56) * US);
    good("2024-02-29T12:34:56.1234567890123Z", 1709210096 * US + 123456);
    good("+2024-02-29", 1709164800 * US);
    good("+12024-02-29", INT64_C(317278684800) * US);
    good("-0001-03-01", -INT64_C(62193657600) * US);
    good("24-2-29T0:0:0Z", -INT64_C(61404739200) * US);
    good("+262142-12-31", INT64_C(8210266790400) * US);
}

static void test_bad(void)
{
    static const char *const bad[] = {"",
                                      "2024",
                                      "2024-13-01",
                                      "2024-00-01",
                                      "2024-01-00",
                                      "2024-01-32",
                                      "2023-02-29",
                                      "1900-02-29",
                                      "2024-01-01T",
                                      "2024-01-01T24:00",
                                      "2024-01-01T00:60",
                                      "2024-01-01T00:00:61",
                                      "2024-01-01T00:00:00.",
                                      "2024-01-01T00:00:00+",
                                      "2024-01-01T00:00:00+1",
                                      "2024-01-01T00:00:00+24:00",
                                      "2024-01-01T00:00:00+01:60",
                                      "2024-01-01T00:00:00ZZ",
                                      "2024-01-01T00:00:00+01:0",
                                      "2024 -01-01",
                                      "2024-001-01",
                                      "02024-01-01",
                                      "2024-01-01t00:00:00",
                                      "2024-01-01T00 :00:00",
                                      "2024-01-01T00:00Z",
                                      "2024-01-01T00:00+01:00",
                                      "2024-01-01T00:00:00 ",
                                      "2024-01-01\xe3\x80\x80"
                                      "00:00:00Z ",
                                      "2024-01-01T00:00:00 .5Z",
                                      "2024-01-01T00:00:00. 5Z",
                                      "2024-01-01T00:00:00+ 01:00",
                                      "2024-01-01T00:00:00+01:00:00",
                                      "2024-01-01T00:00:00 GMT",
                                      "2024-01-01 T00:00:00Z",
                                      "2024-01-01TT00:00:00Z",
                                      "2024-01-01T",
                                      "+ 2024-01-01",
                                      "+262143-01-01",
                                      "-262144-01-01",
                                      "+99999999999999999999-01-01",
                                      "20240101",
                                      "2024-01-01Z",
                                      "2024-01-01x",
                                      "2024-01-01 ",
                                      "12024-01-01",
                                      "2024-01-01T00:00:00+01:000"};
    int64_t us = 5;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (vex_time_parse(vex_str_c(bad[i]), &us)) {
            printf("\ntaken: %s\n", bad[i]);
            CU_FAIL("bad date");
        }
    }
    CU_ASSERT_EQUAL(us, 5);
    CU_ASSERT(!vex_time_parse(vex_str(NULL, 0), &us));
}

static void shows(int64_t us, const char *text)
{
    char buf[40];
    size_t len = vex_time_text(buf, us);

    CU_ASSERT_EQUAL(strlen(text), len);
    CU_ASSERT_EQUAL(strncmp(buf, text, len), 0);
}

static void test_text(void)
{
    char buf[40];

    shows(0, "1970-01-01T00:00:00Z");
    shows(1709210096 * US, "2024-02-29T12:34:56Z");
    shows(1709210096 * US + 1, "2024-02-29T12:34:56.000001Z");
    shows(-1, "1969-12-31T23:59:59.999999Z");
    shows(-86400 * US, "1969-12-31T00:00:00Z");
    CU_ASSERT(vex_time_text(buf, INT64_MAX) < sizeof buf);
    CU_ASSERT(vex_time_text(buf, INT64_MIN) < sizeof buf);
}

/* Every third day of 400 years against the C library, there and back. */
static void test_all_days(void)
{
    bool same = true;

    for (int64_t day = -200000; day < 200000; day += 3) {
        time_t seconds = day * 86400 + 3723;
        int64_t us = 0;
        char buf[40], want[40];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &tm);
        same = same && vex_str_eq_c(vex_str(buf, vex_time_text(buf, seconds * US)), want);
        same = same && vex_time_parse(vex_str_c(want), &us) && us == seconds * US;
    }
    CU_ASSERT(same);
}

int main(void)
{
    CU_TestInfo tests[] = {{"spellings", test_spellings},
                           {"bad", test_bad},
                           {"text", test_text},
                           {"all days", test_all_days},
                           CU_TEST_INFO_NULL};
    return run_suite("time", tests);
}
