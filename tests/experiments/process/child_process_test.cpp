#include "experiments/process/child_process.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

namespace attnlab::process {
namespace {

ChildRequest shell(const std::string& script) {
  ChildRequest request;
  request.arguments = {"/bin/sh", "-c", script};
  return request;
}

bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0; }

TEST(RunChild, ReturnsExitCodeOutputAndResult) {
  ChildRequest request = shell("cat; echo to stderr >&2; printf answer >&3; exit 7");
  request.input = "from stdin\n";
  const ChildResult result = run_child(request);
  EXPECT_EQ(result.end, ChildEnd::kExited);
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.output, "from stdin\nto stderr\n");
  EXPECT_EQ(result.result, "answer");
  EXPECT_GT(result.peak_rss_bytes, 0);
}

TEST(RunChild, NamesTheSignal) {
  const ChildResult result = run_child(shell("kill -SEGV $$"));
  EXPECT_EQ(result.end, ChildEnd::kSignalled);
  EXPECT_EQ(result.signal, SIGSEGV);
}

TEST(RunChild, ThrowsWhereTheProgramIsMissing) {
  ChildRequest request;
  request.arguments = {"/no/such/program"};
  EXPECT_THROW(run_child(request), std::system_error);
}

TEST(RunChild, EndsAHangingChildByTerm) {
  ChildRequest request = shell("trap 'echo told; exit 0' TERM; while :; do sleep 0.01; done");
  request.time_limit_s = 0.2;
  const ChildResult result = run_child(request);
  EXPECT_EQ(result.end, ChildEnd::kTimedOut);
  EXPECT_TRUE(result.output.ends_with("told\n")) << result.output;  // sh may speak of its sleep
}

TEST(RunChild, KillsAChildThatIgnoresTerm) {
  ChildRequest request = shell("trap '' TERM; echo here; while :; do sleep 0.01; done");
  request.time_limit_s = 0.2;
  request.grace_s = 0.2;
  const ChildResult result = run_child(request);
  EXPECT_EQ(result.end, ChildEnd::kTimedOut);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_EQ(result.output, "here\n");
}

TEST(RunChild, KillsAChildBeyondItsMemory) {
  // tail keeps the last line, and there is never a line's end.
  ChildRequest request = shell("exec tail /dev/zero");
  request.memory_limit_bytes = std::int64_t{64} << 20;
  const ChildResult result = run_child(request);
  EXPECT_EQ(result.end, ChildEnd::kOutOfMemory);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_GT(result.peak_rss_bytes, request.memory_limit_bytes / 2);
}

TEST(RunChild, KeepsBeginningAndEndOfAGibibyteOfOutput) {
  ChildRequest request = shell("echo first; head -c 1073741824 /dev/zero; echo last; echo ok >&3");
  request.output_limit_bytes = 1000;
  const ChildResult result = run_child(request);
  EXPECT_EQ(result.end, ChildEnd::kExited);
  EXPECT_LT(result.output.size(), 1100u);
  EXPECT_TRUE(result.output.starts_with("first\n"));
  EXPECT_TRUE(result.output.ends_with("last\n"));
  EXPECT_NE(result.output.find("bytes are left out here"), std::string::npos);
  EXPECT_EQ(result.result, "ok\n");
}

TEST(RunChild, TakesNoMoreOfTheResultThanAllowed) {
  ChildRequest request = shell("head -c 100000 /dev/zero >&3");
  request.result_limit_bytes = 10;
  EXPECT_EQ(run_child(request).result.size(), 10u);
}

TEST(RunChild, SurvivesClosedDescriptors) {
  const ChildResult result = run_child(shell("exec 0<&- 1>&- 2>&- 3>&-; sleep 0.05; exit 3"));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "");
}

TEST(RunChild, DoesNotWaitForGrandchildrenAndKillsThem) {
  const ChildResult result = run_child(shell("sleep 600 & echo $!"));
  EXPECT_LT(result.duration_s, 60);
  const pid_t grandchild = std::stoi(result.output);
  for (int i = 0; i < 500 && is_alive(grandchild); ++i) {
    std::ifstream status("/proc/" + std::to_string(grandchild) + "/stat");
    std::string number, name, state;
    status >> number >> name >> state;
    // Dead, though nobody has collected it.
    if (state == "Z") return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(is_alive(grandchild));
}

TEST(RunChild, StartsWithDefaultSignals) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const ChildResult result = run_child(shell("kill -TERM $$; sleep 1; exit 9"));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(result.end, ChildEnd::kSignalled);
  EXPECT_EQ(result.signal, SIGTERM);
}

}  // namespace
}  // namespace attnlab::process
