// Every call with which a run writes its folder fails once, in each way: nothing that was stored is
// lost, nothing stands there twice, and the run can be taken up again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <optional>
#include <set>
#include <sstream>

#include "analysis/csv.h"
#include "experiments/config/load_yaml.h"
#include "experiments/runner/frozen_run.h"
#include "experiments/runner/resume.h"
#include "experiments/runner/run_grid.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/faulty_calls.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTrials = 12;
constexpr int kLeastPositions = 20;

const std::vector<Trial>& all_trials() {
  static const std::vector<Trial> trials = [] {
    std::vector<Trial> made(kTrials);
    for (std::size_t i = 0; i < kTrials; ++i) {
      made[i].trial_id = std::to_string(100 + i) + "_flash";
      made[i].config_yaml = "variant:\n  name: flash\n";
      made[i].config = config::parse_trial(config::parse_yaml(made[i].config_yaml, "test"));
      made[i].options_json = "{}";
      made[i].config_hash = "hash";
    }
    return made;
  }();
  return trials;
}

class Faults : public testing::Test {
 protected:
  // On a memory file system where there is one: nothing here depends on a disk.
  Faults() {
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 1);
    folder_.emplace();
    run_ = folder_->path() / "run";
    previous_ = std::cerr.rdbuf(progress_.rdbuf());
  }
  ~Faults() override {
    std::cerr.rdbuf(previous_);
    watched_folder.clear();
    fault = {};
    ::unsetenv("TMPDIR");
  }

  /// What `attnlab run` does with its folder; the trials take no time.
  void launch() {
    const RunFolder run_folder(run_.string(), "none");
    run_folder.write_hydra("seed: 0\n", {});
    write_frozen_run(run_, {run_folder.run_id(), {}, {}, all_trials()});
    run_due(run_folder, all_trials());
  }

  /// What `attnlab run --resume` does.
  void resume() {
    const FrozenRun frozen = read_frozen_run(run_);
    const RunFolder run_folder = RunFolder::reopen(run_, frozen.run_id);
    run_due(run_folder, frozen.trials);
  }

  void run_due(const RunFolder& run_folder, const std::vector<Trial>& trials) {
    Journal journal(run_, trial_ids(trials));
    run_folder.write_environment("{}\n");
    std::string running;
    run_grid(plan_resume(trials, journal, Retry::kNone).due, run_folder, journal,
             [&](const Trial& trial) {
               // The next trial starts when the row of the one before is stored.
               if (!running.empty()) stored_.insert(running);
               running = trial.trial_id;
               EXPECT_FALSE(stored_.contains(running)) << running << " is measured again";
               TrialResult result;
               result.record.trial_id = trial.trial_id;
               result.record.status = analysis::Status::kOk;
               result.samples_ms.assign(2 + stored_.size() % 3, 1.5);
               return result;
             });
  }

  /// Each trial has one row, in order, and as many samples as its line in the journal.
  void expect_whole() const {
    const auto records = analysis::read_records(run_ / "results.csv");
    ASSERT_EQ(records.size(), kTrials);
    const JournalContents journal = parse_journal(read_text(run_ / "results.jsonl"));
    EXPECT_EQ(journal.entries.size(), kTrials);
    EXPECT_TRUE(journal.damage.empty());
    std::map<std::string, std::size_t> samples, expected;
    for (const auto& row : analysis::read_csv(run_ / "samples.csv").rows) ++samples[row[0]];
    for (const JournalEntry& entry : journal.entries) {
      expected[entry.record.trial_id] = entry.samples_ms.size();
    }
    EXPECT_EQ(samples, expected);
    for (std::size_t i = 0; i < kTrials; ++i) {
      EXPECT_EQ(records[i].trial_id, all_trials()[i].trial_id);
      EXPECT_EQ(records[i].attempt, 1);
    }
  }

  void clear() {
    watched_folder.clear();
    fault = {};
    stored_.clear();
    fs::remove_all(run_);
  }

  /// Runs `work` with a fault. Whether it failed, which must be as OutputError with the reason.
  template <class Work>
  bool fails(const Fault& wanted, const Work& work) {
    fault = wanted;
    calls_made.clear();
    watched_folder = run_.string();
    std::string message;
    try {
      work();
    } catch (const OutputError& error) {
      message = error.what();
    }
    watched_folder.clear();
    fault = {};
    if (!message.empty()) {
      EXPECT_THAT(message, testing::HasSubstr(std::strerror(wanted.error)));
    }
    return !message.empty();
  }

  std::optional<TemporaryFolder> folder_;
  fs::path run_;
  std::set<std::string> stored_;  ///< trials whose rows were on disk by the word of the journal
  std::ostringstream progress_;
  std::streambuf* previous_ = nullptr;
};

