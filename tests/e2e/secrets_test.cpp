// Values of environment variables that are secrets reach no file and no message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kSecret = "hunter2-of-the-test";

class Secrets : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("MY_API_TOKEN", kSecret, 1);
    ::setenv("ATTNLAB_PASSWORD", kSecret, 1);
    ::setenv("MY_NAME", "plain-of-the-test", 1);
  }
  void TearDown() override {
    ::unsetenv("MY_API_TOKEN");
    ::unsetenv("ATTNLAB_PASSWORD");
    ::unsetenv("MY_NAME");
  }

  void expect_nowhere(const Workplace& workplace, const Result& result) {
    EXPECT_THAT(result.out, Not(HasSubstr(kSecret)));
    EXPECT_THAT(result.err, Not(HasSubstr(kSecret)));
    for (const auto& entry : fs::recursive_directory_iterator(workplace.path())) {
      EXPECT_THAT(entry.path().string(), Not(HasSubstr(kSecret)));
      if (entry.is_regular_file()) {
        EXPECT_THAT(read_text(entry.path()), Not(HasSubstr(kSecret))) << entry.path();
      }
    }
  }
};

TEST_F(Secrets, ARunRefusesToReadThem) {
  for (const char* word : {"run.dir=x_${oc.env:MY_API_TOKEN}", "experiment=${oc.env:MY_API_TOKEN}",
                           "+variant.note=${oc.env:MY_API_TOKEN,none}"}) {
    const Workplace workplace;
    const Result result = workplace.run(tiny({word}));
    EXPECT_EQ(result.exit_code, 2) << word;
    expect_nowhere(workplace, result);
  }
}

TEST_F(Secrets, OtherVariablesAreReadAndOfTheEnvironmentOnlyHarmlessOnesAreKept) {
  const Workplace workplace;
  const Result result = workplace.run(tiny({"run.dir=${oc.env:MY_NAME}"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(workplace.path() / "plain-of-the-test/environment.json"));
  expect_nowhere(workplace, result);
}

}  // namespace
}  // namespace attnlab::e2e
