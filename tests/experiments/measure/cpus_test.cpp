#include "experiments/measure/cpus.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <thread>

#include "kernels/ops/torch_parallel.h"

namespace attnlab::measure {
namespace {

std::set<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::set<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set) != 0) cpus.insert(cpu);
  }
  return cpus;
}

TEST(CpusTest, ListsEveryAllowedCpuOnce) {
  const std::vector<int> cpus = cpus_by_core();
  EXPECT_EQ(std::set<int>(cpus.begin(), cpus.end()), allowed_cpus());
  EXPECT_EQ(cpus.size(), allowed_cpus().size());
}

// In a thread of its own with a pool of its own: a binding lasts.
TEST(CpusTest, EveryThreadOfThePoolStaysOnItsCpu) {
  std::thread([] {
    const auto threads = static_cast<int>(std::min<std::size_t>(2, cpus_by_core().size()));
    at::set_num_threads(threads);
    const std::vector<int> cpus = pin_threads(threads);
    ASSERT_EQ(cpus.size(), static_cast<std::size_t>(threads));
    EXPECT_EQ(allowed_cpus(), std::set<int>{cpus[0]});
    std::vector<std::set<int>> seen(cpus.size());
    ops::torch_parallel()(
        threads, [&](int thread) { seen[static_cast<std::size_t>(thread)] = allowed_cpus(); });
    std::set<int> all;
    for (const std::set<int>& one : seen) {
      EXPECT_EQ(one.size(), 1u);
      all.insert(one.begin(), one.end());
    }
    EXPECT_EQ(all, std::set<int>(cpus.begin(), cpus.end()));
  }).join();
}

TEST(CpusTest, BindsNothingWhereThereAreTooFewCpus) {
  std::thread([] {
    const std::set<int> before = allowed_cpus();
    EXPECT_TRUE(pin_threads(100000).empty());
    EXPECT_TRUE(pin_threads(0).empty());
    EXPECT_EQ(allowed_cpus(), before);
  }).join();
}

TEST(CpusTest, OwnTimeGrowsWithWork) {
  const CpuTimes before = read_cpu_times();
  double sum = 0;
  while (read_cpu_times().own_s - before.own_s < 0.05) {
    for (int i = 0; i < 100000; ++i) sum += std::sqrt(static_cast<double>(i));
  }
  const CpuTimes after = read_cpu_times();
  EXPECT_GT(sum, 0);
  EXPECT_GT(after.wall_s, before.wall_s);
  EXPECT_GE(after.busy_s, before.busy_s);
}

}  // namespace
}  // namespace attnlab::measure
