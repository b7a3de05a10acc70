/* Metrics: values and the text a scraper reads. */
#include "base/metrics.h"

#include <pthread.h>

#include "base_suite.h"

static struct vex_metric_hist shared;

static void *hammer(void *arg)
{
    (void)arg;
    for (uint64_t i = 1; i <= 10000; i++) {
        vex_metric_add(VEX_METRIC_WAL_SYNCS, 1);
        vex_metric_hist_add(&shared, i * 1000);
    }
    return NULL;
}

static void test_table(void)
{
    struct vex_buf out;
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, hammer, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    vex_metric_set(VEX_METRIC_QUEUED, 3);
    vex_buf_init(&out, NULL);
    vex_metrics_print(&out, "p_");
    CU_ASSERT(vex_str_contains(vex_buf_str(&out), VEX_STR("\n# TYPE p_vexfs_wal_syncs_total counter\n"
                                                          "p_vexfs_wal_syncs_total 40000\n")));
    CU_ASSERT(vex_str_contains(vex_buf_str(&out), VEX_STR("# HELP p_vexfs_mutations_queued ")));
    CU_ASSERT(vex_str_contains(vex_buf_str(&out), VEX_STR("# TYPE p_vexfs_mutations_queued gauge\n"
                                                          "p_vexfs_mutations_queued 3\n")));
    CU_ASSERT_EQUAL(out.ptr[out.len - 1], '\n');
    vex_buf_done(&out);

    CU_ASSERT_EQUAL(shared.count, 40000);
    CU_ASSERT_EQUAL(shared.min_ns, 1000);
    CU_ASSERT_EQUAL(shared.max_ns, 10000000);
}

static void test_histogram(void)
{
    struct vex_metric_hist hist = {0};
    struct vex_buf out;

    vex_metric_hist_add(&hist, 1000); /* on the bound: le means less or equal */
    vex_metric_hist_add(&hist, 1001);
    vex_metric_hist_add(&hist, UINT64_C(60000000000));
    vex_buf_init(&out, NULL);
    vex_metric_hist_print(&out, "h", "method=\"GET\"", &hist);
    CU_ASSERT(vex_str_starts(vex_buf_str(&out), VEX_STR("h_bucket{method=\"GET\",le=\"0.000001\"} 1\n"
                                                        "h_bucket{method=\"GET\",le=\"0.000005\"} 2\n")));
    CU_ASSERT(vex_str_contains(vex_buf_str(&out), VEX_STR("h_bucket{method=\"GET\",le=\"50\"} 2\n"
                                                          "h_bucket{method=\"GET\",le=\"+Inf\"} 3\n"
                                                          "h_sum{method=\"GET\"} 60.000002001\n"
                                                          "h_count{method=\"GET\"} 3\n")));
    out.len = 0;
    vex_metric_hist_print(&out, "h", "", &hist);
    CU_ASSERT(vex_str_starts(vex_buf_str(&out), VEX_STR("h_bucket{le=\"0.000001\"} 1\n")));
    CU_ASSERT(vex_str_contains(vex_buf_str(&out), VEX_STR("\nh_count 3\n")));
    vex_buf_done(&out);
}

int main(void)
{
    CU_TestInfo tests[] = {{"table", test_table}, {"histogram", test_histogram}, CU_TEST_INFO_NULL};
    return run_suite("metrics", tests);
}
