#include "experiments/runner/isolated_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "experiments/process/frame.h"
#include "experiments/runner/worker_messages.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

using analysis::Status;
using process::ChildEnd;
using process::ChildResult;
using testing::HasSubstr;

config::TrialConfig config_with_limits() {
  config::TrialConfig config;
  config.time_limit_s = 2;
  config.memory_limit_bytes = 1 << 20;
  return config;
}

TrialResult interpreted(const ChildResult& child, std::int64_t oom_kills = 0) {
  return interpret(child, config_with_limits(), std::int64_t{3} << 30, oom_kills);
}

TrialResult measured() {
  TrialResult result;
  result.record.status = Status::kOk;
  result.record.time_median_ms = 0.1 + 0.2;
  result.record.error_out = std::numeric_limits<double>::infinity();
  result.record.reason = "with \"quotes\",\nlines and \xc3\xa4";
  result.samples_ms = {1.0 / 3.0, 2e-300};
  return result;
}

TEST(WorkerMessages, ResultComesBackBitForBit) {
  const TrialResult result = measured();
  const TrialResult decoded = decode_result(encode_result(result));
  EXPECT_EQ(decoded.record, result.record);
  EXPECT_EQ(decoded.samples_ms, result.samples_ms);
}

TEST(WorkerMessages, RefusesWhatIsNone) {
  for (const char* text : {"", "{}", "[1]", "{\"record\": 1, \"samples_ms\": []}"}) {
    EXPECT_THROW(decode_result(text), ConfigError) << text;
    EXPECT_THROW(decode_task(text), ConfigError) << text;
  }
}

TEST(Interpret, TakesTheResultOfAWorkerThatEndedWell) {
  ChildResult child;
  child.result = process::encode_frame(encode_result(measured()));
  EXPECT_EQ(interpreted(child).record, measured().record);
}

TEST(Interpret, ADamagedResultIsAFailure) {
  ChildResult child;
  child.result = process::encode_frame(encode_result(measured()));
  child.result.pop_back();
  EXPECT_EQ(interpreted(child).record.status, Status::kFailed);
  child.result = process::encode_frame("{}");
  EXPECT_EQ(interpreted(child).record.status, Status::kFailed);
}

TEST(Interpret, NamesExitCodeAndLastWords) {
  ChildResult child;
  child.exit_code = 7;
  child.output = "loading\nno such thing\n\n";
  const TrialResult result = interpreted(child);
  EXPECT_EQ(result.record.status, Status::kCrashed);
  EXPECT_EQ(result.record.reason,
            "its process exited with code 7 before the result: no such thing");
}

TEST(Interpret, NamesTheSignal) {
  ChildResult child;
  child.end = ChildEnd::kSignalled;
  child.signal = SIGSEGV;
  EXPECT_THAT(interpreted(child).record.reason, HasSubstr("signal 11 (Segmentation fault)"));
  EXPECT_EQ(interpreted(child).record.status, Status::kCrashed);
}

TEST(Interpret, AKillByTheSystemForMemoryIsOom) {
  ChildResult child;
  child.end = ChildEnd::kSignalled;
  child.signal = SIGKILL;
  EXPECT_EQ(interpreted(child).record.status, Status::kCrashed);
  EXPECT_EQ(interpreted(child, 1).record.status, Status::kOom);
}

TEST(Interpret, LimitsAreNamed) {
  ChildResult child;
  child.end = ChildEnd::kTimedOut;
  EXPECT_EQ(interpreted(child).record.status, Status::kTimeout);
  EXPECT_THAT(interpreted(child).record.reason, HasSubstr("limits.time_s is 2"));
  child.end = ChildEnd::kOutOfMemory;
  EXPECT_EQ(interpreted(child).record.status, Status::kOom);
  EXPECT_THAT(interpreted(child).record.reason,
              HasSubstr("allowed are 3.00 GiB (limits.memory is 1.00 MiB"));
  EXPECT_THAT(interpret(child, config::TrialConfig(), std::int64_t{3} << 30, 0).record.reason,
              HasSubstr("allowed are 3.00 GiB (all that was free when it started"));
}

TEST(IsolatedTrial, AWorkerThatCannotStartIsARow) {
  Trial trial;
  trial.trial_id = "001";
  const TrialResult result = run_isolated_trial(trial, {{}, "/no/such/program"}, {});
  EXPECT_EQ(result.record.status, Status::kFailed);
  EXPECT_THAT(result.record.reason, HasSubstr("cannot start a child"));
  EXPECT_EQ(result.record.trial_id, "001");
}

}  // namespace
}  // namespace attnlab::runner
