// Composition of one job: defaults lists, packages, overrides. Expected values by hand, from
// Hydra's documented rules.
#include "experiments/config/compose.h"

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

/// Two databases and a server that brings its own parts.
void write_example(ConfigDir& dir) {
  dir.write("config.yaml", "defaults:\n  - db: mysql\n  - _self_\ntop: 1\n")
      .write("db/mysql.yaml", "driver: mysql\nport: 3306\n")
      .write("db/postgres.yaml", "driver: postgres\nport: 5432\nschema: x\n");
}

TEST(ComposeTest, GroupsGoBelowTheirName) {
  ConfigDir dir;
  write_example(dir);
  EXPECT_EQ(dir.yaml(), "db:\n  driver: mysql\n  port: 3306\ntop: 1\n");
  EXPECT_EQ(dir.yaml({"db=postgres"}),
            "db:\n  driver: postgres\n  port: 5432\n  schema: x\ntop: 1\n");
}

TEST(ComposeTest, SelfDecidesWhoWins) {
  ConfigDir dir;
  dir.write("g/x.yaml", "v: group\n")
      .write("last.yaml", "defaults: [{g: x}]\ng: {v: own}\n")
      .write("first.yaml", "defaults: [_self_, {g: x}]\ng: {v: own}\n");
  const auto value = [&](const char* name) {
    ComposeRequest request = dir.request();
    request.config_name = name;
    return compose(request).at(0).config.find_path("g.v")->as_string();
  };
  EXPECT_EQ(value("last"), "own");
  EXPECT_EQ(value("first"), "group");
}

TEST(ComposeTest, PackagesByHeaderAndByEntry) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [{g: top}, {g@here: plain}, {g@_global_: flat}, {h: deep}]\n")
      .write("g/top.yaml", "\n# @package _global_\n# comment\nat_top: 1\n")
      .write("g/plain.yaml", "p: 1\n")
      .write("g/flat.yaml", "f: 1\n")
      .write("h/deep.yaml", "# @package x.y\nd: 1\n");
  EXPECT_EQ(dir.jobs()[0].config, yaml("{at_top: 1, here: {p: 1}, f: 1, x: {y: {d: 1}}}"));
}

TEST(ComposeTest, AHeaderAfterContentOrACommentIsAComment) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [{g: a}]\n").write("g/a.yaml", "v: 1\n# @package _global_\n");
  EXPECT_EQ(dir.jobs()[0].config, yaml("{g: {v: 1}}"));
  dir.write("g/a.yaml", "# text\n# @package _global_\nv: 1\n");
  EXPECT_EQ(dir.jobs()[0].config, yaml("{g: {v: 1}}"));
  dir.write("g/a.yaml", "# @package\nv: 1\n");
  EXPECT_EQ(
      compose_error(dir),
      "[config] g/a.yaml:1:1: the header '# @package' needs a value, e.g. '# @package _global_'");
}

TEST(ComposeTest, ChoicesMayDependOnOtherChoices) {
  ConfigDir dir;
  dir.write("config.yaml",
            "defaults: [{joint: '${server}_${db}'}, {server: apache}, {db: mysql}]\n")
      .write("server/apache.yaml", "{}\n")
      .write("db/mysql.yaml", "{}\n")
      .write("db/postgres.yaml", "{}\n")
      .write("joint/apache_mysql.yaml", "port: 1\n")
      .write("joint/apache_postgres.yaml", "port: 2\n");
  EXPECT_EQ(dir.jobs()[0].config.find_path("joint.port")->as_int(), 1);
  const std::vector<Job> jobs = dir.jobs({"db=mysql,postgres"});
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[1].config.find_path("joint.port")->as_int(), 2);
}

TEST(ComposeTest, ListsAndMapsOfDifferentConfigsDoNotMerge) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [{g: a}, _self_]\ng: {v: {x: 1}}\n")
      .write("g/a.yaml", "v: [1]\n");
  EXPECT_EQ(
      compose_error(dir),
      "[config] config.yaml:2:8: 'g.v' is a map here and a list at g/a.yaml:1:4; they cannot be "
      "merged");
}

