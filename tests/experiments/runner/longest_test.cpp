#include "experiments/runner/longest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "experiments/root.h"
#include "experiments/runner/search_state.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

using analysis::Record;
using analysis::Status;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<Trial> expand(const std::vector<std::string>& overrides) {
  Registry registry;
  register_builtin_variants(registry);
  config::ComposeRequest request;
  request.config_dirs = {project_root() / "configs"};
  request.overrides = overrides;
  request.open_groups = {"variant"};
  return as_searches(expand_grid(config::compose(request), registry, {}));
}

std::vector<Trial> one_search(std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"kind=longest", "longest.start=128", "longest.max=8192",
                             "longest.granularity=64", "longest.resolution=0.01"});
  return expand(more);
}

/// Answers for probes and counts the lengths that ran.
class FakeMachine {
 public:
  using Answer = std::function<void(std::int64_t seqlen, Record&)>;
  explicit FakeMachine(Answer answer) : answer_(std::move(answer)) {}

  SearchContext context(Retry retry = Retry::kNone) {
    return {[this](const Trial& trial) {
              ran.push_back(trial.config.seqlen);
              TrialResult result;
              describe(trial, result.record);
              result.record.status = Status::kOk;
              answer_(trial.config.seqlen, result.record);
              return result;
            },
            [](const Trial& trial) { return "key of " + trial.config_hash; },
            [](const Trial& trial, Record& record) { describe(trial, record); }, retry};
  }

  std::vector<std::int64_t> ran;

 private:
  static void describe(const Trial& trial, Record& record) {
    record.trial_id = trial.trial_id;
    record.variant = trial.config.variant;
    record.seqlen_q = trial.config.seqlen_q;
    record.seqlen_k = trial.config.seqlen_k;
  }

  Answer answer_;
};

/// Up to 1000 tokens fit.
void memory_of_a_thousand(std::int64_t seqlen, Record& record) {
  if (seqlen <= 1000) return;
  record.status = Status::kOom;
  record.reason = "not started: needs much";
}

const Record& summary_of(const std::vector<Record>& records) {
  return *std::find_if(records.begin(), records.end(),
                       [](const Record& record) { return record.task == "longest"; });
}

TEST(Longest, OneSearchPerPointOfTheGridButTheLength) {
  const std::vector<Trial> searches =
      one_search({"variant=full,flash", "shape.seqlen=64,128,256", "direction=forward"});
  ASSERT_THAT(trial_ids(searches),
              ElementsAre("001_full_longest_forward", "002_flash_longest_forward"));
  EXPECT_NE(searches[0].config_hash, searches[1].config_hash);
  const std::vector<Trial> other = one_search({"variant=full", "longest.time_ms=5"});
  EXPECT_NE(other[0].config_hash, searches[0].config_hash);
}

TEST(Longest, AProbeIsTheOrdinaryTrialOfItsLength) {
  const Trial probe = probe_of(one_search({"variant=full", "causal=true"})[0], 320);
  EXPECT_EQ(probe.trial_id, "001_full_n320_forward");
  const Trial ordinary = expand({"variant=full", "causal=true", "shape.seqlen=320"})[0];
  EXPECT_EQ(probe.config_hash, ordinary.config_hash);
  EXPECT_EQ(probe.options_json, ordinary.options_json);
  EXPECT_EQ(probe.config.kind, "measure");
  EXPECT_THAT(probe.repro, HasSubstr(" kind=measure shape.seqlen=320 "));
}

TEST(Longest, AGivenLengthOfTheQueriesStays) {
  const Trial probe = probe_of(one_search({"shape.seqlen_q=1"})[0], 320);
  EXPECT_EQ(probe.config.seqlen_q, 1);
  EXPECT_EQ(probe.config.seqlen_k, 320);
  EXPECT_EQ(probe.trial_id, "001_flash_n1x320_forward");
}

