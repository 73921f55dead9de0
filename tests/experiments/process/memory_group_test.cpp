#include "experiments/process/memory_group.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>

#include "experiments/process/child_process.h"

namespace attnlab::process {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

bool system_lets_us() { return MemoryGroup::create(64 * kMiB).has_value(); }

/// Folders and files that look like the kernel's.
class FakeSystem {
 public:
  explicit FakeSystem(const std::string& own_groups)
      : root_(std::filesystem::temp_directory_path() /
              ("attnlab_groups_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(root_);
    write("proc/cgroup", own_groups);
  }
  ~FakeSystem() { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::filesystem::path path(const std::string& name) const { return root_ / name; }
  std::optional<MemoryGroup> create() const {
    return MemoryGroup::create(kMiB, root_ / "proc", root_ / "groups");
  }

 private:
  std::filesystem::path root_;
};

TEST(MemoryGroup, NoneWhereTheSystemHasNoMemoryController) {
  const FakeSystem system("4:cpu:/a\n0::/a/b\n");
  std::filesystem::create_directories(system.path("groups/a/b"));
  EXPECT_FALSE(system.create());
  EXPECT_TRUE(std::filesystem::is_empty(system.path("groups/a/b")));
}

TEST(MemoryGroup, NoneAndNothingLeftWhereTheLimitCannotBeWritten) {
  // A plain folder has no memory.max that could be written.
  const FakeSystem system("0::/a/b\n");
  system.write("groups/a/b/cgroup.subtree_control", "cpu memory\n");
  EXPECT_FALSE(system.create());
  for (const auto& entry : std::filesystem::directory_iterator(system.path("groups/a/b"))) {
    EXPECT_EQ(entry.path().filename(), "cgroup.subtree_control");
  }
}

TEST(MemoryGroup, RemovesWhatRunsLeftThatHaveEnded) {
  const pid_t ended = ::fork();
  if (ended == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(ended, nullptr, 0), ended);
  const FakeSystem system("0::/a\n");
  system.write("groups/a/cgroup.subtree_control", "memory\n");
  const auto left = system.path("groups/a/attnlab-" + std::to_string(ended) + "-3");
  const auto running = system.path("groups/a/attnlab-" + std::to_string(::getpid()) + "-300000");
  for (const auto& folder : {left, running}) std::filesystem::create_directory(folder);
  system.create();
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(running));
}

TEST(MemoryGroup, IsRemovedWithAllThatRunsInIt) {
  auto group = MemoryGroup::create(64 * kMiB);
  if (!group) GTEST_SKIP() << "this user may make no control groups here";
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  ASSERT_TRUE(group->add(child));
  const std::filesystem::path path = group->path();
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(group->oom_kills(), 0);
  group.reset();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(MemoryGroup, BindsWhatAChildStartsToo) {
  if (!system_lets_us()) GTEST_SKIP() << "this user may make no control groups here";
  // `tail` holds what it is to print; the shell, which is the child itself, stays small.
  ChildRequest request;
  request.arguments = {"/bin/sh", "-c",
                       "until grep -q attnlab /proc/self/cgroup; do sleep 0.01; done; "
                       "head -c 400000000 /dev/zero | tail -c 400000000 | wc -c"};
  request.memory_limit_bytes = 100 * kMiB;
  request.time_limit_s = 60;
  const ChildResult result = run_child(request);
  // A child that waits in vain for its group prints nothing either.
  EXPECT_NE(result.end, ChildEnd::kTimedOut);
  EXPECT_EQ(result.output.find("400000000"), std::string::npos) << result.output;
}

}  // namespace
}  // namespace attnlab::process
