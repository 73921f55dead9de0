// Sweeps: products, their order, the config's own `sweep:` map, and overrides that repeat a job.
#include "experiments/config/compose.h"
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

void write_example(ConfigDir& dir) {
  dir.write("config.yaml",
            "defaults: [{variant: flash}, _self_, {experiment: null}]\n"
            "n: 1\nd: f\nm: ${n}\n")
      .write("variant/flash.yaml", "name: flash\n")
      .write("variant/window.yaml", "name: window\nsize: 8\n")
      .write("experiment/grid.yaml",
             "# @package _global_\nsweep:\n  d: [f, b]\n  n: [1, 2]\n"
             "  variant: [flash, window]\n");
}

/// "d=f n=1 variant=flash | ..." of all jobs.
std::string grid(const std::vector<Job>& jobs) {
  std::string text;
  for (const Job& job : jobs) {
    if (!text.empty()) text += " | ";
    std::string line;
    for (const auto& [key, value] : job.sweep_values) {
      line += line.empty() ? "" : " ";
      line += key + "=" + value;
    }
    text += line;
  }
  return text;
}

TEST(SweepTest, CommandLineProductInOrder) {
  ConfigDir dir;
  write_example(dir);
  EXPECT_EQ(grid(dir.jobs({"n=1,2", "d=choice(f,b)"})), "n=1 d=f | n=1 d=b | n=2 d=f | n=2 d=b");
  EXPECT_EQ(grid(dir.jobs()), "");
  EXPECT_EQ(dir.jobs().size(), 1u);
}

TEST(SweepTest, ConfigsOwnSweepComposesPerJob) {
  ConfigDir dir;
  write_example(dir);
  const std::vector<Job> jobs = dir.jobs({"experiment=grid"});
  ASSERT_EQ(jobs.size(), 8u);
  EXPECT_EQ(grid({jobs[0], jobs[1], jobs[2], jobs[7]}),
            "d=f n=1 variant=flash | d=f n=1 variant=window | d=f n=2 variant=flash | "
            "d=b n=2 variant=window");
  EXPECT_EQ(jobs[3].config, yaml("{variant: {name: window, size: 8}, n: 2, d: f, m: 2}"));
}

TEST(SweepTest, CommandLineReplacesAKeyAndKeepsItsPlace) {
  ConfigDir dir;
  write_example(dir);
  EXPECT_EQ(grid(dir.jobs({"experiment=grid", "variant=window", "n=5,6"})),
            "d=f n=5 | d=f n=6 | d=b n=5 | d=b n=6");
  EXPECT_EQ(grid(dir.jobs({"experiment=grid", "variant=window", "n=3", "d=f"})), "");
  EXPECT_EQ(grid(dir.jobs({"experiment=grid", "d=f", "n=1", "variant=window,flash"})),
            "variant=window | variant=flash");
  EXPECT_EQ(dir.jobs({"experiment=grid", "~sweep"}).size(), 1u);
}

TEST(SweepTest, JobOverridesGiveExactlyThatJob) {
  ConfigDir dir;
  write_example(dir);
  for (const Job& job : dir.jobs({"experiment=grid", "+extra='a b',[1,x]", "n=range(2,4)"})) {
    const std::vector<Job> again = dir.jobs(job.overrides);
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].config, job.config);
    EXPECT_EQ(again[0].overrides, job.overrides);
  }
}

TEST(SweepTest, OptionsOfASweptGroupMayBeSetPerJob) {
  ConfigDir dir;
  write_example(dir);
  // Checked against the option each job really has: flash has no `size`.
  EXPECT_EQ(
      compose_error(dir, {"variant=window,flash", "variant.size=4"}),
      "[config] override 'variant.size=4': there is no key 'variant.size'. Keys of 'variant': "
      "name. (The jobs before it compose; this one has variant=flash)");
  EXPECT_EQ(dir.jobs({"variant=window", "variant.size=4,5"})[1]
                .config.find_path("variant.size")
                ->as_int(),
            5);
}

TEST(SweepTest, ExperimentsWithDifferentSweepsEachRunTheirOwn) {
  ConfigDir dir;
  write_example(dir);
  dir.write("experiment/other.yaml", "# @package _global_\nsweep: {n: [7, 8, 9]}\n");
  EXPECT_EQ(
      grid(dir.jobs({"experiment=grid,other", "variant=flash", "d=f"})),
      "experiment=grid n=1 | experiment=grid n=2 | experiment=other n=7 | experiment=other n=8 | "
      "experiment=other n=9");
}

