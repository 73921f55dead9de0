#include "experiments/bench/result.h"

#include <gtest/gtest.h>

#include "analysis/csv.h"

namespace attnlab::bench {
namespace {

Result sample_result() {
  Result r;
  r.bench_case = {.group = "exact_forward", .heads = 4, .kv_heads = 4, .seqlen = 8, .head_dim = 64};
  r.isa = "avx2";
  r.kernel = "kernel_a";
  r.peer = "torch, or so";
  r.ours = {2.0, 1.5, 2.5};
  r.theirs = {5.0, 4.0, 6.0};
  r.samples = 7;
  r.work = 3e8;
  r.unit = "GFLOP/s";
  r.ceiling = "fma_avx2";
  r.ceilings = {{"fma_avx2", 200.0}};
  r.relative_l2 = 1e-7;
  r.tolerance = 3e-5;
  return r;
}

std::string cell(const analysis::Table& table, std::size_t row, std::string_view column) {
  return table.rows.at(row).at(table.column(column));
}

TEST(Result, DerivedNumbers) {
  const Result r = sample_result();
  EXPECT_DOUBLE_EQ(r.achieved(), 150);  // 3e8 flops in 2 ms
  EXPECT_DOUBLE_EQ(r.fraction(), 0.75);
  EXPECT_DOUBLE_EQ(r.speedup(), 2.5);
}

TEST(Result, TimesAreQuantiles) {
  const std::vector<double> samples = {50, 10, 30, 20, 40, 60};
  const Times times = times_of(samples);
  EXPECT_DOUBLE_EQ(times.median_ms, 35);
  EXPECT_DOUBLE_EQ(times.p20_ms, 20);
  EXPECT_DOUBLE_EQ(times.p80_ms, 50);
}

TEST(Result, CsvReadsBack) {
  Result failed = sample_result();
  failed.error = "differs, \"much\"";
  const RunInfo run = {"a cpu, fast", "2.11.0", "wall", "kept", "abc"};
  const std::string text = analysis::csv_line(csv_columns()) +
                           analysis::csv_line(csv_fields(sample_result(), run)) +
                           analysis::csv_line(csv_fields(failed, run));
  const analysis::Table table = analysis::parse_csv(text, "bench.csv");
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(cell(table, 0, "case"), "exact_forward/float32/H4/N8/d64/full/threads:1");
  EXPECT_EQ(cell(table, 0, "peer"), "torch, or so");
  EXPECT_EQ(cell(table, 0, "ours_p80_ms"), "2.5");
  EXPECT_EQ(cell(table, 0, "peer_median_ms"), "5");
  EXPECT_EQ(cell(table, 0, "speedup"), "2.5");
  EXPECT_EQ(cell(table, 0, "ceiling_value"), "200");
  EXPECT_EQ(cell(table, 0, "fma_avx2_gfs"), "200");
  EXPECT_EQ(cell(table, 0, "read_gbs"), "");
  EXPECT_EQ(cell(table, 0, "fraction"), "0.75");
  EXPECT_EQ(cell(table, 0, "cpu_model"), "a cpu, fast");
  EXPECT_EQ(cell(table, 0, "commit"), "abc");
  EXPECT_EQ(cell(table, 0, "error"), "");
  EXPECT_EQ(cell(table, 1, "error"), "differs, \"much\"");
  EXPECT_EQ(cell(table, 1, "speedup"), "");
}

}  // namespace
}  // namespace attnlab::bench
