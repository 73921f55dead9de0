#include "analysis/evaluations_table.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace attnlab::analysis {
namespace {

Record training(const std::string& id, const std::string& variant, const std::string& options) {
  Record record;
  record.trial_id = id;
  record.variant = variant;
  record.options = options;
  record.task = "mqar pairs=4";
  record.metric = "accuracy";
  record.seqlen_q = 64;
  record.status = Status::kOk;
  return record;
}

const char* const kEvaluations =
    "trial_id,test,answered_by,slice,metric,value,ci,samples\n"
    "1,,model,,accuracy,0.997,0.01,100\n"
    "1,,model,distance=1,accuracy,0.5,0.01,100\n"
    "1,,chance,,accuracy,0.0078125,nan,100\n"
    "1,seqlen=128,model,,accuracy,0.25,0.01,100\n"
    "2,,model,,accuracy,0.8,0.01,100\n"
    "2,,chance,,accuracy,0.0078125,nan,100\n"
    "2,,reach_of_window,,accuracy,0.575,nan,100\n";

TEST(EvaluationsTable, ShowsScoresBesideWhatIsReachedWithoutLearning) {
  const std::vector<Record> records = {training("1", "full", R"({"model.depth":3})"),
                                       training("2", "window", R"({"size":16,"model.depth":3})")};
  EXPECT_EQ(evaluations_table(records, parse_csv(kEvaluations, "test")),
            "mqar pairs=4, trained at 64 tokens: accuracy on the test part\n"
            "  test                 as trained  seqlen=128\n"
            "  full                      0.997        0.25\n"
            "  window size=16              0.8           -\n"
            "    (reach_of_window)       0.575           -\n"
            "  (chance)                0.00781           -\n");
}

TEST(EvaluationsTable, TasksAndLengthsStandApartAndFailuresAreLeftOut) {
  std::vector<Record> records = {training("1", "full", "{}"), training("2", "full", "{}")};
  records[1].seqlen_q = 128;
  const std::string text = evaluations_table(records, parse_csv(kEvaluations, "test"));
  EXPECT_NE(text.find("trained at 64 tokens"), std::string::npos);
  EXPECT_NE(text.find("trained at 128 tokens"), std::string::npos);
  records[0].status = records[1].status = Status::kFailed;
  EXPECT_EQ(evaluations_table(records, parse_csv(kEvaluations, "test")), "");
}

TEST(EvaluationsTable, PrecisionsOfAVariantAreRowsOfTheirOwn) {
  std::vector<Record> records = {training("1", "full", "{}"), training("2", "full", "{}")};
  records[0].dtype = "float32";
  records[1].dtype = "bfloat16";
  EXPECT_EQ(evaluations_table(records, parse_csv(kEvaluations, "test")),
            "mqar pairs=4, trained at 64 tokens: accuracy on the test part\n"
            "  test                 as trained  seqlen=128\n"
            "  full                      0.997        0.25\n"
            "  full dtype=bfloat16         0.8           -\n"
            "    (reach_of_window)       0.575           -\n"
            "  (chance)                0.00781           -\n");
}

TEST(EvaluationsTable, WhatIsNoNumberIsSaidInWords) {
  const std::vector<Record> records = {training("1", "full", "{}")};
  EXPECT_THROW(evaluations_table(records, parse_csv("trial_id,test,answered_by,slice,value\n"
                                                    "1,,model,,x\n",
                                                    "test")),
               ConfigError);
  EXPECT_THROW(evaluations_table(records, parse_csv("trial_id,test\n1,2\n", "test")), ConfigError);
}

}  // namespace
}  // namespace attnlab::analysis
