// The sanitizer that these tests rely on is at work.
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

namespace attnlab {
namespace {

int unguarded = 0;

[[noreturn]] void race() {
  std::thread other([] { ++unguarded; });
  ++unguarded;
  other.join();
  std::exit(0);
}

TEST(ThreadSanitizerDeathTest, ReportsARaceOfTwoThreads) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(race(), testing::ExitedWithCode(66), "data race");
}

}  // namespace
}  // namespace attnlab
