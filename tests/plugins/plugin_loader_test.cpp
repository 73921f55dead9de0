#include "variants/api/plugin_loader.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "kernels/core/error.h"
#include "variants/api/conformance.h"
#include "variants/api/plugin.h"

namespace attnlab {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::filesystem::path kDir = ATTNLAB_PLUGIN_DIR;
const std::filesystem::path kExample = kDir / "example" / "mean_pooling.so";

Registry builtin_registry() {
  Registry registry;
  register_builtin_variants(registry);
  return registry;
}

// The message of the refusal; the registry must be as it was.
std::string refusal(const std::filesystem::path& path) {
  Registry registry = builtin_registry();
  const auto before = registry.names();
  try {
    load_plugin(path, registry);
  } catch (const PluginError& error) {
    EXPECT_EQ(registry.names(), before);
    return error.what();
  }
  ADD_FAILURE() << path << " was loaded";
  return "";
}

TEST(PluginLoader, LoadsTheExampleOfTheReadme) {
  Registry registry = builtin_registry();
  const LoadedPlugin plugin = load_plugin(kExample, registry);
  EXPECT_EQ(plugin.name, "mean_pooling");
  EXPECT_EQ(registry.entry("mean_pooling").origin, plugin.path.string());

  // Causal means of 1, 2, 3 are 1, 1.5, 2.
  const at::Tensor v = at::tensor({1.0f, 2.0f, 3.0f}).view({3, 1});
  const at::Tensor out = registry.make("mean_pooling")->forward({v, v, v, /*causal=*/true}).out;
  EXPECT_TRUE(at::allclose(out, at::tensor({1.0f, 1.5f, 2.0f}).view({3, 1})));
}

TEST(PluginLoader, TheExampleConforms) {
  Registry registry = builtin_registry();
  load_plugin(kExample, registry);
  int checked = 0;
  for (const PropertyResult& result : check_conformance(registry, "mean_pooling")) {
    EXPECT_TRUE(result.passed) << result.property << " on " << result.problem << ": "
                               << result.detail;
    checked += result.skipped ? 0 : 1;
  }
  EXPECT_GT(checked, 100);
}

TEST(PluginLoader, LoadingTwiceIsADuplicateName) {
  Registry registry = builtin_registry();
  load_plugin(kExample, registry);
  EXPECT_THROW(load_plugin(kExample, registry), PluginError);
}

TEST(PluginLoader, RefusesAMissingFile) {
  EXPECT_THAT(refusal(kDir / "nowhere.so"),
              AllOf(HasSubstr("nowhere.so"), HasSubstr("No such file")));
}

TEST(PluginLoader, RefusesAFolder) { EXPECT_THAT(refusal(kDir), HasSubstr("not a file")); }

TEST(PluginLoader, RefusesATextFile) {
  const std::filesystem::path path = kDir / "text.so";
  std::ofstream(path) << "not a library";
  EXPECT_THAT(refusal(path), AllOf(HasSubstr("text.so"), HasSubstr("too short")));
}

TEST(PluginLoader, RefusesALibraryWithoutTheEntry) {
  EXPECT_THAT(refusal(kDir / "no_entry.so"), HasSubstr("does not export 'attnlab_plugin_v1'"));
}

TEST(PluginLoader, RefusesAnotherMagic) {
  EXPECT_THAT(refusal(kDir / "wrong_magic.so"), HasSubstr("0xdeadbeef"));
}

TEST(PluginLoader, RefusesAnotherApiVersion) {
  EXPECT_THAT(refusal(kDir / "wrong_api.so"),
              HasSubstr(fmt::format("plugin API {} (", ATTNLAB_PLUGIN_API_VERSION + 1)));
}

TEST(PluginLoader, RefusesAnotherTorch) {
  EXPECT_THAT(refusal(kDir / "wrong_torch.so"),
              AllOf(HasSubstr("Torch 1.13.1"), HasSubstr("same Torch")));
}

TEST(PluginLoader, RefusesAnotherCompilerAbi) {
  EXPECT_THAT(refusal(kDir / "wrong_abi.so"), HasSubstr("gxx_abi=1 cxx11_abi=0"));
}

TEST(PluginLoader, RefusesADuplicateNameAndAddsNothing) {
  EXPECT_THAT(refusal(kDir / "duplicate_name.so"),
              AllOf(HasSubstr("'flash' is already there"), HasSubstr("built-in")));
}

TEST(PluginLoader, AnExceptionDuringRegistrationAddsNothing) {
  EXPECT_THAT(refusal(kDir / "throws_on_register.so"), HasSubstr("the weights file is missing"));
}

TEST(PluginLoader, RefusesAPluginWithoutVariants) {
  EXPECT_THAT(refusal(kDir / "registers_nothing.so"), HasSubstr("registers no variant"));
}

}  // namespace
}  // namespace attnlab
