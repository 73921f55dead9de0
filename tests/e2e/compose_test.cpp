// `attnlab compose`, and what `run` shows of its config.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

using testing::HasSubstr;

/// A tree of configs as a user of Hydra has it.
class Compose : public testing::Test {
 protected:
  Compose() {
    write("config.yaml",
          "defaults:\n  - db: mysql\n  - _self_\n\nseed: 1\npath: ${db.host}/data\n");
    write("db/mysql.yaml", "host: localhost\nport: 3306\n");
    write("db/sqlite.yaml", "host: ''\n");
  }
  Result compose(std::vector<std::string> words) const {
    words.insert(words.begin(), {"compose", "--config-dir", "conf"});
    return workplace_.run(words);
  }
  void write(const std::string& name, const std::string& text) const {
    const auto path = workplace_.path() / "conf" / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  const Workplace workplace_;
};

TEST_F(Compose, PrintsTheResolvedConfigAndNothingElse) {
  const Result result = compose({"seed=3", "+new.key=[1, a]"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(
      result.out,
      "db:\n  host: localhost\n  port: 3306\nseed: 3\npath: localhost/data\nnew:\n  key:\n  - 1\n"
      "  - a\n");
}

TEST_F(Compose, ADocumentPerJobOfASweepWithAndWithoutHydrasFlag) {
  const Result result = compose({"db=mysql,sqlite", "~path"});
  EXPECT_EQ(result.out,
            "---\ndb:\n  host: localhost\n  port: 3306\nseed: 1\n---\ndb:\n  host: ''\nseed: 1\n");
  EXPECT_EQ(compose({"-m", "db=mysql,sqlite", "~path"}).out, result.out);
}

TEST_F(Compose, Info) {
  EXPECT_EQ(compose({"--info", "defaults"}).out, "db/mysql  db\nconfig    _global_\n");
  EXPECT_EQ(compose({"--info", "defaults-tree", "db=sqlite"}).out,
            "  db/sqlite @ db\nconfig @ _global_\n");
  EXPECT_EQ(compose({"--info", "config"}).out, compose({}).out);
}

TEST_F(Compose, ExplainKeyNamesFileLineAndColumnOrTheOverride) {
  EXPECT_EQ(compose({"--explain-key", "db.port"}).out, "conf/db/mysql.yaml:2:7: db.port=3306\n");
  EXPECT_EQ(compose({"--explain-key", "seed", "seed=5"}).out, "override 'seed=5': seed=5\n");
  // A map is explained value by value, a sweep job by job, equal lines once.
  EXPECT_EQ(compose({"--explain-key", "db", "db=mysql,sqlite"}).out,
            "conf/db/mysql.yaml:1:7: db.host=localhost\nconf/db/mysql.yaml:2:7: db.port=3306\n"
            "conf/db/sqlite.yaml:1:7: db.host=''\n");
  const Result unknown = compose({"--explain-key", "db.prot"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.out, "");
  EXPECT_THAT(unknown.err, HasSubstr("there is no key 'db.prot'. Did you mean 'db.port'?"));
}

TEST_F(Compose, AnInterpolatedValueIsExplainedWhereItIsWritten) {
  EXPECT_EQ(compose({"--explain-key", "path"}).out, "conf/config.yaml:6:7: path=localhost/data\n");
}

TEST_F(Compose, CfgPrintsTheConfigOrAPartOfIt) {
  EXPECT_EQ(compose({"--cfg", "job", "--resolve"}).out, compose({}).out);
  const std::string db = "# @package db\nhost: localhost\nport: 3306\n";
  EXPECT_EQ(compose({"--package", "db"}).out, db);
  EXPECT_EQ(compose({"-c", "all", "-p", "db", "seed=1,2"}).out, "---\n" + db + "---\n" + db);
  const Result unknown = compose({"--package", "bd"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.out, "");
  EXPECT_THAT(unknown.err, HasSubstr("there is no key 'bd'. Did you mean 'db'?"));
  EXPECT_THAT(compose({"--package", "seed"}).err, HasSubstr("'seed' is no part of the config"));
  EXPECT_THAT(compose({"--cfg", "hydra"}).err, HasSubstr("--cfg job"));
}

TEST_F(Compose, APrintedPartComposesAgain) {
  write("again/config.yaml", compose({"--package", "db"}).out);
  const Result result = workplace_.run({"compose", "-cd", "conf/again", "-cn", "config.yaml"});
  EXPECT_EQ(result.out, "db:\n  host: localhost\n  port: 3306\n") << result.err;
}

TEST_F(Compose, TreesThatConfigureHydraAndItsMultirun) {
  write("config.yaml",
        "defaults:\n  - db: mysql\n  - override hydra/launcher: joblib\nseed: 1\n"
        "hydra:\n  sweeper:\n    params:\n      seed: 1,2\n");
  const std::string db = "db:\n  host: localhost\n  port: 3306\n";
  EXPECT_EQ(compose({"hydra.run.dir=x"}).out, db + "seed: 1\n");
  EXPECT_EQ(compose({"--multirun"}).out, "---\n" + db + "seed: 1\n---\n" + db + "seed: 2\n");
  EXPECT_EQ(compose({"-m", "seed=7"}).out, db + "seed: 7\n");
}

TEST_F(Compose, ASweepOfTooManyJobsPrintsNothing) {
  const Result result = compose({"seed=range(101)", "db.port=range(100)"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("more than 10000 jobs"));
  EXPECT_EQ(compose({"seed=range(0)"}).out, "");
}

TEST_F(Compose, MistakesAreOneParagraphWithThePlace) {
  write("config.yaml", "defaults:\n  - db: oracle\n");
  const Result result = compose({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("conf/config.yaml:2:"));
  EXPECT_THAT(result.err, HasSubstr("mysql, sqlite"));
  const Result folder = workplace_.run({"compose", "--config-dir", "nowhere"});
  EXPECT_EQ(folder.exit_code, 2);
  EXPECT_THAT(folder.err, HasSubstr("--config-dir nowhere is no folder"));
  const Result name = compose({"--config-name", "confg"});
  EXPECT_EQ(name.exit_code, 2);
  EXPECT_THAT(name.err, HasSubstr("Did you mean 'config'?"));
  write("config.yaml", "seed: 1\nseed: 2\n");
  EXPECT_THAT(compose({}).err, HasSubstr("conf/config.yaml:2:1"));
}

TEST(RunConfig, InfoAndExplainKeyRunNothing) {
  const Workplace workplace;
  const Result tree = workplace.run({"run", "experiment=quickstart", "--info", "defaults-tree"});
  EXPECT_EQ(tree.exit_code, 0) << tree.err;
  EXPECT_THAT(tree.out, HasSubstr("experiment/quickstart @ _global_\n"));
  const Result key = workplace.run(
      {"run", "experiment=quickstart", "shape.seqlen=64", "--explain-key", "shape.seqlen"});
  EXPECT_EQ(key.out, "override 'shape.seqlen=64': shape.seqlen=64\n");
  EXPECT_EQ(workplace.run({"explain-key", "shape.seqlen", "shape.seqlen=64"}).out, key.out);
  EXPECT_THAT(workplace.run({"run", "--package", "shape"}).out,
              testing::StartsWith("# @package shape\nbatch: "));
  EXPECT_EQ(workplace.run({"run", "--info", "config"}).out,
            workplace.run({"run", "--cfg", "job"}).out);
  EXPECT_FALSE(std::filesystem::exists(workplace.path() / "outputs"));
}

}  // namespace
}  // namespace attnlab::e2e
