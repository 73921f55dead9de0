#include "experiments/measure/speed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "kernels/core/error.h"

namespace attnlab::measure {
namespace {

void spend_2_ms() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

// All arithmetic: no test depends on how fast this machine is.
TEST(SpeedPlanTest, FillsTheBudgetUpToMaxSamples) {
  const SpeedOptions options = {
      .warmup_s = 0, .max_time_s = 1, .min_samples = 5, .max_samples = 40};
  EXPECT_EQ(plan_speed(0.1, options).samples, 10);
  EXPECT_EQ(plan_speed(0.1, options).iterations, 1);
  EXPECT_EQ(plan_speed(0.01, options).samples, 40);
}

TEST(SpeedPlanTest, TheCapWinsOverMinSamplesButOneIsTaken) {
  const SpeedOptions options = {
      .warmup_s = 0, .max_time_s = 1, .min_samples = 5, .max_samples = 40};
  EXPECT_EQ(plan_speed(0.4, options).samples, 2);
  EXPECT_EQ(plan_speed(30, options).samples, 1);
}

TEST(SpeedPlanTest, ShortRunsAreBatchedToAMillisecond) {
  const SpeedOptions options = {
      .warmup_s = 0, .max_time_s = 1, .min_samples = 5, .max_samples = 40};
  EXPECT_EQ(plan_speed(1e-5, options).iterations, 100);
  EXPECT_EQ(plan_speed(1e-5, options).samples, 40);
  EXPECT_EQ(plan_speed(2e-3, options).iterations, 1);
  EXPECT_GE(plan_speed(0, options).iterations, 1);
}

TEST(SpeedPlanTest, BatchesLeaveRoomForMinSamples) {
  const SpeedOptions options = {
      .warmup_s = 0, .max_time_s = 1e-3, .min_samples = 5, .max_samples = 40};
  const SpeedPlan plan = plan_speed(1e-5, options);
  EXPECT_EQ(plan.iterations, 20);
  EXPECT_EQ(plan.samples, 5);
}

TEST(SpeedTest, TakesAsManySamplesAsPlanned) {
  const SpeedOptions options = {
      .warmup_s = 0, .max_time_s = 60, .min_samples = 2, .max_samples = 7};
  int runs = 0;
  const SpeedResult result = measure_speed(
      [&] {
        ++runs;
        spend_2_ms();
      },
      options);
  EXPECT_EQ(result.samples_ms.size(), 7u);
  EXPECT_EQ(runs, 8) << "one warm-up run and seven samples of one run";
  // A sleep never ends early, whatever the load.
  for (const double sample : result.samples_ms) EXPECT_GE(sample, 2.0);
  auto sorted = result.samples_ms;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(result.median_ms, sorted[3]);
  EXPECT_LE(result.p10_ms, result.median_ms);
  EXPECT_GE(result.p90_ms, result.median_ms);
  ASSERT_TRUE(result.ci_low_ms && result.ci_high_ms);
  EXPECT_LE(*result.ci_low_ms, *result.ci_high_ms);
}

TEST(SpeedTest, StopsWhereTheIntervalIsNarrowEnough) {
  // Sleeps of some milliseconds differ by far less than their own length.
  SpeedOptions options = {.warmup_s = 0, .max_time_s = 60, .min_samples = 4, .max_samples = 200};
  options.rel_width = 5;
  const SpeedResult narrow = measure_speed(spend_2_ms, options);
  EXPECT_EQ(narrow.samples_ms.size(), 4u);
  EXPECT_EQ(narrow.stopped_by, SpeedStop::kWidth);
  EXPECT_LE(narrow.relative_width(), 5);
  options.rel_width = 1e-12;
  options.max_samples = 9;
  const SpeedResult all = measure_speed(spend_2_ms, options);
  EXPECT_EQ(all.samples_ms.size(), 9u) << "in rounds of 4, 2, 3";
  EXPECT_EQ(all.stopped_by, SpeedStop::kSamples);
  options.max_time_s = 0.005;
  const SpeedResult few = measure_speed(spend_2_ms, options);
  EXPECT_LE(few.samples_ms.size(), 2u);
  EXPECT_EQ(few.stopped_by, SpeedStop::kTime);
}

TEST(SpeedTest, RelativeWidthOfAnInterval) {
  SpeedResult result;
  EXPECT_EQ(result.relative_width(), 0);
  result.median_ms = 4;
  result.ci_low_ms = 3.5;
  result.ci_high_ms = 4.5;
  EXPECT_DOUBLE_EQ(result.relative_width(), 0.25);
}

TEST(SpeedTest, OneSampleHasNoInterval) {
  const SpeedResult result = measure_speed(
      spend_2_ms, {.warmup_s = 0, .max_time_s = 1e-6, .min_samples = 1, .max_samples = 9});
  EXPECT_EQ(result.samples_ms.size(), 1u);
  EXPECT_EQ(result.median_ms, result.samples_ms[0]);
  EXPECT_FALSE(result.ci_low_ms || result.ci_high_ms);
}

TEST(SpeedTest, ExceptionsComeOutAsTheyAre) {
  const SpeedOptions options = {
      .warmup_s = 0, .max_time_s = 60, .min_samples = 2, .max_samples = 5};
  EXPECT_THROW(measure_speed([] { throw UnsupportedError("in the warm-up"); }, options),
               UnsupportedError);
  int runs = 0;
  const auto fails_later = [&] {
    spend_2_ms();
    if (++runs == 3) throw std::out_of_range("in the third run");
  };
  try {
    measure_speed(fails_later, options);
    FAIL();
  } catch (const std::out_of_range& error) {
    EXPECT_STREQ(error.what(), "in the third run");
  }
  EXPECT_EQ(runs, 3) << "nothing runs after the exception";
  EXPECT_EQ(measure_speed(spend_2_ms, options).samples_ms.size(), 5u)
      << "the engine is clean again";
}

TEST(SpeedTest, PrintsNothing) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  measure_speed(spend_2_ms, {.warmup_s = 0, .max_time_s = 1, .min_samples = 2, .max_samples = 3});
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(SpeedTest, RefusesOptionsWithoutSense) {
  EXPECT_THROW(measure_speed([] {}, {.max_time_s = 0}), ConfigError);
  EXPECT_THROW(measure_speed([] {}, {.min_samples = 0}), ConfigError);
  EXPECT_THROW(measure_speed([] {}, {.min_samples = 5, .max_samples = 4}), ConfigError);
  EXPECT_THROW(measure_speed([] {}, {.warmup_s = -1}), ConfigError);
}

/// A device that starts nothing: it counts and answers 1, 2, 3 ... ms.
class FakeDevice : public ops::Device {
 public:
  ops::DeviceInfo info() const override { return {}; }
  ops::DeviceClocks clocks() const override { return {}; }
  void synchronize() const override { ++synchronized; }
  ops::DeviceMemory memory() const override { return {}; }
  void reset_peak_memory() const override {}
  void release_cached_memory() const override {}
  std::vector<double> time_ms(const std::function<void()>& run,
                              const ops::DeviceTiming& timing) const override {
    asked = timing;
    run();
    std::vector<double> samples;
    for (std::int64_t i = 0; i < timing.samples; ++i) samples.push_back(static_cast<double>(i + 1));
    return samples;
  }
  ops::OpPlan plan_attention(const AttentionShape&) const override { return {}; }
  ops::OpPlan plan_attention_backward(const AttentionShape&) const override { return {}; }
  ops::OpPlan plan_decode_attention(const AttentionShape&) const override { return {}; }
  ops::OpPlan plan_linear_attention(const AttentionShape&, bool) const override { return {}; }
  ops::OpPlan plan_linear_attention_backward(const AttentionShape&, bool) const override {
    return {};
  }

