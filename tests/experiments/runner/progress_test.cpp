#include "experiments/runner/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace attnlab::runner {
namespace {

TEST(Progress, Durations) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(21.4), "0:21");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(725), "12:05");
  EXPECT_EQ(format_duration(3725), "1:02:05");
  EXPECT_EQ(format_duration(-1), "0:00");
}

TEST(Progress, TheEstimateIsTheMeanOfThoseDone) {
  EXPECT_EQ(Progress::time_line(0, 0, 60), "elapsed 0:00");
  EXPECT_EQ(Progress::time_line(20, 10, 60), "elapsed 0:20, about 1:40 left");
  EXPECT_EQ(Progress::time_line(120, 60, 60), "elapsed 2:00");
}

TEST(Progress, NoControlCharactersWhereNotInteractive) {
  std::ostringstream stream;
  Progress progress(stream, 12, false);
  progress.start("flash n=1024 forward");
  EXPECT_EQ(stream.str(), "");
  progress.finish("flash n=1024 forward", "4.31 ms  2.1 MiB");
  EXPECT_TRUE(
      stream.str().starts_with("[ 1/12] flash n=1024 forward  4.31 ms  2.1 MiB  | elapsed "))
      << stream.str();
  EXPECT_EQ(stream.str().find_first_of("\r\x1b"), std::string::npos);
  EXPECT_EQ(stream.str().back(), '\n');
}

TEST(Progress, TheRunningTrialIsOverwritten) {
  std::ostringstream stream;
  Progress progress(stream, 2, true);
  progress.start("full n=64 forward");
  EXPECT_TRUE(stream.str().starts_with("\r\x1b[K[1/2] full n=64 forward  running"));
  EXPECT_EQ(stream.str().find('\n'), std::string::npos);
  progress.finish("full n=64 forward", "1.00 ms");
  EXPECT_NE(stream.str().find("\r\x1b[K[1/2] full n=64 forward  1.00 ms"), std::string::npos);
  EXPECT_EQ(progress.done(), 1u);
}

}  // namespace
}  // namespace attnlab::runner