struct Kind {
  const char* call;
  int error;
};
/// Those that end the run, and those that it must live through.
const std::vector<Kind> kKinds = {
    {"open", ENOSPC},      {"open", EIO},        {"open", EMFILE},   {"open", EINTR},
    {"write", ENOSPC},     {"write", EIO},       {"write", EINTR},   {"write", 0},
    {"fsync", EIO},        {"fsync", ENOSPC},    {"fsync", EINTR},   {"fdatasync", EIO},
    {"fdatasync", ENOSPC}, {"fdatasync", EINTR}, {"rename", ENOSPC}, {"rename", EIO}};

bool is_harmless(const Kind& kind) { return kind.error == EINTR || kind.error == 0; }

TEST_F(Faults, OfALaunchLoseNothing) {
  fails({}, [&] { launch(); });
  expect_whole();
  const auto totals = calls_made;
  int survived = 0;
  for (const Kind& kind : kKinds) {
    ASSERT_GE(totals.at(kind.call), kLeastPositions) << kind.call;
    for (int position = 1; position <= totals.at(kind.call); ++position) {
      SCOPED_TRACE(std::string(kind.call) + " " + std::strerror(kind.error) + " at call " +
                   std::to_string(position));
      clear();
      ASSERT_EQ(fails({kind.call, kind.error, position}, [&] { launch(); }), !is_harmless(kind));
      if (!is_harmless(kind)) {
        // Before the trials are frozen there is nothing to resume, and nothing in the way.
        if (fs::exists(run_ / "jobs.jsonl")) {
          resume();
        } else {
          launch();
        }
      }
      expect_whole();
      if (HasFailure()) return;
      ++survived;
    }
  }
  std::cout << survived << " faults, 0 rows lost or doubled\n";
}

// The repair of a torn and damaged journal fails in turn.
TEST_F(Faults, OfARecoveryLoseNothing) {
  const auto prepare = [&] {
    clear();
    launch();
    std::string text = read_text(run_ / "results.jsonl");
    const std::size_t second = text.find('\n') + 1;
    text[second + 5] ^= 1;
    std::ofstream(run_ / "results.jsonl", std::ios::binary) << text << "{\"torn";
    for (const Trial& trial : all_trials()) stored_.insert(trial.trial_id);
    stored_.erase(all_trials()[1].trial_id);
  };
  prepare();
  fails({}, [&] { resume(); });
  expect_whole();
  const auto totals = calls_made;
  int survived = 0;
  for (const Kind& kind : kKinds) {
    for (int position = 1; position <= totals.at(kind.call); ++position) {
      SCOPED_TRACE(std::string(kind.call) + " " + std::strerror(kind.error) + " at call " +
                   std::to_string(position));
      prepare();
      ASSERT_EQ(fails({kind.call, kind.error, position}, [&] { resume(); }), !is_harmless(kind));
      if (!is_harmless(kind)) resume();
      expect_whole();
      EXPECT_THAT(read_text(run_ / "results.jsonl.torn"), testing::HasSubstr("{\"torn"));
      if (HasFailure()) return;
      ++survived;
    }
  }
  std::cout << survived << " faults, 0 rows lost or doubled\n";
}

}  // namespace
}  // namespace attnlab::runner