  mutable int synchronized = 0;
  mutable ops::DeviceTiming asked;
};

TEST(DeviceSpeedTest, WaitsInTheWarmUpAndTakesTheDevicesTimes) {
  const FakeDevice device;
  int runs = 0;
  const SpeedResult result =
      measure_device_speed(device, [&] { ++runs; },
                           {.warmup_s = 0, .max_time_s = 1, .min_samples = 2, .max_samples = 5});
  EXPECT_EQ(runs, 2) << "one in the warm-up, one inside the fake";
  EXPECT_EQ(device.synchronized, 1) << "a start alone is no run";
  EXPECT_EQ(result.samples_ms, (std::vector<double>{1, 2, 3, 4, 5}));
  EXPECT_EQ(result.median_ms, 3);
}

TEST(DeviceSpeedTest, WithAColdCacheASampleIsOneRun) {
  const FakeDevice device;
  SpeedOptions options = {.warmup_s = 0, .max_time_s = 1, .min_samples = 2, .max_samples = 5};
  measure_device_speed(
      device, [] {}, options);
  EXPECT_TRUE(device.asked.flush_l2);
  EXPECT_EQ(device.asked.iterations, 1);
  options.l2_flush = false;
  measure_device_speed(
      device, [] {}, options);
  EXPECT_FALSE(device.asked.flush_l2);
  EXPECT_GT(device.asked.iterations, 1) << "an empty run is far below 1 ms";
}

}  // namespace
}  // namespace attnlab::measure