TEST(Longest, WhatCannotBeSearchedIsRefusedBeforeItRuns) {
  EXPECT_THROW(expand({"kind=measure,longest"}), ConfigError);
  EXPECT_THROW(expand({"kind=longest,measure"}), ConfigError);
  EXPECT_THROW(one_search({"shape.seqlen_q=1", "shape.seqlen_k=2"}), ConfigError);
  EXPECT_THROW(one_search({"measure=untimed", "longest.time_ms=5"}), ConfigError);
  EXPECT_NO_THROW(one_search({"measure=untimed"}));
  EXPECT_THROW(one_search({"longest.start=9000"}), ConfigError);
  EXPECT_THROW(one_search({"longest.granularity=129"}), ConfigError);
  EXPECT_THROW(check_search_run("process", 2), ConfigError);
  EXPECT_THROW(check_search_run("none", 1), ConfigError);
  EXPECT_NO_THROW(check_search_run("process", 1));
}

TEST(Longest, EveryProbeIsARowAndTheSummarySaysWhatStoppedIt) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  FakeMachine machine(memory_of_a_thousand);
  const auto outcome = run_searches(one_search(), folder, journal, machine.context());
  EXPECT_THAT(machine.ran, ElementsAre(128, 256, 512, 1024, 768, 896, 960));
  ASSERT_EQ(outcome.records.size(), 8u);
  EXPECT_EQ(analysis::read_records(outcome.csv_path), outcome.records);
  const Record& summary = outcome.records.back();
  EXPECT_EQ(summary.trial_id, "001_flash_longest_forward");
  EXPECT_EQ(summary.task, "longest");
  EXPECT_EQ(summary.metric, "longest_seqlen");
  EXPECT_EQ(summary.metric_value, 960.0);
  EXPECT_EQ(summary.seqlen_q, 960);
  EXPECT_EQ(summary.status, Status::kOk);
  EXPECT_EQ(summary.reason, "960 fits; 1024: oom: not started: needs much");
  EXPECT_THAT(read_text("run/trials/001_flash_n896_forward/log.txt"),
              HasSubstr("shape.seqlen=896"));
}

TEST(Longest, ASlowProbeIsAnOkRowThatSaysThatItDoesNotFit) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  // Linear in the length, so that doubling stays below what is hopeless.
  FakeMachine machine([](std::int64_t seqlen, Record& record) {
    record.time_median_ms = static_cast<double>(seqlen) / 100;
  });
  const auto outcome =
      run_searches(one_search({"longest.time_ms=9"}), folder, journal, machine.context());
  EXPECT_EQ(summary_of(outcome.records).metric_value, 896.0);
  const auto slow = std::find_if(outcome.records.begin(), outcome.records.end(),
                                 [](const Record& record) { return record.seqlen_q == 1024; });
  EXPECT_EQ(slow->status, Status::kOk);
  EXPECT_EQ(slow->time_median_ms, 10.24);
  EXPECT_EQ(slow->reason, "does not fit: a run takes 10.2 ms, longest.time_ms allows 9.00 ms");
}

TEST(Longest, AHopelessProbeIsSkippedWithTheReason) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  FakeMachine machine([](std::int64_t seqlen, Record& record) {
    record.time_median_ms = std::pow(static_cast<double>(seqlen) / 100, 2);
    record.duration_s = 1;
  });
  const auto outcome =
      run_searches(one_search({"longest.time_ms=30"}), folder, journal, machine.context());
  // 512 takes 26 ms; 1024 would take 105 ms, more than one and a half times the limit.
  EXPECT_THAT(machine.ran, testing::Not(testing::Contains(1024)));
  EXPECT_EQ(outcome.records[3].seqlen_q, 1024);
  EXPECT_EQ(outcome.records[3].status, Status::kSkipped);
  EXPECT_THAT(outcome.records[3].reason, HasSubstr("a run would take about 105 ms"));
  // sqrt(30) * 100 = 547: no multiple of 64 lies between.
  EXPECT_EQ(summary_of(outcome.records).metric_value, 512.0);
  EXPECT_THAT(summary_of(outcome.records).reason, HasSubstr("576: a run takes 33.2 ms"));
}