TEST(SweepTest, ValuesInOtherForms) {
  ConfigDir dir;
  write_example(dir);
  dir.write("experiment/text.yaml",
            "# @package _global_\nlengths: [4, 5]\nsweep:\n  n: ${lengths}\n"
            "  d: a,b\n  m: 3\n");
  EXPECT_EQ(grid(dir.jobs({"experiment=text"})),
            "n=4 d=a m=3 | n=4 d=b m=3 | n=5 d=a m=3 | n=5 d=b m=3");
}

TEST(SweepTest, Errors) {
  ConfigDir dir;
  write_example(dir);
  const auto error = [&](const std::string& sweep, std::vector<std::string> more = {}) {
    dir.write("experiment/bad.yaml", "# @package _global_\nsweep: " + sweep + "\n");
    more.insert(more.begin(), "experiment=bad");
    return compose_error(dir, more);
  };
  EXPECT_EQ(error("{nn: [1]}"),
            "[config] experiment/bad.yaml:2:13: there is no key 'nn'. Did you mean 'n'?");
  EXPECT_EQ(error("{n: []}"),
            "[config] experiment/bad.yaml:2:12: sweep of 'n': the list is empty, so "
            "there would be nothing to run");
  EXPECT_EQ(error("[1]"),
            "[config] experiment/bad.yaml:2:8: 'sweep' must be a map from keys to lists "
            "of values, not a list");
  EXPECT_NE(error("{shape: {n: [1]}}").find("found a map; write the full key"), std::string::npos);
  EXPECT_EQ(
      error("{variant: [flash, windw]}"),
      "[config] experiment/bad.yaml:2:18: group 'variant' has no option 'windw'. Did you mean "
      "'window'? Options: flash, window (in 'DIR')");
  dir.write("variant/own.yaml", "# @package _global_\nsweep: {d: [x]}\n");
  EXPECT_NE(error("{variant: [flash, own]}").find("a sweep inside a sweep"), std::string::npos);
  EXPECT_EQ(
      compose_error(dir, {"n=range(3,3)"}),
      "[config] override 'n=range(3,3)': the sweep has no values, so there would be nothing to "
      "run. A range ends before its second number, and counts down only with a negative step");
}

TEST(SweepTest, TheLastOverrideOfAKeyCounts) {
  ConfigDir dir;
  write_example(dir);
  EXPECT_EQ(grid(dir.jobs({"n=1,2", "d=b", "n=3"})), "");
  EXPECT_EQ(dir.jobs({"n=1,2", "d=b", "n=3"}).front().config.find("n")->as_int(), 3);
  EXPECT_EQ(grid(dir.jobs({"n=7", "d=f,b", "n=1,2"})), "n=1 d=f | n=1 d=b | n=2 d=f | n=2 d=b");
}

TEST(SweepTest, GlobChoosesAmongTheOptionsOfAGroup) {
  ConfigDir dir;
  write_example(dir);
  dir.write("variant/full.yaml", "name: full\n");
  EXPECT_EQ(grid(dir.jobs({"variant=glob(*)"})), "variant=flash | variant=full | variant=window");
  EXPECT_EQ(grid(dir.jobs({"variant=glob([f*,w*],exclude=*ll)"})),
            "variant=flash | variant=window");
  EXPECT_EQ(
      compose_error(dir, {"n=glob(*)"}),
      "[config] override 'n=glob(*)': glob() chooses among the options of a group, and there is "
      "no group 'n'. Groups: experiment, variant");
}

TEST(SweepTest, WithoutASchemaSweepIsAKeyLikeOthers) {
  ConfigDir dir;
  dir.write("config.yaml", "sweep: {n: [1, 2]}\nhydra: {run: {dir: x}}\nn: 1\n");
  ComposeRequest request = dir.request();
  request.schema_free = true;
  std::vector<Job> jobs = compose(request);
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].config, yaml("{sweep: {n: [1, 2]}, n: 1}"));
  request.overrides = {"n=range(0)"};
  EXPECT_TRUE(compose(request).empty());
}

TEST(SweepTest, TooManyJobsAreRefusedBeforeWorkStarts) {
  ConfigDir dir;
  write_example(dir);
  EXPECT_EQ(
      compose_error(dir, {"n=range(101)", "d=range(100)"}),
      "[config] override 'd=range(100)': the sweep makes more than 10000 jobs (n: 101, d: 100); "
      "take fewer values, or allow that many with --max-jobs N");
  EXPECT_NE(compose_error(dir, {"n=range(9999)", "d=range(9999)", "m=range(9999)", "+x=range(9999)",
                                "+y=range(9999)"}),
            "no error");
}

}  // namespace
}  // namespace attnlab::config
