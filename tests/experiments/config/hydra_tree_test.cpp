// Config trees as Hydra's users have them: what configures Hydra itself does not get in the way.
// Expected jobs checked once against hydra-core 1.3.8.
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

class HydraTree : public testing::Test {
 protected:
  HydraTree() {
    dir_.write("config.yaml",
               "defaults:\n  - db: mysql\n  - hydra: extra\n  - override hydra/launcher: joblib\n"
               "  - override hydra/job_logging: colorlog\nseed: 1\n"
               "hydra:\n  run: {dir: 'out/${seed}'}\n  sweeper:\n    params:\n"
               "      db: mysql,sqlite\n      seed: range(1,3)\n      +tags: [a, b]\n")
        .write("db/mysql.yaml", "port: 3306\n")
        .write("db/sqlite.yaml", "port: 0\n")
        .write("hydra/extra.yaml", "defaults:\n  - override sweeper: optuna\njob: {chdir: true}\n");
  }
  std::vector<std::string> jobs(std::vector<std::string> overrides, bool multirun = false) const {
    ComposeRequest request = dir_.request(std::move(overrides));
    request.schema_free = true;
    request.multirun = multirun;
    std::vector<std::string> texts;
    for (const Job& job : compose(request)) texts.push_back(emit_yaml(job.config));
    return texts;
  }
  ConfigDir dir_;
};

using Texts = std::vector<std::string>;

TEST_F(HydraTree, ChoicesOfHydrasOwnGroupsArePassedOver) {
  const Texts plain = {"db:\n  port: 3306\nseed: 1\n"};
  EXPECT_EQ(jobs({}), plain);
  EXPECT_EQ(jobs({"hydra.run.dir=elsewhere", "hydra/launcher=submitit", "+hydra.job.name=x"}),
            plain);
  dir_.write("config.yaml",
             "defaults: [{db: mysql}, {hydra/job_logging: disabled}, _self_]\nseed: 1\n");
  EXPECT_EQ(jobs({}), plain);
}

TEST_F(HydraTree, AConfigOfOursIsStillCheckedInFull) {
  const auto refused = [&](const std::string& word) {
    EXPECT_NE(message_of([&] { dir_.jobs({word}); }), "no error") << word;
  };
  refused("seed=1");  // the override of hydra/launcher
  EXPECT_NE(message_of([&] { jobs({"hydrant/launcher=x"}); }), "no error");
  EXPECT_NE(message_of([&] { jobs({"hydra=nothing"}); }), "no error");
}

TEST_F(HydraTree, MultirunSweepsWhatTheConfigSaysUnlessTheCommandLineDoes) {
  const std::string tags = "tags:\n- a\n- b\n";
  EXPECT_EQ(jobs({}, true),
            (Texts{"db:\n  port: 3306\nseed: 1\n" + tags, "db:\n  port: 3306\nseed: 2\n" + tags,
                   "db:\n  port: 0\nseed: 1\n" + tags, "db:\n  port: 0\nseed: 2\n" + tags}));
  EXPECT_EQ(jobs({"seed=7", "db=sqlite,mysql"}, true),
            (Texts{"db:\n  port: 0\nseed: 7\n" + tags, "db:\n  port: 3306\nseed: 7\n" + tags}));
  EXPECT_EQ(jobs({"seed=7"}), Texts{"db:\n  port: 3306\nseed: 7\n"});
}

TEST_F(HydraTree, AListInsteadOfAMapOfSweepsIsRefused) {
  dir_.write("config.yaml", "a: 1\nhydra: {sweeper: {params: [a]}}\n");
  EXPECT_EQ(dir_.clean(message_of([&] { jobs({}, true); })),
            "[config] config.yaml:2:27: 'hydra.sweeper.params' must be a map from keys to values, "
            "not a list");
}

}  // namespace
}  // namespace attnlab::config
