#include "analysis/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "analysis/table.h"

namespace attnlab::analysis {
namespace {

using testing::HasSubstr;
using testing::Not;

Record row(const std::string& variant, std::int64_t seqlen, double time_ms) {
  Record record;
  record.variant = variant;
  record.options = "{}";
  record.device = "cpu";
  record.dtype = "float32";
  record.direction = "forward";
  record.inputs = "text";
  record.batch = 1;
  record.heads = record.kv_heads = 4;
  record.seqlen_q = record.seqlen_k = seqlen;
  record.head_dim = 64;
  record.causal = true;
  record.threads = 2;
  record.status = Status::kOk;
  record.time_median_ms = time_ms;
  record.peak_bytes = seqlen * 1024;
  record.approx_error = 0.125;
  record.error_ratio = 1.5;
  return record;
}

TEST(SummaryTest, ShowsCostAndLossOfEachVariantOverLength) {
  std::vector<Record> records = {row("full", 256, 1), row("full", 512, 4), row("window", 256, 1),
                                 row("window", 512, 2)};
  records[2].options = records[3].options = R"({"size":64,"side":"left"})";
  EXPECT_EQ(
      summary_table(records),
      R"(forward, float32 on cpu: batch 1, heads 4, head_dim 64, causal, text inputs, 2 threads
  sequence length N             256      512  growth
 time (median)
  full                      1.00 ms  4.00 ms  N^2.00
  window size=64 side=left  1.00 ms  2.00 ms  N^1.00
 peak memory
  full                      256 KiB  512 KiB  N^1.00
  window size=64 side=left  256 KiB  512 KiB  N^1.00
 loss: distance to exact full attention (relative L2; 0 = none, 1 = all)
  full                        0.125    0.125
  window size=64 side=left    0.125    0.125
 rounding: error / error of the same formula in plain Torch (gate: 2, gradients 3)
  full                          1.5      1.5
  window size=64 side=left      1.5      1.5
)");
}

TEST(SummaryTest, AStatusStandsInPlaceOfTheTime) {
  std::vector<Record> records = {row("full", 256, 1), row("full", 512, 4)};
  records[1].status = Status::kWrong;  // a stale time must not show
  records[1].error_ratio = 40;
  const std::string text = summary_table(records);
  EXPECT_THAT(text, HasSubstr("  full               1.00 ms    wrong       -\n"));
  EXPECT_THAT(text, HasSubstr(" 40\n"));
  EXPECT_THAT(text, Not(HasSubstr("4.00 ms")));
}

TEST(SummaryTest, OneBlockForEachDirectionAndNoEmptyParts) {
  std::vector<Record> records = {row("full", 256, 1), row("full", 256, 9)};
  records[1].direction = "forward_backward";
  for (Record& record : records) record.error_ratio = record.approx_error = std::nullopt;
  const std::string text = summary_table(records);
  EXPECT_THAT(text, HasSubstr("\nforward_backward, float32"));
  EXPECT_THAT(text, Not(HasSubstr("loss:")));
  EXPECT_THAT(text, Not(HasSubstr("rounding:")));
  EXPECT_THAT(text, Not(HasSubstr("metric")));
}

TEST(SummaryTest, MissingCellsAndCrossLengths) {
  std::vector<Record> records = {row("full", 256, 1), row("flash", 512, 2)};
  records[1].seqlen_k = 1024;
  const std::string text = summary_table(records);
  EXPECT_THAT(text, HasSubstr("512x1024"));
  EXPECT_THAT(text, HasSubstr("  full               1.00 ms         -       -\n"));
}

TEST(SummaryTest, StaysWithinAHundredColumns) {
  std::vector<Record> records;
  for (std::int64_t seqlen = 256; seqlen <= 32768; seqlen *= 2) {
    records.push_back(row("sliding_window", seqlen, 123.4));
    records.back().options = R"({"window":256})";
  }
  const std::string text = summary_table(records);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 100u) << line;
  EXPECT_THAT(text, HasSubstr("32768"));
}

TEST(SummaryTest, LongOptionsShowOnlyWhereTheyTellRowsApart) {
  std::vector<Record> records = {row("linear", 256, 1)};
  records[0].options = R"({"feature_map":"elu","normalize":true})";
  EXPECT_THAT(summary_table(records), Not(HasSubstr("feature_map")));
  records.push_back(records[0]);
  records[1].options = R"({"feature_map":"relu","normalize":true})";
  EXPECT_THAT(summary_table(records), HasSubstr("linear feature_map=elu normalize=true"));
  EXPECT_THAT(summary_table(records), HasSubstr("linear feature_map=relu normalize=true"));
}

TEST(SummaryTest, WhatAllModelsHaveInCommonIsNotShown) {
  std::vector<Record> records = {row("full", 256, 1), row("linear", 256, 1)};
  records[0].options = R"({"model.dim":128,"model.depth":3})";
  records[1].options = R"({"model.dim":128,"model.depth":4})";
  EXPECT_THAT(summary_table(records), HasSubstr("  full model.depth=3"));
  EXPECT_THAT(summary_table(records), Not(HasSubstr("model.dim")));
}

TEST(SummaryTest, NoRecordsNoTable) { EXPECT_EQ(summary_table({}), ""); }

TEST(SummaryTest, LabelSurvivesOptionsThatAreNoJson) {
  Record record;
  record.variant = "x";
  record.options = "{broken";
  EXPECT_EQ(variant_label(record), "x");
}

}  // namespace
}  // namespace attnlab::analysis
