// Children of several threads at once: each gets its own result, and none holds a pipe of another.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "experiments/process/child_process.h"

namespace attnlab::process {
namespace {

TEST(ConcurrentChildren, EachThreadGetsTheResultOfItsOwnChild) {
  constexpr int kThreads = 4;
  constexpr int kChildren = 12;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kChildren; ++i) {
        const std::string word = std::to_string(thread) + "-" + std::to_string(i);
        ChildRequest request;
        request.arguments = {"/bin/sh", "-c", "cat; printf 'result ' >&3; echo " + word + " >&3"};
        request.input = word;
        request.memory_limit_bytes = std::int64_t{1} << 30;
        const ChildResult child = run_child(request);
        right += child.end == ChildEnd::kExited && child.exit_code == 0 && child.output == word &&
                 child.result == "result " + word + "\n";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kThreads * kChildren);
}

TEST(ConcurrentChildren, AChildThatHangsHoldsNoPipeOfAnother) {
  std::thread hanging([] {
    ChildRequest request;
    request.arguments = {"/bin/sh", "-c", "sleep 30"};
    EXPECT_EQ(run_child(request).end, ChildEnd::kSignalled);
  });
  for (int i = 0; i < 20; ++i) {
    ChildRequest request;
    request.arguments = {"/bin/sh", "-c", "echo here"};
    request.time_limit_s = 20;
    const ChildResult child = run_child(request);
    EXPECT_EQ(child.end, ChildEnd::kExited);
    EXPECT_EQ(child.output, "here\n");
  }
  kill_running_children();
  hanging.join();
}

}  // namespace
}  // namespace attnlab::process
