#include "experiments/measure/memory.h"

#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace attnlab::measure {
namespace {

class MemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    install_counting_allocator();
    start_ = live_bytes();
  }
  std::int64_t extra() const { return live_bytes() - start_; }
  std::int64_t start_ = 0;
};

TEST_F(MemoryTest, CountsTheBytesAskedFor) {
  at::Tensor a = at::empty({1000}, at::kFloat);
  EXPECT_EQ(extra(), 4000);
  const at::Tensor view = a.narrow(0, 0, 10);
  const at::Tensor b = at::empty({7}, at::kByte);
  EXPECT_EQ(extra(), 4007);
  a.reset();
  EXPECT_EQ(extra(), 4007) << "a view keeps its storage";
}

TEST_F(MemoryTest, EverythingComesBack) {
  {
    const at::Tensor a = at::empty({123}, at::kDouble);
    const at::Tensor b = at::empty({0}, at::kFloat);
    EXPECT_EQ(extra(), 984);
  }
  EXPECT_EQ(extra(), 0);
}

TEST_F(MemoryTest, PeakIsTheHighestSumNotTheSumOfAll) {
  const at::Tensor outside = at::empty({500}, at::kByte);
  const PeakScope scope;
  EXPECT_EQ(scope.peak_bytes(), 0);
  { const at::Tensor a = at::empty({300}, at::kByte); }
  const at::Tensor b = at::empty({200}, at::kByte);
  EXPECT_EQ(scope.peak_bytes(), 300);
  { const at::Tensor c = at::empty({250}, at::kByte); }
  EXPECT_EQ(scope.peak_bytes(), 450);
}

TEST_F(MemoryTest, ScopesDoNotNest) {
  const PeakScope scope;
  EXPECT_THROW(PeakScope(), std::logic_error);
}

TEST_F(MemoryTest, RawInterfaceCounts) {
  c10::Allocator* allocator = c10::GetCPUAllocator();
  void* block = allocator->raw_allocate(777);
  EXPECT_EQ(extra(), 777);
  allocator->raw_deallocate(block);
  EXPECT_EQ(extra(), 0);
}

TEST_F(MemoryTest, InstallingAgainChangesNothing) {
  c10::Allocator* allocator = c10::GetCPUAllocator();
  install_counting_allocator();
  EXPECT_EQ(c10::GetCPUAllocator(), allocator);
}

TEST_F(MemoryTest, ThreadsDoNotLoseBytes) {
  {
    const PeakScope scope;
    std::vector<std::jthread> threads;
    std::vector<at::Tensor> kept(4);
    for (std::size_t t = 0; t < kept.size(); ++t) {
      threads.emplace_back([&kept, t] {
        for (int i = 0; i < 2000; ++i) at::empty({64 + i % 7}, at::kByte);
        kept[t] = at::empty({1000}, at::kByte);
      });
    }
    threads.clear();
    EXPECT_EQ(extra(), 4000);
    EXPECT_GE(scope.peak_bytes(), 4000);
    EXPECT_LE(scope.peak_bytes(), 4000 + 4 * 70);
  }
  EXPECT_EQ(extra(), 0);
}

TEST_F(MemoryTest, MemoryFreedByAnotherThreadCounts) {
  at::Tensor a = at::empty({100}, at::kByte);
  std::jthread([moved = std::move(a)]() mutable { moved.reset(); }).join();
  EXPECT_EQ(extra(), 0);
}

TEST_F(MemoryTest, LimitRefusesTheAllocationThatWouldPassIt) {
  const at::Tensor before = at::empty({5000}, at::kByte);
  {
    const AllocationLimit limit(1000);
    at::Tensor fits = at::empty({1000}, at::kByte);
    EXPECT_THROW(at::empty({1}, at::kByte), c10::OutOfMemoryError);
    fits.reset();
    EXPECT_NO_THROW(at::empty({900}, at::kByte));
    EXPECT_THROW(at::empty({1001}, at::kByte), c10::OutOfMemoryError);
    EXPECT_THROW(AllocationLimit(5), std::logic_error);
  }
  EXPECT_EQ(extra(), 5000) << "refused bytes are not counted";
  EXPECT_NO_THROW(at::empty({100000}, at::kByte));
}

TEST_F(MemoryTest, WhatTheMachineRefusesIsOutOfMemoryToo) {
  EXPECT_THROW(at::empty({std::int64_t{1} << 52}, at::kByte), c10::OutOfMemoryError);
  EXPECT_EQ(extra(), 0);
}

TEST_F(MemoryTest, PeakRssFollowsTouchedPages) {
  if (!reset_peak_rss()) GTEST_SKIP() << "the kernel does not allow a reset of the peak";
  const auto before = peak_rss_bytes();
  constexpr std::int64_t kBytes = 64 << 20;
  { at::empty({kBytes}, at::kByte).fill_(1); }
  const auto after = peak_rss_bytes();
  ASSERT_TRUE(before && after);
  EXPECT_GE(*after - *before, kBytes * 9 / 10);
  ASSERT_TRUE(reset_peak_rss());
  EXPECT_LT(*peak_rss_bytes(), *after);
}

TEST(AvailableMemoryTest, IsPositiveAndBelowAPetabyte) {
  const auto bytes = available_memory_bytes();
  ASSERT_TRUE(bytes.has_value());
  EXPECT_GT(*bytes, 0);
  EXPECT_LT(*bytes, std::int64_t{1} << 50);
}

}  // namespace
}  // namespace attnlab::measure
