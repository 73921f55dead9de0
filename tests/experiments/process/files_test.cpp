#include "experiments/process/files.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::process {
namespace {

using runner::read_text;
using runner::TemporaryFolder;

TEST(Files, WriteFileReplacesAndLeavesNoTemporary) {
  const TemporaryFolder folder;
  write_file(folder.path() / "a.txt", "a longer first text");
  write_file(folder.path() / "a.txt", "second");
  EXPECT_EQ(read_text(folder.path() / "a.txt"), "second");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "a.txt.tmp"));
}

TEST(Files, AppendFileKeepsWhatWasThere) {
  const TemporaryFolder folder;
  AppendFile(folder.path() / "lines").append("one\n");
  AppendFile(folder.path() / "lines").append("two\n");
  EXPECT_EQ(read_text(folder.path() / "lines"), "one\ntwo\n");
}

TEST(Files, UnwritablePathIsAnOutputErrorThatNamesIt) {
  const TemporaryFolder folder;
  write_file("file", "no folder");
  try {
    make_directories("file/below");
    FAIL() << "no error";
  } catch (const OutputError& error) {
    EXPECT_NE(std::string(error.what()).find("file/below"), std::string::npos) << error.what();
  }
  EXPECT_THROW(write_file("missing/a.txt", "x"), OutputError);
  EXPECT_THROW(AppendFile("missing/a.txt"), OutputError);
}

// A full disk, as the kernel offers it for tests.
TEST(Files, AppendToAFullDeviceIsAnOutputError) {
  AppendFile full("/dev/full");
  EXPECT_THROW(full.append("x"), OutputError);
}

}  // namespace
}  // namespace attnlab::process
