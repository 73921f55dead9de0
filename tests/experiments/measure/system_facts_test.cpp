#include "experiments/measure/system_facts.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "experiments/root.h"

namespace attnlab::measure {
namespace {

TEST(SystemFacts, SaysWhatTheSystemSays) {
  const SystemFacts facts = read_system_facts();
  EXPECT_TRUE(facts.kernel.starts_with("Linux "));
  EXPECT_GE(facts.physical_cores, 1);
  EXPECT_GT(facts.memory_bytes, 1 << 28);
  EXPECT_FALSE(facts.torch_config.empty());
  EXPECT_NE(facts.compiler_flags, "");
}

TEST(SystemFacts, VariablesAreTakenByNameOnly) {
  for (const char* name : {"OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE", "ATEN_CPU_CAPABILITY",
                           "ATTNLAB_ISA", "CUDA_VISIBLE_DEVICES"}) {
    EXPECT_TRUE(is_recorded_variable(name)) << name;
  }
  for (const char* name : {"HOME", "AWS_SECRET_ACCESS_KEY", "ATTNLAB_TOKEN", "TORCH_API_KEY",
                           "MKL_PASSWORD", "SSH_AUTH_SOCK", "XOMP_", ""}) {
    EXPECT_FALSE(is_recorded_variable(name)) << name;
  }
}

TEST(SystemFacts, ASecretVariableIsNotRead) {
  ::setenv("ATTNLAB_SECRET_OF_THE_TEST", "hunter2", 1);
  ::setenv("ATTNLAB_FLAG_OF_THE_TEST", "on", 1);
  const SystemFacts facts = read_system_facts();
  EXPECT_FALSE(facts.variables.contains("ATTNLAB_SECRET_OF_THE_TEST"));
  EXPECT_EQ(facts.variables.at("ATTNLAB_FLAG_OF_THE_TEST"), "on");
  ::unsetenv("ATTNLAB_SECRET_OF_THE_TEST");
  ::unsetenv("ATTNLAB_FLAG_OF_THE_TEST");
}

TEST(SystemFacts, ChangedFilesMakeARepositoryDirty) {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / ("attnlab_dirty_" + std::to_string(::getpid()));
  fs::create_directories(root);
  EXPECT_FALSE(is_dirty(root).has_value()) << "no repository";
  const std::string git = "git -C " + root.string() +
                          " -c user.name=a -c user.email=a@example.org -c init.defaultBranch=m ";
  std::ofstream(root / "file") << "one";
  ASSERT_EQ(
      std::system((git + "init -q && " + git + "add file && " + git + "commit -qm a").c_str()), 0);
  EXPECT_EQ(is_dirty(root), false);
  std::ofstream(root / "file") << "two";
  EXPECT_EQ(is_dirty(root), true);
  fs::remove_all(root);
}

}  // namespace
}  // namespace attnlab::measure
