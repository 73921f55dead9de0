// SIGKILL at random moments of a sweep, again and again: after the resumes every trial has exactly
// one row, no row that was on disk is lost or measured twice, and no worker outlives its run.
//
// ATTNLAB_KILLS=200 in the environment makes it so many kills instead of 50; ATTNLAB_KILL_SEED
// repeats a course of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "analysis/csv.h"
#include "analysis/record.h"
#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

int number_from_environment(const char* name, int otherwise) {
  const char* text = ::getenv(name);
  return text == nullptr ? otherwise : std::stoi(text);
}

/// The lines that are whole.
std::vector<std::string> whole_lines(const fs::path& path) {
  std::vector<std::string> lines;
  if (!fs::exists(path)) return lines;
  std::istringstream text(read_text(path));
  for (std::string line; std::getline(text, line) && !text.eof();) lines.push_back(line);
  return lines;
}

/// Lines of progress "[3/40] ...": each is written after its row was stored.
std::size_t finished_trials(const std::string& err) {
  std::istringstream text(err);
  std::size_t count = 0;
  for (std::string line; std::getline(text, line) && !text.eof();) {
    count += line.starts_with("[") && line.find("elapsed") != std::string::npos;
  }
  return count;
}

/// Whether a process `attnlab worker <parent>` is there.
bool has_worker(pid_t parent) {
  const std::string wanted = std::string("worker") + '\0' + std::to_string(parent) + '\0';
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/proc", gone)) {
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    if (line.ends_with(wanted)) return true;
  }
  return false;
}

void expect_no_worker(pid_t parent) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (has_worker(parent)) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "a worker outlives its run";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// A sweep that is launched, killed and resumed until it is done.
class Sweep {
 public:
  Sweep(const char* isolation, int trials) : trials_(trials) {
    std::string seeds = "seed=0";
    for (int i = 1; i < trials; ++i) seeds += "," + std::to_string(i);
    launch_ = tiny({seeds, "run.dir=here", std::string("run.isolation=") + isolation});
    launch_.insert(launch_.begin(), ATTNLAB_PROGRAM);
  }

  /// Lets it run for so long, then kills it unless it has ended by then. Returns whether it was
  /// killed.
  bool kill_after(std::chrono::milliseconds time) {
    Process process = start();
    std::this_thread::sleep_for(time);
    workers_met_ += has_worker(process.pid()) ? 1 : 0;
    process.send(SIGKILL);
    const Result result = process.wait();
    expect_no_worker(process.pid());
    const auto lines = whole_lines(journal());
    // What a life said to have stored is there.
    EXPECT_GE(lines.size(), seen_.size() + finished_trials(result.err));
    EXPECT_TRUE(std::equal(seen_.begin(), seen_.end(), lines.begin())) << "a line has changed";
    seen_ = lines;
    if (result.exit_code == 128 + SIGKILL) return true;
    EXPECT_EQ(result.exit_code, 0) << result.err;
    done_ = true;
    return false;
  }

  bool is_done() const { return done_; }
  /// Kills at which a trial was running in a process of its own.
  int workers_met() const { return workers_met_; }

  void finish() {
    const Result result = start().wait();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    done_ = true;
  }

  void expect_whole() {
    const auto lines = whole_lines(journal());
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(trials_));
    EXPECT_TRUE(std::equal(seen_.begin(), seen_.end(), lines.begin())) << "a line has changed";
    const auto records = analysis::read_records(workplace_.path() / "here/results.csv");
    ASSERT_EQ(records.size(), static_cast<std::size_t>(trials_));
    std::map<std::string, std::int64_t> samples, expected;
    for (const auto& row : analysis::read_csv(workplace_.path() / "here/samples.csv").rows) {
      ++samples[row[0]];
    }
    for (std::size_t i = 0; i < records.size(); ++i) {
      EXPECT_EQ(records[i].seed, i);
      EXPECT_EQ(records[i].status, analysis::Status::kOk);
      EXPECT_EQ(records[i].attempt, 1);
      expected[records[i].trial_id] = records[i].samples.value_or(0);
    }
    EXPECT_EQ(samples, expected);
  }

 private:
  fs::path journal() const { return workplace_.path() / "here/results.jsonl"; }

  /// Goes on if the launch came so far, else launches.
  Process start() const {
    if (!fs::exists(workplace_.path() / "here/jobs.jsonl")) return {launch_, workplace_.path()};
    return {{ATTNLAB_PROGRAM, "run", "--resume", "here"}, workplace_.path()};
  }

  Workplace workplace_;
  int trials_;
  std::vector<std::string> launch_;
  std::vector<std::string> seen_;  ///< lines that were on disk at a kill
  int workers_met_ = 0;
  bool done_ = false;
};

TEST(Kill, LosesNothing) {
  const int wanted = number_from_environment("ATTNLAB_KILLS", 50);
  const int seed = number_from_environment("ATTNLAB_KILL_SEED", static_cast<int>(::time(nullptr)));
  std::cout << "ATTNLAB_KILL_SEED=" << seed << "\n";
  std::mt19937 random(static_cast<unsigned>(seed));
  constexpr int kMostKills = 12;
  int kills = 0;
  int rows = 0;
  int sweeps = 0;
  int workers_met = 0;
  while (kills < wanted && !HasFailure()) {
    // In the program itself trials take milliseconds, so that most kills meet it writing.
    const bool in_process = sweeps++ % 2 == 0;
    const int trials = in_process ? 150 : 8;
    Sweep sweep(in_process ? "none" : "process", trials);
    // Not more, so that both kinds have their share on a slow machine too.
    for (int i = 0; i < kMostKills && kills < wanted && !sweep.is_done() && !HasFailure(); ++i) {
      kills += sweep.kill_after(std::chrono::milliseconds(random() % 1200));
    }
    if (!sweep.is_done()) sweep.finish();
    sweep.expect_whole();
    workers_met += sweep.workers_met();
    rows += trials;
  }
  EXPECT_GE(kills, wanted);
  if (wanted >= 2 * kMostKills) {
    EXPECT_GT(workers_met, 0);
  }
  std::cout << kills << " kills in " << sweeps << " sweeps of together " << rows << " trials, "
            << workers_met << " with a running worker: 0 rows lost, 0 doubled\n";
}

}  // namespace
}  // namespace attnlab::e2e
