// The configs that come with the project.
#include <filesystem>
#include <set>

#include "experiments/config/interpolation.h"
#include "experiments/config/schema.h"
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

std::vector<Job> shipped(std::vector<std::string> overrides) {
  ComposeRequest request;
  request.config_dirs = {ATTNLAB_CONFIGS};
  request.overrides = std::move(overrides);
  request.open_groups = {"variant"};
  return compose(request);
}

TEST(ShippedConfigsTest, EveryFileSaysWhatItIs) {
  std::set<std::string> groups;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ATTNLAB_CONFIGS)) {
    if (entry.is_directory()) groups.insert(entry.path().filename().string());
  }
  groups.insert("");
  std::size_t files = 0;
  for (const std::string& group : groups) {
    for (const GroupOption& option : group_options({ATTNLAB_CONFIGS}, group)) {
      EXPECT_FALSE(option.description.empty()) << group << "/" << option.name;
      ++files;
    }
  }
  EXPECT_GE(files, 17u);
}

TEST(ShippedConfigsTest, EveryOptionOfEveryGroupIsATrial) {
  for (const char* group : {"variant", "shape", "inputs", "device", "measure", "experiment"}) {
    for (const GroupOption& option : group_options({ATTNLAB_CONFIGS}, group)) {
      const std::string override_ = std::string(group) + "=" + option.name;
      for (const Job& job : shipped({override_})) {
        EXPECT_EQ(message_of([&] { parse_trial(job.config); }), "no error") << override_;
        EXPECT_EQ(message_of([&] { parse_run(job.config); }), "no error") << override_;
      }
    }
  }
}

TEST(ShippedConfigsTest, VariantFilesAreNamedAsTheirVariants) {
  for (const GroupOption& option : group_options({ATTNLAB_CONFIGS}, "variant")) {
    const std::string variant = parse_trial(shipped({"variant=" + option.name})[0].config).variant;
    EXPECT_TRUE(option.name == variant || option.name.starts_with(variant + "_")) << option.name;
  }
}

/// The default config and the table of keys say the same, so that neither can drift.
TEST(ShippedConfigsTest, DefaultConfigIsTheTablesDefaults) {
  const Tree config = shipped({})[0].config;
  Tree table = Tree::of_map({});
  for (const KeySpec& spec : key_specs()) {
    if (spec.path == "task.name") continue;  // of a group, from which nothing is chosen
    table = table.with_path(spec.path, parse_yaml(spec.default_text, "table"));
  }
  EXPECT_EQ(emit_yaml(config), [&] {
    // In the order of the config: the comparison is of values, the text is for reading.
    const Tree resolved = resolve_interpolations(table);
    EXPECT_EQ(resolved, config);
    return emit_yaml(merge(config, resolved));
  }());
}

TEST(ShippedConfigsTest, QuickstartGrid) {
  const std::vector<Job> jobs = shipped({"experiment=quickstart"});
  ASSERT_EQ(jobs.size(), 2u * 6 * 5);
  const TrialConfig first = parse_trial(jobs.front().config),
                    last = parse_trial(jobs.back().config);
  EXPECT_EQ(first.experiment, "quickstart");
  EXPECT_EQ(first.variant, "full");
  EXPECT_EQ(first.seqlen_k, 256);
  EXPECT_EQ(first.direction, "forward");
  EXPECT_EQ(first.inputs, "text");
  EXPECT_TRUE(first.causal);
  EXPECT_EQ(last.variant, "torch_sdpa");
  EXPECT_EQ(last.seqlen_q, 8192);
  EXPECT_EQ(last.direction, "forward_backward");
  EXPECT_EQ(shipped({"experiment=quickstart_smoke"}).size(), 2u * 2 * 5);
  EXPECT_EQ(parse_trial(shipped({"experiment=quickstart_smoke"})[0].config).max_samples, 20);
}

TEST(ShippedConfigsTest, CommandLineReplacesTheQuickstartsLists) {
  const std::vector<Job> jobs = shipped(
      {"experiment=quickstart", "shape.seqlen=512", "variant=sliding_window", "variant.window=7"});
  ASSERT_EQ(jobs.size(), 2u);
  const TrialConfig trial = parse_trial(jobs[0].config);
  EXPECT_EQ(trial.seqlen_q, 512);
  EXPECT_EQ(trial.variant_options, (OptionMap{{"window", std::int64_t{7}}}));
}

TEST(ShippedConfigsTest, LengthsFollowSeqlenUnlessSetThemselves) {
  const TrialConfig trial = parse_trial(shipped({"shape.seqlen=64", "shape.seqlen_q=1"})[0].config);
  EXPECT_EQ(trial.seqlen_q, 1);
  EXPECT_EQ(trial.seqlen_k, 64);
}

TEST(ShippedConfigsTest, SlipsGetTheNearestName) {
  const auto error = [](std::vector<std::string> overrides) {
    return message_of([&] { shipped(overrides); });
  };
  EXPECT_NE(error({"experiment=quickstrat"}).find("Did you mean 'quickstart'?"), std::string::npos);
  EXPECT_NE(error({"shape=smal"}).find("Did you mean 'small'?"), std::string::npos);
  EXPECT_NE(error({"mesure.max_time_s=1"}).find("Did you mean 'measure.max_time_s'?"),
            std::string::npos);
  EXPECT_NE(error({"window=5"}).find("there is no key 'window'"), std::string::npos);
}

}  // namespace
}  // namespace attnlab::config
