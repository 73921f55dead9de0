#include "experiments/measure/measure_trial.h"

#include <ATen/ops/empty.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "analysis/statistics.h"
#include "experiments/measure/memory.h"
#include "kernels/core/error.h"
#include "tests/experiments/measure/fake_variant.h"

namespace attnlab::measure {
namespace {

using analysis::Status;
using testing::HasSubstr;

const MeasureOptions kQuick = {
    .speed = {.warmup_s = 0, .max_time_s = 0.05, .min_samples = 2, .max_samples = 5}};

TrialMeasurement measure(const Variant& variant, Direction direction = Direction::kForward,
                         const MeasureOptions& options = kQuick) {
  return measure_trial(variant, small_problem(direction), options, {});
}

TEST(MeasureTrialTest, AnOkTrialFillsItsColumns) {
  for (const auto direction :
       {Direction::kForward, Direction::kBackward, Direction::kForwardBackward}) {
    const TrialMeasurement trial = measure(FakeVariant(), direction);
    const analysis::Record& record = trial.record;
    ASSERT_EQ(record.status, Status::kOk) << record.reason;
    EXPECT_EQ(record.kernel, "torch_ops");
    ASSERT_FALSE(trial.samples_ms.empty());
    EXPECT_EQ(record.samples, static_cast<std::int64_t>(trial.samples_ms.size()));
    EXPECT_EQ(record.time_median_ms, analysis::median(trial.samples_ms));
    EXPECT_DOUBLE_EQ(*record.tflops, *record.flops / (*record.time_median_ms * 1e9));
    EXPECT_DOUBLE_EQ(*record.gbps,
                     static_cast<double>(*record.bytes) / (*record.time_median_ms * 1e6));
    EXPECT_GE(
        *record.input_bytes + *record.output_bytes + *record.saved_bytes + *record.workspace_bytes,
        *record.peak_bytes);
    EXPECT_TRUE(record.predicted_bytes && record.error_out && record.error_ratio);
    EXPECT_TRUE(record.approx_error);
    EXPECT_EQ(record.error_dq.has_value(), direction != Direction::kForward);
  }
}

TEST(MeasureTrialTest, AWrongResultIsNotTimed) {
  FakeVariant variant;
  variant.distort = [](const Inputs&, const at::Tensor& exact) {
    return Outputs{exact.mul(1.01), std::nullopt, std::nullopt};
  };
  const TrialMeasurement trial = measure(variant);
  EXPECT_EQ(trial.record.status, Status::kWrong);
  EXPECT_THAT(trial.record.reason, HasSubstr("out: relative L2 error 0.01"));
  EXPECT_NEAR(*trial.record.error_out, 0.01, 1e-5);
  EXPECT_TRUE(trial.record.peak_bytes);
  EXPECT_FALSE(trial.record.time_median_ms || trial.record.samples || trial.record.tflops);
  EXPECT_TRUE(trial.samples_ms.empty());
}

TEST(MeasureTrialTest, WhatAVariantRefusesIsUnsupportedWithItsReason) {
  FakeVariant variant;
  variant.support = [](const Problem&) { return Support::no("only on Sundays"); };
  const auto record = measure(variant).record;
  EXPECT_EQ(record.status, Status::kUnsupported);
  EXPECT_EQ(record.reason, "only on Sundays");
  EXPECT_EQ(measure(FakeVariant(), Direction::kDecode).record.status, Status::kUnsupported);
}

TEST(MeasureTrialTest, ExceptionsBecomeStatuses) {
  FakeVariant variant;
  variant.distort = [](const Inputs&, const at::Tensor&) -> Outputs {
    throw std::runtime_error("[kernel] broke\nsecond line");
  };
  EXPECT_EQ(measure(variant).record.status, Status::kFailed);
  EXPECT_EQ(measure(variant).record.reason, "[kernel] broke");
  variant.distort = [](const Inputs&, const at::Tensor&) -> Outputs {
    throw UnsupportedError("not this one");
  };
  EXPECT_EQ(measure(variant).record.status, Status::kUnsupported);
  variant.distort = [](const Inputs&, const at::Tensor&) -> Outputs { throw std::bad_alloc(); };
  EXPECT_EQ(measure(variant).record.status, Status::kOom);
  variant.distort = [](const Inputs& inputs, const at::Tensor&) {
    return Outputs{inputs.q.reshape({-1, 7}), std::nullopt, std::nullopt};
  };
  const auto record = measure(variant).record;
  EXPECT_EQ(record.status, Status::kFailed);
  EXPECT_THAT(record.reason, HasSubstr("shape '[-1, 7]' is invalid"));
}

TEST(MeasureTrialTest, AnExceptionWhileTimingLeavesWhatIsKnown) {
  FakeVariant variant;
  int runs = 0;
  variant.distort = [&](const Inputs&, const at::Tensor& exact) {
    if (++runs == 4) throw std::runtime_error("late");
    return Outputs{exact, std::nullopt, std::nullopt};
  };
  const auto trial = measure(variant);
  EXPECT_EQ(trial.record.status, Status::kFailed);
  EXPECT_TRUE(trial.record.peak_bytes && trial.record.error_ratio);
  EXPECT_FALSE(trial.record.time_median_ms);
  EXPECT_TRUE(trial.samples_ms.empty());
}

TEST(MeasureTrialTest, APredictionAboveTheLimitIsNotStarted) {
  FakeVariant variant;
  variant.change_plan = [](Plan plan) {
    plan.workspace_bytes = 1 << 30;
    return plan;
  };
  bool ran = false;
  variant.distort = [&](const Inputs&, const at::Tensor& exact) {
    ran = true;
    return Outputs{exact, std::nullopt, std::nullopt};
  };
  MeasureOptions options = kQuick;
  options.memory_limit_bytes = 1 << 20;
  const auto record = measure(variant, Direction::kForward, options).record;
  EXPECT_EQ(record.status, Status::kOom);
  EXPECT_THAT(record.reason, HasSubstr("not started: needs about 1.00 GiB, the limit is 1.00 MiB"));
  EXPECT_FALSE(ran);
  EXPECT_GT(*record.predicted_bytes, 1 << 30);
}

TEST(MeasureTrialTest, PassingTheLimitIsOomAndHarmsNoLaterTrial) {
  FakeVariant variant;
  variant.change_plan = [](Plan plan) {
    plan.workspace_bytes = plan.saved_bytes = 0;
    return plan;
  };
  variant.distort = [](const Inputs&, const at::Tensor& exact) {
    at::empty({1 << 22}, at::kByte);
    return Outputs{exact, std::nullopt, std::nullopt};
  };
  MeasureOptions options = kQuick;
  options.memory_limit_bytes = 1 << 20;
  const std::int64_t before = live_bytes();
  const auto record = measure(variant, Direction::kForward, options).record;
  EXPECT_EQ(record.status, Status::kOom);
  EXPECT_THAT(record.reason, HasSubstr("4194304 more bytes"));
  EXPECT_FALSE(record.peak_bytes);
  EXPECT_EQ(live_bytes(), before);
  EXPECT_EQ(measure(variant).record.status, Status::kOk);
}

TEST(MeasureTrialTest, MistakesInTheConfigAreThrownOn) {
  EXPECT_THROW(measure_trial(FakeVariant(), small_problem(), kQuick, {.name = "nosuch"}),
               ConfigError);
}

}  // namespace
}  // namespace attnlab::measure