TEST(ComposeTest, TheMergedConfigsAreListedInOrder) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [{g: a}, _self_]\n")
      .write("g/a.yaml", "defaults: [/h: b]\n")
      .write("h/b.yaml", "# @package p\nv: 1\n");
  std::string text;
  for (const MergedConfig& each : merged_configs(dir.request())) {
    text += each.config + " " + each.package + " " + std::to_string(each.depth) + "\n";
  }
  EXPECT_EQ(text, "h/b p 3\ng/a g 2\nconfig  1\n");
}

TEST(ComposeTest, NestedListsAreRelativeToTheirFolder) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [{server: apache}]\n")
      .write("server/apache.yaml",
             "defaults: [{part: small}, {/db: mysql}, base@_here_, _self_]\nname: apache\n")
      .write("server/part/small.yaml", "size: 1\n")
      .write("server/base.yaml", "host: local\nname: base\n")
      .write("db/mysql.yaml", "driver: mysql\n");
  EXPECT_EQ(dir.jobs()[0].config,
            yaml("{server: {part: {size: 1}, db: {driver: mysql}, host: local, name: apache}}"));
  EXPECT_EQ(dir.jobs({"server.part.size=2"})[0].config.find_path("server.part.size")->as_int(), 2);
}

TEST(ComposeTest, ExperimentsOverrideChoices) {
  ConfigDir dir;
  write_example(dir);
  dir.write("config.yaml", "defaults:\n  - db: mysql\n  - _self_\n  - experiment: null\ntop: 1\n")
      .write("experiment/e.yaml",
             "# @package _global_\ndefaults:\n  - override /db: postgres\ntop: 2\ndb: {port: 1}\n");
  EXPECT_EQ(dir.jobs()[0].config, yaml("{db: {driver: mysql, port: 3306}, top: 1}"));
  EXPECT_EQ(dir.jobs({"experiment=e"})[0].config,
            yaml("{db: {driver: postgres, port: 1, schema: x}, top: 2}"));
  // The command line beats the experiment.
  EXPECT_EQ(dir.jobs({"experiment=e", "db=mysql"})[0].config,
            yaml("{db: {driver: mysql, port: 1}, top: 2}"));
}

TEST(ComposeTest, NullOptionalAndSeveralOptions) {
  ConfigDir dir;
  write_example(dir);
  dir.write("config.yaml", "defaults: [{db: null}, {optional extra: nothing}, {part: [a, b]}]\n")
      .write("part/a.yaml", "x: 1\ny: 1\n")
      .write("part/b.yaml", "y: 2\n");
  EXPECT_EQ(dir.jobs()[0].config, yaml("{part: {x: 1, y: 2}}"));
  EXPECT_EQ(dir.jobs({"db=mysql"})[0].config,
            yaml("{db: {driver: mysql, port: 3306}, part: {x: 1, y: 2}}"));
}

TEST(ComposeTest, GroupsCanBeAddedAndRemoved) {
  ConfigDir dir;
  write_example(dir);
  dir.write("extra/e.yaml", "v: 1\n");
  EXPECT_EQ(dir.jobs({"+extra=e"})[0].config.find_path("extra.v")->as_int(), 1);
  EXPECT_EQ(dir.jobs({"~db"})[0].config, yaml("{top: 1}"));
  EXPECT_EQ(
      compose_error(dir, {"extra=e"}),
      "[config] override 'extra=e': no defaults list has the group 'extra'. Groups in use: db. To "
      "add one write +extra=...");
  EXPECT_EQ(compose_error(dir, {"db=null"}),
            "[config] override 'db=null': a group needs an option; to leave it out write ~db");
  EXPECT_EQ(
      compose_error(dir, {"db=10"}),
      "[config] override 'db=10': the name of an option is needed here, and 10 is an int; if an "
      "option has that name, quote it");
}

