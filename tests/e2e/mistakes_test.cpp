// What a user does wrong: exit code, one clear message, nothing on stdout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

void expect_refused(const Result& result, int exit_code) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("[")) << result.err;
  EXPECT_THAT(result.err, Not(HasSubstr("terminate called")));
  EXPECT_THAT(result.err, Not(HasSubstr("frame #")));
}

TEST(Mistakes, UnknownNamesGetTheNearestOne) {
  const Workplace workplace;
  const Result variant = workplace.run(tiny({"variant=flsh"}));
  expect_refused(variant, 2);
  EXPECT_THAT(variant.err, AllOf(HasSubstr("'flash'"), HasSubstr("sliding_window")));
  const Result key = workplace.run(tiny({"shape.seqlne=16"}));
  expect_refused(key, 2);
  EXPECT_THAT(key.err, HasSubstr("shape.seqlen"));
  const Result experiment = workplace.run({"run", "experiment=quickstrat"});
  expect_refused(experiment, 2);
  EXPECT_THAT(experiment.err, HasSubstr("quickstart"));
  const Result command = workplace.run({"rum"});
  expect_refused(command, 2);
  EXPECT_THAT(command.err, HasSubstr("'run'"));
  const Result flag = workplace.run(tiny({"--dry-rum"}));
  expect_refused(flag, 2);
  EXPECT_THAT(flag.err, HasSubstr("'--dry-run'"));
  const Result list = workplace.run({"list", "expermients"});
  expect_refused(list, 2);
  EXPECT_THAT(list.err, HasSubstr("'experiments'"));
}

TEST(Mistakes, NothingIsWrittenForARefusedRun) {
  const Workplace workplace;
  expect_refused(workplace.run(tiny({"variant=full,flsh"})), 2);
  expect_refused(workplace.run(tiny({"dtype=float31"})), 2);
  expect_refused(workplace.run(tiny({"shape.seqlen=0"})), 2);
  expect_refused(workplace.run(tiny({"inputs.nonsense=1"})), 2);
  EXPECT_FALSE(std::filesystem::exists(workplace.path() / "outputs"));
}

TEST(Mistakes, CudaIsRefusedWithWhatIsMissing) {
  const Workplace workplace;
  if (workplace.run({"list", "devices"}).out.find("cuda             not available") ==
      std::string::npos) {
    GTEST_SKIP() << "there is a CUDA device here";
  }
  for (const Result& result : {workplace.run(tiny({"device=cuda"})),
                               workplace.run({"check", "flash", "--device", "cuda"})}) {
    expect_refused(result, 2);
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("device=cuda cannot be used"), HasSubstr("device=cpu"),
                      AnyOf(HasSubstr("this build has no CUDA backend"),
                            HasSubstr("there is no NVIDIA driver"), HasSubstr("the NVIDIA driver"),
                            HasSubstr("Install LibTorch with its CUDA libraries"))));
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  }
}

// With a driver that is none: libcuda.so.1 of this folder answers what FAKE_CUINIT and FAKE_GPUS
// say.
TEST(Mistakes, ADriverThatDoesNotWorkIsNamed) {
  if (!std::filesystem::exists(ATTNLAB_CUDA_LIBRARY)) GTEST_SKIP() << "a build without CUDA";
  const Workplace workplace;
  const auto reason = [&](const char* init, const char* gpus) {
    return workplace
        .shell(std::string("FAKE_CUINIT=") + init + " FAKE_GPUS=" + gpus +
               " LD_LIBRARY_PATH=" + ATTNLAB_FAKE_DRIVER_FOLDER + " attnlab list devices")
        .out;
  };
  EXPECT_THAT(reason("100", "1"), HasSubstr("driver does not start (cuInit returns 100)"));
  EXPECT_THAT(reason("0", "0"), HasSubstr("the NVIDIA driver sees no GPU"));
  // LibTorch's CUDA half is loaded then, and finds its libraries or the driver wanting.
  EXPECT_THAT(reason("0", "1"), HasSubstr("not available: [device] device=cuda cannot be used"));
}

TEST(Mistakes, PluginsThatCannotBeLoaded) {
  const Workplace workplace;
  const Result result = workplace.run(tiny({"--plugin", "no_such.so"}));
  expect_refused(result, 2);
  EXPECT_THAT(result.err, HasSubstr("no_such.so"));
}

TEST(Mistakes, OutputThatCannotBeWritten) {
  const Workplace workplace;
  const Result folder = workplace.run(tiny({"run.dir=/proc/attnlab"}));
  expect_refused(folder, 1);
  EXPECT_THAT(folder.err, HasSubstr("/proc/attnlab"));
  const Result full = workplace.shell("attnlab list >/dev/full");
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("stdout"));
}

TEST(Mistakes, EarlierResultsAreKept) {
  const Workplace workplace;
  ASSERT_EQ(workplace.run(tiny({"run.dir=here"})).exit_code, 0);
  const std::string before = read_text(workplace.path() / "here/results.csv");
  expect_refused(workplace.run(tiny({"run.dir=here"})), 2);
  EXPECT_EQ(read_text(workplace.path() / "here/results.csv"), before);
}

TEST(Mistakes, AClosedStdoutEndsQuietly) {
  const Workplace workplace;
  const Result pipe = workplace.shell("attnlab list | true; exit ${PIPESTATUS[0]}");
  EXPECT_EQ(pipe.exit_code, 0);
  EXPECT_EQ(pipe.err, "");
  const Result closed = workplace.shell("attnlab list >&-");
  EXPECT_EQ(closed.exit_code, 0);
  EXPECT_EQ(closed.err, "");
  // No result file may take the number of the closed stdout.
  std::string command = "attnlab";
  for (const std::string& word : tiny({"run.dir=here"})) command += " " + word;
  EXPECT_EQ(workplace.shell(command + " >&-").exit_code, 0);
  EXPECT_THAT(read_text(workplace.path() / "here/results.csv"), Not(HasSubstr("results: ")));
}

}  // namespace
}  // namespace attnlab::e2e
