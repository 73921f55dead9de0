#include "experiments/measure/noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

namespace attnlab::measure {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(NoiseTest, AQuietRowHasNoReason) {
  const Noise noise = {.other_cpus = 0.2, .relative_width = 0.1};
  EXPECT_THAT(noise_causes(noise, {}), IsEmpty());
  EXPECT_EQ(noise_reason(noise), "");
}

TEST(NoiseTest, EveryCauseIsNamedWithItsValue) {
  Noise noise = {.other_cpus = 1.23,
                 .stolen_cpus = 0.5,
                 .threads_to_pin = 8,
                 .relative_width = 0.25,
                 .gpu_throttle = {"heat", "power"}};
  noise.causes = noise_causes(noise, {});
  EXPECT_THAT(noise.causes,
              ElementsAre(HasSubstr("1.2 CPUs"), HasSubstr("0.50 CPUs"), HasSubstr("25 % wide"),
                          HasSubstr("not 8 CPUs"), HasSubstr("heat, power")));
  EXPECT_THAT(noise_reason(noise), testing::StartsWith("noisy: other programs"));
  EXPECT_EQ(to_json(noise).at("causes").size(), 5u);
}

TEST(NoiseTest, AShortTimeSaysNothingAboutOthers) {
  const Noise noise = NoiseWatch(0).finish({}, nullptr);
  EXPECT_FALSE(noise.other_cpus || noise.stolen_cpus);
  EXPECT_TRUE(to_json(noise).at("other_cpus").is_null());
}

TEST(NoiseTest, LimitsDecide) {
  const Noise noise = {.other_cpus = 0.2, .relative_width = 0.1};
  EXPECT_EQ(noise_causes(noise, {.relative_width = 0.05, .other_cpus = 0.1}).size(), 2u);
}

// Work of this process is not that of others. (How busy others are is not ours to say, so only
// the difference between the two is looked at, and generously.)
TEST(NoiseTest, OwnWorkIsNotThatOfOthers) {
  const CpuTimes before = read_cpu_times();
  const NoiseWatch watch(0);
  std::atomic<bool> stop = false;
  std::thread worker([&] {
    while (!stop) {
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  const Noise noise = watch.finish({}, nullptr);
  const CpuTimes after = read_cpu_times();
  stop = true;
  worker.join();
  const double wall = after.wall_s - before.wall_s;
  const double all = (after.busy_s - before.busy_s) / wall;
  const double own = (after.own_s - before.own_s) / wall;
  ASSERT_TRUE(noise.other_cpus);
  EXPECT_NEAR(*noise.other_cpus, std::max(all - own, 0.0), 0.2);
}

}  // namespace
}  // namespace attnlab::measure