TEST(ComposeTest, ValueOverrides) {
  ConfigDir dir;
  dir.write("config.yaml", "a: {b: 1, c: [1, 2]}\nn: null\nm: ???\n");
  const auto config = [&](std::vector<std::string> overrides) {
    return dir.jobs(overrides)[0].config;
  };
  EXPECT_EQ(config({"a.b=2", "a.c=[3]"}), yaml("{a: {b: 2, c: [3]}, n: null, m: '\?\?\?'}"));
  EXPECT_EQ(config({"a.c.1=9"}), yaml("{a: {b: 1, c: [1, 9]}, n: null, m: '\?\?\?'}"));
  EXPECT_EQ(config({"a={b: 5}"}), yaml("{a: {b: 5, c: [1, 2]}, n: null, m: '\?\?\?'}"));
  EXPECT_EQ(config({"+a.d.e=1"}), yaml("{a: {b: 1, c: [1, 2], d: {e: 1}}, n: null, m: '\?\?\?'}"));
  EXPECT_EQ(config({"+a={z: 1}", "++a.b=7", "+n=3", "+m=4"}),
            yaml("{a: {b: 7, c: [1, 2], z: 1}, n: 3, m: 4}"));
  EXPECT_EQ(config({"~a.b", "~n=null"}), yaml("{a: {c: [1, 2]}, m: '\?\?\?'}"));
  EXPECT_EQ(config({"a.b=???"}), yaml("{a: {b: '\?\?\?', c: [1, 2]}, n: null, m: '\?\?\?'}"));
  EXPECT_EQ(config({"a=5"}), yaml("{a: 5, n: null, m: '\?\?\?'}"));
}

TEST(ComposeTest, ValueOverrideErrors) {
  ConfigDir dir;
  dir.write("config.yaml", "shape: {seqlen: 1}\nlist: [1]\n");
  EXPECT_EQ(compose_error(dir, {"shape.seqln=5"}),
            "[config] override 'shape.seqln=5': there is no key 'shape.seqln'. Did you mean "
            "'shape.seqlen'?");
  EXPECT_EQ(compose_error(dir, {"seqlen=5"}),
            "[config] override 'seqlen=5': there is no key 'seqlen'. Did you mean 'shape.seqlen'?");
  ComposeRequest any_keys = dir.request({"seqlen=5"});
  any_keys.schema_free = true;
  EXPECT_EQ(
      message_of(dir, [&] { compose(any_keys); }),
      "[config] override 'seqlen=5': there is no key 'seqlen'. Did you mean 'shape.seqlen'? To "
      "add a new key write +seqlen=5");
  EXPECT_EQ(compose_error(dir, {"shape={x: 1}"}),
            "[config] override 'shape={x: 1}': there is no key 'shape.x'. Keys of 'shape': "
            "seqlen.");
  EXPECT_EQ(compose_error(dir, {"+shape.seqlen=2"}),
            "[config] override '+shape.seqlen=2': the key 'shape.seqlen' exists already (given at "
            "config.yaml:1:17); to change it write shape.seqlen=2");
  EXPECT_EQ(compose_error(dir, {"~shape.x"}),
            "[config] override '~shape.x': there is no key 'shape.x' to delete.");
  EXPECT_EQ(
      compose_error(dir, {"~shape.seqlen=3"}),
      "[config] override '~shape.seqlen=3': 'shape.seqlen' is 1, not 3, so it is not deleted");
  EXPECT_EQ(compose_error(dir, {"+list=[1]", "+list.x=3"}),
            "[config] override '+list.x=3': 'list' is a list of 1 values (given at override "
            "'+list=[1]'), so 'list.x' cannot lie below it; to append write list=extend_list(...)");
  EXPECT_EQ(compose_error(dir, {"shape=[1]"}),
            "[config] override 'shape=[1]': 'shape' is a map (given at config.yaml:1:8) and cannot "
            "become a list; delete it first: ~shape");
}

