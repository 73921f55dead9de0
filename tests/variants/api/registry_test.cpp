#include "variants/api/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Registry, HasTheBuiltInVariants) {
  EXPECT_THAT(test::builtin_registry().names(),
              ::testing::IsSupersetOf({"flash", "full", "linear", "sliding_window", "torch_sdpa"}));
}

TEST(Registry, EveryVariantAnswersToItsOwnName) {
  const Registry registry = test::builtin_registry();
  for (const std::string& name : registry.names()) {
    const VariantInfo info = registry.make(name)->info();
    EXPECT_EQ(info.name, name);
    EXPECT_FALSE(info.summary.empty()) << name;
    EXPECT_FALSE(info.time_order.empty()) << name;
  }
}

TEST(Registry, UnknownNameListsTheKnownAndTheNearest) {
  try {
    test::builtin_registry().make("slidng_window");
    FAIL() << "made an unknown variant";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("no variant 'slidng_window'"),
                                    HasSubstr("Did you mean 'sliding_window'?"),
                                    HasSubstr("flash, full, linear")));
  }
}

TEST(Registry, DuplicateNamesBothOrigins) {
  Registry registry = test::builtin_registry();
  try {
    registry.add({.name = "flash", .option_specs = {}, .factory = {}, .origin = "mine.so"});
    FAIL() << "took a duplicate";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("built-in"), HasSubstr("mine.so")));
  }
}

TEST(Registry, RefusesNamesThatCannotBeTyped) {
  Registry registry;
  for (const char* name : {"", "Flash", "my variant", "1st", "a/b", "x-y"}) {
    EXPECT_THROW(registry.add({.name = name, .option_specs = {}, .factory = {}, .origin = "test"}),
                 ConfigError)
        << name;
  }
}

}  // namespace
}  // namespace attnlab
