#include "experiments/measure/environment.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "experiments/root.h"
#include "kernels/core/error.h"

namespace attnlab::measure {
namespace {

/// Points ATTNLAB_ROOT to a folder of its own.
class RootTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(root_ / ".git/refs/heads");
    setenv("ATTNLAB_ROOT", root_.c_str(), 1);
  }
  void TearDown() override {
    unsetenv("ATTNLAB_ROOT");
    std::filesystem::remove_all(root_);
  }
  void write(const std::string& file, const std::string& text) {
    std::ofstream(root_ / file) << text;
  }
  const std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("attnlab_root_test_" + std::to_string(getpid()));
};

TEST_F(RootTest, EnvironmentVariableWins) { EXPECT_EQ(project_root(), root_); }

TEST_F(RootTest, AMissingFolderIsAnError) {
  setenv("ATTNLAB_ROOT", (root_ / "none").c_str(), 1);
  EXPECT_THROW(project_root(), ConfigError);
}

TEST_F(RootTest, CommitOfALooseReference) {
  write(".git/HEAD", "ref: refs/heads/main\n");
  write(".git/refs/heads/main", "abc123\n");
  EXPECT_EQ(read_environment().git_commit, "abc123");
}

TEST_F(RootTest, CommitOfAPackedReferenceAndOfADetachedHead) {
  write(".git/HEAD", "ref: refs/heads/main\n");
  write(".git/packed-refs", "# pack-refs\n111 refs/heads/other\n222 refs/heads/main\n");
  EXPECT_EQ(read_environment().git_commit, "222");
  write(".git/HEAD", "333\n");
  EXPECT_EQ(read_environment().git_commit, "333");
}

TEST_F(RootTest, NoRepositoryNoCommit) { EXPECT_EQ(read_environment().git_commit, ""); }

TEST(EnvironmentTest, NamesMachineAndSoftware) {
  const Environment environment = read_environment();
  EXPECT_FALSE(environment.host.empty());
  EXPECT_GE(environment.logical_cpus, 1);
  EXPECT_GE(environment.threads, 1);
  EXPECT_TRUE(environment.compiler.starts_with("g++ "));
  EXPECT_TRUE(environment.torch_version.starts_with("2."));
  const auto json = to_json(environment);
  EXPECT_EQ(json["host"], environment.host);
  EXPECT_TRUE(json["caches"].is_array());
  EXPECT_EQ(json["load_average"].size(), 3u);
  analysis::Record record;
  fill_environment(environment, record);
  EXPECT_EQ(record.torch_version, environment.torch_version);
  EXPECT_EQ(record.cpu_model, environment.cpu_model);
}

}  // namespace
}  // namespace attnlab::measure