TEST(Longest, TimeOfTheWholeTrialIsForeseenToo) {
  const Trial search = one_search({"limits.time_s=10"})[0];
  SearchState state(search);
  for (const double duration_s : {2.0, 8.0}) {
    Record record;
    record.status = Status::kOk;
    record.duration_s = duration_s;
    state.add(record);
  }
  EXPECT_THAT(state.hopeless(*state.next()),
              HasSubstr("would take about 32 s, limits.time_s is 10"));
}

TEST(Longest, WithoutAnyLengthThereIsNoValue) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  FakeMachine machine([](std::int64_t, Record& record) {
    record.status = Status::kUnsupported;
    record.reason = "never";
  });
  const auto outcome = run_searches(one_search(), folder, journal, machine.context());
  const Record& summary = summary_of(outcome.records);
  EXPECT_EQ(summary.status, Status::kUnsupported);
  EXPECT_FALSE(summary.metric_value);
  EXPECT_FALSE(summary.seqlen_q);
  EXPECT_EQ(summary.reason, "no length fits; 64: unsupported: never");
}

TEST(Longest, AResumeRepeatsNoProbeWhereverItWasInterrupted) {
  const std::vector<Trial> searches = one_search({"variant=flash,full"});
  for (std::size_t cut = 0; cut <= 13; ++cut) {
    const TemporaryFolder temporary;
    const RunFolder folder("run", "none");
    std::vector<std::int64_t> ran;
    {
      Journal journal(folder.path());
      FakeMachine first([&](std::int64_t seqlen, Record& record) {
        if (ran.size() == cut) throw OutputError("the disk of the test is full");
        ran.push_back(seqlen);
        memory_of_a_thousand(seqlen, record);
      });
      EXPECT_THROW(run_searches(searches, folder, journal, first.context()), OutputError);
    }
    Journal journal(folder.path());
    FakeMachine second([&](std::int64_t seqlen, Record& record) {
      ran.push_back(seqlen);
      memory_of_a_thousand(seqlen, record);
    });
    const SearchContext context = second.context();
    const auto outcome =
        run_searches(due_searches(searches, journal, context), folder, journal, context);
    EXPECT_THAT(ran,
                ElementsAre(128, 256, 512, 1024, 768, 896, 960, 128, 256, 512, 1024, 768, 896, 960))
        << cut;
    EXPECT_EQ(outcome.records.size(), 16u) << cut;
    for (const Record& record : outcome.records) EXPECT_EQ(record.attempt, 1) << record.trial_id;
    EXPECT_THAT(due_searches(searches, journal, context), IsEmpty());
  }
}

TEST(Longest, ARetryMayFindALongerOneAndSaysWhatDidNotFitBefore) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  const std::vector<Trial> searches = one_search();
  // A length in the middle times out, too; the first to be retried is 1024.
  FakeMachine busy([](std::int64_t seqlen, Record& record) {
    if (seqlen == 1024) record.status = Status::kCrashed;
    if (seqlen == 768) record.status = Status::kTimeout;
  });
  run_searches(searches, folder, journal, busy.context());
  EXPECT_EQ(summary_of(journal.records()).reason, "704 fits; 768: timeout");

  FakeMachine calm([](std::int64_t, Record&) {});
  EXPECT_THAT(due_searches(searches, journal, calm.context(Retry::kOom)), IsEmpty());
  const SearchContext context = calm.context(Retry::kFailed);
  const auto outcome =
      run_searches(due_searches(searches, journal, context), folder, journal, context);
  EXPECT_THAT(calm.ran, ElementsAre(1024, 2048, 4096, 8192));
  const Record summary = summary_of(outcome.records);
  EXPECT_EQ(summary.metric_value, 8192.0);
  EXPECT_EQ(summary.attempt, 2);
  EXPECT_EQ(summary.reason,
            "8192 fits, which is longest.max; shorter ones did not fit when they were tried: 768");
}

}  // namespace
}  // namespace attnlab::runner