TEST(ComposeTest, DefaultsListErrorsHaveAPlace) {
  ConfigDir dir;
  write_example(dir);
  EXPECT_EQ(
      compose_error(dir, {"db=mysqll"}),
      "[config] override 'db=mysqll': group 'db' has no option 'mysqll'. Did you mean 'mysql'? "
      "Options: mysql, postgres (in 'DIR')");
  const auto error = [&](const std::string& list) {
    dir.write("config.yaml", "defaults:\n" + list);
    return compose_error(dir);
  };
  EXPECT_EQ(
      error("  - db: postgre\n"),
      "[config] config.yaml:2:5: group 'db' has no option 'postgre'. Did you mean 'postgres'? "
      "Options: mysql, postgres (in 'DIR')");
  EXPECT_EQ(
      error("  - db: mysql\n  - db: postgres\n"),
      "[config] config.yaml:3:5: the group 'db' has an option already (from config.yaml:2:5); to "
      "change it write '- override /db: postgres'");
  EXPECT_EQ(
      error("  - override /dc: mysql\n"),
      "[config] config.yaml:2:5: no defaults list has the group 'dc'. Groups in use: none. To "
      "add one leave out the word 'override'");
  EXPECT_EQ(error("  - db: ???\n"),
            "[config] config.yaml:2:5: you must choose an option: db=..., one of mysql, postgres");
  EXPECT_EQ(error("  - db: ../db/mysql\n"),
            "[config] config.yaml:2:9: '../db/mysql' has '..' in it; configs lie below the config "
            "folder, which --config-dir names");
  EXPECT_EQ(error("  - _self_\n  - _self_\n"),
            "[config] config.yaml:3:5: _self_ appears twice in one defaults list");
  EXPECT_NE(error("  - [a]\n").find("an entry of a defaults list is"), std::string::npos);
  EXPECT_NE(error("  - {a: x, b: y}\n").find("an entry of a defaults list is"), std::string::npos);
  EXPECT_NE(error("  - db: ${x}\n").find("'x', which does not exist"), std::string::npos);
  EXPECT_NE(error("  - db: [mysql, '${x}']\n").find("cannot hold an interpolation"),
            std::string::npos);
  EXPECT_NE(error("  - override db: mysql\n  - db: mysql\n").find("overrides come last"),
            std::string::npos);
  dir.write("config.yaml", "defaults: x\n");
  EXPECT_EQ(compose_error(dir),
            "[config] config.yaml:1:11: 'defaults' must be a list, not a string; put '- ' in front "
            "of each entry");
}

TEST(ComposeTest, UnknownPrimaryConfigOrFolder) {
  ConfigDir dir;
  dir.write("config.yaml", "a: 1\n");
  ComposeRequest request = dir.request();
  request.config_name = "confg";
  EXPECT_EQ(message_of(dir, [&] { compose(request); }),
            "[config] there is no config 'confg' in 'DIR'. Did you mean 'config'? Known: config");
  request.config_dirs = {dir.path() / "nothing"};
  EXPECT_EQ(message_of(dir, [&] { compose(request); }),
            "[config] the config folder 'nothing' does not exist; name one with --config-dir");
}

TEST(ComposeTest, OpenGroupsNeedNoFile) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [{variant: flash}]\n")
      .write("variant/flash.yaml", "name: flash\n");
  ComposeRequest request = dir.request({"variant=mine", "variant.alpha=0.5"});
  request.open_groups = {"variant"};
  EXPECT_EQ(compose(request)[0].config, yaml("{variant: {name: mine, alpha: 0.5}}"));
  request.open_groups = {};
  EXPECT_NE(message_of([&] { compose(request); }), "no error");
}

TEST(ComposeTest, EarlierFoldersWin) {
  ConfigDir first, second;
  first.write("config.yaml", "defaults: [{g: a}, {h: b}]\n").write("g/a.yaml", "v: first\n");
  second.write("g/a.yaml", "v: second\n").write("h/b.yaml", "v: second\n");
  ComposeRequest request = first.request();
  request.config_dirs.push_back(second.path());
  EXPECT_EQ(compose(request)[0].config, yaml("{g: {v: first}, h: {v: second}}"));
}

TEST(ComposeTest, InterpolationSeesTheWholeConfig) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [{shape: s}]\nheads: 8\n")
      .write("shape/s.yaml", "heads: ${heads}\nkv: ${.heads}\nkv2: ${shape.kv}\n");
  EXPECT_EQ(dir.jobs({"heads=2"})[0].config, yaml("{shape: {heads: 2, kv: 2, kv2: 2}, heads: 2}"));
  EXPECT_EQ(dir.jobs({"shape.kv=1"})[0].config,
            yaml("{shape: {heads: 8, kv: 1, kv2: 1}, heads: 8}"));
}

}  // namespace
}  // namespace attnlab::config
