#include "analysis/longest_table.h"

#include <gtest/gtest.h>

#include <vector>

namespace attnlab::analysis {
namespace {

Record row(const std::string& id, std::int64_t seqlen, Status status) {
  Record record;
  record.run_id = "r";
  record.trial_id = id;
  record.variant = "full";
  record.options = "{}";
  record.direction = "forward";
  record.dtype = "float32";
  record.device = "cpu";
  record.batch = 1;
  record.heads = record.kv_heads = 4;
  record.head_dim = 64;
  record.causal = true;
  record.inputs = "gaussian";
  record.threads = 2;
  record.seqlen_q = record.seqlen_k = seqlen;
  record.status = status;
  return record;
}

Record summary(const std::string& id, std::int64_t longest) {
  Record record = row(id, longest, Status::kOk);
  record.task = "longest";
  record.metric = "longest_seqlen";
  record.metric_value = static_cast<double>(longest);
  return record;
}

TEST(LongestTable, ShowsLengthTimeMemoryAndWhatStoppedIt) {
  std::vector<Record> rows = {row("001_full_n512_forward", 512, Status::kOk),
                              row("001_full_n640_forward", 640, Status::kOom),
                              row("001_full_n1024_forward", 1024, Status::kOom),
                              summary("001_full_longest_forward", 512)};
  rows[0].time_median_ms = 1.5;
  rows[0].peak_bytes = 3 << 20;
  // Another search: slow beyond 256. Its rows are not those of the first.
  for (auto record :
       {row("002_full_n256_x", 256, Status::kOk), row("002_full_n512_x", 512, Status::kOk),
        summary("002_full_longest_x", 256)}) {
    record.direction = "backward";
    if (record.seqlen_q == 256 && record.task.empty()) record.time_median_ms = 20.0;
    rows.push_back(record);
  }
  EXPECT_EQ(longest_table(rows),
            "longest sequence that fits; float32 on cpu: batch 1, heads 4, head_dim 64, causal, "
            "gaussian inputs, 2 threads\n"
            "  variant  direction  longest N     time  peak memory     stopped by\n"
            "  full       forward        512  1.50 ms     3.00 MiB  memory at 640\n"
            "  full      backward        256  20.0 ms            -    time at 512\n");
}

TEST(LongestTable, SaysWhereNoneFitsAndWhereNothingStopped) {
  Record none = summary("001_full_longest_forward", 0);
  none.status = Status::kCrashed;
  none.metric_value.reset();
  none.seqlen_q.reset();
  none.seqlen_k.reset();
  const std::vector<Record> rows = {row("001_full_n64_forward", 64, Status::kCrashed),
                                    row("001_full_n128_forward", 128, Status::kOom), none,
                                    row("002_full_n4096_forward", 4096, Status::kOk),
                                    summary("002_full_longest_forward", 4096)};
  EXPECT_EQ(longest_table(rows),
            "longest sequence that fits; float32 on cpu: batch 1, heads 4, head_dim 64, causal, "
            "gaussian inputs, 2 threads\n"
            "  variant  direction  longest N  time  peak memory                 stopped by\n"
            "  full       forward       none     -            -              crashed at 64\n"
            "  full       forward       4096     -            -  nothing up to longest.max\n");
}

TEST(LongestTable, LengthsOfTheKeysWhereQueriesStay) {
  std::vector<Record> rows = {row("001_full_n1x512_forward", 512, Status::kOk),
                              row("001_full_n1x1024_forward", 1024, Status::kOom),
                              summary("001_full_longest_forward", 512)};
  for (Record& record : rows) record.seqlen_q = 1;
  EXPECT_NE(longest_table(rows).find("memory at 1024"), std::string::npos);
}

TEST(LongestTable, IsEmptyForOtherRuns) {
  const std::vector<Record> rows = {row("001_full_n64_forward", 64, Status::kOk)};
  EXPECT_EQ(longest_table(rows), "");
}

}  // namespace
}  // namespace attnlab::analysis
